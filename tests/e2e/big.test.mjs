// Very much at once, in bounded memory: one HTTP body, and one file in the drop
// folder, of 5 GB each with SOAK=1 (GB=..., else 0.08). The body is made while it
// is sent. What tarn has in memory of its own stays below memory_max and is as
// much at the end as at the beginning; others are answered meanwhile; every row
// is counted once.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Tarn, until } from './lib.mjs';

const GB = Number(process.env.GB ?? (process.env.SOAK ? 5 : 0.08)), CAP = 256 * 2 ** 20, LINES = 8192, FIRST = 1000000000;
const sql = `
ALTER SYSTEM SET memory_max = '256 MiB'; ALTER SYSTEM SET inbox_settle = '100 ms'; ALTER SYSTEM SET inbox_scan_interval = '1 s';
CREATE TABLE big (n bigint NOT NULL, ts timestamptz NOT NULL, room text NOT NULL, pad text) WITH (event_time = 'ts', max_future_skew = '0');
CREATE MATERIALIZED VIEW rooms AS SELECT room, date_trunc('day', ts) AS d, count(*) AS c, sum(n - 1000000000) AS s, min(n) AS lo, max(n) AS hi FROM big GROUP BY room, d;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS c, sum(n - 1000000000) AS s, min(n) AS lo, max(n) AS hi FROM big;`;
const CALM = { timeout: GB * 600e3 + 120e3 };

/** Lines whose n goes up by one: ten digits at a known place are written anew. */
function lines() {
  const places = [];
  let text = '';
  for (let i = 0; i < LINES; i++) {
    places.push(text.length + 5);
    text += `{"n":${FIRST},"ts":"${new Date(Date.UTC(2026, 2, 1 + (i % 7), i % 24, i % 60)).toISOString()}","room":"r${i % 50}","pad":"${String(Math.imul(i, 2654435761) >>> 0).repeat(8)}"}\n`;
  }
  let made = 0;
  return { bytes: text.length, next() {
    const b = Buffer.from(text, 'latin1');
    for (const at of places) b.latin1Write(String(FIRST + made++), at);
    return b;
  } };
}
const chunks = Math.ceil(GB * 1e9 / lines().bytes), ROWS = chunks * LINES;

/** Anonymous memory as it goes: the most of each tenth of the way. */
function watch(t) {
  const tenths = Array(10).fill(0);
  const o = { part: 0, tenths, slow: 0, asked: 0 };
  const timer = setInterval(async () => {
    const kib = Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${t.child.pid}/status`, 'utf8'))[1]);
    const i = Math.min(9, Math.floor(o.part * 10));
    tenths[i] = Math.max(tenths[i], kib * 1024);
    const begun = Date.now();
    await t.fetch('/api/v1/status').then((r) => r.arrayBuffer()).catch(() => {});
    o.asked++;
    o.slow = Math.max(o.slow, Date.now() - begun);
  }, 100);
  o.stop = () => clearInterval(timer);
  return o;
}

async function judged(t, w, what) {
  const mib = (n) => (n / 2 ** 20).toFixed(0), top = Math.max(...w.tenths), seen = w.tenths.filter((n) => n > 0);
  console.log(`# ${what}: ${ROWS} rows, ${(chunks * lines().bytes / 1e9).toFixed(2)} GB; anonymous memory by tenths of the way ${w.tenths.map(mib).join(' ')} MiB; slowest of ${w.asked} answers ${w.slow} ms`);
  assert.ok(top < CAP, `${mib(top)} MiB`);
  const half = seen.slice(0, Math.ceil(seen.length / 2)), rest = seen.slice(half.length);
  if (GB >= 0.5) assert.ok(Math.max(...rest) < Math.max(...half) + 48 * 2 ** 20, `it grows: ${seen.map(mib)}`);
  const want = { c: ROWS, s: ROWS * (ROWS - 1) / 2, lo: FIRST, hi: FIRST + ROWS - 1 };
  const got = (r) => Object.fromEntries(Object.entries(r).map(([k, v]) => [k, Number(v)]));
  assert.deepEqual(got((await t.view('total'))[0]), want, what);
  await t.cut();
  assert.deepEqual(got((await t.view('total', '?layer=batch'))[0]), want, what);
  assert.deepEqual(got((await t.sql('SELECT count(*) AS c, sum(n - 1000000000) AS s, min(n) AS lo, max(n) AS hi FROM big'))[0]), want, what);
  assert.equal((await t.view('rooms')).reduce((a, r) => a + r.c, 0), ROWS);
}

test(`one body of ${GB} GB`, CALM, async () => {
  const t = await new Tarn({ sql }).start(), w = watch(t), make = lines();
  const req = request(`${t.url}/api/v1/streams/big`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
  const answer = once(req, 'response');
  for (let i = 0; i < chunks; i++) {
    w.part = i / chunks;
    if (!req.write(make.next())) await Promise.race([once(req, 'drain'), answer]);
  }
  req.end();
  const [res] = await answer;
  let text = '';
  for await (const c of res) text += c;
  w.stop();
  assert.equal(res.statusCode, 200, text);
  const a = JSON.parse(text);
  assert.deepEqual([a.accepted, a.quarantined], [ROWS, 0]);
  await judged(t, w, 'one body');
  await t.stop();
});

test(`one file of ${GB} GB in the drop folder, packed`, CALM, async () => {
  const t = await new Tarn({ sql }).start(), make = lines(), dir = join(t.data, 'inbox/big');
  const zstd = spawn('zstd', ['-q', '-1', '-c'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const written = once(zstd.stdout.pipe(createWriteStream(join(dir, '.big.ndjson.zst'))), 'finish');
  for (let i = 0; i < chunks; i++) if (!zstd.stdin.write(make.next())) await once(zstd.stdin, 'drain');
  zstd.stdin.end();
  await written;
  const w = watch(t);
  console.log(`# the file has ${(statSync(join(dir, '.big.ndjson.zst')).size / 1e6).toFixed(0)} MB`);
  renameSync(join(dir, '.big.ndjson.zst'), join(dir, 'big.ndjson.zst'));
  await until(async () => {
    w.part = (await t.ok('GET', '/api/v1/streams/big')).accepted / ROWS;
    return existsSync(join(dir, 'done/big.ndjson.zst')) || existsSync(join(dir, 'rejected/big.ndjson.zst'));
  }, CALM.timeout - 60e3, 100);
  w.stop();
  assert.ok(existsSync(join(dir, 'done/big.ndjson.zst')));
  await judged(t, w, 'one file');
  await t.stop();
});

// Memory has one budget: with a small memory_max a flood of ever new groups
// and keys, a large reference table and many big questions leave the process
// below the cap and a constant, senders are told to wait and lose nothing, and
// cuts make room again.
//
// The constant: pages that the allocator has not given back, the program's own
// few MiB, and what is on its way when the doors close. Measured with a cap of
// 64 MiB: 4 MiB when idle, 80 MiB at most in a flood. Pages of mapped files
// (log, key files) are not in it: the kernel takes those back by itself.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Tarn, tarnBin, tempDir, until } from './lib.mjs';

const MIB = 1 << 20;
const CAP = 64 * MIB;
const BEYOND = 32 * MIB;
const BODY = 2000;

const sql = (cap) => `
ALTER SYSTEM SET memory_max = '${cap}';
ALTER SYSTEM SET cut_interval = '24 hours';
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, k text NOT NULL, v double precision)
  WITH (event_time = 'ts', max_future_skew = '40000 days', dedupe_window = '1 day');
CREATE TABLE ref (k text PRIMARY KEY, name text) WITH (kind = 'reference');
CREATE MATERIALIZED VIEW by_key AS SELECT date_bin('10 minutes', ts, 'epoch') AS slot, k, count(*) AS n, sum(v) AS s
  FROM ev GROUP BY slot, k;
CREATE MATERIALIZED VIEW people AS SELECT date_bin('10 minutes', ts, 'epoch') AS slot, count(DISTINCT id) AS ids
  FROM ev GROUP BY slot;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, count(DISTINCT r.name) AS names
  FROM ev e LEFT JOIN ref r ON r.k = e.k;`;

const events = (first, n) => {
  let s = '';
  for (let i = first; i < first + n; i++) {
    const day = String(1 + (Math.floor(i / 50000) % 28)).padStart(2, '0');
    const hour = String(Math.floor(i / BODY) % 24).padStart(2, '0');
    s += `{"id":"event-${String(i).padStart(12, '0')}","ts":"2026-03-${day}T${hour}:00:00Z","k":"key-${i}","v":${i % 100}.5}\n`;
  }
  return s;
};

const anonymous = (pid) => Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

/** Largest RssAnon until stop() is called. */
function watch(pid) {
  let peak = 0;
  const timer = setInterval(() => { peak = Math.max(peak, anonymous(pid)); }, 20);
  return { stop: () => { clearInterval(timer); return peak; } };
}

async function metric(t, name) {
  const text = await (await t.fetch('/metrics')).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)[1]);
}

test('a flood: the process stays below its cap, senders wait, every event is there once', { timeout: 300000 }, async () => {
  const t = await new Tarn({ sql: sql('64 MiB') }).start();
  const N = 300000;
  const seen = { full: 0, answers: {}, sick: 0 };
  const mem = watch(t.child.pid);
  let next = 0, sending = true;

  let ref = '';
  for (let i = 0; i < 30000; i++) ref += `{"k":"key-${i * 7}","name":"name ${i % 500}"}\n`;
  await t.post('ref', ref);
  const send = async () => {
    for (;;) {
      const first = next;
      next += BODY;
      if (first >= N) return;
      const body = events(first, BODY);
      for (;;) {
        const r = await t.call('POST', '/api/v1/streams/ev', body, { 'content-type': 'application/x-ndjson' });
        if (r.status === 200) break;
        assert.equal(r.status, 503, JSON.stringify(r.body));
        assert.ok(Number(r.headers.get('retry-after')) >= 1, 'Retry-After');
        if (r.body.type === '/problems/memory-full') {
          seen.full++;
          assert.match(r.body.detail, /of the 64\.0 MiB of memory_max/);
          assert.match(r.body.hint, /memory_max/);
        }
        await new Promise((f) => setTimeout(f, 50));
      }
    }
  };
  const ask = async () => {
    while (sending) {
      for (const path of ['/api/v1/views/by_key', '/api/v1/views/people?layer=speed', '/api/v1/views/total']) {
        const r = await t.fetch(path);
        await r.arrayBuffer();
        assert.ok(r.status === 200 || r.status === 503, `${path}: ${r.status}`);
        seen.answers[r.status] = (seen.answers[r.status] ?? 0) + 1;
      }
      const q = await t.call('POST', '/api/v1/sql', 'SELECT k, count(*) FROM ev GROUP BY k', { 'content-type': 'application/sql' });
      assert.ok([200, 413, 503].includes(q.status), `sql: ${q.status} ${JSON.stringify(q.body)}`);
      if ((await t.fetch('/healthz')).status !== 200) seen.sick++;
    }
  };
  const asking = [ask(), ask(), ask(), ask()];
  await Promise.all(Array.from({ length: 6 }, send));
  sending = false;
  await Promise.all(asking);
  const peak = mem.stop();
  console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB of ${CAP / MIB}; ${seen.full} bodies were told to wait`);
  assert.ok(peak < CAP + BEYOND, `${peak / MIB} MiB`);
  assert.ok(seen.full > 0, 'the doors closed at least once');
  assert.equal(seen.sick, 0);
  assert.ok(seen.answers[200] > 0, 'small questions were answered');

  // It recovered by itself: the next body is taken, without any help.
  await until(async () => (await t.call('POST', '/api/v1/streams/ev', events(N, 10), { 'content-type': 'application/x-ndjson' })).status === 200, 30000, 100);
  const runs = (await t.ok('GET', '/api/v1/runs?limit=200')).runs;
  assert.ok(runs.some((r) => r.kind === 'cut' && r.reason === 'memory'), JSON.stringify(runs.slice(0, 3)));
  await until(async () => (await t.fetch('/api/v1/views/total')).status === 200, 30000, 100);
  assert.equal(Number((await t.view('total'))[0].n), N + 10);
  assert.equal(await metric(t, 'tarn_memory_max_bytes'), CAP);
  assert.ok(await metric(t, 'tarn_memory_bytes{class="references"}') > MIB);
  assert.ok(await metric(t, 'tarn_memory_peak_bytes') > CAP / 2);
  const end = await until(async () => {
    const r = await t.call('POST', '/api/v1/sql', 'SELECT count(*) AS n, count(DISTINCT k) AS keys FROM ev', { 'content-type': 'application/sql' });
    return r.status === 200 || r.status === 413 ? r : null;
  }, 30000, 200);
  if (end.status === 200) assert.deepEqual(end.body.rows[0].map(Number), [N + 10, N + 10]);
  await t.stop();
});

test('half rows of many slow senders: memory is bounded, others get through', { timeout: 120000 }, async (x) => {
  const t = await new Tarn({ sql: sql('64 MiB') }).start();
  const mem = watch(t.child.pid);
  const half = Buffer.from(`{"id":"half","ts":"2026-03-01T00:00:00Z","k":"${'x'.repeat(1000 * 1000)}`);
  const senders = [];
  let turned = 0;
  x.after(() => { for (const r of senders) r.destroy(); });
  for (let i = 0; i < 60; i++) {
    const r = request(t.url + '/api/v1/streams/ev', { method: 'POST', headers: { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' } });
    r.on('response', (m) => { turned++; m.resume(); });
    r.on('error', () => { turned++; });
    r.write(half);
    senders.push(r);
  }
  // More than there may be on its way: some are sent away in the middle.
  await until(() => turned > 0, 60000, 5);
  const begun = Date.now();
  await until(async () => (await t.call('POST', '/api/v1/streams/ev', events(0, 10), { 'content-type': 'application/x-ndjson' })).status === 200, 60000, 50);
  const peak = mem.stop();
  console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB; another sender got through after ${Date.now() - begun} ms`);
  assert.ok(peak < CAP + BEYOND, `${peak / MIB} MiB`);
  for (const r of senders) r.destroy();
  await until(async () => (await metric(t, 'tarn_memory_bytes{class="ingest"}')) < MIB, 20000, 50);
  assert.equal(Number((await t.view('total'))[0].n), 10);
  await t.stop();
});

test('a log that a smaller memory_max cannot hold folded is cut while it is read', { timeout: 200000 }, async () => {
  const data = tempDir();
  const N = 200000;
  const big = await new Tarn({ sql: sql('2 GiB'), data }).start();
  for (let i = 0; i < N; i += 20000) await big.post('ev', events(i, 20000));
  await big.kill();
  const small = await new Tarn({ sql: sql('64 MiB'), data, startMs: 60000 }).start();
  const runs = (await small.ok('GET', '/api/v1/runs?limit=200')).runs;
  assert.ok(runs.some((r) => r.kind === 'cut' && r.reason === 'start'), JSON.stringify(runs.slice(0, 3)));
  assert.ok(anonymous(small.child.pid) < CAP + BEYOND, `${anonymous(small.child.pid) / MIB} MiB`);
  assert.equal(Number((await small.view('total'))[0].n), N);
  const again = await small.post('ev', events(N - 100, 100));
  assert.equal(again.duplicates, 100, 'keys of the log and of the cuts are known');
  await small.stop();
});

test('settings that cannot work together are refused before anything starts', () => {
  const dir = join(tempDir('config'), 'c');
  mkdirSync(dir);
  const check = (text) => {
    writeFileSync(join(dir, 'p.sql'), `CREATE TABLE a (x int);\n${text}`);
    const r = spawnSync(tarnBin, ['check', dir], { encoding: 'utf8' });
    return { code: r.status, out: r.stdout + r.stderr };
  };
  assert.equal(check("ALTER SYSTEM SET memory_max = '64 MiB';").code, 0);
  const low = check("ALTER SYSTEM SET memory_max = '32 MiB';");
  assert.equal(low.code, 1);
  assert.match(low.out, /at least 64 MiB/);
  const chunk = check("ALTER SYSTEM SET log_segment_bytes = '16 MiB'; ALTER SYSTEM SET ingest_chunk_bytes = '16 MiB';");
  assert.equal(chunk.code, 1);
  assert.match(chunk.out, /log_segment_bytes/);
  assert.match(chunk.out, /at least 7\d MiB/);
  assert.equal(check("ALTER SYSTEM SET log_segment_bytes = '16 MiB';").code, 0);
  const help = spawnSync(tarnBin, ['help', 'settings'], { encoding: 'utf8' }).stdout;
  assert.match(help, /memory_max/);
  assert.match(help, /http_address_connections_max/);
  assert.match(help, /ingest_pending_bytes 1\/8/);
});

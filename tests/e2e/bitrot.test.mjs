// Bit rot: one bit of one file turns while tarn is off. For every kind of file
// and every flip: the start is refused with the file's name, or an answer is an
// error that names it, or verify names it, or nothing at all is different. Never
// a wrong answer, never a crash. Places are random among the bytes that are not
// unused zeros. FLIPS of each kind, TARN_SEED.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Tarn, baseSeed, rng, tempDir, until } from './lib.mjs';
process.setMaxListeners(0);

const flips = Number(process.env.FLIPS ?? 30);
const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '1000';
ALTER SYSTEM SET snapshot_keep = '1 hour';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL, name text, x double precision CHECK (x < 1000)) WITH (event_time = 'ts');
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', dedupe_window = '7 days');
CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs, avg(x) AS x, max(name) AS name FROM plain GROUP BY batch;
CREATE MATERIALIZED VIEW keyed_days AS SELECT date_trunc('day', ts) AS d, count(*) AS n, sum(seq) AS s FROM keyed GROUP BY d;`;

const line = (stream, batch, i) => JSON.stringify({ ...(stream === 'keyed' ? { id: `${batch}-${i}` } : {}), batch, seq: i,
  ts: new Date(Date.UTC(2026, 2, 1 + batch % 3, i % 24, i % 60)).toISOString(),
  ...(stream === 'plain' ? { name: `n${(batch * 7919 + i * 104729) % 1000}`, x: i % 50 === 49 ? 5000 : i / 8 } : {}) });
const body = (stream, batch, rows) => Array.from({ length: rows }, (_, i) => line(stream, batch, i)).join('\n');

const questions = [
  ['GET', '/api/v1/views/plain_batches'], ['GET', '/api/v1/views/keyed_days'],
  ['POST', '/api/v1/sql', 'SELECT batch, count(*) AS n, sum(seq) AS s, avg(x) AS x, min(ts) AS a, max(name) AS b FROM plain GROUP BY batch ORDER BY batch'],
  ['POST', '/api/v1/sql', 'SELECT batch, count(*) AS n, count(DISTINCT id) AS ids, max(ts) AS t FROM keyed GROUP BY batch ORDER BY batch'],
  ['GET', '/api/v1/quarantine/plain?limit=1000'],
];
const order = (v) => JSON.stringify(v.rows ? { columns: v.columns, rows: v.rows.map((r) => JSON.stringify(r)).sort() } : v);

/** Rows of every question, or the error. */
async function ask(t) {
  const out = [];
  for (const [method, path, text] of questions) {
    const a = await t.call(method, path, text, text ? { 'content-type': 'application/sql' } : {});
    const { rows, columns, ...rest } = a.body;
    out.push(a.status === 200 ? { rows: order(rows ? { rows, columns } : rest) } : { error: JSON.stringify(a.body) });
  }
  return out;
}

/** A place among bytes that are in use: not one of 64 zeros. */
function place(bytes, r) {
  for (;;) {
    const at = r.below(bytes.length), from = at & ~63;
    if (bytes.subarray(from, from + 64).some((b) => b !== 0)) return at;
  }
}

/** What came of one flip: ['refused' | 'answer' | 'verify' | 'harmless', text]. */
async function outcome(data, want) {
  const t = new Tarn({ sql, data });
  try {
    try { await t.start(); } catch (e) {
      await until(() => t.child.stdout.destroyed && t.child.stderr.destroyed);   // its last words
      assert.equal(t.exit?.signal, null, `crash at start\n${e.message}`);
      return ['refused', t.out + t.err];
    }
    const found = [];
    const got = await ask(t);
    got.forEach((g, i) => {
      if (g.error) found.push(['answer', g.error]);
      else assert.equal(g.rows, want[i].rows, `WRONG answer to ${questions[i].slice(1)}`);
    });
    // A duplicate stays one.
    const d = await t.call('POST', '/api/v1/streams/keyed', body('keyed', 2, 60), { 'content-type': 'application/x-ndjson' });
    if (d.status === 200) assert.equal(d.body.duplicates, 60, `WRONG duplicates ${JSON.stringify(d.body)}`);
    else found.push(['answer', JSON.stringify(d.body)]);
    const v = await t.call('POST', '/api/v1/verify');
    if (v.status !== 200 || v.body.equal !== true) found.push(['verify', JSON.stringify(v.body)]);
    await t.stop();
    assert.equal(t.exit.signal, null, 'crash at the end');
    found.forEach((f) => { f[1] += t.err; });
    return found[0] ?? ['harmless', t.err];
  } catch (e) {
    if (t.exit?.signal && t.exit.signal !== 'SIGTERM') throw new Error(`crash: ${t.exit.signal}\n${t.err.slice(-1500)}`);
    throw e;
  } finally {
    await t.kill();
  }
}

test(`one bit of a file turns, ${flips} times for each kind: found or harmless`, { timeout: 1800000 }, async () => {
  console.log(`seed ${baseSeed}`);
  const t = await new Tarn({ sql }).start();
  for (let b = 1; b <= 12; b++) {
    await t.post(b % 2 ? 'plain' : 'keyed', body(b % 2 ? 'plain' : 'keyed', b, 60 + b));
    if (b % 4 === 0 && b < 12) await t.cut();
  }
  await t.settled();
  const want = await ask(t);
  want.forEach((w) => assert.ok(w.rows, w.error));
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
  const files = readdirSync(t.data, { recursive: true });
  const kinds = {
    log: files.filter((f) => /log\/\d+\.mdb$/.test(f)), bronze: files.filter((f) => /bronze.*parquet$/.test(f)),
    silver: files.filter((f) => /silver.*parquet$/.test(f)), gold: files.filter((f) => /gold.*parquet$/.test(f)),
    keys: files.filter((f) => /\.keys$/.test(f)), catalog: files.filter((f) => /^catalog\.db$/.test(f)),
  };
  const jobs = [], bad = [], counts = {};
  for (const [kind, list] of Object.entries(kinds)) {
    assert.ok(list.length > 0, kind);
    counts[kind] = { refused: 0, answer: 0, verify: 0, harmless: 0 };
    if (process.env.KIND && process.env.KIND !== kind) continue;
    for (let i = 0; i < flips; i++) jobs.push({ kind, i, list });
  }
  await Promise.all([0, 1].map(async () => {
    for (let j = jobs.shift(); j; j = jobs.shift()) {
      const r = rng(baseSeed + j.i * 31 + j.kind.length * 7 + j.kind.charCodeAt(0));
      const data = tempDir('rot'), file = r.pick(j.list), bytes = readFileSync(join(t.data, file)), at = place(bytes, r), bit = r.below(8);
      cpSync(t.data, data, { recursive: true });
      bytes[at] ^= 1 << bit;
      writeFileSync(join(data, file), bytes);
      try {
        const [what, text] = await outcome(data, want);
        counts[j.kind][what]++;
        // A number of the catalog that no longer fits a file: which of both is wrong nobody can know.
        if (what !== 'harmless' && !(what === 'verify' && j.kind === 'catalog')) assert.ok(text.includes(basename(file)), `${what}, but ${basename(file)} is not named: ${text.slice(-600)}`);
      } catch (e) {
        bad.push(`${file} byte ${at} bit ${bit}: ${e.message.slice(0, 900)}`);
      }
      rmSync(data, { recursive: true, force: true });
    }
  }));
  console.log(counts);
  assert.deepEqual(bad, [], bad.join('\n\n'));
});

test('a rotten bronze file and a changed table: the start says what to do, and with the definition before it starts', { timeout: 600000 }, async () => {
  const text = (most) => `ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE plain (seq int NOT NULL, x double precision CHECK (x < ${most}));
CREATE MATERIALIZED VIEW all_rows AS SELECT count(*) AS n, sum(seq) AS s FROM plain;`;
  const t = await new Tarn({ sql: text(1000) }).start();
  await t.post('plain', Array.from({ length: 500 }, (_, seq) => JSON.stringify({ seq, x: seq })).join('\n'));
  await t.cut();
  await t.stop();
  const bronze = readdirSync(t.data, { recursive: true }).find((f) => /bronze.*parquet$/.test(f)), bytes = readFileSync(join(t.data, bronze));
  bytes[bytes.length >> 2] ^= 4;
  writeFileSync(join(t.data, bronze), bytes);
  const changed = new Tarn({ sql: text(2000), data: t.data });
  await assert.rejects(changed.start());
  await until(() => changed.child.stdout.destroyed && changed.child.stderr.destroyed);
  const said = changed.out + changed.err;
  assert.ok(said.includes(basename(bronze)) && /go back to the definition before/.test(said), said);
  for (const [kill, want] of [[true, 500], [false, 501]]) {
    const back = await new Tarn({ sql: text(1000), data: t.data }).start();
    assert.deepEqual((await back.ok('GET', '/api/v1/views/all_rows')).rows.map((r) => Number(r.n ?? r[0])), [want]);
    await back.post('plain', '{"seq":1,"x":1}');
    if (kill) await back.kill();
    else await back.cut();
    await back.stop();
  }
});

test('a catalog.db of another time, or an empty one, removes no file', async () => {
  const first = new Tarn({ sql });
  await first.start();
  const send = (batch) => first.call('POST', '/api/v1/streams/plain', body('plain', batch, 100), { 'content-type': 'application/x-ndjson' });
  const cut = async () => assert.equal((await first.call('POST', '/api/v1/batch/run')).status, 200);
  const files = () => readdirSync(join(first.data, 'lake'), { recursive: true }).filter((f) => f.endsWith('.parquet')).sort();
  const catalog = join(first.data, 'catalog.db');
  await send(1);
  await cut();
  await first.stop();
  const old = readFileSync(catalog);
  await first.start();
  await send(2);
  // The log gives its segments back: what it had is in files only.
  const gone = await first.call('POST', '/api/v1/sql', 'DELETE FROM plain WHERE batch = 1 AND seq = 0', { 'content-type': 'application/sql' });
  assert.equal(gone.status, 200, JSON.stringify(gone.body));
  await first.stop();
  const good = readFileSync(catalog), before = files();
  for (const bad of [old, Buffer.alloc(0)]) {
    writeFileSync(catalog, bad);
    await assert.rejects(first.start(), /catalog\.db ends at LSN \d+, the log begins at \d+.*\n.*no file was removed/);
    assert.deepEqual(files(), before);
  }
  // Of before a merge, with the log still there: files that it names are gone.
  writeFileSync(catalog, good);
  await first.start();
  assert.equal((await first.call('GET', '/api/v1/views/plain_batches')).body.rows.length, 2);
  await first.stop();
  const lost = files().find((f) => f.startsWith('silver'));
  rmSync(join(first.data, 'lake', lost));
  writeFileSync(join(first.data, 'lake/silver/plain/unnamed.parquet'), 'x');
  const left = files();
  await first.start();
  assert.deepEqual(files(), left);
  assert.match(first.err, /1 files of the lake are missing/);
  await first.stop();
});

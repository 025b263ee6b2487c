// Memory is out for the Nth allocation of the whole process, libraries and
// all, whatever its size (tests/tools/preload/nomem.c): at the start, and while
// bodies, cuts and questions are at work. The program may refuse what it was
// asked, or end with a line that says so (a small allocation of our own); it
// may not crash, and after a restart every acknowledged event is there exactly
// once, those that were not whole or not at all.
import test from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Tarn, baseSeed, rng, tempDir, tool } from './lib.mjs';

const nomem = process.env.TARN_NOMEM ?? tool('tools/preload/nomem.so');
const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '1';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL, note text) WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL CHECK (batch > 0), seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;
CREATE MATERIALIZED VIEW keyed_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM keyed GROUP BY batch;`;

const soak = Boolean(process.env.SOAK);
const rows = { plain: 300, keyed: 40 };
const row = (stream, batch, i) => ({ ...(stream === 'keyed' ? { id: `${batch}-${i}` } : {}), batch, seq: i,
  ts: new Date(Date.UTC(2026, 2, 1 + (i % 3))).toISOString(), ...(stream === 'plain' ? { note: 'n'.repeat(20) } : {}) });
const body = (stream, batch) => Array.from({ length: rows[stream] }, (_, i) => JSON.stringify(row(stream, batch, i))).join('\n');

// What was sent in one data folder, and what came of it.
class Folder {
  data = tempDir('nomem');
  sent = { plain: new Map(), keyed: new Map() };
  next = 1;

  tarn(env) {
    return new Tarn({ sql, data: this.data, env });
  }

  async post(t, stream, how) {
    const batch = this.next++;
    this.sent[stream].set(batch, false);
    const text = how === 'gzip' ? gzipSync(body(stream, batch)) : how === 'json' ?
      JSON.stringify(Array.from({ length: rows[stream] }, (_, i) => row(stream, batch, i))) : body(stream, batch);
    const r = await t.call('POST', `/api/v1/streams/${stream}`, text, {
      'content-type': how === 'json' ? 'application/json' : 'application/x-ndjson',
      ...(how === 'gzip' ? { 'content-encoding': 'gzip' } : {}), 'idempotency-key': `k${batch}` });
    if (r.status === 200) assert.equal(r.body.accepted, rows[stream]);
    else assert.ok(r.status >= 500, `POST answered ${r.status} ${JSON.stringify(r.body)}`);
    this.sent[stream].set(batch, r.status === 200);
  }

  // On a process with memory enough.
  async check(what) {
    const t = await this.tarn().start();
    for (const stream of ['plain', 'keyed']) {
      const found = new Map((await t.view(`${stream}_batches`)).map((x) => [x.batch, x]));
      for (const [batch, acked] of this.sent[stream]) {
        const got = found.get(batch);
        if (acked) assert.ok(got, `${what}: batch ${batch} of ${stream} was acknowledged and is gone`);
        if (got) assert.deepEqual([got.n, got.seqs], [rows[stream], rows[stream]], `${what}: batch ${batch} of ${stream}`);
      }
    }
    await t.stop();
  }
}

// An end that is no crash: none, or the words of a small allocation.
function fair(t, what) {
  if (t.exit === null || t.exit.signal === 'SIGKILL' || t.exit.signal === 'SIGTERM') return;
  if (t.exit.signal === 'SIGABRT') assert.match(t.err, /no memory|out of memory/i, `${what}: aborted without a word\n${t.err.slice(-1500)}`);
  else assert.equal(t.exit.signal, null, `${what}: ended by ${t.exit.signal}\n${t.err.slice(-1500)}`);
}

const step = (name, standard) => soak ? 1 : Number(process.env[name] ?? standard);
function* numbers(r, to, stride) {
  for (let n = 1 + r.below(stride); n <= to; n += stride) yield n;
}

test('the Nth allocation of a start fails', { timeout: soak ? 3600000 : 600000 }, async () => {
  const r = rng(baseSeed), f = new Folder();
  console.log(`seed ${baseSeed}`);
  const first = await f.tarn().start();
  await f.post(first, 'plain');
  await f.post(first, 'keyed');
  await first.cut();
  await f.post(first, 'plain', 'gzip');
  await f.post(first, 'keyed');
  await first.kill();
  let started = 0, ended = 0;
  for (const n of numbers(r, 3000, step('TARN_STRIDE', 67))) {
    const t = f.tarn({ LD_PRELOAD: nomem, TARN_NOMEM_AT: String(n) });
    await t.start().then(() => started++, () => ended++);
    fair(t, `start, allocation ${n}`);
    await t.kill();
    await f.check(`start, allocation ${n}`);
  }
  console.log(`${started} started, ${ended} said why not`);
});

test('the Nth allocation of work fails', { timeout: soak ? 7200000 : 600000 }, async () => {
  const r = rng(baseSeed + 1), f = new Folder();
  let survived = 0, died = 0;
  for (const n of numbers(r, 6000, step('TARN_STRIDE', 131))) {
    const what = `work, allocation ${n}`;
    const t = await f.tarn({ LD_PRELOAD: nomem, TARN_NOMEM_AT: String(n), TARN_NOMEM_WAIT: '1', TARN_NOMEM_COUNT: String(r.pick([1, 1, 1, 5])),
      TARN_NOMEM_MIN: String(r.pick([0, 0, 4097])) }).start();
    t.child.kill('SIGUSR2');
    try {
      await f.post(t, 'plain', r.pick(['gzip', 'ndjson', 'json']));
      await f.post(t, 'keyed', r.pick(['gzip', 'ndjson', 'json']));
      await t.call('GET', '/api/v1/views/plain_batches');
      await t.call('POST', '/api/v1/sql', 'SELECT batch, seq, repeat(note, 10) AS s FROM plain ORDER BY seq DESC LIMIT 500', { 'content-type': 'application/sql' });
      await t.call('POST', '/api/v1/batch/run');
      await f.post(t, 'plain', 'ndjson');
      await t.call('GET', '/api/v1/streams');
      await t.call('GET', '/metrics');
      survived++;
    } catch (e) {
      if (e instanceof assert.AssertionError) throw e;
      died++;                                  // The connection broke: with the process, or alone.
    }
    if (t.exit === null) await t.kill();
    fair(t, what);
    await f.check(what);
  }
  const t = await f.tarn().start();
  await t.cut();
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  await t.stop();
  await f.check('at the end');
  console.log(`${survived} runs answered all, ${died} lost a connection`);
});

// The wall clock steps while tarn runs (tests/tools/preload/clock.c under it):
// two days back, thirty ahead, a second back again and again, over both changes
// of summer time, past 2038. Nothing crashes, log positions only grow, timed
// cuts go on, duplicates are known, and event-time results are those of a run
// whose clock stood still.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, tempDir, until, tool } from './lib.mjs';
import { pubOk } from './mqtt_lib.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 s';
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', dedupe_window = '7 days');
CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, count(*) AS n, sum(seq) AS s FROM keyed GROUP BY d;
CREATE MATERIALIZED VIEW batches AS SELECT batch, count(*) AS n, min(ts) AS a, max(ts) AS b FROM keyed GROUP BY batch;`;

const DAY = 86400e6;
const at = (text) => () => (Date.parse(text) - Date.now()) * 1000;
const steps = [() => 0, () => -2 * DAY, () => 0, () => 30 * DAY, ...Array.from({ length: 5 }, (_, i) => () => 30 * DAY - (i + 1) * 1e6),
  at('2026-03-29T00:59:59.500Z'), at('2026-10-25T00:59:59.500Z'), at('2038-01-19T03:14:07.500Z'), at('2040-02-29T23:59:59Z'), () => 0];
const body = (batch) => Array.from({ length: 40 }, (_, i) => JSON.stringify({ id: `${batch}-${i}`, batch, seq: i,
  ts: new Date(Date.UTC(2026, 2, 28 + batch % 3, i % 24, i)).toISOString() })).join('\n');

/** A clock to be set, and what tarn needs to believe in it. */
function clock() {
  const file = join(tempDir('clock'), 'shift');
  const set = (us) => { const b = Buffer.alloc(8); b.writeBigInt64LE(BigInt(Math.round(us))); writeFileSync(file, b, { flag: 'r+' }); };
  writeFileSync(file, Buffer.alloc(8));
  return { set, env: { TZ: 'Europe/Berlin', CLOCK_SHIFT: file, LD_PRELOAD: tool('tools/preload/clock.so') } };
}

/** All steps, or as many batches with a clock that is right. */
async function life(stepping) {
  const { set, env } = clock();
  const t = await new Tarn({ sql, env: stepping ? env : {} }).start();
  let lsn = 0;
  for (const [batch, step] of steps.entries()) {
    if (stepping) set(step());
    assert.equal((await t.post('keyed', body(batch))).accepted, 40);
    assert.equal((await t.post('keyed', body(batch))).duplicates, 40, `step ${batch}`);
    const s = await t.ok('GET', '/api/v1/status');
    assert.ok(s.log.last > lsn, `positions only grow: ${s.log.last} after ${lsn}`);
    lsn = s.log.last;
    if (batch % 3 === 2) await until(async () => (await t.ok('GET', '/api/v1/status')).batch_lsn >= lsn, 10000);   // by itself
    if (batch % 4 === 3) await t.restart(batch % 8 === 3 ? 'kill' : 'stop');
  }
  await t.cut();
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  const out = { days: await t.view('days'), batches: await t.view('batches'), rows: await t.sql('SELECT count(*) AS n, sum(seq) AS s FROM keyed') };
  const runs = (await t.ok('GET', '/api/v1/runs?limit=100')).runs;
  // A kill may meet a compaction.
  const bad = runs.filter((r) => r.state !== 'done' && !/^the program ended/.test(r.detail));
  assert.deepEqual(bad, []);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
  return out;
}

test('the wall clock steps: no crash, positions grow, event-time results are the same', { timeout: 600000 }, async () => {
  assert.deepEqual(await life(true), await life(false));
});

// Bronze of a day is one place, and its files are merged: after leaps to and fro
// the days' files lie within one another.
test('rows that a new CHECK takes come in the order in which they came, whatever days the clock said', { timeout: 600000 }, async () => {
  const { set, env } = clock();
  const text = (limit) => `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '1';
CREATE TABLE room (n int NOT NULL CHECK (n < ${limit}), ts timestamptz NOT NULL) WITH (event_time = 'ts');`;
  const t = await new Tarn({ sql: text(0), env }).start();
  const late = 20 * 365 * DAY, want = [];
  for (const [i, shift] of [late, 0, late, 0, late, -late, 0, late].entries()) {
    set(shift);
    const rows = Array.from({ length: 5 }, (_, k) => 10 * i + k);
    assert.equal((await t.post('room', rows.map((n) => `{"n":${n},"ts":"1999-01-01T00:00:00Z"}`).join('\n'))).quarantined, 5);
    want.push(...rows);
    await t.cut();
  }
  const bronze = async () => (await t.ok('GET', '/api/v1/files?tier=bronze&table=room')).files;
  await until(async () => { await t.call('POST', '/api/v1/sql', 'CALL compact()', { 'content-type': 'application/sql' }); return (await bronze()).length === 3; }, 20000);
  writeFileSync(join(t.config, 'pipeline.sql'), text(1000));
  await t.restart();
  assert.deepEqual((await t.sql('SELECT n FROM room ORDER BY _offset')).map((x) => x.n), want);
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('more Idempotency-Keys than are kept: the oldest are forgotten, none too soon, and nobody else is turned away for them', { timeout: 120000 }, async () => {
  const { set, env } = clock();
  const t = await new Tarn({ mqtt: true, env, sql: `
ALTER SYSTEM SET idempotency_keys_max = 100;
CREATE TABLE room (n int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', mqtt = 'room/+');` }).start();
  let rows = 0;
  const keyed = async (i) => {
    const r = await t.call('POST', '/api/v1/streams/room', `{"n":${i},"ts":"2026-01-01T00:00:00Z"}`, { 'content-type': 'application/x-ndjson', 'idempotency-key': `k${i}` });
    const again = r.headers.get('idempotency-replayed') === 'true';
    rows += r.status === 200 && !again;
    return again ? 'replayed' : r.status === 200 ? 'taken' : r.body;
  };
  const mqtt = (n) => { pubOk(t, 'room/a', `{"n":${n},"ts":"2026-01-01T00:00:00Z"}`, ['-c', '-i', 'keeps']); rows++; };
  for (let i = 0; i < 100; i++) assert.equal(await keyed(i), 'taken');
  const full = await keyed(100);
  assert.equal(full.status, 503);
  assert.match(`${full.detail} ${full.hint}`, /idempotency_window_min.*idempotency_keys_max.*log_segment_bytes/);
  assert.equal(await keyed(0), 'replayed');
  set(16 * 60e6);
  mqtt(1000);
  assert.equal(await keyed(100), 'taken');
  assert.equal(await keyed(100), 'replayed');
  assert.equal(await keyed(99), 'replayed');
  assert.equal(await keyed(0), 'taken');
  set(60 * 60e6);
  const later = [];
  for (let i = 200; i < 310; i++) later.push(await keyed(i));
  // What the broker remembered of its client went last.
  assert.deepEqual(later.map((x) => x.status ?? x), [...Array(100).fill('taken'), ...Array(10).fill(503)]);
  set(80 * 60e6);
  mqtt(1001);
  assert.equal(await keyed(400), 'taken');
  assert.match(t.err, /too many Idempotency-Keys came/);
  assert.match((await t.call('GET', '/metrics')).body, /^tarn_log_notes_forgotten_total [1-9]\d\d$/m);
  assert.deepEqual(await t.sql('SELECT count(*) AS n FROM room'), [{ n: rows }]);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

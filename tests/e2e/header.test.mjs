// A CSV header of tens of kilobytes and very many tiny rows: bronze has the
// header in each of them, so what a sender makes of a small body must stay
// bounded, in the log, at a cut, when bronze is read and when it is merged.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Tarn, until } from './lib.mjs';
process.setMaxListeners(0);

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET memory_max = '192 MiB';
CREATE TABLE wide (n int NOT NULL);
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS c, sum(n) AS s FROM wide;`;
const rows = 100000;
/** Most memory the process ever had, in MiB. */
const peak = (t) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${t.child.pid}/status`, 'utf8'))[1]) / 1024;

test('a header of 40 KB before 100 000 rows of three bytes: taken, cut, verified, merged, in bounded memory', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const a = await t.post('wide', `n,${'x'.repeat(40000)}\n${'1,\n'.repeat(rows)}`, { type: 'text/csv' });
  assert.deepEqual([a.accepted, a.quarantined], [rows, 0]);
  await t.settled();
  await t.cut();
  assert.deepEqual(await t.sql('SELECT c, s FROM total'), [{ c: rows, s: rows }]);
  const v = await t.verify();
  assert.equal(v.equal, true, JSON.stringify(v));
  const c = await t.post('wide', `n,${'x'.repeat(40000)}\n${'1,\n'.repeat(20000)}`, { type: 'text/csv' });
  assert.equal(c.accepted, 20000);
  await t.settled();
  await t.cut();
  await t.sql('CALL compact()');
  await until(async () => (await t.ok('GET', '/api/v1/files?table=wide&tier=bronze')).files.length === 1, 60000);
  const w = await t.verify();
  assert.equal(w.equal, true, JSON.stringify(w));
  const most = peak(t);
  console.log(`peak ${Math.round(most)} MiB`);
  assert.ok(most < 400, `${Math.round(most)} MiB`);
  await t.restart('kill');
  assert.deepEqual(await t.sql('SELECT count(*) AS c FROM wide'), [{ c: rows + 20000 }]);
  const b = await t.call('POST', '/api/v1/streams/wide', `n,${'x'.repeat(70000)}\n1,\n`, { 'content-type': 'text/csv' });
  assert.equal(b.body.type, '/problems/header-too-large', JSON.stringify(b.body));
  await t.stop();
});

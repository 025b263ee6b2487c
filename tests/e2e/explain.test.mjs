// Why this number: a cell of a view leads to the rows it counts and to the
// bytes they came as, in both layers, after cuts, compaction and a restart, and
// for the past.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Tarn, baseSeed, rng, until } from './lib.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '2';
CREATE TABLE doors (door text PRIMARY KEY, floor int) WITH (kind = 'reference');
CREATE TABLE badge (id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, door text, direction text NOT NULL CHECK (direction IN ('in', 'out')))
  WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE MATERIALIZED VIEW visits AS SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits, count(DISTINCT id) AS ids
  FROM badge WHERE direction = 'in' GROUP BY office, hour;
CREATE MATERIALIZED VIEW floors AS SELECT d.floor, ts::date AS day, count(*) AS n FROM badge b JOIN doors d ON d.door = b.door GROUP BY 1, 2;`;

const offices = ['berlin', 'ulm "x"', 'köln'];

test('a cell leads to its rows and their bytes', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const r = rng(baseSeed);
  console.log(`seed ${baseSeed}`);
  const sent = new Map();                      // id -> line
  let next = 0;
  const get = async (path) => (await t.call('GET', path)).body;
  const post = async (n) => {
    const lines = [];
    for (let i = 0; i < n; i++) {
      const id = r.chance(0.1) && next > 0 ? `e${r.below(next)}` : `e${next++}`;
      const e = { id, ts: new Date(Date.UTC(2026, 2, 1 + r.below(3), r.below(4), r.below(60))).toISOString(), office: r.pick(offices), door: r.pick(['a', 'b', null]),
        direction: r.pick(['in', 'in', 'out', 'sideways']), extra: '☃'.repeat(r.below(3)) };
      const line = JSON.stringify(e);
      if (!sent.has(id) && e.direction !== 'sideways') sent.set(id, { e, line });
      lines.push(line);
    }
    const a = await t.call('POST', '/api/v1/streams/badge', lines.join('\n'), { 'content-type': 'application/x-ndjson' });
    assert.equal(a.status, 200);
    return a.body.lsn;
  };
  const hour = (e) => new Date(Math.floor(Date.parse(e.ts) / 3600000) * 3600000).toISOString();
  const check = async (ids, query = '') => {
    await t.settled();
    const cells = (await get(`/api/v1/views/visits${query === '' ? '' : `?${query}`}`)).rows;
    assert.ok(cells.length > 0);
    for (const cell of cells.filter(() => r.chance(0.3))) {
      const [office, h, visits] = cell;
      const x = await get(`/api/v1/views/visits/explain?office=${encodeURIComponent(office)}&hour=${encodeURIComponent(h)}&limit=1000${query === '' ? '' : `&${query}`}`);
      assert.deepEqual(x.merged, [cell]);
      assert.equal(x.truncated, false);
      assert.equal(x.rows.length, visits);
      if (query === '') {
        const n = (rows) => (rows.length > 0 ? rows[0][2] : 0);
        assert.equal(n(x.batch) + n(x.speed), visits);
        assert.ok(x.gold.length > 0 || x.batch.length === 0);
        for (const g of x.gold) assert.ok(g.run > 0 && g.version === x.version && g.lsn <= x.batch_lsn);
      }
      const want = ids.map((id) => sent.get(id)).filter(({ e }) => e.office === office && e.direction === 'in' && Date.parse(hour(e)) === Date.parse(h));
      assert.deepEqual(x.rows.map((w) => w.raw).sort(), want.map((w) => w.line).sort());
      for (const w of x.rows) {
        assert.equal(w.status, 'accepted');
        assert.ok(w.lsn > 0 && w.source.includes('http') && w.received_at.endsWith('Z'));
        assert.equal(w.values[x.stream_columns.indexOf('id')], JSON.parse(w.raw).id);
      }
    }
  };
  await t.call('POST', '/api/v1/streams/doors', '{"door":"a","floor":1}', { 'content-type': 'application/json' });
  await post(200);
  await check([...sent.keys()]);                                  // All in the log.
  await t.cut();
  await check([...sent.keys()]);                                  // All in files.
  const then = await post(150), idsThen = [...sent.keys()];
  await check([...sent.keys()]);                                  // In both.
  for (let i = 0; i < 4; i++) {
    await post(60);
    await t.cut();
  }
  await until(async () => (await get('/api/v1/runs')).runs.some((x) => x.kind === 'compact'));
  await check([...sent.keys()]);
  await check(idsThen, `as_of=${then}`);
  const floors = await get('/api/v1/views/floors/explain?floor=1&limit=1000');
  assert.equal(floors.rows.length, [...sent.values()].filter(({ e }) => e.door === 'a').length);
  assert.equal(floors.rows.length, floors.merged.reduce((a, x) => a + x[2], 0));
  const some = await get('/api/v1/views/visits/explain?office=berlin&limit=3');
  assert.equal(some.truncated, true);
  assert.equal(some.rows.length, 3);
  assert.ok(some.rows[0].offset > some.rows[1].offset, 'newest first');
  const none = await get('/api/v1/views/visits/explain?office=nowhere');
  assert.deepEqual([none.merged, none.rows, none.truncated], [[], [], false]);
  const bad = await t.call('GET', '/api/v1/views/visits/explain?city=x');
  assert.equal(bad.status, 400);
  assert.match(bad.body.detail, /cannot be filtered by "city"/);
  assert.equal((await t.call('GET', '/api/v1/views/nothing/explain')).status, 404);
  await t.stop();
  await t.start();
  await check([...sent.keys()]);
  await t.stop();
});

test('a row that cannot be computed is in the null group, which can be asked for; values are not rounded', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: `
CREATE TABLE ev (k text, v int, p numeric(20,4));
CREATE MATERIALIZED VIEW q AS SELECT 100 / v AS x, count(*) AS n FROM ev GROUP BY 1;
CREATE MATERIALIZED VIEW g AS SELECT k, p, count(*) AS n FROM ev WHERE 100 / v > 0 GROUP BY 1, 2;
CREATE MATERIALIZED VIEW odd AS SELECT k AS status, v AS "limit", count(*) AS n FROM ev GROUP BY 1, 2;` }).start();
  const rows = [['a', 50, '1.5'], ['a', 0, '1.5'], [null, 50, '2'], ['null', 20, '1.5'], ['', 10, null]];
  await t.post('ev', rows.map(([k, v, p]) => JSON.stringify({ k, v, p })).join('\n'));
  const why = async (q) => {
    const a = await t.ok('GET', `/api/v1/views/${q}`);
    assert.equal(a.rows.length, a.merged.reduce((s, x) => s + Number(x.at(-1)), 0), q);
    return a.rows.map((x) => x.values);
  };
  const seen = async (q) => (await t.ok('GET', `/api/v1/views/${q}`)).rows.map((x) => x.slice(0, -1));
  for (const layer of ['tail', 'gold']) {
    await t.settled();
    assert.deepEqual(await why('q/explain?x=2'), [[null, 50, 2], ['a', 50, 1.5]], layer);
    assert.deepEqual(await why('q/explain?null=x'), [['a', 0, 1.5]]);
    assert.deepEqual(await why('q/explain?x=null'), [['a', 0, 1.5]]);
    assert.deepEqual(await why('g/explain?null=k'), [[null, 50, 2]]);
    assert.deepEqual(await why('g/explain?k=null'), [['null', 20, 1.5]]);
    assert.deepEqual(await why('g/explain?k='), [['', 10, null]]);
    assert.deepEqual(await why('g/explain?null=p&k='), [['', 10, null]]);
    assert.deepEqual(await why('g/explain?p=1.5'), [['null', 20, 1.5], ['a', 50, 1.5]]);
    for (const p of ['1.5', '1.5000', '1.50000', '15e-1', '0001.500000000000000000000'])
      assert.equal((await seen(`g?p=${p}`)).length, 2, p);
    for (const p of ['1.50001', '1.49996', '1.500000000000000000001', '9999999999999999.00001', '150001e-5']) {
      assert.deepEqual(await seen(`g?p=${p}`), [], p);
      assert.deepEqual(await why(`g/explain?p=${p}`), []);
    }
    assert.deepEqual(await seen('g?null=p'), [['', null]]);
    // Columns that are named like parameters.
    assert.equal((await seen('odd?limit=2')).length, 2);
    assert.equal((await t.call('GET', '/api/v1/views/odd?limit=0')).status, 400);
    assert.deepEqual(await seen('odd?column.limit=20'), [['null', 20]]);
    assert.deepEqual(await seen('odd?limit=1&column.limit=50&status=a'), [['a', 50]]);
    assert.deepEqual(await seen('odd?null=column.status'), [[null, 50]]);
    assert.deepEqual(await why('odd/explain?column.limit=20'), [['null', 20, 1.5]]);
    assert.match((await t.call('GET', '/api/v1/views/odd?column.x=1')).body.hint, /column\.limit=/);
    const bad = await t.call('GET', '/api/v1/views/q?x=y');
    assert.deepEqual([bad.status, bad.body.hint], [400, 'its type is integer; null=x is for the rows that have none']);
    assert.equal((await t.call('GET', '/api/v1/views/q?null=y')).status, 400);
    await t.cut();
  }
  await t.stop();
});

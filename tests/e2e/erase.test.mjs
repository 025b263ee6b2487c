// Erasure of rows: DELETE FROM stream WHERE ... After the answer no reader of
// any door sees the rows, no file of the data folder has their bytes, what is
// made of the others is what they give, and verify finds nothing to complain
// of; also after restart, recompute, apply, compaction, another cut, restore of
// a backup, and after a death at every step of it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, command, tempDir, until, within } from './lib.mjs';
import { iceberg } from './tables/readers.mjs';

const canary = 'kanarienvogel';
const views = (more = '') => `
CREATE MATERIALIZED VIEW hourly AS SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits, count(DISTINCT employee_id) AS people,
  last(employee_id, ts) AS who, min(employee_id) AS first_name, percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS median FROM badge GROUP BY office, hour;
CREATE MATERIALIZED VIEW persons AS SELECT employee_id, count(*) AS visits, sum(n) AS total${more} FROM badge GROUP BY employee_id;
CREATE MATERIALIZED VIEW others AS SELECT date_trunc('day', ts) AS d, count(*) AS c FROM other GROUP BY d;`;
const sql = (more, settings = {}) => `
${Object.entries({ cut_interval: '1 hour', snapshot_keep: '1 hour', young_files_max: '4', log_segment_bytes: '16 MiB', ...settings }).map(([k, v]) => `ALTER SYSTEM SET ${k} = '${v}';`).join('\n')}
CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, employee_id text NOT NULL, n int NOT NULL CHECK (n < 1000))
  WITH (event_time = 'ts', max_future_skew = '36500 days', dedupe_window = '36500 days');
CREATE TABLE other (id text PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts', max_future_skew = '0');
CREATE TABLE employees (employee_id text PRIMARY KEY, team text) WITH (kind = 'reference');
${views(more)}`;

const day = (d, h = 8) => `2026-03-0${d}T0${h}:10:00Z`;
let made = 0;
const row = (o) => ({ event_id: `e${made++}`, ts: day(1), office: 'berlin', employee_id: 'e1', n: made % 7, ...o });
const lines = (rows) => rows.map((r) => JSON.stringify(r)).join('\n');

/** Files below a folder, also through links, that have a text in them. */
function grep(dir, text, at = '') {
  return readdirSync(join(dir, at)).flatMap((n) => {
    const path = at ? `${at}/${n}` : n, s = statSync(join(dir, path), { throwIfNoEntry: false });
    if (!s) return [];
    if (s.isDirectory()) return grep(dir, text, path);
    try { return readFileSync(join(dir, path)).includes(text) ? [path] : []; } catch { return []; }   // It goes just now.
  });
}

class Office {
  constructor(o = {}) {
    this.o = o;
    this.t = new Tarn({ sql: sql('', o.settings), env: o.env, data: o.data });
    this.rows = [];
    this.cold = o.cold;
  }

  erase(where, stream = 'badge') { return this.t.call('POST', '/api/v1/sql', `DELETE FROM ${stream} WHERE ${where}`, { 'content-type': 'application/sql' }); }

  async post(rows) {
    this.rows.push(...rows);
    return this.t.post('badge', lines(rows));
  }

  /** Three days, cut after each; the canary on two of them, a duplicate, a row that a CHECK refuses, rows in the tail. */
  async fill() {
    for (const d of [1, 2, 3]) {
      await this.post([...Array(20).keys()].map((i) => row({ ts: day(d, i % 9), office: ['berlin', 'paris'][i % 2], employee_id: `e${i % 5}` })));
      await this.t.post('other', lines([{ id: `o${d}`, ts: day(d) }]));
      if (d !== 2) {
        const mine = [row({ ts: day(d, 3), employee_id: canary }), row({ ts: day(d, 4), employee_id: canary })];
        await this.t.post('badge', lines(mine));
        this.first ??= mine[0];
        await this.t.post('badge', lines([mine[0], { ...row({ employee_id: canary }), n: 5000 }]));
      }
      if (d < 3) await this.t.cut();
    }
    this.lsn = (await this.t.ok('GET', '/api/v1/status')).log.last;
  }

  /** What every door says when the canary is gone. */
  async check(where) {
    const { t } = this, n = this.rows.length, people = new Set(this.rows.map((r) => r.employee_id));
    await t.settled();
    assert.equal(people.has(canary), false);
    const status = await t.ok('GET', '/api/v1/status');
    assert.deepEqual(await t.sql('SELECT count(*) AS c, sum(n) AS s FROM badge'), [{ c: n, s: this.rows.reduce((a, r) => a + r.n, 0) }], where);
    assert.deepEqual((await t.sql('SELECT employee_id FROM badge')).filter((r) => r.employee_id === canary), [], where);
    const persons = await t.view('persons');
    assert.deepEqual(persons.map((r) => r.employee_id).sort(), [...people].sort(), where);
    for (const p of persons) assert.equal(p.visits, this.rows.filter((r) => r.employee_id === p.employee_id).length, where);
    const hourly = await t.view('hourly');
    assert.equal(hourly.reduce((a, r) => a + r.visits, 0), n, where);
    // LSNs of the past: the rows up to it that are left, and views of them.
    for (let lsn = 1; lsn <= status.log.last; lsn += Math.ceil(status.log.last / 16)) {
      const rows = await t.sql(`SELECT employee_id FROM as_of('badge', ${lsn})`);
      assert.ok(!rows.some((r) => r.employee_id === canary), `${where}: as of ${lsn}`);
      for (const v of ['hourly', 'persons']) {
        const a = await t.ok('GET', `/api/v1/views/${v}?as_of=${lsn}`), at = a.columns.indexOf('visits');
        assert.equal(a.rows.reduce((s, r) => s + r[at], 0), rows.length, `${where}: ${v} as of ${lsn}`);
        assert.ok(!JSON.stringify(a).includes(canary), `${where}: ${v} as of ${lsn}`);
      }
    }
    for (const path of ['/api/v1/quarantine/badge', '/api/v1/streams/badge/recent', '/api/v1/runs?limit=100', '/api/v1/snapshots', '/api/v1/views/persons/explain', '/api/v1/views/hourly/explain',
      '/api/v1/views/persons?as_of=now-1s', '/api/v1/corrections?view=persons', '/api/v1/corrections?view=hourly']) {
      const a = await t.call('GET', path);
      assert.ok(!JSON.stringify(a.body).includes(canary), `${where}: ${path}`);
    }
    const v = await t.verify();
    assert.ok(v.equal, `${where}: ${v.text}`);
    assert.deepEqual(grep(t.data, canary), [], `${where}: bytes are left`);
    return v;
  }

  /** Packed bytes, too, by the eyes of a foreign reader; and nothing else lies in the lake. */
  async foreign(where, kept = false) {
    const base = `file://${this.t.data}/lake`;
    for (const table of ['silver/badge', 'bronze/badge', 'gold/persons', 'gold/hourly']) {
      const m = await iceberg.metadata(base, table), rows = await iceberg.rows(base, table, m);
      assert.ok(!JSON.stringify(rows, (k, x) => (typeof x === 'bigint' ? String(x) : x instanceof Uint8Array ? Buffer.from(x).toString('latin1') : x)).includes(canary), `${where}: ${table}`);
      if (table === 'silver/badge') assert.equal(rows.length, this.rows.length, where);
    }
    // Nothing on the disk but what the catalog names now, unless a cut has dropped others since.
    if (kept) return;
    const named = (await this.t.ok('GET', '/api/v1/files')).files.map((f) => f.path).sort();
    const disk = readdirSync(join(this.t.data, 'lake'), { recursive: true }).filter((f) => f.endsWith('.parquet') && !f.includes('_delta_log')).sort();
    assert.deepEqual(disk, named.filter((f) => f.endsWith('.parquet')), where);
  }
}


const mine = `employee_id = '${canary}'`;
const said = (a) => Object.fromEntries(a.body.columns.map((c, i) => [c, a.body.rows[0][i]]));

test('the rows are gone from every door and every file, and stay away', { timeout: 600e3 }, async () => {
  const o = new Office(), { t } = o;
  await t.start();
  await o.fill();
  assert.ok(grep(t.data, canary).length > 0, 'the canary is there before');
  // Who listens hears that rows are gone, too.
  const live = await t.fetch('/api/v1/views/persons/live'), heard = [], reader = live.body.getReader();
  const listen = (async () => { for (;;) { const { done, value } = await reader.read().catch(() => ({ done: true })); if (done) return; heard.push(Buffer.from(value).toString()); } })();
  const snapshots = () => heard.join('').split('\n').filter((x) => x.includes('"type":"snapshot"'));
  await until(() => snapshots().length === 1);
  assert.ok(snapshots()[0].includes(canary));
  const a = await o.erase(mine);
  assert.equal(a.status, 200, JSON.stringify(a.body));
  await until(() => snapshots().length === 2);
  assert.ok(!snapshots()[1].includes(canary) && snapshots()[1].includes('"e1"'));
  await reader.cancel();
  await listen;
  assert.equal(said(a).rows, 4);
  assert.match(said(a).detail, /^4 rows of badge erased, 2 quarantined and 2 duplicates with them; \d+ files became \d+; hourly: 60 rows anew into 3 files; persons: 60 rows anew/);
  const run = (await t.ok('GET', '/api/v1/runs')).runs.find((r) => r.id === said(a).run);
  assert.deepEqual([run.kind, run.object, run.state, run.rows], ['erase', 'badge', 'done', 4]);
  assert.match(t.err, /run \d+: 4 rows of badge erased/);
  assert.match((await o.check('after')).text, /stream badge: bronze 68 = silver 60 \+ quarantined 0 \+ duplicates 0 \+ erased 8/);
  await o.foreign('after');
  // Their places stay: offsets and LSNs are dense; bronze says that they were erased, and no more.
  const fates = (await t.ok('GET', '/api/v1/streams/badge/recent?limit=1000')).rows;
  assert.equal(fates.length, 68);
  assert.deepEqual(fates.map((r) => r.offset), [...Array(68).keys()].reverse());
  for (const r of fates.filter((x) => x.status === 'erased')) assert.deepEqual([r.source, r.line, r.code, r.column, r.reason, r.raw], ['', null, null, null, null, ''], JSON.stringify(r));
  // The id is a duplicate for as long as the window remembers it: nothing of it is taken, but its bytes are raw bytes again.
  const again = await t.post('badge', lines([o.first]));
  assert.deepEqual([again.accepted, again.duplicates], [0, 1]);
  assert.equal(said(await o.erase(mine)).detail, '0 rows of badge erased, 0 quarantined and 1 duplicates with them; 1 files became 1');
  await o.check('sent again');
  assert.equal(said(await o.erase(mine)).detail, '0 rows of badge erased, 0 quarantined and 0 duplicates with them; 0 files became 0');
  // Whatever makes files anew makes them without the rows.
  for (const v of ['hourly', 'persons']) await t.recompute(v);
  await o.check('recomputed');
  await o.post([row({ ts: day(1, 3) }), row({ ts: day(3, 3) })]);
  await t.cut();
  await t.ok('POST', '/api/v1/sql', 'CALL compact()', { 'content-type': 'application/sql' });
  await until(async () => (await t.ok('GET', '/api/v1/files?tier=bronze&table=badge')).files.length === 1, 20000);
  await o.check('compacted');
  await t.restart('kill');
  await o.check('killed');
  const dest = join(tempDir('dest'), 'b'), data = join(tempDir('restored'), 'd');
  await t.ok('POST', '/api/v1/sql', `CALL backup('${dest}')`, { 'content-type': 'application/sql' });
  assert.equal((await command(['restore', dest, '--data', data])).code, 0);
  assert.deepEqual(grep(dest, canary), []);
  // Another definition of a view, beside; then of the table: silver from bronze.
  writeFileSync(join(t.config, 'pipeline.sql'), sql(', max(n) AS most'));
  await t.ok('POST', '/api/v1/apply');
  await o.check('applied');
  writeFileSync(join(t.config, 'pipeline.sql'), sql(', max(n) AS most').replace('n int NOT NULL', 'note text, n bigint NOT NULL'));
  await t.restart();
  await o.check('another table');
  await o.foreign('another table', true);
  await t.stop();
  const r = new Office({ data });
  r.rows = o.rows;
  await r.t.start();
  await r.check('restored');
  await r.t.stop();
});

test('what is refused, and who may not', { timeout: 600e3 }, async () => {
  const o = new Office(), { t } = o;
  await t.start();
  await o.fill();
  const refused = async (text, type, hint) => {
    const a = await t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' });
    assert.ok(a.status >= 400 && a.status < 500, `${text}: ${a.status}`);
    assert.equal(a.body.type, `/problems/${type}`, `${text}: ${JSON.stringify(a.body)}`);
    assert.match(JSON.stringify(a.body), hint, text);
  };
  await refused('DELETE FROM persons WHERE true', 'unsupported', /Erase the rows that it is made of/);
  await refused("DELETE FROM employees WHERE employee_id = 'e1'", 'unsupported', /Post the row again/);
  await refused('DELETE FROM objects WHERE true', 'unsupported', /DELETE \/api\/v1\/objects/);
  await refused("DELETE FROM as_of('badge', 3) WHERE true", 'syntax', /not of the past/);
  await refused('DELETE FROM badge', 'missing-where', /WHERE true erases every row/);
  await refused('DELETE FROM badge USING other WHERE true', 'unsupported', /own columns/);
  await refused('DELETE FROM badge WHERE true RETURNING *', 'unsupported', /SELECT the rows before/);
  await refused('DELETE FROM quarantine WHERE true', 'unknown-table', /relation/);
  await refused("DELETE FROM badge WHERE employe_id = 'e1'", 'unknown-column', /employee_id/);
  await refused('DELETE FROM badge WHERE n', 'type-mismatch', /bool/);
  await refused('DELETE FROM badge WHERE count(*) > 1', 'unsupported', /WHERE/).catch((e) => assert.match(e.message, /aggregate|problems/));
  await refused('DELETE FROM badge WHERE true; DELETE FROM other WHERE true', 'unsupported', /one DELETE at a time/);
  assert.equal((await t.sql('SELECT count(*) AS c FROM badge'))[0].c, 64);
  // tarn sql has it, too.
  const c = await command(['sql', `DELETE FROM badge WHERE ${mine} AND ts < '2026-03-02'`, '--url', t.url]);
  assert.equal(c.code, 0, c.err);
  assert.match(c.out, /2 rows of badge erased/);
  assert.ok((await t.verify()).equal);
  // Where people log in, only an admin may.
  const word = join(tempDir('word'), 'password');
  writeFileSync(word, 'a long password');
  t.o.env = { TARN_ADMIN_PASSWORD_FILE: word };
  await t.restart();
  const json = { 'content-type': 'application/json', origin: t.url };
  const cookie = (await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'a long password' }), json)).headers.get('set-cookie').split(';')[0];
  const as = async (scope) => {
    const { token } = await t.ok('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { ...json, cookie });
    return (await t.call('POST', '/api/v1/sql', ` -- mine\n delete from badge where ${mine}`, { 'content-type': 'application/sql', authorization: `Bearer ${token}` })).status;
  };
  assert.deepEqual([await as('read'), await as('ingest'), await as('admin')], [403, 403, 200]);
  await t.stop();
});

test('conditions: by arrival a duplicate goes with its event; every row; refused ones that cannot be read', { timeout: 600e3 }, async () => {
  const o = new Office(), { t } = o;
  await t.start();
  await o.fill();
  const [{ off }] = await t.sql(`SELECT min(_offset) AS off FROM badge WHERE ${mine}`);
  assert.equal(said(await o.erase(`_offset = ${off}`)).detail.slice(0, 65), '1 rows of badge erased, 0 quarantined and 1 duplicates with them;');
  assert.equal(said(await o.erase(`_received_at <= now() AND ${mine} AND _offset >= 0`)).rows, 3);
  await o.check('by arrival');
  await t.post('badge', `{"event_id":"bad","employee_id":"${canary}","n":"nothing"}\n{broken ${canary}\n`);
  await t.cut();
  assert.equal(said(await o.erase(mine)).rows, 0);
  assert.equal((await t.ok('GET', '/api/v1/quarantine/badge')).rows.length, 2, 'what cannot be read has no values');
  assert.equal(said(await o.erase(`${mine} OR employee_id IS NULL`)).detail.slice(0, 60), '0 rows of badge erased, 2 quarantined and 0 duplicates with ');
  await o.check('refused rows');
  assert.equal(said(await o.erase('true')).rows, 60);
  assert.deepEqual(await t.view('persons'), []);
  assert.equal((await t.sql('SELECT count(*) AS c FROM badge'))[0].c, 0);
  assert.ok((await t.verify()).equal);
  assert.deepEqual(await t.view('others'), [1, 2, 3].map((d) => ({ d: `2026-03-0${d}T00:00:00Z`, c: 1 })));
  o.rows = [];
  await o.post([row({}), row({ ts: day(2) })]);
  await o.check('all gone, and two more');
  await t.stop();
});

test('events go on coming in, and are all there', { timeout: 600e3 }, async () => {
  const o = new Office({ settings: { cut_interval: '1 s' } }), { t } = o;
  await t.start();
  await o.fill();
  let on = true, sent = 0;
  const pump = (async () => { while (on) { await o.post([row({ ts: day(1 + sent % 3) }), row({ employee_id: `e${sent % 9}` })]); sent++; } })();
  for (let i = 0; i < 5 || sent <= 5; i++) {
    await t.post('badge', lines([row({ employee_id: canary, ts: day(1 + i % 3) })]));
    assert.equal((await o.erase(mine)).status, 200);
    assert.deepEqual(await t.sql(`SELECT * FROM badge WHERE ${mine}`), []);
  }
  on = false;
  await pump;
  await o.check('with others coming in');
  await t.stop();
});

test('a backup under way keeps the log: then it is refused', { timeout: 600e3 }, async () => {
  const o = new Office(), { t } = o;
  await t.start();
  await o.fill();
  const backup = t.ok('POST', '/api/v1/sql', `CALL backup('${join(tempDir('dest'), 'b')}')`, { 'content-type': 'application/sql' });
  const a = await o.erase(mine);
  assert.ok(a.status === 200 || a.body.type === '/problems/log-kept', JSON.stringify(a.body));
  await backup;
  if (a.status !== 200) assert.equal((await o.erase(mine)).status, 200);
  await o.check('after a backup');
  await t.stop();
});

test('old files in a cold folder go, too', { timeout: 600e3 }, async () => {
  const cold = tempDir('cold'), o = new Office({ settings: { cold_folder: cold, cold_after: '1 s' } }), { t } = o;
  await t.start();
  await o.fill();
  await t.cut();
  await t.ok('POST', '/api/v1/sql', 'CALL compact()', { 'content-type': 'application/sql' });
  await until(async () => (await t.ok('GET', '/api/v1/files?tier=silver&table=badge')).files.some((f) => f.path.includes('/cold-')), 20000);
  assert.equal((await o.erase(mine)).status, 200);
  await o.check('cold');
  assert.ok((await t.ok('GET', '/api/v1/files?tier=silver&table=badge')).files.some((f) => f.path.includes('/cold-')));
  assert.deepEqual(grep(cold, canary), []);
  await t.stop();
});

test('rows that retention has taken: their numbers stay, the rest goes', { timeout: 600e3 }, async () => {
  const text = sql().replace("event_time = 'ts',", "event_time = 'ts', retention = '10 days', bronze_retention = '36500 days',");
  const o = new Office(), { t } = o, ago = (d) => new Date(Date.now() - d * 86400e3).toISOString();
  writeFileSync(join(t.config, 'pipeline.sql'), text.replace("ALTER SYSTEM SET cut", "ALTER SYSTEM SET retention_wait = '0'; ALTER SYSTEM SET cut"));
  await t.start();
  await t.post('badge', lines([row({ ts: ago(20), employee_id: canary }), row({ ts: ago(20) }), row({ ts: ago(2), employee_id: canary }), row({ ts: ago(2) })]));
  await t.cut();
  await until(async () => { await t.cut(); return (await t.sql('SELECT count(*) AS c FROM badge'))[0].c === 2; });
  const a = await o.erase(mine);
  assert.equal(said(a).rows, 1, JSON.stringify(a.body));
  assert.match(said(a).detail, /persons keeps its numbers: retention has taken rows that they count/);
  const hours = await t.view('hourly');
  assert.deepEqual(hours.map((h) => h.visits).sort(), [1, 2], 'the old hour counts both, the other one is made anew');
  assert.ok((await t.verify()).equal);
  assert.ok(!(await t.sql('SELECT * FROM badge')).some((r) => r.employee_id === canary));
  await t.stop();
});

const points = ['erase_rolled', 'erase_cut', 'erase_bronze', 'erase_silver', 'erase_gold', 'erase_unprepared', 'publish_before', 'publish_after', 'erase_published', 'erase_expired',
  'erase_forgotten', 'collect_unlinked:3', 'erase_collected', 'erase_renewed', 'publish_before:2', 'publish_after:2'];
if (process.env.SOAK) points.push('erase_bronze:2', 'erase_silver:2', 'erase_gold:2', 'table_after', 'table_removed', 'table_metadata', 'table_delta', 'log_trimmed', 'log_segment_filled', 'log_segment_named');

test(`killed at ${points.length} steps: the rows are there, all of them, or gone for good`, { timeout: 600e3 }, async () => {
  const one = async (point) => {
    const o = new Office(), { t } = o;
    await t.start();
    await o.fill();
    await t.cut();
    await t.kill();
    t.o.env = { TARN_CRASH: point };
    await t.start();
    // Another step may be met on the way there: the statement is sent until the process dies.
    await o.erase(mine).then(() => null, () => null);
    await within(t.ended, 5000);
    assert.equal(t.exit?.signal, 'SIGKILL', `${point} was not reached`);
    t.o.env = {};
    await t.start();
    const left = await t.sql(`SELECT * FROM badge WHERE ${mine}`);
    assert.ok([0, 4].includes(left.length), `${point}: ${left.length} rows are left`);
    const before = /rolled|unprepared|cut|bronze|silver|gold|before$|log_/.test(point);
    assert.equal(left.length, before ? 4 : 0, point);
    assert.ok((await t.verify()).equal, point);
    if (before) assert.equal((await o.erase(mine)).status, 200, point);
    else await until(async () => grep(t.data, canary).length === 0, 10000).catch(() => assert.deepEqual(grep(t.data, canary), [], point));
    await o.check(point);
    // A compaction of the living process ends by itself; a dead run would not.
    await until(async () => (await t.ok('GET', '/api/v1/runs?limit=50')).runs.every((r) => r.state !== 'running'));
    await o.foreign(point);
    await t.stop();
  };
  const lane = async (k) => { for (let i = k; i < points.length; i += 3) await one(points[i]); };
  await Promise.all([lane(0), lane(1), lane(2)]);
});

// Goal: a condition that fails for some rows does not look like one that no row meets.
test('rows that the condition cannot be computed for stay, and the answer says so', async () => {
  const t = await new Tarn({ sql: "CREATE TABLE s (k text, v int, ts timestamptz NOT NULL) WITH (event_time = 'ts');" }).start();
  const say = async (where) => (await t.ok('POST', '/api/v1/sql', `DELETE FROM s WHERE ${where}`, { 'content-type': 'application/sql' })).rows[0].at(-1);
  await t.post('s', lines([0, 0, 1, 2].map((v) => ({ k: `e${v}`, v, ts: day(1) }))));
  assert.match(await say("k ~ '(e1'"), /^0 rows of s erased.*; 4 rows stay, as the condition fails for them: .*parenthes/);
  assert.match(await say('v = 2 OR 1 / v > 0'), /^2 rows of s erased.*; 2 rows stay, as the condition fails for them: division by zero/);
  assert.doesNotMatch(await say("k = 'e0'"), /stay/);
  assert.deepEqual(await t.sql('SELECT v FROM s'), []);
  await t.stop();
});

/* Goal: ALTER SYSTEM SET over the SQL door changes when batch does what, at
 * once, before the configuration and over a restart, until RESET; what is no
 * value is refused and changes nothing; GET /api/v1/schedule says what comes
 * when, also as if a setting had another value. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, tempDir, until } from './lib.mjs';

const sql = `ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE badge (id text PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts', max_future_skew = '40000 days', retention = '30000 days');
CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS day, count(*) AS n FROM badge GROUP BY day;`;
let t;
test.before(async () => { t = await new Tarn({ sql, env: { TZ: 'Asia/Tokyo' } }).start(); });
test.after(() => t?.stop());

const alter = (text, headers = {}) => t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql', ...headers });
const schedules = (query = '') => t.ok('GET', '/api/v1/schedule' + query).then((d) => d.schedules);
const of = async (name) => (await schedules()).find((s) => s.name === name);
const times = (s) => s.next.map((x) => Date.parse(x));
const steps = (s) => times(s).slice(1).map((x, i) => x - times(s)[i]);
const setting = async (name) => (await t.ok('GET', '/api/v1/settings')).settings.find((s) => s.name === name).value;
const near = (a, b) => assert.ok(Math.abs(a - b) < 60000, `${a} and ${b}`);

test('what comes when, and where each setting comes from', async () => {
  const cut = await of('cut_interval');
  assert.deepEqual([cut.value, cut.configured, cut.default, cut.source, cut.set_at, cut.editable], ['1 hour', '1 hour', '60 s', 'configuration', null, true]);
  assert.deepEqual(steps(cut), Array(4).fill(3600e3));
  near(times(cut)[0], Date.now() + 3600e3);
  const inbox = await of('inbox_scan_interval');
  assert.deepEqual([inbox.source, inbox.next.length, steps(inbox)], ['default', 5, Array(4).fill(60e3)]);
  assert.equal(await of('cold_after'), undefined, 'there is no cold folder');
  assert.deepEqual((await of('cut_rows')).next, []);
});

test('the site has a time zone: of the setting, else of the machine', async () => {
  assert.equal((await t.ok('GET', '/api/v1/status')).time_zone, 'Asia/Tokyo');
  const own = await new Tarn({ sql: sql.replace("SET cut_interval = '1 hour'", "SET time_zone = 'Europe/Berlin'") }).start();
  assert.equal((await own.ok('GET', '/api/v1/status')).time_zone, 'Europe/Berlin');
  await own.stop();
  await assert.rejects(new Tarn({ sql: "ALTER SYSTEM SET time_zone = 'Middle/Earth';" }).start(), /no time zone/);
});

test('a value that is asked for is told as if it were so, and changes nothing', async () => {
  const [s] = await schedules('?name=cut_interval&value=' + encodeURIComponent('90 min'));
  assert.deepEqual(steps(s), Array(4).fill(5400e3));
  near(times(s)[0], Date.now() + 5400e3);
  for (const [query, status, word] of [['?name=cut_interval&value=0', 400, /"0" is no value|between/], ['?name=cut_interval&value=soon', 400, /"soon" is no value for cut_interval/],
    ['?name=cut_interval&value=1%20ms', 400, /between 1000 ms and 86400000 ms/], ['?name=http_listen&value=x', 400, /no setting that can change/], ['?name=cut_interval', 400, /belong together/]]) {
    const r = await t.call('GET', '/api/v1/schedule' + query);
    assert.equal(r.status, status, query);
    assert.match(r.body.detail, word);
  }
  assert.equal((await of('cut_interval')).value, '1 hour');
});

test('SET is in force at once: the timer cuts by it; RESET brings the configuration back', async () => {
  const r = await alter("ALTER SYSTEM SET cut_interval = '1 s'");
  assert.equal(r.status, 200, JSON.stringify(r.body));
  assert.match(r.body.rows[0][r.body.columns.indexOf('detail')], /^cut_interval is '1 s' from now on and at later starts; it was '1 hour'\. The configuration's '1 hour' comes back with ALTER SYSTEM RESET cut_interval$/);
  await t.post('badge', '{"id":"a","ts":"2026-03-01T08:00:00Z"}');
  await until(async () => (await t.ok('GET', '/api/v1/runs')).runs.some((x) => x.kind === 'cut' && x.reason === 'timer' && x.state === 'done'));
  const cut = await of('cut_interval');
  assert.deepEqual([cut.value, cut.configured, cut.source], ['1 s', '1 hour', 'alter system']);
  near(Date.parse(cut.set_at), Date.now());
  assert.equal(await setting('cut_interval'), '1 s');
  const metrics = await (await t.fetch('/metrics')).text();
  assert.match(metrics, /tarn_setting\{name="cut_interval",value="1 s"\} 1/);
  assert.doesNotMatch(metrics, /tarn_setting\{name="cut_interval",value="1 hour"\} 1/);
  assert.match((await alter('ALTER SYSTEM RESET cut_interval')).body.rows[0][2], /is '1 hour' again, as the configuration says; it was '1 s'/);
  assert.deepEqual([(await of('cut_interval')).source, await setting('cut_interval')], ['configuration', '1 hour']);
  assert.deepEqual(steps(await of('cut_interval')), Array(4).fill(3600e3));
});

test('what a person set goes before the files at later starts, also when those change', async () => {
  assert.equal((await alter("ALTER SYSTEM SET cut_interval = '2 hours'")).status, 200);
  assert.equal((await alter("ALTER SYSTEM SET inbox_scan_interval TO '5 min'")).status, 200);
  assert.deepEqual(steps(await of('inbox_scan_interval')), Array(4).fill(300e3));
  writeFileSync(join(t.config, 'pipeline.sql'), sql.replace("'1 hour'", "'3 hours'"));
  await t.restart('kill');
  assert.match(t.out + t.err, /cut_interval is '2 hours', set by ALTER SYSTEM; before the configuration's '3 hours'/);
  const cut = await of('cut_interval');
  assert.deepEqual([cut.value, cut.configured, cut.source], ['2 hours', '3 hours', 'alter system']);
  assert.deepEqual(steps(cut), Array(4).fill(7200e3));
  assert.equal((await alter('ALTER SYSTEM SET cut_interval = DEFAULT')).status, 200);
  await t.restart();
  assert.deepEqual([(await of('cut_interval')).value, (await of('inbox_scan_interval')).value], ['3 hours', '5 min']);
});

test('what is no value, no setting, or read at the start only is refused with what to do', async () => {
  for (const [text, status, word] of [["ALTER SYSTEM SET cut_interval = 'soon'", 400, /"soon" is no value.*write it like '60 s'/], ["ALTER SYSTEM SET cut_interval = '40 days'", 400, /must be between/],
    ["ALTER SYSTEM SET nope = '1'", 400, /no setting "nope"/], ["ALTER SYSTEM SET memory_max = '1 GiB'", 400, /read at the start only.*start Tarn anew/],
    ['ALTER SYSTEM RESET ALL', 400, /not supported/], ['ALTER TABLE badge ADD COLUMN x text', 400, /ALTER SYSTEM/], ["ALTER SYSTEM SET cut_interval = '1 s'; SELECT 1", 400, /not one ALTER SYSTEM/]]) {
    const r = await alter(text);
    assert.equal(r.status, status, `${text}: ${JSON.stringify(r.body)}`);
    assert.match(`${r.body.detail} ${r.body.hint}`, word, text);
  }
  assert.equal((await of('cut_interval')).value, '3 hours');
});

test('only an admin may: a reader sees the times and changes none', async () => {
  const file = join(tempDir('password'), 'word');
  writeFileSync(file, 'correct horse\n');
  const own = await new Tarn({ sql, env: { TARN_ADMIN_PASSWORD_FILE: file } }).start();
  const json = { 'content-type': 'application/json' };
  const login = await own.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse' }), json);
  const cookie = { cookie: login.headers.get('set-cookie').split(';')[0], origin: own.url };
  const { body } = await own.call('POST', '/api/v1/tokens', JSON.stringify({ name: 'reader', scope: 'read' }), { ...json, ...cookie });
  const as = (headers) => own.call('POST', '/api/v1/sql', "ALTER SYSTEM SET cut_interval = '10 s'", { 'content-type': 'application/sql', ...headers });
  const reader = { authorization: `Bearer ${body.token}` };
  assert.equal((await as(reader)).status, 403);
  assert.equal((await own.call('GET', '/api/v1/schedule', undefined, reader)).body.schedules[0].value, '1 hour');
  assert.equal((await as(cookie)).status, 200);
  assert.equal((await own.call('GET', '/api/v1/schedule', undefined, reader)).body.schedules[0].value, '10 s');
  await own.stop();
});

test('snapshots expire by a snapshot_keep that changed; the next five are told, and days that leave with a retention', async () => {
  for (const id of ['b', 'c', 'd']) {
    await t.post('badge', `{"id":"${id}","ts":"2026-03-02T08:00:00Z"}`);
    await t.cut();
  }
  const { snapshots } = await t.ok('GET', '/api/v1/snapshots');
  assert.ok(snapshots.length >= 4);
  const keep = await of('snapshot_keep');
  assert.equal(keep.value, '1 hour');
  const want = snapshots.slice(0, -1).map((s) => Date.parse(s.published_at) + 3600e3).sort((a, b) => a - b).slice(0, 5);
  assert.deepEqual(times(keep), want);
  const retention = await of('retention');
  assert.deepEqual([retention.table, retention.editable, retention.us / 86400e6], ['badge', false, 30000]);
  assert.deepEqual(times(retention).slice(0, 1), [Date.parse('2026-03-02T00:00:00Z') + 30000 * 86400e3]);
  assert.equal((await alter("ALTER SYSTEM SET snapshot_keep = '1 s'")).status, 200);
  let n = 0;
  await until(async () => {
    await t.post('badge', `{"id":"e${n++}","ts":"2026-03-02T09:00:00Z"}`);
    await t.cut();
    return (await t.ok('GET', '/api/v1/snapshots')).snapshots.every((s) => s.sequence > snapshots[0].sequence);
  }, 10000, 300);
});

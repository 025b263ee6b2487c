// Time travel against a real tarn: as_of(L) is the view computed from the
// events up to L, for any L, whatever cuts, compactions, recomputes, rollbacks,
// expiries, restarts and kills came between; readers of the past see no error
// and no change while all of that goes on. SOAK=1: more histories, ten minutes
// of readers.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, patience, rng, tempDir } from './lib.mjs';
import { iceberg } from './tables/readers.mjs';

const soak = process.env.SOAK === '1';
const sql = (keep = '1 hour') => `
ALTER SYSTEM SET snapshot_keep = '${keep}';
ALTER SYSTEM SET young_files_max = '2';
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET holistic_state_bytes = '4 KiB';
CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, person text NOT NULL,
  n int NOT NULL CHECK (n < 1000)) WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE TABLE offices (office text PRIMARY KEY, city text) WITH (kind = 'reference');
CREATE MATERIALIZED VIEW hourly AS SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits,
  count(*) FILTER (WHERE n > 500) AS large, sum(n) AS total, count(DISTINCT person) AS people, min(n) AS least
  FROM badge GROUP BY office, hour;
CREATE MATERIALIZED VIEW cities AS SELECT o.city, count(*) AS visits, last(b.person, b.ts) AS who
  FROM badge b LEFT JOIN offices o ON o.office = b.office GROUP BY o.city;
CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS visits, count(DISTINCT person) AS people,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS median FROM badge;`;

const base = Date.UTC(2026, 2, 1);
const hour = 3600e3;
const iso = (ms) => new Date(ms).toISOString();

/** What was sent and taken, and views computed from it by other means. */
class Model {
  constructor() { this.events = []; this.refs = []; this.ids = new Set(); this.posts = []; this.times = []; this.last = 0; }

  take(rows, lsn) {
    let accepted = 0, quarantined = 0, duplicates = 0;
    for (const r of rows) {
      if (r.n >= 1000) { quarantined++; continue; }
      if (this.ids.has(r.event_id)) { duplicates++; continue; }
      this.ids.add(r.event_id);
      this.events.push({ ...r, lsn, at: this.events.length });
      accepted++;
    }
    return { accepted, quarantined, duplicates };
  }

  upTo(lsn) { return this.events.filter((e) => e.lsn <= lsn); }

  city(office, lsn) {
    let city = null;
    for (const r of this.refs) if (r.lsn <= lsn && r.office === office) city = r.city;
    return city;
  }

  view(name, lsn) {
    const groups = new Map();
    const key = (e) => name === 'hourly' ? JSON.stringify([e.office, Math.floor(e.ms / hour) * hour]) : name === 'cities' ? JSON.stringify(this.city(e.office, e.lsn)) : '';
    if (name === 'whole') groups.set('', []);
    for (const e of this.upTo(lsn)) {
      const k = key(e);
      if (!groups.has(k)) groups.set(k, []);
      groups.get(k).push(e);
    }
    return [...groups].map(([k, es]) => this.row(name, k, es)).sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  }

  row(name, k, es) {
    const people = new Set(es.map((e) => e.person)).size;
    if (name === 'hourly') {
      const [office, ms] = JSON.parse(k);
      return [office, iso(ms).replace('.000Z', 'Z'), es.length, es.filter((e) => e.n > 500).length, es.reduce((s, e) => s + e.n, 0), people, Math.min(...es.map((e) => e.n))];
    }
    if (name === 'cities') {
      let who = es[0];
      for (const e of es) if (e.ms >= who.ms) who = e;
      return [JSON.parse(k), es.length, who.person];
    }
    const s = es.map((e) => e.n).sort((a, b) => a - b), m = (s.length - 1) / 2;
    return [es.length, people, es.length === 0 ? null : (s[Math.floor(m)] + s[Math.ceil(m)]) / 2];
  }
}

const sorted = (rows) => rows.map((r) => r).sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

class History {
  constructor(seed, keep) { this.r = rng(seed); this.m = new Model(); this.t = new Tarn({ sql: sql(keep) }); this.n = 0; }

  async post() {
    const { r, m } = this, rows = [];
    for (let i = 1 + r.below(r.chance(0.2) ? 200 : 8); i > 0; i--) {
      const again = m.ids.size > 0 && r.chance(0.1);
      const ms = base + r.below(r.chance(0.1) ? 200 : 4) * hour + r.below(hour);
      rows.push({ event_id: again ? `e${r.below(this.n)}` : `e${this.n++}`, ms, ts: iso(ms), office: r.pick(['berlin', 'paris', 'rome']), person: `p${r.below(3000)}`, n: r.below(1010) });
    }
    const body = rows.map(({ ms, ...x }) => JSON.stringify(x)).join('\n');
    const a = await this.t.post('badge', body);
    assert.deepEqual({ accepted: a.accepted, quarantined: a.quarantined, duplicates: a.duplicates }, m.take(rows, a.lsn));
    await this.sent('badge', body, a.lsn);
  }

  async refer() {
    const row = { office: this.r.pick(['berlin', 'paris', 'rome']), city: `c${this.r.below(4)}` };
    const a = await this.t.post('offices', JSON.stringify(row));
    this.m.refs.push({ ...row, lsn: a.lsn });
    await this.sent('offices', JSON.stringify(row), a.lsn);
  }

  /** A time that lies after this post and before the next. */
  async sent(stream, body, lsn) {
    const now = Date.now();
    while (Date.now() < now + 2) await new Promise((r) => setImmediate(r));
    this.m.last = lsn;
    this.m.posts.push({ stream, body, lsn });
    this.m.times.push({ at: now + 1, lsn });
    while (Date.now() < now + 3) await new Promise((r) => setImmediate(r));
  }

  async end() { assert.deepEqual(await this.t.stop(), { code: 0, signal: null }, this.t.err); }

  call(text) { return this.t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' }); }

  async rollback() {
    const { snapshots } = await this.t.ok('GET', '/api/v1/snapshots');
    if (snapshots.length === 0) return;
    const s = this.r.pick(snapshots);
    const a = await this.call(`CALL rollback('${this.r.pick(['hourly', 'cities', 'whole'])}', snapshot => ${s.sequence})`);
    assert.equal(a.status, 200, JSON.stringify(a.body));
    const stream = await this.call(`CALL rollback('badge', snapshot => ${s.sequence})`);
    const lost = this.m.events.filter((e) => e.lsn > s.lsn && e.lsn <= snapshots[0].lsn).length;
    assert.equal(stream.status, lost > 0 ? 409 : 200, JSON.stringify(stream.body));
    if (lost > 0) assert.match(stream.body.detail, new RegExp(`has ${lost} accepted rows`));
  }

  async step() {
    const { r, t } = this, p = r.next();
    if (p < 0.55) await this.post();
    else if (p < 0.62) await this.refer();
    else if (p < 0.82) await t.ok('POST', '/api/v1/batch/run');
    else if (p < 0.86) await t.ok('POST', `/api/v1/recompute?view=${r.pick(['hourly', 'cities', 'whole'])}`);
    else if (p < 0.90) await this.rollback();
    else if (p < 0.94) assert.equal((await this.call(`CALL expire_snapshots(older_than => ${r.below(this.m.last + 2)})`)).status, 200);
    else if (p < 0.97) await t.restart('stop');
    else await t.restart('kill');
  }

  async check(lsn, as = lsn) {
    const { t, m } = this;
    for (const name of ['hourly', 'cities', 'whole']) {
      const a = await t.call('GET', `/api/v1/views/${name}?as_of=${as}`);
      assert.equal(a.status, 200, JSON.stringify(a.body));
      assert.equal(a.body.lsn, lsn);
      assert.deepEqual(sorted(a.body.rows), m.view(name, lsn), `${name} as of ${lsn}`);
    }
  }

  async checkSql(lsn) {
    const { t, m } = this, events = m.upTo(lsn);
    const [s] = await t.sql(`SELECT count(*) AS c, sum(n) AS s, max(_lsn) AS l, count(o.city) AS cities FROM as_of('badge', ${lsn}) b LEFT JOIN offices o ON o.office = b.office`);
    assert.deepEqual(s, { c: events.length, s: events.length ? events.reduce((x, e) => x + e.n, 0) : null, l: events.length ? Math.max(...events.map((e) => e.lsn)) : null, cities: events.filter((e) => m.city(e.office, e.lsn) !== null).length }, `badge as of ${lsn}`);
    const [v] = await t.sql(`SELECT coalesce(sum(visits), 0) AS c FROM as_of('hourly', ${lsn}) AS h WHERE h.office = 'rome'`);
    assert.equal(v.c, events.filter((e) => e.office === 'rome').length);
    const offices = await t.sql(`SELECT office, city FROM as_of('offices', ${lsn}) ORDER BY office`);
    const want = ['berlin', 'paris', 'rome'].map((office) => ({ office, city: m.city(office, lsn) })).filter((o) => o.city !== null);
    assert.deepEqual(offices, want);
    const some = await t.sql(`SELECT event_id FROM as_of('badge', ${lsn}) LIMIT 3`);
    assert.equal(some.length, Math.min(3, events.length));
  }
}

/** A second tarn that got only the events up to ${lsn} says the same, to the byte of every row. */
async function second(h, lsn) {
  const other = await new Tarn({ sql: sql() }).start();
  for (const p of h.m.posts) if (p.lsn <= lsn) await other.post(p.stream, p.body);
  await other.settled();
  for (const name of ['hourly', 'cities', 'whole']) {
    const a = await other.ok('GET', `/api/v1/views/${name}`);
    const b = await h.t.ok('GET', `/api/v1/views/${name}?as_of=${lsn}`);
    assert.deepEqual(b.rows, a.rows);
    assert.deepEqual(b.columns, a.columns);
  }
  await other.stop();
}

test('as of any LSN and any time equals the view of the events up to it, whatever came between', { timeout: soak ? 3600e3 : 600e3 }, async (t) => {
  for (let k = 0; k < (soak ? 20 : 2); k++) {
    const seed = baseSeed + k;
    console.log(`# TARN_SEED=${seed}`);
    const h = new History(seed, k % 2 === 0 ? '1 hour' : '1 s');
    await h.t.start();
    await h.post();
    for (let i = 0; i < (soak ? 400 : 120); i++) {
      await h.step();
      if (h.r.chance(0.25)) await h.check(1 + h.r.below(h.m.last));
      if (h.r.chance(0.1)) await h.checkSql(1 + h.r.below(h.m.last));
      if (h.r.chance(0.1)) {
        const when = h.r.pick(h.m.times);
        await h.check(when.lsn, iso(when.at));
      }
    }
    for (let l = 1; l <= h.m.last; l += soak ? 1 : 1 + h.r.below(6)) await h.check(l);
    await h.checkSql(h.m.last);
    await second(h, h.r.pick(h.m.posts).lsn);
    await h.end();
  }
});

test('a view that was away for a while, or is defined anew, is right for every LSN', { timeout: 600e3 }, async () => {
  const seed = baseSeed + 500;
  console.log(`# TARN_SEED=${seed}`);
  const h = new History(seed);
  const define = (text) => writeFileSync(join(h.t.config, 'pipeline.sql'), text);
  const some = async () => {
    for (let i = 0; i < 4; i++) {
      await h.post();
      if (h.r.chance(0.7)) await h.t.ok('POST', '/api/v1/batch/run');
    }
  };
  const all = async () => { for (let l = 1; l <= h.m.last; l++) await h.check(l); };
  await h.t.start();
  await some();
  await all();
  define(sql().replace(/CREATE MATERIALIZED VIEW whole[^;]*;/, ''));
  await h.t.restart();
  await some();
  define(sql());
  await h.t.restart();
  await all();
  await some();
  await all();
  // Another definition: the past in its words; and the CHECK of a table.
  define(sql().replace('sum(n) AS total', 'sum(n) + 1 AS total'));
  await h.t.restart('kill');
  await some();
  const plus = (rows) => rows.map((r) => r.with(4, r[4] + 1));
  const before = h.m.view.bind(h.m);
  h.m.view = (name, lsn) => name === 'hourly' ? plus(before(name, lsn)) : before(name, lsn);
  await all();
  await h.t.restart();
  await all();
  await h.end();
});

test('what lies outside the past is refused, and says where it ends', { timeout: 600e3 }, async () => {
  const h = new History(baseSeed);
  await h.t.start();
  const empty = await h.t.call('GET', '/api/v1/views/hourly?as_of=1');
  assert.equal(empty.status, 400);
  await h.post();
  await h.post();
  const { last } = h.m;
  const cases = [['as_of=0', 'as-of-before'], [`as_of=${last + 1}`, 'as-of-ahead'], ['as_of=99999999999999999999', 'bad-as-of'], ['as_of=2020-01-01', 'as-of-before'],
    ['as_of=2999-01-01', 'as-of-ahead'], ['as_of=gestern', 'bad-as-of'], ['as_of=', 'bad-as-of'], [`as_of=${last}&layer=batch`, 'bad-as-of']];
  for (const [query, code] of cases) {
    const a = await h.t.call('GET', `/api/v1/views/hourly?${query}`);
    assert.equal(a.status, 400, query);
    assert.equal(a.body.type, `/problems/${code}`, query);
  }
  const live = await h.t.call('GET', `/api/v1/views/hourly/live?as_of=${last}`);
  assert.equal(live.status, 400);
  for (const [text, code] of [[`SELECT * FROM as_of('badge', ${last + 1})`, 'as-of-ahead'], ["SELECT * FROM as_of('bagde', 1)", 'unknown-table'], ["SELECT * FROM as_of('badge')", 'type-mismatch'],
    ["SELECT * FROM as_of('badge', true)", 'type-mismatch'], ["SELECT * FROM as_of('badge', n)", 'unknown-column'], ["SELECT 1 FROM badge b JOIN as_of('offices', 1) o ON o.office = b.office", 'unsupported'],
    ["SELECT * FROM as_of('badge', NULL::int8)", 'bad-as-of']]) {
    const a = await h.call(text);
    assert.equal(a.status, 400, text);
    assert.equal(a.body.type, `/problems/${code}`, text);
  }
  // ETag: of the question and the past, not of what came after it.
  const path = `/api/v1/views/hourly?as_of=${last}`;
  const first = await h.t.call('GET', path);
  await h.post();
  await h.t.settled();
  const again = await h.t.fetch(path, { headers: { 'if-none-match': first.headers.get('etag') } });
  assert.equal(again.status, 304);
  const time = await h.t.call('GET', `/api/v1/views/hourly?as_of=${iso(h.m.times[0].at)}`);
  assert.equal(time.headers.get('etag'), null);
  assert.equal(time.body.lsn, h.m.times[0].lsn);
  await h.end();
});

test('CALL needs the scope admin; SELECT of the past needs read', { timeout: 600e3 }, async () => {
  const file = join(tempDir('password'), 'password');
  writeFileSync(file, 'correct horse battery\n');
  const t = await new Tarn({ sql: sql(), env: { TARN_ADMIN_PASSWORD_FILE: file } }).start();
  const json = { 'content-type': 'application/json' };
  const login = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse battery' }), json);
  const session = { cookie: login.headers.get('set-cookie').split(';')[0], origin: t.url };
  const bearer = {};
  for (const scope of ['read', 'ingest', 'admin']) {
    const made = await t.call('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { ...session, ...json });
    bearer[scope] = { authorization: `Bearer ${made.body.token}` };
  }
  const call = (text, headers) => t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql', ...headers }).then((a) => a.status);
  const expire = "/* old ones */ CALL expire_snapshots('1 day')";
  assert.deepEqual([await call(expire, {}), await call(expire, bearer.ingest), await call(expire, bearer.read), await call(expire, bearer.admin), await call(expire, session)], [401, 403, 403, 200, 200]);
  assert.equal(await call("SELECT count(*) FROM as_of('offices', 1)", bearer.read), 400);
  const a = await t.call('POST', '/api/v1/sql?format=csv', "CALL expire_snapshots(older_than => 1)", bearer.admin);
  assert.match(a.body, /^run,lsn,rows,files,detail\r?\n3,0,0,0,0 snapshots expired/);
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err);
});

/** One of the lake's own snapshots, read over HTTP as others do, file by file.
 *  ${keep}: ms that files stay; what may go while we read is not begun. */
async function readLake(h, r, keep) {
  const base = `${h.t.url}/lake`, table = r.pick(['silver/badge', 'gold/hourly']);
  const begun = Date.now(), m = await iceberg.metadata(base, table);
  const young = m.snapshots.filter((s, i) => i + 1 === m.snapshots.length || m.snapshots[i + 1]['timestamp-ms'] > begun - keep / 2);
  const s = r.pick(young), lsn = Number(s.summary['tarn.lsn']);
  let rows;
  try {
    rows = await iceberg.rows(base, table, m, s['snapshot-id']);
  } catch (e) {
    if (Date.now() - begun < keep / 3) throw e;      // On a busy machine it took too long.
    return null;
  }
  const got = table === 'gold/hourly' ? rows.map((x) => [x.office, new Date(x.hour).toISOString().replace('.000Z', 'Z'), ...['visits', 'large', 'total', 'people', 'least'].map((c) => Number(x[c]))]) : rows.map((x) => [x.event_id, x.person, Number(x.n), Number(x._lsn)]);
  const want = table === 'gold/hourly' ? h.m.view('hourly', lsn) : h.m.upTo(lsn).map((e) => [e.event_id, e.person, e.n, e.lsn]);
  assert.deepEqual(sorted(got), sorted(want), `${table}, snapshot ${s['snapshot-id']} of LSN ${lsn}`);
  return `${table} ${s['snapshot-id']}`;
}

test('readers of the past see no error and no change while cuts, compaction and expiry go on', { timeout: soak ? 900e3 : 600e3 }, async () => {
  const seed = baseSeed + 1000, keep = soak ? 20e3 : 3e3;
  console.log(`# TARN_SEED=${seed}`);
  const h = new History(seed, `${keep / 1000} s`);
  await h.t.start();
  for (let i = 0; i < 5; i++) await h.post();
  await h.t.ok('POST', '/api/v1/batch/run');
  const end = Date.now() + (soak ? Number(process.env.SECONDS_OF_READING ?? 600) * 1e3 : 8e3);
  const did = { past: 0, lake: 0, lakeSnapshots: new Set(), late: 0, snapshots: new Set(), expired: 0, cuts: 0, compacted: false };
  // A slow machine takes more than that.
  const enough = () => did.expired > 0 && did.lake > 10 && did.past > 20 && did.compacted;
  const going = () => Date.now() < end || (!enough() && Date.now() < end + 10e3 * patience);
  const readPast = async (r, seen) => {
    const lsn = 1 + r.below(h.m.last), name = r.pick(['hourly', 'cities', 'whole']);
    const a = r.chance(0.5) ? await h.t.ok('GET', `/api/v1/views/${name}?as_of=${lsn}`) :
      await h.t.ok('POST', '/api/v1/sql', `SELECT * FROM as_of('${name}', ${lsn})`);
    const rows = JSON.stringify(sorted(a.rows)), key = `${name} ${lsn}`;
    assert.equal(rows, JSON.stringify(h.m.view(name, lsn)), key);
    if (seen.has(key)) assert.equal(rows, seen.get(key), key);
    seen.set(key, rows);
    did.past++;
  };
  // Eight: three of them read the lake's files, as another engine does.
  const reader = async (k) => {
    const r = rng(seed + k), seen = new Map();
    while (going()) {
      if (k >= 3) { await readPast(r, seen); continue; }
      const read = await readLake(h, r, keep);
      if (read === null) { did.late++; continue; }
      did.lake++;
      did.lakeSnapshots.add(read);
    }
  };
  const writer = async () => {
    while (going()) {
      // What is read is compared with all events: not too many of them.
      if (h.m.events.length < 20000 || h.r.chance(0.05)) await h.post();
      if (h.r.chance(0.8)) { await h.t.ok('POST', '/api/v1/batch/run'); did.cuts++; }
      if (h.r.chance(0.1)) await h.refer();
      if (h.r.chance(0.05)) assert.equal((await h.call(`CALL expire_snapshots(older_than => '${keep / 1000} s')`)).status, 200);
      if (h.r.chance(0.1)) await h.t.ok('POST', '/api/v1/recompute?view=hourly');
      const { snapshots } = await h.t.ok('GET', '/api/v1/snapshots?limit=10000'), there = new Set(snapshots.map((x) => x.sequence));
      for (const s of did.snapshots) if (!there.has(s)) { did.snapshots.delete(s); did.expired++; }
      for (const s of there) did.snapshots.add(s);
      did.compacted ||= (await h.t.ok('GET', '/api/v1/runs')).runs.some((x) => x.kind === 'compact' && x.state === 'done');
    }
  };
  await Promise.all([writer(), ...Array.from({ length: 8 }, (_, k) => reader(k))]);
  assert.ok(enough(), JSON.stringify(did));
  console.log(`# ${did.past} reads of the past, ${did.lake} of ${did.lakeSnapshots.size} snapshots of the lake (${did.late} were too slow), ${did.cuts} cuts, ${did.expired} snapshots expired, ${h.m.last} LSNs, ${h.m.events.length} events`);
  await h.end();
});

// The cold folder: old partitions move to a second folder, packed harder, and
// every reader finds them there: SQL, views, as of an earlier moment, verify
// and the chain of bronze, Iceberg and Delta on disk and over /lake, backup and
// restore, retention, a view made anew. A folder that is not there, or another
// lake's, is told at the start, and nothing is changed.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, rng, tempDir, until, tool } from './lib.mjs';
import { Judge } from './differential/judge.mjs';
import { delta, deltaRows, digest, iceberg } from './tables/readers.mjs';

const sql = (cold, more = '') => `
ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET snapshot_keep = '1 s'; ALTER SYSTEM SET retention_wait = '0';
ALTER SYSTEM SET cold_folder = '${cold}'; ALTER SYSTEM SET cold_after = '40 days';
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, room text, n int, pad text) WITH (event_time = 'ts', max_future_skew = '0'${more});
CREATE TABLE hot (id text PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts', cold_after = 'never');
CREATE MATERIALIZED VIEW days AS SELECT room, date_trunc('day', ts) AS d, count(*) AS c, sum(n) AS s FROM ev GROUP BY room, d;
CREATE MATERIALIZED VIEW rooms AS SELECT room, count(DISTINCT n) AS c FROM ev GROUP BY room;`;
const DAY = 86400e6, types = { id: 'text', ts: 'time', room: 'text', n: 'number', pad: 'text' };

/** A tarn whose wall clock is the test's. */
class Clocked extends Tarn {
  constructor(o) {
    const file = join(tempDir('clock'), 'shift');
    writeFileSync(file, Buffer.alloc(8));
    super({ ...o, env: { CLOCK_SHIFT: file, LD_PRELOAD: tool('tools/preload/clock.so'), ...o.env } });
    this.file = file;
    this.shift = 0;
  }
  pass(us) {
    this.shift += us;
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(Math.round(this.shift)));
    writeFileSync(this.file, b, { flag: 'r+' });
  }
  async files() { return (await this.ok('GET', '/api/v1/files')).files; }
  async cold() { return (await this.files()).filter((f) => /\/cold-/.test(f.path)); }
  /** Minutes go by until the partitions have settled and lie where they belong. */
  async moved(want, more = () => true) {
    await until(async () => {
      const files = await this.files();
      if (files.filter(want).length > 0 && files.filter(want).every((f) => /\/cold-/.test(f.path)) && await more(files)) return true;
      this.pass(360e6);
      return false;
    }, 20000, 120);
  }
}
const of = (table, tier) => (f) => f.table === table && f.tier === tier;
const seed = baseSeed, random = rng(seed);
console.log(`seed ${seed}`);
let made = 0;
const row = (day, t = 0) => ({ id: `e${made++}`, ts: new Date(Date.UTC(2026, 2, day, random.below(24)) + t).toISOString(), room: `r${random.below(4)}`, n: random.below(1000), pad: 'x'.repeat(random.below(200)) });
const post = (t, day, n) => t.post('ev', Array.from({ length: n }, () => JSON.stringify(row(day))).join('\n'));
const all = (t) => t.sql(`SELECT ${Object.keys(types).join(', ')} FROM ev`);
const verified = async (t) => { const v = await t.verify(); assert.equal(v.equal, true, v.text); };
const walk = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => join(f.parentPath ?? f.path, f.name));
const refused = async (t, why) => {
  const r = await command(['run', '--data', t.data, '--config', t.config, '--http', '127.0.0.1:0'], { env: { TARN_MQTT: 'none' } });
  assert.notEqual(r.code, 0);
  assert.match(r.err, why);
  assert.match(r.err, /hint/);
};

test('old partitions move, and everybody finds them', { timeout: 600000 }, async () => {
  const cold = tempDir('cold'), judge = await new Judge().open();
  const t = await new Clocked({ sql: sql(cold) }).start();
  for (const day of [1, 2, 3]) { await post(t, day, 200); await t.post('hot', JSON.stringify({ id: `h${day}`, ts: '2026-03-01T00:00:00Z' })); await t.cut(); }
  const before = digest(await all(t), types), views = [await t.view('days'), await t.view('rooms')], lsn = (await t.ok('GET', '/api/v1/status')).lsn;
  await t.moved(of('ev', 'silver'));
  assert.ok((await t.files()).filter(of('ev', 'bronze')).every((f) => !/cold-/.test(f.path)), 'bronze came today');
  t.pass(45 * DAY);
  const was = (await t.files()).filter(of('ev', 'bronze'))[0];
  assert.ok(was);
  await t.moved(of('ev', 'bronze'));
  assert.ok((await t.files()).filter((f) => f.table === 'hot').every((f) => !/cold-/.test(f.path)), 'never');
  const runs = (await t.ok('GET', '/api/v1/runs?limit=100')).runs.filter((r) => r.kind === 'move');
  assert.ok(runs.length >= 2 && runs.every((r) => r.state === 'done' && /cold folder/.test(r.detail)), JSON.stringify(runs));

  const same = async (t, where) => {
    assert.deepEqual(digest(await all(t), types), before, where);
    assert.deepEqual([await t.view('days'), await t.view('rooms')].map((v) => v.map((r) => JSON.stringify(r)).sort()), views.map((v) => v.map((r) => JSON.stringify(r)).sort()), where);
    const old = await t.sql(`SELECT count(*) AS n FROM as_of('ev', ${lsn})`);
    assert.equal(Number(old[0].n), before.rows, where);
    await verified(t);
  };
  await same(t, 'moved');
  // Where they lie: a link a table, the files behind it, none twice.
  for (const f of await t.cold()) assert.ok(existsSync(join(cold, f.path.replace(/cold-[0-9a-f]{8}\//, ''))), f.path);
  const link = join(t.data, 'lake/silver/ev', readdirSync(join(t.data, 'lake/silver/ev')).find((n) => n.startsWith('cold-')));
  assert.ok(lstatSync(link).isSymbolicLink());
  const lake = await t.ok('GET', '/api/v1/lake');
  assert.equal(lake.cold.folder, cold);
  assert.equal(lake.cold.ready, true);
  const part = lake.tables.find((x) => x.name === 'ev' && x.tier === 'silver');
  assert.equal(part.cold_files, part.files);
  assert.equal(part.cold_bytes, (await t.cold()).filter(of('ev', 'silver')).reduce((a, f) => a + f.bytes, 0));
  assert.equal(lake.tables.find((x) => x.name === 'hot' && x.tier === 'silver').cold_files, 0);
  const moved = lake.tables.reduce((a, x) => a + x.cold_bytes, 0);
  const doctor = await command(['doctor', '--data', t.data, '--url', t.url]);
  assert.ok(doctor.out.includes(`, of it ${(moved / 2 ** 20).toFixed(1)} MiB in the cold folder ${cold} (`), doctor.out);
  await t.cut();

  // Other engines: on disk, over HTTP, with Tarn stopped.
  const foreign = async (base, where) => {
    for (const table of ['silver/ev', 'bronze/ev']) {
      const rows = await iceberg.rows(base, table, await iceberg.metadata(base, table));
      assert.equal(rows.length, before.rows, `${where} ${table}`);
      if (table === 'silver/ev') assert.deepEqual(digest(rows, types), before, where);
    }
    const state = await delta(join(t.data, 'lake/silver/ev'));
    assert.ok([...state.files.keys()].every((p) => /^cold-[0-9a-f]{8}\/date=/.test(p)), [...state.files.keys()].join());
    assert.deepEqual(digest(await deltaRows(judge, join(t.data, 'lake/silver/ev'), state, types), types), before, where);
  };
  await foreign(`${t.url}/lake`, 'HTTP');
  await foreign(`file://${t.data}/lake`, 'disk');
  const one = (await t.cold())[0], got = await t.fetch(`/lake/${one.path}`, { headers: { range: 'bytes=0-3' } });
  assert.deepEqual([got.status, await got.text()], [206, 'PAR1']);

  // A late row of a cold day, a view made anew, a restart after kill -9.
  await post(t, 2, 3);
  await t.cut();
  await t.recompute('days');
  assert.ok((await t.files()).filter(of('ev', 'silver')).some((f) => !/cold-/.test(f.path)));
  await t.restart('kill');
  await verified(t);
  await t.moved(of('ev', 'silver'));
  assert.equal((await t.files()).filter((f) => of('ev', 'silver')(f) && f.partition === '2026-03-02').length, 1, 'it joined those that were there');
  assert.equal((await all(t)).length, before.rows + 3);
  await verified(t);

  // Dropped files go, in the cold folder too, and nothing is left over there.
  t.pass(10e6);
  await t.cut();
  await until(async () => { await t.ok('POST', '/api/v1/sql', "CALL expire_snapshots('0 s')", { 'content-type': 'application/sql' }); await t.cut(); return walk(cold).filter((f) => f.endsWith('.parquet')).length === (await t.cold()).length; }, 15000, 100);

  // A backup has the files; restored they lie in the lake again, and move to a new folder.
  const dest = join(tempDir('dest'), 'b');
  const b = await t.ok('POST', '/api/v1/sql', `CALL backup('${dest}')`, { 'content-type': 'application/sql' });
  assert.ok(b.rows[0][1] > 5);
  const now = digest(await all(t), types);
  await t.stop();
  await foreign2(t, now, judge);
  const data = join(tempDir('restored'), 'data');
  let r = await command(['restore', dest, '--data', data]);
  assert.equal(r.code, 0, r.err);
  const cold2 = tempDir('cold2'), back = new Clocked({ sql: sql(cold), data });
  await refused(back, /another lake/);
  writeFileSync(join(back.config, 'pipeline.sql'), sql(cold2));
  back.pass(t.shift);
  await back.start();
  assert.deepEqual(digest(await all(back), types), now);
  await verified(back);
  await back.moved(of('ev', 'silver'), async (files) => files.filter(of('ev', 'silver')).every((f) => existsSync(join(cold2, f.path.replace(/cold-[0-9a-f]{8}\//, '')))));
  assert.deepEqual(digest(await all(back), types), now);
  await back.cut();
  await verified(back);
  assert.equal((await iceberg.rows(`file://${data}/lake`, 'silver/ev', await iceberg.metadata(`file://${data}/lake`, 'silver/ev'))).length, now.rows, 'tables after a restore');
  await back.stop();
  judge.close();
});

/** Tarn is stopped. */
async function foreign2(t, want, judge) {
  const base = `file://${t.data}/lake`;
  assert.deepEqual(digest(await iceberg.rows(base, 'silver/ev', await iceberg.metadata(base, 'silver/ev')), types), want);
  assert.deepEqual(digest(await deltaRows(judge, join(t.data, 'lake/silver/ev'), await delta(join(t.data, 'lake/silver/ev')), types), types), want);
}

test('a folder that is not there, is another one, or moved', { timeout: 600000 }, async () => {
  const top = tempDir('cold'), cold = join(top, 'disk');
  mkdirSync(cold);
  const t = await new Clocked({ sql: sql(cold) }).start();
  await post(t, 1, 50);
  await t.cut();
  await t.moved(of('ev', 'silver'));
  const want = digest(await all(t), types), set = (folder) => writeFileSync(join(t.config, 'pipeline.sql'), sql(folder));
  // It goes while we run: nothing is written beneath the mount point, nor lost.
  renameSync(cold, join(top, 'away'));
  mkdirSync(cold);
  await post(t, 2, 50);
  await t.cut();
  await until(() => { t.pass(360e6); return /nothing is moved to cold_folder/.test(t.err); }, 20000, 60);
  assert.deepEqual(readdirSync(cold), []);
  await t.stop();
  await refused(t, /lost its file tarn-cold/);          // an empty mount point
  assert.deepEqual(readdirSync(cold), []);
  rmSync(cold, { recursive: true });
  await refused(t, /is not there/);
  set('');
  await refused(t, /cold folder .*disk, which is not there/);
  set(join(t.data, 'lake', 'x'));
  mkdirSync(join(t.data, 'lake', 'x'));
  await refused(t, /lie in each other/);
  rmSync(join(t.data, 'lake', 'x'), { recursive: true });
  const used = tempDir('used');
  writeFileSync(join(used, 'letter'), 'mine');
  set(used);
  await refused(t, /holds other things/);
  assert.deepEqual(readdirSync(used), ['letter']);
  // It moved: the setting says where to.
  renameSync(join(top, 'away'), join(top, 'elsewhere'));
  set(join(top, 'elsewhere'));
  await t.start();
  assert.equal((await all(t)).length, want.rows + 50);
  await verified(t);
  const other = new Clocked({ sql: sql(join(top, 'elsewhere')) });
  await refused(other, /another lake/);
  // No setting: what is there stays readable, nothing more goes there.
  await t.stop();
  set('');
  await t.start();
  assert.equal((await all(t)).length, want.rows + 50);
  await verified(t);
  await t.stop();
});

test('of two copies of a data folder one uses the cold folder', { timeout: 600000 }, async () => {
  const cold = tempDir('cold');
  const t = await new Clocked({ sql: sql(cold) }).start();
  await post(t, 1, 50);
  await t.cut();
  await t.moved(of('ev', 'silver'));
  await t.stop();
  const data = join(tempDir('copy'), 'data'), want = digest(await (async () => { await t.start(); const rows = await all(t); await t.stop(); return rows; })(), types);
  execFileSync('cp', ['-a', t.data, data]);
  const copy = new Clocked({ sql: sql(cold), data });
  copy.pass(t.shift);
  await copy.start();
  await refused(t, /another tarn uses the cold_folder/);
  await copy.stop();
  await refused(t, /another copy of this data folder has used the cold folder .*: .*copy.*lake/);
  writeFileSync(join(t.config, 'pipeline.sql'), sql(''));       // its files are there all the same
  await refused(t, /another copy of this data folder/);
  const files = walk(cold).filter((f) => f.endsWith('.parquet')).length;
  // The copy is given up, as the hint says.
  rmSync(join(cold, 'tarn-cold.owner'));
  writeFileSync(join(t.config, 'pipeline.sql'), sql(cold));
  await t.start();
  assert.equal(walk(cold).filter((f) => f.endsWith('.parquet')).length, files);
  assert.deepEqual(digest(await all(t), types), want);
  await verified(t);
  await t.stop();
  await refused(copy, /tarn-cold.owner/);
});

test('retention drops cold files as well', { timeout: 600000 }, async () => {
  const cold = tempDir('cold');
  const t = await new Clocked({ sql: sql(cold, ", retention = '400 days'") }).start();
  await post(t, 1, 50);
  await t.cut();
  await t.moved(of('ev', 'silver'));
  t.pass(400 * DAY);
  await t.post('hot', JSON.stringify({ id: 'x', ts: '2026-03-01T00:00:00Z' }));
  await t.cut();
  await until(async () => (await t.files()).filter(of('ev', 'silver')).length === 0, 10000);
  await until(async () => { t.pass(10e6); await t.cut(); return walk(cold).filter((f) => /silver.*parquet$/.test(f)).length === 0; }, 10000, 50);
  assert.equal((await t.view('days')).reduce((a, x) => a + x.c, 0), 50);
  await verified(t);
  await t.stop();
});

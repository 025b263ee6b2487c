// Kill -9 at every named step of what changes the lake: cut, compaction, move to
// the cold folder, retention, expiry, recompute, rollback, erasure, tables, backup
// and restore. The list is taken from the source, so a new step cannot be left
// out; how to reach it is in the table below. After each death, with the data
// folder of all deaths before: what was acknowledged is there once, the catalog
// and the folders name the same files, no run is left open, verify is clean.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, patience, rng, root, tempDir, until, tool } from './lib.mjs';
import { iceberg } from './tables/readers.mjs';

const DAY = 86400e6, rooms = ['batch', 'backup', 'catalog', 'lake'];
const ways = [
  [/^(cut|compact|publish|catalog|table)_|^lake_(file_|keys_|folder_)/, 'cut'],
  [/^move_/, 'move'], [/^retire_/, 'retire'], [/^recompute_/, 'recompute'], [/^(expire|collect)_/, 'expire'],
  [/^rollback_/, 'rollback'], [/^erase_/, 'erase'], [/^backup_/, 'backup'], [/^restore_/, 'restore'], [/^lake_swept$/, 'sweep'], [/^cold_/, 'first']];
// Steps that all publications share, in those that are not a cut's.
const shared = ['publish_before', 'publish_after', 'catalog_before_commit:5', 'table_after', 'lake_folder_synced', 'table_manifest', 'table_metadata', 'table_delta', 'catalog_committed:3', 'lake_file_begun', 'lake_file_synced'];
const named = new Set(rooms.flatMap((room) => readdirSync(join(root, 'src', room)).filter((f) => f.endsWith('.c'))
  .flatMap((f) => [...readFileSync(join(root, 'src', room, f), 'utf8').matchAll(/tn_os_crash_point\("(\w+)"\)/g)].map((m) => m[1]))));
const seed = baseSeed, dice = rng(seed);
// A step that no way leads to is killed at in a file of its own.
const others = readdirSync(join(root, 'tests/e2e')).filter((f) => f.endsWith('.test.mjs') && !/^(steps|faults)/.test(f)).map((f) => readFileSync(join(root, 'tests/e2e', f), 'utf8')).join('\n');
const lost = [...named].filter((p) => !ways.some(([re]) => re.test(p)) && !new RegExp(`\\b${p}\\b`).test(others));

const cases = [...named].filter((p) => ways.some(([re]) => re.test(p))).map((point) => ({ point, way: ways.find(([re]) => re.test(point))[1] }));
for (const n of process.env.SOAK ? [4, 7, 9] : [7]) cases.push({ point: `catalog_before_commit:${n}`, way: 'cut' }, { point: `catalog_committed:${n}`, way: 'cut' });
// The first passage is the start's.
for (const point of ['cold_word_noted:2', 'cold_word_given:2']) cases.push({ point, way: 'move' });
for (const way of ['move', 'retire', 'recompute', 'rollback', 'erase'])
  for (const point of process.env.SOAK ? shared : [shared[dice.below(3)]])
    if (way !== 'retire' || !/file/.test(point)) cases.push({ point, way, maybe: /catalog/.test(point) });   // it writes none
if (process.env.SOAK) for (const point of [...named].filter((p) => ways[0][0].test(p))) for (const n of [2, 3, 5]) cases.push({ point: `${point}:${n}`, way: 'cut', maybe: true });

const sql = (cold) => `
ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET snapshot_keep = '1 s'; ALTER SYSTEM SET young_files_max = '2'; ALTER SYSTEM SET retention_wait = '0';
ALTER SYSTEM SET cold_folder = '${cold}'; ALTER SYSTEM SET cold_after = '40 days'; ALTER SYSTEM SET log_segment_bytes = '16 MiB';
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, n int NOT NULL) WITH (event_time = 'ts', max_future_skew = '0');
CREATE TABLE old (id text PRIMARY KEY, ts timestamptz NOT NULL, n int NOT NULL) WITH (event_time = 'ts', max_future_skew = '0', retention = '365 days', cold_after = 'never');
CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, count(*) AS c, sum(n) AS s FROM ev GROUP BY d;
CREATE MATERIALIZED VIEW old_days AS SELECT date_trunc('day', ts) AS d, count(*) AS c, sum(n) AS s FROM old GROUP BY d;
CREATE MATERIALIZED VIEW old_kept WITH (retention = '365 days') AS SELECT date_trunc('day', ts) AS d, count(*) AS c, sum(n) AS s FROM old GROUP BY d;`;

/** Files below a folder by their paths in it, through links, without what tables keep. */
function walk(dir, at = '') {
  return readdirSync(join(dir, at)).flatMap((n) => {
    const path = at ? `${at}/${n}` : n;
    if (n === 'metadata' || n === '_delta_log') return [];
    return statSync(join(dir, path)).isDirectory() ? walk(dir, path) : [path];
  });
}

class Life {
  constructor() {
    const clock = join(tempDir('clock'), 'shift');
    writeFileSync(clock, Buffer.alloc(8));
    this.clock = clock;
    this.cold = tempDir('cold');
    this.shift = 0;
    this.always = { CLOCK_SHIFT: clock, LD_PRELOAD: tool('tools/preload/clock.so') };
    this.t = new Tarn({ sql: sql(this.cold), env: this.always });
    this.dest = join(tempDir('dest'), 'b');
    this.made = 0;
    this.day = 0;
    this.sent = { ev: new Map(), old: new Map() };
  }

  pass(us) {
    this.shift += us;
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(this.shift));
    writeFileSync(this.clock, b, { flag: 'r+' });
  }

  async post(stream, ts, rows = 5, word = 'e') {
    const list = Array.from({ length: rows }, () => ({ id: `${word}${this.made++}`, ts: new Date(ts).toISOString(), n: 1 + this.made % 7 }));
    for (const r of list) this.sent[stream].set(r.id, { r, acked: false });
    await this.t.post(stream, list.map((r) => JSON.stringify(r)).join('\n'));
    for (const r of list) this.sent[stream].get(r.id).acked = true;
  }

  call(text) { return this.t.ok('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' }); }

  /** What a way needs before the process that will die starts. */
  async prepare(way) {
    if (way === 'move') await this.post('ev', Date.UTC(2026, 0, 1 + this.day++));
    if (way === 'retire') await this.post('old', Date.now() + (this.shift - 364 * DAY) / 1e3);
    if (way === 'rollback') await this.post('ev', Date.UTC(2026, 5, 1));
    if (way === 'expire' || way === 'backup') await this.post('ev', Date.UTC(2026, 5, 2));
    if (way === 'erase') {
      this.doomed = `zz${this.made}z`;
      await this.post('ev', Date.UTC(2026, 5, 3), 5, this.doomed);
    }
    if (way !== 'cut') await this.t.cut();
    if (way === 'rollback') this.snapshot = (await this.t.ok('GET', '/api/v1/snapshots')).snapshots[0].sequence;
  }

  /** One try to come to the step. */
  async act(way) {
    if (way === 'cut') { await this.post('ev', Date.UTC(2026, 6, 1)); await this.t.cut(); }
    if (way === 'move') { this.pass(360e6); await new Promise((r) => setTimeout(r, 60)); }   // a tick of compaction
    if (way === 'retire') { this.pass(2 * DAY); await this.t.cut(); }
    if (way === 'recompute') await this.t.recompute('days');
    if (way === 'rollback') await this.call(`CALL rollback('days', snapshot => ${this.snapshot})`);
    if (way === 'expire') await this.call("CALL expire_snapshots('0 s')");
    if (way === 'erase') await this.call(`DELETE FROM ev WHERE id LIKE '${this.doomed}%'`);
    if (way === 'backup') await this.call(`CALL backup('${this.dest}')`);
  }

  async start(env = {}) {
    this.t.o.env = { ...this.always, ...env };
    return this.t.start();
  }

  async files() { return (await this.t.ok('GET', '/api/v1/files')).files.map((f) => f.path).sort(); }
  disk() { return ['bronze', 'silver', 'gold', 'keys'].flatMap((tier) => walk(join(this.t.data, 'lake', tier)).map((f) => `${tier}/${f}`)).sort(); }

  /** Rows that were to be erased are all there, or gone with every byte; then they were never sent. */
  async checkDoomed(where) {
    const left = await this.t.sql(`SELECT id FROM ev WHERE id LIKE '${this.doomed}%'`), mine = [...this.sent.ev.keys()].filter((id) => id.startsWith(this.doomed));
    assert.ok(left.length === 0 || left.length === mine.length, `${where}: ${left.length} of ${mine.length} rows are erased`);
    if (left.length === 0) {
      for (const id of mine) this.sent.ev.delete(id);
      const has = (path) => { try { return statSync(path).isFile() && readFileSync(path).includes(this.doomed); } catch { return false; } };   // It goes just now.
      const bytes = () => readdirSync(this.t.data, { recursive: true }).filter((f) => has(join(this.t.data, f)));
      await until(() => bytes().length === 0, 8000).catch(() => assert.deepEqual(bytes(), [], where));
    }
    this.doomed = null;
  }

  async check(where) {
    if (this.doomed) await this.checkDoomed(where);
    const there = new Set(this.disk());
    for (const p of await this.files()) assert.ok(there.has(p) || existsSync(join(this.t.data, 'lake', p)), `${where}: ${p} is named and not there`);
    for (const stream of ['ev', 'old']) {
      const view = stream === 'ev' ? 'days' : 'old_days', all = [...this.sent[stream].values()];
      const got = (await this.t.view(view)).reduce((a, r) => a + r.c, 0);
      assert.ok(got >= all.filter((e) => e.acked).length && got <= all.length, `${where}: ${got} of ${all.length} rows of ${stream}`);
      const again = all.filter((e) => !e.acked);
      if (again.length > 0) await this.t.post(stream, again.map((e) => JSON.stringify(e.r)).join('\n'));
      for (const e of again) e.acked = true;
      const rows = await this.t.view(view);
      assert.deepEqual([rows.reduce((a, r) => a + r.c, 0), rows.reduce((a, r) => a + Number(r.s), 0)], [all.length, all.reduce((a, e) => a + e.r.n, 0)], `${where}: ${stream}`);
    }
    await this.t.cut();
    await this.checkKept(where);
    assert.equal(Number((await this.t.sql('SELECT count(*) AS n FROM ev'))[0].n), this.sent.ev.size, where);
    const v = await this.t.verify();
    assert.equal(v.equal, true, `${where}: ${v.text}`);
    // Nothing but what the newest snapshot names, once nobody keeps another one;
    // nor in the cold folder, of which the disk's list goes through the links.
    const inCold = () => readdirSync(this.cold, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => f.name);
    let left;
    await until(async () => {
      await this.call("CALL expire_snapshots('0 s')");
      const [names, disk] = [await this.files(), this.disk()];
      left = disk.filter((f) => !names.includes(f));
      return left.length === 0 && names.length === disk.length && inCold().filter((n) => n.endsWith('.parquet')).length === names.filter((p) => /\/cold-/.test(p)).length
        && (await this.t.ok('GET', '/api/v1/runs?limit=50')).runs.every((r) => r.state !== 'running');
    }, 8000, 20).catch((e) => { throw new Error(`${where}: left over: ${left} (${e.message})`); });
    for (const f of [...inCold(), ...readdirSync(this.t.data, { recursive: true })]) assert.ok(!/\.(tmp|new)$/.test(f), `${where}: ${f}`);
  }

  /** A view that keeps its numbers for 365 days has those of the last ones whole, and none in part. */
  async checkKept(where) {
    const rows = async (view) => new Map((await this.t.view(view)).map((r) => [r.d, r]));
    const [all, kept] = [await rows('old_days'), await rows('old_kept')], edge = Date.now() + this.shift / 1e3 - 366 * 86400e3;
    for (const [d, r] of kept) assert.deepEqual(r, all.get(d), `${where}: ${d}`);
    for (const d of all.keys()) if (Date.parse(d) > edge + 86400e3) assert.ok(kept.has(d), `${where}: ${d} is not kept`);
      else if (Date.parse(d) < edge) assert.ok(!kept.has(d), `${where}: ${d} is kept`);
  }

  async checkTables(where) {
    const base = `file://${this.t.data}/lake`, rows = await iceberg.rows(base, 'silver/ev', await iceberg.metadata(base, 'silver/ev'));
    assert.equal(rows.length, this.sent.ev.size, `${where}: Iceberg`);
  }

  async restored(where) {
    const data = join(tempDir('restored'), 'd'), r = await command(['restore', this.dest, '--data', data]);
    assert.equal(r.code, 0, `${where}: ${r.err}`);
    return data;
  }
}

/** A step that is passed once, by the first start or the first move, in a data folder of its own. */
async function first(point) {
  const l = new Life();
  if (point === 'cold_linked') {
    await l.start();
    await die(l, { point, way: 'move' });
  } else {
    await assert.rejects(l.start({ TARN_CRASH: point }));
  }
  assert.equal(l.t.exit.signal, 'SIGKILL', point);
  await l.start();
  await l.post('ev', Date.UTC(2026, 0, 1));
  await l.check(point);
  await l.t.stop();
}

async function sweep(l, point) {
  await l.prepare('cut');
  await l.t.kill();
  await l.start({ TARN_CRASH: 'publish_before' });
  await assert.rejects(l.act('cut'));
  await l.t.ended;
  await assert.rejects(l.start({ TARN_CRASH: point }));
}

async function restore(l, point) {
  const data = join(tempDir('half'), 'd');
  await l.call(`CALL backup('${l.dest}')`);
  await command(['restore', l.dest, '--data', data], { env: { TARN_CRASH: point } });
  assert.ok(existsSync(join(data, 'lake')) && !existsSync(join(data, 'catalog.db')), point);
  await l.restored(point);
}

async function die(l, { point, way, maybe }) {
  await l.prepare(way);
  await l.t.kill();
  // The catalog is also changed by the start itself.
  await l.start({ TARN_CRASH: point }).catch((e) => assert.equal(l.t.exit?.signal, 'SIGKILL', e.message));
  for (let k = 0; k < (maybe ? 60 : 60 * patience) && l.t.exit === null; k++)
    if (!await l.act(way).then(() => true, (e) => { if (e instanceof assert.AssertionError) throw e; return false; }))
      await Promise.race([l.t.ended, new Promise((r) => setTimeout(r, 1000))]);
  if (maybe) await l.t.kill();
  else assert.equal(l.t.exit?.signal, 'SIGKILL', `${way}: ${point} was not reached`);
}

test('every named step has a way to it', () => {
  assert.deepEqual(lost, []);
  // Not named in another file: they must not go unseen.
  for (const p of ['move_begun', 'move_written', 'move_published', 'cold_marked', 'cold_taken', 'cold_linked', 'cold_word_noted', 'cold_word_given', 'retire_noted', 'retire_gold_noted', 'retire_published']) assert.ok(named.has(p), p);
  for (const way of new Set(ways.map((w) => w[1]))) assert.ok(cases.some((c) => c.way === way), way);
  assert.ok(named.size >= 40, `${named.size}`);
});

test(`killed at each of ${cases.length} steps: the catalog and the folders agree, nothing is lost`, { timeout: 900000 }, async () => {
  console.log(`seed ${seed}`);
  const lane = async (mine) => {
    const l = new Life();
    await l.start();
    for (let i = 0; i < 3; i++) { await l.post('ev', Date.UTC(2026, 0, 1 + l.day++)); await l.post('old', Date.now() - 3e9); await l.t.cut(); }
    for (const c of mine) {
      const where = `${c.way}: ${c.point}`;
      if (c.way === 'first') { await first(c.point); continue; }
      if (c.way === 'restore') { await restore(l, c.point); continue; }
      if (c.way === 'sweep') await sweep(l, c.point);
      else await die(l, c);
      await l.start();
      await l.check(where);
      if (/^table_/.test(c.point)) await l.checkTables(where);
      if (c.way === 'backup') {
        if (existsSync(join(l.dest, 'manifest'))) await l.restored(where);
        await l.act('backup');
        rmSync(await l.restored(where), { recursive: true });
      }
    }
    // What was restored at the end is all of it, and its tables are made anew.
    await l.t.cut();
    await l.call(`CALL backup('${l.dest}')`);
    const data = l.t.data;
    await l.t.stop();
    l.t = new Tarn({ sql: sql(''), env: l.always, data: await l.restored('end') });
    l.cold = tempDir('none');
    await l.t.start();
    for (const [n, want] of [['ev', l.sent.ev.size]]) assert.equal(Number((await l.t.sql(`SELECT count(*) AS n FROM ${n}`))[0].n), want);
    assert.equal((await l.t.verify()).equal, true);
    await until(() => existsSync(join(l.t.data, 'lake/silver/ev/metadata/version-hint.text')), 5000);
    await l.checkTables('restored');
    await l.t.stop();
    rmSync(data, { recursive: true });
  };
  await Promise.all([0, 1].map((i) => lane(cases.filter((c, k) => k % 2 === i))));
});

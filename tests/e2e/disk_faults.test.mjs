// A disk that fails at each single call (tests/tools/preload/faulty.c) that a
// backup, the drop folder, a move to the cold folder, or an expiry makes: EIO once,
// or ENOSPC from there on. A backup that was whole stays whole; a dropped file is
// loaded once; a move leaves what was in force, and nothing is left over; so does an
// expiry, which may also be interrupted (EINTR).
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, rng, tempDir, until, tool } from './lib.mjs';

const seed = baseSeed, dice = rng(seed);
console.log(`seed ${seed}`);
process.setMaxListeners(0);
const EINTR = 4, EIO = 5, ENOSPC = 28, preload = (n) => tool(`tools/preload/${n}.so`);
// All calls with SOAK; else the first ones, then some.
const step = (n, far = 6) => (process.env.SOAK ? 1 : n < 4 ? 1 : 1 + dice.below(far));

/** A tarn on such a disk. */
class Faulty extends Tarn {
  constructor(o, part) {
    const file = join(tempDir('faulty'), 'control');
    writeFileSync(file, Buffer.alloc(128));
    super({ ...o, env: { ...o.env, FAULTY: file, LD_PRELOAD: [preload('faulty'), o.env?.LD_PRELOAD].filter(Boolean).join(':') } });
    this.file = file;
    this.part = part;
    this.set(-1);
  }
  /** The call after ${left} others fails. */
  set(left, full = false, error = full ? ENOSPC : EIO) {
    const b = Buffer.alloc(128);
    [left, error, full ? 1 : 0, 0].forEach((v, i) => b.writeBigInt64LE(BigInt(v), i * 8));
    b.write(this.part, 32);
    writeFileSync(this.file, b, { flag: 'r+' });
  }
  fired() {
    const b = readFileSync(this.file);
    return b.readBigInt64LE(24) !== 0n && b.subarray(96).toString().replace(/\0.*/s, '');
  }
}

const rows = (id, n) => Array.from({ length: n }, (_, i) => JSON.stringify({ id: `${id}-${i}`, ts: `2026-03-0${1 + (i % 9)}T00:00:00Z`, n: i })).join('\n') + '\n';
const table = "CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, n int) WITH (event_time = 'ts', max_future_skew = '0');\nCREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, count(*) AS c FROM ev GROUP BY d;";
const count = async (t, where = '') => Number((await t.sql(`SELECT count(*) AS n FROM ev ${where}`))[0].n);

test('a disk that fails at any call of a backup', { timeout: 600000 }, async () => {
  const sql = `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET log_segment_bytes = '16 MiB'; ${table}`;
  const dest = join(tempDir('dest'), 'b'), t = await new Faulty({ sql }, dest).start();
  const backup = () => t.call('POST', '/api/v1/sql', `CALL backup('${dest}')`, { 'content-type': 'application/sql' });
  let sent = 0, whole = null, tried = 0;
  const calls = new Set();
  const restored = async () => {
    const data = join(tempDir('restored'), 'd'), r = await command(['restore', dest, '--data', data]);
    if (whole === null && r.code !== 0) { assert.match(r.err, /incomplete|no backup/); return null; }
    assert.equal(r.code, 0, r.err);
    return data;
  };
  for (const round of ['first', 'next']) {
    if (round === 'next') { assert.equal((await backup()).status, 200); whole = sent; }
    for (let n = round === 'next' ? 3 : 0; ; n += step(n, 30)) {
      // Files that a failed one left out are work of the next one.
      if (round === 'next' ? whole === sent : n === 0) { await t.post('ev', rows(`r${sent}`, 10)); sent += 10; await t.cut(); }
      t.set(n, dice.chance(0.5));
      const r = await backup(), what = t.fired();
      t.set(-1);
      if (what) calls.add(what);
      tried += what ? 1 : 0;
      if (r.status === 200) whole = sent;
      else assert.ok(what && r.status >= 500 && r.body.detail.length > 10, `${n}: ${r.status} ${JSON.stringify(r.body)}`);
      const data = what && !process.env.SOAK && dice.chance(0.4) ? null : await restored();
      if (data && dice.chance(0.1)) {
        const back = await new Tarn({ sql, data }).start();
        const got = await count(back);
        assert.ok(got === whole || (r.status !== 200 && got === sent), `${n}: ${got}, ${whole}`);
        assert.equal((await back.verify()).equal, true);
        await back.stop();
      }
      if (data) rmSync(data, { recursive: true });
      if (round === 'first' && whole !== null) { rmSync(dest, { recursive: true }); whole = null; }   // again the first one
      if (!what) break;
    }
  }
  assert.equal((await backup()).status, 200);
  whole = sent;
  const back = await new Tarn({ sql, data: await restored() }).start();
  assert.equal(await count(back), sent);
  assert.equal((await back.verify()).equal, true);
  assert.equal(readdirSync(dest).filter((x) => x.startsWith('state-')).length, 1);
  await back.stop();
  await t.stop();
  console.log(`${tried} calls failed: ${[...calls].join(', ')}`);
  assert.ok(tried > 10 && calls.size >= 3, [...calls].join());
});

test('a disk that fails at any call of the drop folder', { timeout: 600000 }, async () => {
  const sql = `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET inbox_settle = '10 ms'; ALTER SYSTEM SET inbox_scan_interval = '1 s'; ${table}`;
  const t = await new Faulty({ sql }, '/inbox').start(), dir = join(t.data, 'inbox', 'ev');
  let files = 0, tried = 0;
  const calls = new Set(), done = (name) => existsSync(join(dir, 'done', name));
  for (let n = 0; ; n += step(n)) {
    const name = `f${files++}.ndjson`;
    writeFileSync(join(dir, `.${name}`), rows(name, 10) + (n % 2 ? '' : '{"id":1,"bad":\n'));   // words of its own to write
    t.set(n, dice.chance(0.5));
    renameSync(join(dir, `.${name}`), join(dir, name));
    await until(async () => t.fired() || (await t.ok('GET', '/api/v1/inbox')).recent.some((f) => f.file === name), 20000, 5);
    const what = t.fired();
    if (what) {
      calls.add(what);
      tried++;
      await until(async () => done(name) || (await t.ok('GET', '/api/v1/inbox')).files.some((f) => f.state === 'waiting') || Date.now() % 20 === 0, 2000, 5);
      t.set(-1);
      await t.restart(dice.pick(['stop', 'kill']));       // rather than wait for the next try
      await until(() => done(name), 20000, 10);
    }
    assert.equal(await count(t, `WHERE id LIKE '${name}-%'`), 10, `${n} ${what}`);
    assert.ok(!existsSync(join(dir, name)), `${n} ${what}`);
    assert.ok(!existsSync(join(dir, 'rejected', name)), `${n} ${what}`);
    if (!what) break;
  }
  await t.cut();
  assert.equal(await count(t), files * 10);
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  await t.stop();
  console.log(`${tried} calls failed: ${[...calls].join(', ')}`);
  assert.ok(tried > 3, [...calls].join());
});

test('a disk that fails at any call in the cold folder', { timeout: 600000 }, async () => {
  const cold = tempDir('cold'), shift = join(tempDir('clock'), 'shift');
  writeFileSync(shift, Buffer.alloc(8));
  const sql = `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET snapshot_keep = '1 s'; ALTER SYSTEM SET cold_folder = '${cold}'; ALTER SYSTEM SET cold_after = '40 days'; ${table}`;
  const t = await new Faulty({ sql, env: { CLOCK_SHIFT: shift, LD_PRELOAD: preload('clock') } }, 'cold-').start();
  let us = 0, days = 0, tried = 0;
  const calls = new Set(), pass = () => {
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(us += 360e6));
    writeFileSync(shift, b, { flag: 'r+' });
  };
  const files = async () => (await t.ok('GET', '/api/v1/files?tier=silver')).files;
  const moved = async () => (await files()).every((f) => /\/cold-/.test(f.path));
  for (let n = 0; ; n += step(n)) {
    days++;
    await t.post('ev', Array.from({ length: 10 }, (_, i) => JSON.stringify({ id: `d${days}-${i}`, ts: new Date(Date.UTC(2026, 0, days)).toISOString(), n: i })).join('\n'));
    await t.cut();
    t.set(n, dice.chance(0.5));
    await until(async () => { pass(); return t.fired() || await moved(); }, 20000, 60);
    const what = t.fired();
    if (what) {
      calls.add(what);
      tried++;
      await until(async () => (await t.ok('GET', '/api/v1/runs?limit=20')).runs.every((r) => r.state !== 'running'), 5000, 20);
      assert.equal(await count(t), days * 10, `${n} ${what}`);
      t.set(-1);
      await t.restart(dice.pick(['stop', 'kill']));
      await until(async () => { pass(); return moved(); }, 20000, 60);
    }
    assert.equal(await count(t), days * 10, `${n} ${what}`);
    if (!what) break;
  }
  assert.equal((await t.verify()).equal, true);
  await t.cut();
  const parquet = () => readdirSync(cold, { recursive: true }).filter((f) => f.endsWith('.parquet')).length;
  await until(async () => { await t.ok('POST', '/api/v1/sql', "CALL expire_snapshots('0 s')", { 'content-type': 'application/sql' }); return parquet() === (await t.ok('GET', '/api/v1/files')).files.filter((f) => /\/cold-/.test(f.path)).length; }, 10000, 50);
  await t.stop();
  console.log(`${tried} calls failed: ${[...calls].join(', ')}`);
  assert.ok(tried >= 4 && ['open', 'fsync'].every((c) => [...calls].some((x) => x.endsWith(c))), [...calls].join());
});

test('a disk that fails at any call of an expiry', { timeout: 600000 }, async () => {
  const sql = `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET young_files_max = 1000; ${table}`, data = tempDir('expiry');
  const t = await new Faulty({ sql, data }, data).start(), calls = new Set(), ends = {};
  const expire = () => t.call('POST', '/api/v1/sql', "CALL expire_snapshots('0 s')", { 'content-type': 'application/sql' });
  const parquet = () => readdirSync(join(data, 'lake'), { recursive: true }).filter((f) => f.endsWith('.parquet') && !/_delta_log/.test(f)).sort();
  const named = async () => (await t.ok('GET', '/api/v1/files')).files.filter((f) => f.path.endsWith('.parquet')).map((f) => f.path).sort();
  let sent = 0, tried = 0;
  for (let n = 0; ; n += step(n, 5)) {
    for (let cut = 0; cut < 2; cut++) { await t.post('ev', rows(`r${sent}`, 10)); sent += 10; await t.cut(); }
    const force = await named();
    assert.ok(parquet().length > force.length, 'older snapshots have files of their own');
    const how = dice.pick(['EIO', 'ENOSPC', 'EINTR']);
    t.set(n, how === 'ENOSPC', { EIO, ENOSPC, EINTR }[how]);
    const r = await expire(), what = t.fired();
    t.set(-1);
    ends[`${how} ${r.status}`] = (ends[`${how} ${r.status}`] ?? 0) + (what ? 1 : 0);
    const where = `${n} ${how} ${what} ${r.status} ${JSON.stringify(r.body)}`;
    if (r.status !== 200) assert.ok(what && r.status >= 500 && r.body.detail.length > 10, where);
    if (what) {
      calls.add(what);
      tried++;
      // What is in force is there, whatever failed; also in the next process.
      for (const f of force) assert.ok(existsSync(join(data, 'lake', f)), `${where}: ${f}`);
      // A start sweeps: what this process has to take back by itself is seen without one.
      if (r.status !== 200 || dice.chance(what === 'unlink' ? 0.3 : 0.7)) await t.restart(dice.pick(['stop', 'kill']));
    }
    assert.equal(await count(t), sent, where);
    assert.deepEqual(await named(), force, where);
    // On a good disk the next one ends it, and no file is left over.
    assert.equal((await expire()).status, 200, where);
    assert.equal((await t.ok('GET', '/api/v1/snapshots')).snapshots.length, 1, where);
    assert.deepEqual(parquet(), await named(), where);
    if (dice.chance(0.2) || !what) { const v = await t.verify(); assert.equal(v.equal, true, `${where} ${v.text}`); }
    if (!what) break;
  }
  await t.stop();
  console.log(`${tried} calls failed: ${[...calls].join(', ')}; ${JSON.stringify(ends)}`);
  assert.ok(tried > 10 && ['unlink', 'sync', 'pwrite'].every((c) => [...calls].some((x) => x.includes(c))), [...calls].join());
});

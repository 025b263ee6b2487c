// Backup while events and cuts go on: what was acknowledged before it began is
// in it, whole; a second one brings only what is new; killed at each step the
// one before is still whole; damage is found by restore.
import test from 'node:test';
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { Tarn, baseSeed, command, rng, tempDir, until } from './lib.mjs';
import { Judge } from './differential/judge.mjs';
import { delta, deltaRows, digest, iceberg } from './tables/readers.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 s'; ALTER SYSTEM SET log_segment_bytes = '16 MiB';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL, pad text) WITH (event_time = 'ts', max_future_skew = '0');
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', max_future_skew = '0');
CREATE MATERIALIZED VIEW batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;
CREATE MATERIALIZED VIEW ids AS SELECT batch, count(*) AS n FROM keyed GROUP BY batch;`;
const backup = async (t, dest) => {
  const v = await t.ok('POST', '/api/v1/sql', `CALL backup('${dest}')`, { 'content-type': 'application/sql' });
  return Object.fromEntries(v.columns.map((c, i) => [c, v.rows[0][i]]));
};
const files = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).length;
async function restored(dest, o = {}) {
  const data = join(tempDir('restored'), 'data');
  const r = await command(['restore', dest, '--data', data]);
  assert.equal(r.code, 0, r.err);
  return new Tarn({ sql, data, ...o }).start();
}

test('a backup under load holds all that was acknowledged before it; the next brings what is new', { timeout: 600000 }, async () => {
  const seed = baseSeed, r = rng(seed);
  console.log(`seed ${seed}`);
  const t = await new Tarn({ sql }).start();
  const acked = new Map(), keyed = new Map();
  const stop = { now: false };
  let next = 1;
  async function sender() {
    while (!stop.now) {
      const batch = next++, rows = 1 + r.below(400), pad = randomBytes(rows * 60).toString('hex');
      const ts = (i) => new Date(Date.UTC(2026, 2, 1 + (batch % 5), i % 24)).toISOString();
      await t.post('plain', Array.from({ length: rows }, (_, i) => JSON.stringify({ batch, seq: i, ts: ts(i), pad: pad.slice(120 * i, 120 * i + 120) })).join('\n'));
      acked.set(batch, rows);
      await t.post('keyed', Array.from({ length: 10 }, (_, i) => JSON.stringify({ id: `${batch}-${i}`, batch, ts: ts(i) })).join('\n'));
      keyed.set(batch, 10);
    }
  }
  const senders = [1, 2, 3].map(sender);
  const dest = join(tempDir('dest'), 'b');
  let before;
  for (let round = 0; round < 3; round++) {
    const wanted = acked.size + 30;
    await until(() => acked.size > wanted, 30000);
    const want = new Map(acked), wantKeyed = new Map(keyed);
    const b = await backup(t, dest);
    assert.ok(b.files > 0 && existsSync(join(dest, 'manifest')) && !existsSync(join(dest, 'incomplete')));
    assert.equal(readdirSync(dest).filter((n) => n.startsWith('state-')).length, 1);
    const [run] = (await t.ok('GET', '/api/v1/runs?limit=1000')).runs.filter((x) => x.kind === 'backup');
    assert.deepEqual([run.state, run.files, run.rows], ['done', b.files, 0]);
    assert.ok(run.detail.startsWith(`to ${dest}: ${b.files} files of `) && Date.parse(run.ended_at) >= Date.parse(run.started_at), JSON.stringify(run));
    if (before) {
      // Of the lake files that both have none was brought again.
      const old = new Map(before.split('\n').filter((l) => / lake\//.test(l)).map((l) => [l, true]));
      const now = readFileSync(join(dest, 'manifest'), 'utf8').split('\n').filter((l) => / lake\//.test(l));
      const same = now.filter((l) => old.has(l)).length;
      assert.equal(b.kept, same);
      assert.equal(b.linked, now.length - same);
    }
    before = readFileSync(join(dest, 'manifest'), 'utf8');
    assert.equal(files(dest), before.split('\n').filter((l) => l.startsWith('file ')).length + 1);
    const back = await restored(dest);
    const rows = new Map((await back.view('batches')).map((x) => [x.batch, x]));
    for (const [batch, n] of want) assert.deepEqual([rows.get(batch)?.n, rows.get(batch)?.seqs], [n, n], `batch ${batch}`);
    for (const [batch, x] of rows) assert.equal(x.n, x.seqs, `batch ${batch} doubled`);
    const ids = new Map((await back.view('ids')).map((x) => [x.batch, x.n]));
    for (const [batch, n] of wantKeyed) assert.equal(ids.get(batch), n);
    // It goes on: duplicates are known, new events are taken, all of it verifies.
    const one = [...wantKeyed.keys()][0];
    const again = await back.post('keyed', JSON.stringify({ id: `${one}-0`, batch: one, ts: '2026-03-01T00:00:00Z' }));
    assert.deepEqual([again.accepted, again.duplicates], [0, 1]);
    assert.equal((await back.verify()).equal, true);
    await back.stop();
  }
  stop.now = true;
  await Promise.all(senders);
  // Once compaction has come to rest a backup brings no file again.
  await until(async () => {
    const b = await backup(t, dest);
    return b.kept > 0 && b.linked === 0;
  }, 30000);
  assert.equal((await t.verify()).equal, true);
  await t.stop();
});

test('of a restored folder the Iceberg and Delta tables say what Tarn says, and go on', { timeout: 600000 }, async () => {
  const types = { plain: { batch: 'number', seq: 'number', ts: 'time', pad: 'text' }, keyed: { id: 'text', batch: 'number', ts: 'time' } };
  const judge = await new Judge().open(), t = await new Tarn({ sql: sql.replace("'1 s'", "'1 hour'") }).start();
  let made = 0;
  const more = async (t) => {
    const k = made++;
    await t.post('plain', Array.from({ length: 50 }, (_, i) => JSON.stringify({ batch: k, seq: i, ts: new Date(Date.UTC(2026, 2, 1 + k % 4, i % 24)).toISOString(), pad: i % 5 ? `ö${i}` : null })).join('\n'));
    await t.post('keyed', Array.from({ length: 20 }, (_, i) => JSON.stringify({ id: `${k}-${i}`, batch: k, ts: '2026-03-01T00:00:00Z' })).join('\n'));
  };
  const same = async (t, where) => {
    for (const [name, of] of Object.entries(types)) {
      const want = digest(await t.sql(`SELECT ${Object.keys(of).join(', ')} FROM ${name}`), of), folder = join(t.data, 'lake/silver', name);
      await until(() => existsSync(join(folder, '_delta_log')) && existsSync(join(folder, 'metadata/version-hint.text')));
      const base = `file://${t.data}/lake`;
      assert.deepEqual(digest(await iceberg.rows(base, `silver/${name}`, await iceberg.metadata(base, `silver/${name}`)), of), want, `${where}: Iceberg, ${name}`);
      const state = await delta(folder);
      assert.deepEqual(digest(await deltaRows(judge, folder, state, of), of), want, `${where}: Delta, ${name}`);
    }
  };
  for (let i = 0; i < 12; i++) { await more(t); await t.cut(); }
  await same(t, 'before');
  await more(t);                                // In the log alone: it is in the backup.
  const dest = join(tempDir('dest'), 'b');
  await backup(t, dest);
  await more(t);                                // This is not.
  const back = await restored(dest);
  await back.cut();
  assert.equal((await back.view('ids')).length, made - 1);
  await same(back, 'restored');
  await more(back);
  await back.cut();
  await same(back, 'and on');
  await back.restart();
  await same(back, 'started again');
  assert.equal((await back.verify()).equal, true);
  await back.stop();
  await t.stop();
});

// Goal: what only the log's journal has, not yet LMDB, is in a backup of a running tarn, and in one of a folder whose tarn was
// killed; the folder itself has it afterwards, too.
test('what is in the journal alone is in a backup', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: sql.replace("'1 s'", "'1 hour'") }).start();
  const event = (i) => JSON.stringify({ id: `e${i}`, batch: 1, ts: '2026-03-01T00:00:00Z' });
  const commits = async (to) => Number(new RegExp(`^tarn_log_commits_total\\{to="${to}"\\} (\\d+)$`, 'm').exec(await t.ok('GET', '/metrics'))[1]);
  let n = 0;
  const more = async () => {
    const had = [await commits('journal'), await commits('segment')];
    for (let i = 0; i < 5; i++) await t.post('keyed', event(n++), { headers: { 'idempotency-key': `k${n}` } });
    assert.deepEqual([await commits('journal') - had[0], await commits('segment') - had[1]], [5, 0], 'they are in the journal alone');
  };
  const holds = async (dest) => {
    const back = await restored(dest, { sql: t.o.sql });
    assert.equal((await back.view('ids'))[0]?.n, n);
    assert.deepEqual([(await back.post('keyed', event(n - 1))).duplicates, (await back.post('keyed', event(0))).duplicates], [1, 1]);
    const again = await back.call('POST', '/api/v1/streams/keyed', event(n - 1), { 'content-type': 'application/x-ndjson', 'idempotency-key': `k${n}` });
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    await back.cut();
    assert.equal((await back.view('ids'))[0].n, n);
    assert.equal((await back.verify()).equal, true);
    await back.stop();
  };
  const dest = join(tempDir('dest'), 'b'), other = join(tempDir('dest'), 'b');
  for (const cut of [false, true]) {
    await more();
    if (cut) await t.cut();
    await more();
    await backup(t, dest);
    await holds(dest);
    await more();
    await t.kill();
    assert.ok(existsSync(join(t.data, 'log/journal')));
    const r = await command(['backup', other, '--data', t.data]);
    assert.equal(r.code, 0, r.err);
    await holds(other);
    await t.start();
    assert.equal((await t.view('ids'))[0].n, n);
  }
  await t.stop();
});

test('killed at each step, the backup before is whole and the next one works', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const dest = join(tempDir('dest'), 'b');
  let n = 0;
  const more = async () => {
    for (let i = 0; i < 3; i++) {
      await t.post('keyed', JSON.stringify({ id: `e${n++}`, batch: 1, ts: `2026-03-0${1 + (n % 9)}T00:00:00Z` }));
      if (i < 2) await t.cut();
    }
  };
  const holds = async (want) => {
    const back = await restored(dest);
    assert.equal((await back.view('ids'))[0].n, want);
    assert.equal((await back.verify()).equal, true);
    await back.stop();
  };
  let whole = 0;
  for (const point of ['backup_log', 'backup_catalog', 'backup_file:2', 'backup_files', 'backup_manifest', 'backup_named']) {
    await more();
    t.o.env = { TARN_CRASH: point };
    await t.restart();
    await assert.rejects(backup(t, dest));
    assert.equal((await t.ended).signal, 'SIGKILL', point);
    t.o.env = {};
    await t.start();
    if (point === 'backup_named') whole = n;
    if (whole > 0) {
      await holds(whole);
    } else {
      const r = await command(['restore', dest, '--data', join(tempDir('no'), 'x')]);
      assert.notEqual(r.code, 0);
      assert.match(r.err, /incomplete/);
    }
    if (point === 'backup_log') continue;               // Twice without any.
    await backup(t, dest);
    whole = n;
    await holds(whole);
    assert.ok(!existsSync(join(dest, 'incomplete')));
    assert.equal(readdirSync(dest).filter((x) => x.startsWith('state-')).length, 1);
  }
  // A restore that dies leaves nothing that could be taken for a data folder.
  const half = join(tempDir('half'), 'x');
  await command(['restore', dest, '--data', half], { env: { TARN_CRASH: 'restore_files' } });
  assert.ok(existsSync(join(half, 'lake')) && !existsSync(join(half, 'catalog.db')));
  const start = await command(['run', '--data', half, '--config', t.config, '--http', '127.0.0.1:0'], { env: { TARN_MQTT: 'none' } });
  assert.notEqual(start.code, 0);
  assert.match(start.err, /catalog/);
  const again = await command(['restore', dest, '--data', half]);
  assert.notEqual(again.code, 0);
  assert.match(again.err, /empty/);
  await holds(whole);
  await t.stop();
});

test('a stopped tarn, damage, and what is refused', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  await t.post('keyed', Array.from({ length: 100 }, (_, i) => JSON.stringify({ id: `e${i}`, batch: 1, ts: '2026-03-01T00:00:00Z' })).join('\n'));
  await t.cut();
  const dest = join(tempDir('dest'), 'b'), other = tempDir('other');
  writeFileSync(join(other, 'letter.txt'), 'mine');
  const refused = async (path, status, why) => {
    const r = await t.call('POST', '/api/v1/sql', `CALL backup('${path}')`, { 'content-type': 'application/sql' });
    assert.equal(r.status, status, JSON.stringify(r.body));
    assert.match(r.body.detail, why);
  };
  await refused(other, 409, /other things/);
  await refused('b', 400, /begin with/);
  await refused(join(t.data, 'lake', 'b'), 400, /in each other/);
  rmSync(join(t.data, 'lake', 'b'), { recursive: true, force: true });
  assert.deepEqual(readdirSync(other), ['letter.txt']);
  // The command asks the tarn that has the folder, over HTTP.
  const asked = await command(['backup', dest, '--url', t.url, '--format', 'csv']);
  assert.equal(asked.code, 0, asked.err);
  assert.match(asked.out, /^lsn,files,bytes/);
  // Another file system: copies instead of second names.
  if (existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync(t.data).dev) {
    const far = mkdtempSync('/dev/shm/tarn-backup-');
    process.on('exit', () => rmSync(far, { recursive: true, force: true }));
    const first = await backup(t, far), second = await backup(t, far);
    assert.ok(first.linked === 0 && first.kept === 0 && second.kept > 0 && second.copied < first.copied);
    const there = await restored(far);
    assert.equal((await there.view('ids'))[0].n, 100);
    assert.equal((await there.verify()).equal, true);
    await there.stop();
  }
  await t.stop();
  const alone = await command(['backup', dest, '--data', t.data]);
  assert.equal(alone.code, 0, alone.err);
  assert.match(alone.out, /files/);
  let r = await command(['restore', dest, '--data', t.data]);
  assert.equal(r.code, 6, r.err);
  assert.match(r.err, /not empty/);
  r = await command(['restore', other, '--data', join(other, 'x')]);
  assert.match(r.err, /no backup/);
  const back = await restored(dest);
  assert.equal(statSync(join(back.data, 'catalog.db')).mode & 0o777, 0o600);
  assert.equal(statSync(join(dest, readdirSync(dest).find((n) => n.startsWith('state-')), 'catalog.db')).mode & 0o777, 0o600);
  assert.equal((await back.view('ids'))[0].n, 100);
  assert.equal((await back.verify()).equal, true);
  // A restored folder can be backed up to the same place.
  const again = await backup(back, dest);
  assert.ok(again.kept > 0);
  await back.stop();
  // One byte, one file, the manifest.
  const line = readFileSync(join(dest, 'manifest'), 'utf8').split('\n').find((l) => / lake\/bronze/.test(l)).split(' ')[3];
  const bytes = readFileSync(join(dest, line)), bad = Buffer.from(bytes);
  bad[bytes.length >> 1] ^= 1;
  rmSync(join(dest, line));
  const lost = await command(['restore', dest, '--data', join(tempDir('x'), 'd')]);
  assert.match(lost.err, /missing/);
  writeFileSync(join(dest, line), bad);
  const hurt = await command(['restore', dest, '--data', join(tempDir('x'), 'd')]);
  assert.match(hurt.err, /damaged/);
  writeFileSync(join(dest, line), bytes);
  appendFileSync(join(dest, 'manifest'), 'x');
  const cut = await command(['restore', dest, '--data', join(tempDir('x'), 'd')]);
  assert.match(cut.err, /manifest/);
});

test('a folder of an earlier Tarn stays one while this one only plans, or backs it up', { timeout: 120000 }, async () => {
  const t = await new Tarn({ sql }).start(), dest = join(tempDir('dest'), 'b');
  await t.post('keyed', '{"id":"1","batch":1,"ts":"2026-03-01T00:00:00Z"}');
  await t.cut();
  await t.stop();
  // The catalog as it was before it knew what runs made of each view: number 8, and no table of that name.
  const path = join(t.data, 'catalog.db'), old = Buffer.from(readFileSync(path, 'latin1').replaceAll('run_view', 'run_wiew'), 'latin1');
  assert.equal(old.readUInt32BE(60) > 8, true);
  old.writeUInt32BE(8, 60);
  writeFileSync(path, old);
  const p = await command(['plan', '--config', t.config, '--data', t.data]);
  assert.deepEqual([p.code, /nothing to do/.test(p.out)], [0, true], p.out + p.err);
  assert.deepEqual(readFileSync(path), old, 'after plan');
  const b = await command(['backup', dest, '--data', t.data]);
  assert.equal(b.code, 0, b.err);
  assert.deepEqual(readFileSync(path), old, 'after backup');
  const kept = readFileSync(join(dest, readdirSync(dest).find((n) => n.startsWith('state-')), 'catalog.db'));
  assert.equal(kept.readUInt32BE(60), 8, 'the backup is for both');
  const back = await restored(dest);
  assert.equal((await back.view('ids'))[0].n, 1);
  assert.equal((await back.verify()).equal, true);
  assert.match(back.err, /from schema 8 to \d+: an earlier Tarn refuses this folder/);
  assert.doesNotMatch(p.err + b.err, /schema/);
  await back.restart();
  assert.doesNotMatch(back.err, /schema/, 'said once');
  await back.stop();
  assert.equal(readFileSync(join(back.data, 'catalog.db')).readUInt32BE(60) > 8, true);
});

// What a real tarn does when the disk fails, is full, or the process dies at
// the worst places; and that neither huge nor broken-off bodies hurt it.
//   strace injects EIO into the syncs of the running process
//   a small tmpfs is filled and freed
//   TARN_CRASH ends the process at named places
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { connect } from 'node:net';
import { spawn, spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { writeFileSync, readFileSync, rmSync, readdirSync, existsSync } from 'node:fs';
import { createGzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { join } from 'node:path';
process.setMaxListeners(0);
import { Tarn, baseSeed, command, rng, root, stopwatch, tempDir, until, within } from './lib.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '1';
ALTER SYSTEM SET snapshot_keep = '1 s';
ALTER SYSTEM SET log_segment_bytes = '16 MiB';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts');
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;
CREATE MATERIALIZED VIEW keyed_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM keyed GROUP BY batch;`;

const noise = rng(baseSeed);
const hex = () => Array.from({ length: 30 }, () => Math.floor(noise.next() * 2 ** 32).toString(16)).join('');
/** 12 KB that no compressor likes, the same for the same event. */
const huge = (batch, seq) => createCipheriv('aes-128-ctr', Buffer.alloc(16, batch), Buffer.alloc(16, seq)).update(Buffer.alloc(9000)).toString('base64');
/** ${fat}: with a field that no column takes and no compressor likes. */
const lines = (stream, batch, rows, fat) => Array.from({ length: rows }, (_, i) => JSON.stringify({
  ...(stream === 'keyed' ? { id: `${batch}-${i}` } : {}), batch, seq: i,
  ts: new Date(Date.UTC(2026, 2, 1 + batch % 5, i % 24)).toISOString(), ...(fat ? { pad: fat === 'huge' ? huge(batch, i) : hex() } : {}) })).join('\n') + '\n';

/** What was sent, what was said about it, and whether the server has just that. */
class Ledger {
  constructor(t) { this.t = t; this.sent = { plain: new Map(), keyed: new Map() }; this.next = 1; }

  async send(stream, rows, batch = this.next++, fat = false) {
    this.sent[stream].set(batch, { rows, fat, acked: this.sent[stream].get(batch)?.acked ?? false });
    // Node may keep a connection of the process before; a key makes the retry safe.
    const r = await this.t.call('POST', `/api/v1/streams/${stream}`, lines(stream, batch, rows, fat),
      { 'content-type': 'application/x-ndjson', 'idempotency-key': `b${batch}` });
    if (r.status === 200) {
      assert.equal(r.body.accepted + r.body.duplicates, rows);
      this.sent[stream].get(batch).acked = true;
    }
    return r;
  }

  async check() {
    for (const stream of ['plain', 'keyed']) {
      const rows = new Map((await this.t.view(`${stream}_batches`)).map((x) => [x.batch, x]));
      for (const [batch, e] of this.sent[stream]) {
        const got = rows.get(batch);
        if (e.acked) assert.ok(got, `${stream} ${batch} was acknowledged and is gone`);
        if (got) assert.deepEqual([got.n, got.seqs], [e.rows, e.rows], `${stream} ${batch} (acknowledged ${e.acked})`);
        rows.delete(batch);
      }
      assert.equal(rows.size, 0, 'nothing was made up');
    }
  }

  /** The same, and silver, and what the raw bytes say. */
  async checkAll() {
    await this.check();
    await this.t.cut();
    await this.check();
    for (const stream of ['plain', 'keyed']) {
      const want = (await this.t.view(`${stream}_batches`)).reduce((a, x) => a + x.n, 0);
      const [{ n }] = await this.t.sql(`SELECT count(*) AS n FROM ${stream}`);
      assert.equal(n, want, `silver of ${stream}`);
    }
    const v = await this.t.verify();
    assert.equal(v.equal, true, v.text);
  }
}

const strace = spawnSync('strace', ['-V']).status === 0;

/** Inject into the running process until detach(). */
async function inject(t, what) {
  const s = spawn('strace', ['-f', '-p', String(t.child.pid), '-o', '/dev/null', '-e', `trace=${what.split(':')[0]}`, '-e', `inject=${what}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  s.stderr.on('data', (d) => { err += d; });
  const ended = new Promise((r) => s.on('exit', r));
  await until(() => /attached/.test(err) || s.exitCode !== null, 5000, 5);
  assert.match(err, /attached/, err);
  return async () => { s.kill('SIGINT'); await ended; };
}

/** The one setting of the log that says which way a small commit goes. */
const journaled = (bytes) => `${sql}\nALTER SYSTEM SET log_journal_bytes = '${bytes}';`;

// The journal's sync is its write (O_DSYNC); LMDB's is a call.
for (const [way, bytes, call, said] of [['to the journal', '256 KiB', 'pwrite64', /^write log\/journal: /], ['to a segment', '0', 'fdatasync', /^commit to log\/\d+\.mdb: /]])
test(`after a failed sync (${way}) nothing is acknowledged, reads go on, a restart has every acknowledged event`, { skip: !strace && 'no strace' }, async () => {
  const t = await new Tarn({ sql: journaled(bytes) }).start();
  const l = new Ledger(t);
  for (let i = 0; i < 3; i++) assert.equal((await l.send('plain', 5)).status, 200);
  await t.cut();
  const detach = await inject(t, `${call}:error=EIO:when=4+`);      // counted for each thread
  const answers = [];
  for (let i = 0; i < 12; i++) answers.push(await l.send(i % 2 ? 'keyed' : 'plain', 7));
  const first = answers.findIndex((a) => a.status !== 200);
  assert.ok(first >= 1 && first <= 6, `the first failure was answer ${first}`);
  for (const a of answers.slice(first)) {
    assert.equal(a.status, 503, JSON.stringify(a.body));
    assert.equal(a.body.type, '/problems/log-failed');
    assert.match(a.body.detail + a.body.hint, /restart/);
    assert.ok(a.body.hint.length > 10);
  }
  const ready = await t.call('GET', '/readyz');
  assert.equal(ready.status, 503);
  assert.match((await t.ok('GET', '/api/v1/status')).log.failure, said);
  assert.match((await (await t.fetch('/metrics')).text()), /tarn_log_failed 1/);
  await l.check();                                                     // reads
  await detach();
  assert.equal((await l.send('plain', 1)).status, 503, 'it stays so until the restart');
  await t.restart('stop');
  assert.equal((await t.call('GET', '/readyz')).status, 200);
  await l.check();
  for (const s of ['plain', 'keyed'])
    for (const [b, e] of l.sent[s]) assert.equal((await l.send(s, e.rows, b)).status, 200);   // all again
  await l.checkAll();
  await t.stop();
});

test('a sync that fails in a cut leaves the old cut in force, the next cut takes all', { skip: !strace && 'no strace' }, async () => {
  const t = await new Tarn({ sql }).start();
  const l = new Ledger(t);
  for (let i = 0; i < 4; i++) await l.send(i % 2 ? 'keyed' : 'plain', 50);
  await t.cut();
  const before = await t.ok('GET', '/api/v1/status');
  for (let i = 0; i < 4; i++) await l.send(i % 2 ? 'keyed' : 'plain', 50);
  const detach = await inject(t, 'fsync:error=EIO');
  const r = await t.call('POST', '/api/v1/batch/run');
  assert.ok(r.status >= 500, JSON.stringify(r.body));
  assert.equal((await t.ok('GET', '/api/v1/status')).batch_lsn, before.batch_lsn);
  assert.equal((await l.send('plain', 3)).status, 200, 'events are taken meanwhile');
  await l.check();
  await detach();
  const runs = (await t.ok('GET', '/api/v1/runs')).runs;
  assert.equal(runs[0].state, 'failed');
  assert.ok(runs[0].detail.length > 5);
  await l.checkAll();
  await t.restart('kill');
  await l.checkAll();
  await t.stop();
});

test('a full disk: 507, reads go on, nothing acknowledged is lost, events are taken again once there is space', async (ctx) => {
  const dir = tempDir('full');
  const m = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir]);
  if (m.status !== 0) return ctx.skip(`no tmpfs may be mounted here: ${m.stderr}`);
  const t = new Tarn({ sql: `${sql}\nALTER SYSTEM SET memory_full_max = '1 s';`, data: join(dir, 'data') });
  const health = async () => { const a = await t.call('GET', '/readyz'); return [a.status, a.text ?? String(a.body)]; };
  try {
    await t.start();
    const l = new Ledger(t);
    const ballast = join(dir, 'ballast');
    let refused = 0;
    for (let round = 0; round < 3; round++) {
      assert.equal((await l.send('plain', 100)).status, 200);
      for (let size = 32 << 20; size >= 1024; size >>= 1)              // all that fits
        try { writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' }); } catch { /* full */ }
      let last = 200;
      for (let i = 0; i < 200 && last === 200; i++) last = (await l.send(i % 2 ? 'keyed' : 'plain', 400, undefined, true)).status;
      assert.equal(last, 507);
      refused++;
      const r = await l.send('plain', 500, undefined, true);
      assert.equal(r.status, 507, JSON.stringify(r.body));
      assert.equal(r.body.type, '/problems/disk-full');
      assert.equal((await t.call('POST', '/api/v1/batch/run')).status >= 500, true, 'no space for a cut');
      await l.check();
      assert.equal((await t.call('GET', '/livez')).status, 200);
      await until(async () => (await health())[0] === 503, 10000);
      assert.match((await health())[1], /no events were taken for \d+ s: the disk is full/);
      assert.match(t.err, /no events are taken for now: the disk of/);
      rmSync(ballast);
      const had = stopwatch();
      await until(async () => (await l.send('keyed', 10)).status === 200, 5000);
      assert.ok(had.stop() < 5000);
      await until(async () => (await health())[0] === 200, 5000);
      assert.match(t.err, /events are taken again: the disk/);
      await l.check();
      if (round === 1) await t.restart('kill');
    }
    await l.checkAll();
    const end = await t.stop();
    assert.deepEqual(end, { code: 0, signal: null }, t.err.slice(-1000));
    console.log(`${refused} times full`);
  } finally {
    await t.kill?.();
    rmSync(join(dir, 'ballast'), { force: true });
    spawnSync('umount', ['-l', dir]);
  }
});

test('a start on a full disk says that it is full, and with room again all is there', async (ctx) => {
  const dir = tempDir('full'), ballast = join(dir, 'ballast');
  const m = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir]);
  if (m.status !== 0) return ctx.skip(`no tmpfs may be mounted here: ${m.stderr}`);
  const t = new Tarn({ sql, data: join(dir, 'data') });
  try {
    await t.start();
    const l = new Ledger(t);
    assert.equal((await l.send('keyed', 100)).status, 200);
    await t.stop();
    for (let size = 32 << 20; size >= 1024; size >>= 1)
      try { writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' }); } catch { /* full */ }
    await assert.rejects(t.start(), (e) => {
      assert.match(e.message, /tarn: .*: no space\n {2}hint: the disk of \S+\/data is full: make room there, and start again/);
      assert.doesNotMatch(e.message, /tarn: .*input\/output error/);
      return true;
    });
    rmSync(ballast);
    await t.start();
    await l.checkAll();
    assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err);
  } finally {
    await t.kill?.();
    spawnSync('umount', ['-l', dir]);
  }
});

test('few files may be open: connections are refused before the log, a cut and HTTP are short of them', async () => {
  const t = await new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'], wrap: ['prlimit', '--nofile=200:200'] }).start();
  assert.match(t.err, /mqtt_connections_max is \d+ and not 20000: this process may have 200 files open/);
  const port = Number(/mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(t.out)[1]), crowd = [];
  for (let i = 0; i < 400; i++) {
    const s = connect(port, '127.0.0.1').on('error', () => {});
    await new Promise((done) => s.once('connect', done).once('close', done));
    crowd.push(s);
  }
  const l = new Ledger(t);
  for (let i = 0; i < 3; i++) {
    assert.equal((await l.send('keyed', 50)).status, 200);
    await t.cut();
  }
  await l.checkAll();
  for (const s of crowd) s.destroy();
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-1000));
});

// Where a process dies, and after how many passages. Every name in src is here,
// or in the file of a room with doors of its own (mqtt_faults, objects, ...).
const points = ['log_before_commit:3', 'log_before_commit:7', 'log_committed:3', 'log_committed:9',
  'log_before_journal:1', 'log_before_journal:4', 'log_before_journal:9', 'log_journaled:1', 'log_journaled:4', 'log_journaled:9',
  'log_before_checkpoint:1', 'log_before_checkpoint:2', 'log_checkpointed:1', 'log_checkpointed:2', 'log_journal_made:1',
  'log_allocated:1', 'log_allocated:2', 'log_reserved:1', 'log_reserved:3', 'log_segment_filled:1', 'log_segment_filled:2',
  'log_lock_named:1', 'log_lock_named:2', 'log_segment_named:1', 'log_segment_named:2', 'log_segment_begun:1', 'log_segment_begun:2', 'log_trimmed:1',
  'cut_sealed:1', 'cut_sealed:3', 'cut_bronze:1', 'cut_bronze:4', 'cut_silver:1', 'cut_silver:6', 'cut_keys:1', 'cut_keys:2',
  'cut_gold:1', 'cut_gold:3', 'cut_written:1', 'cut_written:2', 'publish_before:1', 'publish_before:3', 'publish_before:4',
  'publish_after:1', 'publish_after:2', 'publish_after:3', 'publish_after:5', 'trim_before:1', 'trim_before:3', 'cut_published:1', 'cut_published:2',
  'lake_file_begun:1', 'lake_file_begun:9', 'lake_file_synced:1', 'lake_file_synced:12', 'lake_keys_synced:1', 'lake_keys_synced:3',
  'lake_folder_synced:1', 'lake_folder_synced:7', 'lake_swept:1', 'lake_swept:2',
  'catalog_before_commit:1', 'catalog_before_commit:5', 'catalog_before_commit:9', 'catalog_committed:1', 'catalog_committed:4', 'catalog_committed:8',
  'compact_begun:1', 'compact_written:1', 'compact_published:1', 'recompute_folded:1', 'collect_unlinked:1', 'collect_unlinked:2',
  'expire_after:1', 'rollback_written:1'];
// Where a start passes: the first one makes a first run die at a place that leaves something for it.
const before = { lake_swept: 'publish_before:2', log_journal_made: 'log_journaled:4' };
// A journal that is soon full is checkpointed; without one each commit is LMDB's.
const journalFor = (point) => (/^log_(before_commit|committed)/.test(point) ? '0' : /checkpoint/.test(point) ? '16 KiB' : '256 KiB');

/** More than a segment of 16 MiB. */
const fill = async (l) => { for (let k = 0; k < 32; k++) await l.send('plain', 60, undefined, 'huge'); };

/** Events, cuts, a recompute; ends early when the process does. */
async function life(t, l, point) {
  try {
    await t.start();
    for (let round = 0; round < 3; round++) {
      for (let k = 0; k < 4; k++) await l.send(k % 2 ? 'keyed' : 'plain', 1 + k * 40);
      if (round === 0 && /^log_(?!before|committed)/.test(point)) await fill(l);
      await t.cut();
    }
    await t.recompute('plain_batches');
    if (/expire|rollback/.test(point)) {
      const s = await t.ok('GET', '/api/v1/snapshots');
      await t.ok('POST', '/api/v1/sql', `CALL rollback('plain_batches', snapshot => ${s.snapshots.at(-1).sequence})`);
      await t.ok('POST', '/api/v1/sql', "CALL expire_snapshots('0 s')");
    }
    if (/collect/.test(point)) {
      await until(async () => Date.now() > 0 && new Promise((r) => setTimeout(() => r(true), 1100)));   // snapshot_keep
      await l.send('plain', 1);
      await t.cut();
    }
  } catch (e) {
    if (e instanceof assert.AssertionError) throw e;
  }
  // It is dead or dying, or comes to the place by itself.
  return (await within(t.ended, 20000))?.signal === 'SIGKILL';
}

test('every named place in the source is among those that a process is killed at', () => {
  const named = new Set(), src = join(root, 'src'), e2e = join(root, 'tests/e2e');
  for (const f of readdirSync(src, { recursive: true }))
    if (f.endsWith('.c')) for (const m of readFileSync(join(src, f), 'utf8').matchAll(/tn_os_crash_point\("(\w+)"\)/g)) named.add(m[1]);
  // Rooms with doors of their own are killed in their own files.
  const tests = readdirSync(e2e, { recursive: true }).filter((f) => f.endsWith('.mjs')).map((f) => readFileSync(join(e2e, f), 'utf8')).join('\n');
  assert.deepEqual([...named].filter((n) => !new RegExp(`\\b${n}\\b`).test(tests)), []);
  assert.deepEqual(points.map((p) => p.split(':')[0]).filter((n) => !named.has(n)), []);
  assert.ok(named.size >= 20);
});

test(`killed at each of ${points.length} named places: exactly once, equal, nothing left over`, { timeout: 600000 }, async () => {
  const unreached = [];
  await Promise.all([0, 1].map(async (lane) => {
    for (let i = lane; i < points.length; i += 2) {
      const first = before[points[i].split(':')[0]];
      const t = new Tarn({ sql: journaled(journalFor(points[i])), env: { TARN_CRASH: first ?? points[i] } });
      const l = new Ledger(t);
      let died = await life(t, l, first ?? points[i]);
      if (first) {
        assert.ok(died, first);
        t.o.env = { TARN_CRASH: points[i] };
        died = await t.start().then(() => false, () => t.exit.signal === 'SIGKILL');
      }
      if (!died) unreached.push(points[i]);
      await t.kill();
      t.o.env = {};
      await t.start();
      await l.check();
      for (const s of ['plain', 'keyed'])
        for (const [b, e] of l.sent[s]) assert.equal((await l.send(s, e.rows, b, e.fat)).status, 200);
      for (const s of ['plain', 'keyed'])
        for (const e of l.sent[s].values()) assert.equal(e.acked, true);
      await l.checkAll();
      const named = new Set((await t.ok('GET', '/api/v1/files')).files.map((f) => f.path));
      for (const p of named) assert.ok(existsSync(join(t.data, 'lake', p)), `${points[i]}: ${p} is named and not there`);
      // A compaction of the living process ends by itself; a dead run would not.
      await until(async () => (await t.ok('GET', '/api/v1/runs?limit=100')).runs.every((r) => r.state !== 'running'), 10000);
      assert.deepEqual(await t.stop(), { code: 0, signal: null });
      for (const f of readdirSync(t.data, { recursive: true })) assert.ok(!/\.(tmp|new)$/.test(f), `${points[i]}: ${f} is left over`);
      rmSync(t.data, { recursive: true });
    }
  }));
  assert.deepEqual(unreached, [], 'places that no run came to');
});

/** Commits since the start, by where they went. */
const commits = async (t) => {
  const text = await t.ok('GET', '/metrics');
  return Object.fromEntries(['journal', 'segment'].map((to) => [to, Number(new RegExp(`^tarn_log_commits_total\\{to="${to}"\\} (\\d+)$`, 'm').exec(text)[1])]));
};

// Goal: what only the journal has outlasts a process that dies, and dies again while the next start brings it to LMDB, before
// or after that is done; and what comes after that goes where it was in the journal, and is not taken for it.
test('killed with all in the journal, killed again at each place of its replay: all is there once', { timeout: 600000 }, async () => {
  for (const place of ['log_before_checkpoint', 'log_before_commit', 'log_committed', 'log_checkpointed']) {
    const t = new Tarn({ sql });
    await t.start();
    const l = new Ledger(t);
    for (let round = 0; round < 3; round++) {
      const had = await commits(t);
      for (let k = 0; k < 6; k++) assert.equal((await l.send(k % 2 ? 'keyed' : 'plain', [1, 30, 3][k % 3])).status, 200);
      const now = await commits(t);
      assert.deepEqual([now.journal - had.journal, now.segment - had.segment], [6, 0], 'they are in the journal alone');
      await t.kill();
      t.o.env = { TARN_CRASH: place };
      await assert.rejects(t.start());
      assert.equal(t.exit.signal, 'SIGKILL', place);
      if (/before/.test(place)) {
        await assert.rejects(t.start());                                // And again: it is still to be done.
        assert.equal(t.exit.signal, 'SIGKILL', `${place}, again`);
      }
      t.o.env = {};
      await t.start();
      assert.equal((await commits(t)).segment, /before/.test(place) ? 1 : 0, `${place}: what is done is not done again`);
      await l.check();
    }
    for (const s of ['plain', 'keyed'])
      for (const [b, e] of l.sent[s]) assert.equal((await l.send(s, e.rows, b)).headers.get('idempotency-replayed'), 'true');
    await l.checkAll();
    assert.deepEqual(await t.stop(), { code: 0, signal: null });
    assert.ok(!existsSync(join(t.data, 'log/journal')), 'a clean end has no journal');
  }
});

test('a body of many chunks with an Idempotency-Key, killed in the middle and sent again, is there once', { timeout: 600000 }, async () => {
  const rows = 110000;
  const r = rng(baseSeed);
  console.log(`seed ${baseSeed}`);
  for (const [crash, bytes] of [['log_journaled:1', '1 MiB'], ['log_journaled:2', '1 MiB'], ['log_before_checkpoint:1', '256 KiB'], ['log_checkpointed:1', '256 KiB'],
    ['log_committed:2', '0'], ['log_before_commit:2', '0'], [null, '256 KiB'], [null, '256 KiB'], [null, '0']]) {
    const t = await new Tarn({ sql: journaled(bytes), env: crash ? { TARN_CRASH: crash } : {} }).start();
    const body = lines('plain', 1, rows);
    assert.ok(body.length > 5e6);
    const post = () => t.call('POST', '/api/v1/streams/plain', body, { 'content-type': 'application/x-ndjson', 'idempotency-key': 'big' });
    const p = post().catch((e) => e);
    if (crash === null) {
      await new Promise((x) => setTimeout(x, 2 + r.below(60)));
      await t.kill();
    }
    await Promise.race([p, t.ended]);
    // Whether a checkpoint comes in the middle depends on how chunks gather.
    if (crash && !/checkpoint/.test(crash)) assert.equal((await within(t.ended, 5000))?.signal, 'SIGKILL', crash);
    await t.kill();
    t.o.env = {};
    await t.start();
    const a = await post();
    assert.equal(a.status, 200, JSON.stringify(a.body));
    assert.deepEqual([a.body.accepted, a.body.quarantined], [rows, 0]);
    assert.deepEqual(await t.view('plain_batches'), [{ batch: 1, n: rows, seqs: rows }]);
    const b = await post();
    assert.equal(b.headers.get('idempotency-replayed'), 'true');
    assert.deepEqual(b.body, a.body);
    await t.restart('kill');
    assert.deepEqual((await post()).body, a.body);
    assert.deepEqual(await t.view('plain_batches'), [{ batch: 1, n: rows, seqs: rows }]);
    await t.stop();
  }
});

const pad = 'x'.repeat(200);
function* megabytes(mb, from = 0) {
  let i = from;
  for (let k = 0; k < mb; k++) {
    const out = [];
    for (let bytes = 0; bytes < 1e6; i++) {
      const s = `{"batch":${i % 1000},"seq":${i},"ts":"2026-03-0${1 + i % 9}T00:00:00Z","pad":"${pad}"}\n`;
      out.push(s);
      bytes += s.length;
    }
    yield Buffer.from(out.join(''));
  }
}

test('a body of 300 MB, plain and gzip, does not grow the process', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: `
ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET cut_rows = '100000000';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL, pad text) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, max(seq) AS last FROM plain;` }).start();
  const rss = async () => (await t.ok('GET', '/api/v1/status')).rss;
  const start = await rss();
  let top = start, sent = 0;
  for (const coding of ['identity', 'gzip']) {
    const source = Readable.from(megabytes(300));
    const body = coding === 'gzip' ? source.pipe(createGzip({ level: 1 })) : source;
    const begun = Date.now();
    const watch = setInterval(() => rss().then((n) => { top = Math.max(top, n); }, () => {}), 100);
    const r = await t.fetch('/api/v1/streams/plain', { method: 'POST', body: Readable.toWeb(body), duplex: 'half',
      headers: { 'content-type': 'application/x-ndjson', ...(coding === 'gzip' ? { 'content-encoding': 'gzip' } : {}) } });
    clearInterval(watch);
    const a = await r.json();
    assert.equal(r.status, 200, JSON.stringify(a));
    assert.equal(a.quarantined, 0);
    sent += a.accepted;
    console.log(`${coding}: ${a.accepted} rows in ${Date.now() - begun} ms, ${Math.round((top - start) / 1e6)} MB more at the top`);
  }
  assert.equal((await t.view('total'))[0].n, sent);
  assert.ok(top - start < 120e6, `${Math.round((top - start) / 1e6)} MB more`);
  await t.stop();
});

test('bodies broken off at any place leave the server healthy and whole', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const l = new Ledger(t);
  const r = rng(baseSeed);
  const cutOff = (headers, parts, after) => new Promise((done) => {
    const q = http.request(`${t.url}/api/v1/streams/plain`, { method: 'POST', agent: false, headers: { 'content-type': 'application/x-ndjson', ...headers } });
    q.on('error', done);
    q.on('response', (x) => { x.resume(); x.on('end', done); x.on('error', done); });
    q.on('close', done);
    for (const p of parts) q.write(p);
    q.flushHeaders();
    setTimeout(() => q.destroy(), after);
  });
  const whole = lines('plain', 900000, 20000);
  const jobs = [];
  for (let i = 0; i < 60; i++) {
    const n = r.pick([0, 1, 10, 70, 65536, 300000, 1200000]);
    jobs.push(cutOff(r.chance(0.5) ? { 'content-length': whole.length } : {}, n ? [whole.slice(0, n)] : [], r.below(40)));
    if (i % 10 === 9) assert.equal((await l.send('keyed', 20)).status, 200);
  }
  await Promise.all(jobs);
  assert.equal((await l.send('plain', 20)).status, 200);
  const s = await t.ok('GET', '/api/v1/status');
  assert.equal(s.log.failure, null);
  // What came of the broken ones are whole rows, each at most as often as it was sent.
  for (const x of await t.view('keyed_batches')) assert.equal(x.n, 20);
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('SIGTERM under load: exit 0, and every acknowledged event is there', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const l = new Ledger(t);
  for (let round = 0; round < 5; round++) {
    const stop = { now: false };
    const senders = ['plain', 'keyed', 'plain', 'keyed'].map(async (s) => { while (!stop.now) try { await l.send(s, 30); } catch (e) { if (e instanceof assert.AssertionError) throw e; await new Promise((x) => setImmediate(x)); } });
    t.cut().catch(() => {});
    await new Promise((x) => setTimeout(x, 60 + 20 * round));
    assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-2000));
    stop.now = true;
    await Promise.all(senders);
    await t.start();
    await l.check();
  }
  await l.checkAll();
  await t.stop();
});

// Goal: SELECTs whose askers went away leave the threads of queries to those who wait. Twenty
// of them would take twenty times as long as one; a stop does not wait for them either.
test('a query that nobody waits for any more ends', async () => {
  const t = await new Tarn({ sql: "ALTER SYSTEM SET query_threads = '1';\nCREATE TABLE e (k text, ts timestamptz NOT NULL) WITH (event_time = 'ts');" }).start();
  await t.post('e', Array.from({ length: 150000 }, (_, i) => `{"k":"k${i}","ts":"2026-03-01T00:00:00Z"}`).join('\n'));
  await t.cut();
  const dear = `SELECT k FROM e WHERE ${Array.from({ length: 8 }, (_, i) => `md5(repeat(k, ${100 + i})) = 'x'`).join(' OR ')}`;
  const one = stopwatch();
  assert.deepEqual(await t.sql(dear), []);
  const took = one.stop();
  const gone = new AbortController();
  const asked = Array.from({ length: 20 }, () => t.fetch('/api/v1/sql', { method: 'POST', body: dear, headers: { 'content-type': 'application/sql' }, signal: gone.signal }).catch((e) => e.name));
  // All are there before they leave: what came later is behind them.
  await until(async () => (await t.ok('GET', '/metrics')).match(/^tarn_http_connections (\d+)$/m)?.[1] >= 20);
  gone.abort();
  assert.deepEqual([...new Set(await Promise.all(asked))], ['AbortError']);
  const rest = stopwatch();
  assert.equal(Number((await t.sql('SELECT count(*) AS n FROM e'))[0].n), 150000);
  const waited = rest.stop();
  assert.ok(waited < 6 * took + 4000, `${waited} ms, where one takes ${took}`);
  assert.equal((await t.stop()).code, 0);
});

// Goal: who ends its side behind the question and waits (nc -N) has its answer, however long it
// takes: it is asked whether it is there, as HTTP/1.1 allows. When it goes in the end, its query does.
test('a query whose asker has only ended its own side is answered', async (t0) => {
  const t = await new Tarn({ sql: "ALTER SYSTEM SET query_threads = '1';\nCREATE TABLE e (k text, ts timestamptz NOT NULL) WITH (event_time = 'ts');" }).start();
  await t.post('e', Array.from({ length: 30000 }, (_, i) => `{"k":"k${i}","ts":"2026-03-01T00:00:00Z"}`).join('\n'));
  await t.cut();
  const dear = `SELECT count(*) AS n FROM e WHERE ${Array.from({ length: 24 }, (_, i) => `md5(repeat(k, ${100 + i})) = 'x'`).join(' OR ')}`;
  const asks = (version = '1.1') => {
    const a = { text: '', open: true };
    a.socket = connect({ port: t.port, host: '127.0.0.1', allowHalfOpen: true });
    a.socket.on('data', (d) => { a.text += d; });
    a.socket.on('error', () => {});
    a.ended = new Promise((done) => a.socket.on('close', () => { a.open = false; done(); }));
    a.socket.on('end', () => a.socket.destroy());
    a.socket.end(`POST /api/v1/sql HTTP/${version}\r\nHost: 127.0.0.1:${t.port}\r\nContent-Type: application/sql\r\nContent-Length: ${dear.length}\r\n\r\n${dear}`);
    return a;
  };
  const one = stopwatch();
  await t.sql(dear);
  const took = one.stop();
  const waits = [asks(), asks(), asks(), asks()];
  await Promise.all(waits.map((a) => a.ended));
  for (const a of waits) assert.match(a.text, /^(HTTP\/1.1 100 Continue\r\n\r\n)*HTTP\/1.1 200 OK\r\n[^]*"rows":\[\[0\]\]/);
  assert.ok(waits.some((a) => a.text.startsWith('HTTP/1.1 100 ')), `the last of four waits ${4 * took} ms`);
  // These go when they were asked once; the next question finds it.
  const leave = Array.from({ length: 20 }, () => asks());
  await until(() => leave.filter((a) => a.text !== '').length >= 19);
  for (const a of leave) a.socket.destroy();
  const rest = stopwatch();
  assert.equal(Number((await t.sql('SELECT count(*) AS n FROM e'))[0].n), 30000);
  const waited = rest.stop();
  t0.diagnostic(`one takes ${took} ms; ${waited} ms after twenty left`);
  assert.ok(waited < 6 * took + 5000, `${waited} ms, where one takes ${took}`);
  // HTTP/1.0 has no words for it: there who ends is gone.
  const old = [asks('1.0'), asks('1.0'), asks('1.0'), asks('1.0')];
  await Promise.all(old.map((a) => a.ended));
  assert.ok(old.every((a) => !a.text.includes(' 100 ')));
  assert.equal((await t.stop()).code, 0);
});

// Goal: a view of the past, and why a number is so, whose askers went away leave the threads
// of queries to those who wait; so does a stop, which closes the connections itself.
test('a view request that nobody waits for any more ends', async (t0) => {
  const dear = Array.from({ length: 6 }, (_, i) => `md5(repeat(k, ${100 + i})) = 'x'`).join(' OR ');
  const t = await new Tarn({ sql: `ALTER SYSTEM SET query_threads = '1';
    CREATE TABLE e (k text, ts timestamptz NOT NULL) WITH (event_time = 'ts');
    CREATE MATERIALIZED VIEW v AS SELECT date_bin('1 day', ts, 'epoch') AS d, count(*) FILTER (WHERE ${dear}) AS dear, count(*) AS n FROM e GROUP BY d;` }).start();
  for (let at = 0; at < 120000; at += 30000)
    await t.post('e', Array.from({ length: 30000 }, (_, i) => `{"k":"k${at + i}","ts":"2026-03-01T00:00:00Z"}`).join('\n'));
  await t.post('e', '{"k":"last","ts":"2026-03-01T00:00:00Z"}');
  await t.cut();
  // Of before the first snapshot: every row is folded.
  const lsn = (await (await t.fetch('/api/v1/views/v')).json()).lsn - 1;
  const past = `/api/v1/views/v?as_of=${lsn}`, why = `/api/v1/views/v/explain?as_of=${lsn}`;
  const one = stopwatch();
  assert.equal(JSON.parse(await (await t.fetch(`${past}&format=ndjson`)).text()).n, 120000);
  const took = one.stop(), held = async () => Number((await t.ok('GET', '/metrics')).match(/^tarn_memory_bytes\{class="queries"\} (\d+)$/m)[1]);
  const before = await held();
  for (const path of [`${past}&order=newest&limit=`, `${why}&limit=`]) {
    const gone = new AbortController();
    // Each another question: none is answered from the cache.
    const asked = Array.from({ length: 20 }, (_, i) => t.fetch(`${path}${i + 1}`, { signal: gone.signal }).catch((e) => e.name));
    await until(async () => (await t.ok('GET', '/metrics')).match(/^tarn_http_connections (\d+)$/m)?.[1] >= 20);
    gone.abort();
    assert.deepEqual([...new Set(await Promise.all(asked))], ['AbortError']);
    const rest = stopwatch();
    assert.equal(Number((await t.sql('SELECT count(*) AS n FROM e'))[0].n), 120001);
    const waited = rest.stop();
    t0.diagnostic(`${path}: ${waited} ms after they left, where one takes ${took}`);
    assert.ok(waited < 6 * took + 2000, `${waited} ms, where one takes ${took}`);
    await until(async () => await held() <= before);
  }
  // A command that waits behind others for the only thread is not told that the server hangs.
  const others = [1, 2].map((i) => t.fetch(`/api/v1/views/v?as_of=${lsn}&order=newest&limit=${i + 60}`).then((r) => r.status));
  await until(async () => (await t.ok('GET', '/metrics')).match(/^tarn_http_connections (\d+)$/m)?.[1] >= 2);
  const behind = await command(['sql', 'SELECT count(*) FROM e', '--url', t.url, '--wait', '1']);
  assert.equal(behind.code, 0, behind.err);
  assert.deepEqual(await Promise.all(others), [200, 200]);
  // A stop gives those who wait ten seconds, and closes: what they asked for ends then.
  const asked = Array.from({ length: 20 }, (_, i) => t.fetch(`/api/v1/views/v?as_of=${lsn}&order=newest&limit=${i + 30}`).then((r) => r.status, (e) => e.name));
  await until(async () => (await t.ok('GET', '/metrics')).match(/^tarn_http_connections (\d+)$/m)?.[1] >= 20);
  const end = stopwatch();
  assert.equal((await t.stop()).code, 0);
  const stopped = end.stop();
  t0.diagnostic(`stopped after ${stopped} ms`);
  await Promise.all(asked);
  assert.ok(stopped < 10000 + 6 * took + 2000, `${stopped} ms, where one takes ${took}`);
});

// Power loss under a real tarn. A disk that remembers (tests/tools/blocklog.c)
// lies under a loop device and a real file system; tarn takes events, cuts,
// merges, recomputes and rolls its log there. From what the disk was told we
// rebuild it as a power loss would leave it:
//
//   all writes up to the last flush before the moment, and of those after it
//   prefix  all         drop  half, at random       torn  half of the sectors
//
// and mount that (the file system recovers by itself), start tarn, and look:
// what was acknowledged before the moment is there exactly once, the rest
// whole or not at all; a cut that was answered is in force; silver and the raw
// bytes agree; tarn starts and stops without help and leaves nothing over.
//
// The bed proves something only if it finds broken programs: the same run with
// syncs taken away from the log, and from the lake (tests/tools/preload/
// nosync.c), must fail in at least half of its states. Those are of moments
// that can tell on any machine. A page that was not synced goes along with the
// next commit's sync: whether a sender hears of its acknowledgement before that,
// is a matter of time while others send. So all but one stop now and then; what
// is acknowledged then, nothing has followed ("alone").
//
// What it cannot see: a folder that is not synced, because ext4, xfs and btrfs
// write a new file's name with its own sync (NOSYNC=dirs passes: 0 of 20
// states on btrfs); a disk that lies about flushes; what a loop device
// reorders before it reaches us (one request at a time). Numbers:
// POWERLOSS_STATES, POWERLOSS_FS="ext4 xfs btrfs", TARN_SEED; make powerloss.
// POWERLOSS_KEEP=folder keeps the data folders of the states that are wrong.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, readdirSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Tarn, baseSeed, rng, tarnBin, until } from './lib.mjs';
process.setMaxListeners(0);

const run = promisify(execFile);
const tools = join(dirname(tarnBin), 'tests/tools');
const states = Number(process.env.POWERLOSS_STATES ?? 24);
const systems = (process.env.POWERLOSS_FS ?? 'ext4').split(/\s+/);
const kept = process.env.POWERLOSS_KEEP;       // Where data folders that are wrong go.
const size = 512 << 20;
const mkfs = {
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
  btrfs: ['mkfs.btrfs', '-q', '-f', '-K'],
};

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET young_files_max = '1';
ALTER SYSTEM SET snapshot_keep = '1 s';
ALTER SYSTEM SET log_segment_bytes = '16 MiB';
ALTER SYSTEM SET log_journal_bytes = '64 KiB';
CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts');
CREATE TABLE keyed (id text PRIMARY KEY, batch int NOT NULL, seq int NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;
CREATE MATERIALIZED VIEW keyed_batches AS SELECT batch, count(*) AS n, count(DISTINCT seq) AS seqs FROM keyed GROUP BY batch;`;

/** Why this machine cannot do it, or null. */
function obstacle(fs) {
  if (process.getuid() !== 0) return 'not root: no loop device, no mount';
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse';
  if (spawnSync('losetup', ['-f']).status !== 0) return 'no loop device';
  if (spawnSync(mkfs[fs][0], ['-V']).error) return `no ${mkfs[fs][0]}`;
  return null;
}

const bedRoot = () => mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tarn-powerloss-'));

/** Attach; another process may have taken the same free loop device. */
async function attach(file) {
  for (let i = 0; ; i++)
    try { return (await run('losetup', ['-f', '--show', file])).stdout.trim(); } catch (e) { if (i >= 20) throw e; }
}

// ---- recording ----------------------------------------------------------------

/** A file system on a disk that remembers. */
class Disk {
  constructor(dir, fs) { this.dir = dir; this.fs = fs; this.mnt = join(dir, 'mnt'); this.log = join(dir, 'log'); }

  async open() {
    const file = join(this.dir, 'disk'), counter = join(this.dir, 'counter');
    mkdirSync(this.mnt);
    writeFileSync(file, '');
    this.server = spawn(join(tools, 'blocklog'), [file, String(size), this.log, counter], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.ended = new Promise((r) => this.server.on('exit', r));
    await new Promise((r, no) => { this.server.stdout.once('data', r); this.server.once('exit', () => no(new Error('the recording disk did not start'))); });
    this.file = file;
    this.loop = await attach(file);
    await run(mkfs[this.fs][0], [...mkfs[this.fs].slice(1), this.loop]);
    await run('mount', [this.loop, this.mnt]);
    await run('sync', ['-f', this.mnt]);
    this.counter = openSync(counter, 'r');
  }

  /** Entries written so far. */
  at() {
    const b = Buffer.alloc(8);
    readSync(this.counter, b, 0, 8, 0);
    return Number(b.readBigUInt64LE());
  }

  async close() {
    if (!this.server) return;
    if (this.counter !== undefined) closeSync(this.counter);
    for (const [what, arg] of [['umount', this.mnt], ['losetup', '-d'], ['umount', this.file]])
      await run(what, what === 'losetup' ? ['-d', this.loop ?? '-'] : [arg]).catch(() => {});
    await Promise.race([this.ended, new Promise((r) => setTimeout(r, 2000))]);
    this.server.kill();
    this.server = null;
  }
}

/** ${fat}: with bytes that no column takes and no compressor likes. */
const body = (stream, batch, rows, fat) => Array.from({ length: rows }, (_, i) => JSON.stringify({
  ...(stream === 'keyed' ? { id: `${batch}-${i}` } : {}), batch, seq: i,
  ts: new Date(Date.UTC(2026, 2, 1 + batch % 3, i % 24)).toISOString(), ...(fat ? { pad: randomBytes(6000).toString('base64') } : {}) })).join('\n');

/** How many commits went to the journal, and how many to LMDB, checkpoints among them. */
async function commits(t) {
  const text = await (await t.fetch('/metrics')).text();
  return Object.fromEntries(['journal', 'segment'].map((to) => [to, Number(new RegExp(`^tarn_log_commits_total\\{to="${to}"\\} (\\d+)$`, 'm').exec(text)[1])]));
}

/** Let tarn work on the disk. Says what was acknowledged by which entry. */
async function record(disk, seed, env) {
  const r = rng(seed);
  const t = new Tarn({ sql, data: join(disk.mnt, 'data'), env });
  const out = { start: disk.at(), sent: { plain: new Map(), keyed: new Map() }, cuts: [], alone: [], replays: 0 };
  let next = 1, done = false;
  await t.start();
  async function send(stream, fat) {
    const batch = next++, rows = fat ? 40 : r.pick([1, 1, 3, 40, 300]);
    const e = { rows, fat, acked: Infinity };
    out.sent[stream].set(batch, e);
    const a = await t.post(stream, body(stream, batch, rows, fat), { headers: { 'idempotency-key': `b${batch}` } });
    e.acked = disk.at();
    assert.equal(a.accepted, rows);
    return e.acked;
  }
  let waiting = 0, go = null, held = null;
  async function sender(stream, fat) {
    while (!done) {
      while (held) { waiting++; await held; waiting--; }
      await send(stream, fat);
    }
  }
  async function alone() {
    held = new Promise((x) => { go = x; });
    await until(() => waiting === senders.length, 60000, 2);
    for (const stream of ['plain', 'keyed']) out.alone.push(await send(stream, false));
    held = null;
    go();
    await until(() => waiting === 0, 60000, 2);
  }
  const senders = [sender('plain', false), sender('keyed', false), sender('plain', true)];
  const cut = async () => {
    await t.cut();
    out.cuts.push({ lsn: (await t.ok('GET', '/api/v1/status')).batch_lsn, at: disk.at() });
  };
  for (let round = 0; round < 5; round++) {
    const goal = next + 40;
    await until(() => next >= goal, 60000, 5);
    await alone();
    await cut();
    if (round === 2) await t.recompute('plain_batches');
  }
  await until(() => next >= 260, 60000, 5);
  done = true;
  await Promise.all(senders);
  await cut();
  out.commits = await commits(t);
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-2000));
  out.end = disk.at();
  return out;
}

// ---- states of the disk -----------------------------------------------------------

/** The disk at ever later entries: a file with all that is durable, and what is not. */
class Replay {
  constructor(dir, log) {
    this.fd = openSync(log, 'r');
    this.base = join(dir, 'durable.img');
    writeFileSync(this.base, '');
    truncateSync(this.base, size);
    this.image = openSync(this.base, 'r+');
    this.offset = 0;
    this.entry = 0;
    this.pending = [];
    this.flushes = 0;
  }

  read(p) {
    const b = Buffer.alloc(p.bytes);
    readSync(this.fd, b, 0, p.bytes, p.from);
    return b;
  }

  advance(to) {
    const head = Buffer.alloc(32);
    for (; this.entry < to; this.entry++) {
      readSync(this.fd, head, 0, 32, this.offset);
      const [kind, at, bytes] = [0, 8, 16].map((i) => Number(head.readBigUInt64LE(i)));
      if (kind === 1) {
        this.pending.push({ at, bytes, from: this.offset + 32 });
      } else {
        for (const p of this.pending) writeSync(this.image, this.read(p), 0, p.bytes, p.at);
        this.pending = [];
        this.flushes++;
      }
      this.offset += 32 + bytes;
    }
  }

  /** A copy as a power loss of ${kind} now would leave it. */
  async make(file, kind, r) {
    await run('cp', ['--sparse=auto', this.base, file]);
    const fd = openSync(file, 'r+');
    for (const p of this.pending) {
      const b = this.read(p);
      if (kind === 'prefix' || (kind === 'drop' && r.chance(0.5))) writeSync(fd, b, 0, p.bytes, p.at);
      for (let i = 0; kind === 'torn' && i < p.bytes; i += 512)
        if (r.chance(0.5)) writeSync(fd, b, i, 512, p.at + i);
    }
    closeSync(fd);
  }

  close() { closeSync(this.fd); closeSync(this.image); }
}

// ---- what must hold -------------------------------------------------------------------

async function checkViews(t, rec, k) {
  for (const stream of ['plain', 'keyed']) {
    const rows = new Map((await t.view(`${stream}_batches`)).map((x) => [x.batch, x]));
    for (const [batch, e] of rec.sent[stream]) {
      const got = rows.get(batch);
      if (e.acked <= k) assert.ok(got, `lost: ${stream} ${batch} was acknowledged by entry ${e.acked}`);
      if (got) assert.deepEqual([got.n, got.seqs], [e.rows, e.rows], `torn: ${stream} ${batch}`);
      rows.delete(batch);
    }
    assert.equal(rows.size, 0, 'torn: something was made up');
  }
}

/** What was acknowledged is known: the same again adds nothing. */
async function checkAgain(t, rec, k, r) {
  for (const stream of ['plain', 'keyed']) {
    const known = [...rec.sent[stream]].filter(([, e]) => e.acked <= k && !e.fat);
    if (known.length === 0) continue;
    const [batch, e] = r.pick(known);
    const a = await t.call('POST', `/api/v1/streams/${stream}`, body(stream, batch, e.rows), { 'content-type': 'application/x-ndjson', 'idempotency-key': `b${batch}` });
    assert.equal(a.headers.get('idempotency-replayed'), 'true', `lost: the key of ${stream} ${batch}`);
    if (stream === 'keyed') assert.equal((await t.post(stream, body(stream, batch, e.rows))).duplicates, e.rows, 'lost: dedupe keys');
  }
}

async function checkState(mnt, rec, k, r) {
  const t = new Tarn({ sql, data: join(mnt, 'data') });
  try {
    await t.start().catch((e) => { throw new Error(`start: ${e.message.split('\n').filter((x) => !/"level":"info"/.test(x)).join(' ')}`); });
    rec.replays += (await commits(t)).segment > 0;
    const s = await t.ok('GET', '/api/v1/status');
    for (const c of rec.cuts) if (c.at <= k) assert.ok(s.batch_lsn >= c.lsn, `lost: the cut at ${c.lsn} was answered`);
    await checkViews(t, rec, k);
    await checkAgain(t, rec, k, r);
    await t.cut();
    await checkViews(t, rec, k);
    for (const stream of ['plain', 'keyed']) {
      const want = (await t.view(`${stream}_batches`)).reduce((a, x) => a + x.n, 0);
      const [{ n }] = await t.sql(`SELECT count(*) AS n FROM ${stream}`);
      assert.equal(n, want, `torn: silver of ${stream}`);
    }
    const v = await t.verify();
    assert.equal(v.equal, true, `verify: ${v.text}`);
    assert.deepEqual(await t.stop(), { code: 0, signal: null }, 'stop');
    for (const f of readdirSync(join(mnt, 'data'), { recursive: true })) assert.ok(!/\.(tmp|new)$/.test(f), `left over: ${f}`);
  } finally {
    await t.kill();
  }
}

/** ${n} moments, in order: as something was acknowledged, alone or not, or a few writes before, as a cut was answered, and at random.
 * ${telling}: only of that kind. */
function moments(rec, n, r, telling) {
  const acked = () => r.pick([...rec.sent.plain.values(), ...rec.sent.keyed.values()]).acked;
  const kinds = {
    alone: () => r.pick(rec.alone),
    acked,
    under: () => acked() - 1 - r.below(6),
    answered: () => r.pick(rec.cuts).at,
    any: () => rec.start + r.below(rec.end - rec.start + 1),
  };
  const order = ['alone', 'acked', 'under', 'answered', 'any'];
  return Array.from({ length: n }, (_, i) => kinds[telling ?? order[i % order.length]]()).sort((a, b) => a - b);
}

/** One state: null, or what is wrong with it. */
async function oneState(file, mnt, rec, k, r, fs) {
  const loop = await attach(file);
  try {
    await run('mount', [...(fs === 'xfs' ? ['-o', 'nouuid'] : []), loop, mnt]).catch((e) => { throw new Error(`mount: ${e.stderr}`); });
    await checkState(mnt, rec, k, r);
    return null;
  } catch (e) {
    if (kept) await run('cp', ['-a', join(mnt, 'data'), join(kept, `${fs}-${baseSeed}-${k}`)]);
    return e.message;
  } finally {
    await run('umount', [mnt]).catch(() => run('umount', ['-l', mnt]).catch(() => {}));
    await run('losetup', ['-d', loop]);
  }
}

/** Record one run and look at ${n} states of it; the wrong ones. */
async function bed(fs, n, env, telling) {
  const dir = bedRoot();
  const disk = new Disk(dir, fs);
  const bad = [];
  let replay = null;
  try {
    await disk.open();
    const begun = Date.now();
    const rec = await record(disk, baseSeed, env).finally(() => disk.close());
    const recorded = Date.now();
    replay = new Replay(dir, disk.log);
    const lanes = fs === 'btrfs' ? 1 : 2;      // two of one btrfs may not be there at once
    const free = Array.from({ length: lanes }, (_, i) => i);
    for (const i of free) mkdirSync(join(dir, `m${i}`));
    const busy = new Set();
    const list = moments(rec, n, rng(baseSeed + 1), telling);
    const mean = { pending: 0 };
    for (let i = 0; i < n; i++) {
      while (free.length === 0) await Promise.race(busy);
      const lane = free.pop(), k = list[i], kind = ['prefix', 'drop', 'torn'][i % 3];
      const file = join(dir, `state${lane}.img`), r = rng(baseSeed + 100 + i);
      replay.advance(k);
      mean.pending += replay.pending.length / n;
      await replay.make(file, kind, r);
      const job = oneState(file, join(dir, `m${lane}`), rec, k, r, fs).then((why) => {
        if (why) bad.push({ i, k, kind, why: why.split('\n').slice(0, 3).join(' ').slice(0, 600) });
        rmSync(file);
        free.push(lane);
        busy.delete(job);
      });
      busy.add(job);
    }
    await Promise.all(busy);
    const batches = rec.sent.plain.size + rec.sent.keyed.size;
    console.log(`${fs} ${env.NOSYNC ?? 'as it is'}: ${rec.end - rec.start} entries, ${replay.flushes} flushes, ${batches} batches, ${rec.commits.journal} commits to the journal, ${rec.commits.segment} to LMDB, ${rec.cuts.length} cuts in ${recorded - begun} ms; ` +
      `${n} states, ${rec.replays} with a journal to replay, ${mean.pending.toFixed(1)} writes unflushed, ${Math.round((Date.now() - recorded) / n)} ms each: ${bad.length} wrong`);
    return bad;
  } finally {
    replay?.close();
    await disk.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const preload = (what) => ({ NOSYNC: what, LD_PRELOAD: join(tools, 'preload/nosync.so') });

/** What is broken, and the moments that can tell. */
const broken = {
  log: ['a log without its syncs', 'alone'],
  journal: ['a journal without its sync', 'alone'],
  meta: ["a log whose commits sync all but LMDB's meta page", 'alone'],
  lake: ['a lake without its syncs', 'answered'],
};

for (const fs of systems) {
  const why = obstacle(fs);
  test(`${fs}: ${states} power losses lose nothing that was acknowledged`, { skip: why ?? false, timeout: 3600000 }, async () => {
    console.log(`seed ${baseSeed}`);
    const bad = await bed(fs, states, {});
    assert.deepEqual(bad, []);
  });
  for (const [what, [told, telling]] of Object.entries(broken)) {
    const n = Math.max(10, Math.round(states / 5));
    test(`${fs}: ${told} is found out`, { skip: why ?? false, timeout: 3600000 }, async () => {
      const bad = await bed(fs, n, preload(what), telling);
      console.log(bad.slice(0, 3));
      assert.ok(bad.length * 2 >= n, `${bad.length} of ${n}: the bed proves nothing`);
    });
  }
}

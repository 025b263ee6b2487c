// The property that everything about the past hangs on: for random histories
// as_of(L) of every view and stream is what the acknowledged events up to L give
// by the definition in force (tests/e2e/past/model.mjs), for any L. Between the
// events: cuts, compactions, recomputes, rollbacks, expiries, erasures, restarts, kills,
// changed definitions (columns added, dropped, of other types and defaults,
// other CHECKs, views that are other, gone, back), retention, a wall clock that
// leaps, events of decades ago, views of many gold slices.
// SOAK=1: HISTORIES (30) of each kind, longer ones.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, rng, tempDir, tool } from './lib.mjs';
import { DAY, HOUR, Model, changed, first, iso, ordered, pipeline } from './past/model.mjs';

const soak = process.env.SOAK === '1';
const histories = soak ? Number(process.env.HISTORIES ?? 30) : 1;
const offices = ['berlin', 'paris', 'rome'];

class History {
  /** ${o}: keep, settings, retention (days), clock: leaps, crowd: rows at first, persons: so many. */
  constructor(seed, o) {
    this.r = rng(seed);
    this.o = { ...o, settings: { cut_interval: '1 hour', young_files_max: '2', snapshot_keep: o.keep, retention_wait: '0 s', ...(o.settings ?? {}) } };
    this.m = new Model({ ...first });
    this.made = 0;
    this.shift = 0;
    this.told = new Set();            // Runs of retention that the model knows.
    const env = {};
    if (o.retention || o.clock) {
      this.file = join(tempDir('past'), 'shift');
      this.set(0, 'w');
      Object.assign(env, { CLOCK_SHIFT: this.file, LD_PRELOAD: tool('tools/preload/clock.so') });
    }
    this.t = new Tarn({ sql: pipeline(this.m.def, this.o), env });
    this.log = [];
    this.oldest = 0;                  // Nothing but we expires snapshots where clocks leap.
  }

  set(ms, flag = 'r+') {
    const b = Buffer.alloc(8);
    this.shift = ms;
    b.writeBigInt64LE(BigInt(Math.round(ms)) * 1000n);
    writeFileSync(this.file, b, { flag });
  }
  get now() { return Date.now() + this.shift; }

  call(text) { return this.t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' }); }
  snapshots() { return this.t.ok('GET', '/api/v1/snapshots?limit=10000').then((a) => a.snapshots); }

  /* ---- what happens ---- */

  age() {
    const { r } = this, p = r.next();
    if (p < 0.03) return r.below(30 * 365) * DAY + r.below(DAY);      // Of decades ago.
    if (this.o.retention) return (p < 0.15 ? r.below(40 * DAY) : r.below((this.o.retention + 2) * DAY));
    return (p < 0.15 ? r.below(200) : r.below(4)) * HOUR + r.below(HOUR);
  }

  row() {
    const { r, m } = this, again = m.ids.size > 0 && r.chance(0.08), ms = this.now - this.age();
    return { at: this.now, event_id: again ? `e${r.below(this.made)}` : `e${this.made++}`, ms: Math.floor(ms), office: r.pick(offices), person: `p${r.below(this.o.persons ?? 300)}`,
      n: r.chance(0.04) ? r.below(3e9) : r.below(1010), ...(r.chance(0.5) ? { tag: r.pick(['red', 'blue', 'grün']) } : {}) };
  }

  async post(count = 1 + this.r.below(this.r.chance(0.15) ? 150 : 8)) {
    const rows = Array.from({ length: count }, () => this.row());
    const a = await this.t.post('badge', rows.map(({ ms, at, ...x }) => JSON.stringify({ ...x, ts: iso(ms) })).join('\n'));
    assert.deepEqual({ accepted: a.accepted, quarantined: a.quarantined, duplicates: a.duplicates }, this.m.take(rows), this.where(JSON.stringify(a.errors.slice(0, 3))));
    this.m.acknowledged(a.lsn);
  }

  /** What retention has taken by now, by the runs that it left. */
  async reconcile() {
    if (!this.o.retention) return;
    const { runs } = await this.t.ok('GET', '/api/v1/runs?limit=1000'), snaps = await this.snapshots();
    for (const run of runs.filter((x) => x.kind === 'retire' && x.state === 'done' && !this.told.has(x.id)).reverse()) {
      const s = snaps.find((x) => x.run === run.id);
      this.told.add(run.id);
      assert.ok(s, this.where(`the snapshot of run ${run.id} is not kept`));
      const due = this.m.due(Date.parse(s.published_at), this.o.retention, s.lsn);
      assert.ok(due.gone.length > 0, this.where('retention has taken what was not due'));
      this.m.retire(due, s.sequence, s.lsn);
    }
  }

  async cut() {
    const a = await this.t.cut();
    if (this.o.retention) this.m.retireRaw(this.now, this.o.retention);
    await this.reconcile();
    if (this.o.retention) assert.deepEqual(this.m.due(this.now, this.o.retention, a.lsn).gone, [], this.where('retention has left what is due'));
  }

  async recompute() {
    const { m, r } = this, view = r.pick(m.names);
    const a = await this.t.call('POST', `/api/v1/recompute?view=${view}`);
    const refused = m.floor !== -Infinity && ['whole', 'persons'].includes(view);
    assert.equal(a.status === 200, !refused, this.where(`recompute ${view}: ${JSON.stringify(a.body)}`));
    if (refused) assert.equal(a.body.type, '/problems/rows-retired');
    return view;
  }

  async rollback() {
    const { m, r } = this, view = r.pick(m.names), s = r.pick(await this.snapshots());
    if (!s) return '';
    const a = await this.call(`CALL rollback('${view}', snapshot => ${s.sequence})`), { since } = m.view[view];
    if (s.sequence >= since.high) assert.equal(a.status, 200, this.where(JSON.stringify(a.body)));
    else if (s.sequence <= since.low) assert.equal(a.body.type, '/problems/other-definition', this.where(JSON.stringify(a.body)));
    return `${view} to ${s.sequence} (LSN ${s.lsn}): ${a.status}`;
  }

  /** Rows are erased: the past of before has none of them either. */
  async erase() {
    const { m, r } = this, e = r.pick(m.events) ?? { ms: 0, person: 'p0' }, office = r.pick(offices), n = r.below(300), to = e.ms + r.below(3) * HOUR + 1;
    const [where, is] = r.pick([[`person = '${e.person}'`, (x) => x.person === e.person], [`office = '${office}' AND n < ${n}`, (x) => x.office === office && x.n < n],
      [`ts >= '${iso(e.ms)}' AND ts < '${iso(to)}'`, (x) => x.ms >= e.ms && x.ms < to], [`_lsn = ${e.lsn ?? 0} AND person = '${e.person}'`, (x) => x.lsn === e.lsn && x.person === e.person]]);
    const a = await this.call(`DELETE FROM badge WHERE ${where}`);
    // A crowd's states may be more than there is memory for: then nothing is changed.
    if (this.o.crowd && a.status === 503) return `${where}: ${a.body.type}`;
    assert.equal(a.status, 200, this.where(`${where}: ${JSON.stringify(a.body)}`));
    assert.equal(a.body.rows[0][2], m.erase(is), this.where(where));
    if (this.o.clock) this.oldest = (await this.snapshots()).at(-1)?.sequence ?? 0;
    this.erased = (this.erased ?? 0) + a.body.rows[0][2];
    return `${where}: ${a.body.rows[0][2]}`;
  }

  async restart(how, def) {
    const low = (await this.snapshots())[0]?.sequence ?? 0;
    if (def) writeFileSync(join(this.t.config, 'pipeline.sql'), pipeline(def, this.o));
    await this.t.restart(how);
    await this.reconcile();
    const now = (await this.snapshots())[0] ?? { sequence: 0, lsn: 0 };
    if (def && this.m.redefine(def, now.lsn, { low, high: now.sequence })) await this.again();
    return how;
  }

  /** Which refused rows came in is the model's word, at which LSN is tarn's. */
  async again() {
    const fresh = this.m.again(this.now), rows = await this.t.sql(`SELECT event_id, _lsn FROM badge WHERE _lsn > ${this.m.last} ORDER BY _offset`);
    assert.deepEqual(rows.map((x) => x.event_id), fresh.map((e) => e.event_id), this.where('refused rows that were tried again'));
    fresh.forEach((e, i) => { e.lsn = rows[i]._lsn; });
    this.m.last = (await this.t.ok('GET', '/api/v1/status')).log.last;
  }

  async step() {
    const { r, t } = this, p = r.next();
    // What retention has taken stays counted: tests/e2e/erase.test.mjs.
    if (!this.o.retention && r.chance(this.o.crowd ? 0.2 : 0.06)) return `erase ${await this.erase()}`;
    if (p < 0.50) return this.post().then(() => 'post');
    if (p < 0.72) return this.cut().then(() => 'cut');
    if (p < 0.77) return `recompute ${await this.recompute()}`;
    if (p < 0.82) return `rollback ${await this.rollback()}`;
    if (p < 0.85) {
      const lsn = r.below(this.m.last + 2);
      assert.equal((await this.call(`CALL expire_snapshots(older_than => ${lsn})`)).status, 200);
      this.oldest = (await this.snapshots()).at(-1)?.sequence ?? 0;
      return `expire below ${lsn}`;
    }
    if (p < 0.92 && this.file) {
      if (this.o.retention) this.set(this.shift + (r.chance(0.15) ? -r.below(DAY) : r.below(4 * DAY)));
      else this.set(r.chance(0.4) ? 0 : (r.below(80 * 365) - 20 * 365) * DAY);
      return `clock ${iso(this.now)}`;
    }
    if (p < 0.94) return `restart ${await this.restart(r.pick(['stop', 'kill']))}`;
    const def = changed(this.m.def, r);
    return `${await this.restart(r.pick(['stop', 'kill']), def)}, define ${JSON.stringify(def)}`;
  }

  where(what) { return `${what}\n  ${this.log.slice(-(process.env.STEPS_SHOWN ?? 12)).join('\n  ')}`; }

  /* ---- what is said ---- */

  async check(lsn) {
    const snaps = await this.snapshots(), { m } = this;
    const base = snaps[0] ?? { sequence: 0, lsn: 0 };
    if (this.o.clock && snaps.length) {
      this.oldest ||= snaps.at(-1).sequence;
      assert.equal(snaps.at(-1).sequence, this.oldest, this.where('snapshots expired because the clock leapt'));
    }
    for (const name of m.names) {
      const { since } = m.view[name], gold = lsn >= base.lsn ? base : snaps.find((s) => s.lsn <= lsn);
      const a = await this.t.call('GET', `/api/v1/views/${name}?as_of=${lsn}`);
      const must = m.floor === -Infinity || (gold && gold.sequence >= since.high);
      if (a.status !== 200 && !must) { assert.equal(a.body.type, '/problems/rows-retired', this.where(JSON.stringify(a.body))); this.refused = (this.refused ?? 0) + 1; continue; }
      assert.equal(a.status, 200, this.where(`${name} as of ${lsn}: ${JSON.stringify(a.body)}`));
      // Whether it must or not (an answer of before may be in the cache): a number is the right one.
      assert.equal(a.body.lsn, lsn);
      this.same(a.body.rows, m.of(name, lsn), `${name} as of ${lsn}`);
    }
    await this.checkRows(lsn, snaps, base);
    this.checked = (this.checked ?? 0) + 1;
  }

  /** The rows that differ, not all of them. */
  same(got, want, where) {
    const g = ordered(got), w = ordered(want), gs = new Set(g), ws = new Set(w);
    const only = [...g.filter((x) => !ws.has(x)).map((x) => `tarn ${x}`), ...w.filter((x) => !gs.has(x)).map((x) => `want ${x}`)];
    if (only.length || g.length !== w.length) assert.fail(this.where(`${where}: ${g.length} rows, ${w.length} wanted\n  ${only.sort((a, b) => (a.slice(5) < b.slice(5) ? -1 : 1)).slice(0, 12).join('\n  ')}`));
  }

  async checkRows(lsn, snaps, base) {
    const { m } = this, tag = m.def.tag;
    const ask = `SELECT count(*) AS c, sum(n) AS s, max(_lsn) AS l, count(DISTINCT event_id) AS ids${tag ? ', count(tag) AS tags, max(tag) AS tag' : ''} FROM as_of('badge', ${lsn})`;
    const a = await this.call(ask), from = lsn < base.lsn ? snaps.findLast((s) => s.lsn >= lsn) : null;
    if (a.status !== 200) return this.wanting(a, lsn, snaps, from, ask);
    const say = (sequence) => {
      const rows = m.rows(lsn, sequence), tags = rows.map((e) => m.tag(e)).filter((x) => x !== null).sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
      return [rows.length, rows.length ? rows.reduce((s, e) => s + e.n, 0) : null, rows.length ? Math.max(...rows.map((e) => e.lsn)) : null, new Set(rows.map((e) => e.event_id)).size, ...(tag ? [tags.length, tags.at(-1) ?? null] : [])];
    };
    // Silver of a former definition is not read: the newest is. What had not left by then is never missing.
    const had = (sequence) => assert.deepEqual(m.left(lsn).filter((e) => e.retired <= sequence), [], this.where(`badge as of ${lsn} lacks rows and answers`));
    const is = from ? m.isPresent(from.sequence) : 'no', own = is === 'yes', either = is === 'maybe';
    const want = say(own ? from.sequence : undefined);
    if (either && JSON.stringify(a.body.rows[0]) !== JSON.stringify(want)) assert.deepEqual(a.body.rows[0], say(from.sequence), this.where(`badge as of ${lsn}`));
    else assert.deepEqual(a.body.rows[0], want, this.where(`badge as of ${lsn}, from ${JSON.stringify(from)}`));
    if (!either) had(own ? from.sequence : Number.MAX_SAFE_INTEGER);
  }

  /** Refused: rows left after that LSN, and no snapshot of before is kept; those that cannot have left are given. */
  async wanting(a, lsn, snaps, from, ask) {
    const { m } = this;
    assert.equal(a.body.type, '/problems/rows-retired', this.where(JSON.stringify(a.body)));
    assert.ok(m.floor !== -Infinity, this.where('nothing has left'));
    assert.ok(m.events.some((e) => e.retiredAt > lsn), this.where(`nothing has left since ${lsn}`));
    assert.ok(!snaps.some((s) => s.lsn <= lsn) || (from && m.isPresent(from.sequence) !== 'yes'), this.where(`${lsn} can be told: ${JSON.stringify(a.body)}`));
    const b = await this.call(`${ask} WHERE ts >= '${iso(m.floor)}'`);
    assert.equal(b.status, 200, this.where(JSON.stringify(b.body)));
    assert.equal(b.body.rows[0][0], m.rows(lsn).filter((e) => e.ms >= m.floor).length, this.where(`badge as of ${lsn}, from ${iso(m.floor)} on`));
    this.wanted = (this.wanted ?? 0) + 1;
  }

  async live(steps) {
    await this.t.start();
    for (let i = 0; i < 3; i++) await this.post();
    if (this.o.crowd) {
      for (let i = 0; i < 4; i++) await this.post(this.o.crowd / 4);
      await this.cut();
      const { files } = await this.t.ok('GET', '/api/v1/files?tier=gold&table=persons');
      assert.ok(files.some((f) => /-s\d+of\d+\.parquet$/.test(f.path)), JSON.stringify(files.map((f) => f.path)));
    }
    for (let i = 0; i < steps; i++) {
      this.log.push(`${i}: `);
      this.log[this.log.length - 1] += await this.step();
      if (this.r.chance(0.25)) await this.check(1 + this.r.below(this.m.last));
    }
    for (let l = 1; l <= this.m.last; l += this.o.crowd ? 5 : soak ? 1 : 1 + this.r.below(8)) await this.check(l);
    await this.cut();
    for (let i = this.o.crowd ? 4 : 0; i < 5; i++) await this.check(1 + this.r.below(this.m.last));
    const v = await this.t.call('POST', '/api/v1/verify');
    // A crowd's states may be more than a question gets of that memory: then it says so, and finds no difference.
    if (v.status !== 200) assert.deepEqual([!!this.o.crowd, v.body.type], [true, '/problems/memory-full'], this.where(JSON.stringify(v.body)));
    else assert.ok(v.body.equal, this.where(v.body.text));
    assert.deepEqual(await this.t.stop(), { code: 0, signal: null }, this.t.err);
  }
}

function property(title, from, o, steps) {
  test(`as_of(L) is the view of the events up to L: ${title}`, { timeout: soak ? 3600e3 : 600e3 }, async (x) => {
    for (let k = 0; k < histories; k++) {
      const seed = baseSeed + from + k, h = new History(seed, o(k));
      try {
        await h.live(soak ? steps * 3 : steps);
      } catch (e) {
        console.log(`# TARN_SEED=${baseSeed}, history ${k}: seed ${seed}`);
        throw e;
      }
      x.diagnostic(`seed ${seed}: ${h.m.events.length} events, ${h.m.last} LSNs, ${h.checked} LSNs looked at, ${h.erased ?? 0} rows erased, ${(h.refused ?? 0) + (h.wanted ?? 0)} answers refused for want of rows`);
    }
  });
}

property('changed definitions', 0, (k) => ({ keep: ['1 hour', '1 s'][(baseSeed + k) % 2], settings: { holistic_state_bytes: '4 KiB' } }), 60);
property('views of many gold slices', 3000, () => ({ keep: '1 hour', crowd: 24000, persons: 20000, settings: { memory_max: '64 MiB' } }), 6);
property('retention', 1000, (k) => ({ keep: ['3650 days', '3 days'][(baseSeed + k) % 2], retention: 10 }), 70);
property('a clock that leaps by decades', 2000, () => ({ keep: '1 hour', clock: true }), 40);

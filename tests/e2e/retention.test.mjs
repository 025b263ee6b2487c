// Retention of a view's numbers, against a real tarn whose wall clock is the
// test's: what is gone is shown by no layer and no door (views, SQL, as_of,
// live, Iceberg), a late row makes no number of its own, and a longer retention
// brings back what the rows still give. A model holds the acknowledged events.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, rng, tempDir, until, tool } from './lib.mjs';
import { iceberg } from './tables/readers.mjs';

const DAY = 86400e3, base = Date.UTC(2026, 2, 10, 12);
const sql = (keep) => `
ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET snapshot_keep = '3650 days'; ALTER SYSTEM SET retention_wait = '0';
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, room text, n int) WITH (event_time = 'ts', max_future_skew = '0');
CREATE MATERIALIZED VIEW days ${keep ? `WITH (retention = '${keep} days')` : ''} AS SELECT room, date_trunc('day', ts) AS d, count(*) AS c, sum(n) AS s FROM ev GROUP BY room, d;
CREATE MATERIALIZED VIEW rooms AS SELECT room, count(*) AS c FROM ev GROUP BY room;`;
const seed = baseSeed, random = rng(seed);
console.log(`seed ${seed}`);

/** A tarn whose clock goes by days, beginning at ${base}. */
class Clocked extends Tarn {
  constructor(o) {
    const file = join(tempDir('clock'), 'shift');
    writeFileSync(file, Buffer.alloc(8));
    super({ ...o, env: { CLOCK_SHIFT: file, LD_PRELOAD: tool('tools/preload/clock.so') } });
    this.file = file;
    this.events = [];
    this.floor = -Infinity;
    this.to(base);
  }
  to(ms) {
    this.now = ms;
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(Math.round((ms - Date.now()) * 1000)));
    writeFileSync(this.file, b, { flag: 'r+' });
  }
  async send(day, n) {
    const rows = Array.from({ length: n }, () => ({ id: `e${this.events.length + random.next()}`, ts: new Date(Date.UTC(2026, 2, day, random.below(24))).toISOString(), room: `r${random.below(3)}`, n: random.below(100) }));
    const r = await this.post('ev', rows.map((x) => JSON.stringify(x)).join('\n'));
    assert.equal(r.accepted, n);
    this.events.push(...rows.map((x) => ({ ...x, lsn: r.lsn })));
    await this.settled();
    return r.lsn;
  }
  /** What the view is, of events up to an LSN. */
  want(lsn = Infinity) {
    const groups = new Map();
    for (const e of this.events) {
      const d = Math.floor(Date.parse(e.ts) / DAY) * DAY, key = `${e.room} ${d}`;
      if (d < this.floor || e.lsn > lsn) continue;
      const g = groups.get(key) ?? [e.room, new Date(d).toISOString().slice(0, 10), 0, 0];
      groups.set(key, [g[0], g[1], g[2] + 1, g[3] + e.n]);
    }
    return [...groups.values()].sort();
  }
  /** The days before it go with the next cut. */
  keep(days) { this.floor = Math.max(this.floor, Math.floor((this.now - days * DAY) / DAY) * DAY); }
}
/** What a subscriber of a view hears. */
function listen(t, view) {
  const ctl = new AbortController(), heard = [];
  (async () => {
    let text = '';
    try {
      for await (const chunk of (await t.fetch(`/api/v1/views/${view}/live`, { signal: ctl.signal })).body) {
        text += Buffer.from(chunk).toString();
        for (let at; (at = text.indexOf('\n\n')) >= 0; text = text.slice(at + 2))
          for (const m of text.slice(0, at).matchAll(/^data: ?(.*)$/gm)) heard.push(JSON.parse(m[1]));
      }
    } catch { /* aborted */ }
  })();
  return { heard, close: () => ctl.abort() };
}
const plain = (rows) => rows.map((r) => [r.room, String(r.d).slice(0, 10), Number(r.c), Number(r.s)]).sort();

async function same(t, where, final) {
  const want = t.want();
  assert.deepEqual(plain(await t.view('days')), want, `${where}: view`);
  assert.deepEqual(plain(await t.sql('SELECT room, d, c, s FROM days')), want, `${where}: SQL`);
  const one = want[0] ?? ['r0', '2026-03-01', 0, 0];
  const got = (await t.ok('GET', `/api/v1/views/days?room=${one[0]}&d=${one[1]}T00:00:00Z&format=json`)).rows;
  assert.equal(got.length, want.length > 0 ? 1 : 0, where);
  for (const lsn of [1, Math.ceil(t.last / 2), t.last]) {
    assert.deepEqual(plain(await t.view('days', `?as_of=${lsn}`)), t.want(lsn), `${where}: as of ${lsn}`);
    assert.deepEqual(plain(await t.sql(`SELECT * FROM as_of('days', ${lsn})`)), t.want(lsn), `${where}: SQL as of ${lsn}`);
  }
  assert.equal((await t.view('rooms')).reduce((n, r) => n + r.c, 0), t.events.length, `${where}: rooms`);
  if (!final) return;
  assert.deepEqual(plain(await t.view('days', '?layer=batch')), want, `${where}: batch`);
  const rows = await iceberg.rows(`file://${t.data}/lake`, 'gold/days', await iceberg.metadata(`file://${t.data}/lake`, 'gold/days'));
  assert.deepEqual(rows.map((r) => [r.room, new Date(Number(r.d) || r.d).toISOString().slice(0, 10), Number(r.c), Number(r.s)]).sort(), want, `${where}: Iceberg`);
  const v = await t.verify();
  assert.equal(v.equal, true, `${where}: ${v.text}`);
}

test('numbers that a view keeps no longer are gone at every door, and stay gone', { timeout: 600000 }, async () => {
  const t = await new Clocked({ sql: sql(5) }).start();
  for (const day of [1, 3, 5, 6, 8, 9]) t.last = await t.send(day, 30);
  await same(t, 'before the first cut');
  await t.cut();
  t.keep(5);
  await same(t, 'cut', true);
  const live = listen(t, 'days');
  await until(() => live.heard.some((m) => m.type === 'snapshot'));
  for (let day = 11; day <= 13; day++) {
    t.to(base + (day - 10) * DAY);
    t.last = await t.send(day, 10);
    t.last = await t.send(2, 5);             // Late rows of days that are gone,
    t.last = await t.send(day - 5, 5);       // and of the oldest that is kept.
    await same(t, `day ${day}, not cut`);
    await t.cut();
    t.keep(5);
    await same(t, `day ${day}`, true);
    await until(() => live.heard.some((m) => m.type === 'snapshot' && m.rows.length > 0 && m.rows.every((r) => Date.parse(r[1]) >= t.floor)));
    for (const m of live.heard.splice(0))
      if (m.type === 'rows') assert.ok(m.rows.every((r) => Date.parse(r[1]) >= Date.UTC(2026, 2, 5)), 'a patch shows what is gone');
  }
  const why = await t.ok('GET', '/api/v1/views/days/explain?d=2026-03-02T00:00:00Z');
  assert.deepEqual([why.merged, why.batch, why.speed], [[], [], []]);
  live.close();
  await t.kill();
  await t.start();
  t.last = await t.send(1, 4);
  await same(t, 'after kill -9');
  await t.cut();
  await same(t, 'after kill -9, cut', true);
  await t.stop();

  writeFileSync(join(t.config, 'pipeline.sql'), sql(9));
  await t.start();
  await same(t, 'longer, not made anew', true);
  await t.ok('POST', '/api/v1/recompute?view=days');
  t.floor = Math.floor((t.now - 9 * DAY) / DAY) * DAY;
  await same(t, 'longer', true);
  await t.stop();
  writeFileSync(join(t.config, 'pipeline.sql'), sql(0));
  await t.start();
  await t.ok('POST', '/api/v1/recompute?view=days');
  t.floor = -Infinity;
  await same(t, 'for ever', true);
  t.last = await t.send(1, 4);
  await same(t, 'for ever, late');
  await t.cut();
  await same(t, 'for ever, cut', true);
  await t.stop();
});

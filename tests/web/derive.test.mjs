/* Goal: tiles, lines, heatmaps and bars show what the rows say, for any shape
 * of view. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { ViewState } from '../../web/lib/state.js';
import { additive, axes, clip, lines, tile } from '../../web/lib/derive.js';
import { bars, heat, tableRows } from '../../web/lib/shapes.js';
import { bounds, moment, rangeOf, shift } from '../../web/lib/range.js';
import { band, offset, quantile, usual } from '../../web/lib/band.js';
import { byRow, marks } from '../../web/lib/corrections.js';
import { batchValues, split } from '../../web/lib/layers.js';
import { SPAN, byView, collect, lanes, barMarks, sumOf, toneOf } from '../../web/lib/gantt.js';
import { time } from '../../web/lib/format.js';

const T = (h) => `2026-03-01T${String(h).padStart(2, '0')}:00:00Z`;
function state(rows, provisional = [], keys = ['room', 'hour'], columns = ['room', 'hour', 'n'],
	types = ['text', 'timestamp with time zone', 'bigint']) {
	const s = new ViewState('v', keys);
	s.apply({ type: 'snapshot', view: 'v', columns, types, rows, provisional, lsn: 9, batch_lsn: 5 });
	return s;
}
const info = (o = {}) => ({ name: 'v', bucket: 'hour', bucket_us: 3600e6, options: o });

test('columns come from the options, else from the shape', () => {
	const s = state([]);
	assert.deepEqual(axes(info(), s), { x: 1, xTime: true, y: 2, series: 0, seriesAll: [0], names: ['room', 'hour', 'n'] });
	assert.equal(axes(info({ x: 'room', y: 'n' }), s).x, 0);
	const one = state([['a', 3]], [], ['room'], ['room', 'n'], ['text', 'bigint']);
	assert.equal(axes({ ...info(), bucket: null }, one).x, -1);
});

test('a tile sums the newest bucket over the series and compares with a day before', () => {
	const s = state([['a', T(1), 5], ['a', '2026-03-02T01:00:00Z', 7], ['b', '2026-03-02T01:00:00Z', 4]]);
	const t = tile(info(), s);
	assert.equal(t.value, 11);
	assert.equal(t.ref, 5);
	assert.equal(t.kind, 'day');
	assert.equal(t.prov, false);
});

test('what does not add up is a mean', () => {
	const s = state([['a', T(1), 400], ['b', T(1), 600]], [1]);
	const t = tile(info({ unit: 'ppm' }), s);
	assert.equal(t.value, 500);
	assert.equal(t.prov, true);
	for (const u of ['%', 'ppm', '°C', 'C', 'km/h', 'dB(A)'])
		assert.equal(additive(u), false, u);
	for (const u of ['', undefined, 'people', 'kWh', 'events', 'trips'])
		assert.equal(additive(u), true, u);
});

test('an empty view gives nothing to draw and does not fail', () => {
	const s = state([]);
	assert.equal(tile(info(), s), null);
	assert.equal(lines(info(), s, ''), null);
	assert.equal(heat(info(), s, 20, String), null);
	assert.equal(bars(info(), s, 5), null);
	assert.deepEqual(tableRows(info(), s, 5), { rows: [], more: 0 });
});

test('final and provisional values are two lines that meet at the last final point', () => {
	const s = state([['a', T(1), 1], ['a', T(2), 2], ['a', T(3), 3]], [2]);
	const d = lines(info(), s, 'all');
	assert.deepEqual(d.final, [[1, 2, null]]);
	assert.deepEqual(d.live, [[null, 2, 3]]);
	assert.equal(d.frontier, Date.parse(T(2)) / 1000);
	assert.deepEqual(lines(info(), state([['a', T(1), 1]]), 'all').frontier, null);
});

test('nulls are gaps, texts of numbers are numbers', () => {
	const d = lines(info(), state([['a', T(1), null], ['a', T(2), '2.5']]), 'all');
	assert.deepEqual(d.final, [[null, 2.5]]);
});

test('at most six series are drawn, the greatest, and the rest is counted', () => {
	const rows = Array.from({ length: 9 }, (_, i) => [`r${i}`, T(1), i]);
	const d = lines(info(), state(rows), 'all');
	assert.equal(d.names.length, 6);
	assert.equal(d.hidden, 3);
	assert.ok(!d.names.includes('r0'));
});

test('a range is counted from the newest row', () => {
	const s = state([['a', '2026-01-01T00:00:00Z', 1], ['a', T(1), 2], ['a', T(2), 3]]);
	assert.equal(lines(info(), s, 'now-24h..now').x.length, 2);
	assert.equal(lines(info(), s, 'all').x.length, 3);
	assert.equal(lines(info(), s, '2025-12-31..2026-01-02').x.length, 1);
	assert.equal(lines(info(), s, '2020-01-01..2020-01-02'), null);
	assert.deepEqual(bounds('', 1e12, 86400e6), [-Infinity, Infinity]);
	assert.deepEqual(bounds('', 1e12, 60e6), [1e12 - 86400e3, Infinity]);
	assert.deepEqual(bounds('', 1e12, 3600e6), [1e12 - 604800e3, Infinity]);
	assert.deepEqual(bounds('now-2d..now-1d', 1e12, 3600e6), [1e12 - 172800e3, 1e12 - 86400e3]);
});

test('ranges of the address: nonsense is the standard one, shifting keeps the length and never passes now', () => {
	const of = (q) => rangeOf(new URLSearchParams(q));
	assert.equal(of(''), '');
	assert.equal(of('from=nonsense'), '');
	assert.equal(of('from=all'), 'all');
	assert.equal(of('from=now-24h'), 'now-24h..now');
	assert.ok(Number.isNaN(moment('now-24y', 0)));
	assert.equal(shift('', -1), 'now-2d..now-24h');
	assert.equal(shift('now-2d..now-24h', 1), 'now-24h..now');
	assert.equal(shift('now-24h..now', 1), null);
	assert.equal(shift('now-36h..now-12h', 1), 'now-24h..now');
	assert.equal(shift('all', -1), null);
	assert.equal(shift('now-24h..2026-01-01', -1), null);
	assert.equal(shift('2026-01-02T00:00:00Z..2026-01-03T00:00:00Z', -1), '2026-01-01T00:00:00.000Z..2026-01-02T00:00:00.000Z');
});

test('a chosen range clips tables and heatmaps too, the standard one does not', () => {
	const s = state([['a', '2026-01-01T00:00:00Z', 1], ['a', T(1), 2], ['a', T(2), 3]], [2]);
	assert.equal(clip(info(), s, ''), s);
	const c = clip(info(), s, 'now-24h..now');
	assert.equal(c.rows.size, 2);
	assert.equal(s.rows.size, 3);
	assert.equal(tableRows(info(), c, 9).rows[0].prov, true);
});

test('the sum of all series: one line, provisional where a part is', () => {
	const s = state([['a', T(1), 1], ['b', T(1), 2], ['a', T(2), 3], ['b', T(2), 4]], [3]);
	const d = lines(info(), s, 'all', true);
	assert.deepEqual(d.names, ['Sum']);
	assert.deepEqual(d.final, [[3, null]]);
	assert.deepEqual(d.live, [[3, 7]]);
	assert.equal(d.frontier, Date.parse(T(1)) / 1000);
	const first = lines(info(), state([['a', T(1), 1], ['a', T(2), 3], ['b', T(2), 4]], [1]), 'all', true);
	assert.deepEqual([first.final, first.live], [[[1, null]], [[1, 7]]]);
});

/* 2026-10-25 03:00 is the end of summer time in Berlin. */
const week = 7 * 86400e3;
const weekly = (end, values) => state(values.map((v, k) => [new Date(Date.parse(end) - (k + 1) * week).toISOString(), v]),
	[], ['hour'], ['hour', 'n'], ['timestamptz', 'bigint']);

test('usual is the same weekday and time in the eight weeks before, of three samples or more', () => {
	const t = Date.parse(T(8));
	const s = weekly(T(8), [10, 20, 30, 40, 50, 60, 70, 80, 1000]);
	assert.deepEqual(usual(info(), s, t, 'UTC'), { v: 45, n: 8 });
	const b = band(info(), s, [t / 1000, t / 1000 + 3600], 'UTC');
	assert.deepEqual(b.lo.map((v) => v && Math.round(v)), [17, null]);
	assert.deepEqual(b.hi.map((v) => v && Math.round(v)), [73, null]);
	assert.equal(usual(info(), weekly(T(8), [1, 2]), t, 'UTC'), null);
	assert.equal(band(info(), weekly(T(8), [1, 2]), [t / 1000], 'UTC'), null);
	assert.equal(quantile([5], .9), 5);
});

test('time of day is that of the zone shown, also across the change of the clock', () => {
	const at = (day, utc) => [`2026-${day}T${utc}:00:00Z`, 5];
	/* Sundays at 09:00 in Berlin: 07 UTC before October 25th, 08 UTC after. */
	const s = state([at('10-11', '07'), at('10-18', '07'), at('10-25', '08'), at('11-01', '08')],
		[], ['hour'], ['hour', 'n'], ['timestamptz', 'bigint']);
	assert.equal(usual(info(), s, Date.parse('2026-11-08T08:00:00Z'), 'Europe/Berlin').n, 4);
	assert.equal(usual(info(), s, Date.parse('2026-11-08T08:00:00Z'), 'UTC'), null);
	assert.equal(offset(Date.parse('2026-07-01T00:00:00Z'), 'Asia/Kolkata'), 5.5 * 3600e3);
});

test('a tile compares with what is usual, else a day before, else the bucket before', () => {
	const s = state([['a', '2026-02-28T01:00:00Z', 5], ['a', T(0), 6], ['a', T(1), 7]]);
	const t = tile(info(), s, (at) => (assert.equal(at, Date.parse(T(1))), { v: 4, n: 3 }));
	assert.deepEqual([t.kind, t.ref, t.of], ['usual', 4, 3]);
	assert.deepEqual([tile(info(), s, () => null).kind, tile(info(), s).ref], ['day', 5]);
	const b = tile(info(), state([['a', T(0), 6], ['a', T(1), 7]]));
	assert.deepEqual([b.kind, b.ref], ['before', 6]);
});

test('corrections stand at their point and series; other columns and hidden points do not', () => {
	const s = state([['a', T(1), 1], ['b', T(1), 2], ['a', T(2), 3]]);
	const one = (key, more) => ({ run: 7, at: T(9), key, column: 'n', old: 61, new: 63, ...more });
	const list = [one({ room: 'b', hour: T(1) }), one({ room: 'b', hour: T(1) }, { run: 6, old: 60, new: 61 }),
		one({ room: 'a', hour: T(2) }, { column: 'other' }), one({ room: 'a', hour: T(5) }), one({ room: 'z', hour: T(1) })];
	const d = lines(info(), s, 'all');
	assert.deepEqual(marks(list, info(), s, d), [{ i: 0, s: 1, name: 'b', run: 7, at: Date.parse(T(9)), old: 61, new: 63 }]);
	assert.deepEqual(marks(list, info(), s, lines(info(), s, 'all', true)).map((m) => [m.s, m.name]), [[0, 'b'], [0, 'z']]);
	assert.equal(byRow(list, s).get(s.key(['b', T(1), 2])).length, 2);
});

test('a provisional value is split into its batch and its live part', () => {
	assert.equal(split(63, 61, ' as of 08:00'), 'batch 61 as of 08:00 + live +2');
	assert.equal(split(60.3, 60.1, ''), 'batch 60.1 + live +0.2');
	assert.equal(split(59, 61, ''), 'batch 61 + live −2');
	assert.equal(split(5, undefined, ''), 'all live');
	const m = { columns: ['room', 'hour', 'n'], types: ['text', 'timestamptz', 'bigint'], lsn: 5, batch_lsn: 5,
		rows: [['a', T(1), 1], ['b', T(1), 2], ['b', T(2), null]] };
	assert.deepEqual([...batchValues(m, info(), ['room', 'hour'], false)], [[`a ${Date.parse(T(1))}`, 1], [`b ${Date.parse(T(1))}`, 2]]);
	assert.deepEqual([...batchValues(m, info(), ['room', 'hour'], true)], [[`Sum ${Date.parse(T(1))}`, 3]]);
});

test('a heatmap with a series has it down and time across, else days and hours', () => {
	const fmt = (t, shape) => time(t, 'UTC', shape);
	const a = heat(info(), state([['a', T(1), 1], ['b', T(2), 5]]), 20, fmt);
	assert.deepEqual(a.down, ['a', 'b']);
	assert.equal(a.across.length, 2);
	assert.equal(a.rows[0][1], null);
	assert.equal(a.rows[1][1].v, 5);
	const s = state([[T(1), 1], ['2026-03-02T01:00:00Z', 3]], [], ['hour'], ['hour', 'n'], ['timestamptz', 'bigint']);
	const b = heat(info(), s, 20, fmt);
	assert.deepEqual(b.down, ['2026-03-01', '2026-03-02']);
	assert.deepEqual([b.low, b.high, b.byDay], [1, 3, true]);
});

test('numeric categories are in numeric order', () => {
	const s = state([['10', T(1), 1], ['9', T(1), 1], ['2', T(1), 1]]);
	assert.deepEqual(heat(info(), s, 20, String).down, ['2', '9', '10']);
});

test('bars show the newest bucket of each category, greatest first', () => {
	const b = bars(info(), state([['a', T(1), 9], ['a', T(2), 3], ['b', T(2), 5]], [1]), 1);
	assert.deepEqual(b.list.map((x) => [x.name, x.v]), [['b', 5]]);
	assert.equal(b.hidden, 1);
	const s = state([['a', 4], ['b', 8]], [], ['room'], ['room', 'n'], ['text', 'bigint']);
	assert.deepEqual(bars({ ...info(), bucket: null }, s, 5).list.map((x) => x.name), ['b', 'a']);
});

test('a table is newest first', () => {
	const t = tableRows(info(), state([['a', T(1), 9], ['a', T(2), 3]]), 1);
	assert.equal(t.rows[0].row[2], 3);
	assert.equal(t.more, 1);
});

test('runs of a time are collected whole, then only what may have changed; what is missing is told', async () => {
	const now = Date.parse(T(12)), all = Array.from({ length: 4000 }, (_, i) => ({ id: 4000 - i, started_at: new Date(now - i * 60e3).toISOString(), ended_at: i === 700 ? null : T(1), state: 'done' }));
	let asked = [];
	const get = async (before, limit) => {
		asked.push(limit);
		const runs = all.filter((r) => r.id < (before ?? Infinity)).slice(0, limit).map((r) => ({ ...r }));
		return { runs, next: runs.length === limit ? runs.at(-1).id : null };
	};
	const ids = (d) => d.runs.map((r) => r.id), none = { runs: [], next: null };
	const first = await collect(get, none, now - 48 * 3600e3);
	assert.deepEqual([first.runs.length, first.next, first.cut, asked], [3000, 1001, false, [1000, 1000, 1000]]);
	/* Three new ones; one of long ago was under way, and ends. */
	for (const id of [4001, 4002, 4003]) all.unshift({ id, started_at: T(12), ended_at: T(12), state: 'done' });
	all.find((r) => r.ended_at === null).ended_at = T(2);
	asked = [];
	const second = await collect(get, first, now - 48 * 3600e3);
	assert.deepEqual([second.runs.length, second.next, second.cut, asked], [3003, 1001, false, [100, 1000]]);
	assert.deepEqual(ids(second), all.slice(0, 3003).map((r) => r.id));
	assert.equal(second.runs.filter((r) => r.ended_at === null).length, 0);
	asked = [];
	assert.deepEqual(ids(await collect(get, second, now - 48 * 3600e3)), ids(second));
	assert.deepEqual(asked, [100]);
	const part = await collect(get, none, now - 48 * 3600e3, 2);
	assert.deepEqual([part.runs.length, part.cut, part.next], [2000, true, 2004]);
	const few = await collect(async () => ({ runs: all.slice(0, 3), next: null }), none, now - 48 * 3600e3);
	assert.deepEqual([few.runs.length, few.cut], [3, false]);
	assert.deepEqual(await collect(async () => ({ runs: [], next: null }), none, now), { runs: [], next: null, cut: false });
});

test('of more kinds of runs than there are lanes those with a failure stay, drawn last', () => {
	const run = (kind, i, state) => ({ id: i, kind, started_at: T(10), ended_at: T(11), state });
	const list = Array.from({ length: 28 }, (_, k) => [run(`k${k}`, k, 'done'), run(`k${k}`, k + 100, 'done')]).flat();
	const all = [run('cut', 1, 'failed'), run('cut', 2, 'done'), ...list, run('rare', 3, 'failed')];
	const g = lanes(all, Date.parse(T(12)));
	assert.equal(g.hidden, 5);
	assert.equal(lanes(all, Date.parse(T(12)), { most: 100 }).hidden, 0);
	assert.deepEqual(g.lanes.filter((l) => l.failed).map((l) => l.name), ['cut', 'rare']);
	assert.deepEqual(g.lanes.find((l) => l.name === 'cut').bars.map((b) => b.state), ['done', 'failed']);
});

test('runs fall into lanes; running ones reach to now, old ones are left out', () => {
	const now = Date.parse(T(12));
	const g = lanes([{ id: 1, kind: 'cut', started_at: T(10), ended_at: null, state: 'running' },
		{ id: 2, kind: 'cut', started_at: T(8), ended_at: T(9), state: 'done' },
		{ id: 3, kind: 'recompute', object: 'v', started_at: '2020-01-01T00:00:00Z', ended_at: '2020-01-01T00:00:01Z' }], now);
	assert.deepEqual(g.lanes.map((l) => [l.name, l.bars.length]), [['cut', 2]]);
	assert.equal(g.lanes[0].bars[0].end, now);
});

test('a cut is a bar in its own lane and in that of each view that it made; what is of one view alone is in its lane', () => {
	const now = Date.parse(T(12));
	const cut = { id: 2, kind: 'cut', object: '', started_at: T(9), ended_at: T(10), state: 'done', rows: 9, seconds: 2, changed: 3,
		views: [['visits', 1000000, 500000, 250000, 8, 4, 1, 3], ['busy', 2000000, 500000, null, null, 1, 1, 0]] };
	const runs = [{ id: 5, kind: 'compact', object: 'badge', started_at: T(11), ended_at: T(11), state: 'done' },
		{ id: 4, kind: 'rollback', object: 'visits', started_at: T(11), ended_at: T(11), state: 'failed', views: [] },
		{ id: 3, kind: 'recompute', object: 'gone', started_at: T(11), ended_at: T(11), state: 'done', views: [['gone', 0, 1, null, 1, 1, 1, 0]] }, cut];
	const g = lanes(runs, now, { views: new Set(['visits', 'busy']) });
	assert.deepEqual(g.lanes.map((l) => [l.name, l.view, l.bars.map((b) => b.run.id)]),
		[['busy', true, [2]], ['gone', true, [3]], ['visits', true, [2, 4]], ['cut', false, [2]], ['compact', false, [5]]]);
	const [bar] = g.lanes[2].bars;
	assert.deepEqual([bar.begin - Date.parse(T(9)), bar.end - bar.begin, bar.part.rows, bar.part.fold], [1000, 500, 8, .25]);
	assert.deepEqual(sumOf([bar]), { runs: 1, rows: 8, files: 1, seconds: .75, changed: 3 });
	assert.deepEqual(g.lanes.map((l) => toneOf(l.bars.at(-1))), ['done', 'anew', 'failed', 'done', 'done']);
	assert.deepEqual(byView(runs, now - SPAN).map((s) => [s.view, s.runs, s.rows, s.write]), [['busy', 1, 0, .5], ['gone', 1, 1, 1e-6], ['visits', 1, 8, .5]]);
	assert.deepEqual(byView(runs, now), []);
	const quiet = ['backup', 'expire'].map((kind, i) => ({ id: 7 + i, kind, object: '', started_at: T(11), ended_at: T(11), state: 'done', rows: 0, files: 12, seconds: 3, changed: 0 }));
	assert.deepEqual(lanes([...quiet, ...runs], now).lanes.filter((l) => !l.view).map((l) => l.name), ['cut', 'backup', 'compact', 'expire', 'rollback']);
	assert.equal(sumOf(lanes(quiet, now).lanes[0].bars).files, 12);
});

test('bars too short to be told apart are one mark for three pixels; a failure keeps its own', () => {
	const bar = (begin, end, state = 'done') => ({ begin, end, state, run: { kind: 'cut', rows: 1 }, part: null });
	const m = barMarks([bar(0, .1), bar(1, 1.1), bar(2, 2.5, 'failed'), bar(3, 3.1), bar(10, 20), bar(10, 30)], (t) => t);
	assert.deepEqual(m.map((x) => [x.x, x.width, x.tone, x.bars.length]), [[0, 2, 'done', 2], [0, 2, 'failed', 1], [3, 2, 'done', 1], [10, 10, 'done', 1], [10, 20, 'done', 1]]);
	const day = Array.from({ length: 100000 }, (_, i) => bar(i / 100, i / 100 + .001));
	assert.ok(barMarks(day, (t) => t).length <= 334);
});

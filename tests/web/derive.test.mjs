/* Goal: tiles, lines, heatmaps and bars show what the rows say, for any shape
 * of view. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { ViewState } from '../../web/lib/state.js';
import { additive, axes, bars, heat, lines, span, tableRows, tile } from '../../web/lib/derive.js';
import { lanes } from '../../web/lib/gantt.js';
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
	assert.equal(lines(info(), s, 'auto'), null);
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
	assert.equal(lines(info(), s, '24h').x.length, 2);
	assert.equal(lines(info(), s, 'all').x.length, 3);
	assert.equal(span('auto', 86400e6), Infinity);
	assert.equal(span('auto', 60e6), 86400e3);
	assert.equal(span('auto', 3600e6), 604800e3);
	assert.equal(span('nonsense', 3600e6), 604800e3);
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

test('runs fall into lanes; running ones reach to now, old ones are left out', () => {
	const now = Date.parse(T(12));
	const g = lanes([{ id: 1, kind: 'cut', started_at: T(10), ended_at: null, state: 'running' },
		{ id: 2, kind: 'cut', started_at: T(8), ended_at: T(9), state: 'done' },
		{ id: 3, kind: 'recompute', object: 'v', started_at: '2020-01-01T00:00:00Z', ended_at: '2020-01-01T00:00:01Z' }], now);
	assert.deepEqual(g.lanes.map((l) => [l.name, l.runs.length]), [['cut', 2]]);
	assert.equal(g.lanes[0].runs[0].end, now);
});

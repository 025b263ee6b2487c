/* From a view's rows to a heatmap, a list of bars or a table. Pure, like
 * derive.js; apart from it because not every overview has one.
 *
 * @typedef {import('./state.js').ViewState} ViewState */
import { additive, axes, seriesName, timed, value } from './derive.js';

/** A matrix. With a series: series down, time (or category) across. With time
 * only: days down, hours across.
 * @param {any} info @param {ViewState} s @param {number} columnsMax
 * @param {(ms: number, shape: any) => string} fmt */
export function heat(info, s, columnsMax, fmt) {
	const a = axes(info, s);
	if (a.x < 0 || a.y < 0 || s.rows.size === 0)
		return null;
	const byDay = a.xTime && a.seriesAll.length === 0;
	/** @type {Map<string, {v: number, n: number, prov: boolean, rows: any[][]}>} */
	const cells = new Map();
	/** @type {Map<string, any>} */ const xs = new Map();
	/** @type {Map<string, any>} */ const ys = new Map();
	for (const e of a.xTime ? timed(s, a) : s.rows.values()) {
		const v = value(e.row[a.y]);
		if (v === null)
			continue;
		const t = a.xTime ? /** @type {number} */ (e.t) : 0;
		const x = byDay ? fmt(t, 'hour') : String(a.xTime ? t : e.row[a.x]);
		const y = byDay ? fmt(t, 'ymd') : seriesName(e.row, a);
		xs.set(x, byDay ? Number(x) : a.xTime ? t : e.row[a.x]);
		ys.set(y, y);
		const key = x + '\n' + y;
		const c = cells.get(key) || { v: 0, n: 0, prov: false, rows: [] };
		c.v += v;
		c.n++;
		c.prov ||= e.prov !== 0;
		c.rows.push(e.row);
		cells.set(key, c);
	}
	const order = (/** @type {[string, any]} */ p, /** @type {[string, any]} */ q) =>
		typeof p[1] === 'number' && typeof q[1] === 'number' ? p[1] - q[1] :
			String(p[1]).localeCompare(String(q[1]), undefined, { numeric: true });
	let across = [...xs].sort(order).map((p) => p[0]);
	let down = [...ys].sort(order).map((p) => p[0]);
	if (!byDay && a.xTime)
		across = across.slice(-columnsMax);
	if (byDay)
		down = down.slice(-14);
	const sums = additive(info.options?.unit);
	const rows = down.map((y) => across.map((x) => {
		const c = cells.get(x + '\n' + y);
		return c === undefined ? null :
			{ v: byDay && sums ? c.v : c.v / c.n, prov: c.prov, rows: c.rows };
	}));
	let low = Infinity, high = -Infinity;
	for (const c of rows.flat())
		if (c !== null) {
			low = Math.min(low, c.v);
			high = Math.max(high, c.v);
		}
	return { rows, low, high, byDay, xTime: a.xTime && !byDay,
		across: across.map((k) => a.xTime && !byDay ? Number(k) : k), down };
}

/** Bars: the newest value of each category. @param {any} info
 *  @param {ViewState} s @param {number} max */
export function bars(info, s, max) {
	const a = axes(info, s);
	if (a.y < 0 || s.rows.size === 0)
		return null;
	/** @type {Map<string, {v: number, prov: boolean, t: number}>} */
	const by = new Map();
	for (const e of a.xTime ? timed(s, a) : s.rows.values()) {
		const v = value(e.row[a.y]);
		const name = a.seriesAll.length > 0 && (a.xTime || a.x < 0) ?
			seriesName(e.row, a) : String(a.x < 0 ? '' : e.row[a.x]);
		const t = a.xTime ? /** @type {number} */ (e.t) : 0;
		const had = by.get(name);
		if (v === null || (had !== undefined && had.t > t))
			continue;
		const add = had !== undefined && had.t === t &&
			!a.xTime ? had.v : 0;
		by.set(name, { v: v + add, prov: e.prov !== 0, t });
	}
	const all = [...by].map(([name, b]) => ({ name, ...b }))
		.sort((p, q) => q.v - p.v || p.name.localeCompare(q.name));
	let t = 0;
	for (const b of all)
		t = Math.max(t, b.t);
	return { list: all.slice(0, max), hidden: Math.max(0, all.length - max),
		high: Math.max(0, ...all.map((b) => b.v)), t };
}

/** Rows for the plain table, newest first. @param {any} info
 *  @param {ViewState} s @param {number} max */
export function tableRows(info, s, max) {
	const a = axes(info, s);
	let list = [...s.rows.values()];
	if (a.xTime)
		list = timed(s, a).sort((p, q) =>
			/** @type {number} */ (q.t) - /** @type {number} */ (p.t));
	return { rows: list.slice(0, max).map((e) => ({ row: e.row,
		prov: e.prov !== 0 })), more: Math.max(0, list.length - max) };
}

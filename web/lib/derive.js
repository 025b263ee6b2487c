/** From a view's rows and its options to what a tile, line, heatmap, bar list
 * or table shows. Pure: no DOM, no clock; tested with node.
 *
 * @typedef {import('./state.js').ViewState} ViewState
 * @typedef {{x: number, xTime: boolean, y: number, series: number,
 *    seriesAll: number[], names: string[]}} Axes  column indexes, -1: none */
import { isNumeric, isTime, parseTime } from './format.js';

export const SERIES_MAX = 6;

/** Columns to draw: those the definition names, else sensible ones.
 * @param {any} info of /api/v1/views @param {ViewState} s @returns {Axes} */
export function axes(info, s) {
	const o = info.options || {};
	const at = (/** @type {string|undefined|null} */ n) =>
		n ? s.columns.indexOf(n) : -1;
	const group = new Set(s.keyAt);
	let x = at(o.x);
	if (x < 0)
		x = at(info.bucket);
	if (x < 0)
		x = s.types.findIndex((t, i) => group.has(i) && isTime(t));
	let y = at(o.y);
	if (y < 0)
		y = s.types.findIndex((t, i) => !group.has(i) && isNumeric(t));
	if (y < 0)
		y = s.types.findIndex((t, i) => i !== x && isNumeric(t));
	let series = at(o.series);
	const rest = s.keyAt.filter((i) => i !== x && i !== y);
	if (series < 0 && rest.length > 0)
		series = rest[0];
	return { x, xTime: x >= 0 && isTime(s.types[x]), y, series, names: s.columns,
		seriesAll: series >= 0 && at(o.series) >= 0 ? [series] : rest };
}

/** @param {ViewState} s @param {Axes} a */
function timed(s, a) {
	const out = [];
	for (const e of s.rows.values()) {
		if (e.t === undefined)
			e.t = parseTime(e.row[a.x]);
		if (!Number.isNaN(e.t))
			out.push(e);
	}
	return out;
}

/** @param {any[]} row @param {Axes} a */
function seriesName(row, a) {
	if (a.seriesAll.length === 0)
		return '';
	return a.seriesAll.map((i) => row[i] === null ? '(none)' :
		typeof row[i] === 'number' ? `${a.names[i]} ${row[i]}` :
			String(row[i])).join(' · ');
}

const value = (/** @type {any} */ v) => v === null || v === undefined ? null :
	typeof v === 'number' ? v : Number.isNaN(Number(v)) ? null : Number(v);

/** Units of which a sum over rooms means nothing. @param {string} unit */
export function additive(unit) {
	return !/^(%|percent|ppm|ppb|°?[CFK]|lx|lux|dB.*|hPa|Pa|V|.*\/(s|h|min|m2|m²)|ratio|avg.*|µg.*)$/i
		.test((unit || '').trim());
}

/** One number per time: sums over series, or means of what does not add up.
 * @param {any} info @param {ViewState} s
 * @returns {{t: number[], v: number[], prov: boolean[], mean: boolean}} */
export function totals(info, s) {
	const a = axes(info, s);
	const sums = additive(info.options?.unit);
	/** @type {Map<number, {sum: number, n: number, prov: boolean}>} */
	const by = new Map();
	const entries = a.xTime ? timed(s, a) : [...s.rows.values()];
	for (const e of entries) {
		const v = a.y < 0 ? null : value(e.row[a.y]);
		if (v === null)
			continue;
		const t = a.xTime ? /** @type {number} */ (e.t) : 0;
		const cell = by.get(t) || { sum: 0, n: 0, prov: false };
		cell.sum += v;
		cell.n++;
		cell.prov ||= e.prov !== 0;
		by.set(t, cell);
	}
	const t = [...by.keys()].sort((p, q) => p - q);
	const cells = t.map((k) => by.get(k) ?? { sum: 0, n: 1, prov: false });
	return { t, mean: !sums && cells.some((c) => c.n > 1), v: cells.map((c) => sums ? c.sum : c.sum / c.n),
		prov: cells.map((c) => c.prov) };
}

/** @param {any} info @param {ViewState} s */
export function tile(info, s) {
	const all = totals(info, s);
	const n = all.t.length;
	if (n === 0)
		return null;
	const last = n - 1;
	const day = 86400000;
	/* Compare with the same time a day before; else the bucket before. */
	let ref = all.t.indexOf(all.t[last] - day);
	const kind = ref >= 0 ? 'day' : 'before';
	if (ref < 0)
		ref = last - 1;
	const from = Math.max(0, n - 48);
	return { value: all.v[last], t: all.t[last], prov: all.prov[last],
		mean: all.mean, timed: n > 1 || all.t[0] !== 0,
		ref: ref >= 0 ? all.v[ref] : null, kind, refT: ref >= 0 ? all.t[ref] : 0,
		spark: { v: all.v.slice(from), prov: all.prov.slice(from) } };
}

/** Range of time to show. @param {string} range 'auto', '24h', '7d', ...
 *  @param {number} bucketUs @returns {number} ms, Infinity: everything */
export function span(range, bucketUs) {
	const fixed = /** @type {Record<string, number>} */ ({ '6h': 21600e3,
		'24h': 86400e3, '7d': 604800e3, '30d': 2592000e3, all: Infinity });
	if (range in fixed)
		return fixed[range];
	if (bucketUs >= 86400e6)
		return Infinity;
	return bucketUs > 900e6 ? 604800e3 : 86400e3;
}

/** Series over time. For each series two lines: final values, and provisional
 * ones that begin at the last final point so that the line does not break.
 * @param {any} info @param {ViewState} s @param {string} range
 * @returns {{x: number[], names: string[], final: (number|null)[][],
 *   live: (number|null)[][], frontier: number|null, hidden: number,
 *   y: string}|null} */
export function lines(info, s, range) {
	const a = axes(info, s);
	if (!a.xTime || a.y < 0 || s.rows.size === 0)
		return null;
	let entries = timed(s, a);
	let newest = -Infinity, frontier = -Infinity;
	for (const e of entries)
		newest = Math.max(newest, /** @type {number} */ (e.t));
	const begin = newest - span(range, info.bucket_us || 0);
	entries = entries.filter((e) => /** @type {number} */ (e.t) >= begin);
	/** @type {Map<string, {size: number, at: Map<number, any>}>} */
	const by = new Map();
	const times = new Set();
	for (const e of entries) {
		const name = seriesName(e.row, a);
		const v = value(e.row[a.y]);
		let one = by.get(name);
		if (one === undefined)
			by.set(name, one = { size: 0, at: new Map() });
		one.at.set(e.t ?? 0, { v, prov: e.prov !== 0 });
		one.size += Math.abs(v ?? 0);
		times.add(e.t);
		if (e.prov === 0)
			frontier = Math.max(frontier, /** @type {number} */ (e.t));
	}
	const x = [...times].sort((p, q) => p - q);
	const names = [...by.keys()].sort((p, q) =>
		(by.get(q)?.size ?? 0) - (by.get(p)?.size ?? 0))
		.slice(0, SERIES_MAX).sort((p, q) => p.localeCompare(q, undefined,
			{ numeric: true }));
	const final = [], live = [];
	for (const name of names) {
		const one = by.get(name);
		const f = /** @type {(number|null)[]} */ ([]);
		const l = /** @type {(number|null)[]} */ ([]);
		let before = -1;
		x.forEach((t, i) => {
			const c = one?.at.get(t);
			f.push(c && !c.prov ? c.v : null);
			l.push(c && c.prov ? c.v : null);
			if (c?.prov && before >= 0 && l[before] === null)
				l[before] = f[before];
			if (c)
				before = i;
		});
		final.push(f);
		live.push(l);
	}
	/* A late event may make an old point provisional again: the rule stands
	 * after the last final point all the same. */
	return { x: x.map((t) => t / 1000), names, final, live,
		hidden: by.size - names.length, y: s.columns[a.y],
		frontier: frontier > -Infinity && frontier < newest ?
			frontier / 1000 : null };
}

/** A matrix. With a series: series down, time (or category) across. With time
 * only: days down, hours across.
 * @param {any} info @param {ViewState} s @param {number} columnsMax
 * @param {(ms: number, shape: any) => string} fmt */
export function heat(info, s, columnsMax, fmt) {
	const a = axes(info, s);
	if (a.x < 0 || a.y < 0 || s.rows.size === 0)
		return null;
	const byDay = a.xTime && a.seriesAll.length === 0;
	/** @type {Map<string, {v: number, n: number, prov: boolean}>} */
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
		const c = cells.get(key) || { v: 0, n: 0, prov: false };
		c.v += v;
		c.n++;
		c.prov ||= e.prov !== 0;
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
			{ v: byDay && sums ? c.v : c.v / c.n, prov: c.prov };
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

/** From a view's rows and its options to what a tile or a line shows (heatmap,
 * bar list and table: shapes.js). Pure: no DOM, no clock; tested with node.
 *
 * @typedef {import('./state.js').ViewState} ViewState
 * @typedef {{x: number, xTime: boolean, y: number, series: number,
 *    seriesAll: number[], names: string[]}} Axes  column indexes, -1: none */
import { isNumeric, isTime, parseTime } from './format.js';
import { bounds } from './range.js';

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

/** Rows that have a time, with it. @param {ViewState} s @param {Axes} a */
export function timed(s, a) {
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
export function seriesName(row, a) {
	if (a.seriesAll.length === 0)
		return '';
	return a.seriesAll.map((i) => row[i] === null ? '(none)' :
		typeof row[i] === 'number' ? `${a.names[i]} ${row[i]}` :
			String(row[i])).join(' · ');
}

/** @param {any} v @returns {number|null} */
export const value = (v) => v === null || v === undefined ? null :
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

/** @param {any} info @param {ViewState} s
 * @param {(t: number) => {v: number, n: number}|null} [usual] of band.js */
export function tile(info, s, usual) {
	const all = totals(info, s);
	const n = all.t.length;
	if (n === 0)
		return null;
	const last = n - 1;
	const day = 86400000;
	/* Compare with what is usual on this weekday at this time; else with the
	 * same time a day before; else with the bucket before. */
	const norm = usual && (n > 1 || all.t[0] !== 0) ? usual(all.t[last]) : null;
	let at = all.t.indexOf(all.t[last] - day);
	const kind = norm ? 'usual' : at >= 0 ? 'day' : 'before';
	if (at < 0)
		at = last - 1;
	const from = Math.max(0, n - 48);
	return { value: all.v[last], t: all.t[last], prov: all.prov[last],
		mean: all.mean, timed: n > 1 || all.t[0] !== 0, kind, of: norm?.n ?? 0,
		ref: norm ? norm.v : at >= 0 ? all.v[at] : null, refT: at >= 0 ? all.t[at] : 0,
		spark: { v: all.v.slice(from), prov: all.prov.slice(from) } };
}

/** Series over time. For each series two lines: final values, and provisional
 * ones that begin at the last final point so that the line does not break.
 * With sum there is one, the sum of all.
 * @param {any} info @param {ViewState} s @param {string} range
 * @param {boolean} [sum]
 * @returns {{x: number[], names: string[], final: (number|null)[][],
 *   live: (number|null)[][], frontier: number|null, hidden: number,
 *   y: string}|null} */
export function lines(info, s, range, sum) {
	const a = axes(info, s);
	if (!a.xTime || a.y < 0 || s.rows.size === 0)
		return null;
	let entries = timed(s, a);
	let newest = -Infinity, frontier = -Infinity;
	for (const e of entries)
		newest = Math.max(newest, /** @type {number} */ (e.t));
	const [begin, end] = bounds(range, newest, info.bucket_us || 0);
	entries = entries.filter((e) => e.t !== undefined && e.t >= begin && e.t <= end);
	/** @type {Map<string, {size: number, at: Map<number, any>}>} */
	const by = new Map();
	const times = new Set();
	for (const e of entries) {
		const name = sum ? 'Sum' : seriesName(e.row, a);
		const v = value(e.row[a.y]);
		let one = by.get(name);
		if (one === undefined)
			by.set(name, one = { size: 0, at: new Map() });
		const had = sum ? one.at.get(e.t ?? 0) : undefined;
		one.at.set(e.t ?? 0, had ? { v: had.v === null ? v : had.v + (v ?? 0),
			prov: had.prov || e.prov !== 0 } : { v, prov: e.prov !== 0 });
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
	if (x.length === 0)
		return null;
	/* A late event may make an old point provisional again: the rule stands
	 * after the last final point all the same. Of a sum, a point is final
	 * when all its parts are. */
	if (sum)
		frontier = x.findLast((_, i) => final[0][i] !== null) ?? -Infinity;
	return { x: x.map((t) => t / 1000), names, final, live,
		hidden: by.size - names.length, y: s.columns[a.y],
		frontier: frontier > -Infinity && frontier < x[x.length - 1] ?
			frontier / 1000 : null };
}

/** Only the rows of a range that the reader chose. @param {any} info
 * @param {ViewState} s @param {string} range @returns {ViewState} */
export function clip(info, s, range) {
	const a = axes(info, s);
	if (range === '' || range === 'all' || !a.xTime)
		return s;
	const rows = [...s.rows].filter(([, e]) => !Number.isNaN(e.t ??= parseTime(e.row[a.x])));
	const newest = rows.reduce((n, [, e]) => Math.max(n, e.t ?? n), -Infinity);
	const [begin, end] = bounds(range, newest, info.bucket_us || 0);
	return Object.assign(Object.create(s), { rows: new Map(rows.filter(([, e]) =>
		e.t !== undefined && e.t >= begin && e.t <= end)) });
}

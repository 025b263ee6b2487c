/* Numbers that were published and that a batch run has changed: from the
 * server's list to marks on a chart and words in a table. */
import { api } from './api.js';
import { axes, seriesName, value } from './derive.js';
import { parseTime } from './format.js';

const LIMIT = 1000;        /* The most the server gives. */

/** @typedef {{run: number, at: string, key: Record<string, any>, column: string,
 *    old: any, new: any}} Correction */

/** @param {string} view @returns {Promise<Correction[]>} newest first */
export async function load(view) {
	return (await api(`/api/v1/views/${encodeURIComponent(view)}/corrections?limit=${LIMIT}`)).corrections;
}

/** Marks of what is drawn; of several at one place the newest.
 * @param {Correction[]} list @param {any} info
 * @param {import('./state.js').ViewState} s
 * @param {{x: number[], names: string[], y: string, final: any[][], live: any[][]}} d
 * @returns {{i: number, s: number, run: number, at: number, old: number|null,
 *   new: number|null, name: string}[]} i: place in d.x, s: series */
export function marks(list, info, s, d) {
	const a = axes(info, s);
	const places = new Map(d.x.map((t, i) => [t * 1000, i]));
	const out = new Map();
	for (const c of list) {
		if (c.column !== d.y)
			continue;
		const row = s.columns.map((n) => c.key[n] ?? null);
		const name = seriesName(row, a);
		const i = places.get(parseTime(row[a.x]));
		const at = d.names.length === 1 ? 0 : d.names.indexOf(name);
		const key = `${i} ${name}`;
		if (i === undefined || at < 0 || out.has(key))
			continue;
		out.set(key, { i, s: at, name, run: c.run, at: parseTime(c.at),
			old: value(c.old), new: value(c.new) });
	}
	return [...out.values()].sort((p, q) => p.i - q.i);
}

/** Those of each row, by the row's key. @param {Correction[]} list
 * @param {import('./state.js').ViewState} s */
export function byRow(list, s) {
	/** @type {Map<string, Correction[]>} */ const out = new Map();
	for (const c of list) {
		const key = s.key(s.columns.map((n) => c.key[n] ?? null));
		out.set(key, [...(out.get(key) || []), c]);
	}
	return out;
}

/* What is usual: for a time, the values of the same weekday and time of day in
 * the eight weeks before it. Pure but for source(), which reads a history that
 * the live snapshot was too small for.
 *
 * @typedef {import('./state.js').ViewState} State */
import { signal } from '../vendor/signals.js';
import { ViewState } from './state.js';
import { totals } from './derive.js';
import { api } from './api.js';

const WEEK = 7 * 86400e3, WEEKS = 8;
export const SAMPLES_MIN = 3;

/** @type {Map<string, number>} */
const offsets = new Map();
/** @type {Map<string, Intl.DateTimeFormat>} */
const clocks = new Map();

/** A zone's distance to UTC, ms. @param {number} t @param {string} tz */
export function offset(t, tz) {
	if (tz === 'UTC')
		return 0;
	const hour = Math.floor(t / 3600e3) * 3600e3;
	const key = hour + tz;
	let o = offsets.get(key);
	if (o === undefined) {
		let f = clocks.get(tz);
		if (f === undefined)
			clocks.set(tz, f = new Intl.DateTimeFormat('sv-SE', { timeZone: tz,
				dateStyle: 'short', timeStyle: 'medium' }));
		o = Date.parse(f.format(hour).replace(' ', 'T') + 'Z') - hour;
		offsets.set(key, o);
	}
	return o;
}

/** @param {number[]} sorted @param {number} p 0..1, between the ranks */
export function quantile(sorted, p) {
	const at = (sorted.length - 1) * p;
	const i = Math.floor(at);
	return sorted[i] + (at - i) * ((sorted[i + 1] ?? sorted[i]) - sorted[i]);
}

/** @type {WeakMap<State, {key: string, at: Map<number, number>}>} */
const known = new WeakMap();

/** Values by local time. Old ones hardly change: counted again when a bucket
 * is new or a batch run has been. @param {any} info @param {State} s
 * @param {string} tz */
function history(info, s, tz) {
	const key = `${tz} ${s.rows.size} ${s.batchLsn}`;
	const had = known.get(s);
	if (had?.key === key)
		return had.at;
	const all = totals(info, s);
	const at = new Map(all.t.map((t, i) => [t + offset(t, tz), all.v[i]]));
	known.set(s, { key, at });
	return at;
}

/** @param {Map<number, number>} at @param {number} t @param {string} tz */
function samples(at, t, tz) {
	const local = t + offset(t, tz), out = [];
	for (let k = 1; k <= WEEKS; k++) {
		const v = at.get(local - k * WEEK);
		if (v !== undefined)
			out.push(v);
	}
	return out.length < SAMPLES_MIN ? null : out.sort((p, q) => p - q);
}

/** The band from the tenth to the ninetieth part of a hundred.
 * @param {any} info @param {State} s @param {number[]} x seconds
 * @param {string} tz
 * @returns {{lo: (number|null)[], hi: (number|null)[]}|null} */
export function band(info, s, x, tz) {
	const at = history(info, s, tz);
	const got = x.map((t) => samples(at, t * 1000, tz));
	return got.every((g) => g === null) ? null :
		{ lo: got.map((g) => g && quantile(g, .1)), hi: got.map((g) => g && quantile(g, .9)) };
}

/** The median at a time. @param {any} info @param {State} s @param {number} t
 * @param {string} tz @returns {{v: number, n: number}|null} */
export function usual(info, s, t, tz) {
	const got = samples(history(info, s, tz), t, tz);
	return got && { v: quantile(got, .5), n: got.length };
}

/** Counts the histories that have come. */
export const fetched = signal(0);
/** @type {Map<string, State>} */
const asked = new Map();

/** Where the history stands: in the view as the page has it, else, when that
 * was cut off, in an answer that is asked for once. @param {any} info
 * @param {State} s @returns {State} */
export function source(info, s) {
	if (!s.truncated)
		return s;
	const had = asked.get(info.name);
	if (had)
		return had;
	const all = new ViewState(info.name, s.keys);
	asked.set(info.name, all);
	api(`/api/v1/views/${encodeURIComponent(info.name)}?from=now-56d&order=newest`).then((m) => {
		all.snapshot(m);
		fetched.value++;
	}, () => {});
	return all;
}

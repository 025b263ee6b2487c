/* What of a provisional value a batch run has settled. Pure. */
import { axes, seriesName, timed, value } from './derive.js';
import { ViewState } from './state.js';
import { number } from './format.js';

/** Batch values of the times that are not final, by series and time.
 * @param {any} m answer of layer=batch @param {any} info @param {string[]} keys
 * @param {boolean} sum @returns {Map<string, number>} */
export function batchValues(m, info, keys, sum) {
	const s = new ViewState(info.name, keys);
	s.snapshot({ ...m, provisional: [] });
	const a = axes(info, s);
	/** @type {Map<string, number>} */ const out = new Map();
	for (const e of timed(s, a)) {
		const key = `${sum ? 'Sum' : seriesName(e.row, a)} ${e.t}`;
		const v = value(e.row[a.y]);
		if (v !== null)
			out.set(key, (sum ? out.get(key) ?? 0 : 0) + v);
	}
	return out;
}

/** @param {number|null} v @param {number|undefined} batch @param {string} as */
export function split(v, batch, as) {
	if (v === null || batch === undefined)
		return 'all live';
	const live = Math.round((v - batch) * 1e6) / 1e6;
	return `batch ${number(batch)}${as} + live ${live < 0 ? '−' : '+'}${number(Math.abs(live))}`;
}

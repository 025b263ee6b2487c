/* The range of time in the address, as one text: '' (as suits the view),
 * 'all', or FROM..TO, each now, now-24h, or a time. 'now' is the newest row of
 * the view, so that data that are replayed or late fill the range too. Pure. */
import { parseTime } from './format.js';

const DAY = 86400e3;
const units = /** @type {Record<string, number>} */ ({ m: 60e3, h: 3600e3, d: DAY, w: 7 * DAY });

/** @param {URLSearchParams} q @returns {string} */
export function rangeOf(q) {
	const from = q.get('from');
	if (!from || Number.isNaN(from === 'all' ? 0 : moment(from, 0)))
		return '';
	return from === 'all' ? from : `${from}..${q.get('to') || 'now'}`;
}

/** @param {string} range @returns {[string|null, string|null]} from and to */
export function split(range) {
	const [from, to] = range.split('..');
	return [from || null, to === undefined || to === 'now' ? null : to];
}

/** @param {string} text @param {number} now @returns {number} NaN: not a time */
export function moment(text, now) {
	const m = /^now(?:-(\d+)([mhdw]))?$/.exec(text);
	return m ? now - (m[1] ? Number(m[1]) * units[m[2]] : 0) : parseTime(text);
}

/** @param {string} range @param {number} newest ms @param {number} bucketUs
 * @returns {[number, number]} ms, both included */
export function bounds(range, newest, bucketUs) {
	const [from, to] = split(range);
	if (from === 'all')
		return [-Infinity, Infinity];
	const end = to === null ? Infinity : moment(to, newest);
	if (from !== null && !Number.isNaN(end))
		return [moment(from, newest), end];
	return [newest - (bucketUs >= DAY * 1e3 ? Infinity :
		bucketUs > 900e6 ? 7 * DAY : DAY), Infinity];
}

/** @param {number} ms before now */
function before(ms) {
	if (ms <= 0)
		return 'now';
	return ms > DAY && ms % DAY === 0 ? `now-${ms / DAY}d` :
		ms % 3600e3 === 0 ? `now-${ms / 3600e3}h` : `now-${Math.round(ms / 60e3)}m`;
}

/** The range of the same length before (-1) or after (1); null: there is none.
 * @param {string} range @param {number} by @returns {string|null} */
export function shift(range, by) {
	const [from, to] = split(range === '' ? 'now-24h..now' : range);
	if (from === null || from === 'all' || (to === null && by > 0))
		return null;
	const far = 1e15;
	const begin = moment(from, far), end = moment(to ?? 'now', far);
	const step = by * (end - begin);
	if (!(end > begin))
		return null;
	if (from.startsWith('now') !== (to ?? 'now').startsWith('now'))
		return null;
	if (!from.startsWith('now'))
		return `${new Date(begin + step).toISOString()}..${new Date(end + step).toISOString()}`;
	/* Never beyond now. */
	const last = Math.max(0, far - end - step);
	return `${before(last + end - begin)}..${before(last)}`;
}

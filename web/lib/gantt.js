/* Runs sorted into lanes for the Gantt. Pure. */
import { parseTime } from './format.js';

export const SPAN = 48 * 3600e3;
const LANES = 16;
const isFailed = (/** @type {any} */ r) => r.state === 'failed';

/** @param {any[]} runs @param {number} now
 * @returns {{from: number, to: number, count: number,
 *   lanes: {name: string, runs: any[]}[], hidden: number}} hidden: lanes */
export function lanes(runs, now) {
	const from = now - SPAN;
	/** @type {Map<string, any[]>} */ const by = new Map();
	let count = 0;
	for (const r of runs) {
		const begin = parseTime(r.started_at);
		const ended = parseTime(r.ended_at);
		const end = Number.isNaN(ended) ? now : ended;
		if (Number.isNaN(begin) || end < from)
			continue;
		const name = r.object ? `${r.kind} ${r.object}` : r.kind;
		const list = by.get(name) || [];
		list.push({ ...r, begin: Math.max(begin, from), end: Math.min(end, now) });
		by.set(name, list);
		count++;
	}
	/* Failures are drawn last, over the others, and their lanes always. */
	const all = [...by].map(([name, list]) => ({ name, failed: list.some(isFailed),
		runs: [...list.filter((r) => !isFailed(r)), ...list.filter(isFailed)] }))
		.sort((a, b) => b.runs.length - a.runs.length || a.name.localeCompare(b.name));
	const shown = all.filter((l, i) => i < LANES || l.failed);
	return { from, to: now, count, lanes: shown, hidden: all.length - shown.length };
}

/** Newest first, all that began after ${begin}, and more: what was known before
 * is asked for again only down to the oldest run that had not ended.
 * @param {(before: number|null, limit: number) => Promise<{runs: any[], next: number|null}>} get
 * @param {{runs: any[], next: number|null}} known @param {number} begin
 * @param {number} [pages] at most, of a thousand
 * @returns {Promise<{runs: any[], next: number|null, cut: boolean}>} cut: some
 *   of that time are missing */
export async function collect(get, known, begin, pages = 10) {
	const open = known.runs.filter((r) => !r.ended_at);
	const settled = open.length > 0 ? open[open.length - 1].id : known.runs[0]?.id ?? 0;
	let runs = /** @type {any[]} */ ([]), next = /** @type {number|null} */ (null);
	for (let i = 0; i < pages; i++) {
		const d = await get(next, settled > 0 && i === 0 ? 100 : 1000);
		runs = runs.concat(d.runs);
		next = d.next ?? null;
		const last = d.runs[d.runs.length - 1];
		if (last && settled > 0 && last.id <= settled) {
			runs = runs.concat(known.runs.filter((r) => r.id < last.id));
			next = known.runs[known.runs.length - 1].id < last.id ? known.next : next;
			break;
		}
		if (next === null || !last || parseTime(last.started_at) < begin)
			break;
	}
	return { runs, next, cut: next !== null && parseTime(runs[runs.length - 1].started_at) >= begin };
}

const units = /** @type {Record<string, number>} */ ({ ms: 1, s: 1e3, min: 60e3, hour: 3600e3, hours: 3600e3, h: 3600e3, day: 864e5, days: 864e5 });

/** When something that comes every so often comes next. @param {string} every
 * as a setting writes it: "60 s", "1 hour" @param {number} last @param {number} now
 * @param {number} count @returns {number[]} none when it is not known */
export function fires(every, last, now, count) {
	const m = /^(\d+(?:\.\d+)?) *([a-z]+)$/.exec(every.trim());
	const step = m ? Number(m[1]) * (units[m[2]] || 0) : 0;
	if (step < 1000 || Number.isNaN(last))
		return [];
	const first = last + Math.max(1, Math.ceil((now - last) / step)) * step;
	return Array.from({ length: count }, (_, i) => first + i * step);
}

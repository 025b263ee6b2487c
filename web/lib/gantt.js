/* Runs sorted into lanes for the Gantt. Pure. */
import { parseTime } from './format.js';

const SPAN = 48 * 3600e3;

/** @param {any[]} runs @param {number} now
 * @returns {{from: number, to: number, count: number,
 *   lanes: {name: string, runs: any[]}[]}} */
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
	return { from, to: now, count, lanes: [...by].map(([name, list]) =>
		({ name, runs: list })).sort((a, b) => b.runs.length - a.runs.length ||
		a.name.localeCompare(b.name)).slice(0, 16) };
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

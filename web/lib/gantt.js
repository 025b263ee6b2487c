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

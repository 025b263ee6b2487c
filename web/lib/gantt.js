/* Runs sorted into lanes for the Gantt: one for each view, with what batch made
 * of it, and one for each kind of run. Pure. */
import { parseTime } from './format.js';

export const SPAN = 48 * 3600e3;
export const LANES = 24;
const isFailed = (/** @type {any} */ r) => r.state === 'failed';

/** @typedef {{begin: number, end: number, state: string, run: any, part: any}} Bar
 *    part: of a run that made more than one thing, what it made here
 *  @typedef {{name: string, view: boolean, failed: boolean, bars: Bar[]}} Lane */

/** What a run made of views, with names for its figures. @param {any} r */
export const partsOf = (r) => (r.views || []).map((/** @type {any[]} */ [view, after, write, fold, rows, groups, files, changed]) =>
	({ view, begin: parseTime(r.started_at) + after / 1e3, seconds: write / 1e6, fold: fold === null ? null : fold / 1e6, rows, groups, files, changed }));

/** Views come first, by name; then cuts, then other kinds. Of more lanes than
 * ${most} those with most bars are shown, and all in which something failed.
 * @param {any[]} runs @param {number} now @param {{views?: Set<string>, most?: number, span?: number}} [o] names of views
 * @returns {{from: number, to: number, count: number, lanes: Lane[], hidden: number}} hidden: lanes */
export function lanes(runs, now, { views = new Set(), most = LANES, span = SPAN } = {}) {
	const from = now - span;
	/** @type {Map<string, Lane>} */ const by = new Map();
	const put = (/** @type {string} */ name, /** @type {boolean} */ view, /** @type {Bar} */ bar) => {
		const key = `${view ? 'view' : 'kind'} ${name}`;
		const lane = by.get(key) || { name, view, failed: false, bars: [] };
		if (bar.end >= from)
			lane.bars.push({ ...bar, begin: Math.max(bar.begin, from), end: Math.min(bar.end, now) });
		lane.failed ||= isFailed(bar.run);
		by.set(key, lane);
	};
	let count = 0;
	for (const r of runs) {
		const begin = parseTime(r.started_at);
		const ended = parseTime(r.ended_at);
		const end = Number.isNaN(ended) ? now : ended;
		if (Number.isNaN(begin) || end < from)
			continue;
		const own = r.kind === 'recompute' || (r.object && views.has(r.object));
		put(own && r.object ? r.object : r.kind, Boolean(own && r.object), { begin, end, state: r.state, run: r, part: null });
		for (const part of partsOf(r))
			if (part.view !== r.object)
				put(part.view, true, { begin: part.begin, end: part.begin + part.seconds * 1e3, state: r.state, run: r, part });
		count++;
	}
	const rank = (/** @type {Lane} */ l) => l.view ? 0 : l.name === 'cut' ? 1 : 2;
	const all = [...by.values()].filter((l) => l.bars.length > 0);
	/* Failures are drawn last, over the others, and their lanes always. */
	const busy = new Set([...all].sort((a, b) => b.bars.length - a.bars.length || a.name.localeCompare(b.name)).filter((l, i) => i < most || l.failed));
	const shown = all.filter((l) => busy.has(l)).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
		.map((l) => ({ ...l, bars: [...l.bars.filter((x) => !isFailed(x)), ...l.bars.filter(isFailed)] }));
	return { from, to: now, count, lanes: shown, hidden: all.length - shown.length };
}

const CELL = 3;
/** How a bar is filled: what failed or is under way, else what it is of. @param {Bar} b */
export const toneOf = (b) => b.state !== 'done' ? b.state : b.part || !['recompute', 'rollback'].includes(b.run.kind) ? 'done' : 'anew';

/** Bars as they are drawn: those too short to be told apart are one for each
 * three pixels, however many there are. @param {Bar[]} bars @param {(t: number) => number} x
 * @returns {{x: number, width: number, tone: string, bars: Bar[]}[]} */
export function barMarks(bars, x) {
	/** @type {Map<string, {x: number, width: number, tone: string, bars: Bar[]}>} */ const by = new Map();
	for (const b of bars) {
		const at = x(b.begin), width = x(b.end) - at, tone = toneOf(b);
		const cell = Math.floor(at / CELL);
		const key = width > CELL ? `${by.size}` : `${cell} ${tone}`;
		const one = by.get(key);
		if (one)
			one.bars.push(b);
		else
			by.set(key, width > CELL ? { x: at, width, tone, bars: [b] } : { x: cell * CELL, width: CELL - 1, tone, bars: [b] });
	}
	return [...by.values()];
}

/** @param {Bar[]} bars @returns {{runs: number, rows: number, files: number, seconds: number, changed: number}} */
export const sumOf = (bars) => bars.reduce((s, { run, part }) => ({ runs: s.runs + 1, rows: s.rows + ((part || run).rows ?? 0),
	files: s.files + ((part || run).files ?? 0), seconds: s.seconds + (part ? part.seconds + (part.fold ?? 0) : run.seconds ?? 0), changed: s.changed + ((part || run).changed ?? 0) }), { runs: 0, rows: 0, files: 0, seconds: 0, changed: 0 });

/** What batch did for each view since ${from}: a line each. @param {any[]} runs @param {number} from */
export function byView(runs, from) {
	/** @type {Map<string, any>} */ const by = new Map();
	for (const r of runs)
		for (const p of partsOf(r)) {
			if (p.begin < from)
				continue;
			const s = by.get(p.view) || { view: p.view, runs: 0, rows: 0, groups: 0, files: 0, changed: 0, fold: 0, write: 0, last: 0 };
			by.set(p.view, { ...s, runs: s.runs + 1, rows: s.rows + (p.rows ?? 0), groups: s.groups + p.groups, files: s.files + p.files,
				changed: s.changed + p.changed, fold: s.fold + (p.fold ?? 0), write: s.write + p.seconds, last: Math.max(s.last, p.begin) });
		}
	return [...by.values()].sort((a, b) => a.view.localeCompare(b.view));
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

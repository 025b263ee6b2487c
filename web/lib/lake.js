/* Of the lake: small sums, names and queries. Pure. */
import { interval, parseTime } from './format.js';

/** Of the files of tables, how many percent compaction should have merged: 0 none, 100 all of them. @param {any[]} list */
export const unmerged = (list) => {
	const files = list.reduce((n, t) => n + t.files, 0);
	/* The young ones of a table are no fault, nor is the one of a small day. */
	const small = list.reduce((n, t) => n + Math.max(0, t.small_files - Math.max(8, t.partitions || 0)), 0);
	return files === 0 ? 0 : Math.round(100 * small / files);
};

/** The folder of the lake, from a table's location. @param {string} location file:///var/lib/tarn/lake/silver/t */
export function lakeFolder(location) {
	const m = /^file:\/\/(.*)\/(?:bronze|silver|gold)\/[^/]+\/?$/.exec(location);
	return m ? decodeURI(m[1]) : '';
}

/** What is not kept for ever, and how long it is. @param {any[]} streams
 * @param {any[]} views @param {string} objects the setting object_retention
 * @returns {[string, string][]} */
export function keptFor(streams, views, objects) {
	const raw = (/** @type {any} */ s) => s.bronze_retention_us === s.retention_us ? '' :
		`; raw bytes ${s.bronze_retention_us > 0 ? interval(s.bronze_retention_us) : 'for ever'}`;
	return [...streams.filter((s) => s.retention_us > 0 || s.bronze_retention_us > 0).map((s) => /** @type {[string, string]} */ (
		[`rows of ${s.name}`, `${s.retention_us > 0 ? interval(s.retention_us) : 'for ever'}${raw(s)}`])),
	...views.filter((v) => v.options?.retention).map((v) => /** @type {[string, string]} */ ([`numbers of ${v.name}`, v.options.retention])),
	...objects.split(',').filter((x) => x.includes('=')).map((x) => {
		const [bucket, age] = x.split('=').map((y) => y.trim());
		return /** @type {[string, string]} */ ([bucket === '*' ? 'other objects' : `objects in ${bucket}`, age]);
	})];
}

const FEW = 12;
/** What DuckDB is asked for the rows of a table: of exactly the files in force
 * where they are few, or where no Iceberg metadata tell them; a pattern of
 * names would also match files that only older snapshots have.
 * @param {{folder: string, tier: string, name: string, paths: string[],
 *    fields: string[]}} t   fields: of its Iceberg schema, if it is written */
export function duckQuery({ folder, tier, name, paths, fields }) {
	const text = (/** @type {string} */ s) => `'${s.replace(/'/g, "''")}'`;
	/* Gold has the rows that HAVING leaves out, too. */
	const list = paths.length <= FEW || fields.length === 0;
	const shown = tier === 'gold' && (list || fields.includes('_visible')) ? ' WHERE _visible' : '';
	return list ? `SELECT count(*) FROM read_parquet([\n  ${paths.map((p) => text(`${folder || 'LAKE'}/${p}`)).join(',\n  ')}],\n  union_by_name = true)${shown};` :
		`INSTALL iceberg; LOAD iceberg;\nSELECT count(*) FROM iceberg_scan(${text(`${folder}/${tier}/${name}`)})${shown};`;
}

/** The run that wrote a file: its name is <position>-<run>-... @param {string} path */
export const runOf = (path) => {
	const m = /^\d+-(\d+)/.exec(path.split('/').at(-1) || '');
	return m ? Number(m[1]) : null;
};

/** What shows a table as of a position or a time; null when it is neither.
 * @param {string} name @param {string} when */
export function pastQuery(name, when) {
	const t = when.trim();
	const at = /^[1-9]\d{0,18}$/.test(t) ? t : /^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?$/.test(t) ? `timestamptz '${t}'` : null;
	return at === null ? null : `SELECT * FROM as_of('${name.replace(/'/g, "''")}', ${at}) LIMIT 100`;
}

/** What runs that publish do to rows. @type {Record<string, [string, string]>} */
const kinds = { cut: ['rows', 'a cut'], compact: ['files', 'compaction'], move: ['files', 'a move to the cold folder'], recompute: ['anew', 'a recompute'],
	rollback: ['anew', 'a rollback'], apply: ['anew', 'new definitions'], erase: ['anew', 'an erasure'], retire: ['anew', 'retention'] };
const reasons = /** @type {Record<string, string>} */ ({ timer: 'by the clock', rows: 'for many rows', memory: 'for memory', request: 'asked for' });

/** What made a snapshot: how it is drawn, and in words. @param {any} s @returns {{kind: string, words: string}} */
export function madeBy(s) {
	const [kind, what] = kinds[s.kind] || ['anew', s.kind || 'a run that is not known any more'];
	const why = s.reason && s.kind === 'cut' ? ` ${reasons[s.reason] || `(${s.reason})`}` : s.object ? ` of ${s.object}` : '';
	return { kind, words: what + why };
}

const CELL = 9;
/** Snapshots over time: a step line of their rows, and signs of what made them;
 * of those that fall together, the one that changed most. @param {any[]} list newest first
 * @param {{left: number, right: number, top: number, bottom: number}} box */
export function timeline(list, { left, right, top, bottom }) {
	const times = list.map((s) => parseTime(s.published_at));
	const from = times.at(-1) ?? 0, to = times[0] ?? 0, span = Math.max(1, to - from), wide = Math.max(1, right - left);
	const most = Math.max(1, ...list.map((s) => s.rows)), least = Math.min(most, ...list.map((s) => s.rows));
	const x = (/** @type {number} */ t) => list.length < 2 ? right : left + (t - from) / span * wide;
	/* Where all have about the same the line is flat, on top. */
	const y = (/** @type {number} */ n) => most === least ? top : bottom - (n - least) / (most - least) * (bottom - top);
	/** @type {Map<any, {x: number, y: number}>} */ const points = new Map(list.map((s, i) => [s.sequence, { x: x(times[i]), y: y(s.rows) }]));
	/** @type {Map<number, {x: number, kind: string}>} */ const cells = new Map();
	const rank = ['files', 'rows', 'anew'];
	let line = '';
	for (const s of [...list].reverse()) {
		const p = /** @type {any} */ (points.get(s.sequence)), cell = Math.round(p.x / CELL), kind = madeBy(s).kind;
		const old = cells.get(cell);
		if (!old || rank.indexOf(kind) > rank.indexOf(old.kind))
			cells.set(cell, { x: cell * CELL, kind });
		line += line === '' ? `M${p.x.toFixed(1)} ${p.y.toFixed(1)}` : `H${p.x.toFixed(1)}V${p.y.toFixed(1)}`;
	}
	const n = list.length < 2 || span < 2000 ? 1 : wide < 420 ? 2 : 4;
	const ticks = n === 1 ? times.slice(0, 1).map((t) => ({ t, x: right, anchor: 'end' })) : Array.from({ length: n + 1 }, (_, i) =>
		({ t: from + span * i / n, x: left + wide * i / n, anchor: i === 0 ? 'start' : i === n ? 'end' : 'middle' }));
	return { points, cells: [...cells.values()], kinds: new Set([...cells.values()].map((c) => c.kind)), line, ticks, most };
}

/** The snapshot next to a place on the line. @param {any[]} list @param {ReturnType<typeof timeline>} t @param {number} at */
export const nearest = (list, t, at) => list.reduce((best, s) =>
	Math.abs((t.points.get(s.sequence)?.x ?? 0) - at) < Math.abs((t.points.get(best.sequence)?.x ?? 0) - at) ? s : best, list[0]);

/* Of the lake: small sums, names and queries. Pure. */
import { interval } from './format.js';

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

/* Of the lake: small sums and names. Pure. */

/** Of the files of tables, how many percent compaction should have merged: 0 none, 100 all of them. @param {any[]} list */
export const unmerged = (list) => {
	const files = list.reduce((n, t) => n + t.files, 0);
	/* The young ones of a table are no fault, nor is the one of a small day. */
	const small = list.reduce((n, t) => n + Math.max(0, t.small_files - Math.max(8, t.partitions || 0)), 0);
	return files === 0 ? 0 : Math.round(100 * small / files);
};

/** What a table grows by in a day, in bytes; null while that is not known. @param {any} t */
export const growth = (t) => t.bytes_per_day ?? null;

/** The folder of the lake, from a table's location. @param {string} location file:///var/lib/tarn/lake/silver/t */
export function lakeFolder(location) {
	const m = /^file:\/\/(.*)\/(?:bronze|silver|gold)\/[^/]+\/?$/.exec(location);
	return m ? decodeURI(m[1]) : '';
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

/* Of the lake: small sums and names. Pure. */

/** Files that a reader opens for little: 0 none, 100 all of them. @param {any[]} list */
export const smallScore = (list) => {
	const files = list.reduce((n, t) => n + t.files, 0);
	/* The young ones of a table are no fault. */
	const small = list.reduce((n, t) => n + Math.max(0, t.small_files - 8), 0);
	return files === 0 ? 0 : Math.round(100 * small / files);
};

/** The folder of the lake, from a table's location. @param {string} location file:///var/lib/tarn/lake/silver/t */
export function lakeFolder(location) {
	const m = /^file:\/\/(.*)\/(?:bronze|silver|gold)\/[^/]+\/?$/.exec(location);
	return m ? decodeURI(m[1]) : '';
}

/* From a drawn cell to what the server is asked about it: which rows of the
 * view stand behind it, and the filters that choose just them. Pure.
 *
 * @typedef {{filters: [string, string][], open: string[]}} Cell
 *   open: columns that no filter can hold */
import { parseTime } from './format.js';

/** Group columns that are the same in all rows become filters; buckets that
 * differ a range; what is null or differs stays open, and is told.
 * @param {any} info of /api/v1/views @param {string[]} columns
 * @param {any[][]} rows @returns {Cell} */
export function cellOf(info, columns, rows) {
	const cell = /** @type {Cell} */ ({ filters: [], open: [] });
	for (const c of info.columns.filter((/** @type {any} */ x) => x.group)) {
		const at = columns.indexOf(c.name);
		const values = [...new Set(rows.map((r) => r[at] ?? null))];
		if (values.length === 1 && values[0] !== null) {
			cell.filters.push([c.name, String(values[0])]);
		} else if (c.name === info.bucket && values.length > 1 && !values.includes(null)) {
			const times = values.map(parseTime);
			if (times.some(Number.isNaN)) { // Before year 1 or after 9999.
				cell.open.push(c.name);
				continue;
			}
			cell.filters.push(['from', new Date(Math.min(...times)).toISOString()],
				['to', new Date(Math.max(...times) + (info.bucket_us || 0) / 1000).toISOString()]);
		} else {
			cell.open.push(c.name);
		}
	}
	return cell;
}

/** The address to ask. @param {string} view @param {Cell} cell @param {number} limit */
export const explainUrl = (view, cell, limit) => `/api/v1/views/${encodeURIComponent(view)}/explain?${
	new URLSearchParams([...cell.filters, ['limit', String(limit)]])}`;

/** The same rows in SQL. @param {any} info @param {Cell} cell */
export function sqlOf(info, cell) {
	const text = (/** @type {string} */ v) => `'${v.replace(/'/g, "''")}'`;
	const name = (/** @type {string} */ n) => /^[a-z_][a-z0-9_]*$/.test(n) ? n : `"${n.replace(/"/g, '""')}"`;
	const where = cell.filters.map(([n, v]) => n === 'from' ? `${name(info.bucket)} >= ${text(v)}` :
		n === 'to' ? `${name(info.bucket)} < ${text(v)}` :
			`${name(n)} = ${info.columns.some((/** @type {any} */ c) => c.name === n && /int/.test(c.type)) ? v : text(v)}`);
	return `SELECT * FROM ${name(info.name)}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''} LIMIT 200`;
}

/** The view whose rows a query gives unchanged, if it is plain enough to tell:
 * one view, all its group columns by their names, nothing computed.
 * @param {string} sql @param {any[]} views @param {string[]} columns */
export function plainView(sql, views, columns) {
	const m = /^\s*select\s+([\w\s,*"]+?)\s+from\s+"?(\w+)"?\s*(?:(?:where|order\s+by|limit)\b[^;]*)?;?\s*$/i.exec(sql);
	if (!m || /\b(as|select|group|join|union)\b/i.test(sql.replace(/^\s*select/i, '')))
		return null;
	const info = views.find((v) => v.name === m[2].toLowerCase());
	return info && info.columns.every((/** @type {any} */ c) => !c.group || columns.includes(c.name)) ? info : null;
}

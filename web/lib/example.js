/* A plausible event for a stream, made from its columns and checks. Pure. */

/** @param {any} column @param {string[]} checks @param {Date} at
 *  @returns {any} */
function sample(column, checks, at) {
	const name = column.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
	const type = column.type;
	for (const text of checks) {
		const one = new RegExp(`\\b${name}\\b\\s*(?:IN\\s*\\(|=\\s*ANY\\s*\\(\\s*(?:ARRAY)?\\s*\\[?)\\s*'((?:[^']|'')*)'`, 'i').exec(text);
		if (one)
			return one[1].replace(/''/g, "'");
		const range = new RegExp(`\\b${name}\\b\\s+BETWEEN\\s+\\(?(-?[\\d.]+)\\)?\\s+AND\\s+\\(?(-?[\\d.]+)`, 'i').exec(text);
		if (range) {
			const mid = (Number(range[1]) + Number(range[2])) / 2;
			return /int/.test(type) ? Math.round(mid) : Math.round(mid * 10) / 10;
		}
	}
	if (/^timestamptz|with time zone/.test(type))
		return at.toISOString();
	if (type.startsWith('timestamp'))
		return at.toISOString().slice(0, 19);
	if (type === 'date')
		return at.toISOString().slice(0, 10);
	if (/^time\b/.test(type))
		return at.toISOString().slice(11, 19);
	if (type.startsWith('bool'))
		return true;
	if (/int|serial/.test(type))
		return 1;
	if (/double|real|float|numeric|decimal/.test(type))
		return 21.5;
	if (/json/.test(type))
		return {};
	if (type === 'uuid')
		return '00000000-0000-4000-8000-' + at.getTime().toString(16).padStart(12, '0');
	return column.key ? `test-${at.getTime().toString(36)}` : `${column.name}-1`;
}

/* What has a default or is generated is left to the server. */
/** @param {any} stream of /api/v1/streams @param {Date} [at] */
export function example(stream, at = new Date()) {
	const checks = (stream.checks || []).map((/** @type {any} */ c) => c.text || '');
	return Object.fromEntries(stream.columns
		.filter((/** @type {any} */ c) => !c.generated && (c.default ?? null) === null)
		.map((/** @type {any} */ c) => [c.name, sample(c, checks, at)]));
}

/** @param {any} stream @param {string} origin */
export function curl(stream, origin) {
	const body = JSON.stringify(example(stream)).replace(/'/g, `'\\''`);
	return `curl -X POST ${origin}/api/v1/streams/${stream.name} \\\n` +
		`  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/** The same event as CSV. @param {any} stream */
export function csv(stream) {
	const e = example(stream);
	const field = (/** @type {any} */ v) => {
		const s = typeof v === 'object' ? JSON.stringify(v) : String(v);
		return /[",\n]/.test(s) ? `"${s.replace(/"/g, '""')}"` : s;
	};
	return `${Object.keys(e).join(',')}\n${Object.values(e).map(field).join(',')}`;
}

/* From a topic that no stream takes to a CREATE TABLE that takes it, and from a
 * stream to a message that it takes. Guesses, to be read before they are used.
 * Pure. */
import { example } from './example.js';

/* Words that PostgreSQL reserves and that devices like. */
const reserved = new Set(['all', 'and', 'any', 'as', 'case', 'check', 'column', 'default', 'desc', 'asc', 'do', 'else', 'end', 'for', 'from',
	'group', 'in', 'limit', 'not', 'null', 'off', 'offset', 'on', 'or', 'order', 'primary', 'select', 'table', 'then', 'to', 'true', 'false',
	'union', 'unique', 'user', 'using', 'when', 'where', 'window', 'with']);

/** @param {string} name @returns {string} as it stands in SQL */
export const quoted = (name) => /^[a-z_][a-z0-9_]*$/.test(name) && !reserved.has(name) ? name : `"${name.replace(/"/g, '""')}"`;

/** A plain name out of any text. @param {string} text */
const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '').replace(/^(?=\d)/, 'n').slice(0, 40);

/** @param {string} name @param {Set<string>} taken */
function fresh(name, taken) {
	let one = name;
	for (let i = 2; taken.has(one); i++)
		one = `${name}_${i}`;
	taken.add(one);
	return one;
}

/** @param {unknown} v */
function typeOf(v) {
	if (typeof v === 'boolean')
		return 'boolean';
	if (typeof v === 'number')
		return Number.isSafeInteger(v) ? 'bigint' : 'double precision';
	if (typeof v === 'string')
		return /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$/.test(v) ? 'timestamptz' : 'text';
	return v === null ? 'text' : 'jsonb';
}

/** The fields of a payload; null: it is one plain value.
 * @param {string} payload @returns {Record<string, unknown>|null} */
function fields(payload) {
	try {
		const v = JSON.parse(payload);
		const one = Array.isArray(v) ? v[0] : v;
		return one !== null && typeof one === 'object' && !Array.isArray(one) ? one : null;
	} catch {
		return null;
	}
}

/** Levels that vary become columns, named by the level before them.
 * @param {string} pattern @param {Set<string>} taken names of columns */
function captures(pattern, taken) {
	const levels = pattern.split('/');
	/** @type {string[]} */ const columns = [];
	const text = levels.map((level, i) => {
		if (level !== '+')
			return level;
		/* meters/+ has a meter. */
		const before = i > 0 && levels[i - 1] !== '+' ? plain(levels[i - 1]).replace(/(?<=..[^sui])s$/, '') : '';
		const name = fresh(before || 'device', taken);
		columns.push(name);
		return `{${name}}`;
	}).join('/');
	return { text, columns };
}

/** @param {{pattern: string, topic: string, payload: string|null}} source of /api/v1/mqtt
 * @param {string[]} streams that exist @returns {string|null} null: there is nothing to guess from */
export function propose(source, streams) {
	if (source.payload === null || source.payload.trim() === '' || /[{}]|,|->/.test(source.pattern))
		return null;
	const json = fields(source.payload);
	if (json === null && /^\s*[[{]/.test(source.payload))
		return null;
	const taken = new Set(json === null ? ['value'] : Object.keys(json));
	const topic = captures(source.pattern, taken);
	const words = source.pattern.split('/').filter((l) => l !== '+').map(plain).filter(Boolean);
	const table = fresh(words.slice(-3).join('_').slice(0, 50) || 'messages', new Set(streams));
	const lines = topic.columns.map((c) => `${quoted(c)} text NOT NULL`);
	let time = '', pattern = topic.text;
	if (json === null) {
		const v = source.payload.trim();
		lines.push(`value ${/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(v) ? 'double precision' : 'text'}`);
		pattern += ' -> value';
	} else {
		for (const [name, v] of Object.entries(json)) {
			const type = typeOf(v);
			const first = type === 'timestamptz' && time === '';
			time = first ? name : time;
			lines.push(`${quoted(name)} ${type}${first ? ' NOT NULL' : ''}`);
		}
	}
	const options = [time && `event_time = '${time.replace(/'/g, "''")}'`, `mqtt = '${pattern.replace(/'/g, "''")}'`].filter(Boolean);
	return `CREATE TABLE ${quoted(table)} (\n  ${lines.join(',\n  ')}\n) WITH (${options.join(', ')});`;
}

/** A topic and payload that the stream takes. @param {any} stream of /api/v1/streams @param {Date} [at] */
export function message(stream, at) {
	const [pattern, value] = stream.mqtt[0].split('->').map((/** @type {string} */ t) => t.trim());
	const event = example(stream, at);
	const topic = pattern.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ c) => {
		const v = String(event[c] ?? '1').replace(/[/+#\s]/g, '-');
		delete event[c];
		return v;
	}).replace(/\+/g, '1').replace(/#$/, 'x');
	return { topic, payload: value ? String(event[value] ?? '1') : JSON.stringify(event) };
}

/* Numbers, times and sizes as text. Pure: the zone is a parameter. */

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

/** @param {number|null|undefined} v */
export function number(v) {
	if (v === null || v === undefined || Number.isNaN(v))
		return '–';
	if (!Number.isFinite(v))
		return v > 0 ? '∞' : '−∞';
	const a = Math.abs(v);
	if (a >= 100 || Number.isInteger(v))
		return whole.format(v);
	return a >= 10 ? tenths.format(v) : fine.format(v);
}

/** For tiles and axes. @param {number|null|undefined} v */
export function short(v) {
	return v !== null && v !== undefined && Math.abs(v) >= 100000 ?
		compact.format(v) : number(v);
}

/** @param {number|null|undefined} n */
export function bytes(n) {
	if (n === null || n === undefined)
		return '–';
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let i = 0;
	while (n >= 1024 && i < units.length - 1) {
		n /= 1024;
		i++;
	}
	return `${i === 0 ? n : n >= 100 ? n.toFixed(0) : n.toFixed(1)} ${units[i]}`;
}

/** @param {number|null|undefined} s seconds */
export function seconds(s) {
	if (s === null || s === undefined || Number.isNaN(s))
		return '–';
	if (s < 1)
		return `${Math.max(1, Math.round(s * 1000))} ms`;
	if (s < 60)
		return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
	if (s < 172800)
		return `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min`;
	return `${Math.round(s / 86400)} days`;
}

/** @param {number|null|undefined} us microseconds */
export function interval(us) {
	if (us === null || us === undefined || us === 0)
		return '–';
	const s = us / 1e6;
	if (s % 86400 === 0)
		return `${s / 86400} day${s === 86400 ? '' : 's'}`;
	if (s % 3600 === 0)
		return `${s / 3600} h`;
	return s % 60 === 0 ? `${s / 60} min` : seconds(s);
}

/** How long ago, in words. @param {number} ms @param {number} now */
export function ago(ms, now) {
	const s = Math.max(0, (now - ms) / 1000);
	if (s < 2)
		return 'just now';
	if (s < 60)
		return `${Math.floor(s)} s ago`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ago`;
	if (s < 172800)
		return `${Math.floor(s / 3600)} h ago`;
	return `${Math.floor(s / 86400)} days ago`;
}

/** Milliseconds of a server time, or NaN. timestamp without zone counts as
 * UTC, as the server means it. @param {unknown} v */
export function parseTime(v) {
	if (typeof v === 'number')
		return v;
	if (typeof v !== 'string' || !/^\d{4}-\d\d-\d\d/.test(v))
		return NaN;
	const zoned = v.length === 10 || /(Z|[+-]\d\d:?\d\d)$/.test(v);
	return Date.parse(zoned ? v : v + 'Z');
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();
const shapes = /** @type {Record<string, Intl.DateTimeFormatOptions>} */ ({
	time: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
	clock: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
	day: { day: 'numeric', month: 'short' },
	dayname: { weekday: 'long' },
	weekday: { weekday: 'short', day: 'numeric', month: 'short' },
	daytime: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
	full: { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
	stamp: { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
	hour: { hour: '2-digit', hourCycle: 'h23' },
	ymd: { year: 'numeric', month: '2-digit', day: '2-digit' },
});

/** @param {number} ms @param {string} tz IANA name
 *  @param {'time'|'clock'|'day'|'dayname'|'weekday'|'daytime'|'full'|'stamp'|'hour'|'ymd'} shape */
export function time(ms, tz, shape) {
	if (!Number.isFinite(ms))
		return '–';
	const key = shape + tz;
	let f = formats.get(key);
	if (f === undefined) {
		f = new Intl.DateTimeFormat(shape === 'stamp' || shape === 'ymd' ?
			'sv-SE' : undefined, { ...shapes[shape], timeZone: tz });
		formats.set(key, f);
	}
	return f.format(ms);
}

/** One cell of a result. @param {unknown} v @param {string} type
 *  @param {string} tz */
export function cell(v, type, tz) {
	if (v === null || v === undefined)
		return '';
	if (type === 'date')
		return String(v).split('T')[0];
	if (type.startsWith('timestamp')) {
		const ms = parseTime(v);
		return Number.isFinite(ms) ? time(ms, tz, 'stamp') : String(v);
	}
	if (typeof v === 'number')
		return Number.isInteger(v) ? whole.format(v) :
			Math.abs(v) >= 1 ? number(v) : fine.format(v);
	return typeof v === 'object' ? JSON.stringify(v) : String(v);
}

/** The zone to show a view's buckets in: a bucket of whole days is a date as
 * the server cuts it, in UTC. @param {any} info @param {string} tz */
export function bucketZone(info, tz) {
	return (info.bucket_us || 0) >= 86400e6 ? 'UTC' : tz;
}

/** @param {string} type */
export function isNumeric(type) {
	return /^(int|smallint|bigint|integer|double|real|float|numeric|decimal)/.test(type);
}
/** @param {string} type */
export function isTime(type) {
	return /^(timestamp|date$)/.test(type);
}

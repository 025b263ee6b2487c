/* What stands at a chart's cursor. Of a provisional value it tells how much a
 * batch run has settled: 63 (batch 61 as of 08:00 + live +2). The batch part
 * is asked for at the first cursor, and again after each batch run. */
import { html, signal, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { batchValues, split } from '../lib/layers.js';
import { number, parseTime, time } from '../lib/format.js';
import { status } from '../lib/live.js';
import { valueAt } from './line.js';

/** @typedef {{lsn: number, from: number, at: number, values: Map<string, number>}} Part */
/** @type {Map<string, any>} */
const parts = new Map();

/** @param {any} info @param {any} state @param {boolean} sum @param {number} from ms
 * @returns {Part|null} */
function useBatch(info, state, sum, from) {
	const key = `${info.name} ${sum}`;
	if (!parts.has(key))
		parts.set(key, signal(null));
	const got = parts.get(key);
	const lsn = state.batchLsn;
	useEffect(() => {
		const had = got.peek();
		if (!Number.isFinite(from) || (had && had.lsn === lsn && had.from <= from))
			return;
		const at = parseTime(status.peek()?.cut_at);
		got.value = { lsn, from, at, values: had?.values || null };
		api(`/api/v1/views/${encodeURIComponent(info.name)}?layer=batch&from=${
			encodeURIComponent(new Date(from).toISOString())}`).then((m) => {
			got.value = { lsn, from, at, values: batchValues(m, info, state.keys, sum) };
		}, () => { got.value = null; });
	}, [key, lsn, from]);
	return got.value;
}

/** @param {{d: any, info: any, state: any, sum: boolean, band: any, marks: any[],
 *    at: {i: number, left: number, width: number}, unit: string, tz: string,
 *    days: boolean, tell: (text: string) => void}} p */
export function Tip({ d, info, state, sum, band, marks, at, unit, tz, days, tell }) {
	const right = at.left > at.width / 2;
	const rows = d.names.map((/** @type {string} */ name, /** @type {number} */ s) =>
		({ name, s, ...valueAt(d, s, at.i) })).filter((/** @type {any} */ r) => r.v !== null);
	const live = rows.some((/** @type {any} */ r) => !r.final);
	const first = d.x.findIndex((/** @type {number} */ _, /** @type {number} */ i) =>
		d.names.some((/** @type {string} */ n, /** @type {number} */ s) =>
			d.final[s][i] === null && d.live[s][i] !== null));
	const part = useBatch(info, state, sum, first < 0 ? NaN : d.x[first] * 1000);
	const as = part && Number.isFinite(part.at) ? ` as of ${time(part.at, tz, 'time')}` : '';
	const known = (/** @type {any} */ r) => part?.values?.get(`${r.name} ${d.x[at.i] * 1000}`);
	const none = part?.values && live && rows.every((/** @type {any} */ r) => r.final || known(r) === undefined);
	const detail = (/** @type {any} */ r) => r.final || none || !part?.values ? '' : split(r.v, known(r), as);
	const here = marks.filter((m) => m.i === at.i);
	const usual = band && band.lo[at.i] !== null ? `${number(band.lo[at.i])}–${number(band.hi[at.i])}` : '';
	const words = rows.map((/** @type {any} */ r) => `${r.name || d.y} ${number(r.v)}${detail(r) ? ` (${detail(r)})` : ''}`)
		.concat(none ? ['all live'] : [], usual ? [`usual ${usual}`] : []).join(', ');
	useEffect(() => tell(words), [words]);
	useEffect(() => () => tell(''), []);
	return html`<div class="tip" style=${{ top: '6px',
		left: right ? undefined : `${at.left + 62}px`,
		right: right ? `${at.width - at.left + 18}px` : undefined }}>
		<div class="head"><span>${time(d.x[at.i] * 1000, tz, days ? 'weekday' : 'full')}</span>
			<span class=${live ? 'mark' : ''}>${none ? '◌ all live' : live ? '◌ provisional' : '● final'}</span></div>
		${rows.map((/** @type {any} */ r) => html`<div class="row" key=${r.name}><span class="swatch"
			style=${{ background: `var(--cat-${r.s + 1})` }}></span>${r.name || d.y}
			<b>${number(r.v)}${unit ? ` ${unit}` : ''}</b></div>
			${detail(r) && html`<div class="part">(${detail(r)})</div>`}`)}
		${usual && html`<div class="row"><span class="swatch band"></span>Usual<b>${usual}</b></div>`}
		${here.map((m) => html`<div class="row" key=${m.name}><span class="mark">▲</span>${m.name}
			<b>${number(m.old)} → ${number(m.new)}</b></div>
			<div class="part">run ${m.run}, ${time(m.at, tz, 'full')}</div>`)}</div>`;
}

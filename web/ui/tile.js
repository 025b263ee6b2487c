/* A number with its trend, compared with what is usual. */
import { html, later } from '../lib/html.js';
import { tile } from '../lib/derive.js';
import { bucketZone, number, short, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';

/** Rows of a view, for the page that shows any. @param {any} info */
export const rowsOf = (info) => `/sql?q=${encodeURIComponent(`SELECT * FROM ${info.name}${
	info.bucket ? ` ORDER BY ${info.bucket} DESC` : ''} LIMIT 200`)}`;

/** Two lines over one area: final solid, provisional dashed.
 * @param {{v: number[], prov: boolean[]}} p */
function Spark({ v, prov }) {
	if (v.length < 2)
		return null;
	const low = Math.min(...v), high = Math.max(...v);
	const flat = high === low;
	const x = (/** @type {number} */ i) => (i / (v.length - 1) * 100).toFixed(2);
	const y = (/** @type {number} */ n) =>
		(flat ? 22 : 31 - (n - low) / (high - low) * 26).toFixed(2);
	let final = '', live = '';
	v.forEach((n, i) => {
		const p = `${x(i)} ${y(n)}`;
		const dashed = prov[i];
		if (i > 0 && dashed)
			live += `M${x(i - 1)} ${y(v[i - 1])}L${p}`;
		else
			final += (i === 0 || prov[i - 1] ? 'M' : 'L') + p;
	});
	const area = `M0 34L${v.map((n, i) => `${x(i)} ${y(n)}`).join('L')}L100 34Z`;
	return html`<svg class="spark" viewBox="0 0 100 34" preserveAspectRatio="none"
		aria-hidden="true"><path class="area" d=${area} />
		<path class="final" d=${final} /><path class="live" d=${live} /></svg>`;
}

/** @param {{info: any, state: any, version: number}} p */
export function Tile({ info, state }) {
	const tz = bucketZone(info, zoneName());
	const band = later('band', () => import('../lib/band.js'));
	const d = state.loaded ? tile(info, state, band ? (t) => (band.fetched.value,
		band.usual(info, band.source(info, state), t, tz)) : undefined) : null;
	const title = info.options.title || info.name;
	const day = (info.bucket_us || 0) >= 86400e6;
	const at = (/** @type {number} */ t) => time(t, tz, day ? 'weekday' : 'time');
	/* A bucket that still fills is not compared as if it were full. */
	const sign = d && d.ref !== null && d.value > d.ref ? '+' : '';
	const before = d && (d.kind === 'usual' ? `usual ${time(d.t, tz, 'dayname')}` :
		d.kind === 'day' ? 'a day before' : `at ${at(d.refT)}`);
	return html`<section class="card tile" aria-labelledby=${`v-${info.name}`}
		data-view=${info.name} title=${info.comment || info.options.description || ''}>
		<h2 id=${`v-${info.name}`}><a href=${rowsOf(info)}>${title}</a></h2>
		${d && html`<span class="chip" title=${d.prov ?
			'The live part may still change; the next batch run settles it.' :
			'A batch run covers this value.'}>${d.prov ? '◌ live' : '● final'}</span>`}
		<div class="value">${d ? short(d.value) : state.loaded ? '–' : ' '}
			${d && info.options.unit && html`<small>${info.options.unit}</small>`}</div>
		<div class="delta" title=${d?.kind === 'usual' ? `Median of the same time on ${d.of} weeks before` : ''}>${d && d.timed ? html`${at(d.t)}${d.prov ? ' so far' : ''}${d.ref !== null &&
			(d.prov ? html` · <b>${short(d.ref)}</b> ${before}` :
			html` · <b>${sign}${number(d.value - d.ref)}</b> to ${before}`)}${
			d.mean ? ' · mean' : ''}` : d ? 'In total' : state.loaded ? 'No data yet' : ' '}</div>
		${d && html`<${Spark} ...${d.spark} />`}</section>`;
}

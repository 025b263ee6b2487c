/* One view as a card: line, bar, heatmap or table, with the buttons that show
 * the sum of its series, and the same as a table. What is usual, what was
 * corrected, and all drawings but lines come later than the first paint. */
import { html, later, useEffect, useMemo, useState } from '../lib/html.js';
import { additive, lines, axes, clip } from '../lib/derive.js';
import { LineChart } from './line.js';
import { Icon } from './icons.js';
import { Skeleton } from './parts.js';
import { bucketZone } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { query, setQuery } from '../lib/router.js';
import { view } from '../lib/live.js';

/** @param {any} info @returns {string[]} */
export const keysOf = (info) => info.columns.filter(
	(/** @type {any} */ c) => c.group).map((/** @type {any} */ c) => c.name);

const isDays = (/** @type {any} */ info) => (info.bucket_us || 0) >= 86400e6;

/** The element's width, for drawings that need pixels. */
function useWidth() {
	const [el, ref] = useState(/** @type {HTMLElement|null} */ (null));
	const [width, setWidth] = useState(0);
	useEffect(() => {
		if (!el)
			return undefined;
		setWidth(el.clientWidth);
		const seen = new ResizeObserver(() => setWidth(el.clientWidth));
		seen.observe(el);
		return () => seen.disconnect();
	}, [el]);
	return /** @type {[any, number]} */ ([ref, width]);
}

/** A drawing that is fetched when it is wanted. @param {any} p */
function Shape({ name, ...p }) {
	const part = later('shapes', () => import('./shapes.js'));
	return part ? html`<${part[name]} ...${p} />` : html`<${Skeleton} height=${308} />`;
}

/** Series over time, with the band of what is usual and the corrections.
 * @param {{info: any, state: any, version: number, range: string, sum: boolean,
 *    corrections: any[]}} p */
function Line({ info, state, version, range, sum, corrections }) {
	const tz = bucketZone(info, zoneName());
	const usual = later('band', () => import('../lib/band.js'));
	const put = later('corrections', () => import('../lib/corrections.js'));
	const d = useMemo(() => lines(info, state, range, sum), [state, version, range, sum]);
	const from = usual?.source(info, state);
	const band = useMemo(() => d && from && info.options.overview === 'line' &&
		d.names.length === 1 && d.hidden === 0 ? usual.band(info, from, d.x, tz) : null,
	[d?.x.length, d?.x[0], d?.names[0], state.batchLsn, from, usual?.fetched.value, tz]);
	const marks = useMemo(() => put && d && corrections.length > 0 ?
		put.marks(corrections, info, state, d) : [], [corrections, d, put]);
	if (d === null)
		return html`<div class="legend"></div><div class="chart"><p class="muted">${
			range ? 'Nothing in this range.' : 'No data yet.'}</p></div><div class="under"></div>`;
	return html`<${LineChart} d=${d} info=${info} state=${state} sum=${sum} band=${band} marks=${marks}
		title=${info.options.title || info.name} unit=${info.options.unit || ''} tz=${tz}
		days=${isDays(info)} asBars=${info.options.overview === 'bar'} />`;
}

/** @param {{info: any, range: string, wide: boolean}} p */
export function Card({ info, range, wide }) {
	const v = view(info.name, keysOf(info));
	const version = v.version.value;
	const [table, setTable] = useState(false);
	const [ref, width] = useWidth();
	const [corrections, setCorrections] = useState(/** @type {any[]} */ ([]));
	const kind = info.options.overview;
	const title = info.options.title || info.name;
	const asTable = kind === 'table' || table;
	const a = axes(info, v.state);
	const overTime = kind === 'line' || (kind === 'bar' && a.xTime && a.seriesAll.length === 0);
	const state = useMemo(() => overTime && !asTable ? v.state : clip(info, v.state, range),
		[v.state, version, range, overTime, asTable]);
	const chosen = (query.value.get('sum') || '').split(',').filter(Boolean);
	const sum = chosen.includes(info.name);
	const sums = kind === 'line' && !asTable && a.seriesAll.length > 0 && additive(info.options.unit);
	const settled = v.state.loaded ? v.state.batchLsn : -1;
	useEffect(() => {
		if (kind === 'line' && settled >= 0)
			import('../lib/corrections.js').then((m) => m.load(info.name))
				.then(setCorrections, () => {});
	}, [settled, kind]);
	return html`<section class=${`card ${wide ? 'wide' : ''} ${asTable ? 'flush' : ''}`}
			aria-labelledby=${`v-${info.name}`} data-view=${info.name}>
		<header><h2 id=${`v-${info.name}`} title=${info.comment || info.options.description || ''}>${title}
			${info.options.unit && html`<span class="muted small"> ${info.options.unit}</span>`}</h2>
			${sums && html`<button class="btn quiet tiny" aria-pressed=${String(sum)} title="Add the series up"
				aria-label=${`Sum: ${title}`} onClick=${() => setQuery('sum', (sum ?
				chosen.filter((n) => n !== info.name) : [...chosen, info.name]).join() || null)}><${Icon} name="sum" /><span class="hide-s">Sum</span></button>`}
			${kind !== 'table' && html`<button class="btn quiet tiny" aria-label=${`${table ? 'Show as chart' : 'Show as table'}: ${title}`}
				onClick=${() => setTable(!table)}><${Icon} name=${table ? 'chart' : 'table'} />
				<span class="hide-s">${table ? 'Show as chart' : 'Show as table'}</span></button>`}</header>
		${!v.state.loaded ? html`<div class="body"><${Skeleton} height=${308} /></div>` :
			asTable ? html`<${Shape} name="ViewTable" info=${info} state=${state} version=${version}
				corrections=${corrections} />` :
			html`<div class="body"><div ref=${ref}></div>${overTime ? html`<${Line} info=${info} state=${v.state}
				version=${version} range=${range} sum=${sum && sums} corrections=${corrections} />` :
				html`<${Shape} name=${kind === 'heatmap' ? 'Heat' : 'Bars'} info=${info} state=${state}
				version=${version} width=${width} />`}</div>`}</section>`;
}

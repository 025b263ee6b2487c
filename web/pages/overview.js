/* The overview: drawn from the views that the pipeline marks with
 * WITH (overview = ...); nothing here knows what they are about. */
import { html, later, useEffect } from '../lib/html.js';
import { catalog, catalogProblem, want, view, status, conn, loadCatalog } from '../lib/live.js';
import { query } from '../lib/router.js';
import { rangeOf } from '../lib/range.js';
import { PageHead, ProblemBox, Skeleton } from '../ui/parts.js';
import { Range } from '../ui/range.js';
import { Tile } from '../ui/tile.js';
import { Card, keysOf } from '../ui/cards.js';

/** @param {any[]} views */
export function chosen(views) {
	return views.filter((v) => v.options?.overview).sort((a, b) =>
		Number(a.options.position ?? 1e9) - Number(b.options.position ?? 1e9) ||
		a.name.localeCompare(b.name));
}

/** @param {{info: any}} p */
function LiveTile({ info }) {
	const v = view(info.name, keysOf(info));
	/* The version is a prop: state changes in place, and a component whose
	 * props are the same is not drawn again. */
	return html`<${Tile} info=${info} state=${v.state} version=${v.version.value} />`;
}

/* A chart takes the whole width when it would stand alone in its row. */
/** @param {any[]} cards */
function widths(cards) {
	const n = cards.length;
	return cards.map((c, i) => n === 1 || (i === 0 && n % 2 === 1));
}

/** Most visits do not need it: fetched when they do.
 * @param {{noViews: boolean}} p */
function Empty(p) {
	const part = later('firststeps', () => import('../ui/firststeps.js'));
	return part ? html`<${part.FirstSteps} ...${p} />` : html`<${Skeleton} height=${340} />`;
}

function Loading() {
	return html`<div class="tiles">${[1, 2, 3, 4].map((i) => html`<${Skeleton} key=${i} height=${144} />`)}</div>
		<${Skeleton} height=${340} />`;
}

export function Overview() {
	const views = catalog.value === null ? null : chosen(catalog.value);
	const names = views === null ? '' : views.map((v) => v.name).join();
	useEffect(() => {
		if (views !== null)
			want(Object.fromEntries(views.map((v) => [v.name, keysOf(v)])));
	}, [catalog.value]);
	useEffect(() => () => want({}), []);
	useEffect(() => {
		if (catalog.peek() === null && conn.peek() !== 'open')
			loadCatalog();
	}, []);

	const range = rangeOf(query.value);
	const head = html`<${PageHead} title="Overview">${names && html`<${Range} range=${range} />`}</${PageHead}>`;
	if (views === null)
		return html`${head}${catalogProblem.value && conn.value !== 'open' ?
			html`<${ProblemBox} error=${catalogProblem.value} retry=${loadCatalog} />` :
			html`<${Loading} />`}`;

	const seen = views.map((v) => view(v.name, keysOf(v)));
	const loaded = seen.length > 0 && seen.every((v) => (v.version.value, v.state.loaded));
	const empty = loaded && seen.every((v) => v.state.rows.size === 0);
	if (views.length === 0 || (empty && !status.value?.progress))
		return html`${head}<${Empty} noViews=${views.length === 0} />`;

	const tiles = views.filter((v) => v.options.overview === 'tile');
	const cards = views.filter((v) => v.options.overview !== 'tile');
	const wide = widths(cards);
	return html`${head}
		${tiles.length > 0 && html`<div class="tiles">${tiles.map((v) =>
			html`<${LiveTile} key=${v.name} info=${v} />`)}</div>`}
		<div class="cards">${cards.map((v, i) => html`<${Card} key=${v.name} info=${v}
			range=${range} wide=${wide[i]} />`)}</div>`;
}

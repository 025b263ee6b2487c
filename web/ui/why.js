/* Why this number: the dialog that leads from a cell to its layers, its files
 * and the raw bytes it counts. It draws itself outside of the page, so that
 * whoever opens it needs no state; the browser gives the focus back. */
import { html, render, useEffect, useRef } from '../lib/html.js';
import { api } from '../lib/api.js';
import { timed, axes, seriesName } from '../lib/derive.js';
import { cellOf, explainUrl, sqlOf } from '../lib/cell.js';
import { bucketZone, cell as shown, isNumeric, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { unpack } from '../lib/unpack.js';
import { Code, Mark, useLoad } from './more.js';
import { ProblemBox, Skeleton } from './parts.js';

const SHOWN = 20;

/** @param {any} info @param {string} name */
const typeOf = (info, name) => info.columns.find((/** @type {any} */ c) => c.name === name)?.type || '';
/** A value as the charts show it. @param {any} info @param {string} name @param {any} v */
const valueOf = (info, name, v) => shown(v, (info.bucket_us || 0) >= 86400e6 && name === info.bucket ? 'date' : typeOf(info, name), bucketZone(info, zoneName()));
/** The filters in words. @param {any} info @param {import('../lib/cell.js').Cell} cell */
const words = (info, cell) => cell.filters.map(([n, v]) => n === 'from' || n === 'to' ?
	`${n === 'from' ? info.bucket + ' from' : 'up to'} ${time(parseTime(v), bucketZone(info, zoneName()), 'stamp')}` : `${n} ${valueOf(info, n, v)}`).join(', ') || 'all of it';

/** The cell's row as readers see it, and in each layer. @param {{d: any, info: any}} p */
function Layers({ d, info }) {
	const type = (/** @type {string} */ n) => typeOf(info, n);
	const one = d.merged.length === 1;
	const keys = new Set(info.columns.filter((/** @type {any} */ c) => c.group).map((/** @type {any} */ c) => c.name));
	const at = d.columns.map((/** @type {string} */ n, /** @type {number} */ i) => [n, i])
		.filter((/** @type {any} */ x) => !one || !keys.has(x[0]));
	const layers = /** @type {[string, any[][]][]} */ ([['Shown', d.merged], ['Batch, final', d.batch || []], ['Live, since', d.speed || []]]);
	return html`<div class="scroll" tabindex="0" role="group" aria-label="The number in each layer, table"><table class="grid">
		<thead><tr><th scope="col">Layer</th>${at.map(([n]) => html`<th key=${n} scope="col" class=${isNumeric(type(n)) ? 'num' : ''}>${n}</th>`)}</tr></thead>
		<tbody>${layers.flatMap(([name, rows]) => rows.length === 0 ? [html`<tr key=${name}><td>${name}</td><td class="muted" colspan=${at.length}>nothing</td></tr>`] :
			rows.map((r, i) => html`<tr key=${`${name}${i}`} data-layer=${name}><td>${name}</td>${at.map(([n, k]) => html`<td key=${n}
				class=${isNumeric(type(n)) ? 'num' : ''}>${r[k] === null ? html`<span class="muted">null</span>` : valueOf(info, n, r[k])}</td>`)}</tr>`))}</tbody></table></div>`;
}

/** @param {{r: any}} p */
function Event({ r }) {
	const m = unpack(r);
	return html`<li><div class="rowline small secondary"><${Mark} kind=${r.status === 'accepted' ? 'ok' : r.status === 'quarantined' ? 'failing' : 'off'}>${r.status}</${Mark}>
		<span>${time(parseTime(r.received_at), zoneName(), 'stamp')}</span><span>${r.source || ''}${m.client && ` ${m.client}`}</span>
		<span class="mono muted">position ${r.lsn}${r.line ? `, line ${r.line}` : ''}</span></div>
		${m.topic && html`<div class="mono small muted">${m.topic}</div>`}<pre class="raw">${m.raw}</pre></li>`;
}

/** @param {{d: any, info: any, cell: import('../lib/cell.js').Cell}} p */
function Found({ d, info, cell }) {
	const runs = [...new Set(d.gold.map((/** @type {any} */ g) => g.run))];
	return html`<${Layers} d=${d} info=${info} />
		${cell.open.length > 0 && html`<p class="secondary small">Of any ${cell.open.join(', ')}: no filter can hold it here.</p>`}
		<p class="secondary">Computed from stream <a href=${`/streams/${encodeURIComponent(d.stream)}`}>${d.stream}</a> by version ${d.version} of ${d.view}${
			runs.length > 0 ? `; final part by run ${runs.slice(0, 5).join(', ')}, up to position ${d.batch_lsn}` : '; no batch part yet'}.</p>
		<details><summary>Definition and files</summary><div class="stack"><${Code} label="Definition" text=${d.definition} />
			${d.gold.length > 0 && html`<ul class="small mono anywhere">${d.gold.slice(0, 100).map((/** @type {any} */ g) => html`<li key=${g.path}>
				<a href=${`/lake/${g.path}`} download=${g.path.split('/').at(-1)}>${g.path}</a> <span class="muted">${number(g.rows)} rows, run ${g.run}</span></li>`)}</ul>`}</div></details>
		<h3>${d.rows.length === 0 ? 'It counts no rows that are kept' : d.truncated ? `The newest ${d.rows.length} of many events it counts` :
			`The ${d.rows.length === 1 ? 'event' : `${d.rows.length} events`} it counts`}</h3>
		<ol class="events">${d.rows.map((/** @type {any} */ r) => html`<${Event} key=${r.offset} r=${r} />`)}</ol>`;
}

/** @param {{info: any, cell: import('../lib/cell.js').Cell, close: () => void}} p */
function Why({ info, cell, close }) {
	const ref = useRef(/** @type {HTMLDialogElement|null} */ (null));
	const { data, error, again } = useLoad(() => api(explainUrl(info.name, cell, SHOWN)), []);
	useEffect(() => {
		const before = /** @type {HTMLElement|null} */ (document.activeElement);
		ref.current?.showModal();
		return () => before?.focus?.({ preventScroll: true });
	}, []);
	/* A link leads away: the dialog would stand over the new page. */
	const click = (/** @type {any} */ e) => {
		if (e.target === ref.current || e.target.closest('a:not([download])'))
			setTimeout(close);
	};
	return html`<dialog class="why" ref=${ref} aria-labelledby="why" onClose=${close} onClick=${click}>
		<div class="rowline"><h2 id="why">Why this number?</h2><a class="btn tiny" href=${`/sql?q=${encodeURIComponent(sqlOf(info, cell))}`}>Open in SQL</a>
			<button class="btn tiny" onClick=${close}>Close</button></div>
		<p class="secondary anywhere">${info.options?.title || info.name}: ${words(info, cell)}</p>
		${error ? html`<${ProblemBox} error=${error} retry=${again} />` : data === null ? html`<${Skeleton} height=${240} />` :
			html`<${Found} d=${data} info=${info} cell=${cell} />`}</dialog>`;
}

/** Of some rows of a view. @param {any} info @param {string[]} columns @param {any[][]} rows */
export function open(info, columns, rows) {
	if (rows.length === 0 || document.querySelector('dialog'))
		return;
	const root = document.createElement('div');
	document.body.append(root);
	const close = () => {
		render(null, root);
		root.remove();
	};
	render(html`<${Why} info=${info} cell=${cellOf(info, columns, rows)} close=${close} />`, root);
}

/** Of a chart's point: the nearest series by mouse, all by keyboard.
 * @param {{u: any, d: any, i: number, info: any, state: any, sum: boolean, mouse: boolean}} p */
export function openPoint({ u, d, i, info, state, sum, mouse }) {
	const a = axes(info, state);
	const rows = timed(state, a).filter((e) => e.t === d.x[i] * 1000);
	const y = u.cursor.top;
	let name = null, least = Infinity;
	d.names.forEach((/** @type {string} */ n, /** @type {number} */ s) => {
		const v = d.final[s][i] ?? d.live[s][i];
		const far = v === null || v === undefined ? Infinity : Math.abs(u.valToPos(v, 'y') - y);
		if (far < least)
			[name, least] = [n, far];
	});
	open(info, state.columns, rows.filter((e) => !mouse || sum || name === null || seriesName(e.row, a) === name).map((e) => e.row));
}

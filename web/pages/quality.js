/* What was refused and why: shares, reasons, rows with their raw bytes. */
import { html, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { ProblemBox, Skeleton } from '../ui/parts.js';
import { useLoad } from '../ui/more.js';
import { Rows } from './tail.js';

const PAGE = 200;

/** Rows by rule. @param {any[]} rows */
export function reasons(rows) {
	/** @type {Map<string, any>} */ const by = new Map();
	for (const r of rows) {
		const key = `${r.code}\n${r.column || ''}`;
		const one = by.get(key) || { key, code: r.code, column: r.column || '',
			reason: r.reason, rows: 0, first: Infinity, last: 0 };
		const t = parseTime(r.received_at) || 0;
		one.rows++;
		one.first = Math.min(one.first, t);
		one.last = Math.max(one.last, t);
		by.set(key, one);
	}
	return [...by.values()].sort((a, b) => b.rows - a.rows);
}

/** @param {{s: any}} p */
function Share({ s }) {
	const all = s.accepted + s.quarantined + s.duplicates;
	if (all === 0)
		return null;
	const pct = (/** @type {number} */ n) => `${n / all * 100}%`;
	const good = (s.accepted + s.duplicates) / all * 100;
	return html`<section class="card"><header><h2>${good === 100 ? 'All rows passed' :
			`${good > 99.9 ? '> 99.9' : good.toFixed(1)} % of ${number(all)} rows passed`}</h2></header>
		<div class="body stack"><div class="quality" role="img" aria-label=${`${number(s.accepted)} accepted, ${
				number(s.duplicates)} duplicates, ${number(s.quarantined)} quarantined`}>
			${s.accepted > 0 && html`<i style=${{ width: pct(s.accepted), background: 'var(--ok)' }}></i>`}
			${s.duplicates > 0 && html`<i style=${{ width: pct(s.duplicates), background: 'var(--late)' }}></i>`}
			${s.quarantined > 0 && html`<i style=${{ width: pct(s.quarantined), background: 'var(--failing)' }}></i>`}</div>
		<div class="rowline small secondary"><span>● ${number(s.accepted)} accepted</span>
			<span>◐ ${number(s.duplicates)} duplicates</span><span>▲ ${number(s.quarantined)} quarantined</span></div></div></section>`;
}

/** @param {{s: any}} p */
export function Quality({ s }) {
	const [older, setOlder] = useState(/** @type {any[]} */ ([]));
	const [end, setEnd] = useState(false);
	const url = `/api/v1/quarantine/${encodeURIComponent(s.name)}?limit=${PAGE}`;
	const { data, error, again } = useLoad(() => api(url), [s.name, s.quarantined]);
	const [failed, setFailed] = useState(/** @type {any} */ (null));
	if (error && data === null)
		return html`<${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${Skeleton} height=${300} />`;
	const last = data.rows.at(-1)?.offset ?? 0;
	const rows = [...data.rows, ...older.filter((r) => r.offset < last)];
	const tz = zoneName();
	const more = async () => {
		try {
			const d = await api(`${url}&before=${rows.at(-1).offset}`);
			setOlder([...older, ...d.rows]);
			setEnd(d.rows.length < PAGE);
		} catch (e) {
			setFailed(e);
		}
	};
	return html`<${Share} s=${s} />
		${rows.length === 0 ? html`<section class="card state"><h2>Nothing in quarantine</h2>
			<p class="secondary">Rows that fail a check or cannot be read are kept here with their raw bytes and the reason.</p></section>` : html`
		<section class="card flush"><header><h2>Reasons</h2></header>
			<div class="scroll" tabindex="0" role="group" aria-label="Reasons, table">
			<table class="grid"><caption class="vh">Reasons of the rows below</caption>
			<thead><tr><th scope="col">Rule</th><th scope="col">Column</th><th scope="col">Example of the reason</th>
				<th scope="col" class="num">Rows</th><th scope="col">First</th><th scope="col">Last</th></tr></thead>
			<tbody>${reasons(rows).map((r) => html`<tr key=${r.key}><td class="mono">${r.code}</td>
				<td class="mono">${r.column}</td><td class="wrap">${r.reason}</td><td class="num">${number(r.rows)}</td>
				<td class="muted">${time(r.first, tz, 'stamp')}</td><td class="muted">${time(r.last, tz, 'stamp')}</td></tr>`)}</tbody></table></div></section>
		<section class="card flush"><header><h2>Quarantined rows, newest first</h2></header>
			<${Rows} rows=${rows} label="Quarantined rows" /></section>
		${failed && html`<${ProblemBox} error=${failed} />`}
		${!end && data.rows.length === PAGE && html`<div><button class="btn" onClick=${more}>Older rows</button></div>`}`}`;
}

/* Explore: SQL over streams and views, the result as a table. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { query, setQuery } from '../lib/router.js';
import { plainView } from '../lib/cell.js';
import { opens } from '../lib/opens.js';
import { cell, isNumeric, number, seconds } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { PageHead, ProblemBox, Skeleton } from '../ui/parts.js';
import { useLoad } from '../ui/more.js';
import { Icon } from '../ui/icons.js';

const ROWS_SHOWN = 500;

/** @param {{pick: (name: string) => void}} p */
function Tree({ pick }) {
	const { data } = useLoad(async () => {
		const [s, v] = await Promise.all([api('/api/v1/streams'), api('/api/v1/views')]);
		return [['Views', v.views], ['Streams', s.streams]];
	}, []);
	if (data === null)
		return html`<${Skeleton} height=${240} />`;
	return html`<div class="card"><div class="body stack" style=${{ paddingTop: '12px' }}>
		${data.map(([title, list]) => html`<div key=${title}><h2>${title}</h2>
			<ul>${/** @type {any[]} */ (list).map((t) => html`<li key=${t.name}><details>
				<summary style=${{ minHeight: '28px', cursor: 'pointer', display: 'list-item' }}><span class="mono small">${t.name}</span></summary>
				<ul class="small muted mono" style=${{ padding: '0 0 8px 16px' }}>${t.columns.map((/** @type {any} */ c) =>
					html`<li key=${c.name}>${c.name} <span>${c.type}</span></li>`)}
				<li><button class="btn tiny" onClick=${() => pick(t.name)}>Query<span class="vh"> ${t.name}</span></button></li></ul>
				</details></li>`)}</ul></div>`)}</div></div>`;
}

/** @param {{r: any, took: number, sql: string}} p */
function Result({ r, took, sql }) {
	const tz = zoneName();
	const { data } = useLoad(() => api('/api/v1/views'), []);
	const info = data && plainView(sql, data.views, r.columns);
	const [all, setAll] = useState(false);
	const rows = all ? r.rows : r.rows.slice(0, ROWS_SHOWN);
	return html`<section class="card flush"><div class="scroll" style=${{ maxHeight: '56vh' }} tabindex="0"
			role="group" aria-label="Result, table">
		<table class="grid"><caption>${number(r.rows.length)} row${r.rows.length === 1 ? '' : 's'} in ${
			seconds(took / 1000)}, as of position ${r.lsn}${r.truncated ? '; cut off, add a LIMIT' : ''}</caption>
		<thead><tr>${r.columns.map((/** @type {string} */ c, /** @type {number} */ i) =>
			html`<th key=${i} scope="col" class=${isNumeric(r.types[i]) ? 'num' : ''}>${c}</th>`)}</tr></thead>
		<tbody>${rows.map((/** @type {any[]} */ row, /** @type {number} */ n) => html`<tr key=${n} ...${info ? opens(n, () => import('../ui/why.js').then((m) => m.open(info, r.columns, [row]), () => {})) : {}}>${row.map((v, i) =>
			html`<td key=${i} class=${isNumeric(r.types[i]) ? 'num' : ''}>${v === null ?
				html`<span class="muted">null</span>` : cell(v, r.types[i], tz)}</td>`)}</tr>`)}</tbody></table></div>
		${r.rows.length > rows.length && html`<div class="state"><button class="btn"
			onClick=${() => setAll(true)}>Show all ${number(r.rows.length)} rows</button></div>`}</section>`;
}

function Sql() {
	const asked = query.value.get('q') || '';
	const [text, setText] = useState(asked);
	const [state, setState] = useState(/** @type {any} */ ({}));
	const area = useRef(/** @type {HTMLTextAreaElement|null} */ (null));
	/** @param {string} sql */
	const run = async (sql) => {
		if (sql.trim() === '')
			return;
		const begun = performance.now();
		setState({ busy: true });
		setQuery('q', sql);
		try {
			const result = await api('/api/v1/sql', { exact: true, method: 'POST', body: sql,
				headers: { 'content-type': 'text/plain', accept: 'application/json' } });
			setState({ result, sql, took: performance.now() - begun });
		} catch (error) {
			setState({ error });
			const b = /** @type {any} */ (error).body;
			if (b?.position && area.current) {
				area.current.focus();
				area.current.setSelectionRange(b.position - 1, b.position);
			}
		}
	};
	const download = async () => {
		const blob = new Blob([await api('/api/v1/sql', { method: 'POST', body: text,
			headers: { 'content-type': 'text/plain', accept: 'text/csv' } })], { type: 'text/csv' });
		const a = document.createElement('a');
		a.href = URL.createObjectURL(blob);
		a.download = 'result.csv';
		a.click();
		setTimeout(() => URL.revokeObjectURL(a.href), 1000);
	};
	useEffect(() => {
		if (asked && !state.busy)
			run(asked);
	}, []);
	/** @param {KeyboardEvent} e */
	const key = (e) => {
		if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
			e.preventDefault();
			run(text);
		}
	};
	return html`<${PageHead} title="Explore" sub="SQL over streams and views" />
		<div class="split"><${Tree} pick=${(/** @type {string} */ name) => {
			const sql = `SELECT * FROM ${name} LIMIT 100`;
			setText(sql);
			run(sql);
		}} />
		<div class="stack">
			<form class="stack" onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); run(text); }}>
			<label class="vh" for="sqltext">SQL</label>
			<textarea class="input" id="sqltext" rows="7" spellcheck=${false} autocapitalize="off" ref=${area}
				placeholder="SELECT … FROM …" value=${text} onKeyDown=${key}
				onInput=${(/** @type {any} */ e) => setText(e.target.value)}></textarea>
			<div class="rowline"><button class="btn primary" disabled=${state.busy === true}><${Icon} name="play" />${
				state.busy ? 'Running…' : 'Run'}</button><span class="muted small">Ctrl + Enter</span>
				${state.result && html`<button class="btn" type="button" onClick=${download}>Download CSV</button>`}</div></form>
			${state.error && html`<${ProblemBox} error=${state.error} />`}
			${state.result && html`<${Result} key=${state.took} r=${state.result} took=${state.took} sql=${state.sql} />`}</div></div>`;
}

export const pages = { sql: Sql };

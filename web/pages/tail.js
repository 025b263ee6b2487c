/* The newest rows of a stream as they come, with what became of each. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { now, paused } from '../lib/live.js';
import { ago, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { Mark, ProblemBox, Skeleton } from '../ui/parts.js';
import { Icon } from '../ui/icons.js';
import { Listener } from '../ui/firststeps.js';

const marks = /** @type {Record<string, string>} */ ({ accepted: 'ok',
	quarantined: 'failing', duplicate: 'late' });

/** Rows read again when the stream has grown, at most once a second.
 * @param {any} s @param {number} limit @param {boolean} hold */
function useRecent(s, limit, hold) {
	const [rows, setRows] = useState(/** @type {any[]|null} */ (null));
	const [error, setError] = useState(/** @type {any} */ (null));
	const busy = useRef(false);
	const seen = useRef('');
	const grown = `${s.accepted}.${s.quarantined}.${s.duplicates}`;
	useEffect(() => {
		if (busy.current || hold || seen.current === grown)
			return;
		busy.current = true;
		api(`/api/v1/streams/${encodeURIComponent(s.name)}/recent?limit=${limit}`)
			.then((d) => {
				seen.current = grown;
				setRows(d.rows);
				setError(null);
			}, setError)
			.finally(() => setTimeout(() => { busy.current = false; }, 900));
	}, [grown, hold, now.value]);
	return { rows, error };
}

/** @param {{row: any}} p */
function Envelope({ row }) {
	return html`<dl class="facts">
		<div><dt>Position</dt><dd class="small mono">lsn ${row.lsn}, offset ${row.offset}</dd></div>
		<div><dt>Received</dt><dd class="small">${time(parseTime(row.received_at), zoneName(), 'stamp')}</dd></div>
		<div><dt>Source</dt><dd class="small mono">${row.source || '–'}${row.line ? `, line ${row.line}` : ''}</dd></div>
		${row.reason && html`<div><dt>Reason</dt><dd class="small">${row.column ?
			html`<code>${row.column}</code>: ` : ''}${row.reason}</dd></div>`}
		<div><dt>Raw</dt><dd class="small mono">${row.raw}</dd></div></dl>`;
}

/** @param {{row: any, wide: number}} p */
export function Row({ row, wide }) {
	const [open, setOpen] = useState(false);
	const kind = marks[row.status] || 'failing';
	return html`<tr class=${open ? 'open' : ''}>
		<td><button class="btn quiet tiny" aria-expanded=${String(open)}
			aria-label=${`Details of offset ${row.offset}`} onClick=${() => setOpen(!open)}>
			<${Icon} name=${open ? 'down' : 'right'} /></button></td>
		<td class="mono muted num hide-s">${row.offset}</td>
		<td class="muted hide-s">${time(parseTime(row.received_at), zoneName(), 'clock')}</td>
		<td><${Mark} kind=${kind}>${row.status || 'quarantined'}</${Mark}></td>
		<td class="mono wrap">${row.raw}${row.reason && !open && html`<div class="muted small">${row.reason}</div>`}</td></tr>
		${open && html`<tr class="open"><td colspan=${wide}><${Envelope} row=${row} /></td></tr>`}`;
}

/** @param {{rows: any[], label: string}} p */
export function Rows({ rows, label }) {
	return html`<div class="scroll" tabindex="0" role="group" aria-label=${label}
			style=${{ maxHeight: '62vh' }}>
		<table class="grid"><thead><tr><th scope="col"><span class="vh">Details</span></th>
			<th scope="col" class="num hide-s">Offset</th><th scope="col" class="hide-s">Received</th>
			<th scope="col">Fate</th><th scope="col">Raw</th></tr></thead>
		<tbody>${rows.map((r) => html`<${Row} key=${r.offset} row=${r} wide=${5} />`)}</tbody></table></div>`;
}

/** @param {{s: any}} p */
export function Tail({ s }) {
	const [hold, setHold] = useState(false);
	const [filter, setFilter] = useState('');
	const { rows, error } = useRecent(s, 100, hold || paused.value);
	if (error && rows === null)
		return html`<${ProblemBox} error=${error} />`;
	if (rows === null)
		return html`<${Skeleton} height=${320} />`;
	if (rows.length === 0)
		return html`<section class="card state"><h2>No events yet</h2>
			<${Listener} stream=${s.name} />
			<a class="btn" href=${`/streams/${s.name}?tab=send`}>Send a test event</a></section>`;
	const word = filter.toLowerCase();
	const shown = rows.filter((r) => !word || `${r.raw} ${r.status} ${r.reason || ''} ${
		r.source || ''}`.toLowerCase().includes(word));
	return html`<div class="rowline">
			<label class="vh" for="tailfilter">Filter</label>
			<input class="input" id="tailfilter" type="search" placeholder="Filter the newest 100 rows" style=${{ maxWidth: '320px' }}
				value=${filter} onInput=${(/** @type {any} */ e) => setFilter(e.target.value)} />
			<button class="btn" aria-pressed=${String(hold)} onClick=${() => setHold(!hold)}>
				<${Icon} name=${hold ? 'play' : 'pause'} />${hold ? 'Follow' : 'Hold'}</button>
			<span class="muted small">${number(shown.length)} rows</span></div>
		<section class="card flush"><${Rows} rows=${shown} label="Newest rows" /></section>`;
}

/** @param {{s: any}} p */
export function Sources({ s }) {
	const { rows, error } = useRecent(s, 1000, paused.value);
	const list = useMemo(() => {
		/** @type {Map<string, any>} */ const by = new Map();
		for (const r of rows || []) {
			const name = r.source || '(unknown)';
			const one = by.get(name) || { name, rows: 0, bad: 0, last: 0 };
			one.rows++;
			one.bad += r.status === 'quarantined' ? 1 : 0;
			one.last = Math.max(one.last, parseTime(r.received_at) || 0);
			by.set(name, one);
		}
		return [...by.values()].sort((a, b) => b.rows - a.rows);
	}, [rows]);
	if (error && rows === null)
		return html`<${ProblemBox} error=${error} />`;
	if (rows === null)
		return html`<${Skeleton} height=${200} />`;
	return html`<section class="card flush"><div class="scroll" tabindex="0" role="group" aria-label="Sources, table">
		<table class="grid"><caption>Senders of the newest ${number(rows.length)} rows</caption>
		<thead><tr><th scope="col">Source</th>
			<th scope="col" class="num">Rows</th><th scope="col" class="num">Quarantined</th><th scope="col">Last seen</th></tr></thead>
		<tbody>${list.map((r) => html`<tr key=${r.name}><td class="mono">${r.name}</td>
			<td class="num">${number(r.rows)}</td><td class="num">${number(r.bad)}</td>
			<td class="secondary">${ago(r.last, now.value)}</td></tr>`)}</tbody></table></div></section>`;
}

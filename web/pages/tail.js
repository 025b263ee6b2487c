/* The newest rows of a stream as they come, with what became of each. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { now, paused } from '../lib/live.js';
import { ago, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { unpack } from '../lib/unpack.js';
import { ProblemBox, Skeleton } from '../ui/parts.js';
import { Grid, Mark } from '../ui/more.js';
import { Icon } from '../ui/icons.js';
import { Listener } from '../ui/firststeps.js';
import { protocol, useBroker } from '../ui/mqtt.js';

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
	const m = unpack(row);
	return html`<dl class="facts">
		<div><dt>Position</dt><dd class="small mono">lsn ${row.lsn}, offset ${row.offset}</dd></div>
		<div><dt>Received</dt><dd class="small">${time(parseTime(row.received_at), zoneName(), 'stamp')}</dd></div>
		<div><dt>Source</dt><dd class="small mono">${row.source || '–'}${m.topic ? ` ${m.client}` : row.line ? `, line ${row.line}` : ''}</dd></div>
		${m.topic && html`<div><dt>Topic</dt><dd class="small mono">${m.topic}</dd></div>`}
		${row.reason && html`<div><dt>Reason</dt><dd class="small">${row.column ?
			html`<code>${row.column}</code>: ` : ''}${row.reason}</dd></div>`}
		<div><dt>${m.topic ? 'Payload' : 'Raw'}</dt><dd class="small mono">${m.raw}</dd></div></dl>`;
}

/** @param {{row: any, wide: number}} p */
export function Row({ row, wide }) {
	const [open, setOpen] = useState(false);
	const kind = marks[row.status] || 'failing';
	const m = unpack(row);
	return html`<tr class=${open ? 'open' : ''}>
		<td><button class="btn quiet tiny" aria-expanded=${String(open)}
			aria-label=${`Details of offset ${row.offset}`} onClick=${() => setOpen(!open)}>
			<${Icon} name=${open ? 'down' : 'right'} /></button></td>
		<td class="mono muted num hide-s">${row.offset}</td>
		<td class="muted hide-s">${time(parseTime(row.received_at), zoneName(), 'clock')}</td>
		<td><${Mark} kind=${kind}>${row.status || 'quarantined'}</${Mark}></td>
		<td class="mono wrap">${m.topic && html`<div class="muted small">${m.topic}</div>`}${m.raw}${row.reason && !open && html`<div class="muted small">${row.reason}</div>`}</td></tr>
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

/** Senders over MQTT, as the broker counts them since the start.
 * @param {any[]} senders @returns {any[]} */
const ofBroker = (senders) => senders.map((x) => ({ name: `mqtt ${x.client}`, client: x.client,
	protocol: protocol(x), rows: x.accepted + x.quarantined + x.duplicates, bad: x.quarantined,
	rate: x.rate, last: x.last_us / 1000 }));

/** All others, out of the newest rows. @param {any[]} rows @returns {any[]} */
function ofRows(rows) {
	/** @type {Map<string, any>} */ const by = new Map();
	for (const r of rows) {
		const name = r.source || '(unknown)';
		if (name === 'mqtt')
			continue;
		const [kind, ...client] = name.split(' ');
		const one = by.get(name) || { name, rows: 0, bad: 0, first: Infinity, last: 0,
			protocol: client.length > 0 ? kind.toUpperCase() : '', client: client.join(' ') || name };
		one.rows++;
		one.bad += r.status === 'quarantined' ? 1 : 0;
		const t = parseTime(r.received_at) || 0;
		one.first = Math.min(one.first, t);
		one.last = Math.max(one.last, t);
		by.set(name, one);
	}
	/* By the time between its first and last row; of one row there is none. */
	for (const one of by.values())
		one.rate = one.last > one.first ? (one.rows - 1) * 1000 / (one.last - one.first) : null;
	return [...by.values()];
}

/** @param {{s: any}} p */
export function Sources({ s }) {
	const { rows, error } = useRecent(s, 1000, paused.value);
	const broker = useBroker().data;
	const senders = (broker?.senders || []).filter((/** @type {any} */ x) => x.stream === s.name);
	const list = useMemo(() => [...ofBroker(senders), ...ofRows(rows || [])]
		.sort((a, b) => b.last - a.last), [rows, broker]);
	if (error && rows === null)
		return html`<${ProblemBox} error=${error} />`;
	if (rows === null)
		return html`<${Skeleton} height=${200} />`;
	const rate = (/** @type {any} */ r) => r.rate === null ? '–' : `${number(r.rate)}/s`;
	return html`<p class="muted small">HTTP: senders of the newest ${number(rows.length)} rows. MQTT: clients seen since the start.</p>
		<${Grid} label="Sources" rows=${list} id=${(/** @type {any} */ r) => r.name} columns=${[
		{ name: 'Client', value: (/** @type {any} */ r) => r.client, class: 'mono' },
		{ name: 'Protocol', value: (/** @type {any} */ r) => r.protocol },
		{ name: 'Rows', value: (/** @type {any} */ r) => r.rows, num: true, cell: (/** @type {any} */ r) => number(r.rows) },
		{ name: 'Rate', value: (/** @type {any} */ r) => r.rate, num: true, cell: rate },
		{ name: 'Quarantined', value: (/** @type {any} */ r) => r.bad, num: true, cell: (/** @type {any} */ r) => number(r.bad) },
		{ name: 'Last seen', value: (/** @type {any} */ r) => new Date(r.last).toISOString(), class: 'secondary',
			cell: (/** @type {any} */ r) => ago(r.last, now.value) }]} />`;
}

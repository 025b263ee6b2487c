/* All streams with their rates and counts. */
import { html } from '../lib/html.js';
import { api } from '../lib/api.js';
import { status, now } from '../lib/live.js';
import { go } from '../lib/router.js';
import { ago, bytes, number, parseTime } from '../lib/format.js';
import { Mark, PageHead, ProblemBox, Skeleton, useLoad } from '../ui/parts.js';

/** A stream's figures, with the newest ones of the status.
 * @param {any} s @returns {any} */
export function fresh(s) {
	const live = (status.value?.streams || []).find(
		(/** @type {any} */ x) => x.name === s.name);
	return live ? { ...s, ...live } : s;
}

/** @param {any} s @param {number} at */
export function health(s, at) {
	const last = parseTime(s.last_at);
	if (s.kind === 'reference')
		return { kind: 'off', text: 'Reference' };
	if (Number.isNaN(last))
		return { kind: 'off', text: 'No events' };
	if (s.quarantined > 0 && s.quarantined > s.accepted * .05)
		return { kind: 'failing', text: 'Many refused' };
	return at - last > 3600e3 ? { kind: 'late', text: 'Quiet' } :
		{ kind: 'ok', text: 'OK' };
}

function Streams() {
	const { data, error, again } = useLoad(() => api('/api/v1/streams'), []);
	if (error && data === null)
		return html`<${PageHead} title="Streams" /><${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${PageHead} title="Streams" /><${Skeleton} height=${320} />`;
	const list = data.streams.map(fresh);
	return html`<${PageHead} title="Streams" sub="Counts are since the start of the server" />
		${list.length === 0 ? html`<section class="card state"><p>No streams are defined.
			Add a CREATE TABLE to the pipeline's folder.</p></section>` : html`
		<section class="card flush"><div class="scroll" tabindex="0" role="group" aria-label="Streams, table">
		<table class="grid"><thead><tr><th scope="col">Stream</th><th scope="col">State</th>
			<th scope="col" class="num">Rate</th><th scope="col">Last event</th>
			<th scope="col" class="num">Accepted</th><th scope="col" class="num">Quarantined</th>
			<th scope="col" class="num">Duplicates</th><th scope="col" class="num">Silver rows</th>
			<th scope="col" class="num">In the lake</th><th scope="col">Read by</th></tr></thead>
		<tbody>${list.map((/** @type {any} */ s) => {
			const h = health(s, now.value);
			const last = parseTime(s.last_at);
			return html`<tr key=${s.name} onDblClick=${() => go(`/streams/${s.name}`)}>
				<td class="wrap"><a href=${`/streams/${encodeURIComponent(s.name)}`}><b>${s.name}</b></a>
					${s.comment && html`<div class="muted small">${s.comment}</div>`}</td>
				<td><${Mark} kind=${h.kind}>${h.text}</${Mark}></td>
				<td class="num">${number(s.rate)}/s</td>
				<td class="secondary">${Number.isNaN(last) ? '–' : ago(last, now.value)}</td>
				<td class="num">${number(s.accepted)}</td>
				<td class="num">${s.quarantined > 0 ? html`<a href=${`/streams/${s.name}?tab=quality`}>${
					number(s.quarantined)}</a>` : '0'}</td>
				<td class="num">${number(s.duplicates)}</td>
				<td class="num">${number(s.silver?.rows)}</td>
				<td class="num">${bytes((s.silver?.bytes || 0) + (s.bronze?.bytes || 0))}</td>
				<td class="secondary small wrap">${(s.views || []).join(', ')}</td></tr>`;
		})}</tbody></table></div></section>`}`;
}

export const pages = { streams: Streams };

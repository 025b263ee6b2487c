/* All streams with their rates and counts. */
import { html } from '../lib/html.js';
import { api } from '../lib/api.js';
import { status, now } from '../lib/live.js';
import { ago, bytes, number, parseTime } from '../lib/format.js';
import { PageHead, ProblemBox, Skeleton } from '../ui/parts.js';
import { Grid, Mark, useLoad } from '../ui/more.js';
import { NewSources, useBroker } from '../ui/mqtt.js';

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

/** @returns {import('../ui/more.js').Column[]} */
function columns() {
	const at = now.value;
	const lake = (/** @type {any} */ s) => (s.silver?.bytes || 0) + (s.bronze?.bytes || 0);
	const count = (/** @type {string} */ name, /** @type {string} */ field) => ({ name, num: true,
		value: (/** @type {any} */ s) => s[field], cell: (/** @type {any} */ s) => number(s[field]) });
	return [{ name: 'Stream', value: (s) => s.name, class: 'wrap', cell: (s) => html`
			<a href=${`/streams/${encodeURIComponent(s.name)}`}><b>${s.name}</b></a>
			${s.comment && html`<div class="muted small">${s.comment}</div>`}` },
		{ name: 'State', value: (s) => health(s, at).text, cell: (s) => {
			const h = health(s, at);
			return html`<${Mark} kind=${h.kind}>${h.text}</${Mark}>`;
		} },
		{ name: 'Rate', num: true, value: (s) => s.rate, cell: (s) => `${number(s.rate)}/s` },
		{ name: 'Last event', value: (s) => s.last_at, class: 'secondary', cell: (s) => s.last_at ? ago(parseTime(s.last_at), at) : '–' },
		count('Accepted', 'accepted'),
		{ name: 'Quarantined', num: true, value: (s) => s.quarantined, cell: (s) => s.quarantined > 0 ?
			html`<a href=${`/streams/${encodeURIComponent(s.name)}?tab=quality`}>${number(s.quarantined)}</a>` : '0' },
		count('Duplicates', 'duplicates'),
		{ name: 'Silver rows', num: true, value: (s) => s.silver?.rows, cell: (s) => number(s.silver?.rows) },
		{ name: 'In the lake', num: true, value: lake, cell: (s) => bytes(lake(s)) },
		{ name: 'Read by', value: (s) => (s.views || []).join(', '), class: 'secondary small wrap',
			cell: (s) => (s.views || []).length > 4 ? `${s.views.slice(0, 3).join(', ')} and ${s.views.length - 3} more` :
				(s.views || []).join(', ') }];
}

function Streams() {
	const { data, error, again } = useLoad(() => api('/api/v1/streams'), []);
	const broker = useBroker().data;
	if (error && data === null)
		return html`<${PageHead} title="Streams" /><${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${PageHead} title="Streams" /><${Skeleton} height=${320} />`;
	const list = data.streams.map(fresh);
	return html`<${PageHead} title="Streams" sub="Counts are since the start of the server" />
		${list.length === 0 ? html`<section class="card state"><p>No streams are defined.
			Add a CREATE TABLE to the pipeline's folder.</p></section>` : html`
		<${Grid} label="Streams" columns=${columns()} rows=${list} id=${(/** @type {any} */ s) => s.name} />`}
		<${NewSources} broker=${broker} streams=${list.map((/** @type {any} */ s) => s.name)} />`;
}

export const pages = { streams: Streams };

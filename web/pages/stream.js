/* One stream: live tail, schema, quality, sources, lake, a test event. */
import { html } from '../lib/html.js';
import { api } from '../lib/api.js';
import { now } from '../lib/live.js';
import { query, setQuery } from '../lib/router.js';
import { ago, bytes, interval, number, parseTime } from '../lib/format.js';
import { PageHead, ProblemBox, Skeleton } from '../ui/parts.js';
import { Mark, Tabs, useLoad } from '../ui/more.js';
import { fresh, health } from './streams.js';
import { Tail, Sources } from './tail.js';
import { Quality } from './quality.js';
import { SendTest } from './sendtest.js';

/** @param {{s: any}} p */
function Schema({ s }) {
	return html`<section class="card flush"><div class="scroll" tabindex="0" role="group" aria-label="Columns, table">
		<table class="grid"><thead><tr><th scope="col">Column</th><th scope="col">Type</th>
			<th scope="col">Rules</th><th scope="col">Default</th><th scope="col">Comment</th></tr></thead>
		<tbody>${s.columns.map((/** @type {any} */ c) => html`<tr key=${c.name}>
			<td class="mono">${c.name}</td><td class="mono secondary">${c.type}</td>
			<td>${[c.key && 'key', c.not_null && 'not null', c.generated && 'generated',
				c.name === s.event_time && 'event time'].filter(Boolean).map((t) =>
				html`<span class="chip" key=${t}>${t}</span> `)}</td>
			<td class="mono secondary">${c.default || ''}</td>
			<td class="secondary wrap">${c.comment || ''}</td></tr>`)}</tbody></table></div></section>
		${(s.checks || []).length > 0 && html`<section class="card"><header><h2>Checks</h2></header>
			<div class="body stack">${s.checks.map((/** @type {any} */ c) => html`<div key=${c.name}>
				<div class="muted small">${c.name}</div><code>${c.text}</code></div>`)}
			<p class="muted small">A row that fails a check is kept in quarantine with its raw bytes.</p></div></section>`}
		${(s.unknown_fields || []).length > 0 && html`<section class="card"><header><h2>Fields that no column takes</h2></header>
			<div class="body"><p>${s.unknown_fields.map((/** @type {string} */ f) =>
				html`<code class="chip" key=${f}>${f}</code> `)}</p>
			<p class="muted small">Senders include them; they are kept in bronze only.</p></div></section>`}
		<dl class="facts"><div><dt>Event time</dt><dd class="small mono">${s.event_time || '–'}</dd></div>
			<div><dt>Key</dt><dd class="small mono">${(s.key || []).join(', ') || '–'}</dd></div>
			<div><dt>Views</dt><dd class="small">${(s.views || []).join(', ') || '–'}</dd></div></dl>`;
}

/** How long rows stay, and what they take in the lake. @param {{s: any}} p */
function Layout({ s }) {
	const tiers = [['Bronze', 'Every row as it came, for replay', s.bronze], ['Silver', 'Typed rows without duplicates', s.silver]];
	return html`<dl class="facts"><div><dt>Kept for</dt><dd class="small">${s.retention_us ? interval(s.retention_us) : 'ever'}</dd></div>
			<div><dt>Duplicates are dropped for</dt><dd class="small">${interval(s.dedupe_window_us)}</dd></div>
			<div><dt>A day's rows are sorted by</dt><dd class="small mono">${s.event_time || 'time received'}</dd></div>
			<div><dt>Next offset</dt><dd class="small mono">${s.next_offset}</dd></div></dl>
		<section class="card flush"><div class="scroll" tabindex="0" role="group" aria-label="Lake, table">
		<table class="grid"><thead><tr><th scope="col">Tier</th><th scope="col" class="num">Files</th><th scope="col" class="num">Rows</th>
			<th scope="col" class="num">Bytes</th><th scope="col" class="num">Bytes a row</th></tr></thead>
		<tbody>${tiers.map(([name, what, t]) => html`<tr key=${name}><td>${name}<div class="muted small">${what}</div></td>
			<td class="num">${number(t?.files)}</td><td class="num">${number(t?.rows)}</td><td class="num">${bytes(t?.bytes)}</td>
			<td class="num">${t?.rows > 0 ? number(t.bytes / t.rows) : '–'}</td></tr>`)}</tbody></table></div></section>`;
}

const tabs = /** @type {[string, string][]} */ ([['tail', 'Live tail'], ['schema', 'Schema'],
	['quality', 'Quality'], ['sources', 'Sources'], ['layout', 'Retention & layout'], ['send', 'Send a test event']]);

/** @param {{arg: string}} p */
function Stream({ arg }) {
	const { data, error, again } = useLoad(() =>
		api(`/api/v1/streams/${encodeURIComponent(arg)}`), [arg]);
	const asked = query.value.get('tab') || 'tail';
	const tab = tabs.some((t) => t[0] === asked) ? asked : 'tail';
	if (error && data === null)
		return html`<${PageHead} title=${arg} /><${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${PageHead} title=${arg} /><${Skeleton} height=${320} />`;
	const s = fresh(data);
	const h = health(s, now.value);
	const last = parseTime(s.last_at);
	return html`<${PageHead} title=${arg} sub=${s.comment}><${Mark} kind=${h.kind}>${h.text}</${Mark}></${PageHead}>
		<dl class="facts">
			<div><dt>Rate</dt><dd>${number(s.rate)}/s</dd></div>
			<div><dt>Accepted</dt><dd>${number(s.accepted)}</dd></div>
			<div><dt>Quarantined</dt><dd>${number(s.quarantined)}</dd></div>
			<div><dt>Duplicates</dt><dd>${number(s.duplicates)}</dd></div>
			<div><dt>Silver rows</dt><dd>${number(s.silver?.rows)}</dd></div>
			<div><dt>Last event</dt><dd>${Number.isNaN(last) ? '–' : ago(last, now.value)}</dd></div></dl>
		<${Tabs} tabs=${tabs} value=${tab} label="Parts of the stream"
			onChange=${(/** @type {string} */ t) => setQuery('tab', t === 'tail' ? null : t)}>
			${tab === 'tail' && html`<${Tail} s=${s} />`}
			${tab === 'schema' && html`<${Schema} s=${s} />`}
			${tab === 'quality' && html`<${Quality} s=${s} />`}
			${tab === 'sources' && html`<${Sources} s=${s} />`}
			${tab === 'layout' && html`<${Layout} s=${s} />`}
			${tab === 'send' && html`<${SendTest} s=${s} />`}</${Tabs}>`;
}

export const pages = { stream: Stream };

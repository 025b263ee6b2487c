/* What an empty Tarn shows: commands that work as they stand, and a line that
 * says when the first event has come. */
import { html, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { status, now } from '../lib/live.js';
import { ago, number, parseTime } from '../lib/format.js';
import { curl, csv } from '../lib/example.js';
import { ProblemBox, Skeleton } from './parts.js';
import { Code, Tabs, useLoad } from './more.js';

/** "waiting", then "received". @param {{stream?: string}} p */
export function Listener({ stream }) {
	const all = (status.value?.streams || []).filter((/** @type {any} */ s) =>
		!stream || s.name === stream);
	let count = 0, bad = 0, last = NaN;
	for (const s of all) {
		count += s.accepted;
		bad += s.quarantined;
		const t = parseTime(s.last_at);
		last = Number.isNaN(t) || t < last ? last : t;
	}
	if (count + bad === 0)
		return html`<p class="secondary">Waiting for the first event…</p>`;
	return html`<p class="good">✓ received ${number(count)} event${count === 1 ? '' : 's'}${bad > 0 ?
		`, ${number(bad)} in quarantine` : ''}${Number.isNaN(last) ? '' : ` · ${ago(last, now.value)}`}</p>`;
}

/** @param {{noViews: boolean}} p */
export function FirstSteps({ noViews }) {
	const { data, error, again } = useLoad(() => api('/api/v1/streams'), []);
	const [tab, setTab] = useState('curl');
	if (error)
		return html`<${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${Skeleton} height=${320} />`;
	const stream = data.streams.find((/** @type {any} */ s) => s.kind !== 'reference');
	if (!stream)
		return html`<section class="card state"><h2>No streams are defined</h2>
			<p class="secondary">A pipeline is a folder of .sql files. Define a stream with CREATE TABLE, then start:</p>
			<${Code} text="tarn run --config DIR" />
			<p class="secondary">Or look at one that works, with real sample data:</p>
			<${Code} text="tarn demo" /></section>`;
	const tabs = /** @type {[string, string][]} */ ([['curl', 'curl'], ['csv', 'CSV file'], ['demo', 'Demo data']]);
	return html`<section class="card state"><h2>${noViews ?
			'No view is marked for the overview' : 'No events yet'}</h2>
		<p class="secondary">${noViews ? html`Add <code>WITH (overview = 'line')</code> to a materialized view and restart. Events are taken already:` :
			html`Send one to the stream <a href=${`/streams/${stream.name}`}>${stream.name}</a>; this page shows it at once.`}</p>
		<${Tabs} tabs=${tabs} value=${tab} label="Ways to send" onChange=${setTab}>
			${tab === 'curl' && html`<${Code} text=${curl(stream, location.origin)} />`}
			${tab === 'csv' && html`<${Code} text=${`cat > events.csv <<'END'\n${csv(stream)}\nEND\ntarn load ${stream.name} events.csv --url ${location.origin}`} />`}
			${tab === 'demo' && html`<${Code} text="tarn demo" />`}
			<${Listener} /></${Tabs}></section>`;
}

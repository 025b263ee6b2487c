/* The MQTT broker: what it holds, and every client with its session. */
import { html, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { now, status } from '../lib/live.js';
import { ago, bytes, number } from '../lib/format.js';
import { message } from '../lib/propose.js';
import { PageHead, ProblemBox, Skeleton } from '../ui/parts.js';
import { Code, Grid, Mark, useLoad } from '../ui/more.js';
import { NewSources, protocol, useBroker } from '../ui/mqtt.js';

/** Where clients connect. @param {any} b @returns {[string, string][]} */
function doors(b) {
	const host = location.hostname;
	return /** @type {[string, string][]} */ ([['MQTT', b.port && `${host}:${b.port}`], ['MQTT with TLS', b.tls_port && `${host}:${b.tls_port}`],
		['WebSocket', `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/mqtt`]]).filter((d) => d[1]);
}

/** @param {{b: any}} p */
function Facts({ b }) {
	const rate = (/** @type {number} */ r) => `${number(Math.round(r * 10) / 10)}/s`;
	const facts = [['Connected', `${number(b.connections)} of ${number(Math.max(b.sessions, b.connections))}`], ['In', rate(b.received_rate)], ['Out', rate(b.sent_rate)],
		['Subscriptions', number(b.subscriptions)], ['Retained', `${number(b.retained)}${b.retained ? ` (${bytes(b.retained_bytes)})` : ''}`],
		['Queued', bytes(b.queued_bytes)]];
	const lost = [['Dropped, refused', `${number(b.dropped)}, ${number(b.refused)}`]];
	return html`<dl class="facts">${facts.map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>
		<dl class="facts">${[...lost, ...doors(b)].map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd class="small mono">${v}</dd></div>`)}</dl>`;
}

/** What works as it stands. @param {{b: any}} p */
function Empty({ b }) {
	const { data, error } = useLoad(() => api('/api/v1/streams'), []);
	if (data === null && !error)
		return html`<${Skeleton} height=${320} />`;
	const local = /^(localhost|127\.|\[?::1)/.test(location.hostname);
	const who = local || status.value?.auth !== 'session' ? '' : ' -u any -P TOKEN';
	const port = b.port || b.tls_port;
	const at = `-h ${location.hostname} -p ${port}${b.port ? '' : ' --tls-use-os-certs'}${who}`;
	const stream = (data?.streams || []).find((/** @type {any} */ s) => (s.mqtt || []).length > 0);
	const m = stream ? message(stream) : { topic: 'test/topic', payload: '{"n":1}' };
	const quote = (/** @type {string} */ s) => `'${s.replace(/'/g, `'\\''`)}'`;
	return html`<section class="card state"><h2>No clients yet</h2>
		${port ? html`<p class="secondary">Any MQTT client can connect. Listen in one terminal:</p>
		<${Code} text=${`mosquitto_sub ${at} -v -t '#'`} />
		<p class="secondary">${stream ? html`and send an event to the stream <a href=${`/streams/${stream.name}`}>${stream.name}</a> in another:` : 'and publish in another:'}</p>
		<${Code} text=${`mosquitto_pub ${at} -q 1 -t ${quote(m.topic)} -m ${quote(m.payload)}`} />
		${who && html`<p class="muted small">TOKEN is one of <code>tarn token create</code>.</p>`}` :
		html`<p class="secondary">There is no listener (mqtt_listen is none, or its port was taken). WebSocket clients can connect:</p>
			<${Code} text=${doors(b).at(-1)?.[1]} />`}
		${!stream && data && html`<p class="muted small">No stream takes topics yet. <code>CREATE TABLE … WITH (mqtt = 'office/{office}/door')</code> makes one that does.</p>`}</section>`;
}

/** @returns {import('../ui/more.js').Column[]} */
function columns() {
	const at = now.value;
	const count = (/** @type {string} */ name, /** @type {string} */ field) => ({ name, num: true,
		value: (/** @type {any} */ c) => c[field], cell: (/** @type {any} */ c) => number(c[field]) });
	const when = (/** @type {string} */ name, /** @type {(c: any) => number} */ us) => ({ name, class: 'secondary',
		value: (/** @type {any} */ c) => us(c) ? new Date(us(c) / 1000).toISOString() : '',
		cell: (/** @type {any} */ c) => us(c) ? ago(us(c) / 1000, at) : '–' });
	return [{ name: 'Client', value: (c) => c.client, class: 'mono wrap small', cell: (c) => html`${c.client}
			<div class="muted small">${[c.peer, c.user].filter(Boolean).join(' · ')}</div>` },
		{ name: 'State', value: (c) => c.connected ? 'Connected' : 'Away', cell: (c) => html`<${Mark} kind=${c.connected ? 'ok' : 'off'}>${c.connected ? 'Connected' : 'Away'}</${Mark}>` },
		{ name: 'Protocol', value: protocol, cell: (c) => protocol(c).replace('MQTT ', '') || '–' },
		when('Connected', (c) => c.connected ? c.since_us : 0), when('Last seen', (c) => c.last_us),
		count('In', 'received'), count('Out', 'sent'), count('Subscriptions', 'subscriptions'), count('Queued', 'queued'),
		count('In flight', 'inflight'), count('Takeovers', 'takeovers')];
}

function Mqtt() {
	const { data, error, again } = useBroker();
	const [filter, setFilter] = useState('');
	const head = html`<${PageHead} title="MQTT" sub="The broker, and who is connected to it" />`;
	if (data === null)
		return html`${head}${error ? html`<${ProblemBox} error=${error} retry=${again} />` : html`<${Skeleton} height=${320} />`}`;
	const word = filter.toLowerCase();
	const list = data.clients.filter((/** @type {any} */ c) => !word ||
		`${c.client} ${c.user} ${c.peer} ${protocol(c)}`.toLowerCase().includes(word));
	const hidden = data.sessions - data.clients.length;
	return html`${head}${error && html`<${ProblemBox} error=${error} retry=${again} />`}
		<${Facts} b=${data} />
		${data.clients.length === 0 ? html`<${Empty} b=${data} />` : html`<div class="rowline">
			<label class="vh" for="clientfilter">Filter</label>
			<input class="input" id="clientfilter" type="search" placeholder="Filter clients" style=${{ maxWidth: '320px' }}
				value=${filter} onInput=${(/** @type {any} */ e) => setFilter(e.target.value)} />
			<span class="muted small">${number(list.length)} client${list.length === 1 ? '' : 's'}${hidden > 0 ? `; ${number(hidden)} more are not listed` : ''}</span></div>
		<${Grid} label="Clients" columns=${columns()} rows=${list} id=${(/** @type {any} */ c) => c.client} />`}
		<${NewSources} broker=${data} streams=${(status.value?.streams || []).map((/** @type {any} */ s) => s.name)} />`;
}

export const pages = { mqtt: Mqtt };

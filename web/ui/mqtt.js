/* Parts that show the broker on several pages: its state asked for again and
 * again, a client's protocol, topics that no stream takes. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { now, paused } from '../lib/live.js';
import { ago, number } from '../lib/format.js';
import { propose } from '../lib/propose.js';
import { Code } from './more.js';
import { Icon } from './icons.js';

const EVERY_MS = 2000;
const SHOWN = 20;

/** GET /api/v1/mqtt, every two seconds unless paused; one request at a time.
 * @returns {{data: any, error: any, again: () => void}} */
export function useBroker() {
	const [state, set] = useState(/** @type {any} */ ({ data: null, error: null }));
	const [count, setCount] = useState(0);
	const busy = useRef(false);
	const beat = paused.value ? 0 : Math.floor(now.value / EVERY_MS);
	useEffect(() => {
		if (busy.current)
			return;
		busy.current = true;
		api('/api/v1/mqtt').then((data) => set({ data, error: null }),
			(error) => set((/** @type {any} */ s) => ({ data: s.data, error })))
			.finally(() => { busy.current = false; });
	}, [beat, count]);
	return { ...state, again: () => setCount((/** @type {number} */ n) => n + 1) };
}

/** "5.0 · WebSocket". @param {any} c */
export const protocol = (c) => [c.protocol ? `MQTT ${c.protocol}` : '', c.websocket ? 'WebSocket' : '',
	c.tls ? 'TLS' : ''].filter(Boolean).join(' · ');

/** @param {{source: any, streams: string[]}} p */
function Seen({ source, streams }) {
	const [open, setOpen] = useState(false);
	const sql = open ? propose(source, streams) : null;
	return html`<li class="stack"><div class="rowline">
			<button class="btn quiet tiny" aria-expanded=${String(open)} aria-label=${`A table for ${source.pattern}`}
				onClick=${() => setOpen(!open)}><${Icon} name=${open ? 'down' : 'right'} /></button>
			<code class="anywhere">${source.pattern}</code>
			<span class="muted small">${number(source.count)} message${source.count === 1 ? '' : 's'}, ${ago(source.last_us / 1000, now.value)}</span></div>
		${open && html`<dl class="facts"><div><dt>Newest topic</dt><dd class="small mono">${source.topic}</dd></div>
				<div><dt>Payload</dt><dd class="small mono">${source.payload === null ? 'not text' : source.payload || '(empty)'}</dd></div></dl>
			${sql ? html`<p class="secondary small">Read it, put it into the pipeline's folder, and start Tarn again:</p>
				<${Code} text=${sql} label=${`Proposed table for ${source.pattern}`} />` :
				html`<p class="secondary small">This payload is neither a plain value nor a JSON object, so no columns can be guessed.</p>`}`}</li>`;
}

/** @param {{broker: any, streams: string[]}} p */
export function NewSources({ broker, streams }) {
	const [all, setAll] = useState(false);
	if (!broker?.new_sources || broker.sources.length === 0)
		return null;
	const list = [...broker.sources].sort((a, b) => b.last_us - a.last_us);
	return html`<section class="card"><header><h2>New sources seen</h2></header>
		<div class="body stack"><p class="secondary small">MQTT topics that no stream takes. Open one for a table that would.</p>
		<ul class="stack" aria-label="New sources">${list.slice(0, all ? list.length : SHOWN).map((s) =>
			html`<${Seen} key=${s.pattern} source=${s} streams=${streams} />`)}</ul>
		${list.length > SHOWN && !all && html`<div><button class="btn" onClick=${() => setAll(true)}>
			Show all ${number(list.length)}</button></div>`}</div></section>`;
}

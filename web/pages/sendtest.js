/* Send one event to try a stream: a field for each column, or raw JSON; the
 * server's answer as it is. */
import { html, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { example, curl } from '../lib/example.js';
import { ProblemBox, Segments } from '../ui/parts.js';
import { Code } from '../ui/more.js';
import { Icon } from '../ui/icons.js';

/** A typed text as the value it stands for. @param {string} text
 *  @param {string} type @returns {any} */
export function typed(text, type) {
	if (text === '')
		return null;
	if (/int|double|real|float|numeric|decimal|json/.test(type)) {
		try {
			return JSON.parse(text);
		} catch {
			return text;            /* The server says what is wrong. */
		}
	}
	if (type.startsWith('bool') && (text === 'true' || text === 'false'))
		return text === 'true';
	return text;
}

/** @param {any} v */
const shown = (v) => v === null || v === undefined ? '' : typeof v === 'object' ?
	JSON.stringify(v) : String(v);

/** @param {{a: any}} p */
function Answer({ a }) {
	if (a.error)
		return html`<${ProblemBox} error=${a.error} />`;
	const r = a.ok;
	return html`<div class=${r.quarantined > 0 ? 'problem' : 'good'} role="status">
		<strong>${r.accepted > 0 ? `✓ accepted at position ${r.lsn}` : r.duplicates > 0 ?
			'Taken before: a duplicate' : 'Quarantined'}</strong>
		${(r.errors || []).map((/** @type {any} */ e) => html`<div>${e.column &&
			html`<code>${e.column}</code>: `}${e.message}</div>`)}</div>`;
}

/** @param {{s: any}} p */
export function SendTest({ s }) {
	const [mode, setMode] = useState('form');
	const [event, setEvent] = useState(() => /** @type {any} */ (example(s)));
	const [text, setText] = useState('');
	const [answer, setAnswer] = useState(/** @type {any} */ (null));
	const [busy, setBusy] = useState(false);
	const columns = s.columns.filter((/** @type {any} */ c) => !c.generated);
	/** @param {string} m */
	const change = (m) => {
		if (m === 'json') {
			setText(JSON.stringify(event, null, 2));
		} else {
			try {
				const v = JSON.parse(text);
				setEvent(Array.isArray(v) ? v[0] : v);
			} catch { /* Keep the fields as they were. */ }
		}
		setMode(m);
	};
	/* An empty field with a default is left out, not null.
	 * @param {any} c @param {string} value */
	const put = (/** @type {any} */ c, /** @type {string} */ value) => {
		const { [c.name]: _, ...rest } = event;
		const v = typed(value, c.type);
		setEvent(v === null && c.default ? rest : { ...rest, [c.name]: v });
	};
	const send = async (/** @type {Event} */ e) => {
		e.preventDefault();
		setBusy(true);
		try {
			setAnswer({ ok: await api(`/api/v1/streams/${encodeURIComponent(s.name)}`, {
				method: 'POST', headers: { 'content-type': 'application/json' },
				body: mode === 'json' ? text : JSON.stringify(event) }) });
		} catch (error) {
			setAnswer({ error });
		}
		setBusy(false);
	};
	return html`<form class="card" onSubmit=${send}>
		<header><h2>Test event</h2><${Segments} label="Input" value=${mode}
			options=${[['form', 'Form'], ['json', 'JSON']]} onChange=${change} /></header>
		<div class="body stack">
		${mode === 'json' ? html`<label class="vh" for="testjson">Event as JSON</label>
			<textarea class="input" id="testjson" rows=${columns.length + 3} spellcheck=${false}
				value=${text} onInput=${(/** @type {any} */ e) => setText(e.target.value)}></textarea>` :
			html`<div class="cards">${columns.map((/** @type {any} */ c) => html`<div class="field" key=${c.name}>
				<label for=${`f-${c.name}`}>${c.name} <span class="muted small mono">${c.type}${(c.not_null || c.key) && !c.default ? '' : ', optional'}</span></label>
				<input class="input" id=${`f-${c.name}`} autocomplete="off" placeholder=${c.default ? `default: ${c.default}` : ''} value=${shown(event[c.name])}
					onInput=${(/** @type {any} */ e) => put(c, e.target.value)} /></div>`)}</div>`}
		<div class="rowline"><button class="btn primary" disabled=${busy}><${Icon} name="send" />Send</button>
			<button class="btn" type="button" onClick=${() => {
				const v = example(s);
				setEvent(v);
				setText(JSON.stringify(v, null, 2));
			}}>Fill in an example</button></div>
		${answer && html`<${Answer} a=${answer} />`}</div></form>
	<section class="card"><header><h2>The same from a shell</h2></header>
		<div class="body"><${Code} text=${curl(s, location.origin)} /></div></section>`;
}

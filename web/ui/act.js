/* Acts on what is published or kept: said in words first, and typed where they
 * cannot be taken back. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { post } from '../lib/api.js';
import { ProblemBox, announce } from './parts.js';

/** Of a CALL, what it says. @param {string} sql @returns {Promise<string>} */
export async function call(sql) {
	const r = await post('/api/v1/sql', { sql });
	return String(r.rows?.[0]?.[r.columns.indexOf('detail')] ?? '').trim();
}

/** A text as SQL writes it. @param {string} text */
export const quote = (text) => `'${text.replace(/'/g, "''")}'`;

/** @typedef {{title: string, text: any, yes: string, word?: string,
 *    run: () => Promise<string>}} Question   word: is typed to go on */

/** The question, then what came of it.
 * @param {{q: Question, close: () => void, done: () => void}} p */
export function Ask({ q, close, done }) {
	const box = useRef(/** @type {HTMLElement|null} */ (null));
	const [typed, setTyped] = useState('');
	const [busy, setBusy] = useState(false);
	const [answer, setAnswer] = useState(/** @type {any} */ (null));
	useEffect(() => {
		/** @type {HTMLElement|null|undefined} */ (box.current?.querySelector('input, button'))?.focus();
	}, []);
	const go = async (/** @type {Event} */ e) => {
		e.preventDefault();
		setBusy(true);
		setAnswer(null);
		try {
			const text = await q.run();
			setAnswer({ text: text || 'Done.' });
			announce(`${q.title}: done`);
			done();
		} catch (error) {
			setAnswer({ error });
		}
		setBusy(false);
	};
	const said = answer && !answer.error;
	return html`<form class="card" ref=${box} aria-label=${q.title} onSubmit=${go}><header><h2>${q.title}</h2></header><div class="body stack">
		${said ? html`<p class="good" role="status">${answer.text}</p>` : html`<div class="secondary">${q.text}</div>
			${q.word && html`<div class="field narrow"><label for="act-word">Type “${q.word}” to go on</label>
				<input id="act-word" class="input" autocomplete="off" spellcheck=${false} value=${typed} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} /></div>`}
			${answer && html`<${ProblemBox} error=${answer.error} />`}`}
		<div class="rowline">${!said && html`<button class="btn primary" disabled=${busy || (q.word !== undefined && typed.trim() !== q.word)}>${
			busy ? 'Working…' : q.yes}</button>`}<button class="btn" type="button" onClick=${close}>${said ? 'Close' : 'Leave it as it is'}</button></div></div></form>`;
}

/* Two times for the range, in the zone that is shown. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { moment, split } from '../lib/range.js';
import { offset } from '../lib/band.js';
import { zoneName } from '../lib/prefs.js';

/** For an input: local time without zone. @param {number} t @param {string} tz */
export const local = (t, tz) => Number.isFinite(t) ?
	new Date(t + offset(t, tz)).toISOString().slice(0, 16) : '';

/** @param {string} text @param {string} tz @returns {number} */
export function instant(text, tz) {
	const t = Date.parse(text + 'Z');
	/* The offset of the result, not of the guess. */
	return t - offset(t - offset(t, tz), tz);
}

/** @param {{range: string, set: (range: string) => void, close: () => void}} p */
export function When({ range, set, close }) {
	const tz = zoneName();
	const now = Date.now();
	const [a, b] = split(range);
	const [from, setFrom] = useState(local(moment(a && a !== 'all' ? a : 'now-24h', now), tz));
	const [to, setTo] = useState(local(moment(b ?? 'now', now), tz));
	const box = useRef(/** @type {HTMLElement|null} */ (null));
	useEffect(() => {
		box.current?.querySelector('input')?.focus();
		const away = (/** @type {Event} */ e) => {
			if (e instanceof KeyboardEvent ? e.key === 'Escape' :
			    !box.current?.parentElement?.contains(/** @type {Node} */ (e.target)))
				close();
		};
		addEventListener('pointerdown', away);
		addEventListener('keydown', away);
		return () => {
			removeEventListener('pointerdown', away);
			removeEventListener('keydown', away);
		};
	}, []);
	const begin = instant(from, tz), end = instant(to, tz);
	const field = (/** @type {string} */ label, /** @type {string} */ value, /** @type {(v: string) => void} */ put) =>
		html`<div class="field"><label for=${`when-${label}`}>${label}</label><input class="input" type="datetime-local"
			id=${`when-${label}`} value=${value} onInput=${(/** @type {any} */ e) => put(e.target.value)} /></div>`;
	return html`<form class="panel" ref=${box} onSubmit=${(/** @type {Event} */ e) => {
		e.preventDefault();
		set(`${new Date(begin).toISOString()}..${new Date(end).toISOString()}`);
		close();
	}}>${field('From', from, setFrom)}${field('To', to, setTo)}
		<div class="rowline"><button class="btn primary" disabled=${!(end > begin)}>Show</button>
			<span class="muted small">Times in ${tz}</span></div></form>`;
}

/* Small shared parts: problems, empty and loading states, code to copy,
 * segmented choices, tabs, the one polite live region. */
import { html, signal, useState, useEffect, useRef } from '../lib/html.js';
import { copy } from '../lib/api.js';
import { visits } from '../lib/router.js';

const said = signal('');
let saidAt = 0;
let waiting = 0;

/** Tell a screen reader, at most every ten seconds. @param {string} text */
export function announce(text) {
	const wait = Math.max(0, saidAt + 10000 - Date.now());
	clearTimeout(waiting);
	waiting = window.setTimeout(() => {
		saidAt = Date.now();
		said.value = text;
	}, wait);
}

export function LiveRegion() {
	return html`<div class="vh" role="status" aria-live="polite">${said.value}</div>`;
}

/** A page's heading; takes the focus when one comes from another page.
 * @param {{title: string, children?: any, sub?: any}} p */
export function PageHead({ title, sub, children }) {
	const ref = useRef(/** @type {HTMLElement|null} */ (null));
	useEffect(() => {
		document.title = `${title} – Tarn`;
		if (visits.peek() > 0)
			ref.current?.focus({ preventScroll: true });
	}, [title]);
	return html`<div class="pagehead"><h1 ref=${ref} tabindex="-1">${title}</h1>
		${sub && html`<span class="sub">${sub}</span>`}
		${children && html`<div class="tools">${children}</div>`}</div>`;
}

/** @param {{error: any, retry?: () => void}} p */
export function ProblemBox({ error, retry }) {
	const b = error.body || {};
	return html`<div class="problem stack" role="alert">
		<div><strong>${error.title || 'Something went wrong'}</strong>
			${error.detail && error.detail !== error.title &&
				html`<div>${error.detail}</div>`}
			${b.line && html`<div class="mono small">line ${b.line}${b.column ?
				`, column ${b.column}` : ''}</div>`}
			${error.hint && html`<div class="hint">${error.hint}</div>`}
			${b.trace_id && html`<div class="muted small">trace ${b.trace_id}</div>`}
		</div>
		${retry && html`<div><button class="btn" onClick=${retry}>Try again</button></div>`}
	</div>`;
}

/** @param {{height: number}} p */
export function Skeleton({ height }) {
	return html`<div class="skeleton" style=${{ height: `${height}px` }}
		aria-hidden="true"></div>`;
}

/** @param {{text: string, label?: string}} p */
export function Code({ text, label }) {
	const [done, setDone] = useState(false);
	return html`<div class="codebox"><pre class="code" tabindex="0" role="group"
			aria-label=${label || 'Command'}>${text}</pre>
		<button class="btn tiny" onClick=${async () => {
			setDone(await copy(text));
			setTimeout(() => setDone(false), 2000);
		}}>${done ? 'Copied' : 'Copy'}</button></div>`;
}

/** @param {{label: string, value: string, options: [string, string][],
 *    onChange: (v: string) => void}} p */
export function Segments({ label, value, options, onChange }) {
	return html`<div class="seg" role="group" aria-label=${label}>
		${options.map(([v, text]) => html`<button key=${v}
			aria-pressed=${String(v === value)}
			onClick=${() => onChange(v)}>${text}</button>`)}</div>`;
}

/** @param {{tabs: [string, string][], value: string, label: string,
 *    onChange: (v: string) => void, children: any}} p */
export function Tabs({ tabs, value, label, onChange, children }) {
	/** @param {KeyboardEvent} e */
	const key = (e) => {
		const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
		if (step === 0)
			return;
		const i = tabs.findIndex((t) => t[0] === value);
		const next = tabs[(i + step + tabs.length) % tabs.length][0];
		onChange(next);
		document.getElementById(`tab-${next}`)?.focus();
	};
	return html`<div class="stack">
		<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${key}>
			${tabs.map(([v, text]) => html`<button key=${v} role="tab" id=${`tab-${v}`}
				aria-selected=${String(v === value)} aria-controls="tabpanel"
				tabindex=${v === value ? 0 : -1}
				onClick=${() => onChange(v)}>${text}</button>`)}</div>
		<div role="tabpanel" id="tabpanel" class="stack"
			aria-labelledby=${`tab-${value}`}>${children}</div></div>`;
}

const words = /** @type {Record<string, [string, string]>} */ ({
	ok: ['●', 'ok'], late: ['◐', 'late'], failing: ['▲', 'failing'],
	off: ['○', 'off'],
});
/** Status: sign, word and colour. @param {{kind: string, children: any}} p */
export function Mark({ kind, children }) {
	return html`<span class=${`chip ${kind}`}><span aria-hidden="true">${
		(words[kind] || words.off)[0]}</span>${children}</span>`;
}

/** Data loaded once per key, with retry. @template T
 * @param {() => Promise<T>} load @param {any[]} deps
 * @returns {{data: T|null, error: any, again: () => void}} */
export function useLoad(load, deps) {
	const [state, set] = useState(/** @type {any} */ ({ data: null, error: null }));
	const [count, setCount] = useState(0);
	useEffect(() => {
		let live = true;
		load().then((data) => live && set({ data, error: null }),
			(error) => live && set((/** @type {any} */ s) => ({ data: s.data, error })));
		return () => { live = false; };
	}, [...deps, count]);
	return { ...state, again: () => setCount((/** @type {number} */ n) => n + 1) };
}

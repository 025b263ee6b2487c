/* Small parts of every page: heading, problems, loading states, segmented
 * choices, the one polite live region. What only some pages need: more.js. */
import { html, signal, useEffect, useRef } from '../lib/html.js';
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

/** @param {{label: string, value: string, options: [string, string][],
 *    onChange: (v: string) => void}} p */
export function Segments({ label, value, options, onChange }) {
	return html`<div class="seg" role="group" aria-label=${label}>
		${options.map(([v, text]) => html`<button key=${v}
			aria-pressed=${String(v === value)}
			onClick=${() => onChange(v)}>${text}</button>`)}</div>`;
}

/* Icons as path data, drawn by ourselves on a 24 grid. */
import { html } from '../lib/html.js';

const paths = {
	overview: 'M4 19V9M10 19V5M16 19v-7M21 19H3',
	streams: 'M3 7c3-3 6 3 9 0s6 3 9 0M3 12c3-3 6 3 9 0s6 3 9 0M3 17c3-3 6 3 9 0s6 3 9 0',
	lake: 'M5 6c0-2 14-2 14 0s-14 2-14 0M5 6v12c0 2 14 2 14 0V6M5 12c0 2 14 2 14 0',
	runs: 'M4 6h9M8 12h10M12 18h8M4 12h1M4 18h4',
	sql: 'M5 7l5 5-5 5M12 18h7',
	mqtt: 'M5 19h.01M5 13a6 6 0 0 1 6 6M5 7a12 12 0 0 1 12 12',
	pause: 'M9 5v14M15 5v14',
	play: 'M8 5l11 7-11 7z',
	settings: 'M12 4v3M12 17v3M4 12h3M17 12h3M6.5 6.5l2 2M15.5 15.5l2 2M6.5 17.5l2-2M15.5 8.5l2-2',
	table: 'M4 6h16v12H4zM4 10h16M10 10v8',
	chart: 'M4 5v14h16M8 15l4-5 3 3 5-6',
	left: 'M15 6l-6 6 6 6',
	clock: 'M12 3a9 9 0 1 0 .01 0M12 7v5l3 2',
	sum: 'M17 5H7l6 7-6 7h10',
	search: 'M10.5 4a6.5 6.5 0 1 0 .01 0M15.5 15.5L20 20',
	right: 'M9 6l6 6-6 6',
	down: 'M6 9l6 6 6-6',
	check: 'M5 12l5 5 9-10',
	cut: 'M12 4v10M8 10l4 4 4-4M5 19h14',
	send: 'M4 12l16-7-6 15-3-6z',
	out: 'M14 5h5v14h-5M4 12h10M10 8l4 4-4 4',
};

/** @param {{name: keyof typeof paths}} p */
export function Icon({ name }) {
	return html`<svg class="ico" viewBox="0 0 24 24" aria-hidden="true"
		focusable="false"><path d=${paths[name]} /></svg>`;
}

export function Logo() {
	return html`<svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
		<rect width="32" height="32" rx="7" fill="var(--accent-fill)" />
		<path d="M4 21l7-11 4 6 3-4 10 9z" fill="var(--surface)" />
		<path d="M4 23.5h24l-2 2.5H6z" fill="var(--surface)" opacity=".6" />
	</svg>`;
}

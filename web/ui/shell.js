/* The frame: rail, bar with the freshness pill, banners, progress. */
import { html, later, signal, useState, useEffect, useRef } from '../lib/html.js';
import { Icon, Logo } from './icons.js';
import { LiveRegion, announce } from './parts.js';
import { conn, status, heardAt, now, paused, updated } from '../lib/live.js';
import { path, go, kept } from '../lib/router.js';
import { number } from '../lib/format.js';

/** The dialog that is open: '' | 'find' | 'keys'. */
export const dialog = signal('');

/** Pages that exist: address, text, icon, key after g. */
export const pages = /** @type {[string, string, any, string][]} */ ([
	['/', 'Overview', 'overview', 'o'],
	['/sql', 'Explore', 'sql', 'e'],
	['/streams', 'Streams', 'streams', 's'],
	['/lake', 'Lake', 'lake', 'l'],
	['/runs', 'Runs', 'runs', 'u'],
	['/mqtt', 'MQTT', 'mqtt', 'm'],
]);

/** @param {string} href */
const current = (href) => href === '/' ? path.value === '/' :
	path.value === href || path.value.startsWith(href + '/');

/** @param {{list: typeof pages}} p */
function Links({ list }) {
	return html`<ul>${list.map(([href, text, icon, key]) => html`<li key=${href}>
		<a href=${href + kept()} aria-current=${current(href) ? 'page' : undefined}>
			<${Icon} name=${icon} /><span>${text}</span>
			<kbd aria-hidden="true">g ${key}</kbd></a></li>`)}</ul>`;
}

function Rail() {
	const s = status.value;
	return html`<nav class="rail" aria-label="Main">
		<a class="brand" href="/" aria-label="Tarn, overview"><${Logo} /><span>Tarn</span></a>
		<div class="links"><h2>Live</h2><${Links} list=${pages.slice(0, 1)} />
			<h2>Data</h2><${Links} list=${pages.slice(1)} /></div>
		<div class="foot"><span>${s ? `Version ${s.version}` : ''}</span>
			<a href="/docs">API</a></div></nav>`;
}

/** State of the feed in one word. */
export function freshness() {
	if (paused.value)
		return { kind: 'paused', text: 'Paused', extra: '' };
	const age = (now.value - heardAt.value) / 1000;
	if (conn.value !== 'open')
		return { kind: 'reconnecting', text: heardAt.value === 0 ?
			'Connecting' : 'Reconnecting', extra: '' };
	if (heardAt.value > 0 && age > 4)
		return { kind: 'delayed', text: `Delayed ${Math.round(age)} s`, extra: '' };
	const rate = (status.value?.streams || []).reduce(
		(/** @type {number} */ n, /** @type {any} */ s) => n + (s.rate || 0), 0);
	return { kind: 'live', text: 'Live', extra: heardAt.value === 0 ? '' :
		`${number(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate))}/s` };
}

function Pill() {
	const f = freshness();
	const last = useRef('live');
	useEffect(() => {
		if (f.kind !== last.current && heardAt.peek() > 0)
			announce(`Data feed: ${f.text}`);
		last.current = f.kind;
	}, [f.kind]);
	return html`<span class=${`pill ${f.kind}`} data-feed=${f.kind}>
		<span class="dot" aria-hidden="true"></span>${f.text}
		${f.extra && html`<span class="rate">${f.extra}</span>`}</span>`;
}

/* Theme, zone, log out: what is behind the button comes when it is opened. */
function View() {
	const [open, setOpen] = useState(false);
	const box = useRef(/** @type {HTMLElement|null} */ (null));
	const panel = open && later('display', () => import('./display.js'));
	return html`<div class="menu" ref=${box}>
		<button class="btn quiet" aria-expanded=${String(open)} aria-label="Display"
			title="Theme and time zone"
			onClick=${() => setOpen(!open)}><${Icon} name="settings" /></button>
		${panel && html`<${panel.Display} box=${box} close=${() => setOpen(false)} />`}</div>`;
}

function Bar() {
	const s = status.value;
	return html`<header class="bar">
		<span class="instance">${s?.instance || location.host}</span>
		${s?.progress && html`<${Progress} p=${s.progress} />`}
		<span class="space"></span>
		<button class="btn quiet" aria-label="Search" aria-haspopup="dialog" title="Search and commands (Ctrl K)"
			onClick=${() => { dialog.value = 'find'; }}><${Icon} name="search" /></button>
		<${Pill} />
		<button class="btn quiet" aria-label=${paused.value ?
			'Resume live updates' : 'Pause live updates'}
			onClick=${() => { paused.value = !paused.value; }}>
			<${Icon} name=${paused.value ? 'play' : 'pause'} />
			<span class="hide-s">${paused.value ? 'Resume' : 'Pause'}</span></button>
		<${View} /></header>`;
}

/** A job of the server, as a line under the bar that takes no room.
 * @param {{p: any}} props */
function Progress({ p }) {
	const text = p.text || 'Loading';
	return html`<div class="progress"><span>${text}${p.total ?
			`, ${number(p.loaded)} of ${number(p.total)}` : ''}</span>
		<progress aria-label=${text} max=${p.total || 1} value=${p.loaded || 0}></progress></div>`;
}

function Banners() {
	const s = status.value;
	const open = s && s.loopback === false && location.protocol === 'http:';
	const failure = s?.log?.failure;
	if (!updated.value && !open && !failure)
		return null;
	return html`<aside aria-label="Notices">
		${updated.value && html`<div class="banner">Tarn was updated.
			<button class="btn tiny" onClick=${() => location.reload()}>Reload the page</button></div>`}
		${open && html`<div class="banner"><span aria-hidden="true">◐</span>
			This connection is not encrypted.</div>`}
		${failure && html`<div class="banner"><span aria-hidden="true">▲</span>
			New events are refused: ${failure}</div>`}</aside>`;
}

/* g, then a letter, goes to a page; ? tells the keys; Ctrl K finds. Letters
 * do nothing while one types or a dialog is open. */
function useKeys() {
	useEffect(() => {
		let g = 0;
		const key = (/** @type {KeyboardEvent} */ e) => {
			const t = /** @type {HTMLElement} */ (e.target);
			const find = (e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k';
			if (find) {
				e.preventDefault();
				dialog.value = dialog.peek() === 'find' ? '' : 'find';
				return;
			}
			if (e.ctrlKey || e.metaKey || e.altKey || dialog.peek() !== '' ||
			    t.closest?.('input, textarea, select'))
				return;
			const page = pages.find((p) => p[3] === e.key);
			if (Date.now() - g < 1000 && page)
				go(page[0] + kept());
			else if (e.key === '?')
				dialog.value = 'keys';
			g = e.key === 'g' ? Date.now() : 0;
		};
		addEventListener('keydown', key);
		return () => removeEventListener('keydown', key);
	}, []);
}

/** The palette and the list of keys. */
function Dialogs() {
	const part = dialog.value && later('palette', () => import('./palette.js'));
	return part ? html`<${part.Dialogs} />` : null;
}

/** @param {{children: any}} p */
export function Shell({ children }) {
	useKeys();
	return html`<a class="skip" href="#main">Skip to content</a>
		<div class="shell"><${Rail} />
			<div class="column"><${Bar} /><${Banners} />
				<main id="main" tabindex="-1">${children}</main></div></div>
		<${Dialogs} /><${LiveRegion} />`;
}

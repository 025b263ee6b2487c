/* Dialogs of the keyboard: the palette (Ctrl K), which finds pages, streams,
 * views and commands, and the list of keys (?). */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { catalog, loadCatalog, paused, status } from '../lib/live.js';
import { find } from '../lib/find.js';
import { go, kept, path } from '../lib/router.js';
import { theme } from '../lib/prefs.js';
import { dialog, pages } from './shell.js';
import { presets, setRange } from './range.js';
import { rowsOf } from './tile.js';
import { logout, setZone } from './display.js';

/** @typedef {import('../lib/find.js').Item} Item */

/** @param {any[]} streams @returns {Item[]} */
function all(streams) {
	const to = (/** @type {string} */ url) => () => go(url);
	const range = presets.map(([r, name]) => ({ text: `Range: ${name}`, kind: 'Command', run: () => {
		if (path.peek() !== '/')
			go('/' + kept());
		setRange(r);
	} }));
	return [...pages.map(([href, text, , key]) => ({ text, kind: `Page · g ${key}`, run: to(href + kept()) })),
		...(catalog.value || []).map((v) => ({ text: v.options?.title || v.name, also: v.name,
			kind: 'View', run: to(rowsOf(v)) })),
		...streams.map((s) => ({ text: s.name, kind: 'Stream', run: to(`/streams/${encodeURIComponent(s.name)}`) })),
		{ text: paused.value ? 'Resume live updates' : 'Pause live updates', kind: 'Command', run: () => { paused.value = !paused.value; } },
		...range,
		...['auto', 'light', 'dark'].map((t) => ({ text: `Theme: ${t}`, kind: 'Command', run: () => { theme.value = t; } })),
		...[['utc', 'UTC'], ['my', 'mine']].map(([z, name]) => ({ text: `Times in: ${name}`, kind: 'Command', run: () => setZone(z) })),
		{ text: 'Keyboard shortcuts', kind: 'Command · ?', run: () => { dialog.value = 'keys'; } },
		{ text: 'API documentation', kind: 'Page', run: () => location.assign('/docs') },
		...(status.value?.auth === 'session' ? [{ text: 'Log out', kind: 'Command', run: logout }] : [])];
}

/** @param {{label: string, children: any}} p */
function Box({ label, children }) {
	const ref = useRef(/** @type {HTMLDialogElement|null} */ (null));
	useEffect(() => {
		const before = /** @type {HTMLElement|null} */ (document.activeElement);
		ref.current?.showModal();
		return () => before?.focus?.({ preventScroll: true });
	}, []);
	return html`<dialog ref=${ref} aria-label=${label} onClose=${() => { dialog.value = ''; }}
		onClick=${(/** @type {Event} */ e) => { if (e.target === ref.current) dialog.value = ''; }}>${children}</dialog>`;
}

function Palette() {
	const [typed, setTyped] = useState('');
	const [at, setAt] = useState(0);
	const [streams, setStreams] = useState(/** @type {any[]} */ ([]));
	useEffect(() => {
		if (catalog.peek() === null)
			loadCatalog();
		api('/api/v1/streams').then((d) => setStreams(d.streams), () => {});
	}, []);
	const items = useMemo(() => all(streams), [streams, catalog.value, paused.value]);
	const list = find(items, typed);
	const run = (/** @type {Item|undefined} */ item) => {
		if (!item)
			return;
		dialog.value = '';
		item.run();
	};
	/** @param {KeyboardEvent} e */
	const key = (e) => {
		const step = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1 })[e.key];
		if (step !== undefined) {
			e.preventDefault();
			setAt((at + step + list.length) % Math.max(1, list.length));
		} else if (e.key === 'Enter') {
			e.preventDefault();
			run(list[at]);
		}
	};
	return html`<input class="input" role="combobox" aria-label="Find a page, stream, view or command" placeholder="Find a page, stream, view or command"
			aria-expanded="true" aria-controls="found" aria-autocomplete="list" autocomplete="off" spellcheck=${false} autofocus
			aria-activedescendant=${list.length > 0 ? `found-${at}` : undefined} value=${typed} onKeyDown=${key}
			onInput=${(/** @type {any} */ e) => { setTyped(e.target.value); setAt(0); }} />
		<div role="listbox" id="found" aria-label="Found" class="found">${list.map((item, i) => html`<div role="option"
			key=${item.kind + item.text} id=${`found-${i}`} aria-selected=${String(i === at)} onPointerMove=${() => setAt(i)}
			onClick=${() => run(item)}><span>${item.text}</span><span class="muted small">${item.kind}</span></div>`)}</div>
		${list.length === 0 && html`<p class="muted">Nothing is called that.</p>`}
		<p class="vh" role="status">${list.length} found</p>`;
}

function Keys() {
	return html`<h2>Keyboard</h2><dl class="keys">${[['Ctrl K  or  ⌘ K', 'Find and command'],
		...pages.map(([, text, , key]) => [`g  ${key}`, text]), ['← →', 'Move along a focused chart'], ['Enter', 'Why this number (a chart’s cursor, a table’s row)'],
		['?', 'These keys'], ['Esc', 'Close']].map(([k, text]) => html`<div key=${k}><dt>${k.split(/ {2}/).map((one) =>
			one === 'or' ? ' or ' : html`<kbd>${one}</kbd> `)}</dt><dd>${text}</dd></div>`)}</dl>
		<div><button class="btn" autofocus onClick=${() => { dialog.value = ''; }}>Close</button></div>`;
}

export function Dialogs() {
	return dialog.value === 'find' ? html`<${Box} key="find" label="Find and command"><${Palette} /></${Box}>` :
		html`<${Box} key="keys" label="Keyboard shortcuts"><${Keys} /></${Box}>`;
}

/* Addresses: path and query as signals, links without reload. */
import { signal, batch } from '../vendor/signals.js';

export const path = signal(location.pathname);
export const query = signal(new URLSearchParams(location.search));
/** Counts real page changes, so that the heading can take the focus. */
export const visits = signal(0);

function read() {
	batch(() => {
		if (path.peek() !== location.pathname)
			visits.value++;
		path.value = location.pathname;
		query.value = new URLSearchParams(location.search);
	});
}

/** @param {string} url @param {boolean} [replace] */
export function go(url, replace) {
	if (replace)
		history.replaceState(null, '', url);
	else
		history.pushState(null, '', url);
	if (path.peek() !== location.pathname)
		scrollTo(0, 0);
	read();
}

/** Change query parameters. @param {string|Record<string, string|null>} name
 *  @param {string|null} [value] null removes it */
export function setQuery(name, value) {
	const q = new URLSearchParams(location.search);
	for (const [k, v] of typeof name === 'string' ? [[name, value]] : Object.entries(name))
		if (v === null || v === undefined)
			q.delete(/** @type {string} */ (k));
		else
			q.set(/** @type {string} */ (k), v);
	const s = q.toString();
	go(location.pathname + (s ? '?' + s : ''), true);
}

/** The part of the address that goes along to other pages: range and zone. */
export function kept() {
	const q = new URLSearchParams();
	for (const name of ['from', 'to', 'tz']) {
		const v = query.value.get(name);
		if (v !== null)
			q.set(name, v);
	}
	const s = q.toString();
	return s ? '?' + s : '';
}

export function startRouter() {
	addEventListener('popstate', read);
	document.addEventListener('click', (e) => {
		const a = /** @type {Element} */ (e.target).closest?.('a[href]');
		if (!(a instanceof HTMLAnchorElement) || e.defaultPrevented ||
		    e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey ||
		    e.altKey || a.target || a.hasAttribute('download') ||
		    a.origin !== location.origin ||
		    /^\/(api|docs|metrics|assets|livez|readyz|healthz)(\/|$)/.test(a.pathname) ||
		    a.getAttribute('href')?.startsWith('#'))
			return;
		e.preventDefault();
		go(a.pathname + a.search);
	});
}

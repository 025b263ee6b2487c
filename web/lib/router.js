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

/** Change one query parameter. @param {string} name
 *  @param {string|null} value null removes it */
export function setQuery(name, value) {
	const q = new URLSearchParams(location.search);
	if (value === null)
		q.delete(name);
	else
		q.set(name, value);
	const s = q.toString();
	go(location.pathname + (s ? '?' + s : ''), true);
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

/* Start: theme, live feed, router, and the page for the address. Pages other
 * than the overview are fetched when they are first opened. */
import { html, render, useEffect, useState } from './lib/html.js';
import { Shell } from './ui/shell.js';
import { PageHead, ProblemBox, Skeleton } from './ui/parts.js';
import { Overview } from './pages/overview.js';
import { startTheme } from './lib/prefs.js';
import { startRouter, path, go } from './lib/router.js';
import { startLive, conn } from './lib/live.js';
import { api, hooks } from './lib/api.js';

const lazy = /** @type {Record<string, () => Promise<any>>} */ ({
	streams: () => import('./pages/streams.js'),
	stream: () => import('./pages/stream.js'),
	lake: () => import('./pages/lake.js'),
	runs: () => import('./pages/runs.js'),
	sql: () => import('./pages/sql.js'),
	mqtt: () => import('./pages/mqtt.js'),
	login: () => import('./pages/login.js'),
	setup: () => import('./pages/login.js'),
});

/** @param {string} p @returns {[string, string]} page and argument */
function route(p) {
	const parts = p.split('/').filter(Boolean);
	if (parts.length === 0)
		return ['overview', ''];
	if (parts[0] === 'streams' && parts.length === 2)
		return ['stream', decodeURIComponent(parts[1])];
	return parts.length === 1 && parts[0] !== 'stream' && parts[0] in lazy ?
		[parts[0], ''] : ['none', p];
}

/** @param {{name: string, arg: string}} p */
function Lazy({ name, arg }) {
	const [page, setPage] = useState(/** @type {any} */ (null));
	const [error, setError] = useState(/** @type {any} */ (null));
	useEffect(() => {
		let here = true;
		lazy[name]().then((m) => here && setPage(() => m.pages[name]),
			(e) => here && setError({ title: 'This page could not be loaded',
				detail: String(e.message || e) }));
		return () => { here = false; };
	}, [name]);
	if (error)
		return html`<${ProblemBox} error=${error} retry=${() => location.reload()} />`;
	return page ? html`<${page} key=${arg} arg=${arg} />` :
		html`<${Skeleton} height=${320} />`;
}

function App() {
	const [name, arg] = route(path.value);
	if (name === 'login' || name === 'setup')
		return html`<${Lazy} key=${name} name=${name} arg="" />`;
	return html`<${Shell}>${name === 'overview' ? html`<${Overview} />` :
		name === 'none' ? html`<${PageHead} title="Not found" />
			<p>There is no page at <code>${arg}</code>. <a href="/">Go to the overview</a>.</p>` :
		html`<${Lazy} key=${name} name=${name} arg=${arg} />`}</${Shell}>`;
}

hooks.denied = async () => {
	if (location.pathname === '/login' || location.pathname === '/setup')
		return;
	const next = location.pathname + location.search;
	go('/login' + (next === '/' ? '' : `?next=${encodeURIComponent(next)}`));
};
conn.subscribe((state) => {
	if (state === 'denied')
		hooks.denied();
});

startTheme();
startRouter();
const root = /** @type {HTMLElement} */ (document.getElementById('app'));
root.textContent = '';
render(html`<${App} />`, root);
/* On the login pages there is nothing to follow yet. */
if (!/^\/(login|setup)$/.test(location.pathname))
	startLive();
else
	api('/api/v1/session').catch(() => {});

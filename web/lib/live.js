/* A tab's end of the live feed: what the server says, as signals. Messages
 * are queued and applied once per animation frame; a hidden tab and a paused
 * page take none and get a snapshot when they go on. */
import { signal, batch, effect } from '../vendor/signals.js';
import { ViewState } from './state.js';
import { api } from './api.js';
import { siteZone } from './prefs.js';

/** 'connecting' | 'open' | 'closed' | 'denied' */
export const conn = signal('connecting');
/** The last status object. */
export const status = signal(/** @type {any} */ (null));
/** When it came, by this machine's clock. */
export const heardAt = signal(0);
export const paused = signal(false);
/** Once a second, for "3 s ago". */
export const now = signal(Date.now());
/** The server's views; null until known. */
export const catalog = signal(/** @type {any[]|null} */ (null));
export const catalogProblem = signal(/** @type {any} */ (null));
/** The first version seen; another one later means the page is old. */
export const updated = signal(false);

/** @type {Map<string, {state: ViewState, version: any}>} */
const views = new Map();
/** @type {any[]} */
let queue = [];
let frame = 0;
let wasOpen = false;
let version = '';
/** @type {(m: any) => void} */
let send = () => {};

/** A view's rows; reading .version.value subscribes a component.
 * @param {string} name @param {string[]} keys */
export function view(name, keys) {
	let v = views.get(name);
	if (v === undefined || v.state.keys.join() !== keys.join()) {
		v = { state: new ViewState(name, keys), version: signal(0) };
		views.set(name, v);
	}
	return v;
}

/** What the page now shows. @param {Record<string, string[]>} wanted */
export function want(wanted) {
	for (const name of [...views.keys()])
		if (!(name in wanted))
			views.delete(name);
	for (const name of Object.keys(wanted))
		view(name, wanted[name]);
	send({ type: 'want', views: wanted });
}

export async function loadCatalog() {
	try {
		catalog.value = (await api('/api/v1/views')).views;
		catalogProblem.value = null;
	} catch (e) {
		catalogProblem.value = e;
	}
}

/** @param {any} m */
function take(m) {
	if (m.type === 'conn') {
		const state = m.state;
		if (state === 'open' && !wasOpen)
			loadCatalog();
		wasOpen = state === 'open';
		conn.value = state;
		return;
	}
	queue.push(m);
	if (frame === 0 && !document.hidden)
		frame = requestAnimationFrame(apply);
}

function apply() {
	const messages = queue;
	const touched = new Set();

	frame = 0;
	queue = [];
	batch(() => {
		for (const m of messages) {
			if (m.type === 'status')
				takeStatus(m);
			else if (views.get(m.view)?.state.apply(m))
				touched.add(m.view);
		}
		for (const name of touched) {
			const v = views.get(name);
			if (v !== undefined)
				v.version.value++;
		}
	});
}

/** @param {any} m */
function takeStatus(m) {
	status.value = m;
	heardAt.value = Date.now();
	siteZone.value = m.time_zone || null;
	if (version === '')
		version = m.version;
	else if (version !== m.version)
		updated.value = true;
}

/** @param {string} url of worker.js @returns {Promise<(m: any) => void>} */
async function connect(url) {
	if (typeof SharedWorker !== 'undefined') {
		try {
			return connectWorker(url);
		} catch { /* Forbidden by a policy: go without. */ }
	}
	const { Hub } = await import('./hub.js');
	const hub = new Hub({ EventSource });
	const tab = hub.attach(take);
	setInterval(() => hub.tick(), 3000);
	return (m) => hub.message(tab, m);
}

/** @param {string} url */
function connectWorker(url) {
	const types = /** @type {any} */ (globalThis).trustedTypes;
	const policy = types ? types.createPolicy('tarn', {
		createScriptURL: (/** @type {string} */ u) => {
			if (new URL(u).origin !== location.origin)
				throw new TypeError('foreign worker');
			return u;
		},
	}) : null;
	const worker = new SharedWorker(policy ? policy.createScriptURL(url) :
		url, { type: 'module', name: 'tarn-live' });
	worker.port.onmessage = (e) => take(e.data);
	worker.port.start();
	return (/** @type {any} */ m) => worker.port.postMessage(m);
}

export async function startLive() {
	send = await connect(new URL('./worker.js', import.meta.url).href);
	send({ type: 'want', views: {} });
	effect(() => send({ type: 'flow', on: !paused.value }));
	document.addEventListener('visibilitychange', () => {
		if (!paused.peek())
			send({ type: 'flow', on: !document.hidden });
	});
	addEventListener('pagehide', () => send({ type: 'bye' }));
	addEventListener('pageshow', (e) => {
		if (e.persisted)
			location.reload();
	});
	setInterval(() => { now.value = Date.now(); }, 1000);
	setInterval(() => send({ type: 'ping' }), 20000);
}

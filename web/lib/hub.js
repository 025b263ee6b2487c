/* One connection to the server for all tabs. Lives in the SharedWorker, or in
 * the page where there is none.
 *
 *   tab -> hub   want {views: {name: [group columns]}} | flow {on} | ping | bye
 *   hub -> tab   conn {state} | snapshot | rows | cut | status
 *
 * The connection carries the union of what the tabs want. It is opened again
 * when a tab wants more; when tabs want less it is left as it is for a while.
 * EventSource reconnects by itself after a lost connection; after an HTTP
 * error it gives up, and after a silent network it waits for ever: both are
 * handled here. */
import { ViewState } from './state.js';

const RETRY_MS = 1500;
const SILENT_MS = 12000;    /* Status comes every second. */
const GONE_MS = 180000;     /* Hidden tabs ping about once a minute. */

/** @typedef {{post: (m: any) => void, views: Record<string, string[]>,
 *    flow: boolean, seen: number}} Tab */

export class Hub {
	/** @param {{EventSource: any, now?: () => number,
	 *    setTimeout?: any, probe?: () => Promise<string>}} env
	 *  probe tells why the server refused: 'denied' or 'closed'. */
	constructor(env) {
		this.env = env;
		this.now = env.now || (() => Date.now());
		this.later = env.setTimeout || ((f, ms) => setTimeout(f, ms));
		/** @type {Set<Tab>} */ this.tabs = new Set();
		/** @type {Map<string, ViewState>} */ this.states = new Map();
		/** @type {any} */ this.source = null;
		/** @type {Set<string>} */ this.carried = new Set();
		this.state = 'connecting';
		this.heard = 0;
		this.planned = false;
		/** @type {any} */ this.status = null;
	}

	/** @param {(m: any) => void} post @returns {Tab} */
	attach(post) {
		const tab = { post, views: {}, flow: true, seen: this.now() };
		this.tabs.add(tab);
		post({ type: 'conn', state: this.state });
		if (this.status !== null)
			post(this.status);
		return tab;
	}

	/** @param {Tab} tab @param {any} m */
	message(tab, m) {
		tab.seen = this.now();
		this.tabs.add(tab);
		if (m.type === 'want') {
			const before = tab.views;
			tab.views = m.views;
			for (const name of Object.keys(m.views))
				this.#learn(tab, name, m.views[name], name in before);
			this.#plan();
		} else if (m.type === 'flow') {
			tab.flow = m.on;
			if (m.on)
				this.#refresh(tab);
		} else if (m.type === 'bye') {
			this.tabs.delete(tab);
			if (this.tabs.size === 0)
				this.close();
		}
	}

	/** Every few seconds, from a timer. */
	tick() {
		const now = this.now();
		for (const tab of this.tabs)
			if (now - tab.seen > GONE_MS)
				this.tabs.delete(tab);
		if (this.tabs.size === 0)
			this.close();
		else if (this.source !== null && now - this.heard > SILENT_MS)
			this.#open();
	}

	close() {
		this.source?.close();
		this.source = null;
		this.carried = new Set();
		this.states.clear();
	}

	/** @param {Tab} tab @param {string} name @param {string[]} keys
	 *  @param {boolean} had */
	#learn(tab, name, keys, had) {
		const state = this.states.get(name);
		if (state === undefined || state.keys.join() !== keys.join()) {
			this.states.set(name, new ViewState(name, keys));
			this.carried.delete(name);
		} else if (!had && state.loaded && tab.flow) {
			tab.post(state.message());
		}
	}

	/** @param {Tab} tab */
	#refresh(tab) {
		for (const name of Object.keys(tab.views)) {
			const s = this.states.get(name);
			if (s?.loaded)
				tab.post(s.message());
		}
		if (this.status !== null)
			tab.post(this.status);
		tab.post({ type: 'conn', state: this.state });
	}

	#wanted() {
		const all = new Set();
		for (const tab of this.tabs)
			for (const name of Object.keys(tab.views))
				all.add(name);
		return all;
	}

	/* Tabs say what they want one after another: wait for all of them. */
	#plan() {
		if (this.planned)
			return;
		this.planned = true;
		this.later(() => {
			this.planned = false;
			const wanted = this.#wanted();
			const missing = [...wanted].some((v) => !this.carried.has(v));
			if (this.tabs.size > 0 && (this.source === null || missing))
				this.#open();
		}, 20);
	}

	#open() {
		const wanted = this.#wanted();
		for (const name of [...this.states.keys()])
			if (!wanted.has(name))
				this.states.delete(name);
		this.source?.close();
		this.carried = wanted;
		this.heard = this.now();
		const query = [...wanted].sort().map((v) =>
			`view=${encodeURIComponent(v)}&`).join('');
		const source = new this.env.EventSource(
			`/api/v1/live?${query}status=1`);
		this.source = source;
		source.onopen = () => {
			if (source === this.source)
				this.#is('open');
		};
		source.onmessage = (/** @type {any} */ e) => {
			if (source === this.source)
				this.#heard(e.data);
		};
		source.onerror = () => {
			if (source === this.source)
				this.#failed(source);
		};
	}

	/** @param {any} source */
	#failed(source) {
		this.heard = this.now();
		this.#is('connecting');
		if (source.readyState !== 2)
			return;                 /* It tries again by itself. */
		this.source = null;
		const probe = this.env.probe || (() => Promise.resolve('closed'));
		probe().then((why) => {
			this.#tell({ type: 'conn', state: why });
			this.later(() => {
				if (this.source === null && this.tabs.size > 0)
					this.#open();
			}, RETRY_MS);
		});
	}

	/** @param {string} state */
	#is(state) {
		this.state = state;
		this.#tell({ type: 'conn', state });
	}

	/** @param {any} m */
	#tell(m) {
		for (const tab of this.tabs)
			tab.post(m);
	}

	/** @param {string} text */
	#heard(text) {
		let m;
		this.heard = this.now();
		try {
			m = JSON.parse(text);
		} catch {
			return;                 /* Not ours; the next one may be. */
		}
		if (this.state !== 'open')
			this.#is('open');
		if (m.type === 'status') {
			this.status = m;
			for (const tab of this.tabs)
				if (tab.flow)
					tab.post(m);
			return;
		}
		if (m.type === 'cut' && m.view === undefined) {
			for (const name of this.states.keys())
				this.#forward(name, { ...m, view: name });
			return;
		}
		this.#forward(m.view, m);
	}

	/** @param {string} name @param {any} m */
	#forward(name, m) {
		const state = this.states.get(name);
		if (state === undefined || !state.apply(m))
			return;
		for (const tab of this.tabs)
			if (tab.flow && name in tab.views)
				tab.post(m);
	}
}

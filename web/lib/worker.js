/* The SharedWorker: one Hub, a port for each tab. */
import { Hub } from './hub.js';

const hub = new Hub({
	EventSource: self.EventSource,
	probe: async () => {
		try {
			const r = await fetch('/api/v1/session');
			const s = await r.json();
			return s.scope === 'none' ? 'denied' : 'closed';
		} catch {
			return 'closed';
		}
	},
});

self.addEventListener('connect', (e) => {
	const port = /** @type {any} */ (e).ports[0];
	const tab = hub.attach((m) => port.postMessage(m));
	port.onmessage = (/** @type {MessageEvent} */ m) =>
		hub.message(tab, m.data);
});
setInterval(() => hub.tick(), 3000);

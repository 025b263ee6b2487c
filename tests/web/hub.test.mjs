/* Goal: all tabs share one connection that carries what they want, and it
 * comes back by itself after every kind of loss. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { Hub } from '../../web/lib/hub.js';

/** An EventSource and a clock that the test owns. */
function world() {
	const w = { sources: [], timers: [], time: 0 };
	class Source {
		constructor(url) {
			this.url = url;
			this.readyState = 0;
			w.sources.push(this);
		}
		close() {
			this.readyState = 2;
			this.closed = true;
		}
		open() {
			this.readyState = 1;
			this.onopen();
		}
		say(o) {
			this.onmessage({ data: JSON.stringify(o) });
		}
		fail(state) {
			this.readyState = state;
			this.onerror();
		}
	}
	w.hub = new Hub({ EventSource: Source, now: () => w.time,
		setTimeout: (f, ms) => w.timers.push({ f, at: w.time + ms }),
		probe: () => Promise.resolve(w.why || 'closed') });
	w.run = (ms) => {
		w.time += ms;
		for (let due = w.timers.filter((t) => t.at <= w.time); due.length > 0;
			due = w.timers.filter((t) => t.at <= w.time)) {
			w.timers = w.timers.filter((t) => t.at > w.time);
			for (const t of due)
				t.f();
		}
	};
	w.tab = () => {
		const got = [];
		const tab = w.hub.attach((m) => got.push(m));
		return { got, say: (m) => w.hub.message(tab, m),
			types: () => got.map((m) => m.type) };
	};
	w.live = () => w.sources.filter((s) => !s.closed);
	return w;
}
const snap = (view) => ({ type: 'snapshot', view, columns: ['k', 'n'], types: ['text', 'bigint'],
	rows: [['a', 1]], provisional: [], lsn: 5, batch_lsn: 5 });

test('tabs that want different views share one connection with the union', () => {
	const w = world();
	const a = w.tab(), b = w.tab();
	a.say({ type: 'want', views: { x: ['k'] } });
	b.say({ type: 'want', views: { y: ['k'], x: ['k'] } });
	w.run(50);
	assert.equal(w.live().length, 1);
	assert.equal(w.live()[0].url, '/api/v1/live?view=x&view=y&status=1');
	w.live()[0].open();
	w.live()[0].say(snap('y'));
	assert.ok(!a.types().includes('snapshot'));
	assert.ok(b.types().includes('snapshot'));
});

test('a tab that comes later gets the state without a new connection', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: { x: ['k'] } });
	w.run(50);
	w.live()[0].open();
	w.live()[0].say(snap('x'));
	w.live()[0].say({ type: 'rows', view: 'x', columns: ['k', 'n'], types: [], rows: [['a', 7]], lsn: 6, batch_lsn: 5 });
	const b = w.tab();
	b.say({ type: 'want', views: { x: ['k'] } });
	w.run(50);
	assert.equal(w.sources.length, 1);
	assert.deepEqual(b.got.find((m) => m.type === 'snapshot').rows, [['a', 7]]);
	assert.deepEqual(b.got.find((m) => m.type === 'snapshot').provisional, [0]);
});

test('a tab that does not flow gets nothing, and a snapshot when it goes on', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: { x: ['k'] } });
	w.run(50);
	w.live()[0].open();
	w.live()[0].say(snap('x'));
	a.say({ type: 'flow', on: false });
	const before = a.got.length;
	w.live()[0].say({ type: 'rows', view: 'x', columns: [], types: [], rows: [['a', 8]], lsn: 9, batch_lsn: 5 });
	w.live()[0].say({ type: 'status', version: '1' });
	assert.equal(a.got.length, before);
	a.say({ type: 'flow', on: true });
	assert.deepEqual(a.got.filter((m) => m.type === 'snapshot').at(-1).rows, [['a', 8]]);
});

test('while EventSource reconnects by itself the tabs are told, once each way', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: {} });
	w.run(50);
	w.live()[0].open();
	w.live()[0].fail(0);
	assert.equal(a.got.at(-1).state, 'connecting');
	w.live()[0].open();
	assert.equal(a.got.at(-1).state, 'open');
	assert.equal(w.sources.length, 1);
});

test('a refused connection is opened again, with the reason told', async () => {
	const w = world();
	w.why = 'denied';
	const a = w.tab();
	a.say({ type: 'want', views: {} });
	w.run(50);
	w.live()[0].fail(2);
	await new Promise((r) => setImmediate(r));
	assert.equal(a.got.at(-1).state, 'denied');
	w.run(2000);
	assert.equal(w.sources.length, 2);
});

test('a connection that went silent is opened anew', () => {
	const w = world();
	w.tab().say({ type: 'want', views: {} });
	w.run(50);
	w.live()[0].open();
	w.time += 60000;
	w.hub.tick();
	assert.equal(w.sources.length, 2);
	assert.equal(w.live().length, 1);
});

test('messages of a replaced connection and broken ones are left out', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: { x: ['k'] } });
	w.run(50);
	const old = w.live()[0];
	a.say({ type: 'want', views: { x: ['k'], y: ['k'] } });
	w.run(50);
	old.say(snap('x'));
	w.live()[0].onmessage({ data: '{"type":' });
	w.live()[0].say(snap('unknown'));
	assert.ok(!a.types().includes('snapshot'));
});

test('a cut without a view goes to every view', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: { x: ['k'], y: ['k'] } });
	w.run(50);
	w.live()[0].say(snap('x'));
	w.live()[0].say(snap('y'));
	w.live()[0].say({ type: 'cut', batch_lsn: 6 });
	assert.deepEqual(a.got.filter((m) => m.type === 'cut').map((m) => m.view), ['x', 'y']);
});

test('the last tab closes the connection; silent tabs are forgotten', () => {
	const w = world();
	const a = w.tab();
	a.say({ type: 'want', views: {} });
	w.run(50);
	a.say({ type: 'bye' });
	assert.equal(w.live().length, 0);
	const b = w.tab();
	b.say({ type: 'want', views: {} });
	w.run(50);
	assert.equal(w.live().length, 1);
	w.time += 200000;
	w.hub.tick();
	assert.equal(w.live().length, 0);
});

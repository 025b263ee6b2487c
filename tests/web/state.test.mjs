/* Goal: a view held by the page equals what the server would answer, whatever
 * the order of snapshots, patches and cuts. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { ViewState } from '../../web/lib/state.js';

const snapshot = (rows, provisional, lsn, batch) => ({ type: 'snapshot', view: 'v',
	columns: ['room', 'hour', 'n'], types: ['text', 'timestamptz', 'bigint'],
	rows, provisional, lsn, batch_lsn: batch });
const make = () => new ViewState('v', ['room', 'hour']);
const all = (s) => [...s.rows.values()].map((e) => [...e.row, e.prov !== 0]);

test('a patch replaces whole rows by group key and adds new ones', () => {
	const s = make();
	s.apply(snapshot([['a', 't1', 1], ['b', 't1', 2]], [], 10, 10));
	s.apply({ type: 'rows', view: 'v', rows: [['b', 't1', 5], ['a', 't2', 1]], lsn: 12, batch_lsn: 10 });
	assert.deepEqual(all(s), [['a', 't1', 1, false], ['b', 't1', 5, true], ['a', 't2', 1, true]]);
});

test('a patch older than the snapshot is not applied', () => {
	const s = make();
	s.apply(snapshot([['a', 't1', 9]], [0], 20, 10));
	assert.equal(s.apply({ type: 'rows', view: 'v', rows: [['a', 't1', 5]], lsn: 15, batch_lsn: 10 }), false);
	assert.deepEqual(all(s), [['a', 't1', 9, true]]);
});

test('a cut makes final what it covers and leaves later changes provisional', () => {
	const s = make();
	s.apply(snapshot([['a', 't1', 1], ['b', 't1', 2]], [0, 1], 20, 10));
	s.apply({ type: 'rows', view: 'v', rows: [['b', 't1', 3]], lsn: 25, batch_lsn: 10 });
	s.apply({ type: 'cut', view: 'v', batch_lsn: 22 });
	assert.deepEqual(all(s), [['a', 't1', 1, false], ['b', 't1', 3, true]]);
	s.apply({ type: 'cut', view: 'v', batch_lsn: 25 });
	assert.deepEqual(all(s)[1], ['b', 't1', 3, false]);
});

test('a patch that carries a newer cut settles the rows before it', () => {
	const s = make();
	s.apply(snapshot([['a', 't1', 1]], [0], 20, 10));
	s.apply({ type: 'rows', view: 'v', rows: [['b', 't1', 3]], lsn: 31, batch_lsn: 30 });
	assert.deepEqual(all(s), [['a', 't1', 1, false], ['b', 't1', 3, true]]);
});

test('patches before the first snapshot are left out', () => {
	const s = make();
	assert.equal(s.apply({ type: 'rows', view: 'v', rows: [['a', 't', 1]], lsn: 3, batch_lsn: 0 }), false);
	assert.equal(s.rows.size, 0);
});

test('keys with separators in them stay apart, null is a key', () => {
	const s = make();
	s.apply(snapshot([['a","b', null, 1], ['a', '"b', 2], [null, null, 3]], [], 1, 1));
	assert.equal(s.rows.size, 3);
});

test('a view without GROUP BY has one row', () => {
	const s = new ViewState('v', []);
	s.apply(snapshot([['x', 't', 1]], [], 1, 1));
	s.apply({ type: 'rows', view: 'v', rows: [['y', 't', 2]], lsn: 2, batch_lsn: 1 });
	assert.deepEqual(all(s), [['y', 't', 2, true]]);
});

test('what a tab gets that joins later is the same state (random histories)', () => {
	let seed = Number(process.env.TARN_SEED || 42);
	console.log(`TARN_SEED=${seed}`);
	const random = (n) => {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		return seed % n;
	};
	for (let round = 0; round < 200; round++) {
		const a = make();
		let lsn = 10, cut = 10;
		a.apply(snapshot([], [], lsn, cut));
		for (let i = 0; i < 30; i++) {
			if (random(5) === 0) {
				cut = lsn;
				a.apply({ type: 'cut', view: 'v', batch_lsn: cut });
			} else {
				lsn += 1 + random(3);
				a.apply({ type: 'rows', view: 'v', lsn, batch_lsn: cut,
					rows: [[`r${random(4)}`, `t${random(3)}`, random(100)]] });
			}
		}
		const b = make();
		b.apply(a.message());
		assert.deepEqual(all(b), all(a));
		a.cut(lsn);
		assert.ok(all(a).every((r) => r[3] === false));
	}
});

// Live readers and patches of many rows: a reader that keeps up is told of all
// of them, whatever they weigh; one that reads nothing is let go; and nobody
// else waits meanwhile.
import test from 'node:test';
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Tarn, until } from './lib.mjs';

const N = 200_000;          // 3.4 MB of rows; a reader may be 1 MiB behind.
const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET live_interval = '500 ms';
CREATE TABLE ev (k int8 NOT NULL, v int8 NOT NULL);
CREATE MATERIALIZED VIEW latest AS SELECT k, count(*) AS n, sum(v) AS s FROM ev GROUP BY k;`;
const rows = (v) => Array.from({ length: N }, (_, k) => `{"k":${k},"v":${v}}`).join('\n');

/** A reader of the view's events; closed when the stream ends. */
async function listen(t, query = '') {
  const ctl = new AbortController();
  const res = await t.fetch(`/api/v1/views/latest/live${query}`, { signal: ctl.signal });
  const l = { events: [], closed: false, stop: () => ctl.abort() };
  (async () => {
    let rest = '';
    try {
      for await (const chunk of res.body) {
        const parts = (rest + Buffer.from(chunk).toString()).split('\n\n');
        rest = parts.pop();
        for (const p of parts) if (p.startsWith('data: ')) l.events.push(JSON.parse(p.slice(6)));
      }
    } catch { /* aborted, or let go */ }
    l.closed = true;
  })();
  await until(() => l.events.length > 0);
  return l;
}

test('a patch that is larger than a reader may be behind reaches those who read', { timeout: 300e3 }, async () => {
  const t = new Tarn({ sql });
  await t.start();
  await t.post('ev', rows(1));
  const all = await listen(t), one = await listen(t, '?k=77'), none = await listen(t, '?k=-1');
  assert.equal(one.events[0].rows.length, 1);
  // Asks, and then reads nothing any more.
  const deaf = connect(t.port, '127.0.0.1');
  deaf.on('error', () => {});
  deaf.write(`GET /api/v1/views/latest/live HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await new Promise((r) => deaf.once('data', r));
  deaf.pause();
  const of = (l) => l.events.filter((e) => e.type === 'rows');
  // What a reader knows: the newest row of each key.
  const known = (l) => new Map(of(l).flatMap((e) => e.rows.map((r) => [r[0], r])));
  for (let round = 2; round <= 6; round++) {
    const want = JSON.stringify([round, String(round * (round + 1) / 2)]);
    const has = (l, n) => { const k = known(l); return k.size === n && [...k.values()].every((r) => JSON.stringify([r[1], String(r[2])]) === want); };
    await t.post('ev', rows(round));
    await until(() => of(all).length >= round - 1 && has(all, N) && has(one, 1), 10000, 200);
  }
  assert.ok([...known(one).keys()][0] === 77);
  assert.ok(of(all).some((e) => JSON.stringify(e).length > 1 << 20), 'one of them is large');
  assert.equal(of(none).length, 0);
  assert.ok(!all.closed && !one.closed && !none.closed);
  await until(() => /a live reader at 127\.0\.0\.1 was too slow/.test(t.err));
  assert.equal(t.err.match(/was too slow/g).length, 1);
  for (const l of [all, one, none]) l.stop();
  deaf.destroy();
  await t.stop();
});

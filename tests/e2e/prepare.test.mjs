// Changed tables in a running tarn: silver of the new definition is made beside
// the old while events come in, then the server restarts itself in place and
// takes it; a kill at any step, cancel, pause, an erasure in between and going
// back leave one definition or the other, with every row once. SOAK=1: kills at
// every step.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, rng, until } from './lib.mjs';

const head = (more = '', set = '') => `ALTER SYSTEM SET cut_interval = '1 hour';${set}
CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, n int NOT NULL, note text${more})
  WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE MATERIALIZED VIEW daily AS SELECT date_trunc('day', ts) AS day, count(*) AS visits, sum(n) AS total FROM badge GROUP BY day;`;
const twice = ', twice int GENERATED ALWAYS AS (n * 2) STORED';
const slow = "ALTER SYSTEM SET prepare_rate = '1 MiB';";
const stay = 'ALTER SYSTEM SET apply_restart = 0;';
const config = (t, sql) => writeFileSync(join(t.config, 'pipeline.sql'), sql);
let next = 0;
const rows = (r, count, wide = false) => Array.from({ length: count }, () => ({ event_id: `e${next++}`, ts: new Date(Date.UTC(2026, 2, 1) + r.below(240) * 3600e3).toISOString(),
  office: r.pick(['berlin', 'paris', 'oslo']), n: r.below(100), note: wide ? Array.from({ length: 16 }, () => r.below(2 ** 31).toString(36)).join('') : 'x' }));
const body = (list) => list.map((x) => JSON.stringify(x)).join('\n') + '\n';
const apply = (t, on) => command(['apply', '--url', t.url], { on });
const runs = async (t, kind) => (await t.ok('GET', '/api/v1/runs')).runs.filter((x) => x.kind === kind);
const silver = (t) => readdirSync(join(t.data, 'lake/silver/badge'), { recursive: true }).filter((x) => x.endsWith('.parquet')).length;

/** Every row once, in the present shape; and what bronze's raw bytes say. */
async function check(t, sent, { isNew = true, label = '' } = {}) {
  const [x] = await t.sql(`SELECT count(*) AS c, sum(n) AS s${isNew ? ', sum(twice) AS t' : ''} FROM badge`);
  const s = sent.reduce((a, y) => a + y.n, 0);
  assert.deepEqual([x.c, x.s], [sent.length, s], label);
  if (isNew) assert.equal(x.t, 2 * s, label);
  assert.equal((await t.view('daily')).reduce((a, y) => a + y.visits, 0), sent.length, label);
  const v = await t.verify();
  assert.equal(v.equal, true, label + v.text);
}

async function begun(r, o = {}) {
  const t = await new Tarn({ sql: head('', o.set), ...o }).start();
  const sent = rows(r, o.count ?? 450, o.count !== undefined);
  const part = Math.ceil(sent.length / 3);
  for (let i = 0; i < 3; i++) {
    await t.post('badge', body(sent.slice(i * part, (i + 1) * part)));
    if (i < 2) await t.cut();
  }
  return { t, sent };
}

test('silver is prepared under writers and readers, the server restarts in place, nobody is refused', async () => {
  console.log(`seed ${baseSeed}`);
  const r = rng(baseSeed);
  const { t, sent } = await begun(r);
  config(t, head(twice));
  const p = await command(['plan', '--url', t.url]);
  assert.match(p.out, /badge: column twice integer is new\n\s+reads 300 rows of bronze.*\n.*\n\s+tarn apply makes it before.*about \d+ s/);
  let stop = false, asked = 0;
  const refused = [];
  const again = async (what) => {
    for (;;) {
      try { return await what(); } catch (e) {
        const code = e.cause?.code ?? e.message;
        if (/REFUSED/.test(code)) { refused.push(code); return null; }
        if (stop && !/RESET|closed|socket|terminated|503/.test(`${code} ${e.cause?.message}`)) throw e;
      }
    }
  };
  const reader = (async () => { while (!stop) { await again(() => t.fetch('/livez', { headers: { connection: 'close' } })); asked++; } })();
  const writer = (async () => {
    while (!stop) { const list = rows(r, 20); await again(() => t.post('badge', body(list), { headers: { connection: 'close' } })); sent.push(...list); }
  })();
  const cutter = (async () => { for (let i = 0; i < 5; i++) await t.cut().catch(() => null); })();
  const pid = t.child.pid;
  const a = await apply(t);
  assert.equal(a.code, 0, a.out + a.err);
  assert.match(a.out, /badge: silver prepared: \d+ rows of silver in \d+ files for version 2/);
  assert.match(a.out, /the server restarts itself/);
  assert.match(a.err, /serves again after \d+ ms/);
  const before = asked;
  await until(() => asked > before + 5);
  stop = true;
  await Promise.all([reader, writer, cutter]);
  assert.deepEqual(refused, []);
  assert.equal(t.exit, null);
  assert.equal(t.child.pid, pid);
  await check(t, sent);
  assert.equal((await runs(t, 'prepare'))[0].state, 'done');
  const made = (await runs(t, 'recompute')).find((x) => x.object === 'badge');
  const adopted = Number(/; (\d+) of them were prepared/.exec(made.detail)[1]);
  assert.ok(adopted >= 300, made.detail);
  assert.equal((await command(['plan', '--url', t.url])).code, 0);
  await t.stop();
});

const soak = process.env.SOAK === '1';
const points = ['prepare_written', 'prepare_noted', 'again_exec', 'adopt_before', 'prepare_forgotten', ...(soak ? ['prepare_begun', 'prepare_ended', 'adopt_after'] : [])];
test('a kill at any step: the next start has every row once, with either definition', async () => {
  const r = rng(baseSeed + 1);
  for (const point of points) {
    const { t, sent } = await begun(r, { env: { TARN_CRASH: point }, set: point === 'prepare_forgotten' ? stay : '' });
    config(t, head(twice));
    await t.call('POST', '/api/v1/apply').catch(() => null);
    if (point === 'prepare_forgotten') {
      config(t, head('', stay));
      await t.call('POST', '/api/v1/apply').catch(() => null);
    }
    assert.equal((await t.ended).signal, 'SIGKILL', point);
    t.o.env = {};
    const back = r.chance(0.3);
    config(t, back ? head() : head(twice));
    await t.start();
    await check(t, sent, { isNew: !back, label: point });
    await t.stop();
  }
});

test('pause, resume, an erasure and a cancel in the middle; going back', async () => {
  const r = rng(baseSeed + 2);
  const { t, sent: all } = await begun(r, { set: slow, count: 24000 });
  let sent = all;
  await t.cut();
  const files = silver(t);
  config(t, head(twice, slow));
  const under = async () => (await runs(t, 'prepare')).find((x) => x.state === 'running' && x.rows_read > 0);
  // Canceled: nothing of it is left.
  let a = apply(t), run = await until(under);
  await t.sql(`CALL cancel(${run.id})`);
  let done = await a;
  assert.notEqual(done.code, 0);
  assert.match(done.err, /canceled/);
  assert.equal(silver(t), files);
  // Paused, events and an erasure meanwhile, which does not wait; then it goes on.
  let told = '';
  a = apply(t, (d) => { told += d; });
  run = await until(under);
  await t.sql(`CALL pause(${run.id})`);
  assert.equal((await command(['plan', '--url', t.url])).code, 2);
  const more = rows(r, 50);
  await t.post('badge', body(more));
  await t.cut();
  await t.sql("DELETE FROM badge WHERE office = 'oslo'");
  sent = [...sent, ...more].filter((x) => x.office !== 'oslo');
  assert.match((await apply(t)).err, /another apply prepares changed tables/);
  // The folder is another one at the end: the server goes on as it was.
  config(t, head(`${twice}, more int`, slow));
  await until(() => /badge: \d+ of \d+ rows of bronze read/.test(told));
  await t.sql(`CALL resume(${run.id})`);
  done = await a;
  assert.notEqual(done.code, 0);
  assert.match(done.err, /no longer what silver was prepared for/);
  await check(t, sent, { isNew: false });
  config(t, head(twice, slow));
  done = await apply(t);
  assert.equal(done.code, 0, done.err);
  await check(t, sent);
  // Prepared, and then not wanted.
  config(t, head('', stay));
  await t.restart();
  const was = silver(t);
  config(t, head(twice));
  done = await apply(t);
  assert.match(done.out, /settings .* are others, too: restart Tarn to take it/);
  assert.ok(silver(t) > was);
  config(t, head('', stay));
  done = await apply(t);
  assert.match(done.out, /nothing to do/);
  assert.equal(silver(t), was);
  await check(t, sent, { isNew: false });
  await t.stop();
});

// tarn plan and tarn apply against a real tarn: what changed is said, changed
// views are built beside the old ones and swapped under readers and writers
// without an error or a mixture, and a kill at any step leaves the old or the
// new definition. Changed CHECKs try quarantined rows again, each once.
// SOAK=1: more kills.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, rng, until } from './lib.mjs';

const soak = process.env.SOAK === '1';
const head = (check = 'n < 100') => `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET holistic_state_bytes = '4 KiB';
CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, person text NOT NULL,
  n int NOT NULL CHECK (${check})) WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE TABLE offices (office text PRIMARY KEY, city text) WITH (kind = 'reference');`;
const hourly = (more = '') => `CREATE MATERIALIZED VIEW hourly AS SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits${more}
  FROM badge GROUP BY office, hour;`;
const total = `CREATE MATERIALIZED VIEW total AS SELECT count(*) AS visits FROM badge;`;
const cities = `CREATE MATERIALIZED VIEW cities AS SELECT o.city, count(*) AS visits, count(DISTINCT b.person) AS people
  FROM badge b LEFT JOIN offices o ON o.office = b.office GROUP BY o.city;`;
const before = () => head() + hourly() + total;
const after = () => head() + hourly(', sum(n) AS total, count(DISTINCT person) AS people') + cities;

const base = Date.UTC(2026, 2, 1);
let next = 0;
function rows(r, count, { bad = 0 } = {}) {
  return Array.from({ length: count }, () => ({ event_id: `e${next++}`, ts: new Date(base + r.below(72) * 1800e3).toISOString(),
    office: r.pick(['berlin', 'paris', 'oslo']), person: `p${r.below(40)}`, n: r.chance(bad) ? 100 + r.below(100) : r.below(100) }));
}
const post = (t, list) => t.post('badge', list.map((x) => JSON.stringify(x)).join('\n') + '\n');
const config = (t, sql) => writeFileSync(join(t.config, 'pipeline.sql'), sql);
const plan = (t, ...more) => command(['plan', '--url', t.url, ...more]);
const sum = (v, name = 'visits') => v.rows.reduce((s, row) => s + row[v.columns.indexOf(name)], 0);

async function begun(r, sql, o = {}) {
  const t = await new Tarn({ sql, ...o }).start();
  await t.post('offices', '{"office":"berlin","city":"B"}\n{"office":"paris","city":"P"}\n');
  const sent = rows(r, 300);
  await post(t, sent.slice(0, 200));
  await t.cut();
  await post(t, sent.slice(200));
  return { t, sent };
}

test('plan says what changed; apply swaps views under readers and writers', async () => {
  console.log(`seed ${baseSeed}`);
  const r = rng(baseSeed);
  const { t, sent } = await begun(r, before());
  let p = await plan(t);
  assert.equal(p.code, 0, p.out + p.err);
  assert.match(p.out, /nothing to do/);
  config(t, after());
  p = await plan(t);
  assert.equal(p.code, 2, p.out + p.err);
  assert.match(p.out, /^~ view\s+hourly: its SELECT\n\s+reads 200 rows of silver/m);
  assert.match(p.out, /^\+ view\s+cities/m);
  assert.match(p.out, /^- view\s+total/m);
  assert.match(p.out, /3 changes, 3 unchanged; tarn apply/);
  // The same of texts that the server has not.
  p = await command(['plan', '--url', t.url, '--config', t.config]);
  assert.equal(p.code, 2);
  // Readers and a writer go on meanwhile.
  let stop = false, last = 0, swapped = false, oldSeen = 0, newSeen = 0, taken = sent.length;
  const reader = (async () => {
    while (!stop) {
      const v = await t.ok('GET', '/api/v1/views/hourly');
      const is = v.columns.join();
      const isNew = is === 'office,hour,visits,total,people';
      assert.ok(isNew || is === 'office,hour,visits', is);
      assert.ok(isNew || !swapped, 'the old definition after the new one');
      swapped = isNew;
      isNew ? newSeen++ : oldSeen++;
      const n = sum(v);
      assert.ok(n >= last, `${n} visits after ${last}`);
      last = n;
    }
  })();
  const asker = (async () => {
    while (!stop) {
      const a = await t.call('POST', '/api/v1/sql', 'SELECT * FROM hourly', { 'content-type': 'application/sql' });
      assert.ok(a.status === 200 || a.body.type?.includes('view_changed') || /just changed/.test(a.body.detail), JSON.stringify(a.body));
    }
  })();
  const writer = (async () => {
    while (!stop) { const list = rows(r, 20); sent.push(...list); await post(t, list); taken += 20; }
  })();
  const cutter = (async () => { while (!stop) await t.cut(); })();
  const live = [];
  const ctl = new AbortController();
  const listener = (async () => {
    const res = await t.fetch('/api/v1/views/hourly/live', { signal: ctl.signal });
    try { for await (const chunk of res.body) live.push(Buffer.from(chunk).toString()); } catch { /* aborted */ }
  })();
  await until(() => oldSeen > 3 && live.length > 0);
  const a = await command(['apply', '--url', t.url]);
  assert.equal(a.code, 0, a.out + a.err);
  assert.match(a.out, /hourly: \d+ groups equal those of \d+ raw rows/);
  assert.match(a.out, /cities: new, version 1/);
  await until(() => newSeen > 3 && live.some((x) => x.includes('"people"')));
  stop = true;
  await Promise.all([reader, asker, writer, cutter]);
  ctl.abort();
  await listener;
  const check = async () => {
    const v = await t.view('hourly');
    assert.equal(v.reduce((s, x) => s + x.visits, 0), taken);
    assert.equal(v.reduce((s, x) => s + x.total, 0), sent.reduce((s, x) => s + x.n, 0));
    for (const x of v.slice(0, 5)) {
      const mine = sent.filter((e) => e.office === x.office && Math.floor(Date.parse(e.ts) / 3600e3) === Date.parse(x.hour) / 3600e3);
      assert.deepEqual([x.visits, x.people], [mine.length, new Set(mine.map((e) => e.person)).size]);
    }
    const c = await t.view('cities');
    assert.deepEqual(Object.fromEntries(c.map((x) => [x.city, x.visits])), Object.fromEntries([['B', 'berlin'], ['P', 'paris'], [null, 'oslo']].map(([k, o]) => [k, sent.filter((e) => e.office === o).length])));
    assert.equal((await t.call('GET', '/api/v1/views/total')).status, 404);
    assert.deepEqual((await t.ok('GET', '/api/v1/views')).views.map((x) => x.name).sort(), ['cities', 'hourly']);
  };
  await check();
  assert.equal((await t.sql('SELECT sum(total) AS s FROM hourly'))[0].s, sent.reduce((s, x) => s + x.n, 0));
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  await check();
  assert.equal((await plan(t)).code, 0);
  // The start has nothing left to do.
  const runs = (await t.ok('GET', '/api/v1/runs')).runs.length;
  await t.restart();
  await check();
  const later = (await t.ok('GET', '/api/v1/runs')).runs;
  assert.ok(!later.slice(0, later.length - runs).some((x) => x.reason === 'definition'), JSON.stringify(later.slice(0, 3)));
  // What cannot be: said, with its place, and nothing is changed.
  config(t, after() + 'CREATE MATERIALIZED VIEW x AS SELECT nothing FROM badge;');
  p = await plan(t);
  assert.equal(p.code, 1);
  assert.match(p.err, /pipeline\.sql:\d+:\d+: /);
  p = await command(['plan', '--config', t.config, '--data', t.data + '-none']);
  assert.equal(p.code, 1);
  assert.match(p.err, /pipeline\.sql:\d+:\d+: /);
  // A table: its silver is prepared, then the server restarts itself (prepare.test.mjs).
  config(t, head('n < 150') + hourly());
  p = await command(['apply', '--url', t.url]);
  assert.equal(p.code, 0, p.out + p.err);
  assert.match(p.out, /badge: silver prepared: .*the server restarts itself/s);
  assert.equal((await t.view('hourly')).reduce((n, x) => n + x.visits, 0), taken);
  await t.stop();
});

test('no command waits for ever for a server that hangs', async () => {
  const t = await new Tarn({ sql: before() }).start();
  config(t, after());
  for (const wait of ['0', 'x', '-1']) assert.equal((await command(['apply', '--url', t.url, '--wait', wait])).code, 2, wait);
  const takes = await command(['plan', '--url', t.url, '--wait', '5']);
  assert.equal(takes.code, 2, takes.err);                            // It has changes, ...
  assert.equal(takes.err, '');                                       // ... and is no mistake.
  assert.match((await command(['check', t.config, '--wait', '5'])).err, /check takes no --wait/);
  t.child.kill('SIGSTOP');
  const asks = [['plan'], ['verify'], ['cut'], ['recompute', 'hourly'], ['backup', '/tmp/x'], ['sql', 'SELECT * FROM hourly'],
    ['token', 'list'], ['health'], ['load', 'events', join(t.config, 'pipeline.sql'), 'format=ndjson']];
  const all = await Promise.all(asks.map((words) => command([...words, '--url', t.url, '--wait', '2'])));
  asks.forEach((words, i) => {
    assert.equal(all[i].code, 4, `${words}: ${all[i].err}`);
    assert.match(all[i].err, /no word from http:\/\/127\.0\.0\.1:\d+ for 2 s, it hangs\n {2}hint: it may still do it/, `${words}`);
  });
  const hung = await command(['apply', '--url', t.url, '--wait', '2']);
  t.child.kill('SIGCONT');
  assert.equal(hung.code, 4, hung.err);
  assert.match(hung.err, /no word from http:\/\/127\.0\.0\.1:\d+ for 2 s, it hangs\n {2}hint: it may still do it: tarn plan/);
  // It goes on: what was asked for was heard, or is not done and can be asked for again.
  const again = await command(['apply', '--url', t.url]);
  assert.equal(again.code, 0, again.err);
  assert.equal((await plan(t)).code, 0);
  await t.stop();
});

test('apply takes no text', async () => {
  const { t } = await begun(rng(baseSeed + 3), before());
  const a = await t.call('POST', '/api/v1/apply', JSON.stringify({ files: [{ name: 'x.sql', text: after() }] }));
  assert.equal(a.status, 400, JSON.stringify(a.body));
  assert.match(a.body.detail, /takes no text/);
  await t.stop();
});

const points = ['apply_checked', 'apply_caught_up', 'apply_named', 'apply_written', 'publish_before',
  'publish_after', 'apply_swapped'];
test('a kill at any step of apply: old or new, never a mixture', async () => {
  const r = rng(baseSeed + 1);
  for (const point of soak ? [...points, ...points] : points) {
    // The cut of the beginning publishes, too.
    const { t, sent } = await begun(r, before(), { env: { TARN_CRASH: point.startsWith('publish') ? `${point}:2` : point } });
    config(t, after());
    await t.call('POST', '/api/v1/apply').catch(() => null);
    assert.equal((await t.ended).signal, 'SIGKILL', point);
    t.o.env = {};
    // By turns the old text again, and the new one.
    const back = r.chance(0.3);
    config(t, back ? before() : after());
    await t.start();
    const v = await t.view('hourly');
    assert.equal(v.reduce((s, x) => s + x.visits, 0), sent.length, point);
    assert.equal('total' in v[0], !back, point);
    const p = await plan(t);
    assert.equal(p.code, 0, point + p.out);
    const w = await t.verify();
    assert.equal(w.equal, true, point + w.text);
    await t.stop();
  }
});

test('a changed CHECK tries quarantined rows again, each once, over kills', async () => {
  const r = rng(baseSeed + 2);
  const t = await new Tarn({ sql: before() }).start();
  const sent = rows(r, 300, { bad: 0.3 });
  await post(t, sent.slice(0, 150));
  await t.cut();
  await post(t, sent.slice(150));
  // One that its sender mended meanwhile; a broken one; one from the future.
  const mended = sent.find((x) => x.n >= 100 && x.n < 150);
  await post(t, [{ ...mended, n: 7 }]);
  await post(t, [{ event_id: 'broken', ts: 'never', office: 'oslo', person: 'p', n: 1 }, { event_id: 'future', ts: '2200-01-01T00:00:00Z', office: 'oslo', person: 'p', n: 1 }]);
  const taken = (limit) => sent.filter((x) => x.n < limit && x !== mended);
  const look = async (limit) => {
    const v = await t.view('hourly');
    assert.equal(v.reduce((s, x) => s + x.visits, 0), taken(limit).length + 1, `below ${limit}`);
    const list = await t.sql('SELECT event_id, n FROM badge');
    assert.deepEqual(list.map((x) => x.event_id).sort(), [...taken(limit).map((x) => x.event_id), mended.event_id].sort());
    // Listed is what waits: not rows that a rule of later took.
    const bad = (await t.ok('GET', '/api/v1/quarantine/badge?limit=1000')).rows.map((x) => JSON.parse(x.raw).event_id);
    assert.deepEqual(bad.sort(), [...sent.filter((x) => x.n >= limit).map((x) => x.event_id), 'broken', 'future'].sort());
    const w = await t.verify();
    assert.equal(w.equal, true, w.text);
    return w.text;
  };
  await look(100);
  config(t, head('n < 150') + hourly() + total);
  const p = await plan(t);
  assert.equal(p.code, 2);
  assert.match(p.out, /^~ stream\s+badge: badge_n_check: CHECK \(n < 100\) becomes \(n < 150\)/m);
  assert.match(p.out, new RegExp(`${sent.filter((x) => x.n >= 100).length + 1} quarantined rows are tried again`));
  assert.match(p.out, /restart to make them/);
  // A kill behind the first commit, then the rest.
  await t.stop();
  const offline = await command(['plan', '--config', t.config, '--data', t.data]);
  assert.equal(offline.code, 2, offline.err);
  assert.equal(offline.out, p.out);
  t.o.env = { TARN_CRASH: 'again_committed' };
  await t.start().catch(() => null);
  assert.equal(t.exit.signal, 'SIGKILL');
  t.o.env = {};
  await t.start();
  const text = await look(150);
  // Where they come from is said, and where they were is kept.
  assert.match(text, /badge: bronze \d+ = silver \d+ \+ quarantined \d+ \+ duplicates 1/);
  assert.equal((await plan(t)).code, 0);
  // New rows are checked by the new rule.
  const more = rows(r, 1)[0];
  assert.equal((await post(t, [{ ...more, event_id: 'x1', n: 149 }])).accepted, 1);
  assert.equal((await post(t, [{ ...more, event_id: 'x2', n: 150 }])).quarantined, 1);
  sent.push({ event_id: 'x1', n: 149 }, { event_id: 'x2', n: 150 });
  // A wider one: only those that were not taken yet. A narrower one: what was
  // accepted stays.
  config(t, head('n < 180') + hourly() + total);
  await t.restart();
  await look(180);
  config(t, head('n < 50') + hourly() + total);
  await t.restart();
  await look(180);
  config(t, head('n < 1000') + hourly() + total);
  await t.restart();
  await look(1000);
  assert.equal((await plan(t)).code, 0);
  await t.stop();
});

test('events of a table that was removed before a cut refuse the start by its name', async () => {
  const badge = "CREATE TABLE badge (id text, ts timestamptz NOT NULL) WITH (event_time = 'ts');";
  const other = "ALTER SYSTEM SET cut_interval = '1 hour'; CREATE TABLE other (id text, ts timestamptz NOT NULL) WITH (event_time = 'ts');";
  const t = await new Tarn({ sql: other + badge }).start();
  assert.equal((await t.post('badge', '{"id":"1","ts":"2026-03-01T00:00:00Z"}')).accepted, 1);
  await t.kill();
  config(t, other);
  await t.start().catch(() => null);
  assert.notEqual(t.exit?.code ?? 0, 0);
  assert.match(t.err + t.out, /the log holds events of the table "badge", which the configuration does not define any more/);
  assert.match(t.err + t.out, /put its CREATE TABLE back/);
  // As it says.
  config(t, other + badge);
  await t.start();
  await t.cut();
  config(t, other);
  await t.restart();
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('plan does not count what was accepted and only did not fit a definition in between', async () => {
  const text = (type, more = '') => `ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE m (n ${type} NOT NULL CHECK (n < 5000000000), ts timestamptz NOT NULL${more}) WITH (event_time = 'ts');`;
  const t = await new Tarn({ sql: text('bigint') }).start();
  const row = (n) => `{"n":${n},"ts":"2026-03-01T00:00:00Z"}`;
  assert.deepEqual((({ accepted, quarantined }) => [accepted, quarantined])(await t.post('m', [1, 3e9, 4e9, 6e9].map(row).join('\n'))), [3, 1]);
  await t.kill();
  config(t, text('int'));          // Two of the three do not fit it.
  await t.start();
  await t.cut();
  assert.deepEqual(await t.sql('SELECT n FROM m'), [{ n: 1 }]);
  config(t, text('bigint', ', note text'));
  const p = await plan(t);
  assert.equal(p.code, 2, p.err);
  assert.match(p.out, /\b1 quarantined rows are tried again/);
  await t.restart();
  assert.deepEqual((await t.sql('SELECT n FROM m')).map((x) => x.n).sort(), [1, 3e9, 4e9]);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('other options are told, wait for a start, and keep no other change waiting', async () => {
  const shown = (title, retention, more = '') => `${head().replace("max_future_skew = '40000 days'", `max_future_skew = '40000 days', retention = '${retention}'`)}
    CREATE MATERIALIZED VIEW total WITH (title = '${title}', unit = 'doors') AS SELECT count(*) AS visits FROM badge;${hourly(more)}`;
  const r = rng(baseSeed + 7), { t } = await begun(r, shown('Visits', '30000 days'));
  assert.equal((await plan(t)).code, 0);
  config(t, shown('Entries', '20000 days'));
  let p = await plan(t);
  assert.equal(p.code, 2, p.out + p.err);
  assert.match(p.out, /^~ stream\s+badge: bronze_retention: 30000 days becomes 20000 days; retention: 30000 days becomes 20000 days\n\s+at the next start of tarn run: other options/m);
  assert.match(p.out, /^~ view\s+total: title: Visits becomes Entries\n\s+at the next start/m);
  assert.match(p.out, /2 changes, \d+ unchanged; restart to make them/);
  assert.doesNotMatch(p.out, /reads \d+ rows/);
  // Nothing else: apply has nothing to do now, and says what waits.
  p = await command(['apply', '--url', t.url]);
  assert.equal(p.code, 0, p.err);
  assert.match(p.out, /total: title: Visits becomes Entries: waits for the next start/);
  // Another change beside them is made.
  config(t, shown('Entries', '20000 days', ', sum(n) AS total'));
  p = await plan(t);
  assert.match(p.out, /tarn apply makes them while it runs, but for options/);
  p = await command(['apply', '--url', t.url]);
  assert.equal(p.code, 0, p.err);
  assert.match(p.out, /hourly: changed/);
  assert.ok((await t.ok('GET', '/api/v1/views/hourly?format=json')).columns.includes('total'));
  p = await plan(t);
  assert.match(p.out, /2 changes/);
  await t.restart();
  p = await plan(t);
  assert.equal(p.code, 0, p.out);
  await t.stop();
});

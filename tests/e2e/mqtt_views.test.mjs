// Views that publish, over restarts of the real binary: who was away hears what
// has changed and what has gone, and nothing twice; and no view holds the loop.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, command, rng, until } from './lib.mjs';
import { Sub, clientOf, pub, pubOk } from './mqtt_lib.mjs';

const sql = (pattern = 'views/a/{office}') => `
CREATE TABLE doors (office text NOT NULL, n integer) WITH (mqtt = 'office/{office}');
CREATE MATERIALIZED VIEW calm WITH (publish = '${pattern}') AS
  SELECT office, max(n) AS top FROM doors GROUP BY office HAVING max(n) < 10;`;
const row = (office, top) => `views/a/${office} ${JSON.stringify({ office, top })}`;
const visit = (t, office, n) => pubOk(t, `office/${office}`, JSON.stringify({ n }));
const display = (t) => new Sub(t, 'display', ['views/#'], ['-c', '-q', 1, '-x', 3600, '-R'], { v: 5 });
const queued = async (t) => (await clientOf(t, 'display')).queued;
/** All retained rows, for one who knows nothing. */
async function shown(t, n) {
  const s = await new Sub(t, 'fresh', ['views/#'], ['-q', 1], { v: 5 }).ready();
  const lines = await s.got(n);
  await s.end();
  return [...lines].sort();
}
/** What comes to the display, which goes away again when it has so many. */
async function reads(t, n) {
  const s = await display(t).ready();
  const lines = [...await s.got(n)];
  await s.end();
  await until(async () => !(await clientOf(t, 'display')).connected);
  assert.equal(s.lines.length, n, `no more than ${n}: ${s.lines}`);
  return lines.sort();
}
async function begin() {
  const t = await new Tarn({ sql: sql(), mqtt: true }).start();
  const s = await display(t).ready();
  for (const o of ['x', 'y', 'z']) visit(t, o, 1);
  await s.got(3);
  await s.end();
  await until(async () => !(await clientOf(t, 'display')).connected);
  return t;
}

test('rows as they were are not told again after restarts; what changes meanwhile is, once', async () => {
  const t = await begin();
  for (let i = 0; i < 3; i++) {
    await t.restart();
    assert.deepEqual(await shown(t, 3), [row('x', 1), row('y', 1), row('z', 1)], 'they are retained');
    assert.equal(await queued(t), 0, `restart ${i + 1}: nothing new for who is away`);
  }
  visit(t, 'y', 2);
  await until(async () => await queued(t) === 1);
  await t.restart();
  assert.deepEqual(await shown(t, 3), [row('x', 1), row('y', 2), row('z', 1)]);
  assert.deepEqual(await reads(t, 1), [row('y', 2)]);
  await t.stop();
});

test('a row that leaves by HAVING around kill -9 is cleared after the start', async () => {
  const t = await begin();
  for (const office of ['y', 'z']) {
    visit(t, office, 50);
    await t.restart('kill');
    const s = await display(t).ready();
    const cleared = `views/a/${office} `;
    await until(() => s.lines.includes(cleared));
    await s.end();
    /* Whatever else came was a row of the last moments, as it is. */
    assert.deepEqual(s.lines.filter((l) => l !== cleared && l !== row('x', 1) && l !== row('z', 1)), []);
    await until(async () => !(await clientOf(t, 'display')).connected);
  }
  assert.deepEqual(await shown(t, 1), [row('x', 1)]);
  await t.stop();
});

test('whatever is killed when: what a display was told last is what the view has', async () => {
  const random = rng(baseSeed), pick = random.below;
  const points = ['mqtt_store_before_commit', 'mqtt_store_after_commit', 'mqtt_store_committed', 'mqtt_out_stored', 'mqtt_out_sent'];
  console.log(`seed ${baseSeed}`);
  const t = await begin();
  const told = new Map(['x', 'y', 'z'].map((o) => [`views/a/${o}`, row(o, 1).split(' ')[1]]));
  for (let round = 0; round < 6; round++) {
    const s = display(t);
    for (let i = 0; i < 4; i++) {
      const office = `${'xyzuvw'[pick(6)]}${pick(3) === 0 ? round : ''}`;
      pub(t, ['-q', 1, '-t', `office/${office}`, '-m', JSON.stringify({ n: 2 + pick(12) })]);
    }
    if (t.exit === null && pick(3) === 0) await s.ready().catch(() => {});
    await t.kill();
    await s.end();
    for (const l of s.lines) told.set(l.split(' ')[0], l.slice(l.indexOf(' ') + 1));
    const point = pick(2) === 0 ? undefined : `${points[pick(points.length)]}:${1 + pick(4)}`;
    t.o.env = point ? { TARN_CRASH: point } : undefined;
    await t.start().catch(() => {});
    if (t.exit !== null) { t.o.env = undefined; await t.start(); }
  }
  t.o.env = undefined;
  await t.restart('kill');
  const s = await display(t).ready();
  const want = Object.fromEntries((await t.view('calm')).map((r) => [`views/a/${r.office}`, JSON.stringify({ office: r.office, top: r.top })]));
  await until(() => {
    for (const l of s.lines) told.set(l.split(' ')[0], l.slice(l.indexOf(' ') + 1));
    return Object.keys(want).every((k) => told.get(k) === want[k]) && [...told].every(([k, v]) => v === (want[k] ?? ''));
  }).catch(() => assert.deepEqual(Object.fromEntries([...told].filter(([, v]) => v !== '')), want));
  await s.end();
  await t.stop();
});

test('another pattern, or none, clears the topics of before', async () => {
  const t = await begin();
  writeFileSync(join(t.config, 'pipeline.sql'), sql('views/b/{office}'));
  await t.restart();
  assert.deepEqual(await reads(t, 6), ['x', 'y', 'z'].flatMap((o) => [`views/a/${o} `, row(o, 1).replace('/a/', '/b/')]).sort());
  writeFileSync(join(t.config, 'pipeline.sql'), sql().replace(/WITH \(publish = '[^']*'\)/, ''));
  await t.restart();
  assert.deepEqual(await reads(t, 3), ['views/b/x ', 'views/b/y ', 'views/b/z ']);
  await t.restart();
  assert.equal(await queued(t), 0);
  await t.stop();
});

test('rows over mqtt_retained_max: the log names view and setting, once', async () => {
  const t = await new Tarn({ sql: `ALTER SYSTEM SET mqtt_retained_max = '2';${sql()}`, mqtt: true }).start();
  const s = await display(t).ready();
  for (const o of ['u', 'v', 'w', 'x', 'y', 'z']) visit(t, o, 1);
  await s.got(6);
  await s.end();
  assert.equal((await t.ok('GET', '/api/v1/mqtt')).retained, 2);
  await t.stop();
  const said = t.err.split('\n').filter((l) => l.includes('not retained'));
  assert.equal(said.length, 1, t.err);
  assert.match(said[0], /view calm: .*mqtt_retained_max/);
});

test("what a client retained on a topic that a stream takes, too, is the client's when the view is gone", async () => {
  const notes = "CREATE TABLE notes (office text NOT NULL, note text) WITH (mqtt = 'views/a/{office}');";
  const t = await new Tarn({ sql: sql() + notes, mqtt: true }).start();
  const s = await display(t).ready();
  for (const o of ['x', 'y']) visit(t, o, 1);
  await s.got(2);
  pubOk(t, 'views/a/x', '{"note":"mine"}', ['-r']);
  await s.got(3);
  await s.end();
  await until(async () => !(await clientOf(t, 'display')).connected);
  await t.kill();                            // Nobody forgets in time that the view had it.
  writeFileSync(join(t.config, 'pipeline.sql'), sql().replace(/WITH \(publish = '[^']*'\)/, '') + notes);
  for (let i = 0; i < 2; i++) {
    await t.start();
    await until(async () => (await t.ok('GET', '/api/v1/mqtt')).retained === 1);
    assert.deepEqual(await shown(t, 1), ['views/a/x {"note":"mine"}']);
    await t.stop();
  }
});

test('a view that would feed itself is refused by check, plan, apply, the page and a start; a chain is not', async () => {
  const chain = `${sql('echo/{office}').replace(' HAVING max(n) < 10', '')}
CREATE TABLE echoes (office text NOT NULL, top integer) WITH (mqtt = 'echo/+');
CREATE MATERIALIZED VIEW heard AS SELECT office, count(*) AS n FROM echoes GROUP BY office;`;
  const round = chain.replace('VIEW heard AS', "VIEW heard WITH (publish = 'office/{office}') AS");
  const t = await new Tarn({ sql: chain, mqtt: true }).start();
  visit(t, 'x', 1);
  await until(async () => (await t.view('heard'))[0]?.n === 1);

  const file = join(t.config, 'pipeline.sql');
  writeFileSync(file, round);
  const said = /pipeline\.sql:3:\d+.*view "calm" would feed itself for ever: stream "echoes" takes its topic 'echo\/\{office\}' by mqtt = 'echo\/\+', and so round: doors -> view calm -> echoes -> view heard -> doors/s;
  for (const words of [['check', t.config], ['plan', '--config', t.config, '--url', t.url], ['apply', '--url', t.url]]) {
    const r = await command(words);
    assert.equal(r.code, 1, words.join(' '));
    assert.match(r.err + r.out, said);
    assert.match(r.err + r.out, /Publish to a topic that no stream on this way takes/);
  }
  const r = await fetch(`${t.url}/api/v1/plan`, { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ files: [{ name: 'pipeline.sql', text: round }] }) });
  assert.ok(r.status >= 400 && r.status < 500, `${r.status}`);
  assert.match((await r.json()).detail, /view "calm" would feed itself for ever/);
  visit(t, 'y', 1);
  await until(async () => (await t.view('heard')).length === 2);

  await t.stop();
  await assert.rejects(t.start(), said);
  writeFileSync(file, chain);
  await t.start();
  await t.stop();
});

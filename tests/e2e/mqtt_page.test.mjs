// The page and the broker of the real binary: what the page proposes and
// advises works as it stands, mqtt.js in Chromium speaks to the broker from
// Tarn's own page, and foreign pages do not.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createRequire } from 'node:module';
import mqtt from 'mqtt';
import { Tarn, until } from './lib.mjs';
import { launch, listen, present } from '../web/browser.mjs';
import { propose } from '../../web/lib/propose.js';

const run = promisify(execFile);
const script = fs.readFileSync(createRequire(import.meta.url).resolve('mqtt/dist/mqtt.min'), 'utf8');
const skip = present ? false : 'no chromium';
const sql = `
CREATE TABLE door (ts timestamptz NOT NULL, office text NOT NULL CHECK (office IN ('odense','it''s 2')), n int8) WITH (event_time = 'ts', mqtt = 'office/{office}/door');
CREATE MATERIALIZED VIEW doors AS SELECT office, count(*) AS c FROM door GROUP BY office;`;
let t, browser;
before(async () => {
  t = await new Tarn({ sql, mqtt: true }).start();
  if (!skip) browser = await launch();
});
after(async () => { await browser?.close(); });

const payloads = {
  'zigbee2mqtt/0x00158d/state': '{"temperature":21.5,"battery":100,"ok":true,"user":"x","Power (W)":3,"nested":{"a":1},"last_seen":"2026-05-01T10:00:00+02:00"}',
  'meters/77/total': '12.5',
  'plant 7/mode': 'auto',
  "it's/9": '{"it\'s":1}',
  '4/5/6/7/8': '[{"n":1},{"n":2}]',
  'hall/light/on': 'true',
};

test('each proposed table is taken by Tarn, and the message that led to it is a row', async () => {
  const c = await mqtt.connectAsync(`mqtt://127.0.0.1:${t.mqttPort}`, { clientId: 'finder' });
  for (const [topic, body] of Object.entries(payloads)) await c.publishAsync(topic, body, { qos: 1 });
  await c.publishAsync('bytes/x', Buffer.from([0xff, 0, 1]), { qos: 1 });
  await c.publishAsync('long/x', `{"text":"${'å'.repeat(2000)}"}`, { qos: 1 });
  await c.endAsync();
  const { sources } = await t.ok('GET', '/api/v1/mqtt');
  assert.equal(sources.length, Object.keys(payloads).length + 2);
  assert.equal(sources.find((s) => s.topic === 'bytes/x').payload, null);
  assert.match(sources.find((s) => s.topic === 'long/x').payload, /^\{"text":"å+$/);
  assert.ok(sources.some((s) => s.pattern === 'zigbee2mqtt/+/state'), JSON.stringify(sources.map((s) => s.pattern)));
  const names = [], tables = [];
  for (const s of sources) {
    const one = propose(s, ['door', ...names]);
    if (one === null) { assert.match(s.topic, /^(bytes|long)/); continue; }
    names.push(/^CREATE TABLE (\w+)/.exec(one)[1]);
    tables.push(one);
  }
  assert.equal(tables.length, Object.keys(payloads).length);
  const u = await new Tarn({ sql: sql + '\n' + tables.join('\n'), mqtt: true }).start();
  const d = await mqtt.connectAsync(`mqtt://127.0.0.1:${u.mqttPort}`);
  for (const [topic, body] of Object.entries(payloads)) await d.publishAsync(topic, body, { qos: 1 });
  await d.endAsync();
  const { streams } = await u.ok('GET', '/api/v1/streams');
  for (const name of names) {
    const s = streams.find((x) => x.name === name);
    assert.equal(s.quarantined, 0, name);
    assert.equal(s.accepted, name.startsWith('messages') ? 2 : 1, name);
  }
  assert.deepEqual((await u.ok('GET', '/api/v1/mqtt')).sources, []);
  await u.stop();
});

test('the commands of the empty page work; then the page shows who came', { skip }, async () => {
  const page = await browser.newPage();
  const errors = listen(page);
  await page.goto(t.url + '/mqtt');
  const line = page.getByText('mosquitto_pub');
  // The session of the test before is gone: it was a clean one.
  await line.waitFor();
  const sub = await page.getByText('mosquitto_sub').innerText();
  const listening = run('sh', ['-c', `${sub} -C 1 -W 20 -i listener`]);
  await page.getByRole('group', { name: 'Clients, table' }).getByText('listener').waitFor();
  await run('sh', ['-c', await (async () => {
    const other = await browser.newPage();
    const e = await new Tarn({ sql, mqtt: true }).start();
    await other.goto(e.url + '/mqtt');
    const text = await other.getByText('mosquitto_pub').innerText();
    await other.close();
    await e.stop();
    return text.replace(`-p ${e.mqttPort}`, `-p ${t.mqttPort}`);
  })()]);
  assert.match((await listening).stdout, /^office\/odense\/door \{"ts":/);
  assert.deepEqual((await t.view('doors')).map((r) => r.c), [1]);
  // And as the broker's stream: who sent it.
  await page.goto(`${t.url}/streams/door?tab=sources`);
  await page.getByRole('group', { name: 'Sources, table' }).getByText('MQTT 3.1.1').waitFor();
  await page.goto(`${t.url}/streams/door`);
  await page.getByRole('group', { name: 'Newest rows' }).getByText('office/odense/door').waitFor();
  assert.deepEqual(errors, []);
  await page.close();
});

test("mqtt.js in Chromium: from Tarn's own page it publishes and hears; another site is refused", { skip }, async () => {
  const c = await browser.newContext({ bypassCSP: true });   // Only to load mqtt.js into the page.
  const page = await c.newPage();
  await page.goto(t.url + '/mqtt');
  await page.addScriptTag({ content: script });
  const heard = await page.evaluate(async () => {
    const client = await window.mqtt.connectAsync(`ws://${location.host}/mqtt`, { clientId: 'in-a-browser', protocolVersion: 5 });
    window.client = client;
    const got = new Promise((r) => client.on('message', (topic, body) => r([topic, body.toString()])));
    await client.subscribeAsync('office/+/door', { qos: 1 });
    await client.publishAsync('office/odense/door', '{"ts":"2026-05-01T11:00:00Z","n":1}', { qos: 1 });
    return got;
  });
  assert.deepEqual(heard, ['office/odense/door', '{"ts":"2026-05-01T11:00:00Z","n":1}']);
  await page.getByRole('group', { name: 'Clients, table' }).getByText('in-a-browser').waitFor();
  await page.getByText('5.0 · WebSocket').waitFor();
  await page.evaluate(() => window.client.endAsync());
  // The page of another server on this machine.
  const other = http.createServer((_, res) => { res.setHeader('content-type', 'text/html'); res.end('<title>x</title>'); });
  await new Promise((r) => other.listen(0, '127.0.0.1', r));
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const fate = await page.evaluate((url) => new Promise((r) => {
    const w = new WebSocket(url, 'mqtt');
    w.onopen = () => r('open');
    w.onerror = () => r('refused');
  }), `ws://127.0.0.1:${t.port}/mqtt`);
  assert.equal(fate, 'refused');
  other.close();
  await c.close();
});

test('facts of the broker: rates, retained, queued, takeovers', async () => {
  const u = await new Tarn({ sql, mqtt: true }).start();
  const url = `mqtt://127.0.0.1:${u.mqttPort}`;
  const o = { clientId: 'away', protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 }, reconnectPeriod: 0 };
  const away = await mqtt.connectAsync(url, o);
  await away.subscribeAsync('q/#', { qos: 1 });
  const again = await mqtt.connectAsync(url, o);
  await again.endAsync();
  const c = await mqtt.connectAsync(url, { clientId: 'busy' });
  for (let i = 0; i < 30; i++) await c.publishAsync(`q/${i}`, 'x'.repeat(1000), { qos: 1, retain: i < 5 });
  const b = await until(async () => {
    const x = await u.ok('GET', '/api/v1/mqtt');
    return x.received_rate > 0 && x;
  });
  assert.equal(b.retained, 5);
  assert.ok(b.retained_bytes > 5000 && b.queued_bytes >= 30000, JSON.stringify(b));
  assert.deepEqual([b.connections, b.sessions, b.subscriptions, b.received], [1, 2, 1, 30]);
  const one = b.clients.find((x) => x.client === 'away');
  assert.deepEqual([one.connected, one.queued, one.takeovers, one.subscriptions], [false, 30, 1, 1]);
  assert.deepEqual(b.clients.map((x) => x.client), ['busy', 'away'], 'those connected first');
  await c.publishAsync('office/odense/door', '{"ts":"2026-05-01T11:00:00Z"}', { qos: 1 });
  await c.publishAsync('office/odense/door', '{"ts":"no"}', { qos: 1 });
  await c.publishAsync('office/odense/door', '[{"ts":"2026-05-01T11:00:00Z"},{"ts":"2026-05-01T11:00:01Z"}]', { qos: 0 });
  const [s] = await until(async () => {
    const x = (await u.ok('GET', '/api/v1/mqtt')).senders;
    return x.length > 0 && x[0].accepted === 3 && x;
  });
  assert.deepEqual([s.client, s.stream, s.protocol, s.quarantined, s.websocket], ['busy', 'door', '3.1.1', 1, false]);
  assert.ok(s.rate > 0);
  await c.endAsync();
  await u.stop();
});

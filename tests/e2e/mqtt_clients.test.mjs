// Real MQTT clients, unchanged, against the real binary: Debian's
// mosquitto_pub, mosquitto_sub and mosquitto_rr, paho of Python, mqtt.js of npm, a mosquitto
// daemon that bridges, Node-RED. Each scenario looks at two sides: what
// subscribers got, and that what a stream maps is there as rows exactly once.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { Tarn, root, tempDir, until } from './lib.mjs';
import { Sub, certificates, clientOf, count, freePort, pub, pubOk, start } from './mqtt_lib.mjs';

const SQL = `
CREATE TABLE doors (office text NOT NULL, door text NOT NULL, n integer NOT NULL CHECK (n >= 0))
  WITH (mqtt = 'office/{office}/door/{door}');
CREATE TABLE keyed (client text, n integer, PRIMARY KEY (client, n)) WITH (dedupe_window = '1 day', mqtt = 'keyed/{client}');
CREATE TABLE meters (meter text NOT NULL, total double precision NOT NULL) WITH (mqtt = 'meters/{meter}/total -> total');
CREATE MATERIALIZED VIEW by_office WITH (publish = 'views/offices/{office}') AS
  SELECT office, count(*) AS events, sum(n) AS total FROM doors GROUP BY office;`;
const newTarn = (o = {}) => new Tarn({ sql: SQL, mqtt: true, ...o }).start();
const body = (n) => JSON.stringify({ n });
const numbers = (n, from = 0) => Array.from({ length: n }, (_, i) => i + from);
const byTopic = (lines) => [...lines].sort((a, b) => { const [x, y] = [a.split(' ')[0], b.split(' ')[0]]; return x < y ? -1 : x > y ? 1 : 0; });
const onceEach = async (t, n, where, table = 'doors') => assert.deepEqual((await t.sql(`SELECT count(*) AS rows, count(DISTINCT n) AS different FROM ${table} WHERE ${where ?? 'true'}`))
  .map((r) => [Number(r.rows), Number(r.different)])[0], [n, n], 'rows exactly once');

/* ---- mosquitto ------------------------------------------------------- */

for (const v of [3, 5]) {
  test(`mosquitto ${v === 5 ? '5.0' : '3.1.1'}: QoS 0, 1 and 2 arrive with the lower QoS of both sides, and are rows once`, async () => {
    const t = await newTarn();
    const subs = [];
    for (const q of [0, 1, 2]) subs.push(await new Sub(t, `sub-${q}`, ['office/#'], ['-q', q], { v, format: '%q %t %p' }).ready());
    const input = numbers(100).map(body).join('\n') + '\n';
    for (const q of [0, 1, 2]) assert.equal(pub(t, ['-q', q, '-t', `office/berlin/door/d${q}`, '-l'], { v, input }).code, 0);
    for (const [q, s] of subs.entries()) {
      const lines = await s.got(300);
      for (const p of [0, 1, 2])
        assert.deepEqual(lines.filter((l) => l.includes(`/d${p} `)), numbers(100).map((n) => `${Math.min(p, q)} office/berlin/door/d${p} ${body(n)}`), `published with ${p}, subscribed with ${q}: all, once, in order`);
      await s.end();
    }
    for (const q of [0, 1, 2]) await onceEach(t, 100, `door = 'd${q}'`);
    pubOk(t, 'meters/m1/total', '17.25', [], { v });
    assert.deepEqual(await t.sql('SELECT * FROM meters'), [{ meter: 'm1', total: 17.25 }]);
    await t.stop();
  });

  test(`mosquitto ${v === 5 ? '5.0' : '3.1.1'}: retained messages come first, flagged, and an empty one removes them`, async () => {
    const t = await newTarn();
    pubOk(t, 'lamp/1', 'on', ['-r'], { v });
    pubOk(t, 'office/oslo/door/a', body(1), ['-r'], { v });
    const s = await new Sub(t, 'late', ['lamp/+', 'office/#'], ['-q', 1], { v, format: '%r %t %p' }).ready();
    assert.deepEqual((await s.got(2)).sort(), ['1 lamp/1 on', `1 office/oslo/door/a ${body(1)}`]);
    pubOk(t, 'lamp/1', 'off', ['-r'], { v });
    assert.equal((await s.got(3))[2], '0 lamp/1 off', 'to who is there already it is not flagged');
    await s.end();
    await t.restart('kill');
    pub(t, ['-t', 'lamp/1', '-r', '-n', '-q', 1], { v });
    const after = await new Sub(t, 'later', ['lamp/+', 'office/#'], ['-q', 1], { v, format: '%r %t %p' }).ready();
    assert.deepEqual(await after.got(1), [`1 office/oslo/door/a ${body(1)}`], 'kept over kill -9, and the removed one stays away');
    await after.end();
    await onceEach(t, 1);
    await t.stop();
  });

  test(`mosquitto ${v === 5 ? '5.0' : '3.1.1'}: a will is published when its client is killed, not when it says goodbye`, async () => {
    const t = await newTarn();
    const watch = await new Sub(t, 'watch', ['gone/#', 'office/#'], ['-q', 2], { v }).ready();
    pubOk(t, 'x', 'bye', ['-i', 'polite', '--will-topic', 'gone/polite', '--will-payload', 'oh'], { v });
    const cut = await new Sub(t, 'cut', ['x'], ['--will-topic', 'gone/cut', '--will-payload', 'oh', '--will-retain', '--will-qos', 1], { v }).ready();
    await cut.end('SIGKILL');
    const row = await new Sub(t, 'row', ['x'], ['--will-topic', 'office/gone/door/row', '--will-payload', body(9), '--will-qos', 2], { v }).ready();
    await row.end('SIGKILL');
    assert.deepEqual(await watch.got(2), ['gone/cut oh', `office/gone/door/row ${body(9)}`]);
    /* mosquitto_sub with a will ends a 5.0 connection by reason 0x04, which asks for the will. */
    const asks = await new Sub(t, 'asks', ['x'], ['--will-topic', 'gone/asks', '--will-payload', 'oh'], { v }).ready();
    await asks.end('SIGTERM');
    pubOk(t, 'gone/last', 'x', [], { v });
    await until(() => watch.lines.includes('gone/last x'));
    assert.deepEqual(watch.lines.slice(2), v === 5 ? ['gone/asks oh', 'gone/last x'] : ['gone/last x']);
    await watch.end();
    await until(async () => await count(t, 'doors', "office = 'gone'") === 1);
    const late = await new Sub(t, 'late', ['gone/#'], [], { v }).ready();
    assert.deepEqual(await late.got(1), ['gone/cut oh'], 'a retained will stays');
    await late.end();
    await t.stop();
  });
}

test('mosquitto: three members of $share get each message once between them, all of a group together', async () => {
  const t = await newTarn();
  const members = [];
  for (const i of numbers(3)) members.push(await new Sub(t, `member-${i}`, ['$share/crew/office/#'], ['-q', 1], { v: 5 }).ready());
  const whole = await new Sub(t, 'whole', ['office/#'], ['-q', 1], { v: 5 }).ready();
  const input = numbers(300).map(body).join('\n') + '\n';
  assert.equal(pub(t, ['-q', 1, '-t', 'office/rome/door/a', '-l'], { v: 5, input }).code, 0);
  await whole.got(300);
  await until(() => members.reduce((n, m) => n + m.lines.length, 0) >= 300);
  const shares = members.map((m) => m.lines.length);
  assert.equal(shares.reduce((a, b) => a + b), 300);
  assert.ok(shares.every((n) => n >= 50), `nobody idles: ${shares}`);
  assert.deepEqual(members.flatMap((m) => m.lines).sort(), [...whole.lines].sort());
  await members[0].end('SIGKILL');
  await until(async () => !(await clientOf(t, 'member-0')));
  assert.equal(pub(t, ['-q', 1, '-t', 'office/rome/door/b', '-l'], { v: 5, input }).code, 0);
  await until(() => members[1].lines.length + members[2].lines.length - shares[1] - shares[2] >= 300);
  await onceEach(t, 300, "door = 'b'");
  for (const s of [members[1], members[2], whole]) await s.end();
  await t.stop();
});

test('mosquitto 5.0: properties travel: user, content type, expiry, response; mosquitto_rr asks and is answered', async () => {
  const t = await newTarn();
  const s = await new Sub(t, 'sub', ['office/#'], ['-q', 1, '-D', 'subscribe', 'subscription-identifier', 77], { v: 5, format: '%t|%p|%C|%R|%D|%E|%P|%F|%S' }).ready();
  pubOk(t, 'office/bern/door/a', body(1), ['-D', 'publish', 'content-type', 'application/json', '-D', 'publish', 'response-topic', 'answers/1',
    '-D', 'publish', 'correlation-data', 'c0ffee', '-D', 'publish', 'message-expiry-interval', 300, '-D', 'publish', 'user-property', 'line', '7',
    '-D', 'publish', 'payload-format-indicator', 1], { v: 5 });
  const [line] = await s.got(1);
  assert.match(line, /^office\/bern\/door\/a\|\{"n":1\}\|application\/json\|answers\/1\|c0ffee\|(300|299)\|line:7\|1\|77$/);
  await s.end();
  const server = await new Sub(t, 'server', ['ask'], ['-q', 1], { v: 5, format: '%R' }).ready();
  const rr = start(['mosquitto_rr', '-h', '127.0.0.1', '-p', String(t.mqttPort), '-V', 'mqttv5', '-t', 'ask', '-e', 'answer/me', '-m', 'what?', '-W', '10']);
  assert.deepEqual(await server.got(1), ['answer/me']);
  pubOk(t, 'answer/me', 'this', [], { v: 5 });
  await rr.ended;
  assert.equal(rr.out.trim(), 'this');
  await server.end();
  const bad = pub(t, ['-d', '-q', 1, '-t', 'office/bern/door/a', '-m', '{"n":"no number"}'], { v: 5 });
  assert.equal(bad.code, 0, 'the publisher gets success');
  assert.equal((await t.ok('GET', '/api/v1/quarantine/doors')).rows.length, 1);
  await onceEach(t, 1);
  await t.stop();
});

for (const how of ['stop', 'kill'])
  test(`mosquitto: a persistent session and what waits in it live over ${how === 'stop' ? 'a stop' : 'kill -9'} of Tarn`, async () => {
    const t = await newTarn();
    for (const v of [3, 5]) {
      const s = await new Sub(t, `keeper-${v}`, ['office/#', 'plain/#'], ['-q', 2, '-c'], { v }).ready();
      await s.end();
    }
    const input = numbers(50).map(body).join('\n') + '\n';
    for (const q of [0, 1, 2]) assert.equal(pub(t, ['-q', q, '-t', `office/paris/door/d${q}`, '-l'], { input }).code, 0);
    pubOk(t, 'plain/1', 'hello');
    await t.restart(how);
    pubOk(t, 'plain/2', 'again', [], { qos: 2 });
    const must = [...[1, 2].flatMap((q) => numbers(50).map((n) => `office/paris/door/d${q} ${body(n)}`)), 'plain/1 hello', 'plain/2 again'];
    for (const v of [3, 5]) {
      const s = await new Sub(t, `keeper-${v}`, ['office/#', 'plain/#'], ['-q', 2, '-c'], { v }).ready();
      await s.got(must.length);
      pubOk(t, 'plain/end', String(v), [], { v });
      await until(() => s.lines.includes(`plain/end ${v}`));
      const lines = (await s.end()).filter((l) => !/\/d0 |plain\/end/.test(l));
      assert.deepEqual(byTopic(lines), byTopic(must), 'all, once, in order (a QoS 2 message is shown when its PUBREL comes)');
    }
    for (const q of [0, 1, 2]) await onceEach(t, 50, `door = 'd${q}'`);
    await t.stop();
  });

test('mosquitto: a publisher of QoS 2 with its session sends on over kill -9 of Tarn: nothing lost, nothing doubled', async () => {
  const t = await newTarn();
  const p = start(['mosquitto_pub', '-p', String(t.mqttPort), '-V', 'mqttv311', '-i', 'sender', '-c', '-q', '2', '-t', 'office/wien/door/a', '-l']);
  for (const n of numbers(60)) p.stdin.write(body(n) + '\n');
  await until(async () => await count(t, 'doors') >= 60);
  await t.kill();
  for (const n of numbers(60, 60)) p.stdin.write(body(n) + '\n');
  await t.start();
  await until(async () => await count(t, 'doors') >= 120, 20000);
  p.stdin.end();
  assert.equal(await p.ended, 0);
  await onceEach(t, 120);
  await t.stop();
});

/* ---- who may --------------------------------------------------------- */

test('TLS: server certificate, client certificate as login, strangers refused, plain bytes refused', async () => {
  const at = certificates();
  const tls = `ALTER SYSTEM SET mqtt_tls_listen = '127.0.0.1:0'; ALTER SYSTEM SET mqtt_tls_cert = '${at('server.pem')}';
    ALTER SYSTEM SET mqtt_tls_key = '${at('server.key')}'; ALTER SYSTEM SET mqtt_tls_client_ca = '${at('ca.pem')}';`;
  const t = await newTarn({ sql: tls + SQL });
  const port = (await t.ok('GET', '/api/v1/mqtt')).tls_port;
  const mine = ['--cafile', at('ca.pem'), '--cert', at('client.pem'), '--key', at('client.key')];
  for (const v of [3, 5]) {
    const s = await new Sub(t, `tls-${v}`, ['office/#'], ['-q', 2, ...mine], { v, port }).ready();
    const c = await clientOf(t, `tls-${v}`);
    assert.deepEqual([c.tls, c.user], [true, 'press-7']);
    pubOk(t, 'office/ulm/door/a', body(v), mine, { v, port, qos: 2 });
    pubOk(t, 'office/ulm/door/b', body(v + 10), [], { v });
    await s.got(2);
    const long = 'x'.repeat(600000);
    pubOk(t, 'office/ulm/note', 'end', mine, { v, port });
    assert.equal(pub(t, ['-q', 1, '-t', 'office/ulm/long', '-s', ...mine], { v, port, input: long }).code, 0);
    assert.equal((await s.got(4)).at(-1).length, long.length + 'office/ulm/long '.length, 'many records');
    await s.end();
  }
  const no = (args) => assert.notEqual(pub(t, ['-t', 'office/ulm/door/a', '-q', 1, '-m', body(99), ...args], { port }).code, 0, args.join(' '));
  no(['--cafile', at('ca.pem')]);
  no(['--cafile', at('ca.pem'), '--cert', at('stranger.pem'), '--key', at('stranger.key')]);
  no(['--cafile', at('other.pem'), '--cert', at('client.pem'), '--key', at('client.key')]);
  no([]);
  assert.equal(pub(t, ['-t', 'office/ulm/door/c', '-q', 1, '-m', body(55), ...mine], { port }).code, 0, 'others go on');
  await onceEach(t, 5);
  await t.stop();
});

test('0.0.0.0: password and tokens; wrong ones refused; scopes of tokens hold', async () => {
  const file = join(tempDir('secret'), 'password');
  writeFileSync(file, 'correct horse battery\n', { mode: 0o600 });
  const t = await newTarn({ env: { TARN_MQTT: '0.0.0.0:0', TARN_ADMIN_PASSWORD_FILE: file } });
  const json = { 'content-type': 'application/json', origin: t.url };
  const login = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse battery' }), json);
  const session = { cookie: login.headers.get('set-cookie').split(';')[0], origin: t.url };
  const bare = t.call.bind(t);
  t.call = (method, path, text, headers) => bare(method, path, text, { ...headers, ...session });
  const token = {};
  for (const scope of ['ingest', 'read', 'admin'])
    token[scope] = (await t.ok('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), json)).token;
  const admin = ['-u', 'admin', '-P', 'correct horse battery'];
  for (const v of [3, 5]) {
    const one = (args, n) => pub(t, ['-q', 1, '-t', 'office/kiel/door/a', '-m', body(n), ...args], { v }).code;
    assert.equal(one(admin, v), 0);
    assert.equal(one(['-u', 'x', '-P', token.ingest], v + 10), 0);
    assert.notEqual(one([], 100), 0, 'nobody');
    assert.notEqual(one(['-u', 'admin', '-P', 'wrong'], 101), 0, 'wrong password');
    assert.notEqual(one(['-u', 'admin'], 102), 0, 'no password');
    assert.notEqual(one(['-u', 'x', '-P', 'trn_' + 'A'.repeat(43)], 103), 0, 'no such token');
    const reader = await new Sub(t, `reader-${v}`, ['office/#'], ['-q', 1, '-u', 'x', '-P', token.read], { v }).ready();
    assert.equal(one(['-u', 'x', '-P', token.admin], v + 20), 0);
    assert.equal((await reader.got(1))[0], `office/kiel/door/a ${body(v + 20)}`);
    await reader.end();
    one(['-u', 'x', '-P', token.read], 104);
    const blind = start(['mosquitto_sub', '-p', String(t.mqttPort), '-V', v === 5 ? 'mqttv5' : 'mqttv311', '-i', 'blind', '-t', 'office/#', '-q', '1', '-u', 'x', '-P', token.ingest]);
    await blind.ended;
    assert.match(blind.err + blind.out, /denied|not authorized/i, 'a token of scope ingest reads nothing');
    assert.equal(blind.out.includes('office/'), false);
  }
  await onceEach(t, 6);
  await t.stop();
});

/* ---- paho ------------------------------------------------------------ */

/* paho 1.6.1, seen on the wire: when two connections in a row fail behind a PUBREL, it sends that message again as a PUBLISH without DUP, which is a new
 * message by the standard. So rows are counted in a stream with a primary key, and what subscribers got twice is told; at most what was under way. */
for (const [v, qos] of [[4, 1], [4, 2], [5, 1], [5, 2]])
  test(`paho ${v === 5 ? '5.0' : '3.1.1'}: QoS ${qos} goes on by itself over kill -9 and a stop of Tarn`, async (x) => {
    const t = await newTarn();
    const n = 300;
    const p = start(['/usr/bin/python3', join(root, 'tests/tools/paho_client.py'), String(t.mqttPort), String(v), String(qos), String(n)]);
    for (const [part, how] of [[n / 4, 'kill'], [n / 2, 'stop']]) {
      await until(async () => p.code !== null || await count(t, 'keyed') >= part, 20000, 2);
      await t.restart(how);
    }
    assert.equal(await p.ended, 0, p.err);
    const r = JSON.parse(p.out);
    assert.equal(r.different, n, 'all came back');
    x.diagnostic(`${r.got - n} of ${n} came back twice; connections ${JSON.stringify(r.connects)}`);
    if (qos === 2) assert.ok(r.got - n <= 40, `more than was under way: ${r.got - n}`);
    await onceEach(t, n, 'true', 'keyed');
    await t.stop();
  });

/* ---- mqtt.js --------------------------------------------------------- */

/* An mqtt.js client with .got (topics and texts); ${o} goes to connect(). */
const clients = new Set();
after(() => { for (const c of clients) c.end(true); });
async function js(t, o = {}) {
  const { default: mqtt } = await import('mqtt');
  const c = mqtt.connect(o.url ?? `mqtt://127.0.0.1:${t.mqttPort}`, { reconnectPeriod: 50, connectTimeout: 50000, ...o });
  clients.add(c);
  c.got = [];
  c.on('error', () => {});
  c.on('message', (topic, payload, packet) => c.got.push({ topic, text: payload.toString(), packet }));
  c.present = [];
  c.on('connect', (ack) => c.present.push(ack.sessionPresent));
  await until(() => c.connected);
  return c;
}

const kept = (v, clientId) => ({ protocolVersion: v, clientId, clean: false, ...(v === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}) });

for (const v of [4, 5]) {
  test(`mqtt.js ${v === 5 ? '5.0' : '3.1.1'}: QoS 0, 1, 2, a shared subscription, a session over kill -9`, async (x) => {
    const t = await newTarn();
    const a = await js(t, kept(v, 'js-a'));
    const crew = [await js(t, { protocolVersion: v }), await js(t, { protocolVersion: v })];
    assert.deepEqual((await a.subscribeAsync({ 'office/#': { qos: 2 }, 'views/#': { qos: 1 } })).map((g) => g.qos), [2, 1]);
    for (const m of crew) await m.subscribeAsync('$share/js/office/#', { qos: 1 });
    const p = await js(t, kept(v, 'js-p'));
    for (const qos of [0, 1, 2]) await Promise.all(numbers(60).map((n) => p.publishAsync(`office/lyon/door/q${qos}`, body(n), { qos })));
    const seen = () => a.got.filter((m) => m.topic.startsWith('office/'));
    await until(() => seen().length >= 180 && crew[0].got.length + crew[1].got.length >= 180);
    assert.equal(seen().length, 180);
    assert.equal(crew[0].got.length + crew[1].got.length, 180);
    assert.ok(crew.every((m) => m.got.length > 30), 'both work');
    await until(() => a.got.some((m) => m.topic === 'views/offices/lyon' && JSON.parse(m.text).events === 180));
    for (const m of crew) await m.endAsync();
    /* mqtt.js sends again without DUP. */
    await a.subscribeAsync('keyed/#', { qos: 1 });
    const flood = Promise.all(numbers(300).flatMap((n) => [p.publishAsync('keyed/js', body(n), { qos: 1 }), p.publishAsync('office/lyon/door/again', body(n), { qos: 2 }),
      p.publishAsync('office/lyon/door/once', body(n), { qos: 1 })]));
    await until(async () => await count(t, 'doors', "door = 'again' OR door = 'once'") > 0, 10000, 1);
    await t.restart('kill');
    await flood;
    const different = (end) => new Set(a.got.filter((m) => m.topic.endsWith(end)).map((m) => m.text)).size;
    await until(() => different('/again') === 300 && different('/once') === 300 && different('/js') === 300 && a.present.length > 1 && a.connected && p.connected);
    await onceEach(t, 300, "door = 'again'");
    await onceEach(t, 300, "door = 'once'");
    await onceEach(t, 300, 'true', 'keyed');
    assert.equal(a.got.filter((m) => m.topic.endsWith('/again')).length, 300, 'QoS 2 to the subscriber once');
    x.diagnostic(`${a.got.filter((m) => m.topic.endsWith('/once')).length - 300} of 300 of QoS 1 came to the subscriber twice`);
    assert.equal(a.present[0], false);
    assert.ok(a.present.slice(1).every((x) => x), 'the session was there after the crash');
    await a.endAsync();
    await p.endAsync();
    await t.stop();
  });
}

/** Does GET /mqtt answer 101? */
function upgrades(t) {
  return new Promise((done) => {
    const c = connectTcp(t.port, '127.0.0.1');
    let text = '';
    c.on('data', (d) => { text += d; if (text.includes('\r\n')) { c.destroy(); done(/^HTTP\/1.1 101/.test(text)); } });
    c.on('error', () => done(false));
    c.on('close', () => done(false));
    c.write('GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
      + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n');
  });
}

test('mqtt.js over WebSocket at the HTTP port', async () => {
  const t = await newTarn();
  assert.ok(await upgrades(t), 'GET /mqtt answers 101');
  for (const v of [4, 5]) {
    const a = await js(t, { url: `ws://127.0.0.1:${t.port}/mqtt`, protocolVersion: v, clientId: `ws-${v}` });
    assert.equal((await clientOf(t, `ws-${v}`)).websocket, true);
    await a.subscribeAsync('office/#', { qos: 2 });
    for (const qos of [0, 1, 2]) await Promise.all(numbers(30).map((n) => a.publishAsync(`office/web${v}/door/q${qos}`, body(n), { qos })));
    await a.publishAsync(`office/web${v}/long`, 'y'.repeat(300000), { qos: 1 });
    pubOk(t, `office/web${v}/door/tcp`, body(1), [], { v });
    await until(() => a.got.length >= 92);
    assert.equal(a.got.length, 92);
    assert.equal(await count(t, 'doors', `office = 'web${v}'`), 91);
    await a.endAsync();
  }
  await t.stop();
});

/* ---- a mosquitto daemon that bridges --------------------------------- */

class Daemon {
  constructor(port, lines) {
    const dir = tempDir('mosquitto');
    mkdirSync(join(dir, 'db'));
    this.mqttPort = port;
    this.conf = join(dir, 'mosquitto.conf');
    writeFileSync(this.conf, ['user root', `listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence true', `persistence_location ${join(dir, 'db')}/`,
      'max_queued_messages 0', ...lines].join('\n') + '\n');
  }

  async start() {
    this.child = start(['mosquitto', '-c', this.conf]);
    await until(() => this.child.code !== null || pub(this, ['-t', 'up', '-m', 'x']).code === 0, 10000, 10);
    assert.equal(this.child.code, null, this.child.err);
    return this;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.child.ended;
  }
}

/* Both ways, QoS 1. A 5.0 bridge of mosquitto 2.0 asks for no session expiry: Tarn keeps nothing for it while it is away, and only that is not
 * asked of it here. */
for (const v of ['mqttv311', 'mqttv50'])
  test(`mosquitto bridges to Tarn (${v}), both ways: no loss over restarts of either, no row twice, no echo`, async (x) => {
    const t = await newTarn();
    const d = await new Daemon(await freePort(), ['connection tarn', `address 127.0.0.1:${t.mqttPort}`, `bridge_protocol_version ${v}`, 'cleansession false',
      'clientid bridge', 'restart_timeout 1 1', 'topic office/# both 1', 'topic news/# both 1']).start();
    const waits = v === 'mqttv311';
    const linked = () => until(async () => { const c = await clientOf(t, 'bridge'); return c?.connected && c.subscriptions === 2; });
    await linked();
    assert.equal((await clientOf(t, 'bridge')).expiry_s > 0, waits);
    /* The daemon's own side: a session there, opened again after each of its restarts. */
    const there = [];
    const watch = () => there.push(start(['mosquitto_sub', '-p', String(d.mqttPort), '-i', 'there', '-c', '-q', '1', '-t', 'news/#', '-t', 'office/#', '-F', '%t %p']));
    const seen = (word) => there.flatMap((c) => c.out.split('\n').slice(0, -1)).filter((l) => l.startsWith(word));
    watch();
    await until(() => { pub(d, ['-t', 'local', '-m', 'x']); pub(d, ['-t', 'news/hello', '-m', 'x', '-q', 1]); return seen('news/hello').length > 0; });
    const send = (to, topic, n, from) => assert.equal(pub(to, ['-q', 1, '-t', topic, '-l'], { input: numbers(n, from).map(body).join('\n') + '\n' }).code, 0);
    const rows = (n) => until(async () => await count(t, 'doors') >= n);
    send(d, 'office/bridge/door/a', 50, 0);
    await rows(50);
    send(t, 'news/tarn', 50, 0);
    await until(() => seen('news/tarn').length >= 50);
    await t.kill();
    send(d, 'office/bridge/door/a', 50, 50);
    await t.start();
    await rows(100);
    there[0].kill('SIGTERM');
    await there[0].ended;
    await d.stop();
    if (waits) send(t, 'news/tarn', 50, 50);
    await d.start();
    watch();
    send(d, 'office/bridge/door/a', 50, 100);
    await rows(150);
    await linked();
    if (!waits) send(t, 'news/tarn', 50, 50);
    await until(() => new Set(seen('news/tarn')).size >= 100);
    send(t, 'news/last', 1, 0);
    await until(() => seen('news/last').length > 0);
    await onceEach(t, 150);
    assert.equal(new Set(seen('office/')).size, 150);
    assert.equal(seen('office/').length, 150, 'what was published there does not come back');
    const twice = seen('news/tarn').length - 100;
    x.diagnostic(`${twice} of 100 messages of Tarn came twice`);
    assert.ok(twice <= 20, `QoS 1 sends again only what was under way: ${twice}`);
    for (const c of there) c.kill('SIGTERM');
    await d.stop();
    await t.stop();
  });

/* ---- Node-RED -------------------------------------------------------- */

const red = join(root, 'tests/tools/node-red/node_modules/node-red/red.js');

test('Node-RED: a flow of its MQTT nodes reads a topic, works on it, writes another', { skip: existsSync(red) ? false : 'node-red (110 MB) is not installed: make interop does it' }, async () => {
  const t = await newTarn();
  const dir = tempDir('node-red');
  const flow = [
    { id: 'tab', type: 'tab', label: 'doors' },
    { id: 'tarn', type: 'mqtt-broker', broker: '127.0.0.1', port: String(t.mqttPort), clientid: 'node-red', autoConnect: true, usetls: false, protocolVersion: '5', keepalive: '60',
      cleansession: true, birthTopic: 'red/state', birthQos: '1', birthRetain: 'true', birthPayload: 'up', willTopic: 'red/state', willQos: '1', willRetain: 'true', willPayload: 'down' },
    { id: 'in', z: 'tab', type: 'mqtt in', topic: 'raw/#', qos: '2', datatype: 'auto-detect', broker: 'tarn', nl: false, rap: true, rh: 0, inputs: 0, wires: [['work']] },
    { id: 'work', z: 'tab', type: 'function', func: "msg.topic = 'office/red/door/' + msg.topic.split('/')[1]; msg.payload = { n: msg.payload.counter * 2 }; return msg;", outputs: 1, wires: [['out']] },
    { id: 'out', z: 'tab', type: 'mqtt out', topic: '', qos: '2', retain: 'false', broker: 'tarn', wires: [] }];
  writeFileSync(join(dir, 'flows.json'), JSON.stringify(flow));
  writeFileSync(join(dir, 'settings.js'), `module.exports = { uiPort: ${await freePort()}, uiHost: '127.0.0.1', flowFile: 'flows.json', httpAdminRoot: false, httpNodeRoot: false,
    telemetry: { enabled: false, updateNotification: false }, editorTheme: { tours: false }, externalModules: { autoInstall: false, palette: { allowInstall: false } } };`);
  const r = start([process.execPath, red, '--userDir', dir, '--settings', join(dir, 'settings.js')]);
  await until(async () => { assert.equal(r.code, null, r.out + r.err); return (await clientOf(t, 'node-red'))?.subscriptions === 1; }, 30000);
  const state = await new Sub(t, 'state', ['red/state'], ['-q', 1]).ready();
  await state.got(1);
  const input = numbers(100).map((n) => JSON.stringify({ counter: n })).join('\n') + '\n';
  assert.equal(pub(t, ['-q', 2, '-t', 'raw/a', '-l'], { input }).code, 0);
  await until(async () => await count(t, 'doors') >= 100);
  await onceEach(t, 100);
  assert.deepEqual((await t.view('by_office')).map((x) => [x.office, Number(x.total)]), [['red', 9900]]);
  r.kill('SIGKILL');
  await r.ended;
  assert.deepEqual(await state.got(2), ['red/state up', 'red/state down']);
  await state.end();
  await t.stop();
});

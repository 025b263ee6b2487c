// MQTT over WebSocket on the HTTP port, against the real binary: npm's mqtt.js
// unchanged, and a raw client that cuts frames in every way RFC 6455 allows
// (and in some it forbids).
import { test, before } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import crypto from 'node:crypto';
import mqtt from 'mqtt';
import { Tarn, tempDir, until } from './lib.mjs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const sql = `
CREATE TABLE door (ts timestamptz NOT NULL, office text NOT NULL, n int8) WITH (event_time = 'ts', mqtt = 'office/{office}/door');
CREATE MATERIALIZED VIEW doors AS SELECT office, count(*) AS c, sum(n) AS s FROM door GROUP BY office;`;

let t;
before(async () => { t = await new Tarn({ sql, mqtt: true }).start(); });

/** mqtt.js over ws://; resolves when connected, rejects when refused. */
function connect(tarn, o = {}) {
  return new Promise((done, fail) => {
    const c = mqtt.connect(`ws://127.0.0.1:${tarn.port}/mqtt`, { reconnectPeriod: 0, connectTimeout: 100000, ...o });
    let open = false;
    c.once('connect', () => { open = true; done(c); });
    c.on('error', (e) => { if (!open) { c.end(true); fail(e); } });
    c.on('close', () => { if (!open) { c.end(true); fail(new Error('closed')); } });
  });
}

const handshake = (port, extra = '') => 'GET /mqtt HTTP/1.1\r\n' + `Host: 127.0.0.1:${port}\r\n` +
  'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  `Sec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: mqtt\r\n${extra}\r\n`;

/** A raw socket after the handshake; frames that come are gathered. */
class Raw {
  constructor(port) {
    this.frames = [];
    this.in = Buffer.alloc(0);
    this.ended = false;
    this.s = net.connect(port, '127.0.0.1');
    this.s.setNoDelay(true);
    this.s.on('error', () => {});
    this.s.on('close', () => { this.ended = true; });
    this.s.on('data', (d) => { this.in = Buffer.concat([this.in, d]); this.parse(); });
  }
  parse() {
    if (!this.head) {
      const at = this.in.indexOf('\r\n\r\n');
      if (at < 0) return;
      this.head = this.in.subarray(0, at).toString();
      this.in = this.in.subarray(at + 4);
    }
    for (;;) {
      if (this.in.length < 2) return;
      let n = this.in[1] & 127, at = 2;
      assert.equal(this.in[1] & 128, 0, 'a server does not mask');
      if (n === 126) { if (this.in.length < 4) return; n = this.in.readUInt16BE(2); at = 4; }
      if (n === 127) { if (this.in.length < 10) return; n = Number(this.in.readBigUInt64BE(2)); at = 10; }
      if (this.in.length < at + n) return;
      this.frames.push({ op: this.in[0] & 15, last: this.in[0] >> 7 === 1, body: this.in.subarray(at, at + n) });
      this.in = this.in.subarray(at + n);
    }
  }
  write(...parts) { this.s.write(Buffer.concat(parts)); }
  /** Bytes of all binary frames so far. */
  get bytes() { return Buffer.concat(this.frames.filter((f) => f.op === 2 || f.op === 0).map((f) => f.body)); }
  frame(op) { return until(() => this.frames.find((f) => f.op === op)); }
  gone() { return until(() => this.ended); }
}

function frame(op, body, { last = true, mask = crypto.randomBytes(4) } = {}) {
  const n = body.length;
  const head = n < 126 ? Buffer.from([0, 128 | n]) : n < 65536 ? Buffer.from([0, 254, n >> 8, n & 255])
    : Buffer.concat([Buffer.from([0, 255, 0, 0, 0, 0]), Buffer.from([n >>> 24, n >> 16 & 255, n >> 8 & 255, n & 255])]);
  head[0] = (last ? 128 : 0) | op;
  return Buffer.concat([head, mask, Buffer.from(body.map((x, i) => x ^ mask[i & 3]))]);
}
const str = (s) => { const b = Buffer.from(s); return Buffer.concat([Buffer.from([b.length >> 8, b.length & 255]), b]); };
function packet(first, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  let n = body.length;
  do { length.push((n & 127) | (n > 127 ? 128 : 0)); n >>= 7; } while (n > 0);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}
const CONNECT = (id) => packet(0x10, str('MQTT'), Buffer.from([4, 2, 0, 60]), str(id));
const PUBLISH = (topic, id, body) => packet(0x32, str(topic), Buffer.from([id >> 8, id & 255]), Buffer.from(body));
const CONNACK = Buffer.from([0x20, 2, 0, 0]);
const PUBACK = (id) => Buffer.from([0x40, 2, id >> 8, id & 255]);
const row = (n) => JSON.stringify({ ts: '2026-05-01T10:00:00Z', n });

async function open(tarn = t, early = Buffer.alloc(0)) {
  const r = new Raw(tarn.port);
  r.write(Buffer.from(handshake(tarn.port)), early);
  await until(() => r.head);
  assert.match(r.head, /^HTTP\/1\.1 101 /);
  return r;
}
const sum = async (office, tarn = t) => (await tarn.view('doors')).find((v) => v.office === office);

test('mqtt.js 3.1.1 and 5: publish, subscribe, retained, and rows of a stream', async () => {
  for (const protocolVersion of [4, 5]) {
    const office = `js${protocolVersion}`;
    const c = await connect(t, { protocolVersion, clientId: `c${protocolVersion}` });
    const got = [];
    c.on('message', (topic, body, p) => got.push([topic, body.toString(), p.retain]));
    await c.subscribeAsync('plain/#', { qos: 2 });
    await c.publishAsync(`plain/${protocolVersion}`, 'hello', { qos: 2, retain: true });
    for (let i = 1; i <= 20; i++) await c.publishAsync(`office/${office}/door`, row(i), { qos: 1 });
    await until(() => got.some((g) => g[0] === `plain/${protocolVersion}`));
    assert.deepEqual(await sum(office), { office, c: 20, s: 210 });
    const list = (await t.ok('GET', '/api/v1/mqtt')).clients;
    const me = list.find((x) => x.client === `c${protocolVersion}`);
    assert.equal(me.websocket, true);
    assert.match(me.peer, /^127\.0\.0\.1:\d+$/);
    await c.endAsync();
  }
});

test('one of 100 kB goes there and back', async () => {
  const c = await connect(t);
  const body = crypto.randomBytes(100000);
  const back = new Promise((r) => c.on('message', (_, b) => r(b)));
  await c.subscribeAsync('large', { qos: 1 });
  await c.publishAsync('large', body, { qos: 1 });
  assert.ok(body.equals(await back));
  await c.endAsync();
});

test('a packet over many frames, byte by byte; many packets in one frame', async () => {
  const r = await open();
  const bytes = Buffer.concat([CONNECT('cut'), PUBLISH('office/cut/door', 1, row(1))]);
  r.write(frame(2, bytes.subarray(0, 1), { last: false }));
  for (let i = 1; i < bytes.length - 1; i++) {
    r.write(frame(0, bytes.subarray(i, i + 1), { last: false }));
    if (i % 7 === 0) r.write(frame(9, Buffer.from(`p${i}`)));       // A ping in the midst of a message.
    if (i % 11 === 0) r.write(frame(0, Buffer.alloc(0), { last: false }));
  }
  r.write(frame(0, bytes.subarray(bytes.length - 1)));
  await until(() => r.bytes.equals(Buffer.concat([CONNACK, PUBACK(1)])));
  assert.equal(r.frames.find((f) => f.op === 10).body.toString(), 'p7');
  const many = [];
  for (let i = 2; i <= 200; i++) many.push(PUBLISH('office/cut/door', i, row(i)));
  r.write(frame(2, Buffer.concat(many)));
  await until(() => r.bytes.length === 4 + 4 * 200);
  assert.deepEqual(await sum('cut'), { office: 'cut', c: 200, s: 20100 });
  // Half a frame's head at a time.
  const f = frame(2, PUBLISH('office/cut/door', 201, row(201).padEnd(300)));
  for (const b of f) { r.s.write(Buffer.from([b])); }
  await until(() => r.bytes.length === 4 + 4 * 201);
  r.s.destroy();
});

test('frames that come with the handshake are not lost', async () => {
  const r = await open(t, frame(2, Buffer.concat([CONNECT('early'), PUBLISH('office/early/door', 1, row(5))])));
  await until(() => r.bytes.equals(Buffer.concat([CONNACK, PUBACK(1)])));
  assert.deepEqual(await sum('early'), { office: 'early', c: 1, s: 5 });
  r.s.destroy();
});

test('ping, close; text, unmasked and broken frames end it', async () => {
  let r = await open();
  r.write(frame(2, CONNECT('ctl')), frame(9, Buffer.from('x'.repeat(125))));
  assert.equal((await r.frame(10)).body.toString(), 'x'.repeat(125));
  r.write(frame(8, Buffer.from([3, 232])));
  assert.deepEqual([...(await r.frame(8)).body], [3, 232]);
  await r.gone();
  const bad = [
    [frame(1, Buffer.from('text')), 1003],
    [Buffer.from([0x82, 1, 65]), 1002],                              // Not masked.
    [frame(0, Buffer.from('x')), 1002],                              // Nothing to continue.
    [Buffer.concat([frame(2, Buffer.from([0x10]), { last: false }), frame(2, Buffer.from('x'))]), 1002],
    [frame(9, Buffer.alloc(126)), 1002],                             // A control frame that is too long.
    [frame(3, Buffer.from('x')), 1002],
    [Buffer.concat([Buffer.from([0xc2]), frame(2, Buffer.from('x')).subarray(1)]), 1002],   // A reserved bit.
  ];
  for (const [bytes, code] of bad) {
    r = await open();
    r.write(bytes);
    assert.equal((await r.frame(8)).body.readUInt16BE(0), code, bytes.toString('hex'));
    await r.gone();
  }
  assert.equal((await t.call('GET', '/livez')).status, 200);
});

test('many come and go, some rudely: no connection and no descriptor stays', async () => {
  const count = async () => Number(/^tarn_mqtt_connections (\d+)/m.exec((await t.call('GET', '/metrics')).body)[1]);
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all(Array.from({ length: 40 }, () => open()));
    all.forEach((r, i) => {
      if (i % 4 === 1) r.write(frame(2, CONNECT(`m${i}`)));
      if (i % 4 === 2) r.write(frame(2, CONNECT(`m${i}`)).subarray(0, 9));
      if (i % 4 === 3) r.s.resetAndDestroy(); else r.s.end();
    });
    await Promise.all(all.map((r) => r.gone()));
  }
  await until(async () => await count() === 0);
});

test('connections over WebSocket do not use up those of HTTP', async () => {
  const small = await new Tarn({ sql: sql + '\nALTER SYSTEM SET http_connections_max = 20;', mqtt: true }).start();
  const all = [];
  for (let i = 0; i < 60; i++) all.push(await open(small));
  all.forEach((r, i) => r.write(frame(2, CONNECT(`n${i}`))));
  await Promise.all(all.map((r) => until(() => r.bytes.length === 4)));
  assert.equal((await small.ok('GET', '/api/v1/mqtt')).clients.length, 60);
  // And a limit of their own: beyond it they are closed at once.
  await small.stop();
  const few = await new Tarn({ sql: sql + '\nALTER SYSTEM SET mqtt_connections_max = 3;', mqtt: true }).start();
  const ok = [await open(few), await open(few), await open(few)];
  const over = await open(few);
  await over.gone();
  ok.forEach((r) => r.write(frame(2, CONNECT(''))));
  await Promise.all(ok.map((r) => until(() => r.bytes.length === 4)));
  await few.stop();
});

test('a stop sends clients away, and they come back with their session', async () => {
  const o = { clientId: 'stays', clean: false, reconnectPeriod: 50, protocolVersion: 5, properties: { sessionExpiryInterval: 600 } };
  const c = await connect(t, o);
  const idle = await open();                        // Upgraded, but says nothing.
  const reasons = [], got = [];
  c.on('disconnect', (p) => reasons.push(p.reasonCode));
  c.on('message', (_, b) => got.push(b.toString()));
  await c.subscribeAsync('later', { qos: 1 });
  const again = new Promise((r) => { c.once('connect', r); });
  const ended = t.stop();
  assert.equal((await ended).code, 0);
  await until(() => reasons.length > 0);               // We may hear of its end first.
  assert.deepEqual(reasons, [0x8b]);
  await idle.gone();
  await t.start();
  assert.equal((await again).sessionPresent, true);
  const d = await connect(t);
  await d.publishAsync('later', 'now', { qos: 1 });
  await until(() => got.includes('now'));
  await d.endAsync();
  await c.endAsync();
  assert.ok(!/lost|Sanitizer|assert/i.test(t.err), t.err);
});

test('with a password: token in the handshake, token in CONNECT, nothing, a foreign page', async () => {
  const file = join(tempDir('pw'), 'pw');
  writeFileSync(file, 'correct horse\n');
  const s = await new Tarn({ sql, mqtt: true, env: { TARN_ADMIN_PASSWORD_FILE: file } }).start();
  const login = await s.call('POST', '/api/v1/login', '{"password":"correct horse"}', { 'content-type': 'application/json' });
  assert.equal(login.status, 204);
  const cookie = login.headers.get('set-cookie').split(';')[0];
  const token = async (scope) => (await s.ok('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope, days: 1 }),
    { cookie, 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' })).token;
  const [ingest, read] = [await token('ingest'), await token('read')];
  const bearer = (k) => ({ wsOptions: { headers: { authorization: `Bearer ${k}` } } });
  const v5 = { protocolVersion: 5 };

  const writer = await connect(s, { ...v5, ...bearer(ingest) });
  await writer.publishAsync('office/a/door', row(1), { qos: 1 });
  await assert.rejects(writer.subscribeAsync('x'), 'ingest may not subscribe');
  const reader = await connect(s, { ...v5, ...bearer(read) });
  await reader.subscribeAsync('x', { qos: 1 });
  await assert.rejects(reader.publishAsync('x', '1', { qos: 1 }), 'read may not publish');
  // By MQTT itself, as on the MQTT port.
  const own = await connect(s, { ...v5, username: 'any', password: ingest });
  await own.publishAsync('office/a/door', row(2), { qos: 1 });
  await assert.rejects(own.subscribeAsync('x'));
  const admin = await connect(s, { ...v5, username: 'admin', password: 'correct horse' });
  await admin.subscribeAsync('x');
  await assert.rejects(connect(s, v5), 'nobody may nothing');
  await assert.rejects(connect(s, { ...v5, username: 'a', password: 'trn_no' }));
  // The page's session: only from the page itself.
  const origin = `http://127.0.0.1:${s.port}`;
  const page = await connect(s, { ...v5, wsOptions: { headers: { cookie, origin } } });
  await page.subscribeAsync('x');
  const status = (extra) => new Promise((done) => {
    const r = new Raw(s.port);
    r.write(Buffer.from(handshake(s.port, extra)));
    until(() => r.head).then(() => { done(Number(r.head.split(' ')[1])); r.s.destroy(); });
  });
  assert.equal(await status(`Cookie: ${cookie}\r\nOrigin: http://evil.example\r\n`), 403);
  assert.equal(await status(`Cookie: ${cookie}\r\n`), 403);
  assert.equal(await status('Origin: http://evil.example\r\n'), 403);
  assert.equal(await status('Authorization: Bearer trn_no\r\n'), 401);
  assert.equal(await status(''), 101);
  for (const c of [writer, reader, own, admin, page]) c.end(true);
  await s.stop();
});

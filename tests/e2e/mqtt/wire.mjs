// A raw MQTT client for tests: it sends any bytes, right or wrong, and looks
// at every byte that comes back. Encoder and decoder are our own and know
// nothing of the C codec. 3.1.1 (version 4) and 5.0 (version 5).
//
// Waits have deadlines and end with the packet they wait for; "nothing came"
// is shown by a PINGREQ whose PINGRESP is the next packet (quiet()).
import assert from 'node:assert/strict';
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { patience } from '../lib.mjs';

const wait = 15000 * patience;

/** Where a running tarn listens for MQTT: the one place that knows. */
export async function mqttPort(tarn) {
  const port = (await tarn.ok('GET', '/api/v1/mqtt')).port;
  assert.ok(port > 0, 'the broker listens');
  return port;
}

// ---- bytes out --------------------------------------------------------------

export const T = { CONNECT: 1, CONNACK: 2, PUBLISH: 3, PUBACK: 4, PUBREC: 5, PUBREL: 6, PUBCOMP: 7, SUBSCRIBE: 8, SUBACK: 9, UNSUBSCRIBE: 10, UNSUBACK: 11, PINGREQ: 12, PINGRESP: 13, DISCONNECT: 14, AUTH: 15 };
const names = Object.fromEntries(Object.entries(T).map(([k, v]) => [v, k]));

export const u8 = (n) => Buffer.from([n]);
export const u16 = (n) => Buffer.from([n >> 8, n & 255]);
export const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
export const bin = (x) => { const b = Buffer.from(x); return Buffer.concat([u16(b.length), b]); };
/** A variable byte integer; ${least}: at least so many bytes (over-long). */
export function vbi(n, least = 1) {
  const out = [];
  do { out.push(n % 128); n = Math.floor(n / 128); } while (n > 0);
  while (out.length < least) out.push(0);
  return Buffer.from(out.map((x, i) => (i < out.length - 1 ? x | 128 : x)));
}
/** A whole packet of ${parts}; flags are the low bits of its first byte. */
export function packet(type, flags, ...parts) {
  const body = Buffer.concat(parts.map((p) => Buffer.from(p)));
  return Buffer.concat([u8(type << 4 | flags), vbi(body.length), body]);
}

// Properties: name -> identifier, form.
const props = {
  payloadFormat: [1, 'u8'], messageExpiry: [2, 'u32'], contentType: [3, 'bin'], responseTopic: [8, 'bin'], correlation: [9, 'bin'],
  subscriptionId: [11, 'vbi'], sessionExpiry: [17, 'u32'], assignedId: [18, 'bin'], serverKeepAlive: [19, 'u16'], authMethod: [21, 'bin'],
  authData: [22, 'bin'], requestProblem: [23, 'u8'], willDelay: [24, 'u32'], requestResponse: [25, 'u8'], responseInfo: [26, 'bin'],
  serverReference: [28, 'bin'], reasonString: [31, 'bin'], receiveMax: [33, 'u16'], aliasMax: [34, 'u16'], alias: [35, 'u16'],
  maximumQos: [36, 'u8'], retainAvailable: [37, 'u8'], user: [38, 'pair'], packetMax: [39, 'u32'], wildcardAvailable: [40, 'u8'],
  subscriptionIdAvailable: [41, 'u8'], sharedAvailable: [42, 'u8'],
};
const byId = Object.fromEntries(Object.entries(props).map(([name, [id, form]]) => [id, { name, form }]));
const write = { u8, u16, u32, bin, vbi, pair: ([a, b]) => Buffer.concat([bin(a), bin(b)]) };

/** {name: value} or [[name, value], ...] as a property block with its length. */
export function properties(list = {}) {
  if (Buffer.isBuffer(list)) return Buffer.concat([vbi(list.length), list]);
  const pairs = Array.isArray(list) ? list : Object.entries(list).flatMap(([k, v]) => (k === 'user' ? v.map((x) => [k, x]) : [[k, v]]));
  const body = Buffer.concat(pairs.map(([name, v]) => Buffer.concat([u8(props[name][0]), write[props[name][1]](v)])));
  return Buffer.concat([vbi(body.length), body]);
}
const block = (version, list) => (version === 5 ? properties(list) : Buffer.alloc(0));

/** CONNECT. ${flags}, ${name}, ${level} and ${tail} allow what is wrong. */
export function connectPacket(o) {
  const v = o.version;
  const w = o.will;
  const flags = o.flags ?? ((o.clean ?? true ? 2 : 0) | (w ? 4 | (w.qos ?? 0) << 3 | (w.retain ? 32 : 0) : 0)
    | (o.password !== undefined ? 64 : 0) | (o.user !== undefined ? 128 : 0));
  return packet(T.CONNECT, o.head ?? 0, bin(o.name ?? 'MQTT'), u8(o.level ?? v), u8(flags), u16(o.keepAlive ?? 0), block(v, o.props),
    bin(o.id ?? ''), ...(w ? [block(v, w.props), bin(w.topic), bin(w.payload ?? '')] : []),
    ...(o.user !== undefined ? [bin(o.user)] : []), ...(o.password !== undefined ? [bin(o.password)] : []), o.tail ?? '');
}
export const publishPacket = (v, o) => packet(T.PUBLISH, o.flags ?? ((o.dup ? 8 : 0) | (o.qos ?? 0) << 1 | (o.retain ? 1 : 0)), bin(o.topic),
  ...((o.qos ?? 0) > 0 ? [u16(o.id)] : []), block(v, o.props), o.payload ?? '');
export const ackPacket = (v, type, id, reason = 0, list = undefined) => packet(type, type === T.PUBREL ? 2 : 0, u16(id),
  ...(v === 5 && (reason || list) ? [u8(reason), ...(list ? [properties(list)] : [])] : []));
/** filters: 'a/b' or [filter, options byte]. */
export const subscribePacket = (v, id, filters, list) => packet(T.SUBSCRIBE, 2, u16(id), block(v, list),
  ...filters.flatMap((f) => (Array.isArray(f) ? [bin(f[0]), u8(f[1])] : [bin(f), u8(0)])));
export const unsubscribePacket = (v, id, filters, list) => packet(T.UNSUBSCRIBE, 2, u16(id), block(v, list), ...filters.map((f) => bin(f)));
export const pingPacket = packet(T.PINGREQ, 0);
export const disconnectPacket = (v, reason = 0, list = undefined) => packet(T.DISCONNECT, 0,
  ...(v === 5 && (reason || list) ? [u8(reason), properties(list)] : []));

// ---- bytes in ---------------------------------------------------------------

class Reader {
  constructor(b) { this.b = b; this.at = 0; }
  get left() { return this.b.length - this.at; }
  take(n) { assert.ok(this.left >= n, 'a server packet is cut short'); this.at += n; return this.b.subarray(this.at - n, this.at); }
  u8() { return this.take(1)[0]; }
  u16() { return this.take(2).readUInt16BE(); }
  u32() { return this.take(4).readUInt32BE(); }
  bin() { return this.take(this.u16()); }
  vbi() {
    let v = 0, n = 0, c;
    do { c = this.u8(); v += (c & 127) * 128 ** n++; } while (c & 128 && n < 4);
    assert.ok(!(c & 128) && vbi(v).length === n, 'MQTT-1.5.5-1: the shortest form');
    return v;
  }
  pair() { return [text(this.bin()), text(this.bin())]; }
}
const fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Every text of the server is well-formed, and has no U+0000. */
function text(b) {
  const s = fatal.decode(b);
  assert.ok(!s.includes('\0'), 'U+0000 in a text of the server');
  return s;
}
// Which properties a server may put where, and reason codes it may use.
const where = {
  CONNACK: ['sessionExpiry', 'receiveMax', 'maximumQos', 'retainAvailable', 'packetMax', 'assignedId', 'aliasMax', 'reasonString', 'user', 'wildcardAvailable',
    'subscriptionIdAvailable', 'sharedAvailable', 'serverKeepAlive', 'responseInfo', 'serverReference', 'authMethod', 'authData'],
  PUBLISH: ['payloadFormat', 'messageExpiry', 'contentType', 'responseTopic', 'correlation', 'subscriptionId', 'alias', 'user'],
  DISCONNECT: ['reasonString', 'user', 'serverReference'], AUTH: ['authMethod', 'authData', 'reasonString', 'user'],
};
const common = ['reasonString', 'user'];
const codes = {
  CONNACK: [0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f],
  PUBACK: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99], PUBREC: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  PUBREL: [0, 0x92], PUBCOMP: [0, 0x92],
  SUBACK: [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2], UNSUBACK: [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
  DISCONNECT: [0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
};
function readProperties(r, type) {
  const body = new Reader(r.take(r.vbi()));
  const out = {};
  while (body.left > 0) {
    const p = byId[body.vbi()];
    assert.ok(p && (where[type] ?? common).includes(p.name), `${type} may not carry ${p?.name}`);
    let v = body[p.form]();
    if (['contentType', 'responseTopic', 'assignedId', 'reasonString', 'authMethod'].includes(p.name)) v = text(v);
    if (p.name === 'user' || p.name === 'subscriptionId') {
      (out[p.name] ??= []).push(v);
    } else {
      assert.ok(!(p.name in out), `${p.name} twice`);
      out[p.name] = v;
    }
  }
  return out;
}
const code = (p, v) => { assert.ok(codes[p.name].includes(v), `${p.name} may not say 0x${v.toString(16)}`); return v; };
/** After an identifier: a reason and properties, both of which may be left out. */
function readTail(p, r, v) {
  p.reason = v === 5 && r.left > 0 ? code(p, r.u8()) : 0;
  p.props = v === 5 && r.left > 0 ? readProperties(r, p.name) : {};
}
/** A server's packet, every rule of its form asserted. */
export function decode(version, first, body) {
  const type = first >> 4;
  const p = { type, name: names[type], bytes: body.length + 1 + vbi(body.length).length };
  const r = new Reader(body);
  if (type === T.PUBLISH) {
    Object.assign(p, { dup: (first & 8) !== 0, qos: first >> 1 & 3, retain: (first & 1) !== 0 });
    assert.ok(p.qos < 3 && !(p.dup && p.qos === 0), 'QoS and DUP of a PUBLISH');
    p.topic = text(r.bin());
    assert.ok(!/[#+]/.test(p.topic), 'a wildcard in a topic name');
    if (p.qos > 0) p.id = r.u16();
    assert.ok(p.qos === 0 || p.id !== 0, 'an identifier is not 0');
    p.props = version === 5 ? readProperties(r, 'PUBLISH') : {};
    p.payload = Buffer.from(r.take(r.left));
    p.text = p.payload.toString();
    return p;
  }
  assert.equal(first & 15, type === T.PUBREL ? 2 : 0, `reserved flags of ${p.name}`);
  if (type === T.CONNACK) {
    const flags = r.u8();
    assert.equal(flags & 0xfe, 0, 'reserved acknowledge flags');
    p.present = flags === 1;
    p.reason = r.u8();
    // A server that speaks 3.1.1 alone to a level it does not know.
    if (version === 5 && r.left > 0) { code(p, p.reason); p.props = readProperties(r, p.name); } else { assert.ok(p.reason <= 5); p.props = {}; }
    assert.ok(!(p.present && p.reason !== 0), 'session present in a refusal');
  } else if ([T.PUBACK, T.PUBREC, T.PUBREL, T.PUBCOMP].includes(type)) {
    p.id = r.u16();
    readTail(p, r, version);
  } else if (type === T.SUBACK || type === T.UNSUBACK) {
    p.id = r.u16();
    p.props = version === 5 ? readProperties(r, p.name) : {};
    p.reasons = [...r.take(r.left)];
    for (const c of p.reasons) assert.ok(version === 5 ? code(p, c) >= 0 : [0, 1, 2, 0x80].includes(c), `${p.name} code ${c}`);
    assert.ok(version === 5 || type === T.SUBACK || p.reasons.length === 0);
  } else if (type === T.DISCONNECT) {
    assert.equal(version, 5, 'a 3.1.1 server sends no DISCONNECT');
    readTail(p, r, version);
  } else {
    assert.equal(type, T.PINGRESP, `a server does not send type ${type}`);
  }
  assert.equal(r.left, 0, `bytes behind ${p.name}`);
  return p;
}

// ---- a connection -----------------------------------------------------------

let serial = 0;
/** An identifier that no other test uses. */
export const freshId = (what = 'c') => `${what}${process.pid}x${++serial}`;

export class Client {
  constructor(version, socket) {
    this.version = version;
    this.socket = socket;
    this.packets = [];
    this.pending = Buffer.alloc(0);
    this.ended = false;
    this.bad = null;
    this.wake = () => {};
    this.nextId = 0;
    this.limit = Infinity;
    this.seen = [];
    socket.on('data', (d) => this.take(d));
    socket.on('close', () => { this.ended = true; this.wake(); });
    socket.on('error', () => { this.ended = true; this.wake(); });
  }

  static open(port, version = 5) {
    return new Promise((done, fail) => {
      const s = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => done(new Client(version, s)));
      s.once('error', fail);
    });
  }

  /** Open, CONNECT, and have been accepted. */
  static async connected(port, version, o = {}) {
    const c = await Client.open(port, version);
    c.connack = await c.connect({ id: o.id ?? freshId(), ...o });
    assert.equal(c.connack.reason, 0, `CONNACK 0x${c.connack.reason.toString(16)}`);
    return c;
  }

  take(d) {
    this.pending = Buffer.concat([this.pending, d]);
    try {
      for (;;) {
        let n = 0, at = 1, shift = 1;
        for (; at < this.pending.length; at++, shift *= 128) {
          n += (this.pending[at] & 127) * shift;
          if (!(this.pending[at] & 128)) break;
        }
        if (at >= this.pending.length || this.pending.length < at + 1 + n) break;
        const p = decode(this.version, this.pending[0], this.pending.subarray(at + 1, at + 1 + n));
        assert.ok(p.bytes <= this.limit, `${p.name} of ${p.bytes} bytes, ours is ${this.limit} at most`);
        this.packets.push(p);
        this.seen.push(p);
        this.pending = this.pending.subarray(at + 1 + n);
      }
    } catch (e) {
      this.bad = e;
    }
    this.wake();
  }

  send(...bytes) { if (!this.socket.destroyed) this.socket.write(Buffer.concat(bytes)); return this; }
  /** Break the connection without a word. */
  cut() { this.socket.destroy(); }
  async bye() { this.send(disconnectPacket(this.version)); await this.closed(); }

  /** The next packet, or null when the connection has ended. */
  async next(ms = wait) {
    const end = Date.now() + ms;
    for (;;) {
      if (this.bad) throw this.bad;
      if (this.packets.length > 0) return this.packets.shift();
      if (this.ended) return null;
      const left = end - Date.now();
      assert.ok(left > 0, `no packet within ${ms} ms`);
      await new Promise((r) => { const t = setTimeout(r, left); this.wake = () => { clearTimeout(t); r(); }; });
    }
  }

  async expect(type, match = {}) {
    const p = await this.next();
    assert.ok(p, `the connection ended, ${names[type]} was to come`);
    assert.equal(p.name, names[type], JSON.stringify({ ...p, payload: undefined }));
    for (const [k, v] of Object.entries(match)) assert.deepEqual(p[k], v, `${p.name}.${k}`);
    return p;
  }

  /** The answer to a question of ours; messages before it stay for later. */
  async answer(type, match = {}) {
    const before = [];
    for (;;) {
      const p = await this.next();
      assert.ok(p, `the connection ended, ${names[type]} was to come`);
      if (p.type === type) {
        this.packets.unshift(...before);
        for (const [k, v] of Object.entries(match)) assert.deepEqual(p[k], v, `${p.name}.${k}`);
        return p;
      }
      assert.equal(p.name, 'PUBLISH', `instead of ${names[type]}`);
      before.push(p);
    }
  }

  /** Nothing came but the answer to a PINGREQ. */
  async quiet() { this.send(pingPacket); await this.expect(T.PINGRESP); }

  /** The connection ends; what came before is returned. */
  async closed(ms = wait) {
    const all = [];
    for (let p; (p = await this.next(ms)) !== null;) all.push(p);
    return all;
  }

  /** It is closed for ${reason} (5.0: by DISCONNECT, one packet), nothing else. */
  async refused(reason, ms = wait) {
    const all = await this.closed(ms);
    if (this.version !== 5) return assert.deepEqual(all.map((p) => p.name), []);
    assert.deepEqual(all.map((p) => p.name), ['DISCONNECT']);
    assert.ok([reason].flat().includes(all[0].reason), `DISCONNECT 0x${all[0].reason.toString(16)}, not 0x${[reason].flat().map((x) => x.toString(16))}`);
    assert.ok(!('sessionExpiry' in all[0].props));
  }

  async connect(o = {}) {
    this.limit = o.props?.packetMax ?? Infinity;
    this.send(connectPacket({ version: this.version, ...o }));
    return this.expect(T.CONNACK);
  }

  id() { this.nextId = this.nextId % 65535 + 1; return this.nextId; }

  async subscribe(filters, list) {
    const id = this.id();
    const all = typeof filters === 'string' ? [filters] : filters;
    this.send(subscribePacket(this.version, id, all, list));
    const p = await this.answer(T.SUBACK, { id });
    assert.equal(p.reasons.length, all.length);
    return p;
  }

  async unsubscribe(...filters) {
    const id = this.id();
    this.send(unsubscribePacket(this.version, id, filters));
    return this.answer(T.UNSUBACK, { id });
  }

  /** A whole publish of any QoS, until it is done; the first answer. */
  async publish(topic, payload = '', o = {}) {
    const id = o.qos > 0 ? o.id ?? this.id() : undefined;
    this.send(publishPacket(this.version, { topic, payload, ...o, id }));
    if (!o.qos) return null;
    if (o.qos === 1) return this.answer(T.PUBACK, { id });
    const rec = await this.answer(T.PUBREC, { id });
    if (rec.reason >= 0x80) return rec;
    this.send(ackPacket(this.version, T.PUBREL, id));
    await this.answer(T.PUBCOMP, { id });
    return rec;
  }

  /** The next message, acknowledged to the end. */
  async message(match = {}) {
    const p = await this.expect(T.PUBLISH, match);
    await this.finish(p);
    return p;
  }

  async finish(p) {
    if (p.qos === 1) this.send(ackPacket(this.version, T.PUBACK, p.id));
    if (p.qos !== 2) return;
    this.send(ackPacket(this.version, T.PUBREC, p.id));
    await this.expect(T.PUBREL, { id: p.id });
    this.send(ackPacket(this.version, T.PUBCOMP, p.id));
  }
}

// ---- WebSocket (RFC 6455), a client's side ----------------------------------

/** A frame of ${opcode} with its mask, or ${bare} without. */
export function frame(opcode, body, { last = true, bare = false } = {}) {
  const n = body.length;
  const length = n < 126 ? [n] : n < 65536 ? [126, n >> 8, n & 255] : [127, 0, 0, 0, 0, n >>> 24, n >> 16 & 255, n >> 8 & 255, n & 255];
  length[0] |= bare ? 0 : 128;
  const mask = randomBytes(4);
  return Buffer.concat([u8((last ? 128 : 0) | opcode), Buffer.from(length), ...(bare ? [body] : [mask, Buffer.from(body).map((c, i) => c ^ mask[i & 3])])]);
}

/** Upgrade; resolves to {status, headers, socket, rest}. */
export function upgrade(port, { protocol = 'mqtt', path = '/mqtt' } = {}) {
  return new Promise((done, fail) => {
    const s = net.connect({ port, host: '127.0.0.1' }, () => s.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : ''}\r\n`));
    let head = Buffer.alloc(0);
    const timer = setTimeout(() => { s.destroy(); fail(new Error('no answer to the upgrade')); }, wait);
    s.on('error', fail);
    s.on('data', function first(d) {
      head = Buffer.concat([head, d]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      clearTimeout(timer);
      s.off('data', first);
      const [line, ...rest] = head.subarray(0, end).toString().split('\r\n');
      done({ status: Number(line.split(' ')[1]), headers: Object.fromEntries(rest.map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()])), socket: s, rest: head.subarray(end + 4) });
    });
  });
}

/** Frames of a server, one after the other, from an upgraded socket. */
export class Frames {
  constructor({ socket, rest }) {
    this.socket = socket;
    this.bytes = rest;
    this.ended = false;
    this.wake = () => {};
    socket.on('data', (d) => { this.bytes = Buffer.concat([this.bytes, d]); this.wake(); });
    socket.on('close', () => { this.ended = true; this.wake(); });
  }

  parse() {
    const b = this.bytes;
    if (b.length < 2) return null;
    assert.equal(b[1] & 128, 0, 'a server does not mask');
    assert.equal(b[0] & 0x70, 0, 'reserved bits');
    let n = b[1] & 127, at = 2;
    if (n === 126) { if (b.length < 4) return null; n = b.readUInt16BE(2); at = 4; }
    if (n === 127) { if (b.length < 10) return null; n = Number(b.readBigUInt64BE(2)); at = 10; }
    if (b.length < at + n) return null;
    this.bytes = b.subarray(at + n);
    return { last: (b[0] & 128) !== 0, opcode: b[0] & 15, body: b.subarray(at, at + n) };
  }

  /** The next frame; null at the end of the connection. */
  async next(ms = wait) {
    const end = Date.now() + ms;
    for (;;) {
      const f = this.parse();
      if (f) return f;
      if (this.ended) return null;
      const left = end - Date.now();
      assert.ok(left > 0, `no frame within ${ms} ms`);
      await new Promise((r) => { const t = setTimeout(r, left); this.wake = () => { clearTimeout(t); r(); }; });
    }
  }
}

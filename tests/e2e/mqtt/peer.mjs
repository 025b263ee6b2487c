// A client that keeps its side of the standards whatever happens to the broker:
// what was not acknowledged is sent again with DUP and the same identifier,
// PUBREL after PUBREC, received QoS 2 identifiers are remembered until PUBREL.
// It keeps this over connections, as a client with its session on disk does.
// The wire is written by hand, so that tests can stop between any two packets.
import net from 'node:net';
import { patience } from '../lib.mjs';

export const T = { CONNECT: 1, CONNACK: 2, PUBLISH: 3, PUBACK: 4, PUBREC: 5, PUBREL: 6, PUBCOMP: 7, SUBSCRIBE: 8, SUBACK: 9, UNSUBSCRIBE: 10, UNSUBACK: 11, PINGREQ: 12, PINGRESP: 13, DISCONNECT: 14, AUTH: 15 };
export const NAMES = Object.fromEntries(Object.entries(T).map(([k, v]) => [v, k.toLowerCase()]));

export const u16 = (n) => Buffer.from([n >> 8, n & 255]);
export const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u16(b.length), b]); };
export function varint(n) {
  const out = [];
  do { out.push((n & 127) | (n > 127 ? 128 : 0)); n = Math.floor(n / 128); } while (n > 0);
  return Buffer.from(out);
}
/** A packet of its first byte and the parts of its rest. */
export function packet(first, ...parts) {
  const rest = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([first]), varint(rest.length), rest]);
}
const props = (v, bytes = Buffer.alloc(0)) => (v === 5 ? Buffer.concat([varint(bytes.length), bytes]) : Buffer.alloc(0));
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };

/** ${keep}: the session outlives the connection. */
export function connectPacket(id, { v = 4, keep = false, clean = !keep, keepAlive = 0, expiry = keep ? 3600 : 0, receiveMax } = {}) {
  const p = Buffer.concat([expiry ? Buffer.concat([Buffer.from([0x11]), u32(expiry)]) : Buffer.alloc(0),
    receiveMax ? Buffer.concat([Buffer.from([0x21]), u16(receiveMax)]) : Buffer.alloc(0)]);
  return packet(0x10, text('MQTT'), Buffer.from([v, clean ? 2 : 0]), u16(keepAlive), props(v, p), text(id));
}
export function publishPacket(topic, payload, { v = 4, qos = 0, id, dup = false, retain = false } = {}) {
  return packet(0x30 | (dup ? 8 : 0) | qos << 1 | (retain ? 1 : 0), text(topic), qos ? u16(id) : Buffer.alloc(0), props(v), Buffer.from(payload));
}
export const subscribePacket = (id, filter, qos, v = 4) => packet(0x82, u16(id), props(v), text(filter), Buffer.from([qos]));
export const ackPacket = (type, id) => packet(type << 4 | (type === T.PUBREL ? 2 : 0), u16(id));

/** Whole packets off the front of ${buf}: [packets, rest]. */
export function split(buf) {
  const out = [];
  for (;;) {
    let n = 0, at = 1, shift = 0, b;
    do {
      if (at >= buf.length) return [out, buf];
      b = buf[at++];
      n += (b & 127) * 2 ** shift;
      shift += 7;
    } while (b & 128);
    if (buf.length < at + n) return [out, buf];
    out.push({ type: buf[0] >> 4, flags: buf[0] & 15, body: buf.subarray(at, at + n) });
    buf = buf.subarray(at + n);
  }
}
function skipProps(body, at, v) {
  if (v !== 5) return at;
  let n = 0, shift = 0, b;
  do { b = body[at++]; n += (b & 127) << shift; shift += 7; } while (b & 128);
  return at + n;
}
export function readPublish(p, v) {
  const qos = p.flags >> 1 & 3, n = p.body.readUInt16BE(0);
  let at = 2 + n;
  const id = qos ? p.body.readUInt16BE(at) : 0;
  if (qos) at += 2;
  at = skipProps(p.body, at, v);
  return { topic: p.body.toString('utf8', 2, 2 + n), qos, id, dup: (p.flags & 8) !== 0, retain: (p.flags & 1) !== 0, payload: p.body.toString('utf8', at) };
}

/** One connection: packets in, packets out. Does not answer anything by itself. */
export class Wire {
  constructor(port, { host = '127.0.0.1' } = {}) {
    this.port = port;
    this.host = host;
    this.rest = Buffer.alloc(0);
    this.seen = [];                       // Packets nobody has taken yet.
    this.bytes = 0;
    this.closed = new Promise((r) => { this.onClosed = r; });
    this.isClosed = false;
  }

  open() {
    return new Promise((ok, no) => {
      this.s = net.connect({ port: this.port, host: this.host, noDelay: true }, () => ok(this));
      this.s.on('data', (d) => {
        this.bytes += d.length;
        const [packets, rest] = split(this.rest.length ? Buffer.concat([this.rest, d]) : d);
        this.rest = rest;
        for (const p of packets) this.take(p);
      });
      this.s.on('error', (e) => no(e));
      this.s.on('close', () => { this.isClosed = true; this.wake?.(); this.onClosed(); no(new Error('closed')); });
    });
  }

  take(p) {
    if (this.onPacket) { this.onPacket(p); return; }
    this.seen.push(p);
    this.wake?.();
  }

  send(b) { if (!this.isClosed) this.s.write(b); }

  /** The next packet, or null when the broker hangs up, or 'late'. */
  async next(ms = 5000) {
    const end = Date.now() + ms * patience;
    while (this.seen.length === 0) {
      if (this.isClosed) return null;
      if (Date.now() > end) return 'late';
      await new Promise((r) => {
        const timer = setTimeout(r, Math.max(1, end - Date.now()));
        this.wake = () => { clearTimeout(timer); r(); };
      });
      this.wake = null;
    }
    return this.seen.shift();
  }

  async connect(id, o = {}) {
    await this.open();
    this.send(connectPacket(id, o));
    return this.next();
  }

  destroy() { this.s.destroy(); }
}

/** Those that run: whoever ends a test file early ends them. */
export const peers = new Set();

/** A client with a session of its own, for as long as the object lives. */
export class Peer {
  /** ${marks}: it sets DUP when it sends again; mqtt.js does not.
   * @param {{port: () => number, id: string, v?: number, keep?: boolean, step?: (what: string) => void, window?: number, marks?: boolean}} o */
  constructor(o) {
    Object.assign(this, { v: 4, keep: true, window: 8, step: () => {}, marks: true, ...o });
    this.out = new Map();                 // id -> {topic, payload, qos, step, sent, done}
    this.waiting = [];
    this.nextId = 1;
    this.received = new Set();            // QoS 2, between PUBLISH and PUBREL.
    this.got = [];                        // Deliveries as an application sees them.
    this.subs = [];
    this.resent = new Set();              // Payloads sent more than once.
    this.connected = false;
    this.connects = this.tries = 0;
    this.sessionsLost = 0;
    this.wanted = true;
  }

  /** Connect, and connect again whenever the connection is gone. */
  run() {
    peers.add(this);
    this.loop = (async () => {
      while (this.wanted) {
        await this.life().catch(() => {});
        this.connected = false;
        this.wire = null;
        if (this.wanted) await new Promise((r) => setTimeout(r, 5));
      }
    })();
    return this;
  }

  async life() {
    const w = this.wire = new Wire(this.port());
    this.tries++;
    const ack = await w.connect(this.id, { v: this.v, keep: this.keep });
    if (ack?.type === T.CONNACK) this.refusal = ack.body[1];
    if (!ack || ack === 'late' || ack.type !== T.CONNACK || ack.body[1] !== 0) { w.destroy(); await w.closed; return; }
    if (this.connects++ > 0 && !(ack.body[0] & 1)) this.sessionsLost++;
    w.onPacket = (p) => this.take(p);
    for (const p of w.seen.splice(0)) this.take(p);
    this.connected = true;
    for (const [id, m] of this.out) this.sendOut(id, m);
    for (const s of this.subs) if (!s.acked) w.send(subscribePacket(s.id, s.filter, s.qos, this.v));
    this.fill();
    await w.closed;
  }

  sendOut(id, m) {
    if (m.step === 'pubrel') {
      this.wire.send(ackPacket(T.PUBREL, id));
      this.step('pubrel_sent');
      return;
    }
    if (m.sent) this.resent.add(m.payload);
    this.wire.send(publishPacket(m.topic, m.payload, { v: this.v, qos: m.qos, id, dup: m.sent && this.marks, retain: m.retain }));
    m.sent = true;
    this.step(`publish_sent${m.qos}`);
  }

  fill() {
    while (this.connected && this.waiting.length > 0 && this.out.size < this.window) {
      const m = this.waiting.shift();
      while (this.out.has(this.nextId)) this.nextId = this.nextId % 65535 + 1;
      const id = this.nextId;
      this.nextId = this.nextId % 65535 + 1;
      this.out.set(id, m);
      this.sendOut(id, m);
    }
  }

  take(p) {
    const id = p.type === T.PUBLISH ? 0 : p.body.length >= 2 ? p.body.readUInt16BE(0) : 0;
    const m = this.out.get(id);
    switch (p.type) {
    case T.PUBLISH:
      this.deliver(readPublish(p, this.v));
      break;
    case T.PUBACK:
      this.step('puback_got');
      if (m?.qos === 1) { this.out.delete(id); m.done(p.body[2] ?? 0); }
      break;
    case T.PUBREC:
      this.step('pubrec_got');
      if (m) m.step = 'pubrel';
      this.wire?.send(ackPacket(T.PUBREL, id));
      this.step('pubrel_sent');
      break;
    case T.PUBCOMP:
      this.step('pubcomp_got');
      if (m) { this.out.delete(id); m.done(0); }
      break;
    case T.PUBREL:
      this.step('pubrel_got');
      this.received.delete(id);
      this.wire?.send(ackPacket(T.PUBCOMP, id));
      this.step('pubcomp_sent');
      break;
    case T.SUBACK:
      for (const s of this.subs) if (s.id === id) { s.acked = true; s.done(p.body); }
      break;
    case T.DISCONNECT:
      this.reason = p.body[0];
      break;
    default:
    }
    this.fill();
  }

  deliver(x) {
    this.step(`publish_got${x.qos}`);
    if (x.qos === 2) {
      if (!this.received.has(x.id)) this.got.push(x);
      this.received.add(x.id);
      this.wire?.send(ackPacket(T.PUBREC, x.id));
      this.step('pubrec_sent');
    } else {
      this.got.push(x);
      if (x.qos === 1) {
        this.wire?.send(ackPacket(T.PUBACK, x.id));
        this.step('puback_sent');
      }
    }
  }

  /** Resolves once the broker has all of it: PUBACK, PUBCOMP. */
  publish(topic, payload, qos, retain = false) {
    return new Promise((done) => {
      this.waiting.push({ topic, payload, qos, retain, step: 'publish', sent: false, done });
      this.fill();
    });
  }

  subscribe(filter, qos) {
    return new Promise((done) => {
      const s = { filter, qos, id: 60000 + this.subs.length, acked: false, done };
      this.subs.push(s);
      if (this.connected) this.wire.send(subscribePacket(s.id, filter, qos, this.v));
    });
  }

  drop() { this.wire?.s?.destroy(); }

  async end() {
    this.wanted = false;
    peers.delete(this);
    this.drop();
    await this.loop;
  }
}

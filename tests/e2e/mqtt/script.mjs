// Random scripts of ordinary MQTT traffic for the differential test. A script
// is data: {seed, clients: [{id, v}], steps: [{do, c, ...}]}; any step can be
// left out and the rest still makes sense (shrinking does that).
//
// What is not made, as the standards leave it to the broker what happens then:
// - Of a PUBLISH of QoS 2 without its PUBREL nobody is asked whether it was
//   delivered before or after that (5.0 4.3.3: the receiver of a PUBLISH may start
//   at either): the step `open` goes on to the end, over another connection.
//   So, too, which of two retained messages of a topic is the last when they have
//   different QoS: a burst has one of them for a topic. And which of QoS 1 and 2 come first
//   where not all may be sent: a burst has one of both. Nor are there messages for a stream and
//   others in a burst: Tarn sends them on when they are committed (4.6 orders those of one topic).
// - A client that may be sent few at a time subscribes to no wildcards: in which
//   order retained messages of many topics come is free (4.6), and so which are
//   the first; copies for overlapping subscriptions (3.3.4) take their places, too.
//   Nor does it limit their size: in mosquitto what is too large keeps its place (3.1.2-25: as if sent).
//   Another one without wildcards answers by halves (PUBREC, no PUBCOMP): copies have the QoS
//   of their subscriptions, and of one that may be sent few at a time mosquitto loses count then (3.3.4-9).
// - Nobody holds answers back or may be sent few at a time while the clock moves: mosquitto does not send
//   again what expired meanwhile (4.4.0-1, 4.3.3-7: it is to), nor what waits behind it.
// - Who falls silent has no subscriptions: whether a will that is due in the same moment
//   reaches it before is chance.
// - Members of a shared subscription have no session that lasts and answer at
//   once: who gets a message, and what becomes of what was not answered, is free (4.8.2).
// - Who takes the place of a connection with a will without a delay, and goes on with
//   its session, breaks that connection first: mosquitto does not publish such a will
//   (handle_connect.c asks whether the session ends), though the connection was closed by
//   the server (3.1.4-3 with 3.1.2-8; 3.1.1: the same). mqtt_statements.test.mjs asks it of Tarn.
// - A client has all of its subscriptions with no local or none, and a filter always the
//   same retain as published: mosquitto keeps both as they were when a filter is
//   subscribed to again (3.8.4-3: the new one replaces it). With no local it publishes
//   nothing retained: mosquitto sends it its own (3.8.3-3 excepts no message).
// - A session that lasts has subscriptions of QoS 0 alone or none of them: of the copies for
//   overlapping ones (3.3.4) mosquitto keeps those of QoS 0 for nobody who is away, and
//   what they bear (identifier, retain as published) is not in the others.
// - A will with a delay is of a session that lasts, and its client does not start clean:
//   mosquitto waits for the delay, or drops the will, when the session ends before
//   (3.1.3.2.2: published when the delay has passed or the session ends, whichever is first).
// - Wills that a moved clock makes due have a topic each: they have no order.
import { rng } from '../lib.mjs';
import { T, ackPacket, packet, publishPacket, subscribePacket, unsubscribePacket } from './wire.mjs';

/** Seconds: what is to end by a step of the clock, what is not, and that step. Far
 * from each other and from the time that a slow machine takes. Less than the
 * keep-alive that Tarn asks for, one and a half times. */
export const SHORT = 40, LONG = 1000, TICK = 80;

/** Bytes of some messages. Those that a client does not take are far above what it takes, as mosquitto
 * sends one byte more than that (3.1.2-24). */
const LARGE = 1500;

/** What a message of QoS 1 that is sent again has for its payload (step `open`). */
export const again1 = (payload) => `${payload}+`;

// Below a prefix of each run. A stream takes in/+.
const topics = ['a', 'a/b', 'a/c', 'b', 'b/c/d', '/x', 'a/', 'ü', '$x'];
const inTopics = ['in/p', 'in/q'];
const wild = ['#', '+', '+/b', 'a/#', 'a/+', '+/+', '+/+/d', 'in/#', '/#', '+/', 'a/b/#'];
const rootWild = ['#', '+/a', '+/+/b', '+/#'];
const texts = ['', 'x', 'text/plain', 'ä€', 'long'.repeat(20)];

/** Bytes that a client should not send, by what is wrong with them; ${five}: in 5.0 alone, ${quota}:
 * what raises the number of messages that may be sent in mosquitto (4.9 can be read so). Not here, as mosquitto
 * takes them: a subscription identifier of a client (3.3.4-6), no local of a shared filter (3.8.3-4), a response topic
 * with wildcards (3.3.2-14), a client's PINGRESP (3.13). And a second CONNECT (3.1.0-2), after which it
 * has forgotten session and will. */
export const wrongs = {
  'a wildcard in a topic': { bytes: (v, p) => publishPacket(v, { topic: `${p}a/+`, payload: 'x' }) },
  'an empty topic': { bytes: (v) => publishPacket(v, { topic: '', payload: 'x' }) },
  'QoS 3': { bytes: (v, p) => publishPacket(v, { topic: `${p}a`, flags: 6, qos: 1, id: 60001, payload: 'x' }) },
  'identifier 0': { bytes: (v, p) => publishPacket(v, { topic: `${p}a`, qos: 1, id: 0, payload: 'x' }) },
  'a topic that is not UTF-8': { bytes: (v) => publishPacket(v, { topic: Buffer.from([0x61, 0xc3]), payload: 'x' }) },
  'a filter with # in the midst': { bytes: (v, p) => subscribePacket(v, 60002, [`${p}#/a`]) },
  'a filter with + beside a letter': { bytes: (v, p) => subscribePacket(v, 60002, [`${p}a+`]) },
  'no filter': { bytes: (v) => subscribePacket(v, 60002, []) },
  'no filter to unsubscribe': { bytes: (v) => unsubscribePacket(v, 60002, []) },
  'QoS 3 of a filter': { bytes: (v, p) => subscribePacket(v, 60002, [[`${p}a`, 3]]) },
  'PUBREL of nothing': { bytes: (v) => ackPacket(v, T.PUBREL, 60003) },
  'PUBACK of nothing': { quota: true, bytes: (v) => ackPacket(v, T.PUBACK, 60003) },
  'PUBCOMP of nothing': { quota: true, bytes: (v) => ackPacket(v, T.PUBCOMP, 60003) },
  'a type that is a server\'s': { bytes: () => packet(T.CONNACK, 0, Buffer.from([0, 0])) },
  'flags of SUBSCRIBE': { bytes: () => packet(T.SUBSCRIBE, 0, Buffer.from([0, 1, 0, 1, 0x61, 0])) },
  'alias 0': { five: true, bytes: (v, p) => publishPacket(v, { topic: `${p}a`, props: { alias: 0 }, payload: 'x' }) },
  'an alias over the limit': { five: true, bytes: (v, p) => publishPacket(v, { topic: `${p}a`, props: { alias: 60000 }, payload: 'x' }) },
  'an alias of nothing': { five: true, bytes: (v) => publishPacket(v, { topic: '', props: { alias: 60 }, payload: 'x' }) },
  'subscription identifier 0': { five: true, bytes: (v, p) => subscribePacket(v, 60002, [`${p}a`], { subscriptionId: 0 }) },
  'retain handling 3': { five: true, bytes: (v, p) => subscribePacket(v, 60002, [[`${p}a`, 0x30]]) },
  'AUTH': { five: true, bytes: () => packet(T.AUTH, 0) },
};

class Maker {
  constructor(seed, kind) {
    this.r = rng(seed);
    this.kind = kind;
    this.steps = [];
    this.serial = 0;
    this.clients = [];
    this.topics = this.chooseTopics();
    const n = 2 + this.r.below(3), base = this.r.pick([4, 5, 5, 0]);
    for (let i = 0; i < n; i++) {
      const v = base || this.r.pick([4, 5]);
      const switches = this.r.chance(0.15), exact = this.r.chance(0.4);
      this.clients.push({ id: `c${i}`, v, own: v, on: false, switches, exact, small: v === 5 && exact && !kind.timed && this.r.chance(0.6), noLocal: v === 5 && !switches && this.r.chance(0.2),
        asPublished: new Set([...topics, ...wild, ...inTopics].filter(() => !switches && this.r.chance(0.4))), keeps: this.r.chance(kind.timed ? 0.8 : 0.6), zero: this.r.chance(0.2), delays: v === 5 && this.r.chance(0.4), subs: [] });
    }
    const v = base || this.r.pick([4, 5]);
    if (kind.share)
      for (let i = 0; i < 2 + this.r.below(2); i++) this.clients.push({ id: `m${i}`, v, own: v, on: false, member: true, subs: [] });
    // Falls silent when the clock moves.
    if (kind.timed) this.clients[0].mortal = true;
  }

  /** Few, so that they meet. */
  chooseTopics() {
    const some = Array.from({ length: 2 + this.r.below(3) }, () => this.r.pick(topics));
    return this.kind.stream ? [...some, ...inTopics] : some;
  }

  fresh(what) { return `${what}${++this.serial}`; }
  add(step) { this.steps.push(step); }

  payload(topic, what = 'p') {
    const name = this.fresh(what);
    if (topic.startsWith('in/')) return `{"value":${this.serial},"name":"${name}"}`;
    return this.r.chance(0.08) ? name + '-'.repeat(LARGE) : name;
  }

  messageProps() {
    const r = this.r, p = {}, { timed } = this.kind;
    if (r.chance(timed ? 0.3 : 0.5)) return p;
    if (r.chance(0.2)) p.payloadFormat = r.below(2);
    if (r.chance(timed ? 0.6 : 0.3)) p.messageExpiry = timed && r.chance(0.7) ? SHORT : LONG;
    if (r.chance(0.2)) p.contentType = r.pick(texts);
    if (r.chance(0.2)) p.responseTopic = r.pick(['r/x', 'ä/r']);
    if (r.chance(0.2)) p.correlation = r.pick(['', 'c', '\0ÿ']);
    if (r.chance(0.3)) p.user = Array.from({ length: 1 + r.below(3) }, () => [r.pick(['k', 'k', 'b', '']), r.pick(texts)]);
    return p;
  }

  will(c, keepAlive) {
    const r = this.r, v = c.v;
    const delay = c.keeps && c.delays && r.chance(0.6) ? (this.kind.timed && r.chance(0.6) ? SHORT : LONG) : 0;
    const topic = delay || keepAlive ? `w/${c.id}` : r.pick([...this.topics, 'w']);
    const props = v === 5 ? { ...this.messageProps(), ...(delay || r.chance(0.2) ? { willDelay: delay } : {}) } : {};
    return { topic, payload: this.payload(topic, 'w'), qos: r.below(3), retain: !c.noLocal && r.chance(0.3), props };
  }

  connect(c) {
    const r = this.r;
    c.v = c.switches ? r.pick([4, 5]) : c.own;
    const props = {};
    const clean = c.member || (c.keeps ? !c.delays && r.chance(0.15) : r.chance(0.7));
    const keepAlive = c.mortal && r.chance(0.7) ? SHORT : 0;
    if (c.v === 5) {
      const expiry = c.member ? 0 : c.keeps ? (this.kind.timed && r.chance(0.2) ? SHORT : LONG) : 0;
      if (expiry || r.chance(0.3)) props.sessionExpiry = expiry;
      if (c.small) props.receiveMax = 1 + r.below(3);
      else if (r.chance(0.2)) props.receiveMax = 1000;
      if (r.chance(0.3)) props.aliasMax = 1 + r.below(3);
      if (!c.member && !c.small && r.chance(0.1)) props.packetMax = LARGE - 400;
    }
    const will = !c.member && r.chance(0.4) ? this.will(c, keepAlive) : undefined;
    this.add({ do: 'connect', c: c.id, v: c.v, clean, keepAlive, props, will });
    if (!c.on && clean) c.subs = [];
    c.on = true;
    c.hold = false;
  }

  filter(c) {
    const r = this.r;
    if (c.member) return `$share/g/${r.pick(['sh/#', 'sh/a', 'sh/+'])}`;
    if (c.exact || r.chance(0.5)) return r.pick(this.topics);
    return r.pick(wild);
  }

  subscribe(c) {
    const r = this.r;
    const filters = new Map();
    // One filter of a group and one QoS: who gets what is free, so what it looks like must not be.
    if (c.member) filters.set('$share/g/sh/#', 1 + this.kind.shareQos);
    for (let i = c.member ? 0 : 1 + r.below(3); i > 0; i--) {
      let o = !c.keeps || c.exact ? r.below(3) : c.zero ? 0 : 1 + r.below(2);
      const f = this.filter(c);
      if (c.v === 5) o |= (c.noLocal ? 4 : 0) | (c.asPublished.has(f) ? 8 : 0) | r.pick([0, 0, 1, 2]) << 4;
      filters.set(f, o);
    }
    const step = { do: 'subscribe', c: c.id, filters: [...filters] };
    if (c.v === 5 && !c.member && r.chance(0.4)) step.subId = r.pick([1, 2, 127, 128, 300000]);
    c.subs.push(...filters.keys());
    this.add(step);
  }

  /** Filters that see the runs beside this one, too: QoS 0, and what is not ours is not looked at. */
  subscribeRoot(c) { this.add({ do: 'subscribe', c: c.id, root: true, filters: [[this.r.pick(rootWild), c.noLocal ? 4 : 0]] }); }

  unsubscribe(c) {
    const r = this.r;
    const filters = Array.from({ length: 1 + r.below(2) }, () => (c.subs.length > 0 && r.chance(0.8) ? r.pick(c.subs) : this.filter(c)));
    this.add({ do: 'unsubscribe', c: c.id, filters: [...new Set(filters)] });
  }

  message(c, topic) {
    const r = this.r;
    const retain = !c.noLocal && r.chance(0.3);
    const m = { topic, qos: r.below(3), retain, payload: retain && r.chance(0.25) ? '' : this.payload(topic) };
    if (c.v === 5) {
      m.props = this.messageProps();
      if (r.chance(0.2)) m.alias = 1 + r.below(3);
    }
    return m;
  }

  publish(c) {
    const r = this.r;
    const retained = new Set(), events = this.kind.stream && r.chance(0.4);
    const some = this.kind.share && r.chance(0.5) ? ['sh/a', 'sh/b'] : this.topics.filter((t) => inTopics.includes(t) === events);
    const messages = Array.from({ length: r.pick([1, 1, 2, 3, 5]) }, () => this.message(c, r.pick(some)));
    const two = r.chance(0.5);
    for (const m of messages) {
      if (m.qos > 0) m.qos = two ? 2 : 1;
      if (m.retain && retained.has(m.topic)) Object.assign(m, { retain: false, payload: m.payload || this.payload(m.topic) });
      if (m.retain) retained.add(m.topic);
    }
    this.add({ do: 'publish', c: c.id, messages });
  }

  /** A QoS 1 or 2 message whose connection breaks in the midst. */
  open(c) {
    const m = { ...this.message(c, this.r.pick(this.topics.filter((t) => topics.includes(t)))), qos: 1 + this.r.below(2), retain: false };
    delete m.alias;
    // Whether it is too large for somebody is asked over one of two connections.
    m.payload = this.fresh('o');
    this.add({ do: 'open', c: c.id, message: m, at: this.r.pick(['publish', 'answer', 'release']), again: this.r.chance(0.5) });
  }

  /** What the broker closes the connection for, or does not. */
  wrong(c) { this.add({ do: 'wrong', c: c.id, what: this.r.pick(Object.keys(wrongs).filter((w) => (c.v === 5 || !wrongs[w].five) && !(c.small && wrongs[w].quota))) }); }

  /** Somebody is away, misses something, and time passes. */
  away(c) {
    const other = this.clients.find((x) => x.on && x !== c && !x.member);
    if (!other || !c.keeps || c.mortal) return;
    this.subscribe(c);
    this.add({ do: 'cut', c: c.id });
    c.on = false;
    for (let i = this.r.below(3); i >= 0; i--) this.publish(other);
    this.add({ do: 'tick' });
    if (this.r.chance(0.7)) this.connect(c);
  }

  step() {
    const r = this.r, c = r.pick(this.clients), x = r.next();
    if (this.kind.timed && r.chance(0.06)) return this.add({ do: 'tick' });
    // Who is away misses something.
    if (!c.on) return r.chance(0.6) ? this.connect(c) : undefined;
    if (this.kind.timed && r.chance(0.08)) return this.away(c);
    if (x < 0.3 || (x < 0.58 && c.mortal)) return this.publish(c);
    if (x < 0.5) return this.subscribe(c);
    if (x < 0.56) return this.unsubscribe(c);
    if (c.member) {
      if (x < 0.7) { this.add({ do: 'cut', c: c.id }); c.on = false; }
      return;
    }
    if (x < 0.58) return c.exact ? undefined : this.subscribeRoot(c);
    if (!this.kind.timed && (x < 0.66 || (c.exact && !c.hold && x < 0.75))) {
      c.hold = !c.hold;
      return this.add({ do: 'hold', c: c.id, mode: !c.hold ? 'all' : c.exact && !c.small && r.chance(0.5) ? 'half' : 'none' });
    }
    if (x < 0.71) return this.add({ do: 'ack', c: c.id, n: 1 + r.below(3) });
    if (x < 0.75) return this.connect(c);         // Takes the place of itself.
    if (x < 0.78) return this.open(c);
    if (x < 0.8) return this.wrong(c);
    if (x < 0.86) {
      this.add({ do: 'cut', c: c.id });
    } else {
      this.add({ do: 'disconnect', c: c.id, reason: r.chance(0.4) ? 4 : 0, expiry: c.keeps && r.chance(0.3) ? r.pick([c.delays ? LONG : 0, SHORT, LONG]) : undefined });
    }
    c.on = false;
  }
}

/** The script of ${seed}. ${kind}: {timed: with steps of the clock, stream: topics that a stream takes, share: shared subscriptions}. */
export function makeScript(seed, kind) {
  const m = new Maker(seed, { ...kind, shareQos: seed % 2 });
  const n = 10 + m.r.below(20);
  for (const c of m.clients) if (m.r.chance(0.8)) m.connect(c);
  while (m.steps.length < n) m.step();
  if (kind.timed) m.add({ do: 'tick' });
  // Whoever is kept is back, and answers everything.
  for (const c of m.clients) {
    if (!c.on) m.add({ do: 'connect', c: c.id, v: c.v, clean: c.member === true, keepAlive: 0, props: c.v === 5 && !c.member ? { sessionExpiry: LONG } : {} });
    m.add({ do: 'hold', c: c.id, mode: 'all' });
  }
  return { seed, kind, clients: m.clients.map(({ id, member }) => ({ id, member })), steps: m.steps };
}

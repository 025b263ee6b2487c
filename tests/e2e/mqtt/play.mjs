// Plays a script (script.mjs) against one broker and notes what each client
// got in each step. No sleeps: a step is over when a round brought nothing new
// to anybody. A round is a message of QoS 1 to a subscriber whose session lasts
// (so it is behind all that the broker writes down), then a PINGREQ on every connection.
//
// Notes are free of what differs between brokers by right: packet identifiers
// (what is sent again is checked to bear the same), aliases (resolved), limits.
import { patience, within } from '../lib.mjs';
import { Client, T, ackPacket, connectPacket, disconnectPacket, pingPacket, publishPacket, subscribePacket, unsubscribePacket } from './wire.mjs';
import { LONG, SHORT, again1, wrongs } from './script.mjs';

const wait = 3000;            // Times our patience.
/** Lifetimes count down while we work; to the next of those that a script can have. */
const lifetime = (s) => Math.round(s / SHORT) * SHORT;

/** Of one connection: what the broker says, and what we owe it. */
class Actor {
  constructor(run, id, v) {
    Object.assign(this, { run, id, v, notes: [], out: new Map(), aliases: new Map(), ourAliases: new Map(), pings: 0, recs: [], waits: [], first: true });
  }

  note(x) {
    (this.run.notes[this.label] ??= []).push(x);
    this.run.busy++;
  }

  get label() { return this.old ? `${this.id} (old)` : this.id; }
  get ended() { return this.conn.ended || this.conn.bad !== null; }

  async open(packet) {
    this.conn = await Client.open(this.run.port, this.v);
    this.conn.wake = () => this.take();
    this.conn.limit = packet.props?.packetMax ?? Infinity;
    this.conn.send(connectPacket({ version: this.v, ...packet }));
    await this.until(() => !this.first);
  }

  /** Until ${what} is so or the connection is gone. */
  async until(what) {
    const late = await within(new Promise((ok) => {
      const look = () => (this.ended || what() ? ok(true) : this.waits.push(look));
      look();
    }), wait);
    if (late !== undefined) return;
    this.note({ answer: 'nothing came' });
    this.conn.cut();
  }

  take() {
    for (const p of this.conn.packets.splice(0)) this.packet(p);
    if (this.conn.bad && !this.told) this.note({ answer: `malformed: ${this.conn.bad.message}` });
    if (this.ended && !this.told) {
      this.told = true;
      if (!this.silent) this.note({ answer: 'closed', v: this.v });
    }
    for (const look of this.waits.splice(0)) look();
  }

  packet(p) {
    switch (p.type) {
    case T.CONNACK:
      this.first = false;
      if (!p.present) this.session.ids.clear();
      this.note({ answer: `CONNACK present=${p.present} reason=${p.reason}` });
      break;
    case T.PUBLISH: this.message(p); break;
    case T.PINGRESP: this.pings--; break;
    case T.PUBREL: this.released(p); break;
    case T.PUBACK: case T.PUBREC: case T.PUBCOMP: this.answered(p); break;
    case T.DISCONNECT: this.note({ answer: `DISCONNECT ${p.reason}` }); break;
    default: this.asked = p;
    }
  }

  /** To a message of ours. */
  answered(p) {
    const m = this.out.get(p.id);
    this.note({ answer: `${p.name} of ${m?.name ?? 'nothing'} ${p.reason}` });
    if (!m) return;
    if (p.type === T.PUBREC && p.reason < 0x80 && !m.stop) this.conn.send(ackPacket(this.v, T.PUBREL, p.id));
    if (p.type !== T.PUBREC || p.reason >= 0x80 || m.stop) this.out.delete(p.id);
  }

  /** What our session has: over connections. */
  get session() { return this.run.sessions[this.id]; }

  message(p) {
    const { props } = p;
    if (props.alias !== undefined && p.topic !== '') this.aliases.set(props.alias, p.topic);
    const topic = p.topic === '' ? this.aliases.get(props.alias) : p.topic;
    if (!topic.startsWith(this.run.prefix)) return;          // Of a run beside us.
    const kept = Object.entries(props).filter(([k]) => k !== 'alias').sort(([a], [b]) => (a < b ? -1 : 1));
    const shown = Object.fromEntries(kept.map(([k, v]) => [k, k === 'messageExpiry' ? lifetime(v) : Buffer.isBuffer(v) ? v.toString('latin1') : v]));
    delete shown.subscriptionId;
    const was = this.session.ids.get(p.id);
    const x = { topic: topic.slice(this.run.prefix.length), qos: p.qos, retain: p.retain, text: p.text, props: JSON.stringify(shown), ids: [...props.subscriptionId ?? []].sort((a, b) => a - b) };
    x.dup = p.dup;
    // What is sent again has the same identifier, and nothing else has that before it was answered.
    x.wrongId = p.qos > 0 && (p.dup ? was !== p.text : was !== undefined);
    if (p.qos > 0 && !this.old) this.session.ids.set(p.id, p.text);
    this.note(x);
    if (p.qos === 0 || this.old) return;
    this.session.owed.push({ id: p.id, qos: p.qos, text: p.text, step: 'publish' });
    if (this.session.mode !== 'none') this.pay();
  }

  released(p) {
    const at = this.recs.indexOf(p.id);
    this.note({ answer: `PUBREL of ${this.session.ids.get(p.id)} ${p.reason}${at > 0 ? ' NOT IN THE ORDER OF PUBRECS' : ''}` });
    if (at >= 0) this.recs.splice(at, 1);
    this.session.owed = this.session.owed.filter((o) => o.id !== p.id);
    this.session.owed.push({ id: p.id, qos: 2, step: 'release' });
    if (this.session.mode !== 'none') this.pay();
  }

  /** Answers what the mode says; ${n}: so many messages, to the end. */
  pay(n = 0) {
    const later = [];
    const texts = new Set();
    for (const o of this.session.owed) {
      if (n > 0) texts.add(o.text ?? o.id);
      const now = n > 0 ? texts.size <= n : this.session.mode === 'all' || (this.session.mode === 'half' && o.qos === 2 && o.step === 'publish');
      if (!now) { later.push(o); continue; }
      this.run.busy++;
      const type = o.step === 'release' ? T.PUBCOMP : o.qos === 1 ? T.PUBACK : T.PUBREC;
      if (type === T.PUBREC) this.recs.push(o.id);
      else this.session.ids.delete(o.id);
      this.conn.send(ackPacket(this.v, type, o.id));
    }
    this.session.owed = later;
  }

  send(bytes) { this.run.busy++; this.conn.send(bytes); }

  async cut() {
    this.silent = true;
    if (!this.conn.ended) this.conn.cut();
    await this.until(() => false);
  }
}

export class Run {
  /** ${tick}: moves the clock, or waits until it was moved. */
  constructor(script, port, prefix, tick) {
    Object.assign(this, { script, port, prefix, tick, sessions: {}, actors: {}, all: [], steps: [], busy: 0, nextId: 0, marks: 0 });
  }

  id() { this.nextId = this.nextId % 60000 + 1; return this.nextId; }

  /** What each client got in each step: [{label: [note]}]. */
  async play() {
    this.probe = await Client.connected(this.port, 5, { id: `${this.prefix}probe`, props: { sessionExpiry: 3600 } });
    // No wildcard of a script sees it; a stream takes the first.
    this.mark = `$${this.script.kind.stream ? 'in' : 'out'}/${this.prefix}mark`;
    await this.probe.subscribe([[this.mark, 1]]);
    for (const { id } of this.script.clients) this.sessions[id] = { ids: new Map(), owed: [], mode: 'all' };
    for (const step of this.script.steps) {
      this.notes = {};
      await this[step.do](step, this.actors[step.c]);
      await this.settle();
      this.steps.push(this.notes);
    }
    await this.clean();
    return this.steps;
  }

  /** Until a round brought nothing. */
  async settle() {
    do {
      this.busy = 0;
      const text = `{"value":${++this.marks}}`;
      await this.probe.publish(this.mark, text, { qos: 1 });
      await this.probe.message({ text });
      const live = this.all.filter((a) => !a.ended);
      for (const a of live) { a.pings++; a.conn.send(pingPacket); }
      for (const a of live) await a.until(() => a.pings === 0);
      this.all = this.all.filter((a) => !a.ended);
    } while (this.busy > 0);
  }

  /** Leave nothing behind for the runs beside and after us. */
  async clean() {
    this.notes = {};
    for (const topic of this.retained()) await this.probe.publish(this.prefix + topic, '', { qos: 1, retain: true });
    for (const a of this.all) await a.cut();
    for (const { id } of this.script.clients) await (await Client.connected(this.port, 5, { id: this.prefix + id })).bye();
    this.probe.send(disconnectPacket(5, 0, { sessionExpiry: 0 }));
    await this.probe.closed();
  }

  retained() {
    const all = this.script.steps.flatMap((s) => [s.will, s.message, ...s.messages ?? []]);
    return [...new Set(all.filter((m) => m?.retain).map((m) => m.topic))];
  }

  // ---- steps ----------------------------------------------------------------

  async connect({ c, v, clean, keepAlive, props, will }) {
    const s = this.sessions[c], before = this.actors[c];
    if (before && !before.ended && s.will && !s.will.props.willDelay && s.lasts && !clean) {
      await before.cut();
      await this.settle();
    }
    if (before && !before.ended) before.old = true;
    s.will = will;
    s.owed = [];
    s.mode = 'all';
    s.lasts = v === 5 ? props.sessionExpiry > 0 : !clean;
    const a = this.actors[c] = new Actor(this, c, v);
    await a.open({ id: this.prefix + c, clean, keepAlive, props, will: will && { ...will, topic: this.prefix + will.topic } });
    this.all.push(a);
    if (before?.old) await before.until(() => false);
  }

  async subscribe({ filters, subId, root }, a) {
    if (!a || a.ended) return;
    const named = filters.map(([f, o]) => [root ? f : this.filter(f), a.v === 5 ? o : o & 3]);
    a.asked = null;
    a.send(subscribePacket(a.v, this.id(), named, subId && a.v === 5 ? { subscriptionId: subId } : {}));
    await a.until(() => a.asked);
    if (a.asked) a.note({ answer: `${a.asked.name} ${a.asked.reasons}` });
  }

  filter(f) {
    const shared = /^(\$share\/g)\/(.*)$/.exec(f);
    return shared ? `${shared[1]}/${this.prefix}${shared[2]}` : this.prefix + f;
  }

  async unsubscribe({ filters }, a) {
    if (!a || a.ended) return;
    a.asked = null;
    a.send(unsubscribePacket(a.v, this.id(), filters.map((f) => this.filter(f))));
    await a.until(() => a.asked);
    if (a.asked) a.note({ answer: `${a.asked.name} ${a.asked.reasons}` });
  }

  bytes(a, m, id, dup = false) {
    const props = a.v === 5 ? { ...m.props } : {};
    let topic = this.prefix + m.topic;
    if (m.alias && a.v === 5) {
      props.alias = m.alias;
      if (a.ourAliases.get(m.alias) === topic) topic = '';
      else a.ourAliases.set(m.alias, topic);
    }
    return publishPacket(a.v, { topic, qos: m.qos, retain: m.retain, payload: m.payload, props, id, dup });
  }

  async publish({ messages }, a) {
    if (!a || a.ended) return;
    const all = [];
    for (const m of messages) {
      const id = m.qos > 0 ? this.id() : 0;
      if (id) a.out.set(id, { name: m.payload || `empty ${m.topic}` });
      all.push(this.bytes(a, m, id));
    }
    a.send(Buffer.concat(all));
    await a.until(() => a.out.size === 0);
  }

  /** A message up to ${at}, then the connection breaks; the session goes on with another one. Not with a
   * will: which of both is first is free. */
  async open({ message: m, at, again }, a) {
    const s = this.sessions[a?.id];
    if (!a || a.ended || !s.lasts || s.will) return;
    const id = this.id(), name = m.payload;
    a.out.set(id, { name, stop: at !== 'release' });
    a.send(this.bytes(a, m, id));
    if (at !== 'publish') await a.until(() => a.out.size === 0);
    else await this.settle();
    await a.cut();
    await this.settle();
    const b = this.actors[a.id] = new Actor(this, a.id, a.v);
    s.owed = [];
    await b.open({ id: this.prefix + a.id, clean: false, keepAlive: 0, props: a.v === 5 ? { sessionExpiry: LONG } : {} });
    this.all.push(b);
    if (b.ended || at === 'release' || (m.qos === 1 && at === 'answer')) return;
    b.out.set(id, { name });
    // Of QoS 1 it is another message; to be told from the first one.
    const next = m.qos === 1 ? { ...m, payload: again1(m.payload) } : m;
    b.send(at === 'publish' || again ? this.bytes(b, next, id, true) : ackPacket(b.v, T.PUBREL, id));
    await b.until(() => b.out.size === 0);
  }

  async hold({ c, mode }, a) {
    this.sessions[c].mode = mode;
    if (a && !a.ended) a.pay();
  }

  async ack({ n }, a) {
    if (a && !a.ended) a.pay(n);
  }

  async wrong({ what }, a) {
    if (a && !a.ended && (a.v === 5 || !wrongs[what].five)) a.send(wrongs[what].bytes(a.v, this.prefix));
  }

  async disconnect({ reason, expiry }, a) {
    if (!a || a.ended) return;
    a.send(disconnectPacket(a.v, reason, a.v === 5 && expiry !== undefined ? { sessionExpiry: expiry } : undefined));
    a.silent = true;
    await a.until(() => false);
  }

  async cut(step, a) {
    if (a && !a.ended) await a.cut();
  }
}

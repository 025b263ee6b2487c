// The broker when the process dies between any two steps of QoS 1 and 2, when
// the disk fails or is full, and when clients are many, slow, silent or mad.
//   TARN_CRASH ends the process at named places; client steps kill it from outside
//   strace injects EIO, a small tmpfs is filled and freed
// The clients are by hand (mqtt/peer.mjs), so that they can stop anywhere.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, rng, root, stopwatch, tempDir, until, within } from './lib.mjs';
import { Peer, T, Wire, ackPacket, connectPacket, packet, peers, publishPacket, readPublish, subscribePacket, text, u16, varint } from './mqtt/peer.mjs';

process.setMaxListeners(0);
const SOAK = !!process.env.SOAK;
const slow = /asan|tsan/.test(process.env.TARN_BIN ?? '') || !!process.env.TARN_SLOW;

const settings = `
ALTER SYSTEM SET cut_interval = '1 hour';
`;
const sql = `${settings}
CREATE TABLE plain (k text NOT NULL, ts timestamptz NOT NULL) WITH (event_time = 'ts', mqtt = 'plain/+');
CREATE TABLE keyed (id text PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts', mqtt = 'keyed/+');
CREATE MATERIALIZED VIEW plain_k AS SELECT k, count(*) AS n FROM plain GROUP BY k;
CREATE MATERIALIZED VIEW keyed_k AS SELECT id AS k, count(*) AS n FROM keyed GROUP BY id;`;
const body = (topic, k) => (/^keyed/.test(topic) ? JSON.stringify({ id: k, ts: '2026-03-01T00:00:00Z' }) :
  /^plain/.test(topic) ? JSON.stringify({ k, ts: '2026-03-01T00:00:00Z' }) : JSON.stringify({ k }));
const keyOf = (payload) => { const o = JSON.parse(payload); return o.k ?? o.id; };

after(() => Promise.all([...peers].map((p) => p.end())));

/** Publishers and subscribers of all kinds around one Tarn, and what must be true of them. */
class World {
  constructor(t, step = () => {}) {
    this.t = t;
    this.sent = [];                        // {topic, k, qos, by, acked}
    const port = () => t.mqttPort;
    const peer = (id, v, marks = true) => new Peer({ port, id, v, marks, step: (what) => step(id, what) });
    // Two of them forget DUP when they send again.
    this.pubs = [peer('pub4', 4), peer('pub5', 5), peer('bare4', 4, false), peer('bare5', 5, false)];
    this.subs = { two: peer('sub-two', 5), one: peer('sub-one', 4), both: peer('sub-both', 4) };
    this.all = [...this.pubs, ...Object.values(this.subs)];
    this.n = 0;
    this.byKey = new Map();
  }

  async begin() {
    for (const p of this.all) p.run();
    await Promise.all([this.subs.two.subscribe('free/#', 2), this.subs.one.subscribe('free/#', 1), this.subs.both.subscribe('+/x', 2),
      ...this.pubs.map((p) => p.subscribe(`none/${p.id}`, 0))]);
  }

  /** One message of each kind; settled when all are acknowledged. */
  burst() {
    const jobs = [];
    for (const by of this.pubs)
      for (const qos of [1, 2])
        for (const topic of ['plain/x', 'keyed/x', 'free/x', 'free/y']) {
          const m = { topic, qos, by, k: `${by.id}-${this.n++}`, acked: false };
          this.sent.push(m);
          this.byKey.set(m.k, m);
          jobs.push(by.publish(topic, body(topic, m.k), qos).then((reason) => { m.acked = true; m.reason = reason; }));
        }
    return Promise.all(jobs);
  }

  wants(sub, m) {
    return sub === this.subs.both ? /\/x$/.test(m.topic) : /^free/.test(m.topic);
  }

  /** All sent, delivered and settled on both sides. */
  async quiet(ms = 15000) {
    const missing = () => {
      for (const s of Object.values(this.subs)) {
        const have = new Set(s.got.map((x) => keyOf(x.payload)));
        const m = this.sent.find((x) => this.wants(s, x) && !have.has(x.k));
        if (m) return `${s.id} has no ${m.topic} ${m.k} qos ${m.qos} (acked ${m.acked})`;
        if (s.received.size > 0) return `${s.id} waits for PUBREL of ${[...s.received]}`;
      }
      return this.sent.some((m) => !m.acked) && 'not all acknowledged';
    };
    await until(() => !missing(), ms, 5).catch(async () => {
      const seen = await this.t.ok('GET', '/api/v1/mqtt').catch(String);
      throw new Error(`${missing()}; ${JSON.stringify(seen.clients ?? seen)}`);
    });
  }

  /** ${unread}: what is sent again without DUP, as the client had not read its ack though its
   * system had it, is another row (src/mqtt/README.md); so often at most. */
  async check(where, unread = 0) {
    const twice = [];
    for (const [view, re] of [['plain_k', /^plain/], ['keyed_k', /^keyed/]]) {
      const rows = new Map((await this.t.view(view, '?limit=100000')).map((r) => [r.k, r.n]));
      for (const m of this.sent.filter((x) => re.test(x.topic))) {
        if (m.qos === 1 && !m.by.marks && rows.get(m.k) === 2 && m.by.resent.has(body(m.topic, m.k))) twice.push(m.k);
        else assert.equal(rows.get(m.k), 1, `${where}: ${m.topic} ${m.k} of QoS ${m.qos} by ${m.by.id}, resent ${m.by.resent.has(body(m.topic, m.k))}: rows`);
        rows.delete(m.k);
      }
      assert.equal(rows.size, 0, `${where}: nothing was made up`);
    }
    assert.ok(twice.length <= unread, `${where}: ${twice} are there twice, of ${this.resentBare()} sent again without DUP`);
    for (const s of Object.values(this.subs)) {
      const times = new Map();
      for (const x of s.got) {
        const k = keyOf(x.payload), m = this.byKey.get(k);
        assert.ok(m && this.wants(s, m), `${where}: ${s.id} got ${x.topic} ${k}`);
        if (x.qos === 2 || m.qos === 2) assert.ok(x.qos === Math.min(m.qos, s === this.subs.one ? 1 : 2));
        if (times.has(k)) {
          if (x.qos === 2) assert.fail(`${where}: ${s.id} got ${k} of QoS 2 twice`);
          assert.ok(x.dup || (m.qos === 1 && m.by.resent.has(body(m.topic, k))), `${where}: ${s.id} got ${k} again without DUP, and nobody sent it again`);
        }
        times.set(k, (times.get(k) ?? 0) + 1);
      }
    }
    for (const p of this.all) assert.equal(p.sessionsLost, 0, `${where}: the session of ${p.id} was gone`);
  }

  resentBare() { return this.pubs.reduce((n, p) => n + (p.marks ? 0 : p.resent.size), 0); }

  async end() { await Promise.all(this.all.map((p) => p.end())); }
}

// ---- killed at each step ----------------------------------------------------

// Named places of the broker and at which passage. Every mqtt_ name in src is here.
const places = ['mqtt_publish_received:1', 'mqtt_publish_received:5', 'mqtt_publish_received:20', 'mqtt_messages_sent:1', 'mqtt_messages_sent:2',
  'mqtt_messages_done:1', 'mqtt_messages_done:3', 'mqtt_stream_committed:1', 'mqtt_stream_committed:2', 'mqtt_stream_committed:9',
  'mqtt_store_before_commit:3', 'mqtt_store_before_commit:5', 'mqtt_store_before_commit:8', 'mqtt_store_after_commit:3', 'mqtt_store_after_commit:6', 'mqtt_store_after_commit:9',
  'mqtt_store_committed:1', 'mqtt_store_committed:6', 'mqtt_ack_sent:1', 'mqtt_ack_sent:6', 'mqtt_ack_sent:17',
  'mqtt_pubrel_received:1', 'mqtt_pubrel_received:7', 'mqtt_release_stored:1', 'mqtt_release_stored:5',
  'mqtt_out_stored:1', 'mqtt_out_stored:7', 'mqtt_out_sent:1', 'mqtt_out_sent:6', 'mqtt_out_sent:23', 'mqtt_puback_received:1', 'mqtt_puback_received:5',
  'mqtt_pubrec_received:1', 'mqtt_pubrec_received:4', 'mqtt_out_released:1', 'mqtt_out_released:4', 'mqtt_pubrel_sent:1', 'mqtt_pubrel_sent:4',
  'mqtt_pubcomp_received:1', 'mqtt_pubcomp_received:4'];
// Of the log under them, with a journal that is soon full: the places of a small commit and of a checkpoint.
const logPlaces = ['log_before_journal:1', 'log_before_journal:4', 'log_journaled:1', 'log_journaled:4',
  'log_before_checkpoint:1', 'log_before_checkpoint:2', 'log_checkpointed:1', 'log_checkpointed:2'];
// And what a client sees: it kills the process when it has sent or got this.
const sights = ['publish_sent1', 'publish_sent2', 'puback_got', 'pubrec_got', 'pubrel_sent', 'pubcomp_got',
  'publish_got1', 'publish_got2', 'puback_sent', 'pubrec_sent', 'pubrel_got', 'pubcomp_sent'].flatMap((s) => [`${s}@1`, `${s}@4`]);

test('every named place of the broker in the source is among those that a process is killed at', () => {
  const named = new Set(), src = join(root, 'src');
  for (const f of readdirSync(src, { recursive: true }))
    if (f.endsWith('.c')) for (const m of readFileSync(join(src, f), 'utf8').matchAll(/tn_os_crash_point\("(mqtt_\w+)"\)/g)) named.add(m[1]);
  assert.deepEqual([...new Set(places.map((p) => p.split(':')[0]))].sort(), [...named].sort());
});

async function dieAt(place) {
  const t = new Tarn({ sql: /^log_/.test(place) ? `${sql}\nALTER SYSTEM SET log_journal_bytes = '16 KiB';` : sql, mqtt: true,
    env: place.includes(':') ? { TARN_CRASH: place } : {} });
  let left = 0, sight = '';
  if (place.includes('@')) {
    sight = place.split('@')[0];
    left = Number(place.split('@')[1]);
  }
  const w = new World(t, (id, what) => { if (what === sight && left > 0 && --left === 0) t.child.kill('SIGKILL'); });
  await t.start();
  let over = false;
  const back = t.ended.then(async () => { if (!over) { t.o.env = {}; await t.start(); } });
  await w.begin();
  // How many commits a burst is, and so when a checkpoint comes, is a matter of time.
  const dead = () => t.o.env.TARN_CRASH === undefined && left === 0;
  for (let i = 0; i < 3 || (/^log_/.test(place) && !dead() && i < 60); i++) await w.burst();
  await w.quiet();
  const reached = dead();
  over = !reached;
  t.o.env = {};
  if (reached) await back;
  await w.check(place);
  // What was told is true after a restart, too; and nothing comes again that was settled.
  await t.restart('kill');
  await until(() => w.all.every((p) => p.connected), 5000, 5);
  const before = w.all.map((p) => p.got.length);
  await w.burst();
  await w.quiet();
  await w.check(`${place}, after`);
  for (const [i, p] of w.all.entries()) {
    const more = p.got.slice(before[i]).filter((x) => !w.sent.slice(-32).some((m) => m.k === keyOf(x.payload)));
    // Acknowledged by the client, dropped from the store without a sync: QoS 1 may come once more, marked.
    assert.ok(more.every((x) => x.qos === 1 && x.dup), `${place}: ${p.id} was told again of ${JSON.stringify(more)}`);
  }
  await w.end();
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-2000));
  rmSync(t.data, { recursive: true });
  return reached;
}

test(`killed at each of ${places.length} places of the broker, ${logPlaces.length} of the log and ${sights.length} of its clients: all is there, nothing is doubled`, { timeout: 600000 }, async () => {
  const all = [...places, ...logPlaces, ...sights], missed = [];
  await Promise.all([0, 1, 2].map(async (lane) => {
    for (let i = lane; i < all.length; i += 3)
      if (!await dieAt(all[i])) missed.push(all[i]);
  }));
  assert.deepEqual(missed, [], 'places that no run came to');
});

test('killed at random while messages of QoS 1 and 2 go in and out, clients too', { timeout: SOAK ? 3600000 : 600000 }, async () => {
  const rounds = Number(process.env.MQTT_ROUNDS ?? (SOAK ? 1000 : 30)), r = rng(baseSeed);
  console.log(`seed ${baseSeed}, ${rounds} rounds`);
  const t = await new Tarn({ sql, mqtt: true }).start();
  const w = new World(t);
  await w.begin();
  const few = () => 1 + Math.floor(w.resentBare() / 30);
  let kills = 0;
  for (let i = 0; i < rounds; i++) {
    w.burst();
    await new Promise((x) => setTimeout(x, r.below(40)));
    for (const p of w.all) if (r.chance(0.15)) p.drop();
    if (r.chance(0.85)) {
      kills++;
      await t.restart('kill');
    }
    if (i % 10 === 9) {
      await w.quiet();
      await w.check(`round ${i}`, few());
    }
  }
  await w.quiet();
  await w.check('the end', few());
  console.log(`${kills} kills, ${w.sent.length} messages, ${w.pubs.reduce((a, p) => a + p.resent.size, 0)} sent again, ${w.all.reduce((a, p) => a + p.connects, 0)} connections`);
  await w.end();
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

// ---- many and mad clients -----------------------------------------------------

const status = (t, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${t.child.pid}/status`, 'utf8'))[1]);
const rss = (t) => status(t, 'VmRSS') * 1024;
const cpuSeconds = (t) => { const f = readFileSync(`/proc/${t.child.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' '); return (Number(f[11]) + Number(f[12])) / 100; };
const metric = async (t, name) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(await (await t.fetch('/metrics')).text())[1]);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const at = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/** A neighbour whose messages must go on, in order and whole, whatever others do. */
class Neighbour {
  constructor(t, id = 'neighbour') {
    this.p = new Peer({ port: () => t.mqttPort, id, keep: false });
    this.times = [];
    this.on = true;
  }

  async begin() {
    this.p.run();
    await this.p.subscribe(`own/${this.p.id}`, 1);
    this.loop = (async () => {
      for (let i = 0; this.on; i++) {
        const begun = performance.now();
        await this.p.publish(`own/${this.p.id}`, String(i), 1);
        await until(() => this.p.got.length > i, 10000, 1);
        this.times.push(performance.now() - begun);
        await sleep(2);
      }
    })();
    return this;
  }

  /** Its times: [p50, p99, longest] in ms. */
  async end() {
    this.on = false;
    await this.loop;
    assert.deepEqual(this.p.got.map((x) => x.payload), this.times.map((_, i) => String(i)), 'each once, in order');
    assert.equal(this.p.connects, 1, 'the neighbour stayed connected');
    await this.p.end();
    const s = this.times.sort((a, b) => a - b);
    return [at(s, 0.5), at(s, 0.99), at(s, 1)];
  }
}
const ms = (times) => times.map((x) => x.toFixed(1)).join(' / ');

test('10,000 idle connections: bounded memory, an idle processor, and an active client is served', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql, mqtt: true }).start();
  const n = 10000, idle = [];
  /** An active client's times, and the broker's processor time for each round trip (ms). */
  const trips = async (id, count = 200) => {
    const from = cpuSeconds(t), near = await new Neighbour(t, id).begin();
    await until(() => near.times.length >= count, 60000);
    const times = await near.end();
    return [times, (cpuSeconds(t) - from) * 1000 / near.times.length];
  };
  const [, alone] = await trips('first');                              // What the first one brings is no part of it, too.
  const before = rss(t), begun = Date.now();
  for (let i = 0; i < n; i += 250)
    await Promise.all(Array.from({ length: 250 }, async (_, k) => {
      const w = new Wire(t.mqttPort);
      const ack = await w.connect(`idle-${i + k}`, { v: 5 });
      assert.equal(ack?.type, T.CONNACK);
      assert.equal(ack.body[1], 0);
      idle.push(w);
    }));
  const took = Date.now() - begun;
  const each = (rss(t) - before) / n;
  assert.equal(await metric(t, 'tarn_mqtt_connections'), n);
  await sleep(300);
  const cpu = cpuSeconds(t), calm = performance.now();
  await sleep(2000);
  const used = (cpuSeconds(t) - cpu) * 1000 / (performance.now() - calm);
  const [times, trip] = await trips('active');
  console.log(`${n} connections in ${took} ms, ${Math.round(each)} bytes each, processor ${(used * 100).toFixed(1)} % when idle, an active client's round trip ${ms(times)} ms (p50 / p99 / longest), ${trip.toFixed(2)} ms of processor (${alone.toFixed(2)} without them)`);
  if (!slow) assert.ok(each < 4096, `${each} bytes a connection`);
  assert.ok(used < (slow ? 0.5 : 0.1), `processor ${used}`);
  // How long it takes is the machine's; what the broker does for it must not grow with those that are idle.
  assert.ok(trip < 3 * alone + 2, `${trip} ms of processor for a round trip, ${alone} without them`);
  assert.ok(idle.every((w) => !w.isClosed));
  for (const w of idle) w.destroy();
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 0, 10000);
  assert.equal(await metric(t, 'tarn_mqtt_sessions'), 0);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

const limits = `${sql}
ALTER SYSTEM SET mqtt_queued_max = '500';
ALTER SYSTEM SET mqtt_inflight_max = '20';
ALTER SYSTEM SET mqtt_unsent_bytes = '64 KiB';
ALTER SYSTEM SET mqtt_packet_bytes = '64 KiB';`;

test('a reader that does not read: memory bounded, others undisturbed, QoS 0 dropped, QoS 1 waits up to the limit', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: limits, mqtt: true }).start();
  const near = await new Neighbour(t).begin();
  const lazy = [];
  for (const qos of [0, 1, 1]) {
    const w = new Wire(t.mqttPort);
    await w.connect(`lazy-${lazy.length}`, { v: 5, keep: qos > 0 });
    w.send(subscribePacket(1, 'flood', qos, 5));
    assert.equal((await w.next()).type, T.SUBACK);
    w.s.pause();
    lazy.push(w);
  }
  const pub = new Peer({ port: () => t.mqttPort, id: 'flooder', keep: false, window: 20 }).run();
  const payload = 'x'.repeat(2000), total = 16000;
  const before = rss(t), jobs = [];
  for (let i = 0; i < total; i++) jobs.push(pub.publish('flood', `${i} ${payload}`, 1));
  let top = 0;
  const watch = setInterval(() => { top = Math.max(top, rss(t) - before); }, 20);
  await Promise.all(jobs);
  clearInterval(watch);
  console.log(`${total} messages of 2 KB past three readers that do not read: ${(top / 1e6).toFixed(1)} MB more at the top`);
  if (!slow) assert.ok(top < 16e6, `${top} bytes more`);
  const dropped = await metric(t, 'tarn_mqtt_dropped_total');
  assert.ok(dropped > 2 * (total - 600) - 5000, `${dropped} dropped`);
  // The one of QoS 1 reads at last: what waited for it comes, in order, each once.
  const w = lazy[1], got = [];
  w.onPacket = (p) => {
    if (p.type !== T.PUBLISH) return;
    const n = p.body.readUInt16BE(0), id = p.body.readUInt16BE(2 + n);
    got.push(Number(/(\d+) x/.exec(p.body.toString('latin1', 4 + n))[1]));
    w.send(ackPacket(T.PUBACK, id));
  };
  w.s.resume();
  await until(() => got.length >= 500, 10000);
  await pub.publish('flood', `${total} ${payload}`, 1);
  await until(() => got.at(-1) === total, 10000);
  assert.deepEqual(got, [...Array.from({ length: got.length - 1 }, (_, i) => i), total]);
  assert.ok(got.length <= 502 + 20, `${got.length} waited`);
  // Neither do answers pile up: pings without reading.
  const pinger = new Wire(t.mqttPort);
  await pinger.connect('pinger', { v: 4 });
  pinger.s.pause();
  const pings = Buffer.alloc(1 << 20, Buffer.from([0xc0, 0])), calm = rss(t);
  for (let i = 0; i < 24; i++) pinger.send(pings);
  for (let left = -1; left !== pinger.s.writableLength;) {
    left = pinger.s.writableLength;
    await sleep(300);
  }
  assert.ok(pinger.s.writableLength > 0, 'it is not read any more');
  if (!slow) assert.ok(rss(t) - calm < 8e6, `${rss(t) - calm} bytes more for answers`);
  for (const x of [...lazy, pinger]) x.destroy();
  await pub.end();
  console.log(`the neighbour meanwhile: ${ms(await near.end())} ms`);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('a client that never acknowledges: as many in flight as agreed, the rest waits up to the limit', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: limits, mqtt: true }).start();
  const pub = new Peer({ port: () => t.mqttPort, id: 'p', keep: false, window: 20 }).run();
  for (const [receiveMax, most, v, qos] of [[7, 7, 5, 1], [undefined, 20, 4, 1], [3, 3, 5, 2], [undefined, 20, 5, 2]]) {
    const w = new Wire(t.mqttPort), topic = `deaf/${v}-${qos}-${most}`;
    await w.connect(`deaf-${v}-${qos}-${most}`, { v, keep: true, receiveMax });
    w.send(subscribePacket(1, topic, qos, v));
    await w.next();
    await Promise.all(Array.from({ length: 700 }, (_, i) => pub.publish(topic, String(i), 2)));
    w.send(packet(0xc0));
    const seen = [];
    for (let p; (p = await w.next()).type !== T.PINGRESP;) seen.push(p);
    assert.equal(seen.length, most, `receive maximum ${receiveMax}`);
    const { clients } = await t.ok('GET', '/api/v1/mqtt');
    const me = clients.find((c) => c.client === `deaf-${v}-${qos}-${most}` || c.client_id === `deaf-${v}-${qos}-${most}` || c.id === `deaf-${v}-${qos}-${most}`);
    assert.equal(me.queued, 500);
    assert.equal(me.inflight, most);
    // One acknowledged, one more comes.
    const id = seen[0].body.readUInt16BE(2 + topic.length);
    w.send(ackPacket(qos === 1 ? T.PUBACK : T.PUBREC, id));
    if (qos === 2) {
      assert.equal((await w.next()).type, T.PUBREL);
      w.send(ackPacket(T.PUBCOMP, id));
    }
    assert.equal((await w.next()).type, T.PUBLISH);
    w.destroy();
  }
  await pub.end();
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('silent and slow peers are sent away: keep-alive, a CONNECT of 1 byte/s, none at all', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: `${limits} ALTER SYSTEM SET mqtt_connect_timeout = '2 s';`, mqtt: true }).start();
  const near = await new Neighbour(t).begin();
  const begun = Date.now(), took = [], had = stopwatch();
  const peers = Array.from({ length: 60 }, async (_, i) => {
    const w = new Wire(t.mqttPort);
    if (i % 3 === 0) {                     // No FIN, no PINGREQ.
      await w.connect(`half-${i}`, { v: i % 2 ? 4 : 5, keepAlive: 1 });
    } else {
      await w.open();
      const bytes = connectPacket(`slow-${i}`);
      (async () => { for (let k = 0; i % 3 === 1 && k < bytes.length && !w.isClosed; k++) { w.send(bytes.subarray(k, k + 1)); await sleep(1000); } })();
    }
    await w.closed;
    took.push(Date.now() - begun);
    if (i % 6 === 0) assert.equal(w.seen[0]?.body[0], 0x8d, 'keep-alive timeout');
  });
  await Promise.all(peers);
  assert.ok(had.stop() < 5000, `${Math.max(...took)} ms`);
  assert.ok(Math.min(...took) >= 1400, `${Math.min(...took)} ms`);
  console.log(`gone after ${Math.min(...took)} to ${Math.max(...took)} ms; the neighbour meanwhile: ${ms(await near.end())} ms`);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('takeover storm: 10 identifiers, 100 connections at a time, thousands of takeovers, and nothing is left', { timeout: SOAK ? 900000 : 600000 }, async () => {
  const t = await new Tarn({ sql, mqtt: true }).start();
  const near = await new Neighbour(t).begin();
  const r = rng(baseSeed), total = SOAK ? 200000 : 6000;
  let left = total, refused = 0, taken = 0;
  const storm = (n) => {
    left = n;
    return Promise.all(Array.from({ length: 100 }, async () => {
      while (left-- > 0) {
        const v = r.pick([4, 5]), w = new Wire(t.mqttPort);
        const ack = await w.connect(`storm-${r.below(10)}`, { v, keep: r.chance(0.3), clean: r.chance(0.5) }).catch(() => null);
        if (ack?.type === T.CONNACK && ack.body[1] === 0) {
          w.send(subscribePacket(1, `s/${r.below(3)}`, r.below(3), v));
          w.send(publishPacket(`s/${r.below(3)}`, 'x', { v, qos: 1, id: 2 }));
          if (r.chance(0.7)) await Promise.race([w.closed, sleep(r.below(30))]);
          taken += w.seen.some((p) => p.type === T.DISCONNECT && p.body[0] === 0x8e);
        } else if (ack !== null) {
          refused++;
        }
        w.destroy();
      }
    }));
  };
  await storm(1500);
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 1, 10000);
  const before = rss(t), begun = Date.now();
  await storm(total);
  const took = Date.now() - begun;
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 1, 10000);
  const more = rss(t) - before;
  const { clients } = await t.ok('GET', '/api/v1/mqtt');
  const takeovers = clients.reduce((a, c) => a + (c.takeovers ?? 0), 0);
  console.log(`${total} connections in ${took} ms, ${taken} told of their takeover, ${takeovers} counted in sessions that are there, ${(more / 1e6).toFixed(1)} MB more; the neighbour meanwhile: ${ms(await near.end())} ms`);
  assert.equal(refused, 0);
  assert.ok(taken > 500, `${taken} taken over`);
  if (!slow) assert.ok(more < 6e6, `${more} bytes more`);
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-3000));
});

test('packets over the limit are refused before there is memory for them', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: limits, mqtt: true }).start();
  const near = await new Neighbour(t).begin();
  const before = rss(t);
  for (let i = 0; i < 100; i++) {
    // 256 MB before CONNECT; then some of it.
    const a = new Wire(t.mqttPort);
    await a.open();
    a.send(Buffer.from([i % 2 ? 0x10 : 0x30, 0xff, 0xff, 0xff, 0x7f]));
    a.send(Buffer.alloc(4096));
    await within(a.closed, 3000);
    assert.ok(a.isClosed, 'hung up at once');
    // One byte more than may be, once connected.
    const b = new Wire(t.mqttPort);
    await b.connect(`big-${i}`, { v: 5 });
    b.send(Buffer.concat([Buffer.from([0x30]), varint(i % 2 ? 268435455 : 65536 - 3), text('t')]));
    const p = await b.next(3000);
    assert.equal(p?.type, T.DISCONNECT);
    assert.equal(p.body[0], 0x95);
    await b.closed;
    // The very largest one is taken.
    const c = new Wire(t.mqttPort);
    await c.connect(`fits-${i}`, { v: 4 });
    const most = publishPacket('t', Buffer.alloc(65536 - 4 - 5), { qos: 1, id: 1 });
    assert.ok(most.length <= 65536);
    c.send(most.subarray(0, 100));
    c.send(most.subarray(100));
    assert.equal((await c.next()).type, T.PUBACK);
    c.destroy();
  }
  const more = rss(t) - before;
  if (!slow) assert.ok(more < 2e6, `${more} bytes more`);
  await near.end();
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

/** About 500 packets that are wrong, each in its own way, with the version they are sent under (0: instead of CONNECT). */
function malformed() {
  const out = [];
  const bad = (v, ...parts) => out.push([v, Buffer.concat(parts)]);
  for (const v of [4, 5]) {
    const good = [publishPacket('a/b', 'hello', { v, qos: 1, id: 7 }), publishPacket('a/b', 'hello', { v, qos: 2, id: 8 }), subscribePacket(3, 'a/#', 1, v),
      packet(0xa2, u16(4), v === 5 ? Buffer.from([0]) : Buffer.alloc(0), text('a/#')), ackPacket(T.PUBACK, 9), ackPacket(T.PUBREL, 9), ackPacket(T.PUBCOMP, 9), packet(0xe0)];
    for (const g of good) {
      for (let flags = 0; flags < 16; flags++) if (flags !== (g[0] & 15)) bad(v, Buffer.from([(g[0] & 0xf0) | flags]), g.subarray(1));
      for (let n = 0; n < g.length - 2; n++) bad(v, Buffer.from([g[0]]), varint(n), g.subarray(2, 2 + n));        // Too short for what it says.
    }
    const connect = connectPacket('c', { v });
    for (let n = 0; n < connect.length - 2; n++) bad(0, Buffer.from([0x10]), varint(n), connect.subarray(2, 2 + n));
    for (let b = 2; b < connect.length; b++) { const c = Buffer.from(connect); c[b] ^= 0xff; bad(0, c); }
    for (let type = 0; type < 16; type++) if (type !== 1) bad(0, packet(type << 4 | 2, u16(1), text('x')));
    for (const s of [[0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xc0, 0x80], [0], [0xff], [0xe2, 0x82]]) {
      const t = Buffer.concat([u16(s.length + 1), Buffer.from('a'), Buffer.from(s)]);
      bad(v, packet(0x30, t, v === 5 ? Buffer.from([0]) : Buffer.alloc(0), Buffer.from('x')));
      bad(v, packet(0x82, u16(1), v === 5 ? Buffer.from([0]) : Buffer.alloc(0), t, Buffer.from([0])));
    }
    for (const topic of ['', 'a/#', 'a/+', '#', '+']) bad(v, publishPacket(topic, 'x', { v }));
    for (const filter of ['', 'a#', 'a/#/b', 'a+', '+a', '#/a', '$share/', '$share/g', '$share//a', '$share/+/a']) bad(v, subscribePacket(1, filter, 0, v));
    for (const o of [3, 0x40, 0x80, 0xc0, 0x30, 0xff]) bad(v, subscribePacket(1, 'a', o, v));
    for (const type of [T.CONNECT, T.CONNACK, T.SUBACK, T.UNSUBACK, T.PINGRESP, 0, T.AUTH]) bad(v, packet(type << 4, u16(1), Buffer.from([0, 0])));
    for (const n of [[0x80, 0x80, 0x80, 0x80, 1], [0xff, 0xff, 0xff, 0xff]]) bad(v, Buffer.from([0x30, ...n]));
    bad(v, packet(0x82, u16(0), v === 5 ? Buffer.from([0]) : Buffer.alloc(0), text('a'), Buffer.from([0])));
    bad(v, packet(0x32, text('a'), u16(0), Buffer.from('x')));
    bad(v, packet(0x82, u16(5)));
  }
  for (let id = 0; id < 128; id++) bad(5, packet(0x30, text('a'), Buffer.from([3, id, 0, 0]), Buffer.from('x')));   // Properties that PUBLISH has not, or broken ones.
  for (const p of [[5, 1], [0x80], [0xff, 0xff, 0xff, 0x7f], [3, 1, 7, 0], [4, 1, 0, 1, 0], [3, 0x23, 0, 0], [3, 0x23, 0xff, 0xff], [6, 0x23, 0, 1, 0x23, 0, 1]]) bad(5, packet(0x30, text('a'), Buffer.from(p), Buffer.from('x')));
  return out;
}

test('malformed packets, each many times, on one broker: a neighbour goes on, memory does not grow', { timeout: SOAK ? 900000 : 600000 }, async () => {
  const t = await new Tarn({ sql: limits, mqtt: true }).start();
  const near = await new Neighbour(t).begin();
  const list = malformed(), times = SOAK ? 500 : slow ? 5 : 20;
  assert.ok(list.length >= 480, `${list.length} of them`);
  let went = 0, n = 0;
  const one = async ([v, bytes]) => {
    const w = new Wire(t.mqttPort);
    await w.open();
    const first = v === 0 ? bytes : Buffer.concat([connectPacket(`mad-${n++ % 50}-${v}`, { v }), bytes]);
    w.send(first);
    w.s.end(packet(0xc0));                  // Unless it was sent away, it says so; then it ends its side.
    await within(w.closed, 5000);
    assert.ok(w.isClosed, `not closed: ${v} ${bytes.toString('hex')}`);
    went += !w.seen.some((p) => p.type === T.PINGRESP);
  };
  const round = async () => {
    const left = [...list];
    await Promise.all(Array.from({ length: 40 }, async () => { while (left.length > 0) await one(left.pop()); }));
  };
  await round();
  await round();
  const stayed = 2 * list.length - went;
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 1, 10000);
  const before = rss(t);
  for (let i = 2; i < times; i++) await round();
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 1, 10000);
  const more = rss(t) - before;
  console.log(`${list.length} packets x ${times}, ${stayed / 2} of them harmless, ${(more / 1e6).toFixed(2)} MB more; the neighbour meanwhile: ${ms(await near.end())} ms`);
  assert.ok(stayed / 2 < list.length / 8, `${stayed / 2} were taken`);
  if (!slow) assert.ok(more < 1 << 20, `${more} bytes more`);
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-3000));
});

// ---- the disk -------------------------------------------------------------------

const strace = spawnSync('strace', ['-V']).status === 0;
/** Into all threads, or into the one of that name. */
async function inject(t, what, thread) {
  const tasks = `/proc/${t.child.pid}/task`;
  const one = thread && readdirSync(tasks).find((id) => readFileSync(`${tasks}/${id}/comm`, 'utf8').trim() === thread);
  assert.ok(one || !thread, `a thread ${thread}`);
  const s = spawn('strace', [...(one ? [] : ['-f']), '-p', one ?? String(t.child.pid), '-o', '/dev/null', '-e', `trace=${what.split(':')[0]}`, '-e', `inject=${what}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  s.stderr.on('data', (d) => { err += d; });
  const ended = new Promise((r) => s.on('exit', r));
  await until(() => /attached/.test(err) || s.exitCode !== null, 5000, 5);
  assert.match(err, /attached/, err);
  return async () => { s.kill('SIGINT'); await ended; };
}

test('after a failed sync of the log or of the store nothing is acknowledged; a restart has all that was', { skip: !strace && 'no strace', timeout: 600000 }, async () => {
  // The log's journal has no other sync than its write (O_DSYNC).
  for (const [kind, topic, call] of [['the log', 'plain/x', 'pwrite64'], ['the store', 'free/x', 'fdatasync']]) {
    const t = await new Tarn({ sql, mqtt: true }).start();
    const w = new World(t);
    await w.begin();
    await w.burst();
    await w.quiet();
    const detach = await inject(t, `${call}:error=EIO`);
    const acked = [];
    for (const by of w.pubs)
      for (const qos of [1, 2]) {
        const m = { topic, qos, by, k: `${kind}-${by.id}-${qos}`, acked: false };
        w.sent.push(m);
        w.byKey.set(m.k, m);
        by.publish(topic, body(topic, m.k), qos).then(() => { m.acked = true; acked.push(m.k); });
      }
    const tries = w.pubs.map((p) => p.tries);
    await until(() => w.pubs.every((p, i) => p.tries >= tries[i] + 5), 10000);    // Sent away, and again.
    assert.deepEqual(acked, [], kind);
    assert.ok(w.pubs.every((p) => [...p.out.values()].every((m) => m.step === 'publish')), `${kind}: no PUBREC`);
    assert.equal(w.pubs[1].reason, 0x83, `${kind}: 5.0 is told`);
    assert.deepEqual(w.pubs.map((p) => p.refusal), [3, 0x88, 3, 0x88], `${kind}: no session that could not be kept`);
    assert.ok(w.all.every((p) => p.got.every((x) => !keyOf(x.payload).startsWith(kind))), `${kind}: nobody was told what is not on disk`);
    await detach();
    await sleep(50);
    assert.deepEqual(acked, [], `${kind}: it stays so until the restart`);
    assert.match(t.err + t.out, /kept any more|log/);
    await t.restart('stop');
    await w.quiet();
    await w.check(kind);
    await w.end();
    await t.stop();
  }
});

test('nothing is told before the disk has it: a slow sync, and a client that comes back meanwhile', { skip: !strace && 'no strace', timeout: 600000 }, async () => {
  const t = await new Tarn({ sql, mqtt: true }).start();
  const meet = async (id) => { const w = new Wire(t.mqttPort); const ack = await w.connect(id, { keep: true }); assert.equal(ack?.type, T.CONNACK); return w; };
  // A message waits for a session; it is marked as connected before it gets that.
  const sub = await meet('sub');
  sub.send(subscribePacket(1, 'one', 1));
  await sub.next();
  sub.destroy();
  await until(async () => await metric(t, 'tarn_mqtt_connections') === 0);
  let pub = await meet('pub');
  pub.send(publishPacket('one', 'x', { qos: 1, id: 1 }));
  assert.equal((await pub.next()).type, T.PUBACK);
  await sleep(50);
  let detach = await inject(t, 'fdatasync:delay_enter=300000', 'mqtt');
  let begun = performance.now();
  const again = await meet('sub');
  assert.ok(performance.now() - begun >= 290, `CONNACK after ${performance.now() - begun} ms`);
  const first = readPublish(await again.next(), 4);
  assert.deepEqual([first.payload, first.dup], ['x', false]);
  await t.kill();
  await detach();
  await t.start();
  const third = await meet('sub'), second = readPublish(await third.next(), 4);
  assert.deepEqual([second.payload, second.id, second.dup], ['x', first.id, true]);
  third.destroy();
  // What is on its way to a stream is not acknowledged to whoever sends it again over another connection.
  // The sync must last until the client is back: longer, where the machine is slow.
  const sent = [];
  for (const qos of [1, 2]) {
    for (let delay = 500, back = delay; back >= delay - 100; delay *= 2) {
      assert.ok(delay <= 32000, 'back in time');
      pub = await meet('pub');
      detach = await inject(t, `pwrite64:delay_enter=${delay * 1000}`, 'writer');
      begun = performance.now();
      const k = `slow-${qos}-${delay}`, mine = { qos, id: 10 + qos + delay }, payload = body('plain/x', k);
      sent.push([k, 1]);
      pub.send(publishPacket('plain/x', payload, mine));
      await sleep(100);
      const next = await meet('pub');
      back = performance.now() - begun;
      next.send(publishPacket('plain/x', payload, { ...mine, dup: true }));
      assert.equal((await next.next()).type, qos === 1 ? T.PUBACK : T.PUBREC);
      assert.ok(performance.now() - begun >= delay - 20, `acknowledged after ${performance.now() - begun} ms, a sync takes ${delay}`);
      await t.kill();
      await detach();
      await t.start();
    }
  }
  assert.deepEqual((await t.view('plain_k')).map((r) => [r.k, r.n]).sort(), sent.sort());
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('a full disk: no acknowledgement, 5.0 is told 0x97, and all is taken once there is space', { timeout: 600000 }, async (ctx) => {
  const dir = tempDir('full');
  const m = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', dir]);
  if (m.status !== 0) return ctx.skip(`no tmpfs may be mounted here: ${m.stderr}`);
  const t = new Tarn({ sql, mqtt: true, data: join(dir, 'data') });
  const w = new World(t), ballast = join(dir, 'ballast');
  try {
    await t.start();
    await w.begin();
    await w.burst();
    await w.quiet();
    for (let round = 0; round < 3; round++) {
      const fat = new Peer({ port: () => t.mqttPort, id: `fat-${round}`, v: 5, window: 64 }).run();
      await fat.subscribe('none/fat', 0);
      for (let size = 32 << 20; size >= 1024; size >>= 1)
        try { writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' }); } catch { /* full */ }
      w.pubs[1].reason = 0;
      const burst = w.burst(), jobs = [];
      let taken = 0;
      while (fat.reason !== 0x97 && jobs.length < 4000) {              // The pad is in no column, yet in the log.
        const k = `fat-${round}-${jobs.length}`;
        jobs.push(fat.publish('plain/fat', JSON.stringify({ k, ts: '2026-03-01T00:00:00Z', pad: randomBytes(15000).toString('base64') }), 1).then(() => taken++));
        if (jobs.length - taken > 60) await sleep(2);
      }
      assert.equal(fat.reason, 0x97);
      const was = w.sent.filter((x) => x.acked).length;
      await sleep(300);
      assert.ok(w.sent.some((x) => !x.acked), 'some wait');
      assert.equal((await t.call('GET', '/livez')).status, 200);
      rmSync(ballast);
      if (round > 0) await t.restart('kill');
      const freed = Date.now();
      await burst;
      await w.quiet();
      console.log(`round ${round}: ${was} acknowledged when full, ${taken} of ${jobs.length} fat ones, all ${w.sent.length} ${Date.now() - freed} ms after there was space`);
      await Promise.all(jobs);
      await fat.end();
      const rows = new Map((await t.view('plain_k', '?limit=100000')).map((r) => [r.k, r.n]));
      for (const [k, n] of rows) assert.equal(n, 1, `${k} is there ${n} times`);
      assert.equal([...rows.keys()].filter((k) => k.startsWith(`fat-${round}-`)).length, jobs.length, 'all that was acknowledged');
    }
    for (const p of w.all) assert.equal(p.sessionsLost, 0);
    await w.end();
    assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-1000));
  } finally {
    await w.end();
    await t.kill?.();
    rmSync(ballast, { force: true });
    spawnSync('umount', ['-l', dir]);
  }
});

test('no room for the store: 0x97 within seconds, other sessions go on, SIGTERM ends in time, and what was told is there', { timeout: 600000 }, async (ctx) => {
  const dir = tempDir('full');
  const m = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir]);
  if (m.status !== 0) return ctx.skip(`no tmpfs may be mounted here: ${m.stderr}`);
  const t = new Tarn({ sql, mqtt: true, data: join(dir, 'data') });
  const ballast = join(dir, 'ballast');
  try {
    await t.start();
    const meet = async (id, v) => { const w = new Wire(t.mqttPort); assert.equal((await w.connect(id, { v, keep: true }))?.body[1], 0); return w; };
    const p4 = await meet('p4', 4), p5 = await meet('p5', 5);
    const retained = (v, id, text) => publishPacket('r/1', text, { v, qos: 1, id, retain: true });
    p5.send(retained(5, 1, 'first'));
    assert.equal((await p5.next()).type, T.PUBACK);
    for (let size = 64 << 20; size >= 512; size >>= 1)
      for (let i = 0; i < 2; i++) try { writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' }); } catch { /* full */ }
    // LMDB uses pages again: until it needs a new one it goes on.
    let told = null;
    for (let i = 0; i < 2000 && told === null; i++) {
      p5.send(publishPacket(`r/${i}`, randomBytes(20000), { v: 5, qos: 1, id: 2 + i, retain: true }));
      const p = await p5.next(10000);
      if (p?.type !== T.PUBACK) told = p;
    }
    assert.equal(told?.type, T.DISCONNECT);
    assert.equal(told.body[0], 0x97);
    assert.equal(await metric(t, 'tarn_mqtt_store_full'), 1);
    p4.send(retained(4, 1, 'x'));
    assert.equal(await p4.next(10000), null, '3.1.1 is hung up');
    const again = new Wire(t.mqttPort), refused = await again.connect('p5', { v: 5, keep: true });
    assert.equal(refused.body[1], 0x97);
    const short = new Wire(t.mqttPort);
    assert.equal((await short.connect('short', { v: 5 })).body[1], 0);
    short.send(publishPacket('elsewhere', 'x', { v: 5, qos: 2, id: 1 }));
    assert.equal((await short.next()).type, T.PUBREC);
    const had = stopwatch();
    assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-1000));
    assert.ok(had.ms < (slow ? 15000 : 5000), `${had.stop()} ms`);
    rmSync(ballast);
    await t.start();
    const back = await meet('p5', 5);
    back.send(subscribePacket(1, 'r/1', 1, 5));
    assert.equal((await back.next()).type, T.SUBACK);
    assert.equal((await back.next()).type, T.PUBLISH);
    back.destroy();
    assert.deepEqual(await t.stop(), { code: 0, signal: null });
  } finally {
    await t.kill();
    rmSync(ballast, { force: true });
    spawnSync('umount', ['-l', dir]);
  }
});

// The normative statements of MQTT 3.1.1 and 5.0 that bind a server, on the
// wire, against the real binary: mqtt/statements.mjs says which statement is
// covered by which test here; the first tests here say that none is left out.
// mqtt/wire.mjs asserts the form of every packet the server sends.
import test, { before } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Tarn, stopwatch, until } from './lib.mjs';
import { sections, statements } from './mqtt/statements.mjs';
import {
  Client, Frames, T, ackPacket, bin, connectPacket, decode, disconnectPacket, frame, freshId, mqttPort, packet, pingPacket, properties,
  publishPacket, subscribePacket, u16, u8, unsubscribePacket, upgrade, vbi,
} from './mqtt/wire.mjs';

const sql = `
CREATE TABLE reading (ts timestamptz, device text NOT NULL, value double precision)
  WITH (mqtt = 'plant/{device}/value');
`;
let tarn, port;
/** Sessions of the first moment, looked at when more than their expiry is over. */
const early = { from: 0, all: [] };
before(async () => {
  tarn = await new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'] }).start();
  port = await mqttPort(tarn);
  early.from = Date.now();
  for (const v of both) {
    const o = { id: freshId(), clean: v === 4, props: v === 5 ? { sessionExpiry: 1 } : undefined };
    const c = await connected(v, o);
    const t = topic();
    await c.subscribe([[t, 1]]);
    early.all.push({ v, o, c, t });
  }
});

const open = (v) => Client.open(port, v);
const connected = (v, o) => Client.connected(port, v, o);
let topics = 0;
/** A topic that no other test uses. */
const topic = (what = 't') => `s/${what}/${++topics}`;
/** A session that outlives its connection, in either version. */
const lasting = (v, o = {}) => ({ clean: false, id: freshId(), ...o, props: v === 5 ? { sessionExpiry: 600, ...o.props } : undefined });
/** Send bytes on a connection of its own that is accepted, and see it refused. */
async function refuses(v, bytes, reason, what) {
  const c = await connected(v);
  c.send(bytes);
  await c.refused(reason).catch((e) => { e.message = `${what ?? ''} (version ${v}): ${e.message}`; throw e; });
}
/** A CONNECT that is answered by a refusal, or by nothing, and then closed. */
async function connectRefused(v, o, reasons, what) {
  const c = await open(v);
  c.send(Buffer.isBuffer(o) ? o : connectPacket({ version: v, id: freshId(), ...o }));
  const all = await c.closed();
  assert.ok(all.length <= 1 && all.every((p) => p.name === 'CONNACK'), `${what}: ${all.map((p) => p.name)}`);
  const said = all[0]?.reason ?? null;
  assert.ok(reasons.includes(said), `${what} (version ${v}): answered ${said}, not ${reasons}`);
}
const both = [4, 5];

// ---- the table ----------------------------------------------------------------

test('the table names a test that exists, or a reason, for each statement', () => {
  // Of this file, or as 'file: test' of another one.
  const names = {};
  const has = (what) => {
    const [, file, name] = /^(?:(\w+\.test\.mjs): )?(.*)$/.exec(what);
    const at = new URL(file ?? import.meta.url, import.meta.url);
    names[at] ??= new Set([...readFileSync(fileURLToPath(at), 'utf8').matchAll(/^test\('((?:[^'\\]|\\.)*)'/gm)].map((m) => m[1]));
    return names[at].has(name);
  };
  const ids = new Set();
  for (const s of statements) {
    const key = `${s.version} ${s.id}`;
    assert.ok(!ids.has(key), `twice: ${key}`);
    ids.add(key);
    assert.match(s.id, /^MQTT-\d+\.\d+\.\d+-\d+$/);
    assert.ok(['server', 'client', 'both'].includes(s.binds), key);
    assert.ok(s.says.length > 10, key);
    assert.ok((s.test === undefined) !== (s.unseen === undefined), `${key}: either a test or a reason`);
    if (s.test !== undefined) assert.ok(has(s.test), `${key}: no test '${s.test}'`);
    else assert.ok(s.unseen.length > 10, key);
  }
});

test('the table has every statement of both standards', () => {
  // By section, how far the standards' numbering goes; gaps are theirs.
  for (const [version, list] of Object.entries(sections))
    for (const [section, numbers] of Object.entries(list)) {
      const have = statements.filter((s) => s.version === version && s.id.startsWith(`MQTT-${section}-`)).map((s) => Number(s.id.split('-')[2])).sort((a, b) => a - b);
      assert.deepEqual(have, numbers, `${version} ${section}`);
    }
  const count = (v) => statements.filter((s) => s.version === v).length;
  const sum = (v) => Object.values(sections[v]).reduce((n, l) => n + l.length, 0);
  for (const v of ['3.1.1', '5.0']) assert.equal(count(v), sum(v), v);
  assert.equal(count('5.0'), 251);
  assert.equal(count('3.1.1'), 141);
});

// ---- texts, lengths, flags ------------------------------------------------------

const badTexts = { 'a surrogate': [0x61, 0xed, 0xa0, 0x80], 'an overlong form': [0xc0, 0xaf], 'a lone continuation': [0x61, 0x80], 'cut short': [0xe2, 0x82], 'U+0000': [0x61, 0, 0x62] };

test('texts: what is not UTF-8, and U+0000, closes the connection', async () => {
  for (const v of both)
    for (const [what, bytes] of Object.entries(badTexts)) {
      const b = Buffer.from(bytes);
      await refuses(v, publishPacket(v, { topic: b }), [0x81, 0x90], `topic: ${what}`);
      await refuses(v, subscribePacket(v, 1, [b]), [0x81, 0x8f], `filter: ${what}`);
      await refuses(v, unsubscribePacket(v, 1, [b]), [0x81, 0x8f], `filter to drop: ${what}`);
      await connectRefused(v, { id: b }, v === 5 ? [0x81, 0x85] : [null, 2], `client identifier: ${what}`);
      await connectRefused(v, { will: { topic: b } }, v === 5 ? [0x81, 0x90] : [null], `will topic: ${what}`);
      await connectRefused(v, { user: b }, v === 5 ? [0x81, 0x86] : [null], `user name: ${what}`);
      if (v === 4) continue;
      for (const list of [{ contentType: b }, { responseTopic: b }, { user: [[b, 'x']] }, { user: [['x', b]] }])
        await refuses(v, publishPacket(v, { topic: 'x', props: list }), [0x81, 0x82, 0x90], `${Object.keys(list)}: ${what}`);
    }
});

test('texts: U+FEFF is a character like others', async () => {
  for (const v of both) {
    const t = `\uFEFF${topic()}\uFEFF`;
    const c = await connected(v);
    await c.subscribe([t, t.slice(1)]);
    await c.publish(t, 'x');
    assert.equal((await c.message()).topic, t);
    await c.quiet();
    await c.bye();
  }
});

test('a topic may have 65535 bytes', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic().padEnd(65535, 'x');
    await c.subscribe(t);
    await c.publish(t, 'long', { qos: 1 });
    assert.equal((await c.message()).topic, t);
    await c.bye();
  }
});

test('lengths: an over-long integer is malformed in 5.0, a fifth byte everywhere', async () => {
  await refuses(5, Buffer.concat([u8(T.PINGREQ << 4), vbi(0, 2)]), 0x81, 'remaining length');
  await refuses(5, packet(T.PUBLISH, 0, bin('x'), vbi(0, 2)), 0x81, 'property length');
  await refuses(5, packet(T.SUBSCRIBE, 2, u16(1), properties(Buffer.concat([u8(11), vbi(5, 2)])), bin('x'), u8(0)), 0x81, 'subscription identifier');
  for (const v of both) await refuses(v, Buffer.from([T.PUBLISH << 4, 0xff, 0xff, 0xff, 0xff, 1]), 0x81, 'remaining length');
});

test('reserved flags of every type close the connection', async () => {
  for (const v of both) {
    const bodies = { PUBACK: u16(1), PUBREC: u16(1), PUBREL: u16(1), PUBCOMP: u16(1), PINGREQ: Buffer.alloc(0), DISCONNECT: Buffer.alloc(0),
      SUBSCRIBE: subscribePacket(v, 1, ['x']).subarray(2), UNSUBSCRIBE: unsubscribePacket(v, 1, ['x']).subarray(2) };
    for (const [name, body] of Object.entries(bodies)) {
      const right = ['PUBREL', 'SUBSCRIBE', 'UNSUBSCRIBE'].includes(name) ? 2 : 0;
      for (const flags of [0, 1, 2, 4, 8, 15])
        if (flags !== right) await refuses(v, packet(T[name], flags, body), 0x81, `${name} flags ${flags}`);
    }
    await connectRefused(v, { head: 1 }, v === 5 ? [0x81, null] : [null], 'CONNECT flags 1');
  }
  await refuses(5, packet(T.AUTH, 1), 0x81, 'AUTH flags 1');
  await refuses(5, packet(0, 0), 0x81, 'type 0');
  await refuses(4, packet(T.AUTH, 0), 0x81, 'type 15 in 3.1.1');
});

// ---- identifiers ----------------------------------------------------------------

test('packet identifiers: answers bear the one of the question, 0 is refused', async () => {
  for (const v of both) {
    const c = await connected(v);
    for (const id of [1, 0x7fff, 0xffff]) {
      c.send(subscribePacket(v, id, ['none/x']));
      await c.expect(T.SUBACK, { id });
      c.send(unsubscribePacket(v, id, ['none/x']));
      await c.expect(T.UNSUBACK, { id });
      await c.publish('none/y', '', { qos: 1, id });
      await c.publish('none/y', '', { qos: 2, id });
    }
    await c.bye();
    await refuses(v, publishPacket(v, { topic: 'x', qos: 1, id: 0 }), [0x81, 0x82], 'PUBLISH 0');
    await refuses(v, subscribePacket(v, 0, ['x']), [0x81, 0x82], 'SUBSCRIBE 0');
    await refuses(v, unsubscribePacket(v, 0, ['x']), [0x81, 0x82], 'UNSUBSCRIBE 0');
  }
});

test('packet identifiers of the server are not in use and first come without DUP', async () => {
  for (const v of both) {
    const c = await connected(v);
    const p = await connected(v);
    const t = topic();
    await c.subscribe([[t, 2]]);
    const used = new Set();
    // Half of them stay unanswered.
    for (let i = 0; i < 40; i++) {
      await p.publish(t, String(i), { qos: 1 + i % 2 });
      const m = await c.expect(T.PUBLISH, { dup: false, text: String(i), qos: 1 + i % 2 });
      assert.ok(!used.has(m.id), `identifier ${m.id} is in use`);
      if (i % 4 < 2) used.add(m.id);
      else await c.finish(m);
    }
    await p.bye();
    c.cut();
  }
});

// ---- CONNECT --------------------------------------------------------------------

test('the first packet is CONNECT, and there is one', async () => {
  for (const v of both) {
    for (const bytes of [pingPacket, publishPacket(v, { topic: 'x' }), subscribePacket(v, 1, ['x']), packet(T.CONNACK, 0, [0, 0]), disconnectPacket(v)]) {
      const c = await open(v);
      c.send(bytes);
      assert.deepEqual(await c.closed(), []);
    }
    await refuses(v, connectPacket({ version: v, id: freshId() }), 0x82, 'second CONNECT');
    await refuses(v, connectPacket({ version: v, id: freshId(), name: 'XXXX' }), 0x82, 'second CONNECT, another protocol');
  }
});

test('a protocol name or level that is not there is refused', async () => {
  for (const v of both) {
    for (const level of [0, 3, 6, 255, 0x83, 0x85]) await connectRefused(4, { version: v, level }, [1, 0x84], `level ${level}`);
    for (const name of ['', 'MQTTX', 'mqtt', 'HTTP']) await connectRefused(4, { version: v, name }, [null, 1, 0x84], `name ${name}`);
  }
  await connectRefused(4, { name: 'MQIsdp', level: 3 }, [1], '3.1');
});

test('CONNECT: flags that contradict each other or the payload are refused', async () => {
  for (const v of both) {
    const no = v === 5 ? [0x81, 0x82, 0x90, 0x9b] : [null];
    const will = { topic: 'x', payload: 'y' };
    await connectRefused(v, { flags: 3 }, no, 'reserved flag');
    await connectRefused(v, { flags: 2 | 4 | 3 << 3, will }, no, 'will QoS 3');
    await connectRefused(v, { flags: 2 | 1 << 3 }, no, 'will QoS without a will');
    await connectRefused(v, { flags: 2 | 32 }, no, 'will retain without a will');
    await connectRefused(v, { flags: 2 | 4 }, no, 'a will that is not there');
    await connectRefused(v, { flags: 2, will }, no, 'a will not announced');
    await connectRefused(v, { flags: 2, user: 'u' }, no, 'a user not announced');
    await connectRefused(v, { flags: 2 | 128 }, no, 'a user that is not there');
    await connectRefused(v, { flags: 2 | 128, user: 'u', password: 'p' }, no, 'a password not announced');
    await connectRefused(v, { flags: 2 | 192, user: 'u' }, no, 'a password that is not there');
    await connectRefused(v, { tail: 'x' }, no, 'bytes at the end');
    await connectRefused(v, packet(T.CONNECT, 0, bin('MQTT'), u8(v), u8(2)), no, 'no keep alive');
    await connectRefused(v, packet(T.CONNECT, 0, bin('MQTT'), u8(v), u8(2), u16(0), ...(v === 5 ? [u8(0)] : [])), no, 'no client identifier');
    await connectRefused(v, { will: { topic: 'a/+' } }, no, 'a wildcard in a will topic');
    for (const o of [{ user: 'u', password: 'p' }, { user: 'u' }, ...(v === 5 ? [{ password: 'p' }] : []), { user: 'u', password: 'p', will }])
      await (await connected(v, o)).bye();
  }
  await connectRefused(4, { flags: 2 | 64, password: 'p' }, [null], '3.1.1: a password without a user');
  for (const list of [{ receiveMax: 0 }, { packetMax: 0 }, [['aliasMax', 1], ['aliasMax', 1]], { requestProblem: 2 }, { authData: 'x' }, { serverKeepAlive: 1 }])
    await connectRefused(5, { props: list }, [0x81, 0x82], JSON.stringify(list));
});

test('CONNECT: each field of the payload is what its place says', async () => {
  for (const v of both) {
    const t = topic();
    const watch = await connected(v);
    await watch.subscribe(t);
    const c = await connected(v, { id: freshId('first'), will: { topic: t, payload: 'will' }, user: `user ${v}`, password: 'password' });
    const seen = (await tarn.ok('GET', '/api/v1/mqtt')).clients.find((x) => x.user === `user ${v}`);
    assert.match(seen.client, /^first/);
    c.cut();
    await watch.message({ topic: t, text: 'will' });
    await watch.quiet();
    await watch.bye();
  }
});

test('CONNACK comes first, once, and says yes', async () => {
  for (const v of both) {
    const t = topic();
    const c = await open(v);
    // All at once: nothing may overtake the CONNACK.
    c.send(connectPacket({ version: v, id: freshId() }), subscribePacket(v, 7, [t]), publishPacket(v, { topic: t, payload: 'x' }), pingPacket);
    const ack = await c.expect(T.CONNACK, { reason: 0, present: false });
    // There is nothing that the server cannot do.
    for (const not of ['maximumQos', 'retainAvailable', 'wildcardAvailable', 'subscriptionIdAvailable', 'sharedAvailable']) assert.equal(ack.props[not], undefined);
    await c.expect(T.SUBACK, { id: 7 });
    await c.expect(T.PUBLISH, { topic: t });
    await c.expect(T.PINGRESP);
    await c.bye();
    assert.equal(c.seen.filter((p) => p.name === 'CONNACK').length, 1);
  }
});

test('a refused CONNECT: no session, closed, and nothing after it is done', async () => {
  for (const v of both) {
    const t = topic();
    const watch = await connected(v);
    await watch.subscribe(t);
    const c = await open(v);
    const wrong = v === 5 ? { version: 5, id: freshId(), props: { authMethod: 'none-such' } } : { version: 4, id: '', clean: false };
    c.send(connectPacket(wrong), publishPacket(v, { topic: t, payload: 'never' }), pingPacket);
    const all = await c.closed();
    assert.deepEqual(all.map((p) => [p.name, p.reason, p.present]), [['CONNACK', v === 5 ? 0x8c : 2, false]]);
    await watch.quiet();
    await watch.bye();
  }
});

test('client identifiers: 1 to 23 letters and digits, and none', async () => {
  for (const v of both) {
    const all = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (const id of [`${v}`, all.slice(0, 23), all.slice(23, 46), all.slice(39, 62)]) await (await connected(v, { id })).bye();
    const a = await connected(v, { id: '' });
    const b = await connected(v, { id: '' });
    await a.quiet();
    await b.quiet();
    if (v === 5) {
      assert.ok(a.connack.props.assignedId && a.connack.props.assignedId !== b.connack.props.assignedId);
      await b.bye();
      // It is a name like one of the client's own: whoever comes with it takes over.
      const c = await connected(5, { id: a.connack.props.assignedId });
      await a.refused(0x8e);
      await c.bye();
      const d = await connected(5, { id: '', clean: false });
      assert.ok(d.connack.props.assignedId);
      await d.bye();
      const named = await connected(5);
      assert.equal(named.connack.props.assignedId, undefined);
      await named.bye();
    } else {
      await a.bye();
      await b.bye();
    }
    await connectRefused(v, { id: 'x'.repeat(60000) }, v === 5 ? [0x85] : [2], 'too long');
  }
  await connectRefused(4, { id: '', clean: false }, [2], 'none and no clean session');
});

test('a client that connects again takes the place of the old connection', async () => {
  for (const v of both) {
    const id = freshId();
    const a = await connected(v, { id });
    const b = await connected(v, { id });
    await a.refused(0x8e);
    await b.quiet();
    // The connection is closed, so its will is published, though the session goes on.
    const t = topic(), watch = await connected(v);
    await watch.subscribe(t);
    const keep = { id: freshId(), clean: false, props: v === 5 ? { sessionExpiry: 60 } : undefined };
    const old = await connected(v, { ...keep, will: { topic: t, payload: 'gone' } });
    const next = await connected(v, keep);
    await old.refused(0x8e);
    await watch.message({ text: 'gone' });
    await next.bye();
    await watch.bye();
    // A storm of them: one stays, and none is answered twice.
    const storm = await Promise.all(Array.from({ length: 30 }, async () => {
      const c = await open(v);
      c.send(connectPacket({ version: v, id }));
      return c;
    }));
    await b.refused(0x8e);
    await until(() => storm.filter((c) => !c.ended).length === 1);
    const last = storm.find((c) => !c.ended);
    await last.expect(T.CONNACK, { reason: 0 });
    await last.bye();
    for (const c of storm) assert.ok(c.seen.filter((p) => p.name === 'CONNACK').length === 1 && !c.bad, String(c.bad));
  }
});

test('keep alive: silence of one and a half times it ends the connection', async () => {
  const silent = async (v) => {
    const t = topic();
    const watch = await connected(v);
    await watch.subscribe(t);
    const c = await connected(v, { keepAlive: 1, will: { topic: t, payload: 'silent' } });
    const forever = await connected(v, { keepAlive: 0 });
    assert.ok(v === 4 || !('serverKeepAlive' in c.connack.props));
    const from = Date.now(), had = stopwatch();
    await c.refused(0x8d);
    const ms = Date.now() - from;
    assert.ok(ms >= 1400 && had.stop() < 8000, `after ${ms} ms`);
    // As if the network had failed: the will is published.
    assert.equal((await watch.message()).text, 'silent');
    await forever.quiet();
    await forever.bye();
    await watch.bye();
  };
  // Packets count, not bytes of one ...
  const slow = async (v) => {
    const c = await connected(v, { keepAlive: 1 });
    c.send(Buffer.concat([u8(T.PUBLISH << 4), vbi(60000), bin('x')]));
    const had = stopwatch();
    const drip = setInterval(() => c.send(u8(0)), 50);
    await c.refused(0x8d).finally(() => clearInterval(drip));
    assert.ok(had.stop() < 8000);
  };
  // ... but a long one may take its time.
  const long = async (v) => {
    const c = await connected(v, { keepAlive: 1 });
    const t = topic();
    await c.subscribe(t);
    const whole = publishPacket(v, { topic: t, payload: Buffer.alloc(60000, 'x') });
    let at = 0;
    const pieces = setInterval(() => { if (at < 40000) c.send(whole.subarray(at, at += 1100)); }, 100);
    await until(() => at >= 40000).finally(() => clearInterval(pieces));
    c.send(whole.subarray(at));
    assert.equal((await c.message({ topic: t })).payload.length, 60000);
    await c.bye();
  };
  await Promise.all(both.flatMap((v) => [silent(v), slow(v), long(v)]));
});

test('what the server tells of its limits is what it holds to', async () => {
  const set = { mqtt_keep_alive_max: '1 s', mqtt_session_expiry_max: '1 s', mqtt_inflight_max: '5', mqtt_subscriptions_max: '2', mqtt_queued_bytes: '1 MiB', mqtt_packet_bytes: '128 KiB' };
  const t2 = await new Tarn({ sql: sql + Object.entries(set).map(([k, x]) => `ALTER SYSTEM SET ${k} = '${x}';\n`).join(''), args: ['--mqtt', '127.0.0.1:0'] }).start();
  const at = await mqttPort(t2);
  const told = [];
  for (const keepAlive of [0, 600]) {
    const c = await Client.connected(at, 5, { keepAlive, props: { sessionExpiry: 600 } });
    const { serverKeepAlive, sessionExpiry, receiveMax, packetMax } = c.connack.props;
    assert.deepEqual([serverKeepAlive, sessionExpiry, receiveMax, packetMax], [1, 1, 5, 128 << 10]);
    told.push(c);
  }
  const less = await Client.connected(at, 5, { keepAlive: 1, props: { sessionExpiry: 1 } });
  assert.deepEqual([less.connack.props.serverKeepAlive, less.connack.props.sessionExpiry], [undefined, undefined]);
  await less.bye();
  const had = stopwatch();
  for (const c of told) await c.refused(0x8d);
  assert.ok(had.stop() < 8000);
  for (const v of both) {
    const c = await Client.connected(at, v);
    const s = await c.subscribe([['a', 0], ['b', 1], ['c', 2], ['a', 2]]);
    assert.deepEqual(s.reasons, [0, 1, v === 5 ? 0x97 : 0x80, 2]);
    c.cut();
    // A CONNECT with a will for which there is no room: not now, and closed.
    const wills = [];
    for (let last = null; !last; assert.ok(wills.length < 40)) {
      const w = await Client.open(at, v);
      w.send(connectPacket({ version: v, id: freshId(), will: { topic: 'w', payload: Buffer.alloc(65000) } }));
      const ack = await w.expect(T.CONNACK);
      if (ack.reason === 0) { wills.push(w); continue; }
      assert.equal(ack.reason, v === 5 ? 0x97 : 3);
      assert.deepEqual(await w.closed(), []);
      last = w;
    }
    for (const w of wills) await w.bye();
  }
  assert.equal((await t2.stop()).code, 0);
});

test('a token without the right: refused as the version can, and nothing is done', async () => {
  const token = {};
  for (const scope of ['ingest', 'read']) token[scope] = (await tarn.ok('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { 'content-type': 'application/json', origin: tarn.url })).token;
  for (const v of both) {
    const as = (scope, o = {}) => ({ user: 'x', password: token[scope], ...o });
    const t = topic();
    const watch = await connected(v, as('read'));
    await watch.subscribe(t);
    if (v === 5) {
      const c = await connected(v, lasting(v, as('read')));
      await c.publish(t, 'no');
      assert.equal((await c.publish(t, 'no', { qos: 1 })).reason, 0x87);
      // The identifier is free at once, and so is its place, however often.
      for (let i = 0; i < 1100; i++) assert.equal((await c.publish(t, 'no', { qos: 2, id: 7 })).reason, 0x87);
      c.send(ackPacket(5, T.PUBREL, 7));
      await c.expect(T.PUBCOMP, { id: 7, reason: 0x92 });
      await c.bye();
    } else for (const qos of [0, 1, 2]) {
      // No word for it: an ack would say that it is safe.
      const c = await connected(v, as('read'));
      c.send(publishPacket(v, { topic: t, payload: 'no', qos, id: 7 }));
      await c.closed();
    }
    const blind = await connected(v, as('ingest'));
    assert.deepEqual((await blind.subscribe([[t, 0], ['#', 2]])).reasons, v === 5 ? [0x87, 0x87] : [0x80, 0x80]);
    await blind.publish(t, 'yes', { qos: 1 });
    await blind.quiet();
    await blind.bye();
    await watch.message({ text: 'yes' });
    await connectRefused(v, as('read', { will: { topic: t, payload: 'no' } }), [v === 5 ? 0x87 : 5], 'a will');
    await connectRefused(v, { user: 'x', password: `trn_${'A'.repeat(43)}` }, [v === 5 ? 0x86 : 4], 'no such token');
    await watch.quiet();
    await watch.bye();
  }
  // One that is revoked ends what it let in.
  for (const v of both) {
    const made = await tarn.ok('POST', '/api/v1/tokens', JSON.stringify({ name: `gone ${v}`, scope: 'admin' }), { 'content-type': 'application/json', origin: tarn.url });
    const c = await connected(v, { user: 'x', password: made.token });
    await c.publish(topic(), 'yes', { qos: 1 });
    assert.equal((await tarn.call('DELETE', `/api/v1/tokens/${made.id}`, undefined, { origin: tarn.url })).status, 204);
    if (v === 5) await c.expect(T.DISCONNECT, { reason: 0x87 });
    await c.closed();
    await connectRefused(v, { user: 'x', password: made.token }, [v === 5 ? 0x86 : 4], 'revoked');
  }
});

// ---- sessions -------------------------------------------------------------------

test('sessions: kept, resumed, and thrown away by a clean start', async () => {
  for (const v of both) {
    const o = lasting(v);
    const t = topic();
    const p = await connected(v);
    let c = await connected(v, o);
    assert.equal(c.connack.present, false);
    await c.subscribe([[t, 1]]);
    await c.bye();
    await p.publish(t, 'while away', { qos: 1 });
    c = await connected(v, o);
    assert.equal(c.connack.present, true);
    assert.equal((await c.message()).text, 'while away');
    await p.publish(t, 'subscribed still', { qos: 1 });
    assert.equal((await c.message()).text, 'subscribed still');
    c.cut();
    await p.publish(t, 'of the old session', { qos: 1 });
    // Clean start: nothing of the old one is left.
    c = await connected(v, { ...o, clean: true });
    assert.equal(c.connack.present, false);
    await p.publish(t, 'nobody', { qos: 1 });
    await c.quiet();
    await c.bye();
    // 3.1.1: that session ended with its connection; 5.0: its expiry decides.
    c = await connected(v, o);
    assert.equal(c.connack.present, v === 5);
    await c.quiet();
    // Another identifier is another session.
    const other = await connected(v, lasting(v));
    assert.equal(other.connack.present, false);
    await other.bye();
    await c.bye();
    await p.bye();
  }
});

test('a session is there as long as its connection', async () => {
  // Its expiry begins with the end of the connection, not before.
  await until(() => Date.now() - early.from > 2500);
  for (const { v, o, c, t } of early.all) {
    await c.quiet();
    const next = await connected(v, { ...o, clean: false });
    await c.refused(0x8e);
    assert.equal(next.connack.present, v === 5);
    await next.publish(t, 'still', { qos: 1 });
    if (v === 5) await next.message({ text: 'still' });
    else await next.quiet();
    await next.bye();
  }
});

test('messages of QoS 1 and 2 wait for a session whose client is away', async () => {
  for (const v of both) {
    const o = lasting(v);
    const t = topic();
    const p = await connected(v);
    let c = await connected(v, o);
    await c.subscribe([[`${t}/#`, 2]]);
    c.cut();
    await until(async () => (await tarn.ok('GET', '/api/v1/mqtt')).clients.find((x) => x.client === o.id && !x.connected));
    for (const qos of [1, 2]) for (let i = 0; i < 5; i++) await p.publish(`${t}/${i}`, `${qos}${i}`, { qos });
    c = await connected(v, o);
    const got = [];
    for (let i = 0; i < 10; i++) {
      const m = await c.expect(T.PUBLISH, { dup: false });
      got.push(`${m.qos}${m.text.slice(1)}`);
      if (m.qos === 1) c.send(ackPacket(v, T.PUBACK, m.id));
    }
    assert.deepEqual(got, ['10', '11', '12', '13', '14', '20', '21', '22', '23', '24']);
    await c.quiet();
    c.cut();
    await p.bye();
  }
});

test('session expiry: 0 ends it with the connection, the seconds after it else', async () => {
  const id = freshId();
  let c = await connected(5, { id, clean: false });
  await c.bye();
  c = await connected(5, { id, clean: false, props: { sessionExpiry: 1 } });
  assert.equal(c.connack.present, false);
  await c.bye();
  const gone = await until(async () => !(await tarn.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === id));
  assert.ok(gone);
  c = await connected(5, { id, clean: false, props: { sessionExpiry: 600 } });
  assert.equal(c.connack.present, false);
  // DISCONNECT may shorten it ...
  c.send(disconnectPacket(5, 0, { sessionExpiry: 0 }));
  await c.closed();
  c = await connected(5, { id, clean: false });
  assert.equal(c.connack.present, false);
  // ... and lengthen it ...
  c = await connected(5, { id, clean: false, props: { sessionExpiry: 1 } });
  c.send(disconnectPacket(5, 0, { sessionExpiry: 600 }));
  await c.closed();
  const short = freshId();
  await (await connected(5, { id: short, props: { sessionExpiry: 1 } })).bye();
  await until(async () => !(await tarn.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === short));
  c = await connected(5, { id, clean: false });
  assert.equal(c.connack.present, true);
  // ... but not give one where there was none.
  c.send(disconnectPacket(5, 0, { sessionExpiry: 5 }));
  await c.refused(0x82);
});

test('sessions, queues and retained messages outlive a restart', async () => {
  const t2 = new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'] });
  await t2.start();
  let at = await mqttPort(t2);
  const kept = {};
  for (const v of both) {
    const o = kept[v] = { o: lasting(v), t: topic() };
    const c = await Client.connected(at, v, o.o);
    await c.subscribe([[o.t, 2]]);
    await c.publish(`${o.t}/r`, 'retained', { qos: 1, retain: true });
    await c.publish(o.t, 'in flight', { qos: 2 }).catch(() => {});
    // The first one is in flight, and the next ones are not sent.
    o.first = c.seen.find((p) => p.name === 'PUBLISH');
    c.cut();
    const p = await Client.connected(at, v);
    await p.publish(o.t, 'queued', { qos: 1 });
    // A QoS 2 publish of the client between PUBREC and PUBREL.
    o.sender = lasting(v);
    const s = await Client.connected(at, v, o.sender);
    s.send(publishPacket(v, { topic: o.t, qos: 2, id: 77, payload: 'once' }));
    await s.expect(T.PUBREC, { id: 77 });
    s.cut();
    p.cut();
  }
  await t2.restart('kill');
  at = await mqttPort(t2);
  for (const v of both) {
    const o = kept[v];
    const s = await Client.connected(at, v, o.sender);
    assert.equal(s.connack.present, true);
    s.send(publishPacket(v, { topic: o.t, qos: 2, id: 77, payload: 'once', dup: true }));
    await s.expect(T.PUBREC, { id: 77 });
    s.send(ackPacket(v, T.PUBREL, 77));
    await s.expect(T.PUBCOMP, { id: 77 });
    const c = await Client.connected(at, v, o.o);
    assert.equal(c.connack.present, true);
    const m = await c.expect(T.PUBLISH, { text: 'in flight', qos: 2 });
    if (o.first) assert.equal(m.id, o.first.id);
    assert.equal((await c.expect(T.PUBLISH)).text, 'queued');
    assert.equal((await c.expect(T.PUBLISH)).text, 'once');
    await c.quiet();
    await c.subscribe(`${o.t}/r`);
    await c.message({ retain: true, text: 'retained' });
    c.cut();
  }
  assert.equal((await t2.stop()).code, 0);
});

// ---- wills ----------------------------------------------------------------------

test('will: published when the connection breaks, as the client asked', async () => {
  for (const v of both)
    for (const qos of [0, 1, 2])
      for (const retain of [false, true]) {
        const t = topic('will');
        const watch = await connected(v);
        await watch.subscribe([[t, 2]]);
        const user = [['b', '1'], ['a', '2'], ['b', '0']];
        const c = await connected(v, { will: { topic: t, payload: 'gone', qos, retain, props: v === 5 ? { user, contentType: 'text/x', payloadFormat: 1, correlation: 'c', responseTopic: 'r' } : undefined } });
        await watch.quiet();
        c.cut();
        const m = await watch.message({ topic: t, text: 'gone', qos, retain: false });
        if (v === 5) assert.deepEqual([m.props.user, m.props.contentType, m.props.payloadFormat, String(m.props.correlation), m.props.responseTopic], [user, 'text/x', 1, 'c', 'r']);
        await watch.quiet();
        // As a retained message, or not.
        await watch.subscribe([[t, 2]]);
        if (retain) await watch.message({ retain: true, text: 'gone' });
        await watch.quiet();
        await watch.publish(t, '', { retain });
        await watch.bye();
      }
});

test('will: DISCONNECT takes it away, other codes and errors do not', async () => {
  for (const v of both) {
    const t = topic('will');
    const watch = await connected(v);
    await watch.subscribe(t);
    const will = { topic: t, payload: 'gone' };
    const id = freshId();
    await (await connected(v, { id, will })).bye();
    await watch.quiet();
    // It is not of a later connection of the same client, either.
    const again = await connected(v, { id });
    again.cut();
    await until(async () => !(await tarn.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === id));
    await watch.quiet();
    // A protocol error, and a take-over, are no goodbye.
    const c = await connected(v, { will });
    c.send(packet(T.PUBLISH, 6, bin('x'), u16(1)));
    await c.closed();
    await watch.message({ text: 'gone' });
    const d = await connected(v, { id, will });
    const e = await connected(v, { id });
    await d.closed();
    await watch.message({ text: 'gone' });
    await e.bye();
    await watch.quiet();
    if (v === 4) continue;
    for (const reason of [0x04, 0x80]) {
      const f = await connected(5, { will });
      f.send(disconnectPacket(5, reason));
      await f.closed();
      await watch.message({ text: 'gone' });
    }
    await watch.bye();
  }
});

test('will delay: kept back while the session goes on, said when it ends', async () => {
  const t = topic('will');
  const watch = await connected(5);
  await watch.subscribe(t);
  const o = lasting(5, { will: { topic: t, payload: 'gone', props: { willDelay: 600 } } });
  let c = await connected(5, o);
  c.cut();
  await until(async () => (await tarn.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === o.id && !x.connected));
  await watch.quiet();
  c = await connected(5, o);
  assert.equal(c.connack.present, true);
  await watch.quiet();
  c.cut();
  // A clean start ends the session, and so does its expiry: then it is time.
  c = await connected(5, { id: o.id });
  await watch.message({ text: 'gone' });
  await c.bye();
  c = await connected(5, { ...o, id: freshId(), props: { sessionExpiry: 1 } });
  c.cut();
  await watch.message({ text: 'gone' });
  // A take-over within the delay keeps it back, too, unless the session ends.
  for (const ends of [false, true]) {
    const id = freshId();
    c = await connected(5, { ...o, id, props: { sessionExpiry: ends ? 0 : 600 } });
    const next = await connected(5, { id, clean: false });
    await c.refused(0x8e);
    assert.equal(next.connack.present, !ends);
    if (ends) await watch.message({ text: 'gone' });
    await watch.quiet();
    await next.bye();
    await watch.quiet();
  }
  c = await connected(5, { ...o, id: freshId() });
  c.send(disconnectPacket(5, 4, { sessionExpiry: 0 }));
  await watch.message({ text: 'gone' });
  c = await connected(5, { ...o, id: freshId(), will: { ...o.will, props: { willDelay: 1 } } });
  c.cut();
  await watch.message({ text: 'gone' });
  await watch.quiet();
  await watch.bye();
});

test('a will outlives a kill of the server, and waits out its delay over a stop', async () => {
  const t2 = await new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'] }).start();
  let at = await mqttPort(t2);
  const all = [];
  for (const v of both) {
    const t = topic('will'), will = (name, more = {}) => ({ will: { topic: `${t}/${name}`, payload: name, qos: 1, ...more } });
    await Client.connected(at, v, will('clean', { retain: true }));
    await Client.connected(at, v, { will: { topic: 'plant/will/value', payload: `{"value":${v}}` } });
    await Client.connected(at, v, lasting(v, will('kept')));
    await (await Client.connected(at, v, will('polite'))).bye();
    const device = { id: freshId(), ...will('state', { payload: 'offline', retain: true }) };
    await Client.connected(at, v, device);
    const back = lasting(v, will('back', { props: v === 5 ? { willDelay: 600 } : undefined }));
    if (v === 5) {
      await Client.connected(at, v, { ...lasting(v, will('ends', { props: { willDelay: 600 } })), props: { sessionExpiry: 1 } });
      await Client.connected(at, v, back);
    }
    // Its SUBACK comes from the disk, behind all that was before.
    const o = lasting(v);
    await (await Client.connected(at, v, o)).subscribe([[`${t}/#`, 1]]);
    all.push({ v, t, o, back, device });
  }
  await t2.restart('kill');
  at = await mqttPort(t2);
  // What a client says when it is back comes behind the will, and stays.
  for (const { v, t, device } of all) {
    const d = await Client.connected(at, v, device);
    await d.publish(`${t}/state`, 'online', { qos: 1, retain: true });
    await d.bye();
  }
  for (const x of all) {
    x.c = await Client.connected(at, x.v, x.o);
    assert.equal(x.c.connack.present, true);
    if (x.v === 5) await (await Client.connected(at, 5, x.back)).quiet();
  }
  for (const { v, t, c } of all) {
    const got = [];
    for (let i = 0; i < (v === 5 ? 5 : 4); i++) got.push((await c.message({ retain: false })).text);
    assert.ok(got.indexOf('offline') < got.indexOf('online'), String(got));
    assert.deepEqual(got.sort(), ['clean', ...(v === 5 ? ['ends'] : []), 'kept', 'offline', 'online']);
    await c.quiet();
    for (const [name, text] of [['clean', 'clean'], ['state', 'online']]) {
      await c.subscribe(`${t}/${name}`);
      await c.message({ topic: `${t}/${name}`, retain: true, text });
    }
    await c.unsubscribe(`${t}/clean`, `${t}/state`);
  }
  await until(async () => (await t2.sql('SELECT value FROM reading')).length === 2);
  // A stop: the one with a delay waits, its client is back in time.
  const { c, o, t } = all[1];
  const id = freshId();
  const late = await Client.connected(at, 5, { ...lasting(5), id, will: { topic: `${t}/late`, payload: 'late', props: { willDelay: 600 } } });
  await Client.connected(at, 5, { will: { topic: `${t}/now`, payload: 'now', qos: 1 } });
  c.cut();
  await t2.restart();
  assert.ok(late.seen.some((p) => p.name === 'DISCONNECT' && p.reason === 0x8b));
  at = await mqttPort(t2);
  const again = await Client.connected(at, 5, o);
  await again.message({ text: 'now' });
  const home = await Client.connected(at, 5, { ...lasting(5), id });
  assert.equal(home.connack.present, true);
  // A session that ends shows that the server has looked at all there is.
  const short = freshId();
  await (await Client.connected(at, 5, { id: short, props: { sessionExpiry: 1 } })).bye();
  await until(async () => !(await t2.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === short));
  await again.quiet();
  assert.equal((await t2.sql('SELECT value FROM reading')).length, 2);
  for (const x of [again, home]) await x.bye();
  assert.equal((await t2.stop()).code, 0);
});

// ---- publishing -----------------------------------------------------------------

test('a publish is answered as its QoS asks', async () => {
  for (const v of both) {
    const c = await connected(v);
    await c.publish('nobody/here', '0');
    await c.quiet();
    for (const t of ['nobody/here', 'plant/d1/value']) {
      const one = await c.publish(t, '{"value":1}', { qos: 1 });
      assert.ok([0, 0x10].includes(one.reason));
      const two = await c.publish(t, '{"value":2}', { qos: 2 });
      assert.ok([0, 0x10].includes(two.reason));
      await c.quiet();
    }
    await c.bye();
  }
  assert.deepEqual((await tarn.sql('SELECT value, count(*) AS n FROM reading GROUP BY value ORDER BY value')).map((r) => [r.value, Number(r.n)]), [[1, 2], [2, 2]]);
});

test('QoS 1: an identifier whose PUBACK was sent is a new message', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    await c.subscribe([[t, 0]]);
    for (const dup of [false, true]) {
      c.send(publishPacket(v, { topic: t, qos: 1, id: 9, dup, payload: 'x' }));
      const got = [await c.next(), await c.next()].map((p) => p.name).sort();
      assert.deepEqual(got, ['PUBACK', 'PUBLISH']);
    }
    await c.bye();
  }
});

test('QoS 2: a repeated PUBLISH is answered and not delivered again', async () => {
  for (const v of both) {
    const o = lasting(v);
    const t = topic();
    const watch = await connected(v);
    await watch.subscribe([[t, 2]]);
    let c = await connected(v, o);
    const send = (dup) => c.send(publishPacket(v, { topic: t, qos: 2, id: 5, dup, payload: 'once' }));
    send(false);
    await c.expect(T.PUBREC, { id: 5, reason: 0 });
    await watch.message({ text: 'once', dup: false, qos: 2 });
    send(true);
    await c.expect(T.PUBREC, { id: 5, reason: 0 });
    c.cut();
    c = await connected(v, o);
    send(true);
    await c.expect(T.PUBREC, { id: 5, reason: 0 });
    await watch.quiet();
    for (let i = 0; i < 2; i++) {
      c.send(ackPacket(v, T.PUBREL, 5));
      const comp = await c.expect(T.PUBCOMP, { id: 5 });
      assert.equal(comp.reason, i > 0 && v === 5 ? 0x92 : 0);
    }
    // Released: the same identifier is a new message.
    send(false);
    await c.expect(T.PUBREC, { id: 5 });
    await watch.message({ text: 'once' });
    c.send(ackPacket(v, T.PUBREL, 5));
    await c.expect(T.PUBCOMP, { id: 5 });
    // Each has its answer, also while the first one is on its way to the disk.
    for (const [name, value] of [[t, 'thrice'], ['plant/two/value', `{"value":${90 + v}}`]]) {
      const again = (dup) => publishPacket(v, { topic: name, qos: 2, id: 9, dup, payload: value });
      c.send(again(false), again(true), again(true));
      for (let i = 0; i < 3; i++) await c.expect(T.PUBREC, { id: 9 });
      c.send(ackPacket(v, T.PUBREL, 9));
      await c.expect(T.PUBCOMP, { id: 9, reason: 0 });
    }
    await watch.message({ text: 'thrice' });
    await watch.quiet();
    assert.equal((await tarn.sql(`SELECT count(*) AS n FROM reading WHERE value = ${90 + v}`)).map((r) => Number(r.n))[0], 1);
    // And so does one whose message expires meanwhile go its whole way.
    if (v === 5) {
      c.send(publishPacket(5, { topic: t, qos: 2, id: 6, payload: '', props: { messageExpiry: 0 } }));
      await c.expect(T.PUBREC, { id: 6 });
      c.send(ackPacket(5, T.PUBREL, 6));
      await c.expect(T.PUBCOMP, { id: 6, reason: 0 });
    }
    await c.bye();
    await watch.bye();
  }
});

test('QoS 2 to a subscriber: PUBREL after PUBREC, no PUBLISH after that', async () => {
  for (const v of both) {
    const o = lasting(v);
    const t = topic();
    const p = await connected(v);
    let c = await connected(v, o);
    await c.subscribe([[t, 2]]);
    await p.publish(t, 'a', { qos: 2 });
    const m = await c.expect(T.PUBLISH, { qos: 2, dup: false });
    c.cut();
    // Unanswered: again, with DUP and the same identifier.
    c = await connected(v, o);
    await c.expect(T.PUBLISH, { qos: 2, dup: true, id: m.id, text: 'a' });
    c.send(ackPacket(v, T.PUBREC, m.id));
    await c.expect(T.PUBREL, { id: m.id, reason: 0 });
    c.send(ackPacket(v, T.PUBREC, m.id));
    await c.expect(T.PUBREL, { id: m.id, reason: 0 });
    c.cut();
    for (let i = 0; i < 2; i++) {
      c = await connected(v, o);
      await c.expect(T.PUBREL, { id: m.id, reason: 0 });
      await c.quiet();
      if (i === 0) c.cut();
    }
    c.send(ackPacket(v, T.PUBCOMP, m.id));
    await c.quiet();
    c.cut();
    c = await connected(v, o);
    await c.quiet();
    if (v === 5) {
      // A refusal ends it: neither PUBREL nor PUBLISH.
      await p.publish(t, 'b', { qos: 2 });
      const b = await c.expect(T.PUBLISH, { text: 'b' });
      c.send(ackPacket(5, T.PUBREC, b.id, 0x80));
      await c.quiet();
      await p.publish(t, 'c', { qos: 1 });
      const q = await c.expect(T.PUBLISH, { text: 'c' });
      c.send(ackPacket(5, T.PUBACK, q.id, 0x97));
      await c.quiet();
      c.cut();
      c = await connected(5, o);
      await c.quiet();
      // Of an identifier that nobody knows: told, but no answer to a refusal.
      c.send(ackPacket(5, T.PUBREC, 4321, 0x80));
      await c.quiet();
      c.send(ackPacket(5, T.PUBREC, 4321));
      await c.expect(T.PUBREL, { id: 4321, reason: 0x92 });
    }
    await c.bye();
    await p.bye();
  }
});

test('QoS 2: a message once sent does not expire', async () => {
  const o = lasting(5);
  const t = topic();
  const p = await connected(5);
  let c = await connected(5, o);
  await c.subscribe([[t, 2]]);
  await p.publish(t, 'x', { qos: 2, props: { messageExpiry: 3 } });
  const m = await c.expect(T.PUBLISH, { qos: 2 });
  c.cut();
  // Another message tells when the seconds are over.
  await p.publish(`${t}/clock`, 'tick', { retain: true, qos: 1, props: { messageExpiry: 3 } });
  await until(async () => {
    const w = await connected(5);
    await w.subscribe(`${t}/clock`);
    w.send(pingPacket);
    const first = await w.next();
    w.cut();
    return first.name === 'PINGRESP';
  });
  c = await connected(5, o);
  await c.expect(T.PUBLISH, { id: m.id, dup: true, text: 'x' });
  c.send(ackPacket(5, T.PUBREC, m.id));
  await c.expect(T.PUBREL, { id: m.id });
  c.send(ackPacket(5, T.PUBCOMP, m.id));
  await c.quiet();
  await c.bye();
  await p.bye();
});

test('resending: on reconnect alone, in order, with DUP and the same identifiers', async () => {
  for (const v of both) {
    const o = lasting(v);
    const t = topic();
    const p = await connected(v);
    let c = await connected(v, o);
    await c.subscribe([[t, 2]]);
    const first = [];
    for (let i = 0; i < 6; i++) {
      await p.publish(t, String(i), { qos: 1 + i % 2 });
      first.push(await c.expect(T.PUBLISH, { dup: false, text: String(i) }));
    }
    await c.quiet();
    // One is done, one is half done.
    c.send(ackPacket(v, T.PUBACK, first[2].id), ackPacket(v, T.PUBREC, first[3].id));
    await c.expect(T.PUBREL, { id: first[3].id });
    c.cut();
    c = await connected(v, o);
    const again = [];
    for (let i = 0; i < 5; i++) again.push(await c.next());
    const ids = (name) => again.filter((x) => x.name === name).map((x) => x.id);
    assert.deepEqual(ids('PUBLISH'), [0, 1, 4, 5].map((i) => first[i].id));
    assert.deepEqual(ids('PUBREL'), [first[3].id]);
    for (const x of again) if (x.name === 'PUBLISH') assert.equal(x.dup, true);
    await c.quiet();
    c.cut();
    await p.bye();
  }
});

test('DUP of a publisher is not passed on', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    await c.subscribe([[t, 1]]);
    c.send(publishPacket(v, { topic: t, qos: 1, id: 3, dup: true, payload: 'x' }));
    const got = [await c.next(), await c.next()];
    assert.equal(got.find((p) => p.name === 'PUBLISH').dup, false);
    await refuses(v, publishPacket(v, { topic: t, dup: true }), 0x81, 'QoS 0 with DUP');
    c.cut();
  }
});

test('QoS 3 closes the connection', async () => {
  for (const v of both) await refuses(v, packet(T.PUBLISH, 6, bin('x'), u16(1), ...(v === 5 ? [u8(0)] : [])), 0x81, 'QoS 3');
});

test('order: messages of one client, topic and QoS arrive as they were sent', async () => {
  for (const v of both)
    for (const qos of [0, 1, 2]) {
      const c = await connected(v);
      const p = await connected(v);
      const t = topic();
      await c.subscribe([[t, 2]]);
      const all = Array.from({ length: 200 }, (_, i) => String(i));
      p.send(...all.map((x, i) => publishPacket(v, { topic: t, payload: x, qos, id: i + 1 })));
      const got = [];
      while (got.length < all.length) {
        const m = await c.expect(T.PUBLISH);
        got.push(m.text);
        if (m.qos === 1) c.send(ackPacket(v, T.PUBACK, m.id));
      }
      assert.deepEqual(got, all);
      // The acknowledgements come in that order, too.
      if (qos > 0) for (let i = 0; i < all.length; i++) await p.expect(qos === 1 ? T.PUBACK : T.PUBREC, { id: i + 1 });
      c.cut();
      p.cut();
    }
  // A topic that feeds a stream keeps its order beside those that take it away.
  const c = await connected(5);
  const t = 'plant/order/value';
  await c.subscribe([[t, 1]]);
  c.send(...[1, 2, 3].flatMap((i) => [publishPacket(5, { topic: t, qos: 1, id: 2 * i, retain: true, payload: `{"value":${i}}` }), publishPacket(5, { topic: t, qos: 1, id: 2 * i + 1, retain: true })]));
  const got = [];
  for (let i = 0; i < 12; i++) {
    const p = await c.next();
    if (p.name === 'PUBLISH') got.push(p.text);
  }
  assert.deepEqual(got, [1, 2, 3].flatMap((i) => [`{"value":${i}}`, '']));
  c.cut();
  const d = await connected(5);
  await d.subscribe(t);
  await d.quiet();
  await d.bye();
});

test('a topic name has no wildcard and is not empty', async () => {
  for (const v of both) {
    for (const t of ['#', 'a/#', '+', 'a/+/b', 'a+', 'a#b']) await refuses(v, publishPacket(v, { topic: t }), [0x81, 0x82, 0x90], t);
    await refuses(v, publishPacket(v, { topic: '' }), [0x81, 0x82, 0x90], 'empty');
  }
  for (const t of ['a/#', '+']) await refuses(5, publishPacket(5, { topic: 'x', props: { responseTopic: t } }), [0x81, 0x82, 0x90], `response topic ${t}`);
});

// ---- retained -------------------------------------------------------------------

test('retained: the last one is kept, replaced, and taken away by an empty one', async () => {
  for (const v of both) {
    const t = topic();
    const p = await connected(v);
    const live = await connected(v);
    await live.subscribe([[t, 2]]);
    const held = async (want) => {
      const c = await connected(v);
      await c.subscribe([[t, 2]]);
      if (want !== null) await c.message({ retain: true, text: want[0], qos: want[1], dup: false });
      await c.quiet();
      await c.bye();
    };
    await held(null);
    for (const qos of [0, 1, 2]) {
      await p.publish(t, `with ${qos}`, { qos, retain: true });
      await p.quiet();
      // To those who were there already it is a message like others.
      await live.message({ text: `with ${qos}`, retain: false });
      await held([`with ${qos}`, qos]);
      await p.publish(t, 'not retained', { qos });
      await live.message({ text: 'not retained', retain: false });
      await held([`with ${qos}`, qos]);
      await p.publish(t, '', { qos });
      await live.message({ text: '' });
      await held([`with ${qos}`, qos]);
    }
    await p.publish(t, '', { qos: 1, retain: true });
    await live.message({ text: '', retain: false });
    await held(null);
    // It belongs to no session: it outlives that of its publisher.
    await p.publish(t, 'left behind', { qos: 1, retain: true });
    await live.message({ text: 'left behind' });
    await p.bye();
    await held(['left behind', 1]);
    await live.publish(t, '', { qos: 0, retain: true });
    await live.message({ text: '' });
    await held(null);
    await live.bye();
  }
});

test('retained: a subscription gets all that match, however many', async () => {
  const t = topic('many');
  const p = await connected(5);
  const body = 'x'.repeat(2000);
  for (let i = 0; i < 1500; i++) p.send(publishPacket(5, { topic: `${t}/${i}`, retain: true, payload: body }));
  await p.quiet();
  for (const qos of [0, 1]) {
    const c = await connected(5);
    const got = new Set();
    c.send(subscribePacket(5, 1, [[`${t}/+`, qos]]), pingPacket);
    while (got.size < 1500) {
      const m = await c.next();
      if (m.name === 'PUBLISH') { assert.ok(m.retain && !got.has(m.topic)); got.add(m.topic); }
    }
    c.cut();
  }
  for (let i = 0; i < 1500; i++) p.send(publishPacket(5, { topic: `${t}/${i}`, retain: true }));
  await p.quiet();
  await p.bye();
});

test('retain handling: always, for a new subscription, never', async () => {
  const t = topic();
  const c = await connected(5);
  await c.publish(t, 'r', { qos: 1, retain: true });
  const subscribe = async (handling, comes) => {
    await c.subscribe([[t, handling << 4]]);
    if (comes) await c.message({ text: 'r', retain: true });
    await c.quiet();
  };
  await subscribe(2, false);
  await subscribe(0, true);
  await subscribe(0, true);
  await subscribe(1, false);
  await c.unsubscribe(t);
  await subscribe(1, true);
  await subscribe(1, false);
  await c.bye();
  await refuses(5, subscribePacket(5, 1, [[t, 0x30]]), [0x81, 0x82], 'retain handling 3');
});

test('retain as published: off clears the flag, on leaves it', async () => {
  const c = await connected(5);
  for (const keep of [0, 1]) {
    const t = topic();
    await c.subscribe([[t, keep << 3]]);
    for (const retain of [false, true]) {
      await c.publish(t, 'x', { retain });
      await c.message({ retain: retain && keep === 1 });
    }
  }
  await c.bye();
});

// ---- properties -----------------------------------------------------------------

test('properties of a message reach its subscribers as they are, in order', async () => {
  const t = topic();
  const c = await connected(5);
  await c.subscribe([[t, 1]]);
  const user = [['k', 'v'], ['a', ''], ['', 'z'], ['k', 'v'], ['k', 'w']];
  const list = { payloadFormat: 1, contentType: 'text/ü', responseTopic: 'answer/here', correlation: Buffer.from([0, 255, 1]), user };
  const check = (m) => assert.deepEqual({ ...m.props, correlation: Buffer.from(m.props.correlation) }, list);
  for (const qos of [0, 1]) {
    await c.publish(t, 'x', { props: list, retain: qos === 1 });
    check(await c.message());
  }
  await c.subscribe(t);
  check(await c.message({ retain: true }));
  await c.publish(t, 'x', { props: { payloadFormat: 0 } });
  assert.deepEqual((await c.message()).props, { payloadFormat: 0 });
  await c.bye();
  // 3.1.1 gets the message without them.
  const old = await connected(4);
  await old.subscribe(t);
  assert.deepEqual((await old.message({ retain: true })).props, {});
  await old.bye();
});

test('message expiry: passed on as what is left, and then the message is dropped', async () => {
  const o = lasting(5);
  const t = topic();
  const p = await connected(5);
  let c = await connected(5, o);
  await c.subscribe([[`${t}/#`, 1]]);
  await p.publish(`${t}/now`, 'x', { qos: 1, props: { messageExpiry: 1000 } });
  const now = await c.message();
  assert.ok(now.props.messageExpiry > 900 && now.props.messageExpiry <= 1000);
  c.cut();
  await until(async () => (await tarn.ok('GET', '/api/v1/mqtt')).clients.some((x) => x.client === o.id && !x.connected));
  // One that is there, but takes no more for now.
  const full = await connected(5, { props: { receiveMax: 1 } });
  await full.subscribe([[`${t}/#`, 1]]);
  await p.publish(`${t}/first`, 'x', { qos: 1 });
  const first = await full.expect(T.PUBLISH, { topic: `${t}/first` });
  const from = Date.now();
  await p.publish(`${t}/short`, 'x', { qos: 1, props: { messageExpiry: 2 } });
  await p.publish(`${t}/long`, 'x', { qos: 1, props: { messageExpiry: 1000 } });
  await p.publish(`${t}/none`, 'x', { qos: 1 });
  await until(() => Date.now() - from > 2200);
  full.send(ackPacket(5, T.PUBACK, first.id));
  const kept = await full.message({ topic: `${t}/long` });
  assert.ok(kept.props.messageExpiry <= 998 && kept.props.messageExpiry >= 900, String(kept.props.messageExpiry));
  await full.message({ topic: `${t}/none` });
  await full.quiet();
  await full.bye();
  c = await connected(5, o);
  await c.message({ topic: `${t}/first`, dup: false });
  const long = await c.message({ topic: `${t}/long`, dup: false });
  assert.ok(long.props.messageExpiry <= 998 && long.props.messageExpiry >= 900, String(long.props.messageExpiry));
  const none = await c.message({ topic: `${t}/none` });
  assert.equal(none.props.messageExpiry, undefined);
  await c.quiet();
  await c.bye();
  await p.bye();
});

test('topic aliases: all that the server allows, in one connection', async () => {
  const c = await connected(5);
  const max = c.connack.props.aliasMax ?? 0;
  const t = topic();
  await c.subscribe(`${t}/#`);
  for (const alias of [1, max].filter((a) => a > 0)) {
    await c.publish(`${t}/${alias}`, 'first', { props: { alias } });
    await c.message({ topic: `${t}/${alias}`, text: 'first' });
    await c.publish('', 'by alias', { qos: 1, props: { alias } }).catch(async (e) => { throw e; });
    const m = await c.message({ topic: `${t}/${alias}`, text: 'by alias' }).catch((e) => { throw e; });
    // We allowed the server none.
    assert.equal(m.props.alias, undefined);
    await c.publish(`${t}/other`, 'again', { props: { alias } });
    await c.message({ topic: `${t}/other` });
    await c.publish('', 'by alias', { props: { alias } });
    await c.message({ topic: `${t}/other` });
  }
  await c.bye();
  for (const alias of [0, max + 1]) await refuses(5, publishPacket(5, { topic: 'x', props: { alias } }), 0x94, `alias ${alias}`);
  // They end with the connection.
  await refuses(5, publishPacket(5, { topic: '', props: { alias: 1 } }), [0x82, 0x94], 'unknown alias');
  const small = await connected(5, { props: { aliasMax: 3 } });
  await small.subscribe(`${t}/#`);
  for (let i = 0; i < 10; i++) {
    await small.publish(`${t}/${i}`, 'x');
    const m = await small.message({ topic: `${t}/${i}` });
    assert.ok(m.props.alias === undefined || (m.props.alias >= 1 && m.props.alias <= 3));
  }
  await small.bye();
  // Ours are of their connection, too: what is sent again says its topic again.
  const o = lasting(5, { props: { aliasMax: 1 } });
  let k = await connected(5, o);
  await k.subscribe([[t, 1]]);
  const p = await connected(5);
  for (let round = 0; round < 2; round++) {
    if (round === 0) for (const text of ['1', '2']) await p.publish(t, text, { qos: 1 });
    await k.expect(T.PUBLISH, { topic: t, text: '1', dup: round > 0 });
    const second = await k.expect(T.PUBLISH, { text: '2', dup: round > 0 });
    assert.ok(second.topic === t || (second.topic === '' && second.props.alias === 1));
    k.cut();
    k = await connected(5, o);
  }
  k.cut();
  await p.bye();
});

test('response information comes only where it is asked for, reason strings only where wanted', async () => {
  for (const requestResponse of [0, undefined]) {
    const c = await connected(5, { props: requestResponse === undefined ? {} : { requestResponse } });
    assert.equal(c.connack.props.responseInfo, undefined);
    await c.bye();
  }
  const c = await connected(5, { props: { requestProblem: 0 } });
  const ack = await c.publish('plant/d1/value', 'no JSON', { qos: 1 });
  assert.deepEqual([ack.reason, ack.props], [0, {}]);
  const rec = await c.publish('plant/d1/value', 'no JSON', { qos: 2 });
  assert.deepEqual([rec.reason, rec.props], [0, {}]);
  const sub = await c.subscribe('x');
  assert.deepEqual(sub.props, {});
  assert.deepEqual((await c.unsubscribe('x')).props, {});
  await c.bye();
  const d = await connected(5);
  assert.match((await d.publish('plant/d1/value', 'no JSON', { qos: 1 })).props.reasonString, /quarantined/);
  await d.bye();
});

test('maximum packet size of the client: larger ones are as if sent, strings are left out', async () => {
  const t = topic();
  const p = await connected(5);
  const c = await connected(5, { props: { packetMax: 100 } });
  await c.subscribe([[t, 2]]);
  const size = (body) => publishPacket(5, { topic: t, qos: 1, id: 1, payload: body }).length;
  const fit = 'x'.repeat(100 - size(''));
  assert.equal(size(fit), 100);
  for (const qos of [0, 1, 2]) {
    await p.publish(t, `${fit}${'y'.repeat(5)}`, { qos });
    await p.publish(t, 'small', { qos });
    await c.message({ text: 'small' });
  }
  await p.publish(t, fit, { qos: 1 });
  await c.message({ text: fit, bytes: 100 });
  await c.quiet();
  await c.bye();
  // A reason string that does not fit is left out, the answer comes.
  const d = await connected(5, { props: { packetMax: 30 } });
  assert.ok(d.connack.bytes <= 30);
  const ack = await d.publish('plant/d1/value', 'no JSON', { qos: 1 });
  assert.ok(ack.bytes <= 30 && ack.props.reasonString === undefined);
  const rec = await d.publish('plant/d1/value', 'no JSON', { qos: 2 });
  assert.ok(rec.bytes <= 30 && rec.props.reasonString === undefined);
  await d.bye();
  await p.bye();
  // No answer of any kind goes over it: wire.mjs looks at each packet.
  const o = lasting(5, { props: { packetMax: 30 } });
  const e = await connected(5, o);
  const many = Array.from({ length: 40 }, (_, i) => `none/${i}`);
  e.send(subscribePacket(5, 1, many), unsubscribePacket(5, 2, many));
  await e.quiet();
  await e.subscribe([[t, 2], ['none/x', 0]]);
  await e.publish(t, 'ab', { qos: 2 });
  await e.message({ text: 'ab', qos: 2 });
  e.send(ackPacket(5, T.PUBREL, 999));
  await e.expect(T.PUBCOMP, { id: 999, reason: 0x92 });
  e.send(ackPacket(5, T.PUBREC, 998));
  await e.expect(T.PUBREL, { id: 998, reason: 0x92 });
  await e.unsubscribe(t, 'none/y');
  await e.publish('plant/d1/value', 'no JSON', { qos: 1 });
  const f = await connected(5, o);
  await e.refused(0x8e);
  await f.bye();
  for (const x of [...c.seen, ...d.seen, ...e.seen, ...f.seen]) assert.equal(x.props?.user, undefined, x.name);
});

test('maximum packet size of the server: larger ones close the connection', async () => {
  const c = await connected(5);
  const max = c.connack.props.packetMax;
  const room = max - publishPacket(5, { topic: 'x', payload: Buffer.alloc(70000) }).length + 70000;
  // The length field grows with what it counts.
  const body = Buffer.alloc(room - (max > 2097152 + 5 ? 1 : 0));
  assert.ok(publishPacket(5, { topic: 'x', payload: body }).length <= max);
  await c.publish('x', body, { qos: 0 });
  await c.quiet();
  c.send(packet(T.PUBLISH, 0, bin('x'), u8(0), Buffer.alloc(max)));
  await c.refused(0x95);
  const old = await connected(4);
  old.send(packet(T.PUBLISH, 0, bin('x'), Buffer.alloc(max)));
  await old.refused();
});

// ---- flow control ---------------------------------------------------------------

test('receive maximum of the client: no more than that is unanswered', async () => {
  const t = topic();
  const p = await connected(5);
  const c = await connected(5, { props: { receiveMax: 2 } });
  await c.subscribe([[t, 2]]);
  for (let i = 0; i < 6; i++) await p.publish(t, String(i), { qos: 1 + i % 2 });
  const a = await c.expect(T.PUBLISH, { text: '0', qos: 1 });
  const b = await c.expect(T.PUBLISH, { text: '1', qos: 2 });
  // All else goes on: QoS 0, answers, pings, subscriptions.
  await c.quiet();
  await p.publish(t, 'zero');
  await c.expect(T.PUBLISH, { qos: 0, text: 'zero' });
  await c.subscribe('other');
  await c.publish('x', '', { qos: 1 });
  await c.publish('x', '', { qos: 2 });
  c.send(ackPacket(5, T.PUBREC, b.id));
  await c.expect(T.PUBREL, { id: b.id });
  await c.quiet();
  c.send(ackPacket(5, T.PUBACK, a.id));
  const third = await c.expect(T.PUBLISH, { text: '2' });
  await c.quiet();
  c.send(ackPacket(5, T.PUBCOMP, b.id), ackPacket(5, T.PUBACK, third.id));
  const d = await c.expect(T.PUBLISH, { text: '3' });
  await c.expect(T.PUBLISH, { text: '4' });
  await c.quiet();
  // A refusal gives its place back, too.
  c.send(ackPacket(5, T.PUBREC, d.id, 0x80));
  await c.expect(T.PUBLISH, { text: '5' });
  c.cut();
  // It is that of the connection: what is sent again keeps to the new one.
  const o = lasting(5);
  let k = await connected(5, o);
  await k.subscribe([[t, 1]]);
  for (const text of ['1', '2', '3']) await p.publish(t, text, { qos: 1 });
  for (const text of ['1', '2', '3']) await k.expect(T.PUBLISH, { text });
  k.cut();
  k = await connected(5, { ...o, props: { ...o.props, receiveMax: 1 } });
  for (const text of ['1', '2', '3']) {
    const m = await k.expect(T.PUBLISH, { text, dup: true });
    await k.quiet();
    k.send(ackPacket(5, T.PUBACK, m.id));
  }
  await k.quiet();
  k.cut();
  await p.bye();
});

test('receive maximum of the server: more than that closes the connection', async () => {
  const c = await connected(5);
  const max = c.connack.props.receiveMax ?? 65535;
  if (max === 65535) return;
  // PUBREC does not give a place back: PUBCOMP does.
  for (let i = 1; i <= max; i++) c.send(publishPacket(5, { topic: 'x', qos: 2, id: i }));
  for (let i = 1; i <= max; i++) await c.expect(T.PUBREC, { id: i });
  c.send(ackPacket(5, T.PUBREL, 1));
  await c.expect(T.PUBCOMP, { id: 1 });
  c.send(publishPacket(5, { topic: 'x', qos: 2, id: 1 }));
  await c.expect(T.PUBREC, { id: 1 });
  c.send(publishPacket(5, { topic: 'x', qos: 1, id: max + 1 }));
  await c.refused(0x93);
});

// ---- subscribing ----------------------------------------------------------------

test('SUBSCRIBE: a code for each filter, in order, and errors close', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    const p = await c.subscribe([[`${t}/0`, 0], [`${t}/1`, 1], [`${t}/2`, 2], [`${t}/#`, 1], [`${t}/0`, 2]]);
    assert.deepEqual(p.reasons, [0, 1, 2, 1, 2]);
    // As if they had come one by one: the last word on t/0 was 2.
    await c.unsubscribe(`${t}/#`);
    await c.publish(`${t}/0`, 'x', { qos: 0 });
    await c.message({ qos: 0 });
    c.send(publishPacket(v, { topic: `${t}/0`, qos: 1, id: 100 }));
    const got = [await c.next(), await c.next()];
    assert.equal(got.find((x) => x.name === 'PUBLISH').qos, 1);
    c.cut();
    await refuses(v, packet(T.SUBSCRIBE, 2, u16(1), ...(v === 5 ? [u8(0)] : [])), [0x81, 0x82], 'no filter');
    await refuses(v, packet(T.SUBSCRIBE, 2, u16(1), ...(v === 5 ? [u8(0)] : []), bin('x')), [0x81, 0x82], 'no options');
    await refuses(v, subscribePacket(v, 1, [['x', 3]]), [0x81, 0x82], 'QoS 3');
    for (const bit of v === 5 ? [0x40, 0x80] : [4, 8, 16, 32, 64, 128]) await refuses(v, subscribePacket(v, 1, [['x', bit]]), [0x81, 0x82], `reserved option ${bit}`);
  }
  await refuses(5, subscribePacket(5, 1, ['x'], { subscriptionId: 0 }), [0x81, 0x82], 'subscription identifier 0');
});

test('subscribing again to a filter replaces the subscription', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    await c.publish(t, 'r', { qos: 1, retain: true });
    for (const qos of [0, 2, 1]) {
      await c.subscribe([[t, qos]], v === 5 ? { subscriptionId: 10 + qos } : undefined);
      await c.message({ retain: true, text: 'r', qos: Math.min(1, qos) });
      await c.publish(t, 'live', { qos: 0 });
      const m = await c.message({ text: 'live', qos: 0 });
      if (v === 5) assert.deepEqual(m.props.subscriptionId, [10 + qos]);
      await c.quiet();
    }
    // Not a message is lost or doubled while it is replaced.
    const p = await connected(v);
    for (let i = 0; i < 50; i++) {
      p.send(publishPacket(v, { topic: t, payload: String(i) }));
      c.send(subscribePacket(v, 200 + i, [[t, i % 2]]));
    }
    const live = [];
    while (live.length < 50) {
      const m = await c.next();
      if (m.name === 'PUBLISH' && !m.retain) live.push(Number(m.text));
    }
    assert.deepEqual(live, Array.from({ length: 50 }, (_, i) => i));
    c.cut();
    await p.publish(t, '', { qos: 1, retain: true });
    await p.bye();
  }
});

test('a message goes out at the lower one of its QoS and the granted one', async () => {
  for (const v of both) {
    const p = await connected(v);
    for (const granted of [0, 1, 2])
      for (const qos of [0, 1, 2]) {
        const t = topic();
        const c = await connected(v);
        assert.deepEqual((await c.subscribe([[t, granted]])).reasons, [granted]);
        await p.publish(t, 'x', { qos });
        await c.message({ qos: Math.min(granted, qos), topic: t, text: 'x', props: {} });
        await c.bye();
      }
    await p.bye();
  }
});

test('overlapping subscriptions: one message, at the highest QoS, with all identifiers', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    await c.subscribe([[`${t}/#`, 0]], v === 5 ? { subscriptionId: 1 } : undefined);
    await c.subscribe([[`${t}/+`, 2]], v === 5 ? { subscriptionId: 268435455 } : undefined);
    await c.subscribe([[`${t}/a`, 1]]);
    const p = await connected(v);
    await p.publish(`${t}/a`, 'x', { qos: 2 });
    const m = await c.message({ qos: 2 });
    if (v === 5) assert.deepEqual(m.props.subscriptionId.sort((a, b) => a - b), [1, 268435455]);
    await c.quiet();
    if (v === 5) {
      // A retained one is of the subscription that asks for it.
      await p.publish(`${t}/r`, 'r', { qos: 1, retain: true, props: { messageExpiry: 100 } });
      await c.message({ text: 'r', retain: false });
      await c.subscribe([[`${t}/+`, 1]], { subscriptionId: 5 });
      const r = await c.message({ text: 'r', retain: true });
      assert.deepEqual(r.props.subscriptionId, [5]);
      assert.ok(r.props.messageExpiry > 90 && r.props.messageExpiry <= 100);
      await p.publish(`${t}/r`, '', { qos: 1, retain: true });
      await c.message({ text: '' });
      await c.quiet();
    }
    await p.bye();
    await c.bye();
  }
});

test('a client must not send a subscription identifier with a message', async () => {
  await refuses(5, publishPacket(5, { topic: 'x', props: { subscriptionId: 1 } }), [0x81, 0x82], 'subscription identifier');
});

test('no local: own messages do not come back', async () => {
  const t = topic();
  const o = lasting(5);
  let c = await connected(5, o);
  const p = await connected(5);
  await c.subscribe([[t, 1 | 4]]);
  await c.publish(t, 'own', { qos: 1, retain: true });
  await c.quiet();
  await p.publish(t, 'of another', { qos: 1 });
  await c.message({ text: 'of another' });
  // The identifier counts, not the connection or the session.
  c.cut();
  c = await connected(5, { id: o.id });
  await c.subscribe([[t, 1 | 4]]);
  await c.quiet();
  // With another subscription it comes by that one.
  await c.subscribe([[`${t}/#`, 0 | 2 << 4]]);
  await c.publish(t, 'own', { qos: 1 });
  await c.message({ text: 'own', qos: 0 });
  await c.publish(t, '', { retain: true });
  await c.bye();
  await p.bye();
  await refuses(5, subscribePacket(5, 1, [['$share/g/x', 4]]), 0x82, 'no local, shared');
});

test('UNSUBSCRIBE: an answer for each, messages stop, errors close', async () => {
  for (const v of both) {
    const c = await connected(v);
    const t = topic();
    await c.subscribe([`${t}/a`, `${t}/+`, `${t}/b`]);
    // Filters are compared as bytes: + does not take a away.
    assert.deepEqual((await c.unsubscribe(`${t}/+`, `${t}/none`, `${t}/B`)).reasons, v === 5 ? [0, 0x11, 0x11] : []);
    await c.publish(`${t}/a`, 'x');
    await c.message();
    await c.publish(`${t}/c`, 'x');
    await c.quiet();
    assert.deepEqual((await c.unsubscribe(`${t}/a`, `${t}/b`)).reasons, v === 5 ? [0, 0] : []);
    await c.publish(`${t}/a`, 'x', { qos: 1 });
    await c.quiet();
    await c.unsubscribe(`${t}/a`);
    await c.bye();
    await refuses(v, packet(T.UNSUBSCRIBE, 2, u16(1), ...(v === 5 ? [u8(0)] : [])), [0x81, 0x82], 'no filter');
  }
});

test('UNSUBSCRIBE completes what was begun', async () => {
  for (const v of both) {
    const o = lasting(v);
    let c = await connected(v, o);
    const t = topic();
    await c.subscribe([[t, 2]]);
    const p = await connected(v);
    await p.publish(t, 'one', { qos: 1 });
    await p.publish(t, 'two', { qos: 2 });
    const one = await c.expect(T.PUBLISH, { text: 'one' });
    const two = await c.expect(T.PUBLISH, { text: 'two' });
    await c.unsubscribe(t);
    c.send(ackPacket(v, T.PUBREC, two.id));
    await c.expect(T.PUBREL, { id: two.id });
    c.cut();
    c = await connected(v, o);
    const again = [await c.next(), await c.next()].map((x) => [x.name, x.id, x.dup]).sort();
    assert.deepEqual(again, [['PUBLISH', one.id, true], ['PUBREL', two.id, undefined]]);
    c.send(ackPacket(v, T.PUBACK, one.id), ackPacket(v, T.PUBCOMP, two.id));
    await c.quiet();
    await c.bye();
    await p.bye();
  }
});

// ---- matching -------------------------------------------------------------------

test('topics match filters byte by byte and level by level', async () => {
  const base = topic('m');
  const takes = (filter, name) => { // By the standards' words, the plain way.
    const f = filter.split('/'), n = name.split('/');
    if (name.startsWith('$') && /^[#+]/.test(filter)) return false;
    for (let i = 0; i < f.length; i++) {
      if (f[i] === '#') return true;
      if (i >= n.length || (f[i] !== '+' && f[i] !== n[i])) return false;
    }
    return f.length === n.length;
  };
  const filters = ['#', '+', '/+', '+/+', '/#', `${base}/#`, `${base}/+`, `${base}/+/c`, `${base}/a/#`, `${base}/a`, `${base}/A`, `${base}/`, `${base}/+/+`,
    `${base}//c`, '+/m/#', '$own/#', '$own/+/x', '$own/a/x', '+/a/x', `${base}/ü`, `${base}/u\u0308`, `${base}/a b`, `${base}/é`];
  const names = [base, `${base}/a`, `${base}/A`, `${base}/`, `/${base}`, `${base}/a/c`, `${base}/b/c`, `${base}//c`, `${base}/a/b/c`, '$own/a/x', '$own', 'own/a/x', '/x', 'x',
    `${base}/ü`, `${base}/u\u0308`, `${base}/a b`, `${base}/a/`, `${base}/é`];
  for (const v of both) {
    const p = await connected(v);
    for (const filter of filters) {
      const c = await connected(v);
      await c.subscribe(filter);
      const want = names.filter((n) => takes(filter, n));
      for (const n of names) await p.publish(n, filter);
      await p.quiet();
      c.send(pingPacket);
      const got = [];
      for (let m; (m = await c.next()).name !== 'PINGRESP';) if (m.text === filter) got.push(m.topic);
      assert.deepEqual(got, want, `filter ${filter}`);
      await c.bye();
    }
    // What is retained is found by the same rules.
    for (const n of names) await p.publish(n, `kept ${v}`, { retain: true });
    await p.quiet();
    for (const filter of filters) {
      const c = await connected(v);
      await c.subscribe(filter);
      c.send(pingPacket);
      const got = [];
      for (let m; (m = await c.next()).name !== 'PINGRESP';) if (m.text === `kept ${v}`) got.push(m.topic);
      assert.deepEqual(got.sort(), names.filter((n) => takes(filter, n)).sort(), `retained, filter ${filter}`);
      await c.bye();
    }
    for (const n of names) await p.publish(n, '', { retain: true });
    await p.bye();
  }
});

test('filters: wildcards fill a level, # is the last, and none is empty', async () => {
  for (const v of both) {
    for (const f of ['', 'a#', 'a/#/b', '#/a', 'a+', '+a', 'a/b+/c', '##', '++']) {
      const c = await connected(v);
      c.send(subscribePacket(v, 1, [f]));
      const all = await c.closed();
      assert.deepEqual(all.map((p) => p.name), v === 5 ? ['DISCONNECT'] : [], f);
      if (v === 5) assert.ok([0x81, 0x82, 0x8f].includes(all[0].reason));
      await refuses(v, unsubscribePacket(v, 1, [f]), [0x81, 0x82, 0x8f], `unsubscribe ${f}`);
    }
    const c = await connected(v);
    await c.subscribe(['+', '#', 'a/#', '+/a', 'a/+/b', '/', '//', '+/+/#']);
    await c.bye();
  }
});

test('shared subscriptions: one member gets each message, at its own QoS', async () => {
  const t = topic();
  const p = await connected(5);
  const low = await connected(5);
  const high = await connected(5);
  const alone = await connected(5);
  await low.subscribe([[`$share/g/${t}`, 0]], { subscriptionId: 3 });
  await high.subscribe([[`$share/g/${t}`, 2]]);
  await alone.subscribe([[`$share/h/${t}`, 1]]);
  for (let i = 0; i < 20; i++) await p.publish(t, String(i), { qos: 2 });
  const all = [];
  for (const [c, qos] of [[low, 0], [high, 2]]) {
    c.send(pingPacket);
    const mine = [];
    for (let m; (m = await c.next()).name !== 'PINGRESP';) { assert.equal(m.qos, qos); mine.push(Number(m.text)); if (c === low) assert.deepEqual(m.props.subscriptionId, [3]); }
    assert.ok(mine.length > 0, 'each member has its turn');
    all.push(...mine);
  }
  assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
  for (let i = 0; i < 20; i++) await alone.message({ text: String(i), qos: 1 });
  for (const c of [low, high, alone]) c.cut();
  // A member that is away has no turn while another one is there.
  const o = lasting(5);
  const gone = await connected(5, o);
  await gone.subscribe([[`$share/i/${t}`, 1]]);
  await gone.bye();
  const there = await connected(5);
  await there.subscribe([[`$share/i/${t}`, 1]]);
  for (let i = 0; i < 6; i++) await p.publish(t, `there ${i}`, { qos: 1 });
  for (let i = 0; i < 6; i++) await there.message({ text: `there ${i}` });
  await there.bye();
  await (await connected(5, { id: o.id })).bye();
  // No retained messages; an ordinary subscription beside it gets its own copy.
  await p.publish(t, 'r', { qos: 1, retain: true });
  const c = await connected(5);
  await c.subscribe([[`$share/g/${t}`, 1]], { subscriptionId: 8 });
  await c.quiet();
  await c.subscribe([[t, 1 | 2 << 4]], { subscriptionId: 9 });
  await p.publish(t, 'both', { qos: 1 });
  const copies = [await c.message({ text: 'both' }), await c.message({ text: 'both' })];
  assert.deepEqual(copies.map((m) => m.props.subscriptionId).sort(), [[8], [9]]);
  await c.unsubscribe(`$share/g/${t}`);
  await p.publish(t, 'one', { qos: 1 });
  await c.message({ text: 'one' });
  await c.quiet();
  await c.bye();
  await p.publish(t, '', { retain: true });
  await p.bye();
});

test('shared subscriptions: a delivery of QoS 2 stays with its session', async () => {
  const t = topic();
  const p = await connected(5);
  const o = lasting(5);
  let a = await connected(5, o);
  await a.subscribe([[`$share/g/${t}`, 2]]);
  await p.publish(t, 'x', { qos: 2 });
  const m = await a.expect(T.PUBLISH, { text: 'x' });
  const b = await connected(5);
  await b.subscribe([[`$share/g/${t}`, 2]]);
  a.cut();
  a = await connected(5, o);
  await a.expect(T.PUBLISH, { id: m.id, dup: true });
  await b.quiet();
  // A refusal discards it: nobody else gets it.
  a.send(ackPacket(5, T.PUBREC, m.id, 0x80));
  await a.quiet();
  await b.quiet();
  // Nor when the session ends before it is done.
  await b.unsubscribe(`$share/g/${t}`);
  await p.publish(t, 'y', { qos: 2 });
  await a.expect(T.PUBLISH, { text: 'y' });
  await b.subscribe([[`$share/g/${t}`, 2]]);
  a.send(disconnectPacket(5, 0, { sessionExpiry: 0 }));
  await a.closed();
  await b.quiet();
  await b.bye();
  await p.bye();
});

test('shared subscriptions: a name of the right form', async () => {
  for (const f of ['$share//x', '$share/g', '$share/g/', '$share/a+/x', '$share/#/x']) {
    const c = await connected(5);
    c.send(subscribePacket(5, 1, [f]));
    const p = await c.next();
    assert.ok((p.name === 'DISCONNECT' && [0x81, 0x82, 0x8f].includes(p.reason)) || (p.name === 'SUBACK' && p.reasons[0] === 0x8f), `${f}: ${p.name}`);
    c.cut();
    // 3.1.1 knows nothing of it: an ordinary filter, if it is one.
    const old = await connected(4);
    old.send(subscribePacket(4, 1, [f]));
    await old.next();
    old.cut();
  }
  await (await connected(4)).bye();
  // An empty level behind the name is one of the filter.
  const t = topic();
  const c = await connected(5);
  await c.subscribe([[`$share/g//${t}`, 0], [`$share/g/#`, 0]]);
  await c.publish(`/${t}`, 'x');
  for (let i = 0; i < 2; i++) await c.message({ topic: `/${t}` });
  await c.publish(`$${t}`, 'not for #');
  await c.quiet();
  await c.bye();
});

// ---- the rest -------------------------------------------------------------------

test('a PINGREQ is answered', async () => {
  for (const v of both) {
    const c = await connected(v);
    c.send(pingPacket, pingPacket, pingPacket);
    for (let i = 0; i < 3; i++) await c.expect(T.PINGRESP);
    await c.bye();
  }
});

test('DISCONNECT: nothing is said afterwards, the connection is closed', async () => {
  for (const v of both) {
    const t = topic();
    const c = await connected(v);
    const watch = await connected(v);
    await watch.subscribe(t);
    c.send(disconnectPacket(v), publishPacket(v, { topic: t, payload: 'too late' }), pingPacket);
    assert.deepEqual(await c.closed(), []);
    await watch.quiet();
    await watch.bye();
  }
  for (const reason of [3, 0x8e, 0x9d, 0xff]) await refuses(5, disconnectPacket(5, reason), [0x81, 0x82], `reason ${reason}`);
});

test('AUTH and methods that are not there are refused', async () => {
  await connectRefused(5, { props: { authMethod: 'SCRAM-SHA-1' } }, [0x8c, 0x87], 'method');
  await refuses(5, packet(T.AUTH, 0), 0x82, 'AUTH');
  await refuses(5, packet(T.AUTH, 0, u8(0x18), properties({ authMethod: 'x' })), 0x82, 'AUTH with a method');
  await refuses(5, packet(T.AUTH, 0, u8(0x19), properties({ authMethod: 'x' })), 0x82, 'AUTH again');
  await refuses(5, packet(T.AUTH, 0, u8(0x55), properties({})), [0x81, 0x82], 'AUTH with a code of its own');
  const c = await connected(5);
  assert.ok(!('authMethod' in c.connack.props));
  await c.bye();
});

test('violations close the connection they come on, and no other', async () => {
  for (const v of both) {
    const t = topic();
    const good = await connected(v);
    await good.subscribe([[t, 1]]);
    for (const bytes of [packet(T.CONNACK, 0, [0, 0]), packet(T.SUBACK, 0, u16(1), ...(v === 5 ? [u8(0)] : []), [0]), packet(T.UNSUBACK, 0, u16(1), ...(v === 5 ? [u8(0), u8(0)] : [])), packet(T.PINGRESP, 0),
      packet(T.PUBACK, 0, u8(1)), packet(T.PINGREQ, 0, u8(1)), packet(T.PUBLISH, 0, [0]), packet(T.PUBLISH, 2, bin('x')), packet(T.PUBACK, 0, u16(1), u8(0x55))])
      await refuses(v, bytes, [0x81, 0x82], bytes.toString('hex'));
    if (v === 5) {
      for (const list of [[['contentType', 'a'], ['contentType', 'b']], { willDelay: 1 }, { payloadFormat: 2 }])
        await refuses(5, publishPacket(5, { topic: 'x', props: list }), [0x81, 0x82, 0x99], JSON.stringify(list));
      await refuses(5, packet(T.PUBLISH, 0, bin('x'), properties(Buffer.from([0x7e, 1]))), [0x81, 0x82], 'no such property');
      await refuses(5, packet(T.PUBLISH, 0, bin('x'), vbi(50)), [0x81, 0x82], 'properties longer than the packet');
    }
    await good.publish(t, 'still here', { qos: 0 });
    await good.message({ text: 'still here' });
    await good.bye();
  }
});

test('WebSocket: binary frames, packets across them, the name mqtt', async () => {
  const http = Number(new URL(tarn.url).port);
  for (const v of both) {
    const up = await upgrade(http);
    assert.equal(up.status, 101);
    assert.equal(up.headers['sec-websocket-protocol'], 'mqtt');
    const f = new Frames(up);
    let bytes = Buffer.alloc(0);
    const packets = async (n) => {
      const out = [];
      while (out.length < n) {
        if (bytes.length >= 2 && bytes.length >= 2 + bytes[1]) {
          out.push(decode(v, bytes[0], bytes.subarray(2, 2 + bytes[1])));
          bytes = bytes.subarray(2 + bytes[1]);
          continue;
        }
        const x = await f.next();
        assert.equal(x.opcode, 2, 'binary');
        bytes = Buffer.concat([bytes, x.body]);
      }
      return out.map((p) => p.name);
    };
    const t = topic();
    const all = Buffer.concat([connectPacket({ version: v, id: freshId() }), subscribePacket(v, 1, [t]), publishPacket(v, { topic: t, payload: 'ws' }), pingPacket]);
    // One byte a frame, then all in one, then parts of a message.
    for (const b of all) up.socket.write(frame(2, Buffer.from([b])));
    assert.deepEqual(await packets(4), ['CONNACK', 'SUBACK', 'PUBLISH', 'PINGRESP']);
    up.socket.write(frame(2, Buffer.concat([pingPacket, publishPacket(v, { topic: t, payload: 'ws' }), pingPacket])));
    assert.deepEqual(await packets(3), ['PINGRESP', 'PUBLISH', 'PINGRESP']);
    up.socket.write(Buffer.concat([frame(2, pingPacket.subarray(0, 1), { last: false }), frame(9, Buffer.from('hi')), frame(0, pingPacket.subarray(1))]));
    const pong = await f.next();
    assert.deepEqual([pong.opcode, pong.body.toString()], [10, 'hi']);
    assert.deepEqual(await packets(1), ['PINGRESP']);
    // Text frames are none of MQTT's.
    up.socket.write(frame(1, pingPacket));
    const close = await f.next();
    assert.ok(close === null || close.opcode === 8);
    up.socket.end();
  }
  const other = await upgrade(http, { protocol: 'chat' });
  assert.ok(other.status !== 101 || other.headers['sec-websocket-protocol'] !== 'chat');
  other.socket.destroy();
});

test('after all of this the server is well and ends in order', async () => {
  const c = await connected(5);
  await c.quiet();
  const ended = tarn.stop();
  await c.refused(0x8b);
  assert.deepEqual(await ended, { code: 0, signal: null }, tarn.err);
});

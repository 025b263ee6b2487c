// A crowd that misbehaves: clients that share few identifiers, take each
// other's place, send packets out of turn and bytes that are none, and break
// off at any point, with sessions, wills and expiries of all kinds. A neighbour
// that behaves is not disturbed, and the server ends in order afterwards.
// Seeded: TARN_SEED repeats what is sent (not its timing).
import test from 'node:test';
import assert from 'node:assert/strict';
import { Tarn, baseSeed, rng, until } from './lib.mjs';
import { Client, T, ackPacket, bin, connectPacket, disconnectPacket, mqttPort, packet, pingPacket, publishPacket, subscribePacket, u16, u8 } from './mqtt/wire.mjs';

const sql = `
CREATE TABLE reading (ts timestamptz, device text NOT NULL, value double precision)
  WITH (mqtt = 'plant/{device}/value');
`;
const topics = ['a/b', 'a/c', 'plant/x/value', 'plant/y/value', 'w'];
const filters = ['#', '+/b', 'a/#', '$share/g/a/#', '$share/h/#', 'w', 'plant/#'];

function randomConnect(r, v) {
  const will = r.chance(0.5) ? { topic: r.pick(topics), payload: r.chance(0.3) ? '' : '{"value":1}', qos: r.below(3), retain: r.chance(0.5), props: { willDelay: r.below(3) } } : undefined;
  const props = { sessionExpiry: r.below(3), receiveMax: 1 + r.below(4), packetMax: r.chance(0.2) ? 40 : 100000 };
  return connectPacket({ version: v, id: `storm${r.below(8)}`, clean: r.chance(0.4), keepAlive: 60, will, props });
}

function randomPacket(r, v) {
  const id = 1 + r.below(20);
  const payload = r.chance(0.2) ? '' : `{"value":${r.below(9)}}`;
  const what = r.below(12);
  if (what < 5) return publishPacket(v, { topic: r.pick(topics), qos: r.below(3), id, retain: r.chance(0.3), payload, props: r.chance(0.2) ? { messageExpiry: r.below(2) } : {} });
  if (what === 5) return subscribePacket(v, id, [[r.pick(filters), r.below(3)]]);
  if (what === 6) return packet(T.UNSUBSCRIBE, 2, u16(id), v === 5 ? u8(0) : '', bin('#'));
  if (what < 11) return ackPacket(v, r.pick([T.PUBACK, T.PUBREC, T.PUBREL, T.PUBCOMP]), id, v === 5 && r.chance(0.1) ? 0x80 : 0);
  return r.chance(0.1) ? Buffer.from(Array.from({ length: 20 }, () => r.below(256))) : pingPacket;
}

async function misbehave(r, port) {
  const v = r.pick([4, 5]);
  const c = await Client.open(port, v);
  c.take = () => {};      // What comes back is not looked at.
  c.send(randomConnect(r, v));
  for (let i = r.below(60); i > 0; i--) {
    c.send(randomPacket(r, v));
    if (r.chance(0.1)) await new Promise((done) => setImmediate(done));
  }
  if (r.chance(0.3)) c.send(disconnectPacket(v));
  c.cut();
}

test('a storm of broken clients disturbs no neighbour', async (t) => {
  t.diagnostic(`TARN_SEED=${baseSeed}`);
  const tarn = await new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'] }).start();
  const port = await mqttPort(tarn);
  const good = await Client.connected(port, 5);
  await good.subscribe([['good/#', 1]]);
  let over = false, sent = 0;
  const neighbour = (async () => {
    while (!over) {
      await good.publish('plant/good/value', `{"value":${sent}}`, { qos: 1 });
      await good.publish('good/x', String(sent), { qos: 1 });
      await good.message({ text: String(sent) });
      sent++;
    }
  })();
  await Promise.all(Array.from({ length: 12 }, async (_, lane) => {
    const r = rng(baseSeed + lane);
    for (let i = 0; i < 200; i++) await misbehave(r, port);
  }));
  over = true;
  await neighbour;
  assert.ok(sent > 0);
  const [row] = await tarn.sql("SELECT count(*) AS n, count(DISTINCT value) AS v FROM reading WHERE device = 'good'");
  assert.deepEqual([Number(row.n), Number(row.v)], [sent, sent]);
  await good.bye();
  assert.deepEqual(await tarn.stop(), { code: 0, signal: null }, tarn.err);
});

test('a client that never reads is not read either, and the others go on', async () => {
  const tarn = await new Tarn({ sql, args: ['--mqtt', '127.0.0.1:0'] }).start();
  const port = await mqttPort(tarn);
  const deaf = await Client.connected(port, 5);
  let back = 0;
  deaf.take = (d) => { back += d.length; };
  deaf.socket.pause();
  // Until the kernel takes no more, and goes on taking no more.
  const some = Buffer.concat(Array.from({ length: 20000 }, () => pingPacket));
  const most = 64 << 20;
  let n = 0;
  for (let stuck = false; n < most && !stuck;) {
    n += some.length;
    if (deaf.socket.write(some)) continue;
    stuck = await new Promise((done) => {
      const timer = setTimeout(() => done(true), 1500);
      deaf.socket.once('drain', () => { clearTimeout(timer); done(false); });
    });
  }
  assert.ok(n < most, 'it is read without end');
  const c = await Client.connected(port, 5);
  await c.subscribe('x');
  await c.publish('x', 'y', { qos: 1 });
  await c.message({ text: 'y' });
  // When it reads, every question is answered (an answer is as long).
  deaf.socket.resume();
  await until(() => back === n, 30000);
  await deaf.bye();
  await c.bye();
  assert.deepEqual(await tarn.stop(), { code: 0, signal: null }, tarn.err);
});

// Goal: what the broker's settings say is what a client meets, and it is told
// in the protocol's words: sessions, connections, retained messages, new
// sources. All of them stand in /metrics. A payload that fails is in
// quarantine with its topic, its client and its bytes.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, root, until } from './lib.mjs';
import { Client, T, connectPacket, freshId } from './mqtt/wire.mjs';

/** Name -> value of all settings that begin so. */
async function settings(t, begin) {
  const text = await (await t.fetch('/metrics')).text();
  return Object.fromEntries([...text.matchAll(/^tarn_setting\{name="([^"]*)",value="([^"]*)"\} 1$/gm)]
    .filter((m) => m[1].startsWith(begin)).map((m) => [m[1], m[2]]));
}

test('sessions beyond mqtt_sessions_max are refused, in the words of each version; one that goes makes room', async () => {
  const t = await new Tarn({ sql: 'ALTER SYSTEM SET mqtt_sessions_max = 2;', mqtt: true }).start();
  for (const version of [4, 5]) {
    const two = [await Client.connected(t.mqttPort, version), await Client.connected(t.mqttPort, version)];
    const third = await Client.open(t.mqttPort, version);
    third.send(connectPacket({ version, id: freshId() }));
    assert.equal((await third.next()).reason, version === 4 ? 3 : 0x97);
    await third.closed();
    await two[0].bye();
    const again = await until(async () => {
      const c = await Client.open(t.mqttPort, version);
      c.send(connectPacket({ version, id: freshId() }));
      return (await c.next()).reason === 0 && c;
    });
    await Promise.all([two[1].bye(), again.bye()]);
  }
  assert.match(await (await t.fetch('/metrics')).text(), /^tarn_mqtt_refused_total [1-9]/m);
  await t.stop();
});

test('connections beyond mqtt_connections_max are closed, the others go on', async () => {
  const t = await new Tarn({ sql: 'ALTER SYSTEM SET mqtt_connections_max = 3;', mqtt: true }).start();
  const three = await Promise.all([4, 5, 5].map((v) => Client.connected(t.mqttPort, v)));
  const fourth = await Client.open(t.mqttPort, 5);
  await fourth.closed();
  for (const c of three) await c.quiet();
  await three[0].bye();
  const next = await until(async () => {
    const c = await Client.open(t.mqttPort, 5);
    c.send(connectPacket({ version: 5, id: freshId() }));
    return (await c.next())?.type === T.CONNACK && c;
  });
  await next.quiet();
  await t.stop();
});

test('a message beyond mqtt_retained_max is delivered and not retained, which its ack says; one that is cleared makes room', async () => {
  const t = await new Tarn({ sql: 'ALTER SYSTEM SET mqtt_retained_max = 2;', mqtt: true }).start();
  const c = await Client.connected(t.mqttPort, 5);
  const keep = async (topic, payload) => {
    const ack = await c.publish(topic, payload, { qos: 1, retain: true });
    assert.ok((ack.reason ?? 0) < 0x80);
    return ack.props?.reasonString;
  };
  assert.deepEqual([await keep('r/1', 'a'), await keep('r/2', 'b')], [undefined, undefined]);
  assert.match(await keep('r/3', 'c'), /^not retained: over mqtt_retained_max /);
  assert.deepEqual([await keep('r/1', ''), await keep('r/3', 'c')], [undefined, undefined]);
  await c.subscribe([['r/#', 1]]);
  const seen = [await c.expect(T.PUBLISH), await c.expect(T.PUBLISH)].map((p) => `${p.topic}=${p.payload}`).sort();
  assert.deepEqual(seen, ['r/2=b', 'r/3=c']);
  await t.stop();
});

test('new sources are counted by pattern, or not at all when mqtt_new_sources is 0', async () => {
  for (const wanted of [1, 0]) {
    const t = await new Tarn({ sql: `CREATE TABLE rooms (room text NOT NULL, n int8 NOT NULL) WITH (mqtt = 'rooms/{room}');
ALTER SYSTEM SET mqtt_new_sources = ${wanted};`, mqtt: true }).start();
    const c = await Client.connected(t.mqttPort, 5);
    for (const n of [1, 2, 3]) await c.publish(`meters/${n}`, '7', { qos: 1 });
    await c.publish('rooms/a', '{"n":1}', { qos: 1 });
    const m = await t.ok('GET', '/api/v1/mqtt');
    assert.equal(m.new_sources, wanted === 1);
    assert.deepEqual(m.sources.map((s) => [s.pattern, s.count]), wanted ? [['meters/+', 3]] : []);
    await t.stop();
  }
});

test('all settings of the broker stand in /metrics, as they are', async () => {
  const t = await new Tarn({ sql: "ALTER SYSTEM SET mqtt_queued_max = 77; ALTER SYSTEM SET mqtt_packet_bytes = '2 MiB';", mqtt: true }).start();
  const seen = await settings(t, 'mqtt_');
  const known = [...readFileSync(join(root, 'src/app/settings.c'), 'utf8').matchAll(/\[TN_SET_\w+\] = \{ "(mqtt_\w+)"/g)].map((m) => m[1]);
  assert.ok(known.length > 20);
  assert.deepEqual(Object.keys(seen).sort(), known.sort());
  assert.equal(seen.mqtt_queued_max, '77');
  assert.equal(seen.mqtt_packet_bytes, '2 MiB');
  await t.stop();
});

test('a payload that fails is in quarantine with its topic, its client and its bytes; 5.0 is told why', async () => {
  const t = await new Tarn({ sql: "CREATE TABLE rooms (room text NOT NULL, n int8 NOT NULL) WITH (mqtt = 'rooms/{room}');", mqtt: true }).start();
  for (const version of [4, 5]) {
    const id = `sensor ${version}`;
    const c = await Client.connected(t.mqttPort, version, { id });
    const ack = await c.publish('rooms/a', '{"n": "many"}', { qos: 1 });
    assert.equal(ack.reason ?? 0, 0);
    if (version === 5) assert.match(ack.props.reasonString, /quarantined: /);
    const q = await until(async () => (await t.ok('GET', '/api/v1/quarantine/rooms')).rows.find((r) => r.raw.startsWith(id)));
    assert.deepEqual(q.raw.split('\0'), [id, 'rooms/a', '{"n": "many"}']);
    assert.deepEqual([q.source, q.status, q.column, q.code], ['mqtt', 'quarantined', 'n', 'not_a_number']);
    await c.bye();
  }
  await t.stop();
});

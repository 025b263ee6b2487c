// QoS 1 without DUP into a stream without a primary key: by the standard a new
// message, and from clients that forget DUP (mqtt.js) one that comes again.
// What a client can have seen acknowledged is new, each time, whatever it says
// and however it went; what it cannot is one row.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Tarn, until } from './lib.mjs';
import { Client, T, connectPacket, freshId, publishPacket, subscribePacket } from './mqtt/wire.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE meters (meter text NOT NULL, total double precision) WITH (mqtt = 'meters/{meter}/total -> total');`;
const begin = () => new Tarn({ sql, mqtt: true }).start();
const kept = (id, v) => ({ id, clean: false, props: v === 5 ? { sessionExpiry: 600 } : undefined });
const rows = async (t, meter) => Number((await t.sql(`SELECT count(*) AS n FROM meters WHERE meter = '${meter}'`))[0].n);
const repeated = async (t) => Number((await (await t.fetch('/metrics')).text()).match(/^tarn_mqtt_repeated_total (\d+)/m)[1]);
const zero = (v, meter, id, dup = false) => publishPacket(v, { topic: `meters/${meter}/total`, qos: 1, id, dup, payload: '0' });

/** Identifiers 1 to ${count}, all "0", at once; resolves when all are acknowledged. */
async function run(c, meter, count) {
  c.send(...Array.from({ length: count }, (_, i) => zero(c.version, meter, i + 1)));
  for (let i = 0; i < count; i++) await c.expect(T.PUBACK, { id: i + 1 });
}
/** What is known of connections that ended by now is on disk. */
async function settled(t, id) {
  await until(async () => !(await t.ok('GET', '/api/v1/mqtt')).clients.find((x) => x.client === id)?.connected);
  await (await Client.connected(t.mqttPort, 4, kept('settle', 4))).bye();
}

const ways = {
  'closed without DISCONNECT': (c) => c.cut(),
  'reset': (c) => c.socket.resetAndDestroy(),
  'left open and taken over': () => {},
  'DISCONNECT': (c) => c.bye(),
};
for (const v of [4, 5])
  test(`MQTT ${v === 5 ? '5.0' : '3.1.1'}: a device that wakes, says the same with identifiers from 1 and goes, however: each is a row`, async () => {
    const t = await begin(), ends = [];
    for (const [i, [way, end]] of Object.entries(ways).entries()) {
      const id = freshId('wake'), meter = `w${i}`;
      let n = 0;
      for (let wake = 0; wake < 12; wake++) {
        const c = await Client.connected(t.mqttPort, v, kept(id, v)), count = [1, 1, 40, 3][wake % 4];
        await run(c, meter, count);
        n += count;
        await end(c);
        ends.push(c);
        if (wake % 4 < 2) continue;
        // Asleep when Tarn is stopped, or killed.
        if (way !== 'left open and taken over') await settled(t, id);
        else if (wake % 4 === 3) continue;
        await t.restart(wake % 4 === 2 ? 'stop' : 'kill');
      }
      assert.equal(await rows(t, meter), n, way);
    }
    assert.equal(await repeated(t), 0);
    for (const c of ends) c.cut();
    await t.stop();
  });

test('Tarn is killed under a client that has seen all its acks and begins at 1 again: all are rows', async () => {
  const t = await begin();
  for (let i = 1; i <= 3; i++) {
    const c = await Client.connected(t.mqttPort, 4, kept('killed', 4));
    for (let n = 0; n < 2; n++) await run(c, 'k', 20);
    for (let id = 21; id <= 40; id++) { c.send(zero(4, 'k', id)); await c.expect(T.PUBACK, { id }); }
    assert.equal(await rows(t, 'k'), i * 60);
    await t.restart('kill');
    c.cut();
  }
  await t.stop();
});

for (const v of [4, 5])
  for (const place of ['mqtt_stream_committed:1', 'mqtt_stream_committed:3', 'mqtt_ack_sent:1', 'mqtt_ack_sent:4'])
    test(`MQTT ${v === 5 ? '5.0' : '3.1.1'}: Tarn dies at ${place}: what was not acknowledged comes again without DUP and is one row`, async () => {
      const t = await begin(), o = kept('dies', v);
      await (await Client.connected(t.mqttPort, v, o)).bye();
      t.o.env = { TARN_CRASH: place };
      await t.restart('stop');
      let c = await Client.connected(t.mqttPort, v, o);
      c.send(...[1, 2, 3, 4, 5].map((id) => zero(v, 'd', id)));
      await until(() => t.exit !== null);
      const acked = new Set((await c.closed()).map((p) => p.id)), left = [1, 2, 3, 4, 5].filter((id) => !acked.has(id));
      t.o.env = {};
      await t.start();
      c = await Client.connected(t.mqttPort, v, o);
      c.send(...left.map((id) => zero(v, 'd', id)));
      const acks = [];
      for (const id of left) acks.push(await c.expect(T.PUBACK, { id }));
      assert.equal(await rows(t, 'd'), 5);
      const told = acks.filter((a) => /repetition/.test(a.props.reasonString)).length;
      assert.equal(told, v === 5 ? await repeated(t) : 0);
      assert.ok(await repeated(t) > 0);
      // It goes on: those are new.
      await run(c, 'd', 5);
      assert.equal(await rows(t, 'd'), 10);
      c.cut();
      await t.stop();
    });

/* Its system has room for some KB, which a retained message fills: acks behind that stay where they are. */
const deaf = `
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
s.connect(('127.0.0.1', int(sys.argv[1])))
for h in sys.argv[2:4]:
    s.sendall(bytes.fromhex(h))
n = 0
while n < 2000:
    n += len(s.recv(100))
for h in sys.argv[4:]:
    s.sendall(bytes.fromhex(h))
sys.stdin.read()
s.close()`;

test('a client whose system had no room for its acks sends again without DUP: one row each', async () => {
  const t = await begin();
  const big = await Client.connected(t.mqttPort, 4);
  await big.publish('big', 'x'.repeat(300000), { qos: 1, retain: true });
  const connect = connectPacket({ version: 4, ...kept('deaf', 4) });
  const subscribe = subscribePacket(4, 1, ['big']);
  const p = spawn('/usr/bin/python3', ['-c', deaf, String(t.mqttPort), connect.toString('hex'), subscribe.toString('hex'),
    ...[1, 2, 3, 4, 5].map((id) => zero(4, 'deaf', id).toString('hex'))], { stdio: ['pipe', 'inherit', 'inherit'] });
  await until(async () => await rows(t, 'deaf') === 5);
  p.stdin.end();
  await new Promise((r) => p.on('exit', r));
  await settled(t, 'deaf');
  const c = await Client.connected(t.mqttPort, 4, kept('deaf', 4));
  assert.ok(c.connack.present);
  c.send(...[1, 2, 3, 4, 5].map((id) => zero(4, 'deaf', id)));
  await until(async () => await repeated(t) === 5, 3000);
  assert.equal(await rows(t, 'deaf'), 5);
  c.cut();
  await t.stop();
});

test('a session that is not kept has no memory: what comes again, with DUP even, is a row', async () => {
  const t = await begin();
  for (let i = 0; i < 2; i++) {
    const c = await Client.connected(t.mqttPort, 4, { id: 'clean', clean: true });
    c.send(zero(4, 'c', 1, i > 0));
    await c.expect(T.PUBACK, { id: 1 });
    c.cut();
  }
  assert.equal(await rows(t, 'c'), 2);
  await t.stop();
});

// A bridge to another broker, which is Debian's mosquitto with persistence:
// each message is one row, whatever of the two is stopped or killed, and when.
// Messages are sent while mosquitto is up, and all of them are acknowledged by
// it.
// Places where Tarn dies are named (TARN_CRASH); mosquitto is killed once a
// number of rows is there.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Tarn, baseSeed, rng, tempDir, until } from './lib.mjs';
import { Sub, certificates, pub, start } from './mqtt_lib.mjs';

/** Below those that the system gives to connections: a port that is to be free again after a restart must not become one. */
async function lowPort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 12000), s = createServer();
    if (await new Promise((r) => s.on('error', () => r(false)).listen(port, '127.0.0.1', () => s.close(() => r(true))))) return port;
  }
}

class Mosquitto {
  constructor(port, more = '') {
    this.port = port;
    this.dir = tempDir('mosquitto');
    const data = join(this.dir, 'data');
    mkdirSync(data);
    this.file = join(this.dir, 'mosquitto.conf');
    writeFileSync(this.file, `user root\nlog_type all\nlog_dest file ${join(this.dir, 'log')}\npersistence true\npersistence_location ${data}/\nautosave_on_changes true\nautosave_interval 1
max_queued_messages 0\nlistener ${port} 127.0.0.1\n${more || 'allow_anonymous true'}\n`);
  }

  async start() {
    rmSync(join(this.dir, 'log'), { force: true });
    this.child = start(['mosquitto', '-c', this.file]);
    await until(() => { if (this.child.code !== null) throw new Error(this.child.err + this.log); return /running/.test(this.log); }, 10000, 5);
    return this;
  }

  get log() { const file = join(this.dir, 'log'); return existsSync(file) ? readFileSync(file, 'utf8') : ''; }

  async end(how) {
    this.child.kill(how);
    await this.child.ended;
  }
}

const sql = (bridge) => `
ALTER SYSTEM SET cut_interval = '1 hour';
ALTER SYSTEM SET mqtt_bridge = '${bridge}';
CREATE TABLE plain (k text NOT NULL, q int8) WITH (mqtt = 'plain/+');
CREATE TABLE keyed (k text PRIMARY KEY, q int8) WITH (mqtt = 'keyed/+');`;

/** Orderly, and clean (a sanitizer would say otherwise). */
const stop = async (t) => assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err.slice(-2000));
const bridgeOf = async (t, i = 0) => (await t.ok('GET', '/api/v1/mqtt')).bridges[i];
const isUp = (t) => until(async () => { const b = await bridgeOf(t); return b.connected && b; });

/** Publishes k = m0, m1, .. of each kind. */
class Sender {
  constructor(m, prefix = 'm') { Object.assign(this, { m, prefix, n: 0, sent: [] }); }

  /** ${count} messages to each of plain and keyed, by QoS, at once; settled when mosquitto has acknowledged all. */
  burst(count) {
    const jobs = [];
    for (const table of ['plain', 'keyed'])
      for (const q of [1, 2]) {
        const c = start(['mosquitto_pub', '-p', String(this.m.port), '-t', `${table}/x`, '-q', String(q), '-l']);
        for (let i = 0; i < count; i++) {
          const k = `${this.prefix}${this.n++}`;
          this.sent.push({ table, k });
          c.stdin.write(`${JSON.stringify({ k, q })}\n`);
        }
        c.stdin.end();
        jobs.push(c.ended.then(() => assert.equal(c.code, 0, c.err)));
      }
    return Promise.all(jobs);
  }
}

const rows = async (t, table) => (await t.sql(`SELECT k, count(*) AS n FROM ${table} GROUP BY k`)).map((r) => [r.k, Number(r.n)]);

async function check(t, sent, where) {
  for (const table of ['plain', 'keyed']) {
    const want = sent.filter((m) => m.table === table).map((m) => m.k);
    let got;
    await until(async () => { got = await rows(t, table); return got.length >= want.length; }, 15000).catch(() => {
      const have = new Set(got.map((r) => r[0]));
      throw new Error(`${where}: ${table} lacks ${want.filter((k) => !have.has(k)).slice(0, 5)} (${got.length} of ${want.length}) ${t.err.slice(-600)}`);
    });
    assert.deepEqual(got.filter((r) => r[1] !== 1), [], `${where}: ${table} has some twice`);
    assert.equal(got.length, want.length, `${where}: ${table}`);
  }
}

/** Tarn behind a fresh mosquitto, its session there made. */
async function pair(version) {
  const m = await new Mosquitto(await lowPort()).start();
  const t = new Tarn({ mqtt: true, sql: sql(`mqtt://127.0.0.1:${m.port} client=tarn-1 topics=plain/#,keyed/# qos=2 version=${version}`) });
  await t.start();
  assert.equal((await isUp(t)).protocol, version === '5' ? '5.0' : '3.1.1');
  await until(() => /Sending SUBACK to tarn-1/.test(m.log));
  return { m, t, s: new Sender(m) };
}

for (const version of ['5', '3.1.1'])
  test(`MQTT ${version}: each message is one row across stops and kills of either side`, async () => {
    const { m, t, s } = await pair(version);
    await s.burst(20);
    await check(t, s.sent, 'first');
    for (const how of ['stop', 'kill']) {
      const half = s.burst(30);
      await Promise.all([half, t[how]()]);      // Some of it is on its way.
      await s.burst(50);
      await t.start();
      await s.burst(5);
      await check(t, s.sent, `Tarn ${how}`);
    }
    for (const how of ['SIGTERM', 'SIGKILL']) {
      await isUp(t);
      await m.end(how);
      await until(async () => !(await bridgeOf(t)).connected);
      await m.start();
      await s.burst(20);
      await isUp(t);
      await check(t, s.sent, `mosquitto ${how}`);
    }
    await t.kill();
    await s.burst(40);
    await m.end('SIGTERM');
    await m.start();
    await t.start();
    await check(t, s.sent, 'both');
    const b = await bridgeOf(t);
    assert.ok(b.messages > 0 && b.topics.length === 2);
    await stop(t);
    await m.end('SIGTERM');
  });

test('each message is one row when Tarn dies at any step of taking it', async (ctx) => {
  ctx.diagnostic(`seed ${baseSeed}`);
  const r = rng(baseSeed), { m, t, s } = await pair('5');
  for (const place of ['mqtt_publish_received', 'mqtt_messages_sent', 'mqtt_messages_done', 'mqtt_stream_committed', 'mqtt_store_before_commit', 'mqtt_store_after_commit',
    'mqtt_ack_sent', 'mqtt_pubrel_received', 'mqtt_release_stored']) {
    const count = 1 + r.below(/messages_|store_/.test(place) ? 3 : 30);
    await t.stop();
    await s.burst(10);
    t.o.env = { TARN_CRASH: `${place}:${count}` };
    await Promise.all([t.start().catch(() => {}), s.burst(10)]);
    await until(() => t.exit !== null).catch(() => { throw new Error(`${place}:${count} was not passed`); });
    t.o.env = {};
    await t.start();
    await check(t, s.sent, `${place}:${count}`);
  }
  await stop(t);
  await m.end('SIGTERM');
});

test('each message is one row when mosquitto dies while it gives', async (ctx) => {
  ctx.diagnostic(`seed ${baseSeed}`);
  const r = rng(baseSeed), { m, t, s } = await pair('5');
  for (const how of ['SIGKILL', 'SIGTERM']) {
    await t.stop();
    const before = s.sent.length;
    await s.burst(100);
    const at = before / 2 + 1 + r.below(50);
    await t.start();
    await until(async () => (await rows(t, 'plain')).length >= at, 10000, 1);
    await m.end(how);
    await until(async () => !(await bridgeOf(t)).connected);
    await m.start();
    await isUp(t);
    await check(t, s.sent, `mosquitto ${how} at ${at} of ${s.sent.length / 2}`);
  }
  await stop(t);
  await m.end('SIGTERM');
});

test('mosquitto is killed and comes back with a state from before it sent', async () => {
  const { m, t, s } = await pair('5'), db = join(m.dir, 'data', 'mosquitto.db');
  for (const count of [40, 30]) {
    await t.stop();
    await s.burst(count);
    await m.end('SIGTERM');                 // Writes what it has.
    const old = readFileSync(db);
    await m.start();
    await t.start();
    await check(t, s.sent, 'before');
    const { messages } = await bridgeOf(t);
    await m.end('SIGKILL');
    writeFileSync(db, old);
    await until(async () => !(await bridgeOf(t)).connected);
    await m.start();
    await until(async () => (await bridgeOf(t)).messages === 2 * messages);
    await s.burst(5);
    await check(t, s.sent, 'after');
  }
  await stop(t);
  await m.end('SIGTERM');
});

test('a broker that is not there at the start is found later; retained messages come once; local subscribers get what comes', async () => {
  const port = await lowPort();
  const t = new Tarn({ mqtt: true, sql: sql(`mqtt://127.0.0.1:${port} client=tarn-2 topics=plain/# qos=1`) });
  await t.start();
  await until(async () => /cannot connect/.test((await bridgeOf(t)).last_error));
  assert.equal((await bridgeOf(t)).connected, false);
  await until(() => /bridge tarn-2@127\.0\.0\.1:\d+: cannot connect/.test(t.err));
  const m = await new Mosquitto(port).start();
  pub(null, ['-t', 'plain/r', '-q', 1, '-r', '-m', '{"k":"kept"}'], { port });
  await isUp(t);
  await until(async () => (await rows(t, 'plain')).length === 1);
  const sub = await new Sub(t, 'local', ['plain/#'], ['-q', 1]).ready();
  await sub.got(1);
  pub(null, ['-t', 'plain/n', '-q', 1, '-m', '{"k":"new"}'], { port });
  assert.deepEqual(await sub.got(2), ['plain/r {"k":"kept"}', 'plain/n {"k":"new"}']);
  await sub.end();
  for (let i = 0; i < 2; i++) {
    await t.restart(i ? 'kill' : 'stop');
    await isUp(t);
  }
  pub(null, ['-t', 'plain/n', '-q', 1, '-m', '{"k":"last"}'], { port });
  await until(async () => (await rows(t, 'plain')).length === 3);
  assert.deepEqual((await rows(t, 'plain')).filter((x) => x[1] !== 1), []);
  await stop(t);
  await m.end('SIGTERM');
});

test('a session that the other broker lost begins anew; changed topics are subscribed and unsubscribed', async () => {
  const { m, t } = await pair('5');
  const same = async (n) => {
    pub(null, ['-t', 'plain/x', '-q', 1, '-m', '{"k":"same"}'], { port: m.port });
    await until(async () => (await rows(t, 'plain'))[0]?.[1] === n, 5000).catch(() => { throw new Error(`no row ${n}: an identifier of the lost session was taken for a repetition`); });
  };
  await same(1);
  await same(2);
  await m.end('SIGKILL');
  rmSync(join(m.dir, 'data', 'mosquitto.db'));
  await until(async () => !(await bridgeOf(t)).connected);
  await m.start();
  await until(() => /Sending SUBACK to tarn-1/.test(m.log));     // Not subscribed before that.
  for (let n = 3; n < 6; n++) await same(n);                      // Identifiers 1, 2, .. again.
  await stop(t);
  const config = join(t.config, 'pipeline.sql');
  writeFileSync(config, readFileSync(config, 'utf8').replace('topics=plain/#,keyed/#', 'topics=keyed/#,other/#'));
  await t.start();
  await until(() => /Sending UNSUBACK to tarn-1/.test(m.log) && /Received SUBSCRIBE from tarn-1\n.*other\/# \(QoS 2\)/.test(m.log));
  assert.ok(!/Received SUBSCRIBE from tarn-1\n.*keyed/.test(m.log.slice(m.log.indexOf('UNSUBSCRIBE'))));
  await stop(t);
  await m.end('SIGTERM');
});

test('two bridges of one name at once: a message of either is one row, and one stands while the other is away', async () => {
  const m = [], at = (i, version) => `mqtt://127.0.0.1:${m[i].port} client=twin topics=plain/#,keyed/# qos=2 version=${version}`;
  for (let i = 0; i < 2; i++) m.push(await new Mosquitto(await lowPort()).start());
  const t = new Tarn({ mqtt: true, sql: sql(`${at(0, '5')}; ${at(1, '3.1.1')}`) });
  const s = [new Sender(m[0], 'a'), new Sender(m[1], 'b')];
  const sent = () => s.flatMap((x) => x.sent);
  const up = (want) => until(async () => {
    const all = (await t.ok('GET', '/api/v1/mqtt')).bridges;
    return JSON.stringify(all.map((b) => b.connected)) === JSON.stringify(want) && all;
  });
  await t.start();
  assert.deepEqual((await up([true, true])).map((b) => b.protocol), ['5.0', '3.1.1']);
  for (const x of m) await until(() => /Sending SUBACK to twin/.test(x.log));
  // Identifiers are the same on both, from 1 on.
  await Promise.all(s.map((x) => x.burst(20)));
  await check(t, sent(), 'both');
  for (const away of [0, 1]) {
    await m[away].end('SIGKILL');
    await up([away !== 0, away !== 1]);
    await s[1 - away].burst(20);
    await check(t, sent(), `${away} is away`);
    await t.kill();
    await s[1 - away].burst(20);
    await t.start();
    await m[away].start();
    await up([true, true]);
    await s[away].burst(20);
    await check(t, sent(), `${away} is back`);
  }
  await stop(t);
  for (const x of m) await x.end('SIGTERM');
});

test('a broker that speaks only 3.1.1 is spoken to in 3.1.1', async () => {
  const m = await new Mosquitto(await lowPort()).start(), asked = [];
  const old = createServer((c) => c.once('data', (d) => {
    const version = d[d.indexOf('MQTT') + 4];
    asked.push(version);
    if (version !== 4) { c.end(Buffer.from([0x20, 2, 0, 1])); return; }
    const to = connect(m.port, '127.0.0.1');
    to.write(d);
    c.pipe(to).pipe(c).on('error', () => {});
    to.on('error', () => {});
  }).on('error', () => {})).listen(0, '127.0.0.1').unref();
  await once(old, 'listening');
  const t = new Tarn({ mqtt: true, sql: sql(`mqtt://127.0.0.1:${old.address().port} client=tarn-4 topics=plain/#`) });
  await t.start();
  assert.equal((await isUp(t)).protocol, '3.1.1');
  assert.deepEqual(asked, [5, 4]);
  await stop(t);
  old.close();
  await m.end('SIGTERM');
});

test('what a broker does wrong ends the connection and is told', async () => {
  const cases = [[[0x20, 3, 0, 0, 0, 0xe0, 1, 0x8e], /another client connected as/], [[0x20, 3, 0, 0x88, 0], /not available/], [[], /did not answer CONNECT/],
    [[0, 0], /malformed/], [[0xd0, 0], /out of turn/], [[0x20, 3, 0, 0, 0, 0x10, 0], /malformed/], [[0x20, 3, 0, 0, 0], /connection is lost \(the broker ended it\)/],
    [[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 0x87], /topic filter plain\/# is refused \(0x87\)/]];
  for (const [bytes, told] of cases) {
    const bad = createServer((c) => c.on('error', () => {}).once('data', () => c.end(Buffer.from(bytes)))).listen(0, '127.0.0.1').unref();
    await once(bad, 'listening');
    const t = new Tarn({ mqtt: true, sql: sql(`mqtt://127.0.0.1:${bad.address().port} client=tarn-5 topics=plain/# version=5`) });
    await t.start();
    await until(() => told.test(t.err)).catch(() => { throw new Error(`${bytes}: no ${told} in ${t.err}`); });
    await stop(t);
    bad.close();
  }
});

test('a wrong password is told, the right one is never shown; TLS with a CA, password from a file', async () => {
  const at = certificates(), port = await lowPort();
  const passwords = at('passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', passwords, 'anna', 'se cret;7'], { stdio: 'pipe' });
  const m = await new Mosquitto(port, `allow_anonymous false\npassword_file ${passwords}\ncafile ${at('ca.pem')}\ncertfile ${at('server.pem')}\nkeyfile ${at('server.key')}`).start();
  const wrong = new Tarn({ mqtt: true, sql: sql(`mqtts://anna:wr0ng@127.0.0.1:${port} client=tarn-3 topics=plain/# ca=${at('ca.pem')}`) });
  await wrong.start();
  await until(async () => /refuses user and password/.test((await bridgeOf(wrong)).last_error));
  await until(() => /bridge tarn-3@127\.0\.0\.1:\d+: the broker refuses user and password/.test(wrong.err));
  for (const path of ['/api/v1/settings', '/metrics', '/api/v1/mqtt']) {
    const text = await (await wrong.fetch(path)).text();
    assert.ok(!text.includes('wr0ng'), path);
    assert.ok(text.includes(path === '/api/v1/mqtt' ? 'anna' : 'mqtts://anna:***@127.0.0.1'), path);
  }
  assert.ok(!(wrong.out + wrong.err).includes('wr0ng'));
  await stop(wrong);
  const file = at('password');
  writeFileSync(file, 'se cret;7\n');
  for (const who of ['anna:se%20cret%3B7@', 'anna@']) {
    const t = new Tarn({ mqtt: true, sql: sql(`mqtts://${who}127.0.0.1:${port} client=tarn-3 topics=plain/# ca=${at('ca.pem')}${who === 'anna@' ? ` password_file=${file}` : ''}`) });
    await t.start();
    assert.equal((await isUp(t)).tls, true);
    assert.match(await (await t.fetch('/metrics')).text(), /tarn_mqtt_bridge_connected\{bridge="tarn-3@127\.0\.0\.1:\d+"\} 1/);
    await stop(t);
  }
  const stranger = new Tarn({ mqtt: true, sql: sql(`mqtts://anna:x@127.0.0.1:${port} client=tarn-3 topics=plain/# ca=${at('other.pem')}`) });
  await stranger.start();
  await until(async () => /cannot connect/.test((await bridgeOf(stranger)).last_error));
  await stop(stranger);
  await m.end('SIGTERM');
});

test('tarn check refuses a malformed value with a hint and without the password', () => {
  const t = new Tarn({ sql: sql('mqtt://anna:wr0ng@host:0 client=a topics=b') });
  assert.throws(() => execFileSync(process.env.TARN_BIN ?? 'build/release/tarn', ['check', t.config], { stdio: 'pipe' }), (e) => {
    const text = `${e.stdout}${e.stderr}`;
    return /mqtt_bridge: a bad port/.test(text) && /hint: write it like/.test(text) && !text.includes('wr0ng');
  });
});

// Tarn's broker and Debian's mosquitto 2.0 are told the same: random scripts of
// several clients (mqtt/script.mjs) are played against both, step by step
// (mqtt/play.mjs), and what each client got is compared (mqtt/compare.mjs, which
// names what may differ, and why). 3.1.1 and 5.0, in one script, too. A script
// that shows a difference is shrunk first. make test plays the same scripts each time: new
// ones may meet what mosquitto does and nobody has named yet. MQTT_SCRIPTS=5000 plays so many
// of the run's seed, MQTT_SEED=n one script of that seed alone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, tempDir, tool, until } from './lib.mjs';
import { freePort, start } from './mqtt_lib.mjs';
import { Client, mqttPort } from './mqtt/wire.mjs';
import { TICK, makeScript } from './mqtt/script.mjs';
import { Run } from './mqtt/play.mjs';
import { compare, exceptions, report, shrink } from './mqtt/compare.mjs';

const installed = spawnSync('mosquitto', ['-h']).error === undefined;
const skip = installed ? false : 'no mosquitto';
const scripts = Number(process.env.MQTT_SCRIPTS ?? 150);
const firstSeed = process.env.MQTT_SCRIPTS === undefined ? 80000 : baseSeed;
const one = process.env.MQTT_SEED === undefined ? null : Number(process.env.MQTT_SEED);
const LANES = 64;             // Scripts at once.
const SHRINK_MS = 60000;
const MOST = 5;                // Differences that are shrunk and told.

const sql = `
CREATE TABLE value (ts timestamptz, run text NOT NULL, device text NOT NULL, value double precision, name text)
  WITH (mqtt = '{run}/in/{device}, $in/{run}/{device}');
`;

/** The clock of both brokers, wall and monotonic. */
class Clock {
  constructor() {
    this.file = join(tempDir('clock'), 'shift');
    this.us = 0n;
    writeFileSync(this.file, Buffer.alloc(8));
    this.env = { CLOCK_SHIFT: this.file, CLOCK_ALL: '1', LD_PRELOAD: tool('tools/preload/clock.so') };
  }

  move(seconds) {
    this.us += BigInt(seconds) * 1000000n;
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(this.us);
    writeFileSync(this.file, b, { flag: 'r+' });
  }

  /** ${n} plays that go on together: the clock moves when each is at a tick or at its end. */
  group(n) {
    let left = n;
    const waiting = [];
    const look = () => {
      if (left === 0 || waiting.length < left) return;
      this.move(TICK);
      for (const go of waiting.splice(0)) go();
    };
    return { tick: () => new Promise((go) => { waiting.push(go); look(); }), leave: () => { left--; look(); } };
  }
}

/** Both brokers with their defaults, but mosquitto has Tarn's limits, and sends copies to overlapping subscriptions of 3.1.1
 * as it does in 5.0: where it does not, the QoS is that of any of them, and not the highest (3.1.1 3.3.5-1). */
class Pair {
  async start() {
    this.clock = new Clock();
    this.tarn = await new Tarn({ sql, env: this.clock.env, args: ['--mqtt', '127.0.0.1:0'] }).start();
    const port = await freePort(), conf = join(tempDir('mosquitto'), 'mosquitto.conf');
    writeFileSync(conf, ['user root', `listener ${port} 127.0.0.1`, 'allow_anonymous true', 'max_inflight_messages 1024', 'max_topic_alias 64',
      'allow_duplicate_messages true'].join('\n') + '\n');
    this.mosquitto = start(['mosquitto', '-c', conf], { env: { ...process.env, ...this.clock.env } });
    await until(async () => this.mosquitto.code !== null || await Client.connected(port, 5).then((c) => c.bye().then(() => true), () => false), 10000, 10);
    assert.equal(this.mosquitto.code, null, this.mosquitto.err);
    this.ports = [await mqttPort(this.tarn), port];
    this.plays = 0;
    return this;
  }

  /** The first difference of each of ${list}, or null. */
  async differences(list) {
    const group = this.clock.group(list.length * 2);
    return Promise.all(list.map(async (script) => {
      const prefix = `d${++this.plays}/`;
      const [a, b] = await Promise.all(this.ports.map(async (port) => {
        const run = new Run(script, port, prefix, group.tick);
        return run.play().finally(group.leave);
      }));
      return compare(script, a, b);
    }));
  }

  async stop() {
    this.mosquitto.kill('SIGTERM');
    await this.mosquitto.ended;
    return this.tarn.stop();
  }
}

const kindOf = (seed) => ({ timed: seed % 3 === 0, stream: seed % 4 === 0, share: seed % 5 === 0 });

/** Scripts that differ, shrunk, as texts to ${found}, or to ${once} if they do so no more. */
async function differing(pair, seeds, found, once) {
  for (let i = 0; i < seeds.length; i += LANES) {
    const list = seeds.slice(i, i + LANES).map((s) => makeScript(s, kindOf(s)));
    const d = await pair.differences(list);
    for (const [k, script] of list.entries()) {
      if (!d[k]) continue;
      const small = await shrink(script, (s) => pair.differences(s), Date.now() + SHRINK_MS);
      const [again] = await pair.differences([small]);
      if (again) found.push(report(small, again));
      else once.push(`once, not again:\n${report(script, d[k])}`);
      if (found.length >= MOST) break;
    }
    if (found.length >= MOST) break;
  }
}

const seeds = one !== null ? [one] : Array.from({ length: scripts }, (_, i) => (firstSeed + i) % 2 ** 31);

test(`${seeds.length} random scripts: Tarn and mosquitto say the same to every client`, { skip, timeout: 3600000 }, async (t) => {
  t.diagnostic(`the first seed is ${seeds[0]}`);
  const pair = await new Pair().start();
  const timed = seeds.filter((s) => kindOf(s).timed), others = seeds.filter((s) => !kindOf(s).timed);
  const found = [], once = [];
  await differing(pair, timed, found, once);
  await differing(pair, others, found, once);
  for (const text of once) t.diagnostic(text);
  for (const [name, [, n]] of Object.entries(exceptions)) t.diagnostic(`${name}: ${n}`);
  assert.equal(found.length, 0, found.join('\n\n'));
  assert.ok(once.length <= 1, once.join('\n\n'));
  assert.deepEqual(await pair.stop(), { code: 0, signal: null }, pair.tarn.err);
});

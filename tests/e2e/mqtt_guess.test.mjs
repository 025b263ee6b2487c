// The admin's password over MQTT: guessing it is slowed by address as over
// HTTP, whatever the port; a fleet that comes back at once is no guesser.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, tempDir, until } from './lib.mjs';
import { Client, connectPacket, freshId, } from './mqtt/wire.mjs';

const right = 'correct horse battery';

/** The reasons of their CONNACKs; they knock at the same moment, however long it took to come to the door. */
async function knock(port, ...passwords) {
  const all = await Promise.all(passwords.map((_, i) => Client.open(port, i % 2 ? 4 : 5)));
  all.forEach((c, i) => c.send(connectPacket({ version: i % 2 ? 4 : 5, id: freshId(), user: 'admin', password: passwords[i] })));
  return Promise.all(all.map(async (c) => {
    const a = await c.next();
    assert.equal(a.name, 'CONNACK');
    if (a.reason === 0) await c.bye(); else await c.closed();
    return a.reason;
  }));
}

test('guessing is slowed by address, and told as such; a fleet is let in', { timeout: 600000 }, async () => {
  const file = join(tempDir('secret'), 'password');
  writeFileSync(file, `${right}\n`, { mode: 0o600 });
  const t = await new Tarn({ mqtt: true, sql: 'CREATE TABLE ev (k text);', env: { TARN_MQTT: '0.0.0.0:0', TARN_ADMIN_PASSWORD_FILE: file } }).start();
  const port = t.mqttPort;
  const fleet = await knock(port, ...Array(8).fill(right));
  assert.deepEqual(fleet, Array(8).fill(0), 'all at once');
  // Five are looked at; the fifth makes all others wait, on whatever port.
  const guesses = await knock(port, ...Array.from({ length: 12 }, (_, i) => `wrong ${i}`));
  const wrong = guesses.filter((x) => x === 0x86 || x === 4), busy = guesses.filter((x) => x === 0x89 || x === 3);
  assert.equal(wrong.length + busy.length, 12, `${guesses}`);
  // A second after the fifth the next one is looked at: so long may looking take on a slow host.
  assert.ok(wrong.length >= 5 && busy.length >= 3, `${guesses}`);
  await until(async () => (await knock(port, right))[0] === 0);
  await t.stop();
});

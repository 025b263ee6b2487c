// The admin's password over MQTT: guessing it is slowed by address as over
// HTTP, whatever the port; a fleet that comes back at once is no guesser.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, tempDir, until } from './lib.mjs';
import { Client, connectPacket, freshId, } from './mqtt/wire.mjs';

const right = 'correct horse battery';

/** The CONNACK's reason. */
async function knock(port, v, password) {
  const c = await Client.open(port, v);
  c.send(connectPacket({ version: v, id: freshId(), user: 'admin', password }));
  const a = await c.next();
  assert.equal(a.name, 'CONNACK');
  if (a.reason === 0) await c.bye(); else await c.closed();
  return a.reason;
}

test('guessing is slowed by address, and told as such; a fleet is let in', { timeout: 60000 }, async () => {
  const file = join(tempDir('secret'), 'password');
  writeFileSync(file, `${right}\n`, { mode: 0o600 });
  const t = await new Tarn({ mqtt: true, sql: 'CREATE TABLE ev (k text);', env: { TARN_MQTT: '0.0.0.0:0', TARN_ADMIN_PASSWORD_FILE: file } }).start();
  const port = t.mqttPort;
  const fleet = await Promise.all(Array.from({ length: 8 }, (_, i) => knock(port, i % 2 ? 4 : 5, right)));
  assert.deepEqual(fleet, Array(8).fill(0), 'all at once');
  // Five are looked at; the fifth makes all others wait, on whatever port.
  const guesses = await Promise.all(Array.from({ length: 12 }, (_, i) => knock(port, i % 2 ? 4 : 5, `wrong ${i}`)));
  const wrong = guesses.filter((x) => x === 0x86 || x === 4), busy = guesses.filter((x) => x === 0x89 || x === 3);
  assert.deepEqual([wrong.length, busy.length], [5, 7], `${guesses}`);
  await until(async () => (await knock(port, 5, right)) === 0);
  await t.stop();
});

// The chain of bronze and verify of a share, from outside: a stream of some
// cuts is clean; a byte of raw bytes that is altered is named by tarn verify,
// which ends with 1; a sample says its seed and reads fewer files.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, command } from './lib.mjs';

const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, count(*) AS n, sum(n) AS s FROM ev GROUP BY d;`;

test('verify names an altered bronze file, and compares a share on request', async () => {
  const t = new Tarn({ sql });
  await t.start();
  let n = 0;
  for (let cut = 0; cut < 4; cut++) {
    const rows = Array.from({ length: 50 }, () => JSON.stringify({ n: n++, ts: new Date(Date.UTC(2026, 0, 1 + n % 60)).toISOString() }));
    assert.ok((await t.call('POST', '/api/v1/streams/ev', rows.join('\n'), { 'content-type': 'application/x-ndjson' })).status < 300);
    assert.equal((await t.call('POST', '/api/v1/batch/run')).status, 200);
  }
  const verify = async (query = '') => (await t.call('POST', `/api/v1/verify${query}`)).body;
  let v = await verify('?details=true');
  assert.equal(v.equal, true, v.text);
  assert.match(v.text, /equal {6}chain of ev: \d+ files/);
  assert.equal(v.text.match(/view days: 2026-/g).length, 60);
  v = await verify('?view=days&sample=0.2&seed=5&details=true');
  assert.equal(v.equal, true, v.text);
  assert.match(v.text, /sample {5}0\.2, seed=5/);
  const some = v.text.match(/view days: 2026-/g)?.length ?? 0;
  assert.ok(some > 2 && some < 40, `${some} of 60`);
  assert.equal((await t.call('POST', '/api/v1/verify?sample=2')).status, 400);
  const clean = await command(['verify', 'sample=0.5', '--url', t.url, ...(t.token ? ['--token', t.token] : [])]);
  assert.equal(clean.code ?? clean.status, 0, JSON.stringify(clean));

  const dir = join(t.data, 'lake/bronze/ev');
  const day = join(dir, readdirSync(dir).find((d) => d.startsWith('date=')));
  const name = readdirSync(day).filter((f) => f.endsWith('.parquet')).sort()[1];
  const bytes = readFileSync(join(day, name));
  bytes[60] ^= 0xff;
  writeFileSync(join(day, name), bytes);
  v = await verify();
  assert.equal(v.equal, false);
  assert.match(v.text, new RegExp(`DIFFERENT {2}chain of ev: .*${name}`));
  const bad = await command(['verify', '--url', t.url, ...(t.token ? ['--token', t.token] : [])]);
  assert.equal(bad.code ?? bad.status, 1, JSON.stringify(bad));
  await t.stop();
});

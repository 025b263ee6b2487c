// Memory has one budget with a hard cap: whatever comes (a flood of ever new
// groups and keys, a large reference table, wide rows on many connections, many
// big questions, gold larger than memory), the process's anonymous memory stays
// below memory_max, senders are told to wait and lose nothing, and cuts make
// room again.
//
// Measured with a cap of 64 MiB: 4 MiB when idle, 45 MiB at most in a flood.
// Pages of mapped files (log, key files) are not in it: the kernel takes those
// back by itself.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Tarn, patience, tarnBin, tempDir, until } from './lib.mjs';

const MIB = 1 << 20;
const CAP = 64 * MIB;
const BODY = 2000;

const sql = (cap) => `
ALTER SYSTEM SET memory_max = '${cap}';
ALTER SYSTEM SET cut_interval = '24 hours';
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, k text NOT NULL, v double precision)
  WITH (event_time = 'ts', max_future_skew = '40000 days', dedupe_window = '1 day');
CREATE TABLE ref (k text PRIMARY KEY, name text) WITH (kind = 'reference');
CREATE MATERIALIZED VIEW by_key AS SELECT date_bin('10 minutes', ts, 'epoch') AS slot, k, count(*) AS n, sum(v) AS s
  FROM ev GROUP BY slot, k;
CREATE MATERIALIZED VIEW people AS SELECT date_bin('10 minutes', ts, 'epoch') AS slot, count(DISTINCT id) AS ids
  FROM ev GROUP BY slot;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, count(DISTINCT r.name) AS names
  FROM ev e LEFT JOIN ref r ON r.k = e.k;`;

const events = (first, n) => {
  let s = '';
  for (let i = first; i < first + n; i++) {
    const day = String(1 + (Math.floor(i / 50000) % 28)).padStart(2, '0');
    const hour = String(Math.floor(i / BODY) % 24).padStart(2, '0');
    s += `{"id":"event-${String(i).padStart(12, '0')}","ts":"2026-03-${day}T${hour}:00:00Z","k":"key-${i}","v":${i % 100}.5}\n`;
  }
  return s;
};

const anonymous = (pid) => Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

/** Largest RssAnon until stop() is called. */
function watch(pid) {
  let peak = 0;
  const timer = setInterval(() => { peak = Math.max(peak, anonymous(pid)); }, 5);
  return { stop: () => { clearInterval(timer); return peak; } };
}

async function metric(t, name) {
  const text = await (await t.fetch('/metrics')).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)[1]);
}

async function flood(mib, N) {
  const cap = mib * MIB;
  // Health speaks up after a minute; a cut may take longer than that on a starved machine.
  const t = await new Tarn({ sql: `ALTER SYSTEM SET memory_full_max = '${60 * patience} s';${sql(`${mib} MiB`)}` }).start();
  const seen = { full: 0, answers: {}, sick: 0 };
  const mem = watch(t.child.pid);
  let next = 0, sending = true;

  let ref = '';
  for (let i = 0; i < 30000; i++) ref += `{"k":"key-${i * 7}","name":"name ${i % 500}"}\n`;
  await t.post('ref', ref);
  const send = async () => {
    for (;;) {
      const first = next;
      // Where sending is the slow part, it takes more of it to close the doors.
      if (first >= N && (seen.full > 0 || first >= 10 * N)) return;
      next += BODY;
      const body = events(first, BODY);
      for (;;) {
        const r = await t.call('POST', '/api/v1/streams/ev', body, { 'content-type': 'application/x-ndjson' });
        if (r.status === 200) break;
        assert.equal(r.status, 503, JSON.stringify(r.body));
        assert.ok(Number(r.headers.get('retry-after')) >= 1, 'Retry-After');
        if (r.body.type === '/problems/memory-full') {
          seen.full++;
          assert.ok(r.body.detail.includes(`of the ${mib}.0 MiB of memory_max`), r.body.detail);
          assert.match(r.body.hint, /memory_max/);
        }
        await new Promise((f) => setTimeout(f, 50));
      }
    }
  };
  const ask = async () => {
    while (sending) {
      for (const path of ['/api/v1/views/by_key', '/api/v1/views/people?layer=speed', '/api/v1/views/total']) {
        const r = await t.fetch(path);
        await r.arrayBuffer();
        assert.ok(r.status === 200 || r.status === 503, `${path}: ${r.status}`);
        seen.answers[r.status] = (seen.answers[r.status] ?? 0) + 1;
      }
      const q = await t.call('POST', '/api/v1/sql', 'SELECT k, count(*) FROM ev GROUP BY k', { 'content-type': 'application/sql' });
      assert.ok([200, 413, 503].includes(q.status), `sql: ${q.status} ${JSON.stringify(q.body)}`);
      if ((await t.fetch('/healthz')).status !== 200) seen.sick++;
    }
  };
  const asking = [ask(), ask(), ask(), ask()];
  await Promise.all(Array.from({ length: 6 }, send));
  sending = false;
  await Promise.all(asking);
  const peak = mem.stop();
  console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB of ${mib}; ${seen.full} bodies were told to wait`);
  assert.ok(peak < cap, `${peak / MIB} MiB`);
  assert.ok(seen.full > 0, 'the doors closed at least once');
  assert.equal(seen.sick, 0);
  assert.ok(seen.answers[200] > 0, 'small questions were answered');

  // It recovered by itself: the next body is taken, without any help.
  await until(async () => (await t.call('POST', '/api/v1/streams/ev', events(next, 10), { 'content-type': 'application/x-ndjson' })).status === 200, 30000, 100);
  const runs = (await t.ok('GET', '/api/v1/runs?limit=200')).runs;
  assert.ok(runs.some((r) => r.kind === 'cut' && r.reason === 'memory'), JSON.stringify(runs.slice(0, 3)));
  await until(async () => (await t.fetch('/api/v1/views/total')).status === 200, 30000, 100);
  assert.equal(Number((await t.view('total'))[0].n), next + 10);
  assert.equal(await metric(t, 'tarn_memory_max_bytes'), cap);
  assert.ok(await metric(t, 'tarn_memory_bytes{class="references"}') > MIB);
  assert.ok(await metric(t, 'tarn_memory_peak_bytes') > cap / 2);
  const end = await until(async () => {
    const r = await t.call('POST', '/api/v1/sql', 'SELECT count(*) AS n, count(DISTINCT k) AS keys FROM ev', { 'content-type': 'application/sql' });
    return r.status === 200 || r.status === 413 ? r : null;
  }, 30000, 200);
  if (end.status === 200) assert.deepEqual(end.body.rows[0].map(Number), [next + 10, next + 10]);
  await t.stop();
}

test('a flood: the process stays below its cap, senders wait, every event is there once', { timeout: 600000 }, () => flood(64, 300000));

test('the same with twice the memory', { timeout: 600000, skip: process.env.SOAK ? false : 'SOAK=1' }, () => flood(128, 1000000));

// Everything at once, at two caps: rows of up to 200 KB in bodies of 3 MB on 40
// connections, ever new keys beside them, and questions that read all of it.
for (const cap of [64, 128]) {
  test(`wide rows on many connections at ${cap} MiB, and questions`, { timeout: 600000 }, async () => {
    const t = await new Tarn({ sql: sql(`${cap} MiB`) }).start();
    const mem = watch(t.child.pid);
    const wide = [20, 200000, 2000, 60000].map((n) => 'w'.repeat(n));
    const until_ms = Date.now() + (process.env.SOAK ? 60000 : 4000);
    let next = 0, taken = 0, waits = 0, sending = true;
    const send = async (kind) => {
      while (Date.now() < until_ms) {
        const first = next;
        const n = kind === 0 ? BODY : 40;
        next += n;
        let body = kind === 0 ? events(first, n) : '';
        for (let i = 0; kind > 0 && i < n; i++) body += `{"id":"event-${String(first + i).padStart(12, '0')}","ts":"2026-03-05T00:00:00Z","k":"${wide[(i + kind) % 4]}","v":1}\n`;
        for (;;) {
          const r = await t.call('POST', '/api/v1/streams/ev', body, { 'content-type': 'application/x-ndjson' });
          if (r.status === 200) { taken += n; break; }
          assert.equal(r.status, 503, JSON.stringify(r.body).slice(0, 300));
          waits++;
          await new Promise((f) => setTimeout(f, 20));
        }
      }
    };
    const ask = async () => {
      for (; sending; await new Promise((f) => setTimeout(f, 5))) {
        const path = ['/api/v1/views/by_key?limit=5', '/api/v1/views/people', '/api/v1/streams/ev/recent', '/api/v1/quarantine/ev'][waits % 4];
        const r = await t.fetch(path);
        await r.arrayBuffer();
        const q = await t.call('POST', '/api/v1/sql', 'SELECT k, max(length(k)) FROM ev GROUP BY k ORDER BY 2 DESC LIMIT 3', { 'content-type': 'application/sql' });
        assert.ok([200, 413, 503].includes(q.status), `sql: ${q.status} ${JSON.stringify(q.body)}`);
      }
    };
    const asking = [ask(), ask(), ask(), ask()];
    await Promise.all(Array.from({ length: 40 }, (_, i) => send(i % 5)));
    sending = false;
    await Promise.all(asking);
    const peak = mem.stop();
    console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB of ${cap}; ${taken} rows, ${waits} bodies were told to wait`);
    assert.ok(peak < cap * MIB, `${peak / MIB} MiB`);
    await until(async () => (await t.fetch('/api/v1/views/total')).status === 200, 30000, 100);
    assert.equal(Number((await t.view('total'))[0].n), taken);
    await t.stop();
  });
}

test('gold larger than memory: a partition is written in slices, each group stands in one file', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: `
ALTER SYSTEM SET memory_max = '64 MiB';
ALTER SYSTEM SET cut_interval = '24 hours';
CREATE TABLE ev (id bigint PRIMARY KEY, k text NOT NULL, v bigint) WITH (dedupe_window = '1 hour');
CREATE MATERIALIZED VIEW by_key AS SELECT k, count(*) AS n, sum(v) AS s, min(v) AS lo, max(v) AS hi, avg(v) AS m FROM ev GROUP BY k;` }).start();
  const mem = watch(t.child.pid);
  const KEYS = process.env.SOAK ? 1500000 : 400000;
  const N = KEYS + 40000;
  let id = 0;
  const body = (n) => {
    let s = '';
    for (const end = Math.min(id + n, N); id < end; id++) s += `{"id":${id},"k":"a key long enough to have a text of its own ${id % KEYS}","v":${id}}\n`;
    return s;
  };
  const send = async () => {
    while (id < N) {
      const text = body(4000);
      for (;;) {
        const r = await t.call('POST', '/api/v1/streams/ev', text, { 'content-type': 'application/x-ndjson' });
        if (r.status === 200) break;
        assert.equal(r.status, 503, JSON.stringify(r.body));
        await new Promise((f) => setTimeout(f, 20));
      }
    }
  };
  await Promise.all([send(), send(), send()]);
  await until(async () => (await t.call('POST', '/api/v1/batch/run')).status === 200, 60000, 100);
  const peak = mem.stop();
  const files = (await t.ok('GET', '/api/v1/files?tier=gold')).files;
  console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB of 64; ${KEYS} groups in ${files.length} gold files`);
  assert.ok(peak < CAP, `${peak / MIB} MiB`);
  assert.ok(files.length >= 8, JSON.stringify(files.length));
  assert.equal(files.reduce((n, f) => n + Number(f.rows), 0), KEYS);
  for (const i of [0, 1, 39999, 40000, KEYS - 1]) {
    const r = await until(async () => {
      const x = await t.fetch(`/api/v1/views/by_key?layer=batch&k=${encodeURIComponent(`a key long enough to have a text of its own ${i}`)}`);
      return x.status === 200 ? x.json() : x.arrayBuffer().then(() => null);
    }, 30000, 50);
    assert.deepEqual(r.rows[0].slice(1, 3).map(Number), i < 40000 ? [2, 2 * i + KEYS] : [1, i], JSON.stringify(r.rows));
  }
  await t.stop();
});

test('memory that stays full: health says so, and readers are served', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: sql('64 MiB').replace('CREATE TABLE ev', "ALTER SYSTEM SET memory_full_max = '1 s';\nCREATE TABLE ev") }).start();
  const name = 'n'.repeat(2000);
  let next = 0;
  const send = async () => {
    let body = '';
    for (let k = next; k < next + 500; k++) body += `{"k":"key-${k}","name":"${name}"}\n`;
    const { status } = await t.call('POST', '/api/v1/streams/ref', body, { 'content-type': 'application/x-ndjson' });
    assert.ok([200, 503].includes(status) && next < 100000, `${status}`);
    if (status === 200) next += 500;
    return status;
  };
  // Reference tables stay in memory: no cut makes room. What was full for the
  // moment only takes some more.
  while (await send() === 200) ;
  const sick = await until(async () => {
    await send();
    const r = await t.fetch('/healthz');
    const text = await r.text();
    return r.status === 503 ? text : null;
  }, 20000, 20);
  assert.match(sick, /no events were taken for \d+ s: memory is full/);
  assert.match(sick, /of the 64\.0 MiB of memory_max are in use \(references/);
  assert.equal((await t.fetch('/readyz')).status, 503);
  assert.equal((await t.fetch('/livez')).status, 200);
  assert.equal(await metric(t, 'tarn_ready'), 0);
  await until(async () => (await t.fetch('/api/v1/views/total')).status === 200, 20000, 50);
  assert.ok(anonymous(t.child.pid) < CAP);
  await t.stop();
});

test('half rows of many slow senders: memory is bounded, others get through', { timeout: 600000 }, async (x) => {
  const t = await new Tarn({ sql: sql('64 MiB') }).start();
  const mem = watch(t.child.pid);
  const half = Buffer.from(`{"id":"half","ts":"2026-03-01T00:00:00Z","k":"${'x'.repeat(1000 * 1000)}`);
  const senders = [];
  let turned = 0;
  x.after(() => { for (const r of senders) r.destroy(); });
  for (let i = 0; i < 60; i++) {
    const r = request(t.url + '/api/v1/streams/ev', { method: 'POST', headers: { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' } });
    r.on('response', (m) => { turned++; m.resume(); });
    r.on('error', () => { turned++; });
    r.write(half);
    senders.push(r);
  }
  // More than there may be on its way: some are sent away in the middle.
  await until(() => turned > 0, 60000, 5);
  const begun = Date.now();
  await until(async () => (await t.call('POST', '/api/v1/streams/ev', events(0, 10), { 'content-type': 'application/x-ndjson' })).status === 200, 60000, 50);
  const peak = mem.stop();
  console.log(`# anonymous memory at most ${(peak / MIB).toFixed(1)} MiB; another sender got through after ${Date.now() - begun} ms`);
  assert.ok(peak < CAP, `${peak / MIB} MiB`);
  for (const r of senders) r.destroy();
  await until(async () => (await metric(t, 'tarn_memory_bytes{class="ingest"}')) < MIB, 20000, 50);
  assert.equal(Number((await t.view('total'))[0].n), 10);
  await t.stop();
});

test('a log that a smaller memory_max cannot hold folded is cut while it is read', { timeout: 600000 }, async () => {
  const data = tempDir();
  const N = 200000;
  const big = await new Tarn({ sql: sql('2 GiB'), data }).start();
  for (let i = 0; i < N; i += 20000) await big.post('ev', events(i, 20000));
  await big.kill();
  const small = await new Tarn({ sql: sql('64 MiB'), data, startMs: 60000 }).start();
  const runs = (await small.ok('GET', '/api/v1/runs?limit=200')).runs;
  assert.ok(runs.some((r) => r.kind === 'cut' && r.reason === 'start'), JSON.stringify(runs.slice(0, 3)));
  assert.ok(anonymous(small.child.pid) < CAP, `${anonymous(small.child.pid) / MIB} MiB`);
  assert.equal(Number((await small.view('total'))[0].n), N);
  const again = await small.post('ev', events(N - 100, 100));
  assert.equal(again.duplicates, 100, 'keys of the log and of the cuts are known');
  await small.stop();
});

test('settings that cannot work together are refused before anything starts', () => {
  const dir = join(tempDir('config'), 'c');
  mkdirSync(dir);
  const check = (text) => {
    writeFileSync(join(dir, 'p.sql'), `CREATE TABLE a (x int);\n${text}`);
    const r = spawnSync(tarnBin, ['check', dir], { encoding: 'utf8' });
    return { code: r.status, out: r.stdout + r.stderr };
  };
  assert.equal(check("ALTER SYSTEM SET memory_max = '64 MiB';").code, 0);
  const low = check("ALTER SYSTEM SET memory_max = '32 MiB';");
  assert.equal(low.code, 1);
  assert.match(low.out, /at least 64 MiB/);
  const chunk = check("ALTER SYSTEM SET log_segment_bytes = '16 MiB'; ALTER SYSTEM SET ingest_chunk_bytes = '16 MiB';");
  assert.equal(chunk.code, 1);
  assert.match(chunk.out, /log_segment_bytes/);
  assert.match(chunk.out, /at least 7\d MiB/);
  assert.equal(check("ALTER SYSTEM SET log_segment_bytes = '16 MiB';").code, 0);
  const help = spawnSync(tarnBin, ['help', 'settings'], { encoding: 'utf8' }).stdout;
  assert.match(help, /memory_max/);
  assert.match(help, /http_address_connections_max/);
  assert.match(help, /ingest_pending_bytes 1\/8/);
});

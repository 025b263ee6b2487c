// Small files: two days of one-minute commits of four streams with a simulated
// clock (tests/bench/compact_bench.c; make bench runs 30 days, SOAK=1 too). The
// bounds are the bench's own: it ends with 1 when one does not hold.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Tarn, until, tool } from './lib.mjs';

test('two days of one-minute commits leave few files, read like a copy that was written once', () => {
  const bench = tool('bench/compact_bench');
  // A short scan on a busy machine says little about time: bytes and files do.
  const args = process.env.SOAK === '1' ? ['days=30'] : ['days=2', 'rows=8', 'times=300'];
  const end = spawnSync(bench, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  const figures = Object.fromEntries(end.stdout.split('\n').map((l) => l.split('\t')).filter((l) => l.length > 2).map(([k, v]) => [k, Number(v)]));
  console.log(end.stdout);
  assert.equal(end.status, 0, end.stderr.slice(-2000));
  assert.ok(figures['young files of a partition, most'] <= 8);
  assert.ok(figures['scan, bytes'] <= 1.2);
});

/** By name: nice value, level of IO, milliseconds on a processor so far (Linux). */
function threads(pid) {
  const all = {};
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    all[/\((.*)\)/.exec(stat)[1]] = { nice: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]),
      io: spawnSync('ionice', ['-p', id], { encoding: 'utf8' }).stdout.trim(),
      ms: Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]) / 1e6 };
  }
  return all;
}

test('files are merged by a thread of low priority, that of the cuts has the usual one', async () => {
  const t = await new Tarn({ sql: `
    ALTER SYSTEM SET young_files_max = 100;
    CREATE TABLE ev (n int8, ts timestamptz NOT NULL, s text) WITH (event_time = 'ts');
    CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, count(*) AS n FROM ev GROUP BY d;` }).start();
  for (let cut = 0, n = 0; cut < 6; cut++) {
    let body = '';
    for (let i = 0; i < 50000; i++, n++)
      body += `{"n":${n},"ts":"2026-03-01T${String(n % 24).padStart(2, '0')}:00:00Z","s":"${(n * 7919) % 100003} of ${n % 977}"}\n`;
    await t.post('ev', body);
    await t.cut();
  }
  const before = threads(t.child.pid);
  await t.sql('CALL compact()');
  await until(async () => (await t.ok('GET', '/api/v1/files')).files.filter((f) => f.tier === 'silver').length === 1);
  const after = threads(t.child.pid), spent = (name) => after[name].ms - before[name].ms;
  console.log(`merge ${spent('merge').toFixed(0)} ms, batch ${spent('batch').toFixed(0)} ms; ${after.merge.io}`);
  const usual = Number(readFileSync('/proc/self/stat', 'utf8').replace(/.*\)/s, '').split(' ')[17]);
  assert.equal(after.merge.nice, 10);
  assert.match(after.merge.io, /best-effort: prio 7/);
  assert.equal(after.batch.nice, usual);
  assert.doesNotMatch(after.batch.io, /prio 7/);
  assert.ok(spent('merge') > 3 * spent('batch'), 'the work is done on that thread');
  assert.equal((await t.verify()).differences, 0);
  await t.stop();
});

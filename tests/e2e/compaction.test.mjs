// Small files: two days of one-minute commits of four streams with a simulated
// clock (tests/bench/compact_bench.c; make bench runs 30 days, SOAK=1 too). The
// bounds are the bench's own: it ends with 1 when one does not hold.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { tarnBin } from './lib.mjs';

test('two days of one-minute commits leave few files, read like a copy that was written once', () => {
  const bench = join(dirname(tarnBin), 'tests/bench/compact_bench');
  // A short scan on a busy machine says little about time: bytes and files do.
  const args = process.env.SOAK === '1' ? ['days=30'] : ['days=2', 'rows=8', 'times=300'];
  const end = spawnSync(bench, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  const figures = Object.fromEntries(end.stdout.split('\n').map((l) => l.split('\t')).filter((l) => l.length > 2).map(([k, v]) => [k, Number(v)]));
  console.log(end.stdout);
  assert.equal(end.status, 0, end.stderr.slice(-2000));
  assert.ok(figures['young files of a partition, most'] <= 8);
  assert.ok(figures['scan, bytes'] <= 1.2);
});

// NDJSON to Parquet: the same file through Tarn (COPY badge_all FROM, until its
// silver is published) and through DuckDB's COPY (zstd, the same typed
// columns, as many threads as the machine has cores for both). Wall time and
// processor seconds of both, bytes of both, and every row compared.
//
//   node tests/bench/copy.mjs BUILD_DIR        N=2000000 RUNS=5 THREADS=cores
//
// Tarn does more on the way: a synced log, bronze with the raw bytes and its
// hash chain, rows sorted by event time, checks, two open table formats.
// Lines: name, value, unit (and a target), as the other benches'.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const build = resolve(process.argv[2] ?? 'build/release');
const n = Number(process.env.N ?? 2000000);
const runs = Number(process.env.RUNS ?? 5);
const threads = Number(process.env.THREADS ?? cpus().length);
const tool = join(build, 'tests/bench/load_bench');
const columns = { event_id: 'VARCHAR', ts: 'TIMESTAMPTZ', employee_id: 'VARCHAR', office: 'VARCHAR', door: 'VARCHAR', direction: 'VARCHAR', temp_c: 'DOUBLE' };
const names = Object.keys(columns).join(', ');

const duckdb = async (t) => (await DuckDBInstance.create(':memory:', { threads: String(t) })).connect();
const say = (name, value, unit, target = '') => console.log(`${name.padEnd(42)} ${String(value).padStart(12)} ${unit.padEnd(16)}${target && 'target ' + target}`);

// A process of its own, so that its processor time is DuckDB's alone.
if (process.argv[3] === 'duckdb') {
  const [file, out] = process.argv.slice(4);
  const duck = await duckdb(threads);
  await duck.run("SET TimeZone = 'UTC'");
  const was = process.cpuUsage(), begun = process.hrtime.bigint();
  await duck.run(`COPY (SELECT ${names} FROM read_json('${file}', format = 'newline_delimited', columns = ${JSON.stringify(columns).replaceAll('"', "'")})) TO '${out}' (FORMAT parquet, COMPRESSION zstd)`);
  const used = process.cpuUsage(was);
  console.log(JSON.stringify({ seconds: Number(process.hrtime.bigint() - begun) / 1e9, cpu: (used.user + used.system) / 1e6 }));
  process.exit(0);
}

const dir = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'tarn-copy-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
const file = join(dir, 'badge.ndjson');
const fd = openSync(file, 'w');
spawnSync(tool, ['events', `n=${n}`, 'seed=7'], { stdio: ['ignore', fd, 'inherit'] });
closeSync(fd);
readFileSync(file);                              // In the page cache for both.

function runDuck(out) {
  const r = spawnSync(process.execPath, [process.argv[1], build, 'duckdb', file, out], { encoding: 'utf8', env: { ...process.env, THREADS: String(threads) } });
  if (r.status !== 0) throw new Error(r.stderr);
  return JSON.parse(r.stdout);
}

const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile() && e.name.endsWith('.parquet')).map((e) => join(e.parentPath ?? e.path, e.name));
const cpuOf = (pid) => { const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) / 100; };

/** One start, one COPY, one stop; leaves the data folder. */
async function runTarn(data) {
  const config = join(dir, 'config');
  mkdirSync(config, { recursive: true });
  const pipeline = spawnSync(tool, ['pipeline'], { encoding: 'utf8' }).stdout;
  writeFileSync(join(config, 'badge.sql'), `${pipeline}ALTER SYSTEM SET copy_paths = '${dir}';\n`);
  const child = spawn(join(build, 'tarn'), ['run', '--config', config, '--data', data, '--http', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TARN_MQTT: 'none' } });
  const ended = new Promise((r) => child.on('exit', r));
  let text = '';
  const url = await new Promise((done, fail) => {
    child.stdout.on('data', (d) => { text += d; const m = /Dashboard\s+(http:\/\/[^/\s]+)/.exec(text); if (m) done(m[1]); });
    child.on('exit', () => fail(new Error(`tarn ended: ${text}`)));
  });
  const call = async (path, body) => {
    const r = await fetch(url + path, { method: 'POST', body, headers: { 'content-type': 'application/sql' } });
    const v = await r.json();
    if (r.status !== 200) throw new Error(JSON.stringify(v));
    return v;
  };
  const was = cpuOf(child.pid), begun = process.hrtime.bigint();
  const v = await call('/api/v1/sql', `COPY badge_all FROM '${file}'`);
  const taken = Number(process.hrtime.bigint() - begun) / 1e9;
  await call('/api/v1/batch/run');
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9, cpu = cpuOf(child.pid) - was;
  if (Number(v.rows[0][0]) !== n) throw new Error(`${v.rows[0][0]} of ${n} rows`);
  child.kill('SIGTERM');
  await ended;
  return { seconds, cpu, taken };
}

const duck = await duckdb(threads);
const ask = async (q) => (await duck.runAndReadAll(q)).getRowObjects()[0];
let best = {}, tarn, other;
const keep = (name, r) => { if (!best[name] || r.seconds < best[name].seconds) best[name] = r; };
// What the one before left to be written is not this one's: Tarn syncs, and
// would wait for it.
const settle = () => spawnSync('sync');
for (let i = 0; i < runs; i++) {
  if (tarn) rmSync(tarn, { recursive: true, force: true });
  other = join(dir, `duckdb-${i}.parquet`);
  settle();
  keep('duckdb', runDuck(other));
  tarn = join(dir, `data-${i}`);
  settle();
  keep('tarn', await runTarn(tarn));
}

const silver = files(join(tarn, 'lake/silver/badge_all'));
const bronze = files(join(tarn, 'lake/bronze/badge_all'));
const list = `[${silver.map((f) => `'${f}'`).join(', ')}]`;
const size = (all) => all.reduce((sum, f) => sum + statSync(f).size, 0);
const chunks = async (what) => Number((await ask(`SELECT sum(total_compressed_size)::DOUBLE AS n FROM parquet_metadata(${what}) WHERE NOT starts_with(path_in_schema, '_')`)).n);
// Multisets: the same rows, each as often.
const rest = async (a, b) => Number((await ask(`SELECT count(*)::DOUBLE AS n FROM (SELECT ${names} FROM ${a} EXCEPT ALL SELECT ${names} FROM ${b})`)).n);
const ours = `read_parquet(${list}, hive_partitioning = false)`, theirs = `read_parquet('${other}')`;
const differ = await rest(ours, theirs) + await rest(theirs, ours);
const rows = Number((await ask(`SELECT count(*)::DOUBLE AS n FROM ${ours}`)).n);
if (differ !== 0 || rows !== n) {
  console.error(`${rows} rows of ${n}, ${differ} differ`);
  process.exit(1);
}
const mb = (v) => (v / 1e6).toFixed(2), s = (v) => v.toFixed(3);
const { tarn: t, duckdb: d } = best;
const version = (await ask('SELECT version() AS v')).v;
say('NDJSON to Parquet: rows, each compared', n, `${mb(statSync(file).size)} MB`);
say(`DuckDB ${version}, ${threads} threads: time`, s(d.seconds), 's');
say('DuckDB: cpu', s(d.cpu), 'CPU-s');
say('Tarn, COPY FROM to published silver: time', s(t.seconds), 's', `<= ${s(d.seconds)}`);
say('Tarn: of it until accepted and synced', s(t.taken), 's');
say('Tarn: cpu', s(t.cpu), 'CPU-s', `<= ${s(d.cpu)}`);
say('DuckDB: file', mb(size([other])), 'MB');
say('Tarn: silver files, with system columns', mb(size(silver)), 'MB', `<= ${mb(size([other]))}`);
say('DuckDB: columns', mb(await chunks(`'${other}'`)), 'MB');
say('Tarn: the same columns', mb(await chunks(list)), 'MB', `<= ${mb(await chunks(`'${other}'`))}`);
say('Tarn: bronze beside it, raw bytes', mb(size(bronze)), 'MB');

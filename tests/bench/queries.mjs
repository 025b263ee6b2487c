// The six view queries over silver, Tarn beside DuckDB on the same Parquet
// files, one thread each, in one run; then two views made anew from them, on
// all cores each.
//
//   node tests/bench/queries.mjs BUILD [rows=10000000] [port=18420] [runs=3]
//       [only=NAME] [data=DIR]
//
// data: keep the filled data folder there, and use it when it is there.
//
// A real tarn takes the rows through its HTTP door, cuts them and merges its
// files; then nothing changes any more. Each query runs once for warmth and
// ${runs} times for the clock, the least counts. Tarn is timed from the
// request to the last byte of the answer, DuckDB from the statement to the
// last row of its own form. Processor seconds of both tell how many threads
// were at work. Every text is new (a comment), so that no cache answers.
//
// A recompute of Tarn reads silver, folds, compares with the old numbers, writes
// gold (the columns and the states that later rows are merged into) and publishes
// it; DuckDB writes its answer to the same question as a Parquet file (zstd).
//
// Both answers are compared value by value; a difference ends the bench with
// 1, before any figure is printed. Lines: name, value, unit, tab between.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const [build, ...words] = process.argv.slice(2);
const set = Object.fromEntries(words.map((w) => w.split('=')));
const rows = Number(set.rows ?? 10_000_000), runs = Number(set.runs ?? 3);
const url = `http://127.0.0.1:${set.port ?? 18420}`;
const dir = mkdtempSync(join(process.env.TMPDIR ?? '/tmp', 'tarn-queries-'));
const data = set.data ?? join(dir, 'data');
const gen = join(build, 'tests/bench/load_bench');
const DAYS = 30;

// DuckDB's words are the fastest that were found for it: date_trunc and
// time_bucket of a timestamptz take it ten times as long as the division, and
// both quantiles in one list are cheaper than two.
const hour = 'epoch_us(ts) // 3600000000 AS t', day = 'epoch_us(ts) // 86400000000 AS t';
const at = (name) => `make_timestamp(t * ${name === 'day' ? 86400000000 : 3600000000}) AS ${name}`;
const queries = [
  ['count per office and hour',
    "SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS n FROM silver GROUP BY office, hour",
    `SELECT office, ${at('hour')}, n FROM (SELECT office, ${hour}, count(*) AS n FROM silver GROUP BY ALL)`],
  ['people per office and day',
    "SELECT office, date_bin('1 day', ts, 'epoch') AS day, count(DISTINCT employee_id) AS n FROM silver GROUP BY office, day",
    `SELECT office, ${at('day')}, n FROM (SELECT office, t, count(*) AS n FROM (SELECT DISTINCT office, ${day}, employee_id FROM silver) GROUP BY ALL)`],
  ['p50 and p95 per door and hour',
    "SELECT door, date_bin('1 hour', ts, 'epoch') AS hour, percentile_cont(0.5) WITHIN GROUP (ORDER BY temp_c) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY temp_c) AS p95 FROM silver GROUP BY door, hour",
    `SELECT door, ${at('hour')}, q[1] AS p50, q[2] AS p95 FROM (SELECT door, ${hour}, quantile_cont(temp_c, [0.5, 0.95]) AS q FROM silver GROUP BY ALL)`],
  ['last event per person',
    'SELECT employee_id, last(door, ts) AS door, max(ts) AS ts FROM silver GROUP BY employee_id',
    'SELECT employee_id, arg_max(door, ts) AS door, max(ts) AS ts FROM silver GROUP BY employee_id'],
  // Tarn's reader takes the first ten of each day; DuckDB may leave out the others.
  ['top ten doors per day',
    "SELECT date_bin('1 day', ts, 'epoch') AS day, door, count(*) AS n FROM silver GROUP BY day, door ORDER BY day, n DESC, door",
    `SELECT ${at('day')}, door, n FROM (SELECT ${day}, door, count(*) AS n FROM silver GROUP BY ALL) QUALIFY row_number() OVER (PARTITION BY t ORDER BY n DESC, door) <= 10 ORDER BY t, n DESC, door`,
    (list) => { const seen = new Map(); return list.filter(([d]) => { seen.set(d, (seen.get(d) ?? 0) + 1); return seen.get(d) <= 10; }); }],
  ['deduplicate by id',
    'SELECT count(DISTINCT event_id) AS n FROM silver',
    'SELECT count(DISTINCT event_id) AS n FROM silver'],
].filter(([name]) => !set.only || name.includes(set.only));

// As views: name, what Tarn folds, the fastest words of DuckDB's, in one order of columns.
const views = [
  ['visits_all', 'visits and entries per office and hour',
    `SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits, count(*) FILTER (WHERE direction = 'in') AS entries, max(temp_c) AS warmest FROM badge_all GROUP BY office, hour`,
    `SELECT office, ${at('hour')}, visits, entries, warmest FROM (SELECT office, ${hour}, count(*) AS visits, count(*) FILTER (WHERE direction = 'in') AS entries, max(temp_c) AS warmest FROM silver GROUP BY ALL)`],
  ['people_all', 'people per office and day',
    `SELECT office, date_bin('1 day', ts, 'epoch') AS day, count(DISTINCT employee_id) AS people FROM badge_all GROUP BY office, day`,
    `SELECT office, ${at('day')}, people FROM (SELECT office, t, count(*) AS people FROM (SELECT DISTINCT office, ${day}, employee_id FROM silver) GROUP BY ALL)`],
].filter(([, what]) => !set.only || `recompute ${what}`.includes(set.only));

let tarn, duck;
function stop() {
  tarn?.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
}
process.on('exit', stop);
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => process.exit(1));
function fail(why) {
  console.error(`queries: ${why}`);
  process.exit(1);
}
const say = (name, value, unit) => console.log(`${name}\t${value.toFixed(value < 100 ? 3 : 0)}\t${unit}`);

async function until(what, seconds, every = 50) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    const v = await what().catch(() => false);
    if (v) return v;
    await new Promise((r) => setTimeout(r, every));
  }
  fail(`still not so after ${seconds} s: ${what}`);
}
const get = async (path, init) => {
  const r = await fetch(url + path, init);
  if (!r.ok) throw new Error(`${path}: ${r.status} ${await r.text()}`);
  return r.text();
};

async function start() {
  const config = join(dir, 'config');
  mkdirSync(config);
  // Cut once, at the end; a query may have the memory that it needs, as
  // DuckDB's may.
  writeFileSync(join(config, 'badge.sql'), `${execFileSync(gen, ['pipeline'])}
    ${views.map(([name, , sql]) => `CREATE MATERIALIZED VIEW ${name} AS ${sql};`).join('\n')}
    ALTER SYSTEM SET cut_interval = '24 hours';
    ALTER SYSTEM SET cut_rows = 100000000;
    ALTER SYSTEM SET compact_rate = '1 GiB';
    ALTER SYSTEM SET query_memory = '4 GiB';\n`);
  tarn = spawn(join(build, 'tarn'), ['run', '--config', config, '--data', data, '--http', url.slice(7)],
    { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, TARN_MQTT: 'none' } });
  await until(() => get('/readyz'), 20);
}

// A tenth of the events comes twice, with the same id.
async function fill() {
  const step = Math.floor(DAYS * 86400e6 / (rows * 0.9));
  for (const n of [rows * 0.9, rows * 0.1])
    execFileSync(gen, ['body', `port=${new URL(url).port}`, `n=${Math.round(n)}`, 'seed=42', `step_us=${step}`, 'path=/api/v1/streams/badge_all']);
  await get('/api/v1/batch/run', { method: 'POST' });
}

/** Visible silver files, when they have been the same for two seconds. */
async function files() {
  const list = async () => (JSON.parse(await get('/api/v1/files?tier=silver&table=badge_all')).files)
    .map((f) => ({ path: join(data, 'lake', f.path), rows: f.rows }));
  let last = '', since = Date.now(), now;
  await until(async () => {
    now = await list();
    const text = JSON.stringify(now);
    if (text !== last) since = Date.now();
    last = text;
    return Date.now() - since > 2000;
  }, 300, 200);
  return now;
}

function cpuOfTarn() {
  const f = readFileSync(`/proc/${tarn.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
}
function cpuOfThis() {
  const u = process.cpuUsage();
  return (u.user + u.system) / 1e6;
}

let serial = 0;
async function askTarn(sql) {
  return get('/api/v1/sql', { method: 'POST', body: `${sql.replace('silver', 'badge_all')} -- ${++serial}` });
}
const askDuck = (sql) => duck.runAndReadAll(`${sql} -- ${++serial}`);

/** The least time of some runs, processor seconds of one run. */
async function measure(ask, cpu) {
  const answer = await ask();
  let best = Infinity;
  const before = cpu();
  for (let i = 0; i < runs; i++) {
    const from = performance.now();
    await ask();
    best = Math.min(best, (performance.now() - from) / 1000);
  }
  return { answer, best, cpu: (cpu() - before) / runs };
}

const plain = (v) => typeof v === 'bigint' ? String(v) : v !== null && typeof v === 'object' && 'micros' in v ? new Date(Number(v.micros / 1000n)).toISOString() : v;
const ours = (v) => typeof v === 'string' && /^\d{4}-\d\d-\d\dT/.test(v) ? new Date(v).toISOString() : v;
const same = (a, b) => a === b || String(a) === String(b) || (typeof a === 'number' && Math.abs(a - b) <= 1e-12 * Math.abs(b));

/** Rows of both in one order, value by value. */
function compare(name, sql, text, reader, take) {
  const t = JSON.parse(text);
  if (t.truncated) fail(`${name}: Tarn's answer was cut off`);
  const sets = [take(t.rows.map((r) => r.map(ours))), reader.getRows().map((r) => r.map(plain))];
  if (!/ORDER BY day/.test(sql)) for (const s of sets) s.sort((a, b) => { const x = a.slice(0, 2).join(), y = b.slice(0, 2).join(); return x < y ? -1 : x > y; });
  const [a, b] = sets;
  if (a.length !== b.length) fail(`${name}: ${a.length} rows, DuckDB has ${b.length}`);
  a.forEach((row, i) => row.forEach((v, k) => {
    if (!same(v, b[i][k])) fail(`${name}: row ${i}: ${JSON.stringify(row)}, DuckDB has ${JSON.stringify(b[i])}`);
  }));
  return a.length;
}

const filled = existsSync(data);
await start();
if (!filled) await fill();
const list = await files();
const total = list.reduce((n, f) => n + f.rows, 0);
if (total !== rows) fail(`${total} rows in silver, not ${rows}`);
duck = await (await DuckDBInstance.create(':memory:')).connect();
await duck.run("SET threads = 1; SET TimeZone = 'UTC'");
await duck.run(`CREATE VIEW silver AS SELECT * FROM read_parquet(${JSON.stringify(list.map((f) => f.path)).replaceAll("'", "''").replaceAll('"', "'")})`);
const version = (await duck.runAndReadAll('SELECT version()')).getRows()[0][0];
console.log(`queries: ${rows} rows in ${list.length} files, DuckDB ${version}, one thread each\t\t`);
for (const [name, sql, theirs, take = (list) => list] of queries) {
  const t = await measure(() => askTarn(sql), cpuOfTarn);
  const d = await measure(() => askDuck(theirs), cpuOfThis);
  compare(name, sql, t.answer, d.answer, take);
  say(`${name}: DuckDB / Tarn`, d.best / t.best, 'times');
  say(`${name}: Tarn`, t.best, `s, ${t.cpu.toFixed(2)} CPU-s`);
  say(`${name}: DuckDB`, d.best, `s, ${d.cpu.toFixed(2)} CPU-s`);
}
const cores = availableParallelism();
await duck.run(`SET threads = ${cores}`);
for (const [name, what, , theirs] of views) {
  const file = join(dir, `${name}.parquet`);
  const t = await measure(() => get(`/api/v1/recompute?view=${name}`, { method: 'POST' }), cpuOfTarn);
  const d = await measure(() => duck.run(`COPY (${theirs}) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`), cpuOfThis);
  compare(what, '', await get('/api/v1/sql', { method: 'POST', body: `SELECT * FROM ${name}` }), await duck.runAndReadAll(`SELECT * FROM read_parquet('${file}')`), (l) => l);
  say(`recompute ${what}: DuckDB / Tarn`, d.best / t.best, `times, ${cores} cores each`);
  say(`recompute ${what}: Tarn`, rows / t.best, `rows/s, ${t.cpu.toFixed(2)} CPU-s`);
  say(`recompute ${what}: DuckDB`, rows / d.best, `rows/s, ${d.cpu.toFixed(2)} CPU-s`);
}
if (JSON.stringify(await files()) !== JSON.stringify(list)) fail('files changed while they were read');
process.exit(0);

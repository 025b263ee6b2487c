// Foreign readers judge every file that Tarn publishes: DuckDB and hyparquet
// read all Parquet files of a run (bronze, silver, gold) and must agree with
// each other, column by column, on counts, nulls, sums, minima and maxima, and
// with Tarn's catalog on rows, bytes, checksum, times and positions. The run:
// the demo's pipeline and data, and a table with every type at random.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { Tarn, baseSeed, rng, root } from './lib.mjs';
import * as schema from './differential/schema.mjs';
import { Judge } from './differential/judge.mjs';

const near = (a, b) => Object.is(a, b) || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
const table = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? n >>> 1 ^ 0x82f63b78 : n >>> 1; return n >>> 0; });
const crc32c = (buf) => { let c = 0xffffffff; for (const b of buf) c = table[(c ^ b) & 255] ^ c >>> 8; return ((c ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0'); };

/** All rows by hyparquet, without turning anything into what cannot hold it. */
function hyparquet(buf) {
  const file = { byteLength: buf.length, slice: (a, b) => buf.buffer.slice(buf.byteOffset + a, buf.byteOffset + (b ?? buf.length)) };
  const same = (v) => v;
  return parquetReadObjects({ file, compressors, utf8: false, parsers: { timestampFromMicroseconds: same, dateFromDays: same } });
}

/** How the values of a column compare, by DuckDB's name of its type. */
function kindOf(type) {
  if (/^(BIGINT|INTEGER|SMALLINT)$/.test(type)) return 'int';
  if (/^(DOUBLE|FLOAT)$/.test(type)) return 'float';
  return { BOOLEAN: 'bool', VARCHAR: 'text', UUID: 'uuid', BLOB: 'bytes', JSON: 'json', DATE: 'days', TIME: 'micros', TIMESTAMP: 'micros', 'TIMESTAMP WITH TIME ZONE': 'micros' }[type] ?? (type.startsWith('DECIMAL') ? 'decimal' : assert.fail(`type ${type}`));
}
const hex = (b) => Buffer.from(b).toString('hex');

/** [count, min, max, sum] of a column by DuckDB, in kindOf's words. */
async function byDuck(judge, path, name, kind) {
  const c = `"${name}"`, from = `FROM read_parquet('${path}', hive_partitioning = false)`;
  const value = { days: `epoch_us(${c}::TIMESTAMP) // 86400000000`, micros: `epoch_us(${c})`, bytes: `hex(${c})`, uuid: `${c}::VARCHAR`, json: `length(${c}::VARCHAR)`, bool: `${c}::INTEGER`, text: `hex(encode(${c}))` }[kind] ?? c;
  const sum = kind === 'float' ? `fsum(${c}::DOUBLE)` : kind === 'decimal' ? `sum(${c}::DOUBLE)` : ['int', 'days', 'micros', 'bool'].includes(kind) ? `sum(${value})` : ['text', 'bytes'].includes(kind) ? `sum(length(${value})) / 2` : 'NULL';
  const [[n, lo, hi, s]] = await judge.rows(`SELECT count(${c}), min(${value}), max(${value}), ${sum} ${from}`);
  return { n: Number(n), lo, hi, sum: s };
}

/** The same by hyparquet's rows. */
function byHand(rows, name, kind) {
  const values = rows.map((r) => r[name]).filter((v) => v !== null && v !== undefined);
  const form = { int: BigInt, days: BigInt, micros: BigInt, bool: (v) => BigInt(v ? 1 : 0), float: Number, decimal: Number, bytes: (v) => hex(v).toUpperCase(), text: (v) => hex(typeof v === 'string' ? Buffer.from(v) : v).toUpperCase(),
    uuid: (v) => { const h = typeof v === 'string' ? v.replaceAll('-', '') : hex(v); return h.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'); }, json: () => 0 }[kind];
  const list = values.map(form);
  let lo = null, hi = null;
  for (const v of list) { if (lo === null || v < lo) lo = v; if (hi === null || v > hi) hi = v; }
  const sum = !list.length ? null : ['float', 'decimal'].includes(kind) ? list.reduce((a, b) => a + b, 0) : ['text', 'bytes'].includes(kind) ? list.reduce((a, b) => a + b.length / 2, 0) : kind === 'uuid' || kind === 'json' ? null : list.reduce((a, b) => a + b, 0n);
  return { n: list.length, lo, hi, sum };
}

function assertColumn(duck, hand, kind, where) {
  assert.equal(duck.n, hand.n, `${where}: values that are not null`);
  if (duck.n === 0 || kind === 'json') return;
  if (kind === 'float' || kind === 'decimal') {
    for (const k of ['lo', 'hi', 'sum']) assert.ok(near(Number(duck[k].toString()), hand[k]), `${where} ${k}: ${duck[k]} ${hand[k]}`);
    return;
  }
  for (const k of ['lo', 'hi', 'sum']) assert.equal(String(duck[k]), String(hand[k]), `${where}: ${k}`);
}

/** What our catalog says of a file against what its columns say. */
function assertCatalog(f, columns, timeColumn, buf, rows) {
  const where = f.path;
  assert.equal(f.rows, rows.length, `${where}: rows`);
  assert.equal(f.bytes, buf.length, `${where}: bytes`);
  assert.equal(f.crc, crc32c(buf), `${where}: checksum`);
  if (columns._lsn) assert.ok(f.lsn_min <= columns._lsn.lo && columns._lsn.hi <= f.lsn_max, `${where}: LSNs ${columns._lsn.lo} to ${columns._lsn.hi} are not in ${f.lsn_min} to ${f.lsn_max}`);
  if (!timeColumn || f.time_min === null) return;
  const c = columns[timeColumn];
  assert.deepEqual([schema.parseTime(f.time_min), schema.parseTime(f.time_max)], [c.lo, c.hi], `${where}: times of ${timeColumn}`);
}

async function assertFile(judge, t, f, timeColumn) {
  const path = join(t.data, 'lake', f.path), buf = readFileSync(path);
  const described = await judge.rows(`DESCRIBE SELECT * FROM read_parquet('${path}', hive_partitioning = false)`);
  const rows = await hyparquet(buf), columns = {};
  const [[n]] = await judge.rows(`SELECT count(*) FROM read_parquet('${path}')`);
  assert.equal(Number(n), rows.length, `${f.path}: rows of DuckDB and hyparquet`);
  const meta = await judge.rows(`SELECT path_in_schema, sum(stats_null_count), sum(num_values) FROM parquet_metadata('${path}') GROUP BY 1`);
  const nulls = new Map(meta.map(([name, k, v]) => [name.replaceAll('"', ''), [Number(k), Number(v)]]));
  for (const [name, type] of described) {
    const kind = kindOf(type), where = `${f.path} ${name} ${type}`;
    const hand = columns[name] = byHand(rows, name, kind);
    assertColumn(await byDuck(judge, path, name, kind), hand, kind, where);
    assert.deepEqual(nulls.get(name), [rows.length - hand.n, rows.length], `${where}: nulls of our statistics`);
  }
  assertCatalog(f, columns, timeColumn, buf, rows);
  return described.length;
}

async function loadDemo(t) {
  const names = { occ: ['people_count', 'people'], co2: ['co2', 'ppm'], vav: ['damper', 'open_percent'] };
  for (const [from, to] of [[0, 7], [7, 15]]) {
    for (const [k, [stream, column]] of Object.entries(names))
      for (let room = 1; room <= 4; room++) {
        const [head, ...lines] = gunzipSync(readFileSync(join(root, `config/demo/${k}_room_${room}.csv.gz`))).toString().trim().split('\n');
        const body = [head, ...lines.filter((l) => { const d = Number(l.split(',')[0]); return d >= from && d < to; })].join('\n');
        const query = [['rename', 'day_id:DayId'], ['rename', 'time_of_day:Time'], ['rename', `${column}:Room ${room}`], ['constant', `room:${room}`]].map(([a, b]) => `${a}=${encodeURIComponent(b)}`).join('&');
        const a = await t.post(stream, body, { type: 'text/csv', query: `?${query}` });
        assert.equal(a.quarantined + a.duplicates, 0, JSON.stringify(a.errors));
      }
    await t.post('people_count', readFileSync(join(root, 'config/demo/bad.ndjson')));
    if (from === 0) await t.cut();
  }
}

async function loadTypes(t, r, all) {
  for (let k = 0; k < 6; k++) {
    const format = r.pick(['ndjson', 'json', 'csv']);
    const rows = Array.from({ length: 400 }, () => schema.event(r, all, BigInt(Date.now()) * 1000n, { absent: new Set(), mayLack: false }));
    const e = schema.encode(r, all, rows, format);
    await t.post(all.name, e.body, { type: e.type });
    if (k === 3) await t.cut();
  }
}

test(`DuckDB, hyparquet and the catalog agree on every file, TARN_SEED=${baseSeed}`, async (c) => {
  const r = rng(baseSeed), all = schema.everyType(r, 'all_types');
  const scalar = all.columns.filter((x) => x.type !== 'jsonb' && x.type !== 'bool' && !x.id && !x.isTime);
  const views = `CREATE MATERIALIZED VIEW all_hourly AS SELECT date_trunc('hour', ts) AS h, text_few, ${scalar.map((x) => `min(${x.name}) AS lo_${x.name}, max(${x.name}) AS hi_${x.name}`).join(', ')}, bool_or(bool_wide) AS b, avg(int8_wide) AS a8, sum(int8_wide) AS s8, stddev(double_few) AS sd, count(*) AS n FROM all_types GROUP BY 1, 2;
CREATE MATERIALIZED VIEW all_once AS SELECT count(*) AS n, count(DISTINCT uuid_wide) AS u, percentile_cont(0.5) WITHIN GROUP (ORDER BY int4_few) AS p FROM all_types;`;
  const demo = readFileSync(join(root, 'config/demo/pipeline.sql'), 'utf8');
  const t = await new Tarn({ sql: `${demo}\n${schema.createTable(r, all)}\n${views}` }).start();
  const judge = await new Judge().open();
  try {
    await loadDemo(t);
    await loadTypes(t, r, all);
    await t.cut();
    const { files } = await t.ok('GET', '/api/v1/files');
    const { streams } = await t.ok('GET', '/api/v1/streams'), list = await t.ok('GET', '/api/v1/views');
    const times = new Map([...streams.map((s) => [`silver ${s.name}`, s.event_time ?? '_received_at']), ...streams.map((s) => [`bronze ${s.name}`, 'received_at']), ...list.views.map((v) => [`gold ${v.name}`, v.bucket])]);
    const count = { files: 0, columns: 0, bronze: 0, silver: 0, gold: 0 }, rows = new Map();
    for (const f of files.filter((x) => x.tier !== 'keys')) {
      count.columns += await assertFile(judge, t, f, times.get(`${f.tier} ${f.table}`));
      count.files++;
      count[f.tier]++;
      const key = `${f.tier} ${f.table}`;
      rows.set(key, (rows.get(key) ?? 0) + f.rows);
    }
    for (const s of streams.filter((x) => x.accepted)) {
      assert.equal(rows.get(`bronze ${s.name}`), s.accepted + s.quarantined + s.duplicates, s.name);
      assert.equal(rows.get(`silver ${s.name}`), s.accepted, s.name);
    }
    assert.ok(count.bronze >= 8 && count.silver >= 45 && count.gold >= 8, JSON.stringify(count));
    c.diagnostic(`${count.files} files, ${count.columns} columns read twice: ${JSON.stringify(count)}`);
  } finally {
    judge.close();
    await t.stop();
  }
});

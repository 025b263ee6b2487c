// Goal: foreign programs and the parquet room agree on every value. DuckDB
// and hyparquet read what our writer wrote; our reader reads what DuckDB
// wrote in every codec, page version and encoding that it offers.
//
// Needs tests/node_modules (npm ci in tests/) and builds parquet_tool into
// TARN_BUILD (default build/release).
import test from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const build = process.env.TARN_BUILD ?? 'build/release'
const tool = path.resolve(root, build, 'tests/tools/parquet_tool')
const dir = mkdtempSync(path.join(tmpdir(), 'tarn-parquet-'))
const seed = process.env.TARN_SEED ?? String(Date.now() % 1000000)
let duck

const run = (...args) => execFileSync(tool, args, { maxBuffer: 1 << 30 })
const lines = (...args) => {
  const text = run(...args).toString()
  return text === '' ? [] : text.trimEnd().split('\n').map((l) => JSON.parse(l))
}
const rowsOf = async (sql) => (await duck.runAndReadAll(sql)).getRowObjects()
const one = async (sql) => (await rowsOf(sql))[0]

test.before(async () => {
  const libs = ['parquet', 'os', 'record', 'base'].map((r) => `${build}/lib${r}.a`)
  execFileSync('make', ['-s', `B=${build}`, ...libs], { cwd: root })
  mkdirSync(path.dirname(tool), { recursive: true })
  execFileSync('gcc', ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror',
    '-Isrc', '-pthread', '-o', tool, 'tests/tools/parquet_tool.c', '-Wl,--start-group', ...libs,
    '-Wl,--end-group', '-l:libzstd.a', '-lz', '-lm'], { cwd: root })
  duck = await (await DuckDBInstance.create(':memory:')).connect()
  console.log(`TARN_SEED=${seed}`)
})
test.after(() => rmSync(dir, { recursive: true, force: true }))

const hex = (bytes) => Buffer.from(bytes).toString('hex')
const float = (s) => ({ nan: NaN, '-nan': NaN, inf: Infinity, '-inf': -Infinity })[s] ?? Number(s)

// A value of DuckDB in the form that parquet_tool dumps.
function canonical(v) {
  if (v === null || v === undefined) return null
  switch (v.constructor.name) {
    case 'DuckDBDateValue': return String(v.days)
    case 'DuckDBTimeValue': return String(v.micros)
    case 'DuckDBTimestampValue': return String(v.micros)
    case 'DuckDBTimestampTZValue': return String(v.micros)
    case 'DuckDBTimestampMillisecondsValue': return String(v.millis * 1000n)
    case 'DuckDBTimestampSecondsValue': return String(v.seconds * 1000000n)
    case 'DuckDBTimestampNanosecondsValue': {
      const n = v.nanos
      return String((n - ((n % 1000n) + 1000n) % 1000n) / 1000n)
    }
    case 'DuckDBDecimalValue': return String(v.value)
    case 'DuckDBUUIDValue': return v.toString().replaceAll('-', '')
    case 'DuckDBBlobValue': return hex(v.bytes)
    default: return v
  }
}

function assertSame(ours, theirs, where) {
  const v = canonical(theirs)
  if (ours === null || v === null) return assert.equal(ours, v, where)
  if (typeof v === 'number') return assert.ok(Object.is(float(ours), v), `${where}: ${ours} ${v}`)
  assert.equal(ours, String(v), where)
}

function assertRows(ours, theirs) {
  assert.equal(ours.length, theirs.length)
  ours.forEach((row, i) => {
    const other = theirs[i]
    assert.deepEqual(Object.keys(row), Object.keys(other))
    for (const k of Object.keys(row)) assertSame(row[k], other[k], `row ${i} column ${k}`)
  })
}

const write = (name, rows, s = seed) => {
  const file = path.join(dir, name)
  rmSync(file, { force: true })
  run('write', file, s, String(rows))
  return file
}

test('DuckDB reads every value that we wrote', async () => {
  const file = write('ours.parquet', 12345)
  assertRows(lines('dump', file), await rowsOf(`SELECT * FROM read_parquet('${file}')`))
})

test('DuckDB sees the types that we meant', async () => {
  const file = write('types.parquet', 100)
  const types = Object.fromEntries((await rowsOf(`DESCRIBE SELECT * FROM read_parquet('${file}')`))
    .map((r) => [r.column_name, r.column_type]))
  assert.deepEqual(types, {
    event_id: 'VARCHAR', office: 'VARCHAR', note: 'VARCHAR', free: 'VARCHAR', ok: 'BOOLEAN',
    ok_req: 'BOOLEAN', i2: 'SMALLINT', i4: 'INTEGER', i4_wild: 'INTEGER', i8: 'BIGINT',
    i8_sorted: 'BIGINT', i8_runs: 'BIGINT', f4: 'FLOAT', f8: 'DOUBLE', f8_edge: 'DOUBLE',
    temp: 'DOUBLE', n9: 'DECIMAL(9,2)', n18: 'DECIMAL(18,4)', n38: 'DECIMAL(38,9)', d: 'DATE',
    tm: 'TIME', ts: 'TIMESTAMP', tz: 'TIMESTAMP WITH TIME ZONE', j: 'JSON', u: 'UUID',
    raw: 'BLOB', nothing: 'INTEGER', nothing_t: 'VARCHAR',
  })
})

test('DuckDB finds the same counts, sums and rows with and without our statistics', async () => {
  const file = write('stats.parquet', 12345)
  await duck.run(`CREATE OR REPLACE TABLE t AS SELECT * FROM read_parquet('${file}')`)
  const agg = `count(*) n, count(note) note, count(i8) i8, sum(i8_sorted) s, sum(n18) n18,
    min(free) lo, max(free) hi, count(DISTINCT office) o`
  assert.deepEqual(await one(`SELECT ${agg} FROM read_parquet('${file}')`), await one(`SELECT ${agg} FROM t`))
  const wheres = [`note > '01234567'`, `note = ''`, `note >= 'a very long text that goes on'`,
    `note > 'zzz'`, `free < '4'`, `event_id BETWEEN 'ev-0000002000' AND 'ev-0000002100'`,
    `i8 = 9223372036854775807`, `i8 < 0`, `i4 > 2147483646`, `f8_edge > 1`, `f8_edge = 0`,
    `f8_edge = 'nan'::double`, `f4 < -1`, `temp >= 25.9`, `n38 > 0`, `n18 < -1000`, `n9 = 0`,
    `d = DATE '2024-10-04'`, `tz < TIMESTAMPTZ '2023-11-14 22:13:25+00'`, `ok`, `NOT ok`,
    `nothing IS NULL`, `nothing = 1`, `u > '80000000-0000-0000-0000-000000000000'::uuid`,
    `i8_sorted BETWEEN 3000000 AND 3100000`, `raw > '\\x80'::blob`]
  for (const w of wheres) {
    assert.deepEqual(await one(`SELECT count(*) n FROM read_parquet('${file}') WHERE ${w}`),
      await one(`SELECT count(*) n FROM t WHERE ${w}`), w)
  }
})

test('our statistics hold: null counts exact, minima and maxima bound every value', async () => {
  const file = write('meta.parquet', 12345)
  const meta = await rowsOf(`SELECT * FROM parquet_metadata('${file}')`)
  let row = 0n
  for (const id of new Set(meta.map((m) => m.row_group_id))) {
    const chunks = meta.filter((m) => m.row_group_id === id)
    const n = chunks[0].row_group_num_rows
    for (const m of chunks) {
      const col = `"${m.path_in_schema.replaceAll('"', '')}"`
      const where = `SELECT * FROM (SELECT ${col} c, file_row_number r FROM read_parquet('${file}', file_row_number = true)) WHERE r >= ${row} AND r < ${row + n}`
      const got = await one(`SELECT count(*) - count(c) AS n FROM (${where})`)
      assert.equal(m.stats_null_count, got.n, m.path_in_schema)
      assert.equal(m.num_values, n)
      assert.equal(m.compression, 'ZSTD')
      if (!['event_id', 'free', 'note', 'office', 'i4_wild', 'i8', 'i8_sorted', 'temp', 'd'].includes(m.path_in_schema)) continue
      if (got.n === n) continue
      const type = (await one(`SELECT typeof(c) t FROM (${where}) LIMIT 1`)).t
      const bad = await one(`SELECT count(*) n FROM (${where}) WHERE c < $$${m.stats_min_value}$$::${type} OR c > $$${m.stats_max_value}$$::${type}`)
      assert.equal(bad.n, 0n, `${m.path_in_schema} ${m.stats_min_value} ${m.stats_max_value}`)
    }
    row += n
  }
  assert.equal(row, 12345n)
  const kv = await rowsOf(`SELECT decode(key) k, decode(value) v FROM parquet_kv_metadata('${file}')`)
  assert.deepEqual(kv, [{ k: 'origin', v: 'parquet_tool' }])
  const fm = await one(`SELECT created_by, num_rows FROM parquet_file_metadata('${file}')`)
  assert.match(fm.created_by, /^tarn version \d/)
})

test('an empty file and a file of one row are read', async () => {
  for (const n of [0, 1]) {
    const file = write(`n${n}.parquet`, n)
    assertRows(lines('dump', file), await rowsOf(`SELECT * FROM read_parquet('${file}')`))
  }
})

test('hyparquet reads every value that we wrote', async () => {
  const file = write('hy.parquet', 9000)
  const buf = readFileSync(file)
  const source = { byteLength: buf.length, slice: (a, b) => buf.buffer.slice(buf.byteOffset + a, buf.byteOffset + (b ?? buf.length)) }
  const same = (v) => v
  const theirs = await parquetReadObjects({ file: source, compressors, utf8: false,
    parsers: { timestampFromMicroseconds: same, dateFromDays: same } })
  const ours = lines('dump', file)
  assert.equal(ours.length, theirs.length)
  const decimals = { n9: 2, n18: 4, n38: 9 }
  ours.forEach((row, i) => {
    for (const [k, v] of Object.entries(row)) {
      const t = theirs[i][k] ?? null
      const where = `row ${i} ${k} ${v} ${t}`
      if (v === null || t === null) assert.equal(v, t, where)
      else if (decimals[k]) assert.ok(Math.abs(Number(v) / 10 ** decimals[k] - t) <= Math.abs(t) * 1e-12, where)
      else if (k === 'j') assert.deepEqual(JSON.parse(v), t, where)
      else if (k === 'u') assert.equal(typeof t === 'string' ? t.replaceAll('-', '') : hex(t), v, where)
      else if (t instanceof Uint8Array) assert.equal(hex(t), v, where)
      else if (typeof t === 'number') assert.ok(Object.is(float(v), t) || (Number.isNaN(t) && float(v) !== float(v)), where)
      else assert.equal(String(t), v, where)
    }
  })
})

// ---- our reader and DuckDB's files ----

const source = (rows) => `SELECT
  i::INTEGER AS id,
  CASE WHEN i % 7 = 0 THEN NULL ELSE 'office ' || (i % 11) END AS office,
  'event-' || i || '-' || md5(i::VARCHAR) AS event_id,
  CASE WHEN i % 3 = 0 THEN NULL WHEN i % 5 = 0 THEN '' ELSE repeat('ä€', (i % 40)::INTEGER) END AS note,
  (i % 2 = 0) AS ok, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 = 0 END AS maybe,
  (i % 250 - 125)::TINYINT AS i1, (i * 7 % 60000 - 30000)::SMALLINT AS i2, hash(i)::BIGINT::BIGINT AS i8,
  (i % 250)::UTINYINT AS u1, (i * 7 % 60000)::USMALLINT AS u2, (i * 429496::BIGINT % 4294967295)::UINTEGER AS u4, hash(i + 1) AS u8,
  (i / 3.0)::FLOAT AS f4, CASE WHEN i % 13 = 0 THEN 'nan'::DOUBLE WHEN i % 17 = 0 THEN '-inf'::DOUBLE ELSE i / 7.0 END AS f8,
  (18 + i % 80 / 10.0)::DOUBLE AS temp,
  (i % 1999 - 999)::DECIMAL(4,1) AS d4, (i * 3 - 9000)::DECIMAL(9,2) AS d9, (i * 1234567 - 4000)::DECIMAL(18,5) AS d18,
  (i::HUGEINT * 123456789012345678 - 55)::DECIMAL(38,10) AS d38,
  DATE '1960-01-01' + (i * 5)::INTEGER AS d, TIME '00:00:01' + INTERVAL (i) SECOND AS tm,
  TIMESTAMP '1950-06-01 12:00:00.123456' + INTERVAL (i) HOUR AS ts, (TIMESTAMP '2026-01-01' + INTERVAL (i) MINUTE)::TIMESTAMPTZ AS tz,
  (TIMESTAMP '1955-01-01 00:00:00.5' + INTERVAL (i) MINUTE)::TIMESTAMP_MS AS tms, make_timestamp_ns(i * 1234567891 - 5000000000) AS tns,
  CASE WHEN i % 9 = 0 THEN NULL ELSE md5(i::VARCHAR)::UUID END AS u, unhex(md5(i::VARCHAR)) AS raw,
  CASE WHEN i % 6 < 3 THEN NULL ELSE (i / 1000)::BIGINT END AS runs, NULL::INTEGER AS nothing
  FROM range(${rows}) r(i)`.replace('hash(i)::BIGINT::BIGINT', '(hash(i) >> 1)::BIGINT')

for (const codec of ['zstd', 'snappy', 'uncompressed']) {
  for (const version of ['V1', 'V2']) {
    for (const dict of [true, false]) {
      test(`we read DuckDB's ${codec} ${version}${dict ? '' : ' without dictionaries'}`, async () => {
        const file = path.join(dir, `duck-${codec}-${version}-${dict}.parquet`)
        const limit = dict ? '' : ', DICTIONARY_SIZE_LIMIT 1'
        await duck.run(`COPY (${source(dict ? 9000 : 9900)}) TO '${file}' (FORMAT parquet, COMPRESSION ${codec}, PARQUET_VERSION ${version}, ROW_GROUP_SIZE 4096${limit})`)
        const used = await rowsOf(`SELECT DISTINCT encodings FROM parquet_metadata('${file}')`)
        const theirs = await rowsOf(`SELECT * FROM read_parquet('${file}')`)
        assertRows(lines('dump', file), theirs)
        assertRows(lines('dump', file, 'dict'), theirs)
        const encodings = new Set(used.flatMap((r) => r.encodings.split(', ')))
        // The point of each variant: what it was meant to exercise is there.
        const wanted = !dict && version === 'V2' ? ['DELTA_BINARY_PACKED', 'DELTA_LENGTH_BYTE_ARRAY', 'BYTE_STREAM_SPLIT'] : !dict ? ['PLAIN'] : version === 'V1' ? ['PLAIN_DICTIONARY'] : ['RLE_DICTIONARY']
        for (const e of wanted) assert.ok(encodings.has(e), `${e} in ${[...encodings]}`)
        // Bounded reads return at least what lies within.
        for (const [col, lo, hi] of [['id', '4000', '4100'], ['event_id', 'event-77', 'event-78'], ['temp', '20.5', '21'], ['office', 'office 3', 'office 3']]) {
          const text = /[a-z]/.test(lo)
          const want = await rowsOf(`SELECT ${col} c FROM read_parquet('${file}') WHERE ${col} BETWEEN ${text ? `'${lo}'` : lo} AND ${text ? `'${hi}'` : hi}`)
          const got = lines('probe', file, col, lo, hi).map((r) => r[col])
          const have = new Map()
          for (const g of got) have.set(g, (have.get(g) ?? 0) + 1)
          for (const w of want) {
            const key = text || col === 'id' ? String(w.c) : got.find((g) => g !== null && Number(g) === w.c)
            assert.ok(have.get(key) > 0, `${col} ${w.c}`)
            have.set(key, have.get(key) - 1)
          }
        }
      })
    }
  }
}

test('nested columns and foreign codecs are refused with a reason', async () => {
  const nested = path.join(dir, 'nested.parquet')
  await duck.run(`COPY (SELECT [1, 2] AS l) TO '${nested}' (FORMAT parquet)`)
  assert.throws(() => run('dump', nested), /nested/)
  const gzip = path.join(dir, 'gzip.parquet')
  await duck.run(`COPY (SELECT range i FROM range(5000)) TO '${gzip}' (FORMAT parquet, COMPRESSION gzip)`)
  assert.throws(() => run('dump', gzip), /zstd, snappy and uncompressed/)
})

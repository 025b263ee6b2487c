// DuckDB as the judge: the model's accepted rows in tables of its own, the
// files that Tarn published, and the comparison of answers with either.
import { DuckDBInstance } from '@duckdb/node-api';
import { parseClock, parseTime } from './schema.mjs';

export class Judge {
  async open() {
    this.instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    this.c = await this.instance.connect();
    await this.c.run("SET TimeZone = 'UTC'");
    return this;
  }

  close() { this.c.closeSync(); this.instance.closeSync(); }

  async rows(sql) {
    try { return (await this.c.runAndReadAll(sql)).getRows(); } catch (e) { throw new Error(`DuckDB: ${e.message}\n${sql}`); }
  }

  /** Tables of a stream: all texts on the way in, then typed. */
  async table(t) {
    await this.c.run(`CREATE TABLE in_${t.name} (${t.columns.map((c) => `${c.name} VARCHAR`).join(', ')}, _lsn BIGINT, _offset BIGINT)`);
    await this.c.run(`CREATE TABLE ${t.name} (${t.columns.map((c) => `${c.name} ${c.duck}`).join(', ')}, _lsn BIGINT, _offset BIGINT)`);
  }

  async add(t, rows) {
    const a = await this.c.createAppender(`in_${t.name}`);
    for (const x of rows) {
      for (const c of t.columns) {
        const v = x.values[c.name];
        if (v === null) a.appendNull(); else a.appendVarchar(v);
      }
      a.appendBigInt(BigInt(x.lsn));
      a.appendBigInt(BigInt(x.offset));
      a.endRow();
    }
    a.closeSync();
    await this.c.run(`INSERT INTO ${t.name} SELECT ${t.columns.map((c) => `CAST(${c.name} AS ${c.duck})`).join(', ')}, _lsn, _offset FROM in_${t.name}`);
    await this.c.run(`DELETE FROM in_${t.name}`);
  }
}

/** A table of Parquet files as a source, with the columns of ${t}. */
export function filesSource(t, paths) {
  const cols = [...t.columns.map((c) => `${c.name}::${c.duck} AS ${c.name}`), '_lsn', '_offset'].join(', ');
  if (!paths.length) return `(SELECT ${[...t.columns.map((c) => `NULL::${c.duck} AS ${c.name}`), 'NULL::BIGINT AS _lsn', 'NULL::BIGINT AS _offset'].join(', ')} WHERE false)`;
  return `(SELECT ${cols} FROM read_parquet([${paths.map((p) => `'${p}'`).join(', ')}], hive_partitioning = false, union_by_name = true))`;
}
/** A reference table for ASOF joins: of one commit the newest row of a key. */
export const asof = (source) => `(SELECT * FROM ${source} QUALIFY row_number() OVER (PARTITION BY rk, _lsn ORDER BY _offset DESC) = 1)`;

/** JSON text of an answer with every number as a text: nothing is rounded. */
export function parseExact(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (m) => m[0] === '"' ? m : `"${m}"`));
}

const zeros = (s) => s.includes('.') ? s.replace(/\.?0+$/, '') : s;
const noMinus = (s) => /^-0(\.0*)?$/.test(s) ? s.slice(1) : s;
const sorted = (v) => v === null || typeof v !== 'object' ? v : Array.isArray(v) ? v.map(sorted) : Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));

/** A value of an answer in the form that compares. */
export function ours(v, cat) {
  if (v === null) return null;
  switch (cat) {
    case 'int': case 'approx': case 'numeric': return noMinus(zeros(String(v)));
    case 'double': return Number(v) + 0;
    case 'real': return Math.fround(Number(v)) + 0;
    case 'ts': case 'tz': return String(parseTime(v));
    case 'time': return String(parseClock(v));
    case 'json': return JSON.stringify(sorted(typeof v === 'string' ? JSON.parse(v) : v));
    default: return String(v);
  }
}

/** The same of a value of DuckDB. */
export function theirs(v, cat) {
  if (v === null || v === undefined) return null;
  switch (cat) {
    case 'int': case 'approx': case 'numeric': return noMinus(zeros(typeof v === 'number' ? BigInt(v).toString() : v.toString()));
    case 'double': case 'real': return Number(v) + 0;
    case 'ts': case 'tz': case 'time': return String(v.micros);
    case 'json': return JSON.stringify(sorted(JSON.parse(v)));
    default: return String(v);
  }
}

/** Doubles at 1e-9, reals at a part of their precision, sketches within 8 % or 4, all else exact. */
export function equal(a, b, cat) {
  if (a === null || b === null) return a === b;
  if (cat === 'approx') return Math.abs(Number(a) - Number(b)) <= Math.max(4, 0.08 * Number(b));
  if (cat === 'real') b = Math.fround(b);
  if (cat !== 'double' && cat !== 'real') return a === b;
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b);
  return Object.is(a, b) || Math.abs(a - b) <= (cat === 'real' ? 1e-6 : 1e-9) * Math.max(1, Math.abs(a), Math.abs(b));
}

/** Rows of an answer against DuckDB's: a list of what differs, empty when equal. */
export function compare(view, answer, rows) {
  const cols = [...view.keys, ...view.outs], k = view.keys.length;
  const keyOf = (r) => JSON.stringify(r.slice(0, k));
  const want = new Map(), diffs = [];
  for (const row of rows) {
    const out = view.keys.map((c, i) => theirs(row[i], c.cat));
    let at = k;
    for (const o of view.outs) {
      const cells = row.slice(at, at += o.d.length).map((v) => v === null ? null : typeof v === 'object' && v.constructor.name === 'DuckDBDecimalValue' ? v.toString() : v);
      out.push(o.d.length > 1 ? ours(o.conv(cells), o.cat) : theirs(row[at - 1], o.cat));
    }
    want.set(keyOf(out), out);
  }
  const got = new Set();
  for (const row of answer.rows) {
    const mine = cols.map((c, i) => ours(row[i], c.cat)), key = keyOf(mine), other = want.get(key);
    if (got.has(key)) { diffs.push(`twice ${key}`); continue; }
    got.add(key);
    if (!other) { diffs.push(`only Tarn: ${JSON.stringify(mine)}`); continue; }
    cols.forEach((c, i) => { if (!equal(mine[i], other[i], c.cat)) diffs.push(`${key} ${c.name} (${c.t}): Tarn ${mine[i]}, DuckDB ${other[i]}`); });
  }
  for (const [key, row] of want) if (!got.has(key)) diffs.push(`only DuckDB: ${JSON.stringify(row)}`);
  return diffs;
}

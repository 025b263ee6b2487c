// Foreign readers of Tarn's tables, and rows in a form in which they can be
// compared: text as text, times and dates as milliseconds, everything else as
// a number. icebird reads Iceberg over HTTP, or from disk through a fetch that
// knows file:; Delta's log is replayed here by its protocol and its files are
// read by DuckDB. Python's readers (make interop) answer in the same form.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { icebergManifests, icebergMetadata, icebergRead } from 'icebird';
import { root, tempDir } from '../lib.mjs';

/** {name: 'text'|'time'|'date'|'number'|'bool'|'bytes'} of a table. */
export function canonical(rows, types) {
  const form = {
    text: String, number: (v) => Number(Number(v).toPrecision(12)), bool: (v) => (v === true || v === 1 || v === 't' ? 1 : 0),
    time: (v) => Math.floor(v instanceof Date ? v.getTime() : typeof v === 'string' ? Date.parse(/Z|[+-]\d\d(:?\d\d)?$/.test(v) ? v.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00') : `${v}Z`) : Number(v)),
    date: (v) => (v instanceof Date ? v.getTime() : typeof v === 'string' ? Date.parse(`${v}T00:00:00Z`) : Number(v)),
    bytes: (v) => Buffer.from(v).toString('latin1'),
  };
  const names = Object.keys(types).sort();
  return rows.map((r) => names.map((n) => (r[n] === null || r[n] === undefined ? null : form[types[n]](r[n]))));
}

/** Rows, and for each column its nulls, sum and a hash of its sorted values. */
export function digest(rows, types) {
  const names = Object.keys(types).sort(), list = canonical(rows, types);
  const order = (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  const out = { rows: list.length, all: createHash('sha256').update(JSON.stringify([...list].sort(order))).digest('hex').slice(0, 16) };
  names.forEach((n, i) => {
    const values = list.map((r) => r[i]).sort(order);
    out[n] = { nulls: values.filter((v) => v === null).length, sum: ['text', 'bytes'].includes(types[n]) ? null : Number(values.reduce((a, v) => a + (v ?? 0), 0).toPrecision(12)),
      hash: createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 16) };
  });
  return out;
}

/* ---- Iceberg by icebird ------------------------------------------------ */

const plainFetch = globalThis.fetch;
globalThis.fetch = (url, init) => {
  const text = typeof url === 'string' ? url : url.url ?? String(url);
  if (!text.startsWith('file:')) return plainFetch(url, init);
  const path = decodeURIComponent(text.slice(7));
  if (!existsSync(path)) return Promise.resolve(new Response('', { status: 404 }));
  const all = readFileSync(path), range = /bytes=(\d*)-(\d*)/.exec(new Headers(init?.headers).get('range') ?? '');
  if (init?.method === 'HEAD') return Promise.resolve(new Response(null, { headers: { 'content-length': String(all.length) } }));
  if (!range) return Promise.resolve(new Response(all));
  const from = range[1] ? Number(range[1]) : all.length - Number(range[2]);
  const part = all.subarray(from, range[1] && range[2] ? Number(range[2]) + 1 : all.length);
  return Promise.resolve(new Response(part, { status: 206, headers: { 'content-range': `bytes ${from}-${from + part.length - 1}/${all.length}` } }));
};

export const iceberg = {
  metadata: (base, table) => icebergMetadata({ tableUrl: `${base}/${table}` }),
  /** A REST catalog's answer instead of the hint. */
  async rest(url, table) {
    const [ns, name] = table.split('/');
    const r = await plainFetch(`${url}/iceberg/v1/namespaces/${ns}/tables/${name}`);
    if (r.status !== 200) throw new Error(`${r.status} ${await r.text()}`);
    return (await r.json()).metadata;
  },
  async rows(base, table, metadata, snapshot) {
    const m = { ...metadata, ...(snapshot === undefined ? {} : { 'current-snapshot-id': snapshot }) };
    const s = m.snapshots.find((x) => x['snapshot-id'] === m['current-snapshot-id']);
    if (!s) return [];
    m['current-schema-id'] = s['schema-id'];
    if (Number(s.summary['total-records']) === 0) return [];
    return icebergRead({ tableUrl: `${base}/${table}`, metadata: m });
  },
  /** Every manifest and data file of a snapshot. */
  async files(metadata, snapshot) {
    const lists = await icebergManifests({ ...metadata, 'current-snapshot-id': snapshot });
    return { manifests: lists.map((l) => l.url), entries: lists.flatMap((l) => l.entries) };
  },
};

/* ---- Delta by hand ----------------------------------------------------- */

/** The table's state at a version (the newest): {version, schema, files, txn, actions}. */
export async function delta(folder, version = Infinity) {
  const log = join(folder, '_delta_log'), names = readdirSync(log);
  const numbers = (end) => names.filter((n) => n.endsWith(end) && /^\d{20}\./.test(n)).map((n) => Number(n.slice(0, 20))).filter((n) => n <= version).sort((a, b) => a - b);
  const commits = numbers('.json'), last = commits.at(-1);
  const start = numbers('.checkpoint.parquet').at(-1);
  const files = new Map();
  const state = { version: last, protocol: null, metaData: null, txn: 0, files, removed: [] };
  const apply = (a) => {
    if (a.protocol) state.protocol = a.protocol;
    if (a.metaData) state.metaData = a.metaData;
    if (a.txn) state.txn = Number(a.txn.version);
    if (a.remove) { if (!files.delete(a.remove.path)) throw new Error(`removes ${a.remove.path}, which is not there`); }
    if (a.add) { if (files.has(a.add.path)) throw new Error(`adds ${a.add.path} twice`); files.set(a.add.path, a.add); }
  };
  if (start !== undefined) {
    const buf = readFileSync(join(log, `${String(start).padStart(20, '0')}.checkpoint.parquet`));
    const file = { byteLength: buf.length, slice: (a, b) => buf.buffer.slice(buf.byteOffset + a, buf.byteOffset + (b ?? buf.length)) };
    for (const r of await parquetReadObjects({ file, compressors })) apply(r);
  }
  for (let v = (start ?? -1) + 1; v <= last; v++)
    for (const line of readFileSync(join(log, `${String(v).padStart(20, '0')}.json`), 'utf8').trim().split('\n')) apply(JSON.parse(line));
  state.schema = JSON.parse(state.metaData.schemaString).fields;
  return state;
}

const duckForm = { text: (c) => c, number: (c) => `${c}::DOUBLE`, bool: (c) => `${c}::INTEGER`, time: (c) => `epoch_us(${c}) / 1000.0`, date: (c) => `epoch_us(${c}::TIMESTAMP) / 1000.0`, bytes: (c) => `hex(${c})` };

/** Rows of a Delta state by DuckDB, with the columns that the log's schema has. */
export async function deltaRows(judge, folder, state, types) {
  if (state.files.size === 0) return [];
  const names = state.schema.map((f) => f.name).filter((n) => types[n]);
  for (const [path, a] of state.files) {
    const n = JSON.parse(a.stats).numRecords, [[k]] = await judge.rows(`SELECT count(*) FROM read_parquet('${join(folder, path)}', hive_partitioning = false)`);
    if (Number(k) !== n) throw new Error(`${path}: ${k} rows, ${n} in its statistics`);
  }
  const list = [...state.files.keys()].map((p) => `'${join(folder, p)}'`).join(', ');
  const rows = await judge.rows(`SELECT ${names.map((n) => `${duckForm[types[n]](`"${n}"`)} AS "${n}"`).join(', ')} FROM read_parquet([${list}], hive_partitioning = false, union_by_name = true)`);
  return rows.map((r) => Object.fromEntries(names.map((n, i) => [n, types[n] === 'bytes' && r[i] !== null ? Buffer.from(r[i], 'hex') : r[i]])));
}

/* ---- the files themselves ---------------------------------------------- */

export const parquet = {
  async hyparquet(paths, types) {
    const out = [];
    for (const path of paths) {
      const buf = readFileSync(path), file = { byteLength: buf.length, slice: (a, b) => buf.buffer.slice(buf.byteOffset + a, buf.byteOffset + (b ?? buf.length)) };
      for (const r of await parquetReadObjects({ file, compressors, utf8: false }))
        out.push(Object.fromEntries(Object.keys(types).map((n) => [n, r[n] ?? null])));
    }
    return out;
  },
  /** All as one table; the folder of a row is the day of its ${time}. */
  async duckdb(judge, paths, types, time) {
    if (!paths.length) return [];
    const names = Object.keys(types), from = `read_parquet([${paths.map((p) => `'${p}'`).join(', ')}], hive_partitioning = ${Boolean(time)}, union_by_name = true)`;
    if (time) {
      const [[wrong]] = await judge.rows(`SELECT count(*) FROM ${from} WHERE "date"::DATE <> ("${time}" AT TIME ZONE 'UTC')::DATE`);
      if (Number(wrong)) throw new Error(`${wrong} rows are in the folder of another day`);
    }
    const rows = await judge.rows(`SELECT ${names.map((n) => `${duckForm[types[n]](`"${n}"`)} AS "${n}"`).join(', ')} FROM ${from}`);
    return rows.map((r) => Object.fromEntries(names.map((n, i) => [n, types[n] === 'bytes' && r[i] !== null ? Buffer.from(r[i], 'hex') : r[i]])));
  },
};

/* ---- Python's readers -------------------------------------------------- */

const venv = join(root, 'build/interop');
export const python = existsSync(join(venv, 'ready')) && process.env.INTEROP ? join(venv, 'bin/python') : null;
export const spark = python && existsSync(join(venv, 'spark'));

export class Python {
  constructor() {
    this.child = spawn(python, [join(root, 'tests/tools/tables_judge.py')], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, HOME: tempDir('home') } });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** {reader, path, types, snapshot?, rest?} to rows. */
  async rows(ask) {
    this.child.stdin.write(`${JSON.stringify(ask)}\n`);
    const { value } = await this.lines.next();
    const a = JSON.parse(value);
    if (a.error) throw new Error(`${ask.reader} ${ask.path}: ${a.error}`);
    return a.rows.map((r) => Object.fromEntries(r.map((v, i) => [a.names[i], v])));
  }

  end() { this.child.stdin.end(); }
}
export const toolPath = fileURLToPath(import.meta.url);

// Open table formats: after every step of a random life (posts, duplicates,
// bad rows, cuts, compactions, recomputes, rollbacks, expiries, changed
// definitions back and forth, restarts, kills at every named step) the Iceberg
// and Delta tables of bronze, silver and gold, and the Parquet files themselves
// (DuckDB with hive partitions, hyparquet) say what Tarn's SQL says: the same
// rows, and for each column the same nulls, sum and hash; newest and older
// snapshots; over HTTP, from disk, and with Tarn stopped. INTEROP=1 (make
// interop) asks pyiceberg, deltalake, DuckDB's iceberg and delta, and Spark with
// the jars of both, too. SOAK=1: a longer life.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, baseSeed, rng, root, tempDir } from './lib.mjs';
import { Judge } from './differential/judge.mjs';
import { Python, delta, deltaRows, digest, iceberg, parquet, python, spark } from './tables/readers.mjs';

const avro = createRequire(import.meta.url)('avsc');
const seed = baseSeed;
const DAY = 86400000;
const dice = (r) => ({ int: (n) => r.below(n) });

const setup = `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET young_files_max = 2;`;
const first = `${setup}
CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL, office text, n int, big bigint CHECK (big >= 0), ok boolean, f double precision, price numeric(12,2), day date) WITH (event_time = 'ts');
CREATE TABLE note (id int, body text);
CREATE MATERIALIZED VIEW hourly AS SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS c, sum(n) AS s, max(f) AS top FROM ev GROUP BY office, hour;
CREATE MATERIALIZED VIEW busy AS SELECT office, count(*) AS c FROM ev GROUP BY office HAVING count(*) > 20;`;
// What it changes to: a new column, a wider one, another one in a view; a column
// with a default, one that is gone, other rules; and what it was at first.
const second = first.replace('n int,', 'n bigint, extra text,').replace('max(f) AS top', 'max(f) AS top, min(f) AS low');
const third = first.replace('n int,', "n bigint, extra text DEFAULT 'none',").replace(' price numeric(12,2),', '').replace('big >= 0', 'big >= 0 AND big < 900000000000').replace('> 20', '> 10');
const definitions = [first, second, third, first];
const passes = (at, row) => row.big >= 0 && (at !== 2 || row.big < 900e9);

const silver = { id: 'text', ts: 'time', office: 'text', n: 'number', big: 'number', ok: 'bool', f: 'number', price: 'number', day: 'date', _lsn: 'number', _offset: 'number', _received_at: 'time' };
const { price: _, ...cheap } = silver;
/** The tables and their columns by definition. */
const tablesOf = (at) => ({
  'silver/ev': { types: [silver, { ...silver, extra: 'text' }, { ...cheap, extra: 'text' }, silver][at], name: 'ev', time: 'ts' },
  'silver/note': { types: { id: 'number', body: 'text', _lsn: 'number', _offset: 'number', _received_at: 'time' }, name: 'note', time: '_received_at' },
  'gold/hourly': { types: { office: 'text', hour: 'time', c: 'number', s: 'number', top: 'number', ...(at === 1 ? { low: 'number' } : {}) }, view: 'hourly' },
  'gold/busy': { types: { office: 'text', c: 'number' }, view: 'busy', visible: true },
  'bronze/ev': { types: { _lsn: 'number', _offset: 'number', raw: 'bytes', status: 'number' }, raw: 'ev' },
});

const typed = (rows, types) => rows.map((r) => Object.fromEntries(Object.keys(types).map((n) => [n, r[n] ?? null])));

class Life {
  constructor(random) {
    this.random = random;
    this.made = 0;
    this.bronze = [];        // {lsn, offset, raw} of ev, as posted.
    this.refused = [];       // Raw rows that no CHECK has let pass yet.
    this.coming = [];        // Those that now are to come.
    this.seen = new Map();   // table -> snapshot -> digest
  }

  async open(judge) {
    this.judge = judge;
    this.data = tempDir('tables');
    this.at = 0;                             // Of definitions.
    this.t = await new Tarn({ sql: first, data: this.data }).start();
    return this;
  }

  call(text) { return this.t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' }); }

  lake(table = '') { return join(this.data, 'lake', table); }

  row(i) {
    const { random: r } = this, ts = Date.UTC(2026, 2, 1) + r.int(6) * DAY + r.int(DAY);
    return { id: r.int(20) === 0 && i > 0 ? `e${r.int(i)}` : `e${i}`, ts: new Date(ts).toISOString(), office: [null, 'berlin', 'köln', 'a"b\\c'][r.int(4)], n: r.int(9) === 0 ? null : r.int(1000) - 500,
      big: r.int(15) === 0 ? -1 : r.int(1e9) * 1000, ok: [true, false, null][r.int(3)], f: r.int(6) === 0 ? null : r.int(1e6) / 7, price: `${r.int(1000)}.${String(r.int(100)).padStart(2, '0')}`, day: new Date(ts).toISOString().slice(0, 10), ...(r.int(3) ? { extra: `x${r.int(5)}` } : {}) };
  }

  async post(count = 1 + this.random.int(40)) {
    const rows = Array.from({ length: count }, () => JSON.stringify(this.row(this.made++)));
    const a = await this.t.post('ev', rows.join('\n'));
    rows.forEach((raw, i) => {
      this.bronze.push({ lsn: a.lsn, offset: a.first_offset + i, raw: Buffer.from(raw) });
      if (!passes(this.at, JSON.parse(raw))) this.refused.push(raw);
    });
    if (this.random.int(2)) await this.t.post('note', JSON.stringify({ id: this.made, body: 'n'.repeat(this.random.int(80)) }));
  }

  /** A start with another CHECK takes those refused rows that it lets pass, each as a new row, once. */
  triedAgain() {
    const again = (raw) => passes(this.at, JSON.parse(raw));
    this.coming = this.refused.filter(again);
    this.refused = this.refused.filter((raw) => !again(raw));
  }

  /** Which numbers they got is Tarn's affair; from then on they are known. */
  meet(rows) {
    if (this.coming.length === 0) return;
    const known = new Set(this.bronze.map((b) => `${b.lsn} ${b.offset}`)), more = rows.filter((r) => !known.has(`${r._lsn} ${r._offset}`));
    assert.deepEqual(more.map((r) => String(Buffer.from(r.raw))).sort(), this.coming.sort(), 'rows tried again');
    for (const r of more) this.bronze.push({ lsn: r._lsn, offset: r._offset, raw: Buffer.from(r.raw) });
    this.coming = [];
  }

  /** What Tarn itself says of a table, of all that is cut. */
  async truth(table, o) {
    if (o.view) return this.t.view(o.view, '?layer=batch');
    if (o.raw) return null;
    return this.t.sql(`SELECT ${Object.keys(o.types).map((c) => `"${c}"`).join(', ')} FROM ${o.name}`);
  }

  shown(o, rows) { return o.visible ? rows.filter((r) => r._visible) : rows; }
  types(o) { return o.visible ? { ...o.types, _visible: 'bool' } : o.types; }
  digestOf(o, rows) { return digest(typed(rows, o.types), o.types); }

  assertBronze(rows, where) {
    const want = this.bronze.map((b) => `${b.lsn} ${b.offset} ${b.raw}`).sort();
    assert.deepEqual(rows.map((r) => `${r._lsn} ${r._offset} ${Buffer.from(r.raw)}`).sort(), want, `${where}: raw bytes`);
  }

  /** Newest versions against Tarn; keeps what each snapshot said. ${over}: how to reach them. */
  async check(where, over = { base: `${this.t.url}/lake` }) {
    this.checks = (this.checks ?? 0) + 1;
    for (const [table, o] of Object.entries(tablesOf(this.at))) {
      if (!existsSync(this.lake(`${table}/metadata/version-hint.text`))) { assert.ok(!existsSync(this.lake(table)) || !readdirSync(this.lake(table)).some((n) => /=/.test(n)), `${where}: ${table} has files and no metadata`); continue; }
      const m = over.rest ? await iceberg.rest(over.rest, table) : await iceberg.metadata(over.base, table);
      const id = m['current-snapshot-id'];
      const ice = this.shown(o, await iceberg.rows(over.base, table, m));
      const state = await delta(this.lake(table));
      const del = this.shown(o, await deltaRows(this.judge, this.lake(table), state, this.types(o)));
      if (o.raw) { this.meet(ice); this.assertBronze(ice, `${where} iceberg`); this.assertBronze(del, `${where} delta`); }
      const want = over.digests ? over.digests[table] : o.raw ? this.digestOf(o, ice) : this.digestOf(o, await this.truth(table, o));
      assert.deepEqual(this.digestOf(o, ice), want, `${where}: ${table}, Iceberg snapshot ${id}`);
      assert.deepEqual(this.digestOf(o, del), want, `${where}: ${table}, Delta version ${state.version}`);
      // A compaction may have been published in between: files change, rows do not.
      assert.ok(state.txn === id || over.digests || where === 'moved' || where === 'expired' || (await iceberg.metadata(over.base, table))['current-snapshot-id'] > id, `${where}: ${table}: both are of one publication`);
      if (!over.digests) await this.files(where, table, o, want);
      this.remember(table, id, state.version, want, o);
      this.now = { ...this.now, [table]: want };
      if (this.python) await this.foreign(where, table, o, want, over);
    }
  }

  /** The files in force as they lie there, in folders by day. */
  async files(where, table, o, want) {
    const [tier, name] = table.split('/'), types = this.types(o);
    const list = (await this.t.ok('GET', `/api/v1/files?tier=${tier}&table=${name}`)).files.map((f) => this.lake(f.path));
    const by = { hyparquet: () => parquet.hyparquet(list, types), 'DuckDB, hive partitions': () => parquet.duckdb(this.judge, list, types, o.time),
      ...(this.python && { pyarrow: () => this.python.rows({ reader: 'pyarrow', files: list, types }) }) };
    for (const [reader, rows] of Object.entries(by))
      assert.deepEqual(this.digestOf(o, this.shown(o, await rows())), want, `${where}: files of ${table} by ${reader}`);
  }

  remember(table, id, version, want, o) {
    if (!this.seen.has(table)) this.seen.set(table, new Map());
    this.seen.get(table).set(id, { want, version, o });
  }

  async foreign(where, table, o, want, over) {
    const path = this.lake(table), types = this.types(o);
    const asks = [{ reader: 'pyiceberg', path }, { reader: 'deltalake', path }, { reader: 'duckdb-iceberg', path }, { reader: 'duckdb-delta', path },
      ...(over.digests ? [] : [{ reader: 'pyiceberg', path, rest: `${this.t.url}/iceberg` }, { reader: 'duckdb-iceberg', path, rest: `${this.t.url}/iceberg` }])];
    // A JVM takes its time.
    if (spark && this.checks % 3 === 0)
      asks.push({ reader: 'spark-iceberg', path }, { reader: 'spark-delta', path }, ...(over.digests ? [] : [{ reader: 'spark-iceberg', path, rest: `${this.t.url}/iceberg` }]));
    for (const a of asks)
      assert.deepEqual(this.digestOf(o, this.shown(o, await this.python.rows({ ...a, types }))), want, `${where}: ${table} by ${a.reader}${a.rest ? ' over REST' : ''}`);
    if (o.name !== 'ev') return;
    // Bounds and partitions leave out no file that has a row.
    const all = await this.python.rows({ reader: 'deltalake', path, types });
    const from = Date.UTC(2026, 2, 3, 7), to = Date.UTC(2026, 2, 4, 7), inside = digest(typed(all.filter((r) => r.ts >= from && r.ts < to && r.n > 0), o.types), o.types);
    for (const [reader, stamp] of [['pyiceberg', "'2026-03-0_T07:00:00+00:00'"], ['deltalake', "TIMESTAMP '2026-03-0_ 07:00:00'"], ['duckdb-iceberg', "TIMESTAMPTZ '2026-03-0_ 07:00:00+00'"], ['duckdb-delta', "TIMESTAMPTZ '2026-03-0_ 07:00:00+00'"],
      ...(spark && this.checks % 3 === 0 ? [['spark-iceberg', "TIMESTAMP '2026-03-0_ 07:00:00'"], ['spark-delta', "TIMESTAMP '2026-03-0_ 07:00:00'"]] : [])]) {
      const filter = `ts >= ${stamp.replace('_', 3)} AND ts < ${stamp.replace('_', 4)} AND n > 0`;
      assert.deepEqual(digest(typed(await this.python.rows({ reader, path, types, filter }), o.types), o.types), inside, `${where}: ${table} by ${reader}, filtered`);
    }
  }

  /** Every snapshot that is listed still says what it said. */
  async past(where) {
    let looked = 0;
    for (const [table, known] of this.seen) {
      const m = await iceberg.metadata(`${this.t.url}/lake`, table);
      const listed = m.snapshots.map((s) => s['snapshot-id']);
      for (const id of listed.filter((x) => known.has(x))) {
        const { want, o, version } = known.get(id);
        assert.deepEqual(this.digestOf(o, this.shown(o, await iceberg.rows(`${this.t.url}/lake`, table, m, id))), want, `${where}: ${table} at snapshot ${id}`);
        const state = await delta(this.lake(table), version);
        assert.deepEqual(this.digestOf(o, this.shown(o, await deltaRows(this.judge, this.lake(table), state, this.types(o)))), want, `${where}: ${table} at version ${version}`);
        if (this.python && id !== m['current-snapshot-id']) {
          const path = this.lake(table), types = this.types(o);
          for (const a of [{ reader: 'pyiceberg', snapshot: id }, { reader: 'duckdb-iceberg', snapshot: id }, { reader: 'deltalake', snapshot: version }, ...(spark && looked % 5 === 0 ? [{ reader: 'spark-iceberg', snapshot: id }, { reader: 'spark-delta', snapshot: version }] : [])])
            assert.deepEqual(this.digestOf(o, this.shown(o, await this.python.rows({ ...a, path, types }))), want, `${where}: ${table} at ${a.snapshot} by ${a.reader}`);
        }
        looked++;
      }
    }
    return looked;
  }

  /** Nothing is named that is not there, and nothing is there that is not named. */
  async tidy(where) {
    for (const tier of ['bronze', 'silver', 'gold'])
      for (const name of existsSync(this.lake(tier)) ? readdirSync(this.lake(tier)) : []) {
        const folder = this.lake(`${tier}/${name}/metadata`);
        if (!existsSync(folder)) continue;
        const m = await iceberg.metadata(`file://${this.lake()}`, `${tier}/${name}`), named = new Set(['version-hint.text']);
        const version = Number(readFileSync(join(folder, 'version-hint.text'), 'utf8'));
        for (let v = version; v > Math.max(0, version - 16); v--) named.add(`v${v}.metadata.json`);
        for (const s of m.snapshots) {
          named.add(s['manifest-list'].split('/').at(-1));
          const f = await iceberg.files(m, s['snapshot-id']);
          for (const x of f.manifests) named.add(x.split('/').at(-1));
          for (const e of f.entries.filter((x) => x.status !== 2)) assert.ok(existsSync(e.data_file.file_path.slice(7)), `${where}: ${e.data_file.file_path} of snapshot ${s['snapshot-id']} is not there`);
        }
        const there = readdirSync(folder);
        for (const n of named) assert.ok(there.includes(n) || (/^v\d/.test(n) && n !== `v${version}.metadata.json`), `${where}: ${tier}/${name}/metadata/${n} is named and not there`);
        // Manifests of a former process go when no listed snapshot is as old.
        for (const n of there) assert.ok(named.has(n) || (this.restarted && /^m-\d+\.avro$/.test(n) && Number(n.slice(2, -5)) <= m['current-snapshot-id']), `${where}: ${tier}/${name}/metadata/${n} is named by nothing`);
        for (const n of readdirSync(this.lake(`${tier}/${name}/_delta_log`))) assert.match(n, /^(\d{20}\.(json|checkpoint\.parquet)|_last_checkpoint)$/, where);
      }
  }
}

const withJudge = (body) => async (x) => {
  const judge = await new Judge().open();
  try { await body(x, judge); } finally { judge.close(); }
};

test('tables of other engines say what Tarn says, after every step', { timeout: 1800000 }, withJudge(async (x, judge) => {
  const random = dice(rng(seed)), life = await new Life(random).open(judge), steps = Number(process.env.STEPS ?? (process.env.SOAK ? 40 : process.env.INTEROP ? 20 : 9));
  x.diagnostic(`seed ${seed}`);
  if (python) life.python = new Python();
  await x.test('pyiceberg, deltalake, DuckDB\'s iceberg and delta read along', { skip: python ? false : process.env.INTEROP ? 'they could not be installed, see build/interop.log' : 'make interop' }, () => {});
  await x.test('Spark with the jars of Iceberg and Delta reads along', { skip: spark ? false : process.env.INTEROP ? 'it could not be installed, see build/interop-spark.log' : 'make interop' }, () => {});
  const act = {
    cut: async () => { await life.post(); await life.t.cut(); },
    empty: () => life.t.cut(),
    twice: async () => { for (let i = 0; i < 3; i++) { await life.post(8); await life.t.cut(); } },
    recompute: () => life.t.recompute('hourly'),
    restart: async () => { await life.t.restart(random.int(2) ? 'kill' : 'stop'); life.restarted = true; },
    rollback: async () => {
      const { snapshots } = await life.t.ok('GET', '/api/v1/snapshots');
      const a = await life.call(`CALL rollback('hourly', snapshot => ${snapshots[random.int(snapshots.length)].sequence})`);
      assert.ok(a.status === 200 || a.body.type === '/problems/other-definition', JSON.stringify(a.body));
    },
    expire: async () => {
      const { snapshots } = await life.t.ok('GET', '/api/v1/snapshots');
      const a = await life.call(`CALL expire_snapshots(older_than => ${snapshots[random.int(snapshots.length)].lsn})`);
      assert.equal(a.status, 200, JSON.stringify(a.body));
    },
    change: async () => {
      await life.t.stop();
      life.at = (life.at + 1 + random.int(2)) % definitions.length;
      life.triedAgain();
      life.restarted = true;
      life.t = await new Tarn({ sql: definitions[life.at], data: life.data }).start();
      await life.post(3);
      await life.t.cut();
    },
  };
  await act.cut();
  await life.check('first cut');
  for (let i = 0; i < steps; i++) {
    const kinds = ['cut', 'cut', 'twice', 'empty', 'recompute', 'restart', 'rollback', 'expire', ...(steps > 20 ? ['change'] : [])];
    const kind = [Math.floor(steps / 3), Math.floor(steps / 3 * 2)].includes(i) ? 'change' : kinds[random.int(kinds.length)];
    await act[kind]();
    if (kind === 'restart') await life.t.cut();      // The start writes them in the background.
    await life.check(`seed ${seed}, step ${i} (${kind})`, i % 3 === 1 ? { base: `${life.t.url}/lake`, rest: life.t.url } : undefined);
  }
  assert.ok(await life.past('at the end') > 3);
  await life.tidy('at the end');

  await life.t.stop();
  await life.check('stopped, on disk', { base: `file://${life.lake()}`, digests: life.now });

  // Another place: locations on disk are those of the new folder, and all is whole.
  const moved = `${life.data}-moved`;
  renameSync(life.data, moved);
  life.data = moved;
  life.t = await new Tarn({ sql: definitions[life.at], data: moved }).start();
  await life.t.cut();
  await life.check('moved');
  for (let i = 0; i < 3; i++) { await life.post(4); await life.t.cut(); }
  await life.check('moved');
  assert.equal((await life.call("CALL expire_snapshots(older_than => '0 s')")).status, 200);
  await life.tidy('expired');
  for (const table of Object.keys(tablesOf(0))) assert.equal((await iceberg.metadata(`${life.t.url}/lake`, table)).snapshots.length, 1, `${table}: one snapshot after expiry`);
  await life.check('expired');
  await life.t.stop();
  life.python?.end();
}));

test('killed at every step of writing tables', { timeout: 600000 }, withJudge(async (x, judge) => {
  const random = dice(rng(seed + 1)), life = await new Life(random).open(judge);
  const points = ['publish_after:1', 'table_manifest:2', 'table_list:1', 'table_metadata:3', 'table_hint:2', 'table_delta:2', 'table_after:1', 'table_checkpoint:2', 'table_last_checkpoint:1', 'table_removed:3',
    ...(process.env.SOAK ? ['table_manifest', 'table_list', 'table_metadata', 'table_hint', 'table_delta'].flatMap((p) => [1, 2, 3, 4].map((n) => `${p}:${n}`)) : [])];
  const named = new Set();
  for (const f of readdirSync(join(root, 'src'), { recursive: true }))
    if (f.endsWith('.c')) for (const m of readFileSync(join(root, 'src', f), 'utf8').matchAll(/tn_os_crash_point\("(table_\w+)"\)/g)) named.add(m[1]);
  assert.deepEqual([...new Set(points.map((p) => p.split(':')[0]).filter((p) => p !== 'publish_after'))].sort(), [...named].sort());
  for (let i = 0; i < 12; i++) { await life.post(5); await life.t.cut(); }
  await life.check('begin');
  life.restarted = true;
  for (const point of points) {
    await life.t.stop();
    life.t.o.env = { TARN_CRASH: point };
    await life.t.start();
    // Until it dies: in the cut, or in the compaction behind it.
    for (let k = 0; k < 30 && life.t.exit === null; k++) {
      await life.post(10);
      if (!await life.t.cut().then(() => true, () => false)) await life.t.ended;
    }
    assert.equal(life.t.exit?.signal, 'SIGKILL', `${point} was not reached`);
    // What stands is whole: each table is as it was, or as it will be.
    for (const [table, o] of Object.entries(tablesOf(0))) {
      if (!life.now[table]) continue;     // It had no row yet.
      const m = await iceberg.metadata(`file://${life.lake()}`, table), state = await delta(life.lake(table));
      const ice = (await iceberg.rows(`file://${life.lake()}`, table, m)).length, del = await deltaRows(judge, life.lake(table), state, life.types(o));
      assert.equal(ice, Number(m.snapshots.at(-1).summary['total-records']), `${point}: ${table}`);
      if (m['current-snapshot-id'] === state.txn) assert.equal(ice, del.length, `${point}: ${table}`);
    }
    life.t.o.env = {};
    await life.t.start();
    await life.t.cut();
    await life.check(`after ${point}`);
    await life.tidy(`after ${point}`);
  }
  await life.t.stop();
}));

test('manifests are Avro that others read, with Iceberg\'s field ids', { timeout: 600000 }, withJudge(async (x, judge) => {
  const life = await new Life(dice(rng(seed + 2))).open(judge);
  for (let i = 0; i < 9; i++) { await life.post(5); await life.t.cut(); }
  const decode = (buf) => new Promise((done, fail) => {
    const out = [], d = new avro.streams.BlockDecoder();
    d.on('metadata', (type, codec, header) => { out.schema = JSON.parse(header.meta['avro.schema'].toString()); out.meta = header.meta; }).on('data', (v) => out.push(v)).on('end', () => done(out)).on('error', fail);
    d.end(buf);
  });
  for (const table of ['silver/ev', 'gold/hourly', 'bronze/ev']) {
    const m = await iceberg.metadata(`${life.t.url}/lake`, table), folder = life.lake(`${table}/metadata`);
    const snap = m.snapshots.at(-1), name = snap['manifest-list'].split('/').at(-1);
    const list = await decode(readFileSync(join(folder, name)));
    assert.ok(list.length <= 10, `${table}: ${list.length} manifests`);
    assert.equal(list.schema.fields.find((f) => f.name === 'manifest_path')['field-id'], 500);
    let live = 0;
    for (const row of list) {
      const file = row.manifest_path.split('/').at(-1), buf = readFileSync(join(folder, file)), entries = await decode(buf);
      assert.equal(Number(row.manifest_length), buf.length, file);
      assert.equal(entries.length, row.added_files_count + row.existing_files_count + row.deleted_files_count, file);
      const kept = entries.filter((e) => e.status !== 2);
      assert.equal(kept.reduce((a, e) => a + Number(e.data_file.record_count), 0), Number(row.added_rows_count) + Number(row.existing_rows_count), file);
      live += kept.length;
      for (const e of kept) {
        assert.match(e.data_file.file_path, new RegExp(`^file:///.*/lake/${table}/`));
        if (table === 'silver/ev') assert.equal(new Date(e.data_file.partition.day_of_event * DAY).toISOString().slice(0, 10), /date=([\d-]+)/.exec(e.data_file.file_path)[1]);
      }
      // Over HTTP the same entries, other locations, and the length that is said.
      const sent = Buffer.from(await (await life.t.fetch(`/lake/${table}/metadata/${file}`)).arrayBuffer());
      const over = await decode(sent), said = await decode(Buffer.from(await (await life.t.fetch(`/lake/${table}/metadata/${name}`)).arrayBuffer()));
      assert.equal(Number(said.find((r) => r.manifest_path.endsWith(`/${file}`)).manifest_length), sent.length);
      assert.deepEqual(over.map((e) => e.data_file.file_path), entries.map((e) => e.data_file.file_path.replace(`file://${life.data}`, life.t.url)));
    }
    assert.equal(live, Number(snap.summary['total-data-files']), table);
  }
  await life.t.stop();
}));

test('/lake and the REST catalog over HTTP', { timeout: 600000 }, withJudge(async (x, judge) => {
  const life = await new Life(dice(rng(seed + 3))).open(judge), { t } = life;
  await life.post(30);
  await t.cut();
  const [f] = (await t.ok('GET', '/api/v1/files?tier=silver&table=ev')).files ?? (await t.ok('GET', '/api/v1/files?tier=silver&table=ev'));
  const url = `/lake/${f.path}`, disk = readFileSync(life.lake(f.path));
  const bytes = async (r) => Buffer.from(await r.arrayBuffer());
  let r = await t.fetch(url);
  const etag = r.headers.get('etag');
  assert.deepEqual(await bytes(r), disk);
  assert.match(etag, /^"[^"]+"$/);
  assert.ok(Date.parse(r.headers.get('last-modified')) > Date.now() - 600000);
  r = await t.fetch(url, { method: 'HEAD' });
  assert.deepEqual([r.status, Number(r.headers.get('content-length')), r.headers.get('accept-ranges')], [200, disk.length, 'bytes']);
  for (const [range, from, to] of [['bytes=0-3', 0, 4], ['bytes=-8', disk.length - 8, disk.length], ['bytes=5-', 5, disk.length], [`bytes=4-${disk.length * 9}`, 4, disk.length], [`bytes=-${disk.length * 9}`, 0, disk.length]]) {
    r = await t.fetch(url, { headers: { range } });
    assert.deepEqual([r.status, r.headers.get('content-range')], [206, `bytes ${from}-${to - 1}/${disk.length}`], range);
    assert.deepEqual(await bytes(r), disk.subarray(from, to), range);
  }
  const meta = '/lake/silver/ev/metadata/v1.metadata.json', text = await (await t.fetch(meta)).text();
  for (const path of [url, meta]) {
    const n = path === url ? disk.length : text.length, tag = (await t.fetch(path)).headers.get('etag');
    r = await t.fetch(path, { headers: { range: `bytes=${n}-` } });
    assert.deepEqual([r.status, r.headers.get('content-range')], [416, `bytes */${n}`]);
    assert.equal((await t.fetch(path, { headers: { 'if-none-match': tag } })).status, 304);
    assert.equal((await t.fetch(path, { headers: { 'if-none-match': '"other"' } })).status, 200);
    assert.equal((await t.fetch(path, { headers: { range: 'bytes=0-1', 'if-range': tag } })).status, 206);
    assert.equal((await t.fetch(path, { headers: { range: 'bytes=0-1', 'if-range': '"other"' } })).status, 200);
  }
  assert.equal(await (await t.fetch(meta, { headers: { range: 'bytes=2-9' } })).text(), text.slice(2, 10));
  assert.ok(text.includes(`"location":"${t.url}/lake/silver/ev"`) && !text.includes('file:'), 'locations are ours');

  const keys = existsSync(life.lake('keys/ev')) ? readdirSync(life.lake('keys/ev')) : [];
  assert.ok(keys.length > 0);
  for (const path of ['/lake/silver/ev/../../../catalog.db', '/lake/silver/ev/metadata/..%2f..%2f..%2f..%2fcatalog.db', '/lake/silver/ev/metadata/..', '/lake/silver/..%2f..%2fcatalog.db', '/lake/silver/ev/none.parquet', '/lake/silver/ev/metadata/none.avro', `/lake/keys/ev/${keys[0]}`, '/lake/silver/%00', '/lake/silver/ev/metadata/', '/lake//etc/passwd']) {
    const { request } = await import('node:http');
    const status = await new Promise((done, fail) => { request({ host: '127.0.0.1', port: t.port, path }, (a) => { a.resume(); done(a.statusCode); }).on('error', fail).end(); });
    assert.ok([404, 400].includes(status), `${path}: ${status}`);
  }
  assert.deepEqual((await t.ok('GET', '/iceberg/v1/config')).overrides, {});
  assert.deepEqual((await t.ok('GET', '/iceberg/v1/config?warehouse=disk')).overrides, { prefix: 'disk' });
  assert.deepEqual((await t.ok('GET', '/iceberg/v1/namespaces')).namespaces, [['bronze'], ['silver'], ['gold']]);
  assert.deepEqual((await t.ok('GET', '/iceberg/v1/namespaces/gold')).namespace, ['gold']);
  assert.deepEqual((await t.ok('GET', '/iceberg/v1/namespaces/gold/tables')).identifiers.map((i) => i.name), ['busy', 'hourly']);
  const load = await t.ok('GET', '/iceberg/v1/namespaces/silver/tables/ev');
  assert.equal(load['metadata-location'], `${t.url}/lake/silver/ev/metadata/v1.metadata.json`);
  assert.deepEqual(load.metadata, JSON.parse(text));
  const there = await t.ok('GET', '/iceberg/v1/disk/namespaces/silver/tables/ev');
  assert.equal(there.metadata.location, `file://${life.lake('silver/ev')}`);
  for (const [path, status, type] of [['/iceberg/v1/namespaces/copper', 404, 'NoSuchNamespaceException'], ['/iceberg/v1/namespaces/copper/tables', 404, 'NoSuchNamespaceException'], ['/iceberg/v1/namespaces/silver/tables/none', 404, 'NoSuchTableException'], ['/iceberg/v1/namespaces/silver/views/ev', 404, undefined], ['/iceberg/v1/namespaces/silver/tables/a%2fb', 404, 'NoSuchTableException']]) {
    const a = await t.call('GET', path);
    assert.deepEqual([a.status, a.body.error?.type, a.body.error?.code], [status, type, type && status], path);
  }
  for (const [path, status] of [['/iceberg/v1/namespaces/silver', 204], ['/iceberg/v1/namespaces/copper', 404], ['/iceberg/v1/namespaces/silver/tables/ev', 204], ['/iceberg/v1/namespaces/silver/tables/none', 404]])
    assert.equal((await t.fetch(path, { method: 'HEAD' })).status, status, path);
  assert.equal((await t.fetch('/iceberg/v1/namespaces/silver/tables/ev', { method: 'POST', body: '{}' })).status, 405);
  const paths = Object.keys((await t.ok('GET', '/api/openapi.json')).paths);
  for (const p of ['/lake/{tier}/{path}', '/iceberg/v1/namespaces/{namespace}/tables/{table}']) assert.ok(paths.includes(p), p);
  await t.stop();

  // Another address, one format only, then none: what is not wanted goes.
  const t2 = await new Tarn({ sql: first.replace(setup, `${setup} ALTER SYSTEM SET lake_tables = 'iceberg'; ALTER SYSTEM SET lake_url = 'https://lake.example.com/data/';`), data: life.data }).start();
  await t2.cut();
  assert.equal((await t2.ok('GET', '/iceberg/v1/namespaces/silver/tables/ev')).metadata.location, 'https://lake.example.com/data/silver/ev');
  assert.deepEqual(readdirSync(life.lake('silver/ev/_delta_log')), []);
  await t2.stop();
  const t3 = await new Tarn({ sql: first.replace(setup, `${setup} ALTER SYSTEM SET lake_tables = 'none';`), data: life.data }).start();
  await t3.cut();
  assert.deepEqual(readdirSync(life.lake('silver/ev/metadata')), []);
  assert.deepEqual((await t3.ok('GET', '/iceberg/v1/namespaces/silver/tables')).identifiers, []);
  await t3.stop();
}));

test('who may read the lake: nobody without a token, not one that may only send', { timeout: 600000 }, async () => {
  const password = join(tempDir('password'), 'p'), json = { 'content-type': 'application/json' };
  writeFileSync(password, 'correct horse battery\n');
  const t = await new Tarn({ sql: `${setup} CREATE TABLE ev (n int, ts timestamptz NOT NULL) WITH (event_time = 'ts'); CREATE MATERIALIZED VIEW daily AS SELECT date_trunc('day', ts) AS day, count(*) AS c FROM ev GROUP BY day;`,
    env: { TARN_ADMIN_PASSWORD_FILE: password } }).start();
  const login = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse battery' }), json);
  const session = { cookie: login.headers.get('set-cookie').split(';')[0], origin: t.url };
  const as = { none: {} };
  for (const scope of ['ingest', 'read', 'admin'])
    as[scope] = { authorization: `Bearer ${(await t.call('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { ...session, ...json })).body.token}` };
  assert.equal((await t.call('POST', '/api/v1/streams/ev', '{"n":1,"ts":"2026-03-01T08:00:00Z"}', { ...as.ingest, ...json })).status, 200);
  assert.equal((await t.call('POST', '/api/v1/batch/run', undefined, as.admin)).status, 200);
  const [file] = (await t.call('GET', '/api/v1/files?tier=silver&table=ev', undefined, as.read)).body.files;
  for (const path of ['/api/v1/files', '/api/v1/lake', '/api/v1/snapshots', '/api/v1/views/daily/explain', `/lake/${file.path}`, '/lake/silver/ev/metadata/v1.metadata.json',
    '/iceberg/v1/config', '/iceberg/v1/namespaces', '/iceberg/v1/namespaces/silver/tables/ev', '/iceberg/v1/disk/namespaces/silver/tables/ev'])
    assert.deepEqual(await Promise.all(Object.values(as).map(async (headers) => (await t.fetch(path, { headers })).status)), [401, 403, 200, 200], path);
  await t.stop();
});

// Random schemas, views and events against DuckDB. A house is one tarn
// process with a few random streams and reference tables and about thirty
// random views over them: each (stream, view) is a case. While bodies in all
// formats arrive, late, twice, ahead of time and broken, the process is cut,
// stopped, killed and recomputed at random. A model in JavaScript says what
// becomes of each row; DuckDB says, from the model's rows and from Tarn's
// silver files, what each view must show: merged, batch and speed.
//
// TARN_SEED=n makes house n the first one; TARN_HOUSES=1 only it; TARN_VIEW=v
// compares only that view. SOAK=1 goes on until it is stopped.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { Tarn, baseSeed, rng } from './lib.mjs';
import * as schema from './differential/schema.mjs';
import { view as randomView } from './differential/view.mjs';
import { Judge, asof, compare, filesSource, parseExact, theirs } from './differential/judge.mjs';

const houses = process.env.SOAK ? Infinity : Number(process.env.TARN_HOUSES ?? 10);
const STREAMS = 6, VIEWS = 5;
process.setMaxListeners(0);
let cases = 0, comparisons = 0;
const cats = { int2: 'int', int4: 'int', int8: 'int', real: 'double', double: 'double', numeric: 'numeric', bool: 'bool', date: 'date', timestamp: 'ts', timestamptz: 'tz', time: 'time', jsonb: 'json' };

class House {
  constructor(seed) {
    this.seed = seed;
    this.r = rng(seed);
    const r = this.r;
    this.refs = [0, 1].map((i) => schema.reference(r, `ref${i}`));
    this.streams = Array.from({ length: STREAMS }, (_, i) => schema.stream(r, `s${i}`, this.refs));
    this.tables = [...this.refs, ...this.streams];
    this.views = this.streams.flatMap((t) => Array.from({ length: VIEWS }, (_, i) => randomView(r, t, `${t.name}_v${i}`)));
    // A third of the houses commit bodies in small pieces and cut by themselves.
    this.pieces = r.chance(0.35);
    this.settings = [`ALTER SYSTEM SET young_files_max = '${r.pick([1, 2, 3, 8])}';`, `ALTER SYSTEM SET cut_interval = '${r.pick(['1 s', '60 s', '60 s'])}';`,
      ...(r.chance(0.5) ? ["ALTER SYSTEM SET cut_slice_rows = '1000';"] : []),
      // Exact aggregates that are computed from rows anew.
      ...(r.chance(0.5) ? ["ALTER SYSTEM SET holistic_state_bytes = '4 KiB';"] : []), ...(this.pieces ? ["ALTER SYSTEM SET ingest_chunk_bytes = '64 KiB';"] : [])];
    this.sql = [...this.settings, ...this.tables.map((t) => schema.createTable(r, t)), ...this.views.map((v) => v.sql)].join('\n');
    for (const t of this.tables) Object.assign(t, { bodies: [], judged: 0, next: 0, seen: new Set(), rows: [], counts: { accepted: 0, quarantined: 0, duplicate: 0 } });
  }

  async open() {
    this.judge = await new Judge().open();
    for (const t of this.tables) await this.judge.table(t);
    this.tarn = await new Tarn({ sql: this.sql }).start();
  }

  async close() {
    await this.tarn.stop();
    this.judge.close();
  }

  /** Make a body and send it; a body that a kill may have torn is sent again with its key. */
  body(t) {
    const r = this.r, now = BigInt(Date.now()) * 1000n;
    const format = r.pick(['ndjson', 'ndjson', 'json', 'csv']);
    const n = t.isRef ? 1 + r.below(6) : r.pick(this.pieces ? [1, 30, 200, 800, 1500] : [1, 3, 20, 60, 120, 200]);
    const absent = new Set(t.columns.filter((c) => !c.id && !c.isTime && !t.key.includes(c.name) && r.chance(0.06)).map((c) => c.name));
    const rows = Array.from({ length: n }, () => schema.event(r, t, now, { absent, mayLack: format !== 'csv' }));
    const broken = { csv: ['wrong_field_count'], ndjson: ['json_syntax', 'not_an_object'], json: ['not_an_object'] }[format];
    for (const x of rows) if (r.chance(0.01) && !(format === 'csv' && Object.values(x.cells).some((c) => /\n/.test(c.csv)))) { x.fault = r.pick(broken); t.history?.splice(t.history.indexOf(x), 1); }
    const e = schema.encode(r, t, rows, format);
    const headers = {};
    let bytes = Buffer.from(e.body);
    const coding = r.below(6);
    if (coding === 0) { headers['content-encoding'] = 'gzip'; bytes = gzipSync(bytes); }
    if (coding === 1 && r.chance(0.3)) { headers['content-encoding'] = 'zstd'; bytes = execFileSync('zstd', ['-q', '-c'], { input: bytes }); }
    return { t, rows, bytes, headers, type: e.type, format, key: `${this.seed}-${t.name}-${t.bodies.length}-${r.below(1e9)}` };
  }

  async send(b, retry = false) {
    const keyed = b.keyed || retry;
    const a = await this.tarn.post(b.t.name, b.bytes, { type: b.type, headers: { ...b.headers, ...(keyed ? { 'idempotency-key': b.key } : {}) } });
    b.answer = a;
    if (!b.t.bodies.includes(b)) b.t.bodies.push(b);      // What was thought lost may be answered late.
    return a;
  }

  /** Bodies that are on their way when the process dies: all are sent again, with their keys. */
  async kill() {
    const list = this.streams.slice(0, 3).map((t) => Object.assign(this.body(t), { keyed: true }));
    const sent = list.map((b) => this.send(b).then(() => true, () => false));
    await new Promise((done) => setTimeout(done, this.r.below(12)));
    await this.tarn.kill();
    await this.tarn.start();
    // fetch may lose a request of the dead process without a word.
    const ok = await Promise.all(sent.map((p) => Promise.race([p, new Promise((done) => setTimeout(done, 1000, false))])));
    for (const [i, b] of list.entries()) {
      if (!ok[i]) { await this.send(b); continue; }
      const again = await this.tarn.call('POST', `/api/v1/streams/${b.t.name}`, b.bytes, { 'content-type': b.type, ...b.headers, 'idempotency-key': b.key });
      assert.equal(again.headers.get('idempotency-replayed'), 'true');
      assert.deepEqual([again.body.accepted, again.body.quarantined, again.body.duplicates, again.body.first_offset], [b.answer.accepted, b.answer.quarantined, b.answer.duplicates, b.answer.first_offset]);
    }
  }

  /** Judge the new bodies in the order in which they were committed and give the accepted rows to DuckDB. */
  async model() {
    const { tarn } = this;
    for (const t of this.tables) {
      const fresh = t.bodies.slice(t.judged).sort((a, b) => a.answer.first_offset - b.answer.first_offset);
      t.judged = t.bodies.length;
      if (!fresh.length) continue;
      const from = t.next, accepted = [];
      for (const b of fresh) accepted.push(...this.judgeBody(t, b));
      if (this.pieces && !t.isRef && accepted.length) {
        const v = parseExact(JSON.stringify(await tarn.ok('POST', '/api/v1/sql', `SELECT _offset, _lsn FROM ${t.name} WHERE _offset >= ${from}`, { 'content-type': 'application/sql' })));
        const lsn = new Map(v.rows.map(([o, l]) => [Number(o), Number(l)]));
        for (const x of accepted) x.lsn = lsn.get(x.offset) ?? assert.fail(`${t.name}: row ${x.offset} is not in the answer of SQL`);
      }
      await this.judge.add(t, accepted);
    }
  }

  judgeBody(t, b) {
    const counts = { accepted: 0, quarantined: 0, duplicate: 0 }, bad = [], accepted = [];
    assert.equal(b.answer.first_offset, t.next, `${t.name}: offsets without a gap`);
    b.rows.forEach((x, i) => {
      schema.judge(t, x, t.seen);
      counts[x.mark]++;
      x.offset = t.next++;
      x.lsn = b.answer.lsn;
      if (x.mark === 'quarantined') bad.push({ row: i, code: x.code });
      if (x.mark === 'accepted') accepted.push(x);
    });
    t.rows.push(...b.rows);
    for (const k of Object.keys(counts)) t.counts[k] += counts[k];
    const a = b.answer, where = () => `seed ${this.seed} ${t.name} ${b.format} of ${b.rows.length} rows\n${schema.createTable(rng(1), t)}${JSON.stringify(a).slice(0, 3000)}\nexpected ${JSON.stringify(bad)}\n${b.bytes.toString().slice(0, 3000)}`;
    assert.deepEqual([a.accepted, a.quarantined, a.duplicates], [counts.accepted, counts.quarantined, counts.duplicate], `accepted, quarantined, duplicates: ${where()}`);
    if (bad.length <= 100 && !(a.replayed ?? b.keyed)) assert.deepEqual(a.errors.map((e) => ({ row: e.row, code: e.code })), bad, where());
    return accepted;
  }

  async settled() {
    await this.tarn.settled();
    await this.model();
  }

  source(t, where) { return `(SELECT * FROM ${t.name} WHERE ${where})`; }

  /** Bodies of this turn: up to two a stream at once, one where bodies are cut into pieces. */
  sendSome() {
    const list = this.tables.flatMap((t) => Array(this.pieces && !t.isRef ? 1 : this.r.below(3)).fill(t));
    return list.map((t) => this.body(t)).map((b) => this.send(b));
  }

  /** Bodies, a cut, a recompute and readers at the same time: each answer must be right for its own LSN. */
  async busy() {
    const r = this.r, answers = [];
    const posts = this.sendSome();
    const read = async (n) => {
      for (let i = 0; i < n; i++) {
        const v = r.pick(this.views), layer = r.pick(['merged', 'merged', 'batch', 'speed']);
        const text = await (await this.tarn.fetch(`/api/v1/views/${v.name}?layer=${layer}&limit=100000`)).text();
        answers.push([v, layer, parseExact(text)]);
      }
    };
    await Promise.all([...posts, this.tarn.cut(), read(8), r.chance(0.3) ? this.tarn.recompute(r.pick(this.views).name) : null, read(8)]);
    await this.settled();
    for (const [v, layer, a] of answers) await this.same(v, a, layer, 'while all was busy');
  }

  /** One view in one layer against the model's rows (or another source). */
  async check(v, layer, what, files) {
    if (process.env.TARN_VIEW && process.env.TARN_VIEW !== v.name) return;
    const r = await this.tarn.fetch(`/api/v1/views/${v.name}?layer=${layer}&limit=100000`);
    const text = await r.text();
    assert.equal(r.status, 200, `${v.name}: ${text}\n${v.text}`);
    await this.same(v, parseExact(text), layer, what, files);
  }

  async same(v, answer, layer, what, files) {
    const range = { merged: `_lsn <= ${answer.lsn}`, batch: `_lsn <= ${answer.batch_lsn}`, speed: `_lsn > ${answer.batch_lsn} AND _lsn <= ${answer.lsn}` }[layer];
    const src = files ? filesSource(v.table, files(v.table)) : this.source(v.table, range);
    const ref = v.joined ? asof(files ? filesSource(v.table.ref, files(v.table.ref)) : v.table.ref.name) : '';
    const sql = v.query(src, ref);
    const diffs = compare(v, answer, await this.judge.rows(sql));
    comparisons++;
    assert.deepEqual(diffs.slice(0, 10), [], `TARN_SEED=${this.seed} TARN_HOUSES=1 TARN_VIEW=${v.name}: ${what}, layer ${layer}, lsn ${answer.lsn}, batch ${answer.batch_lsn}, ${diffs.length} differences\n${diffs.slice(0, 10).join('\n')}\n${schema.createTable(rng(1), v.table)}${v.sql}${sql}`);
  }

  async some(share, layers, what) {
    await this.settled();
    for (const v of this.views) if (this.r.chance(share)) await this.check(v, this.r.pick(layers), what);
  }

  /** The view's own SELECT, asked directly: silver plus tail. */
  async adhoc(v, what) {
    const r = await this.tarn.fetch('/api/v1/sql', { method: 'POST', body: v.text, headers: { 'content-type': 'application/sql' } });
    const text = await r.text();
    assert.equal(r.status, 200, `${v.text}: ${text}`);
    await this.same(v, parseExact(text), 'merged', `${what}, as a query`);
  }

  async step() {
    const r = this.r;
    switch (r.pick(['post', 'post', 'post', 'post', 'post', 'cut', 'busy', 'busy', 'look', 'stop', 'kill', 'recompute', 'sql', 'verify'])) {
      case 'post': await Promise.all(this.sendSome()); break;
      case 'busy': await this.busy(); break;
      case 'cut': await this.tarn.cut(); break;
      case 'look': await this.some(0.4, ['merged', 'merged', 'batch', 'speed'], 'in between'); break;
      case 'stop': await this.tarn.restart('stop'); await this.some(0.15, ['merged'], 'after a restart'); break;
      case 'kill': await this.kill(); await this.some(0.2, ['merged'], 'after a kill'); break;
      case 'recompute': await this.tarn.recompute(r.pick(this.views).name); break;
      case 'sql': await this.settled(); for (const v of this.views) if (r.chance(0.15)) await this.adhoc(v, 'in between'); break;
      default: { const v = await this.tarn.verify(r.pick(this.views).name); assert.equal(v.equal, true, `seed ${this.seed}: ${v.text}`); }
    }
  }

  async files(tier) {
    const list = (await this.tarn.ok('GET', `/api/v1/files?tier=${tier}`)).files;
    return (t) => list.filter((f) => f.table === t.name).map((f) => join(this.tarn.data, 'lake', f.path));
  }

  /** Silver holds the model's accepted rows, value by value; bronze every row with its mark and bytes. */
  async lake() {
    const silver = await this.files('silver'), bronze = await this.files('bronze');
    for (const t of this.tables) {
      const names = [...t.columns.map((c) => c.name), '_lsn', '_offset'].join(', ');
      const [a, b] = [await this.judge.rows(`SELECT ${names} FROM ${filesSource(t, silver(t))} ORDER BY _offset`), await this.judge.rows(`SELECT ${names} FROM ${t.name} ORDER BY _offset`)];
      assert.equal(a.length, b.length, `seed ${this.seed}: rows of silver ${t.name}`);
      a.forEach((row, i) => row.forEach((v, k) => {
        const cat = t.columns[k] ? cats[t.columns[k].type] ?? 'text' : 'int', x = theirs(v, cat), y = theirs(b[i][k], cat);
        if (!Object.is(x, y)) assert.fail(`seed ${this.seed}: silver ${t.name} offset ${row.at(-1)} column ${t.columns[k]?.name}: ${x}, sent ${y}`);
      }));
      await this.bronze(t, bronze(t));
    }
    return silver;
  }

  async bronze(t, paths) {
    if (!t.rows.length) return;
    const rows = await this.judge.rows(`SELECT _offset, status, code, raw FROM read_parquet([${paths.map((p) => `'${p}'`).join(', ')}]) ORDER BY _offset`);
    assert.equal(rows.length, t.rows.length, `seed ${this.seed}: rows of bronze ${t.name}`);
    const mark = ['accepted', 'quarantined', 'duplicate'];
    rows.forEach(([offset, status, code, raw], i) => {
      const x = t.rows[i], where = `seed ${this.seed}: bronze ${t.name} row ${offset}`;
      assert.deepEqual([Number(offset), mark[status], code], [x.offset, x.mark, x.mark === 'quarantined' ? x.code : null], where);
      if (x.raw !== undefined) assert.equal(Buffer.from(raw.bytes).toString(), x.raw, where);
    });
    assert.equal(rows.length, t.counts.accepted + t.counts.quarantined + t.counts.duplicate);
  }

  async end() {
    await this.some(1, ['merged'], 'before the last cut');
    await this.some(0.5, ['speed'], 'before the last cut');
    await this.tarn.cut();
    const silver = await this.lake();
    for (const v of this.views) {
      await this.check(v, 'batch', 'after the last cut', silver);
      if (this.r.chance(0.3)) await this.check(v, 'merged', 'after the last cut', silver);
    }
    for (const v of this.views) if (this.r.chance(0.6)) await this.tarn.recompute(v.name);
    for (const v of this.views) await this.check(v, 'merged', 'after recompute', silver);
    const done = await this.tarn.verify();
    assert.equal(done.equal, true, `seed ${this.seed}: ${done.text}`);
    await this.tarn.restart('kill');
    await this.some(0.3, ['merged', 'batch'], 'at the very end');
  }
}

async function live(seed) {
  const h = new House(seed);
  try {
    await h.open();
    const steps = 20 + h.r.below(12);
    for (let i = 0; i < steps; i++) await h.step();
    await h.end();
    cases += h.views.length;
  } finally {
    await h.close();
  }
}

for (let i = 0; i < (houses === Infinity ? 1 : houses); i++) {
  const seed = (baseSeed + i) >>> 0;
  test(`house TARN_SEED=${seed}: ${STREAMS * VIEWS} random views`, () => live(seed));
}
if (houses === Infinity)
  test('houses without end', { timeout: 2 ** 31 - 1 }, async () => {
    for (let seed = (baseSeed + 1) >>> 0; ; seed = (seed + 1) >>> 0) {
      await live(seed);
      console.log(`TARN_SEED=${seed} good: ${cases} cases, ${comparisons} comparisons`);
    }
  });
after(() => console.log(`differential: ${cases} cases, ${comparisons} comparisons with DuckDB, TARN_SEED=${baseSeed}`));

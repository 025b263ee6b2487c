// The drop folder: every format, exactly once also over kill -9 in the middle
// of a file and at each named step, damaged files refused whole, partial
// uploads left alone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { Tarn, baseSeed, rng, tarnBin, tempDir, until } from './lib.mjs';

const tables = `
CREATE TABLE room (ts timestamptz NOT NULL, room text NOT NULL, temp double precision CHECK (temp < 60), n bigint)
  WITH (event_time = 'ts', max_future_skew = '0');
CREATE TABLE wide (k bigint, b boolean, d date, t timestamp, z timestamptz, f double precision, r real, m numeric(18,4), s text, u uuid)`;
const sql = `ALTER SYSTEM SET inbox_settle = '100 ms'; ALTER SYSTEM SET inbox_scan_interval = '1 s'; ${tables};`;

/** Rows as NDJSON lines; room names the file they are of. */
const ndjson = (room, n) => Array.from({ length: n }, (_, i) => JSON.stringify({ ts: new Date(Date.UTC(2026, 0, 1 + (i % 20), 0, 0, i % 60)).toISOString(), room, temp: 20 + (i % 10), n: i })).join('\n') + '\n';
const csv = (room, n, sep = ',') => ['ts,room,temp,n'.replaceAll(',', sep), ...Array.from({ length: n }, (_, i) => [`2026-01-0${1 + (i % 9)}T00:00:00Z`, room, 20 + (i % 10), i].join(sep))].join('\n') + '\n';
const zstd = (bytes) => execFileSync('zstd', ['-q', '-c'], { input: bytes, maxBuffer: 1 << 28 });

/** Put a file as a careful sender does: rename into place. */
function drop(t, stream, name, bytes) {
  const dir = join(t.data, 'inbox', stream);
  writeFileSync(join(dir, `.${name}`), bytes);
  renameSync(join(dir, `.${name}`), join(dir, name));
}
/** Which folder it was moved to, once Tarn is through with it: it tells of a file after the move. */
const ended = (t, stream, name) => until(async () => {
  const where = ['done', 'rejected'].find((d) => existsSync(join(t.data, 'inbox', stream, d, name)));
  return where && !(await t.ok('GET', '/api/v1/inbox')).files.some((f) => f.stream === stream && f.file === name) && where;
}, 30000);
const words = (t, stream, where, name) => readFileSync(join(t.data, 'inbox', stream, where, name), 'utf8');
const count = async (t, room) => Number((await t.sql(`SELECT count(*) AS n, count(DISTINCT n) AS d, sum(n) AS s FROM room WHERE room = '${room}'`))[0].n);

test('every format is loaded and moved to done; bad rows are in quarantine', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const pq = join(tempDir('pq'), 'a.parquet');
  await duck.run(`COPY (SELECT TIMESTAMPTZ '2026-02-01 00:00:00Z' + INTERVAL 1 SECOND * i AS ts, 'pq' AS room, 21.5::DOUBLE AS temp, i AS n FROM range(200000) r(i)) TO '${pq}' (FORMAT parquet, COMPRESSION snappy)`);
  const files = {
    'a.csv': csv('csv', 100), 'a.tsv': csv('tsv', 101, '\t'), 'a.ndjson': ndjson('ndjson', 102), 'a.jsonl': ndjson('jsonl', 103),
    'array.json': JSON.stringify(ndjson('array', 104).trim().split('\n').map((l) => JSON.parse(l)), null, 1),
    'lines.json': ndjson('lines', 105), 'a.csv.gz': gzipSync(csv('csvgz', 106)), 'a.ndjson.zst': zstd(ndjson('zst', 107)),
    'plain-in-name.csv.gz': csv('notgz', 108), noending: ndjson('noending', 109), 'a.parquet': readFileSync(pq),
    'big.ndjson.gz': gzipSync(ndjson('big', 60000)), 'empty.csv': '',
  };
  for (const [name, bytes] of Object.entries(files)) drop(t, 'room', name, bytes);
  for (const name of Object.keys(files)) assert.equal(await ended(t, 'room', name), 'done', name);
  for (const [room, n] of Object.entries({ csv: 100, tsv: 101, ndjson: 102, jsonl: 103, array: 104, lines: 105, csvgz: 106, zst: 107, notgz: 108, noending: 109, pq: 200000, big: 60000 }))
    assert.equal(await count(t, room), n, room);
  assert.equal(Number((await t.sql("SELECT sum(n) AS s FROM room WHERE room = 'pq'"))[0].s), 199999 * 100000);

  drop(t, 'room', 'some.csv', 'ts,room,temp,n\n2026-01-01T00:00:00Z,some,20,1\n2026-01-01T00:00:00Z,some,99,2\n2026-01-01T00:00:00Z,some,x,3\n');
  assert.equal(await ended(t, 'room', 'some.csv'), 'done');
  assert.equal(await count(t, 'some'), 1);
  assert.match(words(t, 'room', 'done', 'some.csv.result.txt'), /1 rows accepted, 2 quarantined[^]*row 2, line 3, column temp[^]*row 3, line 4, column temp: /);
  const q = await t.ok('GET', '/api/v1/quarantine/room');
  assert.equal(q.rows.length, 2);

  const state = await t.ok('GET', '/api/v1/inbox');
  assert.deepEqual(state.files, []);
  assert.equal(state.recent[0].file, 'some.csv');
  assert.deepEqual([state.recent[0].result, state.recent[0].accepted, state.recent[0].quarantined], ['done', 1, 2]);
  const m = await (await t.fetch('/metrics')).text();
  assert.match(m, /tarn_inbox_files_total\{stream="room",result="done"\} 14/);
  assert.match(t.err, /loaded some\.csv/);
  assert.equal((await t.verify()).equal, true);
  await t.stop();
});

test('options beside a file or for a folder say how to read it', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const dir = join(t.data, 'inbox', 'room');
  writeFileSync(join(dir, 'own.txt.options.json'), JSON.stringify({ format: 'csv', delimiter: ';', header: false, columns: ['when', 'temp', 'n'], null: 'n/a',
    time_format: '%d.%m.%Y %H:%M', time_zone: '+01:00', rename: { ts: 'when' }, constant: { room: 'own' } }));
  drop(t, 'room', 'own.txt', '05.03.2026 12:30;21.5;1\n06.03.2026 00:15;n/a;2\n');
  assert.equal(await ended(t, 'room', 'own.txt'), 'done');
  assert.ok(existsSync(join(dir, 'done', 'own.txt.options.json')) && !existsSync(join(dir, 'own.txt.options.json')));
  assert.deepEqual(await t.sql("SELECT ts, temp, n FROM room WHERE room = 'own' ORDER BY n"),
    [{ ts: '2026-03-05T11:30:00Z', temp: 21.5, n: 1 }, { ts: '2026-03-05T23:15:00Z', temp: null, n: 2 }]);
  writeFileSync(join(dir, 'options.json'), '{"constant":{"room":"folder"}}');
  drop(t, 'room', 'x.csv', 'ts,temp,n\n2026-01-01T00:00:00Z,20,7\n');
  assert.equal(await ended(t, 'room', 'x.csv'), 'done');
  assert.equal(await count(t, 'folder'), 1);
  for (const [name, options, why] of [['bad1.csv', '{"delimiter":";;"}', /delimiter cannot be/], ['bad2.csv', '{"speed":1}', /"speed" is not known/], ['bad3.csv', '{', /rejected/], ['bad4.ndjson', '{"null":"x"}', /for CSV files only/],
    ['bad5.csv', '{"constant":{"rom":"x"}}', /constant: there is no column "rom"/]]) {
    writeFileSync(join(dir, `${name}.options.json`), options);
    drop(t, 'room', name, csv(name, 3));
    assert.equal(await ended(t, 'room', name), 'rejected', name);
    assert.match(words(t, 'room', 'rejected', `${name}.error.txt`), why);
  }
  const r = await t.call('POST', '/api/v1/streams/room?format=json&rename=tmp:t', '{"ts":"2026-01-01T00:00:00Z","room":"misnamed","t":20}');
  assert.equal(r.status, 400);
  assert.deepEqual([r.body.type, r.body.detail], ['/problems/unknown-column', 'rename: there is no column "tmp"']);
  assert.equal(await count(t, 'misnamed'), 0);
  await t.stop();
});

test('values of a foreign Parquet file arrive as they were; its rows are kept as JSON', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const dir = tempDir('pq');
  await duck.run(`CREATE TABLE w AS SELECT 9007199254740993::BIGINT AS k, true AS b, DATE '2026-02-03' AS d, TIMESTAMP '2026-02-03 04:05:06.789' AS t,
    TIMESTAMPTZ '2026-02-03 04:05:06.000001+00' AS z, 0.1::DOUBLE AS f, 1.5::FLOAT AS r, 12345678901.2345::DECIMAL(18,4) AS m, 'q"ü\n' AS s, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID AS u
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`);
  for (const [i, codec] of ['zstd', 'snappy', 'uncompressed'].entries()) {
    await duck.run(`COPY (SELECT * REPLACE (k + ${i} AS k) FROM w) TO '${join(dir, codec)}.parquet' (FORMAT parquet, COMPRESSION ${codec})`);
    drop(t, 'wide', `${codec}.parquet`, readFileSync(join(dir, `${codec}.parquet`)));
    assert.equal(await ended(t, 'wide', `${codec}.parquet`), 'done');
  }
  drop(t, 'wide', 'z.parquet.gz', gzipSync(readFileSync(join(dir, 'zstd.parquet'))));
  assert.equal(await ended(t, 'wide', 'z.parquet.gz'), 'done');
  const r = await t.call('POST', '/api/v1/sql?format=ndjson', 'SELECT * FROM wide WHERE k IS NOT NULL ORDER BY _offset LIMIT 1');
  assert.equal(r.body.trim(), '{"k":9007199254740993,"b":true,"d":"2026-02-03","t":"2026-02-03T04:05:06.789","z":"2026-02-03T04:05:06.000001Z","f":0.1,"r":1.5,"m":12345678901.2345,"s":"q\\"ü\\n","u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}');
  assert.equal(Number((await t.sql('SELECT count(*) AS n FROM wide WHERE k IS NULL AND s IS NULL'))[0].n), 4);
  const recent = await t.ok('GET', '/api/v1/streams/wide/recent?limit=1');
  assert.match(JSON.stringify(recent), /u\\":null/);
  assert.deepEqual(readdirSync(join(t.data, 'inbox', '.work')), []);
  await t.stop();
});

test('JSON of a foreign Parquet file is JSON where it fills a jsonb, by every way in; a file with no column of the stream is refused', { timeout: 600000 }, async () => {
  const t = new Tarn({ sql: `ALTER SYSTEM SET cut_interval = '1 hour';
    CREATE TABLE doc (n int, body jsonb, words text, other jsonb);` });
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  await t.start();
  mkdirSync(join(t.data, 'export'), { recursive: true });
  const file = join(t.data, 'export', 'doc.parquet'), none = join(t.data, 'export', 'none.parquet');
  // Of several lines, null, a JSON string; one that goes into a text column; one under another name.
  await duck.run(`COPY (SELECT n::INT AS n, b::JSON AS body, '{"w":[1]}'::JSON AS words, '[true]'::JSON AS renamed, '{"a":0}' AS more FROM (VALUES
    (1, '{\n "a" : {"b": [1, 2.50, "x\\ny"]}\r\n}'), (2, NULL), (3, '"just a string"'), (4, 'null'), (5, '[]')) v(n, b)) TO '${file}'`);
  await duck.run(`COPY (SELECT 1 AS "N", 2 AS zz) TO '${none}'`);
  const want = [[1, { a: { b: [1, 2.5, 'x\ny'] } }, '[1, 2.50, "x\\ny"]', 'object'], [2, null, null, null], [3, 'just a string', null, 'string'], [4, null, null, null], [5, [], null, 'array']];
  const check = async (where) => {
    const all = (await t.sql("SELECT n, body, body -> 'a' ->> 'b' AS v, jsonb_typeof(body) AS kind, words, other FROM doc ORDER BY n"));
    assert.deepEqual(all.map((r) => [r.n, r.body, r.v, r.kind]), want, where);
    assert.ok(all.every((r) => r.words === '{"w":[1]}' && JSON.stringify(r.other) === '[true]'), `${where}: ${JSON.stringify(all[0])}`);
    await t.sql('DELETE FROM doc WHERE true');
  };
  await t.sql("COPY doc FROM 'doc.parquet' WITH (rename 'other:renamed')");
  await check('COPY');
  const run = (name) => spawnSync(tarnBin, ['load', 'doc', name, '--url', t.url, 'rename=other:renamed'], { encoding: 'utf8' });
  const load = run(file);
  assert.equal(load.status, 0, load.stderr);
  await check('tarn load');
  writeFileSync(join(t.data, 'inbox', 'doc', 'doc.parquet.options.json'), JSON.stringify({ rename: { other: 'renamed' } }));
  drop(t, 'doc', 'doc.parquet', readFileSync(file));
  assert.equal(await ended(t, 'doc', 'doc.parquet'), 'done');
  await check('inbox');
  const refused = await t.call('POST', '/api/v1/sql', "COPY doc FROM 'none.parquet'", { 'content-type': 'application/sql' });
  assert.deepEqual([refused.status, refused.body.detail], [400, 'no column of the file is one of doc: the first is "N"']);
  const other = spawnSync(tarnBin, ['load', 'doc', none, '--url', t.url], { encoding: 'utf8' });
  assert.ok(other.status === 1 && /no column of the file is one of doc/.test(other.stderr) && /rename=column:field/.test(other.stderr), other.stderr);
  assert.equal((await t.sql('SELECT count(*) AS n FROM doc'))[0].n, 0);
  await t.stop();
});

test('what cannot be read is rejected with words and nothing of it taken', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const dir = tempDir('bad');
  await duck.run(`COPY (SELECT [1,2] AS n, 'x' AS room) TO '${join(dir, 'nested.parquet')}' (FORMAT parquet)`);
  const gz = gzipSync(ndjson('cut', 50000)), damaged = Buffer.from(gz);
  damaged[gz.length >> 1] ^= 0xff;
  const files = {
    'cut.ndjson.gz': [gz.subarray(0, gz.length - 1000), /cut off/], 'damaged.ndjson.gz': [damaged, /damaged/],
    'cut.csv.zst': [zstd(csv('cut', 50000)).subarray(0, 5000), /cut off/], 'photo.bin': [Buffer.from('GIF89a....'), /what it is/],
    'nested.parquet': [readFileSync(join(dir, 'nested.parquet')), /n.*(nested|repeated|LIST)/i], 'not.parquet': ['ts,room', /Parquet/],
    'half.parquet': [readFileSync(join(dir, 'nested.parquet')).subarray(0, 200), /cut off/],
    'semicolon.csv': [csv('x', 9, ';'), /no field is a column of room: .*"ts;room;temp;n"[^]*delimiter=;/], 'tabs.csv': [csv('x', 9, '\t'), /delimiter=tab/],
    'excel.csv': [Buffer.from('\ufeff' + csv('x', 9), 'utf16le'), /UTF-8/], 'capitals.csv': [csv('x', 9).replace('ts,room,temp,n', 'TS,ROOM,TEMP,N'), /rename=ts:TS/],
    'other.csv': ['a,"b"\n1,2\n', /the first is "a" [.][.][.][^]*columns=/], 'mac.csv': [csv('x', 9).replaceAll('\n', '\r'), /carriage return[^]*CRLF/],
    'twice.csv': ['ts,room,n,n\n2026-03-01T08:00:00Z,x,1,2\n', /two fields are called "n"/], 'photo.csv': [Buffer.from('\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR', 'latin1'), /UTF-8/],
  };
  for (const [name, [bytes]] of Object.entries(files)) drop(t, 'room', name, bytes);
  for (const [name, [, why]] of Object.entries(files)) {
    assert.equal(await ended(t, 'room', name), 'rejected', name);
    assert.match(words(t, 'room', 'rejected', `${name}.error.txt`), why, name);
  }
  assert.equal(Number((await t.sql('SELECT count(*) AS n FROM room'))[0].n), 0);
  assert.match(t.err, /rejected photo\.bin/);
  // The same by HTTP; one known field, a rename or a constant is enough.
  const post = (body, q = '') => t.call('POST', `/api/v1/streams/wide${q}`, body, { 'content-type': 'text/csv' });
  const no = await post('K;s\n1;x\n');
  assert.deepEqual([no.status, no.body.hint], [400, 'delimiter=; reads such a file']);
  for (const [body, q] of [['K,s\n1,x\n', ''], ['K,S\n1,x\n', '?rename=k:K'], ['K,S\n1,x\n', '?constant=s:x'], ['1,x\n', '?columns=k,q&header=false'], ['K,S\n', '']])
    assert.equal((await post(body, q)).status, 200, body + q);
  assert.equal((await post('1,x\n', '?columns=p,q&header=false')).status, 400);
  // Line ends of old Macs make all of it one header; a CR inside quotes is a name's. Of fields of one name one would be lost, unless nobody wants it.
  for (const [body, q, type] of [['k,s\r1,x\r', '', 'line-ends'], ['k,s\r1,x\r2,y\n', '', 'line-ends'], ['k,s\r\r\n1,x\r\r\n', '', 'line-ends'], ['q,q\r1,x\r', '?columns=k,s', 'line-ends'], ['k,s,k\n1,x,2\n', '', 'column-twice'], ['a,a,s\n1,2,x\n', '?rename=k:a', 'column-twice']])
    assert.equal((await post(body, q)).body.type, `/problems/${type}`, JSON.stringify(body + q));
  for (const [body, q] of [['k,"no\rte",s\r\n1,,x\r\n', ''], ['k,q,q,s\n1,2,3,x\n', ''], ['k,k,s\n1,2,x\n', '?columns=k,other,s'], ['k,s\r', '']])
    assert.equal((await post(body, q)).status, 200, JSON.stringify(body + q));
  await t.stop();
});

test('the same content is taken once, whatever its name; partial names are left alone', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql: `ALTER SYSTEM SET inbox_settle = '1 hour'; ${tables};` }).start();
  const dir = join(t.data, 'inbox', 'room');
  // A rename is told by the file: its partial name must have been seen.
  const upload = async (name, bytes) => {
    writeFileSync(join(dir, `.${name}`), bytes);
    await until(async () => (await t.ok('GET', '/api/v1/inbox')).uploading > 0);
    renameSync(join(dir, `.${name}`), join(dir, name));
    await until(async () => (await t.ok('GET', '/api/v1/inbox')).uploading === 0);
  };
  for (const name of ['one.csv', 'two.csv']) {
    await upload(name, csv('same', 10));
    assert.equal(await ended(t, 'room', name), 'done');
  }
  assert.equal(await count(t, 'same'), 10);
  assert.match(words(t, 'room', 'done', 'two.csv.result.txt'), /loaded before, as one\.csv/);
  await t.restart();
  await upload('one.csv', csv('same', 10));
  await until(() => existsSync(join(dir, 'done', 'one.csv.2')));
  assert.equal(await count(t, 'same'), 10);
  // At rest for less than an hour, or under a partial name: not looked at.
  writeFileSync(join(dir, 'young.csv'), csv('young', 5));
  writeFileSync(join(dir, 'upload.csv.part'), csv('part', 5));
  const state = await until(async () => { const s = await t.ok('GET', '/api/v1/inbox'); return s.files.length > 0 && s.uploading === 1 && s; });
  assert.deepEqual(state.files.map((f) => [f.file, f.state]), [['young.csv', 'settling']]);
  // Renamed: at once, although an hour has not passed.
  renameSync(join(dir, 'upload.csv.part'), join(dir, 'upload.csv'));
  assert.equal(await ended(t, 'room', 'upload.csv'), 'done');
  assert.equal(await count(t, 'part'), 5);
  assert.ok(existsSync(join(dir, 'young.csv')));
  await t.stop();
});

test('a file that takes the name of one that is being loaded is loaded, too; long names are moved', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const dir = join(t.data, 'inbox', 'room');
  drop(t, 'room', 'data.ndjson', ndjson('first', 300000));
  await until(async () => (await t.ok('GET', '/api/v1/inbox')).files.some((f) => f.state === 'loading'));
  drop(t, 'room', 'data.ndjson', ndjson('second', 50));
  await until(async () => (await count(t, 'second')) === 50, 30000);
  await until(() => !existsSync(join(dir, 'data.ndjson')));
  assert.equal(readFileSync(join(dir, 'done', 'data.ndjson'), 'utf8'), ndjson('second', 50));
  const name = `${'\u00e4'.repeat(125)}.csv`;
  drop(t, 'room', name.slice(1), 'ts,room,temp,n\n2026-01-01T00:00:00Z,long,20,1\nx,long,20,2\n');
  await until(() => readdirSync(join(dir, 'done')).some((f) => /^\u00e4+\.result\.txt$/.test(f)));
  assert.equal(await count(t, 'long'), 1);
  await t.stop();
});

test('a name that is no UTF-8 is shown escaped, and bronze stays readable', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const dir = join(t.data, 'inbox', 'room'), name = Buffer.from([0xff, 0xfe, 0x2e, 0x63, 0x73, 0x76]); // \xff\xfe.csv
  await t.post('room', ndjson('other', 3));
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), name]), csv('odd', 7));
  await until(() => existsSync(Buffer.concat([Buffer.from(`${dir}/done/`), name])), 30000);
  assert.equal(await count(t, 'odd'), 7);
  await t.cut();
  assert.equal((await t.verify()).equal, true);
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const rows = (await duck.runAndReadAll(`SELECT DISTINCT source FROM '${t.data}/lake/bronze/room/**/*.parquet' ORDER BY 1`)).getRows();
  assert.deepEqual(rows.map((r) => r[0]), ['http 127.0.0.1', 'inbox \\xff\\xfe.csv']);
  await t.stop();
});

test('a writer that goes on after a pause: what comes too late is told', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const dir = join(t.data, 'inbox', 'room'), name = 'slow.ndjson';
  const [first, second] = [ndjson('slow', 20), ndjson('late', 10)];
  const fd = openSync(join(dir, name), 'w');
  writeSync(fd, first);
  assert.equal(await ended(t, 'room', name), 'done');
  const recent = async () => (await t.ok('GET', '/api/v1/inbox')).recent.find((f) => f.file === name);
  assert.equal((await until(recent)).why, '');
  writeSync(fd, second);
  closeSync(fd);
  const told = await until(async () => { const r = await recent(); return r.why !== '' && r; });
  assert.equal(told.result, 'done');
  assert.ok(told.why.startsWith(`${Buffer.byteLength(second)} bytes were written to done/${name} after it was taken`), told.why);
  assert.match(await (await t.fetch('/metrics')).text(), /tarn_inbox_files_total\{stream="room",result="grown"\} 1\n/);
  assert.deepEqual([await count(t, 'slow'), await count(t, 'late')], [20, 0]);
  await t.stop();
  assert.match(t.err, /room: \d+ bytes were written to done\/slow\.ndjson/);
});

test('another file that takes the name in done has not grown', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const done = join(t.data, 'inbox', 'room', 'done');
  drop(t, 'room', 'day.ndjson', ndjson('day', 20));
  assert.equal(await ended(t, 'room', 'day.ndjson'), 'done');
  writeFileSync(join(t.data, 'other'), ndjson('other', 200));
  renameSync(join(t.data, 'other'), join(done, 'day.ndjson'));
  // Each brings a look at what is there, and at what was.
  for (const name of ['b', 'c']) {
    drop(t, 'room', `${name}.ndjson`, ndjson(name, 5));
    assert.equal(await ended(t, 'room', `${name}.ndjson`), 'done');
  }
  assert.deepEqual((await t.ok('GET', '/api/v1/inbox')).recent.map((f) => f.why), ['', '', '']);
  assert.match(await (await t.fetch('/metrics')).text(), /tarn_inbox_files_total\{stream="room",result="grown"\} 0\n/);
  await t.stop();
});

test('a stop that the disk holds up longer than it waits ends in order', { skip: spawnSync('strace', ['-V']).error !== undefined && 'no strace', timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const tasks = `/proc/${t.child.pid}/task`;
  const actor = readdirSync(tasks).find((x) => readFileSync(join(tasks, x, 'comm'), 'utf8').trim() === 'inbox');
  // One read of a piece takes longer than a stop waits for what is under way (10 s).
  const strace = spawn('strace', ['-p', actor, '-o', '/dev/null', '-e', 'trace=pread64', '-e', 'inject=pread64:delay_enter=11500000:when=6'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let told = '';
  strace.stderr.on('data', (d) => { told += d; });
  await until(() => /attached/.test(told));
  drop(t, 'room', 'held.ndjson', ndjson('held', 30000));
  await until(async () => (await t.ok('GET', '/api/v1/inbox')).files.some((f) => f.state === 'loading'), 30000);
  assert.deepEqual(await t.stop(), { code: 0, signal: null }, t.err);
  await t.start();
  assert.equal(await ended(t, 'room', 'held.ndjson'), 'done');
  assert.equal(await count(t, 'held'), 30000);
  await t.stop();
});

test('kill -9 at each step and in the middle of a file loses and doubles nothing', { timeout: 600000 }, async () => {
  const seed = baseSeed, r = rng(seed);
  console.log(`seed ${seed}`);
  // Keys of requests are forgotten after a second: a file's is not. A cut goes
  // along with each load, from its first thousand rows on.
  const t = await new Tarn({ sql: `ALTER SYSTEM SET cut_rows = 16000; ALTER SYSTEM SET cut_slice_rows = 4000; ALTER SYSTEM SET idempotency_window = '1 s'; ALTER SYSTEM SET ingest_chunk_bytes = '64 KiB'; ${sql}` }).start();
  let files = 0;
  const all = [];
  for (const point of ['inbox_loaded', 'inbox_recorded', 'inbox_moved']) {
    const room = `step${files++}`;
    t.o.env = { TARN_CRASH: point };
    await t.restart();
    drop(t, 'room', `${room}.csv`, csv(room, 500));
    assert.equal((await t.ended).signal, 'SIGKILL', point);
    t.o.env = {};
    const over = Date.now() + 1100;
    await until(() => Date.now() > over);               // The window of keys.
    await t.start();
    assert.equal(await ended(t, 'room', `${room}.csv`), 'done', point);
    all.push([room, 500]);
    assert.equal(await count(t, room), 500, point);
  }
  for (const point of ['cut_silver', 'cut_sealed', 'cut_bronze', 'publish_before', 'publish_after']) {
    const room = `along${files++}`;
    t.o.env = { TARN_CRASH: point };
    await t.restart();
    drop(t, 'room', `${room}.ndjson`, ndjson(room, 20000));
    assert.equal((await t.ended).signal, 'SIGKILL', point);
    t.o.env = {};
    await t.start();
    assert.equal(await ended(t, 'room', `${room}.ndjson`), 'done', point);
    all.push([room, 20000]);
    assert.equal(await count(t, room), 20000, point);
  }
  const rounds = process.env.SOAK ? 100 : 6;
  for (let i = 0; i < rounds; i++) {
    const room = `kill${i}`, n = 40000 + r.below(20000);
    const kind = r.pick(['ndjson', 'ndjson.gz', 'csv.zst']);
    const text = kind.startsWith('csv') ? csv(room, n) : ndjson(room, n);
    drop(t, 'room', `${room}.${kind}`, kind.endsWith('gz') ? gzipSync(text) : kind.endsWith('zst') ? zstd(text) : text);
    all.push([room, n]);
    for (let kills = 1 + r.below(3); kills > 0; kills--) {
      const after = r.below(n);
      await until(async () => (await t.ok('GET', '/api/v1/streams/room')).accepted > after || existsSync(join(t.data, 'inbox', 'room', 'done', `${room}.${kind}`)), 30000, 1);
      await t.kill();
      await t.start();
    }
    await ended(t, 'room', `${room}.${kind}`);
    assert.equal(await count(t, room), n, room);
  }
  for (const [room, n] of all) {
    const [x] = await t.sql(`SELECT count(*) AS n, count(DISTINCT n) AS d FROM room WHERE room = '${room}'`);
    assert.deepEqual([Number(x.n), Number(x.d)], [n, n], room);
  }
  await t.cut();
  assert.equal((await t.verify()).equal, true);
  await t.stop();
});

test('a small file that unpacks to very much holds up neither others nor the stop', { timeout: 600000 }, async () => {
  /* Blocks of 128 KiB of one byte, four bytes each (zstd's RLE): 16 GiB. */
  const block = Buffer.from([0, 0, 0, 0x7b]);
  block.writeUIntLE((131072 << 3) | 2, 0, 3);
  const bomb = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]), ...Array(131072).fill(block)]);
  const t = await new Tarn({ sql: "ALTER SYSTEM SET inbox_settle = '20 ms'; CREATE TABLE badge (id text PRIMARY KEY, ts timestamptz NOT NULL) WITH (event_time = 'ts');" }).start();
  const drop = (name, body) => { writeFileSync(join(t.data, `inbox/badge/.${name}`), body); renameSync(join(t.data, `inbox/badge/.${name}`), join(t.data, `inbox/badge/${name}`)); };
  const inbox = () => t.ok('GET', '/api/v1/inbox');
  drop('bomb.ndjson.zst', bomb);
  await until(async () => (await inbox()).files.some((f) => f.file === 'bomb.ndjson.zst' && f.state === 'hashing'));
  drop('small.csv', 'id,ts\n1,2026-03-01T00:00:00Z\n');
  await until(async () => (await inbox()).recent.some((f) => f.file === 'small.csv'), 20000);
  assert.deepEqual((await inbox()).files.map((f) => [f.file, f.state]), [['bomb.ndjson.zst', 'hashing']]);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
  /* It was not loaded: it waits for the next start. */
  assert.equal(existsSync(join(t.data, 'inbox/badge/bomb.ndjson.zst')), true);
});

// COPY: query results to files that foreign readers take, files into streams,
// only where it may, and never half a file.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { Tarn, command, tempDir } from './lib.mjs';

const sql = `
CREATE TABLE room (ts timestamptz NOT NULL, room text NOT NULL, temp double precision CHECK (temp < 60), n bigint PRIMARY KEY)
  WITH (event_time = 'ts', max_future_skew = '0');
CREATE TABLE copied (ts timestamptz NOT NULL, room text, temp double precision, n bigint, extra text) WITH (event_time = 'ts', max_future_skew = '0');
CREATE MATERIALIZED VIEW rooms AS SELECT room, count(*) AS rows, avg(temp) AS temp FROM room GROUP BY room;`;
const rows = (from, n) => Array.from({ length: n }, (_, i) => JSON.stringify({ ts: new Date(Date.UTC(2026, 0, 1, 0, from + i)).toISOString(), room: `r${(from + i) % 7}`, temp: (from + i) % 50, n: from + i })).join('\n');
const copy = async (t, text) => {
  const v = await t.ok('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' });
  return Object.fromEntries(v.columns.map((c, i) => [c, v.rows[0][i]]));
};

test('COPY TO writes what the query answers; COPY FROM takes it back', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const ask = async (q) => (await duck.runAndReadAll(q)).getRowObjects()[0];
  await t.post('room', rows(0, 150000));
  await t.cut();
  await t.post('room', rows(150000, 1000));          // Still in the log.
  await t.settled();
  const sum = (151000 * 150999) / 2;
  for (const [name, format, read] of [['a.parquet', 'parquet', 'read_parquet'], ['a.csv', 'csv', 'read_csv_auto'], ['a.ndjson', 'ndjson', 'read_json_auto']]) {
    const r = await copy(t, `COPY (SELECT ts, room, temp, n FROM room) TO '${name}' WITH (FORMAT ${format})`);
    const path = join(t.data, 'export', name);
    assert.deepEqual([r.rows, r.path], [151000, path]);
    const x = await ask(`SELECT count(*)::DOUBLE AS c, sum(n)::DOUBLE AS s, count(DISTINCT room)::DOUBLE AS d FROM ${read}('${path}')`);
    assert.deepEqual(x, { c: 151000, s: sum, d: 7 }, name);
    const back = await copy(t, `COPY copied FROM '${name}'`);
    assert.deepEqual(back, { accepted: 151000, quarantined: 0, duplicates: 0 });
  }
  const [x] = await t.sql('SELECT count(*) AS n, count(DISTINCT n) AS d, sum(n) AS s, sum(temp) AS t, count(ts) AS ts FROM copied');
  const [y] = await t.sql('SELECT sum(temp) AS t FROM room');
  assert.deepEqual([Number(x.n), Number(x.d), Number(x.s), x.ts, x.t], [3 * 151000, 151000, 3 * sum, 3 * 151000, 3 * y.t]);
  // Views, aggregates, ORDER BY with LIMIT; a file that is there is replaced.
  assert.equal((await copy(t, "COPY rooms TO 'rooms.csv'")).rows, 7);
  assert.equal((await copy(t, "COPY (SELECT room, rows FROM rooms ORDER BY room LIMIT 2) TO 'rooms.csv' (FORMAT csv, HEADER false)")).rows, 2);
  assert.equal(readFileSync(join(t.data, 'export', 'rooms.csv'), 'utf8'), 'r0,21572\nr1,21572\n');
  assert.equal((await copy(t, "COPY (SELECT n FROM room WHERE n < 0) TO 'none.parquet'")).rows, 0);
  assert.deepEqual(readdirSync(join(t.data, 'export')).sort(), ['a.csv', 'a.ndjson', 'a.parquet', 'none.parquet', 'rooms.csv']);
  // Options and bad rows on the way in.
  writeFileSync(join(t.data, 'export', 'in.txt'), '2026-01-01T00:00:00Z;x;1\n2026-01-01T00:00:00Z;y;zz\n');
  assert.deepEqual(await copy(t, "COPY copied (ts, room, temp) FROM 'in.txt' WITH (FORMAT csv, DELIMITER ';', HEADER false, constant 'extra:e')"), { accepted: 1, quarantined: 1, duplicates: 0 });
  assert.equal((await t.sql("SELECT extra FROM copied WHERE room = 'x'"))[0].extra, 'e');
  const cli = await command(['sql', "COPY rooms TO 'cli.ndjson'", '--url', t.url, '--format', 'csv']);
  assert.deepEqual([cli.code, cli.out.split('\n')[0]], [0, 'rows,bytes,path']);
  // The command: a Parquet file up, rows down into a file.
  const dir = tempDir('cli');
  const out = await command(['sql', 'SELECT room, rows FROM rooms ORDER BY room', '--url', t.url, '--format', 'ndjson', '-o', join(dir, 'o.ndjson')]);
  assert.deepEqual([out.code, out.out], [0, '']);
  assert.equal(readFileSync(join(dir, 'o.ndjson'), 'utf8').split('\n')[0], '{"room":"r0","rows":21572}');
  const [had] = await t.sql('SELECT count(*) AS n FROM copied');
  const load = await command(['load', 'copied', join(t.data, 'export', 'a.parquet'), '--url', t.url, 'rename=extra:room', 'constant=room:c']);
  assert.deepEqual([load.code, load.err], [0, '151000 accepted, 0 quarantined, 0 duplicates\n']);
  assert.equal(Number((await t.sql("SELECT count(*) AS n FROM copied WHERE room = 'c' AND extra LIKE 'r%'"))[0].n), 151000);
  writeFileSync(join(dir, 'bad.parquet'), 'nothing');
  const bad = await command(['load', 'copied', join(dir, 'bad.parquet'), '--url', t.url]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /Parquet/);
  const wrong = await command(['load', 'copied', join(t.data, 'export', 'a.parquet'), '--url', t.url, 'delimiter=;']);
  assert.match(wrong.err, /CSV files only/);
  assert.equal(Number((await t.sql('SELECT count(*) AS n FROM copied'))[0].n), Number(had.n) + 151000);
  await t.stop();
});

test('what COPY may not or cannot do is refused, and leaves nothing', { timeout: 600000 }, async () => {
  const other = tempDir('other');
  const t = await new Tarn({ sql: `ALTER SYSTEM SET copy_paths = '/nowhere, ${other}'; ${sql}` }).start();
  await t.post('room', rows(0, 10));
  mkdirSync(join(t.data, 'export'), { recursive: true });
  symlinkSync('/etc', join(t.data, 'export', 'link'));
  writeFileSync(join(t.data, 'export', 'bad.parquet'), 'PAR1 and nothing else');
  const refused = async (text, status, why) => {
    const r = await t.call('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' });
    assert.equal(r.status, status, `${text}: ${JSON.stringify(r.body)}`);
    assert.match(`${r.body.detail} ${r.body.hint}`, why, text);
  };
  await refused("COPY rooms TO '/tmp/x.csv'", 403, /may not use.*copy_paths/);
  await refused("COPY rooms TO '../x.csv'", 403, /may not use/);
  await refused("COPY rooms TO 'link/x.csv'", 403, /may not use/);
  await refused("COPY copied FROM '/etc/passwd'", 403, /may not use/);
  await refused("COPY copied FROM 'nothing.csv'", 404, /there is no/);
  await refused("COPY rooms TO 'no/such/x.csv'", 404, /make the folder/);
  await refused("COPY rooms TO 'x.dat'", 400, /FORMAT/);
  await refused("COPY rooms TO 'x.csv.gz'", 400, /compressed/);
  await refused("COPY rooms TO 'x.csv' (DELIMITER ';')", 400, /FORMAT and HEADER/);
  await refused("COPY rooms TO STDOUT", 400, /STDOUT/);
  await refused("COPY rooms TO PROGRAM 'rm x'", 400, /PROGRAM/);
  await refused("COPY nothing TO 'x.csv'", 400, /nothing/);
  await refused("COPY nothing FROM 'x.csv'", 400, /no stream/);
  await refused("COPY (SELECT 1/0 AS x FROM room) TO 'x.csv'", 400, /zero/);
  await refused("COPY (SELECT max(ts) - min(ts) AS d FROM room) TO 'x.parquet'", 400, /interval/);
  await refused("COPY copied FROM 'bad.parquet'", 400, /Parquet/);
  await refused("COPY copied FROM 'bad.parquet' (FORMAT csv)", 400, /Parquet/);
  await refused("COPY rooms TO 'x.csv'; SELECT 1", 400, /one COPY/);
  assert.equal((await t.call('POST', '/api/v1/sql', `COPY rooms TO '${join(other, 'ok.csv')}'`, { 'content-type': 'application/sql' })).status, 200);
  assert.deepEqual([readdirSync(other), readdirSync(join(t.data, 'export')).sort()], [['ok.csv'], ['bad.parquet', 'link']]);
  // Where people log in, a reader may not.
  writeFileSync(join(other, 'password'), 'a long password');
  t.o.env = { TARN_ADMIN_PASSWORD_FILE: join(other, 'password') };
  await t.restart();
  const json = { 'content-type': 'application/json', origin: t.url };
  const cookie = (await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'a long password' }), json)).headers.get('set-cookie').split(';')[0];
  const token = async (scope) => (await t.ok('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { ...json, cookie })).token;
  const as = async (scope) => (await t.call('POST', '/api/v1/sql', "COPY rooms TO 'x.csv'", { 'content-type': 'application/sql', authorization: `Bearer ${await token(scope)}` })).status;
  assert.deepEqual([await as('read'), await as('ingest'), await as('admin')], [403, 403, 200]);
  await t.stop();
});

test('a kill while COPY writes leaves the old file whole and no other', { timeout: 600000 }, async () => {
  const t = await new Tarn({ sql }).start();
  await t.post('room', rows(0, 1000));
  await t.settled();
  await copy(t, "COPY (SELECT n FROM room WHERE n < 3) TO 'x.csv'");
  t.o.env = { TARN_CRASH: 'copy_written' };
  await t.restart();
  await assert.rejects(copy(t, "COPY (SELECT n FROM room) TO 'x.csv'"));
  await t.ended;
  assert.equal(readFileSync(join(t.data, 'export', 'x.csv'), 'utf8'), 'n\n0\n1\n2\n');
  assert.equal(readdirSync(join(t.data, 'export')).length, 2);
  t.o.env = {};
  await t.start();
  assert.deepEqual(readdirSync(join(t.data, 'export')), ['x.csv']);
  assert.ok(!existsSync(join(t.data, 'export', 'x.csv.tmp')));
  await t.stop();
});

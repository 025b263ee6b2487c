/* Goal: texts and small decisions of the page are right: times, numbers,
 * example events, where a login leads. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { ago, bytes, cell, interval, number, parseTime, seconds, time } from '../../web/lib/format.js';
import { csv, curl, example } from '../../web/lib/example.js';
import { find, fit } from '../../web/lib/find.js';
import { cellOf, explainUrl, plainView, sqlOf } from '../../web/lib/cell.js';
import { duckQuery, keptFor, lakeFolder, madeBy, nearest, pastQuery, runOf, timeline, unmerged } from '../../web/lib/lake.js';
import { unpack } from '../../web/lib/unpack.js';
import { csvOf, markdownOf, sorted } from '../../web/ui/more.js';

const stream = { name: 'badge', columns: [
	{ name: 'event_id', type: 'text', key: true },
	{ name: 'ts', type: 'timestamptz' }, { name: 'direction', type: 'text' },
	{ name: 'temp_c', type: 'double precision' }, { name: 'n', type: 'integer' },
	{ name: 'ok', type: 'boolean' }, { name: 'day', type: 'date' }, { name: 'extra', type: 'jsonb' },
	{ name: 'made', type: 'text', generated: true },
	{ name: 'at', type: 'time without time zone' }, { name: 'base', type: 'date', default: "'2017-03-22'" }],
checks: [{ name: 'c', text: "direction IN ('in','out')" }, { name: 'd', text: 'temp_c BETWEEN -40 AND 60' }] };

test('an example event obeys the types and the checks', () => {
	const e = example(stream, new Date('2026-03-01T08:00:00Z'));
	assert.equal(e.direction, 'in');
	assert.equal(e.temp_c, 10);
	assert.equal(e.ts, '2026-03-01T08:00:00.000Z');
	assert.equal(e.day, '2026-03-01');
	assert.equal(e.n, 1);
	assert.equal(e.ok, true);
	assert.equal(e.at, '08:00:00');
	assert.ok(!('made' in e) && !('base' in e));
});

test("checks in PostgreSQL's own words are understood, quotes are doubled", () => {
	const e = example({ columns: [{ name: 'k', type: 'text' }], checks: [{ text: "k = ANY (ARRAY['it''s'::text, 'b'])" }] });
	assert.equal(e.k, "it's");
});

test('a shell command quotes what the shell would read', () => {
	const c = curl({ name: 's', columns: [{ name: 'k', type: 'text' }], checks: [{ text: "k IN ('it''s')" }] }, 'http://h');
	assert.ok(c.includes(`'{"k":"it'\\''s"}'`));
	assert.ok(csv({ columns: [{ name: 'a', type: 'jsonb' }] }).includes('{}'));
});

test('server times are read, with and without a zone', () => {
	assert.equal(parseTime('2026-03-01T08:00:00Z'), Date.UTC(2026, 2, 1, 8));
	assert.equal(parseTime('2026-03-01T08:00:00'), Date.UTC(2026, 2, 1, 8));
	assert.equal(parseTime('2026-03-01T08:00:00.123456Z'), Date.UTC(2026, 2, 1, 8, 0, 0, 123));
	assert.equal(parseTime('2026-03-01T10:00:00+02:00'), Date.UTC(2026, 2, 1, 8));
	assert.equal(parseTime('2026-03-01'), Date.UTC(2026, 2, 1));
	assert.ok(Number.isNaN(parseTime('room-1')));
	assert.ok(Number.isNaN(parseTime(null)));
});

test('numbers, sizes and spans read well', () => {
	assert.equal(number(null), '–');
	assert.equal(number(NaN), '–');
	assert.equal(number(0), '0');
	assert.equal(number(1234567), '1,234,567');
	assert.equal(number(3.14159), '3.14');
	assert.equal(bytes(1536), '1.5 KiB');
	assert.equal(interval(604800e6), '7 days');
	assert.equal(seconds(0.0421), '42 ms');
	assert.equal(seconds(75), '1 min 15 s');
	assert.equal(ago(0, 61000), '1 min ago');
	assert.equal(cell(null, 'text', 'UTC'), '');
	assert.equal(cell('2026-03-01T08:00:00Z', 'timestamptz', 'Europe/Berlin'), '2026-03-01 09:00:00');
	assert.deepEqual(['10000-01-01', '0044-03-15 BC', '2026-03-01T00:00:00Z'].map((d) => cell(d, 'date', 'UTC')), ['10000-01-01', '0044-03-15 BC', '2026-03-01']);
	assert.equal(time(NaN, 'UTC', 'time'), '–');
});

test('the palette finds by beginning, word, part and letters in order, best first', () => {
	const items = ['Explore', 'Streams', 'People in the rooms', 'Theme: dark'].map((text) => ({ text, kind: '', run() {} }));
	assert.deepEqual(find(items, 'str').map((i) => i.text), ['Streams']);
	assert.deepEqual(find(items, 'the').map((i) => i.text), ['Theme: dark', 'People in the rooms']);
	assert.deepEqual(find(items, 'pplrms').map((i) => i.text), ['People in the rooms']);
	assert.deepEqual(find(items, 'zzz'), []);
	assert.equal(find(items, ' ').length, 4);
	assert.ok(fit('people_now', 'now') > fit('snowy', 'now'));
	assert.equal(find([{ text: 'Entries', also: 'visits_hourly', kind: '', run() {} }], 'visits').length, 1);
});

test('tables sort numbers as numbers and keep what is empty last; copies are quoted', () => {
	const rows = [{ v: 10 }, { v: 9 }, { v: null }];
	assert.deepEqual(sorted(rows, (r) => r.v, 1).map((r) => r.v), [9, 10, null]);
	assert.deepEqual(sorted(rows, (r) => r.v, -1).map((r) => r.v), [10, 9, null]);
	assert.equal(csvOf([['a', 'b'], [null, 'x,"y"\n']]), 'a,b\n,"x,""y""\n"');
	assert.equal(markdownOf([['a', 'b'], ['x|y', 'l\nm']]), '| a | b |\n| --- | --- |\n| x\\|y | l m |');
});

const info = { name: 'visits', bucket: 'hour', bucket_us: 3600e6, columns: [{ name: 'office', type: 'text', group: true },
	{ name: 'floor', type: 'integer', group: true }, { name: 'hour', type: 'timestamp with time zone', group: true }, { name: 'n', type: 'bigint' }] };
const columns = ['office', 'floor', 'hour', 'n'];

test('one row leads to all its groups; what differs is left open, buckets become a range', () => {
	const one = cellOf(info, columns, [["o'x", 3, '2026-03-01T08:00:00Z', 5]]);
	assert.deepEqual(one, { filters: [['office', "o'x"], ['floor', '3'], ['hour', '2026-03-01T08:00:00Z']], open: [] });
	assert.equal(explainUrl('visits', one, 20), '/api/v1/views/visits/explain?office=o%27x&floor=3&hour=2026-03-01T08%3A00%3A00Z&limit=20');
	assert.equal(sqlOf(info, one), "SELECT * FROM visits WHERE office = 'o''x' AND floor = 3 AND hour = '2026-03-01T08:00:00Z' LIMIT 200");
	const many = cellOf(info, columns, [['a', 3, '2026-03-01T09:00:00Z', 5], ['a', 4, '2026-03-01T08:00:00Z', 6]]);
	assert.deepEqual(many, { filters: [['office', 'a'], ['from', '2026-03-01T08:00:00.000Z'], ['to', '2026-03-01T10:00:00.000Z']], open: ['floor'] });
	assert.equal(sqlOf(info, many), "SELECT * FROM visits WHERE office = 'a' AND hour >= '2026-03-01T08:00:00.000Z' AND hour < '2026-03-01T10:00:00.000Z' LIMIT 200");
	const far = cellOf(info, columns, [['a', 3, '0044-03-15T09:00:00Z BC', 5], ['a', 3, '10000-01-01T08:00:00Z', 6]]);
	assert.deepEqual(far.open, ['hour'], 'times that the browser cannot hold');
	const none = cellOf(info, columns, [[null, 3, null, 5]]);
	assert.deepEqual(none, { filters: [['floor', '3']], open: ['office', 'hour'] });
	assert.equal(sqlOf({ ...info, name: 'Visits "x"', columns: [] }, { filters: [], open: [] }), 'SELECT * FROM "Visits ""x""" LIMIT 200');
});

test("rows of a query are a view's rows only when nothing is computed", () => {
	const plain = (sql, c = columns) => plainView(sql, [info], c)?.name ?? null;
	assert.equal(plain('SELECT * FROM visits'), 'visits');
	assert.equal(plain('select office, floor, hour, n\nfrom visits where n > 3 order by n desc limit 5;'), 'visits');
	assert.equal(plain('SELECT office FROM visits', ['office']), null);
	assert.equal(plain('SELECT n AS office, floor, hour FROM visits'), null);
	assert.equal(plain("SELECT * FROM as_of('visits', 3)"), null);
	assert.equal(plain('SELECT * FROM visits JOIN x ON true'), null);
	assert.equal(plain('SELECT * FROM badge'), null);
	assert.equal(plain('SELECT office, floor, hour, count(*) FROM visits GROUP BY 1, 2, 3'), null);
	assert.equal(plain('SELECT * FROM visits UNION SELECT * FROM visits'), null);
});

test("a broker's message is taken apart, other bytes are left alone", () => {
	assert.deepEqual(unpack({ source: 'mqtt', raw: 'gw\0a/b\0x\0y' }), { client: 'gw', topic: 'a/b', raw: 'x\0y' });
	assert.deepEqual(unpack({ source: 'http', raw: 'x\0y\0z' }), { client: '', topic: '', raw: 'x\0y\0z' });
});

test('small files count beyond the eight young ones of each table', () => {
	assert.equal(unmerged([]), 0);
	assert.equal(unmerged([{ files: 8, small_files: 8 }, { files: 8, small_files: 8 }]), 0);
	assert.equal(unmerged([{ files: 16, small_files: 16 }]), 50);
	assert.equal(unmerged([{ files: 16, small_files: 16 }, { files: 84, small_files: 0 }]), 8);
	/* A file a day cannot be fewer. */
	assert.equal(unmerged([{ files: 14, small_files: 14, partitions: 14 }]), 0);
	assert.equal(unmerged([{ files: 40, small_files: 40, partitions: 20 }]), 50);
	assert.equal(runOf('silver/t/date=2026-03-01/000000000042-17-0.parquet'), 17);
	assert.equal(runOf('silver/t/other.parquet'), null);
	assert.equal(pastQuery("ulm's", ' 42 '), "SELECT * FROM as_of('ulm''s', 42) LIMIT 100");
	assert.equal(pastQuery('t', '2026-03-01 08:00'), "SELECT * FROM as_of('t', timestamptz '2026-03-01 08:00') LIMIT 100");
	for (const bad of ['', '0', '-1', 'gestern', "1') --", '2026-03'])
		assert.equal(pastQuery('t', bad), null, bad);
});

test('what DuckDB is asked names the files in force, or the metadata that do', () => {
	const paths = (n) => Array.from({ length: n }, (_, i) => `silver/it's/${i}.parquet`);
	const t = { folder: "/a'b", tier: 'silver', name: "it's", fields: ['a'] };
	assert.equal(duckQuery({ ...t, paths: paths(2) }), "SELECT count(*) FROM read_parquet([\n  '/a''b/silver/it''s/0.parquet',\n  '/a''b/silver/it''s/1.parquet'],\n  union_by_name = true);");
	assert.match(duckQuery({ ...t, paths: paths(13) }), /FROM iceberg_scan\('\/a''b\/silver\/it''s'\);$/);
	assert.equal(duckQuery({ ...t, fields: [], paths: paths(13) }).match(/parquet'/g).length, 13);
	assert.match(duckQuery({ ...t, tier: 'gold', paths: paths(1) }), / WHERE _visible;$/);
	assert.doesNotMatch(duckQuery({ ...t, tier: 'gold', paths: paths(13) }), /_visible/);
	assert.match(duckQuery({ ...t, tier: 'gold', fields: ['_visible'], paths: paths(13) }), / WHERE _visible;$/);
});

test('what is not kept for ever', () => {
	const day = 864e8, s = (name, rows, raw) => ({ name, retention_us: rows * day, bronze_retention_us: raw * day });
	assert.deepEqual(keptFor([s('a', 400, 400), s('b', 1, 500), s('c', 30, 0), s('d', 0, 0)], [{ name: 'v', options: { retention: '900 days' } }, { name: 'w', options: {} }], 'photos=30 days, *=400 days'),
		[['rows of a', '400 days'], ['rows of b', '1 day; raw bytes 500 days'], ['rows of c', '30 days; raw bytes for ever'], ['numbers of v', '900 days'], ['objects in photos', '30 days'], ['other objects', '400 days']]);
	assert.deepEqual(keptFor([s('d', 0, 0)], [], ''), []);
});

test("the lake's folder is what stands before the tier", () => {
	assert.equal(lakeFolder('file:///tmp/a%20b/lake/silver/badge'), '/tmp/a b/lake');
	assert.equal(lakeFolder('file:///x/gold/lake/bronze/t'), '/x/gold/lake');
	assert.equal(lakeFolder('http://host/lake/silver/badge'), '');
	assert.equal(lakeFolder(''), '');
});

test('snapshots over time: a line of rows, a sign for each place that says what changed most, the next one to a click', () => {
	const s = (sequence, minute, rows, kind, more = {}) => ({ sequence, published_at: `2026-03-01T08:${String(minute).padStart(2, '0')}:00Z`, rows, kind, lsn: sequence * 10, ...more });
	const list = [s(4, 30, 300, 'rollback', { object: 'v' }), s(3, 20, 200, 'compact'), s(2, 20, 200, 'cut', { reason: 'timer' }), s(1, 0, 100, null)];
	const t = timeline(list, { left: 0, right: 300, top: 10, bottom: 110 });
	assert.deepEqual(list.map((x) => t.points.get(x.sequence)), [{ x: 300, y: 10 }, { x: 200, y: 60 }, { x: 200, y: 60 }, { x: 0, y: 110 }]);
	assert.equal(t.line, 'M0.0 110.0H200.0V60.0H200.0V60.0H300.0V10.0');
	assert.deepEqual(t.cells.map((c) => [c.x, c.kind]), [[0, 'anew'], [198, 'rows'], [297, 'anew']]);
	assert.equal(t.most, 300);
	assert.deepEqual([0, 90, 110, 1000].map((x) => nearest(list, t, x).sequence), [1, 1, 3, 4]);
	assert.deepEqual(list.map((x) => madeBy(x).words), ['a rollback of v', 'compaction', 'a cut by the clock', 'a run that is not known any more']);
	const one = timeline([s(1, 0, 5, 'cut')], { left: 0, right: 300, top: 10, bottom: 110 });
	assert.deepEqual([one.points.get(1), one.ticks.length], [{ x: 300, y: 10 }, 1]);
	assert.equal(timeline([], { left: 0, right: 300, top: 10, bottom: 110 }).line, '');
	const many = Array.from({ length: 5000 }, (_, i) => s(5000 - i, 0, i, 'cut')).map((x, i) => ({ ...x, published_at: new Date(1e12 - i * 60e3).toISOString() }));
	assert.ok(timeline(many, { left: 0, right: 900, top: 0, bottom: 90 }).cells.length <= 101);
});

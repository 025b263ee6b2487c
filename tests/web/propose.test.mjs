/* Goal: from a topic and a payload to a table that would take them, and from a
 * stream to a message that it takes. That the tables are taken by the real
 * program is shown in tests/e2e/mqtt_page.test.mjs. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { message, propose, quoted } from '../../web/lib/propose.js';

const from = (pattern, payload, streams = []) => propose({ pattern, topic: '', payload }, streams);

test('fields become columns by their values, levels that vary by the word before them', () => {
	assert.equal(from('office/+/door/+', '{"ts":"2026-05-01T10:00:00Z","n":3,"x":1.5,"on":true,"who":null,"raw":{"a":[1]},"note":"a, b"}'),
		`CREATE TABLE office_door (
  office text NOT NULL,
  door text NOT NULL,
  ts timestamptz NOT NULL,
  n bigint,
  x double precision,
  "on" boolean,
  who text,
  raw jsonb,
  note text
) WITH (event_time = 'ts', mqtt = 'office/{office}/door/{door}');`);
});

test('plain payloads go to one column', () => {
	assert.equal(from('meters/+/total', ' 12.5\n'), `CREATE TABLE meters_total (
  meter text NOT NULL,
  value double precision
) WITH (mqtt = 'meters/{meter}/total -> value');`);
	assert.match(from('a/state', 'ON'), /^ {2}value text$/m);
	assert.match(from('a/state', 'true'), /^ {2}value text$/m);
});

test('names: taken ones, reserved words, capitals, none at all', () => {
	assert.match(from('office/+', '{"office":1}'), /office_2 text NOT NULL,\n {2}office bigint[^]*'office\/\{office_2\}'/);
	assert.match(from('a/b', '{"user":1,"Watt Hours":2,"say \\"x\\"":3}'), /"user" bigint,\n {2}"Watt Hours" bigint,\n {2}"say ""x""" bigint/);
	assert.match(from('a/b', '1', ['a_b', 'a_b_2']), /CREATE TABLE a_b_3 \(/);
	assert.match(from('+/+', '1'), /CREATE TABLE messages \(\n {2}device text NOT NULL,\n {2}device_2 text NOT NULL/);
	assert.match(from('status/+', '1'), /\{status\}/);
	assert.match(from('7even/it\'s', '1'), /CREATE TABLE n7even_it_s [^]*'7even\/it''s -> value'/);
	assert.equal(quoted('select'), '"select"');
	assert.equal(quoted('a"b'), '"a""b"');
});

test('an array is as its first object; only the first time is the event time', () => {
	assert.match(from('a', '[{"n":1,"at":"2026-05-01 10:00:00+02","end":"2026-05-01T10:00Z"}]'), /n bigint,\n {2}at timestamptz NOT NULL,\n {2}"end" timestamptz\n\) WITH \(event_time = 'at'/);
});

test('nothing is proposed where there is nothing to guess from', () => {
	for (const payload of [null, '', '  ', '[1,2]', '{"cut":', '[]'])
		assert.equal(from('a/b', payload), null, String(payload));
	for (const pattern of ['a,b', 'a/{b}', 'a -> b'])
		assert.equal(from(pattern, '1'), null, pattern);
});

test('a message for a stream', () => {
	const column = (name, type) => ({ name, type, generated: false, default: null });
	const s = { name: 'door', mqtt: ['site/+/office/{office}/n{n}/#'], checks: [{ text: "office IN ('a b','c')" }], columns: [column('office', 'text'), column('n', 'bigint'), column('on', 'boolean')] };
	assert.deepEqual(message(s), { topic: 'site/1/office/a-b/n1/x', payload: '{"on":true}' });
	assert.deepEqual(message({ ...s, mqtt: ['m/{office} -> n', 'other'] }), { topic: 'm/a-b', payload: '1' });
});

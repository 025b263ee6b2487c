// The commands as a person types them: words, exit codes, what an error says
// to do; the README's commands, every one; access on a public address.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { dirname, join } from 'node:path';
import { Tarn, command, root, tarnBin, tempDir, until } from './lib.mjs';

const badge = (id, ts = '2026-03-01T08:00:00Z') => JSON.stringify({ event_id: id, ts, site: 'berlin', door: 'D1', person_id: 'p' + id, direction: 'in', result: 'granted' });

test('help, version, usage errors and their exit codes', async () => {
  const help = await command(['help']);
  assert.equal(help.code, 0);
  assert.match(help.out, /tarn demo/);
  assert.match((await command(['version'])).out, /^tarn \d+\.\d+\.\d+/);
  const sql = (await command(['help', 'sql'])).out;
  for (const word of ['date_bin', 'percentile_cont', 'arg_max', 'CREATE MATERIALIZED VIEW']) assert.ok(sql.includes(word), word);
  assert.match(sql, /differs/i);
  assert.match((await command(['help', 'settings'])).out, /cut_interval/);
  const wrong = await command(['sqll']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /did you mean sql/);
  assert.equal((await command(['run', '--bogus', '1'])).code, 2);
  assert.equal((await command(['load'])).code, 2);
  const gone = await command(['sql', 'select 1', '--url', 'http://127.0.0.1:1']);
  assert.equal(gone.code, 4);
  assert.match(gone.err, /tarn run/);
});

// Goal: the limits that help names are taken as they stand there, one beyond them is told so.
test('every setting takes the limits that help settings prints', async () => {
  const ranges = [...(await command(['help', 'settings'])).out.matchAll(/^  (\w+) .* \((\d+(?: ms| bytes)?) to (\d+(?: ms| bytes)?)\)$/gm)];
  assert.ok(ranges.length > 60, `${ranges.length}`);
  const dir = tempDir('limits');
  const check = (name, value) => { writeFileSync(join(dir, 'a.sql'), `ALTER SYSTEM SET ${name} = '${value}';`); return command(['check', dir]); };
  for (const [, name, low, high] of ranges) {
    for (const v of [low, high]) assert.equal((await check(name, v)).err, '', `${name} = ${v}`);
    const [digits] = /^\d+/.exec(high), above = high.replace(digits, BigInt(digits) + 1n);
    assert.match((await check(name, above)).err, /must be between/, `${name} = ${above}`);
  }
  assert.match((await check('query_memory', '18446744073709551615 GiB')).err, /no value/);
});

test('an option that a command does not look at is refused, with what to do', async () => {
  const no = async (args, hint) => {
    const r = await command(args);
    assert.equal(r.code, 2, args.join(' '));
    assert.match(r.err, hint, args.join(' '));
    assert.equal(r.out, '');
  };
  const url = ['--url', 'http://127.0.0.1:1'];
  await no(['apply', '--config', 'my2', ...url], /apply takes no --config\n.*was started with/);
  await no(['verify', '--data', 'copy'], /verify takes no --data\n.*tarn run --data/);
  await no(['token', 'create', 'x', '--data=d'], /token takes no --data/);
  await no(['check', '--config', 'my'], /tarn check DIR/);
  await no(['load', 't', 'x.csv', '--format', 'csv'], /format=csv/);
  await no(['restore', 'src', '--data', 'd', ...url], /restore takes no --url/);
  await no(['run', ...url], /run takes no --url/);
  await no(['cut', '-o', 'x'], /cut takes no -o/);
  await no(['cut', 'badge', ...url], /cut takes no word "badge"/);
  await no(['sql', 'SELECT 1', '--format', 'xml', ...url], /sql prints table, csv, json or ndjson\n.*-o FILE/);
  for (const word of ['plan', 'backup']) await no([word, 'x', '--data', 'd', ...url], /--data or --url/);
  // The environment says it to all commands, and less than a word does.
  const env = { TARN_DATA: 'd', TARN_CONFIG: 'c', TARN_MQTT: 'none', TARN_URL: url[1] };
  assert.equal((await command(['verify'], { env })).code, 4);
  const stopped = await command(['plan', '--config', join(root, 'config/office'), '--data', tempDir('empty')], { env });
  assert.equal(stopped.code, 2, stopped.err);
  assert.match(stopped.out, /badge_events/);
});

test('check: bundled pipelines are good, a bad one is named with file, line and column', async () => {
  for (const name of ['demo', 'office']) assert.equal((await command(['check', join(root, 'config', name)])).code, 0, name);
  const dir = tempDir('check');
  writeFileSync(join(dir, 'a.sql'), "CREATE TABLE t (a int, ts timestamptz NOT NULL) WITH (event_time = 'ts');\nCREATE MATERIALIZED VIEW v AS\n  SELECT nope, count(*) FROM t GROUP BY 1;\n");
  const r = await command(['check', dir]);
  assert.equal(r.code, 1);
  assert.match(r.err, /a\.sql:3:10: /);
  writeFileSync(join(dir, 'a.sql'), "ALTER SYSTEM SET cut_intervall = '1 s';");
  const s = await command(['check', dir]);
  assert.equal(s.code, 1);
  assert.match(s.err, /cut_intervall/);
  // A pattern that is none: every row would fail by it.
  const with_ = async (check, view = 'count(*)') => {
    writeFileSync(join(dir, 'a.sql'), `CREATE TABLE t (a text ${check}, ts timestamptz NOT NULL) WITH (event_time = 'ts');\nCREATE MATERIALIZED VIEW v AS SELECT a, ${view} AS n FROM t GROUP BY 1;\n`);
    return command(['check', dir]);
  };
  assert.equal((await with_("CHECK (a ~ '[a-z]' AND a !~* '^\\[' AND regexp_replace(a, 'x', a, 'g') <> '')")).code, 0);
  for (const [check, view] of [["CHECK (length(a) > 3 OR a ~ '[')"], ["CHECK (a !~* 'a)')"], ["CHECK (regexp_replace(a, '.', '', 'Z') = '')"], ['', "count(*) FILTER (WHERE regexp_substr(a, '(') = '')"], ['', "max(a || 'x') FILTER (WHERE a ~ '*')"]]) {
    const r = await with_(check, view);
    assert.equal(r.code, 1, check);
    assert.match(r.err, /of [tv]: invalid regular expression/, check);
  }
});

test('load, sql, cut, recompute, verify, token, doctor against a running tarn', async () => {
  const t = await new Tarn({ config: join(root, 'config/office') }).start();
  const dir = tempDir('load');
  const file = join(dir, 'events.ndjson.gz');
  writeFileSync(file, gzipSync([badge('1'), badge('2'), badge('1'), '{"event_id":"3","ts":"soon"}'].join('\n')));
  const url = ['--url', t.url];
  const loaded = await command(['load', 'badge_events', file, ...url]);
  assert.equal(loaded.code, 3, loaded.err);
  assert.match(loaded.err, /2 accepted, 1 quarantined, 1 duplicates/);
  assert.match(loaded.err, /events\.ndjson\.gz:4: ts: /);
  const csv = await command(['load', 'badge_events', '-', 'format=csv', 'columns=event_id,ts,site,door,direction', 'header=false', ...url], { input: '7,2026-03-01T09:00:00Z,berlin,D2,out\n' });
  assert.equal(csv.code, 0, csv.err);
  assert.equal((await command(['sql', 'SELECT count(*) AS n FROM badge_events', '--format', 'csv', ...url])).out, 'n\n3\n');
  assert.match((await command(['sql', 'SELECT site, entries FROM visits_hourly ORDER BY 2 DESC LIMIT 1', '--format', 'table', ...url])).out, /berlin \| +2/);
  const bad = await command(['sql', 'SELECT nope FROM badge_events', ...url]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /nope/);
  assert.equal((await command(['cut', ...url])).code, 0);
  assert.equal((await command(['recompute', 'visits_hourly', ...url])).code, 0);
  assert.equal((await command(['recompute', 'nope', ...url])).code, 1);
  const v = await command(['verify', ...url]);
  assert.equal(v.code, 0, v.out);
  assert.match(v.out, /bronze 5 = silver 3 \+ quarantined 1 \+ duplicates 1/);
  // Options in any place, with = or without, are the words that the statement takes.
  for (const words of [['--sample', 'visits_hourly'], ['visits_hourly', '--sample'], ['visits_hourly', '--sample', '0.5', '--seed', '7'], ['visits_hourly', '--sample=0.5', '--seed=7', '--details']]) {
    const some = await command(['verify', ...words, '--json', ...url]);
    assert.equal(some.code, 0, words.join(' ') + some.err);
    assert.match(some.out, /visits_hourly/);
    if (words.length > 3) assert.match(some.out, /seed=7|"seed":7/);
  }
  // A line for each time bucket in a pipe; runs of equal ones on a terminal; one a view when asked; JSON as it was.
  const line = /^equal {6}view visits_hourly: .*$/gm, said = async (...words) => (await command(['verify', 'visits_hourly', ...words, ...url])).out.match(line);
  assert.deepEqual(await said(), ['equal      view visits_hourly: 2026-03-01 08:00:00+00: 1 row', 'equal      view visits_hourly: 2026-03-01 09:00:00+00: 1 row', 'equal      view visits_hourly: 2 rows']);
  assert.deepEqual(await said('--details'), await said());
  assert.deepEqual(await said('--summary'), ['equal      view visits_hourly: 2 rows']);
  assert.doesNotMatch((await command(['verify', 'visits_hourly', '--json', ...url])).out, /08:00/);
  const screen = spawnSync('script', ['-qec', `${tarnBin} verify visits_hourly --url ${t.url}`, '/dev/null'], { encoding: 'utf8' });
  assert.equal(screen.status, 0, screen.stdout);
  assert.deepEqual(screen.stdout.replaceAll('\r', '').match(line), ['equal      view visits_hourly: 2026-03-01 08:00:00+00 .. 2026-03-01 09:00:00+00: 2 buckets, 2 rows', 'equal      view visits_hourly: 2 rows']);
  assert.equal((await command(['recompute', 'visits_hourly', '--from', '2026-03-01T00:00:00Z', '--to', '2026-04-01T00:00:00Z', '--dry-run', ...url])).code, 0);
  const lacks = await command(['verify', 'visits_hourly', '--seed']);
  assert.deepEqual([lacks.code, /--seed/.test(lacks.err)], [2, true]);
  assert.equal((await command(['cut', '--sample', ...url])).code, 2);
  const token = JSON.parse((await command(['token', 'create', 'app', 'ingest', ...url])).out);
  assert.match(token.token, /^trn_/);
  assert.equal((await command(['token', 'revoke', String(token.id), ...url])).code, 0);
  const doctor = await command(['doctor', '--data', dir, ...url]);
  assert.equal(doctor.code, 0, doctor.out);
  assert.match(doctor.out, / lake +\d+\.\d MiB; how long the disk lasts is not known yet\n/);
  const taken = await command(['run', '--data', dir, '--http', `127.0.0.1:${t.port}`]);
  assert.equal(taken.code, 6, taken.err);
  assert.match(taken.err, /--http/);
  const used = await command(['run', '--data', t.data, '--http', '127.0.0.1:0']);
  assert.equal(used.code, 6, used.err);
  assert.deepEqual(await t.stop(), { code: 0, signal: null });
});

test('a public address is closed without a credential; one-time link, password, token, logout', async () => {
  const t = new Tarn({ config: join(root, 'config/office'), args: ['--http', '0.0.0.0:0'] });
  await t.start();
  const code = /setup#t=([A-Z0-9-]+)/.exec(t.out)?.[1];
  assert.ok(code, t.out);
  t.url = `http://127.0.0.1:${/:(\d+)\/setup/.exec(t.out)[1]}`;
  const json = { 'content-type': 'application/json' };
  assert.equal((await t.call('GET', '/api/v1/streams')).status, 401);
  assert.equal((await t.call('POST', '/api/v1/streams/badge_events', badge('1'), json)).status, 401);
  assert.equal((await t.call('GET', '/livez')).status, 200);
  assert.equal((await t.call('POST', '/api/v1/setup', JSON.stringify({ code: 'AAAA-AAAA', password: 'correct horse' }), json)).status, 403);
  const set = await t.call('POST', '/api/v1/setup', JSON.stringify({ code, password: 'correct horse' }), json);
  assert.ok(set.status === 204 || set.status === 200, JSON.stringify(set.body));
  const again = await t.call('POST', '/api/v1/setup', JSON.stringify({ code, password: 'other horse' }), json);
  assert.equal(again.status, 403, 'the link is used up');
  const wrong = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'wrong wrong' }), json);
  assert.ok([401, 403].includes(wrong.status));
  const login = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse' }), json);
  const cookie = login.headers.get('set-cookie');
  assert.match(cookie, /HttpOnly/i);
  assert.match(cookie, /SameSite=Strict/i);
  const session = { cookie: cookie.split(';')[0] };
  assert.equal((await t.call('GET', '/api/v1/streams', undefined, session)).status, 200);
  const foreign = await t.call('POST', '/api/v1/batch/run', undefined, { ...session, origin: 'http://evil.example' });
  assert.equal(foreign.status, 403, 'a foreign page cannot use the session');
  const made = await t.call('POST', '/api/v1/tokens', JSON.stringify({ name: 'app', scope: 'ingest' }), { ...session, ...json, origin: t.url });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const bearer = { authorization: `Bearer ${made.body.token}` };
  assert.equal((await t.call('POST', '/api/v1/streams/badge_events', badge('1'), { ...json, ...bearer })).status, 200);
  assert.equal((await t.call('GET', '/api/v1/streams', undefined, bearer)).status, 403, 'an ingest token reads nothing');
  const files = execFileSync('sh', ['-c', `cat ${t.data}/catalog.db* | grep -c -a -F '${made.body.token}' || true`]).toString().trim();
  assert.equal(files, '0', 'the token is not stored in clear');
  await t.stop();
});

test('loopback: a foreign Host or Origin is refused', async () => {
  const t = await new Tarn({ config: join(root, 'config/office') }).start();
  const foreign = await t.call('GET', '/api/v1/streams', undefined, { origin: 'http://evil.example' });
  assert.equal(foreign.status, 403);
  const host = spawnSync('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: evil.example', `${t.url}/api/v1/streams`]).stdout.toString();
  assert.equal(host, '403');
  await t.stop();
});

test('metrics are OpenMetrics text, the contract is OpenAPI', async () => {
  const t = await new Tarn({ config: join(root, 'config/office') }).start();
  await t.post('badge_events', badge('1'));
  const m = await (await t.fetch('/metrics')).text();
  assert.match(m, /# EOF\n$/);
  for (const name of ['tarn_build_info', 'tarn_ingest_ack_seconds', 'tarn_disk_free_bytes']) assert.ok(m.includes(name), name);
  const api = await t.ok('GET', '/api/openapi.json');
  assert.match(api.openapi, /^3\.1/);
  for (const path of ['/api/v1/streams/{s}', '/api/v1/views/{v}', '/api/v1/sql']) assert.ok(api.paths[path] ?? Object.keys(api.paths).some((p) => p.replace(/\{\w+\}/g, '{}') === path.replace(/\{\w+\}/g, '{}')), path);
  await t.stop();
});

test('every command of the README runs and says what the README says', { timeout: 600000 }, async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const dir = tempDir('readme');
  mkdirSync(join(dir, 'bin'));
  symlinkSync(tarnBin, join(dir, 'bin/tarn'));
  mkdirSync(join(dir, 'my'));
  writeFileSync(join(dir, 'my/pipeline.sql'), /```sql\n([\s\S]*?)```/.exec(readme)[1]);
  writeFileSync(join(dir, 'events.csv.gz'), gzipSync('event_id,ts,employee_id,office,direction\n2,2026-03-01T09:00:00Z,E2,berlin,out\n'));
  const lines = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((m) => m[1].trim().split('\n'));
  assert.ok(lines.length >= 6);
  const env = { ...process.env, PATH: `${join(dir, 'bin')}:${process.env.PATH}` };
  const server = lines.find((l) => l.startsWith('tarn run'));
  const url = 'http://127.0.0.1:8421';
  const { spawn } = await import('node:child_process');
  const data = join(dir, 'data');
  const child = spawn('sh', ['-c', `exec ${server.replace('/tmp/tarn-data', data)}`], { cwd: dir, env, stdio: 'ignore' });
  try {
    await until(async () => (await fetch(`${url}/readyz`).catch(() => ({}))).status === 200, 15000);
    let out = '';
    for (const line of lines.filter((l) => l !== server)) {
      const posix = line.replace('--json ', "-H 'content-type: application/json' -d ");   // older curl has no --json
      const r = spawnSync('sh', ['-c', posix.startsWith('curl') ? posix.replace('curl ', 'curl -sS --fail-with-body ') : line], { cwd: dir, env, encoding: 'utf8' });
      assert.equal(r.status, 0, `${line}\n${r.stdout}${r.stderr}`);
      out += r.stdout;
      await until(async () => { const s = await (await fetch(`${url}/api/v1/status`)).json(); return s.lsn === s.log.last; });
    }
    assert.match(out, /"accepted":1/);
    assert.match(out, /berlin/);
    for (const target of [...readme.matchAll(/`?make ([a-z]+)/g)].map((m) => m[1]))
      assert.equal(spawnSync('make', ['-n', target], { cwd: root }).status, 0, `make ${target}`);
  } finally {
    child.kill('SIGTERM');
  }
});

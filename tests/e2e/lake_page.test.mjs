/* Goal: on the real server, the page Lake shows tables, a table's files and
 * snapshots, goes back to one, expires them and compacts; a backfill from the
 * page Runs ends and shows its run, a run tells what it changed, and a click on
 * a number shows the raw bytes that were posted. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, tempDir } from './lib.mjs';
import { Judge } from './differential/judge.mjs';
import { python, spark } from './tables/readers.mjs';
import { askTrino, trino } from './tables/trino.mjs';
import { launch, listen, present } from '../web/browser.mjs';
import { clean, still, widths } from '../web/axe.mjs';

const skip = present ? false : 'no chromium';
const sql = `
ALTER SYSTEM SET cut_interval = '1 hour';
CREATE TABLE badge (id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL) WITH (event_time = 'ts', max_future_skew = '40000 days');
CREATE MATERIALIZED VIEW visits WITH (overview = 'table', title = 'Visits', x = 'hour', y = 'visits', series = 'office') AS
  SELECT office, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits FROM badge GROUP BY office, hour;
CREATE MATERIALIZED VIEW by_hour WITH (overview = 'heatmap', title = 'By hour', x = 'hour', y = 'visits') AS
  SELECT date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits FROM badge GROUP BY hour;`;
/* Spaces and signs that no parser gives back: what is shown is what came. */
const lines = ['berlin', 'köln "x"', 'berlin', "ulm's"].flatMap((office, i) => [0, 1, 2].map((h) =>
  `{ "id":"e${i}.${h}",  "ts": "2026-03-01T0${7 + h}:1${i}:00Z", "office":${JSON.stringify(office)}, "note":"<b>☃</b> ${i}${h}" }`));
let t, browser;
/** A page that says what it waits for when it waits too long. */
async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(10000);
  return page;
}

test.before(async () => {
  if (skip) return;
  t = await new Tarn({ sql, env: { TZ: 'Asia/Kolkata' } }).start();
  await t.post('badge', lines.slice(0, 8).join('\n'));
  await t.settled();
  await t.cut();
  browser = await launch();
});
test.after(async () => {
  await browser?.close();
  await t?.stop();
});

test('Lake shows its tables, the files of one, which can be had, and snapshots that lead to the past', { skip, timeout: 600000 }, async () => {
  const page = await open();
  const errors = listen(page);
  await page.goto(t.url + '/lake');
  /* Small files that compaction leaves alone are no work to be done. */
  await page.getByRole('columnheader', { name: 'Under 4 MiB' }).waitFor();
  assert.equal(await page.getByText('none to merge', { exact: true }).count(), 3);
  await page.getByRole('button', { name: 'badge', exact: true }).nth(1).click();
  await page.getByRole('heading', { name: 'badge, silver' }).waitFor();
  const [file] = (await t.ok('GET', '/api/v1/files?table=badge&tier=silver')).files;
  const link = page.locator(`a[href="/lake/${file.path}"]`);
  const [down] = await Promise.all([page.waitForEvent('download'), link.click()]);
  assert.equal(down.suggestedFilename(), file.path.split('/').at(-1));
  await page.getByRole('button', { name: 'Snapshots' }).click();
  const { snapshots } = await t.ok('GET', '/api/v1/snapshots');
  await page.getByLabel('Look back at').selectOption('visits');
  await page.getByRole('link', { name: String(snapshots[0].lsn), exact: true }).first().click();
  await page.waitForURL('**/sql?q=*');
  await page.getByText('6 rows in').waitFor();     // What the first eight events make.
  /* The same by way of the timeline: chosen by its keys, run in Explore. */
  assert.deepEqual([snapshots[0].kind, snapshots[0].reason], ['cut', 'request']);
  await page.goto(t.url + '/lake');
  await page.getByRole('button', { name: 'Snapshots' }).click();
  const line = page.getByRole('slider', { name: 'Snapshot' });
  await line.focus();
  await page.keyboard.press('End');
  assert.match(await line.getAttribute('aria-valuetext'), new RegExp(`^Snapshot ${snapshots[0].sequence}, .*, position ${snapshots[0].lsn}, a cut asked for, 8 rows$`));
  await page.getByLabel('Look back at').selectOption('visits');
  const query = await page.getByRole('group', { name: 'Query of the past' }).innerText();
  assert.equal((await t.ok('POST', '/api/v1/sql', query, { 'content-type': 'application/sql' })).rows.length, 6);
  await page.getByRole('link', { name: 'Show in SQL' }).click();
  await page.getByText('6 rows in').waitFor();
  await page.goto(t.url + '/lake');
  await page.getByRole('button', { name: 'Verify' }).click();
  await page.getByText('is what the raw bytes say').waitFor();
  assert.deepEqual(errors, []);
  await page.close();
});

/* Many cuts: files that compaction has replaced stay for the snapshots that have
 * them, so a count over all Parquet files of a folder is too high. */
test('what Lake shows for other tools counts each event once, and says what is kept how long', { skip, timeout: 600000 }, async () => {
  const many = await new Tarn({ sql: `ALTER SYSTEM SET cut_interval = '1 hour'; ALTER SYSTEM SET young_files_max = 2; ALTER SYSTEM SET object_retention = 'photos=30 days';
    CREATE TABLE badge (n int8, ts timestamptz NOT NULL, office text) WITH (event_time = 'ts', sort_by = 'office', retention = '40000 days', bronze_retention = '41000 days');
    CREATE MATERIALIZED VIEW v WITH (retention = '42000 days') AS SELECT date_trunc('day', ts) AS day, count(*) AS c FROM badge GROUP BY day HAVING count(*) > 2;` }).start();
  const judge = await new Judge().open();
  for (let i = 0; i < 8; i++) {
    await many.post('badge', JSON.stringify({ n: i, ts: `2026-03-0${i < 6 ? 1 : 2}T00:00:00Z`, office: 'b' }));
    await many.cut();
  }
  const page = await open(), errors = listen(page);
  await page.goto(many.url + '/lake');
  for (const [tier, name, nth, rows] of [['silver', 'badge', 1, 8], ['bronze', 'badge', 0, 8], ['gold', 'v', 0, 1]]) {
    await page.getByRole('button', { name, exact: true }).nth(nth).click();
    await page.getByRole('heading', { name: `${name}, ${tier}` }).waitFor();
    const text = await page.getByRole('group', { name: 'DuckDB query' }).innerText();
    assert.deepEqual((await judge.rows(text)).map((r) => r.map(Number)), [[rows]], text);
    if (tier === 'silver') assert.ok(Number((await judge.rows(`SELECT count(*) FROM read_parquet('${many.data}/lake/silver/badge/**/*.parquet')`))[0][0]) > 8, 'older files are there, too');
    const files = (await many.ok('GET', `/api/v1/files?table=${name}&tier=${tier}`)).files;
    const { snapshots } = await many.ok('GET', '/api/v1/snapshots');
    for (const f of files) {
      assert.ok(snapshots.some((s) => s.sequence === f.snapshot && s.files_added > 0 && s.lsn >= f.lsn_max), `${f.path}: ${f.snapshot}`);
      assert.deepEqual(f.sort_by, { silver: ['office', 'ts'], bronze: ['_lsn'], gold: [] }[tier]);
    }
    const table = page.getByRole('group', { name: `Files of ${name}, table` });
    const heads = await table.locator('thead button').allTextContents(), cells = await table.locator('tbody tr').first().locator('td').allTextContents();
    assert.deepEqual(['Sorted by', 'Snapshot'].map((h) => cells[heads.indexOf(h)]), [files[0].sort_by.join(', ') || '–', String(files[0].snapshot)]);
  }
  await page.getByText('Kept for').waitFor();
  assert.deepEqual((await page.locator('section', { has: page.getByRole('heading', { name: 'Kept for' }) }).locator('dl > div').allInnerTexts()).map((x) => x.replace(/\s*\n\s*/, ': ')),
    ['rows of badge: 40000 days; raw bytes 41000 days', 'numbers of v: 42000 days', 'objects in photos: 30 days']);
  if (python) await snippets(page, 8);
  assert.deepEqual(errors, []);
  await page.close();
  /* Which snapshot added a file is the same after a start. */
  const files = () => many.ok('GET', '/api/v1/files').then((d) => d.files.map((f) => [f.id, f.snapshot]));
  const before = await files();
  await many.restart();
  assert.deepEqual(await files(), before);
  await many.stop();
  judge.close();
});

const scripts = {
  duckdb: `import duckdb, duckdb_ext, glob
d = duckdb.connect(config={'allow_unsigned_extensions': 'true'})
found = [f for p in duckdb_ext.__path__ for f in glob.glob(os.path.join(p, 'extensions/*/*'))][0]
for e in ('parquet', 'avro', 'httpfs', 'iceberg'): d.execute(f"LOAD '{found}/{e}.duckdb_extension'")
print(json.dumps([len(d.execute(s).fetchall()) for s in ask if s.strip()]))`,
  python: 'exec(ask)\nprint(json.dumps(answer.num_rows))',
  spark: `import glob
os.environ['SPARK_LOCAL_IP'] = '127.0.0.1'
from pyspark.sql import SparkSession
b = SparkSession.builder.master('local[1]').config('spark.jars', ','.join(glob.glob(os.path.join(sys.prefix, 'jars/*.jar')))).config('spark.ui.enabled', 'false').config('spark.driver.memory', '1g')
for k, v in ask['conf']: b = b.config(k, v)
s = b.getOrCreate()
s.sparkContext.setLogLevel('OFF')
print(json.dumps(len(s.sql(ask['sql']).collect())))` };

test('Trino reads every row with the lines that Lake shows for it', { skip: skip || (trino ? false : 'no Trino in build/interop (make interop)'), timeout: 900000 }, async () => {
  const page = await open();
  await page.goto(t.url + '/lake');
  await page.getByRole('button', { name: 'Trino', exact: true }).click();
  const [lines, query] = (await page.locator('pre.code').last().innerText()).split('\n\n');
  const { lsn } = await t.ok('GET', '/api/v1/lake');
  const [[rows]] = (await t.ok('POST', '/api/v1/sql', `SELECT count(*) FROM as_of('badge', ${lsn})`, { 'content-type': 'application/sql' })).rows;
  assert.ok(rows >= 8);
  assert.match(query, /^SELECT \* FROM tarn\.silver\.badge$/);
  assert.equal((await askTrino(lines, query)).length, rows);
  await page.close();
});

/** Each as it is shown, by the tool it is for (make interop). */
async function snippets(page, rows) {
  const shown = async (tool) => {
    await page.getByRole('button', { name: tool, exact: true }).click();
    return page.locator('pre.code').last().innerText();
  };
  const run = (script, ask) => {
    const r = spawnSync(python, ['-W', 'ignore', '-c', `import json, os, sys\nask = json.loads(sys.argv[1])\n${scripts[script]}\nsys.stdout.flush()\nos._exit(0)   # DuckDB's threads do not end by themselves.`, JSON.stringify(ask)], { encoding: 'utf8', timeout: 200000, env: { ...process.env, HOME: tempDir('home') } });
    assert.equal(r.status, 0, r.stderr);
    return JSON.parse(r.stdout.trim().split('\n').at(-1));
  };
  const duck = (await shown('DuckDB')).replace('INSTALL iceberg; LOAD iceberg;', '').split('\n').filter((l) => !l.startsWith('--')).join('\n');
  assert.deepEqual(run('duckdb', duck.split(';')).slice(-2), [rows, rows]);
  for (const tool of ['PyIceberg', 'Delta Lake'])
    assert.equal(run('python', (await shown(tool)).replace(/\n([^\n]*)$/, '\nanswer = $1')), rows, tool);
  const lines = (await shown('Spark')).split('\n');
  if (spark)
    assert.equal(run('spark', { conf: lines.filter((l) => l.startsWith('spark.')).map((l) => l.split(/=(.*)/).slice(0, 2)), sql: lines.at(-1) }), rows);
}

test('where a token is needed, the lines for other tools name it, and hold one that Lake makes', { skip, timeout: 600000 }, async () => {
  const password = join(tempDir('password'), 'p');
  writeFileSync(password, 'correct horse battery\n');
  const own = await new Tarn({ sql, env: { TARN_ADMIN_PASSWORD_FILE: password } }).start();
  const page = await open(), errors = listen(page);
  const shown = async (tool) => {
    await page.getByRole('button', { name: tool, exact: true }).click();
    return page.locator('pre.code').last().innerText();
  };
  /* An open server asks for none. */
  await page.goto(t.url + '/lake');
  for (const tool of ['DuckDB', 'PyIceberg', 'Spark', 'Trino', 'Delta Lake']) assert.doesNotMatch(await shown(tool), /token/i, tool);
  assert.equal(await page.getByRole('button', { name: 'Make one' }).count(), 0);

  await page.goto(own.url + '/login?next=/lake');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.keyboard.press('Enter');
  await page.waitForURL((u) => u.pathname === '/lake');
  const as = (line, token) => (token ? line.replaceAll('$TARN_TOKEN', token) : line);
  const named = { DuckDB: /^CREATE SECRET tarn \(TYPE http, BEARER_TOKEN '\$TARN_TOKEN', SCOPE 'http:\/\/[^']+'\);$/m, PyIceberg: /, token='\$TARN_TOKEN'\)/,
    Spark: /^spark\.sql\.catalog\.tarn\.token=\$TARN_TOKEN$/m, Trino: /^iceberg\.rest-catalog\.oauth2\.token=\$TARN_TOKEN$/m };
  /* Something to read: events by the page's own session. */
  assert.deepEqual(await page.evaluate(async (body) => [(await fetch('/api/v1/streams/badge', { method: 'POST', body, headers: { 'content-type': 'application/x-ndjson' } })).status,
    (await fetch('/api/v1/batch/run', { method: 'POST' })).status], lines.slice(0, 8).join('\n')), [200, 200]);
  await page.reload();
  await page.getByRole('button', { name: 'badge', exact: true }).first().waitFor();
  /* The page learns a moment later that a token is needed. */
  await page.getByText('$TARN_TOKEN stands for a token that may read').waitFor();
  const texts = {};
  for (const [tool, re] of Object.entries(named)) {
    texts[tool] = await shown(tool);
    assert.match(texts[tool], re);
    await page.getByText('$TARN_TOKEN stands for a token that may read').waitFor();
    await page.getByText('tarn token create tools read').waitFor();
  }
  assert.doesNotMatch(await shown('Delta Lake'), /token/i, 'it reads the disk');
  assert.equal(await page.getByText('$TARN_TOKEN stands').count(), 0);

  await shown('PyIceberg');
  await page.getByRole('button', { name: 'Make one' }).click();
  await page.getByText('shown only now').waitFor();
  const token = /token='(trn_[^']+)'/.exec(await shown('PyIceberg'))[1], headers = { authorization: `Bearer ${token}` };
  for (const tool of Object.keys(named)) assert.equal(await shown(tool), as(texts[tool], token), tool);
  const files = await own.call('GET', '/api/v1/files?tier=silver&table=badge', undefined, headers);
  const status = async (method, path) => (await own.fetch(path, { method, headers })).status;
  assert.deepEqual([await status('GET', '/iceberg/v1/config'), await status('GET', `/lake/${files.body.files[0].path}`), await status('POST', '/api/v1/batch/run')], [200, 200, 403]);
  if (python) await snippets(page, 8);
  assert.deepEqual(errors, []);
  await page.close();
  await own.stop();
});

test('Explore shows numbers that JavaScript would round as they are', { skip, timeout: 600000 }, async () => {
  const page = await open(), errors = listen(page), numbers = ['9007199254740993', '-9223372036854775808', '1234567890123456.7891'];
  await page.goto(`${t.url}/sql?q=${encodeURIComponent(`SELECT 9007199254740993 AS a, (-9223372036854775807 - 1) AS b, 1234567890123456.7891 AS c, 1e3::float8 AS d, 1.50 AS e, id FROM badge LIMIT 1`)}`);
  for (const n of [...numbers, '1,000', '1.5']) await page.getByRole('cell', { name: n, exact: true }).waitFor();
  assert.deepEqual(errors, []);
  await page.close();
});

test('a click on a number shows the bytes that were posted, in both layers', { skip, timeout: 600000 }, async () => {
  await t.post('badge', lines.slice(8).join('\n'));
  await t.settled();
  const page = await open();
  const errors = listen(page);
  await page.goto(t.url + '/?from=all');
  const dialog = page.getByRole('dialog', { name: 'Why this number?' });
  const raw = async () => {
    await dialog.locator('.events li').first().waitFor();
    const texts = await dialog.locator('.raw').allTextContents();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    return texts.sort();
  };
  const of = (office, h) => lines.filter((l) => (office === null || JSON.parse(l).office === office) && JSON.parse(l).ts.includes(`T0${h}`)).sort();
  const rows = page.locator('[data-view=visits] tbody tr');
  await rows.nth(8).waitFor();
  for (const office of ['berlin', 'köln "x"', "ulm's"]) {
    const row = rows.filter({ hasText: office }).first();    // The newest hour stands first.
    await row.click();
    if (office === 'berlin') {
      await dialog.getByText(/version 1 of visits; final part by run \d/).waitFor();
      const layers = await dialog.locator('[data-layer]').evaluateAll((l) => l.map((e) => `${e.dataset.layer}: ${e.lastElementChild.textContent}`));
      assert.deepEqual(layers, ['Shown: 2', 'Batch, final: 1', 'Live, since: 1']);
    }
    assert.deepEqual(await raw(), of(office, 9), office);
  }
  await page.locator('[data-view=by_hour] .heat rect').first().click();
  assert.deepEqual(await raw(), of(null, 7));
  await rows.first().focus();
  await page.keyboard.press('Enter');
  assert.ok((await raw()).length > 0);
  assert.deepEqual(errors, []);
  await page.close();
});

test('a backfill tells its cost, ends, and its run stands in the table', { skip, timeout: 600000 }, async () => {
  const page = await open();
  const errors = listen(page);
  await page.goto(t.url + '/runs');
  await page.getByText('compute a view anew').click();
  await page.getByLabel('View', { exact: true }).selectOption('visits');
  await page.getByRole('button', { name: 'What would it cost?' }).click();
  await page.getByText((await t.ok('POST', '/api/v1/recompute?view=visits&dry_run=true')).text.trim()).waitFor();
  const before = (await t.ok('GET', '/api/v1/runs')).runs.length;
  await page.getByRole('button', { name: 'Compute', exact: true }).click();
  await page.locator('details .good').waitFor();
  await page.locator('tbody tr', { hasText: 'recompute visits' }).filter({ hasText: 'done' }).first().waitFor();
  assert.ok((await t.ok('GET', '/api/v1/runs')).runs.length > before);
  assert.deepEqual(errors, []);
  await page.getByLabel('From').fill('gestern');
  await page.getByRole('button', { name: 'Compute', exact: true }).click();
  await page.locator('details .problem').waitFor();
  await page.getByRole('button', { name: 'Try again' }).waitFor();
  await page.close();
});

test('Lake goes back to a snapshot, compacts and expires, and says so before; Runs tells what a run changed', { skip, timeout: 600000 }, async () => {
  /* Late rows: the hour was published. */
  await t.post('badge', '{"id":"late","ts":"2026-03-01T07:30:00Z","office":"berlin"}');
  await t.settled();
  await t.cut();
  const page = await open();
  const errors = listen(page);
  await page.goto(t.url + '/lake');
  await page.getByRole('button', { name: 'Compact now' }).click();
  await page.getByRole('button', { name: 'Compact', exact: true }).click();
  await page.getByText(/young files of \d+ partitions are merged|nothing to do/).waitFor();
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByRole('button', { name: 'Snapshots', exact: true }).click();
  await page.getByLabel('Look back at').selectOption('visits');
  await page.getByLabel('As of position or time').fill('1');
  assert.match(await page.getByRole('link', { name: 'Show in SQL' }).getAttribute('href'), /as_of\('visits'%2C%201\)/);
  const old = (await t.ok('GET', '/api/v1/snapshots')).snapshots.at(-1);
  await page.getByRole('button', { name: `Roll back… visits to snapshot ${old.sequence}` }).click();
  const form = page.getByRole('form', { name: `Roll visits back to snapshot ${old.sequence}` });
  await form.getByRole('button', { name: 'Roll back' }).click();
  await form.getByText(`as in snapshot ${old.sequence} (LSN ${old.lsn})`).waitFor();
  const runs = (await t.ok('GET', '/api/v1/runs')).runs;
  assert.equal(runs.filter((r) => r.kind === 'rollback' && r.state === 'done').length, 1);
  assert.equal((await t.ok('POST', '/api/v1/verify')).equal, true);
  await page.getByLabel('Expire snapshots older than').selectOption('0 s');
  await page.getByRole('button', { name: 'Expire…' }).click();
  const last = page.getByRole('form', { name: 'Expire snapshots' });
  assert.equal(await last.getByRole('button', { name: 'Expire', exact: true }).isDisabled(), true);
  await last.getByLabel('Type “expire” to go on').fill('expire');
  await last.getByRole('button', { name: 'Expire', exact: true }).click();
  await last.getByText(/\d+ snapshots expired/).waitFor();
  assert.equal((await t.ok('GET', '/api/v1/snapshots')).snapshots.length, 1);
  const changed = runs.find((r) => r.changed > 0 && r.kind === 'cut');
  await page.goto(t.url + '/runs');
  await page.getByRole('button', { name: `what run ${changed.id} changed` }).click();
  await page.getByRole('row', { name: /visits office berlin.*07:00:00 visits 2 3/ }).waitFor();
  assert.equal(await page.locator('.gantt .corrected').count() > 0, true);
  assert.deepEqual(errors, []);
  await page.close();
});

test('the schedule on Runs shows the next five times in the zone chosen, changes a setting at once, and gives it back', { skip, timeout: 600000 }, async () => {
  const page = await open();
  const errors = listen(page);
  await page.goto(t.url + '/runs?tz=utc');
  const cut = page.locator('[data-schedule=cut_interval]');
  const shown = () => cut.locator('time').evaluateAll((l) => l.map((e) => [Date.parse(e.dateTime), e.textContent]));
  await cut.getByText('1 hour', { exact: true }).waitFor();
  const before = await shown();
  assert.deepEqual(before.slice(1).map(([at], i) => at - before[i][0]), Array(4).fill(3600e3));
  const clock = (at, timeZone) => new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZone }).format(at);
  for (const [at, text] of before) assert.ok(text.endsWith(clock(at, 'UTC')), text);
  await page.goto(t.url + '/runs?tz=site');
  await page.getByText('times in Asia/Kolkata').waitFor();
  for (const [at, text] of await shown()) assert.ok(text.endsWith(clock(at, 'Asia/Kolkata')), text);
  await cut.getByRole('button', { name: 'Change Cuts' }).click();
  const form = page.getByRole('form', { name: 'Change cut_interval' });
  await form.getByLabel('Every').fill('soon');
  await form.getByText(/"soon" is no value for cut_interval; write it like '60 s'/).waitFor();
  assert.equal(await form.getByRole('button', { name: 'Save' }).isDisabled(), true);
  await form.getByLabel('Every').fill('20 min');
  await form.getByText('Then next:').waitFor();
  const then = await form.locator('time').evaluateAll((l) => l.map((e) => Date.parse(e.dateTime)));
  assert.deepEqual(then.slice(1).map((at, i) => at - then[i]), Array(4).fill(1200e3));
  assert.equal((await t.ok('GET', '/api/v1/settings')).settings.find((s) => s.name === 'cut_interval').value, '1 hour', 'only looked at');
  await page.keyboard.press('Enter');
  await cut.getByText('20 min', { exact: true }).waitFor();
  await cut.getByText(/set here .*; the configuration says 1 hour/).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'change-cut_interval');
  const after = await shown();
  assert.deepEqual(after.slice(1).map(([at], i) => at - after[i][0]), Array(4).fill(1200e3));
  assert.equal((await t.ok('GET', '/api/v1/settings')).settings.find((s) => s.name === 'cut_interval').value, '20 min');
  await cut.getByRole('button', { name: 'Change Cuts' }).click();
  await form.getByRole('button', { name: 'Back to 1 hour' }).click();
  await cut.getByText('by the configuration; otherwise 60 s').waitFor();
  /* The browser's own words for the refusal that was asked for. */
  assert.deepEqual(errors.filter((e) => !e.includes('status of 400')), []);
  await page.close();
});

test('axe finds nothing where something is asked first, nor in what a run changed', { skip, timeout: 600000 }, async () => {
  for (const [width, see] of [[widths[0], 'lake'], [widths[1], 'runs']]) {
    const context = await still(browser, width);
    const page = await context.newPage();
    await page.goto(t.url + '/' + see);
    if (see === 'lake') {
      await page.getByRole('button', { name: 'Snapshots', exact: true }).click();
      await page.getByRole('slider', { name: 'Snapshot' }).press('Home');
      await page.getByRole('button', { name: 'Expire…' }).click();
      await page.getByLabel('Type “expire” to go on').waitFor();
    } else {
      await page.getByRole('button', { name: /what run \d+ changed/ }).first().click();
      await page.getByRole('columnheader', { name: 'Was' }).waitFor();
      await page.getByRole('button', { name: 'Change Cuts' }).click();
      await page.getByText('Then next:').waitFor();
    }
    await clean(page, see);
    await context.close();
  }
});

test('the doors behind the pages refuse what they do not know, and say what to do', { skip, timeout: 600000 }, async () => {
  for (const [method, path, body, status, word] of [
    ['POST', '/api/v1/sql', '', 400, /SELECT/],
    ['POST', '/api/v1/recompute?view=visits&from=2026-03-05&to=1970-01-01', undefined, 400, /from must be before to/],
    ['POST', '/api/v1/recompute?view=visits&dry_run=maybe', undefined, 400, /dry_run is true or false/],
    ['POST', '/api/v1/verify?details=2', undefined, 400, /details is true or false/],
    ['POST', '/api/v1/sql', "CALL recompute('visits', '2026-03-05', '1970-01-01')", 400, /before to_time/],
    ['POST', '/api/v1/sql', "CALL expire_snapshots('1 month')", 400, /age without months/],
    ['POST', '/api/v1/sql', 'SELECT * FROM nope', 400, /list what there is/],
    ['GET', '/api/v1/files?table=nope', undefined, 404, /no stream or view/],
    ['GET', '/api/v1/views/visits/explain?layer=batch', undefined, 400, /every layer/],
    ['GET', '/api/v1/views/visits?as_of=2099-01-01', undefined, 400, /newest LSN/]]) {
    const r = await t.call(method, path, body, body === undefined ? {} : { 'content-type': 'text/plain' });
    assert.equal(r.status, status, path);
    assert.match(`${r.body.detail} ${r.body.hint}`, word, path);
  }
  const runs = (await t.ok('GET', '/api/v1/runs')).runs.length;
  assert.equal((await t.ok('POST', '/api/v1/recompute?view=visits&dry_run=1')).run, null);
  assert.ok((await t.ok('POST', '/api/v1/recompute?view=visits&dry_run=0&to=1970-01-01')).run > 0);
  assert.equal((await t.ok('GET', '/api/v1/runs')).runs.length, runs + 1);
});

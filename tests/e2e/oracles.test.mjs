// Real data with known answers: loaded raw through HTTP, compared with every
// row of the expected files before a cut, in the middle (some days cut, some
// not) and after.
import test from 'node:test';
import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, dataFile, readCsv, root } from './lib.mjs';

const expected = (name) => readCsv(dataFile(`expected/${name}`));
const near = (a, b, eps) => Math.abs(a - b) <= eps * Math.max(1, Math.abs(a), Math.abs(b));
/** 2017-03-22 18:45:00 of the file against 2017-03-22T18:45:00Z of the API. */
const sameTime = (api, file) => assert.equal(new Date(api).getTime(), new Date(file.replace(' ', 'T') + 'Z').getTime());

function sduFile(kind, room) {
  return gunzipSync(readFileSync(join(root, `config/demo/${kind}_room_${room}.csv.gz`))).toString();
}
/** Lines whose DayId is in [from, to), below the header. */
function days(text, from, to) {
  const [head, ...lines] = text.trim().split('\n');
  return [head, ...lines.filter((l) => { const d = Number(l.split(',')[0]); return d >= from && d < to; })].join('\n') + '\n';
}

const sduSql = ['occ', 'co2', 'vav'].map((k) => `
CREATE TABLE ${k} (day_id int NOT NULL, time_of_day time NOT NULL, weekday int, holiday int, room int NOT NULL, v double precision NOT NULL,
  ts timestamptz GENERATED ALWAYS AS ((date '2017-03-22' + day_id + time_of_day) AT TIME ZONE 'UTC') STORED, PRIMARY KEY (room, ts))
  WITH (event_time = 'ts');`).join('') + `
CREATE TABLE wide (day_id int NOT NULL, time_of_day time NOT NULL, room int NOT NULL, occ double precision, co2 double precision, vav double precision,
  ts timestamptz GENERATED ALWAYS AS ((date '2017-03-22' + day_id + time_of_day) AT TIME ZONE 'UTC') STORED, PRIMARY KEY (room, ts))
  WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW hourly AS SELECT room, date_trunc('hour', ts) AS h, count(*) AS n, sum(occ)::bigint AS person_minutes,
  max(occ)::int AS max_occ, avg(co2) AS avg_co2, max(co2) AS max_co2, count(*) FILTER (WHERE co2 > 1000) AS n_co2_gt_1000,
  count(*) FILTER (WHERE occ > 0 AND vav = 0) AS n_occ_no_air FROM wide GROUP BY room, h;
CREATE MATERIALIZED VIEW daily_peak AS SELECT date_trunc('day', ts) AS d, room, max(v)::int AS peak, arg_max(ts, v) AS peak_first_at,
  count(*) FILTER (WHERE v > 0) AS occ_minutes FROM occ GROUP BY d, room;
CREATE MATERIALIZED VIEW occ_hourly AS SELECT room, date_trunc('hour', ts) AS h, count(*) AS n, sum(v)::bigint AS person_minutes, max(v)::int AS max_occ FROM occ GROUP BY 1, 2;
CREATE MATERIALIZED VIEW co2_hourly AS SELECT room, date_trunc('hour', ts) AS h, avg(v) AS avg_co2, max(v) AS max_co2, count(*) FILTER (WHERE v > 1000) AS n_co2_gt_1000 FROM co2 GROUP BY 1, 2;`;

/** The wide file of the source, put together from its per-room files when the set itself is not there. */
function sduWide() {
  const f = dataFile('sdu-rooms/sdu_wide.csv');
  if (f) return readFileSync(f, 'utf8');
  const cols = ['occ', 'co2', 'vav'].flatMap((k) => [1, 2, 3, 4].map((r) => sduFile(k, r).trim().split('\n')));
  return cols[0].map((line, i) => i === 0 ? 'DayId,Time,Weekday,Holiday,occ1,occ2,occ3,occ4,co21,co22,co23,co24,vav1,vav2,vav3,vav4'
    : [...line.split(',').slice(0, 4), ...cols.map((c) => c[i].split(',').at(-1))].join(',')).join('\n') + '\n';
}

async function loadSdu(t, from, to) {
  const q = (pairs) => '?' + pairs.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&');
  let rows = 0;
  for (const k of ['occ', 'co2', 'vav'])
    for (let room = 1; room <= 4; room++) {
      const r = await t.post(k, days(sduFile(k, room), from, to), { type: 'text/csv',
        query: q([['rename', 'day_id:DayId'], ['rename', 'time_of_day:Time'], ['rename', 'weekday:Weekday'], ['rename', 'holiday:Holiday'], ['rename', `v:Room ${room}`], ['constant', `room:${room}`]]) });
      assert.deepEqual([r.quarantined, r.duplicates], [0, 0], JSON.stringify(r.errors));
      rows += r.accepted;
    }
  const wide = days(sduWide(), from, to);
  for (let room = 1; room <= 4; room++) {
    const r = await t.post('wide', wide, { type: 'text/csv',
      query: q([['rename', 'day_id:DayId'], ['rename', 'time_of_day:Time'], ['rename', `occ:occ${room}`], ['rename', `co2:co2${room}`], ['rename', `vav:vav${room}`], ['constant', `room:${room}`]]) });
    assert.deepEqual([r.quarantined, r.duplicates], [0, 0], JSON.stringify(r.errors));
    rows += r.accepted;
  }
  return rows;
}

async function compareSdu(t, maxDay) {
  const cut = new Date(Date.UTC(2017, 2, 22 + maxDay)).getTime();
  const want = expected('sdu_hourly.csv').filter((r) => new Date(r.h.replace(' ', 'T') + 'Z').getTime() < cut);
  const got = new Map((await t.view('hourly')).map((r) => [`${r.room} ${new Date(r.h).getTime()}`, r]));
  const occ = new Map((await t.view('occ_hourly')).map((r) => [`${r.room} ${new Date(r.h).getTime()}`, r]));
  const co2 = new Map((await t.view('co2_hourly')).map((r) => [`${r.room} ${new Date(r.h).getTime()}`, r]));
  assert.equal(got.size, want.length);
  for (const w of want) {
    const key = `${w.room} ${new Date(w.h.replace(' ', 'T') + 'Z').getTime()}`;
    const g = got.get(key), o = occ.get(key), c = co2.get(key);
    assert.ok(g && o && c, `row ${key}`);
    for (const name of ['n', 'person_minutes', 'max_occ', 'n_co2_gt_1000', 'n_occ_no_air', 'max_co2'])
      assert.equal(Number(g[name]), Number(w[name]), `${key} ${name}`);
    assert.equal(g.avg_co2.toFixed(6), Number(w.avg_co2).toFixed(6), key);
    assert.deepEqual([o.n, o.person_minutes, o.max_occ], [g.n, g.person_minutes, g.max_occ]);
    assert.deepEqual([c.max_co2, c.n_co2_gt_1000], [g.max_co2, g.n_co2_gt_1000]);
    assert.ok(near(c.avg_co2, g.avg_co2, 1e-9));
  }
  const peaks = expected('sdu_daily_peak.csv').filter((r) => new Date(r.d + 'T00:00:00Z').getTime() < cut);
  const got2 = new Map((await t.view('daily_peak')).map((r) => [`${r.room} ${r.d.slice(0, 10)}`, r]));
  assert.equal(got2.size, peaks.length);
  for (const w of peaks) {
    const g = got2.get(`${w.room} ${w.d}`);
    assert.deepEqual([g.peak, g.occ_minutes], [Number(w.peak), Number(w.occ_minutes)], `${w.d} ${w.room}`);
    sameTime(g.peak_first_at, w.peak_first_at);
  }
  return want.length;
}

test('SDU rooms: 1,440 hourly rows and 60 daily peaks, before, between and after cuts', async () => {
  const t = await new Tarn({ sql: sduSql }).start();
  await loadSdu(t, 0, 8);
  await compareSdu(t, 8);                       // all in the speed layer
  await t.cut();
  await loadSdu(t, 8, 15);
  assert.equal(await compareSdu(t, 15), 1440);  // eight days cut, seven not
  await t.cut();
  await compareSdu(t, 15);                      // all in the batch layer
  await t.restart('kill');
  await compareSdu(t, 15);
  const v = await t.verify();
  assert.equal(v.equal, true, v.text);
  await t.stop();
});

test('wikiticker: every hour and channel, and the published figures', async (c) => {
  const file = dataFile('wikiticker/wikiticker-2015-09-12-sampled.ndjson.gz');
  if (!file) { c.skip('the wikiticker set is not here (../shared/data)'); return; }
  const sql = `
CREATE TABLE wiki (time timestamptz NOT NULL, channel text NOT NULL, "cityName" text, comment text, "isAnonymous" boolean, namespace text, page text, "user" text,
  delta int, added int, deleted int) WITH (event_time = 'time');
CREATE MATERIALIZED VIEW hour_channel AS SELECT date_trunc('hour', time) AS h, channel, count(*) AS n, sum(added) AS added, sum(deleted) AS deleted,
  count(DISTINCT "user") AS users, count(DISTINCT page) AS pages, count(*) FILTER (WHERE "isAnonymous") AS anon FROM wiki GROUP BY 1, 2;
CREATE MATERIALIZED VIEW hourly AS SELECT date_trunc('hour', time) AS h, sum(deleted) AS deleted FROM wiki GROUP BY 1;
CREATE MATERIALIZED VIEW channels AS SELECT channel, sum(added) AS added FROM wiki GROUP BY 1;
CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n FROM wiki GROUP BY 1;`;
  const t = await new Tarn({ sql }).start();
  const gz = readFileSync(file);
  const lines = gunzipSync(gz).toString().trim().split('\n');
  const half = lines.slice(0, 20000).join('\n');
  await t.post('wiki', half);
  await t.cut();
  await t.post('wiki', lines.slice(20000).join('\n'));
  const compare = async (of = t) => {
    const want = expected('wiki_hour_channel.csv');
    const got = new Map((await of.view('hour_channel')).map((r) => [new Date(r.h).getTime() + r.channel, r]));
    assert.equal(got.size, want.length);
    for (const w of want) {
      const g = got.get(new Date(w.h.replace(' ', 'T') + 'Z').getTime() + w.channel);
      for (const k of ['n', 'added', 'deleted', 'users', 'pages', 'anon']) assert.equal(Number(g[k]), Number(w[k]), `${w.h} ${w.channel} ${k}`);
    }
    assert.deepEqual((await of.view('hourly')).map((r) => r.deleted), [1761, 16208, 14543, 13101, 12040, 6399, 9036, 11409, 11616, 17509, 19406, 16284, 18672, 30520, 18025, 26399, 24759, 19634, 17345, 19305, 22265, 16394, 16379, 15289]);
    assert.deepEqual((await of.sql('SELECT channel, added FROM channels ORDER BY added DESC LIMIT 5')).map((r) => [r.channel, r.added]),
      [['#en.wikipedia', 3045299], ['#it.wikipedia', 711011], ['#fr.wikipedia', 642555], ['#ru.wikipedia', 640698], ['#es.wikipedia', 634670]]);
    assert.deepEqual((await of.sql('SELECT page, n FROM pages ORDER BY n DESC, page LIMIT 3')).map((r) => [r.page, r.n]),
      [['Wikipedia:Vandalismusmeldung', 33], ['User:Cyde/List of candidates for speedy deletion/Subpage', 28], ['Jeremy Corbyn', 27]]);
    assert.equal((await of.sql('SELECT count(*) AS n FROM wiki'))[0].n, 39244);
  };
  await compare();                              // half cut, half not
  await t.cut();
  await compare();
  await t.stop();
  const whole = await new Tarn({ sql }).start();   // the file as it is, gzip, no cut
  await whole.post('wiki', gz, { headers: { 'content-encoding': 'gzip' } });
  await compare(whole);
  await whole.stop();
});

test('calit2: two bad lines in each file are quarantined with reason and line; daily sums', async () => {
  const t = await new Tarn({ sql: `
CREATE TABLE door (ts timestamp NOT NULL, n int NOT NULL, direction text NOT NULL, PRIMARY KEY (direction, ts)) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW daily AS SELECT date_trunc('day', ts) AS d,
  least(count(*) FILTER (WHERE direction = 'in'), count(*) FILTER (WHERE direction = 'out')) AS slots,
  sum(n) FILTER (WHERE direction = 'in') AS ins, sum(n) FILTER (WHERE direction = 'out') AS outs FROM door GROUP BY 1;` }).start();
  for (const [file, direction] of [['cal-inflow.csv', 'in'], ['cal-outflow.csv', 'out']]) {
    const text = readFileSync(dataFile(`calit2/${file}`));
    const bad = text.toString().split('\n').map((l, i) => [l, i + 1]).filter(([l]) => l.trim() === '"').map(([, i]) => i);
    const r = await t.post('door', text, { type: 'text/csv', query: `?columns=ts,n&header=false&time_format=${encodeURIComponent('%m/%d/%y %H:%M:%S')}&constant=direction:${direction}` });
    assert.deepEqual([r.accepted, r.quarantined], [5039, 2], JSON.stringify(r.errors));
    assert.deepEqual(r.errors.map((e) => e.line), bad);
    for (const e of r.errors) assert.ok(e.message.length > 5 && e.code.length > 3, JSON.stringify(e));
  }
  const compare = async () => {
    const got = await t.view('daily');
    const want = expected('calit2_daily.csv');
    assert.equal(got.length, want.length);
    want.forEach((w, i) => {
      assert.equal(got[i].d.slice(0, 10), w.d);
      assert.deepEqual([got[i].slots, got[i].ins, got[i].outs, got[i].ins - got[i].outs], ['slots', 'ins', 'outs', 'net'].map((k) => Number(w[k])));
    });
  };
  await compare();
  await t.cut();
  await compare();
  const q = await t.ok('GET', '/api/v1/quarantine/door');
  assert.equal(q.rows.length, 4);
  assert.deepEqual([...new Set(q.rows.map((r) => r.raw.trim()))], ['"']);
  await t.stop();
});

test('UCI occupancy: a header with one name fewer than the columns', async (c) => {
  const files = ['datatraining.txt', 'datatest.txt', 'datatest2.txt'].map((f) => dataFile(`uci-occupancy/${f}`));
  if (files.some((f) => !f)) { c.skip('the UCI occupancy set is not here (../shared/data)'); return; }
  const t = await new Tarn({ sql: `
CREATE TABLE room (no text, date timestamp NOT NULL, temperature double precision, humidity double precision, light double precision, co2 double precision, ratio double precision, occupancy int)
  WITH (event_time = 'date');
CREATE MATERIALIZED VIEW hourly AS SELECT date_trunc('hour', date) AS h, count(*) AS n, sum(occupancy) AS occ_rows, avg(temperature) AS t, avg(co2) AS co2, max(light) AS lmax FROM room GROUP BY 1;` }).start();
  const wrong = await t.post('room', readFileSync(files[0]).subarray(0, 600), { type: 'text/csv' });
  assert.equal(wrong.accepted, 0);
  assert.match(JSON.stringify(wrong.errors), /columns=/, 'the message says what to do');
  for (const f of files) {
    const r = await t.post('room', readFileSync(f), { type: 'text/csv', query: '?columns=no,date,temperature,humidity,light,co2,ratio,occupancy' });
    assert.equal(r.quarantined, 0, JSON.stringify(r.errors));
  }
  const compare = async () => {
    const got = new Map((await t.view('hourly')).map((r) => [new Date(r.h).getTime(), r]));
    for (const w of expected('uci_hourly.csv')) {
      const g = got.get(new Date(w.h.replace(' ', 'T')).getTime());
      assert.ok(g, w.h);
      assert.deepEqual([g.n, g.occ_rows], [Number(w.n), Number(w.occ_rows)], w.h);
      for (const k of ['t', 'co2', 'lmax']) assert.ok(near(g[k], Number(w[k]), 1e-9), `${w.h} ${k} ${g[k]} ${w[k]}`);
    }
    assert.equal(got.size, expected('uci_hourly.csv').length);
  };
  await compare();
  await t.cut();
  await compare();
  await t.stop();
});

test('taxi 2019: CHECK quarantine counts of twelve months', async (c) => {
  const want = expected('taxi_dq_2019.csv');
  const files = want.map((w) => dataFile(`taxi-2019/yellow_tripdata_sample_${w.file_month}.csv`));
  if (files.some((f) => !f)) { c.skip('the taxi set is not here (../shared/data)'); return; }
  const rules = { neg_total: 'total_amount >= 0', dist_le0: 'trip_distance > 0', pax0: 'passenger_count <> 0', neg_dur: 'dropoff_datetime >= pickup_datetime',
    wrong_month: "to_char(pickup_datetime, 'YYYY-MM') = file_month" };
  const columns = `vendor_id text, pickup_datetime timestamp NOT NULL, dropoff_datetime timestamp, passenger_count double precision, trip_distance double precision, total_amount numeric(12,4), congestion_surcharge double precision, file_month text NOT NULL`;
  const t = await new Tarn({ sql: Object.entries(rules).map(([k, rule]) => `CREATE TABLE t_${k} (${columns}, CHECK (${rule})) WITH (event_time = 'pickup_datetime', max_future_skew = '40000 days');`).join('\n') +
    `CREATE TABLE taxi (${columns}) WITH (event_time = 'pickup_datetime', max_future_skew = '40000 days');
CREATE MATERIALIZED VIEW months AS SELECT file_month, count(*) AS n, sum(total_amount) AS total, count(*) FILTER (WHERE passenger_count IS NULL) AS pax_null,
  count(*) FILTER (WHERE congestion_surcharge IS NULL) AS cs_null, max(total_amount) AS max_total FROM taxi GROUP BY 1;` }).start();
  for (const [i, w] of want.entries()) {
    const body = readFileSync(files[i]);
    const query = `?constant=file_month:${w.file_month}`;
    const all = await t.post('taxi', body, { type: 'text/csv', query });
    assert.deepEqual([all.accepted, all.quarantined], [Number(w.n), 0], JSON.stringify(all.errors));
    for (const k of Object.keys(rules)) {
      const r = await t.post(`t_${k}`, body, { type: 'text/csv', query });
      assert.equal(r.quarantined, Number(w[k]), `${w.file_month} ${k}`);
    }
  }
  await t.cut();
  const got = new Map((await t.view('months')).map((r) => [r.file_month, r]));
  for (const w of want) {
    const g = got.get(w.file_month);
    for (const k of ['n', 'total', 'pax_null', 'cs_null', 'max_total']) assert.equal(Number(g[k]), Number(w[k]), `${w.file_month} ${k}`);
  }
  await t.stop();
});

// Random tables and events for the differential test, with a model of which
// rows must be accepted. A value is {v, json, csv}: its canonical text (what
// DuckDB casts; null for NULL), a JSON fragment and CSV text that mean it. A
// row says which fault it has, so the model decides without Tarn.
const US = 1000000n, DAY = 86400n * US;
const pad = (n, w = 2) => String(n).padStart(w, '0');

/** Microseconds since 1970 as 2026-03-01 08:00:00.000001. */
export function timeText(us, sep = ' ') {
  const days = (us - ((us % DAY) + DAY) % DAY) / DAY;
  return `${dateText(Number(days))}${sep}${clockText(us - days * DAY)}`;
}
export const dateText = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
export function clockText(us) {
  const s = us / US, f = us % US;
  return `${pad(s / 3600n)}:${pad(s / 60n % 60n)}:${pad(s % 60n)}${f ? '.' + pad(f, 6) : ''}`;
}
/** 2026-03-01T08:00:00.5Z (or without Z) as microseconds. */
export function parseTime(s) {
  const m = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:Z|\+00)?$/.exec(s);
  if (!m) throw new Error(`not a timestamp: ${s}`);
  return BigInt(Date.UTC(m[1], m[2] - 1, m[3], m[4], m[5], m[6])) * 1000n + BigInt((m[7] ?? '').padEnd(6, '0') || 0);
}
export function parseClock(s) {
  const m = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(s);
  if (!m) throw new Error(`not a time: ${s}`);
  return (BigInt(m[1]) * 3600n + BigInt(m[2]) * 60n + BigInt(m[3])) * US + BigInt((m[4] ?? '').padEnd(6, '0') || 0);
}

const texts = ['', ' ', 'a', 'A', 'ab', 'abc', 'zebra', 'Ä', 'ß', 'é', '日本', '😀', 'a,b', 'say "hi"', "it's", 'two\nlines', '\ttab', 'NULL', 'null', '\\N', 'true', '0', '  pad  ', 'ÿ', 'long ' + 'x'.repeat(300)];
const plain = ['red', 'green', 'blue', 'berlin', 'oslo', 'door-1', 'door-2'];
const big = (r, bits) => { let x = 0n; for (let i = 0; i < bits; i += 16) x = x << 16n | BigInt(r.below(65536)); return x; };
const signed = (r, bits) => BigInt.asIntN(bits, big(r, bits + 15));
const whole = (bits) => (r, c) => {
  const max = 2n ** BigInt(bits - 1) - 1n;
  const v = c.wide ? (r.chance(0.1) ? r.pick([max, -max - 1n, 0n]) : signed(r, bits)) : BigInt(r.below(9) - 4);
  return { v: `${v}`, json: r.chance(0.9) ? `${v}` : r.pick([`"${v}"`, c.wide ? `${v}` : `${v}.0`, c.wide ? `${v}` : `${v}e0`]), csv: r.chance(0.9) ? `${v}` : ` ${v} ` };
};
function floating(single) {
  return (r, c) => {
    let x = c.wide ? Math.exp(r.next() * 60 - 30) : (r.below(2000001) - 1000000) / 1000;
    if (r.chance(0.03)) x = 0;
    if (c.few) x = r.pick([0.5, -1.25, 3, 0.1, 1e10]);
    if (single) x = Math.fround(x);
    return { v: String(x), json: r.chance(0.95) ? String(x) : `"${x}"`, csv: String(x) };
  };
}
function decimal(r, c) {
  const { p, s } = c;
  const limit = 10n ** BigInt(p);
  let u = c.few ? BigInt(r.below(7) - 3) : c.wide ? big(r, 144) % (c.huge || p - s <= 20 ? limit : 10n ** BigInt(20 + s)) : big(r, 32) % (limit < 1000000n ? limit : 1000000n);
  if (!c.few && r.chance(0.5)) u = -u;
  const text = (n) => {
    const d = pad(n < 0n ? -n : n, s + 1);
    return (n < 0n ? '-' : '') + (s ? `${d.slice(0, -s)}.${d.slice(-s)}` : d);
  };
  let given = text(u), v = u;
  // One digit too many: half away from zero.
  if (r.chance(0.1) && (u < 0n ? -u : u) + 1n < limit) {
    const digit = r.below(10);
    given = s ? given + digit : `${given}.${digit}`;
    if (digit >= 5) v = given.startsWith('-') ? u - 1n : u + 1n;
  }
  return { v: text(v).replace(/^-(0(\.0*)?)$/, '$1'), json: r.chance(0.8) ? given : `"${given}"`, csv: given };
}
const word = (r, c) => {
  const v = r.pick(c.few ? plain.slice(0, 4) : c.wide ? [...texts, ...plain] : plain);
  return { v, json: r.chance(0.9) ? JSON.stringify(v) : JSON.stringify(v).replace(/[^\x20-\x7e]/g, (x) => `\\u${x.charCodeAt(0).toString(16).padStart(4, '0')}`), csv: v, quote: v === '' || r.chance(0.1) };
};
const quoted = (v, csv) => ({ v, json: JSON.stringify(csv ?? v), csv: csv ?? v });
const day = (r, c) => {
  const d = c.few ? 20000 + r.below(4) : r.chance(0.02) ? r.below(60000) - 20000 : 20400 + r.below(c.wide ? 400 : 60);
  return quoted(dateText(d));
};
/** Texts of one moment, with and without offset. */
export function moment(r, us, zone) {
  const v = timeText(us);
  if (!zone) return quoted(v, r.pick([v, timeText(us, 'T')]));
  const ms = us % 1000n === 0n && us > 200000000000000n;
  const form = r.below(ms ? 5 : 4);
  if (form === 0) return { v: `${v}+00`, json: `"${timeText(us + 7200n * US, 'T')}+02:00"`, csv: `${timeText(us + 7200n * US)}+02` };
  if (form === 4) return { v: `${v}+00`, json: `${us / 1000n}`, csv: `${us / 1000n}` };
  return quoted(`${v}+00`, `${timeText(us, r.pick([' ', 'T']))}${r.pick(['Z', '+00:00', ''])}`);
}
const stamp = (zone) => (r, c) => {
  const base = 1770000000n * US;
  const us = c.few ? base + BigInt(r.below(3)) * DAY : base + BigInt(r.below(30 * 86400)) * US + (c.wide ? BigInt(r.below(1000000)) : 0n);
  return moment(r, us, zone);
};
const clock = (r, c) => {
  const us = c.few ? BigInt(r.below(4)) * 21600n * US : BigInt(r.below(86400)) * US + (c.wide ? BigInt(r.below(1000000)) : 0n);
  return quoted(clockText(us));
};
const uuid = (r, c) => {
  const h = c.few ? pad(r.below(5), 32) : big(r, 128).toString(16).padStart(32, '0').slice(-32);
  const v = `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
  return quoted(v, r.chance(0.1) ? v.toUpperCase() : v);
};
const json = (r) => {
  const o = { a: r.pick(plain), n: r.below(50) };
  if (r.chance(0.2)) delete o.a;
  if (r.chance(0.2)) o.list = [1, null, { x: 'ä"' }];
  const v = JSON.stringify(o);
  return { v, json: v, csv: v };
};

/** What each type is called, how its values come, and a text that it does not take. */
export const types = {
  bool: { sql: 'boolean', duck: 'BOOLEAN', bad: ['"maybe"', 'maybe', 'not_a_boolean'], value: (r) => { const v = String(r.chance(0.5)); return { v, json: r.chance(0.9) ? v : r.pick([`"${v[0]}"`, v === 'true' ? '1' : '0']), csv: r.pick([v, v[0], v === 'true' ? '1' : '0']) }; } },
  int2: { sql: 'smallint', duck: 'SMALLINT', bad: ['70000', '70000', 'out_of_range'], value: whole(16) },
  int4: { sql: 'integer', duck: 'INTEGER', bad: ['1.5', '1.5', 'not_an_integer'], value: whole(32) },
  int8: { sql: 'bigint', duck: 'BIGINT', bad: ['"12x"', '12x', 'not_a_number'], value: whole(64) },
  real: { sql: 'real', duck: 'FLOAT', bad: ['"warm"', 'warm', 'not_a_number'], value: floating(true) },
  double: { sql: 'double precision', duck: 'DOUBLE', bad: ['"1,5"', '1_5', 'not_a_number'], value: floating(false) },
  numeric: { bad: ['"12.x"', '12.x', 'not_a_number'], value: decimal },
  text: { sql: 'text', duck: 'VARCHAR', value: word },
  varchar: { sql: 'varchar(305)', duck: 'VARCHAR', bad: [`"${'é'.repeat(306)}"`, 'y'.repeat(306), 'too_long'], value: word },
  date: { sql: 'date', duck: 'DATE', bad: ['"2026-02-30"', '2026-02-30', 'bad_date'], value: day },
  timestamp: { sql: 'timestamp', duck: 'TIMESTAMP', bad: ['"2026-13-01 00:00:00"', 'yesterdayish', 'bad_timestamp'], value: stamp(false) },
  timestamptz: { sql: 'timestamptz', duck: 'TIMESTAMPTZ', bad: ['"2026-01-01T25:00:00Z"', '2026-01-01T25:00:00Z', 'bad_timestamp'], value: stamp(true) },
  time: { sql: 'time', duck: 'TIME', bad: ['"25:00"', '25:00', 'bad_time'], value: clock },
  uuid: { sql: 'uuid', duck: 'UUID', bad: ['"6ba7b810"', '6ba7b810', 'bad_uuid'], value: uuid },
  jsonb: { sql: 'jsonb', duck: 'JSON', value: json },
};

function column(r, name, type, o = {}) {
  const c = { name, type, wide: r.chance(0.35), few: r.chance(0.3), ...o };
  if (c.few) c.wide = false;
  if (type === 'numeric') {
    [c.p, c.s] = c.ps ?? r.pick([[5, 2], [9, 0], [12, 3], [18, 6], [30, 9], [38, 10], [38, 9]]);
    c.bare = c.p === 38 && c.s === 9;
    // A sum must fit 38 digits, an average 22 before the point: huge columns have neither.
    c.huge = c.wide && c.p - c.s > 20 && r.chance(0.4);
    c.sql = c.bare ? 'numeric' : `numeric(${c.p},${c.s})`;
    c.duck = `DECIMAL(${c.p},${c.s})`;
  } else {
    c.sql = types[type].sql;
    c.duck = types[type].duck;
  }
  return c;
}

/** A rule of a column: its SQL and whether a canonical value breaks it. */
function rule(r, c) {
  if (/^int/.test(c.type)) return r.pick([
    { sql: `${c.name} BETWEEN -3 AND 100`, breaks: (v) => BigInt(v) < -3n || BigInt(v) > 100n },
    { sql: `${c.name} <> 3`, breaks: (v) => v === '3' },
    { sql: `${c.name} IS NULL OR ${c.name} > -4`, breaks: (v) => BigInt(v) <= -4n }]);
  return r.pick([
    { sql: `${c.name} <> 'blue'`, breaks: (v) => v === 'blue' },
    { sql: `length(${c.name}) < 7`, breaks: (v) => [...v].length >= 7 },
    { sql: `${c.name} NOT LIKE 'r%'`, breaks: (v) => v.startsWith('r') }]);
}

function addGenerated(r, t) {
  const small = t.columns.find((c) => c.type === 'int4' && !c.wide && !c.generated);
  const text = t.columns.find((c) => c.type === 'text' && !c.generated);
  if (small && r.chance(0.6))
    t.columns.push(column(r, 'gi', 'int4', { wide: false, few: true, generated: `${small.name} * 2 + 1`, make: (row) => row[small.name] === null ? null : String(Number(row[small.name]) * 2 + 1) }));
  if (text && r.chance(0.4))
    t.columns.push(column(r, 'gt', 'text', { generated: `coalesce(${text.name}, '?') || '!'`, make: (row) => (row[text.name] ?? '?') + '!' }));
  if (t.time && t.columns.find((c) => c.name === t.time).type === 'timestamptz' && r.chance(0.3))
    t.columns.push(column(r, 'gh', 'timestamptz', { generated: `date_trunc('hour', ${t.time})`,
      make: (row) => row[t.time] === null ? null : `${timeText(parseTime(row[t.time]) / (3600n * US) * 3600n * US)}+00` }));
}

/** A stream: columns, key, event time, rules. */
export function stream(r, name, refs) {
  const t = { name, columns: [], key: [], rules: [], time: null };
  const key = r.pick(['none', 'int8', 'text', 'uuid', 'pair', 'triple']);
  if (key === 'int8' || key === 'text' || key === 'uuid') {
    t.columns.push(column(r, 'id', key, { id: true, wide: false, few: false }));
    t.key = ['id'];
  }
  const timeType = r.pick(['timestamptz', 'timestamptz', 'timestamptz', 'timestamp', 'date', null]);
  if (timeType) {
    t.time = 'ts';
    t.columns.push(column(r, 'ts', timeType, { notNull: r.chance(0.7), isTime: true }));
  }
  if (key === 'pair' || key === 'triple') {
    t.columns.push(column(r, 'dev', 'int2', { few: true }), column(r, 'seq', 'int4', { id: true, wide: false, few: false }));
    t.key = key === 'triple' && t.time ? ['dev', 'seq', 'ts'] : ['dev', 'seq'];
  }
  const names = Object.keys(types);
  const n = 5 + r.below(9);
  for (let i = 0; i < n; i++) t.columns.push(column(r, `c${i}`, r.pick(names)));
  for (const want of ['int4', 'text'])
    if (!t.columns.some((c) => c.type === want)) t.columns.push(column(r, `w_${want}`, want, { wide: false }));
  for (const c of t.columns) {
    if (c.id || c.isTime || t.key.includes(c.name)) continue;
    c.nulls = r.pick([0, 0.05, 0.3]);
    if (r.chance(0.15)) c.notNull = true;
    if (['int4', 'text', 'bool', 'date', 'double'].includes(c.type) && r.chance(0.25))
      c.default = { int4: ['7', '7'], text: ["'it''s'", "it's"], bool: ['true', 'true'], date: ["'2026-02-03'", '2026-02-03'], double: ['2.5', '2.5'] }[c.type];
  }
  for (const c of t.columns)
    if (!c.id && !c.isTime && ((/^int/.test(c.type) && !c.wide) || c.type === 'text') && r.chance(0.2)) t.rules.push({ ...rule(r, c), column: c.name });
  addGenerated(r, t);
  if (refs.length && r.chance(0.7)) {
    t.ref = r.pick(refs);
    t.columns.push(column(r, 'rk', t.ref.columns[0].type, { refKey: true, nulls: 0.1 }));
  }
  t.skew = r.chance(0.2) ? '2 days' : null;
  return t;
}

/** A stream with each type twice: wide and few values, with nulls. */
export function everyType(r, name) {
  const t = { name, columns: [column(r, 'id', 'int8', { id: true, wide: false, few: false }), column(r, 'ts', 'timestamptz', { notNull: true, isTime: true })], key: ['id'], rules: [], time: 'ts' };
  for (const type of Object.keys(types))
    t.columns.push(column(r, `${type}_wide`, type, { wide: true, few: false, nulls: 0.1 }), column(r, `${type}_few`, type, { wide: false, few: true, nulls: 0.3 }));
  return t;
}

/** A reference table: few keys that change often. */
export function reference(r, name) {
  const t = { name, isRef: true, key: ['rk'], rules: [], time: null, columns: [] };
  t.columns.push(column(r, 'rk', r.pick(['int4', 'text']), { refKey: true }));
  t.columns.push(column(r, 'rn', 'text', { few: true, nulls: 0.2 }), column(r, 'rv', 'int4', { few: true, nulls: 0.1 }), column(r, 'rd', r.pick(['double', 'numeric', 'date', 'bool']), { few: true, nulls: 0.2 }));
  return t;
}

export function createTable(r, t) {
  const cols = t.columns.map((c) => {
    let s = `  ${c.name} ${c.sql}`;
    if (c.notNull) s += ' NOT NULL';
    if (c.default) s += ` DEFAULT ${c.default[0]}`;
    if (c.generated) s += ` GENERATED ALWAYS AS (${c.generated}) STORED`;
    for (const k of t.rules) if (k.column === c.name) s += ` CHECK (${k.sql})`;
    return s;
  });
  if (t.key.length) cols.push(`  PRIMARY KEY (${t.key.join(', ')})`);
  const w = [];
  if (t.isRef) w.push("kind = 'reference'");
  if (t.time) w.push(`event_time = '${t.time}'`);
  if (t.skew && t.time) w.push(`max_future_skew = '${t.skew}'`);
  return `CREATE TABLE ${t.name} (\n${cols.join(',\n')}\n)${w.length ? ` WITH (${w.join(', ')})` : ''};\n`;
}

const NULL = { v: null, json: 'null', csv: '', none: true };
/** Event times: mostly the last days, some late by weeks, some ahead. */
function eventTime(r, t, c, row, now) {
  const skew = t.skew ? 2n * DAY : 3600n * US;
  let us = now - BigInt(r.below(3 * 86400)) * US - (r.chance(0.3) ? BigInt(r.below(1000000)) : 0n);
  if (r.chance(0.1)) us = now - BigInt(r.below(5)) * 40n * DAY - BigInt(r.below(3600)) * US;
  if (r.chance(0.03)) us = BigInt(r.below(100)) * 3600n * US - 2n * DAY;          // around 1970
  if (r.chance(0.05)) us = now + skew / 2n;                                       // ahead, but allowed
  if (r.chance(0.03)) { us = now + skew * 2n + DAY * 2n; row.future = true; }
  if (r.chance(0.02)) return NULL;
  if (c.type !== 'date') return moment(r, us, c.type === 'timestamptz');
  const d = Number((us - ((us % DAY) + DAY) % DAY) / DAY);
  return quoted(dateText(d));
}

function value(r, t, c, row, now) {
  if (c.isTime) return eventTime(r, t, c, row, now);
  if (c.refKey) return r.chance(c.nulls ?? 0) ? NULL : c.type === 'int4' ? { v: row.rk = `${r.below(8)}`, json: row.rk, csv: row.rk } : word(r, { ...c, few: false, wide: false });
  if (c.id) {
    const n = t.ids = (t.ids ?? 0) + 1;
    if (c.type === 'text') return quoted(`e-${n}`);
    if (c.type === 'uuid') return quoted(`00000000-0000-4000-8000-${pad(n, 12)}`);
    return { v: `${n}`, json: `${n}`, csv: `${n}` };
  }
  if (r.chance(c.nulls ?? (t.key.includes(c.name) ? 0.01 : 0.1))) return NULL;
  return types[c.type].value(r, c);
}

/** One event: cells by column name (absent ones left out) and its fault. */
export function event(r, t, now, o) {
  const row = { cells: {}, fault: null };
  for (const c of t.columns) {
    if (c.generated) continue;
    const cell = value(r, t, c, row, now);
    if (o.absent.has(c.name) || (o.mayLack && r.chance(0.05) && !t.key.includes(c.name))) continue;
    row.cells[c.name] = cell;
  }
  const old = t.history ??= [];
  if (t.key.length && !t.isRef && old.length && r.chance(0.08)) {
    const from = r.pick(old);
    if (r.chance(0.3)) { row.cells = { ...from.cells }; row.future = from.future; } else
      for (const k of t.key) if (from.cells[k]) { row.cells[k] = from.cells[k]; if (k === t.time) row.future = from.future; }
  }
  if (r.chance(0.03)) {
    const bad = t.columns.filter((c) => types[c.type].bad && row.cells[c.name] && !(c.generated));
    if (bad.length) {
      const c = r.pick(bad), [j, s, code] = types[c.type].bad;
      row.cells[c.name] = { v: null, json: j, csv: s };
      row.fault = code;
    }
  }
  if (!row.fault) old.push(row);
  return row;
}

/** The model: what must become of a row. Sets row.mark, row.code, row.values. */
export function judge(t, row, seen) {
  const set = (mark, code) => { row.mark = mark; row.code = code; };
  if (row.fault) return set('quarantined', row.fault);
  const v = row.values = {};
  for (const c of t.columns) {
    if (c.generated) continue;
    v[c.name] = row.cells[c.name] ? row.cells[c.name].v : c.default ? c.default[1] : null;
  }
  for (const c of t.columns) if (c.generated) v[c.name] = c.make(v);
  for (const c of t.columns)
    if (v[c.name] === null && (c.notNull || t.key.includes(c.name) || c.isTime)) return set('quarantined', 'not_null');
  for (const k of t.rules) if (v[k.column] !== null && k.breaks(v[k.column])) return set('quarantined', 'check');
  if (row.future && t.time) return set('quarantined', 'future');
  if (t.key.length && !t.isRef) {
    const key = JSON.stringify(t.key.map((k) => v[k]));
    if (seen.has(key)) return set('duplicate', null);
    seen.add(key);
  }
  return set('accepted', null);
}

/** A body of rows in one of the formats; row.raw where it is known to the byte. */
export function encode(r, t, rows, format) {
  const fields = t.columns.filter((c) => !c.generated).map((c) => c.name);
  if (format === 'csv') {
    const names = fields.filter((f) => rows.some((x) => x.cells[f]));
    // In CSV a field is there for every row: what a row lacks is null.
    for (const x of rows) for (const f of names) x.cells[f] ??= NULL;
    const cell = (x) => !x || x.none ? '' : x.quote || /[",\n\r]/.test(x.csv) || x.csv === '' ? `"${x.csv.replaceAll('"', '""')}"` : x.csv;
    const line = (x) => {
      const l = names.map((f) => cell(x.cells[f])).join(',');
      return x.fault === 'wrong_field_count' ? l + ',surplus' : l;
    };
    const end = r.pick(['\n', '\r\n']);
    return { body: names.join(',') + end + rows.map((x) => line(x) + end).join(''), type: 'text/csv' };
  }
  const order = r.chance(0.5) ? fields : [...fields].sort(() => r.next() - 0.5);
  const blank = r.chance(0.2) ? ' ' : '';
  const unknown = r.chance(0.1) ? `,"zz":{"deep":[1,2,{"x":"}"}]}` : '';
  const one = (x) => {
    if (x.fault === 'json_syntax') return x.raw = r.pick(['{"id":', 'nonsense', '{"a":1]', '{"ts":"2026}']);
    if (x.fault === 'not_an_object') return x.raw = r.pick(['5', '"text"', 'null', '[1]']);
    const list = order.filter((f) => x.cells[f]).map((f) => `${blank}"${f}":${blank}${x.cells[f].json}`);
    return x.raw = `{${list.join(',')}${list.length ? unknown : ''}${blank}}`;
  };
  if (format === 'json') return { body: rows.length === 1 && r.chance(0.5) && rows[0].fault !== 'not_an_object' ? one(rows[0]) : `[${blank}${rows.map(one).join(r.pick([',', ', ', ',\n']))}]`, type: 'application/json' };
  return { body: rows.map(one).join('\n') + r.pick(['', '\n']), type: 'application/x-ndjson' };
}

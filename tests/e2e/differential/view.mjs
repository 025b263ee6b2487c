// Random views, each as Tarn's SQL and as DuckDB's: an expression is {t, d,
// cat}. cat says how a result is compared: int, numeric, double, real, text,
// bool, date, time, ts, tz, uuid. DuckDB's side of an aggregate may be several
// columns put together by conv.
const cats = { int2: 'int', int4: 'int', int8: 'int', real: 'real', double: 'double', numeric: 'numeric', text: 'text', varchar: 'text', bool: 'bool', date: 'date', timestamp: 'ts', timestamptz: 'tz', time: 'time', uuid: 'uuid', jsonb: 'json' };
const quote = (s) => `'${s.replaceAll("'", "''")}'`;
const same = (s, cat) => ({ t: s, d: s, cat });

/** Columns a view over ${t} may use: the stream's and, joined, the reference's. */
function columnsOf(t, joined) {
  const cols = t.columns.map((c) => ({ ...c, cat: cats[c.type], ...same(`s.${c.name}`, cats[c.type]) }));
  if (joined)
    for (const c of t.ref.columns) cols.push({ ...c, notNull: false, cat: cats[c.type], ...same(`r.${c.name}`, cats[c.type]) });
  return cols;
}
const of = (cols, ...list) => cols.filter((c) => list.includes(c.cat));

/** A condition that is never an error. */
export function condition(r, cols, depth = 0) {
  if (depth < 2 && r.chance(0.3)) {
    const a = condition(r, cols, depth + 1), b = condition(r, cols, depth + 1), op = r.pick(['AND', 'OR']);
    return { t: `(${a.t} ${op} ${b.t})`, d: `(${a.d} ${op} ${b.d})`, cat: 'bool' };
  }
  if (depth < 2 && r.chance(0.1)) { const a = condition(r, cols, depth + 1); return { t: `NOT (${a.t})`, d: `NOT (${a.d})`, cat: 'bool' }; }
  const c = r.pick(cols);
  if (r.chance(0.15) || c.cat === 'json') return same(`${c.t} IS ${r.chance(0.5) ? 'NOT ' : ''}NULL`, 'bool');
  const op = r.pick(['<', '<=', '>', '>=', '=', '<>', 'IS DISTINCT FROM']);
  switch (c.cat) {
    case 'int': return r.pick([same(`${c.t} ${op} ${r.below(9) - 4}`, 'bool'), same(`${c.t} BETWEEN -2 AND ${r.below(200)}`, 'bool'), same(`${c.t} IN (1, 2, ${r.below(100)})`, 'bool'), same(`${c.t} % 2 = 0`, 'bool')]);
    case 'real': case 'double': return same(`${c.t} ${r.pick(['<', '>='])} ${r.pick(['0', '0.5', '-1.25', '100', '1000000'])}`, 'bool');
    case 'numeric': return same(`${c.t} ${op} ${r.below(5) - 2}`, 'bool');
    case 'text': return r.pick([same(`${c.t} ${op} 'green'`, 'bool'), same(`${c.t} IN ('red', 'Ä', '')`, 'bool'), same(`${c.t} LIKE '%e%'`, 'bool'), same(`${c.t} NOT LIKE 'b_r%'`, 'bool'), same(`length(${c.t}) > 4`, 'bool')]);
    case 'bool': return r.pick([same(c.t, 'bool'), same(`${c.t} IS NOT TRUE`, 'bool'), same(`${c.t} = false`, 'bool')]);
    case 'date': return same(`${c.t} ${op} date '2026-02-0${1 + r.below(9)}'`, 'bool');
    case 'ts': return same(`${c.t} ${op} timestamp '2026-02-1${r.below(9)} 00:00:00'`, 'bool');
    case 'tz': return same(`${c.t} ${op} timestamptz '2026-02-1${r.below(9)} 00:00:00+00'`, 'bool');
    case 'time': return same(`${c.t} ${op} time '${10 + r.below(9)}:00:00'`, 'bool');
    case 'uuid': return same(`${c.t} ${op} '80000000-0000-0000-0000-000000000000'::uuid`, 'bool');
    default: throw new Error(c.cat);
  }
}

const bins = [['15 minutes', '15 minutes'], ['1 hour', '1 hour'], ['6 hours', '6 hours'], ['1 day', '1 day'], ['90 seconds', '90 seconds'], ['7 days', '7 days']];
/** Something to group by. */
function keyOf(r, cols) {
  const c = r.pick(cols.filter((x) => x.cat !== 'json' || r.chance(0.5)));
  switch (c.cat) {
    case 'int': {
      if (!c.wide && !c.id) return r.pick([same(c.t, 'int'), same(`${c.t} * 3 - 1`, 'int'), same(`CASE WHEN ${c.t} > 1 THEN 'high' WHEN ${c.t} IS NULL THEN 'none' ELSE 'low' END`, 'text'), same(`coalesce(${c.t}, 99)`, 'int')]);
      return same(`${c.t} % ${2 + r.below(6)}`, 'int');
    }
    case 'text': return r.pick([same(c.t, 'text'), same(`coalesce(${c.t}, 'none')`, 'text'), same(`length(${c.t})`, 'int'), same(`left(${c.t}, 2)`, 'text'), same(`${c.t} || '-x'`, 'text'), same(`substring(${c.t}, 2, 3)`, 'text')]);
    case 'json': return same(`${c.t} ->> 'a'`, 'text');
    case 'date': return r.pick([same(c.t, 'date'), { t: `extract(month FROM ${c.t})::integer`, d: `extract(month FROM ${c.t})::integer`, cat: 'int' }]);
    case 'tz': case 'ts': {
      const [w] = r.pick(bins), unit = r.pick(['hour', 'day', 'week', 'month', 'year', 'minute']);
      const zero = c.cat === 'tz' ? "timestamptz '1970-01-01 00:00:00+00'" : "timestamp '1970-01-01 00:00:00'";
      const end = c.cat === 'tz' ? 'timestamptz' : 'timestamp';
      return r.pick([
        { t: `date_bin('${w}', ${c.t}, 'epoch')`, d: `make_timestamp(epoch_us(${c.t}) - ((epoch_us(${c.t}) % W) + W) % W)::${end}`.replaceAll('W', `${micros(w)}`), cat: c.cat },
        { t: `date_trunc('${unit}', ${c.t})`, d: `date_trunc('${unit}', ${c.t})::${end}`, cat: c.cat },
        same(`extract(hour FROM ${c.t})::integer`, 'int'),
        { t: `${c.t}::date`, d: `${c.t}::date`, cat: 'date' },
        { t: `date_bin('10 minutes', ${c.t}, ${zero})`, d: `make_timestamp(epoch_us(${c.t}) - ((epoch_us(${c.t}) % W) + W) % W)::${end}`.replaceAll('W', '600000000'), cat: c.cat },
      ]);
    }
    case 'time': return { t: `extract(hour FROM ${c.t})::integer / 6`, d: `(extract(hour FROM ${c.t})::integer // 6)`, cat: 'int' };
    case 'bool': return r.pick([same(c.t, 'bool'), same(`coalesce(${c.t}, false)`, 'bool')]);
    default: {
      if (c.few || c.cat === 'uuid') return same(c.t, c.cat);
      const w = condition(r, [c]);
      return { t: `CASE WHEN ${w.t} THEN 1 ELSE 0 END`, d: `CASE WHEN ${w.d} THEN 1 ELSE 0 END`, cat: 'int' };
    }
  }
}
const micros = (w) => { const [n, u] = w.split(' '); return Number(n) * { seconds: 1, minutes: 60, hour: 3600, hours: 3600, day: 86400, days: 86400 }[u] * 1e6; };

/** A number to add up: a column, now and then an expression of it. */
function number(r, cols, small = false) {
  const list = of(cols, 'int', 'real', 'double', 'numeric').filter((c) => !c.huge && !(small && c.cat === 'int' && c.wide));
  const c = list.length ? r.pick(list) : same('7', 'int');
  if (r.chance(0.7)) return c;
  if (c.cat === 'int') return { ...c, ...(c.wide ? same(`${c.t} % 1000`, 'int') : r.pick([same(`${c.t} * 5 + 1`, 'int'), same(`abs(${c.t})`, 'int')])) };
  if (c.cat === 'double') return { ...c, ...r.pick([same(`${c.t} * 2`, 'double'), same(`abs(${c.t})`, 'double'), same(`floor(${c.t})`, 'double')]) };
  const w = condition(r, cols);
  return { ...c, t: `CASE WHEN ${w.t} THEN ${c.t} END`, d: `CASE WHEN ${w.d} THEN ${c.t} END` };
}
/** sum and count, exact, as PostgreSQL's avg with 16 digits. */
function average(sum, count) {
  if (sum === null || count === null || BigInt(count) === 0n) return null;
  const [w, f = ''] = String(sum).replace('-', '').split('.');
  let n = BigInt(w + f.padEnd(16, '0').slice(0, 16)) * (f.length > 16 ? 10n ** BigInt(f.length - 16) : 1n);
  if (f.length > 16) throw new Error(`too many digits: ${sum}`);
  const c = BigInt(count), q = (n * 2n + c) / (c * 2n), d = String(q).padStart(17, '0');
  return `${String(sum).startsWith('-') ? '-' : ''}${d.slice(0, -16)}.${d.slice(-16)}`;
}

function aggregate(r, cols) {
  const filter = r.chance(0.25) ? condition(r, cols) : null;
  const ft = filter ? ` FILTER (WHERE ${filter.t})` : '', fd = filter ? ` FILTER (WHERE ${filter.d})` : '';
  const also = (w) => ` FILTER (WHERE ${w}${filter ? ` AND (${filter.d})` : ''})`;
  const one = (t, d, cat, conv) => ({ t: t + ft, d: (Array.isArray(d) ? d : [d]).map((x) => x.includes(' FILTER (') ? x : x + fd), cat, conv: conv ?? ((v) => v[0]) });
  const scalar = cols.filter((c) => c.cat !== 'json');
  switch (r.pick(['count', 'countx', 'distinct', 'sum', 'sum', 'avg', 'avg', 'minmax', 'minmax', 'minmax', 'bool', 'dev', 'firstlast', 'firstlast', 'arg', 'arg', 'pct', 'approx'])) {
    case 'count': return one('count(*)', 'count(*)', 'int');
    case 'countx': { const c = r.pick(cols); return one(`count(${c.t})`, `count(${c.t})`, 'int'); }
    case 'distinct': { const c = r.pick(scalar); return one(`count(DISTINCT ${c.t})`, `count(DISTINCT ${c.t})`, 'int'); }
    case 'sum': { const x = number(r, cols); return one(`sum(${x.t})`, x.cat === 'double' || x.cat === 'real' ? `fsum(${x.d}::double)` : `sum(${x.d})`, x.cat); }
    case 'avg': {
      const x = number(r, cols);
      if (x.cat === 'double' || x.cat === 'real') return one(`avg(${x.t})`, `favg(${x.d}::double)`, 'double');
      return one(`avg(${x.t})`, [`sum(${x.d})`, `count(${x.d})`], 'numeric', (v) => average(v[0], v[1]));
    }
    case 'minmax': { const f = r.pick(['min', 'max']), c = r.pick(scalar.filter((x) => x.cat !== 'bool')); return one(`${f}(${c.t})`, `${f}(${c.t})`, c.cat); }
    case 'bool': { const f = r.pick(['bool_and', 'bool_or']), w = condition(r, cols); return one(`${f}(${w.t})`, `${f}(${w.d})`, 'bool'); }
    case 'dev': { const f = r.pick(['stddev', 'stddev_pop', 'stddev_samp', 'variance', 'var_pop', 'var_samp']), x = number(r, cols, true); return one(`${f}(${x.t})`, `${f}(${x.d}::double)`, 'double'); }
    case 'firstlast': {
      const f = r.pick(['first', 'last']), c = r.pick(scalar), by = of(cols, 'tz', 'ts', 'date');
      if (!by.length) return one('count(*)', 'count(*)', 'int');
      const b = r.pick(by);
      return one(`${f}(${c.t}, ${b.t})`, `${f}(${c.t} ORDER BY ${b.t}, s._lsn, s._offset)${also(`${b.t} IS NOT NULL`)}`, c.cat);
    }
    case 'arg': {
      const f = r.pick(['arg_min', 'arg_max']), c = r.pick(scalar), b = r.pick(scalar.filter((x) => x.cat !== 'bool'));
      return one(`${f}(${c.t}, ${b.t})`, `first(${c.t} ORDER BY ${b.t} ${f === 'arg_max' ? 'DESC' : 'ASC'}, ${c.t} ASC)${also(`${c.t} IS NOT NULL AND ${b.t} IS NOT NULL`)}`, c.cat);
    }
    case 'pct': { const p = r.pick([0, 0.25, 0.5, 0.95, 0.99, 1]), x = number(r, cols, true); return one(`percentile_cont(${p}) WITHIN GROUP (ORDER BY ${x.t})`, `quantile_cont(${x.d}::double, ${p})`, 'double'); }
    default: { const c = r.pick(scalar); return one(`approx_count_distinct(${c.t})`, `count(DISTINCT ${c.t})`, 'approx'); }
  }
}

function having(r, cols) {
  const n = r.pick(of(cols, 'int').filter((c) => !c.wide).concat([null]));
  const list = [same(`count(*) > ${1 + r.below(5)}`, 'bool'), same(`count(*) % 2 = 0`, 'bool')];
  if (n) list.push(same(`sum(${n.t}) >= ${r.below(20) - 5}`, 'bool'), same(`max(${n.t}) IS NOT NULL`, 'bool'));
  return r.pick(list);
}

/** An output made of aggregates. */
function derived(r, cols) {
  const n = of(cols, 'int').filter((c) => !c.wide && !c.id)[0];
  const one = (t, d, cat) => ({ t, d: [d], cat, conv: (v) => v[0] });
  return r.pick([
    () => one('count(*) + 1', 'count(*) + 1', 'int'),
    () => one("CASE WHEN count(*) > 3 THEN 'many' ELSE 'few' END", "CASE WHEN count(*) > 3 THEN 'many' ELSE 'few' END", 'text'),
    () => one(`coalesce(sum(${n.t}), 0) * 2`, `coalesce(sum(${n.t}), 0) * 2`, 'int'),
    () => one(`max(${n.t}) - min(${n.t})`, `max(${n.t}) - min(${n.t})`, 'int'),
    () => one(`count(${n.t})::double precision / nullif(count(*), 0)`, `count(${n.t})::double / nullif(count(*), 0)`, 'double'),
  ].slice(0, n ? 5 : 2))();
}

/** A random view over ${t}: text for Tarn, query(source, refSource) for DuckDB. */
export function view(r, t, name) {
  const joined = t.ref && r.chance(0.6) ? r.pick(['JOIN', 'LEFT JOIN']) : null;
  const cols = columnsOf(t, joined);
  const keys = [], outs = [];
  const count = r.pick([0, 1, 1, 2, 2, 3]);
  // Most views have a bucket of their event time, so that gold has many partitions.
  const time = cols.find((c) => c.isTime);
  for (let i = 0; i < count; i++) {
    const k = i === 0 && time && r.chance(0.6) ? keyOf(r, [time]) : keyOf(r, cols);
    if (!keys.some((x) => x.t === k.t)) keys.push({ ...k, name: `k${keys.length}`, t: k.t, d: k.d });
  }
  const n = 1 + r.below(6);
  for (let i = 0; i < n; i++) outs.push({ ...(r.chance(0.12) ? derived(r, cols) : aggregate(r, cols)), name: `a${i}` });
  const where = r.chance(0.4) ? condition(r, cols) : null;
  const have = r.chance(0.2) ? having(r, cols) : null;
  const byName = r.chance(0.5);
  const from = (s, ref, duck) => `FROM ${s} AS s${joined ? ` ${duck ? 'ASOF ' : ''}${joined} ${ref} AS r ON r.rk = s.rk${duck ? ' AND s._lsn >= r._lsn' : ''}` : ''}`;
  const tail = (f, group) => `${where ? ` WHERE ${f(where)}` : ''}${keys.length ? ` GROUP BY ${group}` : ''}${have ? ` HAVING ${f(have)}` : ''}`;
  const text = `SELECT ${[...keys, ...outs].map((o) => `${o.t} AS ${o.name}`).join(', ')} ${from(t.name, t.ref?.name, false)}${tail((x) => x.t, keys.map((k, i) => byName ? k.name : i + 1).join(', '))}`;
  const query = (s, ref) => `SELECT ${[...keys.map((k) => k.d), ...outs.flatMap((o) => o.d)].map((d, i) => `${d} AS x${i}`).join(', ')} ${from(s, ref, true)}${tail((x) => x.d, keys.map((_, i) => i + 1).join(', '))}`;
  return { name, table: t, joined, keys, outs, text, query, sql: `CREATE MATERIALIZED VIEW ${name} AS ${text};\n` };
}

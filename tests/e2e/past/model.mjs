// What a tarn must say of the past, from the list of acknowledged events alone:
// definitions (the pipeline's text, and the same in JavaScript), what intake
// makes of a row, and what as_of(L) of a stream and of a view is.
//
// as_of(L) is the definition in force today over the raw rows up to L:
//   - whether a row was accepted, refused by a CHECK or a duplicate was decided
//     when it came, by the definition of that time, and stays decided; refused
//     rows that pass another definition come once more, as new events of then;
//   - an accepted row that the present definition cannot read (too wide for the
//     type, nothing where NOT NULL stands) is not there while it is in force;
//   - columns, defaults and types are the present ones, read from the raw bytes.
// Retention takes rows from streams, not from the numbers of views; a view that
// is defined anew begins with what retention has left then (View.lost).

export const DAY = 86400e3, HOUR = 3600e3;
export const iso = (ms) => new Date(ms).toISOString();
const second = (ms) => iso(ms).replace('.000Z', 'Z');
export const ordered = (rows) => rows.map((r) => JSON.stringify(r)).sort();

/** A definition: what a restart may change. */
export const first = { wide: false, limit: 1000, tag: null, double: false, byTag: false, positive: false, persons: true };

/** Another definition, one or two things changed. */
export function changed(def, r) {
  const d = { ...def };
  for (let i = 1 + r.below(2); i > 0; i--) {
    const what = r.pick(['wide', 'limit', 'tag', 'tag', 'double', 'byTag', 'positive', 'persons']);
    if (what === 'limit') d.limit = r.pick([700, 1000, 4e9]);
    else if (what === 'tag') d.tag = r.pick([null, {}, { def: 'plain' }, { def: 'other' }, { need: true }, { need: true, def: 'must' }]);
    else d[what] = !d[what];
  }
  if (!d.tag) d.byTag = false;
  return d;
}

export function pipeline(def, o) {
  const tag = def.tag ? `, tag text${def.tag.need ? ' NOT NULL' : ''}${def.tag.def ? ` DEFAULT '${def.tag.def}'` : ''}` : '';
  const by = def.byTag ? 'tag' : 'office';
  return `
${Object.entries(o.settings).map(([k, v]) => `ALTER SYSTEM SET ${k} = '${v}';`).join('\n')}
CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL, office text NOT NULL, person text NOT NULL,
  n ${def.wide ? 'bigint' : 'int'} NOT NULL CHECK (n < ${def.limit})${tag})
  WITH (event_time = 'ts', max_future_skew = '1 day', dedupe_window = '36500 days'${o.retention ? `, retention = '${o.retention} days'` : ''});
CREATE MATERIALIZED VIEW hourly AS SELECT ${by}, date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits,
  count(*) FILTER (WHERE n > 500) AS large, sum(${def.double ? 'n::bigint * 2' : 'n'}) AS total, count(DISTINCT person) AS people, min(n) AS least
  FROM badge${def.positive ? ' WHERE n >= 100' : ''} GROUP BY ${by}, hour;
CREATE MATERIALIZED VIEW weekly AS SELECT date_trunc('week', ts) AS week, count(*) AS visits, max(n) AS most, last(person, ts) AS who
  FROM badge GROUP BY week;
CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS visits, count(DISTINCT person) AS people, sum(n) AS total,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS median FROM badge;
${def.persons ? 'CREATE MATERIALIZED VIEW persons AS SELECT person, count(*) AS visits, count(DISTINCT office) AS offices, sum(n) AS total FROM badge GROUP BY person;' : ''}`;
}

/** Monday of a time, as date_trunc('week') has it. */
const week = (ms) => { const d = Math.floor(ms / DAY) * DAY; return d - ((Math.floor(d / DAY) + 3) % 7 + 7) % 7 * DAY; };
const hour = (ms) => Math.floor(ms / HOUR) * HOUR;

/** The words that make a view another one. */
const wordsOf = (def, name) => JSON.stringify([def.wide, def.limit, def.tag, name === 'hourly' && [def.double, def.byTag, def.positive]]);

export class Model {
  constructor(def) {
    this.def = def;
    this.events = [];            // Accepted, in order.
    this.ids = new Set();
    this.bad = [];               // In quarantine, not yet taken.
    this.last = 0;
    this.floor = -Infinity;
    this.tables = [{ low: -1, high: 0, words: wordsOf(def) }];      // Its definitions, the present one last.
    this.view = {};
    for (const name of ['hourly', 'weekly', 'whole', 'persons']) this.view[name] = { since: { low: -1, high: 0 }, lost: new Set(), words: wordsOf(def, name), there: true };
  }

  get names() { return Object.keys(this.view).filter((n) => n !== 'persons' || this.def.persons); }

  fits(e, def = this.def) {
    return (def.wide || (e.n < 2 ** 31 && e.n >= -(2 ** 31))) && (!def.tag?.need || def.tag.def !== undefined || e.tag !== undefined);
  }

  passes(e) { return this.fits(e) && e.n < this.def.limit; }

  /** What the answer to a post says, by the definition in force. */
  take(rows) {
    const a = { accepted: 0, quarantined: 0, duplicates: 0 };
    this.fresh = [];
    this.refused = rows.filter((e) => !this.passes(e));
    for (const e of rows) {
      if (!this.passes(e)) { a.quarantined++; this.bad.push(e); }
      else if (this.ids.has(e.event_id)) a.duplicates++;
      else {
        a.accepted++;
        this.ids.add(e.event_id);
        this.events.push({ ...e, retired: Infinity });
        this.fresh.push(this.events.at(-1));
      }
    }
    return a;
  }

  /** After a restart with another table: refused rows that pass now are new events,
   *  but for those that a clock which leapt back sees too far in the future. */
  again(now) {
    const good = (e) => this.passes(e) && e.ms <= now + DAY, rows = this.bad.filter(good);
    this.bad = this.bad.filter((e) => !good(e));
    this.take(rows);
    return this.fresh;
  }

  acknowledged(lsn) { for (const e of [...this.fresh, ...this.refused]) e.lsn = lsn; this.last = lsn; }

  /** Erased rows were never there; what the present definition cannot read at all is not found. Their ids stay taken. */
  erase(is) {
    const hit = (e) => (this.def.wide || (e.n < 2 ** 31 && e.n >= -(2 ** 31))) && is(e), rows = this.events.filter((e) => hit(e) && this.fits(e)).length;
    this.events = this.events.filter((e) => !hit(e));
    this.bad = this.bad.filter((e) => !hit(e));
    return rows;
  }

  /** Retention at ${now}: rows of whole days before it leave silver, in the publication ${sequence} says. */
  due(now, days, cutLsn) {
    const floor = Math.max(this.floor, Math.floor((now - days * DAY) / DAY) * DAY);
    return { floor, gone: this.events.filter((e) => e.retired === Infinity && e.lsn <= cutLsn && this.fits(e) && e.ms < floor) };
  }

  retire({ floor, gone }, sequence, cutLsn) {
    this.floor = floor;
    for (const e of [...gone, ...this.events.filter((x) => x.retired === Infinity && x.lsn <= cutLsn && x.ms < floor)]) Object.assign(e, { retired: sequence, retiredAt: cutLsn });
  }

  /** Raw bytes go by the day they came, a day (max_future_skew) later; what was refused then is not tried again. */
  retireRaw(now, days) {
    const edge = Math.floor((now - days * DAY) / DAY) * DAY - DAY;
    this.bad = this.bad.filter((e) => Math.floor(e.at / DAY) * DAY >= edge);
  }

  /** Rows that were there when ${lsn} was the newest, and left later, from event time ${from} on. */
  left(lsn, from = -Infinity) { return this.events.filter((e) => e.lsn <= lsn && e.retiredAt > lsn && e.ms >= from && this.fits(e)); }

  /** A restart with another definition; gold was cut at ${cutLsn}. The view's gold is whole from a
   *  snapshot on that lies after ${since.low}, and not after ${since.high}. */
  redefine(def, cutLsn, since) {
    for (const [name, v] of Object.entries(this.view)) {
      const there = name !== 'persons' || def.persons, words = wordsOf(def, name);
      if (there && (!v.there || words !== v.words)) {
        v.since = since;
        v.lost = new Set(this.events.filter((e) => e.lsn <= cutLsn && this.isLost(e)));
        v.words = words;
      }
      v.there = there;
    }
    const other = wordsOf(def) !== wordsOf(this.def);
    if (other) this.tables.push({ ...since, words: wordsOf(def) });
    this.def = def;
    return other;
  }

  /** Whether a view that begins anew does not find an event any more: of the bucket that the floor is in it has what is left. */
  isLost(e) { return e.ms < this.floor; }

  /** Whether a snapshot's silver is of the present definition, which may have been in force before: 'yes', 'no', 'maybe'. */
  isPresent(sequence) {
    const { words } = this.tables.at(-1), eras = this.tables.map((x, i) => ({ ...x, end: this.tables[i + 1] ?? { low: Infinity, high: Infinity } })).filter((x) => x.words === words);
    if (eras.some((x) => sequence >= x.high && sequence <= x.end.low)) return 'yes';
    return eras.some((x) => sequence > x.low && sequence < x.end.high) ? 'maybe' : 'no';
  }

  /** Rows of the stream as of ${lsn}, of the snapshot ${sequence} that has them (Infinity: newest). */
  rows(lsn, sequence = Number.MAX_SAFE_INTEGER) { return this.events.filter((e) => e.lsn <= lsn && e.retired > sequence && this.fits(e)); }

  tag(e) { return e.tag ?? this.def.tag?.def ?? null; }

  /** A view's rows as of ${lsn}. */
  of(name, lsn) {
    const { def } = this, lost = this.view[name].lost, groups = new Map();
    const key = { hourly: (e) => JSON.stringify([def.byTag ? this.tag(e) : e.office, second(hour(e.ms))]), weekly: (e) => second(week(e.ms)), whole: () => '', persons: (e) => e.person }[name];
    if (name === 'whole') groups.set('', []);
    for (const e of this.events) {
      if (e.lsn > lsn || lost.has(e) || !this.fits(e) || (name === 'hourly' && def.positive && e.n < 100)) continue;
      const k = key(e), g = groups.get(k);
      if (g) g.push(e); else groups.set(k, [e]);
    }
    return [...groups].map(([k, es]) => this.row(name, k, es));
  }

  row(name, k, es) {
    const count = es.length, sum = es.reduce((s, e) => s + e.n, 0), distinct = (c) => new Set(es.map((e) => e[c])).size;
    if (name === 'hourly') return [...JSON.parse(k), count, es.filter((e) => e.n > 500).length, this.def.double ? sum * 2 : sum, distinct('person'), Math.min(...es.map((e) => e.n))];
    if (name === 'persons') return [k, count, distinct('office'), sum];
    if (name === 'weekly') {
      let who = es[0];
      for (const e of es) if (e.ms >= who.ms) who = e;
      return [k, count, Math.max(...es.map((e) => e.n)), who.person];
    }
    const s = es.map((e) => e.n).sort((a, b) => a - b), m = (s.length - 1) / 2;
    return [count, distinct('person'), count ? sum : null, count ? (s[Math.floor(m)] + s[Math.ceil(m)]) / 2 : null];
  }
}

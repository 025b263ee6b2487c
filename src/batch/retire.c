/* Retention: rows that a table keeps no longer leave silver and bronze; the
 * views made of them stay, but for numbers that they keep no longer themselves.
 *
 *   silver   a day's files, when the whole day is older than ${retention}
 *   bronze   a file, when all it has was received before bronze_retention
 *            (never below retention: silver can always be made anew)
 *   gold     a day's (month's) files, when the last of its buckets has ended
 *            before the retention of the view, which has one of its own
 *
 * What may be gone is said first, then done: the floor of a stream, the begin
 * of its oldest whole day, is written down before the files are dropped, with
 * the LSN as of which they are: an earlier state of the stream is not whole. So a
 * recompute never takes missing rows for no rows: groups of time buckets that
 * reach below the floor are carried over from the old gold, and verify
 * compares the others.
 *
 * A view has a floor, too: numbers of time buckets before it are gone, are not
 * shown (serving/kept.c) and not written again, so that a late row makes none
 * of its own. It holds for one version of the view; a recompute of all of it
 * brings back what a longer retention asks for and silver still has.
 *
 * When the clock has leapt nothing is removed for a while: see hold.c.
 *
 * What can go wrong: disk and catalog errors; then nothing is dropped and the
 * next cut tries again. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define WIDEST_US (366 * DAY_US)     /* Of a bucket. */

static int64_t
day_of(int64_t us)
{
	int64_t in_day = us % DAY_US;

	return us - (in_day < 0 ? in_day + DAY_US : in_day);
}

/* ---- the floors ------------------------------------------------------ */

static void
floor_key(char key[static 48], const struct tn_governance_stream *s)
{
	snprintf(key, 48, "silver_floor:%u", (unsigned)s->id);
}

void
tn_batch_gold_floor_text(const struct tn_serving_view *v, int64_t us,
    char key[static 40], char value[static 40])
{
	snprintf(key, 40, "gold_floor:%u", (unsigned)v->id);
	snprintf(value, 40, "%u %lld", (unsigned)v->version, (long long)us);
}

static void
load_gold_floors(struct tn_batch_jobs *b, struct tn_arena *a)
{
	const struct tn_serving_model *m = b->o.model;

	for (uint32_t i = 0; i < m->view_count; i++) {
		const char *text = NULL;
		char key[40], none[40];
		unsigned version;
		long long us;
		tn_batch_gold_floor_text(&m->views[i], 0, key, none);
		if (tn_catalog_get(b->o.catalog, key, a, &text) == TN_OK &&
		    sscanf(text, "%u %lld", &version, &us) == 2 &&
		    version == m->views[i].version)
			tn_serving_gold_floor_raise(b->o.serving, i, us);
	}
}

void
tn_batch_floors_load(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	struct tn_arena *a = tn_arena_new(1024);

	b->floors = tn_zalloc((m->stream_count + 1) * sizeof *b->floors);
	for (uint32_t i = 0; i < m->stream_count; i++) {
		const char *text = NULL;
		unsigned long long lsn = UINT64_MAX;
		char key[48];
		long long us;
		floor_key(key, &m->streams[i]);
		b->floors[i] = INT64_MIN;
		if (tn_catalog_get(b->o.catalog, key, a, &text) == TN_OK &&
		    sscanf(text, "%lld %llu", &us, &lsn) >= 1)
			b->floors[i] = us;
		tn_serving_floor_set(b->o.serving, i, b->floors[i], lsn);
	}
	load_gold_floors(b, a);
	tn_arena_free(a);
}

int64_t
tn_batch_floor(const struct tn_batch_jobs *b, uint32_t stream)
{
	return b->floors[stream];
}

static enum tn_status
raise_floor(struct tn_batch_jobs *b, uint32_t stream, int64_t floor,
    uint64_t lsn)
{
	char key[48], text[48];
	enum tn_status st;

	floor_key(key, &b->o.model->streams[stream]);
	snprintf(text, sizeof text, "%lld %llu", (long long)floor,
	    (unsigned long long)lsn);
	st = tn_catalog_set(b->o.catalog, key, text);
	tn_os_crash_point("retire_noted");
	if (st == TN_OK) {
		b->floors[stream] = floor;
		tn_serving_floor_set(b->o.serving, stream, floor, lsn);
	}
	return st;
}

enum tn_status
tn_batch_kept(const struct tn_batch_jobs *b, const struct tn_serving_view *v,
    struct tn_arena *a, struct tn_exec_bound *kept, struct tn_diag *d)
{
	const struct tn_governance_stream *s = &b->o.model->streams[v->stream];
	const struct tn_sql_select *q = v->def->select;
	int64_t floor = b->floors[v->stream];

	memset(kept, 0, sizeof *kept);
	if (floor == INT64_MIN)
		return TN_OK;
	kept->max = tn_exec_bucket_at(q, (uint32_t)tn_batch_time_column(s),
	    floor - 1, a);
	kept->group = (uint32_t)(q->bucket_group < 0 ? 0 : q->bucket_group);
	if (kept->max != NULL)
		return TN_OK;
	tn_diag_hint(d, "group it by a time bucket of the event time, or keep "
	    "the rows (retention)");
	return tn_diag_set(d, TN_EUNSUPPORTED, "rows_retired",
	    "view %s cannot be computed anew: the retention of %s has removed "
	    "rows that its numbers count", v->def->name, s->table->name);
}

bool
tn_batch_left(const struct tn_batch_jobs *b, const struct tn_serving_view *v,
    struct tn_arena *a, struct tn_exec_bound *left)
{
	const struct tn_governance_stream *s = &b->o.model->streams[v->stream];
	struct tn_exec_bound kept;
	struct tn_diag d = { .line = 0 };

	memset(left, 0, sizeof *left);
	if (tn_batch_kept(b, v, a, &kept, &d) != TN_OK) {
		tn_say(TN_WARN, "batch", "view %s counts only the rows that "
		    "retention has left", v->def->name);
		return false;
	}
	left->group = kept.group;
	if (kept.max != NULL)
		left->min = tn_exec_bucket_at(v->def->select,
		    (uint32_t)tn_batch_time_column(s), b->floors[v->stream],
		    a);
	return true;
}

int64_t
tn_batch_bucket_us(const struct tn_column *bucket)
{
	if (bucket->type.id == TN_T_DATE)
		return ((const int32_t *)bucket->values)[0] * DAY_US;
	return ((const int64_t *)bucket->values)[0];
}

/* ---- files ----------------------------------------------------------- */

static uint32_t
drop_before(struct change *c, const struct tn_catalog_snapshot *base,
    enum tn_catalog_tier tier, uint32_t object, int64_t us)
{
	uint32_t first, dropped = 0;
	uint32_t n = tn_catalog_snapshot_find(base, tier, object, &first);

	for (uint32_t i = first; i < first + n; i++)
		if (base->files[i].time_max < us) {
			tn_batch_change_drop(c, base->files[i].id);
			c->rows += base->files[i].rows;
			dropped++;
		}
	return dropped;
}

/* Silver below ${retention}, and bronze of which silver needs nothing; a row
 * may have been sent ahead of its time. */
static enum tn_status
retire_stream(struct change *c, uint32_t stream,
    const struct tn_catalog_snapshot *base)
{
	struct tn_batch_jobs *b = c->b;
	const struct tn_governance_stream *s = &b->o.model->streams[stream];
	const struct tn_sql_table *t = s->table;
	int64_t now = tn_os_wall_us(), floor = day_of(now - t->retention_us);
	int64_t raw = day_of(now - t->bronze_retention_us);
	enum tn_status st = TN_OK;

	if (floor < b->floors[stream])
		floor = b->floors[stream];       /* The clock went back. */
	if (drop_before(c, base, TN_TIER_SILVER, s->id, floor) > 0)
		st = raise_floor(b, stream, floor, base->lsn);
	raw = raw < floor ? raw : floor;
	if (t->bronze_retention_us > 0)
		(void)drop_before(c, base, TN_TIER_BRONZE, s->id,
		    raw - t->max_future_skew_us);
	return st;
}

/* ---- numbers of views -------------------------------------------------- */

/* The begin of the partition that has it. */
static int64_t
part_of(const struct tn_serving_view *v, int64_t us)
{
	int64_t day = day_of(us);
	int32_t y;
	uint32_t m, d;

	if (!v->by_month)
		return day;
	tn_record_civil(day / DAY_US, &y, &m, &d);
	return day - (int64_t)(d - 1) * DAY_US;
}

/* The floor of a view: begin of the partition of the oldest bucket that has
 * not ended before ${us}. A month goes when all of it is old. */
static int64_t
floor_for(const struct tn_serving_view *v, int64_t us)
{
	struct tn_arena *a = tn_arena_new(1024);
	const struct tn_column *open = tn_exec_first_open(v->def->select, us,
	    a);
	int64_t begin = open == NULL ? us - WIDEST_US :
	    tn_batch_bucket_us(open);

	tn_arena_free(a);
	return part_of(v, begin);
}

static uint32_t
slot_of(const struct tn_batch_jobs *b, const struct tn_serving_view *v)
{
	return (uint32_t)(v - b->o.model->views);
}

static enum tn_status
raise_gold_floor(struct tn_batch_jobs *b, const struct tn_serving_view *v,
    int64_t floor)
{
	char key[40], value[40];
	enum tn_status st;

	tn_batch_gold_floor_text(v, floor, key, value);
	st = tn_catalog_set(b->o.catalog, key, value);
	tn_os_crash_point("retire_gold_noted");
	if (st == TN_OK)
		tn_serving_gold_floor_raise(b->o.serving, slot_of(b, v),
		    floor);
	return st;
}

static enum tn_status
retire_view(struct change *c, const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *base)
{
	int64_t had = tn_serving_gold_floor(c->b->o.serving,
	    slot_of(c->b, v));
	int64_t floor = floor_for(v, tn_os_wall_us() - v->def->retention_us);
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_GOLD,
	    v->id, &first), before = c->drop_count;

	if (floor < had)
		floor = had;             /* The clock went back. */
	for (uint32_t i = first; i < first + n; i++) {
		const struct tn_catalog_file *f = &base->files[i];
		if (f->version != v->version || f->time_max >= floor ||
		    strcmp(f->partition, "null") == 0)
			continue;
		tn_batch_change_drop(c, f->id);
		c->rows += f->rows;
	}
	return c->drop_count == before || floor == had ? TN_OK :
	    raise_gold_floor(c->b, v, floor);
}

bool
tn_batch_is_retired(const struct change *c, const struct tn_serving_view *v,
    const char *label)
{
	int64_t from, to, floor = c->lower ? c->floor :
	    tn_serving_gold_floor(c->b->o.serving, slot_of(c->b, v));

	return floor != INT64_MIN && tn_batch_label_days(label, v->by_month,
	    &from, &to) && from * DAY_US < floor;
}

/* Gold of snapshots before this change lacks what comes back: they are not
 * whole any more. */
static void
note_lower(struct change *c, const struct tn_serving_view *v,
    struct tn_arena *a)
{
	struct tn_catalog_value *x = tn_arena_zalloc(a, 2 * sizeof *x);
	char key[40], value[40];

	tn_batch_gold_floor_text(v, c->floor, key, value);
	x[0] = (struct tn_catalog_value){ tn_arena_strdup(a, key),
	    tn_arena_strdup(a, value) };
	x[1].key = tn_arena_printf(a, TN_SERVING_WHOLE, (unsigned)v->id);
	c->values = x;
	c->value_count = 2;
}

void
tn_batch_lower_floor(struct change *c, const struct tn_serving_view *v,
    const struct tn_exec_bound *kept, struct tn_arena *a)
{
	int64_t had = tn_serving_gold_floor(c->b->o.serving,
	    slot_of(c->b, v));
	int64_t floor = v->def->retention_us == 0 ? INT64_MIN :
	    floor_for(v, tn_os_wall_us() - v->def->retention_us);

	/* Of the partition that has the last bucket without all of its rows
	 * nothing comes back. */
	if (kept->max != NULL) {
		int64_t last = part_of(v, tn_batch_bucket_us(kept->max));
		int64_t next = part_of(v, last + (v->by_month ? 31 : 1) *
		    DAY_US);
		floor = floor < next ? next : floor;
	}
	if (floor >= had)
		return;
	c->lower = true;
	c->floor = floor;
	note_lower(c, v, a);
}

void
tn_batch_lowered(const struct change *c, const struct tn_serving_view *v)
{
	const struct tn_catalog_snapshot *now;

	if (!c->lower)
		return;
	now = tn_catalog_snapshot(c->b->o.catalog);
	tn_serving_gold_floor_lower(c->b->o.serving, slot_of(c->b, v),
	    c->floor, now->sequence);
	tn_catalog_snapshot_put(now);
	/* Only as_of is slower without it, until the next start. */
	if (tn_batch_whole(c->b) != TN_OK)
		tn_say(TN_WARN, "batch", "since when gold is whole could not "
		    "be written down");
}

static void
publish(struct change *c, const struct tn_catalog_snapshot *base)
{
	char detail[120];
	enum tn_status st = tn_batch_run_begin(c->b, "retire", "retention",
	    "", base->lsn, base->lsn, &c->run);

	snprintf(detail, sizeof detail, "%llu rows in %u files are older than "
	    "they are kept", (unsigned long long)c->rows,
	    (unsigned)c->drop_count);
	if (st == TN_OK)
		st = tn_batch_change_publish(c, base->lsn, NULL, 0, detail);
	tn_os_crash_point("retire_published");
	if (st == TN_OK)
		return;
	tn_say(TN_ERROR, "batch", "retention could not be kept: %s; the next "
	    "cut tries again", tn_status_text(st));
	if (c->run != 0 && tn_catalog_run_end(c->b->o.catalog, c->run,
	    TN_RUN_FAILED, tn_os_wall_us(), 0, 0, tn_status_text(st)) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)c->run);
}

void
tn_batch_retire(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	const struct tn_catalog_snapshot *base;
	struct change c;
	enum tn_status st = TN_OK;

	if (tn_batch_retention_held(b))
		return;
	base = tn_catalog_snapshot(b->o.catalog);
	tn_batch_change_begin(&c, b, base->lsn, 0);
	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++)
		if (m->streams[i].table->retention_us > 0)
			st = retire_stream(&c, i, base);
	for (uint32_t i = 0; st == TN_OK && i < m->view_count; i++)
		if (m->views[i].def->retention_us > 0 &&
		    tn_serving_view_live(m, i))
			st = retire_view(&c, &m->views[i], base);
	if (st != TN_OK)
		tn_say(TN_ERROR, "batch", "retention could not be kept: %s; "
		    "the next cut tries again", tn_status_text(st));
	else if (c.drop_count > 0)
		publish(&c, base);
	tn_batch_change_fini(&c);
	tn_catalog_snapshot_put(base);
}

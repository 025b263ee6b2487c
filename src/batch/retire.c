/* Retention: rows that a table keeps no longer leave silver and bronze; the
 * views made of them stay.
 *
 *   silver   a day's files, when the whole day is older than ${retention}
 *   bronze   a file, when all it has was received before bronze_retention
 *            (never below retention: silver can always be made anew)
 *
 * What may be gone is said first, then done: the floor of a stream, the begin
 * of its oldest whole day, is written down before the files are dropped. So a
 * recompute never takes missing rows for no rows: groups of time buckets that
 * reach below the floor are carried over from the old gold, and verify
 * compares the others.
 *
 * The clock may lie (a board that wakes up in 2099). When it has gone on by two
 * days more than the machine has run, nothing is removed for retention_wait.
 *
 * What can go wrong: disk and catalog errors; then nothing is dropped and the
 * next cut tries again. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define LEAP_US (2 * DAY_US)

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
tn_batch_floors_load(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	const struct tn_catalog_snapshot *base;
	struct tn_arena *a = tn_arena_new(1024);

	b->floors = tn_zalloc((m->stream_count + 1) * sizeof *b->floors);
	for (uint32_t i = 0; i < m->stream_count; i++) {
		const char *text = NULL;
		char key[48];
		int64_t us;
		floor_key(key, &m->streams[i]);
		b->floors[i] = INT64_MIN;
		if (tn_catalog_get(b->o.catalog, key, a, &text) == TN_OK &&
		    tn_parse_i64(tn_slice_of(text), &us))
			b->floors[i] = us;
		tn_serving_floor_set(b->o.serving, i, b->floors[i]);
	}
	tn_arena_free(a);
	b->seen_mono = tn_os_mono_us();
	base = tn_catalog_snapshot(b->o.catalog);
	b->seen_wall = base->published_us > 0 ? base->published_us :
	    tn_os_wall_us();
	tn_catalog_snapshot_put(base);
}

int64_t
tn_batch_floor(const struct tn_batch_jobs *b, uint32_t stream)
{
	return b->floors[stream];
}

static enum tn_status
raise_floor(struct tn_batch_jobs *b, uint32_t stream, int64_t floor)
{
	char key[48], text[32];
	enum tn_status st;

	floor_key(key, &b->o.model->streams[stream]);
	snprintf(text, sizeof text, "%lld", (long long)floor);
	st = tn_catalog_set(b->o.catalog, key, text);
	tn_os_crash_point("retire_noted");
	if (st == TN_OK) {
		b->floors[stream] = floor;
		tn_serving_floor_set(b->o.serving, stream, floor);
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

int64_t
tn_batch_bucket_us(const struct tn_column *bucket)
{
	if (bucket->type.id == TN_T_DATE)
		return ((const int32_t *)bucket->values)[0] * DAY_US;
	return ((const int64_t *)bucket->values)[0];
}

/* ---- files ----------------------------------------------------------- */

/* Whether the clock has not leapt lately. */
static bool
is_believed(struct tn_batch_jobs *b)
{
	int64_t wall = tn_os_wall_us(), mono = tn_os_mono_us();
	int64_t leap = (wall - b->seen_wall) - (mono - b->seen_mono);

	if (leap > LEAP_US && b->o.retention_wait_us > 0) {
		b->distrust = mono + b->o.retention_wait_us;
		tn_say(TN_WARN, "batch", "the clock went on by %lld hours "
		    "more than this program has run: retention waits",
		    (long long)(leap / (DAY_US / 24)));
	}
	b->seen_wall = wall;
	b->seen_mono = mono;
	return mono >= b->distrust;
}

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
	if (drop_before(c, base, TN_TIER_SILVER, s->id, floor) > 0 &&
	    floor > b->floors[stream])
		st = raise_floor(b, stream, floor);
	raw = raw < floor ? raw : floor;
	if (t->bronze_retention_us > 0)
		(void)drop_before(c, base, TN_TIER_BRONZE, s->id,
		    raw - t->max_future_skew_us);
	return st;
}

static void
publish(struct change *c, const struct tn_catalog_snapshot *base)
{
	char detail[120];
	enum tn_status st = tn_batch_run_begin(c->b, "retire", "retention",
	    "", base->lsn, base->lsn, &c->run);

	snprintf(detail, sizeof detail, "%llu rows in %u files are older than "
	    "their table keeps them", (unsigned long long)c->rows,
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

	if (!is_believed(b))
		return;
	base = tn_catalog_snapshot(b->o.catalog);
	tn_batch_change_begin(&c, b, base->lsn, 0);
	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++)
		if (m->streams[i].table->retention_us > 0)
			st = retire_stream(&c, i, base);
	if (st != TN_OK)
		tn_say(TN_ERROR, "batch", "retention could not be kept: %s; "
		    "the next cut tries again", tn_status_text(st));
	else if (c.drop_count > 0)
		publish(&c, base);
	tn_batch_change_fini(&c);
	tn_catalog_snapshot_put(base);
}

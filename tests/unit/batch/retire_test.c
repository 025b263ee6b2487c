/* Retention: rows leave silver and bronze by whole days, the numbers made of
 * them stay, also when a view is made anew or verified; a clock that leaps
 * removes nothing. The test owns the clocks. */
#include "test.h"

#include "clock_help.h"

#define TEN_MINUTES (10 * MINUTE)

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts', retention = '10 days',"
    " bronze_retention = '20 days');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n, max(n) AS top FROM ev GROUP BY d;"
    "CREATE MATERIALIZED VIEW weeks AS SELECT date_trunc('week', ts) AS w,"
    " count(*) AS n FROM ev GROUP BY w;"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM ev;";

static void
make(struct rig *g)
{
	int64_t us = 0;

	assert_true(tn_serving_time(tn_slice_of("2026-03-06T12:00:00Z"), &us));
	clock_begin(us);
	rig_make(g, sql);
}

/* Three rows on each of the days [first, last] of March. */
static void
days(struct rig *g, uint32_t first, uint32_t last)
{
	for (uint32_t d = first; d <= last; d++) {
		char text[300];
		(void)snprintf(text, sizeof text,
		    "{\"n\":%u,\"ts\":\"2026-03-%02uT00:00:00Z\"}\n"
		    "{\"n\":%u,\"ts\":\"2026-03-%02uT12:00:00Z\"}\n"
		    "{\"n\":%u,\"ts\":\"2026-03-%02uT23:59:59.999999Z\"}\n",
		    g->rows, d, g->rows + 1, d, g->rows + 2, d);
		g->rows += 3;
		append_text(g, 0, text);
	}
}

static uint64_t
rows_of(struct rig *g, enum tn_catalog_tier tier)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint64_t rows = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->files[i].tier == tier)
			rows += s->files[i].rows;
	tn_catalog_snapshot_put(s);
	return rows;
}

static uint64_t
newest(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint64_t sequence = s->sequence;

	tn_catalog_snapshot_put(s);
	return sequence;
}

/* The sum of n over a view's gold files, and its rows. */
static uint64_t
counted(struct rig *g, const char *view, uint32_t *groups)
{
	const struct tn_serving_view *v = &g->model->views[
	    tn_serving_view_find(g->model, tn_slice_of(view))];
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	struct tn_exec_fold *sum = tn_exec_fold_new(v->program);
	struct tn_batch *b;
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_GOLD, v->id,
	    &first);
	uint64_t total = 0;
	int column;

	for (uint32_t i = first; i < first + n; i++) {
		struct tn_serving_gold *x = NULL;
		struct tn_diag d = { .line = 0 };
		assert_int_equal(tn_serving_gold_get(g->serving, v,
		    &s->files[i], &x, &d), TN_OK);
		tn_exec_fold_merge(sum, x->fold);
		tn_serving_gold_put(g->serving, x);
	}
	b = tn_exec_fold_finish(sum, NULL);
	column = tn_record_schema_find(b->schema, tn_slice_of("n"));
	for (uint32_t i = 0; i < b->rows; i++)
		total += (uint64_t)((const int64_t *)
		    b->columns[column].values)[i];
	*groups = b->rows;
	tn_record_batch_unref(b);
	tn_exec_fold_free(sum);
	tn_catalog_snapshot_put(s);
	return total;
}

static void
check_views(struct rig *g, uint64_t rows, uint32_t day_count)
{
	uint32_t groups;

	assert_int_equal(counted(g, "days", &groups), rows);
	assert_int_equal(groups, day_count);
	assert_int_equal(counted(g, "weeks", &groups), rows);
	assert_int_equal(counted(g, "total", &groups), rows);
	assert_int_equal(groups, 1);
}

static void
test_days_leave(void **state)
{
	struct rig g;
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "total" };

	(void)state;
	make(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	/* March 13, noon: ten days before is noon of the 3rd, which stays
	 * whole. */
	pass(7 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 12);
	assert_int_equal(rows_of(&g, TN_TIER_BRONZE), 18);
	check_views(&g, 18, 6);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	/* Made anew: what is gone is carried over, in every view that can
	 * tell; one that cannot refuses and keeps its number. */
	q.view = "days";
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	q.view = "weeks";
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	check_views(&g, 18, 6);
	q.view = "total";
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_EUNSUPPORTED);
	assert_string_equal(r.diag.code, "rows_retired");
	tn_buf_fini(&r.text);
	check_views(&g, 18, 6);
	/* A late row of a day that is gone counts, and leaves silver. */
	days(&g, 1, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 12);
	check_views(&g, 21, 6);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Over a restart the floor is known. */
static void
test_restart(void **state)
{
	struct rig g;

	(void)state;
	make(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(7 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	rig_close(&g);
	rig_open(&g);
	check_views(&g, 18, 6);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	pass(20 * DAY);
	days(&g, 31, 31);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	/* Silver of all days but the last, and the bronze file received on
	 * the 6th, are older than they are kept. */
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 3);
	assert_int_equal(rows_of(&g, TN_TIER_BRONZE), 0);
	check_views(&g, 21, 7);
	drop(&g);
}

static void
test_leap(void **state)
{
	struct rig g;
	int64_t good;

	(void)state;
	make(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	good = wall;
	wall += 3650 * DAY;              /* Nobody waited so long. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	wall = good;                     /* It was a lie. */
	pass(2 * TEN_MINUTES);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	wall += 7 * DAY;                 /* The machine slept. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	pass(TEN_MINUTES);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 12);
	drop(&g);
}

/* A range of which retention has taken a part, and more than it. */
static void
test_range_gone(void **state)
{
	struct rig g;
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "weeks" };

	(void)state;
	make(&g);
	pass(21 * DAY);
	days(&g, 1, 27);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 33);
	check_views(&g, 81, 27);
	for (int day = 2; day < 28; day++) {
		memset(&r, 0, sizeof r);
		q.to_us = wall + (day - 27) * DAY;
		assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
		tn_buf_fini(&r.text);
		check_views(&g, 81, 27);
	}
	drop(&g);
}

/* As if the program had ended between the gold of a view and the note of it. */
static void
forget_computed(struct rig *g, const char *view)
{
	char key[40];

	(void)snprintf(key, sizeof key, "computed:%u", (unsigned)
	    g->model->views[tn_serving_view_find(g->model,
	    tn_slice_of(view))].id);
	assert_int_equal(tn_catalog_set(g->catalog, key, "0 day"), TN_OK);
}

/* Another definition, and a new view, when rows are gone: they begin with what
 * there is, also where there is no bucket, and in the bucket that lost a part
 * of its rows; the start does not fail for it, nor does one after a crash. */
static void
test_definition(void **state)
{
	struct rig g;
	struct tn_diag d = { .line = 0 };
	uint32_t groups;

	(void)state;
	make(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	pass(7 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	rig_close(&g);
	g.sql = "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
	    " WITH (event_time = 'ts', retention = '10 days',"
	    " bronze_retention = '20 days');"
	    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS"
	    " d, count(*) AS n, max(n) AS top FROM ev GROUP BY d;"
	    "CREATE MATERIALIZED VIEW weeks AS SELECT date_trunc('week', ts)"
	    " AS w, count(*) AS n, max(n) AS top FROM ev GROUP BY w;"
	    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n,"
	    " max(n) AS top FROM ev;"
	    "CREATE MATERIALIZED VIEW more AS SELECT count(*) AS n FROM ev;";
	for (int i = 0; i < 2; i++) {
		rig_open(&g);
		assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
		assert_int_equal(counted(&g, "days", &groups), 18);
		assert_int_equal(groups, 6);
		assert_int_equal(counted(&g, "weeks", &groups), 12);
		assert_int_equal(groups, 1);
		assert_int_equal(counted(&g, "total", &groups), 12);
		assert_int_equal(counted(&g, "more", &groups), 12);
		forget_computed(&g, "days");
		forget_computed(&g, "weeks");
		forget_computed(&g, "total");
		if (i == 0)
			rig_close(&g);
	}
	drop(&g);
}

/* Another definition of the table, whose silver is made anew from bronze,
 * which is kept longer: days that are gone stay away. */
static void
test_rebuild(void **state)
{
	struct rig g;
	struct tn_diag d = { .line = 0 };

	(void)state;
	make(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(7 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 12);
	rig_close(&g);
	g.sql = "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL,"
	    " more text) WITH (event_time = 'ts', retention = '10 days',"
	    " bronze_retention = '20 days');"
	    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM ev;";
	rig_open(&g);
	assert_int_equal(tn_batch_rebuild(g.batch, &d), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 12);
	assert_int_equal(rows_of(&g, TN_TIER_BRONZE), 18);
	drop(&g);
}

/* Late rows of days that are gone count, also in a view that goes back to a
 * snapshot from before they came. */
static void
test_rollback(void **state)
{
	struct rig g;
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_ROLLBACK,
	    .reason = "request", .view = "days" };
	struct tn_diag d = { .line = 0 };

	(void)state;
	make(&g);
	assert_int_equal(tn_batch_whole(g.batch), TN_OK);
	rig_close(&g);
	g.keep_us = 3650 * DAY;
	rig_open(&g);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(7 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	q.snapshot = newest(&g);
	for (uint32_t day = 1; day <= 3; day++) {
		days(&g, day, day);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	days(&g, 12, 12);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	check_views(&g, 30, 7);
	for (int i = 0; i < 2; i++) {
		memset(&r, 0, sizeof r);
		assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
		tn_buf_fini(&r.text);
		check_views(&g, 30, 7);
		q.snapshot = newest(&g);         /* Nothing came since. */
	}
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

static uint32_t
snapshots(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_cut *cuts;
	uint32_t count;

	assert_int_equal(tn_catalog_cuts(g->catalog, 0, 1000, a, &cuts,
	    &count), TN_OK);
	tn_arena_free(a);
	return count;
}

/* A day's row, and what is published of it. */
static void
one_more(struct rig *g, uint32_t day)
{
	days(g, day, day);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
}

/* No snapshot goes because the clock leapt, also not over a restart; they do
 * when they have been kept by the new clock. */
static void
test_snapshots_stay(void **state)
{
	struct rig g;
	uint32_t n;

	(void)state;
	make(&g);
	rig_close(&g);
	g.keep_us = DAY / 24;
	rig_open(&g);
	for (uint32_t day = 1; day <= 4; day++)
		one_more(&g, day);
	n = snapshots(&g);
	assert_true(n >= 4);
	wall += 3650 * DAY;                      /* It leaps, */
	one_more(&g, 5);
	assert_true(snapshots(&g) > n);
	pass(TEN_MINUTES);
	rig_close(&g);                           /* and a restart forgets not, */
	rig_open(&g);
	one_more(&g, 6);
	assert_true(snapshots(&g) > n + 1);
	rig_close(&g);
	wall += 365 * DAY;                       /* nor while it stood still, */
	rig_open(&g);
	one_more(&g, 7);
	n = snapshots(&g);
	assert_true(n >= 7);
	wall -= 4000 * DAY;                      /* nor back. */
	one_more(&g, 8);
	assert_true(snapshots(&g) > n);
	n = snapshots(&g);
	pass(5 * TEN_MINUTES);
	one_more(&g, 9);
	assert_true(snapshots(&g) > n);
	pass(7 * TEN_MINUTES);                   /* An hour since the last. */
	one_more(&g, 10);
	assert_true(snapshots(&g) < 6);
	drop(&g);
}

/* ---- numbers of views -------------------------------------------------- */

#define TABLE "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)" \
    " WITH (event_time = 'ts'"
#define BODY " AS SELECT date_trunc('day', ts) AS d, count(*) AS n," \
    " max(n) AS top FROM ev GROUP BY d;"
static const char five_days[] = TABLE ");"
    "CREATE MATERIALIZED VIEW days WITH (retention = '5 days')" BODY
    "CREATE MATERIALIZED VIEW weeks WITH (retention = '40 days')"
    " AS SELECT date_trunc('week', ts) AS w, count(*) AS n FROM ev GROUP BY w;"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM ev;";
static const char six_days[] = TABLE ");"
    "CREATE MATERIALIZED VIEW days WITH (retention = '6 days')" BODY;
static const char for_ever[] = TABLE ");"
    "CREATE MATERIALIZED VIEW days" BODY;
static const char short_rows[] = TABLE ", retention = '4 days');"
    "CREATE MATERIALIZED VIEW days WITH (retention = '5 days')" BODY
    "CREATE MATERIALIZED VIEW few WITH (retention = '1 day')" BODY;
static const char short_rows_long[] = TABLE ", retention = '4 days');"
    "CREATE MATERIALIZED VIEW days" BODY
    "CREATE MATERIALIZED VIEW few" BODY;

static void
check_view(struct rig *g, const char *view, uint64_t rows, uint32_t groups)
{
	uint32_t n;

	assert_int_equal(counted(g, view, &n), rows);
	assert_int_equal(n, groups);
}

static void
anew(struct rig *g, const char *view, int64_t from_us)
{
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = view, .from_us = from_us };
	struct tn_batch_report r;

	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g->batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
}

static void
open_with(struct rig *g, const char *text)
{
	rig_close(g);
	g->sql = text;
	rig_open(g);
}

/* Goal: a cut that is published by a clock which leapt, and a restart, do not
 * make it believed sooner; nothing happens until it has been so for a while. */
static void
test_leap_restart(void **state)
{
	struct rig g;

	(void)state;
	make(&g);
	days(&g, 1, 5);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	wall += 7 * DAY;
	anew(&g, "days", 0);                     /* Nor does another job's. */
	rig_close(&g);
	rig_open(&g);
	for (uint32_t i = 0; i < 3; i++) {
		days(&g, 6 + i, 6 + i);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18 + 3 * i);
		pass(3 * MINUTE);
		rig_close(&g);
		rig_open(&g);
	}
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 24);
	pass(MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	check_views(&g, 24, 8);
	/* While it stood still, which nobody can tell from a leap. */
	rig_close(&g);
	wall += 3 * DAY;
	rig_open(&g);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	rig_close(&g);
	pass(TEN_MINUTES);
	rig_open(&g);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 9);
	drop(&g);
}

/* Goal: numbers go by whole days, or months; late rows, a recompute and a
 * restart bring none of them back; the rows stay. */
static void
test_numbers_leave(void **state)
{
	struct rig g;

	(void)state;
	make(&g);
	open_with(&g, five_days);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 18, 6);           /* The 1st, noon, is whole. */
	pass(2 * DAY);                           /* The 8th. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 12, 4);
	check_view(&g, "weeks", 18, 2);
	check_view(&g, "total", 18, 1);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 18);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	days(&g, 1, 3);                          /* The 3rd is kept. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 15, 4);
	check_view(&g, "total", 27, 1);
	anew(&g, "days", 0);
	check_view(&g, "days", 15, 4);
	anew(&g, "days", wall - 30 * DAY);
	check_view(&g, "days", 15, 4);
	open_with(&g, five_days);
	days(&g, 2, 2);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 15, 4);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	pass(33 * DAY);                          /* April 10: the week of */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 0, 0);            /* February 23 has March 1. */
	check_view(&g, "weeks", 30, 2);
	pass(DAY);                               /* 40 days before: March 2. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "weeks", 30 - 6, 1);
	pass(34 * DAY);                          /* April 5, in March's last. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "weeks", 30 - 6, 1);
	pass(DAY);                               /* April 6. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "weeks", 0, 0);
	check_view(&g, "total", 30, 1);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: a longer retention brings back, by a recompute, what its rows give. */
static void
test_numbers_return(void **state)
{
	struct rig g;
	struct tn_diag d = { .line = 0 };

	(void)state;
	make(&g);
	open_with(&g, five_days);
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(2 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 12, 4);
	open_with(&g, six_days);
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	check_view(&g, "days", 12, 4);
	days(&g, 2, 2);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 12, 4);
	anew(&g, "days", wall - 6 * DAY);        /* A range does not. */
	check_view(&g, "days", 12, 4);
	anew(&g, "days", 0);
	check_view(&g, "days", 18, 5);
	days(&g, 1, 2);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 21, 5);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	open_with(&g, for_ever);
	anew(&g, "days", 0);
	check_view(&g, "days", 27, 6);
	open_with(&g, for_ever);
	days(&g, 1, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 30, 6);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: where the rows are gone nothing comes back that would be less than it
 * was. */
static void
test_numbers_without_rows(void **state)
{
	struct rig g;

	(void)state;
	make(&g);
	open_with(&g, short_rows);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(2 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 9);  /* From the 4th. */
	check_view(&g, "days", 12, 4);
	check_view(&g, "few", 0, 0);
	open_with(&g, short_rows_long);
	anew(&g, "days", 0);
	check_view(&g, "days", 12, 4);           /* The 3rd is carried over. */
	anew(&g, "few", 0);
	check_view(&g, "few", 9, 3);
	days(&g, 2, 4);                          /* The 2nd is less than it was. */
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 18, 4);
	check_view(&g, "few", 12, 3);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: a snapshot from before does not bring them back, neither does a leap
 * of the clock take them. */
static void
test_numbers_rollback(void **state)
{
	struct rig g;
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_ROLLBACK,
	    .reason = "request", .view = "days" };

	(void)state;
	make(&g);
	g.keep_us = 3650 * DAY;
	open_with(&g, five_days);
	assert_int_equal(tn_batch_whole(g.batch), TN_OK);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	q.snapshot = newest(&g);
	wall += 3650 * DAY;
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 18, 6);
	wall -= 3650 * DAY;
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(2 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	check_view(&g, "days", 12, 4);
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	check_view(&g, "days", 12, 4);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* ---- buckets that are no day ------------------------------------------- */

#define WIDE(name, bucket) "CREATE MATERIALIZED VIEW " name \
    " WITH (retention = '20 days') AS SELECT " bucket " AS b, count(*) AS n" \
    " FROM ev GROUP BY b;"
static const char wide[] = TABLE ");"
    WIDE("hours", "date_trunc('hour', ts)")
    WIDE("weeks", "date_trunc('week', ts)")
    WIDE("months", "date_trunc('month', ts)")
    WIDE("quarters", "date_trunc('quarter', ts)")
    WIDE("years", "date_trunc('year', ts)")
    WIDE("bins", "date_bin('10 days', ts, '2026-03-01')")
    WIDE("dates", "date_trunc('month', ts)::date")
    WIDE("zoned", "date_trunc('month', ts, 'America/New_York')");
static const char *const wide_views[] = { "hours", "weeks", "months",
    "quarters", "years", "bins", "dates", "zoned" };

/* Goal: a bucket goes when its end is old, never one that runs or that is young
 * in part; a late row counts in what is kept, and a recompute brings nothing
 * back. March 1 is a Sunday; rows are of its first six days. */
static void
test_wide_buckets(void **state)
{
	static const struct {
		const char *now;
		uint64_t rows[TN_COUNT(wide_views)];
	} steps[] = {
		{ "2026-03-25T12:00:00Z", { 6, 15, 18, 18, 18, 18, 18, 17 } },
		/* Three late rows of the 1st. */
		{ "2026-03-26T12:00:00Z", { 3, 15, 21, 21, 21, 21, 21, 19 } },
		{ "2026-04-20T23:59:59Z", { 0, 15, 21, 21, 21, 21, 21, 19 } },
		{ "2026-04-21T02:00:00Z", { 0, 15, 0, 0, 21, 21, 0, 19 } },
		{ "2026-04-21T04:00:00Z", { 0, 15, 0, 0, 21, 21, 0, 0 } },
		{ "2026-04-25T23:00:00Z", { 0, 15, 0, 0, 21, 21, 0, 0 } },
		{ "2026-04-26T00:00:00Z", { 0, 0, 0, 0, 21, 21, 0, 0 } },
		{ "2026-04-29T23:00:00Z", { 0, 0, 0, 0, 21, 21, 0, 0 } },
		{ "2026-04-30T00:00:00Z", { 0, 0, 0, 0, 21, 0, 0, 0 } },
		{ "2027-01-20T23:00:00Z", { 0, 0, 0, 0, 21, 0, 0, 0 } },
		{ "2027-01-21T00:00:00Z", { 0, 0, 0, 0, 0, 0, 0, 0 } },
	};
	struct rig g;
	uint32_t groups;

	(void)state;
	make(&g);
	open_with(&g, wide);
	days(&g, 1, 6);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	for (size_t i = 0; i < TN_COUNT(steps); i++) {
		int64_t us = 0;
		assert_true(tn_serving_time(tn_slice_of(steps[i].now), &us));
		pass(us - wall);
		if (i == 1)
			days(&g, 1, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		for (size_t k = 0; k < TN_COUNT(wide_views); k++) {
			assert_int_equal(counted(&g, wide_views[k], &groups),
			    steps[i].rows[k]);
			anew(&g, wide_views[k], 0);
			assert_int_equal(counted(&g, wide_views[k], &groups),
			    steps[i].rows[k]);
		}
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	}
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days_leave),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_leap),
		cmocka_unit_test(test_leap_restart),
		cmocka_unit_test(test_range_gone),
		cmocka_unit_test(test_definition),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_snapshots_stay),
		cmocka_unit_test(test_numbers_leave),
		cmocka_unit_test(test_numbers_return),
		cmocka_unit_test(test_numbers_without_rows),
		cmocka_unit_test(test_numbers_rollback),
		cmocka_unit_test(test_wide_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What keeps the batch thread from running hot or standing still: many damaged
 * files, cuts amid a verify, a cold disk that fails. The test owns the clocks. */
#include "test.h"

#include <errno.h>

#include "cold_help.h"

#define DAYS 8u
#define FILES 9u

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n FROM ev GROUP BY d;";

static void
make(struct rig *g, uint32_t young_max)
{
	cold_make(g, sql, "2026-03-09T13:00:00Z");
	g->batch->o.young_files_max = young_max;
}

static void
post(struct rig *g, uint32_t days)
{
	struct tn_buf text = { 0 };

	for (uint32_t i = 0; i < days; i++)
		tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-%02uT01:00:"
		    "00Z\"}\n", g->rows++, i + 1);
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
}

static uint32_t
silver_files(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g->model->streams[0].id, &first);

	tn_catalog_snapshot_put(s);
	return n;
}

/* The file in the middle of each day is no Parquet file any more. */
static void
damage(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g->model->streams[0].id, &first);
	char path[400];

	assert_int_equal(n, DAYS * FILES);
	for (uint32_t i = first + FILES / 2; i < first + n; i += FILES) {
		(void)snprintf(path, sizeof path, "%s/lake/%s", g->dir,
		    s->files[i].path);
		assert_int_equal(tn_os_write_file(path, "no parquet", 10,
		    0640), TN_OK);
	}
	tn_catalog_snapshot_put(s);
}

/* Goal: each damaged file of many partitions fails one merge, not one again and
 * again; all others are merged without it. */
static void
many_damaged(void **state)
{
	struct rig g;

	(void)state;
	make(&g, 100);
	for (uint32_t i = 0; i < FILES; i++) {
		post(&g, DAYS);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	damage(&g);
	pass(20 * MINUTE);
	for (uint32_t i = 0; i < 60; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(11000000);
	}
	assert_int_equal(failed_runs(&g, NULL), DAYS);
	assert_int_equal(tn_counter_read(g.batch->skipped), DAYS);
	for (uint32_t i = 0; i < 4; i++) {
		pass(20 * MINUTE);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	assert_int_equal(failed_runs(&g, NULL), DAYS);
	assert_int_equal(silver_files(&g), 3 * DAYS);
	drop(&g);
}

/* Goal: where nobody says which file of a merge it was all of them wait, however
 * many there are, until they are in force no more. */
static void
unnamed(void **state)
{
	struct rig g;
	struct tn_catalog_file files[300];
	struct merge m = { .files = files, .count = 300 };
	const struct tn_catalog_snapshot *s;

	(void)state;
	make(&g, 100);
	memset(files, 0, sizeof files);
	for (uint32_t i = 0; i < 300; i++) {
		files[i].id = 100000 + (i * 7) % 300;
		(void)snprintf(files[i].path, sizeof files[i].path,
		    "silver/ev/%u.parquet", i);
	}
	assert_true(tn_batch_skip(g.batch, &m, true, "rows differ"));
	assert_false(tn_batch_skip(g.batch, &m, true, "rows differ"));
	for (uint32_t i = 0; i < 300; i++)
		assert_true(tn_batch_is_skipped(g.batch->compaction,
		    files[i].id));
	assert_int_equal(g.batch->compaction->skip_count, 300);
	s = tn_catalog_snapshot(g.catalog);
	assert_true(tn_batch_skips_due(g.batch, s, wall) == INT64_MAX);
	assert_int_equal(g.batch->compaction->skip_count, 0);
	/* One that is named, and two of which either may be it. */
	assert_true(tn_batch_skip(g.batch, &m, true,
	    "/x/silver/ev/7.parquet: bad"));
	assert_int_equal(g.batch->compaction->skip_count, 1);
	assert_true(tn_batch_is_skipped(g.batch->compaction, files[7].id));
	assert_true(tn_batch_skip(g.batch, &m, true,
	    "silver/ev/7.parquet, silver/ev/8.parquet"));
	assert_int_equal(g.batch->compaction->skip_count, 300);
	tn_catalog_snapshot_put(s);
	drop(&g);
}

/* Goal: how long a file waits is what the settings say: not at all after the
 * disk's first failure, then twice as long each time up to the most, at once
 * when it is damaged. */
static void
waits_as_set(void **state)
{
	static const int64_t minutes[] = { 0, 2, 4, 8, 9, 9 };
	struct rig g;
	struct tn_catalog_file files[2];
	struct merge m = { .files = files, .count = 1 };

	(void)state;
	make(&g, 100);
	g.batch->o.file_retry_us = 2 * MINUTE;
	g.batch->o.file_retry_max_us = 9 * MINUTE;
	memset(files, 0, sizeof files);
	files[0].id = 100001;
	files[1].id = 100002;
	for (uint32_t i = 0; i < TN_COUNT(minutes); i++) {
		(void)tn_batch_skip(g.batch, &m, false, "input/output error");
		if (minutes[i] > 0) {
			pass(minutes[i] * MINUTE - 1);
			assert_true(tn_batch_is_skipped(g.batch->compaction,
			    100001));
			pass(1);
		}
		assert_false(tn_batch_is_skipped(g.batch->compaction,
		    100001));
	}
	m.files = files + 1;
	(void)tn_batch_skip(g.batch, &m, true, "damaged");
	pass(9 * MINUTE - 1);
	assert_true(tn_batch_is_skipped(g.batch->compaction, 100002));
	pass(1);
	assert_false(tn_batch_is_skipped(g.batch->compaction, 100002));
	drop(&g);
}

/* ---- cuts amid a verify ----------------------------------------------- */

static struct {
	struct tn_batch_jobs *b;     /* NULL: nothing is posted. */
	const char *reason;
	uint32_t opened;             /* Files of bronze. */
	uint32_t every;              /* A timer comes with so many of them. */
	uint32_t early;              /* Seals when half of the files that are
	                              * compared first were opened. */
	struct rig *g;
} amid;

static int
slow_open(const char *path, int flags, int mode)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = amid.reason };

	if (amid.b != NULL && strstr(path, "/bronze/") != NULL &&
	    strstr(path, ".parquet") != NULL && (flags & 3) == 0) {
		mono += MINUTE;
		if (amid.opened == FILES)        /* Each is hashed and read. */
			amid.early = amid.g->seals;
		if (amid.opened++ % amid.every == 0)
			assert_int_equal(tn_batch_post(amid.b, &q), TN_OK);
	}
	return tn_os_real.open(path, flags, mode);
}

static uint32_t
seals_of_verify(struct rig *g, uint32_t every, const char *reason)
{
	uint32_t before = g->seals;

	amid.opened = 0;
	amid.every = every;
	amid.reason = reason;
	amid.g = g;
	amid.b = g->batch;
	assert_int_equal(run(g, TN_BATCH_VERIFY), TN_OK);
	amid.b = NULL;
	/* Behind the one that waited in line. */
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	return g->seals - before - 2;
}

/* Goal: amid a verify as many cuts are taken as times were due. */
static void
cuts_amid_verify(void **state)
{
	struct rig g;
	uint32_t none, once, more;

	(void)state;
	make(&g, 100);
	table.open = slow_open;
	for (uint32_t i = 0; i < FILES; i++) {
		post(&g, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	none = g.seals;
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	none = g.seals - none;
	once = seals_of_verify(&g, 1000, "timer");
	print_message("%u opened, %u seals, %u without\n", amid.opened, once,
	    none);
	assert_true(amid.opened >= 3 * FILES);
	assert_int_equal(once, none + 1);
	/* It was taken before; the one posted and the last one came behind. */
	assert_int_equal(g.seals - amid.early, 2);
	more = seals_of_verify(&g, amid.opened / 3 + 1, "timer");
	assert_in_range(more, none + 1, none + 3);
	drop(&g);
}

/* ---- a cold disk that fails --------------------------------------------- */

static char bad[100];                    /* Paths with it fail. */
static int64_t takes_us;
static uint32_t tried;

static int
bad_unlink(const char *path)
{
	if (bad[0] == '\0' || strstr(path, bad) == NULL ||
	    strstr(path, "/cold-") == NULL)
		return tn_os_real.unlink(path);
	tried++;
	mono += takes_us;
	return -EIO;
}

static uint32_t
left(struct rig *g)
{
	return (uint32_t)tn_counter_read(g->batch->left);
}

/* Calls of ${passes} passes. */
static uint32_t
tries(struct rig *g, uint32_t passes)
{
	tried = 0;
	for (uint32_t i = 0; i < passes; i++)
		tn_batch_collect_old(g->batch);
	return tried;
}

/* How many runs say that snapshots expired by themselves; the last one's text. */
static uint32_t
expiries(struct rig *g, char text[static 200])
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run *runs = NULL;
	uint32_t n = 0, count = 0;

	text[0] = '\0';
	assert_int_equal(tn_catalog_runs(g->catalog, 0, 1000, a, &runs,
	    &count), TN_OK);
	for (uint32_t i = count; i-- > 0; ) {
		if (strcmp(runs[i].kind, "expire") != 0)
			continue;
		assert_string_equal(runs[i].reason, "snapshot_keep");
		assert_int_equal(runs[i].state, TN_RUN_DONE);
		assert_true(runs[i].started_us > 0 &&
		    runs[i].ended_us >= runs[i].started_us);
		(void)snprintf(text, 200, "%s", runs[i].detail);
		n++;
	}
	tn_arena_free(a);
	return n;
}

/* Goal: that old snapshots expired is a run, one for ten minutes of cuts. */
static void
expiry_is_a_run(void **state)
{
	struct rig g;
	char text[200];

	(void)state;
	make(&g, 2);
	for (int i = 0; i < 2; i++) {
		post(&g, 5);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	assert_int_equal(expiries(&g, text), 0);
	/* At once, then what ten and twenty minutes brought. */
	for (int i = 0; i < 25; i++) {
		pass(MINUTE);
		post(&g, 5);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	assert_int_equal(expiries(&g, text), 3);
	assert_non_null(strstr(text, " snapshots expired; "));
	assert_non_null(strstr(text, " MiB removed"));
	rig_drop(&g);
}

static uint32_t
failed_expiries(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run *runs = NULL;
	uint32_t n = 0, count = 0;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 1000, a, &runs,
	    &count), TN_OK);
	for (uint32_t i = 0; i < count; i++)
		n += strcmp(runs[i].kind, "expire") == 0 &&
		    runs[i].state == TN_RUN_FAILED;
	tn_arena_free(a);
	return n;
}

/* Goal: a cold disk that fails costs a pass one call; one that hangs, none for
 * some time. One file of it that cannot be removed keeps no other. */
static void
cold_disk_fails(void **state)
{
	struct rig g;
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_old old = { 0, 0, NULL };
	struct tn_catalog_file *files;
	uint32_t count, told;

	(void)state;
	make(&g, 2);
	table.unlink = bad_unlink;
	post(&g, 5);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(40 * DAY);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(20 * MINUTE);
	}
	(void)snprintf(bad, sizeof bad, "/cold-");
	takes_us = 0;
	post(&g, 5);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(20 * MINUTE);
	}
	print_message("%u left\n", left(&g));
	assert_true(left(&g) >= 5);
	/* Behind the last one a pass tries none, the next begins again. */
	for (uint32_t i = 0; i < 10; i++)
		assert_in_range(tries(&g, 1), 0, 1);
	assert_in_range(tries(&g, 10), 5, 10);
	/* Passes behind them and from the first one on, by turns, where they
	 * fill a pass: the failure is no new one. */
	told = failed_expiries(&g);
	assert_true(told > 0);
	for (uint32_t i = 0; i < 6; i++) {
		g.batch->collect_skip = i % 2 == 0 ? left(&g) : 0;
		(void)tries(&g, 1);
	}
	assert_int_equal(failed_expiries(&g), told);
	takes_us = 5000000;
	assert_int_equal(tries(&g, 10), 1);
	pass(11 * MINUTE);
	g.batch->o.cold_retry_us = 30 * MINUTE;
	assert_int_equal(tries(&g, 10), 1);
	pass(11 * MINUTE);
	assert_int_equal(tries(&g, 10), 0);
	pass(20 * MINUTE);
	takes_us = 0;
	/* Only one of them. */
	assert_int_equal(tn_catalog_garbage(g.catalog, &old, a, &files,
	    &count), TN_OK);
	assert_true(count >= 5);
	(void)snprintf(bad, sizeof bad, "%s", files[2].path +
	    strlen(files[2].path) - 40);
	for (uint32_t i = 0; i < 3; i++)
		tn_batch_collect_old(g.batch);
	assert_int_equal(left(&g), 1);
	bad[0] = '\0';
	for (uint32_t i = 0; i < 3; i++)
		tn_batch_collect_old(g.batch);
	assert_int_equal(left(&g), 0);
	tn_arena_free(a);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_damaged),
		cmocka_unit_test(unnamed),
		cmocka_unit_test(waits_as_set),
		cmocka_unit_test(cuts_amid_verify),
		cmocka_unit_test(expiry_is_a_run),
		cmocka_unit_test(cold_disk_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The past, with the whole engine: every LSN after cuts, compaction and expiry;
 * a view that went wrong is rolled back to a kept snapshot; states that are
 * too large for query_memory are an error, not a number. */
#include "engine_fixture.h"

static const char text[] =
    "ALTER SYSTEM SET young_files_max = '2';"
    "ALTER SYSTEM SET query_memory = '1 MiB';"
    "CREATE TABLE e (id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " g text NOT NULL, n int NOT NULL) WITH (event_time = 'ts',"
    " max_future_skew = '40000 days');"
    "CREATE TABLE r (g text PRIMARY KEY, city text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW daily AS SELECT g,"
    " date_bin('1 day', ts, 'epoch') AS d, count(*) AS c, sum(n) AS s"
    " FROM e GROUP BY g, d;"
    "CREATE MATERIALIZED VIEW cities AS SELECT r.city, count(*) AS c"
    " FROM e LEFT JOIN r ON r.g = e.g GROUP BY r.city;";

static void
run_with(void (*script)(struct fixture *f))
{
	struct fixture f;

	make_dir(&f);
	f.pipeline = text;
	run_script(&f, script);
	remove_dir(&f);
}

/* Event i (from 1): group of three, value i. */
static void
post_event(struct fixture *f, uint32_t i)
{
	char body[160];
	struct call c;

	snprintf(body, sizeof body, "{\"id\":\"e%u\",\"ts\":"
	    "\"2026-03-%02uT10:00:00Z\",\"g\":\"g%u\",\"n\":%u}", i,
	    1 + i % 2, i % 3, i);
	c = post(f, "e", body, NULL);
	assert_int_equal(c.result.accepted, 1);
}

static void
check_lsn(struct fixture *f, uint32_t lsn)
{
	char sql[200], want[200];

	snprintf(sql, sizeof sql, "SELECT count(*) AS c, sum(n) AS s FROM "
	    "as_of('e', %u)", lsn);
	snprintf(want, sizeof want, "c,s\n%u,%u\n", lsn, lsn * (lsn + 1) / 2);
	expect_sql(f, sql, want);
	snprintf(sql, sizeof sql, "SELECT sum(c) AS c, sum(s) AS s FROM "
	    "as_of('daily', %u)", lsn);
	expect_sql(f, sql, want);
	snprintf(sql, sizeof sql, "SELECT sum(c) AS c, count(city) AS s FROM "
	    "as_of('cities', %u)", lsn);
	snprintf(want, sizeof want, "c,s\n%u,0\n", lsn);
	expect_sql(f, sql, want);
}

static struct tn_batch_report
run_job(struct fixture *f, const struct tn_batch_request *r)
{
	struct tn_batch_report out;

	memset(&out, 0, sizeof out);
	if (tn_batch_run(f->a.batch, r, &out) != TN_OK)
		print_message("%s\n", out.diag.message);
	return out;
}

static void
expire_all(struct fixture *f)
{
	struct tn_batch_request r = { .kind = TN_BATCH_EXPIRE,
	    .reason = "request", .lsn = UINT64_MAX };
	struct tn_batch_report out = run_job(f, &r);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_cut *cuts;
	uint32_t count;

	assert_int_equal(out.status, TN_OK);
	tn_buf_fini(&out.text);
	assert_int_equal(tn_catalog_cuts(f->a.catalog, 0, 10, a, &cuts,
	    &count), TN_OK);
	assert_int_equal(count, 1);
	tn_arena_free(a);
}

static void
every_lsn(struct fixture *f)
{
	enum { N = 40 };

	for (uint32_t i = 1; i <= N; i++) {
		post_event(f, i);
		if (i % 7 == 0)
			assert_int_equal(batch(f, TN_BATCH_CUT).status,
			    TN_OK);
		if (i % 10 == 0)
			for (uint32_t l = 1; l <= i; l++)
				check_lsn(f, l);
	}
	expire_all(f);
	for (uint32_t l = 1; l <= N; l++)
		check_lsn(f, l);
}

/* Goal: as of each LSN, stream and views are the events up to it, over kept
 * snapshots, over files that compaction has joined, from the log, and when no
 * old snapshot is left. */
static void
test_every_lsn(void **state)
{
	(void)state;
	run_with(every_lsn);
}

/* The asker leaves before the second file is read. */
struct leaver {
	_Atomic bool left;
	uint32_t files;
};

static enum tn_status
leave(const void *arg, struct tn_diag *d)
{
	struct leaver *l = *(struct leaver *const *)arg;

	(void)d;
	l->left = ++l->files == 2;
	return TN_OK;
}

static void
left_alone(struct fixture *f)
{
	struct leaver l = { .left = false }, *at = &l;
	struct tn_serving_model *m = f->a.model;
	struct tn_serving_lsns w = { .last = 8, .memory = TN_BUDGET_QUERIES,
	    .view = &m->views[tn_serving_view_find(m, tn_slice_of("daily"))],
	    .go_on = leave, .arg = &at, .left = &l.left };
	struct tn_exec_fold *fold = NULL;
	struct tn_diag d = { .line = 0 };

	for (uint32_t i = 1; i <= 8; i++)
		post_event(f, i);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	w.silver = tn_catalog_snapshot(f->a.catalog);
	assert_int_equal(tn_serving_fold_lsns(f->a.serving, &w, &fold, &d),
	    TN_ECLOSED);
	assert_null(fold);
	assert_int_equal(l.files, 2);
	assert_int_equal(w.rows, 4);     /* One of two days. */
	assert_int_equal(tn_budget_used(TN_BUDGET_QUERIES), 0);
	l.left = false;
	w.go_on = NULL;
	assert_int_equal(tn_serving_fold_lsns(f->a.serving, &w, &fold, &d),
	    TN_OK);
	assert_int_equal(w.rows, 8);
	tn_exec_fold_free(fold);
	tn_catalog_snapshot_put(w.silver);
}

/* Goal: a fold of the past whose asker has gone ends before the next rows, and
 * keeps no memory. */
static void
test_left_alone(void **state)
{
	(void)state;
	run_with(left_alone);
}

static uint32_t
daily_id(const struct fixture *f)
{
	return f->a.model->views[tn_serving_view_find(f->a.model,
	    tn_slice_of("daily"))].id;
}

/* All gold of the view vanishes, as a bad run might leave it. */
static void
lose_gold(struct fixture *f)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    f->a.catalog);
	uint64_t drop[50];
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_GOLD,
	    daily_id(f), &first);
	struct tn_catalog_publication p = { .lsn = s->lsn,
	    .now_us = tn_os_wall_us(), .drop = drop, .drop_count = n };

	assert_in_range(n, 1, 50);
	for (uint32_t i = 0; i < n; i++)
		drop[i] = s->files[first + i].id;
	assert_int_equal(tn_catalog_publish(f->a.catalog, &p), TN_OK);
	tn_catalog_snapshot_put(s);
	tn_speed_published(f->a.speed);
}

static void
check_rolled(struct fixture *f, uint64_t run)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run *runs;
	uint32_t count;

	assert_int_equal(tn_catalog_runs(f->a.catalog, 0, 1, a, &runs,
	    &count), TN_OK);
	assert_int_equal(runs[0].id, run);
	assert_string_equal(runs[0].kind, "rollback");
	assert_string_equal(runs[0].object, "daily");
	assert_int_equal(runs[0].state, TN_RUN_DONE);
	assert_int_equal(runs[0].rows, 3);
	assert_true(runs[0].changed > 0);
	tn_arena_free(a);
}

static void
undo(struct fixture *f)
{
	struct tn_batch_request r = { .kind = TN_BATCH_ROLLBACK,
	    .reason = "request", .view = "daily" };
	const struct tn_catalog_snapshot *s;
	struct tn_batch_report out;

	for (uint32_t i = 1; i <= 9; i++)
		post_event(f, i);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	s = tn_catalog_snapshot(f->a.catalog);
	r.snapshot = s->sequence;
	tn_catalog_snapshot_put(s);
	lose_gold(f);
	expect_sql(f, "SELECT count(*) AS c FROM daily", "c\n0\n");
	for (uint32_t i = 10; i <= 12; i++)
		post_event(f, i);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	post_event(f, 13);
	expect_sql(f, "SELECT sum(c) AS c FROM daily", "c\n4\n");
	out = run_job(f, &r);
	assert_int_equal(out.status, TN_OK);
	tn_buf_fini(&out.text);
	expect_sql(f, "SELECT sum(c) AS c, sum(s) AS s FROM daily",
	    "c,s\n13,91\n");
	check_rolled(f, out.run);
	out = run_job(f, &(struct tn_batch_request){ .kind = TN_BATCH_VERIFY,
	    .reason = "request" });
	assert_int_equal(out.status, TN_OK);
	tn_buf_fini(&out.text);
}

/* Goal: a view whose gold went wrong is again what its rows say, with those
 * that came since; the run and its corrections are noted; verify agrees. */
static void
test_undo(void **state)
{
	(void)state;
	run_with(undo);
}

static void
expect_refused(struct fixture *f, const char *name, uint64_t snapshot,
    enum tn_status st, const char *code)
{
	struct tn_batch_request r = { .kind = TN_BATCH_ROLLBACK,
	    .reason = "request", .view = name, .snapshot = snapshot };
	struct tn_batch_report out = run_job(f, &r);

	assert_int_equal(out.status, st);
	if (code != NULL)
		assert_string_equal(out.diag.code, code);
	tn_buf_fini(&out.text);
}

static void
refusals(struct fixture *f)
{
	char key[40];

	post_event(f, 1);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	post_event(f, 2);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	expect_refused(f, "nope", 1, TN_ENOTFOUND, "unknown_view");
	expect_refused(f, "daily", 99, TN_ENOTFOUND, "unknown_snapshot");
	expect_refused(f, "e", 1, TN_ECONFLICT, "rows_lost");
	expect_refused(f, "e", 2, TN_OK, NULL);
	/* Gold of before the view was defined as it is now. */
	snprintf(key, sizeof key, TN_SERVING_WHOLE,
	    (unsigned)daily_id(f));
	assert_int_equal(tn_catalog_set(f->a.catalog, key, "1 2"), TN_OK);
	expect_refused(f, "daily", 1, TN_ECONFLICT, "other_definition");
	check_lsn(f, 1);
	expect_refused(f, "daily", 2, TN_OK, NULL);
	expire_all(f);
	expect_refused(f, "daily", 2, TN_ENOTFOUND, "unknown_snapshot");
}

/* Goal: a rollback that cannot be is refused with its reason: no such name, no
 * such snapshot, rows of a stream that would be lost, another definition. */
static void
test_refusals(void **state)
{
	(void)state;
	run_with(refusals);
}

static void
fails(struct fixture *f, const char *sql, const char *code)
{
	struct call c = { .f = f, .sql = sql };

	tn_speed_flush(f->a.speed);
	c.job.run = run_get;
	c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &c.job);
	tn_net_latch_wait(c.latch);
	tn_net_latch_free(c.latch);
	assert_int_not_equal(c.answer->status, TN_OK);
	assert_string_equal(c.answer->diag.code, code);
	tn_serving_answer_unref(c.answer);
}

static void
large_states(struct fixture *f)
{
	enum { N = 30000 };
	struct tn_buf body = { 0 };
	struct call c;

	for (uint32_t i = 0; i < N; i++)
		tn_buf_printf(&body, "{\"id\":\"b%u\",\"ts\":"
		    "\"2026-03-01T10:00:00Z\",\"g\":\"group %u\",\"n\":1}\n",
		    i, i);
	c = post(f, "e", tn_buf_cstr(&body), NULL);
	assert_int_equal(c.result.accepted, N);
	tn_buf_fini(&body);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	post_event(f, 1);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	/* The snapshot has them; then they would have to be folded. */
	expect_sql(f, "SELECT sum(c) AS c FROM as_of('daily', 2)",
	    "c\n30000\n");
	expire_all(f);
	fails(f, "SELECT sum(c) AS c FROM as_of('daily', 2)", "query_memory");
	expect_sql(f, "SELECT count(*) AS c FROM as_of('e', 2)",
	    "c\n30000\n");
}

/* Goal: the states of a past that no snapshot holds count in query_memory. */
static void
test_large_states(void **state)
{
	(void)state;
	run_with(large_states);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_lsn),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_large_states),
	};

	tn_say_setup(TN_WARN, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

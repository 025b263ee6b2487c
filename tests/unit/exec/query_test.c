/* Queries: what a SELECT gives over pushed rows, its limits and failures. */
#include "exec/exec.h"
#include "fold_help.h"

/* k|s|b|i2|i4|i8|f4|f8|n|d|t|ts|tm|u|j */
static const char *const six[] = {
	"1|x|t|1|10|100|1.5|0.1|1.25|2026-03-01|2026-03-01T00:10:00Z",
	"1|y|f|2|20|200|2.5|NaN|2.25|2026-03-02|2026-03-01T00:20:00Z",
	"2|x|t|-3|30|300||0.3|3.5|2026-03-03|2026-03-01T01:10:00Z",
	"2||||||||||2026-03-01T01:00:00Z",
	"|zz|f|5|50|500|5.5|-0.5|5.0001|2026-02-03|",
	"3|x|t|7|0|700|7.5|0.7|7|2026-03-09|2026-03-01T05:10:00Z",
};

struct run {
	struct tn_exec_query_opts opts;
	uint32_t batch_rows;     /* Rows a push; 0: all. */
	const struct tn_exec_refs *refs;
	/* Out: */
	enum tn_status st;
	struct tn_diag d;
	bool truncated;
	bool ended;
	char *text;
};

static void
run(struct run *r, const char *sql, const char *const *rows, uint32_t count)
{
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a, sql);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_exec_query *q = tn_exec_query_new(s, &r->opts);
	uint32_t step = r->batch_rows > 0 ? r->batch_rows : count + 1;
	struct tn_batch *out = NULL;

	r->st = TN_OK;
	for (uint32_t at = 0; at < count && r->st == TN_OK; at += step) {
		uint32_t n = count - at < step ? count - at : step;
		struct tn_batch *b = help_rows(schema, rows + at, n);
		struct tn_exec_rows in = { .batch = b, .lsn = 10 + at,
		    .offset = at, .received_us = 0 };

		r->st = tn_exec_query_push(q, &in, r->refs, &r->d);
		tn_record_batch_unref(b);
	}
	r->ended = r->st == TN_END;
	if (r->st == TN_END)
		r->st = TN_OK;
	if (r->st == TN_OK)
		r->st = tn_exec_query_finish(q, &out, &r->truncated, &r->d);
	r->text = out != NULL ? help_dump(out, false) : NULL;
	tn_record_batch_unref(out);
	tn_exec_query_free(q);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

static void
expect(const char *sql, const char *want)
{
	for (uint32_t step = 0; step < 4; step++) {
		struct run r = { .batch_rows = step };

		run(&r, sql, six, 6);
		if (r.st != TN_OK)
			fail_msg("%s: %s", sql, r.d.message);
		if (strcmp(r.text, want) != 0)
			fail_msg("%s (step %u)\n%s\nwanted\n%s", sql, step,
			    r.text, want);
		tn_free(r.text);
	}
}

/* Goal: projection, WHERE, ORDER BY with nulls, LIMIT and OFFSET. */
static void
test_plain(void **state)
{
	(void)state;
	expect("SELECT k, s, i4 + 1 AS j FROM e WHERE b", "1|x|11\n2|x|31\n"
	    "3|x|1\n");
	expect("SELECT k, s FROM e ORDER BY k, s DESC", "1|y\n1|x\n2|\n2|x\n"
	    "3|x\n|zz\n");
	expect("SELECT k, s FROM e ORDER BY k DESC, s", "|zz\n3|x\n2|x\n2|\n"
	    "1|x\n1|y\n");
	expect("SELECT s FROM e ORDER BY k NULLS FIRST LIMIT 2 OFFSET 1",
	    "x\ny\n");
	expect("SELECT f8 FROM e ORDER BY f8", "-0.5\n0.1\n0.3\n0.7\nNaN\n"
	    "\n");
	expect("SELECT i2 FROM e ORDER BY n DESC NULLS LAST LIMIT 3",
	    "7\n5\n-3\n");
	expect("SELECT s FROM e LIMIT 2", "x\ny\n");
	expect("SELECT s FROM e LIMIT 0", "");
	expect("SELECT s FROM e OFFSET 4", "zz\nx\n");
	expect("SELECT s FROM e OFFSET 40", "");
	expect("SELECT s FROM e WHERE false", "");
	expect("SELECT _offset, _lsn - 10 >= 0 FROM e WHERE i4 = 30",
	    "2|true\n");
}

/* Goal: DISTINCT, with nulls one value, in order of arrival or asked for. */
static void
test_distinct(void **state)
{
	(void)state;
	expect("SELECT DISTINCT s FROM e", "x\ny\n\nzz\n");
	expect("SELECT DISTINCT k, b FROM e ORDER BY k, b", "1|false\n"
	    "1|true\n2|true\n2|\n3|true\n|false\n");
	expect("SELECT DISTINCT s FROM e LIMIT 2", "x\ny\n");
	expect("SELECT DISTINCT count(*) FROM e GROUP BY k ORDER BY 1",
	    "1\n2\n");
}

/* Goal: aggregates with ORDER BY of something not shown, HAVING, LIMIT. */
static void
test_aggregates(void **state)
{
	(void)state;
	expect("SELECT s, count(*) FROM e GROUP BY s ORDER BY sum(i4) DESC"
	    " NULLS LAST", "zz|1\nx|3\ny|1\n|1\n");
	expect("SELECT k FROM e GROUP BY k HAVING count(*) > 1", "1\n2\n");
	expect("SELECT count(*), max(i8) FROM e", "6|700\n");
	expect("SELECT count(*) FROM e WHERE false", "0\n");
	expect("SELECT k, count(*) FROM e GROUP BY k ORDER BY 2 DESC, 1"
	    " LIMIT 2", "1|2\n2|2\n");
	expect("SELECT last(s, t) FROM e", "x\n");
}

/* Goal: a row error fails the query with PostgreSQL's words, but not in rows
 * that WHERE, FILTER, HAVING, CASE or LIMIT leave out. */
static void
test_errors(void **state)
{
	struct run r = { .batch_rows = 0 };

	(void)state;
	run(&r, "SELECT 100 / i4 FROM e", six, 6);
	assert_int_equal(r.st, TN_EINVAL);
	assert_string_equal(r.d.message, "division by zero");
	run(&r, "SELECT sum(100 / i4) FROM e", six, 6);
	assert_int_equal(r.st, TN_EINVAL);
	run(&r, "SELECT sum(i8 * i8 * i8 * 1000000) FROM e", six, 6);
	assert_int_equal(r.st, TN_OK);
	tn_free(r.text);
	run(&r, "SELECT 1 / (sum(i4) - 30) FROM e GROUP BY k", six, 6);
	assert_int_equal(r.st, TN_EINVAL);
	expect("SELECT 100 / i4 FROM e WHERE i4 <> 0", "10\n5\n3\n2\n");
	expect("SELECT 100 / i4 FROM e LIMIT 4", "10\n5\n3\n\n");
	expect("SELECT sum(100 / i4) FILTER (WHERE i4 > 0) FROM e", "20\n");
	expect("SELECT 10 / (k - 2) FROM e GROUP BY k HAVING k <> 2",
	    "-10\n10\n");
}

/* Goal: LIMIT without ORDER BY ends the pushing; rows_max cuts and says so. */
static void
test_limits(void **state)
{
	struct run r = { .batch_rows = 1 };

	(void)state;
	run(&r, "SELECT s FROM e LIMIT 2", six, 6);
	assert_true(r.ended);
	assert_false(r.truncated);
	tn_free(r.text);
	r.opts.rows_max = 3;
	run(&r, "SELECT s FROM e", six, 6);
	assert_true(r.ended);
	assert_true(r.truncated);
	assert_string_equal(r.text, "x\ny\nx\n");
	tn_free(r.text);
	run(&r, "SELECT s FROM e ORDER BY i4 LIMIT 3", six, 6);
	assert_false(r.truncated);
	assert_string_equal(r.text, "x\nx\ny\n");
	tn_free(r.text);
	run(&r, "SELECT s FROM e ORDER BY i4 DESC", six, 6);
	assert_true(r.truncated);
	tn_free(r.text);
}

/* Goal: a query that holds too much fails with TN_ELIMIT and advice; the same
 * with LIMIT, which keeps few rows, does not. */
static void
test_memory(void **state)
{
	static const char *const sqls[] = { "SELECT i8 FROM e ORDER BY i8",
	    "SELECT DISTINCT _offset FROM e", "SELECT _offset, count(*)"
	    " FROM e GROUP BY _offset",
	    "SELECT count(DISTINCT _offset) FROM e",
	    "SELECT _offset % 3 FROM e ORDER BY _offset DESC LIMIT 5" };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	uint64_t seed = help_seed();
	struct tn_batch *b = help_batch(tn_sql_table(p,
	    tn_slice_of("e"))->schema, &seed, 100000, false);

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		struct tn_arena *a = tn_arena_new(4096);
		struct tn_exec_query_opts o = { .memory_max = 12 << 20 };
		struct tn_exec_query *q = tn_exec_query_new(help_query(p, a,
		    sqls[i]), &o);
		enum tn_status st = TN_OK;
		struct tn_diag d = { .line = 0 };
		struct tn_batch *out = NULL;
		bool cut;

		for (uint64_t k = 0; k < 12 && st == TN_OK; k++)
			st = tn_exec_query_push(q, &(struct tn_exec_rows){
			    .batch = b, .offset = k * 100000 }, NULL, &d);
		assert_int_equal(st, i == 4 ? TN_OK : TN_ELIMIT);
		assert_true(i == 4 || d.hint[0] != 0);
		if (st == TN_OK) {
			char *text;

			assert_int_equal(tn_exec_query_finish(q, &out, &cut,
			    &d), TN_OK);
			text = help_dump(out, false);
			assert_string_equal(text, "2\n1\n0\n2\n1\n");
			tn_free(text);
			tn_record_batch_unref(out);
		}
		tn_exec_query_free(q);
		tn_arena_free(a);
	}
	tn_record_batch_unref(b);
	tn_sql_pipeline_free(p);
}

/* Goal: random ORDER BY with LIMIT equals the full order cut afterwards. */
static void
test_top(void **state)
{
	static const char *const orders[] = { "i4", "i4 DESC", "s, i2",
	    "f8 DESC", "n NULLS FIRST", "t DESC NULLS LAST, k", "u", "b, d" };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	uint64_t seed = help_seed();
	struct tn_batch *b = help_batch(tn_sql_table(p,
	    tn_slice_of("e"))->schema, &seed, 20000, false);

	(void)state;
	for (uint32_t i = 0; i < TN_COUNT(orders); i++) {
		char *text[2];

		for (int top = 0; top < 2; top++) {
			struct tn_arena *a = tn_arena_new(4096);
			char *sql = tn_arena_printf(a, "SELECT _offset FROM e"
			    " ORDER BY %s%s", orders[i], top ?
			    " LIMIT 50" : "");
			struct tn_exec_query *q = tn_exec_query_new(
			    help_query(p, a, sql), NULL);
			struct tn_batch *out;
			char *end;

			for (uint64_t k = 0; k < 4; k++)
				assert_int_equal(tn_exec_query_push(q,
				    &(struct tn_exec_rows){ .batch = b,
				    .offset = k * 20000 }, NULL, NULL),
				    TN_OK);
			assert_int_equal(tn_exec_query_finish(q, &out, NULL,
			    NULL), TN_OK);
			text[top] = end = help_dump(out, false);
			for (int n = 0; n < 50; n++)
				end = strchr(end, '\n') + 1;
			*end = 0;
			tn_record_batch_unref(out);
			tn_exec_query_free(q);
			tn_arena_free(a);
		}
		assert_string_equal(text[0], text[1]);
		tn_free(text[0]);
		tn_free(text[1]);
	}
	tn_record_batch_unref(b);
	tn_sql_pipeline_free(p);
}

/* Goal: joins see the reference row as of each row's LSN; LEFT keeps rows. */
static void
test_joins(void **state)
{
	static const char *const refs1[] = { "x|red|1", "y|blue|2" };
	static const char *const refs2[] = { "x|green|3" };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_sql_table *t = tn_sql_table(p, tn_slice_of("r"));
	struct tn_exec_ref *ref = tn_exec_ref_new(t);
	struct tn_batch *b1 = help_rows(t->schema, refs1, 2);
	struct tn_batch *b2 = help_rows(t->schema, refs2, 1);
	const struct tn_exec_ref *const list[] = { ref };
	const char *const names[] = { "r" };
	struct tn_exec_refs set = { list, names, 1 };
	struct run r = { .batch_rows = 1, .refs = &set };

	(void)state;
	tn_exec_ref_put(ref, b1, NULL, 5);
	tn_exec_ref_put(ref, b2, NULL, 12);
	run(&r, "SELECT _offset, team FROM e JOIN r ON r.id = e.s", six, 6);
	assert_string_equal(r.text, "0|red\n1|blue\n2|green\n5|green\n");
	tn_free(r.text);
	run(&r, "SELECT _offset, team FROM e LEFT JOIN r ON r.id = e.s AND"
	    " r.w < 3", six, 6);
	assert_string_equal(r.text, "0|red\n1|blue\n2|\n3|\n4|\n5|\n");
	tn_free(r.text);
	run(&r, "SELECT _offset, team FROM e JOIN r ON r.id = e.s AND"
	    " r.w < 3", six, 6);
	assert_string_equal(r.text, "0|red\n1|blue\n");
	tn_free(r.text);
	run(&r, "SELECT team, count(*) FROM e LEFT JOIN r ON r.id = e.s"
	    " WHERE i4 < 40 GROUP BY team", six, 6);
	assert_string_equal(r.text, "blue|1\ngreen|2\nred|1\n");
	tn_free(r.text);
	r.refs = NULL;
	run(&r, "SELECT _offset, team FROM e JOIN r ON r.id = e.s", six, 6);
	assert_string_equal(r.text, "");
	tn_free(r.text);
	tn_exec_ref_free(ref);
	tn_record_batch_unref(b1);
	tn_record_batch_unref(b2);
	tn_sql_pipeline_free(p);
}

/* Goal: bounds for pruning are those of the ANDed comparisons, never more. */
static void
test_bounds(void **state)
{
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s;
	struct tn_exec_bound b[8];
	int64_t now = INT64_C(1772000000000000);

	(void)state;
	s = help_query(p, a, "SELECT k FROM e WHERE k >= 3 AND 5 > i4 AND"
	    " (s = 'a' OR b) AND t BETWEEN '2026-01-01' AND '2026-02-01' AND"
	    " d IN ('2026-01-05', '2026-01-03')");
	assert_int_equal(tn_exec_query_bounds(s, b, 8, a), 5);
	assert_int_equal(b[0].group, 0);
	assert_true(b[0].min != NULL && b[0].max == NULL);
	assert_int_equal(b[1].group, 4);
	assert_true(b[1].min == NULL && !b[1].max_inclusive);
	assert_int_equal(*(const int32_t *)b[1].max->values, 5);
	assert_true(b[3].max_inclusive);
	assert_int_equal(b[4].group, 9);
	assert_int_equal(*(const int32_t *)b[4].max->values -
	    *(const int32_t *)b[4].min->values, 2);
	assert_int_equal(tn_exec_query_bounds(s, b, 2, a), 2);
	s = help_query(p, a, "SELECT k FROM e WHERE t > now() - interval"
	    " '1 hour'");
	assert_int_equal(tn_exec_query_bounds(s, b, 8, a), 0);
	assert_int_equal(tn_exec_query_bounds_at(s, now, b, 8, a), 1);
	assert_int_equal(*(const int64_t *)b[0].min->values,
	    now - INT64_C(3600000000));
	s = help_query(p, a, "SELECT k FROM e WHERE f8 > 5 AND k = NULL");
	assert_int_equal(tn_exec_query_bounds(s, b, 8, a), 0);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: now() is the time of the query. */
static void
test_now(void **state)
{
	struct run r = { .opts.now_us = 1000000 };

	(void)state;
	run(&r, "SELECT 1 + 1, 'x', now() FROM e WHERE now() < t LIMIT 1",
	    six, 6);
	assert_string_equal(r.text, "2|x|1970-01-01 00:00:01+00\n");
	tn_free(r.text);
	run(&r, "SELECT max(now() - interval '1 second') FROM e", six, 6);
	assert_string_equal(r.text, "1970-01-01 00:00:00+00\n");
	tn_free(r.text);
	run(&r, "SELECT k, now() FROM e GROUP BY k HAVING k = 3", six, 6);
	assert_string_equal(r.text, "3|1970-01-01 00:00:01+00\n");
	tn_free(r.text);
}

/* Goal: a query whose asker has gone ends with the slice that it is at. */
static void
test_nobody_waits(void **state)
{
	static const char *const sqls[] = { "SELECT count(*) FROM e",
		"SELECT k, i8 FROM e ORDER BY k, i8" };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	uint64_t seed = help_seed();
	struct tn_batch *b = help_batch(tn_sql_table(p,
	    tn_slice_of("e"))->schema, &seed, 100000, false);

	(void)state;
	for (uint32_t i = 0; i < TN_COUNT(sqls); i++) {
		struct tn_arena *a = tn_arena_new(4096);
		_Atomic bool left = false;
		struct tn_exec_query_opts o = { .left = &left };
		struct tn_exec_query *q = tn_exec_query_new(help_query(p, a,
		    sqls[i]), &o);
		struct tn_exec_rows rows = { .batch = b };
		struct tn_diag d = { .line = 0 };

		assert_int_equal(tn_exec_query_push(q, &rows, NULL, &d), TN_OK);
		left = true;
		assert_int_equal(tn_exec_query_push(q, &rows, NULL, &d),
		    TN_ECLOSED);
		tn_exec_query_free(q);
		tn_arena_free(a);
	}
	tn_record_batch_unref(b);
	tn_sql_pipeline_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_aggregates),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

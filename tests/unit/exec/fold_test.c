/* Folds: results of each aggregate, and that merging is exact. */
#include "exec/exec.h"
#include "fold_help.h"

#include <math.h>

/* The result of one SELECT over rows given as text. */
static void
expect(const char *select, const char *const *rows, uint32_t count,
    const char *want)
{
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a, select);
	struct tn_exec_program *prog = tn_exec_program_new(s);
	struct tn_exec_fold *f = tn_exec_fold_new(prog);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_batch *in = help_rows(schema, rows, count);
	struct tn_exec_rows r = { .batch = in, .lsn = 5, .offset = 100 };
	struct tn_batch *out;
	uint64_t errors = 0;
	char *text;

	tn_exec_fold_apply(f, &r, NULL, &errors);
	out = tn_exec_fold_finish(f, &errors);
	text = help_dump(out, false);
	assert_string_equal(text, want);
	assert_int_equal(errors, 0);
	tn_free(text);
	tn_record_batch_unref(out);
	tn_record_batch_unref(in);
	tn_exec_fold_free(f);
	tn_exec_program_free(prog);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* k|s|b|i2|i4|i8|f4|f8|n|d|t|ts|tm|u|j */
static const char *const five[] = {
	"1|x|t|1|10|100|1.5|0.1|1.25|2026-03-01|2026-03-01T00:10:00Z",
	"1|y|f|2|20|200|2.5|0.2|2.25|2026-03-02|2026-03-01T00:20:00Z",
	"2|x|t|-3|30|300||0.3|3.5000|2026-03-03|2026-03-01T01:10:00Z",
	"2||||||||||2026-03-01T01:00:00Z",
	"|zz|f|5|50|500|5.5|0.5|5.0001|2026-02-03|",
};

/* Goal: every aggregate gives what PostgreSQL gives on a small table. */
static void
test_values(void **state)
{
	(void)state;
	expect("SELECT k, count(*), count(s), sum(i2), sum(i4), sum(i8),"
	    " sum(n) FROM e GROUP BY k", five, 5,
	    "1|2|2|3|30|300|3.5000\n2|2|1|-3|30|300|3.5000\n"
	    "|1|1|5|50|500|5.0001\n");
	expect("SELECT avg(i2), avg(n), min(i4), max(i4), min(s), max(s)"
	    " FROM e", five, 5,
	    "1.25|3.000025|10|50|x|zz\n");
	expect("SELECT k, bool_and(b), bool_or(b), min(d), max(t)"
	    " FROM e GROUP BY k", five, 5,
	    "1|false|true|2026-03-01|2026-03-01 00:20:00+00\n"
	    "2|true|true|2026-03-03|2026-03-01 01:10:00+00\n"
	    "|false|false|2026-02-03|\n");
	expect("SELECT sum(f4), sum(f8), count(distinct s), count(distinct"
	    " k) FROM e", five, 5, "9.5|1.1|3|2\n");
	expect("SELECT first(s, t), last(s, t), last(i4, t), first(i4, k)"
	    " FROM e", five, 5, "x|x|30|10\n");
	expect("SELECT arg_max(s, i4), arg_min(s, i2), count(*) FILTER"
	    " (WHERE i4 > 10) FROM e", five, 5, "zz|x|3\n");
	expect("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f8),"
	    " approx_count_distinct(s) FROM e", five, 5, "0.25|3\n");
	expect("SELECT var_pop(i4), stddev_samp(i4), var_samp(i4) FROM e"
	    " WHERE k = 1", five, 5, "25|7.0710678118654755|50\n");
}

/* Goal: no rows give one row without GROUP BY and none with it. */
static void
test_empty(void **state)
{
	(void)state;
	expect("SELECT count(*), sum(i4), min(s), avg(f8), count(distinct s),"
	    " percentile_cont(0.5) WITHIN GROUP (ORDER BY f8),"
	    " approx_count_distinct(k), last(s, t), var_samp(f8) FROM e",
	    five, 0, "0||||0||0||\n");
	expect("SELECT k, count(*) FROM e GROUP BY k", five, 0, "");
	expect("SELECT count(*) FROM e WHERE k > 5", five, 5, "0\n");
}

/* Goal: HAVING, expressions over groups, and groups in order of keys. */
static void
test_having(void **state)
{
	(void)state;
	expect("SELECT k * 10 AS kk, 100 / (sum(i4) - 30) FROM e GROUP BY k"
	    " HAVING sum(i4) <> 30", five, 5, "|5\n");
	expect("SELECT s, k, count(*) FROM e GROUP BY s, k", five, 5,
	    "x|1|1\nx|2|1\ny|1|1\nzz||1\n|2|1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_having),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

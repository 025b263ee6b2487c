/* Saved states against hostile bytes, and aggregates at their edges. */
#include "exec/exec.h"
#include "fold_help.h"

#include <math.h>
#include <pthread.h>

#define ALL HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT k, " \
    "count(*) AS a0, sum(i4) AS a1, sum(n) AS a2, avg(i8) AS a3, " \
    "sum(f8) AS a4, avg(f4) AS a5, min(s) AS a6, max(u) AS a7, " \
    "min(f8) AS a8, max(n) AS a9, bool_and(b) AS a10, stddev(f8) AS a11, " \
    "first(s, t) AS a12, last(n, s) AS a13, arg_max(s, d) AS a14, " \
    "count(DISTINCT s) AS a15, count(DISTINCT n) AS a16, " \
    "count(DISTINCT i4) AS a17, approx_count_distinct(f8) AS a18, " \
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY f8) AS a19, " \
    "max(i2) AS a20 FROM e GROUP BY k;"

struct view {
	struct tn_sql_pipeline *pipeline;
	const struct tn_schema *schema;
	struct tn_exec_program *program;
};

static void
view_init(struct view *v, const char *sql)
{
	v->pipeline = help_pipeline(sql);
	v->program = tn_exec_program_new(tn_sql_view(v->pipeline,
	    tn_slice_of("v"))->select);
	v->schema = tn_sql_table(v->pipeline, tn_slice_of("e"))->schema;
}

static void
view_fini(struct view *v)
{
	tn_exec_program_free(v->program);
	tn_sql_pipeline_free(v->pipeline);
}

static struct tn_exec_fold *
fold_of(const struct view *v, uint64_t *r, uint32_t rows)
{
	struct tn_exec_fold *f = tn_exec_fold_new(v->program);
	struct tn_batch *b = help_batch(v->schema, r, rows, true);

	tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = b }, NULL,
	    NULL);
	tn_record_batch_unref(b);
	return f;
}

/* The saved batch with other state bytes in row ${row}. */
static struct tn_batch *
with_state(const struct tn_batch *b, uint32_t row, const uint8_t *p,
    size_t n)
{
	struct tn_builder *to = tn_record_builder_new(b->schema, b->rows);
	uint32_t last = b->schema->count - 1;
	struct tn_batch *out;

	for (uint32_t i = 0; i < b->rows; i++) {
		for (uint32_t c = 0; c < last; c++)
			tn_record_builder_copy(to, c, &b->columns[c], i);
		if (i == row)
			tn_record_builder_text(to, last, p, n);
		else
			tn_record_builder_copy(to, last, &b->columns[last],
			    i);
		tn_record_builder_row_end(to);
	}
	out = tn_record_builder_take(to);
	tn_record_builder_free(to);
	return out;
}

/* Whatever was loaded must survive every operation. */
static void
use(const struct tn_exec_fold *f, const struct tn_exec_fold *other)
{
	struct tn_exec_fold *c = tn_exec_fold_clone(f, NULL, 0);
	struct tn_batch *b;

	tn_exec_fold_merge(c, other);
	tn_exec_fold_merge(c, f);
	b = tn_exec_fold_finish(c, NULL);
	tn_record_batch_unref(b);
	b = tn_exec_fold_save(c);
	tn_record_batch_unref(b);
	tn_exec_fold_free(c);
}

/* Goal: changed, cut and grown state bytes give TN_ECORRUPT or a fold that
 * works; they never crash (run under ASan and UBSan). */
static void
test_hostile(void **state)
{
	uint64_t r = help_seed();
	uint32_t loaded_count = 0;
	struct tn_exec_fold *f;
	struct tn_batch *b;
	struct view v;

	(void)state;
	view_init(&v, ALL);
	f = fold_of(&v, &r, 40);
	b = tn_exec_fold_save(f);
	for (int i = 0; i < 4000; i++) {
		uint32_t row = (uint32_t)(help_random(&r) % b->rows);
		struct tn_slice s = tn_column_text(
		    &b->columns[b->schema->count - 1], row);
		uint8_t bytes[8192];
		size_t n = s.n;
		struct tn_exec_fold *loaded = NULL;
		struct tn_batch *bad;

		assert_true(n + 16 < sizeof bytes);
		memset(bytes, 0xa5, sizeof bytes);
		memcpy(bytes, s.p, n);
		for (uint64_t k = help_random(&r) % 3 + 1; k > 0; k--)
			bytes[help_random(&r) % n] = (uint8_t)
			    help_random(&r);
		if (i % 5 == 0)
			n = help_random(&r) % (n + 1);
		else if (i % 5 == 1)
			n += help_random(&r) % 8;
		bad = with_state(b, row, bytes, n);
		if (tn_exec_fold_load(v.program, bad, &loaded) == TN_OK) {
			use(loaded, f);
			loaded_count++;
		} else {
			assert_null(loaded);
		}
		tn_exec_fold_free(loaded);
		tn_record_batch_unref(bad);
	}
	assert_true(loaded_count > 0 && loaded_count < 3000);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	view_fini(&v);
}

/* Goal: a batch without the columns, with a null state, with a key twice, or
 * of another program is corrupt. */
static void
test_misfits(void **state)
{
	uint64_t r = help_seed();
	uint32_t twice[] = { 0, 1, 0 };
	struct tn_exec_fold *loaded = NULL;
	struct tn_exec_fold *f;
	struct tn_batch *b;
	struct tn_batch *bad;
	struct view v;
	struct view w;

	(void)state;
	view_init(&v, ALL);
	view_init(&w, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT k, "
	    "sum(i4) AS a, count(*) AS n FROM e GROUP BY k;");
	f = fold_of(&v, &r, 40);
	b = tn_exec_fold_save(f);
	assert_int_equal(tn_exec_fold_load(w.program, b, &loaded),
	    TN_ECORRUPT);
	bad = tn_record_batch_take(b, twice, 3);
	assert_int_equal(tn_exec_fold_load(v.program, bad, &loaded),
	    TN_ECORRUPT);
	tn_record_batch_unref(bad);
	bad = help_batch(v.schema, &r, 3, false);
	assert_int_equal(tn_exec_fold_load(v.program, bad, &loaded),
	    TN_ECORRUPT);
	tn_record_batch_unref(bad);
	bad = tn_record_batch_take(b, twice, 0);
	assert_int_equal(tn_exec_fold_load(v.program, bad, &loaded), TN_OK);
	assert_int_equal(tn_exec_fold_groups(loaded), 0);
	tn_exec_fold_free(loaded);
	tn_record_batch_unref(bad);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	view_fini(&v);
	view_fini(&w);
}

/* Goal: bytes counted go up with what is held and are all given back. */
static void
test_bytes(void **state)
{
	uint64_t r = help_seed();
	struct tn_exec_fold *f;
	struct tn_exec_fold *g;
	struct view v;

	(void)state;
	view_init(&v, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT "
	    "count(DISTINCT i8) AS a, max(s) AS b FROM e;");
	f = tn_exec_fold_new(v.program);
	assert_true(tn_exec_fold_bytes(f) < 1024);
	g = fold_of(&v, &r, 4000);
	assert_true(tn_exec_fold_bytes(g) > tn_exec_fold_bytes(f) + 1000);
	tn_exec_fold_free(f);
	tn_exec_fold_free(g);
	view_fini(&v);
}

/* ---- edges ----------------------------------------------------------- */

/* One output column of a query over rows of "i8|f8|n". */
static char *
edge(const char *select, const char *const *rows, uint32_t count,
    uint64_t *errors)
{
	struct tn_sql_pipeline *p = help_pipeline("CREATE TABLE e (i8 int8,"
	    " f8 float8, n numeric(38,0), f4 real);");
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_exec_program *prog = tn_exec_program_new(help_query(p, a,
	    select));
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_exec_fold *whole = tn_exec_fold_new(prog);
	struct tn_batch *out;
	char *text;

	/* Each row a fold of its own, merged from the last to the first. */
	for (uint32_t i = count; i > 0; i--) {
		struct tn_exec_fold *f = tn_exec_fold_new(prog);
		struct tn_batch *b = help_rows(schema, rows + i - 1, 1);

		tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = b,
		    .offset = i }, NULL, NULL);
		tn_exec_fold_merge(whole, f);
		tn_record_batch_unref(b);
		tn_exec_fold_free(f);
	}
	*errors = 0;
	out = tn_exec_fold_finish(whole, errors);
	text = help_dump(out, false);
	tn_record_batch_unref(out);
	tn_exec_fold_free(whole);
	tn_exec_program_free(prog);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
	return text;
}

static void
check(const char *select, const char *const *rows, uint32_t count,
    const char *want, uint64_t errors_want)
{
	uint64_t errors;
	char *text = edge(select, rows, count, &errors);

	if (strcmp(text, want) != 0 || errors != errors_want)
		fail_msg("%s: %s (%llu errors), wanted %s", select, text,
		    (unsigned long long)errors, want);
	tn_free(text);
}

#define NINES "99999999999999999999999999999999999999"

/* Goal: sums that leave their type on the way come back exact; a result
 * outside of its type is null and an error. */
static void
test_wide_sums(void **state)
{
	static const char *const big[] = { "9223372036854775807|1e308|" NINES,
	    "9223372036854775807|1e308|" NINES, "-9223372036854775808|-1e308|-"
	    NINES, "-9223372036854775808|-1e308|-" NINES, "5|0.5|7" };

	(void)state;
	check("SELECT sum(i8), sum(f8), sum(n) FROM e", big, 5,
	    "3|0.5|7\n", 0);
	check("SELECT sum(i8) FROM e", big, 2, "18446744073709551614\n", 0);
	check("SELECT sum(n) FROM e", big, 2, "\n", 1);
	check("SELECT sum(f8), avg(f8) FROM e", big, 2, "|1e+308\n", 1);
	check("SELECT avg(n) FROM e", big, 5, "1.4\n", 0);
	check("SELECT avg(n) FROM e", big, 2, "\n", 1);
	check("SELECT avg(i8) FROM e", big, 3, "3074457345618258602\n", 0);
}

/* Goal: averages round half away from zero at 16 digits. */
static void
test_rounding(void **state)
{
	static const char *const rows[] = { "1", "1", "0", "-1", "-1", "-2" };

	(void)state;
	check("SELECT avg(i8) FROM e", rows, 3, "0.6666666666666667\n", 0);
	check("SELECT avg(i8) FROM e", rows + 3, 3, "-1.3333333333333333\n",
	    0);
	check("SELECT avg(i8) FROM e", rows + 2, 4, "-1\n", 0);
}

/* Goal: NaN, infinities and signed zeros as PostgreSQL has them. */
static void
test_special_floats(void **state)
{
	static const char *const rows[] = { "1|NaN", "2|Infinity",
	    "3|-Infinity", "4|-0", "5|0", "6|1.5" };

	(void)state;
	check("SELECT min(f8), max(f8), sum(f8), count(DISTINCT f8) FROM e",
	    rows, 6, "-Infinity|NaN|NaN|5\n", 0);
	check("SELECT sum(f8), avg(f8), stddev(f8) FROM e", rows + 1, 2,
	    "NaN|NaN|NaN\n", 0);
	check("SELECT sum(f8), max(f8), min(f8) FROM e", rows + 2, 4,
	    "-Infinity|1.5|-Infinity\n", 0);
	check("SELECT var_pop(f8), var_samp(f8), stddev_pop(f8) FROM e",
	    rows + 5, 1, "0||0\n", 0);
	check("SELECT var_pop(f8) FROM e", rows + 1, 1, "NaN\n", 0);
	check("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f8),"
	    " arg_min(i8, f8), arg_max(i8, f8) FROM e", rows, 6,
	    "0.75|3|1\n", 0);
}

/* Goal: variance keeps its digits far from zero, where sums of squares as
 * doubles have none left. */
static void
test_variance(void **state)
{
	static const char *const rows[] = { "1|1000000000000.1",
	    "2|1000000000000.2", "3|1000000000000.3", "4|1e200" };
	uint64_t errors;
	char *text = edge("SELECT var_samp(f8) FROM e", rows, 3, &errors);

	(void)state;
	assert_true(fabs(strtod(text, NULL) - 0.01) < 1e-5);
	tn_free(text);
	check("SELECT var_samp(f8) FROM e", rows, 4, "\n", 1);
}

/* Goal: ties of first and last go by offset, those of arg_min and arg_max to
 * the smaller value; a null value may be first, but not a null time. */
static void
test_ties(void **state)
{
	static const char *const rows[] = { "7|1", "5|1", "|1", "9|", "4|2",
	    "3|2", "|2" };

	(void)state;
	check("SELECT first(i8, f8), last(i8, f8), arg_min(i8, f8),"
	    " arg_max(i8, f8) FROM e", rows, 6, "7|3|5|3\n", 0);
	check("SELECT first(i8, f8), last(i8, f8), arg_max(i8, f8) FROM e",
	    rows + 2, 5, "||3\n", 0);
}

/* Goal: the sketch stays within 5 % (three standard errors) from 1 to 10^6
 * values, and exact sets count them all. */
static void
test_distinct_many(void **state)
{
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_exec_program *prog = tn_exec_program_new(help_query(p, a,
	    "SELECT approx_count_distinct(_offset), count(DISTINCT _offset)"
	    " FROM e"));
	struct tn_exec_fold *f = tn_exec_fold_new(prog);
	uint64_t r = help_seed();
	struct tn_batch *b = help_batch(tn_sql_table(p,
	    tn_slice_of("e"))->schema, &r, 100, false);
	uint64_t n = 0;

	(void)state;
	for (uint64_t next = 1000; n < 1000000; next *= 10) {
		struct tn_batch *out;
		int64_t got;

		for (; n < next; n += 100)
			tn_exec_fold_apply(f, &(struct tn_exec_rows){
			    .batch = b, .offset = n }, NULL, NULL);
		out = tn_exec_fold_finish(f, NULL);
		got = *(const int64_t *)out->columns[0].values;
		assert_true(llabs(got - (int64_t)n) < (int64_t)n / 20);
		assert_int_equal(*(const int64_t *)out->columns[1].values,
		    n);
		tn_record_batch_unref(out);
	}
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	tn_exec_program_free(prog);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* ---- threads --------------------------------------------------------- */

static void *
fold_thread(void *arg)
{
	const struct view *v = arg;
	uint64_t r = 77;
	struct tn_exec_fold *f = fold_of(v, &r, 3000);
	struct tn_batch *b = tn_exec_fold_save(f);
	char *text = help_dump(b, false);

	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	return text;
}

/* Goal: one program serves several threads at once (run under TSan). */
static void
test_threads(void **state)
{
	pthread_t threads[3];
	void *texts[3];
	struct view v;

	(void)state;
	view_init(&v, ALL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    fold_thread, &v), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], &texts[i]);
	assert_string_equal(texts[0], texts[1]);
	assert_string_equal(texts[0], texts[2]);
	for (int i = 0; i < 3; i++)
		tn_free(texts[i]);
	view_fini(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_misfits),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_wide_sums),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_special_floats),
		cmocka_unit_test(test_variance),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_distinct_many),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

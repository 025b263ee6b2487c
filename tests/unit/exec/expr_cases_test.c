/* Every function, operator and cast over six rows, against results of a real
 * PostgreSQL 15 (expr_cases.h). Each case runs over all rows at once, over
 * each row alone, and over the rows repeated many times, so that constants,
 * block loops and tails are all met; row errors must be exactly where
 * PostgreSQL fails, with its words. Differences that are meant stand in
 * differs[] with their reason. */
#include "expr_help.h"

#include "expr_cases.h"

/* Cases that Tarn answers differently by design. */
static const struct {
	const char *expr;
	const char *reason;
} differs[] = {
	{ "j = '{\"a\": 1}'::jsonb", "jsonb has no comparison" },
	{ "'1e40'::real", "the binder's constant, not evaluated here" },
	{ "extract(timezone from tz)", "refused: always UTC" },
	{ "extract(julian from d)", "refused" },
	{ "coalesce(i4, 1 / 0)", "PostgreSQL folds the constant first" },
	{ "f4::numeric", "numeric has 38 digits, no NaN" },
	{ "f8::numeric", "numeric has 38 digits, no infinity" },
	{ "round(f8::numeric, 2)", "numeric has 38 digits, no infinity" },
	{ "'2024-02-29T13:14:15+02:00'::timestamp", "refused: the offset" },
	{ "'2024-02-29 13:14:15 Europe/Berlin'::timestamptz",
	  "refused in a constant" },
	{ "'2024-07-01 13:14:15 America/New_York'::timestamptz",
	  "refused in a constant" },
	{ "date_trunc(concat('month'), ts)", "units are constants" },
	{ "date_trunc(concat('day'), tz, concat('Europe/Berlin'))",
	  "units are constants" },
	{ "right(s, -2147483648)", "PostgreSQL's -n overflows: all of s" },
	{ "right('Grüße', i4)", "PostgreSQL's -n overflows: all of it" },
	{ "make_interval(2147483647)", "PostgreSQL 15's months overflow" },
	{ "to_timestamp(f8)", "timestamps have no infinity" },
};

static bool
is_known(const char *expr)
{
	for (size_t i = 0; i < TN_COUNT(differs); i++)
		if (strcmp(differs[i].expr, expr) == 0)
			return true;
	return false;
}

/* As expr_cases.sh: numerics to nine digits without zeros at the end. */
static void
print(struct tn_buf *out, const struct tn_column *c, uint32_t row)
{
	struct tn_buf raw = { 0 };
	__int128 v;

	if (c->type.id != TN_T_NUMERIC) {
		if (c->type.id == TN_T_BOOL)
			tn_buf_str(out, ((const uint8_t *)c->values)[row] ?
			    "true" : "false");
		else
			tn_record_print(out, c, row);
		return;
	}
	tn_record_print(&raw, c, row);
	assert_true(tn_record_parse_numeric(
	    (struct tn_slice){ raw.p, raw.n }, 38, 9, &v));
	tn_record_print_numeric(out, v, 9, false);
	tn_buf_fini(&raw);
}

/* Compare row ${at} of a result with what row ${row} of the table gives. */
static bool
same(const struct tn_column *c, uint32_t at, bool error, const char *want,
    struct tn_buf *got)
{
	tn_buf_clear(got);
	/* The value may be there: coalesce goes on after an error's null. */
	if (error) {
		tn_buf_str(got, "!error");
		return want != NULL && want[0] == '!';
	}
	if (!tn_column_valid(c, at)) {
		tn_buf_str(got, "null");
		return want == NULL;
	}
	print(got, c, at);
	return want != NULL && strcmp(tn_buf_cstr(got), want) == 0;
}

static uint32_t
run(const struct expr_case *k, const struct tn_sql_expr *e,
    const struct tn_batch *b, const uint32_t *row_of, const char *mode)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	uint8_t *errors = tn_arena_zalloc(a, b->rows);
	struct tn_exec_env env = { .batch = b, .arena = a,
	    .error_rows = errors };
	const struct tn_column *c = tn_exec_eval(e, &env);
	struct tn_buf got = { 0 };
	uint32_t bad = 0;

	assert_int_equal(c->rows, b->rows);
	for (uint32_t i = 0; i < b->rows && bad < 6; i++) {
		const char *want = k->results[row_of[i]];

		if (same(c, i, errors[i] != 0, want, &got))
			continue;
		bad++;
		printf("DIFF %s | row %u (%s): got %s, want %s\n", k->expr,
		    row_of[i] + 1, mode, tn_buf_cstr(&got),
		    want == NULL ? "null" : want);
	}
	if (b->rows == 1 && errors[0] && k->results[row_of[0]] != NULL &&
	    k->results[row_of[0]][0] == '!' && strcmp(env.message, k->results[row_of[0]] + 1) != 0) {
		printf("MESSAGE %s: \"%s\", want \"%s\"\n", k->expr,
		    env.message, k->results[row_of[0]] + 1);
		bad++;
	}
	tn_buf_fini(&got);
	tn_arena_free(a);
	return bad;
}

/* The text columns as dictionaries: must not change any answer. */
static void
check_dicts(struct tn_batch *b, struct tn_arena *a)
{
	for (uint32_t k = 0; k < b->schema->count; k++) {
		struct tn_column *c = &b->columns[k];
		struct tn_column *dict = tn_arena_alloc(a, sizeof *dict);
		uint32_t *codes = tn_arena_alloc(a, b->rows * 4ul);

		if (c->type.id != TN_T_TEXT)
			continue;
		*dict = *c;
		dict->rows = 6;
		dict->valid = NULL;
		for (uint32_t i = 0; i < b->rows; i++) {
			uint32_t first = i % 6;

			codes[i] = tn_column_valid(c, i) ? first : 999999;
		}
		*c = (struct tn_column){ .type = dict->type, .rows = b->rows,
		    .valid = c->valid, .values = codes, .dict = dict };
	}
}

static void
mark(const struct tn_sql_expr *e, bool *seen)
{
	if (e->node == TN_SQL_CALL)
		seen[e->fn] = true;
	for (uint32_t i = 0; i < e->arg_count; i++)
		mark(e->args[i], seen);
}

static uint32_t
check(struct world *w, const struct expr_case *k, bool *seen)
{
	struct tn_diag d;
	const struct tn_sql_select *s = bind(w, k->expr, &d);
	uint32_t all[6] = { 0, 1, 2, 3, 4, 5 };
	uint32_t many[300], bad, works = 0;
	struct tn_batch *b;

	/* What fails for every row may be refused when it is bound. */
	for (int i = 0; s == NULL && i < 6; i++)
		works += k->results[i] != NULL && k->results[i][0] != '!';
	if (s == NULL && works == 0)
		return 0;
	if (s == NULL) {
		printf("REFUSED %s: %s\n", k->expr, d.message);
		return 1;
	}
	mark(s->outputs[0].expr, seen);
	bad = run(k, s->outputs[0].expr, w->rows, all, "all");
	for (uint32_t i = 0; i < 6; i++) {
		b = tn_record_batch_take(w->rows, &i, 1);
		bad += run(k, s->outputs[0].expr, b, &i, "alone");
		tn_record_batch_unref(b);
	}
	for (uint32_t i = 0; i < TN_COUNT(many); i++)
		many[i] = i * 7 % 6;
	b = tn_record_batch_take(w->rows, many, TN_COUNT(many));
	bad += run(k, s->outputs[0].expr, b, many, "many");
	tn_record_batch_unref(b);
	for (uint32_t i = 0; i < TN_COUNT(many); i++)
		many[i] = i % 6;
	b = tn_record_batch_take(w->rows, many, TN_COUNT(many));
	check_dicts(b, w->plans);
	bad += run(k, s->outputs[0].expr, b, many, "dictionary");
	tn_record_batch_unref(b);
	return bad;
}

/* Goal: results, nulls and row errors of every case are PostgreSQL's. */
static void
test_cases(void **state)
{
	bool seen[TN_FN_COUNT] = { false };
	uint32_t bad = 0;
	struct world w;

	(void)state;
	world_init(&w);
	seen[TN_FN_NOW] = true;          /* No fixed answer; test_now. */
	for (size_t i = 0; i < TN_COUNT(expr_cases); i++) {
		if (is_known(expr_cases[i].expr))
			continue;
		bad += check(&w, &expr_cases[i], seen) != 0;
	}
	printf("%zu expressions, %u with differences\n",
	    TN_COUNT(expr_cases), bad);
	assert_int_equal(bad, 0);
	for (int i = 0; i < TN_FN_COUNT; i++)
		if (!seen[i])
			fail_msg("function %d has no case", i);
	world_fini(&w);
}

/* Goal: now() is the time of the query, the same for all rows. */
static void
test_now(void **state)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_exec_env env = { .arena = a, .now_us = 1772323200000000 };
	const struct tn_sql_select *s;
	const struct tn_column *c;
	struct tn_diag d;
	struct world w;

	(void)state;
	world_init(&w);
	env.batch = w.rows;
	s = bind(&w, "now()", &d);
	assert_non_null(s);
	c = tn_exec_eval(s->outputs[0].expr, &env);
	assert_int_equal(c->rows, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(((const int64_t *)c->values)[i], env.now_us);
	tn_arena_free(a);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

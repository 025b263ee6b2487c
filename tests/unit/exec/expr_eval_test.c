/* Evaluation itself, on expressions built by hand: laziness of CASE, COALESCE,
 * AND and OR with their row errors, constants, empty batches, dictionary
 * columns, bitmaps that end with their last byte, nesting, text limits, and
 * a property test of three-valued logic and arithmetic against plain C. */
#include "exec/expr_int.h"
#include "net/net.h"
#include "test.h"

#define ROWS_MAX 300

struct fix {
	struct tn_arena *a;
	struct tn_batch *b;
	struct tn_exec_env env;
};

static struct tn_column
ints(struct tn_arena *a, const int32_t *v, const char *nulls, uint32_t rows)
{
	struct tn_column c = { .type = tn_record_type(TN_T_INT4),
	    .rows = rows };
	uint8_t *valid = tn_arena_zalloc(a, (rows + 7) / 8);

	for (uint32_t i = 0; i < rows; i++)
		if (nulls == NULL || nulls[i] != 'n')
			valid[i / 8] |= (uint8_t)(1 << i % 8);
	c.valid = nulls == NULL ? NULL : valid;
	c.values = v;
	return c;
}

static struct tn_column
bools(struct tn_arena *a, const char *tfn, uint32_t rows)
{
	struct tn_column c = { .type = tn_record_type(TN_T_BOOL),
	    .rows = rows };
	uint8_t *valid = tn_arena_zalloc(a, (rows + 7) / 8);
	uint8_t *v = tn_arena_zalloc(a, rows + 1);

	for (uint32_t i = 0; i < rows; i++) {
		if (tfn[i] != 'n')
			valid[i / 8] |= (uint8_t)(1 << i % 8);
		v[i] = tfn[i] == 't';
	}
	c.valid = valid;
	c.values = v;
	return c;
}

static void
setup(struct fix *f, const struct tn_column *columns, uint32_t count,
    uint32_t rows)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_field *fields = tn_arena_zalloc(a, 8 * sizeof *fields);
	struct tn_schema *s = tn_arena_zalloc(a, sizeof *s);
	struct tn_column *own = tn_arena_zalloc(a, 8 * sizeof *own);

	for (uint32_t k = 0; k < count; k++) {
		fields[k] = (struct tn_field){ .name = "c",
		    .type = columns[k].type };
		own[k] = columns[k];
	}
	*s = (struct tn_schema){ .name = "t", .count = count,
	    .fields = fields };
	memset(f, 0, sizeof *f);
	f->b = tn_record_batch_new(a, s, rows, own);
	f->a = tn_arena_new(4096);
	f->env = (struct tn_exec_env){ .batch = f->b, .arena = f->a,
	    .now_us = 1234567 };
	f->env.error_rows = tn_arena_zalloc(f->a, rows + 1);
}

static void
teardown(struct fix *f)
{
	tn_record_batch_unref(f->b);
	tn_arena_free(f->a);
}

/* ---- expressions by hand --------------------------------------------- */

static struct tn_sql_expr *
node(struct fix *f, enum tn_sql_node kind, enum tn_type_id type, uint32_t n,
    const struct tn_sql_expr *const *args)
{
	struct tn_sql_expr *e = tn_arena_zalloc(f->a, sizeof *e);
	const struct tn_sql_expr **own = tn_arena_alloc(f->a,
	    (n + 1) * sizeof *own);

	for (uint32_t i = 0; i < n; i++)
		own[i] = args[i];
	e->node = kind;
	e->type = tn_record_type(type);
	e->args = own;
	e->arg_count = n;
	return e;
}

#define LIST(...) (const struct tn_sql_expr *const[]){ __VA_ARGS__ }

static struct tn_sql_expr *
col(struct fix *f, uint32_t k)
{
	struct tn_sql_expr *e = node(f, TN_SQL_COLUMN,
	    f->b->columns[k].type.id, 0, NULL);

	e->column = k;
	return e;
}

static struct tn_sql_expr *
call2(struct fix *f, enum tn_sql_fn fn, enum tn_type_id type,
    const struct tn_sql_expr *x, const struct tn_sql_expr *y)
{
	struct tn_sql_expr *e = node(f, TN_SQL_CALL, type, 2, LIST(x, y));

	e->fn = fn;
	return e;
}

static struct tn_sql_expr *
constant(struct fix *f, enum tn_type_id type, const char *text)
{
	struct tn_sql_expr *e = node(f, TN_SQL_CONST, type, 0, NULL);

	e->value = tn_exec_parse(f->a, tn_record_type(type),
	    tn_slice_of(text));
	assert_non_null(e->value);
	return e;
}

static struct tn_sql_expr *
null_const(struct fix *f, enum tn_type_id type)
{
	struct tn_sql_expr *e = node(f, TN_SQL_CONST, type, 0, NULL);
	struct tn_column *c = tn_arena_zalloc(f->a, sizeof *c);

	c->type = e->type;
	c->rows = 1;
	c->valid = tn_arena_zalloc(f->a, 1);
	e->value = c;
	return e;
}

static int32_t
int_at(const struct tn_column *c, uint32_t i)
{
	return ((const int32_t *)c->values)[i];
}

/* Rows as one letter each: t f n. */
static const char *
letters(const struct tn_column *c)
{
	static char out[ROWS_MAX + 1];

	for (uint32_t i = 0; i < c->rows; i++)
		out[i] = !tn_column_valid(c, i) ? 'n' :
		    ((const uint8_t *)c->values)[i] ? 't' : 'f';
	out[c->rows] = '\0';
	return out;
}

/* Is a value of the column not ${want}? For threads: no static space. */
static bool
letters_differ(const struct tn_column *c, bool want)
{
	for (uint32_t i = 0; i < c->rows; i++)
		if (!tn_column_valid(c, i) ||
		    ((const uint8_t *)c->values)[i] != want)
			return true;
	return false;
}

/* ---- tests ----------------------------------------------------------- */

/* Goal: a branch not taken raises no error, and its rows are null or else. */
static void
test_case_is_lazy(void **state)
{
	int32_t v[6] = { 2, 0, 5, 0, -1, 0 };
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = ints(a, v, "     n", 6);
	const struct tn_sql_expr *x, *zero, *ten, *div;
	const struct tn_column *r;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 6);
	x = col(&f, 0);
	zero = constant(&f, TN_T_INT4, "0");
	ten = constant(&f, TN_T_INT4, "10");
	div = call2(&f, TN_FN_DIV, TN_T_INT4, ten, x);
	r = tn_exec_eval(node(&f, TN_SQL_CASE, TN_T_INT4, 2,
	    LIST(call2(&f, TN_FN_NE, TN_T_BOOL, x, zero), div)), &f.env);
	assert_int_equal(f.env.errors, 0);
	assert_int_equal(int_at(r, 0), 5);
	assert_false(tn_column_valid(r, 1));
	assert_int_equal(int_at(r, 1), 0);
	assert_int_equal(int_at(r, 4), -10);
	assert_false(tn_column_valid(r, 5));
	/* Bare, rows 1 and 3 fail, and only they; the null does not. */
	r = tn_exec_eval(div, &f.env);
	assert_int_equal(f.env.errors, 2);
	assert_string_equal(f.env.message, "division by zero");
	for (int i = 0; i < 6; i++)
		assert_int_equal(f.env.error_rows[i], i == 1 || i == 3);
	assert_false(tn_column_valid(r, 3));
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: what the left side decides, the right side cannot break; an error on
 * an undecided row counts. */
static void
test_and_or_are_lazy(void **state)
{
	int32_t v[4] = { 0, 1, 0, 3 };
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = ints(a, v, "  n ", 4);
	const struct tn_sql_expr *x, *zero, *big, *ne, *eq;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 4);
	x = col(&f, 0);
	zero = constant(&f, TN_T_INT4, "0");
	big = call2(&f, TN_FN_GT, TN_T_BOOL, call2(&f, TN_FN_DIV, TN_T_INT4,
	    constant(&f, TN_T_INT4, "6"), x),
	    constant(&f, TN_T_INT4, "5"));
	ne = call2(&f, TN_FN_NE, TN_T_BOOL, x, zero);
	eq = call2(&f, TN_FN_EQ, TN_T_BOOL, x, zero);
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_AND,
	    TN_T_BOOL, 2, LIST(ne, big)), &f.env)), "ftnf");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_OR,
	    TN_T_BOOL, 2, LIST(eq, big)), &f.env)), "ttnf");
	assert_int_equal(f.env.errors, 0);
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_AND,
	    TN_T_BOOL, 2, LIST(big, ne)), &f.env)), "ftnf");
	assert_int_equal(f.env.errors, 1);
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: an error in a constant counts once for every row that reaches it. */
static void
test_constant_error(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = bools(a, "tfntf", 5);
	const struct tn_sql_expr *one, *bad;
	const struct tn_column *r;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 5);
	one = constant(&f, TN_T_INT4, "1");
	bad = call2(&f, TN_FN_DIV, TN_T_INT4, one,
	    constant(&f, TN_T_INT4, "0"));
	r = tn_exec_eval(node(&f, TN_SQL_CASE, TN_T_INT4, 3,
	    LIST(col(&f, 0), bad, one)), &f.env);
	assert_int_equal(f.env.errors, 2);
	assert_int_equal(f.env.error_rows[0] + f.env.error_rows[3], 2);
	assert_false(tn_column_valid(r, 0));
	assert_int_equal(int_at(r, 1), 1);
	assert_int_equal(int_at(r, 2), 1);
	r = tn_exec_eval(bad, &f.env);
	assert_int_equal(f.env.errors, 7);
	assert_int_equal(r->rows, 5);
	for (uint32_t i = 0; i < 5; i++)
		assert_false(tn_column_valid(r, i));
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: constants are spread, nulls of every type among them, and an empty
 * batch gives an empty column without errors. */
static void
test_constants_and_empty(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = bools(a, "tf", 2);
	const struct tn_column *r;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 2);
	r = tn_exec_eval(constant(&f, TN_T_TEXT, "abc"), &f.env);
	assert_int_equal(r->rows, 2);
	assert_true(tn_slice_is(tn_column_text(r, 1), "abc"));
	for (int t = TN_T_BOOL; t < TN_T_COUNT; t++) {
		r = tn_exec_eval(null_const(&f, (enum tn_type_id)t), &f.env);
		assert_int_equal(r->rows, 2);
		assert_false(tn_column_valid(r, 0));
		assert_false(tn_column_valid(r, 1));
		if (tn_record_type_width(r->type) == 0)
			assert_int_equal(r->offsets[2], 0);
	}
	teardown(&f);
	c.rows = 0;
	setup(&f, &c, 1, 0);
	r = tn_exec_eval(call2(&f, TN_FN_DIV, TN_T_INT4,
	    constant(&f, TN_T_INT4, "1"), constant(&f, TN_T_INT4, "0")),
	    &f.env);
	assert_int_equal(r->rows, 0);
	assert_int_equal(f.env.errors, 0);
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: filter is true where the condition is true, not where it is null. */
static void
test_filter(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = bools(a, "tfnntfttf", 9);
	const char want[] = "tffftfttf";
	uint8_t out[9];
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 9);
	tn_exec_filter(col(&f, 0), &f.env, out);
	for (int i = 0; i < 9; i++)
		assert_int_equal(out[i], want[i] == 't');
	tn_exec_filter(null_const(&f, TN_T_BOOL), &f.env, out);
	for (int i = 0; i < 9; i++)
		assert_int_equal(out[i], 0);
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: a dictionary column gives what the plain column gives. */
static void
test_dictionary(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	uint32_t offsets[4] = { 0, 3, 3, 8 };
	uint32_t codes[5] = { 2, 0, 9999, 1, 0 };
	uint8_t valid = 0x1b;
	struct tn_column dict = { .type = tn_record_type(TN_T_TEXT),
	    .rows = 3, .offsets = offsets, .bytes = (const uint8_t *)
	    "foohello" };
	struct tn_column c = { .type = dict.type, .rows = 5,
	    .valid = &valid, .values = codes, .dict = &dict };
	struct tn_sql_expr *e;
	const struct tn_column *r;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 5);
	e = node(&f, TN_SQL_CALL, TN_T_INT4, 1, LIST(col(&f, 0)));
	e->fn = TN_FN_LENGTH;
	r = tn_exec_eval(e, &f.env);
	assert_int_equal(int_at(r, 0), 5);
	assert_int_equal(int_at(r, 1), 3);
	assert_false(tn_column_valid(r, 2));
	assert_int_equal(int_at(r, 3), 0);
	assert_string_equal(letters(tn_exec_eval(call2(&f, TN_FN_EQ,
	    TN_T_BOOL, col(&f, 0), constant(&f, TN_T_TEXT, "foo")),
	    &f.env)), "ftnft");
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: a text of any length is equal to itself alone, whatever stands beside
 * it, at the column's end, too; from both sides, and turned over. */
static void
test_short_texts(void **state)
{
	static const char *const texts[] = { "in", "out", "i", "", "inn", "on",
		"ou", "oux", "abcd", "abcx", "xbcd", "abcde", "abcdefg",
		"abxdefg", "abcdefgh", "abcdefgx", "abcdefghi", "h" };
	enum { N = TN_COUNT(texts) };
	struct tn_arena *a = tn_arena_new(256);
	uint32_t offsets[N + 1] = { 0 };
	char bytes[200] = "";
	struct tn_column c = { .type = tn_record_type(TN_T_TEXT), .rows = N,
	    .offsets = offsets, .bytes = (const uint8_t *)bytes };
	struct fix f;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		memcpy(bytes + offsets[i], texts[i], strlen(texts[i]));
		offsets[i + 1] = offsets[i] + (uint32_t)strlen(texts[i]);
	}
	/* Nothing behind the last byte is read: tools look at the heap. */
	c.bytes = tn_alloc(offsets[N]);
	memcpy((uint8_t *)(uintptr_t)c.bytes, bytes, offsets[N]);
	setup(&f, &c, 1, N);
	for (uint32_t k = 0; k < N; k++) {
		struct tn_sql_expr *text = constant(&f, TN_T_TEXT, texts[k]);
		const struct tn_column *eq = tn_exec_eval(call2(&f, TN_FN_EQ,
		    TN_T_BOOL, col(&f, 0), text), &f.env);
		const struct tn_column *qe = tn_exec_eval(call2(&f, TN_FN_EQ,
		    TN_T_BOOL, text, col(&f, 0)), &f.env);
		const struct tn_column *ne = tn_exec_eval(call2(&f, TN_FN_NE,
		    TN_T_BOOL, col(&f, 0), text), &f.env);

		for (uint32_t i = 0; i < N; i++) {
			assert_int_equal(((const uint8_t *)eq->values)[i],
			    i == k);
			assert_int_equal(((const uint8_t *)qe->values)[i],
			    i == k);
			assert_int_equal(((const uint8_t *)ne->values)[i],
			    i != k);
		}
	}
	teardown(&f);
	tn_free((void *)(uintptr_t)c.bytes);
	tn_arena_free(a);
}

/* Goal: nesting beyond the limit is a row error and not a crash. */
static void
test_depth(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = bools(a, "tf", 2);
	const struct tn_sql_expr *e;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 2);
	e = col(&f, 0);
	for (int i = 0; i < 100000; i++)
		e = node(&f, TN_SQL_NOT, TN_T_BOOL, 1, LIST(e));
	assert_string_equal(letters(tn_exec_eval(e, &f.env)), "nn");
	assert_int_equal(f.env.errors, 2);
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: a text column that would pass TN_EXEC_TEXT_MAX fails for the rows
 * beyond and keeps those before. */
static void
test_text_limit(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	static int32_t v[ROWS_MAX];
	struct tn_column c;
	struct tn_sql_expr *e;
	const struct tn_column *r;
	uint32_t good = 0;
	struct fix f;

	(void)state;
	for (int i = 0; i < ROWS_MAX; i++)
		v[i] = 1 << 20;
	c = ints(a, v, NULL, ROWS_MAX);
	setup(&f, &c, 1, ROWS_MAX);
	e = call2(&f, TN_FN_REPEAT, TN_T_TEXT,
	    constant(&f, TN_T_TEXT, "x"), col(&f, 0));
	r = tn_exec_eval(e, &f.env);
	for (uint32_t i = 0; i < ROWS_MAX; i++)
		good += tn_column_valid(r, i);
	assert_int_equal(good, TN_EXEC_TEXT_MAX >> 20);
	assert_int_equal(f.env.errors, ROWS_MAX - good);
	assert_string_equal(f.env.message, "result text too large");
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: for random columns and lengths, arithmetic, comparison and logic are
 * what plain C computes row by row, and null rows hold zero. */
static void
check_random(unsigned seed, uint32_t rows)
{
	static int32_t x[ROWS_MAX], y[ROWS_MAX];
	static char nx[ROWS_MAX + 1], ny[ROWS_MAX + 1];
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_column c[2];
	const struct tn_column *sum, *less, *both;
	const struct tn_sql_expr *lt;
	struct fix f;

	srand(seed);
	for (uint32_t i = 0; i < rows; i++) {
		nx[i] = rand() % 5 == 0 ? 'n' : ' ';
		ny[i] = rand() % 5 == 0 ? 'n' : ' ';
		x[i] = nx[i] == 'n' ? 0 : rand() % 7 - 3;
		y[i] = ny[i] == 'n' ? 0 : rand() % 7 - 3;
		if (nx[i] != 'n' && rand() % 9 == 0)
			x[i] = INT32_MAX;
	}
	c[0] = ints(a, x, nx, rows);
	c[1] = ints(a, y, ny, rows);
	setup(&f, c, 2, rows);
	lt = call2(&f, TN_FN_LT, TN_T_BOOL, col(&f, 0), col(&f, 1));
	sum = tn_exec_eval(call2(&f, TN_FN_ADD, TN_T_INT4, col(&f, 0),
	    col(&f, 1)), &f.env);
	less = tn_exec_eval(lt, &f.env);
	both = tn_exec_eval(node(&f, TN_SQL_OR, TN_T_BOOL, 2, LIST(lt,
	    node(&f, TN_SQL_NOT, TN_T_BOOL, 1, LIST(lt)))), &f.env);
	for (uint32_t i = 0; i < rows; i++) {
		bool null = nx[i] == 'n' || ny[i] == 'n';
		int64_t s = (int64_t)x[i] + y[i];
		bool over = !null && s != (int32_t)s;

		assert_int_equal(tn_column_valid(sum, i), !null && !over);
		assert_int_equal(int_at(sum, i), null || over ? 0 : s);
		assert_int_equal(f.env.error_rows[i], over);
		assert_int_equal(tn_column_valid(less, i), !null);
		assert_int_equal(((const uint8_t *)less->values)[i],
		    !null && x[i] < y[i]);
		assert_int_equal(tn_column_valid(both, i), !null);
		assert_int_equal(((const uint8_t *)both->values)[i], !null);
	}
	teardown(&f);
	tn_arena_free(a);
}

static void
test_random(void **state)
{
	const char *text = getenv("TARN_SEED");
	unsigned seed = text == NULL ? 1 : (unsigned)strtoul(text, NULL, 10);

	(void)state;
	printf("TARN_SEED=%u\n", seed);
	for (uint32_t rows = 1; rows < ROWS_MAX; rows += 1 + rows / 40)
		check_random(seed + rows, rows);
}

/* Goal: an evil pattern ends in row errors within bounded time, and patterns
 * beyond the cache still work. */
static void
test_regex_limits(void **state)
{
	struct tn_arena *a = tn_arena_new(4096);
	char text[64] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
	uint32_t offsets[101] = { 0 };
	uint8_t *bytes = tn_arena_alloc(a, 100 * strlen(text));
	struct tn_column c = { .type = tn_record_type(TN_T_TEXT),
	    .rows = 100, .offsets = offsets, .bytes = bytes };
	struct fix f;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		memcpy(bytes + i * strlen(text), text, strlen(text));
		offsets[i + 1] = (uint32_t)((i + 1) * strlen(text));
	}
	setup(&f, &c, 1, 100);
	(void)tn_exec_eval(call2(&f, TN_FN_REGEX, TN_T_BOOL, col(&f, 0),
	    constant(&f, TN_T_TEXT, "^(a+)+$")), &f.env);
	assert_int_equal(f.env.errors, 100);
	assert_non_null(strstr(f.env.message, "match limit"));
	f.env.errors = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "a{%d}b$", i % 40 + 1);
		assert_int_equal(letters(tn_exec_eval(call2(&f, TN_FN_REGEX,
		    TN_T_BOOL, col(&f, 0), constant(&f, TN_T_TEXT, text)),
		    &f.env))[99], 't');
	}
	assert_int_equal(f.env.errors, 0);
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: text that is not UTF-8 or not JSON never crashes a function. */
static void
check_garbage(struct fix *f, enum tn_sql_fn fn, const struct tn_sql_expr *x)
{
	const struct tn_sql_expr *pattern = constant(f, TN_T_TEXT, "a_%b");
	const struct tn_sql_expr *two = constant(f, TN_T_INT4, "2");
	struct tn_sql_expr *e;

	switch (fn) {
	case TN_FN_LIKE: case TN_FN_ILIKE: case TN_FN_REGEX:
	case TN_FN_POSITION: case TN_FN_TRIM:
		e = call2(f, fn, fn == TN_FN_POSITION ? TN_T_INT4 :
		    fn == TN_FN_TRIM ? TN_T_TEXT : TN_T_BOOL, x, pattern);
		(void)tn_exec_eval(e, &f->env);
		e = call2(f, fn, e->type.id, pattern, x);
		break;
	case TN_FN_LEFT: case TN_FN_RIGHT:
		e = call2(f, fn, TN_T_TEXT, x, two);
		break;
	case TN_FN_LPAD:
		e = node(f, TN_SQL_CALL, TN_T_TEXT, 3, LIST(x, two, x));
		e->fn = fn;
		break;
	default:
		e = node(f, TN_SQL_CALL, fn == TN_FN_LENGTH ||
		    fn == TN_FN_ASCII ? TN_T_INT4 : TN_T_TEXT, 1, LIST(x));
		e->fn = fn;
	}
	(void)tn_exec_eval(e, &f->env);
}

static void
check_garbage_json(struct fix *f, const struct tn_sql_expr *x)
{
	struct tn_sql_expr *e;

	(void)tn_exec_eval(call2(f, TN_FN_JSON_GET_TEXT, TN_T_TEXT, x,
	    constant(f, TN_T_TEXT, "a")), &f->env);
	(void)tn_exec_eval(call2(f, TN_FN_JSON_AT_TEXT, TN_T_TEXT, x,
	    constant(f, TN_T_INT4, "-1")), &f->env);
	(void)tn_exec_eval(call2(f, TN_FN_JSON_HAS, TN_T_BOOL, x,
	    constant(f, TN_T_TEXT, "a")), &f->env);
	e = node(f, TN_SQL_CAST, TN_T_FLOAT8, 1, LIST(x));
	(void)tn_exec_eval(e, &f->env);
}

static void
test_garbage(void **state)
{
	static const char alphabet[] = "a%_\\\"{}[]:, "
	    "\xc3\xa9\xf0\x9f\xff\x80" "1u";
	static const enum tn_sql_fn fns[] = { TN_FN_LIKE, TN_FN_ILIKE,
	    TN_FN_REGEX, TN_FN_POSITION, TN_FN_TRIM, TN_FN_LEFT, TN_FN_RIGHT,
	    TN_FN_LPAD, TN_FN_LENGTH, TN_FN_ASCII, TN_FN_UPPER, TN_FN_LOWER,
	    TN_FN_INITCAP, TN_FN_REVERSE, TN_FN_MD5 };
	uint32_t offsets[201] = { 0 };
	uint8_t bytes[200 * 12];
	struct tn_column c[2] = {
		{ .type = tn_record_type(TN_T_TEXT), .rows = 200,
		  .offsets = offsets, .bytes = bytes },
	};
	struct fix f;

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint32_t n = (uint32_t)(rand() % 12);

		for (uint32_t k = 0; k < n; k++)
			bytes[offsets[i] + k] = (uint8_t)alphabet[rand() %
			    (int)(sizeof alphabet - 1)];
		offsets[i + 1] = offsets[i] + n;
	}
	c[1] = c[0];
	c[1].type = tn_record_type(TN_T_JSONB);
	setup(&f, c, 2, 200);
	for (size_t i = 0; i < TN_COUNT(fns); i++)
		check_garbage(&f, fns[i], col(&f, 0));
	check_garbage_json(&f, col(&f, 1));
	teardown(&f);
}

/* Bare nulls that the binder gave no type behave as nulls everywhere. */
static void
test_bare_null(void **state)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_column c = bools(a, "tfn", 3);
	const struct tn_sql_expr *null, *x;
	struct fix f;

	(void)state;
	setup(&f, &c, 1, 3);
	null = null_const(&f, TN_T_NONE);
	x = col(&f, 0);
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_NOT,
	    TN_T_BOOL, 1, LIST(null)), &f.env)), "nnn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_OR,
	    TN_T_BOOL, 2, LIST(x, null)), &f.env)), "tnn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_AND,
	    TN_T_BOOL, 2, LIST(null, x)), &f.env)), "nfn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_IN,
	    TN_T_BOOL, 3, LIST(x, x, null)), &f.env)), "ttn");
	assert_string_equal(letters(tn_exec_eval(call2(&f,
	    TN_FN_DISTINCT_FROM, TN_T_BOOL, x, null), &f.env)), "ttf");
	assert_string_equal(letters(tn_exec_eval(call2(&f, TN_FN_NULLIF,
	    TN_T_BOOL, x, null), &f.env)), "tfn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_CASE,
	    TN_T_BOOL, 3, LIST(null, x, x)), &f.env)), "tfn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_CASE,
	    TN_T_BOOL, 3, LIST(x, null, x)), &f.env)), "nfn");
	assert_string_equal(letters(tn_exec_eval(node(&f, TN_SQL_CAST,
	    TN_T_BOOL, 1, LIST(null)), &f.env)), "nnn");
	assert_int_equal(f.env.errors, 0);
	teardown(&f);
	tn_arena_free(a);
}

/* ---- threads --------------------------------------------------------- */

static void
on_thread(void *arg, uint32_t task)
{
	static const char *const zones[] = { "Europe/Berlin", "Asia/Tokyo",
	    "America/New_York", "+05", "Australia/Sydney", "Africa/Cairo" };
	struct tn_arena *a = tn_arena_new(4096);
	char pattern[32];
	struct fix f;
	struct tn_column c = bools(a, "tt", 2);

	setup(&f, &c, 1, 2);
	for (uint32_t i = 0; i < 200; i++) {
		struct tn_zone z;
		bool known = tn_exec_tz(tn_slice_of(zones[(task + i) %
		    TN_COUNT(zones)]), &z);

		snprintf(pattern, sizeof pattern, "^a{%u}$", i % 50);
		if (!known || letters_differ(tn_exec_eval(call2(&f,
		    TN_FN_REGEX, TN_T_BOOL, constant(&f, TN_T_TEXT, "aaa"),
		    constant(&f, TN_T_TEXT, pattern)), &f.env), i % 50 == 3))
			*(uint32_t *)arg = 1;
		(void)tn_exec_tz_offset(z, (int64_t)i * 1000000000000);
	}
	teardown(&f);
	tn_arena_free(a);
}

/* Goal: the caches of patterns and zones serve many threads (tsan). */
static void
test_threads(void **state)
{
	struct tn_net_pool *pool = tn_net_pool_new("eval", 3, 16);
	uint32_t bad[1] = { 0 };

	(void)state;
	tn_net_pool_each(pool, 8, on_thread, bad);
	assert_int_equal(bad[0], 0);
	tn_net_pool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_case_is_lazy),
		cmocka_unit_test(test_and_or_are_lazy),
		cmocka_unit_test(test_constant_error),
		cmocka_unit_test(test_constants_and_empty),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_short_texts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_text_limit),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_regex_limits),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_bare_null),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Evaluation of expressions over a batch: the walk over the tree, the nodes
 * that choose between branches (CASE, COALESCE, AND, OR, NOT), and the entry
 * points tn_exec_eval and tn_exec_filter. How kernels are called stands in
 * expr_int.h; kernels are in the files that the table in call() names.
 *
 * Lazy nodes keep an active mask: a branch is evaluated for the rows that
 * reach it, and only those may raise row errors. AND stops looking at rows
 * that are false on the left, OR at those that are true, so errors on the
 * right do not count there (PostgreSQL promises no order; this is ours). A
 * branch that no row reaches is not evaluated.
 *
 * Can go wrong: an expression nested deeper than TN_EXEC_DEPTH_MAX, or a text
 * column of more than TN_EXEC_TEXT_MAX bytes, becomes null with row errors. */
#include "exec/expr_int.h"

#include <string.h>

/* Spread a constant fixed width value. */
static void *
spread_fixed(struct tn_arena *a, const void *v, size_t width, uint32_t rows)
{
	uint8_t *out = tn_arena_alloc(a, (size_t)rows * width);

	for (uint32_t i = 0; i < rows; i++)
		memcpy(out + (size_t)i * width, v, width);
	return out;
}

static bool
spread_text(struct tn_eval *ev, struct tn_column *c)
{
	struct tn_slice s = tn_column_text(c, 0);
	uint32_t *offsets;
	uint8_t *bytes;

	if (s.n * ev->rows > TN_EXEC_TEXT_MAX)
		return false;
	bytes = tn_exec_text_alloc(ev, s.n * ev->rows + 1);
	if (bytes == NULL)
		return false;
	offsets = tn_arena_alloc(ev->a, ((size_t)ev->rows + 1) * 4);
	offsets[0] = 0;
	for (uint32_t i = 0; i < ev->rows; i++) {
		memcpy(bytes + i * s.n, s.p, s.n);
		offsets[i + 1] = (uint32_t)((i + 1) * s.n);
	}
	c->offsets = offsets;
	c->bytes = bytes;
	return true;
}

/* All rows null. */
static void
all_null(struct tn_eval *ev, struct tn_type t, struct tn_column *c)
{
	size_t width = tn_record_type_width(t);

	memset(c, 0, sizeof *c);
	c->type = t;
	c->rows = ev->rows;
	c->valid = tn_arena_zalloc(ev->a, tn_bits_words(ev->rows) * 8 + 8);
	if (width > 0) {
		c->values = tn_arena_zalloc(ev->a, ev->rows * width + 1);
	} else {
		c->offsets = tn_arena_zalloc(ev->a,
		    ((size_t)ev->rows + 1) * 4);
		c->bytes = tn_arena_zalloc(ev->a, 1);
	}
}

/* The constant as a whole column. */
static void
spread(struct tn_eval *ev, const struct tn_vec *v, struct tn_column *c)
{
	struct tn_call call = { .ev = ev, .n = 1, .constant = true };
	size_t width = tn_record_type_width(v->c.type);

	*c = v->c;
	if (!tn_column_valid(&v->c, 0)) {
		all_null(ev, v->c.type, c);
		return;
	}
	c->valid = NULL;
	c->rows = ev->rows;
	if (width > 0) {
		c->values = spread_fixed(ev->a, v->c.values, width, ev->rows);
	} else if (!spread_text(ev, c)) {
		tn_exec_fail(&call, 0, "result text too large");
		all_null(ev, v->c.type, c);
	}
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

/* Null rows must hold zero bytes. Copies only when one does not, because the
 * values may be the batch's. */
static void
zero_nulls(struct tn_eval *ev, struct tn_column *c)
{
	size_t width = tn_record_type_width(c->type);
	const uint8_t *values = c->values;
	uint8_t *own = NULL;

	if (c->valid == NULL || width == 0)
		return;
	for (size_t w = 0; w < tn_bits_words(c->rows); w++) {
		uint64_t null = ~tn_exec_word(c->valid, c->rows, w);

		for (; null != 0; null &= null - 1) {
			size_t row = w * 64 + (size_t)__builtin_ctzll(null);

			if (row >= c->rows)
				break;
			if (all_zero(values + row * width, width))
				continue;
			if (own == NULL) {
				own = tn_arena_alloc(ev->a, c->rows * width);
				memcpy(own, values, c->rows * width);
				c->values = own;
			}
			memset(own + row * width, 0, width);
		}
	}
}

/* ---- nodes that choose ----------------------------------------------- */

/* Bits of the rows where a boolean is true. Values are 0 or 1 for valid
 * rows; what null rows hold does not matter. */
static void
truth(const struct tn_eval *ev, const struct tn_vec *v, uint64_t *out)
{
	const uint8_t *b = v->c.values;

	for (size_t w = 0; w < tn_bits_words(ev->rows); w++) {
		uint32_t left = ev->rows - (uint32_t)(w * 64);
		uint32_t n = left < 64 ? left : 64;
		uint64_t bits = 0;

		for (uint32_t i = 0; i < n; i++)
			bits |= (uint64_t)(b[w * 64 + i] & 1) << i;
		out[w] = bits & tn_exec_word(v->c.valid, ev->rows, w);
	}
}

static void
truth_of(const struct tn_eval *ev, const struct tn_vec *v, bool value,
    uint64_t *out)
{
	size_t words = tn_bits_words(ev->rows);
	uint64_t all;

	if (v->constant) {
		all = tn_column_valid(&v->c, 0) &&
		    *(const uint8_t *)v->c.values == (uint8_t)value ?
		    ~UINT64_C(0) : 0;
		memset(out, all != 0 ? 0xff : 0, words * 8);
		return;
	}
	truth(ev, v, out);
	if (value)
		return;
	for (size_t w = 0; w < words; w++)
		out[w] = ~out[w] & tn_exec_word(v->c.valid, ev->rows, w);
}

static uint64_t *
copy_active(const struct tn_eval *ev)
{
	uint64_t *bits = tn_exec_ones(ev->a, ev->rows);

	if (ev->active != NULL)
		memcpy(bits, ev->active, tn_bits_words(ev->rows) * 8);
	return bits;
}

static bool
any_bit(const uint64_t *bits, size_t words)
{
	uint64_t any = 0;

	for (size_t w = 0; w < words; w++)
		any |= bits[w];
	return any != 0;
}

/* What CASE and COALESCE gather: branches so far, which one each row takes,
 * and the rows that have none yet. */
struct choice {
	struct tn_vec *vecs;
	uint16_t *from;
	uint64_t *left;
	uint32_t count;
};

static void
choice_init(struct choice *ch, const struct tn_eval *ev, uint32_t branches)
{
	ch->vecs = tn_arena_alloc(ev->a, branches * sizeof *ch->vecs);
	ch->from = tn_arena_alloc(ev->a, (size_t)ev->rows * 2);
	memset(ch->from, 0xff, (size_t)ev->rows * 2);
	ch->left = copy_active(ev);
	ch->count = 0;
}

/* Rows in ${taken} get the newest branch and leave ${left}. */
static void
choice_take(struct choice *ch, const struct tn_eval *ev,
    const uint64_t *taken)
{
	uint16_t branch = (uint16_t)ch->count++;

	tn_assert(branch < UINT16_MAX);
	for (size_t w = 0; w < tn_bits_words(ev->rows); w++) {
		uint64_t bits = taken[w];

		ch->left[w] &= ~bits;
		for (; bits != 0; bits &= bits - 1)
			ch->from[w * 64 + (size_t)__builtin_ctzll(bits)] =
			    branch;
	}
}

static void
choice_done(struct choice *ch, struct tn_eval *ev, struct tn_type t,
    struct tn_vec *out)
{
	size_t words = tn_bits_words(ev->rows);

	if (ch->count == 0)
		tn_exec_null(ev, t, out);
	else if (ch->count == 1 && !any_bit(ch->left, words))
		*out = ch->vecs[0];
	else
		tn_exec_choose(ev, t, ch->vecs, ch->from, out);
	out->c.type = t;
}

static void
eval_case(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	struct tn_eval sub = *ev;
	size_t words = tn_bits_words(ev->rows);
	uint64_t *taken = tn_arena_alloc(ev->a, words * 8);
	struct choice ch;
	struct tn_vec when;
	uint32_t k;

	choice_init(&ch, ev, e->arg_count / 2 + 1);
	for (k = 0; k + 1 < e->arg_count && any_bit(ch.left, words); k += 2) {
		sub.active = ch.left;
		tn_exec_node(&sub, e->args[k], &when);
		truth_of(ev, &when, true, taken);
		for (size_t w = 0; w < words; w++)
			taken[w] &= ch.left[w];
		if (!any_bit(taken, words))
			continue;
		sub.active = taken;
		tn_exec_node(&sub, e->args[k + 1], &ch.vecs[ch.count]);
		choice_take(&ch, ev, taken);
	}
	if (e->arg_count % 2 == 1 && any_bit(ch.left, words)) {
		memcpy(taken, ch.left, words * 8);
		sub.active = taken;
		tn_exec_node(&sub, e->args[e->arg_count - 1],
		    &ch.vecs[ch.count]);
		choice_take(&ch, ev, taken);
	}
	choice_done(&ch, ev, e->type, out);
}

static void
eval_coalesce(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out)
{
	struct tn_eval sub = *ev;
	size_t words = tn_bits_words(ev->rows);
	uint64_t *taken = tn_arena_alloc(ev->a, words * 8);
	struct choice ch;

	choice_init(&ch, ev, e->arg_count);
	for (uint32_t k = 0; k < e->arg_count && any_bit(ch.left, words);
	    k++) {
		struct tn_vec *v = &ch.vecs[ch.count];

		sub.active = ch.left;
		tn_exec_node(&sub, e->args[k], v);
		if (v->constant && !tn_column_valid(&v->c, 0))
			continue;
		for (size_t w = 0; w < words; w++)
			taken[w] = ch.left[w] & (v->constant ? ~UINT64_C(0) :
			    tn_exec_word(v->c.valid, ev->rows, w));
		if (any_bit(taken, words))
			choice_take(&ch, ev, taken);
	}
	choice_done(&ch, ev, e->type, out);
}

/* A boolean column from bits of true and of not null. */
static void
bool_of_bits(struct tn_eval *ev, const uint64_t *is_true,
    const uint64_t *known, struct tn_vec *out)
{
	uint8_t *v = tn_arena_alloc(ev->a, ev->rows);
	size_t words = tn_bits_words(ev->rows);
	uint64_t *valid = tn_arena_alloc(ev->a, words * 8);
	uint64_t all = ~UINT64_C(0);

	memset(out, 0, sizeof *out);
	for (uint32_t i = 0; i < ev->rows; i++)
		v[i] = tn_bits_get(is_true, i);
	for (size_t w = 0; w < words; w++) {
		valid[w] = known[w];
		all &= known[w] | (w + 1 == words && ev->rows % 64 != 0 ?
		    ~UINT64_C(0) << (ev->rows % 64) : 0);
	}
	out->c.type = tn_record_type(TN_T_BOOL);
	out->c.rows = ev->rows;
	out->c.values = v;
	out->c.valid = all == ~UINT64_C(0) ? NULL : (const uint8_t *)valid;
}

/* AND (decided by false) and OR (decided by true) are one walk: a row is
 * decided, or all its arguments had the other value, or it is null. */
static void
eval_logic(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out)
{
	bool decider = e->node == TN_SQL_OR;
	struct tn_eval sub = *ev;
	size_t words = tn_bits_words(ev->rows);
	uint64_t *decided = tn_arena_zalloc(ev->a, words * 8);
	uint64_t *other = tn_exec_ones(ev->a, ev->rows);
	uint64_t *left = copy_active(ev);
	uint64_t *bits = tn_arena_alloc(ev->a, words * 8);
	struct tn_vec v;

	for (uint32_t k = 0; k < e->arg_count && any_bit(left, words); k++) {
		sub.active = left;
		tn_exec_node(&sub, e->args[k], &v);
		truth_of(ev, &v, decider, bits);
		for (size_t w = 0; w < words; w++) {
			bits[w] &= left[w];
			decided[w] |= bits[w];
			left[w] &= ~bits[w];
		}
		truth_of(ev, &v, !decider, bits);
		for (size_t w = 0; w < words; w++)
			other[w] &= bits[w] | decided[w];
	}
	for (size_t w = 0; w < words; w++)
		other[w] |= decided[w];
	if (!decider)
		for (size_t w = 0; w < words; w++)
			decided[w] = other[w] & ~decided[w];
	bool_of_bits(ev, decided, other, out);
}

static void
eval_not(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	const uint8_t *in;
	uint8_t *v;

	tn_exec_node(ev, e->args[0], out);
	v = tn_arena_alloc(ev->a, out->c.rows);
	in = out->c.values;
	for (uint32_t i = 0; i < out->c.rows; i++)
		v[i] = in[i] ^ 1;
	out->c.values = v;
}

/* ---- calls ----------------------------------------------------------- */

/* Kernel of each function, and whether a null argument makes it null. */
static const struct {
	tn_kernel kernel;
	bool nulls;             /* The kernel looks at nulls itself. */
} kernels[TN_FN_COUNT] = {
#define K(id, k) [TN_FN_##id] = { tn_exec_k_##k, false }
#define N(id, k) [TN_FN_##id] = { tn_exec_k_##k, true }
	K(ADD, arith), K(SUB, arith), K(MUL, arith), K(DIV, arith),
	K(MOD, arith), K(NEG, arith), K(POWER, math), K(BIT_AND, arith),
	K(BIT_OR, arith), K(BIT_XOR, arith), K(BIT_NOT, arith),
	K(SHIFT_LEFT, arith), K(SHIFT_RIGHT, arith),
	K(EQ, compare), K(NE, compare), K(LT, compare), K(LE, compare),
	K(GT, compare), K(GE, compare), N(DISTINCT_FROM, null_tests),
	N(IS_NULL, null_tests), N(IS_TRUE, null_tests),
	N(IS_FALSE, null_tests), N(NULLIF, null_tests),
	N(GREATEST, extreme), N(LEAST, extreme),
	K(LIKE, like), K(ILIKE, like), K(REGEX, regex), K(REGEX_I, regex),
	K(REGEXP_REPLACE, regex), K(REGEXP_SUBSTR, regex),
	K(CONCAT_OP, concat), N(CONCAT, concat), N(CONCAT_WS, concat),
	K(LENGTH, text), K(OCTET_LENGTH, text), K(LOWER, text),
	K(UPPER, text), K(INITCAP, text), K(TRIM, text), K(LTRIM, text),
	K(RTRIM, text), K(LPAD, text), K(RPAD, text), K(SUBSTRING, text),
	K(LEFT, text), K(RIGHT, text), K(POSITION, text), K(REPLACE, text),
	K(SPLIT_PART, text), K(STARTS_WITH, text), K(REPEAT, text),
	K(REVERSE, text), K(ASCII, text), K(CHR, text), K(MD5, text),
	K(ABS, math), K(SIGN, math), K(CEIL, math), K(FLOOR, math),
	K(TRUNC, math), K(ROUND, math), K(ROUND_TO, math), K(TRUNC_TO, math),
	K(SQRT, math), K(CBRT, math), K(EXP, math), K(LN, math),
	K(LOG10, math), K(SIN, math), K(COS, math), K(TAN, math),
	K(ASIN, math), K(ACOS, math), K(ATAN, math), K(ATAN2, math),
	K(DEGREES, math), K(RADIANS, math), K(PI, math),
	K(NOW, time), K(TS_ADD, time), K(TS_SUB, time), K(TS_DIFF, time),
	K(DATE_ADD, time), K(DATE_SUB, time), K(DATE_DIFF, time),
	K(DATE_TIME, time), K(TIME_ADD, time), K(TIME_SUB, time),
	K(TIME_DIFF, time), K(INTERVAL_ADD, time), K(INTERVAL_SUB, time),
	K(INTERVAL_NEG, time), K(INTERVAL_MUL, time), K(INTERVAL_DIV, time),
	K(DATE_BIN, trunc), K(DATE_TRUNC, trunc), K(DATE_TRUNC_TZ, trunc),
	K(EXTRACT, extract), K(TIMEZONE, trunc), K(TO_TIMESTAMP, time),
	K(TO_CHAR, to_char), K(MAKE_DATE, time), K(MAKE_TIME, time),
	K(MAKE_INTERVAL, time), K(AGE, time),
	K(JSON_GET, json), K(JSON_AT, json), K(JSON_GET_TEXT, json),
	K(JSON_AT_TEXT, json), K(JSON_HAS, json), K(JSON_LENGTH, json),
	K(JSON_TYPEOF, json),
#undef K
#undef N
};

bool
tn_exec_strict(enum tn_sql_fn fn)
{
	tn_assert(fn < TN_FN_COUNT);
	return !kernels[fn].nulls;
}

static void
call(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	struct tn_vec *args = tn_arena_alloc(ev->a,
	    (e->arg_count + 1) * sizeof *args);
	struct tn_call c = { .ev = ev, .fn = e->fn, .type = e->type,
	    .args = args, .count = e->arg_count, .constant = true };
	bool null = false;

	tn_assert(e->fn < TN_FN_COUNT && kernels[e->fn].kernel != NULL);
	for (uint32_t k = 0; k < e->arg_count; k++) {
		tn_exec_node(ev, e->args[k], &args[k]);
		c.constant &= args[k].constant;
		null |= args[k].constant && !tn_column_valid(&args[k].c, 0);
	}
	c.n = c.constant ? 1 : ev->rows;
	if (!kernels[e->fn].nulls) {
		if (null) {
			tn_exec_null(ev, e->type, out);
			return;
		}
		c.valid = tn_exec_valid(ev, args, c.count, c.n);
	}
	kernels[e->fn].kernel(&c, out);
	tn_assert(out->constant == c.constant && out->c.rows == c.n);
}

/* A dictionary column spelt out, so that kernels need not know of them. */
static void
plain(struct tn_eval *ev, const struct tn_column *in, struct tn_vec *out)
{
	const struct tn_column *dict = in->dict;
	const uint32_t *codes = in->values;
	size_t width = tn_record_type_width(in->type);
	uint8_t *to;

	if (width == 0) {
		struct tn_call c = { .ev = ev, .type = in->type,
		    .n = in->rows };

		c.offsets = tn_arena_zalloc(ev->a, (in->rows + 1ul) * 4);
		for (uint32_t i = 0; i < in->rows; i++) {
			struct tn_slice s = { NULL, 0 };

			if (tn_column_valid(in, i))
				s = tn_column_text(dict, codes[i]);
			tn_exec_put(&c, s.p, s.n);
			c.offsets[i + 1] = (uint32_t)c.bytes_n;
		}
		out->c.values = NULL;
		out->c.offsets = c.offsets;
		out->c.bytes = c.bytes;
		out->c.dict = NULL;
		return;
	}
	to = tn_arena_zalloc(ev->a, in->rows * width);
	for (uint32_t i = 0; i < in->rows; i++)
		if (tn_column_valid(in, i))
			memcpy(to + i * width, (const uint8_t *)dict->values +
			    codes[i] * width, width);
	out->c.values = to;
	out->c.dict = NULL;
}

static void
column(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	const struct tn_batch *b = ev->env->batch;

	tn_assert(e->column < b->schema->count);
	out->c = b->columns[e->column];
	out->constant = false;
	tn_assert(out->c.rows == ev->rows);
	if (out->c.dict != NULL)
		plain(ev, &b->columns[e->column], out);
}

/* A null may come without values: kernels want some memory. */
static void
constant(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	tn_assert(e->value->rows == 1);
	if (!tn_column_valid(e->value, 0)) {
		tn_exec_null(ev, e->type, out);
		return;
	}
	out->c = *e->value;
	out->c.type = e->type;
	out->constant = true;
}

static void
too_deep(struct tn_eval *ev, const struct tn_sql_expr *e, struct tn_vec *out)
{
	struct tn_call c = { .ev = ev, .n = 1, .constant = true };

	tn_exec_fail(&c, 0, "expression is nested too deeply");
	tn_exec_null(ev, e->type, out);
}

void
tn_exec_node(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out)
{
	struct tn_vec in;

	if (ev->depth >= TN_EXEC_DEPTH_MAX) {
		too_deep(ev, e, out);
		return;
	}
	if (ev->dicts && e->arg_count > 0 && tn_exec_over_dict(ev, e, out))
		return;
	ev->depth++;
	switch (e->node) {
	case TN_SQL_CONST:
		constant(ev, e, out);
		break;
	case TN_SQL_COLUMN:
		column(ev, e, out);
		break;
	case TN_SQL_CALL:
		call(ev, e, out);
		break;
	case TN_SQL_CAST:
		tn_exec_node(ev, e->args[0], &in);
		tn_exec_cast(ev, &in, e->type, out);
		break;
	case TN_SQL_AND:
	case TN_SQL_OR:
		eval_logic(ev, e, out);
		break;
	case TN_SQL_NOT:
		eval_not(ev, e, out);
		break;
	case TN_SQL_CASE:
		eval_case(ev, e, out);
		break;
	case TN_SQL_COALESCE:
		eval_coalesce(ev, e, out);
		break;
	case TN_SQL_IN:
		tn_exec_in(ev, e, out);
		break;
	}
	ev->depth--;
}

/* ---- entry points ---------------------------------------------------- */

static const struct tn_column *
no_rows(const struct tn_sql_expr *e, struct tn_arena *a)
{
	struct tn_column *c = tn_arena_zalloc(a, sizeof *c);

	c->type = e->type;
	c->values = tn_arena_zalloc(a, 16);
	c->offsets = tn_arena_zalloc(a, 16);
	c->bytes = tn_arena_zalloc(a, 16);
	return c;
}

static struct tn_eval
eval_of(struct tn_exec_env *env)
{
	const struct tn_batch *b = env->batch;
	struct tn_eval ev = { .env = env, .a = env->arena };

	tn_assert(b != NULL && env->arena != NULL);
	ev.rows = b->rows;
	for (uint32_t k = 0; k < b->schema->count && !ev.dicts; k++)
		ev.dicts = b->columns[k].dict != NULL;
	return ev;
}

const struct tn_column *
tn_exec_eval(const struct tn_sql_expr *e, struct tn_exec_env *env)
{
	struct tn_eval ev = eval_of(env);
	struct tn_column *c;
	struct tn_vec v;

	if (ev.rows == 0)
		return no_rows(e, ev.a);
	if (e->node == TN_SQL_COLUMN)
		return &env->batch->columns[e->column];
	tn_exec_node(&ev, e, &v);
	c = tn_arena_alloc(ev.a, sizeof *c);
	if (v.constant) {
		spread(&ev, &v, c);
	} else {
		*c = v.c;
		zero_nulls(&ev, c);
	}
	tn_assert(c->rows == ev.rows);
	return c;
}

void
tn_exec_filter(const struct tn_sql_expr *e, struct tn_exec_env *env,
    uint8_t *out)
{
	struct tn_eval ev = eval_of(env);
	const uint8_t *b;
	struct tn_vec v;

	if (ev.rows == 0)
		return;
	tn_exec_node(&ev, e, &v);
	if (v.constant) {
		memset(out, tn_column_valid(&v.c, 0) &&
		    *(const uint8_t *)v.c.values == 1, ev.rows);
		return;
	}
	b = v.c.values;
	if (v.c.valid == NULL) {
		memcpy(out, b, ev.rows);
		return;
	}
	for (uint32_t i = 0; i < ev.rows; i++)
		out[i] = b[i] & (v.c.valid[i >> 3] >> (i & 7)) & 1;
}

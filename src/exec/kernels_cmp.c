/* Comparison: = <> < <= > >= over every type, the tests that never give
 * null, greatest and least, and IN.
 *
 * Every type has an order that is total: NaN equals itself and is above all
 * numbers, text and uuid go by bytes, false is below true, an interval is
 * its length with months of 30 days. So two loops a type are enough, equal
 * and less; the others swap the sides or turn the result over. */
#include "exec/expr_int.h"

#include <string.h>

typedef __int128 i128;
#define INLINE static inline __attribute__((always_inline))
#define BLOCK 32

__int128
tn_exec_interval_span(struct tn_interval v)
{
	return ((i128)v.months * 30 + v.days) * TN_US_DAY + v.us;
}

/* ---- loops over fixed width values ------------------------------------ */

#define EQ_WHOLE(a, b) ((a) == (b))
#define LT_WHOLE(a, b) ((a) < (b))
#define EQ_FLOAT(a, b) (((a) == (b)) | (((a) != (a)) & ((b) != (b))))
#define LT_FLOAT(a, b) (((a) < (b)) | (((a) == (a)) & ((b) != (b))))

#define LOOP(name, T, TEST)						\
INLINE void								\
loop_##name(uint8_t *restrict o, const T *restrict a,			\
    const T *restrict b, size_t sa, size_t sb, size_t n, uint8_t flip)	\
{									\
	size_t i = 0;							\
									\
	for (; i + BLOCK <= n; i += BLOCK)				\
		for (size_t k = 0; k < BLOCK; k++)			\
			o[i + k] = (uint8_t)(TEST(a[(i + k) * sa],	\
			    b[(i + k) * sb])) ^ flip;			\
	for (; i < n; i++)						\
		o[i] = (uint8_t)(TEST(a[i * sa], b[i * sb])) ^ flip;	\
}									\
static void								\
run_##name(uint8_t *o, const struct tn_vec *x, const struct tn_vec *y,	\
    size_t n, uint8_t flip)						\
{									\
	const T *a = x->c.values;					\
	const T *b = y->c.values;					\
									\
	if (x->constant)						\
		loop_##name(o, a, b, 0, 1, n, flip);			\
	else if (y->constant)						\
		loop_##name(o, a, b, 1, 0, n, flip);			\
	else								\
		loop_##name(o, a, b, 1, 1, n, flip);			\
}
#define BOTH(B, T, KIND)						\
LOOP(eq_##B, T, EQ_##KIND)						\
LOOP(lt_##B, T, LT_##KIND)
BOTH(u8, uint8_t, WHOLE)
BOTH(i16, int16_t, WHOLE)
BOTH(i32, int32_t, WHOLE)
BOTH(i64, int64_t, WHOLE)
BOTH(i128, i128, WHOLE)
BOTH(f32, float, FLOAT)
BOTH(f64, double, FLOAT)

/* ---- loops over the rest --------------------------------------------- */

static bool
text_eq(struct tn_slice a, struct tn_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static int
text_order(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* The ${n} bytes at p, 1 to 8, as one word; some may be read twice. */
INLINE uint64_t
word_of(const uint8_t *p, size_t n)
{
	uint64_t w;
	uint32_t head, tail;
	uint16_t a, b;

	if (n == 8) {
		memcpy(&w, p, 8);
		return w;
	}
	if (n >= 4) {
		memcpy(&head, p, 4);
		memcpy(&tail, p + n - 4, 4);
		return (uint64_t)tail << 32 | head;
	}
	if (n == 1)
		return p[0];
	memcpy(&a, p, 2);
	memcpy(&b, p + n - 2, 2);
	return (uint64_t)b << 16 | a;
}

/* A column and a short text: no branch, as values in turn are never guessed.
 * What is shorter is read with what follows, at the column's end with what
 * comes before, and told by its length. */
INLINE void
loop_short(uint8_t *o, const struct tn_column *c, struct tn_slice s,
    size_t n, uint8_t flip)
{
	const uint32_t *at = c->offsets;
	uint32_t last = at[n] - (uint32_t)s.n;
	uint64_t want = word_of(s.p, s.n);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = c->bytes + (at[i] < last ? at[i] : last);

		o[i] = (uint8_t)(((at[i + 1] - at[i] == s.n) &
		    (word_of(p, s.n) == want)) ^ flip);
	}
}

/* The number of bytes is a constant in each case, so that a word is a load or
 * two. */
static void
run_eq_short(uint8_t *o, const struct tn_column *c, struct tn_slice s,
    size_t n, uint8_t flip)
{
	switch (s.n) {
#define CASE(k) \
	case k: \
		loop_short(o, c, (struct tn_slice){ s.p, k }, n, flip); \
		break;
	CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
	default:
		tn_assert(!"1 to 8 bytes");
	}
}

/* The constant side's text, where run_eq_short does for it. */
static bool
is_short(const struct tn_vec *x, const struct tn_vec *y, size_t n,
    struct tn_slice *s)
{
	if (x->constant || !y->constant)
		return false;
	*s = tn_vec_text(y, 0);
	return s->n >= 1 && s->n <= 8 && x->c.offsets[n] >= s->n;
}

static void
run_eq_text(uint8_t *o, const struct tn_vec *x, const struct tn_vec *y,
    size_t n, uint8_t flip)
{
	struct tn_slice s;

	if (is_short(x, y, n, &s)) {
		run_eq_short(o, &x->c, s, n, flip);
		return;
	}
	if (is_short(y, x, n, &s)) {
		run_eq_short(o, &y->c, s, n, flip);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		o[i] = (uint8_t)text_eq(tn_vec_text(x, i),
		    tn_vec_text(y, i)) ^ flip;
}

static void
run_lt_text(uint8_t *o, const struct tn_vec *x, const struct tn_vec *y,
    size_t n, uint8_t flip)
{
	for (uint32_t i = 0; i < n; i++)
		o[i] = (uint8_t)(text_order(tn_vec_text(x, i),
		    tn_vec_text(y, i)) < 0) ^ flip;
}

static void
run_eq_any(uint8_t *o, const struct tn_vec *x, const struct tn_vec *y,
    size_t n, uint8_t flip)
{
	for (uint32_t i = 0; i < n; i++)
		o[i] = (uint8_t)(tn_exec_order(&x->c, tn_vec_at(x, i), &y->c,
		    tn_vec_at(y, i)) == 0) ^ flip;
}

static void
run_lt_any(uint8_t *o, const struct tn_vec *x, const struct tn_vec *y,
    size_t n, uint8_t flip)
{
	for (uint32_t i = 0; i < n; i++)
		o[i] = (uint8_t)(tn_exec_order(&x->c, tn_vec_at(x, i), &y->c,
		    tn_vec_at(y, i)) < 0) ^ flip;
}

/* Numerics of different scales: by sign when one does not fit the other's
 * scale, because then it is the larger one. */
static int
numeric_order(i128 a, uint32_t scale_a, i128 b, uint32_t scale_b)
{
	i128 x = a, y = b;

	if (scale_a < scale_b && !tn_exec_rescale(a, scale_a, scale_b, &x))
		return a < 0 ? -1 : 1;
	if (scale_b < scale_a && !tn_exec_rescale(b, scale_b, scale_a, &y))
		return b < 0 ? 1 : -1;
	return (x > y) - (x < y);
}

int
tn_exec_order(const struct tn_column *a, uint32_t row_a,
    const struct tn_column *b, uint32_t row_b)
{
	i128 x, y;

	switch (a->type.id) {
	case TN_T_NUMERIC:
		return numeric_order(((const i128 *)a->values)[row_a],
		    a->type.scale, ((const i128 *)b->values)[row_b],
		    b->type.scale);
	case TN_T_INTERVAL:
		x = tn_exec_interval_span(
		    ((const struct tn_interval *)a->values)[row_a]);
		y = tn_exec_interval_span(
		    ((const struct tn_interval *)b->values)[row_b]);
		return (x > y) - (x < y);
	case TN_T_TEXT:
	case TN_T_BYTES:
		return text_order(tn_column_text(a, row_a),
		    tn_column_text(b, row_b));
	case TN_T_UUID:
		return memcmp((const uint8_t *)a->values + row_a * 16ul,
		    (const uint8_t *)b->values + row_b * 16ul, 16);
	default:
		return tn_record_compare(a, row_a, b, row_b);
	}
}

typedef void (*run_fn)(uint8_t *o, const struct tn_vec *x,
    const struct tn_vec *y, size_t n, uint8_t flip);

static const run_fn runners[TN_T_COUNT][2] = {     /* equal, less */
	[TN_T_BOOL] = { run_eq_u8, run_lt_u8 },
	[TN_T_INT2] = { run_eq_i16, run_lt_i16 },
	[TN_T_INT4] = { run_eq_i32, run_lt_i32 },
	[TN_T_DATE] = { run_eq_i32, run_lt_i32 },
	[TN_T_INT8] = { run_eq_i64, run_lt_i64 },
	[TN_T_TIME] = { run_eq_i64, run_lt_i64 },
	[TN_T_TIMESTAMP] = { run_eq_i64, run_lt_i64 },
	[TN_T_TIMESTAMPTZ] = { run_eq_i64, run_lt_i64 },
	[TN_T_FLOAT4] = { run_eq_f32, run_lt_f32 },
	[TN_T_FLOAT8] = { run_eq_f64, run_lt_f64 },
	[TN_T_NUMERIC] = { run_eq_i128, run_lt_i128 },
	[TN_T_TEXT] = { run_eq_text, run_lt_text },
	[TN_T_BYTES] = { run_eq_text, run_lt_text },
};

static run_fn
runner(struct tn_type a, struct tn_type b, bool less)
{
	run_fn fn = runners[a.id][less];

	if (fn == NULL || (a.id == TN_T_NUMERIC && a.scale != b.scale))
		return less ? run_lt_any : run_eq_any;
	return fn;
}

/* jsonb's order walks the texts, which rows without meaning do not have. */
static void
row_compare(struct tn_call *c, uint32_t row)
{
	const struct tn_vec *x = &c->args[0], *y = &c->args[1];
	int order = tn_exec_order(&x->c, tn_vec_at(x, row), &y->c,
	    tn_vec_at(y, row));
	bool v = c->fn == TN_FN_EQ ? order == 0 :
	    c->fn == TN_FN_NE ? order != 0 :
	    c->fn == TN_FN_LT ? order < 0 : c->fn == TN_FN_LE ? order <= 0 :
	    c->fn == TN_FN_GT ? order > 0 : order >= 0;

	((uint8_t *)c->values)[row] = v;
}

void
tn_exec_k_compare(struct tn_call *c, struct tn_vec *out)
{
	enum tn_sql_fn fn = c->fn;
	bool less = fn != TN_FN_EQ && fn != TN_FN_NE;
	bool swap = fn == TN_FN_GT || fn == TN_FN_LE;
	bool flip = fn == TN_FN_NE || fn == TN_FN_GE || fn == TN_FN_LE;
	const struct tn_vec *x = &c->args[swap], *y = &c->args[!swap];
	uint8_t *o;

	tn_assert(x->c.type.id == y->c.type.id);
	if (x->c.type.id == TN_T_JSONB) {
		tn_exec_each(c, out, row_compare);
		return;
	}
	o = tn_exec_values(c);
	runner(x->c.type, y->c.type, less)(o, x, y, c->n, flip);
	tn_exec_done(c, out, o);
}

/* ---- tests that see nulls -------------------------------------------- */

static uint8_t *
equal_values(const struct tn_call *c)
{
	struct tn_call sub = *c;
	struct tn_vec v;

	if (c->args[0].c.type.id == TN_T_NONE ||
	    c->args[1].c.type.id == TN_T_NONE)
		return tn_arena_zalloc(c->ev->a, c->n);

	sub.fn = TN_FN_EQ;
	sub.type = tn_record_type(TN_T_BOOL);
	sub.valid = tn_exec_valid(c->ev, c->args, 2, c->n);
	tn_exec_k_compare(&sub, &v);
	return (uint8_t *)(uintptr_t)v.c.values;
}

static void
nullif(struct tn_call *c, struct tn_vec *out)
{
	const uint8_t *eq = equal_values(c);
	const struct tn_vec *a = &c->args[0], *b = &c->args[1];
	uint16_t *from;

	if (c->constant) {
		if (eq[0] && tn_vec_valid(a, 0) && tn_vec_valid(b, 0))
			tn_exec_null(c->ev, c->type, out);
		else
			*out = *a;
		return;
	}
	from = tn_arena_alloc(c->ev->a, (size_t)c->n * 2);
	for (uint32_t i = 0; i < c->n; i++)
		from[i] = eq[i] && tn_vec_valid(a, i) && tn_vec_valid(b, i) ?
		    UINT16_MAX : 0;
	tn_exec_choose(c->ev, c->type, a, from, out);
}

void
tn_exec_k_null_tests(struct tn_call *c, struct tn_vec *out)
{
	const struct tn_vec *a = &c->args[0];
	const uint8_t *v = a->c.values;
	const uint8_t *eq = NULL;
	uint8_t *o;

	if (c->fn == TN_FN_NULLIF) {
		nullif(c, out);
		return;
	}
	if (c->fn == TN_FN_DISTINCT_FROM)
		eq = equal_values(c);
	o = tn_exec_values(c);
	for (uint32_t i = 0; i < c->n; i++) {
		bool valid = tn_vec_valid(a, i);

		if (c->fn == TN_FN_IS_NULL)
			o[i] = !valid;
		else if (c->fn == TN_FN_IS_TRUE)
			o[i] = valid && v[tn_vec_at(a, i)] == 1;
		else if (c->fn == TN_FN_IS_FALSE)
			o[i] = valid && v[tn_vec_at(a, i)] == 0;
		else
			o[i] = valid != tn_vec_valid(&c->args[1], i) ||
			    (valid && !eq[i]);
	}
	tn_exec_done(c, out, o);
}

/* Which argument is the largest or smallest of a row; UINT16_MAX when all
 * are null. */
static uint16_t
best(const struct tn_call *c, uint32_t row)
{
	uint16_t at = UINT16_MAX;

	for (uint16_t k = 0; k < c->count; k++) {
		const struct tn_vec *v = &c->args[k];
		int order = 1;

		if (!tn_vec_valid(v, row))
			continue;
		if (at != UINT16_MAX)
			order = tn_exec_order(&v->c, tn_vec_at(v, row),
			    &c->args[at].c, tn_vec_at(&c->args[at], row));
		if (at == UINT16_MAX ||
		    (c->fn == TN_FN_GREATEST ? order > 0 : order < 0))
			at = k;
	}
	return at;
}

void
tn_exec_k_extreme(struct tn_call *c, struct tn_vec *out)
{
	uint16_t *from;

	tn_assert(c->count < UINT16_MAX);
	if (c->constant) {
		uint16_t k = best(c, 0);

		if (k == UINT16_MAX)
			tn_exec_null(c->ev, c->type, out);
		else
			*out = c->args[k];
		return;
	}
	from = tn_arena_alloc(c->ev->a, (size_t)c->n * 2);
	for (uint32_t i = 0; i < c->n; i++)
		from[i] = tn_bits_get(c->ev->active, i) ? best(c, i) :
		    UINT16_MAX;
	tn_exec_choose(c->ev, c->type, c->args, from, out);
}

/* Arithmetic: + - * / % and the bit operators over the number types.
 *
 * Each operation of each type is a step: two values in, one out, and a code
 * that says what went wrong. A loop runs the steps over all rows, null and
 * inactive ones too, and gathers the codes; only when one is not zero a
 * second pass finds the rows that are live and makes them row errors. The
 * loops are compiled for the three shapes (column and column, column and
 * constant, constant and column) and run in blocks of a fixed length, which
 * the compiler turns into vector code. */
#include "exec/expr_int.h"

#include <math.h>

typedef __int128 i128;
enum { FINE = 0, OVERFLOW_ = 1, ZERO = 2, UNDERFLOW_ = 4 };

#define INLINE static inline __attribute__((always_inline))

/* ---- steps: whole numbers -------------------------------------------- */

#define NARROW_STEPS(B, T)						\
INLINE unsigned add_##B(T a, T b, T *o)					\
{									\
	int64_t w = (int64_t)a + b;					\
	*o = (T)w;							\
	return w != *o;							\
}									\
INLINE unsigned sub_##B(T a, T b, T *o)					\
{									\
	int64_t w = (int64_t)a - b;					\
	*o = (T)w;							\
	return w != *o;							\
}									\
INLINE unsigned mul_##B(T a, T b, T *o)					\
{									\
	int64_t w = (int64_t)a * b;					\
	*o = (T)w;							\
	return w != *o;							\
}
NARROW_STEPS(i16, int16_t)
NARROW_STEPS(i32, int32_t)

INLINE unsigned
add_i64(int64_t a, int64_t b, int64_t *o)
{
	*o = (int64_t)((uint64_t)a + (uint64_t)b);
	return (unsigned)((uint64_t)((a ^ *o) & (b ^ *o)) >> 63);
}

INLINE unsigned
sub_i64(int64_t a, int64_t b, int64_t *o)
{
	*o = (int64_t)((uint64_t)a - (uint64_t)b);
	return (unsigned)((uint64_t)((a ^ b) & (a ^ *o)) >> 63);
}

INLINE unsigned
mul_i64(int64_t a, int64_t b, int64_t *o)
{
	return __builtin_mul_overflow(a, b, o);
}

#define WHOLE_STEPS(B, T, U, MIN, MASK)					\
INLINE unsigned div_##B(T a, T b, T *o)					\
{									\
	*o = 0;								\
	if (b == 0)							\
		return ZERO;						\
	if (b == -1) {							\
		*o = (T)(U)(0 - (U)a);					\
		return a == MIN;					\
	}								\
	*o = (T)(a / b);						\
	return FINE;							\
}									\
INLINE unsigned mod_##B(T a, T b, T *o)					\
{									\
	*o = 0;								\
	if (b == 0)							\
		return ZERO;						\
	*o = b == -1 ? 0 : (T)(a % b);					\
	return FINE;							\
}									\
INLINE unsigned and_##B(T a, T b, T *o) { *o = (T)(a & b); return 0; }	\
INLINE unsigned or_##B(T a, T b, T *o) { *o = (T)(a | b); return 0; }	\
INLINE unsigned xor_##B(T a, T b, T *o) { *o = (T)(a ^ b); return 0; }	\
INLINE unsigned not_##B(T a, T b, T *o)					\
{									\
	(void)b;							\
	*o = (T)~a;							\
	return FINE;							\
}									\
INLINE unsigned neg_##B(T a, T b, T *o)					\
{									\
	(void)b;							\
	*o = (T)(U)(0 - (U)a);						\
	return a == MIN;						\
}									\
INLINE unsigned shl_##B(T a, int32_t b, T *o)				\
{									\
	*o = (T)((U)a << (b & MASK));					\
	return FINE;							\
}									\
INLINE unsigned shr_##B(T a, int32_t b, T *o)				\
{									\
	*o = (T)(a >> (b & MASK));					\
	return FINE;							\
}
/* Counts beyond the width wrap, as PostgreSQL's do on x86; int2 is shifted
 * as int4. */
WHOLE_STEPS(i16, int16_t, uint32_t, INT16_MIN, 31)
WHOLE_STEPS(i32, int32_t, uint32_t, INT32_MIN, 31)
WHOLE_STEPS(i64, int64_t, uint64_t, INT64_MIN, 63)

/* ---- steps: floating ------------------------------------------------- */

/* An infinity from finite numbers is an overflow, a zero from numbers that
 * are not zero an underflow. */
#define FLOAT_STEPS(B, T, FMOD)						\
INLINE unsigned add_##B(T a, T b, T *o)					\
{									\
	*o = a + b;							\
	return (isinf(*o) != 0) & (isinf(a) == 0) & (isinf(b) == 0);	\
}									\
INLINE unsigned sub_##B(T a, T b, T *o)					\
{									\
	*o = a - b;							\
	return (isinf(*o) != 0) & (isinf(a) == 0) & (isinf(b) == 0);	\
}									\
INLINE unsigned mul_##B(T a, T b, T *o)					\
{									\
	*o = a * b;							\
	if (isinf(*o) && !isinf(a) && !isinf(b))			\
		return OVERFLOW_;					\
	return *o == 0 && a != 0 && b != 0 ? UNDERFLOW_ : FINE;		\
}									\
INLINE unsigned div_##B(T a, T b, T *o)					\
{									\
	*o = 0;								\
	if (b == 0 && !isnan(a))					\
		return ZERO;						\
	*o = a / b;							\
	if (isinf(*o) && !isinf(a) && !isinf(b))			\
		return OVERFLOW_;					\
	return *o == 0 && a != 0 && !isinf(b) ? UNDERFLOW_ : FINE;	\
}									\
INLINE unsigned mod_##B(T a, T b, T *o)					\
{									\
	*o = 0;								\
	if (b == 0)							\
		return ZERO;						\
	*o = FMOD(a, b);						\
	return FINE;							\
}									\
INLINE unsigned neg_##B(T a, T b, T *o)					\
{									\
	(void)b;							\
	*o = -a;							\
	return FINE;							\
}
FLOAT_STEPS(f32, float, fmodf)
FLOAT_STEPS(f64, double, fmod)

/* ---- steps: numeric of one scale ------------------------------------- */

/* Two values below 10^38 add up to less than 2^128 - 10^38, so that a sum
 * which wraps around still does not fit. */

INLINE unsigned
add_i128(i128 a, i128 b, i128 *o)
{
	*o = (i128)((unsigned __int128)a + (unsigned __int128)b);
	return !tn_exec_numeric_fits(*o, 38);
}

INLINE unsigned
sub_i128(i128 a, i128 b, i128 *o)
{
	*o = (i128)((unsigned __int128)a - (unsigned __int128)b);
	return !tn_exec_numeric_fits(*o, 38);
}

INLINE unsigned
mod_i128(i128 a, i128 b, i128 *o)
{
	*o = 0;
	if (b == 0)
		return ZERO;
	*o = b == -1 ? 0 : a % b;
	return FINE;
}

INLINE unsigned
neg_i128(i128 a, i128 b, i128 *o)
{
	(void)b;
	*o = (i128)-(unsigned __int128)a;
	return FINE;
}

/* ---- loops ----------------------------------------------------------- */

static void
fail(struct tn_call *c, uint32_t row, unsigned code)
{
	static const char *const ranges[TN_T_COUNT] = {
		[TN_T_INT2] = "smallint out of range",
		[TN_T_INT4] = "integer out of range",
		[TN_T_INT8] = "bigint out of range",
		[TN_T_FLOAT4] = "value out of range: overflow",
		[TN_T_FLOAT8] = "value out of range: overflow",
		[TN_T_NUMERIC] = "value overflows numeric format",
	};

	if (code == ZERO)
		tn_exec_fail(c, row, "division by zero");
	else if (code == UNDERFLOW_)
		tn_exec_fail(c, row, "value out of range: underflow");
	else
		tn_exec_fail(c, row, "%s", ranges[c->type.id]);
}

#define BLOCK 32
#define RUN(S, T, T2)							\
INLINE unsigned								\
loop_##S(T *restrict o, const T *restrict a, const T2 *restrict b,	\
    size_t sa, size_t sb, size_t n)					\
{									\
	unsigned bad = 0;						\
	size_t i = 0;							\
									\
	for (; i + BLOCK <= n; i += BLOCK)				\
		for (size_t k = 0; k < BLOCK; k++)			\
			bad |= S(a[(i + k) * sa], b[(i + k) * sb],	\
			    &o[i + k]);					\
	for (; i < n; i++)						\
		bad |= S(a[i * sa], b[i * sb], &o[i]);			\
	return bad;							\
}									\
static void								\
run_##S(struct tn_call *c, struct tn_vec *out)				\
{									\
	const struct tn_vec *x = &c->args[0];				\
	const struct tn_vec *y = &c->args[c->count - 1];		\
	const T *a = x->c.values;					\
	const T2 *b = y->c.values;					\
	T *o = tn_exec_values(c);					\
	unsigned bad;							\
	T ignored;							\
									\
	if (x->constant)						\
		bad = loop_##S(o, a, b, 0, 1, c->n);			\
	else if (y->constant)						\
		bad = loop_##S(o, a, b, 1, 0, c->n);			\
	else								\
		bad = loop_##S(o, a, b, 1, 1, c->n);			\
	for (uint32_t i = 0; bad != 0 && i < c->n; i++) {		\
		unsigned code;						\
									\
		if (!tn_exec_live(c, i))				\
			continue;					\
		code = S(a[tn_vec_at(x, i)], b[tn_vec_at(y, i)],	\
		    &ignored);						\
		if (code != FINE)					\
			fail(c, i, code);				\
	}								\
	tn_exec_done(c, out, o);					\
}

#define RUN_ALL(B, T)							\
RUN(add_##B, T, T)							\
RUN(sub_##B, T, T)							\
RUN(mod_##B, T, T)							\
RUN(neg_##B, T, T)
#define RUN_MULDIV(B, T)						\
RUN(mul_##B, T, T)							\
RUN(div_##B, T, T)
#define RUN_BITS(B, T)							\
RUN(and_##B, T, T)							\
RUN(or_##B, T, T)							\
RUN(xor_##B, T, T)							\
RUN(not_##B, T, T)							\
RUN(shl_##B, T, int32_t)						\
RUN(shr_##B, T, int32_t)
RUN_ALL(i16, int16_t)
RUN_ALL(i32, int32_t)
RUN_ALL(i64, int64_t)
RUN_ALL(f32, float)
RUN_ALL(f64, double)
RUN_ALL(i128, i128)
RUN_MULDIV(i16, int16_t)
RUN_MULDIV(i32, int32_t)
RUN_MULDIV(i64, int64_t)
RUN_MULDIV(f32, float)
RUN_MULDIV(f64, double)
RUN_BITS(i16, int16_t)
RUN_BITS(i32, int32_t)
RUN_BITS(i64, int64_t)

/* ---- numeric with scales --------------------------------------------- */

/* The product of scales sa and sb has sa + sb digits after the point; the
 * result keeps type.scale of them. A quotient takes the dividend to the scale
 * of the result plus the divisor's first. */
struct scales {
	i128 up;               /* The dividend times this ... */
	i128 down;             /* ... and the divisor (or product / this). */
};

static unsigned
muldiv_numeric(const struct tn_call *c, const struct scales *s, i128 a,
    i128 b, i128 *o)
{
	if (c->fn == TN_FN_MUL)
		return !tn_exec_muldiv(a, b, s->down, o);
	if (b == 0)
		return ZERO;
	if (s->down == 1)
		return !tn_exec_muldiv(a, s->up, b, o);
	if (__builtin_mul_overflow(b, s->down, &b)) {
		*o = 0;        /* |a| is below half of that. */
		return FINE;
	}
	return !tn_exec_muldiv(a, 1, b, o);
}

static void
row_muldiv(struct tn_call *c, uint32_t row)
{
	const struct scales *s = c->scratch;
	const struct tn_vec *x = &c->args[0], *y = &c->args[1];
	unsigned code = muldiv_numeric(c, s,
	    ((const i128 *)x->c.values)[tn_vec_at(x, row)],
	    ((const i128 *)y->c.values)[tn_vec_at(y, row)],
	    &((i128 *)c->values)[row]);

	if (code != FINE)
		fail(c, row, code);
}

static void
run_muldiv(struct tn_call *c, struct tn_vec *out)
{
	int sa = c->args[0].c.type.scale, sb = c->args[1].c.type.scale;
	int more = c->fn == TN_FN_MUL ? sa + sb - c->type.scale :
	    c->type.scale + sb - sa;
	struct scales s = { 1, 1 };

	tn_assert(more <= 38 && more >= -38);
	if (c->fn == TN_FN_MUL) {
		tn_assert(more >= 0);
		s.down = tn_exec_pow10((uint32_t)more);
	} else if (more >= 0) {
		s.up = tn_exec_pow10((uint32_t)more);
	} else {
		s.down = tn_exec_pow10((uint32_t)-more);
	}
	c->scratch = &s;
	tn_exec_each(c, out, row_muldiv);
}

/* + - % want both sides at the scale of the result. */
static void
same_scale(struct tn_call *c)
{
	struct tn_vec *args;

	if (c->args[0].c.type.scale == c->type.scale &&
	    c->args[c->count - 1].c.type.scale == c->type.scale)
		return;
	args = tn_arena_alloc(c->ev->a, 2 * sizeof *args);
	for (uint32_t k = 0; k < c->count; k++) {
		struct tn_type t = c->args[k].c.type;

		t.scale = c->type.scale;
		t.precision = TN_NUMERIC_DIGITS_MAX;
		tn_exec_cast(c->ev, &c->args[k], t, &args[k]);
	}
	c->args = args;
	c->valid = tn_exec_valid(c->ev, args, c->count, c->n);
}

/* ---- dispatch -------------------------------------------------------- */

enum kind { K_I16, K_I32, K_I64, K_F32, K_F64, K_I128, K_COUNT };

static enum kind
kind_of(struct tn_type t)
{
	switch (t.id) {
	case TN_T_INT2: return K_I16;
	case TN_T_INT4: return K_I32;
	case TN_T_INT8: return K_I64;
	case TN_T_FLOAT4: return K_F32;
	case TN_T_FLOAT8: return K_F64;
	case TN_T_NUMERIC: return K_I128;
	default: tn_assert(false); return K_COUNT;
	}
}

#define SIX(op) { run_##op##_i16, run_##op##_i32, run_##op##_i64,	\
	run_##op##_f32, run_##op##_f64, run_##op##_i128 }
#define FIVE(op) { run_##op##_i16, run_##op##_i32, run_##op##_i64,	\
	run_##op##_f32, run_##op##_f64, run_muldiv }
#define THREE(op) { run_##op##_i16, run_##op##_i32, run_##op##_i64 }

static const tn_kernel runs[TN_FN_COUNT][K_COUNT] = {
	[TN_FN_ADD] = SIX(add), [TN_FN_SUB] = SIX(sub),
	[TN_FN_MUL] = FIVE(mul), [TN_FN_DIV] = FIVE(div),
	[TN_FN_MOD] = SIX(mod), [TN_FN_NEG] = SIX(neg),
	[TN_FN_BIT_AND] = THREE(and), [TN_FN_BIT_OR] = THREE(or),
	[TN_FN_BIT_XOR] = THREE(xor), [TN_FN_BIT_NOT] = THREE(not),
	[TN_FN_SHIFT_LEFT] = THREE(shl), [TN_FN_SHIFT_RIGHT] = THREE(shr),
};

void
tn_exec_k_arith(struct tn_call *c, struct tn_vec *out)
{
	enum kind k = kind_of(c->type);

	tn_assert(runs[c->fn][k] != NULL);
	if (k == K_I128 && c->fn != TN_FN_MUL && c->fn != TN_FN_DIV)
		same_scale(c);
	runs[c->fn][k](c, out);
}

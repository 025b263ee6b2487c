/* sum, avg, stddev and variance of floats, so that the order of rows and the
 * splits of history do not show.
 *
 * sum, avg: a double-double (the sum of two doubles that do not overlap, 106
 * bits). Values from BIG up go to a second one, scaled down, so that nothing
 * overflows on the way; only a result outside of double is a row error, as
 * in PostgreSQL. NaN and infinities are flags.
 *
 * stddev, variance: sums of d = x - c and d * d as double-doubles, where c
 * is the first value the state saw. Merging moves one side to the other's c.
 * The error is about n * 2^-100 relative for any c among the values. A value
 * of VAR_BIG or more makes the result a row error (its square would not
 * fit); NaN and infinities make it NaN.
 *
 * The compiler must not reorder: no -ffast-math. Contraction to fused
 * multiply-add would harm two_product only; -std=c11 turns it off. */
#include "exec/fold_int.h"

#include <math.h>

#define BIG 0x1p900
#define BIG_DOWN 0x1p-100
#define BIG_UP 0x1p100
#define VAR_BIG 0x1p480

enum { SEEN_NAN = 1, SEEN_INF = 2, SEEN_NEG_INF = 4, SEEN_BIG = 8 };
#define SEEN_ALL 15

struct dd {
	double hi;
	double lo;
};

static inline struct dd
two_sum(double a, double b)
{
	double s = a + b;
	double t = s - a;

	return (struct dd){ s, (a - (s - t)) + (b - t) };
}

static inline struct dd
quick_sum(double a, double b)
{
	double s = a + b;

	return (struct dd){ s, b - (s - a) };
}

/* Exact product of doubles below 2^500 (Dekker's splitting). */
static inline struct dd
two_product(double a, double b)
{
	double p = a * b;
	double ta = a * 134217729.0;
	double tb = b * 134217729.0;
	double ah = ta - (ta - a);
	double bh = tb - (tb - b);
	double al = a - ah;
	double bl = b - bh;

	return (struct dd){ p, ((ah * bh - p) + ah * bl + al * bh) + al * bl };
}

static inline struct dd
dd_add(struct dd a, struct dd b)
{
	struct dd s = two_sum(a.hi, b.hi);
	struct dd t = two_sum(a.lo, b.lo);

	s = quick_sum(s.hi, s.lo + t.hi);
	return quick_sum(s.hi, s.lo + t.lo);
}

static inline struct dd
dd_mul(struct dd a, struct dd b)
{
	struct dd p = two_product(a.hi, b.hi);

	return quick_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

static inline struct dd
dd_scale(struct dd a, double f)
{
	return (struct dd){ a.hi * f, a.lo * f };
}

/* a / n for n > 0. */
static struct dd
dd_div(struct dd a, double n)
{
	double q = a.hi / n;
	struct dd p = two_product(q, n);
	struct dd r = dd_add(a, (struct dd){ -p.hi, -p.lo });

	return quick_sum(q, (r.hi + r.lo) / n);
}

static uint64_t
special(double x)
{
	if (isnan(x))
		return SEEN_NAN;
	return x > 0 ? SEEN_INF : SEEN_NEG_INF;
}

/* The result that the flags decide. */
static bool
flags_result(uint64_t flags, double *out)
{
	uint64_t both = SEEN_INF | SEEN_NEG_INF;

	if ((flags & (both | SEEN_NAN)) == 0)
		return false;
	if (flags & SEEN_NAN || (flags & both) == both)
		*out = (double)NAN;
	else
		*out = flags & SEEN_INF ? (double)INFINITY : -(double)INFINITY;
	return true;
}

static void
save_double(struct tn_buf *out, double d)
{
	uint64_t w;

	memcpy(&w, &d, 8);
	tn_buf_u64(out, w);
}

/* False unless it is finite and below ${limit}. */
static bool
load_double(struct tn_cursor *in, double limit, double *d)
{
	uint64_t w = tn_cursor_u64(in);

	memcpy(d, &w, 8);
	return !in->failed && isfinite(*d) && fabs(*d) < limit;
}

static bool
load_dd(struct tn_cursor *in, double limit, struct dd *d)
{
	return load_double(in, limit, &d->hi) &&
	    load_double(in, limit, &d->lo);
}

/* ---- sum, avg -------------------------------------------------------- */

struct fsum {
	struct dd sum;
	struct dd big;           /* Scaled by BIG_DOWN. */
	uint64_t n;
	uint64_t flags;
};

static void
fsum_rare(struct fsum *s, double x)
{
	if (!isfinite(x)) {
		s->flags |= special(x);
		return;
	}
	s->flags |= SEEN_BIG;
	s->big = dd_add(s->big, (struct dd){ x * BIG_DOWN, 0 });
}

static void
fsum_apply(const struct tn_agg_run *r)
{
	const double *v = tn_exec_widen_float(r->arena, r->args[0]);

	for (uint32_t i = 0; i < r->rows; i++) {
		struct fsum *s = (void *)(r->states +
		    r->groups[i] * r->width);
		struct dd t;

		if (r->keep != NULL && !r->keep[i])
			continue;
		s->n++;
		if (!(fabs(v[i]) < BIG)) {
			fsum_rare(s, v[i]);
			continue;
		}
		t = two_sum(s->sum.hi, v[i]);
		s->sum = quick_sum(t.hi, t.lo + s->sum.lo);
	}
}

static void
fsum_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct fsum *b = from;
	struct fsum *s = to;

	(void)f;
	(void)a;
	if (b->n == 0)
		return;
	s->sum = dd_add(s->sum, b->sum);
	s->big = dd_add(s->big, b->big);
	s->n += b->n;
	s->flags |= b->flags;
}

static bool
fsum_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct fsum *s = state;
	bool big = s->big.hi != 0;
	struct dd t = s->sum;
	double out;

	if (s->n == 0)
		return false;
	if (big)
		t = dd_add(s->big, dd_scale(t, BIG_DOWN));
	if (a->sql->kind == TN_AGG_AVG)
		t = dd_div(t, (double)s->n);
	out = t.hi + t.lo;
	if (big)
		out *= BIG_UP;
	if (a->sql->type.id == TN_T_FLOAT4)
		out = (double)(float)out;
	if (!flags_result(s->flags, &out) && !isfinite(out)) {
		tn_exec_agg_fail(env, "value out of range: overflow");
		return false;
	}
	memcpy(v->w, &out, 8);
	return true;
}

static void
fsum_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	const struct fsum *s = state;

	(void)a;
	tn_buf_varint(out, s->n);
	if (s->n == 0)
		return;
	tn_buf_char(out, (char)s->flags);
	save_double(out, s->sum.hi);
	save_double(out, s->sum.lo);
	if (s->flags & SEEN_BIG) {
		save_double(out, s->big.hi);
		save_double(out, s->big.lo);
	}
}

static bool
fsum_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct fsum *s = state;

	(void)f;
	(void)a;
	s->n = tn_cursor_varint(in);
	if (in->failed || s->n > TN_STATE_COUNT_MAX)
		return false;
	if (s->n == 0)
		return true;
	s->flags = tn_cursor_u8(in);
	if (s->flags > SEEN_ALL || !load_dd(in, 0x1p960, &s->sum))
		return false;
	return (s->flags & SEEN_BIG) == 0 || load_dd(in, 0x1p980, &s->big);
}

const struct tn_agg_class tn_exec_agg_float = {
	.name = "float", .size = sizeof(struct fsum), .flat = true,
	.apply = fsum_apply, .merge = fsum_merge, .value = fsum_value,
	.save = fsum_save, .load = fsum_load,
};

/* ---- stddev, variance ------------------------------------------------ */

struct var {
	double c;
	struct dd s1;            /* Sum of x - c, */
	struct dd s2;            /* and of its square. */
	uint64_t n;              /* All values, special ones too. */
	uint64_t finite;         /* Those in the sums. */
	uint64_t flags;
};

static void
var_add(struct var *s, double x)
{
	struct dd d;

	s->n++;
	if (!(fabs(x) < VAR_BIG)) {
		s->flags |= isfinite(x) ? SEEN_BIG : special(x);
		return;
	}
	if (s->finite++ == 0) {
		s->c = x;
		return;
	}
	d = two_sum(x, -s->c);
	s->s1 = dd_add(s->s1, d);
	s->s2 = dd_add(s->s2, dd_mul(d, d));
}

static void
var_apply(const struct tn_agg_run *r)
{
	const double *v = tn_exec_widen_float(r->arena, r->args[0]);

	for (uint32_t i = 0; i < r->rows; i++)
		if (r->keep == NULL || r->keep[i])
			var_add((void *)(r->states +
			    r->groups[i] * r->width), v[i]);
}

/* With e = c' - c: sum (x - c) = s1' + n e; sum (x - c)^2 = s2' + 2 e s1' +
 * n e^2. The side with fewer rows moves. */
static void
var_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	struct var b = *(const struct var *)from;
	struct var *s = to;
	struct var move;
	struct dd e;
	struct dd ne;

	(void)f;
	(void)a;
	b.n += s->n;
	b.flags |= s->flags;
	move = *s;
	if (s->finite > b.finite) {
		move = b;
		b = *s;
		b.n = move.n;
		b.flags = move.flags;
	}
	*s = b;
	if (move.finite == 0)
		return;
	e = two_sum(move.c, -s->c);
	ne = dd_mul(e, (struct dd){ (double)move.finite, 0 });
	s->s2 = dd_add(s->s2, move.s2);
	s->s2 = dd_add(s->s2, dd_mul(dd_scale(e, 2), move.s1));
	s->s2 = dd_add(s->s2, dd_mul(ne, e));
	s->s1 = dd_add(s->s1, dd_add(move.s1, ne));
	s->finite += move.finite;
}

static bool
var_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct var *s = state;
	enum tn_sql_agg_kind kind = a->sql->kind;
	bool samp = kind == TN_AGG_STDDEV_SAMP || kind == TN_AGG_VAR_SAMP;
	struct dd square;
	struct dd t;
	double out;

	if (s->n < (samp ? 2u : 1u))
		return false;
	if (s->flags & (SEEN_NAN | SEEN_INF | SEEN_NEG_INF)) {
		out = (double)NAN;
		memcpy(v->w, &out, 8);
		return true;
	}
	if (s->flags & SEEN_BIG) {
		tn_exec_agg_fail(env, "value out of range: overflow");
		return false;
	}
	square = dd_mul(dd_div(s->s1, (double)s->finite), s->s1);
	t = dd_add(s->s2, dd_scale(square, -1));
	t = dd_div(t, (double)(s->finite - (samp ? 1 : 0)));
	out = t.hi + t.lo;
	if (!(out > 0))
		out = 0;
	if (kind == TN_AGG_STDDEV_SAMP || kind == TN_AGG_STDDEV_POP)
		out = sqrt(out);
	memcpy(v->w, &out, 8);
	return true;
}

static void
var_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	const struct var *s = state;

	(void)a;
	tn_buf_varint(out, s->n);
	if (s->n == 0)
		return;
	tn_buf_char(out, (char)s->flags);
	tn_buf_varint(out, s->finite);
	save_double(out, s->c);
	if (s->finite < 2)
		return;
	save_double(out, s->s1.hi);
	save_double(out, s->s1.lo);
	save_double(out, s->s2.hi);
	save_double(out, s->s2.lo);
}

static bool
var_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct var *s = state;

	(void)f;
	(void)a;
	s->n = tn_cursor_varint(in);
	if (in->failed || s->n > TN_STATE_COUNT_MAX)
		return false;
	if (s->n == 0)
		return true;
	s->flags = tn_cursor_u8(in);
	s->finite = tn_cursor_varint(in);
	if (s->flags > SEEN_ALL || s->finite > s->n ||
	    !load_double(in, VAR_BIG, &s->c))
		return false;
	if ((s->finite < s->n) != (s->flags != 0))
		return false;
	return s->finite < 2 || (load_dd(in, 0x1p532, &s->s1) &&
	    load_dd(in, 0x1p1012, &s->s2));
}

const struct tn_agg_class tn_exec_agg_var = {
	.name = "var", .size = sizeof(struct var), .flat = true,
	.apply = var_apply, .merge = var_merge, .value = var_value,
	.save = var_save, .load = var_load,
};

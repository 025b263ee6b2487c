/* Mathematics: functions of doubles, and the rounding of numerics. Domain
 * errors, and infinities or zeros that come from finite arguments, are row
 * errors as in PostgreSQL; NaN gives NaN. */
#include "exec/expr_int.h"

#include <math.h>
#include <stdlib.h>

typedef __int128 i128;
#define PI_ 3.14159265358979323846

static void
fail(struct tn_call *c, uint32_t row, const char *why)
{
	tn_exec_fail(c, row, "%s", why);
}

/* ---- doubles --------------------------------------------------------- */

static const char *
power_domain(double a, double b)
{
	if (isnan(a) || isnan(b))
		return NULL;
	if (a == 0 && b < 0)
		return "zero raised to a negative power is undefined";
	if (a < 0 && floor(b) != b)
		return "a negative number raised to a non-integer power "
		    "yields a complex result";
	return NULL;
}

static const char *
log_domain(double a)
{
	if (a == 0)
		return "cannot take logarithm of zero";
	return a < 0 ? "cannot take logarithm of a negative number" : NULL;
}

/* Why the function is not defined there, or NULL. */
static const char *
domain(enum tn_sql_fn fn, double a, double b)
{
	switch (fn) {
	case TN_FN_SQRT:
		return a < 0 ?
		    "cannot take square root of a negative number" : NULL;
	case TN_FN_LN:
	case TN_FN_LOG10:
		return log_domain(a);
	case TN_FN_SIN:
	case TN_FN_COS:
	case TN_FN_TAN:
		return isinf(a) ? "input is out of range" : NULL;
	case TN_FN_ASIN:
	case TN_FN_ACOS:
		return a < -1 || a > 1 ? "input is out of range" : NULL;
	case TN_FN_POWER:
		return power_domain(a, b);
	default:
		return NULL;
	}
}

static double
rounded(enum tn_sql_fn fn, double a)
{
	switch (fn) {
	case TN_FN_ABS: return fabs(a);
	case TN_FN_SIGN: return (double)((a > 0) - (a < 0));
	case TN_FN_CEIL: return ceil(a);
	case TN_FN_FLOOR: return floor(a);
	case TN_FN_TRUNC: return trunc(a);
	default:
		tn_assert(fn == TN_FN_ROUND);
		return rint(a);
	}
}

static double
angle(enum tn_sql_fn fn, double a, double b)
{
	switch (fn) {
	case TN_FN_SIN: return sin(a);
	case TN_FN_COS: return cos(a);
	case TN_FN_TAN: return tan(a);
	case TN_FN_ASIN: return asin(a);
	case TN_FN_ACOS: return acos(a);
	case TN_FN_ATAN: return atan(a);
	case TN_FN_ATAN2: return atan2(a, b);
	case TN_FN_DEGREES: return a / (PI_ / 180);
	case TN_FN_RADIANS: return a * (PI_ / 180);
	default: return rounded(fn, a);
	}
}

static double
value(enum tn_sql_fn fn, double a, double b)
{
	switch (fn) {
	case TN_FN_POWER: return pow(a, b);
	case TN_FN_SQRT: return sqrt(a);
	case TN_FN_CBRT: return cbrt(a);
	case TN_FN_EXP: return exp(a);
	case TN_FN_LN: return log(a);
	case TN_FN_LOG10: return log10(a);
	default: return angle(fn, a, b);
	}
}

static void
row_double(struct tn_call *c, uint32_t row)
{
	double a = tn_arg_f64(c, 0, row);
	double b = c->count > 1 ? tn_arg_f64(c, 1, row) : 0;
	const char *why = domain(c->fn, a, b);
	double v;

	if (why != NULL) {
		fail(c, row, why);
		return;
	}
	v = value(c->fn, a, b);
	((double *)c->values)[row] = v;
	/* tan is the one that may be infinite by itself. */
	if (isinf(v) && !isinf(a) && !isinf(b))
		fail(c, row, "value out of range: overflow");
	else if (v == 0 && ((c->fn == TN_FN_EXP && !isinf(a)) ||
	    (c->fn == TN_FN_POWER && a != 0 && !isinf(a) && !isinf(b))))
		fail(c, row, "value out of range: underflow");
}

/* ---- numerics -------------------------------------------------------- */

/* To ${digits} after the point (before it when negative), at the same
 * scale. */
static bool
to_digits(enum tn_sql_fn fn, i128 v, int scale, int64_t digits, i128 *out)
{
	i128 unit, rest;

	*out = v;
	if (digits >= scale)
		return true;
	*out = 0;
	if (scale - digits > 38)
		return true;
	unit = tn_exec_pow10((uint32_t)(scale - digits));
	rest = v % unit;
	v -= rest;
	if (fn == TN_FN_CEIL && rest > 0)
		v += unit;
	else if (fn == TN_FN_FLOOR && rest < 0)
		v -= unit;
	else if ((fn == TN_FN_ROUND || fn == TN_FN_ROUND_TO) &&
	    (rest < 0 ? -rest : rest) >= unit - (rest < 0 ? -rest : rest))
		v += rest < 0 ? -unit : unit;
	*out = v;
	return tn_exec_numeric_fits(v, 38);
}

static void
row_numeric(struct tn_call *c, uint32_t row)
{
	const struct tn_vec *x = &c->args[0];
	i128 v = ((const i128 *)x->c.values)[tn_vec_at(x, row)];
	uint32_t scale = x->c.type.scale;
	int64_t digits = c->count > 1 ? tn_arg_i32(c, 1, row) : 0;
	bool ok = true;

	if (c->fn == TN_FN_ABS)
		v = v < 0 ? -v : v;
	else if (c->fn == TN_FN_SIGN)
		v = ((v > 0) - (v < 0)) * tn_exec_pow10(scale);
	else
		ok = to_digits(c->fn, v, (int)scale, digits, &v);
	if (!ok || !tn_exec_rescale(v, scale, c->type.scale,
	    &((i128 *)c->values)[row]))
		fail(c, row, "value overflows numeric format");
}

/* ---- abs of the other types ------------------------------------------ */

static void
row_abs_int(struct tn_call *c, uint32_t row)
{
	const struct tn_vec *x = &c->args[0];
	uint32_t at = tn_vec_at(x, row);
	int64_t v;

	if (c->type.id == TN_T_INT2) {
		v = ((const int16_t *)x->c.values)[at];
		((int16_t *)c->values)[row] = (int16_t)(v < 0 ? -v : v);
		if (v == INT16_MIN)
			fail(c, row, "smallint out of range");
	} else if (c->type.id == TN_T_INT4) {
		v = ((const int32_t *)x->c.values)[at];
		((int32_t *)c->values)[row] = (int32_t)(v < 0 ? -v : v);
		if (v == INT32_MIN)
			fail(c, row, "integer out of range");
	} else {
		v = ((const int64_t *)x->c.values)[at];
		if (v == INT64_MIN)
			fail(c, row, "bigint out of range");
		else
			((int64_t *)c->values)[row] = v < 0 ? -v : v;
	}
}

static void
row_float(struct tn_call *c, uint32_t row)
{
	const struct tn_vec *x = &c->args[0];

	((float *)c->values)[row] = (float)rounded(c->fn,
	    (double)((const float *)x->c.values)[tn_vec_at(x, row)]);
}

void
tn_exec_k_math(struct tn_call *c, struct tn_vec *out)
{
	double *v;

	if (c->fn == TN_FN_PI) {
		v = tn_exec_values(c);
		v[0] = PI_;
		tn_exec_done(c, out, v);
		return;
	}
	switch (c->type.id) {
	case TN_T_FLOAT8: tn_exec_each(c, out, row_double); break;
	case TN_T_FLOAT4: tn_exec_each(c, out, row_float); break;
	case TN_T_NUMERIC: tn_exec_each(c, out, row_numeric); break;
	default:
		tn_assert(c->fn == TN_FN_ABS);
		tn_exec_each(c, out, row_abs_int);
	}
}

/* Casts between numbers, booleans, dates and times, and from jsonb; those
 * from and to text are in cast_text.c. What may be cast to what is the
 * binder's business (sql/README.md).
 *
 * As PostgreSQL: a double becomes an integer by rounding half to even, a
 * numeric half away from zero; what does not fit is a row error. timestamp
 * and timestamptz are the same number, the zone of the session being UTC. */
#include "exec/expr_int.h"

#include <math.h>
#include <string.h>

typedef __int128 i128;

/* ---- conversions that cannot fail: loops ------------------------------ */

#define CONVERT(name, S, T, EXPR)					\
static void								\
name(struct tn_call *c, struct tn_vec *out)				\
{									\
	const S *restrict in = c->args[0].c.values;			\
	T *restrict o = tn_exec_values(c);				\
									\
	for (uint32_t i = 0; i < c->n; i++) {				\
		S v = in[i];						\
									\
		o[i] = (T)(EXPR);					\
	}								\
	tn_exec_done(c, out, o);					\
}
CONVERT(i16_i32, int16_t, int32_t, v)
CONVERT(i16_i64, int16_t, int64_t, v)
CONVERT(i32_i64, int32_t, int64_t, v)
CONVERT(i16_f32, int16_t, float, v)
CONVERT(i32_f32, int32_t, float, v)
CONVERT(i64_f32, int64_t, float, v)
CONVERT(i16_f64, int16_t, double, v)
CONVERT(i32_f64, int32_t, double, v)
CONVERT(i64_f64, int64_t, double, v)
CONVERT(f32_f64, float, double, v)
CONVERT(u8_i16, uint8_t, int16_t, v)
CONVERT(u8_i32, uint8_t, int32_t, v)
CONVERT(u8_i64, uint8_t, int64_t, v)
CONVERT(i16_u8, int16_t, uint8_t, v != 0)
CONVERT(i32_u8, int32_t, uint8_t, v != 0)
CONVERT(i64_u8, int64_t, uint8_t, v != 0)

static const tn_kernel direct[TN_T_COUNT][TN_T_COUNT] = {
	[TN_T_INT2] = { [TN_T_INT4] = i16_i32, [TN_T_INT8] = i16_i64,
	    [TN_T_FLOAT4] = i16_f32, [TN_T_FLOAT8] = i16_f64,
	    [TN_T_BOOL] = i16_u8 },
	[TN_T_INT4] = { [TN_T_INT8] = i32_i64, [TN_T_FLOAT4] = i32_f32,
	    [TN_T_FLOAT8] = i32_f64, [TN_T_BOOL] = i32_u8 },
	[TN_T_INT8] = { [TN_T_FLOAT4] = i64_f32, [TN_T_FLOAT8] = i64_f64,
	    [TN_T_BOOL] = i64_u8 },
	[TN_T_FLOAT4] = { [TN_T_FLOAT8] = f32_f64 },
	[TN_T_BOOL] = { [TN_T_INT2] = u8_i16, [TN_T_INT4] = u8_i32,
	    [TN_T_INT8] = u8_i64 },
};

/* ---- numbers that may not fit ---------------------------------------- */

static void
out_of_range(struct tn_call *c, uint32_t row)
{
	char name[48];

	tn_exec_fail(c, row, "%s out of range", tn_record_type_name(
	    tn_record_type(c->type.id), name));
}

/* The value as a whole number, rounded; false when 128 bits do not hold it
 * or it is none. */
static bool
whole(const struct tn_column *in, uint32_t at, i128 *v)
{
	double d;

	switch (in->type.id) {
	case TN_T_INT2: *v = ((const int16_t *)in->values)[at]; return true;
	case TN_T_INT4: *v = ((const int32_t *)in->values)[at]; return true;
	case TN_T_INT8: *v = ((const int64_t *)in->values)[at]; return true;
	case TN_T_BOOL: *v = ((const uint8_t *)in->values)[at]; return true;
	case TN_T_NUMERIC:
		return tn_exec_rescale(((const i128 *)in->values)[at],
		    in->type.scale, 0, v);
	default:
		break;
	}
	d = in->type.id == TN_T_FLOAT4 ? ((const float *)in->values)[at] :
	    ((const double *)in->values)[at];
	d = rint(d);
	if (!(fabs(d) < 1e30))
		return false;
	*v = (i128)d;
	return true;
}

static void
row_to_int(struct tn_call *c, uint32_t row)
{
	i128 v;

	if (!whole(&c->args[0].c, tn_vec_at(&c->args[0], row), &v)) {
		out_of_range(c, row);
	} else if (c->type.id == TN_T_INT2 && v == (int16_t)v) {
		((int16_t *)c->values)[row] = (int16_t)v;
	} else if (c->type.id == TN_T_INT4 && v == (int32_t)v) {
		((int32_t *)c->values)[row] = (int32_t)v;
	} else if (c->type.id == TN_T_INT8 && v == (int64_t)v) {
		((int64_t *)c->values)[row] = (int64_t)v;
	} else {
		out_of_range(c, row);
	}
}

static void
row_to_numeric(struct tn_call *c, uint32_t row)
{
	const struct tn_column *in = &c->args[0].c;
	uint32_t at = tn_vec_at(&c->args[0], row);
	i128 v = 0;
	double d;
	bool ok;

	if (in->type.id == TN_T_NUMERIC) {
		ok = tn_exec_rescale(((const i128 *)in->values)[at],
		    in->type.scale, c->type.scale, &v);
	} else if (in->type.id == TN_T_FLOAT8) {
		d = ((const double *)in->values)[at];
		ok = tn_exec_f64_numeric(d, c->type.scale, 15, &v);
	} else if (in->type.id == TN_T_FLOAT4) {
		d = (double)((const float *)in->values)[at];
		ok = tn_exec_f64_numeric(d, c->type.scale, 6, &v);
	} else {
		ok = whole(in, at, &v) &&
		    tn_exec_rescale(v, 0, c->type.scale, &v);
	}
	if (!ok || !tn_exec_numeric_fits(v, c->type.precision)) {
		tn_exec_fail(c, row, "numeric field overflow");
		return;
	}
	((i128 *)c->values)[row] = v;
}

static void
row_to_float(struct tn_call *c, uint32_t row)
{
	const struct tn_column *in = &c->args[0].c;
	uint32_t at = tn_vec_at(&c->args[0], row);
	double d;
	float f;

	if (in->type.id == TN_T_NUMERIC)
		d = tn_exec_numeric_f64(((const i128 *)in->values)[at],
		    in->type.scale);
	else
		d = ((const double *)in->values)[at];
	if (c->type.id == TN_T_FLOAT8) {
		((double *)c->values)[row] = d;
		return;
	}
	f = (float)d;
	if (isinf(f) && !isinf(d))
		tn_exec_fail(c, row, "value out of range: overflow");
	else if (f == 0 && d != 0)
		tn_exec_fail(c, row, "value out of range: underflow");
	else
		((float *)c->values)[row] = f;
}

/* ---- dates and times ------------------------------------------------- */

static void
row_time(struct tn_call *c, uint32_t row)
{
	const struct tn_vec *in = &c->args[0];
	uint32_t at = tn_vec_at(in, row);
	int64_t v = in->c.type.id == TN_T_DATE ?
	    ((const int32_t *)in->c.values)[at] :
	    ((const int64_t *)in->c.values)[at];
	int64_t *o = c->values;

	if (in->c.type.id == TN_T_DATE) {
		if (v < TN_TS_MIN / TN_US_DAY || v >= TN_TS_END / TN_US_DAY)
			tn_exec_fail(c, row, "date out of range for timestamp");
		else
			o[row] = v * TN_US_DAY;
	} else if (c->type.id == TN_T_DATE) {
		((int32_t *)c->values)[row] =
		    (int32_t)tn_floor_div(v, TN_US_DAY);
	} else {
		o[row] = tn_us_of_day(v);
	}
}

static void
row_time_interval(struct tn_call *c, uint32_t row)
{
	((struct tn_interval *)c->values)[row] =
	    (struct tn_interval){ .us = tn_arg_i64(c, 0, row) };
}

static void
row_interval_time(struct tn_call *c, uint32_t row)
{
	((int64_t *)c->values)[row] =
	    tn_us_of_day(tn_arg_interval(c, 0, row).us);
}

void
tn_exec_cast_time(struct tn_call *c, struct tn_vec *out)
{
	enum tn_type_id from = c->args[0].c.type.id;
	enum tn_type_id to = c->type.id;

	if (from == TN_T_TIME && to == TN_T_INTERVAL) {
		tn_exec_each(c, out, row_time_interval);
	} else if (from == TN_T_INTERVAL && to == TN_T_TIME) {
		tn_exec_each(c, out, row_interval_time);
	} else if (from != TN_T_DATE && to != TN_T_DATE && to != TN_T_TIME) {
		*out = c->args[0];           /* timestamp <-> timestamptz */
		out->c.type = c->type;
	} else {
		tn_assert(from == TN_T_DATE || from == TN_T_TIMESTAMP ||
		    from == TN_T_TIMESTAMPTZ);
		tn_exec_each(c, out, row_time);
	}
}

/* ---- from jsonb ------------------------------------------------------ */

static const char *
json_kind(struct tn_slice s)
{
	switch (s.n > 0 ? s.p[0] : 0) {
	case '{': return "object";
	case '[': return "array";
	case '"': return "string";
	case 't': case 'f': return "boolean";
	case 'n': case 0: return "null";
	default: return "numeric";
	}
}

static bool
json_is_number(struct tn_slice s)
{
	return s.n > 0 && (s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9'));
}

/* A JSON number as a constant: a double for doubles, else a numeric that
 * keeps the digits the target may need for rounding. */
static bool
json_number(const struct tn_call *c, struct tn_slice s, struct tn_vec *one,
    i128 *space)
{
	bool real = c->type.id == TN_T_FLOAT8 || c->type.id == TN_T_FLOAT4;

	memset(one, 0, sizeof *one);
	one->constant = true;
	one->c.rows = 1;
	one->c.values = space;
	one->c.type = tn_record_type(real ? TN_T_FLOAT8 : TN_T_NUMERIC);
	if (real)
		return tn_record_parse_f64(s, (double *)space);
	one->c.type.scale = c->type.id == TN_T_NUMERIC ? c->type.scale : 18;
	return tn_record_parse_numeric(s, TN_NUMERIC_DIGITS_MAX,
	    one->c.type.scale, space);
}

static void
row_json(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	const char *kind = json_kind(s);
	const struct tn_vec *args = c->args;
	struct tn_vec one;
	i128 space = 0;
	char name[48];

	if (c->type.id == TN_T_BOOL && kind[0] == 'b') {
		((uint8_t *)c->values)[row] = s.p[0] == 't';
		return;
	}
	if (c->type.id == TN_T_BOOL || !json_is_number(s)) {
		tn_exec_fail(c, row, "cannot cast jsonb %s to type %s", kind,
		    tn_record_type_name(tn_record_type(c->type.id), name));
		return;
	}
	if (!json_number(c, s, &one, &space)) {
		out_of_range(c, row);
		return;
	}
	c->args = &one;
	if (c->type.id == TN_T_NUMERIC)
		row_to_numeric(c, row);
	else if (one.c.type.id == TN_T_FLOAT8 && c->type.id == TN_T_FLOAT8)
		memcpy((double *)c->values + row, &space, sizeof(double));
	else if (one.c.type.id == TN_T_FLOAT8)
		row_to_float(c, row);
	else
		row_to_int(c, row);
	c->args = args;
}

void
tn_exec_cast_jsonb(struct tn_call *c, struct tn_vec *out)
{
	tn_exec_each(c, out, row_json);
}

/* ---- dispatch -------------------------------------------------------- */

static bool
is_time(enum tn_type_id id)
{
	return id == TN_T_DATE || id == TN_T_TIME || id == TN_T_TIMESTAMP ||
	    id == TN_T_TIMESTAMPTZ || id == TN_T_INTERVAL;
}

static bool
same(struct tn_type from, struct tn_type to)
{
	if (from.id != to.id)
		return false;
	if (to.id == TN_T_NUMERIC)
		return from.scale == to.scale &&
		    from.precision <= to.precision;
	return to.id != TN_T_TEXT || to.length_max == 0 ||
	    (from.length_max != 0 && from.length_max <= to.length_max);
}

static void
number(struct tn_call *c, struct tn_vec *out)
{
	tn_kernel loop = direct[c->args[0].c.type.id][c->type.id];

	if (loop != NULL)
		loop(c, out);
	else if (c->type.id == TN_T_NUMERIC)
		tn_exec_each(c, out, row_to_numeric);
	else if (c->type.id == TN_T_FLOAT4 || c->type.id == TN_T_FLOAT8)
		tn_exec_each(c, out, row_to_float);
	else
		tn_exec_each(c, out, row_to_int);
}

void
tn_exec_cast(struct tn_eval *ev, const struct tn_vec *in, struct tn_type to,
    struct tn_vec *out)
{
	struct tn_vec arg = *in;
	struct tn_call c = { .ev = ev, .type = to, .args = &arg, .count = 1,
	    .n = in->c.rows, .constant = in->constant };
	enum tn_type_id from = in->c.type.id;

	if (from == TN_T_NONE ||
	    (in->constant && !tn_column_valid(&in->c, 0))) {
		tn_exec_null(ev, to, out);
		return;
	}
	if (same(in->c.type, to)) {
		*out = arg;
		out->c.type = to;
		return;
	}
	c.valid = tn_exec_valid(ev, &arg, 1, c.n);
	if (from == TN_T_TEXT)
		tn_exec_cast_from_text(&c, out);
	else if (to.id == TN_T_TEXT)
		tn_exec_cast_to_text(&c, out);
	else if (from == TN_T_JSONB)
		tn_exec_cast_jsonb(&c, out);
	else if (is_time(from))
		tn_exec_cast_time(&c, out);
	else
		number(&c, out);
}

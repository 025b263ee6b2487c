/* Constants: one-row columns made at bind time from literals, in the
 * plan's arena. Nothing is computed here but the value of a literal in the
 * type that it is wanted in, by the readers of record.h, so that a literal
 * means the same as the same text in a row. */
#include "sql/sql_int.h"

#include <string.h>

#define US_PER_DAY INT64_C(86400000000)
#define DAYS_MAX 106000000    /* Beyond, 64 bits of microseconds end. */

static struct tn_sql_expr *
fixed(struct tn_sql_bind *b, struct tn_type t, const void *v, uint32_t at)
{
	struct tn_sql_expr *e = tn_sql_new(b, TN_SQL_CONST, t, at);
	struct tn_column *c = tn_arena_zalloc(b->a, sizeof *c);
	size_t width = tn_record_type_width(t);
	void *copy = tn_arena_zalloc(b->a, 16);

	tn_assert(width > 0 && width <= 16);
	if (v != NULL)
		memcpy(copy, v, width);
	c->type = t;
	c->rows = 1;
	c->values = copy;
	e->value = c;
	return e;
}

struct tn_sql_expr *
tn_sql_const_text(struct tn_sql_bind *b, struct tn_type t,
    struct tn_slice s, uint32_t at)
{
	struct tn_sql_expr *e = tn_sql_new(b, TN_SQL_CONST, t, at);
	struct tn_column *c = tn_arena_zalloc(b->a, sizeof *c);
	uint32_t *offsets = tn_arena_zalloc(b->a, 2 * sizeof *offsets);
	uint8_t *bytes = tn_arena_alloc(b->a, s.n + 1);

	if (s.n > 0)
		memcpy(bytes, s.p, s.n);
	bytes[s.n] = 0;
	offsets[1] = (uint32_t)s.n;
	c->type = t;
	c->rows = 1;
	c->offsets = offsets;
	c->bytes = bytes;
	e->value = c;
	return e;
}

struct tn_sql_expr *
tn_sql_const_null(struct tn_sql_bind *b, struct tn_type t, uint32_t at)
{
	static const uint8_t none[1] = { 0 };
	struct tn_sql_expr *e;
	struct tn_column *c;
	bool wide = !tn_sql_is_unknown(t) && tn_record_type_width(t) > 0;

	if (wide)
		e = fixed(b, t, NULL, at);
	else
		e = tn_sql_const_text(b, t, tn_slice_of(""), at);
	c = tn_arena_alloc(b->a, sizeof *c);
	*c = *e->value;
	c->valid = none;
	e->value = c;
	return e;
}

struct tn_sql_expr *
tn_sql_const_i32(struct tn_sql_bind *b, int32_t v, uint32_t at)
{
	return fixed(b, tn_record_type(TN_T_INT4), &v, at);
}

struct tn_sql_expr *
tn_sql_const_bool(struct tn_sql_bind *b, bool v, uint32_t at)
{
	uint8_t byte = v;

	return fixed(b, tn_record_type(TN_T_BOOL), &byte, at);
}

bool
tn_sql_const_is_null(const struct tn_sql_expr *e)
{
	return e->node == TN_SQL_CONST && !tn_column_valid(e->value, 0);
}

bool
tn_sql_const_get_text(const struct tn_sql_expr *e, struct tn_slice *s)
{
	if (e->node != TN_SQL_CONST || tn_sql_const_is_null(e))
		return false;
	if (e->type.id != TN_T_TEXT && e->type.id != TN_SQL_T_UNKNOWN)
		return false;
	*s = tn_column_text(e->value, 0);
	return true;
}

bool
tn_sql_const_get_int(const struct tn_sql_expr *e, int64_t *v)
{
	if (e->node != TN_SQL_CONST || tn_sql_const_is_null(e))
		return false;
	switch (e->type.id) {
	case TN_T_INT2:
		*v = *(const int16_t *)e->value->values;
		return true;
	case TN_T_INT4:
		*v = *(const int32_t *)e->value->values;
		return true;
	case TN_T_INT8:
		*v = *(const int64_t *)e->value->values;
		return true;
	default:
		return false;
	}
}

/* Any number constant, through its text. */
static bool
number_text(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    struct tn_slice *s)
{
	struct tn_buf buf = { 0 };

	if (e->node != TN_SQL_CONST || tn_sql_const_is_null(e) ||
	    !tn_sql_is_number(e->type))
		return false;
	tn_record_print(&buf, e->value, 0);
	s->n = buf.n;
	s->p = (const uint8_t *)tn_arena_strndup(b->a,
	    tn_buf_cstr(&buf), buf.n);
	tn_buf_fini(&buf);
	return true;
}

bool
tn_sql_const_get_f64(const struct tn_sql_expr *e, double *v)
{
	if (e->node != TN_SQL_CONST || tn_sql_const_is_null(e) ||
	    e->type.id != TN_T_FLOAT8)
		return false;
	*v = *(const double *)e->value->values;
	return true;
}

/* Digits after the point that a number's text needs, at most 37. */
static uint8_t
natural_scale(struct tn_slice s)
{
	int64_t scale = 0, exponent = 0;
	bool after = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			after = true;
		} else if ((s.p[i] | 32) == 'e') {
			struct tn_slice rest = { s.p + i + 1, s.n - i - 1 };

			if (rest.n > 0 && rest.p[0] == '+')
				rest = (struct tn_slice){ rest.p + 1,
				    rest.n - 1 };
			if (!tn_parse_i64(rest, &exponent) ||
			    exponent > 1000 || exponent < -1000)
				return 0;
			break;
		} else {
			scale += after;
		}
	}
	scale -= exponent;
	return (uint8_t)(scale < 0 ? 0 : scale > 37 ? 37 : scale);
}

/* A number with the digits it is written with. */
static bool
natural_numeric(struct tn_slice s, struct tn_type *t, __int128 *v)
{
	int scale = natural_scale(s);

	for (; scale >= 0; scale--) {
		*t = tn_sql_numeric((uint8_t)scale, true);
		if (tn_record_parse_numeric(s, TN_NUMERIC_DIGITS_MAX,
		    (uint8_t)scale, v))
			return true;
	}
	return false;
}

struct tn_sql_expr *
tn_sql_const_number(struct tn_sql_bind *b, struct tn_slice s, uint32_t at)
{
	int64_t i64;
	int32_t i32;
	struct tn_type t;
	__int128 v;

	if (tn_parse_i64(s, &i64)) {
		i32 = (int32_t)i64;
		if (i32 == i64)
			return fixed(b, tn_record_type(TN_T_INT4), &i32, at);
		return fixed(b, tn_record_type(TN_T_INT8), &i64, at);
	}
	if (!natural_numeric(s, &t, &v))
		return tn_sql_fail(b, at, "out_of_range",
		    "A numeric has at most 38 digits; for larger numbers "
		    "write '1e300'::double precision.",
		    "the number %.*s is out of range",
		    s.n > 60 ? 60 : (int)s.n, (const char *)s.p);
	return fixed(b, t, &v, at);
}

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && strchr(" \t\n\r\f\v", s.p[0]) != NULL &&
	    s.p[0] != 0) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && s.p[s.n - 1] != 0 &&
	    strchr(" \t\n\r\f\v", s.p[s.n - 1]) != NULL)
		s.n--;
	return s;
}

static struct tn_sql_expr *
bad_literal(struct tn_sql_bind *b, struct tn_type t, struct tn_slice s,
    uint32_t at)
{
	static const char *const moving[] = { "now", "today", "tomorrow",
	    "yesterday", "infinity", "-infinity" };
	const char *hint = NULL;

	for (size_t i = 0; i < TN_COUNT(moving); i++)
		if (tn_slice_is(trim(s), moving[i]))
			hint = i == 0 ? "Write now()." : i < 4 ?
			    "Write current_date, plus or minus days." :
			    "Tarn has no infinite dates; use null.";
	if (hint == NULL && t.id == TN_T_TIMESTAMP)
		hint = "Write it as '2026-03-01 08:00:00', without an "
		    "offset; with one use timestamptz.";
	if (hint == NULL && t.id == TN_T_TIMESTAMPTZ)
		hint = "Write it as '2026-03-01 08:00:00+00'.";
	if (hint == NULL && t.id == TN_T_INTERVAL)
		hint = "Write it as '1 day 02:30:00' or '15 minutes'.";
	return tn_sql_fail(b, at, "bad_literal", hint,
	    "invalid input syntax for type %s: \"%.*s\"",
	    tn_sql_type_text(b, t), s.n > 60 ? 60 : (int)s.n,
	    (const char *)s.p);
}

static struct tn_sql_expr *
parse_int(struct tn_sql_bind *b, struct tn_type t, struct tn_slice s,
    uint32_t at)
{
	struct tn_slice digits = s;
	int64_t v, limit;
	int16_t v2;
	int32_t v4;

	if (s.n > 1 && s.p[0] == '+' && s.p[1] != '-')
		digits = (struct tn_slice){ s.p + 1, s.n - 1 };
	if (!tn_parse_i64(digits, &v))
		return bad_literal(b, t, s, at);
	limit = t.id == TN_T_INT2 ? INT16_MAX :
	    t.id == TN_T_INT4 ? INT32_MAX : INT64_MAX;
	if (v > limit || v < -limit - 1)
		return tn_sql_fail(b, at, "out_of_range", NULL,
		    "the value %.*s is out of range for type %s",
		    (int)s.n, (const char *)s.p, tn_sql_type_text(b, t));
	v2 = (int16_t)v;
	v4 = (int32_t)v;
	return fixed(b, t, t.id == TN_T_INT2 ? (const void *)&v2 :
	    t.id == TN_T_INT4 ? (const void *)&v4 : (const void *)&v, at);
}

static struct tn_sql_expr *
parse_number(struct tn_sql_bind *b, struct tn_type t, struct tn_slice s,
    uint32_t at)
{
	struct tn_type natural;
	double d;
	float f;
	__int128 v;

	if (tn_sql_is_int(t))
		return parse_int(b, t, s, at);
	if (t.id == TN_T_NUMERIC) {
		if (!tn_record_parse_numeric(s, t.precision, t.scale, &v))
			return natural_numeric(s, &natural, &v) ?
			    tn_sql_fail(b, at, "out_of_range", NULL,
			    "the value %.*s is out of range for type %s",
			    s.n > 60 ? 60 : (int)s.n, (const char *)s.p,
			    tn_sql_type_text(b, t)) :
			    bad_literal(b, t, s, at);
		return fixed(b, t, &v, at);
	}
	if (!tn_record_parse_f64(s, &d))
		return bad_literal(b, t, s, at);
	if (t.id == TN_T_FLOAT8)
		return fixed(b, t, &d, at);
	f = (float)d;
	return fixed(b, t, &f, at);
}

static bool
parse_day(struct tn_slice s, int32_t *days)
{
	int64_t us, whole;
	bool zone;

	if (tn_slice_is(s, "epoch")) {
		*days = 0;
		return true;
	}
	if (tn_record_parse_date(s, days))
		return true;
	if (!tn_record_parse_timestamp(s, &us, &zone) || zone)
		return false;
	whole = us / US_PER_DAY - (us % US_PER_DAY < 0);
	*days = (int32_t)whole;
	return true;
}

static bool
parse_instant(struct tn_slice s, bool with_zone, int64_t *us)
{
	int32_t days;
	bool zone = false;

	if (tn_slice_is(s, "epoch")) {
		*us = 0;
		return true;
	}
	if (tn_record_parse_date(s, &days) && days <= DAYS_MAX &&
	    days >= -DAYS_MAX) {
		*us = days * US_PER_DAY;
		return true;
	}
	return tn_record_parse_timestamp(s, us, &zone) &&
	    (with_zone || !zone);
}

static struct tn_sql_expr *
parse_jsonb(struct tn_sql_bind *b, struct tn_type t, struct tn_slice s,
    uint32_t at)
{
	struct tn_buf buf = { 0 };
	struct tn_sql_expr *e;

	if (tn_codec_jsonb(&buf, s) != TN_OK) {
		tn_buf_fini(&buf);
		return bad_literal(b, t, s, at);
	}
	e = tn_sql_const_text(b, t, (struct tn_slice){ buf.p, buf.n }, at);
	tn_buf_fini(&buf);
	return e;
}

/* varchar(n): the first n characters. */
static struct tn_slice
cut(struct tn_slice s, uint32_t chars)
{
	size_t i = 0;

	while (chars > 0 && i < s.n && chars-- > 0) {
		i++;
		while (i < s.n && (s.p[i] & 0xc0) == 0x80)
			i++;
	}
	return (struct tn_slice){ s.p, i };
}

static struct tn_sql_expr *
parse_time_kind(struct tn_sql_bind *b, struct tn_type t, struct tn_slice s,
    uint32_t at)
{
	struct tn_interval iv = { 0 };
	int32_t days;
	int64_t us;
	bool ok;

	switch (t.id) {
	case TN_T_DATE:
		ok = parse_day(s, &days);
		return ok ? fixed(b, t, &days, at) : bad_literal(b, t, s, at);
	case TN_T_TIME:
		ok = tn_record_parse_time(s, &us);
		break;
	case TN_T_INTERVAL:
		ok = tn_record_parse_interval(s, &iv);
		return ok ? fixed(b, t, &iv, at) : bad_literal(b, t, s, at);
	default:
		ok = parse_instant(s, t.id == TN_T_TIMESTAMPTZ, &us);
		break;
	}
	return ok ? fixed(b, t, &us, at) : bad_literal(b, t, s, at);
}

struct tn_sql_expr *
tn_sql_const_parse(struct tn_sql_bind *b, struct tn_type t,
    struct tn_slice s, uint32_t at)
{
	struct tn_slice core = trim(s);
	uint8_t uuid[16];
	bool v;

	switch (t.id) {
	case TN_T_TEXT:
		return tn_sql_const_text(b, t, t.length_max > 0 ?
		    cut(s, t.length_max) : s, at);
	case TN_T_BOOL:
		if (!tn_record_parse_bool(core, &v))
			return bad_literal(b, t, s, at);
		return tn_sql_const_bool(b, v, at);
	case TN_T_UUID:
		if (!tn_record_parse_uuid(core, uuid))
			return bad_literal(b, t, s, at);
		return fixed(b, t, uuid, at);
	case TN_T_JSONB:
		return parse_jsonb(b, t, core, at);
	default:
		if (tn_sql_is_number(t))
			return parse_number(b, t, core, at);
		return parse_time_kind(b, t, core, at);
	}
}

/* A number constant as another kind of number; NULL: leave it to a CAST. */
static struct tn_sql_expr *
fold_number(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    struct tn_type t)
{
	struct tn_slice s;
	__int128 v;
	char *digits;

	if (tn_sql_is_float(e->type) || !number_text(b, e, &s))
		return NULL;
	if (!tn_sql_is_int(t) || tn_sql_is_int(e->type))
		return parse_number(b, t, s, e->at);
	if (!tn_record_parse_numeric(s, TN_NUMERIC_DIGITS_MAX, 0, &v) ||
	    v > INT64_MAX || v < INT64_MIN)
		return NULL;
	digits = tn_arena_printf(b->a, "%lld", (long long)v);
	return parse_int(b, t, tn_slice_of(digits), e->at);
}

static struct tn_sql_expr *
fold(struct tn_sql_bind *b, const struct tn_sql_expr *e, struct tn_type t)
{
	struct tn_slice s;
	int32_t days;
	int64_t us;

	if (tn_sql_const_is_null(e))
		return tn_sql_const_null(b, t, e->at);
	if (e->type.id == TN_T_TEXT && tn_sql_const_get_text(e, &s))
		return tn_sql_const_parse(b, t, s, e->at);
	if (tn_sql_is_number(e->type) && tn_sql_is_number(t))
		return fold_number(b, e, t);
	if (e->type.id == TN_T_DATE && tn_sql_is_ts(t)) {
		days = *(const int32_t *)e->value->values;
		us = days * US_PER_DAY;
		return days > DAYS_MAX || days < -DAYS_MAX ? NULL :
		    fixed(b, t, &us, e->at);
	}
	if (tn_sql_is_ts(e->type) && tn_sql_is_ts(t))
		return fixed(b, t, e->value->values, e->at);
	return NULL;
}

/* No change needed: same kind, and no digits or characters to lose. */
static bool
is_same(struct tn_type from, struct tn_type t, enum tn_sql_cast how)
{
	if (from.id != t.id)
		return false;
	if (t.id == TN_T_NUMERIC) {
		bool bare = !t.declared && t.precision == 38 &&
		    t.scale == TN_NUMERIC_SCALE_DEFAULT;

		if (how == TN_SQL_EXPLICIT && bare)
			return true;
		return from.scale == t.scale && from.precision <= t.precision;
	}
	if (t.id == TN_T_TEXT && how != TN_SQL_IMPLICIT && t.length_max > 0)
		return from.length_max > 0 && from.length_max <= t.length_max;
	return true;
}

struct tn_sql_expr *
tn_sql_coerce(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    struct tn_type t, enum tn_sql_cast how)
{
	struct tn_sql_expr *out = NULL;
	struct tn_slice s;

	tn_assert(!tn_sql_is_unknown(t));
	/* A literal beside a varchar(n) is text: only who asks cuts. */
	if (how == TN_SQL_IMPLICIT)
		t.length_max = 0;
	if (e->type.id == TN_T_NONE)
		return tn_sql_const_null(b, t, e->at);
	if (e->type.id == TN_SQL_T_UNKNOWN && tn_sql_const_get_text(e, &s))
		return tn_sql_const_parse(b, t, s, e->at);
	if (is_same(e->type, t, how))
		return (struct tn_sql_expr *)e;
	if (!tn_sql_castable(e->type, t, how))
		return tn_sql_fail(b, e->at, "type_mismatch",
		    how == TN_SQL_EXPLICIT ? NULL :
		    tn_arena_printf(b->a, "If it is meant, write a cast: "
		    "(...)::%s.", tn_sql_type_text(b, t)),
		    how == TN_SQL_EXPLICIT ? "cannot cast type %s to %s" :
		    "a value of type %s does not fit where %s is wanted",
		    tn_sql_type_text(b, e->type), tn_sql_type_text(b, t));
	/* A whole number as bare numeric keeps all its digits. */
	if (how == TN_SQL_EXPLICIT && t.id == TN_T_NUMERIC && !t.declared &&
	    tn_sql_is_int(e->type))
		t = tn_sql_numeric(0, true);
	if (e->node == TN_SQL_CONST)
		out = fold(b, e, t);
	if (out != NULL || b->st != TN_OK)
		return out;
	return tn_sql_node_new(b, TN_SQL_CAST, t, &e, 1);
}

struct tn_sql_expr *
tn_sql_settle(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	if (!tn_sql_is_unknown(e->type))
		return (struct tn_sql_expr *)e;
	return tn_sql_coerce(b, e, tn_record_type(TN_T_TEXT),
	    TN_SQL_IMPLICIT);
}

/* The type an open literal takes beside a number: numeric with the digits
 * it has, not those of the other side. */
static struct tn_type
open_type(const struct tn_sql_expr *e, struct tn_type t)
{
	struct tn_slice s;
	struct tn_type natural;
	__int128 v;

	if (t.id != TN_T_NUMERIC || !tn_sql_const_get_text(e, &s) ||
	    !natural_numeric(trim(s), &natural, &v))
		return t;
	return natural;
}

/* A time of day is an interval for operators, but not where values of a
 * kind are chosen from. */
static bool
apart(struct tn_type a, struct tn_type b, const char *what)
{
	bool chosen = what[0] == 'G' || what[0] == 'L' || what[0] == 'C';

	return chosen && ((a.id == TN_T_TIME && b.id == TN_T_INTERVAL) ||
	    (a.id == TN_T_INTERVAL && b.id == TN_T_TIME));
}

/* What one of many values of one type may be: varchar(n) and numeric(p,s)
 * only if all are. */
struct tn_type
tn_sql_type_of_any(const struct tn_sql_expr *const *args, uint32_t n)
{
	struct tn_type t = args[0]->type;

	for (uint32_t i = 1; i < n; i++) {
		struct tn_type u = args[i]->type;

		tn_assert(t.id == u.id && t.scale == u.scale);
		if (t.length_max != u.length_max)
			t.length_max = 0;
		if (t.precision < u.precision)
			t.precision = u.precision;
		t.declared = t.declared && u.declared;
	}
	return t;
}

bool
tn_sql_unify(struct tn_sql_bind *b, const struct tn_sql_expr **args,
    uint32_t n, const char *what)
{
	struct tn_type t = tn_record_type(TN_T_NONE);
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (apart(t, args[i]->type, what) ||
		    !tn_sql_type_common(t, args[i]->type, &t)) {
			(void)tn_sql_fail(b, args[i]->at, "type_mismatch",
			    "Write a cast, as in x::text.",
			    "%s: types %s and %s cannot be matched", what,
			    tn_sql_type_text(b, t),
			    tn_sql_type_text(b, args[i]->type));
			return false;
		}
	}
	if (tn_sql_is_unknown(t))
		t = tn_record_type(TN_T_TEXT);
	for (i = 0; i < n; i++)
		if (args[i]->type.id == TN_SQL_T_UNKNOWN)
			(void)tn_sql_type_common(t, open_type(args[i], t),
			    &t);
	for (i = 0; i < n; i++) {
		args[i] = tn_sql_coerce(b, args[i], t, TN_SQL_IMPLICIT);
		if (args[i] == NULL)
			return false;
	}
	return true;
}

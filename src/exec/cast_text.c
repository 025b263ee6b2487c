/* Casts from and to text, and tn_exec_parse. The forms are those of the
 * record room (PostgreSQL's output, ISO 8601 input); here are the rules
 * around them: blanks at both ends are dropped, what is too large says so
 * rather than "invalid syntax", a timestamptz may name its zone
 * ('2026-03-01 08:00 Europe/Berlin'), and a timestamp without zone ignores
 * an offset. varchar(n) is cut to n characters. */
#include "exec/expr_int.h"

#include "codec/codec.h"

#include <math.h>
#include <string.h>

static bool
blank(uint8_t ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* ---- readers --------------------------------------------------------- */

/* Sign and digits; the sum runs below zero, where there is one more. */
static enum tn_exec_read
read_int(struct tn_slice s, int64_t min, int64_t *out)
{
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	bool minus = i == 1 && s.p[0] == '-';
	bool over = false;
	int64_t v = 0;

	if (i == s.n)
		return TN_READ_SYNTAX;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return TN_READ_SYNTAX;
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_sub_overflow(v, s.p[i] - '0', &v);
	}
	if (over || v < min || (!minus && v == min))
		return TN_READ_RANGE;
	*out = minus ? v : -v;
	return TN_READ_OK;
}

static size_t
digits(struct tn_slice s, size_t *at)
{
	size_t start = *at;

	while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9')
		(*at)++;
	return *at - start;
}

static size_t
sign(struct tn_slice s, size_t at)
{
	return at < s.n && (s.p[at] == '-' || s.p[at] == '+');
}

/* Digits with at most one point, and an exponent. */
static bool
looks_number(struct tn_slice s)
{
	size_t i = sign(s, 0);
	size_t n = digits(s, &i);

	if (i < s.n && s.p[i] == '.') {
		i++;
		n += digits(s, &i);
	}
	if (n == 0)
		return false;
	if (i < s.n && (s.p[i] | 0x20) == 'e') {
		i++;
		i += sign(s, i);
		if (digits(s, &i) == 0)
			return false;
	}
	return i == s.n;
}

static enum tn_exec_read
read_float(struct tn_slice s, struct tn_type t, void *v)
{
	double d;
	float f;

	if (!tn_record_parse_f64(s, &d))
		return looks_number(s) ? TN_READ_RANGE : TN_READ_SYNTAX;
	if (t.id == TN_T_FLOAT8) {
		memcpy(v, &d, sizeof d);
		return TN_READ_OK;
	}
	f = (float)d;
	if ((isinf(f) && !isinf(d)) || (f == 0 && d != 0))
		return TN_READ_RANGE;
	memcpy(v, &f, sizeof f);
	return TN_READ_OK;
}

static bool
only_digits_and_marks(struct tn_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (memchr("0123456789-:.+ TZ", s.p[i], 17) == NULL)
			return false;
	return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9';
}

/* The time as written, with whatever stands for the zone cut off. */
static bool
without_zone(struct tn_slice s, int64_t *us)
{
	size_t i = 8;
	bool zone;

	while (i < s.n && s.p[i] != 'T' && s.p[i] != 't' && s.p[i] != ' ')
		i++;
	for (i++; i < s.n; i++)
		if (memchr("+-ZzUuGg", s.p[i], 8) != NULL)
			break;
	if (i >= s.n)
		return false;
	s.n = i;
	return tn_record_parse_timestamp(trim(s), us, &zone);
}

/* '2026-03-01 08:00 Europe/Berlin' */
static bool
named_zone(struct tn_slice s, bool keep_local, int64_t *us)
{
	const uint8_t *at = s.n == 0 ? NULL : memrchr(s.p, ' ', s.n);
	struct tn_slice name, rest;
	struct tn_zone z;
	bool zone;

	if (at == NULL)
		return false;
	rest = trim((struct tn_slice){ s.p, (size_t)(at - s.p) });
	name = (struct tn_slice){ at + 1, (size_t)(s.p + s.n - at - 1) };
	if (name.n == 0 || !((name.p[0] | 0x20) >= 'a' &&
	    (name.p[0] | 0x20) <= 'z'))
		return false;
	if (!tn_record_parse_timestamp(rest, us, &zone) || zone)
		return false;
	if (!tn_exec_tz(name, &z))
		return false;
	if (!keep_local)
		*us = tn_exec_tz_to_utc(z, *us);
	return true;
}

static bool
read_stamp(struct tn_slice s, bool with_zone, int64_t *us)
{
	bool zone;

	if (!tn_record_parse_timestamp(s, us, &zone))
		return named_zone(s, !with_zone, us);
	if (zone && !with_zone)
		return without_zone(s, us);
	return true;
}

/* A whole timestamp will do for a date or a time; the rest is dropped. */
static bool
read_date(struct tn_slice s, void *v)
{
	int64_t us;
	int32_t days;

	if (!tn_record_parse_date(s, &days)) {
		if (!read_stamp(s, false, &us))
			return false;
		days = (int32_t)tn_floor_div(us, TN_US_DAY);
	}
	memcpy(v, &days, sizeof days);
	return true;
}

static bool
read_clock(struct tn_slice s, void *v)
{
	int64_t us;

	if (!tn_record_parse_time(s, &us)) {
		if (s.n <= 8 || !read_stamp(s, false, &us))
			return false;
		us = tn_us_of_day(us);
	}
	memcpy(v, &us, sizeof us);
	return true;
}

static enum tn_exec_read
read_time(struct tn_slice s, struct tn_type t, void *v)
{
	struct tn_interval interval;
	int64_t us;
	bool ok;

	if (t.id == TN_T_INTERVAL) {
		ok = tn_record_parse_interval(s, &interval);
		if (ok)
			memcpy(v, &interval, sizeof interval);
		return ok ? TN_READ_OK : TN_READ_SYNTAX;
	}
	if (t.id == TN_T_DATE) {
		ok = read_date(s, v);
	} else if (t.id == TN_T_TIME) {
		ok = read_clock(s, v);
	} else {
		ok = read_stamp(s, t.id == TN_T_TIMESTAMPTZ, &us) &&
		    us >= TN_TS_MIN && us < TN_TS_END;
		if (ok)
			memcpy(v, &us, sizeof us);
	}
	if (ok)
		return TN_READ_OK;
	return only_digits_and_marks(s) ? TN_READ_RANGE : TN_READ_SYNTAX;
}

static enum tn_exec_read
read_whole(struct tn_slice s, struct tn_type t, void *v)
{
	int64_t min = t.id == TN_T_INT2 ? INT16_MIN : t.id == TN_T_INT4 ?
	    INT32_MIN : INT64_MIN;
	enum tn_exec_read r;
	int64_t whole;

	r = read_int(s, min, &whole);
	if (r == TN_READ_OK)       /* Little endian: the low bytes. */
		memcpy(v, &whole, tn_record_type_width(t));
	return r;
}

static enum tn_exec_read
read_numeric(struct tn_slice s, struct tn_type t, void *v)
{
	__int128 n;

	if (!tn_record_parse_numeric(s, t.precision, t.scale, &n))
		return looks_number(s) ? TN_READ_RANGE : TN_READ_SYNTAX;
	memcpy(v, &n, sizeof n);
	return TN_READ_OK;
}

enum tn_exec_read
tn_exec_read_value(struct tn_slice s, struct tn_type t, void *v)
{
	bool b;

	s = trim(s);
	switch (t.id) {
	case TN_T_BOOL:
		if (!tn_record_parse_bool(s, &b))
			return TN_READ_SYNTAX;
		*(uint8_t *)v = b;
		return TN_READ_OK;
	case TN_T_INT2:
	case TN_T_INT4:
	case TN_T_INT8:
		return read_whole(s, t, v);
	case TN_T_FLOAT4:
	case TN_T_FLOAT8:
		return read_float(s, t, v);
	case TN_T_NUMERIC:
		return read_numeric(s, t, v);
	case TN_T_UUID:
		return tn_record_parse_uuid(s, v) ? TN_READ_OK :
		    TN_READ_SYNTAX;
	default:
		return read_time(s, t, v);
	}
}

/* ---- from text ------------------------------------------------------- */

static void
fail_read(struct tn_call *c, uint32_t row, enum tn_exec_read r)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int n = (int)(s.n < 60 ? s.n : 60);
	const char *p = (const char *)s.p;
	bool whole = c->type.id <= TN_T_INT8;
	struct tn_type t = tn_record_type(c->type.id);
	char name[48];

	if (c->type.id == TN_T_JSONB)
		tn_exec_fail(c, row, "invalid input syntax for type json");
	else if (r == TN_READ_SYNTAX)
		tn_exec_fail(c, row, "invalid input syntax for type %s: "
		    "\"%.*s\"", tn_record_type_name(t, name), n, p);
	else if (c->type.id == TN_T_NUMERIC)
		tn_exec_fail(c, row, "numeric field overflow");
	else if (c->type.id >= TN_T_DATE)
		tn_exec_fail(c, row, "date/time field value out of range: "
		    "\"%.*s\"", n, p);
	else
		tn_exec_fail(c, row, "%s\"%.*s\" is out of range for type %s",
		    whole ? "value " : "", n, p,
		    tn_record_type_name(t, name));
}

static void
row_read(struct tn_call *c, uint32_t row)
{
	size_t width = tn_record_type_width(c->type);
	enum tn_exec_read r = tn_exec_read_value(tn_arg_text(c, 0, row),
	    c->type, (uint8_t *)c->values + row * width);

	if (r != TN_READ_OK)
		fail_read(c, row, r);
}

static void
row_jsonb(struct tn_call *c, uint32_t row)
{
	struct tn_buf *b = c->scratch;
	struct tn_slice s = tn_arg_text(c, 0, row);
	enum tn_status st;

	tn_buf_clear(b);
	st = tn_codec_jsonb(b, s);
	if (st == TN_ENOMEM)
		tn_exec_no_memory(c->ev, s.n);
	if (st != TN_OK)
		fail_read(c, row, TN_READ_SYNTAX);
	else
		tn_exec_put(c, b->p, b->n);
}

/* Bytes of the first ${chars} characters. */
static size_t
first_chars(struct tn_slice s, uint32_t chars)
{
	size_t i = 0;

	if (s.n <= chars)
		return s.n;
	for (; i < s.n; i++) {
		if ((s.p[i] & 0xc0) == 0x80)
			continue;
		if (chars-- == 0)
			break;
	}
	return i;
}

static void
row_cut(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);

	tn_exec_put(c, s.p, c->type.length_max == 0 ? s.n :
	    first_chars(s, c->type.length_max));
}

static void
row_raw(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);

	tn_exec_put(c, s.p, s.n);
}

void
tn_exec_cast_from_text(struct tn_call *c, struct tn_vec *out)
{
	struct tn_buf b = { 0 };

	if (c->type.id == TN_T_TEXT) {
		tn_exec_each(c, out, row_cut);
	} else if (c->type.id == TN_T_BYTES) {
		tn_exec_each(c, out, row_raw);
	} else if (c->type.id == TN_T_JSONB) {
		c->scratch = &b;
		tn_exec_each(c, out, row_jsonb);
		c->scratch = NULL;
		tn_buf_fini(&b);
	} else {
		tn_exec_each(c, out, row_read);
	}
}

/* ---- to text --------------------------------------------------------- */

static void
row_print(struct tn_call *c, uint32_t row)
{
	const struct tn_column *in = &c->args[0].c;
	uint32_t at = tn_vec_at(&c->args[0], row);
	struct tn_buf *b = c->scratch;
	struct tn_slice s;

	tn_buf_clear(b);
	if (in->type.id == TN_T_BOOL)      /* "t" alone, but true::text. */
		tn_buf_str(b, ((const uint8_t *)in->values)[at] ? "true" :
		    "false");
	else
		tn_record_print(b, in, at);
	if (b->failed)
		tn_exec_no_memory(c->ev, tn_column_text(in, at).n);
	s = (struct tn_slice){ b->p, b->n };
	tn_exec_put(c, s.p, c->type.length_max == 0 ? s.n :
	    first_chars(s, c->type.length_max));
}

void
tn_exec_cast_to_text(struct tn_call *c, struct tn_vec *out)
{
	enum tn_type_id from = c->args[0].c.type.id;
	struct tn_buf b = { 0 };

	if ((from == TN_T_JSONB || from == TN_T_BYTES) &&
	    c->type.length_max == 0) {
		*out = c->args[0];         /* The text is the value. */
		out->c.type = c->type;
		return;
	}
	c->scratch = &b;
	tn_exec_each(c, out, row_print);
	c->scratch = NULL;
	tn_buf_fini(&b);
}

/* ---- constants from texts -------------------------------------------- */

const struct tn_column *
tn_exec_parse(struct tn_arena *a, struct tn_type t, struct tn_slice text)
{
	struct tn_batch none = { .rows = 1 };
	struct tn_exec_env env = { .batch = &none, .arena = a };
	struct tn_eval ev = { .env = &env, .a = a, .rows = 1 };
	uint32_t offsets[2] = { 0, (uint32_t)text.n };
	struct tn_vec in = { .constant = true };
	struct tn_vec *out = tn_arena_alloc(a, sizeof *out);

	if (text.n > TN_EXEC_TEXT_MAX)
		return NULL;
	in.c.type = tn_record_type(TN_T_TEXT);
	in.c.rows = 1;
	in.c.offsets = offsets;
	in.c.bytes = text.p;
	/* The result must own its bytes: a text is copied too. */
	if (t.id == TN_T_TEXT) {
		in.c.bytes = (const uint8_t *)tn_arena_strndup(a,
		    (const char *)text.p, text.n);
		in.c.offsets = memcpy(tn_arena_alloc(a, sizeof offsets),
		    offsets, sizeof offsets);
	}
	tn_exec_cast(&ev, &in, t, out);
	return env.errors == 0 ? &out->c : NULL;
}

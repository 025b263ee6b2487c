/* convert: one value, as text or as a scanned JSON number, into a typed
 * column of the open row. CSV fields, constants and JSON strings take the
 * text way, so a value means the same however it came.
 *
 *   text of a whole number column     exact; "1.0" and "1e3" are whole, "1.5"
 *                                     is not
 *   text of a timestamp column        the spec's time_format, else ISO 8601,
 *                                     else a number (see put_epoch)
 *   a number in a timestamp column    the time_format if it fits, else
 *                                     seconds, milli-, micro- or nanoseconds
 *                                     since 1970, told apart by magnitude
 *
 * What goes wrong is the row's error: a code, the column and the value. */
#include "codec/codec_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers --------------------------------------------------------- */

static const double power10[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
	1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

enum whole { WHOLE_OK, WHOLE_FRACTION, WHOLE_RANGE };

/* sign and magnitude to int64_t */
static enum whole
whole_signed(bool negative, uint64_t v, int64_t *out)
{
	if (v > (uint64_t)INT64_MAX + negative)
		return WHOLE_RANGE;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return WHOLE_OK;
}

/* The exact value of a number whose digits do not fit or that has an
 * exponent: digits left of the (moved) point make the value, digits right of
 * it must be zeros. */
static enum whole
whole_slow(const struct tn_codec_num *v, int64_t *out)
{
	int64_t point = 0, seen = 0;
	uint64_t value = 0;
	bool over = false, after = false;
	size_t i = v->negative;

	/* exp10 is the exponent less the digits after the point. */
	for (size_t k = i; k < v->n && (v->p[k] | 0x20) != 'e'; k++)
		point += v->p[k] != '.';
	point += v->exp10;
	for (; i < v->n && (v->p[i] | 0x20) != 'e'; i++) {
		if (v->p[i] == '.')
			continue;
		if (seen++ >= point)
			after |= v->p[i] != '0';
		else if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value,
		    (uint64_t)(v->p[i] - '0'), &value))
			over = true;
	}
	if (after)
		return WHOLE_FRACTION;
	for (; seen < point && value != 0 && !over; seen++)
		over = __builtin_mul_overflow(value, 10u, &value);
	return over ? WHOLE_RANGE : whole_signed(v->negative, value, out);
}

static enum whole
whole(const struct tn_codec_num *v, int64_t *out)
{
	if (v->exact && v->exp10 == 0)
		return whole_signed(v->negative, v->digits, out);
	return whole_slow(v, out);
}

/* Correctly rounded: up to 2^53 and 10^22 are exact doubles, so one division
 * or product rounds once; all else goes the long way. */
static bool
real(const struct tn_codec_num *v, double *out)
{
	double x;

	if (v->exact && v->digits <= (uint64_t)1 << 53 &&
	    v->exp10 >= -22 && v->exp10 <= 22) {
		x = (double)v->digits;
		x = v->exp10 < 0 ? x / power10[-v->exp10] :
		    x * power10[v->exp10];
		*out = v->negative ? -x : x;
		return true;
	}
	return tn_record_parse_f64((struct tn_slice){ v->p, v->n }, out) &&
	    isfinite(*out);
}

/* Rounding to double and then to float may round twice; only a double that
 * lies just between two floats can be wrong, and then the text decides. */
static float
narrow(double x, struct tn_slice text)
{
	char buf[128];
	uint64_t bits;

	memcpy(&bits, &x, sizeof bits);
	if ((bits & 0x1fffffff) != 0x10000000 || text.n >= sizeof buf)
		return (float)x;
	memcpy(buf, text.p, text.n);
	buf[text.n] = 0;
	return strtof(buf, NULL);
}

static bool
put_real(struct tn_codec_decoder *d, uint32_t col, double x,
    struct tn_slice text)
{
	float f;

	if (d->schema->fields[col].type.id == TN_T_FLOAT8) {
		tn_record_builder_f64(d->b, col, x);
		return true;
	}
	f = narrow(x, text);
	if (isinf(f) && !isinf(x))
		return tn_codec_fail(d, "out_of_range", (int32_t)col,
		    "%s does not fit a real", tn_codec_quote(d, text));
	tn_record_builder_fixed(d->b, col, &f);
	return true;
}

static bool
put_whole(struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_num *v)
{
	static const int64_t max[] = {
		[TN_T_INT2] = INT16_MAX, [TN_T_INT4] = INT32_MAX,
		[TN_T_INT8] = INT64_MAX
	};
	struct tn_slice text = { v->p, v->n };
	int64_t m = max[d->schema->fields[col].type.id], x = 0;
	enum whole w = whole(v, &x);
	char name[48];

	if (w == WHOLE_OK && x <= m && x >= -m - 1) {
		tn_record_builder_i64(d->b, col, x);
		return true;
	}
	if (w == WHOLE_FRACTION)
		return tn_codec_fail(d, "not_an_integer", (int32_t)col,
		    "expected a whole number, found %s",
		    tn_codec_quote(d, text));
	return tn_codec_fail(d, "out_of_range", (int32_t)col,
	    "%s does not fit %s", tn_codec_quote(d, text),
	    tn_record_type_name(d->schema->fields[col].type, name));
}

static bool
put_numeric(struct tn_codec_decoder *d, uint32_t col, struct tn_slice text,
    bool is_number)
{
	struct tn_type t = d->schema->fields[col].type;
	char name[48];
	__int128 v;

	if (tn_record_parse_numeric(text, t.precision, t.scale, &v)) {
		tn_record_builder_fixed(d->b, col, &v);
		return true;
	}
	if (!is_number)
		return tn_codec_fail(d, "not_a_number", (int32_t)col,
		    "expected a number, found %s", tn_codec_quote(d, text));
	return tn_codec_fail(d, "out_of_range", (int32_t)col,
	    "%s does not fit %s", tn_codec_quote(d, text),
	    tn_record_type_name(t, name));
}

/* Like a JSON number, but a + and zeros in front are fine too. */
static bool
scan_text_number(struct tn_slice s, struct tn_codec_num *v)
{
	struct tn_codec_scan scan = { 0 };
	const uint8_t *p = s.p, *end = s.p + s.n;

	if (end - p > 1 && *p == '+' && p[1] != '-')
		p++;
	scan.begin = p;
	scan.end = end;
	return tn_codec_scan_loose(&scan, p, v) == end;
}

static bool
put_number_text(struct tn_codec_decoder *d, uint32_t col, struct tn_slice s)
{
	struct tn_codec_num v;
	double x;

	if (scan_text_number(s, &v))
		return tn_codec_put_number(d, col, &v);
	switch (d->schema->fields[col].type.id) {
	case TN_T_FLOAT4:
	case TN_T_FLOAT8:
		if (tn_record_parse_f64(s, &x))
			return put_real(d, col, x, s);
		break;
	case TN_T_NUMERIC:
		return put_numeric(d, col, s, false);
	default:
		break;
	}
	return tn_codec_fail(d, "not_a_number", (int32_t)col,
	    "expected a number, found %s", tn_codec_quote(d, s));
}

/* ---- times ----------------------------------------------------------- */

/* Two digits, or 100 and more. */
static inline uint32_t
two(const uint8_t *p)
{
	uint32_t a = (uint32_t)p[0] - '0', b = (uint32_t)p[1] - '0';

	return a > 9 || b > 9 ? 1000 : a * 10 + b;
}

/* Days of "2026-03-01": few dates are met often, so they are kept. */
static bool
find_days(struct tn_codec_decoder *d, const uint8_t *p, int64_t *days)
{
	uint32_t at = (p[9] + p[8] * 10u + p[6] * 31u) % TN_CODEC_DATES;
	struct tn_codec_date *date = &d->dates[at];
	int32_t v;

	if (memcmp(date->text, p, 10) != 0) {
		if (!tn_record_parse_date((struct tn_slice){ p, 10 }, &v))
			return false;
		memcpy(date->text, p, 10);
		date->days = v;
	}
	*days = date->days;
	return true;
}

/* .f to .ffffff at p; NULL when it is no such fraction. */
static const uint8_t *
quick_fraction(const uint8_t *p, const uint8_t *end, int64_t *us)
{
	uint32_t unit = 100000;

	for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
		if (unit == 0)
			return NULL;
		*us += (int64_t)(*p - '0') * unit;
		unit /= 10;
	}
	return unit == 100000 ? NULL : p;
}

/* Z or +hh:mm as the rest of the text. */
static bool
quick_zone(const uint8_t *p, const uint8_t *end, int64_t *us)
{
	uint32_t hours, minutes;

	if (end - p == 1)
		return *p == 'Z';
	if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':')
		return false;
	hours = two(p + 1);
	minutes = two(p + 4);
	if (hours > 15 || minutes > 59)
		return false;
	*us += (*p == '-' ? 60000000LL : -60000000LL) *
	    (hours * 60 + minutes);
	return true;
}

/* Are the marks of ISO 8601's extended form at their places? */
static inline bool
has_marks(const uint8_t *p)
{
	return p[4] == '-' && p[7] == '-' && (p[10] == 'T' || p[10] == ' ') &&
	    p[13] == ':' && p[16] == ':';
}

/* 2026-03-01T08:00:00[.ffffff][Z|+hh:mm], by far the most usual form. False
 * leaves it to record. */
static bool
quick_time(struct tn_codec_decoder *d, struct tn_slice s, int64_t *us,
    bool *has_zone)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	uint32_t hour, minute, second;
	int64_t days;

	if (s.n < 19 || !has_marks(p))
		return false;
	hour = two(p + 11);
	minute = two(p + 14);
	second = two(p + 17);
	if (hour > 23 || minute > 59 || second > 59 ||
	    !find_days(d, p, &days))
		return false;
	*us = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000;
	p += 19;
	if (p < end && *p == '.')
		p = quick_fraction(p, end, us);
	if (p == NULL)
		return false;
	*has_zone = p < end;
	return p == end || quick_zone(p, end, us);
}

/* 10^9 units of the value are whole nanoseconds of a second. Which unit: up
 * to 10^11 seconds (year 5138), 10^14 ms, 10^17 us, beyond that ns. */
static bool
put_epoch(struct tn_codec_decoder *d, uint32_t col, struct tn_slice text)
{
	__int128 v, size, limit = 1000000000;
	int64_t us;

	if (!tn_record_parse_numeric(text, 38, 9, &v))
		return tn_codec_fail(d, "bad_timestamp", (int32_t)col,
		    "%s is out of range", tn_codec_quote(d, text));
	size = v < 0 ? -v : v;
	limit *= 100000000000;                  /* 10^11 */
	if (size < limit)
		v *= 1000000;
	else if (size < limit * 1000)
		v *= 1000;
	else if (size >= limit * 1000000)
		v /= 1000;
	v += v < 0 ? -500000000 : 500000000;
	v /= 1000000000;
	if (v > INT64_MAX || v < INT64_MIN)
		return tn_codec_fail(d, "bad_timestamp", (int32_t)col,
		    "%s is out of range", tn_codec_quote(d, text));
	us = (int64_t)v;
	if (d->schema->fields[col].type.id == TN_T_TIMESTAMP)
		us += d->zone_us;
	tn_record_builder_i64(d->b, col, us);
	return true;
}

/* Digits alone, with a fraction perhaps, that are no ISO basic date (8),
 * date and minutes (12) or seconds (14). */
static bool
looks_like_epoch(struct tn_slice s)
{
	size_t i = 0, whole_digits;

	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	whole_digits = i;
	if (i < s.n && s.p[i] == '.')
		i++;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i == s.n && whole_digits >= 9 && whole_digits <= 19 &&
	    whole_digits != 12 && whole_digits != 14;
}

bool
tn_codec_put_time(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s)
{
	const char *format = d->spec->time_format;
	bool has_zone = false, good;
	int64_t us = 0;

	if (format != NULL)
		good = tn_record_parse_timestamp_format(s, format, &us,
		    &has_zone);
	else if (quick_time(d, s, &us, &has_zone))
		good = true;
	else if (looks_like_epoch(s))
		return put_epoch(d, col, s);
	else
		good = tn_record_parse_timestamp(s, &us, &has_zone);
	if (!good)
		return tn_codec_fail(d, "bad_timestamp", (int32_t)col,
		    "expected a time%s%s, found %s",
		    format == NULL ? "" : " like ",
		    format == NULL ? "" : format, tn_codec_quote(d, s));
	if (d->schema->fields[col].type.id == TN_T_TIMESTAMPTZ) {
		if (!has_zone &&
		    __builtin_sub_overflow(us, d->zone_us, &us))
			us = INT64_MIN;
	} else if (has_zone && __builtin_add_overflow(us, d->zone_us, &us)) {
		us = INT64_MAX;
	}
	tn_record_builder_i64(d->b, col, us);
	return true;
}

static bool
put_date(struct tn_codec_decoder *d, uint32_t col, struct tn_slice s)
{
	const char *format = d->spec->time_format;
	const int64_t day = 86400000000;
	bool has_zone = false;
	int64_t us;
	int32_t days;

	if (format != NULL &&
	    tn_record_parse_timestamp_format(s, format, &us, &has_zone)) {
		days = (int32_t)((us - (us % day + day) % day) / day);
	} else if (tn_record_parse_date(s, &days)) {
		;
	} else if (tn_record_parse_timestamp(s, &us, &has_zone)) {
		us += has_zone ? d->zone_us : 0;
		days = (int32_t)((us - (us % day + day) % day) / day);
	} else {
		return tn_codec_fail(d, "bad_date", (int32_t)col,
		    "expected a date, found %s", tn_codec_quote(d, s));
	}
	tn_record_builder_fixed(d->b, col, &days);
	return true;
}

/* ---- text and the rest ----------------------------------------------- */

static bool
fits_length(struct tn_slice s, uint32_t characters)
{
	uint32_t n = 0;

	if (characters == 0 || s.n <= characters)
		return true;
	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n <= characters;
}

bool
tn_codec_put_string(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s)
{
	struct tn_type t = d->schema->fields[col].type;

	if (!fits_length(s, t.length_max))
		return tn_codec_fail(d, "too_long", (int32_t)col,
		    "%s is longer than %u characters",
		    tn_codec_quote(d, s), t.length_max);
	tn_record_builder_text(d->b, col, s.p, s.n);
	return true;
}

bool
tn_codec_put_jsonb(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice json)
{
	struct tn_diag diag = { 0 };
	enum tn_status st;

	tn_buf_clear(&d->value);
	st = tn_codec_jsonb_text(&d->value, json, json.n * 4 + 512, &diag);
	if (st == TN_ENOMEM)
		return tn_codec_no_memory(d, (int32_t)col);
	if (st != TN_OK)
		return tn_codec_fail(d, diag.code, (int32_t)col, "%s in %s",
		    diag.message, tn_codec_quote(d, json));
	tn_record_builder_text(d->b, col, d->value.p, d->value.n);
	return true;
}

/* Types that are read by one function of record. */
static bool
put_other(struct tn_codec_decoder *d, uint32_t col, struct tn_slice s)
{
	const char *code, *what;
	struct tn_interval interval;
	uint8_t uuid[16];
	int64_t us;
	bool truth;

	switch (d->schema->fields[col].type.id) {
	case TN_T_BOOL:
		code = "not_a_boolean";
		what = "true or false";
		if (!tn_record_parse_bool(s, &truth))
			break;
		tn_record_builder_bool(d->b, col, truth);
		return true;
	case TN_T_UUID:
		code = "bad_uuid";
		what = "a UUID";
		if (!tn_record_parse_uuid(s, uuid))
			break;
		tn_record_builder_fixed(d->b, col, uuid);
		return true;
	case TN_T_TIME:
		code = "bad_time";
		what = "a time of day";
		if (!tn_record_parse_time(s, &us))
			break;
		tn_record_builder_i64(d->b, col, us);
		return true;
	default:
		code = "bad_interval";
		what = "an interval";
		if (!tn_record_parse_interval(s, &interval))
			break;
		tn_record_builder_fixed(d->b, col, &interval);
		return true;
	}
	return tn_codec_fail(d, code, (int32_t)col, "expected %s, found %s",
	    what, tn_codec_quote(d, s));
}

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool
tn_codec_put_text(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s)
{
	enum tn_type_id id = d->schema->fields[col].type.id;

	if (id == TN_T_TEXT)
		return tn_codec_put_string(d, col, s);
	s = trim(s);
	switch (id) {
	case TN_T_INT2: case TN_T_INT4: case TN_T_INT8:
	case TN_T_FLOAT4: case TN_T_FLOAT8: case TN_T_NUMERIC:
		return put_number_text(d, col, s);
	case TN_T_TIMESTAMP: case TN_T_TIMESTAMPTZ:
		return tn_codec_put_time(d, col, s);
	case TN_T_DATE:
		return put_date(d, col, s);
	case TN_T_JSONB:
		return tn_codec_put_jsonb(d, col, s);
	case TN_T_BYTES:
		return tn_codec_put_string(d, col, s);
	case TN_T_NONE:
		tn_record_builder_null(d->b, col);
		return true;
	default:
		return put_other(d, col, s);
	}
}

/* A number that the spec's time_format reads (%Y%m%d) is meant that way. */
static bool
put_time_number(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice text)
{
	const char *format = d->spec->time_format;
	bool has_zone;
	int64_t us;

	if (format != NULL && tn_record_parse_timestamp_format(text, format,
	    &us, &has_zone))
		return tn_codec_put_time(d, col, text);
	return put_epoch(d, col, text);
}

bool
tn_codec_put_number(struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_num *v)
{
	struct tn_slice text = { v->p, v->n };
	double x;

	switch (d->schema->fields[col].type.id) {
	case TN_T_INT2: case TN_T_INT4: case TN_T_INT8:
		return put_whole(d, col, v);
	case TN_T_FLOAT4: case TN_T_FLOAT8:
		if (!real(v, &x))
			return tn_codec_fail(d, "out_of_range", (int32_t)col,
			    "%s does not fit a double",
			    tn_codec_quote(d, text));
		return put_real(d, col, x, text);
	case TN_T_NUMERIC:
		return put_numeric(d, col, text, true);
	case TN_T_TIMESTAMP: case TN_T_TIMESTAMPTZ:
		return put_time_number(d, col, text);
	default:
		return tn_codec_put_text(d, col, text);
	}
}

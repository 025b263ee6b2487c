/* Values as text: PostgreSQL's forms, and JSON.
 *
 * Each kind is written into a small stack buffer and added once; nothing
 * allocates but the caller's buffer, whose failure the caller sees. Values
 * that no parser would give (any 64 bits from a foreign file) print too: a
 * year before 1 as "0044-03-15 BC". */
#include "record/record_int.h"

#include <math.h>
#include <string.h>

/* A date and time, an interval: the longest is below 100 bytes. */
#define TEXT_MAX 128

struct text {
	char p[TEXT_MAX];
	size_t n;
};

static void
put(struct text *t, const char *s)
{
	size_t n = strlen(s);

	tn_assert(t->n + n <= sizeof t->p);
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void
put_2(struct text *t, uint32_t v)
{
	tn_record_digits_2(t->p + t->n, v);
	t->n += 2;
}

static void
put_i64(struct text *t, int64_t v)
{
	uint64_t mag = v < 0 ? -(uint64_t)v : (uint64_t)v;

	if (v < 0)
		t->p[t->n++] = '-';
	t->n += tn_record_digits_u64(t->p + t->n, mag);
}

/* .123, without zeros at the end; nothing for 0. */
static void
put_fraction(struct text *t, uint32_t us)
{
	int digits = 6;

	if (us == 0)
		return;
	for (; us % 10 == 0; digits--)
		us /= 10;
	t->p[t->n] = '.';
	for (int i = digits; i > 0; i--) {
		t->p[t->n + (size_t)i] = (char)('0' + us % 10);
		us /= 10;
	}
	t->n += (size_t)digits + 1;
}

/* Returns true when the year is before 1: " BC" belongs at the end. */
static bool
put_date(struct text *t, int64_t days)
{
	int32_t year;
	uint32_t month;
	uint32_t day;
	uint32_t shown;

	tn_record_civil(days, &year, &month, &day);
	shown = (uint32_t)(year > 0 ? year : 1 - year);
	if (shown < 10000) {
		put_2(t, shown / 100);
		put_2(t, shown % 100);
	} else {
		put_i64(t, shown);
	}
	t->p[t->n++] = '-';
	put_2(t, month);
	t->p[t->n++] = '-';
	put_2(t, day);
	return year <= 0;
}

/* us below a day, or exactly one ("24:00:00"). */
static void
put_time(struct text *t, int64_t us)
{
	uint32_t seconds = (uint32_t)(us / US_PER_SECOND);

	put_2(t, seconds / 3600);
	t->p[t->n++] = ':';
	put_2(t, seconds / 60 % 60);
	t->p[t->n++] = ':';
	put_2(t, seconds % 60);
	put_fraction(t, (uint32_t)(us % US_PER_SECOND));
}

static void
put_stamp(struct text *t, int64_t us, char between, const char *zone)
{
	int64_t days = us / US_PER_DAY;
	int64_t rest = us % US_PER_DAY;
	bool bc;

	if (rest < 0) {
		rest += US_PER_DAY;
		days--;
	}
	bc = put_date(t, days);
	t->p[t->n++] = between;
	put_time(t, rest);
	put(t, zone);
	if (bc)
		put(t, " BC");
}

/* " 3 days", a plus where a positive part follows a negative one. The interval
 * begins at ${from}: JSON has a quote before it. */
static void
put_part(struct text *t, size_t from, int64_t v, const char *unit,
    bool *minus)
{
	if (v == 0)
		return;
	if (t->n > from)
		put(t, " ");
	if (*minus && v > 0)
		put(t, "+");
	put_i64(t, v);
	put(t, " ");
	put(t, unit);
	put(t, v == 1 ? "" : "s");
	*minus = v < 0;
}

/* PostgreSQL's own style: 1 year 2 mons -3 days +04:05:06.7 */
static void
put_interval(struct text *t, struct tn_interval v)
{
	uint64_t mag = v.us < 0 ? -(uint64_t)v.us : (uint64_t)v.us;
	uint64_t hours = mag / (uint64_t)US_PER_HOUR;
	uint64_t rest = mag % (uint64_t)US_PER_HOUR;
	size_t from = t->n;
	bool minus = false;

	put_part(t, from, v.months / 12, "year", &minus);
	put_part(t, from, v.months % 12, "mon", &minus);
	put_part(t, from, v.days, "day", &minus);
	if (v.us == 0 && t->n > from)
		return;
	if (t->n > from)
		put(t, " ");
	if (v.us < 0)
		put(t, "-");
	else if (minus)
		put(t, "+");
	if (hours < 10)
		put(t, "0");
	put_i64(t, (int64_t)hours);
	put(t, ":");
	put_2(t, (uint32_t)(rest / (uint64_t)US_PER_MINUTE));
	put(t, ":");
	put_2(t, (uint32_t)(rest / (uint64_t)US_PER_SECOND % 60));
	put_fraction(t, (uint32_t)(rest % (uint64_t)US_PER_SECOND));
}

static void
put_uuid(struct text *t, const uint8_t *v)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			t->p[t->n++] = '-';
		t->p[t->n++] = hex[v[i] >> 4];
		t->p[t->n++] = hex[v[i] & 15];
	}
}

static void
print_bytes(struct tn_buf *out, struct tn_slice s)
{
	static const char hex[] = "0123456789abcdef";

	tn_buf_str(out, "\\x");
	for (size_t i = 0; i < s.n; i++) {
		char pair[2] = { hex[s.p[i] >> 4], hex[s.p[i] & 15] };

		tn_buf_add(out, pair, 2);
	}
}

static __int128
numeric_at(const struct tn_column *c, uint32_t row)
{
	__int128 v;

	memcpy(&v, (const uint8_t *)c->values + (size_t)row * 16, 16);
	return v;
}

static void
add(struct tn_buf *out, const struct text *t)
{
	tn_buf_add(out, t->p, t->n);
}

/* Dates, times, intervals and uuids: the same in text and, quoted, in JSON,
 * but for the T and the Z of a timestamp. False for other types. */
static bool
print_quoted_kind(struct text *t, const struct tn_column *c, uint32_t row,
    bool json)
{
	struct tn_interval interval;
	const uint8_t *values = c->values;
	int64_t time;

	switch (c->type.id) {
	case TN_T_DATE:
		if (put_date(t, integer_at(c, row)))
			put(t, " BC");
		return true;
	case TN_T_TIME:
		time = integer_at(c, row);
		/* A foreign file may hold any number: within the day. */
		if (time != US_PER_DAY)
			time = (time % US_PER_DAY + US_PER_DAY) % US_PER_DAY;
		put_time(t, time);
		return true;
	case TN_T_TIMESTAMP:
		put_stamp(t, integer_at(c, row), json ? 'T' : ' ', "");
		return true;
	case TN_T_TIMESTAMPTZ:
		put_stamp(t, integer_at(c, row), json ? 'T' : ' ',
		    json ? "Z" : "+00");
		return true;
	case TN_T_INTERVAL:
		memcpy(&interval, values + (size_t)row * 16, 16);
		put_interval(t, interval);
		return true;
	case TN_T_UUID:
		put_uuid(t, values + (size_t)row * 16);
		return true;
	default:
		return false;
	}
}

/* Booleans and numbers. */
static void
print_bare_kind(struct tn_buf *out, const struct tn_column *c, uint32_t row)
{
	struct text t = { .n = 0 };

	switch (c->type.id) {
	case TN_T_BOOL:
		put(&t, ((const uint8_t *)c->values)[row] ? "true" : "false");
		break;
	case TN_T_FLOAT4:
		tn_record_print_f32(out, ((const float *)c->values)[row]);
		return;
	case TN_T_FLOAT8:
		tn_record_print_f64(out, ((const double *)c->values)[row]);
		return;
	case TN_T_NUMERIC:
		tn_record_print_numeric(out, numeric_at(c, row),
		    c->type.scale, c->type.declared);
		return;
	default:
		put_i64(&t, integer_at(c, row));
	}
	add(out, &t);
}

void
tn_record_print(struct tn_buf *out, const struct tn_column *c, uint32_t row)
{
	struct text t = { .n = 0 };
	struct tn_slice s;

	tn_assert(row < c->rows);
	if (column_null(c, row))
		return;
	c = column_at(c, &row);
	if (type_is_text(c->type.id)) {
		s = tn_column_text(c, row);
		if (c->type.id == TN_T_BYTES)
			print_bytes(out, s);
		else
			tn_buf_add(out, s.p, s.n);
	} else if (print_quoted_kind(&t, c, row, false)) {
		add(out, &t);
	} else {
		print_bare_kind(out, c, row);
	}
}

static bool
is_finite(const struct tn_column *c, uint32_t row)
{
	if (c->type.id == TN_T_FLOAT8)
		return isfinite(((const double *)c->values)[row]);
	if (c->type.id == TN_T_FLOAT4)
		return isfinite(((const float *)c->values)[row]);
	return true;
}

static void
print_json_text(struct tn_buf *out, const struct tn_column *c, uint32_t row)
{
	struct tn_slice s = tn_column_text(c, row);

	if (c->type.id == TN_T_JSONB) {
		tn_buf_add(out, s.p, s.n);
		return;
	}
	tn_buf_char(out, '"');
	if (c->type.id == TN_T_BYTES) {
		tn_buf_char(out, '\\');
		print_bytes(out, s);
	} else {
		tn_buf_json(out, s.p, s.n);
	}
	tn_buf_char(out, '"');
}

void
tn_record_print_json(struct tn_buf *out, const struct tn_column *c,
    uint32_t row)
{
	struct text t = { .n = 0 };

	tn_assert(row < c->rows);
	if (column_null(c, row)) {
		tn_buf_str(out, "null");
		return;
	}
	c = column_at(c, &row);
	if (type_is_text(c->type.id)) {
		print_json_text(out, c, row);
		return;
	}
	put(&t, "\"");
	if (print_quoted_kind(&t, c, row, true)) {
		put(&t, "\"");
		add(out, &t);
	} else if (is_finite(c, row)) {
		print_bare_kind(out, c, row);
	} else {
		tn_buf_char(out, '"');
		print_bare_kind(out, c, row);
		tn_buf_char(out, '"');
	}
}

void
tn_record_print_json_time(struct tn_buf *out, int64_t us)
{
	struct tn_column c = { .type = tn_record_type(TN_T_TIMESTAMPTZ),
	    .rows = 1, .values = &us };

	tn_record_print_json(out, &c, 0);
}

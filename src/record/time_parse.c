/* Texts to dates, times and timestamps.
 *
 *   date      2026-03-01 | 20260301 | 2026-060 | 2026060 | 2026-W09-7 |
 *             2026W097, a year of 5 to 7 digits in the first form
 *   time      08:00:00[.fff] | 08:00[.fff] | 08[.fff] | 080000[.f] | 0800[.f],
 *             a T in front of a time alone; "," for "."; a fraction belongs
 *             to the last part that is written
 *   offset    Z | UTC | GMT | +01 | +0100 | +01:00 | +01:00:00, a blank
 *             before it, below 24 hours
 *   stamp     date [T or blank, time [offset]] [ BC] | epoch
 *
 * Second 60 of any minute is the next minute's 0, 24:00:00 is the next day's
 * 0, as in PostgreSQL. A date alone is its midnight. Refused, since they name
 * a span and not a day: 2026, 2026-03, 2026-W09; also signs before a year,
 * and words like now, today, infinity. Nothing allocates; the usual form of a
 * timestamp goes through quick() without the general reader. */
#include "record/record_int.h"

/* Two digits at p, or 100 and more. */
static inline uint32_t
two(const uint8_t *p)
{
	uint32_t a = (uint32_t)p[0] - '0';
	uint32_t b = (uint32_t)p[1] - '0';

	return a > 9 || b > 9 ? 100 : a * 10 + b;
}

bool
tn_record_scan_digits(struct scan *s, int n, uint32_t *v)
{
	uint32_t value = 0;

	tn_assert(n > 0 && n <= 9);
	if (scan_left(s) < (size_t)n)
		return false;
	for (int i = 0; i < n; i++) {
		uint32_t d = (uint32_t)s->p[i] - '0';

		if (d > 9)
			return false;
		value = value * 10 + d;
	}
	s->p += n;
	*v = value;
	return true;
}

/* Rounded; a half goes to the even neighbour. Not negative. */
static int64_t
divide_even(__int128 a, int64_t b)
{
	int64_t q = (int64_t)(a / b);
	int64_t rest = (int64_t)(a % b);
	bool up = rest > b - rest || (rest == b - rest && (q & 1) != 0);

	return q + up;
}

bool
tn_record_scan_fraction(struct scan *s, int64_t unit_us, int64_t *us)
{
	int64_t value = 0;
	int64_t scale = 1;

	if (!scan_digit(s))
		return false;
	/* Fifteen digits of an hour need more than 64 bits. */
	for (; scan_digit(s); s->p++) {
		if (scale == INT64_C(1000000000000000))
			continue;
		value = value * 10 + (*s->p - '0');
		scale *= 10;
	}
	*us = divide_even((__int128)value * unit_us, scale);
	return true;
}

/* HH, HHMM, HH:MM, HH:MM:SS */
static bool
offset_parts(struct scan *s, uint32_t part[3])
{
	if (!tn_record_scan_digits(s, 2, &part[0]))
		return false;
	if (!scan_take(s, ':'))
		return !scan_digit(s) ||
		    tn_record_scan_digits(s, 2, &part[1]);
	if (!tn_record_scan_digits(s, 2, &part[1]))
		return false;
	return !scan_take(s, ':') || tn_record_scan_digits(s, 2, &part[2]);
}

bool
tn_record_scan_offset(struct scan *s, int32_t *seconds)
{
	uint32_t part[3] = { 0, 0, 0 };
	bool minus;

	if (scan_take(s, 'Z') || scan_take(s, 'z')) {
		*seconds = 0;
		return true;
	}
	minus = scan_take(s, '-');
	if (!minus && !scan_take(s, '+'))
		return false;
	if (!offset_parts(s, part))
		return false;
	if (part[0] > 23 || part[1] > 59 || part[2] > 59)
		return false;
	*seconds = (int32_t)(part[0] * 3600 + part[1] * 60 + part[2]);
	if (minus)
		*seconds = -*seconds;
	return true;
}

/* Week 1 holds 4 January; its Monday is day 1. */
static bool
week_date(uint32_t year, uint32_t week, uint32_t day, int64_t *days)
{
	int64_t jan4 = tn_record_days((int32_t)year, 1, 4);
	int64_t next = tn_record_days((int32_t)year + 1, 1, 4);
	/* 1970-01-05 was a Monday. */
	int64_t monday = jan4 - ((jan4 - 4) % 7 + 7) % 7;
	int64_t monday_next = next - ((next - 4) % 7 + 7) % 7;

	*days = monday + ((int64_t)week - 1) * 7 + (int64_t)day - 1;
	return week >= 1 && day >= 1 && day <= 7 && *days < monday_next;
}

static bool
ordinal_date(uint32_t year, uint32_t day, int64_t *days)
{
	uint32_t length = 337 + tn_record_month_days(year, 2);

	*days = tn_record_days((int32_t)year, 1, 1) + (int64_t)day - 1;
	return day >= 1 && day <= length;
}

static size_t
digit_run(const struct scan *s)
{
	struct scan t = *s;

	while (scan_digit(&t))
		t.p++;
	return (size_t)(t.p - s->p);
}

/* Behind the year's four digits and a W. */
static bool
scan_week(struct scan *s, uint32_t year, bool hyphens, int64_t *days)
{
	uint32_t week;
	uint32_t day;

	return tn_record_scan_digits(s, 2, &week) &&
	    scan_take(s, '-') == hyphens &&
	    tn_record_scan_digits(s, 1, &day) &&
	    week_date(year, week, day, days);
}

/* YYYY-MM-DD, YYYY-DDD, YYYY-Www-D, behind the first hyphen. */
static bool
scan_hyphened(struct scan *s, uint32_t year, bool bc, int64_t *days)
{
	uint32_t month;
	uint32_t day;
	int64_t civil = bc ? 1 - (int64_t)year : (int64_t)year;
	bool iso = !bc && year < 10000;

	if (year == 0)
		return false;
	if (scan_take(s, 'W') || scan_take(s, 'w'))
		return iso && scan_week(s, year, true, days);
	if (digit_run(s) == 3)
		return iso && tn_record_scan_digits(s, 3, &day) &&
		    ordinal_date(year, day, days);
	return tn_record_scan_digits(s, 2, &month) && scan_take(s, '-') &&
	    tn_record_scan_digits(s, 2, &day) && !scan_digit(s) &&
	    tn_record_date_make(civil, month, day, days);
}

/* YYYYMMDD, YYYYDDD, YYYYWwwD: no hyphens. */
static bool
scan_basic(struct scan *s, size_t digits, int64_t *days)
{
	uint32_t year;
	uint32_t month;
	uint32_t day;

	if (!tn_record_scan_digits(s, 4, &year) || year == 0)
		return false;
	if (digits == 8)
		return tn_record_scan_digits(s, 2, &month) &&
		    tn_record_scan_digits(s, 2, &day) &&
		    tn_record_date_make(year, month, day, days);
	if (digits == 7)
		return tn_record_scan_digits(s, 3, &day) &&
		    ordinal_date(year, day, days);
	return digits == 4 && (scan_take(s, 'W') || scan_take(s, 'w')) &&
	    scan_week(s, year, false, days);
}

static bool
scan_date(struct scan *s, bool bc, int64_t *days)
{
	size_t digits = digit_run(s);
	uint32_t year;

	if (digits < 4 || digits > 8)
		return false;
	if (scan_left(s) == digits || s->p[digits] != '-')
		return !bc && scan_basic(s, digits, days);
	if (digits == 8 || (digits > 4 && *s->p == '0'))
		return false;
	if (!tn_record_scan_digits(s, (int)digits, &year))
		return false;
	s->p++;
	return scan_hyphened(s, year, bc, days);
}

/* Hours, minutes and seconds as far as they are written; *unit is the length
 * of the last of them. */
static bool
scan_parts(struct scan *s, uint32_t part[3], int64_t *unit)
{
	bool colons;

	part[1] = 0;
	part[2] = 0;
	*unit = US_PER_HOUR;
	if (!tn_record_scan_digits(s, 2, &part[0]))
		return false;
	colons = scan_take(s, ':');
	if (!colons && !scan_digit(s))
		return true;
	*unit = US_PER_MINUTE;
	if (!tn_record_scan_digits(s, 2, &part[1]))
		return false;
	if (colons ? !scan_take(s, ':') : !scan_digit(s))
		return true;
	*unit = US_PER_SECOND;
	return tn_record_scan_digits(s, 2, &part[2]);
}

/* Up to 24:00:00 when written so or reached by second 60; at most
 * 24:00:00.999999 for 23:59:60.999999. */
static bool
scan_time(struct scan *s, int64_t *us)
{
	uint32_t part[3];
	int64_t unit;
	int64_t fraction = 0;

	if (!scan_parts(s, part, &unit))
		return false;
	if (scan_take(s, '.') || scan_take(s, ','))
		if (!tn_record_scan_fraction(s, unit, &fraction))
			return false;
	if (part[0] > 24 || part[1] > 59 || part[2] > 60)
		return false;
	*us = part[0] * US_PER_HOUR + part[1] * US_PER_MINUTE +
	    part[2] * US_PER_SECOND + fraction;
	return part[0] < 24 || *us == US_PER_DAY;
}

/* An offset to the end, with a blank before it or without; or nothing. */
static bool
scan_zone(struct scan *s, bool *has_zone, int32_t *seconds)
{
	struct tn_slice rest;

	*has_zone = false;
	*seconds = 0;
	if (s->p == s->end)
		return true;
	*has_zone = true;
	(void)scan_take(s, ' ');
	rest = (struct tn_slice){ s->p, scan_left(s) };
	if (tn_record_word_is(rest, "utc") || tn_record_word_is(rest, "gmt"))
		return true;
	return tn_record_scan_offset(s, seconds) && s->p == s->end;
}

/* Take " BC" off the end. */
static bool
cut_bc(struct scan *s)
{
	struct tn_slice tail = { s->end - 3, 3 };

	if (scan_left(s) < 3 || !tn_record_word_is(tail, " bc"))
		return false;
	s->end -= 3;
	return true;
}

static bool
stamp_make(int64_t days, int64_t us, int32_t offset, int64_t *out)
{
	if (days < DAYS_MIN || days > STAMP_DAYS_MAX)
		return false;
	*out = days * US_PER_DAY + us - offset * US_PER_SECOND;
	return true;
}

static bool
general(struct tn_slice in, int64_t *us, bool *has_zone)
{
	struct scan s = { in.p, in.p + in.n };
	bool bc = cut_bc(&s);
	int64_t days;
	int64_t time = 0;
	int32_t offset = 0;

	*has_zone = false;
	if (tn_record_word_is(in, "epoch")) {
		*us = 0;
		*has_zone = true;
		return true;
	}
	if (!scan_date(&s, bc, &days))
		return false;
	if (s.p == s.end)
		return stamp_make(days, 0, 0, us);
	if (!scan_take(&s, 'T') && !scan_take(&s, 't') && !scan_take(&s, ' '))
		return false;
	return scan_time(&s, &time) && scan_zone(&s, has_zone, &offset) &&
	    stamp_make(days, time, offset, us);
}

/* YYYY-MM-DDxHH:MM:SS at p, in ordinary ranges. */
static inline bool
quick_seconds(const uint8_t *p, int64_t *seconds)
{
	uint32_t year = two(p) * 100 + two(p + 2);
	uint32_t month = two(p + 5);
	uint32_t day = two(p + 8);
	uint32_t h = two(p + 11);
	uint32_t m = two(p + 14);
	uint32_t sec = two(p + 17);
	bool marks = p[4] == '-' && p[7] == '-' && p[13] == ':' &&
	    p[16] == ':' && (p[10] == 'T' || p[10] == ' ');

	if (!marks || year - 1 > 9998 || month - 1 > 11 || h > 23 || m > 59 ||
	    sec > 59)
		return false;
	if (two(p + 2) > 99 || day - 1 >= tn_record_month_days(year, month))
		return false;
	*seconds = tn_record_days((int32_t)year, month, day) * 86400 +
	    (int64_t)(h * 3600 + m * 60 + sec);
	return true;
}

/* The usual form, with Z, ±HH:MM, ±HH or nothing behind. False: ask the
 * general reader. */
static bool
quick(struct tn_slice in, int64_t *us, bool *has_zone)
{
	struct scan s = { in.p + 19, in.p + in.n };
	int64_t seconds;
	uint32_t fraction = 0;
	uint32_t unit = 1000000;
	int32_t offset = 0;

	if (in.n < 19 || !quick_seconds(in.p, &seconds))
		return false;
	if (scan_take(&s, '.')) {
		for (; scan_digit(&s) && unit > 1; s.p++) {
			unit /= 10;
			fraction += (uint32_t)(*s.p - '0') * unit;
		}
		if (unit == 1000000 || scan_digit(&s))
			return false;
	}
	*has_zone = s.p != s.end;
	if (*has_zone && (!tn_record_scan_offset(&s, &offset) ||
	    s.p != s.end))
		return false;
	*us = (seconds - offset) * US_PER_SECOND + fraction;
	return true;
}

bool
tn_record_parse_timestamp(struct tn_slice in, int64_t *us, bool *has_zone)
{
	if (LIKELY(in.n >= 19) && LIKELY(quick(in, us, has_zone)))
		return true;
	return in.n > 0 && general(in, us, has_zone);
}

bool
tn_record_parse_date(struct tn_slice in, int32_t *days)
{
	struct scan s = { in.p, in.p + in.n };
	bool bc = in.n >= 3 && cut_bc(&s);
	int64_t v;

	if (in.n == 0 || !scan_date(&s, bc, &v) || s.p != s.end)
		return false;
	if (v < DAYS_MIN || v > DAYS_MAX)
		return false;
	*days = (int32_t)v;
	return true;
}

/* An offset is read and, as in PostgreSQL, has no effect. */
bool
tn_record_parse_time(struct tn_slice in, int64_t *us)
{
	struct scan s = { in.p, in.p + in.n };
	bool has_zone;
	int32_t offset;

	if (in.n == 0)
		return false;
	if (!scan_take(&s, 'T'))
		(void)scan_take(&s, 't');
	return scan_time(&s, us) && scan_zone(&s, &has_zone, &offset) &&
	    *us <= US_PER_DAY;
}

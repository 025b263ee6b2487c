/* Texts to intervals.
 *
 *   [@] quantity unit ... [ago]       1 hour, 1.5 days, 2w 3d, -3 mons
 *   [sign]HH:MM[:SS[.fff]]            anywhere among the above, once
 *   [sign]Y-M                         years and months (SQL)
 *   a bare number last                seconds; days when a time follows
 *   P1Y2M3W4DT5H6M7.8S                ISO 8601, each part with its own sign
 *   P0001-02-03T04:05:06              ISO 8601, the alternative form
 *
 * but no unit twice outside of ISO 8601's form.
 *
 * Months, days and microseconds are kept apart. A fraction of a year goes to
 * months, of a month to days of 30 to the month, of a week to days, of a day
 * to the time, as in PostgreSQL. Anything that does not fit is refused. */
#include "record/record_int.h"

#include <math.h>
#include <string.h>

enum unit {
	UNIT_US, UNIT_MS, UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY,
	UNIT_WEEK, UNIT_MONTH, UNIT_YEAR, UNIT_NONE
};
/* Parts of a day that a clock time fills, as bits of sum.seen. */
#define SEEN_CLOCK (1u << UNIT_US | 1u << UNIT_MS | 1u << UNIT_SECOND | \
	1u << UNIT_MINUTE | 1u << UNIT_HOUR)

static const struct {
	const char *name;
	uint8_t unit;
	uint16_t times;
} units[] = {
	{ "microsecond", UNIT_US, 1 }, { "microseconds", UNIT_US, 1 },
	{ "usec", UNIT_US, 1 }, { "usecs", UNIT_US, 1 }, { "us", UNIT_US, 1 },
	{ "millisecond", UNIT_MS, 1 }, { "milliseconds", UNIT_MS, 1 },
	{ "msec", UNIT_MS, 1 }, { "msecs", UNIT_MS, 1 }, { "ms", UNIT_MS, 1 },
	{ "second", UNIT_SECOND, 1 }, { "seconds", UNIT_SECOND, 1 },
	{ "sec", UNIT_SECOND, 1 }, { "secs", UNIT_SECOND, 1 },
	{ "s", UNIT_SECOND, 1 },
	{ "minute", UNIT_MINUTE, 1 }, { "minutes", UNIT_MINUTE, 1 },
	{ "min", UNIT_MINUTE, 1 }, { "mins", UNIT_MINUTE, 1 },
	{ "m", UNIT_MINUTE, 1 },
	{ "hour", UNIT_HOUR, 1 }, { "hours", UNIT_HOUR, 1 },
	{ "hr", UNIT_HOUR, 1 }, { "hrs", UNIT_HOUR, 1 },
	{ "h", UNIT_HOUR, 1 },
	{ "day", UNIT_DAY, 1 }, { "days", UNIT_DAY, 1 }, { "d", UNIT_DAY, 1 },
	{ "week", UNIT_WEEK, 1 }, { "weeks", UNIT_WEEK, 1 },
	{ "w", UNIT_WEEK, 1 },
	{ "month", UNIT_MONTH, 1 }, { "months", UNIT_MONTH, 1 },
	{ "mon", UNIT_MONTH, 1 }, { "mons", UNIT_MONTH, 1 },
	{ "year", UNIT_YEAR, 1 }, { "years", UNIT_YEAR, 1 },
	{ "yr", UNIT_YEAR, 1 }, { "yrs", UNIT_YEAR, 1 },
	{ "y", UNIT_YEAR, 1 },
	{ "decade", UNIT_YEAR, 10 }, { "decades", UNIT_YEAR, 10 },
	{ "century", UNIT_YEAR, 100 }, { "centuries", UNIT_YEAR, 100 },
	{ "millennium", UNIT_YEAR, 1000 }, { "millennia", UNIT_YEAR, 1000 },
};

/* The sum so far; checked at the end. Each step is checked by add(). */
struct sum {
	int64_t months;
	int64_t days;
	int64_t us;
	uint32_t seen;    /* Units given so far, a bit each: none twice. */
	bool failed;
};

/* whole and fraction have the sign of the text. */
struct quantity {
	bool minus;       /* A sign stood there; -0 has one too. */
	int64_t whole;
	double fraction;  /* 0 <= |fraction| < 1 */
};

static void
add(int64_t *to, int64_t v, int64_t times, struct sum *sum)
{
	int64_t product;

	if (__builtin_mul_overflow(v, times, &product) ||
	    __builtin_add_overflow(*to, product, to))
		sum->failed = true;
}

/* A fraction of so many microseconds, rounded. */
static void
add_us(struct sum *sum, double fraction, int64_t unit_us)
{
	add(&sum->us, (int64_t)rint(fraction * (double)unit_us), 1, sum);
}

static void
add_days(struct sum *sum, double fraction, int64_t days)
{
	double value = fraction * (double)days;
	double whole = trunc(value);

	add(&sum->days, (int64_t)whole, 1, sum);
	add_us(sum, value - whole, US_PER_DAY);
}

static void
add_quantity(struct sum *sum, const struct quantity *q, uint8_t unit,
    int64_t times)
{
	static const int64_t us_of[] = { [UNIT_US] = 1, [UNIT_MS] = 1000,
	    [UNIT_SECOND] = US_PER_SECOND, [UNIT_MINUTE] = US_PER_MINUTE,
	    [UNIT_HOUR] = US_PER_HOUR };

	switch (unit) {
	case UNIT_YEAR:
		add(&sum->months, q->whole, 12 * times, sum);
		add(&sum->months, (int64_t)rint(q->fraction *
		    (double)(12 * times)), 1, sum);
		break;
	case UNIT_MONTH:
		add(&sum->months, q->whole, 1, sum);
		add_days(sum, q->fraction, 30);
		break;
	case UNIT_WEEK:
		add(&sum->days, q->whole, 7, sum);
		add_days(sum, q->fraction, 7);
		break;
	case UNIT_DAY:
		add(&sum->days, q->whole, 1, sum);
		add_us(sum, q->fraction, US_PER_DAY);
		break;
	default:
		tn_assert(unit <= UNIT_HOUR);
		add(&sum->us, q->whole, us_of[unit], sum);
		add_us(sum, q->fraction, us_of[unit]);
	}
}

/* Digits after a point or a comma; 18 of them count. */
static bool
scan_decimals(struct scan *s, double *fraction)
{
	int64_t value = 0;
	double scale = 1;
	int n = 0;

	for (; scan_digit(s); s->p++, n++) {
		if (n >= 18)
			continue;
		value = value * 10 + (*s->p - '0');
		scale *= 10;
	}
	*fraction = (double)value / scale;
	return n > 0;
}

/* Digits and a fraction, without the sign; false on overflow too. */
static bool
scan_unsigned(struct scan *s, struct quantity *q)
{
	bool any = scan_digit(s);

	q->whole = 0;
	q->fraction = 0;
	for (; scan_digit(s); s->p++)
		if (__builtin_mul_overflow(q->whole, 10, &q->whole) ||
		    __builtin_add_overflow(q->whole, *s->p - '0', &q->whole))
			return false;
	if (!scan_take(s, '.') && !scan_take(s, ','))
		return any;
	if (!scan_digit(s))
		return any;
	return scan_decimals(s, &q->fraction);
}

static bool
scan_sign(struct scan *s)
{
	bool minus = scan_take(s, '-');

	if (!minus)
		(void)scan_take(s, '+');
	return minus;
}

static bool
scan_quantity(struct scan *s, struct quantity *q)
{
	q->minus = scan_sign(s);
	if (!scan_unsigned(s, q))
		return false;
	if (q->minus) {
		q->whole = -q->whole;
		q->fraction = -q->fraction;
	}
	return true;
}

static void
skip_blanks(struct scan *s)
{
	while (scan_take(s, ' ') || scan_take(s, '\t'))
		;
}

static struct tn_slice
scan_word(struct scan *s)
{
	struct tn_slice w = { s->p, 0 };

	while (s->p != s->end && (*s->p | 0x20) >= 'a' &&
	    (*s->p | 0x20) <= 'z')
		s->p++;
	w.n = (size_t)(s->p - w.p);
	return w;
}

/* :MM[:SS[.fff]] behind the hours. */
static bool
scan_clock(struct scan *s, const struct quantity *hours, struct sum *sum)
{
	uint32_t minute;
	uint32_t second = 0;
	int64_t fraction = 0;
	int64_t us;

	if (hours->fraction != 0 || !scan_take(s, ':') ||
	    !tn_record_scan_digits(s, 2, &minute))
		return false;
	if (scan_take(s, ':')) {
		if (!tn_record_scan_digits(s, 2, &second))
			return false;
		if (scan_take(s, '.') &&
		    !tn_record_scan_fraction(s, US_PER_SECOND, &fraction))
			return false;
	}
	if (minute > 59 || second > 60)
		return false;
	us = minute * US_PER_MINUTE + second * US_PER_SECOND + fraction;
	add(&sum->us, hours->whole, US_PER_HOUR, sum);
	add(&sum->us, hours->minus ? -us : us, 1, sum);
	return true;
}

/* -M behind the years. */
static bool
scan_year_month(struct scan *s, const struct quantity *years, struct sum *sum)
{
	struct quantity months;

	if (years->fraction != 0 || !scan_take(s, '-') || !scan_digit(s) ||
	    !scan_unsigned(s, &months))
		return false;
	if (months.fraction != 0 || months.whole > 11)
		return false;
	add(&sum->months, years->whole, 12, sum);
	add(&sum->months, years->minus ? -months.whole : months.whole, 1,
	    sum);
	return true;
}

/* Marks units as given; false when one of them was before. */
static bool
first_time(struct sum *sum, uint32_t marks)
{
	bool first = (sum->seen & marks) == 0;

	sum->seen |= marks;
	return first;
}

static bool
apply_unit(struct tn_slice word, const struct quantity *q, struct sum *sum)
{
	size_t i;

	for (i = 0; i < TN_COUNT(units); i++)
		if (tn_record_word_is(word, units[i].name))
			break;
	if (i == TN_COUNT(units))
		return false;
	add_quantity(sum, q, units[i].unit, units[i].times);
	/* Decades and centuries count as units of their own. */
	return units[i].times > 1 || first_time(sum, 1u << units[i].unit);
}

/* A clock and a Y-M end where a blank or the text's end is. */
static bool
at_gap(const struct scan *s)
{
	return s->p == s->end || *s->p == ' ' || *s->p == '\t';
}

/* One quantity and what belongs to it. */
static bool
scan_item(struct scan *s, struct sum *sum)
{
	struct quantity q;
	struct tn_slice word;

	if (!scan_quantity(s, &q))
		return false;
	if (s->p != s->end && *s->p == ':')
		return first_time(sum, SEEN_CLOCK) &&
		    scan_clock(s, &q, sum) && at_gap(s);
	if (s->p != s->end && *s->p == '-')
		return first_time(sum, 1u << UNIT_YEAR | 1u << UNIT_MONTH) &&
		    scan_year_month(s, &q, sum) && at_gap(s);
	skip_blanks(s);
	word = scan_word(s);
	if (word.n > 0)
		return apply_unit(word, &q, sum);
	/* Bare: "1 02:03:04" is a day and a time, "30" is seconds. */
	if (s->p == s->end) {
		add_quantity(sum, &q, UNIT_SECOND, 1);
		return first_time(sum, 1u << UNIT_SECOND);
	}
	add_quantity(sum, &q, UNIT_DAY, 1);
	return first_time(sum, 1u << UNIT_DAY) &&
	    memchr(s->p, ':', scan_left(s)) != NULL;
}

static bool
scan_verbose(struct scan *s, struct sum *sum)
{
	int items = 0;
	struct scan at;

	(void)scan_take(s, '@');
	skip_blanks(s);
	while (s->p != s->end) {
		at = *s;
		if (tn_record_word_is(scan_word(&at), "ago") &&
		    at.p == at.end && items > 0) {
			add(&sum->months, sum->months, -2, sum);
			add(&sum->days, sum->days, -2, sum);
			add(&sum->us, sum->us, -2, sum);
			return true;
		}
		if (!scan_item(s, sum))
			return false;
		items++;
		skip_blanks(s);
	}
	return items > 0;
}

/* YYYY-MM-DD and HH:MM:SS behind the P. */
static bool
scan_alternative(struct scan *s, struct sum *sum)
{
	struct quantity q = { .minus = false };
	uint32_t month;
	uint32_t day;
	uint32_t hour;

	if (!tn_record_scan_digits(s, 4, &day) || !scan_take(s, '-') ||
	    !tn_record_scan_digits(s, 2, &month))
		return false;
	sum->months = (int64_t)day * 12 + month;
	if (!scan_take(s, '-') || !tn_record_scan_digits(s, 2, &day))
		return false;
	sum->days = day;
	if (s->p == s->end)
		return true;
	if (!scan_take(s, 'T') || !tn_record_scan_digits(s, 2, &hour))
		return false;
	q.whole = hour;
	return scan_clock(s, &q, sum) && s->p == s->end;
}

static uint8_t
designator(char c, bool time)
{
	switch (c) {
	case 'Y':
		return UNIT_YEAR;
	case 'W':
		return UNIT_WEEK;
	case 'D':
		return UNIT_DAY;
	case 'M':
		return time ? UNIT_MINUTE : UNIT_MONTH;
	case 'H':
		return UNIT_HOUR;
	case 'S':
		return UNIT_SECOND;
	default:
		return UNIT_NONE;
	}
}

static bool
scan_iso(struct scan *s, struct sum *sum)
{
	struct quantity q;
	bool time = false;
	int items = 0;
	uint8_t unit;

	if (scan_left(s) >= 10 && s->p[3] != '-' && s->p[4] == '-' &&
	    scan_digit(s) && s->p[3] <= '9')
		return scan_alternative(s, sum);
	while (s->p != s->end) {
		if (!time && scan_take(s, 'T')) {
			time = true;
			items = 0;
			continue;
		}
		if (!scan_quantity(s, &q) || s->p == s->end)
			return false;
		unit = designator((char)*s->p, time);
		/* Hours and less behind the T, days and more before it. */
		if (unit == UNIT_NONE || (unit <= UNIT_HOUR) != time)
			return false;
		s->p++;
		add_quantity(sum, &q, unit, 1);
		items++;
	}
	return items > 0;
}

bool
tn_record_parse_interval(struct tn_slice in, struct tn_interval *v)
{
	struct scan s = { in.p, in.p + in.n };
	struct sum sum = { .failed = false };
	bool ok;

	if (in.n == 0)
		return false;
	ok = scan_take(&s, 'P') ? scan_iso(&s, &sum) :
	    scan_verbose(&s, &sum);
	if (!ok || sum.failed || sum.months != (int32_t)sum.months ||
	    sum.days != (int32_t)sum.days)
		return false;
	*v = (struct tn_interval){ .us = sum.us, .days = (int32_t)sum.days,
	    .months = (int32_t)sum.months };
	return true;
}

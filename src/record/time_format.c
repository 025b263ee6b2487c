/* Timestamps by a format of strptime's letters.
 *
 * The format is walked once beside the text; each letter fills a part. A
 * blank in the format stands for one blank or more, every other character
 * for itself. At the end the parts must make one real moment: a year with
 * month and day, or with a day of the year, or seconds since 1970. A letter
 * that is not known refuses the text. */
#include "record/record_int.h"

#include <string.h>

struct parts {
	bool has_year;
	bool has_yday;
	bool has_epoch;
	bool has_zone;
	bool half;       /* %I: 1..12 */
	bool pm;
	uint32_t year;
	uint32_t month;
	uint32_t day;
	uint32_t yday;
	uint32_t hour;
	uint32_t minute;
	uint32_t second;
	int64_t fraction;
	int64_t epoch;
	bool epoch_minus;
	int32_t offset;
};

/* One to ${most} digits with a value of least..top. */
static bool
number_in(struct scan *s, int most, uint32_t least, uint32_t top, uint32_t *v)
{
	uint32_t value = 0;
	int n = 0;

	for (; n < most && scan_digit(s); n++, s->p++)
		value = value * 10 + (uint32_t)(*s->p - '0');
	*v = value;
	return n > 0 && value >= least && value <= top;
}

/* English, three letters or all of them. */
static bool
month_name(struct scan *s, uint32_t *month)
{
	static const char *const names[] = { "january", "february", "march",
	    "april", "may", "june", "july", "august", "september", "october",
	    "november", "december" };

	for (uint32_t i = 0; i < 12; i++) {
		size_t full = strlen(names[i]);
		char three[4] = { names[i][0], names[i][1], names[i][2], 0 };
		struct tn_slice word = { s->p, full };

		*month = i + 1;
		if (scan_left(s) >= full && tn_record_word_is(word, names[i])) {
			s->p += full;
			return true;
		}
		word.n = 3;
		if (scan_left(s) >= 3 && tn_record_word_is(word, three)) {
			s->p += 3;
			return true;
		}
	}
	return false;
}

static bool
half_day(struct scan *s, struct parts *p)
{
	struct tn_slice word = { s->p, 2 };

	if (scan_left(s) < 2)
		return false;
	p->pm = tn_record_word_is(word, "pm");
	if (!p->pm && !tn_record_word_is(word, "am"))
		return false;
	s->p += 2;
	return true;
}

static bool
epoch(struct scan *s, struct parts *p)
{
	int64_t v = 0;
	int n = 0;

	p->epoch_minus = scan_take(s, '-');
	for (; n < 13 && scan_digit(s); n++, s->p++)
		v = v * 10 + (*s->p - '0');
	p->epoch = p->epoch_minus ? -v : v;
	p->has_epoch = true;
	return n > 0 && !scan_digit(s);
}

static bool
date_letter(struct scan *s, char c, struct parts *p)
{
	switch (c) {
	case 'Y':
		p->has_year = true;
		return tn_record_scan_digits(s, 4, &p->year) && p->year > 0;
	case 'y':
		p->has_year = true;
		if (!tn_record_scan_digits(s, 2, &p->year))
			return false;
		p->year += p->year < 69 ? 2000 : 1900;
		return true;
	case 'm':
		return number_in(s, 2, 1, 12, &p->month);
	case 'e':
		(void)scan_take(s, ' ');
		return number_in(s, 2, 1, 31, &p->day);
	case 'd':
		return number_in(s, 2, 1, 31, &p->day);
	case 'b':
		return month_name(s, &p->month);
	default:
		tn_assert(c == 'j');
		p->has_yday = true;
		return number_in(s, 3, 1, 366, &p->yday);
	}
}

static bool
time_letter(struct scan *s, char c, struct parts *p)
{
	switch (c) {
	case 'H':
		p->half = false;
		return number_in(s, 2, 0, 24, &p->hour);
	case 'I':
		p->half = true;
		return number_in(s, 2, 1, 12, &p->hour);
	case 'M':
		return number_in(s, 2, 0, 59, &p->minute);
	case 'S':
		return number_in(s, 2, 0, 60, &p->second);
	case 'f':
		return tn_record_scan_fraction(s, US_PER_SECOND,
		    &p->fraction);
	case 'p':
		return half_day(s, p);
	case 's':
		return epoch(s, p);
	case 'z':
		p->has_zone = true;
		return tn_record_scan_offset(s, &p->offset);
	case '%':
		return scan_take(s, '%');
	default:
		return false;
	}
}

static bool
letter(struct scan *s, char c, struct parts *p)
{
	if (strchr("Yymdebj", c) != NULL)
		return date_letter(s, c, p);
	return time_letter(s, c, p);
}

static bool
walk(struct scan *s, const char *format, struct parts *p)
{
	for (; *format != '\0'; format++) {
		if (*format == ' ') {
			if (!scan_take(s, ' '))
				return false;
			while (scan_take(s, ' '))
				;
		} else if (*format != '%') {
			if (!scan_take(s, *format))
				return false;
		} else {
			format++;
			if (*format == '\0' || !letter(s, *format, p))
				return false;
		}
	}
	return s->p == s->end;
}

static bool
parts_days(const struct parts *p, int64_t *days)
{
	if (!p->has_year)
		return false;
	if (!p->has_yday)
		return tn_record_date_make(p->year, p->month, p->day, days);
	*days = tn_record_days((int32_t)p->year, 1, 1) + p->yday - 1;
	return p->yday <= 337 + tn_record_month_days(p->year, 2);
}

static bool
parts_stamp(const struct parts *p, int64_t *us)
{
	int64_t days;
	int64_t time;
	uint32_t hour = p->hour;

	if (p->has_epoch) {
		/* 13 digits of seconds are beyond the last timestamp. */
		if (p->epoch > (int64_t)STAMP_DAYS_MAX * 86400 ||
		    p->epoch < (int64_t)DAYS_MIN * 86400)
			return false;
		*us = p->epoch * US_PER_SECOND +
		    (p->epoch_minus ? -p->fraction : p->fraction);
		return true;
	}
	if (p->half)
		hour = hour % 12 + (p->pm ? 12 : 0);
	time = hour * US_PER_HOUR + p->minute * US_PER_MINUTE +
	    p->second * US_PER_SECOND + p->fraction;
	if (hour == 24 && time != US_PER_DAY)
		return false;
	if (!parts_days(p, &days))
		return false;
	*us = days * US_PER_DAY + time - p->offset * US_PER_SECOND;
	return true;
}

bool
tn_record_parse_timestamp_format(struct tn_slice in, const char *format,
    int64_t *us, bool *has_zone)
{
	struct scan s = { in.p, in.p + in.n };
	struct parts p = { .month = 1, .day = 1 };

	if (in.n == 0 || !walk(&s, format, &p) || !parts_stamp(&p, us))
		return false;
	*has_zone = p.has_zone || p.has_epoch;
	return true;
}

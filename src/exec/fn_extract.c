/* extract(field from value) and the names of units. The result is a numeric
 * of six digits after the point, so everything is computed in millionths.
 * The Sunday is day 0 of dow and 7 of isodow; years before 1 are negative
 * without a year 0; the epoch of an interval has years of 365.25 days and
 * months of 30, as in PostgreSQL. */
#include "exec/expr_int.h"

#include <string.h>
#include <strings.h>

typedef __int128 i128;
#define MILLION 1000000

enum tn_unit
tn_exec_unit(struct tn_slice s)
{
	static const struct {
		const char *name;
		enum tn_unit unit;
	} units[] = {
		{ "hour", TN_U_HOUR }, { "day", TN_U_DAY },
		{ "minute", TN_U_MINUTE }, { "month", TN_U_MONTH },
		{ "week", TN_U_WEEK }, { "year", TN_U_YEAR },
		{ "second", TN_U_SECOND }, { "epoch", TN_U_EPOCH },
		{ "quarter", TN_U_QUARTER }, { "dow", TN_U_DOW },
		{ "isodow", TN_U_ISODOW }, { "doy", TN_U_DOY },
		{ "isoyear", TN_U_ISOYEAR }, { "julian", TN_U_JULIAN },
		{ "hours", TN_U_HOUR }, { "days", TN_U_DAY },
		{ "minutes", TN_U_MINUTE }, { "months", TN_U_MONTH },
		{ "weeks", TN_U_WEEK }, { "years", TN_U_YEAR },
		{ "seconds", TN_U_SECOND }, { "decade", TN_U_DECADE },
		{ "decades", TN_U_DECADE }, { "dec", TN_U_DECADE },
		{ "decs", TN_U_DECADE }, { "century", TN_U_CENTURY },
		{ "centuries", TN_U_CENTURY }, { "cent", TN_U_CENTURY },
		{ "c", TN_U_CENTURY }, { "millennium", TN_U_MILLENNIUM },
		{ "millennia", TN_U_MILLENNIUM }, { "mil", TN_U_MILLENNIUM },
		{ "mils", TN_U_MILLENNIUM }, { "ms", TN_U_MILLISECOND },
		{ "msec", TN_U_MILLISECOND }, { "msecs", TN_U_MILLISECOND },
		{ "mseconds", TN_U_MILLISECOND },
		{ "millisecond", TN_U_MILLISECOND },
		{ "milliseconds", TN_U_MILLISECOND },
		{ "us", TN_U_MICROSECOND }, { "usec", TN_U_MICROSECOND },
		{ "usecs", TN_U_MICROSECOND },
		{ "useconds", TN_U_MICROSECOND },
		{ "microsecond", TN_U_MICROSECOND },
		{ "microseconds", TN_U_MICROSECOND },
		{ "s", TN_U_SECOND }, { "sec", TN_U_SECOND },
		{ "secs", TN_U_SECOND }, { "m", TN_U_MINUTE },
		{ "min", TN_U_MINUTE }, { "mins", TN_U_MINUTE },
		{ "h", TN_U_HOUR }, { "hr", TN_U_HOUR },
		{ "hrs", TN_U_HOUR }, { "d", TN_U_DAY }, { "w", TN_U_WEEK },
		{ "mon", TN_U_MONTH }, { "mons", TN_U_MONTH },
		{ "qtr", TN_U_QUARTER }, { "y", TN_U_YEAR },
		{ "yr", TN_U_YEAR }, { "yrs", TN_U_YEAR },
		{ "j", TN_U_JULIAN }, { "jd", TN_U_JULIAN },
		{ "timezone", TN_U_TZ }, { "timezone_h", TN_U_TZ_HOUR },
		{ "timezone_hour", TN_U_TZ_HOUR },
		{ "timezone_m", TN_U_TZ_MINUTE },
		{ "timezone_minute", TN_U_TZ_MINUTE },
	};

	for (size_t i = 0; i < TN_COUNT(units); i++)
		if (strlen(units[i].name) == s.n && strncasecmp(
		    units[i].name, (const char *)s.p, s.n) == 0)
			return units[i].unit;
	return TN_U_NONE;
}

/* Which type the value has, for what may be asked. */
enum source { FROM_STAMP, FROM_DATE, FROM_TIME, FROM_INTERVAL };

static bool
supported(enum source from, enum tn_unit u, bool zone)
{
	bool clock = u >= TN_U_MICROSECOND && u <= TN_U_HOUR;

	if (u == TN_U_EPOCH)
		return true;
	switch (from) {
	case FROM_TIME: return clock;
	case FROM_INTERVAL: return u <= TN_U_MILLENNIUM && u != TN_U_WEEK;
	case FROM_DATE: return !clock && u < TN_U_TZ;
	default: return u < TN_U_TZ || zone;
	}
}

/* Parts of a clock: a time of day or the time of an interval. */
static i128
clock_part(enum tn_unit u, int64_t us)
{
	int64_t minute = us % TN_US_MINUTE;

	switch (u) {
	case TN_U_MICROSECOND: return (i128)minute * MILLION;
	case TN_U_MILLISECOND: return (i128)minute * 1000;
	case TN_U_SECOND: return minute;
	case TN_U_MINUTE: return (i128)(us / TN_US_MINUTE % 60) * MILLION;
	default: return (i128)(us / TN_US_HOUR) * MILLION;
	}
}

/* Years before 1 in PostgreSQL's count; y is astronomical. */
static int64_t
year_part(enum tn_unit u, int64_t y)
{
	switch (u) {
	case TN_U_DECADE:
		return y >= 0 ? y / 10 : -((8 - (y - 1)) / 10);
	case TN_U_CENTURY:
		return y > 0 ? (y + 99) / 100 : -((99 - (y - 1)) / 100);
	case TN_U_MILLENNIUM:
		return y > 0 ? (y + 999) / 1000 : -((999 - (y - 1)) / 1000);
	default:
		return y > 0 ? y : y - 1;
	}
}

static int64_t
day_part(enum tn_unit u, const struct tn_time_parts *p)
{
	int32_t year;
	uint32_t week;

	switch (u) {
	case TN_U_DAY: return p->day;
	case TN_U_MONTH: return p->month;
	case TN_U_QUARTER: return (p->month - 1) / 3 + 1;
	case TN_U_DOW: return tn_exec_isodow(p->days) % 7;
	case TN_U_ISODOW: return tn_exec_isodow(p->days);
	case TN_U_DOY: return p->days - tn_record_days(p->year, 1, 1) + 1;
	case TN_U_WEEK: return tn_exec_iso_week(p->days, &year);
	case TN_U_ISOYEAR:
		week = tn_exec_iso_week(p->days, &year);
		tn_assert(week >= 1 && week <= 53);
		return year > 0 ? year : year - 1;
	case TN_U_TZ:
	case TN_U_TZ_HOUR:
	case TN_U_TZ_MINUTE: return 0;       /* UTC */
	default: return year_part(u, p->year);
	}
}

static i128
stamp_part(enum tn_unit u, int64_t us)
{
	struct tn_time_parts p;

	if (u == TN_U_EPOCH)
		return us;
	tn_exec_parts(us, &p);
	if (u >= TN_U_MICROSECOND && u <= TN_U_HOUR)
		return clock_part(u, p.us);
	if (u == TN_U_JULIAN)
		return (i128)(p.days + 2440588) * MILLION +
		    (p.us + TN_US_DAY / MILLION / 2) / (TN_US_DAY / MILLION);
	return (i128)day_part(u, &p) * MILLION;
}

static i128
date_part(enum tn_unit u, int64_t days)
{
	struct tn_time_parts p = { .days = days };

	if (u == TN_U_EPOCH)
		return (i128)days * TN_US_DAY;
	if (u == TN_U_JULIAN)
		return (i128)(days + 2440588) * MILLION;
	tn_record_civil(days, &p.year, &p.month, &p.day);
	return (i128)day_part(u, &p) * MILLION;
}

static i128
interval_part(enum tn_unit u, struct tn_interval v)
{
	int32_t years = v.months / 12, months = v.months % 12;

	switch (u) {
	case TN_U_EPOCH:
		return ((i128)years * 31557600 + (i128)months * 30 * 86400 +
		    (i128)v.days * 86400) * MILLION + v.us;
	case TN_U_DAY: return (i128)v.days * MILLION;
	case TN_U_MONTH: return (i128)months * MILLION;
	case TN_U_QUARTER: return (i128)(months / 3 + 1) * MILLION;
	case TN_U_YEAR: return (i128)years * MILLION;
	case TN_U_DECADE: return (i128)(years / 10) * MILLION;
	case TN_U_CENTURY: return (i128)(years / 100) * MILLION;
	case TN_U_MILLENNIUM: return (i128)(years / 1000) * MILLION;
	default: return clock_part(u, v.us);
	}
}

struct plan {
	enum tn_unit unit;
	enum source from;
	bool zone;
};

static enum source
source_of(struct tn_type t)
{
	switch (t.id) {
	case TN_T_DATE: return FROM_DATE;
	case TN_T_TIME: return FROM_TIME;
	case TN_T_INTERVAL: return FROM_INTERVAL;
	default:
		tn_assert(t.id == TN_T_TIMESTAMP || t.id == TN_T_TIMESTAMPTZ);
		return FROM_STAMP;
	}
}

static void
unit_error(struct tn_call *c, uint32_t row, enum tn_unit u)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	char name[48];

	tn_exec_fail(c, row, "unit \"%.*s\" not %s for type %s",
	    (int)(s.n < 40 ? s.n : 40), (const char *)s.p,
	    u == TN_U_NONE ? "recognized" : "supported",
	    tn_record_type_name(c->args[1].c.type, name));
}

static void
row_extract(struct tn_call *c, uint32_t row)
{
	const struct plan *p = c->scratch;
	enum tn_unit u = p->unit;
	i128 v;

	if (!c->args[0].constant)
		u = tn_exec_unit(tn_arg_text(c, 0, row));
	if (u == TN_U_NONE || !supported(p->from, u, p->zone)) {
		unit_error(c, row, u);
		return;
	}
	if (p->from == FROM_DATE)
		v = date_part(u, tn_arg_i32(c, 1, row));
	else if (p->from == FROM_INTERVAL)
		v = interval_part(u, tn_arg_interval(c, 1, row));
	else if (p->from == FROM_TIME)
		v = u == TN_U_EPOCH ? tn_arg_i64(c, 1, row) :
		    clock_part(u, tn_arg_i64(c, 1, row));
	else
		v = stamp_part(u, tn_arg_i64(c, 1, row));
	((i128 *)c->values)[row] = v;
}

void
tn_exec_k_extract(struct tn_call *c, struct tn_vec *out)
{
	struct plan p = { .from = source_of(c->args[1].c.type),
	    .zone = c->args[1].c.type.id == TN_T_TIMESTAMPTZ };

	tn_assert(c->type.id == TN_T_NUMERIC && c->type.scale == 6);
	if (c->args[0].constant)
		p.unit = tn_exec_unit(tn_arg_text(c, 0, 0));
	c->scratch = &p;
	tn_exec_each(c, out, row_extract);
	c->scratch = NULL;
}

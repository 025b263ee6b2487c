/* Arithmetic of dates, times and intervals; now, make_*, to_timestamp, age.
 *
 * An interval has months, days and microseconds that do not turn into each
 * other by themselves: adding one goes by the calendar first (the day is cut
 * to the length of the month), then whole days, then time. All results are
 * held within PostgreSQL's ranges (expr_int.h); beyond is a row error. */
#include "exec/expr_int.h"

#include <math.h>

void
tn_exec_parts(int64_t us, struct tn_time_parts *p)
{
	p->days = tn_floor_div(us, TN_US_DAY);
	/* Unsigned: the first day of all begins before the first moment. */
	p->us = (int64_t)((uint64_t)us - (uint64_t)p->days *
	    (uint64_t)TN_US_DAY);
	tn_record_civil(p->days, &p->year, &p->month, &p->day);
}

static uint32_t
month_days(int32_t year, uint32_t month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
	    31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	tn_assert(month >= 1 && month <= 12);
	return days[month - 1] + (month == 2 && leap);
}

uint32_t
tn_exec_iso_week(int64_t days, int32_t *year)
{
	/* The Thursday of a week is in the year the week belongs to. */
	int64_t thursday = days - tn_exec_isodow(days) + 4;
	uint32_t month, day;

	tn_record_civil(thursday, year, &month, &day);
	return (uint32_t)((thursday - tn_record_days(*year, 1, 1)) / 7) + 1;
}

static bool
ts_fits(int64_t ts)
{
	return ts >= TN_TS_MIN && ts < TN_TS_END;
}

bool
tn_exec_ts_add(int64_t ts, struct tn_interval v, int64_t *out)
{
	struct tn_time_parts p;
	int64_t months, more;

	if (v.months != 0) {
		tn_exec_parts(ts, &p);
		months = (int64_t)p.year * 12 + p.month - 1 + v.months;
		if (months / 12 > 300000 || months / 12 < -5000)
			return false;
		p.year = (int32_t)tn_floor_div(months, 12);
		p.month = (uint32_t)(months - p.year * INT64_C(12)) + 1;
		if (p.day > month_days(p.year, p.month))
			p.day = month_days(p.year, p.month);
		p.days = tn_record_days(p.year, p.month, p.day);
		if (__builtin_mul_overflow(p.days, TN_US_DAY, &ts) ||
		    __builtin_add_overflow(ts, p.us, &ts))
			return false;
	}
	if (__builtin_mul_overflow((int64_t)v.days, TN_US_DAY, &more) ||
	    __builtin_add_overflow(ts, more, &ts) ||
	    __builtin_add_overflow(ts, v.us, &ts))
		return false;
	*out = ts;
	return ts_fits(ts);
}

static bool
negate(struct tn_interval *v)
{
	if (v->months == INT32_MIN || v->days == INT32_MIN ||
	    v->us == INT64_MIN)
		return false;
	*v = (struct tn_interval){ .us = -v->us, .days = -v->days,
	    .months = -v->months };
	return true;
}

static void
interval_range(struct tn_call *c, uint32_t row)
{
	tn_exec_fail(c, row, "interval out of range");
}

/* ---- timestamps ------------------------------------------------------ */

static void
row_ts_add(struct tn_call *c, uint32_t row)
{
	struct tn_interval v = tn_arg_interval(c, 1, row);
	int64_t *o = c->values;

	if ((c->fn == TN_FN_TS_SUB && !negate(&v)) ||
	    !tn_exec_ts_add(tn_arg_i64(c, 0, row), v, &o[row]))
		tn_exec_fail(c, row, "timestamp out of range");
}

static void
row_ts_diff(struct tn_call *c, uint32_t row)
{
	struct tn_interval *o = c->values;
	int64_t us;

	if (__builtin_sub_overflow(tn_arg_i64(c, 0, row),
	    tn_arg_i64(c, 1, row), &us)) {
		interval_range(c, row);
		return;
	}
	o[row].days = (int32_t)(us / TN_US_DAY);
	o[row].us = us % TN_US_DAY;
}

/* Field by field from the later to the earlier, borrowing days from the
 * earlier one's month; negative when the first is the earlier. */
static void
row_age(struct tn_call *c, uint32_t row)
{
	int64_t a = tn_arg_i64(c, 0, row), b = tn_arg_i64(c, 1, row);
	struct tn_interval *o = c->values;
	struct tn_time_parts late, early;
	int32_t months, days;
	int64_t us;

	tn_exec_parts(a > b ? a : b, &late);
	tn_exec_parts(a > b ? b : a, &early);
	us = late.us - early.us;
	days = (int32_t)late.day - (int32_t)early.day;
	months = (late.year - early.year) * 12 + (int32_t)late.month -
	    (int32_t)early.month;
	if (us < 0) {
		us += TN_US_DAY;
		days--;
	}
	if (days < 0) {
		days += (int32_t)month_days(early.year, early.month);
		months--;
	}
	o[row] = (struct tn_interval){ .us = us, .days = days,
	    .months = months };
	if (a < b)
		(void)negate(&o[row]);
}

static void
row_to_timestamp(struct tn_call *c, uint32_t row)
{
	/* As PostgreSQL, which counts from 2000: the rounding shows. */
	const double epoch = 946684800;
	double s = tn_arg_f64(c, 0, row);
	double us = rint((s - epoch) * 1e6);

	if (isnan(s)) {
		tn_exec_fail(c, row, "timestamp cannot be NaN");
	} else if (!(us >= -2.2e17 && us < 9.2223e18)) {
		tn_exec_fail(c, row, "timestamp out of range: \"%g\"", s);
	} else {
		((int64_t *)c->values)[row] = (int64_t)us +
		    INT64_C(946684800) * TN_US_SECOND;
		if (!ts_fits(((int64_t *)c->values)[row]))
			tn_exec_fail(c, row,
			    "timestamp out of range: \"%g\"", s);
	}
}

/* ---- dates and times ------------------------------------------------- */

static void
row_date_add(struct tn_call *c, uint32_t row)
{
	int64_t n = tn_arg_i32(c, 1, row);
	int64_t v = tn_arg_i32(c, 0, row) + (c->fn == TN_FN_DATE_ADD ? n : -n);

	if (v < TN_DATE_MIN || v >= TN_DATE_END)
		tn_exec_fail(c, row, "date out of range");
	else
		((int32_t *)c->values)[row] = (int32_t)v;
}

static void
row_date_diff(struct tn_call *c, uint32_t row)
{
	((int32_t *)c->values)[row] = (int32_t)
	    ((int64_t)tn_arg_i32(c, 0, row) - tn_arg_i32(c, 1, row));
}

static void
row_date_time(struct tn_call *c, uint32_t row)
{
	int64_t day, *o = c->values;

	if (__builtin_mul_overflow((int64_t)tn_arg_i32(c, 0, row), TN_US_DAY,
	    &day) || __builtin_add_overflow(day, tn_arg_i64(c, 1, row),
	    &o[row]) || !ts_fits(o[row]))
		tn_exec_fail(c, row, "date out of range for timestamp");
}

static void
row_time_add(struct tn_call *c, uint32_t row)
{
	int64_t us = tn_arg_interval(c, 1, row).us % TN_US_DAY;
	int64_t t = tn_us_of_day(tn_arg_i64(c, 0, row));

	((int64_t *)c->values)[row] = tn_us_of_day(t +
	    (c->fn == TN_FN_TIME_ADD ? us : -us));
}

static void
row_time_diff(struct tn_call *c, uint32_t row)
{
	struct tn_interval *o = (struct tn_interval *)c->values + row;

	if (__builtin_sub_overflow(tn_arg_i64(c, 0, row),
	    tn_arg_i64(c, 1, row), &o->us))
		interval_range(c, row);
}

static void
row_make_date(struct tn_call *c, uint32_t row)
{
	int32_t y = tn_arg_i32(c, 0, row), m = tn_arg_i32(c, 1, row);
	int32_t d = tn_arg_i32(c, 2, row);
	int32_t year = y < 0 ? y + 1 : y;       /* -1 is 1 BC. */
	int64_t days = TN_DATE_END;

	if (y == 0 || y == INT32_MIN || m < 1 || m > 12 || d < 1 ||
	    d > (int32_t)month_days(year, (uint32_t)m)) {
		tn_exec_fail(c, row, "date field value out of range: "
		    "%d-%02d-%02d", y, m, d);
		return;
	}
	if (y >= -4800 && y <= 5874898)
		days = tn_record_days(year, (uint32_t)m, (uint32_t)d);
	if (days >= TN_DATE_MIN && days < TN_DATE_END)
		((int32_t *)c->values)[row] = (int32_t)days;
	else
		tn_exec_fail(c, row, "date out of range: %d-%02d-%02d", y, m,
		    d);
}

static void
row_make_time(struct tn_call *c, uint32_t row)
{
	int32_t h = tn_arg_i32(c, 0, row), m = tn_arg_i32(c, 1, row);
	double s = tn_arg_f64(c, 2, row);
	int64_t us = -1;

	if (h >= 0 && h <= 24 && m >= 0 && m < 60 && s >= 0 && s <= 60)
		us = h * TN_US_HOUR + m * TN_US_MINUTE +
		    (int64_t)rint(s * 1e6);
	if (us >= 0 && us <= TN_US_DAY)
		((int64_t *)c->values)[row] = us;
	else
		tn_exec_fail(c, row, "time field value out of range: "
		    "%d:%02d:%02g", h, m, s);
}

/* ---- intervals ------------------------------------------------------- */

static void
row_interval_add(struct tn_call *c, uint32_t row)
{
	struct tn_interval a = tn_arg_interval(c, 0, row);
	struct tn_interval b = tn_arg_interval(c, 1, row);
	struct tn_interval *o = (struct tn_interval *)c->values + row;
	bool bad;

	if (c->fn == TN_FN_INTERVAL_ADD)
		bad = __builtin_add_overflow(a.months, b.months,
		    &o->months) ||
		    __builtin_add_overflow(a.days, b.days,
		    &o->days) ||
		    __builtin_add_overflow(a.us, b.us, &o->us);
	else
		bad = __builtin_sub_overflow(a.months, b.months,
		    &o->months) ||
		    __builtin_sub_overflow(a.days, b.days,
		    &o->days) ||
		    __builtin_sub_overflow(a.us, b.us, &o->us);
	if (bad)
		interval_range(c, row);
}

static void
row_interval_neg(struct tn_call *c, uint32_t row)
{
	struct tn_interval v = tn_arg_interval(c, 0, row);

	if (negate(&v))
		((struct tn_interval *)c->values)[row] = v;
	else
		interval_range(c, row);
}

static double
to_us(double v)
{
	return rint(v * 1e6) / 1e6;
}

/* Fractions of months become days (30 a month), those of days time; each
 * step is rounded to microseconds so that 1/3 of a month is 10 days. */
static bool
scale(double months, double days, double us,
    struct tn_interval *o)
{
	double rest_days, rest_s, days_all;

	if (!(fabs(months) < 2147483648.0) || !(fabs(days) < 2147483648.0))
		return false;
	o->months = (int32_t)months;
	o->days = (int32_t)days;
	rest_days = to_us((months - o->months) * 30);
	rest_s = to_us((days - o->days + rest_days - (int)rest_days) * 86400);
	days_all = o->days;
	if (fabs(rest_s) >= 86400) {
		days_all += (int)(rest_s / 86400);
		rest_s -= (int)(rest_s / 86400) * 86400;
	}
	days_all += (int)rest_days;
	us = rint(us + rest_s * 1e6);
	if (fabs(days_all) > 2147483647.0 || !(fabs(us) < 9.2233720368e18))
		return false;
	o->days = (int32_t)days_all;
	o->us = (int64_t)us;
	return true;
}

static void
row_interval_mul(struct tn_call *c, uint32_t row)
{
	struct tn_interval v = tn_arg_interval(c, 0, row);
	double f = tn_arg_f64(c, 1, row);
	struct tn_interval *o = (struct tn_interval *)c->values + row;
	bool ok;

	if (c->fn == TN_FN_INTERVAL_DIV && f == 0) {
		tn_exec_fail(c, row, "division by zero");
		return;
	}
	if (c->fn == TN_FN_INTERVAL_DIV)
		ok = scale(v.months / f, v.days / f, (double)v.us / f, o);
	else
		ok = scale(v.months * f, v.days * f, (double)v.us * f, o);
	if (!ok)
		interval_range(c, row);
}

static void
row_make_interval(struct tn_call *c, uint32_t row)
{
	int64_t months = tn_arg_i32(c, 0, row) * INT64_C(12) +
	    tn_arg_i32(c, 1, row);
	int64_t days = tn_arg_i32(c, 2, row) * INT64_C(7) +
	    tn_arg_i32(c, 3, row);
	double s = rint(tn_arg_f64(c, 6, row) * 1e6);
	int64_t us = tn_arg_i32(c, 4, row) * TN_US_HOUR +
	    tn_arg_i32(c, 5, row) * TN_US_MINUTE;

	if (months != (int32_t)months || days != (int32_t)days ||
	    !(fabs(s) < 9.2e18) ||
	    __builtin_add_overflow(us, (int64_t)s, &us)) {
		interval_range(c, row);
		return;
	}
	((struct tn_interval *)c->values)[row] = (struct tn_interval){
	    .us = us, .days = (int32_t)days, .months = (int32_t)months };
}

/* ---- dispatch -------------------------------------------------------- */

static void
now(struct tn_call *c, struct tn_vec *out)
{
	int64_t *v = tn_exec_values(c);

	v[0] = c->ev->env->now_us;
	tn_exec_done(c, out, v);
}

void
tn_exec_k_time(struct tn_call *c, struct tn_vec *out)
{
	static const tn_row_fn rows[TN_FN_COUNT] = {
		[TN_FN_TS_ADD] = row_ts_add, [TN_FN_TS_SUB] = row_ts_add,
		[TN_FN_TS_DIFF] = row_ts_diff,
		[TN_FN_DATE_ADD] = row_date_add,
		[TN_FN_DATE_SUB] = row_date_add,
		[TN_FN_DATE_DIFF] = row_date_diff,
		[TN_FN_DATE_TIME] = row_date_time,
		[TN_FN_TIME_ADD] = row_time_add,
		[TN_FN_TIME_SUB] = row_time_add,
		[TN_FN_TIME_DIFF] = row_time_diff,
		[TN_FN_INTERVAL_ADD] = row_interval_add,
		[TN_FN_INTERVAL_SUB] = row_interval_add,
		[TN_FN_INTERVAL_NEG] = row_interval_neg,
		[TN_FN_INTERVAL_MUL] = row_interval_mul,
		[TN_FN_INTERVAL_DIV] = row_interval_mul,
		[TN_FN_TO_TIMESTAMP] = row_to_timestamp,
		[TN_FN_MAKE_DATE] = row_make_date,
		[TN_FN_MAKE_TIME] = row_make_time,
		[TN_FN_MAKE_INTERVAL] = row_make_interval,
		[TN_FN_AGE] = row_age,
	};

	if (c->fn == TN_FN_NOW) {
		now(c, out);
		return;
	}
	tn_assert(rows[c->fn] != NULL);
	tn_exec_each(c, out, rows[c->fn]);
}

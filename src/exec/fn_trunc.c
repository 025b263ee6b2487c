/* Buckets of time: date_bin, date_trunc, and at time zone.
 *
 * A bucket of fixed width is found by one division; rows of a stream come in
 * rough order of time, so the bucket before is kept and asked first. In a
 * zone, date_trunc of a day and longer asks for the offset again at the
 * start of the bucket, of an hour and shorter it keeps the one it had. */
#include "exec/expr_int.h"

/* ---- fixed width ----------------------------------------------------- */

/* Start of the bin that holds ts; false when it is out of range. */
static bool
bin(int64_t ts, int64_t width, int64_t origin, int64_t *out)
{
	__int128 diff = (__int128)ts - origin;
	__int128 rest = diff % width;
	__int128 start;

	if (rest < 0)
		rest += width;
	start = ts - rest;
	*out = (int64_t)start;
	return start >= TN_TS_MIN;
}

static void
out_of_range(struct tn_call *c, uint32_t row)
{
	tn_exec_fail(c, row, "timestamp out of range");
}

/* All rows with one width and origin. */
static void
fixed_bins(struct tn_call *c, struct tn_vec *out, const struct tn_vec *in,
    int64_t width, int64_t origin)
{
	const int64_t *ts = in->c.values;
	int64_t *o = tn_exec_values(c);
	int64_t start = 0;
	uint64_t span = 0;               /* Of the bin kept; 0: none. */

	for (uint32_t i = 0; i < c->n; i++) {
		int64_t v = ts[tn_vec_at(in, i)];

		if ((uint64_t)v - (uint64_t)start < span) {
			o[i] = start;
			continue;
		}
		span = 0;
		if (bin(v, width, origin, &start))
			span = (uint64_t)width;
		else if (tn_exec_live(c, i))
			out_of_range(c, i);
		o[i] = start;
	}
	tn_exec_done(c, out, o);
}

/* ---- date_bin -------------------------------------------------------- */

static bool
stride_of(struct tn_call *c, uint32_t row, int64_t *us)
{
	struct tn_interval v = tn_arg_interval(c, 0, row);

	if (v.months != 0) {
		tn_exec_fail(c, row, "timestamps cannot be binned into "
		    "intervals containing months or years");
		return false;
	}
	if (__builtin_mul_overflow((int64_t)v.days, TN_US_DAY, us) ||
	    __builtin_add_overflow(*us, v.us, us)) {
		tn_exec_fail(c, row, "interval out of range");
		return false;
	}
	if (*us <= 0)
		tn_exec_fail(c, row, "stride must be greater than zero");
	return *us > 0;
}

static void
row_bin(struct tn_call *c, uint32_t row)
{
	int64_t *o = c->values;
	int64_t us;

	if (stride_of(c, row, &us) && !bin(tn_arg_i64(c, 1, row), us,
	    tn_arg_i64(c, 2, row), &o[row]))
		out_of_range(c, row);
}

static void
date_bin(struct tn_call *c, struct tn_vec *out)
{
	struct tn_interval v = tn_arg_interval(c, 0, 0);
	int64_t us;

	if (!c->args[0].constant || !c->args[2].constant || v.months != 0 ||
	    __builtin_mul_overflow((int64_t)v.days, TN_US_DAY, &us) ||
	    __builtin_add_overflow(us, v.us, &us) || us <= 0)
		tn_exec_each(c, out, row_bin);
	else
		fixed_bins(c, out, &c->args[1], us, tn_arg_i64(c, 2, 0));
}

/* ---- date_trunc ------------------------------------------------------ */

/* Width of a unit that every moment shares, and where its bins begin. */
static int64_t
unit_width(enum tn_unit u, int64_t *origin)
{
	*origin = 0;
	switch (u) {
	case TN_U_MICROSECOND: return 1;
	case TN_U_MILLISECOND: return 1000;
	case TN_U_SECOND: return TN_US_SECOND;
	case TN_U_MINUTE: return TN_US_MINUTE;
	case TN_U_HOUR: return TN_US_HOUR;
	case TN_U_DAY: return TN_US_DAY;
	case TN_U_WEEK:
		*origin = 4 * TN_US_DAY;         /* 1970-01-05, a Monday. */
		return 7 * TN_US_DAY;
	default: return 0;
	}
}

/* First year of a span of years; the spans end with a round year for
 * centuries and millennia, and before year 1 count backwards. */
static int32_t
year_start(enum tn_unit u, int32_t y)
{
	switch (u) {
	case TN_U_DECADE:
		return y > 0 ? y / 10 * 10 : -((8 - (y - 1)) / 10) * 10;
	case TN_U_CENTURY:
		return y > 0 ? (y + 99) / 100 * 100 - 99 :
		    -((99 - (y - 1)) / 100) * 100 + 1;
	case TN_U_MILLENNIUM:
		return y > 0 ? (y + 999) / 1000 * 1000 - 999 :
		    -((999 - (y - 1)) / 1000) * 1000 + 1;
	default:
		return y;
	}
}

/* False: the unit cannot be truncated to, or out of range. */
static bool
truncate(enum tn_unit u, int64_t ts, int64_t *out)
{
	int64_t origin, width = unit_width(u, &origin);
	struct tn_time_parts p;
	uint32_t month = 1;

	if (width != 0)
		return bin(ts, width, origin, out);
	tn_exec_parts(ts, &p);
	if (u == TN_U_MONTH)
		month = p.month;
	else if (u == TN_U_QUARTER)
		month = (p.month - 1) / 3 * 3 + 1;
	return !__builtin_mul_overflow(
	    tn_record_days(year_start(u, p.year), month, 1), TN_US_DAY,
	    out) && *out >= TN_TS_MIN;
}

static bool
can_truncate(enum tn_unit u)
{
	return u >= TN_U_MICROSECOND && u <= TN_U_MILLENNIUM;
}

static void
bad_unit(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	char name[48];

	tn_exec_fail(c, row, "unit \"%.*s\" not recognized for type %s",
	    (int)(s.n < 40 ? s.n : 40), (const char *)s.p,
	    tn_record_type_name(c->type, name));
}

/* The zone of a row; the one before is kept. */
struct zone_cache {
	struct tn_slice name;
	struct tn_zone zone;
	bool known;
};

/* NULL: there is no such zone, which was said. */
static const struct tn_zone *
zone_of(struct tn_call *c, uint32_t arg, uint32_t row)
{
	struct zone_cache *k = c->scratch;
	struct tn_slice s = tn_arg_text(c, arg, row);

	if (k->name.p == NULL || !tn_slice_eq(k->name, s)) {
		k->name = s;
		k->known = tn_exec_tz(s, &k->zone);
	}
	if (!k->known)
		tn_exec_fail(c, row, "time zone \"%.*s\" not recognized",
		    (int)(s.n < 64 ? s.n : 64), (const char *)s.p);
	return k->known ? &k->zone : NULL;
}

static bool
shift(int64_t us, int64_t seconds, int64_t *out)
{
	return !__builtin_add_overflow(us, seconds * TN_US_SECOND, out) &&
	    *out >= TN_TS_MIN && *out < TN_TS_END;
}

static void
row_trunc(struct tn_call *c, uint32_t row)
{
	enum tn_unit u = tn_exec_unit(tn_arg_text(c, 0, row));
	int64_t *o = c->values;

	if (!can_truncate(u))
		bad_unit(c, row);
	else if (!truncate(u, tn_arg_i64(c, 1, row), &o[row]))
		out_of_range(c, row);
}

static void
row_trunc_tz(struct tn_call *c, uint32_t row)
{
	enum tn_unit u = tn_exec_unit(tn_arg_text(c, 0, row));
	int64_t ts = tn_arg_i64(c, 1, row);
	const struct tn_zone *z = zone_of(c, 2, row);
	int64_t *o = c->values;
	int64_t local;
	int32_t offset;

	if (z == NULL)
		return;
	if (!can_truncate(u)) {
		bad_unit(c, row);
		return;
	}
	offset = tn_exec_tz_offset(*z, ts);
	if (!shift(ts, offset, &local) || !truncate(u, local, &local) ||
	    !shift(local, -offset, &o[row])) {
		out_of_range(c, row);
		return;
	}
	if (u >= TN_U_DAY)
		o[row] = tn_exec_tz_to_utc(*z, local);
}

static void
date_trunc(struct tn_call *c, struct tn_vec *out)
{
	int64_t width = 0, origin = 0;

	if (c->args[0].constant)
		width = unit_width(tn_exec_unit(tn_arg_text(c, 0, 0)),
		    &origin);
	if (width != 0)
		fixed_bins(c, out, &c->args[1], width, origin);
	else
		tn_exec_each(c, out, row_trunc);
}

/* ---- at time zone ---------------------------------------------------- */

static void
row_zone(struct tn_call *c, uint32_t row)
{
	const struct tn_zone *z = zone_of(c, 0, row);
	int64_t ts = tn_arg_i64(c, 1, row);
	int64_t *o = c->values;
	bool ok;

	if (z == NULL)
		return;
	if (c->args[1].c.type.id == TN_T_TIMESTAMPTZ) {
		ok = shift(ts, tn_exec_tz_offset(*z, ts), &o[row]);
	} else {
		o[row] = tn_exec_tz_to_utc(*z, ts);
		ok = o[row] >= TN_TS_MIN;
	}
	if (!ok)
		out_of_range(c, row);
}

void
tn_exec_k_trunc(struct tn_call *c, struct tn_vec *out)
{
	struct zone_cache cache = { .known = false };

	c->scratch = &cache;
	if (c->fn == TN_FN_DATE_BIN)
		date_bin(c, out);
	else if (c->fn == TN_FN_DATE_TRUNC)
		date_trunc(c, out);
	else
		tn_exec_each(c, out, c->fn == TN_FN_DATE_TRUNC_TZ ?
		    row_trunc_tz : row_zone);
	c->scratch = NULL;
}

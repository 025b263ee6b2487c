/* Row keys: hashes that files hold, and the order of values.
 *
 * A key is hashed over its bytes, column after column, little-endian:
 *   null            00
 *   fixed width     01 value    integers, dates, times: 8 bytes; floats: the
 *                               8 bytes of the double; numeric, uuid: 16
 *   text            01 length (8 bytes) bytes
 * so that an integer keeps its hash when its column is widened. -0 is 0, all
 * NaN are one, an interval is its length with months of 30 days. A numeric's
 * scale is part of its value: equal keys need equal scales. Never change
 * this: key files depend on it. */
#include "record/record_int.h"

#include <math.h>
#include <string.h>

#define KEY_FIXED 17

static double
normal_double(double v)
{
	if (isnan(v))
		return (double)NAN;
	return v == 0 ? 0 : v;
}

static double
double_at(const struct tn_column *c, uint32_t row)
{
	if (c->type.id == TN_T_FLOAT4)
		return (double)((const float *)c->values)[row];
	return ((const double *)c->values)[row];
}

/* Numeric as it is; an interval as microseconds, as PostgreSQL compares. */
static __int128
wide_at(const struct tn_column *c, uint32_t row)
{
	const uint8_t *at = (const uint8_t *)c->values + (size_t)row * 16;
	struct tn_interval interval;
	__int128 v;

	if (c->type.id == TN_T_INTERVAL) {
		memcpy(&interval, at, 16);
		v = (__int128)interval.months * 30 + interval.days;
		return v * US_PER_DAY + interval.us;
	}
	memcpy(&v, at, 16);
	return v;
}

/* Little-endian whatever the machine is. */
static uint8_t *
put_le(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> (8 * i));
	return to + 8;
}

static uint8_t *
put_fixed(uint8_t *to, const struct tn_column *c, uint32_t row)
{
	uint64_t bits;
	double d;
	__int128 wide;

	switch (c->type.id) {
	case TN_T_FLOAT4:
	case TN_T_FLOAT8:
		d = normal_double(double_at(c, row));
		memcpy(&bits, &d, sizeof bits);
		return put_le(to, bits);
	case TN_T_NUMERIC:
	case TN_T_INTERVAL:
		wide = wide_at(c, row);
		to = put_le(to, (uint64_t)wide);
		return put_le(to, (uint64_t)((unsigned __int128)wide >> 64));
	case TN_T_UUID:
		memcpy(to, (const uint8_t *)c->values + (size_t)row * 16, 16);
		return to + 16;
	default:
		return put_le(to, (uint64_t)integer_at(c, row));
	}
}

static void
key_add(struct tn_buf *key, const struct tn_column *c, uint32_t row)
{
	struct tn_slice text = { NULL, 0 };
	uint8_t *start;
	uint8_t *to;
	bool null = column_null(c, row);

	if (!null)
		c = column_at(c, &row);
	if (!null && type_is_text(c->type.id))
		text = tn_column_text(c, row);
	start = tn_buf_reserve(key, KEY_FIXED + text.n);
	tn_assert(start != NULL);
	to = start;
	*to++ = !null;
	if (!null && type_is_text(c->type.id)) {
		to = put_le(to, text.n);
		if (text.n > 0)
			memcpy(to, text.p, text.n);
		to += text.n;
	} else if (!null) {
		to = put_fixed(to, c, row);
	}
	key->n += (size_t)(to - start);
}

void
tn_record_hash_keys(const struct tn_batch *b, const uint32_t *cols,
    uint32_t count, struct tn_hash128 *out)
{
	struct tn_buf key = { .max = SIZE_MAX / 4 };

	for (uint32_t i = 0; i < count; i++)
		tn_assert(cols[i] < b->schema->count);
	for (uint32_t row = 0; row < b->rows; row++) {
		key.n = 0;
		for (uint32_t i = 0; i < count; i++)
			key_add(&key, &b->columns[cols[i]], row);
		out[row] = tn_hash128(key.p, key.n, 0);
	}
	tn_buf_fini(&key);
}

static int
compare_double(double a, double b)
{
	if (isnan(a) || isnan(b))
		return (int)isnan(a) - (int)isnan(b);
	return (a > b) - (a < b);
}

static int
compare_text(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int
compare_wide(__int128 a, __int128 b)
{
	return (a > b) - (a < b);
}

int
tn_record_compare(const struct tn_column *a, uint32_t row_a,
    const struct tn_column *b, uint32_t row_b)
{
	bool null_a = column_null(a, row_a);
	bool null_b = column_null(b, row_b);
	int64_t ia;
	int64_t ib;

	if (null_a || null_b)
		return (int)null_a - (int)null_b;
	a = column_at(a, &row_a);
	b = column_at(b, &row_b);
	tn_assert(a->type.id == b->type.id);
	tn_assert(a->type.id != TN_T_NUMERIC ||
	    a->type.scale == b->type.scale);
	switch (a->type.id) {
	case TN_T_TEXT:
	case TN_T_JSONB:
	case TN_T_BYTES:
		return compare_text(tn_column_text(a, row_a),
		    tn_column_text(b, row_b));
	case TN_T_FLOAT4:
	case TN_T_FLOAT8:
		return compare_double(double_at(a, row_a),
		    double_at(b, row_b));
	case TN_T_NUMERIC:
	case TN_T_INTERVAL:
		return compare_wide(wide_at(a, row_a), wide_at(b, row_b));
	case TN_T_UUID:
		return memcmp((const uint8_t *)a->values + row_a * 16ul,
		    (const uint8_t *)b->values + row_b * 16ul, 16);
	default:
		ia = integer_at(a, row_a);
		ib = integer_at(b, row_b);
		return (ia > ib) - (ia < ib);
	}
}

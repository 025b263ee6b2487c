/* convert: stored values to ours, and single values in the order of their
 * type (for statistics and bounds). Out of range is bad input, not a bug. */
#include "parquet/parquet_int.h"

#include <math.h>

#define US_DAY INT64_C(86400000000)
#define JULIAN_1970 INT64_C(2440588)

bool
tn_parquet_big_endian(const uint8_t *p, size_t n, __int128 *v)
{
	unsigned __int128 u = n > 0 && p[0] >= 0x80 ? ~(unsigned __int128)0 : 0;
	uint8_t sign = (uint8_t)u;

	for (; n > 16; n--, p++) {
		if (*p != sign)
			return false;
		if (n == 17 && (p[1] & 0x80) != (sign & 0x80))
			return false;
	}
	for (size_t i = 0; i < n; i++)
		u = u << 8 | p[i];
	*v = (__int128)u;
	return true;
}

static float
half_to_float(uint16_t h)
{
	unsigned exponent = h >> 10 & 31;
	float mantissa = (float)(h & 1023);
	float v;

	if (exponent == 31)
		v = (h & 1023) != 0 ? NAN : INFINITY;
	else if (exponent == 0)
		v = ldexpf(mantissa, -24);
	else
		v = ldexpf(mantissa + 1024, (int)exponent - 25);
	return (h & 0x8000) != 0 ? -v : v;
}

static int64_t
floor_div(int64_t v, int64_t by)
{
	return v / by - (v % by < 0);
}

/* Nanoseconds of the day, then the Julian day. */
static bool
julian(const uint8_t *p, int64_t *us)
{
	int64_t nanos = (int64_t)pq_load64(p);
	int64_t day = (int64_t)pq_load32(p + 8) - JULIAN_1970;
	int64_t base;

	if (__builtin_mul_overflow(day, US_DAY, &base))
		return false;
	return !__builtin_add_overflow(base, floor_div(nanos, 1000), us);
}

static bool
narrow16(const uint8_t *in, size_t n, int16_t *out)
{
	bool fine = true;

	for (size_t i = 0; i < n; i++) {
		int32_t v = (int32_t)pq_load32(in + 4 * i);

		fine &= v >= INT16_MIN && v <= INT16_MAX;
		out[i] = (int16_t)v;
	}
	return fine;
}

/* Integers of 32 bits that become wider. */
static bool
widen32(const struct pq_leaf *leaf, const uint8_t *in, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t u = pq_load32(in + 4 * i);

		switch (leaf->convert) {
		case TN_PQ_FROM_U8:
			((int16_t *)out)[i] = (uint8_t)u;
			break;
		case TN_PQ_FROM_U16:
			((int32_t *)out)[i] = (uint16_t)u;
			break;
		case TN_PQ_FROM_U32:
			((int64_t *)out)[i] = u;
			break;
		case TN_PQ_MS32:
			((int64_t *)out)[i] = (int64_t)(int32_t)u * 1000;
			break;
		default:
			((__int128 *)out)[i] = (int32_t)u;
		}
	}
	return true;
}

static bool
widen64(const struct pq_leaf *leaf, const uint8_t *in, size_t n, void *out)
{
	bool fine = true;

	for (size_t i = 0; i < n; i++) {
		uint64_t u = pq_load64(in + 8 * i);

		switch (leaf->convert) {
		case TN_PQ_FROM_U64:
			((__int128 *)out)[i] = (__int128)u;
			break;
		case TN_PQ_MS:
			fine &= !__builtin_mul_overflow((int64_t)u,
			    (int64_t)1000, (int64_t *)out + i);
			break;
		case TN_PQ_NS:
			((int64_t *)out)[i] = floor_div((int64_t)u, 1000);
			break;
		default:
			((__int128 *)out)[i] = (int64_t)u;
		}
	}
	return fine;
}

static bool
widen_fixed(const struct pq_leaf *leaf, const uint8_t *in, size_t n, void *out)
{
	size_t width = tn_parquet_stored_width(leaf);
	bool fine = true;

	for (size_t i = 0; i < n; i++, in += width) {
		if (leaf->convert == TN_PQ_JULIAN)
			fine &= julian(in, (int64_t *)out + i);
		else if (leaf->convert == TN_PQ_HALF)
			((float *)out)[i] = half_to_float(
			    (uint16_t)(in[0] | in[1] << 8));
		else
			fine &= tn_parquet_big_endian(in, width,
			    (__int128 *)out + i);
	}
	return fine;
}

bool
tn_parquet_convert(const struct pq_leaf *leaf, const uint8_t *in, size_t n,
    void *out)
{
	switch (leaf->convert) {
	case TN_PQ_SAME:
		memcpy(out, in, n * tn_parquet_stored_width(leaf));
		return true;
	case TN_PQ_TO_I16:
		return narrow16(in, n, out);
	case TN_PQ_FROM_U8:
	case TN_PQ_FROM_U16:
	case TN_PQ_FROM_U32:
	case TN_PQ_MS32:
	case TN_PQ_DEC32:
		return widen32(leaf, in, n, out);
	case TN_PQ_FROM_U64:
	case TN_PQ_MS:
	case TN_PQ_NS:
	case TN_PQ_DEC64:
		return widen64(leaf, in, n, out);
	default:
		return widen_fixed(leaf, in, n, out);
	}
}

/* ---- single values --------------------------------------------------- */

enum pq_order
tn_parquet_order(const struct tn_type t)
{
	if (t.id == TN_T_FLOAT4 || t.id == TN_T_FLOAT8)
		return TN_PQ_BY_FLOAT;
	if (t.id == TN_T_UUID || tn_record_type_width(t) == 0)
		return TN_PQ_BY_BYTES;
	return TN_PQ_BY_INT;
}

static int
compare_bytes(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

int
tn_parquet_value_compare(enum pq_order o, const struct pq_value *a,
    const struct pq_value *b)
{
	if (o == TN_PQ_BY_INT)
		return (a->i > b->i) - (a->i < b->i);
	if (o == TN_PQ_BY_FLOAT)
		return (a->f > b->f) - (a->f < b->f);
	return compare_bytes(a->s, b->s);
}

/* A value of ours of fixed width. */
static struct pq_value
fixed_value(struct tn_type t, const void *p)
{
	struct pq_value v = { 0, 0, { p, 16 } };

	switch (t.id) {
	case TN_T_FLOAT4:
		v.f = *(const float *)p;
		break;
	case TN_T_FLOAT8:
		v.f = *(const double *)p;
		break;
	case TN_T_BOOL:
		v.i = *(const uint8_t *)p;
		break;
	case TN_T_INT2:
		v.i = *(const int16_t *)p;
		break;
	case TN_T_INT4:
	case TN_T_DATE:
		v.i = *(const int32_t *)p;
		break;
	case TN_T_NUMERIC:
		v.i = *(const __int128 *)p;
		break;
	case TN_T_UUID:
		break;
	default:
		v.i = *(const int64_t *)p;
	}
	return v;
}

struct pq_value
tn_parquet_value_at(const struct tn_column *c, uint32_t row)
{
	size_t width = tn_record_type_width(c->type);
	struct pq_value v = { 0, 0, { NULL, 0 } };

	tn_assert(tn_column_valid(c, row));
	if (c->dict != NULL)
		return tn_parquet_value_at(c->dict,
		    ((const uint32_t *)c->values)[row]);
	if (width == 0) {
		v.s = tn_column_text(c, row);
		return v;
	}
	return fixed_value(c->type, (const uint8_t *)c->values + row * width);
}

bool
tn_parquet_value_stored(const struct pq_leaf *leaf, struct tn_slice s,
    struct pq_value *v)
{
	_Alignas(16) uint8_t out[16];

	*v = (struct pq_value){ 0, 0, s };
	/* Unsigned and INT96 statistics have a doubtful past; not used. */
	if (leaf->convert == TN_PQ_JULIAN || leaf->convert == TN_PQ_HALF ||
	    (leaf->convert >= TN_PQ_FROM_U8 &&
	    leaf->convert <= TN_PQ_FROM_U64))
		return false;
	if (leaf->convert == TN_PQ_DEC_BYTES)
		return s.n > 0 && tn_parquet_big_endian(s.p, s.n, &v->i);
	if (pq_is_text(leaf))
		return leaf->convert == TN_PQ_SAME;
	if (s.n != tn_parquet_stored_width(leaf) ||
	    !tn_parquet_convert(leaf, s.p, 1, out))
		return false;
	if (leaf->type.id == TN_T_UUID)
		return true;
	*v = fixed_value(leaf->type, out);
	return !isnan(v->f);
}

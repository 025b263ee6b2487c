/* Exact decimal numbers: 128-bit integers scaled by a power of ten, at most
 * 38 digits. Rounding is half away from zero, as PostgreSQL's numeric does.
 * Products and quotients go through 256 bits, so that only a result that
 * does not fit is refused, never an intermediate. */
#include "exec/expr_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 u128;

__int128
tn_exec_pow10(uint32_t k)
{
	static const int64_t small[19] = { 1, 10, 100, 1000, 10000, 100000,
	    1000000, 10000000, 100000000, 1000000000, INT64_C(10000000000),
	    INT64_C(100000000000), INT64_C(1000000000000),
	    INT64_C(10000000000000), INT64_C(100000000000000),
	    INT64_C(1000000000000000), INT64_C(10000000000000000),
	    INT64_C(100000000000000000), INT64_C(1000000000000000000) };

	tn_assert(k <= TN_NUMERIC_DIGITS_MAX);
	if (k <= 18)
		return small[k];
	if (k <= 36)
		return (__int128)small[18] * small[k - 18];
	return (__int128)small[18] * small[18] * small[k - 36];
}

static u128
magnitude(__int128 v)
{
	return v < 0 ? -(u128)v : (u128)v;
}

bool
tn_exec_numeric_fits(__int128 v, uint32_t precision)
{
	return magnitude(v) < (u128)tn_exec_pow10(precision);
}

/* hi:lo = a * b */
static void
multiply(u128 a, u128 b, u128 *hi, u128 *lo)
{
	u128 mask = ~UINT64_C(0);
	u128 a0 = a & mask, a1 = a >> 64, b0 = b & mask, b1 = b >> 64;
	u128 low = a0 * b0, mid1 = a1 * b0, mid2 = a0 * b1;
	u128 carry = (low >> 64) + (mid1 & mask) + (mid2 & mask);

	*lo = (low & mask) | carry << 64;
	*hi = a1 * b1 + (mid1 >> 64) + (mid2 >> 64) + (carry >> 64);
}

/* hi:lo / d by shift and subtract, one bit a step; hi < d, so the quotient
 * fits. Only taken when the dividend needs more than 128 bits. */
static u128
divide(u128 hi, u128 lo, u128 d, u128 *rest)
{
	u128 q = 0;

	tn_assert(hi < d);
	for (int i = 0; i < 128; i++) {
		bool carry = hi >> 127;

		hi = hi << 1 | lo >> 127;
		lo <<= 1;
		q <<= 1;
		if (carry || hi >= d) {
			hi -= d;
			q |= 1;
		}
	}
	*rest = hi;
	return q;
}

bool
tn_exec_muldiv(__int128 a, __int128 b, __int128 d, __int128 *out)
{
	u128 hi, lo, q, rest, ud = magnitude(d);
	bool negative = (a < 0) != (b < 0);

	if (d == 0)
		return false;
	negative = negative != (d < 0);
	hi = 0;
	if (magnitude(a) >> 64 == 0 && magnitude(b) >> 64 == 0)
		lo = magnitude(a) * magnitude(b);
	else
		multiply(magnitude(a), magnitude(b), &hi, &lo);
	if (hi >= ud)
		return false;
	if (ud == 1) {
		q = lo;
		rest = 0;
	} else if (hi == 0) {
		q = lo / ud;
		rest = lo % ud;
	} else {
		q = divide(hi, lo, ud, &rest);
	}
	if (q >= (u128)tn_exec_pow10(38))
		return false;
	q += rest > 0 && rest >= ud - rest;
	*out = negative ? -(__int128)q : (__int128)q;
	return tn_exec_numeric_fits(*out, 38);
}

bool
tn_exec_rescale(__int128 v, uint32_t from, uint32_t to, __int128 *out)
{
	if (from == to) {
		*out = v;
		return true;
	}
	if (from < to)
		return !__builtin_mul_overflow(v, tn_exec_pow10(to - from),
		    out) && tn_exec_numeric_fits(*out, 38);
	return tn_exec_muldiv(v, 1, tn_exec_pow10(from - to), out);
}

double
tn_exec_numeric_f64(__int128 v, uint32_t scale)
{
	static const double tens[23] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
	    1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
	    1e18, 1e19, 1e20, 1e21, 1e22 };
	struct tn_buf b = { 0 };
	double d = 0;
	bool ok;

	/* Both exact as doubles: one rounding, in the division. */
	if (magnitude(v) <= (u128)1 << 53 && scale <= 22)
		return (double)v / tens[scale];
	tn_record_print_numeric(&b, v, (uint8_t)scale, true);
	ok = tn_record_parse_f64((struct tn_slice){ b.p, b.n }, &d);
	tn_assert(ok);
	tn_buf_fini(&b);
	return d;
}

/* As PostgreSQL: through the 15 digits (6 of a float4) that a double holds
 * for sure, so that 0.1 is 0.1. */
bool
tn_exec_f64_numeric(double d, uint32_t scale, int digits, __int128 *out)
{
	char text[40];
	int n;

	if (!isfinite(d) || fabs(d) >= 1e38)
		return false;
	if (d == rint(d) && fabs(d) < (digits < 15 ? 1e6 : 1e15))
		return tn_exec_rescale((__int128)d, 0, scale, out);
	n = snprintf(text, sizeof text, "%.*g", digits, d);
	return tn_record_parse_numeric((struct tn_slice){
	    (const uint8_t *)text, (size_t)n }, 38, (uint8_t)scale, out);
}

/* Floats as the shortest text that reads back as the same number.
 *
 * v = c * 2^q. All numbers between its neighbours' midpoints read back as v;
 * that interval, scaled by a power of ten g into integers of about 60 bits,
 * holds either a number that ends in a zero (one digit less) or one of the
 * two next to v. Three multiplications with a 128-bit power of ten decide it;
 * the products keep a sticky last bit (round to odd), which makes comparing
 * exact. This is R. Giulietti's Schubfach. As in PostgreSQL, the ends of the
 * interval do not count as inside.
 *
 * The layout follows PostgreSQL: plain digits when the decimal exponent is
 * -4 .. 14 (real: -4 .. 5), else d.ddde+XX with two digits at least. */
#include "record/record_int.h"

#include <math.h>
#include <string.h>

typedef unsigned __int128 u128;

/* floor(log2(10^k)), floor(log10(2^q)), floor(log10(3/4 * 2^q)). */
static int32_t
log2_pow10(int32_t k)
{
	return (k * 1741647) >> 19;
}
static int32_t
log10_pow2(int32_t q)
{
	return (q * 1262611) >> 22;
}
static int32_t
log10_pow2_34(int32_t q)
{
	return (q * 1262611 - 524031) >> 22;
}

/* floor(g * cp / 2^128), the last bit set when something was cut off. g is
 * the table's power rounded up. */
static uint64_t
scale64(int32_t k, uint64_t cp)
{
	const uint64_t *g = tn_record_pow10[k - POW10_MIN];
	u128 full = (u128)g[0] << 64 | g[1];
	u128 low;
	u128 high;

	if (k < 0 || k > 55)
		full++;
	low = (u128)(uint64_t)full * cp;
	high = (u128)(uint64_t)(full >> 64) * cp + (uint64_t)(low >> 64);
	return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The same for floats, with the 64 leading bits of g rounded up. */
static uint64_t
scale32(int32_t k, uint32_t cp)
{
	const uint64_t *g = tn_record_pow10[k - POW10_MIN];
	uint64_t up = g[0] + (g[1] != 0);
	u128 p = (u128)up * cp;

	return (uint32_t)(p >> 64) | ((uint32_t)(p >> 32) > 1);
}

/* The interval of a number, scaled: ${k} is the decimal exponent of one. */
struct interval {
	uint64_t lower;
	uint64_t value;
	uint64_t upper;
	int32_t k;
};

static struct decimal
shortest_in(struct interval i)
{
	uint64_t lower = i.lower + 1;
	uint64_t upper = i.upper - 1;
	uint64_t s = i.value / 4;
	uint64_t tens = s / 10;
	uint64_t mid = 4 * s + 2;
	bool under;
	bool over;

	if (s >= 10) {
		under = lower <= 40 * tens;
		over = 40 * tens + 40 <= upper;
		if (under != over)
			return (struct decimal){ tens + over, i.k + 1 };
	}
	under = lower <= 4 * s;
	over = 4 * s + 4 <= upper;
	if (under == over)
		over = i.value > mid || (i.value == mid && (s & 1) != 0);
	return (struct decimal){ s + over, i.k };
}

static struct decimal
without_zeros(struct decimal d)
{
	while (d.digits % 10 == 0 && d.digits > 0) {
		d.digits /= 10;
		d.exponent++;
	}
	return d;
}

struct decimal
tn_record_shortest64(double v)
{
	uint64_t bits;
	uint64_t c;
	int32_t exponent;
	int32_t q;
	int32_t h;
	bool closer;
	struct interval i;

	memcpy(&bits, &v, sizeof bits);
	tn_assert(isfinite(v) && v > 0);
	exponent = (int32_t)(bits >> 52);
	c = bits & ((UINT64_C(1) << 52) - 1);
	closer = c == 0 && exponent > 1;
	c |= exponent != 0 ? UINT64_C(1) << 52 : 0;
	q = (exponent != 0 ? exponent : 1) - 1075;
	if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
		return without_zeros((struct decimal){ c >> -q, 0 });
	i.k = closer ? log10_pow2_34(q) : log10_pow2(q);
	h = q + log2_pow10(-i.k) + 1;
	i.lower = scale64(-i.k, (4 * c - 2 + closer) << h);
	i.value = scale64(-i.k, (4 * c) << h);
	i.upper = scale64(-i.k, (4 * c + 2) << h);
	return without_zeros(shortest_in(i));
}

struct decimal
tn_record_shortest32(float v)
{
	uint32_t bits;
	uint32_t c;
	int32_t exponent;
	int32_t q;
	int32_t h;
	bool closer;
	struct interval i;

	memcpy(&bits, &v, sizeof bits);
	tn_assert(isfinite(v) && v > 0);
	exponent = (int32_t)(bits >> 23);
	c = bits & ((UINT32_C(1) << 23) - 1);
	closer = c == 0 && exponent > 1;
	c |= exponent != 0 ? UINT32_C(1) << 23 : 0;
	q = (exponent != 0 ? exponent : 1) - 150;
	if (q <= 0 && q > -24 && (c & ((UINT32_C(1) << -q) - 1)) == 0)
		return without_zeros((struct decimal){ c >> -q, 0 });
	i.k = closer ? log10_pow2_34(q) : log10_pow2(q);
	h = q + log2_pow10(-i.k) + 1;
	i.lower = scale32(-i.k, (4 * c - 2 + closer) << h);
	i.value = scale32(-i.k, (4 * c) << h);
	i.upper = scale32(-i.k, (4 * c + 2) << h);
	return without_zeros(shortest_in(i));
}

void
tn_record_digits_2(char *out, uint32_t v)
{
	out[0] = (char)('0' + v / 10);
	out[1] = (char)('0' + v % 10);
}

size_t
tn_record_digits_u64(char *out, uint64_t v)
{
	char tmp[20];
	size_t n = 0;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (size_t i = 0; i < n; i++)
		out[i] = tmp[n - 1 - i];
	return n;
}

static size_t
layout_exponent(char *out, const char *digits, size_t n, int32_t e)
{
	size_t at = 0;
	uint32_t mag = (uint32_t)(e < 0 ? -e : e);

	out[at++] = digits[0];
	if (n > 1) {
		out[at++] = '.';
		memcpy(out + at, digits + 1, n - 1);
		at += n - 1;
	}
	out[at++] = 'e';
	out[at++] = e < 0 ? '-' : '+';
	if (mag < 10)
		out[at++] = '0';
	return at + tn_record_digits_u64(out + at, mag);
}

/* e is the exponent of the first digit, -4 .. 14. */
static size_t
layout_plain(char *out, const char *digits, size_t n, int32_t e)
{
	size_t whole = e < 0 ? 0 : (size_t)e + 1;
	size_t at = 0;

	if (e < 0) {
		memcpy(out, "0.000", 5);
		at = 1 + (size_t)-e;
	} else if (n <= whole) {
		memcpy(out, digits, n);
		memset(out + n, '0', whole - n);
		return whole;
	} else {
		memcpy(out, digits, whole);
		out[whole] = '.';
		at = whole + 1;
	}
	memcpy(out + at, digits + whole, n - whole);
	return at + n - whole;
}

static void
print_decimal(struct tn_buf *out, bool minus, struct decimal d, int32_t plain)
{
	char digits[20];
	char text[40];
	size_t n = tn_record_digits_u64(digits, d.digits);
	int32_t e = d.exponent + (int32_t)n - 1;
	size_t at = 0;

	if (minus)
		text[at++] = '-';
	if (e < -4 || e >= plain)
		at += layout_exponent(text + at, digits, n, e);
	else
		at += layout_plain(text + at, digits, n, e);
	tn_assert(at <= sizeof text);
	tn_buf_add(out, text, at);
}

/* NaN, infinities and zeros; false for the rest. */
static bool
print_special(struct tn_buf *out, double v)
{
	if (isnan(v))
		tn_buf_str(out, "NaN");
	else if (isinf(v))
		tn_buf_str(out, v < 0 ? "-Infinity" : "Infinity");
	else if (v == 0)
		tn_buf_str(out, signbit(v) ? "-0" : "0");
	else
		return false;
	return true;
}

void
tn_record_print_f64(struct tn_buf *out, double v)
{
	if (!print_special(out, v))
		print_decimal(out, v < 0, tn_record_shortest64(fabs(v)), 15);
}

void
tn_record_print_f32(struct tn_buf *out, float v)
{
	if (!print_special(out, (double)v))
		print_decimal(out, v < 0, tn_record_shortest32(fabsf(v)), 6);
}

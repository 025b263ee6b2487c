/* Text to double, correctly rounded, without allocating.
 *
 * Three ways, the quickest that is certain:
 *   up to 2^53 and |exponent| <= 22: one exact operation on doubles
 *   up to 19 digits: the 128 leading bits of digits * 10^e, if they decide
 *     the rounding (Lemire, after Clinger; about 1 in 10^6 are undecided)
 *   the rest: strtod in the C locale on a normalised copy of at most
 *     DIGITS_MAX digits; a 1 stands for all that was cut off, which no
 *     midpoint of two doubles (767 digits) can mistake
 *
 * Refused: anything out of range, as in PostgreSQL: an overflow, and a number
 * that is not zero but would read as zero. */
#include "record/record_int.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 772
/* Exponents are cut here while reading; far outside of any double. */
#define EXPONENT_CAP 1000000

typedef unsigned __int128 u128;

static bool
special(struct tn_slice s, bool minus, double *v)
{
	if (tn_record_word_is(s, "nan"))
		*v = (double)NAN;
	else if (tn_record_word_is(s, "inf") ||
	    tn_record_word_is(s, "infinity"))
		*v = minus ? -(double)INFINITY : (double)INFINITY;
	else
		return false;
	return true;
}

/* e[+-]digits at the end, or nothing. */
static bool
scan_exponent(struct scan *s, int64_t *exponent)
{
	bool minus;
	int64_t e = 0;

	*exponent = 0;
	if (s->p == s->end)
		return true;
	if ((*s->p | 0x20) != 'e')
		return false;
	s->p++;
	minus = scan_take(s, '-');
	if (!minus)
		(void)scan_take(s, '+');
	if (!scan_digit(s))
		return false;
	for (; scan_digit(s); s->p++)
		e = e < EXPONENT_CAP ? e * 10 + (*s->p - '0') : e;
	*exponent = minus ? -e : e;
	return s->p == s->end;
}

/* The mantissa, from the first digit on. */
static bool
scan_mantissa(struct scan *s, struct number *n)
{
	bool point = false;
	bool any = false;
	int64_t behind = 0;   /* Digits behind the point. */
	int64_t dropped = 0;  /* Significant digits after the 19th. */

	n->first = s->p;
	for (; s->p != s->end; s->p++) {
		uint32_t d = (uint32_t)*s->p - '0';

		if (d > 9) {
			if (*s->p != '.' || point)
				break;
			point = true;
			continue;
		}
		any = true;
		behind += point;
		if (n->count == 0 && d == 0)
			continue;
		if (n->count == 0)
			n->first = s->p;
		if (n->count < 19)
			n->digits = n->digits * 10 + d;
		else
			dropped++;
		n->count++;
	}
	n->end = s->p;
	n->exponent = dropped - behind;
	n->exponent_all = -behind;
	return any;
}

bool
tn_record_scan_number(struct scan *s, struct number *n)
{
	int64_t e;

	/* A longer text is no number; counts below stay within 32 bits. */
	if (scan_left(s) > UINT32_MAX / 2 || !scan_mantissa(s, n) ||
	    !scan_exponent(s, &e))
		return false;
	n->exponent += e;
	n->exponent_all += e;
	return true;
}

/* Clinger: digits and power of ten are exact doubles, so is one rounding. */
static bool
exact(const struct number *n, double *v)
{
	static const double tens[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
	    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
	    1e19, 1e20, 1e21, 1e22 };

	if (n->count > 19 || n->digits >> 53 != 0)
		return false;
	if (n->exponent < -22 || n->exponent > 22)
		return false;
	if (n->exponent < 0)
		*v = (double)n->digits / tens[-n->exponent];
	else
		*v = (double)n->digits * tens[n->exponent];
	return true;
}

/* digits * 10^e from 128 bits of the product; false when the bits cut off
 * could change the rounding, or the result is not a normal number. */
static bool
leading_bits(uint64_t digits, int32_t e, double *v)
{
	const uint64_t *g = tn_record_pow10[e - POW10_MIN];
	int zeros = __builtin_clzll(digits);
	uint64_t w = digits << zeros;
	u128 p = (u128)w * g[0];
	uint64_t high = (uint64_t)(p >> 64);
	uint64_t low = (uint64_t)p;
	int32_t exponent = (int32_t)(((217706 * (int64_t)e) >> 16) + 1087) -
	    zeros;
	uint64_t mantissa;
	uint64_t bits;
	int top;

	if ((high & 0x1ff) == 0x1ff && low + w < w) {
		u128 q = (u128)w * g[1];
		uint64_t merged = low + (uint64_t)(q >> 64);

		if (merged < low)
			high++;
		if ((high & 0x1ff) == 0x1ff && merged + 1 == 0 &&
		    (uint64_t)q + w < w)
			return false;
		low = merged;
	}
	top = (int)(high >> 63);
	mantissa = high >> (top + 9);
	exponent -= 1 ^ top;
	/* Exactly half way as far as the bits go: undecided. */
	if (low == 0 && (high & 0x1ff) == 0 && (mantissa & 3) == 1)
		return false;
	mantissa = (mantissa + (mantissa & 1)) >> 1;
	if (mantissa >> 53 != 0) {
		mantissa >>= 1;
		exponent++;
	}
	if (exponent < 1 || exponent > 2046)
		return false;
	bits = (uint64_t)exponent << 52 | (mantissa & 0xfffffffffffff);
	memcpy(v, &bits, sizeof *v);
	return true;
}

/* More than 19 digits: both ends of what was cut off must agree. */
static bool
decided(const struct number *n, double *v)
{
	double up;

	if (n->exponent < POW10_MIN || n->exponent > POW10_MAX)
		return false;
	if (!leading_bits(n->digits, (int32_t)n->exponent, v))
		return false;
	if (n->count <= 19)
		return true;
	return leading_bits(n->digits + 1, (int32_t)n->exponent, &up) &&
	    up == *v;
}

static bool
by_library(const struct number *n, double *v)
{
	char text[DIGITS_MAX + 40];
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	uint32_t kept = 0;
	bool cut = false;
	int64_t e = n->exponent_all;

	tn_assert(c != (locale_t)0);
	for (const uint8_t *p = n->first; p != n->end; p++) {
		if (*p == '.')
			continue;
		if (kept < DIGITS_MAX)
			text[kept++] = (char)*p;
		else
			cut = cut || *p != '0';
	}
	/* One digit stands for all behind the kept ones. */
	e += (int64_t)n->count - kept;
	if (cut) {
		text[kept++] = '1';
		e--;
	}
	snprintf(text + kept, sizeof text - kept, "e%lld", (long long)e);
	*v = strtod_l(text, NULL, c);
	freelocale(c);
	return !isinf(*v) && *v != 0;
}

bool
tn_record_parse_f64(struct tn_slice in, double *v)
{
	struct scan s = { in.p, in.p + in.n };
	struct number n = { .minus = false };
	bool ok;

	if (in.n == 0)
		return false;
	n.minus = scan_take(&s, '-');
	if (!n.minus)
		(void)scan_take(&s, '+');
	if (s.p != s.end && (*s.p | 0x20) >= 'a')
		return special((struct tn_slice){ s.p, scan_left(&s) },
		    n.minus, v);
	if (!tn_record_scan_number(&s, &n))
		return false;
	if (n.count == 0)
		*v = 0;
	ok = n.count == 0 || exact(&n, v) || decided(&n, v) ||
	    by_library(&n, v);
	if (n.minus)
		*v = -*v;
	return ok;
}

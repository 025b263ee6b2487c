/* Exact values and their texts: numeric, boolean, uuid; and the comparison of
 * words.
 *
 * A numeric is an __int128 that counts units of 10^-scale; 38 digits fit. A
 * number with more digits behind the point than the scale is rounded half
 * away from zero, as PostgreSQL does; NaN and infinities do not exist. */
#include "record/record_int.h"

#include <string.h>

typedef unsigned __int128 u128;

static u128
power(uint32_t n)
{
	u128 v = 1;

	tn_assert(n <= TN_NUMERIC_DIGITS_MAX);
	while (n-- > 0)
		v *= 10;
	return v;
}

/* The first ${keep} digits of the mantissa, filled up with zeros, rounded by
 * the digit that follows. keep <= 38. */
static u128
leading_digits(const struct number *n, int64_t keep)
{
	u128 v = 0;
	int64_t taken = 0;

	for (const uint8_t *p = n->first; p != n->end; p++) {
		if (*p == '.')
			continue;
		if (taken == keep)
			return v + (*p >= '5');
		v = v * 10 + (u128)(*p - '0');
		taken++;
	}
	for (; taken < keep; taken++)
		v *= 10;
	return v;
}

/* Units of 10^-scale; false when there are more than 38 digits. */
static bool
scaled(const struct number *n, uint8_t scale, u128 *v)
{
	int64_t keep = (int64_t)n->count + n->exponent_all + scale;
	int64_t shift = n->exponent + scale;

	*v = 0;
	if (n->count == 0 || keep < 0)
		return true;
	if (keep > TN_NUMERIC_DIGITS_MAX)
		return false;
	if (n->count <= 19 && shift >= 0)
		*v = n->digits * power((uint32_t)shift);
	else
		*v = leading_digits(n, keep);
	return true;
}

bool
tn_record_parse_numeric(struct tn_slice in, uint8_t precision, uint8_t scale,
    __int128 *v)
{
	struct scan s = { in.p, in.p + in.n };
	struct number n = { .minus = false };
	u128 units;

	tn_assert(precision >= 1 && precision <= TN_NUMERIC_DIGITS_MAX);
	tn_assert(scale <= precision);
	n.minus = scan_take(&s, '-');
	if (!n.minus)
		(void)scan_take(&s, '+');
	if (!tn_record_scan_number(&s, &n) || !scaled(&n, scale, &units))
		return false;
	if (units >= power(precision))
		return false;
	*v = n.minus ? -(__int128)units : (__int128)units;
	return true;
}

/* ${width} digits at out, zeros in front. */
static void
digits_fixed(char *out, uint64_t v, uint32_t width)
{
	while (width-- > 0) {
		out[width] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* Up to 39 digits. */
static size_t
digits_u128(char *out, u128 v)
{
	const uint64_t e19 = UINT64_C(10000000000000000000);
	size_t n;

	if (v >> 64 == 0)
		return tn_record_digits_u64(out, (uint64_t)v);
	n = digits_u128(out, v / e19);
	digits_fixed(out + n, (uint64_t)(v % e19), 19);
	return n + 19;
}

void
tn_record_print_numeric(struct tn_buf *out, __int128 v, uint8_t scale,
    bool keep_zeros)
{
	char digits[80];
	char text[84];
	u128 mag = v < 0 ? -(u128)v : (u128)v;
	size_t n = digits_u128(digits, mag);
	size_t behind = scale;
	size_t at = 0;

	tn_assert(scale <= TN_NUMERIC_DIGITS_MAX);
	if (n <= scale) {
		size_t lack = scale + 1u - n;

		memmove(digits + lack, digits, n);
		memset(digits, '0', lack);
		n += lack;
	}
	while (!keep_zeros && behind > 0 && digits[n - 1] == '0') {
		behind--;
		n--;
	}
	if (v < 0)
		text[at++] = '-';
	memcpy(text + at, digits, n - behind);
	at += n - behind;
	if (behind > 0) {
		text[at++] = '.';
		memcpy(text + at, digits + n - behind, behind);
		at += behind;
	}
	tn_assert(at <= sizeof text);
	tn_buf_add(out, text, at);
}

bool
tn_record_word_is(struct tn_slice s, const char *word)
{
	size_t n = strlen(word);

	if (s.n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (c != (uint8_t)word[i])
			return false;
	}
	return true;
}

/* PostgreSQL takes any beginning of these that is unique. */
bool
tn_record_parse_bool(struct tn_slice s, bool *v)
{
	static const struct {
		const char *word;
		uint8_t least;   /* Letters needed. */
		bool value;
	} words[] = {
		{ "true", 1, true }, { "false", 1, false }, { "yes", 1, true },
		{ "no", 1, false }, { "on", 2, true }, { "off", 2, false },
		{ "1", 1, true }, { "0", 1, false },
	};

	for (size_t i = 0; i < TN_COUNT(words); i++) {
		char word[8];
		size_t n = strlen(words[i].word);

		if (s.n < words[i].least || s.n > n)
			continue;
		memcpy(word, words[i].word, n + 1);
		word[s.n] = '\0';
		if (tn_record_word_is(s, word)) {
			*v = words[i].value;
			return true;
		}
	}
	return false;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As PostgreSQL: braces around, a hyphen after each group of four digits,
 * both optional. */
bool
tn_record_parse_uuid(struct tn_slice in, uint8_t v[static 16])
{
	struct scan s = { in.p, in.p + in.n };
	bool brace = scan_take(&s, '{');
	uint8_t out[16];

	for (int i = 0; i < 16; i++) {
		int high;
		int low;

		if (i % 2 == 0 && i > 0)
			(void)scan_take(&s, '-');
		if (scan_left(&s) < 2)
			return false;
		high = hex_digit(s.p[0]);
		low = hex_digit(s.p[1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
		s.p += 2;
	}
	if ((brace && !scan_take(&s, '}')) || s.p != s.end)
		return false;
	memcpy(v, out, 16);
	return true;
}

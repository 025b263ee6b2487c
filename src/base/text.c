/* text: whole numbers, UTF-8 and the inside of JSON strings.
 *
 * UTF-8 is judged as in RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF. Runs of ASCII are skipped eight bytes at a time. */
#include "base/base_int.h"

#include <string.h>

bool
tn_parse_u64(struct tn_slice s, uint64_t *v)
{
	uint64_t sum = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)s.p[i] - '0';

		if (digit > 9)
			return false;
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, digit, &sum))
			return false;
	}
	*v = sum;
	return true;
}

bool
tn_parse_i64(struct tn_slice s, int64_t *v)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t size;

	if (negative) {
		s.p++;
		s.n--;
	}
	if (!tn_parse_u64(s, &size))
		return false;
	if (size > (uint64_t)INT64_MAX + negative)
		return false;
	*v = negative ? (int64_t)(0 - size) : (int64_t)size;
	return true;
}

/* Lowest and highest second byte, and the length, by the first byte. */
struct lead {
	uint8_t length;
	uint8_t low;
	uint8_t high;
};

static struct lead
lead_of(uint8_t c)
{
	struct lead l = { 0, 0x80, 0xbf };

	if (c >= 0xc2 && c <= 0xdf)
		l.length = 2;
	else if (c >= 0xe0 && c <= 0xef)
		l.length = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		l.length = 4;
	if (c == 0xe0)
		l.low = 0xa0;
	else if (c == 0xed)
		l.high = 0x9f;
	else if (c == 0xf0)
		l.low = 0x90;
	else if (c == 0xf4)
		l.high = 0x8f;
	return l;
}

size_t
tn_utf8_length(const uint8_t *p, size_t n)
{
	struct lead l;

	if (p[0] < 0x80)
		return 1;
	l = lead_of(p[0]);
	if (l.length == 0 || l.length > n)
		return 0;
	if (p[1] < l.low || p[1] > l.high)
		return 0;
	for (size_t i = 2; i < l.length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return l.length;
}

size_t
tn_utf8_cut(const char *p, size_t n)
{
	const uint8_t *u = (const uint8_t *)p;
	size_t at = n;

	/* Back to the first byte of the last sequence, three steps at most. */
	while (at > 0 && n - at < 3 && (u[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0 || u[at - 1] < 0xc0)
		return n;
	return lead_of(u[at - 1]).length > n - (at - 1) ? at - 1 : n;
}

bool
tn_utf8_valid(const void *text, size_t n)
{
	const uint8_t *p = text;
	size_t i = 0;

	while (i < n) {
		uint64_t eight;
		size_t length;

		if (n - i >= sizeof eight) {
			memcpy(&eight, p + i, sizeof eight);
			if ((eight & 0x8080808080808080u) == 0) {
				i += sizeof eight;
				continue;
			}
		}
		length = tn_utf8_length(p + i, n - i);
		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

/* ---- JSON ------------------------------------------------------------ */

/* True when none of the eight bytes is a control character, a quote, a
 * backslash or part of a longer sequence. (x - 1) & ~x has a byte's top bit
 * set if the byte is zero; a borrow only adds false alarms. */
static bool
all_plain(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101u;
	const uint64_t tops = 0x8080808080808080u;
	uint64_t quote = x ^ (ones * '"');
	uint64_t back = x ^ (ones * '\\');
	uint64_t bad = x | ((x - ones * 0x20) & ~x) |
	    ((quote - ones) & ~quote) | ((back - ones) & ~back);

	return (bad & tops) == 0;
}

/* How many bytes from ${p} on may be copied as they are. */
static size_t
plain_run(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		uint64_t eight;
		size_t length;

		if (n - i >= sizeof eight) {
			memcpy(&eight, p + i, sizeof eight);
			if (all_plain(eight)) {
				i += sizeof eight;
				continue;
			}
		}
		if (p[i] < 0x20 || p[i] == '"' || p[i] == '\\')
			break;
		length = tn_utf8_length(p + i, n - i);
		if (length == 0)
			break;
		i += length;
	}
	return i;
}

static void
add_escaped(struct tn_buf *b, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	const char *at = c != 0 ? strchr(from, c) : NULL;

	if (c >= 0x80) {
		tn_buf_add(b, "\xef\xbf\xbd", 3);
	} else if (at != NULL) {
		text[1] = to[at - from];
		tn_buf_add(b, text, 2);
	} else {
		tn_buf_add(b, text, sizeof text);
	}
}

void
tn_buf_json(struct tn_buf *b, const void *text, size_t n)
{
	const uint8_t *p = text;
	size_t i = 0;

	while (i < n) {
		size_t run = plain_run(p + i, n - i);

		tn_buf_add(b, p + i, run);
		i += run;
		if (i < n)
			add_escaped(b, p[i++]);
	}
}

void
tn_buf_shown(struct tn_buf *b, const void *text, size_t n)
{
	const uint8_t *p = text;
	size_t i = 0, length;

	for (; i < n; i += length) {
		length = tn_utf8_length(p + i, n - i);
		if (length == 0)
			tn_buf_printf(b, "\\x%02x", p[i]);
		else if (p[i] == '\\')
			tn_buf_str(b, "\\\\");
		else
			tn_buf_add(b, p + i, length);
		length += length == 0;
	}
}

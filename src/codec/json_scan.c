/* json_scan: one JSON token at a time, checked to the letter of RFC 8259.
 *
 * Everything that reads JSON in Tarn goes through these functions, so that
 * the tree, the row decoder and the skipping of unknown fields accept and
 * refuse the same texts: strict numbers, no control characters, valid UTF-8,
 * surrogates only in pairs, depth at most TN_CODEC_DEPTH_MAX.
 *
 * Strings are looked at 16 bytes at a time with the compiler's vector types;
 * such a look may pass the end by up to 15 bytes (TN_CODEC_PAD), but what is
 * found there is never used. */
#include "codec/codec_int.h"

#include <string.h>

typedef uint8_t v16 __attribute__((vector_size(16)));

const uint8_t *
tn_codec_scan_fail(struct tn_codec_scan *s, const char *what,
    const uint8_t *where)
{
	if (s->code == NULL) {
		s->code = "json_syntax";
		s->what = what;
		s->where = where > s->end ? s->end : where;
	}
	return NULL;
}

const uint8_t *
tn_codec_scan_blank(const uint8_t *p, const uint8_t *end)
{
	while (p < end &&
	    (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* ---- strings --------------------------------------------------------- */

/* First byte from p on that is a quote, a backslash or a control character,
 * or some byte at or after end. ${high} gets a bit of 0x80 when a byte above
 * 0x7f was passed (or stands shortly behind). */
static inline const uint8_t *
string_stop(const uint8_t *p, const uint8_t *end, uint64_t *high)
{
	const v16 quote = (v16){ 0 } + '"', slash = (v16){ 0 } + '\\';
	const v16 space = (v16){ 0 } + ' ';
	v16 x, m;
	uint64_t w[2], h[2];

	for (; p < end; p += 16) {
		memcpy(&x, p, 16);
		memcpy(h, p, 16);
		m = (v16)((x == quote) | (x == slash) | (x < space));
		memcpy(w, &m, 16);
		*high |= h[0] | h[1];
		if (w[0] != 0)
			return p + (__builtin_ctzll(w[0]) >> 3);
		if (w[1] != 0)
			return p + 8 + (__builtin_ctzll(w[1]) >> 3);
	}
	return p;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at p, or -1. */
static int32_t
hex4(const uint8_t *p)
{
	int32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = hex_digit(p[i]);
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* The \u escape at p; returns the byte after it and its other half. */
static const uint8_t *
check_unicode(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_str *out)
{
	size_t left = (size_t)(s->end - p);
	int32_t u = left >= 6 ? hex4(p + 2) : -1, low = -1;

	if (u < 0)
		return tn_codec_scan_fail(s,
		    "\\u needs four hex digits", p);
	if (u == 0)
		out->nul = true;
	if (u < 0xd800 || u > 0xdfff)
		return p + 6;
	if (left >= 12 && p[6] == '\\' && p[7] == 'u')
		low = hex4(p + 8);
	if (u > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return tn_codec_scan_fail(s, "lone surrogate", p);
	return p + 12;
}

/* The escape at p (its backslash); returns the byte after it, or NULL. */
static const uint8_t *
check_escape(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_str *out)
{
	if (s->end - p < 2)
		return tn_codec_scan_fail(s, "unfinished string", s->end);
	if (p[1] == 'u')
		return check_unicode(s, p, out);
	if (p[1] == 0 || strchr("\"\\/bfnrt", p[1]) == NULL)
		return tn_codec_scan_fail(s, "unknown escape", p);
	return p + 2;
}

const uint8_t *
tn_codec_scan_string(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_str *out)
{
	uint64_t high = 0;

	p++;
	out->p = p;
	out->escaped = false;
	out->nul = false;
	for (;;) {
		p = string_stop(p, s->end, &high);
		if (p >= s->end)
			return tn_codec_scan_fail(s, "unfinished string",
			    s->end);
		if (*p == '"')
			break;
		if (*p != '\\')
			return tn_codec_scan_fail(s,
			    "control character in a string", p);
		p = check_escape(s, p, out);
		if (p == NULL)
			return NULL;
		out->escaped = true;
	}
	out->n = (size_t)(p - out->p);
	if ((high & 0x8080808080808080u) != 0 &&
	    !tn_utf8_valid(out->p, out->n)) {
		(void)tn_codec_scan_fail(s, "text is not UTF-8", out->p);
		s->code = "bad_utf8";
		return NULL;
	}
	return p + 1;
}

static size_t
put_utf8(uint8_t *o, uint32_t u)
{
	if (u < 0x80) {
		o[0] = (uint8_t)u;
		return 1;
	}
	if (u < 0x800) {
		o[0] = (uint8_t)(0xc0 | u >> 6);
		o[1] = (uint8_t)(0x80 | (u & 63));
		return 2;
	}
	if (u < 0x10000) {
		o[0] = (uint8_t)(0xe0 | u >> 12);
		o[1] = (uint8_t)(0x80 | (u >> 6 & 63));
		o[2] = (uint8_t)(0x80 | (u & 63));
		return 3;
	}
	o[0] = (uint8_t)(0xf0 | u >> 18);
	o[1] = (uint8_t)(0x80 | (u >> 12 & 63));
	o[2] = (uint8_t)(0x80 | (u >> 6 & 63));
	o[3] = (uint8_t)(0x80 | (u & 63));
	return 4;
}

static uint8_t
short_escape(uint8_t c)
{
	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return c;
	}
}

void
tn_codec_unescape(struct tn_buf *out, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n, *stop;
	uint8_t *o = tn_buf_reserve(out, n);   /* Never longer than written. */
	uint8_t *o0 = o;
	uint32_t u;

	if (o == NULL)
		return;
	while (p < end) {
		stop = memchr(p, '\\', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		memcpy(o, p, (size_t)(stop - p));
		o += stop - p;
		p = stop;
		if (p == end)
			break;
		if (p[1] != 'u') {
			*o++ = short_escape(p[1]);
			p += 2;
			continue;
		}
		u = (uint32_t)hex4(p + 2);
		p += 6;
		if (u >= 0xd800 && u <= 0xdbff) {
			u = 0x10000 + ((u - 0xd800) << 10) +
			    ((uint32_t)hex4(p + 2) - 0xdc00);
			p += 6;
		}
		o += put_utf8(o, u);
	}
	tn_assert((size_t)(o - o0) <= n);
	out->n += (size_t)(o - o0);
}

/* ---- numbers and words ----------------------------------------------- */

static inline bool
is_digit(const uint8_t *p, const uint8_t *end)
{
	return p < end && (uint8_t)(*p - '0') <= 9;
}

/* Digits from p on into v; more than 19 in all (leading zeros do not count)
 * make the number inexact. */
static inline const uint8_t *
take_digits(const uint8_t *p, const uint8_t *end,
    struct tn_codec_num *v, uint32_t *taken)
{
	for (; is_digit(p, end); p++) {
		if (*taken < 19) {
			v->digits = v->digits * 10 + (uint8_t)(*p - '0');
			*taken += v->digits != 0;
		} else {
			v->exact = false;
		}
	}
	return p;
}

/* The exponent whose e is at p. Beyond +-100,000 it counts as that. */
static const uint8_t *
take_exponent(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_num *v)
{
	bool minus = false;
	int32_t e = 0;

	p++;
	if (p < s->end && (*p == '+' || *p == '-')) {
		minus = *p == '-';
		p++;
	}
	if (!is_digit(p, s->end))
		return tn_codec_scan_fail(s, "an exponent needs digits", p);
	for (; is_digit(p, s->end); p++) {
		if (e < 100000)
			e = e * 10 + (*p - '0');
	}
	if (e > 100000)
		e = 100000;
	v->exp10 += minus ? -e : e;
	return p;
}

/* The fraction whose point is at p. */
static const uint8_t *
take_fraction(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_num *v, uint32_t *taken)
{
	const uint8_t *first = p + 1;
	size_t places;

	if (!is_digit(first, s->end))
		return tn_codec_scan_fail(s,
		    "a point needs digits after it", first);
	p = take_digits(first, s->end, v, taken);
	places = (size_t)(p - first);
	if (places > 100000) {
		v->exact = false;
		places = 100000;
	}
	v->exp10 = -(int32_t)places;
	return p;
}

const uint8_t *
tn_codec_scan_loose(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_num *out)
{
	uint32_t taken = 0;

	out->p = p;
	out->digits = 0;
	out->exp10 = 0;
	out->exact = true;
	out->negative = p < s->end && *p == '-';
	p += out->negative;
	if (!is_digit(p, s->end))
		return tn_codec_scan_fail(s, "expected a digit", p);
	p = take_digits(p, s->end, out, &taken);
	if (p < s->end && *p == '.')
		p = take_fraction(s, p, out, &taken);
	if (p != NULL && p < s->end && (*p | 0x20) == 'e')
		p = take_exponent(s, p, out);
	if (p != NULL)
		out->n = (size_t)(p - out->p);
	return p;
}

const uint8_t *
tn_codec_scan_number(struct tn_codec_scan *s, const uint8_t *p,
    struct tn_codec_num *out)
{
	const uint8_t *digit = p + (p < s->end && *p == '-');

	if (digit < s->end && *digit == '0' && is_digit(digit + 1, s->end))
		return tn_codec_scan_fail(s, "a number starts with 0", digit);
	return tn_codec_scan_loose(s, p, out);
}

const uint8_t *
tn_codec_scan_word(struct tn_codec_scan *s, const uint8_t *p,
    const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - p) < n || memcmp(p, word, n) != 0)
		return tn_codec_scan_fail(s, "expected a value", p);
	return p + n;
}

/* ---- whole values ---------------------------------------------------- */

static const uint8_t *
scan_scalar(struct tn_codec_scan *s, const uint8_t *p)
{
	struct tn_codec_str str;
	struct tn_codec_num num;

	if (p >= s->end)
		return tn_codec_scan_fail(s, "unexpected end", s->end);
	switch (*p) {
	case '"': return tn_codec_scan_string(s, p, &str);
	case 't': return tn_codec_scan_word(s, p, "true");
	case 'f': return tn_codec_scan_word(s, p, "false");
	case 'n': return tn_codec_scan_word(s, p, "null");
	case '-':
	case '0' ... '9':
		return tn_codec_scan_number(s, p, &num);
	default:
		return tn_codec_scan_fail(s, "expected a value", p);
	}
}

/* A key and its colon, up to the value. */
static const uint8_t *
scan_key(struct tn_codec_scan *s, const uint8_t *p)
{
	struct tn_codec_str str;

	if (p >= s->end || *p != '"')
		return tn_codec_scan_fail(s, "expected a key in quotes", p);
	p = tn_codec_scan_string(s, p, &str);
	if (p == NULL)
		return NULL;
	p = tn_codec_scan_blank(p, s->end);
	if (p >= s->end || *p != ':')
		return tn_codec_scan_fail(s, "expected a colon", p);
	return tn_codec_scan_blank(p + 1, s->end);
}

/* Open containers as bits: 1 for an object. The walk is a loop, not a
 * recursion, so that deep input costs no stack. */
struct nest {
	uint64_t bits[TN_CODEC_DEPTH_MAX / 64];
	uint32_t depth;
	uint32_t below;          /* Containers open around this value. */
};

static bool
in_object(const struct nest *n)
{
	uint32_t top = n->depth - 1;

	return n->bits[top / 64] >> (top % 64) & 1;
}

/* Behind a value: close what ends here. Sets *more when another value
 * follows; p is then at it. */
static const uint8_t *
after_value(struct tn_codec_scan *s, const uint8_t *p, struct nest *n,
    bool *more)
{
	bool object;

	*more = false;
	while (n->depth > 0) {
		object = in_object(n);
		p = tn_codec_scan_blank(p, s->end);
		if (p < s->end && *p == ',') {
			*more = true;
			p = tn_codec_scan_blank(p + 1, s->end);
			return object ? scan_key(s, p) : p;
		}
		if (p >= s->end || *p != (object ? '}' : ']'))
			return tn_codec_scan_fail(s, object ?
			    "expected a comma or }" :
			    "expected a comma or ]", p);
		n->depth--;
		p++;
	}
	return p;
}

/* At { or [: open it. Sets *more when a first value follows. */
static const uint8_t *
open_container(struct tn_codec_scan *s, const uint8_t *p, struct nest *n,
    bool *more)
{
	bool object = *p == '{';
	uint64_t bit;

	if (n->below + n->depth >= TN_CODEC_DEPTH_MAX)
		return tn_codec_scan_fail(s, "nested deeper than 512", p);
	bit = (uint64_t)1 << (n->depth % 64);
	if (object)
		n->bits[n->depth / 64] |= bit;
	else
		n->bits[n->depth / 64] &= ~bit;
	p = tn_codec_scan_blank(p + 1, s->end);
	if (p < s->end && *p == (object ? '}' : ']')) {
		*more = false;
		return p + 1;
	}
	n->depth++;
	*more = true;
	return object ? scan_key(s, p) : p;
}

const uint8_t *
tn_codec_scan_value(struct tn_codec_scan *s, const uint8_t *p,
    uint32_t depth)
{
	struct nest n = { .below = depth };
	bool more = true;

	while (more) {
		if (p < s->end && (*p == '{' || *p == '[')) {
			p = open_container(s, p, &n, &more);
			if (p == NULL)
				return NULL;
			if (more)
				continue;
		} else {
			p = scan_scalar(s, p);
		}
		if (p == NULL)
			return NULL;
		p = after_value(s, p, &n, &more);
		if (p == NULL)
			return NULL;
	}
	return p;
}

bool
tn_codec_scan_whole(struct tn_codec_scan *s)
{
	const uint8_t *p = tn_codec_scan_blank(s->begin, s->end);

	if (p == s->end) {
		(void)tn_codec_scan_fail(s, "unexpected end", p);
		return false;
	}
	p = tn_codec_scan_value(s, p, 0);
	if (p == NULL)
		return false;
	p = tn_codec_scan_blank(p, s->end);
	if (p < s->end)
		(void)tn_codec_scan_fail(s, "text after the value", p);
	return s->code == NULL;
}

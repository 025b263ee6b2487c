/* jsonb: any JSON value as the text that PostgreSQL prints for it as jsonb,
 * so that equal values are equal bytes and hash, compare and group alike.
 *
 *   objects   keys by length, then by bytes; of equal keys the last value;
 *             {"a": 1, "bb": 2}
 *   numbers   as PostgreSQL's numeric: no exponent, digits after the point
 *             kept (1.50, 1.5e1 -> 15), no sign on zero
 *   strings   only " \ and control characters escaped
 *
 * An exponent may add many zeros; more than ZEROS_MAX of them, or an output
 * beyond what the caller allows, is refused (a double needs 324 at most). */
#include "codec/codec_int.h"

#include <stdlib.h>
#include <string.h>

#define ZEROS_MAX 400

struct printer {
	struct tn_buf *out;
	size_t stop;             /* No output beyond this size. */
	const char *code;        /* NULL: nothing wrong. */
	const char *what;
};

static void
fail(struct printer *r, const char *code, const char *what)
{
	if (r->code == NULL) {
		r->code = code;
		r->what = what;
	}
}

static void
print_string(struct printer *r, struct tn_slice s)
{
	static const char *const names = "btnvfr";   /* 8 to 13 */
	size_t plain = 0;

	tn_buf_char(r->out, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		if (c == 0)
			fail(r, "nul_character", "jsonb cannot hold \\u0000");
		tn_buf_add(r->out, s.p + plain, i - plain);
		plain = i + 1;
		if (c >= ' ')
			tn_buf_printf(r->out, "\\%c", c);
		else if (c >= 8 && c <= 13 && c != 11)
			tn_buf_printf(r->out, "\\%c", names[c - 8]);
		else
			tn_buf_printf(r->out, "\\u%04x", c);
	}
	if (s.n > plain)
		tn_buf_add(r->out, s.p + plain, s.n - plain);
	tn_buf_char(r->out, '"');
}

static void
print_zeros(struct printer *r, int64_t n)
{
	for (; n > 0; n--)
		tn_buf_char(r->out, '0');
}

/* The digits of s (its point left out) from number ${from} to ${to}. */
static void
print_digits(struct printer *r, struct tn_slice s, int64_t from, int64_t to)
{
	int64_t seen = 0;

	for (size_t i = 0; i < s.n && seen < to; i++) {
		if (s.p[i] == '.')
			continue;
		if (seen >= from)
			tn_buf_char(r->out, (char)s.p[i]);
		seen++;
	}
}

/* Exponent of a scanned number, bounded; *s becomes what is before it. */
static int64_t
cut_exponent(struct tn_slice *s)
{
	bool minus = false;
	int64_t e = 0;
	size_t i = 0, k;

	while (i < s->n && (s->p[i] | 0x20) != 'e')
		i++;
	for (k = i + 1; k < s->n; k++) {
		if (s->p[k] == '-')
			minus = true;
		else if (s->p[k] != '+' && e < 1000000)
			e = e * 10 + (s->p[k] - '0');
	}
	s->n = i;
	return minus ? -e : e;
}

/* Zeros before the first other digit; s has no exponent. */
static int64_t
leading_zeros(struct tn_slice s)
{
	int64_t zeros = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '.' && s.p[i] != '0')
			break;
		zeros += s.p[i] == '0';
	}
	return zeros;
}

static void
print_fraction(struct printer *r, struct tn_slice s, int64_t point,
    int64_t digits)
{
	tn_buf_char(r->out, '.');
	print_zeros(r, point < 0 ? -point : 0);
	print_digits(r, s, point < 0 ? 0 : point, digits);
}

/* In terms of the digits as written: how many there are, how many stand
 * before the (moved) point and how many are kept behind it. */
static void
print_number(struct printer *r, struct tn_slice s)
{
	int64_t digits, zeros, point = 0, places, e;
	bool negative = *s.p == '-', zero;

	s.p += negative;
	s.n -= negative;
	e = cut_exponent(&s);
	while ((size_t)point < s.n && s.p[point] != '.')
		point++;
	digits = (int64_t)s.n - ((size_t)point < s.n);
	places = digits - point;
	zeros = leading_zeros(s);
	zero = zeros == digits;
	if (zero && e > places)
		e = places;
	if (e > digits + ZEROS_MAX || -e > digits + ZEROS_MAX) {
		fail(r, "out_of_range", "a number has too many digits");
		return;
	}
	point += e;
	if (negative && !zero)
		tn_buf_char(r->out, '-');
	/* Leading zeros do not count before the point. */
	if (point > zeros && !zero) {
		print_digits(r, s, zeros, point);
		print_zeros(r, point - digits);
	} else {
		tn_buf_char(r->out, '0');
	}
	if (places > e)
		print_fraction(r, s, point, digits);
}

struct place {
	struct tn_slice key;
	uint32_t at;
};

static int
by_length(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	if (a->key.n != b->key.n)
		return a->key.n < b->key.n ? -1 : 1;
	return a->key.n == 0 ? 0 : memcmp(a->key.p, b->key.p, a->key.n);
}

static void print_value(struct printer *r, const struct tn_json *v);

static void
print_object(struct printer *r, const struct tn_json *v)
{
	struct place *order = tn_alloc((v->count + 1) * sizeof *order);

	for (uint32_t i = 0; i < v->count; i++)
		order[i] = (struct place){ v->keys[i], i };
	qsort(order, v->count, sizeof *order, by_length);
	tn_buf_char(r->out, '{');
	for (uint32_t i = 0; i < v->count; i++) {
		if (i > 0)
			tn_buf_add(r->out, ", ", 2);
		print_string(r, order[i].key);
		tn_buf_add(r->out, ": ", 2);
		print_value(r, &v->items[order[i].at]);
	}
	tn_buf_char(r->out, '}');
	tn_free(order);
}

static void
print_array(struct printer *r, const struct tn_json *v)
{
	tn_buf_char(r->out, '[');
	for (uint32_t i = 0; i < v->count; i++) {
		if (i > 0)
			tn_buf_add(r->out, ", ", 2);
		print_value(r, &v->items[i]);
	}
	tn_buf_char(r->out, ']');
}

/* Recursion is as deep as the tree, at most TN_CODEC_DEPTH_MAX. */
static void
print_value(struct printer *r, const struct tn_json *v)
{
	if (r->out->n > r->stop)
		fail(r, "out_of_range", "the value is too large");
	if (r->code != NULL)
		return;
	switch (v->kind) {
	case TN_JSON_NULL:
		tn_buf_str(r->out, "null");
		break;
	case TN_JSON_FALSE:
		tn_buf_str(r->out, "false");
		break;
	case TN_JSON_TRUE:
		tn_buf_str(r->out, "true");
		break;
	case TN_JSON_NUMBER:
		print_number(r, v->text);
		break;
	case TN_JSON_STRING:
		print_string(r, v->text);
		break;
	case TN_JSON_ARRAY:
		print_array(r, v);
		break;
	case TN_JSON_OBJECT:
		print_object(r, v);
		break;
	}
}

enum tn_status
tn_codec_jsonb_text(struct tn_buf *out, struct tn_slice text,
    size_t bytes_max, struct tn_diag *d)
{
	struct tn_arena *arena = tn_arena_new(4096);
	struct printer r = { .out = out, .stop = out->n + bytes_max };
	size_t before = out->n;
	struct tn_json *root;
	enum tn_status st;

	st = tn_codec_json_parse(arena, text, &root, d);
	if (st != TN_OK)
		goto out;
	print_value(&r, root);
	if (out->no_memory) {
		st = tn_diag_set(d, TN_ENOMEM, "out_of_memory",
		    "no memory for the value");
		goto out;
	}
	if (out->failed)
		fail(&r, "out_of_range", "the value is too large");
	if (r.code != NULL) {
		if (!out->failed)
			out->n = before;
		st = tn_diag_set(d, TN_EINVAL, r.code, "%s", r.what);
	}
out:
	tn_arena_free(arena);
	return st;
}

enum tn_status
tn_codec_jsonb(struct tn_buf *out, struct tn_slice text)
{
	return tn_codec_jsonb_text(out, text, (size_t)1 << 30, NULL);
}

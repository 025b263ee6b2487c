/* LIKE and ILIKE. A pattern is cut at its % into pieces: the first must be at
 * the front, the last at the back, those between are found one after the
 * other, leftmost first, which is right because % takes anything. A piece
 * without _ is plain bytes and found by memmem; so equality, prefix, suffix
 * and contains need no case of their own. ILIKE compares small letters.
 *
 * A pattern that ends in a lone backslash is an error for the rows that get
 * so far. Cost: linear, but for pieces with _, which are tried everywhere. */
#include "exec/expr_int.h"

#include <string.h>

#define ANY_CHAR 0xff          /* _ in a piece; no byte of UTF-8 */

struct piece {
	const uint8_t *p;
	size_t n;
	bool wild;             /* Has ANY_CHAR. */
};
struct like {
	bool made;
	struct tn_slice text;  /* The pattern this was made from. */
	struct piece *pieces;
	size_t count;
	bool lone;             /* Ended in a backslash; matches raise errors. */
	struct tn_slice low;   /* Space for a text in small letters. */
	size_t low_cap;
};

/* ---- making ---------------------------------------------------------- */

static size_t
count_marks(struct tn_slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '%';
	return n;
}

static void
add_piece(struct like *l, const uint8_t *from, const uint8_t *to, bool wild)
{
	l->pieces[l->count++] = (struct piece){ from, (size_t)(to - from),
	    wild };
}

/* A text in small letters in ${a}. */
static struct tn_slice
small(struct tn_arena *a, struct tn_slice s)
{
	uint8_t *p = tn_arena_alloc(a, s.n * 2 + 4);

	return (struct tn_slice){ p, tn_exec_lower_text(s, p) };
}

static void
make(struct like *l, struct tn_arena *a, struct tn_slice pattern, bool fold)
{
	struct tn_slice s = fold ? small(a, pattern) : pattern;
	uint8_t *o = tn_arena_alloc(a, s.n + 2), *start = o;
	bool wild = false;

	l->made = true;
	l->text = pattern;
	l->pieces = tn_arena_alloc(a,
	    (count_marks(s) + 2) * sizeof *l->pieces);
	l->count = 0;
	l->lone = false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			add_piece(l, start, o, wild);
			start = o;
			wild = false;
		} else if (s.p[i] == '_') {
			*o++ = ANY_CHAR;
			wild = true;
		} else if (s.p[i] == '\\' && i + 1 == s.n) {
			l->lone = true;
		} else {
			i += s.p[i] == '\\';
			*o++ = s.p[i];
		}
	}
	/* Reached when one more character is left: "_%" in its place. */
	if (l->lone) {
		*o++ = ANY_CHAR;
		add_piece(l, start, o, true);
		start = o;
		wild = false;
	}
	add_piece(l, start, o, wild);
}

/* ---- matching -------------------------------------------------------- */

/* Bytes of ${s} that the piece takes at its start, or SIZE_MAX. */
static size_t
take(const struct piece *k, struct tn_slice s)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	size_t n;

	if (!k->wild) {
		if (k->n > s.n || (k->n > 0 && memcmp(s.p, k->p, k->n) != 0))
			return SIZE_MAX;
		return k->n;
	}
	for (size_t i = 0; i < k->n; i++) {
		if (p == end)
			return SIZE_MAX;
		n = 1;
		if (k->p[i] == ANY_CHAR)
			(void)tn_exec_utf8(p, end, &n);
		else if (k->p[i] != *p)
			return SIZE_MAX;
		p += n;
	}
	return (size_t)(p - s.p);
}

/* Moves ${s} past the leftmost place where the piece fits. */
static bool
find(const struct piece *k, struct tn_slice *s)
{
	const uint8_t *at;
	size_t n;

	if (!k->wild) {
		if (k->n == 0)
			return true;
		at = s->n < k->n ? NULL : memmem(s->p, s->n, k->p, k->n);
		if (at == NULL)
			return false;
		s->n -= (size_t)(at - s->p) + k->n;
		s->p = at + k->n;
		return true;
	}
	for (;;) {
		n = take(k, *s);
		if (n != SIZE_MAX) {
			s->p += n;
			s->n -= n;
			return true;
		}
		if (s->n == 0)
			return false;
		(void)tn_exec_utf8(s->p, s->p + s->n, &n);
		s->p += n;
		s->n -= n;
	}
}

/* Does the piece fit exactly at the end of ${s}? */
static bool
ends(const struct piece *k, struct tn_slice s)
{
	size_t n;

	if (!k->wild)
		return k->n <= s.n && (k->n == 0 || memcmp(s.p + s.n - k->n,
		    k->p, k->n) == 0);
	for (;;) {
		if (take(k, s) == s.n)
			return true;
		if (s.n == 0)
			return false;
		(void)tn_exec_utf8(s.p, s.p + s.n, &n);
		s.p += n;
		s.n -= n;
	}
}

static bool
matches(const struct like *l, struct tn_slice s)
{
	size_t n = take(&l->pieces[0], s);

	if (n == SIZE_MAX)
		return false;
	if (l->count == 1)
		return n == s.n;
	s.p += n;
	s.n -= n;
	for (size_t i = 1; i + 1 < l->count; i++)
		if (!find(&l->pieces[i], &s))
			return false;
	return ends(&l->pieces[l->count - 1], s);
}

static struct tn_slice
folded(struct tn_call *c, struct like *l, struct tn_slice s)
{
	uint8_t *p;

	if (s.n * 2 + 4 > l->low_cap) {
		l->low_cap = s.n * 4 + 64;
		l->low.p = tn_arena_alloc(c->ev->a, l->low_cap);
	}
	p = (uint8_t *)(uintptr_t)l->low.p;
	return (struct tn_slice){ p, tn_exec_lower_text(s, p) };
}

static void
row_like(struct tn_call *c, uint32_t row)
{
	struct like *l = c->scratch;
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice pattern = tn_arg_text(c, 1, row);
	bool fold = c->fn == TN_FN_ILIKE;
	bool hit;

	if (!l->made || (!c->args[1].constant &&
	    !tn_slice_eq(l->text, pattern)))
		make(l, c->ev->a, pattern, fold);
	hit = matches(l, fold ? folded(c, l, s) : s);
	if (hit && l->lone)
		tn_exec_fail(c, row,
		    "LIKE pattern must not end with escape character");
	else
		((uint8_t *)c->values)[row] = hit;
}

void
tn_exec_k_like(struct tn_call *c, struct tn_vec *out)
{
	struct like l = { .count = 0 };

	c->scratch = &l;
	tn_exec_each(c, out, row_like);
	c->scratch = NULL;
}

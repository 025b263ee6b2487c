/* What all kernels lean on: bitmaps by words, validity of a result, row
 * errors, results of fixed width and of text, and the choice of rows from
 * several vectors. See expr_int.h for the shapes. */
#include "exec/expr_int.h"

#include <stdio.h>
#include <string.h>

/* ---- bitmaps --------------------------------------------------------- */

uint64_t
tn_exec_word(const uint8_t *bits, uint32_t rows, size_t w)
{
	size_t bytes = ((size_t)rows + 7) / 8;
	uint64_t word = 0;

	if (bits == NULL) {
		word = ~UINT64_C(0);
	} else if (w * 8 + 8 <= bytes) {
		memcpy(&word, bits + w * 8, 8);
	} else if (w * 8 < bytes) {
		memcpy(&word, bits + w * 8, bytes - w * 8);
	}
	if (w == rows / 64)
		word &= (UINT64_C(1) << (rows % 64)) - 1;
	return word;
}

uint64_t *
tn_exec_ones(struct tn_arena *a, uint32_t rows)
{
	size_t words = tn_bits_words(rows);
	uint64_t *bits = tn_arena_alloc(a, words * 8 + 8);

	for (size_t w = 0; w < words; w++)
		bits[w] = tn_exec_word(NULL, rows, w);
	return bits;
}

uint64_t *
tn_exec_valid(struct tn_eval *ev, const struct tn_vec *args, uint32_t count,
    uint32_t n)
{
	uint64_t *valid = NULL;

	for (uint32_t k = 0; k < count; k++) {
		const struct tn_column *c = &args[k].c;

		if (c->valid == NULL)
			continue;
		if (args[k].constant && n > 1) {
			if (tn_column_valid(c, 0))
				continue;
			return tn_arena_zalloc(ev->a, tn_bits_words(n) * 8);
		}
		if (valid == NULL)
			valid = tn_exec_ones(ev->a, n);
		for (size_t w = 0; w < tn_bits_words(n); w++)
			valid[w] &= tn_exec_word(c->valid, n, w);
	}
	return valid;
}

/* ---- row errors ------------------------------------------------------ */

void
tn_exec_drop(struct tn_call *c, uint32_t row)
{
	tn_assert(row < c->n);
	if (c->valid == NULL)
		c->valid = tn_exec_ones(c->ev->a, c->n);
	tn_bits_clear(c->valid, row);
}

/* Every active row has the error of a constant. */
static void
fail_all(const struct tn_eval *ev)
{
	struct tn_exec_env *env = ev->env;

	for (uint32_t i = 0; i < ev->rows; i++) {
		if (!tn_bits_get(ev->active, i))
			continue;
		env->errors++;
		if (env->error_rows != NULL)
			env->error_rows[i] = 1;
	}
}

void
tn_exec_fail(struct tn_call *c, uint32_t row, const char *fmt, ...)
{
	struct tn_exec_env *env = c->ev->env;
	va_list ap;

	tn_assert(tn_exec_live(c, row));
	if (env->errors == 0) {
		va_start(ap, fmt);
		vsnprintf(env->message, sizeof env->message, fmt, ap);
		va_end(ap);
	}
	tn_exec_drop(c, row);
	if (c->constant) {
		fail_all(c->ev);
		return;
	}
	env->errors++;
	if (env->error_rows != NULL)
		env->error_rows[row] = 1;
}

void
tn_exec_no_memory(const struct tn_eval *ev, size_t n)
{
	if (ev->env->no_memory == NULL)
		tn_alloc_fail(n);
	*ev->env->no_memory = true;
}

/* Folds cannot take rows back: for them it is an allocation that aborts. */
void *
tn_exec_text_alloc(const struct tn_eval *ev, size_t n)
{
	void *p = ev->env->no_memory == NULL ? tn_arena_alloc(ev->a, n) :
	    tn_arena_try_alloc(ev->a, n);

	if (p == NULL)
		tn_exec_no_memory(ev, n);
	return p;
}

/* ---- results --------------------------------------------------------- */

void *
tn_exec_values(struct tn_call *c)
{
	size_t width = tn_record_type_width(c->type);

	tn_assert(width > 0);
	return tn_arena_alloc(c->ev->a, c->n * width);
}

void
tn_exec_done(struct tn_call *c, struct tn_vec *out, const void *values)
{
	memset(out, 0, sizeof *out);
	out->c.type = c->type;
	out->c.rows = c->n;
	out->c.valid = (const uint8_t *)c->valid;
	out->constant = c->constant;
	if (tn_record_type_width(c->type) > 0) {
		out->c.values = values;
	} else {
		out->c.offsets = c->offsets;
		out->c.bytes = c->bytes;
	}
}

void
tn_exec_null(struct tn_eval *ev, struct tn_type t, struct tn_vec *out)
{
	memset(out, 0, sizeof *out);
	out->c.type = t;
	out->c.rows = 1;
	out->c.valid = tn_arena_zalloc(ev->a, 16);
	out->c.values = tn_arena_zalloc(ev->a, 16);
	if (tn_record_type_width(t) == 0) {
		out->c.offsets = tn_arena_zalloc(ev->a, 16);
		out->c.bytes = tn_arena_zalloc(ev->a, 16);
		if (t.id != TN_T_NONE)       /* A bare NULL may be a bool. */
			out->c.values = NULL;
	}
	out->constant = true;
}

uint8_t *
tn_exec_room(struct tn_call *c, size_t n)
{
	size_t cap = c->bytes_cap;
	uint8_t *p;

	if (n > TN_EXEC_TEXT_MAX - c->bytes_n) {
		c->text_full = true;
		return NULL;
	}
	if (c->bytes_n + n <= cap)
		return c->bytes + c->bytes_n;
	if (cap == 0)
		cap = (size_t)c->n * 8 + 64;
	while (cap < c->bytes_n + n)
		cap *= 2;
	p = tn_exec_text_alloc(c->ev, cap);
	if (p == NULL) {
		c->text_full = true;
		return NULL;
	}
	if (c->bytes_n > 0)
		memcpy(p, c->bytes, c->bytes_n);
	c->bytes = p;
	c->bytes_cap = cap;
	return p + c->bytes_n;
}

void
tn_exec_put(struct tn_call *c, const void *p, size_t n)
{
	uint8_t *to = tn_exec_room(c, n);

	if (to == NULL || n == 0)
		return;
	memcpy(to, p, n);
	c->bytes_n += n;
}

/* Text results: an offset after each row; a row that failed leaves none of
 * its bytes. */
static void
text_rows(struct tn_call *c, tn_row_fn fn)
{
	c->offsets = tn_arena_alloc(c->ev->a, ((size_t)c->n + 1) * 4);
	c->offsets[0] = 0;
	(void)tn_exec_room(c, 1);
	for (uint32_t row = 0; row < c->n; row++) {
		size_t before = c->bytes_n;

		if (tn_exec_live(c, row))
			fn(c, row);
		if (c->text_full && tn_exec_live(c, row))
			tn_exec_fail(c, row, "result text too large");
		c->text_full = false;
		if (!tn_bits_get(c->valid, row))
			c->bytes_n = before;
		c->offsets[row + 1] = (uint32_t)c->bytes_n;
	}
}

void
tn_exec_each(struct tn_call *c, struct tn_vec *out, tn_row_fn fn)
{
	size_t width = tn_record_type_width(c->type);

	if (width == 0) {
		text_rows(c, fn);
		tn_exec_done(c, out, NULL);
		return;
	}
	c->values = tn_arena_zalloc(c->ev->a, c->n * width);
	for (uint32_t row = 0; row < c->n; row++)
		if (tn_exec_live(c, row))
			fn(c, row);
	tn_exec_done(c, out, c->values);
}

/* ---- choice ---------------------------------------------------------- */

struct pick {
	const struct tn_vec *vecs;
	const uint16_t *from;
};

static void
pick_text(struct tn_call *c, uint32_t row)
{
	const struct pick *p = c->scratch;
	struct tn_slice s = tn_vec_text(&p->vecs[p->from[row]], row);

	tn_exec_put(c, s.p, s.n);
}

#define PICK(T)								\
static void								\
pick_##T(struct tn_call *c, T *out, const struct pick *p)		\
{									\
	for (uint32_t i = 0; i < c->n; i++) {				\
		const struct tn_vec *v = &p->vecs[p->from[i]];		\
									\
		if (tn_bits_get(c->valid, i))				\
			out[i] = ((const T *)v->c.values)		\
			    [tn_vec_at(v, i)];				\
	}								\
}
typedef __int128 i128;
PICK(uint8_t)
PICK(uint16_t)
PICK(uint32_t)
PICK(uint64_t)
PICK(i128)

static void
pick_fixed(struct tn_call *c, void *out, const struct pick *p)
{
	switch (tn_record_type_width(c->type)) {
	case 1: pick_uint8_t(c, out, p); break;
	case 2: pick_uint16_t(c, out, p); break;
	case 4: pick_uint32_t(c, out, p); break;
	case 8: pick_uint64_t(c, out, p); break;
	case 16: pick_i128(c, out, p); break;
	default: tn_assert(false);
	}
}

void
tn_exec_choose(struct tn_eval *ev, struct tn_type t,
    const struct tn_vec *vecs, const uint16_t *from, struct tn_vec *out)
{
	struct tn_call c = { .ev = ev, .type = t, .n = ev->rows };
	struct pick p = { vecs, from };
	void *values;

	c.scratch = &p;
	for (uint32_t i = 0; i < ev->rows; i++)
		if (from[i] == UINT16_MAX || !tn_vec_valid(&vecs[from[i]], i))
			tn_exec_drop(&c, i);
	if (tn_record_type_width(t) == 0) {
		tn_exec_each(&c, out, pick_text);
		return;
	}
	values = tn_arena_zalloc(ev->a,
	    ev->rows * tn_record_type_width(t));
	pick_fixed(&c, values, &p);
	tn_exec_done(&c, out, values);
}

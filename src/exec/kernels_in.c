/* IN: a value among others. A few are compared one after the other by the
 * loops of kernels_cmp.c; a longer list of constants of a type whose equal
 * values have equal bytes becomes a hash set, built once a batch.
 * x IN (...) is true on a match, else null when x or any element is null. */
#include "exec/expr_int.h"

#include <string.h>

#define LINEAR_MAX 6

struct set {
	const struct tn_vec *items;
	uint32_t *slots;             /* Index into items plus one; 0: free. */
	uint32_t mask;
};

static struct tn_slice
value_bytes(const struct tn_vec *v, uint32_t row)
{
	size_t width = tn_record_type_width(v->c.type);
	uint32_t at = tn_vec_at(v, row);

	if (width == 0)
		return tn_column_text(&v->c, at);
	return (struct tn_slice){ (const uint8_t *)v->c.values + at * width,
	    width };
}

static bool
set_has(const struct set *s, struct tn_slice key)
{
	uint32_t at = (uint32_t)tn_hash64(key.p, key.n, 0) & s->mask;

	for (; s->slots[at] != 0; at = (at + 1) & s->mask)
		if (tn_slice_eq(value_bytes(&s->items[s->slots[at] - 1], 0),
		    key))
			return true;
	return false;
}

static void
set_add(struct set *s, uint32_t item)
{
	struct tn_slice key = value_bytes(&s->items[item], 0);
	uint32_t at = (uint32_t)tn_hash64(key.p, key.n, 0) & s->mask;

	while (s->slots[at] != 0)
		at = (at + 1) & s->mask;
	s->slots[at] = item + 1;
}

/* Equal values have equal bytes, and all are constants of one scale. */
static bool
hashable(const struct tn_vec *items, uint32_t count, struct tn_type t)
{
	for (uint32_t k = 0; k < count; k++)
		if (!items[k].constant || items[k].c.type.scale != t.scale)
			return false;
	return t.id != TN_T_FLOAT4 && t.id != TN_T_FLOAT8 &&
	    t.id != TN_T_INTERVAL && t.id != TN_T_JSONB;
}

static void
match_set(struct tn_eval *ev, const struct tn_vec *x,
    const struct tn_vec *items, uint32_t count, uint32_t n, uint8_t *hit)
{
	struct set s = { .items = items, .mask = 15 };

	while (s.mask < count * 2)
		s.mask = s.mask * 2 + 1;
	s.slots = tn_arena_zalloc(ev->a, (s.mask + 1ul) * sizeof *s.slots);
	for (uint32_t k = 0; k < count; k++)
		if (tn_column_valid(&items[k].c, 0))
			set_add(&s, k);
	for (uint32_t i = 0; i < n; i++)
		hit[i] = set_has(&s, value_bytes(x, i));
}

static void
match_each(struct tn_eval *ev, const struct tn_vec *x,
    const struct tn_vec *items, uint32_t count, uint32_t n, uint8_t *hit)
{
	struct tn_vec pair[2], eq;

	for (uint32_t k = 0; k < count; k++) {
		struct tn_call c = { .ev = ev, .fn = TN_FN_EQ, .args = pair,
		    .type = tn_record_type(TN_T_BOOL), .count = 2, .n = n,
		    .constant = x->constant && items[k].constant };

		if (c.constant)
			c.n = 1;
		if (items[k].constant && !tn_column_valid(&items[k].c, 0))
			continue;
		pair[0] = *x;
		pair[1] = items[k];
		c.valid = tn_exec_valid(ev, pair, 2, c.n);
		tn_exec_k_compare(&c, &eq);
		for (uint32_t i = 0; i < n; i++)
			hit[i] |= tn_vec_valid(&eq, i) &&
			    ((const uint8_t *)eq.c.values)
			    [tn_vec_at(&eq, i)] == 1;
	}
}

static bool
any_null(const struct tn_vec *items, uint32_t count, uint32_t row)
{
	for (uint32_t k = 0; k < count; k++)
		if (!tn_vec_valid(&items[k], row))
			return true;
	return false;
}

static bool
maybe_null(const struct tn_vec *items, uint32_t count)
{
	for (uint32_t k = 0; k < count; k++)
		if (items[k].c.valid != NULL)
			return true;
	return false;
}

void
tn_exec_in(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out)
{
	uint32_t count = e->arg_count - 1;
	struct tn_vec *v = tn_arena_alloc(ev->a, e->arg_count * sizeof *v);
	struct tn_call c = { .ev = ev, .type = tn_record_type(TN_T_BOOL),
	    .constant = true };
	uint8_t *hit;

	for (uint32_t k = 0; k <= count; k++) {
		tn_exec_node(ev, e->args[k], &v[k]);
		c.constant &= v[k].constant;
	}
	c.n = c.constant ? 1 : ev->rows;
	c.valid = tn_exec_valid(ev, v, 1, c.n);
	hit = tn_arena_zalloc(ev->a, c.n);
	if (v[0].constant && !tn_column_valid(&v[0].c, 0)) {
		tn_exec_null(ev, c.type, out);
		return;
	}
	if (count > LINEAR_MAX && hashable(v + 1, count, v[0].c.type))
		match_set(ev, v, v + 1, count, c.n, hit);
	else
		match_each(ev, v, v + 1, count, c.n, hit);
	if (maybe_null(v + 1, count))
		for (uint32_t i = 0; i < c.n; i++)
			if (!hit[i] && any_null(v + 1, count, i))
				tn_exec_drop(&c, i);
	tn_exec_done(&c, out, hit);
}

/* Expressions over one dictionary column: what depends on nothing else is
 * evaluated once for each entry of the dictionary and then picked by code,
 * so that office = 'berlin' costs a compare an office and a byte a row.
 *
 * Only for parts that are null when the column is null (strict calls, casts,
 * IN over constants), for dictionaries of at most half as many entries as
 * rows, and when no entry raises an error: an entry may belong to rows that
 * are not active, or to none. Otherwise the caller goes the plain way. */
#include "exec/expr_int.h"

#include <string.h>

/* Does ${e} hang on constants and one dictionary column alone? */
static bool
fits(const struct tn_sql_expr *e, const struct tn_batch *b, int64_t *column)
{
	switch (e->node) {
	case TN_SQL_CONST:
		return tn_column_valid(e->value, 0);
	case TN_SQL_COLUMN:
		if (b->columns[e->column].dict == NULL ||
		    (*column >= 0 && *column != e->column))
			return false;
		*column = e->column;
		return true;
	case TN_SQL_CALL:
		if (!tn_exec_strict(e->fn))
			return false;
		break;
	case TN_SQL_CAST:
	case TN_SQL_IN:
		break;
	default:
		return false;
	}
	for (uint32_t i = 0; i < e->arg_count; i++) {
		if (e->node == TN_SQL_IN && i > 0 &&
		    e->args[i]->node != TN_SQL_CONST)
			return false;
		if (!fits(e->args[i], b, column))
			return false;
	}
	return true;
}

/* What the entries gave, and the codes that pick. */
struct pick {
	const struct tn_vec *entries;
	const uint32_t *codes;
};

static void
row_text(struct tn_call *c, uint32_t row)
{
	const struct pick *p = c->scratch;
	struct tn_slice s = tn_vec_text(p->entries, p->codes[row]);

	tn_exec_put(c, s.p, s.n);
}

static void
row_byte(struct tn_call *c, uint32_t row)
{
	const struct pick *p = c->scratch;

	((uint8_t *)c->values)[row] =
	    ((const uint8_t *)p->entries->c.values)[p->codes[row]];
}

static void
row_fixed(struct tn_call *c, uint32_t row)
{
	const struct pick *p = c->scratch;
	size_t width = tn_record_type_width(c->type);

	memcpy((uint8_t *)c->values + row * width,
	    (const uint8_t *)p->entries->c.values + p->codes[row] * width,
	    width);
}

static void
spread(struct tn_eval *ev, const struct tn_column *in,
    const struct tn_vec *entries, struct tn_vec *out)
{
	struct pick p = { entries, in->values };
	struct tn_vec arg = { .c = *in };
	struct tn_call c = { .ev = ev, .type = entries->c.type,
	    .n = ev->rows, .scratch = &p };
	size_t width = tn_record_type_width(c.type);

	c.valid = tn_exec_valid(ev, &arg, 1, c.n);
	for (uint32_t i = 0; entries->c.valid != NULL && i < c.n; i++)
		if (tn_bits_get(c.valid, i) &&
		    !tn_column_valid(&entries->c, p.codes[i]))
			tn_exec_drop(&c, i);
	tn_exec_each(&c, out, width == 0 ? row_text : width == 1 ? row_byte :
	    row_fixed);
}

bool
tn_exec_over_dict(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out)
{
	const struct tn_batch *b = ev->env->batch;
	struct tn_exec_env env = { .arena = ev->a,
	    .now_us = ev->env->now_us };
	struct tn_eval sub = { .env = &env, .a = ev->a, .depth = ev->depth };
	const struct tn_column *in;
	struct tn_batch entries = *b;
	struct tn_vec v;
	int64_t column = -1;

	if (!fits(e, b, &column) || column < 0)
		return false;
	in = &b->columns[column];
	if (in->dict->rows == 0 || in->dict->rows > ev->rows / 2)
		return false;
	entries.rows = sub.rows = in->dict->rows;
	entries.columns = tn_arena_alloc(ev->a,
	    b->schema->count * sizeof *entries.columns);
	memcpy(entries.columns, b->columns,
	    b->schema->count * sizeof *entries.columns);
	entries.columns[column] = *in->dict;
	entries.columns[column].type = in->type;
	env.batch = &entries;
	tn_exec_node(&sub, e, &v);
	if (env.errors > 0 || v.constant)
		return false;
	spread(ev, in, &v, out);
	return true;
}

/* Bounds that WHERE puts on source columns, for leaving out files: the parts
 * of its AND that compare a column with something constant. The bounds are
 * wide: > is taken as >=, what is not understood bounds nothing, so rows may
 * be read that WHERE drops, never the other way round. A lower bound on a
 * float would leave out files whose statistics do not tell of NaN, which is
 * above all numbers; there is none. */
#include "exec/fold_int.h"

struct finder {
	const struct tn_sql_select *s;
	struct tn_exec_bound *out;
	uint32_t max;
	uint32_t count;
	struct tn_arena *a;
	int64_t now_us;
	bool now_known;
};

static bool
constant(const struct finder *f, const struct tn_sql_expr *e)
{
	if (e->node == TN_SQL_COLUMN)
		return false;
	if (e->node == TN_SQL_CALL && e->fn == TN_FN_NOW && !f->now_known)
		return false;
	for (uint32_t i = 0; i < e->arg_count; i++)
		if (!constant(f, e->args[i]))
			return false;
	return true;
}

/* The value of a constant expression; NULL when it is null or fails. */
static const struct tn_column *
value_of(const struct finder *f, const struct tn_sql_expr *e)
{
	static const struct tn_schema none = { .name = "none" };
	const struct tn_batch one = { .schema = &none, .rows = 1 };
	struct tn_exec_env env = { .batch = &one, .arena = f->a,
	    .now_us = f->now_us };
	const struct tn_column *c;

	if (!constant(f, e) || e->type.id == TN_T_NONE)
		return NULL;
	c = tn_exec_eval(e, &env);
	return env.errors == 0 && tn_column_valid(c, 0) ? c : NULL;
}

static bool
source_column(const struct finder *f, const struct tn_sql_expr *e)
{
	return e->node == TN_SQL_COLUMN && e->column < f->s->source_columns;
}

static void
add(struct finder *f, uint32_t column, const struct tn_column *min,
    const struct tn_column *max, bool inclusive)
{
	if (f->count == f->max || (min == NULL && max == NULL))
		return;
	f->out[f->count++] = (struct tn_exec_bound){ .group = column,
	    .min = min, .max = max, .max_inclusive = inclusive };
}

/* column op constant, either way round. */
static void
comparison(struct finder *f, const struct tn_sql_expr *e)
{
	bool swap = !source_column(f, e->args[0]);
	const struct tn_sql_expr *column = e->args[swap ? 1 : 0];
	const struct tn_column *v;
	enum tn_sql_fn fn = e->fn;

	if (!source_column(f, column))
		return;
	v = value_of(f, e->args[swap ? 0 : 1]);
	if (v == NULL)
		return;
	if (fn == TN_FN_EQ)
		add(f, column->column, v, v, true);
	else if ((fn == TN_FN_LT || fn == TN_FN_LE) != swap)
		add(f, column->column, NULL, v,
		    fn == TN_FN_LE || fn == TN_FN_GE);
	else if (tn_exec_form(v->type.id) != TN_FORM_FLOAT)
		add(f, column->column, v, NULL, false);
}

/* column IN (constants): from the least to the greatest. */
static void
membership(struct finder *f, const struct tn_sql_expr *e)
{
	const struct tn_column *min = NULL;
	const struct tn_column *max = NULL;

	if (!source_column(f, e->args[0]))
		return;
	for (uint32_t i = 1; i < e->arg_count; i++) {
		const struct tn_column *v;

		if (!constant(f, e->args[i]))
			return;
		v = value_of(f, e->args[i]);
		if (v == NULL)
			continue;
		if (min == NULL || tn_record_compare(v, 0, min, 0) < 0)
			min = v;
		if (max == NULL || tn_record_compare(v, 0, max, 0) > 0)
			max = v;
	}
	add(f, e->args[0]->column, min, max, true);
}

static void
walk(struct finder *f, const struct tn_sql_expr *e)
{
	if (e->node == TN_SQL_AND) {
		for (uint32_t i = 0; i < e->arg_count; i++)
			walk(f, e->args[i]);
		return;
	}
	if (e->node == TN_SQL_IN) {
		membership(f, e);
		return;
	}
	if (e->node == TN_SQL_CALL && (e->fn == TN_FN_EQ ||
	    e->fn == TN_FN_LT || e->fn == TN_FN_LE || e->fn == TN_FN_GT ||
	    e->fn == TN_FN_GE))
		comparison(f, e);
}

uint32_t
tn_exec_query_bounds_at(const struct tn_sql_select *s, int64_t now_us,
    struct tn_exec_bound *out, uint32_t max, struct tn_arena *a)
{
	struct finder f = { .s = s, .out = out, .max = max, .a = a,
	    .now_us = now_us, .now_known = now_us != INT64_MIN };

	if (s->where != NULL)
		walk(&f, s->where);
	return f.count;
}

uint32_t
tn_exec_query_bounds(const struct tn_sql_select *s, struct tn_exec_bound *out,
    uint32_t max, struct tn_arena *a)
{
	return tn_exec_query_bounds_at(s, INT64_MIN, out, max, a);
}

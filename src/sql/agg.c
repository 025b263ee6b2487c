/* Aggregates. Each call becomes an entry of the select's list (equal calls
 * share one) and a stand-in node that select.c turns into a column of the
 * second space. */
#include "sql/sql_int.h"

#include <string.h>

enum rule {
	R_ANY, R_SUM, R_AVG, R_MINMAX, R_BOOL, R_DOUBLE, R_VALUE_BY,
	R_DISTINCT, R_PERCENTILE,
};

static const struct aggregate {
	const char *name;
	enum tn_sql_agg_kind kind;
	enum rule rule;
	const char *form;      /* In the help, once a kind. */
	const char *doc;
} aggregates[] = {
	{ "count", TN_AGG_COUNT, R_ANY, "count(*), count(x)",
	    "rows, or values that are not null; bigint" },
	{ "count", TN_AGG_COUNT_DISTINCT, R_DISTINCT, "count(DISTINCT x)",
	    "different values, exact" },
	{ "sum", TN_AGG_SUM, R_SUM, "sum(x)",
	    "int: bigint; bigint: numeric; numeric, real and double: the "
	    "same" },
	{ "avg", TN_AGG_AVG, R_AVG, "avg(x)",
	    "ints and numeric: numeric with 16 digits; floats: double" },
	{ "min", TN_AGG_MIN, R_MINMAX, "min(x), max(x)",
	    "smallest, largest" },
	{ "max", TN_AGG_MAX, R_MINMAX, NULL, NULL },
	{ "bool_and", TN_AGG_BOOL_AND, R_BOOL,
	    "bool_and(c), bool_or(c)", "all, any; also every(c)" },
	{ "every", TN_AGG_BOOL_AND, R_BOOL, NULL, NULL },
	{ "bool_or", TN_AGG_BOOL_OR, R_BOOL, NULL, NULL },
	{ "stddev", TN_AGG_STDDEV_SAMP, R_DOUBLE,
	    "stddev(x), stddev_pop(x)", "also stddev_samp; double" },
	{ "stddev_samp", TN_AGG_STDDEV_SAMP, R_DOUBLE, NULL, NULL },
	{ "stddev_pop", TN_AGG_STDDEV_POP, R_DOUBLE, NULL, NULL },
	{ "variance", TN_AGG_VAR_SAMP, R_DOUBLE,
	    "variance(x), var_pop(x)", "also var_samp; double" },
	{ "var_samp", TN_AGG_VAR_SAMP, R_DOUBLE, NULL, NULL },
	{ "var_pop", TN_AGG_VAR_POP, R_DOUBLE, NULL, NULL },
	{ "first", TN_AGG_FIRST, R_VALUE_BY,
	    "first(value, time), last(value, time)",
	    "value of the earliest, latest time; ties by order of "
	    "arrival" },
	{ "last", TN_AGG_LAST, R_VALUE_BY, NULL, NULL },
	{ "arg_min", TN_AGG_ARG_MIN, R_VALUE_BY,
	    "arg_min(value, by), arg_max(value, by)",
	    "value where by is smallest, largest; on a tie the smaller "
	    "value" },
	{ "arg_max", TN_AGG_ARG_MAX, R_VALUE_BY, NULL, NULL },
	{ "approx_count_distinct", TN_AGG_APPROX_COUNT_DISTINCT, R_DISTINCT,
	    "approx_count_distinct(x)",
	    "different values by HyperLogLog, about 1.6 % off" },
	{ "percentile_cont", TN_AGG_PERCENTILE_CONT, R_PERCENTILE,
	    "percentile_cont(p) WITHIN GROUP (ORDER BY x)",
	    "p from 0 to 1, a constant; exact, double" },
};

bool
tn_sql_agg_is(struct tn_slice name)
{
	for (size_t i = 0; i < TN_COUNT(aggregates); i++)
		if (tn_slice_is(name, aggregates[i].name))
			return true;
	return false;
}

void
tn_sql_agg_near(struct tn_sql_near *n)
{
	for (size_t i = 0; i < TN_COUNT(aggregates); i++)
		tn_sql_near_try(n, aggregates[i].name);
}

void
tn_sql_aggs_help(struct tn_buf *out, tn_sql_row *row)
{
	for (size_t i = 0; i < TN_COUNT(aggregates); i++)
		if (aggregates[i].form != NULL)
			row(out, aggregates[i].form, aggregates[i].doc);
}

static struct tn_sql_expr *
wrong_type(struct tn_sql_bind *b, const char *name,
    const struct tn_sql_expr *e, uint32_t at)
{
	const char *hint = NULL;

	if (e->type.id == TN_T_BOOL)
		hint = "Use bool_and, bool_or, or count(*) FILTER (WHERE "
		    "condition).";
	if (e->type.id == TN_T_INTERVAL)
		hint = "Take seconds: extract(epoch from x).";
	if (e->type.id == TN_T_JSONB)
		hint = "Take a field and cast it: (doc->>'a')::numeric.";
	if (e->type.id == TN_T_TEXT)
		hint = "Cast it: x::numeric.";
	return tn_sql_fail(b, at, "type_mismatch", hint,
	    "function %s(%s) does not exist", name,
	    tn_sql_type_text(b, e->type));
}

static bool
is_kept(struct tn_type t)
{
	return t.id != TN_T_INTERVAL && t.id != TN_T_JSONB;
}

static bool
same_expr(const struct tn_sql_expr *a, const struct tn_sql_expr *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return tn_sql_expr_eq(a, b);
}

static struct tn_sql_expr *
note(struct tn_sql_bind *b, const struct tn_sql_agg *g, uint32_t at)
{
	struct tn_sql_expr *e = tn_sql_new(b, TN_SQL_NODE_AGG, g->type, at);
	uint32_t i;

	for (i = 0; i < b->agg_count; i++) {
		const struct tn_sql_agg *h = &b->aggs[i];
		double off = g->fraction - h->fraction;

		if (h->kind == g->kind && !(off > 0) && !(off < 0) &&
		    same_expr(h->args[0], g->args[0]) &&
		    same_expr(h->args[1], g->args[1]) &&
		    same_expr(h->filter, g->filter))
			break;
	}
	if (i == TN_SQL_OUTPUTS_MAX)
		return tn_sql_fail(b, at, "too_many", NULL,
		    "at most %d aggregates in one SELECT",
		    TN_SQL_OUTPUTS_MAX);
	if (i == b->agg_count)
		b->aggs[b->agg_count++] = *g;
	e->column = i;
	return e;
}

/* An argument, over the input, never open. */
static const struct tn_sql_expr *
argument(struct tn_sql_bind *b, const struct tn_json *node)
{
	const struct tn_sql_expr *e = tn_sql_expr_bind(b, node);

	return e == NULL ? NULL : tn_sql_settle(b, e);
}

static struct tn_type
sum_type(struct tn_type t)
{
	if (t.id == TN_T_INT2 || t.id == TN_T_INT4)
		return tn_record_type(TN_T_INT8);
	if (t.id == TN_T_INT8)
		return tn_sql_numeric(0, true);
	if (t.id == TN_T_NUMERIC)
		return tn_sql_numeric(t.scale, t.declared);
	return t;
}

/* Types of one argument and of the result, by the aggregate's rule. */
static bool
apply_rule(struct tn_sql_bind *b, const struct aggregate *def,
    struct tn_sql_agg *g, uint32_t at)
{
	const struct tn_sql_expr *e = g->args[0];
	bool number = tn_sql_is_number(e->type);
	bool fits = true;

	switch (def->rule) {
	case R_ANY:
		break;
	case R_SUM:
		fits = number;
		g->type = sum_type(e->type);
		break;
	case R_AVG:
		fits = number;
		g->type = tn_sql_is_float(e->type) ?
		    tn_record_type(TN_T_FLOAT8) :
		    tn_sql_numeric(TN_SQL_DIV_SCALE, false);
		break;
	case R_MINMAX:
		fits = is_kept(e->type) && e->type.id != TN_T_BOOL;
		g->type = e->type;
		g->type.length_max = 0;
		break;
	case R_BOOL:
		fits = e->type.id == TN_T_BOOL;
		g->type = e->type;
		break;
	case R_DISTINCT:
		fits = is_kept(e->type);
		break;
	case R_VALUE_BY:
		fits = is_kept(e->type);
		g->type = e->type;
		break;
	case R_DOUBLE:
	case R_PERCENTILE:
		fits = number;
		g->type = tn_record_type(TN_T_FLOAT8);
		if (fits)
			g->args[0] = tn_sql_coerce(b, e, g->type,
			    TN_SQL_IMPLICIT);
		break;
	}
	if (!fits)
		(void)wrong_type(b, def->name, e, at);
	return fits && g->args[0] != NULL;
}

static bool
bind_percentile(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_agg *g, uint32_t at)
{
	const struct tn_json *args, *order, *by;
	const struct tn_sql_expr *p;
	uint32_t n = tn_sql_list(body, "args", &args);
	uint32_t orders = tn_sql_list(body, "agg_order", &order);

	if (!tn_sql_bool(body, "agg_within_group") || n != 1 ||
	    orders != 1) {
		(void)tn_sql_fail(b, at, "type_mismatch",
		    "Write percentile_cont(0.95) WITHIN GROUP (ORDER BY x).",
		    "WITHIN GROUP is required for percentile_cont");
		return false;
	}
	p = argument(b, &args[0]);
	if (p != NULL && tn_sql_is_number(p->type))
		p = tn_sql_coerce(b, p, tn_record_type(TN_T_FLOAT8),
		    TN_SQL_IMPLICIT);
	if (p == NULL)
		return false;
	if (!tn_sql_const_get_f64(p, &g->fraction) ||
	    !(g->fraction >= 0 && g->fraction <= 1)) {
		(void)tn_sql_fail(b, p->at, "out_of_range",
		    "Write a constant, as in percentile_cont(0.95).",
		    "the percentile must be a number between 0 and 1");
		return false;
	}
	by = tn_sql_body(&order[0], "SortBy");
	if (tn_sql_str_is(by, "sortby_dir", "SORTBY_DESC"))
		g->fraction = 1 - g->fraction;
	g->args[0] = argument(b, tn_codec_json_get(by, "node"));
	return g->args[0] != NULL;
}

static bool
bind_args(struct tn_sql_bind *b, const struct aggregate *def,
    const struct tn_json *body, struct tn_sql_agg *g, uint32_t at)
{
	const struct tn_json *args, *order;
	uint32_t n = tn_sql_list(body, "args", &args);
	uint32_t want = def->rule == R_VALUE_BY ? 2 : 1;

	if (def->rule == R_PERCENTILE)
		return bind_percentile(b, body, g, at);
	if (tn_sql_list(body, "agg_order", &order) > 0) {
		(void)tn_sql_fail(b, at, "unsupported",
		    "Use first(value, time) or last(value, time).",
		    "ORDER BY inside an aggregate is not supported");
		return false;
	}
	if (n != want) {
		(void)tn_sql_fail(b, at, "type_mismatch",
		    def->rule == R_VALUE_BY ? tn_arena_printf(b->a,
		    "Write %s(value, time).", def->name) : "count(*) counts "
		    "rows; the others take one argument.",
		    "%s takes %u argument%s, not %u", def->name, want,
		    want == 1 ? "" : "s", n);
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		g->args[i] = argument(b, &args[i]);
		if (g->args[i] == NULL)
			return false;
	}
	if (n == 2 && (!is_kept(g->args[1]->type) ||
	    g->args[1]->type.id == TN_T_BOOL)) {
		(void)wrong_type(b, def->name, g->args[1], g->args[1]->at);
		return false;
	}
	return true;
}

static const struct aggregate *
pick(struct tn_sql_bind *b, struct tn_slice name,
    const struct tn_json *body, uint32_t at)
{
	bool distinct = tn_sql_bool(body, "agg_distinct");
	const struct aggregate *def = NULL;

	for (size_t i = 0; def == NULL && i < TN_COUNT(aggregates); i++)
		if (tn_slice_is(name, aggregates[i].name))
			def = &aggregates[i];
	tn_assert(def != NULL);
	/* DISTINCT changes neither the smallest nor the largest. */
	if (!distinct || def->rule == R_MINMAX || def->rule == R_BOOL)
		return def;
	if (def->kind == TN_AGG_COUNT)
		return def + 1;
	return tn_sql_fail(b, at, "unsupported",
	    "DISTINCT works with count.",
	    "%s(DISTINCT ...) is not supported", def->name);
}

/* The call's arguments and filter; inside, no other aggregate may stand. */
static struct tn_sql_expr *
bind_call(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_slice name, uint32_t at)
{
	const struct aggregate *def = pick(b, name, body, at);
	const struct tn_json *filter = tn_codec_json_get(body, "agg_filter");
	struct tn_sql_agg g = { .type = tn_record_type(TN_T_INT8) };

	if (def == NULL)
		return NULL;
	g.kind = def->kind;
	if (tn_sql_bool(body, "agg_star")) {
		if (def->kind != TN_AGG_COUNT)
			return tn_sql_fail(b, at, "type_mismatch",
			    "Only count takes *.", "%s(*) does not exist",
			    def->name);
		g.kind = TN_AGG_COUNT_STAR;
	} else if (!bind_args(b, def, body, &g, at) ||
	    !apply_rule(b, def, &g, at)) {
		return NULL;
	}
	if (filter != NULL) {
		g.filter = tn_sql_expr_bool(b, filter, "FILTER");
		if (g.filter == NULL)
			return NULL;
	}
	return note(b, &g, at);
}

struct tn_sql_expr *
tn_sql_agg(struct tn_sql_bind *b, const struct tn_json *call,
    struct tn_slice name, uint32_t at, bool *found)
{
	struct tn_sql_expr *e;

	*found = tn_sql_agg_is(name);
	if (!*found)
		return NULL;
	if (b->inside_agg)
		return tn_sql_fail(b, at, "misplaced_aggregate", NULL,
		    "aggregate function calls cannot be nested");
	if (b->no_agg != NULL)
		return tn_sql_fail(b, at, "misplaced_aggregate",
		    strcmp(b->no_agg, "WHERE") == 0 ?
		    "Put the condition into HAVING." : NULL,
		    "aggregate functions are not allowed in %s", b->no_agg);
	b->inside_agg = true;
	e = bind_call(b, tn_sql_body(call, "FuncCall"), name, at);
	b->inside_agg = false;
	return e;
}

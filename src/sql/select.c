/* One SELECT. Everything is bound over the input first; aggregates leave
 * stand-ins. When there are groups or aggregates, outputs, HAVING and ORDER
 * BY are then lowered to the second space: what equals a group becomes that
 * group's column, a stand-in becomes the aggregate's column, and a column
 * that is left over is PostgreSQL's well-known mistake. */
#include "sql/sql_int.h"

#include <string.h>

/* A select in the making. */
struct making {
	struct tn_sql_bind *b;
	struct tn_sql_select *s;
	struct tn_sql_output *outputs;
	uint32_t output_max;
	const struct tn_sql_expr **groups;
	const struct tn_sql_expr *having;
	struct tn_sql_order *order;
};

/* ---- equality -------------------------------------------------------- */

static bool
same_value(const struct tn_column *a, const struct tn_column *b)
{
	bool va = tn_column_valid(a, 0), vb = tn_column_valid(b, 0);

	if (va != vb || !va)
		return va == vb;
	if (a->offsets != NULL)
		return tn_slice_eq(tn_column_text(a, 0),
		    tn_column_text(b, 0));
	return memcmp(a->values, b->values,
	    tn_record_type_width(a->type)) == 0;
}

bool
tn_sql_expr_eq(const struct tn_sql_expr *a, const struct tn_sql_expr *b)
{
	bool same_type = a->type.id == b->type.id &&
	    a->type.scale == b->type.scale &&
	    a->type.precision == b->type.precision &&
	    a->type.length_max == b->type.length_max;

	if (a == b)
		return true;
	if (a->node != b->node || !same_type || a->fn != b->fn ||
	    a->column != b->column || a->arg_count != b->arg_count)
		return false;
	if (a->node == TN_SQL_CONST && !same_value(a->value, b->value))
		return false;
	for (uint32_t i = 0; i < a->arg_count; i++)
		if (!tn_sql_expr_eq(a->args[i], b->args[i]))
			return false;
	return true;
}

/* ---- what a SELECT may not have -------------------------------------- */

static bool
check_clauses(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	static const struct {
		const char *key;
		const char *what;
		const char *hint;
	} lists[] = {
		{ "windowClause", "WINDOW", "Use GROUP BY with first, last "
		    "or arg_max." },
		{ "valuesLists", "VALUES", "Rows come from streams; send "
		    "them to the stream." },
		{ "lockingClause", "FOR UPDATE", "Leave it out; nothing is "
		    "locked." },
	};
	const struct tn_json *items;
	const char *what = NULL, *hint = NULL;

	for (size_t i = 0; i < TN_COUNT(lists); i++) {
		if (tn_sql_list(body, lists[i].key, &items) > 0) {
			what = lists[i].what;
			hint = lists[i].hint;
			at = tn_sql_first_at(&items[0], at);
		}
	}
	if (tn_codec_json_get(body, "withClause") != NULL) {
		what = "WITH";
		hint = "Make a view of the inner SELECT, and query that.";
	}
	if (tn_codec_json_get(body, "intoClause") != NULL) {
		at = tn_sql_first_at(tn_codec_json_get(body, "intoClause"),
		    at);
		what = "SELECT INTO";
		hint = "Use CREATE MATERIALIZED VIEW in the pipeline.";
	}
	if (tn_codec_json_get(body, "larg") != NULL) {
		at = tn_sql_first_at(tn_codec_json_get(body, "rarg"), at);
		what = "UNION, INTERSECT or EXCEPT";
		hint = "Ask two queries, or use OR and FILTER.";
	}
	if (tn_sql_str_is(body, "limitOption", "LIMIT_OPTION_WITH_TIES")) {
		what = "WITH TIES";
		hint = "Use LIMIT.";
	}
	if (what == NULL)
		return true;
	(void)tn_sql_fail(b, at, "unsupported", hint, "%s is not supported",
	    what);
	return false;
}

/* ---- outputs --------------------------------------------------------- */

static bool
add_output(struct making *m, const char *name, const struct tn_sql_expr *e,
    uint32_t at)
{
	struct tn_sql_output *o;

	if (e == NULL)
		return false;
	if (m->s->output_count == m->output_max) {
		(void)tn_sql_fail(m->b, at, "too_many", NULL,
		    "more than %u outputs", m->output_max);
		return false;
	}
	o = &m->outputs[m->s->output_count++];
	o->name = name;
	o->expr = tn_sql_settle(m->b, e);
	return o->expr != NULL;
}

/* Columns of one relation; those that USING merged come from the left. */
static bool
expand(struct making *m, const struct tn_sql_rel *r, bool skip_merged,
    uint32_t at)
{
	for (uint32_t i = 0; i < r->visible; i++) {
		uint32_t c = r->first + i;

		if (skip_merged && r->merged[i])
			continue;
		if (!add_output(m, m->b->fields[c].name,
		    tn_sql_column(m->b, c, at), at))
			return false;
	}
	return true;
}

static bool
expand_star(struct making *m, const struct tn_json *ref, uint32_t at)
{
	struct tn_sql_bind *b = m->b;
	const struct tn_json *parts;
	uint32_t n = tn_sql_list(ref, "fields", &parts);
	struct tn_slice name = n == 2 ? tn_sql_string(&parts[0]) :
	    tn_slice_of("");
	bool found = false;

	for (uint32_t i = 0; i < b->rel_count; i++) {
		bool mine = n == 2 && tn_slice_is(name, b->rels[i].alias);

		if (n == 1 || mine) {
			found = true;
			if (!expand(m, &b->rels[i], n == 1, at))
				return false;
		}
	}
	if (!found)
		(void)tn_sql_fail(b, at, "unknown_table",
		    "A table with an alias is called by the alias.",
		    "missing FROM-clause entry for table \"%.*s\"",
		    (int)name.n, (const char *)name.p);
	return found;
}

static bool
is_star(const struct tn_json *ref)
{
	const struct tn_json *parts;
	uint32_t n = tn_sql_list(ref, "fields", &parts);

	return n > 0 && tn_sql_body(&parts[n - 1], "A_Star") != NULL;
}

static bool
bind_outputs(struct making *m, const struct tn_json *body)
{
	struct tn_sql_bind *b = m->b;
	const struct tn_json *items, *target, *val;
	uint32_t n = tn_sql_list(body, "targetList", &items);

	if (n == 0) {
		(void)tn_sql_fail(b, b->here, "unsupported",
		    "Name at least one output.",
		    "SELECT without outputs is not supported");
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = tn_sql_at(&items[i], b->here);
		struct tn_slice alias;
		const char *name;

		target = tn_sql_body(&items[i], "ResTarget");
		val = tn_codec_json_get(target, "val");
		if (is_star(tn_sql_body(val, "ColumnRef"))) {
			if (!expand_star(m, tn_sql_body(val, "ColumnRef"),
			    at))
				return false;
			continue;
		}
		alias = tn_sql_str(target, "name");
		name = alias.n > 0 ? tn_arena_strndup(b->a,
		    (const char *)alias.p, alias.n) :
		    tn_sql_figure_name(b, val);
		if (!add_output(m, name, tn_sql_expr_bind(b, val), at))
			return false;
	}
	return true;
}

/* ---- names and positions --------------------------------------------- */

/* Output with that name; -1 none, -2 several that differ. */
static int
output_named(const struct making *m, struct tn_slice name)
{
	int found = -1;

	for (uint32_t i = 0; i < m->s->output_count; i++) {
		if (!tn_slice_is(name, m->outputs[i].name))
			continue;
		if (found >= 0 && !tn_sql_expr_eq(m->outputs[found].expr,
		    m->outputs[i].expr))
			return -2;
		if (found < 0)
			found = (int)i;
	}
	return found;
}

/* A plain name without a table, else empty. */
static struct tn_slice
plain_name(const struct tn_json *node)
{
	const struct tn_json *parts;
	const struct tn_json *ref = tn_sql_body(node, "ColumnRef");

	if (tn_sql_list(ref, "fields", &parts) != 1)
		return tn_slice_of("");
	return tn_sql_string(&parts[0]);
}

/* Output by position (a bare constant). 1 yes, 0 not a constant, -1
 * mistake. */
static int
by_position(struct making *m, const struct tn_json *node, const char *what,
    uint32_t *output)
{
	const struct tn_json *c = tn_sql_body(node, "A_Const");
	const struct tn_json *v = tn_codec_json_get(c, "ival");
	uint32_t at = tn_sql_at(node, m->b->here);
	int64_t n = tn_sql_ival(m->b->text, v, at);

	if (c == NULL)
		return 0;
	if (v == NULL) {
		(void)tn_sql_fail(m->b, at, "bad_position", NULL,
		    "non-integer constant in %s", what);
		return -1;
	}
	if (n < 1 || n > m->s->output_count) {
		(void)tn_sql_fail(m->b, at, "bad_position", NULL,
		    "%s position %lld is not in select list", what,
		    (long long)n);
		return -1;
	}
	*output = (uint32_t)n - 1;
	return 1;
}

static bool
is_input_name(const struct tn_sql_bind *b, struct tn_slice name)
{
	for (uint32_t i = 0; i < b->field_count; i++)
		if (tn_slice_is(name, b->fields[i].name))
			return true;
	return false;
}

/* ---- group by -------------------------------------------------------- */

static bool
has_agg(const struct tn_sql_expr *e)
{
	if (e->node == TN_SQL_NODE_AGG)
		return true;
	for (uint32_t i = 0; i < e->arg_count; i++)
		if (has_agg(e->args[i]))
			return true;
	return false;
}

/* In GROUP BY a column of the input goes before an output's name. */
static const struct tn_sql_expr *
group_expr(struct making *m, const struct tn_json *node)
{
	struct tn_sql_bind *b = m->b;
	struct tn_slice name = plain_name(node);
	uint32_t at = tn_sql_at(node, b->here);
	uint32_t position = 0;
	int got = by_position(m, node, "GROUP BY", &position);

	if (got < 0)
		return NULL;
	if (got == 0 && name.n > 0 && !is_input_name(b, name)) {
		got = output_named(m, name);
		if (got == -2)
			return tn_sql_fail(b, at, "ambiguous_column", NULL,
			    "GROUP BY \"%.*s\" is ambiguous", (int)name.n,
			    (const char *)name.p);
		position = (uint32_t)got;
		got = got >= 0;
	}
	if (got == 0) {
		const struct tn_sql_expr *e = tn_sql_expr_bind(b, node);

		return e == NULL ? NULL : tn_sql_settle(b, e);
	}
	if (has_agg(m->outputs[position].expr))
		return tn_sql_fail(b, at, "misplaced_aggregate", NULL,
		    "aggregate functions are not allowed in GROUP BY");
	return m->outputs[position].expr;
}

static bool
check_kept(struct tn_sql_bind *b, struct tn_type t, const char *what,
    uint32_t at)
{
	bool json = t.id == TN_T_JSONB;

	if (!json && t.id != TN_T_INTERVAL)
		return true;
	(void)tn_sql_fail(b, at, "unsupported", json ?
	    "Take a field as text: doc->>'state'." :
	    "Take seconds: extract(epoch from x).",
	    "%s of type %s is not supported", what, json ? "jsonb" :
	    "interval");
	return false;
}

static bool
bind_groups(struct making *m, const struct tn_json *body)
{
	struct tn_sql_bind *b = m->b;
	struct tn_sql_select *s = m->s;
	const struct tn_json *items;
	uint32_t n = tn_sql_list(body, "groupClause", &items), k;

	if (n > TN_SQL_OUTPUTS_MAX || tn_sql_bool(body, "groupDistinct")) {
		(void)tn_sql_fail(b, tn_sql_at(&items[0], b->here),
		    "unsupported", "Group by plain columns and "
		    "expressions.", "GROUP BY has DISTINCT, or more than %d "
		    "parts", TN_SQL_OUTPUTS_MAX);
		return false;
	}
	m->groups = tn_arena_zalloc(b->a, (n + 1) * sizeof *m->groups);
	b->no_agg = "GROUP BY";
	for (uint32_t i = 0; i < n; i++) {
		const struct tn_sql_expr *e = group_expr(m, &items[i]);

		if (e == NULL || !check_kept(b, e->type, "GROUP BY",
		    tn_sql_at(&items[i], b->here)))
			return false;
		for (k = 0; k < s->group_count; k++)
			if (tn_sql_expr_eq(m->groups[k], e))
				break;
		if (k == s->group_count)
			m->groups[s->group_count++] = e;
	}
	b->no_agg = NULL;
	s->groups = m->groups;
	s->aggregated = n > 0;
	return true;
}

/* ---- order by, limit ------------------------------------------------- */

static bool
order_output(struct making *m, const struct tn_json *node, uint32_t *out)
{
	struct tn_sql_bind *b = m->b;
	struct tn_sql_select *s = m->s;
	struct tn_slice name = plain_name(node);
	const struct tn_sql_expr *e;
	uint32_t at = tn_sql_at(node, b->here), i;
	int got = by_position(m, node, "ORDER BY", out);

	if (got != 0)
		return got > 0;
	got = name.n > 0 ? output_named(m, name) : -1;
	if (got == -2) {
		(void)tn_sql_fail(b, at, "ambiguous_column", NULL,
		    "ORDER BY \"%.*s\" is ambiguous", (int)name.n,
		    (const char *)name.p);
		return false;
	}
	*out = (uint32_t)got;
	if (got >= 0)
		return true;
	e = tn_sql_expr_bind(b, node);
	e = e == NULL ? NULL : tn_sql_settle(b, e);
	if (e == NULL)
		return false;
	for (i = 0; i < s->output_count + s->output_hidden; i++)
		if (tn_sql_expr_eq(m->outputs[i].expr, e))
			break;
	*out = i;
	if (i < s->output_count + s->output_hidden)
		return true;
	if (s->distinct) {
		(void)tn_sql_fail(b, at, "bad_order", NULL,
		    "for SELECT DISTINCT, ORDER BY expressions must appear "
		    "in select list");
		return false;
	}
	m->outputs[i].name = "?order?";
	m->outputs[i].expr = e;
	s->output_hidden++;
	return true;
}

static bool
bind_order(struct making *m, const struct tn_json *body)
{
	struct tn_sql_bind *b = m->b;
	const struct tn_json *items, *by, *node;
	uint32_t n = tn_sql_list(body, "sortClause", &items);
	struct tn_sql_order *o;

	if (n > TN_SQL_OUTPUTS_MAX) {
		(void)tn_sql_fail(b, b->here, "too_many", NULL,
		    "ORDER BY has more than %d parts", TN_SQL_OUTPUTS_MAX);
		return false;
	}
	m->order = tn_arena_zalloc(b->a, (n + 1) * sizeof *m->order);
	for (uint32_t i = 0; i < n; i++) {
		by = tn_sql_body(&items[i], "SortBy");
		node = tn_codec_json_get(by, "node");
		o = &m->order[i];
		if (tn_sql_str_is(by, "sortby_dir", "SORTBY_USING")) {
			(void)tn_sql_fail(b, tn_sql_at(node, b->here),
			    "unsupported", "Use ASC or DESC.",
			    "ORDER BY ... USING is not supported");
			return false;
		}
		if (!order_output(m, node, &o->output))
			return false;
		if (m->outputs[o->output].expr->type.id == TN_T_JSONB)
			return check_kept(b, tn_record_type(TN_T_JSONB),
			    "ORDER BY", tn_sql_at(node, b->here));
		o->descending = tn_sql_str_is(by, "sortby_dir",
		    "SORTBY_DESC");
		o->nulls_first = tn_sql_str_is(by, "sortby_nulls",
		    "SORTBY_NULLS_FIRST") || (o->descending &&
		    !tn_sql_str_is(by, "sortby_nulls", "SORTBY_NULLS_LAST"));
	}
	m->s->order = m->order;
	m->s->order_count = n;
	return true;
}

static bool
bind_count(struct tn_sql_bind *b, const struct tn_json *body,
    const char *key, const char *what, int64_t *out)
{
	const struct tn_json *node = tn_codec_json_get(body, key);
	const struct tn_sql_expr *e;
	uint32_t at = tn_sql_at(node, b->here);

	if (node == NULL)
		return true;
	e = tn_sql_expr_bind(b, node);
	if (e == NULL)
		return false;
	if (e->node == TN_SQL_CONST)
		e = tn_sql_coerce(b, e, tn_record_type(TN_T_INT8),
		    TN_SQL_ASSIGN);
	if (e == NULL)
		return false;
	if (tn_sql_const_is_null(e))
		return true;
	if (!tn_sql_const_get_int(e, out)) {
		(void)tn_sql_fail(b, at, "bad_limit", "Write a number.",
		    "argument of %s must be a constant", what);
		return false;
	}
	if (*out < 0) {
		(void)tn_sql_fail(b, at, "bad_limit", NULL,
		    "%s must not be negative", what);
		return false;
	}
	return true;
}

static bool
bind_distinct(struct making *m, const struct tn_json *body)
{
	struct tn_sql_bind *b = m->b;
	const struct tn_json *items, *ignored;

	m->s->distinct = tn_sql_list(body, "distinctClause", &items) > 0;
	if (!m->s->distinct)
		return true;
	if (tn_sql_kind(&items[0], &ignored).n > 0) {
		(void)tn_sql_fail(b, tn_sql_at(&items[0], b->here),
		    "unsupported", "Use GROUP BY with first(value, time) or "
		    "arg_max(value, by).", "DISTINCT ON is not supported");
		return false;
	}
	for (uint32_t i = 0; i < m->s->output_count; i++)
		if (!check_kept(b, m->outputs[i].expr->type,
		    "SELECT DISTINCT", m->outputs[i].expr->at))
			return false;
	return true;
}

/* ---- the second space ------------------------------------------------ */

static struct tn_sql_expr *
second_column(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    uint32_t column)
{
	struct tn_sql_expr *c = tn_sql_new(b, TN_SQL_COLUMN, e->type, e->at);

	c->column = column;
	return c;
}

static struct tn_sql_expr *
ungrouped(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	const char *alias = "";

	for (uint32_t i = 0; i < b->rel_count; i++)
		if (e->column >= b->rels[i].first)
			alias = b->rels[i].alias;
	return tn_sql_fail(b, e->at, "ungrouped_column",
	    "Add it to GROUP BY, or wrap it: min(x), first(x, time).",
	    "column \"%s.%s\" must appear in the GROUP BY clause or be used "
	    "in an aggregate function", alias, b->fields[e->column].name);
}

static struct tn_sql_expr *
lower(struct making *m, const struct tn_sql_expr *e)
{
	struct tn_sql_bind *b = m->b;
	struct tn_sql_expr *out;
	const struct tn_sql_expr **args;

	for (uint32_t i = 0; i < m->s->group_count; i++)
		if (tn_sql_expr_eq(e, m->groups[i]))
			return second_column(b, e, i);
	if (e->node == TN_SQL_NODE_AGG)
		return second_column(b, e, m->s->group_count + e->column);
	if (e->node == TN_SQL_COLUMN)
		return ungrouped(b, e);
	if (e->arg_count == 0)
		return (struct tn_sql_expr *)e;
	out = tn_arena_alloc(b->a, sizeof *out);
	*out = *e;
	args = tn_arena_alloc(b->a, e->arg_count * sizeof *args);
	for (uint32_t i = 0; i < e->arg_count; i++) {
		args[i] = lower(m, e->args[i]);
		if (args[i] == NULL)
			return NULL;
	}
	out->args = args;
	return out;
}

static bool
lower_all(struct making *m)
{
	struct tn_sql_select *s = m->s;

	s->agg_count = m->b->agg_count;
	s->aggs = m->b->aggs;
	s->aggregated |= s->agg_count > 0 || m->having != NULL;
	if (!s->aggregated)
		return true;
	for (uint32_t i = 0; i < s->output_count + s->output_hidden; i++) {
		m->outputs[i].expr = lower(m, m->outputs[i].expr);
		if (m->outputs[i].expr == NULL)
			return false;
	}
	if (m->having != NULL)
		s->having = lower(m, m->having);
	return m->b->st == TN_OK;
}

/* Width of the bins of a group, or 0. */
static int64_t
bin_width(const struct tn_sql_expr *e)
{
	static const struct {
		const char *unit;
		int64_t us;
	} widths[] = {
		{ "microseconds", 1 }, { "milliseconds", 1000 },
		{ "second", 1000000 }, { "minute", 60000000 },
		{ "hour", INT64_C(3600000000) },
		{ "day", INT64_C(86400000000) },
		{ "week", INT64_C(604800000000) },
	};
	const struct tn_interval *iv;
	struct tn_slice unit;

	if (e->node != TN_SQL_CALL || e->arg_count == 0 ||
	    e->args[0]->node != TN_SQL_CONST ||
	    tn_sql_const_is_null(e->args[0]))
		return 0;
	if (e->fn == TN_FN_DATE_BIN) {
		iv = e->args[0]->value->values;
		return iv->months != 0 ? 0 :
		    iv->us + iv->days * INT64_C(86400000000);
	}
	if (e->fn != TN_FN_DATE_TRUNC ||
	    !tn_sql_const_get_text(e->args[0], &unit))
		return 0;
	for (size_t i = 0; i < TN_COUNT(widths); i++)
		if (tn_slice_is(unit, widths[i].unit))
			return widths[i].us;
	return 0;
}

static void
find_bucket(struct tn_sql_select *s)
{
	s->bucket_group = -1;
	for (uint32_t i = 0; i < s->group_count; i++) {
		struct tn_type t = s->groups[i]->type;

		if (t.id != TN_T_DATE && !tn_sql_is_ts(t))
			continue;
		s->bucket_group = (int)i;
		s->bucket_us = bin_width(s->groups[i]);
		return;
	}
}

static void
make_schema(struct making *m)
{
	struct tn_schema *schema = tn_arena_zalloc(m->b->a, sizeof *schema);
	struct tn_field *f = tn_arena_zalloc(m->b->a,
	    m->s->output_count * sizeof *f);

	for (uint32_t i = 0; i < m->s->output_count; i++) {
		tn_assert(!tn_sql_is_unknown(m->outputs[i].expr->type));
		f[i].name = m->outputs[i].name;
		f[i].type = m->outputs[i].expr->type;
	}
	schema->name = "result";
	schema->count = m->s->output_count;
	schema->fields = f;
	m->s->schema = schema;
	m->s->outputs = m->outputs;
}

static bool
bind_parts(struct making *m, const struct tn_json *body)
{
	struct tn_sql_bind *b = m->b;
	const struct tn_json *where = tn_codec_json_get(body, "whereClause");
	const struct tn_json *having = tn_codec_json_get(body,
	    "havingClause");

	if (where != NULL) {
		b->no_agg = "WHERE";
		m->s->where = tn_sql_expr_bool(b, where, "WHERE");
		if (m->s->where == NULL)
			return false;
	}
	b->no_agg = NULL;
	if (!bind_outputs(m, body) || !bind_groups(m, body))
		return false;
	if (having != NULL) {
		m->having = tn_sql_expr_bool(b, having, "HAVING");
		if (m->having == NULL)
			return false;
	}
	if (!bind_distinct(m, body) || !bind_order(m, body))
		return false;
	b->no_agg = "LIMIT";
	return bind_count(b, body, "limitCount", "LIMIT", &m->s->limit) &&
	    bind_count(b, body, "limitOffset", "OFFSET", &m->s->offset);
}

const struct tn_sql_select *
tn_sql_select_bind(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	struct making m = { .b = b, .output_max = TN_COLUMNS_MAX };
	uint32_t most;

	b->here = at;
	m.s = tn_arena_zalloc(b->a, sizeof *m.s);
	m.s->limit = -1;
	b->aggs = tn_arena_zalloc(b->a, TN_SQL_OUTPUTS_MAX *
	    sizeof *b->aggs);
	if (!check_clauses(b, body, at) || !tn_sql_from(b, body, m.s))
		return NULL;
	/* ORDER BY may add some that are not shown. */
	most = m.output_max + TN_SQL_OUTPUTS_MAX;
	m.outputs = tn_arena_zalloc(b->a, most * sizeof *m.outputs);
	if (!bind_parts(&m, body) || !lower_all(&m))
		return NULL;
	make_schema(&m);
	find_bucket(m.s);
	return m.s;
}

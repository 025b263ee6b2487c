/* Expressions of the tree to plan nodes: constants, columns, and the forms
 * that are not plain calls. Operators are in op.c, LIKE in like.c, calls in
 * func.c. A result may be open (a string literal without a type yet, or
 * NULL); whoever uses it brings it to a type. */
#include "sql/sql_int.h"

#include <string.h>

/* ---- constants and casts --------------------------------------------- */

static struct tn_sql_expr *
bind_const(struct tn_sql_bind *b, const struct tn_json *body, uint32_t at)
{
	static const struct tn_type open = { .id = TN_SQL_T_UNKNOWN };
	static const struct tn_type none = { .id = TN_T_NONE };
	const struct tn_json *v;

	if (tn_sql_bool(body, "isnull"))
		return tn_sql_const_null(b, none, at);
	v = tn_codec_json_get(body, "ival");
	if (v != NULL)
		return tn_sql_const_i32(b, (int32_t)tn_sql_ival(b->text, v,
		    at), at);
	v = tn_codec_json_get(body, "fval");
	if (v != NULL)
		return tn_sql_const_number(b, tn_sql_str(v, "fval"), at);
	v = tn_codec_json_get(body, "boolval");
	if (v != NULL)
		return tn_sql_const_bool(b, tn_sql_bool(v, "boolval"), at);
	v = tn_codec_json_get(body, "sval");
	if (v != NULL)
		return tn_sql_const_text(b, open, tn_sql_str(v, "sval"), at);
	return tn_sql_fail(b, at, "unsupported", "Use int or text.",
	    "bit strings are not supported");
}

/* interval '5' hour: the words become part of the text. */
static struct tn_sql_expr *
interval_fields(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    uint32_t fields)
{
	static const struct {
		uint32_t mask;
		const char *unit;
	} units[] = {
		{ 1u << 2, "years" }, { 1u << 1, "months" },
		{ 1u << 3, "days" }, { 1u << 10, "hours" },
		{ 1u << 11, "minutes" }, { 1u << 12, "seconds" },
	};
	struct tn_slice s;
	int64_t n;

	for (size_t i = 0; i < TN_COUNT(units); i++) {
		if (fields != units[i].mask ||
		    !tn_sql_const_get_text(e, &s) || !tn_parse_i64(s, &n))
			continue;
		s = tn_slice_of(tn_arena_printf(b->a, "%lld %s",
		    (long long)n, units[i].unit));
		return tn_sql_const_parse(b, tn_record_type(TN_T_INTERVAL),
		    s, e->at);
	}
	return tn_sql_fail(b, e->at, "unsupported",
	    "Write the units into the text: interval '1 day 02:30:00'.",
	    "this form of interval is not supported");
}

static struct tn_sql_expr *
bind_cast(struct tn_sql_bind *b, const struct tn_json *body)
{
	const struct tn_sql_expr *e;
	struct tn_type t;
	uint32_t fields = 0;

	e = tn_sql_expr_bind(b, tn_codec_json_get(body, "arg"));
	if (e == NULL || !tn_sql_type_bind(b,
	    tn_codec_json_get(body, "typeName"), &t, &fields))
		return NULL;
	if (fields != 0 && fields != 0x7fff)
		return interval_fields(b, e, fields);
	return tn_sql_coerce(b, e, t, TN_SQL_EXPLICIT);
}

/* ---- and, or, not ---------------------------------------------------- */

struct tn_sql_expr *
tn_sql_as_bool(struct tn_sql_bind *b, const struct tn_sql_expr *e,
    const char *what)
{
	if (e == NULL)
		return NULL;
	if (e->type.id != TN_T_BOOL && !tn_sql_is_unknown(e->type))
		return tn_sql_fail(b, e->at, "type_mismatch",
		    "Write a comparison, as in x <> 0.",
		    "argument of %s must be type boolean, not type %s",
		    what, tn_sql_type_text(b, e->type));
	return tn_sql_coerce(b, e, tn_record_type(TN_T_BOOL),
	    TN_SQL_IMPLICIT);
}

struct tn_sql_expr *
tn_sql_expr_bool(struct tn_sql_bind *b, const struct tn_json *node,
    const char *what)
{
	return tn_sql_as_bool(b, tn_sql_expr_bind(b, node), what);
}

/* Conditions of AND in AND, and OR in OR, stand in one list. */
static uint32_t
count_flat(const struct tn_sql_expr *e, enum tn_sql_node node)
{
	return e->node == node ? e->arg_count : 1;
}

static struct tn_sql_expr *
flat(struct tn_sql_bind *b, enum tn_sql_node node,
    const struct tn_sql_expr *const *args, uint32_t n)
{
	const struct tn_sql_expr **all;
	uint32_t count = 0, k = 0;

	for (uint32_t i = 0; i < n; i++)
		count += count_flat(args[i], node);
	all = tn_arena_alloc(b->a, (count + 1) * sizeof *all);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; args[i]->node == node &&
		    j < args[i]->arg_count; j++)
			all[k++] = args[i]->args[j];
		if (args[i]->node != node)
			all[k++] = args[i];
	}
	tn_assert(k == count);
	return tn_sql_node_new(b, node, tn_record_type(TN_T_BOOL), all, k);
}

static struct tn_sql_expr *
bind_bool(struct tn_sql_bind *b, const struct tn_json *body)
{
	const struct tn_json *items;
	uint32_t n = tn_sql_list(body, "args", &items);
	const struct tn_sql_expr **args = tn_arena_zalloc(b->a,
	    (n + 1) * sizeof *args);
	bool and = tn_sql_str_is(body, "boolop", "AND_EXPR");
	bool or = tn_sql_str_is(body, "boolop", "OR_EXPR");

	for (uint32_t i = 0; i < n; i++) {
		args[i] = tn_sql_expr_bool(b, &items[i],
		    and ? "AND" : or ? "OR" : "NOT");
		if (args[i] == NULL)
			return NULL;
	}
	if (!and && !or)
		return tn_sql_not(b, args[0]);
	return flat(b, and ? TN_SQL_AND : TN_SQL_OR, args, n);
}

/* Both of two conditions. */
static struct tn_sql_expr *
both(struct tn_sql_bind *b, enum tn_sql_node node,
    const struct tn_sql_expr *x, const struct tn_sql_expr *y)
{
	const struct tn_sql_expr *args[2] = { x, y };

	if (x == NULL || y == NULL)
		return NULL;
	return tn_sql_node_new(b, node, tn_record_type(TN_T_BOOL), args, 2);
}

/* ---- forms of A_Expr ------------------------------------------------- */

static struct tn_sql_expr *
bind_between(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	const struct tn_json *items;
	const struct tn_sql_expr *x, *low, *high, *e;
	struct tn_slice ge = tn_slice_of(">="), le = tn_slice_of("<=");
	bool symmetric = tn_sql_str_is(body, "kind",
	    "AEXPR_BETWEEN_SYM") || tn_sql_str_is(body, "kind",
	    "AEXPR_NOT_BETWEEN_SYM");
	bool negated = tn_sql_str_is(body, "kind", "AEXPR_NOT_BETWEEN") ||
	    tn_sql_str_is(body, "kind", "AEXPR_NOT_BETWEEN_SYM");

	x = tn_sql_expr_bind(b, tn_codec_json_get(body, "lexpr"));
	if (x == NULL || tn_sql_list(body, "rexpr", &items) != 2)
		return NULL;
	low = tn_sql_expr_bind(b, &items[0]);
	high = low == NULL ? NULL : tn_sql_expr_bind(b, &items[1]);
	if (high == NULL)
		return NULL;
	e = both(b, TN_SQL_AND, tn_sql_operator(b, ge, x, low, at),
	    tn_sql_operator(b, le, x, high, at));
	if (symmetric && e != NULL)
		e = both(b, TN_SQL_OR, e, both(b, TN_SQL_AND,
		    tn_sql_operator(b, ge, x, high, at),
		    tn_sql_operator(b, le, x, low, at)));
	return negated ? tn_sql_not(b, e) : (struct tn_sql_expr *)e;
}

/* real beside another kind of number compares as double. */
static void
widen_reals(struct tn_sql_bind *b, const struct tn_sql_expr **args,
    uint32_t n)
{
	bool real = false, other = false;

	for (uint32_t i = 0; i < n; i++) {
		real |= args[i]->type.id == TN_T_FLOAT4;
		other |= tn_sql_is_number(args[i]->type) &&
		    args[i]->type.id != TN_T_FLOAT4;
	}
	for (uint32_t i = 0; real && other && i < n; i++)
		if (args[i]->type.id == TN_T_FLOAT4)
			args[i] = tn_sql_coerce(b, args[i],
			    tn_record_type(TN_T_FLOAT8), TN_SQL_IMPLICIT);
}

static struct tn_sql_expr *
bind_in(struct tn_sql_bind *b, const struct tn_json *body)
{
	const struct tn_json *items, *names;
	uint32_t n = tn_sql_list(body, "rexpr", &items);
	const struct tn_sql_expr **args = tn_arena_zalloc(b->a,
	    (n + 2) * sizeof *args);
	struct tn_sql_expr *e;
	bool negated = tn_sql_list(body, "name", &names) == 1 &&
	    tn_slice_is(tn_sql_string(&names[0]), "<>");

	args[0] = tn_sql_expr_bind(b, tn_codec_json_get(body, "lexpr"));
	for (uint32_t i = 0; i < n && args[i] != NULL; i++)
		args[i + 1] = tn_sql_expr_bind(b, &items[i]);
	if (args[n] == NULL)
		return NULL;
	widen_reals(b, args, n + 1);
	if (!tn_sql_unify(b, args, n + 1, "IN"))
		return NULL;
	if (args[0]->type.id == TN_T_JSONB)
		return tn_sql_fail(b, args[0]->at, "unsupported",
		    "Compare a field as text, as in doc->>'state' IN "
		    "('on').", "jsonb values cannot be compared");
	e = tn_sql_node_new(b, TN_SQL_IN, tn_record_type(TN_T_BOOL), args,
	    n + 1);
	return negated ? tn_sql_not(b, e) : e;
}

/* PostgreSQL gives NULLIF the type of its left side where it can compare the
 * two without changing that. Then it is what its manual says it is. */
static struct tn_sql_expr *
nullif(struct tn_sql_bind *b, const struct tn_sql_expr *l,
    const struct tn_sql_expr *const *args)
{
	struct tn_type t = tn_sql_type_of_any(args, 2);
	const struct tn_sql_expr *parts[3];
	bool kept = tn_sql_is_int(t) || l->type.id == TN_T_FLOAT4 ||
	    l->type.id == TN_T_DATE || tn_sql_is_ts(l->type);

	t.length_max = 0;
	if (!kept || l->type.id == t.id)
		return tn_sql_call(b, TN_FN_NULLIF, t, args, 2);
	parts[0] = tn_sql_call(b, TN_FN_EQ, tn_record_type(TN_T_BOOL), args,
	    2);
	parts[1] = tn_sql_const_null(b, l->type, l->at);
	parts[2] = l;
	return tn_sql_node_new(b, TN_SQL_CASE, l->type, parts, 3);
}

static struct tn_sql_expr *
bind_pair(struct tn_sql_bind *b, const struct tn_json *body,
    enum tn_sql_fn fn, const char *what)
{
	const struct tn_sql_expr *args[2], *l;

	args[0] = tn_sql_expr_bind(b, tn_codec_json_get(body, "lexpr"));
	args[1] = args[0] == NULL ? NULL :
	    tn_sql_expr_bind(b, tn_codec_json_get(body, "rexpr"));
	if (args[1] == NULL)
		return NULL;
	l = args[0];
	widen_reals(b, args, 2);
	if (!tn_sql_unify(b, args, 2, what))
		return NULL;
	if (args[0]->type.id == TN_T_JSONB)
		return tn_sql_fail(b, args[0]->at, "unsupported",
		    "Compare a field as text: doc->>'state'.",
		    "jsonb values cannot be compared");
	if (fn == TN_FN_NULLIF)
		return nullif(b, tn_sql_is_unknown(l->type) ? args[0] : l,
		    args);
	return tn_sql_call(b, fn, tn_record_type(TN_T_BOOL), args, 2);
}

static struct tn_sql_expr *
bind_plain_op(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	const struct tn_json *names;
	const struct tn_json *left = tn_codec_json_get(body, "lexpr");
	const struct tn_sql_expr *l = NULL, *r;

	if (tn_sql_list(body, "name", &names) != 1)
		return tn_sql_fail(b, at, "unsupported",
		    "Write the operator alone.",
		    "OPERATOR(schema.name) is not supported");
	if (left != NULL) {
		l = tn_sql_expr_bind(b, left);
		if (l == NULL)
			return NULL;
	}
	r = tn_sql_expr_bind(b, tn_codec_json_get(body, "rexpr"));
	if (r == NULL)
		return NULL;
	return tn_sql_operator(b, tn_sql_string(&names[0]), l, r, at);
}

static struct tn_sql_expr *
bind_a_expr(struct tn_sql_bind *b, const struct tn_json *body, uint32_t at)
{
	struct tn_slice kind = tn_sql_str(body, "kind");

	if (tn_slice_is(kind, "AEXPR_OP"))
		return bind_plain_op(b, body, at);
	if (tn_slice_is(kind, "AEXPR_IN"))
		return bind_in(b, body);
	if (tn_slice_is(kind, "AEXPR_LIKE") ||
	    tn_slice_is(kind, "AEXPR_ILIKE"))
		return tn_sql_like(b, body, tn_slice_is(kind, "AEXPR_ILIKE"));
	if (tn_slice_is(kind, "AEXPR_NULLIF"))
		return bind_pair(b, body, TN_FN_NULLIF, "NULLIF");
	if (tn_slice_is(kind, "AEXPR_DISTINCT"))
		return bind_pair(b, body, TN_FN_DISTINCT_FROM,
		    "IS DISTINCT FROM");
	if (tn_slice_is(kind, "AEXPR_NOT_DISTINCT"))
		return tn_sql_not(b, bind_pair(b, body,
		    TN_FN_DISTINCT_FROM, "IS NOT DISTINCT FROM"));
	if (kind.n > 9 && memmem(kind.p, kind.n, "BETWEEN", 7) != NULL)
		return bind_between(b, body, at);
	if (tn_slice_is(kind, "AEXPR_SIMILAR"))
		return tn_sql_fail(b, at, "unsupported",
		    "Use a regular expression: x ~ '^(a|b)'.",
		    "SIMILAR TO is not supported");
	return tn_sql_fail(b, at, "unsupported",
	    "Write x IN (a, b), or conditions joined with AND and OR.",
	    "ANY and ALL are not supported");
}

/* ---- tests, case, coalesce ------------------------------------------- */

static struct tn_sql_expr *
bind_null_test(struct tn_sql_bind *b, const struct tn_json *body)
{
	const struct tn_sql_expr *e;

	e = tn_sql_expr_bind(b, tn_codec_json_get(body, "arg"));
	e = e == NULL ? NULL : tn_sql_settle(b, e);
	if (e == NULL)
		return NULL;
	e = tn_sql_call(b, TN_FN_IS_NULL, tn_record_type(TN_T_BOOL), &e, 1);
	return tn_sql_str_is(body, "nulltesttype", "IS_NOT_NULL") ?
	    tn_sql_not(b, e) : (struct tn_sql_expr *)e;
}

static struct tn_sql_expr *
bind_bool_test(struct tn_sql_bind *b, const struct tn_json *body)
{
	struct tn_slice test = tn_sql_str(body, "booltesttype");
	enum tn_sql_fn fn = TN_FN_IS_NULL;
	const struct tn_sql_expr *e;
	bool negated = memmem(test.p, test.n, "NOT", 3) != NULL;

	if (memmem(test.p, test.n, "TRUE", 4) != NULL)
		fn = TN_FN_IS_TRUE;
	else if (memmem(test.p, test.n, "FALSE", 5) != NULL)
		fn = TN_FN_IS_FALSE;
	e = tn_sql_expr_bool(b, tn_codec_json_get(body, "arg"), "IS");
	if (e == NULL)
		return NULL;
	e = tn_sql_call(b, fn, tn_record_type(TN_T_BOOL), &e, 1);
	return negated ? tn_sql_not(b, e) : (struct tn_sql_expr *)e;
}

static const struct tn_sql_expr *
case_condition(struct tn_sql_bind *b, const struct tn_sql_expr *subject,
    const struct tn_json *when)
{
	const struct tn_json *node = tn_codec_json_get(when, "expr");
	const struct tn_sql_expr *e;

	if (subject == NULL)
		return tn_sql_expr_bool(b, node, "CASE WHEN");
	e = tn_sql_expr_bind(b, node);
	if (e == NULL)
		return NULL;
	return tn_sql_operator(b, tn_slice_of("="), subject, e, e->at);
}

static struct tn_sql_expr *
bind_case(struct tn_sql_bind *b, const struct tn_json *body, uint32_t at)
{
	const struct tn_json *items;
	const struct tn_json *subject_node = tn_codec_json_get(body, "arg");
	const struct tn_json *other = tn_codec_json_get(body, "defresult");
	uint32_t n = tn_sql_list(body, "args", &items);
	const struct tn_sql_expr *subject = NULL, **args, **results;
	struct tn_type none = { .id = TN_T_NONE };

	args = tn_arena_zalloc(b->a, (2 * n + 1) * sizeof *args);
	results = tn_arena_zalloc(b->a, (n + 1) * sizeof *results);
	if (subject_node != NULL) {
		subject = tn_sql_expr_bind(b, subject_node);
		if (subject == NULL)
			return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct tn_json *when = tn_sql_body(&items[i],
		    "CaseWhen");

		args[2 * i] = case_condition(b, subject, when);
		if (args[2 * i] == NULL)
			return NULL;
		results[i] = tn_sql_expr_bind(b,
		    tn_codec_json_get(when, "result"));
		if (results[i] == NULL)
			return NULL;
	}
	results[n] = other != NULL ? tn_sql_expr_bind(b, other) :
	    tn_sql_const_null(b, none, at);
	if (results[n] == NULL || !tn_sql_unify(b, results, n + 1, "CASE"))
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		args[2 * i + 1] = results[i];
	args[2 * n] = results[n];
	return tn_sql_node_new(b, TN_SQL_CASE,
	    tn_sql_type_of_any(results, n + 1), args, 2 * n + 1);
}

/* COALESCE, GREATEST, LEAST: many of one type. */
static struct tn_sql_expr *
bind_many(struct tn_sql_bind *b, const struct tn_json *body,
    const char *what)
{
	const struct tn_json *items;
	uint32_t n = tn_sql_list(body, "args", &items);
	const struct tn_sql_expr **args = tn_arena_zalloc(b->a,
	    (n + 1) * sizeof *args);
	struct tn_type t;

	for (uint32_t i = 0; i < n; i++) {
		args[i] = tn_sql_expr_bind(b, &items[i]);
		if (args[i] == NULL)
			return NULL;
	}
	if (n == 0 || !tn_sql_unify(b, args, n, what))
		return NULL;
	t = tn_sql_type_of_any(args, n);
	if (what[0] == 'C')
		return tn_sql_node_new(b, TN_SQL_COALESCE, t, args, n);
	if (args[0]->type.id == TN_T_JSONB)
		return tn_sql_fail(b, args[0]->at, "unsupported",
		    "Compare a field as text: doc->>'state'.",
		    "jsonb values cannot be compared");
	return tn_sql_call(b, what[0] == 'G' ? TN_FN_GREATEST :
	    TN_FN_LEAST, t, args, n);
}

static struct tn_sql_expr *
bind_moment(struct tn_sql_bind *b, const struct tn_json *node,
    const struct tn_json *body)
{
	static const struct {
		const char *op;
		enum tn_type_id id;
	} kinds[] = {
		{ "SVFOP_CURRENT_TIMESTAMP", TN_T_TIMESTAMPTZ },
		{ "SVFOP_CURRENT_DATE", TN_T_DATE },
		{ "SVFOP_LOCALTIMESTAMP", TN_T_TIMESTAMP },
		{ "SVFOP_LOCALTIME", TN_T_TIME },
	};
	struct tn_type tz = tn_record_type(TN_T_TIMESTAMPTZ);
	const struct tn_sql_expr *e;
	uint32_t at = tn_sql_at(node, b->here);

	for (size_t i = 0; i < TN_COUNT(kinds); i++) {
		if (!tn_sql_str_is(body, "op", kinds[i].op))
			continue;
		if (b->mode == TN_SQL_IN_VIEW)
			return tn_sql_fail(b, at, "unsupported",
			    "A view gives the same answer whenever it is "
			    "computed. Leave the time out, and ask for the "
			    "last hours in the query that reads it.",
			    "the current time cannot stand in a view");
		b->here = at;
		e = tn_sql_call(b, TN_FN_NOW, tz, NULL, 0);
		return tn_sql_coerce(b, e, tn_record_type(kinds[i].id),
		    TN_SQL_EXPLICIT);
	}
	return tn_sql_fail(b, at, "unsupported",
	    "current_timestamp, current_date, localtimestamp and localtime "
	    "are there.", "this value is not supported");
}

static struct tn_sql_expr *
bind_collate(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	const struct tn_json *names;
	uint32_t n = tn_sql_list(body, "collname", &names);
	struct tn_slice name = n > 0 ? tn_sql_string(&names[n - 1]) :
	    tn_slice_of("");

	if (!tn_slice_is(name, "C") && !tn_slice_is(name, "POSIX") &&
	    !tn_slice_is(name, "ucs_basic"))
		return tn_sql_fail(b, at, "unsupported",
		    "Text is compared by bytes, which is COLLATE \"C\".",
		    "collation \"%.*s\" is not supported", (int)name.n,
		    (const char *)name.p);
	return tn_sql_expr_bind(b, tn_codec_json_get(body, "arg"));
}

/* ---- dispatch -------------------------------------------------------- */

static struct tn_sql_expr *
refuse(struct tn_sql_bind *b, struct tn_slice kind, uint32_t at)
{
	static const struct {
		const char *kind;
		const char *what;
		const char *hint;
	} known[] = {
		{ "SubLink", "subqueries",
		    "Join a reference table, or ask two queries." },
		{ "A_ArrayExpr", "arrays", "Write x IN (a, b), or use "
		    "jsonb." },
		{ "A_Indirection", "subscripts",
		    "Use -> and ->> for jsonb: doc->'a'->0." },
		{ "RowExpr", "rows", "Write the columns one by one." },
		{ "ParamRef", "parameters",
		    "Write the value itself." },
		{ "GroupingFunc", "GROUPING",
		    "Group by plain columns and expressions." },
		{ "GroupingSet", "GROUPING SETS, CUBE and ROLLUP",
		    "Make a view for each grouping." },
		{ "XmlExpr", "XML", "Use jsonb." },
		{ "XmlSerialize", "XML", "Use jsonb." },
		{ "SetToDefault", "DEFAULT here", "Write the value." },
		{ "CurrentOfExpr", "cursors", NULL },
		{ "A_Star", "* here", "Write the columns one by one." },
		{ "JsonIsPredicate", "IS JSON", "A jsonb column is always "
		    "JSON." },
	};

	for (size_t i = 0; i < TN_COUNT(known); i++)
		if (tn_slice_is(kind, known[i].kind))
			return tn_sql_fail(b, at, "unsupported",
			    known[i].hint, "%s cannot be used",
			    known[i].what);
	return tn_sql_fail(b, at, "unsupported",
	    "tarn help sql lists what there is.",
	    "this expression is not supported (%.*s)", (int)kind.n,
	    (const char *)kind.p);
}

static struct tn_sql_expr *
bind_node(struct tn_sql_bind *b, const struct tn_json *node, uint32_t at)
{
	const struct tn_json *body;
	struct tn_slice kind = tn_sql_kind(node, &body);

	if (tn_slice_is(kind, "A_Const"))
		return bind_const(b, body, at);
	if (tn_slice_is(kind, "ColumnRef"))
		return tn_sql_column_ref(b, node);
	if (tn_slice_is(kind, "A_Expr"))
		return bind_a_expr(b, body, at);
	if (tn_slice_is(kind, "FuncCall"))
		return tn_sql_func(b, node);
	if (tn_slice_is(kind, "TypeCast"))
		return bind_cast(b, body);
	if (tn_slice_is(kind, "BoolExpr"))
		return bind_bool(b, body);
	if (tn_slice_is(kind, "NullTest"))
		return bind_null_test(b, body);
	if (tn_slice_is(kind, "BooleanTest"))
		return bind_bool_test(b, body);
	if (tn_slice_is(kind, "CaseExpr"))
		return bind_case(b, body, at);
	if (tn_slice_is(kind, "CoalesceExpr"))
		return bind_many(b, body, "COALESCE");
	if (tn_slice_is(kind, "MinMaxExpr"))
		return bind_many(b, body, tn_sql_str_is(body, "op",
		    "IS_GREATEST") ? "GREATEST" : "LEAST");
	if (tn_slice_is(kind, "SQLValueFunction"))
		return bind_moment(b, node, body);
	if (tn_slice_is(kind, "CollateClause"))
		return bind_collate(b, body, at);
	return refuse(b, kind, at);
}

struct tn_sql_expr *
tn_sql_expr_bind(struct tn_sql_bind *b, const struct tn_json *node)
{
	struct tn_sql_expr *e;
	uint32_t at = tn_sql_at(node, b->here);
	uint32_t before = b->here;

	if (b->st != TN_OK)
		return NULL;
	if (b->depth > TN_SQL_DEPTH_MAX / 2)
		return tn_sql_fail(b, at, "too_deep",
		    "Write it with fewer brackets and operators inside one "
		    "another.", "the expression is nested too deeply");
	b->depth++;
	b->here = at;
	e = bind_node(b, node, at);
	b->here = before;
	b->depth--;
	tn_assert(e != NULL || b->st != TN_OK);
	return e;
}

/* Columns by name, in the space that FROM (or the table being made) spans,
 * and the names that outputs get without AS. */
#include "sql/sql_int.h"

#include <string.h>

struct tn_sql_expr *
tn_sql_column(struct tn_sql_bind *b, uint32_t i, uint32_t at)
{
	struct tn_sql_expr *e;

	tn_assert(i < b->field_count);
	e = tn_sql_new(b, TN_SQL_COLUMN, b->fields[i].type, at);
	e->column = i;
	if (b->used != NULL)
		b->used[i] = 1;
	return e;
}

/* Column of that name in one relation, or -1. */
static int
find_in(const struct tn_sql_bind *b, const struct tn_sql_rel *r,
    struct tn_slice name)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (tn_slice_is(name, b->fields[r->first + i].name))
			return (int)i;
	return -1;
}

static const struct tn_sql_rel *
find_rel(const struct tn_sql_bind *b, struct tn_slice name)
{
	for (uint32_t i = 0; i < b->rel_count; i++)
		if (tn_slice_is(name, b->rels[i].alias))
			return &b->rels[i];
	return NULL;
}

static struct tn_sql_expr *
unknown_column(struct tn_sql_bind *b, const struct tn_sql_rel *only,
    struct tn_slice name, uint32_t at)
{
	struct tn_sql_near near = { .word = name };
	const char *hint;
	bool hidden = name.n > 0 && name.p[0] == '_';

	for (uint32_t i = 0; i < b->rel_count; i++)
		for (uint32_t k = 0; k < b->rels[i].count; k++)
			if (only == NULL || only == &b->rels[i])
				tn_sql_near_try(&near,
				    b->fields[b->rels[i].first + k].name);
	hint = tn_sql_near_hint(b, &near, hidden && b->mode <
	    TN_SQL_IN_VIEW ? "Hidden columns are not known while a row is "
	    "checked; use now() for the time it was received." :
	    "A text stands in single quotes: 'x'.");
	return tn_sql_fail(b, at, "unknown_column", hint,
	    "column \"%.*s\" does not exist", (int)name.n,
	    (const char *)name.p);
}

static struct tn_sql_expr *
qualified(struct tn_sql_bind *b, struct tn_slice rel_name,
    struct tn_slice name, uint32_t at)
{
	const struct tn_sql_rel *r = find_rel(b, rel_name);
	struct tn_sql_near near = { .word = rel_name };
	int i;

	if (r == NULL) {
		for (uint32_t k = 0; k < b->rel_count; k++)
			tn_sql_near_try(&near, b->rels[k].alias);
		return tn_sql_fail(b, at, "unknown_table",
		    tn_sql_near_hint(b, &near, "A table with an alias is "
		    "called by the alias."),
		    "missing FROM-clause entry for table \"%.*s\"",
		    (int)rel_name.n, (const char *)rel_name.p);
	}
	i = find_in(b, r, name);
	if (i < 0)
		return unknown_column(b, r, name, at);
	return tn_sql_column(b, r->first + (uint32_t)i, at);
}

static struct tn_sql_expr *
unqualified(struct tn_sql_bind *b, struct tn_slice name, uint32_t at)
{
	int64_t found = -1;

	for (uint32_t k = 0; k < b->rel_count; k++) {
		const struct tn_sql_rel *r = &b->rels[k];
		int i = find_in(b, r, name);

		if (i < 0 || (r->merged != NULL && r->merged[i] != 0))
			continue;
		if (found >= 0)
			return tn_sql_fail(b, at, "ambiguous_column",
			    tn_arena_printf(b->a, "Write %s.%.*s or "
			    "%s.%.*s.", b->rels[0].alias, (int)name.n,
			    (const char *)name.p, r->alias, (int)name.n,
			    (const char *)name.p),
			    "column reference \"%.*s\" is ambiguous",
			    (int)name.n, (const char *)name.p);
		found = r->first + i;
	}
	if (found < 0)
		return unknown_column(b, NULL, name, at);
	return tn_sql_column(b, (uint32_t)found, at);
}

struct tn_sql_expr *
tn_sql_column_ref(struct tn_sql_bind *b, const struct tn_json *ref)
{
	const struct tn_json *parts;
	const struct tn_json *body = tn_sql_body(ref, "ColumnRef");
	uint32_t n = tn_sql_list(body, "fields", &parts);
	uint32_t at = tn_sql_at(ref, b->here);
	struct tn_sql_expr *e;

	if (n == 0 || tn_sql_body(&parts[n - 1], "A_Star") != NULL)
		return tn_sql_fail(b, at, "unsupported",
		    "Write the columns one by one.", "* cannot stand here");
	if (n > 2)
		return tn_sql_fail(b, at, "unsupported",
		    "Write table.column.", "names have at most two parts");
	if (b->mode == TN_SQL_IN_DEFAULT)
		return tn_sql_fail(b, at, "bad_default",
		    "Use GENERATED ALWAYS AS (...) STORED for a value made "
		    "from other columns.",
		    "cannot use column reference in DEFAULT expression");
	if (n == 1)
		e = unqualified(b, tn_sql_string(&parts[0]), at);
	else
		e = qualified(b, tn_sql_string(&parts[0]),
		    tn_sql_string(&parts[1]), at);
	if (e != NULL && b->generated != NULL && b->generated[e->column])
		return tn_sql_fail(b, at, "bad_generated",
		    "Repeat its expression instead.",
		    "cannot use generated column \"%s\" in column "
		    "generation expression", b->fields[e->column].name);
	return e;
}

/* ---- names of outputs ------------------------------------------------ */

static const char *
copy(struct tn_sql_bind *b, struct tn_slice s)
{
	return tn_arena_strndup(b->a, (const char *)s.p, s.n);
}

static const char *
last_of(struct tn_sql_bind *b, const struct tn_json *body, const char *key)
{
	const struct tn_json *items;
	uint32_t n = tn_sql_list(body, key, &items);

	for (; n > 0; n--)
		if (tn_sql_string(&items[n - 1]).n > 0)
			return copy(b, tn_sql_string(&items[n - 1]));
	return NULL;
}

static const char *
moment_name(const struct tn_json *body)
{
	static const char *const ops[][2] = {
		{ "SVFOP_CURRENT_DATE", "current_date" },
		{ "SVFOP_CURRENT_TIMESTAMP", "current_timestamp" },
		{ "SVFOP_LOCALTIMESTAMP", "localtimestamp" },
		{ "SVFOP_LOCALTIME", "localtime" },
	};

	for (size_t i = 0; i < TN_COUNT(ops); i++)
		if (tn_sql_str_is(body, "op", ops[i][0]))
			return ops[i][1];
	return NULL;
}

/* Names of casts and CASE are weak: what is inside comes first. */
static const char *
name_of(struct tn_sql_bind *b, const struct tn_json *node, bool *weak)
{
	const struct tn_json *body;
	struct tn_slice kind = tn_sql_kind(node, &body);
	const char *name;

	*weak = false;
	if (tn_slice_is(kind, "ColumnRef"))
		return last_of(b, body, "fields");
	if (tn_slice_is(kind, "FuncCall"))
		return last_of(b, body, "funcname");
	if (tn_slice_is(kind, "SQLValueFunction"))
		return moment_name(body);
	if (tn_slice_is(kind, "CoalesceExpr"))
		return "coalesce";
	if (tn_slice_is(kind, "MinMaxExpr"))
		return tn_sql_str_is(body, "op", "IS_GREATEST") ?
		    "greatest" : "least";
	if (tn_slice_is(kind, "A_Expr") &&
	    tn_sql_str_is(body, "kind", "AEXPR_NULLIF"))
		return "nullif";
	if (tn_slice_is(kind, "CollateClause"))
		return name_of(b, tn_codec_json_get(body, "arg"), weak);
	if (tn_slice_is(kind, "TypeCast")) {
		name = name_of(b, tn_codec_json_get(body, "arg"), weak);
		if (name != NULL && !*weak)
			return name;
		*weak = true;
		body = tn_codec_json_get(body, "typeName");
		return last_of(b, body, "names");
	}
	if (tn_slice_is(kind, "CaseExpr")) {
		name = name_of(b, tn_codec_json_get(body, "defresult"),
		    weak);
		if (name != NULL && !*weak)
			return name;
		*weak = true;
		return "case";
	}
	return NULL;
}

const char *
tn_sql_figure_name(struct tn_sql_bind *b, const struct tn_json *node)
{
	bool weak;
	const char *name = name_of(b, node, &weak);

	return name != NULL ? name : "?column?";
}

/* FROM: one source, then reference tables joined on their whole primary
 * key. The input space is laid out here: the source's columns (a stream's
 * with the three hidden ones), then each joined table's in order. */
#include "sql/sql_int.h"

#include <string.h>

/* ---- names ----------------------------------------------------------- */

bool
tn_sql_relation_name(struct tn_sql_bind *b, const struct tn_json *rel,
    uint32_t at, struct tn_slice *name)
{
	struct tn_slice schema = tn_sql_str(rel, "schemaname");

	*name = tn_sql_str(rel, "relname");
	if (tn_sql_str(rel, "catalogname").n > 0 || (schema.n > 0 &&
	    !tn_slice_is(schema, "public"))) {
		(void)tn_sql_fail(b, at, "unsupported",
		    "Write the name alone.",
		    "schema \"%.*s\" does not exist", (int)schema.n,
		    (const char *)schema.p);
		return false;
	}
	return true;
}

bool
tn_sql_relation_check(struct tn_sql_bind *b, struct tn_slice name,
    uint32_t at)
{
	bool good = name.n > 0 && name.n <= TN_SQL_NAME_MAX;

	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		bool letter = (c >= 'a' && c <= 'z') || c == '_';

		good = good && (letter || (i > 0 && c >= '0' && c <= '9'));
	}
	if (good && name.p[0] == '_') {
		(void)tn_sql_fail(b, at, "reserved_name",
		    "Begin the name with a letter.",
		    "names that begin with _ are Tarn's own");
		return false;
	}
	if (!good)
		(void)tn_sql_fail(b, at, "bad_name",
		    "Use small letters a-z, digits and _: the name becomes "
		    "a path and an address.",
		    "\"%.*s\" cannot name a table or view", (int)name.n,
		    (const char *)name.p);
	return good;
}

bool
tn_sql_column_check(struct tn_sql_bind *b, struct tn_slice name,
    uint32_t at)
{
	if (name.n == 0 || name.n > TN_SQL_NAME_MAX) {
		(void)tn_sql_fail(b, at, "bad_name", NULL,
		    "a column's name has 1 to %d bytes", TN_SQL_NAME_MAX);
		return false;
	}
	if (name.p[0] == '_') {
		(void)tn_sql_fail(b, at, "reserved_name",
		    "Begin the name with a letter.",
		    "column names that begin with _ are Tarn's own");
		return false;
	}
	return true;
}

/* "a ASOF JOIN b" parses as alias asof: refuse what only looks like an
 * alias. */
static bool
check_alias(struct tn_sql_bind *b, struct tn_slice alias, uint32_t at)
{
	static const char *const words[] = { "asof", "semi", "anti", "any",
	    "positional", "global", "paste", "sample", "final", "qualify",
	    "prewhere", "emit", "temporal", "latest" };

	for (size_t i = 0; i < TN_COUNT(words); i++) {
		if (!tn_slice_is(alias, words[i]))
			continue;
		(void)tn_sql_fail(b, at, "unsupported",
		    "Join a reference table on its primary key: JOIN t ON "
		    "t.id = s.id. If it is meant as an alias, choose "
		    "another word.",
		    "\"%s\" would be read as an alias here", words[i]);
		return false;
	}
	return true;
}

/* ---- relations ------------------------------------------------------- */

static bool
unknown_table(struct tn_sql_bind *b, struct tn_slice name, uint32_t at)
{
	struct tn_sql_near near = { .word = name };
	uint32_t i;

	for (i = 0; i < b->pipe->table_count; i++)
		tn_sql_near_try(&near, b->pipe->tables[i]->name);
	for (i = 0; i < b->pipe->view_count; i++)
		tn_sql_near_try(&near, b->pipe->views[i]->name);
	(void)tn_sql_fail(b, at, "unknown_table",
	    tn_sql_near_hint(b, &near, b->mode == TN_SQL_IN_QUERY ?
	    "GET /api/v1/streams and /api/v1/views list what there is." :
	    "Make it with CREATE TABLE."),
	    "relation \"%.*s\" does not exist", (int)name.n,
	    (const char *)name.p);
	return false;
}

static void
add_fields(struct tn_sql_bind *b, const struct tn_schema *s, bool nullable)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct tn_field *f = &b->fields[b->field_count++];

		*f = s->fields[i];
		f->not_null = f->not_null && !nullable;
	}
}

static void
add_hidden(struct tn_sql_bind *b)
{
	static const struct tn_field hidden[TN_SQL_HIDDEN] = {
		{ TN_SQL_LSN_NAME, { .id = TN_T_INT8 }, true },
		{ TN_SQL_OFFSET_NAME, { .id = TN_T_INT8 }, true },
		{ TN_SQL_RECEIVED_NAME, { .id = TN_T_TIMESTAMPTZ }, true },
	};

	for (uint32_t i = 0; i < TN_SQL_HIDDEN; i++) {
		b->fields[b->field_count] = hidden[i];
		b->fields[b->field_count++].type =
		    tn_record_type(hidden[i].type.id);
	}
}

/* What the name in FROM or JOIN says. */
struct item {
	const struct tn_json *body;
	struct tn_slice name;
	struct tn_slice alias;
	const struct tn_sql_expr *as_of;
	uint32_t at;
};

/* The one function call of a RangeFunction, or NULL: the tree has
 * {"functions":[{"List":{"items":[call, {}]}}]}. */
static const struct tn_json *
range_call(const struct tn_json *body)
{
	const struct tn_json *functions, *list, *items;

	if (tn_sql_list(body, "functions", &functions) != 1 ||
	    tn_sql_bool(body, "ordinality") || tn_sql_bool(body, "lateral") ||
	    tn_sql_bool(body, "is_rowsfrom"))
		return NULL;
	list = tn_sql_body(&functions[0], "List");
	if (list == NULL || tn_sql_list(list, "items", &items) < 1)
		return NULL;
	return tn_sql_body(&items[0], "FuncCall");
}

static bool
is_as_of(const struct tn_json *call)
{
	const struct tn_json *names;

	return call != NULL && tn_sql_list(call, "funcname", &names) == 1 &&
	    tn_slice_is(tn_sql_string(&names[0]), "as_of");
}

/* The second argument: an LSN, or a time that may be an expression of now(). */
static const struct tn_sql_expr *
as_of_when(struct tn_sql_bind *b, const struct tn_json *arg)
{
	const struct tn_sql_expr *e = tn_sql_expr_bind(b, arg);

	if (e == NULL)
		return NULL;
	if (tn_sql_is_int(e->type))
		return tn_sql_coerce(b, e, tn_record_type(TN_T_INT8),
		    TN_SQL_IMPLICIT);
	if (tn_sql_is_unknown(e->type) || tn_sql_is_ts(e->type) ||
	    e->type.id == TN_T_DATE)
		return tn_sql_coerce(b, e, tn_record_type(TN_T_TIMESTAMPTZ),
		    TN_SQL_IMPLICIT);
	return tn_sql_fail(b, e->at, "type_mismatch", "Write as_of('name', "
	    "1234) or as_of('name', timestamptz '2026-03-01 08:00:00+00').",
	    "as_of takes an LSN or a time, not %s",
	    tn_sql_type_text(b, e->type));
}

/* as_of('name', when) */
static bool
read_as_of(struct tn_sql_bind *b, const struct tn_json *call,
    struct item *it)
{
	const struct tn_json *args;
	const struct tn_sql_expr *name;
	const char *no_agg = b->no_agg;

	it->at = (uint32_t)tn_sql_int(call, "location");
	if (b->mode == TN_SQL_IN_VIEW)
		return tn_sql_fail(b, it->at, "unsupported", "Name the "
		    "stream itself; ask for the past of the view: FROM "
		    "as_of('view', ...).", "as_of in a view is not supported")
		    != NULL;
	if (tn_sql_list(call, "args", &args) != 2)
		return tn_sql_fail(b, it->at, "type_mismatch",
		    "Write as_of('name', 1234) or as_of('name', timestamptz "
		    "'...').", "as_of takes a name and an LSN or a time")
		    != NULL;
	b->no_agg = "FROM";
	name = tn_sql_expr_bind(b, &args[0]);
	it->as_of = name == NULL ? NULL : as_of_when(b, &args[1]);
	b->no_agg = no_agg;
	if (it->as_of == NULL)
		return false;
	return tn_sql_const_get_text(name, &it->name) ||
	    tn_sql_fail(b, it->at, "type_mismatch", "Write its name in "
	    "quotes: as_of('badge', ...).", "the first argument of as_of is "
	    "the name of a stream, reference table or view") != NULL;
}

static bool
read_item(struct tn_sql_bind *b, const struct tn_json *node,
    struct item *it)
{
	const struct tn_json *body, *alias, *items, *call = NULL;
	struct tn_slice kind = tn_sql_kind(node, &body);

	it->at = tn_sql_at(node, b->here);
	it->as_of = NULL;
	if (tn_slice_is(kind, "RangeFunction"))
		call = range_call(body);
	if (!tn_slice_is(kind, "RangeVar") && !is_as_of(call)) {
		(void)tn_sql_fail(b, it->at, "unsupported",
		    tn_slice_is(kind, "RangeSubselect") ? "Make a view of "
		    "the inner SELECT, and query that." :
		    tn_slice_is(kind, "JoinExpr") ? "Write the joins one "
		    "after the other, without brackets." :
		    "Name a stream, a reference table or a view.",
		    "%s in FROM is not supported",
		    tn_slice_is(kind, "RangeSubselect") ? "a subquery" :
		    tn_slice_is(kind, "RangeFunction") ? "a function" :
		    tn_slice_is(kind, "RangeTableSample") ? "TABLESAMPLE" :
		    tn_slice_is(kind, "JoinExpr") ? "a join in brackets" :
		    "this");
		return false;
	}
	it->body = body;
	if (call != NULL ? !read_as_of(b, call, it) :
	    !tn_sql_relation_name(b, body, it->at, &it->name))
		return false;
	alias = tn_codec_json_get(body, "alias");
	it->alias = alias == NULL ? it->name :
	    tn_sql_str(alias, "aliasname");
	if (alias != NULL && tn_sql_list(alias, "colnames", &items) > 0) {
		(void)tn_sql_fail(b, it->at, "unsupported",
		    "Rename outputs with AS.",
		    "column aliases in FROM are not supported");
		return false;
	}
	return alias == NULL || check_alias(b, it->alias, it->at);
}

static struct tn_sql_rel *
add_rel(struct tn_sql_bind *b, const struct item *it, const char *table,
    uint32_t first, uint32_t visible)
{
	struct tn_sql_rel *r;

	for (uint32_t i = 0; i < b->rel_count; i++)
		if (tn_slice_is(it->alias, b->rels[i].alias))
			return tn_sql_fail(b, it->at, "duplicate_table",
			    "Give it another alias: JOIN t AS u.",
			    "table name \"%.*s\" specified more than once",
			    (int)it->alias.n, (const char *)it->alias.p);
	r = &b->rels[b->rel_count++];
	r->alias = tn_arena_strndup(b->a, (const char *)it->alias.p,
	    it->alias.n);
	r->table = table;
	r->first = first;
	r->visible = visible;
	r->count = b->field_count - first;
	r->merged = tn_arena_zalloc(b->a, r->count + 1);
	return r;
}

static bool
is_view_name(const struct tn_sql_bind *b, struct tn_slice name)
{
	for (uint32_t i = 0; i < b->view_name_count; i++)
		if (tn_slice_eq(name, b->view_names[i]))
			return true;
	return tn_sql_view(b->pipe, name) != NULL;
}

static bool
view_over_view(struct tn_sql_bind *b, uint32_t at)
{
	(void)tn_sql_fail(b, at, "unsupported",
	    "Make this view from the stream itself; or leave it out and "
	    "query the other view.", "a view over a view is not supported");
	return false;
}

static bool
view_source(struct tn_sql_bind *b, const struct item *it,
    struct tn_sql_select *s, const struct tn_sql_view *v)
{
	s->source_kind = TN_SQL_VIEW;
	s->source = v->name;
	add_fields(b, v->select->schema, false);
	s->source_columns = b->field_count;
	return add_rel(b, it, v->name, 0, b->field_count) != NULL;
}

static bool
bind_source(struct tn_sql_bind *b, const struct tn_json *node,
    struct tn_sql_select *s)
{
	struct item it;
	const struct tn_sql_table *t;
	const struct tn_sql_view *v;

	if (!read_item(b, node, &it))
		return false;
	if (b->mode == TN_SQL_IN_VIEW && is_view_name(b, it.name))
		return view_over_view(b, it.at);
	s->as_of = it.as_of;
	v = tn_sql_view(b->pipe, it.name);
	if (v != NULL)
		return view_source(b, &it, s, v);
	t = tn_sql_table(b->pipe, it.name);
	if (t == NULL)
		return unknown_table(b, it.name, it.at);
	if (t->kind == TN_SQL_REFERENCE && b->mode == TN_SQL_IN_VIEW) {
		(void)tn_sql_fail(b, it.at, "unsupported",
		    "Begin with the stream: FROM stream JOIN table ON ...",
		    "a view must read a stream first; \"%s\" is a reference "
		    "table", t->name);
		return false;
	}
	s->source_kind = t->kind;
	s->source = t->name;
	add_fields(b, t->schema, false);
	if (t->kind == TN_SQL_STREAM)
		add_hidden(b);
	s->source_columns = b->field_count;
	return add_rel(b, &it, t->name, 0, t->schema->count) != NULL;
}

/* ---- joins ----------------------------------------------------------- */

/* One join in the making. */
struct joining {
	const struct tn_sql_table *table;
	struct tn_sql_rel *rel;
	const struct tn_sql_expr **key;      /* By place in the key. */
	const struct tn_sql_expr **rest;     /* Other conditions. */
	uint32_t rest_count;
	uint32_t at;
};

/* Largest column number of an expression plus one. */
static uint32_t
reach(const struct tn_sql_expr *e)
{
	uint32_t most = e->node == TN_SQL_COLUMN ? e->column + 1 : 0;

	for (uint32_t i = 0; i < e->arg_count; i++) {
		uint32_t one = reach(e->args[i]);

		most = one > most ? one : most;
	}
	return most;
}

/* Place in the primary key of a plain column of the joined table, or -1. */
static int
key_place(const struct joining *j, const struct tn_sql_expr *e)
{
	if (e->node != TN_SQL_COLUMN || e->column < j->rel->first)
		return -1;
	for (uint32_t i = 0; i < j->table->key_count; i++)
		if (e->column == j->rel->first + j->table->key[i])
			return (int)i;
	return -1;
}

/* The key is looked up in the table's own type, so the other side must turn
 * into it without loss. 1 taken, 0 not a key condition, -1 mistake. */
static int
try_key(struct tn_sql_bind *b, struct joining *j,
    const struct tn_sql_expr *k, const struct tn_sql_expr *e)
{
	int place = key_place(j, k);
	bool fits;

	if (place < 0 || reach(e) > j->rel->first ||
	    j->key[place] != NULL)
		return 0;
	fits = tn_sql_castable(e->type, k->type, TN_SQL_IMPLICIT);
	if (fits && k->type.id == TN_T_NUMERIC &&
	    e->type.id == TN_T_NUMERIC)
		fits = e->type.scale <= k->type.scale;
	if (!fits) {
		(void)tn_sql_fail(b, e->at, "type_mismatch",
		    "Declare both columns with the same type, or cast this "
		    "side.", "the key \"%s\" has type %s, this has type %s",
		    b->fields[k->column].name, tn_sql_type_text(b, k->type),
		    tn_sql_type_text(b, e->type));
		return -1;
	}
	e = tn_sql_coerce(b, e, k->type, TN_SQL_IMPLICIT);
	if (e == NULL)
		return -1;
	j->key[place] = e;
	return 1;
}

static bool
add_rest(struct joining *j, const struct tn_sql_expr *e)
{
	if (e == NULL)
		return false;
	j->rest[j->rest_count++] = e;
	return true;
}

static bool
bind_condition(struct tn_sql_bind *b, struct joining *j,
    const struct tn_json *node)
{
	const struct tn_json *body = tn_sql_body(node, "A_Expr");
	const struct tn_json *names;
	const struct tn_sql_expr *l, *r;
	int taken;
	bool equal = body != NULL && tn_sql_str_is(body, "kind",
	    "AEXPR_OP") && tn_sql_list(body, "name", &names) == 1 &&
	    tn_slice_is(tn_sql_string(&names[0]), "=") &&
	    tn_codec_json_get(body, "lexpr") != NULL;

	if (!equal)
		return add_rest(j, tn_sql_expr_bool(b, node, "JOIN/ON"));
	l = tn_sql_expr_bind(b, tn_codec_json_get(body, "lexpr"));
	r = l == NULL ? NULL :
	    tn_sql_expr_bind(b, tn_codec_json_get(body, "rexpr"));
	if (r == NULL)
		return false;
	taken = try_key(b, j, r, l);
	if (taken == 0)
		taken = try_key(b, j, l, r);
	if (taken != 0)
		return taken > 0;
	return add_rest(j, tn_sql_operator(b, tn_slice_of("="), l, r,
	    l->at));
}

static bool
bind_on(struct tn_sql_bind *b, struct joining *j,
    const struct tn_json *quals)
{
	const struct tn_json *body = tn_sql_body(quals, "BoolExpr");
	const struct tn_json *items;
	uint32_t n;

	if (body == NULL || !tn_sql_str_is(body, "boolop", "AND_EXPR")) {
		j->rest = tn_arena_zalloc(b->a, sizeof *j->rest);
		return bind_condition(b, j, quals);
	}
	n = tn_sql_list(body, "args", &items);
	j->rest = tn_arena_zalloc(b->a, (n + 1) * sizeof *j->rest);
	for (uint32_t i = 0; i < n; i++)
		if (!bind_condition(b, j, &items[i]))
			return false;
	return true;
}

/* The column of that name to the left of the join. */
static const struct tn_sql_expr *
left_column(struct tn_sql_bind *b, const struct joining *j,
    struct tn_slice name)
{
	for (uint32_t c = 0; c < j->rel->first; c++) {
		const struct tn_sql_rel *r = b->rels;

		while (c >= r->first + r->count)
			r++;
		if (!r->merged[c - r->first] &&
		    tn_slice_is(name, b->fields[c].name))
			return tn_sql_column(b, c, j->at);
	}
	return tn_sql_fail(b, j->at, "unknown_column", NULL,
	    "column \"%.*s\" specified in USING clause does not exist in "
	    "left table", (int)name.n, (const char *)name.p);
}

static bool
bind_using(struct tn_sql_bind *b, struct joining *j,
    const struct tn_json *items, uint32_t n)
{
	j->rest = tn_arena_zalloc(b->a, (n + 1) * sizeof *j->rest);
	for (uint32_t i = 0; i < n; i++) {
		struct tn_slice name = tn_sql_string(&items[i]);
		const struct tn_sql_expr *l, *r;
		int found = tn_record_schema_find(j->table->schema, name);
		int taken;

		if (found < 0) {
			(void)tn_sql_fail(b, j->at, "unknown_column", NULL,
			    "column \"%.*s\" specified in USING clause does "
			    "not exist in \"%s\"", (int)name.n,
			    (const char *)name.p, j->table->name);
			return false;
		}
		l = left_column(b, j, name);
		if (l == NULL)
			return false;
		r = tn_sql_column(b, j->rel->first + (uint32_t)found,
		    j->at);
		/* From here on the name alone means the left one. */
		j->rel->merged[found] = 1;
		taken = try_key(b, j, r, l);
		if (taken < 0 || (taken == 0 && !add_rest(j,
		    tn_sql_operator(b, tn_slice_of("="), l, r, j->at))))
			return false;
	}
	return true;
}

static bool
check_keys(struct tn_sql_bind *b, const struct joining *j)
{
	for (uint32_t i = 0; i < j->table->key_count; i++) {
		const char *name;

		if (j->key[i] != NULL)
			continue;
		name = j->table->schema->fields[j->table->key[i]].name;
		(void)tn_sql_fail(b, j->at, "unsupported",
		    tn_arena_printf(b->a, "Join on the whole primary key: "
		    "ON ... AND %s.%s = ...", j->rel->alias, name),
		    "the join does not give the key column \"%s\" of \"%s\"",
		    name, j->table->name);
		return false;
	}
	return true;
}

static const struct tn_sql_expr *
all_of(struct tn_sql_bind *b, const struct joining *j)
{
	if (j->rest_count <= 1)
		return j->rest_count == 0 ? NULL : j->rest[0];
	return tn_sql_node_new(b, TN_SQL_AND, tn_record_type(TN_T_BOOL),
	    j->rest, j->rest_count);
}

static const struct tn_sql_table *
joined_table(struct tn_sql_bind *b, const struct item *it)
{
	const struct tn_sql_table *t = tn_sql_table(b->pipe, it->name);
	bool view = is_view_name(b, it->name);

	if (t == NULL && !view) {
		(void)unknown_table(b, it->name, it->at);
		return NULL;
	}
	if (view || t->kind != TN_SQL_REFERENCE)
		return tn_sql_fail(b, it->at, "unsupported",
		    "Only reference tables can be joined: WITH (kind = "
		    "'reference').", "\"%.*s\" is a %s",
		    (int)it->name.n, (const char *)it->name.p,
		    view ? "view" : "stream");
	return t;
}

static bool
check_join_kind(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	const struct tn_json *items;
	struct tn_slice type = tn_sql_str(body, "jointype");
	const char *what = NULL;

	if (tn_slice_is(type, "JOIN_RIGHT"))
		what = "RIGHT JOIN";
	else if (tn_slice_is(type, "JOIN_FULL"))
		what = "FULL JOIN";
	else if (tn_sql_bool(body, "isNatural"))
		what = "NATURAL JOIN";
	else if (tn_codec_json_get(body, "alias") != NULL ||
	    tn_codec_json_get(body, "join_using_alias") != NULL)
		what = "an alias of a join";
	else if (tn_codec_json_get(body, "quals") == NULL &&
	    tn_sql_list(body, "usingClause", &items) == 0)
		what = "CROSS JOIN";
	if (what == NULL)
		return true;
	(void)tn_sql_fail(b, at, "unsupported",
	    "Use JOIN or LEFT JOIN of a reference table ON its primary key.",
	    "%s is not supported", what);
	return false;
}

static bool
bind_join(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_join *out)
{
	struct joining j = { 0 };
	struct item it;
	const struct tn_json *items;
	uint32_t first = b->field_count;
	uint32_t n = tn_sql_list(body, "usingClause", &items);
	bool good;

	if (!read_item(b, tn_codec_json_get(body, "rarg"), &it))
		return false;
	j.at = it.at;
	if (it.as_of != NULL)
		return tn_sql_fail(b, it.at, "unsupported", "Name the table: "
		    "a row sees it as it was when the event came.",
		    "as_of in JOIN is not supported") != NULL;
	if (!check_join_kind(b, body, it.at))
		return false;
	j.table = joined_table(b, &it);
	if (j.table == NULL)
		return false;
	out->table = j.table->name;
	out->left = tn_sql_str_is(body, "jointype", "JOIN_LEFT");
	out->first_column = first;
	add_fields(b, j.table->schema, out->left);
	j.rel = add_rel(b, &it, j.table->name, first,
	    j.table->schema->count);
	if (j.rel == NULL)
		return false;
	j.key = tn_arena_zalloc(b->a, j.table->key_count * sizeof *j.key);
	good = n > 0 ? bind_using(b, &j, items, n) :
	    bind_on(b, &j, tn_codec_json_get(body, "quals"));
	if (!good || !check_keys(b, &j))
		return false;
	out->key = j.key;
	out->key_count = j.table->key_count;
	out->rest = all_of(b, &j);
	return true;
}

/* Columns the whole FROM can have, so that arrays are made once. */
static uint32_t
count_joins(const struct tn_json *node)
{
	const struct tn_json *body = tn_sql_body(node, "JoinExpr");
	uint32_t n = 0;

	for (; body != NULL; n++)
		body = tn_sql_body(tn_codec_json_get(body, "larg"),
		    "JoinExpr");
	return n;
}

/* The tree leans left: the last join is on top. */
static bool
bind_joins(struct tn_sql_bind *b, const struct tn_json *node,
    struct tn_sql_select *s, uint32_t n)
{
	const struct tn_json *chain[TN_SQL_JOINS_MAX];
	struct tn_sql_join *joins = tn_arena_zalloc(b->a,
	    (n + 1) * sizeof *joins);

	for (uint32_t i = n; i > 0; i--) {
		chain[i - 1] = tn_sql_body(node, "JoinExpr");
		node = tn_codec_json_get(chain[i - 1], "larg");
	}
	if (!bind_source(b, node, s))
		return false;
	b->no_agg = "JOIN conditions";
	for (uint32_t i = 0; i < n; i++) {
		if (!bind_join(b, chain[i], &joins[i]))
			return false;
		if (b->field_count > TN_COLUMNS_MAX) {
			(void)tn_sql_fail(b, b->here, "too_many", NULL,
			    "more than %d columns joined", TN_COLUMNS_MAX);
			return false;
		}
	}
	s->joins = joins;
	s->join_count = n;
	return true;
}

bool
tn_sql_from(struct tn_sql_bind *b, const struct tn_json *select,
    struct tn_sql_select *s)
{
	const struct tn_json *items;
	struct tn_schema *input;
	uint32_t n = tn_sql_list(select, "fromClause", &items);
	uint32_t joins = n == 1 ? count_joins(&items[0]) : 0;
	uint32_t most;

	if (n != 1) {
		(void)tn_sql_fail(b, n > 1 ? tn_sql_at(&items[1], b->here) :
		    b->here, "unsupported", n == 0 ?
		    "Name a stream, a reference table or a view: SELECT ... "
		    "FROM t." : "Write JOIN ... ON for a reference table.",
		    n == 0 ? "SELECT without FROM is not supported" :
		    "a list in FROM is not supported");
		return false;
	}
	if (joins > TN_SQL_JOINS_MAX) {
		(void)tn_sql_fail(b, b->here, "too_many", NULL,
		    "at most %d joins", TN_SQL_JOINS_MAX);
		return false;
	}
	most = (joins + 1) * TN_COLUMNS_MAX + TN_SQL_HIDDEN;
	b->fields = tn_arena_alloc(b->a, most * sizeof *b->fields);
	b->used = tn_arena_zalloc(b->a, most);
	if (!bind_joins(b, &items[0], s, joins))
		return false;
	input = tn_arena_zalloc(b->a, sizeof *input);
	input->name = s->source;
	input->count = b->field_count;
	input->fields = b->fields;
	s->input = input;
	s->used = b->used;
	return true;
}

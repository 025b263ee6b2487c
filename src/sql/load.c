/* A pipeline from its texts. All texts are parsed first; then tables are
 * bound, then views, then comments, so that the order of files and
 * statements does not matter. The first mistake ends it; what only all of them
 * together do wrong (loop.c) is looked at when views are bound. */
#include "sql/sql_int.h"

#include <stdlib.h>
#include <string.h>

/* One statement and the text it stands in. */
struct statement {
	const struct tn_sql_text *text;
	struct tn_slice kind;
	const struct tn_json *body;
	uint32_t from;
	uint32_t end;
	uint32_t at;          /* First token. */
	bool builtin;
};
struct loading {
	struct tn_sql_pipeline *p;
	struct tn_diag *d;
	struct statement *statements;
	uint32_t count;
	struct tn_sql_table **tables;
	struct tn_sql_view **views;
	struct tn_sql_setting *settings;
	struct tn_slice *view_names;
	uint32_t view_name_count;
	const struct tn_sql_builtin *more;
	bool builtin;         /* Its text is being read; */
	bool pass_over;       /* its table is not wanted. */
};

/* Statements of PostgreSQL that have no place in a pipeline. */
static const struct {
	const char *kind;
	const char *what;
	const char *hint;
} refused[] = {
	{ "SelectStmt", "SELECT", "A pipeline holds definitions; ask with "
	    "tarn sql 'SELECT ...'." },
	{ "InsertStmt", "INSERT", "Send rows to the stream: tarn load, or "
	    "POST /api/v1/streams/NAME." },
	{ "UpdateStmt", "UPDATE", "Events do not change; send a row with "
	    "the same key to a reference table." },
	{ "DeleteStmt", "DELETE", "Events stay; see retention." },
	{ "MergeStmt", "MERGE", "Send rows to the stream." },
	{ "CopyStmt", "COPY", "Use tarn load STREAM FILE." },
	{ "ViewStmt", "CREATE VIEW", "Write CREATE MATERIALIZED VIEW." },
	{ "GrantStmt", "GRANT", "This version does not have it." },
	{ "GrantRoleStmt", "GRANT", "This version does not have it." },
	{ "CreateRoleStmt", "CREATE ROLE", "This version does not have "
	    "it." },
	{ "SecLabelStmt", "SECURITY LABEL", "This version does not have "
	    "it." },
	{ "CreatePolicyStmt", "CREATE POLICY", "This version does not have "
	    "it." },
	{ "AlterTableStmt", "ALTER TABLE", "Change the CREATE TABLE "
	    "instead." },
	{ "RenameStmt", "RENAME", "Change the definition instead." },
	{ "DropStmt", "DROP", "Take the definition out of the text." },
	{ "TruncateStmt", "TRUNCATE", "Events stay; see retention." },
	{ "IndexStmt", "CREATE INDEX", "Leave it out; views are the "
	    "indexes." },
	{ "CreateFunctionStmt", "CREATE FUNCTION", "tarn help sql lists "
	    "the functions." },
	{ "CreateTrigStmt", "CREATE TRIGGER", "Use CHECK, DEFAULT and "
	    "GENERATED." },
	{ "CreateSchemaStmt", "CREATE SCHEMA", "Names stand alone; leave "
	    "it out." },
	{ "CreateExtensionStmt", "CREATE EXTENSION", "Leave it out." },
	{ "CreateSeqStmt", "CREATE SEQUENCE", "Every row of a stream has "
	    "its _offset." },
	{ "CreateEnumStmt", "CREATE TYPE", "Use text with CHECK (x IN "
	    "('a', 'b'))." },
	{ "CompositeTypeStmt", "CREATE TYPE", "Use columns, or jsonb." },
	{ "CreateDomainStmt", "CREATE DOMAIN", "Use CHECK on the column." },
	{ "CreateForeignTableStmt", "CREATE FOREIGN TABLE", "Use tarn "
	    "load." },
	{ "CreatePublicationStmt", "CREATE PUBLICATION", "Read the views "
	    "over HTTP." },
	{ "VariableSetStmt", "SET", "Write ALTER SYSTEM SET name = "
	    "value." },
	{ "VariableShowStmt", "SHOW", "Ask the running server." },
	{ "TransactionStmt", "BEGIN and COMMIT", "Leave them out; a "
	    "pipeline is taken as a whole." },
	{ "RefreshMatViewStmt", "REFRESH", "Views are always up to date." },
	{ "ExplainStmt", "EXPLAIN", "Use tarn check." },
	{ "DoStmt", "DO", "Leave it out." },
};

static bool
is_definition(struct tn_slice kind)
{
	return tn_slice_is(kind, "CreateStmt") ||
	    tn_slice_is(kind, "CreateTableAsStmt") ||
	    tn_slice_is(kind, "CommentStmt") ||
	    tn_slice_is(kind, "AlterSystemStmt");
}

static struct tn_sql_bind
bind_for(const struct loading *l, const struct statement *s)
{
	return (struct tn_sql_bind){ .a = l->p->arena, .d = l->d,
	    .text = s->text, .pipe = l->p, .here = s->at,
	    .view_names = l->view_names,
	    .view_name_count = l->view_name_count };
}

static enum tn_status
refuse(const struct loading *l, const struct statement *s)
{
	struct tn_sql_bind b = bind_for(l, s);

	for (size_t i = 0; i < TN_COUNT(refused); i++)
		if (tn_slice_is(s->kind, refused[i].kind))
			(void)tn_sql_fail(&b, s->at, "unsupported",
			    refused[i].hint, "%s is not supported",
			    refused[i].what);
	(void)tn_sql_fail(&b, s->at, "unsupported",
	    "A pipeline has CREATE TABLE, CREATE MATERIALIZED VIEW, COMMENT "
	    "ON and ALTER SYSTEM SET.", "this statement is not supported");
	return b.st;
}

/* ---- reading --------------------------------------------------------- */

static enum tn_status
add_statement(struct loading *l, const struct tn_sql_text *text,
    const struct tn_json *raw)
{
	struct statement *s = &l->statements[l->count];
	uint32_t at, n = (uint32_t)tn_sql_int(raw, "stmt_len");

	if (l->count == TN_SQL_STATEMENTS_MAX) {
		tn_sql_text_place(text, 0, l->d);
		return tn_diag_set(l->d, TN_EINVAL, "too_many",
		    "more than %d statements", TN_SQL_STATEMENTS_MAX);
	}
	s->text = text;
	s->builtin = l->builtin;
	s->from = (uint32_t)tn_sql_int(raw, "stmt_location");
	s->end = n == 0 ? text->n : s->from + n;
	at = s->from;
	s->at = tn_sql_token_next(text, &at, s->end).at;
	s->kind = tn_sql_kind(tn_codec_json_get(raw, "stmt"), &s->body);
	l->count++;
	if (tn_slice_is(s->kind, "CreateTableAsStmt"))
		l->view_names[l->view_name_count++] = tn_sql_str(
		    tn_codec_json_get(tn_codec_json_get(s->body, "into"),
		    "rel"), "relname");
	return is_definition(s->kind) ? TN_OK : refuse(l, s);
}

static enum tn_status
read_source(struct loading *l, const struct tn_sql_source *src)
{
	struct tn_sql_text *text = tn_arena_alloc(l->p->arena, sizeof *text);
	const struct tn_json *stmts;
	enum tn_status st;

	st = tn_sql_text_check(l->p->arena, src->name, src->text, text,
	    l->d);
	if (st == TN_OK)
		st = tn_sql_tree_parse(l->p->arena, text, &stmts, l->d);
	if (st != TN_OK || stmts == NULL)
		return st;
	for (uint32_t i = 0; i < stmts->count && st == TN_OK; i++)
		st = add_statement(l, text, &stmts->items[i]);
	return st;
}

/* ---- settings -------------------------------------------------------- */

bool
tn_sql_setting_value(struct tn_sql_bind *b, const struct tn_json *set,
    const char **value)
{
	const struct tn_json *args, *c, *v;
	uint32_t n = tn_sql_list(set, "args", &args);
	struct tn_slice s;

	c = n == 1 ? tn_sql_body(&args[0], "A_Const") : NULL;
	if (c == NULL || !tn_sql_str_is(set, "kind", "VAR_SET_VALUE")) {
		(void)tn_sql_fail(b, b->here, "unsupported",
		    "Write ALTER SYSTEM SET name = 'value'.",
		    "this form of ALTER SYSTEM is not supported");
		return false;
	}
	v = tn_codec_json_get(c, "ival");
	if (v != NULL) {
		*value = tn_arena_printf(b->a, "%lld",
		    (long long)tn_sql_ival(b->text, v,
		    tn_sql_at(&args[0], b->here)));
		return true;
	}
	s = tn_sql_str(tn_codec_json_get(c, "sval"), "sval");
	if (s.n == 0)
		s = tn_sql_str(tn_codec_json_get(c, "fval"), "fval");
	v = tn_codec_json_get(c, "boolval");
	if (v != NULL)
		s = tn_slice_of(tn_sql_bool(v, "boolval") ? "true" :
		    "false");
	*value = tn_arena_strndup(b->a, (const char *)s.p, s.n);
	return true;
}

static enum tn_status
add_setting(struct loading *l, const struct statement *s)
{
	struct tn_sql_bind b = bind_for(l, s);
	const struct tn_json *set = tn_sql_body(tn_codec_json_get(s->body,
	    "setstmt"), "VariableSetStmt");
	struct tn_sql_setting *out = &l->settings[l->p->setting_count];
	struct tn_diag place = { .line = 0 };
	struct tn_slice name;

	if (set == NULL)
		set = tn_codec_json_get(s->body, "setstmt");
	name = tn_sql_str(set, "name");
	if (!tn_sql_setting_value(&b, set, &out->value))
		return b.st;
	for (uint32_t i = 0; i < l->p->setting_count; i++) {
		if (!tn_slice_is(name, l->settings[i].name))
			continue;
		(void)tn_sql_fail(&b, s->at, "duplicate_setting",
		    "Keep one of them.", "setting \"%s\" is given twice",
		    l->settings[i].name);
		return b.st;
	}
	tn_sql_text_place(s->text, s->at, &place);
	out->name = tn_arena_strndup(b.a, (const char *)name.p, name.n);
	out->file = s->text->name;
	out->line = place.line;
	out->column = place.column;
	l->p->setting_count++;
	return TN_OK;
}

/* ---- tables and views ------------------------------------------------ */

static bool
check_free(struct tn_sql_bind *b, const char *name)
{
	struct tn_slice s = tn_slice_of(name);

	if (tn_sql_table(b->pipe, s) == NULL &&
	    tn_sql_view(b->pipe, s) == NULL)
		return true;
	(void)tn_sql_fail(b, b->here, "duplicate_table",
	    "Give one of them another name.",
	    "relation \"%s\" already exists", name);
	return false;
}

/* What counts as a table's definition: columns, constraints and what says
 * when. How long rows are kept, say, may change without making silver anew. */
static const char *
table_definition(const struct loading *l, const struct statement *s,
    const struct tn_sql_table *t)
{
	uint32_t at = s->from, depth = 0;
	struct tn_sql_token tok = tn_sql_token_next(s->text, &at, s->end);
	const char *columns;

	while (tok.kind != TN_SQL_TOK_END) {
		const char *p = s->text->p + tok.at;

		depth += tok.n == 1 && p[0] == '(';
		if (tok.n == 1 && p[0] == ')' && --depth == 0)
			break;
		tok = tn_sql_token_next(s->text, &at, s->end);
	}
	columns = tn_sql_text_canonical(l->p->arena, s->text, s->from, at);
	return t->event_time < 0 ? columns : tn_arena_printf(l->p->arena,
	    "%s with (event_time = '%s')", columns,
	    t->schema->fields[t->event_time].name);
}

/* Is our own table wanted? The user's come first. */
static bool
is_wanted(const struct loading *l, const struct statement *s)
{
	struct tn_slice name = tn_sql_str(tn_codec_json_get(s->body,
	    "relation"), "relname");

	for (uint32_t i = 0; i < l->p->setting_count; i++)
		if (strcmp(l->settings[i].name, l->more->setting) == 0 &&
		    strcmp(l->settings[i].value, "off") == 0)
			return false;
	for (uint32_t i = 0; i < l->view_name_count; i++)
		if (tn_slice_eq(name, l->view_names[i]))
			return false;
	return tn_sql_table(l->p, name) == NULL;
}

static enum tn_status
add_table(struct loading *l, const struct statement *s)
{
	struct tn_sql_bind b = bind_for(l, s);
	const struct tn_sql_table *t;

	l->pass_over = s->builtin && !is_wanted(l, s);
	if (l->pass_over)
		return TN_OK;
	t = tn_sql_table_bind(&b, s->body, s->at);

	b.here = (uint32_t)tn_sql_int(tn_codec_json_get(s->body,
	    "relation"), "location");
	if (t == NULL || !check_free(&b, t->name))
		return b.st;
	l->tables[l->p->table_count] = (struct tn_sql_table *)t;
	l->tables[l->p->table_count]->builtin = s->builtin;
	l->tables[l->p->table_count++]->definition = table_definition(l, s, t);
	return TN_OK;
}

/* What counts as a view's definition: from AS on. How it is shown may
 * change without computing it again. */
static const char *
view_definition(const struct loading *l, const struct statement *s,
    const char *name)
{
	uint32_t at = s->from, depth = 0;
	struct tn_sql_token tok = tn_sql_token_next(s->text, &at, s->end);

	while (tok.kind != TN_SQL_TOK_END) {
		const char *p = s->text->p + tok.at;

		depth += tok.n == 1 && p[0] == '(';
		depth -= tok.n == 1 && p[0] == ')' && depth > 0;
		if (depth == 0 && tok.kind == TN_SQL_TOK_WORD &&
		    tok.n == 2 && (p[0] | 32) == 'a' && (p[1] | 32) == 's')
			break;
		tok = tn_sql_token_next(s->text, &at, s->end);
	}
	return tn_arena_printf(l->p->arena,
	    "create materialized view %s as %s", name,
	    tn_sql_text_canonical(l->p->arena, s->text, at, s->end));
}

static enum tn_status
add_view(struct loading *l, const struct statement *s)
{
	struct tn_sql_bind b = bind_for(l, s);
	const struct tn_sql_view *v = tn_sql_view_bind(&b, s->body, s->at);

	b.here = (uint32_t)tn_sql_int(tn_codec_json_get(tn_codec_json_get(
	    s->body, "into"), "rel"), "location");
	if (v == NULL || !check_free(&b, v->name))
		return b.st;
	l->views[l->p->view_count] = (struct tn_sql_view *)v;
	l->views[l->p->view_count++]->definition = view_definition(l, s,
	    v->name);
	return TN_OK;
}

/* The place of a view's option publish. */
static uint32_t
publish_at(struct tn_sql_bind *b, const struct statement *s)
{
	const struct tn_json *items;
	uint32_t n = tn_sql_list(tn_codec_json_get(s->body, "into"),
	    "options", &items);
	struct tn_sql_opt o;

	for (uint32_t i = 0; i < n; i++)
		if (tn_sql_opt_read(b, &items[i], &o) &&
		    tn_slice_is(o.name, "publish"))
			return o.at;
	return s->at;
}

static enum tn_status
refuse_loops(struct loading *l)
{
	struct tn_sql_loop loop;
	struct tn_sql_bind b;
	uint32_t view = 0, i = 0;

	if (!tn_sql_loop_find(l->p, &loop))
		return TN_OK;
	/* Views are still in the order of their statements. */
	for (; i < l->count; i++)
		if (tn_slice_is(l->statements[i].kind, "CreateTableAsStmt") &&
		    view++ == loop.view)
			break;
	tn_assert(i < l->count);
	b = bind_for(l, &l->statements[i]);
	(void)tn_sql_fail(&b, publish_at(&b, &l->statements[i]), "topic_loop",
	    "Publish to a topic that no stream on this way takes, as "
	    "'views/NAME/{column}', or make mqtt of one of them narrower. "
	    "Into a stream from which nothing leads back, a view may "
	    "publish.", "%s", loop.message);
	return b.st;
}

/* ---- comments -------------------------------------------------------- */

/* What a comment is on. */
struct target {
	struct tn_slice rel;
	struct tn_slice column;
	bool is_view;
	bool is_column;
};

/* Where the object's name stands: behind COMMENT ON and its kind. */
static uint32_t
target_at(const struct statement *s)
{
	uint32_t at = s->from;
	struct tn_sql_token tok = tn_sql_token_next(s->text, &at, s->end);

	for (int i = 0; i < 2; i++)
		tok = tn_sql_token_next(s->text, &at, s->end);
	if (tok.n == 12)      /* MATERIALIZED VIEW */
		(void)tn_sql_token_next(s->text, &at, s->end);
	return tn_sql_token_next(s->text, &at, s->end).at;
}

static bool
read_target(struct tn_sql_bind *b, const struct tn_json *body,
    struct target *t)
{
	const struct tn_json *parts;
	struct tn_slice type = tn_sql_str(body, "objtype");
	uint32_t n = tn_sql_list(body, "object", &parts);

	t->is_view = tn_slice_is(type, "OBJECT_MATVIEW");
	t->is_column = tn_slice_is(type, "OBJECT_COLUMN");
	if (!t->is_view && !t->is_column &&
	    !tn_slice_is(type, "OBJECT_TABLE")) {
		(void)tn_sql_fail(b, b->here, "unsupported",
		    "Comments go ON TABLE, ON MATERIALIZED VIEW or ON "
		    "COLUMN.", "a comment on this is not supported");
		return false;
	}
	if (n > (t->is_column ? 2u : 1u) &&
	    tn_slice_is(tn_sql_string(&parts[0]), "public")) {
		parts++;
		n--;
	}
	if (n != (t->is_column ? 2u : 1u)) {
		(void)tn_sql_fail(b, b->here, "bad_comment",
		    t->is_column ? "Write ON COLUMN table.column." :
		    "Write the name alone.",
		    "the name of the comment's object is not right");
		return false;
	}
	t->rel = tn_sql_string(&parts[0]);
	t->column = t->is_column ? tn_sql_string(&parts[1]) :
	    tn_slice_of("");
	return true;
}

static enum tn_status
no_target(struct tn_sql_bind *b, const struct loading *l,
    const struct target *t, const struct tn_schema *schema)
{
	struct tn_slice word = schema != NULL ? t->column : t->rel;
	struct tn_sql_near near = { .word = word };
	bool table = tn_sql_table(l->p, t->rel) != NULL;
	uint32_t i;

	if (schema == NULL && (table || tn_sql_view(l->p, t->rel) != NULL)) {
		(void)tn_sql_fail(b, b->here, "bad_comment", table ?
		    "Write COMMENT ON TABLE." :
		    "Write COMMENT ON MATERIALIZED VIEW.",
		    "\"%.*s\" is a %s", (int)word.n, (const char *)word.p,
		    table ? "table" : "view");
		return b->st;
	}

	for (i = 0; schema != NULL && i < schema->count; i++)
		tn_sql_near_try(&near, schema->fields[i].name);
	for (i = 0; schema == NULL && i < l->p->table_count; i++)
		tn_sql_near_try(&near, l->tables[i]->name);
	for (i = 0; schema == NULL && i < l->p->view_count; i++)
		tn_sql_near_try(&near, l->views[i]->name);
	(void)tn_sql_fail(b, b->here, schema != NULL ? "unknown_column" :
	    "unknown_table", tn_sql_near_hint(b, &near, NULL),
	    "%s \"%.*s\" of the comment does not exist", schema != NULL ?
	    "column" : t->is_view ? "view" : "table", (int)word.n,
	    (const char *)word.p);
	return b->st;
}

static enum tn_status
add_comment(struct loading *l, const struct statement *s)
{
	struct tn_sql_bind b = bind_for(l, s);
	struct tn_slice words = tn_sql_str(s->body, "comment");
	const char *comment = words.n == 0 ? NULL : tn_arena_strndup(b.a,
	    (const char *)words.p, words.n);
	struct tn_sql_table *table;
	struct tn_sql_view *view;
	const struct tn_schema *schema;
	struct target t;
	int column;

	if (s->builtin && l->pass_over)
		return TN_OK;
	b.here = target_at(s);
	if (!read_target(&b, s->body, &t))
		return b.st;
	table = (struct tn_sql_table *)tn_sql_table(l->p, t.rel);
	view = (struct tn_sql_view *)tn_sql_view(l->p, t.rel);
	if ((table == NULL && view == NULL) ||
	    (t.is_view && view == NULL) ||
	    (!t.is_view && !t.is_column && table == NULL))
		return no_target(&b, l, &t, NULL);
	if (!t.is_column) {
		if (table != NULL)
			table->comment = comment;
		else
			view->comment = comment;
		return TN_OK;
	}
	schema = table != NULL ? table->schema : view->select->schema;
	column = tn_record_schema_find(schema, t.column);
	if (column < 0)
		return no_target(&b, l, &t, schema);
	if (table != NULL)
		table->column_comments[column] = comment;
	else
		view->column_comments[column] = comment;
	return TN_OK;
}

/* ---- the whole ------------------------------------------------------- */

static enum tn_status
each(struct loading *l, const char *kind,
    enum tn_status (*add)(struct loading *l, const struct statement *s))
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < l->count && st == TN_OK; i++)
		if (tn_slice_is(l->statements[i].kind, kind))
			st = add(l, &l->statements[i]);
	return st;
}

static int
by_name(const void *a, const void *b)
{
	/* Both structs are found through their pointers. */
	const struct tn_sql_table *x = *(struct tn_sql_table *const *)a;
	const struct tn_sql_table *y = *(struct tn_sql_table *const *)b;

	return strcmp(x->name, y->name);
}

static int
view_by_name(const void *a, const void *b)
{
	const struct tn_sql_view *x = *(struct tn_sql_view *const *)a;
	const struct tn_sql_view *y = *(struct tn_sql_view *const *)b;

	return strcmp(x->name, y->name);
}

static enum tn_status
bind_all(struct loading *l)
{
	enum tn_status st = each(l, "AlterSystemStmt", add_setting);

	if (st == TN_OK)
		st = each(l, "CreateStmt", add_table);
	if (st == TN_OK)
		st = each(l, "CreateTableAsStmt", add_view);
	if (st == TN_OK)
		st = refuse_loops(l);
	if (st == TN_OK)
		st = each(l, "CommentStmt", add_comment);
	if (st != TN_OK)
		return st;
	qsort(l->tables, l->p->table_count, sizeof *l->tables, by_name);
	qsort(l->views, l->p->view_count, sizeof *l->views, view_by_name);
	return TN_OK;
}

enum tn_status
tn_sql_load(struct tn_sql_pipeline **out,
    const struct tn_sql_source *sources, uint32_t count, struct tn_diag *d)
{
	return tn_sql_load_with(out, sources, count, NULL, d);
}

enum tn_status
tn_sql_load_with(struct tn_sql_pipeline **out,
    const struct tn_sql_source *sources, uint32_t count,
    const struct tn_sql_builtin *more, struct tn_diag *d)
{
	struct tn_diag spare;
	struct loading l = { .d = d != NULL ? d : &spare, .more = more };
	struct tn_arena *a = tn_arena_new(64 * 1024);
	enum tn_status st = TN_OK;
	size_t most = TN_SQL_STATEMENTS_MAX + 1;

	*out = NULL;
	memset(l.d, 0, sizeof *l.d);
	l.p = tn_arena_zalloc(a, sizeof *l.p);
	l.p->arena = a;
	l.statements = tn_arena_zalloc(a, most * sizeof *l.statements);
	l.tables = tn_arena_zalloc(a, most * sizeof *l.tables);
	l.views = tn_arena_zalloc(a, most * sizeof *l.views);
	l.settings = tn_arena_zalloc(a, most * sizeof *l.settings);
	l.view_names = tn_arena_zalloc(a, most * sizeof *l.view_names);
	l.p->tables = (const struct tn_sql_table *const *)l.tables;
	l.p->views = (const struct tn_sql_view *const *)l.views;
	l.p->settings = l.settings;
	for (uint32_t i = 0; i < count && st == TN_OK; i++)
		st = read_source(&l, &sources[i]);
	l.builtin = more != NULL;
	if (st == TN_OK && more != NULL)
		st = read_source(&l, &more->source);
	if (st == TN_OK)
		st = bind_all(&l);
	if (st == TN_OK)
		*out = l.p;
	else
		tn_arena_free(a);
	return st;
}

void
tn_sql_pipeline_free(struct tn_sql_pipeline *p)
{
	if (p != NULL)
		tn_arena_free(p->arena);
}

const struct tn_sql_table *
tn_sql_table(const struct tn_sql_pipeline *p, struct tn_slice name)
{
	for (uint32_t i = 0; i < p->table_count; i++)
		if (tn_slice_is(name, p->tables[i]->name))
			return p->tables[i];
	return NULL;
}

const struct tn_sql_view *
tn_sql_view(const struct tn_sql_pipeline *p, struct tn_slice name)
{
	for (uint32_t i = 0; i < p->view_count; i++)
		if (tn_slice_is(name, p->views[i]->name))
			return p->views[i];
	return NULL;
}

/* CREATE MATERIALIZED VIEW: an aggregated SELECT over one stream, and how
 * it is shown. */
#include "sql/sql_int.h"

#include <string.h>

static const char *const option_names[] = { "overview", "title", "x", "y",
    "series", "unit", "position", "description", "publish", "retention" };

static bool
check_statement(struct tn_sql_bind *b, const struct tn_json *body,
    const struct tn_json *into, uint32_t at)
{
	const struct tn_json *items;
	const char *what = NULL, *hint = "Leave it out.";

	if (!tn_sql_str_is(body, "objtype", "OBJECT_MATVIEW")) {
		what = "CREATE TABLE AS";
		hint = "Write CREATE MATERIALIZED VIEW ... AS SELECT.";
	} else if (tn_sql_bool(body, "if_not_exists")) {
		what = "IF NOT EXISTS";
		hint = "Leave it out: the text says what exists.";
	} else if (tn_sql_bool(into, "skipData")) {
		what = "WITH NO DATA";
	} else if (tn_sql_list(into, "colNames", &items) > 0) {
		what = "a list of column names";
		hint = "Name the outputs with AS.";
	} else if (tn_sql_str(into, "accessMethod").n > 0 ||
	    tn_sql_str(into, "tableSpaceName").n > 0) {
		what = "USING or TABLESPACE";
	}
	if (what == NULL)
		return true;
	(void)tn_sql_fail(b, at, "unsupported", hint, "%s is not supported",
	    what);
	return false;
}

/* ---- outputs --------------------------------------------------------- */

static bool
check_output(struct tn_sql_bind *b, const struct tn_sql_select *s,
    uint32_t i)
{
	const char *name = s->outputs[i].name;
	uint32_t at = s->outputs[i].expr->at;

	if (strcmp(name, "?column?") == 0) {
		(void)tn_sql_fail(b, at, "unnamed_output",
		    "Give it a name: expression AS name.",
		    "output %u of the view has no name", i + 1);
		return false;
	}
	if (!tn_sql_column_check(b, tn_slice_of(name), at))
		return false;
	for (uint32_t k = 0; k < i; k++) {
		if (strcmp(name, s->outputs[k].name) != 0)
			continue;
		(void)tn_sql_fail(b, at, "duplicate_column",
		    "Give one of them another name with AS.",
		    "column \"%s\" specified more than once", name);
		return false;
	}
	if (s->schema->fields[i].type.id != TN_T_INTERVAL)
		return true;
	(void)tn_sql_fail(b, at, "unsupported",
	    "Take seconds: extract(epoch from x).",
	    "an output of type interval in a view is not supported");
	return false;
}

static bool
check_select(struct tn_sql_bind *b, const struct tn_sql_select *s,
    const struct tn_json *query, uint32_t at)
{
	const struct tn_json *items;
	const char *what = NULL;

	if (tn_sql_list(query, "sortClause", &items) > 0)
		what = "ORDER BY";
	else if (s->limit >= 0 || s->offset > 0 ||
	    tn_codec_json_get(query, "limitCount") != NULL ||
	    tn_codec_json_get(query, "limitOffset") != NULL)
		what = "LIMIT and OFFSET";
	else if (s->distinct)
		what = "DISTINCT";
	if (what != NULL) {
		(void)tn_sql_fail(b, at, "unsupported",
		    s->distinct ? "Use GROUP BY." :
		    "Put it into the query that reads the view.",
		    "%s in a view is not supported", what);
		return false;
	}
	if (!s->aggregated) {
		(void)tn_sql_fail(b, at, "unsupported",
		    "Add GROUP BY and aggregates; single rows are queried "
		    "from the stream itself.",
		    "a view without aggregates is not supported");
		return false;
	}
	for (uint32_t i = 0; i < s->output_count; i++)
		if (!check_output(b, s, i))
			return false;
	return true;
}

static const int *
group_outputs(struct tn_sql_bind *b, const struct tn_sql_select *s)
{
	int *out = tn_arena_alloc(b->a, (s->group_count + 1) * sizeof *out);

	for (uint32_t g = 0; g < s->group_count; g++) {
		out[g] = -1;
		for (uint32_t i = s->output_count; i > 0; i--) {
			const struct tn_sql_expr *e = s->outputs[i - 1].expr;

			if (e->node == TN_SQL_COLUMN && e->column == g)
				out[g] = (int)i - 1;
		}
	}
	return out;
}

/* ---- options --------------------------------------------------------- */

static int
find_output(const struct tn_sql_select *s, struct tn_slice name)
{
	return tn_record_schema_find(s->schema, name);
}

static bool
no_output(struct tn_sql_bind *b, const struct tn_sql_select *s,
    const struct tn_sql_opt *o, struct tn_slice name)
{
	struct tn_sql_near near = { .word = name };

	for (uint32_t i = 0; i < s->output_count; i++)
		tn_sql_near_try(&near, s->outputs[i].name);
	(void)tn_sql_fail(b, o->at, "unknown_column",
	    tn_sql_near_hint(b, &near, "Name outputs of this view."),
	    "%.*s: the view has no output \"%.*s\"", (int)o->name.n,
	    (const char *)o->name.p, name.n > 60 ? 60 : (int)name.n,
	    (const char *)name.p);
	return false;
}

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = (struct tn_slice){ s.p + 1, s.n - 1 };
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* One name, or several with commas between; numbers for y. */
static bool
check_columns(struct tn_sql_bind *b, const struct tn_sql_select *s,
    const struct tn_sql_opt *o, bool many, bool number)
{
	struct tn_slice rest = o->value, name;
	const uint8_t *comma;
	int i;

	do {
		comma = many ? memchr(rest.p, ',', rest.n) : NULL;
		name = comma == NULL ? rest : (struct tn_slice){ rest.p,
		    (size_t)(comma - rest.p) };
		rest = (struct tn_slice){ rest.p + name.n + 1,
		    comma == NULL ? 0 : rest.n - name.n - 1 };
		name = trim(name);
		i = find_output(s, name);
		if (i < 0)
			return no_output(b, s, o, name);
		if (!number || tn_sql_is_number(s->schema->fields[i].type))
			continue;
		(void)tn_sql_fail(b, o->at, "type_mismatch",
		    "Name outputs that are numbers.",
		    "y: output \"%s\" has type %s", s->outputs[i].name,
		    tn_sql_type_text(b, s->schema->fields[i].type));
		return false;
	} while (comma != NULL);
	return true;
}

static bool
check_overview(struct tn_sql_bind *b, const struct tn_sql_opt *o)
{
	static const char *const kinds[] = { "tile", "line", "bar",
	    "heatmap", "table" };
	struct tn_sql_near near = { .word = o->value };

	for (size_t i = 0; i < TN_COUNT(kinds); i++) {
		if (tn_slice_is(o->value, kinds[i]))
			return true;
		tn_sql_near_try(&near, kinds[i]);
	}
	(void)tn_sql_fail(b, o->at, "bad_option", tn_sql_near_hint(b, &near,
	    "Write tile, line, bar, heatmap or table."),
	    "unknown overview \"%.*s\"", o->value.n > 60 ? 60 :
	    (int)o->value.n, (const char *)o->value.p);
	return false;
}

/* What has no time does not grow old. */
static bool
bind_retention(struct tn_sql_bind *b, struct tn_sql_view *v,
    const struct tn_sql_opt *o)
{
	if (v->select->bucket_group >= 0)
		return tn_sql_retention_bind(b, o, &v->retention_us);
	(void)tn_sql_fail(b, o->at, "bad_option",
	    "Group it by date_trunc or date_bin of a time, or leave the "
	    "option out: retention of a table is of its rows.",
	    "view \"%s\" has no time bucket, which its retention goes by",
	    v->name);
	return false;
}

static bool
check_option(struct tn_sql_bind *b, struct tn_sql_view *v,
    const struct tn_sql_opt *o)
{
	const struct tn_sql_select *s = v->select;
	int64_t n;

	if (tn_slice_is(o->name, "overview"))
		return check_overview(b, o);
	if (tn_slice_is(o->name, "publish"))
		return tn_sql_publish_check(b, o, s->schema);
	if (tn_slice_is(o->name, "retention"))
		return bind_retention(b, v, o);
	if (tn_slice_is(o->name, "x") || tn_slice_is(o->name, "series"))
		return check_columns(b, s, o, false, false);
	if (tn_slice_is(o->name, "y"))
		return check_columns(b, s, o, true, true);
	if (tn_slice_is(o->name, "position")) {
		if (tn_parse_i64(o->value, &n) && n >= 0 && n <= 1000000)
			return true;
		(void)tn_sql_fail(b, o->at, "bad_option",
		    "Write a whole number, as in position = 10.",
		    "\"%.*s\" is not a position", o->value.n > 60 ? 60 :
		    (int)o->value.n, (const char *)o->value.p);
		return false;
	}
	for (size_t i = 0; i < TN_COUNT(option_names); i++)
		if (tn_slice_is(o->name, option_names[i]))
			return true;
	return tn_sql_opt_unknown(b, o, option_names,
	    TN_COUNT(option_names), "view");
}

static bool
bind_options(struct tn_sql_bind *b, const struct tn_json *into,
    struct tn_sql_view *v)
{
	const struct tn_json *items;
	uint32_t n = tn_sql_list(into, "options", &items);
	struct tn_sql_option *pairs = tn_arena_zalloc(b->a,
	    (n + 1) * sizeof *pairs);
	struct tn_sql_opt o;

	for (uint32_t i = 0; i < n; i++) {
		if (!tn_sql_opt_read(b, &items[i], &o) ||
		    !check_option(b, v, &o))
			return false;
		for (uint32_t k = 0; k < i; k++) {
			if (!tn_slice_is(o.name, pairs[k].name))
				continue;
			(void)tn_sql_fail(b, o.at, "bad_option", NULL,
			    "option \"%s\" given twice", pairs[k].name);
			return false;
		}
		pairs[i].name = tn_arena_strndup(b->a,
		    (const char *)o.name.p, o.name.n);
		pairs[i].value = tn_arena_strndup(b->a,
		    (const char *)o.value.p, o.value.n);
	}
	v->options = pairs;
	v->option_count = n;
	return true;
}

const struct tn_sql_view *
tn_sql_view_bind(struct tn_sql_bind *b, const struct tn_json *body,
    uint32_t at)
{
	const struct tn_json *into = tn_codec_json_get(body, "into");
	const struct tn_json *rel = tn_codec_json_get(into, "rel");
	const struct tn_json *query = tn_sql_body(
	    tn_codec_json_get(body, "query"), "SelectStmt");
	struct tn_sql_view *v = tn_arena_zalloc(b->a, sizeof *v);
	uint32_t rel_at = (uint32_t)tn_sql_int(rel, "location");
	struct tn_slice name;

	if (!check_statement(b, body, into, at) ||
	    !tn_sql_relation_name(b, rel, rel_at, &name) ||
	    !tn_sql_relation_check(b, name, rel_at))
		return NULL;
	if (query == NULL)
		return tn_sql_fail(b, at, "unsupported",
		    "Write AS SELECT ... GROUP BY.",
		    "a view is made of a SELECT");
	v->name = tn_arena_strndup(b->a, (const char *)name.p, name.n);
	b->mode = TN_SQL_IN_VIEW;
	v->select = tn_sql_select_bind(b, query, rel_at);
	if (v->select == NULL || !check_select(b, v->select, query, rel_at))
		return NULL;
	if (!bind_options(b, into, v))
		return NULL;
	v->group_output = group_outputs(b, v->select);
	v->column_comments = tn_arena_zalloc(b->a, v->select->output_count *
	    sizeof *v->column_comments);
	return v;
}

/* DELETE FROM stream WHERE condition: which rows a person wants erased.
 *
 *   DELETE FROM badge WHERE employee_id = 'e17' AND ts < now() - interval '2 years'
 *
 * Here a text becomes a stream and a condition over its columns and the hidden
 * ones; batch erases the rows (batch/erase.c). What is made of rows (views), what
 * is not rows of a stream (reference tables, objects) and what is past (as_of) is
 * refused with what to do instead, and so is DELETE without a condition. */
#include "sql/sql_int.h"

#include <string.h>

bool
tn_sql_is_delete(struct tn_slice text)
{
	return tn_sql_text_begins(text, "delete");
}

static bool
refuse(struct tn_sql_bind *b, const char *what, const char *hint)
{
	return tn_sql_fail(b, b->here, "unsupported", hint,
	    "DELETE %s is not supported", what) != NULL;
}

/* FROM of a SELECT, so that names mean the same in both. */
static bool
bind_from(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_select *s)
{
	const struct tn_json *rel = tn_codec_json_get(body, "relation");
	struct tn_json item = { .kind = TN_JSON_OBJECT, .count = 1 };
	struct tn_json list = { .kind = TN_JSON_ARRAY, .count = 1,
	    .items = &item };
	struct tn_json select = { .kind = TN_JSON_OBJECT, .count = 1,
	    .items = &list };
	struct tn_slice item_key = tn_slice_of("RangeVar");
	struct tn_slice select_key = tn_slice_of("fromClause");

	if (rel == NULL)
		return refuse(b, "of this", "DELETE FROM stream WHERE ...");
	item.items = (struct tn_json *)(uintptr_t)rel;
	item.keys = &item_key;
	select.keys = &select_key;
	return tn_sql_from(b, &select, s);
}

static bool
check_table(struct tn_sql_bind *b, const struct tn_sql_select *s,
    const struct tn_sql_table *t)
{
	if (s->source_kind == TN_SQL_VIEW)
		return refuse(b, "from a view", "Erase the rows that it is made "
		    "of: DELETE FROM its stream. The view follows.");
	if (s->source_kind == TN_SQL_REFERENCE)
		return refuse(b, "from a reference table", "Post the row again "
		    "with other values: its key keeps the newest. Old versions "
		    "stay, for joins of the past.");
	if (t == NULL || t->builtin)
		return refuse(b, "from a table of Tarn's own", "Objects go "
		    "with DELETE /api/v1/objects/{bucket}/{key}.");
	return true;
}

/* Columns that do not come from the row's bytes alone: hidden ones, defaults
 * (now() is one), and what is made of them. */
static bool
looks_at_arrival(const struct tn_sql_table *t, const uint8_t *used)
{
	uint32_t n = t->schema->count;

	for (uint32_t i = 0; i < n + TN_SQL_HIDDEN; i++)
		if (used[i] != 0 && (i >= n || t->defaults[i] != NULL ||
		    t->generated[i] != NULL))
			return true;
	return false;
}

static bool
bind_delete(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_delete *out)
{
	struct tn_sql_select *s = tn_arena_zalloc(b->a, sizeof *s);
	const struct tn_json *where = tn_codec_json_get(body, "whereClause");
	const struct tn_json *items;

	if (!bind_from(b, body, s))
		return false;
	out->table = tn_sql_table(b->pipe, tn_slice_of(s->source));
	if (!check_table(b, s, out->table))
		return false;
	if (tn_sql_list(body, "usingClause", &items) > 0)
		return refuse(b, "with USING", "Write the condition over the "
		    "stream's own columns.");
	if (tn_sql_list(body, "returningList", &items) > 0)
		return refuse(b, "with RETURNING", "SELECT the rows before.");
	if (tn_codec_json_get(body, "withClause") != NULL)
		return refuse(b, "with WITH", "Write the condition over the "
		    "stream's own columns.");
	if (where == NULL)
		return tn_sql_fail(b, b->here, "missing_where", "DELETE FROM "
		    "stream WHERE condition; WHERE true erases every row.",
		    "DELETE needs a condition") != NULL;
	b->no_agg = "WHERE";
	out->where = tn_sql_expr_bool(b, where, "WHERE");
	out->used = b->used;
	out->by_arrival = out->where != NULL &&
	    looks_at_arrival(out->table, b->used);
	return out->where != NULL;
}

enum tn_status
tn_sql_delete_parse(const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_delete **out, struct tn_diag *d)
{
	struct tn_sql_delete *del = tn_arena_zalloc(a, sizeof *del);
	struct tn_sql_bind *b = tn_arena_zalloc(a, sizeof *b);
	const struct tn_json *body;

	*out = NULL;
	*b = (struct tn_sql_bind){ .a = a, .d = d, .pipe = p,
	    .mode = TN_SQL_IN_QUERY, .no_agg = "DELETE" };
	body = tn_sql_statement(b, text, "DeleteStmt", "DELETE");
	if (body != NULL && bind_delete(b, body, del))
		*out = del;
	if (body == NULL && strcmp(d->code, "syntax") == 0)
		tn_diag_hint(d, "DELETE FROM stream WHERE condition: rows of "
		    "streams as they are now, not of the past");
	return b->st;
}

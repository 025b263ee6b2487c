/* What differs between two definitions of a table, for tarn plan: columns,
 * CHECKs, the key, what says when. The catalog's text has no other options
 * (options.c). Expressions are compared as trees: how they are
 * written does not count. */
#include "app/plan_int.h"

#include <stdio.h>
#include <string.h>

static void say(struct tn_buf *out, const char *fmt, ...) TN_PRINTF(2, 3);

static void
say(struct tn_buf *out, const char *fmt, ...)
{
	va_list ap;
	char line[400];

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	tn_buf_printf(out, "%s%s", out->n > 0 ? "; " : "", line);
}

static bool
same_value(const struct tn_column *a, const struct tn_column *b)
{
	return a == NULL || b == NULL ? a == b :
	    tn_record_compare(a, 0, b, 0) == 0;
}

/* Depth is bounded by the parser's. */
static bool
same_expr(const struct tn_sql_expr *a, const struct tn_sql_expr *b)
{
	bool same;

	if (a == NULL || b == NULL)
		return a == b;
	same = a->node == b->node && tn_record_type_eq(a->type, b->type) &&
	    a->fn == b->fn && a->column == b->column &&
	    same_value(a->value, b->value) && a->arg_count == b->arg_count;
	for (uint32_t i = 0; same && i < a->arg_count; i++)
		same = same_expr(a->args[i], b->args[i]);
	return same;
}

/* ---- columns --------------------------------------------------------- */

static void
diff_column(const struct tn_sql_table *was, uint32_t i,
    const struct tn_sql_table *is, uint32_t k, struct tn_buf *out)
{
	const struct tn_field *a = &was->schema->fields[i];
	const struct tn_field *b = &is->schema->fields[k];
	char x[48], y[48];

	if (!tn_record_type_eq(a->type, b->type))
		say(out, "column %s: %s becomes %s", a->name,
		    tn_record_type_name(a->type, x),
		    tn_record_type_name(b->type, y));
	if (a->not_null != b->not_null)
		say(out, "column %s: %s", a->name, b->not_null ?
		    "NOT NULL" : "may be null");
	if (!same_expr(was->defaults[i], is->defaults[k]))
		say(out, "column %s: its DEFAULT", a->name);
	if (!same_expr(was->generated[i], is->generated[k]))
		say(out, "column %s: how it is generated", a->name);
}

static void
diff_columns(const struct tn_sql_table *was, const struct tn_sql_table *is,
    struct tn_buf *out)
{
	char type[48];
	bool moved = false;

	for (uint32_t k = 0; k < is->schema->count; k++) {
		const struct tn_field *f = &is->schema->fields[k];
		int at = tn_record_schema_find(was->schema,
		    tn_slice_of(f->name));
		if (at < 0) {
			say(out, "column %s %s is new", f->name,
			    tn_record_type_name(f->type, type));
			continue;
		}
		moved = moved || (uint32_t)at != k;
		diff_column(was, (uint32_t)at, is, k, out);
	}
	for (uint32_t i = 0; i < was->schema->count; i++)
		if (tn_record_schema_find(is->schema,
		    tn_slice_of(was->schema->fields[i].name)) < 0)
			say(out, "column %s is gone",
			    was->schema->fields[i].name);
	if (moved && out->n == 0)
		say(out, "order of columns");
}

/* ---- checks ---------------------------------------------------------- */

static const struct tn_sql_check *
find_check(const struct tn_sql_table *t, const char *name)
{
	for (uint32_t i = 0; i < t->check_count; i++)
		if (strcmp(t->checks[i].name, name) == 0)
			return &t->checks[i];
	return NULL;
}

static void
diff_checks(const struct tn_sql_table *was, const struct tn_sql_table *is,
    struct tn_buf *out)
{
	for (uint32_t i = 0; i < is->check_count; i++) {
		const struct tn_sql_check *c = &is->checks[i];
		const struct tn_sql_check *old = find_check(was, c->name);
		if (old == NULL)
			say(out, "%s: CHECK (%.120s) is new", c->name,
			    c->text);
		else if (strcmp(old->text, c->text) != 0)
			say(out, "%s: CHECK (%.120s) becomes (%.120s)",
			    c->name, old->text, c->text);
	}
	for (uint32_t i = 0; i < was->check_count; i++)
		if (find_check(is, was->checks[i].name) == NULL)
			say(out, "%s: CHECK (%.120s) is gone",
			    was->checks[i].name, was->checks[i].text);
}

/* ---- the rest -------------------------------------------------------- */

static const char *
column_name(const struct tn_sql_table *t, int at)
{
	return at < 0 ? "" : t->schema->fields[at].name;
}

static bool
same_columns(const struct tn_sql_table *was, const uint32_t *a, uint32_t n,
    const struct tn_sql_table *is, const uint32_t *b)
{
	bool same = true;

	for (uint32_t i = 0; same && i < n; i++)
		same = strcmp(column_name(was, (int)a[i]),
		    column_name(is, (int)b[i])) == 0;
	return same;
}

static void
diff_rest(const struct tn_sql_table *was, const struct tn_sql_table *is,
    struct tn_buf *out)
{
	if (was->key_count != is->key_count || !same_columns(was, was->key,
	    was->key_count, is, is->key))
		say(out, "PRIMARY KEY");
	if (strcmp(column_name(was, was->event_time),
	    column_name(is, is->event_time)) != 0)
		say(out, "event_time");
}

void
tn_app_table_diff(const struct tn_sql_table *was,
    const struct tn_sql_table *is, struct tn_buf *out)
{
	diff_columns(was, is, out);
	diff_checks(was, is, out);
	diff_rest(was, is, out);
	if (out->n == 0)
		say(out, "its text");
}

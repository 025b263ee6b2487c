/* WITH options of tables and views, which are no part of a definition: how long
 * rows are kept, how a view is shown. The catalog knows definitions only, so
 * what a start runs with is noted beside them, "options:ID", a line each:
 *
 *   retention = 10 days
 *   title = Visits
 *
 * and tarn plan tells what a text would change of it. An option that is not
 * given is the default's line. What can go wrong: the catalog; what was never
 * noted has no difference. Notes of what is gone stay; ids are never given
 * twice. */
#include "app/plan_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 100                    /* Bytes shown of one. */

static void
options_key(char key[static 40], uint32_t id)
{
	snprintf(key, 40, "options:%u", (unsigned)id);
}

/* ---- as text ---------------------------------------------------------- */

static void
put_time(struct tn_buf *out, const char *name, int64_t us, const char *none)
{
	static const struct {
		int64_t us;
		const char *name;
	} units[] = { { INT64_C(86400000000), "days" },
		{ INT64_C(3600000000), "hours" },
		{ INT64_C(60000000), "minutes" },
		{ INT64_C(1000000), "seconds" }, { 1, "microseconds" } };
	size_t i = 0;

	if (us <= 0 || us == INT64_MAX) {
		tn_buf_printf(out, "%s = %s\n", name, us == INT64_MAX ?
		    "never" : none);
		return;
	}
	while (us % units[i].us != 0)
		i++;
	tn_buf_printf(out, "%s = %" PRId64 " %s\n", name, us / units[i].us,
	    units[i].name);
}

void
tn_app_table_options(const struct tn_sql_table *t, struct tn_buf *out)
{
	put_time(out, "bronze_retention", t->bronze_retention_us, "forever");
	put_time(out, "cold_after", t->cold_after_us, t->cold_after_us < 0 ?
	    "as cold_after is set" : "0");
	if (t->key_count > 0)
		put_time(out, "dedupe_window", t->dedupe_window_us, "0");
	put_time(out, "max_future_skew", t->max_future_skew_us, "0");
	tn_buf_str(out, "mqtt = ");
	for (uint32_t i = 0; i < t->topic_count; i++)
		tn_buf_printf(out, "%s%s", i > 0 ? ", " : "", t->topics[i]);
	tn_buf_char(out, '\n');
	put_time(out, "retention", t->retention_us, "forever");
	tn_buf_str(out, "sort_by = ");
	for (uint32_t i = 0; i < t->sort_count; i++)
		tn_buf_printf(out, "%s%s", i > 0 ? ", " : "",
		    t->schema->fields[t->sort_by[i]].name);
	tn_buf_char(out, '\n');
}

static int
by_name(const void *a, const void *b)
{
	const struct tn_sql_option *x = *(const struct tn_sql_option *const *)a;
	const struct tn_sql_option *y = *(const struct tn_sql_option *const *)b;

	return strcmp(x->name, y->name);
}

/* Their order does not count. A line is a line, whatever a text holds. */
void
tn_app_view_options(const struct tn_sql_view *v, struct tn_buf *out)
{
	const struct tn_sql_option **all = tn_alloc((v->option_count + 1ul) *
	    sizeof *all);

	for (uint32_t i = 0; i < v->option_count; i++)
		all[i] = &v->options[i];
	if (v->option_count > 1)
		qsort(all, v->option_count, sizeof *all, by_name);
	for (uint32_t i = 0; i < v->option_count; i++) {
		tn_buf_printf(out, "%s = ", all[i]->name);
		for (const char *p = all[i]->value; *p != '\0'; p++)
			tn_buf_char(out, *p == '\n' ? ' ' : *p);
		tn_buf_char(out, '\n');
	}
	tn_free(all);
}

/* ---- differences ------------------------------------------------------ */

/* The value of a name in such a text; p NULL: there is none. */
static struct tn_slice
value_of(const char *text, struct tn_slice name)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");
		if (n > name.n + 2 && memcmp(text, name.p, name.n) == 0 &&
		    strncmp(text + name.n, " = ", 3) == 0)
			return (struct tn_slice){ (const uint8_t *)text +
			    name.n + 3, n - name.n - 3 };
		text += n + (text[n] == '\n');
	}
	return (struct tn_slice){ NULL, 0 };
}

static void
say_value(struct tn_buf *out, struct tn_slice v)
{
	size_t n = v.n > VALUE_MAX ? VALUE_MAX : v.n;

	if (n == 0)
		tn_buf_str(out, "none");
	else
		tn_buf_printf(out, "%.*s%s", (int)n, (const char *)v.p,
		    n < v.n ? "..." : "");
}

/* What is new or other in ${is}; or, gone: what it lacks. */
static void
diff_lines(const char *was, const char *is, bool gone, struct tn_buf *out)
{
	const char *at = gone ? was : is;

	while (*at != '\0') {
		size_t line = strcspn(at, "\n"), n = strcspn(at, " ");
		struct tn_slice name = { (const uint8_t *)at, n };
		struct tn_slice a = value_of(was, name);
		struct tn_slice b = value_of(is, name);
		bool differs = gone ? b.p == NULL : a.p == NULL ||
		    !tn_slice_eq(a, b);
		if (differs) {
			tn_buf_printf(out, "%s%.*s: ", out->n > 0 ? "; " :
			    "", (int)n, at);
			say_value(out, a);
			tn_buf_str(out, " becomes ");
			say_value(out, b);
		}
		at += line + (at[line] == '\n');
	}
}

void
tn_app_options_diff(const char *was, const char *is, struct tn_buf *out)
{
	diff_lines(was, is, false, out);
	diff_lines(was, is, true, out);
}

/* ---- what runs -------------------------------------------------------- */

const char *
tn_app_options_noted(struct tn_catalog *cat, uint32_t id, struct tn_arena *a)
{
	const char *text = NULL;
	char key[40];

	options_key(key, id);
	return tn_catalog_get(cat, key, a, &text) == TN_OK ? text : NULL;
}

static enum tn_status
note(struct tn_catalog *cat, uint32_t id, struct tn_buf *text)
{
	struct tn_arena *a = tn_arena_new(1024);
	const char *was = tn_app_options_noted(cat, id, a);
	char key[40];
	enum tn_status st = TN_OK;

	options_key(key, id);
	if (was == NULL || strcmp(was, tn_buf_cstr(text)) != 0)
		st = tn_catalog_set(cat, key, tn_buf_cstr(text));
	tn_buf_clear(text);
	tn_arena_free(a);
	return st;
}

enum tn_status
tn_app_options_note(struct tn_catalog *cat, const struct tn_serving_model *m)
{
	struct tn_buf text = { 0 };
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++) {
		tn_app_table_options(m->streams[i].table, &text);
		st = note(cat, m->streams[i].id, &text);
	}
	for (uint32_t i = 0; st == TN_OK && i < m->view_count; i++) {
		if (!tn_serving_view_live(m, i))
			continue;
		tn_app_view_options(m->views[i].def, &text);
		st = note(cat, m->views[i].id, &text);
	}
	tn_buf_fini(&text);
	return st;
}

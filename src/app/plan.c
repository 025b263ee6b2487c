/* tarn plan: what a pipeline's text would change of what a data folder holds,
 * and what that costs.
 *
 *   tarn plan --config DIR --data DIR    a stopped folder
 *   tarn plan --config DIR --url URL     a running tarn is asked
 *
 * What is in force: of a table the newest definition in the catalog; of a view
 * the one whose gold was computed ("computed:ID"), which is the one that is
 * served. A table is dropped when the last start had it ("streams"); a view
 * when it is computed. Exit 0: nothing to do; 2: there are changes; 1: a
 * mistake, with file, line and column. */
#include "app/plan_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "governance/governance.h"
#include "ingest/ingest.h"
#include "os/os.h"
#include "serving/serving.h"

#define STREAMS "streams"
#define EXIT_CHANGES 2
#define APPLY "/api/v1/apply"
#define ROWS_PER_SECOND 400000   /* Of bronze into silver, with half a
				  * processor. */

struct planning {
	struct tn_app_plan *out;
	const struct tn_sql_pipeline *p;
	struct tn_catalog *cat;
	struct tn_lake *lake;
	const struct tn_catalog_snapshot *now;
	struct tn_diag *d;
};

static struct tn_app_planned *
add(struct planning *x, enum tn_catalog_kind kind, const char *name,
    enum tn_app_change change)
{
	struct tn_app_planned *o = &x->out->all[x->out->count++];

	*o = (struct tn_app_planned){ .change = change, .kind = kind,
	    .name = tn_arena_strdup(x->out->arena, name), .what = "" };
	x->out->changes += change != TN_PLAN_SAME;
	return o;
}

static void
add_cost(struct planning *x, struct tn_app_planned *o,
    enum tn_catalog_tier tier, uint32_t object)
{
	uint32_t first, n = x->now == NULL ? 0 : tn_catalog_snapshot_find(
	    x->now, tier, object, &first);

	for (uint32_t i = 0; i < n; i++) {
		o->rows += x->now->files[first + i].rows;
		o->bytes += x->now->files[first + i].bytes;
		o->files++;
	}
}

/* ---- tables ---------------------------------------------------------- */

struct bad {
	uint64_t rows, taken;            /* Of them, by an earlier start. */
};

/* Are quarantined rows of this code tried again? When one came is no rule that
 * could be mended; and what did not fit a definition in between was accepted:
 * the one in force decides of it by itself. */
static bool
is_tried(struct tn_slice code)
{
	return !tn_slice_is(code, "future") &&
	    !tn_slice_is(code, "definition_changed");
}

static enum tn_status
count_bad(void *arg, struct tn_batch *b)
{
	const int32_t *status = b->columns[TN_BRONZE_STATUS].values;
	const struct tn_column *line = &b->columns[TN_BRONZE_LINE];
	struct bad *n = arg;
	uint64_t offset;

	for (uint32_t i = 0; i < b->rows; i++) {
		n->rows += status[i] == TN_MARK_QUARANTINED &&
		    is_tried(tn_column_text(&b->columns[TN_BRONZE_CODE], i));
		n->taken += tn_column_valid(line, i) &&
		    tn_governance_again_of(tn_column_text(
		    &b->columns[TN_BRONZE_SOURCE], i),
		    ((const int64_t *)line->values)[i], &offset);
	}
	return TN_OK;
}

static enum tn_status
count_quarantine(struct planning *x, uint32_t object, uint64_t *out)
{
	uint8_t used[TN_BRONZE_RAW + 1] = { [TN_BRONZE_STATUS] = 1,
	    [TN_BRONZE_SOURCE] = 1, [TN_BRONZE_LINE] = 1,
	    [TN_BRONZE_CODE] = 1 };
	struct bad bad = { 0 };
	uint32_t first, n = x->now == NULL ? 0 : tn_catalog_snapshot_find(
	    x->now, TN_TIER_BRONZE, object, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < n; i++) {
		struct tn_lake_read r = {
		    .path = x->now->files[first + i].path,
		    .schema = &tn_governance_bronze, .used = used,
		    .each = count_bad, .arg = &bad };
		st = tn_lake_read(x->lake, &r, x->d);
	}
	*out = bad.rows > bad.taken ? bad.rows - bad.taken : 0;
	return st;
}

/* The old text as a table; NULL: this program does not take it any more. */
static const char *
table_diff(struct planning *x, const char *was,
    const struct tn_sql_table *is)
{
	struct tn_sql_source source = { "catalog", tn_slice_of(was) };
	struct tn_sql_pipeline *old = NULL;
	struct tn_buf b = { 0 };
	const char *text = "its text";

	if (tn_sql_load(&old, &source, 1, NULL) == TN_OK &&
	    old->table_count == 1) {
		tn_app_table_diff(old->tables[0], is, &b);
		text = tn_arena_strdup(x->out->arena, tn_buf_cstr(&b));
	}
	tn_buf_fini(&b);
	tn_sql_pipeline_free(old);
	return text;
}

static enum tn_catalog_kind
kind_of(const struct tn_sql_table *t)
{
	return t->kind == TN_SQL_REFERENCE ? TN_CATALOG_REFERENCE :
	    TN_CATALOG_STREAM;
}

/* Did the last start have that table? */
static bool
ran_with(struct planning *x, uint32_t id)
{
	const char *list = NULL;
	char word[16];
	uint32_t first;

	if (tn_catalog_get(x->cat, STREAMS, x->out->arena, &list) != TN_OK)
		return tn_catalog_snapshot_find(x->now, TN_TIER_BRONZE, id,
		    &first) > 0;
	snprintf(word, sizeof word, " %u ", (unsigned)id);
	return strstr(list, word) != NULL;
}

/* What changes of the options of an object that runs; "": nothing. */
static const char *
options_diff(struct planning *x, uint32_t id, struct tn_buf *is)
{
	const char *was = tn_app_options_noted(x->cat, id, x->out->arena);
	const char *text = "";
	struct tn_buf b = { 0 };

	if (was != NULL) {
		tn_app_options_diff(was, tn_buf_cstr(is), &b);
		text = tn_arena_strdup(x->out->arena, tn_buf_cstr(&b));
	}
	tn_buf_fini(&b);
	tn_buf_fini(is);
	return text;
}

/* Its definition stands: the options alone, or nothing. */
static void
plan_options(struct planning *x, enum tn_catalog_kind kind, const char *name,
    const char *diff)
{
	struct tn_app_planned *o = add(x, kind, name, diff[0] == '\0' ?
	    TN_PLAN_SAME : TN_PLAN_CHANGED);

	if (diff[0] == '\0')
		return;
	o->what = diff;
	o->restart = "other options";
	o->later = true;
	x->out->later++;
}

static void
add_what(struct planning *x, struct tn_app_planned *o, const char *more)
{
	if (more[0] != '\0')
		o->what = tn_arena_printf(x->out->arena, "%s; %s", o->what,
		    more);
}

static enum tn_status
plan_table(struct planning *x, const struct tn_sql_table *t)
{
	struct tn_buf options = { 0 };
	struct tn_catalog_name name = { .kind = kind_of(t), .name = t->name };
	struct tn_catalog_object held = { 0 };
	const char *was = NULL;
	struct tn_app_planned *o;
	enum tn_status st = x->cat == NULL ? TN_ENOTFOUND :
	    tn_catalog_defined(x->cat, &name, 0, x->out->arena, &held, &was);

	if (st == TN_ENOTFOUND) {
		o = add(x, name.kind, t->name, TN_PLAN_NEW);
		o->restart = "a new table";
		return TN_OK;
	}
	if (st != TN_OK)
		return st;
	if (strcmp(was, t->definition) == 0) {
		/* One that was left out for a while is not in the model. */
		if (ran_with(x, held.id)) {
			tn_app_table_options(t, &options);
			plan_options(x, name.kind, t->name, options_diff(x,
			    held.id, &options));
			return TN_OK;
		}
		o = add(x, name.kind, t->name, TN_PLAN_NEW);
		o->restart = "a new table";
		return TN_OK;
	}
	tn_app_table_options(t, &options);
	o = add(x, name.kind, t->name, TN_PLAN_CHANGED);
	o->what = table_diff(x, was, t);
	add_what(x, o, options_diff(x, held.id, &options));
	o->restart = "a table whose silver is made anew from bronze";
	add_cost(x, o, TN_TIER_BRONZE, held.id);
	return t->kind == TN_SQL_STREAM ? count_quarantine(x, held.id,
	    &o->quarantined) : TN_OK;
}

/* ---- views ----------------------------------------------------------- */

/* The version whose gold is served; 0: none. */
static uint32_t
computed(struct planning *x, uint32_t id)
{
	const char *text = NULL;
	char key[40];

	snprintf(key, sizeof key, "computed:%u", (unsigned)id);
	if (tn_catalog_get(x->cat, key, x->out->arena, &text) != TN_OK)
		return 0;
	return (uint32_t)strtoul(text, NULL, 10);
}

static const char *
view_diff(const char *was, const char *is)
{
	const char *a = strstr(was, "\n-- reads: ");
	const char *b = strstr(is, "\n-- reads: ");
	size_t n = a == NULL ? strlen(was) : (size_t)(a - was);
	size_t m = b == NULL ? strlen(is) : (size_t)(b - is);

	return n == m && memcmp(was, is, n) == 0 ? "a table that it reads" :
	    "its SELECT";
}

bool
tn_app_publishes(const struct tn_sql_view *v)
{
	for (uint32_t i = 0; i < v->option_count; i++)
		if (strcmp(v->options[i].name, "publish") == 0)
			return true;
	return false;
}

static bool
is_changed(const struct planning *x, const char *table)
{
	for (uint32_t i = 0; i < x->out->count; i++) {
		const struct tn_app_planned *o = &x->out->all[i];
		if (o->kind != TN_CATALOG_VIEW &&
		    strcmp(o->name, table) == 0)
			return o->change != TN_PLAN_SAME && !o->later;
	}
	return true;
}

/* A table of it that needs a restart needs it for the view, too. */
static const char *
view_restart(const struct planning *x, const struct tn_sql_view *v)
{
	const struct tn_sql_select *s = v->select;
	bool moved = is_changed(x, s->source);

	for (uint32_t i = 0; i < s->join_count; i++)
		moved = moved || is_changed(x, s->joins[i].table);
	return moved ? "a view of a table that changes" :
	    tn_app_publishes(v) ? "a view with publish" : NULL;
}

static void
view_cost(struct planning *x, struct tn_app_planned *o,
    const struct tn_sql_view *v)
{
	struct tn_catalog_name name = { .kind = TN_CATALOG_STREAM,
	    .name = v->select->source };
	struct tn_catalog_object t;
	const char *text;

	if (x->cat == NULL)
		return;
	if (tn_catalog_defined(x->cat, &name, 0, x->out->arena, &t,
	    &text) != TN_OK) {
		name.kind = TN_CATALOG_REFERENCE;
		if (tn_catalog_defined(x->cat, &name, 0, x->out->arena, &t,
		    &text) != TN_OK)
			return;
	}
	add_cost(x, o, TN_TIER_SILVER, t.id);
}

static enum tn_status
plan_view(struct planning *x, const struct tn_sql_view *v)
{
	struct tn_catalog_name name = { .kind = TN_CATALOG_VIEW,
	    .name = v->name };
	struct tn_catalog_object held = { 0 };
	struct tn_app_planned *o;
	struct tn_buf is = { 0 }, options = { 0 };
	const char *was = NULL;
	uint32_t version = 0;
	enum tn_status st = x->cat == NULL ? TN_ENOTFOUND :
	    tn_catalog_defined(x->cat, &name, 0, x->out->arena, &held, &was);

	if (st == TN_OK) {
		version = computed(x, held.id);
		st = version == 0 ? TN_ENOTFOUND : tn_catalog_defined(x->cat,
		    &name, version, x->out->arena, &held, &was);
	}
	if (st != TN_OK && st != TN_ENOTFOUND)
		return st;
	tn_serving_view_text(x->p, v, &is);
	tn_app_view_options(v, &options);
	if (st == TN_OK && strcmp(was, tn_buf_cstr(&is)) == 0) {
		plan_options(x, TN_CATALOG_VIEW, v->name, options_diff(x,
		    held.id, &options));
	} else {
		o = add(x, TN_CATALOG_VIEW, v->name, st == TN_OK ?
		    TN_PLAN_CHANGED : TN_PLAN_NEW);
		if (st == TN_OK) {
			o->what = view_diff(was, tn_buf_cstr(&is));
			add_what(x, o, options_diff(x, held.id, &options));
		}
		o->restart = view_restart(x, v);
		view_cost(x, o, v);
	}
	tn_buf_fini(&is);
	tn_buf_fini(&options);
	return TN_OK;
}

/* ---- what is gone ---------------------------------------------------- */

enum tn_status
tn_app_streams_note(struct tn_catalog *cat, const uint32_t *ids,
    uint32_t count)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_buf b = { 0 };
	const char *was = NULL;
	enum tn_status st;

	tn_buf_char(&b, ' ');
	for (uint32_t i = 0; i < count; i++)
		tn_buf_printf(&b, "%u ", (unsigned)ids[i]);
	st = tn_catalog_get(cat, STREAMS, a, &was);
	if (st == TN_ENOTFOUND || (st == TN_OK &&
	    strcmp(was, tn_buf_cstr(&b)) != 0))
		st = tn_catalog_set(cat, STREAMS, tn_buf_cstr(&b));
	tn_buf_fini(&b);
	tn_arena_free(a);
	return st;
}

static bool
is_named(const struct planning *x, const struct tn_catalog_name *n)
{
	const struct tn_sql_table *t = tn_sql_table(x->p,
	    tn_slice_of(n->name));

	return n->kind == TN_CATALOG_VIEW ? tn_sql_view(x->p,
	    tn_slice_of(n->name)) != NULL : t != NULL && kind_of(t) ==
	    n->kind;
}

static void
plan_gone(struct planning *x, const struct tn_catalog_name *names,
    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct tn_catalog_name *n = &names[i];
		bool view = n->kind == TN_CATALOG_VIEW;
		struct tn_app_planned *o;
		if (is_named(x, n) || (view ? computed(x, n->id) == 0 :
		    !ran_with(x, n->id)))
			continue;
		o = add(x, n->kind, n->name, TN_PLAN_DROPPED);
		if (!view)
			o->restart = "a table that goes";
		o->what = view ? "its gold stays until its snapshots expire" :
		    "its files stay";
	}
}

enum tn_status
tn_app_plan_make(struct tn_app_plan *out, const struct tn_sql_pipeline *p,
    struct tn_catalog *cat, struct tn_lake *lake, struct tn_diag *d)
{
	struct planning x = { .out = out, .p = p, .cat = cat, .lake = lake,
	    .d = d };
	struct tn_catalog_name *names = NULL;
	uint32_t count = 0;
	enum tn_status st = TN_OK;

	memset(out, 0, sizeof *out);
	out->arena = tn_arena_new(16384);
	if (cat != NULL) {
		x.now = tn_catalog_snapshot(cat);
		st = tn_catalog_names(cat, out->arena, &names, &count);
	}
	out->all = tn_arena_alloc(out->arena, ((size_t)p->table_count +
	    p->view_count + count + 1) * sizeof *out->all);
	for (uint32_t i = 0; st == TN_OK && i < p->table_count; i++)
		st = plan_table(&x, p->tables[i]);
	for (uint32_t i = 0; st == TN_OK && i < p->view_count; i++)
		st = plan_view(&x, p->views[i]);
	if (st == TN_OK && cat != NULL)
		plan_gone(&x, names, count);
	for (uint32_t i = 0; i < out->count; i++)
		out->restart = out->restart || (out->all[i].change !=
		    TN_PLAN_SAME && out->all[i].restart != NULL &&
		    !out->all[i].later);
	tn_catalog_snapshot_put(x.now);
	if (st != TN_OK && d->message[0] == '\0')
		(void)tn_diag_set(d, st, "plan_failed",
		    "the catalog could not be read: %s", tn_status_text(st));
	return st;
}

void
tn_app_plan_fini(struct tn_app_plan *p)
{
	if (p->arena != NULL)
		tn_arena_free(p->arena);
	memset(p, 0, sizeof *p);
}

/* ---- shown ----------------------------------------------------------- */

static const char *const kinds[] = { "", "stream", "reference", "view" };
static const char *const changes[] = { "unchanged", "new", "changed",
    "dropped" };

static void
put_line(struct tn_buf *out, const struct tn_app_planned *o)
{
	bool view = o->kind == TN_CATALOG_VIEW;

	tn_buf_printf(out, "%c %-9s %s", "=+~-"[o->change], kinds[o->kind],
	    o->name);
	if (o->what[0] != '\0')
		tn_buf_printf(out, ": %s", o->what);
	tn_buf_char(out, '\n');
	if (o->files > 0)
		tn_buf_printf(out, "    reads %" PRIu64 " rows of %s in %u "
		    "files, %.1f MiB\n", o->rows, view ? "silver" : "bronze",
		    (unsigned)o->files, (double)o->bytes / (1 << 20));
	if (o->quarantined > 0)
		tn_buf_printf(out, "    %" PRIu64 " quarantined rows are "
		    "tried again\n", o->quarantined);
	if (o->restart != NULL)
		tn_buf_printf(out, "    at the next start of tarn run: %s\n",
		    o->restart);
	if (o->restart != NULL && o->files > 0 && !view)
		tn_buf_printf(out, "    tarn apply makes it before, beside "
		    "the running one: about %" PRIu64 " s\n", 1 + o->rows /
		    ROWS_PER_SECOND);
}

void
tn_app_plan_text(const struct tn_app_plan *p, struct tn_buf *out)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->all[i].change != TN_PLAN_SAME)
			put_line(out, &p->all[i]);
	if (p->changes == 0)
		tn_buf_printf(out, "nothing to do: %u definitions are as "
		    "they stand\n", (unsigned)p->count);
	else
		tn_buf_printf(out, "%u changes, %u unchanged; %s\n",
		    (unsigned)p->changes, (unsigned)(p->count - p->changes),
		    p->restart ? "tarn apply prepares them and restarts the "
		    "server in place, or restart to make them" :
		    p->later == p->changes ? "restart to make them: the "
		    "start builds what is new" : p->later > 0 ?
		    "tarn apply makes them while it runs, but for options" :
		    "tarn apply makes them while it runs");
}

static void
put_text(struct tn_buf *out, const char *name, const char *text)
{
	tn_buf_printf(out, ",\"%s\":", name);
	if (text == NULL) {
		tn_buf_str(out, "null");
		return;
	}
	tn_buf_char(out, '"');
	tn_buf_json(out, text, strlen(text));
	tn_buf_char(out, '"');
}

void
tn_app_plan_json(const struct tn_app_plan *p, struct tn_buf *out)
{
	struct tn_buf text = { 0 };

	tn_app_plan_text(p, &text);
	tn_buf_printf(out, "{\"changes\":%u,\"restart\":%s,\"objects\":[",
	    (unsigned)p->changes, p->restart || p->later > 0 ? "true" :
	    "false");
	for (uint32_t i = 0; i < p->count; i++) {
		const struct tn_app_planned *o = &p->all[i];
		tn_buf_printf(out, "%s{\"kind\":\"%s\",\"change\":\"%s\"",
		    i > 0 ? "," : "", kinds[o->kind], changes[o->change]);
		put_text(out, "name", o->name);
		put_text(out, "what", o->what);
		put_text(out, "restart", o->restart);
		tn_buf_printf(out, ",\"rows\":%" PRIu64 ",\"files\":%u,"
		    "\"bytes\":%" PRIu64 ",\"quarantined\":%" PRIu64 "}",
		    o->rows, (unsigned)o->files, o->bytes, o->quarantined);
	}
	tn_buf_char(out, ']');
	put_text(out, "text", tn_buf_cstr(&text));
	tn_buf_char(out, '}');
	tn_buf_fini(&text);
}

/* ---- the command ----------------------------------------------------- */

static char *
join(const char *dir, const char *name)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s", dir, name);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

struct stores {
	struct tn_os_file *lock;
	struct tn_catalog *cat;
	struct tn_lake *lake;
};

/* Nothing is made where nothing is: then all is new. */
static enum tn_status
open_stores(const char *data, struct stores *s, struct tn_diag *d)
{
	char *lock = join(data, "lock"), *cat = join(data, "catalog.db");
	char *lake = join(data, "lake");
	enum tn_status st = TN_OK;

	if (tn_os_kind(cat) != TN_OS_NONE) {
		st = tn_os_lock(&s->lock, lock);
		if (st == TN_ECONFLICT)
			tn_diag_hint(d, "ask it: tarn plan --config DIR "
			    "--url http://...");
		if (st != TN_OK)
			(void)tn_diag_set(d, st, "data_in_use", st ==
			    TN_ECONFLICT ? "a tarn uses the data folder %s" :
			    "cannot use the data folder %s", data);
		if (st == TN_OK)
			st = tn_catalog_look(&s->cat, cat, d);
		if (st == TN_OK)
			st = tn_lake_open(&s->lake, lake, d);
	}
	tn_free(lock);
	tn_free(cat);
	tn_free(lake);
	return st;
}

static enum tn_status
load(const struct tn_app_args *a, struct tn_sql_pipeline **p,
    struct tn_diag *d)
{
	struct tn_app_settings set;
	enum tn_status st;

	if (a->config == NULL) {
		tn_diag_hint(d, "tarn plan --config DIR");
		return tn_diag_set(d, TN_EINVAL, "no_config",
		    "which pipeline? name its folder");
	}
	st = tn_app_load_dir(a->config, p, d);
	tn_app_settings_init(&set);
	return st == TN_OK ? tn_app_settings_apply(&set, *p, d) : st;
}

static int
plan_stopped(const struct tn_app_args *a)
{
	struct tn_sql_pipeline *p = NULL;
	struct tn_app_plan plan = { 0 };
	struct tn_diag d = { .line = 0 };
	struct stores s = { 0 };
	struct tn_buf out = { 0 };
	enum tn_status st = load(a, &p, &d);

	if (st == TN_OK)
		st = open_stores(a->data, &s, &d);
	if (st == TN_OK)
		st = tn_app_plan_make(&plan, p, s.cat, s.lake, &d);
	if (st == TN_OK && a->json)
		tn_app_plan_json(&plan, &out);
	else if (st == TN_OK)
		tn_app_plan_text(&plan, &out);
	if (st == TN_OK)
		printf("%s%s", tn_buf_cstr(&out), a->json ? "\n" : "");
	else
		tn_app_print_diag(&d);
	tn_buf_fini(&out);
	tn_lake_close(s.lake);
	tn_catalog_close(s.cat);
	tn_os_close(s.lock);
	tn_sql_pipeline_free(p);
	st = st == TN_OK && plan.changes > 0 ? TN_END : st;
	tn_app_plan_fini(&plan);
	return st == TN_OK ? TN_EXIT_OK : st == TN_END ? EXIT_CHANGES :
	    TN_EXIT_FAILED;
}

/* The .sql files of --config as {"files":[{"name":..,"text":..}]}; empty
 * without it: the server's own folder. */
static enum tn_status
put_files(const char *dir, struct tn_buf *out, struct tn_diag *d)
{
	char **names = NULL;
	size_t count = 0, n = 0;
	enum tn_status st = tn_os_list(dir, &names, &count);

	tn_buf_str(out, "{\"files\":[");
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(names[i]);
		char *path = join(dir, names[i]);
		struct tn_buf text = { 0 };
		if (st == TN_OK && length > 4 && names[i][0] != '.' &&
		    strcmp(names[i] + length - 4, ".sql") == 0) {
			st = tn_os_read_file(path, &text, TN_SQL_TEXT_MAX + 1);
			tn_buf_str(out, n++ > 0 ? ",{\"name\":\"" :
			    "{\"name\":\"");
			tn_buf_json(out, path, strlen(path));
			tn_buf_str(out, "\"");
			put_text(out, "text", tn_buf_cstr(&text));
			tn_buf_char(out, '}');
		}
		tn_buf_fini(&text);
		tn_free(path);
		tn_free(names[i]);
	}
	tn_free(names);
	tn_buf_str(out, "]}");
	return st == TN_OK ? st : tn_diag_set(d, st, "unreadable",
	    "cannot read the folder %s: %s", dir, tn_status_text(st));
}

static int
print_reply(const struct tn_app_args *a, const struct tn_app_reply *r,
    bool *restart)
{
	struct tn_arena *arena = tn_arena_new(4096);
	const struct tn_json *text, *n;
	struct tn_json *o = NULL;
	int rc = TN_EXIT_FAILED;

	if (tn_codec_json_parse(arena, (struct tn_slice){ r->body.p,
	    r->body.n }, &o, NULL) == TN_OK) {
		text = tn_codec_json_get(o, "text");
		n = tn_codec_json_get(o, "restart");
		*restart = n != NULL && n->kind == TN_JSON_TRUE;
		n = tn_codec_json_get(o, "changes");
		if (a->json)
			printf("%.*s\n", (int)r->body.n, r->body.p);
		else if (text != NULL)
			fwrite(text->text.p, 1, text->text.n, stdout);
		rc = n != NULL && !tn_slice_is(n->text, "0") ? EXIT_CHANGES :
		    TN_EXIT_OK;
	}
	tn_arena_free(arena);
	return rc;
}

static int
ask_server(const struct tn_app_args *args, const char *path,
    struct tn_slice body)
{
	bool applies = strcmp(path, APPLY) == 0;
	struct tn_app_args a = *args;
	struct tn_buf base = { 0 };
	struct tn_app_call c = { .method = "POST",
	    .type = "application/json", .body = body };
	struct tn_app_reply r;
	struct tn_app_follow follow;
	bool restart = false;
	char *url, *token;
	int rc;

	if (a.url == NULL && a.http != NULL) {
		tn_buf_printf(&base, "%s%s", strstr(a.http, "://") != NULL ?
		    "" : "http://", a.http);
		a.url = tn_buf_cstr(&base);
	}
	url = tn_app_url(&a, path);
	token = tn_app_url_token(&a);
	c.url = url;
	c.token = token;
	follow = (struct tn_app_follow){ .args = &a, .token = token,
	    .applies = applies };
	(void)tn_app_follow_wait(&a, &follow.wait_us);   /* main looked. */
	(void)tn_app_follow_ask(&follow, &c, &r);
	rc = tn_app_reply_exit(&a, &r);
	if (rc == TN_EXIT_OK)
		rc = print_reply(&a, &r, &restart);
	else if (rc == TN_EXIT_USAGE)
		rc = TN_EXIT_FAILED;    /* 2 means changes here. */
	fflush(stdout);
	if (rc == EXIT_CHANGES && restart && applies)
		rc = tn_app_follow_back(&follow);
	tn_buf_fini(&r.body);
	tn_buf_fini(&base);
	tn_free(url);
	tn_free(token);
	return rc;
}

int
tn_app_plan_command(const struct tn_app_args *a)
{
	const char *listen = getenv("TARN_HTTP");
	struct tn_diag d = { .line = 0 };
	struct tn_buf body = { .max = SIZE_MAX };
	int rc = TN_EXIT_FAILED;

	/* Where a server is to listen is not one to be asked. */
	if (a->url == NULL && (a->http == NULL || (listen != NULL &&
	    strcmp(a->http, listen) == 0)))
		return plan_stopped(a);
	if (a->config == NULL || put_files(a->config, &body, &d) == TN_OK)
		rc = ask_server(a, "/api/v1/plan", (struct tn_slice){ body.p,
		    body.n });
	else
		tn_app_print_diag(&d);
	tn_buf_fini(&body);
	return rc;
}

int
tn_app_apply_command(const struct tn_app_args *a)
{
	int rc = ask_server(a, APPLY, tn_slice_of(""));

	return rc == EXIT_CHANGES ? TN_EXIT_OK : rc;
}

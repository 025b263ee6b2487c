/* What exists: streams, views, runs, files. The lists read the catalog and
 * can be long, so they are made on the pool; the model is immutable and the
 * catalog's snapshot is counted, so no lock is needed.
 *
 * Work must not touch r->path, r->params or r->head: the client may go away
 * under it. What it needs is copied first. */
#include "http/http_int.h"

#include <string.h>

#include "log/log.h"
#include "record/record.h"

/* ---- streams --------------------------------------------------------- */

static void
put_default(struct tn_buf *out, const struct tn_sql_expr *e)
{
	struct tn_buf text = { 0 };

	if (e == NULL) {
		tn_buf_str(out, "null");
		return;
	}
	if (e->node == TN_SQL_CONST) {
		tn_record_print(&text, e->value, 0);
		tn_http_put_slice(out, (struct tn_slice){ text.p, text.n });
	} else {
		tn_buf_str(out, "\"now()\"");
	}
	tn_buf_fini(&text);
}

static bool
is_key(const struct tn_sql_table *t, uint32_t column)
{
	for (uint32_t i = 0; i < t->key_count; i++)
		if (t->key[i] == column)
			return true;
	return false;
}

static const char *
yes(bool b)
{
	return b ? "true" : "false";
}

static void
put_columns(struct tn_buf *out, const struct tn_sql_table *t)
{
	char type[48];

	tn_buf_str(out, ",\"columns\":[");
	for (uint32_t i = 0; i < t->schema->count; i++) {
		const struct tn_field *f = &t->schema->fields[i];
		tn_buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		tn_http_put_str(out, f->name);
		tn_buf_printf(out, ",\"type\":\"%s\",\"not_null\":%s,"
		    "\"key\":%s,\"generated\":%s,\"default\":",
		    tn_record_type_name(f->type, type), yes(f->not_null),
		    yes(is_key(t, i)), yes(t->generated[i] != NULL));
		put_default(out, t->defaults[i]);
		tn_buf_str(out, ",\"comment\":");
		tn_http_put_str(out, t->column_comments[i]);
		tn_buf_char(out, '}');
	}
	tn_buf_char(out, ']');
}

static void
put_rules(struct tn_buf *out, const struct tn_sql_table *t)
{
	tn_buf_str(out, ",\"event_time\":");
	tn_http_put_str(out, t->event_time >= 0 ?
	    t->schema->fields[t->event_time].name : NULL);
	tn_buf_str(out, ",\"key\":[");
	for (uint32_t i = 0; i < t->key_count; i++) {
		if (i > 0)
			tn_buf_char(out, ',');
		tn_http_put_str(out, t->schema->fields[t->key[i]].name);
	}
	tn_buf_str(out, "],\"checks\":[");
	for (uint32_t i = 0; i < t->check_count; i++) {
		tn_buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		tn_http_put_str(out, t->checks[i].name);
		tn_buf_str(out, ",\"text\":");
		tn_http_put_str(out, t->checks[i].text);
		tn_buf_char(out, '}');
	}
	tn_buf_printf(out, "],\"dedupe_window_us\":%lld,\"retention_us\":"
	    "%lld,\"bronze_retention_us\":%lld",
	    (long long)t->dedupe_window_us, (long long)t->retention_us,
	    (long long)t->bronze_retention_us);
}

static void
put_tier(struct tn_buf *out, const char *name,
    const struct tn_catalog_snapshot *s, enum tn_catalog_tier tier,
    uint32_t object)
{
	uint32_t first, n = tn_catalog_snapshot_find(s, tier, object,
	    &first);
	uint64_t rows = 0, bytes = 0;

	for (uint32_t i = first; i < first + n; i++) {
		rows += s->files[i].rows;
		bytes += s->files[i].bytes;
	}
	tn_buf_printf(out, ",\"%s\":{\"files\":%u,\"rows\":%llu,"
	    "\"bytes\":%llu}", name, (unsigned)n, (unsigned long long)rows,
	    (unsigned long long)bytes);
}

/* Of one table, from fields of all. */
static void
put_unknown(struct tn_buf *out, uint32_t stream,
    const struct tn_catalog_field *fields, uint32_t count)
{
	bool first = true;

	tn_buf_str(out, ",\"unknown_fields\":[");
	for (uint32_t i = 0; i < count; i++) {
		if (fields[i].stream != stream)
			continue;
		if (!first)
			tn_buf_char(out, ',');
		first = false;
		tn_http_put_str(out, fields[i].field);
	}
	tn_buf_char(out, ']');
}

/* Does the view read the table, or join it? */
static bool
reads(const struct tn_serving_model *m, const struct tn_serving_view *v,
    uint32_t stream)
{
	const struct tn_sql_select *s = v->def->select;
	bool found = v->stream == stream;

	for (uint32_t i = 0; i < s->join_count; i++)
		found = found || strcmp(s->joins[i].table,
		    m->streams[stream].table->name) == 0;
	return found;
}

static void
put_view_names(struct tn_buf *out, const struct tn_serving_model *m,
    uint32_t stream)
{
	bool first = true;

	tn_buf_str(out, ",\"views\":[");
	for (uint32_t i = 0; i < m->view_count; i++) {
		if (!tn_serving_view_live(m, i) ||
		    !reads(m, &m->views[i], stream))
			continue;
		if (!first)
			tn_buf_char(out, ',');
		first = false;
		tn_http_put_str(out, m->views[i].def->name);
	}
	tn_buf_char(out, ']');
}

/* The patterns of MQTT topics that fill it. */
static void
put_topics(struct tn_buf *out, const struct tn_sql_table *t)
{
	tn_buf_str(out, ",\"mqtt\":[");
	for (uint32_t i = 0; i < t->topic_count; i++) {
		if (i > 0)
			tn_buf_char(out, ',');
		tn_http_put_str(out, t->topics[i]);
	}
	tn_buf_char(out, ']');
}

struct known {
	const struct tn_catalog_snapshot *cut;
	struct tn_catalog_field *fields;
	uint32_t field_count;
};

static void
put_stream(struct request *r, uint32_t i, const struct known *k)
{
	struct tn_http *h = r->h;
	struct tn_buf *out = &r->out;
	const struct tn_governance_stream *s = &h->o.model->streams[i];

	tn_buf_str(out, "{\"name\":");
	tn_http_put_str(out, s->table->name);
	tn_buf_printf(out, ",\"kind\":\"%s\",\"comment\":",
	    s->table->kind == TN_SQL_REFERENCE ? "reference" : "stream");
	tn_http_put_str(out, s->table->comment);
	put_columns(out, s->table);
	put_rules(out, s->table);
	put_topics(out, s->table);
	tn_buf_char(out, ',');
	tn_http_put_stats(h, out, i);
	tn_buf_printf(out, ",\"next_offset\":%llu", (unsigned long long)
	    tn_log_next_offset(h->o.log, s->id));
	put_unknown(out, s->id, k->fields, k->field_count);
	put_tier(out, "silver", k->cut, TN_TIER_SILVER, s->id);
	put_tier(out, "bronze", k->cut, TN_TIER_BRONZE, s->id);
	put_view_names(out, h->o.model, i);
	tn_buf_char(out, '}');
}

/* One stream (r->view is its index) or all of them (-1). */
static void
streams_work(struct request *r)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct known k = { .cut = tn_catalog_snapshot(r->h->o.catalog) };
	enum tn_status st = tn_catalog_unknown_fields(r->h->o.catalog, a,
	    &k.fields, &k.field_count);

	if (st != TN_OK)
		k.field_count = 0;      /* A list without them is of use. */
	if (r->view >= 0) {
		put_stream(r, (uint32_t)r->view, &k);
	} else {
		tn_buf_str(&r->out, "{\"streams\":[");
		for (uint32_t i = 0; i < r->h->o.model->stream_count; i++) {
			if (i > 0)
				tn_buf_char(&r->out, ',');
			put_stream(r, i, &k);
		}
		tn_buf_str(&r->out, "]}");
	}
	tn_http_json(r, 200);
	tn_catalog_snapshot_put(k.cut);
	tn_arena_free(a);
}

void
tn_http_run_streams(struct request *r)
{
	r->view = -1;
	if (tn_http_only_params(r, (const char *const []){ NULL }))
		tn_http_work(r, streams_work);
	else
		tn_http_ready(r);
}

void
tn_http_run_stream(struct request *r)
{
	r->view = tn_serving_stream_find(r->h->o.model, r->var);
	if (r->view >= 0) {
		tn_http_work(r, streams_work);
		return;
	}
	tn_http_fail(r, 404, "unknown_stream", "GET /api/v1/streams lists "
	    "them", "there is no stream \"%.*s\"", (int)(r->var.n > 63 ? 63 :
	    r->var.n), (const char *)r->var.p);
	tn_http_ready(r);
}

/* ---- views ----------------------------------------------------------- */

static bool
is_group(const struct tn_sql_view *v, uint32_t output)
{
	for (uint32_t g = 0; g < v->select->group_count; g++)
		if (v->group_output[g] == (int)output)
			return true;
	return false;
}

static void
put_view_columns(struct tn_buf *out, const struct tn_sql_view *v)
{
	const struct tn_schema *s = v->select->schema;
	char type[48];

	tn_buf_str(out, ",\"columns\":[");
	for (uint32_t i = 0; i < s->count; i++) {
		tn_buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		tn_http_put_str(out, s->fields[i].name);
		tn_buf_printf(out, ",\"type\":\"%s\",\"group\":%s,"
		    "\"comment\":", tn_record_type_name(s->fields[i].type,
		    type), yes(is_group(v, i)));
		tn_http_put_str(out, v->column_comments != NULL ?
		    v->column_comments[i] : NULL);
		tn_buf_char(out, '}');
	}
	tn_buf_char(out, ']');
}

static void
put_view(struct request *r, uint32_t i, const struct tn_catalog_snapshot *s)
{
	struct tn_buf *out = &r->out;
	const struct tn_serving_model *m = r->h->o.model;
	const struct tn_serving_view *v = &m->views[i];
	const struct tn_sql_view *def = v->def;
	int bucket = def->select->bucket_group;
	int at = bucket >= 0 ? def->group_output[bucket] : -1;

	tn_buf_str(out, "{\"name\":");
	tn_http_put_str(out, def->name);
	tn_buf_str(out, ",\"comment\":");
	tn_http_put_str(out, def->comment);
	tn_buf_str(out, ",\"stream\":");
	tn_http_put_str(out, m->streams[v->stream].table->name);
	tn_buf_str(out, ",\"sql\":");
	tn_http_put_str(out, def->definition);
	put_view_columns(out, def);
	tn_buf_str(out, ",\"bucket\":");
	tn_http_put_str(out, at >= 0 ? def->select->schema->fields[at].name :
	    NULL);
	tn_buf_printf(out, ",\"bucket_us\":%lld,\"options\":{",
	    (long long)def->select->bucket_us);
	for (uint32_t k = 0; k < def->option_count; k++) {
		if (k > 0)
			tn_buf_char(out, ',');
		tn_http_put_str(out, def->options[k].name);
		tn_buf_char(out, ':');
		tn_http_put_str(out, def->options[k].value);
	}
	tn_buf_printf(out, "},\"version\":%u,\"recomputed_groups\":%llu",
	    (unsigned)v->version, (unsigned long long)tn_serving_recomputed(
	    r->h->o.serving, i));
	put_tier(out, "gold", s, TN_TIER_GOLD, v->id);
	tn_buf_char(out, '}');
}

static void
views_work(struct request *r)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    r->h->o.catalog);
	const struct tn_serving_model *m = r->h->o.model;
	bool first = true;

	tn_buf_str(&r->out, "{\"views\":[");
	for (uint32_t i = 0; i < m->view_count; i++) {
		if (!tn_serving_view_live(m, i))
			continue;
		if (!first)
			tn_buf_char(&r->out, ',');
		first = false;
		put_view(r, i, s);
	}
	tn_buf_str(&r->out, "]}");
	tn_http_json(r, 200);
	tn_catalog_snapshot_put(s);
}

void
tn_http_run_views(struct request *r)
{
	if (tn_http_only_params(r, (const char *const []){ NULL }))
		tn_http_work(r, views_work);
	else
		tn_http_ready(r);
}

/* ---- runs ------------------------------------------------------------ */

static void
put_known(struct tn_buf *out, int64_t v)
{
	if (v < 0)
		tn_buf_str(out, ",null");
	else
		tn_buf_printf(out, ",%lld", (long long)v);
}

/* What runs made of views: there are many, so a row of figures each. */
static const char view_columns[] = "\"view_columns\":[\"view\",\"after_us\","
    "\"write_us\",\"fold_us\",\"rows\",\"groups\",\"files\",\"changed\"],";
struct parts {
	const struct tn_catalog_run_view *list;
	uint32_t count;
	uint32_t at;             /* The first of those not told yet. */
};

/* Both lists come newest first. */
static void
put_run_views(struct tn_buf *out, const struct tn_catalog_run *u,
    struct parts *p)
{
	bool first = true;

	tn_buf_str(out, ",\"views\":[");
	for (; p->at < p->count && p->list[p->at].run >= u->id; p->at++) {
		const struct tn_catalog_run_view *x = &p->list[p->at];
		if (x->run > u->id)
			continue;        /* Its run came between the reads. */
		tn_buf_str(out, first ? "[" : ",[");
		first = false;
		tn_http_put_str(out, x->name);
		put_known(out, x->started_us > u->started_us ?
		    x->started_us - u->started_us : 0);
		put_known(out, x->write_us);
		put_known(out, x->fold_us);
		put_known(out, x->rows);
		tn_buf_printf(out, ",%u,%u,%llu]", (unsigned)x->groups,
		    (unsigned)x->files, (unsigned long long)x->changed);
	}
	tn_buf_char(out, ']');
}

/* ${parts} NULL: not asked for. */
static void
put_run(struct tn_buf *out, const struct tn_catalog_run *u,
    const struct tn_batch_work *work, struct parts *parts)
{
	static const char *const states[] = { "running", "done", "failed" };

	tn_buf_printf(out, "{\"id\":%llu,\"kind\":",
	    (unsigned long long)u->id);
	tn_http_put_str(out, u->kind);
	tn_buf_str(out, ",\"reason\":");
	tn_http_put_str(out, u->reason);
	tn_buf_str(out, ",\"object\":");
	tn_http_put_str(out, u->object);
	tn_buf_printf(out, ",\"state\":\"%s\",\"started_at\":",
	    states[u->state]);
	tn_http_put_time(out, u->started_us);
	tn_buf_str(out, ",\"ended_at\":");
	tn_http_put_time(out, u->ended_us);
	tn_buf_str(out, ",\"seconds\":");
	if (u->ended_us == 0)
		tn_buf_str(out, "null");
	else
		tn_record_print_f64(out, (double)(u->ended_us -
		    u->started_us) / 1e6);
	tn_buf_printf(out, ",\"lsn_from\":%llu,\"lsn_to\":%llu,"
	    "\"rows\":%llu,\"files\":%u,\"changed\":%llu,\"detail\":",
	    (unsigned long long)u->lsn_from, (unsigned long long)u->lsn_to,
	    (unsigned long long)u->rows, (unsigned)u->files,
	    (unsigned long long)u->changed);
	tn_http_put_str(out, u->detail);
	if (u->ended_us == 0 && work->run == u->id)
		tn_buf_printf(out, ",\"paused\":%s,\"rows_read\":%llu,"
		    "\"rows_total\":%llu", yes(work->paused != 0),
		    (unsigned long long)work->rows,
		    (unsigned long long)work->total);
	if (parts != NULL)
		put_run_views(out, u, parts);
	tn_buf_char(out, '}');
}

void
tn_http_catalog_failed(struct request *r, enum tn_status st)
{
	tn_http_fail(r, 500, "catalog", "look at the log lines of the server",
	    "the catalog could not be used: %s", tn_status_text(st));
}

/* number[0]: limit; number[1]: before; number[2]: also what they made of
 * views. */
static void
runs_work(struct request *r)
{
	struct tn_batch_work work = { .run = 0 };
	struct tn_arena *a = tn_arena_new(8192);
	struct tn_catalog_run *runs;
	struct tn_catalog_run_view *views = NULL;
	struct parts parts = { .at = 0 };
	uint32_t count = 0;
	enum tn_status st = tn_catalog_runs(r->h->o.catalog, r->number[1],
	    (uint32_t)r->number[0], a, &runs, &count);

	if (st == TN_OK && r->number[2] != 0 && count > 0) {
		st = tn_catalog_run_views(r->h->o.catalog,
		    runs[count - 1].id, runs[0].id, a, &views, &parts.count);
		parts.list = views;
	}
	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		tn_arena_free(a);
		return;
	}
	if (r->h->o.batch != NULL)
		tn_batch_progress(r->h->o.batch, &work);
	tn_buf_str(&r->out, "{");
	tn_buf_str(&r->out, r->number[2] != 0 ? view_columns : "");
	tn_buf_str(&r->out, "\"runs\":[");
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			tn_buf_char(&r->out, ',');
		put_run(&r->out, &runs[i], &work,
		    r->number[2] != 0 ? &parts : NULL);
	}
	if (count > 0 && count == r->number[0])
		tn_buf_printf(&r->out, "],\"next\":%llu}",
		    (unsigned long long)runs[count - 1].id);
	else
		tn_buf_str(&r->out, "],\"next\":null}");
	tn_http_json(r, 200);
	tn_arena_free(a);
}

static bool
choose_views(struct request *r)
{
	struct tn_slice s = tn_http_param(r, "views");

	r->number[2] = tn_slice_is(s, "true") || tn_slice_is(s, "1");
	if (s.p == NULL || r->number[2] != 0 || tn_slice_is(s, "false") ||
	    tn_slice_is(s, "0"))
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "views is true or false");
	return false;
}

void
tn_http_run_runs(struct request *r)
{
	static const char *const known[] = { "limit", "before", "views",
	    NULL };

	if (tn_http_only_params(r, known) &&
	    choose_views(r) &&
	    tn_http_limit(r, 100, 1000, &r->number[0]) &&
	    tn_http_number(r, "before", 0, UINT64_MAX, &r->number[1]))
		tn_http_work(r, runs_work);
	else
		tn_http_ready(r);
}

/* ---- files ----------------------------------------------------------- */

static const char *const tier_names[] = { "", "bronze", "silver", "gold",
    "keys" };

static const char *
table_of(const struct tn_serving_model *m, const struct tn_catalog_file *f)
{
	int i;

	if (f->tier != TN_TIER_GOLD) {
		i = tn_serving_stream_by_id(m, f->object);
		return i >= 0 ? m->streams[i].table->name : "";
	}
	for (uint32_t k = 0; k < m->view_count; k++)
		if (tn_serving_view_live(m, k) && m->views[k].id == f->object)
			return m->views[k].def->name;
	return "";              /* Of a view that was taken away. */
}

/* By what the rows of a file ascend; results of views have no order. */
static void
put_order(struct tn_buf *out, const struct tn_serving_model *m,
    const struct tn_catalog_file *f)
{
	int i = f->tier == TN_TIER_SILVER ?
	    tn_serving_stream_by_id(m, f->object) : -1;
	uint32_t by[TN_BATCH_SORT_MAX];
	uint32_t n = i < 0 ? 0 : tn_batch_sort_columns(&m->streams[i], by);

	tn_buf_str(out, f->tier == TN_TIER_BRONZE ?
	    ",\"sort_by\":[\"_lsn\"" : ",\"sort_by\":[");
	for (uint32_t k = 0; k < n; k++) {
		if (k > 0)
			tn_buf_char(out, ',');
		tn_http_put_str(out,
		    m->streams[i].silver->fields[by[k]].name);
	}
	tn_buf_char(out, ']');
}

static void
put_file(struct tn_buf *out, const struct tn_serving_model *m,
    const struct tn_catalog_file *f, const char *table)
{
	tn_buf_printf(out, "{\"id\":%llu,\"tier\":\"%s\",\"table\":",
	    (unsigned long long)f->id, tier_names[f->tier]);
	tn_http_put_str(out, table);
	tn_buf_str(out, ",\"partition\":");
	tn_http_put_str(out, f->partition);
	tn_buf_str(out, ",\"path\":");
	tn_http_put_str(out, f->path);
	tn_buf_printf(out, ",\"rows\":%llu,\"bytes\":%llu,"
	    "\"crc\":\"%08x\",\"time_min\":", (unsigned long long)f->rows,
	    (unsigned long long)f->bytes, (unsigned)f->crc);
	tn_http_put_time(out, f->time_min);
	tn_buf_str(out, ",\"time_max\":");
	tn_http_put_time(out, f->time_max);
	tn_buf_printf(out, ",\"lsn_min\":%llu,\"lsn_max\":%llu,"
	    "\"version\":%u,\"snapshot\":%llu",
	    (unsigned long long)f->lsn_min, (unsigned long long)f->lsn_max,
	    (unsigned)f->version, (unsigned long long)f->added);
	put_order(out, m, f);
	tn_buf_char(out, '}');
}

/* number[0]: limit; number[1]: before. */
static void
snapshots_work(struct request *r)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_cut *c = NULL;
	struct tn_buf *out = &r->out;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_cuts(r->h->o.catalog, r->number[1],
	    (uint32_t)r->number[0], a, &c, &count);

	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		tn_arena_free(a);
		return;
	}
	tn_buf_str(out, "{\"snapshots\":[");
	for (uint32_t i = 0; i < count; i++) {
		tn_buf_printf(out, "%s{\"sequence\":%llu,\"lsn\":%llu,"
		    "\"published_at\":", i > 0 ? "," : "",
		    (unsigned long long)c[i].sequence,
		    (unsigned long long)c[i].lsn);
		tn_http_put_time(out, c[i].published_us);
		if (c[i].run > 0)
			tn_buf_printf(out, ",\"run\":%llu",
			    (unsigned long long)c[i].run);
		else
			tn_buf_str(out, ",\"run\":null");
		tn_buf_str(out, ",\"kind\":");
		tn_http_put_str(out, c[i].kind[0] != '\0' ? c[i].kind : NULL);
		tn_buf_str(out, ",\"reason\":");
		tn_http_put_str(out, c[i].reason);
		tn_buf_str(out, ",\"object\":");
		tn_http_put_str(out, c[i].object);
		tn_buf_printf(out, ",\"files_added\":%u,"
		    "\"files_dropped\":%u,\"files\":%u,\"rows\":%llu,"
		    "\"bytes\":%llu}", (unsigned)c[i].added,
		    (unsigned)c[i].dropped, (unsigned)c[i].files,
		    (unsigned long long)c[i].rows,
		    (unsigned long long)c[i].bytes);
	}
	tn_buf_str(out, "]}");
	tn_http_json(r, 200);
	tn_arena_free(a);
}

void
tn_http_run_snapshots(struct request *r)
{
	static const char *const known[] = { "limit", "before", NULL };

	if (tn_http_only_params(r, known) &&
	    tn_http_limit(r, 100, 10000, &r->number[0]) &&
	    tn_http_number(r, "before", 0, INT64_MAX, &r->number[1]))
		tn_http_work(r, snapshots_work);
	else
		tn_http_ready(r);
}

/* number[0]: tier or 0; text: table or NULL. */
static void
files_work(struct request *r)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    r->h->o.catalog);
	bool first = true;

	tn_buf_printf(&r->out, "{\"lsn\":%llu,\"files\":[",
	    (unsigned long long)s->lsn);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		const char *table = table_of(r->h->o.model, f);
		if (f->tier == 0 || f->tier >= TN_COUNT(tier_names) ||
		    (r->number[0] != 0 && f->tier != r->number[0]) ||
		    (r->text != NULL && strcmp(r->text, table) != 0))
			continue;
		if (!first)
			tn_buf_char(&r->out, ',');
		first = false;
		put_file(&r->out, r->h->o.model, f, table);
	}
	tn_buf_str(&r->out, "]}");
	tn_http_json(r, 200);
	tn_catalog_snapshot_put(s);
}

void
tn_http_run_files(struct request *r)
{
	static const char *const known[] = { "tier", "table", NULL };
	struct tn_slice tier = tn_http_param(r, "tier");
	struct tn_slice table = tn_http_param(r, "table");

	if (!tn_http_only_params(r, known)) {
		tn_http_ready(r);
		return;
	}
	for (uint32_t i = 1; i < TN_COUNT(tier_names); i++)
		if (tn_slice_is(tier, tier_names[i]))
			r->number[0] = i;
	if (tier.p != NULL && r->number[0] == 0) {
		tn_http_fail(r, 400, "bad_parameter", NULL,
		    "tier is bronze, silver, gold or keys");
		tn_http_ready(r);
		return;
	}
	if (table.p != NULL && tn_serving_stream_find(r->h->o.model,
	    table) < 0 && tn_serving_view_find(r->h->o.model, table) < 0) {
		tn_http_fail(r, 404, "unknown_table", "GET /api/v1/lake lists "
		    "them", "there is no stream or view \"%.*s\"",
		    (int)(table.n > 63 ? 63 : table.n),
		    (const char *)table.p);
		tn_http_ready(r);
		return;
	}
	if (table.p != NULL)
		r->text = tn_arena_strndup(tn_http_arena(r),
		    (const char *)table.p, table.n);
	tn_http_work(r, files_work);
}

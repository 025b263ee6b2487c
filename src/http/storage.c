/* GET /api/v1/lake: what the lake holds, what it costs a day, and how long the
 * disk lasts.
 *
 *   {"sequence":..,"lsn":..,"published_at":..,
 *    "disk":{"free":..,"size":..,"reserve":..},
 *    "cold":{"folder":..,"ready":..,"free":..,"size":..},    or null
 *    "tables":[{"name":"badge","tier":"silver","files":..,"partitions":..,
 *               "rows":..,"bytes":..,"small_files":..,"cold_files":..,
 *               "cold_bytes":..,
 *               "from":..,"to":..,"bytes_per_day":..},...],
 *    "partitions":[...],                  with ?table=badge: of that one
 *    "days":[{"day":"2026-03-01","table":"badge","tier":"silver",...},...],
 *    "bytes_per_day":..,"days_left":..}
 *
 * Days are the notes that batch makes (batch/cost.c), the last 30. Growth is
 * what came since the first of them by the time since then: null, not known
 * yet, while that is less than an hour. days_left is null, too, when nothing
 * grows. The disk's reserve is no room, and what lies in the cold folder does
 * not fill it. Objects, where there are any, are a table of the tier "objects";
 * notes from before they were counted (without a row of them) tell no growth.
 * A table's own growth counts its cold files, too. */
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define HOUR_US INT64_C(3600000000)
#define DAYS_SHOWN 30
#define SMALL_BYTES (UINT64_C(4) << 20)

/* What the answer is made of. */
struct storage {
	const struct tn_catalog_snapshot *s;
	struct tn_http_notes notes;
	uint64_t objects, object_bytes;
	uint64_t room;
};

struct totals {
	uint32_t files, small;
	uint64_t rows, bytes;
	uint32_t cold_files;
	uint64_t cold_bytes;
	uint32_t partitions;
	const char *last;                /* Partition of the last one. */
	int64_t from, to;
};

static const char *
tier_name(enum tn_catalog_tier tier)
{
	static const char *const names[] = { "", "bronze", "silver", "gold",
	    "keys", "objects" };

	return names[tier];
}

static const char *
object_name(const struct tn_serving_model *m, uint32_t id)
{
	for (uint32_t i = 0; i < m->stream_count; i++)
		if (m->streams[i].id == id)
			return m->streams[i].table->name;
	for (uint32_t i = 0; i < m->view_count; i++)
		if (tn_serving_view_live(m, i) && m->views[i].id == id)
			return m->views[i].def->name;
	return "";
}

bool
tn_http_growth(const struct tn_http_notes *n, const struct tn_catalog_cost *of,
    uint64_t now, int64_t *a_day)
{
	const struct tn_catalog_cost *x = n->list, *end = n->list + n->count;
	const struct tn_catalog_cost *begin;
	uint64_t then = 0;

	for (begin = x; begin < end && begin->tier != TN_TIER_OBJECTS; )
		begin++;
	if (begin == end || begin->first_us == 0 ||
	    n->now_us - begin->first_us < HOUR_US)
		return false;
	/* What came later on that day was not there at its first note. */
	for (; x < end && x->day <= begin->day; x++)
		if (x->day == begin->day && x->first_us == begin->first_us &&
		    (of == NULL || (of->object == x->object &&
		    of->tier == x->tier)))
			then += x->first_bytes - (of == NULL ? x->first_cold :
			    0);
	*a_day = (int64_t)(((double)now - (double)then) * (double)DAY_US /
	    (double)(n->now_us - begin->first_us));
	return true;
}

static void
put_growth(struct tn_buf *out, const struct tn_http_notes *n,
    const struct tn_catalog_cost *of, uint64_t now)
{
	int64_t a_day = 0;

	tn_buf_str(out, ",\"bytes_per_day\":");
	if (tn_http_growth(n, of, now, &a_day))
		tn_buf_printf(out, "%lld", (long long)a_day);
	else
		tn_buf_str(out, "null");
}

static void
add_file(struct totals *t, const struct tn_lake *lake,
    const struct tn_catalog_file *f)
{
	bool cold = tn_lake_is_cold(lake, f->path);

	if (t->files == 0 || f->time_min < t->from)
		t->from = f->time_min;
	if (t->files == 0 || f->time_max > t->to)
		t->to = f->time_max;
	/* They come in order of their partitions. */
	if (t->last == NULL || strcmp(t->last, f->partition) != 0)
		t->partitions++;
	t->last = f->partition;
	t->files++;
	t->small += f->bytes < SMALL_BYTES;
	t->rows += f->rows;
	t->bytes += f->bytes;
	t->cold_files += cold;
	t->cold_bytes += cold ? f->bytes : 0;
}

static void
put_totals(struct tn_buf *out, const struct totals *t)
{
	tn_buf_printf(out, ",\"files\":%u,\"partitions\":%u,"
	    "\"small_files\":%u,\"rows\":%llu,"
	    "\"bytes\":%llu,\"cold_files\":%u,\"cold_bytes\":%llu,\"from\":",
	    (unsigned)t->files, (unsigned)t->partitions, (unsigned)t->small,
	    (unsigned long long)t->rows, (unsigned long long)t->bytes,
	    (unsigned)t->cold_files, (unsigned long long)t->cold_bytes);
	tn_http_put_time(out, t->from);
	tn_buf_str(out, ",\"to\":");
	tn_http_put_time(out, t->to);
}

static void
put_objects(struct tn_buf *out, const struct storage *x, bool any)
{
	static const struct tn_catalog_cost of = { .tier = TN_TIER_OBJECTS };

	tn_buf_printf(out, "%s{\"name\":\"objects\",\"tier\":\"objects\","
	    "\"files\":%llu,\"partitions\":0,\"small_files\":0,\"rows\":0,"
	    "\"bytes\":%llu,\"cold_files\":0,\"cold_bytes\":0,"
	    "\"from\":null,\"to\":null", any ? "," : "",
	    (unsigned long long)x->objects,
	    (unsigned long long)x->object_bytes);
	put_growth(out, &x->notes, &of, x->object_bytes);
	tn_buf_char(out, '}');
}

/* Runs of files of one tier and object, or also of one partition. */
static void
put_groups(struct request *r, const struct storage *x, bool partitions)
{
	const struct tn_catalog_snapshot *s = x->s;
	const struct tn_serving_model *m = r->h->o.model;
	struct tn_buf *out = &r->out;
	bool any = false;

	for (uint32_t i = 0, end; i < s->count; i = end) {
		const struct tn_catalog_file *f = &s->files[i];
		struct totals t = { 0 };
		for (end = i; end < s->count && s->files[end].tier == f->tier &&
		    s->files[end].object == f->object && (!partitions ||
		    strcmp(s->files[end].partition, f->partition) == 0); end++)
			add_file(&t, r->h->o.lake, &s->files[end]);
		if (partitions && strcmp(object_name(m, f->object),
		    r->text) != 0)
			continue;
		tn_buf_str(out, any ? ",{\"name\":" : "{\"name\":");
		any = true;
		tn_http_put_str(out, object_name(m, f->object));
		tn_buf_printf(out, ",\"tier\":\"%s\"", tier_name(f->tier));
		if (partitions) {
			tn_buf_str(out, ",\"partition\":");
			tn_http_put_str(out, f->partition);
		}
		put_totals(out, &t);
		if (!partitions)
			put_growth(out, &x->notes, &(struct tn_catalog_cost){
			    .object = f->object, .tier = f->tier }, t.bytes);
		tn_buf_char(out, '}');
	}
	if (!partitions && x->objects > 0)
		put_objects(out, x, any);
}

static void
put_disk(struct request *r, uint64_t *room)
{
	const struct tn_http_opts *o = &r->h->o;
	uint64_t size = 0, free_bytes = 0;

	*room = 0;
	if (o->data_dir != NULL) {
		size = tn_os_disk_size(o->data_dir);
		if (tn_os_disk_free(o->data_dir, &free_bytes) == TN_OK &&
		    free_bytes > o->disk_reserve)
			*room = free_bytes - o->disk_reserve;
	}
	tn_buf_printf(&r->out, ",\"disk\":{\"free\":%llu,\"size\":%llu,"
	    "\"reserve\":%llu}", (unsigned long long)free_bytes,
	    (unsigned long long)size, (unsigned long long)o->disk_reserve);
}

/* Of the cold folder; null where there is none. */
static void
put_cold(struct request *r)
{
	const char *folder = tn_lake_cold_folder(r->h->o.lake);
	bool ready = tn_lake_cold_ready(r->h->o.lake);
	uint64_t free_bytes = 0;

	tn_buf_str(&r->out, ",\"cold\":");
	if (folder == NULL) {
		tn_buf_str(&r->out, "null");
		return;
	}
	if (!ready || tn_os_disk_free(folder, &free_bytes) != TN_OK)
		free_bytes = 0;
	tn_buf_str(&r->out, "{\"folder\":");
	tn_http_put_str(&r->out, folder);
	tn_buf_printf(&r->out, ",\"ready\":%s,\"free\":%llu,\"size\":%llu}",
	    ready ? "true" : "false", (unsigned long long)free_bytes,
	    (unsigned long long)(ready ? tn_os_disk_size(folder) : 0));
}

static void
put_days(struct request *r, const struct tn_catalog_cost *list,
    uint32_t count)
{
	struct tn_buf *out = &r->out;
	bool any = false;

	tn_buf_str(out, ",\"days\":[");
	for (uint32_t i = 0; i < count; i++) {
		const struct tn_catalog_cost *x = &list[i];
		bool objects = x->tier == TN_TIER_OBJECTS;
		int32_t y;
		uint32_t m, d;
		if (objects && x->files == 0)
			continue;
		tn_record_civil(x->day, &y, &m, &d);
		tn_buf_printf(out, "%s{\"day\":\"%04d-%02u-%02u\",\"name\":",
		    any ? "," : "", (int)y, (unsigned)m, (unsigned)d);
		any = true;
		tn_http_put_str(out, objects ? "objects" :
		    object_name(r->h->o.model, x->object));
		tn_buf_printf(out, ",\"tier\":\"%s\",\"files\":%u,"
		    "\"rows\":%llu,\"bytes\":%llu,\"cold_bytes\":%llu}",
		    tier_name(x->tier), (unsigned)x->files,
		    (unsigned long long)x->rows,
		    (unsigned long long)x->bytes,
		    (unsigned long long)x->cold);
	}
	tn_buf_char(out, ']');
}

static void
put_forecast(struct request *r, const struct storage *x, uint64_t now)
{
	int64_t a_day = 0;

	tn_buf_str(&r->out, ",\"bytes_per_day\":");
	if (!tn_http_growth(&x->notes, NULL, now, &a_day))
		tn_buf_str(&r->out, "null");
	else
		tn_buf_printf(&r->out, "%lld", (long long)(a_day > 0 ? a_day :
		    0));
	tn_buf_str(&r->out, ",\"days_left\":");
	if (a_day <= 0)
		tn_buf_str(&r->out, "null");
	else
		tn_buf_printf(&r->out, "%llu",
		    (unsigned long long)(x->room / (uint64_t)a_day));
}

static void
storage_work(struct request *r)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    r->h->o.catalog);
	struct tn_arena *a = tn_arena_new(8192);
	struct tn_catalog_cost *list = NULL;
	struct storage x = { .s = s, .notes = { .now_us = tn_os_wall_us() } };
	int32_t from = (int32_t)(x.notes.now_us / DAY_US) - DAYS_SHOWN;
	uint64_t bytes = 0;
	enum tn_status st = tn_catalog_costs(r->h->o.catalog, from, a, &list,
	    &x.notes.count);

	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		goto out;
	}
	x.notes.list = list;
	if (r->h->o.objects != NULL)
		tn_objects_usage(r->h->o.objects, &x.objects, &x.object_bytes);
	for (uint32_t i = 0; i < s->count; i++)
		bytes += tn_lake_is_cold(r->h->o.lake, s->files[i].path) ? 0 :
		    s->files[i].bytes;
	tn_buf_printf(&r->out, "{\"sequence\":%llu,\"lsn\":%llu,"
	    "\"published_at\":", (unsigned long long)s->sequence,
	    (unsigned long long)s->lsn);
	tn_http_put_time(&r->out, s->published_us);
	put_disk(r, &x.room);
	put_cold(r);
	tn_buf_str(&r->out, ",\"tables\":[");
	put_groups(r, &x, false);
	tn_buf_char(&r->out, ']');
	if (r->text != NULL) {
		tn_buf_str(&r->out, ",\"partitions\":[");
		put_groups(r, &x, true);
		tn_buf_char(&r->out, ']');
	}
	put_days(r, list, x.notes.count);
	put_forecast(r, &x, bytes + x.object_bytes);
	tn_buf_char(&r->out, '}');
	tn_http_json(r, 200);
out:
	tn_arena_free(a);
	tn_catalog_snapshot_put(s);
}

void
tn_http_run_storage(struct request *r)
{
	static const char *const known[] = { "table", NULL };
	struct tn_slice table = tn_http_param(r, "table");

	if (!tn_http_only_params(r, known)) {
		tn_http_ready(r);
		return;
	}
	if (table.p != NULL)
		r->text = tn_arena_strndup(tn_http_arena(r),
		    (const char *)table.p, table.n);
	if (table.p == NULL || tn_serving_stream_find(r->h->o.model,
	    table) >= 0 || tn_serving_view_find(r->h->o.model, table) >= 0) {
		tn_http_work(r, storage_work);
		return;
	}
	tn_http_fail(r, 404, "unknown_table", "GET /api/v1/lake lists them",
	    "there is no stream or view \"%s\"", r->text);
	tn_http_ready(r);
}

/* The wiring of the room objects: its settings, and the way of its events to
 * ingest. They are bodies of one row like those of any other door.
 *
 * The stream `objects` is built in. A pipeline with a table of that name has
 * precedence: if it has the same columns and the same key, it takes the
 * events; if not, there are no objects, and that is said once at the start. */
#include "app/run_int.h"

#include <string.h>

/* ---- events ----------------------------------------------------------- */

struct event {
	void (*told)(void *op, const struct tn_objects_told *t);
	void *op;
	struct tn_ingest_body *body;
};

static void
done(void *arg, const struct tn_ingest_result *r)
{
	struct event *e = arg;
	struct tn_objects_told t = { .status = r->status, .lsn = r->lsn,
	    .diag = &r->diag };

	if (r->status == TN_OK && r->quarantined > 0)
		tn_say(TN_WARN, "app", "an event of the stream objects is in "
		    "quarantine: %s", r->error_count > 0 ?
		    r->errors[0].message : "it breaks a check");
	e->told(e->op, &t);
	tn_free(e);
}

static void
resume(void *arg)
{
	(void)arg;               /* One row: it was taken whole. */
}

static enum tn_status
event(void *arg, struct tn_slice row, const char *source,
    void (*told)(void *op, const struct tn_objects_told *t), void *op,
    struct tn_diag *d)
{
	struct app *a = arg;
	struct event *e = tn_zalloc(sizeof *e);
	struct tn_ingest_request q = {
	    .stream = tn_slice_of(tn_objects_stream), .source = source,
	    .done = done, .resume = resume, .arg = e };
	enum tn_status st;

	e->told = told;
	e->op = op;
	q.spec = tn_zalloc(sizeof *q.spec);
	tn_codec_spec_init(q.spec, TN_CODEC_JSON);
	st = tn_ingest_begin(a->ingest, &q, &e->body, d);
	if (st != TN_OK) {
		tn_free(e);
		return st;
	}
	/* A fresh body takes its first bytes whatever the load. */
	st = tn_ingest_feed(e->body, row);
	tn_assert(st == TN_OK);
	tn_ingest_end(e->body);
	return TN_OK;
}

/* ---- opening ----------------------------------------------------------- */

static bool
same_column(const struct tn_schema *s, const struct tn_field *f)
{
	int at = tn_record_schema_find(s, tn_slice_of(f->name));

	return at >= 0 && s->fields[at].type.id == f->type.id;
}

/* Does the table take what we tell? */
static bool
fits(const struct tn_sql_table *t)
{
	struct tn_sql_source own = { tn_objects_stream,
	    tn_slice_of(tn_objects_sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	bool good = t->kind == TN_SQL_STREAM && t->key_count == 1 &&
	    strcmp(t->schema->fields[t->key[0]].name, "id") == 0;
	enum tn_status st = tn_sql_load(&p, &own, 1, &d);

	tn_assert(st == TN_OK);
	for (uint32_t i = 0; i < p->tables[0]->schema->count; i++)
		good = good && same_column(t->schema,
		    &p->tables[0]->schema->fields[i]);
	tn_sql_pipeline_free(p);
	return good;
}

void
tn_app_objects_usage(void *arg, uint64_t *count, uint64_t *bytes)
{
	const struct app *a = arg;
	const struct tn_objects *o = __atomic_load_n(&a->objects,
	    __ATOMIC_ACQUIRE);

	*count = *bytes = 0;
	if (o != NULL)
		tn_objects_usage(o, count, bytes);
}

enum tn_status
tn_app_objects_open(struct app *a, struct tn_diag *d)
{
	const int64_t *n = a->set.number;
	int at = tn_serving_stream_find(a->model,
	    tn_slice_of(tn_objects_stream));
	const struct tn_sql_table *t = at < 0 ? NULL :
	    a->model->streams[at].table;
	struct tn_objects_opts o = { .loop = a->loop, .data = a->data,
	    .bytes_max = (uint64_t)n[TN_SET_OBJECT_BYTES],
	    .index_bytes_max = (uint64_t)n[TN_SET_OBJECT_INDEX],
	    .uploads_max = (uint32_t)n[TN_SET_OBJECT_UPLOADS],
	    .reserve_bytes = tn_app_disk_reserve(a),
	    .keep_us = n[TN_SET_SNAPSHOT_KEEP],
	    .wait_us = n[TN_SET_RETENTION_WAIT],
	    .retention = a->set.text[TN_SET_OBJECT_RETENTION],
	    .event = event, .arg = a };

	if (strcmp(a->set.text[TN_SET_OBJECTS], "off") == 0)
		return TN_OK;
	if (t != NULL && (t->builtin || fits(t))) {
		struct tn_objects *made = NULL;
		enum tn_status st = tn_objects_open(&made, &o, d);
		/* The batch thread runs already. */
		__atomic_store_n(&a->objects, made, __ATOMIC_RELEASE);
		return st;
	}
	tn_say(TN_INFO, "app", "no objects: the pipeline uses the name "
	    "objects for something else (tarn help objects)");
	return TN_OK;
}

void
tn_app_objects_help(struct tn_buf *out)
{
	tn_buf_str(out, "Objects: photos and other files beside the events.\n\n"
	    "  curl -T photo.jpg -H 'x-tarn-meta-door: north' "
	    "http://127.0.0.1:8420/api/v1/objects/photos/2026/a.jpg\n"
	    "  curl http://127.0.0.1:8420/api/v1/objects/photos?prefix=2026/"
	    "\n\n"
	    "A bucket has 3 to 63 of a-z 0-9 - _ . and is made by its first "
	    "object. A key has up to\n400 bytes and may contain slashes. PUT "
	    "answers 201 (new) or 200 when file and event are on\ndisk; "
	    "If-None-Match: * and If-Match guard what is there (412), "
	    "x-tarn-sha256 and\nContent-MD5 what is sent (422). GET takes "
	    "Range. DELETE takes the name away; the content\nstays for "
	    "snapshot_keep, with ?erase=1 not. "
	    "GET .../objects/by-hash/SHA256 gives a content.\n"
	    "Tokens: ingest may PUT new names and repeat a PUT, read may GET, "
	    "admin may overwrite and DELETE.\n\n"
	    "Each change is a row of the built-in stream, which views may "
	    "read. uploaded_at is the time of\nthe change; taken_at is Exif's "
	    "DateTimeOriginal, taken as UTC when taken_offset is null:\n\n");
	tn_buf_str(out, tn_objects_sql);
	tn_buf_str(out, "\nA table of your own with these columns and this "
	    "key takes its place; any other table or view of\nthe name turns "
	    "objects off, as does ALTER SYSTEM SET objects = 'off'. Settings: "
	    "object_bytes_max,\nobject_uploads_max, object_index_bytes, "
	    "object_retention, disk_reserve, snapshot_keep.\n");
}

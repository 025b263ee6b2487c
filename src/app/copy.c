/* COPY of POST /api/v1/sql: rows to a file of the server, a file into a
 * stream. For admins only (the door looks), and only below DATA/export,
 * DATA/inbox and the folders of copy_paths: links are followed before that is
 * decided.
 *
 *   TO    calls: parse, path -> serving: rows -> .NAME.<hex>.tmp, sync,
 *         rename, sync the folder -> one row: rows, bytes, path
 *   FROM  calls: parse, path -> inbox: the file through ingest -> one row:
 *         accepted, quarantined, duplicates
 *
 * What can go wrong: the query or the disk; then the temporary file is removed
 * and a file of that name is as it was. */
#include "app/call_int.h"

#include <stdio.h>
#include <string.h>

#include "parquet/parquet.h"

#define SLICE_ROWS 8192

struct copy {
	struct tn_net_job job;           /* First. */
	struct tn_app_proc *p;
	const struct tn_sql_copy *sql;
	const char *path;                /* Where it is, or is to be. */
	const char *folder;              /* Of path. */
	const char *temp;
	bool begun;                      /* temp may be there. */
	struct tn_parquet_writer *parquet;
	struct tn_os_file *file;
	struct tn_parquet_write_opts parquet_opts;
	uint64_t rows, bytes;
	uint64_t reserve;                /* Of the disk: the log's. */
	struct tn_inbox_options options;
};

/* ---- the end ------------------------------------------------------------ */

static const struct tn_field to_fields[] = {
	{ "rows", { .id = TN_T_INT8 }, false },
	{ "bytes", { .id = TN_T_INT8 }, false },
	{ "path", { .id = TN_T_TEXT }, false },
};
static const struct tn_schema to_schema = { .name = "copy",
    .count = TN_COUNT(to_fields), .fields = to_fields };
static const struct tn_field from_fields[] = {
	{ "accepted", { .id = TN_T_INT8 }, false },
	{ "quarantined", { .id = TN_T_INT8 }, false },
	{ "duplicates", { .id = TN_T_INT8 }, false },
};
static const struct tn_schema from_schema = { .name = "copy",
    .count = TN_COUNT(from_fields), .fields = from_fields };

static void
drop_temp(struct copy *c)
{
	tn_parquet_abandon(c->parquet);
	c->parquet = NULL;
	tn_os_close(c->file);
	c->file = NULL;
	if (c->begun && tn_os_kind(c->temp) == TN_OS_FILE &&
	    tn_os_unlink(c->temp) != TN_OK)
		tn_say(TN_WARN, "app", "%s stays", c->temp);
	c->begun = false;
}

/* On the calls' thread again: the disk may be slow. */
static void
to_end(struct tn_net_job *job)
{
	struct copy *c = (struct copy *)job;
	struct tn_builder *b;

	drop_temp(c);
	if (c->p->answer->status == TN_OK) {
		b = tn_record_builder_new(&to_schema, 1);
		tn_record_builder_i64(b, 0, (int64_t)c->rows);
		tn_record_builder_i64(b, 1, (int64_t)c->bytes);
		tn_record_builder_text(b, 2, c->path, strlen(c->path));
		tn_record_builder_row_end(b);
		tn_app_proc_rows(c->p, b);
	}
	tn_app_proc_end(c->p);
}

static void
to_done(void *arg, struct tn_serving_answer *a)
{
	struct copy *c = arg;

	c->p->answer->status = a->status;
	c->p->answer->diag = a->diag;
	tn_serving_answer_unref(a);
	c->job.run = to_end;
	/* While the program ends there is no such thread any more. */
	if (c->p->a->calls == NULL ||
	    !tn_net_actor_post_internal(c->p->a->calls, &c->job))
		to_end(&c->job);
}

/* ---- the sink: on the query pool ----------------------------------------- */

static enum tn_status
no_storage(const struct tn_schema *s, struct tn_diag *d)
{
	tn_diag_hint(d, "cast it to text, or write csv or ndjson");
	for (uint32_t i = 0; i < s->count; i++)
		if (s->fields[i].type.id == TN_T_INTERVAL)
			return tn_diag_set(d, TN_EUNSUPPORTED, "unsupported",
			    "Parquet cannot hold the intervals of column "
			    "\"%s\"", s->fields[i].name);
	return tn_diag_set(d, TN_EUNSUPPORTED, "unsupported",
	    "Parquet cannot hold one of the columns");
}

static enum tn_status
disk_failed(const struct copy *c, enum tn_status st, struct tn_diag *d)
{
	return tn_diag_set(d, st, st == TN_ENOSPC ? "disk_full" :
	    "copy_failed", "%s cannot be written: %s", c->temp,
	    tn_status_text(st));
}

static enum tn_status
sink_begin(void *arg, const struct tn_schema *schema, struct tn_diag *d)
{
	struct copy *c = arg;
	struct tn_buf head = { 0 };
	enum tn_status st;

	drop_temp(c);
	c->rows = 0;
	c->begun = true;
	if (c->sql->format == TN_SQL_COPY_PARQUET) {
		st = tn_parquet_create(&c->parquet, c->temp, schema,
		    &c->parquet_opts);
		return st == TN_EUNSUPPORTED ? no_storage(schema, d) :
		    st != TN_OK ? disk_failed(c, st, d) : TN_OK;
	}
	st = tn_os_open(&c->file, c->temp, TN_OS_CREATE);
	if (st == TN_OK && c->sql->format == TN_SQL_COPY_CSV &&
	    !c->sql->no_header) {
		tn_codec_csv_header(&head, schema);
		st = tn_os_write(c->file, head.p, head.n);
	}
	tn_buf_fini(&head);
	return st == TN_OK ? TN_OK : disk_failed(c, st, d);
}

static enum tn_status
write_text(struct copy *c, const struct tn_batch *b)
{
	struct tn_buf out = { 0 };
	enum tn_status st;

	if (c->sql->format == TN_SQL_COPY_CSV)
		tn_codec_csv_rows(&out, b);
	else
		tn_codec_ndjson_rows(&out, b);
	st = tn_buf_status(&out);
	if (st == TN_OK)
		st = tn_os_write(c->file, out.p, out.n);
	tn_buf_fini(&out);
	return st;
}

/* The text of a few rows at a time. */
static enum tn_status
write_slices(struct copy *c, const struct tn_batch *b)
{
	uint32_t *rows = tn_alloc(SLICE_ROWS * sizeof *rows);
	enum tn_status st = TN_OK;

	for (uint32_t at = 0; st == TN_OK && at < b->rows;
	    at += SLICE_ROWS) {
		uint32_t n = b->rows - at < SLICE_ROWS ? b->rows - at :
		    SLICE_ROWS;
		struct tn_batch *some;
		for (uint32_t i = 0; i < n; i++)
			rows[i] = at + i;
		some = tn_record_batch_take(b, rows, n);
		st = some == NULL ? TN_ENOMEM : write_text(c, some);
		tn_record_batch_unref(some);
	}
	tn_free(rows);
	return st;
}

/* A copy must not take the room of events that arrive. */
static bool
disk_full(const struct copy *c)
{
	uint64_t room = 0;

	return c->reserve > 0 && tn_os_disk_free(c->folder, &room) == TN_OK &&
	    room < c->reserve;
}

static enum tn_status
sink_rows(void *arg, const struct tn_batch *b, struct tn_diag *d)
{
	struct copy *c = arg;
	enum tn_status st = TN_OK;

	c->rows += b->rows;
	if (b->rows == 0)
		return TN_OK;
	if (disk_full(c))
		st = TN_ENOSPC;
	else if (c->parquet != NULL)
		st = tn_parquet_write(c->parquet, b);
	else if (b->rows > SLICE_ROWS)
		st = write_slices(c, b);
	else
		st = write_text(c, b);
	if (st == TN_EINVAL)
		return tn_diag_set(d, st, "copy_failed", "a number has more "
		    "digits than Parquet's DECIMAL holds: cast it");
	return st == TN_OK ? TN_OK : disk_failed(c, st, d);
}

static enum tn_status
sink_end(void *arg, struct tn_diag *d)
{
	struct copy *c = arg;
	struct tn_parquet_written w = { .rows = 0 };
	enum tn_status st;

	if (c->parquet != NULL) {
		st = tn_parquet_finish(c->parquet, &w);
		c->parquet = NULL;
		c->bytes = w.bytes;
	} else {
		st = tn_os_sync(c->file);
		if (st == TN_OK)
			st = tn_os_size(c->file, &c->bytes);
		tn_os_close(c->file);
		c->file = NULL;
	}
	tn_os_crash_point("copy_written");
	if (st == TN_OK)
		st = tn_os_rename(c->temp, c->path);
	if (st == TN_OK)
		st = tn_os_sync_dir(c->folder);
	return st == TN_OK ? TN_OK : disk_failed(c, st, d);
}

/* On the loop. */
static void
start_to(struct tn_net_job *job)
{
	struct copy *c = (struct copy *)job;
	struct tn_serving_sql_request q = { .text = c->p->text,
	    .sink = { sink_begin, sink_rows, sink_end, c } };

	tn_serving_sql(c->p->a->serving, &q, to_done, c);
}

/* ---- FROM ----------------------------------------------------------------- */

static void
from_done(void *arg, const struct tn_ingest_result *r)
{
	struct copy *c = arg;
	unsigned long long taken = r->accepted + r->quarantined +
	    r->duplicates;
	struct tn_builder *b;

	/* A bad file is the asker's, not ours. */
	c->p->answer->status = r->status == TN_ECORRUPT ||
	    r->status == TN_EUNSUPPORTED ? TN_EINVAL : r->status;
	c->p->answer->diag = r->diag;
	if (r->status == TN_OK) {
		b = tn_record_builder_new(&from_schema, 1);
		tn_record_builder_i64(b, 0, (int64_t)r->accepted);
		tn_record_builder_i64(b, 1, (int64_t)r->quarantined);
		tn_record_builder_i64(b, 2, (int64_t)r->duplicates);
		tn_record_builder_row_end(b);
		tn_app_proc_rows(c->p, b);
	} else if (taken > 0) {
		tn_diag_hint(&c->p->answer->diag, "%llu rows were taken "
		    "before that, %llu of them quarantined", taken,
		    (unsigned long long)r->quarantined);
	}
	tn_app_proc_end(c->p);
}

static void
start_from(struct tn_net_job *job)
{
	struct copy *c = (struct copy *)job;
	struct app *a = c->p->a;
	struct tn_inbox_copy q = { .path = c->path, .options = &c->options,
	    .done = from_done, .arg = c };
	int stream = tn_serving_stream_find(a->model,
	    tn_slice_of(c->sql->table));

	tn_assert(stream >= 0);
	q.stream = (uint32_t)stream;
	if (tn_inbox_copy(a->inbox, &q) != TN_OK)
		tn_app_proc_fail(c->p, TN_EFULL, "overloaded",
		    "ask again when they are done",
		    "too many COPY ... FROM run already");
}

/* ---- paths ---------------------------------------------------------------- */

/* Is the real path inside the folder? */
static bool
is_below(const char *path, const char *folder)
{
	char *real = tn_os_real_path(folder);
	size_t n = real != NULL ? strlen(real) : 0;
	bool yes = n > 0 && strncmp(path, real, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0' || real[n - 1] == '/');

	tn_free(real);
	return yes;
}

static bool
is_allowed(const struct app *a, const char *real, struct tn_arena *arena)
{
	const char *more = a->set.text[TN_SET_COPY_PATHS];

	if (is_below(real, tn_arena_printf(arena, "%s/export", a->data)) ||
	    is_below(real, tn_arena_printf(arena, "%s/inbox", a->data)))
		return true;
	while (*more != '\0') {
		size_t n;
		more += strspn(more, ", ");
		n = strcspn(more, ",");
		if (n > 0 && is_below(real, tn_arena_strndup(arena, more, n)))
			return true;
		more += n;
	}
	return false;
}

static void
refuse_path(struct copy *c)
{
	char hint[300];

	snprintf(hint, sizeof hint, "COPY may use %s/export, %s/inbox and the "
	    "folders of copy_paths (ALTER SYSTEM SET copy_paths = '/a, /b')",
	    c->p->a->data, c->p->a->data);
	tn_app_proc_fail(c->p, TN_EDENIED, "copy_path", hint,
	    "COPY may not use %.150s", c->sql->path);
}

/* Set path and folder; false: the call has ended. */
static bool
find_path(struct copy *c)
{
	struct tn_arena *arena = c->p->arena;
	const struct app *a = c->p->a;
	const char *export = tn_arena_printf(arena, "%s/export", a->data);
	const char *path = c->sql->path[0] == '/' ? c->sql->path :
	    tn_arena_printf(arena, "%s/%s", export, c->sql->path);
	const char *slash = strrchr(path, '/');
	const char *name = slash + 1;
	char *folder = tn_arena_strndup(arena, path, (size_t)(name - path));
	char *real;

	if (tn_os_mkdirs(export) != TN_OK)
		tn_say(TN_WARN, "app", "%s cannot be made", export);
	real = tn_os_real_path(c->sql->from ? path : folder);
	if (real == NULL) {
		tn_app_proc_fail(c->p, TN_ENOTFOUND, "copy_path", c->sql->from
		    ? NULL : "make the folder first", "there is no %.200s",
		    c->sql->from ? path : folder);
		return false;
	}
	c->folder = tn_arena_strdup(arena, real);
	c->path = c->sql->from ? c->folder :
	    tn_arena_printf(arena, "%s/%s", real, name);
	tn_free(real);
	if (!is_allowed(a, c->sql->from ? c->path : c->folder, arena)) {
		refuse_path(c);
		return false;
	}
	if (name[0] != '\0' && strcmp(name, ".") != 0 &&
	    strcmp(name, "..") != 0 && (tn_os_kind(c->path) ==
	    TN_OS_FILE || (!c->sql->from && tn_os_kind(c->path) ==
	    TN_OS_NONE)))
		return true;
	tn_app_proc_fail(c->p, TN_EINVAL, "copy_path", NULL,
	    "%.200s is no file", path);
	return false;
}

void
tn_app_copy(struct tn_net_job *job)
{
	struct tn_app_proc *p = (struct tn_app_proc *)job;
	struct copy *c = tn_arena_zalloc(p->arena, sizeof *c);
	uint64_t salt;
	enum tn_status st = tn_sql_copy_parse(
	    tn_serving_pipeline(p->a->model), p->text, p->arena, &c->sql,
	    &p->answer->diag);

	c->p = p;
	if (st != TN_OK) {
		p->answer->status = st;
		tn_app_proc_end(p);
		return;
	}
	if (!find_path(c))
		return;
	tn_os_random(&salt, sizeof salt);
	c->temp = tn_arena_printf(p->arena, "%s/.%s.%016llx.tmp", c->folder,
	    strrchr(c->path, '/') + 1, (unsigned long long)salt);
	if (is_below(c->folder, p->a->data))
		c->reserve = tn_app_disk_reserve(p->a);
	c->parquet_opts.zstd_level = (int)
	    p->a->set.number[TN_SET_LAKE_LEVEL];
	for (uint32_t i = 0; i < c->sql->option_count; i++)
		c->options.items[c->options.count++] = (struct
		    tn_inbox_option){ c->sql->options[i].name,
		    tn_slice_of(c->sql->options[i].value) };
	c->job.run = c->sql->from ? start_from : start_to;
	tn_net_loop_post(p->a->loop, &c->job);
}

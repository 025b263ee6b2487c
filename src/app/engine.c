/* The engine: every room but the doors, made in order and ended in reverse.
 *
 *   data folder, lock -> catalog -> lake -> log -> model
 *   -> speed -> serving -> ingest -> batch (rebuild) -> replay -> mend
 *
 * The wiring between rooms that do not see each other is here: committed rows
 * go from ingest to speed, a published cut goes to speed, serving and ingest,
 * the log is trimmed on the writer. */
#include "app/call_int.h"

#include <stdio.h>
#include <string.h>

#include "app/plan_int.h"

#define POOL_JOBS 1024
#define LOAD_PARTS 16         /* Of cut_rows: then a load has a cut beside it. */

static void
committed(void *arg, struct tn_governance_rows *rows)
{
	struct app *a = arg;

	tn_governance_recent_put(a->recent, rows);
	tn_speed_push(a->speed, rows);
}

static size_t
backlog(void *arg)
{
	struct app *a = arg;

	return tn_speed_backlog(a->speed);
}

struct recall {
	struct app *a;
	enum tn_status st;       /* Of the first block that failed. */
};

static void
recall(void *arg, struct tn_governance_rows *rows)
{
	struct recall *x = arg;

	if (x->st == TN_OK)
		x->st = tn_ingest_recall(x->a->ingest, rows);
	tn_app_memory_replayed(x->a);
}

/* On the batch thread, after speed has taken the new base. */
static void
published(void *arg, uint64_t lsn)
{
	struct app *a = arg;
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	struct tn_diag d = { .line = 0 };

	/* The keys stay in memory instead, and the next cut tries again. */
	if (tn_ingest_published(a->ingest, s, &d) != TN_OK)
		tn_say(TN_WARN, "app", "new key files: %s", d.message);
	tn_ingest_trim(a->ingest, lsn);
	tn_catalog_snapshot_put(s);
}

static enum tn_status
roll(void *arg, uint64_t *lsn)
{
	return tn_ingest_roll(((struct app *)arg)->ingest, lsn);
}

static bool
trimmed(void *arg, uint64_t lsn)
{
	return tn_ingest_trimmed(((struct app *)arg)->ingest, lsn);
}

void
tn_app_engine_cut(struct app *a, const char *reason)
{
	struct tn_batch_request r = { .kind = TN_BATCH_CUT,
	    .reason = reason };

	if (tn_batch_post(a->batch, &r) != TN_OK)
		tn_say(TN_WARN, "app", "a cut could not be queued");
}

/* A file is being loaded: a cut may as well go along with it. */
static bool
is_loading(void *arg)
{
	const struct app *a = arg;

	return __atomic_load_n(&a->loads, __ATOMIC_RELAXED) > 0;
}

/* On the speed thread. */
static void
grown(void *arg, uint64_t rows)
{
	struct app *a = arg;
	uint64_t enough = (uint64_t)__atomic_load_n(
	    &a->set.number[TN_SET_CUT_ROWS], __ATOMIC_RELAXED);

	/* Early, where a cut would go along; else it would be many small ones. */
	if (is_loading(a) && a->batch != NULL &&
	    tn_batch_may_follow(a->batch))
		enough /= LOAD_PARTS;
	if (rows >= enough && a->batch != NULL)
		tn_app_engine_cut(a, "rows");
	else
		tn_app_memory_press(a);
}

static void
seal(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	tn_speed_seal(speed, lsn, refs);
}

static void
mark(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	tn_speed_mark(speed, lsn, refs);
}

static void
unseal(void *speed)
{
	tn_speed_unseal(speed);
}

static void
speed_published(void *speed)
{
	tn_speed_published(speed);
}

static void
speed_adopt(void *speed, struct tn_serving_change *c, uint64_t *lsn,
    struct tn_serving_refs *refs)
{
	tn_speed_adopt(speed, c, lsn, refs);
}

static void
speed_swap(void *speed, struct tn_serving_change *c)
{
	tn_speed_swap(speed, c);
}

static void
speed_abandon(void *speed, struct tn_serving_change *c)
{
	tn_speed_abandon(speed, c);
}

/* ---- opening --------------------------------------------------------- */

static char *
path_in(const struct app *a, const char *name)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s", a->data, name);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static enum tn_status
lock_data(struct app *a, struct tn_diag *d)
{
	char *path = path_in(a, "lock");
	enum tn_status st = tn_os_mkdirs(a->data);

	if (st == TN_OK)
		st = tn_os_lock(&a->lock, path);
	if (st == TN_ECONFLICT) {
		tn_diag_hint(d, "stop the other tarn, or name another folder "
		    "with --data");
		tn_diag_set(d, st, "data_in_use",
		    "another tarn uses the data folder %s", a->data);
	} else if (st != TN_OK) {
		tn_diag_hint(d, "name a folder you may write with --data");
		tn_diag_set(d, st, "data_folder",
		    "cannot use the data folder %s: %s", a->data,
		    tn_status_text(st));
	}
	tn_free(path);
	return st;
}

/* Files that were being written beside their place when something failed. */
static enum tn_status
sweep_data(struct app *a)
{
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_os_list(a->data, &names, &count);

	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]);
		char *path = NULL;
		if (n > 4 && strcmp(names[i] + n - 4, ".tmp") == 0)
			path = path_in(a, names[i]);
		if (st == TN_OK && path != NULL)
			st = tn_os_unlink(path);
		tn_free(path);
		tn_free(names[i]);
	}
	tn_free(names);
	return st;
}

/* A catalog of another time does not name files that have rows, and names some
 * that are there no more. With what is between it and the log's first block
 * nothing can be started; when files are missing nothing is swept. */
static enum tn_status
check_catalog(struct app *a, bool *whole, struct tn_diag *d)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	uint64_t first = tn_log_first(a->log), bytes;
	uint32_t missing = 0;
	enum tn_status st = TN_OK;

	if (first > s->lsn + 1) {
		tn_diag_hint(d, "catalog.db is not that of the folder's last "
		    "run: put that one back, or restore the whole folder from "
		    "a backup; no file was removed");
		st = tn_diag_set(d, TN_ECORRUPT, "catalog_old", "catalog.db "
		    "ends at LSN %llu, the log begins at %llu: what is between "
		    "is in no file that catalog.db names",
		    (unsigned long long)s->lsn, (unsigned long long)first);
	}
	for (uint32_t i = 0; st == TN_OK && i < s->count; i++)
		missing += !tn_lake_is_cold(a->lake, s->files[i].path) &&
		    tn_lake_size(a->lake, s->files[i].path, &bytes) ==
		    TN_ENOTFOUND;
	if (missing > 0)
		tn_say(TN_WARN, "app", "%u files of the lake are missing: "
		    "nothing that a crash left behind is removed; tarn verify "
		    "names them", (unsigned)missing);
	*whole = missing == 0;
	tn_catalog_snapshot_put(s);
	return st;
}

/* The cold folder is looked at before anything is swept. */
static enum tn_status
sweep_lake(struct app *a, struct tn_diag *d)
{
	bool whole = false;
	struct tn_arena *arena = tn_arena_new(65536);
	const char **paths = NULL;
	char *mark = path_in(a, "cold");
	uint32_t count = 0, removed = 0;
	enum tn_status st = tn_catalog_paths(a->catalog, arena, &paths,
	    &count);
	struct tn_lake_cold_opts cold = { a->set.text[TN_SET_COLD_FOLDER],
	    mark, paths, count };

	if (st == TN_OK)
		st = tn_lake_cold_open(a->lake, &cold, d);
	tn_free(mark);
	if (st == TN_OK)
		st = check_catalog(a, &whole, d);
	if (st == TN_OK && whole)
		st = tn_lake_sweep(a->lake, paths, count, &removed);
	if (removed > 0)
		tn_say(TN_INFO, "app", "removed %u files that a crash left "
		    "behind", (unsigned)removed);
	tn_arena_free(arena);
	return st;
}

/* The log must go on above the lake, also when its folder was lost. */
static enum tn_status
raise_log(struct app *a)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_catalog_offset *o = NULL;
	uint32_t count = 0, n = 0;
	uint32_t *streams;
	uint64_t *next;
	enum tn_status st = TN_OK;

	if (tn_log_last(a->log) < s->lsn) {
		st = tn_catalog_offsets(a->catalog, arena, &o, &count);
		streams = tn_arena_alloc(arena, (count + 1) * sizeof *streams);
		next = tn_arena_alloc(arena, (count + 1) * sizeof *next);
		for (n = 0; st == TN_OK && n < count; n++) {
			streams[n] = o[n].stream;
			next[n] = o[n].next;
		}
		if (st == TN_OK)
			st = tn_log_raise(a->log, s->lsn, streams, next, n);
	}
	tn_arena_free(arena);
	tn_catalog_snapshot_put(s);
	return st;
}

/* Files that no catalog names are removed at the start, so a lost catalog
 * must not look like a fresh one. */
static enum tn_status
lake_without_catalog(struct app *a, const char *catalog, struct tn_diag *d)
{
	static const char *const tiers[] = { "lake/bronze", "lake/silver",
	    "lake/gold" };
	bool any = false;

	if (tn_os_kind(catalog) != TN_OS_NONE)
		return TN_OK;
	for (size_t i = 0; i < TN_COUNT(tiers); i++) {
		char *path = path_in(a, tiers[i]), **names = NULL;
		size_t count = 0;
		if (tn_os_kind(path) == TN_OS_DIR &&
		    tn_os_list(path, &names, &count) == TN_OK)
			any = any || count > 0;
		for (size_t k = 0; k < count; k++)
			tn_free(names[k]);
		tn_free(names);
		tn_free(path);
	}
	if (!any)
		return TN_OK;
	tn_diag_hint(d, "put back the catalog.db of the last run, restore the "
	    "whole folder from a backup, or move the folder %s/lake away to "
	    "start empty", a->data);
	return tn_diag_set(d, TN_ECORRUPT, "catalog_lost",
	    "%s is missing, but the lake beside it holds files", catalog);
}

#define RESERVE_PARTS 16             /* Of a small disk. */

uint64_t
tn_app_disk_reserve(const struct app *a)
{
	uint64_t want = (uint64_t)a->set.number[TN_SET_DISK_RESERVE];
	uint64_t size = tn_os_disk_size(a->data);

	return size > 0 && want > size / RESERVE_PARTS ?
	    size / RESERVE_PARTS : want;
}

static enum tn_status
note_streams(struct app *a)
{
	uint32_t n = a->model->stream_count;
	uint32_t *ids = tn_alloc((n + 1ul) * sizeof *ids);
	enum tn_status st;

	for (uint32_t i = 0; i < n; i++)
		ids[i] = a->model->streams[i].id;
	st = tn_app_streams_note(a->catalog, ids, n);
	tn_free(ids);
	return st;
}

/* How long a key is surely remembered. */
static int64_t
key_least_us(const struct app *a)
{
	const int64_t *n = a->set.number;

	return n[TN_SET_IDEMPOTENCY_MIN] < n[TN_SET_IDEMPOTENCY] ?
	    n[TN_SET_IDEMPOTENCY_MIN] : n[TN_SET_IDEMPOTENCY];
}

static enum tn_status
open_stores(struct app *a, struct tn_diag *d)
{
	char *catalog = path_in(a, "catalog.db");
	char *lake = path_in(a, "lake"), *log = path_in(a, "log");
	uint64_t journal = (uint64_t)a->set.number[TN_SET_LOG_JOURNAL];
	struct tn_log_opts lo = { .dir = log,
	    .segment_bytes = (uint64_t)a->set.number[TN_SET_SEGMENT_BYTES],
	    .journal_bytes = journal > 0 ? journal : TN_LOG_NO_JOURNAL,
	    .zstd_level = (int)a->set.number[TN_SET_LOG_LEVEL],
	    .notes_max = (uint32_t)a->set.number[TN_SET_IDEMPOTENCY_KEYS],
	    .notes_early_us = a->set.number[TN_SET_IDEMPOTENCY] -
	        key_least_us(a),
	    .disk_reserve = tn_app_disk_reserve(a) };
	enum tn_status st = lake_without_catalog(a, catalog, d);

	if (st == TN_OK)
		st = sweep_data(a);
	if (st == TN_OK)
		st = tn_catalog_open(&a->catalog, catalog, d);
	if (st == TN_OK)
		st = tn_catalog_runs_mend(a->catalog, tn_os_wall_us());
	if (st == TN_OK)
		st = tn_app_tune_load(a);
	if (st == TN_OK)
		st = tn_lake_open(&a->lake, lake, d);
	if (st == TN_OK)
		st = tn_log_open(&a->log, &lo, d);
	if (st == TN_OK)
		st = sweep_lake(a, d);
	if (st == TN_OK)
		st = raise_log(a);
	if (st == TN_OK) {
		st = tn_serving_model_new(&a->model, a->pipeline, a->catalog,
		    d);
		a->pipeline = NULL;      /* The model has it, or freed it. */
	}
	if (st == TN_OK)
		st = note_streams(a);
	/* Only plan misses it, and a full disk must not keep a start. */
	if (st == TN_OK && tn_app_options_note(a->catalog, a->model) != TN_OK)
		tn_say(TN_WARN, "app", "the options in force could not be "
		    "noted: tarn plan may not see that they change");
	if (st == TN_OK)
		tn_serving_model_state_max(a->model, (size_t)
		    a->set.number[TN_SET_HOLISTIC_BYTES]);
	tn_free(catalog);
	tn_free(lake);
	tn_free(log);
	return st;
}

static void
make_layers(struct app *a)
{
	const int64_t *n = a->set.number;
	struct tn_speed_opts so = { .model = a->model, .catalog = a->catalog,
	    .lake = a->lake, .log = a->log, .grown = grown, .arg = a };
	struct tn_serving_opts vo = { .loop = a->loop, .pool = a->pool,
	    .model = a->model, .catalog = a->catalog, .lake = a->lake,
	    .log = a->log,
	    /* 0 would be serving's default: here it means none. */
	    .cache_bytes = (size_t)n[TN_SET_CACHE_BYTES] + 1,
	    .gold_bytes = (size_t)n[TN_SET_GOLD_BYTES],
	    .query_bytes = (size_t)n[TN_SET_QUERY_BYTES],
	    .rows_max = (uint32_t)n[TN_SET_RESULT_ROWS],
	    .live_ms = (uint32_t)(n[TN_SET_LIVE_INTERVAL] / 1000),
	    .live_max = (uint32_t)n[TN_SET_LIVE_CLIENTS] };
	struct tn_ingest_opts io = { .loop = a->loop, .model = a->model,
	    .catalog = a->catalog, .lake = a->lake, .log = a->log,
	    .decoders = (uint32_t)n[TN_SET_DECODERS],
	    .chunk_bytes = (size_t)n[TN_SET_CHUNK_BYTES],
	    .row_bytes_max = (size_t)n[TN_SET_ROW_BYTES],
	    .pending_bytes_max = (size_t)n[TN_SET_PENDING_BYTES],
	    .errors_max = (uint32_t)n[TN_SET_ERRORS],
	    .zstd_level = (int)n[TN_SET_LOG_LEVEL],
	    .idempotency_us = n[TN_SET_IDEMPOTENCY],
	    .idempotency_min_us = key_least_us(a),
	    .committed = committed, .backlog = backlog,
	    .backlog_max = (size_t)n[TN_SET_BACKLOG_BYTES], .arg = a };

	a->recent = tn_governance_recent_new((size_t)n[TN_SET_RECENT_BYTES]);
	a->speed = tn_speed_new(&so);
	vo.speed = (struct tn_serving_speed){ tn_speed_ask, a->speed };
	a->serving = tn_serving_new(&vo);
	tn_speed_attach(a->speed, a->serving);
	a->ingest = tn_ingest_new(&io);
}

static void
make_batch(struct app *a)
{
	const int64_t *n = a->set.number;
	struct tn_batch_opts o = { .model = a->model, .catalog = a->catalog,
	    .lake = a->lake, .log = a->log, .serving = a->serving,
	    .pool = a->folds, .speed = { seal, unseal, speed_published,
	    speed_adopt, speed_swap, speed_abandon, mark, a->speed },
	    .published = published, .loading = is_loading,
	    .roll = roll, .trimmed = trimmed,
	    .objects = tn_app_objects_usage, .arg = a,
	    .recent = a->recent,
	    .young_files_max = (uint32_t)n[TN_SET_YOUNG_FILES],
	    .compact_file_bytes = (uint64_t)n[TN_SET_COMPACT_BYTES],
	    .compact_rate = (uint64_t)n[TN_SET_COMPACT_RATE],
	    .busy_rate = (uint64_t)n[TN_SET_COMPACT_BUSY],
	    /* Events come in as long as once of it is free. */
	    .disk_reserve = 2 * tn_app_disk_reserve(a),
	    .prepare_rate = (uint64_t)n[TN_SET_PREPARE_RATE],
	    .prepare_rest = (uint64_t)n[TN_SET_PREPARE_REST],
	    .slice_rows = (uint64_t)n[TN_SET_SLICE_ROWS],
	    .follow_rows = (uint64_t)n[TN_SET_CUT_LOAD_ROWS],
	    .zstd_level = (int)n[TN_SET_LAKE_LEVEL],
	    .cold_after_us = n[TN_SET_COLD_AFTER] > 0 ?
		n[TN_SET_COLD_AFTER] : 1,
	    .cold_zstd_level = (int)n[TN_SET_COLD_LEVEL],
	    .cold_reserve = (uint64_t)n[TN_SET_DISK_RESERVE],
	    .cold_retry_us = n[TN_SET_COLD_RETRY],
	    .file_retry_us = n[TN_SET_FILE_RETRY],
	    .file_retry_max_us = n[TN_SET_FILE_RETRY_MAX],
	    .table_formats = tn_app_table_formats(
		a->set.text[TN_SET_LAKE_TABLES]),
	    .garbage_us = n[TN_SET_SNAPSHOT_KEEP],
	    .corrections_max = (uint32_t)n[TN_SET_CORRECTIONS],
	    .corrections_keep_us = n[TN_SET_CORRECTIONS_KEEP],
	    .retention_wait_us = n[TN_SET_RETENTION_WAIT] > 0 ?
		n[TN_SET_RETENTION_WAIT] : -1 };

	a->batch = tn_batch_new(&o);
}

static enum tn_status
catch_up(struct app *a, struct tn_diag *d)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	struct recall x = { a, TN_OK };
	enum tn_status st;

	/* Key files first: they replace what recall adds only below the cut. */
	st = tn_ingest_published(a->ingest, s, d);
	tn_catalog_snapshot_put(s);
	tn_ingest_flush(a->ingest);     /* The writer has them; now we recall. */
	make_batch(a);
	if (st == TN_OK)
		st = tn_batch_rebuild(a->batch, d);
	if (st == TN_OK)
		st = tn_speed_replay(a->speed, recall, &x, d);
	/* Without its keys a duplicate would be taken. */
	if (st == TN_OK && x.st != TN_OK)
		st = tn_diag_set(d, x.st, "memory_full", "no memory for the "
		    "keys of the events in the log");
	if (st == TN_OK)
		st = tn_batch_mend(a->batch, d);
	if (st == TN_OK)
		tn_app_try_again(a);
	return st;
}

enum tn_status
tn_app_engine_open(struct app *a, struct tn_diag *d)
{
	enum tn_status st = lock_data(a, d);

	tn_app_memory_setup(&a->set);
	tn_app_files_fit(&a->set, tn_os_files_max());
	if (st == TN_OK)
		st = open_stores(a, d);
	if (st != TN_OK)
		return st;
	a->loop = tn_net_loop_new();
	a->pool = tn_net_pool_new("query", (uint32_t)
	    a->set.number[TN_SET_QUERY_THREADS], POOL_JOBS);
	a->folds = tn_net_pool_background("folds", (uint32_t)
	    a->set.number[TN_SET_QUERY_THREADS], POOL_JOBS);
	make_layers(a);
	st = catch_up(a, d);
	tn_app_calls_open(a);
	tn_app_apply_open(a);
	if (st == TN_OK)
		tn_app_memory_watch(a);
	return st;
}

void
tn_app_engine_close(struct app *a)
{
	/* Quiet from the top: after this nobody asks batch for a cut, and a
	 * cut under way may still talk to the writer and to speed. An apply may
	 * wait behind a paused recompute: batch ends both first. */
	tn_batch_stop(a->batch);
	tn_app_apply_close(a);
	tn_app_calls_close(a);
	tn_app_backup_close(a);
	tn_inbox_stop(a->inbox);
	tn_objects_stop(a->objects);
	if (a->ingest != NULL) {
		tn_ingest_messages_send(a->ingest);
		tn_ingest_flush(a->ingest);
	}
	if (a->speed != NULL)
		tn_speed_flush(a->speed);
	tn_batch_free(a->batch);
	if (a->ingest != NULL)
		tn_ingest_stop(a->ingest);
	if (a->speed != NULL)
		tn_speed_stop(a->speed);
	tn_net_pool_free(a->pool);
	tn_net_pool_free(a->folds);
	tn_net_timer_free(a->memory_timer);
	if (a->loop != NULL)
		tn_net_loop_settle(a->loop);
	tn_app_mqtt_close(a);
	tn_inbox_free(a->inbox);
	tn_objects_free(a->objects);
	tn_ingest_free(a->ingest);
	tn_governance_recent_free(a->recent);
	tn_serving_free(a->serving);
	tn_speed_free(a->speed);
	tn_governance_access_free(a->access);
	tn_net_loop_free(a->loop);
	tn_serving_model_free(a->model);
	tn_sql_pipeline_free(a->pipeline);
	tn_log_close(a->log);
	tn_lake_close(a->lake);
	tn_catalog_close(a->catalog);
	tn_app_tune_close(a);
	tn_os_close(a->lock);
}

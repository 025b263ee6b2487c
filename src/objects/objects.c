/* objects: opening and closing, operations from thread to thread, the timer.
 *
 *   data/objects.mdb, lake/objects, tmp emptied
 *   --> events left untold are read --> pool, keeper, timer
 *
 * Every second (and soon after an event was refused) the timer gives late
 * events to ingest again and lets the keeper tidy.
 *
 * What can go wrong: the index is missing beside contents: not started, for
 * the sweep would remove them all. */
#include "objects/objects_int.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS 250
#define GIB (UINT64_C(1) << 30)

/* ---- operations ------------------------------------------------------- */

struct tn_slice
tn_objects_copy(struct tn_arena *a, struct tn_slice s)
{
	uint8_t *p = tn_arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct tn_slice){ p, s.n };
}

struct op *
tn_objects_op_new(struct tn_objects *o, enum op_kind kind,
    tn_objects_done *done, void *arg)
{
	struct op *op = tn_zalloc(sizeof *op);

	op->o = o;
	op->kind = kind;
	op->a = tn_arena_new(2048);
	op->done = done;
	op->arg = arg;
	return op;
}

void
tn_objects_op_free(struct op *op)
{
	tn_buf_fini(&op->out);
	tn_arena_free(op->a);
	tn_free(op->upload);
	tn_free(op);
}

static void
run_home(struct tn_net_job *job)
{
	struct op *op = (struct op *)job;

	if (op->back != NULL)
		op->back(op);
	op->back = NULL;
	tn_objects_finish(op);
}

void
tn_objects_to_loop(struct op *op)
{
	op->job.run = run_home;
	tn_net_loop_post(op->o->opt.loop, &op->job);
}

void
tn_objects_to_keeper(struct op *op, void (*run)(struct tn_net_job *job))
{
	op->job.run = run;
	if (op->o->keeper != NULL &&
	    tn_net_actor_post_internal(op->o->keeper, &op->job))
		return;
	op->r.status = tn_diag_set(&op->r.diag, TN_ECLOSED, "stopping",
	    "the program is stopping");
	tn_objects_to_loop(op);
}

void
tn_objects_finish(struct op *op)
{
	struct untold *u = op->untold;

	tn_assert(tn_net_on_loop());
	if (u != NULL && op->r.status == TN_OK) {
		tn_os_crash_point("object_event_given");
		tn_objects_tell(op->o, u);
		return;
	}
	tn_assert(u == NULL);
	if (op->done != NULL)
		op->done(op->arg, &op->r);
	tn_objects_op_free(op);
}

/* ---- places ----------------------------------------------------------- */

enum tn_status
tn_objects_content_path(const struct tn_objects *o,
    const uint8_t sha[static SHA_BYTES], struct tn_buf *out)
{
	char hex[SHA_HEX + 1];

	tn_objects_hex(sha, hex);
	tn_buf_printf(out, "%s/%.2s/%.2s/%s", o->root, hex, hex + 2, hex);
	return tn_buf_status(out);
}

bool
tn_objects_disk_full(const struct tn_objects *o, uint64_t more)
{
	uint64_t room = 0;

	/* A disk that cannot be asked will say so when it is written. */
	return tn_os_disk_free(o->root, &room) == TN_OK &&
	    (room < o->opt.reserve_bytes ||
	    room - o->opt.reserve_bytes < more);
}

void
tn_objects_usage(const struct tn_objects *o, uint64_t *count, uint64_t *bytes)
{
	int64_t n = tn_counter_read(o->objects);
	int64_t all = tn_counter_read(o->bytes);

	*count = n > 0 ? (uint64_t)n : 0;
	*bytes = all > 0 ? (uint64_t)all : 0;
}

uint64_t
tn_objects_bytes_max(const struct tn_objects *o)
{
	return o->opt.bytes_max;
}

void
tn_objects_delete(struct tn_objects *o, const struct tn_objects_delete *q,
    tn_objects_done *done, void *arg)
{
	struct op *op = tn_objects_op_new(o, OP_DELETE, done, arg);

	tn_assert(tn_net_on_loop());
	op->bucket = tn_objects_copy(op->a, q->bucket);
	op->key = tn_objects_copy(op->a, q->key);
	op->must = q->must;
	if (q->must.match.p != NULL)
		op->must.match = tn_objects_copy(op->a, q->must.match);
	op->source = tn_arena_strdup(op->a, q->source);
	op->erase = q->erase;
	if (o->untold_count < UNTOLD_MAX) {
		tn_objects_to_keeper(op, tn_objects_run_delete);
		return;
	}
	op->r.status = tn_diag_set(&op->r.diag, TN_EFULL, "overloaded",
	    "too many changes wait to be told already");
	tn_objects_to_loop(op);
}

/* ---- the timer -------------------------------------------------------- */

static void
run_ticked(struct tn_net_job *job)
{
	struct tn_objects *o = (struct tn_objects *)(void *)((char *)job -
	    offsetof(struct tn_objects, tick));

	o->ticking = false;
}

static void
run_tick(struct tn_net_job *job)
{
	struct tn_objects *o = (struct tn_objects *)(void *)((char *)job -
	    offsetof(struct tn_objects, tick));

	tn_objects_tidy(o);
	job->run = run_ticked;
	tn_net_loop_post(o->opt.loop, job);
}

/* What was told since the last time goes to the keeper. */
static void
hand_told(struct tn_objects *o)
{
	if (o->told_count == 0)
		return;
	o->forget = tn_realloc(o->forget, (o->forget_count + o->told_count) *
	    sizeof *o->forget);
	memcpy(o->forget + o->forget_count, o->told, o->told_count *
	    sizeof *o->told);
	o->forget_count += o->told_count;
	o->told_count = 0;
}

static void
fired(void *arg)
{
	struct tn_objects *o = arg;

	tn_objects_tell_late(o);
	o->fired++;
	if (o->ticking || (o->fired % 4 != 0 && o->sweep_at == 256))
		return;
	hand_told(o);
	o->crowded = o->untold_count >= UNTOLD_MAX;
	o->ticking = true;
	o->tick.run = run_tick;
	if (!tn_net_actor_post_internal(o->keeper, &o->tick))
		o->ticking = false;
}

/* ---- life ------------------------------------------------------------- */

static void
set_defaults(struct tn_objects_opts *o)
{
	if (o->threads == 0)
		o->threads = 4;
	if (o->bytes_max == 0)
		o->bytes_max = GIB;
	if (o->index_bytes_max == 0)
		o->index_bytes_max = 4 * GIB;
	if (o->uploads_max == 0)
		o->uploads_max = 32;
}

static void
set_counters(struct tn_objects *o)
{
	o->objects = tn_counter_get(TN_GAUGE, "tarn_objects", NULL,
	    "Objects by name.");
	o->bytes = tn_counter_get(TN_GAUGE, "tarn_objects_bytes", NULL,
	    "Bytes of all objects, each name counted.");
	o->puts = tn_counter_get(TN_COUNTER, "tarn_objects_changes_total",
	    "action=\"put\"", "Objects put and deleted.");
	o->deletes = tn_counter_get(TN_COUNTER, "tarn_objects_changes_total",
	    "action=\"delete\"", "Objects put and deleted.");
	o->received = tn_counter_get(TN_COUNTER,
	    "tarn_objects_received_bytes_total", NULL,
	    "Bytes of uploads, also of those that failed.");
	o->swept = tn_counter_get(TN_COUNTER, "tarn_objects_swept_total",
	    NULL, "Contents without a name that a crash left behind.");
}

/* Contents without their index must not look like leftovers. */
static enum tn_status
look_for_loss(struct tn_objects *o, const char *index, struct tn_diag *d)
{
	char **names = NULL;
	size_t count = 0;
	bool any = false;
	enum tn_status st = TN_OK;

	if (tn_os_kind(index) != TN_OS_NONE ||
	    tn_os_kind(o->root) == TN_OS_NONE)
		return TN_OK;
	st = tn_os_list(o->root, &names, &count);
	for (size_t i = 0; i < count; i++) {
		any = any || strcmp(names[i], "tmp") != 0;
		tn_free(names[i]);
	}
	tn_free(names);
	if (st != TN_OK || !any)
		return st;
	tn_diag_hint(d, "put objects.mdb back from a backup, or move the "
	    "folder %s away to start without objects", o->root);
	return tn_diag_set(d, TN_ECORRUPT, "objects_lost",
	    "%s is missing, but %s holds files", index, o->root);
}

static enum tn_status
empty_tmp(struct tn_objects *o)
{
	struct tn_buf path = { 0 };
	char **names = NULL;
	size_t count = 0, n;
	enum tn_status st;

	tn_buf_printf(&path, "%s/tmp", o->root);
	n = path.n;
	st = tn_os_mkdirs(tn_buf_cstr(&path));
	if (st == TN_OK)
		st = tn_os_list(tn_buf_cstr(&path), &names, &count);
	for (size_t i = 0; i < count; i++) {
		path.n = n;
		tn_buf_printf(&path, "/%s", names[i]);
		if (st == TN_OK)
			st = tn_os_unlink(tn_buf_cstr(&path));
		tn_free(names[i]);
	}
	tn_free(names);
	tn_buf_fini(&path);
	return st;
}

static enum tn_status
open_index(struct tn_objects *o, struct tn_diag *d)
{
	struct tn_buf path = { 0 };
	enum tn_status st;

	tn_buf_printf(&path, "%s/objects.mdb", o->opt.data);
	st = look_for_loss(o, tn_buf_cstr(&path), d);
	if (st == TN_OK)
		st = tn_log_table_open(&o->table, tn_buf_cstr(&path),
		    o->opt.index_bytes_max, d);
	tn_buf_fini(&path);
	if (st != TN_OK)
		return st;
	st = empty_tmp(o);
	if (st != TN_OK)
		return tn_diag_set(d, st, "objects_folder",
		    "cannot use the folder %s: %s", o->root,
		    tn_status_text(st));
	/* What is damaged was said and is left out. */
	st = tn_objects_load_clock(o);
	if (st == TN_OK)
		st = tn_objects_load_untold(o);
	if (st == TN_OK || st == TN_ECORRUPT)
		st = tn_objects_count(o);
	return st == TN_ECORRUPT ? TN_OK : st;
}

enum tn_status
tn_objects_open(struct tn_objects **out, const struct tn_objects_opts *opts,
    struct tn_diag *d)
{
	struct tn_objects *o = tn_zalloc(sizeof *o);
	struct tn_buf root = { 0 };
	enum tn_status st;

	tn_assert(tn_net_on_loop());
	*out = NULL;
	o->opt = *opts;
	set_defaults(&o->opt);
	set_counters(o);
	o->untold_end = &o->untold;
	tn_buf_printf(&root, "%s/lake/objects", opts->data);
	o->root = tn_strdup(tn_buf_cstr(&root));
	tn_buf_fini(&root);
	st = tn_objects_rules_parse(&o->rules, opts->retention, d);
	if (st == TN_OK)
		st = open_index(o, d);
	if (st != TN_OK) {
		tn_objects_free(o);
		return st;
	}
	o->pool = tn_net_pool_new("objects", o->opt.threads,
	    FINDS_MAX + o->opt.uploads_max + 1);
	/* More than operations there can be. */
	o->keeper = tn_net_actor_new("keeper", 1024);
	o->timer = tn_net_timer_new(o->opt.loop, fired, o);
	tn_net_timer_start(o->timer, TICK_MS, TICK_MS);
	*out = o;
	return TN_OK;
}

void
tn_objects_stop(struct tn_objects *o)
{
	struct tn_net_pool *pool;
	struct tn_net_actor *keeper;

	if (o == NULL || o->stopping)
		return;
	o->stopping = true;
	tn_net_timer_free(o->timer);
	o->timer = NULL;
	/* The pool may still give work to the keeper. */
	pool = o->pool;
	tn_net_pool_free(pool);
	o->pool = NULL;
	keeper = o->keeper;
	o->keeper = NULL;
	tn_net_actor_free(keeper);
}

void
tn_objects_free(struct tn_objects *o)
{
	if (o == NULL)
		return;
	tn_assert(o->pool == NULL && o->keeper == NULL && !o->ticking);
	/* What was told may be forgotten now: nothing else writes. */
	if (o->table != NULL) {
		hand_told(o);
		tn_objects_forget(o);
	}
	tn_objects_untold_end(o);
	tn_log_table_close(o->table);
	tn_buf_fini(&o->expire_from);
	tn_free(o->forget);
	tn_free(o->root);
	tn_free(o);
}

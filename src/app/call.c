/* CALL name(...): procedures of POST /api/v1/sql.
 *
 *   loop    the text is copied, a job goes to the thread "calls"
 *   calls   parsed and checked by sql, then its handler
 *   any     what the handler handed on ends the call
 *   loop    the answer goes back to the door
 *
 * Handlers do not wait: a call that cancels another one must get through. What
 * can go wrong: CALLS_MAX calls wait already, or the program stops; then the
 * call is refused and nothing was done. */
#include "app/tune_int.h"

#include <stdio.h>
#include <string.h>

#define CALLS_MAX 64

bool
tn_app_proc_int(const struct tn_app_proc *p, const char *name, int64_t *v)
{
	const struct tn_sql_arg *x = tn_sql_call_arg(p->call, name);

	if (x != NULL)
		*v = x->number;
	return x != NULL;
}

bool
tn_app_proc_bool(const struct tn_app_proc *p, const char *name)
{
	const struct tn_sql_arg *x = tn_sql_call_arg(p->call, name);

	return x != NULL && x->number != 0;
}

const char *
tn_app_proc_text(const struct tn_app_proc *p, const char *name)
{
	const struct tn_sql_arg *x = tn_sql_call_arg(p->call, name);

	return x == NULL ? NULL : tn_arena_strndup(p->arena,
	    (const char *)x->text.p, x->text.n);
}

/* ---- the end --------------------------------------------------------- */

static void
run_done(struct tn_net_job *job)
{
	struct tn_app_proc *p = (struct tn_app_proc *)job;

	p->done(p->arg, p->answer);
	tn_arena_free(p->arena);
}

void
tn_app_proc_end(struct tn_app_proc *p)
{
	p->job.run = run_done;
	tn_net_loop_post(p->a->loop, &p->job);
}

void
tn_app_proc_fail(struct tn_app_proc *p, enum tn_status st, const char *code,
    const char *hint, const char *fmt, ...)
{
	char message[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	p->answer->status = tn_diag_set(&p->answer->diag, st, code, "%s",
	    message);
	if (hint != NULL)
		tn_diag_hint(&p->answer->diag, "%s", hint);
	tn_app_proc_end(p);
}

void
tn_app_proc_rows(struct tn_app_proc *p, struct tn_builder *rows)
{
	struct tn_batch *b = tn_record_builder_take(rows);
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    p->a->catalog);

	p->answer->lsn = tn_serving_lsn(p->a->serving);
	p->answer->batch_lsn = now->lsn;
	tn_catalog_snapshot_put(now);
	if (b != NULL)
		tn_serving_encode(p->answer, p->format, b);
	else
		p->answer->status = tn_diag_set(&p->answer->diag, TN_ENOMEM,
		    "memory_full", "memory is out for the answer");
	tn_record_batch_unref(b);
	tn_record_builder_free(rows);
}

/* ---- work of batch --------------------------------------------------- */

static const struct tn_field report_fields[] = {
	{ "run", { .id = TN_T_INT8 }, false },
	{ "lsn", { .id = TN_T_INT8 }, false },
	{ "rows", { .id = TN_T_INT8 }, false },
	{ "files", { .id = TN_T_INT8 }, false },
	{ "detail", { .id = TN_T_TEXT }, false },
};
static const struct tn_schema report_schema = { .name = "call",
    .count = TN_COUNT(report_fields), .fields = report_fields };

/* On the batch thread; the report is gone afterwards. */
static void
reported(void *arg, const struct tn_batch_report *r)
{
	struct tn_app_proc *p = arg;
	struct tn_builder *b;
	size_t n = r->text.n;

	if (r->status != TN_OK) {
		p->answer->status = r->status;
		p->answer->diag = r->diag;
		tn_app_proc_end(p);
		return;
	}
	while (n > 0 && r->text.p[n - 1] == '\n')
		n--;
	b = tn_record_builder_new(&report_schema, 1);
	if (r->run != 0)
		tn_record_builder_i64(b, 0, (int64_t)r->run);
	tn_record_builder_i64(b, 1, (int64_t)r->lsn);
	tn_record_builder_i64(b, 2, (int64_t)r->rows);
	tn_record_builder_i64(b, 3, r->files);
	tn_record_builder_text(b, 4, r->text.p, n);
	tn_record_builder_row_end(b);
	tn_app_proc_rows(p, b);
	tn_app_proc_end(p);
}

void
tn_app_proc_batch(struct tn_app_proc *p, struct tn_batch_request *r)
{
	r->done = reported;
	r->arg = p;
	if (tn_batch_post(p->a->batch, r) != TN_OK)
		tn_app_proc_fail(p, TN_EFULL, "overloaded",
		    "ask again when they are done",
		    "too many batch jobs wait already");
}

/* ---- procedures ------------------------------------------------------ */

static void
expire_snapshots(struct tn_app_proc *p)
{
	const struct tn_sql_arg *x = tn_sql_call_arg(p->call, "older_than");
	struct tn_batch_request r = { .kind = TN_BATCH_EXPIRE,
	    .reason = "request" };

	if (x->number < 0) {
		tn_app_proc_fail(p, TN_EINVAL, "bad_argument", NULL,
		    "older_than must not be negative");
		return;
	}
	if (x->kind == TN_SQL_ARG_INT)
		r.lsn = (uint64_t)x->number;
	else if (x->kind == TN_SQL_ARG_TIME)
		r.time_us = x->number;
	else
		r.time_us = tn_os_wall_us() - x->number;
	tn_app_proc_batch(p, &r);
}

static void
rollback(struct tn_app_proc *p)
{
	struct tn_batch_request r = { .kind = TN_BATCH_ROLLBACK,
	    .reason = "request", .view = tn_app_proc_text(p, "name") };
	int64_t snapshot = 0, lsn = 0;
	bool by_snapshot = tn_app_proc_int(p, "snapshot", &snapshot);
	bool by_lsn = tn_app_proc_int(p, "lsn", &lsn);

	if (by_snapshot == by_lsn || snapshot < 0 || lsn < 0 ||
	    snapshot + lsn == 0) {
		tn_app_proc_fail(p, TN_EINVAL, "bad_argument", "CALL "
		    "rollback('view', snapshot => 41): GET /api/v1/snapshots "
		    "lists them", "say where to: a snapshot or an lsn, from "
		    "1");
		return;
	}
	r.snapshot = (uint64_t)snapshot;
	r.lsn = (uint64_t)lsn;
	tn_app_proc_batch(p, &r);
}

static void
recompute(struct tn_app_proc *p)
{
	struct tn_batch_request r = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = tn_app_proc_text(p, "view"),
	    .dry_run = tn_app_proc_bool(p, "dry_run") };

	/* 0 says that there is none; buckets are wider than this. */
	if (tn_app_proc_int(p, "from_time", &r.from_us) && r.from_us == 0)
		r.from_us = 1;
	if (tn_app_proc_int(p, "to_time", &r.to_us) && r.to_us == 0)
		r.to_us = -1;
	if (r.from_us != 0 && r.to_us != 0 && r.from_us >= r.to_us) {
		tn_app_proc_fail(p, TN_EINVAL, "bad_argument", NULL,
		    "from_time must be before to_time");
		return;
	}
	tn_app_proc_batch(p, &r);
}

static void
compact_call(struct tn_app_proc *p)
{
	struct tn_batch_request r = { .kind = TN_BATCH_COMPACT,
	    .reason = "request" };

	tn_app_proc_batch(p, &r);
}

/* A word to the run that is under way. */
static void
word_to_run(struct tn_app_proc *p, enum tn_status (*say)(
    struct tn_batch_jobs *b, uint64_t run))
{
	struct tn_batch_report r = { .status = TN_OK };
	int64_t run = 0;

	(void)tn_app_proc_int(p, "run", &run);
	if (run <= 0 || say(p->a->batch, (uint64_t)run) != TN_OK) {
		tn_app_proc_fail(p, TN_ENOTFOUND, "unknown_run",
		    "GET /api/v1/runs lists them; only a recompute can be "
		    "paused or canceled", "run %lld is not under way",
		    (long long)run);
		return;
	}
	r.run = (uint64_t)run;
	reported(p, &r);
}

static enum tn_status
pause_run(struct tn_batch_jobs *b, uint64_t run)
{
	return tn_batch_pause(b, run, true);
}

static enum tn_status
resume_run(struct tn_batch_jobs *b, uint64_t run)
{
	return tn_batch_pause(b, run, false);
}

static void
cancel_call(struct tn_app_proc *p)
{
	word_to_run(p, tn_batch_cancel);
}

static void
pause_call(struct tn_app_proc *p)
{
	word_to_run(p, pause_run);
}

static void
resume_call(struct tn_app_proc *p)
{
	word_to_run(p, resume_run);
}

static const struct {
	const char *name;
	void (*run)(struct tn_app_proc *p);
} procs[] = {
	{ "backup", tn_app_backup_call },
	{ "cancel", cancel_call },
	{ "compact", compact_call },
	{ "expire_snapshots", expire_snapshots },
	{ "pause", pause_call },
	{ "recompute", recompute },
	{ "resume", resume_call },
	{ "rollback", rollback },
};

/* ---- the way in ------------------------------------------------------ */

static void
run_call(struct tn_net_job *job)
{
	struct tn_app_proc *p = (struct tn_app_proc *)job;
	struct tn_diag *d = &p->answer->diag;

	p->answer->status = tn_sql_call_parse(
	    tn_serving_pipeline(p->a->model), p->text, p->arena, &p->call, d);
	if (p->answer->status != TN_OK) {
		tn_app_proc_end(p);
		return;
	}
	for (size_t i = 0; i < TN_COUNT(procs); i++)
		if (strcmp(procs[i].name, p->call->name) == 0) {
			procs[i].run(p);
			return;
		}
	tn_assert(false);                /* sql knows what we do not. */
}

void
tn_app_call_run(void *app, const struct tn_serving_sql_request *q,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	struct app *a = app;
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_app_proc *p = tn_arena_zalloc(arena, sizeof *p);

	p->a = a;
	p->arena = arena;
	p->format = q->format;
	p->answer = tn_serving_answer_new();
	p->done = done;
	p->arg = arg;
	p->text.n = q->text.n;
	p->text.p = (const uint8_t *)tn_arena_strndup(arena,
	    (const char *)q->text.p, q->text.n);
	p->job.run = tn_sql_is_copy(p->text) ? tn_app_copy :
	    tn_sql_is_delete(p->text) ? tn_app_erase :
	    tn_sql_is_alter(p->text) ? tn_app_alter : run_call;
	if (tn_net_actor_post(a->calls, &p->job) != TN_OK)
		tn_app_proc_fail(p, TN_EFULL, "overloaded",
		    "ask again in a second", "too many calls wait already");
}

void
tn_app_calls_open(struct app *a)
{
	for (uint32_t i = 0; tn_sql_procedure(i) != NULL; i++)
		tn_assert(i < TN_COUNT(procs) &&
		    strcmp(tn_sql_procedure(i), procs[i].name) == 0);
	a->calls = tn_net_actor_new("calls", CALLS_MAX);
}

void
tn_app_calls_close(struct app *a)
{
	if (a->calls != NULL)
		tn_net_actor_free(a->calls);
	a->calls = NULL;
}

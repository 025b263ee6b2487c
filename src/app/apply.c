/* POST /api/v1/plan and /api/v1/apply: what a pipeline's text would change of
 * what runs, and changed views taken over while it runs.
 *
 *   loop     a request is copied, a job goes to the thread "apply"
 *   apply    the text is loaded, compared (plan.c)
 *            apply: for each new or changed view a slot, and its states:
 *              rows of silver up to the cut in force, folded; once more what
 *              cuts added meanwhile; compared with bronze's raw bytes
 *   batch    the last part, in one job (src/batch/apply.c)
 *   loop     the answer
 *
 * The old definitions serve until the swap. Tables that are new, changed or gone,
 * and views that publish to MQTT, now or then, take a start: silver of changed
 * tables is prepared (ahead.c; batch works, this thread is free again), then
 * the program starts itself anew (run.c), or says that it is to be started
 * (apply_restart). Options alone wait for a start. A failure leaves the old
 * definitions. The text is that of the configuration folder: it
 * is what the next start reads, too. */
#include "app/call_int.h"

#include <stdio.h>
#include <string.h>

#include "app/plan_int.h"

#define JOBS_MAX 8
#define ROUNDS 3                 /* Of catching up with cuts. */

struct work {
	struct tn_net_job job;
	struct app *a;
	struct tn_arena *arena;
	bool apply;
	struct tn_sql_source *sources;
	uint32_t count;
	struct tn_buf out;
	enum tn_status st;
	struct tn_diag d;
	void (*done)(void *arg, enum tn_status st, const struct tn_diag *d,
	    struct tn_slice json);
	void *arg;
	/* Of an apply. */
	struct tn_serving_change change;
	struct tn_serving_ask now;
	struct tn_net_latch *asked;
	struct tn_budget_share held;
	struct tn_buf text;
	uint64_t run;
	uint64_t erasures;               /* Before the first row was read. */
	struct tn_app_plan plan;
	/* Of one that takes a start. */
	struct tn_sql_pipeline *coming;
	struct tn_batch_prepare ahead;
	bool restart;
};

static enum tn_status
go_on(const void *arg, struct tn_diag *d)
{
	const struct work *w = arg;

	if (__atomic_load_n(&w->a->apply_stop, __ATOMIC_ACQUIRE) == 0)
		return TN_OK;
	return tn_diag_set(d, TN_ECLOSED, "stopping",
	    "the program is stopping");
}

/* ---- the text -------------------------------------------------------- */

static enum tn_status
load(struct work *w, struct tn_sql_pipeline **p)
{
	struct tn_app_settings set;
	enum tn_status st;

	if (w->count > 0)
		st = tn_app_load_texts(w->sources, w->count, p, &w->d);
	else if (w->a->config != NULL)
		st = tn_app_load_dir(w->a->config, p, &w->d);
	else
		st = tn_app_load_bundle(w->a->bundle, p, &w->d);
	tn_app_settings_init(&set);
	if (st == TN_OK)
		st = tn_app_settings_apply(&set, *p, &w->d);
	return st;
}

/* A mistake's place goes into its sentence: the answer has no room for it. */
static void
place(struct tn_diag *d)
{
	char text[sizeof d->message + 300];

	if (d->file[0] == '\0' || d->line == 0)
		return;
	snprintf(text, sizeof text, "%s:%u:%u: %s", d->file,
	    (unsigned)d->line, (unsigned)d->column, d->message);
	snprintf(d->message, sizeof d->message, "%.*s",
	    (int)sizeof d->message - 1, text);
}

/* ---- states ---------------------------------------------------------- */

static void
answered(struct tn_serving_ask *ask)
{
	struct work *w = (struct work *)((char *)ask - offsetof(struct work,
	    now));

	tn_net_latch_open(w->asked);
}

static void
let_go(struct work *w)
{
	tn_serving_refs_fini(&w->now.refs);
	tn_catalog_snapshot_put(w->now.base);
	w->now.base = NULL;
}

/* The cut in force, and reference tables as of it or later. */
static enum tn_status
take_base(struct work *w)
{
	let_go(w);
	w->now = (struct tn_serving_ask){ .view = -1, .done = answered };
	w->asked = tn_net_latch_new();
	tn_speed_ask(w->a->speed, &w->now);
	tn_net_latch_wait(w->asked);
	tn_net_latch_free(w->asked);
	return w->now.base == NULL ? tn_diag_set(&w->d, TN_ECLOSED,
	    "stopping", "the program is stopping") : TN_OK;
}

static enum tn_status
count_states(struct work *w)
{
	size_t n = 0;

	for (uint32_t i = 0; i < w->change.built_count; i++)
		if (w->change.built[i].states != NULL)
			n += tn_exec_fold_bytes(w->change.built[i].states);
	w->held.class = TN_BUDGET_CUTS;
	return tn_budget_try(&w->held, 2 * n) ? TN_OK :
	    tn_budget_refuse(&w->d);
}

/* Rows that cuts have added since. */
static enum tn_status
fold_more(struct work *w, struct tn_serving_built *b)
{
	struct tn_serving_lsns q = {
	    .view = &w->a->model->views[b->view], .silver = w->now.base,
	    .after = b->lsn, .last = w->now.base->lsn,
	    .refs = tn_serving_refs_view(&w->now.refs),
	    .memory = TN_BUDGET_CUTS, .go_on = go_on, .arg = w };
	struct tn_exec_fold *more = NULL;
	enum tn_status st = TN_OK;

	if (b->states == NULL)
		b->states = tn_exec_fold_new(q.view->program);
	if (b->lsn < w->now.base->lsn)
		st = tn_serving_fold_lsns(w->a->serving, &q, &more, &w->d);
	if (st == TN_OK && more != NULL)
		tn_exec_fold_merge(b->states, more);
	tn_exec_fold_free(more);
	if (st == TN_OK)
		b->lsn = w->now.base->lsn;
	return st == TN_OK ? count_states(w) : st;
}

static enum tn_status
check(struct work *w, struct tn_serving_built *b)
{
	const struct tn_serving_view *v = &w->a->model->views[b->view];
	struct tn_batch_states s = { .view = v, .states = b->states,
	    .base = w->now.base, .refs = tn_serving_refs_view(&w->now.refs),
	    .go_on = go_on, .arg = w };
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_batch_check_states(w->a->batch, &s, &d);

	if (st == TN_OK)
		tn_buf_printf(&w->text, "%s: %u groups equal those of %llu "
		    "raw rows\n", v->def->name, (unsigned)s.groups,
		    (unsigned long long)s.rows);
	else if (st == TN_ELIMIT || st == TN_EFULL)
		tn_buf_printf(&w->text, "%s: not compared with the raw bytes: "
		    "%s\n", v->def->name, d.message);
	else
		w->d = d;
	return st == TN_ELIMIT || st == TN_EFULL ? TN_OK : st;
}

/* Each view from the first row on, then all of them to one cut, then compared
 * there; the few rows after it are batch's. */
static enum tn_status
build(struct work *w)
{
	enum tn_status st = TN_OK;

	for (int round = 0; st == TN_OK && round < ROUNDS; round++) {
		uint64_t lsn = w->now.base == NULL ? 0 : w->now.base->lsn;
		st = take_base(w);
		if (st == TN_OK && round > 0 && w->now.base->lsn == lsn)
			break;
		for (uint32_t i = 0; st == TN_OK &&
		    i < w->change.built_count; i++)
			st = fold_more(w, &w->change.built[i]);
	}
	for (uint32_t i = 0; st == TN_OK && i < w->change.built_count; i++)
		st = check(w, &w->change.built[i]);
	tn_os_crash_point("apply_checked");
	return st;
}

/* ---- apply ----------------------------------------------------------- */

/* What a view publishes now has its names and its order of columns, whether
 * the new text publishes it or not. */
static void
hold_published(const struct tn_serving_model *m, struct tn_app_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		struct tn_app_planned *o = &plan->all[i];
		int at = o->kind != TN_CATALOG_VIEW ||
		    o->change == TN_PLAN_SAME || o->restart != NULL ? -1 :
		    tn_serving_view_find(m, tn_slice_of(o->name));
		if (at < 0 || !tn_app_publishes(m->views[at].def))
			continue;
		o->restart = "a view with publish";
		plan->restart = true;
	}
}

static enum tn_status
refuse(struct work *w, const struct tn_app_plan *plan)
{
	const struct tn_app_planned *o = plan->all;

	while (o->change == TN_PLAN_SAME || o->restart == NULL || o->later)
		o++;
	tn_diag_hint(&w->d, "restart tarn run: the start makes all of the "
	    "plan; tarn plan shows it");
	return tn_diag_set(&w->d, TN_ECONFLICT, "needs_restart",
	    "%s is %s: that is done at a start, not while it runs; nothing "
	    "was changed", o->name, o->restart);
}

static enum tn_status
list_change(struct work *w, const struct tn_app_plan *plan)
{
	struct tn_serving_model *m = w->a->model;
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < plan->count; i++) {
		const struct tn_app_planned *o = &plan->all[i];
		struct tn_slice name = tn_slice_of(o->name);
		int at = tn_serving_view_find(m, name);
		if (o->kind != TN_CATALOG_VIEW || o->later)
			continue;
		if (o->change == TN_PLAN_NEW || o->change == TN_PLAN_CHANGED)
			st = tn_serving_change_add(&w->change, tn_sql_view(
			    w->change.pipeline, name), &w->d);
		else if (o->change == TN_PLAN_DROPPED && at >= 0)
			tn_serving_change_drop(&w->change, (uint32_t)at);
	}
	return st;
}

static enum tn_status
swap(struct work *w)
{
	struct tn_batch_report r = { .status = TN_OK };
	struct tn_batch_request q = { .kind = TN_BATCH_APPLY,
	    .reason = "request", .change = &w->change,
	    .erasures = w->erasures };
	enum tn_status st = tn_batch_run(w->a->batch, &q, &r);

	if (st == TN_EFULL && r.status == TN_OK)
		(void)tn_diag_set(&w->d, st, "overloaded",
		    "too many batch jobs wait already");
	else if (st != TN_OK)
		w->d = r.diag;
	tn_buf_add(&w->text, r.text.p, r.text.n);
	tn_buf_fini(&r.text);
	w->run = r.run;
	return st;
}

static void put_applied(struct work *w, const struct tn_app_plan *plan);
static void end(struct work *w);

/* The start reads the folder, and that was a while ago. */
static enum tn_status
look_again(struct work *w)
{
	struct tn_sql_pipeline *now = NULL;
	enum tn_status st;

	w->count = 0;
	st = load(w, &now);
	if (st == TN_OK && !tn_app_is_same(w->coming, now)) {
		tn_diag_hint(&w->d, "tarn plan shows what it would be now; "
		    "apply goes on with what is prepared and still wanted");
		st = tn_diag_set(&w->d, TN_ECONFLICT, "folder_changed",
		    "the configuration folder is no longer what silver was "
		    "prepared for; the server goes on as it was");
	}
	tn_sql_pipeline_free(now);
	return st;
}

/* On the batch thread. */
static void
prepared(void *arg, const struct tn_batch_report *r)
{
	struct work *w = arg;

	w->st = r->status;
	w->d = r->diag;
	w->run = r->run;
	tn_buf_add(&w->text, r->text.p, r->text.n);
	if (w->st == TN_OK && tn_app_may_restart(w->a, w->coming)) {
		w->st = look_again(w);
		w->restart = w->st == TN_OK;
	}
	if (w->st == TN_OK) {
		tn_app_ahead_text(w->a, w->coming, &w->text);
		put_applied(w, &w->plan);
	} else {
		tn_say(TN_WARN, "app", "apply: %s", w->d.message);
	}
	__atomic_store_n(&w->a->preparing, 0, __ATOMIC_RELEASE);
	end(w);
}

/* TN_END: batch has it, and ends the work. */
static enum tn_status
prepare(struct work *w, struct tn_sql_pipeline *p,
    const struct tn_app_plan *plan)
{
	struct tn_batch_request q = { .kind = TN_BATCH_PREPARE,
	    .reason = "request", .prepare = &w->ahead, .done = prepared,
	    .arg = w };
	enum tn_status st;

	w->coming = p;
	st = tn_app_ahead_list(w->a, p, plan, &w->ahead, &w->d);
	if (st == TN_OK && w->ahead.count == 0 && !tn_app_may_restart(w->a,
	    p))
		return refuse(w, plan);
	w->plan = *plan;
	__atomic_store_n(&w->a->preparing, 1, __ATOMIC_RELEASE);
	if (st == TN_OK)
		st = tn_batch_post(w->a->batch, &q);
	if (st == TN_OK)
		return TN_END;
	__atomic_store_n(&w->a->preparing, 0, __ATOMIC_RELEASE);
	memset(&w->plan, 0, sizeof w->plan);
	return st == TN_EFULL ? tn_diag_set(&w->d, st, "overloaded",
	    "too many batch jobs wait already") : st;
}

static enum tn_status
apply(struct work *w, struct tn_sql_pipeline *p,
    const struct tn_app_plan *plan)
{
	enum tn_status st;

	if (__atomic_load_n(&w->a->preparing, __ATOMIC_ACQUIRE) != 0) {
		tn_sql_pipeline_free(p);
		tn_diag_hint(&w->d, "wait for its run, or CALL cancel(run)");
		return tn_diag_set(&w->d, TN_ECONFLICT, "apply_under_way",
		    "another apply prepares changed tables");
	}
	if (plan->restart)
		return prepare(w, p, plan);
	st = tn_app_ahead_none(w->a, &w->d);
	if (st != TN_OK || plan->changes == plan->later) {
		tn_sql_pipeline_free(p);
		return st;
	}
	w->change.model = w->a->model;
	w->change.pipeline = p;          /* The model's from now on. */
	st = list_change(w, plan);
	w->erasures = tn_batch_erasures(w->a->batch);
	if (st == TN_OK)
		st = build(w);
	if (st == TN_OK)
		st = swap(w);
	let_go(w);
	tn_serving_change_fini(&w->change);
	tn_budget_set(&w->held, 0);
	/* The change holds; plan would only show too much. */
	if (st == TN_OK && tn_app_options_note(w->a->catalog,
	    w->a->model) != TN_OK)
		tn_say(TN_WARN, "app", "the options in force could not be "
		    "noted");
	return st;
}

static void
put_applied(struct work *w, const struct tn_app_plan *plan)
{
	struct tn_buf *out = &w->out;

	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->all[i].later)
			tn_buf_printf(&w->text, "%s: %s: waits for the next "
			    "start\n", plan->all[i].name,
			    plan->all[i].what);
	tn_buf_printf(out, "{\"changes\":%u,\"run\":", (unsigned)
	    (plan->changes - plan->later));
	if (w->run != 0)
		tn_buf_printf(out, "%llu", (unsigned long long)w->run);
	else
		tn_buf_str(out, "null");
	tn_buf_printf(out, ",\"restart\":%s,\"text\":\"", w->restart ?
	    "true" : "false");
	if (plan->changes == 0)
		tn_buf_str(&w->text, "nothing to do\n");
	tn_buf_json(out, tn_buf_cstr(&w->text), w->text.n);
	tn_buf_str(out, "\"}");
}

/* ---- the thread ------------------------------------------------------ */

static void
run_done(struct tn_net_job *job)
{
	struct work *w = (struct work *)job;

	w->done(w->arg, w->st, &w->d, (struct tn_slice){ w->out.p,
	    w->out.n });
	if (w->restart)
		w->a->restart(w->a);
	tn_buf_fini(&w->out);
	tn_buf_fini(&w->text);
	tn_arena_free(w->arena);
}

static void
end(struct work *w)
{
	if (w->st != TN_OK) {
		if (w->d.message[0] == '\0')
			(void)tn_diag_set(&w->d, w->st, "apply_failed",
			    "it failed: %s", tn_status_text(w->st));
		place(&w->d);
	}
	tn_app_ahead_fini(&w->ahead);
	tn_sql_pipeline_free(w->coming);
	tn_app_plan_fini(&w->plan);
	w->job.run = run_done;
	tn_net_loop_post(w->a->loop, &w->job);
}

static void
run_work(struct tn_net_job *job)
{
	struct work *w = (struct work *)job;
	struct tn_sql_pipeline *p = NULL;
	struct tn_app_plan plan = { 0 };

	w->st = load(w, &p);
	if (w->st == TN_OK)
		w->st = tn_app_plan_make(&plan, p, w->a->catalog, w->a->lake,
		    &w->d);
	if (w->st == TN_OK)
		hold_published(w->a->model, &plan);
	if (w->st == TN_OK && w->apply) {
		enum tn_status st = apply(w, p, &plan);
		if (st == TN_END)
			return;          /* And may have ended already. */
		w->st = st;
		p = NULL;
	}
	if (w->st == TN_OK && w->apply)
		put_applied(w, &plan);
	else if (w->st == TN_OK)
		tn_app_plan_json(&plan, &w->out);
	if (w->st != TN_OK && w->apply)
		tn_say(TN_WARN, "app", "apply: %s", w->d.message);
	tn_app_plan_fini(&plan);
	tn_sql_pipeline_free(p);
	end(w);
}

void
tn_app_definitions_run(void *app, const struct tn_http_texts *q,
    void (*done)(void *arg, enum tn_status st, const struct tn_diag *d,
    struct tn_slice json), void *arg)
{
	struct app *a = app;
	struct tn_arena *arena = tn_arena_new(4096);
	struct work *w = tn_arena_zalloc(arena, sizeof *w);

	w->job.run = run_work;
	w->a = a;
	w->arena = arena;
	w->apply = q->apply;
	w->count = q->count;
	w->done = done;
	w->arg = arg;
	w->sources = tn_arena_alloc(arena, (q->count + 1ul) *
	    sizeof *w->sources);
	for (uint32_t i = 0; i < q->count; i++)
		w->sources[i] = (struct tn_sql_source){
		    tn_arena_strdup(arena, q->files[i].name),
		    { (const uint8_t *)tn_arena_strndup(arena, (const char *)
		    q->files[i].text.p, q->files[i].text.n),
		    q->files[i].text.n } };
	if (tn_net_actor_post(a->apply, &w->job) == TN_OK)
		return;
	w->st = tn_diag_set(&w->d, TN_EFULL, "overloaded",
	    "too many plans wait already");
	end(w);
}

void
tn_app_apply_open(struct app *a)
{
	a->apply = tn_net_actor_new("apply", JOBS_MAX);
}

void
tn_app_apply_close(struct app *a)
{
	__atomic_store_n(&a->apply_stop, 1, __ATOMIC_RELEASE);
	tn_net_actor_free(a->apply);
	a->apply = NULL;
}

/* The tail folds and the actor that owns them.
 *
 *   push       fold a committed block          (from the log writer)
 *   ask        clone what a reader wants       (from serving)
 *   seal       open -> sealed, a new open      (a cut begins)
 *   published  sealed dropped, new base        (the cut is public)
 *   unseal     sealed + open -> open           (the cut failed)
 *   adopt      an open fold for a new view     (see adopt.c)
 *
 * Messages are handled in order of posting, so a seal lies exactly between
 * two blocks, and an answer's base and states always fit each other.
 *
 * The budget is told after every block what the tails hold, and what a cut
 * will need on top of it: every state once more (it folds the log again), and
 * of one view at a time the partition being written and its columns. */
#include "speed/speed_int.h"

#include <stdio.h>
#include <string.h>

#define JOBS_MAX 65536
#define UNASKED_MAX 2        /* Seals; then a view is watched no more. */

struct push {
	struct tn_net_job job;
	struct tn_speed *speed;
	struct tn_governance_rows *rows;
	size_t bytes;
};
static void
count_refs(struct tn_speed *s)
{
	const struct tn_serving_model *m = s->o.model;

	s->refs = tn_zalloc((m->stream_count + 1) * sizeof *s->refs);
	s->ref_names = tn_zalloc((m->stream_count + 1) *
	    sizeof *s->ref_names);
	s->ref_streams = tn_zalloc((m->stream_count + 1) *
	    sizeof *s->ref_streams);
	s->refs_held = tn_zalloc((m->stream_count + 1) *
	    sizeof *s->refs_held);
	for (uint32_t i = 0; i < m->stream_count; i++) {
		if (m->streams[i].table->kind != TN_SQL_REFERENCE)
			continue;
		s->refs[s->ref_count] = tn_exec_ref_new(m->streams[i].table);
		s->refs_held[s->ref_count].class = TN_BUDGET_REFERENCES;
		s->ref_names[s->ref_count] = m->streams[i].table->name;
		s->ref_streams[s->ref_count++] = i;
	}
}

void
tn_speed_open(struct tn_speed *s, uint32_t view)
{
	const struct tn_serving_view *v = &s->o.model->views[view];
	char labels[128];

	s->tails[view].open = tn_exec_fold_new(v->program);
	snprintf(labels, sizeof labels, "view=\"%s\"", v->def->name);
	s->errors[view] = tn_counter_get(TN_COUNTER,
	    "tarn_view_row_errors_total", labels,
	    "Expressions of a view that failed and gave null.");
}

struct tn_speed *
tn_speed_new(const struct tn_speed_opts *o)
{
	struct tn_speed *s = tn_zalloc(sizeof *s);
	const struct tn_serving_model *m = o->model;

	s->o = *o;
	s->tails = tn_zalloc((tn_serving_view_slots(m) + 1) *
	    sizeof *s->tails);
	s->errors = tn_zalloc((tn_serving_view_slots(m) + 1) *
	    sizeof *s->errors);
	for (uint32_t i = 0; i < m->view_count; i++)
		tn_speed_open(s, i);
	count_refs(s);
	s->reserve.class = TN_BUDGET_CUT_RESERVE;
	tn_speed_count_all(s);
	tn_speed_count_refs(s);
	s->base = tn_catalog_snapshot(o->catalog);
	s->last = s->base->lsn;
	s->lock = tn_net_lock_new();
	s->actor = tn_net_actor_new("speed", JOBS_MAX);
	return s;
}

void
tn_speed_attach(struct tn_speed *s, struct tn_serving *serving)
{
	s->o.serving = serving;
}

void
tn_speed_stop(struct tn_speed *s)
{
	tn_net_lock_take(s->lock);
	s->stopped = true;
	tn_net_lock_drop(s->lock);
	tn_net_actor_free(s->actor);
	s->actor = NULL;
}

void
tn_speed_drop(struct tail *t)
{
	tn_exec_fold_free(t->sealed);
	tn_exec_fold_free(t->open);
	tn_exec_fold_free(t->changed);
	tn_catalog_snapshot_put(t->was);
	tn_budget_set(&t->held, 0);
	memset(t, 0, sizeof *t);
}

void
tn_speed_free(struct tn_speed *s)
{
	if (s == NULL)
		return;
	tn_speed_stop(s);
	for (uint32_t i = 0; i < s->o.model->view_count; i++)
		tn_speed_drop(&s->tails[i]);
	tn_budget_set(&s->reserve, 0);
	for (uint32_t i = 0; i < s->ref_count; i++) {
		tn_exec_ref_free(s->refs[i]);
		tn_budget_set(&s->refs_held[i], 0);
	}
	tn_catalog_snapshot_put(s->base);
	tn_net_lock_free(s->lock);
	tn_free(s->tails);
	tn_free(s->refs);
	tn_free(s->refs_held);
	tn_free(s->ref_names);
	tn_free(s->ref_streams);
	tn_free(s->errors);
	tn_free(s);
}

/* ---- what it holds --------------------------------------------------- */

static size_t
fold_bytes(const struct tn_exec_fold *f)
{
	return f != NULL ? tn_exec_fold_bytes(f) : 0;
}

static void
count_tail(struct tail *t)
{
	t->held.class = TN_BUDGET_FOLDS;
	t->cut_bytes = fold_bytes(t->open) + fold_bytes(t->sealed);
	tn_budget_set(&t->held, t->cut_bytes + fold_bytes(t->changed));
}

static void
count_reserve(struct tn_speed *s)
{
	size_t all = 0, largest = 0;

	for (uint32_t v = 0; v < s->o.model->view_count; v++) {
		all += s->tails[v].cut_bytes;
		if (s->tails[v].cut_bytes > largest)
			largest = s->tails[v].cut_bytes;
	}
	tn_budget_set(&s->reserve, all + 2 * largest);
}

void
tn_speed_count_all(struct tn_speed *s)
{
	for (uint32_t v = 0; v < s->o.model->view_count; v++)
		count_tail(&s->tails[v]);
	count_reserve(s);
}

bool
tn_speed_follows(const struct tail *t)
{
	return t->open != NULL && t->was == NULL;
}

void
tn_speed_count_refs(struct tn_speed *s)
{
	for (uint32_t i = 0; i < s->ref_count; i++)
		tn_budget_set(&s->refs_held[i],
		    tn_exec_ref_bytes(s->refs[i]));
}

/* ---- folding --------------------------------------------------------- */

static void
put_reference(struct tn_speed *s, const struct tn_governance_rows *r)
{
	for (uint32_t i = 0; i < s->ref_count; i++)
		if (&s->o.model->streams[s->ref_streams[i]] == r->stream)
			tn_exec_ref_put(s->refs[i], r->batch, r->marks,
			    r->lsn);
}

static void
fold_view(struct tn_speed *s, uint32_t v, const struct tn_exec_rows *rows)
{
	struct tail *t = &s->tails[v];
	struct tn_exec_refs refs = { (const void *)s->refs, s->ref_names,
	    s->ref_count };
	uint64_t errors = 0;

	tn_exec_fold_apply(t->open, rows, &refs, &errors);
	if (errors > 0)
		tn_counter_add(s->errors[v], (int64_t)errors);
}

void
tn_speed_fold(struct tn_speed *s, struct tn_governance_rows *r)
{
	const struct tn_serving_model *m = s->o.model;
	struct tn_exec_rows rows = {
		.batch = r->batch,
		.skip = r->marks,
		.lsn = r->lsn,
		.offset = r->offset,
		.received_us = r->received_us,
	};

	tn_assert(r->lsn > s->last);
	if (r->stream->table->kind == TN_SQL_REFERENCE) {
		put_reference(s, r);
		tn_speed_count_refs(s);
	}
	for (uint32_t v = 0; v < m->view_count; v++)
		if (&m->streams[m->views[v].stream] == r->stream &&
		    tn_speed_follows(&s->tails[v])) {
			fold_view(s, v, &rows);
			count_tail(&s->tails[v]);
		}
	count_reserve(s);
	s->last = r->lsn;
	s->rows_open += r->batch->rows;
	__atomic_store_n(&s->rows, s->rows_open + s->rows_sealed,
	    __ATOMIC_RELAXED);
}

static void
drop_push(struct push *p)
{
	__atomic_sub_fetch(&p->speed->backlog, p->bytes, __ATOMIC_RELAXED);
	tn_budget_give(TN_BUDGET_BACKLOG, p->bytes);
	tn_governance_rows_unref(p->rows);
	tn_free(p);
}

static void
run_push(struct tn_net_job *job)
{
	struct push *p = (struct push *)job;
	struct tn_speed *s = p->speed;

	tn_speed_fold(s, p->rows);
	if (s->o.serving != NULL)
		tn_serving_advance(s->o.serving, p->rows->lsn);
	drop_push(p);
	if (s->o.grown != NULL)
		s->o.grown(s->o.arg, s->rows_open);
}

void
tn_speed_push(struct tn_speed *s, struct tn_governance_rows *rows)
{
	struct push *p = tn_zalloc(sizeof *p);

	p->job.run = run_push;
	p->speed = s;
	p->rows = tn_governance_rows_ref(rows);
	p->bytes = tn_record_batch_bytes(rows->batch) +
	    tn_arena_bytes(rows->arena);
	__atomic_add_fetch(&s->backlog, p->bytes, __ATOMIC_RELAXED);
	tn_budget_force(TN_BUDGET_BACKLOG, p->bytes);
	/* Bounded by the backlog that ingest looks at before it takes more. */
	if (!tn_net_actor_post_internal(s->actor, &p->job))
		drop_push(p);
}

size_t
tn_speed_backlog(const struct tn_speed *s)
{
	return __atomic_load_n(&s->backlog, __ATOMIC_RELAXED);
}

uint64_t
tn_speed_rows(const struct tn_speed *s)
{
	return __atomic_load_n(&s->rows, __ATOMIC_RELAXED);
}

/* ---- orders that wait ------------------------------------------------ */

void
tn_speed_order(struct tn_speed *s, struct order *o,
    void (*run)(struct tn_net_job *job))
{
	o->job.run = run;
	o->speed = s;
	o->done = tn_net_latch_new();
	tn_assert(!tn_net_on_actor(s->actor));
	if (tn_net_actor_post_internal(s->actor, &o->job))
		tn_net_latch_wait(o->done);
	tn_net_latch_free(o->done);
}

void
tn_speed_freeze(struct tn_speed *s, struct tn_serving_refs *out)
{
	out->refs = tn_zalloc((s->ref_count + 1) * sizeof *out->refs);
	out->names = tn_zalloc((s->ref_count + 1) * sizeof *out->names);
	out->count = s->ref_count;
	for (uint32_t i = 0; i < s->ref_count; i++) {
		out->refs[i] = tn_exec_ref_freeze(s->refs[i]);
		out->names[i] = s->ref_names[i];
	}
}

/* Keep what changed before the seal for the watchers, and begin to mark in
 * the new fold. When they have not asked for a while there are none: what
 * changed must not pile up. */
static void
keep_changed(struct tail *t)
{
	struct tn_exec_fold *c;

	if (!t->watched)
		return;
	c = tn_exec_fold_take_changed(t->sealed);
	tn_exec_fold_free(tn_exec_fold_take_changed(t->open));
	if (tn_exec_fold_groups(c) == 0) {
		tn_exec_fold_free(c);
	} else if (t->unasked++ >= UNASKED_MAX) {
		tn_exec_fold_free(c);
		tn_exec_fold_free(t->changed);
		t->changed = NULL;
		t->watched = false;
	} else if (t->changed != NULL) {
		tn_exec_fold_merge(t->changed, c);
		tn_exec_fold_free(c);
	} else {
		t->changed = c;
	}
}

static void
run_seal(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;
	struct tn_speed *s = o->speed;

	for (uint32_t v = 0; v < s->o.model->view_count; v++) {
		struct tail *t = &s->tails[v];
		if (!tn_speed_follows(t))
			continue;
		tn_assert(t->sealed == NULL);
		t->sealed = t->open;
		t->open = tn_exec_fold_new(s->o.model->views[v].program);
		keep_changed(t);
	}
	s->rows_sealed = s->rows_open;
	s->rows_open = 0;
	tn_speed_count_all(s);
	o->lsn = s->last;
	tn_speed_freeze(s, o->refs);
	tn_net_latch_open(o->done);
}

void
tn_speed_seal(struct tn_speed *s, uint64_t *lsn,
    struct tn_serving_refs *refs)
{
	struct order o = { .refs = refs };

	memset(refs, 0, sizeof *refs);
	tn_speed_order(s, &o, run_seal);
	*lsn = o.lsn;
}

static void
run_mark(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;

	o->lsn = o->speed->last;
	tn_speed_freeze(o->speed, o->refs);
	tn_net_latch_open(o->done);
}

void
tn_speed_mark(struct tn_speed *s, uint64_t *lsn, struct tn_serving_refs *refs)
{
	struct order o = { .refs = refs };

	memset(refs, 0, sizeof *refs);
	tn_speed_order(s, &o, run_mark);
	*lsn = o.lsn;
}

static void
run_flush(struct tn_net_job *job)
{
	tn_net_latch_open(((struct order *)job)->done);
}

void
tn_speed_flush(struct tn_speed *s)
{
	struct order o = { .refs = NULL };

	tn_speed_order(s, &o, run_flush);
}

static void
run_unseal(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;
	struct tn_speed *s = o->speed;

	for (uint32_t v = 0; v < s->o.model->view_count; v++) {
		struct tail *t = &s->tails[v];
		if (t->sealed == NULL || !tn_speed_follows(t))
			continue;
		/* The young one into the old: it is small, and only its
		 * groups are marked as changed (again, which does no harm). */
		tn_exec_fold_merge(t->sealed, t->open);
		tn_exec_fold_free(t->open);
		t->open = t->sealed;
		t->sealed = NULL;
	}
	s->rows_open += s->rows_sealed;
	s->rows_sealed = 0;
	tn_speed_count_all(s);
	tn_net_latch_open(o->done);
}

void
tn_speed_unseal(struct tn_speed *s)
{
	struct order o = { .refs = NULL };

	tn_speed_order(s, &o, run_unseal);
}

void
tn_speed_rebase(struct tn_speed *s)
{
	const struct tn_catalog_snapshot *old = s->base;

	s->base = tn_catalog_snapshot(s->o.catalog);
	/* A recompute or compaction publishes at the cut in force: then
	 * nothing is sealed and the tails stay as they are. */
	for (uint32_t v = 0; v < s->o.model->view_count; v++) {
		if (s->tails[v].was != NULL)
			tn_speed_drop(&s->tails[v]);
		tn_exec_fold_free(s->tails[v].sealed);
		s->tails[v].sealed = NULL;
	}
	s->rows_sealed = 0;
	tn_speed_count_all(s);
	tn_catalog_snapshot_put(old);
	__atomic_store_n(&s->rows, s->rows_open, __ATOMIC_RELAXED);
	if (s->o.serving != NULL)
		tn_serving_published(s->o.serving);
}

static void
run_published(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;

	tn_speed_rebase(o->speed);
	tn_net_latch_open(o->done);
}

void
tn_speed_published(struct tn_speed *s)
{
	struct order o = { .refs = NULL };

	tn_speed_order(s, &o, run_published);
}

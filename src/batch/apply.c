/* New definitions of views while the program runs: the last part, in one job.
 * Before it, beside everything else, their states were folded from silver up
 * to some cut and checked (src/app/apply.c).
 *
 *   adopt      the speed layer folds new rows into them, too: LSNs > last
 *   catch up   rows that cuts have added meanwhile, and those of the log up
 *              to last
 *   name       new versions in the catalog
 *   gold       written beside the old
 *   swap       one publication: new files in, old ones out, what is computed;
 *              the speed layer takes base, tails and definitions in one
 *              message
 *
 * No cut is between them: they are jobs of the same thread. What can go wrong:
 * disk and catalog errors, memory. Then nothing has changed but the versions of
 * names, and the next start computes their views again. A crash at any step
 * leaves what the configuration says, and the start does what is missing. Of
 * time buckets that retention has taken all rows of there is no number; the
 * one that lost a part begins with what is left. The old files stay until the
 * snapshots that name them expire. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

struct apply {
	struct tn_batch_jobs *b;
	struct tn_serving_change *x;
	struct tn_batch_report *r;
	const struct tn_catalog_snapshot *base;
	struct tn_serving_refs refs;
	uint64_t last;                   /* The speed layer has rows after it. */
	struct tn_arena *arena;
	struct change change;
	uint64_t rows;
};

static enum tn_status
go_on(const void *arg, struct tn_diag *d)
{
	return tn_batch_stopping(arg, d);
}

/* Rows in (after, last] of the view's stream. */
static enum tn_status
fold_rows(struct apply *p, const struct tn_serving_view *v, uint64_t after,
    uint64_t last, struct tn_exec_fold **out)
{
	struct tn_serving_lsns w = { .view = v, .silver = p->base,
	    .after = after, .last = last,
	    .refs = tn_serving_refs_view(&p->refs),
	    .memory = TN_BUDGET_CUTS, .go_on = go_on, .arg = p->b };
	enum tn_status st;

	if (after >= last) {
		*out = tn_exec_fold_new(v->program);
		return TN_OK;
	}
	st = tn_serving_fold_lsns(p->b->o.serving, &w, out, &p->r->diag);
	p->rows += w.rows;
	return st;
}

static enum tn_status
catch_up(struct apply *p)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < p->x->built_count; i++) {
		struct tn_serving_built *n = &p->x->built[i];
		const struct tn_serving_view *v =
		    &p->x->model->views[n->view];
		struct tn_exec_fold *more = NULL;
		st = fold_rows(p, v, n->lsn, p->base->lsn, &more);
		if (st == TN_OK) {
			tn_exec_fold_merge(n->states, more);
			n->lsn = p->base->lsn;
			st = fold_rows(p, v, p->base->lsn, p->last, &n->tail);
		}
		tn_exec_fold_free(more);
	}
	return st;
}

static void
drop_gold(struct apply *p, uint32_t object)
{
	uint32_t first, n = tn_catalog_snapshot_find(p->base, TN_TIER_GOLD,
	    object, &first);

	for (uint32_t i = first; i < first + n; i++)
		tn_batch_change_drop(&p->change, p->base->files[i].id);
}

static void
leave_retired(struct apply *p, const struct tn_serving_view *v,
    struct tn_exec_fold **states)
{
	struct tn_exec_bound left;
	struct tn_exec_fold *some;

	if (!tn_batch_left(p->b, v, p->arena, &left))
		tn_buf_printf(&p->r->text, "%s: counts only the rows that "
		    "retention has left\n", v->def->name);
	if (left.min == NULL)
		return;
	some = tn_exec_fold_clone(*states, &left, 1);
	tn_exec_fold_free(*states);
	*states = some;
}

static enum tn_status
write_view(struct apply *p, struct tn_serving_built *n)
{
	const struct tn_serving_view *v = &p->x->model->views[n->view];
	struct tn_exec_fold *states = n->states;
	uint32_t before = p->change.add_count;
	enum tn_status st;

	n->states = NULL;
	leave_retired(p, v, &states);
	if (n->old >= 0)
		p->change.before = tn_batch_before_files(p->b->o.lake, v,
		    p->base, NULL);
	st = tn_batch_gold(&p->change, v, states, NULL, p->base->lsn,
	    &p->r->diag);
	if (st == TN_OK && p->change.before != NULL)
		tn_batch_compare_rest(&p->change, p->change.before);
	tn_batch_before_free(p->change.before);
	p->change.before = NULL;
	tn_buf_printf(&p->r->text, "%s: %s, version %u, %u gold files\n",
	    v->def->name, n->old >= 0 ? "changed" : "new",
	    (unsigned)v->version,
	    (unsigned)(p->change.add_count - before));
	return st;
}

/* What the next start looks at: computed, or not there any more. */
static void
set_values(struct apply *p)
{
	const struct tn_serving_model *m = p->x->model;
	struct tn_catalog_value *v = tn_arena_alloc(p->arena,
	    (p->x->built_count + 2ul * p->x->gone_count + 1) * sizeof *v);
	uint32_t n = 0;
	char key[40], value[32];

	for (uint32_t i = 0; i < p->x->gone_count; i++) {
		const struct tn_serving_view *w = &m->views[p->x->gone[i]];
		tn_batch_computed_text(w, key, value);
		v[n++] = (struct tn_catalog_value){
		    tn_arena_strdup(p->arena, key), NULL };
		v[n++] = (struct tn_catalog_value){ tn_arena_printf(p->arena,
		    TN_SERVING_WHOLE, (unsigned)w->id), NULL };
	}
	for (uint32_t i = 0; i < p->x->built_count; i++) {
		tn_batch_computed_text(&m->views[p->x->built[i].view], key,
		    value);
		v[n++] = (struct tn_catalog_value){
		    tn_arena_strdup(p->arena, key),
		    tn_arena_strdup(p->arena, value) };
	}
	p->change.values = v;
	p->change.value_count = n;
}

static enum tn_status
swap(struct apply *p)
{
	char detail[160];
	enum tn_status st = TN_OK;

	p->change.silver = p->base;
	p->change.refs = tn_serving_refs_view(&p->refs);
	p->change.rows = p->rows;
	p->change.swap = p->x;
	for (uint32_t i = 0; i < p->x->gone_count; i++)
		drop_gold(p, p->x->model->views[p->x->gone[i]].id);
	for (uint32_t i = 0; st == TN_OK && i < p->x->built_count; i++)
		st = write_view(p, &p->x->built[i]);
	set_values(p);
	snprintf(detail, sizeof detail, "%u definitions in, %u out",
	    (unsigned)p->x->built_count, (unsigned)p->x->gone_count);
	tn_os_crash_point("apply_written");
	if (st == TN_OK)
		st = tn_batch_change_publish(&p->change, p->base->lsn, NULL,
		    0, detail);
	else
		tn_batch_change_undo(&p->change);
	tn_os_crash_point("apply_swapped");
	return st;
}

static void
end_run(struct apply *p, enum tn_status st)
{
	if (st != TN_OK && p->r->diag.message[0] == '\0')
		(void)tn_diag_set(&p->r->diag, st, "apply_failed",
		    "the new definitions could not be computed: %s",
		    tn_status_text(st));
	if (st != TN_OK && p->r->run != 0 && tn_catalog_run_end(
	    p->b->o.catalog, p->r->run, TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    p->r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)p->r->run);
	p->r->status = st;
	p->r->files = p->change.add_count;
	p->r->rows = p->rows;
}

void
tn_batch_apply(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    struct tn_batch_report *r)
{
	struct apply p = { .b = b, .x = q->change, .r = r };
	const struct tn_batch_speed *s = &b->o.speed;
	enum tn_status st;

	if (q->erasures != tn_batch_erasures(b)) {
		tn_diag_hint(&r->diag, "apply it again");
		r->status = tn_diag_set(&r->diag, TN_ECONFLICT, "rows_erased",
		    "rows were erased while the new definitions were "
		    "computed; nothing was changed");
		return;
	}
	p.arena = tn_arena_new(1024);
	s->adopt(s->speed, p.x, &p.last, &p.refs);
	p.base = tn_catalog_snapshot(b->o.catalog);
	r->lsn = p.base->lsn;
	st = tn_batch_run_begin(b, "apply", "request", "", 0, p.base->lsn,
	    &r->run);
	tn_batch_change_begin(&p.change, b, p.base->lsn, r->run);
	if (st == TN_OK)
		st = catch_up(&p);
	tn_os_crash_point("apply_caught_up");
	if (st == TN_OK)
		st = tn_serving_change_name(p.x, b->o.catalog, &r->diag);
	tn_os_crash_point("apply_named");
	if (st == TN_OK)
		st = swap(&p);
	if (st == TN_OK) {
		tn_batch_tables_change(b, p.x);
		/* Only as_of is slower without it, until the next start. */
		if (tn_batch_whole(b) != TN_OK)
			tn_say(TN_WARN, "batch", "since when gold is whole "
			    "could not be written down");
	} else {
		s->abandon(s->speed, p.x);
	}
	end_run(&p, st);
	tn_batch_change_fini(&p.change);
	tn_serving_refs_fini(&p.refs);
	tn_catalog_snapshot_put(p.base);
	tn_arena_free(p.arena);
}

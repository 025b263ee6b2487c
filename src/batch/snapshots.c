/* Snapshots on request: expiring them before their time, and going back to
 * one.
 *
 *   rollback of a view   gold of the snapshot S (+) fold of the rows since
 *                        -> swapped for the gold in force, in one publication
 *   rollback of a stream rows are never taken back: it is refused if the
 *                        stream has any that S has not; if it has the same
 *                        there is nothing to do
 *
 * What can go wrong: the snapshot has expired, or its gold is of another
 * definition; disk and catalog errors. An expiry that fails has kept or
 * dropped each snapshot whole; files that could not be removed go with the
 * next cut. A rollback that fails has changed nothing. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define CUTS_PAGE 1000

/* ---- expiry ---------------------------------------------------------- */

void
tn_batch_expire(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    struct tn_batch_report *r)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_batch_collected sum = { .st = TN_OK };
	uint32_t gone = 0;
	char detail[200];

	r->lsn = now->lsn;
	r->status = tn_batch_run_begin(b, "expire", "request", "", now->lsn,
	    now->lsn, &r->run);
	tn_catalog_snapshot_put(now);
	if (r->status == TN_OK)
		r->status = tn_catalog_expire(b->o.catalog, q->time_us,
		    q->lsn, &gone);
	tn_os_crash_point("expire_after");
	if (r->status == TN_OK) {
		tn_batch_tables_expired(b);
		tn_batch_collect(b, &sum);
	}
	sum.snapshots += gone;
	tn_batch_collected_text(&sum, detail);
	if (r->status == TN_OK) {
		r->status = tn_catalog_run_end(b->o.catalog, r->run,
		    TN_RUN_DONE, tn_os_wall_us(), 0, sum.files, detail);
	} else if (r->run != 0 && tn_catalog_run_end(b->o.catalog, r->run,
	    TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    tn_status_text(r->status)) != TN_OK) {
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)r->run);
	}
	if (r->status != TN_OK)
		(void)tn_diag_set(&r->diag, r->status, "expire_failed",
		    "the catalog could not be changed: %s",
		    tn_status_text(r->status));
	tn_buf_printf(&r->text, "%s\n", detail);
}

/* ---- since when gold is whole ---------------------------------------- */

enum tn_status
tn_batch_whole(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    b->o.catalog);
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < m->view_count; i++) {
		const struct tn_serving_view *v = &m->views[i];
		char key[40], text[48];
		if (!tn_serving_view_live(m, i) ||
		    tn_serving_whole(b->o.serving, v, now) == TN_OK)
			continue;
		snprintf(key, sizeof key, TN_SERVING_WHOLE,
		    (unsigned)v->id);
		snprintf(text, sizeof text, "%u %llu", (unsigned)v->version,
		    (unsigned long long)now->sequence);
		st = tn_catalog_set(b->o.catalog, key, text);
	}
	tn_catalog_snapshot_put(now);
	return st;
}

/* ---- rollback -------------------------------------------------------- */

struct rollback {
	struct tn_batch_jobs *b;
	const struct tn_serving_view *v;
	const struct tn_catalog_snapshot *base;  /* In force. */
	const struct tn_catalog_snapshot *to;
	struct tn_serving_refs refs;
	struct tn_budget_share held;
	struct tn_exec_fold *sum;
	uint64_t rows;                           /* Since. */
	struct tn_batch_report *r;
};

static enum tn_status
find_snapshot(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    const struct tn_catalog_snapshot **to, struct tn_diag *d)
{
	bool by_lsn = q->snapshot == 0;
	enum tn_status st = tn_catalog_snapshot_at(b->o.catalog, by_lsn ?
	    TN_CATALOG_LSN_TO : TN_CATALOG_SEQUENCE,
	    (int64_t)(by_lsn ? q->lsn : q->snapshot), to);

	if (st != TN_ENOTFOUND)
		return st;
	tn_diag_hint(d, "GET /api/v1/snapshots lists those that are kept "
	    "(snapshot_keep)");
	return by_lsn ? tn_diag_set(d, st, "unknown_snapshot",
	    "no snapshot of LSN %llu or before is kept",
	    (unsigned long long)q->lsn) : tn_diag_set(d, st,
	    "unknown_snapshot", "snapshot %llu is not kept",
	    (unsigned long long)q->snapshot);
}

static enum tn_status
add_gold(struct rollback *x, struct tn_diag *d)
{
	struct tn_serving *s = x->b->o.serving;
	uint32_t first, n = tn_catalog_snapshot_find(x->to, TN_TIER_GOLD,
	    x->v->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		const struct tn_catalog_file *f = &x->to->files[i];
		struct tn_serving_gold *g = NULL;
		if (f->version != x->v->version)
			continue;
		st = tn_batch_stopping(x->b, d);
		if (st == TN_OK)
			st = tn_serving_gold_get(s, x->v, f, &g, d);
		if (st != TN_OK)
			break;
		tn_exec_fold_merge(x->sum, g->fold);
		tn_serving_gold_put(s, g);
		/* Once more when it is written. */
		if (!tn_budget_try(&x->held,
		    2 * tn_exec_fold_bytes(x->sum)))
			st = tn_budget_refuse(d);
	}
	return st;
}

static enum tn_status
go_on(const void *arg, struct tn_diag *d)
{
	return tn_batch_stopping(arg, d);
}

/* Rows in (${after}, ${silver}'s LSN]. */
static enum tn_status
fold_part(struct rollback *x, const struct tn_catalog_snapshot *silver,
    uint64_t after, struct tn_diag *d)
{
	struct tn_serving_lsns w = { .view = x->v, .silver = silver,
	    .after = after, .last = silver->lsn,
	    .refs = tn_serving_refs_view(&x->refs),
	    .memory = TN_BUDGET_CUTS, .go_on = go_on, .arg = x->b };
	struct tn_exec_fold *part = NULL;
	enum tn_status st = tn_serving_fold_lsns(x->b->o.serving, &w, &part,
	    d);

	x->rows += w.rows;
	if (x->sum == NULL || st != TN_OK) {
		tn_exec_fold_free(x->sum);
		x->sum = part;
		return st;
	}
	tn_exec_fold_merge(x->sum, part);
	tn_exec_fold_free(part);
	return TN_OK;
}

/* Sequences of the snapshots since that a publication without a new file has
 * followed, newest first: that is how retention takes rows. */
static enum tn_status
list_stops(struct rollback *x, struct tn_arena *a, uint64_t **out,
    uint32_t *count)
{
	struct tn_buf all = { 0 };
	uint64_t before = x->base->sequence + 1;
	bool removed = false, more = true;
	enum tn_status st = TN_OK;

	while (st == TN_OK && more) {
		struct tn_catalog_cut *cuts = NULL;
		uint32_t n = 0;
		st = tn_catalog_cuts(x->b->o.catalog, before, CUTS_PAGE, a,
		    &cuts, &n);
		for (uint32_t i = 0; st == TN_OK && i < n; i++) {
			before = cuts[i].sequence;
			if (removed && before > x->to->sequence)
				tn_buf_add(&all, &before, sizeof before);
			removed = cuts[i].added == 0;
		}
		more = n == CUTS_PAGE && before > x->to->sequence;
	}
	*count = (uint32_t)(all.n / sizeof before);
	*out = tn_arena_alloc(a, all.n + sizeof before);
	if (all.n > 0)
		memcpy(*out, all.p, all.n);
	tn_buf_fini(&all);
	return st;
}

/* What retention has taken since is in the snapshot before: kept, as it is
 * newer than the one gone back to. The rest is in the one in force. */
static enum tn_status
fold_since(struct rollback *x, struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(1024);
	uint64_t at = x->to->lsn, *stops = NULL;
	uint32_t count = 0;
	enum tn_status st = TN_OK;

	if (tn_batch_floor(x->b, x->v->stream) != INT64_MIN)
		st = list_stops(x, a, &stops, &count);
	for (uint32_t i = count; st == TN_OK && i > 0; i--) {
		const struct tn_catalog_snapshot *s = NULL;
		st = tn_catalog_snapshot_at(x->b->o.catalog,
		    TN_CATALOG_SEQUENCE, (int64_t)stops[i - 1], &s);
		if (st == TN_OK && s->lsn > at) {
			st = fold_part(x, s, at, d);
			at = s->lsn;
		}
		tn_catalog_snapshot_put(s);
	}
	if (st == TN_OK)
		st = fold_part(x, x->base, at, d);
	tn_arena_free(a);
	return st;
}

static enum tn_status
swap_gold(struct rollback *x)
{
	struct change c;
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);
	char detail[160];
	enum tn_status st;

	tn_batch_change_begin(&c, x->b, x->base->lsn, x->r->run);
	c.silver = x->base;
	c.refs = tn_serving_refs_view(&x->refs);
	for (uint32_t i = first; i < first + n; i++)
		tn_batch_change_drop(&c, x->base->files[i].id);
	c.rows = c.spent.rows = x->rows;
	c.before = tn_batch_before_files(x->b->o.lake, x->v, x->base,
	    NULL);
	st = tn_batch_gold(&c, x->v, x->sum, NULL, x->base->lsn,
	    &x->r->diag);
	x->sum = NULL;
	if (st == TN_OK)
		tn_batch_compare_rest(&c, c.before);
	tn_batch_before_free(c.before);
	c.before = NULL;
	snprintf(detail, sizeof detail, "as in snapshot %llu (LSN %llu), and "
	    "%llu rows since", (unsigned long long)x->to->sequence,
	    (unsigned long long)x->to->lsn, (unsigned long long)x->rows);
	tn_os_crash_point("rollback_written");
	if (st == TN_OK)
		st = tn_batch_change_publish(&c, x->base->lsn, NULL, 0,
		    detail);
	else
		tn_batch_change_undo(&c);
	x->r->files = c.add_count;
	tn_buf_printf(&x->r->text, "%s: %s; %llu published rows changed\n",
	    x->v->def->name, detail, (unsigned long long)c.changed);
	tn_batch_change_fini(&c);
	return st;
}

static enum tn_status
roll_view(struct rollback *x)
{
	struct tn_batch_report *r = x->r;
	struct tn_batch_jobs *b = x->b;
	uint64_t lsn;
	enum tn_status st;

	if (tn_serving_whole(b->o.serving, x->v, x->to) != TN_OK) {
		tn_diag_hint(&r->diag, "tarn recompute %s makes it anew",
		    x->v->def->name);
		return tn_diag_set(&r->diag, TN_ECONFLICT,
		    "other_definition", "snapshot %llu has no gold of the "
		    "present definition of view %s",
		    (unsigned long long)x->to->sequence, x->v->def->name);
	}
	st = tn_batch_run_begin(b, "rollback", "request", x->v->def->name,
	    x->to->lsn, x->base->lsn, &r->run);
	if (st != TN_OK)
		return st;
	b->o.speed.seal(b->o.speed.speed, &lsn, &x->refs);
	b->o.speed.unseal(b->o.speed.speed);
	x->held.class = TN_BUDGET_CUTS;
	st = fold_since(x, &r->diag);
	if (st == TN_OK)
		st = add_gold(x, &r->diag);
	if (st == TN_OK)
		st = swap_gold(x);
	tn_exec_fold_free(x->sum);
	tn_budget_set(&x->held, 0);
	tn_serving_refs_fini(&x->refs);
	if (st != TN_OK && tn_catalog_run_end(b->o.catalog, r->run,
	    TN_RUN_FAILED, tn_os_wall_us(), 0, 0, r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)r->run);
	return st;
}

/* Accepted rows of a stream in silver. */
static uint64_t
silver_rows(const struct tn_catalog_snapshot *s, uint32_t object)
{
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    object, &first);
	uint64_t rows = 0;

	for (uint32_t i = first; i < first + n; i++)
		rows += s->files[i].rows;
	return rows;
}

static enum tn_status
roll_stream(struct rollback *x, const struct tn_governance_stream *s)
{
	struct tn_diag *d = &x->r->diag;
	uint64_t now = silver_rows(x->base, s->id);
	uint64_t then = silver_rows(x->to, s->id);

	if (now > then) {
		tn_diag_hint(d, "ask for the past instead: SELECT ... FROM "
		    "as_of('%s', %llu)", s->table->name,
		    (unsigned long long)x->to->lsn);
		return tn_diag_set(d, TN_ECONFLICT, "rows_lost", "%s has %llu "
		    "accepted rows that snapshot %llu has not: a rollback "
		    "would lose them", s->table->name,
		    (unsigned long long)(now - then),
		    (unsigned long long)x->to->sequence);
	}
	if (now < then)
		return tn_diag_set(d, TN_ECONFLICT, "rows_removed", "%llu "
		    "rows of %s were removed since snapshot %llu, by "
		    "retention or erasure: they are not brought back",
		    (unsigned long long)(then - now), s->table->name,
		    (unsigned long long)x->to->sequence);
	tn_buf_printf(&x->r->text, "%s has the same rows as in snapshot %llu: "
	    "nothing to do\n", s->table->name,
	    (unsigned long long)x->to->sequence);
	return TN_OK;
}

void
tn_batch_rollback(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    const char *name, struct tn_batch_report *r)
{
	const struct tn_serving_model *m = b->o.model;
	struct tn_slice n = tn_slice_of(name);
	int view = tn_serving_view_find(m, n);
	int stream = view >= 0 ? -1 : tn_serving_stream_find(m, n);
	struct rollback x = { .b = b, .r = r };

	if (view < 0 && stream < 0) {
		tn_diag_hint(&r->diag, "GET /api/v1/views lists the views");
		r->status = tn_diag_set(&r->diag, TN_ENOTFOUND,
		    "unknown_view", "there is no view or stream \"%.63s\"",
		    name);
		return;
	}
	/* Numbers that count erased rows do not come back. */
	r->status = tn_batch_erase_settle(b);
	if (r->status == TN_OK)
		r->status = find_snapshot(b, q, &x.to, &r->diag);
	if (r->status == TN_OK) {
		x.base = tn_catalog_snapshot(b->o.catalog);
		x.v = view >= 0 ? &m->views[view] : NULL;
		r->lsn = x.base->lsn;
		r->status = view >= 0 ? roll_view(&x) :
		    roll_stream(&x, &m->streams[stream]);
		r->rows = x.rows;
		tn_catalog_snapshot_put(x.base);
	}
	tn_catalog_snapshot_put(x.to);
	if (r->status != TN_OK && r->diag.message[0] == '\0')
		(void)tn_diag_set(&r->diag, r->status, "rollback_failed",
		    "%s could not be rolled back: %s", name,
		    tn_status_text(r->status));
}

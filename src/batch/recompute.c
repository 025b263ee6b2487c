/* Recompute: a view's states anew from all of silver, swapped for the old
 * ones in one publication at the cut in force. Files are folded side by side
 * on the pool and merged; states are mergeable, so the order does not matter.
 *
 * At the start the same makes gold for views that are new or whose definition
 * changed. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

/* Files folded side by side before their states are merged: as many states
 * are in memory. */
#define SLICE_FILES 16
#define SLICE_FILES_PRESSED 2        /* When memory is short. */

struct file_task {
	struct tn_exec_fold *fold;
	enum tn_status st;
	struct tn_diag d;
	uint64_t rows;
};
struct recompute {
	struct tn_batch_jobs *b;
	const struct tn_serving_view *v;
	const struct tn_governance_stream *s;
	const struct tn_catalog_file *files;     /* Of the slice at hand. */
	uint8_t *used;
	struct tn_exec_refs refs;
	struct tn_budget_share held;
	struct file_task tasks[SLICE_FILES];
};

struct folding {
	struct recompute *x;
	struct file_task *t;
};

static enum tn_status
fold_batch(void *arg, struct tn_batch *b)
{
	struct folding *f = arg;
	struct tn_exec_rows rows = { .batch = b, .has_hidden = true };

	tn_exec_fold_apply(f->t->fold, &rows, &f->x->refs, NULL);
	f->t->rows += b->rows;
	return TN_OK;
}

static void
fold_file(void *arg, uint32_t i)
{
	struct recompute *x = arg;
	struct folding f = { x, &x->tasks[i] };
	struct tn_lake_read r = { .path = x->files[i].path,
	    .schema = x->s->silver, .used = x->used,
	    .keep_dictionary = true, .each = fold_batch, .arg = &f };

	*f.t = (struct file_task){ .st = TN_OK };
	f.t->fold = tn_exec_fold_new(x->v->program);
	f.t->st = tn_lake_read(x->b->o.lake, &r, &f.t->d);
}

static enum tn_status
fold_slice(struct recompute *x, uint32_t n, struct tn_exec_fold *sum,
    uint64_t *rows, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	tn_net_pool_each(x->b->o.pool, n, fold_file, x);
	for (uint32_t i = 0; i < n; i++) {
		if (st == TN_OK && x->tasks[i].st != TN_OK) {
			st = x->tasks[i].st;
			*d = x->tasks[i].d;
		}
		if (st == TN_OK)
			tn_exec_fold_merge(sum, x->tasks[i].fold);
		*rows += x->tasks[i].rows;
		tn_exec_fold_free(x->tasks[i].fold);
	}
	return st;
}

static enum tn_status
fold_silver(struct recompute *x, const struct tn_catalog_snapshot *base,
    struct tn_exec_fold **out, uint64_t *rows, struct tn_diag *d)
{
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_SILVER,
	    x->s->id, &first);
	uint32_t columns = x->s->silver->count;
	struct tn_exec_fold *sum = tn_exec_fold_new(x->v->program);
	enum tn_status st = TN_OK;

	x->used = tn_zalloc(columns + 1);
	memcpy(x->used, x->v->def->select->used, columns);
	x->used[columns - 3] = 1;        /* Joins: as of the LSN. */
	x->used[columns - 2] = 1;        /* Ties: by offset. */
	for (uint32_t i = 0, some; st == TN_OK && i < n; i += some) {
		some = tn_budget_level() == TN_BUDGET_CALM ? SLICE_FILES :
		    SLICE_FILES_PRESSED;
		some = n - i < some ? n - i : some;
		x->files = base->files + first + i;
		st = tn_batch_stopping(x->b, d);
		if (st == TN_OK)
			st = fold_slice(x, some, sum, rows, d);
		/* Once more when it is written. */
		if (st == TN_OK && !tn_budget_try(&x->held,
		    2 * tn_exec_fold_bytes(sum)))
			st = tn_budget_refuse(d);
	}
	tn_free(x->used);
	*out = sum;
	return st;
}

static enum tn_status
swap_gold(struct recompute *x, const struct tn_catalog_snapshot *base,
    struct tn_exec_fold *sum, uint64_t run, uint64_t rows,
    struct tn_batch_report *r)
{
	struct change c;
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_GOLD,
	    x->v->id, &first);
	char detail[160];
	enum tn_status st;

	tn_batch_change_begin(&c, x->b, base->lsn, run);
	c.silver = base;
	c.refs = x->refs;
	for (uint32_t i = first; i < first + n; i++)
		tn_batch_change_drop(&c, base->files[i].id);
	c.rows = rows;
	c.before = tn_batch_before_files(x->b->o.lake, x->v, base);
	st = tn_batch_gold(&c, x->v, sum, NULL, base->lsn, &r->diag);
	if (st == TN_OK)
		tn_batch_compare_rest(&c, c.before);
	tn_batch_before_free(c.before);
	c.before = NULL;
	snprintf(detail, sizeof detail,
	    "%llu rows of silver into %u gold files",
	    (unsigned long long)rows, (unsigned)c.add_count);
	if (st == TN_OK)
		st = tn_batch_change_publish(&c, base->lsn, NULL, 0, detail);
	else
		tn_batch_change_undo(&c);
	r->files += c.add_count;
	tn_batch_change_fini(&c);
	return st;
}

static void
recompute_one(struct tn_batch_jobs *b, const char *reason,
    const struct tn_serving_view *v, struct tn_batch_report *r)
{
	struct recompute x = { .b = b, .v = v,
	    .s = &b->o.model->streams[v->stream] };
	struct tn_serving_refs refs;
	struct tn_exec_fold *sum = NULL;
	const struct tn_catalog_snapshot *base;
	uint64_t lsn, rows = 0, run = 0;
	int64_t begun = tn_os_mono_us(), took;
	enum tn_status st;

	/* Frozen reference tables, nothing sealed. */
	b->o.speed.seal(b->o.speed.speed, &lsn, &refs);
	b->o.speed.unseal(b->o.speed.speed);
	base = tn_catalog_snapshot(b->o.catalog);
	x.refs = tn_serving_refs_view(&refs);
	x.held.class = TN_BUDGET_CUTS;
	st = tn_batch_run_begin(b, "recompute", reason, v->def->name, 0,
	    base->lsn, &run);
	if (st == TN_OK)
		st = fold_silver(&x, base, &sum, &rows, &r->diag);
	tn_os_crash_point("recompute_folded");
	if (st == TN_OK)
		st = swap_gold(&x, base, sum, run, rows, r);
	else
		tn_exec_fold_free(sum);
	tn_budget_set(&x.held, 0);
	took = tn_os_mono_us() - begun;
	if (st != TN_OK && run != 0 && tn_catalog_run_end(b->o.catalog, run,
	    TN_RUN_FAILED, tn_os_wall_us(), 0, 0, r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)run);
	tn_buf_printf(&r->text, "%s: %llu rows in %.3f s (%.1f M rows/s)%s\n",
	    v->def->name, (unsigned long long)rows, (double)took / 1e6,
	    (double)rows / (double)(took + 1), st == TN_OK ? "" : ", failed");
	if (st != TN_OK && r->diag.message[0] == '\0')
		tn_diag_set(&r->diag, st, "recompute_failed",
		    "view %s could not be computed: %s", v->def->name,
		    tn_status_text(st));
	r->status = st;
	r->rows += rows;
	r->run = run;
	r->lsn = base->lsn;
	tn_serving_refs_fini(&refs);
	tn_catalog_snapshot_put(base);
}

void
tn_batch_recompute(struct tn_batch_jobs *b, const char *reason,
    const char *view, struct tn_batch_report *r)
{
	const struct tn_serving_model *m = b->o.model;
	bool found = false;

	for (uint32_t v = 0; v < m->view_count && r->status == TN_OK; v++) {
		if (view != NULL && strcmp(view, m->views[v].def->name) != 0)
			continue;
		found = true;
		recompute_one(b, reason, &m->views[v], r);
	}
	if (!found && view != NULL) {
		r->status = tn_diag_set(&r->diag, TN_ENOTFOUND,
		    "unknown_view", "there is no view \"%.63s\"", view);
		tn_diag_hint(&r->diag, "GET /api/v1/views lists them");
	}
}

/* ---- at start -------------------------------------------------------- */

static bool
is_computed(struct tn_batch_jobs *b, const struct tn_serving_view *v,
    struct tn_arena *a)
{
	const char *version = NULL;
	char key[40];
	uint64_t n;

	snprintf(key, sizeof key, "computed:%u", (unsigned)v->id);
	if (tn_catalog_get(b->o.catalog, key, a, &version) != TN_OK)
		return false;
	return tn_parse_u64(tn_slice_of(version), &n) && n == v->version;
}

static enum tn_status
say_computed(struct tn_batch_jobs *b, const struct tn_serving_view *v)
{
	char key[40], value[24];

	snprintf(key, sizeof key, "computed:%u", (unsigned)v->id);
	snprintf(value, sizeof value, "%u", (unsigned)v->version);
	return tn_catalog_set(b->o.catalog, key, value);
}

enum tn_status
tn_batch_mend(struct tn_batch_jobs *b, struct tn_diag *d)
{
	const struct tn_serving_model *m = b->o.model;
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_arena *a = tn_arena_new(1024);
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < m->view_count; i++) {
		const struct tn_serving_view *v = &m->views[i];
		struct tn_batch_report r = { .status = TN_OK };
		struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
		    .reason = "definition", .view = v->def->name };
		uint32_t first;
		if (is_computed(b, v, a))
			continue;
		if (tn_catalog_snapshot_find(s, TN_TIER_SILVER,
		    m->streams[v->stream].id, &first) > 0)
			st = tn_batch_run(b, &q, &r);
		if (st == TN_OK)
			st = say_computed(b, v);
		else if (d != NULL)
			*d = r.diag;
		tn_buf_fini(&r.text);
	}
	tn_arena_free(a);
	tn_catalog_snapshot_put(s);
	return st;
}

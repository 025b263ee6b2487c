/* Recompute: states of a view anew from silver, swapped for the old ones in
 * one publication. All of the view, or the time buckets of a range.
 *
 *   silver at the base -> folded, some files a step -> rows that cuts have
 *   added meanwhile -> ... -> nothing is new -> gold swapped at the cut in force
 *
 * A step is a job of the batch thread like others, so cuts go on between
 * steps, and a person can pause or cancel. Files are folded side by side on the
 * pool and merged; states are mergeable, so the order does not matter. The
 * base is held, so that its files stay. Recomputes run one after the other
 * (batch.c).
 *
 * Groups that are not made anew (outside the range, or of which retention has
 * removed rows) are carried over from the old gold: whole files as they are,
 * the rest of a file state by state.
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
	struct tn_batch_marks marks;
	enum tn_status st;
	struct tn_diag d;
	uint64_t rows;
};
struct tn_batch_recompute {
	struct tn_batch_jobs *b;
	const struct tn_batch_request *q;
	const char *reason, *view;       /* view NULL: all. */
	struct tn_batch_report *r;
	struct tn_arena *arena;
	uint32_t at;                     /* Of the model's views. */
	bool any;
	/* The view under way; v NULL: none. */
	const struct tn_serving_view *v;
	const struct tn_governance_stream *s;
	struct tn_serving_refs refs;
	const struct tn_catalog_snapshot *base;
	uint64_t after;                  /* Rows at or below are folded. */
	uint32_t next;                   /* Silver file of the base. */
	struct tn_exec_fold *sum;
	/* The groups made anew; no bound: all of them. */
	struct tn_exec_bound anew;
	struct tn_exec_bound kept;       /* Of which rows are gone. */
	bool some;
	bool timed;                      /* Their rows lie in a range: */
	int64_t from_us, to_us;
	uint8_t *used;
	uint64_t run, rows;
	int64_t begun_us, left_us;
	struct tn_budget_share held;
	const struct tn_catalog_file *files[SLICE_FILES];
	struct file_task tasks[SLICE_FILES];
};

struct folding {
	struct tn_batch_recompute *x;
	struct file_task *t;
};

/* ---- rows ------------------------------------------------------------ */

static enum tn_status
fold_batch(void *arg, struct tn_batch *b)
{
	struct folding *f = arg;
	struct tn_exec_rows rows = { .batch = b, .has_hidden = true };
	struct tn_exec_refs refs = tn_serving_refs_view(&f->x->refs);

	if (f->x->after > 0) {
		if (tn_batch_mark_after(&f->t->marks, b, f->x->after) == 0)
			return TN_OK;
		rows.skip = f->t->marks.marks;
	}
	tn_exec_fold_apply(f->t->fold, &rows, &refs, NULL);
	f->t->rows += b->rows;
	return TN_OK;
}

static void
fold_file(void *arg, uint32_t i)
{
	struct tn_batch_recompute *x = arg;
	struct folding f = { x, &x->tasks[i] };
	struct tn_lake_read r = { .path = x->files[i]->path,
	    .schema = x->s->silver, .used = x->used,
	    .keep_dictionary = true, .each = fold_batch, .arg = &f };

	*f.t = (struct file_task){ .st = TN_OK };
	f.t->fold = tn_exec_fold_new(x->v->program);
	f.t->st = tn_lake_read(x->b->o.lake, &r, &f.t->d);
	tn_free(f.t->marks.marks);
}

static bool
is_wanted(const struct tn_batch_recompute *x, const struct tn_catalog_file *f)
{
	return f->lsn_max > x->after && (!x->timed ||
	    (f->time_max >= x->from_us && f->time_min <= x->to_us));
}

/* The next files of the base; 0: none is left. */
static uint32_t
next_slice(struct tn_batch_recompute *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_SILVER,
	    x->s->id, &first), count = 0;
	uint32_t most = tn_budget_level() == TN_BUDGET_CALM ? SLICE_FILES :
	    SLICE_FILES_PRESSED;

	for (; x->next < n && count < most; x->next++)
		if (is_wanted(x, &x->base->files[first + x->next]))
			x->files[count++] = &x->base->files[first + x->next];
	return count;
}

static enum tn_status
fold_slice(struct tn_batch_recompute *x, uint32_t n)
{
	enum tn_status st = TN_OK;

	tn_net_pool_each(x->b->o.pool, n, fold_file, x);
	for (uint32_t i = 0; i < n; i++) {
		if (st == TN_OK && x->tasks[i].st != TN_OK) {
			st = x->tasks[i].st;
			x->r->diag = x->tasks[i].d;
		}
		if (st == TN_OK)
			tn_exec_fold_merge(x->sum, x->tasks[i].fold);
		x->rows += x->tasks[i].rows;
		tn_exec_fold_free(x->tasks[i].fold);
	}
	/* Once more when it is written. */
	if (st == TN_OK && !tn_budget_try(&x->held,
	    2 * tn_exec_fold_bytes(x->sum)))
		st = tn_budget_refuse(&x->r->diag);
	return st;
}

/* ---- the groups made anew -------------------------------------------- */

static const struct tn_column *
bucket_of(struct tn_batch_recompute *x, int64_t us)
{
	return tn_exec_bucket_at(x->v->def->select,
	    (uint32_t)tn_batch_time_column(x->s), us, x->arena);
}

static enum tn_status
set_range(struct tn_batch_recompute *x)
{
	const struct tn_batch_request *q = x->q;
	int group = x->v->def->select->bucket_group;
	bool from = q->from_us != 0, to = q->to_us != 0;

	memset(&x->anew, 0, sizeof x->anew);
	x->some = from || to;
	if (!x->some)
		return TN_OK;
	if (from && to && q->from_us >= q->to_us)
		return tn_diag_set(&x->r->diag, TN_EINVAL, "bad_range",
		    "from must be before to");
	x->anew.group = (uint32_t)(group < 0 ? 0 : group);
	x->anew.min = from ? bucket_of(x, q->from_us) : NULL;
	x->anew.max = to ? bucket_of(x, q->to_us - 1) : NULL;
	x->anew.max_inclusive = true;
	if ((from && x->anew.min == NULL) || (to && x->anew.max == NULL)) {
		tn_diag_hint(&x->r->diag, "leave from and to out: all of it "
		    "is then computed");
		return tn_diag_set(&x->r->diag, TN_EUNSUPPORTED, "no_bucket",
		    "view %s has no time bucket of its event time",
		    x->v->def->name);
	}
	return TN_OK;
}

/* Whether there is gold of another definition only, or none. */
static bool
has_no_number(const struct tn_batch_recompute *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);

	for (uint32_t i = first; i < first + n; i++)
		if (x->base->files[i].version == x->v->version)
			return false;
	return true;
}

/* Retention removes rows also while this runs, so it is asked at the end.
 * Another definition has no number to keep and begins with what there is; the
 * start does not fail for it. */
static enum tn_status
leave_retired(struct tn_batch_recompute *x)
{
	const struct tn_exec_bound *kept = &x->kept;
	enum tn_status st = tn_batch_kept(x->b, x->v, x->arena, &x->kept,
	    &x->r->diag);

	if (strcmp(x->reason, "definition") == 0 &&
	    (st == TN_EUNSUPPORTED || has_no_number(x))) {
		memset(&x->r->diag, 0, sizeof x->r->diag);
		(void)tn_batch_left(x->b, x->v, x->arena, &x->anew);
		x->some = x->anew.min != NULL;
		return TN_OK;
	}
	if (st != TN_OK || kept->max == NULL || (x->anew.min != NULL &&
	    tn_batch_bucket_us(x->anew.min) >
	    tn_batch_bucket_us(kept->max)))
		return st;
	x->some = true;
	x->anew.group = kept->group;
	x->anew.min = kept->max;
	x->anew.min_exclusive = true;
	return TN_OK;
}

static void
set_times(struct tn_batch_recompute *x)
{
	x->from_us = x->anew.min == NULL ? INT64_MIN :
	    tn_batch_bucket_us(x->anew.min);
	x->to_us = x->anew.max == NULL ? INT64_MAX :
	    tn_batch_bucket_us(x->anew.max);
	x->timed = x->some && tn_serving_rows_of(x->s, x->v->def->select,
	    &x->from_us, &x->to_us);
}

static bool
is_below(const struct tn_batch_recompute *x, int64_t us)
{
	int64_t min;

	if (x->anew.min == NULL)
		return false;
	min = tn_batch_bucket_us(x->anew.min);
	return us < min || (us == min && x->anew.min_exclusive);
}

static bool
is_above(const struct tn_batch_recompute *x, int64_t us)
{
	return x->anew.max != NULL && us > tn_batch_bucket_us(x->anew.max);
}

/* Retention has reached beyond the range meanwhile: below and above overlap. */
static bool
is_nothing_anew(const struct tn_batch_recompute *x)
{
	return x->anew.min != NULL && x->anew.max != NULL &&
	    tn_batch_bucket_us(x->anew.min) >
	    tn_batch_bucket_us(x->anew.max);
}

/* Whether no group of a gold file is made anew, nor of the other slices of its
 * partition: new files would not know where its groups stand. */
static bool
is_carried(const struct tn_batch_recompute *x,
    const struct tn_catalog_file *f)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);
	bool carried = x->some && f->version == x->v->version &&
	    (is_below(x, f->time_max) || is_above(x, f->time_min));

	for (uint32_t i = first; carried && i < first + n; i++) {
		const struct tn_catalog_file *o = &x->base->files[i];
		if (o->version == x->v->version && strcmp(o->partition,
		    f->partition) == 0)
			carried = is_below(x, o->time_max) ||
			    is_above(x, o->time_min);
	}
	return carried;
}

static void
merge_part(struct tn_exec_fold *to, const struct tn_exec_fold *from,
    const struct tn_exec_bound *b)
{
	struct tn_exec_fold *part = tn_exec_fold_clone(from, b, 1);

	tn_exec_fold_merge(to, part);
	tn_exec_fold_free(part);
}

static enum tn_status
carry_file(struct tn_batch_recompute *x, const struct tn_catalog_file *f)
{
	struct tn_exec_bound below = { .group = x->anew.group,
	    .max = x->anew.min, .max_inclusive = x->anew.min_exclusive };
	struct tn_exec_bound above = { .group = x->anew.group,
	    .min = x->anew.max, .min_exclusive = true };
	struct tn_serving_gold *g = NULL;
	enum tn_status st = tn_serving_gold_get(x->b->o.serving, x->v, f, &g,
	    &x->r->diag);

	if (st != TN_OK)
		return st;
	if (is_nothing_anew(x)) {
		tn_exec_fold_merge(x->sum, g->fold);
	} else {
		if (is_below(x, f->time_min))
			merge_part(x->sum, g->fold, &below);
		if (is_above(x, f->time_max))
			merge_part(x->sum, g->fold, &above);
	}
	tn_serving_gold_put(x->b->o.serving, g);
	return TN_OK;
}

/* The groups of old files that are not made anew, instead of what is left of
 * their rows. */
static enum tn_status
carry_over(struct tn_batch_recompute *x)
{
	struct tn_exec_fold *all;
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);
	enum tn_status st = TN_OK;

	if (!x->some)
		return TN_OK;
	all = tn_exec_fold_clone(x->sum, &x->anew, 1);
	tn_exec_fold_free(x->sum);
	x->sum = all;
	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		const struct tn_catalog_file *f = &x->base->files[i];
		if (!is_carried(x, f) && f->version == x->v->version)
			st = carry_file(x, f);
	}
	return st;
}

/* ---- the swap -------------------------------------------------------- */

static bool
stays(const void *arg, const struct tn_catalog_file *f)
{
	return is_carried(arg, f);
}

static struct tn_batch_before *
rows_before(struct tn_batch_recompute *x)
{
	struct tn_batch_stays s = { stays, x };

	return tn_batch_before_files(x->b->o.lake, x->v, x->base, &s);
}

static enum tn_status
swap_gold(struct tn_batch_recompute *x)
{
	struct change c;
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);
	struct tn_exec_fold *sum = x->sum;
	char detail[160];
	enum tn_status st;

	tn_batch_change_begin(&c, x->b, x->base->lsn, x->run);
	c.silver = x->base;
	c.refs = tn_serving_refs_view(&x->refs);
	for (uint32_t i = first; i < first + n; i++)
		if (!is_carried(x, &x->base->files[i]))
			tn_batch_change_drop(&c, x->base->files[i].id);
	c.rows = c.spent.rows = x->rows;
	c.before = rows_before(x);
	if (x->q->from_us == 0 && x->q->to_us == 0)
		tn_batch_lower_floor(&c, x->v, &x->kept, x->arena);
	x->sum = NULL;
	st = tn_batch_gold(&c, x->v, sum, NULL, x->base->lsn, &x->r->diag);
	if (st == TN_OK)
		tn_batch_compare_rest(&c, c.before);
	tn_batch_before_free(c.before);
	c.before = NULL;
	snprintf(detail, sizeof detail,
	    "%llu rows of silver into %u gold files",
	    (unsigned long long)x->rows, (unsigned)c.add_count);
	if (st == TN_OK)
		st = tn_batch_change_publish(&c, x->base->lsn, NULL, 0,
		    detail);
	else
		tn_batch_change_undo(&c);
	if (st == TN_OK)
		tn_batch_lowered(&c, x->v);
	x->r->files += c.add_count;
	tn_batch_change_fini(&c);
	return st;
}

/* ---- one view -------------------------------------------------------- */

/* Silver as it is now, and reference tables that its rows know. */
static void
take_base(struct tn_batch_recompute *x)
{
	uint64_t lsn;

	tn_serving_refs_fini(&x->refs);
	tn_catalog_snapshot_put(x->base);
	x->b->o.speed.seal(x->b->o.speed.speed, &lsn, &x->refs);
	x->b->o.speed.unseal(x->b->o.speed.speed);
	x->base = tn_catalog_snapshot(x->b->o.catalog);
	x->next = 0;
}

static uint64_t
rows_to_read(struct tn_batch_recompute *x, uint64_t *bytes, uint32_t *files)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_SILVER,
	    x->s->id, &first);
	uint64_t rows = 0;

	*bytes = 0;
	*files = 0;
	for (uint32_t i = first; i < first + n; i++)
		if (is_wanted(x, &x->base->files[i])) {
			rows += x->base->files[i].rows;
			*bytes += x->base->files[i].bytes;
			++*files;
		}
	return rows;
}

static void
tell_cost(struct tn_batch_recompute *x)
{
	uint64_t bytes, rows;
	uint32_t files;

	rows = rows_to_read(x, &bytes, &files);
	tn_buf_printf(&x->r->text, "%s: would read %llu rows in %u files of "
	    "silver, %.1f MiB\n", x->v->def->name, (unsigned long long)rows,
	    (unsigned)files, (double)bytes / (1 << 20));
	x->r->rows += rows;
	x->r->files += files;
	x->r->lsn = x->base->lsn;
}

static void
open_view(struct tn_batch_recompute *x, const struct tn_serving_view *v)
{
	uint32_t columns;

	x->v = v;
	x->s = &x->b->o.model->streams[v->stream];
	x->any = true;
	x->after = x->run = x->rows = 0;
	x->begun_us = tn_os_mono_us();
	x->held.class = TN_BUDGET_CUTS;
	x->sum = tn_exec_fold_new(v->program);
	columns = x->s->silver->count;
	x->used = tn_zalloc(columns + 1);
	memcpy(x->used, v->def->select->used, columns);
	x->used[columns - 3] = 1;        /* Joins: as of the LSN. */
	x->used[columns - 2] = 1;        /* Ties: by offset. */
}

static void
close_view(struct tn_batch_recompute *x)
{
	tn_serving_refs_fini(&x->refs);
	memset(&x->refs, 0, sizeof x->refs);
	tn_budget_set(&x->held, 0);
	tn_exec_fold_free(x->sum);
	x->sum = NULL;
	tn_free(x->used);
	x->used = NULL;
	x->v = NULL;
}

static void
begin_view(struct tn_batch_recompute *x, const struct tn_serving_view *v)
{
	uint32_t files;
	uint64_t bytes;

	open_view(x, v);
	take_base(x);
	x->r->status = set_range(x);
	set_times(x);
	if (x->r->status != TN_OK || x->q->dry_run)
		return;
	x->r->status = tn_batch_run_begin(x->b, "recompute", x->reason,
	    v->def->name, 0, x->base->lsn, &x->run);
	tn_batch_work_begin(x->b, x->run, rows_to_read(x, &bytes, &files));
}

static void
end_view(struct tn_batch_recompute *x)
{
	struct tn_batch_report *r = x->r;
	int64_t took = tn_os_mono_us() - x->begun_us;

	if (!x->q->dry_run)
		tn_batch_work_end(x->b);
	tn_budget_set(&x->held, 0);
	if (r->status != TN_OK && r->diag.message[0] == '\0')
		tn_diag_set(&r->diag, r->status, "recompute_failed",
		    "view %s could not be computed: %s", x->v->def->name,
		    tn_status_text(r->status));
	if (r->status != TN_OK && x->run != 0 && tn_catalog_run_end(
	    x->b->o.catalog, x->run, TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)x->run);
	if (!x->q->dry_run) {
		tn_buf_printf(&r->text, "%s: %llu rows in %.3f s (%.1f M "
		    "rows/s)%s\n", x->v->def->name,
		    (unsigned long long)x->rows, (double)took / 1e6,
		    (double)x->rows / (double)(took + 1),
		    r->status == TN_OK ? "" : ", failed");
		r->rows += x->rows;
		r->run = x->run;
		r->lsn = x->base->lsn;
	}
	tn_catalog_snapshot_put(x->base);
	x->base = NULL;
	close_view(x);
}

/* All rows of the base are folded: are there newer ones? */
static bool
catch_up(struct tn_batch_recompute *x)
{
	uint64_t lsn = x->base->lsn;

	take_base(x);
	x->after = lsn;
	return x->base->lsn > lsn;
}

static void
finish_view(struct tn_batch_recompute *x)
{
	tn_os_crash_point("recompute_folded");
	x->r->status = leave_retired(x);
	if (x->r->status == TN_OK)
		x->r->status = carry_over(x);
	if (x->r->status == TN_OK)
		x->r->status = swap_gold(x);
}

/* True: the view is not done. */
static bool
step_view(struct tn_batch_recompute *x)
{
	int64_t until = tn_batch_step_until(x->left_us);
	bool over = false;

	while (x->r->status == TN_OK && !over) {
		uint32_t n = next_slice(x);
		if (n > 0)
			x->r->status = fold_slice(x, n);
		else if (!catch_up(x))
			break;
		tn_batch_work_at(x->b, x->rows);
		over = tn_batch_step_over(x->b, until);
	}
	x->left_us = tn_os_mono_us();
	if (x->r->status == TN_OK && !over)
		finish_view(x);
	return x->r->status == TN_OK && over;
}

/* ---- all of them ----------------------------------------------------- */

struct tn_batch_recompute *
tn_batch_recompute_new(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *reason, const char *view,
    struct tn_batch_report *r)
{
	struct tn_batch_recompute *x = tn_zalloc(sizeof *x);

	x->b = b;
	x->q = q;
	x->reason = reason;
	x->view = view;
	x->r = r;
	x->arena = tn_arena_new(1024);
	return x;
}

static void
next_view(struct tn_batch_recompute *x)
{
	const struct tn_serving_model *m = x->b->o.model;

	while (x->v == NULL && x->at < m->view_count) {
		const struct tn_serving_view *v = &m->views[x->at++];
		if (tn_serving_view_live(m, x->at - 1) && (x->view == NULL ||
		    strcmp(x->view, v->def->name) == 0))
			begin_view(x, v);
	}
}

bool
tn_batch_recompute_step(struct tn_batch_recompute *x)
{
	struct tn_batch_report *r = x->r;

	if (x->v == NULL)
		next_view(x);
	if (x->v != NULL) {
		if (r->status == TN_OK)
			r->status = tn_batch_stopping(x->b, &r->diag);
		if (r->status == TN_OK && x->q->dry_run)
			tell_cost(x);
		else if (r->status == TN_OK && step_view(x))
			return true;
		end_view(x);
		return r->status == TN_OK;
	}
	if (!x->any && x->view != NULL) {
		r->status = tn_diag_set(&r->diag, TN_ENOTFOUND,
		    "unknown_view", "there is no view \"%.63s\"", x->view);
		tn_diag_hint(&r->diag, "GET /api/v1/views lists them");
	}
	return false;
}

void
tn_batch_recompute_free(struct tn_batch_recompute *x)
{
	if (x->v != NULL) {
		/* The program stops between two steps. */
		x->r->status = tn_batch_stopping(x->b, &x->r->diag);
		if (x->r->status == TN_OK)
			x->r->status = TN_ECLOSED;
		end_view(x);
	}
	tn_arena_free(x->arena);
	tn_free(x);
}

/* ---- as a part of another change ------------------------------------- */

/* The buckets of the range; all of the view where it has none. */
static enum tn_status
range_into(struct tn_batch_recompute *x, struct tn_batch_request *q,
    const struct tn_batch_anew *n)
{
	enum tn_status st;

	/* 0 says that there is none; buckets are wider than this. */
	q->from_us = n->from_us == 0 ? -1 : n->from_us;
	q->to_us = n->to_us == INT64_MAX ? n->to_us : n->to_us + 1;
	q->to_us = q->to_us == 0 ? 1 : q->to_us;
	st = set_range(x);
	if (st == TN_EUNSUPPORTED) {
		memset(&x->r->diag, 0, sizeof x->r->diag);
		memset(&x->anew, 0, sizeof x->anew);
		x->some = false;
		st = TN_OK;
	}
	return st == TN_OK ? leave_retired(x) : st;
}

static enum tn_status
gold_into(struct tn_batch_recompute *x, struct change *c)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD,
	    x->v->id, &first);
	struct tn_exec_fold *sum = x->sum;

	for (uint32_t i = first; i < first + n; i++)
		if (!is_carried(x, &x->base->files[i]))
			tn_batch_change_drop(c, x->base->files[i].id);
	c->refs = tn_serving_refs_view(&x->refs);
	x->sum = NULL;
	c->spent.rows = x->rows;
	return tn_batch_gold(c, x->v, sum, NULL, x->base->lsn, &x->r->diag);
}

static enum tn_status
fold_into(struct tn_batch_recompute *x, struct change *c)
{
	enum tn_status st = TN_OK;

	set_times(x);
	for (uint32_t n = next_slice(x); st == TN_OK && n > 0;
	    n = next_slice(x)) {
		st = tn_batch_stopping(x->b, &x->r->diag);
		if (st == TN_OK)
			st = fold_slice(x, n);
	}
	if (st == TN_OK)
		st = carry_over(x);
	return st == TN_OK ? gold_into(x, c) : st;
}

enum tn_status
tn_batch_recompute_into(struct change *c, struct tn_batch_anew *n,
    struct tn_batch_report *r)
{
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE };
	struct tn_batch_recompute *x = tn_batch_recompute_new(c->b, &q,
	    "erase", n->view->def->name, r);
	uint64_t lsn;
	enum tn_status st;

	open_view(x, n->view);
	c->b->o.speed.seal(c->b->o.speed.speed, &lsn, &x->refs);
	c->b->o.speed.unseal(c->b->o.speed.speed);
	x->base = n->base;
	st = range_into(x, &q, n);
	n->left = st == TN_EUNSUPPORTED || (st == TN_OK &&
	    is_nothing_anew(x));
	if (n->left) {
		memset(&r->diag, 0, sizeof r->diag);
		st = TN_OK;
	} else if (st == TN_OK) {
		st = fold_into(x, c);
	}
	n->rows = x->rows;
	close_view(x);
	tn_batch_recompute_free(x);
	return st;
}

/* ---- at start -------------------------------------------------------- */

/* What is noted of a view that was computed: its version, and how its gold is
 * laid out (by day since "day"; gold of before is made anew). */
void
tn_batch_computed_text(const struct tn_serving_view *v, char key[static 40],
    char value[static 32])
{
	snprintf(key, 40, "computed:%u", (unsigned)v->id);
	snprintf(value, 32, "%u day", (unsigned)v->version);
}

static bool
is_computed(struct tn_batch_jobs *b, const struct tn_serving_view *v,
    struct tn_arena *a)
{
	const char *noted = NULL;
	char key[40], value[32];

	tn_batch_computed_text(v, key, value);
	if (tn_catalog_get(b->o.catalog, key, a, &noted) != TN_OK)
		return false;
	return strcmp(noted, value) == 0;
}

static enum tn_status
say_computed(struct tn_batch_jobs *b, const struct tn_serving_view *v)
{
	char key[40], value[32];

	tn_batch_computed_text(v, key, value);
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
	if (st == TN_OK)
		st = tn_batch_whole(b);
	/* The start does not wait for it. */
	return st == TN_OK ? tn_batch_post(b, &(struct tn_batch_request){
	    .kind = TN_BATCH_TABLES, .reason = "start" }) : st;
}

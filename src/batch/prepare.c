/* Silver of tables whose definition is to change, made beside the old while
 * that serves, so that the next start has little left to make (rebuild.c).
 *
 *   bronze of the base, in order of LSN, beyond what is noted
 *     -> slices of silver (remake.c) -> files synced -> noted, with the LSN up
 *        to which all rows are in them
 *   -> what cuts have added meanwhile -> ... -> little is left
 *
 * No snapshot has the files, so nobody sees them. How far they come is an LSN,
 * not a list of files: compaction may write bronze anew as it likes. It is
 * noted where all rows up to it were taken: files of bronze may overlap (days
 * received, a clock that went back), so no file that comes later may begin
 * before it.
 *
 * A step is a job of the batch thread, as of a recompute: cuts go on in
 * between, a person can pause and cancel. Where there are ticks it has half of
 * the time at most, reads no more than prepare_rate, and waits while memory
 * presses. An erasure takes what is prepared of its stream away
 * (tn_batch_preparing_renew), and the table begins anew.
 *
 * What can go wrong: bronze is damaged, disk and catalog errors: what is noted
 * stays, and the next request or start goes on behind it; so it is after a
 * crash. Canceled, all of it goes. */
#include "batch/prepare_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_ROWS 20000
#define PASSES_MAX 20                /* Over what cuts add meanwhile. */
#define ROUNDS_MAX 2                 /* Over tables that were done. */

struct tn_batch_preparing {
	struct tn_batch_jobs *b;
	const struct tn_batch_prepare *q;
	const char *reason;
	struct tn_batch_report *r;
	uint32_t at;                     /* Of the tables. */
	uint32_t passes, rounds;
	bool begun, last_pass;
	uint64_t run;
	uint64_t read, total;            /* Rows of bronze. */
	uint64_t made, files;            /* Rows of silver. */
	struct tn_batch_pace pace;
	int64_t calm_us;                 /* Monotonic: no step before. */
	/* The pass: bronze files in order of LSN. */
	const struct tn_catalog_snapshot *base;
	const struct tn_catalog_file **bronze;
	uint32_t count, next;
	struct tn_lake_merge *in;        /* Of the file before next. */
	struct tn_batch_remake m;
	uint64_t highest;                /* LSN, of files that are read. */
	struct change change;            /* Files that are not noted yet. */
	const char *path;                /* For in. */
};

static const struct tn_governance_stream *
table(const struct tn_batch_preparing *x)
{
	return &x->q->streams[x->at];
}

/* ---- what is written -------------------------------------------------- */

static enum tn_status
note(struct tn_batch_preparing *x, uint64_t lsn)
{
	struct tn_catalog_prepared p = { .object = table(x)->id,
	    .version = table(x)->version, .lsn = lsn };
	enum tn_status st = tn_lake_sync(x->b->o.lake, false);

	tn_os_crash_point("prepare_written");
	if (st == TN_OK)
		st = tn_catalog_prepared_note(x->b->o.catalog, &p,
		    x->change.add, x->change.add_count);
	tn_os_crash_point("prepare_noted");
	/* Not known whether it holds: files that are named must be there. */
	if (st == TN_OK || st == TN_ECLOSED) {
		x->files += x->change.add_count;
		x->change.add_count = 0;
	}
	return st;
}

/* The LSN up to which every row was taken; 0: there is a gap. */
static uint64_t
whole_to(const struct tn_batch_preparing *x)
{
	uint64_t lsn = x->m.last > x->highest ? x->m.last : x->highest;
	bool gap = x->next < x->count && x->bronze[x->next]->lsn_min <= lsn;

	/* What is left of the open file comes after its last block. */
	if (x->in != NULL && x->m.last < lsn)
		gap = gap || x->m.last > 0 ||
		    x->bronze[x->next - 1]->lsn_min <= lsn;
	return gap || lsn <= x->m.after ? 0 : lsn;
}

static enum tn_status
write_slice(struct tn_batch_preparing *x)
{
	uint64_t min = x->m.lsn_min, max = x->m.lsn_max;
	struct tn_lake_files files = { 0 };
	enum tn_status st = tn_batch_remake_write(&x->m, &files);

	for (uint32_t i = 0; i < files.count; i++) {
		const struct tn_lake_file *f = &files.files[i];
		if (tn_batch_remake_keeps(x->b, table(x), f->time_max)) {
			tn_batch_change_add(&x->change, TN_TIER_SILVER,
			    table(x)->id, table(x)->version, f, min, max);
			x->made += f->rows;
		} else if (tn_lake_remove(x->b->o.lake, f->path) != TN_OK) {
			tn_say(TN_WARN, "batch", "%s could not be removed; "
			    "the next start does it", f->path);
		}
	}
	tn_lake_files_fini(&files);
	return st;
}

static enum tn_status
slice_full(void *arg)
{
	struct tn_batch_preparing *x = arg;
	enum tn_status st = write_slice(x);

	uint64_t lsn = whole_to(x);

	return st == TN_OK && lsn > 0 ? note(x, lsn) : st;
}

/* ---- the pass --------------------------------------------------------- */

static int
order_lsn(const void *pa, const void *pb)
{
	const struct tn_catalog_file *a = *(const void *const *)pa;
	const struct tn_catalog_file *b = *(const void *const *)pb;

	if (a->lsn_min != b->lsn_min)
		return a->lsn_min < b->lsn_min ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static void
close_pass(struct tn_batch_preparing *x)
{
	tn_lake_merge_close(x->in);
	x->in = NULL;
	tn_free(x->bronze);
	x->bronze = NULL;
	x->count = x->next = 0;
	tn_catalog_snapshot_put(x->base);
	x->base = NULL;
}

/* Bronze that has rows beyond an LSN; and about how many. */
static uint64_t
rows_after(const struct tn_catalog_snapshot *s, uint32_t object,
    uint64_t after)
{
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_BRONZE, object,
	    &first);
	uint64_t rows = 0;

	for (uint32_t i = first; i < first + n; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		uint64_t all = f->lsn_max - f->lsn_min + 1;
		/* Merged files reach far back: as if its rows lay evenly. */
		uint64_t beyond = f->lsn_max <= after ? 0 :
		    f->lsn_min > after ? all : f->lsn_max - after;
		rows += beyond == 0 ? 0 : (uint64_t)((double)f->rows *
		    (double)beyond / (double)all);
	}
	return rows;
}

static void
open_pass(struct tn_batch_preparing *x, uint64_t after)
{
	uint32_t first, n;

	close_pass(x);
	x->base = tn_catalog_snapshot(x->b->o.catalog);
	n = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE, table(x)->id,
	    &first);
	x->bronze = tn_alloc((n + 1ul) * sizeof(void *));
	for (uint32_t i = first; i < first + n; i++)
		if (x->base->files[i].lsn_max > after)
			x->bronze[x->count++] = &x->base->files[i];
	if (x->count > 0)
		qsort(x->bronze, x->count, sizeof(void *), order_lsn);
	x->m.after = after;
	x->m.lsn = x->base->lsn;
	x->m.last = 0;
	x->highest = 0;
	x->passes++;
}

static enum tn_status
open_file(struct tn_batch_preparing *x)
{
	struct tn_lake_merge_opts o = { .paths = &x->path, .count = 1,
	    .schema = &tn_governance_bronze,
	    .piece = { .rows = PIECE_ROWS,
	    .bytes = tn_batch_part(64) == SIZE_MAX ? 0 : tn_batch_part(64) } };

	x->path = x->bronze[x->next++]->path;
	x->m.last = 0;
	return tn_lake_merge_open(x->b->o.lake, &o, &x->in, &x->r->diag);
}

static void
close_file(struct tn_batch_preparing *x)
{
	tn_lake_merge_close(x->in);
	x->in = NULL;
	if (x->m.last > x->highest)
		x->highest = x->m.last;
}

static enum tn_status
take_piece(struct tn_batch_preparing *x)
{
	const struct tn_catalog_file *f = x->bronze[x->next - 1];
	const struct tn_batch *rows = NULL;
	enum tn_status st = tn_lake_merge_next(x->in, &rows, &x->r->diag);

	if (st == TN_END) {
		close_file(x);
		return TN_OK;
	}
	if (st != TN_OK)
		return st;
	x->read += rows->rows;
	x->pace.allowance -= (int64_t)(f->bytes * rows->rows /
	    (f->rows > 0 ? f->rows : 1));
	return tn_batch_remake_rows(&x->m, rows);
}

/* All of the base is taken. *more: cuts have added so much that it is worth
 * another pass. */
static enum tn_status
end_pass(struct tn_batch_preparing *x, bool *more)
{
	uint64_t lsn = x->base->lsn, left;
	enum tn_status st = write_slice(x);

	if (st == TN_OK)
		st = note(x, lsn);
	*more = false;
	if (st != TN_OK || x->last_pass)
		return st;
	open_pass(x, lsn);
	left = rows_after(x->base, table(x)->id, lsn);
	x->last_pass = left <= x->b->o.prepare_rest ||
	    x->passes >= PASSES_MAX;
	x->total += left;
	*more = left > 0;
	return st;
}

/* ---- a table ---------------------------------------------------------- */

static void
forget_work(struct tn_batch_preparing *x)
{
	close_pass(x);
	tn_batch_remake_end(&x->m);
	tn_batch_change_undo(&x->change);
	tn_batch_change_fini(&x->change);
	x->begun = x->last_pass = false;
	x->passes = 0;
}

/* Also once more, after an erasure. */
static enum tn_status
begin_table(struct tn_batch_preparing *x)
{
	const struct tn_governance_stream *s = table(x);
	uint64_t after = 0;
	enum tn_status st = tn_batch_prepared_lsn(x->b, s, &after);

	if (st != TN_OK)
		return st;
	open_pass(x, after);
	if (x->run == 0) {
		x->read = x->made = x->files = 0;
		x->total = rows_after(x->base, s->id, after);
		st = tn_batch_run_begin(x->b, "prepare", x->reason,
		    s->table->name, after, x->base->lsn, &x->run);
		tn_batch_work_begin(x->b, x->run, x->total);
		tn_os_crash_point("prepare_begun");
	}
	tn_batch_change_begin(&x->change, x->b, x->base->lsn, x->run);
	x->m = (struct tn_batch_remake){ .b = x->b, .s = s,
	    .label = x->change.label, .lsn = x->base->lsn, .after = after,
	    .ordered = true, .full = slice_full, .arg = x, .d = &x->r->diag,
	    .slices = x->m.slices };
	tn_batch_remake_begin(&x->m);
	x->begun = true;
	return st;
}

static bool
is_canceled(const struct tn_batch_preparing *x)
{
	return x->r->status == TN_ECLOSED &&
	    strcmp(x->r->diag.code, "canceled") == 0;
}

static void
end_run(struct tn_batch_preparing *x)
{
	struct tn_batch_report *r = x->r;
	char detail[160];
	enum tn_status st;

	if (r->status != TN_OK && r->diag.message[0] == '\0')
		(void)tn_diag_set(&r->diag, r->status, "prepare_failed",
		    "silver of %s could not be prepared: %s",
		    table(x)->table->name, tn_status_text(r->status));
	snprintf(detail, sizeof detail, "%llu rows of silver in %llu files for "
	    "version %u, from %llu rows of bronze",
	    (unsigned long long)x->made, (unsigned long long)x->files,
	    (unsigned)table(x)->version, (unsigned long long)x->read);
	if (x->run == 0)
		return;
	st = tn_catalog_run_end(x->b->o.catalog, x->run, r->status == TN_OK ?
	    TN_RUN_DONE : TN_RUN_FAILED, tn_os_wall_us(), x->made,
	    (uint32_t)x->files, r->status == TN_OK ? detail :
	    r->diag.message);
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)x->run);
	if (r->status == TN_OK)
		tn_buf_printf(&r->text, "%s: silver prepared: %s\n",
		    table(x)->table->name, detail);
	r->run = x->run;
	r->rows += x->made;
	r->files += (uint32_t)x->files;
}

static void
end_table(struct tn_batch_preparing *x)
{
	tn_batch_work_end(x->b);
	forget_work(x);
	end_run(x);
	if (is_canceled(x) && tn_batch_prepared_drop(x->b, NULL, 0) != TN_OK)
		tn_say(TN_WARN, "batch", "what was prepared stays until the "
		    "next start");
	tn_os_crash_point("prepare_ended");
	x->run = 0;
	x->at++;
}

/* True: the table is not done. */
static bool
step_table(struct tn_batch_preparing *x, int64_t until)
{
	bool ticks = __atomic_load_n(&x->b->ticking, __ATOMIC_RELAXED) != 0;
	bool more = true;
	enum tn_status st = x->begun ? TN_OK : begin_table(x);

	while (st == TN_OK && more) {
		if (x->in != NULL)
			st = take_piece(x);
		else if (x->next < x->count)
			st = open_file(x);
		else
			st = end_pass(x, &more);
		tn_batch_work_at(x->b, x->read);
		if (tn_batch_step_over(x->b, until) ||
		    (ticks && x->pace.allowance <= 0))
			break;
	}
	x->r->status = st;
	return st == TN_OK && more;
}

/* ---- all of them ------------------------------------------------------ */

struct tn_batch_preparing *
tn_batch_preparing_new(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *reason,
    struct tn_batch_report *r)
{
	struct tn_batch_preparing *x = tn_zalloc(sizeof *x);

	x->b = b;
	x->q = q->prepare;
	x->reason = reason;
	x->r = r;
	b->preparing = x;
	r->status = tn_batch_prepared_drop(b, x->q->streams, x->q->count);
	return x;
}

/* Tables that were done, while later ones were made: an erasure took what was
 * prepared, or many rows came. */
static void
look_again(struct tn_batch_preparing *x)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    x->b->o.catalog);

	for (uint32_t i = 0; i < x->q->count && x->at == x->q->count; i++) {
		const struct tn_governance_stream *t = &x->q->streams[i];
		uint64_t lsn = 0;
		if (tn_batch_prepared_lsn(x->b, t, &lsn) == TN_OK &&
		    rows_after(s, t->id, lsn) > x->b->o.prepare_rest)
			x->at = i;
	}
	tn_catalog_snapshot_put(s);
}

static bool
step(struct tn_batch_preparing *x, bool ticks)
{
	struct tn_batch_report *r = x->r;

	if (r->status == TN_OK)
		r->status = tn_batch_stopping(x->b, &r->diag);
	if (r->status != TN_OK || x->at == x->q->count)
		return false;
	if (ticks && tn_budget_level() != TN_BUDGET_CALM)
		return true;
	if (step_table(x, tn_batch_step_until(x->calm_us)))
		return true;
	end_table(x);
	/* After some rounds the start makes what is left. */
	if (r->status == TN_OK && x->at == x->q->count && x->q->count > 1 &&
	    x->rounds++ < ROUNDS_MAX)
		look_again(x);
	return r->status == TN_OK && x->at < x->q->count;
}

bool
tn_batch_preparing_step(struct tn_batch_preparing *x, bool *rest)
{
	bool ticks = __atomic_load_n(&x->b->ticking, __ATOMIC_RELAXED) != 0;
	int64_t began = tn_os_mono_us(), now;
	bool more;

	*rest = ticks;
	if (began < x->calm_us && tn_batch_stopping(x->b, NULL) == TN_OK)
		return true;
	tn_batch_pace_refill(&x->pace, x->b, x->b->o.prepare_rate);
	more = step(x, ticks);
	now = tn_os_mono_us();
	x->calm_us = now + (ticks ? now - began : 0);
	return more;
}

void
tn_batch_preparing_free(struct tn_batch_preparing *x)
{
	if (x->begun || x->run != 0) {   /* The program stops; canceled. */
		if (x->r->status == TN_OK)
			x->r->status = TN_ECLOSED;
		end_table(x);
	}
	x->b->preparing = NULL;
	tn_free(x);
}

enum tn_status
tn_batch_preparing_renew(struct tn_batch_jobs *b, uint32_t object)
{
	struct tn_batch_preparing *x = b->preparing;

	if (x != NULL && x->begun && table(x)->id == object)
		forget_work(x);
	return tn_batch_prepared_drop_one(b, object);
}

/* ---- rest ------------------------------------------------------------- */

bool
tn_batch_preparing_rests(struct tn_batch_jobs *b, struct tn_net_job *step)
{
	bool rests;

	tn_net_lock_take(b->lock);
	rests = __atomic_load_n(&b->stopping, __ATOMIC_RELAXED) == 0 &&
	    __atomic_load_n(&b->work.paused, __ATOMIC_RELAXED) == 0;
	if (rests)
		b->resting = step;
	tn_net_lock_drop(b->lock);
	return rests;
}

void
tn_batch_preparing_wake(struct tn_batch_jobs *b)
{
	struct tn_net_job *step;

	tn_net_lock_take(b->lock);
	step = b->resting;
	b->resting = NULL;
	/* Stop wakes it before the actor ends. */
	if (step != NULL)
		(void)tn_net_actor_post_internal(b->actor, step);
	tn_net_lock_drop(b->lock);
}

/* Erasure: rows of a stream leave every tier, for good (DELETE FROM stream WHERE
 * ...). One job:
 *
 *   log      its segment ends: rows up to L are those that were there
 *   cut      they are in files, and the log gives the segments back
 *   rewrite  bronze and silver files that have such rows (erase_rows.c), cuts in
 *            between; what cuts add is beyond L
 *   gold     of the time buckets that lost rows, anew from what is left
 *   publish  all of it in one change, with the note that what follows is due
 *   forget   every older snapshot, corrections of the views, old files and what
 *            Iceberg and Delta metadata say of them
 *
 * What is prepared of the stream's next definition has the rows, too: it goes
 * before, and begins anew (prepare.c). Compaction waits, and a round under way is
 * given up: its files would have the rows. Recomputes stand in line (batch.c);
 * an apply whose states were begun before is refused (apply.c).
 *
 * A failure before the publication leaves everything as it was, as a crash does:
 * the rows are there. After it the rows are gone; what is not forgotten yet is
 * noted in the catalog ("erase_pending") and done at the next start before
 * anybody reads, or before the next erasure. Old files that a reader holds, or
 * that cannot be removed, go with a later cut, as always. Of views whose numbers
 * count rows that retention has taken those numbers stay, which is said. */
#include "batch/erase_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define PENDING "erase_pending"
#define PASSES_MAX 1000

/* ---- afterwards ------------------------------------------------------ */

/* The stream that is noted; 0: none. */
static uint32_t
pending(struct tn_batch_jobs *b, enum tn_status *st)
{
	struct tn_arena *a = tn_arena_new(256);
	const char *text = NULL;
	uint32_t id = 0;

	*st = tn_catalog_get(b->o.catalog, PENDING, a, &text);
	if (*st == TN_OK)
		id = (uint32_t)strtoul(text, NULL, 10);
	if (*st == TN_ENOTFOUND)
		*st = TN_OK;
	tn_arena_free(a);
	return id;
}

static enum tn_status
forget_corrections(struct tn_batch_jobs *b, uint32_t stream)
{
	const struct tn_serving_model *m = b->o.model;
	uint32_t *views = tn_alloc((m->view_count + 1ul) * sizeof *views);
	uint32_t n = 0;
	enum tn_status st;

	for (uint32_t i = 0; i < m->view_count; i++)
		if (m->streams[m->views[i].stream].id == stream)
			views[n++] = m->views[i].id;
	st = tn_catalog_corrections_forget(b->o.catalog, views, n);
	tn_free(views);
	return st;
}

/* A pass takes so many; those that stay are counted and said there. */
static void
collect_all(struct tn_batch_jobs *b)
{
	struct tn_catalog_old old = { INT64_MIN, 0, NULL };
	uint32_t before = UINT32_MAX;

	b->collect_skip = 0;
	for (int i = 0; i < PASSES_MAX; i++) {
		struct tn_arena *a = tn_arena_new(4096);
		struct tn_batch_collected sum = { .st = TN_OK };
		struct tn_catalog_file *files = NULL;
		uint32_t count = 0;
		enum tn_status st = tn_catalog_garbage(b->o.catalog, &old, a,
		    &files, &count);
		tn_arena_free(a);
		if (st != TN_OK || count == 0 ||
		    (count >= before && count < TN_CATALOG_GARBAGE))
			return;
		before = count;
		tn_batch_collect(b, &sum);
	}
}

enum tn_status
tn_batch_erase_resume(struct tn_batch_jobs *b)
{
	enum tn_status st;
	uint32_t stream = pending(b, &st);

	if (st != TN_OK || stream == 0)
		return st;
	/* All but the newest, held by a clock that leapt or not. */
	st = tn_catalog_expire(b->o.catalog, INT64_MAX, 0, NULL);
	tn_os_crash_point("erase_expired");
	if (st == TN_OK)
		st = forget_corrections(b, stream);
	tn_os_crash_point("erase_forgotten");
	if (st == TN_OK)
		collect_all(b);
	tn_os_crash_point("erase_collected");
	return st;
}

/* The note goes with a publication of its own: answers about the past that were
 * made of older snapshots, while those were there, are in no cache after it. */
static enum tn_status
clear_note(struct tn_batch_jobs *b)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_catalog_value v = { PENDING, NULL };
	struct change c;
	enum tn_status st;

	tn_batch_change_begin(&c, b, now->lsn, 0);
	c.same_rows = true;
	c.values = &v;
	c.value_count = 1;
	st = tn_batch_change_publish(&c, now->lsn, NULL, 0, NULL);
	tn_batch_change_fini(&c);
	tn_catalog_snapshot_put(now);
	return st;
}

enum tn_status
tn_batch_erase_finish(struct tn_batch_jobs *b)
{
	enum tn_status st;
	uint32_t stream = pending(b, &st);

	if (st == TN_OK && stream != 0) {
		tn_batch_tables_renew(b, stream);
		tn_os_crash_point("erase_renewed");
		st = clear_note(b);
	}
	b->unforgotten = st != TN_OK;
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "that an erasure is finished could "
		    "not be written down: the next cut does it again");
	return st;
}

enum tn_status
tn_batch_erase_settle(struct tn_batch_jobs *b)
{
	enum tn_status st;

	if (!b->unforgotten)
		return TN_OK;
	st = tn_batch_erase_resume(b);
	if (st == TN_OK)
		return tn_batch_erase_finish(b);
	tn_say(TN_WARN, "batch", "what older snapshots have of erased rows "
	    "could not be forgotten; the next cut tries again");
	return st;
}

/* ---- the log --------------------------------------------------------- */

/* What was there when the statement began is in files, and nowhere else. */
static enum tn_status
settle_log(struct erase *e)
{
	struct tn_batch_jobs *b = e->b;
	struct tn_batch_report cut = { .status = TN_OK };
	enum tn_status st = TN_OK;

	e->lsn = tn_log_last(b->o.log);
	if (b->o.roll != NULL)
		st = b->o.roll(b->o.arg, &e->lsn);
	tn_os_crash_point("erase_rolled");
	if (st != TN_OK)
		return st;
	tn_batch_take_cut(b, "erase", &cut);
	tn_buf_fini(&cut.text);
	if (cut.status != TN_OK) {
		e->r->diag = cut.diag;
		return cut.status;
	}
	tn_os_crash_point("erase_cut");
	e->base = tn_catalog_snapshot(b->o.catalog);
	if (e->base->lsn < e->lsn)
		return tn_diag_set(&e->r->diag, TN_ECONFLICT, "not_cut",
		    "the cut before it ended at LSN %llu, not at %llu",
		    (unsigned long long)e->base->lsn,
		    (unsigned long long)e->lsn);
	if (b->o.trimmed == NULL || b->o.trimmed(b->o.arg, e->lsn))
		return TN_OK;
	tn_diag_hint(&e->r->diag, "a backup keeps them while it runs; "
	    "ask again when it is done");
	return tn_diag_set(&e->r->diag, TN_ECONFLICT, "log_kept",
	    "segments of the log that have such rows cannot be removed now");
}

/* ---- files ----------------------------------------------------------- */

static enum tn_status
rewrite(struct erase *e, enum tn_catalog_tier tier)
{
	uint32_t first, n = tn_catalog_snapshot_find(e->base, tier, e->s->id,
	    &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++)
		st = tn_batch_erase_file(e, &e->base->files[i]);
	return st;
}

/* ---- gold ------------------------------------------------------------ */

static bool
is_dropped(const struct change *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->drop_count; i++)
		if (c->drop[i] == id)
			return true;
	return false;
}

/* What is in force, as it will be: for those who read it here. */
static struct tn_catalog_snapshot
next_of(const struct erase *e, const struct tn_catalog_snapshot *now,
    struct tn_catalog_file **files)
{
	struct tn_catalog_snapshot next = *now;
	uint32_t n = 0;

	*files = tn_alloc(((size_t)now->count + e->change.add_count + 1) *
	    sizeof **files);
	for (uint32_t i = 0; i < now->count; i++)
		if (!is_dropped(&e->change, now->files[i].id))
			(*files)[n++] = now->files[i];
	for (uint32_t i = 0; i < e->change.add_count; i++)
		(*files)[n++] = e->change.add[i];
	qsort(*files, n, sizeof **files, tn_catalog_file_order);
	next.files = *files;
	next.count = n;
	return next;
}

static enum tn_status
make_gold(struct erase *e, const struct tn_catalog_snapshot *now)
{
	const struct tn_serving_model *m = e->b->o.model;
	struct tn_catalog_file *files;
	struct tn_catalog_snapshot next = next_of(e, now, &files);
	enum tn_status st = TN_OK;

	e->change.silver = now;
	for (uint32_t i = 0; st == TN_OK && i < m->view_count; i++) {
		struct tn_batch_anew n = { .view = &m->views[i],
		    .base = &next, .from_us = e->from_us,
		    .to_us = e->to_us };
		uint32_t before = e->change.add_count;
		if (&m->streams[m->views[i].stream] != e->s ||
		    !tn_serving_view_live(m, i))
			continue;
		st = tn_batch_recompute_into(&e->change, &n, e->r);
		if (st == TN_OK && n.left)
			tn_buf_printf(&e->r->text, "; %s keeps its numbers: "
			    "retention has taken rows that they count",
			    n.view->def->name);
		else if (st == TN_OK)
			tn_buf_printf(&e->r->text, "; %s: %llu rows anew into "
			    "%u files", n.view->def->name,
			    (unsigned long long)n.rows,
			    (unsigned)(e->change.add_count - before));
		tn_os_crash_point("erase_gold");
	}
	tn_free(files);
	return st;
}

/* ---- the whole ------------------------------------------------------- */

/* The paths of what is dropped. */
static void
note_old(struct erase *e, const struct tn_catalog_snapshot *now)
{
	uint32_t n = 0;

	e->old = tn_zalloc((e->change.drop_count + 1ul) * sizeof *e->old);
	for (uint32_t i = 0; i < now->count; i++)
		if (is_dropped(&e->change, now->files[i].id))
			memcpy(e->old[n++], now->files[i].path,
			    sizeof *e->old);
	e->old_count = n;
}

static enum tn_status
publish(struct erase *e, const struct tn_catalog_snapshot *now)
{
	char id[16], detail[200];
	struct tn_catalog_value v = { PENDING, id };
	enum tn_status st;

	snprintf(id, sizeof id, "%u", (unsigned)e->s->id);
	snprintf(detail, sizeof detail, "%llu rows of %s erased, %llu "
	    "quarantined, %llu duplicates; %u files became %u",
	    (unsigned long long)e->rows, e->s->table->name,
	    (unsigned long long)e->by_mark[TN_MARK_QUARANTINED],
	    (unsigned long long)e->by_mark[TN_MARK_DUPLICATE],
	    (unsigned)e->change.drop_count, (unsigned)e->change.add_count);
	e->change.values = &v;
	e->change.value_count = 1;
	e->change.replaces = true;
	e->change.rows = e->rows;
	note_old(e, now);
	/* An apply that began before, or has read the files of before until
	 * now, is refused. */
	__atomic_add_fetch(&e->b->erasures, 1, __ATOMIC_RELEASE);
	st = tn_batch_change_publish(&e->change, now->lsn, NULL, 0, detail);
	__atomic_add_fetch(&e->b->erasures, 1, __ATOMIC_RELEASE);
	return st;
}

/* Everything up to the publication; *any: there was something to erase. */
static enum tn_status
erase(struct erase *e, bool *any)
{
	const struct tn_catalog_snapshot *now = NULL;
	enum tn_status st = tn_batch_erase_rows_begin(e);

	if (st == TN_OK)
		st = settle_log(e);
	if (st == TN_OK)
		st = tn_batch_preparing_renew(e->b, e->s->id);
	tn_os_crash_point("erase_unprepared");
	if (st == TN_OK && e->q->by_arrival)
		st = tn_batch_erase_keys(e);
	if (st == TN_OK)
		st = rewrite(e, TN_TIER_BRONZE);
	if (st == TN_OK)
		st = rewrite(e, TN_TIER_SILVER);
	*any = e->change.drop_count > 0;
	if (st == TN_OK && *any) {
		now = tn_catalog_snapshot(e->b->o.catalog);
		st = e->rows > 0 ? make_gold(e, now) : TN_OK;
		if (st == TN_OK)
			st = publish(e, now);
		else
			tn_batch_change_undo(&e->change);
		e->change.silver = NULL;
		tn_catalog_snapshot_put(now);
	} else {
		tn_batch_change_undo(&e->change);
	}
	tn_catalog_snapshot_put(e->base);
	e->base = NULL;
	return st;
}

/* Files that somebody still reads. */
static uint32_t
count_left(const struct erase *e)
{
	struct tn_catalog_file f;
	uint32_t left = 0;

	for (uint32_t i = 0; i < e->old_count; i++)
		left += tn_catalog_file_named(e->b->o.catalog, e->old[i],
		    &f) == TN_OK;
	return left;
}

/* The rows are gone; now what tells of them. */
static enum tn_status
forget(struct erase *e)
{
	enum tn_status st;
	uint32_t left;

	tn_serving_live_renew(e->b->o.serving);
	e->b->unforgotten = true;
	st = tn_batch_erase_settle(e->b);
	if (st != TN_OK)
		return tn_diag_set(&e->r->diag, st, "erase_unfinished",
		    "the rows are erased, but what older snapshots have of them "
		    "could not be forgotten (%s): the next cut, erasure or "
		    "start does it", tn_status_text(st));
	left = count_left(e);
	if (left > 0)
		tn_buf_printf(&e->r->text, "; %u old files go when their "
		    "readers end", (unsigned)left);
	return TN_OK;
}

static enum tn_status
end_empty(struct erase *e)
{
	return tn_catalog_run_end(e->b->o.catalog, e->r->run, TN_RUN_DONE,
	    tn_os_wall_us(), 0, 0, "no row is like that");
}

static void
say_done(struct erase *e)
{
	struct tn_batch_report *r = e->r;
	struct tn_buf more = r->text;

	memset(&r->text, 0, sizeof r->text);
	if (e->failed > 0)
		tn_buf_printf(&more, "; %llu rows stay, as the condition fails "
		    "for them: %s", (unsigned long long)e->failed, e->why);
	tn_buf_printf(&r->text, "%llu rows of %s erased, %llu quarantined and "
	    "%llu duplicates with them; %u files became %u%.*s\n",
	    (unsigned long long)e->rows, e->s->table->name,
	    (unsigned long long)e->by_mark[TN_MARK_QUARANTINED],
	    (unsigned long long)e->by_mark[TN_MARK_DUPLICATE],
	    (unsigned)e->change.drop_count, (unsigned)e->change.add_count,
	    (int)more.n, more.n > 0 ? (const char *)more.p : "");
	tn_buf_fini(&more);
	r->rows = e->rows;
	r->files = e->change.add_count;
	tn_say(TN_INFO, "batch", "run %llu: %.*s", (unsigned long long)r->run,
	    (int)r->text.n - 1, tn_buf_cstr(&r->text));
}

static void
say_failed(struct erase *e, bool published)
{
	struct tn_batch_report *r = e->r;

	if (r->diag.message[0] == '\0')
		(void)tn_diag_set(&r->diag, r->status, "erase_failed", "rows "
		    "of %s could not be erased: %s", e->s->table->name,
		    tn_status_text(r->status));
	tn_say(TN_WARN, "batch", "run %llu: %s", (unsigned long long)r->run,
	    r->diag.message);
	if (!published && r->run != 0 && tn_catalog_run_end(
	    e->b->o.catalog, r->run, TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)r->run);
}

static void
run(struct erase *e, const char *reason)
{
	struct tn_batch_jobs *b = e->b;
	struct tn_batch_report *r = e->r;
	bool any = false, published = false;

	tn_batch_compaction_stop(b, "rows are erased first");
	r->status = tn_batch_erase_settle(b);    /* One before. */
	e->lsn = tn_log_last(b->o.log);
	if (r->status == TN_OK)
		r->status = tn_batch_run_begin(b, "erase", reason,
		    e->s->table->name, 0, e->lsn, &r->run);
	tn_batch_change_begin(&e->change, b, e->lsn, r->run);
	if (r->status == TN_OK)
		r->status = erase(e, &any);
	tn_batch_erase_rows_end(e);
	published = r->status == TN_OK && any;
	tn_os_crash_point("erase_published");
	if (r->status == TN_OK)
		r->status = any ? forget(e) : end_empty(e);
	r->lsn = e->lsn;
	if (r->status == TN_OK)
		say_done(e);
	else
		say_failed(e, published);
	tn_batch_change_fini(&e->change);
	tn_free(e->old);
}

void
tn_batch_erase(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    struct tn_batch_report *r)
{
	int stream = tn_serving_stream_find(b->o.model, tn_slice_of(q->view));
	struct erase *e;

	if (stream < 0) {
		tn_diag_hint(&r->diag, "GET /api/v1/streams lists them");
		r->status = tn_diag_set(&r->diag, TN_ENOTFOUND,
		    "unknown_stream", "there is no stream \"%.63s\"", q->view);
		return;
	}
	e = tn_zalloc(sizeof *e);
	e->b = b;
	e->q = q->erase;
	e->r = r;
	e->s = &b->o.model->streams[stream];
	e->from_us = INT64_MAX;
	e->to_us = INT64_MIN;
	b->erasing = true;
	run(e, q->reason);
	b->erasing = false;
	tn_free(e);
}

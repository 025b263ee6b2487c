/* At the start: silver of a table whose definition changed is made anew from
 * bronze, so that generated columns, defaults and types of old rows are those
 * of the definition in force; and gold of views that the configuration does
 * not name any more is dropped.
 *
 *   what was prepared while the old definition served (prepare.c, adopt.c),
 *   and of bronze files the rows beyond it -> silver by day, in slices
 *   (remake.c), but not of days that retention has taken
 *   -> one publication at the cut in force: old files out, new ones in
 *
 * Runs on the main thread before the loop, before the log is replayed and
 * before views are computed: it needs no states, and they need it. A failure
 * refuses the start and leaves the old files in force. */
#include "batch/prepare_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

struct rebuild {
	struct tn_batch_jobs *b;
	const struct tn_governance_stream *s;
	const struct tn_catalog_snapshot *base;
	struct tn_batch_adopted adopted;
	struct tn_batch_remake m;
	struct change change;
	struct tn_diag *d;
};

/* Bronze may be kept longer than silver: days that retention has taken stay
 * away, as the next cut would take them again. */
static void
keep_file(struct rebuild *x, const struct tn_lake_file *f)
{
	if (tn_batch_remake_keeps(x->b, x->s, f->time_max)) {
		tn_batch_change_add(&x->change, TN_TIER_SILVER, x->s->id,
		    x->s->version, f, x->m.after + 1, x->base->lsn);
		x->change.rows += f->rows;
		return;
	}
	if (tn_lake_remove(x->b->o.lake, f->path) != TN_OK)
		tn_say(TN_WARN, "batch", "%s could not be removed; the next "
		    "start does it", f->path);
}

static enum tn_status
write_slice(void *arg)
{
	struct rebuild *x = arg;
	struct tn_lake_files files = { 0 };
	enum tn_status st = tn_batch_remake_write(&x->m, &files);

	for (uint32_t i = 0; i < files.count; i++)
		keep_file(x, &files.files[i]);
	tn_lake_files_fini(&files);
	return st;
}

static enum tn_status
take_bronze(void *arg, struct tn_batch *b)
{
	return tn_batch_remake_rows(arg, b);
}

static enum tn_status
write_all(struct rebuild *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE,
	    x->s->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_lake_read r = { .path = x->base->files[i].path,
		    .schema = &tn_governance_bronze,
		    .keep_dictionary = true, .each = take_bronze,
		    .arg = &x->m };
		if (x->base->files[i].lsn_max > x->m.after)
			st = tn_lake_read(x->b->o.lake, &r, x->d);
	}
	return st == TN_OK ? write_slice(x) : st;
}

static enum tn_status
publish(struct rebuild *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_SILVER,
	    x->s->id, &first);
	char detail[160];

	for (uint32_t i = first; i < first + n; i++)
		tn_batch_change_drop(&x->change, x->base->files[i].id);
	snprintf(detail, sizeof detail, "%llu rows of %s from bronze, version "
	    "%u; %llu of them were prepared",
	    (unsigned long long)x->change.rows, x->s->table->name,
	    (unsigned)x->s->version, (unsigned long long)x->adopted.rows);
	tn_os_crash_point("adopt_before");
	return tn_batch_change_publish(&x->change, x->base->lsn, NULL, 0,
	    detail);
}

static enum tn_status
make_silver(struct rebuild *x)
{
	enum tn_status st = tn_batch_adopt(&x->change, x->s, &x->adopted,
	    &x->m.after);

	x->m.b = x->b;
	x->m.s = x->s;
	x->m.label = x->change.label;
	x->m.lsn = x->base->lsn;
	x->m.full = write_slice;
	x->m.arg = x;
	x->m.d = x->d;
	tn_batch_remake_begin(&x->m);
	if (st == TN_OK)
		st = write_all(x);
	tn_batch_remake_end(&x->m);
	return st;
}

static void
say_failed(struct rebuild *x, enum tn_status st, uint64_t run)
{
	const char *name = x->s->table->name;

	if (x->d->message[0] == '\0')
		tn_diag_set(x->d, st, "rebuild_failed", "silver of %s could "
		    "not be made anew from bronze: %s", name,
		    tn_status_text(st));
	/* Its silver of before is whole. */
	if (st == TN_ECORRUPT && x->d->hint[0] == '\0')
		tn_diag_hint(x->d, "the definition of %s changed, and its "
		    "rows are made anew from bronze: put that file back from a "
		    "backup, or go back to the definition before, with which "
		    "Tarn starts", name);
	if (run != 0 && tn_catalog_run_end(x->b->o.catalog, run,
	    TN_RUN_FAILED, tn_os_wall_us(), 0, 0, x->d->message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)run);
}

static enum tn_status
rebuild_one(struct rebuild *x)
{
	uint64_t run = 0;
	enum tn_status st = tn_batch_run_begin(x->b, "recompute",
	    "definition", x->s->table->name, 0, x->base->lsn, &run);

	tn_say(TN_INFO, "batch", "the definition of %s changed: its silver "
	    "files are made anew from bronze", x->s->table->name);
	tn_batch_change_begin(&x->change, x->b, x->base->lsn, run);
	if (st == TN_OK)
		st = make_silver(x);
	if (st == TN_OK)
		st = publish(x);
	else
		tn_batch_change_undo(&x->change);
	tn_batch_adopted_end(&x->change, x->s, &x->adopted, st == TN_OK);
	tn_os_crash_point("adopt_after");
	if (st != TN_OK)
		say_failed(x, st, run);
	tn_batch_change_fini(&x->change);
	return st;
}

static bool
is_outdated(const struct tn_catalog_snapshot *base,
    const struct tn_governance_stream *s)
{
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_SILVER,
	    s->id, &first);

	for (uint32_t i = first; i < first + n; i++)
		if (base->files[i].version != s->version)
			return true;
	return false;
}

/* ---- views that are gone --------------------------------------------- */

static bool
is_view(const struct tn_serving_model *m, uint32_t id)
{
	for (uint32_t v = 0; v < m->view_count; v++)
		if (m->views[v].id == id)
			return true;
	return false;
}

/* Cuts do not carry them on: should they come back, they are new. Said before
 * the first cut without them. */
static enum tn_status
forget_views(struct tn_batch_jobs *b)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_name *names = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_names(b->o.catalog, a, &names, &count);

	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		char key[40];
		snprintf(key, sizeof key, "computed:%u",
		    (unsigned)names[i].id);
		if (names[i].kind == TN_CATALOG_VIEW &&
		    !is_view(b->o.model, names[i].id))
			st = tn_catalog_set(b->o.catalog, key, NULL);
		snprintf(key, sizeof key, TN_SERVING_WHOLE,
		    (unsigned)names[i].id);
		if (st == TN_OK && names[i].kind == TN_CATALOG_VIEW &&
		    !is_view(b->o.model, names[i].id))
			st = tn_catalog_set(b->o.catalog, key, NULL);
	}
	tn_arena_free(a);
	return st;
}

static enum tn_status
drop_gold(struct tn_batch_jobs *b)
{
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot(
	    b->o.catalog);
	struct change c;
	enum tn_status st = TN_OK;

	tn_batch_change_begin(&c, b, base->lsn, 0);
	for (uint32_t i = 0; i < base->count; i++)
		if (base->files[i].tier == TN_TIER_GOLD &&
		    !is_view(b->o.model, base->files[i].object))
			tn_batch_change_drop(&c, base->files[i].id);
	if (c.drop_count > 0)
		st = tn_batch_change_publish(&c, base->lsn, NULL, 0, NULL);
	tn_batch_change_fini(&c);
	tn_catalog_snapshot_put(base);
	return st;
}

enum tn_status
tn_batch_rebuild(struct tn_batch_jobs *b, struct tn_diag *d)
{
	const struct tn_serving_model *m = b->o.model;
	enum tn_status st = tn_batch_erase_resume(b);

	if (st == TN_OK)
		st = forget_views(b);
	if (st == TN_OK)
		st = drop_gold(b);
	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++) {
		struct rebuild x = { .b = b, .s = &m->streams[i], .d = d };
		x.base = tn_catalog_snapshot(b->o.catalog);
		if (is_outdated(x.base, x.s))
			st = rebuild_one(&x);
		tn_catalog_snapshot_put(x.base);
	}
	/* Of definitions that this start does not have. */
	return st == TN_OK ? tn_batch_prepared_drop(b, NULL, 0) : st;
}

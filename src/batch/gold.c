/* Gold files: for each touched partition of a view, the old states merged
 * with the new ones, written whole beside their finished results. A partition
 * is a day or a month of the view's time bucket, so a cut rewrites what it
 * touched and no more.
 *
 * Groups that outgrew holistic_state_bytes are published with the answer that
 * their rows give: silver as it was and as this change adds to it. Where that
 * does not work (one group is too large, a file is damaged) the column is
 * null, the state says that its answer is not known, and readers of the view
 * are told why; a cut does not fail for it. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

struct writing {
	struct change *c;
	const struct tn_serving_view *v;
	const struct tn_catalog_snapshot *base;
	uint64_t lsn;
	struct tn_diag *d;
	enum tn_status st;
	struct tn_batch_before *before;  /* Of the part; owned. */
};

/* The file of a partition in force, or NULL. */
static const struct tn_catalog_file *
old_file(const struct writing *w, const char *label)
{
	uint32_t first, n;

	if (w->base == NULL)
		return NULL;
	n = tn_catalog_snapshot_find(w->base, TN_TIER_GOLD, w->v->id, &first);
	for (uint32_t i = first; i < first + n; i++)
		if (w->base->files[i].version == w->v->version &&
		    strcmp(w->base->files[i].partition, label) == 0)
			return &w->base->files[i];
	return NULL;
}

static enum tn_status
add_old(struct writing *w, const struct tn_catalog_file *old,
    struct tn_exec_fold *part)
{
	struct tn_serving_gold *g = NULL;
	enum tn_status st = tn_serving_gold_get(w->c->b->o.serving, w->v,
	    old, &g, w->d);

	if (st == TN_OK)
		st = tn_batch_gold_room(w->c->b, tn_exec_fold_bytes(g->fold),
		    w->d);
	if (st != TN_OK) {
		tn_serving_gold_put(w->c->b->o.serving, g);
		return st;
	}
	w->before = tn_batch_before_cut(w->v, g->fold, part, w->base->cut_us);
	tn_exec_fold_merge(part, g->fold);
	tn_serving_gold_put(w->c->b->o.serving, g);
	tn_batch_change_drop(w->c, old->id);
	return TN_OK;
}

static enum tn_status
go_on(const void *arg, struct tn_diag *d)
{
	return tn_batch_stopping(arg, d);
}

/* What stays unknown is counted, and said once. */
static void
say_unknown(const struct writing *w, const struct tn_exec_fold *part,
    const struct tn_diag *d)
{
	struct tn_batch_jobs *b = w->c->b;
	uint8_t *said = &b->said_unknown[w->v - b->o.model->views];
	char labels[128];

	snprintf(labels, sizeof labels, "view=\"%s\"", w->v->def->name);
	tn_counter_add(tn_counter_get(TN_COUNTER,
	    "tarn_view_unpublished_groups_total", labels,
	    "Groups published with null because their exact answer could not "
	    "be found."), tn_exec_fold_unknown(part));
	if (*said == 0)
		tn_say(TN_WARN, "batch", "view %s is published with null in "
		    "some rows: %s", w->v->def->name, d->message);
	*said = 1;
}

static enum tn_status
settle_part(struct writing *w, struct tn_exec_fold *part)
{
	const struct change *c = w->c;
	struct tn_diag d = { .line = 0 };
	struct tn_serving_settle s = { .view = w->v, .base = c->silver,
	    .more = c->add, .more_count = c->add_count, .drop = c->drop,
	    .drop_count = c->drop_count, .refs = c->refs,
	    .memory = TN_BUDGET_CUTS, .go_on = go_on, .arg = c->b };
	enum tn_status st = tn_serving_settle(c->b->o.serving, &s, part, &d);

	if (st == TN_ECLOSED && w->base == NULL) {
		*w->d = d;               /* A recompute can wait. */
		return st;
	}
	if (st != TN_OK && st != TN_ECLOSED)
		say_unknown(w, part, &d);
	return TN_OK;
}

static int
bucket_column(const struct tn_serving_view *v, const struct tn_schema *s)
{
	char name[24];

	if (v->def->select->bucket_group < 0)
		return -1;
	snprintf(name, sizeof name, "_k%d", v->def->select->bucket_group);
	return tn_record_schema_find(s, tn_slice_of(name));
}

static void
write_part(void *arg, const char *label, struct tn_exec_fold *part)
{
	struct writing *w = arg;
	const struct tn_catalog_file *old = old_file(w, label);
	struct tn_parquet_write_opts po = {
	    .zstd_level = w->c->b->o.zstd_level,
	    .group_bytes = tn_batch_group_bytes() };
	struct tn_lake_write put = { .tier = "gold",
	    .table = w->v->def->name, .label = w->c->label, .parquet = &po,
	    .version = w->v->version, .lsn = w->lsn };
	struct tn_lake_file f;
	struct tn_batch *b = NULL;
	char partition[40];

	if (w->st == TN_OK && old != NULL)
		w->st = add_old(w, old, part);
	if (w->st == TN_OK)
		w->st = settle_part(w, part);
	if (w->st == TN_OK) {
		tn_batch_gold_wrote(w->c->b, tn_exec_fold_bytes(part));
		b = tn_exec_fold_save(part);
		w->st = b == NULL ? TN_ENOMEM : TN_OK;
	}
	if (w->st == TN_OK) {
		tn_batch_compare(w->c, old != NULL ? w->before :
		    w->c->before, b);
		snprintf(partition, sizeof partition, "%s=%.23s",
		    w->v->def->select->bucket_group < 0 ? "part" :
		    w->v->by_month ? "month" : "date", label);
		put.partition = partition;
		put.time_column = bucket_column(w->v, b->schema);
		w->st = tn_lake_put(w->c->b->o.lake, &put, &b, 1, &f);
	}
	if (w->st == TN_OK)
		tn_batch_change_add(w->c, TN_TIER_GOLD, w->v->id,
		    w->v->version, &f, 0, w->lsn);
	tn_os_crash_point("cut_gold");
	tn_record_batch_unref(b);
	tn_batch_before_free(w->before);
	w->before = NULL;
	tn_exec_fold_free(part);
}

enum tn_status
tn_batch_gold(struct change *c, const struct tn_serving_view *v,
    struct tn_exec_fold *delta, const struct tn_catalog_snapshot *base,
    uint64_t lsn, struct tn_diag *d)
{
	struct writing w = { c, v, base, lsn, d, TN_OK, NULL };

	if (tn_exec_fold_groups(delta) > 0)
		tn_exec_fold_split(delta, v->by_month, write_part, &w);
	tn_exec_fold_free(delta);
	return w.st;
}

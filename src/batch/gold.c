/* Gold files: for each touched partition of a view, the old states merged
 * with the new ones, written whole beside their finished results. A partition
 * is a day or a month of the view's time bucket, so a cut rewrites what it
 * touched and no more. */
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

	if (st != TN_OK)
		return st;
	tn_exec_fold_merge(part, g->fold);
	tn_serving_gold_put(w->c->b->o.serving, g);
	tn_batch_change_drop(w->c, old->id);
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
	    .zstd_level = w->c->b->o.zstd_level };
	struct tn_lake_write put = { .tier = "gold",
	    .table = w->v->def->name, .label = w->c->label, .parquet = &po,
	    .version = w->v->version, .lsn = w->lsn };
	struct tn_lake_file f;
	struct tn_batch *b = NULL;
	char partition[40];

	if (w->st == TN_OK && old != NULL)
		w->st = add_old(w, old, part);
	if (w->st == TN_OK) {
		b = tn_exec_fold_save(part);
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
	tn_exec_fold_free(part);
}

enum tn_status
tn_batch_gold(struct change *c, const struct tn_serving_view *v,
    struct tn_exec_fold *delta, const struct tn_catalog_snapshot *base,
    uint64_t lsn, struct tn_diag *d)
{
	struct writing w = { c, v, base, lsn, d, TN_OK };

	if (tn_exec_fold_groups(delta) > 0)
		tn_exec_fold_split(delta, v->by_month, write_part, &w);
	tn_exec_fold_free(delta);
	return w.st;
}

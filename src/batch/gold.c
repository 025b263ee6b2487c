/* Gold files: for each touched partition of a view, the old states merged
 * with the new ones, written whole beside their finished results. A partition
 * is a day or a month of the view's time bucket, so a cut rewrites what it
 * touched and no more.
 *
 * A partition whose states are more than SLICE_PARTS of the memory budget is
 * several files, each a slice of the groups by a hash of their keys; its name
 * says which: <label>-s3of8.parquet has the groups whose hash modulo 8 is 3. A
 * name without it is 0 of 1.
 *
 *   read    a group stands in the file with the largest count that its hash
 *           fits; one that fits none goes to a new file 0 of 1
 *   write   one slice at a time: its old states, its new ones, one file. Where
 *           they are too many it is done in 2, 4, ... slices of itself, each
 *           read from the same old file; empty ones are not written
 *
 * Hence a split never takes a group away from another file: what a narrower
 * file of another one has is in none of its slices. Files whose groups were
 * not touched stay. Slices are joined again by a recompute.
 *
 * Groups that outgrew holistic_state_bytes are published with the answer that
 * their rows give: silver as it was and as this change adds to it. Where that
 * does not work (one group is too large, a file is damaged) the column is
 * null, the state says that its answer is not known, and readers of the view
 * are told why; a cut does not fail for it. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define SLICE_PARTS 16                       /* Of the budget. */
#define SLICE_BYTES ((size_t)256 << 20)
#define SLICES_MAX 1024                      /* Of one partition. */
#define GROUP_BYTES ((size_t)4 << 20)        /* Read one at a time. */
#define LAST_PARTS 4         /* Of a slice that cannot be split any more. */

/* One file in force of the partition under way. */
struct old {
	const struct tn_catalog_file *file;
	struct tn_exec_slice slice;
};
struct writing {
	struct change *c;
	const struct tn_serving_view *v;
	const struct tn_catalog_snapshot *base;
	uint64_t lsn;
	struct tn_diag *d;
	enum tn_status st;
	const struct tn_exec_fold *delta;
	/* The partition under way. */
	const char *label;
	struct tn_exec_fold *part;       /* NULL: written as it is. */
	struct tn_exec_slice *taken;     /* Of files that are done. */
	uint32_t taken_count;
	struct tn_batch_before *before;  /* Of the slice; owned. */
	struct tn_budget_share held;
};

/* ---- files in force --------------------------------------------------- */

static struct tn_exec_slice
slice_of(const struct tn_catalog_file *f)
{
	const char *name = strrchr(f->path, '/');
	const char *at = strstr(name != NULL ? name : f->path, "-s");
	unsigned index = 0, count = 0;
	int end = 0;

	if (at != NULL && sscanf(at, "-s%uof%u.parquet%n", &index, &count,
	    &end) == 2 && end > 0 && at[end] == '\0' && index < count &&
	    (count & (count - 1)) == 0)
		return (struct tn_exec_slice){ index, count };
	return (struct tn_exec_slice){ 0, 1 };
}

static int
order_old(const void *pa, const void *pb)
{
	const struct old *a = pa, *b = pb;

	if (a->slice.count != b->slice.count)
		return a->slice.count > b->slice.count ? -1 : 1;
	return (a->slice.index > b->slice.index) -
	    (a->slice.index < b->slice.index);
}

/* Those of the partition, narrowest first. Free the list. */
static struct old *
old_files(const struct writing *w, uint32_t *count)
{
	uint32_t first = 0, n = w->base == NULL ? 0 :
	    tn_catalog_snapshot_find(w->base, TN_TIER_GOLD, w->v->id, &first);
	struct old *all = tn_alloc((n + 1ul) * sizeof *all);

	*count = 0;
	for (uint32_t i = first; i < first + n; i++) {
		const struct tn_catalog_file *f = &w->base->files[i];
		if (f->version == w->v->version &&
		    strcmp(f->partition, w->label) == 0)
			all[(*count)++] = (struct old){ f, slice_of(f) };
	}
	qsort(all, *count, sizeof *all, order_old);
	return all;
}

/* ---- memory ---------------------------------------------------------- */

static size_t
slice_bytes(void)
{
	size_t part = tn_batch_part(SLICE_PARTS);

	return part < SLICE_BYTES ? part : SLICE_BYTES;
}

/* Besides the new states ${bytes} are held. */
static void
hold(struct writing *w, size_t bytes)
{
	size_t all = bytes;

	if (w->part != NULL)
		all += tn_exec_fold_bytes(w->part);
	if (w->base != NULL)             /* Else the recompute counts it. */
		all += tn_exec_fold_bytes(w->delta);
	tn_budget_set(&w->held, all);
	tn_batch_gold_took(w->c->b, bytes);
}

static enum tn_status
too_large(const struct writing *w)
{
	tn_diag_hint(w->d, "raise memory_max");
	return tn_diag_set(w->d, TN_EFULL, "memory_full", "a file of view %s "
	    "would have states of more than %.1f MiB and cannot be split: "
	    "with memory_max of %.1f MiB there is no room to write it",
	    w->v->def->name, (double)tn_batch_part(LAST_PARTS) / (1 << 20),
	    (double)tn_budget_max() / (1 << 20));
}

/* ---- answers that states do not hold ----------------------------------- */

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

/* ---- writing ---------------------------------------------------------- */

static enum tn_status
put_file(struct writing *w, struct tn_batch *b, const struct tn_exec_slice *s,
    struct tn_lake_file *f)
{
	size_t group = tn_batch_group_bytes();
	struct tn_parquet_write_opts po = {
	    .zstd_level = w->c->b->o.zstd_level,
	    .group_bytes = group < GROUP_BYTES ? group : GROUP_BYTES };
	char partition[40], name[80];
	struct tn_lake_write put = { .tier = "gold",
	    .table = w->v->def->name, .label = name, .parquet = &po,
	    .partition = partition, .version = w->v->version, .lsn = w->lsn,
	    .time_column = bucket_column(w->v, b->schema) };

	snprintf(partition, sizeof partition, "%s=%.23s",
	    w->v->def->select->bucket_group < 0 ? "part" :
	    w->v->by_month ? "month" : "date", w->label);
	snprintf(name, sizeof name, "%s", w->c->label);
	if (s->count > 1)
		snprintf(name, sizeof name, "%s-s%uof%u", w->c->label,
		    (unsigned)s->index, (unsigned)s->count);
	return tn_lake_put(w->c->b->o.lake, &put, &b, 1, f);
}

/* Merged states of a slice to its file. */
static enum tn_status
write_file(struct writing *w, struct tn_exec_fold *fold,
    const struct tn_exec_slice *s)
{
	struct tn_lake_file f;
	struct tn_batch *b = NULL;
	enum tn_status st = settle_part(w, fold);

	if (st == TN_OK) {
		b = tn_exec_fold_save(fold);
		st = b == NULL ? TN_ENOMEM : TN_OK;
	}
	if (st == TN_OK) {
		hold(w, tn_exec_fold_bytes(fold) +
		    2 * tn_record_batch_bytes(b));
		tn_batch_compare(w->c, w->base != NULL ? w->before :
		    w->c->before, b);
		st = put_file(w, b, s, &f);
	}
	if (st == TN_OK)
		tn_batch_change_add(w->c, TN_TIER_GOLD, w->v->id,
		    w->v->version, &f, 0, w->lsn);
	tn_os_crash_point("cut_gold");
	tn_record_batch_unref(b);
	return st;
}

/* Two folds into one of them; the other is freed, if it is ours. */
static void
join(struct writing *w, struct tn_exec_fold *was,
    const struct tn_exec_fold *cached, struct tn_exec_fold **fold)
{
	w->before = tn_batch_before_cut(w->v, cached != NULL ? cached : was,
	    *fold, w->base->cut_us);
	if (cached != NULL) {
		tn_exec_fold_merge(*fold, cached);
		return;
	}
	tn_exec_fold_merge(was, *fold);
	tn_exec_fold_free(*fold);
	*fold = was;
}

/* The old states of ${p->slice} and ${*fold} become both, which are ours then.
 * TN_ELIMIT: there are too many; p->rows of the file are about as many as fit,
 * and nothing changed. */
static enum tn_status
add_old(struct writing *w, struct tn_serving_gold_slice *p,
    struct tn_exec_fold **fold)
{
	struct tn_serving *serving = w->c->b->o.serving;
	struct tn_serving_gold *g = p->slice.count > 1 ? NULL :
	    tn_serving_gold_cached(serving, p->file);
	size_t n = g != NULL ? tn_exec_fold_bytes(g->fold) : 0;
	struct tn_exec_fold *was = NULL;
	enum tn_status st = TN_OK;

	if (g == NULL) {
		st = tn_serving_gold_slice(serving, p, &was, w->d);
	} else if (n > p->bytes_max) {
		p->rows = (uint64_t)((double)p->file->rows / (double)n *
		    (double)p->bytes_max);
		st = TN_ELIMIT;
	}
	if (st == TN_OK) {
		if (*fold == w->part)
			w->part = NULL;
		join(w, was, g != NULL ? g->fold : NULL, fold);
	}
	tn_serving_gold_put(serving, g);
	return st;
}

static enum tn_status write_slice(struct writing *w, const struct old *old,
    const struct tn_exec_slice *s);

/* At most log2 of SLICES_MAX deep. ${rows} of the old file were as many as
 * fit; 0: not known. */
static enum tn_status
split_slice(struct writing *w, const struct old *old,
    const struct tn_exec_slice *s, uint64_t rows)
{
	uint32_t pieces = 2;
	enum tn_status st = TN_OK;

	while (old != NULL && rows > 0 && rows * pieces < old->file->rows &&
	    s->count * pieces < SLICES_MAX)
		pieces *= 2;
	for (uint32_t i = 0; st == TN_OK && i < pieces; i++) {
		struct tn_exec_slice x = { s->index + i * s->count,
		    s->count * pieces };
		st = write_slice(w, old, &x);
	}
	return st;
}

/* The new groups of ${s}: those of files that are done are not among them.
 * Where it is all there are, the part itself. */
static struct tn_exec_fold *
new_groups(struct writing *w, const struct tn_exec_slice *s)
{
	if (s->count == 1 && w->taken_count == 0)
		return w->part;
	return tn_exec_fold_slice(w->part, s, w->taken, w->taken_count);
}

/* One file, unless there are too many: TN_ELIMIT, as of add_old. ${*fold} is
 * the part's or ours, before and after. */
static enum tn_status
write_groups(struct writing *w, const struct old *old,
    const struct tn_exec_slice *s, struct tn_exec_fold **fold, uint64_t *rows)
{
	bool last = s->count >= SLICES_MAX;
	size_t n = tn_exec_fold_bytes(*fold);
	size_t max = last ? tn_batch_part(LAST_PARTS) : slice_bytes();
	size_t room = n < max ? max - n : 1;
	struct tn_serving_gold_slice p = { .view = w->v, .slice = *s,
	    .file = old != NULL ? old->file : NULL, .bytes_max = room };
	enum tn_status st = TN_OK;

	hold(w, (*fold == w->part ? 0 : n) + (old != NULL ? room : 0));
	if (n > max && !last && tn_exec_fold_groups(*fold) > 1)
		return TN_ELIMIT;
	if (old != NULL)
		st = add_old(w, &p, fold);
	*rows = p.rows;
	if (st != TN_OK || tn_exec_fold_groups(*fold) == 0)
		return st;
	if (*fold == w->part)
		w->part = NULL;
	return write_file(w, *fold, s);
}

/* The groups of ${s}, of the old file (if any) and the new ones. An old file
 * without new ones stays; but not in pieces of it. */
static enum tn_status
write_slice(struct writing *w, const struct old *old,
    const struct tn_exec_slice *s)
{
	struct tn_exec_fold *fold = new_groups(w, s);
	bool piece = old != NULL && old->slice.count < s->count;
	uint64_t rows = 0;
	enum tn_status st = TN_OK;

	if (piece || tn_exec_fold_groups(fold) > 0)
		st = write_groups(w, old, s, &fold, &rows);
	tn_batch_before_free(w->before);
	w->before = NULL;
	if (fold != w->part)
		tn_exec_fold_free(fold);
	if (st != TN_ELIMIT)
		return st;
	return s->count >= SLICES_MAX ? too_large(w) :
	    split_slice(w, old, s, rows);
}

/* Its groups file by file, then those of no file. */
static enum tn_status
write_files(struct writing *w)
{
	struct tn_exec_slice rest = { 0, 1 };
	uint32_t count;
	struct old *olds = old_files(w, &count);
	enum tn_status st = TN_OK;

	w->taken = tn_alloc((count + 1ul) * sizeof *w->taken);
	w->taken_count = 0;
	for (uint32_t i = 0; st == TN_OK && i < count && w->part != NULL;
	    i++) {
		uint32_t before = w->c->add_count;
		st = write_slice(w, &olds[i], &olds[i].slice);
		if (st == TN_OK && w->c->add_count > before)
			tn_batch_change_drop(w->c, olds[i].file->id);
		w->taken[w->taken_count++] = olds[i].slice;
	}
	if (st == TN_OK && w->part != NULL)
		st = write_slice(w, NULL, &rest);
	tn_free(w->taken);
	w->taken = NULL;
	tn_free(olds);
	return st;
}

static void
write_part(void *arg, const char *label, struct tn_exec_fold *part)
{
	struct writing *w = arg;

	w->label = label;
	w->part = part;
	if (w->st == TN_OK && !tn_batch_is_retired(w->c, w->v, label))
		w->st = write_files(w);
	tn_exec_fold_free(w->part);
	w->part = NULL;
	hold(w, 0);
}

enum tn_status
tn_batch_gold(struct change *c, const struct tn_serving_view *v,
    struct tn_exec_fold *delta, const struct tn_catalog_snapshot *base,
    uint64_t lsn, struct tn_diag *d)
{
	struct writing w = { .c = c, .v = v, .base = base, .lsn = lsn,
	    .d = d, .delta = delta, .held.class = base != NULL ?
	    TN_BUDGET_CUT : TN_BUDGET_CUTS };
	uint32_t groups = tn_exec_fold_groups(delta);
	struct tn_catalog_run_view part = tn_batch_view_begin(c, v, groups);

	if (groups > 0) {
		tn_exec_fold_split(delta, v->by_month, write_part, &w);
		tn_batch_view_end(c, &part);
	}
	tn_budget_set(&w.held, 0);
	tn_exec_fold_free(delta);
	return w.st;
}

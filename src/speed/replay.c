/* The start: reference tables from silver, then the log after the newest cut.
 * The log is read block by block in bounded memory; each block goes through
 * the same gate as at intake, with its stored marks. */
#include "speed/speed_int.h"

#include <stdlib.h>
#include <string.h>

struct gather {
	struct tn_batch **batches;
	uint32_t count;
	uint32_t cap;
};

static enum tn_status
keep_batch(void *arg, struct tn_batch *b)
{
	struct gather *g = arg;

	if (g->count == g->cap) {
		g->cap = g->cap == 0 ? 8 : g->cap * 2;
		g->batches = tn_realloc(g->batches,
		    g->cap * sizeof *g->batches);
	}
	/* The reader's batch is borrowed: copy it. */
	g->batches[g->count] = tn_record_batch_concat(&b, 1);
	if (g->batches[g->count] == NULL)
		return TN_ENOMEM;
	g->count++;
	return TN_OK;
}

struct version {
	int64_t lsn;
	int64_t offset;
	uint32_t row;
};

static int
compare_versions(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Rows of silver, in commit order, an LSN at a time. TN_ENOMEM. */
static enum tn_status
put_versions(struct tn_exec_ref *ref, const struct tn_batch *all)
{
	uint32_t lsn_at = all->schema->count - TN_SQL_HIDDEN;
	const int64_t *lsn = all->columns[lsn_at].values;
	const int64_t *offset = all->columns[lsn_at + 1].values;
	struct version *v = tn_try_alloc((all->rows + 1ul) * sizeof *v);
	uint32_t *rows = tn_try_alloc((all->rows + 1ul) * sizeof *rows);
	enum tn_status st = v == NULL || rows == NULL ? TN_ENOMEM : TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < all->rows; i++)
		v[i] = (struct version){ lsn[i], offset[i], i };
	if (st == TN_OK)
		qsort(v, all->rows, sizeof *v, compare_versions);
	for (uint32_t i = 0; st == TN_OK && i < all->rows; ) {
		uint32_t n = 0;
		int64_t at = v[i].lsn;
		while (i < all->rows && v[i].lsn == at)
			rows[n++] = v[i++].row;
		struct tn_batch *b = tn_record_batch_take(all, rows, n);
		if (b != NULL)
			tn_exec_ref_put(ref, b, NULL, (uint64_t)at);
		else
			st = TN_ENOMEM;
		tn_record_batch_unref(b);
	}
	tn_free(v);
	tn_free(rows);
	return st;
}

static enum tn_status
load_ref(struct tn_speed *s, uint32_t i, struct tn_diag *d)
{
	const struct tn_governance_stream *g =
	    &s->o.model->streams[s->ref_streams[i]];
	struct gather all = { 0 };
	struct tn_batch *joined;
	uint32_t first, n = tn_catalog_snapshot_find(s->base,
	    TN_TIER_SILVER, g->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t k = 0; st == TN_OK && k < n; k++) {
		struct tn_lake_read r = {
			.path = s->base->files[first + k].path,
			.schema = g->silver, .each = keep_batch, .arg = &all,
		};
		st = tn_lake_read(s->o.lake, &r, d);
	}
	if (st == TN_OK && all.count > 0) {
		joined = tn_record_batch_concat(all.batches, all.count);
		st = joined == NULL ? TN_ENOMEM :
		    put_versions(s->refs[i], joined);
		tn_record_batch_unref(joined);
	}
	for (uint32_t k = 0; k < all.count; k++)
		tn_record_batch_unref(all.batches[k]);
	tn_free(all.batches);
	return st;
}

enum tn_status
tn_speed_load_refs(struct tn_speed *s, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < s->ref_count; i++)
		st = load_ref(s, i, d);
	tn_speed_count_refs(s);
	return st;
}

/* By its name, which the catalog keeps. */
static enum tn_status
stream_gone(struct tn_speed *s, uint32_t stream, struct tn_arena *a,
    struct tn_diag *d)
{
	struct tn_catalog_name *names = NULL;
	uint32_t count = 0;

	if (tn_catalog_names(s->o.catalog, a, &names, &count) != TN_OK)
		count = 0;
	tn_diag_hint(d, "put its CREATE TABLE back, let one cut happen, then "
	    "remove it");
	for (uint32_t i = 0; i < count; i++)
		if (names[i].id == stream && names[i].kind != TN_CATALOG_VIEW)
			return tn_diag_set(d, TN_EINVAL, "stream_gone",
			    "the log holds events of the table \"%s\", which "
			    "the configuration does not define any more",
			    names[i].name);
	return tn_diag_set(d, TN_EINVAL, "stream_gone",
	    "the log holds events of a removed table (number %u)",
	    (unsigned)stream);
}

static enum tn_status
replay_block(struct tn_speed *s, struct tn_governance_reader *reader,
    uint64_t lsn, struct tn_arena *a, struct tn_governance_rows **rows,
    struct tn_diag *d)
{
	struct tn_log_block block;
	enum tn_status st = tn_log_read(s->o.log, lsn, a, &block, d);

	if (st == TN_ENOTFOUND)
		return tn_diag_set(d, TN_ECORRUPT, "log_gap",
		    "block %llu is missing from the log, though it is not in "
		    "the lake yet", (unsigned long long)lsn);
	if (st != TN_OK)
		return st;
	st = tn_governance_reader_block(reader, &block, rows);
	return st == TN_ENOTFOUND ? stream_gone(s, block.stream, a, d) : st;
}

enum tn_status
tn_speed_replay(struct tn_speed *s,
    void (*each)(void *arg, struct tn_governance_rows *rows), void *arg,
    struct tn_diag *d)
{
	struct tn_governance_reader *reader = tn_governance_reader_new(
	    s->o.model->streams, s->o.model->stream_count);
	struct tn_arena *a = tn_arena_new(1 << 20);
	uint64_t last = tn_log_last(s->o.log);
	enum tn_status st = tn_speed_load_refs(s, d);

	for (uint64_t lsn = s->base->lsn + 1; st == TN_OK && lsn <= last;
	    lsn++) {
		struct tn_governance_rows *rows = NULL;
		st = replay_block(s, reader, lsn, a, &rows, d);
		if (st == TN_OK) {
			tn_speed_fold(s, rows);
			if (each != NULL)
				each(arg, rows);
		}
		tn_governance_rows_unref(rows);
		tn_arena_reset(a);
	}
	if (st == TN_OK && s->o.serving != NULL)
		tn_serving_advance(s->o.serving, s->last);
	tn_arena_free(a);
	tn_governance_reader_free(reader);
	return st;
}

/* Silver of a table anew from bronze, in slices:
 *
 *   bronze rows -> blocks -> gate (stored marks) -> rows held -> files by day
 *
 * A block is taken whole before anything is written, so that what was written
 * ends at an LSN. Bronze of a file is in order of LSN; who wants to say how far
 * its rows come has one that is not refused. */
#include "batch/prepare_int.h"

#include <stdio.h>

#define SLICE_PARTS 16               /* Of the memory budget. */

void
tn_batch_remake_begin(struct tn_batch_remake *x)
{
	x->reader = tn_governance_reader_new(x->s, 1);
	x->arena = tn_arena_new(1 << 16);
	x->held.class = TN_BUDGET_CUTS;
}

void
tn_batch_remake_drop(struct tn_batch_remake *x)
{
	for (uint32_t i = 0; i < x->silver_count; i++)
		tn_record_batch_unref(x->silver[i]);
	x->silver_count = 0;
	x->silver_rows = 0;
	x->lsn_min = x->lsn_max = 0;
	tn_budget_set(&x->held, 0);
}

void
tn_batch_remake_end(struct tn_batch_remake *x)
{
	tn_batch_remake_drop(x);
	tn_free(x->silver);
	x->silver = NULL;
	x->silver_cap = 0;
	if (x->arena != NULL)
		tn_arena_free(x->arena);
	x->arena = NULL;
	if (x->reader != NULL)
		tn_governance_reader_free(x->reader);
	x->reader = NULL;
}

bool
tn_batch_remake_keeps(const struct tn_batch_jobs *b,
    const struct tn_governance_stream *s, int64_t time_max)
{
	int at = tn_serving_stream_by_id(b->o.model, s->id);

	return at < 0 || s->table->retention_us <= 0 ||
	    time_max >= tn_batch_floor(b, (uint32_t)at);
}

enum tn_status
tn_batch_remake_write(struct tn_batch_remake *x, struct tn_lake_files *out)
{
	uint32_t sorted[TN_BATCH_SORT_MAX];
	struct tn_parquet_write_opts po = { .zstd_level = x->b->o.zstd_level,
	    .group_bytes = tn_batch_group_bytes(),
	    .sorted_by = sorted,
	    .sorted_count = tn_batch_sort_columns(x->s, sorted) };
	char label[64];
	struct tn_lake_write w = { .tier = "silver",
	    .table = x->s->table->name, .label = label,
	    .time_column = tn_batch_time_column(x->s), .parquet = &po,
	    .version = x->s->version, .lsn = x->lsn };
	enum tn_status st;

	if (x->silver_count == 0)
		return TN_OK;
	snprintf(label, sizeof label, "%.48s-%u", x->label,
	    (unsigned)x->slices++);
	st = tn_lake_put_days(x->b->o.lake, &w, x->silver, x->silver_count,
	    out);
	tn_batch_remake_drop(x);
	return st;
}

static enum tn_status
take_block(struct tn_batch_remake *x, const struct tn_log_block *block)
{
	struct tn_governance_rows *r = NULL;
	struct tn_batch *b = NULL;
	enum tn_status st = tn_governance_reader_block(x->reader, block, &r);

	if (st == TN_OK)
		st = tn_governance_silver_of(r, &b);
	tn_governance_rows_unref(r);
	if (b == NULL)
		return st;
	if (x->silver_count == x->silver_cap) {
		x->silver_cap = x->silver_cap == 0 ? 64 : x->silver_cap * 2;
		x->silver = tn_realloc(x->silver,
		    x->silver_cap * sizeof *x->silver);
	}
	x->silver[x->silver_count++] = b;
	x->silver_rows += b->rows;
	x->rows += b->rows;
	if (x->lsn_min == 0 || block->lsn < x->lsn_min)
		x->lsn_min = block->lsn;
	if (block->lsn > x->lsn_max)
		x->lsn_max = block->lsn;
	tn_budget_set(&x->held, x->held.bytes + 2 * tn_record_batch_bytes(b));
	return TN_OK;
}

static bool
is_full(const struct tn_batch_remake *x)
{
	return x->silver_rows >= x->b->o.slice_rows ||
	    x->held.bytes >= tn_batch_part(SLICE_PARTS);
}

/* A row group may end in the middle of a block: its LSN comes twice then. */
static enum tn_status
next_block(struct tn_batch_remake *x, const struct tn_log_block *block)
{
	enum tn_status st = TN_OK;

	if (x->ordered && block->lsn < x->last)
		return tn_diag_set(x->d, TN_ECORRUPT, "bronze_order",
		    "a file of bronze of %s is not in order of LSN: %llu "
		    "after %llu", x->s->table->name,
		    (unsigned long long)block->lsn,
		    (unsigned long long)x->last);
	if (block->lsn > x->after && block->lsn != x->last && is_full(x))
		st = x->full(x->arg);
	if (st == TN_OK && block->lsn > x->after)
		st = take_block(x, block);
	x->last = block->lsn;
	return st;
}

enum tn_status
tn_batch_remake_rows(struct tn_batch_remake *x, const struct tn_batch *b)
{
	uint32_t at = 0;
	enum tn_status st = TN_OK;

	while (st == TN_OK && at < b->rows) {
		struct tn_log_block block;
		st = tn_governance_block_of(b, at, x->s->id, x->arena, &block,
		    &at);
		if (st == TN_OK)
			st = next_block(x, &block);
		tn_arena_reset(x->arena);
	}
	return st;
}

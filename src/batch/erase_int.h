/* Shared by an erasure: the statement (erase.c) and files without the rows
 * (erase_rows.c). */
#ifndef TN_BATCH_ERASE_INT_H
#define TN_BATCH_ERASE_INT_H

#include "batch/batch_int.h"

struct erase {
	struct tn_batch_jobs *b;
	const struct tn_batch_erase *q;
	struct tn_batch_report *r;
	const struct tn_governance_stream *s;
	const struct tn_catalog_snapshot *base;  /* Of the cut before. */
	uint64_t lsn;                    /* Rows up to it. */
	struct change change;
	struct tn_governance_reader *reader;
	struct tn_arena *arena;          /* Of one piece. */
	struct tn_lake_piece piece;
	struct tn_budget_share held;
	/* Keys of events that go, where rows of their bytes may not be found
	 * by the condition. */
	struct tn_hash128 *keys;
	size_t key_count, key_cap;
	bool collecting;                 /* Keys, not files. */
	/* The file under way: a bit a row that goes. */
	const struct tn_catalog_file *f;
	uint8_t *bits;
	uint64_t at, hits;
	struct tn_lake_writer *out;
	struct tn_parquet_write_opts parquet;
	uint32_t sort[TN_BATCH_SORT_MAX];
	char label[64], partition[40];
	uint32_t files;                  /* To name them. */
	/* What it came to. */
	uint64_t by_mark[TN_MARK_ERASED];        /* Of bronze. */
	uint64_t rows;                   /* Of silver ... */
	int64_t from_us, to_us;          /* ... and their times. */
	uint64_t failed;                 /* Rows of silver that the condition
	                                  * cannot be computed for: they stay. */
	char why[160];                   /* The first one's error. */
	char (*old)[200];                /* Paths of dropped files. */
	uint32_t old_count;
};

/* Its own bounds of memory; TN_EFULL. Freed with tn_batch_erase_rows_end. */
TN_MUST_USE enum tn_status tn_batch_erase_rows_begin(struct erase *e);
void tn_batch_erase_rows_end(struct erase *e);
/* Keys of events that go, of all of bronze. */
TN_MUST_USE enum tn_status tn_batch_erase_keys(struct erase *e);
/* A bronze or silver file of the base: if it has such rows, another one
 * without them is in the change, and it is dropped. */
TN_MUST_USE enum tn_status tn_batch_erase_file(struct erase *e,
    const struct tn_catalog_file *f);

#endif

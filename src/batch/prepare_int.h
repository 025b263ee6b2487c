/* Shared by those who make silver of a table anew from bronze: the start
 * (rebuild.c) and who prepares it (prepare.c). */
#ifndef TN_BATCH_PREPARE_INT_H
#define TN_BATCH_PREPARE_INT_H

#include "batch/batch_int.h"

/* Bronze's rows, in order of LSN in each file, become slices of silver, which
 * are held until they are written. */
struct tn_batch_remake {
	struct tn_batch_jobs *b;
	const struct tn_governance_stream *s;
	const char *label;           /* Of its files; numbers follow. */
	uint64_t lsn;                /* Of the cut, for footers. */
	uint64_t after;              /* Rows up to it are left out. */
	bool ordered;                /* A file out of order is refused. */
	/* The slice is full; before a block with another LSN. */
	enum tn_status (*full)(void *arg);
	void *arg;
	struct tn_diag *d;
	/* Its own. */
	uint64_t last;               /* LSN of the block before; of a file. */
	uint64_t lsn_min, lsn_max;   /* Of the slice. */
	struct tn_governance_reader *reader;
	struct tn_arena *arena;
	struct tn_batch **silver;
	uint32_t silver_count, silver_cap;
	uint64_t silver_rows;
	struct tn_budget_share held; /* Rows, and their sorted copy. */
	uint32_t slices;
	uint64_t rows;               /* Of all slices. */
};
void tn_batch_remake_begin(struct tn_batch_remake *x);
/* Rows of bronze as read. TN_ECORRUPT: not in order of LSN. */
TN_MUST_USE enum tn_status tn_batch_remake_rows(struct tn_batch_remake *x,
    const struct tn_batch *b);
/* The slice into files, a day each, and none is held any more. */
TN_MUST_USE enum tn_status tn_batch_remake_write(struct tn_batch_remake *x,
    struct tn_lake_files *out);
/* The slice is forgotten. */
void tn_batch_remake_drop(struct tn_batch_remake *x);
void tn_batch_remake_end(struct tn_batch_remake *x);
/* Not of days that retention has taken. */
bool tn_batch_remake_keeps(const struct tn_batch_jobs *b,
    const struct tn_governance_stream *s, int64_t time_max);

/* ---- files that are prepared; see adopt.c ------------------------------ */

/* What is there of this version: *lsn is how far it comes, 0: nothing is. */
TN_MUST_USE enum tn_status tn_batch_prepared_lsn(struct tn_batch_jobs *b,
    const struct tn_governance_stream *s, uint64_t *lsn);
/* Not any more: out of the catalog, then off the disk. Objects that ${kept}
 * names in this version stay. */
TN_MUST_USE enum tn_status tn_batch_prepared_drop(struct tn_batch_jobs *b,
    const struct tn_governance_stream *kept, uint32_t count);
TN_MUST_USE enum tn_status tn_batch_prepared_drop_one(
    struct tn_batch_jobs *b, uint32_t object);
/* Its files are the first of the change, which ends what is prepared; rows up
 * to *after are in them. Files that are not what was noted: none is taken. */
struct tn_batch_adopted {
	struct tn_arena *arena;
	struct tn_catalog_file *files;
	uint32_t count;
	uint64_t rows;               /* Of those that are kept. */
};
TN_MUST_USE enum tn_status tn_batch_adopt(struct change *c,
    const struct tn_governance_stream *s, struct tn_batch_adopted *x,
    uint64_t *after);
/* After the publication, or instead of it. */
void tn_batch_adopted_end(struct change *c,
    const struct tn_governance_stream *s, struct tn_batch_adopted *x,
    bool published);

#endif

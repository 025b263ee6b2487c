/* Shared inside batch: the actor, and a publication under construction. */
#ifndef TN_BATCH_INT_H
#define TN_BATCH_INT_H

#include "batch/batch.h"

struct tn_batch_jobs {
	struct tn_batch_opts o;
	struct tn_net_actor *actor;
	uint32_t waiting;            /* Atomic: jobs posted, not begun. */
	uint32_t cut_waiting;        /* Atomic: a timed cut is among them. */
	uint32_t stopping;           /* Atomic. */
	int64_t calm_us;             /* Atomic: no cut for rows before then. */
	struct tn_histogram *seconds;
	struct tn_counter *last_success;
};

/* Files to add and drop, gathered by one job. Zero-initialise. */
struct change {
	struct tn_batch_jobs *b;
	char label[48];              /* Name of every file of this job. */
	uint64_t run;
	struct tn_catalog_file *add;
	uint32_t add_count, add_cap;
	uint64_t *drop;
	uint32_t drop_count, drop_cap;
	uint64_t rows;
};
void tn_batch_change_begin(struct change *c, struct tn_batch_jobs *b,
    uint64_t lsn, uint64_t run);
void tn_batch_change_add(struct change *c, enum tn_catalog_tier tier,
    uint32_t object, uint32_t version, const struct tn_lake_file *f,
    uint64_t lsn_min, uint64_t lsn_max);
void tn_batch_change_drop(struct change *c, uint64_t file);
/* Sync folders, commit, tell speed. On failure the new files are removed; but
 * not after TN_ECLOSED, when the catalog does not know whether it holds. */
TN_MUST_USE enum tn_status tn_batch_change_publish(struct change *c,
    uint64_t lsn, const struct tn_catalog_offset *offsets, uint32_t count,
    const char *detail);
/* Give up: remove the files written. */
void tn_batch_change_undo(struct change *c);
void tn_batch_change_fini(struct change *c);

/* Jobs; each fills the report. */
void tn_batch_cut(struct tn_batch_jobs *b, const char *reason,
    struct tn_batch_report *r);
void tn_batch_recompute(struct tn_batch_jobs *b, const char *reason,
    const char *view, struct tn_batch_report *r);
void tn_batch_verify(struct tn_batch_jobs *b, const char *view,
    struct tn_batch_report *r);
/* TN_ECLOSED with ${d} when the program stops: long jobs look now and then. */
TN_MUST_USE enum tn_status tn_batch_stopping(const struct tn_batch_jobs *b,
    struct tn_diag *d);
/* Merge young files; after a cut. */
void tn_batch_compact(struct tn_batch_jobs *b);
/* Unlink what nobody can see any more. */
void tn_batch_collect(struct tn_batch_jobs *b);

/* States of one view split into partitions, merged with gold of ${base} if
 * not NULL, written and put into the change. Frees ${delta}. */
TN_MUST_USE enum tn_status tn_batch_gold(struct change *c,
    const struct tn_serving_view *v, struct tn_exec_fold *delta,
    const struct tn_catalog_snapshot *base, uint64_t lsn,
    struct tn_diag *d);
/* Column of silver that orders its files: event time or received time. */
int tn_batch_time_column(const struct tn_governance_stream *s);
TN_MUST_USE enum tn_status tn_batch_run_begin(struct tn_batch_jobs *b,
    const char *kind, const char *reason, const char *object,
    uint64_t lsn_from, uint64_t lsn_to, uint64_t *run);

#endif

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
	/* What rewriting the largest gold partition took beside the tail's
	 * states: kept free for the next cut. And the same of this one. */
	struct tn_budget_share gold;
	size_t gold_next;
	struct tn_budget_share standing; /* Rows and row groups of a cut. */
	struct tn_histogram *seconds;
	struct tn_counter *last_success;
	uint8_t *said_unknown;       /* A byte a view; see gold.c. */
};

struct tn_batch_before;

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
	/* For answers that states do not hold: silver before this change, and
	 * reference tables; borrowed. */
	const struct tn_catalog_snapshot *silver;
	struct tn_exec_refs refs;
	/* Published numbers that it changes; see corrections.c. */
	struct tn_batch_before *before;  /* Of a view made anew; borrowed. */
	struct tn_catalog_correction *corrections;
	uint32_t correction_count;
	uint64_t changed;            /* Rows; also beyond corrections_max. */
	struct tn_arena *texts;
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
/* A fraction of the memory budget; SIZE_MAX without one. How the jobs' own
 * bounds come down with a small memory_max. */
size_t tn_batch_part(uint32_t parts);
/* Most bytes of values in a row group of a lake file. */
size_t tn_batch_group_bytes(void);
/* A cut holds ${bytes} beside states: what it has not taken of the room that
 * is kept for it stays kept. 0 between cuts. */
void tn_batch_keep_room(struct tn_batch_jobs *b, size_t bytes);
/* May a gold partition of ${old} bytes be read and written anew? TN_EFULL. */
TN_MUST_USE enum tn_status tn_batch_gold_room(struct tn_batch_jobs *b,
    size_t old, struct tn_diag *d);
/* One of ${bytes} was written. */
void tn_batch_gold_wrote(struct tn_batch_jobs *b, size_t bytes);
/* Unlink what nobody can see any more. */
void tn_batch_collect(struct tn_batch_jobs *b);

/* States of one view split into partitions, merged with gold of ${base} if
 * not NULL, written and put into the change. Frees ${delta}. */
TN_MUST_USE enum tn_status tn_batch_gold(struct change *c,
    const struct tn_serving_view *v, struct tn_exec_fold *delta,
    const struct tn_catalog_snapshot *base, uint64_t lsn,
    struct tn_diag *d);
/* Rows of a view as published before, where a change of them would be a
 * correction; NULL: none. For a cut at ${cut_us} and a later one: groups of
 * ${delta} whose bucket had ended, from the old states of their partition. */
struct tn_batch_before *tn_batch_before_cut(const struct tn_serving_view *v,
    const struct tn_exec_fold *old, const struct tn_exec_fold *delta,
    int64_t cut_us);
/* For a recompute: all rows of the view's gold files. */
struct tn_batch_before *tn_batch_before_files(struct tn_lake *lake,
    const struct tn_serving_view *v, const struct tn_catalog_snapshot *base);
void tn_batch_before_free(struct tn_batch_before *x);
/* Look the rows of a new gold file (as saved) up and note what changed. */
void tn_batch_compare(struct change *c, struct tn_batch_before *x,
    const struct tn_batch *after);
/* After the last file of a recompute: rows that are gone. */
void tn_batch_compare_rest(struct change *c, struct tn_batch_before *x);
/* Equal but for what another order of adding doubles may do. */
bool tn_batch_same_value(const struct tn_column *a, uint32_t i,
    const struct tn_column *b, uint32_t k);
/* Column of silver that orders its files: event time or received time. */
int tn_batch_time_column(const struct tn_governance_stream *s);
TN_MUST_USE enum tn_status tn_batch_run_begin(struct tn_batch_jobs *b,
    const char *kind, const char *reason, const char *object,
    uint64_t lsn_from, uint64_t lsn_to, uint64_t *run);

#endif

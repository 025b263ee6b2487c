/* Shared by compaction: what is to be done (look.c, move.c), and doing it
 * (compact.c). */
#ifndef TN_BATCH_COMPACT_INT_H
#define TN_BATCH_COMPACT_INT_H

#include "batch/batch_int.h"

#define ROUND_MERGES 64
#define ROUND_BYTES (UINT64_C(32) << 20)
#define UNPACKED 6                   /* Bytes of a row for each packed one. */

/* Neighbours of one partition that become one. */
struct merge {
	const struct tn_governance_stream *s;
	const struct tn_catalog_file *files;
	uint32_t count;
	uint64_t bytes;
	bool cold;                       /* Into the cold folder. */
};

/* A partition with young files, and since when it has had no new one. */
struct still {
	enum tn_catalog_tier tier;
	uint32_t object;
	char partition[24];
	uint64_t newest;                 /* Id of a file. */
	int64_t since_us;
};

/* A file that is left alone; see skip.c. */
struct skip {
	uint64_t file;
	int64_t until_us;                /* Monotonic. */
	uint32_t failures;
	bool there;                      /* Of skip.c. */
};

/* A job and who it is for. */
struct tn_batch_hand {
	struct tn_net_job job;
	struct tn_batch_jobs *b;
};

/* The round lent to the thread that merges. The batch thread has what is not
 * atomic, unless it is the other's while lent. */
struct tn_batch_turn {
	struct tn_net_actor *thread;
	struct tn_batch_hand there, back;
	struct tn_net_latch *done;       /* It steps no more. */
	uint32_t lent;                   /* Atomic: ${back} has not run. */
	bool taken;                      /* The batch thread has it again. */
	bool over;                       /* Nothing is lent any more. */
	uint32_t hold;                   /* Atomic: the batch thread waits. */
	_Atomic bool given_up;           /* The round is in vain: its steps end. */
	const char *why;                 /* It is; NULL: the program stops. */
	int64_t until_us;                /* Atomic: monotonic, of the turn. */
	int64_t given;                   /* Of pace.allowance. */
	enum tn_status st;               /* Of the last step; theirs. */
};

struct tn_batch_compaction {
	/* What the last look found. */
	uint64_t looked;                 /* Sequence of the snapshot. */
	int64_t due_us;                  /* When one will have settled. */
	struct still *still;
	uint32_t still_count;
	int64_t calm_us;                 /* Monotonic: nothing before then. */
	int64_t cold_calm_us;            /* Nothing to the cold folder. */
	/* Of the largest merge that the disk has no room for; 0: none. */
	uint64_t waits;
	bool cold_said;                  /* That it is not there, or full. */
	struct skip *skips;              /* In order of files. */
	uint32_t skip_count, skip_cap;
	bool asked;                      /* By a person: all is settled. */
	/* How fast, and who steps; see turns.c. */
	struct tn_batch_pace pace;
	int64_t left;                    /* Bytes it may read in this turn. */
	struct tn_batch_turn turn;
	/* The round. */
	const struct tn_catalog_snapshot *base;  /* NULL: none. */
	struct merge merges[ROUND_MERGES];
	uint32_t count, at;
	struct change change;
	struct tn_budget_share held;
	struct tn_diag d;
	/* The merge under way. */
	bool damaged;                    /* A file of it cannot be read. */
	const char **paths;
	uint32_t sort[TN_BATCH_SORT_MAX];
	uint32_t sort_count;
	struct tn_parquet_write_opts parquet;
	struct tn_lake_merge *in;
	struct tn_lake_writer *out;
	char label[64], partition[40];
	uint32_t files;                  /* Of the round, to name them. */
	uint64_t rows;                   /* Of the merge. */
	uint64_t written;                /* Of the file under way. */
	const struct tn_batch *piece;    /* Of it, rows from piece_at on are ... */
	uint32_t piece_at;               /* ... to be written. NULL: none. */
	uint64_t lsn_from, lsn_last;     /* Of the bronze file under way. */
	struct tn_batch_chain *chain;    /* Of bronze; NULL. */
	uint32_t chained;                /* Files that it has taken. */
};

/* Fills merges[] from ${base}. */
void tn_batch_look(struct tn_batch_jobs *b,
    const struct tn_catalog_snapshot *base);
/* Bytes of the lake's disk that merging may take: those beside its reserve. */
uint64_t tn_batch_room(const struct tn_batch_jobs *b);
/* Files from ${i} on that are of one partition end before this one. */
uint32_t tn_batch_partition_end(const struct tn_catalog_snapshot *s,
    uint32_t i);

/* ---- steps; see compact.c and turns.c ----------------------------------- */

/* The next step only reads, merges, packs and writes the files of a round: it is
 * for any thread that has the round alone. */
bool tn_batch_is_merging(const struct tn_batch_compaction *x);
/* That step. What fails is for the batch thread to say. */
TN_MUST_USE enum tn_status tn_batch_merge_step(struct tn_batch_jobs *b,
    bool must);
/* What follows is for the batch thread. Any step; true: there is more to do now. */
bool tn_batch_compact_step(struct tn_batch_jobs *b, bool must);
/* The round has failed: its files go, and it is said. */
void tn_batch_compaction_fails(struct tn_batch_jobs *b, enum tn_status st);
void tn_batch_turns_new(struct tn_batch_jobs *b);
/* The round is the batch thread's again, at the end of the step under way. */
void tn_batch_take_back(struct tn_batch_jobs *b);
bool tn_batch_is_lent(const struct tn_batch_compaction *x);

/* ---- damaged files; see skip.c ------------------------------------------ */

bool tn_batch_is_skipped(const struct tn_batch_compaction *x, uint64_t file);
/* Files of a merge that failed wait, the one that ${message} names or all; at
 * once where the damage is a lasting one. True: one did not before. */
bool tn_batch_skip(struct tn_batch_jobs *b, const struct merge *m,
    bool lasting, const char *message);
/* When the first of them is tried again; INT64_MAX: none waits. */
int64_t tn_batch_skips_due(struct tn_batch_jobs *b,
    const struct tn_catalog_snapshot *base, int64_t now);
void tn_batch_skip_none(struct tn_batch_compaction *x);

/* ---- the cold folder; see move.c --------------------------------------- */

/* Files of a partition that belongs there: false: not now, and not before
 * *due_us (INT64_MAX: not by time alone). */
bool tn_batch_is_due(const struct tn_batch_jobs *b, const struct merge *all,
    int64_t now, int64_t *due_us);
/* Of them, one that is to be moved as it is: its index; count: none. */
uint32_t tn_batch_unmoved(const struct tn_batch_jobs *b,
    const struct merge *all);
/* The folder is there, and has room for the merge. */
bool tn_batch_cold_takes(struct tn_batch_jobs *b, const struct merge *m);

#endif

/* batch: cuts, and what follows from them. One actor runs jobs one after the
 * other: cut (log -> bronze, silver, gold, key files; published in one
 * catalog transaction), compaction of young files, recompute of a view from
 * silver, verify of views from bronze. */
#ifndef TN_BATCH_BATCH_H
#define TN_BATCH_BATCH_H

#include "base/base.h"
#include "serving/serving.h"

struct tn_batch_jobs;
/* The speed layer as batch needs it; filled by app. All wait. */
struct tn_batch_speed {
	void (*seal)(void *speed, uint64_t *lsn, struct tn_serving_refs *refs);
	void (*unseal)(void *speed);
	void (*published)(void *speed);
	/* Definitions that change; see tn_speed_adopt. swap is published, too. */
	void (*adopt)(void *speed, struct tn_serving_change *c, uint64_t *lsn,
	    struct tn_serving_refs *refs);
	void (*swap)(void *speed, struct tn_serving_change *c);
	void (*abandon)(void *speed, struct tn_serving_change *c);
	/* As seal, but nothing is sealed; see tn_speed_mark. */
	void (*mark)(void *speed, uint64_t *lsn, struct tn_serving_refs *refs);
	void *speed;
};
struct tn_batch_opts {
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving *serving;
	struct tn_net_pool *pool;   /* Where recomputes fold files. */
	struct tn_batch_speed speed;
	/* Rows that intake has decoded; may be NULL. */
	struct tn_governance_recent *recent;
	/* Is a file being loaded? A cut for rows then goes along with it. NULL:
	 * never. Any thread. */
	bool (*loading)(void *arg);
	/* After a cut at ${lsn} is public: the log may be trimmed. */
	void (*published)(void *arg, uint64_t lsn);
	/* For an erasure: what is appended from now on goes to another segment
	 * of the log, *lsn being the newest before it; and after a cut, whether
	 * nothing up to ${lsn} is left in the log. Both wait. NULL: not. */
	enum tn_status (*roll)(void *arg, uint64_t *lsn);
	bool (*trimmed)(void *arg, uint64_t lsn);
	/* How many objects there are, and their bytes. NULL: none. */
	void (*objects)(void *arg, uint64_t *count, uint64_t *bytes);
	void *arg;
	uint32_t young_files_max;   /* Of a partition; 0: 8 */
	uint64_t compact_file_bytes;   /* A full file; 0: 128 MiB */
	uint64_t compact_rate;      /* Bytes a second read by it; 0: 32 MiB */
	uint64_t busy_rate;         /* A quarter of it while the log grows by
	                             * more bytes a second; 0: 4 MiB */
	uint64_t disk_reserve;      /* Free bytes of the lake's disk that
	                             * merging never takes. */
	uint64_t prepare_rate;      /* The same of prepare.c; 0: 32 MiB */
	uint64_t prepare_rest;      /* So many rows are left; 0: 200000 */
	uint64_t slice_rows;        /* Rows held at once; 0: 1000000 */
	uint64_t follow_rows;       /* Of a cut along with a load; 0: none. */
	int zstd_level;             /* Of lake files; 0: 1 */
	/* Of the lake's cold folder, where it has one; see move.c. */
	int64_t cold_after_us;      /* For tables that do not say; 0: 30 d. */
	int cold_zstd_level;        /* 0: 9 */
	uint64_t cold_reserve;      /* Bytes that stay free there. */
	int64_t cold_retry_us;      /* When it fails or hangs; 0: 10 min. */
	/* A file that cannot be read is left alone for so long, twice as long
	 * after each try, at most ...; 0: 10 min, 6 h. */
	int64_t file_retry_us, file_retry_max_us;
	int table_formats;          /* Of enum tn_lake_format; 0: none. */
	int64_t garbage_us;         /* Keep dropped files; 0: 10 min */
	/* How long no row is removed after the clock leapt; 0: 10 min, < 0:
	 * not at all. */
	int64_t retention_wait_us;
	uint32_t corrections_max;   /* Kept of one run; 0: 200 */
	int64_t corrections_keep_us;   /* 0: 30 days */
};
struct tn_batch_jobs *tn_batch_new(const struct tn_batch_opts *o);
/* From now on recompute and verify give up, as do jobs that wait or come
 * (TN_ECLOSED). NULL is nothing. */
void tn_batch_stop(struct tn_batch_jobs *b);
/* Stops, and waits for the running job: a cut ends. */
void tn_batch_free(struct tn_batch_jobs *b);

/* What a job says when it ends. */
struct tn_batch_report {
	enum tn_status status;      /* TN_ECONFLICT for verify: differences. */
	struct tn_diag diag;
	uint64_t run;
	uint64_t lsn;               /* The cut. */
	uint64_t rows;
	uint32_t files;
	uint64_t differences;       /* verify */
	struct tn_buf text;         /* Human lines: what was compared, made. */
};
enum tn_batch_kind {
	TN_BATCH_CUT, TN_BATCH_RECOMPUTE, TN_BATCH_VERIFY,
	TN_BATCH_EXPIRE,            /* Snapshots and files that go with them. */
	TN_BATCH_ROLLBACK,          /* A view to a kept snapshot's states. */
	TN_BATCH_TABLES,            /* Iceberg and Delta, once at the start. */
	TN_BATCH_COMPACT,           /* Young files of each day, without delay;
	                             * answers when it is begun. */
	TN_BATCH_APPLY,             /* Definitions of views; see apply.c. */
	TN_BATCH_ERASE,             /* Rows of a stream; see erase.c. */
	TN_BATCH_PREPARE,           /* Silver of tables to come; prepare.c. */
};
/* Which rows: those for which it is true, up to the LSN at which the job
 * begins. */
struct tn_batch_erase {
	const struct tn_sql_expr *where;    /* Over silver's columns. */
	const uint8_t *used;                /* Which of them: a byte each. */
	bool by_arrival;     /* It looks at more than the row's own bytes. */
	int64_t now_us;                     /* What now() is. */
};
/* Tables as the next start will have them: its silver of them is made now, and
 * what was prepared of other definitions goes. None: all of it goes. */
struct tn_batch_prepare {
	const struct tn_governance_stream *streams;
	uint32_t count;
};
enum tn_batch_details {
	TN_BATCH_SUMMARY,
	TN_BATCH_BUCKETS,
	TN_BATCH_FOLDED,
};

struct tn_batch_request {
	enum tn_batch_kind kind;
	const char *reason;         /* "timer", "rows", "memory", "request" */
	const char *view;           /* RECOMPUTE, VERIFY; NULL: all. ROLLBACK:
	                               also the name of a stream; ERASE: it. */
	/* RECOMPUTE: only time buckets that reach into [from_us, to_us), 0:
	 * open; or only what it would cost. */
	int64_t from_us, to_us;
	bool dry_run;
	/* VERIFY: a share (0 < sample < 1; else all) of the days of each view,
	 * chosen by seed (0: any); and a line for every time bucket, or for
	 * each run of equal ones. */
	double sample;
	uint64_t seed;
	enum tn_batch_details details;
	/* EXPIRE: snapshots that others had followed before this time, or,
	 * where not 0, those with a smaller lsn. The newest stays. ROLLBACK: to
	 * this snapshot, or to the newest with an lsn up to this. */
	int64_t time_us;
	uint64_t lsn;
	uint64_t snapshot;
	struct tn_serving_change *change;      /* APPLY; borrowed. */
	uint64_t erasures;          /* APPLY: when its states were begun. */
	const struct tn_batch_erase *erase;    /* ERASE; borrowed. */
	const struct tn_batch_prepare *prepare;        /* PREPARE; borrowed. */
	/* On the batch thread; the report is valid during the call. */
	void (*done)(void *arg, const struct tn_batch_report *r);
	void *arg;
};
/* Would a cut go along with a load now? Not while a recompute is under way,
 * which it would hold up. Any thread. */
bool tn_batch_may_follow(const struct tn_batch_jobs *b);
/* Queue a job. TN_EFULL: 64 jobs wait already. A cut asked for by timer or
 * rows or memory while one waits is not queued twice: TN_OK, and done is not called; so
 * for one asked for by rows soon after a cut that failed. Any thread. */
TN_MUST_USE enum tn_status tn_batch_post(struct tn_batch_jobs *b,
    const struct tn_batch_request *r);
/* Post and wait. Not on the loop. */
TN_MUST_USE enum tn_status tn_batch_run(struct tn_batch_jobs *b,
    const struct tn_batch_request *r, struct tn_batch_report *out);
/* Settings that may change meanwhile; in force from the next job or tick on. Any
 * thread. */
struct tn_batch_tuned {
	int64_t garbage_us;         /* As of tn_batch_opts; not 0. */
	int64_t cold_after_us;      /* Likewise. */
};
void tn_batch_tune(struct tn_batch_jobs *b, const struct tn_batch_tuned *t);
/* How many erasures this program has published: who folds rows beside batch
 * tells by it that rows have left meanwhile. Any thread. */
uint64_t tn_batch_erasures(const struct tn_batch_jobs *b);
/* The long job under way; run 0: none. Any thread. */
struct tn_batch_work {
	uint64_t run;
	uint64_t rows;               /* Of silver, read so far ... */
	uint64_t total;              /* ... of about so many. */
	uint32_t paused;
};
void tn_batch_progress(struct tn_batch_jobs *b, struct tn_batch_work *out);
/* Columns that silver of a stream is sorted by: sort_by, then its time. */
#define TN_BATCH_SORT_MAX (TN_SQL_SORT_MAX + 1)
uint32_t tn_batch_sort_columns(const struct tn_governance_stream *s,
    uint32_t out[static TN_BATCH_SORT_MAX]);
/* A run that is under way ends at its next step (TN_ECLOSED, "canceled"),
 * waits, or goes on. A job that waits holds up those behind it no more than
 * one that works: cuts pass it, another recompute stands in line.
 * TN_ENOTFOUND: no such run is under way. */
TN_MUST_USE enum tn_status tn_batch_cancel(struct tn_batch_jobs *b,
    uint64_t run);
TN_MUST_USE enum tn_status tn_batch_pause(struct tn_batch_jobs *b,
    uint64_t run, bool on);
/* Compaction goes on until the next one, on a thread of low priority and, for what is
 * short, on the batch thread when it is free.
 * From the first call on it runs only so, but for what is overdue; before, a
 * cut does all of it at its end. Any thread. */
void tn_batch_tick(struct tn_batch_jobs *b);
/* Are these states of a view, folded from silver, those that bronze's raw bytes
 * give, up to the snapshot's lsn? TN_ECONFLICT with the first difference;
 * TN_ELIMIT, TN_EFULL: not to be compared. Any thread but the loop. */
struct tn_batch_states {
	const struct tn_serving_view *view;
	const struct tn_exec_fold *states;
	const struct tn_catalog_snapshot *base;
	struct tn_exec_refs refs;
	/* Asked before each file; another status ends it. May be NULL. */
	enum tn_status (*go_on)(const void *arg, struct tn_diag *d);
	const void *arg;
	uint64_t rows;               /* Set: of bronze, read. */
	uint32_t groups;             /* Set: that were compared. */
};
TN_MUST_USE enum tn_status tn_batch_check_states(struct tn_batch_jobs *b,
    struct tn_batch_states *s, struct tn_diag *d);
/* Silver of tables whose definition changed, anew from bronze; gold of views
 * that are no more is dropped. At start, before speed's replay. Main thread. */
TN_MUST_USE enum tn_status tn_batch_rebuild(struct tn_batch_jobs *b,
    struct tn_diag *d);
/* Views whose definition is new or changed: compute them. At start, after
 * replay. */
TN_MUST_USE enum tn_status tn_batch_mend(struct tn_batch_jobs *b,
    struct tn_diag *d);

#endif

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
	void *speed;
};
struct tn_batch_opts {
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving *serving;
	struct tn_net_pool *pool;
	struct tn_batch_speed speed;
	/* After a cut at ${lsn} is public: the log may be trimmed. */
	void (*published)(void *arg, uint64_t lsn);
	void *arg;
	uint32_t young_files_max;   /* 0: 8 */
	uint64_t slice_rows;        /* Rows held at once; 0: 1000000 */
	int zstd_level;             /* Of lake files; 0: 1 */
	int64_t garbage_us;         /* Keep dropped files; 0: 10 min */
	uint32_t corrections_max;   /* Kept of one run; 0: 200 */
	int64_t corrections_keep_us;   /* 0: 30 days */
};
struct tn_batch_jobs *tn_batch_new(const struct tn_batch_opts *o);
/* Waits for the running job: a cut ends, recompute and verify give up, as do
 * jobs that wait (TN_ECLOSED). */
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
	TN_BATCH_CUT, TN_BATCH_RECOMPUTE, TN_BATCH_VERIFY
};
struct tn_batch_request {
	enum tn_batch_kind kind;
	const char *reason;         /* "timer", "rows", "memory", "request" */
	const char *view;           /* RECOMPUTE, VERIFY; NULL: all. */
	/* On the batch thread; the report is valid during the call. */
	void (*done)(void *arg, const struct tn_batch_report *r);
	void *arg;
};
/* Queue a job. TN_EFULL: 64 jobs wait already. A cut asked for by timer or
 * rows or memory while one waits is not queued twice: TN_OK, and done is not called; so
 * for one asked for by rows soon after a cut that failed. Any thread. */
TN_MUST_USE enum tn_status tn_batch_post(struct tn_batch_jobs *b,
    const struct tn_batch_request *r);
/* Post and wait. Not on the loop. */
TN_MUST_USE enum tn_status tn_batch_run(struct tn_batch_jobs *b,
    const struct tn_batch_request *r, struct tn_batch_report *out);
/* Silver of tables whose definition changed, anew from bronze; gold of views
 * that are no more is dropped. At start, before speed's replay. Main thread. */
TN_MUST_USE enum tn_status tn_batch_rebuild(struct tn_batch_jobs *b,
    struct tn_diag *d);
/* Views whose definition is new or changed: compute them. At start, after
 * replay. */
TN_MUST_USE enum tn_status tn_batch_mend(struct tn_batch_jobs *b,
    struct tn_diag *d);

#endif

/* Shared inside serving: one request on its way, the caches, the live feed. */
#ifndef TN_SERVING_INT_H
#define TN_SERVING_INT_H

#include "serving/serving.h"

struct cached;
struct gold_entry;
struct live_view;

struct tn_serving {
	struct tn_serving_opts o;
	uint64_t lsn;                /* Atomic: newest folded. */
	uint64_t sequence;           /* Atomic: of the snapshot in force. */

	/* Result cache; loop only. */
	struct cached *cache;        /* Newest first. */
	size_t cache_bytes;

	/* Gold states; under the lock. */
	struct tn_net_lock *lock;
	struct gold_entry *gold;     /* Newest first. */
	size_t gold_bytes;

	struct live_view *live;      /* One a view; loop only. */
	struct tn_net_timer *live_timer;
	uint32_t live_count;
	uint64_t live_sequence;      /* Subscribers were told of. */

	struct tn_counter *cache_hits, *cache_misses;
	struct tn_histogram *seconds;
	uint32_t in_flight;          /* Requests; loop only. */
	uint64_t *recomputed;        /* Atomic: groups of each view. */
};

#define TN_SERVING_BOUNDS_MAX 32

/* A request: ask first, so that speed's job is ours. */
struct request {
	struct tn_serving_ask ask;
	struct tn_net_job job;       /* For the pool and the loop. */
	struct tn_serving *s;
	struct tn_arena *arena;
	int64_t begun_us;
	int view;
	enum tn_serving_layer layer;
	enum tn_serving_format format;
	struct tn_exec_bound bounds[TN_SERVING_BOUNDS_MAX];
	uint32_t bound_count;
	uint32_t limit;
	bool newest_first;
	uint64_t before;             /* Quarantine: offsets below. */
	char *key;                   /* Of the cache; NULL: do not keep. */
	struct tn_slice sql;
	const struct tn_sql_select *plan;
	int stream;
	bool only_bad;
	uint32_t tries;
	void (*work)(struct request *r);       /* On the pool, after ask. */
	void (*finished)(struct request *r);   /* On the loop. */
	struct tn_serving_answer *answer;
	void (*done)(void *arg, struct tn_serving_answer *a);
	void *arg;
	struct live_view *live;
	struct tn_budget_share held; /* Merged states, file reads. */
};

#define REQUEST_OF(job_pointer) ((struct request *)((char *)(job_pointer) - \
	offsetof(struct request, job)))

/* ---- request.c ------------------------------------------------------- */

struct request *tn_serving_request_new(struct tn_serving *s);
/* True when too many are on their way: this one then ends. Loop thread. */
bool tn_serving_request_refused(struct request *r);
/* Ask speed, then work() on the pool, then finished() on the loop. */
void tn_serving_request_ask(struct request *r);
/* work() on the pool first (parsing), without asking. */
void tn_serving_request_pool(struct request *r);
/* End with what answer holds: posts finished() to the loop. Any thread. */
void tn_serving_request_end(struct request *r);
/* A failure as the answer; then end. */
void tn_serving_request_fail(struct request *r, enum tn_status st,
    const char *code, const char *message, const char *hint);
/* May the request hold ${bytes} besides what speed gave? If not: TN_EFULL,
 * and ${d} says what fills the memory. */
TN_MUST_USE enum tn_status tn_serving_request_room(struct request *r,
    size_t bytes, struct tn_diag *d);
/* Why there is no merged fold: TN_EFULL for memory, else TN_EIO. */
enum tn_status tn_serving_merge_failed(const struct tn_diag *d);
/* About what reading a file of the lake takes: one row group of it. */
size_t tn_serving_read_bytes(const struct tn_catalog_file *f);
/* Memory is out: that is the answer. Does not end the request. */
void tn_serving_no_memory(struct request *r);
/* Free the answer's parts that speed gave. */
void tn_serving_ask_fini(struct tn_serving_ask *a);
void tn_serving_finish_plain(struct request *r);
void tn_serving_request_free(struct request *r);

/* ---- cache.c --------------------------------------------------------- */

struct tn_serving_answer *tn_serving_cache_get(struct tn_serving *s,
    const char *key);
void tn_serving_cache_put(struct tn_serving *s, const char *key,
    struct tn_serving_answer *a, uint64_t sequence);
void tn_serving_cache_free(struct tn_serving *s);
void tn_serving_gold_free(struct tn_serving *s);

/* ---- merge.c --------------------------------------------------------- */

/* Gold of ask->base (+) tail, by layer and bounds; NULL with ${d}. */
struct tn_exec_fold *tn_serving_merge(struct request *r, struct tn_diag *d);
/* Gold's states of the groups in ${keys}, merged into ${fold}. */
TN_MUST_USE enum tn_status tn_serving_merge_keys(struct tn_serving *s,
    const struct tn_serving_view *v, const struct tn_catalog_snapshot *base,
    const struct tn_exec_fold *keys, struct tn_exec_fold *fold,
    struct tn_diag *d);
/* As TN_EFULL, TN_ENOTFOUND and so on: see tn_serving_settle. For a request's
 * merged fold, by its layer. */
TN_MUST_USE enum tn_status tn_serving_settle_request(struct request *r,
    struct tn_exec_fold *f, struct tn_diag *d);
/* TN_ENOTFOUND: a cut trimmed the log under us. True: speed was asked again on
 * the new base, and work() will be called again. */
bool tn_serving_ask_again(struct request *r, enum tn_status st);
/* Rows of a stream in the log's (after, last]. A status other than TN_OK from
 * each() ends it and is returned. */
struct tail_scan {
	uint32_t stream;             /* Catalog's id. */
	uint64_t after, last;
	enum tn_status (*each)(void *arg, const struct tn_exec_rows *rows);
	void *arg;
	struct tn_diag *d;
};
TN_MUST_USE enum tn_status tn_serving_tail(struct tn_serving *s,
    const struct tail_scan *t);
/* Column filters and ranges to bounds. */
TN_MUST_USE enum tn_status tn_serving_bounds(struct request *r,
    const struct tn_serving_param *params, uint32_t count,
    struct tn_diag *d);

/* ---- encode.c -------------------------------------------------------- */

void tn_serving_encode_begin(struct tn_buf *out, const char *view,
    const struct tn_schema *schema);
void tn_serving_encode_view(struct request *r, struct tn_exec_fold *merged);
void tn_serving_encode_rows(struct request *r, struct tn_batch *b,
    bool truncated);

/* ---- live.c ---------------------------------------------------------- */

void tn_serving_live_start(struct tn_serving *s);
void tn_serving_live_stop(struct tn_serving *s);

#endif

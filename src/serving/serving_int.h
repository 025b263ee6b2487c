/* Shared inside serving: one request on its way, the caches, the live feed. */
#ifndef TN_SERVING_INT_H
#define TN_SERVING_INT_H

#include "serving/serving.h"

#define TN_VIEWS_MORE 256u   /* Definitions that can come while it runs. */

struct cached;
struct gold_entry;
struct live_view;
struct patch;

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
	uint32_t renewed;            /* Atomic: see tn_serving_live_renew; */
	uint32_t live_renewed;       /* what subscribers know of it. */
	uint64_t live_changes;       /* Swaps of definitions that they know. */
	struct tn_serving_live *left;    /* Whose view is gone. */

	struct tn_counter *cache_hits, *cache_misses;
	struct tn_histogram *seconds;
	uint32_t in_flight;          /* Requests; loop only. */
	int64_t *floors;             /* Atomic: one a stream, */
	uint64_t *retired;           /* and as of which LSN. */
	struct kept *kept;           /* One a view; under the lock. */
	uint64_t *recomputed;        /* Atomic: groups of each view. */
};

#define TN_SERVING_BOUNDS_MAX 32

/* From which bucket on a view has its numbers; and for snapshots before
 * ${since}. */
struct kept {
	int64_t us, before;
	uint64_t since;
};

/* What a request asks of the past; see past.c. */
struct past {
	enum { PAST_NOT, PAST_LSN, PAST_TIME } kind;
	int64_t value;               /* As asked for: an LSN or us. */
	uint64_t lsn;                /* What that is. */
	const struct tn_catalog_snapshot *gold;      /* NULL: fold all. */
	const struct tn_catalog_snapshot *silver;
};

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
	struct tn_exec_bound bounds[TN_SERVING_BOUNDS_MAX + 1];
	uint32_t bound_count;
	struct tn_exec_bound *kept;  /* One of them; or NULL. */
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
	struct patch *patches;       /* Of the live feed: one a set of filters. */
	struct tn_budget_share held; /* Merged states, file reads. */
	struct past past;
	struct tn_serving_sink sink; /* COPY ... TO; else rows is NULL. */
	const _Atomic bool *left;    /* Of the asker: nobody waits any more. */
};

#define REQUEST_OF(job_pointer) ((struct request *)((char *)(job_pointer) - \
	offsetof(struct request, job)))

/* ---- model.c --------------------------------------------------------- */

/* In the slot behind the last one; the caller counts it. It has its catalog's
 * id and version when it was named. */
void tn_serving_view_make(struct tn_serving_model *m,
    const struct tn_sql_view *def);
TN_MUST_USE enum tn_status tn_serving_view_name(struct tn_serving_view *v,
    const struct tn_sql_pipeline *p, struct tn_catalog *cat);

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
void tn_serving_no_memory(struct tn_serving_answer *a);
/* TN_ECLOSED once *left is true: nobody waits for what is under way. Asked
 * between files, pieces of them, blocks, and the parts of the work after them;
 * NULL: somebody does. Any thread. */
TN_MUST_USE enum tn_status tn_serving_awaited(const _Atomic bool *left);
TN_MUST_USE enum tn_status tn_serving_request_awaited(
    const struct request *r, struct tn_diag *d);
/* Free the answer's parts that speed gave. */
void tn_serving_ask_fini(struct tn_serving_ask *a);
void tn_serving_finish_plain(struct request *r);
void tn_serving_request_free(struct request *r);

/* ---- cache.c --------------------------------------------------------- */

struct tn_serving_answer *tn_serving_cache_get(struct tn_serving *s,
    const char *key);
void tn_serving_cache_put(struct tn_serving *s, const char *key,
    struct tn_serving_answer *a, uint64_t sequence, bool past);
void tn_serving_cache_free(struct tn_serving *s);
void tn_serving_gold_free(struct tn_serving *s);

/* tn_serving_gold_get for an asker that may leave. */
TN_MUST_USE enum tn_status tn_serving_gold_load(struct tn_serving *s,
    struct tn_serving_gold_slice *p, struct tn_serving_gold **out,
    struct tn_diag *d);

/* ---- merge.c --------------------------------------------------------- */

/* Gold of ask->base (+) tail, by layer and bounds; NULL with ${d}. */
struct tn_exec_fold *tn_serving_merge(struct request *r, struct tn_diag *d);
/* Can a gold file hold groups within the bounds? */
bool tn_serving_may_match(const struct tn_serving_view *v,
    const struct tn_catalog_file *f, const struct tn_exec_bound *bounds,
    uint32_t count);
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
	const _Atomic bool *left;    /* Looked at before each block. */
	struct tn_diag *d;
};
TN_MUST_USE enum tn_status tn_serving_tail(struct tn_serving *s,
    const struct tail_scan *t);
/* Column filters and ranges to bounds. */
TN_MUST_USE enum tn_status tn_serving_bounds(struct request *r,
    const struct tn_serving_param *params, uint32_t count,
    struct tn_diag *d);

/* The rows that groups are made of: their silver columns, and the time they
 * lie in, as far as that can be told. */
struct range {
	uint8_t *used;
	uint32_t column;
	bool bounded;
	int64_t min, max;
	struct tn_column lo, hi;
	struct tn_parquet_bound bound;
};
/* All but used. */
void tn_serving_range_set(struct range *r,
    const struct tn_governance_stream *s, const struct tn_sql_select *select,
    const struct tn_exec_fold *groups);
/* A row of bronze's shape as members of a JSON object, without its braces:
 * lsn, offset, received_at, status, line, source, code, column, reason, raw. */
/* Offsets of quarantined rows that were taken since; see taken.c. */
struct tn_serving_taken {
	uint64_t *offsets;
	size_t count, cap;
	bool sorted;
	uint8_t *looked;         /* Files whose rows are noted. */
	size_t read_bytes;       /* Of the file that is looked through. */
	/* Asked before all of it holds ${bytes}; set by who makes it. */
	enum tn_status (*room)(void *arg, size_t bytes);
	void *arg;
};
void tn_serving_taken_fini(struct tn_serving_taken *t);
size_t tn_serving_taken_bytes(const struct tn_serving_taken *t);
/* What room() says, or TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_serving_taken_note(struct tn_serving_taken *t,
    struct tn_slice source, int64_t line);
bool tn_serving_taken_has(struct tn_serving_taken *t, uint64_t offset);
/* Note what files of bronze say of the rows of files[${i}]. TN_EFULL: room()
 * said no. */
TN_MUST_USE enum tn_status tn_serving_taken_look(struct tn_serving_taken *t,
    struct tn_lake *lake, const struct tn_catalog_file *files, uint32_t n,
    uint32_t i, struct tn_diag *d);
void tn_serving_encode_fate(struct tn_buf *out, const struct tn_batch *bronze,
    uint32_t row);

/* ---- settle.c -------------------------------------------------------- */

/* Column of silver that says when: event time or received time. */
uint32_t tn_serving_time_column(const struct tn_governance_stream *s);

/* ---- past.c ---------------------------------------------------------- */

/* Accepted rows of a stream with LSNs in (after, last]: silver of a snapshot,
 * then the log after it. before() is asked before a file is read, and TN_END
 * leaves it out. each() ends all with TN_END, which is then returned. */
struct lsn_scan {
	uint32_t stream;             /* Index. */
	const struct tn_catalog_snapshot *silver;
	uint64_t after, last;
	const uint8_t *used;         /* The hidden _lsn among them. */
	const struct tn_parquet_bound *bounds;
	uint32_t bound_count;
	bool keep_dictionary;
	enum tn_status (*before)(void *arg, const struct tn_catalog_file *f,
	    struct tn_diag *d);
	enum tn_status (*each)(void *arg, const struct tn_exec_rows *rows);
	void *arg;
	const _Atomic bool *left;    /* Looked at before each piece. */
};
TN_MUST_USE enum tn_status tn_serving_lsn_scan(struct tn_serving *s,
    const struct lsn_scan *w, struct tn_diag *d);
/* Mark the rows of a batch of silver (1: leave out) outside (after, last].
 * False: none is inside. Free marks. */
struct lsn_marks {
	uint8_t *marks;
	uint32_t cap;
};
bool tn_serving_lsn_mark(struct lsn_marks *m, const struct tn_batch *b,
    uint64_t after, uint64_t last);
/* An LSN or a time as text; false: the diag says so. */
bool tn_serving_past_parse(struct request *r, struct tn_slice text);
/* After ask: find the LSN, the gold of a view, silver; the answer's LSNs. */
TN_MUST_USE enum tn_status tn_serving_past_begin(struct request *r,
    struct tn_diag *d);
/* The view's rows after that gold, as ask.fold. */
TN_MUST_USE enum tn_status tn_serving_past_fold(struct request *r,
    struct tn_diag *d);
void tn_serving_past_end(struct request *r);

/* ---- kept.c ---------------------------------------------------------- */

void tn_serving_kept_new(struct tn_serving *s);
/* Numbers that retention has taken are left out: as one more bound, once the
 * snapshot is known; and from what speed gave before. */
void tn_serving_keep(struct request *r,
    const struct tn_catalog_snapshot *base);
void tn_serving_keep_tail(struct request *r);

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

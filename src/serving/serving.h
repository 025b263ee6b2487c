/* serving: answers. Merges gold (batch) and tail (speed) states, filters,
 * finishes, encodes; keeps a result cache by LSN; runs ad-hoc SQL; feeds live
 * subscribers. speed and batch push into it through the types below; it
 * knows neither.
 *
 *   loop: request -> cache? -> ask(speed actor) -> query pool: merge, finish,
 *   encode -> loop: done
 *
 * A tail names the catalog snapshot that it complements, so an answer never
 * mixes two cuts. */
#ifndef TN_SERVING_SERVING_H
#define TN_SERVING_SERVING_H

#include "base/base.h"
#include "catalog/catalog.h"
#include "exec/exec.h"
#include "governance/governance.h"
#include "lake/lake.h"
#include "log/log.h"
#include "net/net.h"
#include "sql/sql.h"

/* ---- the model: what runs -------------------------------------------- */

/* BUILT: its gold is being made, nobody sees it; GONE: another definition of
 * its name took its place, or none. Requests that began before still end. */
enum tn_serving_state { TN_VIEW_LIVE, TN_VIEW_BUILT, TN_VIEW_GONE };
struct tn_serving_view {
	const struct tn_sql_view *def;
	uint32_t id;             /* Catalog's. */
	uint32_t version;
	uint32_t stream;         /* Index into streams. */
	bool by_month;           /* Gold partition: month, else day. */
	bool fresh;              /* New or changed: gold must be computed. */
	uint32_t state;          /* Atomic: ask tn_serving_view_live. */
	struct tn_exec_program *program;
};
/* Streams are as they were at the start. Views are added behind the others
 * while it runs (change.c), and none moves or goes before the end: an index
 * and a pointer stay good. Tables by view have tn_serving_view_slots rows. */
struct tn_serving_model {
	const struct tn_sql_pipeline *pipeline;  /* Atomic: of the newest. */
	struct tn_governance_stream *streams;  /* References among them. */
	uint32_t stream_count;
	struct tn_serving_view *views;
	_Atomic uint32_t view_count;           /* Those of all states. */
	uint32_t slots;
	struct tn_sql_pipeline **older;        /* Of views that were. */
	uint32_t older_count;
	uint64_t changes;                      /* Atomic: swaps so far. */
	size_t state_max;
};
/* Registers every definition in the catalog. Takes the pipeline. */
TN_MUST_USE enum tn_status tn_serving_model_new(
    struct tn_serving_model **out, struct tn_sql_pipeline *pipeline,
    struct tn_catalog *cat, struct tn_diag *d);
void tn_serving_model_free(struct tn_serving_model *m);
/* The shape of a table's silver: its columns, then the hidden ones. Free it with
 * tn_free. */
const struct tn_schema *tn_serving_silver_schema(
    const struct tn_sql_table *t);
/* How large one state of an exact aggregate may be in every view; 0: no
 * limit. Before the first fold. */
void tn_serving_model_state_max(struct tn_serving_model *m, size_t bytes);
int tn_serving_stream_find(const struct tn_serving_model *m,
    struct tn_slice name);                      /* Index or -1. */
int tn_serving_view_find(const struct tn_serving_model *m,
    struct tn_slice name);                      /* A live one. */
bool tn_serving_view_live(const struct tn_serving_model *m, uint32_t view);
/* Most views that there can be. */
uint32_t tn_serving_view_slots(const struct tn_serving_model *m);
/* That of the newest definitions. Any thread. */
const struct tn_sql_pipeline *tn_serving_pipeline(
    const struct tn_serving_model *m);
/* What a view's version covers: its own text and that of its tables. */
void tn_serving_view_text(const struct tn_sql_pipeline *p,
    const struct tn_sql_view *def, struct tn_buf *out);
int tn_serving_stream_by_id(const struct tn_serving_model *m, uint32_t id);

/* ---- definitions that change while it runs ---------------------------- */

/* Views on their way in and out. Made by one thread at a time; the swap is
 * speed's, between two answers. */
struct tn_serving_change {
	struct tn_serving_model *model;
	struct tn_sql_pipeline *pipeline;      /* The model's after the swap. */
	struct tn_serving_built {
		uint32_t view;                 /* Index; BUILT until then. */
		int old;                       /* That it takes the place of;
		                                  -1: it is new. */
		struct tn_exec_fold *states;   /* Of rows up to lsn; owned. */
		uint64_t lsn;
		struct tn_exec_fold *tail;     /* Of those after the cut. */
	} *built;
	uint32_t built_count;
	uint32_t *gone;                        /* Indexes: changed, dropped. */
	uint32_t gone_count;
};
/* A slot for a definition of c->pipeline, which is the model's to free from then
 * on. TN_ELIMIT: no slot is left. */
TN_MUST_USE enum tn_status tn_serving_change_add(
    struct tn_serving_change *c, const struct tn_sql_view *def,
    struct tn_diag *d);
/* That view is on its way out. */
void tn_serving_change_drop(struct tn_serving_change *c, uint32_t view);
/* Registers the built ones in the catalog: new versions. Before gold. */
TN_MUST_USE enum tn_status tn_serving_change_name(
    struct tn_serving_change *c, struct tn_catalog *cat, struct tn_diag *d);
/* The built ones are live, the others gone. Thread: speed. */
void tn_serving_change_swap(struct tn_serving_change *c);
/* Frees what is left of it; slots that were not swapped in are gone. The
 * pipeline stays with the model in any case. */
void tn_serving_change_fini(struct tn_serving_change *c);

/* ---- what speed gives ------------------------------------------------ */

/* Frozen reference tables, counted one by one. */
struct tn_serving_refs {
	struct tn_exec_ref **refs;      /* One a reference table ... */
	const char **names;
	uint32_t count;
};
void tn_serving_refs_fini(struct tn_serving_refs *r);
struct tn_exec_refs tn_serving_refs_view(const struct tn_serving_refs *r);

/* A question to the speed layer. The asker fills the first part, speed the
 * second, then calls done on its own thread, which must hand over at once. */
struct tn_serving_ask {
	struct tn_net_job job;          /* First; used by speed. */
	void *answerer;                 /* Used by speed. */
	int view;                       /* Index, or -1: no fold wanted. */
	bool changed_only;              /* Groups since the last such question. */
	bool want_fold;                 /* false: only base and last. */
	const struct tn_exec_bound *bounds;
	uint32_t bound_count;
	void (*done)(struct tn_serving_ask *ask);

	const struct tn_catalog_snapshot *base;  /* Put it back. */
	uint64_t last;                  /* Newest LSN folded. */
	struct tn_exec_fold *fold;      /* States of (base->lsn, last]; owned. */
	/* To a changed_only question: the groups that changed (owned; their
	 * states may have moved to gold since, so fold need not have them), or
	 * lost: what changed before ${last} is not known, ask for all. */
	struct tn_exec_fold *touched;
	bool lost;
	bool refused;                   /* No memory for the fold. */
	bool gone;                      /* The view is, for a while. */
	struct tn_budget_share held;    /* What fold and touched have. */
	struct tn_serving_refs refs;    /* Owned. */
};
/* How to reach the speed layer; given by app. */
struct tn_serving_speed {
	void (*ask)(void *speed, struct tn_serving_ask *ask);  /* Any thread. */
	void *speed;
};

/* ---- serving --------------------------------------------------------- */

struct tn_serving;
struct tn_serving_opts {
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;       /* Query workers. */
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_speed speed;
	size_t cache_bytes;             /* Results; 0: 16 MiB. */
	size_t gold_bytes;              /* Loaded gold states; 0: 128 MiB. */
	size_t query_bytes;             /* One query; 0: 256 MiB. */
	uint32_t rows_max;              /* Rows of one answer; 0: 100000. */
	uint32_t live_ms;               /* Least time between live patches; 0: 100. */
	uint32_t live_max;              /* Subscribers; 0: 256. */
};
struct tn_serving *tn_serving_new(const struct tn_serving_opts *o);
void tn_serving_free(struct tn_serving *s);
/* Newest LSN that is folded, for caches and ETags. speed calls it after each
 * commit it folded, from its own thread; so many rows of that stream. */
void tn_serving_advance(struct tn_serving *s, uint64_t lsn);
/* The speed layer has taken the newest catalog snapshot as its base. */
void tn_serving_published(struct tn_serving *s);
uint64_t tn_serving_lsn(const struct tn_serving *s);   /* Any thread. */
/* Memory presses: drop what the caches keep. Loop thread. */
void tn_serving_shrink(struct tn_serving *s);

enum tn_serving_layer { TN_LAYER_MERGED, TN_LAYER_BATCH, TN_LAYER_SPEED };
enum tn_serving_format { TN_FORMAT_JSON, TN_FORMAT_CSV, TN_FORMAT_NDJSON };

struct tn_serving_param {
	struct tn_slice name;           /* Output column, from, to */
	struct tn_slice value;
};
/* An answer: bytes to send, shared with the cache. */
struct tn_serving_answer {
	enum tn_status status;
	struct tn_diag diag;            /* When not TN_OK. */
	struct tn_buf body;
	uint64_t lsn;
	uint64_t batch_lsn;
	uint32_t rows;
	/* Groups whose exact answer was found again from rows, and the time it
	 * took; see tn_serving_settle. */
	uint32_t recomputed;
	int64_t recompute_us;
	uint32_t refs;                  /* Atomic. */
	struct tn_budget_share held;    /* Of the body. */
};
void tn_serving_answer_unref(struct tn_serving_answer *a);
/* An answer that serving did not make (of a CALL), one reference for the
 * caller, and rows into it. Any thread. */
struct tn_serving_answer *tn_serving_answer_new(void);
void tn_serving_encode(struct tn_serving_answer *a, enum tn_serving_format f,
    struct tn_batch *b);

/* A view: params are column filters (equal), from/to on the time bucket
 * (from inclusive, to exclusive; ISO times, or now-24h). Unknown names are an
 * error with the columns named. limit 0: rows_max. newest_first: order by
 * the bucket descending. done is called on the loop, later; the answer is
 * the callee's to unref. Loop thread. */
struct tn_serving_view_request {
	struct tn_slice view;
	enum tn_serving_layer layer;
	enum tn_serving_format format;
	const struct tn_serving_param *params;
	uint32_t param_count;
	uint32_t limit;
	bool newest_first;
	/* As it was at an LSN ("1234") or time (ISO, now-1h); p NULL: now. Only
	 * the merged layer, not live. */
	struct tn_slice as_of;
	const _Atomic bool *left;       /* As of SQL; not looked at by live. */
};
void tn_serving_view_get(struct tn_serving *s,
    const struct tn_serving_view_request *r,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);
/* Why this number: the row as each layer has it, the gold files it comes
 * from, and the rows of the stream that it counts, newest first, each with
 * what bronze keeps of it (raw bytes, source, time received, outcome). Params
 * as for a view; all groups of a row for one number, fewer for a sum of them.
 * limit 0: 20; at most 1000. Format and layer are not looked at. Loop thread. */
void tn_serving_explain(struct tn_serving *s,
    const struct tn_serving_view_request *r,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);
/* What from and to take: an ISO time, a date, now-24h. Any thread. */
bool tn_serving_time(struct tn_slice text, int64_t *us);
/* Ad-hoc SQL. Loop thread, as above. */
/* Where the rows of COPY (...) TO go, on a pool thread. begin may come again,
 * when a cut made the query begin anew: what it took is void then. end: all
 * rows were given. After a failure of any of them, or of the query, none of
 * them is called any more. */
struct tn_serving_sink {
	enum tn_status (*begin)(void *arg, const struct tn_schema *schema,
	    struct tn_diag *d);
	enum tn_status (*rows)(void *arg, const struct tn_batch *b,
	    struct tn_diag *d);
	enum tn_status (*end)(void *arg, struct tn_diag *d);
	void *arg;
};
struct tn_serving_sql_request {
	struct tn_slice text;            /* With a sink: a COPY ... TO. */
	struct tn_serving_sink sink;     /* rows NULL: answer with rows. */
	enum tn_serving_format format;
	enum tn_serving_layer layer;    /* Of views read. */
	const _Atomic bool *left;       /* NULL, or until done: true once nobody
	                                 * waits; what is under way then ends. */
};
void tn_serving_sql(struct tn_serving *s,
    const struct tn_serving_sql_request *r,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);
#define TN_SERVING_FATES_MAX 1000u      /* limit of the two below. */
/* Quarantined rows of a stream, but those that a changed definition took since,
 * newest first: JSON rows with lsn, offset,
 * received_at, source, line, code, column, reason, raw. Loop thread. */
void tn_serving_quarantine(struct tn_serving *s, struct tn_slice stream,
    uint32_t limit, uint64_t before_offset,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);
/* The newest rows of a stream with their fate, for the live tail. */
void tn_serving_recent(struct tn_serving *s, struct tn_slice stream,
    uint32_t limit,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);

/* Live: message() gets JSON texts on the loop: first {"type":"snapshot",...}
 * as a view's answer, then {"type":"rows","lsn":n,"columns":..,"rows":[..]} with changed rows,
 * and {"type":"cut","batch_lsn":n} at a cut. NULL with ${d} when the view is unknown or
 * live_max is reached. Loop thread. */
struct tn_serving_live;
struct tn_serving_live *tn_serving_live_open(struct tn_serving *s,
    const struct tn_serving_view_request *r,
    void (*message)(void *arg, struct tn_slice json), void *arg,
    struct tn_diag *d);
void tn_serving_live_close(struct tn_serving_live *l);

/* ---- for batch: gold states ------------------------------------------ */

/* Load the states of one gold file (through the cache), a reference of the
 * caller: immutable, counted. Not on the loop. */
struct tn_serving_gold {
	struct tn_exec_fold *fold;
	uint32_t refs;
	struct tn_budget_share held;
};
TN_MUST_USE enum tn_status tn_serving_gold_get(struct tn_serving *s,
    const struct tn_serving_view *v, const struct tn_catalog_file *f,
    struct tn_serving_gold **out, struct tn_diag *d);
void tn_serving_gold_put(struct tn_serving *s, struct tn_serving_gold *g);
/* The same if they are in the cache, else NULL. */
struct tn_serving_gold *tn_serving_gold_cached(struct tn_serving *s,
    const struct tn_catalog_file *f);
/* The states of some groups of a file, for one who writes them anew: the
 * caller's, neither cached nor counted. TN_ELIMIT: they are more than bytes_max
 * (0: no limit), as was seen after ${rows} rows of the file. */
struct tn_serving_gold_slice {
	const struct tn_serving_view *view;
	const struct tn_catalog_file *file;
	struct tn_exec_slice slice;
	size_t bytes_max;
	const _Atomic bool *left;        /* NULL, or once true: TN_ECLOSED. */
	uint64_t rows;           /* Set. */
};
TN_MUST_USE enum tn_status tn_serving_gold_slice(struct tn_serving *s,
    struct tn_serving_gold_slice *p, struct tn_exec_fold **out,
    struct tn_diag *d);

/* From which snapshot on the gold of a view is of its present version and of
 * all rows: batch writes it down as the catalog's small value of this name
 * (with the view's id), "version sequence". */
#define TN_SERVING_WHOLE "whole:%u"
/* TN_ENOTFOUND: it is not so in ${snapshot}. Not on the loop. */
TN_MUST_USE enum tn_status tn_serving_whole(struct tn_serving *s,
    const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *snapshot);
/* The states of a view's rows with LSNs in (after, last]; *out is the
 * caller's. TN_ELIMIT, TN_EFULL; TN_ENOTFOUND: the log was trimmed meanwhile.
 * Not on the loop. */
struct tn_serving_lsns {
	const struct tn_serving_view *view;
	/* Has the rows up to its lsn; those after it are in the log. */
	const struct tn_catalog_snapshot *silver;
	uint64_t after, last;
	struct tn_exec_refs refs;        /* Frozen at last, or later. */
	const struct tn_exec_bound *bounds;      /* Groups wanted. */
	uint32_t bound_count;
	enum tn_budget_class memory;
	size_t memory_max;               /* Of the states; 0: the budget. */
	/* Asked before each file; another status ends it. May be NULL. */
	enum tn_status (*go_on)(const void *arg, struct tn_diag *d);
	const void *arg;
	const _Atomic bool *left;        /* NULL, or once true: TN_ECLOSED. */
	uint64_t rows;                   /* Set: that were folded. */
};
TN_MUST_USE enum tn_status tn_serving_fold_lsns(struct tn_serving *s,
    struct tn_serving_lsns *w, struct tn_exec_fold **out,
    struct tn_diag *d);

/* Find the answers of ${f} that its states do not hold (see
 * tn_exec_fold_settle) from the rows that it was made of: silver of ${base},
 * and the log's (after, last]. No more is read than their buckets need, in
 * memory of query_bytes. TN_OK at once when all is known. TN_ELIMIT,
 * TN_EFULL; TN_ENOTFOUND: the log was trimmed meanwhile. Not on the loop. */
struct tn_serving_settle {
	const struct tn_serving_view *view;
	const struct tn_catalog_snapshot *base;  /* NULL: no silver. */
	const struct tn_catalog_file *more;      /* Files to be published: */
	uint32_t more_count;                     /* silver among them counts. */
	const uint64_t *drop;           /* Files of base that do not count. */
	uint32_t drop_count;
	uint64_t after, last;           /* Equal: nothing of the log. */
	uint64_t lsn_max;               /* Of silver rows; 0: all. */
	struct tn_exec_refs refs;       /* Frozen at last, or later. */
	enum tn_budget_class memory;
	/* Asked before each file; another status ends it. May be NULL. */
	enum tn_status (*go_on)(const void *arg, struct tn_diag *d);
	const void *arg;
	const _Atomic bool *left;       /* NULL, or once true: TN_ECLOSED. */
	/* Out: */
	uint32_t groups;                /* That had no answer. */
	int64_t took_us;
};
/* The event times of the rows that buckets in [*min_us, *max_us] (as in the
 * times of gold files) are made of; false: that cannot be told. */
bool tn_serving_rows_of(const struct tn_governance_stream *s,
    const struct tn_sql_select *q, int64_t *min_us, int64_t *max_us);
/* Rows of a stream before that event time may be gone (retention): groups
 * that reach below it are not settled any more. INT64_MIN: none. The last of
 * them went when ${lsn} was the newest: before, the stream had more. Any
 * thread. */
void tn_serving_floor_set(struct tn_serving *s, uint32_t stream, int64_t us,
    uint64_t lsn);
/* Published numbers are others, or gone, without a new row: every live
 * subscriber gets a snapshot with the next tick. Any thread. */
void tn_serving_live_renew(struct tn_serving *s);
int64_t tn_serving_floor(const struct tn_serving *s, uint32_t stream);
/* Numbers of a view in time buckets before that one are gone by its retention
 * and not shown; INT64_MIN: none are. Raise it before their files go. After a
 * recompute brought some back it is lowered, for that snapshot and later ones.
 * Any thread. */
int64_t tn_serving_gold_floor(const struct tn_serving *s, uint32_t view);
void tn_serving_gold_floor_raise(struct tn_serving *s, uint32_t view,
    int64_t us);
void tn_serving_gold_floor_lower(struct tn_serving *s, uint32_t view,
    int64_t us, uint64_t sequence);
/* That floor as a bound of groups, in ${a}; false: there is none. */
bool tn_serving_kept_bound(const struct tn_serving_view *v, int64_t us,
    struct tn_arena *a, struct tn_exec_bound *out);
/* Groups of a view settled since the start. Any thread. */
uint64_t tn_serving_recomputed(const struct tn_serving *s, uint32_t view);
size_t tn_serving_query_bytes(const struct tn_serving *s);
TN_MUST_USE enum tn_status tn_serving_settle(struct tn_serving *s,
    struct tn_serving_settle *w, struct tn_exec_fold *f, struct tn_diag *d);

#endif

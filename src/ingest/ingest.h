/* ingest: the protocol-free intake. A door begins a body, feeds bytes as they
 * arrive, ends it and gets one answer after the sync.
 *
 *   loop      gather bytes; small bodies of a turn travel together
 *   decoder   inflate, split, gate (decode and check), pack
 *   writer    duplicates, one commit for all, sync; then speed and answers
 *
 * A body larger than a chunk is committed chunk by chunk in bounded memory;
 * its answer adds them up. When queues are full, feed says so and the door
 * stops reading. */
#ifndef TN_INGEST_INGEST_H
#define TN_INGEST_INGEST_H

#include "base/base.h"
#include "codec/codec.h"
#include "governance/governance.h"
#include "lake/lake.h"
#include "log/log.h"
#include "net/net.h"
#include "serving/serving.h"

struct tn_ingest;
struct tn_ingest_opts {
	struct tn_net_loop *loop;
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	uint32_t decoders;          /* Threads; 0: one less than cores, 1..4. */
	size_t chunk_bytes;         /* Raw bytes of a commit; 0: 1 MiB. */
	size_t row_bytes_max;       /* 0: 1 MiB. */
	size_t pending_bytes_max;   /* All bodies in flight; 0: 64 MiB. */
	uint32_t errors_max;        /* Errors in an answer; 0: 100. */
	int zstd_level;             /* Of the log; 0: 1. */
	int64_t idempotency_us;     /* How long keys are kept; 0: 24 h. */
	int64_t idempotency_min_us; /* What memos are kept beyond that. */
	/* Committed rows, in commit order; the callee refs what it keeps.
	 * Thread: writer. */
	void (*committed)(void *arg, struct tn_governance_rows *rows);
	/* Bytes that the speed layer has not folded yet. */
	size_t (*backlog)(void *arg);
	size_t backlog_max;         /* 0: 256 MiB. */
	void *arg;
};
struct tn_ingest *tn_ingest_new(const struct tn_ingest_opts *o);
/* Most bytes that the rows of one block have with such limits, however badly
 * they compress; the reasons of bad rows come on top. Any thread. */
uint64_t tn_ingest_block_bytes(size_t chunk_bytes, size_t row_bytes_max);
/* Wait until all that was given to the threads so far is committed; what a
 * route still gathers is not. Any thread but the running loop's and ours. */
void tn_ingest_flush(struct tn_ingest *g);
/* Finish what was taken and stop the threads; their last answers are posted
 * to the loop (tn_net_loop_settle). Main thread, after the loop has stopped
 * and before free. */
void tn_ingest_stop(struct tn_ingest *g);
void tn_ingest_free(struct tn_ingest *g);

/* Remember the keys of rows already in the log (at start, before the first
 * body) or open key files. TN_ENOMEM. Thread: main, before the loop
 * runs. */
TN_MUST_USE enum tn_status tn_ingest_recall(struct tn_ingest *g,
    const struct tn_governance_rows *rows);
/* The key files in force after a cut; keys at or below its LSN may be
 * forgotten in memory. Opens them off the writer. When a file cannot be
 * opened, its stream goes on with the files and keys it has, which is right
 * until the next start; d says which. Any thread. */
TN_MUST_USE enum tn_status tn_ingest_published(struct tn_ingest *g,
    const struct tn_catalog_snapshot *s, struct tn_diag *d);
/* Trim the log at or below ${lsn} on the writer. Any thread. */
void tn_ingest_trim(struct tn_ingest *g, uint64_t lsn);
/* The log's next segment begins (tn_log_begin_segment), waiting for the
 * writer; and trims now: true when nothing up to ${lsn} is left in the log. Any
 * thread but the loop and ours. */
TN_MUST_USE enum tn_status tn_ingest_roll(struct tn_ingest *g,
    uint64_t *last);
bool tn_ingest_trimmed(struct tn_ingest *g, uint64_t lsn);

struct tn_ingest_error {
	uint64_t row;               /* Of the body, from 0. */
	uint64_t line;
	const char *code;
	const char *column;
	const char *message;
};
struct tn_ingest_result {
	enum tn_status status;      /* TN_OK: the batch was taken. */
	struct tn_diag diag;        /* When not; counts tell what was taken. */
	uint64_t accepted;
	uint64_t quarantined;
	uint64_t duplicates;
	bool has_offset;
	uint64_t first_offset;
	uint64_t last_offset;
	uint64_t lsn;               /* Of the last commit. */
	bool replayed;              /* Idempotency-Key seen before. */
	const struct tn_ingest_error *errors;   /* Valid during done(). */
	uint32_t error_count;
};
struct tn_ingest_body;
struct tn_ingest_request {
	struct tn_slice stream;
	struct tn_codec_spec *spec; /* Taken over, also on failure. */
	enum tn_coding coding;
	const char *source;         /* "http 127.0.0.1"; copied. */
	struct tn_slice idempotency_key;    /* Empty: none; at most 255. */
	int64_t keep_us;            /* How long the key is remembered; 0: as
	                             * the setting says. */
	/* Called once on the loop, after end (or earlier when it failed: then
	 * feed takes and drops all). The body is gone afterwards. */
	void (*done)(void *arg, const struct tn_ingest_result *r);
	/* Called on the loop when a body that was told TN_EFULL may go on. */
	void (*resume)(void *arg);
	void *arg;
};
/* TN_ENOTFOUND: no such stream. TN_EFULL: overloaded, try later. TN_ECLOSED:
 * the log refuses (d says why). TN_ENOSPC. TN_ECONFLICT: a body with this key is in
 * flight. Loop thread. */
TN_MUST_USE enum tn_status tn_ingest_begin(struct tn_ingest *g,
    struct tn_ingest_request *r, struct tn_ingest_body **body,
    struct tn_diag *d);
/* Take bytes; TN_EFULL: took none, resume() will be called. Loop thread. */
TN_MUST_USE enum tn_status tn_ingest_feed(struct tn_ingest_body *b,
    struct tn_slice bytes);
/* All of ${bytes}, which are empty then: where it can it takes the memory and
 * gives other for it, so that a large piece is not copied. As feed. */
TN_MUST_USE enum tn_status tn_ingest_feed_whole(struct tn_ingest_body *b,
    struct tn_buf *bytes);
/* No more bytes. done() follows, never from inside. Loop thread. */
void tn_ingest_end(struct tn_ingest_body *b);
/* The sender went away: done() and resume() will not be called. Rows already
 * complete may still be committed. Loop thread. */
void tn_ingest_abort(struct tn_ingest_body *b);

/* The key of a body that was kept for longer than usual is needed no more:
 * from now on it lives as long as any other. Any thread. */
void tn_ingest_key_release(struct tn_ingest *g, uint32_t stream,
    struct tn_slice key);

/* ---- quarantined rows tried again; see again.c ------------------------- */

/* At the start, when a definition changed: those that pass now are committed
 * as new rows. Main thread, after recall, before the loop runs. */
struct tn_ingest_again;
struct tn_ingest_again_counts {
	uint64_t tried, accepted, duplicates;
};
struct tn_ingest_again *tn_ingest_again_new(struct tn_ingest *g,
    uint32_t stream);
/* Rows of a block with a non-zero byte in ${want}. After a failure only free
 * follows; what was committed stays. */
TN_MUST_USE enum tn_status tn_ingest_again_block(struct tn_ingest_again *x,
    const struct tn_log_block *b, const uint8_t *want, struct tn_diag *d);
/* The last rows, too, are committed. */
TN_MUST_USE enum tn_status tn_ingest_again_end(struct tn_ingest_again *x,
    struct tn_ingest_again_counts *out, struct tn_diag *d);
void tn_ingest_again_free(struct tn_ingest_again *x);

/* ---- messages of a broker -------------------------------------------- */

/* A way from topics to a stream: pattern and stream, made at start. Messages
 * of one route are committed in order of giving, many in one block. */
struct tn_ingest_route;
/* ${stream}: index in the model; the pattern is good (sql checked it). */
struct tn_ingest_route *tn_ingest_route_new(struct tn_ingest *g,
    uint32_t stream, const char *pattern);
const struct tn_codec_topic *tn_ingest_route_topic(
    const struct tn_ingest_route *r);
uint32_t tn_ingest_route_stream(const struct tn_ingest_route *r);
/* No done() is called any more for messages on their way. */
void tn_ingest_route_free(struct tn_ingest_route *r);

/* Something to be remembered in the commit of the messages that name it, all
 * of one route: write() is called once a batch, on the loop, before it is
 * handed over, and appends key (1..400 bytes) and value; of the batches of a
 * commit the last one counts. ${listed} is ingest's. */
struct tn_ingest_memo {
	void (*write)(struct tn_ingest_memo *m, struct tn_buf *key,
	    struct tn_buf *value);
	bool listed;
};
/* What was remembered last, in ${a}. TN_ENOTFOUND. Any thread. */
TN_MUST_USE enum tn_status tn_ingest_memo_get(struct tn_ingest *g,
    struct tn_slice key, struct tn_arena *a, struct tn_slice *value);

struct tn_ingest_outcome {
	enum tn_status status;      /* TN_OK: committed. */
	const char *why;            /* When not: a sentence. */
	uint32_t accepted, quarantined, duplicates;
	const char *reason;         /* Of its first quarantined row, or NULL. */
	int64_t now_us;              /* Wall clock. */
};
struct tn_ingest_message {
	struct tn_ingest_route *route;
	struct tn_slice client, topic, payload;      /* Copied. */
	struct tn_ingest_memo *memo;                 /* Or NULL. */
	/* Its client waits for the answer: it has no other message under way,
	 * and sends the next one afterwards. */
	bool alone;
	/* Once, on the loop, later. */
	void (*done)(void *arg, const struct tn_ingest_outcome *o);
	void *arg;
};
/* May a message be given now? TN_EFULL: overloaded, look again in some
 * milliseconds. TN_ECLOSED: the log has failed. Loop thread. */
TN_MUST_USE enum tn_status tn_ingest_room(struct tn_ingest *g);
/* Was the last commit refused for want of disk? Any thread. */
bool tn_ingest_no_space(const struct tn_ingest *g);
void tn_ingest_message(struct tn_ingest *g,
    const struct tn_ingest_message *m);
/* Hand over what was gathered now; no memo is listed afterwards. */
void tn_ingest_messages_send(struct tn_ingest *g);

/* What the Streams page shows. Any thread. */
struct tn_ingest_stats {
	uint64_t accepted, quarantined, duplicates, bytes;
	int64_t last_us;            /* Last commit, 0: none since start. */
	double rate;                /* Events a second, over the last 10 s. */
};
void tn_ingest_stats(const struct tn_ingest *g, uint32_t stream,
    struct tn_ingest_stats *out);

#endif

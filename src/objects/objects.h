/* objects: images and other files beside the events. A file is kept once, by
 * its SHA-256; names ("bucket/key") refer to it; each put and delete is also
 * an event of the stream `objects`, so that SQL and views see them.
 *
 *   DATA/lake/objects/ab/cd/<sha256>   contents, never changed
 *   DATA/lake/objects/tmp/<hex>        being received; emptied at start
 *   DATA/objects.mdb                   names, counts, events not yet told
 *
 * An answer comes when the file, its name and its event are synced. The room
 * knows no protocol: http asks it, app gives it the way to ingest. */
#ifndef TN_OBJECTS_OBJECTS_H
#define TN_OBJECTS_OBJECTS_H

#include "base/base.h"
#include "codec/codec.h"
#include "net/net.h"

#define TN_OBJECTS_BUCKET_MAX 63
#define TN_OBJECTS_KEY_MAX 400
#define TN_OBJECTS_TYPE_MAX 127
#define TN_OBJECTS_META_MAX 4096         /* Metadata as JSON, bytes. */
#define TN_OBJECTS_FEED_MAX 65536        /* Bytes of one feed. */

/* The built-in stream that takes the events. */
extern const char tn_objects_stream[];   /* "objects" */
extern const char tn_objects_sql[];      /* Its CREATE TABLE. */

struct tn_objects;
/* What became of a row given to opts.event. */
struct tn_objects_told {
	enum tn_status status;      /* TN_OK: it is synced. */
	uint64_t lsn;
	const struct tn_diag *diag; /* When not; valid during the call. */
};
struct tn_objects_opts {
	struct tn_net_loop *loop;
	const char *data;           /* DATA */
	uint32_t threads;           /* That receive and look up; 0: 4. */
	uint64_t bytes_max;         /* Of an object; 0: 1 GiB. */
	uint64_t index_bytes_max;   /* Of objects.mdb; 0: 4 GiB. */
	uint64_t reserve_bytes;     /* Of the disk, kept free. */
	uint32_t uploads_max;       /* At once; 0: 32. */
	int64_t keep_us;            /* A content without names stays so long. */
	int64_t wait_us;            /* Nothing is old for so long after the
	                             * clock leapt by days; 0: it is. */
	/* "photos=30 days, *=400 days"; "" or NULL: for ever. */
	const char *retention;
	/* Take one row, a JSON object (copied), as by another door. told()
	 * comes once, later, on the loop, when TN_OK is returned. */
	enum tn_status (*event)(void *arg, struct tn_slice row,
	    const char *source, void (*told)(void *op,
	    const struct tn_objects_told *t), void *op, struct tn_diag *d);
	void *arg;
};
/* Opens the index, empties tmp, tells events that a crash left untold, then
 * looks for files that no name knows. TN_EINVAL: retention. TN_ECORRUPT: the
 * index is damaged, or missing beside contents. Main thread, before the loop
 * runs; ${o} is copied but data and retention, which live as long. */
TN_MUST_USE enum tn_status tn_objects_open(struct tn_objects **out,
    const struct tn_objects_opts *o, struct tn_diag *d);
/* keep_us is another from now on. NULL is nothing. Any thread. */
void tn_objects_keep(struct tn_objects *o, int64_t keep_us);
/* After the loop has stopped: end its threads (what they post is run by
 * tn_net_loop_settle), then free. NULL is fine. */
void tn_objects_stop(struct tn_objects *o);
void tn_objects_free(struct tn_objects *o);

/* A retention text that parses; d says what is wrong. Any thread. */
TN_MUST_USE enum tn_status tn_objects_retention_check(const char *text,
    struct tn_diag *d);

/* ---- what is asked for ------------------------------------------------ */

/* One object, or one content (then key is ""). Texts live during the call
 * that gives it. */
struct tn_objects_info {
	struct tn_slice bucket, key;
	char sha256[65];
	uint64_t bytes;
	struct tn_slice type;       /* Media type. */
	struct tn_slice metadata;   /* A JSON object. */
	uint32_t width, height;     /* 0: unknown. */
	bool has_taken;
	int64_t taken_us;
	char taken_offset[8];
	int64_t uploaded_us;
	uint64_t names;             /* Of a content: how many refer to it. */
};
/* JSON of it, without braces. */
void tn_objects_put_info(struct tn_buf *out,
    const struct tn_objects_info *i);

/* What an operation came to; valid during the call of done(). */
struct tn_objects_result {
	enum tn_status status;
	struct tn_diag diag;
	struct tn_objects_info info;
	const char *path;           /* find: where the content lies. */
	uint64_t lsn;               /* put, delete: of the event. */
	bool created;               /* put: there was no such name. */
	bool removed;               /* delete: the content is gone, too. */
	struct tn_slice json;       /* list: the whole answer. */
};
typedef void tn_objects_done(void *arg, const struct tn_objects_result *r);

/* Is it a name? TN_EINVAL with ${d}: bucket of 3 to 63 letters a-z, digits,
 * '-', '.', '_'; key of 1 to 400 bytes of UTF-8 without controls, no segment
 * empty, "." or "..". Any thread. */
TN_MUST_USE enum tn_status tn_objects_name_check(struct tn_slice bucket,
    struct tn_slice key, struct tn_diag *d);

/* What must hold of the present object of a name. */
struct tn_objects_if {
	bool absent;                /* There is none. */
	bool same;                  /* None, or one of the put's content. */
	struct tn_slice match;      /* Its ETag is in this list, or "*";
	                             * p NULL: do not look. */
};

struct tn_objects_put {
	struct tn_slice bucket, key;        /* All copied. */
	struct tn_slice type;               /* As declared; may be empty. */
	struct tn_slice metadata;           /* JSON object; may be empty. */
	const char *source;                 /* "http 10.0.0.7" */
	bool has_bytes;                     /* bytes: what will come. */
	uint64_t bytes;
	struct tn_slice sha256;             /* 64 hex digits, or empty. */
	struct tn_slice md5;                /* 16 bytes, or empty. */
	struct tn_objects_if must;
	/* Once on the loop, after end, or earlier when it failed: then feed
	 * takes and drops all. The upload is gone afterwards. */
	tn_objects_done *done;
	void (*resume)(void *arg);          /* Told TN_EFULL: go on. */
	void *arg;
};
struct tn_objects_upload;
/* TN_EINVAL: name or type. TN_ELIMIT: too large. TN_ENOSPC. TN_EFULL: too
 * many at once, or memory. TN_ECLOSED. The end: TN_ECONFLICT, TN_EDENIED
 * (must.same). Loop thread, as all below. */
TN_MUST_USE enum tn_status tn_objects_put_begin(struct tn_objects *o,
    const struct tn_objects_put *p, struct tn_objects_upload **out,
    struct tn_diag *d);
/* At most FEED_MAX bytes. TN_EFULL: took none, resume() will come. */
TN_MUST_USE enum tn_status tn_objects_put_feed(struct tn_objects_upload *u,
    struct tn_slice bytes);
void tn_objects_put_end(struct tn_objects_upload *u);
/* The sender went away: no call any more. What was ended may still come to
 * pass. */
void tn_objects_put_abort(struct tn_objects_upload *u);

/* The object of a name; key empty and bucket 64 hex digits: a content.
 * TN_ENOTFOUND, TN_ECORRUPT: named, but the file is gone. TN_EFULL is given
 * through done, too. */
void tn_objects_find(struct tn_objects *o, struct tn_slice bucket,
    struct tn_slice key, tn_objects_done *done, void *arg);
/* Take the name away. erase: the content, too, at once, unless another name
 * has it. TN_ENOTFOUND, TN_ECONFLICT (${must}). */
struct tn_objects_delete {
	struct tn_slice bucket, key;
	const char *source;
	bool erase;
	struct tn_objects_if must;
};
void tn_objects_delete(struct tn_objects *o,
    const struct tn_objects_delete *q, tn_objects_done *done, void *arg);
/* Names of a bucket in byte order; an empty bucket: all buckets. */
struct tn_objects_list {
	struct tn_slice bucket, prefix, after;
	uint32_t limit;
};
void tn_objects_list(struct tn_objects *o, const struct tn_objects_list *q,
    tn_objects_done *done, void *arg);

/* How many names there are, and the bytes behind them: a content with two
 * names counts twice. Any thread. */
void tn_objects_usage(const struct tn_objects *o, uint64_t *count,
    uint64_t *bytes);

/* Largest object. */
uint64_t tn_objects_bytes_max(const struct tn_objects *o);

#endif

/* Shared inside the objects room.
 *
 * Threads: the loop owns operations and the list of events to tell; a pool
 * receives contents into tmp and reads the index; one actor, the keeper,
 * alone gives contents their place, writes the index and removes contents, so
 * that a content cannot be removed while a name is being given to it. */
#ifndef TN_OBJECTS_INT_H
#define TN_OBJECTS_INT_H

#include "governance/governance.h"
#include "log/log.h"
#include "objects/objects.h"
#include "os/os.h"
#include "record/record.h"

#define SHA_BYTES 32
#define SHA_HEX 64
#define NAME_MAX_BYTES (1 + TN_OBJECTS_BUCKET_MAX + 1 + TN_OBJECTS_KEY_MAX)
#define PIECE_BYTES (256u * 1024)
#define HEAD_BYTES (1024u * 1024)        /* Looked at by codec's image. */
#define SPACE_STEP (8u * 1024 * 1024)    /* The disk is looked at so often. */
#define FINDS_MAX 4096                   /* Under way. */
#define UNTOLD_MAX 1000                  /* Then changes are refused. */
#define RULES_MAX 32

/* ---- records (record.c) ---------------------------------------------- */

/* 'n' bucket '/' key. Texts borrow the arena it was read into. */
struct name {
	uint8_t sha[SHA_BYTES];
	uint64_t bytes;
	int64_t uploaded_us;
	struct tn_codec_image image;
	struct tn_slice type, metadata;
};
/* 'c' sha */
struct content {
	uint64_t names;
	uint64_t bytes;
	int64_t gone_us;         /* Since when names is 0. */
	struct tn_slice type;
};
/* 'b' bucket */
struct bucket {
	uint64_t objects;
	uint64_t bytes;
};
void tn_objects_name_key(struct tn_buf *out, struct tn_slice bucket,
    struct tn_slice key);
void tn_objects_name_put(struct tn_buf *out, const struct name *n);
bool tn_objects_name_get(struct tn_slice s, struct name *n);
void tn_objects_content_put(struct tn_buf *out, const struct content *c);
bool tn_objects_content_get(struct tn_slice s, struct content *c);
void tn_objects_bucket_put(struct tn_buf *out, const struct bucket *b);
bool tn_objects_bucket_get(struct tn_slice s, struct bucket *b);
void tn_objects_hex(const uint8_t sha[static SHA_BYTES],
    char out[static SHA_HEX + 1]);
/* 64 digits, small or capital letters. */
bool tn_objects_unhex(struct tn_slice hex, uint8_t sha[static SHA_BYTES]);
bool tn_objects_if_holds(const struct tn_objects_if *must,
    const struct name *now);
void tn_objects_info_of(struct tn_objects_info *out, struct tn_slice bucket,
    struct tn_slice key, const struct name *n);
/* A row of the stream. */
struct change_row {
	const char *id, *action;
	struct tn_slice bucket, key;
	const struct name *name;
	int64_t at_us;
};
void tn_objects_row(struct tn_buf *out, const struct change_row *r);

/* ---- the room --------------------------------------------------------- */

struct rule {
	char bucket[TN_OBJECTS_BUCKET_MAX + 1];  /* "*": all others. */
	int64_t keep_us;
};
struct rules {
	struct rule rules[RULES_MAX];
	uint32_t count;
};
enum tn_status tn_objects_rules_parse(struct rules *r, const char *text,
    struct tn_diag *d);
/* 0: for ever. */
int64_t tn_objects_rules_of(const struct rules *r, struct tn_slice bucket);

/* An event in the index that is not known to be in the log. */
struct untold {
	struct untold *next;
	struct tn_objects *o;
	struct op *op;           /* Who waits for it, or NULL. */
	uint64_t seq;
	char *row;
	size_t row_bytes;
	char *source;
	bool away;               /* Given to ingest. */
};

enum op_kind { OP_PUT, OP_DELETE, OP_FIND, OP_LIST };
/* One operation. It changes owner: loop, pool, keeper, loop. */
struct op {
	struct tn_net_job job;   /* First. */
	struct tn_objects *o;
	enum op_kind kind;
	struct tn_arena *a;
	struct tn_slice bucket, key;
	struct tn_objects_if must;
	char *source;            /* In the arena. */
	bool erase, again;
	struct tn_slice prefix, after;
	uint32_t limit;
	struct name name;        /* put: to be; else: found. */
	char *tmp;               /* put: where the content lies. */
	struct untold *untold;   /* The event of it. */
	struct tn_objects_result r;
	struct tn_buf out;
	tn_objects_done *done;   /* NULL: nobody waits (any more). */
	void *arg;
	void (*back)(struct op *op);     /* On the loop, before done. */
	struct tn_objects_upload *upload;
};

struct tn_objects {
	struct tn_objects_opts opt;
	struct rules rules;
	char *root;              /* DATA/lake/objects */
	struct tn_log_table *table;      /* Written by the keeper. */
	struct tn_net_pool *pool;
	struct tn_net_actor *keeper;
	struct tn_net_timer *timer;
	uint32_t uploads, finds; /* Under way. Loop. */
	uint32_t fired;
	bool stopping;
	/* Events to tell, oldest first. Loop. */
	struct untold *untold, **untold_end;
	uint32_t untold_count;
	uint64_t *told;          /* Numbers to be forgotten. */
	uint32_t told_count, told_cap;
	/* The keeper's; the loop looks while it is not ticking. */
	uint64_t next_seq;
	struct tn_net_job tick;  /* The periodic work. */
	bool ticking;
	int64_t next_expire_us;
	/* See tidy.c: the clocks at the last look, until when (wall) the wall
	 * clock is not believed, 0: it is; when (boot) that is noted again. */
	struct tn_os_leap seen;
	int64_t held_until_us, next_note_us;
	bool crowded;            /* UNTOLD_MAX wait: nothing expires. Set by
	                          * the loop for each tick. */
	uint32_t sweep_at;       /* Folder 0..255 to look at; 256: done. */
	uint64_t *forget;        /* Numbers, from told. */
	uint32_t forget_count;
	struct tn_buf expire_from;       /* Key of the index; empty: first. */
	enum tn_status tidy_said;
	struct tn_counter *objects, *bytes, *puts, *deletes, *received,
	    *swept;
};

struct op *tn_objects_op_new(struct tn_objects *o, enum op_kind kind,
    tn_objects_done *done, void *arg);
void tn_objects_op_free(struct op *op);
struct tn_slice tn_objects_copy(struct tn_arena *a, struct tn_slice s);
/* Give it to the keeper, or back to the loop. */
void tn_objects_to_keeper(struct op *op, void (*run)(struct tn_net_job *j));
void tn_objects_to_loop(struct op *op);
/* On the loop: the operation is over unless an event is to be told first. */
void tn_objects_finish(struct op *op);
enum tn_status tn_objects_content_path(const struct tn_objects *o,
    const uint8_t sha[static SHA_BYTES], struct tn_buf *out);
bool tn_objects_disk_full(const struct tn_objects *o, uint64_t more);

/* ---- keep.c: on the keeper -------------------------------------------- */

void tn_objects_run_put(struct tn_net_job *job);
void tn_objects_run_delete(struct tn_net_job *job);
/* A name away, with its event. */
enum tn_status tn_objects_drop_name(struct op *op);
enum tn_status tn_objects_get_name(struct tn_objects *o, struct tn_arena *a,
    struct tn_slice bucket, struct tn_slice key, struct name *n);
enum tn_status tn_objects_get_content(struct tn_objects *o,
    struct tn_arena *a, const uint8_t sha[static SHA_BYTES],
    struct content *c);
/* Unlink a content that no name has and forget it. */
enum tn_status tn_objects_remove_content(struct tn_objects *o,
    const uint8_t sha[static SHA_BYTES], int64_t gone_us);

/* ---- tidy.c: on the keeper -------------------------------------------- */

/* Forget told events, remove garbage, expire names, look for files without a
 * name: some of it, not all at once. */
void tn_objects_tidy(struct tn_objects *o);
/* All told events, at the end. */
void tn_objects_forget(struct tn_objects *o);
/* What was noted of the clock, at start. */
enum tn_status tn_objects_load_clock(struct tn_objects *o);
/* Set the gauges, at start. */
enum tn_status tn_objects_count(struct tn_objects *o);

/* ---- events.c: on the loop --------------------------------------------- */

void tn_objects_tell(struct tn_objects *o, struct untold *u);
void tn_objects_tell_late(struct tn_objects *o);
enum tn_status tn_objects_load_untold(struct tn_objects *o);
/* All that wait hear TN_ECLOSED. */
void tn_objects_untold_end(struct tn_objects *o);

#endif

/* log_int: what the files of log share. lmdb.h is included here only.
 *
 * Who may touch what: who holds "writing" owns everything: the writer, and a
 * thread that makes a checkpoint; members marked (lock) are changed by it under
 * the lock and read by others under the lock; atomics are written by it and
 * read by anybody. */
#ifndef TN_LOG_LOG_INT_H
#define TN_LOG_LOG_INT_H

#include "log/log.h"

#include <lmdb.h>
#include <stdatomic.h>

#include "net/net.h"
#include "os/os.h"

enum {
	TN_LOG_PATH_MAX = 4096,
	TN_LOG_KEY_MAX = 400,          /* Bytes of a note's key. */
	TN_LOG_VALUE_MAX = 64 << 10,   /* Bytes of a note's value. */
	TN_LOG_HEAD_BYTES = 72,        /* Of a block; see block.c. */
	TN_LOG_AT_LSN = 8,             /* In it. */
	TN_LOG_NOTE_HEAD = 12,         /* CRC32C, expires_us. */
};
#define TN_LOG_RAW_MAX ((size_t)512 << 20)    /* Of one block. */

/* ---- segment.c ------------------------------------------------------- */

/* One LMDB environment. Blocks first .. next-1 are in it. */
struct tn_log_segment {
	MDB_env *env;
	MDB_dbi main, blocks, offsets, notes, expiries;
	uint32_t number;
	uint32_t page_bytes;
	uint64_t first;       /* LSN of its first block, there or to come. */
	uint64_t after;       /* Newest LSN before it was begun. */
	uint64_t next;        /* (lock) UINT64_MAX in the newest one. */
	uint64_t map_bytes;
	uint64_t file_bytes;  /* Size of the file, reserved ahead. */
	uint32_t users;       /* (lock) Reads under way. */
	bool dropped;         /* (lock) The last user closes it. */
	bool revived;         /* Reopened after MDB_PANIC, for reading. */
	bool sparse;          /* The file system cannot reserve. */
	char path[];
};

enum tn_status tn_log_mdb_status(int rc);
/* One environment to a new, synced file. */
TN_MUST_USE enum tn_status tn_log_env_copy(MDB_env *env, const char *from,
    const char *to, struct tn_diag *d);
/* Give LMDB's lock file of the environment at ${path} its blocks. Before the
 * environment is opened. */
TN_MUST_USE enum tn_status tn_log_lock_file(const char *path);
/* Start a segment as "<path>.new"; the caller fills it by one transaction
 * and then calls tn_log_segment_publish. */
TN_MUST_USE enum tn_status tn_log_segment_create(struct tn_log_segment **seg,
    const char *dir, uint32_t number, uint64_t map_bytes);
/* Open the databases inside the creating transaction, store first, after. */
TN_MUST_USE int tn_log_segment_found(struct tn_log_segment *seg,
    MDB_txn *txn);
/* Write first and after (also when they change). */
TN_MUST_USE int tn_log_segment_state(struct tn_log_segment *seg,
    MDB_txn *txn);
/* Rename to the final name. After TN_OK the folder must be synced. */
TN_MUST_USE enum tn_status tn_log_segment_publish(
    struct tn_log_segment *seg);
/* An existing one. map_bytes 0: read-only, as large as the file. Sets next
 * to the LSN after its newest block. */
TN_MUST_USE enum tn_status tn_log_segment_open(struct tn_log_segment **seg,
    const char *dir, uint32_t number, uint64_t map_bytes,
    struct tn_diag *d);
/* A read-only twin without reader table, for use when nothing will write
 * this environment again in this process. NULL when it cannot be opened. */
struct tn_log_segment *tn_log_segment_revive(
    const struct tn_log_segment *seg);
void tn_log_segment_close(struct tn_log_segment *seg);
/* Remove the files of it; the lock file goes silently. */
TN_MUST_USE enum tn_status tn_log_segment_remove(const char *path);
/* Reserve disk for ${pages} more pages; ${keep} bytes stay free. */
TN_MUST_USE enum tn_status tn_log_segment_reserve(struct tn_log_segment *seg,
    const char *dir, uint64_t pages, uint64_t keep);
/* Pages not yet used of the map. */
uint64_t tn_log_segment_room(const struct tn_log_segment *seg);
uint64_t tn_log_segment_used(const struct tn_log_segment *seg);
/* Pages for an LMDB value of ${bytes}, its share of a leaf included. */
uint64_t tn_log_pages(const struct tn_log_segment *seg, uint64_t bytes);

/* ---- log.c, offsets.c ------------------------------------------------- */

/* next is what is on disk, pending what the transaction under way makes of
 * it; equal outside of append. */
struct tn_log_offset {
	uint32_t stream;
	uint64_t next;       /* (lock) */
	uint64_t pending;
	bool dirty;          /* LMDB has an older one; writer only. */
};

/* Where the parts of a block to be written lie in scratch. */
struct tn_log_piece {
	size_t front_at, front_n;
	size_t packed_at, packed_n;   /* packed_n 0: the block brings it. */
};

/* What an append is asked for. */
struct tn_log_group {
	struct tn_log_block *blocks;
	uint32_t n;
	const struct tn_log_note *notes;
	uint32_t note_count;
};

/* ---- journal.c -------------------------------------------------------- */

/* Acknowledged, and not in LMDB yet. The slices point into image, whose bytes
 * up to at change only by a checkpoint. */
struct tn_log_journal {
	struct tn_os_file *file;     /* NULL: commits go to LMDB. */
	uint64_t bytes;              /* For records, in file and image. */
	uint64_t salt;               /* Of the file. */
	uint64_t seq;                /* Newest record, also an older run's. */
	uint64_t marked;             /* Newest that LMDB has. */
	uint8_t *image;              /* As the file is, up to at; lies at a
	                              * multiple of 4096 in memory. */
	void *memory;                /* That holds it. */
	uint64_t at;                 /* Where the next record goes. */
	uint64_t used;               /* No byte behind was ever written. */
	uint64_t first_lsn;          /* (lock) Of blocks[0]. */
	struct tn_slice *blocks;     /* (lock) As stored. */
	struct tn_log_note *notes;   /* (lock) Oldest first. */
	uint64_t *note_hashes;       /* (lock) Of their keys. */
	uint32_t block_count, block_cap;   /* (lock) */
	uint32_t note_count, note_cap;     /* (lock) */
	uint64_t pages;              /* Bound for the blocks in LMDB. */
	uint64_t note_pages;         /* The same for fresh pages of notes. */
	char path[TN_LOG_PATH_MAX];
};

struct tn_log {
	char *dir;
	uint64_t segment_bytes;
	int zstd_level;
	uint32_t notes_max;
	int64_t notes_early_us;
	uint64_t disk_reserve;
	struct tn_os_file *lock_file;
	struct tn_net_lock *writing;   /* Held by who changes LMDB. */
	struct tn_net_lock *lock;
	struct tn_log_segment **segs;  /* (lock) Oldest first; at least one. */
	uint32_t seg_count, seg_cap;   /* (lock) */
	struct tn_log_segment *newest; /* Writer only. */
	struct tn_log_offset *offsets; /* (lock) Sorted by stream. */
	uint32_t offset_count, offset_cap;
	_Atomic uint64_t last;         /* Newest LSN given out and on disk. */
	_Atomic uint64_t first;
	_Atomic uint64_t bytes;
	_Atomic uint32_t segments;
	_Atomic bool failed;
	_Atomic bool held;             /* Nothing is trimmed. */
	char failure[300];             /* Written once, before failed. */
	bool appended;
	struct tn_counter *commits, *journaled, *forgotten;
	uint64_t popped;               /* Live notes, by the transaction. */
	int64_t early_after_us, told_us;   /* Monotonic. */
	struct tn_log_journal journal;
	struct tn_buf scratch;
	struct tn_log_piece *pieces;
	uint32_t piece_cap;
};

/* Refuse writes from now on, and say why: what could not be done with the file
 * or folder ${path}. Returns TN_EIO. The environment of the newest segment must
 * not be touched by the writer afterwards: a reader may replace it. */
enum tn_status tn_log_fail(struct tn_log *log, const char *what,
    const char *path, const char *why);
/* The end of a use of a segment (users was counted up under the lock). */
void tn_log_give_back(struct tn_log *log, struct tn_log_segment *seg);
/* What the next block will have. Writer. */
uint64_t tn_log_next_lsn(const struct tn_log *log);
/* Add at the end of the table; the one before ends at last + 1. */
void tn_log_push(struct tn_log *log, struct tn_log_segment *seg);
/* Recompute first, bytes and segments. */
void tn_log_recount(struct tn_log *log);
/* The entry of a stream, made if missing. Writer. Valid until the next. */
struct tn_log_offset *tn_log_offset_of(struct tn_log *log, uint32_t stream);
/* Store pending of one entry. Writer. */
TN_MUST_USE int tn_log_offset_put(struct tn_log_segment *seg, MDB_txn *txn,
    const struct tn_log_offset *o);
/* All entries of a segment into the table. Writer, at open. */
TN_MUST_USE enum tn_status tn_log_offsets_load(struct tn_log *log,
    struct tn_log_segment *seg, struct tn_diag *d);
/* Upper bound of pages that ${changes} puts touch. */
uint64_t tn_log_offset_pages(const struct tn_log *log, uint64_t changes,
    uint32_t page_bytes);

/* LMDB gets what the journal was found to hold, at open: room, offsets and
 * last follow. */
TN_MUST_USE enum tn_status tn_log_recover(struct tn_log *log);
/* LMDB gets what the journal holds. Under writing. The journal keeps it where
 * that fails. */
TN_MUST_USE enum tn_status tn_log_checkpoint_now(struct tn_log *log);
/* The stored form of block ${i} of a group that is planned. */
size_t tn_log_stored_bytes(const struct tn_log *log, uint32_t i,
    const struct tn_log_block *b);
void tn_log_stored_put(const struct tn_log *log, uint32_t i,
    const struct tn_log_block *b, uint8_t *to);

/* Put what a crash left into LMDB, then be ready for records, with a file of
 * ${bytes} or none (0). At open, after all else. */
TN_MUST_USE enum tn_status tn_log_journal_open(struct tn_log *log,
    uint64_t bytes, struct tn_diag *d);
void tn_log_journal_close(struct tn_log_journal *j);
/* Bytes of the group's record, 0: it is too large or there is no room. */
uint64_t tn_log_journal_need(struct tn_log *log, const struct tn_log_group *g);
/* Write and keep it; on disk after TN_OK. TN_ENOSPC: there is no journal any
 * more, and the next commit of LMDB makes its record void. */
TN_MUST_USE enum tn_status tn_log_journal_write(struct tn_log *log,
    const struct tn_log_group *g, uint64_t need);
/* In a transaction of LMDB: all that is kept and the mark, or the mark only. */
TN_MUST_USE enum tn_status tn_log_journal_put(struct tn_log *log,
    MDB_txn *txn, int *rc);
TN_MUST_USE int tn_log_journal_mark(const struct tn_log_segment *seg,
    MDB_txn *txn, uint64_t seq);
/* The streams' next offsets as after the kept blocks, at open. */
void tn_log_journal_offsets(struct tn_log *log);
/* It is committed: forget what is kept. */
void tn_log_journal_done(struct tn_log *log);
/* No byte of a row stays in the file. It is empty then. */
TN_MUST_USE enum tn_status tn_log_journal_wipe(struct tn_log *log);
/* What is kept, copied to ${a}. Any thread. TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_log_journal_block(struct tn_log *log,
    uint64_t lsn, struct tn_arena *a, struct tn_slice *stored);
/* *${found}: the key is kept, though perhaps not live (TN_ENOTFOUND). */
TN_MUST_USE enum tn_status tn_log_journal_note(struct tn_log *log,
    struct tn_slice key, int64_t now_us, struct tn_arena *a,
    struct tn_slice *value, bool *found);

/* ---- block.c --------------------------------------------------------- */

void tn_log_put_u32(uint8_t *p, uint32_t v);
void tn_log_put_u64(uint8_t *p, uint64_t v);
uint32_t tn_log_get_u32(const uint8_t *p);
uint64_t tn_log_get_u64(const uint8_t *p);
/* Big-endian, so that LMDB's byte order is the order of numbers. */
void tn_log_key_u64(uint8_t *p, uint64_t v);
uint64_t tn_log_key_of(const uint8_t *p);
/* Append marks, reasons, spec and source to ${out}; TN_ELIMIT. */
TN_MUST_USE enum tn_status tn_log_front(const struct tn_log_block *b,
    struct tn_buf *out);
/* Write the stored form: header, front and packed, HEAD + front + packed
 * bytes. */
void tn_log_encode(const struct tn_log_block *b, struct tn_slice front,
    struct tn_slice packed, uint8_t *to);
/* Check length, magic and CRC of a stored block and read its numbers. */
TN_MUST_USE enum tn_status tn_log_check(struct tn_slice stored, uint64_t lsn,
    struct tn_log_block *out);
/* What is wanted of raw rows that are a frame of their own. */
enum tn_log_reading {
	TN_LOG_READ_ROWS, TN_LOG_READ_BOTH, TN_LOG_READ_FRAME
};
/* All of it, copied into ${a}. */
TN_MUST_USE enum tn_status tn_log_decode(struct tn_slice stored,
    uint64_t lsn, enum tn_log_reading how, struct tn_arena *a,
    struct tn_log_block *out);

/* ---- notes.c --------------------------------------------------------- */

/* New pages that these notes need at most. */
uint64_t tn_log_notes_fresh(const struct tn_log *log,
    const struct tn_log_note *notes, uint32_t count);
/* Upper bound of pages that ${count} notes touch, of them ${fresh} new ones. */
uint64_t tn_log_notes_pages(struct tn_log *log, uint32_t count,
    uint64_t fresh);
/* Whether so many more are surely not too many. */
bool tn_log_notes_fit(struct tn_log *log, uint32_t count, uint64_t fresh);
/* Store them and drop expired ones, and others before their time where there
 * are too many. TN_EFULL: there still are, where ${bounded}. */
TN_MUST_USE enum tn_status tn_log_notes_put(struct tn_log *log, MDB_txn *txn,
    const struct tn_log_note *notes, uint32_t count, bool bounded, int *rc);
/* The transaction is committed: count what it forgot early, and tell. */
void tn_log_notes_told(struct tn_log *log);
/* Copy live notes from one segment to another. */
TN_MUST_USE int tn_log_notes_carry(const struct tn_log_segment *from,
    struct tn_log_segment *to, MDB_txn *txn, int64_t now_us);
TN_MUST_USE enum tn_status tn_log_note_check(struct tn_slice key,
    const MDB_val *stored, int64_t *expires_us, struct tn_slice *value);

/* ---- read.c ---------------------------------------------------------- */

/* Check the block that ends ${seg}, and that its stream's offset follows. */
TN_MUST_USE enum tn_status tn_log_check_newest(struct tn_log *log,
    struct tn_log_segment *seg, struct tn_diag *d);

/* ---- roll.c ---------------------------------------------------------- */

/* Begin a new segment whose first block will be ${first}. TN_ENOSPC and
 * TN_ENOMEM leave everything as it was; other failures are final. */
TN_MUST_USE enum tn_status tn_log_roll(struct tn_log *log, uint64_t first);

#endif

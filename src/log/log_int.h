/* log_int: what the files of log share. lmdb.h is included here only.
 *
 * Who may touch what: the writer owns everything; members marked (lock) are
 * changed by the writer under the lock and read by others under the lock;
 * atomics are written by the writer and read by anybody. */
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
	bool dirty;          /* To be stored; writer only. */
};

/* Where the parts of a block to be written lie in scratch. */
struct tn_log_piece {
	size_t front_at, front_n;
	size_t packed_at, packed_n;   /* packed_n 0: the block brings it. */
};

struct tn_log {
	char *dir;
	uint64_t segment_bytes;
	int zstd_level;
	uint32_t notes_max;
	uint64_t disk_reserve;
	struct tn_os_file *lock_file;
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

/* Upper bound of pages that these notes touch. */
uint64_t tn_log_notes_pages(struct tn_log *log,
    const struct tn_log_note *notes, uint32_t count);
/* Store them and drop expired ones. TN_EFULL: too many live notes. */
TN_MUST_USE enum tn_status tn_log_notes_put(struct tn_log *log, MDB_txn *txn,
    const struct tn_log_note *notes, uint32_t count, int *rc);
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

/* log: the append-only log on LMDB, the one place where an event becomes
 * durable. One LMDB environment (one file, no-subdir, fixed map size) is a
 * segment; the newest takes writes, older ones are read-only and are unlinked
 * whole when their blocks are in bronze: the log never fragments.
 *
 * Databases in a segment:
 *   blocks   key LSN (8 bytes big-endian) -> header (see log.c) and raw rows
 *   offsets  key stream id (4 bytes BE)   -> next row offset (8 bytes LE)
 *   notes    key bytes                    -> expiry and value (idempotency)
 *   expiries time (8 bytes BE), key       -> nothing: what is over, in order
 * offsets and live notes are carried over when a segment is begun. Files are
 * named by a counter (0000000001.mdb); every value carries its own CRC32C.
 *
 * Commits use LMDB's full sync; no other mode is allowed. Small ones are on
 * disk by one synced write to a journal (journal.c) and come to LMDB together;
 * readers see no difference. The first failed commit is final: every later
 * append is refused with TN_ECLOSED. */
#ifndef TN_LOG_LOG_H
#define TN_LOG_LOG_H

#include "base/base.h"

struct tn_log;
struct tn_log_opts {
	const char *dir;           /* Made if missing. */
	uint64_t segment_bytes;    /* Map size of a segment, 1 MiB to 64 GiB;
	                            * 0: 256 MiB. */
	int zstd_level;            /* Of raw rows; 0: level 1. */
	uint64_t disk_reserve;     /* Free bytes that blocks never take: the
	                            * disk's last part is for cuts, which
	                            * give the log's space back. */
	uint32_t notes_max;        /* Most live notes; 0: 100000. Together they
	                            * hold an eighth of a segment at most. */
	int64_t notes_early_us;    /* Where there are more, those that have no
	                            * more than this left are forgotten first;
	                            * 0: none is, that is TN_EFULL. */
	uint64_t journal_bytes;    /* Of log/journal, at most 64 MiB and an
	                            * eighth of a segment; 0: 1 MiB;
	                            * TN_LOG_NO_JOURNAL: none. */
};
#define TN_LOG_NO_JOURNAL UINT64_MAX

/* Row statuses, as stored. */
enum tn_log_mark {
	TN_MARK_ACCEPTED = 0,
	TN_MARK_QUARANTINED = 1,
	TN_MARK_DUPLICATE = 2,
	TN_MARK_ERASED = 3,       /* Of bronze rows; never in a log block. */
};
struct tn_log_reason {
	uint32_t row;             /* Of the block, in order. */
	const char *code;
	const char *column;       /* "" when none. */
	const char *message;
};

#define TN_LOG_SPEC_MAX (64u << 10)      /* Bytes of these texts. */
#define TN_LOG_SOURCE_MAX (4u << 10)
/* A block: rows of one stream that came the same way in the same commit. */
struct tn_log_block {
	uint64_t lsn;             /* Set by append. */
	uint32_t stream;          /* Catalog's id of the stream. */
	uint32_t version;         /* Version of its definition. */
	uint64_t offset;          /* Of the first row. Set by append. */
	uint32_t rows;
	int64_t received_us;      /* Wall clock when taken. */
	struct tn_slice spec;     /* tn_codec_spec_text: how to decode. */
	struct tn_slice source;   /* "http 10.0.0.7", for people. */
	const uint8_t *marks;     /* rows of them; NULL: all accepted. */
	const struct tn_log_reason *reasons;
	uint32_t reason_count;
	/* Raw rows, back to back, and the length of each. */
	struct tn_slice raw;
	const uint32_t *lengths;
	const uint32_t *lines;    /* Line in the body, or NULL: unknown. */
	/* Already packed raw rows and lengths (tn_log_pack), or empty: append
	 * packs by itself. */
	struct tn_slice packed;
	/* tn_log_read_framed and _packed only: the raw rows as one zstd frame,
	 * where they are stored as that; else empty. */
	struct tn_slice frame;
};
/* Compress raw rows, lengths and lines into ${out}; any thread, so that the
 * log's writer need not do it. ${known}: of the sender (tn_zstd_compress_rows),
 * or NULL. */
TN_MUST_USE enum tn_status tn_log_pack(const struct tn_log_block *b,
    int zstd_level, struct tn_zstd_rows *known, struct tn_buf *out);

/* A remembered key with an answer; written in the same commit. */
struct tn_log_note {
	struct tn_slice key;      /* 1..400 bytes. */
	struct tn_slice value;    /* At most 64 KiB. */
	int64_t expires_us;
};

/* TN_EIO, TN_ENOSPC, TN_ECORRUPT, TN_ECONFLICT (another process has it). */
TN_MUST_USE enum tn_status tn_log_open(struct tn_log **log,
    const struct tn_log_opts *opts, struct tn_diag *d);
/* Append ${n} blocks (in order) and ${note_count} notes as one commit and
 * return once they are on disk. Sets lsn and offset of each block; LSNs are
 * dense, from 1. Borrows everything until return.
 * TN_ENOSPC: nothing was appended, the log stays usable (checked before
 * writing against free space and the segment's map). Where the file system had
 * no space for bytes that were there, it may be there once after a crash.
 * TN_EIO: nothing counts as appended and the log refuses writes from now on.
 * TN_ECLOSED: it refused already. TN_ELIMIT: a block is larger than a
 * quarter of a segment, all of it larger than half of one, a text or a note
 * over its limit. TN_EFULL: too many live notes that may not be forgotten.
 * TN_ENOMEM. After these three nothing was appended and the log stays usable.
 * Thread: log writer. */
TN_MUST_USE enum tn_status tn_log_append(struct tn_log *log,
    struct tn_log_block *blocks, uint32_t n, const struct tn_log_note *notes,
    uint32_t note_count);
/* What may wait until senders have their answers: the journal goes to LMDB
 * when it is half full. Failures are the next append's. Thread: log writer. */
void tn_log_rest(struct tn_log *log);
/* The same at once. TN_ECLOSED: the log refuses writes. Any thread. */
TN_MUST_USE enum tn_status tn_log_checkpoint(struct tn_log *log);
/* Largest block that a log of such segments takes, as stored. Any thread. */
uint64_t tn_log_block_bytes_max(uint64_t segment_bytes);
/* Why it refuses, or NULL. Any thread. */
const char *tn_log_failure(const struct tn_log *log);
/* Newest LSN on disk (or raised to), 0 when empty. Any thread. */
uint64_t tn_log_last(const struct tn_log *log);
/* Oldest LSN still here; last + 1 when none. Any thread. */
uint64_t tn_log_first(const struct tn_log *log);
/* Next row offset of a stream. Any thread. */
uint64_t tn_log_next_offset(struct tn_log *log, uint32_t stream);
/* Never give out an LSN at or below ${lsn}, or a stream's offset below its
 * next (a fresh log beside an old lake). LSNs that are skipped read as
 * TN_ENOTFOUND. Before the first append; log writer. */
TN_MUST_USE enum tn_status tn_log_raise(struct tn_log *log, uint64_t lsn,
    const uint32_t *streams, const uint64_t *next_offsets, uint32_t count);

/* Read one block into ${a} (decompressed, CRC checked; lengths, marks, ... all
 * in the arena). TN_ENOTFOUND: no such block (any more). TN_ECORRUPT names it
 * in ${d}. No read transaction outlives the call. Any thread. */
TN_MUST_USE enum tn_status tn_log_read(struct tn_log *log, uint64_t lsn,
    struct tn_arena *a, struct tn_log_block *out, struct tn_diag *d);
/* The same, with the block's frame. */
TN_MUST_USE enum tn_status tn_log_read_framed(struct tn_log *log,
    uint64_t lsn, struct tn_arena *a, struct tn_log_block *out,
    struct tn_diag *d);
/* The same, but of raw rows that have a frame nothing else: raw.p is NULL. For
 * who has decoded them already. */
TN_MUST_USE enum tn_status tn_log_read_packed(struct tn_log *log,
    uint64_t lsn, struct tn_arena *a, struct tn_log_block *out,
    struct tn_diag *d);
/* The live note under a key, its value in ${a}. TN_ENOTFOUND. TN_ECLOSED: the
 * log failed in a way that leaves unknown what is on disk. Any thread. */
TN_MUST_USE enum tn_status tn_log_note_get(struct tn_log *log,
    struct tn_slice key, int64_t now_us, struct tn_arena *a,
    struct tn_slice *value);
/* What is appended from now on goes to another segment than what is there:
 * trimming may then take all of that. Sets *last to the newest LSN before it.
 * Thread: log writer. */
TN_MUST_USE enum tn_status tn_log_begin_segment(struct tn_log *log,
    uint64_t *last);
/* Unlink segments whose blocks are all at or below ${lsn}; never the newest.
 * Thread: log writer. */
TN_MUST_USE enum tn_status tn_log_trim(struct tn_log *log, uint64_t lsn);
/* While it is held no segment is removed, whatever trim is told: what comes
 * after a cut can be copied in peace. Any thread. */
void tn_log_hold(struct tn_log *log, bool held);
/* All segments, oldest first, as new files of the same names in ${dir}, which
 * is there and empty; synced, but not the folder. What is appended meanwhile
 * may be in them or not, in order. Hold the log before. Any thread. */
TN_MUST_USE enum tn_status tn_log_copy(struct tn_log *log, const char *dir,
    struct tn_diag *d);
/* Bytes of files on disk, number of segments. Any thread. */
uint64_t tn_log_bytes(const struct tn_log *log);
uint32_t tn_log_segments(const struct tn_log *log);
void tn_log_close(struct tn_log *log);

/* ---- a small durable table beside the log ----------------------------- */

/* Keys to values in one LMDB file, for what must survive and is not events
 * (MQTT sessions, their queues, retained messages; names of objects). It is not append-only:
 * LMDB uses freed pages again. Each value carries its own CRC32C.
 * A commit is all or nothing and on disk when it returns; the first one that
 * fails for another reason than room is final (TN_ECLOSED from then on). */
struct tn_log_table;
struct tn_log_change {
	struct tn_slice key;       /* 1..500 bytes. */
	struct tn_slice value;     /* Copied by commit. */
	bool drop;                 /* Take the key away, if it is there. */
};
/* ${bytes_max}: most bytes of the file, at least 1 MiB. The folder must be
 * there. TN_ECORRUPT with ${d}. */
TN_MUST_USE enum tn_status tn_log_table_open(struct tn_log_table **out,
    const char *path, uint64_t bytes_max, struct tn_diag *d);
/* In order; a later change of a key wins. TN_ENOSPC: the table or the disk is
 * full, nothing was changed. One thread at a time. */
TN_MUST_USE enum tn_status tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *changes, size_t count);
/* All pairs whose key begins with ${prefix}, in byte order, until each()
 * says false. The slices end with the call. TN_ECORRUPT: a value is damaged
 * (said in the log lines, with its key); it is left out and the rest is still
 * given. Not while a commit runs. */
TN_MUST_USE enum tn_status tn_log_table_each(struct tn_log_table *t,
    struct tn_slice prefix, bool (*each)(void *arg, struct tn_slice key,
    struct tn_slice value), void *arg);
/* The same; damaged() hears the keys of damaged values, in the order of keys,
 * so that a later commit can drop them. */
TN_MUST_USE enum tn_status tn_log_table_each_or(struct tn_log_table *t,
    struct tn_slice prefix, bool (*each)(void *arg, struct tn_slice key,
    struct tn_slice value), void (*damaged)(void *arg, struct tn_slice key),
    void *arg);
/* As _each, but from the first key that is not below ${from} on, which begins
 * with ${prefix}. */
TN_MUST_USE enum tn_status tn_log_table_from(struct tn_log_table *t,
    struct tn_slice prefix, struct tn_slice from, bool (*each)(void *arg,
    struct tn_slice key, struct tn_slice value), void *arg);
/* The value of one key, in ${a}. TN_ENOTFOUND, TN_ECORRUPT. Any thread. */
TN_MUST_USE enum tn_status tn_log_table_get(struct tn_log_table *t,
    struct tn_slice key, struct tn_arena *a, struct tn_slice *value);
/* Copy the table at ${path} to a new file, as it is between two commits;
 * synced. For any thread: one that this process has open is found by its path;
 * tables are opened and closed only while nobody copies. TN_ENOTFOUND: there
 * is no such file. */
TN_MUST_USE enum tn_status tn_log_table_copy(const char *path,
    const char *to, struct tn_diag *d);
/* Bytes in use of the file. Any thread. */
uint64_t tn_log_table_bytes(const struct tn_log_table *t);
void tn_log_table_close(struct tn_log_table *t);

#endif

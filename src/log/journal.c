/* journal: small commits with one sync instead of LMDB's two.
 *
 * LMDB syncs its pages and then its meta page. For a few messages the second
 * sync is half of the wait, and the pages of its trees, copied anew, most of
 * the work. So a small group is written to a file that has its blocks already,
 * by one write that returns when it is on disk (O_DSYNC, and O_DIRECT where
 * that can be): that is its commit.
 * LMDB gets it later, together with many others (a checkpoint; the idea is
 * that of every write-ahead log, Gray and Reuter 1993, chapter 9). Until then
 * readers get it from memory, and a start puts it into LMDB first of all.
 *
 *   log/journal       as long as the option says, made anew at each start, all
 *                     zeros but for its head; from 4096 on, one behind the
 *                     other, each at a multiple of 4096, the records since
 *                     the last checkpoint
 *
 * All integers are little-endian. The head, in 4096 bytes of its own:
 *
 *    0 u32 magic "TNJH"         8 u64 salt, random
 *    4 u32 CRC32C of 8..24     16 u64 bytes of the file
 *
 * A record:
 *
 *    0 u32 magic "TNJ1"        24 u32 bytes of all
 *    4 u32 CRC32C of 8..end    28 u32 blocks
 *    8 u64 salt                32 u32 notes
 *   16 u64 sequence            36 u32 zero
 *   40 blocks: u32 bytes, then the block as LMDB has it (block.c)
 *      notes: u32 bytes of key, u32 bytes of value, i64 expires_us, both
 *
 * The salt is known to nobody outside: bytes that a sender chose lie here as
 * they came, and must not pass as a record.
 *
 * Sequences are dense and never given out twice; LMDB holds the newest that
 * it has ("tarn.journal" of the main database), changed in the transaction
 * that brings the records. So nothing is removed here: the next record after a
 * checkpoint goes to the beginning again, and a start looks there for the one
 * after LMDB's. A segment that is begun (for an erasure) makes it zeros again,
 * a clean end removes the file.
 * A record that does not end where it should or fails its CRC was being
 * written when the power went, and was not acknowledged. Unless a later one is
 * whole: one write is under way at a time, so that is damage, and no start.
 *
 * No record shares a page with another one: writing must not touch what is
 * acknowledged. What can go wrong: any system call. A failed write is final
 * for the log, as a failed commit is, but for lack of space (a file system
 * that writes elsewhere): then the log goes on without a journal. */
#include "log/log_int.h"

#include <stdio.h>
#include <string.h>

enum {
	FILE_MAGIC = 0x484a4e54,
	RECORD_MAGIC = 0x314a4e54,
	RECORD_HEAD = 40,
	NOTE_HEAD = 16,
	FILE_HEAD = 24,
	STATE_BYTES = 16,          /* Magic, CRC32C, sequence. */
	ALIGN = 4096,
	GROUP_MAX = 64 << 10,      /* Bytes of a record: a larger group has more
	                            * to write than to wait for. */
	GROUP_PART = 4,            /* And at most a 4th of the file. */
	SEGMENT_PART = 8,          /* The file is at most an 8th of a segment. */
	BYTES_MAX = 64 << 20,
};
static char state_key[] = "tarn.journal";

/* Places in a record's head. */
enum {
	AT_MAGIC = 0, AT_CRC = 4, AT_SALT = 8, AT_SEQ = 16, AT_BYTES = 24,
	AT_BLOCKS = 28, AT_NOTES = 32, AT_ZERO = 36, CRC_FROM = 8,
};

static uint64_t
aligned(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* ---- what is kept ---------------------------------------------------- */

/* Both under the lock, by the writer. */
static void
keep_block(struct tn_log_journal *j, uint64_t lsn, uint64_t at, uint32_t n)
{
	if (j->block_count == j->block_cap) {
		j->block_cap = j->block_cap == 0 ? 64 : j->block_cap * 2;
		j->blocks = tn_realloc(j->blocks,
		    j->block_cap * sizeof *j->blocks);
	}
	if (j->block_count == 0)
		j->first_lsn = lsn;
	tn_assert(lsn == j->first_lsn + j->block_count);
	j->blocks[j->block_count++] = (struct tn_slice){ j->image + at, n };
}

static void
keep_note(struct tn_log_journal *j, uint64_t at)
{
	const uint8_t *p = j->image + at;
	uint32_t key_n = tn_log_get_u32(p);

	if (j->note_count == j->note_cap) {
		j->note_cap = j->note_cap == 0 ? 64 : j->note_cap * 2;
		j->notes = tn_realloc(j->notes,
		    j->note_cap * sizeof *j->notes);
		j->note_hashes = tn_realloc(j->note_hashes,
		    j->note_cap * sizeof *j->note_hashes);
	}
	j->note_hashes[j->note_count] = tn_hash64(p + NOTE_HEAD, key_n, 0);
	j->notes[j->note_count++] = (struct tn_log_note){
		.key = { p + NOTE_HEAD, key_n },
		.value = { p + NOTE_HEAD + key_n, tn_log_get_u32(p + 4) },
		.expires_us = (int64_t)tn_log_get_u64(p + 8),
	};
}

/* A copy of ${from}. */
static enum tn_status
copy_out(struct tn_arena *a, struct tn_slice from, struct tn_slice *to)
{
	uint8_t *copy = tn_arena_try_alloc(a, from.n);

	if (copy == NULL)
		return TN_ENOMEM;
	if (from.n > 0)
		memcpy(copy, from.p, from.n);
	*to = (struct tn_slice){ copy, from.n };
	return TN_OK;
}

enum tn_status
tn_log_journal_block(struct tn_log *log, uint64_t lsn, struct tn_arena *a,
    struct tn_slice *stored)
{
	const struct tn_log_journal *j = &log->journal;
	enum tn_status st = TN_ENOTFOUND;

	tn_net_lock_take(log->lock);
	if (j->block_count > 0 && lsn >= j->first_lsn &&
	    lsn - j->first_lsn < j->block_count)
		st = copy_out(a, j->blocks[lsn - j->first_lsn], stored);
	tn_net_lock_drop(log->lock);
	return st;
}

enum tn_status
tn_log_journal_note(struct tn_log *log, struct tn_slice key, int64_t now_us,
    struct tn_arena *a, struct tn_slice *value, bool *found)
{
	const struct tn_log_journal *j = &log->journal;
	uint64_t hash = tn_hash64(key.p, key.n, 0);
	enum tn_status st = TN_ENOTFOUND;

	*found = false;
	tn_net_lock_take(log->lock);
	/* Thousands, that are looked through for each keyed request. */
	for (uint32_t i = j->note_count; i-- > 0 && !*found; ) {
		const struct tn_log_note *n = &j->notes[i];

		*found = j->note_hashes[i] == hash && n->key.n == key.n &&
		    memcmp(n->key.p, key.p, key.n) == 0;
		if (*found && n->expires_us > now_us)
			st = copy_out(a, n->value, value);
	}
	tn_net_lock_drop(log->lock);
	return st;
}

/* ---- writing --------------------------------------------------------- */

uint64_t
tn_log_journal_need(struct tn_log *log, const struct tn_log_group *g)
{
	const struct tn_log_journal *j = &log->journal;
	uint64_t n = RECORD_HEAD;

	if (j->file == NULL)
		return 0;
	for (uint32_t i = 0; i < g->n; i++)
		n += 4 + tn_log_stored_bytes(log, i, &g->blocks[i]);
	for (uint32_t i = 0; i < g->note_count; i++)
		n += NOTE_HEAD + g->notes[i].key.n + g->notes[i].value.n;
	return n <= GROUP_MAX && n <= j->bytes / GROUP_PART &&
	    aligned(n) <= j->bytes - j->at ? n : 0;
}

static uint8_t *
put_note(uint8_t *p, const struct tn_log_note *n)
{
	tn_log_put_u32(p, (uint32_t)n->key.n);
	tn_log_put_u32(p + 4, (uint32_t)n->value.n);
	tn_log_put_u64(p + 8, (uint64_t)n->expires_us);
	memcpy(p + NOTE_HEAD, n->key.p, n->key.n);
	p += NOTE_HEAD + n->key.n;
	if (n->value.n > 0)
		memcpy(p, n->value.p, n->value.n);
	return p + n->value.n;
}

/* Nobody reads behind at: no lock is needed. */
static void
encode(struct tn_log *log, const struct tn_log_group *g, uint64_t need)
{
	struct tn_log_journal *j = &log->journal;
	uint8_t *head = j->image + j->at;
	uint8_t *p = head + RECORD_HEAD;

	tn_log_put_u32(head + AT_MAGIC, RECORD_MAGIC);
	tn_log_put_u64(head + AT_SALT, j->salt);
	tn_log_put_u64(head + AT_SEQ, j->seq);
	tn_log_put_u32(head + AT_BYTES, (uint32_t)need);
	tn_log_put_u32(head + AT_BLOCKS, g->n);
	tn_log_put_u32(head + AT_NOTES, g->note_count);
	tn_log_put_u32(head + AT_ZERO, 0);
	for (uint32_t i = 0; i < g->n; i++) {
		size_t n = tn_log_stored_bytes(log, i, &g->blocks[i]);

		tn_log_put_u32(p, (uint32_t)n);
		tn_log_stored_put(log, i, &g->blocks[i], p + 4);
		p += 4 + n;
	}
	for (uint32_t i = 0; i < g->note_count; i++)
		p = put_note(p, &g->notes[i]);
	tn_assert(p == head + need);
	memset(p, 0, aligned(need) - need);
	tn_log_put_u32(head + AT_CRC, tn_crc32c(0, head + CRC_FROM,
	    need - CRC_FROM));
}

/* What the record at ${at} holds, which is good. Under the lock. */
static void
keep_record(struct tn_log_journal *j, uint64_t at)
{
	const uint8_t *head = j->image + at;
	uint32_t blocks = tn_log_get_u32(head + AT_BLOCKS);
	uint32_t notes = tn_log_get_u32(head + AT_NOTES);
	uint64_t to = at + RECORD_HEAD;

	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t n = tn_log_get_u32(j->image + to);

		keep_block(j, tn_log_get_u64(j->image + to + 4 +
		    TN_LOG_AT_LSN), to + 4, n);
		to += 4 + n;
	}
	for (uint32_t i = 0; i < notes; i++) {
		keep_note(j, to);
		to += NOTE_HEAD + tn_log_get_u32(j->image + to) +
		    tn_log_get_u32(j->image + to + 4);
	}
}

enum tn_status
tn_log_journal_write(struct tn_log *log, const struct tn_log_group *g,
    uint64_t need)
{
	struct tn_log_journal *j = &log->journal;
	enum tn_status st;

	/* Or it would go through the page cache, and nobody would see it. */
	tn_assert((uintptr_t)(j->image + j->at) % ALIGN == 0);
	j->seq++;
	encode(log, g, need);
	tn_os_crash_point("log_before_journal");
	if (j->used < j->at + aligned(need))
		j->used = j->at + aligned(need);
	st = tn_os_pwrite(j->file, j->image + j->at, aligned(need),
	    ALIGN + j->at);
	if (st == TN_ENOSPC) {
		tn_say(TN_WARN, "log", "%s: no space where there was some; "
		    "the log goes on without a journal until a restart",
		    j->path);
		tn_os_close(j->file);
		j->file = NULL;
		return st;
	}
	if (st != TN_OK)
		return tn_log_fail(log, "write", j->path, tn_status_text(st));
	tn_os_crash_point("log_journaled");
	tn_counter_add(log->journaled, 1);
	tn_net_lock_take(log->lock);
	keep_record(j, j->at);
	tn_net_lock_drop(log->lock);
	j->at += aligned(need);
	return TN_OK;
}

/* ---- a checkpoint ---------------------------------------------------- */

int
tn_log_journal_mark(const struct tn_log_segment *seg, MDB_txn *txn,
    uint64_t seq)
{
	uint8_t bytes[STATE_BYTES];
	MDB_val key = { sizeof state_key - 1, state_key };
	MDB_val value = { sizeof bytes, bytes };

	if (seq == 0)
		return 0;
	tn_log_put_u32(bytes, RECORD_MAGIC);
	tn_log_put_u64(bytes + 8, seq);
	tn_log_put_u32(bytes + 4, tn_crc32c(0, bytes + 8, 8));
	return mdb_put(txn, seg->main, &key, &value, 0);
}

enum tn_status
tn_log_journal_put(struct tn_log *log, MDB_txn *txn, int *rc)
{
	const struct tn_log_journal *j = &log->journal;

	*rc = 0;
	for (uint32_t i = 0; i < j->block_count && *rc == 0; i++) {
		uint8_t key[8];
		MDB_val k = { sizeof key, key };
		MDB_val v = { j->blocks[i].n,
			(void *)(uintptr_t)j->blocks[i].p };

		tn_log_key_u64(key, j->first_lsn + i);
		*rc = mdb_put(txn, log->newest->blocks, &k, &v, MDB_APPEND);
	}
	if (*rc == 0)
		*rc = tn_log_journal_mark(log->newest, txn, j->seq);
	if (*rc != 0)
		return tn_log_mdb_status(*rc);
	/* That there is room for them was seen before they were taken. */
	return tn_log_notes_put(log, txn, j->notes, j->note_count, false, rc);
}

static void
forget(struct tn_log *log)
{
	struct tn_log_journal *j = &log->journal;

	tn_net_lock_take(log->lock);
	j->block_count = 0;
	j->note_count = 0;
	tn_net_lock_drop(log->lock);
	j->at = 0;
	j->pages = 0;
	j->note_pages = 0;
}

void
tn_log_journal_done(struct tn_log *log)
{
	log->journal.marked = log->journal.seq;
	forget(log);
}

static enum tn_status
remove_file(struct tn_log *log)
{
	enum tn_status st = tn_os_unlink(log->journal.path);

	if (st == TN_ENOTFOUND)
		return TN_OK;
	return st == TN_OK ? tn_os_sync_dir(log->dir) : st;
}

enum tn_status
tn_log_journal_wipe(struct tn_log *log)
{
	struct tn_log_journal *j = &log->journal;
	enum tn_status st = TN_ENOSPC;

	tn_assert(j->at == 0);
	if (j->used == 0)
		return TN_OK;
	memset(j->image, 0, j->used);
	if (j->file != NULL)
		st = tn_os_pwrite(j->file, j->image, j->used, ALIGN);
	if (st == TN_ENOSPC) {
		tn_os_close(j->file);
		j->file = NULL;
		st = remove_file(log);
	}
	if (st != TN_OK)
		return tn_log_fail(log, "clear", j->path, tn_status_text(st));
	j->used = 0;
	return TN_OK;
}

/* ---- start ----------------------------------------------------------- */

static enum tn_status
damaged(const struct tn_log *log, const char *why, struct tn_diag *d)
{
	const char *path = log->journal.path;

	tn_say(TN_ERROR, "log", "%s: %s", path, why);
	tn_diag_hint(d, "restore the log from a backup, or move %s away: what "
	    "was acknowledged in the last moments before the crash is lost "
	    "then", path);
	return tn_diag_set(d, TN_ECORRUPT, "log_corrupt", "%s: %s", path, why);
}

/* The newest record that LMDB has, 0 for none. */
static enum tn_status
read_mark(struct tn_log *log, uint64_t *seq, struct tn_diag *d)
{
	const struct tn_log_segment *seg = log->newest;
	MDB_val key = { sizeof state_key - 1, state_key };
	const uint8_t *p;
	MDB_val value;
	MDB_txn *txn;
	int rc = mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);
	bool good = true;

	*seq = 0;
	if (rc != 0)
		return tn_log_mdb_status(rc);
	rc = mdb_get(txn, seg->main, &key, &value);
	if (rc == 0) {
		p = value.mv_data;
		good = value.mv_size == STATE_BYTES &&
		    tn_log_get_u32(p) == RECORD_MAGIC &&
		    tn_log_get_u32(p + 4) == tn_crc32c(0, p + 8, 8);
		*seq = good ? tn_log_get_u64(p + 8) : 0;
	}
	mdb_txn_abort(txn);
	if (!good)
		return tn_diag_set(d, TN_ECORRUPT, "log_corrupt",
		    "%s: the journal's mark is damaged", seg->path);
	return rc == MDB_NOTFOUND ? TN_OK : tn_log_mdb_status(rc);
}

/* A journal that was found: its records begin at p. */
struct found {
	const uint8_t *p;
	uint64_t n, salt;
};

static uint32_t
head_crc(const uint8_t *head)
{
	return tn_crc32c(0, head + CRC_FROM, FILE_HEAD - CRC_FROM);
}

/* The salt, 0 when the head is damaged or the file is not as long as made. */
static uint64_t
salt_of(const struct tn_buf *file)
{
	if (file->n < ALIGN || tn_log_get_u32(file->p) != FILE_MAGIC ||
	    tn_log_get_u32(file->p + 4) != head_crc(file->p) ||
	    tn_log_get_u64(file->p + 16) != file->n)
		return 0;
	return tn_log_get_u64(file->p + 8);
}

/* A record's beginning: all that is known before its CRC. */
static bool
begins(const struct found *f, uint64_t at, uint64_t *seq)
{
	const uint8_t *p = f->p + at;

	if (at >= f->n || f->n - at < RECORD_HEAD ||
	    tn_log_get_u32(p + AT_MAGIC) != RECORD_MAGIC ||
	    tn_log_get_u64(p + AT_SALT) != f->salt)
		return false;
	*seq = tn_log_get_u64(p + AT_SEQ);
	return true;
}

/* The bytes of the record at ${at}, 0 when none is there. */
static uint64_t
record_at(const struct found *f, uint64_t at, uint64_t *seq)
{
	const uint8_t *p = f->p + at;
	uint64_t n;

	if (!begins(f, at, seq))
		return 0;
	n = tn_log_get_u32(p + AT_BYTES);
	if (n < RECORD_HEAD || n > f->n - at || tn_log_get_u32(p + AT_CRC) !=
	    tn_crc32c(0, p + CRC_FROM, n - CRC_FROM))
		return 0;
	return n;
}

/* Its parts lie in it and follow what the log has. */
static bool
follows(const struct found *f, uint64_t at, uint64_t n, uint64_t *lsn)
{
	const uint8_t *p = f->p + at;
	uint32_t blocks = tn_log_get_u32(p + AT_BLOCKS);
	uint32_t notes = tn_log_get_u32(p + AT_NOTES);
	uint64_t to = RECORD_HEAD;

	for (uint32_t i = 0; i < blocks; i++) {
		struct tn_log_block b;
		uint64_t bytes;

		if (n - to < 4)
			return false;
		bytes = tn_log_get_u32(p + to);
		to += 4;
		if (bytes > n - to || tn_log_check((struct tn_slice){ p + to,
		    bytes }, *lsn, &b) != TN_OK)
			return false;
		(*lsn)++;
		to += bytes;
	}
	for (uint32_t i = 0; i < notes; i++) {
		uint64_t key_n, value_n;

		if (n - to < NOTE_HEAD)
			return false;
		key_n = tn_log_get_u32(p + to);
		value_n = tn_log_get_u32(p + to + 4);
		to += NOTE_HEAD;
		if (key_n == 0 || key_n > TN_LOG_KEY_MAX ||
		    value_n > TN_LOG_VALUE_MAX || n - to < key_n + value_n)
			return false;
		to += key_n + value_n;
	}
	return to == n;
}

/* How many bytes of it are records that LMDB lacks; they begin with the one
 * after *${seq}, which becomes the newest. */
static enum tn_status
find_records(struct tn_log *log, const struct found *f, uint64_t *end,
    uint64_t *seq, struct tn_diag *d)
{
	uint64_t lsn = tn_log_next_lsn(log);
	uint64_t n, s;

	*end = 0;
	while ((n = record_at(f, *end, &s)) > 0 && s == *seq + 1) {
		if (!follows(f, *end, n, &lsn))
			return damaged(log, "a record does not follow what "
			    "the log has", d);
		*seq = s;
		*end += aligned(n);
	}
	for (uint64_t at = *end; at < f->n; at += ALIGN)
		if (begins(f, at, &s) && s > *seq && record_at(f, at, &s) > 0)
			return damaged(log, "records before one that is "
			    "whole are damaged or missing", d);
	if (begins(f, *end, &s) && s == *seq + 1)
		tn_say(TN_WARN, "log", "%s: a record is left out that was not "
		    "written to its end, nor acknowledged", log->journal.path);
	return TN_OK;
}

void
tn_log_journal_offsets(struct tn_log *log)
{
	const struct tn_log_journal *j = &log->journal;

	for (uint32_t i = 0; i < j->block_count; i++) {
		struct tn_log_block b;
		struct tn_log_offset *o;
		enum tn_status st = tn_log_check(j->blocks[i],
		    j->first_lsn + i, &b);

		tn_assert(st == TN_OK);
		o = tn_log_offset_of(log, b.stream);
		o->pending = b.offset + b.rows;
		o->next = o->pending;
		o->dirty = true;
	}
}

/* Into LMDB with all that is in the file. */
static enum tn_status
replay(struct tn_log *log, const struct tn_buf *file, bool there,
    struct tn_diag *d)
{
	struct tn_log_journal *j = &log->journal;
	struct found f = { NULL, 0, salt_of(file) };
	enum tn_status st = read_mark(log, &j->marked, d);
	uint64_t end = 0;

	j->seq = j->marked;
	/* It is whole before it has its name. */
	if (st == TN_OK && there && f.salt == 0)
		return damaged(log, "its head is damaged, or it was cut", d);
	if (st != TN_OK || !there)
		return st;
	f.p = file->p + ALIGN;
	f.n = file->n - ALIGN;
	st = find_records(log, &f, &end, &j->seq, d);
	if (st != TN_OK || end == 0)
		return st;
	j->image = file->p + ALIGN;
	tn_net_lock_take(log->lock);
	while (j->at < end) {
		keep_record(j, j->at);
		j->at += aligned(tn_log_get_u32(j->image + j->at + AT_BYTES));
	}
	tn_net_lock_drop(log->lock);
	st = tn_log_recover(log);
	if (st != TN_OK)
		forget(log);
	j->image = NULL;
	if (st == TN_OK)
		return st;
	tn_diag_hint(d, st == TN_ELIMIT ? "raise log_segment_bytes to what it "
	    "was" : st == TN_ENOSPC ? "free space on the data disk" :
	    "restore the log from a backup");
	return tn_diag_set(d, st, "log_open", "%s: what was acknowledged last "
	    "cannot be put into the log: %s", j->path, tn_status_text(st));
}

/* A new one, zeros behind its head, in place of what is there. */
static enum tn_status
make_file(struct tn_log *log)
{
	struct tn_log_journal *j = &log->journal;
	char path[TN_LOG_PATH_MAX + 4];
	uint8_t head[ALIGN] = { 0 };
	struct tn_os_file *file;
	enum tn_status st;

	do
		tn_os_random(&j->salt, sizeof j->salt);
	while (j->salt == 0);
	tn_log_put_u32(head, FILE_MAGIC);
	tn_log_put_u64(head + 8, j->salt);
	tn_log_put_u64(head + 16, ALIGN + j->bytes);
	tn_log_put_u32(head + 4, head_crc(head));
	(void)snprintf(path, sizeof path, "%s.new", j->path);
	st = tn_os_open(&file, path, TN_OS_REPLACE);
	if (st != TN_OK)
		return st;
	st = tn_os_write(file, head, sizeof head);
	if (st == TN_OK)
		st = tn_os_write(file, j->image, j->bytes);
	if (st == TN_OK)
		st = tn_os_sync(file);
	tn_os_close(file);
	if (st == TN_OK)
		st = tn_os_rename(path, j->path);
	tn_os_crash_point("log_journal_made");
	if (st == TN_OK)
		return tn_os_sync_dir(log->dir);
	(void)!tn_os_unlink(path);
	return st;
}

/* Of records, for a file of ${wanted} bytes; 0: none. */
static uint64_t
room_of(const struct tn_log *log, uint64_t wanted)
{
	uint64_t most = log->segment_bytes / SEGMENT_PART;

	if (most > BYTES_MAX)
		most = BYTES_MAX;
	if (wanted < most)
		most = wanted;
	return most < 2 * ALIGN ? 0 : (most - ALIGN) & ~(uint64_t)(ALIGN - 1);
}

/* Where the disk may take it from without a copy. */
static void
make_image(struct tn_log_journal *j)
{
	j->memory = tn_zalloc(j->bytes + ALIGN);
	j->image = (uint8_t *)j->memory + (ALIGN - (uintptr_t)j->memory %
	    ALIGN);
}

enum tn_status
tn_log_journal_open(struct tn_log *log, uint64_t wanted, struct tn_diag *d)
{
	struct tn_log_journal *j = &log->journal;
	struct tn_buf file = { 0 };
	enum tn_status st;

	(void)snprintf(j->path, sizeof j->path, "%s/journal", log->dir);
	st = tn_os_read_file(j->path, &file, BYTES_MAX);
	if (st == TN_OK || st == TN_ENOTFOUND)
		st = replay(log, &file, st == TN_OK, d);
	else if (st == TN_ELIMIT)
		st = damaged(log, "it is larger than a journal can be", d);
	tn_buf_fini(&file);
	if (st != TN_OK)
		return st;
	j->bytes = room_of(log, wanted);
	if (j->bytes == 0)
		return remove_file(log);
	make_image(j);
	st = make_file(log);
	/* LMDB has what is in the old one; rows may have to be erased. */
	if (st == TN_ENOSPC) {
		st = remove_file(log);
		if (st == TN_OK)
			st = make_file(log);
	}
	if (st == TN_OK)
		st = tn_os_open(&j->file, j->path, TN_OS_DURABLE);
	if (st == TN_ENOSPC) {
		tn_say(TN_WARN, "log", "%s: no space for a journal: each "
		    "commit waits for two syncs until a restart", j->path);
		j->bytes = 0;
		return TN_OK;
	}
	tn_log_recount(log);
	return st == TN_OK ? TN_OK : tn_diag_set(d, st, "log_open", "%s: %s",
	    j->path, tn_status_text(st));
}

/* An empty one goes: after a clean end LMDB has all. */
void
tn_log_journal_close(struct tn_log_journal *j)
{
	if (j->file != NULL && j->at == 0)
		(void)!tn_os_unlink(j->path);
	tn_os_close(j->file);
	tn_free(j->memory);
	tn_free(j->blocks);
	tn_free(j->notes);
	tn_free(j->note_hashes);
}

/* read: blocks and notes, from any thread.
 *
 *   borrow   find the segment under the lock, count a user
 *   read     one LMDB read transaction; check, decompress, copy to the arena
 *   return   the last user of a dropped segment closes it
 *
 * Trimming takes a segment out of the table and unlinks its file at once; a
 * reader that borrowed before keeps the map until it is done. So a reader
 * gets the block or TN_ENOTFOUND.
 *
 * When LMDB failed to write a meta page it refuses reads too (MDB_PANIC). The
 * log writes no more then, and the first reader that meets it opens the file
 * anew, read-only. That view may hold a commit that was never acknowledged:
 * blocks after last are not given out, and notes not at all. */
#include "log/log_int.h"

#include <string.h>
#include <time.h>

enum { PANIC_WAIT_MS_MAX = 1000 };

/* ---- borrowing ------------------------------------------------------- */

/* The segment with the greatest first <= ${lsn}; the newest for UINT64_MAX.
 * NULL when it is before all. *${next} is its end. */
static struct tn_log_segment *
borrow(struct tn_log *log, uint64_t lsn, uint64_t *next)
{
	struct tn_log_segment *seg = NULL;
	uint32_t low = 0;
	uint32_t high;

	tn_net_lock_take(log->lock);
	high = log->seg_count;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (log->segs[mid]->first <= lsn)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 0) {
		seg = log->segs[low - 1];
		seg->users++;
		*next = seg->next;
	}
	tn_net_lock_drop(log->lock);
	return seg;
}

void
tn_log_give_back(struct tn_log *log, struct tn_log_segment *seg)
{
	bool last;

	tn_net_lock_take(log->lock);
	tn_assert(seg->users > 0);
	seg->users--;
	last = seg->dropped && seg->users == 0;
	tn_net_lock_drop(log->lock);
	if (last)
		tn_log_segment_close(seg);
}

/* ${seg}, borrowed, answered MDB_PANIC: put a twin in its place. */
static void
revive(struct tn_log *log, struct tn_log_segment *seg)
{
	struct timespec ms = { 0, 1000000 };
	struct tn_log_segment *twin;
	uint32_t at;

	/* The writer is on its way out of LMDB; before it says so it may
	 * still use the environment. */
	for (int i = 0; i < PANIC_WAIT_MS_MAX; i++) {
		if (atomic_load(&log->failed))
			break;
		(void)nanosleep(&ms, NULL);
	}
	if (!atomic_load(&log->failed))
		return;
	tn_net_lock_take(log->lock);
	at = log->seg_count - 1;
	if (log->segs[at] == seg) {
		twin = tn_log_segment_revive(seg);
		if (twin != NULL) {
			log->segs[at] = twin;
			seg->dropped = true;
		}
	}
	tn_net_lock_drop(log->lock);
}

/* ---- blocks ---------------------------------------------------------- */

static enum tn_status
failed_read(int rc, const struct tn_log_segment *seg, uint64_t lsn,
    struct tn_diag *d)
{
	enum tn_status st = tn_log_mdb_status(rc);

	/* LSNs are dense: a block that is not there is a damaged tree. */
	if (st == TN_ENOTFOUND)
		st = TN_ECORRUPT;
	tn_say(TN_ERROR, "log", "%s: block %llu: %s", seg->path,
	    (unsigned long long)lsn, mdb_strerror(rc));
	return tn_diag_set(d, st, st == TN_ECORRUPT ? "log_corrupt" : "log_read",
	    "%s: block %llu: %s", seg->path, (unsigned long long)lsn,
	    mdb_strerror(rc));
}

static enum tn_status
damaged(const struct tn_log_segment *seg, uint64_t lsn, struct tn_diag *d)
{
	tn_say(TN_ERROR, "log", "%s: block %llu fails its checksum", seg->path,
	    (unsigned long long)lsn);
	tn_diag_hint(d, "the disk returned other bytes than were written");
	return tn_diag_set(d, TN_ECORRUPT, "log_corrupt",
	    "%s: block %llu fails its checksum", seg->path,
	    (unsigned long long)lsn);
}

static int
get_block(MDB_txn *txn, const struct tn_log_segment *seg, uint64_t lsn,
    struct tn_slice *stored)
{
	uint8_t key[8];
	MDB_val k = { sizeof key, key };
	MDB_val v;
	int rc;

	tn_log_key_u64(key, lsn);
	rc = mdb_get(txn, seg->blocks, &k, &v);
	if (rc == 0)
		*stored = (struct tn_slice){ v.mv_data, v.mv_size };
	return rc;
}

/* What is read, and to where. */
struct reading {
	uint64_t lsn;
	enum tn_log_reading how;
	struct tn_arena *a;
	struct tn_log_block *out;
	struct tn_diag *d;
	int rc;              /* Of LMDB; MDB_PANIC: it may be tried again. */
};

static enum tn_status
read_in(const struct tn_log_segment *seg, struct reading *x)
{
	struct tn_slice stored;
	enum tn_status st;
	MDB_txn *txn;

	x->rc = mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);
	if (x->rc == MDB_PANIC)
		return TN_EIO;
	if (x->rc != 0)
		return failed_read(x->rc, seg, x->lsn, x->d);
	x->rc = get_block(txn, seg, x->lsn, &stored);
	if (x->rc == 0)
		st = tn_log_decode(stored, x->lsn, x->how, x->a, x->out);
	else
		st = failed_read(x->rc, seg, x->lsn, x->d);
	if (x->rc == 0 && st == TN_ECORRUPT)
		(void)damaged(seg, x->lsn, x->d);
	mdb_txn_abort(txn);
	return st;
}

static enum tn_status
read_block(struct tn_log *log, struct reading *x)
{
	struct tn_slice stored;
	enum tn_status st;
	uint64_t next = 0;

	if (x->lsn == 0 || x->lsn > atomic_load(&log->last))
		return TN_ENOTFOUND;
	st = tn_log_journal_block(log, x->lsn, x->a, &stored);
	if (st == TN_OK)
		return tn_log_decode(stored, x->lsn, x->how, x->a, x->out);
	if (st != TN_ENOTFOUND)
		return st;
	/* Not there any more: then it is in LMDB. */
	x->rc = MDB_PANIC;
	for (int tries = 0; tries < 2 && x->rc == MDB_PANIC; tries++) {
		struct tn_log_segment *seg = borrow(log, x->lsn, &next);

		x->rc = 0;
		if (seg == NULL)
			return TN_ENOTFOUND;
		/* Beyond its end, before the next: skipped by a raise. */
		if (x->lsn < next)
			st = read_in(seg, x);
		if (x->rc == MDB_PANIC)
			revive(log, seg);
		tn_log_give_back(log, seg);
	}
	return st;
}

enum tn_status
tn_log_read(struct tn_log *log, uint64_t lsn, struct tn_arena *a,
    struct tn_log_block *out, struct tn_diag *d)
{
	struct reading x = { .lsn = lsn, .a = a, .out = out, .d = d };

	return read_block(log, &x);
}

enum tn_status
tn_log_read_framed(struct tn_log *log, uint64_t lsn, struct tn_arena *a,
    struct tn_log_block *out, struct tn_diag *d)
{
	struct reading x = { .lsn = lsn, .how = TN_LOG_READ_BOTH, .a = a,
	    .out = out, .d = d };

	return read_block(log, &x);
}

enum tn_status
tn_log_read_packed(struct tn_log *log, uint64_t lsn, struct tn_arena *a,
    struct tn_log_block *out, struct tn_diag *d)
{
	struct reading x = { .lsn = lsn, .how = TN_LOG_READ_FRAME, .a = a,
	    .out = out, .d = d };

	return read_block(log, &x);
}

enum tn_status
tn_log_check_newest(struct tn_log *log, struct tn_log_segment *seg,
    struct tn_diag *d)
{
	uint64_t lsn = seg->next - 1;
	struct tn_log_block block;
	struct tn_slice stored;
	enum tn_status st;
	MDB_txn *txn;
	int rc = mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return failed_read(rc, seg, lsn, d);
	rc = get_block(txn, seg, lsn, &stored);
	if (rc != 0)
		st = failed_read(rc, seg, lsn, d);
	else
		st = tn_log_check(stored, lsn, &block);
	mdb_txn_abort(txn);
	if (rc != 0)
		return st;
	if (st != TN_OK || tn_log_next_offset(log, block.stream) <
	    block.offset + block.rows)
		return damaged(seg, lsn, d);
	return TN_OK;
}

/* ---- notes ----------------------------------------------------------- */

enum tn_status
tn_log_note_get(struct tn_log *log, struct tn_slice key, int64_t now_us,
    struct tn_arena *a, struct tn_slice *value)
{
	MDB_val k = { key.n, (void *)(uintptr_t)key.p };
	struct tn_log_segment *seg;
	enum tn_status st;
	int64_t expires_us;
	uint64_t next;
	MDB_txn *txn;
	bool found;
	MDB_val v;
	int rc;

	if (key.n == 0 || key.n > TN_LOG_KEY_MAX)
		return TN_ENOTFOUND;
	st = tn_log_journal_note(log, key, now_us, a, value, &found);
	if (found)
		return st;
	seg = borrow(log, UINT64_MAX, &next);
	tn_assert(seg != NULL);
	rc = seg->revived ? MDB_PANIC
	    : mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0) {
		if (rc != MDB_PANIC)
			tn_say(TN_ERROR, "log", "read notes of %s: %s",
			    seg->path, mdb_strerror(rc));
		tn_log_give_back(log, seg);
		return rc == MDB_PANIC ? TN_ECLOSED : tn_log_mdb_status(rc);
	}
	rc = mdb_get(txn, seg->notes, &k, &v);
	st = tn_log_mdb_status(rc);
	if (rc != 0 && rc != MDB_NOTFOUND)
		tn_say(TN_ERROR, "log", "read a note of %s: %s", seg->path,
		    mdb_strerror(rc));
	if (st == TN_OK)
		st = tn_log_note_check(key, &v, &expires_us, value);
	if (rc == 0 && st == TN_ECORRUPT)
		tn_say(TN_ERROR, "log", "%s: a note is damaged", seg->path);
	if (st == TN_OK && expires_us <= now_us)
		st = TN_ENOTFOUND;
	if (st == TN_OK) {
		uint8_t *copy = tn_arena_try_alloc(a, value->n);

		if (copy != NULL)
			memcpy(copy, value->p, value->n);
		else
			st = TN_ENOMEM;
		value->p = copy;
	}
	mdb_txn_abort(txn);
	tn_log_give_back(log, seg);
	return st;
}

/* ---- trimming -------------------------------------------------------- */

/* Take the oldest segment out of the table when all of it is at or below
 * ${lsn}; its path goes to ${path}. It is closed here or by its last user. */
static bool
drop_oldest(struct tn_log *log, uint64_t lsn, char path[TN_LOG_PATH_MAX])
{
	struct tn_log_segment *seg;
	bool idle;

	tn_net_lock_take(log->lock);
	seg = log->segs[0];
	if (log->seg_count < 2 || seg->next - 1 > lsn) {
		tn_net_lock_drop(log->lock);
		return false;
	}
	log->seg_count--;
	memmove(log->segs, log->segs + 1,
	    log->seg_count * sizeof(struct tn_log_segment *));
	(void)strcpy(path, seg->path);
	seg->dropped = true;
	idle = seg->users == 0;
	tn_net_lock_drop(log->lock);
	if (idle)
		tn_log_segment_close(seg);
	return true;
}

enum tn_status
tn_log_trim(struct tn_log *log, uint64_t lsn)
{
	char path[TN_LOG_PATH_MAX];
	enum tn_status st = TN_OK;

	tn_net_lock_take(log->writing);
	/* One after the other with a sync each: a power cut must not bring an
	 * older one back while a newer one is gone. */
	while (st == TN_OK && !atomic_load(&log->held) &&
	    drop_oldest(log, lsn, path)) {
		st = tn_log_segment_remove(path);
		tn_os_crash_point("log_trimmed");
		if (st == TN_OK)
			st = tn_os_sync_dir(log->dir);
		tn_log_recount(log);
		if (st != TN_OK)
			st = tn_log_fail(log, "remove", path,
			    tn_status_text(st));
	}
	tn_net_lock_drop(log->writing);
	return st;
}

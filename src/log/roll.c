/* roll: the next segment.
 *
 *   create .new -> one transaction: state, offsets, live notes -> full sync
 *     -> rename -> sync the folder -> into the table
 *
 * The journal is empty then (append.c sees to that), but at a start, where what
 * it holds is none of the segments' yet. Nothing is appended to the new one
 * before the folder is synced, so a crash at any step leaves the old segment
 * newest (and a .new file, removed at the next start) or an empty new one.
 * Failures before the rename undo themselves; lack of disk or memory is no more
 * than that. Every other failure is final, and
 * so is a failed sync of the folder: the next append into the old segment
 * could contradict a new one that is there after all. */
#include "log/log_int.h"

/* What is carried, in pages, with room for what the tree needs. */
static uint64_t
carried_pages(struct tn_log *log, const struct tn_log_segment *seg)
{
	const struct tn_log_segment *old = log->newest;
	uint64_t pages = 32 + tn_log_offset_pages(log, log->offset_count,
	    seg->page_bytes);
	MDB_txn *txn;
	MDB_stat a, b;

	if (old == NULL)
		return pages;
	if (mdb_txn_begin(old->env, NULL, MDB_RDONLY, &txn) != 0)
		return pages;
	/* Keys come in the order of expiry, so that leaves end half empty. */
	if (mdb_stat(txn, old->notes, &a) == 0 &&
	    mdb_stat(txn, old->expiries, &b) == 0)
		pages += 2 * (uint64_t)(a.ms_leaf_pages + b.ms_leaf_pages) +
		    a.ms_overflow_pages + 8;
	mdb_txn_abort(txn);
	return pages;
}

static int
fill(struct tn_log *log, struct tn_log_segment *seg)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(seg->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = tn_log_segment_found(seg, txn);
	for (uint32_t i = 0; i < log->offset_count && rc == 0; i++) {
		struct tn_log_offset o = log->offsets[i];

		/* An append under way has its own plans; carry the truth. */
		o.pending = o.next;
		rc = tn_log_offset_put(seg, txn, &o);
	}
	if (rc == 0)
		rc = tn_log_journal_mark(seg, txn, log->journal.marked);
	if (rc == 0 && log->newest != NULL)
		rc = tn_log_notes_carry(log->newest, seg, txn, tn_os_wall_us());
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* A whole segment that still has its young name. */
static enum tn_status
begin(struct tn_log *log, uint64_t first, struct tn_log_segment **out)
{
	uint32_t number = log->newest != NULL ? log->newest->number + 1 : 1;
	enum tn_status st = tn_log_segment_create(out, log->dir, number,
	    log->segment_bytes);
	int rc;

	if (st != TN_OK)
		return st;
	(*out)->first = first;
	(*out)->after = atomic_load(&log->last);
	st = tn_log_segment_reserve(*out, log->dir, carried_pages(log, *out),
	    0);
	if (st != TN_OK)
		return st;
	rc = fill(log, *out);
	if (rc == MDB_MAP_FULL)
		return TN_ELIMIT;
	if (rc != 0)
		tn_say(TN_ERROR, "log", "begin %s: %s", (*out)->path,
		    mdb_strerror(rc));
	return tn_log_mdb_status(rc);
}

static void
undo(struct tn_log_segment *seg)
{
	char *path;
	struct tn_arena *a;

	if (seg == NULL)
		return;
	a = tn_arena_new(0);
	path = tn_arena_printf(a, "%s.new", seg->path);
	tn_log_segment_close(seg);
	(void)!tn_log_segment_remove(path);
	tn_arena_free(a);
}

/* Notes are read from the segment before: it may be to blame. */
static enum tn_status
fail_begin(struct tn_log *log, enum tn_status st)
{
	if (log->newest == NULL)
		return tn_log_fail(log, "begin a segment in", log->dir,
		    tn_status_text(st));
	return tn_log_fail(log, "begin the segment after", log->newest->path,
	    tn_status_text(st));
}

enum tn_status
tn_log_roll(struct tn_log *log, uint64_t first)
{
	struct tn_log_segment *seg = NULL;
	enum tn_status st;

	tn_assert(first > atomic_load(&log->last));
	st = begin(log, first, &seg);
	tn_os_crash_point("log_segment_filled");
	if (st == TN_OK)
		st = tn_log_segment_publish(seg);
	if (st != TN_OK) {
		undo(seg);
		if (st == TN_ENOSPC || st == TN_ENOMEM || st == TN_ELIMIT)
			return st;
		return fail_begin(log, st);
	}
	tn_os_crash_point("log_segment_named");
	st = tn_os_sync_dir(log->dir);
	if (st != TN_OK) {
		tn_log_segment_close(seg);
		return tn_log_fail(log, "sync the folder", log->dir,
		    tn_status_text(st));
	}
	tn_log_push(log, seg);
	tn_os_crash_point("log_segment_begun");
	return TN_OK;
}

enum tn_status
tn_log_begin_segment(struct tn_log *log, uint64_t *last)
{
	enum tn_status st;

	*last = atomic_load(&log->last);
	tn_net_lock_take(log->writing);
	st = atomic_load(&log->failed) ? TN_ECLOSED :
	    tn_log_checkpoint_now(log);
	/* It may be begun so that what was before can be erased. */
	if (st == TN_OK)
		st = tn_log_journal_wipe(log);
	if (st == TN_OK && log->newest->first <= *last)
		st = tn_log_roll(log, *last + 1);
	tn_net_lock_drop(log->writing);
	tn_log_recount(log);
	return st;
}

/* ---- raise ----------------------------------------------------------- */

static enum tn_status
cannot_raise(const struct tn_log_segment *seg, int rc)
{
	tn_say(TN_ERROR, "log", "raise %s: %s", seg->path, mdb_strerror(rc));
	return tn_log_mdb_status(rc);
}

/* One transaction: the segment's record and the offsets that changed. */
static enum tn_status
write_raised(struct tn_log *log, uint32_t changed)
{
	struct tn_log_segment *seg = log->newest;
	enum tn_status st = tn_log_segment_reserve(seg, log->dir, 64 +
	    tn_log_offset_pages(log, changed, seg->page_bytes), 0);
	MDB_txn *txn;
	int rc;

	if (st != TN_OK)
		return st;
	rc = mdb_txn_begin(seg->env, NULL, 0, &txn);
	if (rc != 0)
		return cannot_raise(seg, rc);
	rc = tn_log_segment_state(seg, txn);
	for (uint32_t i = 0; i < log->offset_count && rc == 0; i++) {
		if (log->offsets[i].pending != log->offsets[i].next)
			rc = tn_log_offset_put(seg, txn, &log->offsets[i]);
	}
	if (rc != 0) {
		mdb_txn_abort(txn);
		return cannot_raise(seg, rc);
	}
	rc = mdb_txn_commit(txn);
	return rc == 0 ? TN_OK : tn_log_fail(log, "commit to", seg->path,
	    mdb_strerror(rc));
}

static void
settle_raised(struct tn_log *log, bool done)
{
	tn_net_lock_take(log->lock);
	for (uint32_t i = 0; i < log->offset_count; i++) {
		struct tn_log_offset *o = &log->offsets[i];

		if (done)
			o->next = o->pending;
		else
			o->pending = o->next;
	}
	tn_net_lock_drop(log->lock);
}

static void
set_first(struct tn_log *log, uint64_t first)
{
	tn_net_lock_take(log->lock);
	log->newest->first = first;
	tn_net_lock_drop(log->lock);
}

enum tn_status
tn_log_raise(struct tn_log *log, uint64_t lsn, const uint32_t *streams,
    const uint64_t *next_offsets, uint32_t count)
{
	uint64_t last = atomic_load(&log->last);
	uint64_t first = log->newest->first;
	enum tn_status st = TN_OK;
	uint32_t changed = 0;

	tn_assert(!log->appended);
	if (atomic_load(&log->failed))
		return TN_ECLOSED;
	if (lsn >= UINT64_MAX / 2)
		return TN_ELIMIT;
	for (uint32_t i = 0; i < count; i++) {
		struct tn_log_offset *o = tn_log_offset_of(log, streams[i]);

		changed += o->pending < next_offsets[i];
		if (o->pending < next_offsets[i])
			o->pending = next_offsets[i];
	}
	if (lsn <= last && changed == 0)
		return TN_OK;
	/* Blocks stay where they are; the gap lies between two segments. */
	if (lsn > last && first <= last)
		st = tn_log_roll(log, lsn + 1);
	else if (lsn > last)
		set_first(log, lsn + 1);
	if (st == TN_OK)
		st = write_raised(log, changed);
	settle_raised(log, st == TN_OK);
	if (st != TN_OK && log->newest->first == lsn + 1 && first > last)
		set_first(log, first);
	if (st == TN_OK && lsn > last)
		atomic_store(&log->last, lsn);
	tn_log_recount(log);
	return st;
}

/* append: a group of blocks and notes becomes durable by one commit.
 *
 *   plan     check limits, encode fronts into scratch, pack what is not
 *            packed, give out offsets (pending), bound the pages
 *   room     roll when the bound does not fit, reserve disk
 *   write    one transaction: blocks (encoded in place), offsets, notes
 *   commit   LMDB writes and syncs the pages, then the meta page (O_DSYNC)
 *   publish  offsets under the lock, then last
 *
 * A small group is written to the journal instead (journal.c); a checkpoint
 * writes and commits what gathered there, and so does the next larger group
 * with its own transaction. Room in LMDB was made before it was taken.
 *
 * Until commit nothing is visible and everything can be undone. A failed
 * commit is final, because what it left is not known, with one exception: no
 * space, when the environment still begins transactions. LMDB marks it as
 * broken when writing the meta page failed, so it had not come to that, and
 * the next commit writes and syncs its own pages anew. */
#include "log/log_int.h"

#include <errno.h>

enum {
	PAGES_EXTRA = 64,      /* Free list, main database, tree tops. */
	NODE_BYTES = 40,       /* Key, header, rounding. */
	SCRATCH_KEPT = 8 << 20,
};

/* ---- plan ------------------------------------------------------------ */

static struct tn_slice
front_of(const struct tn_log *log, const struct tn_log_piece *p)
{
	return (struct tn_slice){ log->scratch.p + p->front_at, p->front_n };
}

static struct tn_slice
packed_of(const struct tn_log *log, const struct tn_log_piece *p,
    const struct tn_log_block *b)
{
	if (p->packed_n == 0)
		return b->packed;
	return (struct tn_slice){ log->scratch.p + p->packed_at, p->packed_n };
}

/* The front begins with two lengths that go into the header. */
size_t
tn_log_stored_bytes(const struct tn_log *log, uint32_t i,
    const struct tn_log_block *b)
{
	const struct tn_log_piece *p = &log->pieces[i];

	return TN_LOG_HEAD_BYTES + p->front_n - 8 + packed_of(log, p, b).n;
}

void
tn_log_stored_put(const struct tn_log *log, uint32_t i,
    const struct tn_log_block *b, uint8_t *to)
{
	const struct tn_log_piece *p = &log->pieces[i];

	tn_log_encode(b, front_of(log, p), packed_of(log, p, b), to);
}

static enum tn_status
plan_block(struct tn_log *log, const struct tn_log_block *b, uint32_t i)
{
	struct tn_log_piece *p = &log->pieces[i];
	struct tn_buf *s = &log->scratch;
	enum tn_status st;

	p->front_at = s->n;
	st = tn_log_front(b, s);
	if (st != TN_OK)
		return st;
	p->front_n = s->n - p->front_at;
	p->packed_at = s->n;
	p->packed_n = 0;
	if (b->packed.n == 0) {
		st = tn_log_pack(b, log->zstd_level, NULL, s);
		if (st != TN_OK)
			return st;
		p->packed_n = s->n - p->packed_at;
	}
	return tn_log_stored_bytes(log, i, b) >
	    tn_log_block_bytes_max(log->segment_bytes) ? TN_ELIMIT : TN_OK;
}

uint64_t
tn_log_block_bytes_max(uint64_t segment_bytes)
{
	return segment_bytes / 4;
}

/* Pages for blocks, of which small ones share leaves. */
struct bound {
	uint64_t pages, leaf_bytes;
};

static void
bound_add(const struct tn_log_segment *seg, struct bound *x, uint64_t bytes)
{
	x->leaf_bytes += NODE_BYTES;
	if (bytes + NODE_BYTES < seg->page_bytes / 2)
		x->leaf_bytes += bytes;
	else
		x->pages += tn_log_pages(seg, bytes);
}

/* A leaf is left when the next node does not fit: more than half is used. One
 * branch page serves a hundred leaves at least. */
static uint64_t
bound_pages(const struct tn_log_segment *seg, const struct bound *x)
{
	uint64_t leaves = 2 * x->leaf_bytes / seg->page_bytes + 1;

	return x->pages + leaves + leaves / 64;
}

/* Encode all and count the blocks' pages into *${pages}. */
static enum tn_status
plan(struct tn_log *log, struct tn_log_block *blocks, uint32_t n,
    uint64_t *pages)
{
	struct bound x = { 0, 0 };

	if (n > log->piece_cap) {
		log->pieces = tn_realloc(log->pieces, n * sizeof *log->pieces);
		log->piece_cap = n;
	}
	if (log->scratch.cap > SCRATCH_KEPT)
		tn_buf_fini(&log->scratch);
	tn_buf_clear(&log->scratch);
	for (uint32_t i = 0; i < n; i++) {
		enum tn_status st = plan_block(log, &blocks[i], i);

		if (st != TN_OK)
			return st;
		bound_add(log->newest, &x,
		    tn_log_stored_bytes(log, i, &blocks[i]));
	}
	*pages = bound_pages(log->newest, &x);
	return TN_OK;
}

static enum tn_status
check_notes(const struct tn_log_note *notes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (notes[i].key.n == 0 || notes[i].key.n > TN_LOG_KEY_MAX ||
		    notes[i].value.n > TN_LOG_VALUE_MAX)
			return TN_ELIMIT;
	}
	return TN_OK;
}

/* LSNs and offsets, dense; pending of each stream moves on. */
static void
number(struct tn_log *log, struct tn_log_block *blocks, uint32_t n)
{
	uint64_t lsn = tn_log_next_lsn(log);

	for (uint32_t i = 0; i < n; i++) {
		struct tn_log_offset *o = tn_log_offset_of(log, blocks[i].stream);

		blocks[i].lsn = lsn + i;
		blocks[i].offset = o->pending;
		tn_assert(o->pending <= UINT64_MAX - blocks[i].rows);
		o->pending += blocks[i].rows;
		o->dirty = true;
	}
}

/* pending becomes next, or next pending. */
static void
settle(struct tn_log *log, const struct tn_log_block *blocks, uint32_t n,
    bool done)
{
	tn_net_lock_take(log->lock);
	for (uint32_t i = 0; i < n; i++) {
		/* It is there already, so this does not take the lock. */
		struct tn_log_offset *o = tn_log_offset_of(log, blocks[i].stream);

		if (done)
			o->next = o->pending;
		else
			o->pending = o->next;
	}
	tn_net_lock_drop(log->lock);
}

/* ---- room ------------------------------------------------------------ */

/* TN_ELIMIT when a new segment would have no more room than this one. */
static enum tn_status
roll(struct tn_log *log)
{
	const struct tn_log_segment *seg = log->newest;
	uint64_t first = tn_log_next_lsn(log);

	if (first == seg->first && tn_log_segment_used(seg) * 2 <
	    log->segment_bytes / seg->page_bytes)
		return TN_ELIMIT;
	return tn_log_roll(log, first);
}

/* ${keep}: free bytes of the disk that it leaves. The journal must be empty
 * where that rolls, but at open. */
static enum tn_status
make_room(struct tn_log *log, uint64_t pages, uint64_t keep)
{
	struct tn_log_segment *seg = log->newest;
	enum tn_status st = TN_OK;
	uint64_t before;

	if (pages > log->segment_bytes / seg->page_bytes / 2)
		return TN_ELIMIT;
	if (tn_log_segment_room(seg) < pages)
		st = roll(log);
	if (st != TN_OK)
		return st;
	seg = log->newest;
	if (tn_log_segment_room(seg) < pages)
		return TN_ELIMIT;
	before = seg->file_bytes;
	st = tn_log_segment_reserve(seg, log->dir, pages, keep);
	atomic_fetch_add(&log->bytes, seg->file_bytes - before);
	if (st != TN_OK && st != TN_ENOSPC)
		return tn_log_fail(log, "reserve disk for", seg->path,
		    tn_status_text(st));
	return st;
}

/* Bound of all that a transaction touches: ${pages} of blocks, any stream's
 * offset, and notes. */
static uint64_t
all_pages(struct tn_log *log, uint64_t pages, uint32_t note_count,
    uint64_t fresh)
{
	return PAGES_EXTRA + pages + tn_log_offset_pages(log,
	    log->offset_count, log->newest->page_bytes) +
	    tn_log_notes_pages(log, note_count, fresh);
}

/* Room for what the journal holds and a group beside it; or, where they do not
 * go together, a checkpoint, and for the group alone. */
static enum tn_status
make_room_beside(struct tn_log *log, uint64_t pages, uint32_t note_count,
    uint64_t fresh)
{
	const struct tn_log_journal *j = &log->journal;
	const struct tn_log_segment *seg = log->newest;
	enum tn_status st = TN_ENOSPC;
	uint64_t all;

	if (j->at > 0) {
		all = all_pages(log, j->pages + pages, j->note_count +
		    note_count, j->note_pages + fresh);
		if (all <= log->segment_bytes / seg->page_bytes / 2 &&
		    all <= tn_log_segment_room(seg))
			st = make_room(log, all, log->disk_reserve);
		if (st == TN_ENOSPC)
			st = tn_log_checkpoint_now(log);
		if (st != TN_OK || j->at > 0)
			return st;
	}
	return make_room(log, all_pages(log, pages, note_count, fresh),
	    log->disk_reserve);
}

/* ---- write ----------------------------------------------------------- */

static int
put_block(struct tn_log *log, MDB_txn *txn, const struct tn_log_block *b,
    uint32_t i)
{
	uint8_t key[8];
	MDB_val k = { sizeof key, key };
	MDB_val v = { tn_log_stored_bytes(log, i, b), NULL };
	int rc;

	tn_log_key_u64(key, b->lsn);
	rc = mdb_put(txn, log->newest->blocks, &k, &v,
	    MDB_RESERVE | MDB_APPEND);
	if (rc == 0)
		tn_log_stored_put(log, i, b, v.mv_data);
	return rc;
}

/* Of each stream whose offset moved on; dirty until that is committed. */
static int
put_offsets(struct tn_log *log, MDB_txn *txn)
{
	int rc = 0;

	for (uint32_t i = 0; i < log->offset_count && rc == 0; i++)
		if (log->offsets[i].dirty)
			rc = tn_log_offset_put(log->newest, txn,
			    &log->offsets[i]);
	return rc;
}

/* What the journal holds, then the group. */
static enum tn_status
put_all(struct tn_log *log, MDB_txn *txn, const struct tn_log_group *g,
    int *rc)
{
	enum tn_status st = tn_log_journal_put(log, txn, rc);

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; i < g->n && *rc == 0; i++)
		*rc = put_block(log, txn, &g->blocks[i], i);
	if (*rc == 0)
		*rc = put_offsets(log, txn);
	if (*rc != 0)
		return tn_log_mdb_status(*rc);
	return tn_log_notes_put(log, txn, g->notes, g->note_count, true, rc);
}

static enum tn_status
commit(struct tn_log *log, MDB_txn *txn)
{
	MDB_txn *probe;
	int rc;

	tn_os_crash_point("log_before_commit");
	rc = mdb_txn_commit(txn);
	if (rc == 0) {
		tn_os_crash_point("log_committed");
		return TN_OK;
	}
	if ((rc == ENOSPC || rc == EDQUOT) &&
	    mdb_txn_begin(log->newest->env, NULL, 0, &probe) == 0) {
		mdb_txn_abort(probe);
		return TN_ENOSPC;
	}
	return tn_log_fail(log, "commit to", log->newest->path,
	    mdb_strerror(rc));
}

static void
all_clean(struct tn_log *log)
{
	for (uint32_t i = 0; i < log->offset_count; i++)
		log->offsets[i].dirty = false;
}

/* One transaction. TN_EEXIST: the map is full, nothing was written. */
static enum tn_status
write_group(struct tn_log *log, const struct tn_log_group *g)
{
	enum tn_status st;
	MDB_txn *txn;
	int rc = mdb_txn_begin(log->newest->env, NULL, 0, &txn);

	if (rc == ENOMEM)
		return TN_ENOMEM;
	if (rc != 0)
		return tn_log_fail(log, "begin to write", log->newest->path,
		    mdb_strerror(rc));
	log->popped = 0;
	st = put_all(log, txn, g, &rc);
	if (st == TN_OK) {
		st = commit(log, txn);
		if (st != TN_OK)
			return st;
		tn_counter_add(log->commits, 1);
		tn_log_notes_told(log);
		all_clean(log);
		tn_log_journal_done(log);
		return TN_OK;
	}
	mdb_txn_abort(txn);
	if (rc == MDB_MAP_FULL)
		return TN_EEXIST;
	if (rc == MDB_TXN_FULL)
		return TN_ELIMIT;
	if (rc == 0 || rc == ENOMEM)
		return st;
	return tn_log_fail(log, "write", log->newest->path, mdb_strerror(rc));
}

/* With a second try in a new segment, should the bound have been wrong. What
 * the journal holds stays in this one: the group is none of it meanwhile. */
static enum tn_status
write_or_roll(struct tn_log *log, const struct tn_log_group *g,
    uint64_t pages)
{
	enum tn_status st = write_group(log, g);

	if (st != TN_EEXIST)
		return st;
	settle(log, g->blocks, g->n, false);
	st = tn_log_checkpoint_now(log);
	if (st == TN_OK)
		st = roll(log);
	if (st == TN_OK)
		st = make_room(log, pages, log->disk_reserve);
	if (st != TN_OK)
		return st;
	number(log, g->blocks, g->n);
	st = write_group(log, g);
	return st == TN_EEXIST ? TN_ELIMIT : st;
}

/* ---- checkpoints ----------------------------------------------------- */

enum tn_status
tn_log_checkpoint_now(struct tn_log *log)
{
	struct tn_log_group none = { NULL, 0, NULL, 0 };
	enum tn_status st;

	if (log->journal.at == 0)
		return TN_OK;
	if (atomic_load(&log->failed))
		return TN_ECLOSED;
	tn_os_crash_point("log_before_checkpoint");
	st = write_group(log, &none);
	tn_os_crash_point("log_checkpointed");
	/* There was room for it when it was acknowledged. The next start
	 * begins a segment for it. */
	if (st == TN_EEXIST || st == TN_ELIMIT)
		return tn_log_fail(log, "write the journal to",
		    log->newest->path, "its bound of pages was wrong");
	return st;
}

enum tn_status
tn_log_checkpoint(struct tn_log *log)
{
	enum tn_status st;

	tn_net_lock_take(log->writing);
	st = tn_log_checkpoint_now(log);
	tn_net_lock_drop(log->writing);
	return st;
}

void
tn_log_rest(struct tn_log *log)
{
	tn_net_lock_take(log->writing);
	if (log->journal.at >= log->journal.bytes / 2)
		(void)!tn_log_checkpoint_now(log);
	tn_net_lock_drop(log->writing);
}

/* Pages that LMDB needs for what the journal was found to hold. */
static uint64_t
found_pages(struct tn_log *log)
{
	const struct tn_log_journal *j = &log->journal;
	struct bound x = { 0, 0 };

	for (uint32_t i = 0; i < j->block_count; i++)
		bound_add(log->newest, &x, j->blocks[i].n);
	return all_pages(log, bound_pages(log->newest, &x), j->note_count,
	    tn_log_notes_fresh(log, j->notes, j->note_count));
}

enum tn_status
tn_log_recover(struct tn_log *log)
{
	struct tn_log_journal *j = &log->journal;
	struct tn_log_group none = { NULL, 0, NULL, 0 };
	uint64_t last = atomic_load(&log->last), pages;
	enum tn_status st;

	tn_log_journal_offsets(log);
	pages = found_pages(log);
	/* It is there already, unless the file system does not reserve. */
	st = make_room(log, pages, 0);
	if (st != TN_OK)
		return st;
	if (j->block_count > 0)
		last = j->first_lsn + j->block_count - 1;
	tn_os_crash_point("log_before_checkpoint");
	st = write_group(log, &none);
	/* A bound that was wrong then is so now. */
	if (st == TN_EEXIST) {
		st = roll(log);
		if (st == TN_OK)
			st = make_room(log, pages, 0);
		if (st == TN_OK)
			st = write_group(log, &none);
	}
	tn_os_crash_point("log_checkpointed");
	if (st == TN_OK)
		atomic_store(&log->last, last);
	return st == TN_EEXIST ? TN_ELIMIT : st;
}

/* ---- append ---------------------------------------------------------- */

static enum tn_status
append_journaled(struct tn_log *log, const struct tn_log_group *g,
    uint64_t pages, uint64_t fresh, uint64_t need)
{
	struct tn_log_journal *j = &log->journal;
	enum tn_status st = make_room_beside(log, pages, g->note_count, fresh);

	if (st != TN_OK)
		return st;
	number(log, g->blocks, g->n);
	st = tn_log_journal_write(log, g, need);
	settle(log, g->blocks, g->n, st == TN_OK);
	if (st != TN_OK)
		return st;
	j->pages += pages;
	j->note_pages += fresh;
	return TN_OK;
}

static enum tn_status
append_direct(struct tn_log *log, const struct tn_log_group *g,
    uint64_t pages, uint64_t fresh)
{
	enum tn_status st = make_room_beside(log, pages, g->note_count, fresh);

	if (st != TN_OK)
		return st;
	number(log, g->blocks, g->n);
	st = write_or_roll(log, g, all_pages(log, pages, g->note_count,
	    fresh));
	settle(log, g->blocks, g->n, st == TN_OK);
	return st;
}

static enum tn_status
append(struct tn_log *log, const struct tn_log_group *g)
{
	const struct tn_log_journal *j = &log->journal;
	uint64_t pages = 0, fresh, need;
	enum tn_status st = check_notes(g->notes, g->note_count);

	if (st == TN_OK)
		st = plan(log, g->blocks, g->n, &pages);
	if (st != TN_OK)
		return st;
	fresh = tn_log_notes_fresh(log, g->notes, g->note_count);
	need = tn_log_journal_need(log, g);
	if (need == 0 || !tn_log_notes_fit(log, j->note_count + g->note_count,
	    j->note_pages + fresh))
		return append_direct(log, g, pages, fresh);
	st = append_journaled(log, g, pages, fresh, need);
	if (st == TN_ENOSPC && j->file == NULL)
		st = append_direct(log, g, pages, fresh);
	return st;
}

enum tn_status
tn_log_append(struct tn_log *log, struct tn_log_block *blocks, uint32_t n,
    const struct tn_log_note *notes, uint32_t note_count)
{
	struct tn_log_group g = { blocks, n, notes, note_count };
	enum tn_status st;

	if (n == 0 && note_count == 0)
		return atomic_load(&log->failed) ? TN_ECLOSED : TN_OK;
	log->appended = true;
	tn_net_lock_take(log->writing);
	/* A checkpoint of another thread may have failed just now. */
	st = atomic_load(&log->failed) ? TN_ECLOSED : append(log, &g);
	if (st == TN_OK && n > 0) {
		tn_assert(blocks[n - 1].lsn > atomic_load(&log->last));
		atomic_store(&log->last, blocks[n - 1].lsn);
	}
	tn_net_lock_drop(log->writing);
	return st;
}

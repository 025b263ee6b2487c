/* append: a group of blocks and notes becomes durable by one commit.
 *
 *   plan     check limits, encode fronts into scratch, pack what is not
 *            packed, give out offsets (pending), bound the pages
 *   room     roll when the bound does not fit, reserve disk
 *   write    one transaction: blocks (encoded in place), offsets, notes
 *   commit   LMDB writes and syncs the pages, then the meta page (O_DSYNC)
 *   publish  offsets under the lock, then last
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
static size_t
stored_bytes(const struct tn_log *log, const struct tn_log_piece *p,
    const struct tn_log_block *b)
{
	return TN_LOG_HEAD_BYTES + p->front_n - 8 + packed_of(log, p, b).n;
}

static enum tn_status
plan_block(struct tn_log *log, const struct tn_log_block *b,
    struct tn_log_piece *p)
{
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
	return stored_bytes(log, p, b) >
	    tn_log_block_bytes_max(log->segment_bytes) ? TN_ELIMIT : TN_OK;
}

uint64_t
tn_log_block_bytes_max(uint64_t segment_bytes)
{
	return segment_bytes / 4;
}

/* Encode all and count pages into *${pages}. */
static enum tn_status
plan(struct tn_log *log, struct tn_log_block *blocks, uint32_t n,
    uint64_t *pages)
{
	const struct tn_log_segment *seg = log->newest;
	uint64_t leaf_bytes = 0;

	if (n > log->piece_cap) {
		log->pieces = tn_realloc(log->pieces, n * sizeof *log->pieces);
		log->piece_cap = n;
	}
	if (log->scratch.cap > SCRATCH_KEPT)
		tn_buf_fini(&log->scratch);
	tn_buf_clear(&log->scratch);
	*pages = PAGES_EXTRA;
	for (uint32_t i = 0; i < n; i++) {
		enum tn_status st = plan_block(log, &blocks[i], &log->pieces[i]);
		uint64_t bytes;

		if (st != TN_OK)
			return st;
		bytes = stored_bytes(log, &log->pieces[i], &blocks[i]);
		leaf_bytes += NODE_BYTES;
		if (bytes + NODE_BYTES < seg->page_bytes / 2)
			leaf_bytes += bytes;
		else
			*pages += tn_log_pages(seg, bytes);
	}
	/* A leaf is left when the next node does not fit: more than half is
	 * used. One branch page serves a hundred leaves at least. */
	leaf_bytes = 2 * leaf_bytes / seg->page_bytes + 1;
	*pages += leaf_bytes + leaf_bytes / 64;
	*pages += tn_log_offset_pages(log, n, seg->page_bytes);
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
	uint64_t lsn = log->newest->first;

	if (atomic_load(&log->last) >= lsn)
		lsn = atomic_load(&log->last) + 1;
	for (uint32_t i = 0; i < n; i++) {
		struct tn_log_offset *o = tn_log_offset_of(log, blocks[i].stream);

		blocks[i].lsn = lsn + i;
		blocks[i].offset = o->pending;
		tn_assert(o->pending <= UINT64_MAX - blocks[i].rows);
		o->pending += blocks[i].rows;
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
	uint64_t last = atomic_load(&log->last);
	uint64_t first = seg->first > last ? seg->first : last + 1;

	if (first == seg->first && tn_log_segment_used(seg) * 2 <
	    log->segment_bytes / seg->page_bytes)
		return TN_ELIMIT;
	return tn_log_roll(log, first);
}

static enum tn_status
make_room(struct tn_log *log, uint64_t pages)
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
	st = tn_log_segment_reserve(seg, log->dir, pages, log->disk_reserve);
	atomic_fetch_add(&log->bytes, seg->file_bytes - before);
	if (st != TN_OK && st != TN_ENOSPC)
		return tn_log_fail(log, "reserve disk for", seg->path,
		    tn_status_text(st));
	return st;
}

/* ---- write ----------------------------------------------------------- */

static int
put_block(struct tn_log *log, MDB_txn *txn, const struct tn_log_block *b,
    const struct tn_log_piece *p)
{
	uint8_t key[8];
	MDB_val k = { sizeof key, key };
	MDB_val v = { stored_bytes(log, p, b), NULL };
	int rc;

	tn_log_key_u64(key, b->lsn);
	rc = mdb_put(txn, log->newest->blocks, &k, &v,
	    MDB_RESERVE | MDB_APPEND);
	if (rc == 0)
		tn_log_encode(b, front_of(log, p), packed_of(log, p, b),
		    v.mv_data);
	return rc;
}

struct group {
	struct tn_log_block *blocks;
	uint32_t n;
	const struct tn_log_note *notes;
	uint32_t note_count;
};

static enum tn_status
put_all(struct tn_log *log, MDB_txn *txn, const struct group *g, int *rc)
{
	*rc = 0;
	for (uint32_t i = 0; i < g->n && *rc == 0; i++) {
		tn_log_offset_of(log, g->blocks[i].stream)->dirty = true;
		*rc = put_block(log, txn, &g->blocks[i], &log->pieces[i]);
	}
	for (uint32_t i = 0; i < g->n && *rc == 0; i++) {
		struct tn_log_offset *o =
		    tn_log_offset_of(log, g->blocks[i].stream);

		/* Once for each stream, not for each block. */
		if (o->dirty)
			*rc = tn_log_offset_put(log->newest, txn, o);
		o->dirty = false;
	}
	if (*rc != 0)
		return tn_log_mdb_status(*rc);
	return tn_log_notes_put(log, txn, g->notes, g->note_count, rc);
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

/* One transaction. TN_EEXIST: the map is full, nothing was written. */
static enum tn_status
write_group(struct tn_log *log, const struct group *g)
{
	enum tn_status st;
	MDB_txn *txn;
	int rc = mdb_txn_begin(log->newest->env, NULL, 0, &txn);

	if (rc == ENOMEM)
		return TN_ENOMEM;
	if (rc != 0)
		return tn_log_fail(log, "begin to write", log->newest->path,
		    mdb_strerror(rc));
	st = put_all(log, txn, g, &rc);
	if (st == TN_OK)
		return commit(log, txn);
	mdb_txn_abort(txn);
	if (rc == MDB_MAP_FULL)
		return TN_EEXIST;
	if (rc == MDB_TXN_FULL)
		return TN_ELIMIT;
	if (rc == 0 || rc == ENOMEM)
		return st;
	return tn_log_fail(log, "write", log->newest->path, mdb_strerror(rc));
}

/* With a second try in a new segment, should the bound have been wrong. */
static enum tn_status
write_or_roll(struct tn_log *log, const struct group *g, uint64_t pages)
{
	enum tn_status st = write_group(log, g);

	if (st != TN_EEXIST)
		return st;
	st = roll(log);
	if (st != TN_OK)
		return st;
	st = make_room(log, pages);
	if (st == TN_OK)
		st = write_group(log, g);
	return st == TN_EEXIST ? TN_ELIMIT : st;
}

enum tn_status
tn_log_append(struct tn_log *log, struct tn_log_block *blocks, uint32_t n,
    const struct tn_log_note *notes, uint32_t note_count)
{
	struct group g = { blocks, n, notes, note_count };
	enum tn_status st;
	uint64_t pages = 0;

	if (atomic_load(&log->failed))
		return TN_ECLOSED;
	if (n == 0 && note_count == 0)
		return TN_OK;
	log->appended = true;
	st = check_notes(notes, note_count);
	if (st == TN_OK)
		st = plan(log, blocks, n, &pages);
	if (st == TN_OK)
		pages += tn_log_notes_pages(log, notes, note_count);
	if (st == TN_OK)
		st = make_room(log, pages);
	if (st != TN_OK)
		return st;
	number(log, blocks, n);
	st = write_or_roll(log, &g, pages);
	settle(log, blocks, n, st == TN_OK);
	if (st == TN_OK && n > 0) {
		tn_assert(blocks[n - 1].lsn > atomic_load(&log->last));
		atomic_store(&log->last, blocks[n - 1].lsn);
	}
	return st;
}

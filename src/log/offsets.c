/* offsets: the next row offset of each stream, in memory and on disk.
 *
 *   offsets   stream (4 bytes big-endian) -> u64 next, u32 CRC32C of both
 *
 * In memory: an array sorted by stream; streams are few and new ones rare.
 * The writer changes it under the lock and reads it without; others read it
 * under the lock. A damaged record stops the start: an offset given out twice
 * would break every count above. */
#include "log/log_int.h"

#include <string.h>

enum {
	VALUE_BYTES = 12,
	ENTRY_BYTES = 32,     /* Key, value and LMDB's node, rounded up. */
	DEPTH_MAX = 6,
};

/* The place of a stream, or where it belongs. */
static uint32_t
place(const struct tn_log *log, uint32_t stream)
{
	uint32_t low = 0;
	uint32_t high = log->offset_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (log->offsets[mid].stream < stream)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct tn_log_offset *
tn_log_offset_of(struct tn_log *log, uint32_t stream)
{
	uint32_t at = place(log, stream);
	struct tn_log_offset *o;

	if (at < log->offset_count && log->offsets[at].stream == stream)
		return &log->offsets[at];
	tn_net_lock_take(log->lock);
	if (log->offset_count == log->offset_cap) {
		log->offset_cap = log->offset_cap == 0 ? 16 : log->offset_cap * 2;
		log->offsets = tn_realloc(log->offsets,
		    log->offset_cap * sizeof *log->offsets);
	}
	o = &log->offsets[at];
	memmove(o + 1, o, (log->offset_count - at) * sizeof *o);
	*o = (struct tn_log_offset){ .stream = stream };
	log->offset_count++;
	tn_net_lock_drop(log->lock);
	return o;
}

uint64_t
tn_log_next_offset(struct tn_log *log, uint32_t stream)
{
	uint64_t next = 0;
	uint32_t at;

	tn_net_lock_take(log->lock);
	at = place(log, stream);
	if (at < log->offset_count && log->offsets[at].stream == stream)
		next = log->offsets[at].next;
	tn_net_lock_drop(log->lock);
	return next;
}

static void
make_key(uint8_t key[4], uint32_t stream)
{
	key[0] = (uint8_t)(stream >> 24);
	key[1] = (uint8_t)(stream >> 16);
	key[2] = (uint8_t)(stream >> 8);
	key[3] = (uint8_t)stream;
}

static uint32_t
entry_crc(const uint8_t *key, const uint8_t *value)
{
	return tn_crc32c(tn_crc32c(0, key, 4), value, 8);
}

int
tn_log_offset_put(struct tn_log_segment *seg, MDB_txn *txn,
    const struct tn_log_offset *o)
{
	uint8_t key[4], value[VALUE_BYTES];
	MDB_val k = { sizeof key, key };
	MDB_val v = { sizeof value, value };

	make_key(key, o->stream);
	tn_log_put_u64(value, o->pending);
	tn_log_put_u32(value + 8, entry_crc(key, value));
	return mdb_put(txn, seg->offsets, &k, &v, 0);
}

uint64_t
tn_log_offset_pages(const struct tn_log *log, uint64_t changes,
    uint32_t page_bytes)
{
	uint64_t all = 2 * ENTRY_BYTES * (uint64_t)log->offset_count / page_bytes;
	uint64_t touched = changes * DEPTH_MAX;

	return (all < touched ? all : touched) + DEPTH_MAX;
}

static enum tn_status
load_one(struct tn_log *log, const MDB_val *key, const MDB_val *value)
{
	const uint8_t *k = key->mv_data;
	const uint8_t *v = value->mv_data;
	struct tn_log_offset *o;

	if (key->mv_size != 4 || value->mv_size != VALUE_BYTES ||
	    tn_log_get_u32(v + 8) != entry_crc(k, v))
		return TN_ECORRUPT;
	o = tn_log_offset_of(log, (uint32_t)k[0] << 24 | (uint32_t)k[1] << 16 |
	    (uint32_t)k[2] << 8 | k[3]);
	o->next = tn_log_get_u64(v);
	o->pending = o->next;
	return TN_OK;
}

static enum tn_status
cannot_load(int rc, const struct tn_log_segment *seg, struct tn_diag *d)
{
	return tn_diag_set(d, tn_log_mdb_status(rc), "log_open",
	    "%s: read the streams' next offsets: %s", seg->path,
	    mdb_strerror(rc));
}

enum tn_status
tn_log_offsets_load(struct tn_log *log, struct tn_log_segment *seg,
    struct tn_diag *d)
{
	enum tn_status st = TN_OK;
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_txn *txn;
	int rc = mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return cannot_load(rc, seg, d);
	rc = mdb_cursor_open(txn, seg->offsets, &cursor);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return cannot_load(rc, seg, d);
	}
	rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	while (rc == 0 && st == TN_OK) {
		st = load_one(log, &key, &value);
		if (st == TN_OK)
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	if (st == TN_OK && rc != MDB_NOTFOUND)
		return cannot_load(rc, seg, d);
	if (st == TN_ECORRUPT)
		return tn_diag_set(d, st, "log_corrupt",
		    "%s: a stream's next offset is damaged", seg->path);
	return st;
}

/* notes: remembered keys with an answer and an end.
 *
 *   notes     key -> u32 CRC32C of key and the rest, i64 expires_us, value
 *   expiries  expires_us (8 bytes big-endian, sign flipped), key -> nothing
 *
 * The second one finds what is over without a search: each commit that brings
 * notes removes a few more than it brings, and only live ones are carried to
 * a new segment. Bounds: notes_max entries, and an eighth of a segment's map
 * in pages, because carrying must fit. Beyond, those that would end first go
 * early, but none that has more than notes_early_us left: forgetting a key
 * lets an event in twice, should it be sent again. Without one, TN_EFULL. */
#include "log/log_int.h"

#include <string.h>

enum {
	EXPIRY_MAX = 8 + TN_LOG_KEY_MAX,
	POP_EXTRA = 8,       /* Expired ones removed beyond those that came. */
	DEPTH_MAX = 6,       /* Of a tree, generously. */
	SPARE_PARTS = 32,
	EARLY_MUCH = 1000,   /* Some milliseconds of work. */
};
#define EARLY_PAUSE_US 1000000
#define TOLD_US (INT64_C(3600) * 1000000)

static size_t
expiry_key(uint8_t *to, int64_t expires_us, const void *key, size_t n)
{
	tn_assert(n <= TN_LOG_KEY_MAX);
	tn_log_key_u64(to, (uint64_t)expires_us ^ (uint64_t)1 << 63);
	memcpy(to + 8, key, n);
	return 8 + n;
}

static int64_t
expiry_of(const uint8_t *key)
{
	return (int64_t)(tn_log_key_of(key) ^ (uint64_t)1 << 63);
}

enum tn_status
tn_log_note_check(struct tn_slice key, const MDB_val *stored,
    int64_t *expires_us, struct tn_slice *value)
{
	const uint8_t *p = stored->mv_data;
	uint32_t crc;

	if (stored->mv_size < TN_LOG_NOTE_HEAD ||
	    stored->mv_size > TN_LOG_NOTE_HEAD + TN_LOG_VALUE_MAX)
		return TN_ECORRUPT;
	crc = tn_crc32c(0, key.p, key.n);
	crc = tn_crc32c(crc, p + 4, stored->mv_size - 4);
	if (crc != tn_log_get_u32(p))
		return TN_ECORRUPT;
	*expires_us = (int64_t)tn_log_get_u64(p + 4);
	*value = (struct tn_slice){ p + TN_LOG_NOTE_HEAD,
		stored->mv_size - TN_LOG_NOTE_HEAD };
	return TN_OK;
}

/* ---- bounds ---------------------------------------------------------- */

/* Pages of both databases; false in *${ok} when LMDB will not tell. */
static uint64_t
pages_of(const struct tn_log_segment *seg, MDB_txn *txn, int *rc,
    uint64_t *entries)
{
	MDB_stat a, b;

	*rc = mdb_stat(txn, seg->notes, &a);
	if (*rc == 0)
		*rc = mdb_stat(txn, seg->expiries, &b);
	if (*rc != 0)
		return 0;
	*entries = a.ms_entries;
	return (uint64_t)a.ms_branch_pages + a.ms_leaf_pages +
	    a.ms_overflow_pages + b.ms_branch_pages + b.ms_leaf_pages;
}

uint64_t
tn_log_notes_fresh(const struct tn_log *log, const struct tn_log_note *notes,
    uint32_t count)
{
	uint64_t fresh = 0;

	for (uint32_t i = 0; i < count; i++)
		fresh += 2 + tn_log_pages(log->newest,
		    TN_LOG_NOTE_HEAD + notes[i].value.n);
	return fresh;
}

/* What there is now; UINT64_MAX when LMDB will not tell. */
static uint64_t
pages_now(struct tn_log *log, uint64_t *entries)
{
	uint64_t pages;
	MDB_txn *txn;
	int rc = mdb_txn_begin(log->newest->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return UINT64_MAX;
	pages = pages_of(log->newest, txn, &rc, entries);
	mdb_txn_abort(txn);
	return rc == 0 ? pages : UINT64_MAX;
}

static uint64_t
pages_max(const struct tn_log_segment *seg)
{
	return seg->map_bytes / seg->page_bytes / 8;
}

uint64_t
tn_log_notes_pages(struct tn_log *log, uint32_t count, uint64_t fresh)
{
	uint64_t touched = (2 * (uint64_t)count + POP_EXTRA) * 2 * DEPTH_MAX;
	uint64_t entries, all;

	if (count == 0)
		return 0;
	/* At most all that is there gets copied. Not knowing, the larger. */
	all = pages_now(log, &entries);
	if (all == UINT64_MAX)
		return fresh + touched;
	/* Many may have to go early. */
	if (entries + count > log->notes_max || all + fresh + 2 * DEPTH_MAX >
	    pages_max(log->newest))
		return fresh + all;
	return fresh + (all < touched ? all : touched);
}

bool
tn_log_notes_fit(struct tn_log *log, uint32_t count, uint64_t fresh)
{
	uint64_t entries = 0, pages;

	if (count == 0)
		return true;
	pages = pages_now(log, &entries);
	return pages < UINT64_MAX / 2 && entries + count <= log->notes_max &&
	    pages + fresh + 2 * DEPTH_MAX <= pages_max(log->newest);
}

/* ---- put and drop ---------------------------------------------------- */

static int
put_pair(struct tn_log_segment *seg, MDB_txn *txn, struct tn_slice key,
    int64_t expires_us, struct tn_slice value)
{
	uint8_t expiry[EXPIRY_MAX];
	MDB_val k = { key.n, (void *)(uintptr_t)key.p };
	MDB_val v = { TN_LOG_NOTE_HEAD + value.n, NULL };
	MDB_val e = { 0, expiry };
	MDB_val nothing = { 0, expiry };
	uint8_t *p;
	uint32_t crc;
	int rc = mdb_put(txn, seg->notes, &k, &v, MDB_RESERVE);

	if (rc != 0)
		return rc;
	p = v.mv_data;
	tn_log_put_u64(p + 4, (uint64_t)expires_us);
	if (value.n > 0)
		memcpy(p + TN_LOG_NOTE_HEAD, value.p, value.n);
	crc = tn_crc32c(0, key.p, key.n);
	crc = tn_crc32c(crc, p + 4, TN_LOG_NOTE_HEAD - 4 + value.n);
	tn_log_put_u32(p, crc);
	e.mv_size = expiry_key(expiry, expires_us, key.p, key.n);
	return mdb_put(txn, seg->expiries, &e, &nothing, 0);
}

/* Remove the expiry of an older note under the same key. */
static int
forget(struct tn_log_segment *seg, MDB_txn *txn, struct tn_slice key)
{
	uint8_t expiry[EXPIRY_MAX];
	MDB_val k = { key.n, (void *)(uintptr_t)key.p };
	MDB_val v, e;
	int rc = mdb_get(txn, seg->notes, &k, &v);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return rc;
	if (v.mv_size < TN_LOG_NOTE_HEAD)
		return MDB_CORRUPTED;
	e.mv_data = expiry;
	e.mv_size = expiry_key(expiry,
	    (int64_t)tn_log_get_u64((uint8_t *)v.mv_data + 4), key.p, key.n);
	rc = mdb_del(txn, seg->expiries, &e, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Remove the note that expires first, if its time is over: MDB_NOTFOUND
 * when there is none. */
static int
pop(struct tn_log_segment *seg, MDB_txn *txn, int64_t now_us)
{
	uint8_t expiry[EXPIRY_MAX];
	MDB_cursor *cursor;
	MDB_val e, nothing, k;
	int rc = mdb_cursor_open(txn, seg->expiries, &cursor);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(cursor, &e, &nothing, MDB_FIRST);
	if (rc == 0 && (e.mv_size <= 8 || e.mv_size > EXPIRY_MAX))
		rc = MDB_CORRUPTED;
	if (rc == 0 && expiry_of(e.mv_data) > now_us)
		rc = MDB_NOTFOUND;
	if (rc == 0) {
		memcpy(expiry, e.mv_data, e.mv_size);
		rc = mdb_cursor_del(cursor, 0);
	}
	mdb_cursor_close(cursor);
	if (rc != 0)
		return rc;
	k = (MDB_val){ e.mv_size - 8, expiry + 8 };
	rc = mdb_del(txn, seg->notes, &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Or, with ${spare}, is not even a 32nd part free? */
static bool
too_many(struct tn_log *log, MDB_txn *txn, bool spare, int *rc)
{
	uint64_t entries = 0, pages = pages_of(log->newest, txn, rc, &entries);
	uint64_t most = pages_max(log->newest);

	return pages > most - (spare ? most / SPARE_PARTS : 0) ||
	    entries > log->notes_max - (spare ? log->notes_max / SPARE_PARTS : 0);
}

/* Live ones, until there are not too many; then some more, or each commit would
 * be one too many and none could go by the journal. (Not for ever: pages come
 * back late, as old keys lie all over the tree.) False: that is not enough, and
 * the transaction may end for it with all that was done: so when it was much,
 * not at once again. */
static bool
pop_early(struct tn_log *log, MDB_txn *txn, int64_t now_us, int *rc)
{
	int64_t until = now_us + log->notes_early_us;
	uint64_t n = 0, spare = 0;
	bool over = true;

	if (log->notes_early_us <= 0 || tn_os_mono_us() < log->early_after_us)
		return false;
	while (*rc == 0) {
		over = too_many(log, txn, false, rc);
		if (!over && (spare == log->notes_max / SPARE_PARTS ||
		    !too_many(log, txn, true, rc)))
			break;
		if (*rc == 0)
			*rc = pop(log->newest, txn, until);
		n += *rc == 0;
		spare += *rc == 0 && !over;
	}
	if (*rc == MDB_NOTFOUND)
		*rc = 0;
	if (*rc == 0)
		over = too_many(log, txn, false, rc);
	log->popped += n;
	if (over && n >= EARLY_MUCH)
		log->early_after_us = tn_os_mono_us() + EARLY_PAUSE_US;
	return !over;
}

void
tn_log_notes_told(struct tn_log *log)
{
	int64_t now_us = tn_os_mono_us();

	if (log->popped == 0)
		return;
	tn_counter_add(log->forgotten, (int64_t)log->popped);
	if (now_us >= log->told_us)
		tn_say(TN_WARN, "log", "too many Idempotency-Keys came in "
		    "idempotency_window: the oldest are forgotten before its "
		    "end (so far %lld; tarn_log_notes_forgotten_total); raise "
		    "idempotency_keys_max, and log_segment_bytes, of which an "
		    "eighth holds them", (long long)tn_counter_read(
		    log->forgotten));
	if (now_us >= log->told_us)
		log->told_us = now_us + TOLD_US;
}

enum tn_status
tn_log_notes_put(struct tn_log *log, MDB_txn *txn,
    const struct tn_log_note *notes, uint32_t count, bool bounded, int *rc)
{
	struct tn_log_segment *seg = log->newest;
	int64_t now_us = count > 0 ? tn_os_wall_us() : 0;
	bool over = false;
	int more = 0;

	*rc = 0;
	for (uint32_t i = 0; i < count && *rc == 0; i++) {
		*rc = forget(seg, txn, notes[i].key);
		if (*rc == 0)
			*rc = put_pair(seg, txn, notes[i].key,
			    notes[i].expires_us, notes[i].value);
	}
	/* A few each time, and as many as it takes when there are too many. */
	for (uint64_t n = 0; count > 0 && *rc == 0 && more == 0; n++) {
		over = too_many(log, txn, false, rc);
		if (*rc != 0 || (!over && n >= (uint64_t)count + POP_EXTRA))
			break;
		more = pop(seg, txn, now_us);
	}
	if (more != 0 && more != MDB_NOTFOUND)
		*rc = more;
	if (*rc == 0 && over)
		over = !pop_early(log, txn, now_us, rc);
	if (*rc != 0)
		return tn_log_mdb_status(*rc);
	return over && bounded ? TN_EFULL : TN_OK;
}

/* ---- carry ----------------------------------------------------------- */

static int
carry_one(const struct tn_log_segment *from, MDB_txn *old,
    struct tn_log_segment *to, MDB_txn *txn, const MDB_val *expiry)
{
	struct tn_slice key = { (uint8_t *)expiry->mv_data + 8,
		expiry->mv_size - 8 };
	MDB_val k = { key.n, (void *)(uintptr_t)key.p };
	struct tn_slice value;
	int64_t expires_us;
	MDB_val v;
	int rc = mdb_get(old, from->notes, &k, &v);

	/* A damaged note is dropped: its key would answer nonsense. */
	if (rc == MDB_NOTFOUND ||
	    (rc == 0 && tn_log_note_check(key, &v, &expires_us, &value) != TN_OK)) {
		tn_say(TN_ERROR, "log", "%s: a damaged note is left behind",
		    from->path);
		return 0;
	}
	if (rc != 0)
		return rc;
	return put_pair(to, txn, key, expires_us, value);
}

int
tn_log_notes_carry(const struct tn_log_segment *from,
    struct tn_log_segment *to, MDB_txn *txn, int64_t now_us)
{
	uint8_t start[8];
	MDB_val e = { sizeof start, start };
	MDB_cursor *cursor = NULL;
	MDB_txn *old = NULL;
	MDB_val nothing;
	int rc = mdb_txn_begin(from->env, NULL, MDB_RDONLY, &old);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_open(old, from->expiries, &cursor);
	if (rc != 0)
		goto out;
	(void)expiry_key(start, now_us, start, 0);
	rc = mdb_cursor_get(cursor, &e, &nothing, MDB_SET_RANGE);
	while (rc == 0) {
		if (e.mv_size <= 8 || e.mv_size > EXPIRY_MAX) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (expiry_of(e.mv_data) > now_us)
			rc = carry_one(from, old, to, txn, &e);
		if (rc == 0)
			rc = mdb_cursor_get(cursor, &e, &nothing, MDB_NEXT);
	}
	if (rc == MDB_NOTFOUND)
		rc = 0;
	mdb_cursor_close(cursor);
	out:
	mdb_txn_abort(old);
	return rc;
}

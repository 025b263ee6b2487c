/* table: a small durable key-value table on LMDB, beside the log. One file,
 * one unnamed database:
 *
 *   key    the caller's bytes
 *   value  CRC32C of key and value (4 bytes, little-endian), the value
 *
 * A commit is one LMDB transaction with full sync. Room is looked for before
 * anything is written: LMDB turns a short write on a full disk into EIO, after
 * which nobody knows what the file holds.
 *
 * What can go wrong: no room (TN_ENOSPC, nothing changed, go on later); any
 * other failure of a commit (final); a damaged value (left out and told). */
#include "log/log_int.h"

#include <errno.h>
#include <string.h>

enum {
	TABLE_KEY_MAX = 500,
	TABLE_CRC_BYTES = 4,
	TABLE_MODE = 0640,
	TABLE_READERS_MAX = 16,
	TABLE_MIN = 1 << 20,
	/* Pages of the tree and of the free list that a change may copy. */
	TABLE_PAGES_A_CHANGE = 6,
	TABLE_PAGES_MORE = 64,
	TABLE_DISK_MARGIN = 1 << 20,
};

struct tn_log_table {
	struct tn_log_table *next;   /* Of those that are open. */
	MDB_env *env;
	MDB_dbi main;
	uint32_t page_bytes;
	uint64_t map_bytes;
	_Atomic uint64_t bytes;
	bool failed;
	struct tn_buf scratch;
	char *path;
};

/* Changed only while nobody copies: at start and at the end. */
static struct tn_log_table *opened;

static enum tn_status
told(struct tn_log_table *t, int rc, const char *act)
{
	if (rc != 0)
		tn_say(TN_ERROR, "log", "%s %s: %s", act, t->path,
		    mdb_strerror(rc));
	return tn_log_mdb_status(rc);
}

static void
count_bytes(struct tn_log_table *t)
{
	MDB_envinfo info;

	if (mdb_env_info(t->env, &info) == 0)
		t->bytes = (info.me_last_pgno + 1) * t->page_bytes;
}

static int
open_env(struct tn_log_table *t)
{
	MDB_txn *txn;
	MDB_stat stat;
	int rc = mdb_env_create(&t->env);

	if (rc != 0) {
		t->env = NULL;
		return rc;
	}
	rc = mdb_env_set_maxreaders(t->env, TABLE_READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(t->env, t->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(t->env, t->path, MDB_NOSUBDIR | MDB_NOTLS,
		    TABLE_MODE);
	if (rc == 0)
		rc = mdb_env_stat(t->env, &stat);
	if (rc != 0)
		return rc;
	t->page_bytes = stat.ms_psize;
	rc = mdb_txn_begin(t->env, NULL, 0, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &t->main);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

enum tn_status
tn_log_table_open(struct tn_log_table **out, const char *path,
    uint64_t bytes_max, struct tn_diag *d)
{
	struct tn_log_table *t = tn_zalloc(sizeof *t);
	enum tn_status st;
	int rc;

	*out = NULL;
	t->path = tn_strdup(path);
	t->map_bytes = bytes_max < TABLE_MIN ? TABLE_MIN : bytes_max;
	t->map_bytes &= ~(uint64_t)0xffff;
	st = tn_log_lock_file(path);
	if (st == TN_OK) {
		rc = open_env(t);
		st = told(t, rc, "open");
	}
	if (st == TN_ECORRUPT)
		tn_diag_hint(d, "put %s back from a backup; or move it away: "
		    "what it remembers is lost then, events are not", path);
	if (st != TN_OK) {
		tn_diag_set(d, st, "table", "cannot open %s: %s", path,
		    tn_status_text(st));
		tn_log_table_close(t);
		return st;
	}
	count_bytes(t);
	t->next = opened;
	opened = t;
	*out = t;
	return TN_OK;
}

void
tn_log_table_close(struct tn_log_table *t)
{
	if (t == NULL)
		return;
	for (struct tn_log_table **at = &opened; *at != NULL;
	    at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			break;
		}
	if (t->env != NULL)
		mdb_env_close(t->env);
	tn_buf_fini(&t->scratch);
	tn_free(t->path);
	tn_free(t);
}

/* ---- commit ---------------------------------------------------------- */

/* Pages that the changes may need beyond those in use: freed ones count as
 * used, because LMDB may not take them before older readers are gone. */
static uint64_t
pages_needed(const struct tn_log_table *t, const struct tn_log_change *c,
    size_t count)
{
	uint64_t pages = TABLE_PAGES_MORE;

	for (size_t i = 0; i < count; i++)
		pages += TABLE_PAGES_A_CHANGE +
		    (c[i].value.n + TABLE_CRC_BYTES) / t->page_bytes;
	return pages;
}

static enum tn_status
look_for_disk(struct tn_log_table *t, const struct tn_log_change *c,
    size_t count)
{
	uint64_t room = 0;
	enum tn_status st = tn_os_disk_free(t->path, &room);

	if (st != TN_OK)
		return st;
	return room < pages_needed(t, c, count) * t->page_bytes +
	    TABLE_DISK_MARGIN ? TN_ENOSPC : TN_OK;
}

static int
apply(struct tn_log_table *t, MDB_txn *txn, const struct tn_log_change *c)
{
	MDB_val key = { c->key.n, (void *)c->key.p }, value;
	uint32_t crc;
	int rc;

	tn_assert(c->key.n > 0 && c->key.n <= TABLE_KEY_MAX);
	if (c->drop) {
		rc = mdb_del(txn, t->main, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	value = (MDB_val){ c->value.n + TABLE_CRC_BYTES, NULL };
	rc = mdb_put(txn, t->main, &key, &value, MDB_RESERVE);
	if (rc != 0)
		return rc;
	crc = tn_crc32c(tn_crc32c(0, c->key.p, c->key.n), c->value.p,
	    c->value.n);
	tn_log_put_u32(value.mv_data, crc);
	if (c->value.n > 0)
		memcpy((uint8_t *)value.mv_data + TABLE_CRC_BYTES, c->value.p,
		    c->value.n);
	return 0;
}

enum tn_status
tn_log_table_commit(struct tn_log_table *t, const struct tn_log_change *c,
    size_t count)
{
	enum tn_status st;
	MDB_txn *txn;
	int rc;

	if (t->failed)
		return TN_ECLOSED;
	st = look_for_disk(t, c, count);
	if (st != TN_OK)
		return st;
	rc = mdb_txn_begin(t->env, NULL, 0, &txn);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = apply(t, txn, &c[i]);
		if (rc != 0)
			mdb_txn_abort(txn);
	}
	/* Nothing was written yet. */
	if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
		return TN_ENOSPC;
	if (rc == ENOMEM)
		return TN_ENOMEM;
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	if (rc == MDB_MAP_FULL)
		return TN_ENOSPC;
	if (rc != 0) {
		t->failed = true;
		(void)told(t, rc, "commit to");
		return TN_EIO;
	}
	count_bytes(t);
	return TN_OK;
}

/* ---- reading --------------------------------------------------------- */

/* Who reads, and where. */
struct reading {
	struct tn_slice prefix, from;
	bool (*each)(void *arg, struct tn_slice key, struct tn_slice value);
	void (*damaged)(void *arg, struct tn_slice key);     /* Or NULL. */
	void *arg;
};

/* TN_END: each() wants no more, or the key is beyond the prefix. */
static enum tn_status
give(struct tn_log_table *t, const MDB_val *key, const MDB_val *value,
    const struct reading *r)
{
	struct tn_slice k = { key->mv_data, key->mv_size };
	struct tn_slice v = { value->mv_data, value->mv_size };

	if (k.n < r->prefix.n || memcmp(k.p, r->prefix.p, r->prefix.n) != 0)
		return TN_END;
	if (v.n < TABLE_CRC_BYTES || tn_log_get_u32(v.p) !=
	    tn_crc32c(tn_crc32c(0, k.p, k.n), v.p + TABLE_CRC_BYTES,
	    v.n - TABLE_CRC_BYTES)) {
		tn_say(TN_ERROR, "log", "%s: the value of \"%.*s\" is "
		    "damaged and left out", t->path,
		    (int)(k.n > 60 ? 60 : k.n), (const char *)k.p);
		if (r->damaged != NULL)
			r->damaged(r->arg, k);
		return TN_ECORRUPT;
	}
	v.p += TABLE_CRC_BYTES;
	v.n -= TABLE_CRC_BYTES;
	return r->each(r->arg, k, v) ? TN_OK : TN_END;
}

static enum tn_status
read_pairs(struct tn_log_table *t, const struct reading *r)
{
	enum tn_status st = TN_OK, one = TN_OK;
	MDB_val key = { r->from.n, (void *)r->from.p }, value;
	MDB_cursor *cursor = NULL;
	MDB_txn *txn;
	int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return told(t, rc, "read");
	rc = mdb_cursor_open(txn, t->main, &cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &value,
		    r->from.n > 0 ? MDB_SET_RANGE : MDB_FIRST);
	while (rc == 0 && one != TN_END) {
		one = give(t, &key, &value, r);
		if (one == TN_ECORRUPT)
			st = TN_ECORRUPT;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc == 0 || rc == MDB_NOTFOUND ? st : told(t, rc, "read");
}

enum tn_status
tn_log_table_each(struct tn_log_table *t, struct tn_slice prefix,
    bool (*each)(void *arg, struct tn_slice key, struct tn_slice value),
    void *arg)
{
	return tn_log_table_each_or(t, prefix, each, NULL, arg);
}

enum tn_status
tn_log_table_each_or(struct tn_log_table *t, struct tn_slice prefix,
    bool (*each)(void *arg, struct tn_slice key, struct tn_slice value),
    void (*damaged)(void *arg, struct tn_slice key), void *arg)
{
	return read_pairs(t, &(struct reading){ prefix, prefix, each,
	    damaged, arg });
}

enum tn_status
tn_log_table_from(struct tn_log_table *t, struct tn_slice prefix,
    struct tn_slice from, bool (*each)(void *arg, struct tn_slice key,
    struct tn_slice value), void *arg)
{
	return read_pairs(t, &(struct reading){ prefix, from, each, NULL,
	    arg });
}

struct copying {
	struct tn_slice key;
	struct tn_arena *a;
	struct tn_slice value;
	bool found, no_memory;
};

static bool
copy_value(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct copying *c = arg;
	uint8_t *p;

	if (!tn_slice_eq(key, c->key))
		return false;
	p = tn_arena_try_alloc(c->a, value.n + 1);
	c->no_memory = p == NULL;
	c->found = true;
	if (p != NULL && value.n > 0)
		memcpy(p, value.p, value.n);
	c->value = (struct tn_slice){ p, value.n };
	return false;
}

enum tn_status
tn_log_table_get(struct tn_log_table *t, struct tn_slice key,
    struct tn_arena *a, struct tn_slice *value)
{
	struct copying c = { .key = key, .a = a };
	enum tn_status st = tn_log_table_from(t, key, key, copy_value, &c);

	*value = c.value;
	if (c.no_memory)
		return TN_ENOMEM;
	if (c.found)
		return TN_OK;
	return st == TN_OK ? TN_ENOTFOUND : st;
}

uint64_t
tn_log_table_bytes(const struct tn_log_table *t)
{
	return t->bytes;
}

/* ---- copies ----------------------------------------------------------- */

enum tn_status
tn_log_table_copy(const char *path, const char *to, struct tn_diag *d)
{
	struct tn_log_table *t = opened, *own = NULL;
	uint64_t bytes = 0;
	struct tn_os_info info;
	enum tn_status st = TN_OK;

	while (t != NULL && strcmp(t->path, path) != 0)
		t = t->next;
	if (t == NULL) {
		if (tn_os_kind(path) != TN_OS_FILE)
			return TN_ENOTFOUND;
		st = tn_os_look(path, &info);
		bytes = st == TN_OK ? info.bytes : 0;
		if (st == TN_OK)
			st = tn_log_table_open(&own, path, bytes, d);
		t = own;
	}
	if (st == TN_OK)
		st = tn_log_env_copy(t->env, path, to, d);
	tn_log_table_close(own);
	return st;
}

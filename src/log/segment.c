/* segment: one LMDB environment as one file of the log.
 *
 *   DIR/0000000007.mdb.new   being begun; removed at the next start
 *   DIR/0000000007.mdb       the 7th segment (a counter, without gaps)
 *   DIR/0000000007.mdb-lock  LMDB's reader table; worth nothing after us
 *
 * A segment gets its final name only after its first commit, so that a file
 * with that name is whole or damaged, never young. Its main database holds
 * one record of ours, "tarn.segment": magic "TNS1", CRC32C of the rest, LSN
 * of its first block, newest LSN before it (each u64, little-endian).
 *
 * Disk is reserved ahead of LMDB by fallocate: a full disk is met there, and
 * not in the middle of a commit, where LMDB makes a short write into EIO.
 * Where that is not supported the file is only lengthened, and free space is
 * asked for each time. Both keep the file longer than the pages LMDB counts;
 * one that is shorter was cut: it is filled with zeros, because reading a map
 * beyond the end of its file kills the process, and then the CRCs tell.
 *
 * What is reserved is written with zeros at once. The first write to blocks
 * that are only reserved changes the file's map of extents, so that each sync
 * would wait for a commit of the file system's journal, with whatever other
 * programs have in it; measured on ext4, that doubles the time of a small
 * commit on a quiet machine and makes it four times as long on a busy one.
 *
 * What can go wrong: any system call (its status), damage (TN_ECORRUPT). A
 * damaged tree page can still lead LMDB itself astray. */
#include "log/log_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	STATE_MAGIC = 0x31534e54,
	STATE_BYTES = 24,
	READERS_MAX = 254,         /* Reads at the same time, each segment. */
	FILE_MODE = 0640,
	RESERVE_STEP = 4 << 20,
	ZERO_BYTES = 256 << 10,    /* Of one write. */
	FREE_MARGIN = 1 << 20,     /* Left to the file system's own needs. */
	LOCK_FILE_BYTES = 20 << 10, /* READERS_MAX slots of 64 bytes, and more. */
	FILE_BYTES_MIN = 8192,     /* Two pages of meta data. */
};
static char state_key[] = "tarn.segment";

enum tn_status
tn_log_mdb_status(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return TN_OK;
	case MDB_NOTFOUND:
		return TN_ENOTFOUND;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return TN_ECORRUPT;
	case MDB_READERS_FULL:
		return TN_EFULL;
	case ENOSPC:
	case EDQUOT:
		return TN_ENOSPC;
	case ENOMEM:
		return TN_ENOMEM;
	case EACCES:
	case EPERM:
	case EROFS:
		return TN_EDENIED;
	default:
		return TN_EIO;
	}
}

static struct tn_log_segment *
segment_new(const char *dir, uint32_t number, uint64_t map_bytes)
{
	size_t n = strlen(dir) + 32;
	struct tn_log_segment *seg = tn_zalloc(sizeof *seg + n);

	(void)snprintf(seg->path, n, "%s/%010u.mdb", dir, number);
	seg->number = number;
	seg->map_bytes = map_bytes;
	return seg;
}

/* The path of a file beside the segment; ${to} holds TN_LOG_PATH_MAX. */
static const char *
beside(char *to, const char *path, const char *suffix)
{
	int n = snprintf(to, TN_LOG_PATH_MAX, "%s%s", path, suffix);

	tn_assert(n > 0 && n < TN_LOG_PATH_MAX);
	return to;
}

static enum tn_status
told(int rc, const char *act, const char *path)
{
	if (rc != 0)
		tn_say(TN_ERROR, "log", "%s %s: %s", act, path, mdb_strerror(rc));
	return tn_log_mdb_status(rc);
}

/* LMDB makes its lock file sparse and writes it through a map, which on a
 * full disk ends the process. So it gets its blocks before LMDB opens it:
 * afterwards is too late, as closing any descriptor of a file gives up the
 * locks that LMDB holds on it. */
enum tn_status
tn_log_lock_file(const char *path)
{
	static const uint8_t zeros[LOCK_FILE_BYTES];
	char lock[TN_LOG_PATH_MAX];
	struct tn_os_file *file;
	enum tn_status st;

	st = tn_os_open(&file, beside(lock, path, "-lock"), TN_OS_REPLACE);
	if (st != TN_OK)
		return st;
	st = tn_os_write(file, zeros, sizeof zeros);
	tn_os_close(file);
	return st;
}

/* Open the environment at ${path} with LMDB's full sync. */
static int
env_open(struct tn_log_segment *seg, const char *path, unsigned int flags)
{
	int rc = mdb_env_create(&seg->env);

	if (rc != 0) {
		seg->env = NULL;
		return rc;
	}
	rc = mdb_env_set_maxdbs(seg->env, 4);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(seg->env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(seg->env, seg->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(seg->env, path,
		    MDB_NOSUBDIR | MDB_NOTLS | flags, FILE_MODE);
	return rc;
}

static int
open_databases(struct tn_log_segment *seg, MDB_txn *txn, unsigned int flags)
{
	int rc = mdb_dbi_open(txn, NULL, 0, &seg->main);

	if (rc == 0)
		rc = mdb_dbi_open(txn, "blocks", flags, &seg->blocks);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "offsets", flags, &seg->offsets);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "notes", flags, &seg->notes);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "expiries", flags, &seg->expiries);
	return rc;
}

/* ---- begin ----------------------------------------------------------- */

enum tn_status
tn_log_segment_create(struct tn_log_segment **out, const char *dir,
    uint32_t number, uint64_t map_bytes)
{
	struct tn_log_segment *seg = segment_new(dir, number, map_bytes);
	char path[TN_LOG_PATH_MAX];
	enum tn_status st;
	MDB_stat stat;
	int rc;

	*out = NULL;
	st = tn_log_segment_remove(beside(path, seg->path, ".new"));
	if (st != TN_OK && st != TN_ENOTFOUND) {
		tn_log_segment_close(seg);
		return st;
	}
	st = tn_log_lock_file(path);
	if (st != TN_OK) {
		tn_log_segment_close(seg);
		(void)!tn_log_segment_remove(path);
		return st;
	}
	rc = env_open(seg, path, 0);
	if (rc == 0)
		rc = mdb_env_stat(seg->env, &stat);
	if (rc != 0) {
		tn_log_segment_close(seg);
		(void)!tn_log_segment_remove(path);
		return told(rc, "begin", path);
	}
	seg->page_bytes = stat.ms_psize;
	seg->next = UINT64_MAX;
	*out = seg;
	return TN_OK;
}

int
tn_log_segment_state(struct tn_log_segment *seg, MDB_txn *txn)
{
	uint8_t bytes[STATE_BYTES];
	MDB_val key = { sizeof state_key - 1, state_key };
	MDB_val value = { sizeof bytes, bytes };

	tn_assert(seg->first > seg->after);
	tn_log_put_u32(bytes, STATE_MAGIC);
	tn_log_put_u64(bytes + 8, seg->first);
	tn_log_put_u64(bytes + 16, seg->after);
	tn_log_put_u32(bytes + 4, tn_crc32c(0, bytes + 8, STATE_BYTES - 8));
	return mdb_put(txn, seg->main, &key, &value, 0);
}

int
tn_log_segment_found(struct tn_log_segment *seg, MDB_txn *txn)
{
	int rc = open_databases(seg, txn, MDB_CREATE);

	return rc != 0 ? rc : tn_log_segment_state(seg, txn);
}

enum tn_status
tn_log_segment_publish(struct tn_log_segment *seg)
{
	char from[TN_LOG_PATH_MAX];
	char to[TN_LOG_PATH_MAX];
	enum tn_status st;

	/* A reader of another program must find our reader table. */
	st = tn_os_rename(beside(from, seg->path, ".new-lock"),
	    beside(to, seg->path, "-lock"));
	if (st != TN_OK)
		return st;
	tn_os_crash_point("log_lock_named");
	return tn_os_rename(beside(from, seg->path, ".new"), seg->path);
}

/* ---- open ------------------------------------------------------------ */

static enum tn_status
bad(struct tn_diag *d, const struct tn_log_segment *seg, const char *why)
{
	tn_say(TN_ERROR, "log", "%s: %s", seg->path, why);
	tn_diag_hint(d, "restore the log from a backup, or move the file away "
	    "and recompute from bronze");
	return tn_diag_set(d, TN_ECORRUPT, "log_corrupt", "%s: %s", seg->path,
	    why);
}

static enum tn_status
read_state(struct tn_log_segment *seg, MDB_txn *txn, struct tn_diag *d)
{
	MDB_val key = { sizeof state_key - 1, state_key };
	const uint8_t *p;
	MDB_val value;

	if (mdb_get(txn, seg->main, &key, &value) != 0 ||
	    value.mv_size != STATE_BYTES)
		return bad(d, seg, "not a segment of a log");
	p = value.mv_data;
	if (tn_log_get_u32(p) != STATE_MAGIC || tn_log_get_u32(p + 4) !=
	    tn_crc32c(0, p + 8, STATE_BYTES - 8))
		return bad(d, seg, "the segment's record is damaged");
	seg->first = tn_log_get_u64(p + 8);
	seg->after = tn_log_get_u64(p + 16);
	if (seg->first <= seg->after || seg->first > UINT64_MAX / 2)
		return bad(d, seg, "the segment's record makes no sense");
	return TN_OK;
}

/* Set next from the newest key; keys are dense. */
static enum tn_status
read_newest(struct tn_log_segment *seg, MDB_txn *txn, struct tn_diag *d)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_stat stat;
	int rc = mdb_cursor_open(txn, seg->blocks, &cursor);

	seg->next = seg->first;
	if (rc != 0)
		return told(rc, "read", seg->path);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	mdb_cursor_close(cursor);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return bad(d, seg, mdb_strerror(rc));
	if (rc == 0 && key.mv_size != 8)
		return bad(d, seg, "a key is damaged");
	if (rc == 0)
		seg->next = tn_log_key_of(key.mv_data) + 1;
	rc = mdb_stat(txn, seg->blocks, &stat);
	if (rc != 0 || seg->next < seg->first ||
	    seg->next - seg->first != stat.ms_entries)
		return bad(d, seg, "blocks are missing");
	return TN_OK;
}

/* The file must be at least as long as the pages in use. */
static enum tn_status
check_length(struct tn_log_segment *seg)
{
	uint64_t need = tn_log_segment_used(seg) * seg->page_bytes;

	if (seg->file_bytes >= need)
		return TN_OK;
	tn_say(TN_ERROR, "log", "%s was cut to %llu of %llu bytes; blocks in "
	    "the missing part are lost", seg->path,
	    (unsigned long long)seg->file_bytes, (unsigned long long)need);
	if (truncate(seg->path, (off_t)need) != 0)
		return told(errno, "lengthen", seg->path);
	seg->file_bytes = need;
	return TN_OK;
}

/* After env_open. */
static enum tn_status
read_segment(struct tn_log_segment *seg, unsigned int flags,
    struct tn_diag *d)
{
	enum tn_status st;
	MDB_txn *txn;
	MDB_stat stat;
	int dead = 0;
	int rc = mdb_env_stat(seg->env, &stat);

	if (rc != 0)
		return told(rc, "stat", seg->path);
	seg->page_bytes = stat.ms_psize;
	st = check_length(seg);
	if (st != TN_OK)
		return st;
	rc = mdb_reader_check(seg->env, &dead);
	if (rc != 0 && (flags & MDB_NOLOCK) == 0)
		return told(rc, "check readers of", seg->path);
	rc = mdb_txn_begin(seg->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return told(rc, "read", seg->path);
	rc = open_databases(seg, txn, 0);
	if (rc == ENOMEM)
		st = TN_ENOMEM;
	else if (rc != 0)
		st = bad(d, seg, mdb_strerror(rc));
	if (st == TN_OK)
		st = read_state(seg, txn, d);
	if (st == TN_OK)
		st = read_newest(seg, txn, d);
	if (st != TN_OK) {
		mdb_txn_abort(txn);
		return st;
	}
	/* Committing a read keeps the handles of the databases. */
	return told(mdb_txn_commit(txn), "read", seg->path);
}

static enum tn_status
file_bytes(const char *path, uint64_t *bytes)
{
	struct tn_os_file *file;
	enum tn_status st = tn_os_open(&file, path, TN_OS_READ);

	if (st != TN_OK)
		return st;
	st = tn_os_size(file, bytes);
	tn_os_close(file);
	return st;
}

enum tn_status
tn_log_segment_open(struct tn_log_segment **out, const char *dir,
    uint32_t number, uint64_t map_bytes, struct tn_diag *d)
{
	struct tn_log_segment *seg = segment_new(dir, number, map_bytes);
	unsigned int flags = map_bytes == 0 ? MDB_RDONLY : 0;
	enum tn_status st = file_bytes(seg->path, &seg->file_bytes);
	int rc;

	*out = NULL;
	if (st == TN_OK && seg->file_bytes < FILE_BYTES_MIN)
		st = bad(d, seg, "the file is cut");
	if (st == TN_OK)
		st = tn_log_lock_file(seg->path);
	if (st != TN_OK)
		goto out;
	if (map_bytes < seg->file_bytes)
		seg->map_bytes = (seg->file_bytes + 0xffff) & ~(uint64_t)0xffff;
	rc = env_open(seg, seg->path, flags);
	st = tn_log_mdb_status(rc);
	if (st == TN_ECORRUPT)
		st = bad(d, seg, mdb_strerror(rc));
	else if (rc != 0)
		st = told(rc, "open", seg->path);
	if (st == TN_OK)
		st = read_segment(seg, flags, d);
	if (st != TN_OK)
		goto out;
	*out = seg;
	seg = NULL;
	out:
	tn_log_segment_close(seg);
	return st;
}

struct tn_log_segment *
tn_log_segment_revive(const struct tn_log_segment *old)
{
	size_t n = strlen(old->path) + 1;
	struct tn_log_segment *seg = tn_zalloc(sizeof *seg + n);
	uint64_t next = old->next;

	memcpy(seg->path, old->path, n);
	seg->number = old->number;
	seg->map_bytes = old->map_bytes;
	seg->file_bytes = old->file_bytes;
	seg->revived = true;
	/* Nobody writes it any more: no reader table is needed, and LMDB's
	 * must not be opened twice. */
	if (env_open(seg, seg->path, MDB_RDONLY | MDB_NOLOCK) != 0 ||
	    read_segment(seg, MDB_NOLOCK, NULL) != TN_OK) {
		tn_log_segment_close(seg);
		return NULL;
	}
	seg->next = next;
	return seg;
}

void
tn_log_segment_close(struct tn_log_segment *seg)
{
	if (seg == NULL)
		return;
	tn_assert(seg->users == 0);
	if (seg->env != NULL)
		mdb_env_close(seg->env);
	tn_free(seg);
}

enum tn_status
tn_log_segment_remove(const char *path)
{
	char lock[TN_LOG_PATH_MAX];
	enum tn_status st = tn_os_unlink(path);

	(void)!tn_os_unlink(beside(lock, path, "-lock"));
	return st;
}

/* ---- room ------------------------------------------------------------ */

uint64_t
tn_log_segment_used(const struct tn_log_segment *seg)
{
	MDB_envinfo info;
	int rc = mdb_env_info(seg->env, &info);

	tn_assert(rc == 0);
	return (uint64_t)info.me_last_pgno + 1;
}

uint64_t
tn_log_segment_room(const struct tn_log_segment *seg)
{
	uint64_t all = seg->map_bytes / seg->page_bytes;
	uint64_t used = tn_log_segment_used(seg);

	return used < all ? all - used : 0;
}

/* An overflow value has 16 bytes of page header; a small one shares a leaf
 * that may be half empty, and a large one needs a node there as well. */
uint64_t
tn_log_pages(const struct tn_log_segment *seg, uint64_t bytes)
{
	return (bytes + 16) / seg->page_bytes + 1;
}

/* Up to ${to}, from where neither LMDB has pages nor we were before. */
static int
write_zeros(const struct tn_log_segment *seg, int fd, uint64_t to)
{
	static const uint8_t zeros[ZERO_BYTES];
	uint64_t from = tn_log_segment_used(seg) * seg->page_bytes;

	if (from < seg->file_bytes)
		from = seg->file_bytes;
	while (from < to) {
		size_t n = to - from < ZERO_BYTES ? (size_t)(to - from) :
		    ZERO_BYTES;
		ssize_t done = pwrite(fd, zeros, n, (off_t)from);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : EIO;
		from += (uint64_t)done;
	}
	return 0;
}

static int
reserve_file(struct tn_log_segment *seg, uint64_t to)
{
	mdb_filehandle_t fd;
	int rc = mdb_env_get_fd(seg->env, &fd);

	if (rc != 0)
		return rc;
	if (!seg->sparse) {
		do {
			rc = fallocate(fd, 0, (off_t)seg->file_bytes,
			    (off_t)(to - seg->file_bytes)) == 0 ? 0 : errno;
		} while (rc == EINTR);
		tn_os_crash_point("log_allocated");
		if (rc == 0)
			return write_zeros(seg, fd, to);
		if (rc != EOPNOTSUPP && rc != ENOSYS)
			return rc;
		seg->sparse = true;
	}
	return ftruncate(fd, (off_t)to) == 0 ? 0 : errno;
}

enum tn_status
tn_log_segment_reserve(struct tn_log_segment *seg, const char *dir,
    uint64_t pages, uint64_t keep)
{
	uint64_t end = tn_log_segment_used(seg) + pages;
	uint64_t to, least, free_bytes;
	enum tn_status st;
	int rc;

	end *= seg->page_bytes;
	if (end > seg->map_bytes)
		end = seg->map_bytes;
	if (end <= seg->file_bytes && !seg->sparse)
		return TN_OK;
	st = tn_os_disk_free(dir, &free_bytes);
	if (st != TN_OK)
		return st;
	least = seg->sparse ? pages * seg->page_bytes : end - seg->file_bytes;
	if (free_bytes < least + FREE_MARGIN + keep)
		return TN_ENOSPC;
	if (end <= seg->file_bytes)
		return TN_OK;
	/* Ahead by a step where the disk has plenty. */
	to = seg->file_bytes + RESERVE_STEP;
	if (to < end || free_bytes < 2 * (uint64_t)RESERVE_STEP +
	    FREE_MARGIN + keep)
		to = end;
	if (to > seg->map_bytes)
		to = seg->map_bytes;
	rc = reserve_file(seg, to);
	if (rc != 0)
		return told(rc, "reserve", seg->path);
	tn_os_crash_point("log_reserved");
	seg->file_bytes = to;
	return TN_OK;
}

/* copy: the log as new files, while it is written.
 *
 * LMDB copies an environment inside one read transaction, so that each copy is
 * a segment as it was between two commits. What the journal holds is put into
 * LMDB first, so a copy has none. Segments are borrowed all at once
 * and copied oldest first: the copy of the one that was newest then may hold
 * blocks that came later, none may be missing before them. */
#include "log/log_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MODE = 0640 };

void
tn_log_hold(struct tn_log *log, bool held)
{
	atomic_store(&log->held, held);
}

enum tn_status
tn_log_env_copy(MDB_env *env, const char *from, const char *to,
    struct tn_diag *d)
{
	/* By itself LMDB would make a file that all may read. */
	int fd = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, FILE_MODE);
	int rc = fd < 0 ? errno : mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	enum tn_status st;

	/* Nor does it sync what it copies. */
	if (rc == 0 && fsync(fd) != 0)
		rc = errno;
	if (fd >= 0)
		(void)close(fd);
	st = rc == EEXIST ? TN_EEXIST : tn_log_mdb_status(rc);
	return rc == 0 ? TN_OK : tn_diag_set(d, st, "copy", "%s cannot be "
	    "copied to %s: %s", from, to, mdb_strerror(rc));
}

enum tn_status
tn_log_copy(struct tn_log *log, const char *dir, struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_log_segment **segs;
	enum tn_status st;
	uint32_t n;

	tn_assert(atomic_load(&log->held));
	st = tn_log_checkpoint(log);
	if (st != TN_OK) {
		tn_arena_free(a);
		return tn_diag_set(d, st, "copy", "%s cannot be copied: %s",
		    log->dir, tn_status_text(st));
	}
	tn_net_lock_take(log->lock);
	n = log->seg_count;
	segs = tn_arena_alloc(a, n * sizeof(struct tn_log_segment *));
	for (uint32_t i = 0; i < n; i++) {
		segs[i] = log->segs[i];
		segs[i]->users++;
	}
	tn_net_lock_drop(log->lock);
	for (uint32_t i = 0; st == TN_OK && i < n; i++) {
		char *to = tn_arena_printf(a, "%s%s", dir,
		    strrchr(segs[i]->path, '/'));
		st = tn_log_env_copy(segs[i]->env, segs[i]->path, to, d);
	}
	for (uint32_t i = 0; i < n; i++)
		tn_log_give_back(log, segs[i]);
	tn_arena_free(a);
	return st;
}

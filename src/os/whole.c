/* whole: a file read, replaced or mapped as a whole.
 *
 * Replacing:  path.<16 hex>.tmp --write, sync--> rename to path --> sync folder
 *
 * A reader sees the old bytes or the new ones. A failure removes the file
 * beside; a crash may leave it (the name ends in ".tmp"). If only the last
 * step fails, the new bytes are in place but might not survive a power loss;
 * the caller is told and may write again. */
#include "os/os_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PIECE_BYTES = 64 << 10 };

/* ---- read ------------------------------------------------------------ */

/* Append from ${at} on to the end; *${bytes_max} counts down. */
static enum tn_status
read_on(int fd, struct tn_buf *out, size_t bytes_max, const char *path)
{
	uint64_t at = 0;

	for (;;) {
		size_t piece = bytes_max < PIECE_BYTES
		    ? bytes_max : PIECE_BYTES;
		uint8_t probe;      /* A byte in here is one too many. */
		uint8_t *to = &probe;
		int64_t got;

		if (piece > 0)
			to = tn_buf_reserve(out, piece);
		if (to == NULL)
			return TN_ENOMEM;
		got = tn_os_table()->pread(fd, to, piece > 0 ? piece : 1, at);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return tn_os_fail((int)got, "read", path);
		if (got == 0)
			return TN_OK;
		if (piece == 0)
			return TN_ELIMIT;
		tn_assert((uint64_t)got <= piece);
		out->n += (size_t)got;
		at += (uint64_t)got;
		bytes_max -= (size_t)got;
	}
}

enum tn_status
tn_os_read_file(const char *path, struct tn_buf *out, size_t bytes_max)
{
	size_t before = out->n;
	size_t max = out->max != 0 ? out->max : (size_t)1 << 30;
	enum tn_status st;
	struct stat info;
	int fd;

	if (out->failed)
		return TN_ENOMEM;
	/* The buffer's own limit holds too. */
	if (before > max)
		return TN_ELIMIT;
	if (bytes_max > max - before)
		bytes_max = max - before;
	fd = tn_os_table()->open(path, O_RDONLY, 0);
	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	if (fstat(fd, &info) != 0)
		st = tn_os_fail(-errno, "stat", path);
	else if (info.st_size > 0 && (uint64_t)info.st_size > bytes_max)
		st = TN_ELIMIT;
	else
		st = read_on(fd, out, bytes_max, path);
	(void)tn_os_table()->close(fd);
	if (st != TN_OK && !out->failed)
		out->n = before;
	return st;
}

/* ---- replace --------------------------------------------------------- */

/* The folder that holds ${path}, to be freed. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return tn_strdup(".");
	if (slash == path)
		return tn_strdup("/");
	return tn_strndup(path, (size_t)(slash - path));
}

static char *
beside(const char *path)
{
	size_t bytes = strlen(path) + 32;
	char *name = tn_alloc(bytes);
	uint64_t salt;

	tn_os_random(&salt, sizeof salt);
	(void)snprintf(name, bytes, "%s.%016llx.tmp", path,
	    (unsigned long long)salt);
	return name;
}

/* Create ${path} with all bytes on disk, or not at all. */
static enum tn_status
write_new(const char *path, const void *p, size_t n, int mode)
{
	const struct tn_os_table *os = tn_os_table();
	int fd = os->open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
	const char *act = "write";
	int rc;

	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	rc = tn_os_write_all(fd, p, n, 0);
	if (rc == 0) {
		act = "sync";
		rc = os->sync(fd);
	}
	(void)os->close(fd);
	if (rc == 0)
		return TN_OK;
	(void)os->unlink(path);
	return tn_os_fail(rc, act, path);
}

enum tn_status
tn_os_write_file(const char *path, const void *p, size_t n, int mode)
{
	char *folder = folder_of(path);
	char *temp = beside(path);
	enum tn_status st;

	st = write_new(temp, p, n, mode);
	if (st != TN_OK)
		goto out;
	st = tn_os_rename(temp, path);
	if (st != TN_OK) {
		(void)tn_os_table()->unlink(temp);
		goto out;
	}
	st = tn_os_sync_dir(folder);
out:
	tn_free(temp);
	tn_free(folder);
	return st;
}

/* ---- map ------------------------------------------------------------- */

enum tn_status
tn_os_map(const char *path, const uint8_t **p, size_t *n)
{
	int fd = tn_os_table()->open(path, O_RDONLY, 0);
	enum tn_status st = TN_OK;
	struct stat info;
	void *at;

	*p = NULL;
	*n = 0;
	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	if (fstat(fd, &info) != 0) {
		st = tn_os_fail(-errno, "stat", path);
		goto out;
	}
	if (!S_ISREG(info.st_mode)) {
		st = TN_EIO;
		goto out;
	}
	if (info.st_size == 0)
		goto out;
	at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		st = tn_os_fail(-errno, "map", path);
		goto out;
	}
	*p = at;
	*n = (size_t)info.st_size;
out:
	(void)tn_os_table()->close(fd);
	return st;
}

void
tn_os_unmap(const uint8_t *p, size_t n)
{
	int rc;

	if (p == NULL)
		return;
	rc = munmap((void *)(uintptr_t)p, n);
	tn_assert(rc == 0);
}

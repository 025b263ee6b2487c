/* file: one open file. Writers append, readers read at a place of their own.
 *
 * A write that fails part of the way does not move the end, so what follows
 * overwrites the remains. After a failed sync the kernel may have dropped the
 * pages that it could not write and would call the next sync a success; the
 * file is therefore broken for good: every later write and sync is TN_EIO.
 *
 * A durable file is written past the page cache, with less wait and less work
 * for the same promise (figures: tests/bench/README.md). Not every file system
 * can, nor with every alignment: then it goes through the cache. */
#include "os/os_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
	FILE_MODE = 0640,
	CALL_BYTES_MAX = 1 << 30,   /* One call takes less than 2 GiB. */
};

static struct tn_os_file *
file_new(int fd, bool writable)
{
	struct tn_os_file *file = tn_zalloc(sizeof *file);

	file->fd = fd;
	file->writable = writable;
	return file;
}

enum tn_status
tn_os_open(struct tn_os_file **file, const char *path, enum tn_os_mode mode)
{
	static const int flags[] = {
		[TN_OS_READ] = O_RDONLY,
		[TN_OS_CREATE] = O_RDWR | O_CREAT | O_EXCL,
		[TN_OS_REPLACE] = O_RDWR | O_CREAT | O_TRUNC,
		[TN_OS_DURABLE] = O_RDWR | O_DSYNC | O_DIRECT,
	};
	int fd;

	tn_assert((size_t)mode < TN_COUNT(flags));
	*file = NULL;
	fd = tn_os_table()->open(path, flags[mode], FILE_MODE);
	if ((fd == -EINVAL || fd == -EOPNOTSUPP) && mode == TN_OS_DURABLE)
		fd = tn_os_table()->open(path, flags[mode] & ~O_DIRECT,
		    FILE_MODE);
	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	*file = file_new(fd, mode != TN_OS_READ);
	return TN_OK;
}

void
tn_os_close(struct tn_os_file *file)
{
	if (file == NULL)
		return;
	/* What had to be on disk was synced; the result says nothing more. */
	(void)tn_os_table()->close(file->fd);
	tn_free(file);
}

int
tn_os_write_all(int fd, const void *p, size_t n, uint64_t at)
{
	const uint8_t *from = p;

	while (n > 0) {
		size_t piece = n < CALL_BYTES_MAX ? n : CALL_BYTES_MAX;
		int64_t put = tn_os_table()->pwrite(fd, from, piece, at);

		if (put == -EINTR)
			continue;
		if (put < 0)
			return (int)put;
		/* No progress without an error would loop for ever. */
		if (put == 0)
			return -EIO;
		tn_assert((uint64_t)put <= piece);
		from += put;
		at += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

enum tn_status
tn_os_write(struct tn_os_file *file, const void *p, size_t n)
{
	int rc;

	tn_assert(file->writable);
	if (file->broken)
		return TN_EIO;
	rc = tn_os_write_all(file->fd, p, n, file->at);
	if (rc < 0)
		return tn_os_fail(rc, "write", NULL);
	file->at += n;
	return TN_OK;
}

/* Through the page cache from now on. False: it was so already. */
static bool
give_up_direct(const struct tn_os_file *file)
{
	int flags = fcntl(file->fd, F_GETFL);

	return flags >= 0 && (flags & O_DIRECT) != 0 &&
	    fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

enum tn_status
tn_os_pwrite(struct tn_os_file *file, const void *p, size_t n, uint64_t at)
{
	int rc;

	tn_assert(file->writable);
	if (file->broken)
		return TN_EIO;
	rc = tn_os_write_all(file->fd, p, n, at);
	if ((rc == -EINVAL || rc == -EOPNOTSUPP) && give_up_direct(file))
		rc = tn_os_write_all(file->fd, p, n, at);
	if (rc == 0)
		return TN_OK;
	file->broken = true;
	return tn_os_fail(rc, "write", NULL);
}

void
tn_os_write_soon(struct tn_os_file *file)
{
	/* Whatever goes wrong the sync will say. */
	if (!file->broken && file->at > file->soon)
		(void)sync_file_range(file->fd, (off_t)file->soon,
		    (off_t)(file->at - file->soon), SYNC_FILE_RANGE_WRITE);
	file->soon = file->at;
}

enum tn_status
tn_os_pread(struct tn_os_file *file, void *p, size_t n, uint64_t at)
{
	uint8_t *to = p;

	if (at > INT64_MAX || n > INT64_MAX - at)
		return TN_ECORRUPT;
	while (n > 0) {
		size_t piece = n < CALL_BYTES_MAX ? n : CALL_BYTES_MAX;
		int64_t got = tn_os_table()->pread(file->fd, to, piece, at);

		if (got == -EINTR)
			continue;
		if (got < 0)
			return tn_os_fail((int)got, "read", NULL);
		if (got == 0)
			return TN_ECORRUPT;
		tn_assert((uint64_t)got <= piece);
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return TN_OK;
}

enum tn_status
tn_os_size(struct tn_os_file *file, uint64_t *bytes)
{
	struct stat info;

	*bytes = 0;
	if (fstat(file->fd, &info) != 0)
		return tn_os_fail(-errno, "stat", NULL);
	*bytes = (uint64_t)info.st_size;
	return TN_OK;
}

enum tn_status
tn_os_sync(struct tn_os_file *file)
{
	int rc;

	if (file->broken)
		return TN_EIO;
	rc = tn_os_table()->sync(file->fd);
	if (rc < 0) {
		file->broken = true;
		return tn_os_fail(rc, "sync", NULL);
	}
	return TN_OK;
}

enum tn_status
tn_os_lock(struct tn_os_file **file, const char *path)
{
	int fd = tn_os_table()->open(path, O_RDWR | O_CREAT, FILE_MODE);
	int rc;

	*file = NULL;
	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	do {
		rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
	} while (rc == -EINTR);
	if (rc == 0) {
		*file = file_new(fd, true);
		return TN_OK;
	}
	(void)tn_os_table()->close(fd);
	if (rc == -EWOULDBLOCK)
		return TN_ECONFLICT;
	return tn_os_fail(rc, "lock", path);
}

/* A disk of which one call fails: the one after ${calls_left} others; -1: none
 * does. tn_os_use(NULL) ends it (folder_free). */
#ifndef TN_LAKE_DISK_HELP_H
#define TN_LAKE_DISK_HELP_H

#include "lake_help.h"

static struct tn_os_table table;
static int calls_left = -1;

static bool
broken(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

static int
bad_open(const char *path, int flags, int mode)
{
	return broken() ? -EIO : tn_os_real.open(path, flags, mode);
}

static int64_t
bad_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	return broken() ? -ENOSPC : tn_os_real.pwrite(fd, p, n, at);
}

static int
bad_sync(int fd)
{
	return broken() ? -EIO : tn_os_real.sync(fd);
}

static int
bad_mkdir(const char *path, int mode)
{
	return broken() ? -EIO : tn_os_real.mkdir(path, mode);
}

static int
bad_rename(const char *from, const char *to)
{
	return broken() ? -EIO : tn_os_real.rename(from, to);
}

static int
bad_unlink(const char *path)
{
	return broken() ? -EIO : tn_os_real.unlink(path);
}

static void
use_bad_disk(void)
{
	table = tn_os_real;
	table.open = bad_open;
	table.pwrite = bad_pwrite;
	table.sync = bad_sync;
	table.mkdir = bad_mkdir;
	table.rename = bad_rename;
	table.unlink = bad_unlink;
	tn_os_use(&table);
}

#endif

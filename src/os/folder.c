/* folder: names, kinds, and the folders themselves. A new name is on disk
 * only when the folder that holds it is synced; mkdirs does that for every
 * folder it makes, the writers of files do it by tn_os_sync_dir. */
#include "os/os_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
	FOLDER_MODE = 0750,
	NAMES_MAX = 1 << 22,    /* In one folder. */
};

enum tn_status
tn_os_sync_dir(const char *path)
{
	const struct tn_os_table *os = tn_os_table();
	int fd = os->open(path, O_RDONLY | O_DIRECTORY, 0);
	int rc;

	if (fd < 0)
		return tn_os_fail(fd, "open", path);
	rc = os->sync(fd);
	(void)os->close(fd);
	return rc < 0 ? tn_os_fail(rc, "sync", path) : TN_OK;
}

enum tn_status
tn_os_rename(const char *from, const char *to)
{
	int rc = tn_os_table()->rename(from, to);

	return rc < 0 ? tn_os_fail(rc, "rename", from) : TN_OK;
}

enum tn_status
tn_os_unlink(const char *path)
{
	int rc = tn_os_table()->unlink(path);

	return rc < 0 ? tn_os_fail(rc, "unlink", path) : TN_OK;
}

/* Make one folder and sync ${parent}, which holds its name. */
static enum tn_status
make_one(const char *path, const char *parent)
{
	int rc = tn_os_table()->mkdir(path, FOLDER_MODE);

	if (rc == -EEXIST)
		return tn_os_kind(path) == TN_OS_DIR ? TN_OK : TN_EEXIST;
	if (rc < 0)
		return tn_os_fail(rc, "mkdir", path);
	return tn_os_sync_dir(parent);
}

enum tn_status
tn_os_mkdirs(const char *path)
{
	enum tn_status st = TN_OK;
	char *parent = NULL;
	char *part = NULL;
	size_t n;

	if (path[0] == '\0')
		return TN_ENOTFOUND;
	if (tn_os_kind(path) == TN_OS_DIR)
		return TN_OK;
	n = strlen(path);
	part = tn_strdup(path);
	parent = tn_strdup(path[0] == '/' ? path : "./");
	parent[1] = '\0';
	/* At each end of a part of the path, part is cut there. */
	for (size_t i = 1; i <= n && st == TN_OK; i++) {
		if ((path[i] != '/' && path[i] != '\0') || path[i - 1] == '/')
			continue;
		part[i] = '\0';
		st = make_one(part, parent);
		tn_free(parent);
		parent = tn_strdup(part);
		part[i] = path[i];
	}
	tn_free(parent);
	tn_free(part);
	return st;
}

enum tn_os_kind
tn_os_kind(const char *path)
{
	struct stat info;

	if (stat(path, &info) != 0)
		return TN_OS_NONE;
	if (S_ISREG(info.st_mode))
		return TN_OS_FILE;
	return S_ISDIR(info.st_mode) ? TN_OS_DIR : TN_OS_OTHER;
}

/* ---- list ------------------------------------------------------------ */

struct list {
	char **names;
	size_t count;
	size_t cap;
};

static void
list_free(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		tn_free(l->names[i]);
	tn_free(l->names);
}

static enum tn_status
list_add(struct list *l, const char *name)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return TN_OK;
	if (l->count == NAMES_MAX)
		return TN_ELIMIT;
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 16 : l->cap * 2;
		l->names = tn_realloc(l->names, l->cap * sizeof *l->names);
	}
	l->names[l->count++] = tn_strdup(name);
	return TN_OK;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum tn_status
tn_os_list(const char *path, char ***names, size_t *count)
{
	struct list l = { NULL, 0, 0 };
	enum tn_status st = TN_OK;
	struct dirent *entry;
	DIR *dir = opendir(path);

	*names = NULL;
	*count = 0;
	if (dir == NULL)
		return tn_os_fail(-errno, "list", path);
	do {
		errno = 0;
		entry = readdir(dir);
		if (entry != NULL)
			st = list_add(&l, entry->d_name);
		else if (errno != 0)
			st = tn_os_fail(-errno, "list", path);
	} while (entry != NULL && st == TN_OK);
	(void)closedir(dir);
	if (st != TN_OK) {
		list_free(&l);
		return st;
	}
	if (l.count > 0)
		qsort(l.names, l.count, sizeof *l.names, by_bytes);
	*names = l.names;
	*count = l.count;
	return TN_OK;
}

uint64_t
tn_os_disk_size(const char *path)
{
	struct statvfs info;

	return statvfs(path, &info) != 0 ? 0 :
	    (uint64_t)info.f_blocks * info.f_frsize;
}

enum tn_status
tn_os_disk_free(const char *path, uint64_t *bytes)
{
	struct statvfs info;

	*bytes = 0;
	if (statvfs(path, &info) != 0)
		return tn_os_fail(-errno, "statvfs", path);
	*bytes = (uint64_t)info.f_bavail * info.f_frsize;
	return TN_OK;
}

/* nosync: a broken tarn on purpose, the negative control of powerloss.test.mjs.
 * LD_PRELOADed, it lets the syncs of chosen files pass without doing them.
 *
 *   NOSYNC=log    segments and the journal (*.mdb, *.new, log/journal):
 *                 fdatasync and fsync do nothing, and O_DSYNC is taken from
 *                 open
 *   NOSYNC=meta   O_DSYNC is taken from open of segments: the page that makes a
 *                 commit count is left to the kernel
 *   NOSYNC=journal  O_DSYNC is taken from open of the log's journal: the one sync
 *                 of a small commit (and O_DIRECT, here as above: what goes past
 *                 the page cache is with the disk at once, if not safe there)
 *   NOSYNC=lake   the lake's files and folders: fsync does nothing
 *   NOSYNC=dirs   folders of the lake and of the log: fsync does nothing
 *
 * What a descriptor is, /proc says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
mode(const char *name)
{
	const char *m = getenv("NOSYNC");

	return m != NULL && strcmp(m, name) == 0;
}

static bool
segment(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL &&
	    (strcmp(dot, ".mdb") == 0 || strcmp(dot, ".new") == 0);
}

static bool
journal(const char *path)
{
	const char *name = strrchr(path, '/');

	return name != NULL && strcmp(name, "/journal") == 0 &&
	    name - path >= 4 && strncmp(name - 4, "/log", 4) == 0;
}

static bool
skipped(int fd)
{
	char link[64], path[4096];
	struct stat s;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n <= 0 || fstat(fd, &s) != 0)
		return false;
	path[n] = '\0';
	if (mode("log"))
		return segment(path) || journal(path);
	if (mode("lake"))
		return strstr(path, "/lake") != NULL;
	return mode("dirs") && S_ISDIR(s.st_mode);
}

int
fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	return skipped(fd) ? 0 : real(fd);
}

int
fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	return skipped(fd) ? 0 : real(fd);
}

static int
open_as(const char *name, const char *path, int flags, int perm)
{
	int (*real)(const char *, int, ...) =
	    (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);

	if (((mode("log") || mode("meta")) && segment(path)) ||
	    ((mode("log") || mode("journal")) && journal(path)))
		flags &= ~(O_DSYNC | O_SYNC | O_DIRECT);
	return real(path, flags, perm);
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	int perm;

	va_start(ap, flags);
	perm = va_arg(ap, int);
	va_end(ap);
	return open_as("open", path, flags, perm);
}

int
open64(const char *path, int flags, ...)
{
	va_list ap;
	int perm;

	va_start(ap, flags);
	perm = va_arg(ap, int);
	va_end(ap);
	return open_as("open64", path, flags, perm);
}

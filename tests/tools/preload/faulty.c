/* faulty: a disk that fails once, at a call that a test chooses. LD_PRELOADed;
 * FAULTY names a file that is mapped (struct control): calls that change
 * something under a path with the text ${part} in it are counted down from
 * ${left}, and the one that finds 0 fails with ${error}. With ${full} so do all
 * that write after it, as on a full disk. Below 0 nothing fails.
 *
 * What a descriptor is, /proc says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct control {
	int64_t left;
	int64_t error;
	int64_t full;
	int64_t fired;
	char part[64];
	char what[32];           /* The call that failed. */
};
static struct control *control;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

static void
begin(void)
{
	int (*real)(const char *, int, ...) =
	    REAL(int (*)(const char *, int, ...), "open");
	const char *path = getenv("FAULTY");
	int fd = path != NULL ? real(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ |
	    PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED)
		abort();
	close(fd);
	control = p;
}

static bool
fails(const char *what, const char *path, bool writes)
{
	int64_t left;

	(void)pthread_once(&once, begin);
	if (__atomic_load_n(&control->left, __ATOMIC_SEQ_CST) < 0 ||
	    path == NULL || strstr(path, control->part) == NULL)
		return false;
	left = __atomic_load_n(&control->fired, __ATOMIC_SEQ_CST) != 0 ? 1 :
	    __atomic_fetch_sub(&control->left, 1, __ATOMIC_SEQ_CST);
	if (left == 0) {
		__atomic_store_n(&control->left, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&control->fired, 1, __ATOMIC_SEQ_CST);
		snprintf(control->what, sizeof control->what, "%s", what);
	} else if (__atomic_load_n(&control->fired, __ATOMIC_SEQ_CST) == 0 ||
	    control->full == 0 || !writes) {
		return false;
	}
	errno = (int)control->error;
	return true;
}

static bool
fails_fd(const char *what, int fd, bool writes)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return fails(what, path, writes);
}

int
fsync(int fd)
{
	return fails_fd("fsync", fd, false) ? -1 :
	    REAL(int (*)(int), "fsync")(fd);
}

int
fdatasync(int fd)
{
	return fails_fd("fdatasync", fd, false) ? -1 :
	    REAL(int (*)(int), "fdatasync")(fd);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	return fails_fd("write", fd, true) ? -1 :
	    REAL(ssize_t (*)(int, const void *, size_t), "write")(fd, p, n);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return fails_fd("pwrite", fd, true) ? -1 :
	    REAL(ssize_t (*)(int, const void *, size_t, off_t), "pwrite")(fd,
	    p, n, at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return fails_fd("pwrite", fd, true) ? -1 :
	    REAL(ssize_t (*)(int, const void *, size_t, off64_t),
	    "pwrite64")(fd, p, n, at);
}

int
rename(const char *from, const char *to)
{
	return fails("rename", to, false) ? -1 :
	    REAL(int (*)(const char *, const char *), "rename")(from, to);
}

int
link(const char *from, const char *to)
{
	return fails("link", to, true) ? -1 :
	    REAL(int (*)(const char *, const char *), "link")(from, to);
}

int
symlink(const char *to, const char *path)
{
	return fails("symlink", path, true) ? -1 :
	    REAL(int (*)(const char *, const char *), "symlink")(to, path);
}

int
unlink(const char *path)
{
	return fails("unlink", path, false) ? -1 :
	    REAL(int (*)(const char *), "unlink")(path);
}

int
mkdir(const char *path, mode_t mode)
{
	struct stat s;

	return stat(path, &s) != 0 && fails("mkdir", path, true) ? -1 :
	    REAL(int (*)(const char *, mode_t), "mkdir")(path, mode);
}

static int
open_as(const char *name, const char *path, int flags, int perm)
{
	if ((flags & O_ACCMODE) != O_RDONLY && fails("open", path,
	    (flags & O_CREAT) != 0))
		return -1;
	return REAL(int (*)(const char *, int, ...), name)(path, flags, perm);
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

/* table: the system behind a table of functions, the clock, randomness and
 * crash points.
 *
 * The real members only translate: -1 and errno become a negative errno, and
 * a call that a signal interrupted is made again. close() is the exception:
 * Linux has closed the descriptor even when it reports EINTR.
 *
 * The table in force is a plain pointer; it changes only before threads
 * exist. */
#include "os/os_int.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- the real table -------------------------------------------------- */

static int
real_open(const char *path, int flags, int mode)
{
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, (mode_t)mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int
real_close(int fd)
{
	return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

static int64_t
real_pread(int fd, void *p, size_t n, uint64_t at)
{
	ssize_t got;

	do {
		got = pread(fd, p, n, (off_t)at);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int64_t
real_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	ssize_t put;

	do {
		put = pwrite(fd, p, n, (off_t)at);
	} while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static int
real_sync(int fd)
{
	int rc;

	do {
		rc = fsync(fd);
	} while (rc != 0 && errno == EINTR);
	return rc != 0 ? -errno : 0;
}

static int
real_rename(const char *from, const char *to)
{
	return rename(from, to) != 0 ? -errno : 0;
}

static int
real_unlink(const char *path)
{
	return unlink(path) != 0 ? -errno : 0;
}

static int
real_mkdir(const char *path, int mode)
{
	return mkdir(path, (mode_t)mode) != 0 ? -errno : 0;
}

static int64_t
clock_us(clockid_t clock)
{
	struct timespec t;
	int rc = clock_gettime(clock, &t);

	tn_assert(rc == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t
real_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

static int64_t
real_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static int64_t
real_boot_us(void)
{
#ifdef CLOCK_BOOTTIME
	return clock_us(CLOCK_BOOTTIME);
#else
	return clock_us(CLOCK_MONOTONIC);
#endif
}

static int
real_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static int
real_nice(int value)
{
#ifdef __linux__
	/* There a "process" of setpriority is a thread. Elsewhere it would be
	 * all of them: better none. */
	return setpriority(PRIO_PROCESS, 0, value) != 0 ? -errno : 0;
#else
	(void)value;
	return -ENOSYS;
#endif
}

/* glibc has no name for it; the numbers are the kernel's (linux/ioprio.h). */
static int
real_io_level(int level)
{
#ifdef SYS_ioprio_set
	enum { WHO_THREAD = 1, BEST_EFFORT = 2, CLASS_SHIFT = 13 };

	return syscall(SYS_ioprio_set, WHO_THREAD, 0, BEST_EFFORT <<
	    CLASS_SHIFT | level) != 0 ? -errno : 0;
#else
	(void)level;
	return -ENOSYS;
#endif
}

const struct tn_os_table tn_os_real = {
	.open = real_open,
	.close = real_close,
	.pread = real_pread,
	.pwrite = real_pwrite,
	.sync = real_sync,
	.rename = real_rename,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.wall_us = real_wall_us,
	.mono_us = real_mono_us,
	.boot_us = real_boot_us,
	.random = real_random,
	.nice = real_nice,
	.io_level = real_io_level,
};

static const struct tn_os_table *in_force = &tn_os_real;

void
tn_os_use(const struct tn_os_table *t)
{
	if (t == NULL)
		t = &tn_os_real;
	tn_assert(t->open != NULL && t->random != NULL);
	__atomic_store_n(&in_force, t, __ATOMIC_RELEASE);
}

const struct tn_os_table *
tn_os_table(void)
{
	return __atomic_load_n(&in_force, __ATOMIC_ACQUIRE);
}

int64_t
tn_os_wall_us(void)
{
	return tn_os_table()->wall_us();
}

int64_t
tn_os_mono_us(void)
{
	return tn_os_table()->mono_us();
}

int64_t
tn_os_boot_us(void)
{
	return tn_os_table()->boot_us();
}

int64_t
tn_os_leap(struct tn_os_leap *l)
{
	int64_t wall = tn_os_wall_us(), boot = tn_os_boot_us();
	int64_t leap = l->wall_us == 0 ? 0 : (wall - l->wall_us) -
	    (boot - l->boot_us);

	*l = (struct tn_os_leap){ wall, boot };
	return leap;
}

void
tn_os_random(void *p, size_t n)
{
	int rc = tn_os_table()->random(p, n);

	tn_assert(rc == 0);
}

/* ---- failures -------------------------------------------------------- */

static enum tn_status
status_of(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return TN_ENOSPC;
	case ENOENT:
	case ENOTDIR:
		return TN_ENOTFOUND;
	case EEXIST:
		return TN_EEXIST;
	case EACCES:
	case EPERM:
	case EROFS:
		return TN_EDENIED;
	case ENOMEM:
		return TN_ENOMEM;
	default:
		return TN_EIO;
	}
}

enum tn_status
tn_os_fail(int err, const char *act, const char *path)
{
	enum tn_status st = status_of(-err);
	char text[128];

	tn_assert(err < 0);
	if (st != TN_ENOTFOUND && st != TN_EEXIST) {
		tn_say(TN_ERROR, "os", "%s%s%s: %s", act,
		    path != NULL ? " " : "", path != NULL ? path : "",
		    strerror_r(-err, text, sizeof text));
	}
	return st;
}

/* ---- process --------------------------------------------------------- */

/* Pages of the process: resident, and those of them that files hold. */
static bool
read_statm(unsigned long long *resident, unsigned long long *shared)
{
	int fd = real_open("/proc/self/statm", O_RDONLY, 0);
	unsigned long long all;
	char text[128];
	int64_t n;

	if (fd < 0)
		return false;
	n = real_pread(fd, text, sizeof text - 1, 0);
	(void)real_close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "%llu %llu %llu", &all, resident, shared) == 3;
}

uint64_t
tn_os_rss_bytes(void)
{
	unsigned long long resident, shared;

	if (!read_statm(&resident, &shared))
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t
tn_os_anonymous_bytes(void)
{
	unsigned long long resident, shared;

	if (!read_statm(&resident, &shared) || resident < shared)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct {
	pthread_once_t once;
	_Atomic bool idle;      /* The environment names no crash point. */
	char name[64];
	_Atomic int64_t left;   /* Passages until the end. */
} crash = { .once = PTHREAD_ONCE_INIT };

/* TARN_CRASH is name or name:count; anything else never matches. */
static void
read_crash(void)
{
	const char *text = getenv("TARN_CRASH");
	size_t n = text != NULL ? strcspn(text, ":") : 0;
	uint64_t count = 1;

	if (n > 0 && text[n] == ':' &&
	    !tn_parse_u64(tn_slice_of(text + n + 1), &count))
		n = 0;
	if (n == 0 || n >= sizeof crash.name || count == 0 ||
	    count > INT64_MAX) {
		atomic_store_explicit(&crash.idle, true, memory_order_relaxed);
		return;
	}
	memcpy(crash.name, text, n);
	atomic_store_explicit(&crash.left, (int64_t)count,
	    memory_order_relaxed);
}

void
tn_os_crash_point(const char *name)
{
	int64_t left;

	if (atomic_load_explicit(&crash.idle, memory_order_relaxed))
		return;
	(void)pthread_once(&crash.once, read_crash);
	if (strcmp(crash.name, name) != 0)
		return;
	left = atomic_fetch_sub_explicit(&crash.left, 1, memory_order_relaxed);
	if (left == 1) {
		(void)kill(getpid(), SIGKILL);
		abort();
	}
}

/* clock: a wall clock that a test moves while tarn runs. LD_PRELOADed;
 * CLOCK_SHIFT names a file with one i64, microseconds, that are added to
 * every reading of the wall clock. The file is mapped: a new value counts at
 * the next reading. Monotonic clocks are left alone, as by the kernel, unless
 * CLOCK_ALL is set: then timers are due earlier, too, at the next turn of a loop. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;
static int all;
static int (*real)(clockid_t, struct timespec *);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin(void)
{
	const char *path = getenv("CLOCK_SHIFT");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0) :
	    MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED)
		abort();
	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT,
	    "clock_gettime");
	all = getenv("CLOCK_ALL") != NULL;
	shift = p;
}

static int
is_ours(clockid_t clock)
{
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		return 1;
	return all && (clock == CLOCK_MONOTONIC ||
	    clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW ||
	    clock == CLOCK_BOOTTIME);
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	int64_t ns;
	int rc;

	pthread_once(&once, begin);
	rc = real(clock, t);
	if (rc != 0 || !is_ours(clock))
		return rc;
	ns = t->tv_nsec + *shift % 1000000 * 1000;
	t->tv_sec += *shift / 1000000 + (ns < 0 ? -1 : ns >= 1000000000);
	t->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
	return 0;
}

int
gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

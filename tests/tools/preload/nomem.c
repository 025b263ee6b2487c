/* nomem: memory that is out, for a whole program and the libraries in it.
 *
 *   LD_PRELOAD=nomem.so TARN_NOMEM_AT=n [TARN_NOMEM_COUNT=c] [TARN_NOMEM_MIN=b]
 *       [TARN_NOMEM_WAIT=1] tarn ...
 *
 * Of the calls to malloc, calloc, realloc and the aligned ones that ask for at
 * least b bytes (default 0) the nth and those after it, c in all (default 1),
 * give NULL. Counting begins with the program, or with SIGUSR2 when it is to
 * wait. Thread-safe; what was refused is said once, on standard error. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static atomic_ulong calls;
static atomic_bool counting;
static unsigned long fail_at, fail_count = 1;
static size_t least;

static unsigned long
number(const char *name, unsigned long standard)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : standard;
}

static void
begin(int signal)
{
	(void)signal;
	atomic_store(&counting, 1);
}

__attribute__((constructor)) static void
set_up(void)
{
	struct sigaction a = { .sa_handler = begin, .sa_flags = SA_RESTART };

	fail_at = number("TARN_NOMEM_AT", 0);
	fail_count = number("TARN_NOMEM_COUNT", 1);
	least = number("TARN_NOMEM_MIN", 0);
	if (number("TARN_NOMEM_WAIT", 0) != 0)
		sigaction(SIGUSR2, &a, NULL);
	else
		begin(0);
}

static int
is_out(size_t n)
{
	static const char said[] = "nomem: refused\n";
	unsigned long at;

	if (!atomic_load_explicit(&counting, memory_order_relaxed) ||
	    n < least || fail_at == 0)
		return 0;
	at = atomic_fetch_add(&calls, 1) + 1;
	if (at < fail_at || at - fail_at >= fail_count)
		return 0;
	if (at == fail_at && write(2, said, sizeof said - 1) < 0)
		return 1;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t n)
{
	return is_out(n) ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t m)
{
	return is_out(n * m) ? NULL : __libc_calloc(n, m);
}

void *
realloc(void *p, size_t n)
{
	return n > 0 && is_out(n) ? NULL : __libc_realloc(p, n);
}

void *
memalign(size_t align, size_t n)
{
	return is_out(n) ? NULL : __libc_memalign(align, n);
}

void *
aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

int
posix_memalign(void **out, size_t align, size_t n)
{
	void *p = memalign(align, n);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}

/* memory: the C allocator with two promises. Small allocations never return
 * NULL: the process ends, because no caller could go on in a useful way.
 * Allocations whose size comes from outside (tn_try_) return NULL and the
 * caller refuses the input. Both return a unique pointer for size 0.
 *
 * Also slices: borrowed bytes, compared by value. */
#include "base/base_int.h"

#include <stdlib.h>
#include <string.h>

void
tn_alloc_fail(size_t n)
{
	tn_say(TN_ERROR, "memory", "no memory for %zu bytes", n);
	abort();
}

void *
tn_try_alloc(size_t n)
{
	return malloc(n > 0 ? n : 1);
}

void *
tn_try_realloc(void *p, size_t n)
{
	return realloc(p, n > 0 ? n : 1);
}

void *
tn_alloc(size_t n)
{
	void *p = tn_try_alloc(n);

	if (p == NULL)
		tn_alloc_fail(n);
	return p;
}

void *
tn_zalloc(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);

	if (p == NULL)
		tn_alloc_fail(n);
	return p;
}

void *
tn_realloc(void *p, size_t n)
{
	void *grown = tn_try_realloc(p, n);

	if (grown == NULL)
		tn_alloc_fail(n);
	return grown;
}

char *
tn_strndup(const char *s, size_t n)
{
	size_t length = n == 0 ? 0 : strnlen(s, n);
	char *copy = tn_alloc(length + 1);

	/* An empty slice may have no address. */
	if (length > 0)
		memcpy(copy, s, length);
	copy[length] = '\0';
	return copy;
}

char *
tn_strdup(const char *s)
{
	size_t bytes = strlen(s) + 1;
	char *copy = tn_alloc(bytes);

	memcpy(copy, s, bytes);
	return copy;
}

void
tn_free(void *p)
{
	free(p);
}

struct tn_slice
tn_slice_of(const char *cstring)
{
	struct tn_slice s = { (const uint8_t *)cstring, 0 };

	if (cstring != NULL)
		s.n = strlen(cstring);
	return s;
}

bool
tn_slice_eq(struct tn_slice a, struct tn_slice b)
{
	if (a.n != b.n)
		return false;
	return a.n == 0 || memcmp(a.p, b.p, a.n) == 0;
}

bool
tn_slice_is(struct tn_slice a, const char *cstring)
{
	return tn_slice_eq(a, tn_slice_of(cstring));
}

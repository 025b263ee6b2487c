/* arena: allocations that are dropped together.
 *
 *   arena -> newest block -> older -> ... -> first block (kept by a reset)
 *         -> big blocks, one allocation each, freed by a reset
 *
 * Each new block doubles the last one up to BLOCK_MAX, so that a large arena
 * costs few calls of malloc. An allocation that would waste much of a block
 * gets a big block of its own and the newest block stays in use. Running out
 * of memory ends the process, because callers bound what they read; for sizes
 * that come from outside there is tn_arena_try_alloc.
 *
 * Under the address sanitizer, whose functions are there only then (weak
 * symbols), free room is poisoned and allocations stand apart, so that a step
 * outside or a use after a reset is found as with malloc. */
#include "base/base_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	ALIGN = 16,
	BLOCK_MIN = 256,
	BLOCK_MAX = 1 << 20,
};

struct block {
	struct block *next;
	size_t bytes;           /* In data[]. */
	_Alignas(ALIGN) uint8_t data[];
};

struct tn_arena {
	uint8_t *at;            /* Free room in the newest block. */
	uint8_t *end;
	struct block *newest;
	struct block *first;
	struct block *big;
	size_t first_bytes;
	size_t held_bytes;
};

static_assert(sizeof(struct block) % ALIGN == 0, "data[] is aligned");

void __asan_poison_memory_region(const volatile void *p, size_t n)
    __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *p, size_t n)
    __attribute__((weak));

static void
forbid(const void *p, size_t n)
{
	if (__asan_poison_memory_region != NULL)
		__asan_poison_memory_region(p, n);
}

static void
permit(const void *p, size_t n)
{
	if (__asan_unpoison_memory_region != NULL)
		__asan_unpoison_memory_region(p, n);
}

/* NULL when memory is out, unless it must not be. */
static struct block *
block_new(struct tn_arena *a, size_t bytes, bool must)
{
	struct block *b = must ? tn_alloc(sizeof *b + bytes) :
	    tn_try_alloc(sizeof *b + bytes);

	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->bytes = bytes;
	a->held_bytes += sizeof *b + bytes;
	return b;
}

static void
blocks_free(struct tn_arena *a, struct block *b, const struct block *stop)
{
	while (b != stop) {
		struct block *next = b->next;

		a->held_bytes -= sizeof *b + b->bytes;
		tn_free(b);
		b = next;
	}
}

static void
open_block(struct tn_arena *a, struct block *b)
{
	a->newest = b;
	a->at = b->data;
	a->end = b->data + b->bytes;
	forbid(b->data, b->bytes);
}

struct tn_arena *
tn_arena_new(size_t block_bytes)
{
	struct tn_arena *a = tn_zalloc(sizeof *a);

	if (block_bytes < BLOCK_MIN)
		block_bytes = BLOCK_MIN;
	a->first_bytes = (block_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	a->first = block_new(a, a->first_bytes, true);
	open_block(a, a->first);
	return a;
}

/* The newest block has no room for ${n} bytes, a multiple of ALIGN. */
static uint8_t *
alloc_slow(struct tn_arena *a, size_t n, bool must)
{
	size_t bytes = a->newest->bytes;
	struct block *b;

	if (bytes < BLOCK_MAX)
		bytes *= 2;
	if (n > bytes / 4) {
		b = block_new(a, n, must);
		if (b == NULL)
			return NULL;
		b->next = a->big;
		a->big = b;
		forbid(b->data, n);
		return b->data;
	}
	b = block_new(a, bytes, must);
	if (b == NULL)
		return NULL;
	b->next = a->newest;
	open_block(a, b);
	a->at += n;
	return b->data;
}

static inline void *
alloc(struct tn_arena *a, size_t n, bool must)
{
	uint8_t *p = a->at;
	/* An allocation of nothing still gets an address of its own. */
	size_t whole = (n + (n == 0) + ALIGN - 1) & ~(size_t)(ALIGN - 1);

	tn_assert(n <= SIZE_MAX / 4);
	if (__asan_poison_memory_region != NULL)
		whole += ALIGN;
	if (whole > (size_t)(a->end - p))
		p = alloc_slow(a, whole, must);
	else
		a->at = p + whole;
	if (p != NULL)
		permit(p, n);
	return p;
}

void *
tn_arena_alloc(struct tn_arena *a, size_t n)
{
	return alloc(a, n, true);
}

void *
tn_arena_try_alloc(struct tn_arena *a, size_t n)
{
	return alloc(a, n, false);
}

void *
tn_arena_zalloc(struct tn_arena *a, size_t n)
{
	return memset(tn_arena_alloc(a, n), 0, n);
}

char *
tn_arena_strndup(struct tn_arena *a, const char *s, size_t n)
{
	size_t length = n == 0 ? 0 : strnlen(s, n);
	char *copy = tn_arena_alloc(a, length + 1);

	/* An empty slice may have no address. */
	if (length > 0)
		memcpy(copy, s, length);
	copy[length] = '\0';
	return copy;
}

char *
tn_arena_strdup(struct tn_arena *a, const char *s)
{
	return tn_arena_strndup(a, s, SIZE_MAX);
}

char *
tn_arena_printf(struct tn_arena *a, const char *fmt, ...)
{
	va_list args, again;
	char *text;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	tn_assert(n >= 0);
	text = tn_arena_alloc(a, (size_t)n + 1);
	(void)vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return text;
}

void
tn_arena_reset(struct tn_arena *a)
{
	blocks_free(a, a->big, NULL);
	a->big = NULL;
	blocks_free(a, a->newest, a->first);
	open_block(a, a->first);
	tn_assert(a->held_bytes == sizeof *a->first + a->first_bytes);
}

size_t
tn_arena_bytes(const struct tn_arena *a)
{
	return a->held_bytes;
}

void
tn_arena_free(struct tn_arena *a)
{
	if (a == NULL)
		return;
	blocks_free(a, a->big, NULL);
	blocks_free(a, a->newest, NULL);
	tn_assert(a->held_bytes == 0);
	tn_free(a);
}

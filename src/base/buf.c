/* buf: a growing byte string for writers, and a checked reader over borrowed
 * bytes. Both remember a failure, so that a writer or reader of many fields
 * asks once, at the end.
 *
 * Capacity doubles from 64 on and never passes max + 1 (the one is for the
 * NUL of tn_buf_cstr). A failed buffer holds no bytes and ignores what is added
 * until tn_buf_clear.
 *
 * The first 4 KiB are a small allocation, which ends the process when memory is
 * out: a short text (a name, a key, a path) is never lost, and its maker need
 * not ask. */
#include "base/base_int.h"

#include <stdio.h>
#include <string.h>

enum {
	CAP_MIN = 64,
	CAP_SMALL = 4096,       /* Up to here memory is never out. */
};
#define BYTES_MAX ((size_t)1 << 30)

static size_t
limit(const struct tn_buf *b)
{
	if (b->max == 0)
		return BYTES_MAX;
	return b->max < SIZE_MAX / 4 ? b->max : SIZE_MAX / 4;
}

size_t
tn_buf_room(const struct tn_buf *b)
{
	size_t max = limit(b);

	if (b->failed || b->n >= max)
		return 0;
	return max - b->n;
}

static void
fail(struct tn_buf *b)
{
	tn_buf_fini(b);
	b->failed = true;
}

/* Make the capacity at least ${cap}; false and failed when memory is out. */
static bool
resize(struct tn_buf *b, size_t cap)
{
	uint8_t *p = cap <= CAP_SMALL ? tn_realloc(b->p, cap) :
	    tn_try_realloc(b->p, cap);

	if (p == NULL) {
		fail(b);
		b->no_memory = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

static bool
grow(struct tn_buf *b, size_t n)
{
	size_t max = limit(b);
	size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;

	if (b->failed)
		return false;
	if (n > tn_buf_room(b)) {
		fail(b);
		return false;
	}
	while (cap < b->n + n)
		cap = cap > max / 2 ? max + 1 : cap * 2;
	return resize(b, cap);
}

uint8_t *
tn_buf_reserve(struct tn_buf *b, size_t n)
{
	tn_assert(b->n <= b->cap);
	/* A failed buffer has cap 0 and must not look like one with room. */
	if (n > b->cap - b->n || b->p == NULL || n > tn_buf_room(b)) {
		if (!grow(b, n))
			return NULL;
	}
	return b->p + b->n;
}

void
tn_buf_add(struct tn_buf *b, const void *p, size_t n)
{
	uint8_t *at;

	if (n == 0)
		return;
	at = tn_buf_reserve(b, n);
	if (at == NULL)
		return;
	memcpy(at, p, n);
	b->n += n;
}

void
tn_buf_str(struct tn_buf *b, const char *s)
{
	tn_buf_add(b, s, strlen(s));
}

void
tn_buf_char(struct tn_buf *b, char c)
{
	tn_buf_add(b, &c, 1);
}

/* Room for the NUL that vsnprintf writes behind ${n} reserved bytes. */
static bool
with_nul(struct tn_buf *b, int n)
{
	size_t bytes = b->n + (size_t)n + 1;

	return b->cap >= bytes || resize(b, bytes);
}

void
tn_buf_printf(struct tn_buf *b, const char *fmt, ...)
{
	char small[256];
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(small, sizeof small, fmt, args);
	va_end(args);
	tn_assert(n >= 0);
	if ((size_t)n < sizeof small) {
		tn_buf_add(b, small, (size_t)n);
	} else if (tn_buf_reserve(b, (size_t)n) != NULL && with_nul(b, n)) {
		(void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

const char *
tn_buf_cstr(struct tn_buf *b)
{
	if (b->failed)
		return "";
	if (b->n == b->cap && !resize(b, b->n + 1))
		return "";
	b->p[b->n] = '\0';
	return (const char *)b->p;
}

void
tn_buf_clear(struct tn_buf *b)
{
	b->n = 0;
	b->failed = false;
	b->no_memory = false;
}

void
tn_buf_fini(struct tn_buf *b)
{
	tn_free(b->p);
	b->p = NULL;
	b->n = 0;
	b->cap = 0;
	b->failed = false;
	b->no_memory = false;
}

enum tn_status
tn_buf_status(const struct tn_buf *b)
{
	if (!b->failed)
		return TN_OK;
	return b->no_memory ? TN_ENOMEM : TN_ELIMIT;
}

static void
store(uint8_t *at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

void
tn_buf_u32(struct tn_buf *b, uint32_t v)
{
	uint8_t bytes[4];

	store(bytes, v, sizeof bytes);
	tn_buf_add(b, bytes, sizeof bytes);
}

void
tn_buf_u64(struct tn_buf *b, uint64_t v)
{
	uint8_t bytes[8];

	store(bytes, v, sizeof bytes);
	tn_buf_add(b, bytes, sizeof bytes);
}

void
tn_buf_varint(struct tn_buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (uint8_t)v;
	tn_buf_add(b, bytes, n);
}

/* ---- cursor ---------------------------------------------------------- */

/* The next ${n} bytes, or NULL and failed. */
static const uint8_t *
take(struct tn_cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->failed)
		return NULL;
	if (n > (size_t)(c->end - p)) {
		c->failed = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t
load(struct tn_cursor *c, unsigned bytes)
{
	const uint8_t *p = take(c, bytes);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t
tn_cursor_u8(struct tn_cursor *c)
{
	return (uint8_t)load(c, 1);
}

uint32_t
tn_cursor_u32(struct tn_cursor *c)
{
	return (uint32_t)load(c, 4);
}

uint64_t
tn_cursor_u64(struct tn_cursor *c)
{
	return load(c, 8);
}

uint64_t
tn_cursor_varint(struct tn_cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint64_t byte = load(c, 1);

		/* The tenth byte holds only bit 63. */
		if (shift == 63 && byte > 1)
			break;
		v |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return c->failed ? 0 : v;
	}
	c->failed = true;
	return 0;
}

struct tn_slice
tn_cursor_bytes(struct tn_cursor *c, size_t n)
{
	const uint8_t *p = take(c, n);
	struct tn_slice s = { p, p != NULL ? n : 0 };

	return s;
}

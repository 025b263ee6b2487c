/* bytes: what waits to be sent, as a list of chunks.
 *
 * A new chunk is as large as what is queued already (120 bytes to 64 KiB): a
 * short packet to each of ten thousand connections costs 120 bytes each (the
 * allocator has a quick way for those), a long answer few allocations. Chunks
 * are freed as soon as they are empty; nothing is moved. Some of the shortest
 * are kept for whoever is next: an ack to each of fifty connections in a turn
 * is more than the allocator's quick way has room for. Out of memory is the
 * caller's to handle: how much is queued depends on the peer. */
#include "net/stream_int.h"

#include <string.h>

enum {
	CHUNK_MIN = 120,
	CHUNK_MAX = 64 << 10,
	SPARES_MAX = 256,       /* Of CHUNK_MIN each: 30 KiB. */
};

struct tn_net_chunk {
	struct tn_net_chunk *next;
	uint32_t from;          /* Sent already. */
	uint32_t n;             /* Filled. */
	uint32_t cap;
	uint8_t p[];
};

#define SHORTEST (CHUNK_MIN - sizeof(struct tn_net_chunk))
static struct {                 /* Of the loop. */
	struct tn_net_chunk *first;
	uint32_t n;
} spares;

static struct tn_net_chunk *
chunk_alloc(size_t cap)
{
	struct tn_net_chunk *c = spares.first;

	if (cap != SHORTEST || c == NULL)
		return tn_try_alloc(sizeof *c + cap);
	spares.first = c->next;
	spares.n--;
	return c;
}

static void
chunk_free(struct tn_net_chunk *c)
{
	if (c->cap != SHORTEST || spares.n == SPARES_MAX) {
		tn_free(c);
		return;
	}
	c->next = spares.first;
	spares.first = c;
	spares.n++;
}

void
tn_net_bytes_forget(void)
{
	while (spares.first != NULL) {
		struct tn_net_chunk *c = spares.first;

		spares.first = c->next;
		tn_free(c);
	}
	spares.n = 0;
}

static struct tn_net_chunk *
chunk_new(struct tn_net_bytes *b, size_t want)
{
	size_t cap = want > b->n ? want : b->n;
	struct tn_net_chunk *c;

	cap = cap < CHUNK_MIN ? CHUNK_MIN : cap;
	cap = cap > CHUNK_MAX ? CHUNK_MAX : cap;
	cap -= sizeof *c;
	c = chunk_alloc(cap);
	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->from = 0;
	c->n = 0;
	c->cap = (uint32_t)cap;
	if (b->tail != NULL)
		b->tail->next = c;
	else
		b->head = c;
	b->tail = c;
	return c;
}

bool
tn_net_bytes_add(struct tn_net_bytes *b, struct tn_slice in)
{
	while (in.n > 0) {
		struct tn_net_chunk *c = b->tail;
		size_t n;

		if (c == NULL || c->n == c->cap)
			c = chunk_new(b, in.n);
		if (c == NULL)
			return false;
		n = c->cap - c->n;
		n = n < in.n ? n : in.n;
		memcpy(c->p + c->n, in.p, n);
		c->n += (uint32_t)n;
		b->n += n;
		in.p += n;
		in.n -= n;
	}
	return true;
}

struct tn_slice
tn_net_bytes_front(const struct tn_net_bytes *b)
{
	const struct tn_net_chunk *c = b->head;

	if (c == NULL)
		return (struct tn_slice){ NULL, 0 };
	return (struct tn_slice){ c->p + c->from, c->n - c->from };
}

int
tn_net_bytes_iov(const struct tn_net_bytes *b, struct iovec *iov, int max)
{
	struct tn_net_chunk *c;
	int count = 0;

	for (c = b->head; c != NULL && count < max; c = c->next) {
		iov[count].iov_base = c->p + c->from;
		iov[count].iov_len = c->n - c->from;
		count++;
	}
	return count;
}

void
tn_net_bytes_drop(struct tn_net_bytes *b, size_t n)
{
	tn_assert(n <= b->n);
	b->n -= n;
	while (b->head != NULL) {
		struct tn_net_chunk *c = b->head;
		size_t here = c->n - c->from;

		if (n < here) {
			c->from += (uint32_t)n;
			return;
		}
		n -= here;
		b->head = c->next;
		chunk_free(c);
	}
	b->tail = NULL;
	tn_assert(b->n == 0);
}

void
tn_net_bytes_fini(struct tn_net_bytes *b)
{
	tn_net_bytes_drop(b, b->n);
}

/* ring: what a session's client has had committed to a stream and may send
 * again, because the PUBACK or PUBREC was lost with the connection or with
 * this process. Streams with a primary key need none of it: a repeated row is
 * a duplicate there.
 *
 * A ring holds the last packet identifiers of one session and route, each
 * with a hash of topic and payload. As many as the client may have in flight
 * suffice: what it sent before those it has seen acknowledged. The ring is
 * written as a note in the very commit of the messages (ingest's memo), so
 * that both are there or neither. A message is the same when DUP is set and
 * identifier and hash are in the ring; an identifier that is used anew comes
 * without DUP.
 *
 * Note: key "m:<stream>:<hash of the filter>:<session>", value: count, then identifier and hash of
 * each, oldest first (varint, u32). */
#include "mqtt/mqtt_int.h"

static void
write_key(const struct ring *r, struct tn_buf *key)
{
	const char *filter = tn_ingest_route_topic(r->route)->filter;

	tn_buf_printf(key, "m:%u:%llx:%llu",
	    (unsigned)tn_ingest_route_stream(r->route),
	    (unsigned long long)tn_hash64(filter, strlen(filter), 0),
	    (unsigned long long)r->session->number);
}

/* Oldest first. */
static uint32_t
place(const struct ring *r, uint32_t i)
{
	return r->count < r->cap ? i : (r->at + i) % r->cap;
}

static void
write_memo(struct tn_ingest_memo *memo, struct tn_buf *key,
    struct tn_buf *value)
{
	struct ring *r = (struct ring *)memo;

	tn_assert(r->session != NULL);
	write_key(r, key);
	tn_buf_varint(value, r->count);
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t at = place(r, i);
		tn_buf_varint(value, r->packets[at]);
		tn_buf_varint(value, r->hashes[at]);
	}
}

static void
grow(struct ring *r, uint32_t cap)
{
	uint16_t *packets = tn_alloc(cap * sizeof *packets);
	uint32_t *hashes = tn_alloc(cap * sizeof *hashes);

	for (uint32_t i = 0; i < r->count; i++) {
		packets[i] = r->packets[place(r, i)];
		hashes[i] = r->hashes[place(r, i)];
	}
	tn_free(r->packets);
	tn_free(r->hashes);
	r->packets = packets;
	r->hashes = hashes;
	r->cap = cap;
	r->at = 0;
}

/* ${cap}: how many the client may have in flight. */
static void
add(struct ring *r, uint32_t most, uint16_t id, uint32_t hash)
{
	uint32_t at;

	if (r->count == r->cap && r->cap < most)
		grow(r, r->cap == 0 ? 4 : r->cap * 2 < most ? r->cap * 2 :
		    most);
	at = r->count < r->cap ? r->count++ : r->at++;
	if (r->at == r->cap)
		r->at = 0;
	r->packets[at] = id;
	r->hashes[at] = hash;
}

/* What the log remembers from before the restart. A read of some bytes that
 * are most likely in memory, once a session and stream. */
static void
load(struct ring *r)
{
	const struct tn_mqtt *m = r->session->m;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_buf key = { 0 };
	struct tn_slice value;
	struct tn_cursor c;
	uint64_t n;

	write_key(r, &key);
	if (tn_ingest_memo_get(m->o.ingest, (struct tn_slice){ key.p, key.n },
	    a, &value) == TN_OK) {
		c = (struct tn_cursor){ value.p, value.p + value.n, false };
		n = tn_cursor_varint(&c);
		while (n-- > 0 && !c.failed) {
			uint16_t id = (uint16_t)tn_cursor_varint(&c);
			uint32_t hash = (uint32_t)tn_cursor_varint(&c);
			if (!c.failed)
				add(r, m->o.inflight_max, id, hash);
		}
	}
	tn_buf_fini(&key);
	tn_arena_free(a);
}

static struct ring *
ring_of(struct session *s, struct tn_ingest_route *route)
{
	struct ring *r = s->rings;

	while (r != NULL && r->route != route)
		r = r->next;
	if (r != NULL)
		return r;
	r = tn_zalloc(sizeof *r);
	r->memo.write = write_memo;
	r->session = s;
	r->route = route;
	r->next = s->rings;
	s->rings = r;
	if (s->restored)
		load(r);
	return r;
}

bool
tn_mqtt_ring_has(struct session *s, struct tn_ingest_route *route,
    uint16_t id, uint32_t hash)
{
	const struct ring *r = ring_of(s, route);

	for (uint32_t i = 0; i < r->count; i++)
		if (r->packets[i] == id && r->hashes[i] == hash)
			return true;
	return false;
}

bool
tn_mqtt_ring_ascends(struct session *s, struct tn_ingest_route *route)
{
	const struct ring *r = ring_of(s, route);
	uint32_t falls = 0;

	for (uint32_t i = 1; i < r->count; i++)
		falls += r->packets[place(r, i)] <= r->packets[place(r,
		    i - 1)];
	return r->count > 1 && falls <= 1;      /* One: past 65535. */
}

struct tn_ingest_memo *
tn_mqtt_ring_add(struct session *s, struct tn_ingest_route *route,
    uint16_t id, uint32_t hash)
{
	struct ring *r = ring_of(s, route);

	add(r, s->m->o.inflight_max, id, hash);
	return &r->memo;
}

/* The commit failed: what comes again is to be taken. Places keep their order,
 * so the identifier is spoilt. */
void
tn_mqtt_ring_drop(struct session *s, struct tn_ingest_route *route,
    uint16_t id, uint32_t hash)
{
	struct ring *r = s->rings;

	while (r != NULL && r->route != route)
		r = r->next;
	for (uint32_t i = 0; r != NULL && i < r->count; i++)
		if (r->packets[i] == id && r->hashes[i] == hash)
			r->packets[i] = 0;      /* No packet has it. */
}

void
tn_mqtt_rings_free(struct session *s)
{
	while (s->rings != NULL) {
		struct ring *r = s->rings;
		s->rings = r->next;
		if (r->memo.listed)
			tn_ingest_messages_send(s->m->o.ingest);
		tn_assert(!r->memo.listed);
		tn_free(r->packets);
		tn_free(r->hashes);
		tn_free(r);
	}
}

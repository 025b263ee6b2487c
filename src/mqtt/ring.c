/* ring: what a session's client has had committed to a stream and may send
 * again, because the PUBACK or PUBREC was lost with the connection or with
 * this process. Streams with a primary key need none of it: a repeated row is
 * a duplicate there.
 *
 * A ring holds the last packet identifiers of one session and route, each
 * with a hash of topic and payload. As many as the client may have in flight
 * suffice: what it sent before those it has seen acknowledged. The ring is
 * written as a note in the very commit of the messages (ingest's memo), so
 * that both are there or neither.
 *
 * A message is the same as the newest entry of its identifier, and of no
 * older one (whoever uses an identifier again has had its ack), when topic and
 * payload are equal and
 *
 *   QoS 2  the identifier is still in use: there was no PUBREL. Each message
 *          has a number (take); a PUBREL writes its number to the store
 *          (session->released), so that an entry with a higher one is open.
 *          It says nothing whether DUP is set.
 *   QoS 1  DUP is set; or the client may not have seen its ack (unseen), it
 *          is among the first messages of a connection (conn->resends) and
 *          before any new one for this ring, and entries are met in their
 *          order, as clients resend in the order of sending.
 *
 * The latter is for clients that forget DUP. By the standard what comes
 * without it is new, and to lose it would be worse than to have it twice. So
 * no more is unseen than must be: when a connection ends, the system knows how
 * many bytes the other side's has acknowledged, hence which acks are there
 * (tn_mqtt_conn_unseen; acks leave in the order of entries). A kill leaves no
 * time for that: the note says how many were unseen when it was written, and
 * there are none behind its commit.
 *
 * What another broker sends over a bridge may be a repetition of either QoS
 * that it does not know of: it may have forgotten in a crash what it sent,
 * even that it was acknowledged or released. So QoS 2 of a bridge has the rule
 * of QoS 1, too, and an entry that was seen may come again when no other one
 * has its topic and payload: those of a sensor that says the same again and
 * again are more likely new ones.
 *
 * Note: key "m:<stream>:<hash of the filter>:<session>", value: count, then of
 * each, oldest first: identifier (with QoS 2: + 65536), hash, and with QoS 2
 * its number less that of the one before (varint, u32, varint); then how many
 * of the newest are unseen. */
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

#define OF_QOS_2 0x10000u

/* Oldest first. */
static uint32_t
place(const struct ring *r, uint32_t i)
{
	return r->count < r->cap ? i : (r->at + i) % r->cap;
}

static struct taken
item(const struct ring *r, uint32_t i)
{
	uint32_t at = place(r, i);

	return (struct taken){ r->takes == NULL ? 0 : r->takes[at],
	    r->hashes[at], r->acks[at], r->packets[at] };
}

/* ---- what the client has seen ---------------------------------------- */

/* With the first look of a connection: it has sent nothing of the ring yet. */
static void
begin(struct ring *r)
{
	if (r->opened == r->session->opened)
		return;
	r->opened = r->session->opened;
	r->before = r->total;
	r->next_again = 0;
	for (uint32_t i = 0; i < r->count; i++)
		r->acks[i] = 0;
}

/* What was not seen over an earlier connection, and did not come again over
 * this one either, was seen after all once resends are over. */
static void
settle(struct ring *r, const struct conn *c)
{
	const uint64_t first = r->total - r->count;
	uint64_t unseen;

	begin(r);
	if (r->unseen < first)
		r->unseen = first;
	if (c == NULL || r->unseen == r->total)
		return;
	unseen = tn_mqtt_conn_unseen(c) + 1;
	for (; r->unseen < r->total; r->unseen++) {
		const uint64_t ack = r->acks[place(r,
		    (uint32_t)(r->unseen - first))];
		if (ack == 0 ? c->resends > 0 && r->unseen >= r->next_again :
		    ack >= unseen)
			return;
	}
}

uint32_t
tn_mqtt_rings_settle(struct session *s, const struct conn *c)
{
	/* Of rings that are only in the log so far. */
	uint64_t most = s->restored && c->resends > 0 ? s->unseen : 0;

	for (struct ring *r = s->rings; r != NULL; r = r->next) {
		settle(r, c);
		if (c->goodbye)
			r->unseen = r->total;
		if (r->total - r->unseen > most)
			most = r->total - r->unseen;
	}
	return c->goodbye ? 0 : (uint32_t)most;
}

/* ---- the note -------------------------------------------------------- */

static void
write_memo(struct tn_ingest_memo *memo, struct tn_buf *key,
    struct tn_buf *value)
{
	struct ring *r = (struct ring *)memo;
	uint64_t before = 0;

	tn_assert(r->session != NULL);
	settle(r, r->session->conn);
	write_key(r, key);
	tn_buf_varint(value, r->count);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct taken t = item(r, i);
		tn_buf_varint(value, t.packet | (t.take != 0 ? OF_QOS_2 : 0));
		tn_buf_varint(value, t.hash);
		if (t.take == 0)
			continue;
		tn_buf_varint(value, t.take - before);
		before = t.take;
	}
	tn_buf_varint(value, r->total - r->unseen);
}

static void
set(struct ring *r, uint32_t at, const struct taken *t)
{
	r->packets[at] = t->packet;
	r->hashes[at] = t->hash;
	r->acks[at] = t->ack;
	if (r->takes != NULL)
		r->takes[at] = t->take;
}

static void
free_items(struct ring *r)
{
	tn_free(r->packets);
	tn_free(r->hashes);
	tn_free(r->acks);
	tn_free(r->takes);
}

static void
grow(struct ring *r, uint32_t cap)
{
	struct ring old = *r;

	r->packets = tn_alloc(cap * sizeof *r->packets);
	r->hashes = tn_alloc(cap * sizeof *r->hashes);
	r->acks = tn_alloc(cap * sizeof *r->acks);
	if (old.takes != NULL)
		r->takes = tn_alloc(cap * sizeof *r->takes);
	for (uint32_t i = 0; i < r->count; i++) {
		struct taken t = item(&old, i);
		set(r, i, &t);
	}
	free_items(&old);
	r->cap = cap;
	r->at = 0;
}

/* ${most}: how many the client may have in flight. */
static void
add(struct ring *r, uint32_t most, const struct taken *t)
{
	if (r->count == r->cap && r->cap < most)
		grow(r, r->cap == 0 ? 4 : r->cap * 2 < most ? r->cap * 2 :
		    most);
	if (t->take != 0 && r->takes == NULL)
		r->takes = tn_zalloc(r->cap * sizeof *r->takes);
	set(r, r->count < r->cap ? r->count++ : r->at++, t);
	if (r->at == r->cap)
		r->at = 0;
	r->total++;
}

static bool
read_item(struct tn_cursor *c, uint64_t *before, struct taken *t)
{
	uint64_t packet = tn_cursor_varint(c);

	t->packet = (uint16_t)packet;
	t->hash = (uint32_t)tn_cursor_varint(c);
	t->take = 0;
	t->ack = 0;
	if ((packet & OF_QOS_2) != 0)
		t->take = *before += tn_cursor_varint(c);
	return !c->failed;
}

/* What the log remembers from before the restart. A read of some bytes that
 * are most likely in memory, once a session and stream. */
static void
load(struct ring *r)
{
	struct tn_mqtt *m = r->session->m;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_buf key = { 0 };
	struct tn_slice value;
	struct tn_cursor c;
	struct taken t;
	uint64_t n, before = 0;

	write_key(r, &key);
	if (tn_ingest_memo_get(m->o.ingest, (struct tn_slice){ key.p, key.n },
	    a, &value) == TN_OK) {
		c = (struct tn_cursor){ value.p, value.p + value.n, false };
		n = tn_cursor_varint(&c);
		while (n-- > 0 && read_item(&c, &before, &t)) {
			add(r, m->o.inflight_max, &t);
			/* A number is not given twice. */
			if (t.take >= m->next_take && t.take < UINT64_MAX)
				m->next_take = t.take + 1;
		}
		/* One of an earlier version ends here: all may be. */
		n = c.p < c.end ? tn_cursor_varint(&c) : r->count;
		n = n < r->session->unseen ? n : r->session->unseen;
		r->unseen = r->total - (n < r->count ? n : r->count);
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

/* The newest entry of the identifier, and its number in order of adding. */
static bool
newest(const struct ring *r, uint16_t packet, struct taken *t,
    uint64_t *number)
{
	for (uint32_t i = r->count; i > 0; i--) {
		if (r->packets[place(r, i - 1)] != packet)
			continue;
		*t = item(r, i - 1);
		*number = r->total - r->count + i - 1;
		return true;
	}
	return false;
}

/* Does no other entry have its topic and payload? */
static bool
is_single(const struct ring *r, uint32_t hash)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->count; i++)
		n += r->hashes[i] == hash && r->packets[i] != 0;
	return n == 1;
}

/* Is it the next of what the client sends again without saying so? */
static bool
in_order(struct ring *r, const struct sent *x, uint64_t number)
{
	if (*x->resends == 0)
		return false;
	/* This very connection has used the identifier: no resends any more. */
	if (number >= r->before) {
		*x->resends = 0;
		return false;
	}
	return number >= r->next_again && (number >= r->unseen ||
	    (x->bridge && is_single(r, x->hash)));
}

/* It came again: its ack is another one now. */
static void
repeat(struct ring *r, const struct sent *x, uint64_t number)
{
	r->next_again = number + 1;
	r->acks[place(r, (uint32_t)(number - (r->total - r->count)))] = x->ack;
}

/* Nearly all that comes can not be there. */
static bool
may_have(const struct session *s, const struct sent *x)
{
	if (x->qos == 2)
		return s->restored || s->doubt || *x->resends > 0;
	return x->dup || *x->resends > 0;
}

uint64_t
tn_mqtt_ring_has(struct session *s, struct tn_ingest_route *route,
    const struct sent *x)
{
	struct ring *r = ring_of(s, route);
	struct taken t;
	uint64_t number = 0;
	bool same;

	begin(r);
	if (!may_have(s, x) || !newest(r, x->packet, &t, &number))
		return 0;
	same = t.hash == x->hash && (t.take != 0) == (x->qos == 2);
	if (x->qos == 2 && same && t.take > s->released)
		return t.take;
	if (x->qos == 1 && same && x->dup) {
		repeat(r, x, number);
		return 1;
	}
	if ((x->qos == 2 && !x->bridge) || !in_order(r, x, number) || !same)
		return 0;
	repeat(r, x, number);
	return t.take != 0 ? t.take : 1;
}

struct tn_ingest_memo *
tn_mqtt_ring_add(struct session *s, struct tn_ingest_route *route,
    const struct taken *t)
{
	struct ring *r = ring_of(s, route);

	add(r, s->m->o.inflight_max, t);
	/* What comes again comes before anything new. */
	r->next_again = r->before;
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
		free_items(r);
		tn_free(r);
	}
}

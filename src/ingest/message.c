/* message: the intake of a broker's messages, a row or a few each. They need
 * no body of their own: those of one route travel together and are one block.
 *
 *   loop      message: payload into the route's open batch
 *             end of a turn, or a chunk's worth: batch to writer or decoder
 *   decoder   of large batches: rows of each message, gate, pack (decode.c)
 *   writer    small batches: those of a route that came during the sync before
 *             are joined and decoded as one block
 *             one commit with what else there is, memos as notes (write.c)
 *   loop      done() of each message, in order
 *
 * The writer never waits for the loop then: when a sync ends, what came
 * meanwhile is already with it (but see waits_for_more). A burst has the first
 * part of it synced while the rest is decoded. A small batch behind a large one
 * stays open over turns until that one is back: it must not overtake it, and a
 * block for each handful of messages costs more than the messages.
 *
 * A route always uses the same decoder, and goes past it only when nothing is
 * with it, so its messages are committed in the order of giving. A route that
 * was freed calls nobody any more; batches on their way keep it alive. */
#include "ingest/ingest_int.h"

#include <string.h>

#include "os/os.h"

enum {
	SIBLINGS = 32,  /* So many clients at least wait for each other. */
};

struct tn_ingest_route *
tn_ingest_route_new(struct tn_ingest *g, uint32_t stream,
    const char *pattern)
{
	struct tn_ingest_route *r = tn_zalloc(sizeof *r);
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	tn_assert(stream < g->o.model->stream_count);
	r->g = g;
	r->refs = 1;
	r->epoch = 1;
	r->stream = stream;
	r->decoder = stream % g->decoder_count;
	tn_codec_spec_init(&r->spec, TN_CODEC_MESSAGE);
	st = tn_codec_spec_message(&r->spec, tn_slice_of(pattern), &d);
	tn_assert(st == TN_OK);         /* sql has parsed it. */
	r->next = g->routes;
	g->routes = r;
	return r;
}

const struct tn_codec_topic *
tn_ingest_route_topic(const struct tn_ingest_route *r)
{
	return r->spec.topic;
}

uint32_t
tn_ingest_route_stream(const struct tn_ingest_route *r)
{
	return r->stream;
}

static void
unref_route(struct tn_ingest_route *r)
{
	if (--r->refs > 0)
		return;
	tn_codec_spec_fini(&r->spec);
	tn_free(r);
}

static void
free_batch(struct message_batch *b)
{
	unref_route(b->route);
	tn_buf_fini(&b->bytes);
	tn_buf_fini(&b->note_bytes);
	tn_free(b->messages);
	tn_free(b->memos);
	tn_free(b->note_at);
	tn_free(b);
}

void
tn_ingest_route_free(struct tn_ingest_route *r)
{
	struct tn_ingest_route **at = &r->g->routes;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->dead = true;
	if (r->open != NULL) {
		for (uint32_t i = 0; i < r->open->memo_count; i++)
			r->open->memos[i]->listed = false;
		free_batch(r->open);
		r->open = NULL;
	}
	unref_route(r);
}

/* ---- gathering ------------------------------------------------------- */

static struct message_batch *
open_batch(struct tn_ingest_route *r)
{
	struct message_batch *b = r->open;

	if (b != NULL)
		return b;
	b = tn_zalloc(sizeof *b);
	b->route = r;
	b->bytes.max = SIZE_MAX;
	b->note_bytes.max = SIZE_MAX;
	r->refs++;
	r->open = b;
	return b;
}

static struct given *
add_given(struct message_batch *b)
{
	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 16 : b->cap * 2;
		b->messages = tn_realloc(b->messages,
		    b->cap * sizeof *b->messages);
	}
	return &b->messages[b->count++];
}

static void
list_memo(struct message_batch *b, struct tn_ingest_memo *m)
{
	if (m == NULL || m->listed)
		return;
	if (b->memo_count == b->memo_cap) {
		b->memo_cap = b->memo_cap == 0 ? 16 : b->memo_cap * 2;
		b->memos = tn_realloc(b->memos,
		    b->memo_cap * sizeof *b->memos);
	}
	b->memos[b->memo_count++] = m;
	m->listed = true;
}

static uint8_t *
put(uint8_t *to, struct tn_slice s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* All of it or, when memory is out, nothing of the batch. */
static void
put_message(struct tn_buf *out, const struct tn_ingest_message *m)
{
	size_t n = m->client.n + m->topic.n + m->payload.n;
	uint8_t *to = tn_buf_reserve(out, n);

	if (to == NULL)
		return;
	(void)put(put(put(to, m->client), m->topic), m->payload);
	out->n += n;
}

/* Memos become bytes now: their owners may change or go afterwards. */
static void
write_memos(struct message_batch *b)
{
	b->note_at = tn_alloc((b->memo_count + 1) * 2 * sizeof *b->note_at);
	for (uint32_t i = 0; i < b->memo_count; i++) {
		struct tn_buf value = { .max = SIZE_MAX };
		b->note_at[2 * i] = b->note_bytes.n;
		b->memos[i]->write(b->memos[i], &b->note_bytes, &value);
		b->note_at[2 * i + 1] = b->note_bytes.n;
		tn_buf_add(&b->note_bytes, value.p, value.n);
		b->memos[i]->listed = false;
		tn_buf_fini(&value);
	}
	b->note_at[2 * b->memo_count] = b->note_bytes.n;
}

static void
send_batch(struct tn_ingest_route *r)
{
	struct message_batch *b = r->open;
	struct tn_ingest *g = r->g;

	r->open = NULL;
	tn_assert(tn_net_on_loop());
	tn_os_crash_point("mqtt_messages_sent");
	write_memos(b);
	b->epoch = r->epoch;
	tn_ingest_more(g, b->bytes.n);
	r->on_way++;
	r->alone += b->alone;
	/* Not past one that is with the decoder. What waited for others is no
	 * burst, but for a last one that is large. */
	b->direct = r->decoding == 0 && b->bytes.n < (b->waits ? 2 : 1) *
	    (size_t)TN_INGEST_DIRECT;
	r->decoding += !b->direct;
	r->sent += b->direct;
	b->job.run = b->direct ? tn_ingest_write_messages :
	    tn_ingest_run_messages;
	if (!tn_net_actor_post_internal(b->direct ? g->writer :
	    g->decoders[r->decoder], &b->job))
		tn_assert(!"the loop stops before the decoders");
}

void
tn_ingest_messages_send(struct tn_ingest *g)
{
	for (struct tn_ingest_route *r = g->routes; r != NULL; r = r->next)
		if (r->open != NULL && !g->stopping)
			send_batch(r);
}

/* Clients that each wait for their answer come back together after a commit.
 * A commit of the few that come early costs as much as one of all, and the
 * others wait for it: a round of fifty would be two or three commits, for
 * ever. So the few wait until those in the commit under way are back, and a
 * turn more: the answers leave at its end, and from near clients most of the
 * next messages are there before the last answer has left. Not behind one that
 * waits for the writer: they join it. Nor in a small company, nor with clients
 * that send on without an answer: these are with the next commit anyway. */
static bool
waits_for_more(const struct tn_ingest_route *r)
{
	const struct message_batch *b = r->open;
	const uint32_t others = r->alone + r->told;

	if (r->decoding > 0)
		return b->bytes.n < TN_INGEST_DIRECT;
	if (b->alone + others < SIBLINGS || b->alone >= 2 * others ||
	    b->alone < b->count - b->count / 4 ||
	    r->sent != __atomic_load_n(&r->begun, __ATOMIC_RELAXED))
		return false;
	if (r->alone == 0)
		tn_net_loop_awake(r->g->o.loop);
	return true;
}

void
tn_ingest_messages_turn(struct tn_ingest *g)
{
	for (struct tn_ingest_route *r = g->routes; r != NULL; r = r->next) {
		if (r->open != NULL && !r->broken && !g->stopping) {
			bool waits = waits_for_more(r);

			r->open->waits = waits && r->decoding == 0;
			if (!waits)
				send_batch(r);
		}
		r->told = 0;
	}
}

void
tn_ingest_message(struct tn_ingest *g, const struct tn_ingest_message *m)
{
	struct tn_ingest_route *r = m->route;
	struct message_batch *b = open_batch(r);

	tn_assert(tn_net_on_loop() && r->g == g && !r->dead);
	*add_given(b) = (struct given){ .client_n = (uint32_t)m->client.n,
	    .topic_n = (uint32_t)m->topic.n,
	    .payload_n = (uint32_t)m->payload.n, .done = m->done,
	    .arg = m->arg };
	b->alone += m->alone;
	put_message(&b->bytes, m);
	list_memo(b, m->memo);
	if (!r->broken && (b->bytes.n >= (r->decoding == 0 ? TN_INGEST_DIRECT :
	    TN_INGEST_SMALL) || b->bytes.failed))
		send_batch(r);
}

enum tn_status
tn_ingest_memo_get(struct tn_ingest *g, struct tn_slice key,
    struct tn_arena *a, struct tn_slice *value)
{
	return tn_log_note_get(g->o.log, key, tn_os_wall_us(), a, value);
}

bool
tn_ingest_messages_join(struct message_batch *b)
{
	struct message_batch *first = b->route->waits, **end;
	size_t bytes = b->bytes.n;

	b->route->waits = b;
	if (first == NULL || first->epoch != b->epoch)
		return false;
	for (end = &first->joined; *end != NULL; end = &(*end)->joined)
		bytes += (*end)->bytes.n;
	if (bytes + first->bytes.n > TN_INGEST_SMALL)
		return false;
	*end = b;
	b->route->waits = first;
	return true;
}

bool
tn_ingest_messages_late(struct chunk *c)
{
	struct message_batch *b = c->messages;
	struct tn_ingest_route *r;

	if (b == NULL)
		return false;
	r = b->route;
	if (b->status != TN_OK) {       /* The decoder had no memory. */
		r->failed = b->epoch;
		r->failed_status = b->status;
		r->failed_why = b->why;
	} else if (b->epoch == r->failed) {
		b->status = r->failed_status;
		b->why = r->failed_why;
	}
	return b->status != TN_OK;
}

/* ---- the way back ---------------------------------------------------- */

static void
count_marks(const struct chunk *c, const struct given *x,
    struct tn_ingest_outcome *o)
{
	const struct tn_governance_rows *r = c->rows;
	uint32_t by_mark[3] = { 0 };

	for (uint32_t i = 0; r != NULL && i < x->count; i++)
		by_mark[r->marks[x->first + i]]++;
	o->accepted = by_mark[TN_MARK_ACCEPTED];
	o->quarantined = by_mark[TN_MARK_QUARANTINED];
	o->duplicates = by_mark[TN_MARK_DUPLICATE];
}

/* Reasons are in order of rows, and so are the messages: *at only moves on. */
static const char *
find_reason(const struct chunk *c, const struct given *x, uint32_t *at)
{
	const struct tn_governance_rows *r = c->rows;

	if (r == NULL)
		return NULL;
	while (*at < r->reason_count && r->reasons[*at].row < x->first)
		++*at;
	return *at < r->reason_count &&
	    r->reasons[*at].row < x->first + x->count ?
	    r->reasons[*at].message : NULL;
}

static void
tell_batch(const struct chunk *c, const struct message_batch *b,
    int64_t now_us, uint32_t *at)
{
	const struct message_batch *first = c->messages;

	for (uint32_t i = 0; i < b->count && !b->route->dead; i++) {
		const struct given *x = &b->messages[i];
		struct tn_ingest_outcome o = { .status = first->status,
		    .why = first->why, .now_us = now_us };
		if (o.status == TN_OK) {
			count_marks(c, x, &o);
			o.reason = o.quarantined > 0 ?
			    find_reason(c, x, at) : NULL;
		}
		x->done(x->arg, &o);
	}
}

void
tn_ingest_messages_done(struct chunk *c)
{
	struct message_batch *b = c->messages, *next;
	struct tn_ingest_route *r = b->route;
	int64_t now_us = tn_os_wall_us();
	uint32_t at = 0;

	tn_os_crash_point("mqtt_messages_done");
	if (b->status != TN_OK)
		r->broken = true;
	for (; b != NULL; b = b->joined) {
		r->on_way--;
		r->alone -= b->alone;
		r->told += b->alone;
		r->decoding -= !b->direct;
		tell_batch(c, b, now_us, &at);
	}
	/* Now that all have told their owners, memos are right again. */
	if (r->broken && r->on_way == 0) {
		r->broken = false;
		r->epoch++;
	}
	for (b = c->messages; b != NULL; b = next) {
		next = b->joined;
		free_batch(b);
	}
	c->messages = NULL;
}

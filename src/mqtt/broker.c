/* broker: what happens to a published message.
 *
 *   publish --> streams that map the topic (ingest; committed and synced)
 *           --> retained, subscribers' queues (store; synced)
 *           --> then it may be sent to subscribers, and acknowledged
 *
 * QoS 0 asks for none of this: it is given to streams and sent at once. Where
 * nobody subscribes and nothing is retained no message is made: the stream
 * has the bytes, and what is left of the publish is its place among the acks.
 * Without a stream, a retain flag and a kept session among the receivers
 * there is nothing to wait for, and the ack leaves with the same turn.
 *
 *   struct work   a publish on its way: counts what it waits for, holds the
 *                 queue entries it made and its place in the order of acks
 *
 *   steps: STREAMS -> (all committed) -> ROUTED -> (synced) -> done
 *
 * Subscribers get a message after the streams have it, so that nobody sees
 * what a crash then takes back; one topic goes the same way each time, so its
 * order holds. A message that is no event for its stream (it takes a retained
 * one away) waits behind those that are.
 *
 * What can go wrong: ingest is full (the packet waits, its connection is not
 * read); the log has failed or has no room (no ack: 5.0 is told 0x97 or the
 * connection ends, so that the client keeps the message). */
#include "mqtt/mqtt_int.h"

#include <stdio.h>

#include "os/os.h"

/* A stream's share of a publish. Those of one route are committed in the order
 * of giving, so whoever follows the newest follows all. */
struct part {
	struct work *work;
	struct route *route;
	uint32_t hash;               /* In the ring, with has_memo. */
	bool has_memo;
	struct work *follower;       /* Waits for this part; next by chain. */
};
struct work {
	struct tn_mqtt *m;
	struct conn *conn;           /* Counted; NULL: nobody's packet. */
	struct session *session;     /* Counted; it may have ended. */
	uint64_t ack;                /* Number of its ack, with has_ack. */
	bool has_ack;
	uint8_t qos;
	uint16_t packet;
	struct message *message;     /* NULL: only for streams. */
	uint32_t waits;              /* Streams, then the sync; and one. */
	bool routed;
	bool taken;                  /* By a stream or a subscriber. */
	enum tn_status status;
	char *why;                   /* Of quarantine or failure. */
	struct out **outs;           /* Held. */
	uint32_t out_count, out_cap;
	struct part *parts, one;     /* Of streams; &one when one is enough. */
	struct work *next_follower;  /* Of a part of another one. */
	struct work *next_spare;
};
/* The PUBLISH or message at hand; borrowed. */
struct fresh {
	struct tn_slice topic, payload;
	bool retain, dup;
};

#define SPARE_MAX 65536          /* Works kept for the next ones. */
#define SAY_EVERY_US (INT64_C(60) * 1000000)

/* ---- routing --------------------------------------------------------- */

static void
hold(struct work *w, struct out *o)
{
	if (w->out_count == w->out_cap) {
		w->out_cap = w->out_cap == 0 ? 4 : w->out_cap * 2;
		w->outs = tn_realloc(w->outs, w->out_cap * sizeof *w->outs);
	}
	w->outs[w->out_count++] = o;
}

/* No-local ones out of the list; the codec keeps them from shared ones. */
static uint32_t
without_local(struct tn_mqtt *m, struct subscription *const **subs,
    uint32_t count)
{
	struct subscription **kept = tn_arena_alloc(m->arena,
	    count * sizeof(struct subscription *));
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!(*subs)[i]->no_local)
			kept[n++] = (*subs)[i];
	*subs = kept;
	return n;
}

static void
give(void *arg, struct session *s, struct subscription *const *subs,
    uint32_t count)
{
	struct work *w = arg;
	struct delivery d = { .message = w->message };
	struct out *o;

	if (w->message->from == s->hash)
		count = without_local(w->m, &subs, count);
	d.count = count;
	d.subs = subs;
	if (d.count == 0)
		return;
	w->taken = true;
	o = tn_mqtt_session_give(s, &d);
	if (o != NULL)
		hold(w, o);
}

static bool
must_sync(const struct work *w)
{
	for (uint32_t i = 0; i < w->out_count; i++)
		if (w->outs[i]->session != NULL && w->outs[i]->session->kept)
			return true;
	return false;
}

static bool
retain(struct work *w)
{
	struct tn_mqtt *m = w->m;

	if (!w->message->retain)
		return false;
	/* QoS 0: nobody asks for more. The others are refused by now. */
	if (w->conn != NULL && w->qos == 0 && tn_mqtt_store_waits(m->store)) {
		tn_counter_add(m->dropped, 1);
		return false;
	}
	if (tn_mqtt_retained_put(m->retained, w->message) != TN_OK) {
		struct message none = *w->message;
		tn_counter_add(m->dropped, 1);
		if (w->why == NULL)
			w->why = tn_strdup("not retained: over "
			    "mqtt_retained_max or mqtt_retained_bytes");
		none.payload.n = 0;
		tn_mqtt_keep_retained(m, &none);
		return true;
	}
	if (w->message->derived)
		return false;
	tn_mqtt_keep_retained(m, w->message);
	return true;
}

/* ---- acknowledging --------------------------------------------------- */

static uint8_t
reason_of(const struct work *w)
{
	/* A bridge is a client: it has no word for it. */
	return w->taken || w->conn->out != NULL ||
	    (w->message != NULL && w->message->retain) ?
	    TN_MQTT_SUCCESS : TN_MQTT_NO_MATCHING_SUBSCRIBERS;
}

/* A client forgets a message whose ack says no, and 3.1.1 cannot even be told:
 * where nothing was taken, hang up, so that it comes again. */
static void
acknowledge(struct work *w)
{
	if (w->status == TN_OK) {
		if (w->has_ack)
			tn_mqtt_conn_ack_end(w->conn, w->ack, reason_of(w),
			    w->why);
		return;
	}
	if (w->session != NULL)
		w->session->doubt = true;
	if (w->qos == 2 && w->session != NULL)
		(void)tn_mqtt_session_release(w->session, w->packet);
	if (w->has_ack)
		tn_mqtt_conn_end(w->conn, tn_mqtt_reason_of(w->status));
}

uint8_t
tn_mqtt_reason_of(enum tn_status st)
{
	return st == TN_ENOSPC ? TN_MQTT_QUOTA_EXCEEDED :
	    TN_MQTT_IMPLEMENTATION_ERROR;
}

static void
work_free(struct work *w)
{
	struct tn_mqtt *m = w->m;

	if (m->spare_count == SPARE_MAX) {
		tn_free(w);
		return;
	}
	w->next_spare = m->spare;
	m->spare = w;
	m->spare_count++;
}

void
tn_mqtt_works_trim(struct tn_mqtt *m)
{
	m->spare_count -= m->spare_idle;
	for (; m->spare_idle > 0; m->spare_idle--) {
		struct work *w = m->spare;
		m->spare = w->next_spare;
		tn_free(w);
	}
	m->spare_idle = m->spare_count;
}

static void
work_end(struct work *w)
{
	tn_assert(w->waits == 0);
	/* What is not on disk comes again: nobody may have it before. */
	for (uint32_t i = 0; i < w->out_count; i++)
		if (w->status == TN_OK)
			tn_mqtt_session_let_go(w->outs[i]);
		else
			tn_mqtt_session_take_back(w->outs[i]);
	acknowledge(w);
	w->m->work--;
	tn_mqtt_message_unref(w->message);
	if (w->conn != NULL) {
		w->conn->works--;
		tn_mqtt_conn_unref(w->conn);
	}
	if (w->session != NULL)
		tn_mqtt_session_unref(w->session);
	if (w->parts != &w->one)
		tn_free(w->parts);
	tn_free(w->outs);
	tn_free(w->why);
	work_free(w);
}

/* ---- steps ----------------------------------------------------------- */

static void step(struct work *w);

static void
synced(void *arg, enum tn_status st)
{
	struct work *w = arg;

	tn_os_crash_point("mqtt_store_committed");
	if (st != TN_OK)
		w->status = st;
	w->waits--;
	step(w);
}

/* QoS 2: the identifier is kept with what the message became. */
static bool
keep_received(struct work *w)
{
	struct session *s = w->session;
	const struct received *x;

	if (w->qos != 2 || s == NULL || !s->kept)
		return false;
	x = tn_mqtt_session_received(s, w->packet);
	/* A client may have sent PUBREL too early: then nothing is open. */
	if (x == NULL)
		return false;
	tn_mqtt_keep_received(s, x);
	return true;
}

static void
route(struct work *w)
{
	bool sync = false;

	w->routed = true;
	if (w->status != TN_OK) {
		/* A client's comes again, and a row of a view. */
		if (w->conn == NULL && !w->message->derived)
			tn_mqtt_will_failed(w->m, w->message, w->status);
		else if (w->conn == NULL)
			tn_mqtt_row_routed(w->m, w->message, w->status);
		return;
	}
	if (w->message != NULL) {
		sync = retain(w);
		tn_mqtt_tree_match(w->m->tree, w->message->topic, give, w);
		/* In one commit with them. */
		if (w->message->will != 0)
			tn_mqtt_keep_will_less(w->m, w->message->will);
		if (w->message->derived != 0)
			tn_mqtt_row_routed(w->m, w->message, TN_OK);
	}
	sync = keep_received(w) || sync;
	if (!sync && !must_sync(w))
		return;
	w->waits++;
	/* Wills and rows of views have nobody who would send them again. */
	if (w->conn == NULL)
		tn_mqtt_store_sync_patient(w->m->store, synced, w);
	else
		tn_mqtt_store_sync(w->m->store, synced, w);
}

static void
step(struct work *w)
{
	if (w->waits == 0 && !w->routed)
		route(w);
	if (w->waits == 0)
		work_end(w);
}

/* ---- streams --------------------------------------------------------- */

/* A reason may quote the payload: only plain text may go into a reason string,
 * or the publisher would have to take it for malformed. */
static char *
plain(const char *reason)
{
	char text[300];

	(void)snprintf(text, sizeof text, "quarantined: %.250s", reason);
	for (char *p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return tn_strdup(text);
}

/* The work, and with it ${part}, may be gone after its step. */
static void
committed(void *arg, const struct tn_ingest_outcome *o)
{
	struct part *part = arg;
	struct work *w = part->work, *follower = part->follower, *next;

	tn_os_crash_point("mqtt_stream_committed");
	if (part->route->last == part)
		part->route->last = NULL;
	if (o->status != TN_OK)
		w->status = o->status;
	if (o->status != TN_OK && part->has_memo)
		tn_mqtt_ring_drop(w->session, part->route->ingest, w->packet,
		    part->hash);
	if (o->status == TN_OK && w->conn != NULL)
		tn_mqtt_saw(w->m->seen, w->conn, w->session,
		    tn_ingest_route_stream(part->route->ingest), o);
	if (o->reason != NULL && w->why == NULL)
		w->why = plain(o->reason);
	w->waits--;
	step(w);
	for (; follower != NULL; follower = next) {
		next = follower->next_follower;
		follower->waits--;
		step(follower);
	}
}

static uint32_t
hash_of(const struct fresh *f)
{
	return (uint32_t)tn_hash64(f->payload.p, f->payload.n,
	    tn_hash64(f->topic.p, f->topic.n, 0));
}

/* The highest of its parts: PUBREL is for all of them. */
static void
note_take(const struct work *w, uint64_t take)
{
	struct received *x = w->qos != 2 ? NULL :
	    tn_mqtt_session_received(w->session, w->packet);

	if (x != NULL && x->take < take)
		x->take = take;
}

/* What ring.c remembers, for a message that may come again. False: it came
 * before and is committed. */
static bool
look_back(struct part *part, const struct fresh *f,
    struct tn_ingest_memo **memo)
{
	struct work *w = part->work;
	const struct route *r = part->route;
	struct session *s = w->session;
	struct sent x;
	struct taken t;

	if (r->keyed || w->qos == 0 || s == NULL || !s->kept)
		return true;
	part->hash = hash_of(f);
	x = (struct sent){ .packet = w->packet, .qos = w->qos, .dup = f->dup,
	    .bridge = w->conn->out != NULL, .hash = part->hash,
	    .ack = w->ack + 1, .resends = &w->conn->resends };
	t = (struct taken){ .take = tn_mqtt_ring_has(s, r->ingest, &x),
	    .hash = part->hash, .ack = x.ack, .packet = w->packet };
	if (t.take != 0) {
		note_take(w, t.take);
		tn_mqtt_saw_again(s->m->seen, w->conn, s,
		    tn_ingest_route_stream(r->ingest));
		tn_counter_add(s->m->repeated, 1);
		if (w->why == NULL)
			w->why = tn_strdup("a repetition: the stream has it");
		return false;
	}
	if (w->qos == 2)
		t.take = s->m->next_take++;
	note_take(w, t.take);
	*memo = tn_mqtt_ring_add(s, r->ingest, &t);
	part->has_memo = true;
	return true;
}

static void
give_streams(struct work *w, struct route *const *routes, uint32_t count,
    const struct fresh *f)
{
	struct session *s = w->session;

	w->parts = count <= 1 ? &w->one : tn_zalloc(count *
	    sizeof *w->parts);
	for (uint32_t i = 0; i < count; i++) {
		struct part *part = &w->parts[i];
		struct tn_ingest_message x = {
			.route = routes[i]->ingest,
			.topic = f->topic, .payload = f->payload,
			.alone = w->has_ack && w->conn->unacked == 1,
			.done = committed, .arg = part };
		part->work = w;
		part->route = routes[i];
		w->taken = true;
		if (!look_back(part, f, &x.memo))
			continue;
		routes[i]->last = part;
		if (s != NULL)
			x.client = (struct tn_slice){ (uint8_t *)
			    s->client_id, s->client_id_bytes };
		w->waits++;
		tn_ingest_message(w->m->o.ingest, &x);
	}
}

/* Behind what the routes have on their way, of the last of them. Those before
 * it in another stream's queue are seldom: a topic has one stream. */
static void
follow(struct work *w, struct route *const *routes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct part *last = routes[i]->last;
		if (last == NULL)
			continue;
		w->next_follower = NULL;
		if (last->follower == NULL) {
			last->follower = w;
		} else {
			struct work *at = last->follower;
			while (at->next_follower != NULL)
				at = at->next_follower;
			at->next_follower = w;
		}
		w->waits++;
		return;
	}
}

/* Those of a stream are beside each other, in the order of its patterns. */
static bool
same_stream(const struct route *a, const struct route *b)
{
	return tn_ingest_route_stream(a->ingest) ==
	    tn_ingest_route_stream(b->ingest);
}

/* Of each stream the first route whose pattern takes the topic, in the arena: a
 * message is an event of a stream once, whatever its patterns share. */
static uint32_t
find_routes(struct tn_mqtt *m, struct tn_slice topic, struct route ***out)
{
	struct tn_slice values[TN_CODEC_CAPTURES_MAX];
	uint32_t n = 0;

	if (m->route_count == 0)
		return 0;
	*out = tn_arena_alloc(m->arena, m->route_count * sizeof **out);
	for (uint32_t i = 0; i < m->route_count; i++)
		if ((n == 0 || !same_stream((*out)[n - 1], &m->routes[i])) &&
		    tn_codec_topic_match(m->routes[i].topic, topic, values))
			(*out)[n++] = &m->routes[i];
	return n;
}

/* A client mostly sends to the topic it sent to before. */
static uint32_t
routes_of(struct conn *c, struct tn_slice topic, struct route ***out)
{
	struct last_topic *last = &c->last;

	if (c->m->route_count == 0)
		return 0;
	if (last->n == topic.n && last->n > 0 &&
	    memcmp(last->topic, topic.p, topic.n) == 0) {
		*out = last->routes;
		return last->count;
	}
	last->count = find_routes(c->m, topic, out);
	last->n = 0;
	if (last->count > TN_COUNT(last->routes) || topic.n > LAST_TOPIC_MAX)
		return last->count;
	if (last->topic == NULL)
		last->topic = tn_alloc(LAST_TOPIC_MAX);
	for (uint32_t i = 0; i < last->count; i++)
		last->routes[i] = (*out)[i];
	memcpy(last->topic, topic.p, topic.n);
	last->n = (uint32_t)topic.n;
	return last->count;
}

/* ---- a client's PUBLISH ---------------------------------------------- */

static struct work *
work_new(struct tn_mqtt *m, struct conn *c, struct message *msg)
{
	struct work *w = m->spare;

	if (w == NULL) {
		w = tn_alloc(sizeof *w);
	} else {
		m->spare = w->next_spare;
		m->spare_count--;
		if (m->spare_count < m->spare_idle)
			m->spare_idle = m->spare_count;
	}
	memset(w, 0, sizeof *w);
	w->m = m;
	w->message = msg;
	if (c != NULL) {
		w->conn = c;
		w->session = c->session;
		w->session->refs++;
		c->works++;
		tn_mqtt_conn_ref(c);
	}
	w->waits = 1;                   /* Ours, until all is begun. */
	m->work++;
	return w;
}

static void
begin(struct work *w, struct route *const *routes, uint32_t count,
    const struct fresh *f)
{
	/* An empty retained payload takes a message away: no event. */
	if (f->payload.n > 0 || !f->retain)
		give_streams(w, routes, count, f);
	else
		follow(w, routes, count);
	w->waits--;
	step(w);
}

/* True: it was received before and waits for PUBREL. */
static bool
is_repeated(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	if (p->qos != 2)
		return false;
	if (tn_mqtt_session_received(c->session, p->id) == NULL) {
		tn_mqtt_session_receive(c->session, p->id, 0);
		return false;
	}
	/* Each has its own PUBREC (MQTT-4.3.3-10), behind that of the first one
	 * when it is still on its way. */
	tn_mqtt_conn_ack_end(c, tn_mqtt_conn_ack_begin(c, TN_MQTT_PUBREC,
	    p->id), 0, NULL);
	return true;
}

/* Not for each one of a client that goes on. */
static void
say_refused(struct conn *c, struct tn_slice topic)
{
	struct tn_mqtt *m = c->m;
	int64_t now_us = tn_os_mono_us();

	tn_counter_add(m->refused, 1);
	if (m->refused_said_us != 0 &&
	    now_us - m->refused_said_us < SAY_EVERY_US)
		return;
	m->refused_said_us = now_us;
	tn_say(TN_WARN, "mqtt", "client %.100s may not publish (%.*s): %s",
	    c->session->client_id, (int)(topic.n < 100 ? topic.n : 100),
	    (const char *)topic.p, c->may_publish ? "the topic is for rows of "
	    "a view" : "its token is not of scope ingest or admin");
}

static void
refuse_publish(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	uint8_t type = p->qos == 1 ? TN_MQTT_PUBACK : TN_MQTT_PUBREC;

	say_refused(c, p->topic);
	/* 3.1.1 has no word for it: acknowledge, or close (MQTT-3.3.5-2). An
	 * ack would say that the event is safe. A bridge's broker would send it
	 * again for ever: there it is only a copy of what a view says. */
	if (c->version != TN_MQTT_V5 && c->out == NULL) {
		tn_mqtt_conn_end(c, TN_MQTT_NOT_AUTHORIZED);
		return;
	}
	if (p->qos == 0)
		return;
	c->unacked++;
	tn_mqtt_conn_ack_end(c, tn_mqtt_conn_ack_begin(c, type, p->id),
	    TN_MQTT_NOT_AUTHORIZED, NULL);
}

/* For those who subscribed before it came, and to be retained. False: memory
 * is out, and the connection is ending. */
static bool
make_message(struct conn *c, const struct tn_codec_mqtt_packet *p,
    struct message **out)
{
	bool expires = (p->props.present >> TN_MQTT_P_MESSAGE_EXPIRY & 1) != 0;

	if (!p->retain && !tn_mqtt_tree_takes(c->m->tree, p->topic))
		return true;
	*out = tn_mqtt_message_new(p, expires ? tn_mqtt_now_us() : 0);
	if (*out == NULL) {
		if (p->qos == 2)
			(void)tn_mqtt_session_release(c->session, p->id);
		tn_mqtt_conn_end(c, TN_MQTT_QUOTA_EXCEEDED);
		return false;
	}
	(*out)->from = c->session->hash;
	return true;
}

/* The store has no room: would it need some? Rows of streams do not. */
static bool
is_refused(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	return p->qos > 0 && tn_mqtt_store_waits(c->m->store) &&
	    ((p->qos == 2 && c->session->kept) || p->retain ||
	    tn_mqtt_tree_takes(c->m->tree, p->topic));
}

enum tn_status
tn_mqtt_publish(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_mqtt *m = c->m;
	struct route **routes = NULL;
	uint32_t count = routes_of(c, p->topic, &routes);
	enum tn_status room = count == 0 ? TN_OK :
	    tn_ingest_room(m->o.ingest);
	struct fresh f = { p->topic, p->payload, p->retain, p->dup };
	struct message *msg = NULL;
	struct work *w;

	/* Nor may an "online" come before the "offline" that waits. */
	if (count > 0 && room == TN_OK && m->due_streams > 0)
		room = TN_EFULL;
	/* What came over an earlier connection is still on its way: it must
	 * not be taken for done, nor be overtaken. */
	if (room == TN_EFULL || (p->qos > 0 &&
	    c->session->refs - 1 > c->works))
		return TN_EFULL;
	if (room != TN_OK || is_refused(c, p)) {
		tn_mqtt_conn_end(c, room != TN_OK ?
		    TN_MQTT_IMPLEMENTATION_ERROR : TN_MQTT_QUOTA_EXCEEDED);
		return TN_OK;
	}
	tn_os_crash_point("mqtt_publish_received");
	tn_counter_add(m->received[p->qos], 1);
	c->session->messages_in++;
	if (!c->may_publish || (count == 0 &&
	    tn_mqtt_is_view_topic(m, p->topic))) {
		refuse_publish(c, p);
		return TN_OK;
	}
	if (is_repeated(c, p))
		return TN_OK;
	if (count == 0 && m->sources != NULL)
		tn_mqtt_source_saw(m->sources, p->topic, p->payload);
	if (!make_message(c, p, &msg))
		return TN_OK;
	w = work_new(m, c, msg);
	w->qos = p->qos;
	w->packet = p->id;
	w->has_ack = p->qos > 0;
	c->unacked += w->has_ack;
	if (w->has_ack)
		w->ack = tn_mqtt_conn_ack_begin(c, p->qos == 1 ?
		    TN_MQTT_PUBACK : TN_MQTT_PUBREC, p->id);
	begin(w, routes, count, &f);
	if (p->qos > 0 && c->resends > 0)
		c->resends--;
	return TN_OK;
}

/* ---- PUBREL ---------------------------------------------------------- */

struct release {
	struct conn *conn;
	uint64_t ack;
	uint8_t reason;
};

static void
release_synced(void *arg, enum tn_status st)
{
	struct release *r = arg;

	tn_os_crash_point("mqtt_release_stored");
	if (st == TN_OK)
		tn_mqtt_conn_ack_end(r->conn, r->ack, r->reason, NULL);
	else
		tn_mqtt_conn_end(r->conn, tn_mqtt_reason_of(st));
	tn_mqtt_conn_unref(r->conn);
	tn_free(r);
}

void
tn_mqtt_publish_release(struct conn *c, uint16_t id)
{
	struct session *s = c->session;
	uint64_t ack = tn_mqtt_conn_ack_begin(c, TN_MQTT_PUBCOMP, id);
	const struct received *x = tn_mqtt_session_received(s, id);
	uint8_t reason = TN_MQTT_SUCCESS;
	struct release *r;

	tn_os_crash_point("mqtt_pubrel_received");
	if (x != NULL) {
		tn_mqtt_keep_received_less(s, x);
		(void)tn_mqtt_session_release(s, id);
	} else if (c->version == TN_MQTT_V5) {
		reason = TN_MQTT_ID_NOT_FOUND;
	}
	/* Also when it came before, over another connection: its identifier
	 * is free once the store says so. */
	if (!s->kept) {
		tn_mqtt_conn_ack_end(c, ack, reason, NULL);
		return;
	}
	r = tn_zalloc(sizeof *r);
	r->conn = c;
	r->ack = ack;
	r->reason = reason;
	tn_mqtt_conn_ref(c);
	tn_mqtt_store_sync(c->m->store, release_synced, r);
}

/* ---- messages of Tarn itself ----------------------------------------- */

/* The store knows the row's topic, or has failed: then it is for those who do
 * not ask for it. */
static void
noted(void *arg, enum tn_status st)
{
	struct work *w = arg;

	(void)st;
	w->m->noting--;
	w->waits--;
	step(w);
}

void
tn_mqtt_publish_own(struct tn_mqtt *m, struct message *msg)
{
	struct route **routes = NULL;
	uint32_t count = find_routes(m, msg->topic, &routes);
	struct work *w = work_new(m, NULL, msg);
	struct fresh f = { msg->topic, msg->payload, msg->retain, false };

	w->qos = msg->qos;
	if (msg->derived != 0 && tn_mqtt_row_waits(m, msg)) {
		w->waits++;
		m->noting++;
		tn_mqtt_store_sync_patient(m->store, noted, w);
	}
	begin(w, routes, count, &f);
}

bool
tn_mqtt_streams_take(struct tn_mqtt *m, struct tn_slice topic)
{
	struct route **routes = NULL;

	return find_routes(m, topic, &routes) > 0;
}

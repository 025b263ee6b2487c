/* conn: one connection. Bytes become packets, packets go where they belong,
 * and what is told to the client leaves in the order the standards ask for.
 *
 *   stream --bytes--> (ws.c) --> in --frame, decode--> handlers
 *   handlers --> send --> stream;   acks wait for their turn in a ring
 *
 *   NEW --CONNECT--> CHECKING --right--> OPEN --end, error--> CLOSING
 *                       \-- no password to check: OPEN at once
 *
 * ${in} holds only what could not be taken: the front of a packet, or all that
 * came while ingest was full or the password was checked (the stream is paused
 * then). An idle connection has no buffer.
 *
 * Nobody makes us hold more than the limits: see must_wait.
 *
 * What can go wrong: a malformed packet or one out of turn (5.0 is told why by
 * DISCONNECT, then it is closed), silence beyond the keep-alive, a packet over
 * packet_bytes_max. Nothing of it disturbs another connection. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define LINGER_MS 2000
#define RETRY_MS 5
#define RESEND_PAUSE_US INT64_C(5000000)
#define ASKED_MAX 16             /* (UN)SUBSCRIBEs that wait for a sync. */
#define PACKETS_A_TURN 4096      /* Of one call; the rest comes back. */
#define TURN_US 5000             /* As long at most, looked at after */
#define TURN_LOOK 16             /* so many packets; */
#define NODES_A_TURN 20000       /* and so many of the tree of filters. */
#define MORE_OPEN 64             /* See may_open. */
#define ACK_BYTES 4              /* The least an ack has, */
#define ACK_FRAME 6              /* in a frame of WebSocket; */
#define RECORD_MORE 22           /* what TLS adds to one or to many. */
#define PROGRESS_BYTES 1024      /* Of a long packet that is on its way. */

/* ---- life ------------------------------------------------------------ */

void
tn_mqtt_conn_ref(struct conn *c)
{
	c->refs++;
}

static void
drop_acks(struct conn *c)
{
	for (uint32_t i = 0; i < c->ack_count; i++)
		tn_free(c->acks[(c->ack_first + i) & (c->ack_cap - 1)].text);
	tn_free(c->acks);
	c->acks = NULL;
	c->ack_count = c->ack_cap = 0;
}

void
tn_mqtt_conn_unref(struct conn *c)
{
	tn_assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	tn_assert(c->stream == NULL && c->session == NULL);
	drop_acks(c);
	tn_mqtt_aliases_free(c);
	tn_free(c->last.topic);
	tn_buf_fini(&c->in);
	tn_mqtt_ws_free(c->ws);
	if (c->hello_arena != NULL)
		tn_arena_free(c->hello_arena);
	tn_free(c);
}

static void
stream_closed(void *arg, enum tn_status why)
{
	struct conn *c = arg;
	struct tn_mqtt *m = c->m;

	c->reached = tn_net_stream_reached(c->stream);
	c->stream = NULL;
	tn_budget_set(&c->held, 0);
	if (c->out != NULL)
		tn_mqtt_bridge_closed(c, why);
	c->step = CONN_CLOSING;
	tn_mqtt_disconnected(c);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		m->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	m->conn_count--;
	tn_counter_add(m->connected, -1);
	tn_mqtt_conn_unref(c);
}

static void
stream_bytes(void *arg, struct tn_slice in)
{
	struct conn *c = arg;
	int64_t now_us = tn_os_mono_us();

	if (c->step == CONN_CLOSING)
		return;
	/* What is sent again comes at once; drop by drop, if need be. */
	if (c->resends > 0 && now_us - c->bytes_us > RESEND_PAUSE_US)
		c->resends = 0;
	c->bytes_us = now_us;
	if (c->websocket)
		tn_mqtt_ws_bytes(c, in);
	else
		tn_mqtt_conn_bytes(c, in);
}

static void
stream_drained(void *arg)
{
	struct conn *c = arg;

	(void)tn_mqtt_conn_unsent(c);
	if (c->session != NULL)
		tn_mqtt_session_kick(c->session);
	if (c->clogged)
		tn_mqtt_conn_go_on(c);
}

static const struct tn_net_stream_calls calls = {
	.bytes = stream_bytes, .drained = stream_drained,
	.closed = stream_closed,
};

struct conn *
tn_mqtt_conn_new(struct tn_mqtt *m, struct tn_net_stream *s, enum way way,
    enum tn_governance_scope scope)
{
	struct conn *c = tn_zalloc(sizeof *c);

	/* Before what clients say when they are back. */
	tn_mqtt_wills_due(m);
	c->m = m;
	c->stream = s;
	c->refs = 1;
	c->websocket = way == TN_MQTT_WEBSOCKET;
	c->tls = way == TN_MQTT_TLS;
	c->scope = scope;
	c->heard_us = c->bytes_us = tn_os_mono_us();
	if (c->websocket)
		c->ws = tn_mqtt_ws_new();
	c->next = m->conns;
	if (m->conns != NULL)
		m->conns->prev = c;
	m->conns = c;
	m->conn_count++;
	tn_counter_add(m->connected, 1);
	tn_net_stream_start(s, &calls, c);
	if (m->draining || m->conn_count > m->o.connections_max)
		tn_mqtt_conn_end(c, 0);
	return c;
}

void
tn_mqtt_conns_free(struct tn_mqtt *m)
{
	for (struct conn *c = m->conns; c != NULL; c = c->next) {
		c->no_will = true;
		c->step = CONN_CLOSING;
		tn_net_stream_close(c->stream, 0);
	}
	tn_net_loop_settle(m->o.loop);
	tn_assert(m->conns == NULL);
}

/* ---- sending --------------------------------------------------------- */

size_t
tn_mqtt_conn_queued(const struct conn *c)
{
	return c->stream == NULL ? 0 : tn_net_stream_queued(c->stream);
}

#define OPTIONAL (UINT64_C(1) << TN_MQTT_P_REASON_STRING | \
	UINT64_C(1) << TN_MQTT_P_USER)

/* Reason strings and user properties are not worth a packet too large for
 * the client (MQTT-3.4.2-2 and its like). */
static bool
fits(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_buf *out = &c->m->scratch;
	struct tn_codec_mqtt_packet plain;

	if (c->packet_bytes_max == 0 || out->n <= c->packet_bytes_max)
		return true;
	if (p->type == TN_MQTT_PUBLISH || (p->props.present & OPTIONAL) == 0)
		return false;
	plain = *p;
	plain.props.present &= ~OPTIONAL;
	tn_buf_clear(out);
	return tn_codec_mqtt_encode(out, &plain) == TN_OK &&
	    out->n <= c->packet_bytes_max;
}

bool
tn_mqtt_conn_send(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_buf *out = &c->m->scratch;
	struct tn_slice bytes;

	if (c->stream == NULL || c->step == CONN_CLOSING)
		return true;            /* It is gone: nothing is too large. */
	tn_buf_clear(out);
	if (tn_codec_mqtt_encode(out, p) != TN_OK || !fits(c, p))
		return false;
	bytes = (struct tn_slice){ out->p, out->n };
	if (c->websocket)
		tn_mqtt_ws_send(c, bytes);
	else
		tn_net_stream_write(c->stream, bytes);
	return true;
}

void
tn_mqtt_conn_end(struct conn *c, uint8_t reason)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_DISCONNECT,
	    .version = TN_MQTT_V5, .reason = reason };

	if (c->step == CONN_CLOSING)
		return;
	if (reason != 0 && c->version == TN_MQTT_V5 && c->step == CONN_OPEN)
		(void)!tn_mqtt_conn_send(c, &p);
	c->step = CONN_CLOSING;
	if (c->stream != NULL)
		tn_net_stream_close(c->stream, LINGER_MS);
}

/* ---- the order of acks ----------------------------------------------- */

static struct ack *
ack_at(struct conn *c, uint64_t number)
{
	return &c->acks[number & (c->ack_cap - 1)];
}

static void
grow_acks(struct conn *c)
{
	uint32_t cap = c->ack_cap == 0 ? 8 : c->ack_cap * 2;
	struct ack *acks = tn_zalloc(cap * sizeof *acks);

	for (uint32_t i = 0; i < c->ack_count; i++)
		acks[(c->ack_first + i) & (cap - 1)] =
		    *ack_at(c, c->ack_first + i);
	tn_free(c->acks);
	c->acks = acks;
	c->ack_cap = cap;
}

uint64_t
tn_mqtt_conn_ack_begin(struct conn *c, uint8_t type, uint16_t packet)
{
	uint64_t number = c->ack_first + c->ack_count;

	if (c->ack_count == c->ack_cap)
		grow_acks(c);
	*ack_at(c, number) = (struct ack){ .packet = packet, .type = type };
	c->ack_count++;
	return number;
}

/* Two bytes of head and the identifier: nearly every ack there is. */
static bool
send_short(struct conn *c, const struct ack *a)
{
	uint8_t p[4] = { (uint8_t)(a->type << 4), 2,
	    (uint8_t)(a->packet >> 8), (uint8_t)a->packet };

	tn_assert(a->type != TN_MQTT_PUBREL);   /* It has a flag. */
	if (a->text != NULL || a->reason != 0 || c->websocket ||
	    (c->packet_bytes_max > 0 && c->packet_bytes_max < sizeof p))
		return false;
	if (c->stream != NULL && c->step != CONN_CLOSING)
		tn_net_stream_write(c->stream, (struct tn_slice){ p,
		    sizeof p });
	return true;
}

static void
send_ack(struct conn *c, const struct ack *a)
{
	struct tn_codec_mqtt_packet p = { .type = a->type,
	    .version = c->version, .id = a->packet, .reason = a->reason };

	if (a->text != NULL && c->problem_info) {
		p.props.present = UINT64_C(1) << TN_MQTT_P_REASON_STRING;
		p.props.reason_string = tn_slice_of(a->text);
	}
	if (!send_short(c, a))
		(void)!tn_mqtt_conn_send(c, &p);
}

static uint64_t
end_of(const struct conn *c)
{
	return c->stream == NULL ? 0 : tn_net_stream_end(c->stream);
}

/* Bytes are all that is known of what is there, and not of which packets, so
 * the most acks that fit into those behind. What else was written behind the
 * last ack does not count, so whatever a client that sleeps was sent since. */
uint64_t
tn_mqtt_conn_unseen(const struct conn *c)
{
	const uint64_t heard = c->session == NULL || c->stream == NULL ?
	    c->reached : tn_net_stream_heard(c->stream);
	const uint64_t least = c->websocket ? ACK_FRAME : ACK_BYTES;
	uint64_t n = c->ack_end > heard ? c->ack_end - heard : 0;

	if (c->tls && n > RECORD_MORE)
		n -= RECORD_MORE;
	n = (n + least - 1) / least;
	return c->ack_sent - (n < c->ack_sent ? n : c->ack_sent);
}

void
tn_mqtt_conn_ack_end(struct conn *c, uint64_t number, uint8_t reason,
    const char *text)
{
	struct ack *a = ack_at(c, number);
	const uint64_t before = end_of(c);

	tn_assert(number - c->ack_first < c->ack_count && !a->ready);
	a->ready = true;
	a->reason = reason;
	a->text = text == NULL ? NULL : tn_strdup(text);
	/* A PUBREC that says no ends the exchange at once. */
	if (a->type == TN_MQTT_PUBREC && reason >= 0x80 && c->session != NULL)
		(void)tn_mqtt_session_release(c->session, a->packet);
	while (c->ack_count > 0 && ack_at(c, c->ack_first)->ready) {
		a = ack_at(c, c->ack_first);
		if (c->unacked > 0 && (a->type != TN_MQTT_PUBREC ||
		    a->reason >= 0x80))
			c->unacked--;
		send_ack(c, a);
		tn_os_crash_point("mqtt_ack_sent");
		tn_free(a->text);
		c->ack_first++;
		c->ack_count--;
	}
	/* Else nothing left: the stream takes no more. */
	if (end_of(c) > before) {
		c->ack_end = end_of(c);
		c->ack_sent = c->ack_first;
	}
	if (c->stalled && c->ack_count < c->m->o.inflight_max)
		tn_mqtt_retry_in(c->m, 1);
}

/* ---- packets --------------------------------------------------------- */

/* Of QoS 2: may another identifier be open until PUBREL? The session has them,
 * so they outlast connections. Not to read a client of 3.1.1 would not do, as
 * its PUBRELs come behind what it has sent already; so all sessions together
 * may have more of them than the limit of each. */
static bool
may_open(const struct conn *c, uint16_t id)
{
	const struct tn_mqtt *m = c->m;
	const struct session *s = c->session;

	return s->received_count < m->o.inflight_max ||
	    (c->version != TN_MQTT_V5 &&
	    m->received_open < UINT64_C(1) * MORE_OPEN * m->o.inflight_max) ||
	    tn_mqtt_session_received(s, id) != NULL;
}

/* QoS 1 and 2 on their way to us. 5.0 was told the limit; 3.1.1 cannot be: it
 * is not read until some are acknowledged. */
static enum tn_status
may_take(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	if (p->qos == 0)
		return TN_OK;
	if (p->qos == 2 && !may_open(c, p->id)) {
		tn_say(TN_WARN, "mqtt", "client %.100s is cut off: %u messages "
		    "of QoS 2 without PUBREL", c->session->client_id,
		    (unsigned)c->session->received_count);
		tn_mqtt_conn_end(c, TN_MQTT_RECEIVE_MAX_EXCEEDED);
		return TN_ECLOSED;
	}
	if (c->version != TN_MQTT_V5)
		return c->ack_count < c->m->o.inflight_max ? TN_OK : TN_EFULL;
	if (c->unacked < c->m->o.inflight_max)
		return TN_OK;
	tn_mqtt_conn_end(c, TN_MQTT_RECEIVE_MAX_EXCEEDED);
	return TN_ECLOSED;
}

static enum tn_status
on_publish(struct conn *c, struct tn_codec_mqtt_packet *p)
{
	enum tn_status st = may_take(c, p);

	if (st == TN_EFULL)
		return st;
	if (st != TN_OK || !tn_mqtt_alias_resolve(c, p))
		return TN_OK;
	return tn_mqtt_publish(c, p);
}

static void
on_disconnect(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	bool has = (p->props.present >> TN_MQTT_P_SESSION_EXPIRY & 1) != 0;
	uint32_t expiry_s = p->props.session_expiry_s;

	if (has && c->session->expiry_s == 0 && expiry_s > 0) {
		tn_mqtt_conn_end(c, TN_MQTT_PROTOCOL_ERROR);
		return;
	}
	/* Any other code than 0 leaves it to be published (3.1.2.5). */
	c->no_will = p->reason == TN_MQTT_SUCCESS;
	c->goodbye = c->ack_count == 0;
	if (has) {
		if (expiry_s > c->m->o.session_expiry_max_s)
			expiry_s = c->m->o.session_expiry_max_s;
		tn_mqtt_session_keep(c->session, expiry_s);
	}
	tn_mqtt_disconnected(c);
	tn_mqtt_conn_end(c, 0);
}

static void
on_ping(struct conn *c)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PINGRESP,
	    .version = c->version };

	(void)!tn_mqtt_conn_send(c, &p);
}

/* Packets of an open connection. TN_EFULL: it was not taken. */
static enum tn_status
on_packet(struct conn *c, struct tn_codec_mqtt_packet *p)
{
	switch (p->type) {
	case TN_MQTT_PUBLISH:
		return on_publish(c, p);
	case TN_MQTT_PUBACK:
		(void)tn_mqtt_session_puback(c->session, p->id);
		break;
	case TN_MQTT_PUBREC:
		(void)tn_mqtt_session_pubrec(c->session, p->id, p->reason);
		break;
	case TN_MQTT_PUBREL:
		tn_mqtt_publish_release(c, p->id);
		break;
	case TN_MQTT_PUBCOMP:
		(void)tn_mqtt_session_pubcomp(c->session, p->id);
		break;
	case TN_MQTT_SUBSCRIBE:
		tn_mqtt_subscribe(c, p);
		break;
	case TN_MQTT_UNSUBSCRIBE:
		tn_mqtt_unsubscribe(c, p);
		break;
	case TN_MQTT_PINGREQ:
		on_ping(c);
		break;
	case TN_MQTT_DISCONNECT:
		on_disconnect(c, p);
		break;
	default:
		/* AUTH without a method. */
		tn_mqtt_conn_end(c, TN_MQTT_PROTOCOL_ERROR);
	}
	return TN_OK;
}

static void
on_malformed(struct conn *c, uint8_t reason)
{
	if (c->out != NULL)
		tn_mqtt_bridge_malformed(c);
	tn_counter_add(c->m->refused, 1);
	if (c->step == CONN_NEW && c->out == NULL)
		tn_mqtt_connect_refuse(c, reason);
	else
		tn_mqtt_conn_end(c, reason);
}

/* The level that a damaged CONNECT asks for, so that it can be answered in
 * its way; 0: not to be told. */
static uint8_t
peek_version(struct tn_slice packet)
{
	size_t at = 1;

	while (at < packet.n && at < 4 && (packet.p[at] & 0x80) != 0)
		at++;
	at++;
	if (packet.n < at + 7 || memcmp(packet.p + at, "\0\4MQTT", 6) != 0)
		return 0;
	return packet.p[at + 6];
}

/* The store is. Without room it says so instead (0x97). */
static bool
is_behind(const struct tn_mqtt *m)
{
	return tn_mqtt_store_is_full(m->store) &&
	    !tn_mqtt_store_waits(m->store);
}

/* One that does not read what it is told, asks faster than the disk answers,
 * or has the store behind: nothing more is read from it until that is over. */
static bool
must_wait(struct conn *c)
{
	const struct tn_mqtt_opts *o = &c->m->o;

	c->clogged = tn_mqtt_conn_unsent(c) > 2 * tn_mqtt_unsent_max(c->m);
	return c->clogged || c->asked >= ASKED_MAX ||
	    c->ack_count >= 2 * o->inflight_max || is_behind(c->m);
}

/* We are the client (bridge.c): what is published goes the way of all others,
 * the rest answers what the bridge asked. */
static enum tn_status
take_from_server(struct conn *c, struct tn_slice packet)
{
	struct tn_codec_mqtt_packet p;
	uint8_t reason = TN_MQTT_MALFORMED_PACKET;
	enum tn_status st = tn_codec_mqtt_decode(packet, c->version,
	    c->m->arena, &p, &reason);

	if (st != TN_OK) {
		on_malformed(c, reason);
		return TN_OK;
	}
	if (c->step == CONN_NEW || (p.type != TN_MQTT_PUBLISH &&
	    p.type != TN_MQTT_PUBREL)) {
		tn_mqtt_bridge_packet(c, &p);
		return TN_OK;
	}
	st = on_packet(c, &p);
	if (st == TN_OK && p.type == TN_MQTT_PUBLISH)
		tn_mqtt_bridge_took(c);
	return st;
}

static enum tn_status
take_packet(struct conn *c, struct tn_slice packet)
{
	struct tn_codec_mqtt_packet p;
	uint8_t reason = TN_MQTT_MALFORMED_PACKET;

	tn_arena_reset(c->m->arena);
	if (c->step == CONN_OPEN && must_wait(c))
		return TN_EFULL;
	if (c->out != NULL)
		return take_from_server(c, packet);
	/* Wills and sessions are kept, also of those who go at once. */
	if (c->step == CONN_NEW && is_behind(c->m))
		return TN_EFULL;
	/* A second one, whatever is in it (MQTT-3.1.0-2). */
	if (c->step == CONN_OPEN && packet.p[0] >> 4 == TN_MQTT_CONNECT) {
		on_malformed(c, TN_MQTT_PROTOCOL_ERROR);
		return TN_OK;
	}
	/* Nothing but CONNECT may come first, whatever it is. */
	if (c->step == CONN_NEW && packet.p[0] >> 4 != TN_MQTT_CONNECT) {
		tn_mqtt_conn_end(c, 0);
		return TN_OK;
	}
	if (tn_codec_mqtt_decode(packet, c->version, c->m->arena, &p,
	    &reason) != TN_OK) {
		if (c->step == CONN_NEW)
			c->version = peek_version(packet);
		on_malformed(c, reason);
		return TN_OK;
	}
	if (tn_codec_mqtt_of_client(&p, &reason) != TN_OK) {
		on_malformed(c, reason);
		return TN_OK;
	}
	if (c->step == CONN_NEW) {
		tn_mqtt_connect(c, &p);
		return TN_OK;
	}
	return on_packet(c, &p);
}

/* ---- bytes ----------------------------------------------------------- */

/* Others want their turn, too. Filters of many levels with wildcards can make
 * one packet cost what thousands do, so that is counted as well. */
struct turn {
	uint32_t packets;
	int64_t begun_us;
	uint64_t visited;            /* Nodes, before it. */
};

static bool
is_over(const struct conn *c, struct turn *t)
{
	if (++t->packets == PACKETS_A_TURN ||
	    tn_mqtt_tree_visited(c->m->tree) - t->visited > NODES_A_TURN)
		return true;
	return t->packets % TURN_LOOK == 0 &&
	    tn_os_mono_us() - t->begun_us > TURN_US;
}

/* Whole packets off the front of ${in}. TN_EFULL: the next one has to wait.
 * TN_END: more bytes are needed. */
static enum tn_status
take_packets(struct conn *c, struct tn_slice *in)
{
	enum tn_status st = TN_OK;
	uint8_t reason = TN_MQTT_MALFORMED_PACKET;
	/* The time was asked for when the bytes came. */
	struct turn turn = { 0, c->bytes_us,
	    tn_mqtt_tree_visited(c->m->tree) };
	size_t bytes;

	while (c->step == CONN_NEW || c->step == CONN_OPEN) {
		st = tn_codec_mqtt_frame(*in, c->m->o.packet_bytes_max,
		    &bytes, &reason);
		if (st == TN_OK && bytes > in->n)
			st = TN_END;
		if (st == TN_END)
			return st;
		if (st != TN_OK) {
			on_malformed(c, st == TN_ELIMIT ?
			    TN_MQTT_PACKET_TOO_LARGE : reason);
			return TN_OK;
		}
		st = take_packet(c, (struct tn_slice){ in->p, bytes });
		if (st == TN_EFULL)
			return st;
		in->p += bytes;
		in->n -= bytes;
		if (in->n > 0 && is_over(c, &turn))
			return TN_EFULL;
	}
	return c->step == CONN_CHECKING ? TN_EFULL : TN_OK;
}

static void
stall(struct conn *c)
{
	c->stalled = true;
	if (c->stream != NULL)
		tn_net_stream_pause(c->stream, true);
	/* A clogged one is looked at when it has read, and each second. */
	if (c->step != CONN_CHECKING && !c->clogged)
		tn_mqtt_retry_in(c->m, RETRY_MS);
}

/* What is left of ${in} is kept for later. */
static void
keep_rest(struct conn *c, struct tn_slice in, enum tn_status st)
{
	if (c->step == CONN_CLOSING) {
		tn_buf_fini(&c->in);
		return;
	}
	if (in.n == 0) {
		tn_buf_fini(&c->in);
	} else if (in.p >= c->in.p && c->in.n > 0 && in.p <= c->in.p +
	    c->in.n) {
		memmove(c->in.p, in.p, in.n);
		c->in.n = in.n;
	} else {
		tn_buf_add(&c->in, in.p, in.n);
		if (c->in.failed)
			tn_mqtt_conn_end(c, TN_MQTT_QUOTA_EXCEEDED);
	}
	if (st == TN_EFULL && c->step != CONN_CLOSING)
		stall(c);
}

/* The keep-alive asks for whole packets (MQTT-3.1.2-22), not for bytes or
 * frames; one that is long may take its time as long as it comes on. A CONNECT
 * has its time as a whole. */
static void
hear(struct conn *c, size_t bytes, bool whole)
{
	c->unheard_bytes += (uint32_t)(bytes < PROGRESS_BYTES ? bytes :
	    PROGRESS_BYTES);
	if (c->step != CONN_OPEN ||
	    (!whole && c->unheard_bytes < PROGRESS_BYTES))
		return;
	c->heard_us = c->bytes_us;
	c->unheard_bytes = 0;
}

void
tn_mqtt_conn_bytes(struct conn *c, struct tn_slice in)
{
	const size_t fresh = in.n;
	size_t before;
	enum tn_status st;

	tn_mqtt_conn_ref(c);
	if (c->in.n > 0 || c->stalled) {
		c->in.max = SIZE_MAX;
		tn_buf_add(&c->in, in.p, in.n);
		if (c->in.failed) {
			tn_mqtt_conn_end(c, TN_MQTT_QUOTA_EXCEEDED);
			tn_mqtt_conn_unref(c);
			return;
		}
		in = (struct tn_slice){ c->in.p, c->in.n };
	}
	if (!c->stalled) {
		before = in.n;
		st = take_packets(c, &in);
		hear(c, fresh, in.n < before);
		keep_rest(c, in, st);
	}
	tn_mqtt_conn_unref(c);
}

void
tn_mqtt_conn_go_on(struct conn *c)
{
	struct tn_slice in = { c->in.p, c->in.n };
	const size_t before = in.n;
	enum tn_status st;

	if (!c->stalled || c->step == CONN_CHECKING)
		return;
	tn_mqtt_conn_ref(c);
	/* It could not be heard: that is no silence of the client. */
	c->bytes_us = tn_os_mono_us();
	if (!c->clogged)
		c->heard_us = c->bytes_us;
	c->stalled = c->clogged = false;
	if (c->stream != NULL)
		tn_net_stream_pause(c->stream, false);
	st = take_packets(c, &in);
	hear(c, 0, in.n < before);
	keep_rest(c, in, st);
	tn_mqtt_conn_unref(c);
}

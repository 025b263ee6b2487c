/* connect: the first packet, and the end of a connection.
 *
 *   CONNECT -> may it? (loopback: yes; else a token, the admin's password, or
 *   a client certificate) -> its session, old or new, on disk when it is to
 *   last -> CONNACK -> resume
 *
 * A password is checked by argon2id on the pool, two at a time; bytes that come
 * meanwhile wait. Who guessed too often must wait, too (governance), by address:
 * "server busy". A token (trn_...) as password, under any user name, is checked at
 * once. Tokens of scope ingest may publish, those of scope read may subscribe:
 * a session that has subscriptions is not for the former, new or old.
 *
 * What can go wrong: everything a CONNECT can ask that is not there is refused
 * by its reason (5.0) or return code (3.1.1); a client that is connected
 * already under the same identifier is sent away. */
#include "mqtt/mqtt_int.h"

#include <stdio.h>

#include "os/os.h"

#define CLIENT_ID_MAX 1024
#define USER_MAX 256             /* Bytes of the name that are kept. */
#define SECOND_US INT64_C(1000000)
#define CHECKS_AT_ONCE 2         /* Passwords; 64 MiB each. */

static bool
has(const struct tn_codec_mqtt_props *p, enum tn_codec_mqtt_property id)
{
	return (p->present >> id & 1) != 0;
}

/* ---- refusing -------------------------------------------------------- */

/* 3.1.1 has five return codes. */
static uint8_t
return_code(uint8_t reason)
{
	switch (reason) {
	case TN_MQTT_UNSUPPORTED_VERSION:
		return 1;
	case TN_MQTT_CLIENT_ID_INVALID:
		return 2;
	case TN_MQTT_BAD_USER_OR_PASSWORD:
		return 4;
	case TN_MQTT_NOT_AUTHORIZED:
	case TN_MQTT_BAD_AUTH_METHOD:
		return 5;
	default:
		return 3;
	}
}

void
tn_mqtt_connect_refuse(struct conn *c, uint8_t reason)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNACK,
	    .version = c->version == TN_MQTT_V5 ? TN_MQTT_V5 :
	    TN_MQTT_V311 };

	tn_counter_add(c->m->refused, 1);
	p.reason = p.version == TN_MQTT_V5 ? reason : return_code(reason);
	/* A broken 3.1.1 packet gets no answer (MQTT-3.1.4-1), nor does one
	 * that is no MQTT at all. */
	if (c->version == TN_MQTT_V5 || (reason != TN_MQTT_MALFORMED_PACKET &&
	    reason != TN_MQTT_PROTOCOL_ERROR &&
	    reason != TN_MQTT_TOPIC_INVALID &&
	    reason != TN_MQTT_PACKET_TOO_LARGE))
		(void)!tn_mqtt_conn_send(c, &p);
	tn_mqtt_conn_end(c, 0);
}

/* ---- the session ----------------------------------------------------- */

/* Whoever is connected under this identifier goes. */
static void
take_over(struct session *s)
{
	struct conn *old = s->conn;

	if (old == NULL)
		return;
	s->takeovers++;
	tn_mqtt_conn_end(old, TN_MQTT_SESSION_TAKEN_OVER);
	tn_mqtt_disconnected(old);
}

static uint32_t
expiry_of(const struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	uint32_t max = c->m->o.session_expiry_max_s;
	uint32_t wanted = 0;

	if (c->version != TN_MQTT_V5)
		wanted = p->connect.clean_start ? 0 : max;
	else if (has(&p->props, TN_MQTT_P_SESSION_EXPIRY))
		wanted = p->props.session_expiry_s;
	return wanted < max ? wanted : max;
}

static bool
set_will(struct session *s, const struct tn_codec_mqtt_packet *p)
{
	const struct tn_codec_mqtt_props *x = &p->connect.will_props;
	struct message *msg;

	tn_assert(s->will == NULL);
	if (!p->connect.has_will)
		return true;
	msg = tn_mqtt_message_of_will(p, 0);
	if (msg == NULL || s->m->queued_bytes + msg->bytes >
	    s->m->o.queued_bytes_max) {
		tn_mqtt_message_unref(msg);
		return false;
	}
	s->m->queued_bytes += msg->bytes;
	msg->expires_us = 0;
	msg->from = s->hash;
	s->will = tn_zalloc(sizeof *s->will);
	s->will->message = msg;
	s->will->delay_s = has(x, TN_MQTT_P_WILL_DELAY) ? x->will_delay_s : 0;
	s->will->expires = has(x, TN_MQTT_P_MESSAGE_EXPIRY);
	s->will->expiry_s = x->message_expiry_s;
	s->will->streams = tn_mqtt_streams_take(s->m, msg->topic);
	tn_mqtt_keep_will(s);
	return true;
}

/* The session that the client gets; *present: it is an old one. */
static struct session *
session_for(struct conn *c, const struct tn_codec_mqtt_packet *p,
    struct tn_slice id, bool *present)
{
	struct session *s = tn_mqtt_session_find(c->m, id);

	*present = false;
	if (s != NULL)
		take_over(s);
	/* The old one may have ended with its connection. */
	s = tn_mqtt_session_find(c->m, id);
	if (s != NULL)
		tn_mqtt_will_cancel(s, false);
	*present = s != NULL;
	if (s == NULL)
		return tn_mqtt_session_new(c->m, id, expiry_of(c, p));
	return s;
}

/* ---- CONNACK --------------------------------------------------------- */

static void
put_props(const struct conn *c, const struct tn_codec_mqtt_packet *p,
    bool assigned, struct tn_codec_mqtt_props *x)
{
	const struct tn_mqtt_opts *o = &c->m->o;
	const struct session *s = c->session;

	x->present = UINT64_C(1) << TN_MQTT_P_RECEIVE_MAX |
	    UINT64_C(1) << TN_MQTT_P_PACKET_MAX;
	x->receive_max = (uint16_t)(o->inflight_max < 65535 ?
	    o->inflight_max : 65535);
	x->packet_max = (uint32_t)o->packet_bytes_max;
	if (o->topic_alias_max > 0)
		x->present |= UINT64_C(1) << TN_MQTT_P_TOPIC_ALIAS_MAX;
	x->topic_alias_max = (uint16_t)o->topic_alias_max;
	if (assigned)
		x->present |= UINT64_C(1) << TN_MQTT_P_ASSIGNED_ID;
	x->assigned_id = (struct tn_slice){ (uint8_t *)s->client_id,
	    s->client_id_bytes };
	if (c->keep_alive_s != p->connect.keep_alive_s)
		x->present |= UINT64_C(1) << TN_MQTT_P_SERVER_KEEP_ALIVE;
	x->server_keep_alive_s = c->keep_alive_s;
	if (has(&p->props, TN_MQTT_P_SESSION_EXPIRY) &&
	    p->props.session_expiry_s != s->expiry_s)
		x->present |= UINT64_C(1) << TN_MQTT_P_SESSION_EXPIRY;
	x->session_expiry_s = s->expiry_s;
}

static void
send_connack(struct conn *c, const struct tn_codec_mqtt_packet *p,
    bool present, bool assigned)
{
	struct tn_codec_mqtt_packet ack = { .type = TN_MQTT_CONNACK,
	    .version = c->version, .session_present = present };

	if (c->version == TN_MQTT_V5)
		put_props(c, p, assigned, &ack.props);
	/* Too large for what the client takes: it cannot be served. */
	if (!tn_mqtt_conn_send(c, &ack)) {
		c->no_will = true;
		tn_mqtt_conn_end(c, 0);
	}
}

/* ---- opening --------------------------------------------------------- */

static void
take_limits(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	const struct tn_mqtt_opts *o = &c->m->o;

	c->bridge = p->connect.bridge;
	c->receive_max = o->inflight_max;
	c->packet_bytes_max = 0;
	c->problem_info = c->version == TN_MQTT_V5;
	if (has(&p->props, TN_MQTT_P_RECEIVE_MAX) &&
	    p->props.receive_max < c->receive_max)
		c->receive_max = p->props.receive_max;
	if (has(&p->props, TN_MQTT_P_PACKET_MAX))
		c->packet_bytes_max = p->props.packet_max;
	if (has(&p->props, TN_MQTT_P_TOPIC_ALIAS_MAX))
		c->alias_out_max = p->props.topic_alias_max <
		    o->topic_alias_max ? p->props.topic_alias_max :
		    o->topic_alias_max;
	if (has(&p->props, TN_MQTT_P_REQUEST_PROBLEM))
		c->problem_info = p->props.request_problem != 0;
	c->keep_alive_s = p->connect.keep_alive_s;
	if (o->keep_alive_max_s > 0 && c->version == TN_MQTT_V5 &&
	    (c->keep_alive_s == 0 || c->keep_alive_s > o->keep_alive_max_s))
		c->keep_alive_s = (uint16_t)o->keep_alive_max_s;
}

/* For pages: not longer than USER_MAX, at the end of a character. */
static char *
short_text(struct tn_slice text)
{
	if (text.n > USER_MAX)
		for (text.n = USER_MAX; text.n > 0 &&
		    (text.p[text.n] & 0xc0) == 0x80; )
			text.n--;
	return tn_strndup((const char *)text.p, text.n);
}

static void
open_session(struct conn *c, struct session *s,
    const struct tn_codec_mqtt_packet *p)
{
	c->session = s;
	s->conn = c;
	s->opened++;
	s->since_us = s->last_us = tn_mqtt_now_us();
	tn_free(s->user);
	s->user = p->connect.has_user ? short_text(p->connect.user) : NULL;
	if (s->user == NULL && c->stream != NULL &&
	    tn_net_stream_certificate(c->stream) != NULL)
		s->user = tn_strdup(tn_net_stream_certificate(c->stream));
	c->step = CONN_OPEN;
	c->heard_us = tn_os_mono_us();
}

/* Nobody else has it: a counter behind a number of this start. */
static struct tn_slice
assign_id(struct tn_mqtt *m, char out[static 64])
{
	int n = snprintf(out, 64, "tarn-%llx-%llx",
	    (unsigned long long)m->next_assigned,
	    (unsigned long long)m->next_session);

	m->next_assigned += UINT64_C(0x9e3779b97f4a7c15);
	return (struct tn_slice){ (uint8_t *)out, (size_t)n };
}

/* A clean start: the old session goes. True: it does so in the store, too,
 * which has to be there before anything is said. */
static bool
forget(struct conn *c, struct tn_slice id)
{
	struct session *s = tn_mqtt_session_find(c->m, id);
	bool kept;

	if (s != NULL)
		take_over(s);
	s = tn_mqtt_session_find(c->m, id);
	if (s == NULL)
		return false;
	kept = s->kept;
	tn_mqtt_will_cancel(s, true);
	tn_mqtt_session_end(s);
	return kept;
}

static void keep_hello(struct conn *c, const struct tn_codec_mqtt_packet *p);
static void greeted(struct conn *c);

/* A session that is to last is on disk, and marked as connected there, before
 * its client is told of it or sent anything: what comes again after a crash
 * finds it, and is known to come again. */
struct opening {
	struct conn *conn;
	bool present, assigned;
};

static void
opened(void *arg, enum tn_status st)
{
	struct opening *o = arg;
	struct conn *c = o->conn;

	if (c->step == CONN_CHECKING && st != TN_OK) {
		/* One that is not told of is no session. */
		if (!o->present)
			tn_mqtt_session_keep(c->session, 0);
		c->no_will = true;
		c->step = CONN_NEW;
		tn_mqtt_connect_refuse(c, st == TN_ENOSPC ?
		    TN_MQTT_QUOTA_EXCEEDED : TN_MQTT_SERVER_UNAVAILABLE);
		greeted(c);
	} else if (c->step == CONN_CHECKING) {
		c->step = CONN_OPEN;
		c->heard_us = tn_os_mono_us();
		send_connack(c, c->hello, o->present, o->assigned);
		tn_mqtt_session_resume(c->session);
		greeted(c);
	}
	tn_mqtt_conn_unref(c);
	tn_free(o);
}

static void
open_later(struct conn *c, const struct tn_codec_mqtt_packet *p,
    bool present, bool assigned)
{
	struct opening *o = tn_zalloc(sizeof *o);

	o->conn = c;
	o->present = present;
	o->assigned = assigned;
	if (c->hello == NULL)
		keep_hello(c, p);
	c->step = CONN_CHECKING;
	tn_mqtt_conn_ref(c);
	tn_mqtt_store_sync(c->m->store, opened, o);
}

/* Without room in the store: a session that is to last, and the end of one. */
static bool
needs_room(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	const struct session *s = tn_mqtt_session_find(c->m,
	    p->connect.client_id);

	return tn_mqtt_store_waits(c->m->store) && (expiry_of(c, p) > 0 ||
	    (p->connect.clean_start && s != NULL && s->kept));
}

/* Who may not subscribe gets nothing of what somebody subscribed to under this
 * identifier, nor puts an end to it, be it connected or not. */
static bool
belongs_to_reader(const struct conn *c, const struct session *s)
{
	return s != NULL && !c->may_subscribe && (s->sub_count > 0 ||
	    s->first != NULL || s->late != NULL);
}

static bool
may_will(const struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	return c->may_publish &&
	    !tn_mqtt_is_view_topic(c->m, p->connect.will_topic);
}

static void forgotten(void *arg, enum tn_status st);

static void
admit(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_slice id = p->connect.client_id;
	bool assigned = id.n == 0, present;
	char own[64];
	struct session *s;

	if (assigned && c->version != TN_MQTT_V5 && !p->connect.clean_start) {
		tn_mqtt_connect_refuse(c, TN_MQTT_CLIENT_ID_INVALID);
		return;
	}
	if (assigned)
		id = assign_id(c->m, own);
	if (id.n > CLIENT_ID_MAX || tn_mqtt_bridge_name(id)) {
		tn_mqtt_connect_refuse(c, TN_MQTT_CLIENT_ID_INVALID);
		return;
	}
	/* A will is a publish. */
	if ((p->connect.has_will && !may_will(c, p)) ||
	    belongs_to_reader(c, tn_mqtt_session_find(c->m, id))) {
		tn_mqtt_connect_refuse(c, TN_MQTT_NOT_AUTHORIZED);
		return;
	}
	if (needs_room(c, p)) {
		tn_mqtt_connect_refuse(c, TN_MQTT_QUOTA_EXCEEDED);
		return;
	}
	if (p->connect.clean_start && forget(c, id)) {
		if (c->hello == NULL)
			keep_hello(c, p);
		c->step = CONN_CHECKING;
		tn_mqtt_conn_ref(c);
		tn_mqtt_store_sync(c->m->store, forgotten, c);
		return;
	}
	s = session_for(c, p, id, &present);
	if (s == NULL || !set_will(s, p)) {
		if (s != NULL && !present)
			tn_mqtt_session_end(s);
		tn_mqtt_connect_refuse(c, TN_MQTT_QUOTA_EXCEEDED);
		return;
	}
	take_limits(c, p);
	c->resends = present && s->unseen > 0 ? c->m->o.inflight_max : 0;
	open_session(c, s, p);
	tn_mqtt_session_keep(s, expiry_of(c, p));
	if (s->kept) {
		open_later(c, p, present, assigned);
		return;
	}
	send_connack(c, p, present, assigned);
	tn_mqtt_session_resume(s);
}

/* ---- who may --------------------------------------------------------- */

struct check {
	struct tn_net_job job;       /* First. */
	struct check *next;          /* Waits for its turn. */
	struct conn *conn;
	char *address;
	char *password;
	size_t bytes;
	enum tn_status status;
};

/* What came behind the CONNECT has its turn, unless there is more to wait. */
static void
greeted(struct conn *c)
{
	if (c->step == CONN_CHECKING)
		return;
	tn_arena_free(c->hello_arena);
	c->hello_arena = NULL;
	c->hello = NULL;
	c->stalled = true;
	tn_mqtt_conn_go_on(c);
}

static void
forgotten(void *arg, enum tn_status st)
{
	struct conn *c = arg;

	if (c->step == CONN_CHECKING) {
		c->step = CONN_NEW;
		if (st == TN_OK && !c->m->draining)
			admit(c, c->hello);
		else
			tn_mqtt_connect_refuse(c, st == TN_ENOSPC ?
			    TN_MQTT_QUOTA_EXCEEDED :
			    TN_MQTT_SERVER_UNAVAILABLE);
		greeted(c);
	}
	tn_mqtt_conn_unref(c);
}

/* Who came too often must wait: that says nothing about the password. */
static void
check_end(struct check *k)
{
	struct conn *c = k->conn;
	bool right = k->status == TN_OK;

	if (c->step == CONN_CHECKING) {
		/* As the first packet again, for those who refuse it. */
		c->step = CONN_NEW;
		c->may_publish = c->may_subscribe = right;
		if (right && !c->m->draining)
			admit(c, c->hello);
		else
			tn_mqtt_connect_refuse(c, k->status == TN_EFULL ?
			    TN_MQTT_SERVER_BUSY :
			    TN_MQTT_BAD_USER_OR_PASSWORD);
		greeted(c);
	}
	c->m->work--;
	tn_mqtt_conn_unref(c);
	tn_free(k->address);
	tn_free(k->password);
	tn_free(k);
}

static void run_check(struct tn_net_job *job);

/* Few at a time: each counts as a wrong guess until it is checked, and a fleet
 * behind one address that comes back at once must not look like a guesser. */
void
tn_mqtt_checks_go(struct tn_mqtt *m)
{
	while (m->checks != NULL && (m->draining ||
	    m->checking < CHECKS_AT_ONCE)) {
		struct check *k = m->checks;
		k->job.run = run_check;
		/* Others have all of the pool: the next second, or when one
		 * is back. */
		if (!m->draining && tn_net_pool_post(m->o.pool, &k->job) !=
		    TN_OK)
			return;
		m->checks = k->next;
		if (m->checks == NULL)
			m->checks_last = NULL;
		if (!m->draining) {
			m->checking++;
			continue;
		}
		k->status = TN_ECLOSED;
		check_end(k);
	}
}

static void
checked(struct tn_net_job *job)
{
	struct check *k = (struct check *)job;
	struct tn_mqtt *m = k->conn->m;

	m->checking--;
	check_end(k);
	tn_mqtt_checks_go(m);
}

static void
run_check(struct tn_net_job *job)
{
	struct check *k = (struct check *)job;
	char session[65];
	uint32_t wait_s = 0;
	struct tn_slice text = { (uint8_t *)k->password, k->bytes };

	k->status = tn_governance_login(k->conn->m->o.access, text,
	    k->address, session, &wait_s);
	if (k->status == TN_OK)
		tn_governance_logout(k->conn->m->o.access,
		    tn_slice_of(session));
	job->run = checked;
	tn_net_loop_post(k->conn->m->o.loop, job);
}

/* The packet is copied: what it points to is the stream's. */
static void
keep_hello(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_buf bytes = { 0 };
	uint8_t reason, *copy;
	enum tn_status st = tn_codec_mqtt_encode(&bytes, p);

	tn_assert(st == TN_OK);
	c->hello_arena = tn_arena_new(1024);
	copy = tn_arena_alloc(c->hello_arena, bytes.n);
	memcpy(copy, bytes.p, bytes.n);
	c->hello = tn_arena_zalloc(c->hello_arena, sizeof *c->hello);
	st = tn_codec_mqtt_decode((struct tn_slice){ copy, bytes.n }, 0,
	    c->hello_arena, c->hello, &reason);
	tn_assert(st == TN_OK);
	tn_buf_fini(&bytes);
}

/* Without the port: each connection has another one. */
static char *
address_of(const char *peer)
{
	const char *end = strrchr(peer, ':');

	if (peer[0] == '[' && end != NULL && end[-1] == ']')
		return tn_strndup(peer + 1, (size_t)(end - peer - 2));
	return end == NULL ? tn_strdup(peer) :
	    tn_strndup(peer, (size_t)(end - peer));
}

static void
check_password(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct check *k = tn_zalloc(sizeof *k);
	struct tn_mqtt *m = c->m;

	keep_hello(c, p);
	/* A new one that is set meanwhile ends the connection. */
	c->pass = tn_governance_password_pass(c->m->o.access);
	k->conn = c;
	k->address = address_of(tn_net_stream_peer(c->stream));
	k->bytes = p->connect.password.n;
	k->password = tn_strndup((const char *)p->connect.password.p,
	    k->bytes);
	c->step = CONN_CHECKING;
	tn_mqtt_conn_ref(c);
	m->work++;
	if (m->checks_last != NULL)
		m->checks_last->next = k;
	else
		m->checks = k;
	m->checks_last = k;
	tn_mqtt_checks_go(m);
}

static bool
is_token(struct tn_slice password)
{
	return password.n > 4 && memcmp(password.p, "trn_", 4) == 0;
}

static void
grant(struct conn *c, enum tn_governance_scope scope)
{
	c->may_publish = scope == TN_SCOPE_INGEST || scope == TN_SCOPE_ADMIN;
	c->may_subscribe = scope == TN_SCOPE_READ || scope == TN_SCOPE_ADMIN;
}

static void
check_token(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	enum tn_governance_scope scope = tn_governance_bearer_pass(
	    c->m->o.access, p->connect.password, &c->pass);

	grant(c, scope);
	if (scope == TN_SCOPE_NONE)
		tn_mqtt_connect_refuse(c, TN_MQTT_BAD_USER_OR_PASSWORD);
	else
		admit(c, p);
}

void
tn_mqtt_connect(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	c->version = p->version;
	if (c->m->draining) {
		/* CONNACK has no word for shutting down. */
		tn_mqtt_connect_refuse(c, TN_MQTT_SERVER_UNAVAILABLE);
		return;
	}
	if (has(&p->props, TN_MQTT_P_AUTH_METHOD)) {
		tn_mqtt_connect_refuse(c, TN_MQTT_BAD_AUTH_METHOD);
		return;
	}
	if (p->connect.has_password && is_token(p->connect.password)) {
		check_token(c, p);
		return;
	}
	if (c->stream != NULL && tn_net_stream_certificate(c->stream) != NULL)
		c->scope = TN_SCOPE_ADMIN;
	if (c->scope != TN_SCOPE_NONE) {
		grant(c, c->scope);
		admit(c, p);
		return;
	}
	if (p->connect.has_password && p->connect.password.n > 0)
		check_password(c, p);
	else
		tn_mqtt_connect_refuse(c, TN_MQTT_NOT_AUTHORIZED);
}

/* ---- the end --------------------------------------------------------- */

void
tn_mqtt_disconnected(struct conn *c)
{
	struct session *s = c->session;

	if (s == NULL)
		return;
	c->session = NULL;
	if (c->stream != NULL)
		c->reached = tn_net_stream_reached(c->stream);
	s->unseen = tn_mqtt_rings_settle(s, c);
	s->last_us = tn_mqtt_now_us();
	tn_mqtt_keep_sent(s);
	tn_mqtt_session_detach(s);
	s->expires_us = s->expiry_s == UINT32_MAX ? INT64_MAX :
	    s->last_us + s->expiry_s * SECOND_US;
	tn_mqtt_session_store(s);
	tn_mqtt_will_begin(s, !c->no_will);
	if (!s->kept)
		tn_mqtt_session_end(s);
}

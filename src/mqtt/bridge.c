/* bridge: a connection out, to another broker whose messages are taken as if
 * its clients were ours.
 *
 *   WAITING --due--> DIALLING --stream--> GREETING --CONNACK--> UP
 *      ^----------------'--------------------'-----------------'  on any end
 *
 * The connection is an ordinary one of conn.c in which we are the client
 * (conn->out): a PUBLISH that comes goes the way of all others (streams,
 * retained, subscribers; broker.c), is acknowledged after the sync, in order,
 * holds up reading while ingest is full, and is known again when it comes
 * twice: by its key, by the ring of the session (ring.c), and in QoS 2 by its
 * identifier (keep.c). The session is kept under a name that no client may
 * have: $bridge/client@host:port.
 *
 * This is no use of libmosquitto, though the issue named it: that
 * acknowledges when its callback returns, before our sync, and cannot be told
 * to wait.
 *
 * At the other broker the session never expires; 5.0 is spoken, as there
 * retained messages come once and not with each SUBSCRIBE, and no more is
 * under way than the ring remembers; 3.1.1 where 5.0 is refused. Which filters
 * that session has is kept in the store ('b', session number), so that only
 * what changed is subscribed to. When the other broker has no session (any
 * more), its identifiers begin anew, and so does our session.
 *
 * What can go wrong: the other broker is not there, refuses us, falls silent
 * (keep-alive), sends what is malformed: the connection ends, the reason is
 * said once and shown, and it is tried again after 1 s, 2 s, up to 60 s, each a
 * quarter more or less. */
#include "mqtt/mqtt_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "os/os.h"

#define NAME_PREFIX "$bridge/"
#define DIAL_MS 10000
#define DELAY_MIN_MS 1000u
#define DELAY_MAX_MS 60000u
#define PASSWORD_MAX 4096
#define SUBSCRIBE_ID 1           /* Packet identifiers of ours. */
#define UNSUBSCRIBE_ID 2
#define FILTERS_VERSION 1

enum bridge_step {
	BRIDGE_WAITING, BRIDGE_DIALLING, BRIDGE_GREETING, BRIDGE_UP,
};
struct bridge {
	struct bridge *next;
	struct tn_mqtt *m;
	const struct tn_mqtt_bridge *spec;
	struct tn_net_tls *tls;      /* NULL: plain. */
	char *password;              /* Or NULL. */
	char *session_name;
	enum bridge_step step;
	struct conn *conn;           /* GREETING, UP. */
	uint8_t version;
	bool refused;                /* A filter was, by the SUBACK. */
	uint8_t asked;               /* SUBSCRIBE, UNSUBSCRIBE under way. */
	uint32_t early;              /* Ends before CONNACK, in a row. */
	uint32_t delay_ms;
	int64_t due_us;              /* Monotonic: WAITING. */
	int64_t pinged_us;           /* Monotonic: UP. */
	/* What the other broker's session is known to have. */
	char **filters;
	uint32_t filter_count;
	uint8_t filter_qos;
	/* What is shown. */
	int64_t since_us, error_us;  /* Wall clock. */
	uint64_t messages, ups;
	char error[200];
	bool said;                   /* The error, since it was last up. */
	bool told;                   /* An error of this connection. */
	struct tn_counter *connected, *taken, *reconnects;
};

/* ---- small ----------------------------------------------------------- */

bool
tn_mqtt_bridge_name(struct tn_slice client_id)
{
	size_t n = strlen(NAME_PREFIX);

	return client_id.n >= n && memcmp(client_id.p, NAME_PREFIX, n) == 0;
}

static void
step_to(struct bridge *b, enum bridge_step step)
{
	static const uint8_t allowed[] = {
		[BRIDGE_WAITING] = 1 << BRIDGE_DIALLING,
		[BRIDGE_DIALLING] = 1 << BRIDGE_GREETING | 1 << BRIDGE_WAITING,
		[BRIDGE_GREETING] = 1 << BRIDGE_UP | 1 << BRIDGE_WAITING,
		[BRIDGE_UP] = 1 << BRIDGE_WAITING,
	};

	tn_assert((allowed[b->step] >> step & 1) != 0);
	if (step == BRIDGE_UP || b->step == BRIDGE_UP)
		b->since_us = tn_mqtt_now_us();
	b->step = step;
	tn_counter_set(b->connected, step == BRIDGE_UP);
}

static void TN_PRINTF(2, 3)
set_error(struct bridge *b, const char *fmt, ...)
{
	char text[sizeof b->error];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	b->error_us = tn_mqtt_now_us();
	b->told = true;
	if (b->said && strcmp(text, b->error) == 0)
		return;
	memcpy(b->error, text, sizeof text);
	b->said = true;
	tn_say(TN_WARN, "mqtt", "bridge %s: %s", b->spec->name, b->error);
}

static void
wait(struct bridge *b)
{
	uint32_t r;
	int64_t ms = b->delay_ms;

	tn_os_random(&r, sizeof r);
	ms += (int64_t)(r % (b->delay_ms / 2 + 1)) - b->delay_ms / 4;
	b->due_us = tn_os_mono_us() + ms * 1000;
	b->delay_ms = b->delay_ms * 2 < DELAY_MAX_MS ? b->delay_ms * 2 :
	    DELAY_MAX_MS;
	step_to(b, BRIDGE_WAITING);
}

/* ---- what the other session has -------------------------------------- */

static void
forget_filters(struct bridge *b)
{
	for (uint32_t i = 0; i < b->filter_count; i++)
		tn_free(b->filters[i]);
	tn_free(b->filters);
	b->filters = NULL;
	b->filter_count = 0;
}

static void
write_key(const struct session *s, uint8_t key[static 9])
{
	key[0] = 'b';
	for (int i = 0; i < 8; i++)
		key[1 + i] = (uint8_t)(s->number >> (56 - 8 * i));
}

static void
keep_filters(struct bridge *b, const struct session *s)
{
	const struct tn_mqtt_bridge *spec = b->spec;
	struct tn_buf *out = &b->m->scratch;
	uint8_t key[9];

	forget_filters(b);
	b->filters = tn_alloc(spec->topic_count * sizeof *b->filters);
	tn_buf_clear(out);
	tn_buf_char(out, FILTERS_VERSION);
	tn_buf_char(out, (char)spec->qos);
	tn_buf_varint(out, spec->topic_count);
	for (uint32_t i = 0; i < spec->topic_count; i++) {
		size_t n = strlen(spec->topics[i]);
		b->filters[b->filter_count++] = tn_strdup(spec->topics[i]);
		tn_buf_varint(out, n);
		tn_buf_add(out, spec->topics[i], n);
	}
	b->filter_qos = spec->qos;
	write_key(s, key);
	tn_mqtt_store_put(b->m->store, (struct tn_slice){ key, sizeof key },
	    (struct tn_slice){ out->p, out->n });
}

static bool
load_filters(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct bridge *b = arg;
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c), qos = tn_cursor_u8(&c);
	uint64_t n = tn_cursor_varint(&c);

	(void)key;
	if (c.failed || version != FILTERS_VERSION || n > value.n)
		return true;            /* Subscribed to once more. */
	b->filter_qos = qos;
	b->filters = tn_alloc((n + 1) * sizeof *b->filters);
	while (n-- > 0 && !c.failed) {
		struct tn_slice f = tn_cursor_bytes(&c, tn_cursor_varint(&c));
		if (!c.failed)
			b->filters[b->filter_count++] = tn_strndup(
			    (const char *)f.p, f.n);
	}
	return true;
}

static void
end_session(struct tn_mqtt *m, struct session *s)
{
	uint8_t key[9];

	write_key(s, key);
	tn_mqtt_store_drop(m->store, (struct tn_slice){ key, sizeof key });
	tn_mqtt_session_end(s);
}

static struct session *
session_of(const struct bridge *b)
{
	return tn_mqtt_session_find(b->m, tn_slice_of(b->session_name));
}

/* ---- subscribing ----------------------------------------------------- */

static bool
is_among(const char *text, char *const *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

/* The filters that are in ${from} and not in ${other}; returns how many. */
static uint32_t
only_in(char *const *from, uint32_t count, char *const *other,
    uint32_t other_count, struct tn_codec_mqtt_filter *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!is_among(from[i], other, other_count))
			out[n++].filter = tn_slice_of(from[i]);
	return n;
}

static void
send_filters(struct bridge *b, uint8_t type,
    const struct tn_codec_mqtt_filter *filters, uint32_t count)
{
	struct tn_codec_mqtt_packet p = { .type = type,
	    .version = b->conn->version, .filters = filters,
	    .filter_count = count, .id = type == TN_MQTT_SUBSCRIBE ?
	    SUBSCRIBE_ID : UNSUBSCRIBE_ID };

	if (count == 0)
		return;
	b->asked++;
	if (!tn_mqtt_conn_send(b->conn, &p)) {
		set_error(b, "the broker takes no packet as long as our "
		    "topics");
		tn_mqtt_conn_end(b->conn, 0);
	}
}

/* Our session is on disk. What of the setting is new, and what has gone. */
static void
subscribe(void *arg, enum tn_status st)
{
	struct conn *c = arg;
	struct bridge *b = c->out;
	struct tn_codec_mqtt_filter *f;
	const struct tn_mqtt_bridge *spec;
	uint32_t n, had;

	if (c->step != CONN_OPEN || b == NULL || b->conn != c) {
		tn_mqtt_conn_unref(c);
		return;
	}
	spec = b->spec;
	n = b->filter_count + spec->topic_count;
	f = tn_zalloc(n * sizeof *f);
	if (st != TN_OK)
		tn_mqtt_conn_end(c, TN_MQTT_IMPLEMENTATION_ERROR);
	n = only_in(b->filters, b->filter_count, spec->topics,
	    spec->topic_count, f);
	send_filters(b, TN_MQTT_UNSUBSCRIBE, f, n);
	had = spec->qos == b->filter_qos ? b->filter_count : 0;
	n = only_in(spec->topics, spec->topic_count, b->filters, had, f);
	for (uint32_t i = 0; i < n; i++) {
		f[i].qos = spec->qos;
		if (c->version != TN_MQTT_V5)
			continue;
		f[i].retain_as_published = true;
		f[i].retain_handling = 1;       /* Once. */
	}
	send_filters(b, TN_MQTT_SUBSCRIBE, f, n);
	tn_free(f);
	tn_mqtt_conn_unref(c);
}

/* Reasons are in the order of the filters that were sent: found again the same
 * way, as nothing has changed since. */
static void
on_suback(struct bridge *b, const struct tn_codec_mqtt_packet *p)
{
	const struct tn_mqtt_bridge *spec = b->spec;
	uint32_t had = spec->qos == b->filter_qos ? b->filter_count : 0;
	uint32_t at = 0;

	for (uint32_t i = 0; i < spec->topic_count && at < p->reasons.n;
	    i++) {
		uint8_t reason;
		if (is_among(spec->topics[i], b->filters, had))
			continue;
		reason = p->reasons.p[at++];
		b->refused = b->refused || reason >= 0x80;
		if (reason >= 0x80)
			set_error(b, "topic filter %s is refused (0x%02x)",
			    spec->topics[i], reason);
		else if (reason < spec->qos)
			set_error(b, "topic filter %s is granted only QoS %u",
			    spec->topics[i], reason);
	}
}

static void
on_answer(struct bridge *b, const struct tn_codec_mqtt_packet *p)
{
	struct conn *c = b->conn;

	if (p->type == TN_MQTT_SUBACK)
		on_suback(b, p);
	if (b->asked > 0 && --b->asked == 0 && !b->refused &&
	    c->session != NULL)
		keep_filters(b, c->session);
}

/* ---- CONNECT and CONNACK --------------------------------------------- */

static void
greet(struct bridge *b)
{
	const struct tn_mqtt_opts *o = &b->m->o;
	const struct tn_mqtt_bridge *spec = b->spec;
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT,
	    .version = b->version };
	struct tn_codec_mqtt_props *x = &p.props;

	p.connect.client_id = tn_slice_of(spec->client);
	p.connect.keep_alive_s = spec->keep_alive_s;
	p.connect.has_user = spec->user != NULL;
	p.connect.has_password = b->password != NULL;
	if (spec->user != NULL)
		p.connect.user = tn_slice_of(spec->user);
	if (b->password != NULL)
		p.connect.password = tn_slice_of(b->password);
	if (b->version == TN_MQTT_V5) {
		x->present = UINT64_C(1) << TN_MQTT_P_SESSION_EXPIRY |
		    UINT64_C(1) << TN_MQTT_P_RECEIVE_MAX |
		    UINT64_C(1) << TN_MQTT_P_PACKET_MAX |
		    UINT64_C(1) << TN_MQTT_P_TOPIC_ALIAS_MAX;
		x->session_expiry_s = UINT32_MAX;
		x->receive_max = (uint16_t)(o->inflight_max < 65535 ?
		    o->inflight_max : 65535);
		x->packet_max = (uint32_t)o->packet_bytes_max;
		x->topic_alias_max = (uint16_t)o->topic_alias_max;
	}
	(void)!tn_mqtt_conn_send(b->conn, &p);
}

/* Not this version: the other one next, unless one was asked for. */
static void
other_version(struct bridge *b)
{
	if (b->spec->version == 0)
		b->version = b->version == TN_MQTT_V5 ? TN_MQTT_V311 :
		    TN_MQTT_V5;
	b->early = 0;
}

static void
on_refusal(struct bridge *b, const struct tn_codec_mqtt_packet *p)
{
	static const uint8_t reasons[] = { 0, TN_MQTT_UNSUPPORTED_VERSION,
	    TN_MQTT_CLIENT_ID_INVALID, TN_MQTT_SERVER_UNAVAILABLE,
	    TN_MQTT_BAD_USER_OR_PASSWORD, TN_MQTT_NOT_AUTHORIZED };
	uint8_t reason = p->reason < sizeof reasons ? reasons[p->reason] :
	    p->reason;

	switch (reason) {
	case TN_MQTT_UNSUPPORTED_VERSION:
		set_error(b, "the broker does not speak MQTT %s",
		    b->version == TN_MQTT_V5 ? "5.0" : "3.1.1");
		other_version(b);
		break;
	case TN_MQTT_CLIENT_ID_INVALID:
		set_error(b, "the broker does not take the client identifier");
		break;
	case TN_MQTT_SERVER_UNAVAILABLE:
		set_error(b, "the broker is not available");
		break;
	case TN_MQTT_BAD_USER_OR_PASSWORD:
	case TN_MQTT_NOT_AUTHORIZED:
		set_error(b, "the broker refuses user and password: wrong, or "
		    "not authorized");
		break;
	default:
		set_error(b, "the broker refuses the connection (0x%02x)",
		    reason);
	}
	tn_mqtt_conn_end(b->conn, 0);
}

/* NULL: there are too many. */
static struct session *
take_session(struct bridge *b, bool present)
{
	struct session *s = session_of(b);

	if (s != NULL && !present) {
		end_session(b->m, s);
		s = NULL;
	}
	if (s == NULL) {
		forget_filters(b);
		s = tn_mqtt_session_new(b->m, tn_slice_of(b->session_name),
		    UINT32_MAX);
	}
	return s;
}

static void
on_connack(struct bridge *b, const struct tn_codec_mqtt_packet *p)
{
	const struct tn_codec_mqtt_props *x = &p->props;
	struct conn *c = b->conn;
	struct session *s = take_session(b, p->session_present);

	if (s == NULL) {
		set_error(b, "no room for its session: mqtt_sessions_max");
		tn_mqtt_conn_end(c, 0);
		return;
	}
	tn_assert(s->conn == NULL);
	c->session = s;
	s->conn = c;
	s->since_us = s->last_us = tn_mqtt_now_us();
	c->step = CONN_OPEN;
	c->may_publish = true;
	s->opened++;
	c->resends = p->session_present ? b->m->o.inflight_max : 0;
	c->receive_max = b->m->o.inflight_max;
	c->keep_alive_s = b->spec->keep_alive_s;
	if ((x->present >> TN_MQTT_P_SERVER_KEEP_ALIVE & 1) != 0)
		c->keep_alive_s = x->server_keep_alive_s;
	if ((x->present >> TN_MQTT_P_PACKET_MAX & 1) != 0)
		c->packet_bytes_max = x->packet_max;
	tn_mqtt_session_keep(s, UINT32_MAX);
	if (b->ups++ > 0)
		tn_counter_add(b->reconnects, 1);
	b->early = 0;
	b->asked = 0;
	b->refused = b->said = false;
	b->delay_ms = DELAY_MIN_MS;
	b->pinged_us = tn_os_mono_us();
	step_to(b, BRIDGE_UP);
	tn_say(TN_INFO, "mqtt", "bridge %s: connected, MQTT %s, %s session",
	    b->spec->name, c->version == TN_MQTT_V5 ? "5.0" : "3.1.1",
	    p->session_present ? "kept" : "new");
	tn_mqtt_conn_ref(c);
	tn_mqtt_store_sync_patient(b->m->store, subscribe, c);
}

/* ---- what conn.c tells ----------------------------------------------- */

static void
on_disconnect(struct bridge *b, const struct tn_codec_mqtt_packet *p)
{
	if (p->reason == TN_MQTT_SESSION_TAKEN_OVER) {
		set_error(b, "another client connected as \"%s\"",
		    b->spec->client);
		b->delay_ms = DELAY_MAX_MS;     /* No quarrel. */
	} else {
		set_error(b, "the broker ended the connection (0x%02x)",
		    p->reason);
	}
	tn_mqtt_conn_end(b->conn, 0);
}

void
tn_mqtt_bridge_packet(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct bridge *b = c->out;

	tn_assert(b->conn == c);
	if (b->step == BRIDGE_GREETING && p->type == TN_MQTT_CONNACK) {
		if (p->reason == 0)
			on_connack(b, p);
		else
			on_refusal(b, p);
		return;
	}
	if (b->step == BRIDGE_UP && p->type == TN_MQTT_PINGRESP)
		return;
	if (b->step == BRIDGE_UP && (p->type == TN_MQTT_SUBACK ||
	    p->type == TN_MQTT_UNSUBACK)) {
		on_answer(b, p);
		return;
	}
	if (b->step == BRIDGE_UP && p->type == TN_MQTT_DISCONNECT) {
		on_disconnect(b, p);
		return;
	}
	set_error(b, "the broker sent a packet out of turn (type %u)",
	    (unsigned)p->type);
	tn_mqtt_conn_end(c, TN_MQTT_PROTOCOL_ERROR);
}

/* An old broker refuses 5.0 with a CONNACK of its own version. */
void
tn_mqtt_bridge_malformed(struct conn *c)
{
	struct bridge *b = c->out;

	set_error(b, "the broker sent a malformed packet, or one over "
	    "mqtt_packet_bytes");
	if (b->step == BRIDGE_GREETING)
		other_version(b);
}

void
tn_mqtt_bridge_took(struct conn *c)
{
	c->out->messages++;
	tn_counter_add(c->out->taken, 1);
}

static void
connected(void *arg, struct tn_net_stream *s, enum tn_status st)
{
	struct bridge *b = arg;

	if (s == NULL) {
		if (st != TN_ECLOSED)
			set_error(b, "cannot connect: %s",
			    tn_status_text(st));
		wait(b);
		return;
	}
	step_to(b, BRIDGE_GREETING);
	b->told = false;
	b->conn = tn_mqtt_conn_new(b->m, s, b->tls != NULL ? TN_MQTT_TLS :
	    TN_MQTT_TCP, TN_SCOPE_NONE);
	b->conn->out = b;
	b->conn->version = b->version;
	if (b->conn->step == CONN_NEW)
		greet(b);
}

static void
dial(struct bridge *b)
{
	step_to(b, BRIDGE_DIALLING);
	tn_net_connect(b->m->o.loop, b->spec->address, b->tls, NULL, DIAL_MS,
	    connected, b);
}

static void
tell_end(struct bridge *b, const struct conn *c, enum tn_status why)
{
	if (b->step == BRIDGE_GREETING) {
		set_error(b, "the broker did not answer CONNECT");
		if (++b->early == 2)
			other_version(b);
	} else if (c->step == CONN_OPEN) {
		set_error(b, "the connection is lost (%s)", why == TN_END ?
		    "the broker ended it" : tn_status_text(why));
	} else {
		set_error(b, "the connection was given up: the broker fell "
		    "silent, or the log takes nothing");
	}
}

void
tn_mqtt_bridge_closed(struct conn *c, enum tn_status why)
{
	struct bridge *b = c->out;

	tn_assert(b->conn == c);
	b->conn = NULL;
	c->out = NULL;
	if (!b->told && !b->m->draining)
		tell_end(b, c, why);
	wait(b);
}

/* ---- all of them ----------------------------------------------------- */

static enum tn_status
read_password(struct bridge *b, struct tn_diag *d)
{
	struct tn_buf text = { 0 };
	enum tn_status st;

	if (b->spec->password != NULL)
		b->password = tn_strdup(b->spec->password);
	if (b->spec->password_file == NULL)
		return TN_OK;
	st = tn_os_read_file(b->spec->password_file, &text, PASSWORD_MAX);
	if (st == TN_OK)
		b->password = tn_strndup((const char *)text.p,
		    strcspn(tn_buf_cstr(&text), "\r\n"));
	else
		tn_diag_set(d, st, "mqtt_bridge", "mqtt_bridge: cannot read "
		    "password_file %s: %s", b->spec->password_file,
		    tn_status_text(st));
	tn_buf_fini(&text);
	return st;
}

static void
get_counters(struct bridge *b)
{
	struct tn_buf label = { 0 };

	tn_counter_label(&label, "bridge", b->spec->name);
	b->connected = tn_counter_get(TN_GAUGE,
	    "tarn_mqtt_bridge_connected", tn_buf_cstr(&label),
	    "1: the bridge is connected to its broker.");
	b->taken = tn_counter_get(TN_COUNTER,
	    "tarn_mqtt_bridge_messages_total", tn_buf_cstr(&label),
	    "Messages taken from the other broker.");
	b->reconnects = tn_counter_get(TN_COUNTER,
	    "tarn_mqtt_bridge_reconnects_total", tn_buf_cstr(&label),
	    "Connections after the first one.");
	tn_buf_fini(&label);
}

static enum tn_status
make(struct tn_mqtt *m, const struct tn_mqtt_bridge *spec, struct tn_diag *d)
{
	struct bridge *b = tn_zalloc(sizeof *b);
	struct tn_net_tls_opts tls = { .ca_file = spec->ca_file };
	enum tn_status st;
	struct session *s;
	uint8_t key[9];

	b->m = m;
	b->spec = spec;
	b->version = spec->version != 0 ? spec->version : TN_MQTT_V5;
	b->delay_ms = DELAY_MIN_MS;
	b->since_us = tn_mqtt_now_us();
	b->session_name = tn_alloc(strlen(NAME_PREFIX) + strlen(spec->name) +
	    1);
	sprintf(b->session_name, NAME_PREFIX "%s", spec->name);
	b->next = m->bridges;
	m->bridges = b;
	get_counters(b);
	st = read_password(b, d);
	if (st == TN_OK && spec->tls)
		st = tn_net_tls_new(&b->tls, &tls, d);
	s = session_of(b);
	if (st != TN_OK || s == NULL)
		return st;
	write_key(s, key);
	return tn_mqtt_store_each(m->store, (struct tn_slice){ key,
	    sizeof key }, load_filters, b);
}

/* Sessions of bridges that the setting has no more. */
static void
drop_others(struct tn_mqtt *m, uint32_t bucket)
{
	for (struct session *s = m->buckets[bucket]; s != NULL; ) {
		struct session *next = s->next_of_bucket;
		bool wanted = !tn_mqtt_bridge_name(tn_slice_of(s->client_id));
		for (const struct bridge *b = m->bridges; b != NULL;
		    b = b->next)
			wanted = wanted || strcmp(b->session_name,
			    s->client_id) == 0;
		if (!wanted)
			end_session(m, s);
		s = next;
	}
}

enum tn_status
tn_mqtt_bridges_new(struct tn_mqtt *m, struct tn_diag *d)
{
	enum tn_status st = tn_mqtt_bridges_parse(&m->bridge_specs,
	    m->o.bridge != NULL ? m->o.bridge : "", d);

	/* Each becomes the head: so they are listed as the setting has them. */
	for (uint32_t i = m->bridge_specs->count; st == TN_OK && i > 0; i--)
		st = make(m, &m->bridge_specs->items[i - 1], d);
	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; i < m->bucket_count; i++)
		drop_others(m, i);
	for (struct bridge *b = m->bridges; b != NULL; b = b->next)
		dial(b);
	return TN_OK;
}

static void
ping(struct bridge *b, int64_t mono_us)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PINGREQ,
	    .version = b->conn->version };

	if (b->conn->keep_alive_s == 0 || mono_us - b->pinged_us <
	    b->conn->keep_alive_s * INT64_C(500000))
		return;
	b->pinged_us = mono_us;
	(void)!tn_mqtt_conn_send(b->conn, &p);
}

void
tn_mqtt_bridges_tick(struct tn_mqtt *m, int64_t mono_us)
{
	for (struct bridge *b = m->bridges; b != NULL && !m->draining;
	    b = b->next) {
		if (b->step == BRIDGE_WAITING && mono_us >= b->due_us)
			dial(b);
		else if (b->step == BRIDGE_UP)
			ping(b, mono_us);
	}
}

/* Without a word about expiry: the other session stays (5.0, 3.14.2.2.2). */
void
tn_mqtt_bridges_drain(struct tn_mqtt *m)
{
	for (struct bridge *b = m->bridges; b != NULL; b = b->next) {
		struct tn_codec_mqtt_packet p = { .type = TN_MQTT_DISCONNECT };
		if (b->conn == NULL)
			continue;
		p.version = b->conn->version;
		if (b->step == BRIDGE_UP)
			(void)!tn_mqtt_conn_send(b->conn, &p);
		tn_mqtt_conn_end(b->conn, 0);
	}
}

void
tn_mqtt_bridges_end(struct tn_mqtt *m)
{
	/* Dials of a start that failed, too: each hears its end. */
	if (m->bridges != NULL)
		tn_net_loop_settle(m->o.loop);
	while (m->bridges != NULL) {
		struct bridge *b = m->bridges;
		m->bridges = b->next;
		tn_assert(b->step == BRIDGE_WAITING);
		tn_net_tls_free(b->tls);
		forget_filters(b);
		tn_free(b->password);
		tn_free(b->session_name);
		tn_free(b);
	}
	tn_mqtt_bridges_free(m->bridge_specs);
}

void
tn_mqtt_bridges(struct tn_mqtt *m, void (*each)(void *arg,
    const struct tn_mqtt_bridge_state *b), void *arg)
{
	for (const struct bridge *b = m->bridges; b != NULL; b = b->next) {
		struct tn_mqtt_bridge_state out = { .bridge = b->spec,
		    .connected = b->step == BRIDGE_UP, .version = b->version,
		    .since_us = b->since_us, .messages = b->messages,
		    .reconnects = b->ups > 0 ? b->ups - 1 : 0,
		    .last_error = b->error, .error_us = b->error_us };
		each(arg, &out);
	}
}

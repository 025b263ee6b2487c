/* message: one application message, shared by everything that sends or keeps
 * it: queues of sessions, retained messages, wills. One allocation:
 *
 *   struct message | user properties | topic, payload, texts
 *
 * Saved (store.c): when it expires (u64, wall clock in microseconds, 0 never)
 * and whom it is from (u64), then a whole 5.0 PUBLISH packet, QoS and retain flag in it. */
#include "mqtt/mqtt_int.h"

#define SECOND_US INT64_C(1000000)

/* Those that go on to subscribers (5.0, section 3.3.2.3). */
#define SENT_ON (UINT64_C(1) << TN_MQTT_P_PAYLOAD_FORMAT | \
	UINT64_C(1) << TN_MQTT_P_CONTENT_TYPE | \
	UINT64_C(1) << TN_MQTT_P_RESPONSE_TOPIC | \
	UINT64_C(1) << TN_MQTT_P_CORRELATION | \
	UINT64_C(1) << TN_MQTT_P_USER)

struct parts {
	struct tn_slice topic, payload;
	const struct tn_codec_mqtt_props *props;
};

static size_t
bytes_of(const struct parts *p)
{
	const struct tn_codec_mqtt_props *x = p->props;
	size_t n = p->topic.n + p->payload.n;

	if ((x->present & SENT_ON) == 0)
		return n;
	n += x->content_type.n + x->response_topic.n + x->correlation.n;
	for (uint32_t i = 0; i < x->user_count; i++)
		n += sizeof *x->users + x->users[i].name.n +
		    x->users[i].value.n;
	return n;
}

static struct tn_slice
put(uint8_t **at, struct tn_slice s)
{
	struct tn_slice copy = { *at, s.n };

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

static void
put_props(struct message *m, const struct tn_codec_mqtt_props *x,
    struct tn_codec_mqtt_user *users, uint8_t **at)
{
	struct tn_codec_mqtt_props *to = &m->props;

	to->present = x->present & SENT_ON;
	if (to->present == 0)
		return;
	to->payload_format = x->payload_format;
	to->content_type = put(at, x->content_type);
	to->response_topic = put(at, x->response_topic);
	to->correlation = put(at, x->correlation);
	to->users = users;
	to->user_count = x->user_count;
	for (uint32_t i = 0; i < x->user_count; i++) {
		users[i].name = put(at, x->users[i].name);
		users[i].value = put(at, x->users[i].value);
	}
}

static struct message *
make(const struct parts *p, int64_t now_us)
{
	const struct tn_codec_mqtt_props *x = p->props;
	size_t bytes = sizeof(struct message) + bytes_of(p);
	struct message *m = tn_try_alloc(bytes);
	struct tn_codec_mqtt_user *users;
	uint8_t *at;

	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof *m);
	users = (struct tn_codec_mqtt_user *)(m + 1);
	at = (uint8_t *)(users + ((x->present & SENT_ON) != 0 ?
	    x->user_count : 0));
	m->refs = 1;
	m->bytes = bytes;
	m->topic = put(&at, p->topic);
	m->payload = put(&at, p->payload);
	put_props(m, x, users, &at);
	tn_assert(at == (uint8_t *)m + bytes);
	if ((x->present >> TN_MQTT_P_MESSAGE_EXPIRY & 1) != 0)
		m->expires_us = now_us + x->message_expiry_s * SECOND_US;
	return m;
}

struct message *
tn_mqtt_message_new(const struct tn_codec_mqtt_packet *p, int64_t now_us)
{
	struct parts parts = { p->topic, p->payload, &p->props };
	struct message *m = make(&parts, now_us);

	if (m == NULL)
		return NULL;
	m->qos = p->qos;
	m->retain = p->retain;
	return m;
}

struct message *
tn_mqtt_message_of_will(const struct tn_codec_mqtt_packet *p,
    int64_t now_us)
{
	struct parts parts = { p->connect.will_topic, p->connect.will_payload,
	    &p->connect.will_props };
	struct message *m = make(&parts, now_us);

	if (m == NULL)
		return NULL;
	m->qos = p->connect.will_qos;
	m->retain = p->connect.will_retain;
	return m;
}

void
tn_mqtt_message_unref(struct message *m)
{
	if (m == NULL)
		return;
	tn_assert(m->refs > 0);
	if (--m->refs == 0)
		tn_free(m);
}

/* ---- saved ----------------------------------------------------------- */

void
tn_mqtt_message_save(const struct message *m, struct tn_buf *out)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .qos = m->qos, .retain = m->retain,
	    .id = m->qos > 0 ? 1 : 0, .topic = m->topic,
	    .payload = m->payload, .props = m->props };
	enum tn_status st;

	tn_buf_u64(out, (uint64_t)m->expires_us);
	tn_buf_u64(out, m->from);
	st = tn_codec_mqtt_encode(out, &p);
	tn_assert(st == TN_OK);         /* It came as a packet. */
}

struct message *
tn_mqtt_message_load(struct tn_slice bytes)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_cursor c = { bytes.p, bytes.p + bytes.n, false };
	struct tn_codec_mqtt_packet p;
	struct message *m = NULL;
	int64_t expires_us = (int64_t)tn_cursor_u64(&c);
	uint64_t from = tn_cursor_u64(&c);
	uint8_t reason;

	if (!c.failed && tn_codec_mqtt_decode((struct tn_slice){ c.p,
	    (size_t)(c.end - c.p) }, TN_MQTT_V5, a, &p, &reason) == TN_OK &&
	    p.type == TN_MQTT_PUBLISH)
		m = tn_mqtt_message_new(&p, 0);
	if (m != NULL) {
		m->expires_us = expires_us;
		m->from = from;
	}
	tn_arena_free(a);
	return m;
}

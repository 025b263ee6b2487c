/* mqtt_props: the two tables of MQTT 5.0 that decode and encode share:
 * properties (section 2.2.2.2, values as in sections 3.1 to 3.15) and reason
 * codes (section 2.4, with the tables of the packets), and how properties
 * are read and written by the table.
 *
 * A property that the type may not carry, or whose value is cut short, is
 * malformed; one that comes twice, or a value that is not allowed, is a
 * protocol error, except where the standard names another code. */
#include "codec/mqtt_int.h"

#include <assert.h>

/* ---- properties ------------------------------------------------------ */

enum kind {
	NONE,
	BYTE,           /* All of them are 0 or 1. */
	TWO,
	FOUR,
	VARINT,         /* Subscription identifiers. */
	TEXT,
	NAME,           /* A topic name. */
	BINARY,
	PAIR,           /* User properties. */
};

#define B(type) (1u << TN_MQTT_##type)
#define WILL (1u << TN_CODEC_MQTT_WILL)
#define MESSAGE (B(PUBLISH) | WILL)
#define CALL (B(CONNECT) | B(CONNACK))
#define ACKS (B(PUBACK) | B(PUBREC) | B(PUBREL) | B(PUBCOMP) | B(SUBACK) | \
	B(UNSUBACK))
#define EVERY (CALL | MESSAGE | ACKS | B(SUBSCRIBE) | B(UNSUBSCRIBE) | \
	B(DISCONNECT) | B(AUTH))
#define AT(field) offsetof(struct tn_codec_mqtt_props, field)

/* By identifier. */
static const struct property {
	uint8_t kind;
	uint8_t zero;           /* Reason code when the value is 0. */
	uint16_t types;         /* Bits: who may carry it. */
	uint16_t repeats;       /* Bits: where it may come more than once. */
	uint16_t at;            /* In struct tn_codec_mqtt_props. */
} properties[] = {
	[TN_MQTT_P_PAYLOAD_FORMAT] = { BYTE, 0, MESSAGE, 0,
	    AT(payload_format) },
	[TN_MQTT_P_MESSAGE_EXPIRY] = { FOUR, 0, MESSAGE, 0,
	    AT(message_expiry_s) },
	[TN_MQTT_P_CONTENT_TYPE] = { TEXT, 0, MESSAGE, 0, AT(content_type) },
	[TN_MQTT_P_RESPONSE_TOPIC] = { NAME, 0, MESSAGE, 0,
	    AT(response_topic) },
	[TN_MQTT_P_CORRELATION] = { BINARY, 0, MESSAGE, 0, AT(correlation) },
	[TN_MQTT_P_SUBSCRIPTION_ID] = { VARINT, TN_MQTT_PROTOCOL_ERROR,
	    B(PUBLISH) | B(SUBSCRIBE), B(PUBLISH), AT(sub_ids) },
	[TN_MQTT_P_SESSION_EXPIRY] = { FOUR, 0, CALL | B(DISCONNECT), 0,
	    AT(session_expiry_s) },
	[TN_MQTT_P_ASSIGNED_ID] = { TEXT, 0, B(CONNACK), 0,
	    AT(assigned_id) },
	[TN_MQTT_P_SERVER_KEEP_ALIVE] = { TWO, 0, B(CONNACK), 0,
	    AT(server_keep_alive_s) },
	[TN_MQTT_P_AUTH_METHOD] = { TEXT, 0, CALL | B(AUTH), 0,
	    AT(auth_method) },
	[TN_MQTT_P_AUTH_DATA] = { BINARY, 0, CALL | B(AUTH), 0,
	    AT(auth_data) },
	[TN_MQTT_P_REQUEST_PROBLEM] = { BYTE, 0, B(CONNECT), 0,
	    AT(request_problem) },
	[TN_MQTT_P_WILL_DELAY] = { FOUR, 0, WILL, 0, AT(will_delay_s) },
	[TN_MQTT_P_REQUEST_RESPONSE] = { BYTE, 0, B(CONNECT), 0,
	    AT(request_response) },
	[TN_MQTT_P_RESPONSE_INFO] = { TEXT, 0, B(CONNACK), 0,
	    AT(response_info) },
	[TN_MQTT_P_SERVER_REFERENCE] = { TEXT, 0, B(CONNACK) | B(DISCONNECT),
	    0, AT(server_reference) },
	[TN_MQTT_P_REASON_STRING] = { TEXT, 0, B(CONNACK) | ACKS |
	    B(DISCONNECT) | B(AUTH), 0, AT(reason_string) },
	[TN_MQTT_P_RECEIVE_MAX] = { TWO, TN_MQTT_PROTOCOL_ERROR, CALL, 0,
	    AT(receive_max) },
	[TN_MQTT_P_TOPIC_ALIAS_MAX] = { TWO, 0, CALL, 0,
	    AT(topic_alias_max) },
	[TN_MQTT_P_TOPIC_ALIAS] = { TWO, TN_MQTT_TOPIC_ALIAS_INVALID,
	    B(PUBLISH), 0, AT(topic_alias) },
	[TN_MQTT_P_MAXIMUM_QOS] = { BYTE, 0, B(CONNACK), 0,
	    AT(maximum_qos) },
	[TN_MQTT_P_RETAIN_AVAILABLE] = { BYTE, 0, B(CONNACK), 0,
	    AT(retain_available) },
	[TN_MQTT_P_USER] = { PAIR, 0, EVERY, EVERY, AT(users) },
	[TN_MQTT_P_PACKET_MAX] = { FOUR, TN_MQTT_PROTOCOL_ERROR, CALL, 0,
	    AT(packet_max) },
	[TN_MQTT_P_WILDCARD_AVAILABLE] = { BYTE, 0, B(CONNACK), 0,
	    AT(wildcard_available) },
	[TN_MQTT_P_SUB_ID_AVAILABLE] = { BYTE, 0, B(CONNACK), 0,
	    AT(sub_id_available) },
	[TN_MQTT_P_SHARED_AVAILABLE] = { BYTE, 0, B(CONNACK), 0,
	    AT(shared_available) },
};
static_assert(TN_COUNT(properties) <= 64, "identifiers are bits of 64");
static_assert(sizeof(struct tn_codec_mqtt_props) < UINT16_MAX, "at fits");

/* ---- reading --------------------------------------------------------- */

static uint32_t
read_varint(struct tn_codec_mqtt_reader *r)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t c = mqtt_u8(r);

		v |= (uint32_t)(c & 127) << (7 * i);
		if (c >= 0x80)
			continue;
		/* The fewest bytes are the only form [MQTT-1.5.5-1]. */
		if (c == 0 && i > 0)
			mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		return v;
	}
	mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	return 0;
}

static uint32_t
read_u32(struct tn_codec_mqtt_reader *r)
{
	uint32_t high = mqtt_u16(r);

	return high << 16 | mqtt_u16(r);
}

static const struct property *
property_of(uint8_t id)
{
	return &properties[id < TN_COUNT(properties) ? id : 0];
}

static void
skip_value(struct tn_codec_mqtt_reader *r, const struct property *e)
{
	switch ((enum kind)e->kind) {
	case BYTE:
		(void)mqtt_u8(r);
		break;
	case TWO:
		(void)mqtt_u16(r);
		break;
	case FOUR:
		(void)read_u32(r);
		break;
	case VARINT:
		(void)read_varint(r);
		break;
	case PAIR:
		(void)mqtt_binary(r);
		(void)mqtt_binary(r);
		break;
	case NONE:
		r->p = r->end;
		break;
	default:
		(void)mqtt_binary(r);
	}
}

/* Room for this and all that follow of a property that may repeat, when the
 * reader stands at the value of the first. NULL when memory is out. */
static void *
room(struct tn_codec_mqtt_reader *r, uint8_t id, size_t size)
{
	struct tn_codec_mqtt_reader ahead = *r;
	size_t count = 1;
	void *p;

	skip_value(&ahead, property_of(id));
	while (ahead.p < ahead.end) {
		uint8_t next = *ahead.p++;

		count += next == id;
		skip_value(&ahead, property_of(next));
	}
	p = tn_arena_try_alloc(r->arena, count * size);
	if (p == NULL) {
		r->no_memory = true;
		mqtt_fail(r, TN_MQTT_QUOTA_EXCEEDED);
	}
	return p;
}

static void
read_user(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_props *out)
{
	struct tn_codec_mqtt_user *users = (void *)out->users;

	if (users == NULL)
		users = room(r, TN_MQTT_P_USER, sizeof *users);
	if (users == NULL)
		return;
	users[out->user_count].name = mqtt_text(r);
	users[out->user_count++].value = mqtt_text(r);
	out->users = users;
}

static void
read_sub_id(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_props *out)
{
	uint32_t *ids = (void *)out->sub_ids;
	uint32_t id;

	if (ids == NULL)
		ids = room(r, TN_MQTT_P_SUBSCRIPTION_ID, sizeof *ids);
	if (ids == NULL)
		return;
	id = read_varint(r);
	if (id == 0)
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
	ids[out->sub_id_count++] = id;
	out->sub_ids = ids;
}

static void
read_value(struct tn_codec_mqtt_reader *r, const struct property *e,
    struct tn_codec_mqtt_props *out)
{
	void *at = (uint8_t *)out + e->at;
	struct tn_slice s;
	uint32_t four;
	uint16_t two;

	switch ((enum kind)e->kind) {
	case BYTE:
		*(uint8_t *)at = mqtt_u8(r);
		if (*(uint8_t *)at > 1)
			mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
		break;
	case TWO:
		two = mqtt_u16(r);
		memcpy(at, &two, sizeof two);
		if (two == 0 && e->zero != 0)
			mqtt_fail(r, e->zero);
		break;
	case FOUR:
		four = read_u32(r);
		memcpy(at, &four, sizeof four);
		if (four == 0 && e->zero != 0)
			mqtt_fail(r, e->zero);
		break;
	case VARINT:
		read_sub_id(r, out);
		break;
	case PAIR:
		read_user(r, out);
		break;
	case BINARY:
		s = mqtt_binary(r);
		memcpy(at, &s, sizeof s);
		break;
	case NAME:
	case TEXT:
		s = mqtt_text(r);
		memcpy(at, &s, sizeof s);
		if (e->kind == NAME && !tn_codec_mqtt_name_ok(s))
			mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
		break;
	case NONE:
		tn_assert(false);
	}
}

void
tn_codec_mqtt_props_read(struct tn_codec_mqtt_reader *r, unsigned type,
    struct tn_codec_mqtt_props *out)
{
	size_t bytes = read_varint(r);
	const uint8_t *packet_end = r->end;

	if (bytes > mqtt_left(r)) {
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		return;
	}
	r->end = r->p + bytes;
	while (r->p < r->end) {
		uint8_t id = *r->p++;
		const struct property *e = property_of(id);

		if ((e->types >> type & 1) == 0) {
			mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		} else if ((out->present >> id & 1) != 0 &&
		    (e->repeats >> type & 1) == 0) {
			mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
		} else {
			out->present |= (uint64_t)1 << id;
			read_value(r, e, out);
		}
	}
	r->end = packet_end;
	if (r->reason != 0)
		r->p = packet_end;
}

/* ---- writing --------------------------------------------------------- */

static void
put_sub_ids(struct tn_codec_mqtt_writer *w,
    const struct tn_codec_mqtt_props *p)
{
	for (uint32_t i = 0; i < p->sub_id_count; i++) {
		tn_assert(p->sub_ids[i] > 0 &&
		    p->sub_ids[i] <= TN_CODEC_MQTT_VARINT_MAX);
		mqtt_put_u8(w, TN_MQTT_P_SUBSCRIPTION_ID);
		mqtt_put_varint(w, p->sub_ids[i]);
	}
}

static void
put_users(struct tn_codec_mqtt_writer *w,
    const struct tn_codec_mqtt_props *p)
{
	for (uint32_t i = 0; i < p->user_count; i++) {
		mqtt_put_u8(w, TN_MQTT_P_USER);
		mqtt_put_binary(w, p->users[i].name);
		mqtt_put_binary(w, p->users[i].value);
	}
}

/* A value with its identifier. */
static void
put_value(struct tn_codec_mqtt_writer *w, unsigned id,
    const struct tn_codec_mqtt_props *p)
{
	const struct property *e = &properties[id];
	const void *at = (const uint8_t *)p + e->at;
	struct tn_slice s;
	uint32_t four;
	uint16_t two;

	mqtt_put_u8(w, (uint8_t)id);
	switch ((enum kind)e->kind) {
	case BYTE:
		tn_assert(*(const uint8_t *)at <= 1);
		mqtt_put_u8(w, *(const uint8_t *)at);
		break;
	case TWO:
		memcpy(&two, at, sizeof two);
		tn_assert(two != 0 || e->zero == 0);
		mqtt_put_u16(w, two);
		break;
	case FOUR:
		memcpy(&four, at, sizeof four);
		tn_assert(four != 0 || e->zero == 0);
		mqtt_put_u16(w, (uint16_t)(four >> 16));
		mqtt_put_u16(w, (uint16_t)four);
		break;
	default:
		memcpy(&s, at, sizeof s);
		mqtt_put_binary(w, s);
	}
}

static void
put_all(struct tn_codec_mqtt_writer *w, unsigned type,
    const struct tn_codec_mqtt_props *p)
{
	for (uint64_t left = p->present; left != 0; left &= left - 1) {
		unsigned id = (unsigned)__builtin_ctzll(left);

		tn_assert(id < TN_COUNT(properties));
		tn_assert((properties[id].types >> type & 1) != 0);
		if (id == TN_MQTT_P_SUBSCRIPTION_ID)
			put_sub_ids(w, p);
		else if (id == TN_MQTT_P_USER)
			put_users(w, p);
		else
			put_value(w, id, p);
	}
}

void
tn_codec_mqtt_props_put(struct tn_codec_mqtt_writer *w, unsigned type,
    const struct tn_codec_mqtt_props *p)
{
	struct tn_codec_mqtt_writer count = { NULL, 0 };

	tn_assert(type == TN_MQTT_PUBLISH || p->sub_id_count <= 1 ||
	    !mqtt_has(p, TN_MQTT_P_SUBSCRIPTION_ID));
	put_all(&count, type, p);
	mqtt_put_varint(w, count.n);
	put_all(w, type, p);
}

/* ---- reason codes ---------------------------------------------------- */

#define PUBS (B(PUBACK) | B(PUBREC))
#define SUBS (B(SUBACK) | B(UNSUBACK))
#define ENDS (B(CONNACK) | B(DISCONNECT))

static const uint16_t reasons[] = {
	[0x00] = ENDS | ACKS | B(AUTH),
	[0x01] = B(SUBACK), [0x02] = B(SUBACK), [0x04] = B(DISCONNECT),
	[0x10] = PUBS, [0x11] = B(UNSUBACK),
	[0x18] = B(AUTH), [0x19] = B(AUTH),
	[0x80] = ENDS | PUBS | SUBS, [0x81] = ENDS, [0x82] = ENDS,
	[0x83] = ENDS | PUBS | SUBS,
	[0x84] = B(CONNACK), [0x85] = B(CONNACK), [0x86] = B(CONNACK),
	[0x87] = ENDS | PUBS | SUBS, [0x88] = B(CONNACK), [0x89] = ENDS,
	[0x8A] = B(CONNACK), [0x8B] = B(DISCONNECT), [0x8C] = ENDS,
	[0x8D] = B(DISCONNECT), [0x8E] = B(DISCONNECT),
	[0x8F] = SUBS | B(DISCONNECT), [0x90] = ENDS | PUBS,
	[0x91] = PUBS | SUBS, [0x92] = B(PUBREL) | B(PUBCOMP),
	[0x93] = B(DISCONNECT), [0x94] = B(DISCONNECT), [0x95] = ENDS,
	[0x96] = B(DISCONNECT), [0x97] = ENDS | PUBS | B(SUBACK),
	[0x98] = B(DISCONNECT), [0x99] = ENDS | PUBS,
	[0x9A] = ENDS, [0x9B] = ENDS, [0x9C] = ENDS, [0x9D] = ENDS,
	[0x9E] = B(SUBACK) | B(DISCONNECT), [0x9F] = ENDS,
	[0xA0] = B(DISCONNECT), [0xA1] = B(SUBACK) | B(DISCONNECT),
	[0xA2] = B(SUBACK) | B(DISCONNECT),
};

bool
tn_codec_mqtt_reason_ok(unsigned type, uint8_t version, uint8_t reason)
{
	if (version == TN_MQTT_V311 && type == TN_MQTT_CONNACK)
		return reason <= 5;
	if (version == TN_MQTT_V311 && type == TN_MQTT_SUBACK)
		return reason <= 2 || reason == 0x80;
	return reason < TN_COUNT(reasons) &&
	    (reasons[reason] >> type & 1) != 0;
}

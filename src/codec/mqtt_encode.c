/* mqtt_encode: one packet of MQTT 3.1.1 or 5.0 (sections 2 and 3 of both) as
 * bytes. The body is written twice by the same code: counted, then put.
 *
 * What is asserted are the facts that make a packet legal by its numbers:
 * identifiers, QoS, lengths, codes, who may carry which property. Texts are
 * taken as they are; those that came out of decode or passed _name_ok and
 * _filter_ok are legal. */
#include "codec/mqtt_int.h"

/* Properties, or their length of nothing. */
static void
props(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	if (p->version != TN_MQTT_V5)
		return;
	if (p->props.present == 0)
		mqtt_put_u8(w, 0);
	else
		tn_codec_mqtt_props_put(w, p->type, &p->props);
}

static void
packet_id(struct tn_codec_mqtt_writer *w,
    const struct tn_codec_mqtt_packet *p)
{
	tn_assert(p->id != 0);
	mqtt_put_u16(w, p->id);
}

/* ---- bodies ---------------------------------------------------------- */

static void
connect_body(struct tn_codec_mqtt_writer *w,
    const struct tn_codec_mqtt_packet *p)
{
	unsigned flags = (unsigned)p->connect.clean_start << 1 |
	    (unsigned)p->connect.has_will << 2 |
	    (unsigned)p->connect.will_qos << 3 |
	    (unsigned)p->connect.will_retain << 5 |
	    (unsigned)p->connect.has_password << 6 |
	    (unsigned)p->connect.has_user << 7;

	tn_assert(p->connect.will_qos <= 2);
	tn_assert(p->connect.has_will || (flags & 0x38) == 0);
	tn_assert(p->version == TN_MQTT_V5 || p->connect.has_user ||
	    !p->connect.has_password);
	mqtt_put_binary(w, tn_slice_of("MQTT"));
	tn_assert(!p->connect.bridge || p->version == TN_MQTT_V311);
	mqtt_put_u8(w, p->connect.bridge ? p->version | 0x80 : p->version);
	mqtt_put_u8(w, (uint8_t)flags);
	mqtt_put_u16(w, p->connect.keep_alive_s);
	props(w, p);
	mqtt_put_binary(w, p->connect.client_id);
	if (p->connect.has_will) {
		tn_assert(p->connect.will_topic.n > 0);
		if (p->version == TN_MQTT_V5)
			tn_codec_mqtt_props_put(w, TN_CODEC_MQTT_WILL,
			    &p->connect.will_props);
		mqtt_put_binary(w, p->connect.will_topic);
		mqtt_put_binary(w, p->connect.will_payload);
	}
	if (p->connect.has_user)
		mqtt_put_binary(w, p->connect.user);
	if (p->connect.has_password)
		mqtt_put_binary(w, p->connect.password);
}

static void
connack(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	tn_assert(tn_codec_mqtt_reason_ok(p->type, p->version, p->reason));
	tn_assert(p->reason == 0 || !p->session_present);
	mqtt_put_u8(w, p->session_present);
	mqtt_put_u8(w, p->reason);
	props(w, p);
}

static inline void
publish(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	tn_assert(p->qos <= 2 && (p->qos > 0 || !p->dup));
	tn_assert(p->topic.n > 0 || (p->version == TN_MQTT_V5 &&
	    mqtt_has(&p->props, TN_MQTT_P_TOPIC_ALIAS)));
	mqtt_put_binary(w, p->topic);
	if (p->qos > 0)
		packet_id(w, p);
	props(w, p);
	mqtt_put(w, p->payload.p, p->payload.n);
}

/* Reason and properties, as little of them as says the same. */
static void
tail(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	if (p->version != TN_MQTT_V5)
		return;
	tn_assert(tn_codec_mqtt_reason_ok(p->type, p->version, p->reason));
	if (p->reason != 0 || p->props.present != 0)
		mqtt_put_u8(w, p->reason);
	if (p->props.present != 0)
		props(w, p);
}

/* Nothing, or all of it with a method. */
static void
auth(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	tn_assert(p->version == TN_MQTT_V5);
	tn_assert(tn_codec_mqtt_reason_ok(p->type, p->version, p->reason));
	if (p->reason == 0 && p->props.present == 0)
		return;
	tn_assert(mqtt_has(&p->props, TN_MQTT_P_AUTH_METHOD));
	mqtt_put_u8(w, p->reason);
	props(w, p);
}

static void
filters(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	bool v5 = p->version == TN_MQTT_V5;

	tn_assert(p->filter_count > 0);
	packet_id(w, p);
	props(w, p);
	for (uint32_t i = 0; i < p->filter_count; i++) {
		const struct tn_codec_mqtt_filter *f = &p->filters[i];
		unsigned options = f->qos;

		tn_assert(f->filter.n > 0);
		mqtt_put_binary(w, f->filter);
		if (p->type == TN_MQTT_UNSUBSCRIBE)
			continue;
		tn_assert(f->qos <= 2 && f->retain_handling <= 2);
		if (v5)
			options |= (unsigned)f->no_local << 2 |
			    (unsigned)f->retain_as_published << 3 |
			    (unsigned)f->retain_handling << 4;
		mqtt_put_u8(w, (uint8_t)options);
	}
}

static void
codes(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	packet_id(w, p);
	props(w, p);
	if (p->version != TN_MQTT_V5 && p->type == TN_MQTT_UNSUBACK)
		return;
	tn_assert(p->reasons.n > 0);
	for (size_t i = 0; i < p->reasons.n; i++)
		tn_assert(tn_codec_mqtt_reason_ok(p->type, p->version,
		    p->reasons.p[i]));
	mqtt_put(w, p->reasons.p, p->reasons.n);
}

static void
body(struct tn_codec_mqtt_writer *w, const struct tn_codec_mqtt_packet *p)
{
	switch (p->type) {
	case TN_MQTT_CONNECT:
		connect_body(w, p);
		break;
	case TN_MQTT_CONNACK:
		connack(w, p);
		break;
	case TN_MQTT_PUBLISH:
		publish(w, p);
		break;
	case TN_MQTT_SUBSCRIBE:
	case TN_MQTT_UNSUBSCRIBE:
		filters(w, p);
		break;
	case TN_MQTT_SUBACK:
	case TN_MQTT_UNSUBACK:
		codes(w, p);
		break;
	case TN_MQTT_PINGREQ:
	case TN_MQTT_PINGRESP:
		break;
	case TN_MQTT_AUTH:
		auth(w, p);
		break;
	case TN_MQTT_DISCONNECT:
		tail(w, p);
		break;
	default:
		packet_id(w, p);
		tail(w, p);
	}
}

/* ---- all ------------------------------------------------------------- */

static uint8_t
first_byte(const struct tn_codec_mqtt_packet *p)
{
	unsigned flags = 0;

	if (p->type == TN_MQTT_PUBLISH)
		flags = (unsigned)p->dup << 3 | (unsigned)p->qos << 1 |
		    p->retain;
	else if (p->type == TN_MQTT_PUBREL || p->type == TN_MQTT_SUBSCRIBE ||
	    p->type == TN_MQTT_UNSUBSCRIBE)
		flags = 2;
	return (uint8_t)((unsigned)p->type << 4 | flags);
}

enum tn_status
tn_codec_mqtt_encode(struct tn_buf *out, const struct tn_codec_mqtt_packet *p)
{
	struct tn_codec_mqtt_writer count = { NULL, 0 }, w = { NULL, 0 };
	/* The first byte and at most four of length. */
	const size_t head_max = 5;

	tn_assert(p->version == TN_MQTT_V311 || p->version == TN_MQTT_V5);
	tn_assert(p->type >= TN_MQTT_CONNECT && p->type <= TN_MQTT_AUTH);
	body(&count, p);
	if (count.n > TN_CODEC_MQTT_VARINT_MAX)
		return TN_ELIMIT;
	w.p = tn_buf_reserve(out, head_max + count.n);
	if (w.p == NULL)
		return tn_buf_status(out);
	mqtt_put_u8(&w, first_byte(p));
	mqtt_put_varint(&w, count.n);
	body(&w, p);
	tn_assert(w.n <= head_max + count.n);
	out->n += w.n;
	return TN_OK;
}

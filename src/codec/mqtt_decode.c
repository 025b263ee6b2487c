/* mqtt_decode: one packet of MQTT 3.1.1 or 5.0 (sections 2 and 3 of both),
 * from either side, into a struct whose slices point into the packet.
 *
 *   first byte, remaining length      here
 *   body by type                      one function each, in the table bodies
 *   rest of the bytes                 there must be none
 *
 * The first rule that is broken decides the reason: malformed (0x81) is what
 * cannot be read as the standard writes it, protocol error (0x82) what can be
 * read but is not allowed; topic names, filters and aliases have codes of
 * their own. README.md says which rule is looked at where. The hot packets
 * (PUBLISH without properties, acknowledgements) allocate nothing. */
#include "codec/mqtt_int.h"

#define BIT(type) (1u << TN_MQTT_##type)

static uint16_t
packet_id(struct tn_codec_mqtt_reader *r)
{
	uint16_t id = mqtt_u16(r);

	if (id == 0)            /* [MQTT-2.2.1-3] */
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
	return id;
}

/* Properties; most often there are none. */
static inline void
props(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	if (r->p < r->end && *r->p == 0)
		r->p++;
	else
		tn_codec_mqtt_props_read(r, out->type, &out->props);
}

static void
reason(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	out->reason = mqtt_u8(r);
	if (!tn_codec_mqtt_reason_ok(out->type, out->version, out->reason))
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
}

/* Data without a method means nothing (5.0, 3.1.2.11.10). */
static void
check_auth(struct tn_codec_mqtt_reader *r,
    const struct tn_codec_mqtt_props *p)
{
	if (mqtt_has(p, TN_MQTT_P_AUTH_DATA) &&
	    !mqtt_has(p, TN_MQTT_P_AUTH_METHOD))
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
}

/* ---- messages -------------------------------------------------------- */

static inline void
publish(struct tn_codec_mqtt_reader *r, uint8_t flags,
    struct tn_codec_mqtt_packet *out)
{
	unsigned found;

	out->dup = (flags & 8) != 0;
	out->qos = flags >> 1 & 3;
	out->retain = (flags & 1) != 0;
	/* Both bits [MQTT-3.3.1-4]; DUP without QoS [MQTT-3.3.1-2]. */
	if (out->qos == 3 || (out->qos == 0 && out->dup))
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	out->topic = mqtt_binary(r);
	found = tn_codec_mqtt_look(out->topic);
	if (found != 0)         /* [MQTT-1.5.4-1], [MQTT-3.3.2-2] */
		mqtt_fail(r, (found & TN_CODEC_MQTT_BAD) != 0 ?
		    TN_MQTT_MALFORMED_PACKET : TN_MQTT_TOPIC_INVALID);
	if (out->qos > 0)
		out->id = packet_id(r);
	if (out->version == TN_MQTT_V5)
		props(r, out);
	/* Only an alias can stand for the topic (5.0, 3.3.2.1). */
	if (out->topic.n == 0 &&
	    !mqtt_has(&out->props, TN_MQTT_P_TOPIC_ALIAS))
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
	out->payload = (struct tn_slice){ r->p, mqtt_left(r) };
	r->p = r->end;
}

/* Reason and properties, each of which may be left out at the end. */
static void
tail(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	if (out->version != TN_MQTT_V5 || r->p == r->end)
		return;
	reason(r, out);
	if (r->p < r->end)
		props(r, out);
}

static void
ack(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	out->id = packet_id(r);
	tail(r, out);
}

/* ---- connecting ------------------------------------------------------ */

/* Connect flags, sections 3.1.2.3 to 3.1.2.9. */
static void
connect_flags(struct tn_codec_mqtt_reader *r,
    struct tn_codec_mqtt_packet *out)
{
	uint8_t flags = mqtt_u8(r);

	out->connect.clean_start = (flags & 0x02) != 0;
	out->connect.has_will = (flags & 0x04) != 0;
	out->connect.will_qos = flags >> 3 & 3;
	out->connect.will_retain = (flags & 0x20) != 0;
	out->connect.has_password = (flags & 0x40) != 0;
	out->connect.has_user = (flags & 0x80) != 0;
	if ((flags & 0x01) != 0)        /* [MQTT-3.1.2-3] */
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	/* [MQTT-3.1.2-11] to -13 */
	if (out->connect.will_qos == 3 ||
	    (!out->connect.has_will && (flags & 0x38) != 0))
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	/* 3.1.1 only [MQTT-3.1.2-22]. */
	if (out->version == TN_MQTT_V311 && out->connect.has_password &&
	    !out->connect.has_user)
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
}

static void
connect_will(struct tn_codec_mqtt_reader *r,
    struct tn_codec_mqtt_packet *out)
{
	if (out->version == TN_MQTT_V5)
		tn_codec_mqtt_props_read(r, TN_CODEC_MQTT_WILL,
		    &out->connect.will_props);
	out->connect.will_topic = mqtt_text(r);
	if (!tn_codec_mqtt_name_ok(out->connect.will_topic))
		mqtt_fail(r, TN_MQTT_TOPIC_INVALID);
	out->connect.will_payload = mqtt_binary(r);
}

static void
connect_body(struct tn_codec_mqtt_reader *r,
    struct tn_codec_mqtt_packet *out)
{
	struct tn_slice name = mqtt_binary(r);

	memset(&out->connect, 0, sizeof out->connect);
	out->version = mqtt_u8(r);
	/* How mosquitto's bridges ask for what 5.0 has options for; elsewhere
	 * refused, and then it comes again as an ordinary client whose
	 * messages come back to it. */
	out->connect.bridge = out->version == (TN_MQTT_V311 | 0x80);
	if (out->connect.bridge)
		out->version = TN_MQTT_V311;
	if (!tn_slice_is(name, "MQTT") || (out->version != TN_MQTT_V311 &&
	    out->version != TN_MQTT_V5)) {
		mqtt_fail(r, TN_MQTT_UNSUPPORTED_VERSION);
		return;
	}
	connect_flags(r, out);
	out->connect.keep_alive_s = mqtt_u16(r);
	if (out->version == TN_MQTT_V5)
		props(r, out);
	check_auth(r, &out->props);
	out->connect.client_id = mqtt_text(r);
	if (out->connect.has_will)
		connect_will(r, out);
	if (out->connect.has_user)
		out->connect.user = mqtt_text(r);
	if (out->connect.has_password)
		out->connect.password = mqtt_binary(r);
}

static void
connack(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	uint8_t flags = mqtt_u8(r);

	out->session_present = (flags & 1) != 0;
	if ((flags & 0xfe) != 0)        /* [MQTT-3.2.2-1] */
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	reason(r, out);
	/* A refusal has no session [MQTT-3.2.2-6]. */
	if (out->session_present && out->reason != 0)
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
	if (out->version == TN_MQTT_V5)
		props(r, out);
	check_auth(r, &out->props);
}

/* Empty, or complete and with a method (5.0, 3.15.2). */
static void
auth(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	if (out->version != TN_MQTT_V5)
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	if (r->p == r->end)
		return;
	reason(r, out);
	props(r, out);
	if (!mqtt_has(&out->props, TN_MQTT_P_AUTH_METHOD))
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
}

/* ---- subscribing ----------------------------------------------------- */

/* One filter and, in a SUBSCRIBE, its options. */
static void
filter(struct tn_codec_mqtt_reader *r,
    const struct tn_codec_mqtt_packet *packet,
    struct tn_codec_mqtt_filter *out)
{
	bool v5 = packet->version == TN_MQTT_V5, shared, malformed;
	struct tn_slice name, rest;
	uint8_t o;

	memset(out, 0, sizeof *out);
	out->filter = mqtt_text(r);
	shared = tn_codec_mqtt_share(out->filter, &name, &rest, &malformed);
	/* $share means something in 5.0 only. */
	if (!tn_codec_mqtt_filter_ok(out->filter) || (v5 && malformed))
		mqtt_fail(r, TN_MQTT_FILTER_INVALID);
	if (packet->type == TN_MQTT_UNSUBSCRIBE)
		return;
	o = mqtt_u8(r);
	out->qos = o & 3;
	if ((o & (v5 ? 0xc0 : 0xfc)) != 0)      /* [MQTT-3.8.3-5] */
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	out->no_local = (o & 4) != 0;
	out->retain_as_published = (o & 8) != 0;
	out->retain_handling = o >> 4 & 3;
	/* [MQTT-3.8.3-4] and section 3.8.3.1 */
	if (out->qos == 3 || out->retain_handling == 3 ||
	    (shared && out->no_local))
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
}

/* How many filters there are, or seem to be when the last is cut short. */
static uint32_t
count_filters(struct tn_codec_mqtt_reader r, size_t option_bytes)
{
	uint32_t count = 0;

	for (; r.p < r.end; count++) {
		(void)mqtt_binary(&r);
		r.p += mqtt_left(&r) < option_bytes ? mqtt_left(&r) :
		    option_bytes;
	}
	return count;
}

static void
filters(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	struct tn_codec_mqtt_filter *all;
	uint32_t count;

	out->id = packet_id(r);
	if (out->version == TN_MQTT_V5)
		props(r, out);
	count = count_filters(*r, out->type == TN_MQTT_SUBSCRIBE);
	if (count == 0) {       /* [MQTT-3.8.3-2], [MQTT-3.10.3-2] */
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
		return;
	}
	all = tn_arena_try_alloc(r->arena, count * sizeof *all);
	if (all == NULL) {
		r->no_memory = true;
		mqtt_fail(r, TN_MQTT_QUOTA_EXCEEDED);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		filter(r, out, &all[i]);
	out->filters = all;
	out->filter_count = count;
}

/* SUBACK and UNSUBACK: a code for each filter; none in 3.1.1's UNSUBACK. */
static void
codes(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	out->id = packet_id(r);
	if (out->version == TN_MQTT_V5)
		props(r, out);
	else if (out->type == TN_MQTT_UNSUBACK)
		return;
	if (r->p == r->end)
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
	out->reasons = (struct tn_slice){ r->p, mqtt_left(r) };
	for (; r->p < r->end; r->p++) {
		if (tn_codec_mqtt_reason_ok(out->type, out->version, *r->p))
			continue;
		mqtt_fail(r, TN_MQTT_PROTOCOL_ERROR);
		return;
	}
}

static void
nothing(struct tn_codec_mqtt_reader *r, struct tn_codec_mqtt_packet *out)
{
	(void)r;
	(void)out;
}

/* ---- all ------------------------------------------------------------- */

/* Flags that each type must have [MQTT-2.1.3-1], and its body. */
static const struct {
	void (*read)(struct tn_codec_mqtt_reader *r,
	    struct tn_codec_mqtt_packet *out);
	uint8_t flags;
} bodies[16] = {
	[TN_MQTT_CONNECT] = { connect_body, 0 },
	[TN_MQTT_CONNACK] = { connack, 0 },
	[TN_MQTT_PUBACK] = { ack, 0 },
	[TN_MQTT_PUBREC] = { ack, 0 },
	[TN_MQTT_PUBREL] = { ack, 2 },
	[TN_MQTT_PUBCOMP] = { ack, 0 },
	[TN_MQTT_SUBSCRIBE] = { filters, 2 },
	[TN_MQTT_SUBACK] = { codes, 0 },
	[TN_MQTT_UNSUBSCRIBE] = { filters, 2 },
	[TN_MQTT_UNSUBACK] = { codes, 0 },
	[TN_MQTT_PINGREQ] = { nothing, 0 },
	[TN_MQTT_PINGRESP] = { nothing, 0 },
	[TN_MQTT_DISCONNECT] = { tail, 0 },
	[TN_MQTT_AUTH] = { auth, 0 },
};

/* Set the reader on the body; false when the packet is not one whole packet
 * by its length. */
static inline bool
open_packet(struct tn_codec_mqtt_reader *r, struct tn_slice packet)
{
	size_t bytes;
	uint8_t why;

	r->end = packet.p + packet.n;
	if (packet.n >= 2 && packet.p[1] < 0x80) {
		r->p = packet.p + 2;
		return packet.p[1] == packet.n - 2;
	}
	if (tn_codec_mqtt_frame(packet, SIZE_MAX, &bytes, &why) != TN_OK ||
	    bytes != packet.n)
		return false;
	r->p = packet.p + 2;
	while (r->p[-1] >= 0x80)
		r->p++;
	return true;
}

enum tn_status
tn_codec_mqtt_decode(struct tn_slice packet, uint8_t version,
    struct tn_arena *a, struct tn_codec_mqtt_packet *out, uint8_t *reason_out)
{
	struct tn_codec_mqtt_reader r = { NULL, NULL, a, 0, false };
	const uint8_t *body;
	uint8_t flags;

	memset(out, 0, offsetof(struct tn_codec_mqtt_packet, connect));
	out->version = version;
	if (!open_packet(&r, packet) || packet.p[0] < 0x10) {
		*reason_out = TN_MQTT_MALFORMED_PACKET;
		return TN_EINVAL;
	}
	body = r.p;
	out->type = (enum tn_codec_mqtt_type)(packet.p[0] >> 4);
	flags = packet.p[0] & 15;
	/* A CONNECT comes first [MQTT-3.1.0-1]. */
	if (version != TN_MQTT_V311 && version != TN_MQTT_V5 &&
	    out->type != TN_MQTT_CONNECT)
		mqtt_fail(&r, TN_MQTT_PROTOCOL_ERROR);
	if (out->type == TN_MQTT_PUBLISH) {
		publish(&r, flags, out);
	} else {
		if (flags != bodies[out->type].flags)
			mqtt_fail(&r, TN_MQTT_MALFORMED_PACKET);
		bodies[out->type].read(&r, out);
	}
	if (r.p != r.end)
		mqtt_fail(&r, TN_MQTT_MALFORMED_PACKET);
	/* 3.1.1 does not ask for the shortest length; 5.0 does
	 * [MQTT-1.5.5-1]. */
	if (body[-1] == 0 && body - packet.p > 2 &&
	    out->version == TN_MQTT_V5)
		mqtt_fail(&r, TN_MQTT_MALFORMED_PACKET);
	*reason_out = r.reason;
	if (r.no_memory)
		return TN_ENOMEM;
	return r.reason == 0 ? TN_OK : TN_EINVAL;
}

/* ---- which side ------------------------------------------------------ */

/* Codes of a DISCONNECT that only a server sends (5.0, 3.14.2.1). */
static bool
server_code(uint8_t code)
{
	return code == TN_MQTT_NOT_AUTHORIZED ||
	    (code >= TN_MQTT_SERVER_BUSY && code <= TN_MQTT_FILTER_INVALID &&
	    code != TN_MQTT_BAD_AUTH_METHOD) ||
	    code >= TN_MQTT_RETAIN_NOT_SUPPORTED;
}

enum tn_status
tn_codec_mqtt_of_client(const struct tn_codec_mqtt_packet *p,
    uint8_t *reason_out)
{
	const unsigned server = BIT(CONNACK) | BIT(SUBACK) | BIT(UNSUBACK) |
	    BIT(PINGRESP);
	bool bad = (server >> p->type & 1) != 0;

	if (p->type == TN_MQTT_PUBLISH)         /* [MQTT-3.3.4-6] */
		bad = mqtt_has(&p->props, TN_MQTT_P_SUBSCRIPTION_ID);
	if (p->type == TN_MQTT_DISCONNECT)
		bad = server_code(p->reason) ||
		    mqtt_has(&p->props, TN_MQTT_P_SERVER_REFERENCE);
	if (p->type == TN_MQTT_AUTH)
		bad = p->reason == TN_MQTT_SUCCESS;
	*reason_out = bad ? TN_MQTT_PROTOCOL_ERROR : 0;
	return bad ? TN_EINVAL : TN_OK;
}

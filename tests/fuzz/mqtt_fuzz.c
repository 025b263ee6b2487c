/* Fuzzes MQTT. The first byte picks what the connection's version is (0, 4, 5)
 * and whether the length is mended, so that mutations reach the bodies; the
 * rest is a packet. What must hold: a whole packet has the length that frame
 * says; what decodes encodes, and decodes again to the same packet, and
 * encodes to the same bytes; topics that decode takes are legal; match and
 * share take anything. */
#include "../unit/codec/mqtt_help.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
topics(const struct tn_codec_mqtt_packet *p, struct tn_slice any)
{
	struct tn_slice name, filter;
	bool malformed, shared;

	if (p->type == TN_MQTT_PUBLISH && p->topic.n > 0)
		tn_assert(tn_codec_mqtt_name_ok(p->topic));
	for (uint32_t i = 0; i < p->filter_count; i++) {
		struct tn_slice f = p->filters[i].filter;

		tn_assert(tn_codec_mqtt_filter_ok(f));
		shared = tn_codec_mqtt_share(f, &name, &filter, &malformed);
		tn_assert(!shared || tn_codec_mqtt_filter_ok(filter));
		tn_assert(!(shared && malformed));
		(void)tn_codec_mqtt_match(f, any);
		if (tn_codec_mqtt_name_ok(f))
			tn_assert(tn_codec_mqtt_match(f, f));
	}
}

static void
round_trip(const struct tn_codec_mqtt_packet *p, struct tn_arena *a)
{
	struct tn_buf one = { 0 }, two = { 0 };
	struct tn_codec_mqtt_packet q;
	size_t bytes;
	uint8_t reason;

	tn_assert(tn_codec_mqtt_encode(&one, p) == TN_OK);
	tn_assert(tn_codec_mqtt_frame((struct tn_slice){ one.p, one.n },
	    one.n, &bytes, &reason) == TN_OK);
	tn_assert(bytes == one.n);
	tn_assert(tn_codec_mqtt_decode((struct tn_slice){ one.p, one.n },
	    p->version, a, &q, &reason) == TN_OK);
	tn_assert(mqtt_same(p, &q));
	tn_assert(tn_codec_mqtt_encode(&two, &q) == TN_OK);
	tn_assert(one.n == two.n && memcmp(one.p, two.p, one.n) == 0);
	tn_buf_fini(&one);
	tn_buf_fini(&two);
}

/* A packet of its own allocation, with its length mended if asked. */
static uint8_t *
copy_packet(const uint8_t *data, size_t size, bool mend, size_t *n)
{
	uint8_t *p = tn_alloc(size + 1);
	size_t at = 1, body = size - 2;

	memcpy(p, data, size);
	*n = size;
	if (!mend || size < 2)
		return p;
	if (body > 127) {
		if (body > 128 * 127)
			body = 128 * 127;
		body--;         /* The length takes one byte more. */
		p[at++] = (uint8_t)(body | 0x80);
		p[at] = (uint8_t)(body >> 7);
	} else {
		p[at] = (uint8_t)body;
	}
	*n = at + 1 + body;
	return p;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t versions[] = { 5, 4, 5, 0 };
	static struct tn_arena *a;
	static struct tn_codec_mqtt_packet p;
	struct tn_slice packet;
	size_t bytes = 0;
	uint8_t reason = 0, why = 0, *copy;
	enum tn_status st, framed;

	if (size < 1)
		return 0;
	if (a == NULL)
		a = tn_arena_new(4096);
	copy = copy_packet(data + 1, size - 1, (data[0] & 4) != 0,
	    &packet.n);
	packet.p = copy;
	framed = tn_codec_mqtt_frame(packet, 1 << 20, &bytes, &why);
	st = tn_codec_mqtt_decode(packet, versions[data[0] & 3], a, &p,
	    &reason);
	tn_assert((st == TN_OK) == (reason == 0));
	tn_assert(st != TN_OK || (framed == TN_OK && bytes == packet.n));
	if (st == TN_OK) {
		round_trip(&p, a);
		topics(&p, packet);
		(void)tn_codec_mqtt_of_client(&p, &reason);
	}
	tn_arena_reset(a);
	tn_free(copy);
	return 0;
}

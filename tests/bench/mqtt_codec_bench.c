/* mqtt_codec_bench: nanoseconds a packet of MQTT decoding and encoding, of
 * matching a topic and of undoing a WebSocket mask, on one core. Packets lie
 * one after the other as a socket gives them; each is framed and decoded. The
 * best of five rounds counts, by the processor's clock.
 *
 *   mqtt_codec_bench [seconds for each line [name of one line]]  */
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACKETS = 4096, ROUNDS = 5 };

struct run {
	struct tn_buf bytes;
	struct tn_arena *arena;
	struct tn_codec_mqtt_packet like;
	uint8_t version;
};

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t sink;

static void
decode(struct run *r)
{
	struct tn_slice in = { r->bytes.p, r->bytes.n };
	struct tn_codec_mqtt_packet p;
	size_t bytes;
	uint8_t reason;

	while (in.n > 0) {
		if (tn_codec_mqtt_frame(in, 1 << 20, &bytes, &reason) !=
		    TN_OK || tn_codec_mqtt_decode((struct tn_slice){ in.p,
		    bytes }, r->version, r->arena, &p, &reason) != TN_OK)
			abort();
		sink += p.topic.n + p.id;
		in.p += bytes;
		in.n -= bytes;
	}
	tn_arena_reset(r->arena);
}

static void
encode(struct run *r)
{
	tn_buf_clear(&r->bytes);
	for (uint32_t i = 0; i < PACKETS; i++)
		if (tn_codec_mqtt_encode(&r->bytes, &r->like) != TN_OK)
			abort();
	sink += r->bytes.n;
}

static void
match(struct run *r)
{
	static const char *const filters[] = { "office/+/door/+/events",
	    "office/berlin/#", "office/berlin/door/D104/events",
	    "office/+/room/#" };

	for (uint32_t i = 0; i < PACKETS; i++)
		sink += tn_codec_mqtt_match(tn_slice_of(filters[i % 4]),
		    r->like.topic);
}

/* PACKETS times 64 bytes. */
static void
unmask(struct run *r)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	static uint8_t data[PACKETS * 64];

	(void)r;
	tn_codec_ws_unmask(data, sizeof data, mask, 1);
	sink += data[7];
}

static void
measure(const char *name, struct run *r, void (*turn)(struct run *r),
    double seconds)
{
	double best = 1e9, start, t;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t count = 0;

		start = now();
		do {
			turn(r);
			count += PACKETS;
			t = now() - start;
		} while (t < seconds / ROUNDS);
		if (t / (double)count < best)
			best = t / (double)count;
	}
	printf("%-26s %7.1f ns %7.1f M/s\n", name, best * 1e9, 1e-6 / best);
}

static struct tn_codec_mqtt_packet
make(const char *name)
{
	static const struct tn_codec_mqtt_user user = {
	    { (const uint8_t *)"source", 6 },
	    { (const uint8_t *)"gate-7", 6 } };
	static const struct tn_codec_mqtt_filter filters[] = {
	    { { (const uint8_t *)"office/+/door/#", 15 }, 1, false, false,
	    0 } };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .topic = tn_slice_of("office/berlin/door/D104/events"),
	    .payload = tn_slice_of("{\"event_id\":\"b-000001\",\"ts\":"
	    "\"2026-03-01T10:00:00Z\",\"direction\":\"in\",\"t\":21.5}") };

	p.version = strstr(name, "v5") != NULL ? TN_MQTT_V5 : TN_MQTT_V311;
	p.qos = strstr(name, "qos1") != NULL;
	p.id = 77;
	if (strstr(name, "props") != NULL) {
		p.props.present = 1 << TN_MQTT_P_MESSAGE_EXPIRY |
		    (uint64_t)1 << TN_MQTT_P_USER;
		p.props.message_expiry_s = 60;
		p.props.users = &user;
		p.props.user_count = 1;
	}
	if (strncmp(name, "puback", 6) == 0)
		p.type = TN_MQTT_PUBACK;
	if (strncmp(name, "subscribe", 9) == 0) {
		p.type = TN_MQTT_SUBSCRIBE;
		p.filters = filters;
		p.filter_count = 1;
	}
	return p;
}

int
main(int argc, char **argv)
{
	static const char *const names[] = { "publish qos0 3.1.1",
	    "publish qos1 3.1.1", "publish qos1 v5", "publish qos1 v5 props",
	    "puback 3.1.1", "puback v5", "subscribe v5" };
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	const char *only = argc > 2 ? argv[2] : "";
	char text[64];

	for (size_t i = 0; i < TN_COUNT(names); i++) {
		struct run r = { .arena = tn_arena_new(1 << 16) };

		r.like = make(names[i]);
		r.version = r.like.version;
		encode(&r);
		if (strstr(names[i], only) != NULL) {
			snprintf(text, sizeof text, "decode %s", names[i]);
			measure(text, &r, decode, seconds);
			snprintf(text, sizeof text, "encode %s", names[i]);
			measure(text, &r, encode, seconds);
		}
		if (i == 0 && *only == '\0') {
			measure("match", &r, match, seconds);
			measure("unmask 64 bytes", &r, unmask, seconds);
		}
		tn_arena_free(r.arena);
		tn_buf_fini(&r.bytes);
	}
	return sink == 0;
}

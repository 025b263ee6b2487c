/* MQTT packets: one row for each rule of the standards, fields, lengths, short
 * forms. Random packets are in mqtt_random_test.c, topics in
 * mqtt_topic_test.c. */
#include "codec_help.h"
#include "mqtt_help.h"

/* ---- packets as text ------------------------------------------------- */

/* "10 .. 0004 'MQTT' (client) { 21 0000 }": hex digits; '' letters; () letters
 * with two bytes of length; {} with one byte of length, as properties have;
 * .. the remaining length. */
static void
parse(struct tn_buf *out, const char *text)
{
	size_t open = 0, length_at = 0, n;
	const char *end;

	tn_buf_clear(out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'' || *p == '(') {
			end = strchr(p + 1, *p == '(' ? ')' : '\'');
			n = (size_t)(end - p - 1);
			if (*p == '(') {
				tn_buf_char(out, (char)(n >> 8));
				tn_buf_char(out, (char)n);
			}
			tn_buf_add(out, p + 1, n);
			p = end;
		} else if (*p == '{' || *p == '.') {
			tn_buf_char(out, 0);
			if (*p == '{')
				open = out->n;
			else
				length_at = out->n;
			p += *p == '.';
		} else if (*p == '}') {
			out->p[open - 1] = (uint8_t)(out->n - open);
		} else if (*p != ' ') {
			unsigned v;

			assert_int_equal(sscanf(p, "%2x", &v), 1);
			tn_buf_char(out, (char)v);
			p++;
		}
	}
	if (length_at > 0) {
		assert_true(out->n - length_at < 128);
		out->p[length_at - 1] = (uint8_t)(out->n - length_at);
	}
}

static struct tn_arena *arena;

static enum tn_status
decode_copy(struct tn_slice in, uint8_t version,
    struct tn_codec_mqtt_packet *p, uint8_t *reason, uint8_t **copy)
{
	return mqtt_decode_copy(in, version, arena, p, reason, copy);
}

/* ---- the rules ------------------------------------------------------- */

enum { V3 = 4, V5 = 5, BOTH = 9 };
#define MALFORMED TN_MQTT_MALFORMED_PACKET
#define PROTOCOL TN_MQTT_PROTOCOL_ERROR
#define VERSION TN_MQTT_UNSUPPORTED_VERSION
#define TOPIC TN_MQTT_TOPIC_INVALID
#define FILTER TN_MQTT_FILTER_INVALID
#define ALIAS TN_MQTT_TOPIC_ALIAS_INVALID

struct rule {
	uint8_t version;
	uint8_t reason;         /* 0: fine. */
	const char *packet;
};

static const struct rule framing[] = {
	{ BOTH, MALFORMED, "" },
	{ BOTH, MALFORMED, "c0" },
	{ BOTH, 0, "c0 00" },
	{ BOTH, 0, "d0 00" },
	{ BOTH, MALFORMED, "00 00" },           /* Type 0. */
	{ BOTH, MALFORMED, "c1 00" },           /* Reserved flags. */
	{ BOTH, MALFORMED, "d8 00" },
	{ BOTH, MALFORMED, "c0 01 00" },        /* No body is allowed. */
	{ BOTH, MALFORMED, "c0 01" },           /* Cut short. */
	{ BOTH, MALFORMED, "c0 00 00" },        /* More than one packet. */
	{ BOTH, MALFORMED, "c0 80 80 80 80 00" },
	{ BOTH, MALFORMED, "c0 ff ff ff ff 7f" },
	{ V3, 0, "c0 80 00" },                  /* Longer than needed. */
	{ V5, MALFORMED, "c0 80 00" },
	{ V3, 0, "40 82 00 0001" },
	{ V5, MALFORMED, "40 82 00 0001" },
	{ V5, MALFORMED, "40 82 80 80 00 0001" },
	{ 0, PROTOCOL, "c0 00" },               /* CONNECT comes first. */
	{ 3, PROTOCOL, "30 .. (a) 'x'" },
};

static const struct rule connects[] = {
	{ 0, 0, "10 .. (MQTT) 04 02 003c (c)" },
	{ 0, 0, "10 .. (MQTT) 05 02 003c { } (c)" },
	{ 0, 0, "10 .. (MQTT) 04 00 0000 ()" },  /* The server answers 2. */
	{ 0, MALFORMED, "11 .. (MQTT) 04 02 003c (c)" },
	{ 0, VERSION, "10 .. (MQIsdp) 03 02 003c (c)" },
	{ 0, VERSION, "10 .. (MQTT) 03 02 003c (c)" },
	{ 0, VERSION, "10 .. (MQTT) 06 02 003c { } (c)" },
	{ 0, 0, "10 .. (MQTT) 84 02 003c (c)" }, /* A bridge's 3.1.1. */
	{ 0, VERSION, "10 .. (MQTT) 85 02 003c { } (c)" },
	{ 0, VERSION, "10 .. (MQTT) 83 02 003c (c)" },
	{ 0, VERSION, "10 .. (mqtt) 04 02 003c (c)" },
	{ 0, VERSION, "10 .. () 04 02 003c (c)" },
	{ 0, MALFORMED, "10 .. (MQTT)" },
	{ 0, MALFORMED, "10 .. 0005 'MQTT'" },
	{ 0, MALFORMED, "10 00" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 00" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 003c" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 003c (c) 00" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 03 003c (c)" }, /* Reserved bit. */
	{ 0, MALFORMED, "10 .. (MQTT) 05 03 003c { } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c" }, /* No properties. */
	{ 0, MALFORMED, "10 94 00 (MQTT) 05 02 003c { } 0006 'client' 00" },
	{ 0, MALFORMED, "10 8e 00 (MQTT) 05 02 003c { } (c)" },
	{ 0, 0, "10 8d 00 (MQTT) 04 02 003c (c)" },
	/* Client identifiers. */
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 003c 0001 80" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 003c 0001 00" },
	/* Wills. */
	{ 0, 0, "10 .. (MQTT) 04 36 003c (c) (w/t) ()" },
	{ 0, 0, "10 .. (MQTT) 04 06 003c (c) (w/t) 0002 00ff" },
	{ 0, 0, "10 .. (MQTT) 05 06 003c { } (c) { } (w/t) (bye)" },
	{ 0, 0, "10 .. (MQTT) 05 06 003c { } (c) { 18 0000000a 01 01 02 "
	    "00000001 03 (x) 08 (r/t) 09 (id) 26 (k) (v) } (w/t) (bye)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 1e 003c (c) (w/t) (bye)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 0a 003c (c)" }, /* QoS, no will. */
	{ 0, MALFORMED, "10 .. (MQTT) 05 22 003c { } (c)" }, /* Retain. */
	{ 0, TOPIC, "10 .. (MQTT) 04 06 003c (c) (w/#) (bye)" },
	{ 0, TOPIC, "10 .. (MQTT) 04 06 003c (c) (w/+/x) (bye)" },
	{ 0, TOPIC, "10 .. (MQTT) 04 06 003c (c) () (bye)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 06 003c (c) 0002 'a' 00 (bye)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 06 003c (c) (w/t)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 06 003c { } (c) (w/t) (bye)" },
	/* The will has its own properties, and CONNECT its own. */
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 18 0000000a } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 06 003c { } (c) { 11 0000000a } "
	    "(w/t) (bye)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 06 003c { } (c) { 23 0001 } (w/t) "
	    "(bye)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 06 003c { } (c) { 01 02 } (w/t) "
	    "(bye)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 06 003c { } (c) { 18 0000000a "
	    "18 0000000a } (w/t) (bye)" },
	/* Names and passwords. */
	{ 0, 0, "10 .. (MQTT) 04 c2 003c (c) (u) 0002 ff00" },
	{ 0, 0, "10 .. (MQTT) 04 82 003c (c) (u)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 42 003c (c) (p)" },
	{ 0, 0, "10 .. (MQTT) 05 42 003c { } (c) (p)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 82 003c (c) 0001 ff" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 82 003c (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 c2 003c (c) (u)" },
	{ 0, MALFORMED, "10 .. (MQTT) 04 02 003c (c) (u)" },
	/* Properties of CONNECT. */
	{ 0, 0, "10 .. (MQTT) 05 02 003c { 11 ffffffff 21 000a 27 00000400 "
	    "22 0005 19 01 17 00 26 (k) (v) 26 (k) (v) 15 (m) 16 (d) } "
	    "(c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 21 0000 } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 27 00000000 } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 19 02 } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 17 02 } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 16 (d) } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 17 00 17 00 } (c)" },
	{ 0, PROTOCOL, "10 .. (MQTT) 05 02 003c { 15 (m) 15 (m) } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 12 (c) } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 00 } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 2b 00 } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 7f } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { ff 01 } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 11 ffffff } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 15 0005 'm' } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 26 (k) } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 26 (k) 0001 ff } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c { 26 0001 ff (v) } (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c 7f (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c 80 00 (c)" },
	{ 0, MALFORMED, "10 .. (MQTT) 05 02 003c 80 80 80 80 00 (c)" },
};

static const struct rule connacks[] = {
	{ V3, 0, "20 02 00 00" },
	{ V3, 0, "20 02 01 00" },
	{ V3, 0, "20 02 00 05" },
	{ V5, 0, "20 03 01 00 00" },
	{ V5, 0, "20 .. 00 00 { 11 00000001 21 0001 24 01 25 00 27 00000001 "
	    "12 (id) 22 0000 1f (ok) 26 (k) (v) 28 01 29 01 2a 00 13 0000 "
	    "1a (i) 1c (s) 15 (m) 16 (d) }" },
	{ BOTH, MALFORMED, "22 02 00 00" },
	{ V3, MALFORMED, "20 01 00" },
	{ V3, MALFORMED, "20 03 00 00 00" },
	{ V5, MALFORMED, "20 02 00 00" },       /* No properties. */
	{ V3, MALFORMED, "20 02 02 00" },       /* Reserved flags. */
	{ V5, MALFORMED, "20 03 80 00 00" },
	{ V3, PROTOCOL, "20 02 00 06" },
	{ V3, PROTOCOL, "20 02 00 87" },
	{ V5, 0, "20 03 00 87 00" },
	{ V5, PROTOCOL, "20 03 00 01 00" },
	{ V5, PROTOCOL, "20 03 00 93 00" },
	{ V5, PROTOCOL, "20 03 00 ff 00" },
	{ V3, PROTOCOL, "20 02 01 02" },        /* Session of a refusal. */
	{ V5, PROTOCOL, "20 03 01 87 00" },
	{ V5, PROTOCOL, "20 .. 00 00 { 24 02 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 25 02 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 28 02 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 29 02 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 2a 02 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 21 0000 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 27 00000000 }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 16 (d) }" },
	{ V5, PROTOCOL, "20 .. 00 00 { 1f (a) 1f (b) }" },
	{ V5, MALFORMED, "20 .. 00 00 { 23 0001 }" },
	{ V5, MALFORMED, "20 .. 00 00 { 17 01 }" },
};

static const struct rule publishes[] = {
	{ V3, 0, "30 .. (a/b) 'hi'" },
	{ V3, 0, "31 .. (a/b)" },
	{ V3, 0, "3d .. (a/b) 0001 'hi'" },
	{ V5, 0, "34 .. (a/b) ffff { } 'hi'" },
	{ BOTH, 0, "30 .. (/) 00" },
	{ BOTH, 0, "30 .. ($SYS/x) 00 'hi'" },
	{ BOTH, MALFORMED, "36 .. (a) 0001 00" },       /* QoS 3. */
	{ BOTH, MALFORMED, "38 .. (a) 00" },            /* DUP, QoS 0. */
	{ BOTH, PROTOCOL, "32 .. (a) 0000 00" },        /* Identifier 0. */
	{ BOTH, MALFORMED, "32 .. (a)" },
	{ BOTH, MALFORMED, "32 .. (a) 01" },
	{ BOTH, MALFORMED, "30 .. 0004 'abc'" },
	{ BOTH, MALFORMED, "30 .. 00" },
	{ BOTH, MALFORMED, "30 00" },
	{ V5, MALFORMED, "30 .. (a)" },                 /* No properties. */
	{ BOTH, TOPIC, "30 .. (a/+) 00" },
	{ BOTH, TOPIC, "30 .. (a/#) 00" },
	{ BOTH, TOPIC, "30 .. (long/enough/name#) 00" },
	{ BOTH, TOPIC, "30 .. (+long/enough/name) 00" },
	{ BOTH, PROTOCOL, "30 .. () 00" },
	{ V5, 0, "30 .. () { 23 0001 } 'hi'" },
	{ V5, ALIAS, "30 .. (a) { 23 0000 } 'hi'" },
	{ V5, ALIAS, "30 .. () { 23 0000 } 'hi'" },
	{ V5, PROTOCOL, "30 .. (a) { 23 0001 23 0001 }" },
	{ V5, 0, "30 .. (a) { 01 01 02 00000000 03 (t) 08 (r) 09 (c) "
	    "0b 01 0b ffffff7f 0b 01 23 ffff 26 () () }" },
	{ V5, PROTOCOL, "30 .. (a) { 01 02 }" },
	{ V5, PROTOCOL, "30 .. (a) { 01 01 01 01 }" },
	{ V5, PROTOCOL, "30 .. (a) { 0b 00 }" },
	{ V5, MALFORMED, "30 .. (a) { 0b 8000 }" },
	{ V5, MALFORMED, "30 .. (a) { 0b ffffffff01 }" },
	{ V5, MALFORMED, "30 .. (a) { 0b ff }" },
	{ V5, PROTOCOL, "30 .. (a) { 08 (r/+) }" },
	{ V5, PROTOCOL, "30 .. (a) { 08 (#) }" },
	{ V5, PROTOCOL, "30 .. (a) { 08 () }" },
	{ V5, MALFORMED, "30 .. (a) { 08 0001 ff }" },
	{ V5, MALFORMED, "30 .. (a) { 03 0001 00 }" },
	{ V5, MALFORMED, "30 .. (a) { 18 00000001 }" }, /* Of a will. */
	{ V5, MALFORMED, "30 .. (a) { 1f (x) }" },
	{ V5, MALFORMED, "30 .. (a) { 23 00 }" },
	{ V5, MALFORMED, "30 .. (a) { 01 }" },
	{ V5, MALFORMED, "30 .. (a) 05 01 01" },
	{ V5, 0, "30 .. (a) { 09 0003 0000ff }" },      /* Binary is free. */
};

/* 3.1.1 1.5.3, 5.0 1.5.4; the topic of a PUBLISH. */
static const struct rule utf8[] = {
	{ V3, MALFORMED, "30 .. 0001 00" },
	{ V3, MALFORMED, "30 .. 0009 'abcdefgh' 00" },
	{ V3, MALFORMED, "30 .. 000a 'abcd' 00 'efghi'" },
	{ V3, MALFORMED, "30 .. 0002 c080" },           /* Overlong. */
	{ V3, MALFORMED, "30 .. 0003 e08080" },
	{ V3, MALFORMED, "30 .. 0004 f0808080" },
	{ V3, MALFORMED, "30 .. 0003 e0809f" },
	{ V3, MALFORMED, "30 .. 0003 eda080" },         /* U+D800 */
	{ V3, MALFORMED, "30 .. 0003 edbfbf" },         /* U+DFFF */
	{ V3, MALFORMED, "30 .. 0004 f4908080" },       /* U+110000 */
	{ V3, MALFORMED, "30 .. 0004 f5808080" },
	{ V3, MALFORMED, "30 .. 0001 80" },
	{ V3, MALFORMED, "30 .. 0002 c3 'a'" },
	{ V3, MALFORMED, "30 .. 0001 c3" },             /* Cut short. */
	{ V3, MALFORMED, "30 .. 0002 e282" },
	{ V3, MALFORMED, "30 .. 0001 ff" },
	{ V3, MALFORMED, "30 .. 0002 'a' 01" },         /* Controls. */
	{ V3, MALFORMED, "30 .. 0002 'a' 1f" },
	{ V3, MALFORMED, "30 .. 0002 'a' 7f" },
	{ V3, MALFORMED, "30 .. 000a c3a4 'bcdefg' 0a 'x'" },
	{ V3, MALFORMED, "30 .. 0002 c280" },
	{ V3, MALFORMED, "30 .. 0002 c29f" },
	{ V3, MALFORMED, "30 .. 0003 efb790" },         /* U+FDD0 */
	{ V3, MALFORMED, "30 .. 0003 efb7af" },
	{ V3, MALFORMED, "30 .. 0003 efbfbe" },         /* U+FFFE */
	{ V3, MALFORMED, "30 .. 0003 efbfbf" },
	{ V3, MALFORMED, "30 .. 0004 f09fbfbf" },       /* U+1FFFF */
	{ V3, MALFORMED, "30 .. 0004 f48fbfbe" },       /* U+10FFFE */
	{ V3, 0, "30 .. 0002 c2a0" },
	{ V3, 0, "30 .. 0003 efbbbf" },                 /* U+FEFF stays. */
	{ V3, 0, "30 .. 0003 ed9fbf" },
	{ V3, 0, "30 .. 0003 ee8080" },
	{ V3, 0, "30 .. 0003 efb78f" },
	{ V3, 0, "30 .. 0003 efb7b0" },
	{ V3, 0, "30 .. 0003 efbfbd" },
	{ V3, 0, "30 .. 0004 f0908080" },
	{ V3, 0, "30 .. 0004 f48fbfbd" },
	{ V3, 0, "30 .. 0005 ' !~ ' 41" },
	{ V3, TOPIC, "30 .. 000a c3a4 'bcdefg+x'" },
	{ V3, MALFORMED, "30 .. 000a ff 'bcdefgh+x'" },
};

static const struct rule acks[] = {
	{ BOTH, 0, "40 02 0001" },
	{ BOTH, 0, "50 02 ffff" },
	{ BOTH, 0, "62 02 0001" },
	{ BOTH, 0, "70 02 0001" },
	{ BOTH, PROTOCOL, "40 02 0000" },
	{ BOTH, PROTOCOL, "62 02 0000" },
	{ BOTH, MALFORMED, "40 01 00" },
	{ BOTH, MALFORMED, "40 00" },
	{ BOTH, MALFORMED, "42 02 0001" },      /* Flags. */
	{ BOTH, MALFORMED, "52 02 0001" },
	{ BOTH, MALFORMED, "60 02 0001" },
	{ BOTH, MALFORMED, "63 02 0001" },
	{ BOTH, MALFORMED, "72 02 0001" },
	{ V3, MALFORMED, "40 03 0001 00" },
	{ V5, 0, "40 03 0001 00" },
	{ V5, 0, "40 03 0001 10" },
	{ V5, 0, "50 04 0001 97 00" },
	{ V5, 0, "40 .. 0001 80 { 1f (why) 26 (k) (v) }" },
	{ V5, 0, "62 03 0001 92" },
	{ V5, 0, "70 03 0001 92" },
	{ V5, PROTOCOL, "40 03 0001 92" },
	{ V5, PROTOCOL, "62 03 0001 80" },
	{ V5, PROTOCOL, "70 03 0001 10" },
	{ V5, PROTOCOL, "40 03 0001 01" },
	{ V5, PROTOCOL, "40 03 0001 a3" },
	{ V5, MALFORMED, "40 05 0001 00 00 00" },
	{ V5, MALFORMED, "40 .. 0001 00 { 03 (t) }" },
	{ V5, PROTOCOL, "40 .. 0001 00 { 1f (t) 1f (t) }" },
	{ V5, MALFORMED, "40 .. 0001 00 05 1f" },
};

static const struct rule subscribes[] = {
	{ V3, 0, "82 .. 000a (a/b) 01 (c/+/#) 02" },
	{ V5, 0, "82 .. 000a { } (a/b) 2d" },
	{ V5, 0, "82 .. 000a { 0b ffffff7f 26 (k) (v) } (a/b) 00" },
	{ BOTH, MALFORMED, "80 .. 000a 00 (a) 01" },
	{ BOTH, MALFORMED, "8a .. 000a 00 (a) 01" },
	{ V3, PROTOCOL, "82 .. 0000 (a) 01" },
	{ V5, PROTOCOL, "82 .. 0000 { } (a) 01" },
	{ V3, PROTOCOL, "82 02 0001" },         /* No filters. */
	{ V5, PROTOCOL, "82 03 0001 00" },
	{ V5, MALFORMED, "82 02 0001" },
	{ V3, MALFORMED, "82 .. 0001 (a)" },
	{ V3, MALFORMED, "82 .. 0001 (a) 00 (b)" },
	{ V3, MALFORMED, "82 .. 0001 (a) 00 00" },
	{ V3, MALFORMED, "82 .. 0001 0005 'a' 00" },
	{ V3, PROTOCOL, "82 .. 0001 (a) 03" },
	{ V5, PROTOCOL, "82 .. 0001 { } (a) 03" },
	{ V3, MALFORMED, "82 .. 0001 (a) 04" },  /* Reserved bits. */
	{ V3, MALFORMED, "82 .. 0001 (a) 80" },
	{ V5, MALFORMED, "82 .. 0001 { } (a) 40" },
	{ V5, MALFORMED, "82 .. 0001 { } (a) 81" },
	{ V5, PROTOCOL, "82 .. 0001 { } (a) 30" }, /* Retain handling 3. */
	{ V3, FILTER, "82 .. 0001 () 00" },
	{ V3, FILTER, "82 .. 0001 (a/#/b) 00" },
	{ V3, FILTER, "82 .. 0001 (a#) 00" },
	{ V3, FILTER, "82 .. 0001 (a/b+) 00" },
	{ V3, FILTER, "82 .. 0001 (+a) 00" },
	{ V3, FILTER, "82 .. 0001 (a) 00 (##) 00" },
	{ V3, MALFORMED, "82 .. 0001 0001 00 00" },
	{ V3, 0, "82 .. 0001 (#) 00 (+) 00 (/) 00 (+/+) 00 (/+/) 00" },
	{ V5, PROTOCOL, "82 .. 0001 { 0b 00 } (a) 00" },
	{ V5, PROTOCOL, "82 .. 0001 { 0b 01 0b 02 } (a) 00" },
	{ V5, MALFORMED, "82 .. 0001 { 0b 80808001 } (a) 00 ff" },
	{ V5, MALFORMED, "82 .. 0001 { 1f (x) } (a) 00" },
	/* Shared. */
	{ V5, 0, "82 .. 0001 { } ($share/g/a/#) 01" },
	{ V5, PROTOCOL, "82 .. 0001 { } ($share/g/a/#) 05" },
	{ V5, 0, "82 .. 0001 { } ($shared/g/a/#) 05" },
	{ V5, FILTER, "82 .. 0001 { } ($share/g) 01" },
	{ V5, FILTER, "82 .. 0001 { } ($share//a) 01" },
	{ V5, FILTER, "82 .. 0001 { } ($share/g/) 01" },
	{ V5, FILTER, "82 .. 0001 { } ($share/+/a) 01" },
	{ V5, FILTER, "82 .. 0001 { } ($share/#) 01" },
	{ V5, FILTER, "82 .. 0001 { } ($share/g/a+) 01" },
	{ V3, 0, "82 .. 0001 ($share/g) 01" },
	{ V3, FILTER, "82 .. 0001 ($share/g/a+) 01" },
};

static const struct rule unsubscribes[] = {
	{ V3, 0, "a2 .. 0001 (a) (b/#)" },
	{ V5, 0, "a2 .. 0001 { 26 (k) (v) } ($share/g/a)" },
	{ BOTH, MALFORMED, "a0 .. 0001 00 (a)" },
	{ V3, PROTOCOL, "a2 .. 0000 (a)" },
	{ V3, PROTOCOL, "a2 02 0001" },
	{ V5, PROTOCOL, "a2 03 0001 00" },
	{ V3, FILTER, "a2 .. 0001 ()" },
	{ V3, FILTER, "a2 .. 0001 (a#)" },
	{ V5, FILTER, "a2 .. 0001 { } ($share/g)" },
	{ V3, MALFORMED, "a2 .. 0001 (a) 00" },
	{ V5, MALFORMED, "a2 .. 0001 { 0b 01 } (a)" },
};

static const struct rule subacks[] = {
	{ V3, 0, "90 .. 0001 00 01 02 80" },
	{ V5, 0, "90 .. 0001 { 1f (x) 26 (k) (v) } 00 02 87 8f 97 9e a1 a2 "
	    "91 83 80" },
	{ BOTH, MALFORMED, "92 03 0001 00" },
	{ V3, PROTOCOL, "90 .. 0000 00" },
	{ V3, PROTOCOL, "90 .. 0001" },
	{ V5, PROTOCOL, "90 .. 0001 { }" },
	{ V3, PROTOCOL, "90 .. 0001 03" },
	{ V3, PROTOCOL, "90 .. 0001 87" },
	{ V5, PROTOCOL, "90 .. 0001 { } 11" },
	{ V3, 0, "b0 02 0001" },
	{ V3, MALFORMED, "b0 03 0001 00" },
	{ V5, 0, "b0 .. 0001 { } 00 11 80 83 87 8f 91" },
	{ V5, PROTOCOL, "b0 .. 0001 { }" },
	{ V5, PROTOCOL, "b0 .. 0001 { } 01" },
	{ V5, PROTOCOL, "b0 .. 0001 { } 97" },
	{ V5, PROTOCOL, "b0 .. 0000 { } 00" },
	{ BOTH, MALFORMED, "b1 02 0001" },
};

static const struct rule ends[] = {
	{ BOTH, 0, "e0 00" },
	{ BOTH, MALFORMED, "e1 00" },
	{ V3, MALFORMED, "e0 01 00" },
	{ V5, 0, "e0 01 04" },
	{ V5, 0, "e0 02 81 00" },
	{ V5, 0, "e0 .. 00 { 11 00000005 1f (bye) 26 (k) (v) }" },
	{ V5, 0, "e0 .. 9d { 1c (other) }" },
	{ V5, PROTOCOL, "e0 01 01" },
	{ V5, PROTOCOL, "e0 01 84" },
	{ V5, PROTOCOL, "e0 01 92" },
	{ V5, PROTOCOL, "e0 .. 00 { 11 00000005 11 00000005 }" },
	{ V5, MALFORMED, "e0 .. 00 { 21 0005 }" },
	{ V5, MALFORMED, "e0 03 00 00 00" },
	{ V5, 0, "f0 00" },
	{ V5, 0, "f0 .. 18 { 15 (m) 16 (d) 1f (x) 26 (k) (v) }" },
	{ V5, 0, "f0 .. 00 { 15 (m) }" },
	{ V5, MALFORMED, "f1 00" },
	{ V5, MALFORMED, "f0 01 18" },
	{ V5, PROTOCOL, "f0 .. 18 { }" },       /* No method. */
	{ V5, PROTOCOL, "f0 .. 00 { }" },
	{ V5, PROTOCOL, "f0 .. 18 { 16 (d) }" },
	{ V5, PROTOCOL, "f0 .. 01 { 15 (m) }" },
	{ V5, MALFORMED, "f0 .. 18 { 15 (m) 11 00000001 }" },
	{ V3, MALFORMED, "f0 00" },
	{ V3, MALFORMED, "f0 .. 18 { 15 (m) }" },
};

static void
check_rule(const struct rule *rule, uint8_t version)
{
	struct tn_codec_mqtt_packet p, q;
	struct tn_buf in = { 0 }, out = { 0 };
	uint8_t reason = 0xee, *copy, *again;
	enum tn_status st;

	parse(&in, rule->packet);
	st = decode_copy(help_slice(&in), version, &p, &reason, &copy);
	if (reason != rule->reason ||
	    st != (rule->reason == 0 ? TN_OK : TN_EINVAL))
		fail_msg("%u: %s: status %d reason %02x, not %02x", version,
		    rule->packet, st, reason, rule->reason);
	if (st == TN_OK) {
		assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_OK);
		assert_int_equal(decode_copy(help_slice(&out), p.version, &q,
		    &reason, &again), TN_OK);
		assert_true(mqtt_same(&p, &q));
		free(again);
	}
	tn_arena_reset(arena);
	free(copy);
	tn_buf_fini(&in);
	tn_buf_fini(&out);
}

static void
check_rules(const struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rules[i].version != BOTH) {
			check_rule(&rules[i], rules[i].version);
			continue;
		}
		check_rule(&rules[i], V3);
		check_rule(&rules[i], V5);
	}
}

/* Goal: each rule that one packet can break gives its reason code. */
static void
test_rules(void **state)
{
	(void)state;
	check_rules(framing, TN_COUNT(framing));
	check_rules(connects, TN_COUNT(connects));
	check_rules(connacks, TN_COUNT(connacks));
	check_rules(publishes, TN_COUNT(publishes));
	check_rules(utf8, TN_COUNT(utf8));
	check_rules(acks, TN_COUNT(acks));
	check_rules(subscribes, TN_COUNT(subscribes));
	check_rules(unsubscribes, TN_COUNT(unsubscribes));
	check_rules(subacks, TN_COUNT(subacks));
	check_rules(ends, TN_COUNT(ends));
}

/* ---- fields ---------------------------------------------------------- */

/* Goal: every field of a CONNECT with everything in it is found. */
static void
test_connect_fields(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf in = { 0 };
	uint8_t reason, *copy;

	(void)state;
	parse(&in, "10 .. (MQTT) 05 f6 0102 { 11 00000007 21 0008 27 00000009 "
	    "22 000a 19 01 17 00 15 (m) 16 (d) 26 (k1) (v1) 26 (k2) (v2) } "
	    "(me) { 18 0000000b 01 01 02 0000000c 03 (text) 08 (re) 09 (co) } "
	    "(w/t) (bye) (user) (pass)");
	assert_int_equal(decode_copy(help_slice(&in), 0, &p, &reason, &copy),
	    TN_OK);
	assert_int_equal(p.type, TN_MQTT_CONNECT);
	assert_int_equal(p.version, 5);
	assert_int_equal(p.connect.keep_alive_s, 0x102);
	assert_true(p.connect.clean_start && p.connect.has_will);
	assert_true(p.connect.has_user && p.connect.has_password);
	assert_int_equal(p.connect.will_qos, 2);
	assert_true(p.connect.will_retain);
	assert_int_equal(p.props.session_expiry_s, 7);
	assert_int_equal(p.props.receive_max, 8);
	assert_int_equal(p.props.packet_max, 9);
	assert_int_equal(p.props.topic_alias_max, 10);
	assert_int_equal(p.props.request_response, 1);
	assert_int_equal(p.props.request_problem, 0);
	assert_true(tn_slice_is(p.props.auth_method, "m"));
	assert_true(tn_slice_is(p.props.auth_data, "d"));
	assert_int_equal(p.props.user_count, 2);
	assert_true(tn_slice_is(p.props.users[1].name, "k2"));
	assert_true(tn_slice_is(p.props.users[1].value, "v2"));
	assert_true(tn_slice_is(p.connect.client_id, "me"));
	assert_int_equal(p.connect.will_props.will_delay_s, 11);
	assert_int_equal(p.connect.will_props.payload_format, 1);
	assert_int_equal(p.connect.will_props.message_expiry_s, 12);
	assert_true(tn_slice_is(p.connect.will_props.content_type, "text"));
	assert_true(tn_slice_is(p.connect.will_props.response_topic, "re"));
	assert_true(tn_slice_is(p.connect.will_props.correlation, "co"));
	assert_true(tn_slice_is(p.connect.will_topic, "w/t"));
	assert_true(tn_slice_is(p.connect.will_payload, "bye"));
	assert_true(tn_slice_is(p.connect.user, "user"));
	assert_true(tn_slice_is(p.connect.password, "pass"));
	/* Nothing was copied. */
	assert_true(p.connect.password.p > copy &&
	    p.connect.password.p < copy + in.n);
	free(copy);
	tn_buf_fini(&in);
}

/* Goal: a refused CONNECT says which level it asked for; a bridge's level is
 * 3.1.1. */
static void
test_connect_level(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf in = { 0 };
	uint8_t reason, *copy;

	(void)state;
	parse(&in, "10 .. (MQIsdp) 03 02 003c (c)");
	assert_int_equal(decode_copy(help_slice(&in), 0, &p, &reason, &copy),
	    TN_EINVAL);
	assert_int_equal(p.type, TN_MQTT_CONNECT);
	assert_int_equal(p.version, 3);
	free(copy);
	parse(&in, "10 .. (MQTT) 84 02 003c (c)");
	assert_int_equal(decode_copy(help_slice(&in), 0, &p, &reason, &copy),
	    TN_OK);
	assert_int_equal(p.version, TN_MQTT_V311);
	assert_true(p.connect.bridge);
	free(copy);
	parse(&in, "10 .. (MQTT) 04 02 003c (c)");
	assert_int_equal(decode_copy(help_slice(&in), 0, &p, &reason, &copy),
	    TN_OK);
	assert_false(p.connect.bridge);
	free(copy);
	tn_buf_fini(&in);
}

/* Goal: the fields of SUBSCRIBE, PUBLISH and SUBACK are found. */
static void
test_other_fields(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf in = { 0 };
	uint8_t reason, *copy;

	(void)state;
	parse(&in, "82 .. 0a0b { 0b 8101 } (a/+) 2d (#) 12");
	assert_int_equal(decode_copy(help_slice(&in), 5, &p, &reason, &copy),
	    TN_OK);
	assert_int_equal(p.id, 0xa0b);
	assert_int_equal(p.props.sub_ids[0], 129);
	assert_int_equal(p.filter_count, 2);
	assert_true(tn_slice_is(p.filters[0].filter, "a/+"));
	assert_int_equal(p.filters[0].qos, 1);
	assert_true(p.filters[0].no_local);
	assert_true(p.filters[0].retain_as_published);
	assert_int_equal(p.filters[0].retain_handling, 2);
	assert_int_equal(p.filters[1].qos, 2);
	assert_false(p.filters[1].no_local);
	assert_int_equal(p.filters[1].retain_handling, 1);
	free(copy);

	parse(&in, "3b .. (a/b) 0102 { 0b 05 0b 06 } 'body'");
	assert_int_equal(decode_copy(help_slice(&in), 5, &p, &reason, &copy),
	    TN_OK);
	assert_true(p.dup && p.retain && p.qos == 1 && p.id == 0x102);
	assert_true(tn_slice_is(p.topic, "a/b"));
	assert_true(tn_slice_is(p.payload, "body"));
	assert_int_equal(p.props.sub_id_count, 2);
	assert_int_equal(p.props.sub_ids[1], 6);
	free(copy);

	parse(&in, "90 .. 0007 00 80 02");
	assert_int_equal(decode_copy(help_slice(&in), 4, &p, &reason, &copy),
	    TN_OK);
	assert_int_equal(p.reasons.n, 3);
	assert_int_equal(p.reasons.p[1], 0x80);
	free(copy);
	tn_buf_fini(&in);
}

/* ---- lengths --------------------------------------------------------- */

/* Goal: frame says how long a packet is as soon as it can, and no longer. */
static void
test_frame(void **state)
{
	static const struct {
		const char *in;
		enum tn_status st;
		size_t bytes;
	} cases[] = {
		{ "", TN_END, 0 }, { "c0", TN_END, 0 },
		{ "c0 00", TN_OK, 2 }, { "30 7f", TN_OK, 129 },
		{ "30 80", TN_END, 0 }, { "30 8001", TN_OK, 131 },
		{ "30 ff7f", TN_OK, 16386 }, { "30 808001", TN_OK, 16388 },
		{ "30 ffffff", TN_END, 0 },
		{ "30 ffffff7f", TN_OK, 268435460 },
		{ "30 80808001", TN_OK, 2097157 },
		{ "30 80808080", TN_EINVAL, 0 },
		{ "30 ffffffff7f", TN_EINVAL, 0 },
		{ "00", TN_EINVAL, 0 }, { "0f 00", TN_EINVAL, 0 },
	};
	struct tn_buf in = { 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		size_t bytes = 0;
		uint8_t reason = 0;

		parse(&in, cases[i].in);
		assert_int_equal(tn_codec_mqtt_frame(help_slice(&in),
		    SIZE_MAX, &bytes, &reason), cases[i].st);
		assert_int_equal(bytes, cases[i].bytes);
		if (cases[i].st == TN_EINVAL)
			assert_int_equal(reason, MALFORMED);
		if (cases[i].st != TN_OK)
			continue;
		assert_int_equal(tn_codec_mqtt_frame(help_slice(&in),
		    cases[i].bytes, &bytes, &reason), TN_OK);
		assert_int_equal(tn_codec_mqtt_frame(help_slice(&in),
		    cases[i].bytes - 1, &bytes, &reason), TN_ELIMIT);
		assert_int_equal(reason, TN_MQTT_PACKET_TOO_LARGE);
	}
	tn_buf_fini(&in);
}

/* Goal: bodies at each border of the length's size encode and decode. */
static void
test_sizes(void **state)
{
	static const size_t sizes[] = { 127, 128, 16383, 16384, 2097151,
	    2097152 };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = 4, .topic = tn_slice_of("t") }, q;
	uint8_t *payload = calloc(1, 2097152), reason;
	struct tn_buf out = { 0 };
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(sizes); i++) {
		tn_buf_clear(&out);
		p.payload = (struct tn_slice){ payload, sizes[i] - 3 };
		assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_OK);
		assert_int_equal(tn_codec_mqtt_frame(help_slice(&out),
		    SIZE_MAX, &bytes, &reason), TN_OK);
		assert_int_equal(bytes, out.n);
		assert_int_equal(tn_codec_mqtt_decode(help_slice(&out), 4,
		    arena, &q, &reason), TN_OK);
		assert_int_equal(q.payload.n, p.payload.n);
	}
	tn_buf_fini(&out);
	free(payload);
}

/* Goal: beyond the largest body nothing is appended; the largest is only too
 * much for the buffer. Its bytes are counted, never read. */
static void
test_too_large(void **state)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = 4, .topic = tn_slice_of("t") };
	struct tn_buf out = { .max = 100 };

	(void)state;
	tn_buf_char(&out, 'x');
	p.payload = (struct tn_slice){ out.p, 268435456 - 3 };
	assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_ELIMIT);
	assert_false(out.failed);
	assert_int_equal(out.n, 1);
	p.payload.n--;
	assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_ELIMIT);
	assert_true(out.failed);
	tn_buf_fini(&out);
}

/* ---- encoding -------------------------------------------------------- */

/* Goal: tails are as short as the standard allows, and 3.1.1 has neither
 * properties nor reasons. */
static void
test_short_tails(void **state)
{
	static const struct {
		uint8_t version;
		enum tn_codec_mqtt_type type;
		uint8_t reason;
		bool string;
		const char *bytes;
	} cases[] = {
		{ 5, TN_MQTT_PUBACK, 0, false, "40 02 0007" },
		{ 5, TN_MQTT_PUBREC, 0x97, false, "50 03 0007 97" },
		{ 5, TN_MQTT_PUBREL, 0, false, "62 02 0007" },
		{ 5, TN_MQTT_PUBCOMP, 0x92, true, "70 .. 0007 92 {1f (s)}" },
		{ 5, TN_MQTT_PUBACK, 0, true, "40 .. 0007 00 {1f (s)}" },
		{ 4, TN_MQTT_PUBACK, 0x97, true, "40 02 0007" },
		{ 4, TN_MQTT_PUBREL, 0, false, "62 02 0007" },
		{ 5, TN_MQTT_DISCONNECT, 0, false, "e0 00" },
		{ 5, TN_MQTT_DISCONNECT, 0x8d, false, "e0 01 8d" },
		{ 5, TN_MQTT_DISCONNECT, 0, true, "e0 .. 00 {1f (s)}" },
		{ 4, TN_MQTT_DISCONNECT, 0x8d, true, "e0 00" },
		{ 5, TN_MQTT_AUTH, 0, false, "f0 00" },
		{ 4, TN_MQTT_CONNACK, 5, true, "20 02 00 05" },
		{ 5, TN_MQTT_CONNACK, 0x87, false, "20 03 00 87 00" },
		{ 4, TN_MQTT_UNSUBACK, 0, true, "b0 02 0007" },
		{ 5, TN_MQTT_PINGRESP, 0, false, "d0 00" },
	};
	struct tn_buf in = { 0 }, out = { 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_codec_mqtt_packet p = { .type = cases[i].type,
		    .version = cases[i].version, .reason = cases[i].reason,
		    .id = 7 };

		if (cases[i].string) {
			p.props.present = 1u << TN_MQTT_P_REASON_STRING;
			p.props.reason_string = tn_slice_of("s");
		}
		tn_buf_clear(&out);
		parse(&in, cases[i].bytes);
		assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_OK);
		assert_int_equal(out.n, in.n);
		assert_memory_equal(out.p, in.p, in.n);
	}
	tn_buf_fini(&in);
	tn_buf_fini(&out);
}

/* Goal: what only a server may send is told apart. */
static void
test_of_client(void **state)
{
	static const struct {
		uint8_t reason;
		const char *packet;
	} cases[] = {
		{ 0, "10 .. (MQTT) 05 02 003c { } (c)" },
		{ PROTOCOL, "20 03 00 00 00" },
		{ 0, "30 .. (a) { 26 (k) (v) }" },
		{ PROTOCOL, "30 .. (a) { 0b 01 }" },
		{ 0, "40 02 0001" }, { 0, "50 02 0001" },
		{ 0, "62 02 0001" }, { 0, "70 02 0001" },
		{ 0, "82 .. 0001 { 0b 01 } (a) 00" },
		{ PROTOCOL, "90 .. 0001 { } 00" },
		{ 0, "a2 .. 0001 { } (a)" },
		{ PROTOCOL, "b0 .. 0001 { } 00" },
		{ 0, "c0 00" }, { PROTOCOL, "d0 00" },
		{ 0, "e0 00" }, { 0, "e0 01 04" }, { 0, "e0 01 81" },
		{ 0, "e0 01 83" }, { PROTOCOL, "e0 01 87" },
		{ PROTOCOL, "e0 01 89" }, { PROTOCOL, "e0 01 8b" },
		{ 0, "e0 01 8c" }, { PROTOCOL, "e0 01 8d" },
		{ PROTOCOL, "e0 01 8f" }, { 0, "e0 01 90" },
		{ 0, "e0 01 93" }, { 0, "e0 01 99" },
		{ PROTOCOL, "e0 01 9a" }, { PROTOCOL, "e0 01 a2" },
		{ PROTOCOL, "e0 .. 00 { 1c (x) }" },
		{ 0, "e0 .. 00 { 11 00000001 }" },
		{ 0, "f0 .. 18 { 15 (m) }" }, { 0, "f0 .. 19 { 15 (m) }" },
		{ PROTOCOL, "f0 .. 00 { 15 (m) }" }, { PROTOCOL, "f0 00" },
	};
	struct tn_codec_mqtt_packet p;
	struct tn_buf in = { 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		uint8_t reason, *copy;

		parse(&in, cases[i].packet);
		assert_int_equal(decode_copy(help_slice(&in), 5, &p, &reason,
		    &copy), TN_OK);
		assert_int_equal(tn_codec_mqtt_of_client(&p, &reason),
		    cases[i].reason == 0 ? TN_OK : TN_EINVAL);
		assert_int_equal(reason, cases[i].reason);
		free(copy);
	}
	tn_buf_fini(&in);
}

/* ---- tables ---------------------------------------------------------- */

/* Goal: no table but the standard's: each type takes exactly the properties
 * that its table 2-4 names. */
static void
test_tables(void **state)
{
	static const char *const heads[] = { "", "", "20 .. 00 00", "30 .. (a)",
	    "40 .. 0001 00", "50 .. 0001 00", "62 .. 0001 00",
	    "70 .. 0001 00", "82 .. 0001", "90 .. 0001", "a2 .. 0001",
	    "b0 .. 0001", "", "", "e0 .. 00", "f0 .. 18" };
	static const char *const tails[16] = { [8] = "(a) 00", [9] = "00",
	    [10] = "(a)", [11] = "00" };
	struct tn_buf in = { 0 }, text = { 0 };
	struct tn_codec_mqtt_packet p;
	uint8_t reason, *copy;

	(void)state;
	for (unsigned type = 2; type < 16; type++)
		for (unsigned id = 0; id < 128 && *heads[type] != 0; id++) {
			bool four = id == 2 || id == 17 || id == 24 || id == 39;
			bool two = id == 19 || (id >= 33 && id <= 35);
			bool one = id == 1 || id == 23 || id == 25 ||
			    id == 36 || id == 37 || (id >= 40 && id <= 42);

			tn_buf_clear(&text);
			tn_buf_printf(&text, "%s { %s %02x %s } %s",
			    heads[type], type == 15 && id != 21 ? "15 (m)" :
			    id == 22 ? "15 (m)" : "", id, four ? "00000001" :
			    two ? "0001" : one || id == 11 ? "01" : id == 38 ?
			    "(k) (v)" : "(t)", tails[type] == NULL ? "" :
			    tails[type]);
			parse(&in, tn_buf_cstr(&text));
			(void)decode_copy(help_slice(&in), 5, &p, &reason,
			    &copy);
			if (reason != (mqtt_carries(type, id) ? 0 : MALFORMED))
				fail_msg("%s: %02x", tn_buf_cstr(&text),
				    reason);
			free(copy);
			tn_arena_reset(arena);
		}
	tn_buf_fini(&in);
	tn_buf_fini(&text);
}

/* Goal: each type takes exactly the reason codes that its own table in section
 * 3 names, and DISCONNECT also 0x8C, which only table 2-6 gives it. */
static void
test_reason_codes(void **state)
{
	static const struct {
		const char *head, *end, *codes;
	} cases[] = {
		{ "20 .. 00", "00", "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 "
		    "95 97 99 9a 9b 9c 9d 9f" },
		{ "40 .. 0001", "", "00 10 80 83 87 90 91 97 99" },
		{ "50 .. 0001", "", "00 10 80 83 87 90 91 97 99" },
		{ "62 .. 0001", "", "00 92" },
		{ "70 .. 0001", "", "00 92" },
		{ "90 .. 0001 00", "", "00 01 02 80 83 87 8f 91 97 9e a1 a2" },
		{ "b0 .. 0001 00", "", "00 11 80 83 87 8f 91" },
		{ "e0 ..", "", "00 04 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 "
		    "94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2" },
		{ "f0 ..", "{ 15 (m) }", "00 18 19" },
	};
	struct tn_buf in = { 0 };
	struct tn_codec_mqtt_packet p;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++)
		for (unsigned code = 0; code < 256; code++) {
			char text[80], hex[3];
			uint8_t reason, *copy;

			snprintf(hex, sizeof hex, "%02x", code);
			snprintf(text, sizeof text, "%s %s %s", cases[i].head,
			    hex, cases[i].end);
			parse(&in, text);
			(void)decode_copy(help_slice(&in), 5, &p, &reason,
			    &copy);
			if (reason != (strstr(cases[i].codes, hex) != NULL ?
			    0 : PROTOCOL))
				fail_msg("%s: %02x", text, reason);
			free(copy);
		}
	tn_buf_fini(&in);
}

/* ---- memory ---------------------------------------------------------- */

/* Goal: hot packets take nothing from the arena, which may even be NULL, and
 * the others at most what the header says. */
static void
test_memory(void **state)
{
	static const char *const free_ones[] = { "32 .. (a/b) 0001 'hi'",
	    "40 02 0001", "50 02 0001", "62 02 0001", "70 02 0001", "c0 00",
	    "e0 00" };
	struct tn_codec_mqtt_packet p;
	struct tn_buf in = { 0 };
	struct tn_arena *a = tn_arena_new(256);
	uint8_t reason;
	size_t before = tn_arena_bytes(a);

	(void)state;
	for (size_t i = 0; i < TN_COUNT(free_ones); i++) {
		parse(&in, free_ones[i]);
		assert_int_equal(tn_codec_mqtt_decode(help_slice(&in), 4,
		    NULL, &p, &reason), TN_OK);
	}
	/* The densest of each: user properties, identifiers, filters. */
	for (int kind = 0; kind < 3; kind++) {
		static const uint8_t user[] = { 38, 0, 0, 0, 0 };
		static const uint8_t sub_id[] = { 11, 1 };
		static const uint8_t filter[] = { 0, 1, 'a' };
		uint8_t body[30000];
		size_t n = 0, size = kind == 0 ? 5 : kind == 1 ? 2 : 3;

		for (; n < sizeof body; n += size)
			memcpy(body + n, kind == 0 ? user : kind == 1 ?
			    sub_id : filter, size);
		tn_buf_clear(&in);
		tn_buf_char(&in, kind == 2 ? (char)0xa2 : 0x30);
		tn_buf_varint(&in, n + (kind == 2 ? 2 : 6));
		tn_buf_add(&in, kind == 2 ? "\0\1" : "\0\1a", kind == 2 ? 2 :
		    3);
		if (kind != 2)
			tn_buf_varint(&in, n);
		tn_buf_add(&in, body, n);
		assert_int_equal(tn_codec_mqtt_decode(help_slice(&in),
		    kind == 2 ? 4 : 5, a, &p, &reason), TN_OK);
		assert_true(tn_arena_bytes(a) - before <= 8 * in.n + 64);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	tn_buf_fini(&in);
}

static int
setup(void **state)
{
	(void)state;
	help_seed();
	arena = tn_arena_new(4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tn_arena_free(arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_connect_fields),
		cmocka_unit_test(test_connect_level),
		cmocka_unit_test(test_other_fields),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_short_tails),
		cmocka_unit_test(test_of_client),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_reason_codes),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

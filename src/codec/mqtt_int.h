/* mqtt_int: what the MQTT files of codec share.
 *
 *   reader   over the bytes of one packet; remembers the first rule that was
 *            broken and then stands at the end, so that whoever reads several
 *            fields asks once
 *   writer   counts bytes, or puts them where there is room for what it
 *            counted: the same code does both, so they cannot disagree
 *   tables   properties and reason codes (mqtt_props.c)
 *
 * Numbers on the wire have their high byte first. */
#ifndef TN_CODEC_MQTT_INT_H
#define TN_CODEC_MQTT_INT_H

#include "codec/codec.h"

#include <string.h>

#define TN_CODEC_MQTT_VARINT_MAX 268435455u
#define TN_CODEC_MQTT_TEXT_MAX 65535u
/* Stands for a type where the properties of a will are meant. */
#define TN_CODEC_MQTT_WILL 0

/* ---- reader ---------------------------------------------------------- */

struct tn_codec_mqtt_reader {
	const uint8_t *p;
	const uint8_t *end;
	struct tn_arena *arena;
	uint8_t reason;         /* 0: nothing wrong so far. */
	bool no_memory;
};

static inline void
mqtt_fail(struct tn_codec_mqtt_reader *r, uint8_t reason)
{
	if (r->reason == 0)
		r->reason = reason;
	r->p = r->end;
}

static inline size_t
mqtt_left(const struct tn_codec_mqtt_reader *r)
{
	return (size_t)(r->end - r->p);
}

static inline uint8_t
mqtt_u8(struct tn_codec_mqtt_reader *r)
{
	if (r->p == r->end) {
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		return 0;
	}
	return *r->p++;
}

static inline uint16_t
mqtt_u16(struct tn_codec_mqtt_reader *r)
{
	uint16_t v;

	if (mqtt_left(r) < 2) {
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		return 0;
	}
	v = (uint16_t)(r->p[0] << 8 | r->p[1]);
	r->p += 2;
	return v;
}

/* Two bytes of length and as many bytes. */
static inline struct tn_slice
mqtt_binary(struct tn_codec_mqtt_reader *r)
{
	size_t n = mqtt_u16(r);
	struct tn_slice s = { r->p, n };

	if (n > mqtt_left(r)) {
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
		return (struct tn_slice){ r->p, 0 };
	}
	r->p += n;
	return s;
}

/* What is in a text; 0: nothing to mind. */
enum {
	TN_CODEC_MQTT_BAD = 1,  /* Not UTF-8 as the standard wants it. */
	TN_CODEC_MQTT_WILD = 2, /* Has a '+' or a '#'. */
};
unsigned tn_codec_mqtt_look(struct tn_slice text);

static inline struct tn_slice
mqtt_text(struct tn_codec_mqtt_reader *r)
{
	struct tn_slice s = mqtt_binary(r);

	if ((tn_codec_mqtt_look(s) & TN_CODEC_MQTT_BAD) != 0)
		mqtt_fail(r, TN_MQTT_MALFORMED_PACKET);
	return s;
}

/* ---- writer ---------------------------------------------------------- */

struct tn_codec_mqtt_writer {
	uint8_t *p;             /* NULL: only counting. */
	size_t n;
};

static inline void
mqtt_put(struct tn_codec_mqtt_writer *w, const void *p, size_t n)
{
	if (w->p != NULL && n > 0)
		memcpy(w->p + w->n, p, n);
	w->n += n;
}

static inline void
mqtt_put_u8(struct tn_codec_mqtt_writer *w, uint8_t v)
{
	if (w->p != NULL)
		w->p[w->n] = v;
	w->n++;
}

static inline void
mqtt_put_u16(struct tn_codec_mqtt_writer *w, uint16_t v)
{
	mqtt_put_u8(w, (uint8_t)(v >> 8));
	mqtt_put_u8(w, (uint8_t)v);
}

static inline void
mqtt_put_varint(struct tn_codec_mqtt_writer *w, size_t v)
{
	for (; v > 127; v >>= 7)
		mqtt_put_u8(w, (uint8_t)(v | 0x80));
	mqtt_put_u8(w, (uint8_t)v);
}

static inline void
mqtt_put_binary(struct tn_codec_mqtt_writer *w, struct tn_slice s)
{
	tn_assert(s.n <= TN_CODEC_MQTT_TEXT_MAX);
	mqtt_put_u16(w, (uint16_t)s.n);
	mqtt_put(w, s.p, s.n);
}

/* ---- tables ---------------------------------------------------------- */

/* The properties with their length, for a packet type or _WILL. */
void tn_codec_mqtt_props_read(struct tn_codec_mqtt_reader *r, unsigned type,
    struct tn_codec_mqtt_props *out);
void tn_codec_mqtt_props_put(struct tn_codec_mqtt_writer *w, unsigned type,
    const struct tn_codec_mqtt_props *p);
static inline bool
mqtt_has(const struct tn_codec_mqtt_props *p, enum tn_codec_mqtt_property id)
{
	return (p->present >> id & 1) != 0;
}
/* May a packet of this type and version carry the reason (3.1.1: return)
 * code? */
bool tn_codec_mqtt_reason_ok(unsigned type, uint8_t version, uint8_t reason);

#endif

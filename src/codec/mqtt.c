/* mqtt: how long a packet is, and topics (MQTT 3.1.1 and 5.0, sections 1.5,
 * 2, 4.7 and, for shared subscriptions, 5.0 section 4.8).
 *
 * Texts are judged in one pass, eight bytes in a register. Both standards
 * forbid U+0000, surrogates and overlong forms; control characters (U+0001 to
 * U+001F, U+007F to U+009F) and non-characters "should not" be sent and may be
 * taken for malformed. They are, as mosquitto does: a subscriber whose library
 * is strict would otherwise lose its connection again and again over another
 * client's retained message. */
#include "codec/mqtt_int.h"

#include <assert.h>

/* The tricks with eight bytes in a register count from the low end. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

#define ONES 0x0101010101010101u
#define TOPS 0x8080808080808080u

/* ---- texts ----------------------------------------------------------- */

/* One of the forms that neither standard wants, or not UTF-8 at all. */
static bool
text_bad(const uint8_t *p, size_t n)
{
	if (!tn_utf8_valid(p, n))
		return true;
	/* Valid, so what follows a first byte is there and a continuation;
	 * and no continuation looks like one of these first bytes. */
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && p[i + 1] < 0xa0)
			return true;            /* U+0080 to U+009F */
		if (c == 0xef && p[i + 1] == 0xb7 && p[i + 2] >= 0x90 &&
		    p[i + 2] <= 0xaf)
			return true;            /* U+FDD0 to U+FDEF */
		if (c == 0xef && p[i + 1] == 0xbf && p[i + 2] >= 0xbe)
			return true;            /* U+FFFE, U+FFFF */
		if (c >= 0xf0 && (p[i + 1] & 15) == 15 &&
		    p[i + 2] == 0xbf && p[i + 3] >= 0xbe)
			return true;            /* U+nFFFE, U+nFFFF */
	}
	return false;
}

/* Up to seven bytes, filled up with a letter. */
static inline uint64_t
few_bytes(const uint8_t *p, size_t n)
{
	uint32_t low, high;

	if (n >= 4) {
		memcpy(&low, p, 4);
		memcpy(&high, p + n - 4, 4);
		return (uint64_t)high << 32 | low;
	}
	if (n == 0)
		return ONES * 'a';
	return (ONES * 'a') << 24 | (uint64_t)p[n - 1] << 16 |
	    (uint64_t)p[n / 2] << 8 | p[0];
}

/* (x - 1) & ~x has the top bit of some byte set if and only if x has a zero
 * byte. '#' and '+' differ in one bit. */
static inline void
look_at(uint64_t x, uint64_t *odd, uint64_t *wild)
{
	uint64_t del = x ^ ONES * 0x7f;
	uint64_t sign = (x | ONES * ('#' ^ '+')) ^ ONES * ('#' | '+');

	*odd |= x | ((x - ONES * 0x20) & ~x) | ((del - ONES) & ~del);
	*wild |= (sign - ONES) & ~sign;
}

unsigned
tn_codec_mqtt_look(struct tn_slice text)
{
	uint64_t odd = 0, wild = 0, x;
	unsigned found;

	if (text.n < 8) {
		look_at(few_bytes(text.p, text.n), &odd, &wild);
	} else {
		for (size_t i = 0; i + 8 < text.n; i += 8) {
			memcpy(&x, text.p + i, 8);
			look_at(x, &odd, &wild);
		}
		memcpy(&x, text.p + text.n - 8, 8);
		look_at(x, &odd, &wild);
	}
	found = (wild & TOPS) != 0 ? TN_CODEC_MQTT_WILD : 0;
	if ((odd & TOPS) != 0 && text_bad(text.p, text.n))
		found |= TN_CODEC_MQTT_BAD;
	return found;
}

/* ---- frames ---------------------------------------------------------- */

enum tn_status
tn_codec_mqtt_frame(struct tn_slice in, size_t bytes_max, size_t *bytes,
    uint8_t *reason)
{
	size_t rest = 0;

	if (in.n == 0)
		return TN_END;
	*reason = TN_MQTT_MALFORMED_PACKET;
	if (in.p[0] >> 4 == 0)
		return TN_EINVAL;
	for (size_t i = 1; i <= 4; i++) {
		if (i == in.n)
			return TN_END;
		rest |= (size_t)(in.p[i] & 127) << (7 * (i - 1));
		if (in.p[i] >= 0x80)
			continue;
		*reason = TN_MQTT_PACKET_TOO_LARGE;
		if (rest + 1 + i > bytes_max)
			return TN_ELIMIT;
		*bytes = rest + 1 + i;
		return TN_OK;
	}
	return TN_EINVAL;
}

/* ---- topics ---------------------------------------------------------- */

bool
tn_codec_mqtt_name_ok(struct tn_slice topic)
{
	return topic.n > 0 && topic.n <= TN_CODEC_MQTT_TEXT_MAX &&
	    tn_codec_mqtt_look(topic) == 0;
}

/* Wildcards fill a level, and '#' is the last one. */
static bool
wildcards_ok(struct tn_slice f)
{
	for (size_t i = 0; i < f.n; i++) {
		bool first = i == 0 || f.p[i - 1] == '/';
		bool last = i + 1 == f.n;

		if (f.p[i] == '#' && !(first && last))
			return false;
		if (f.p[i] == '+' && !(first &&
		    (last || f.p[i + 1] == '/')))
			return false;
	}
	return true;
}

bool
tn_codec_mqtt_filter_ok(struct tn_slice filter)
{
	unsigned found;

	if (filter.n == 0 || filter.n > TN_CODEC_MQTT_TEXT_MAX)
		return false;
	found = tn_codec_mqtt_look(filter);
	return found == 0 ||
	    (found == TN_CODEC_MQTT_WILD && wildcards_ok(filter));
}

/* Level by level; both stand at the first byte of a level. */
bool
tn_codec_mqtt_match(struct tn_slice filter, struct tn_slice topic)
{
	const uint8_t *f = filter.p, *f_end = f + filter.n;
	const uint8_t *t = topic.p, *t_end = t + topic.n;

	if (filter.n == 0 || topic.n == 0)
		return false;
	if (*t == '$' && (*f == '+' || *f == '#'))
		return false;
	for (;; f++, t++) {
		if (f < f_end && *f == '#')
			return true;
		if (f < f_end && *f == '+') {
			f++;
			while (t < t_end && *t != '/')
				t++;
		}
		while (f < f_end && t < t_end && *f == *t && *f != '/') {
			f++;
			t++;
		}
		/* "a/#" takes "a", too. */
		if (t == t_end)
			return f == f_end ||
			    (f_end - f == 2 && f[0] == '/' && f[1] == '#');
		if (f == f_end || *f != '/' || *t != '/')
			return false;
	}
}

bool
tn_codec_mqtt_share(struct tn_slice text, struct tn_slice *name,
    struct tn_slice *filter, bool *malformed)
{
	static const char mark[] = "$share/";
	const size_t skip = sizeof mark - 1;
	const uint8_t *slash;

	*malformed = false;
	if (text.n < skip || memcmp(text.p, mark, skip) != 0)
		return false;
	*malformed = true;
	*name = (struct tn_slice){ text.p + skip, text.n - skip };
	slash = memchr(name->p, '/', name->n);
	if (slash == NULL)
		return false;
	name->n = (size_t)(slash - name->p);
	*filter = (struct tn_slice){ slash + 1,
	    (size_t)(text.p + text.n - slash - 1) };
	*malformed = !tn_codec_mqtt_name_ok(*name) ||
	    !tn_codec_mqtt_filter_ok(*filter);
	return !*malformed;
}

/* source: topics that no stream takes, counted for the Streams page, so that
 * a person sees what could be fed and with which pattern.
 *
 * Topics are grouped by a pattern: levels that look like an identifier (a digit
 * at an end, or two; "zigbee2mqtt" is a word) become +. At most SOURCES_MAX
 * patterns; then new ones take the place of the one not seen for longest.
 * Topics that begin with $ are none. */
#include "mqtt/mqtt_int.h"

#define SOURCES_MAX 1000
#define SLOTS 2048               /* A power of two, twice as many. */
#define PAYLOAD_MAX 1024
#define TOPIC_MAX 512

struct source {
	char *pattern;
	char *sample;
	uint8_t *payload;
	size_t payload_n;
	uint64_t count;
	int64_t last_us;
};
struct sources {
	struct source list[SOURCES_MAX];
	uint32_t count;
	uint16_t slots[SLOTS];       /* Index + 1, by hash of the pattern. */
	struct tn_buf scratch;
};

struct sources *
tn_mqtt_sources_new(void)
{
	return tn_zalloc(sizeof(struct sources));
}

static void
clear(struct source *s)
{
	tn_free(s->pattern);
	tn_free(s->sample);
	tn_free(s->payload);
	memset(s, 0, sizeof *s);
}

void
tn_mqtt_sources_free(struct sources *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		clear(&s->list[i]);
	tn_buf_fini(&s->scratch);
	tn_free(s);
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_identifier(const uint8_t *p, const uint8_t *end)
{
	uint32_t digits = 0;

	if (p == end || is_digit(*p) || is_digit(end[-1]))
		return p != end;
	for (; p < end; p++)
		digits += is_digit(*p);
	return digits >= 2;
}

static void
write_pattern(struct tn_buf *out, struct tn_slice topic)
{
	const uint8_t *p = topic.p, *end = topic.p + topic.n, *slash;

	tn_buf_clear(out);
	for (; p <= end; p = slash + 1) {
		slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
		if (slash == NULL)
			slash = end;
		if (p > topic.p)
			tn_buf_char(out, '/');
		if (is_identifier(p, slash))
			tn_buf_char(out, '+');
		else
			tn_buf_add(out, p, (size_t)(slash - p));
	}
}

static uint32_t
slot_of(const struct sources *s, struct tn_slice pattern)
{
	uint32_t at = (uint32_t)tn_hash64(pattern.p, pattern.n, 0);

	for (;; at++) {
		at &= SLOTS - 1;
		if (s->slots[at] == 0 || tn_slice_is(pattern,
		    s->list[s->slots[at] - 1].pattern))
			return at;
	}
}

static void
rebuild_slots(struct sources *s)
{
	memset(s->slots, 0, sizeof s->slots);
	for (uint32_t i = 0; i < s->count; i++)
		s->slots[slot_of(s, tn_slice_of(s->list[i].pattern))] =
		    (uint16_t)(i + 1);
}

/* The place of the pattern that was not seen for longest. */
static struct source *
oldest(struct sources *s)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i < s->count; i++)
		if (s->list[i].last_us < s->list[at].last_us)
			at = i;
	return &s->list[at];
}

static struct source *
source_of(struct sources *s, struct tn_slice pattern)
{
	uint32_t at = slot_of(s, pattern);
	struct source *x;

	if (s->slots[at] != 0)
		return &s->list[s->slots[at] - 1];
	x = s->count < SOURCES_MAX ? &s->list[s->count++] : oldest(s);
	clear(x);
	x->pattern = tn_strndup((const char *)pattern.p, pattern.n);
	rebuild_slots(s);
	return x;
}

/* Not through the midst of a character. */
static size_t
sample_bytes(struct tn_slice payload)
{
	size_t n = PAYLOAD_MAX;

	if (payload.n <= PAYLOAD_MAX)
		return payload.n;
	while (n > PAYLOAD_MAX - 4 && (payload.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void
tn_mqtt_source_saw(struct sources *s, struct tn_slice topic,
    struct tn_slice payload)
{
	struct source *x;

	if (topic.n == 0 || topic.n > TOPIC_MAX || *topic.p == '$')
		return;
	write_pattern(&s->scratch, topic);
	x = source_of(s, (struct tn_slice){ s->scratch.p, s->scratch.n });
	x->count++;
	/* One sample a second is enough to look at. */
	if (x->last_us != 0 && tn_mqtt_now_us() - x->last_us < 1000000)
		return;
	x->last_us = tn_mqtt_now_us();
	tn_free(x->sample);
	x->sample = tn_strndup((const char *)topic.p, topic.n);
	x->payload_n = sample_bytes(payload);
	x->payload = tn_realloc(x->payload, PAYLOAD_MAX);
	if (x->payload_n > 0)
		memcpy(x->payload, payload.p, x->payload_n);
}

void
tn_mqtt_sources(struct tn_mqtt *m, void (*each)(void *arg,
    const struct tn_mqtt_source *s), void *arg)
{
	for (uint32_t i = 0; m->sources != NULL && i < m->sources->count;
	    i++) {
		const struct source *x = &m->sources->list[i];
		struct tn_mqtt_source out = { .pattern = x->pattern,
		    .sample = x->sample, .payload = { x->payload,
		    x->payload_n }, .count = x->count,
		    .last_us = x->last_us };
		each(arg, &out);
	}
}

/* rows: which topics views have published, and what, over restarts.
 *
 *   key    'v', 128-bit hash of the topic
 *   value  version, 128-bit hash of the payload (0: it changes), the topic
 *
 * Clients that are away hold what they were told, so at a start the broker must
 * know two things that no view can tell: which rows are as they were (they are
 * not sent again) and which topics have no row any more (they are cleared).
 *
 *   new topic --> noted, 0 --sync--> published --> ... --> noted, its payload
 *   changed   --> published, and in one commit with the queues noted, 0
 *   cleared   --> published, and in one commit with the queues forgotten
 *
 * So the store knows each topic before any client does. That a payload is known
 * is written lazily, once the row has rested (views.c): a row that changes all
 * the time costs no writes, and the worst that a crash does is that a row of the
 * last moments is published once more. A message of a topic must not overtake
 * one that waits: while any waits, all do.
 *
 * What was loaded is kept, in the order of keys, until each topic is a row again
 * or cleared. What can go wrong: a damaged value (dropped, told: that topic is
 * not cleared any more); the store has no room, or has failed: rows go on as if
 * it knew them. */
#include "mqtt/mqtt_int.h"

#include <stdlib.h>

enum { ROWS_VERSION = 1, HASH_BYTES = 16, ROW_KEY_BYTES = 1 + HASH_BYTES };

enum was_state { WAS_LEFT, WAS_TAKEN, WAS_GONE };
struct was {
	uint8_t key[ROW_KEY_BYTES];
	struct tn_hash128 payload;
	size_t topic_at;
	uint32_t topic_bytes;
	enum was_state state;
};
struct rows {
	struct was *list;            /* In order of key. */
	uint32_t count, cap;
	uint32_t left;               /* Of them WAS_LEFT. */
	struct tn_buf topics;
};

struct rows *
tn_mqtt_rows_new(void)
{
	struct rows *r = tn_zalloc(sizeof *r);

	r->topics.max = SIZE_MAX;
	return r;
}

static void
drop_all(struct rows *r)
{
	tn_buf_fini(&r->topics);
	r->topics = (struct tn_buf){ .max = SIZE_MAX };
	tn_free(r->list);
	r->list = NULL;
	r->count = r->cap = r->left = 0;
}

void
tn_mqtt_rows_free(struct rows *r)
{
	if (r == NULL)
		return;
	drop_all(r);
	tn_free(r);
}

/* ---- keys and values ------------------------------------------------- */

static void
make_key(uint8_t key[static ROW_KEY_BYTES], struct tn_slice topic)
{
	struct tn_hash128 h = tn_hash128(topic.p, topic.n, 0);

	key[0] = 'v';
	for (int i = 0; i < 8; i++) {
		key[1 + i] = (uint8_t)(h.hi >> (56 - 8 * i));
		key[9 + i] = (uint8_t)(h.lo >> (56 - 8 * i));
	}
}

void
tn_mqtt_row_note(struct tn_mqtt *m, struct tn_slice topic,
    const struct tn_slice *payload)
{
	struct tn_hash128 h = { 0, 0 };
	uint8_t key[ROW_KEY_BYTES];

	if (payload != NULL)
		h = tn_hash128(payload->p, payload->n, 0);
	make_key(key, topic);
	tn_buf_clear(&m->scratch);
	tn_buf_char(&m->scratch, ROWS_VERSION);
	tn_buf_u64(&m->scratch, h.hi);
	tn_buf_u64(&m->scratch, h.lo);
	tn_buf_add(&m->scratch, topic.p, topic.n);
	tn_mqtt_store_put(m->store, (struct tn_slice){ key, sizeof key },
	    (struct tn_slice){ m->scratch.p, m->scratch.n });
}

bool
tn_mqtt_rows_load(struct rows *r, struct tn_slice key, struct tn_slice value)
{
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c), wanted[ROW_KEY_BYTES];
	struct was w = { .topic_at = r->topics.n };
	struct tn_slice topic;

	w.payload.hi = tn_cursor_u64(&c);
	w.payload.lo = tn_cursor_u64(&c);
	if (c.failed || version != ROWS_VERSION || key.n != ROW_KEY_BYTES)
		return false;
	topic = (struct tn_slice){ c.p, (size_t)(c.end - c.p) };
	make_key(wanted, topic);
	if (!tn_codec_mqtt_name_ok(topic) ||
	    memcmp(wanted, key.p, sizeof wanted) != 0)
		return false;
	memcpy(w.key, key.p, sizeof w.key);
	w.topic_bytes = (uint32_t)topic.n;
	tn_buf_add(&r->topics, topic.p, topic.n);
	if (r->topics.failed) {          /* They wait for a start with memory. */
		r->count = r->left = 0;
		return true;
	}
	if (r->count == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->list = tn_realloc(r->list, r->cap * sizeof *r->list);
	}
	r->list[r->count++] = w;
	r->left++;
	return true;
}

/* ---- what was before ------------------------------------------------- */

static int
by_key(const void *key, const void *was)
{
	return memcmp(key, ((const struct was *)was)->key, ROW_KEY_BYTES);
}

static struct was *
find(const struct rows *r, struct tn_slice topic)
{
	uint8_t key[ROW_KEY_BYTES];

	if (r->count == 0)
		return NULL;
	make_key(key, topic);
	return bsearch(key, r->list, r->count, sizeof *r->list, by_key);
}

/* Nothing is asked of it once none is left. */
static void
move(struct rows *r, struct was *w, enum was_state to)
{
	if (w->state == WAS_LEFT && to != WAS_LEFT)
		r->left--;
	w->state = to;
	if (r->left == 0)
		drop_all(r);
}

bool
tn_mqtt_row_was(struct tn_mqtt *m, struct tn_slice topic,
    struct tn_slice payload)
{
	struct was *w = find(m->rows, topic);
	struct tn_hash128 h, was;

	/* Once: it may be another one by the second time, and then this. */
	if (w == NULL || w->state != WAS_LEFT)
		return false;
	was = w->payload;
	move(m->rows, w, WAS_TAKEN);
	if (was.hi == 0 && was.lo == 0)
		return false;
	h = tn_hash128(payload.p, payload.n, 0);
	return h.hi == was.hi && h.lo == was.lo;
}

uint32_t
tn_mqtt_rows_left_end(const struct rows *r)
{
	return r->count;
}

struct tn_slice
tn_mqtt_rows_left(const struct rows *r, uint32_t i)
{
	const struct was *w = &r->list[i];

	tn_assert(i < r->count);
	if (w->state != WAS_LEFT)
		return (struct tn_slice){ NULL, 0 };
	return (struct tn_slice){ r->topics.p + w->topic_at, w->topic_bytes };
}

void
tn_mqtt_rows_left_less(struct rows *r, uint32_t i)
{
	tn_assert(i < r->count);
	move(r, &r->list[i], WAS_GONE);
}

/* ---- published ------------------------------------------------------- */

void
tn_mqtt_row_forget(struct tn_mqtt *m, struct tn_slice topic)
{
	struct was *w = find(m->rows, topic);
	uint8_t key[ROW_KEY_BYTES];

	make_key(key, topic);
	tn_mqtt_store_drop(m->store, (struct tn_slice){ key, sizeof key });
	if (w != NULL)
		move(m->rows, w, WAS_GONE);
}

static bool
is_known(struct tn_mqtt *m, struct held *h, struct tn_slice topic)
{
	const struct was *w;

	if (h != NULL && tn_mqtt_held_row(h)->note != ROW_UNNOTED)
		return true;
	w = find(m->rows, topic);
	return w != NULL && w->state != WAS_GONE;
}

bool
tn_mqtt_row_waits(struct tn_mqtt *m, struct message *msg)
{
	struct held *h = tn_mqtt_retained_held(m->retained, msg->topic);

	msg->noted = msg->payload.n == 0 || is_known(m, h, msg->topic);
	/* What is not retained is not noted: that bounds the store. */
	if (msg->noted || tn_mqtt_store_waits(m->store) ||
	    (h == NULL && !tn_mqtt_retained_takes(m->retained, msg)))
		return m->noting > 0;
	tn_mqtt_row_note(m, msg->topic, NULL);
	msg->noted = true;
	return true;
}

/* keep: sessions, their queues and retained messages as keys of the store.
 * Numbers in keys are big-endian, so that entries load in their order.
 *
 *   's' session                client, expiry, subscriptions
 *   'o' session, order         an entry of its queue; names a message
 *   'm' message                the message (message.c), once for all queues
 *   'i' session, packet        QoS 2 from the client: between PUBLISH and
 *                              PUBREL; its number in rings
 *   'q' session                the highest such number that had its PUBREL
 *   'r' hash of the topic      a retained message
 *   'w' will                   what a client left behind, its session's number
 *   'v' hash of the topic      what a view published there (rows.c)
 *
 * session and message are numbers given once (u64), order a u64 of the
 * session. Values of 's' and 'o' begin with a version byte; integers in them
 * are varints.
 *
 * What can go wrong: an entry is damaged, or its session or message is missing
 * (the store was damaged): it is dropped at the start, and told. So are
 * sessions and wills over a limit that was lowered; a retained message is left
 * out then, and stays. */
#include "mqtt/mqtt_int.h"

#define KEEP_VERSION 1

struct key {
	uint8_t bytes[24];
	size_t n;
};

static void
key_u64(struct key *k, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		k->bytes[k->n++] = (uint8_t)(v >> shift);
}

static struct key
key_of(char kind, uint64_t a)
{
	struct key k = { .n = 0 };

	k.bytes[k.n++] = (uint8_t)kind;
	key_u64(&k, a);
	return k;
}

static struct tn_slice
slice(const struct key *k)
{
	return (struct tn_slice){ k->bytes, k->n };
}

static void
put(struct tn_mqtt *m, const struct key *k, const struct tn_buf *value)
{
	tn_mqtt_store_put(m->store, slice(k), (struct tn_slice){ value->p,
	    value->n });
}

/* ---- queues ---------------------------------------------------------- */

static void
keep_message(struct tn_mqtt *m, struct message *msg)
{
	struct key k;

	if (msg->kept++ > 0)
		return;                 /* It is there already. */
	if (msg->id == 0)
		msg->id = m->next_message++;
	k = key_of('m', msg->id);
	tn_buf_clear(&m->scratch);
	tn_mqtt_message_save(msg, &m->scratch);
	put(m, &k, &m->scratch);
}

void
tn_mqtt_keep_message_less(struct session *s, struct message *msg)
{
	struct key k = key_of('m', msg->id);

	if (s->kept && --msg->kept == 0)
		tn_mqtt_store_drop(s->m->store, slice(&k));
}

static struct key
out_key(const struct session *s, const struct out *o)
{
	struct key k = key_of('o', s->number);

	key_u64(&k, o->order);
	return k;
}

static void
put_out(struct session *s, const struct out *o, bool sent)
{
	struct key k = out_key(s, o);
	struct tn_mqtt *m = s->m;

	tn_buf_clear(&m->scratch);
	tn_buf_char(&m->scratch, KEEP_VERSION);
	tn_buf_varint(&m->scratch, o->message != NULL ? o->message->id : 0);
	tn_buf_varint(&m->scratch, o->packet);
	tn_buf_char(&m->scratch, (char)(o->qos | o->retain << 2 |
	    sent << 3));
	tn_buf_varint(&m->scratch, o->sub_id_count);
	for (uint32_t i = 0; i < o->sub_id_count; i++)
		tn_buf_varint(&m->scratch, o->sub_ids[i]);
	put(m, &k, &m->scratch);
}

void
tn_mqtt_keep_out(struct session *s, struct out *o)
{
	if (!s->kept)
		return;
	/* An entry that is written again after PUBREC has none any more. */
	if (o->message != NULL)
		keep_message(s->m, o->message);
	put_out(s, o, o->again);
}

/* Those in flight: a few at the front, as many as the client takes. */
void
tn_mqtt_keep_sent(struct session *s)
{
	uint32_t seen = 0;

	if (!s->kept)
		return;
	for (const struct out *o = s->first; o != NULL && seen < s->inflight;
	    o = o->next) {
		seen += o->step != OUT_QUEUED;
		if (o->step == OUT_SENT)
			put_out(s, o, true);
	}
}

void
tn_mqtt_keep_out_drop(struct session *s, const struct out *o)
{
	struct key k = out_key(s, o);

	if (s->kept)
		tn_mqtt_store_drop(s->m->store, slice(&k));
}

static struct key
received_key(const struct session *s, const struct received *x)
{
	struct key k = key_of('i', s->number);

	k.bytes[k.n++] = (uint8_t)(x->packet >> 8);
	k.bytes[k.n++] = (uint8_t)x->packet;
	return k;
}

/* A version byte and the number. */
static void
put_take(struct session *s, const struct key *k, uint64_t take)
{
	struct tn_buf *out = &s->m->scratch;

	tn_buf_clear(out);
	tn_buf_char(out, KEEP_VERSION);
	tn_buf_varint(out, take);
	put(s->m, k, out);
}

void
tn_mqtt_keep_received(struct session *s, const struct received *x)
{
	struct key k = received_key(s, x);

	if (s->kept)
		put_take(s, &k, x->take);
}

void
tn_mqtt_keep_received_less(struct session *s, const struct received *x)
{
	struct key k = received_key(s, x), of_session = key_of('q',
	    s->number);

	if (!s->kept)
		return;
	tn_mqtt_store_drop(s->m->store, slice(&k));
	if (x->take <= s->released)
		return;
	s->released = x->take;
	put_take(s, &of_session, x->take);
}

/* ---- wills ----------------------------------------------------------- */

/* A version byte, the session, whether it expires, its delay and expiry, then
 * the message. */
void
tn_mqtt_keep_will(struct session *s)
{
	struct tn_mqtt *m = s->m;
	struct will *w = s->will;
	struct key k;

	/* What is taken back before it is written stays in the batch: it must
	 * not grow without end. */
	if (tn_mqtt_store_waits(m->store) || tn_mqtt_store_is_full(m->store))
		return;
	w->number = m->next_will++;
	k = key_of('w', w->number);
	tn_buf_clear(&m->scratch);
	tn_buf_char(&m->scratch, KEEP_VERSION);
	tn_buf_u64(&m->scratch, s->number);
	tn_buf_char(&m->scratch, w->expires ? 1 : 0);
	tn_buf_varint(&m->scratch, w->delay_s);
	tn_buf_varint(&m->scratch, w->expiry_s);
	tn_mqtt_message_save(w->message, &m->scratch);
	put(m, &k, &m->scratch);
}

void
tn_mqtt_keep_will_less(struct tn_mqtt *m, uint64_t number)
{
	struct key k = key_of('w', number);

	tn_mqtt_store_drop(m->store, slice(&k));
}

/* ---- sessions -------------------------------------------------------- */

static void
put_text(struct tn_buf *out, const char *p, size_t n)
{
	tn_buf_varint(out, n);
	tn_buf_add(out, p, n);
}

void
tn_mqtt_session_store(struct session *s)
{
	struct tn_buf *out = &s->m->scratch;
	struct key k = key_of('s', s->number);

	if (!s->kept)
		return;
	tn_buf_clear(out);
	tn_buf_char(out, KEEP_VERSION);
	put_text(out, s->client_id, s->client_id_bytes);
	tn_buf_varint(out, s->expiry_s);
	tn_buf_u64(out, (uint64_t)(s->conn != NULL ? 0 : s->expires_us));
	put_text(out, s->user != NULL ? s->user : "",
	    s->user != NULL ? strlen(s->user) : 0);
	tn_buf_varint(out, s->sub_count);
	for (const struct subscription *x = s->subs; x != NULL;
	    x = x->next_of_session) {
		put_text(out, x->filter, strlen(x->filter));
		tn_buf_char(out, (char)(x->qos | x->no_local << 2 |
		    x->retain_as_published << 3 | x->retain_handling << 4));
		tn_buf_varint(out, x->id);
	}
	/* 1: as many as there are. */
	tn_buf_varint(out, s->unseen == 0 ? 0 : s->unseen == UINT32_MAX ? 1 :
	    UINT64_C(1) + s->unseen);
	put(s->m, &k, out);
}

void
tn_mqtt_keep_all(struct session *s)
{
	tn_mqtt_session_store(s);
	for (struct out *o = s->first; o != NULL; o = o->next)
		tn_mqtt_keep_out(s, o);
	for (uint32_t i = 0; i < s->received_count; i++)
		tn_mqtt_keep_received(s, &s->received[i]);
	if (s->released != 0) {
		struct key k = key_of('q', s->number);
		put_take(s, &k, s->released);
	}
}

void
tn_mqtt_keep_none(struct session *s)
{
	struct key k = key_of('s', s->number), q = key_of('q', s->number);

	for (struct out *o = s->first; o != NULL; o = o->next) {
		tn_mqtt_keep_out_drop(s, o);
		if (o->message != NULL)
			tn_mqtt_keep_message_less(s, o->message);
	}
	for (uint32_t i = 0; i < s->received_count; i++)
		tn_mqtt_keep_received_less(s, &s->received[i]);
	if (s->released != 0)
		tn_mqtt_store_drop(s->m->store, slice(&q));
	tn_mqtt_store_drop(s->m->store, slice(&k));
	s->kept = false;
}

void
tn_mqtt_keep_retained(struct tn_mqtt *m, const struct message *msg)
{
	struct tn_hash128 h = tn_hash128(msg->topic.p, msg->topic.n, 0);
	struct key k = key_of('r', h.hi);

	key_u64(&k, h.lo);
	if (msg->payload.n == 0) {
		tn_mqtt_store_drop(m->store, slice(&k));
		return;
	}
	tn_buf_clear(&m->scratch);
	tn_mqtt_message_save(msg, &m->scratch);
	put(m, &k, &m->scratch);
}

/* ---- loading --------------------------------------------------------- */

/* Messages and sessions by number, while loading. */
struct slot {
	uint64_t number;
	void *what;
};
struct load {
	struct tn_mqtt *m;
	struct slot *messages, *sessions;    /* In order of number. */
	uint32_t message_count, message_cap;
	uint32_t session_count, session_cap;
	uint32_t dropped;            /* Damaged. */
	uint32_t sessions_left, retained_left, wills_left;   /* Over limits. */
	size_t will_bytes;
	int64_t now_us;
};

static uint64_t
number_at(struct tn_slice key, size_t at)
{
	uint64_t v = 0;

	for (size_t i = at; i < at + 8 && i < key.n; i++)
		v = v << 8 | key.p[i];
	return v;
}

static void
remember(struct slot **list, uint32_t *count, uint32_t *cap,
    uint64_t number, void *what)
{
	if (*count == *cap) {
		*cap = *cap == 0 ? 64 : *cap * 2;
		*list = tn_realloc(*list, *cap * sizeof **list);
	}
	(*list)[(*count)++] = (struct slot){ number, what };
}

static void *
find(const struct slot *list, uint32_t count, uint64_t number)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (list[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && list[low].number == number ?
	    list[low].what : NULL;
}

static void
drop_damaged(struct load *l, struct tn_slice key)
{
	l->dropped++;
	tn_mqtt_store_drop(l->m->store, key);
}

static bool
load_retained(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct message *msg = tn_mqtt_message_load(value);

	if (msg == NULL)
		drop_damaged(l, key);
	else if (tn_mqtt_retained_put(l->m->retained, msg) != TN_OK)
		l->retained_left++;
	tn_mqtt_message_unref(msg);
	return true;
}

static bool
load_message(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct message *msg = tn_mqtt_message_load(value);

	if (msg == NULL || key.n != 9) {
		tn_mqtt_message_unref(msg);
		drop_damaged(l, key);
		return true;
	}
	msg->id = number_at(key, 1);
	if (msg->id >= l->m->next_message)
		l->m->next_message = msg->id + 1;
	remember(&l->messages, &l->message_count, &l->message_cap, msg->id,
	    msg);
	return true;
}

static struct tn_slice
get_text(struct tn_cursor *c)
{
	struct tn_slice text = tn_cursor_bytes(c, tn_cursor_varint(c));

	/* No client can send another one; copies of texts end at a zero. */
	if (text.n > 0 && (memchr(text.p, 0, text.n) != NULL ||
	    !tn_utf8_valid(text.p, text.n)))
		c->failed = true;
	return text;
}

static bool
load_subscription(struct session *s, struct tn_cursor *c)
{
	struct tn_codec_mqtt_filter f = { .filter = get_text(c) };
	uint8_t flags = tn_cursor_u8(c);
	uint32_t id = (uint32_t)tn_cursor_varint(c);
	struct subscription *sub;
	bool fresh;

	f.qos = flags & 3;
	f.no_local = (flags & 4) != 0;
	f.retain_as_published = (flags & 8) != 0;
	f.retain_handling = flags >> 4 & 3;
	return !c->failed && tn_codec_mqtt_filter_ok(f.filter) &&
	    tn_mqtt_tree_put(s->m->tree, s, &f, id, &sub, &fresh) == TN_OK;
}

/* A client that was connected when the program ended has its whole expiry
 * from now on. */
static void
set_expiry(struct session *s, int64_t expires_us, int64_t now_us)
{
	if (s->expiry_s == UINT32_MAX)
		s->expires_us = INT64_MAX;
	else if (expires_us == 0)
		s->expires_us = now_us + s->expiry_s * INT64_C(1000000);
	else
		s->expires_us = expires_us;
}

static uint32_t
read_unseen(struct tn_cursor *c)
{
	uint64_t n = c->p < c->end ? tn_cursor_varint(c) : 0;

	if (n == 0)
		return 0;
	return n == 1 || n > UINT32_MAX ? UINT32_MAX : (uint32_t)n - 1;
}

static bool
load_session(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c);
	struct tn_slice id = get_text(&c), user;
	uint32_t expiry_s = (uint32_t)tn_cursor_varint(&c);
	int64_t expires_us = (int64_t)tn_cursor_u64(&c);
	uint32_t lost = 0;
	struct session *s;
	uint64_t n;

	user = get_text(&c);
	n = tn_cursor_varint(&c);
	if (c.failed || version != KEEP_VERSION || key.n != 9 ||
	    expiry_s == 0 || tn_mqtt_session_find(l->m, id) != NULL) {
		drop_damaged(l, key);
		return true;
	}
	s = tn_mqtt_session_new(l->m, id, expiry_s);
	if (s == NULL) {
		/* Its queue goes, so it must not come back without. */
		l->sessions_left++;
		tn_mqtt_store_drop(l->m->store, key);
		return true;
	}
	s->restored = true;
	s->number = number_at(key, 1);
	if (s->number >= l->m->next_session)
		l->m->next_session = s->number + 1;
	s->user = user.n > 0 ? tn_strndup((const char *)user.p, user.n) :
	    NULL;
	s->unsure = expires_us == 0;
	set_expiry(s, expires_us, l->now_us);
	while (n-- > 0 && !c.failed)
		lost += !load_subscription(s, &c);
	s->unseen = s->unsure ? UINT32_MAX : read_unseen(&c);
	l->dropped += lost;
	if (lost > 0)
		tn_mqtt_session_store(s);
	remember(&l->sessions, &l->session_count, &l->session_cap, s->number,
	    s);
	return true;
}

static bool
read_out(struct load *l, struct out *o, struct tn_slice value)
{
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c), flags;
	uint64_t id = tn_cursor_varint(&c), n;

	o->packet = (uint16_t)tn_cursor_varint(&c);
	flags = tn_cursor_u8(&c);
	n = tn_cursor_varint(&c);
	if (c.failed || version != KEEP_VERSION || n > (size_t)(c.end - c.p))
		return false;
	o->qos = flags & 3;
	o->retain = (flags & 4) != 0;
	o->sub_ids = n == 0 ? NULL : tn_alloc(n * sizeof *o->sub_ids);
	while (n-- > 0)
		o->sub_ids[o->sub_id_count++] =
		    (uint32_t)tn_cursor_varint(&c);
	o->message = id == 0 ? NULL : find(l->messages, l->message_count, id);
	o->step = id == 0 ? OUT_RELEASED : OUT_QUEUED;
	o->again = (flags & 8) != 0;
	return !c.failed && o->packet != 0 && (id == 0 || o->message != NULL)
	    && (o->qos == 1 || o->qos == 2);
}

/* How far its identifier is from that of the oldest. */
static uint32_t
turn_of(const struct session *s, const struct out *o)
{
	return (o->packet + (uint32_t)UINT16_MAX - s->first->packet) %
	    UINT16_MAX;
}

static bool
load_out(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct session *s = key.n != 17 ? NULL : find(l->sessions,
	    l->session_count, number_at(key, 1));
	struct out *o = tn_zalloc(sizeof *o);

	if (s == NULL || !read_out(l, o, value)) {
		l->dropped += s != NULL || l->sessions_left == 0;
		tn_mqtt_store_drop(l->m->store, key);
		tn_free(o->sub_ids);
		tn_free(o);
		return true;
	}
	o->order = number_at(key, 9);
	o->again = o->again || s->unsure;
	if (o->message != NULL) {
		o->message->refs++;
		o->message->kept++;
	}
	if (o->step == OUT_RELEASED)
		s->inflight++;
	s->jumbled = s->jumbled || (s->last != NULL &&
	    turn_of(s, o) <= turn_of(s, s->last));
	tn_mqtt_session_append(s, o);
	s->next_order = o->order + 1;
	s->next_packet = o->packet == UINT16_MAX ? 1 :
	    (uint16_t)(o->packet + 1);
	return true;
}

/* No number above one that is read is given again. */
static bool
read_take(struct tn_mqtt *m, struct tn_slice value, uint64_t *take)
{
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c);

	*take = c.p < c.end ? tn_cursor_varint(&c) : 0;
	if (*take >= m->next_take && *take < UINT64_MAX)
		m->next_take = *take + 1;
	return !c.failed && version == KEEP_VERSION;
}

static bool
load_received(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct session *s = key.n != 11 ? NULL : find(l->sessions,
	    l->session_count, number_at(key, 1));
	uint64_t take = 0;

	if (s == NULL || !read_take(l->m, value, &take)) {
		l->dropped += s != NULL;
		tn_mqtt_store_drop(l->m->store, key);
		return true;
	}
	tn_mqtt_session_receive(s, (uint16_t)(key.p[9] << 8 | key.p[10]),
	    take);
	return true;
}

static bool
load_released(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct session *s = key.n != 9 ? NULL : find(l->sessions,
	    l->session_count, number_at(key, 1));

	if (s == NULL || !read_take(l->m, value, &s->released)) {
		l->dropped += s != NULL;
		tn_mqtt_store_drop(l->m->store, key);
	}
	return true;
}

/* As many as there may be at once; the limit may be lower now. */
static bool
takes_will(struct load *l, const struct message *msg)
{
	if (l->will_bytes + msg->bytes > l->m->o.queued_bytes_max) {
		tn_counter_add(l->m->dropped, 1);
		l->wills_left++;
		return false;
	}
	l->will_bytes += msg->bytes;
	return true;
}

static bool
load_will(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint8_t version = tn_cursor_u8(&c);
	uint64_t session = tn_cursor_u64(&c);
	struct will *w = tn_zalloc(sizeof *w);

	w->expires = tn_cursor_u8(&c) != 0;
	w->delay_s = (uint32_t)tn_cursor_varint(&c);
	w->expiry_s = (uint32_t)tn_cursor_varint(&c);
	w->number = number_at(key, 1);
	if (!c.failed && version == KEEP_VERSION && key.n == 9 &&
	    w->number != 0)
		w->message = tn_mqtt_message_load((struct tn_slice){ c.p,
		    (size_t)(c.end - c.p) });
	l->dropped += w->message == NULL;
	if (w->message == NULL || !takes_will(l, w->message)) {
		tn_mqtt_store_drop(l->m->store, key);
		tn_mqtt_message_unref(w->message);
		tn_free(w);
		return true;
	}
	if (w->number >= l->m->next_will)
		l->m->next_will = w->number + 1;
	tn_mqtt_will_restore(l->m, find(l->sessions, l->session_count,
	    session), w);
	return true;
}

static bool
load_row(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct load *l = arg;

	if (!tn_mqtt_rows_load(l->m->rows, key, value))
		drop_damaged(l, key);
	return true;
}

/* Messages of no queue are left from a crash between two commits. */
static void
drop_orphans(struct load *l)
{
	for (uint32_t i = 0; i < l->message_count; i++) {
		struct message *msg = l->messages[i].what;
		struct key k = key_of('m', msg->id);
		if (msg->kept == 0)
			tn_mqtt_store_drop(l->m->store, slice(&k));
		tn_mqtt_message_unref(msg);
	}
}

enum tn_status
tn_mqtt_keep_load(struct tn_mqtt *m, struct tn_diag *d)
{
	static const struct {
		char prefix[2];
		bool (*each)(void *arg, struct tn_slice key,
		    struct tn_slice value);
	} kinds[] = { { "r", load_retained }, { "m", load_message },
	    { "s", load_session }, { "o", load_out }, { "i", load_received },
	    { "q", load_released }, { "w", load_will }, { "v", load_row } };
	struct load l = { .m = m, .now_us = tn_mqtt_now_us() };
	enum tn_status st = TN_OK;

	for (size_t i = 0; st == TN_OK && i < TN_COUNT(kinds); i++) {
		st = tn_mqtt_store_each(m->store,
		    tn_slice_of(kinds[i].prefix), kinds[i].each, &l);
		if (st == TN_ECORRUPT) {
			l.dropped++;
			st = TN_OK;
		}
	}
	drop_orphans(&l);
	tn_free(l.messages);
	tn_free(l.sessions);
	if (l.dropped > 0)
		tn_say(TN_WARN, "mqtt", "%u damaged entries of sessions, "
		    "wills, retained messages or rows were dropped",
		    (unsigned)l.dropped);
	if (l.sessions_left > 0)
		tn_say(TN_WARN, "mqtt", "%u sessions over mqtt_sessions_max "
		    "were dropped", (unsigned)l.sessions_left);
	if (l.retained_left > 0)
		tn_say(TN_WARN, "mqtt", "%u retained messages over "
		    "mqtt_retained_max or mqtt_retained_bytes were left out",
		    (unsigned)l.retained_left);
	if (l.wills_left > 0)
		tn_say(TN_WARN, "mqtt", "%u wills over mqtt_queued_bytes were "
		    "dropped", (unsigned)l.wills_left);
	if (st != TN_OK)
		tn_diag_set(d, st, "mqtt_store", "the MQTT store cannot be "
		    "read: %s", tn_status_text(st));
	return st;
}

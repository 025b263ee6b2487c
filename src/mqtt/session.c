/* session: what is on its way to one client, and what it has subscribed to.
 *
 * The queue (first .. last) is in order of arrival; entries before ${unsent}
 * were sent. Packet identifiers are given in this order when an entry is
 * queued, so that a resend after a restart bears the same one. QoS 0 is not queued: it is
 * sent, or dropped when the client is away or reads too slowly; but retained
 * messages that a subscription asked for wait for the socket (late), and so
 * does what comes after them, as a newer message must not be overtaken.
 *
 * A session that outlives its connection is kept in the store (keep.c): its
 * entries are held until they are on disk. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define BUCKETS_MIN 64
#define USED_BYTES 8192          /* A bit for each packet identifier. */

/* ---- the table ------------------------------------------------------- */

static struct session **
bucket_of(struct tn_mqtt *m, struct tn_slice id)
{
	return &m->buckets[tn_hash64(id.p, id.n, 0) & (m->bucket_count - 1)];
}

static void
grow_table(struct tn_mqtt *m)
{
	struct session **old = m->buckets;
	uint32_t n = m->bucket_count;

	m->bucket_count = n == 0 ? BUCKETS_MIN : n * 2;
	m->buckets = tn_zalloc(m->bucket_count * sizeof *m->buckets);
	for (uint32_t i = 0; i < n; i++)
		while (old[i] != NULL) {
			struct session *s = old[i];
			struct session **to = bucket_of(m, (struct tn_slice){
			    (uint8_t *)s->client_id, s->client_id_bytes });
			old[i] = s->next_of_bucket;
			s->next_of_bucket = *to;
			*to = s;
		}
	tn_free(old);
}

struct session *
tn_mqtt_session_find(struct tn_mqtt *m, struct tn_slice id)
{
	struct session *s = m->bucket_count == 0 ? NULL : *bucket_of(m, id);

	while (s != NULL && (s->client_id_bytes != id.n ||
	    memcmp(s->client_id, id.p, id.n) != 0))
		s = s->next_of_bucket;
	return s;
}

struct session *
tn_mqtt_session_new(struct tn_mqtt *m, struct tn_slice id, uint32_t expiry_s)
{
	struct session *s, **to;

	if (m->session_count >= m->o.sessions_max)
		return NULL;
	if (m->session_count >= m->bucket_count)
		grow_table(m);
	s = tn_zalloc(sizeof *s);
	s->m = m;
	s->refs = 1;
	s->client_id = tn_strndup((const char *)id.p, id.n);
	s->client_id_bytes = (uint32_t)id.n;
	s->hash = tn_hash64(id.p, id.n, 0) | 1;
	s->number = m->next_session++;
	s->next_packet = 1;
	s->next_order = 1;
	s->since_us = tn_mqtt_now_us();
	s->last_us = s->since_us;
	to = bucket_of(m, id);
	s->next_of_bucket = *to;
	*to = s;
	m->session_count++;
	tn_counter_add(m->sessions, 1);
	s->expiry_s = expiry_s;
	s->kept = expiry_s > 0;
	return s;
}

/* ---- the queue ------------------------------------------------------- */

static void
count_message(struct session *s, struct message *msg)
{
	s->queued_bytes += msg->bytes;
	if (msg->queued++ == 0)
		s->m->queued_bytes += msg->bytes;
}

static void
count_message_less(struct session *s, struct message *msg)
{
	tn_assert(s->queued_bytes >= msg->bytes);
	s->queued_bytes -= msg->bytes;
	if (--msg->queued == 0)
		s->m->queued_bytes -= msg->bytes;
}

static void
count_entry(struct session *s)
{
	s->queued_bytes += sizeof(struct out);
	s->m->queued_bytes += sizeof(struct out);
}

static void
count_entry_less(struct session *s)
{
	s->queued_bytes -= sizeof(struct out);
	s->m->queued_bytes -= sizeof(struct out);
}

/* Memory is shared by dynamic thresholds (Choudhury and Hahne, IEEE/ACM
 * Transactions on Networking 6(2), 1998): a queue may hold as much as is left
 * for all. One that nobody empties takes half, two of them a third each, and
 * something is left for the others always. An eighth is kept for wills and
 * aliases, so that clients can come back. */
bool
tn_mqtt_session_takes(const struct session *s, size_t bytes)
{
	const struct tn_mqtt *m = s->m;
	size_t most = m->o.queued_bytes_max - m->o.queued_bytes_max / 8;

	return m->queued_bytes < most && s->queued_bytes + bytes <=
	    most - m->queued_bytes;
}

/* ---- packet identifiers ---------------------------------------------- */

static uint16_t
after(uint16_t id)
{
	return id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
}

static void
mark(struct session *s, uint16_t id, bool taken)
{
	uint64_t bit = UINT64_C(1) << (id % 64);

	if (s->used == NULL)
		return;
	if (taken)
		s->used[id / 64] |= bit;
	else
		s->used[id / 64] &= ~bit;
}

static void
drop_used(struct session *s)
{
	if (s->used != NULL)
		s->m->queued_bytes -= USED_BYTES;
	tn_free(s->used);
	s->used = NULL;
	s->jumbled = false;
}

/* They are given in turn, so the oldest in the queue is the first to be met
 * again. From then on, until the queue is empty, which are in use is looked up:
 * one that is never answered must not stop the others. What was loaded may be
 * out of turn (jumbled). */
static uint16_t
take_packet(struct session *s)
{
	uint16_t id = s->next_packet;

	if (s->used == NULL && s->first != NULL &&
	    (s->jumbled || s->first->packet == id)) {
		s->used = tn_zalloc(USED_BYTES);
		s->m->queued_bytes += USED_BYTES;
		for (const struct out *o = s->first; o != NULL; o = o->next)
			mark(s, o->packet, true);
	}
	while (s->used != NULL && (s->used[id / 64] >> (id % 64) & 1) != 0)
		id = after(id);
	mark(s, id, true);
	s->next_packet = after(id);
	return id;
}

/* ---- entries of the queue --------------------------------------------- */

/* The message has gone from the entry: all of it, or to PUBREL. */
static void
drop_message(struct session *s, struct out *o)
{
	struct message *msg = o->message;

	if (msg == NULL)
		return;
	count_message_less(s, msg);
	o->message = NULL;
	tn_mqtt_keep_message_less(s, msg);
	tn_mqtt_message_unref(msg);
}

static void
free_out(struct out *o)
{
	tn_free(o->sub_ids);
	tn_free(o);
}

static struct out *
next_queued(struct out *o)
{
	while (o != NULL && o->step != OUT_QUEUED)
		o = o->next;
	return o;
}

/* Off the queue, and freed unless somebody holds it. */
static void
drop_out(struct session *s, struct out *o)
{
	tn_mqtt_keep_out_drop(s, o);
	drop_message(s, o);
	if (o->step != OUT_QUEUED)
		s->inflight--;
	if (s->unsent == o)
		s->unsent = next_queued(o->next);
	if (o->prev != NULL)
		o->prev->next = o->next;
	else
		s->first = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	else
		s->last = o->prev;
	s->out_count--;
	count_entry_less(s);
	mark(s, o->packet, false);
	if (s->first == NULL)
		drop_used(s);
	o->session = NULL;
	if (!o->held)
		free_out(o);
}

void
tn_mqtt_session_append(struct session *s, struct out *o)
{
	o->session = s;
	o->prev = s->last;
	if (s->last != NULL)
		s->last->next = o;
	else
		s->first = o;
	s->last = o;
	if (s->unsent == NULL && o->step == OUT_QUEUED)
		s->unsent = o;
	s->out_count++;
	count_entry(s);
	if (o->message != NULL)
		count_message(s, o->message);
}

/* What a subscription asked for is bounded by what is retained. */
static bool
queue_is_full(const struct session *s, const struct delivery *d)
{
	const struct tn_mqtt *x = s->m;

	return (!d->retained && s->out_count >= x->o.queued_max) ||
	    !tn_mqtt_session_takes(s, d->message->bytes) ||
	    s->out_count >= UINT16_MAX;
}

static void
take_sub_ids(struct out *o, const struct delivery *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->count; i++)
		n += d->subs[i]->id != 0;
	if (n == 0)
		return;
	o->sub_ids = tn_alloc(n * sizeof *o->sub_ids);
	for (uint32_t i = 0; i < d->count; i++)
		if (d->subs[i]->id != 0)
			o->sub_ids[o->sub_id_count++] = d->subs[i]->id;
}

/* ---- sending --------------------------------------------------------- */

/* False: it was too large for the client, or has expired. */
static bool
send_publish(struct session *s, const struct out *o, bool dup)
{
	struct message *m = o->message;
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = s->conn->version, .dup = dup, .retain = o->retain,
	    .qos = o->qos, .id = o->packet, .topic = m->topic,
	    .payload = m->payload, .props = m->props };
	int64_t left_us;

	if (m->expires_us != 0) {
		left_us = m->expires_us - tn_mqtt_now_us();
		/* Once sent it is carried through (MQTT-4.3.3-7). */
		if (left_us <= 0 && !dup)
			return false;
		left_us = left_us <= 0 ? 0 : left_us;
		p.props.present |= UINT64_C(1) << TN_MQTT_P_MESSAGE_EXPIRY;
		p.props.message_expiry_s = (uint32_t)((left_us + 999999) /
		    1000000);
	}
	if (o->sub_id_count > 0) {
		p.props.present |= UINT64_C(1) << TN_MQTT_P_SUBSCRIPTION_ID;
		p.props.sub_ids = o->sub_ids;
		p.props.sub_id_count = o->sub_id_count;
	}
	if (!tn_mqtt_alias_send(s->conn, &p))
		return false;
	s->messages_out++;
	tn_counter_add(s->m->sent[o->qos], 1);
	return true;
}

static void
count_dropped(struct session *s)
{
	s->dropped++;
	tn_counter_add(s->m->dropped, 1);
}

static bool
is_open(const struct session *s)
{
	return s->conn != NULL && s->conn->step == CONN_OPEN;
}

/* Is the socket ready for more? */
static bool
is_free(const struct session *s)
{
	return is_open(s) && tn_mqtt_conn_unsent(s->conn) <=
	    tn_mqtt_unsent_max(s->m);
}

static bool
may_send(const struct session *s)
{
	return s->unsent != NULL && !s->unsent->held && is_free(s) &&
	    s->inflight < s->conn->receive_max;
}

static void
drop_late(struct session *s)
{
	struct out *o = s->late;

	s->late = o->next;
	if (s->late == NULL)
		s->late_last = NULL;
	s->late_count--;
	count_entry_less(s);
	count_message_less(s, o->message);
	tn_mqtt_message_unref(o->message);
	free_out(o);
}

static void
send_late(struct session *s)
{
	while (s->late != NULL && is_free(s)) {
		if (!send_publish(s, s->late, false))
			count_dropped(s);
		drop_late(s);
	}
}

void
tn_mqtt_session_kick(struct session *s)
{
	send_late(s);
	while (may_send(s)) {
		struct out *o = s->unsent;
		s->unsent = next_queued(o->next);
		if (!send_publish(s, o, o->again)) {
			count_dropped(s);
			drop_out(s, o);
			continue;
		}
		o->step = OUT_SENT;
		o->again = true;
		s->inflight++;
		tn_os_crash_point("mqtt_out_sent");
	}
	tn_mqtt_asked_go(s);
}

/* False: there is no room for it. */
static bool
wait_late(struct session *s, const struct delivery *d, bool retain)
{
	struct out *o;

	if (!tn_mqtt_session_takes(s, d->message->bytes) || (!d->retained &&
	    s->late_count >= s->m->o.queued_max))
		return false;
	o = tn_zalloc(sizeof *o);
	o->message = d->message;
	o->message->refs++;
	count_message(s, o->message);
	o->retain = retain;
	take_sub_ids(o, d);
	count_entry(s);
	s->late_count++;
	if (s->late_last != NULL)
		s->late_last->next = o;
	else
		s->late = o;
	s->late_last = o;
	return true;
}

static void
send_now(struct session *s, const struct delivery *d, bool retain)
{
	struct out o = { .message = d->message, .retain = retain };

	if (is_open(s) && (s->late != NULL || (d->retained && !is_free(s))) &&
	    wait_late(s, d, retain))
		return;
	if (s->late != NULL || !is_free(s)) {
		if (s->conn != NULL)
			count_dropped(s);
		return;
	}
	take_sub_ids(&o, d);
	if (!send_publish(s, &o, false))
		count_dropped(s);
	tn_free(o.sub_ids);
}

struct out *
tn_mqtt_session_give(struct session *s, const struct delivery *d)
{
	struct message *m = d->message;
	uint8_t qos = d->subs[0]->qos < m->qos ? d->subs[0]->qos : m->qos;
	bool retain = d->retained;
	struct out *o;

	for (uint32_t i = 0; i < d->count; i++)
		retain = retain || (m->retain &&
		    d->subs[i]->retain_as_published);
	if (qos == 0) {
		send_now(s, d, retain);
		return NULL;
	}
	if ((s->conn == NULL && !s->kept) || queue_is_full(s, d)) {
		count_dropped(s);
		return NULL;
	}
	o = tn_zalloc(sizeof *o);
	o->message = m;
	m->refs++;
	o->qos = qos;
	o->retain = retain;
	o->order = s->next_order++;
	o->packet = take_packet(s);
	o->held = true;
	take_sub_ids(o, d);
	tn_mqtt_session_append(s, o);
	tn_mqtt_keep_out(s, o);
	return o;
}

void
tn_mqtt_session_let_go(struct out *o)
{
	tn_assert(o->held);
	tn_os_crash_point("mqtt_out_stored");
	o->held = false;
	if (o->session == NULL)
		free_out(o);
	else
		tn_mqtt_session_kick(o->session);
}

void
tn_mqtt_session_take_back(struct out *o)
{
	struct session *s = o->session;

	tn_assert(o->held);
	o->held = false;
	if (s == NULL) {
		free_out(o);
		return;
	}
	drop_out(s, o);
	tn_mqtt_session_kick(s);
}

/* ---- PUBREL ---------------------------------------------------------- */

static void
send_pubrel(struct session *s, uint16_t id, uint8_t reason)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBREL,
	    .version = s->conn->version, .id = id, .reason = reason };

	(void)!tn_mqtt_conn_send(s->conn, &p);
	tn_os_crash_point("mqtt_pubrel_sent");
}

static void
released(void *arg, enum tn_status st)
{
	struct out *o = arg;
	struct session *s = o->session;

	tn_os_crash_point("mqtt_out_released");
	o->held = false;
	if (s == NULL) {
		free_out(o);
		return;
	}
	if (st != TN_OK)
		return;                 /* Told in the log lines. */
	o->step = OUT_RELEASED;
	if (is_open(s))
		send_pubrel(s, o->packet, 0);
}

static void
release(struct session *s, struct out *o)
{
	drop_message(s, o);
	if (!s->kept) {
		o->step = OUT_RELEASED;
		send_pubrel(s, o->packet, 0);
		return;
	}
	o->step = OUT_STORING;
	o->held = true;
	tn_mqtt_keep_out(s, o);
	tn_mqtt_store_sync_patient(s->m->store, released, o);
}

/* ---- what the client answers ----------------------------------------- */

/* Among those that were sent: at most inflight_max, nearly always the first
 * ones of the queue. */
static struct out *
find_sent(struct session *s, uint16_t id)
{
	uint32_t seen = 0;

	for (struct out *o = s->first; o != NULL && seen < s->inflight;
	    o = o->next) {
		if (o->step == OUT_QUEUED)
			continue;
		if (o->packet == id)
			return o;
		seen++;
	}
	return NULL;
}

bool
tn_mqtt_session_puback(struct session *s, uint16_t id)
{
	struct out *o = find_sent(s, id);

	tn_os_crash_point("mqtt_puback_received");
	if (o == NULL || o->qos != 1)
		return false;
	drop_out(s, o);
	tn_mqtt_session_kick(s);
	return true;
}

bool
tn_mqtt_session_pubrec(struct session *s, uint16_t id, uint8_t reason)
{
	struct out *o = find_sent(s, id);

	tn_os_crash_point("mqtt_pubrec_received");
	if (o == NULL || o->qos != 2) {
		/* A refusal ends the exchange: there is no PUBREL then. */
		if (reason < 0x80)
			send_pubrel(s, id, s->conn->version == TN_MQTT_V5 ?
			    TN_MQTT_ID_NOT_FOUND : 0);
		return false;
	}
	if (reason >= 0x80) {
		drop_out(s, o);
		tn_mqtt_session_kick(s);
	} else if (o->step == OUT_SENT) {
		release(s, o);
	} else if (o->step == OUT_RELEASED) {
		send_pubrel(s, id, 0);
	}
	return true;
}

bool
tn_mqtt_session_pubcomp(struct session *s, uint16_t id)
{
	struct out *o = find_sent(s, id);

	tn_os_crash_point("mqtt_pubcomp_received");
	if (o == NULL || o->step != OUT_RELEASED)
		return false;
	drop_out(s, o);
	tn_mqtt_session_kick(s);
	return true;
}

/* ---- connection gone and back ---------------------------------------- */

void
tn_mqtt_session_detach(struct session *s)
{
	s->conn = NULL;
	while (s->late != NULL)
		drop_late(s);
	if (s->kept) {
		tn_mqtt_asked_go(s);
		return;
	}
	tn_mqtt_asked_free(s);
	while (s->first != NULL)
		drop_out(s, s->first);
}

/* PUBRELs where the message was received, then PUBLISHes again, both in order.
 * Those that go over the client's new receive maximum wait as if never sent. */
void
tn_mqtt_session_resume(struct session *s)
{
	s->inflight = 0;
	s->unsent = NULL;
	for (struct out *o = s->first; o != NULL; o = o->next) {
		if (o->step == OUT_RELEASED || o->step == OUT_STORING) {
			s->inflight++;
			if (o->step == OUT_RELEASED)
				send_pubrel(s, o->packet, 0);
			continue;
		}
		o->step = OUT_QUEUED;
		if (s->unsent == NULL)
			s->unsent = o;
	}
	tn_mqtt_session_kick(s);
}

/* ---- QoS 2 from the client ------------------------------------------- */

struct received *
tn_mqtt_session_received(const struct session *s, uint16_t id)
{
	for (uint32_t i = 0; i < s->received_count; i++)
		if (s->received[i].packet == id)
			return &s->received[i];
	return NULL;
}

void
tn_mqtt_session_receive(struct session *s, uint16_t id, uint64_t take)
{
	if (s->received_count == s->received_cap) {
		s->received_cap = s->received_cap == 0 ? 8 :
		    s->received_cap * 2;
		s->received = tn_realloc(s->received, s->received_cap *
		    sizeof *s->received);
	}
	s->received[s->received_count++] = (struct received){ take, id };
	s->m->received_open++;
}

bool
tn_mqtt_session_release(struct session *s, uint16_t id)
{
	struct received *x = tn_mqtt_session_received(s, id);

	if (x == NULL)
		return false;
	*x = s->received[--s->received_count];
	s->m->received_open--;
	return true;
}

/* ---- end ------------------------------------------------------------- */

static void
unlink_session(struct session *s)
{
	struct session **at = bucket_of(s->m, (struct tn_slice){
	    (uint8_t *)s->client_id, s->client_id_bytes });

	while (*at != s)
		at = &(*at)->next_of_bucket;
	*at = s->next_of_bucket;
	s->m->session_count--;
	tn_counter_add(s->m->sessions, -1);
}

void
tn_mqtt_session_free(struct session *s)
{
	tn_assert(s->conn == NULL);
	s->kept = false;                /* The store stays as it is. */
	tn_mqtt_asked_free(s);
	while (s->late != NULL)
		drop_late(s);
	while (s->first != NULL)
		drop_out(s, s->first);
	tn_mqtt_tree_drop_all(s->m->tree, s);
	tn_mqtt_rings_free(s);
	tn_mqtt_will_free(s);
	unlink_session(s);
	tn_free(s->received);
	s->received = NULL;
	s->m->received_open -= s->received_count;
	s->received_count = s->received_cap = 0;
	tn_free(s->user);
	s->user = NULL;
	tn_mqtt_session_unref(s);
}

void
tn_mqtt_session_unref(struct session *s)
{
	tn_assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	tn_free(s->client_id);
	tn_free(s);
}

void
tn_mqtt_session_end(struct session *s)
{
	tn_assert(s->conn == NULL);
	if (s->kept)
		tn_mqtt_keep_none(s);
	tn_mqtt_session_free(s);
}

void
tn_mqtt_session_keep(struct session *s, uint32_t expiry_s)
{
	bool was = s->kept;

	s->expiry_s = expiry_s;
	if (was && expiry_s == 0)
		tn_mqtt_keep_none(s);
	s->kept = expiry_s > 0;
	if (!was && s->kept)
		tn_mqtt_keep_all(s);
	else if (s->kept)
		tn_mqtt_session_store(s);
}

/* will: the message that a client left for the case that it goes without a
 * word (3.1.1: 3.1.2.5; 5.0: 3.1.2.5 and 3.1.3.2.2). It is published when its
 * delay is over or the session ends, whichever is first, and not at all when
 * the client is back before.
 *
 * It is in the store from its CONNECT on, until what became of it is there. When
 * the program ends in order, those without a delay are published; all that are
 * in the store at a start are of clients that were cut off: published before
 * the first of them is back ("offline" must not come behind its "online"), or
 * when their delay is over, which begins again then.
 *
 *   session --due--> due_wills --room in streams and store--> broker.c
 *                        ^-- the log had no room, or failed --'
 *
 * What can go wrong: no room: it waits in due_wills, where it counts as queued
 * (so CONNECTs with wills are refused in the end); the log has failed: it waits
 * for the next start, in the store; its stream can never take it: it is
 * dropped, and told. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)

/* In the order of their time: the last one said of a topic stays retained. */
static void
append(struct tn_mqtt *m, struct will *w)
{
	w->next = NULL;
	if (m->due_wills == NULL)
		m->due_wills = w;
	else
		m->due_last->next = w;
	m->due_last = w;
	m->due_streams += w->streams;
}

static struct will *
take_first(struct tn_mqtt *m)
{
	struct will *w = m->due_wills;

	if (w == NULL)
		return NULL;
	m->due_wills = w->next;
	m->due_streams -= w->streams;
	return w;
}

static void
free_will(struct tn_mqtt *m, struct will *w)
{
	m->queued_bytes -= w->message->bytes;
	tn_mqtt_message_unref(w->message);
	tn_free(w);
}

void
tn_mqtt_will_free(struct session *s)
{
	if (s->will != NULL)
		free_will(s->m, s->will);
	s->will = NULL;
}

void
tn_mqtt_will_drop(struct session *s)
{
	if (s->will != NULL && s->will->number != 0)
		tn_mqtt_keep_will_less(s->m, s->will->number);
	tn_mqtt_will_free(s);
}

/* At the end there is no later; but what a failed log does not take waits for
 * the next start. */
static bool
has_room(const struct tn_mqtt *m, const struct will *w)
{
	enum tn_status room;

	if (!w->streams)
		return m->draining || !tn_mqtt_store_is_full(m->store);
	room = tn_ingest_room(m->o.ingest);
	return room == TN_OK || (room == TN_EFULL && m->draining);
}

/* The store forgets it with what becomes of it (broker.c). */
static void
publish_will(struct tn_mqtt *m, struct will *w)
{
	struct message *msg = w->message;

	if (w->expires)
		msg->expires_us = tn_mqtt_now_us() + w->expiry_s * SECOND_US;
	msg->will = w->number;
	msg->refs++;
	free_will(m, w);
	tn_mqtt_publish_own(m, msg);
}

static void
publish(struct session *s)
{
	struct will *w = s->will;

	s->will = NULL;
	/* Not before those that wait. */
	if (s->m->due_wills != NULL || !has_room(s->m, w))
		append(s->m, w);
	else
		publish_will(s->m, w);
}

void
tn_mqtt_will_begin(struct session *s, bool wanted)
{
	if (s->will == NULL)
		return;
	/* Those that are not published by now wait for the next start. */
	if (s->m->draining) {
		tn_mqtt_will_free(s);
		return;
	}
	if (!wanted) {
		tn_mqtt_will_drop(s);
		return;
	}
	if (s->will->delay_s == 0 || !s->kept) {
		publish(s);
		return;
	}
	s->will->due_us = tn_os_mono_us() + s->will->delay_s * SECOND_US;
}

void
tn_mqtt_will_tick(struct session *s, int64_t mono_us)
{
	if (s->will != NULL && s->will->due_us != 0 &&
	    s->will->due_us <= mono_us)
		publish(s);
}

/* The session ends with a clean start: then its time has come
 * (MQTT-3.1.3-9 keeps it back only while the session goes on). */
void
tn_mqtt_will_cancel(struct session *s, bool ends)
{
	if (s->will == NULL)
		return;
	if (ends)
		publish(s);
	else
		tn_mqtt_will_drop(s);
}

/* ---- those that are due ---------------------------------------------- */

/* A session's newest is its own. One before it was on its way when the program
 * ended: its client had been back since. */
void
tn_mqtt_will_restore(struct tn_mqtt *m, struct session *s, struct will *w)
{
	m->queued_bytes += w->message->bytes;
	tn_arena_reset(m->arena);
	w->streams = tn_mqtt_streams_take(m, w->message->topic);
	if (s != NULL && s->will != NULL) {
		append(m, s->will);
		s->will = NULL;
	}
	if (s != NULL && w->delay_s > 0) {
		w->due_us = tn_os_mono_us() + w->delay_s * SECOND_US;
		s->will = w;
		return;
	}
	append(m, w);
}

/* What could pass: no room (yet), a log that has failed. Its record stays. */
static bool
is_passing(enum tn_status st)
{
	return st == TN_ENOSPC || st == TN_EIO || st == TN_ECLOSED;
}

/* Not for each one of a client that means ill. */
static void
say_dropped(struct tn_mqtt *m, const struct message *msg, enum tn_status st)
{
	int64_t now_us = tn_os_mono_us();

	tn_counter_add(m->dropped, 1);
	if (m->will_said_us != 0 && now_us - m->will_said_us < MINUTE_US)
		return;
	m->will_said_us = now_us;
	tn_say(TN_WARN, "mqtt", "a will for %.*s is dropped: %s",
	    (int)(msg->topic.n < 100 ? msg->topic.n : 100),
	    (const char *)msg->topic.p, tn_status_text(st));
}

void
tn_mqtt_will_failed(struct tn_mqtt *m, struct message *msg,
    enum tn_status st)
{
	struct will *w;

	if (!is_passing(st)) {
		say_dropped(m, msg, st);
		if (msg->will != 0)
			tn_mqtt_keep_will_less(m, msg->will);
		return;
	}
	w = tn_zalloc(sizeof *w);
	w->message = msg;
	msg->refs++;
	m->queued_bytes += msg->bytes;
	w->number = msg->will;
	w->streams = true;
	append(m, w);
}

/* Those without room are appended again, in their order: none goes before one
 * that stays, also when room comes in between. */
static void
publish_due(struct tn_mqtt *m)
{
	const struct will *last = m->due_last;
	bool more = m->due_wills != NULL, room[2] = { true, true };

	while (more) {
		struct will *w = take_first(m);
		bool streams = w->streams;
		more = w != last;
		tn_arena_reset(m->arena);
		room[streams] = room[streams] && has_room(m, w);
		if (room[streams])
			publish_will(m, w);
		else
			append(m, w);
	}
}

void
tn_mqtt_wills_due(struct tn_mqtt *m)
{
	if (!m->draining)
		publish_due(m);
}

void
tn_mqtt_wills_end(struct tn_mqtt *m)
{
	publish_due(m);
}

void
tn_mqtt_wills_free(struct tn_mqtt *m)
{
	while (m->due_wills != NULL)
		free_will(m, take_first(m));
}

/* will: the message that a client left for the case that it goes without a
 * word (3.1.1: 3.1.2.5; 5.0: 3.1.2.5 and 3.1.3.2.2). It is published when its
 * delay is over or the session ends, whichever is first, and not at all when
 * the client is back before. When the program ends in order, all are published
 * that would be lost otherwise; a kill takes them with it. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define SECOND_US INT64_C(1000000)

void
tn_mqtt_will_drop(struct session *s)
{
	if (s->will == NULL)
		return;
	if (s->will->message != NULL)
		s->m->queued_bytes -= s->will->message->bytes;
	tn_mqtt_message_unref(s->will->message);
	tn_free(s->will);
	s->will = NULL;
}

static void
publish(struct session *s)
{
	struct will *w = s->will;
	struct message *msg = w->message;

	if (w->expires)
		msg->expires_us = tn_mqtt_now_us() + w->expiry_s * SECOND_US;
	s->m->queued_bytes -= msg->bytes;
	w->message = NULL;
	tn_mqtt_will_drop(s);
	tn_mqtt_publish_own(s->m, msg);
}

void
tn_mqtt_will_begin(struct session *s, bool wanted)
{
	if (s->will == NULL)
		return;
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

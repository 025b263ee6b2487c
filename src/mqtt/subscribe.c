/* subscribe: SUBSCRIBE and UNSUBSCRIBE.
 *
 *   filters -> tree -> the session's record to the store, when it is kept
 *           -> on disk -> the answer, then retained messages as were asked for
 *
 * Until the answer leaves, messages of a new subscription may come before it
 * (5.0, 3.8.4). What can go wrong: too many subscriptions or levels, no right
 * to subscribe: each filter has its own answer; the store has failed or has no
 * room: the connection ends. */
#include "mqtt/mqtt_int.h"

struct subscribing {
	struct conn *conn;
	uint16_t packet;
	uint8_t type;
	uint32_t count;
	uint8_t *reasons;
	/* Subscriptions whose retained messages are wanted: by filter, as
	 * they may be gone until then. */
	char **filters;
};

/* Its identifier is on disk: after a restart no other message has it. */
static void
retained_kept(void *arg, enum tn_status st)
{
	(void)st;                       /* Told in the log lines. */
	tn_mqtt_session_let_go(arg);
}

static void
send_retained_one(void *arg, struct message *msg)
{
	struct subscription *sub = arg;
	struct session *s = sub->session;
	struct delivery d = { .message = msg, .subs = &sub, .count = 1,
	    .retained = true };
	struct out *o;

	if (sub->no_local && msg->from == s->hash)
		return;
	o = tn_mqtt_session_give(s, &d);
	if (o != NULL && s->kept)
		tn_mqtt_store_sync_patient(s->m->store, retained_kept, o);
	else if (o != NULL)
		tn_mqtt_session_let_go(o);
}

static void
send_retained(struct session *s, const char *filter)
{
	struct subscription *sub = s->subs;

	while (sub != NULL && strcmp(sub->filter, filter) != 0)
		sub = sub->next_of_session;
	if (sub != NULL)
		tn_mqtt_retained_match(s->m->retained,
		    tn_slice_of(sub->filter), tn_mqtt_now_us(),
		    send_retained_one, sub);
}

static void
subscribed(void *arg, enum tn_status st)
{
	struct subscribing *x = arg;
	struct conn *c = x->conn;
	struct tn_codec_mqtt_packet p = { .type = x->type,
	    .version = c->version, .id = x->packet,
	    .reasons = { x->reasons, x->count } };

	c->asked--;
	if (st != TN_OK)
		tn_mqtt_conn_end(c, tn_mqtt_reason_of(st));
	(void)!tn_mqtt_conn_send(c, &p);
	for (uint32_t i = 0; i < x->count; i++) {
		if (x->filters[i] != NULL && c->step == CONN_OPEN &&
		    x->reasons[i] < 0x80)
			send_retained(c->session, x->filters[i]);
		tn_free(x->filters[i]);
	}
	tn_mqtt_conn_unref(c);
	tn_free(x->filters);
	tn_free(x->reasons);
	tn_free(x);
}

static struct subscribing *
subscribing_new(struct conn *c, const struct tn_codec_mqtt_packet *p,
    uint8_t type)
{
	struct subscribing *x = tn_zalloc(sizeof *x);

	x->conn = c;
	tn_mqtt_conn_ref(c);
	c->asked++;
	x->packet = p->id;
	x->type = type;
	x->count = p->filter_count;
	x->reasons = tn_zalloc(p->filter_count);
	x->filters = tn_zalloc(p->filter_count * sizeof *x->filters);
	return x;
}

/* The session's record first, when it is kept; then the answer. */
static void
answer(struct subscribing *x)
{
	struct session *s = x->conn->session;

	if (!s->kept) {
		subscribed(x, TN_OK);
		return;
	}
	tn_mqtt_session_store(s);
	tn_mqtt_store_sync(s->m->store, subscribed, x);
}

static uint8_t
subscribe_one(struct conn *c, const struct tn_codec_mqtt_filter *f,
    uint32_t id, bool *retained)
{
	struct session *s = c->session;
	struct subscription *sub;
	bool fresh = false;
	enum tn_status st;

	*retained = false;
	if (!c->may_subscribe)
		return TN_MQTT_NOT_AUTHORIZED;
	if (s->sub_count >= c->m->o.subscriptions_max &&
	    !tn_mqtt_tree_has(s, f->filter))
		return TN_MQTT_QUOTA_EXCEEDED;
	st = tn_mqtt_tree_put(c->m->tree, s, f, id, &sub, &fresh);
	if (st != TN_OK)
		return st == TN_EFULL ? TN_MQTT_QUOTA_EXCEEDED :
		    TN_MQTT_FILTER_INVALID;
	if (c->bridge) {
		sub->no_local = sub->share == NULL;
		sub->retain_as_published = true;
	}
	*retained = sub->share == NULL && (f->retain_handling == 0 ||
	    (f->retain_handling == 1 && fresh));
	return f->qos;
}

void
tn_mqtt_subscribe(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct subscribing *x = subscribing_new(c, p, TN_MQTT_SUBACK);
	uint32_t id = (p->props.present >> TN_MQTT_P_SUBSCRIPTION_ID & 1) != 0
	    ? p->props.sub_ids[0] : 0;

	for (uint32_t i = 0; i < p->filter_count; i++) {
		const struct tn_codec_mqtt_filter *f = &p->filters[i];
		bool retained;

		x->reasons[i] = subscribe_one(c, f, id, &retained);
		if (retained)
			x->filters[i] = tn_strndup((const char *)
			    f->filter.p, f->filter.n);
		/* 3.1.1 has one word for failure. */
		if (x->reasons[i] >= 0x80 && c->version != TN_MQTT_V5)
			x->reasons[i] = 0x80;
	}
	answer(x);
}

void
tn_mqtt_unsubscribe(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct subscribing *x = subscribing_new(c, p, TN_MQTT_UNSUBACK);

	for (uint32_t i = 0; i < p->filter_count; i++)
		x->reasons[i] = tn_mqtt_tree_drop(c->m->tree, c->session,
		    p->filters[i].filter) ? TN_MQTT_SUCCESS :
		    TN_MQTT_NO_SUBSCRIPTION_EXISTED;
	answer(x);
}

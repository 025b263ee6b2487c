/* subscribe: SUBSCRIBE and UNSUBSCRIBE.
 *
 *   filters -> tree -> the session's record to the store, when it is kept
 *           -> on disk -> the answer, then retained messages as were asked for
 *
 * Until the answer leaves, messages of a new subscription may come before it
 * (5.0, 3.8.4). What can go wrong: too many subscriptions or levels, no right
 * to subscribe: each filter has its own answer; the store has failed or has no
 * room, or a packet has far more filters than a session may have: the
 * connection ends. */
#include "mqtt/mqtt_int.h"

#define FILTERS_MORE 1000        /* In one packet, each with its answer. */

struct subscribing {
	struct conn *conn;
	uint16_t packet;
	uint8_t type;
	uint32_t count;
	uint8_t *reasons;
	/* Subscriptions whose retained messages are wanted (asked.c). */
	char **filters;
};

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
			tn_mqtt_ask_retained(c->session, x->filters[i]);
		else
			tn_free(x->filters[i]);
	}
	if (c->session != NULL)
		tn_mqtt_asked_go(c->session);
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

/* Many more than a session may have: each is compared with all it has, so a
 * packet full of them would hold the loop. */
static bool
is_too_long(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	if (p->filter_count <= c->m->o.subscriptions_max + FILTERS_MORE)
		return false;
	tn_mqtt_conn_end(c, TN_MQTT_QUOTA_EXCEEDED);
	return true;
}

void
tn_mqtt_subscribe(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct subscribing *x;
	uint32_t id = (p->props.present >> TN_MQTT_P_SUBSCRIPTION_ID & 1) != 0
	    ? p->props.sub_ids[0] : 0;

	if (is_too_long(c, p))
		return;
	x = subscribing_new(c, p, TN_MQTT_SUBACK);
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
	struct subscribing *x;

	if (is_too_long(c, p))
		return;
	x = subscribing_new(c, p, TN_MQTT_UNSUBACK);
	for (uint32_t i = 0; i < p->filter_count; i++) {
		struct tn_slice filter = p->filters[i].filter;
		bool had = tn_mqtt_tree_drop(c->m->tree, c->session, filter);

		if (had)
			tn_mqtt_asked_less(c->session, filter);
		x->reasons[i] = had ? TN_MQTT_SUCCESS :
		    TN_MQTT_NO_SUBSCRIPTION_EXISTED;
	}
	answer(x);
}

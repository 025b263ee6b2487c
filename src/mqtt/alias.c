/* alias: topic aliases of 5.0, both ways; they end with the connection.
 *
 *   client -> us   a table by alias, as the client fills it
 *   us -> client   alias = hash of the topic, modulo as many as the client
 *                  takes: a place holds the topic that came last, and another
 *                  one of the same place takes it over
 *
 * So nothing is searched, and a topic that is not sent again costs the next of
 * its place one whole topic. Topics held count as queued bytes.
 *
 * What can go wrong: an alias that was not set or is too high ends the
 * connection; without room for more topics ours are sent whole. */
#include "mqtt/mqtt_int.h"

struct alias {
	char *topic;                 /* NULL: none. */
	uint32_t bytes;
};

static void
drop(struct tn_mqtt *m, struct alias *a)
{
	if (a->topic == NULL)
		return;
	m->queued_bytes -= a->bytes;
	tn_free(a->topic);
	a->topic = NULL;
}

static void
drop_all(struct tn_mqtt *m, struct alias **list, uint32_t count)
{
	for (uint32_t i = 0; *list != NULL && i < count; i++)
		drop(m, &(*list)[i]);
	tn_free(*list);
	*list = NULL;
}

void
tn_mqtt_aliases_free(struct conn *c)
{
	drop_all(c->m, &c->aliases, c->m->o.topic_alias_max);
	drop_all(c->m, &c->aliases_out, c->alias_out_max);
}

/* False: there is no room. */
static bool
set(struct tn_mqtt *m, struct alias *a, struct tn_slice topic)
{
	drop(m, a);
	if (m->queued_bytes + topic.n > m->o.queued_bytes_max)
		return false;
	m->queued_bytes += topic.n;
	a->topic = tn_strndup((const char *)topic.p, topic.n);
	a->bytes = (uint32_t)topic.n;
	return true;
}

static bool
is(const struct alias *a, struct tn_slice topic)
{
	return a->topic != NULL && a->bytes == topic.n &&
	    memcmp(a->topic, topic.p, topic.n) == 0;
}

/* ---- from the client ------------------------------------------------- */

bool
tn_mqtt_alias_resolve(struct conn *c, struct tn_codec_mqtt_packet *p)
{
	const uint32_t max = c->m->o.topic_alias_max;
	struct alias *a;

	if ((p->props.present >> TN_MQTT_P_TOPIC_ALIAS & 1) == 0)
		return true;            /* The codec wants a topic then. */
	if (p->props.topic_alias == 0 || p->props.topic_alias > max) {
		tn_mqtt_conn_end(c, TN_MQTT_TOPIC_ALIAS_INVALID);
		return false;
	}
	if (c->aliases == NULL)
		c->aliases = tn_zalloc(max * sizeof *c->aliases);
	a = &c->aliases[p->props.topic_alias - 1];
	if (p->topic.n > 0 && !is(a, p->topic) && !set(c->m, a, p->topic)) {
		tn_mqtt_conn_end(c, TN_MQTT_QUOTA_EXCEEDED);
		return false;
	}
	if (p->topic.n > 0)
		return true;
	if (a->topic == NULL) {
		tn_mqtt_conn_end(c, TN_MQTT_PROTOCOL_ERROR);
		return false;
	}
	p->topic = (struct tn_slice){ (uint8_t *)a->topic, a->bytes };
	return true;
}

/* ---- to the client --------------------------------------------------- */

bool
tn_mqtt_alias_send(struct conn *c, struct tn_codec_mqtt_packet *p)
{
	const struct tn_slice topic = p->topic;
	const uint64_t plain = p->props.present;
	uint32_t at;

	if (c->alias_out_max == 0)
		return tn_mqtt_conn_send(c, p);
	if (c->aliases_out == NULL)
		c->aliases_out = tn_zalloc(c->alias_out_max *
		    sizeof *c->aliases_out);
	at = (uint32_t)(tn_hash64(topic.p, topic.n, 0) % c->alias_out_max);
	p->props.present |= UINT64_C(1) << TN_MQTT_P_TOPIC_ALIAS;
	p->props.topic_alias = (uint16_t)(at + 1);
	if (is(&c->aliases_out[at], topic)) {
		p->topic.n = 0;
		return tn_mqtt_conn_send(c, p);
	}
	if (!set(c->m, &c->aliases_out[at], topic) ||
	    !tn_mqtt_conn_send(c, p)) {
		/* The client has not heard of it. */
		drop(c->m, &c->aliases_out[at]);
		p->props.present = plain;
		return tn_mqtt_conn_send(c, p);
	}
	return true;
}

/* The MQTT door: its settings, its place among the others, and what the page
 * is told of it (http knows nothing of mqtt: they stand on one floor).
 *
 * The broker listens on 127.0.0.1:1883 unless told otherwise. When that
 * standard port is taken by another program, Tarn goes on without MQTT and
 * says so; an address that somebody asked for must be free. */
#include "app/run_int.h"

#include <stdio.h>
#include <string.h>

static const char *
text_or_null(const struct app *a, enum tn_app_setting i)
{
	const char *s = a->set.text[i];

	return s[0] == '\0' || strcmp(s, "none") == 0 ? NULL : s;
}

static enum tn_status
open_tls(struct app *a, struct tn_diag *d)
{
	struct tn_net_tls_opts o = {
		.cert_file = text_or_null(a, TN_SET_MQTT_TLS_CERT),
		.key_file = text_or_null(a, TN_SET_MQTT_TLS_KEY),
		.client_ca_file = text_or_null(a, TN_SET_MQTT_TLS_CLIENT_CA) };

	if (text_or_null(a, TN_SET_MQTT_TLS_LISTEN) == NULL)
		return TN_OK;
	if (o.cert_file != NULL && o.key_file != NULL)
		return tn_net_tls_new(&a->mqtt_tls, &o, d);
	tn_diag_hint(d, "set mqtt_tls_cert and mqtt_tls_key to PEM files");
	return tn_diag_set(d, TN_EINVAL, "mqtt_tls",
	    "mqtt_tls_listen needs a certificate and a key");
}

static void
set_limits(const struct app *a, struct tn_mqtt_opts *o)
{
	const int64_t *n = a->set.number;

	o->connections_max = (uint32_t)n[TN_SET_MQTT_CONNECTIONS];
	o->sessions_max = (uint32_t)n[TN_SET_MQTT_SESSIONS];
	o->packet_bytes_max = (size_t)n[TN_SET_MQTT_PACKET];
	o->inflight_max = (uint32_t)n[TN_SET_MQTT_INFLIGHT];
	o->topic_alias_max = (uint32_t)n[TN_SET_MQTT_ALIASES];
	o->queued_max = (uint32_t)n[TN_SET_MQTT_QUEUED];
	o->queued_bytes_max = (size_t)n[TN_SET_MQTT_QUEUED_BYTES];
	o->retained_max = (uint32_t)n[TN_SET_MQTT_RETAINED];
	o->retained_bytes_max = (size_t)n[TN_SET_MQTT_RETAINED_BYTES];
	o->subscriptions_max = (uint32_t)n[TN_SET_MQTT_SUBSCRIPTIONS];
	o->subscription_bytes_max =
	    (size_t)n[TN_SET_MQTT_SUBSCRIPTION_BYTES];
	o->session_expiry_max_s = (uint32_t)(n[TN_SET_MQTT_EXPIRY] / 1000000);
	o->keep_alive_max_s = (uint32_t)(n[TN_SET_MQTT_KEEP_ALIVE] / 1000000);
	o->connect_ms = (uint32_t)(n[TN_SET_MQTT_CONNECT] / 1000);
	o->unsent_bytes_max = (size_t)n[TN_SET_MQTT_UNSENT];
	o->new_sources = n[TN_SET_MQTT_SOURCES] != 0;
	o->bridge = text_or_null(a, TN_SET_MQTT_BRIDGE);
}

/* Did nobody ask for this address? */
static bool
is_standard(const struct app *a, const struct tn_app_args *args)
{
	return args->mqtt == NULL && strcmp(a->set.text[TN_SET_MQTT_LISTEN],
	    tn_app_setting_default(TN_SET_MQTT_LISTEN)) == 0;
}

enum tn_status
tn_app_mqtt_open(struct app *a, const struct tn_app_args *args,
    struct tn_diag *d)
{
	struct tn_buf path = { 0 };
	struct tn_mqtt_opts o = { .loop = a->loop, .pool = a->pool,
	    .model = a->model, .serving = a->serving, .ingest = a->ingest,
	    .access = a->access,
	    .listen = text_or_null(a, TN_SET_MQTT_LISTEN),
	    .tls_listen = text_or_null(a, TN_SET_MQTT_TLS_LISTEN) };
	enum tn_status st = open_tls(a, d);

	tn_buf_printf(&path, "%s/mqtt.mdb", a->data);
	o.store_path = tn_buf_cstr(&path);
	o.tls = a->mqtt_tls;
	if (args->mqtt != NULL)
		o.listen = strcmp(args->mqtt, "none") == 0 ? NULL :
		    args->mqtt;
	set_limits(a, &o);
	if (st == TN_OK)
		st = tn_mqtt_new(&a->mqtt, &o, d);
	if (st == TN_ECONFLICT && is_standard(a, args)) {
		tn_say(TN_WARN, "app", "no MQTT on %s: another program has "
		    "the port; ALTER SYSTEM SET mqtt_listen gives another",
		    o.listen);
		memset(d, 0, sizeof *d);
		o.listen = NULL;
		st = tn_mqtt_new(&a->mqtt, &o, d);
	}
	tn_buf_fini(&path);
	return st;
}

void
tn_app_mqtt_close(struct app *a)
{
	tn_mqtt_free(a->mqtt);
	a->mqtt = NULL;
	tn_net_tls_free(a->mqtt_tls);
	a->mqtt_tls = NULL;
}

/* ---- for the page ---------------------------------------------------- */

#define CLIENTS_MAX 1000         /* Of one answer; connected ones first. */

struct list {
	const struct app *app;
	struct tn_buf *out;
	bool more;
	bool connected;              /* Clients: only those that are, or not. */
	uint32_t count;
};

static void
begin_item(struct list *l)
{
	tn_buf_str(l->out, l->more ? ",{" : "{");
	l->more = true;
}

static void
put_text(struct tn_buf *out, const char *name, const char *value)
{
	tn_buf_printf(out, "\"%s\":\"", name);
	tn_buf_json(out, value, strlen(value));
	tn_buf_str(out, "\",");
}

static const char *
protocol_of(uint8_t version)
{
	return version == 5 ? "5.0" : version == 4 ? "3.1.1" : "";
}

static const char *
bool_text(bool b)
{
	return b ? "true" : "false";
}

static void
put_client(void *arg, const struct tn_mqtt_client *c)
{
	struct list *l = arg;
	struct tn_buf *out = l->out;

	if (c->connected != l->connected || l->count >= CLIENTS_MAX)
		return;
	l->count++;
	begin_item(l);
	put_text(out, "client", c->client_id);
	put_text(out, "peer", c->peer);
	put_text(out, "user", c->user);
	put_text(out, "protocol", protocol_of(c->version));
	tn_buf_printf(out, "\"connected\":%s,\"websocket\":%s,\"tls\":%s,"
	    "\"since_us\":%lld,\"last_us\":%lld,\"received\":%llu,"
	    "\"sent\":%llu,\"subscriptions\":%u,\"queued\":%u,"
	    "\"inflight\":%u,\"takeovers\":%u,\"expiry_s\":%u}",
	    bool_text(c->connected), bool_text(c->websocket),
	    bool_text(c->tls), (long long)c->since_us,
	    (long long)c->last_us, (unsigned long long)c->in,
	    (unsigned long long)c->out, (unsigned)c->subscriptions,
	    (unsigned)c->queued, (unsigned)c->inflight,
	    (unsigned)c->takeovers, (unsigned)c->expiry_s);
}

static void
put_source(void *arg, const struct tn_mqtt_source *s)
{
	struct list *l = arg;
	struct tn_buf *out = l->out;

	begin_item(l);
	put_text(out, "pattern", s->pattern);
	put_text(out, "topic", s->sample);
	tn_buf_str(out, "\"payload\":");
	if (tn_utf8_valid(s->payload.p, s->payload.n)) {
		tn_buf_char(out, '"');
		tn_buf_json(out, s->payload.p, s->payload.n);
		tn_buf_char(out, '"');
	} else {
		tn_buf_str(out, "null");
	}
	tn_buf_printf(out, ",\"count\":%llu,\"last_us\":%lld}",
	    (unsigned long long)s->count, (long long)s->last_us);
}

static void
put_sender(void *arg, const struct tn_mqtt_sender *s)
{
	struct list *l = arg;
	struct tn_buf *out = l->out;

	begin_item(l);
	put_text(out, "client", s->client_id);
	put_text(out, "stream", l->app->model->streams[s->stream].table->name);
	put_text(out, "protocol", protocol_of(s->version));
	tn_buf_printf(out, "\"websocket\":%s,\"tls\":%s,\"accepted\":%llu,"
	    "\"quarantined\":%llu,\"duplicates\":%llu,\"first_us\":%lld,"
	    "\"last_us\":%lld,\"rate\":%.3f}", bool_text(s->websocket),
	    bool_text(s->tls), (unsigned long long)s->accepted,
	    (unsigned long long)s->quarantined,
	    (unsigned long long)s->duplicates, (long long)s->first_us,
	    (long long)s->last_us, s->rate);
}

static void
put_bridge(void *arg, const struct tn_mqtt_bridge_state *s)
{
	struct list *l = arg;
	struct tn_buf *out = l->out;
	const struct tn_mqtt_bridge *b = s->bridge;

	begin_item(l);
	put_text(out, "name", b->name);
	put_text(out, "address", b->address);
	put_text(out, "client", b->client);
	put_text(out, "user", b->user != NULL ? b->user : "");
	put_text(out, "protocol", protocol_of(s->version));
	put_text(out, "last_error", s->last_error);
	tn_buf_str(out, "\"topics\":[");
	for (uint32_t i = 0; i < b->topic_count; i++) {
		tn_buf_str(out, i > 0 ? ",\"" : "\"");
		tn_buf_json(out, b->topics[i], strlen(b->topics[i]));
		tn_buf_char(out, '"');
	}
	tn_buf_printf(out, "],\"qos\":%u,\"tls\":%s,\"connected\":%s,"
	    "\"since_us\":%lld,\"messages\":%llu,\"reconnects\":%llu,"
	    "\"error_us\":%lld}", (unsigned)b->qos, bool_text(b->tls),
	    bool_text(s->connected), (long long)s->since_us,
	    (unsigned long long)s->messages,
	    (unsigned long long)s->reconnects, (long long)s->error_us);
}

static void
put_facts(const struct tn_mqtt *m, struct tn_buf *out)
{
	struct tn_mqtt_facts f;

	tn_mqtt_facts(m, &f);
	tn_buf_printf(out, "{\"port\":%u,\"tls_port\":%u,\"connections\":%u,"
	    "\"sessions\":%u,\"subscriptions\":%u,\"retained\":%u,"
	    "\"retained_bytes\":%zu,\"queued_bytes\":%zu,"
	    "\"received\":%llu,\"sent\":%llu,\"dropped\":%llu,"
	    "\"refused\":%llu,\"received_rate\":%.3f,\"sent_rate\":%.3f,"
	    "\"new_sources\":%s", (unsigned)tn_mqtt_port(m),
	    (unsigned)tn_mqtt_tls_port(m), (unsigned)f.connections,
	    (unsigned)f.sessions, (unsigned)f.subscriptions,
	    (unsigned)f.retained, f.retained_bytes, f.queued_bytes,
	    (unsigned long long)f.received, (unsigned long long)f.sent,
	    (unsigned long long)f.dropped, (unsigned long long)f.refused,
	    f.received_rate, f.sent_rate, bool_text(f.new_sources));
}

void
tn_app_mqtt_json(void *arg, struct tn_buf *out)
{
	struct app *a = arg;
	struct list clients = { a, out, false, true, 0 };
	struct list sources = { .out = out }, senders = { .app = a,
	    .out = out }, bridges = { .out = out };

	put_facts(a->mqtt, out);
	tn_buf_str(out, ",\"clients\":[");
	tn_mqtt_clients(a->mqtt, put_client, &clients);
	clients.connected = false;
	tn_mqtt_clients(a->mqtt, put_client, &clients);
	tn_buf_str(out, "],\"sources\":[");
	tn_mqtt_sources(a->mqtt, put_source, &sources);
	tn_buf_str(out, "],\"senders\":[");
	tn_mqtt_senders(a->mqtt, put_sender, &senders);
	tn_buf_str(out, "],\"bridges\":[");
	tn_mqtt_bridges(a->mqtt, put_bridge, &bridges);
	tn_buf_str(out, "]}");
}

void
tn_app_mqtt_adopt(void *arg, struct tn_net_stream *s,
    enum tn_governance_scope scope)
{
	struct app *a = arg;

	tn_mqtt_adopt(a->mqtt, s, scope);
}

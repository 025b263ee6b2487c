/* mqtt: the broker as a whole: made, listed, drained, freed; and what happens
 * each second (keep-alives, wills, sessions and messages that expire). */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define TICK_MS 1000
#define MEBI ((size_t)1 << 20)
#define WEEK_S (7u * 86400)
#define RETRY_US 10000           /* Then others have their turn. */
#define RETRY_AGAIN_MS 1
#define UNSENT_SMALL 65536       /* Not counted each; memory is pressed. */
#define UNSENT_LEAST 4096        /* It is short. */
#define PASS_LOOK_S 16           /* Tokens expire without a word. */

int64_t
tn_mqtt_now_us(void)
{
	return tn_os_wall_us();
}

static void
set_u32(uint32_t *v, uint32_t standard)
{
	if (*v == 0)
		*v = standard;
}

static void
set_size(size_t *v, size_t standard)
{
	if (*v == 0)
		*v = standard;
}

static void
set_defaults(struct tn_mqtt_opts *o)
{
	set_u32(&o->connections_max, 20000);
	set_u32(&o->sessions_max, 100000);
	set_size(&o->packet_bytes_max, MEBI);
	set_u32(&o->inflight_max, 1024);
	set_u32(&o->topic_alias_max, 64);
	set_u32(&o->queued_max, 10000);
	set_size(&o->queued_bytes_max, 64 * MEBI);
	set_u32(&o->retained_max, 100000);
	set_size(&o->retained_bytes_max, 64 * MEBI);
	set_u32(&o->subscriptions_max, 1000);
	set_size(&o->subscription_bytes_max, 64 * MEBI);
	set_u32(&o->session_expiry_max_s, WEEK_S);
	set_u32(&o->connect_ms, 10000);
	set_size(&o->unsent_bytes_max, MEBI);
}

/* ---- what waits for sockets ------------------------------------------- */

size_t
tn_mqtt_conn_unsent(struct conn *c)
{
	size_t n = tn_mqtt_conn_queued(c);
	size_t most = 2 * c->m->o.unsent_bytes_max;

	if (n <= UNSENT_SMALL && c->held.bytes == 0)
		return n;
	c->held.class = TN_BUDGET_DOORS;
	tn_budget_set(&c->held, n <= UNSENT_SMALL ? 0 : n < most ? n : most);
	return n;
}

size_t
tn_mqtt_unsent_max(const struct tn_mqtt *m)
{
	size_t most = m->o.unsent_bytes_max;
	enum tn_budget_level level = tn_budget_level();
	size_t less = level == TN_BUDGET_PRESSED ? UNSENT_SMALL : UNSENT_LEAST;

	return level == TN_BUDGET_CALM || most < less ? most : less;
}

static void
get_counters(struct tn_mqtt *m)
{
	static const char *const qos[3] = { "qos=\"0\"", "qos=\"1\"",
	    "qos=\"2\"" };

	for (int i = 0; i < 3; i++) {
		m->received[i] = tn_counter_get(TN_COUNTER,
		    "tarn_mqtt_received_total", qos[i],
		    "Messages published by clients.");
		m->sent[i] = tn_counter_get(TN_COUNTER,
		    "tarn_mqtt_sent_total", qos[i],
		    "Messages sent to subscribers.");
	}
	m->connected = tn_counter_get(TN_GAUGE, "tarn_mqtt_connections",
	    NULL, "MQTT connections now.");
	m->sessions = tn_counter_get(TN_GAUGE, "tarn_mqtt_sessions", NULL,
	    "MQTT sessions, connected or not.");
	m->subscriptions = tn_counter_get(TN_GAUGE,
	    "tarn_mqtt_subscriptions", NULL, "MQTT subscriptions.");
	m->queued = tn_counter_get(TN_GAUGE, "tarn_mqtt_queued_bytes", NULL,
	    "Messages in queues of sessions.");
	m->kept = tn_counter_get(TN_GAUGE, "tarn_mqtt_retained", NULL,
	    "Retained messages.");
	m->dropped = tn_counter_get(TN_COUNTER, "tarn_mqtt_dropped_total",
	    NULL, "Messages not delivered: over a limit, or expired.");
	m->refused = tn_counter_get(TN_COUNTER, "tarn_mqtt_refused_total",
	    NULL, "Packets and connections refused.");
	m->repeated = tn_counter_get(TN_COUNTER, "tarn_mqtt_repeated_total",
	    NULL, "Messages that came again, and are rows of streams without "
	    "primary key already.");
}

static void
set_gauges(struct tn_mqtt *m)
{
	tn_counter_set(m->subscriptions, tn_mqtt_tree_count(m->tree));
	tn_counter_set(m->queued, (int64_t)m->queued_bytes);
	tn_counter_set(m->kept, tn_mqtt_retained_count(m->retained));
}

static uint64_t
total(struct tn_counter *const counters[static 3])
{
	uint64_t n = 0;

	for (int i = 0; i < 3; i++)
		n += (uint64_t)tn_counter_read(counters[i]);
	return n;
}

static void
count_tick(struct tn_mqtt *m)
{
	uint32_t at = (uint32_t)(m->tick_count++ % (TN_MQTT_RATE_S + 1));

	m->ticks_in[at] = total(m->received);
	m->ticks_out[at] = total(m->sent);
}

/* ---- each second ----------------------------------------------------- */

static void
look_at_conn(struct conn *c, int64_t now_us)
{
	int64_t silent_us;

	/* One whose CONNECT is there, and waits, is not late. */
	if (c->step == CONN_NEW && !c->stalled && now_us - c->heard_us >
	    c->m->o.connect_ms * INT64_C(1000))
		tn_mqtt_conn_end(c, 0);
	/* It may have been heard meanwhile, and waited for its turn. */
	if (c->clogged)
		tn_mqtt_conn_go_on(c);
	silent_us = now_us - c->heard_us;
	/* One and a half times the keep-alive (MQTT-3.1.2-22). */
	if (c->step == CONN_OPEN && c->keep_alive_s > 0 &&
	    (!c->stalled || c->clogged) && silent_us > c->keep_alive_s * INT64_C(1500000))
		/* Only a server has a word for it. */
		tn_mqtt_conn_end(c, c->out != NULL ? 0 :
		    TN_MQTT_KEEP_ALIVE_TIMEOUT);
}

/* A revoked token, a new password: at once. What has expired: soon. */
static void
look_at_passes(struct tn_mqtt *m)
{
	uint64_t changes;

	if (m->o.access == NULL)
		return;
	changes = tn_governance_changes(m->o.access);
	if (changes == m->access_seen && m->tick_count % PASS_LOOK_S != 0)
		return;
	m->access_seen = changes;
	for (struct conn *c = m->conns; c != NULL; c = c->next)
		if (c->step == CONN_OPEN &&
		    !tn_governance_pass_holds(m->o.access, &c->pass))
			tn_mqtt_conn_end(c, TN_MQTT_NOT_AUTHORIZED);
}

static void
look_at_bucket(struct tn_mqtt *m, uint32_t i, int64_t wall_us,
    int64_t mono_us)
{
	for (struct session *s = m->buckets[i]; s != NULL; ) {
		struct session *next = s->next_of_bucket;
		tn_mqtt_will_tick(s, mono_us);
		if (s->conn == NULL && s->expires_us <= wall_us) {
			tn_mqtt_will_cancel(s, true);
			tn_mqtt_session_end(s);
		}
		s = next;
	}
}

static void
forget_retained(void *arg, struct message *msg)
{
	struct tn_mqtt *m = arg;
	struct message empty = *msg;

	empty.payload.n = 0;
	tn_mqtt_keep_retained(m, &empty);
}

static void
tick(void *arg)
{
	struct tn_mqtt *m = arg;
	int64_t wall_us = tn_os_wall_us(), mono_us = tn_os_mono_us();

	/* Wills and rows of views use it without a packet at hand. */
	tn_arena_reset(m->arena);
	tn_mqtt_wills_due(m);
	for (struct conn *c = m->conns; c != NULL; c = c->next)
		look_at_conn(c, mono_us);
	look_at_passes(m);
	tn_mqtt_checks_go(m);
	for (uint32_t i = 0; i < m->bucket_count; i++)
		look_at_bucket(m, i, wall_us, mono_us);
	tn_mqtt_retained_expire(m->retained, wall_us, forget_retained, m);
	tn_mqtt_bridges_tick(m, mono_us);
	tn_mqtt_publishers_tick(m->publishers);
	tn_mqtt_works_trim(m);
	set_gauges(m);
	count_tick(m);
}

void
tn_mqtt_retry_in(struct tn_mqtt *m, uint32_t ms)
{
	int64_t due_us = tn_os_mono_us() + ms * INT64_C(1000);

	/* Nobody's stall puts off that of others. */
	if (m->retry_due_us != 0 && m->retry_due_us <= due_us)
		return;
	m->retry_due_us = due_us;
	tn_net_timer_start(m->retry, ms, 0);
}

static void
retry(void *arg)
{
	struct tn_mqtt *m = arg;
	struct conn *next;
	int64_t begun_us = tn_os_mono_us();
	bool had_turn = false;

	m->retry_due_us = 0;
	/* Before what their clients say now. */
	tn_mqtt_wills_due(m);
	for (struct conn *c = m->conns; c != NULL; c = next) {
		next = c->next;
		if (c->stalled && c->retried == m->retry_round)
			had_turn = true;
		if (!c->stalled || c->retried == m->retry_round)
			continue;
		c->retried = m->retry_round;
		tn_mqtt_conn_go_on(c);
		if (tn_os_mono_us() - begun_us < RETRY_US)
			continue;
		/* The rest of this round next time. */
		tn_mqtt_retry_in(m, RETRY_AGAIN_MS);
		return;
	}
	m->retry_round++;
	if (had_turn)
		tn_mqtt_retry_in(m, RETRY_AGAIN_MS);
}

/* ---- made ------------------------------------------------------------ */

static void
accepted_plain(void *arg, struct tn_net_stream *s)
{
	struct tn_mqtt *m = arg;

	tn_mqtt_conn_new(m, s, TN_MQTT_TCP, tn_mqtt_is_loopback(m) ?
	    TN_SCOPE_ADMIN : TN_SCOPE_NONE);
}

static void
accepted_tls(void *arg, struct tn_net_stream *s)
{
	tn_mqtt_conn_new(arg, s, TN_MQTT_TLS, TN_SCOPE_NONE);
}

static bool
is_keyed(const struct tn_sql_table *t)
{
	return t->key_count > 0 && t->kind == TN_SQL_STREAM;
}

static void
make_routes(struct tn_mqtt *m)
{
	const struct tn_serving_model *model = m->o.model;
	uint32_t n = 0;

	for (uint32_t i = 0; i < model->stream_count; i++)
		n += model->streams[i].table->topic_count;
	m->routes = tn_zalloc((n + 1) * sizeof *m->routes);
	for (uint32_t i = 0; i < model->stream_count; i++) {
		const struct tn_sql_table *t = model->streams[i].table;
		for (uint32_t k = 0; k < t->topic_count; k++) {
			struct route *r = &m->routes[m->route_count++];
			r->ingest = tn_ingest_route_new(m->o.ingest, i,
			    t->topics[k]);
			r->topic = tn_ingest_route_topic(r->ingest);
			r->keyed = is_keyed(t);
		}
	}
}

static enum tn_status
open_listeners(struct tn_mqtt *m, struct tn_diag *d)
{
	struct tn_net_listener_opts o = { .address = m->o.listen,
	    .connections_max = m->o.connections_max,
	    .accepted = accepted_plain, .arg = m };
	enum tn_status st = TN_OK;

	if (m->o.listen != NULL)
		st = tn_net_listener_new(&m->plain, m->o.loop, &o, d);
	if (st != TN_OK || m->o.tls_listen == NULL)
		return st;
	o.address = m->o.tls_listen;
	o.tls = m->o.tls;
	o.accepted = accepted_tls;
	return tn_net_listener_new(&m->tls, m->o.loop, &o, d);
}

enum tn_status
tn_mqtt_new(struct tn_mqtt **out, const struct tn_mqtt_opts *o,
    struct tn_diag *d)
{
	struct tn_mqtt *m = tn_zalloc(sizeof *m);
	enum tn_status st;

	*out = NULL;
	m->o = *o;
	set_defaults(&m->o);
	m->scratch.max = SIZE_MAX;
	m->arena = tn_arena_new(16384);
	m->tree = tn_mqtt_tree_new(m->o.subscription_bytes_max);
	m->retained = tn_mqtt_retained_new(m->o.retained_max,
	    m->o.retained_bytes_max);
	m->next_session = m->next_message = m->next_take = m->next_will = 1;
	m->next_assigned = (uint64_t)tn_os_wall_us() *
	    UINT64_C(0x9e3779b97f4a7c15);
	if (m->o.new_sources)
		m->sources = tn_mqtt_sources_new();
	m->seen = tn_mqtt_seen_new();
	m->rows = tn_mqtt_rows_new();
	get_counters(m);
	count_tick(m);
	m->tick = tn_net_timer_new(o->loop, tick, m);
	m->retry_round = 1;              /* New ones were in none. */
	m->retry = tn_net_timer_new(o->loop, retry, m);
	make_routes(m);
	st = tn_mqtt_store_open(&m->store, o->loop, o->store_path, d);
	if (st == TN_OK)
		st = tn_mqtt_keep_load(m, d);
	/* A number is not given twice, also when its session has ended: notes
	 * in the log bear it (ring.c). */
	if (m->next_session < (uint64_t)tn_mqtt_now_us())
		m->next_session = (uint64_t)tn_mqtt_now_us();
	if (m->next_take < (uint64_t)tn_mqtt_now_us())
		m->next_take = (uint64_t)tn_mqtt_now_us();
	if (m->next_will < (uint64_t)tn_mqtt_now_us())
		m->next_will = (uint64_t)tn_mqtt_now_us();
	if (st == TN_OK)
		st = open_listeners(m, d);
	if (st == TN_OK)
		st = tn_mqtt_bridges_new(m, d);
	if (st != TN_OK) {
		tn_mqtt_free(m);
		return st;
	}
	m->publishers = tn_mqtt_publishers_new(m);
	tn_net_timer_start(m->tick, TICK_MS, TICK_MS);
	*out = m;
	return TN_OK;
}

/* ---- asked ----------------------------------------------------------- */

uint16_t
tn_mqtt_port(const struct tn_mqtt *m)
{
	return m->plain == NULL ? 0 : tn_net_listener_port(m->plain);
}

uint16_t
tn_mqtt_tls_port(const struct tn_mqtt *m)
{
	return m->tls == NULL ? 0 : tn_net_listener_port(m->tls);
}

bool
tn_mqtt_is_loopback(const struct tn_mqtt *m)
{
	const char *at = m->o.listen;

	return at == NULL || strncmp(at, "127.", 4) == 0 ||
	    strncmp(at, "[::1]:", 6) == 0 ||
	    strncmp(at, "localhost:", 10) == 0;
}

void
tn_mqtt_adopt(struct tn_mqtt *m, struct tn_net_stream *s,
    enum tn_governance_scope scope)
{
	tn_mqtt_conn_new(m, s, TN_MQTT_WEBSOCKET, scope);
}

static void
describe(const struct session *s, struct tn_mqtt_client *out)
{
	const struct conn *c = s->conn;

	*out = (struct tn_mqtt_client){ .client_id = s->client_id,
	    .peer = "", .user = s->user != NULL ? s->user : "",
	    .connected = c != NULL, .since_us = s->since_us,
	    .last_us = s->last_us, .in = s->messages_in,
	    .out = s->messages_out, .subscriptions = s->sub_count,
	    .queued = s->out_count, .inflight = s->inflight,
	    .takeovers = s->takeovers, .expiry_s = s->expiry_s };
	if (c == NULL)
		return;
	out->websocket = c->websocket;
	out->tls = c->tls;
	out->version = c->version;
	if (c->stream != NULL)
		out->peer = tn_net_stream_peer(c->stream);
	out->last_us = tn_mqtt_now_us() - (tn_os_mono_us() - c->heard_us);
}

void
tn_mqtt_clients(struct tn_mqtt *m, void (*each)(void *arg,
    const struct tn_mqtt_client *c), void *arg)
{
	for (uint32_t i = 0; i < m->bucket_count; i++)
		for (struct session *s = m->buckets[i]; s != NULL;
		    s = s->next_of_bucket) {
			struct tn_mqtt_client out;
			describe(s, &out);
			/* Bridges are told apart (tn_mqtt_bridges). */
			if (!tn_mqtt_bridge_name(tn_slice_of(s->client_id)))
				each(arg, &out);
		}
}

/* Between the newest tick and the oldest that is kept. */
static double
rate_of(const struct tn_mqtt *m, const uint64_t *ticks)
{
	uint64_t n = m->tick_count, of = TN_MQTT_RATE_S + 1;
	uint64_t seconds = n < of ? n : of;

	if (seconds < 2)
		return 0;
	seconds--;
	return (double)(ticks[(n - 1) % of] - ticks[(n - 1 - seconds) % of]) /
	    (double)seconds;
}

void
tn_mqtt_facts(const struct tn_mqtt *m, struct tn_mqtt_facts *out)
{
	*out = (struct tn_mqtt_facts){ .connections = m->conn_count,
	    .sessions = m->session_count,
	    .subscriptions = tn_mqtt_tree_count(m->tree),
	    .retained = tn_mqtt_retained_count(m->retained),
	    .retained_bytes = tn_mqtt_retained_bytes(m->retained),
	    .queued_bytes = m->queued_bytes, .received = total(m->received),
	    .sent = total(m->sent),
	    .dropped = (uint64_t)tn_counter_read(m->dropped),
	    .refused = (uint64_t)tn_counter_read(m->refused),
	    .received_rate = rate_of(m, m->ticks_in),
	    .sent_rate = rate_of(m, m->ticks_out),
	    .new_sources = m->sources != NULL };
}

/* ---- the end --------------------------------------------------------- */

/* One with a delay whose session lasts waits in the store: its client may be
 * back in time (MQTT-3.1.3-9). */
static void
publish_will(struct session *s)
{
	const struct conn *c = s->conn;

	if (s->will == NULL)
		return;
	/* Its CONNECT is not answered: it has none yet. */
	if (c != NULL && (c->step == CONN_CHECKING || c->no_will))
		tn_mqtt_will_drop(s);
	else if (s->will->delay_s == 0 || !s->kept || s->will->number == 0)
		tn_mqtt_will_cancel(s, true);
}

/* While their readers are still connected. */
static void
publish_wills(struct tn_mqtt *m)
{
	for (uint32_t i = 0; i < m->bucket_count; i++)
		for (struct session *s = m->buckets[i]; s != NULL;
		    s = s->next_of_bucket) {
			tn_arena_reset(m->arena);
			publish_will(s);
		}
	tn_mqtt_wills_end(m);
}

void
tn_mqtt_drain(struct tn_mqtt *m)
{
	m->draining = true;
	tn_mqtt_bridges_drain(m);
	tn_net_listener_free(m->plain);
	tn_net_listener_free(m->tls);
	m->plain = m->tls = NULL;
	publish_wills(m);
	for (struct conn *c = m->conns; c != NULL; c = c->next) {
		c->no_will = true;
		tn_mqtt_conn_end(c, TN_MQTT_SHUTTING_DOWN);
	}
	tn_mqtt_checks_go(m);
}

bool
tn_mqtt_idle(const struct tn_mqtt *m)
{
	/* Room for the store may never come. */
	return m->conns == NULL && (tn_mqtt_store_waits(m->store) ||
	    (m->work == 0 && tn_mqtt_store_idle(m->store)));
}

static void
free_sessions(struct tn_mqtt *m)
{
	for (uint32_t i = 0; i < m->bucket_count; i++)
		while (m->buckets[i] != NULL)
			tn_mqtt_session_free(m->buckets[i]);
	tn_free(m->buckets);
}

void
tn_mqtt_free(struct tn_mqtt *m)
{
	if (m == NULL)
		return;
	m->draining = true;
	tn_mqtt_checks_go(m);
	tn_net_listener_free(m->plain);
	tn_net_listener_free(m->tls);
	tn_net_timer_free(m->tick);
	tn_net_timer_free(m->retry);
	tn_mqtt_publishers_end(m->publishers);
	/* Nothing is listed or told any more; then sessions write their end,
	 * which is the store's last. */
	for (uint32_t i = 0; i < m->route_count; i++)
		tn_ingest_route_free(m->routes[i].ingest);
	m->route_count = 0;
	tn_mqtt_conns_free(m);
	tn_mqtt_bridges_end(m);
	tn_mqtt_store_close(m->store);
	tn_mqtt_publishers_free(m->publishers);
	m->publishers = NULL;
	tn_mqtt_rows_free(m->rows);
	tn_mqtt_wills_free(m);
	free_sessions(m);
	tn_mqtt_works_trim(m);
	tn_mqtt_works_trim(m);
	tn_mqtt_retained_free(m->retained);
	tn_mqtt_tree_free(m->tree);
	tn_mqtt_sources_free(m->sources);
	tn_mqtt_seen_free(m->seen);
	tn_arena_free(m->arena);
	tn_buf_fini(&m->scratch);
	tn_free(m->routes);
	tn_free(m);
}

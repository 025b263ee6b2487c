/* A whole broker on a real loop, log and store, with clients in C on the same
 * loop that speak through the codec. Whoever includes it wraps (first line of
 * the test):
 *   tn_net_timer_start
 * so that a second of the broker's is a few milliseconds; what it sees as time
 * is the test's. */
#ifndef TN_BROKER_HELP_H
#define TN_BROKER_HELP_H

#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "loop_help.h"
#include "os/os.h"

#ifndef BROKER_MORE_SQL
#define BROKER_MORE_SQL ""
#endif
static const char broker_sql[] =
    "CREATE TABLE plain (k text NOT NULL, n int8) "
    "WITH (mqtt = 'plain/{k} -> n');"
    "CREATE TABLE keyed (id text PRIMARY KEY, n int8) "
    "WITH (mqtt = 'keyed/{id} -> n');"
    BROKER_MORE_SQL;

static struct {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_ingest *ingest;
	struct tn_mqtt *m;
	struct tn_mqtt_opts o;
	int rows, quarantined;       /* Atomic: committed. */
	uint64_t seed;
	int64_t mono_us, wall_us;    /* The test's clock. */
} b;

static inline uint32_t
rnd(uint32_t n)
{
	b.seed = b.seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(b.seed >> 33) % n;
}

/* ---- time ------------------------------------------------------------ */

static int64_t
clock_mono_us(void)
{
	return __atomic_load_n(&b.mono_us, __ATOMIC_SEQ_CST);
}

static int64_t
clock_wall_us(void)
{
	return __atomic_load_n(&b.wall_us, __ATOMIC_SEQ_CST);
}

static inline void
clock_add_s(int64_t s)
{
	__atomic_add_fetch(&b.mono_us, s * 1000000, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&b.wall_us, s * 1000000, __ATOMIC_SEQ_CST);
}

void __wrap_tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms);
void
__wrap_tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms)
{
	__real_tn_net_timer_start(t, first_ms == 1000 ? 2 : first_ms,
	    repeat_ms == 1000 ? 2 : repeat_ms);
}

static inline bool
is_idle(void)
{
	return tn_mqtt_idle(b.m);
}

/* No publish on its way, nothing to be written. */
static inline bool
is_quiet(void)
{
	return b.m->work == 0 && tn_mqtt_store_idle(b.m->store);
}

/* The store has no room. */
static inline bool
waits(void)
{
	return tn_mqtt_store_waits(b.m->store);
}

/* ---- the broker ------------------------------------------------------ */

/* Rows of streams so far. */
static inline int
committed(void)
{
	return __atomic_load_n(&b.rows, __ATOMIC_SEQ_CST);
}

static inline void
rows_committed(void *arg, struct tn_governance_rows *rows)
{
	uint32_t bad = 0;

	(void)arg;
	for (uint32_t i = 0; i < rows->batch->rows; i++)
		bad += rows->marks[i] != TN_MARK_ACCEPTED;
	__atomic_add_fetch(&b.rows, (int)(rows->batch->rows - bad),
	    __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&b.quarantined, (int)bad, __ATOMIC_SEQ_CST);
}

static inline size_t
no_backlog(void *arg)
{
	(void)arg;
	return 0;
}

static inline void
must(enum tn_status st, const struct tn_diag *d)
{
	if (st != TN_OK)
		print_message("%s: %s\n", tn_status_text(st), d->message);
	assert_int_equal(st, TN_OK);
}

static inline void
broker_start(void)
{
	static const struct tn_sql_source source = { "test.sql",
		{ (const uint8_t *)broker_sql, sizeof broker_sql - 1 } };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char path[120];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20 };
	struct tn_ingest_opts io = { .decoders = 1, .backlog = no_backlog,
		.committed = rows_committed };

	must(tn_sql_load(&p, &source, 1, &d), &d);
	(void)snprintf(path, sizeof path, "%s/catalog.db", b.dir);
	must(tn_catalog_open(&b.catalog, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/lake", b.dir);
	must(tn_lake_open(&b.lake, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/log", b.dir);
	must(tn_log_open(&b.log, &lo, &d), &d);
	must(tn_serving_model_new(&b.model, p, b.catalog, &d), &d);
	b.loop = loop_open();
	io.loop = b.loop;
	io.model = b.model;
	io.catalog = b.catalog;
	io.lake = b.lake;
	io.log = b.log;
	b.ingest = tn_ingest_new(&io);
	(void)snprintf(path, sizeof path, "%s/mqtt.mdb", b.dir);
	b.o.loop = b.loop;
	b.o.model = b.model;
	b.o.ingest = b.ingest;
	b.o.store_path = path;
	b.o.listen = "127.0.0.1:0";
	b.o.new_sources = true;
	must(tn_mqtt_new(&b.m, &b.o, &d), &d);
}

static inline void
broker_stop(void)
{
	tn_ingest_messages_send(b.ingest);     /* As the program does. */
	tn_ingest_flush(b.ingest);
	tn_ingest_stop(b.ingest);
	tn_net_loop_settle(b.loop);
	tn_mqtt_free(b.m);
	tn_ingest_free(b.ingest);
	loop_close();
	tn_serving_model_free(b.model);
	tn_log_close(b.log);
	tn_lake_close(b.lake);
	tn_catalog_close(b.catalog);
}

static inline int
broker_make(void **state)
{
	static struct tn_os_table os;
	const char *s = getenv("TARN_SEED");

	(void)state;
	memset(&b, 0, sizeof b);
	b.seed = s != NULL ? strtoull(s, NULL, 10) : 1;
	print_message("seed %llu\n", (unsigned long long)b.seed);
	b.wall_us = INT64_C(1800000000000000);
	b.mono_us = 1000000;
	os = tn_os_real;
	os.mono_us = clock_mono_us;
	os.wall_us = clock_wall_us;
	tn_os_use(&os);
	strcpy(b.dir, "/tmp/tarn-broker-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	broker_start();
	return 0;
}

static inline int
broker_drop(void **state)
{
	char command[120];

	(void)state;
	broker_stop();
	tn_os_use(NULL);
	(void)snprintf(command, sizeof command, "rm -rf %s", b.dir);
	return system(command);
}

/* ---- a client -------------------------------------------------------- */

#define HEARD_MAX 16384

struct client {
	struct tn_net_stream *s;     /* NULL: not connected. */
	uint8_t version;
	struct tn_buf in;
	struct tn_arena *arena;
	struct tn_codec_mqtt_packet heard[HEARD_MAX];
	uint32_t count, read;        /* read: what the test has looked at. */
	bool closed;
	bool mute;                   /* Answers nothing. */
};

static inline void
client_send(struct client *c, const struct tn_codec_mqtt_packet *p)
{
	struct tn_buf out = { 0 };
	struct tn_codec_mqtt_packet x = *p;

	x.version = c->version;
	assert_int_equal(tn_codec_mqtt_encode(&out, &x), TN_OK);
	if (c->s != NULL)
		tn_net_stream_write(c->s, (struct tn_slice){ out.p, out.n });
	tn_buf_fini(&out);
}

static inline void
client_ack(struct client *c, uint8_t type, uint16_t id)
{
	struct tn_codec_mqtt_packet p = { .type = type, .id = id };

	client_send(c, &p);
}

static inline void
client_hear(struct client *c, const struct tn_codec_mqtt_packet *p)
{
	assert_true(c->count < HEARD_MAX);
	c->heard[c->count++] = *p;
	if (c->mute)
		return;
	if (p->type == TN_MQTT_PUBLISH && p->qos > 0)
		client_ack(c, p->qos == 1 ? TN_MQTT_PUBACK : TN_MQTT_PUBREC,
		    p->id);
	else if (p->type == TN_MQTT_PUBREC && p->reason < 0x80)
		client_ack(c, TN_MQTT_PUBREL, p->id);
	else if (p->type == TN_MQTT_PUBREL)
		client_ack(c, TN_MQTT_PUBCOMP, p->id);
}

static inline void
client_bytes(void *arg, struct tn_slice in)
{
	struct client *c = arg;
	struct tn_codec_mqtt_packet p;
	uint8_t reason, *copy;
	size_t bytes;

	tn_buf_add(&c->in, in.p, in.n);
	for (;;) {
		enum tn_status st = tn_codec_mqtt_frame((struct tn_slice){
		    c->in.p, c->in.n }, 1 << 28, &bytes, &reason);
		if (st == TN_END || bytes > c->in.n)
			return;
		assert_int_equal(st, TN_OK);
		copy = tn_arena_alloc(c->arena, bytes);
		memcpy(copy, c->in.p, bytes);
		memmove(c->in.p, c->in.p + bytes, c->in.n - bytes);
		c->in.n -= bytes;
		/* All that the broker says is legal. */
		assert_int_equal(tn_codec_mqtt_decode((struct tn_slice){ copy,
		    bytes }, c->version, c->arena, &p, &reason), TN_OK);
		client_hear(c, &p);
	}
}

static inline void
client_closed(void *arg, enum tn_status why)
{
	struct client *c = arg;

	(void)why;
	c->s = NULL;
	c->closed = true;
}

static const struct tn_net_stream_calls client_calls = {
	.bytes = client_bytes, .closed = client_closed };

static inline void
close_fd(void *arg)
{
	(void)close((int)(intptr_t)arg);
}

static inline struct tn_net_stream *
stream_of(int fd)
{
	return tn_net_stream_of_fd(b.loop, fd, "peer", (struct tn_slice){
	    NULL, 0 }, close_fd, (void *)(intptr_t)fd);
}

/* One end of a pair of sockets is the broker's. */
static inline void
client_open_as(struct client *c, uint8_t version,
    enum tn_governance_scope scope)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fd), 0);
	if (c->arena == NULL)
		c->arena = tn_arena_new(65536);
	tn_buf_clear(&c->in);
	c->version = version;
	c->closed = false;
	c->count = c->read = 0;
	c->s = stream_of(fd[0]);
	assert_non_null(c->s);
	tn_net_stream_start(c->s, &client_calls, c);
	tn_mqtt_conn_new(b.m, stream_of(fd[1]), TN_MQTT_TCP, scope);
}

static inline void
client_open(struct client *c, uint8_t version)
{
	client_open_as(c, version, TN_SCOPE_ADMIN);
}

static struct client *waiting;
static uint32_t wanted;

static inline bool
has_heard(void)
{
	return waiting->count >= wanted || waiting->closed;
}

/* The next packet the broker says; NULL: it has hung up. */
static inline const struct tn_codec_mqtt_packet *
client_next(struct client *c)
{
	waiting = c;
	wanted = c->read + 1;
	run_until(has_heard);
	return c->count >= wanted ? &c->heard[c->read++] : NULL;
}

static inline const struct tn_codec_mqtt_packet *
client_next_of(struct client *c, uint8_t type)
{
	const struct tn_codec_mqtt_packet *p = client_next(c);

	while (p != NULL && p->type != type)
		p = client_next(c);
	return p;
}

/* Connected; whether the session was there. */
static inline bool
client_connect(struct client *c, const char *id, bool clean,
    uint32_t expiry_s)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };
	const struct tn_codec_mqtt_packet *ack;

	p.connect.client_id = tn_slice_of(id);
	p.connect.clean_start = clean;
	if (c->version == TN_MQTT_V5 && expiry_s > 0)
		p.props.present = UINT64_C(1) << TN_MQTT_P_SESSION_EXPIRY;
	p.props.session_expiry_s = expiry_s;
	client_send(c, &p);
	ack = client_next(c);
	assert_non_null(ack);
	assert_int_equal(ack->type, TN_MQTT_CONNACK);
	assert_int_equal(ack->reason, 0);
	return ack->session_present;
}

/* With a keep-alive. */
static inline void
client_connect_alive(struct client *c, const char *id, uint16_t s)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };

	p.connect.client_id = tn_slice_of(id);
	p.connect.clean_start = true;
	p.connect.keep_alive_s = s;
	client_send(c, &p);
	assert_int_equal(client_next(c)->type, TN_MQTT_CONNACK);
}

struct wanted_will {
	const char *id, *topic;
	struct tn_slice payload;
	uint32_t expiry_s, delay_s;
	struct tn_codec_mqtt_user *users;
	uint32_t user_count;
};

/* A CONNECT with a will; not its answer. */
static inline void
client_send_will(struct client *c, const struct wanted_will *w)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };
	struct tn_codec_mqtt_props *x = &p.connect.will_props;

	p.connect.client_id = tn_slice_of(w->id);
	p.connect.clean_start = true;
	p.connect.has_will = true;
	p.connect.will_qos = 1;
	p.connect.will_topic = tn_slice_of(w->topic);
	p.connect.will_payload = w->payload;
	x->will_delay_s = w->delay_s;
	x->users = w->users;
	x->user_count = w->user_count;
	if (w->delay_s > 0)
		x->present |= UINT64_C(1) << TN_MQTT_P_WILL_DELAY;
	if (w->user_count > 0)
		x->present |= UINT64_C(1) << TN_MQTT_P_USER;
	if (w->expiry_s > 0)
		p.props.present = UINT64_C(1) << TN_MQTT_P_SESSION_EXPIRY;
	p.props.session_expiry_s = w->expiry_s;
	client_send(c, &p);
}

/* The same, with its answer. */
static inline void
client_connect_will(struct client *c, const struct wanted_will *w)
{
	client_send_will(c, w);
	assert_int_equal(client_next(c)->type, TN_MQTT_CONNACK);
}

static inline void
client_subscribe(struct client *c, const char *filter, uint8_t qos)
{
	struct tn_codec_mqtt_filter f = { .filter = tn_slice_of(filter),
	    .qos = qos };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_SUBSCRIBE,
	    .id = 77, .filters = &f, .filter_count = 1 };
	const struct tn_codec_mqtt_packet *ack;

	client_send(c, &p);
	ack = client_next_of(c, TN_MQTT_SUBACK);
	assert_non_null(ack);
	assert_int_equal(ack->reasons.p[0], qos);
}

static inline void
client_publish(struct client *c, const char *topic, const char *payload,
    uint8_t qos, uint16_t id)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .qos = qos, .id = qos > 0 ? id : 0, .topic = tn_slice_of(topic),
	    .payload = tn_slice_of(payload) };

	client_send(c, &p);
}

/* The one that is waited for. */
static inline bool
has_pubcomp(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < waiting->count; i++)
		n += waiting->heard[i].type == TN_MQTT_PUBCOMP;
	return n > 0;
}

static inline bool
has_closed(void)
{
	return waiting->closed;
}

/* Gone without a word. */
static inline void
client_cut(struct client *c)
{
	if (c->s == NULL)
		return;
	tn_net_stream_close(c->s, 0);
	waiting = c;
	run_until(has_closed);
}

static inline void
client_free(struct client *c)
{
	client_cut(c);
	tn_buf_fini(&c->in);
	if (c->arena != NULL)
		tn_arena_free(c->arena);
	tn_free(c);
}

static inline struct client *
client_new(uint8_t version)
{
	struct client *c = tn_zalloc(sizeof *c);

	client_open(c, version);
	return c;
}

#endif

/* wrap: tn_net_timer_start tn_net_stream_heard tn_net_stream_reached tn_log_append tn_log_table_commit tn_try_alloc */
/* The broker as a client meets it: packets cut anywhere, the order of acks,
 * limits, wills, sessions over restarts, clients that go in the midst of
 * something, and bytes that are no MQTT. */
#include "broker_help.h"

/* ---- commits that the test holds or fails ---------------------------- */

static struct {
	int log_held, store_held;    /* Atomic: wait while 1. */
	int log_fails;               /* Atomic: so many. */
	int store_commits;           /* Atomic. */
	int store_hold_at;           /* Atomic: this commit holds itself. */
	uint32_t alloc_in;           /* The Nth on the loop fails; 0: none. */
} disk;

#define ACK 4                    /* Its bytes. */

/* So many of the last bytes have not come to the client's system. */
static uint64_t lost;

#define SEEN(name) \
	uint64_t __real_##name(const struct tn_net_stream *s); \
	uint64_t __wrap_##name(const struct tn_net_stream *s); \
	uint64_t __wrap_##name(const struct tn_net_stream *s) \
	{ \
		const uint64_t end = tn_net_stream_end(s); \
		return lost == 0 ? __real_##name(s) : \
		    lost < end ? end - lost : 0; \
	}
SEEN(tn_net_stream_heard)
SEEN(tn_net_stream_reached)

static void
wait_while(const int *held)
{
	while (__atomic_load_n(held, __ATOMIC_SEQ_CST) != 0)
		(void)usleep(100);
}

enum tn_status __real_tn_log_append(struct tn_log *log,
    struct tn_log_block *blocks, uint32_t n, const struct tn_log_note *notes,
    uint32_t note_count);
enum tn_status __wrap_tn_log_append(struct tn_log *log,
    struct tn_log_block *blocks, uint32_t n, const struct tn_log_note *notes,
    uint32_t note_count);
enum tn_status
__wrap_tn_log_append(struct tn_log *log, struct tn_log_block *blocks,
    uint32_t n, const struct tn_log_note *notes, uint32_t note_count)
{
	wait_while(&disk.log_held);
	if (__atomic_load_n(&disk.log_fails, __ATOMIC_SEQ_CST) > 0) {
		__atomic_sub_fetch(&disk.log_fails, 1, __ATOMIC_SEQ_CST);
		return TN_ENOSPC;
	}
	return __real_tn_log_append(log, blocks, n, notes, note_count);
}

enum tn_status __real_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status __wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status
__wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count)
{
	if (__atomic_add_fetch(&disk.store_commits, 1, __ATOMIC_SEQ_CST) ==
	    __atomic_load_n(&disk.store_hold_at, __ATOMIC_SEQ_CST))
		__atomic_store_n(&disk.store_held, 1, __ATOMIC_SEQ_CST);
	wait_while(&disk.store_held);
	return __real_tn_log_table_commit(t, c, count);
}

void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	if (tn_net_on_loop() && disk.alloc_in > 0 && --disk.alloc_in == 0)
		return NULL;
	return __real_tn_try_alloc(n);
}

static void
hold(int *what, int on)
{
	__atomic_store_n(what, on, __ATOMIC_SEQ_CST);
}

/* ---- pieces ---------------------------------------------------------- */

static void
put_packet(struct tn_buf *out, const struct tn_codec_mqtt_packet *p)
{
	struct tn_codec_mqtt_packet x = *p;

	x.version = TN_MQTT_V5;
	assert_int_equal(tn_codec_mqtt_encode(out, &x), TN_OK);
}

/* A visit: CONNECT, SUBSCRIBE, three PUBLISH, PINGREQ. */
static void
put_visit(struct tn_buf *out)
{
	struct tn_codec_mqtt_filter f = { .filter = tn_slice_of("t/#"),
	    .qos = 0 };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };

	p.connect.client_id = tn_slice_of("cut");
	p.connect.clean_start = true;
	put_packet(out, &p);
	p = (struct tn_codec_mqtt_packet){ .type = TN_MQTT_SUBSCRIBE,
	    .id = 1, .filters = &f, .filter_count = 1 };
	put_packet(out, &p);
	for (uint16_t i = 0; i < 3; i++) {
		p = (struct tn_codec_mqtt_packet){ .type = TN_MQTT_PUBLISH,
		    .qos = (uint8_t)i, .id = (uint16_t)(i > 0 ? i + 1 : 0),
		    .topic = tn_slice_of("t/x"),
		    .payload = tn_slice_of("payload") };
		put_packet(out, &p);
	}
	p = (struct tn_codec_mqtt_packet){ .type = TN_MQTT_PINGREQ };
	put_packet(out, &p);
}

static void
check_visit(struct client *c)
{
	uint32_t publishes = 0, acks = 0;
	const struct tn_codec_mqtt_packet *p;

	assert_non_null(client_next_of(c, TN_MQTT_CONNACK));
	assert_non_null(client_next_of(c, TN_MQTT_SUBACK));
	for (;;) {
		p = client_next(c);
		assert_non_null(p);
		publishes += p->type == TN_MQTT_PUBLISH;
		acks += p->type == TN_MQTT_PUBACK ||
		    p->type == TN_MQTT_PUBREC;
		if (p->type == TN_MQTT_PINGRESP)
			break;
	}
	assert_int_equal(publishes, 3);
	assert_int_equal(acks, 2);
}

/* Goal: where the bytes of packets are cut makes no difference. */
static void
cut_anywhere(void **state)
{
	struct tn_buf bytes = { 0 };

	(void)state;
	put_visit(&bytes);
	for (size_t cut = 0; cut <= bytes.n; cut++) {
		struct client *c = client_new(TN_MQTT_V5);
		struct conn *at = b.m->conns;
		size_t piece = cut == bytes.n ? 1 : bytes.n;
		tn_mqtt_conn_bytes(at, (struct tn_slice){ bytes.p, cut });
		for (size_t i = cut; i < bytes.n; i += piece)
			tn_mqtt_conn_bytes(at, (struct tn_slice){
			    bytes.p + i, bytes.n - i < piece ? bytes.n - i :
			    piece });
		/* One byte at a time, the last time. */
		if (cut == bytes.n) {
			client_cut(c);
			client_open(c, TN_MQTT_V5);
			at = b.m->conns;
			for (size_t i = 0; i < bytes.n; i++)
				tn_mqtt_conn_bytes(at, (struct tn_slice){
				    bytes.p + i, 1 });
		}
		check_visit(c);
		client_free(c);
	}
	run_until(is_idle);
	tn_buf_fini(&bytes);
}

/* ---- WebSocket ------------------------------------------------------- */

static void
put_frame(struct tn_buf *out, uint8_t op, bool last, struct tn_slice body)
{
	static const uint8_t mask[4] = { 0x11, 0xa2, 0x33, 0xc4 };
	size_t at;

	tn_buf_char(out, (char)((last ? 0x80 : 0) | op));
	if (body.n < 126) {
		tn_buf_char(out, (char)(0x80 | body.n));
	} else {
		tn_buf_char(out, (char)(0x80 | 126));
		tn_buf_char(out, (char)(body.n >> 8));
		tn_buf_char(out, (char)body.n);
	}
	tn_buf_add(out, mask, 4);
	at = out->n;
	tn_buf_add(out, body.p, body.n);
	tn_codec_ws_unmask(out->p + at, body.n, mask, 0);
}

/* A client whose stream is watched as bytes: frames come back. */
static struct {
	struct tn_net_stream *s;
	struct tn_buf got;
	bool closed;
} raw;

static void
raw_bytes(void *arg, struct tn_slice in)
{
	(void)arg;
	tn_buf_add(&raw.got, in.p, in.n);
}

static void
raw_closed(void *arg, enum tn_status why)
{
	(void)arg;
	(void)why;
	raw.s = NULL;
	raw.closed = true;
}

static const struct tn_net_stream_calls raw_calls = { .bytes = raw_bytes,
	.closed = raw_closed };

static struct conn *
raw_open(enum way way)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fd), 0);
	tn_buf_clear(&raw.got);
	raw.closed = false;
	raw.s = stream_of(fd[0]);
	tn_net_stream_start(raw.s, &raw_calls, NULL);
	tn_mqtt_conn_new(b.m, stream_of(fd[1]), way, TN_SCOPE_ADMIN);
	return b.m->conns;
}

static bool
raw_is_closed(void)
{
	return raw.closed;
}

static void
raw_cut(void)
{
	if (raw.s != NULL)
		tn_net_stream_close(raw.s, 0);
	run_until(raw_is_closed);
	tn_buf_fini(&raw.got);
}

/* The packets in the server's frames, into ${out}; other frames' opcodes are
 * noted. */
static void
unwrap(struct tn_buf *out, char *ops, size_t ops_max)
{
	size_t at = 0, n = 0;

	while (at + 2 <= raw.got.n) {
		const uint8_t *p = raw.got.p + at;
		size_t head = p[1] < 126 ? 2 : 4;
		size_t bytes = p[1] < 126 ? p[1] : (size_t)p[2] << 8 | p[3];
		if (at + head + bytes > raw.got.n)
			break;
		assert_true(n + 1 < ops_max);
		ops[n++] = "01234567cpo"[p[0] & 15];
		if ((p[0] & 15) == TN_WS_BINARY)
			tn_buf_add(out, p + head, bytes);
		at += head + bytes;
	}
	ops[n] = '\0';
}

static bool
raw_has_pong(void)
{
	for (size_t i = 0; i + 4 <= raw.got.n; i++)
		if (memcmp(raw.got.p + i, "\x8a\x02hi", 4) == 0)
			return true;
	return false;
}

static bool
raw_has_enough(void)
{
	struct tn_buf out = { 0 };
	char ops[200];
	bool enough;

	unwrap(&out, ops, sizeof ops);
	/* PINGRESP is the last thing of a visit. */
	enough = out.n >= 2 && memcmp(out.p + out.n - 2, "\xd0\0", 2) == 0 &&
	    raw_has_pong();
	tn_buf_fini(&out);
	return enough;
}

/* Goal: frames may be cut anywhere and may cut packets anywhere; a ping is
 * answered in their midst. */
static void
frames_cut_anywhere(void **state)
{
	struct tn_buf bytes = { 0 }, wire = { 0 };

	(void)state;
	put_visit(&bytes);
	for (size_t i = 0; i < bytes.n; ) {
		size_t n = 1 + i % 23;
		n = n < bytes.n - i ? n : bytes.n - i;
		/* Every other message in two frames, a ping between. */
		put_frame(&wire, TN_WS_BINARY, i % 2 == 0, (struct tn_slice){
		    bytes.p + i, n });
		if (i % 2 != 0) {
			put_frame(&wire, TN_WS_PING, true, tn_slice_of("hi"));
			put_frame(&wire, TN_WS_MORE, true, (struct tn_slice){
			    NULL, 0 });
		}
		i += n;
	}
	put_frame(&wire, TN_WS_PING, true, tn_slice_of("hi"));
	for (size_t cut = 0; cut <= wire.n; cut++) {
		struct conn *c = raw_open(TN_MQTT_WEBSOCKET);
		size_t piece = cut == wire.n ? 1 : wire.n;
		if (cut < wire.n)
			tn_mqtt_ws_bytes(c, (struct tn_slice){ wire.p, cut });
		for (size_t i = cut == wire.n ? 0 : cut; i < wire.n;
		    i += piece)
			tn_mqtt_ws_bytes(c, (struct tn_slice){ wire.p + i,
			    wire.n - i < piece ? wire.n - i : piece });
		run_until(raw_has_enough);
		raw_cut();
	}
	run_until(is_idle);
	tn_buf_fini(&bytes);
	tn_buf_fini(&wire);
}

/* Goal: frames that may not come close the connection with the right code. */
static void
bad_frames_close(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		uint8_t code[2];
	} bad[] = {
		{ "\x82\x01x", 3, { 0x03, 0xea } },          /* Not masked. */
		{ "\x81\x81mask!", 7, { 0x03, 0xeb } },      /* Text. */
		{ "\x80\x81mask!", 7, { 0x03, 0xea } },      /* No first. */
		{ "\x02\x80mask\x82\x80mask", 12, { 0x03, 0xea } },
		{ "\x09\x80mask", 6, { 0x03, 0xea } },       /* Ping in parts. */
		{ "\xc2\x80mask", 6, { 0x03, 0xea } },       /* Reserved. */
		{ "\x88\x80mask", 6, { 0x03, 0xe8 } },       /* Close. */
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		struct conn *c = raw_open(TN_MQTT_WEBSOCKET);
		tn_mqtt_ws_bytes(c, (struct tn_slice){
		    (const uint8_t *)bad[i].bytes, bad[i].n });
		run_until(raw_is_closed);
		assert_true(raw.got.n >= 4);
		assert_int_equal(raw.got.p[0], 0x88);
		assert_memory_equal(raw.got.p + 2, bad[i].code, 2);
		tn_buf_fini(&raw.got);
	}
}

/* Goal: a client that pings and never reads does not fill memory. */
static void
pings_are_bounded(void **state)
{
	static char body[125];
	struct tn_buf ping = { 0 };
	struct conn *c = raw_open(TN_MQTT_WEBSOCKET);

	(void)state;
	put_frame(&ping, TN_WS_PING, true, (struct tn_slice){
	    (uint8_t *)body, sizeof body });
	for (uint32_t i = 0; i < 50000; i++)
		tn_mqtt_ws_bytes(c, (struct tn_slice){ ping.p, ping.n });
	assert_true(tn_mqtt_conn_queued(c) <= b.m->o.unsent_bytes_max + 200);
	tn_buf_fini(&ping);
	raw_cut();
	run_until(is_idle);
}

/* ---- acks ------------------------------------------------------------ */

/* Goal: acks leave in the order of what they answer, also when the first has
 * to wait for the log and the next for nothing. */
static void
acks_are_in_order(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	client_connect(c, "a", true, 0);
	for (uint16_t i = 1; i <= 300; i++)
		client_publish(c, i % 3 == 0 ? "plain/k" : i % 3 == 1 ?
		    "nobody/here" : "keyed/k", "5", 1, i);
	for (uint16_t i = 1; i <= 300; i++) {
		p = client_next(c);
		assert_non_null(p);
		assert_int_equal(p->type, TN_MQTT_PUBACK);
		assert_int_equal(p->id, i);
		assert_int_equal(p->reason, i % 3 == 1 ?
		    TN_MQTT_NO_MATCHING_SUBSCRIBERS : 0);
	}
	/* One of the keyed was new. */
	assert_int_equal(committed(), 101);
	client_free(c);
}

/* Goal: a bad payload is acknowledged with the reason, and quarantined. */
static void
quarantined_is_told(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	client_connect(c, "q", true, 0);
	client_publish(c, "plain/k", "no number", 1, 1);
	p = client_next_of(c, TN_MQTT_PUBACK);
	assert_int_equal(p->reason, 0);
	assert_true((p->props.present >> TN_MQTT_P_REASON_STRING & 1) != 0);
	assert_memory_equal(p->props.reason_string.p, "quarantined: ", 13);
	assert_int_equal(committed(), 0);
	client_free(c);
}

/* Goal: who sends more than it was allowed is told and goes; 3.1.1, which
 * cannot be told a limit, is not read instead. */
static void
receive_maximum(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	b.m->o.inflight_max = 5;
	client_connect(c, "r", true, 0);
	/* QoS 2 that is never released uses it up. */
	c->mute = true;
	for (uint16_t i = 1; i <= 6; i++)
		client_publish(c, "t", "x", 2, i);
	p = client_next_of(c, TN_MQTT_DISCONNECT);
	assert_non_null(p);
	assert_int_equal(p->reason, TN_MQTT_RECEIVE_MAX_EXCEEDED);
	client_free(c);
	c = client_new(TN_MQTT_V311);
	client_connect(c, "r4", true, 0);
	for (uint16_t i = 1; i <= 200; i++)
		client_publish(c, "plain/k", "1", 1, i);
	for (uint16_t i = 1; i <= 200; i++) {
		p = client_next_of(c, TN_MQTT_PUBACK);
		assert_non_null(p);
		assert_int_equal(p->id, i);
	}
	client_free(c);
}

/* A kept session opens identifiers of QoS 2 until it is cut off: how many are
 * open then. */
static uint32_t
open_all(uint8_t version, const char *id, uint16_t first)
{
	struct client *c = client_new(version);
	uint32_t n = 0;

	client_connect(c, id, false, 1000);
	c->mute = true;
	for (uint16_t i = first; c->s != NULL && i < first + 500; i++) {
		client_publish(c, "t", "x", 2, i);
		n += client_next_of(c, TN_MQTT_PUBREC) != NULL;
	}
	client_free(c);
	run_until(is_quiet);
	return n;
}

/* Goal: identifiers that are never released are bounded over all connections
 * of a session (5.0), and over all sessions (3.1.1, which may have more than
 * inflight_max); one that is known may come again, and release makes room. */
static void
never_released(void **state)
{
	struct client *c;
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	b.m->o.inflight_max = 5;
	assert_int_equal(open_all(TN_MQTT_V5, "five", 1), 5);
	assert_int_equal(open_all(TN_MQTT_V5, "five", 100), 0);
	assert_int_equal(open_all(TN_MQTT_V311, "a", 1), 64 * 5 - 5);
	assert_int_equal(open_all(TN_MQTT_V311, "b", 1), 5);
	assert_int_equal(b.m->received_open, 65 * 5);
	c = client_new(TN_MQTT_V311);
	assert_true(client_connect(c, "b", false, 1000));
	c->mute = true;
	client_publish(c, "t", "x", 2, 5);
	p = client_next_of(c, TN_MQTT_PUBREC);
	assert_non_null(p);
	assert_int_equal(p->id, 5);
	client_ack(c, TN_MQTT_PUBREL, 1);
	assert_non_null(client_next_of(c, TN_MQTT_PUBCOMP));
	client_publish(c, "t", "x", 2, 9);
	assert_non_null(client_next_of(c, TN_MQTT_PUBREC));
	client_free(c);
}

/* ---- sessions -------------------------------------------------------- */

static struct client *pair[2];

static bool
pair_has_heard(void)
{
	return pair[0]->closed;
}

/* Goal: a second connection under the name sends the first away, gets its
 * session, and what was not acknowledged comes again. */
static void
taken_over(void **state)
{
	struct client *a = client_new(TN_MQTT_V5), *c, *from;
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	client_connect(a, "x", true, 100);
	client_subscribe(a, "t/#", 2);
	a->mute = true;
	from = client_new(TN_MQTT_V5);
	client_connect(from, "from", true, 0);
	client_publish(from, "t/1", "one", 1, 1);
	client_publish(from, "t/2", "two", 2, 2);
	assert_non_null(client_next_of(a, TN_MQTT_PUBLISH));
	assert_non_null(client_next_of(a, TN_MQTT_PUBLISH));
	c = client_new(TN_MQTT_V5);
	assert_true(client_connect(c, "x", false, 100));
	p = client_next_of(a, TN_MQTT_DISCONNECT);
	assert_int_equal(p->reason, TN_MQTT_SESSION_TAKEN_OVER);
	pair[0] = a;
	run_until(pair_has_heard);
	p = client_next_of(c, TN_MQTT_PUBLISH);
	assert_true(p->dup && tn_slice_is(p->payload, "one"));
	p = client_next_of(c, TN_MQTT_PUBLISH);
	assert_true(p->dup && tn_slice_is(p->payload, "two"));
	assert_non_null(client_next_of(c, TN_MQTT_PUBREL));
	run_until(is_quiet);
	client_free(a);
	client_free(c);
	client_free(from);
}

/* Goal: over a restart a session has its subscriptions, its queue and its
 * retained messages; a message of QoS 2 that was received is not taken
 * again. */
static void
restart(void **state)
{
	struct client *a = client_new(TN_MQTT_V5), *from;
	const struct tn_codec_mqtt_packet *p;
	struct tn_codec_mqtt_packet again = { .type = TN_MQTT_PUBLISH,
	    .qos = 2, .id = 9, .dup = true, .topic = tn_slice_of("plain/k"),
	    .payload = tn_slice_of("7") };

	(void)state;
	client_connect(a, "a", true, 100);
	client_subscribe(a, "t/#", 1);
	client_cut(a);
	from = client_new(TN_MQTT_V5);
	client_connect(from, "from", true, 100);
	client_publish(from, "t/1", "one", 1, 1);
	client_publish(from, "t/2", "two", 2, 2);
	waiting = from;
	run_until(has_pubcomp);
	from->mute = true;
	client_publish(from, "plain/k", "7", 2, 9);
	assert_int_equal(client_next_of(from, TN_MQTT_PUBREC)->id, 2);
	assert_int_equal(client_next_of(from, TN_MQTT_PUBREC)->id, 9);
	assert_int_equal(committed(), 1);
	client_cut(from);
	run_until(is_idle);
	broker_stop();
	broker_start();
	client_open(a, TN_MQTT_V5);
	assert_true(client_connect(a, "a", false, 100));
	p = client_next_of(a, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(p->payload, "one"));
	p = client_next_of(a, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(p->payload, "two"));
	client_open(from, TN_MQTT_V5);
	from->mute = false;
	assert_true(client_connect(from, "from", false, 100));
	client_send(from, &again);
	assert_non_null(client_next_of(from, TN_MQTT_PUBCOMP));
	client_publish(from, "t/3", "three", 1, 10);
	p = client_next_of(a, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(p->payload, "three"));
	run_until(is_quiet);
	assert_int_equal(committed(), 1);
	client_free(a);
	client_free(from);
}

/* Publishes ${n} times the same, each answered by ${type}. */
static void
publish_same(struct client *c, uint8_t qos, uint16_t id, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		client_publish(c, "plain/k", "1", qos, id);
		assert_non_null(client_next_of(c, qos == 1 ? TN_MQTT_PUBACK :
		    c->mute ? TN_MQTT_PUBREC : TN_MQTT_PUBCOMP));
	}
}

/* Goal: QoS 2 is exact whatever DUP says, also for a client that uses one
 * identifier for equal payloads: what has no PUBREL is the same message, what
 * comes after PUBREL is another, over restarts and without the store's word
 * for the identifier (a crash between the commits of rows and store). */
static void
qos_2_is_exact(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .qos = 2,
	    .id = 7, .topic = tn_slice_of("plain/k"),
	    .payload = tn_slice_of("1") };

	(void)state;
	client_connect(c, "c", true, 100);
	publish_same(c, 2, 7, 3);
	assert_int_equal(committed(), 3);
	for (uint32_t i = 0; i < 8; i++) {
		struct session *s;
		/* A new one, equal to the last: its PUBREC gets lost. */
		c->mute = true;
		publish_same(c, 2, 7, 1);
		assert_int_equal(committed(), 4 + (int)i);
		client_cut(c);
		run_until(is_idle);
		s = tn_mqtt_session_find(b.m, tn_slice_of("c"));
		if (i % 4 >= 2) {
			/* The store was behind. */
			struct key_of_session { uint8_t b[11]; } k = {
			    { 'i' } };
			for (int n = 0; n < 8; n++)
				k.b[1 + n] = (uint8_t)(s->number >>
				    (56 - 8 * n));
			k.b[10] = 7;
			tn_mqtt_store_drop(b.m->store, (struct tn_slice){
			    k.b, sizeof k.b });
			run_until(is_idle);
		}
		broker_stop();
		broker_start();
		c->mute = false;
		client_open(c, TN_MQTT_V5);
		assert_true(client_connect(c, "c", false, 100));
		p.dup = i % 2 == 0;
		client_send(c, &p);
		assert_non_null(client_next_of(c, TN_MQTT_PUBCOMP));
		assert_int_equal(committed(), 4 + (int)i);
		/* Released and told; over a restart it is free, too. */
		client_cut(c);
		run_until(is_idle);
		broker_stop();
		broker_start();
		client_open(c, TN_MQTT_V5);
		assert_true(client_connect(c, "c", false, 100));
	}
	client_free(c);
	run_until(is_quiet);
}

/* Connects again and publishes; how many rows there are more. */
static int
more_rows(struct client *c, uint8_t qos, uint16_t id, const char *payload)
{
	int before = committed();

	client_publish(c, "plain/k", payload, qos, id);
	assert_non_null(client_next_of(c, qos == 1 ? TN_MQTT_PUBACK :
	    TN_MQTT_PUBCOMP));
	return committed() - before;
}

static void
again(struct client *c, bool polite)
{
	struct tn_codec_mqtt_packet bye = { .type = TN_MQTT_DISCONNECT };

	if (polite) {
		client_send(c, &bye);
		waiting = c;
		run_until(has_closed);
	} else {
		client_cut(c);
	}
	run_until(is_idle);
	broker_stop();
	broker_start();
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "c", false, 100));
}

/* A publish of QoS 1, known, that takes nine seconds to come. */
static void
drip(struct client *c, uint16_t id, const char *payload)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = c->version, .qos = 1, .id = id,
	    .topic = tn_slice_of("plain/k"), .payload = tn_slice_of(payload) };
	struct tn_buf out = { 0 };
	int before = committed();

	assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_OK);
	for (size_t at = 0; at < out.n; at += 4) {
		clock_add_s(3);
		tn_net_stream_write(c->s, (struct tn_slice){ out.p + at,
		    out.n - at < 4 ? out.n - at : 4 });
		run_turns(10);
	}
	tn_buf_fini(&out);
	assert_non_null(client_next_of(c, TN_MQTT_PUBACK));
	assert_int_equal(committed(), before);
}

/* Goal: QoS 1 without DUP: what the client's system has an ack of is new,
 * whatever it is; so is all after a DISCONNECT. */
static void
what_was_seen_is_new(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const int64_t repeated = tn_counter_read(b.m->repeated);

	(void)state;
	client_connect(c, "c", true, 100);
	for (uint32_t i = 0; i < 12; i++) {
		/* As one that counts from 1 at each start. */
		for (uint16_t id = 1; id <= 1 + i % 4; id++)
			assert_int_equal(more_rows(c, 1, id, "0"), 1);
		if (i % 3 > 0) {
			again(c, false);
			continue;
		}
		client_cut(c);
		client_open(c, TN_MQTT_V5);
		assert_true(client_connect(c, "c", false, 100));
	}
	lost = 4 * ACK;
	assert_int_equal(more_rows(c, 1, 1, "0"), 1);
	again(c, true);
	assert_int_equal(more_rows(c, 1, 1, "0"), 1);
	assert_int_equal(tn_counter_read(b.m->repeated), repeated);
	client_free(c);
	run_until(is_quiet);
}

/* A connection on which so many are published, of the same payload, and the
 * last acks of which are lost. */
static void
publish_unseen(struct client *c, uint16_t first, uint16_t last, uint32_t acks)
{
	/* Notes of commits before that say so, too. */
	lost = acks * ACK;
	for (uint16_t id = first; id <= last; id++)
		assert_int_equal(more_rows(c, 1, id, "1"), 1);
}

/* Goal: QoS 1 without DUP, of messages whose acks were lost: in their order,
 * each once, they are resends, which is told; those before them are not, nor
 * is another payload, and nothing behind a new one, after a pause or a
 * DISCONNECT. */
static void
what_was_not_seen_comes_again(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const int64_t repeated = tn_counter_read(b.m->repeated);

	(void)state;
	client_connect(c, "c", true, 100);
	publish_unseen(c, 1, 6, 2);
	again(c, false);
	assert_int_equal(more_rows(c, 1, 5, "1"), 0);
	assert_int_equal(more_rows(c, 1, 6, "1"), 0);
	assert_int_equal(more_rows(c, 1, 6, "1"), 1);    /* Once. */
	assert_int_equal(tn_counter_read(b.m->repeated), repeated + 2);
	publish_unseen(c, 1, 6, 2);
	again(c, false);
	assert_int_equal(more_rows(c, 1, 4, "1"), 1);    /* It was seen. */
	assert_int_equal(more_rows(c, 1, 5, "1"), 1);    /* Behind a new one. */
	publish_unseen(c, 11, 16, 3);
	again(c, false);
	again(c, false);                                /* Sent none. */
	lost = 0;
	assert_int_equal(more_rows(c, 1, 15, "1"), 0);
	assert_int_equal(more_rows(c, 1, 14, "1"), 1);   /* Not its order. */
	again(c, false);
	assert_int_equal(more_rows(c, 1, 16, "1"), 1);   /* It was over. */
	publish_unseen(c, 21, 22, 2);
	again(c, false);
	assert_int_equal(more_rows(c, 1, 21, "9"), 1);   /* Another payload. */
	publish_unseen(c, 23, 23, 1);
	again(c, false);
	drip(c, 23, "1");                               /* That is no pause. */
	publish_unseen(c, 24, 24, 1);
	again(c, false);
	clock_add_s(6);                                 /* That is one. */
	assert_int_equal(more_rows(c, 1, 24, "1"), 1);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: what is sent to a client behind its last ack and never comes says
 * nothing about that ack. */
static void
later_bytes_are_no_acks(void **state)
{
	struct client *c = client_new(TN_MQTT_V5), *other;

	(void)state;
	client_connect(c, "c", true, 100);
	client_subscribe(c, "to/c", 0);
	assert_int_equal(more_rows(c, 1, 1, "1"), 1);
	other = client_new(TN_MQTT_V5);
	client_connect(other, "other", true, 0);
	client_publish(other, "to/c", "a command, while it sleeps", 0, 0);
	assert_non_null(client_next_of(c, TN_MQTT_PUBLISH));
	lost = 20;
	client_cut(c);
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "c", false, 100));
	lost = 0;
	assert_int_equal(more_rows(c, 1, 1, "1"), 1);
	client_free(c);
	client_free(other);
	run_until(is_quiet);
}

static bool
no_sessions(void)
{
	return b.m->session_count == 0;
}

/* Goal: a session that expires leaves nothing, neither in memory nor in the
 * store. */
static void
expiry(void **state)
{
	struct client *a = client_new(TN_MQTT_V5), *from;

	(void)state;
	client_connect(a, "a", true, 50);
	client_subscribe(a, "t/#", 1);
	client_cut(a);
	from = client_new(TN_MQTT_V311);
	client_connect(from, "from", true, 0);
	client_publish(from, "t/1", "one", 1, 1);
	assert_non_null(client_next_of(from, TN_MQTT_PUBACK));
	assert_true(b.m->queued_bytes > 0);
	client_cut(from);
	clock_add_s(51);
	run_until(no_sessions);
	assert_int_equal(b.m->queued_bytes, 0);
	assert_int_equal(tn_mqtt_tree_count(b.m->tree), 0);
	run_until(is_idle);
	broker_stop();
	broker_start();
	assert_int_equal(b.m->session_count, 0);
	client_free(a);
	client_free(from);
}

/* ---- wills ----------------------------------------------------------- */

static void
connect_with_will(struct client *c, const char *id, uint32_t expiry_s,
    uint32_t delay_s)
{
	client_connect_will(c, &(struct wanted_will){ id, "will/x",
	    tn_slice_of(id), expiry_s, delay_s, NULL, 0 });
}

static void
say_goodbye(struct client *c, uint8_t reason)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_DISCONNECT,
	    .reason = reason };

	client_send(c, &p);
	waiting = c;
	run_until(has_closed);
}

static void
hear_will(struct client *c, const char *of)
{
	const struct tn_codec_mqtt_packet *p = client_next(c);

	assert_non_null(p);
	assert_int_equal(p->type, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(p->topic, "will/x"));
	assert_true(tn_slice_is(p->payload, of));
}

/* Goal: a will is said when its client goes without a word, after its delay,
 * when the session ends, and never otherwise. */
static void
wills(void **state)
{
	struct client *c = client_new(TN_MQTT_V5), *a;

	(void)state;
	client_connect(c, "listener", true, 0);
	client_subscribe(c, "will/#", 1);
	a = client_new(TN_MQTT_V5);
	connect_with_will(a, "cut", 0, 0);
	client_cut(a);
	hear_will(c, "cut");
	client_open(a, TN_MQTT_V5);
	connect_with_will(a, "polite", 0, 0);
	say_goodbye(a, 0);
	client_open(a, TN_MQTT_V5);
	connect_with_will(a, "with-will", 0, 0);
	say_goodbye(a, TN_MQTT_DISCONNECT_WITH_WILL);
	hear_will(c, "with-will");
	client_open(a, TN_MQTT_V5);
	connect_with_will(a, "delayed", 1000, 30);
	client_cut(a);
	clock_add_s(29);
	client_publish(c, "will/x", "not yet", 0, 0);
	hear_will(c, "not yet");
	clock_add_s(2);
	hear_will(c, "delayed");
	/* The session ends before the delay does. */
	client_open(a, TN_MQTT_V5);
	connect_with_will(a, "short", 10, 30);
	client_cut(a);
	clock_add_s(11);
	hear_will(c, "short");
	/* The client is back in time. */
	client_open(a, TN_MQTT_V5);
	connect_with_will(a, "back", 1000, 30);
	client_cut(a);
	client_open(a, TN_MQTT_V5);
	assert_true(client_connect(a, "back", false, 1000));
	clock_add_s(31);
	client_publish(c, "will/x", "last", 0, 0);
	hear_will(c, "last");
	client_free(a);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: a crash takes no will along: those of clients that were connected are
 * said after the start, once, with their delay anew while the session goes on;
 * what was said or taken back before is not. */
static void
wills_over_a_crash(void **state)
{
	static const struct {
		const char *id;
		uint32_t expiry_s, delay_s;
	} of[] = { { "polite", 0, 0 }, { "cut", 100, 0 }, { "ends", 10, 60 },
		{ "late", 1000, 30 }, { "back", 1000, 30 }, { "gone", 0, 0 } };
	struct client *c = client_new(TN_MQTT_V5), *all[TN_COUNT(of)];

	(void)state;
	client_connect(c, "listener", true, 1000);
	client_subscribe(c, "will/#", 1);
	for (uint32_t i = 0; i < TN_COUNT(of); i++) {
		all[i] = client_new(TN_MQTT_V5);
		connect_with_will(all[i], of[i].id, of[i].expiry_s,
		    of[i].delay_s);
	}
	say_goodbye(all[0], 0);
	client_cut(all[1]);
	hear_will(c, "cut");
	/* As a crash: nothing is said or forgotten any more. */
	run_until(is_quiet);
	b.m->draining = true;
	for (uint32_t i = 2; i < TN_COUNT(of); i++)
		client_cut(all[i]);
	assert_int_equal(c->count, c->read);
	client_cut(c);
	run_until(is_idle);
	broker_stop();
	broker_start();
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "listener", false, 1000));
	hear_will(c, "gone");
	client_open(all[4], TN_MQTT_V5);
	assert_true(client_connect(all[4], "back", false, 1000));
	clock_add_s(11);
	hear_will(c, "ends");
	client_publish(c, "will/x", "not yet", 0, 0);
	hear_will(c, "not yet");
	clock_add_s(20);
	hear_will(c, "late");
	client_cut(all[4]);
	client_cut(c);
	run_until(is_idle);
	broker_stop();
	broker_start();
	assert_null(b.m->due_wills);
	assert_int_equal(b.m->queued_bytes, 0);
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "listener", false, 1000));
	clock_add_s(100);
	client_publish(c, "will/x", "last", 0, 0);
	hear_will(c, "last");
	for (uint32_t i = 0; i < TN_COUNT(of); i++)
		client_free(all[i]);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: silence beyond one and a half keep-alives ends a connection; so does
 * a CONNECT that does not come. */
static void
silence(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PINGREQ };
	const struct tn_codec_mqtt_packet *got;

	(void)state;
	client_connect_alive(c, "k", 10);
	clock_add_s(14);
	client_send(c, &p);
	assert_int_equal(client_next(c)->type, TN_MQTT_PINGRESP);
	clock_add_s(14);
	client_send(c, &p);
	assert_int_equal(client_next(c)->type, TN_MQTT_PINGRESP);
	clock_add_s(16);
	got = client_next(c);
	assert_int_equal(got->type, TN_MQTT_DISCONNECT);
	assert_int_equal(got->reason, TN_MQTT_KEEP_ALIVE_TIMEOUT);
	waiting = c;
	run_until(has_closed);
	client_open(c, TN_MQTT_V5);
	clock_add_s(11);
	assert_null(client_next(c));
	client_free(c);
}

/* ---- in the midst ---------------------------------------------------- */

/* It has had the PUBREC, and said PUBREL. */
static bool
has_released(const struct client *c, uint16_t id)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (c->heard[i].type == TN_MQTT_PUBREC && c->heard[i].id == id)
			return true;
	return false;
}

/* Goal: a client that goes while its publish is on its way harms nothing; the
 * message is there once when it comes again, or its PUBREL after PUBREC. */
static void
gone_in_the_midst(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .qos = 1,
	    .topic = tn_slice_of("plain/k"), .payload = tn_slice_of("1") };
	bool released;

	(void)state;
	client_connect(c, "m", true, 100);
	for (uint32_t i = 1; i <= 30; i++) {
		p.id = (uint16_t)i;
		p.dup = false;
		p.qos = (uint8_t)(1 + i % 2);
		client_send(c, &p);
		/* Some turns of the loop, no more than the ack needs. */
		if (i % 3 == 0)
			assert_true(client_next(c) != NULL || true);
		client_cut(c);
		released = has_released(c, p.id);
		client_open(c, TN_MQTT_V5);
		assert_true(client_connect(c, "m", false, 100));
		p.dup = true;
		if (released)
			client_ack(c, TN_MQTT_PUBREL, p.id);
		else
			client_send(c, &p);
		assert_non_null(client_next_of(c, p.qos == 1 ?
		    TN_MQTT_PUBACK : TN_MQTT_PUBCOMP));
		assert_int_equal(committed(), (int)i);
	}
	client_free(c);
	run_until(is_quiet);
}

static uint32_t
heard_of(const struct client *c, uint8_t type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++)
		n += c->heard[i].type == type;
	return n;
}

/* Goal: nothing is acknowledged before it is on disk, neither on the
 * connection that sent it nor on the next one of the same client, where the
 * message comes again while the first is still on its way. */
static void
no_ack_before_the_disk(void **state)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .id = 3,
	    .topic = tn_slice_of("plain/k"), .payload = tn_slice_of("1") };

	(void)state;
	for (uint8_t qos = 1; qos <= 2; qos++) {
		uint8_t ack = qos == 1 ? TN_MQTT_PUBACK : TN_MQTT_PUBREC;
		struct client *a = client_new(TN_MQTT_V5);
		struct client *c;
		client_connect(a, "h", true, 100);
		hold(&disk.log_held, 1);
		p.qos = qos;
		p.dup = false;
		client_send(a, &p);
		run_turns(10);
		assert_int_equal(b.m->work, 1);
		assert_int_equal(heard_of(a, ack), 0);
		c = client_new(TN_MQTT_V5);
		assert_true(client_connect(c, "h", false, 100));
		p.dup = true;
		client_send(c, &p);
		run_turns(20);
		assert_int_equal(heard_of(c, ack), 0);
		hold(&disk.log_held, 0);
		assert_non_null(client_next_of(c, ack));
		assert_int_equal(committed(), qos);
		client_free(a);
		client_free(c);
		run_until(is_quiet);
	}
}

/* Goal: a commit that fails is not acknowledged; the client is sent away and
 * what it sends again is taken, once. */
static void
a_failed_commit_comes_again(void **state)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .id = 3,
	    .topic = tn_slice_of("plain/k"), .payload = tn_slice_of("1") };

	(void)state;
	for (uint8_t i = 0; i < 4; i++) {
		struct client *c = client_new(i / 2 == 0 ? TN_MQTT_V5 :
		    TN_MQTT_V311);
		uint8_t ack;
		p.qos = (uint8_t)(1 + i % 2);
		ack = p.qos == 1 ? TN_MQTT_PUBACK : TN_MQTT_PUBREC;
		(void)client_connect(c, i / 2 == 0 ? "f5" : "f4", false, 100);
		hold(&disk.log_fails, 1);
		p.dup = false;
		client_send(c, &p);
		waiting = c;
		run_until(has_closed);
		assert_int_equal(heard_of(c, ack), 0);
		assert_int_equal(committed(), i);
		client_open(c, c->version);
		assert_true(client_connect(c, i / 2 == 0 ? "f5" : "f4",
		    false, 100));
		p.dup = true;
		client_send(c, &p);
		assert_non_null(client_next_of(c, p.qos == 1 ?
		    TN_MQTT_PUBACK : TN_MQTT_PUBCOMP));
		assert_int_equal(committed(), i + 1);
		client_free(c);
	}
	run_until(is_quiet);
}

/* Goal: what must survive is told and sent on only once the store has it. */
static void
no_word_before_the_store(void **state)
{
	struct client *a = client_new(TN_MQTT_V5);
	struct client *c = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_filter f = { .filter = tn_slice_of("t/#"),
	    .qos = 2 };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_SUBSCRIBE,
	    .id = 1, .filters = &f, .filter_count = 1 };

	(void)state;
	client_connect(a, "a", true, 100);
	client_connect(c, "c", true, 0);
	run_until(is_quiet);
	hold(&disk.store_held, 1);
	client_send(a, &p);
	run_turns(10);
	assert_int_equal(heard_of(a, TN_MQTT_SUBACK), 0);
	client_publish(c, "t/1", "x", 1, 1);
	client_publish(c, "t/2", "x", 2, 2);
	run_turns(20);
	assert_int_equal(heard_of(a, TN_MQTT_PUBLISH), 0);
	assert_int_equal(heard_of(c, TN_MQTT_PUBACK), 0);
	assert_int_equal(heard_of(c, TN_MQTT_PUBREC), 0);
	hold(&disk.store_held, 0);
	assert_non_null(client_next_of(a, TN_MQTT_SUBACK));
	assert_non_null(client_next_of(a, TN_MQTT_PUBLISH));
	assert_non_null(client_next_of(a, TN_MQTT_PUBREL));
	assert_non_null(client_next_of(c, TN_MQTT_PUBCOMP));
	client_free(a);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: a retained message for a session that is kept has its identifier on
 * disk before it is sent: SUBACK is one commit, the message the next. */
static void
retained_after_the_store(void **state)
{
	struct client *a = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .qos = 1,
	    .id = 1, .retain = true, .topic = tn_slice_of("r/1"),
	    .payload = tn_slice_of("kept") };
	const struct tn_codec_mqtt_packet *got;

	(void)state;
	client_connect(a, "a", true, 100);
	client_send(a, &p);
	assert_non_null(client_next_of(a, TN_MQTT_PUBACK));
	run_until(is_quiet);
	hold(&disk.store_hold_at, disk.store_commits + 2);
	client_subscribe(a, "r/#", 1);
	run_turns(20);
	assert_int_equal(heard_of(a, TN_MQTT_PUBLISH), 0);
	hold(&disk.store_held, 0);
	got = client_next_of(a, TN_MQTT_PUBLISH);
	assert_true(got->retain && tn_slice_is(got->payload, "kept"));
	hold(&disk.store_hold_at, 0);
	client_free(a);
	run_until(is_quiet);
}

/* Goal: for every Nth allocation that fails while a client is served, the
 * broker goes on, and what was acknowledged is there. */
static void
no_memory(void **state)
{
	(void)state;
	for (uint32_t n = 1; ; n++) {
		struct client *c = client_new(TN_MQTT_V5);
		int before = committed();
		uint32_t acks;
		client_connect(c, "oom", true, 0);
		disk.alloc_in = n;
		client_publish(c, "plain/k", "1", 1, 1);
		client_publish(c, "t/x", "1", 1, 2);
		client_publish(c, "plain/k", "1", 1, 3);
		for (uint32_t i = 0; i < 3 && client_next(c) != NULL; i++)
			;
		acks = heard_of(c, TN_MQTT_PUBACK);
		client_free(c);
		run_until(is_quiet);
		assert_true(committed() - before >= (int)acks - 1);
		if (disk.alloc_in > 0)
			break;
	}
	disk.alloc_in = 0;
}

/* ---- noise ----------------------------------------------------------- */

/* Goal: bytes that are no MQTT, or nearly so, end their connection and nothing
 * else. */
static void
noise(void **state)
{
	struct tn_buf visit = { 0 };
	struct client *good = client_new(TN_MQTT_V5);

	(void)state;
	put_visit(&visit);
	client_connect(good, "good", true, 0);
	for (uint32_t i = 0; i < 600; i++) {
		struct conn *c = raw_open(TN_MQTT_TCP);
		uint8_t *copy = malloc(visit.n);
		uint32_t flips = 1 + rnd(4);
		size_t at = 0;
		memcpy(copy, visit.p, visit.n);
		while (flips-- > 0)
			copy[rnd((uint32_t)visit.n)] ^= (uint8_t)(1 +
			    rnd(255));
		tn_mqtt_conn_ref(c);
		while (at < visit.n && c->step != CONN_CLOSING) {
			size_t n = 1 + rnd((uint32_t)(visit.n - at));
			tn_mqtt_conn_bytes(c, (struct tn_slice){ copy + at,
			    n });
			at += n;
		}
		free(copy);
		tn_mqtt_conn_end(c, 0);
		run_until(raw_is_closed);
		tn_mqtt_conn_unref(c);
		tn_buf_fini(&raw.got);
	}
	client_publish(good, "plain/k", "1", 1, 1);
	assert_int_equal(client_next_of(good, TN_MQTT_PUBACK)->id, 1);
	client_free(good);
	tn_buf_fini(&visit);
}

/* ---- chaos ----------------------------------------------------------- */

#define CROWD 12

static void
crowd_step(struct client *c, uint32_t i)
{
	static const char *const topics[] = { "plain/a", "keyed/1", "t/x",
	    "t/y", "u" };
	static const char *const filters[] = { "t/+", "#", "$share/g/t/#",
	    "plain/#", "u" };
	struct tn_codec_mqtt_filter f = {
	    .filter = tn_slice_of(filters[rnd(5)]), .qos = (uint8_t)rnd(3) };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .topic = tn_slice_of(topics[rnd(5)]),
	    .payload = tn_slice_of("1"), .retain = rnd(5) == 0 };
	struct tn_codec_mqtt_packet hello = { .type = TN_MQTT_CONNECT };
	char id[8];

	(void)snprintf(id, sizeof id, "c%u", i % (CROWD - 2));
	if (c->s == NULL) {
		client_open(c, rnd(2) == 0 ? TN_MQTT_V5 : TN_MQTT_V311);
		hello.connect.client_id = tn_slice_of(id);
		hello.connect.clean_start = rnd(2) == 0;
		if (c->version == TN_MQTT_V5)
			hello.props.present = UINT64_C(1) <<
			    TN_MQTT_P_SESSION_EXPIRY;
		hello.props.session_expiry_s = rnd(3) * 100;
		client_send(c, &hello);
		c->mute = rnd(4) == 0;
		return;
	}
	switch (rnd(9)) {
	case 0:
		tn_net_stream_close(c->s, 0);
		break;
	case 1:
		p = (struct tn_codec_mqtt_packet){
		    .type = rnd(2) == 0 ? TN_MQTT_SUBSCRIBE :
		    TN_MQTT_UNSUBSCRIBE, .id = 5, .filters = &f,
		    .filter_count = 1 };
		client_send(c, &p);
		break;
	case 2:
		p = (struct tn_codec_mqtt_packet){
		    .type = TN_MQTT_DISCONNECT };
		client_send(c, &p);
		break;
	default:
		p.qos = (uint8_t)rnd(3);
		p.id = (uint16_t)(p.qos == 0 ? 0 : 1 + rnd(20));
		p.dup = p.qos > 0 && rnd(3) == 0;
		client_send(c, &p);
	}
}

static bool
all_closed(void)
{
	return b.m->conn_count == 0 && is_idle();
}

/* Goal: many clients that do anything at any time leave nothing behind: no
 * publish on its way, no bytes counted, no reference. */
static void
chaos(void **state)
{
	static struct client crowd[CROWD];

	(void)state;
	memset(crowd, 0, sizeof crowd);
	for (uint32_t i = 0; i < 4000; i++) {
		struct client *c = &crowd[rnd(CROWD)];
		/* It forgets what it has heard. */
		if (c->count > HEARD_MAX / 2) {
			c->count = c->read = 0;
			if (c->in.n == 0)
				tn_arena_reset(c->arena);
		}
		crowd_step(c, (uint32_t)(c - crowd));
		if (rnd(8) == 0) {
			run_turns(rnd(3));
		}
		if (rnd(400) == 0)
			clock_add_s(60);
	}
	for (uint32_t i = 0; i < CROWD; i++) {
		client_cut(&crowd[i]);
		tn_buf_fini(&crowd[i].in);
		if (crowd[i].arena != NULL)
			tn_arena_free(crowd[i].arena);
	}
	run_until(all_closed);
	assert_int_equal(b.m->work, 0);
	clock_add_s(8 * 86400);
	run_until(no_sessions);
	assert_int_equal(b.m->queued_bytes, 0);
	assert_int_equal(tn_mqtt_tree_count(b.m->tree), 0);
	run_until(is_idle);
}

/* Goal: draining sends everybody away, and ends. */
static void
drain(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	client_connect(c, "d", true, 100);
	client_subscribe(c, "#", 1);
	client_publish(c, "plain/1", "1", 1, 1);
	run_until(is_quiet);
	tn_mqtt_drain(b.m);
	p = client_next_of(c, TN_MQTT_DISCONNECT);
	assert_int_equal(p->reason, TN_MQTT_SHUTTING_DOWN);
	run_until(is_idle);
	client_free(c);
}

/* Goal: the end may come in the midst of everything. */
static void
end_in_the_midst(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct client *a = client_new(TN_MQTT_V5);

	(void)state;
	client_connect(a, "a", true, 100);
	client_subscribe(a, "#", 2);
	client_connect(c, "c", true, 100);
	for (uint16_t i = 1; i < 100; i++)
		client_publish(c, i % 2 == 0 ? "plain/1" : "t/x", "1",
		    (uint8_t)(1 + i % 2), i);
	assert_non_null(client_next(c));
	tn_net_stream_close(c->s, 0);
	tn_net_stream_close(a->s, 0);
	broker_stop();
	tn_buf_fini(&c->in);
	tn_buf_fini(&a->in);
	tn_arena_free(c->arena);
	tn_arena_free(a->arena);
	tn_free(c);
	tn_free(a);
	broker_start();
	assert_int_equal(b.m->session_count, 2);
}

/* A test that failed may have left the disk held. */
static int
drop(void **state)
{
	hold(&disk.log_held, 0);
	hold(&disk.store_held, 0);
	hold(&disk.log_fails, 0);
	hold(&disk.store_hold_at, 0);
	disk.alloc_in = 0;
	lost = 0;
	return broker_drop(state);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, broker_make, drop)
	const struct CMUnitTest tests[] = {
		TEST(cut_anywhere), TEST(frames_cut_anywhere),
		TEST(bad_frames_close), TEST(pings_are_bounded),
		TEST(acks_are_in_order),
		TEST(quarantined_is_told), TEST(receive_maximum),
		TEST(never_released),
		TEST(taken_over), TEST(restart), TEST(qos_2_is_exact),
		TEST(what_was_seen_is_new), TEST(what_was_not_seen_comes_again),
		TEST(later_bytes_are_no_acks), TEST(expiry), TEST(wills),
		TEST(wills_over_a_crash),
		TEST(silence), TEST(gone_in_the_midst),
		TEST(no_ack_before_the_disk),
		TEST(a_failed_commit_comes_again),
		TEST(no_word_before_the_store),
		TEST(retained_after_the_store), TEST(no_memory), TEST(noise),
		TEST(chaos), TEST(drain), TEST(end_in_the_midst),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: tn_net_timer_start tn_log_append tn_log_table_commit tn_ingest_room */
/* Wills when there is no room for them, when their streams fail, and what the
 * store has of them; a store that is behind, and clients that come then. */
#include "broker_help.h"

static struct {
	int held, full;              /* Atomic: store commits wait, fail. */
	int fails;                   /* Atomic: status of log appends. */
	int refused;                 /* Atomic: appends that failed so. */
	int most_bytes;              /* Atomic: of one commit. */
	int will_changes;            /* Atomic: keys of wills in commits. */
	enum tn_status room;         /* What ingest says. */
} disk;

static int
get(const int *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void
set(int *p, int v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
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
	enum tn_status st = (enum tn_status)get(&disk.fails);

	if (st != TN_OK) {
		set(&disk.refused, get(&disk.refused) + 1);
		return st;
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
	size_t bytes = 0;

	while (get(&disk.held) != 0)
		(void)usleep(100);
	if (get(&disk.full) != 0)
		return TN_ENOSPC;
	for (size_t i = 0; i < count; i++) {
		bytes += c[i].key.n + c[i].value.n;
		if (c[i].key.p[0] == 'w')
			set(&disk.will_changes, get(&disk.will_changes) + 1);
	}
	if ((int)bytes > get(&disk.most_bytes))
		set(&disk.most_bytes, (int)bytes);
	return __real_tn_log_table_commit(t, c, count);
}

enum tn_status __real_tn_ingest_room(struct tn_ingest *g);
enum tn_status __wrap_tn_ingest_room(struct tn_ingest *g);
enum tn_status
__wrap_tn_ingest_room(struct tn_ingest *g)
{
	return disk.room != TN_OK ? disk.room : __real_tn_ingest_room(g);
}

/* ---- pieces ---------------------------------------------------------- */

/* Whatever is to be in the store is in it. */
static bool
is_stored(void)
{
	return tn_mqtt_store_idle(b.m->store);
}

/* The log has refused it, and was asked again: so it was kept in between. */
static bool
is_refused_again(void)
{
	return get(&disk.refused) >= 2 && is_stored();
}

/* Wills in the store. */
static uint32_t
kept(void)
{
	return count_pairs(b.m->store, "w", TN_OK);
}

static struct client *
with_will(const char *id, const char *topic, const char *payload,
    uint32_t delay_s)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct wanted_will w = { id, topic, tn_slice_of(payload),
	    delay_s > 0 ? 1000 : 0, delay_s, NULL, 0 };

	client_connect_will(c, &w);
	return c;
}

static struct client *
listener(bool fresh)
{
	struct client *c = client_new(TN_MQTT_V5);

	assert_int_equal(client_connect(c, "listener", fresh, 1000), !fresh);
	if (fresh)
		client_subscribe(c, "#", 1);
	return c;
}

static void
hear(struct client *c, const char *payload)
{
	const struct tn_codec_mqtt_packet *p = client_next_of(c,
	    TN_MQTT_PUBLISH);

	assert_non_null(p);
	if (!tn_slice_is(p->payload, payload))
		fail_msg("\"%.*s\", not \"%s\"", (int)p->payload.n,
		    (const char *)p->payload.p, payload);
}

/* Nothing is said or forgotten any more; then it begins anew. */
static void
crash(struct client **clients, uint32_t n)
{
	run_until(is_quiet);
	b.m->draining = true;
	for (uint32_t i = 0; i < n; i++)
		client_free(clients[i]);
	run_until(is_idle);
	broker_stop();
	broker_start();
}

static struct conn *
conn_of(const char *id)
{
	return tn_mqtt_session_find(b.m, tn_slice_of(id))->conn;
}

/* As if it had just come. */
static void
take_publish(struct conn *c, const char *topic, const char *payload)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = c->version, .qos = 1, .id = 1,
	    .topic = tn_slice_of(topic), .payload = tn_slice_of(payload) };
	struct tn_buf out = { 0 };

	assert_int_equal(tn_codec_mqtt_encode(&out, &p), TN_OK);
	tn_mqtt_conn_bytes(c, (struct tn_slice){ out.p, out.n });
	tn_buf_fini(&out);
}

/* ---- the store is behind --------------------------------------------- */

/* The last CONNECT has come whole. */
static bool
is_answered_or_waits(void)
{
	return waiting->count > 0 || b.m->conns->stalled;
}

/* Goal: whoever connects, leaves a large will and goes at once does not fill
 * memory while the store is behind: beyond what may gather he waits for his
 * CONNACK, without being late; and his turn comes. */
static void
connects_wait_for_the_store(void **state)
{
	static uint8_t text[65000];
	enum { ROUNDS = 40 };
	struct tn_codec_mqtt_user users[15];
	struct wanted_will w = { .id = "c", .topic = "t", .users = users,
		.user_count = TN_COUNT(users) };
	struct client *c[ROUNDS];
	uint32_t answered = 0;

	(void)state;
	memset(text, 'x', sizeof text);
	for (uint32_t i = 0; i < TN_COUNT(users); i++)
		users[i].name = users[i].value = (struct tn_slice){ text,
		    i % 2 == 0 ? sizeof text : 1 };
	client_free(listener(true));
	run_until(is_quiet);
	set(&disk.held, 1);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		c[i] = client_new(TN_MQTT_V5);
		client_send_will(c[i], &w);
		waiting = c[i];
		run_until(is_answered_or_waits);
		answered += c[i]->count > 0;
		if (i + 1 < ROUNDS)
			client_cut(c[i]);
	}
	assert_in_range(answered, 5, 20);
	run_turns(1000);                 /* All of it has come. */
	clock_add_s(60);
	run_turns(20);
	assert_int_equal(c[ROUNDS - 1]->count, 0);
	assert_false(c[ROUNDS - 1]->closed);
	set(&disk.held, 0);
	assert_int_equal(client_next(c[ROUNDS - 1])->type, TN_MQTT_CONNACK);
	for (uint32_t i = 0; i < ROUNDS; i++)
		client_free(c[i]);
	run_until(is_quiet);
	assert_true(get(&disk.most_bytes) < 20 << 20);
	assert_int_equal(kept(), 0);
}

/* Goal: while the store has no room a will is in memory only, and the store
 * hears nothing of it at all. */
static void
no_word_without_room(void **state)
{
	struct client *a = client_new(TN_MQTT_V5), *c;

	(void)state;
	set(&disk.full, 1);
	c = with_will("first", "t", "x", 0);
	run_until(waits);
	client_free(c);
	set(&disk.will_changes, 0);
	for (uint32_t i = 0; i < 20; i++)
		client_free(with_will("c", "t", "x", 0));
	client_connect(a, "a", true, 0);
	client_subscribe(a, "t", 0);
	c = with_will("c", "t", "heard", 0);
	client_free(c);
	hear(a, "heard");
	set(&disk.full, 0);
	client_free(a);
	run_until(is_quiet);
	assert_int_equal(get(&disk.will_changes), 2);    /* The first one. */
	assert_int_equal(kept(), 0);
}

/* ---- streams fail ---------------------------------------------------- */

/* Goal: a will that its stream can not take is dropped for good, in the store,
 * too; one that failed for want of room is a row as soon as there is some. */
static void
streams_fail(void **state)
{
	struct client *c;

	(void)state;
	set(&disk.fails, TN_ELIMIT);
	client_free(with_will("c", "plain/k", "7", 0));
	run_until(is_quiet);
	assert_null(b.m->due_wills);
	assert_int_equal(kept(), 0);
	assert_int_equal(b.m->queued_bytes, 0);
	set(&disk.fails, TN_ENOSPC);
	set(&disk.refused, 0);
	client_free(with_will("c", "plain/k", "8", 0));
	run_until(is_refused_again);
	assert_int_equal(kept(), 1);
	assert_true(b.m->queued_bytes > 0 || b.m->work > 0);
	/* Also over the end of the program. */
	crash(NULL, 0);
	set(&disk.refused, 0);
	run_until(is_refused_again);
	assert_int_equal(kept(), 1);
	assert_int_equal(committed(), 0);
	set(&disk.fails, TN_OK);
	c = listener(true);
	client_publish(c, "plain/k", "9", 1, 1);
	assert_non_null(client_next_of(c, TN_MQTT_PUBACK));
	client_free(c);
	run_until(is_quiet);
	assert_int_equal(committed(), 2);
	assert_int_equal(kept(), 0);
	assert_int_equal(b.m->queued_bytes, 0);
}

/* Goal: wills wait for room in ingest as all others do, also those of before
 * the start, within the limit; what their clients say afterwards comes behind
 * them. */
static void
wait_for_ingest(void **state)
{
	const struct tn_codec_mqtt_packet *said;
	struct client *c, *all[3];

	(void)state;
	all[0] = listener(true);
	all[1] = with_will("1", "plain/k", "1", 0);
	all[2] = with_will("2", "plain/k", "2", 0);
	disk.room = TN_EFULL;
	crash(all, 3);
	c = listener(false);
	client_free(with_will("3", "plain/k", "3", 0));
	run_until(is_stored);
	assert_int_equal(committed(), 0);
	assert_int_equal(kept(), 3);
	assert_int_equal(b.m->due_streams, 3);
	/* Not in the way of others. */
	client_free(with_will("4", "other", "4", 0));
	hear(c, "4");
	all[0] = client_new(TN_MQTT_V5);
	client_connect(all[0], "3", true, 0);
	client_publish(all[0], "plain/k", "4", 1, 1);
	run_turns(20);
	/* There is room, and nobody has looked since. */
	all[1] = client_new(TN_MQTT_V5);
	client_connect(all[1], "4", true, 0);
	disk.room = TN_OK;
	take_publish(conn_of("4"), "plain/k", "5");
	hear(c, "1");
	hear(c, "2");
	hear(c, "3");
	said = client_next_of(c, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(said->payload, "4") ||
	    tn_slice_is(said->payload, "5"));
	assert_non_null(client_next_of(c, TN_MQTT_PUBLISH));
	client_free(all[1]);
	client_free(all[0]);
	client_free(c);
	run_until(is_quiet);
	assert_int_equal(committed(), 5);
	assert_int_equal(kept(), 0);
	assert_int_equal(b.m->queued_bytes, 0);
}

/* ---- over a start ---------------------------------------------------- */

/* Goal: they are said in their order; of two of one session the newest waits
 * for its delay, the other one is said before; more than there may be are
 * dropped. */
static void
loaded_in_order(void **state)
{
	struct client *c, *all[4];

	(void)state;
	all[0] = listener(true);
	all[1] = with_will("1", "t", "1", 0);
	all[2] = with_will("late", "t", "late", 30);
	/* As if the first of two were still on its way. */
	tn_mqtt_keep_will(tn_mqtt_session_find(b.m, tn_slice_of("late")));
	all[3] = with_will("2", "t", "2", 0);
	crash(all, 4);
	c = listener(false);
	hear(c, "1");
	hear(c, "late");
	hear(c, "2");
	run_until(is_quiet);
	assert_int_equal(kept(), 1);
	clock_add_s(31);
	hear(c, "late");
	run_until(is_quiet);
	assert_int_equal(kept(), 0);
	all[1] = with_will("1", "t", "1", 0);
	all[2] = with_will("2", "t", "2", 0);
	b.o.queued_bytes_max = b.m->queued_bytes * 3 / 4;
	all[3] = c;
	crash(&all[1], 3);
	c = listener(false);
	hear(c, "1");
	run_until(is_quiet);
	assert_int_equal(kept(), 0);
	assert_int_equal(c->count, c->read);
	client_free(c);
}

/* Goal: at an orderly end, the will of a client that was just cut off for its
 * own fault is said, too. */
static void
cut_right_before_the_end(void **state)
{
	struct client *c = with_will("bad", "plain/k", "1", 0);
	struct client *d = with_will("late", "plain/k", "2", 600);

	(void)state;
	run_until(is_quiet);
	tn_mqtt_conn_end(conn_of("bad"), TN_MQTT_MALFORMED_PACKET);
	tn_mqtt_conn_end(conn_of("late"), TN_MQTT_MALFORMED_PACKET);
	tn_mqtt_drain(b.m);
	run_until(is_idle);
	assert_int_equal(committed(), 1);
	assert_int_equal(kept(), 1);
	client_free(c);
	client_free(d);
}

/* ---- keep-alive ------------------------------------------------------ */

/* Goal: a packet that waited because its client did not read its answers is no
 * silence once it has its turn. */
static void
heard_while_clogged(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	struct conn *conn;

	(void)state;
	client_connect_alive(c, "c", 10);
	conn = conn_of("c");
	conn->stalled = conn->clogged = true;
	tn_mqtt_conn_bytes(conn, (struct tn_slice){ (const uint8_t *)
	    "\xc0\0", 2 });
	clock_add_s(16);
	assert_int_equal(client_next(c)->type, TN_MQTT_PINGRESP);
	run_turns(20);
	assert_false(c->closed);
	assert_int_equal(c->count, c->read);
	clock_add_s(16);
	assert_int_equal(client_next(c)->type, TN_MQTT_DISCONNECT);
	client_free(c);
}

static int
make(void **state)
{
	memset(&disk, 0, sizeof disk);
	return broker_make(state);
}

/* A test that failed may have left the disk held. */
static int
drop(void **state)
{
	memset(&disk, 0, sizeof disk);
	return broker_drop(state);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(connects_wait_for_the_store), TEST(no_word_without_room),
		TEST(streams_fail), TEST(wait_for_ingest),
		TEST(loaded_in_order), TEST(cut_right_before_the_end),
		TEST(heard_while_clogged),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

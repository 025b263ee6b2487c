/* wrap: tn_net_timer_start tn_log_table_commit */
/* A broker whose store has no room, whose end has come, and one that names
 * topics by alias. */
#include "broker_help.h"

static int is_full;              /* Atomic. */

enum tn_status __real_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status __wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status
__wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count)
{
	return __atomic_load_n(&is_full, __ATOMIC_SEQ_CST) != 0 ? TN_ENOSPC :
	    __real_tn_log_table_commit(t, c, count);
}

static void
fill(int on)
{
	__atomic_store_n(&is_full, on, __ATOMIC_SEQ_CST);
}

/* Sent away; 5.0 is told why. */
static void
check_refused(struct client *c)
{
	const struct tn_codec_mqtt_packet *p = client_next(c);

	if (c->version == TN_MQTT_V5) {
		assert_non_null(p);
		assert_int_equal(p->type, TN_MQTT_DISCONNECT);
		assert_int_equal(p->reason, TN_MQTT_QUOTA_EXCEEDED);
		p = client_next(c);
	}
	assert_null(p);
}

static struct client *
publisher(const char *id, uint8_t version)
{
	struct client *c = client_new(version);

	client_connect(c, id, version == TN_MQTT_V5, 100);
	return c;
}

static uint32_t
heard_payload(const struct client *c, const char *payload)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++)
		n += c->heard[i].type == TN_MQTT_PUBLISH &&
		    tn_slice_is(c->heard[i].payload, payload);
	return n;
}

/* Goal: without room for the store nobody waits for ever: what must be kept is
 * refused with 0x97 (3.1.1: sent away), first what was under way, then at
 * once; sessions to be kept are refused, too. Rows, QoS 0 and other sessions
 * go on. With room again what comes once more is there once, and the end of
 * the program does not wait for room. */
static void
without_room(void **state)
{
	struct client *a = publisher("a", TN_MQTT_V5), *c[3], *d;
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };
	const struct tn_codec_mqtt_packet *got;

	(void)state;
	client_subscribe(a, "t/#", 2);
	for (uint32_t i = 0; i < 3; i++)
		c[i] = publisher((char [2]){ (char)('0' + i), 0 }, i == 1 ?
		    TN_MQTT_V311 : TN_MQTT_V5);
	run_until(is_quiet);
	fill(1);
	/* Under way when it fills. */
	client_publish(c[0], "t/1", "one", 1, 1);
	client_publish(c[1], "plain/k", "1", 2, 1);
	check_refused(c[0]);
	check_refused(c[1]);
	assert_true(waits());
	assert_int_equal(committed(), 1);
	assert_int_equal(heard_payload(a, "one"), 0);
	/* Rows need no room of the store, QoS 2 does. */
	client_publish(c[2], "plain/k", "1", 1, 1);
	assert_int_equal(client_next(c[2])->type, TN_MQTT_PUBACK);
	client_publish(c[2], "t/0", "zero", 0, 0);
	client_publish(c[2], "keyed/k", "1", 2, 2);
	check_refused(c[2]);
	assert_int_equal(committed(), 2);
	assert_int_equal(heard_payload(a, "zero"), 1);
	/* One that is to last; one that is not. */
	d = client_new(TN_MQTT_V5);
	p.connect.client_id = tn_slice_of("d");
	p.connect.clean_start = true;
	p.props.present = UINT64_C(1) << TN_MQTT_P_SESSION_EXPIRY;
	p.props.session_expiry_s = 100;
	client_send(d, &p);
	got = client_next(d);
	assert_int_equal(got->type, TN_MQTT_CONNACK);
	assert_int_equal(got->reason, TN_MQTT_QUOTA_EXCEEDED);
	client_cut(d);
	client_open(d, TN_MQTT_V5);
	client_connect(d, "d", true, 0);
	client_publish(d, "elsewhere", "x", 1, 1);
	assert_int_equal(client_next(d)->type, TN_MQTT_PUBACK);
	fill(0);
	run_until(is_quiet);
	assert_false(waits());
	for (uint32_t i = 0; i < 2; i++) {
		client_open(c[i], c[i]->version);
		assert_true(client_connect(c[i], (char [2]){ (char)('0' + i),
		    0 }, false, 100));
	}
	client_publish(c[0], "t/1", "one", 1, 1);
	assert_int_equal(client_next(c[0])->type, TN_MQTT_PUBACK);
	client_publish(c[1], "plain/k", "1", 2, 1);
	waiting = c[1];
	run_until(has_pubcomp);
	run_until(is_quiet);
	assert_int_equal(committed(), 2);
	assert_int_equal(heard_payload(a, "one"), 1);
	fill(1);
	client_publish(c[0], "t/1", "last", 1, 2);
	check_refused(c[0]);
	for (uint32_t i = 0; i < 3; i++)
		client_free(c[i]);
	client_free(d);
	client_free(a);
	broker_stop();
	fill(0);
	broker_start();
	assert_int_equal(b.m->session_count, 4);
}

/* Goal: PUBREL is answered once the store has it, also the second one, over
 * another connection: before that the identifier is not free. */
static void
released_once_stored(void **state)
{
	struct client *c = publisher("c", TN_MQTT_V5);

	(void)state;
	c->mute = true;
	client_publish(c, "plain/k", "1", 2, 9);
	assert_int_equal(client_next(c)->type, TN_MQTT_PUBREC);
	run_until(is_quiet);
	fill(1);
	client_ack(c, TN_MQTT_PUBREL, 9);
	check_refused(c);
	client_open(c, TN_MQTT_V5);
	fill(0);
	run_until(is_quiet);
	assert_true(client_connect(c, "c", false, 100));
	run_until(is_quiet);
	client_ack(c, TN_MQTT_PUBREL, 9);
	assert_int_equal(client_next(c)->type, TN_MQTT_PUBCOMP);
	/* It is free. */
	client_publish(c, "plain/k", "1", 2, 9);
	assert_int_equal(client_next(c)->type, TN_MQTT_PUBREC);
	assert_int_equal(committed(), 2);
	client_free(c);
	run_until(is_quiet);
}

static void
connect_with_will(struct client *c, const char *id, uint32_t delay_s)
{
	client_connect_will(c, &(struct wanted_will){ id, delay_s > 0 ?
	    "will/late" : "plain/will", tn_slice_of("7"), 100, delay_s, NULL,
	    0 });
}

/* Goal: when the program ends in order, wills are said, into streams, too; one
 * with a delay whose session lasts waits for it beyond the next start. A
 * goodbye takes its will with it. */
static void
wills_at_the_end(void **state)
{
	struct client *a = client_new(TN_MQTT_V5), *c[3];
	struct tn_codec_mqtt_packet bye = { .type = TN_MQTT_DISCONNECT };

	(void)state;
	client_connect(a, "a", true, 100);
	client_subscribe(a, "will/#", 1);
	for (uint32_t i = 0; i < 3; i++) {
		c[i] = client_new(TN_MQTT_V5);
		connect_with_will(c[i], (char [2]){ (char)('0' + i), 0 },
		    i == 1 ? 50 : 0);
	}
	client_send(c[2], &bye);
	assert_null(client_next(c[2]));
	client_cut(c[1]);
	run_until(is_quiet);
	assert_int_equal(committed(), 0);
	tn_mqtt_drain(b.m);
	assert_int_equal(client_next_of(c[0], TN_MQTT_DISCONNECT)->reason,
	    TN_MQTT_SHUTTING_DOWN);
	run_until(is_idle);
	assert_int_equal(committed(), 1);
	broker_stop();
	broker_start();
	client_open(a, TN_MQTT_V5);
	assert_true(client_connect(a, "a", false, 100));
	clock_add_s(49);
	client_publish(a, "will/late", "not yet", 0, 0);
	assert_int_equal(client_next_of(a, TN_MQTT_PUBLISH)->payload.n, 7);
	clock_add_s(2);
	assert_int_equal(client_next_of(a, TN_MQTT_PUBLISH)->payload.n, 1);
	for (uint32_t i = 0; i < 3; i++)
		client_free(c[i]);
	client_free(a);
	run_until(is_quiet);
}

/* ---- aliases ---------------------------------------------------------- */

static void
connect_for_aliases(struct client *c, uint16_t max, uint32_t packet_max)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };

	p.connect.client_id = tn_slice_of("alias");
	p.connect.clean_start = true;
	p.props.present = UINT64_C(1) << TN_MQTT_P_TOPIC_ALIAS_MAX;
	p.props.topic_alias_max = max;
	if (packet_max > 0)
		p.props.present |= UINT64_C(1) << TN_MQTT_P_PACKET_MAX;
	p.props.packet_max = packet_max;
	client_send(c, &p);
	assert_int_equal(client_next(c)->type, TN_MQTT_CONNACK);
}

/* Goal: topics come by alias to those who take some, in all QoS: never one
 * above theirs, and by what the client has been told each is the right topic,
 * also when there are more topics than aliases; a packet that fits only
 * without alias comes without. */
static void
aliases_to_clients(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	char held[5][32] = { "" }, topic[32];
	uint32_t short_ones = 0;

	(void)state;
	connect_for_aliases(c, 4, 0);
	client_subscribe(c, "#", 2);
	for (uint32_t i = 0; i < 400; i++) {
		const struct tn_codec_mqtt_packet *p;
		uint32_t alias;
		(void)snprintf(topic, sizeof topic, "topic/%u",
		    i < 100 ? 1 : rnd(9));
		client_publish(c, topic, "x", (uint8_t)rnd(3),
		    (uint16_t)(i + 1));
		p = client_next_of(c, TN_MQTT_PUBLISH);
		alias = p->props.topic_alias;
		assert_in_range(alias, 1, 4);
		short_ones += p->topic.n == 0;
		if (p->topic.n > 0)
			(void)snprintf(held[alias], sizeof held[alias],
			    "%.*s", (int)p->topic.n, (const char *)p->topic.p);
		assert_string_equal(held[alias], topic);
		if (i == 99)
			assert_int_equal(short_ones, 99);
		run_until(is_quiet);
	}
	assert_true(short_ones > 150);
	client_cut(c);
	run_until(is_quiet);
	assert_int_equal(b.m->queued_bytes, 0);
	client_open(c, TN_MQTT_V5);
	/* 2 of head, 2 + 7 of topic, 1 of properties, 12 of payload. */
	connect_for_aliases(c, 1, 24);
	client_subscribe(c, "#", 0);
	client_publish(c, "topic/1", "123456789012", 0, 0);
	assert_int_equal(client_next_of(c, TN_MQTT_PUBLISH)->props.present,
	    0);
	client_publish(c, "topic/1", "12345678", 0, 0);
	assert_int_equal(client_next_of(c, TN_MQTT_PUBLISH)->props.topic_alias,
	    1);
	client_publish(c, "topic/1", "1234567890123456", 0, 0);
	assert_int_equal(client_next_of(c, TN_MQTT_PUBLISH)->topic.n, 0);
	client_cut(c);
	client_open(c, TN_MQTT_V5);
	connect_for_aliases(c, 0, 0);
	client_subscribe(c, "#", 1);
	client_publish(c, "topic/1", "x", 1, 1);
	assert_int_equal(client_next_of(c, TN_MQTT_PUBLISH)->props.present,
	    0);
	client_free(c);
	run_until(is_quiet);
}

static int
drop(void **state)
{
	fill(0);
	return broker_drop(state);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, broker_make, drop)
	const struct CMUnitTest tests[] = {
		TEST(without_room), TEST(released_once_stored),
		TEST(wills_at_the_end), TEST(aliases_to_clients),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

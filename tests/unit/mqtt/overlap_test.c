/* wrap: tn_net_timer_start */
/* Patterns that take the same topics: of one stream the first one of its list
 * takes a message, of several streams each has it. */
#define BROKER_MORE_SQL \
    "CREATE TABLE first (k text NOT NULL, n int8) " \
    "WITH (mqtt = 'ev/{k} -> n, ev/+ -> n, ev/# -> n');" \
    "CREATE TABLE last (k text NOT NULL, n int8) " \
    "WITH (mqtt = 'last/+ -> n, last/{k} -> n');" \
    "CREATE TABLE many (n int8) WITH (mqtt = 'ev/+ -> n, ev/# -> n');" \
    "CREATE TABLE more (n int8) WITH (mqtt = 'ev/# -> n');"
#include "broker_help.h"

static void
expect_rows(int good, int bad)
{
	assert_int_equal(committed(), good);
	assert_int_equal(__atomic_load_n(&b.quarantined, __ATOMIC_SEQ_CST),
	    bad);
}

static void
publish(struct client *c, const char *topic, uint16_t id, bool dup)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH, .qos = 1,
	    .dup = dup, .id = id, .topic = tn_slice_of(topic),
	    .payload = tn_slice_of("7") };
	const struct tn_codec_mqtt_packet *ack;

	client_send(c, &p);
	ack = client_next_of(c, TN_MQTT_PUBACK);
	assert_non_null(ack);
	assert_int_equal(ack->id, id);
}

/* Goal: a message is one row of each stream that takes its topic, by the first
 * pattern of the list that does, whether the topic is new to the connection or
 * the same again. */
static void
one_row_a_stream(void **state)
{
	struct client *c = client_new(5);

	(void)state;
	(void)client_connect(c, "one", true, 0);
	publish(c, "ev/a", 1, false);
	expect_rows(3, 0);
	publish(c, "ev/a", 2, false);
	expect_rows(6, 0);
	publish(c, "ev/a/b", 3, false);
	expect_rows(8, 1);               /* ev/# knows no k. */
	publish(c, "last/a", 4, false);
	expect_rows(8, 2);               /* Nor does last/+, the first. */
	publish(c, "last/a", 5, false);
	expect_rows(8, 3);
	client_free(c);
}

/* Goal: what was committed by one of the patterns is found again when it comes
 * again, over another connection and after a restart. */
static void
repeated(void **state)
{
	struct client *c = client_new(5);

	(void)state;
	(void)client_connect(c, "one", false, 1000);
	publish(c, "ev/a", 9, false);
	expect_rows(3, 0);
	client_cut(c);
	client_open(c, 5);
	assert_true(client_connect(c, "one", false, 1000));
	publish(c, "ev/a", 9, true);
	expect_rows(3, 0);
	client_cut(c);
	broker_stop();
	broker_start();
	client_open(c, 5);
	assert_true(client_connect(c, "one", false, 1000));
	publish(c, "ev/a", 9, true);
	expect_rows(3, 0);
	publish(c, "ev/a", 10, false);
	expect_rows(6, 0);
	client_free(c);
}

/* Goal: a message of Tarn's own (a will) is a row once, too. */
static void
wills(void **state)
{
	const struct wanted_will w = { .id = "gone", .topic = "ev/w",
	    .payload = tn_slice_of("1") };
	struct client *c = client_new(5);

	(void)state;
	client_connect_will(c, &w);
	client_cut(c);
	run_until(is_idle);
	expect_rows(3, 0);
	client_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_row_a_stream,
		    broker_make, broker_drop),
		cmocka_unit_test_setup_teardown(repeated, broker_make,
		    broker_drop),
		cmocka_unit_test_setup_teardown(wills, broker_make,
		    broker_drop),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: tn_net_timer_start */
/* What a connection may do hangs on how it came, not on the session that it
 * finds under its identifier. */
#include "broker_help.h"

/* The reason of the CONNACK. */
static uint8_t
knock(enum tn_governance_scope scope, uint8_t version, const char *id,
    bool clean)
{
	struct client *c = tn_zalloc(sizeof *c);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT };
	const struct tn_codec_mqtt_packet *ack;
	uint8_t reason;

	client_open_as(c, version, scope);
	p.connect.client_id = tn_slice_of(id);
	p.connect.clean_start = clean;
	client_send(c, &p);
	ack = client_next(c);
	assert_non_null(ack);
	assert_int_equal(ack->type, TN_MQTT_CONNACK);
	reason = ack->reason;
	if (reason != 0) {
		assert_null(client_next(c));
		assert_int_equal(c->count, 1);
	}
	client_free(c);
	return reason;
}

/* Goal: who may only publish gets no session with subscriptions, whether it is
 * connected or offline with a queue, and cannot end it by a clean start; whoever
 * may subscribe gets it, with all that is in it. */
static void
sessions_of_readers(void **state)
{
	struct client *r = client_new(5), *w = client_new(5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	assert_false(client_connect(r, "board", false, 1000));
	client_subscribe(r, "secret/#", 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(knock(TN_SCOPE_INGEST, 5, "board", false),
		    TN_MQTT_NOT_AUTHORIZED);
		assert_int_equal(knock(TN_SCOPE_INGEST, 5, "board", true),
		    TN_MQTT_NOT_AUTHORIZED);
		assert_int_equal(knock(TN_SCOPE_INGEST, 4, "board", true), 5);
		if (i > 0)
			continue;
		assert_non_null(r->s);
		client_cut(r);
		(void)client_connect(w, "w", true, 0);
		client_publish(w, "secret/x", "one", 1, 1);
		assert_non_null(client_next_of(w, TN_MQTT_PUBACK));
	}
	client_open_as(r, 5, TN_SCOPE_READ);
	assert_true(client_connect(r, "board", false, 1000));
	p = client_next_of(r, TN_MQTT_PUBLISH);
	assert_non_null(p);
	assert_true(tn_slice_is(p->payload, "one"));
	client_free(r);
	client_free(w);
}

/* Goal: its own session, which has none, it finds again. */
static void
sessions_of_writers(void **state)
{
	struct client *c = tn_zalloc(sizeof *c);

	(void)state;
	client_open_as(c, 5, TN_SCOPE_INGEST);
	assert_false(client_connect(c, "device", false, 1000));
	client_cut(c);
	client_open_as(c, 5, TN_SCOPE_INGEST);
	assert_true(client_connect(c, "device", false, 1000));
	client_publish(c, "plain/a", "1", 1, 1);
	assert_non_null(client_next_of(c, TN_MQTT_PUBACK));
	assert_int_equal(committed(), 1);
	assert_int_equal(knock(TN_SCOPE_INGEST, 5, "device", true), 0);
	client_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sessions_of_readers,
		    broker_make, broker_drop),
		cmocka_unit_test_setup_teardown(sessions_of_writers,
		    broker_make, broker_drop),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

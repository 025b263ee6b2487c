/* wrap: tn_net_timer_start tn_serving_live_open tn_serving_live_close */
/* Views that publish: rows of the live feed become retained messages, by a
 * broker on sockets; the feed is the test's. */
#define BROKER_MORE_SQL \
    "CREATE MATERIALIZED VIEW by_k WITH (publish = 'views/{k}/{b}/n') AS " \
    "SELECT k, n > 3 AS b, count(*) AS c, max(n) AS top FROM plain " \
    "GROUP BY k, n > 3;" \
    "CREATE MATERIALIZED VIEW first WITH (publish = '{k}/first') AS " \
    "SELECT k, count(*) AS c FROM plain GROUP BY k;" \
    "CREATE MATERIALIZED VIEW quiet AS SELECT k, count(*) AS c FROM plain " \
    "GROUP BY k;" \
    "CREATE MATERIALIZED VIEW loops WITH (publish = 'plain/{k}') AS " \
    "SELECT id AS k, count(*) AS c FROM keyed GROUP BY id;"
#include "broker_help.h"

/* ---- the feed -------------------------------------------------------- */

static struct feed {
	char view[32];
	void (*message)(void *arg, struct tn_slice json);
	void *arg;
	bool closed;
} feeds[4];
static uint32_t feed_count;
static bool no_feed;

struct tn_serving_live *__wrap_tn_serving_live_open(struct tn_serving *s,
    const struct tn_serving_view_request *r,
    void (*message)(void *arg, struct tn_slice json), void *arg,
    struct tn_diag *d);
struct tn_serving_live *
__wrap_tn_serving_live_open(struct tn_serving *s,
    const struct tn_serving_view_request *r,
    void (*message)(void *arg, struct tn_slice json), void *arg,
    struct tn_diag *d)
{
	struct feed *f = &feeds[feed_count];

	(void)s;
	if (no_feed) {
		tn_diag_set(d, TN_ELIMIT, "too_many", "too many readers");
		return NULL;
	}
	assert_true(feed_count++ < TN_COUNT(feeds));
	(void)snprintf(f->view, sizeof f->view, "%.*s", (int)r->view.n,
	    (const char *)r->view.p);
	f->message = message;
	f->arg = arg;
	f->closed = false;
	return (struct tn_serving_live *)f;
}

void __wrap_tn_serving_live_close(struct tn_serving_live *l);
void
__wrap_tn_serving_live_close(struct tn_serving_live *l)
{
	((struct feed *)l)->closed = true;
}

static void
feed(const char *view, const char *json)
{
	for (uint32_t i = 0; i < feed_count; i++)
		if (strcmp(feeds[i].view, view) == 0 && !feeds[i].closed) {
			feeds[i].message(feeds[i].arg, tn_slice_of(json));
			return;
		}
	fail_msg("%s is not read", view);
}

/* Rows are published on the loop. */
static const char *fed_view, *fed_json;

static bool
feeds_now(void)
{
	if (fed_json != NULL)
		feed(fed_view, fed_json);
	fed_json = NULL;
	return is_quiet();
}

static void
feed_on_loop(const char *view, const char *json)
{
	fed_view = view;
	fed_json = json;
	run_until(feeds_now);
}

static void
hear(struct client *c, const char *topic, const char *payload)
{
	const struct tn_codec_mqtt_packet *p = client_next_of(c,
	    TN_MQTT_PUBLISH);

	assert_non_null(p);
	if (!tn_slice_is(p->topic, topic) || !tn_slice_is(p->payload, payload))
		print_message("%.*s %.*s\n", (int)p->topic.n, (const char *)
		    p->topic.p, (int)p->payload.n, (const char *)p->payload.p);
	assert_true(tn_slice_is(p->topic, topic));
	assert_true(tn_slice_is(p->payload, payload));
	assert_int_equal(p->qos, 1);
	assert_true(tn_slice_is(p->props.content_type, "application/json"));
}

/* ---- tests ----------------------------------------------------------- */

/* Goal: a row is a retained message with its columns in topic and payload; what
 * would break the topic is escaped, what is null is "-"; an equal row is not
 * said again; who comes later gets the newest. */
static void
rows_are_retained(void **state)
{
	struct client *c = client_new(TN_MQTT_V5), *late;

	(void)state;
	assert_int_equal(feed_count, 3);
	client_connect(c, "c", true, 0);
	client_subscribe(c, "views/#", 1);
	feed_on_loop("by_k", "{\"rows\":[[\"a\",true,2,9],[\"b/+#\",false,1,"
	    "null],[\"\",null,1,-4.5],[null,true,1,\"18446744073709551615\"]"
	    "]}");
	hear(c, "views/a/true/n", "{\"k\":\"a\",\"b\":true,\"c\":2,\"top\":9}");
	hear(c, "views/b%2F%2B%23/false/n",
	    "{\"k\":\"b/+#\",\"b\":false,\"c\":1,\"top\":null}");
	hear(c, "views//-/n", "{\"k\":\"\",\"b\":null,\"c\":1,\"top\":-4.5}");
	hear(c, "views/-/true/n", "{\"k\":null,\"b\":true,\"c\":1,"
	    "\"top\":\"18446744073709551615\"}");
	/* The snapshot again, with one change. */
	feed_on_loop("by_k", "{\"rows\":[[\"a\",true,2,9],[\"b/+#\",false,2,"
	    "1],[\"a\",true,2,9]]}");
	hear(c, "views/b%2F%2B%23/false/n",
	    "{\"k\":\"b/+#\",\"b\":false,\"c\":2,\"top\":1}");
	feed_on_loop("by_k", "{\"rows\":[[\"\\u0000\\\"\\u00e4\",true,1,1]]}");
	hear(c, "views/%00\"\u00e4/true/n",
	    "{\"k\":\"\\u0000\\\"\u00e4\",\"b\":true,\"c\":1,\"top\":1}");
	run_until(is_quiet);
	assert_int_equal(tn_mqtt_retained_count(b.m->retained), 5);
	late = client_new(TN_MQTT_V5);
	client_connect(late, "late", true, 0);
	client_subscribe(late, "views/b%2F%2B%23/+/n", 1);
	hear(late, "views/b%2F%2B%23/false/n",
	    "{\"k\":\"b/+#\",\"b\":false,\"c\":2,\"top\":1}");
	client_free(c);
	client_free(late);
	run_until(is_quiet);
}

/* Goal: values that differ never make one topic. */
static void
topics_differ(void **state)
{
	static const char *const values[] = { "null", "\"-\"", "\"\"",
	    "\"_\"", "\"+\"", "\"#\"", "\"/\"", "\"a/b\"", "\"a_b\"",
	    "\"%\"", "\"%2F\"", "\"--\"", "\"$a\"", "\"%24a\"" };
	char json[100];

	(void)state;
	for (uint32_t i = 0; i < TN_COUNT(values); i++) {
		(void)snprintf(json, sizeof json, "{\"rows\":[[%s,true,1,1]]}",
		    values[i]);
		feed_on_loop("by_k", json);
		assert_int_equal(tn_mqtt_retained_count(b.m->retained),
		    i + 1);
	}
	/* A topic that begins with $ is for no one's #. */
	feed_on_loop("first", "{\"rows\":[[\"$SYS\",1],[\"x$\",1]]}");
	assert_true(tn_slice_is(tn_mqtt_retained_payload(b.m->retained,
	    tn_slice_of("%24SYS/first")), "{\"k\":\"$SYS\",\"c\":1}"));
	assert_true(tn_slice_is(tn_mqtt_retained_payload(b.m->retained,
	    tn_slice_of("x$/first")), "{\"k\":\"x$\",\"c\":1}"));
}

#define SNAPSHOT(rows, cut) "{\"type\":\"snapshot\",\"rows\":[" rows \
    "],\"truncated\":" cut "}"

/* Goal: a row that a snapshot of all rows has not is cleared, and who listens
 * is told; neither a patch nor a part of the rows clears anything, nor one view
 * what another one published. A view that is gone has no rows. */
static void
rows_go(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;
	struct retained *r = b.m->retained;

	(void)state;
	feed_on_loop("first", "{\"rows\":[[\"views/a/true/n\",1],[\"x\",1]]}");
	feed_on_loop("by_k", "{\"type\":\"rows\",\"rows\":[[\"a\",true,2,9],"
	    "[\"b\",true,2,9],[\"c\",true,2,9]]}");
	client_connect(c, "c", true, 0);
	client_publish(c, "views/x/n", "hands off", 0, 0);
	client_subscribe(c, "views/+/+/n", 1);
	for (int i = 0; i < 3; i++)
		assert_non_null(client_next_of(c, TN_MQTT_PUBLISH));
	feed_on_loop("by_k", "{\"type\":\"rows\",\"rows\":[[\"a\",true,2,9]]}");
	feed_on_loop("by_k", SNAPSHOT("[\"a\",true,2,9]", "true"));
	feed_on_loop("by_k", "{\"type\":\"cut\"}");
	assert_int_equal(tn_mqtt_retained_count(r), 5);
	feed_on_loop("by_k", SNAPSHOT("[\"a\",true,2,9],[\"c\",true,3,9]",
	    "false"));
	assert_int_equal(tn_mqtt_retained_count(r), 4);
	hear(c, "views/c/true/n", "{\"k\":\"c\",\"b\":true,\"c\":3,\"top\":9}");
	p = client_next_of(c, TN_MQTT_PUBLISH);
	assert_true(tn_slice_is(p->topic, "views/b/true/n"));
	assert_int_equal(p->payload.n, 0);
	feed_on_loop("first", SNAPSHOT("", "false"));
	assert_int_equal(tn_mqtt_retained_count(r), 2);
	feed_on_loop("by_k", SNAPSHOT("[\"b\",true,1,9]", "false"));
	assert_int_equal(tn_mqtt_retained_count(r), 1);
	feed_on_loop("by_k", "{\"type\":\"gone\"}");
	assert_int_equal(tn_mqtt_retained_count(r), 0);
	client_free(c);
	run_until(is_quiet);
}

/* A PUBLISH or a will of a client; false: it is refused. */
static bool
is_taken(uint8_t version, const char *topic, uint8_t qos, bool will)
{
	struct client *c = client_new(version);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .qos = qos, .id = 5, .retain = true, .topic = tn_slice_of(topic),
	    .payload = tn_slice_of("666") };
	struct wanted_will w = { .id = "w", .topic = topic,
	    .payload = p.payload };
	const struct tn_codec_mqtt_packet *ack;
	bool taken;

	if (will) {
		client_send_will(c, &w);
	} else {
		client_connect(c, "p", true, 0);
		client_send(c, &p);
	}
	ack = client_next(c);
	taken = ack != NULL && ack->reason == 0;
	client_free(c);
	run_until(is_quiet);
	return taken;
}

/* Goal: what a view publishes nobody else may overwrite, clear or will; beside
 * its topics, and where a stream takes them, all is as ever. */
static void
topics_are_the_view_s(void **state)
{
	const struct tn_slice topic = tn_slice_of("views/a/true/n");

	(void)state;
	feed_on_loop("by_k", "{\"rows\":[[\"a\",true,2,9]]}");
	for (uint8_t v = 4; v <= 5; v++) {
		assert_false(is_taken(v, "views/a/true/n", 1, false));
		assert_false(is_taken(v, "views/a/true/n", 2, false));
		assert_false(is_taken(v, "views/other/x/n", 1, false));
		assert_false(is_taken(v, "views/a/true/n", 0, true));
		assert_true(is_taken(v, "views/a/true/m", 1, false));
		assert_true(is_taken(v, "views/a/n", 1, false));
		assert_true(is_taken(v, "plain/x", 1, false));
		assert_true(is_taken(v, "views/a/true/m", 0, true));
	}
	assert_true(tn_slice_is(tn_mqtt_retained_payload(b.m->retained,
	    topic), "{\"k\":\"a\",\"b\":true,\"c\":2,\"top\":9}"));
	assert_int_equal(committed(), 2);
}

/* Goal: a topic that a stream maps takes the rows too; what is no rows does no
 * harm; retained rows are not kept on disk, as the view is: after a restart the
 * snapshot brings them, while a session that is kept has its messages. */
static void
streams_and_restarts(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);

	(void)state;
	client_connect(c, "c", true, 100);
	client_subscribe(c, "views/#", 1);
	client_cut(c);
	feed_on_loop("loops", "{\"rows\":[[\"x\",7]]}");
	/* An object is no number: it goes to quarantine. */
	assert_int_equal(b.rows + b.quarantined, 1);
	feed_on_loop("by_k", "{\"rows\":[[\"a\",true,2,9]]}");
	feed_on_loop("by_k", "{\"rows\":[");
	feed_on_loop("by_k", "{\"type\":\"end\"}");
	feed_on_loop("by_k", "[]");
	feed_on_loop("by_k", "{\"rows\":[[]]}");
	assert_int_equal(tn_mqtt_retained_count(b.m->retained), 3);
	client_cut(c);
	run_until(is_idle);
	broker_stop();
	assert_true(feeds[0].closed && feeds[1].closed);
	feed_count = 0;
	broker_start();
	assert_int_equal(tn_mqtt_retained_count(b.m->retained), 0);
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "c", false, 100));
	hear(c, "views/a/true/n", "{\"k\":\"a\",\"b\":true,\"c\":2,\"top\":9}");
	client_free(c);
	run_until(is_quiet);
}

/* Goal: a view that cannot be read is told, and the broker goes on. */
static void
without_a_feed(void **state)
{
	(void)state;
	broker_stop();
	feed_count = 0;
	no_feed = true;
	broker_start();
	no_feed = false;
	assert_int_equal(feed_count, 0);
}

static int
make(void **state)
{
	feed_count = 0;
	no_feed = false;
	return broker_make(state);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, broker_drop)
	const struct CMUnitTest tests[] = {
		TEST(rows_are_retained), TEST(topics_differ),
		TEST(rows_go), TEST(topics_are_the_view_s),
		TEST(streams_and_restarts), TEST(without_a_feed),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

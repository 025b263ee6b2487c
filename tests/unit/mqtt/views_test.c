/* wrap: tn_net_timer_start tn_serving_live_open tn_serving_live_close */
/* Views that publish: rows of the live feed become retained messages, by a
 * broker on sockets; the feed is the test's. What was published is known over
 * restarts. */
#define BROKER_MORE_SQL \
    "CREATE MATERIALIZED VIEW by_k WITH (publish = 'views/{k}/{b}/n') AS " \
    "SELECT k, n > 3 AS b, count(*) AS c, max(n) AS top FROM plain " \
    "GROUP BY k, n > 3;" \
    "CREATE MATERIALIZED VIEW first WITH (publish = '{k}/first/n') AS " \
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
	    tn_slice_of("%24SYS/first/n")), "{\"k\":\"$SYS\",\"c\":1}"));
	assert_true(tn_slice_is(tn_mqtt_retained_payload(b.m->retained,
	    tn_slice_of("x$/first/n")), "{\"k\":\"x$\",\"c\":1}"));
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

/* ---- restarts -------------------------------------------------------- */

/* The client is away while Tarn starts anew. */
static void
restart(struct client *c)
{
	client_cut(c);
	run_until(is_quiet);
	broker_stop();
	feed_count = 0;
	broker_start();
	run_until(is_quiet);
}

static void
come_back(struct client *c)
{
	client_open(c, TN_MQTT_V5);
	assert_true(client_connect(c, "away", false, 100));
}

/* All that is for it has come, up to here. */
static void
hear_end(struct client *c)
{
	const struct tn_codec_mqtt_packet *p;

	client_publish(c, "end", "x", 0, 0);
	p = client_next_of(c, TN_MQTT_PUBLISH);
	if (!tn_slice_is(p->topic, "end"))
		print_message("%.*s %.*s\n", (int)p->topic.n, (const char *)
		    p->topic.p, (int)p->payload.n, (const char *)p->payload.p);
	assert_true(tn_slice_is(p->topic, "end"));
}

static void
hear_cleared(struct client *c, const char *topic)
{
	const struct tn_codec_mqtt_packet *p = client_next_of(c,
	    TN_MQTT_PUBLISH);

	assert_non_null(p);
	assert_true(tn_slice_is(p->topic, topic));
	assert_int_equal(p->payload.n, 0);
}

#define ROW_A "[\"a\",true,2,9]"
#define ROW_B "[\"b\",true,2,9]"
#define ROW_C "[\"c\",true,2,9]"
#define TEXT_B2 "{\"k\":\"b\",\"b\":true,\"c\":3,\"top\":9}"

static struct client *
away_with_three(void)
{
	struct client *c = client_new(TN_MQTT_V5);

	client_connect(c, "away", true, 100);
	client_subscribe(c, "#", 1);
	feed_on_loop("by_k", SNAPSHOT(ROW_A "," ROW_B "," ROW_C, "false"));
	for (int i = 0; i < 3; i++)
		assert_non_null(client_next_of(c, TN_MQTT_PUBLISH));
	return c;
}

/* Goal: after a start a row that is as it was is retained and nobody hears of
 * it, one that changed is published, and one that has gone is cleared, but not
 * before all rows are known; so again after a second start. */
static void
only_changes_after_a_start(void **state)
{
	struct client *c = away_with_three();
	struct retained *r;

	(void)state;
	restart(c);
	r = b.m->retained;
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 3);
	assert_int_equal(tn_mqtt_retained_count(r), 0);
	feed_on_loop("by_k", "{\"type\":\"rows\",\"rows\":[" ROW_A "]}");
	come_back(c);
	hear_end(c);
	feed_on_loop("by_k", SNAPSHOT(ROW_A ",[\"b\",true,3,9]", "false"));
	hear(c, "views/b/true/n", TEXT_B2);
	hear_cleared(c, "views/c/true/n");
	hear_end(c);
	assert_int_equal(tn_mqtt_retained_count(r), 2);
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 0);
	restart(c);
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 2);
	feed_on_loop("by_k", SNAPSHOT("[\"b\",true,3,9]," ROW_A, "false"));
	come_back(c);
	hear_end(c);
	/* Back to what it was before: that is a change, too. */
	feed_on_loop("by_k", "{\"rows\":[[\"a\",true,3,9]]}");
	feed_on_loop("by_k", "{\"rows\":[" ROW_A "]}");
	hear(c, "views/a/true/n", "{\"k\":\"a\",\"b\":true,\"c\":3,"
	    "\"top\":9}");
	hear(c, "views/a/true/n", "{\"k\":\"a\",\"b\":true,\"c\":2,"
	    "\"top\":9}");
	client_free(c);
	run_until(is_quiet);
}

static void
hear_retained(struct client *c, const char *topic)
{
	const struct tn_codec_mqtt_packet *p = client_next_of(c,
	    TN_MQTT_PUBLISH);

	assert_non_null(p);
	assert_true(tn_slice_is(p->topic, topic));
	assert_true(p->retain);
}

/* Goal: who subscribes after a start and before the view's rows are known gets
 * each of them once, as retained: those that had come, and those that come. */
static void
early_ones_get_all(void **state)
{
	struct client *c = away_with_three(), *early, *later;

	(void)state;
	restart(c);
	feed_on_loop("by_k", "{\"type\":\"rows\",\"rows\":[" ROW_A "]}");
	come_back(c);
	early = client_new(TN_MQTT_V5);
	client_connect(early, "early", true, 0);
	client_subscribe(early, "views/#", 1);
	hear_retained(early, "views/a/true/n");
	client_subscribe(early, "end", 1);
	hear_end(early);
	feed_on_loop("by_k", SNAPSHOT(ROW_A "," ROW_B "," ROW_C, "false"));
	hear_retained(early, "views/b/true/n");
	hear_retained(early, "views/c/true/n");
	later = client_new(TN_MQTT_V5);
	client_connect(later, "later", true, 0);
	client_subscribe(later, "views/+/true/n", 1);
	for (int i = 0; i < 3; i++)
		assert_true(client_next_of(later, TN_MQTT_PUBLISH)->retain);
	client_publish(c, "end", "x", 0, 0);
	hear_end(early);
	client_free(later);
	client_free(early);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: a row whose payload the store does not know (a crash soon after it was
 * published) is published once more; its topic is not forgotten. */
static void
open_rows_come_again(void **state)
{
	struct client *c = away_with_three();

	(void)state;
	client_cut(c);
	run_until(is_quiet);
	while (tn_mqtt_held_row(tn_mqtt_retained_held(b.m->retained,
	    tn_slice_of("views/c/true/n")))->note != ROW_CLOSED)
		feed_on_loop("by_k", "{}");
	tn_mqtt_row_note(b.m, tn_slice_of("views/a/true/n"), NULL);
	tn_mqtt_row_note(b.m, tn_slice_of("views/c/true/n"), NULL);
	restart(c);
	feed_on_loop("by_k", SNAPSHOT(ROW_A "," ROW_B, "false"));
	come_back(c);
	hear(c, "views/a/true/n", "{\"k\":\"a\",\"b\":true,\"c\":2,"
	    "\"top\":9}");
	hear_cleared(c, "views/c/true/n");
	hear_end(c);
	client_free(c);
	run_until(is_quiet);
}

static bool
has_begun(void)
{
	return tn_mqtt_retained_count(b.m->retained) > 0;
}

static bool
is_noted(void *arg, struct tn_slice key, struct tn_slice value)
{
	(void)key;
	(void)value;
	++*(uint32_t *)arg;
	return true;
}

/* Goal: the store knows a topic before a client hears of it: without kept
 * sessions, and by QoS 0. */
static void
topics_are_known_first(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	uint32_t n = 0;

	(void)state;
	client_connect(c, "c", true, 0);
	client_subscribe(c, "views/#", 0);
	feed("by_k", SNAPSHOT(ROW_A, "false"));
	run_until(has_begun);
	/* Nothing of it is in a batch only: what is on disk is read. */
	assert_int_equal(tn_mqtt_store_each(b.m->store, tn_slice_of("v"),
	    is_noted, &n), TN_OK);
	assert_int_equal(n, 1);
	assert_non_null(client_next_of(c, TN_MQTT_PUBLISH));
	client_free(c);
	run_until(is_quiet);
}

/* Goal: topics that no view can have any more (another pattern, no view) are
 * cleared at the start; those a view may still tell are not. */
static void
foreign_topics_are_cleared(void **state)
{
	const struct tn_slice payload = tn_slice_of("1");
	struct client *c = away_with_three();

	(void)state;
	tn_mqtt_row_note(b.m, tn_slice_of("old/a"), &payload);
	tn_mqtt_row_note(b.m, tn_slice_of("views/z/true/n"), &payload);
	restart(c);
	come_back(c);
	hear_cleared(c, "old/a");
	hear_end(c);
	feed_on_loop("by_k", "{\"type\":\"gone\"}");
	for (int i = 0; i < 4; i++)
		assert_int_equal(client_next_of(c, TN_MQTT_PUBLISH)->
		    payload.n, 0);
	hear_end(c);
	restart(c);
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 0);
	client_free(c);
}

/* Goal: rows over mqtt_retained_max are published, not retained, and not in
 * the store, which is so bounded. */
static void
over_the_limit(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);

	(void)state;
	client_free(c);
	broker_stop();
	feed_count = 0;
	b.o.retained_max = 2;
	broker_start();
	c = away_with_three();
	assert_int_equal(tn_mqtt_retained_count(b.m->retained), 2);
	restart(c);
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 2);
	client_free(c);
	run_until(is_quiet);
}

/* Goal: a damaged entry is dropped, and does no harm. */
static void
damaged_entries(void **state)
{
	struct client *c = away_with_three();

	(void)state;
	tn_mqtt_store_put(b.m->store, tn_slice_of("v2345678901234567"),
	    tn_slice_of("\1xxxxxxxxxxxxxxxxviews/a/true/n"));
	tn_mqtt_store_put(b.m->store, tn_slice_of("v"), tn_slice_of("\1"));
	tn_say_setup(TN_ERROR + 1, 0);
	restart(c);
	tn_say_setup(TN_ERROR, 0);
	assert_int_equal(tn_mqtt_rows_left_end(b.m->rows), 3);
	restart(c);
	client_free(c);
}

/* ---- turns ----------------------------------------------------------- */

#define MANY 3000

static char *
many_rows(char *out, size_t n, bool whole)
{
	size_t at = (size_t)snprintf(out, n, "{\"type\":\"%s\",\"rows\":[",
	    whole ? "snapshot" : "rows");

	for (int i = 0; i < MANY; i++)
		at += (size_t)snprintf(out + at, n - at,
		    "%s[\"]\\\"%d\",true,1,1]", i > 0 ? "," : "", i);
	(void)snprintf(out + at, n - at, "],\"truncated\":false}");
	return out;
}

/* Goal: many rows take many turns, and a newer snapshot makes the rest of an
 * older one needless; a patch does not. */
static void
many_take_turns(void **state)
{
	static char text[MANY * 40];
	struct retained *r = b.m->retained;

	(void)state;
	feed("by_k", many_rows(text, sizeof text, true));
	assert_int_equal(tn_mqtt_retained_count(r), 0);
	run_until(has_begun);
	assert_in_range(tn_mqtt_retained_count(r), 1, MANY / 2);
	feed_on_loop("by_k", SNAPSHOT(ROW_A, "false"));
	assert_int_equal(tn_mqtt_retained_count(r), 1);
	feed("by_k", many_rows(text, sizeof text, false));
	run_until(has_begun);
	feed_on_loop("by_k", "{\"rows\":[" ROW_B "]}");
	assert_int_equal(tn_mqtt_retained_count(r), MANY + 2);
	/* In the midst of it, when all of it is cleared. */
	feed("by_k", SNAPSHOT("", "false"));
	feed("by_k", many_rows(text, sizeof text, true));
	feed_on_loop("by_k", SNAPSHOT("", "false"));
	assert_int_equal(tn_mqtt_retained_count(r), 0);
	/* And the end of the program. */
	feed("by_k", many_rows(text, sizeof text, true));
	run_until(has_begun);
}

/* Goal: a feed that tells more than can be read begins anew. */
static void
too_much_begins_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++)
		feed("by_k", "{\"rows\":[" ROW_A "]}");
	assert_int_equal(feed_count, 3);
	run_until(is_quiet);
	assert_int_equal(feed_count, 4);
	assert_true(feeds[0].closed);
	feed_on_loop("by_k", SNAPSHOT(ROW_B, "false"));
	assert_int_equal(tn_mqtt_retained_count(b.m->retained), 1);
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
		TEST(early_ones_get_all),
		TEST(only_changes_after_a_start), TEST(open_rows_come_again),
		TEST(topics_are_known_first), TEST(foreign_topics_are_cleared),
		TEST(over_the_limit), TEST(damaged_entries),
		TEST(many_take_turns), TEST(too_much_begins_anew),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

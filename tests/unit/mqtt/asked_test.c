/* wrap: tn_net_timer_start tn_net_loop_post */
/* Retained messages that subscriptions ask for, a part a turn; and queues that
 * share their memory. */
#include "broker_help.h"

#define TOPICS 3000

/* The turns that retained messages take, held until the test lets one go. */
static struct {
	bool hold;
	struct tn_net_job *job;
} turn;

void __real_tn_net_loop_post(struct tn_net_loop *l, struct tn_net_job *job);
void __wrap_tn_net_loop_post(struct tn_net_loop *l, struct tn_net_job *job);
void
__wrap_tn_net_loop_post(struct tn_net_loop *l, struct tn_net_job *job)
{
	if (job == &b.m->asked_turn.job && turn.hold)
		turn.job = job;
	else
		__real_tn_net_loop_post(l, job);
}

static bool
turn_is_held(void)
{
	return turn.job != NULL;
}

static void
let_turn_go(void)
{
	struct tn_net_job *job = turn.job;

	turn.job = NULL;
	__real_tn_net_loop_post(b.loop, job);
}

static void
retain(struct client *c, uint32_t topic, const char *payload)
{
	char name[32];
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .retain = true, .payload = tn_slice_of(payload), .qos = 1,
	    .id = (uint16_t)(topic + 1) };

	(void)snprintf(name, sizeof name, "r/%u", topic);
	p.topic = tn_slice_of(name);
	client_send(c, &p);
}

static bool
all_retained(void)
{
	return tn_mqtt_retained_count(b.m->retained) == TOPICS;
}

static struct client *
filler(void)
{
	struct client *c = client_new(TN_MQTT_V311);

	client_connect(c, "filler", true, 0);
	for (uint32_t i = 0; i < TOPICS; i++)
		retain(c, i, "old");
	run_until(all_retained);
	return c;
}

/* The newest payload of each topic so far; how many messages that were. */
static uint32_t
newest_of(const struct client *c, char (*newest)[8])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct tn_codec_mqtt_packet *p = &c->heard[i];
		uint32_t topic;
		char name[32];

		if (p->type != TN_MQTT_PUBLISH)
			continue;
		(void)snprintf(name, sizeof name, "%.*s", (int)p->topic.n,
		    (const char *)p->topic.p);
		assert_int_equal(sscanf(name, "r/%u", &topic), 1);
		(void)snprintf(newest[topic], 8, "%.*s", (int)p->payload.n,
		    (const char *)p->payload.p);
		n++;
	}
	return n;
}

static struct client *asker;

static bool
no_more_asked(void)
{
	return b.m->asking == NULL && !b.m->asked_turn.posted;
}

static char (*newest)[8];

static bool
has_each(void)
{
	(void)newest_of(asker, newest);
	for (uint32_t i = 0; i < TOPICS; i++)
		if (newest[i][0] == '\0')
			return false;
	return no_more_asked();
}

static void
ask(struct client *c, uint32_t times, uint8_t qos)
{
	static struct tn_codec_mqtt_filter f[2001];
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_SUBSCRIBE, .id = 5,
	    .filters = f, .filter_count = times };

	for (uint32_t i = 0; i < times; i++)
		f[i] = (struct tn_codec_mqtt_filter){
		    .filter = tn_slice_of("r/#"), .qos = qos };
	asker = c;
	client_send(c, &p);
}

static void
made(void)
{
	free(newest);
	newest = calloc(TOPICS, sizeof *newest);
	assert_non_null(newest);
}

/* One turn's part: how many it has heard then. */
static uint32_t
after_a_turn(void)
{
	let_turn_go();
	run_turns(20);
	return newest_of(asker, newest);
}

/* Goal: what one subscription asks for does not hold the loop, and the same
 * filter a thousand times in one packet is answered once. */
static void
a_part_a_turn(void **state)
{
	struct client *f = filler(), *c = client_new(TN_MQTT_V5);
	uint32_t n, before = 0;

	(void)state;
	made();
	client_connect(c, "c", true, 0);
	turn.hold = true;
	ask(c, 1000, 0);
	run_until(turn_is_held);
	for (int turns = 0; turns < 4; turns++) {
		assert_true(turn_is_held());
		n = after_a_turn();
		assert_in_range(n - before, 1, 1024);
		before = n;
	}
	assert_false(turn_is_held());
	assert_int_equal(n, TOPICS);
	turn.hold = false;
	client_free(c);
	client_free(f);
	run_until(is_quiet);
}

/* Goal: what changes before its turn comes is sent as it is then, or not at
 * all when it is gone. */
static void
changed_meanwhile(void **state)
{
	struct client *f = filler(), *c = client_new(TN_MQTT_V5);

	(void)state;
	made();
	client_connect(c, "c", true, 0);
	turn.hold = true;
	ask(c, 1, 0);
	run_until(turn_is_held);
	assert_in_range(after_a_turn(), 1, 1024);
	for (uint32_t i = 0; i < TOPICS; i++)
		retain(f, i, i % 3 == 0 ? "" : "new");
	client_send(f, &(struct tn_codec_mqtt_packet){
	    .type = TN_MQTT_PINGREQ });
	assert_non_null(client_next_of(f, TN_MQTT_PINGRESP));
	while (turn_is_held())
		(void)after_a_turn();
	(void)newest_of(c, newest);
	for (uint32_t i = 0; i < TOPICS; i++)
		assert_string_equal(newest[i], i % 3 == 0 ? "" : "new");
	turn.hold = false;
	client_free(c);
	client_free(f);
	run_until(is_quiet);
}

/* Goal: a session that is kept gets all of them, though its client goes away
 * in the middle; one that is not leaves nothing behind. */
static void
cut_in_the_middle(void **state)
{
	struct client *f = filler(), *c;

	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		made();
		c = client_new(TN_MQTT_V5);
		client_connect(c, "c", true, kept != 0 ? 100 : 0);
		turn.hold = true;
		ask(c, 1, 1);
		run_until(turn_is_held);
		/* And what left with the SUBACK; what is kept waits for the
		 * store. */
		assert_in_range(after_a_turn(), kept != 0 ? 0 : 1, 2048);
		client_cut(c);
		turn.hold = false;
		let_turn_go();
		run_until(no_more_asked);
		run_until(is_quiet);
		(void)newest_of(c, newest);
		client_open(c, TN_MQTT_V5);
		assert_int_equal(client_connect(c, "c", false, 100), kept);
		if (kept != 0)
			run_until(has_each);
		else
			assert_int_equal(newest_of(c, newest), 0);
		client_free(c);
	}
	client_free(f);
	run_until(is_quiet);
}

/* Goal: an unsubscription and the end of the broker take back what was asked
 * for and has not had its turn. */
static void
taken_back(void **state)
{
	struct client *f = filler(), *c = client_new(TN_MQTT_V5);
	struct tn_codec_mqtt_filter x = { .filter = tn_slice_of("r/#") };
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_UNSUBSCRIBE, .id = 6,
	    .filters = &x, .filter_count = 1 };

	(void)state;
	made();
	client_connect(c, "c", true, 0);
	turn.hold = true;
	ask(c, 1, 0);
	run_until(turn_is_held);
	assert_in_range(after_a_turn(), 1, 1024);
	client_send(c, &p);
	assert_non_null(client_next_of(c, TN_MQTT_UNSUBACK));
	assert_in_range(after_a_turn(), 1, 1024);
	assert_true(no_more_asked());
	ask(c, 1, 0);
	run_until(turn_is_held);
	turn.hold = false;
	let_turn_go();
	client_free(c);
	client_free(f);
}

/* Goal: a packet of far more filters than a session may have ends its
 * connection, before it costs anything. */
static void
too_many_filters(void **state)
{
	struct client *c = client_new(TN_MQTT_V5);
	const struct tn_codec_mqtt_packet *p;

	(void)state;
	client_connect(c, "c", true, 0);
	ask(c, 2001, 0);
	p = client_next_of(c, TN_MQTT_DISCONNECT);
	assert_non_null(p);
	assert_int_equal(p->reason, TN_MQTT_QUOTA_EXCEEDED);
	client_free(c);
	run_until(is_quiet);
}

static uint32_t
queued_of(const char *id)
{
	const struct session *s = tn_mqtt_session_find(b.m, tn_slice_of(id));

	assert_non_null(s);
	return s->out_count;
}

static struct client *
away(const char *id, const char *filter)
{
	struct client *c = client_new(TN_MQTT_V5);

	client_connect(c, id, true, 1000);
	client_subscribe(c, filter, 1);
	client_cut(c);
	return c;
}

static void
fill(struct client *from, const char *topic, uint32_t n)
{
	static char payload[1000];

	memset(payload, 'x', sizeof payload - 1);
	for (uint32_t i = 0; i < n; i++) {
		client_publish(from, topic, payload, 1, (uint16_t)(i + 1));
		assert_non_null(client_next_of(from, TN_MQTT_PUBACK));
		from->count = from->read = 0;
	}
	run_until(is_quiet);
}

/* Goal: queues that nobody empties leave room for the others, and for wills. */
static void
memory_is_shared(void **state)
{
	struct client *from = client_new(TN_MQTT_V5), *c[4];
	struct wanted_will will = { .id = "w", .topic = "w/1",
	    .payload = tn_slice_of("gone") };
	uint32_t n[3];

	(void)state;
	b.m->o.queued_bytes_max = 800000;
	client_connect(from, "from", true, 0);
	c[0] = away("one", "1/#");
	c[1] = away("two", "2/#");
	c[2] = away("small", "3/#");
	fill(from, "1/x", 800);
	n[0] = queued_of("one");
	fill(from, "2/x", 800);
	n[1] = queued_of("two");
	fill(from, "3/x", 20);
	n[2] = queued_of("small");
	/* Half of 700,000 bytes, then half of what is left; and all. */
	assert_in_range(n[0], 250, 340);
	assert_in_range(n[1], 120, 175);
	assert_int_equal(n[2], 20);
	fill(from, "1/x", 100);
	assert_int_equal(queued_of("one"), n[0]);
	c[3] = client_new(TN_MQTT_V5);
	client_connect_will(c[3], &will);
	for (int i = 0; i < 4; i++)
		client_free(c[i]);
	client_free(from);
	run_until(is_quiet);
}

static bool
nothing_unsent(void)
{
	return tn_budget_used(TN_BUDGET_DOORS) == 0;
}

static bool
much_unsent(void)
{
	return tn_budget_used(TN_BUDGET_DOORS) > 1 << 20;
}

/* Goal: what waits for clients that do not read counts in the memory budget,
 * is bounded, and less so when memory is short. */
static void
unsent_is_counted(void **state)
{
	static char payload[100000];
	struct client *from = client_new(TN_MQTT_V311);
	struct client *c = client_new(TN_MQTT_V311);
	struct tn_budget_share hog = { .class = TN_BUDGET_QUERIES };

	(void)state;
	memset(payload, 'x', sizeof payload - 1);
	client_connect(from, "from", true, 0);
	client_connect(c, "c", true, 0);
	client_subscribe(c, "t", 0);
	tn_net_stream_pause(c->s, true);
	for (int i = 0; i < 40; i++)
		client_publish(from, "t", payload, 0, 0);
	run_until(much_unsent);
	assert_true(tn_budget_used(TN_BUDGET_DOORS) < 3 << 20);
	assert_int_equal(tn_mqtt_unsent_max(b.m), 1 << 20);
	tn_budget_setup(64 << 20);
	tn_budget_set(&hog, 50 << 20);
	assert_int_equal(tn_mqtt_unsent_max(b.m), 65536);
	tn_budget_set(&hog, 60 << 20);
	assert_int_equal(tn_mqtt_unsent_max(b.m), 4096);
	tn_budget_set(&hog, 0);
	tn_net_stream_pause(c->s, false);
	run_until(nothing_unsent);
	client_free(c);
	client_free(from);
	run_until(is_quiet);
	tn_budget_setup(0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, broker_make, \
	broker_drop)
	const struct CMUnitTest tests[] = {
		TEST(a_part_a_turn), TEST(changed_meanwhile),
		TEST(cut_in_the_middle), TEST(taken_back),
		TEST(too_many_filters), TEST(memory_is_shared),
		TEST(unsent_is_counted),
	};
	int failed;

	tn_say_setup(TN_ERROR, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(newest);
	return failed;
}

/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us */
/* Retained messages against a list: matching, replacing, limits, expiry. */
#include "mqtt_help.h"

#define TOPICS 60

static struct {
	char topic[40];
	char payload[24];            /* "": none. */
	int64_t expires_us;
	size_t bytes;
} list[TOPICS];
static struct retained *r;
static uint32_t seen[TOPICS];
static uint32_t calls;

static int
index_of(struct tn_slice topic)
{
	for (int i = 0; i < TOPICS; i++)
		if (tn_slice_is(topic, list[i].topic))
			return i;
	fail_msg("an unknown topic");
	return -1;
}

static void
heard(void *arg, struct message *m)
{
	int i = index_of(m->topic);

	(void)arg;
	calls++;
	seen[i]++;
	assert_true(tn_slice_is(m->payload, list[i].payload));
}

static void
heard_held(void *arg, struct held *h)
{
	struct message *m = tn_mqtt_held_message(h, clock_us);

	if (m != NULL)
		heard(arg, m);
}

static void
make_topics(void)
{
	static const char *const words[] = { "a", "b", "", "$x", "cd" };

	for (uint32_t i = 0; i < TOPICS; i++) {
		uint32_t at = i, n = 0;
		char *t = list[i].topic;
		memset(&list[i], 0, sizeof list[i]);
		do {
			n += (uint32_t)snprintf(t + n, sizeof list[i].topic - n,
			    "%s%s", n > 0 ? "/" : "", words[at % 5]);
			at /= 5;
		} while (at > 0);
		if (t[0] == '\0')
			strcpy(t, "z");
		/* Two that look the same would be one topic. */
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(list[k].topic, t) == 0)
				(void)snprintf(t, sizeof list[i].topic,
				    "a/n%u", i);
	}
}

static void
set_random(void)
{
	uint32_t i = rnd(TOPICS);
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .retain = true,
	    .topic = tn_slice_of(list[i].topic) };
	struct message *m;
	uint32_t s = rnd(100);

	list[i].payload[0] = '\0';
	list[i].expires_us = 0;
	list[i].bytes = 0;
	if (rnd(4) != 0)
		(void)snprintf(list[i].payload, sizeof list[i].payload, "%u",
		    rnd(1000000));
	p.payload = tn_slice_of(list[i].payload);
	if (rnd(3) == 0) {
		p.props.present = UINT64_C(1) << TN_MQTT_P_MESSAGE_EXPIRY;
		p.props.message_expiry_s = s;
	}
	m = tn_mqtt_message_new(&p, clock_us);
	if (p.payload.n > 0) {
		list[i].expires_us = p.props.present != 0 ?
		    clock_us + s * INT64_C(1000000) : 0;
		list[i].bytes = m->bytes;
	}
	assert_int_equal(tn_mqtt_retained_put(r, m), TN_OK);
	tn_mqtt_message_unref(m);
}

static bool
is_there(uint32_t i)
{
	return list[i].payload[0] != '\0' && (list[i].expires_us == 0 ||
	    list[i].expires_us > clock_us);
}

static void
check_match(void)
{
	static const char *const filters[] = { "#", "+", "a/#", "+/b", "a/+",
	    "$x/#", "+/+/#", "a", "$x", "/#", "+/a/b", "cd/+/#", "" };
	const char *f = filters[rnd(TN_COUNT(filters) - 1)];

	memset(seen, 0, sizeof seen);
	tn_mqtt_retained_match(r, tn_slice_of(f), heard_held, NULL);
	for (uint32_t i = 0; i < TOPICS; i++)
		assert_int_equal(seen[i], is_there(i) && tn_codec_mqtt_match(
		    tn_slice_of(f), tn_slice_of(list[i].topic)));
}

static void
gone(void *arg, struct message *m)
{
	int i = index_of(m->topic);

	(void)arg;
	assert_true(list[i].expires_us != 0 && list[i].expires_us <= clock_us);
	list[i].payload[0] = '\0';
	list[i].bytes = 0;
}

static void
check_totals(void)
{
	uint32_t count = 0;
	size_t bytes = 0;

	for (uint32_t i = 0; i < TOPICS; i++) {
		count += list[i].payload[0] != '\0';
		bytes += list[i].bytes;
		assert_true(tn_slice_is(tn_mqtt_retained_payload(r,
		    tn_slice_of(list[i].topic)), list[i].payload));
	}
	assert_int_equal(tn_mqtt_retained_count(r), count);
	assert_int_equal(tn_mqtt_retained_bytes(r), bytes);
}

/* Goal: the trie of retained messages says what a list says, while they are
 * set, replaced, taken away and expire. */
static void
trie_and_list_agree(void **state)
{
	(void)state;
	take_seed(2);
	make_topics();
	r = tn_mqtt_retained_new(TOPICS, 1 << 20);
	for (uint32_t step = 0; step < 4000; step++) {
		set_random();
		check_match();
		clock_us += rnd(3000000);
		if (rnd(4) == 0)
			tn_mqtt_retained_expire(r, clock_us, gone, NULL);
		if (rnd(20) == 0)
			check_totals();
	}
	/* All that expired goes, a few at a time. */
	clock_us += INT64_C(200000000);
	for (uint32_t i = 0; i < 4; i++)
		tn_mqtt_retained_expire(r, clock_us, gone, NULL);
	check_totals();
	for (uint32_t i = 0; i < TOPICS; i++)
		assert_true(list[i].payload[0] == '\0' || is_there(i));
	tn_mqtt_retained_free(r);
}

static enum tn_status
put(const char *topic, const char *payload)
{
	struct message *m = message_of(topic, payload, 0);
	enum tn_status st = tn_mqtt_retained_put(r, m);

	tn_mqtt_message_unref(m);
	return st;
}

/* Goal: over a limit nothing is kept and no node is left; room that was given
 * back counts again. */
static void
limits_hold(void **state)
{
	struct message *one = message_of("t/1", "xxxx", 0);
	size_t bytes = one->bytes;

	(void)state;
	tn_mqtt_message_unref(one);
	r = tn_mqtt_retained_new(2, 1 << 20);
	assert_int_equal(put("t/1", "x"), TN_OK);
	assert_int_equal(put("t/2", "x"), TN_OK);
	assert_int_equal(put("t/3", "x"), TN_EFULL);
	assert_int_equal(put("t/2", "y"), TN_OK);
	assert_int_equal(tn_mqtt_retained_payload(r, tn_slice_of("t/3")).n, 0);
	assert_int_equal(put("t/1", ""), TN_OK);
	assert_int_equal(put("t/3", "x"), TN_OK);
	assert_int_equal(tn_mqtt_retained_count(r), 2);
	tn_mqtt_retained_free(r);
	r = tn_mqtt_retained_new(100, 2 * bytes);
	assert_int_equal(put("t/1", "xxxx"), TN_OK);
	assert_int_equal(put("t/2", "xxxxx"), TN_EFULL);
	assert_int_equal(put("t/2", "xxxx"), TN_OK);
	assert_int_equal(tn_mqtt_retained_bytes(r), 2 * bytes);
	/* A new one that does not fit takes the old one's place: nobody is to
	 * take the old value for the newest. */
	assert_int_equal(put("t/2", "xxxxxx"), TN_EFULL);
	assert_int_equal(tn_mqtt_retained_payload(r, tn_slice_of("t/2")).n, 0);
	assert_int_equal(tn_mqtt_retained_bytes(r), bytes);
	tn_mqtt_retained_free(r);
}

/* Goal: a topic of very many levels is refused and a filter of very many does
 * no harm. */
static void
depth_is_bounded(void **state)
{
	static char deep[2 * 2000];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof deep; i += 2)
		memcpy(deep + i, "a/", 3);
	r = tn_mqtt_retained_new(100, 1 << 20);
	assert_int_equal(put(deep, "x"), TN_EFULL);
	assert_int_equal(tn_mqtt_retained_count(r), 0);
	assert_int_equal(put("a/a", "x"), TN_OK);
	for (size_t i = 0; i + 2 < sizeof deep; i += 2)
		memcpy(deep + i, "+/", 3);
	calls = 0;
	tn_mqtt_retained_match(r, tn_slice_of(deep), heard_held, NULL);
	assert_int_equal(calls, 0);
	tn_mqtt_retained_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trie_and_list_agree),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: tn_mqtt_now_us */
/* Who sends to a stream (seen.c), and what no stream takes (source.c): what
 * pages show of them, their rates by a clock of the test's, their bounds. */
#include "test.h"

#include "mqtt/mqtt_int.h"

#include <stdio.h>

#define SECOND INT64_C(1000000)

static int64_t clock_us;
int64_t __wrap_tn_mqtt_now_us(void);
int64_t
__wrap_tn_mqtt_now_us(void)
{
	return clock_us;
}

static struct tn_mqtt m;

static int
setup(void **state)
{
	(void)state;
	clock_us = 1000 * SECOND;
	memset(&m, 0, sizeof m);
	m.seen = tn_mqtt_seen_new();
	m.sources = tn_mqtt_sources_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tn_mqtt_seen_free(m.seen);
	tn_mqtt_sources_free(m.sources);
	return 0;
}

/* ---- seen ------------------------------------------------------------ */

static void
saw(const char *client, uint32_t stream, uint32_t good, uint32_t bad)
{
	struct conn c = { .version = 5, .websocket = true };
	struct session s = { .client_id = (char *)(uintptr_t)client,
	    .client_id_bytes = (uint32_t)strlen(client),
	    .hash = tn_hash64(client, strlen(client), 0) };
	struct tn_ingest_outcome o = { .accepted = good,
	    .quarantined = bad, .now_us = clock_us };

	tn_mqtt_saw(m.seen, &c, &s, stream, &o);
}

struct found {
	const char *client;
	uint32_t stream, count, all;
	struct tn_mqtt_sender got;
};

static void
look(void *arg, const struct tn_mqtt_sender *s)
{
	struct found *f = arg;

	f->all++;
	if (f->client == NULL || strcmp(s->client_id, f->client) != 0 ||
	    s->stream != f->stream)
		return;
	f->count++;
	f->got = *s;
}

static struct tn_mqtt_sender
sender(const char *client, uint32_t stream)
{
	struct found f = { .client = client, .stream = stream };

	tn_mqtt_senders(&m, look, &f);
	assert_int_equal(f.count, 1);
	return f.got;
}

static void
assert_rate(double is, double wanted)
{
	assert_true(is > wanted - 0.001 && is < wanted + 0.001);
}

/* Goal: a client is counted for each stream apart, with what became of its
 * rows. */
static void
counts(void **state)
{
	struct tn_mqtt_sender s;

	(void)state;
	saw("a", 0, 1, 0);
	clock_us += SECOND;
	saw("a", 0, 2, 3);
	saw("a", 1, 7, 0);
	saw("b", 0, 1, 0);
	s = sender("a", 0);
	assert_int_equal(s.accepted, 3);
	assert_int_equal(s.quarantined, 3);
	assert_int_equal(s.first_us, 1000 * SECOND);
	assert_int_equal(s.last_us, 1001 * SECOND);
	assert_true(s.version == 5 && s.websocket && !s.tls);
	assert_int_equal(sender("a", 1).accepted, 7);
	assert_int_equal(sender("b", 0).accepted, 1);
}

/* Goal: the rate is that of the last ten seconds, at once of a newcomer, and
 * none after silence. */
static void
rates(void **state)
{
	(void)state;
	saw("a", 0, 1, 0);
	assert_rate(sender("a", 0).rate, 1);
	for (int i = 1; i < 20; i++) {
		clock_us += SECOND / 4;
		saw("a", 0, 1, 0);
	}
	assert_rate(sender("a", 0).rate, 20 / 4.75);
	for (int i = 0; i < 100; i++) {
		clock_us += SECOND / 2;
		saw("a", 0, 1, 0);
	}
	assert_rate(sender("a", 0).rate, 2);
	clock_us += 21 * SECOND;
	assert_rate(sender("a", 0).rate, 0);
	saw("a", 0, 1, 0);
	assert_true(sender("a", 0).rate < 2);
}

/* Goal: any number of clients take a bounded table; who was seen last is in
 * it; a long name is cut and still the same one. */
static void
bounded(void **state)
{
	struct found f = { .client = NULL };
	char name[1024];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof name, "client-%d", i);
		clock_us++;
		saw(name, 0, 1, 0);
		assert_int_equal(sender(name, 0).accepted, 1);
		i += i > 50 ? 97 : 0;   /* Looking costs; some are enough. */
	}
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof name, "other-%d", i);
		clock_us++;
		saw(name, 0, 1, 0);
	}
	tn_mqtt_senders(&m, look, &f);
	assert_true(f.all > 3500 && f.all <= 4096);
	memset(name, 'x', sizeof name);
	name[1000] = '\0';
	saw(name, 0, 1, 0);
	saw(name, 0, 1, 0);
	name[128] = '\0';
	assert_int_equal(sender(name, 0).accepted, 2);
}

/* ---- sources --------------------------------------------------------- */

struct pattern {
	const char *pattern;
	uint32_t found, all;
	uint64_t count;
	char sample[600];
	size_t payload_n;
};

static void
match(void *arg, const struct tn_mqtt_source *s)
{
	struct pattern *p = arg;

	p->all++;
	if (strcmp(s->pattern, p->pattern) != 0)
		return;
	p->found++;
	p->count = s->count;
	p->payload_n = s->payload.n;
	snprintf(p->sample, sizeof p->sample, "%s", s->sample);
}

static struct pattern
source(const char *pattern)
{
	struct pattern p = { .pattern = pattern };

	tn_mqtt_sources(&m, match, &p);
	return p;
}

static void
topic(const char *t)
{
	tn_mqtt_source_saw(m.sources, tn_slice_of(t), tn_slice_of("1"));
}

/* Goal: levels that name one of many become +, words with a digit in them do
 * not, and what begins with $ is not counted. */
static void
patterns(void **state)
{
	static const char *const table[][2] = {
		{ "office/3/door/7", "office/+/door/+" },
		{ "zigbee2mqtt/0x00158d", "zigbee2mqtt/+" },
		{ "shelly1pm-A4CF12/status/switch:0", "+/status/+" },
		{ "a//b/", "a//b/" },
		{ "/x1", "/+" },
		{ "plain", "plain" },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(table); i++) {
		struct pattern p;
		topic(table[i][0]);
		p = source(table[i][1]);
		if (p.found != 1)
			print_message("%s is no %s\n", table[i][0],
			    table[i][1]);
		assert_int_equal(p.found, 1);
		assert_string_equal(p.sample, table[i][0]);
	}
	topic("office/4/door/9");
	assert_int_equal(source("office/+/door/+").count, 2);
	topic("$SYS/uptime");
	topic("");
	assert_int_equal(source("").all, TN_COUNT(table));
}

/* Goal: a sample is the newest of another second, cut at a whole character. */
static void
samples(void **state)
{
	struct tn_buf b = { 0 };

	(void)state;
	topic("door/1");
	topic("door/2");
	assert_string_equal(source("door/+").sample, "door/1");
	clock_us += SECOND;
	topic("door/3");
	assert_string_equal(source("door/+").sample, "door/3");
	tn_buf_char(&b, 'x');
	for (int i = 0; i < 1000; i++)
		tn_buf_str(&b, "å");
	tn_mqtt_source_saw(m.sources, tn_slice_of("long"),
	    (struct tn_slice){ b.p, b.n });
	assert_int_equal(source("long").payload_n, 1023);
	tn_buf_fini(&b);
}

/* Goal: of very many patterns the newest thousand are known. */
static void
many(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "%c%c%c/x", 'a' + i / 676,
		    'a' + i / 26 % 26, 'a' + i % 26);
		clock_us++;
		topic(name);
		assert_int_equal(source(name).found, 1);
	}
	assert_int_equal(source(name).all, 1000);
	assert_int_equal(source("aaa/x").found, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts, setup, teardown),
		cmocka_unit_test_setup_teardown(rates, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(patterns, setup, teardown),
		cmocka_unit_test_setup_teardown(samples, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

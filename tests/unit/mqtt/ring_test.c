/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us tn_ingest_memo_get tn_ingest_route_stream tn_ingest_route_topic tn_ingest_messages_send */
/* What was committed and may come again, and topics that no stream takes:
 * small tables with a written size, against lists. */
#include "mqtt_help.h"

/* ---- a log of notes -------------------------------------------------- */

static struct {
	char key[120];
	struct tn_buf value;
} notes[8];
static uint32_t note_count;
static uint32_t sent;
static struct tn_ingest_memo *listed[8];

enum tn_status __wrap_tn_ingest_memo_get(struct tn_ingest *g,
    struct tn_slice key, struct tn_arena *a, struct tn_slice *value);
enum tn_status
__wrap_tn_ingest_memo_get(struct tn_ingest *g, struct tn_slice key,
    struct tn_arena *a, struct tn_slice *value)
{
	(void)g;
	for (uint32_t i = 0; i < note_count; i++)
		if (tn_slice_is(key, notes[i].key)) {
			uint8_t *p = tn_arena_alloc(a, notes[i].value.n + 1);
			memcpy(p, notes[i].value.p, notes[i].value.n);
			*value = (struct tn_slice){ p, notes[i].value.n };
			return TN_OK;
		}
	return TN_ENOTFOUND;
}

uint32_t __wrap_tn_ingest_route_stream(const struct tn_ingest_route *r);
uint32_t
__wrap_tn_ingest_route_stream(const struct tn_ingest_route *r)
{
	return (uint32_t)(uintptr_t)r;
}

static struct tn_codec_topic topic = { .filter = (char []){ "t/+" } };

const struct tn_codec_topic *__wrap_tn_ingest_route_topic(
    const struct tn_ingest_route *r);
const struct tn_codec_topic *
__wrap_tn_ingest_route_topic(const struct tn_ingest_route *r)
{
	(void)r;
	return &topic;
}

void __wrap_tn_ingest_messages_send(struct tn_ingest *g);
void
__wrap_tn_ingest_messages_send(struct tn_ingest *g)
{
	(void)g;
	sent++;
	for (uint32_t i = 0; i < TN_COUNT(listed); i++)
		if (listed[i] != NULL)
			listed[i]->listed = false;
}

/* The commit of a memo. */
static void
commit(struct tn_ingest_memo *memo)
{
	struct tn_buf key = { 0 }, value = { 0 };
	uint32_t i = 0;

	memo->write(memo, &key, &value);
	assert_true(key.n <= 400);
	while (i < note_count && strcmp(notes[i].key, tn_buf_cstr(&key)) != 0)
		i++;
	assert_true(i < TN_COUNT(notes));
	if (i == note_count) {
		note_count++;
		strcpy(notes[i].key, tn_buf_cstr(&key));
	}
	tn_buf_fini(&notes[i].value);
	notes[i].value = value;
	tn_buf_fini(&key);
}

static void
forget_notes(void)
{
	for (uint32_t i = 0; i < note_count; i++) {
		tn_buf_fini(&notes[i].value);
		memset(&notes[i], 0, sizeof notes[i]);
	}
	note_count = 0;
}

static struct tn_ingest_route *
route(uint32_t i)
{
	return (struct tn_ingest_route *)(uintptr_t)(i + 1);
}

/* ---- rings ----------------------------------------------------------- */

/* A QoS 1 message with DUP. */
static bool
has(struct session *s, struct tn_ingest_route *r, uint16_t id, uint32_t hash)
{
	uint32_t resends = 0;
	struct sent x = { .packet = id, .hash = hash, .qos = 1, .dup = true,
	    .resends = &resends };

	return tn_mqtt_ring_has(s, r, &x) != 0;
}

static struct tn_ingest_memo *
add(struct session *s, struct tn_ingest_route *r, uint16_t id, uint32_t hash)
{
	struct taken t = { .packet = id, .hash = hash };

	return tn_mqtt_ring_add(s, r, &t);
}

#define MOST 16

/* Goal: the newest of each route are there, as many as may be in flight, also
 * after a restart; older ones have gone. */
static void
the_newest_are_there(void **state)
{
	static struct { uint16_t id; uint32_t hash; } list[3][4000];
	uint32_t count[3] = { 0 };
	struct tn_mqtt m;
	struct session *s;

	(void)state;
	take_seed(800);
	broker_make(&m);
	m.o.inflight_max = MOST;
	s = tn_mqtt_session_new(&m, tn_slice_of("c"), 10);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t r = rnd(3), n = count[r];
		uint16_t id = (uint16_t)(1 + i % 60000);
		struct tn_ingest_memo *memo = add(s, route(r), id, i * 7);
		list[r][n].id = id;
		list[r][n].hash = i * 7;
		count[r]++;
		commit(memo);
		for (uint32_t k = n < MOST ? 0 : n + 1 - MOST; k <= n; k++)
			assert_true(has(s, route(r),
			    list[r][k].id, list[r][k].hash));
		if (n >= MOST)
			assert_false(has(s, route(r),
			    list[r][n - MOST].id, list[r][n - MOST].hash));
		assert_false(has(s, route(r), id, i * 7 + 1));
		assert_false(has(s, route((r + 1) % 3), id,
		    i * 7));
		if (rnd(100) != 0)
			continue;
		tn_mqtt_rings_free(s);  /* As at a restart. */
		s->restored = true;
	}
	assert_int_equal(note_count, 3);
	s->conn = NULL;
	broker_free(&m);
	forget_notes();
}

/* Goal: what was not committed after all is not there; what is beside it is. A
 * session that is new has no past, whatever the log says. */
static void
dropped_and_new(void **state)
{
	struct tn_mqtt m;
	struct session *s;

	(void)state;
	broker_make(&m);
	s = tn_mqtt_session_new(&m, tn_slice_of("c"), 10);
	for (uint32_t i = 0; i < 10; i++)
		commit(add(s, route(0), (uint16_t)(i + 1), i));
	tn_mqtt_ring_drop(s, route(0), 5, 4);
	tn_mqtt_ring_drop(s, route(1), 6, 5);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(has(s, route(0),
		    (uint16_t)(i + 1), i), i != 4);
	tn_mqtt_rings_free(s);
	assert_false(s->restored);
	assert_false(has(s, route(0), 1, 0));
	broker_free(&m);
	forget_notes();
}

/* Goal: a ring that ingest has listed is handed over before it goes; a damaged
 * note is read as far as it is whole. */
static void
listed_and_damaged(void **state)
{
	struct tn_mqtt m;
	struct session *s;

	(void)state;
	take_seed(801);
	broker_make(&m);
	s = tn_mqtt_session_new(&m, tn_slice_of("c"), 10);
	listed[0] = add(s, route(0), 1, 2);
	listed[0]->listed = true;
	sent = 0;
	tn_mqtt_rings_free(s);
	assert_int_equal(sent, 1);
	listed[0] = NULL;
	for (uint32_t i = 0; i < 10; i++)
		commit(add(s, route(0), (uint16_t)(i + 1), i));
	for (uint32_t n = 0; n < 300; n++) {
		struct tn_buf *v = &notes[0].value;
		tn_mqtt_rings_free(s);
		s->restored = true;
		if (n < 100 && v->n > 0)
			v->n--;
		else if (v->n > 0)
			v->p[rnd((uint32_t)v->n)] = (uint8_t)rnd(256);
		if (n == 100)
			commit(add(s, route(0), 1, 1));
		(void)has(s, route(0), 10, 9);
	}
	broker_free(&m);
	forget_notes();
}

/* ---- what the client has seen ---------------------------------------- */

#define SAME 7u                  /* The hash of all. */

/* Of QoS 1 or 2, without DUP. */
static bool
has_unmarked(struct session *s, uint16_t id, uint32_t hash, bool bridge)
{
	struct sent x = { .packet = id, .hash = hash, .qos = 1,
	    .bridge = bridge, .ack = id, .resends = &s->conn->resends };

	return tn_mqtt_ring_has(s, route(0), &x) != 0;
}

/* Takes it up: as if it were cut, if ${unseen} are. */
static void
take_up(struct session *s, struct conn *c, uint32_t unseen)
{
	*c = (struct conn){ .m = s->m, .session = s,
	    .resends = unseen > 0 ? MOST : 0 };
	s->unseen = unseen;
	s->conn = c;
	s->opened++;
}

/* ${count} messages, one at a time, of which ${seen} acks arrive. */
static void
publish(struct session *s, struct conn *c, uint32_t count, uint32_t seen)
{
	for (uint32_t i = 0; i < count; i++) {
		struct taken t = { .packet = (uint16_t)(i + 1), .hash = SAME,
		    .ack = i + 1 };
		assert_false(has_unmarked(s, t.packet, SAME, false));
		commit(tn_mqtt_ring_add(s, route(0), &t));
		c->ack_sent = c->ack_first = i + 1;
		c->ack_end = c->ack_sent * 4;
		c->reached = (i + 1 < seen ? i + 1 : seen) * 4;
	}
}

/* Goal: of messages that are all alike, those come again unmarked whose acks
 * the client's system did not have as the connection ended, and no other; also
 * after a restart. After a kill those of which that was not known yet. */
static void
only_unseen_come_again(void **state)
{
	enum { STAYS, RESTARTED, KILLED, WAYS };

	(void)state;
	for (uint32_t i = 0; i < 9 * WAYS; i++) {
		uint32_t seen = i / WAYS, way = i % WAYS, first = seen;
		struct tn_mqtt m;
		struct session *s;
		struct conn c;

		broker_make(&m);
		m.o.inflight_max = MOST;
		s = tn_mqtt_session_new(&m, tn_slice_of("c"), 10);
		take_up(s, &c, 0);
		publish(s, &c, 8, seen);
		s->unseen = UINT32_MAX;
		if (way != KILLED) {
			s->unseen = tn_mqtt_rings_settle(s, &c);
			assert_int_equal(s->unseen, 8 - seen);
		} else if (seen == 8) {
			first = 7;      /* The last had no time to be told. */
		}
		s->conn = NULL;
		if (way != STAYS) {
			tn_mqtt_rings_free(s);
			s->restored = true;
		}
		take_up(s, &c, s->unseen);
		if (first > 0)
			assert_false(has_unmarked(s, (uint16_t)first, SAME,
			    false));
		for (uint32_t k = first; k < 8; k++)
			assert_true(has_unmarked(s, (uint16_t)(k + 1), SAME,
			    false));
		/* All of that was acknowledged and seen. */
		c.ack_sent = c.ack_first = 9;
		c.ack_end = c.reached = 36;
		assert_int_equal(tn_mqtt_rings_settle(s, &c), first == 8 ? 0 :
		    way == STAYS ? 0 : s->unseen);
		c.resends = 0;
		assert_int_equal(tn_mqtt_rings_settle(s, &c), 0);
		s->conn = NULL;
		broker_free(&m);
		forget_notes();
	}
}

/* Goal: an ack that came in part was not seen; and that of a frame or a record
 * is longer. */
static void
acks_in_bytes(void **state)
{
	struct conn c = { .ack_sent = 100, .ack_end = 1000 };

	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		c.reached = 1000 - i;
		c.websocket = c.tls = false;
		assert_int_equal(tn_mqtt_conn_unseen(&c), 100 - (i + 3) / 4);
		c.websocket = true;
		assert_int_equal(tn_mqtt_conn_unseen(&c), 100 - (i + 5) / 6);
	}
	c.websocket = false;
	c.reached = 0;
	assert_int_equal(tn_mqtt_conn_unseen(&c), 0);
	c.reached = 2000;
	assert_int_equal(tn_mqtt_conn_unseen(&c), 100);
	c.tls = true;
	c.reached = 1000 - 26;            /* A record with one ack. */
	assert_int_equal(tn_mqtt_conn_unseen(&c), 99);
}

/* Goal: a bridge's broker that forgot may send again what was seen, when that
 * is like no other; what is like others is new. */
static void
a_broker_that_forgot(void **state)
{
	struct tn_mqtt m;
	struct session *s;
	struct conn c;

	(void)state;
	broker_make(&m);
	s = tn_mqtt_session_new(&m, tn_slice_of("$bridge/x"), 10);
	take_up(s, &c, 0);
	publish(s, &c, 8, 8);
	(void)add(s, route(0), 20, 1);
	(void)add(s, route(0), 21, 2);
	c.ack_sent = c.ack_first = 10;
	c.ack_end = c.reached = 40;
	c.resends = 0;
	s->unseen = tn_mqtt_rings_settle(s, &c);
	assert_int_equal(s->unseen, 0);
	take_up(s, &c, 0);
	c.resends = MOST;
	assert_false(has_unmarked(s, 1, SAME, true));
	assert_false(has_unmarked(s, 20, 1, false));
	assert_true(has_unmarked(s, 20, 1, true));
	assert_false(has_unmarked(s, 21, 1, true));
	assert_true(has_unmarked(s, 21, 2, true));
	s->conn = NULL;
	broker_free(&m);
	forget_notes();
}

/* ---- sources --------------------------------------------------------- */

static struct {
	char pattern[600], sample[600];
	uint64_t count, sum;
	uint32_t n;
	size_t payload_n;
} seen;

static void
source(void *arg, const struct tn_mqtt_source *s)
{
	(void)arg;
	seen.n++;
	seen.sum += s->count;
	assert_true(s->payload.n <= 4096);
	if (seen.pattern[0] != '\0' && strcmp(s->pattern, seen.pattern) != 0)
		return;
	strcpy(seen.pattern, s->pattern);
	strcpy(seen.sample, s->sample);
	seen.count = s->count;
	seen.payload_n = s->payload.n;
}

static void
look(struct tn_mqtt *m, const char *pattern)
{
	memset(&seen, 0, sizeof seen);
	strcpy(seen.pattern, pattern);
	tn_mqtt_sources(m, source, NULL);
}

/* Goal: topics that differ in identifiers are one source with its newest
 * sample; the table has an end, and then forgets what was not seen for
 * longest. */
static void
sources_are_grouped(void **state)
{
	static char long_topic[2000];
	struct tn_mqtt m;
	char topic_text[64];

	(void)state;
	broker_make(&m);
	m.sources = tn_mqtt_sources_new();
	for (uint32_t i = 0; i < 100; i++) {
		(void)snprintf(topic_text, sizeof topic_text,
		    "home/room%u/temp", i);
		clock_us += 2000000;
		tn_mqtt_source_saw(m.sources, tn_slice_of(topic_text),
		    tn_slice_of("21.5"));
	}
	look(&m, "home/+/temp");
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.count, 100);
	assert_string_equal(seen.sample, "home/room99/temp");
	assert_int_equal(seen.payload_n, 4);
	memset(long_topic, 'a', sizeof long_topic - 1);
	tn_mqtt_source_saw(m.sources, tn_slice_of(long_topic),
	    tn_slice_of("x"));
	tn_mqtt_source_saw(m.sources, tn_slice_of("$SYS/x"),
	    tn_slice_of("x"));
	look(&m, "home/+/temp");
	assert_int_equal(seen.n, 1);
	for (uint32_t i = 0; i < 3000; i++) {
		topic_text[0] = (char)('a' + i / 676 % 26);
		topic_text[1] = (char)('a' + i / 26 % 26);
		topic_text[2] = (char)('a' + i % 26);
		topic_text[3] = '\0';
		clock_us += 2000000;
		tn_mqtt_source_saw(m.sources, tn_slice_of(topic_text),
		    tn_slice_of(long_topic));
		/* This one is seen again and again. */
		tn_mqtt_source_saw(m.sources, tn_slice_of("steady"),
		    tn_slice_of(""));
	}
	look(&m, "steady");
	assert_int_equal(seen.n, 1000);
	assert_int_equal(seen.count, 3000);
	look(&m, "home/+/temp");
	assert_int_equal(seen.count, 0);
	tn_mqtt_sources_free(m.sources);
	tn_mqtt_sources_free(NULL);
	m.sources = NULL;
	look(&m, "");
	assert_int_equal(seen.n, 0);
	broker_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_are_there),
		cmocka_unit_test(dropped_and_new),
		cmocka_unit_test(listed_and_damaged),
		cmocka_unit_test(only_unseen_come_again),
		cmocka_unit_test(acks_in_bytes),
		cmocka_unit_test(a_broker_that_forgot),
		cmocka_unit_test(sources_are_grouped),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

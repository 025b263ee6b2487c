/* Keys of dedupe windows and a clock that leaps: the test owns the clocks. */
#include "test.h"

#include "clock_help.h"

#define TEN_MINUTES (10 * MINUTE)

static uint64_t
keys_of(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint64_t rows = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->files[i].tier == TN_TIER_KEYS)
			rows += s->files[i].rows;
	tn_catalog_snapshot_put(s);
	return rows;
}

/* A row received now, in a cut of its own. */
static void
one_now(struct rig *g)
{
	char text[100];

	g->received_us = wall;
	(void)snprintf(text, sizeof text, "{\"n\":%u,"
	    "\"ts\":\"2026-03-06T00:00:00Z\"}\n", g->rows++);
	append_text(g, 0, text);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
}

/* Goal: keys stay for their dedupe window; a clock that leaps, also over a
 * restart, and is set right again takes none of them away. */
static void
test_leap_keys(void **state)
{
	struct rig g;
	int64_t us = 0;

	(void)state;
	assert_true(tn_serving_time(tn_slice_of("2026-03-06T12:00:00Z"), &us));
	clock_begin(us);
	rig_make(&g, "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz"
	    " NOT NULL) WITH (event_time = 'ts', dedupe_window = '1 day');");
	one_now(&g);
	pass(12 * 60 * MINUTE);
	wall += 40 * DAY;
	one_now(&g);
	one_now(&g);
	rig_close(&g);
	rig_open(&g);                    /* Ends no wait. */
	one_now(&g);
	wall -= 40 * DAY;
	one_now(&g);
	assert_int_equal(keys_of(&g), 5);
	pass(TEN_MINUTES);
	one_now(&g);
	assert_int_equal(keys_of(&g), 6);
	pass(12 * 60 * MINUTE);          /* The first has left its window. */
	one_now(&g);
	assert_int_equal(keys_of(&g), 6);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leap_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Notes of what everything costs: once an hour, for the day, with objects; the
 * test owns the clocks. */
#include "test.h"

#include "clock_help.h"

#define HOUR (DAY / 24)

static uint64_t objects, object_bytes;

static void
usage(void *arg, uint64_t *count, uint64_t *bytes)
{
	(void)arg;
	*count = objects;
	*bytes = object_bytes;
}

static void
cut(struct rig *g)
{
	char text[100];

	(void)snprintf(text, sizeof text, "{\"n\":%u,\"ts\":\"2026-03-06T01:00:"
	    "00Z\"}\n", g->rows++);
	append_text(g, 0, text);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
}

/* The note of a day and tier (of the table ev and its views: one each). */
static struct tn_catalog_cost
find(struct rig *g, int64_t day, enum tn_catalog_tier tier)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_cost *list = NULL, x = { .day = 0 };
	uint32_t n = 0, found = 0;

	assert_int_equal(tn_catalog_costs(g->catalog, 0, a, &list, &n), TN_OK);
	for (uint32_t i = 0; i < n; i++) {
		if (list[i].day != day || list[i].tier != tier)
			continue;
		x = list[i];
		found++;
	}
	assert_int_equal(found, 1);
	tn_arena_free(a);
	return x;
}

/* Goal: a day's note is written anew each hour and keeps its first one; objects
 * are in it, with and without any. */
static void
notes(void **state)
{
	struct rig g;
	struct tn_catalog_cost x;
	int64_t begin = 20500 * DAY + HOUR / 2;

	(void)state;
	clock_begin(begin);
	rig_make(&g, days_sql);
	g.batch->o.objects = usage;
	cut(&g);
	x = find(&g, 20500, TN_TIER_OBJECTS);
	assert_int_equal(x.first_us, begin);
	assert_int_equal(x.bytes, 0);
	x = find(&g, 20500, TN_TIER_SILVER);
	assert_int_equal(x.first_us, begin);
	assert_int_equal(x.rows, 1);
	assert_int_equal(x.first_bytes, x.bytes);
	objects = 3;
	object_bytes = 7000;
	pass(HOUR / 2);
	cut(&g);                         /* Not yet. */
	assert_int_equal(find(&g, 20500, TN_TIER_SILVER).rows, 1);
	pass(HOUR);
	cut(&g);
	x = find(&g, 20500, TN_TIER_SILVER);
	assert_int_equal(x.rows, 3);
	assert_int_equal(x.first_us, begin);
	assert_true(x.first_bytes < x.bytes);
	x = find(&g, 20500, TN_TIER_OBJECTS);
	assert_int_equal(x.bytes, 7000);
	assert_int_equal(x.files, 3);
	assert_int_equal(x.first_bytes, 0);
	pass(22 * HOUR);
	cut(&g);
	x = find(&g, 20501, TN_TIER_OBJECTS);
	assert_int_equal(x.first_us, wall);
	assert_int_equal(x.first_bytes, 7000);
	assert_int_equal(find(&g, 20500, TN_TIER_SILVER).rows, 3);
	assert_int_equal(find(&g, 20501, TN_TIER_SILVER).rows, 4);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

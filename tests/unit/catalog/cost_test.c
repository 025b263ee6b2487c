/* Notes of cost: the newest of a day stands, beside the day's first. */
#include "test.h"

#include "catalog_help.h"

#define DAY INT64_C(86400000000)

static void
note(struct tn_catalog *c, int64_t at, uint64_t bytes)
{
	struct tn_catalog_cost x = { .day = (int32_t)(at / DAY), .object = 3,
	    .tier = TN_TIER_SILVER, .files = 1, .rows = bytes / 10,
	    .bytes = bytes, .cold = bytes / 2, .first_us = at };

	assert_int_equal(tn_catalog_cost_note(c, &x, 1), TN_OK);
}

static void
expect(struct tn_catalog *c, uint32_t at, const struct tn_catalog_cost *want)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_cost *list = NULL;
	uint32_t n = 0;

	assert_int_equal(tn_catalog_costs(c, 0, a, &list, &n), TN_OK);
	assert_true(at < n);
	assert_int_equal(list[at].day, want->day);
	assert_int_equal(list[at].bytes, want->bytes);
	assert_int_equal(list[at].cold, want->bytes / 2);
	assert_int_equal(list[at].first_us, want->first_us);
	assert_int_equal(list[at].first_bytes, want->first_bytes);
	assert_int_equal(list[at].first_cold, want->first_bytes / 2);
	tn_arena_free(a);
}

/* Goal: a day keeps its first note through later ones and a start, each day
 * its own; one from a clock that was ahead gives way, and so does one of a
 * catalog from before notes had a time. */
static void
first_note_stays(void **state)
{
	struct tn_catalog *c = open_catalog(*state);

	note(c, 5 * DAY + 100, 1000);
	note(c, 5 * DAY + 200, 3000);
	tn_catalog_close(c);
	c = open_catalog(*state);
	note(c, 5 * DAY + 300, 4000);
	note(c, 6 * DAY + 50, 6000);
	expect(c, 0, &(struct tn_catalog_cost){ .day = 5, .bytes = 4000,
	    .first_us = 5 * DAY + 100, .first_bytes = 1000 });
	expect(c, 1, &(struct tn_catalog_cost){ .day = 6, .bytes = 6000,
	    .first_us = 6 * DAY + 50, .first_bytes = 6000 });
	note(c, 5 * DAY + 60, 800);
	expect(c, 0, &(struct tn_catalog_cost){ .day = 5, .bytes = 800,
	    .first_us = 5 * DAY + 60, .first_bytes = 800 });
	tn_catalog_close(c);
	run_sql(*state, "UPDATE cost SET first_us = 0, first_bytes = 0,"
	    " first_cold = 0");
	c = open_catalog(*state);
	note(c, 6 * DAY + 500, 7000);
	expect(c, 1, &(struct tn_catalog_cost){ .day = 6, .bytes = 7000,
	    .first_us = 6 * DAY + 500, .first_bytes = 7000 });
	tn_catalog_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(first_note_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

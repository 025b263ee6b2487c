/* How fast the lake grows, from the notes of each day: a rate by the time that
 * really passed, and none before there is an hour of it. */
#include "test.h"

#include "http/http_int.h"

#define HOUR INT64_C(3600000000)
#define DAY (24 * HOUR)
#define FIRST 20500                      /* A day. */

/* What is noted each hour of a lake that begins on FIRST at 00:30 and grows by
 * ${rate} bytes an hour in one table, and objects at twice that. */
static uint32_t
notes_until(struct tn_catalog_cost *out, int64_t now, uint64_t rate)
{
	int64_t begin = FIRST * DAY + HOUR / 2;
	uint32_t n = 0;

	for (int64_t t = begin; t <= now; t += HOUR) {
		int32_t day = (int32_t)(t / DAY);
		uint64_t bytes = 1000 + rate * (uint64_t)((t - begin) / HOUR);
		if (n == 0 || out[n - 1].day != day) {
			out[n++] = (struct tn_catalog_cost){ .day = day,
			    .object = 7, .tier = TN_TIER_SILVER,
			    .first_us = t, .first_bytes = bytes + 500,
			    .first_cold = 500 };
			out[n++] = (struct tn_catalog_cost){ .day = day,
			    .tier = TN_TIER_OBJECTS, .first_us = t,
			    .first_bytes = bytes * 2 };
		}
		out[n - 2].bytes = bytes + 500;
		out[n - 2].cold = 500;
		out[n - 1].bytes = bytes * 2;
	}
	return n;
}

/* Goal: at a constant rate the answer is that rate, at each hour of the first
 * days, and before the first hour is over there is none. */
static void
constant_rate(void **state)
{
	static const struct tn_catalog_cost silver = { .object = 7,
	    .tier = TN_TIER_SILVER };
	struct tn_catalog_cost list[100];

	(void)state;
	for (int64_t hours = 0; hours < 24 * 20; hours++) {
		struct tn_http_notes n = { .list = list, .now_us =
		    FIRST * DAY + HOUR / 2 + hours * HOUR };
		uint64_t now = 1000 + 50 * (uint64_t)hours;
		int64_t all = -1, one = -1;
		n.count = notes_until(list, n.now_us, 50);
		assert_int_equal(tn_http_growth(&n, NULL, now * 3, &all),
		    hours >= 1);
		assert_int_equal(tn_http_growth(&n, &silver, now + 500, &one),
		    hours >= 1);
		if (hours == 0)
			continue;
		assert_int_equal(all, 24 * 150);
		assert_int_equal(one, 24 * 50);
	}
}

/* Goal: nothing is told from no notes, from those of an older program, or from
 * a clock that was ahead; what shrinks has a rate below 0; a table that came
 * after the first note began with nothing. */
static void
not_known(void **state)
{
	struct tn_catalog_cost list[] = {
		{ .day = FIRST - 3, .object = 7, .tier = TN_TIER_SILVER,
		  .bytes = 10 },
		{ .day = FIRST, .object = 7, .tier = TN_TIER_SILVER,
		  .bytes = 2400, .first_us = FIRST * DAY,
		  .first_bytes = 2400 },
		{ .day = FIRST, .object = 8, .tier = TN_TIER_SILVER,
		  .bytes = 900, .first_us = FIRST * DAY + HOUR,
		  .first_bytes = 100 },
		{ .day = FIRST, .tier = TN_TIER_OBJECTS,
		  .first_us = FIRST * DAY },
	};
	struct tn_http_notes n = { list, 0, FIRST * DAY + 12 * HOUR };
	int64_t a_day = 0;

	(void)state;
	assert_false(tn_http_growth(&n, NULL, 100, &a_day));
	n.count = 1;
	assert_false(tn_http_growth(&n, NULL, 100, &a_day));
	n.count = 4;
	assert_true(tn_http_growth(&n, NULL, 2400 + 900, &a_day));
	assert_int_equal(a_day, 1800);
	assert_true(tn_http_growth(&n, &list[2], 900, &a_day));
	assert_int_equal(a_day, 1800);
	assert_true(tn_http_growth(&n, &list[1], 1200, &a_day));
	assert_int_equal(a_day, -2400);
	n.now_us = FIRST * DAY + HOUR - 1;
	assert_false(tn_http_growth(&n, NULL, 5000, &a_day));
	n.now_us = FIRST * DAY - 30 * DAY;
	assert_false(tn_http_growth(&n, NULL, 5000, &a_day));
	n.now_us = FIRST * DAY + 12 * HOUR;
	list[3].first_us = 0;
	assert_false(tn_http_growth(&n, NULL, 5000, &a_day));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constant_rate),
		cmocka_unit_test(not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

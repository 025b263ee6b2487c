/* Intervals as text: PostgreSQL's own style and ISO 8601. The expected values
 * were compared with PostgreSQL 15. */
#include "record_test.h"

static const char *
normal(struct tn_buf *b, const char *text)
{
	struct tn_interval v;

	if (!tn_record_parse_interval(tn_slice_of(text), &v))
		fail_msg("refused: %s", text);
	return printed(b, tn_record_type(TN_T_INTERVAL), &v, false);
}

/* Goal: each form reads as PostgreSQL reads it and prints as it prints. */
static void
test_forms(void **state)
{
	static const struct {
		const char *text;
		const char *print;
	} cases[] = {
		{ "1 hour", "01:00:00" },
		{ "1 day 02:00:00", "1 day 02:00:00" },
		{ "-3 mons", "-3 mons" }, { "P1DT2H", "1 day 02:00:00" },
		{ "1 day ago", "-1 days" }, { "30", "00:00:30" },
		{ "1.5", "00:00:01.5" }, { "1 02:03:04", "1 day 02:03:04" },
		{ "1-2", "1 year 2 mons" }, { "-1-2", "-1 years -2 mons" },
		{ "1-2 3 04:05:06", "1 year 2 mons 3 days 04:05:06" },
		{ "P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06" },
		{ "P1Y2M3W4DT5H6M7.8S", "1 year 2 mons 25 days 05:06:07.8" },
		{ "P-30Y-20M23W38.5D", "-31 years -8 mons +199 days 12:00:00" },
		{ "PT-1H+1M", "-00:59:00" }, { "P-1Y", "-1 years" },
		{ "1d2h3m", "1 day 02:03:00" },
		{ "1.5 months", "1 mon 15 days" },
		{ "1.5 years", "1 year 6 mons" }, { "0.1 month", "3 days" },
		{ "0.5 week", "3 days 12:00:00" }, { "2 weeks", "14 days" },
		{ "1 mon -1 day", "1 mon -1 days" },
		{ "-1 day +02:00:00", "-1 days +02:00:00" },
		{ "@ 1 year 2 mons -3 days 4 hours 5 mins 6.5 secs ago",
		  "-1 years -2 mons +3 days -04:05:06.5" },
		{ "1 century 2 decades", "120 years" },
		{ "100:00:00.000001", "100:00:00.000001" },
		{ "-00:00:01", "-00:00:01" }, { "0 days", "00:00:00" },
		{ "-9223372036854775807 us", "-2562047788:00:54.775807" },
		{ "2147483647 days", "2147483647 days" },
		{ "250 ms", "00:00:00.25" }, { "1 HOUR", "01:00:00" },
	};
	struct tn_buf b = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_interval v;
		char quoted[128];

		assert_string_equal(normal(&b, cases[i].text),
		    cases[i].print);
		/* JSON has the same text, behind a quote. */
		(void)snprintf(quoted, sizeof quoted, "\"%s\"", cases[i].print);
		assert_true(tn_record_parse_interval(
		    tn_slice_of(cases[i].text), &v));
		assert_string_equal(printed(&b,
		    tn_record_type(TN_T_INTERVAL), &v, true), quoted);
	}
	tn_buf_fini(&b);
}

/* Goal: what is no interval, or too large, is refused. */
static void
test_refused(void **state)
{
	static const char *const bad[] = { "", "P", "PT", "P1", "P1H", "PT1D",
	    "P1DT", "day", "ago", "@", "1 fortnight", "1 hour 2 hours",
	    "1 hour 02:00", "1 02", "1 1 1", "1:2", "1:02:3", "1:60",
	    "2147483648 days", "9223372036854775808 us", "200000000 years",
	    "99999999999999999999 days", "1e3 hours", "1-12", "1-2-3",
	    "infinity", "1 day ago ago", "1 day ago 2 hours", "P0001-02",
	    "1.5:00:00", "hour 1", "1 hour,", "--1 day", "3074457345619 mons",
	    "9223372036854775807 hours" };
	struct tn_interval v;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		if (tn_record_parse_interval(tn_slice_of(bad[i]), &v))
			fail_msg("taken: \"%s\"", bad[i]);
	assert_false(tn_record_parse_interval((struct tn_slice){ NULL, 0 },
	    &v));
}

/* Goal: every interval prints and reads back part by part. */
static void
test_round_trip(void **state)
{
	struct tn_buf b = { .n = 0 };

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct tn_interval v = {
			.us = (int64_t)random_u64() >> random_below(64),
			.days = (int32_t)random_u64() >> random_below(32),
			.months = (int32_t)random_u64() >> random_below(32) };
		struct tn_interval back;
		const char *text = printed(&b, tn_record_type(TN_T_INTERVAL),
		    &v, false);

		if (v.us == INT64_MIN || v.months == INT32_MIN)
			continue;
		if (!tn_record_parse_interval(tn_slice_of(text), &back) ||
		    memcmp(&v, &back, sizeof v) != 0)
			fail_msg("%s", text);
	}
	tn_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, random_setup, NULL);
}

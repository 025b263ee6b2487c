/* The whole engine in one process: events in, both layers, cuts, restarts,
 * recompute and verify, without a door. */
#include "engine_fixture.h"

/* ---- scripts --------------------------------------------------------- */

#define ROW(id, ts, office, dir, temp) \
	"{\"event_id\":\"" id "\",\"ts\":\"" ts "\",\"office\":\"" office \
	"\",\"direction\":\"" dir "\",\"temp\":" temp "}\n"

static void
first_steps(struct fixture *f)
{
	struct call c;

	c = post(f, "offices", "{\"office\":\"b\",\"city\":\"Berlin\"}\n",
	    NULL);
	assert_int_equal(c.result.status, TN_OK);
	c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    ROW("2", "2026-03-01T08:30:00Z", "b", "out", "22")
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    ROW("3", "2026-03-01T08:30:00Z", "b", "sideways", "22")
	    "not json\n", NULL);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, 2);
	assert_int_equal(c.result.duplicates, 1);
	assert_int_equal(c.result.quarantined, 2);
	assert_int_equal(c.result.first_offset, 0);
	assert_int_equal(c.result.last_offset, 4);
	expect_view(f, "hourly", TN_LAYER_MERGED,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,2,1,21,2\n");
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n");
	expect_view(f, "cities", TN_LAYER_MERGED, "city,n\nBerlin,2\n");
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n2,22\n");
	expect_sql(f, "SELECT office, count(*) FROM badge GROUP BY 1",
	    "office,count\nb,2\n");
}

static void
cut_and_more(struct fixture *f)
{
	struct tn_batch_report r;
	struct call c;

	/* After the restart: replayed from the log. */
	expect_view(f, "cities", TN_LAYER_MERGED, "city,n\nBerlin,2\n");
	r = batch(f, TN_BATCH_CUT);
	assert_int_equal(r.status, TN_OK);
	assert_int_equal(r.rows, 6);
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,2,1,21,2\n");
	expect_view(f, "hourly", TN_LAYER_SPEED,
	    "office,hour,n,entries,temp,ids\n");
	/* A late row, a duplicate of one in the lake, a new one. */
	c = post(f, "badge",
	    ROW("4", "2026-02-28T23:59:59Z", "c", "in", "-1.5")
	    ROW("2", "2026-03-01T08:30:00Z", "b", "out", "22")
	    ROW("5", "2026-03-01T08:59:59.999Z", "b", "in", "24"), NULL);
	assert_int_equal(c.result.accepted, 2);
	assert_int_equal(c.result.duplicates, 1);
	expect_view(f, "hourly", TN_LAYER_MERGED,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,3,2,22,3\n"
	    "c,2026-02-28 23:00:00+00,1,1,-1.5,1\n");
	expect_view(f, "cities", TN_LAYER_MERGED,
	    "city,n\nBerlin,3\n,1\n");
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n4,24\n");
	expect_sql(f, "SELECT event_id FROM badge ORDER BY ts DESC LIMIT 2",
	    "event_id\n5\n2\n");
	expect_sql(f, "SELECT sum(n) FROM hourly", "sum\n4\n");
	expect_sql(f, "SELECT city FROM offices", "city\nBerlin\n");
}

static void
after_restart(struct fixture *f)
{
	struct tn_batch_report r;
	struct call c;

	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n4,24\n");
	c = post(f, "badge",
	    ROW("5", "2026-03-01T08:59:59.999Z", "b", "in", "24")
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20"), NULL);
	assert_int_equal(c.result.duplicates, 2);
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	r = batch(f, TN_BATCH_RECOMPUTE);
	assert_int_equal(r.status, TN_OK);
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,3,2,22,3\n"
	    "c,2026-02-28 23:00:00+00,1,1,-1.5,1\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
}

/* Events, a restart, a cut, late rows, a restart, verify: every layer says
 * what it should at each step. */
static void
test_life(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, first_steps);
	run_script(&f, cut_and_more);
	run_script(&f, after_restart);
	remove_dir(&f);
}

static void
keyed(struct fixture *f)
{
	struct call c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");

	assert_int_equal(c.result.accepted, 1);
	assert_false(c.result.replayed);
	c = post(f, "badge", ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");
	assert_int_equal(c.result.status, TN_OK);
	assert_true(c.result.replayed);
	assert_int_equal(c.result.accepted, 1);
	assert_int_equal(c.result.quarantined, 1);
	c = post(f, "badge", ROW("2", "2026-03-01T08:00:00Z", "b", "in",
	    "20"), "key-1");
	assert_int_equal(c.result.status, TN_EINVAL);
	assert_string_equal(c.code, "idempotency_mismatch");
	c = post(f, "badge", "", "key-2");
	assert_int_equal(c.result.status, TN_OK);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n1,20\n");
}

static void
keyed_again(struct fixture *f)
{
	struct call c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");

	assert_true(c.result.replayed);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n1,20\n");
}

/* The same Idempotency-Key gives the same answer, also after a restart, and
 * another body with it is refused. */
static void
test_idempotency(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, keyed);
	run_script(&f, keyed_again);
	remove_dir(&f);
}

static void
large(struct fixture *f)
{
	struct tn_buf b = { 0 };
	struct call c;
	uint32_t rows = 100000;

	for (uint32_t i = 0; i < rows; i++)
		tn_buf_printf(&b, "{\"event_id\":\"e%u\",\"ts\":\"2026-03-%02u"
		    "T%02u:00:00Z\",\"office\":\"o%u\",\"direction\":\"in\","
		    "\"temp\":%u.5}\n", i, i % 28 + 1, i % 24, i % 7, i % 30);
	c = post(f, "badge", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, rows);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n100000,29.5\n");
	struct tn_batch_report r = batch(f, TN_BATCH_CUT);
	assert_int_equal(r.status, TN_OK);
	c = post(f, "badge", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.duplicates, rows);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n100000,29.5\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	tn_buf_fini(&b);
}

/* A body of many chunks is taken once, and again as duplicates. */
static void
test_large(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, large);
	remove_dir(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_large),
	};

	tn_say_setup(TN_WARN, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What verify says of time buckets: a line each, runs as one line, and the
 * bound of lines. */
#include "test.h"

#include "batch/batch_int.h"

#define BUCKETS 20

static const struct tn_field fields[] = {
	{ .name = "d", .type = { .id = TN_T_DATE } },
};
static const struct tn_schema schema = { .fields = fields, .count = 1 };

/* BUCKETS days of ${rows} rows each, in the order in which two offices have
 * them; a row of the days of ${wrong} (a bit each) differs. */
static char *
say(uint32_t wrong, bool folded, uint32_t lines_max, uint32_t *said)
{
	struct tn_batch_buckets t = { .view = "v", .column = 0,
	    .folded = folded, .lines_max = lines_max };
	struct tn_buf out = { 0 };
	int32_t days[2 * BUCKETS];
	struct tn_column column = { .type = { .id = TN_T_DATE },
	    .rows = 2 * BUCKETS, .values = days };
	struct tn_batch b = { .schema = &schema, .rows = 2 * BUCKETS,
	    .columns = &column };
	char *text;

	for (uint32_t i = 0; i < 2 * BUCKETS; i++) {
		days[i] = 20000 + (int32_t)(i % BUCKETS);
		tn_batch_bucket_add(&t, &b, i, i >= BUCKETS ||
		    (wrong >> i & 1) == 0);
	}
	tn_batch_buckets_say(&t, &out, said);
	assert_int_equal(t.count, BUCKETS);
	text = tn_strdup(tn_buf_cstr(&out));
	tn_buf_fini(&out);
	tn_free(t.all);
	return text;
}

static uint32_t
count(const char *text, const char *what)
{
	uint32_t n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

/* Goal: buckets that come in no order, and again much later, are told in order
 * and once each. */
static void
test_any_order(void **state)
{
	enum { N = 20000 };
	static int32_t days[2 * N];
	struct tn_batch_buckets t = { .view = "v", .column = 0,
	    .lines_max = 2 * N };
	struct tn_buf out = { 0 };
	struct tn_column column = { .type = { .id = TN_T_DATE },
	    .rows = 2 * N, .values = days };
	struct tn_batch b = { .schema = &schema, .rows = 2 * N,
	    .columns = &column };
	uint32_t said = 0;
	const char *p;
	char last[11] = "";

	(void)state;
	for (uint32_t i = 0; i < 2 * N; i++) {
		days[i] = (int32_t)((uint64_t)i * 7919 % N);   /* Prime. */
		tn_batch_bucket_add(&t, &b, i, true);
	}
	tn_batch_buckets_say(&t, &out, &said);
	assert_int_equal(said, N);
	assert_int_equal(count(tn_buf_cstr(&out), ": 2 rows\n"), N);
	for (p = tn_buf_cstr(&out); (p = strstr(p, "view v: ")) != NULL; p++) {
		assert_true(strncmp(last, p + 8, 10) < 0);
		memcpy(last, p + 8, 10);
	}
	tn_buf_fini(&out);
	tn_free(t.all);
}

/* Goal: every bucket has its line, equal or with what differs, in order. */
static void
test_each(void **state)
{
	uint32_t said = 0;
	char *text = say(1u << 3, false, 1000, &said);

	(void)state;
	assert_int_equal(said, BUCKETS);
	assert_int_equal(count(text, "\n"), BUCKETS);
	assert_int_equal(count(text, "equal      view v: 2024-"), BUCKETS - 1);
	assert_non_null(strstr(text, "equal      view v: 2024-10-06: 2 rows\n"
	    "DIFFERENT  view v: 2024-10-07: 2 rows, 1 of them different\n"
	    "equal      view v: 2024-10-08: 2 rows\n"));
	tn_free(text);
}

/* Goal: on a terminal runs of equal buckets are one line, one alone and those
 * that differ keep their own. */
static void
test_folded(void **state)
{
	uint32_t said = 0;
	char *text = say(1u << 3 | 1u << 5, true, 1000, &said);

	(void)state;
	assert_string_equal(text,
	    "equal      view v: 2024-10-04 .. 2024-10-06: 3 buckets, 6 rows\n"
	    "DIFFERENT  view v: 2024-10-07: 2 rows, 1 of them different\n"
	    "equal      view v: 2024-10-08: 2 rows\n"
	    "DIFFERENT  view v: 2024-10-09: 2 rows, 1 of them different\n"
	    "equal      view v: 2024-10-10 .. 2024-10-23: 14 buckets, "
	    "28 rows\n");
	assert_int_equal(said, 5);
	tn_free(text);
}

/* Goal: what is said is bounded over all views: from half of the lines on runs
 * are one line, beyond them a view has one number; none is passed over. */
static void
test_bound(void **state)
{
	uint32_t said = 0;
	char *text = say(0, false, 10, &said);

	(void)state;
	assert_int_equal(said, 6);
	assert_int_equal(count(text, "\n"), 6);
	assert_non_null(strstr(text, "equal      view v: 2024-10-09 .. "
	    "2024-10-23: 15 buckets, 30 rows\n"));
	tn_free(text);
	text = say(0xaaaaa, false, 10, &said);
	assert_int_equal(said, 10);
	assert_int_equal(count(text, "\n"), 5);
	assert_non_null(strstr(text, "DIFFERENT  view v: 16 more buckets, "
	    "8 of them different\n"));
	tn_free(text);
	text = say(0, true, 10, &said);
	assert_string_equal(text, "equal      view v: 20 more buckets, 0 of "
	    "them different\n");
	tn_free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

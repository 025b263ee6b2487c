/* wrap: tn_try_alloc tn_try_realloc */
/* Batches for which memory is out: none, nothing leaks, and the builder is
 * good for the next one. */
#include "record_test.h"

static long fail_at = -1;

static bool
fails_now(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	return fails_now() ? NULL : __real_tn_try_alloc(n);
}

void *__real_tn_try_realloc(void *p, size_t n);
void *__wrap_tn_try_realloc(void *p, size_t n);
void *
__wrap_tn_try_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_tn_try_realloc(p, n);
}

static const struct tn_field fields[] = {
	{ "i", { .id = TN_T_INT8 }, false },
	{ "t", { .id = TN_T_TEXT }, false },
	{ "b", { .id = TN_T_BOOL }, false },
};
static const struct tn_schema schema = { "s", 3, fields };

enum { ROWS = 700 };

static struct tn_batch *
build(struct tn_builder *b)
{
	char text[40];

	for (uint32_t i = 0; i < ROWS; i++) {
		int n = snprintf(text, sizeof text, "row %u", (unsigned)i);
		tn_record_builder_i64(b, 0, i);
		tn_record_builder_text(b, 1, "wrong", 5);
		tn_record_builder_again(b, 1);
		if (i % 5 == 4)
			tn_record_builder_null(b, 1);
		else
			tn_record_builder_text(b, 1, text, (size_t)n);
		if (i % 3 == 0)
			tn_record_builder_row_undo(b);
		else
			tn_record_builder_bool(b, 2, i % 2);
		tn_record_builder_row_end(b);
	}
	return tn_record_builder_take(b);
}

static void
check(const struct tn_batch *b)
{
	char text[40];

	assert_int_equal(b->rows, ROWS);
	for (uint32_t i = 0; i < ROWS; i++) {
		snprintf(text, sizeof text, "row %u", (unsigned)i);
		assert_int_equal(tn_column_valid(&b->columns[0], i),
		    i % 3 != 0);
		if (i % 3 == 0 || i % 5 == 4)
			assert_false(tn_column_valid(&b->columns[1], i));
		else
			assert_true(tn_slice_is(tn_column_text(
			    &b->columns[1], i), text));
	}
}

/* Goal: whichever growth fails, take gives NULL or the right batch; the next
 * batch of the same builder is right. */
static void
builder(void **state)
{
	bool reached = true;
	long n;

	(void)state;
	for (n = 0; reached; n++) {
		struct tn_builder *b = tn_record_builder_new(&schema, 8);
		struct tn_batch *batch;
		fail_at = n;
		batch = build(b);
		reached = fail_at < 0;
		fail_at = -1;
		assert_true(reached || batch != NULL);
		if (batch != NULL)
			check(batch);
		tn_record_batch_unref(batch);
		batch = build(b);
		check(batch);
		tn_record_batch_unref(batch);
		tn_record_builder_free(b);
		assert_true(n < 1000);
	}
	assert_true(n > 15);
}

/* Goal: the same of take and concat. */
static void
gather(void **state)
{
	struct tn_builder *b = tn_record_builder_new(&schema, 8);
	struct tn_batch *one = build(b), *out;
	struct tn_batch *const both[] = { one, one };
	uint32_t rows[ROWS];
	bool reached = true;
	long n;

	(void)state;
	for (uint32_t i = 0; i < ROWS; i++)
		rows[i] = i;
	for (n = 0; reached; n++) {
		fail_at = n;
		out = n % 2 == 0 ? tn_record_batch_take(one, rows, ROWS) :
		    tn_record_batch_concat(both, 1);
		reached = fail_at < 0;
		fail_at = -1;
		assert_int_equal(out == NULL, reached);
		if (out != NULL)
			check(out);
		tn_record_batch_unref(out);
	}
	assert_true(n > 5);
	tn_record_batch_unref(one);
	tn_record_builder_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builder),
		cmocka_unit_test(gather),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

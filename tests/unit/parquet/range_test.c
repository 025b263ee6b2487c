/* range, nested: what a footer says of a column against its values; nested
 * files are whole and refused by our flat reader (hyparquet and others read
 * them in tests/e2e/tables.test.mjs). */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "os/os.h"
#include "parquet/parquet.h"

static const struct tn_field fields[] = {
	{ "i", { .id = TN_T_INT4 }, false },
	{ "t", { .id = TN_T_TEXT }, false },
	{ "f", { .id = TN_T_FLOAT8 }, false },
	{ "none", { .id = TN_T_INT8 }, false },
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
};
static const struct tn_schema schema = { "s", TN_COUNT(fields), fields };
#define ROWS 1000

/* i: -500.., every tenth null; f as well, NaN in row 700 when ${nan}. */
static struct tn_batch *
make_rows(bool nan)
{
	struct tn_builder *b = tn_record_builder_new(&schema, ROWS);
	struct tn_batch *out;
	char text[24];

	for (int64_t i = 0; i < ROWS; i++) {
		int n = snprintf(text, sizeof text, "t%04d", (int)i);
		if (i % 10 != 0)
			tn_record_builder_i64(b, 0, i - 500);
		tn_record_builder_text(b, 1, text, (size_t)n);
		tn_record_builder_f64(b, 2, nan && i == 700 ? NAN :
		    (double)i / 4);
		tn_record_builder_i64(b, 4, i * 1000 - 7);
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

/* Goal: nulls and bounds of a column are those of its values, over several
 * row groups; a column of nulls has no bounds, one with a NaN neither. */
static void
ranges(void **state)
{
	char path[] = "/tmp/tarn-range-XXXXXX";
	const struct tn_parquet_write_opts o = { .group_rows = 300 };

	(void)state;
	assert_true(mkstemp(path) >= 0);
	for (int nan = 0; nan < 2; nan++) {
		struct tn_batch *b = make_rows(nan);
		struct tn_parquet_writer *w = NULL;
		struct tn_parquet_written done;
		struct tn_parquet_reader *r = NULL;
		struct tn_parquet_range x;
		assert_int_equal(unlink(path), 0);
		assert_int_equal(tn_parquet_create(&w, path, &schema, &o),
		    TN_OK);
		assert_int_equal(tn_parquet_write(w, b), TN_OK);
		assert_int_equal(tn_parquet_finish(w, &done), TN_OK);
		assert_int_equal(tn_parquet_open(&r, path, NULL), TN_OK);
		assert_int_equal(tn_parquet_groups(r), 4);
		tn_parquet_range(r, 0, &x);
		assert_true(x.counted && x.bounded);
		assert_int_equal(x.nulls, 100);
		assert_true(x.min_i == -499 && x.max_i == 499);
		tn_parquet_range(r, 1, &x);
		assert_true(x.bounded && tn_slice_is(x.min_s, "t0000") &&
		    tn_slice_is(x.max_s, "t0999"));
		tn_parquet_range(r, 2, &x);
		assert_int_equal(x.bounded, !nan);
		assert_true(nan || (x.min_f == 0 && x.max_f == 249.75));
		tn_parquet_range(r, 3, &x);
		assert_true(x.counted && !x.bounded);
		assert_int_equal(x.nulls, ROWS);
		tn_parquet_range(r, 4, &x);
		assert_true(x.min_i == -7 && x.max_i == 998993);
		tn_parquet_close(r);
		tn_record_batch_unref(b);
	}
	assert_int_equal(unlink(path), 0);
}

/* Goal: a nested file is made whole, whatever is there and not; our reader
 * says that it has nested columns. */
static void
nested(void **state)
{
	static const struct tn_parquet_node nodes[] = {
		{ "a", TN_PARQUET_GROUP, 1, 2 },
		{ "x", TN_PARQUET_TEXT, 1, 0 },
		{ "l", TN_PARQUET_LIST, 1, 1 },
		{ "list", TN_PARQUET_GROUP, 2, 1 },
		{ "element", TN_PARQUET_INT8, 1, 0 },
		{ "b", TN_PARQUET_BOOL, 1, 0 },
	};
	char path[] = "/tmp/tarn-nested-XXXXXX";
	struct tn_parquet_nested *n = tn_parquet_nested_new(nodes,
	    TN_COUNT(nodes));
	struct tn_parquet_reader *r = NULL;
	struct tn_diag d = { .message = "" };
	struct tn_buf b = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		if (i % 3 == 0) {
			tn_parquet_nested_none(n, 0, 0);
			tn_parquet_nested_none(n, 1, 0);
		} else {
			tn_parquet_nested_text(n, 0, tn_slice_of("v"));
			if (i % 3 == 1)
				tn_parquet_nested_number(n, 1, i);
			else
				tn_parquet_nested_none(n, 1, 2);
		}
		tn_parquet_nested_number(n, 2, i % 2);
	}
	assert_int_equal(tn_parquet_nested_finish(n, &b), TN_OK);
	tn_parquet_nested_free(n);
	assert_memory_equal(b.p, "PAR1", 4);
	assert_memory_equal(b.p + b.n - 4, "PAR1", 4);
	assert_true(mkstemp(path) >= 0);
	assert_int_equal(tn_os_write_file(path, b.p, b.n, 0600), TN_OK);
	assert_int_equal(tn_parquet_open(&r, path, &d), TN_EUNSUPPORTED);
	assert_int_equal(unlink(path), 0);
	tn_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

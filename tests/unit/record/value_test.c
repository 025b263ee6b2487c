/* Printing of every type, key hashes and the order of values. */
#include "record_test.h"

#include <math.h>

static void
check_both(enum tn_type_id id, const void *v, const char *text,
    const char *json)
{
	struct tn_buf b = { .n = 0 };
	struct tn_type t = tn_record_type(id);

	assert_string_equal(printed(&b, t, v, false), text);
	assert_string_equal(printed(&b, t, v, true), json);
	tn_buf_fini(&b);
}

static struct tn_column
text_column(enum tn_type_id id, const char *bytes, const uint32_t *offsets,
    uint32_t rows)
{
	return (struct tn_column){ .type = tn_record_type(id), .rows = rows,
	    .offsets = offsets, .bytes = (const uint8_t *)bytes };
}

/* Goal: each fixed width type prints in PostgreSQL's form and as JSON. */
static void
test_print_fixed(void **state)
{
	int64_t us = INT64_C(1772352000123000);
	int64_t day = INT64_C(86400000000);
	int64_t wild = -1;
	int32_t days = -719163;
	int32_t i4 = INT32_MIN;
	int64_t i8 = INT64_MIN;
	int16_t i2 = -7;
	uint8_t yes = 1;
	float f4 = 0.1f;
	double nan_value = (double)NAN;
	__int128 numeric = 1500000000;

	(void)state;
	check_both(TN_T_BOOL, &yes, "true", "true");
	check_both(TN_T_INT2, &i2, "-7", "-7");
	check_both(TN_T_INT4, &i4, "-2147483648", "-2147483648");
	check_both(TN_T_INT8, &i8, "-9223372036854775808",
	    "-9223372036854775808");
	check_both(TN_T_FLOAT4, &f4, "0.1", "0.1");
	check_both(TN_T_FLOAT8, &nan_value, "NaN", "\"NaN\"");
	check_both(TN_T_NUMERIC, &numeric, "1.5", "1.5");
	check_both(TN_T_DATE, &days, "0001-12-31 BC", "\"0001-12-31 BC\"");
	check_both(TN_T_TIMESTAMP, &us, "2026-03-01 08:00:00.123",
	    "\"2026-03-01T08:00:00.123\"");
	check_both(TN_T_TIMESTAMPTZ, &us, "2026-03-01 08:00:00.123+00",
	    "\"2026-03-01T08:00:00.123Z\"");
	check_both(TN_T_TIME, &day, "24:00:00", "\"24:00:00\"");
	check_both(TN_T_TIME, &wild, "23:59:59.999999",
	    "\"23:59:59.999999\"");
}

/* Goal: text is escaped in JSON, jsonb is not, bytes are hexadecimal, null
 * is nothing and null; a column without a type is all null. */
static void
test_print_text(void **state)
{
	static const uint32_t offsets[] = { 0, 3, 3 };
	static const uint8_t valid[] = { 1 };
	struct tn_column c = text_column(TN_T_TEXT, "a\"\n", offsets, 2);
	struct tn_column none = { .rows = 1 };
	struct tn_buf b = { .n = 0 };

	(void)state;
	c.valid = valid;
	for (int i = 0; i < 3; i++) {
		c.type.id = (uint8_t[]){ TN_T_TEXT, TN_T_JSONB,
		    TN_T_BYTES }[i];
		for (uint32_t row = 0; row < 2; row++) {
			tn_record_print(&b, &c, row);
			tn_buf_char(&b, '|');
			tn_record_print_json(&b, &c, row);
			tn_buf_char(&b, '|');
		}
	}
	tn_record_print(&b, &none, 0);
	tn_record_print_json(&b, &none, 0);
	assert_string_equal(tn_buf_cstr(&b), "a\"\n|\"a\\\"\\n\"||null|"
	    "a\"\n|a\"\n||null|\\x61220a|\"\\\\x61220a\"||null|null");
	tn_buf_fini(&b);
}

/* Goal: a full buffer is told by the buffer and harms nothing. */
static void
test_print_full(void **state)
{
	struct tn_interval v = { .us = -1, .days = -2, .months = -3 };
	struct tn_buf b = { .max = 5 };

	(void)state;
	(void)printed(&b, tn_record_type(TN_T_INTERVAL), &v, true);
	tn_record_print_f64(&b, 1.0 / 3);
	tn_record_print_numeric(&b, 12345678, 3, true);
	assert_true(b.failed);
	tn_buf_fini(&b);
}

static struct tn_hash128
hash_of(enum tn_type_id id, const void *values, const uint8_t *valid)
{
	static const uint32_t col[] = { 0 };
	struct tn_field field = { "x", tn_record_type(id), false };
	struct tn_schema schema = { "s", 1, &field };
	struct tn_arena *arena = tn_arena_new(0);
	struct tn_column *c = tn_arena_zalloc(arena, sizeof *c);
	struct tn_hash128 h;
	struct tn_batch *b;

	*c = (struct tn_column){ .type = field.type, .rows = 1,
	    .values = values, .valid = valid };
	b = tn_record_batch_new(arena, &schema, 1, c);
	tn_record_hash_keys(b, col, 1, &h);
	tn_record_batch_unref(b);
	return h;
}

static bool
same(struct tn_hash128 a, struct tn_hash128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* Goal: the hashed bytes are those that the head of keys.c promises. */
static void
test_hash_layout(void **state)
{
	static const uint8_t null_key[] = { 0 };
	static const uint8_t int_key[] = { 1, 0xfe, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff };
	static const uint8_t one_key[] = { 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f };
	static const uint8_t invalid[] = { 0 };
	int16_t i2 = -2;
	int32_t i4 = -2;
	int64_t i8 = -2;
	float f4 = 1;
	double f8 = 1;

	(void)state;
	assert_true(same(hash_of(TN_T_INT2, &i2, NULL),
	    tn_hash128(int_key, 9, 0)));
	assert_true(same(hash_of(TN_T_INT4, &i4, NULL),
	    tn_hash128(int_key, 9, 0)));
	assert_true(same(hash_of(TN_T_INT8, &i8, NULL),
	    tn_hash128(int_key, 9, 0)));
	assert_true(same(hash_of(TN_T_FLOAT4, &f4, NULL),
	    tn_hash128(one_key, 9, 0)));
	assert_true(same(hash_of(TN_T_FLOAT8, &f8, NULL),
	    tn_hash128(one_key, 9, 0)));
	assert_true(same(hash_of(TN_T_INT8, &i8, invalid),
	    tn_hash128(null_key, 1, 0)));
}

/* Goal: equal numbers hash equal: both zeros, every NaN; intervals by their
 * length. */
static void
test_hash_normal(void **state)
{
	static const double zeros[] = { 0.0, -0.0 };
	uint64_t nans[] = { UINT64_C(0x7ff8000000000000),
	    UINT64_C(0xfff8000000000001) };
	struct tn_interval month = { .months = 1 };
	struct tn_interval days = { .us = INT64_C(86400000000), .days = 29 };
	struct tn_column a = { .type = tn_record_type(TN_T_FLOAT8),
	    .rows = 2, .values = nans };

	(void)state;
	assert_true(same(hash_of(TN_T_FLOAT8, &zeros[0], NULL),
	    hash_of(TN_T_FLOAT8, &zeros[1], NULL)));
	assert_true(same(hash_of(TN_T_FLOAT8, &nans[0], NULL),
	    hash_of(TN_T_FLOAT8, &nans[1], NULL)));
	assert_int_equal(tn_record_compare(&a, 0, &a, 1), 0);
	assert_true(same(hash_of(TN_T_INTERVAL, &month, NULL),
	    hash_of(TN_T_INTERVAL, &days, NULL)));
}

/* Goal: texts of several columns are not run together ("ab","c" and
 * "a","bc"), and column order counts. */
static void
test_hash_columns(void **state)
{
	static const struct tn_field fields[] = {
		{ "a", { .id = TN_T_TEXT }, false },
		{ "b", { .id = TN_T_TEXT }, false } };
	static const struct tn_schema schema = { "s", 2, fields };
	static const char *const rows[][2] = { { "ab", "c" }, { "a", "bc" },
	    { "c", "ab" }, { "", "abc" }, { NULL, "abc" }, { "abc", NULL } };
	static const uint32_t forth[] = { 0, 1 };
	static const uint32_t back[] = { 1, 0 };
	struct tn_builder *b = tn_record_builder_new(&schema, 6);
	struct tn_hash128 h[6];
	struct tn_hash128 r[6];
	struct tn_batch *batch;

	(void)state;
	for (int i = 0; i < 6; i++) {
		for (uint32_t c = 0; c < 2; c++)
			if (rows[i][c] != NULL)
				tn_record_builder_text(b, c, rows[i][c],
				    strlen(rows[i][c]));
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_hash_keys(batch, forth, 2, h);
	tn_record_hash_keys(batch, back, 2, r);
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < i; k++)
			assert_false(same(h[i], h[k]));
	assert_true(same(h[0], r[2]));
	assert_true(same(h[4], r[5]));
	assert_true(same(h[0], tn_hash128("\1\2\0\0\0\0\0\0\0ab"
	    "\1\1\0\0\0\0\0\0\0c", 21, 0)));
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
}

/* Goal: values listed in order compare in that order, both ways. */
static void
check_order(const struct tn_column *c)
{
	for (uint32_t i = 0; i < c->rows; i++)
		for (uint32_t k = 0; k < c->rows; k++) {
			int order = tn_record_compare(c, i, c, k);

			assert_int_equal((order > 0) - (order < 0),
			    (i > k) - (i < k));
		}
}

static void
test_order(void **state)
{
	static const double f8[] = { -(double)INFINITY, -1, 0, 5e-324, 1,
	    (double)INFINITY, (double)NAN, 0 };
	static const int64_t i8[] = { INT64_MIN, -1, 0, INT64_MAX };
	static const int16_t i2[] = { INT16_MIN, -1, 0, 1 };
	static const uint8_t flags[] = { 0, 1 };
	static const uint8_t valid[] = { 0x7f };
	static const uint32_t offsets[] = { 0, 0, 1, 3, 4, 5 };
	const __int128 numeric[] = { -((__int128)1 << 100), -1, 0,
	    (__int128)1 << 100 };
	static const struct tn_interval spans[] = { { -1, 0, 0 },
	    { 0, 29, 0 }, { 0, 0, 1 }, { 1, 30, 0 }, { 0, 0, INT32_MAX } };
	struct tn_column c = text_column(TN_T_TEXT, "aabb\xc3", offsets, 5);

	(void)state;
	check_order(&c);
	c = (struct tn_column){ .type = tn_record_type(TN_T_FLOAT8),
	    .rows = 8, .values = f8, .valid = valid };
	check_order(&c);
	c = (struct tn_column){ .type = tn_record_type(TN_T_INT8), .rows = 4,
	    .values = i8 };
	check_order(&c);
	c.type = tn_record_type(TN_T_INT2);
	c.values = i2;
	check_order(&c);
	c.type = tn_record_type(TN_T_NUMERIC);
	c.values = numeric;
	check_order(&c);
	c.type = tn_record_type(TN_T_INTERVAL);
	c.values = spans;
	c.rows = 5;
	check_order(&c);
	c.type = tn_record_type(TN_T_BOOL);
	c.values = flags;
	c.rows = 2;
	check_order(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print_fixed),
		cmocka_unit_test(test_print_text),
		cmocka_unit_test(test_print_full),
		cmocka_unit_test(test_hash_layout),
		cmocka_unit_test(test_hash_normal),
		cmocka_unit_test(test_hash_columns),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, random_setup, NULL);
}

/* wrap: malloc realloc calloc
 * Schemas, builders and batches: what goes in comes out, through take,
 * concat, dictionaries and nulls; and a value costs no allocation. */
#include "record_test.h"

#include <pthread.h>

static unsigned long allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

void *
__wrap_malloc(size_t n)
{
	allocations++;
	return __real_malloc(n);
}
void *
__wrap_calloc(size_t n, size_t m)
{
	allocations++;
	return __real_calloc(n, m);
}
void *
__wrap_realloc(void *p, size_t n)
{
	allocations++;
	return __real_realloc(p, n);
}

#define COLUMNS 8
static const struct tn_field fields[COLUMNS] = {
	{ "b", { .id = TN_T_BOOL }, false },
	{ "i2", { .id = TN_T_INT2 }, false },
	{ "i4", { .id = TN_T_INT4 }, false },
	{ "i8", { .id = TN_T_INT8 }, false },
	{ "f8", { .id = TN_T_FLOAT8 }, false },
	{ "t", { .id = TN_T_TEXT }, false },
	{ "u", { .id = TN_T_UUID }, false },
	{ "n", { .id = TN_T_NONE }, false },
};
static const struct tn_schema schema = { "all", COLUMNS, fields };

/* Row ${k} of the model: null where a bit of its hash says so. */
static uint64_t
model(uint32_t k, uint32_t col)
{
	uint32_t key[2] = { k, col };

	return tn_hash64(key, sizeof key, 7);
}

static bool
model_null(uint32_t k, uint32_t col, bool dense)
{
	return col == 7 || (!dense && model(k, col) % 5 == 0);
}

static size_t
model_text(uint32_t k, char *text)
{
	size_t n = model(k, 5) % 40;

	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + (model(k, 5) >> (i % 50)) % 26);
	return n;
}

static void
put(struct tn_builder *b, uint32_t k, uint32_t col)
{
	uint64_t v = model(k, col);
	uint64_t wide[2] = { v, ~v };
	char text[64];
	size_t n;

	if (col == 0)
		tn_record_builder_bool(b, col, v & 8);
	else if (col == 1)
		tn_record_builder_i64(b, col, (int16_t)v);
	else if (col == 2)
		tn_record_builder_i64(b, col, (int32_t)v);
	else if (col == 3)
		tn_record_builder_i64(b, col, (int64_t)v);
	else if (col == 4)
		tn_record_builder_f64(b, col, (double)v);
	else if (col == 6)
		tn_record_builder_fixed(b, col, wide);
	if (col == 5) {
		n = model_text(k, text);
		tn_record_builder_text(b, col, text, n);
	}
}

static void
put_row(struct tn_builder *b, uint32_t k, bool dense)
{
	for (uint32_t col = 0; col < COLUMNS; col++) {
		if (!model_null(k, col, dense))
			put(b, k, col);
		else if (k % 2 == 0)
			tn_record_builder_null(b, col);
	}
	tn_record_builder_row_end(b);
}

/* Fixed widths of the columns above, by hand. */
static void
check_value(const struct tn_column *c, uint32_t row, uint32_t k, uint32_t col)
{
	uint64_t v = model(k, col);
	uint64_t wide[2] = { v, ~v };
	const void *at = (const uint8_t *)c->values +
	    row * tn_record_type_width(c->type);
	char text[64];
	double d = (double)v;
	uint8_t flag = (v & 8) != 0;

	if (col == 0)
		assert_memory_equal(at, &flag, 1);
	else if (col == 4)
		assert_memory_equal(at, &d, 8);
	else if (col == 5)
		assert_true(tn_slice_eq(tn_column_text(c, row),
		    (struct tn_slice){ (uint8_t *)text,
		    model_text(k, text) }));
	else if (col == 6)
		assert_memory_equal(at, wide, 16);
	else
		assert_memory_equal(at, &v, tn_record_type_width(c->type));
}

static void
check_row(const struct tn_batch *b, uint32_t row, uint32_t k, bool dense)
{
	static const uint8_t zeros[16];

	for (uint32_t col = 0; col < COLUMNS; col++) {
		const struct tn_column *c = &b->columns[col];
		bool null = model_null(k, col, dense);

		assert_int_equal(c->rows, b->rows);
		assert_int_equal(tn_column_valid(c, row), !null);
		if (!null)
			check_value(c, row, k, col);
		else if (col == 5)
			assert_int_equal(tn_column_text(c, row).n, 0);
		else if (col != 7)
			assert_memory_equal((const uint8_t *)c->values +
			    row * tn_record_type_width(c->type), zeros,
			    tn_record_type_width(c->type));
	}
}

static struct tn_batch *
make(uint32_t first, uint32_t rows, bool dense)
{
	struct tn_builder *b = tn_record_builder_new(&schema,
	    random_below(100));
	struct tn_batch *out;

	for (uint32_t k = 0; k < rows; k++)
		put_row(b, first + k, dense);
	assert_int_equal(tn_record_builder_rows(b), rows);
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

/* Goal: a schema copy is deep, one block, and found by exact name. */
static void
test_schema(void **state)
{
	struct tn_schema *s = tn_record_schema_copy(&schema);

	(void)state;
	assert_string_equal(s->name, "all");
	assert_ptr_not_equal(s->fields[3].name, fields[3].name);
	assert_string_equal(s->fields[3].name, "i8");
	assert_int_equal(tn_record_schema_find(s, tn_slice_of("i8")), 3);
	assert_int_equal(tn_record_schema_find(s, tn_slice_of("I8")), -1);
	assert_int_equal(tn_record_schema_find(s, tn_slice_of("i")), -1);
	assert_int_equal(tn_record_schema_find(s, tn_slice_of("")), -1);
	tn_free(s);
}

/* Goal: every type has PostgreSQL's name, its width, and equality. */
static void
test_types(void **state)
{
	char buf[48];
	struct tn_type t = tn_record_type(TN_T_NUMERIC);
	struct tn_type v = tn_record_type(TN_T_TEXT);

	(void)state;
	assert_string_equal(tn_record_type_name(t, buf), "numeric");
	t.precision = 10;
	t.scale = 2;
	assert_false(tn_record_type_eq(t, tn_record_type(TN_T_NUMERIC)));
	t.declared = true;
	assert_string_equal(tn_record_type_name(t, buf), "numeric(10,2)");
	v.length_max = UINT32_MAX;
	assert_string_equal(tn_record_type_name(v, buf),
	    "character varying(4294967295)");
	assert_string_equal(tn_record_type_name(
	    tn_record_type(TN_T_TIMESTAMPTZ), buf),
	    "timestamp with time zone");
	for (int id = 0; id < TN_T_COUNT; id++) {
		t = tn_record_type((enum tn_type_id)id);
		assert_true(tn_record_type_eq(t, t));
		assert_true(strlen(tn_record_type_name(t, buf)) > 0);
	}
}

/* Goal: rows come back as appended, at sizes around every growth step. */
static void
test_build(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 2, 7, 8, 9, 63, 64, 65, 127,
	    128, 129, 1000, 5000 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(sizes) * 2; i++) {
		uint32_t n = sizes[i / 2];
		struct tn_batch *b = make(n, n, i % 2);

		assert_int_equal(b->rows, n);
		for (uint32_t k = 0; k < n; k++)
			check_row(b, k, n + k, i % 2);
		assert_true(b->columns[3].valid == NULL || i % 2 == 0);
		/* No bit behind the last row is set. */
		if (b->columns[3].valid != NULL && n % 8 != 0)
			assert_int_equal(
			    b->columns[3].valid[n / 8] >> (n % 8), 0);
		tn_record_batch_unref(b);
	}
}

/* Goal: again and undo take values back, nulls and text bytes included, and
 * an undone row that is ended is a row of nulls. */
static void
test_take_back(void **state)
{
	struct tn_builder *b = tn_record_builder_new(&schema, 1);
	struct tn_batch *out;

	(void)state;
	put_row(b, 1, true);
	for (uint32_t k = 100; k < 120; k++)
		for (uint32_t col = 0; col < 7; col++) {
			tn_record_builder_again(b, col);
			assert_false(tn_record_builder_has(b, col));
			if (k % 3 == 0)
				tn_record_builder_null(b, col);
			else
				put(b, k, col);
			assert_true(tn_record_builder_has(b, col));
		}
	tn_record_builder_row_undo(b);
	put_row(b, 2, true);
	put(b, 50, 5);
	put(b, 50, 3);
	tn_record_builder_row_undo(b);
	tn_record_builder_row_end(b);
	put(b, 51, 5);      /* The open row is not taken. */
	out = tn_record_builder_take(b);
	assert_int_equal(tn_record_builder_rows(b), 0);
	assert_int_equal(out->rows, 3);
	check_row(out, 0, 1, true);
	check_row(out, 1, 2, true);
	for (uint32_t col = 0; col < COLUMNS; col++)
		assert_false(tn_column_valid(&out->columns[col], 2));
	tn_record_batch_unref(out);
	/* And the builder goes on. */
	put_row(b, 9, true);
	out = tn_record_builder_take(b);
	check_row(out, 0, 9, true);
	tn_record_batch_unref(out);
	tn_record_builder_free(b);
}

/* Goal: take picks any rows in any order, concat joins all, on a model. */
static void
test_take_concat(void **state)
{
	struct tn_batch *in[5];
	uint32_t first[5];
	uint32_t list[300];
	struct tn_batch *all;
	struct tn_batch *out;

	(void)state;
	for (int round = 0; round < 60; round++) {
		uint32_t at = 0;
		bool dense = round % 3 == 0;

		for (int i = 0; i < 5; i++) {
			first[i] = random_below(1000000);
			in[i] = make(first[i], random_below(200), dense);
		}
		all = tn_record_batch_concat(in, 5);
		for (int i = 0; i < 5; i++)
			for (uint32_t k = 0; k < in[i]->rows; k++)
				check_row(all, at++, first[i] + k, dense);
		assert_int_equal(all->rows, at);
		at = all->rows > 0 ? 300 : 0;
		for (uint32_t k = 0; k < at; k++)
			list[k] = random_below(all->rows);
		out = tn_record_batch_take(all, list, at);
		assert_int_equal(out->rows, at);
		for (uint32_t k = 0; k < at; k++)
			for (uint32_t c = 0; c < COLUMNS; c++)
				assert_int_equal(tn_record_compare(
				    &out->columns[c], k,
				    &all->columns[c], list[k]), 0);
		assert_true(tn_record_batch_bytes(out) >= at * 30u);
		for (int i = 0; i < 5; i++)
			tn_record_batch_unref(in[i]);
		tn_record_batch_unref(all);
		tn_record_batch_unref(out);
	}
}

/* Goal: a dictionary column copies, takes, hashes and prints as its plain
 * twin does. */
static void
test_dictionary(void **state)
{
	static const uint32_t offsets[] = { 0, 3, 3, 8 };
	static const uint32_t codes[] = { 2, 0, 1, 0, 2 };
	static const uint8_t valid[] = { 0x17 };
	static const struct tn_field field = { "t", { .id = TN_T_TEXT }, 0 };
	static const struct tn_schema one = { "d", 1, &field };
	static const uint32_t list[] = { 4, 3, 2, 1, 0, 0 };
	static const uint32_t key[] = { 0 };
	struct tn_column dict = { .type = field.type, .rows = 3,
	    .offsets = offsets, .bytes = (const uint8_t *)"abcdefgh" };
	struct tn_arena *arena = tn_arena_new(0);
	struct tn_column *c = tn_arena_zalloc(arena, sizeof *c);
	struct tn_builder *builder = tn_record_builder_new(&one, 0);
	struct tn_hash128 ha[5];
	struct tn_hash128 hb[5];
	struct tn_batch *a;
	struct tn_batch *b;
	struct tn_batch *t;
	struct tn_buf buf = { .n = 0 };

	(void)state;
	*c = (struct tn_column){ .type = field.type, .rows = 5,
	    .valid = valid, .values = codes, .dict = &dict };
	a = tn_record_batch_new(arena, &one, 5, c);
	for (uint32_t i = 0; i < 5; i++) {
		tn_record_builder_copy(builder, 0, c, i);
		tn_record_builder_row_end(builder);
	}
	b = tn_record_builder_take(builder);
	tn_record_hash_keys(a, key, 1, ha);
	tn_record_hash_keys(b, key, 1, hb);
	assert_memory_equal(ha, hb, sizeof ha);
	t = tn_record_batch_take(a, list, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_null(t->columns[0].dict);
		assert_int_equal(tn_record_compare(&t->columns[0], i,
		    &b->columns[0], list[i]), 0);
	}
	tn_record_print_json(&buf, c, 0);
	tn_record_print_json(&buf, c, 2);
	tn_record_print_json(&buf, c, 3);
	assert_string_equal(tn_buf_cstr(&buf), "\"defgh\"\"\"null");
	tn_buf_fini(&buf);
	tn_record_batch_unref(t);
	t = tn_record_batch_concat((struct tn_batch *[]){ a, b }, 2);
	assert_int_equal(t->rows, 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(tn_record_compare(&t->columns[0], i,
		    &b->columns[0], i % 5), 0);
	tn_record_batch_unref(t);
	tn_record_batch_unref(b);
	tn_record_batch_unref(a);
	tn_record_builder_free(builder);
}

static void *
ref_many(void *arg)
{
	struct tn_batch *b = arg;

	for (int i = 0; i < 20000; i++) {
		tn_record_batch_ref(b);
		tn_record_batch_unref(b);
	}
	tn_record_batch_unref(b);
	return NULL;
}

/* Goal: the last of several threads to let go frees the batch, once. */
static void
test_refs(void **state)
{
	struct tn_batch *b = make(5, 10, false);
	pthread_t thread[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		tn_record_batch_ref(b);
		pthread_create(&thread[i], NULL, ref_many, b);
	}
	tn_record_batch_unref(b);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	tn_record_batch_unref(NULL);
}

/* Goal: 100,000 rows of 8 columns cost allocations by growth only, and a
 * second batch of that size almost none. */
static void
test_allocations(void **state)
{
	struct tn_builder *b = tn_record_builder_new(&schema, 0);

	(void)state;
	for (int round = 0; round < 2; round++) {
		unsigned long before = allocations;

		for (uint32_t k = 0; k < 100000; k++)
			put_row(b, k, false);
		assert_true(allocations - before < (round ? 60 : 200));
		assert_true(tn_record_builder_bytes(b) > 100000 * 30);
		tn_record_batch_unref(tn_record_builder_take(b));
	}
	tn_record_builder_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_take_back),
		cmocka_unit_test(test_take_concat),
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_refs),
		cmocka_unit_test(test_allocations),
	};

	return cmocka_run_group_tests(tests, random_setup, NULL);
}

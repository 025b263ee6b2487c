/* stats: bounds in files and the reads that they shorten. */
#include "test.h"
#include "parquet/parquet.h"
#include "parquet/parquet_int.h"
#include "pq_gen.h"

static const struct pq_leaf text_leaf = { "t", { .id = TN_T_TEXT },
    TN_PQ_BYTE_ARRAY, TN_PQ_SAME, true, true, 0, false };
static const struct pq_leaf bytes_leaf = { "t", { .id = TN_T_BYTES },
    TN_PQ_BYTE_ARRAY, TN_PQ_SAME, true, true, 0, false };

static bool
put(struct tn_buf *b, const struct pq_leaf *leaf, const char *s, size_t n,
    bool is_max, bool *exact)
{
	struct pq_value v = { 0, 0, { (const uint8_t *)s, n } };

	tn_buf_clear(b);
	return tn_parquet_stat_put(b, leaf, &v, is_max, exact);
}

/* Goal: a cut text is at most 64 bytes and a character, a valid text, below
 * the value as minimum and above it as maximum. */
static void
cut_texts_bound(void **state)
{
	static const char *const pieces[] = { "a", "\x7f", "\xc3\xbf",
	    "\xdf\xbf", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf",
	    "\xf0\x9f\x98\x80" };
	struct tn_buf b = { .p = NULL };

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char s[200] = "";
		size_t n = 0;
		bool exact;
		struct pq_value v, bound;

		while (n < 60 + gen_below(60))
			n += (size_t)snprintf(s + n, sizeof s - n, "%s",
			    pieces[gen_below(TN_COUNT(pieces))]);
		v = (struct pq_value){ 0, 0, { (uint8_t *)s, n } };
		assert_true(put(&b, &text_leaf, s, n, false, &exact));
		bound = (struct pq_value){ 0, 0, { b.p, b.n } };
		assert_true(tn_parquet_value_compare(TN_PQ_BY_BYTES, &bound,
		    &v) <= 0);
		assert_true(tn_utf8_valid(b.p, b.n));
		assert_true(b.n <= 64);
		assert_int_equal(exact, n <= 64);
		assert_true(put(&b, &text_leaf, s, n, true, &exact));
		bound = (struct pq_value){ 0, 0, { b.p, b.n } };
		assert_true(tn_parquet_value_compare(TN_PQ_BY_BYTES, &bound,
		    &v) >= 0);
		assert_true(tn_utf8_valid(b.p, b.n));
		assert_true(b.n <= 68);
	}
	tn_buf_fini(&b);
}

/* Goal: where nothing lies above the cut there is no maximum. */
static void
no_maximum_above_the_last(void **state)
{
	struct tn_buf b = { .p = NULL };
	char s[100];
	bool exact;

	(void)state;
	memset(s, 0xff, sizeof s);
	assert_false(put(&b, &bytes_leaf, s, 65, true, &exact));
	assert_int_equal(b.n, 0);
	assert_true(put(&b, &bytes_leaf, s, 64, true, &exact));
	assert_true(exact);
	s[10] = 5;
	assert_true(put(&b, &bytes_leaf, s, 65, true, &exact));
	assert_int_equal(b.n, 11);
	assert_int_equal(b.p[10], 6);
	for (size_t i = 0; i < sizeof s; i++)
		s[i] = "\xf4\x8f\xbf\xbf"[i % 4];
	assert_false(put(&b, &text_leaf, s, 68, true, &exact));
	tn_buf_fini(&b);
}

/* Goal: NaN is in no bound, zeros are written with the sign that the format
 * wants, and NaNs are counted. */
static void
floats_follow_the_rules(void **state)
{
	static const double values[] = { NAN, 0.0, -0.0, NAN, 0.0 };
	struct tn_field f = { "f", { .id = TN_T_FLOAT8 }, false };
	struct tn_schema s = { "s", 1, &f };
	struct tn_builder *b = tn_record_builder_new(&s, 5);
	struct tn_parquet_reader *r;
	struct tn_parquet_writer *w;
	const struct pq_stats *st;
	struct tn_batch *batch;
	double least, most;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(values); i++) {
		tn_record_builder_f64(b, 0, values[i]);
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, NULL), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_OK);
	assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	st = &r->groups[0].chunks[0].stats;
	assert_true(st->has_min && st->has_max && st->min.n == 8);
	memcpy(&least, st->min.p, 8);
	memcpy(&most, st->max.p, 8);
	assert_true(least == 0 && signbit(least));
	assert_true(most == 0 && !signbit(most));
	assert_int_equal(st->nans, 2);
	assert_int_equal(st->nulls, 0);
	tn_parquet_close(r);
	tn_record_batch_unref(batch);
}

/* ---- bounded reads --------------------------------------------------- */

/* NaN above all numbers, as in record.h. */
static bool
within(const struct tn_column *c, uint32_t row, const struct tn_column *min,
    const struct tn_column *max)
{
	struct tn_column plain = *c;
	uint32_t at = row;

	if (!tn_column_valid(c, row))
		return false;
	if (c->dict != NULL) {
		plain = *c->dict;
		at = ((const uint32_t *)c->values)[row];
	}
	return (min == NULL || tn_record_compare(&plain, at, min, 0) >= 0) &&
	    (max == NULL || tn_record_compare(&plain, at, max, 0) <= 0);
}

/* One row of a column of ${g}, as a batch; NULL when it is null there. */
static struct tn_batch *
some_value(const struct gen *g, uint32_t c)
{
	uint32_t in;
	const struct tn_column *col = gen_at(g, gen_u64() % g->rows, c, &in);
	uint32_t i = 0;

	if (!tn_column_valid(col, in))
		return NULL;
	while (&g->batches[i]->columns[c] != col)
		i++;
	return tn_record_batch_take(g->batches[i], &in, 1);
}

struct bounded {
	struct tn_batch *least;
	struct tn_batch *most;
	struct tn_parquet_bound bound;
	uint64_t within;       /* Rows within, in the file. */
	uint64_t got_within;   /* The same among the rows read. */
	uint64_t got;
};

static void
read_bounded(const struct gen *g, struct tn_parquet_reader *r,
    struct bounded *k)
{
	uint32_t c = k->bound.column;
	/* The bounded column last, so that another one goes first. */
	uint32_t columns[2] = { gen_below(g->schema.count), c };
	struct tn_parquet_read_opts o = { .columns = columns,
	    .column_count = 2, .bounds = &k->bound, .bound_count = 1,
	    .keep_dictionary = gen_below(2) };

	for (uint64_t row = 0; row < g->rows; row++) {
		uint32_t in;
		const struct tn_column *col = gen_at(g, row, c, &in);

		k->within += within(col, in, k->bound.min, k->bound.max);
	}
	for (uint32_t i = 0; i < tn_parquet_groups(r); i++) {
		struct tn_diag d = { .line = 0 };
		struct tn_batch *b;

		if (tn_parquet_read(r, i, &o, &b, &d) != TN_OK)
			fail_msg("%s", d.message);
		for (uint32_t row = 0; b != NULL && row < b->rows; row++)
			k->got_within += within(&b->columns[1], row,
			    k->bound.min, k->bound.max);
		k->got += b != NULL ? b->rows : 0;
		assert_true(b == NULL || (b->columns[0].rows == b->rows &&
		    b->columns[1].rows == b->rows));
		tn_record_batch_unref(b);
	}
}

/* Goal: a bounded read returns every row that lies within, for every type and
 * any bounds, from one side or both. */
static void
bounds_lose_nothing(void **state)
{
	uint64_t rows = 0, got = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		struct tn_parquet_reader *r;
		struct gen g;

		gen_schema(&g);
		g.opts.group_rows = 300 + gen_below(1000);
		g.opts.page_rows = 20 + gen_below(100);
		gen_batch(&g, 1500);
		gen_file(&g, PATH);
		assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
		for (uint32_t n = 0; n < 3 * g.schema.count; n++) {
			uint32_t c = n % g.schema.count;
			struct bounded k = { some_value(&g, c),
			    some_value(&g, c), { c, NULL, NULL }, 0, 0, 0 };

			if (k.least != NULL && n % 3 != 1)
				k.bound.min = &k.least->columns[c];
			if (k.most != NULL && n % 3 != 2)
				k.bound.max = &k.most->columns[c];
			read_bounded(&g, r, &k);
			if (k.within != k.got_within)
				fail_msg("%s shape %d: %llu of %llu",
				    g.fields[c].name, g.shapes[c],
				    (unsigned long long)k.got_within,
				    (unsigned long long)k.within);
			rows += g.rows;
			got += k.got;
			tn_record_batch_unref(k.least);
			tn_record_batch_unref(k.most);
		}
		tn_parquet_close(r);
		gen_fini(&g);
	}
	print_message("bounded reads took %.0f %% of the rows\n",
	    100.0 * (double)got / (double)rows);
	assert_true(got < rows);
}

static void
sorted_file(struct gen *g)
{
	*g = (struct gen){ .rows = 0 };
	g->fields[0] = (struct tn_field){ "id", { .id = TN_T_INT8 }, true };
	g->fields[1] = (struct tn_field){ "t", { .id = TN_T_TEXT }, true };
	g->shapes[0] = g->shapes[1] = SORTED;
	g->schema = (struct tn_schema){ "sorted", 2, g->fields };
	g->opts.group_rows = 1000;
	g->opts.page_rows = 100;
	gen_batch(g, 4000);
	gen_file(g, PATH);
}

/* Goal: on sorted data a narrow bound reads one page of one row group. */
static void
narrow_bounds_read_one_page(void **state)
{
	int64_t low = 3 * 2150, high = 3 * 2160;
	struct tn_column min = { .type = { .id = TN_T_INT8 }, .rows = 1,
	    .values = &low };
	struct tn_column max = { .type = { .id = TN_T_INT8 }, .rows = 1,
	    .values = &high };
	struct tn_parquet_bound bound = { 0, &min, &max };
	struct tn_parquet_read_opts o = { .bounds = &bound,
	    .bound_count = 1 };
	struct tn_parquet_reader *r;
	struct gen g;

	(void)state;
	sorted_file(&g);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	for (uint32_t i = 0; i < 4; i++) {
		struct tn_batch *b;

		assert_int_equal(tn_parquet_read(r, i, &o, &b, NULL), TN_OK);
		if (i != 2) {
			assert_null(b);
			continue;
		}
		assert_int_equal(b->rows, 100);
		check_rows(&g, b, 2100);
		tn_record_batch_unref(b);
	}
	tn_parquet_close(r);
	gen_fini(&g);
}

/* Goal: values that have no bound above make a chunk without a maximum and
 * without a column index, and bounded reads keep them. */
static void
unbounded_values_are_kept(void **state)
{
	struct tn_field f = { "c", { .id = TN_T_BYTES }, true };
	struct tn_schema s = { "s", 1, &f };
	uint8_t ff[100];
	uint32_t offsets[2] = { 0, 70 };
	struct tn_column min = { .type = f.type, .rows = 1,
	    .offsets = offsets, .bytes = ff };
	struct tn_parquet_bound bound = { 0, &min, NULL };
	struct tn_parquet_read_opts ro = { .bounds = &bound,
	    .bound_count = 1 };
	struct tn_builder *b = tn_record_builder_new(&s, 2);
	struct tn_parquet_writer *w;
	struct tn_parquet_reader *r;
	struct tn_batch *batch;

	(void)state;
	memset(ff, 0xff, sizeof ff);
	tn_record_builder_text(b, 0, "low", 3);
	tn_record_builder_row_end(b);
	tn_record_builder_text(b, 0, ff, sizeof ff);
	tn_record_builder_row_end(b);
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, NULL), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_OK);
	assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
	tn_record_batch_unref(batch);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	assert_true(r->groups[0].chunks[0].stats.has_min);
	assert_false(r->groups[0].chunks[0].stats.has_max);
	assert_null(r->groups[0].chunks[0].column_index.p);
	assert_int_equal(tn_parquet_read(r, 0, &ro, &batch, NULL), TN_OK);
	assert_int_equal(batch->rows, 2);
	tn_record_batch_unref(batch);
	tn_parquet_close(r);
}

/* Goal: a page of nulls alone is told in the column index and left out. */
static void
null_pages_are_left_out(void **state)
{
	struct tn_field f = { "c", { .id = TN_T_INT4 }, false };
	struct tn_schema s = { "s", 1, &f };
	struct tn_parquet_write_opts o = { .page_rows = 100 };
	int32_t low = -5;
	struct tn_column min = { .type = f.type, .rows = 1, .values = &low };
	struct tn_parquet_bound bound = { 0, &min, NULL };
	struct tn_parquet_read_opts ro = { .bounds = &bound,
	    .bound_count = 1 };
	struct tn_builder *b = tn_record_builder_new(&s, 300);
	struct tn_parquet_writer *w;
	struct tn_parquet_reader *r;
	struct tn_batch *batch;

	(void)state;
	for (int i = 0; i < 300; i++) {
		if (i < 100)
			tn_record_builder_null(b, 0);
		else
			tn_record_builder_i64(b, 0, i);
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, &o), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_OK);
	assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
	tn_record_batch_unref(batch);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	assert_int_equal(tn_parquet_read(r, 0, &ro, &batch, NULL), TN_OK);
	assert_int_equal(batch->rows, 200);
	assert_null(batch->columns[0].valid);
	assert_int_equal(((const int32_t *)batch->columns[0].values)[0], 100);
	tn_record_batch_unref(batch);
	tn_parquet_close(r);
}

/* Goal: reading a group in pieces of any size gives all of its rows once. */
static void
pieces_make_the_whole(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		struct tn_parquet_reader *r;
		uint32_t step = 1 + gen_below(300);
		uint64_t first = 0;
		struct gen g;

		gen_init(&g);
		gen_batch(&g, 200);
		gen_file(&g, PATH);
		assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
		for (uint32_t n = 0; n < tn_parquet_groups(r); n++) {
			struct tn_parquet_read_opts o = {
			    .batch_rows_max = step,
			    .keep_dictionary = gen_below(2) };
			uint64_t rows = tn_parquet_group_rows(r, n);

			for (; o.row_first < rows; o.row_first += step) {
				struct tn_batch *b;

				assert_int_equal(tn_parquet_read(r, n, &o,
				    &b, NULL), TN_OK);
				check_rows(&g, b, first + o.row_first);
				assert_int_equal(b->rows, rows - o.row_first
				    < step ? rows - o.row_first : step);
				tn_record_batch_unref(b);
			}
			first += rows;
		}
		assert_int_equal(first, g.rows);
		tn_parquet_close(r);
		gen_fini(&g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_texts_bound),
		cmocka_unit_test(no_maximum_above_the_last),
		cmocka_unit_test(floats_follow_the_rules),
		cmocka_unit_test(bounds_lose_nothing),
		cmocka_unit_test(narrow_bounds_read_one_page),
		cmocka_unit_test(unbounded_values_are_kept),
		cmocka_unit_test(null_pages_are_left_out),
		cmocka_unit_test(pieces_make_the_whole),
	};

	gen_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

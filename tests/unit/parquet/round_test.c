/* round: files written by our writer and read by our reader. */
#include "test.h"
#include "os/os.h"
#include "parquet/parquet.h"
#include "parquet/parquet_int.h"
#include "pq_gen.h"

#include <pthread.h>

/* Goal: random batches of every type come back equal, whatever the sizes of
 * batches, row groups and pages. */
static void
random_batches_come_back(void **state)
{
	(void)state;
	for (int i = 0; i < 150; i++) {
		struct gen g;

		gen_init(&g);
		gen_file(&g, PATH);
		check_file(&g, PATH);
		gen_fini(&g);
	}
}

/* One column of a type and a shape, not null. */
static void
gen_one(struct gen *g, enum tn_type_id id, enum gen_shape shape,
    uint32_t rows)
{
	*g = (struct gen){ .rows = 0 };
	g->fields[0] = (struct tn_field){ "c", tn_record_type(id), true };
	g->shapes[0] = shape;
	g->schema = (struct tn_schema){ "one", 1, g->fields };
	gen_batch(g, rows);
	gen_file(g, PATH);
}

static int32_t
data_encoding(bool *has_dict)
{
	struct tn_parquet_reader *r;
	struct pq_page_header h = { .kind = TN_PQ_DICT_PAGE };
	struct tn_cursor c;

	*has_dict = false;
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	c = (struct tn_cursor){ r->map + r->groups[0].chunks[0].at,
	    r->map + r->data_end, false };
	while (h.kind == TN_PQ_DICT_PAGE) {
		assert_true(tn_parquet_page_header(&c, &h));
		*has_dict = *has_dict || h.kind == TN_PQ_DICT_PAGE;
		c.p += h.disk_bytes;
	}
	tn_parquet_close(r);
	return h.encoding;
}

/* Goal: the encoding follows the values: few values make a dictionary, sorted
 * integers DELTA, wild ones PLAIN, different texts DELTA_LENGTH. */
static void
encodings_are_chosen(void **state)
{
	static const struct {
		enum tn_type_id id;
		enum gen_shape shape;
		int32_t want;
	} cases[] = {
		{ TN_T_TEXT, FEW, TN_PQ_RLE_DICTIONARY },
		{ TN_T_TEXT, SORTED, TN_PQ_DELTA_LENGTH },
		{ TN_T_INT8, SORTED, TN_PQ_DELTA },
		{ TN_T_INT4, SORTED, TN_PQ_DELTA },
		{ TN_T_INT8, WILD, TN_PQ_PLAIN },
		{ TN_T_TIMESTAMPTZ, SORTED, TN_PQ_DELTA },
		{ TN_T_FLOAT8, FEW, TN_PQ_RLE_DICTIONARY },
		{ TN_T_FLOAT8, WILD, TN_PQ_PLAIN },
		{ TN_T_BOOL, FEW, TN_PQ_PLAIN },
		{ TN_T_UUID, WILD, TN_PQ_PLAIN },
		{ TN_T_UUID, FEW, TN_PQ_RLE_DICTIONARY },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct gen g;
		bool has_dict;

		gen_one(&g, cases[i].id, cases[i].shape, 50000);
		assert_int_equal(data_encoding(&has_dict), cases[i].want);
		assert_int_equal(has_dict,
		    cases[i].want == TN_PQ_RLE_DICTIONARY);
		check_file(&g, PATH);
		gen_fini(&g);
	}
}

/* Goal: a dictionary that grows beyond its entries, or beyond its bytes, is
 * given up and the values still come back. */
static void
large_dictionaries_are_given_up(void **state)
{
	(void)state;
	for (unsigned pad = 0; pad < 2; pad++) {
		struct tn_field f = { "t", { .id = TN_T_TEXT }, true };
		struct gen g = { .fields = { f }, .schema = { "d", 1,
		    NULL } };
		struct tn_builder *b;
		bool has_dict;
		char text[100];

		g.schema.fields = g.fields;
		b = tn_record_builder_new(&g.schema, 90000);
		for (unsigned i = 0; i < 90000; i++) {
			tn_record_builder_text(b, 0, text, (size_t)snprintf(
			    text, sizeof text, "%0*u", pad ? 90 : 5,
			    pad ? i / 4 : i / 2));
			tn_record_builder_row_end(b);
		}
		g.batches[g.batch_count++] = tn_record_builder_take(b);
		g.rows = 90000;
		gen_file(&g, PATH);
		assert_int_equal(data_encoding(&has_dict),
		    TN_PQ_DELTA_LENGTH);
		assert_false(has_dict);
		check_file(&g, PATH);
		tn_record_builder_free(b);
		gen_fini(&g);
	}
}

/* Goal: a kept dictionary comes as codes with each text once, and such a
 * batch can be written again. */
static void
dictionaries_are_kept(void **state)
{
	struct tn_parquet_read_opts o = { .keep_dictionary = true };
	struct tn_parquet_reader *r;
	struct tn_parquet_writer *w;
	struct tn_batch *b;
	struct gen g;

	(void)state;
	gen_one(&g, TN_T_TEXT, FEW, 50000);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	assert_int_equal(tn_parquet_read(r, 0, &o, &b, NULL), TN_OK);
	tn_parquet_close(r);
	assert_non_null(b->columns[0].dict);
	assert_int_equal(b->columns[0].dict->rows, 9);
	assert_null(b->columns[0].offsets);
	check_rows(&g, b, 0);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, b->schema, NULL), TN_OK);
	assert_int_equal(tn_parquet_write(w, b), TN_OK);
	assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
	check_file(&g, PATH);
	tn_record_batch_unref(b);
	gen_fini(&g);
}

/* Goal: a row group is closed early when its texts grow large, a page too,
 * and one row above the limit is refused. */
static void
large_texts_are_split(void **state)
{
	const size_t one = 3 << 20;
	struct tn_field f = { "t", { .id = TN_T_TEXT }, false };
	struct tn_schema s = { "large", 1, &f };
	struct tn_builder *b = tn_record_builder_new(&s, 30);
	char *text = tn_alloc(130 << 20);
	struct tn_parquet_writer *w;
	struct tn_parquet_reader *r;
	struct tn_batch *batch, *got;
	uint32_t row = 0;

	(void)state;
	memset(text, 'x', 130 << 20);
	for (int i = 0; i < 30; i++) {
		text[0] = (char)('a' + i % 26);
		tn_record_builder_text(b, 0, text, one);
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, NULL), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_OK);
	assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	assert_true(tn_parquet_groups(r) >= 2);
	for (uint32_t i = 0; i < tn_parquet_groups(r); i++) {
		assert_int_equal(tn_parquet_read(r, i, NULL, &got, NULL),
		    TN_OK);
		for (uint32_t k = 0; k < got->rows; k++, row++)
			assert_true(tn_slice_eq(tn_column_text(
			    &got->columns[0], k), tn_column_text(
			    &batch->columns[0], row)));
		tn_record_batch_unref(got);
	}
	assert_int_equal(row, 30);
	tn_parquet_close(r);
	tn_record_batch_unref(batch);
	tn_record_builder_text(b, 0, text, 130 << 20);
	tn_record_builder_row_end(b);
	batch = tn_record_builder_take(b);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, NULL), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_ELIMIT);
	tn_parquet_abandon(w);
	assert_int_equal(access(PATH, F_OK), -1);
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
	tn_free(text);
}

/* Goal: what the footer carries beside rows comes back, and the told size and
 * checksum are the file's. */
static void
footers_carry_pairs(void **state)
{
	static const struct tn_parquet_pair pairs[] = {
		{ "tarn:stream", "badge" }, { "empty", "" } };
	static const uint32_t sorted[] = { 0 };
	struct tn_field f = { "c", { .id = TN_T_INT4 }, true };
	struct tn_schema s = { "one", 1, &f };
	struct tn_parquet_write_opts o = { .pairs = pairs, .pair_count = 2,
	    .sorted_by = sorted, .sorted_count = 1 };
	struct tn_buf all = { .p = NULL };
	struct tn_parquet_written done;
	struct tn_parquet_writer *w;
	struct tn_parquet_reader *r;

	(void)state;
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, PATH, &s, &o), TN_OK);
	assert_int_equal(tn_parquet_finish(w, &done), TN_OK);
	assert_int_equal(tn_os_read_file(PATH, &all, 1 << 20), TN_OK);
	assert_int_equal(done.bytes, all.n);
	assert_int_equal(done.crc, tn_crc32c(0, all.p, all.n));
	assert_int_equal(done.rows, 0);
	tn_buf_fini(&all);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	/* The file may go while it is open. */
	(void)unlink(PATH);
	assert_string_equal(tn_parquet_value(r, "tarn:stream"), "badge");
	assert_string_equal(tn_parquet_value(r, "empty"), "");
	assert_null(tn_parquet_value(r, "other"));
	assert_int_equal(tn_parquet_groups(r), 0);
	assert_string_equal(tn_parquet_schema(r)->name, "one");
	assert_true(tn_parquet_schema(r)->fields[0].not_null);
	tn_parquet_close(r);
}

static void
file_at_level(struct gen *g, int level, struct tn_buf *out)
{
	tn_buf_clear(out);
	g->opts.zstd_level = level;
	gen_file(g, PATH);
	assert_int_equal(tn_os_read_file(PATH, out, 64 << 20), TN_OK);
}

/* Goal: without a level a file is packed with level 1, as the setting's
 * default is; another level makes another file. */
static void
level_of_no_level(void **state)
{
	struct tn_buf none = { 0 }, one = { 0 }, most = { 0 };
	struct gen g;

	(void)state;
	gen_one(&g, TN_T_TEXT, SORTED, 20000);
	file_at_level(&g, 0, &none);
	file_at_level(&g, 1, &one);
	file_at_level(&g, 19, &most);
	assert_int_equal(none.n, one.n);
	assert_memory_equal(none.p, one.p, one.n);
	assert_true(most.n != one.n ||
	    memcmp(most.p, one.p, one.n) != 0);
	gen_fini(&g);
	tn_buf_fini(&none);
	tn_buf_fini(&one);
	tn_buf_fini(&most);
}

struct share {
	struct tn_parquet_reader *r;
	const struct gen *g;
	uint32_t first;
	uint64_t rows;
};

static void *
read_every_other(void *arg)
{
	struct share *k = arg;

	for (uint32_t i = k->first; i < tn_parquet_groups(k->r); i += 2) {
		struct tn_batch *b = NULL;
		enum tn_status st = tn_parquet_read(k->r, i, NULL, &b, NULL);

		tn_assert(st == TN_OK);
		k->rows += b->rows;
		tn_record_batch_unref(b);
	}
	return NULL;
}

/* Goal: two threads read the groups of one reader at once. */
static void
threads_share_a_reader(void **state)
{
	struct share k[2] = { { NULL, NULL, 0, 0 }, { NULL, NULL, 1, 0 } };
	struct tn_parquet_reader *r;
	pthread_t thread;
	struct gen g;

	(void)state;
	gen_schema(&g);
	g.opts.group_rows = 100;
	gen_batch(&g, 3000);
	gen_file(&g, PATH);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	k[0].r = k[1].r = r;
	assert_int_equal(pthread_create(&thread, NULL, read_every_other,
	    &k[0]), 0);
	(void)read_every_other(&k[1]);
	pthread_join(thread, NULL);
	assert_int_equal(k[0].rows + k[1].rows, g.rows);
	tn_parquet_close(r);
	gen_fini(&g);
}

/* ${rows} rows (n, t) from number ${first}, texts of up to ${most} bytes. */
static struct tn_batch *
numbered(const struct tn_schema *s, uint32_t first, uint32_t rows,
    unsigned most)
{
	struct tn_builder *b = tn_record_builder_new(s, rows);
	char text[600];

	for (uint32_t i = first; i < first + rows; i++) {
		size_t n = (size_t)snprintf(text, sizeof text, "%u:", i);
		for (; n < i * 7919u % most; n++)
			text[n] = (char)('a' + (i ^ n) % 20);
		tn_record_builder_i64(b, 0, i);
		tn_record_builder_text(b, 1, text, n);
		tn_record_builder_row_end(b);
	}
	struct tn_batch *out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

static enum tn_status
put_framed(struct tn_parquet_writer *w, const struct tn_batch *b, bool bare)
{
	struct tn_column *c = &b->columns[1];
	const uint8_t *bytes = c->bytes;
	struct tn_buf z = { 0 };
	struct tn_parquet_frame f = { .column = 1 };
	enum tn_status st;

	assert_int_equal(tn_zstd_compress(&z, (struct tn_slice){ c->bytes,
	    c->offsets[b->rows] }, 1), TN_OK);
	f.bytes = (struct tn_slice){ z.p, z.n };
	c->bytes = bare ? NULL : bytes;
	st = tn_parquet_write_framed(w, b, &f);
	c->bytes = bytes;
	if (bare && st == TN_EUNSUPPORTED)
		st = tn_parquet_write_framed(w, b, &f);
	tn_buf_fini(&z);
	return st;
}

/* Goal: texts given as zstd frames, also without the texts, come back like
 * others, whatever comes between them and however groups end; and frames are taken as they are: all
 * of a file of frames is as many pages as frames. */
static void
frames_become_pages(void **state)
{
	struct tn_field f[] = { { "n", { .id = TN_T_INT8 }, true },
	    { "t", { .id = TN_T_TEXT }, true } };
	struct tn_schema s = { "framed", 2, f };

	(void)state;
	for (uint32_t round = 0; round < 60; round++) {
		struct tn_parquet_write_opts o = { .group_rows = 500 + round *
		    100, .page_rows = 64 + round, .group_bytes = round % 3 ==
		    0 ? 100000 : 0 };
		struct tn_parquet_writer *w;
		struct tn_parquet_reader *r;
		uint32_t rows = 0, row = 0, frames = 0, pages = 0;

		(void)unlink(PATH);
		assert_int_equal(tn_parquet_create(&w, PATH, &s, &o), TN_OK);
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t n = (round * 131 + i * 977) % 900 + (i != 5);
			struct tn_batch *b = numbered(&s, rows, n, 300);
			bool framed = round < 20 || (i + round) % 3 == 0;
			assert_int_equal(framed ? put_framed(w, b, i % 4 != 1) :
			    tn_parquet_write(w, b), TN_OK);
			frames += n > 0;
			rows += n;
			tn_record_batch_unref(b);
		}
		assert_int_equal(tn_parquet_finish(w, NULL), TN_OK);
		assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
		for (uint32_t g = 0; g < tn_parquet_groups(r); g++) {
			struct tn_cursor c = { r->map +
			    r->groups[g].chunks[1].at, r->map + r->data_end,
			    false };
			struct pq_page_header h;
			uint32_t at = 0;
			struct tn_batch *got;
			for (; at < tn_parquet_group_rows(r, g); pages++) {
				assert_true(tn_parquet_page_header(&c, &h));
				c.p += h.disk_bytes;
				at += (uint32_t)h.values;
			}
			assert_int_equal(tn_parquet_read(r, g, NULL, &got,
			    NULL), TN_OK);
			struct tn_batch *want = numbered(&s, row, got->rows,
			    300);
			for (uint32_t i = 0; i < got->rows; i++)
				assert_true(tn_slice_eq(tn_column_text(
				    &got->columns[1], i), tn_column_text(
				    &want->columns[1], i)));
			assert_memory_equal(got->columns[0].values,
			    want->columns[0].values, got->rows * 8ul);
			row += got->rows;
			tn_record_batch_unref(want);
			tn_record_batch_unref(got);
		}
		assert_int_equal(row, rows);
		if (round < 20 && o.group_rows > 900 && o.group_bytes == 0)
			assert_int_equal(pages, frames);
		tn_parquet_close(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_become_pages),
		cmocka_unit_test(random_batches_come_back),
		cmocka_unit_test(encodings_are_chosen),
		cmocka_unit_test(large_dictionaries_are_given_up),
		cmocka_unit_test(dictionaries_are_kept),
		cmocka_unit_test(large_texts_are_split),
		cmocka_unit_test(footers_carry_pairs),
		cmocka_unit_test(level_of_no_level),
		cmocka_unit_test(threads_share_a_reader),
	};

	gen_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

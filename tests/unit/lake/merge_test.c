/* merge: files read as one, in order or one after the other, and days sorted
 * by other columns than their time. */
#include "test.h"
#include "lake_help.h"

enum { FILES_MAX = 9 };

static const char *paths[FILES_MAX];
static struct tn_lake_file files[FILES_MAX];

/* A file of sorted times; small row groups, so that pieces end everywhere.
 * Column n counts on over the files: the order in which rows came. */
static void
put_sorted(struct tn_lake *lake, uint32_t i, uint32_t rows, uint32_t spread,
    int64_t *next)
{
	uint32_t sorted = 0;
	struct tn_parquet_write_opts po = { .group_rows = 1 +
	    random_below(50), .sorted_by = &sorted, .sorted_count = 1 };
	char label[20];
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "", .label = label, .time_column = 0,
	    .parquet = &po };
	int64_t *ts = tn_alloc((rows + 1) * sizeof *ts), t = 0;
	struct tn_batch *b;

	/* Mostly after the file before; sometimes all over each other. */
	t = (int64_t)i * spread;
	for (uint32_t k = 0; k < rows; k++)
		ts[k] = t += random_below(4);
	b = three_batch(ts, rows, *next);
	*next += rows;
	snprintf(label, sizeof label, "f%u-%llu", i,
	    (unsigned long long)random_u64());
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &files[i]), TN_OK);
	paths[i] = files[i].path;
	tn_record_batch_unref(b);
	tn_free(ts);
}

static struct tn_batch *
read_merged(struct tn_lake *lake, const struct tn_lake_merge_opts *o)
{
	struct tn_lake_merge *m = NULL;
	const struct tn_batch *rows = NULL;
	struct seen seen = { 0 };
	struct tn_diag d = { .message = "" };
	enum tn_status st;

	assert_int_equal(tn_lake_merge_open(lake, o, &m, &d), TN_OK);
	for (;;) {
		st = tn_lake_merge_next(m, &rows, &d);
		if (st != TN_OK)
			break;
		assert_true(rows->rows > 0);
		assert_true(rows->rows <= o->piece.rows * o->count);
		(void)see(&seen, (struct tn_batch *)rows);
	}
	assert_int_equal(st, TN_END);
	tn_lake_merge_close(m);
	return seen.all;
}

/* Goal: however the files lie over each other and wherever pieces end, rows
 * come in order of time, equal times in the order of the files, none lost. */
static void
in_order(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	uint32_t sort = 0;

	random_start();
	for (int round = 0; round < 150; round++) {
		uint32_t count = 1 + random_below(FILES_MAX);
		uint32_t spread = random_below(3) == 0 ? 400 :
		    random_below(40);
		int64_t rows = 0;
		struct tn_lake_merge_opts o = { .paths = paths,
		    .count = count, .schema = &three, .sort = &sort,
		    .sort_count = 1,
		    .piece = { 1 + random_below(60), random_below(2) *
			random_below(4000) } };
		struct tn_batch *all;
		for (uint32_t i = 0; i < count; i++)
			put_sorted(lake, i, 1 + random_below(200), spread,
			    &rows);
		all = read_merged(lake, &o);
		assert_int_equal(all->rows, rows);
		for (uint32_t i = 1; i < all->rows; i++) {
			int64_t a = i64_at(all, 0, i - 1), b = i64_at(all, 0,
			    i);
			assert_true(a < b || (a == b && i64_at(all, 1, i - 1) <
			    i64_at(all, 1, i)));
		}
		tn_record_batch_unref(all);
		/* One after the other: as they came. */
		o.sort_count = 0;
		all = read_merged(lake, &o);
		assert_int_equal(all->rows, rows);
		for (uint32_t i = 0; i < all->rows; i++)
			assert_int_equal(i64_at(all, 1, i), i);
		tn_record_batch_unref(all);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(tn_lake_remove(lake, paths[i]),
			    TN_OK);
	}
	tn_lake_close(lake);
}

/* A file of ${rows} rows that all have the same long text, kept once. */
static void
put_long(struct tn_lake *lake, uint32_t i, uint32_t rows, struct tn_slice text)
{
	char label[20];
	struct tn_lake_write w = { .tier = "bronze", .table = "t",
	    .partition = "", .label = label, .time_column = -1 };
	struct tn_arena *a = tn_arena_new(1 << 16);
	struct tn_column *dict = tn_arena_zalloc(a, sizeof *dict);
	struct tn_column *c = tn_arena_zalloc(a, 3 * sizeof *c);
	uint32_t *codes = tn_arena_zalloc(a, rows * sizeof *codes);
	uint32_t *offsets = tn_arena_zalloc(a, 2 * sizeof *offsets);
	int64_t *n = tn_arena_alloc(a, rows * sizeof *n);
	struct tn_batch *b;

	for (uint32_t k = 0; k < rows; k++)
		n[k] = (int64_t)i * rows + k;
	offsets[1] = (uint32_t)text.n;
	*dict = (struct tn_column){ .type = three.fields[2].type, .rows = 1,
	    .offsets = offsets, .bytes = text.p };
	c[0] = c[1] = (struct tn_column){ .type = three.fields[0].type,
	    .rows = rows, .values = n };
	c[1].type = three.fields[1].type;
	c[2] = (struct tn_column){ .type = three.fields[2].type,
	    .rows = rows, .values = codes, .dict = dict };
	b = tn_record_batch_new(a, &three, rows, c);
	(void)snprintf(label, sizeof label, "long%u", (unsigned)i);
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &files[i]), TN_OK);
	paths[i] = files[i].path;
	tn_record_batch_unref(b);
}

/* Goal: rows that share a long text, as those of a body share its header, are
 * read as codes of it, in few pieces however small these are to be: each reads
 * a page anew. */
static void
shared_texts(void **state)
{
	enum { ROWS = 30000, BYTES = 40000 };
	struct tn_lake *lake = open_lake(*state);
	char *text = tn_alloc(BYTES);
	struct tn_lake_merge_opts o = { .paths = paths, .count = 2,
	    .schema = &three, .piece = { 20000, 1 << 20 } };
	struct tn_lake_merge *m = NULL;
	const struct tn_batch *b = NULL;
	struct tn_diag d = { .message = "" };
	uint32_t rows = 0, pieces = 0;
	enum tn_status st;

	memset(text, 'h', BYTES);
	for (uint32_t i = 0; i < 2; i++)
		put_long(lake, i, ROWS, (struct tn_slice){
		    (const uint8_t *)text, BYTES });
	assert_int_equal(tn_lake_merge_open(lake, &o, &m, &d), TN_OK);
	for (;;) {
		st = tn_lake_merge_next(m, &b, &d);
		if (st != TN_OK)
			break;
		assert_non_null(b->columns[2].dict);
		assert_int_equal(b->columns[2].dict->offsets[1], BYTES);
		for (uint32_t i = 0; i < b->rows; i++)
			assert_int_equal(i64_at(b, 1, i), rows + i);
		rows += b->rows;
		pieces++;
	}
	assert_int_equal(st, TN_END);
	assert_int_equal(rows, 2 * ROWS);
	print_message("%u pieces\n", pieces);
	assert_true(pieces < 100);
	tn_lake_merge_close(m);
	tn_free(text);
	tn_lake_close(lake);
}

/* Goal: a file that is not sorted as it is said to be is told, by its name. */
static void
not_sorted(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	int64_t ts[] = { 5, 4 };
	struct tn_batch *b = three_batch(ts, 2, 0);
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "", .label = "bad", .time_column = 0 };
	uint32_t sort = 0;
	struct tn_lake_merge_opts o = { .paths = paths, .count = 1,
	    .schema = &three, .sort = &sort, .sort_count = 1 };
	struct tn_lake_merge *m = NULL;
	const struct tn_batch *rows = NULL;
	struct tn_diag d = { .message = "" };

	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &files[0]), TN_OK);
	paths[0] = files[0].path;
	for (o.piece.rows = 1; o.piece.rows < 4; o.piece.rows++) {
		enum tn_status st;
		assert_int_equal(tn_lake_merge_open(lake, &o, &m, &d), TN_OK);
		st = tn_lake_merge_next(m, &rows, &d);
		if (o.piece.rows == 1) {
			assert_int_equal(st, TN_OK);
			st = tn_lake_merge_next(m, &rows, &d);
		}
		assert_int_equal(st, TN_ECORRUPT);
		assert_non_null(strstr(d.message, "bad.parquet"));
		tn_lake_merge_close(m);
	}
	paths[0] = "silver/t/none.parquet";
	assert_int_equal(tn_lake_merge_open(lake, &o, &m, &d), TN_ENOTFOUND);
	assert_null(m);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

static enum tn_status
check_text_order(void *arg, struct tn_batch *b)
{
	uint32_t *rows = arg;

	for (uint32_t i = 1; i < b->rows; i++) {
		int c = tn_record_compare(&b->columns[2], i - 1,
		    &b->columns[2], i);
		assert_true(c < 0 || (c == 0 && i64_at(b, 0, i - 1) <=
		    i64_at(b, 0, i)));
	}
	*rows += b->rows;
	return TN_OK;
}

/* Goal: days may be sorted by a text before the time; a row stays in the file
 * of its day. */
static void
other_order(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	uint32_t sort[] = { 2, 0 }, rows = 0;
	struct tn_parquet_write_opts po = { .sorted_by = sort,
	    .sorted_count = 2 };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .label = "x", .time_column = 0, .parquet = &po };
	struct tn_lake_files out = { 0 };
	int64_t ts[500];
	struct tn_batch *b;

	random_start();
	for (uint32_t i = 0; i < 500; i++)
		ts[i] = (int64_t)(random_u64() % (3 * (uint64_t)DAY));
	b = three_batch(ts, 500, 0);
	assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &out), TN_OK);
	assert_int_equal(out.count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct tn_lake_read r = { .path = out.files[i].path,
		    .schema = &three, .each = check_text_order,
		    .arg = &rows };
		assert_int_equal(out.files[i].time_min / DAY, i);
		assert_int_equal(out.files[i].time_max / DAY, i);
		assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	}
	assert_int_equal(rows, 500);
	tn_lake_files_fini(&out);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(in_order),
		FOLDER_TEST(not_sorted),
		FOLDER_TEST(shared_texts),
		FOLDER_TEST(other_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* files: writing table files, splitting by day, reading in another shape,
 * removing. */
#include "test.h"
#include "disk_help.h"

static const struct tn_parquet_write_opts plain;

/* ---- one file -------------------------------------------------------- */

/* Goal: a file comes back as it was put, with its rows, size, checksum and
 * time range told right. */
static void
put_and_read(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	int64_t ts[] = { 5, -7, 3 };
	struct tn_batch *b[2] = { three_batch(ts, 3, 0), three_batch(ts, 2, 3) };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "date=2026-03-01", .label = "a", .time_column = 0,
	    .parquet = &plain, .version = 3, .lsn = 77 };
	struct tn_lake_file f;
	struct tn_parquet_reader *file = NULL;
	char full[600];
	struct seen seen = { 0 };
	uint32_t crc;
	uint64_t bytes;

	assert_int_equal(tn_lake_put(lake, &w, b, 2, &f), TN_OK);
	assert_int_equal(tn_lake_sync(lake, false), TN_OK);
	assert_string_equal(f.path, "silver/t/date=2026-03-01/a.parquet");
	assert_string_equal(f.partition, "2026-03-01");
	assert_int_equal(f.rows, 5);
	assert_int_equal(f.time_min, -7);
	assert_int_equal(f.time_max, 5);
	assert_int_equal(tn_lake_check(lake, f.path, &crc, &bytes), TN_OK);
	assert_int_equal(crc, f.crc);
	assert_int_equal(bytes, f.bytes);
	/* The footer alone says what made the file. */
	snprintf(full, sizeof full, "%s/%s", tn_lake_root(lake), f.path);
	assert_int_equal(tn_parquet_open(&file, full, NULL), TN_OK);
	assert_string_equal(tn_parquet_value(file, "tarn.table"), "t");
	assert_string_equal(tn_parquet_value(file, "tarn.tier"), "silver");
	assert_string_equal(tn_parquet_value(file, "tarn.version"), "3");
	assert_string_equal(tn_parquet_value(file, "tarn.lsn"), "77");
	tn_parquet_close(file);
	struct tn_lake_read r = { .path = f.path, .schema = &three,
	    .each = see, .arg = &seen };
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_int_equal(seen.all->rows, 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(i64_at(seen.all, 0, i), ts[i % 3]);
		assert_int_equal(i64_at(seen.all, 1, i), i);
	}
	/* The same name again is refused and harms nothing. */
	struct tn_lake_file again;
	assert_int_equal(tn_lake_put(lake, &w, b, 1, &again), TN_EEXIST);
	assert_int_equal(tn_lake_check(lake, f.path, &crc, &bytes), TN_OK);
	assert_int_equal(crc, f.crc);
	assert_int_equal(tn_lake_remove(lake, f.path), TN_OK);
	assert_int_equal(tn_lake_remove(lake, f.path), TN_OK);
	assert_int_equal(tn_lake_check(lake, f.path, &crc, &bytes),
	    TN_ENOTFOUND);
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_ENOTFOUND);
	tn_record_batch_unref(seen.all);
	tn_record_batch_unref(b[0]);
	tn_record_batch_unref(b[1]);
	tn_lake_close(lake);
}

/* Goal: names that do not fit are refused before anything is made. */
static void
long_names(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	int64_t ts[] = { 1 };
	struct tn_batch *b = three_batch(ts, 1, 0);
	char label[220];
	struct tn_lake_write w = { .tier = "gold", .table = "v",
	    .partition = "", .label = label, .time_column = -1,
	    .parquet = &plain };
	struct tn_lake_file f;

	memset(label, 'x', sizeof label);
	label[sizeof label - 1] = '\0';
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &f), TN_ELIMIT);
	label[3] = '\0';
	w.partition = "date=12345678901234567890123456";
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &f), TN_ELIMIT);
	assert_int_equal(count_files(*state), 0);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

/* ---- by day ---------------------------------------------------------- */

static int64_t
floor_day(int64_t t)
{
	int64_t d = t / DAY;

	return d * DAY > t ? d - 1 : d;
}

/* Goal: whatever the times, put_days gives one file a UTC day with just its
 * rows, sorted by time, equal times in the order they came. */
static void
split_by_day(void **state)
{
	struct tn_lake *lake = open_lake(*state);

	random_start();
	for (int round = 0; round < 30; round++) {
		/* Every other time long runs, which are written in place. */
		bool runs = round % 2 == 1;
		uint32_t n = 1 + random_below(runs ? 3000 : 300), total = 0;
		int64_t *ts = tn_alloc(n * sizeof *ts);
		int64_t base = (int64_t)random_below(4000) * DAY - 2000 * DAY;
		uint32_t cut = random_below(n + 1);
		struct tn_lake_files files = { 0 };
		char label[32];
		struct tn_lake_write w = { .tier = "silver", .table = "t",
		    .label = label, .time_column = 0, .parquet = &plain };

		snprintf(label, sizeof label, "r%d", round);
		for (uint32_t i = 0; i < n; i++)
			ts[i] = runs ? base + (i < cut ? i : i - cut) / 100 *
			    (DAY / 7) : base + (int64_t)random_below(5) *
			    DAY / 2 + random_below(4) - 2;
		struct tn_batch *b[2] = { three_batch(ts, cut, 0),
		    three_batch(ts + cut, n - cut, cut) };
		assert_int_equal(tn_lake_put_days(lake, &w, b, 2, &files),
		    TN_OK);
		for (uint32_t k = 0; k < files.count; k++) {
			struct seen seen = { 0 };
			struct tn_lake_read r = { .path = files.files[k].path,
			    .schema = &three, .each = see, .arg = &seen };
			char day[24];
			int32_t y;
			uint32_t m, d;
			assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
			assert_int_equal(seen.all->rows, files.files[k].rows);
			for (uint32_t i = 0; i < seen.all->rows; i++) {
				int64_t t = i64_at(seen.all, 0, i);
				int64_t row = i64_at(seen.all, 1, i);
				assert_int_equal(t, ts[row]);
				assert_int_equal(floor_day(t),
				    floor_day(files.files[k].time_min));
				if (i == 0)
					continue;
				assert_true(i64_at(seen.all, 0, i - 1) <= t);
				if (i64_at(seen.all, 0, i - 1) == t)
					assert_true(i64_at(seen.all, 1,
					    i - 1) < row);
			}
			tn_record_civil(floor_day(files.files[k].time_min),
			    &y, &m, &d);
			snprintf(day, sizeof day, "%04d-%02u-%02u", y, m % 100,
			    d % 100);
			assert_string_equal(files.files[k].partition, day);
			total += seen.all->rows;
			tn_record_batch_unref(seen.all);
		}
		assert_int_equal(total, n);
		tn_lake_files_fini(&files);
		tn_record_batch_unref(b[0]);
		tn_record_batch_unref(b[1]);
		tn_free(ts);
	}
	tn_lake_close(lake);
}

/* Goal: dates as time column, up to the last one, split and sort by day. */
static void
late_dates(void **state)
{
	static const struct tn_field fields[] = {
		{ "d", { .id = TN_T_DATE }, true },
		{ "n", { .id = TN_T_INT8 }, true },
	};
	static const struct tn_schema schema = { "dates", 2, fields };
	static const int32_t days[] = { 2145042905, -2440588, 0, 2145042904,
	    0, -1 };
	struct tn_lake *lake = open_lake(*state);
	struct tn_builder *x = tn_record_builder_new(&schema, 8);
	struct tn_lake_files files = { 0 };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .label = "a", .time_column = 0, .parquet = &plain };
	struct tn_batch *b;

	for (uint32_t i = 0; i < TN_COUNT(days); i++) {
		tn_record_builder_i64(x, 0, days[i]);
		tn_record_builder_i64(x, 1, i);
		tn_record_builder_row_end(x);
	}
	b = tn_record_builder_take(x);
	assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &files), TN_OK);
	assert_int_equal(files.count, 5);
	assert_string_equal(files.files[0].partition, "-4713-11-24");
	assert_string_equal(files.files[1].partition, "1969-12-31");
	assert_string_equal(files.files[2].partition, "1970-01-01");
	assert_int_equal(files.files[2].rows, 2);
	assert_string_equal(files.files[3].partition, "5874897-12-30");
	assert_string_equal(files.files[4].partition, "5874897-12-31");
	assert_true(files.files[4].time_max == INT64_MAX);
	tn_lake_files_fini(&files);
	tn_record_batch_unref(b);
	tn_record_builder_free(x);
	tn_lake_close(lake);
}

/* ---- shapes ---------------------------------------------------------- */

static const struct tn_field old_fields[] = {
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "i2", { .id = TN_T_INT2 }, false },
	{ "i4", { .id = TN_T_INT4 }, false },
	{ "f4", { .id = TN_T_FLOAT4 }, false },
};
static const struct tn_schema old = { "old", 4, old_fields };
static const struct tn_field new_fields[] = {
	{ "extra", { .id = TN_T_TEXT }, false },
	{ "f4", { .id = TN_T_FLOAT8 }, false },
	{ "i4", { .id = TN_T_INT8 }, false },
	{ "i2", { .id = TN_T_INT4 }, false },
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "uid", { .id = TN_T_UUID }, false },
};
static const struct tn_schema now = { "new", 6, new_fields };

/* Three rows of the old schema in a file; the middle one has nulls. */
static void
put_old(struct tn_lake *lake, struct tn_lake_file *f)
{
	struct tn_builder *x = tn_record_builder_new(&old, 8);
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "", .label = "a", .time_column = 0,
	    .parquet = &plain };
	struct tn_batch *b;

	for (int i = 0; i < 3; i++) {
		tn_record_builder_i64(x, 0, i);
		if (i != 1) {
			tn_record_builder_i64(x, 1, -i);
			tn_record_builder_i64(x, 2, 1000000 + i);
			tn_record_builder_f64(x, 3, i + 0.5);
		}
		tn_record_builder_row_end(x);
	}
	b = tn_record_builder_take(x);
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, f), TN_OK);
	tn_record_batch_unref(b);
	tn_record_builder_free(x);
}

/* Goal: columns are found by name; missing and unused ones are all null;
 * narrower numbers grow. */
static void
other_shapes(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	uint8_t used[6] = { 1, 1, 0, 1, 1, 1 };
	struct tn_lake_file f;
	struct seen seen = { 0 };

	put_old(lake, &f);
	struct tn_lake_read r = { .path = f.path, .schema = &now,
	    .used = used, .each = see, .arg = &seen };
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_int_equal(seen.all->rows, 3);
	for (uint32_t i = 0; i < 3; i++) {
		const struct tn_column *c = seen.all->columns;
		assert_false(tn_column_valid(&c[0], i));
		assert_int_equal(tn_column_text(&c[0], i).n, 0);
		assert_false(tn_column_valid(&c[2], i));
		assert_false(tn_column_valid(&c[5], i));
		assert_int_equal(tn_column_valid(&c[1], i), i != 1);
		assert_int_equal(i64_at(seen.all, 4, i), i);
		if (i == 1)
			continue;
		assert_true(((const double *)c[1].values)[i] == i + 0.5);
		assert_int_equal(((const int32_t *)c[3].values)[i], -(int)i);
	}
	tn_record_batch_unref(seen.all);
	memset(&seen, 0, sizeof seen);
	memset(used, 1, sizeof used);
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_int_equal(i64_at(seen.all, 2, 2), 1000002);
	/* No column at all still tells how many rows there are. */
	tn_record_batch_unref(seen.all);
	memset(&seen, 0, sizeof seen);
	memset(used, 0, sizeof used);
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_int_equal(seen.all->rows, 3);
	tn_record_batch_unref(seen.all);
	tn_lake_close(lake);
}

/* Goal: a type that cannot be widened is refused, never guessed. */
static void
refused_shapes(void **state)
{
	static const enum tn_type_id others[] = { TN_T_TEXT, TN_T_INT2,
	    TN_T_FLOAT8, TN_T_NUMERIC, TN_T_DATE };
	struct tn_lake *lake = open_lake(*state);
	struct seen seen = { 0 };
	struct tn_lake_file f;

	put_old(lake, &f);
	for (size_t i = 0; i < TN_COUNT(others); i++) {
		struct tn_field field = { "i4", tn_record_type(others[i]),
		    false };
		struct tn_schema bad = { "bad", 1, &field };
		struct tn_diag d = { .message = "" };
		struct tn_lake_read r = { .path = f.path, .schema = &bad,
		    .each = see, .arg = &seen };
		assert_int_equal(tn_lake_read(lake, &r, &d),
		    TN_EUNSUPPORTED);
		assert_string_equal(d.code, "type_changed");
		assert_int_equal(seen.calls, 0);
	}
	tn_lake_close(lake);
}

/* Goal: bounds lose no row that is inside; a bound on a column that the file
 * lacks gives none; TN_END stops, another status comes out. */
static enum tn_status
refuse_all(void *arg, struct tn_batch *b)
{
	(void)arg;
	(void)b;
	return TN_EDENIED;
}

static void
bounds_and_stops(void **state)
{
	static const struct tn_field more_fields[] = {
		{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
		{ "n", { .id = TN_T_INT8 }, false },
		{ "new", { .id = TN_T_INT8 }, false },
	};
	static const struct tn_schema more = { "more", 3, more_fields };
	struct tn_lake *lake = open_lake(*state);
	struct tn_parquet_write_opts small = { .group_rows = 100,
	    .page_rows = 20 };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "", .label = "a", .time_column = 0,
	    .parquet = &small };
	int64_t ts[1000], low = 250, high = 480, hits = 0;
	struct tn_column min = { .type = { .id = TN_T_INT8 }, .rows = 1,
	    .values = &low }, max = min;
	struct tn_parquet_bound bound = { .column = 1, .min = &min,
	    .max = &max };
	struct seen seen = { 0 };
	struct tn_lake_file f;
	struct tn_batch *b;

	max.values = &high;
	for (int i = 0; i < 1000; i++)
		ts[i] = i;
	b = three_batch(ts, 1000, 0);
	assert_int_equal(tn_lake_put(lake, &w, &b, 1, &f), TN_OK);
	struct tn_lake_read r = { .path = f.path, .schema = &more,
	    .bounds = &bound, .bound_count = 1, .each = see, .arg = &seen };
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_true(seen.all->rows < 600);
	for (uint32_t i = 0; i < seen.all->rows; i++)
		hits += i64_at(seen.all, 1, i) >= low &&
		    i64_at(seen.all, 1, i) <= high;
	assert_int_equal(hits, high - low + 1);
	tn_record_batch_unref(seen.all);
	memset(&seen, 0, sizeof seen);
	bound.column = 2;
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_null(seen.all);
	r.bound_count = 0;
	seen.stop_after = 2;
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_OK);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(seen.all->rows, 200);
	r.each = refuse_all;
	assert_int_equal(tn_lake_read(lake, &r, NULL), TN_EDENIED);
	tn_record_batch_unref(seen.all);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

/* ---- sweep ----------------------------------------------------------- */

/* Goal: a sweep removes what is not listed, and nothing else. */
static void
sweep_unknown(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	int64_t ts[] = { 0, DAY, 2 * DAY, 3 * DAY };
	struct tn_batch *b = three_batch(ts, 4, 0);
	struct tn_lake_files files = { 0 };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .label = "a", .time_column = 0, .parquet = &plain };
	const char *keep[2];
	uint32_t removed, crc;
	uint64_t bytes;
	char stray[300];

	assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &files), TN_OK);
	assert_int_equal(files.count, 4);
	snprintf(stray, sizeof stray, "%s/keys/stray", (char *)*state);
	assert_int_equal(tn_os_write_file(stray, "x", 1, 0600), TN_OK);
	keep[0] = files.files[1].path;
	keep[1] = files.files[3].path;
	assert_int_equal(tn_lake_sweep(lake, keep, 2, &removed), TN_OK);
	assert_int_equal(removed, 3);
	assert_int_equal(count_files(*state), 2);
	assert_int_equal(tn_lake_check(lake, keep[0], &crc, &bytes), TN_OK);
	assert_int_equal(tn_lake_check(lake, keep[1], &crc, &bytes), TN_OK);
	assert_int_equal(tn_lake_sweep(lake, keep, 0, &removed), TN_OK);
	assert_int_equal(removed, 2);
	tn_lake_files_fini(&files);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

/* ---- faults ---------------------------------------------------------- */

static enum tn_status
put_and_sync(struct tn_lake *lake, struct tn_batch *b,
    struct tn_lake_files *files)
{
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .label = "a", .time_column = 0, .parquet = &plain };
	enum tn_status st = tn_lake_put_days(lake, &w, &b, 1, files);

	if (st != TN_OK) {
		/* What failed leaves nothing in the list and on the disk. */
		assert_int_equal(files->count, 0);
		assert_int_equal(count_files(tn_lake_root(lake)), 0);
		return st;
	}
	return tn_lake_sync(lake, false);
}

/* Goal: any single failing call of the disk while three days are put and
 * synced is told; a put that failed leaves no file; a second try works. */
static void
failing_disk(void **state)
{
	int64_t ts[] = { 0, DAY, 2 * DAY };
	struct tn_batch *b = three_batch(ts, 3, 0);
	uint32_t removed;
	int n;

	random_start();
	use_bad_disk();
	for (n = 0; n < 500; n++) {
		struct tn_lake *lake = open_lake(*state);
		struct tn_lake_files files = { 0 };
		enum tn_status st;

		calls_left = n;
		st = put_and_sync(lake, b, &files);
		if (st == TN_OK) {
			tn_lake_files_fini(&files);
			tn_lake_close(lake);
			break;
		}
		assert_true(st == TN_EIO || st == TN_ENOSPC);
		calls_left = -1;
		if (files.count == 0)
			assert_int_equal(put_and_sync(lake, b, &files), TN_OK);
		else
			assert_int_equal(tn_lake_sync(lake, false), TN_OK);
		assert_int_equal(files.count, 3);
		assert_int_equal(tn_lake_sweep(lake, NULL, 0, &removed),
		    TN_OK);
		assert_int_equal(removed, 3);
		tn_lake_files_fini(&files);
		tn_lake_close(lake);
		/* Folders are new in every round. */
		calls_left = -1;
		char command[200];
		snprintf(command, sizeof command, "rm -rf '%s'/silver",
		    (char *)*state);
		assert_int_equal(system(command), 0);
	}
	print_message("%d calls of the disk failed\n", n);
	assert_in_range(n, 15, 499);
	calls_left = -1;
	tn_record_batch_unref(b);
}

static char synced[64][300];
static int synced_count;
static bool sync_dirs_fail;

static int
noting_open(const char *path, int flags, int mode)
{
	int fd = tn_os_real.open(path, flags, mode);

	if (fd >= 0 && tn_os_kind(path) == TN_OS_DIR && synced_count < 64)
		snprintf(synced[synced_count++], 300, "%s", path);
	return fd;
}

static int
noting_sync(int fd)
{
	return sync_dirs_fail ? -EIO : tn_os_real.sync(fd);
}

static int
times_synced(const char *dir, const char *folder)
{
	char path[300];
	int n = 0;

	snprintf(path, sizeof path, "%s/%s", dir, folder);
	for (int i = 0; i < synced_count; i++)
		n += strcmp(synced[i], path) == 0;
	return n;
}

/* Goal: sync reaches each folder once, and one whose sync failed is synced by
 * the next call, not forgotten. */
static void
sync_remembers(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	int64_t ts[] = { 0, DAY, 0, DAY };
	struct tn_batch *b = three_batch(ts, 4, 0);
	struct tn_lake_files files = { 0 };
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .label = "a", .time_column = 0, .parquet = &plain };

	assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &files), TN_OK);
	w.label = "b";
	assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &files), TN_OK);
	table = tn_os_real;
	table.open = noting_open;
	table.sync = noting_sync;
	tn_os_use(&table);
	sync_dirs_fail = true;
	assert_int_equal(tn_lake_sync(lake, false), TN_EIO);
	sync_dirs_fail = false;
	synced_count = 0;
	assert_int_equal(tn_lake_sync(lake, false), TN_OK);
	assert_int_equal(times_synced(*state, "silver/t/date=1970-01-01"), 1);
	assert_int_equal(times_synced(*state, "silver/t/date=1970-01-02"), 1);
	assert_int_equal(times_synced(*state, "silver/t"), 1);
	assert_int_equal(times_synced(*state, "silver"), 1);
	synced_count = 0;
	assert_int_equal(tn_lake_sync(lake, false), TN_OK);
	assert_int_equal(synced_count, 0);
	tn_lake_files_fini(&files);
	tn_record_batch_unref(b);
	tn_lake_close(lake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(put_and_read),
		FOLDER_TEST(long_names),
		FOLDER_TEST(split_by_day),
		FOLDER_TEST(late_dates),
		FOLDER_TEST(other_shapes),
		FOLDER_TEST(refused_shapes),
		FOLDER_TEST(bounds_and_stops),
		FOLDER_TEST(sweep_unknown),
		FOLDER_TEST(failing_disk),
		FOLDER_TEST(sync_remembers),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

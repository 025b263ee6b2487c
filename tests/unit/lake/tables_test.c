/* tables: Iceberg and Delta metadata over long lives, restarts and failing
 * disks. What a version names is read back from its Avro files here; foreign
 * readers judge the same in tests/e2e/tables.test.mjs. */
#include "test.h"
#include "disk_help.h"

#include "codec/codec.h"

#define HOUR INT64_C(3600000000)

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static const struct tn_lake_table_opts silver = { .tier = "silver",
    .name = "t", .schema = &three, .day_column = 0, .sorted_column = 0,
    .formats = TN_LAKE_ICEBERG | TN_LAKE_DELTA, .keep_us = HOUR };

/* ---- the table as it should be --------------------------------------- */

struct life {
	struct tn_lake *lake;
	struct tn_lake_table *t;
	struct tn_lake_table_file *files;
	uint32_t count;
	uint64_t next_id;
	struct tn_lake_table_cut cut;
};

static void
add_file(struct life *x, int day)
{
	struct tn_lake_table_file *f;
	char path[100];

	x->files = tn_realloc(x->files, (x->count + 1ul) * sizeof *x->files);
	f = &x->files[x->count++];
	snprintf(path, sizeof path, "silver/t/date=2026-03-%02d/%llu.parquet",
	    day % 28 + 1, (unsigned long long)++x->next_id);
	*f = (struct tn_lake_table_file){ x->next_id, tn_strdup(path), 10,
	    1000, day * DAY };
}

static void
drop_file(struct life *x, uint32_t at)
{
	tn_free((void *)(uintptr_t)x->files[at].path);
	x->files[at] = x->files[--x->count];
}

static enum tn_status
commit(struct life *x)
{
	x->cut.sequence++;
	x->cut.lsn += 3;
	x->cut.at_us += 60000000;
	return tn_lake_table_commit(x->t, &x->cut, x->files, x->count);
}

static void
begin(struct life *x, const char *dir)
{
	memset(x, 0, sizeof *x);
	x->cut.at_us = INT64_C(1790000000000000);
	x->cut.version = 1;
	x->lake = open_lake(dir);
	x->t = tn_lake_table_open(x->lake, &silver);
}

static void
finish(struct life *x)
{
	while (x->count > 0)
		drop_file(x, 0);
	tn_free(x->files);
	tn_lake_table_free(x->t);
	tn_lake_close(x->lake);
}

static void
reopen(struct life *x)
{
	tn_lake_table_free(x->t);
	x->t = tn_lake_table_open(x->lake, &silver);
}

/* ---- what Iceberg names ---------------------------------------------- */

struct named {
	char **paths;
	uint32_t count;
	int64_t status;
};

static struct tn_slice
take_path(void *arg, struct tn_slice field, struct tn_slice value)
{
	struct named *n = arg;
	bool wanted = tn_slice_is(field, "manifest_path") ||
	    (tn_slice_is(field, "file_path") && n->status != 2);

	if (wanted) {
		n->paths = tn_realloc(n->paths, (n->count + 1ul) *
		    sizeof *n->paths);
		n->paths[n->count++] = tn_strndup((const char *)value.p,
		    value.n);
	}
	return value;
}

static int64_t
take_status(void *arg, struct tn_slice field, int64_t value)
{
	if (tn_slice_is(field, "status"))
		((struct named *)arg)->status = value;
	return value;
}

static void
read_avro(const char *location, struct named *n)
{
	struct tn_codec_avro_edit edit = { take_path, take_status, n };
	struct tn_buf in = { 0 }, out = { 0 };

	assert_int_equal(strncmp(location, "file://", 7), 0);
	assert_int_equal(tn_os_read_file(location + 7, &in, 1 << 26), TN_OK);
	assert_int_equal(tn_codec_avro_edit(&out, (struct tn_slice){ in.p,
	    in.n }, &edit), TN_OK);
	tn_buf_fini(&in);
	tn_buf_fini(&out);
}

static void
named_free(struct named *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		tn_free(n->paths[i]);
	tn_free(n->paths);
}

/* The metadata in force, in ${a}. */
static const struct tn_json *
metadata(const struct life *x, struct tn_arena *a)
{
	struct tn_buf b = { 0 };
	struct tn_json *j = NULL;
	char path[200];

	assert_int_equal(tn_lake_table_newest(x->lake, "silver", "t", path),
	    TN_OK);
	assert_int_equal(tn_lake_metadata(x->lake, path, NULL, &b), TN_OK);
	assert_int_equal(tn_codec_json_parse(a, (struct tn_slice){
	    (const uint8_t *)tn_arena_strndup(a, (const char *)b.p, b.n),
	    b.n }, &j, NULL), TN_OK);
	tn_buf_fini(&b);
	return j;
}

/* The newest snapshot names just the files of the life; *manifests. */
static void
assert_named(const struct life *x, uint32_t *manifests)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	const struct tn_json *all = tn_codec_json_get(metadata(x, a),
	    "snapshots");
	const struct tn_json *s = &all->items[all->count - 1];
	const struct tn_json *list = tn_codec_json_get(s, "manifest-list");
	struct named lists = { 0 }, files = { 0 };

	read_avro(tn_arena_strndup(a, (const char *)list->text.p,
	    list->text.n), &lists);
	for (uint32_t i = 0; i < lists.count; i++)
		read_avro(lists.paths[i], &files);
	assert_int_equal(files.count, x->count);
	for (uint32_t i = 0; i < x->count; i++) {
		uint32_t hits = 0;
		for (uint32_t k = 0; k < files.count; k++)
			hits += strstr(files.paths[k], x->files[i].path) !=
			    NULL;
		assert_int_equal(hits, 1);
	}
	if (manifests != NULL)
		*manifests = lists.count;
	named_free(&lists);
	named_free(&files);
	tn_arena_free(a);
}

static uint32_t
files_in(const struct life *x, const char *folder)
{
	char path[600];

	snprintf(path, sizeof path, "%s/silver/t/%s", tn_lake_root(x->lake),
	    folder);
	return tn_os_kind(path) == TN_OS_DIR ? count_files(path) : 0;
}

/* ---- tests ----------------------------------------------------------- */

/* Goal: with thousands of cuts behind it a table's metadata stays small: few
 * manifests, a bounded list of snapshots, and no file that they do not need. */
static void
long_life(void **state)
{
	struct life x;
	uint32_t manifests, most = 0;
	int cuts = getenv("SOAK") != NULL ? 43200 : 3000;
	int64_t begun;

	table = tn_os_real;
	table.sync = no_sync;
	tn_os_use(&table);
	begin(&x, *state);
	begun = tn_os_mono_us();
	for (int i = 0; i < cuts; i++) {
		add_file(&x, i / 100);
		/* Young files become one, now and then. */
		if (i % 9 == 8) {
			for (int k = 0; k < 8; k++)
				drop_file(&x, x.count - 1);
			x.cut.same_rows = true;
		}
		assert_int_equal(commit(&x), TN_OK);
		x.cut.same_rows = false;
		if (i % 97 == 0) {
			assert_named(&x, &manifests);
			most = manifests > most ? manifests : most;
		}
	}
	assert_named(&x, NULL);
	print_message("%d cuts, %lld us each: %u files, at most %u manifests, "
	    "%u and %u files of metadata\n", cuts, (long long)
	    ((tn_os_mono_us() - begun) / cuts), (unsigned)x.count,
	    (unsigned)most,
	    (unsigned)files_in(&x, "metadata"),
	    (unsigned)files_in(&x, "_delta_log"));
	assert_in_range(most, 1, 16);
	/* An hour of cuts a minute: 54 and some snapshots. */
	assert_in_range(files_in(&x, "metadata"), 50, 200);
	/* An hour, and what lies before its first checkpoint: they come after
	 * 20 cuts and an eighth of the files. */
	assert_in_range(files_in(&x, "_delta_log"), 60,
	    180 + 2 * x.count / 8);
	finish(&x);
}

/* Goal: after a restart a table goes on where it was when it is told the
 * files of then; told others, it begins anew and is right as well. What a
 * crash left is removed. */
static void
restarts(void **state)
{
	struct life x;
	char path[600];

	begin(&x, *state);
	assert_int_equal(commit(&x), TN_OK);     /* No file: no table yet. */
	assert_int_equal(files_in(&x, ""), 0);
	for (int i = 0; i < 5; i++) {
		add_file(&x, i);
		assert_int_equal(commit(&x), TN_OK);
	}
	static const char *const left[] = { "metadata/m-99.avro",
	    "metadata/snap-99.avro", "metadata/v7.metadata.json.00.tmp",
	    "_delta_log/00000000000000000007.json.00.tmp" };
	for (size_t i = 0; i < TN_COUNT(left); i++) {
		snprintf(path, sizeof path, "%s/silver/t/%s",
		    tn_lake_root(x.lake), left[i]);
		assert_int_equal(tn_os_write_file(path, "x", 1, 0600), TN_OK);
	}
	reopen(&x);
	for (size_t i = 0; i < TN_COUNT(left); i++) {
		snprintf(path, sizeof path, "%s/silver/t/%s",
		    tn_lake_root(x.lake), left[i]);
		assert_int_equal(tn_os_kind(path), TN_OS_NONE);
	}
	assert_int_equal(tn_lake_table_sequence(x.t, TN_LAKE_ICEBERG), 6);
	assert_int_equal(tn_lake_table_sequence(x.t, TN_LAKE_DELTA), 6);
	assert_false(tn_lake_table_recall(x.t, TN_LAKE_ICEBERG, x.files, 4));
	assert_true(tn_lake_table_recall(x.t, TN_LAKE_ICEBERG, x.files, 5));
	assert_true(tn_lake_table_recall(x.t, TN_LAKE_DELTA, x.files, 5));
	drop_file(&x, 1);
	add_file(&x, 9);
	assert_int_equal(commit(&x), TN_OK);
	assert_named(&x, NULL);
	assert_int_equal(files_in(&x, "_delta_log"), 6);

	reopen(&x);                              /* Told nothing. */
	assert_int_equal(commit(&x), TN_OK);
	assert_named(&x, NULL);
	assert_int_equal(files_in(&x, "_delta_log"), 1);
	finish(&x);
}

/* Goal: what a crash left of the first version of all, which no version names,
 * is removed at the next start, too. */
static void
first_broken_off(void **state)
{
	static const char *const left[] = { "metadata/m-1.avro",
	    "metadata/snap-1.avro", "metadata/v1.metadata.json.00.tmp",
	    "_delta_log/00000000000000000000.json.00.tmp" };
	struct life x;
	char path[600];

	begin(&x, *state);
	add_file(&x, 1);
	assert_int_equal(commit(&x), TN_OK);
	snprintf(path, sizeof path, "%s/silver/t/metadata/v1.metadata.json",
	    tn_lake_root(x.lake));
	assert_int_equal(tn_os_unlink(path), TN_OK);
	snprintf(path, sizeof path,
	    "%s/silver/t/_delta_log/00000000000000000000.json",
	    tn_lake_root(x.lake));
	assert_int_equal(tn_os_unlink(path), TN_OK);
	for (size_t i = 0; i < TN_COUNT(left); i++) {
		snprintf(path, sizeof path, "%s/silver/t/%s",
		    tn_lake_root(x.lake), left[i]);
		assert_int_equal(tn_os_write_file(path, "x", 1, 0600), TN_OK);
	}
	reopen(&x);
	assert_int_equal(files_in(&x, "metadata"), 0);
	assert_int_equal(files_in(&x, "_delta_log"), 0);
	assert_int_equal(commit(&x), TN_OK);
	assert_named(&x, NULL);
	finish(&x);
}

/* Goal: a metadata file that is damaged, and a sequence that went back, begin
 * the table anew instead of failing. */
static void
damaged(void **state)
{
	struct life x;
	char path[600];

	begin(&x, *state);
	add_file(&x, 1);
	assert_int_equal(commit(&x), TN_OK);
	snprintf(path, sizeof path, "%s/silver/t/metadata/v1.metadata.json",
	    tn_lake_root(x.lake));
	assert_int_equal(tn_os_write_file(path, "{\"location\":", 12, 0600),
	    TN_OK);
	snprintf(path, sizeof path,
	    "%s/silver/t/_delta_log/00000000000000000000.json",
	    tn_lake_root(x.lake));
	assert_int_equal(tn_os_write_file(path, "\n", 1, 0600), TN_OK);
	reopen(&x);
	add_file(&x, 2);
	assert_int_equal(commit(&x), TN_OK);
	assert_named(&x, NULL);
	x.cut.sequence = 0;
	drop_file(&x, 0);
	assert_int_equal(commit(&x), TN_OK);
	assert_named(&x, NULL);
	finish(&x);
}

static int
bad_open_of_tables(const char *path, int flags, int mode)
{
	/* Data files are not there in these tests. */
	return strstr(path, ".parquet") == NULL && broken() ? -EIO :
	    tn_os_real.open(path, flags, mode);
}

/* Goal: any single failing call of the disk leaves the version before, or the
 * new one; the next cut is right, and so is a start in between. */
static void
failing_disk(void **state)
{
	struct life x;
	int n = 0, failed = 0;

	use_bad_disk();
	table.open = bad_open_of_tables;
	begin(&x, *state);
	for (int i = 0; i < 25; i++) {
		add_file(&x, i);
		assert_int_equal(commit(&x), TN_OK);
	}
	for (bool through = false; !through; n++) {
		enum tn_status st;
		add_file(&x, n);
		drop_file(&x, (uint32_t)n % x.count);
		calls_left = n;
		st = commit(&x);
		through = calls_left >= 0;
		failed += st != TN_OK;
		calls_left = -1;
		if (n % 3 == 0) {
			reopen(&x);
			/* The lists of then are not known: it begins anew. */
		}
		add_file(&x, n);
		drop_file(&x, 0);
		assert_int_equal(commit(&x), TN_OK);
		assert_named(&x, NULL);
		assert_in_range(n, 0, 200);
	}
	print_message("%d calls of the disk, %d commits failed\n", n, failed);
	assert_in_range(failed, 8, 200);
	finish(&x);
}

/* Goal: sent elsewhere, every location is the other one, in JSON and Avro,
 * and a list says how long its manifests then are. */
static void
elsewhere(void **state)
{
	static const char base[] = "http://elsewhere.example.com:8420/lake";
	struct life x;
	struct tn_buf b = { 0 };
	struct named lists = { 0 };
	struct tn_codec_avro_edit edit = { take_path, NULL, &lists };
	struct tn_buf out = { 0 };

	begin(&x, *state);
	for (int i = 0; i < 3; i++)
		add_file(&x, i);
	assert_int_equal(commit(&x), TN_OK);
	assert_int_equal(tn_lake_metadata(x.lake,
	    "silver/t/metadata/v1.metadata.json", base, &b), TN_OK);
	assert_non_null(strstr(tn_buf_cstr(&b), "\"location\":\"http://"
	    "elsewhere.example.com:8420/lake/silver/t\""));
	assert_null(strstr(tn_buf_cstr(&b), "file:"));
	tn_buf_clear(&b);
	assert_int_equal(tn_lake_metadata(x.lake,
	    "silver/t/metadata/snap-1.avro", base, &b), TN_OK);
	assert_int_equal(tn_codec_avro_edit(&out, (struct tn_slice){ b.p,
	    b.n }, &edit), TN_OK);
	assert_int_equal(lists.count, 1);
	assert_int_equal(strncmp(lists.paths[0], base, strlen(base)), 0);
	tn_buf_fini(&out);
	tn_buf_fini(&b);
	named_free(&lists);
	assert_true(tn_lake_is_metadata(tn_slice_of(
	    "gold/v/_delta_log/_last_checkpoint")));
	static const char *const others[] = { "gold/v/metadata/",
	    "gold/v/metadata/..", "gold/../metadata/x", "keys/v/metadata/x",
	    "gold/v/metadata/a/b", "gold//metadata/x", "gold/v/part=all/x",
	    "metadata/x", "" };
	for (size_t i = 0; i < TN_COUNT(others); i++)
		assert_false(tn_lake_is_metadata(tn_slice_of(others[i])));
	finish(&x);
}

/* Goal: the sweep of data files leaves metadata alone; that of tables removes
 * what no table keeps. */
static void
sweeps(void **state)
{
	static const char *const keep[] = { "silver/t" };
	struct life x;
	uint32_t removed = 0;

	begin(&x, *state);
	add_file(&x, 1);
	assert_int_equal(commit(&x), TN_OK);
	assert_int_equal(tn_lake_sweep(x.lake, NULL, 0, &removed), TN_OK);
	assert_int_equal(removed, 0);
	assert_int_equal(tn_lake_tables_sweep(x.lake, keep, 1), TN_OK);
	assert_named(&x, NULL);
	assert_int_equal(tn_lake_tables_sweep(x.lake, NULL, 0), TN_OK);
	assert_int_equal(files_in(&x, ""), 0);
	finish(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(long_life),
		FOLDER_TEST(restarts),
		FOLDER_TEST(first_broken_off),
		FOLDER_TEST(damaged),
		FOLDER_TEST(failing_disk),
		FOLDER_TEST(elsewhere),
		FOLDER_TEST(sweeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

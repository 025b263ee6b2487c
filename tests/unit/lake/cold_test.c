/* The cold folder: files in it have paths in the lake, a folder that is not
 * there or another's is refused and left alone, the sweep goes there and no
 * further. */
#include "test.h"

#include "disk_help.h"

#include "lake/lake_int.h"

static char root[100], cold[100], mark[100];
static struct tn_diag d;

static void
name_all(void **state)
{
	snprintf(root, sizeof root, "%s/data/lake", (char *)*state);
	snprintf(mark, sizeof mark, "%s/data/cold", (char *)*state);
	snprintf(cold, sizeof cold, "%s/disk", (char *)*state);
	assert_int_equal(tn_os_mkdirs(cold), TN_OK);
	assert_int_equal(tn_os_mkdirs(root), TN_OK);
}

static enum tn_status
open_cold(struct tn_lake **lake, const char *folder, const char *const *paths,
    uint32_t count)
{
	struct tn_lake_cold_opts o = { folder, mark, paths, count };
	enum tn_status st;

	memset(&d, 0, sizeof d);
	*lake = open_lake(root);
	st = tn_lake_cold_open(*lake, &o, &d);
	assert_true(st == TN_OK || d.message[0] != '\0');
	return st;
}

static enum tn_status
put(struct tn_lake *lake, const char *label, bool to_cold,
    struct tn_lake_file *f)
{
	int64_t ts[] = { 5 };
	struct tn_batch *b = three_batch(ts, 1, 0);
	struct tn_lake_write w = { .tier = "silver", .table = "t",
	    .partition = "date=1970-01-01", .label = label,
	    .time_column = 0, .cold = to_cold };
	enum tn_status st = tn_lake_put(lake, &w, &b, 1, f);

	tn_record_batch_unref(b);
	return st == TN_OK ? tn_lake_sync(lake, to_cold) : st;
}

static void
refused(const char *folder, const char *code, const char *const *paths)
{
	struct tn_lake *lake = NULL;

	assert_int_not_equal(open_cold(&lake, folder, paths,
	    paths != NULL), TN_OK);
	assert_string_equal(d.code, code);
	assert_true(d.hint[0] != '\0');
	assert_null(tn_lake_cold_folder(lake));
	tn_lake_close(lake);
}

/* Goal: a file there is found by its path under the root, also after the folder
 * moved; what nobody names goes; links of others are not followed. */
static void
files_there(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a, b, c;
	char path[700], other[100], theirs[200];
	const char *paths[1];
	uint64_t bytes;
	uint32_t removed, crc;

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_true(tn_lake_cold_ready(lake));
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	assert_int_equal(put(lake, "b", true, &b), TN_OK);
	assert_int_equal(put(lake, "c", false, &c), TN_OK);
	assert_true(tn_lake_is_cold(lake, a.path));
	assert_false(tn_lake_is_cold(lake, c.path));
	assert_string_equal(a.partition, "1970-01-01");
	snprintf(path, sizeof path, "%s/silver/t/date=1970-01-01/a.parquet",
	    cold);
	assert_int_equal(tn_os_kind(path), TN_OS_FILE);
	assert_int_equal(tn_lake_check(lake, a.path, &crc, &bytes), TN_OK);
	assert_true(crc == a.crc && bytes == a.bytes);

	/* A link with a name like ours to a folder that is not. */
	snprintf(other, sizeof other, "%s/other", (char *)*state);
	assert_int_equal(tn_os_mkdirs(other), TN_OK);
	snprintf(theirs, sizeof theirs, "%s/x.parquet", other);
	assert_int_equal(tn_os_write_file(theirs, "x", 1, 0640), TN_OK);
	snprintf(path, sizeof path, "%s/silver/t/cold-00000000", root);
	assert_int_equal(tn_os_symlink(other, path), TN_OK);
	tn_lake_close(lake);

	snprintf(path, sizeof path, "%s/tarn-cold.owner.0123.tmp", cold);
	assert_int_equal(tn_os_write_file(path, "x", 1, 0640), TN_OK);
	snprintf(path, sizeof path, "%s2", cold);
	assert_int_equal(tn_os_rename(cold, path), TN_OK);
	paths[0] = a.path;
	assert_int_equal(open_cold(&lake, path, paths, 1), TN_OK);
	assert_int_equal(tn_lake_sweep(lake, paths, 1, &removed), TN_OK);
	assert_int_equal(removed, 2);            /* b and c */
	strcat(path, "/tarn-cold.owner.0123.tmp");
	assert_int_equal(tn_os_kind(path), TN_OS_NONE);
	assert_int_equal(tn_os_kind(theirs), TN_OS_FILE);
	assert_int_equal(tn_lake_check(lake, a.path, &crc, &bytes), TN_OK);
	assert_int_equal(tn_lake_check(lake, b.path, &crc, &bytes),
	    TN_ENOTFOUND);
	tn_lake_close(lake);
	/* Without the setting what is there is read, and nothing more written. */
	assert_int_equal(open_cold(&lake, "", paths, 1), TN_OK);
	assert_null(tn_lake_cold_folder(lake));
	assert_int_equal(tn_lake_check(lake, a.path, &crc, &bytes), TN_OK);
	tn_lake_close(lake);
}

/* Goal: each folder that is not the one that it should be has its own word. */
static void
wrong_folders(void **state)
{
	struct tn_lake *lake = NULL, *two = NULL;
	struct tn_lake_file a;
	const char *paths[1];
	char away[110], path[200];

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	/* Another program has it. */
	assert_int_equal(open_cold(&two, cold, NULL, 0), TN_ECONFLICT);
	tn_lake_close(two);
	tn_lake_close(lake);
	paths[0] = a.path;
	snprintf(away, sizeof away, "%s.away", cold);
	assert_int_equal(tn_os_rename(cold, away), TN_OK);
	refused(cold, "cold_folder_missing", paths);
	refused("", "cold_folder_missing", paths);
	assert_int_equal(tn_os_mkdirs(cold), TN_OK);
	refused(cold, "cold_folder_lost", NULL);     /* not mounted */
	assert_int_equal(count_files(cold), 0);
	refused(root, "cold_folder_place", NULL);
	snprintf(path, sizeof path, "%s/data", (char *)*state);
	refused(path, "cold_folder_place", NULL);
	snprintf(path, sizeof path, "%s/used", (char *)*state);
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	strcat(path, "/letter");
	assert_int_equal(tn_os_write_file(path, "x", 1, 0640), TN_OK);
	*strrchr(path, '/') = '\0';
	refused(path, "cold_folder_used", NULL);
	assert_int_equal(count_files(path), 1);
	/* A lake that does not know the id: restored, or another one. */
	assert_int_equal(tn_os_unlink(mark), TN_OK);
	refused(away, "cold_folder_foreign", NULL);
}

/* Goal: it goes while we run: nothing is written beneath the mount point. */
static void
gone_meanwhile(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a;
	char away[110];

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	snprintf(away, sizeof away, "%s.away", cold);
	assert_int_equal(tn_os_rename(cold, away), TN_OK);
	assert_int_equal(tn_os_mkdirs(cold), TN_OK);
	assert_false(tn_lake_cold_ready(lake));
	assert_int_equal(put(lake, "b", true, &a), TN_ENOTFOUND);
	assert_int_equal(count_files(cold), 0);
	tn_lake_close(lake);
}

static void
copy_data(void **state, const char *to)
{
	char command[500];

	snprintf(command, sizeof command, "cp -a '%s/data' '%s/%s'",
	    (char *)*state, (char *)*state, to);
	assert_int_equal(system(command), 0);
}

/* The names of the original, or of its copy. */
static void
be(void **state, const char *data)
{
	snprintf(root, sizeof root, "%s/%s/lake", (char *)*state, data);
	snprintf(mark, sizeof mark, "%s/%s/cold", (char *)*state, data);
}

/* Goal: of two copies of a data folder only one uses the cold folder: whichever
 * goes on first. The other one sweeps nothing there, even without the setting,
 * is told what to do, and can do it. */
static void
copied_data(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a, b;
	const char *paths[1];
	char file[200];
	uint32_t removed, crc;
	uint64_t bytes;

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	/* Taken while it runs: it is behind as soon as a file is moved. */
	copy_data(state, "old");
	assert_int_equal(put(lake, "b", true, &b), TN_OK);
	tn_lake_close(lake);
	copy_data(state, "new");
	paths[0] = a.path;
	be(state, "old");
	refused(cold, "cold_folder_shared", NULL);
	assert_non_null(strstr(d.hint, "tarn-cold.owner"));
	assert_non_null(strstr(d.message, "/data/lake"));
	refused("", "cold_folder_shared", paths);
	assert_int_equal(open_cold(&lake, "", NULL, 0), TN_OK);
	assert_int_equal(tn_lake_sweep(lake, NULL, 0, &removed), TN_OK);
	tn_lake_close(lake);
	assert_int_equal(removed, 0);
	snprintf(file, sizeof file, "%s/silver/t/date=1970-01-01", cold);
	assert_int_equal(count_files(file), 2);
	/* One that is as new goes on, and the original is the copy. */
	be(state, "new");
	assert_int_equal(open_cold(&lake, cold, paths, 1), TN_OK);
	be(state, "data");
	tn_lake_close(lake);
	refused(cold, "cold_folder_shared", paths);
	assert_non_null(strstr(d.message, "/new/lake"));
	/* The copy is given up. */
	snprintf(file, sizeof file, "%s/tarn-cold.owner", cold);
	assert_int_equal(tn_os_unlink(file), TN_OK);
	assert_int_equal(open_cold(&lake, cold, paths, 1), TN_OK);
	assert_int_equal(tn_lake_check(lake, b.path, &crc, &bytes), TN_OK);
	tn_lake_close(lake);
	be(state, "new");
	refused(cold, "cold_folder_shared", paths);
}

/* Goal: where locks do not hold (two machines), files that were moved are not
 * published once another copy has written its word. */
static void
foreign_word(void **state)
{
	static const char theirs[] = "tarn data folder 0123456789abcdef /x\n";
	struct tn_lake *lake = NULL;
	struct tn_lake_file a;
	char file[200];

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	snprintf(file, sizeof file, "%s/tarn-cold.owner", cold);
	assert_int_equal(tn_os_write_file(file, theirs, sizeof theirs - 1,
	    0640), TN_OK);
	assert_int_equal(put(lake, "a", true, &a), TN_ECONFLICT);
	assert_int_equal(put(lake, "b", false, &a), TN_OK);
	assert_int_equal(tn_lake_sync(lake, true), TN_ECONFLICT);
	tn_lake_close(lake);
}

static int
other_open(const char *path, int flags, int mode)
{
	char id[120];
	int fd = tn_os_real.open(path, flags, mode);

	/* The lock is ours when the other one has just let go of it. */
	if (strstr(path, "tarn-cold.lock") != NULL) {
		snprintf(id, sizeof id, "%s/tarn-cold", cold);
		tn_os_use(NULL);
		assert_int_equal(tn_os_write_file(id, "tarn cold folder "
		    "00000001\n", 26, 0640), TN_OK);
	}
	return fd;
}

/* Goal: who took the folder between our look and our lock has it. */
static void
taken_meanwhile(void **state)
{
	struct tn_lake *lake = NULL;

	name_all(state);
	table = tn_os_real;
	table.open = other_open;
	tn_os_use(&table);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_ECONFLICT);
	assert_string_equal(d.code, "cold_folder_used");
	tn_lake_close(lake);
}

/* ---- faults ---------------------------------------------------------- */

/* Goal: whichever call fails while a folder is taken and a file written there,
 * the next try works, and one file is there. */
static void
failing_disk(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a;
	char command[400];
	uint32_t removed;
	int n;

	name_all(state);
	use_bad_disk();
	for (n = 0; n < 500; n++) {
		struct tn_lake_cold_opts o = { cold, mark, NULL, 0 };
		enum tn_status st;
		memset(&d, 0, sizeof d);
		lake = open_lake(root);
		calls_left = n;
		st = tn_lake_cold_open(lake, &o, &d);
		if (st == TN_OK)
			st = put(lake, "a", true, &a);
		if (st == TN_OK && calls_left >= 0)
			break;
		calls_left = -1;
		tn_lake_close(lake);
		assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
		assert_int_equal(tn_lake_sweep(lake, NULL, 0, &removed),
		    TN_OK);
		assert_int_equal(put(lake, "a", true, &a), TN_OK);
		tn_lake_close(lake);
		snprintf(command, sizeof command, "rm -rf '%s' '%s' '%s'/*",
		    root, mark, cold);
		assert_int_equal(system(command), 0);
		assert_int_equal(tn_os_mkdirs(root), TN_OK);
	}
	calls_left = -1;
	tn_lake_close(lake);
	print_message("%d calls of the disk failed\n", n);
	assert_in_range(n, 15, 499);
}

static bool dead;

static int
dead_open(const char *path, int flags, int mode)
{
	return dead && strstr(path, "/cold-") != NULL &&
	    tn_os_kind(path) == TN_OS_DIR ? -EIO :
	    tn_os_real.open(path, flags, mode);
}

/* Goal: a cold disk that dies before its folders are synced does not stop the
 * lake; nor are they forgotten. A table's name is no link's. */
static void
dying_disk(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a;
	char path[200];

	name_all(state);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	table = tn_os_real;
	table.open = dead_open;
	tn_os_use(&table);
	dead = true;
	assert_int_equal(put(lake, "b", true, &a), TN_EIO);
	assert_int_equal(put(lake, "c", false, &a), TN_OK);
	assert_int_equal(put(lake, "d", true, &a), TN_EIO);
	assert_int_equal(tn_lake_sync(lake, false), TN_OK);
	assert_int_equal(tn_lake_sync(lake, true), TN_EIO);
	assert_int_equal(lake->dirty_count, 4);
	for (uint32_t i = 0; i < lake->dirty_count; i++)
		assert_true(tn_lake_in_cold(lake, lake->dirty[i]));
	dead = false;
	assert_int_equal(tn_lake_sync(lake, true), TN_OK);
	assert_int_equal(lake->dirty_count, 0);
	assert_false(tn_lake_in_cold(lake, root));
	snprintf(path, sizeof path, "%s/silver/cold-00000000/date=x", root);
	assert_false(tn_lake_in_cold(lake, path));
	snprintf(path, sizeof path, "%s/silver/t/cold-00000000", root);
	assert_true(tn_lake_in_cold(lake, path));
	tn_lake_close(lake);
}

static char opened[8000];

static int
noting_open(const char *path, int flags, int mode)
{
	if (strlen(opened) + strlen(path) + 3 < sizeof opened &&
	    tn_os_kind(path) == TN_OS_DIR) {
		strcat(opened, path);
		strcat(opened, "|");
	}
	return tn_os_real.open(path, flags, mode);
}

/* Goal: a folder on the way to a file that a killed process had made, but
 * perhaps not synced in its parent, is synced there before the file counts. */
static void
middle_folders(void **state)
{
	struct tn_lake *lake = NULL;
	struct tn_lake_file a;
	char path[200];
	uint32_t removed;

	name_all(state);
	snprintf(path, sizeof path, "%s/silver/t", cold);
	assert_int_equal(open_cold(&lake, cold, NULL, 0), TN_OK);
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	snprintf(path, sizeof path, "%s/silver/t/date=1970-01-01", root);
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	table = tn_os_real;
	table.open = noting_open;
	tn_os_use(&table);
	opened[0] = '\0';
	assert_int_equal(put(lake, "a", true, &a), TN_OK);
	snprintf(path, sizeof path, "%s|", cold);
	assert_non_null(strstr(opened, path));
	snprintf(path, sizeof path, "%s/silver|", cold);
	assert_non_null(strstr(opened, path));
	snprintf(path, sizeof path, "%s/silver/t|", cold);
	assert_non_null(strstr(opened, path));
	/* Of the lake at the start. */
	opened[0] = '\0';
	assert_int_equal(tn_lake_sweep(lake, NULL, 0, &removed), TN_OK);
	snprintf(path, sizeof path, "%s/silver|", root);
	assert_non_null(strstr(opened, path));
	snprintf(path, sizeof path, "%s/silver/t|", root);
	assert_non_null(strstr(opened, path));
	tn_lake_close(lake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(files_there),
		FOLDER_TEST(wrong_folders),
		FOLDER_TEST(gone_meanwhile),
		FOLDER_TEST(copied_data),
		FOLDER_TEST(foreign_word),
		FOLDER_TEST(taken_meanwhile),
		FOLDER_TEST(middle_folders),
		FOLDER_TEST(failing_disk),
		FOLDER_TEST(dying_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

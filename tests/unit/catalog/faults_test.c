/* wrap: write pwrite64 fdatasync fsync ftruncate64 */
/* faults: disk calls and allocations of SQLite that fail, one by one.
 *
 * After each failure the process is not trusted: the files are copied as a
 * crash at that moment would leave them and opened as a second catalog. */
#include "test.h"
#include "catalog_help.h"

#include <errno.h>
#include <sqlite3.h>

/* ---- calls that fail ------------------------------------------------- */

static int calls_left = -1;
static int failures_left;        /* Calls in a row that fail. */
static bool syncs_only;

static bool
broken(bool sync)
{
	if (calls_left < 0 || (syncs_only && !sync))
		return false;
	if (calls_left > 0) {
		calls_left--;
		return false;
	}
	if (failures_left == 0) {
		calls_left = -1;
		return false;
	}
	failures_left--;
	errno = EIO;
	return true;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	return broken(false) ? -1 : __real_write(fd, p, n);
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, long at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, long at);
ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, long at)
{
	if (!broken(false))
		return __real_pwrite64(fd, p, n, at);
	errno = random_below(2) == 0 ? ENOSPC : EIO;
	return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	return broken(true) ? -1 : __real_fdatasync(fd);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	return broken(true) ? -1 : __real_fsync(fd);
}

int __real_ftruncate64(int fd, long n);
int __wrap_ftruncate64(int fd, long n);
int
__wrap_ftruncate64(int fd, long n)
{
	return broken(false) ? -1 : __real_ftruncate64(fd, n);
}

static sqlite3_mem_methods memory;
static int allocations_left = -1;

static bool
out_of_memory(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

static void *
bad_malloc(int n)
{
	return out_of_memory() ? NULL : memory.xMalloc(n);
}

static void *
bad_realloc(void *p, int n)
{
	return out_of_memory() ? NULL : memory.xRealloc(p, n);
}

static int
group_setup(void **state)
{
	sqlite3_mem_methods bad;

	(void)state;
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK)
		return 1;
	bad = memory;
	bad.xMalloc = bad_malloc;
	bad.xRealloc = bad_realloc;
	random_start();
	return sqlite3_config(SQLITE_CONFIG_MALLOC, &bad) != SQLITE_OK;
}

/* ---- what holds ------------------------------------------------------ */

/* One file named by its number: cut, file and offset agree, or nothing. */
static bool
holds(struct tn_catalog *c, uint32_t n)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(c);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_corrections_of all = { .view = 7,
	    .to_us = INT64_MAX, .limit = 1 };
	struct tn_catalog_correction *x;
	struct tn_catalog_offset *o;
	uint32_t count;
	bool has = s->count == 1 && s->files[0].version == n;

	assert_int_equal(s->count, 1);
	assert_int_equal(tn_catalog_offsets(c, a, &o, &count), TN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(s->lsn == n, has);
	assert_int_equal(o[0].next == n, has);
	/* A correction is there exactly when its numbers are. */
	assert_int_equal(tn_catalog_corrections(c, &all, a, &x, &count),
	    TN_OK);
	assert_int_equal(x[0].time_us == n, has);
	tn_arena_free(a);
	tn_catalog_snapshot_put(s);
	return has;
}

/* The same in the files as a crash now would leave them. */
static bool
holds_after_crash(const char *dir, uint32_t n)
{
	char command[1200], copy[200];
	struct tn_catalog *c;
	bool has;

	snprintf(copy, sizeof copy, "%s/copy", dir);
	snprintf(command, sizeof command, "rm -rf '%s'; mkdir '%s'; "
	    "cp '%s'/catalog.db* '%s'; rm -f '%s'/catalog.db-shm", copy, copy,
	    dir, copy, copy);
	assert_int_equal(system(command), 0);
	c = open_catalog(copy);
	has = holds(c, n);
	tn_catalog_close(c);
	return has;
}

/* Every so many failures are followed by a look at what a crash leaves. */
static uint32_t look_every = 1;

/* Publish file ${n} in place of *id with the fault armed; true when it came
 * through untouched. */
static bool
publish_once(const char *dir, struct tn_catalog *c, uint32_t n, uint64_t *id,
    int *armed)
{
	uint64_t fresh;
	enum tn_status st = publish_one(c, n, *id, &fresh);
	bool untouched = *armed >= 0;

	*armed = -1;
	calls_left = -1;
	if (st == TN_OK) {
		assert_true(holds(c, n));
		assert_true(n % look_every != 0 || holds_after_crash(dir, n));
		*id = fresh;
		return untouched;
	}
	/* Not done, now and after a crash. */
	assert_int_not_equal(st, TN_ECLOSED);
	assert_false(holds(c, n));
	assert_false(n % look_every == 0 && holds_after_crash(dir, n));
	return false;
}

/* Goal: with any one disk call failing, a publication either holds wholly or
 * not at all, in this process and after a crash, and the next one works. */
static void
disk_fails_once(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	uint64_t id = 0;
	uint32_t n = 1;
	bool done = false;
	int call;

	assert_int_equal(publish_one(c, n++, 0, &id), TN_OK);
	for (call = 0; !done && call < 300; call++, n++) {
		calls_left = call;
		failures_left = 1;
		done = publish_once(*state, c, n, &id, &calls_left);
	}
	assert_in_range(call, 3, 299);
	print_message("%d disk calls\n", call - 1);
	tn_catalog_close(c);
}

/* Goal: the same when a sync fails: the frames that are complete in the WAL
 * must not come back. Without emptying the WAL this test fails. */
static void
sync_fails_once(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	uint64_t id = 0;
	uint32_t n = 1;
	bool done = false;
	int call;

	assert_int_equal(publish_one(c, n++, 0, &id), TN_OK);
	syncs_only = true;
	for (call = 0; !done && call < 20; call++, n++) {
		calls_left = call;
		failures_left = 1;
		done = publish_once(*state, c, n, &id, &calls_left);
	}
	syncs_only = false;
	assert_in_range(call, 2, 19);
	tn_catalog_close(c);
}

/* Goal: when the disk goes on failing, the fate is called unknown, and every
 * later publication is refused until the next start, which finds a whole
 * state. */
static void
disk_stays_broken(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	uint64_t id, other;

	assert_int_equal(publish_one(c, 1, 0, &id), TN_OK);
	syncs_only = true;
	calls_left = 0;
	failures_left = 1000;
	assert_int_equal(publish_one(c, 2, id, &other), TN_ECLOSED);
	calls_left = -1;
	syncs_only = false;
	assert_false(holds(c, 2));
	assert_int_equal(publish_one(c, 3, id, &other), TN_ECLOSED);
	assert_false(holds(c, 3));
	(void)holds_after_crash(*state, 2);      /* Either; but whole. */
	tn_catalog_close(c);
	c = open_catalog(*state);
	id = holds(c, 2) ? 2 : 1;
	assert_int_equal(publish_one(c, 4, id, &other), TN_OK);
	tn_catalog_close(c);
}

/* Goal: with any one allocation of SQLite failing, the same holds. */
static void
memory_fails_once(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	uint64_t id = 0;
	uint32_t n = 1;
	bool done = false;
	int call;

	assert_int_equal(publish_one(c, n++, 0, &id), TN_OK);
	look_every = 4;
	for (call = 0; !done && call < 2000; call++, n++) {
		allocations_left = call;
		done = publish_once(*state, c, n, &id, &allocations_left);
	}
	look_every = 1;
	assert_in_range(call, 3, 1999);
	print_message("%d allocations\n", call - 1);
	tn_catalog_close(c);
}

/* Goal: define, runs and tokens fail whole, too: no transaction stays open
 * and no version is skipped. */
static void
define_fails_once(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	uint32_t version = 0;
	char text[20];
	int call;

	for (call = 0; call < 2000; call++) {
		struct tn_catalog_object o;
		enum tn_status st;
		bool untouched;
		snprintf(text, sizeof text, "v%d", call);
		allocations_left = call / 2;
		calls_left = call % 2 == 0 ? -1 : call / 2;
		failures_left = 1;
		if (call % 2 == 1)
			allocations_left = -1;
		st = tn_catalog_define(c, TN_CATALOG_VIEW, "v", text, NULL,
		    &o);
		untouched = allocations_left >= 0;
		allocations_left = -1;
		calls_left = -1;
		if (st == TN_OK)
			assert_int_equal(o.version, ++version);
		if (st == TN_OK && untouched)
			break;
	}
	assert_in_range(call, 3, 1999);
	tn_catalog_close(c);
}

/* Goal: opening with any one allocation or disk call failing gives an error
 * or a catalog, never a crash, and the next try succeeds. */
static void
open_fails_once(void **state)
{
	struct tn_catalog *c;
	struct tn_diag d;
	char command[200];
	int call;
	bool done = false;

	for (call = 0; !done && call < 3000; call++) {
		snprintf(command, sizeof command, "rm -f '%s'/catalog.db*",
		    (char *)*state);
		if (call % 3 == 0)
			assert_int_equal(system(command), 0);
		allocations_left = call;
		calls_left = call % 5 == 4 ? call / 5 : -1;
		failures_left = 1;
		if (tn_catalog_open(&c, db_path(*state), &d) == TN_OK) {
			done = allocations_left >= 0 && calls_left < 0;
			allocations_left = -1;
			calls_left = -1;
			tn_catalog_close(c);
			continue;
		}
		allocations_left = -1;
		calls_left = -1;
		assert_null(c);
	}
	assert_in_range(call, 20, 2999);
	c = open_catalog(*state);
	tn_catalog_close(c);
}

static void
make_first(const char *dir)
{
	char command[200];
	sqlite3 *db = NULL;

	snprintf(command, sizeof command, "rm -f '%s'/catalog.db*", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(sqlite3_open(db_path(dir), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, first_schema, NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
}

/* What the file of the first release held is there, and today's tables. */
static void
is_migrated(const char *dir)
{
	struct tn_catalog *c = open_catalog(dir);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run *runs;
	uint32_t count;
	uint64_t id;

	assert_int_equal(tn_catalog_runs(c, 0, 10, a, &runs, &count), TN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(runs[0].id, 4);
	assert_int_equal(runs[0].changed, 0);
	assert_int_equal(publish_one(c, 9, 1, &id), TN_OK);
	assert_true(holds(c, 9));
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* Goal: an older catalog is brought to today's schema; with any one allocation
 * or disk call failing it stays what it was, and the next start does it. */
static void
migration_fails_once(void **state)
{
	struct tn_catalog *c;
	struct tn_diag d;
	bool done = false;
	int call;

	/* Later faults are alike: they are tried further and further apart. */
	for (call = 0; !done && call < 16000; call += 1 + call / 16) {
		enum tn_status st;
		make_first(*state);
		allocations_left = call;
		calls_left = call % 3 == 2 ? call / 3 : -1;
		failures_left = 1;
		st = tn_catalog_open(&c, db_path(*state), &d);
		done = st == TN_OK && allocations_left >= 0 &&
		    calls_left < 0;
		allocations_left = -1;
		calls_left = -1;
		if (st == TN_OK)
			tn_catalog_close(c);
		else
			assert_null(c);
		is_migrated(*state);
	}
	assert_in_range(call, 20, 15999);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(disk_fails_once),
		FOLDER_TEST(sync_fails_once),
		FOLDER_TEST(disk_stays_broken),
		FOLDER_TEST(memory_fails_once),
		FOLDER_TEST(define_fails_once),
		FOLDER_TEST(open_fails_once),
		FOLDER_TEST(migration_fails_once),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, group_setup, NULL);
}

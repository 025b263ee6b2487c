/* wrap: tn_os_disk_free */
/* What holds compaction back: the room on the disk, before a merge begins and
 * during it, and the pace, a quarter while the log grows fast. The test owns
 * the clocks, and the size of the disk. */
#include "test.h"

#include <ftw.h>
#include <sys/stat.h>

#include "cold_help.h"

#define RESERVE UINT64_C(5000)
#define EIGHTH (4u << 20)

/* ---- a disk that has so many bytes ------------------------------------ */

static const char *folder;               /* Of it; NULL: the real one. */
static uint64_t size, used, lowest;
static uint32_t looks, taken_at;         /* Then others take all of it. */

static int
add_size(const char *path, const struct stat *info, int kind, struct FTW *f)
{
	(void)path;
	(void)f;
	used += kind == FTW_F ? (uint64_t)info->st_size : 0;
	return 0;
}

static uint64_t
room_left(void)
{
	used = 0;
	assert_int_equal(nftw(folder, add_size, 8, FTW_PHYS), 0);
	return size > used ? size - used : 0;
}

enum tn_status __real_tn_os_disk_free(const char *path, uint64_t *bytes);
enum tn_status __wrap_tn_os_disk_free(const char *path, uint64_t *bytes);
enum tn_status
__wrap_tn_os_disk_free(const char *path, uint64_t *bytes)
{
	if (folder == NULL)
		return __real_tn_os_disk_free(path, bytes);
	*bytes = room_left();
	lowest = *bytes < lowest ? *bytes : lowest;
	looks++;
	if (taken_at > 0 && looks >= taken_at)
		*bytes = RESERVE;
	return TN_OK;
}

/* ---- what is there ---------------------------------------------------- */

static char lake[100];

static void
make(struct rig *g)
{
	folder = NULL;
	looks = taken_at = 0;
	lowest = UINT64_MAX;
	cold_make(g, days_sql, "2026-03-06T13:00:00Z");
	g->batch->o.young_files_max = 1000;
	g->batch->o.garbage_us = DAY;
	g->batch->o.disk_reserve = RESERVE;
	(void)snprintf(lake, sizeof lake, "%s/lake", g->dir);
	folder = lake;
	size = 1 << 30;
}

static void
undo(struct rig *g)
{
	folder = NULL;
	drop(g);
}

static void
append(struct rig *g, uint32_t rows)
{
	struct tn_buf text = { 0 };

	for (uint32_t i = 0; i < rows; i++)
		tn_buf_printf(&text, "{\"n\":%ld,\"ts\":\"2026-03-06T"
		    "0%ld:00:00Z\"}\n", random(), random() % 9);
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
}

/* Cuts of ${rows} rows of one day each. */
static void
cuts(struct rig *g, uint32_t count, uint32_t rows)
{
	while (count-- > 0) {
		append(g, rows);
		assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
		pass(1000000);
	}
}

static uint32_t
young(struct rig *g, uint64_t *bytes)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	uint32_t n = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->files[i].tier > TN_TIER_SILVER)
			continue;
		n++;
		*bytes += s->files[i].bytes;
	}
	tn_catalog_snapshot_put(s);
	return n;
}

static int64_t
waits(struct rig *g)
{
	return tn_counter_read(g->batch->waits);
}

/* ---- room ------------------------------------------------------------- */

/* Goal: with room for a part of the files only that part becomes one, the
 * reserve is never touched, nothing fails; with room the others follow. */
static void
disk_is_small(void **state)
{
	struct rig g;
	uint64_t bytes, rest;
	uint32_t before, after;

	(void)state;
	make(&g);
	for (int i = 0; i < 7; i++)
		append(&g, 2000);
	cuts(&g, 1, 2000);
	cuts(&g, 20, 20);
	before = young(&g, &bytes);
	assert_int_equal(before, 42);
	(void)room_left();
	size = used + RESERVE + bytes / 4;
	assert_int_equal(run(&g, TN_BATCH_COMPACT), TN_OK);
	(void)__wrap_tn_os_disk_free(lake, &rest);
	assert_true(lowest >= RESERVE);
	after = young(&g, &rest);
	print_message("%u files of %llu bytes became %u of %llu, lowest %llu\n", before, (unsigned long long)bytes, after, (unsigned long long)rest, (unsigned long long)lowest);
	assert_int_equal(after, 4);      /* The large ones, and one beside each. */
	assert_true(waits(&g) > 0 && (uint64_t)waits(&g) <= bytes);
	assert_int_equal(failed_runs(&g, NULL), 0);
	/* It does not fit later either. */
	for (int i = 0; i < 5; i++) {
		pass(10 * MINUTE);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	(void)__wrap_tn_os_disk_free(lake, &rest);
	assert_true(lowest >= RESERVE);
	assert_true(young(&g, &rest) > 2);
	assert_int_equal(failed_runs(&g, NULL), 0);
	size = 1 << 30;
	pass(2 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(young(&g, &rest), 2);
	assert_int_equal(waits(&g), 0);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	undo(&g);
}

/* Goal: when the disk has no room at all, no merge begins, nothing fails, and
 * cuts go on. */
static void
disk_is_full(void **state)
{
	struct rig g;
	uint64_t bytes;
	uint32_t n;

	(void)state;
	make(&g);
	cuts(&g, 6, 30);
	size = 1;
	g.batch->o.young_files_max = 2;
	n = young(&g, &bytes);
	cuts(&g, 3, 30);
	assert_int_equal(young(&g, &bytes), n + 6);
	assert_int_equal(failed_runs(&g, NULL), 0);
	assert_true(waits(&g) > 0);
	undo(&g);
}

/* Goal: when others take the room during a merge it is given up, its file is
 * gone, and nothing is tried again before its time. */
static void
others_take_it(void **state)
{
	struct rig g;
	struct tn_arena *a = tn_arena_new(4096);
	const char **paths = NULL;
	uint64_t bytes;
	uint32_t n, count = 0, removed = 1;

	(void)state;
	make(&g);
	cuts(&g, 6, 30);
	n = young(&g, &bytes);
	taken_at = looks + 4;            /* The request, the look, two steps. */
	assert_int_equal(run(&g, TN_BATCH_COMPACT), TN_OK);
	assert_int_equal(failed_runs(&g, "compact"), 1);
	assert_int_equal(young(&g, &bytes), n);
	assert_int_equal(tn_catalog_paths(g.catalog, a, &paths, &count),
	    TN_OK);
	assert_int_equal(tn_lake_sweep(g.lake, paths, count, &removed),
	    TN_OK);
	assert_int_equal(removed, 0);
	tn_arena_free(a);
	taken_at = 0;
	assert_true(g.batch->compaction->calm_us >= mono + 9 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_COMPACT), TN_OK);
	assert_int_equal(young(&g, &bytes), 2);
	assert_int_equal(failed_runs(&g, NULL), 1);
	undo(&g);
}

/* ---- pace ------------------------------------------------------------- */

/* What may be read after ${us} in which the log grew by ${grown}. */
static int64_t
allowed(struct rig *g, int64_t us, uint64_t grown)
{
	struct tn_batch_pace p = { .ticked_us = mono,
	    .log_bytes = tn_log_bytes(g->log) - grown };

	pass(us);
	tn_batch_pace_refill(&p, g->batch, EIGHTH * 8);
	return p.allowance;
}

/* Goal: the rate, up to a second of it; a quarter of it while the log grows by
 * more than busy_rate in a second; the next moment counts by itself. */
static void
pace_of_busy(void **state)
{
	struct rig g;
	struct tn_batch_pace p = { .allowance = 0 };

	(void)state;
	make(&g);
	while (tn_log_bytes(g.log) < 200000)
		cuts(&g, 1, 2000);
	g.batch->o.busy_rate = 100000;
	assert_int_equal(allowed(&g, 125000, 0), EIGHTH);
	assert_int_equal(allowed(&g, 125000, 12000), EIGHTH);
	assert_int_equal(allowed(&g, 125000, 13000), EIGHTH / 4);
	assert_int_equal(allowed(&g, 1000000, 99000), EIGHTH * 8);
	assert_int_equal(allowed(&g, 1000000, 101000), EIGHTH * 2);
	g.batch->o.busy_rate = 200000;
	assert_int_equal(allowed(&g, 1000000, 101000), EIGHTH * 8);
	/* What was not used is kept for a second, and less when it is busy. */
	g.batch->o.busy_rate = 100000;
	p = (struct tn_batch_pace){ .ticked_us = mono, .allowance = EIGHTH * 7,
	    .log_bytes = tn_log_bytes(g.log) };
	pass(500000);
	tn_batch_pace_refill(&p, g.batch, EIGHTH * 8);
	assert_int_equal(p.allowance, EIGHTH * 8);
	p.log_bytes = tn_log_bytes(g.log) - 200000;
	pass(500000);
	tn_batch_pace_refill(&p, g.batch, EIGHTH * 8);
	assert_int_equal(p.allowance, EIGHTH * 2);
	/* A debt is paid back at the same rate. */
	p.allowance = -(int64_t)EIGHTH;
	pass(125000);
	tn_batch_pace_refill(&p, g.batch, EIGHTH * 8);
	assert_int_equal(p.allowance, 0);
	undo(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_is_small),
		cmocka_unit_test(disk_is_full),
		cmocka_unit_test(others_take_it),
		cmocka_unit_test(pace_of_busy),
	};
	const char *seed = getenv("TARN_SEED");

	setvbuf(stdout, NULL, _IONBF, 0);
	print_message("TARN_SEED=%s\n", seed != NULL ? seed : "1");
	srandom(seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

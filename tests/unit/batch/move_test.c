/* Moving to the cold folder: old partitions of bronze and silver go there
 * whole, once they are still; readers, verify and the chain of bronze go
 * through it; late rows follow; a folder that is gone or dies takes nothing
 * and stops nothing. The test owns the clocks. */
#include "test.h"

#include <errno.h>

#include "cold_help.h"

static _Atomic bool dead;                /* The cold disk. */

static int
dead_open(const char *path, int flags, int mode)
{
	return dead && strstr(path, "/cold-") != NULL &&
	    tn_os_kind(path) == TN_OS_DIR ? -EIO :
	    tn_os_real.open(path, flags, mode);
}

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts');"
    "CREATE TABLE hot (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts', cold_after = 'never');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n FROM ev GROUP BY d;";

static void
make(struct rig *g)
{
	cold_make(g, sql, "2026-03-06T13:00:00Z");
	table.open = dead_open;
}

static void
post(struct rig *g, uint32_t stream, uint32_t day)
{
	char text[200];

	(void)snprintf(text, sizeof text,
	    "{\"n\":%u,\"ts\":\"2026-03-%02uT01:00:00Z\"}\n"
	    "{\"n\":%u,\"ts\":\"2026-03-%02uT02:00:00Z\"}\n", g->rows, day,
	    g->rows + 1, day);
	g->rows += 2;
	append_text(g, stream, text);
}

/* Files of a tier of a stream, and how many of them are cold. */
static uint32_t
files_of(struct rig *g, enum tn_catalog_tier tier, uint32_t stream,
    uint32_t *moved)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, tier,
	    g->model->streams[stream].id, &first);

	*moved = 0;
	for (uint32_t i = first; i < first + n; i++)
		*moved += tn_lake_is_cold(g->lake, s->files[i].path);
	tn_catalog_snapshot_put(s);
	return n;
}

/* Goal: everything old moves, nothing else; what is said of it stays true. */
static void
old_partitions_move(void **state)
{
	struct rig g;
	uint32_t n, moved;

	(void)state;
	make(&g);
	for (uint32_t day = 1; day <= 3; day++) {
		post(&g, 0, day);
		post(&g, 1, day);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	pass(20 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(10 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 0);              /* Not 30 days old yet. */
	pass(20 * DAY);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 0);              /* Not still yet. */
	for (uint32_t i = 0; i < 8; i++) {
		pass(10 * MINUTE);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	n = files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(n, 3);
	assert_int_equal(moved, 3);
	n = files_of(&g, TN_TIER_BRONZE, 0, &moved);
	assert_int_equal(n, 1);
	assert_int_equal(moved, 1);
	(void)files_of(&g, TN_TIER_SILVER, 1, &moved);
	assert_int_equal(moved, 0);
	(void)files_of(&g, TN_TIER_BRONZE, 1, &moved);
	assert_int_equal(moved, 0);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	/* A late row goes to the lake and follows. */
	post(&g, 0, 2);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	n = files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(n, 4);
	assert_int_equal(moved, 3);
	for (uint32_t i = 0; i < 4; i++) {
		pass(10 * MINUTE);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	n = files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(n, 3);
	assert_int_equal(moved, 3);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: without its disk nothing moves and nothing fails; with it, it does. */
static void
folder_is_gone(void **state)
{
	struct rig g;
	char away[110];
	uint32_t moved;

	(void)state;
	make(&g);
	(void)snprintf(away, sizeof away, "%s.away", cold);
	post(&g, 0, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(40 * DAY);
	assert_int_equal(tn_os_rename(cold, away), TN_OK);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 0);
	assert_int_equal(tn_os_kind(cold), TN_OS_NONE);
	assert_int_equal(tn_os_rename(away, cold), TN_OK);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(2 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 1);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: while the folder is away, late rows of an old partition do not leave a
 * file each. */
static void
late_rows_wait(void **state)
{
	struct rig g;
	char away[110];
	uint32_t moved;

	(void)state;
	make(&g);
	(void)snprintf(away, sizeof away, "%s.away", cold);
	pass(40 * DAY);
	assert_int_equal(tn_os_rename(cold, away), TN_OK);
	for (uint32_t i = 0; i < 6; i++) {
		post(&g, 0, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(MINUTE);
		assert_in_range(files_of(&g, TN_TIER_SILVER, 0, &moved), 1, 2);
		assert_in_range(files_of(&g, TN_TIER_BRONZE, 0, &moved), 1, 2);
	}
	assert_int_equal(tn_os_rename(away, cold), TN_OK);
	for (uint32_t i = 0; i < 3; i++) {
		pass(10 * MINUTE);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	assert_int_equal(files_of(&g, TN_TIER_SILVER, 0, &moved), 1);
	assert_int_equal(moved, 1);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: what is to be moved does not keep new files from being merged. */
static void
new_files_first(void **state)
{
	struct rig g;
	const struct tn_catalog_snapshot *s;
	uint32_t first, n;
	uint64_t old = 0, fresh = 0;

	(void)state;
	make(&g);
	g.received_us = wall;
	post(&g, 0, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(40 * DAY);
	for (uint32_t i = 0; i < 3; i++) {
		char text[100];
		(void)snprintf(text, sizeof text,
		    "{\"n\":%u,\"ts\":\"2026-04-15T01:00:00Z\"}\n", g.rows++);
		g.received_us = wall;
		append_text(&g, 0, text);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass((i == 0 ? 2 : 10) * MINUTE);
	}
	s = tn_catalog_snapshot(g.catalog);
	n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g.model->streams[0].id, &first);
	for (uint32_t i = first; i < first + n; i++) {
		if (tn_lake_is_cold(g.lake, s->files[i].path))
			old = s->files[i].id;
		else if (s->files[i].id > fresh)
			fresh = s->files[i].id;
	}
	tn_catalog_snapshot_put(s);
	assert_in_range(n, 2, 3);
	assert_in_range(fresh, 1, old - 1);
	drop(&g);
}

/* Goal: a disk that dies amid a move stops moves, not cuts. */
static void
disk_dies(void **state)
{
	struct rig g;
	uint32_t moved;

	(void)state;
	make(&g);
	post(&g, 0, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	pass(40 * DAY);
	dead = true;
	for (uint32_t i = 0; i < 5; i++) {
		post(&g, 1, 2);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 0);
	dead = false;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 1);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* The path on disk of the silver file of that day of March. */
static void
silver_of(struct rig *g, uint32_t day, char path[static 300])
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g->model->streams[0].id, &first);
	char name[20];

	path[0] = '\0';
	(void)snprintf(name, sizeof name, "2026-03-%02u", day);
	for (uint32_t i = first; i < first + n; i++)
		if (strcmp(s->files[i].partition, name) == 0)
			(void)snprintf(path, 300, "%s/lake/%s", g->dir,
			    s->files[i].path);
	assert_true(path[0] != '\0');
	tn_catalog_snapshot_put(s);
}

/* Goal: a damaged file stays where it is, told as a run and a number; all others
 * move, and it is tried again after hours, or when it is asked for. */
static void
damaged_file(void **state)
{
	struct rig g;
	char path[300];
	struct tn_buf was = { 0 };
	uint32_t moved;

	(void)state;
	make(&g);
	for (uint32_t day = 1; day <= 3; day++)
		post(&g, 0, day);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	silver_of(&g, 1, path);
	assert_int_equal(tn_os_read_file(path, &was, 1 << 20), TN_OK);
	assert_int_equal(tn_os_write_file(path, "no parquet", 10, 0640),
	    TN_OK);
	pass(40 * DAY);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	assert_int_equal(files_of(&g, TN_TIER_SILVER, 0, &moved), 3);
	assert_int_equal(moved, 2);
	assert_int_equal(failed_runs(&g, "move"), 1);
	assert_int_equal(tn_counter_read(g.batch->skipped), 1);
	/* Not before hours have gone by ... */
	pass(300 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(failed_runs(&g, "move"), 1);
	pass(60 * MINUTE);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(failed_runs(&g, "move"), 2);
	/* ... but when a person asks. */
	assert_int_equal(tn_os_write_file(path, was.p, was.n, 0640), TN_OK);
	tn_buf_fini(&was);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 2);
	tn_batch_skip_none(g.batch->compaction);
	for (uint32_t i = 0; i < 2; i++) {
		post(&g, 1, 2);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	(void)files_of(&g, TN_TIER_SILVER, 0, &moved);
	assert_int_equal(moved, 3);
	assert_int_equal(tn_counter_read(g.batch->skipped), 0);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

static char stuck[300];

static int
bad_unlink(const char *path)
{
	return strcmp(path, stuck) == 0 ? -EIO : tn_os_real.unlink(path);
}

/* Goal: an old file that cannot be removed keeps no other one, is told, and goes
 * when it can. */
static void
stuck_file(void **state)
{
	struct rig g;
	char path[300];

	(void)state;
	make(&g);
	table.unlink = bad_unlink;
	for (uint32_t day = 1; day <= 3; day++)
		post(&g, 0, day);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	silver_of(&g, 1, stuck);
	silver_of(&g, 3, path);
	pass(40 * DAY);
	for (uint32_t i = 0; i < 8; i++) {
		post(&g, 1, 2);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		pass(10 * MINUTE);
	}
	assert_int_equal(tn_os_kind(stuck), TN_OS_FILE);
	assert_int_equal(tn_os_kind(path), TN_OS_NONE);
	assert_int_equal(tn_counter_read(g.batch->left), 1);
	(void)snprintf(path, sizeof path, "%s", stuck);
	stuck[0] = '\0';
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(tn_os_kind(path), TN_OS_NONE);
	assert_int_equal(tn_counter_read(g.batch->left), 0);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_partitions_move),
		cmocka_unit_test(folder_is_gone),
		cmocka_unit_test(late_rows_wait),
		cmocka_unit_test(new_files_first),
		cmocka_unit_test(disk_dies),
		cmocka_unit_test(damaged_file),
		cmocka_unit_test(stuck_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which quarantined rows were taken since: found in files of bronze, and never
 * more of them held than the memory budget grants. */
#include "test.h"

#include <unistd.h>

#include "serving/serving_int.h"

#define ROWS 100000
#define MIB ((size_t)1 << 20)

struct rig {
	char dir[64];
	struct tn_lake *lake;
	struct tn_catalog_file file;
	struct tn_budget_share held;
	size_t most;                 /* That was granted. */
	uint32_t asked;
	struct tn_diag d;
};

/* As a request asks (request.c). */
static enum tn_status
room(void *arg, size_t bytes)
{
	struct rig *g = arg;

	g->asked++;
	if (!tn_budget_try(&g->held, bytes))
		return tn_budget_refuse(&g->d);
	g->most = bytes > g->most ? bytes : g->most;
	return TN_OK;
}

/* A file of which each row was in the quarantine before, at 7, 8, ... */
static void
write_file(struct rig *g)
{
	static const uint8_t raw[ROWS];
	static uint32_t lengths[ROWS], lines[ROWS];
	struct tn_log_block b = { .lsn = 5, .rows = ROWS,
	    .source = tn_slice_of(TN_GOVERNANCE_AGAIN "7"),
	    .spec = tn_slice_of("format=json"), .raw = { raw, ROWS },
	    .lengths = lengths, .lines = lines };
	struct tn_parquet_write_opts p = { .zstd_level = 1 };
	struct tn_lake_write w = { .tier = "bronze", .table = "t",
	    .partition = "", .label = "f", .time_column = -1, .parquet = &p };
	struct tn_lake_file out = { .rows = 0 };
	struct tn_batch *batch;

	for (uint32_t i = 0; i < ROWS; i++) {
		lengths[i] = 1;
		lines[i] = i;
	}
	batch = tn_governance_bronze_of(&b);
	assert_non_null(batch);
	assert_int_equal(tn_lake_put(g->lake, &w, &batch, 1, &out), TN_OK);
	tn_record_batch_unref(batch);
	g->file = (struct tn_catalog_file){ .bytes = out.bytes,
	    .rows = out.rows, .lsn_min = 5, .lsn_max = 5 };
	strcpy(g->file.path, out.path);
}

static int
start(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	char path[100];

	*state = g;
	strcpy(g->dir, "/tmp/tarn-taken-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	(void)snprintf(path, sizeof path, "%s/lake", g->dir);
	assert_int_equal(tn_lake_open(&g->lake, path, &g->d), TN_OK);
	g->held.class = TN_BUDGET_QUERIES;
	write_file(g);
	return 0;
}

static int
stop(void **state)
{
	struct rig *g = *state;
	char command[100];

	tn_budget_setup(0);
	tn_lake_close(g->lake);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
	tn_free(g);
	return 0;
}

/* Looks through the file below a cap of ${mib}. */
static enum tn_status
look(struct rig *g, struct tn_serving_taken *t, size_t mib)
{
	enum tn_status st;

	tn_budget_setup(mib * MIB);
	g->asked = 0;
	g->most = 0;
	memset(&g->d, 0, sizeof g->d);
	*t = (struct tn_serving_taken){ .room = room, .arg = g };
	st = tn_serving_taken_look(t, g->lake, &g->file, 1, 0, &g->d);
	tn_budget_set(&g->held, 0);
	return st;
}

/* Goal: all rows of the file are known, and all that is held was granted, the
 * offsets and what is read. */
static void
all_found(void **state)
{
	struct rig *g = *state;
	struct tn_serving_taken t;

	assert_int_equal(look(g, &t, 64), TN_OK);
	assert_int_equal(t.count, ROWS);
	assert_false(tn_serving_taken_has(&t, 6));
	assert_true(tn_serving_taken_has(&t, 7));
	assert_true(tn_serving_taken_has(&t, 6 + ROWS));
	assert_false(tn_serving_taken_has(&t, 7 + ROWS));
	assert_true(g->most >= ROWS * sizeof *t.offsets +
	    tn_serving_read_bytes(&g->file));
	assert_true(tn_serving_taken_bytes(&t) >= ROWS * sizeof *t.offsets);
	/* A second look reads nothing, so asks nothing. */
	g->asked = 0;
	assert_int_equal(tn_serving_taken_look(&t, g->lake, &g->file, 1, 0,
	    &g->d), TN_OK);
	assert_int_equal(g->asked, 0);
	tn_serving_taken_fini(&t);
}

/* Goal: where the offsets have no room they are not held, and the refusal is
 * the budget's. */
static void
offsets_refused(void **state)
{
	struct rig *g = *state;
	struct tn_serving_taken t;

	assert_true(tn_serving_read_bytes(&g->file) < MIB / 2);
	assert_int_equal(look(g, &t, 1), TN_EFULL);
	assert_string_equal(g->d.code, "memory_full");
	assert_true(g->d.hint[0] != '\0');
	assert_true(t.count > 0 && t.count < ROWS);
	assert_true(t.cap * sizeof *t.offsets < MIB);
	tn_serving_taken_fini(&t);
}

/* Goal: a file for which there is no room is not read at all. */
static void
file_refused(void **state)
{
	struct rig *g = *state;
	struct tn_catalog_file whole = g->file;
	struct tn_serving_taken t;

	/* As if it were large; that it is not there would be told. */
	g->file.bytes = 100 * MIB;
	strcpy(g->file.path, "bronze/t/none.parquet");
	assert_int_equal(look(g, &t, 64), TN_EFULL);
	assert_string_equal(g->d.code, "memory_full");
	assert_int_equal(g->asked, 1);
	assert_int_equal(t.count, 0);
	tn_serving_taken_fini(&t);
	g->file = whole;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_found),
		cmocka_unit_test(offsets_refused),
		cmocka_unit_test(file_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

/* wrap: tn_catalog_publish tn_lake_sync tn_catalog_run_begin tn_lake_keys_put tn_lake_put tn_lake_put_days */
/* Cuts whose parts fail: what is left on disk, what the catalog says, what
 * speed is told, and that the next cut takes everything. Blocks are appended
 * to the log by hand; the speed layer is one that only counts. The disk's own
 * failures, call by call, are in tests/unit/app/engine_faults_test.c. */
#include "test.h"

#include "batch_help.h"
#include "quiet.h"

/* ---- parts that fail ------------------------------------------------- */

enum part { PUBLISH, SYNC, RUN, KEYS, PUT, DAYS, PARTS };
static struct {
	enum tn_status fail[PARTS];
	bool after;              /* Publish fails once it is done. */
	uint32_t skip;           /* So many calls succeed before. */
} fault;

static enum tn_status
fails_now(enum part part)
{
	if (fault.fail[part] == TN_OK)
		return TN_OK;
	if (fault.skip > 0) {
		fault.skip--;
		return TN_OK;
	}
	return fault.fail[part];
}

#define WRAP(part, name, params, args) \
	enum tn_status __real_##name params; \
	enum tn_status __wrap_##name params; \
	enum tn_status __wrap_##name params \
	{ \
		enum tn_status st = fails_now(part), done = TN_OK; \
		if (st == TN_OK || fault.after) \
			done = __real_##name args; \
		return st != TN_OK ? st : done; \
	}
WRAP(PUBLISH, tn_catalog_publish, (struct tn_catalog *c,
    struct tn_catalog_publication *p), (c, p))
WRAP(SYNC, tn_lake_sync, (struct tn_lake *l, bool cold), (l, cold))
WRAP(RUN, tn_catalog_run_begin, (struct tn_catalog *c,
    const struct tn_catalog_run *r, uint64_t *id), (c, r, id))
WRAP(KEYS, tn_lake_keys_put, (struct tn_lake *l, const char *table,
    const char *label, struct tn_hash128 *keys, uint64_t count,
    struct tn_lake_file *out), (l, table, label, keys, count, out))
WRAP(PUT, tn_lake_put, (struct tn_lake *l, const struct tn_lake_write *w,
    struct tn_batch *const *b, uint32_t n, struct tn_lake_file *out),
    (l, w, b, n, out))
WRAP(DAYS, tn_lake_put_days, (struct tn_lake *l,
    const struct tn_lake_write *w, struct tn_batch *const *b, uint32_t n,
    struct tn_lake_files *out), (l, w, b, n, out))

/* ---- events and answers ------------------------------------------------ */

/* A block of ${rows} fresh events on three days. */
static void
append(struct rig *g, uint32_t rows)
{
	struct tn_buf text = { 0 };

	for (uint32_t i = 0; i < rows; i++)
		tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-0%uT00:00:"
		    "00Z\"}\n", g->rows++, i % 3 + 1);
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
}

static void
make(struct rig *g)
{
	memset(&fault, 0, sizeof fault);
	rig_make(g, days_sql);
}

/* ---- what is there --------------------------------------------------- */

static uint32_t
files_under(const char *dir)
{
	char **names = NULL;
	size_t count = 0;
	uint32_t n = 0;

	assert_int_equal(tn_os_list(dir, &names, &count), TN_OK);
	for (size_t i = 0; i < count; i++) {
		char path[300];
		(void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		n += tn_os_kind(path) == TN_OS_DIR ? files_under(path) : 1;
		tn_free(names[i]);
	}
	tn_free(names);
	return n;
}

static uint32_t
lake_files(struct rig *g)
{
	char path[100];

	(void)snprintf(path, sizeof path, "%s/lake", g->dir);
	return files_under(path);
}

static uint64_t
silver_rows(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint64_t rows = 0;
	char path[300];

	for (uint32_t i = 0; i < s->count; i++) {
		(void)snprintf(path, sizeof path, "%s/lake/%s", g->dir,
		    s->files[i].path);
		assert_int_equal(tn_os_kind(path), TN_OS_FILE);
		if (s->files[i].tier == TN_TIER_SILVER)
			rows += s->files[i].rows;
	}
	tn_catalog_snapshot_put(s);
	return rows;
}

static enum tn_catalog_run_state
last_run(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run *r = NULL;
	uint32_t n = 0;
	enum tn_catalog_run_state s;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 1, a, &r, &n), TN_OK);
	assert_int_equal(n, 1);
	s = r[0].state;
	tn_arena_free(a);
	return s;
}

/* ---- tests ----------------------------------------------------------- */

/* Goal: whichever part of a cut fails, its files are gone, the old cut is in
 * force, speed has its tails back, the run is told as failed, and the next cut
 * takes all. */
static void
test_parts(void **state)
{
	struct rig g;

	(void)state;
	for (int part = 0; part < PARTS; part++) {
		uint32_t files;
		make(&g);
		append(&g, 10);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_int_equal(silver_rows(&g), 10);
		append(&g, 7);
		files = lake_files(&g);
		fault.fail[part] = part % 2 ? TN_EIO : TN_ENOSPC;
		assert_int_equal(run(&g, TN_BATCH_CUT), fault.fail[part]);
		assert_int_equal(lake_files(&g), files);
		assert_int_equal(silver_rows(&g), 10);
		assert_int_equal(g.unseals, 1);
		assert_int_equal(g.publications, 1);
		assert_int_equal(g.told, 1);
		if (part != RUN)
			assert_int_equal(last_run(&g), TN_RUN_FAILED);
		fault.fail[part] = TN_OK;
		append(&g, 3);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_int_equal(silver_rows(&g), 20);
		assert_int_equal(last_run(&g), TN_RUN_DONE);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		rig_drop(&g);
	}
}

/* Goal: when the catalog cannot tell whether it committed, the files stay:
 * should the next start find the commit, its files are there. */
static void
test_doubt(void **state)
{
	struct rig g;

	(void)state;
	for (int done = 0; done < 2; done++) {
		const char **paths = NULL;
		uint32_t count = 0, removed = 0, before;
		struct tn_arena *a = tn_arena_new(4096);
		make(&g);
		append(&g, 10);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		append(&g, 10);
		before = lake_files(&g);
		fault.fail[PUBLISH] = TN_ECLOSED;
		fault.after = done;
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_ECLOSED);
		assert_true(lake_files(&g) > before);
		rig_close(&g);
		memset(&fault, 0, sizeof fault);
		rig_open(&g);
		assert_int_equal(tn_catalog_paths(g.catalog, a, &paths,
		    &count), TN_OK);
		assert_int_equal(tn_lake_sweep(g.lake, paths, count,
		    &removed), TN_OK);
		assert_true(done ? removed == 0 : removed > 0);
		assert_int_equal(silver_rows(&g), done ? 20 : 10);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_int_equal(silver_rows(&g), 20);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		tn_arena_free(a);
		rig_drop(&g);
	}
}

/* Goal: a compaction that fails at publishing leaves the young files, no file
 * of its own and no run that seems to go on; a later one does it. */
static void
test_compaction(void **state)
{
	struct rig g;
	const struct tn_catalog_snapshot *snap;
	uint32_t before;

	(void)state;
	make(&g);
	for (int i = 0; i < 2; i++) {
		append(&g, 9);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	/* The third one makes it more than young_files_max. */
	append(&g, 9);
	fault.fail[PUBLISH] = TN_EIO;
	fault.skip = 1;
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	fault.fail[PUBLISH] = TN_OK;
	assert_int_equal(silver_rows(&g), 27);
	assert_int_equal(last_run(&g), TN_RUN_FAILED);
	snap = tn_catalog_snapshot(g.catalog);
	before = snap->count;
	tn_catalog_snapshot_put(snap);
	assert_true(lake_files(&g) >= before);
	append(&g, 9);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(silver_rows(&g), 36);
	assert_int_equal(last_run(&g), TN_RUN_DONE);
	snap = tn_catalog_snapshot(g.catalog);
	assert_true(snap->count < before);
	tn_catalog_snapshot_put(snap);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	rig_drop(&g);
}

/* Goal: the queue is bounded, and a timed cut is not queued twice. */
static void
test_queue(void **state)
{
	struct rig g;
	struct tn_batch_request q = { .kind = TN_BATCH_VERIFY,
	    .reason = "request" };
	enum tn_status st = TN_OK;
	uint32_t posted = 0;

	(void)state;
	make(&g);
	append(&g, 50);
	while (st == TN_OK && posted < 100000) {
		st = tn_batch_post(g.batch, &q);
		posted += st == TN_OK;
	}
	assert_int_equal(st, TN_EFULL);
	q.kind = TN_BATCH_CUT;
	q.reason = "timer";
	st = tn_batch_post(g.batch, &q);
	assert_true(st == TN_OK || st == TN_EFULL);
	rig_drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_queue),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

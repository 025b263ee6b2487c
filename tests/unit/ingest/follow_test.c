/* wrap: tn_lake_keys_open */
/* Key files over publications: which are opened, which stay open, and that
 * their keys are known all the time. The test publishes by hand. */
#include "test.h"

#include <unistd.h>

#include "ingest/ingest_int.h"

static uint32_t opened;
static bool fail_open;

enum tn_status __real_tn_lake_keys_open(struct tn_lake *lake,
    const char *path, struct tn_lake_keys **keys, struct tn_diag *d);
enum tn_status __wrap_tn_lake_keys_open(struct tn_lake *lake,
    const char *path, struct tn_lake_keys **keys, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_keys_open(struct tn_lake *lake, const char *path,
    struct tn_lake_keys **keys, struct tn_diag *d)
{
	opened++;
	if (fail_open)
		return TN_EIO;
	return __real_tn_lake_keys_open(lake, path, keys, d);
}

struct rig {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_ingest *ingest;
	uint64_t files[8];           /* Ids, by what publish got. */
};

static size_t
no_backlog(void *arg)
{
	(void)arg;
	return 0;
}

static void
rig_make(struct rig *g)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(
	    "CREATE TABLE keyed (n int8 PRIMARY KEY, t text);") };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char path[100];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20 };
	struct tn_ingest_opts io = { .decoders = 1, .backlog = no_backlog };

	memset(g, 0, sizeof *g);
	opened = 0;
	fail_open = false;
	strcpy(g->dir, "/tmp/tarn-follow-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(tn_sql_load(&p, &source, 1, &d), TN_OK);
	(void)snprintf(path, sizeof path, "%s/catalog.db", g->dir);
	assert_int_equal(tn_catalog_open(&g->catalog, path, &d), TN_OK);
	(void)snprintf(path, sizeof path, "%s/lake", g->dir);
	assert_int_equal(tn_lake_open(&g->lake, path, &d), TN_OK);
	(void)snprintf(path, sizeof path, "%s/log", g->dir);
	assert_int_equal(tn_log_open(&g->log, &lo, &d), TN_OK);
	assert_int_equal(tn_serving_model_new(&g->model, p, g->catalog, &d),
	    TN_OK);
	g->loop = tn_net_loop_new();
	io.loop = g->loop;
	io.model = g->model;
	io.catalog = g->catalog;
	io.lake = g->lake;
	io.log = g->log;
	g->ingest = tn_ingest_new(&io);
}

static void
rig_drop(struct rig *g)
{
	char command[100];

	tn_ingest_stop(g->ingest);
	tn_net_loop_settle(g->loop);
	tn_ingest_free(g->ingest);
	tn_net_loop_free(g->loop);
	tn_serving_model_free(g->model);
	tn_log_close(g->log);
	tn_lake_close(g->lake);
	tn_catalog_close(g->catalog);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
}

static struct tn_hash128
key_of(uint64_t n)
{
	return (struct tn_hash128){ n, n };
}

/* A cut with one more key file, of key ${n}; ${drop} leaves another. */
static void
publish(struct rig *g, uint32_t n, uint64_t drop)
{
	struct tn_hash128 key = key_of(n);
	struct tn_lake_file f;
	struct tn_catalog_file x;
	struct tn_catalog_publication p = { .lsn = n, .now_us = n, .add = &x,
	    .add_count = 1, .drop = &drop, .drop_count = drop != 0 };
	char label[24];

	memset(&x, 0, sizeof x);
	(void)snprintf(label, sizeof label, "k%u", n);
	assert_int_equal(tn_lake_keys_put(g->lake, "keyed", label, &key, 1,
	    &f), TN_OK);
	x.tier = TN_TIER_KEYS;
	x.object = g->model->streams[0].id;
	x.version = 1;
	memcpy(x.path, f.path, sizeof x.path);
	strcpy(x.partition, "2026-03-01");
	x.lsn_min = x.lsn_max = n;
	assert_int_equal(tn_catalog_publish(g->catalog, &p), TN_OK);
	g->files[n] = x.id;
}

static enum tn_status
tell(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_ingest_published(g->ingest, s, &d);

	tn_ingest_flush(g->ingest);
	tn_catalog_snapshot_put(s);
	return st;
}

static bool
is_known(struct rig *g, uint64_t n)
{
	struct tn_hash128 key = key_of(n);
	bool fresh = false;

	assert_int_equal(tn_ingest_keyset_add(g->ingest->keys[0], key, 100,
	    &fresh), TN_OK);
	if (fresh)
		tn_ingest_keyset_undo(g->ingest->keys[0], &key, 1);
	return !fresh;
}

/* Goal: a publication opens the files that are new in it and no other; what
 * it drops is closed and not known any more; a file that cannot be opened
 * leaves all that was. */
static void
files_stay_open(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	publish(&g, 1, 0);
	publish(&g, 2, 0);
	assert_int_equal(tell(&g), TN_OK);
	assert_int_equal(opened, 2);
	for (uint32_t n = 3; n < 6; n++) {
		publish(&g, n, 0);
		assert_int_equal(tell(&g), TN_OK);
		assert_int_equal(opened, n);
		for (uint32_t k = 1; k < 8; k++)
			assert_int_equal(is_known(&g, k), k <= n);
	}
	assert_int_equal(tell(&g), TN_OK);       /* Nothing new. */
	assert_int_equal(opened, 5);
	publish(&g, 6, g.files[2]);
	fail_open = true;
	assert_int_equal(tell(&g), TN_EIO);
	assert_true(is_known(&g, 2) && !is_known(&g, 6));
	fail_open = false;
	opened = 0;
	assert_int_equal(tell(&g), TN_OK);
	assert_int_equal(opened, 1);
	assert_true(is_known(&g, 1) && !is_known(&g, 2) && is_known(&g, 6));
	rig_drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_stay_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

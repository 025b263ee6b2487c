/* What the tests of batch share: the rooms below it with a speed layer that
 * only counts, blocks appended to the log by hand, runs. */
#ifndef TN_BATCH_HELP_H
#define TN_BATCH_HELP_H

#include <unistd.h>

#include "batch/batch_int.h"
#include "os/os.h"

#define UNUSED __attribute__((unused))
#define ROWS_MAX 3000        /* Of a block. */

/* ---- the rooms below ------------------------------------------------- */

UNUSED static const char days_sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n FROM ev GROUP BY d;";

struct rig {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_serving *serving;
	struct tn_batch_jobs *batch;
	uint32_t seals, unseals, publications, told;
	uint32_t rows;
	const char *sql;
	uint32_t corrections_max;
	struct tn_exec_ref *ref;     /* Given to who seals; NULL: none. */
	const char *ref_name;
	int64_t received_us;         /* Of blocks; 0: one moment. */
	int64_t keep_us;             /* Of snapshots; 0: next to nothing. */
};

static void
seal(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	struct rig *g = speed;

	g->seals++;
	*lsn = tn_log_last(g->log);
	memset(refs, 0, sizeof *refs);
	refs->refs = tn_zalloc(sizeof *refs->refs);
	refs->names = tn_zalloc(sizeof *refs->names);
	if (g->ref == NULL)
		return;
	refs->refs[0] = tn_exec_ref_freeze(g->ref);
	refs->names[0] = g->ref_name;
	refs->count = 1;
}

static void
unseal(void *speed)
{
	((struct rig *)speed)->unseals++;
}

static void
published(void *speed)
{
	((struct rig *)speed)->publications++;
}

static void
told(void *arg, uint64_t lsn)
{
	struct rig *g = arg;

	assert_int_equal(lsn, tn_log_last(g->log));
	g->told++;
}

static void
no_tail(void *speed, struct tn_serving_ask *ask)
{
	(void)speed;
	ask->base = NULL;
	ask->done(ask);
}

static void
rig_open(struct rig *g)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(g->sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char path[100];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20 };
	struct tn_serving_opts so = { .speed = { no_tail, g } };
	struct tn_batch_opts bo = { .speed = { .seal = seal,
	    .unseal = unseal, .published = published, .speed = g },
	    .published = told, .arg = g, .young_files_max = 2,
	    .garbage_us = g->keep_us > 0 ? g->keep_us : 1, .corrections_max = g->corrections_max };

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
	g->pool = tn_net_pool_new("query", 1, 16);
	so.loop = g->loop;
	so.pool = bo.pool = g->pool;
	so.model = bo.model = g->model;
	so.catalog = bo.catalog = g->catalog;
	so.lake = bo.lake = g->lake;
	so.log = bo.log = g->log;
	g->serving = bo.serving = tn_serving_new(&so);
	g->batch = tn_batch_new(&bo);
}

static void
rig_close(struct rig *g)
{
	tn_batch_free(g->batch);
	tn_net_pool_free(g->pool);
	tn_net_loop_settle(g->loop);
	tn_serving_free(g->serving);
	tn_net_loop_free(g->loop);
	tn_serving_model_free(g->model);
	tn_log_close(g->log);
	tn_lake_close(g->lake);
	tn_catalog_close(g->catalog);
}

static void
rig_make(struct rig *g, const char *sql)
{
	memset(g, 0, sizeof *g);
	g->sql = sql;
	strcpy(g->dir, "/tmp/tarn-batch-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	rig_open(g);
}

static void
rig_drop(struct rig *g)
{
	char command[100];

	rig_close(g);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
}

/* A block of NDJSON rows: one a line, the last line ends too. */
static void
append_text(struct rig *g, uint32_t stream, const char *text)
{
	struct tn_buf raw = { 0 }, spec = { 0 };
	uint32_t lengths[ROWS_MAX], lines[ROWS_MAX];
	struct tn_codec_spec s;
	struct tn_log_block b = { .version = 1,
	    .received_us = g->received_us != 0 ? g->received_us :
	    INT64_C(1772800000000000),
	    .source = tn_slice_of("test"), .lengths = lengths,
	    .lines = lines };

	for (const char *p = text; *p != '\0'; p += strcspn(p, "\n") + 1) {
		assert_true(b.rows < ROWS_MAX);
		lengths[b.rows] = (uint32_t)strcspn(p, "\n");
		tn_buf_add(&raw, p, lengths[b.rows]);
		b.rows++;
		lines[b.rows - 1] = b.rows;
	}
	tn_codec_spec_init(&s, TN_CODEC_NDJSON);
	tn_codec_spec_text(&s, &spec);
	b.stream = g->model->streams[stream].id;
	b.raw = (struct tn_slice){ raw.p, raw.n };
	b.spec = (struct tn_slice){ spec.p, spec.n };
	assert_int_equal(tn_log_append(g->log, &b, 1, NULL, 0), TN_OK);
	tn_buf_fini(&raw);
	tn_buf_fini(&spec);
	tn_codec_spec_fini(&s);
}

static enum tn_status
run(struct rig *g, enum tn_batch_kind kind)
{
	struct tn_batch_request q = { .kind = kind, .reason = "request" };
	struct tn_batch_report r;
	enum tn_status st;

	memset(&r, 0, sizeof r);
	st = tn_batch_run(g->batch, &q, &r);
	assert_int_equal(st, r.status);
	if (st != TN_OK)
		assert_true(r.diag.message[0] != '\0');
	if (r.differences > 0)
		print_message("%s", tn_buf_cstr(&r.text));
	tn_buf_fini(&r.text);
	return st;
}

#endif

/* wrap: tn_lake_read tn_lake_merge_next tn_catalog_publish tn_batch_work_at */
/* Jobs in steps where a cut is due whenever a step ends, and takes longer than
 * many pieces of the job: they have as long as they stood in line, so they end,
 * after few cuts. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock_help.h"

#define FILES 96                     /* Each of a row; six slices. */
#define CUT_US 1500000
#define BRONZE_US 50000              /* A file. */
#define SILVER_US 5000
#define CUTS_MAX 40                  /* Or it might never end. */

#define EV "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL"
#define WITH ") WITH (event_time = 'ts');" \
	"CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d," \
	" count(*) AS n FROM ev GROUP BY d;"

static struct rig *_Atomic busy;     /* While the job runs. */
static int pieces;

static void
row(struct rig *g)
{
	char text[100];

	(void)snprintf(text, sizeof text, "{\"n\":%u,\"ts\":\"2026-03-01T0%u:"
	    "00:00Z\"}\n", g->rows, g->rows % 10);
	g->rows++;
	append_text(g, 0, text);
}

/* After each piece: a row, and the time of a cut. */
void __real_tn_batch_work_at(struct tn_batch_jobs *b, uint64_t done);
void __wrap_tn_batch_work_at(struct tn_batch_jobs *b, uint64_t done);
void
__wrap_tn_batch_work_at(struct tn_batch_jobs *b, uint64_t done)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = "timer" };

	__real_tn_batch_work_at(b, done);
	pieces++;
	if (busy->publications >= FILES + CUTS_MAX)
		return;
	row(busy);
	assert_int_equal(tn_batch_post(b, &q), TN_OK);
}

enum tn_status __real_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status __wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status
__wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p)
{
	pass(CUT_US);
	return __real_tn_catalog_publish(c, p);
}

enum tn_status __real_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status __wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d)
{
	if (busy != NULL)
		pass(BRONZE_US);
	return __real_tn_lake_merge_next(m, out, d);
}

/* Of the pool's threads, those of silver; a cut reads none here. */
enum tn_status __real_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);
enum tn_status __wrap_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_read(struct tn_lake *l, const struct tn_lake_read *r,
    struct tn_diag *d)
{
	if (busy != NULL && strncmp(r->path, "silver/", 7) == 0)
		pass(SILVER_US);
	return __real_tn_lake_read(l, r, d);
}

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void
make(struct rig *g)
{
	clock_begin(INT64_C(1772800000000000));
	table.sync = no_sync;
	rig_make(g, EV WITH);
	g->batch->o.young_files_max = 1000;
	for (uint32_t i = 0; i < FILES; i++) {
		row(g);
		assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	}
	busy = g;
	pieces = 0;
}

/* Those that were taken, once the one that was posted last was. */
static uint32_t
cuts(struct rig *g, uint32_t before)
{
	busy = NULL;
	assert_int_equal(run(g, TN_BATCH_VERIFY), TN_OK);
	return g->publications - before;
}

/* Goal: a view is made anew in some steps. */
static void
test_recompute(void **state)
{
	struct rig g;
	uint32_t before;

	(void)state;
	make(&g);
	before = g.publications;
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	assert_true(pieces >= FILES / 16);
	/* The first step is one slice, the second the others; their cuts, and
	 * what it publishes itself. */
	assert_in_range(cuts(&g, before), 2, 4);
	drop(&g);
}

/* Goal: silver of a definition to come is made in some steps. */
static void
test_prepare(void **state)
{
	struct tn_sql_source source = { "new.sql", tn_slice_of(EV ", twice "
	    "int8 GENERATED ALWAYS AS (n * 2) STORED" WITH) };
	struct tn_governance_stream s = { .id = 0 };
	struct tn_batch_prepare prepare = { &s, 1 };
	struct tn_batch_request q = { .kind = TN_BATCH_PREPARE,
	    .reason = "request", .prepare = &prepare };
	struct tn_sql_pipeline *p = NULL;
	struct tn_batch_report r;
	struct tn_catalog_object o;
	struct rig g;
	uint32_t before;

	(void)state;
	make(&g);
	assert_int_equal(tn_sql_load(&p, &source, 1, NULL), TN_OK);
	s.table = p->tables[0];
	assert_int_equal(tn_catalog_foresee(g.catalog, TN_CATALOG_STREAM, "ev",
	    s.table->definition, &o), TN_OK);
	s.id = o.id;
	s.version = o.version;
	s.silver = tn_serving_silver_schema(s.table);
	before = g.publications;
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	assert_true(pieces >= FILES);
	/* A cut takes as long as 30 of them. */
	assert_in_range(cuts(&g, before), 2, pieces / 15);
	tn_free((void *)s.silver);
	tn_sql_pipeline_free(p);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recompute),
		cmocka_unit_test(test_prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: tn_serving_view_find */
/* Answers and their cache before a speed layer that the test plays: when it is
 * asked again and when not, and what is said when it has stopped. The loop
 * runs on the main thread, a driver thread asks. */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "serving/serving_int.h"

static const char sql[] =
    "CREATE TABLE ev (g text NOT NULL, n int8 NOT NULL);"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM ev;"
    "CREATE MATERIALIZED VIEW groups AS SELECT g, count(*) AS n FROM ev"
    " GROUP BY g;";

struct rig {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_serving *serving;
	pthread_t driver;
	uint64_t last;               /* Of the speed layer. Atomic. */
	uint32_t asks;               /* Atomic. */
	bool stopped;
	bool swaps;                  /* With the next look for a view. */
	struct tn_sql_pipeline *other;   /* To that one. */
	struct tn_serving_live *live;
	struct tn_net_latch *done;
	struct tn_net_latch *patched;    /* Opened when a patch is asked for, */
	int patch_view;                  /* of that view. */
};

/* The speed layer: nothing is folded; it only says how far it is. */
static void
play_speed(void *speed, struct tn_serving_ask *ask)
{
	struct rig *g = speed;

	__atomic_add_fetch(&g->asks, 1, __ATOMIC_SEQ_CST);
	memset(&ask->refs, 0, sizeof ask->refs);
	ask->base = NULL;
	ask->fold = NULL;
	ask->touched = NULL;
	ask->lost = ask->changed_only;
	if (ask->changed_only && g->patched != NULL) {
		struct tn_net_latch *latch = g->patched;
		g->patched = NULL;
		g->patch_view = ask->view;
		tn_net_latch_open(latch);
	}
	if (!g->stopped) {
		ask->base = tn_catalog_snapshot(g->catalog);
		ask->last = __atomic_load_n(&g->last, __ATOMIC_SEQ_CST);
		ask->refs.refs = tn_zalloc(sizeof *ask->refs.refs);
		ask->refs.names = tn_zalloc(sizeof *ask->refs.names);
		if (ask->changed_only)
			ask->touched = tn_exec_fold_new(
			    g->model->views[ask->view].program);
		if (ask->want_fold && ask->view >= 0)
			ask->fold = tn_exec_fold_new(
			    g->model->views[ask->view].program);
	}
	ask->done(ask);
}

static void
rig_open(struct rig *g)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	struct tn_serving_opts o = { .speed = { play_speed, g } };
	char path[100];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20 };

	memset(g, 0, sizeof *g);
	strcpy(g->dir, "/tmp/tarn-serving-XXXXXX");
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
	g->pool = tn_net_pool_new("query", 2, 64);
	o.loop = g->loop;
	o.pool = g->pool;
	o.model = g->model;
	o.catalog = g->catalog;
	o.lake = g->lake;
	o.log = g->log;
	g->serving = tn_serving_new(&o);
}

static void
rig_close(struct rig *g)
{
	char command[100];

	tn_net_pool_free(g->pool);
	tn_net_loop_settle(g->loop);
	tn_serving_free(g->serving);
	tn_net_loop_free(g->loop);
	tn_serving_model_free(g->model);
	tn_log_close(g->log);
	tn_lake_close(g->lake);
	tn_catalog_close(g->catalog);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
}

struct call {
	struct tn_net_job job;
	struct rig *g;
	struct tn_net_latch *over;
	struct tn_serving_view_request r;
	struct tn_serving_answer *answer;
};

static void
answered(void *arg, struct tn_serving_answer *a)
{
	struct call *c = arg;

	c->answer = a;
	tn_net_latch_open(c->over);
}

static void
run_call(struct tn_net_job *job)
{
	struct call *c = (struct call *)job;

	tn_serving_view_get(c->g->serving, &c->r, answered, c);
}

/* The status; the body is compared when ${want} is not NULL. How often speed
 * was asked for it in ${asks}. */
static enum tn_status
get(struct rig *g, const char *view, uint32_t limit, const char *want,
    uint32_t *asks)
{
	struct call c = { .g = g, .r = { .view = tn_slice_of(view),
	    .format = TN_FORMAT_CSV, .limit = limit } };
	uint32_t before = __atomic_load_n(&g->asks, __ATOMIC_SEQ_CST);
	enum tn_status st;

	c.job.run = run_call;
	c.over = tn_net_latch_new();
	tn_net_loop_post(g->loop, &c.job);
	tn_net_latch_wait(c.over);
	tn_net_latch_free(c.over);
	st = c.answer->status;
	if (want != NULL) {
		assert_int_equal(st, TN_OK);
		assert_string_equal(tn_buf_cstr(&c.answer->body), want);
		assert_int_equal(c.answer->lsn, g->last);
	} else if (st != TN_OK) {
		assert_true(c.answer->diag.message[0] != '\0');
	}
	tn_serving_answer_unref(c.answer);
	*asks = __atomic_load_n(&g->asks, __ATOMIC_SEQ_CST) - before;
	return st;
}

static void
advance(struct rig *g)
{
	__atomic_add_fetch(&g->last, 1, __ATOMIC_SEQ_CST);
	tn_serving_advance(g->serving, g->last);
}

static void
publish(struct rig *g)
{
	struct tn_catalog_publication p = { .lsn = g->last, .now_us = 1 };

	assert_int_equal(tn_catalog_publish(g->catalog, &p), TN_OK);
	tn_serving_published(g->serving);
}

static void *
drive(void *arg)
{
	struct rig *g = arg;
	uint32_t asks;

	for (int i = 0; i < 3; i++) {
		(void)get(g, "total", 0, "n\n0\n", &asks);
		assert_int_equal(asks, 1);
		(void)get(g, "total", 0, "n\n0\n", &asks);
		assert_int_equal(asks, 0);
		/* Another question is another answer. */
		(void)get(g, "groups", 1, "g,n\n", &asks);
		assert_int_equal(asks, 1);
		(void)get(g, "groups", 2, "g,n\n", &asks);
		assert_int_equal(asks, 1);
		(void)get(g, "groups", 1, "g,n\n", &asks);
		assert_int_equal(asks, 0);
		advance(g);             /* Rows: nothing cached holds. */
		(void)get(g, "total", 0, "n\n0\n", &asks);
		assert_int_equal(asks, 1);
		publish(g);             /* Nor after a cut at the same LSN. */
		(void)get(g, "total", 0, "n\n0\n", &asks);
		assert_int_equal(asks, 1);
		advance(g);
	}
	assert_int_equal(get(g, "nothing", 0, NULL, &asks), TN_ENOTFOUND);
	assert_int_equal(asks, 0);
	g->stopped = true;
	advance(g);
	assert_true(get(g, "total", 0, NULL, &asks) != TN_OK);
	g->stopped = false;             /* Refusals are not kept. */
	(void)get(g, "total", 0, "n\n0\n", &asks);
	assert_int_equal(asks, 1);
	tn_net_loop_stop(g->loop);
	return NULL;
}

/* Goal: an answer is kept while the newest LSN and the cut are what it was
 * made of, and no longer; a refusal is never kept. */
static void
test_cache(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	assert_int_equal(pthread_create(&g.driver, NULL, drive, &g), 0);
	tn_net_loop_run(g.loop);
	pthread_join(g.driver, NULL);
	rig_close(&g);
}

/* ---- a live feed --------------------------------------------------------- */

static const char other_sql[] =
    "CREATE TABLE ev (g text NOT NULL, n int8 NOT NULL);"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS many FROM ev;";
static struct rig *swapping;

/* Another thread's swap of the view "total". */
static void
swap_total(struct rig *g)
{
	struct tn_serving_change c = { .model = g->model,
	    .pipeline = g->other };
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_serving_change_add(&c, c.pipeline->views[0], &d),
	    TN_OK);
	tn_serving_change_swap(&c);
	tn_serving_change_fini(&c);
}

int __real_tn_serving_view_find(const struct tn_serving_model *m,
    struct tn_slice name);
int __wrap_tn_serving_view_find(const struct tn_serving_model *m,
    struct tn_slice name);
int
__wrap_tn_serving_view_find(const struct tn_serving_model *m,
    struct tn_slice name)
{
	int at = __real_tn_serving_view_find(m, name);

	if (swapping != NULL && swapping->swaps) {
		swapping->swaps = false;
		swap_total(swapping);
	}
	return at;
}

static void
hear(void *arg, struct tn_slice json)
{
	(void)arg;
	(void)json;
}

struct live_job {
	struct tn_net_job job;
	struct rig *g;
};

static void
open_live(struct tn_net_job *job)
{
	struct rig *g = ((struct live_job *)job)->g;
	struct tn_serving_view_request q = { .view = tn_slice_of("total") };
	struct tn_diag d;

	g->swaps = true;
	g->live = tn_serving_live_open(g->serving, &q, hear, g, &d);
	tn_net_latch_open(g->done);
}

static void
close_live(struct tn_net_job *job)
{
	struct rig *g = ((struct live_job *)job)->g;

	tn_serving_live_close(g->live);
	tn_net_latch_open(g->done);
}

static void
on_loop(struct rig *g, void (*run)(struct tn_net_job *job))
{
	struct live_job x = { .job.run = run, .g = g };

	g->done = tn_net_latch_new();
	tn_net_loop_post(g->loop, &x.job);
	tn_net_latch_wait(g->done);
	tn_net_latch_free(g->done);
}

static void *
drive_live(void *arg)
{
	struct rig *g = arg;
	struct tn_net_latch *patched = tn_net_latch_new();
	struct tn_sql_source source = { "test.sql", tn_slice_of(other_sql) };
	struct tn_diag d;

	assert_int_equal(tn_sql_load(&g->other, &source, 1, &d), TN_OK);
	g->patched = patched;
	on_loop(g, open_live);
	assert_non_null(g->live);
	advance(g);
	tn_net_latch_wait(patched);
	tn_net_latch_free(patched);
	/* Behind the two of the beginning. */
	assert_int_equal(g->patch_view, 2);
	on_loop(g, close_live);
	tn_net_loop_stop(g->loop);
	return NULL;
}

/* Goal: a subscriber whose view gets another definition while it subscribes
 * listens to that one. */
static void
test_live_swap(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	swapping = &g;
	assert_int_equal(pthread_create(&g.driver, NULL, drive_live, &g), 0);
	tn_net_loop_run(g.loop);
	pthread_join(g.driver, NULL);
	swapping = NULL;
	rig_close(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_live_swap),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

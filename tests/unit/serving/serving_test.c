/* wrap: tn_serving_view_find tn_serving_encode_begin */
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
	bool feeds;                      /* Speed has rows, all new ones. */
	struct listener *late;           /* Opened while a patch is made. */
};

static void feed(const struct rig *g, struct tn_exec_fold *f);
static void listen_to(struct rig *g, struct listener *l);

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
	ask->lost = ask->changed_only && !g->feeds;
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
	if (g->feeds && ask->fold != NULL) {
		struct tn_exec_fold *all = ask->fold;
		feed(g, all);
		ask->fold = tn_exec_fold_clone(all, ask->bounds,
		    ask->bound_count);
		tn_exec_fold_free(all);
	}
	if (g->feeds && ask->touched != NULL)
		feed(g, ask->touched);
	if (ask->changed_only && g->late != NULL) {
		struct listener *l = g->late;
		g->late = NULL;
		listen_to(g, l);
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

/* ---- patches of a live feed ------------------------------------------- */

/* One subscriber of "groups", and what it hears. */
struct listener {
	const char *only;                /* g = that; NULL: all. */
	struct tn_serving_live *live;
	char snapshot[200], rows[200];
	int snapshots, patches;
	struct tn_net_latch *heard;      /* Opened by the first of the kind */
	bool patch;                      /* that is waited for. */
};
static uint32_t on_loop_texts, texts;

void __real_tn_serving_encode_begin(struct tn_buf *out, const char *view,
    const struct tn_schema *s);
void __wrap_tn_serving_encode_begin(struct tn_buf *out, const char *view,
    const struct tn_schema *s);
void
__wrap_tn_serving_encode_begin(struct tn_buf *out, const char *view,
    const struct tn_schema *s)
{
	__atomic_add_fetch(tn_net_on_loop() ? &on_loop_texts : &texts, 1,
	    __ATOMIC_SEQ_CST);
	__real_tn_serving_encode_begin(out, view, s);
}

/* a, b, c; b twice. */
static void
feed(const struct rig *g, struct tn_exec_fold *f)
{
	const struct tn_sql_table *t = g->model->streams[0].table;
	struct tn_builder *b = tn_record_builder_new(t->schema, 4);
	struct tn_exec_rows rows = { .lsn = 1 };

	for (int i = 0; i < 4; i++) {
		tn_record_builder_text(b, 0, (const uint8_t *)&"abcb"[i], 1);
		tn_record_builder_i64(b, 1, i);
		tn_record_builder_row_end(b);
	}
	rows.batch = tn_record_builder_take(b);
	tn_exec_fold_apply(f, &rows, NULL, NULL);
	tn_record_batch_unref((struct tn_batch *)rows.batch);
	tn_record_builder_free(b);
}

static void
listened(void *arg, struct tn_slice json)
{
	struct listener *l = arg;
	bool patch = strncmp((const char *)json.p, "{\"type\":\"rows\"", 14)
	    == 0;
	char *to = patch ? l->rows : l->snapshot;

	(void)snprintf(to, sizeof l->rows, "%.*s", (int)json.n, json.p);
	*(patch ? &l->patches : &l->snapshots) += 1;
	if (l->heard != NULL && l->patch == patch) {
		tn_net_latch_open(l->heard);
		l->heard = NULL;
	}
}

static void
listen_to(struct rig *g, struct listener *l)
{
	struct tn_serving_param only = { .name = tn_slice_of("g") };
	struct tn_serving_view_request q = { .view = tn_slice_of("groups"),
	    .params = &only, .param_count = l->only != NULL };
	struct tn_diag d;

	if (l->only != NULL)
		only.value = tn_slice_of(l->only);
	l->live = tn_serving_live_open(g->serving, &q, listened, l, &d);
	assert_non_null(l->live);
}

struct listen_job {
	struct tn_net_job job;
	struct rig *g;
	struct listener *l;
	struct tn_net_latch *over;
};

static void
run_listen(struct tn_net_job *job)
{
	struct listen_job *x = (struct listen_job *)job;

	listen_to(x->g, x->l);
}

static void
run_unlisten(struct tn_net_job *job)
{
	struct listen_job *x = (struct listen_job *)job;

	for (int i = 0; i < 5; i++)
		tn_serving_live_close(x->l[i].live);
	tn_net_latch_open(x->over);
}

static void *
drive_patches(void *arg)
{
	static const char *const only[] = { NULL, "b", "b", "z", "c" };
	struct rig *g = arg;
	struct listener l[5] = { { .only = NULL } };
	struct tn_net_latch *heard = tn_net_latch_new(),
	    *late = tn_net_latch_new();
	struct listen_job close = { .job.run = run_unlisten, .l = l,
	    .over = tn_net_latch_new() };

	for (int i = 0; i < 5; i++)
		l[i].only = only[i];
	for (int i = 0; i < 4; i++) {
		struct listen_job open = { .job.run = run_listen, .g = g,
		    .l = &l[i] };
		l[i].heard = tn_net_latch_new();
		struct tn_net_latch *there = l[i].heard;
		tn_net_loop_post(g->loop, &open.job);
		tn_net_latch_wait(there);
		tn_net_latch_free(there);
	}
	assert_non_null(strstr(l[1].snapshot, "\"rows\":[[\"b\",2]]"));
	l[0].heard = heard;             /* The last to be told. */
	l[0].patch = true;
	l[4].heard = late;
	texts = on_loop_texts = 0;
	g->late = &l[4];
	advance(g);
	tn_net_latch_wait(heard);
	tn_net_latch_wait(late);
	tn_net_loop_post(g->loop, &close.job);
	tn_net_latch_wait(close.over);
	assert_string_equal(l[0].rows, "{\"type\":\"rows\",\"view\":"
	    "\"groups\",\"columns\":[\"g\",\"n\"],\"types\":[\"text\","
	    "\"bigint\"],\"rows\":[[\"a\",1],[\"b\",2],[\"c\",1]],"
	    "\"lsn\":1,\"batch_lsn\":0}");
	assert_non_null(strstr(l[1].rows, "\"rows\":[[\"b\",2]],"));
	assert_string_equal(l[1].rows, l[2].rows);
	assert_int_equal(l[3].patches, 0);
	assert_non_null(strstr(l[4].snapshot, "\"rows\":[[\"c\",1]]"));
	assert_int_equal(l[4].patches, 0);
	/* One for all, one for the two of b; snapshots make theirs without. */
	assert_int_equal(texts, 2);
	assert_int_equal(on_loop_texts, 0);
	tn_net_latch_free(heard);
	tn_net_latch_free(late);
	tn_net_latch_free(close.over);
	tn_net_loop_stop(g->loop);
	return NULL;
}

/* Goal: a patch is put into words once for each set of filters, not on the
 * loop; nobody is told of rows that the filters leave out; who comes while it
 * is made has a snapshot. */
static void
test_live_patches(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	g.feeds = true;
	assert_int_equal(pthread_create(&g.driver, NULL, drive_patches, &g), 0);
	tn_net_loop_run(g.loop);
	pthread_join(g.driver, NULL);
	rig_close(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_live_swap),
		cmocka_unit_test(test_live_patches),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The tails under every order of seal, unseal and published, while blocks
 * come and readers ask. One sum holds for every answer: its folds hold the
 * rows of (base, last], no more and no less. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "speed/speed_int.h"

static const char sql[] =
    "CREATE TABLE ev (n int8 NOT NULL, g text NOT NULL);"
    "CREATE TABLE names (g text PRIMARY KEY, name text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(n) AS s"
    " FROM ev;"
    "CREATE MATERIALIZED VIEW groups AS SELECT g, count(*) AS n FROM ev"
    " GROUP BY g;"
    "CREATE MATERIALIZED VIEW named AS SELECT o.name, count(*) AS n FROM ev e"
    " LEFT JOIN names o ON o.g = e.g GROUP BY o.name;";

enum { LSN_MAX = 4000, GROUPS = 7 };
struct rig {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_serving_model *model;
	struct tn_speed *speed;
	struct tn_governance_gate *gate;
	struct tn_codec_spec spec;
	uint64_t lsn;
	uint64_t rows_to[LSN_MAX + 1];   /* Rows of [1, lsn]. */
	uint64_t last_of[GROUPS];        /* Newest block that touched it. */
	uint64_t asks;                   /* Of the reader. */
	int stop;
};

static uint64_t random_state;

static uint32_t
below(uint32_t n)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % n);
}

static void
rig_open(struct rig *g)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	struct tn_speed_opts o = { .model = NULL };
	const char *seed = getenv("TARN_SEED");
	char path[100];

	memset(g, 0, sizeof *g);
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
	print_message("TARN_SEED=%llu\n", (unsigned long long)random_state);
	strcpy(g->dir, "/tmp/tarn-speed-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(tn_sql_load(&p, &source, 1, &d), TN_OK);
	(void)snprintf(path, sizeof path, "%s/catalog.db", g->dir);
	assert_int_equal(tn_catalog_open(&g->catalog, path, &d), TN_OK);
	assert_int_equal(tn_serving_model_new(&g->model, p, g->catalog, &d),
	    TN_OK);
	tn_codec_spec_init(&g->spec, TN_CODEC_NDJSON);
	g->gate = tn_governance_gate_new(&g->model->streams[
	    tn_serving_stream_find(g->model, tn_slice_of("ev"))], &g->spec);
	o.model = g->model;
	o.catalog = g->catalog;
	g->speed = tn_speed_new(&o);
}

static void
rig_close(struct rig *g)
{
	char command[100];

	tn_speed_free(g->speed);
	tn_governance_gate_free(g->gate);
	tn_codec_spec_fini(&g->spec);
	tn_serving_model_free(g->model);
	tn_catalog_close(g->catalog);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
}

static void
push(struct rig *g)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(&g->spec, 1000);
	struct tn_codec_rows raw = { 0 };
	struct tn_governance_rows *rows;
	struct tn_buf text = { 0 };
	struct tn_slice in;
	uint32_t n = 1 + below(9);

	g->lsn++;
	assert_true(g->lsn <= LSN_MAX);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t group = below(GROUPS);
		g->last_of[group] = g->lsn;
		tn_buf_printf(&text, "{\"n\":1,\"g\":\"%c\"}\n",
		    'a' + (int)group);
	}
	in = (struct tn_slice){ text.p, text.n };
	assert_int_equal(tn_codec_splitter_feed(s, &in, &raw, SIZE_MAX),
	    TN_OK);
	assert_int_equal(tn_codec_splitter_end(s, &raw), TN_OK);
	rows = tn_governance_gate_pass(g->gate, &raw, 1, NULL);
	assert_int_equal(rows->batch->rows, n);
	rows->lsn = g->lsn;
	__atomic_store_n(&g->rows_to[g->lsn], g->rows_to[g->lsn - 1] + n,
	    __ATOMIC_SEQ_CST);
	tn_speed_push(g->speed, rows);
	tn_governance_rows_unref(rows);
	tn_codec_rows_fini(&raw);
	tn_codec_splitter_free(s);
	tn_buf_fini(&text);
}

/* ---- asking ---------------------------------------------------------- */

struct question {
	struct tn_serving_ask ask;   /* First. */
	struct tn_net_latch *latch;
};

static void
asked(struct tn_serving_ask *ask)
{
	tn_net_latch_open(((struct question *)ask)->latch);
}

static void
ask(struct rig *g, struct question *q, const char *view, bool changed)
{
	memset(q, 0, sizeof *q);
	q->latch = tn_net_latch_new();
	q->ask.view = tn_serving_view_find(g->model, tn_slice_of(view));
	q->ask.want_fold = true;
	q->ask.changed_only = changed;
	q->ask.done = asked;
	tn_speed_ask(g->speed, &q->ask);
	tn_net_latch_wait(q->latch);
	tn_net_latch_free(q->latch);
	assert_non_null(q->ask.base);
}

static void
answered(struct question *q)
{
	tn_exec_fold_free(q->ask.fold);
	tn_exec_fold_free(q->ask.touched);
	tn_serving_refs_fini(&q->ask.refs);
	tn_catalog_snapshot_put(q->ask.base);
}

static int64_t
cell(const struct tn_batch *b, uint32_t column, uint32_t row)
{
	return ((const int64_t *)b->columns[column].values)[row];
}

/* False when the sum does not hold; may run on any thread. */
static bool
sum_holds(struct rig *g, const char *view)
{
	struct question q;
	struct tn_batch *b;
	uint64_t rows = 0, want;
	uint32_t column = strcmp(view, "total") == 0 ? 0 : 1;

	ask(g, &q, view, false);
	b = tn_exec_fold_finish(q.ask.fold, NULL);
	for (uint32_t i = 0; i < b->rows; i++)
		rows += (uint64_t)cell(b, column, i);
	want = __atomic_load_n(&g->rows_to[q.ask.last], __ATOMIC_SEQ_CST) -
	    __atomic_load_n(&g->rows_to[q.ask.base->lsn], __ATOMIC_SEQ_CST);
	if (rows != want)
		print_message("%s: %llu rows of (%llu, %llu], not %llu\n",
		    view, (unsigned long long)rows,
		    (unsigned long long)q.ask.base->lsn,
		    (unsigned long long)q.ask.last, (unsigned long long)want);
	tn_record_batch_unref(b);
	answered(&q);
	return rows == want;
}

/* ---- orders ---------------------------------------------------------- */

static void
publish(struct rig *g, uint64_t lsn)
{
	struct tn_catalog_publication p = { .lsn = lsn, .now_us = 1 };

	assert_int_equal(tn_catalog_publish(g->catalog, &p), TN_OK);
	tn_speed_published(g->speed);
}

static void
cut(struct rig *g)
{
	struct tn_serving_refs refs;
	uint64_t lsn;
	uint32_t more;

	tn_speed_seal(g->speed, &lsn, &refs);
	assert_int_equal(lsn, g->lsn);
	tn_serving_refs_fini(&refs);
	more = below(5);
	while (more-- > 0)
		push(g);
	if (below(3) == 0)
		assert_true(sum_holds(g, "groups"));
	if (below(3) == 0)
		tn_speed_unseal(g->speed);      /* The cut failed. */
	else
		publish(g, lsn);
}

static void
recompute(struct rig *g)
{
	struct tn_serving_refs refs;
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint64_t lsn;

	tn_speed_seal(g->speed, &lsn, &refs);
	tn_speed_unseal(g->speed);
	tn_serving_refs_fini(&refs);
	publish(g, s->lsn);             /* At the cut in force. */
	tn_catalog_snapshot_put(s);
}

/* Goal: in any order of pushes, cuts that succeed or fail, and publications
 * at the cut in force, an answer holds just the rows above its base. */
static void
test_orders(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);

	(void)state;
	rig_open(g);
	for (int i = 0; i < 400; i++) {
		uint32_t what = below(10);
		if (what < 6)
			push(g);
		else if (what < 8)
			cut(g);
		else if (what == 8)
			recompute(g);
		assert_true(sum_holds(g, "total"));
		assert_true(sum_holds(g, "groups"));
		assert_true(sum_holds(g, "named"));
	}
	tn_speed_flush(g->speed);
	assert_int_equal(tn_speed_backlog(g->speed), 0);
	rig_close(g);
	tn_free(g);
}

static void *
read_on(void *arg)
{
	struct rig *g = arg;

	while (!__atomic_load_n(&g->stop, __ATOMIC_SEQ_CST)) {
		uint64_t asks = __atomic_add_fetch(&g->asks, 1,
		    __ATOMIC_SEQ_CST);
		if (!sum_holds(g, asks % 2 ? "total" : "groups"))
			abort();
	}
	return NULL;
}

/* Goal: the same while another thread asks without pause. */
static void
test_readers(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	pthread_t reader;

	(void)state;
	rig_open(g);
	assert_int_equal(pthread_create(&reader, NULL, read_on, g), 0);
	for (uint32_t i = 0; i < 250; i++) {
		push(g);
		if (below(3) == 0)
			cut(g);
		if (below(10) == 0)
			recompute(g);
		/* On a busy machine the reader may not have had a turn yet. */
		while (__atomic_load_n(&g->asks, __ATOMIC_SEQ_CST) < i / 10)
			(void)sched_yield();
	}
	__atomic_store_n(&g->stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(reader, NULL);
	rig_close(g);
	tn_free(g);
}

/* Every group that a block after ${since} touched is among the keys. */
static void
check_touched(struct rig *g, const struct question *q, uint64_t since)
{
	struct tn_batch *b = tn_exec_fold_finish(q->ask.touched, NULL);
	bool there[GROUPS] = { false };

	for (uint32_t i = 0; i < b->rows; i++) {
		struct tn_buf text = { 0 };
		tn_record_print(&text, &b->columns[0], i);
		there[text.p[0] - 'a'] = true;
		tn_buf_fini(&text);
	}
	for (uint32_t i = 0; i < GROUPS; i++)
		if (g->last_of[i] > since)
			assert_true(there[i]);
	tn_record_batch_unref(b);
}

/* Goal: who asks for changes hears of every group that changed since it asked
 * before, whatever cuts came between, or is told that this is not known. */
static void
test_changes(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	struct question q;
	uint64_t since = 0;
	uint32_t known = 0;

	(void)state;
	rig_open(g);
	for (int i = 0; i < 600; i++) {
		uint32_t what = below(12);
		if (what < 7)
			push(g);
		else if (what < 9)
			cut(g);
		else if (what == 9)
			recompute(g);
		else {
			ask(g, &q, "groups", true);
			assert_int_equal(q.ask.last, g->lsn);
			if (!q.ask.lost) {
				check_touched(g, &q, since);
				known++;
			}
			since = q.ask.last;
			answered(&q);
		}
	}
	assert_true(known > 20);
	rig_close(g);
	tn_free(g);
}

/* ---- definitions that change ------------------------------------------ */

static const char new_sql[] =
    "CREATE TABLE ev (n int8 NOT NULL, g text NOT NULL);"
    "CREATE TABLE names (g text PRIMARY KEY, name text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, max(n) AS m"
    " FROM ev;"
    "CREATE MATERIALIZED VIEW named AS SELECT o.name, count(*) AS n FROM ev e"
    " LEFT JOIN names o ON o.g = e.g GROUP BY o.name;"
    "CREATE MATERIALIZED VIEW fresh AS SELECT g, count(*) AS n FROM ev"
    " GROUP BY g;";

/* Slots for total and fresh; groups goes. Adopted right after a cut, so that
 * no row is missing in their tails. */
static void
adopt(struct rig *g, struct tn_serving_change *c)
{
	struct tn_sql_source source = { "new.sql", tn_slice_of(new_sql) };
	struct tn_serving_refs refs;
	struct tn_diag d = { .line = 0 };
	struct tn_sql_pipeline *p = NULL;
	uint64_t lsn;

	tn_speed_seal(g->speed, &lsn, &refs);
	tn_serving_refs_fini(&refs);
	publish(g, lsn);
	assert_int_equal(tn_sql_load(&p, &source, 1, &d), TN_OK);
	*c = (struct tn_serving_change){ .model = g->model, .pipeline = p };
	assert_int_equal(tn_serving_change_add(c, tn_sql_view(p,
	    tn_slice_of("total")), &d), TN_OK);
	assert_int_equal(tn_serving_change_add(c, tn_sql_view(p,
	    tn_slice_of("fresh")), &d), TN_OK);
	tn_serving_change_drop(c, (uint32_t)tn_serving_view_find(g->model,
	    tn_slice_of("groups")));
	tn_speed_adopt(g->speed, c, &lsn, &refs);
	assert_int_equal(lsn, g->lsn);
	tn_serving_refs_fini(&refs);
	for (uint32_t i = 0; i < c->built_count; i++)
		c->built[i].tail = tn_exec_fold_new(g->model->views[
		    c->built[i].view].program);
}

static void
ask_slot(struct rig *g, struct question *q, int slot)
{
	memset(q, 0, sizeof *q);
	q->latch = tn_net_latch_new();
	q->ask.view = slot;
	q->ask.want_fold = true;
	q->ask.done = asked;
	tn_speed_ask(g->speed, &q->ask);
	tn_net_latch_wait(q->latch);
	tn_net_latch_free(q->latch);
}

/* Goal: until the swap the old definitions answer and nobody finds the new
 * ones; from the swap on the new ones have all rows above the base; who found an
 * old one gets it as it was at the swap, and after the next publication is
 * told that it is gone. */
static void
test_change(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	struct tn_serving_change c;
	struct tn_catalog_publication p = { .now_us = 1 };
	struct tn_diag d = { .line = 0 };
	struct question q;
	uint64_t swapped;
	int old;

	(void)state;
	rig_open(g);
	for (int i = 0; i < 5; i++)
		push(g);
	old = tn_serving_view_find(g->model, tn_slice_of("groups"));
	adopt(g, &c);
	for (int i = 0; i < 3; i++)
		push(g);
	assert_true(sum_holds(g, "total") && sum_holds(g, "groups"));
	assert_int_equal(tn_serving_view_find(g->model,
	    tn_slice_of("fresh")), -1);
	assert_int_equal(tn_serving_change_name(&c, g->catalog, &d), TN_OK);
	p.lsn = g->lsn - 3;
	assert_int_equal(tn_catalog_publish(g->catalog, &p), TN_OK);
	tn_speed_swap(g->speed, &c);
	swapped = g->lsn;
	tn_serving_change_fini(&c);
	assert_int_equal(tn_serving_view_find(g->model,
	    tn_slice_of("groups")), -1);
	push(g);
	assert_true(sum_holds(g, "total") && sum_holds(g, "fresh") &&
	    sum_holds(g, "named"));
	ask_slot(g, &q, old);
	assert_false(q.ask.gone);
	assert_int_equal(q.ask.last, swapped);
	assert_int_equal(tn_exec_fold_groups(q.ask.fold) > 0, 1);
	answered(&q);
	recompute(g);
	ask_slot(g, &q, old);
	assert_true(q.ask.gone && q.ask.fold == NULL);
	answered(&q);
	rig_close(g);
	tn_free(g);
}

/* Goal: a change that is given up leaves the old definitions as they are, and
 * its slots are not found. */
static void
test_abandon(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	struct tn_serving_change c;

	(void)state;
	rig_open(g);
	push(g);
	adopt(g, &c);
	push(g);
	tn_speed_abandon(g->speed, &c);
	tn_serving_change_fini(&c);
	push(g);
	cut(g);
	assert_true(sum_holds(g, "total") && sum_holds(g, "groups") &&
	    sum_holds(g, "named"));
	assert_int_equal(tn_serving_view_find(g->model,
	    tn_slice_of("fresh")), -1);
	rig_close(g);
	tn_free(g);
}

/* Goal: after stop a question is answered without a base, a push is dropped. */
static void
test_stopped(void **state)
{
	struct rig *g = tn_zalloc(sizeof *g);
	struct question q = { .ask = { .view = 0, .done = asked } };

	(void)state;
	rig_open(g);
	push(g);
	tn_speed_stop(g->speed);
	q.latch = tn_net_latch_new();
	tn_speed_ask(g->speed, &q.ask);
	tn_net_latch_wait(q.latch);
	tn_net_latch_free(q.latch);
	assert_null(q.ask.base);
	rig_close(g);
	tn_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_abandon),
		cmocka_unit_test(test_stopped),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	tn_say_setup(TN_WARN, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: tn_lake_read */
/* Recompute in steps: cuts go on between them and their rows count; a range of
 * buckets leaves the others alone; a run can be paused, resumed, canceled, and
 * asked for its cost; a stop in the middle leaves the old gold in force. A step
 * is one slice here, because the test's clock runs ahead at every look. */
#include "test.h"

#include <sched.h>

#include "batch_help.h"

static int64_t mono;
static struct tn_os_table table;

static int64_t
mono_us(void)
{
	return __atomic_add_fetch(&mono, 60000000, __ATOMIC_RELAXED);
}

static void three(struct rig *g);

/* ---- a word in the middle -------------------------------------------- */

static struct {
	struct rig *g;
	uint32_t reads;          /* Of silver, while armed. */
	enum { NOTHING, PAUSE, CANCEL, CUT } then;
	uint32_t bronze;         /* Reads, for CUT. */
} word;

enum tn_status __real_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);
enum tn_status __wrap_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);

enum tn_status
__wrap_tn_lake_read(struct tn_lake *l, const struct tn_lake_read *r,
    struct tn_diag *d)
{
	struct tn_batch_work w;

	if (strncmp(r->path, "silver/", 7) == 0 && word.g != NULL &&
	    __atomic_add_fetch(&word.reads, 1, __ATOMIC_RELAXED) == 1) {
		tn_batch_progress(word.g->batch, &w);
		assert_true(w.run > 0 && w.total > 0);
		if (word.then == PAUSE)
			assert_int_equal(tn_batch_pause(word.g->batch, w.run,
			    true), TN_OK);
		if (word.then == CANCEL)
			assert_int_equal(tn_batch_cancel(word.g->batch,
			    w.run), TN_OK);
	}
	if (strncmp(r->path, "bronze/", 7) == 0 && word.g != NULL &&
	    word.then == CUT && ++word.bronze == 2) {
		struct tn_batch_request q = { .kind = TN_BATCH_CUT,
		    .reason = "timer" };
		three(word.g);
		word.reads = word.g->publications;
		assert_int_equal(tn_batch_post(word.g->batch, &q), TN_OK);
	}
	if (strncmp(r->path, "bronze/", 7) == 0 && word.g != NULL &&
	    word.then == CUT && word.bronze == 3)
		assert_int_equal(word.g->publications, word.reads + 1);
	return __real_tn_lake_read(l, r, d);
}

/* ---- events and answers ---------------------------------------------- */

/* Three rows: on March 1, 2 and 3. */
static void
three(struct rig *g)
{
	char text[200];

	(void)snprintf(text, sizeof text,
	    "{\"n\":%u,\"ts\":\"2026-03-01T05:00:00Z\"}\n"
	    "{\"n\":%u,\"ts\":\"2026-03-02T05:00:00Z\"}\n"
	    "{\"n\":%u,\"ts\":\"2026-03-03T05:00:00Z\"}\n", g->rows,
	    g->rows + 1, g->rows + 2);
	g->rows += 3;
	append_text(g, 0, text);
}

/* Cuts of three silver files each, so that there are many slices. */
static void
make(struct rig *g)
{
	table = tn_os_real;
	table.mono_us = mono_us;
	tn_os_use(&table);
	memset(&word, 0, sizeof word);
	rig_make(g, days_sql);
	g->batch->o.young_files_max = 1000;
	for (int i = 0; i < 20; i++) {
		three(g);
		assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	}
}

static void
drop(struct rig *g)
{
	word.g = NULL;
	rig_drop(g);
	tn_os_use(NULL);
}

static uint64_t
gold_sum(struct rig *g, uint64_t *sequence)
{
	const struct tn_serving_view *v = &g->model->views[0];
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_GOLD, v->id,
	    &first);
	struct tn_exec_fold *sum = tn_exec_fold_new(v->program);
	uint64_t total = 0;
	struct tn_batch *b;

	for (uint32_t i = first; i < first + n; i++) {
		struct tn_serving_gold *x = NULL;
		struct tn_diag d = { .line = 0 };
		assert_int_equal(tn_serving_gold_get(g->serving, v,
		    &s->files[i], &x, &d), TN_OK);
		tn_exec_fold_merge(sum, x->fold);
		tn_serving_gold_put(g->serving, x);
	}
	*sequence = s->sequence;
	b = tn_exec_fold_finish(sum, NULL);
	for (uint32_t i = 0; i < b->rows; i++)
		total += (uint64_t)((const int64_t *)b->columns[1].values)[i];
	tn_record_batch_unref(b);
	tn_exec_fold_free(sum);
	tn_catalog_snapshot_put(s);
	return total;
}

struct outcome {
	uint32_t done;           /* Atomic. */
	struct tn_batch_report r;
};

static void
ended(void *arg, const struct tn_batch_report *r)
{
	struct outcome *o = arg;

	o->r = *r;
	memset(&o->r.text, 0, sizeof o->r.text);
	__atomic_store_n(&o->done, 1, __ATOMIC_RELEASE);
}

static void
begin(struct rig *g, struct outcome *o)
{
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "days", .done = ended, .arg = o };

	memset(o, 0, sizeof *o);
	word.g = g;
	word.reads = 0;
	assert_int_equal(tn_batch_post(g->batch, &q), TN_OK);
}

static void
wait_for(const uint32_t *flag)
{
	while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
}

static void
wait_parked(struct rig *g)
{
	bool parked = false;

	while (!parked) {
		sched_yield();
		tn_net_lock_take(g->batch->lock);
		parked = g->batch->parked != NULL;
		tn_net_lock_drop(g->batch->lock);
	}
}

/* ---- tests ----------------------------------------------------------- */

static void
ask_cost(struct rig *g)
{
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "days", .dry_run = true };
	struct tn_batch_report r = { .status = TN_OK };

	assert_int_equal(tn_batch_run(g->batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
}

static int64_t
paused_since(void)
{
	return tn_counter_read(tn_counter_get(TN_GAUGE,
	    "tarn_batch_paused_since_timestamp_seconds", NULL, ""));
}

static void
test_pause(void **state)
{
	struct rig g;
	struct outcome o, other;
	struct tn_batch_work w, now;
	uint64_t sequence;

	(void)state;
	make(&g);
	word.then = PAUSE;
	begin(&g, &o);
	wait_parked(&g);
	tn_batch_progress(g.batch, &w);
	assert_int_equal(w.paused, 1);
	assert_true(paused_since() > 0);
	assert_int_equal(w.total, g.rows);
	assert_true(w.rows > 0 && w.rows < w.total);
	/* Cuts and a verify pass it. */
	three(&g);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	assert_int_equal(tn_batch_pause(g.batch, w.run + 100, false),
	    TN_ENOTFOUND);
	assert_int_equal(__atomic_load_n(&o.done, __ATOMIC_ACQUIRE), 0);
	/* Another one waits for it; what it would cost is told. */
	begin(&g, &other);
	word.reads = 1;
	ask_cost(&g);
	tn_batch_progress(g.batch, &now);
	assert_int_equal(now.run, w.run);
	assert_int_equal(now.paused, 1);
	assert_int_equal(tn_batch_pause(g.batch, w.run, false), TN_OK);
	wait_for(&o.done);
	wait_for(&other.done);
	assert_int_equal(o.r.status, TN_OK);
	assert_int_equal(other.r.status, TN_OK);
	assert_int_equal(o.r.rows, g.rows);
	assert_int_equal(o.r.lsn, 21);
	assert_int_equal(gold_sum(&g, &sequence), g.rows);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	tn_batch_progress(g.batch, &w);
	assert_int_equal(w.run, 0);
	assert_int_equal(w.paused, 0);
	assert_int_equal(paused_since(), 0);
	drop(&g);
}

static void
test_cancel(void **state)
{
	struct rig g;
	struct outcome o, others[3];
	uint64_t before, after;

	(void)state;
	make(&g);
	assert_int_equal(gold_sum(&g, &before), g.rows);
	word.then = CANCEL;
	begin(&g, &o);
	wait_for(&o.done);
	assert_int_equal(o.r.status, TN_ECLOSED);
	assert_string_equal(o.r.diag.code, "canceled");
	assert_int_equal(gold_sum(&g, &after), g.rows);
	assert_int_equal(before, after);
	/* A paused one can be canceled, too, and one is paused when the
	 * program stops. */
	word.then = PAUSE;
	begin(&g, &o);
	wait_parked(&g);
	assert_int_equal(tn_batch_cancel(g.batch, o.r.run + 100),
	    TN_ENOTFOUND);
	struct tn_batch_work w;
	tn_batch_progress(g.batch, &w);
	assert_int_equal(tn_batch_cancel(g.batch, w.run), TN_OK);
	wait_for(&o.done);
	assert_int_equal(o.r.status, TN_ECLOSED);
	begin(&g, &o);
	wait_parked(&g);
	for (size_t i = 0; i < TN_COUNT(others); i++)
		begin(&g, &others[i]);
	rig_close(&g);
	assert_int_equal(o.done, 1);
	assert_int_equal(o.r.status, TN_ECLOSED);
	for (size_t i = 0; i < TN_COUNT(others); i++) {
		assert_int_equal(others[i].done, 1);
		assert_int_equal(others[i].r.status, TN_ECLOSED);
	}
	rig_open(&g);
	assert_int_equal(gold_sum(&g, &after), g.rows);
	word.g = NULL;
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	assert_int_equal(gold_sum(&g, &after), g.rows);
	drop(&g);
}

/* Goal: a recompute that somebody left paused, and more behind it than may wait,
 * keep no cut away: the ones too many are refused and say what to do. */
static void
test_line(void **state)
{
	struct rig g;
	struct outcome first, others[40];
	struct tn_batch_work w;
	uint32_t refused = 0;

	(void)state;
	make(&g);
	word.then = PAUSE;
	begin(&g, &first);
	wait_parked(&g);
	for (size_t i = 0; i < TN_COUNT(others); i++)
		begin(&g, &others[i]);
	word.reads = 1;
	three(&g);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	for (size_t i = 0; i < TN_COUNT(others); i++) {
		if (__atomic_load_n(&others[i].done, __ATOMIC_ACQUIRE) == 0)
			continue;
		refused++;
		assert_int_equal(others[i].r.status, TN_EFULL);
		assert_string_equal(others[i].r.diag.code, "overloaded");
		assert_non_null(strstr(others[i].r.diag.hint, "resume"));
	}
	assert_int_equal(refused, 8);
	tn_batch_progress(g.batch, &w);
	assert_int_equal(tn_batch_pause(g.batch, w.run, false), TN_OK);
	for (size_t i = 0; i < TN_COUNT(others); i++)
		wait_for(&others[i].done);
	wait_for(&first.done);
	assert_int_equal(first.r.status, TN_OK);
	drop(&g);
}

static int64_t
at(const char *time)
{
	int64_t us = 0;

	assert_true(tn_serving_time(tn_slice_of(time), &us));
	return us;
}

static void
test_range(void **state)
{
	struct rig g;
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "days",
	    .from_us = at("2026-03-02T10:00:00Z"),
	    .to_us = at("2026-03-02T11:00:00Z") };
	struct tn_batch_report r;
	uint64_t before, after;

	(void)state;
	make(&g);
	memset(&r, 0, sizeof r);
	q.dry_run = true;
	(void)gold_sum(&g, &before);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	assert_true(r.rows >= g.rows / 3 && r.files >= 20);
	assert_non_null(strstr(tn_buf_cstr(&r.text), "would read"));
	tn_buf_fini(&r.text);
	assert_int_equal(gold_sum(&g, &after), g.rows);
	assert_int_equal(before, after);
	q.dry_run = false;
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	assert_int_equal(gold_sum(&g, &after), g.rows);
	assert_true(after > before);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	/* The wrong way round. */
	q.to_us = at("2026-03-01T00:00:00Z");
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_EINVAL);
	assert_string_equal(r.diag.code, "bad_range");
	tn_buf_fini(&r.text);
	/* Open ends. */
	q.to_us = 0;
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	q.to_us = q.from_us;
	q.from_us = 0;
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	assert_int_equal(gold_sum(&g, &after), g.rows);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

/* Goal: a cut that comes while verify reads is taken before its next file, and
 * makes no difference to it. */
static void
test_verify_lets_cuts(void **state)
{
	struct rig g;
	uint64_t sequence;

	(void)state;
	make(&g);
	word.g = &g;
	word.then = CUT;
	word.bronze = 0;
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	assert_true(word.bronze > 3);
	word.g = NULL;
	assert_int_equal(gold_sum(&g, &sequence), 63);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_verify_lets_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

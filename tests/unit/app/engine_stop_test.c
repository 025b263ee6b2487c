/* wrap: tn_lake_read tn_batch_run tn_os_mono_us */
/* The program ends while an apply stands in line behind a paused recompute. */
#include "engine_fixture.h"

#define HEAD "ALTER SYSTEM SET objects = 'off';CREATE TABLE e (g text, n int);" \
	"CREATE MATERIALIZED VIEW a AS SELECT g, count(*) AS c"

static struct {
	struct tn_batch_jobs *batch;     /* NULL: not armed. */
	uint32_t reads;
	int64_t later;                   /* Atomic: a step takes so long. */
	struct tn_net_latch *paused, *in_line;
	enum tn_status recomputed, applied;
} seen;

enum tn_status __real_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);
enum tn_status __wrap_tn_lake_read(struct tn_lake *l,
    const struct tn_lake_read *r, struct tn_diag *d);
enum tn_status __real_tn_batch_run(struct tn_batch_jobs *b,
    const struct tn_batch_request *r, struct tn_batch_report *out);
enum tn_status __wrap_tn_batch_run(struct tn_batch_jobs *b,
    const struct tn_batch_request *r, struct tn_batch_report *out);

int64_t __real_tn_os_mono_us(void);
int64_t __wrap_tn_os_mono_us(void);

int64_t
__wrap_tn_os_mono_us(void)
{
	return __real_tn_os_mono_us() + __atomic_load_n(&seen.later,
	    __ATOMIC_RELAXED);
}

enum tn_status
__wrap_tn_lake_read(struct tn_lake *l, const struct tn_lake_read *r,
    struct tn_diag *d)
{
	struct tn_batch_work w;

	if (seen.batch != NULL && strncmp(r->path, "silver/", 7) == 0 &&
	    __atomic_add_fetch(&seen.reads, 1, __ATOMIC_RELAXED) == 1) {
		tn_batch_progress(seen.batch, &w);
		assert_int_equal(tn_batch_pause(seen.batch, w.run, true),
		    TN_OK);
		__atomic_store_n(&seen.later, 10000000, __ATOMIC_RELAXED);
		tn_net_latch_open(seen.paused);
	}
	return __real_tn_lake_read(l, r, d);
}

enum tn_status
__wrap_tn_batch_run(struct tn_batch_jobs *b,
    const struct tn_batch_request *r, struct tn_batch_report *out)
{
	if (r->kind == TN_BATCH_APPLY)
		tn_net_latch_open(seen.in_line);
	return __real_tn_batch_run(b, r, out);
}

static void
recomputed(void *arg, const struct tn_batch_report *r)
{
	(void)arg;
	seen.recomputed = r->status;
}

static void
applied(void *arg, enum tn_status st, const struct tn_diag *d,
    struct tn_slice json)
{
	(void)arg;
	(void)d;
	(void)json;
	seen.applied = st;
}

static struct asked {
	struct tn_net_job job;
	struct fixture *f;
} asked;

static void
run_ask(struct tn_net_job *job)
{
	static const struct tn_http_text file = { "test.sql", { (const
	    uint8_t *)HEAD ", sum(n) AS s FROM e GROUP BY g;",
	    sizeof HEAD ", sum(n) AS s FROM e GROUP BY g;" - 1 } };
	struct tn_http_texts q = { .apply = true, .files = &file,
	    .count = 1 };

	(void)job;
	tn_app_definitions_run(&asked.f->a, &q, applied, NULL);
}

static void
wait_behind(struct fixture *f)
{
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "a", .done = recomputed };

	(void)post(f, "e", "{\"g\":\"x\",\"n\":1}", NULL);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	seen.batch = f->a.batch;
	assert_int_equal(tn_batch_post(f->a.batch, &q), TN_OK);
	tn_net_latch_wait(seen.paused);
	asked.f = f;
	asked.job.run = run_ask;
	tn_net_loop_post(f->a.loop, &asked.job);
	tn_net_latch_wait(seen.in_line);
}

/* Goal: the engine closes, and both say that they were not done. */
static void
test_stop(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = HEAD " FROM e GROUP BY g;";
	seen.paused = tn_net_latch_new();
	seen.in_line = tn_net_latch_new();
	run_script(&f, wait_behind);
	assert_int_equal(seen.recomputed, TN_ECLOSED);
	assert_int_equal(seen.applied, TN_ECLOSED);
	tn_net_latch_free(seen.paused);
	tn_net_latch_free(seen.in_line);
	remove_dir(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

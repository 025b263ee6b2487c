/* A live subscriber beside posts, cuts, failed cuts and recomputes: what it is
 * told never goes back, and when all is still it knows what the view says. */
#include "engine_fixture.h"
#include "quiet.h"

static const char live_pipeline[] =
    "ALTER SYSTEM SET live_interval = '10 ms';"
    "CREATE TABLE ev (g text NOT NULL, n int8);"
    "CREATE MATERIALIZED VIEW groups AS SELECT g, count(*) AS n FROM ev"
    " GROUP BY g;";

/* The same where nearly every patch is computed from rows. */
static const char large_pipeline[] =
    "ALTER SYSTEM SET live_interval = '10 ms';"
    "ALTER SYSTEM SET holistic_state_bytes = '4 KiB';"
    "CREATE TABLE ev (g text NOT NULL, n int8);"
    "CREATE MATERIALIZED VIEW groups AS SELECT g,"
    " count(DISTINCT 'a row of the stream, with a name that takes some"
    " room, number ' || _offset::text) AS n FROM ev GROUP BY g;";

enum { GROUPS = 9 };
/* On the loop. */
struct watcher {
	struct tn_net_job job;
	struct fixture *f;
	struct tn_serving_live *live;
	int64_t n[GROUPS];           /* As the subscriber knows it. */
	uint64_t lsn, cuts, messages;
	bool close;
	int64_t want;                /* Rows posted; 0: do not look. */
	bool same;
	struct tn_net_latch *done;
};

static uint64_t
number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Rows look like ["c",12]; nothing else in a message does. */
static void
take_rows(struct watcher *w, const char *text)
{
	const char *at = strstr(text, "\"rows\":[");

	for (at = at != NULL ? strstr(at, "[\"") : NULL; at != NULL;
	    at = strstr(at + 1, "[\"")) {
		int group = at[2] - 'a';
		int64_t n = strtoll(at + 5, NULL, 10);
		assert_true(group >= 0 && group < GROUPS && at[4] == ',');
		if (n < w->n[group])
			print_message("%s\n", text);
		assert_true(n >= w->n[group]);
		w->n[group] = n;
	}
}

static void
message(void *arg, struct tn_slice json)
{
	struct watcher *w = arg;
	struct tn_buf b = { 0 };
	const char *text;
	uint64_t lsn;

	tn_buf_add(&b, json.p, json.n);
	text = tn_buf_cstr(&b);
	w->messages++;
	lsn = number_after(text, "\"lsn\":");
	if (strstr(text, "\"type\":\"cut\"") != NULL) {
		w->cuts++;
	} else {
		assert_true(lsn >= w->lsn);
		w->lsn = lsn;
		take_rows(w, text);
	}
	tn_buf_fini(&b);
}

static void
run_watcher(struct tn_net_job *job)
{
	struct watcher *w = (struct watcher *)job;
	struct tn_serving_view_request r = { .view = tn_slice_of("groups") };
	struct tn_diag d = { .line = 0 };
	int64_t sum = 0;

	if (w->live == NULL) {
		w->live = tn_serving_live_open(w->f->a.serving, &r, message,
		    w, &d);
		assert_non_null(w->live);
	}
	for (uint32_t i = 0; i < GROUPS; i++)
		sum += w->n[i];
	w->same = sum == w->want;
	if (w->close) {
		tn_serving_live_close(w->live);
		w->live = NULL;
	}
	tn_net_latch_open(w->done);
}

static void
ask_watcher(struct watcher *w)
{
	w->job.run = run_watcher;
	w->done = tn_net_latch_new();
	tn_net_loop_post(w->f->a.loop, &w->job);
	tn_net_latch_wait(w->done);
	tn_net_latch_free(w->done);
}

/* Patches come a moment after the fold. */
static void
wait_for(struct watcher *w, int64_t rows)
{
	w->want = rows;
	for (int i = 0; i < 12000; i++) {
		ask_watcher(w);
		if (w->same)
			return;
		usleep(5000);
	}
	print_message("the subscriber does not know all of %lld rows\n",
	    (long long)rows);
	abort();
}

static uint64_t random_state;

static uint32_t
below(uint32_t n)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % n);
}

/* A cut or recompute in which every sync fails. */
static int
no_sync(int fd)
{
	(void)fd;
	return -5;
}

static bool syncs_fail;

static int
some_sync(int fd)
{
	return __atomic_load_n(&syncs_fail, __ATOMIC_SEQ_CST) ? no_sync(fd) :
	    tn_os_real.sync(fd);
}

static void
job(struct fixture *f, uint32_t what)
{
	struct tn_batch_request q = { .kind = what % 3 == 0 ?
	    TN_BATCH_RECOMPUTE : TN_BATCH_CUT, .reason = "request" };
	struct tn_batch_report r;
	bool fails = what % 4 == 1;
	enum tn_status st;

	memset(&r, 0, sizeof r);
	__atomic_store_n(&syncs_fail, fails, __ATOMIC_SEQ_CST);
	st = tn_batch_run(f->a.batch, &q, &r);
	__atomic_store_n(&syncs_fail, false, __ATOMIC_SEQ_CST);
	tn_buf_fini(&r.text);
	if (!fails)
		assert_int_equal(st, TN_OK);
}

static int64_t
post_some(struct fixture *f)
{
	struct tn_buf b = { 0 };
	uint32_t rows = 1 + below(20);
	struct call c;

	for (uint32_t i = 0; i < rows; i++)
		tn_buf_printf(&b, "{\"g\":\"%c\"}\n",
		    'a' + (int)below(GROUPS));
	c = post(f, "ev", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.status, TN_OK);
	tn_buf_fini(&b);
	return rows;
}

static void
watch(struct fixture *f)
{
	struct watcher *w = f->arg;
	int64_t rows = 0;
	struct tn_buf want = { 0 };

	rows += post_some(f);
	ask_watcher(w);
	for (int i = 0; i < 120; i++) {
		uint32_t what = below(10);
		if (what < 7)
			rows += post_some(f);
		else
			job(f, below(12));
		if (below(8) == 0)
			wait_for(w, rows);
	}
	wait_for(w, rows);
	tn_buf_str(&want, "g,n\n");
	for (uint32_t i = 0; i < GROUPS; i++)
		if (w->n[i] > 0)
			tn_buf_printf(&want, "%c,%lld\n", 'a' + (int)i,
			    (long long)w->n[i]);
	expect_view(f, "groups", TN_LAYER_MERGED, tn_buf_cstr(&want));
	assert_true(w->cuts > 0);
	assert_true(f->pipeline == live_pipeline ||
	    tn_serving_recomputed(f->a.serving, 0) > 0);
	w->close = true;
	ask_watcher(w);
	tn_buf_fini(&want);
}

/* Goal: in any order of posts, cuts, failed cuts and recomputes a subscriber
 * hears of every change and of none that goes back. */
static void
test_live(void **state)
{
	struct tn_os_table table = tn_os_real;
	const char *seed = getenv("TARN_SEED");

	(void)state;
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
	table.sync = some_sync;
	tn_os_use(&table);
	for (int i = 0; i < 5; i++) {
		struct fixture f;
		struct watcher w = { .f = &f };
		print_message("TARN_SEED=%llu\n",
		    (unsigned long long)random_state);
		make_dir(&f);
		f.pipeline = i % 2 == 0 ? live_pipeline : large_pipeline;
		f.arg = &w;
		run_script(&f, watch);
		remove_dir(&f);
	}
	tn_os_use(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Faults that a reading of the engine found, each shown here once: bodies
 * that wait for each other, output held back by a decompressor, live changes
 * that a cut overtakes, definitions that change and come back. */
#include "engine_fixture.h"

#include "batch/batch_int.h"
#include "ingest/ingest_int.h"
#include "speed/speed_int.h"

#include <sched.h>

#define WAIT_S 60        /* A bound of patience, where something must come. */

#define ROW(id, ts, office, dir, temp) \
	"{\"event_id\":\"" id "\",\"ts\":\"" ts "\",\"office\":\"" office \
	"\",\"direction\":\"" dir "\",\"temp\":" temp "}\n"

/* ---- bodies in pieces, on the loop ------------------------------------ */

struct body {
	struct tn_net_job job;
	struct fixture *f;
	struct tn_net_latch *latch;
	enum tn_coding coding;
	struct tn_slice bytes;
	size_t piece, sent;
	bool end;
	bool full;                  /* Last feed said TN_EFULL. */
	const char *key;
	struct tn_ingest_body *at;
	enum tn_status begun;
	enum tn_status status;
	uint64_t accepted, quarantined;
	char code[40];
};

static void
body_done(void *arg, const struct tn_ingest_result *r)
{
	struct body *b = arg;

	b->status = r->status;
	b->accepted = r->accepted;
	b->quarantined = r->quarantined;
	memcpy(b->code, r->diag.code, sizeof b->code);
	b->at = NULL;
	if (b->end)
		tn_net_latch_open(b->latch);
}

static void
body_feed(void *arg)
{
	struct body *b = arg;

	b->full = false;
	while (b->at != NULL && b->sent < b->bytes.n) {
		size_t n = b->bytes.n - b->sent;
		n = n > b->piece ? b->piece : n;
		b->full = tn_ingest_feed(b->at, (struct tn_slice){
		    b->bytes.p + b->sent, n }) == TN_EFULL;
		if (b->full)
			return;
		b->sent += n;
	}
	if (b->end && b->at != NULL)
		tn_ingest_end(b->at);
	else if (!b->end)
		tn_net_latch_open(b->latch);
}

static void
body_begin(struct tn_net_job *job)
{
	struct body *b = (struct body *)job;
	struct tn_codec_spec *spec = tn_zalloc(sizeof *spec);
	struct tn_diag d = { .line = 0 };
	struct tn_ingest_request r = { .stream = tn_slice_of("badge"),
	    .spec = spec, .source = "test", .coding = b->coding,
	    .done = body_done, .resume = body_feed, .arg = b };

	tn_codec_spec_init(spec, TN_CODEC_NDJSON);
	if (b->key != NULL)
		r.idempotency_key = tn_slice_of(b->key);
	b->begun = tn_ingest_begin(b->f->a.ingest, &r, &b->at, &d);
	if (b->begun != TN_OK)
		tn_net_latch_open(b->latch);
	else
		body_feed(b);
}

static void
body_resume(struct tn_net_job *job)
{
	body_feed(job);
}

/* On the loop; returns when done (end), or when all was fed. */
static void
run_body(struct fixture *f, struct body *b, void (*run)(struct tn_net_job *))
{
	b->f = f;
	b->job.run = run;
	b->latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &b->job);
	tn_net_latch_wait(b->latch);
	tn_net_latch_free(b->latch);
}

static size_t
pending(struct fixture *f)
{
	return __atomic_load_n(&f->a.ingest->pending, __ATOMIC_RELAXED);
}

/* A body is freed a moment after its answer. */
static bool
nothing_pending(struct fixture *f)
{
	for (int i = 0; i < WAIT_S * 100 && pending(f) != 0; i++)
		usleep(10000);
	return pending(f) == 0;
}

static void
add_rows(struct tn_buf *b, uint32_t from, uint32_t count)
{
	for (uint32_t i = from; i < from + count; i++)
		tn_buf_printf(b, "{\"event_id\":\"e%u\",\"ts\":\"2026-03-%02uT"
		    "%02u:00:00Z\",\"office\":\"o%u\",\"direction\":\"in\","
		    "\"temp\":1.5}\n", i, i % 28 + 1, i % 24, i % 7);
}

/* ---- what a decompressor holds back ----------------------------------- */

static void
held_back(struct fixture *f)
{
	uint32_t next = 0;

	/* Frames that do not end where the decoder's buffer does; sizes
	 * around a chunk's end. */
	for (uint32_t rows = 2250; rows < 3600; rows += 150) {
		size_t cut;
		struct tn_buf plain = { 0 }, packed = { 0 };
		struct body b = { .coding = TN_CODING_ZSTD, .piece = 100000,
		    .end = true };
		add_rows(&plain, next, rows);
		next += rows;
		cut = plain.n / 7;
		assert_int_equal(tn_zstd_compress(&packed, (struct tn_slice){
		    plain.p, cut }, 3), TN_OK);
		assert_int_equal(tn_zstd_compress(&packed, (struct tn_slice){
		    plain.p + cut, plain.n - cut }, 3), TN_OK);
		b.bytes = (struct tn_slice){ packed.p, packed.n };
		run_body(f, &b, body_begin);
		assert_int_equal(b.status, TN_OK);
		assert_int_equal(b.accepted, rows);
		tn_buf_fini(&plain);
		tn_buf_fini(&packed);
	}
	assert_true(nothing_pending(f));
}

static char *
pipeline_with(const char *more)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_str(&b, more);
	tn_buf_str(&b, pipeline_text);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static void
run_with(const char *settings, void (*script)(struct fixture *f))
{
	struct fixture f;
	char *text = pipeline_with(settings);

	make_dir(&f);
	f.pipeline = text;
	run_script(&f, script);
	remove_dir(&f);
	tn_free(text);
}

/* Goal: a compressed body whose last block crosses the end of a chunk is
 * taken whole. */
static void
test_held_back(void **state)
{
	(void)state;
	run_with("ALTER SYSTEM SET ingest_chunk_bytes = '128 KiB';",
	    held_back);
}

/* ---- bodies that wait for each other ---------------------------------- */

#define SLOW 100

static void
all_slow(struct fixture *f)
{
	static struct body b[SLOW];
	struct tn_buf text = { 0 };
	int begun = 0;
	uint64_t accepted = 0;

	/* Each brings less than a decoder's job, all together more than may
	 * be on its way; none has ended. */
	memset(b, 0, sizeof b);
	add_rows(&text, 0, 500);
	while (pending(f) <= 4 << 20) {
		assert_true(begun < SLOW);
		b[begun].bytes = (struct tn_slice){ text.p, text.n };
		b[begun].piece = text.n;
		run_body(f, &b[begun], body_begin);
		assert_int_equal(b[begun++].begun, TN_OK);
	}
	/* Every one of them may go on and end. */
	for (int i = 0; i < begun; i++) {
		b[i].sent = 0;
		b[i].piece = 1000;
		b[i].end = true;
		run_body(f, &b[i], body_resume);
		assert_int_equal(b[i].status, TN_OK);
		accepted += b[i].accepted;
	}
	assert_int_equal(accepted, 500);
	assert_true(nothing_pending(f));
	tn_buf_fini(&text);
}

/* Goal: bodies that hold all the room there is between them, each too little
 * to be worth a job, do not wait for each other for ever. */
static void
test_all_slow(void **state)
{
	(void)state;
	run_with("ALTER SYSTEM SET ingest_pending_bytes = '4 MiB';",
	    all_slow);
}

/* ---- a small body that becomes large ---------------------------------- */

static void
inflated(struct fixture *f)
{
	struct tn_buf plain = { 0 }, packed = { 0 };
	struct body b = { .coding = TN_CODING_ZSTD, .piece = 60000,
	    .end = true };

	/* Much is packed in little: the decoder is slower than the sender. */
	for (int i = 0; i < 3000; i++)
		tn_buf_printf(&plain, "{\"event_id\":\"%d\",\"office\":\"%0*d\""
		    "}\n", i, 4000, 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(tn_zstd_compress(&packed, (struct tn_slice){
		    plain.p, plain.n }, 1), TN_OK);
	b.bytes = (struct tn_slice){ packed.p, packed.n };
	run_body(f, &b, body_begin);
	assert_int_equal(b.status, TN_OK);
	assert_int_equal(b.accepted + b.quarantined, 120000);
	assert_true(nothing_pending(f));
	tn_buf_fini(&plain);
	tn_buf_fini(&packed);
}

/* Goal: 480 MB in a small compressed body of many frames are taken, and the
 * count of bytes on their way is nought again. */
static void
test_inflated(void **state)
{
	(void)state;
	run_with("", inflated);
}

/* ---- garbage ---------------------------------------------------------- */

static void
garbage(struct fixture *f)
{
	struct tn_buf text = { 0 };
	struct body b = { .piece = 60000, .end = true };

	for (int i = 0; i < 700000; i++)
		tn_buf_str(&text, "x\n");
	b.bytes = (struct tn_slice){ text.p, text.n };
	run_body(f, &b, body_begin);
	assert_int_equal(b.status, TN_OK);
	assert_int_equal(b.quarantined, 700000);
	tn_buf_fini(&text);
}

/* Goal: rows of one byte, each with a reason of a hundred, fit the log. */
static void
test_garbage(void **state)
{
	(void)state;
	run_with("ALTER SYSTEM SET log_segment_bytes = '64 MiB';", garbage);
}

/* ---- a neighbour that fails ------------------------------------------- */

static void
begin_both(struct tn_net_job *job)
{
	struct body *b = (struct body *)job;

	body_begin(&b[1].job);
	body_begin(&b[0].job);
}

static void
neighbours(struct fixture *f)
{
	char keys[150][16];
	uint32_t refused = 0;

	for (int i = 0; i < 150; i++) {
		char row[200], other[200];
		struct body b[2] = { { .piece = 1000, .end = true },
		    { .piece = 1000, .end = true } };
		snprintf(keys[i], sizeof keys[i], "key-%d", i);
		snprintf(row, sizeof row, ROW("n%d", "2026-03-01T08:00:00Z",
		    "b", "in", "20"), i);
		snprintf(other, sizeof other, ROW("m%d",
		    "2026-03-01T08:00:00Z", "b", "in", "20"), i);
		b[0].bytes = tn_slice_of(row);
		b[1].bytes = tn_slice_of(other);
		b[1].key = keys[i];
		b[1].f = f;
		b[1].latch = tn_net_latch_new();
		run_body(f, &b[0], begin_both);
		tn_net_latch_wait(b[1].latch);
		tn_net_latch_free(b[1].latch);
		assert_int_equal(b[0].status, TN_OK);
		assert_int_equal(b[0].accepted, 1);
		refused += b[1].status == TN_EFULL;
		assert_int_equal(b[1].accepted, b[1].status == TN_OK);
	}
	assert_int_equal(refused, 50);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n250,20\n");
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

/* Goal: a body that the log refuses (too many keys) does not take those down
 * that travel in the same commit. */
static void
test_neighbours(void **state)
{
	(void)state;
	run_with("ALTER SYSTEM SET idempotency_keys_max = '100';",
	    neighbours);
}

/* ---- live ------------------------------------------------------------- */

struct watcher {
	struct tn_net_job job;
	struct fixture *f;
	struct tn_net_latch *latch;
	struct tn_serving_live *live;
	const char *view;
	struct tn_buf text;         /* Of all messages so far; loop. */
	char *copy;
};

static void
told(void *arg, struct tn_slice json)
{
	struct watcher *w = arg;

	tn_buf_add(&w->text, json.p, json.n);
	tn_buf_char(&w->text, '\n');
}

static void
watch(struct tn_net_job *job)
{
	struct watcher *w = (struct watcher *)job;
	struct tn_serving_view_request q = { .view = tn_slice_of(w->view) };
	struct tn_diag d = { .line = 0 };

	w->live = tn_serving_live_open(w->f->a.serving, &q, told, w, &d);
	tn_net_latch_open(w->latch);
}

static void
look(struct tn_net_job *job)
{
	struct watcher *w = (struct watcher *)job;

	w->copy = tn_strdup(tn_buf_cstr(&w->text));
	tn_net_latch_open(w->latch);
}

static void
unwatch(struct tn_net_job *job)
{
	struct watcher *w = (struct watcher *)job;

	tn_serving_live_close(w->live);
	tn_net_latch_open(w->latch);
}

static void
on_loop(struct watcher *w, void (*run)(struct tn_net_job *job))
{
	w->job.run = run;
	w->latch = tn_net_latch_new();
	tn_net_loop_post(w->f->a.loop, &w->job);
	tn_net_latch_wait(w->latch);
	tn_net_latch_free(w->latch);
}

/* Until a message has the text. */
static bool
hears(struct watcher *w, const char *text)
{
	bool found = false;

	for (int i = 0; i < WAIT_S * 100 && !found; i++) {
		on_loop(w, look);
		found = strstr(w->copy, text) != NULL;
		tn_free(w->copy);
		if (!found)
			usleep(10000);
	}
	return found;
}

static void
overtaken(struct fixture *f)
{
	struct watcher w = { .f = f, .view = "total" };
	struct watcher h = { .f = f, .view = "many" };
	struct call c;

	on_loop(&w, watch);
	on_loop(&h, watch);
	assert_true(hears(&w, "snapshot"));
	/* Change and cut between two questions, from the very first on. */
	for (int i = 0; i < 4; i++) {
		char row[200], want[40];
		snprintf(row, sizeof row, ROW("r%d", "2026-03-01T08:00:00Z",
		    "b", "in", "20"), i);
		c = post(f, "badge", row, NULL);
		assert_int_equal(c.result.accepted, 1);
		assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
		snprintf(want, sizeof want, "\"rows\":[[%d,20]]", i + 1);
		assert_true(hears(&w, want));
		/* HAVING count(*) < 4: then the row has gone. */
		snprintf(want, sizeof want, "\"rows\":[[\"b\",%d]]", i + 1);
		assert_true(hears(&h, i < 3 ? want : "\"rows\":[],"));
	}
	on_loop(&w, unwatch);
	on_loop(&h, unwatch);
	for (int i = 0; i < 6; i++) {
		char row[200];
		snprintf(row, sizeof row, ROW("s%d", "2026-03-01T08:00:00Z",
		    "b", "in", "20"), i);
		c = post(f, "badge", row, NULL);
		assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	}
	for (uint32_t v = 0; v < f->a.model->view_count; v++)
		assert_null(f->a.speed->tails[v].changed);
	tn_buf_fini(&w.text);
	tn_buf_fini(&h.text);
}

/* Goal: a live subscriber hears of every change, also of one that went to
 * gold between two questions and of a row that HAVING takes away; when
 * nobody listens, nothing piles up. */
static void
test_overtaken(void **state)
{
	(void)state;
	run_with("ALTER SYSTEM SET live_interval = '300 ms';"
	    "CREATE MATERIALIZED VIEW many AS SELECT office, count(*) AS n"
	    " FROM badge GROUP BY office HAVING count(*) < 4;", overtaken);
}

/* ---- SQL -------------------------------------------------------------- */

static void
queries(struct fixture *f)
{
	struct tn_buf text = { 0 };
	struct body b = { .piece = 60000, .end = true };

	for (int i = 0; i < 3; i++) {
		tn_buf_clear(&text);
		add_rows(&text, (uint32_t)i * 1000, 1000);
		b = (struct body){ .piece = 60000, .end = true,
		    .bytes = { text.p, text.n } };
		run_body(f, &b, body_begin);
		assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	}
	expect_sql(f, "SELECT office FROM badge WHERE office = 'o3' LIMIT 3",
	    "office\no3\no3\no3\n");
	expect_sql(f, "SELECT count(*) FROM badge", "count\n3000\n");
	expect_sql(f, "SELECT count(*) FROM badge WHERE ts > now() - "
	    "interval '10000 days' AND ts < now() + interval '10000 days'",
	    "count\n3000\n");
	expect_sql(f, "SELECT count(*) FROM badge WHERE ts > now() + "
	    "interval '10000 days'", "count\n0\n");
	tn_buf_fini(&text);
}

/* Goal: LIMIT over many files, WHERE with now(). */
static void
test_queries(void **state)
{
	(void)state;
	run_with("", queries);
}

/* ---- definitions that change ------------------------------------------ */

#define TABLE(generated) \
	"CREATE TABLE t (id text PRIMARY KEY, x int8, y int8 GENERATED " \
	"ALWAYS AS (" generated ") STORED);"
#define SUM_VIEW "CREATE MATERIALIZED VIEW s AS SELECT sum(y) AS s, " \
	"count(*) AS n FROM t;"
#define OTHER "CREATE MATERIALIZED VIEW o AS SELECT max(y) AS m FROM t;"

static void
two_rows(struct fixture *f)
{
	struct call c = post(f, "t", "{\"id\":\"1\",\"x\":1}\n"
	    "{\"id\":\"2\",\"x\":2}\n", NULL);

	assert_int_equal(c.result.accepted, 2);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	c = post(f, "t", "{\"id\":\"3\",\"x\":3}\n", NULL);
	assert_int_equal(c.result.accepted, 1);
	expect_view(f, "s", TN_LAYER_MERGED, "s,n\n6,3\n");
}

static void
ten_times(struct fixture *f)
{
	expect_view(f, "s", TN_LAYER_MERGED, "s,n\n60,3\n");
	expect_sql(f, "SELECT sum(y) FROM t", "sum\n60\n");
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

static void
without_view(struct fixture *f)
{
	struct call c = post(f, "t", "{\"id\":\"4\",\"x\":4}\n", NULL);

	assert_int_equal(c.result.accepted, 1);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	expect_view(f, "o", TN_LAYER_MERGED, "m\n40\n");
}

static void
back_again(struct fixture *f)
{
	expect_view(f, "s", TN_LAYER_MERGED, "s,n\n100,4\n");
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

static void
no_small_ones(struct fixture *f)
{
	/* x NOT NULL with a check on a new column: x became text. */
	expect_sql(f, "SELECT count(*) FROM t WHERE x = '4'", "count\n1\n");
	expect_view(f, "s", TN_LAYER_MERGED, "s,n\n10,4\n");
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

/* Goal: when a generated column, a type or the set of views changes between
 * two starts, views and SQL say what the definition in force says of all
 * events, and verify agrees. */
static void
test_definitions(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = TABLE("x") SUM_VIEW;
	run_script(&f, two_rows);
	f.pipeline = TABLE("x * 10") SUM_VIEW;
	run_script(&f, ten_times);
	f.pipeline = TABLE("x * 10") OTHER;
	run_script(&f, without_view);
	f.pipeline = TABLE("x * 10") SUM_VIEW;
	run_script(&f, back_again);
	f.pipeline = "CREATE TABLE t (id text PRIMARY KEY, x text, y int8 "
	    "GENERATED ALWAYS AS (x::int8) STORED);" SUM_VIEW;
	run_script(&f, no_small_ones);
	remove_dir(&f);
}

/* ---- compaction ------------------------------------------------------- */

static void
many_cuts(struct fixture *f)
{
	for (int i = 0; i < 25; i++) {
		char row[400];
		snprintf(row, sizeof row, ROW("c%d", "2026-03-01T08:00:00Z",
		    "b", "in", "20") "no json\n", i);
		struct call c = post(f, "badge", row, NULL);
		assert_int_equal(c.result.accepted, 1);
		assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	}
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    f->a.catalog);
	assert_true(s->count < 40);
	tn_catalog_snapshot_put(s);
}

/* Goal: many small cuts leave few files, and they hold the same. */
static void
test_compaction(void **state)
{
	(void)state;
	run_with("", many_cuts);
}

/* ---- stopping --------------------------------------------------------- */

struct late {
	const struct tn_batch_jobs *batch;
	uint32_t done, closed;
};

/* The first one holds the batch thread until the program stops. */
static void
late_done(void *arg, const struct tn_batch_report *r)
{
	struct late *l = arg;

	while (__atomic_load_n(&l->batch->stopping, __ATOMIC_SEQ_CST) == 0)
		(void)sched_yield();
	l->done++;
	l->closed += r->status == TN_ECLOSED;
}

static struct late late;

static void
queue_many(struct fixture *f)
{
	struct tn_batch_request r = { .kind = TN_BATCH_VERIFY,
	    .reason = "request", .done = late_done, .arg = &late };

	many_cuts(f);
	late.batch = f->a.batch;
	for (int i = 0; i < 60; i++)
		assert_int_equal(tn_batch_post(f->a.batch, &r), TN_OK);
}

/* Goal: jobs that wait when the program stops are told so, and every one is
 * told something. */
static void
test_stopping(void **state)
{
	(void)state;
	memset(&late, 0, sizeof late);
	run_with("", queue_many);
	assert_int_equal(late.done, 60);
	assert_in_range(late.closed, 59, 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held_back),
		cmocka_unit_test(test_all_slow),
		cmocka_unit_test(test_inflated),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_definitions),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_stopping),
	};

	tn_say_setup(TN_WARN, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

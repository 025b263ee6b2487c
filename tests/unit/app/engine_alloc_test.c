/* wrap: tn_try_alloc tn_try_realloc tn_arena_try_alloc */
/* The engine's promise when memory is out for what comes from outside: one
 * scenario is run with its Nth such allocation failing, for N from 1 until a
 * run sees no failure. The scenario: JSON, NDJSON and CSV bodies, plain, gzip
 * and zstd, with keys of their own and with Idempotency-Keys, rows that go to
 * quarantine; queries, views, a live feed, quarantine; cuts with compaction,
 * recompute and verify.
 *
 * A failure is an answer (TN_ENOMEM), never a crash, a leak or a wrong number:
 * what was acknowledged is there once, what was not is there not at all, a
 * question gives the right answer or none. What failed is asked again at once
 * and must succeed, since memory was out for one allocation only. Then the
 * folder is opened again and must hold the same.
 *
 * Small allocations are not made to fail: those end the process, and what then
 * is left tests/e2e/memory.test.mjs looks at. So all that fails here is at
 * least a buffer's first 4 KiB or a size that rows decide, and the bodies are
 * long enough for that.
 *
 * Not every N is run: a stride, from a start that the seed gives (all with
 * SOAK=1, every Kth with TARN_STRIDE=K, one with TARN_FAIL_AT=N). */
#include "engine_fixture.h"
#include "quiet.h"

#include <stdatomic.h>

static const char alloc_pipeline[] =
    "ALTER SYSTEM SET young_files_max = '1';"
    "ALTER SYSTEM SET ingest_chunk_bytes = '64 KiB';"
    "ALTER SYSTEM SET ingest_threads = '1';"
    "ALTER SYSTEM SET live_interval = '10 ms';"
    "CREATE TABLE ev (id text PRIMARY KEY, batch int NOT NULL"
    " CHECK (batch > 0), seq int NOT NULL, ts timestamptz NOT NULL,"
    " note text, doc jsonb, kind text DEFAULT 'plain',"
    " words text GENERATED ALWAYS AS (upper(note)) STORED)"
    " WITH (event_time = 'ts', max_future_skew = '40000 days');"
    "CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL,"
    " ts timestamptz NOT NULL) WITH (event_time = 'ts',"
    " max_future_skew = '40000 days');"
    "CREATE TABLE names (batch int PRIMARY KEY, name text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW ev_batches AS SELECT batch, count(*) AS n,"
    " count(DISTINCT seq) AS seqs FROM ev GROUP BY batch;"
    "CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n,"
    " count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;"
    "CREATE MATERIALIZED VIEW named AS SELECT o.name, count(*) AS n"
    " FROM ev e LEFT JOIN names o ON o.batch = e.batch GROUP BY o.name;"
    "CREATE MATERIALIZED VIEW words AS SELECT words, kind, doc->>'k' AS k,"
    " count(*) AS n FROM ev GROUP BY words, kind, k;";

/* ---- failing allocations --------------------------------------------- */

static struct {
	atomic_uint calls;
	atomic_uint fired;
	atomic_bool armed;
	uint32_t fail_at;
} fault;

static bool
fails_now(void)
{
	if (!atomic_load(&fault.armed) ||
	    atomic_fetch_add(&fault.calls, 1) + 1 != fault.fail_at)
		return false;
	atomic_fetch_add(&fault.fired, 1);
	return true;
}

#define WRAP(name, params, args) \
	void *__real_##name params; \
	void *__wrap_##name params; \
	void *__wrap_##name params \
	{ \
		return fails_now() ? NULL : __real_##name args; \
	}
WRAP(tn_try_alloc, (size_t n), (n))
WRAP(tn_try_realloc, (void *p, size_t n), (p, n))
WRAP(tn_arena_try_alloc, (struct tn_arena *a, size_t n), (a, n))

/* cmocka's checks jump, which the driver thread must not. */
static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stdout, "allocation %u: %s\n", (unsigned)fault.fail_at, what);
	fflush(stdout);
	abort();
}

/* ---- bodies ---------------------------------------------------------- */

struct body {
	const char *stream;
	enum tn_codec_format format;
	enum tn_coding coding;
	uint32_t batch, rows;
	bool bad_row, keyed;
};
static const struct body bodies[] = {
	{ "names", TN_CODEC_JSON, TN_CODING_IDENTITY, 1, 300, false, false },
	{ "ev", TN_CODEC_JSON, TN_CODING_IDENTITY, 2, 90, true, false },
	{ "ev", TN_CODEC_NDJSON, TN_CODING_GZIP, 3, 120, false, true },
	{ "plain", TN_CODEC_CSV, TN_CODING_IDENTITY, 4, 4000, false, true },
	{ "ev", TN_CODEC_CSV, TN_CODING_ZSTD, 5, 100, true, false },
	{ "plain", TN_CODEC_NDJSON, TN_CODING_ZSTD, 6, 900, false, true },
	{ "plain", TN_CODEC_JSON, TN_CODING_GZIP, 7, 400, false, true },
};
enum { BODIES = sizeof bodies / sizeof bodies[0] };
struct run {
	bool acked[BODIES];
	struct tn_buf text[BODIES];
	uint64_t taken[BODIES];      /* Rows, of answers that were problems. */
	uint32_t live_rows;          /* Atomic: messages of the feed. */
};

static void
put_row(struct tn_buf *t, const struct body *b, uint32_t k)
{
	const char *end = b->format == TN_CODEC_JSON && k > 0 ? "," : "";
	uint32_t day = k % 3 + 1, batch = b->batch;

	if (b->format == TN_CODEC_CSV && strcmp(b->stream, "ev") == 0)
		tn_buf_printf(t, "%u-%u,%u,%u,2026-03-0%uT05:00:00Z,\"say "
		    "\"\"%u\"\"\",\"{\"\"k\"\": [%u]}\"\n", batch, k, batch, k,
		    day, k, k);
	else if (b->format == TN_CODEC_CSV)
		tn_buf_printf(t, "%u,%u,2026-03-0%uT05:00:00Z\n", batch, k,
		    day);
	else if (strcmp(b->stream, "names") == 0)
		tn_buf_printf(t, "%s{\"batch\":%u,\"name\":\"name %u\"}\n",
		    end, k, k % 7);
	else if (strcmp(b->stream, "ev") == 0)
		tn_buf_printf(t, "%s{\"id\":\"%u-%u\",\"batch\":%u,\"seq\":%u,"
		    "\"ts\":\"2026-03-0%uT05:00:00Z\",\"note\":\"say \\\"%u\\\" "
		    "and more\",\"doc\":{\"k\":[%u,2,3],\"b\":\"\\u00e4\"}}\n",
		    end, batch, k, batch, k, day, k, k);
	else
		tn_buf_printf(t, "%s{\"batch\":%u,\"seq\":%u,\"ts\":\"2026-03-"
		    "0%uT05:00:00Z\"}\n", end, batch, k, day);
}

static void
make_text(struct tn_buf *out, const struct body *b)
{
	struct tn_buf t = { 0 };
	struct body bad = *b;
	enum tn_status st = TN_OK;

	if (b->format == TN_CODEC_CSV)
		tn_buf_str(&t, strcmp(b->stream, "ev") == 0 ?
		    "id,batch,seq,ts,note,doc\n" : "batch,seq,ts\n");
	if (b->format == TN_CODEC_JSON)
		tn_buf_char(&t, '[');
	for (uint32_t k = 0; k < b->rows; k++)
		put_row(&t, b, k);
	bad.batch = 0;
	if (b->bad_row)
		put_row(&t, &bad, b->rows);
	if (b->format == TN_CODEC_JSON)
		tn_buf_char(&t, ']');
	if (b->coding == TN_CODING_GZIP)
		st = tn_gzip_compress(out, (struct tn_slice){ t.p, t.n }, 6);
	else if (b->coding == TN_CODING_ZSTD)
		st = tn_zstd_compress(out, (struct tn_slice){ t.p, t.n }, 3);
	else
		tn_buf_add(out, t.p, t.n);
	assert_int_equal(st, TN_OK);
	tn_buf_fini(&t);
}

/* ---- a client's calls ------------------------------------------------- */

struct send {
	struct call c;
	const struct body *body;
};

static void
run_send(struct tn_net_job *job)
{
	struct send *s = (struct send *)job;
	struct call *c = &s->c;
	struct tn_codec_spec *spec = tn_zalloc(sizeof *spec);
	struct tn_ingest_request r = { .stream = tn_slice_of(s->body->stream),
	    .spec = spec, .source = "test", .coding = s->body->coding,
	    .done = posted, .resume = go_on, .arg = c };

	tn_codec_spec_init(spec, s->body->format);
	if (c->key != NULL)
		r.idempotency_key = tn_slice_of(c->key);
	c->result.status = tn_ingest_begin(c->f->a.ingest, &r, &c->at,
	    &c->result.diag);
	if (c->result.status == TN_OK)
		go_on(c);
	else
		tn_net_latch_open(c->latch);
}

static struct call
send_once(struct fixture *f, uint32_t i)
{
	struct run *r = f->arg;
	char key[24];
	struct send s = { .body = &bodies[i], .c = { .f = f, .piece = 20000,
	    .key = bodies[i].keyed ? key : NULL,
	    .body = { r->text[i].p, r->text[i].n } } };

	snprintf(key, sizeof key, "key-%u", (unsigned)i);
	s.c.job.run = run_send;
	s.c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &s.c.job);
	tn_net_latch_wait(s.c.latch);
	tn_net_latch_free(s.c.latch);
	return s.c;
}

/* Sent, and once more when memory was out: then it is taken. */
static void
send_body(struct fixture *f, uint32_t i)
{
	struct run *r = f->arg;
	const struct body *b = &bodies[i];
	struct call c = send_once(f, i);

	if (c.result.status != TN_OK) {
		must(c.result.status == TN_ENOMEM, "another failure");
		must(c.result.accepted <= b->rows, "a problem's counts");
		c = send_once(f, i);
	}
	if (c.result.status != TN_OK)
		print_message("body %u: %s\n", (unsigned)i,
		    c.result.diag.message);
	must(c.result.status == TN_OK, "refused a second time");
	/* Rows without a key of their own count on the body's; others that
	 * were taken before the failure are duplicates now. */
	must(c.result.accepted + c.result.duplicates == b->rows &&
	    c.result.quarantined == b->bad_row, "an answer's counts");
	r->acked[i] = true;
}

/* Out, or for a view's states: full. */
static bool
is_memory(enum tn_status st)
{
	return st == TN_ENOMEM || st == TN_EFULL;
}

/* The text of an answer; NULL: memory was out. */
static char *
ask(struct fixture *f, const char *view_name, const char *sql)
{
	struct call c = { .f = f, .view = view_name, .sql = sql };
	char *text = NULL;

	tn_speed_flush(f->a.speed);
	c.job.run = run_get;
	c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &c.job);
	tn_net_latch_wait(c.latch);
	tn_net_latch_free(c.latch);
	if (c.answer->status == TN_OK)
		text = tn_strndup((char *)c.answer->body.p, c.answer->body.n);
	else if (!is_memory(c.answer->status))
		print_message("%s: %s\n", sql != NULL ? sql : view_name,
		    c.answer->diag.message);
	must(text != NULL || is_memory(c.answer->status),
	    "a question failed otherwise");
	tn_serving_answer_unref(c.answer);
	return text;
}

/* With a second try. */
static char *
ask_stubbornly(struct fixture *f, const char *view_name, const char *sql)
{
	char *text = ask(f, view_name, sql);

	if (text == NULL)
		text = ask(f, view_name, sql);
	must(text != NULL, "a question failed a second time");
	return text;
}

static void
expect_rows(struct fixture *f, const char *sql, uint32_t want)
{
	char text[40], *got_text = ask_stubbornly(f, NULL, sql);

	snprintf(text, sizeof text, "n\n%u\n", (unsigned)want);
	if (strcmp(got_text, text) != 0)
		print_message("%s: %s", sql, got_text);
	must(strcmp(got_text, text) == 0, "rows of a stream");
	tn_free(got_text);
}

static void
job(struct fixture *f, enum tn_batch_kind kind)
{
	struct tn_batch_request q = { .kind = kind, .reason = "request" };
	struct tn_batch_report out;
	enum tn_status st = TN_ENOMEM;

	tn_speed_flush(f->a.speed);
	for (int tries = 0; tries < 2 && st == TN_ENOMEM; tries++) {
		memset(&out, 0, sizeof out);
		st = tn_batch_run(f->a.batch, &q, &out);
		if (st != TN_OK && st != TN_ENOMEM)
			print_message("batch: %s\n%s\n", out.diag.message,
			    tn_buf_cstr(&out.text));
		must(st == TN_ENOMEM || out.differences == 0,
		    "verify found differences");
		tn_buf_fini(&out.text);
	}
	must(st == TN_OK, "a job failed a second time");
}

/* ---- the live feed ---------------------------------------------------- */

struct feed {
	struct tn_net_job job;
	struct fixture *f;
	struct tn_net_latch *latch;
	struct tn_serving_live *live;
};

static void
told(void *arg, struct tn_slice json)
{
	struct run *r = arg;

	must(json.n > 2 && json.p[0] == '{' && json.p[json.n - 1] == '}',
	    "a message is cut");
	__atomic_add_fetch(&r->live_rows, 1, __ATOMIC_RELAXED);
}

static void
run_feed(struct tn_net_job *j)
{
	struct feed *x = (struct feed *)j;
	struct tn_serving_view_request q = { .view = tn_slice_of("words") };
	struct tn_diag d;

	if (x->live == NULL) {
		x->live = tn_serving_live_open(x->f->a.serving, &q, told,
		    x->f->arg, &d);
		must(x->live != NULL, "the feed does not open");
	} else {
		tn_serving_live_close(x->live);
	}
	tn_net_latch_open(x->latch);
}

static void
on_loop(struct feed *x)
{
	x->job.run = run_feed;
	x->latch = tn_net_latch_new();
	tn_net_loop_post(x->f->a.loop, &x->job);
	tn_net_latch_wait(x->latch);
	tn_net_latch_free(x->latch);
}

/* ---- the scenario ----------------------------------------------------- */

static void
count_of(const char *text, uint32_t batch, uint32_t *n, uint32_t *seqs)
{
	char want[24];
	const char *at;

	snprintf(want, sizeof want, "\n%u,", (unsigned)batch);
	at = strstr(text, want);
	*n = *seqs = 0;
	if (at != NULL)
		must(sscanf(at + strlen(want), "%u,%u", n, seqs) == 2,
		    "the view's text");
}

/* What was acknowledged is there once; the rest not at all. */
static void
check(struct fixture *f)
{
	struct run *r = f->arg;
	char *ev = ask_stubbornly(f, "ev_batches", NULL);
	char *plain = ask_stubbornly(f, "plain_batches", NULL);
	uint32_t sum[2] = { 0, 0 };

	for (uint32_t i = 1; i < BODIES; i++) {
		bool is_ev = strcmp(bodies[i].stream, "ev") == 0;
		uint32_t n, seqs;
		count_of(is_ev ? ev : plain, bodies[i].batch, &n, &seqs);
		must(n == seqs, "a row is there twice");
		must(n == (r->acked[i] ? bodies[i].rows : 0),
		    "an acknowledged row is gone, or another is there");
		sum[is_ev] += n;
	}
	tn_free(ev);
	tn_free(plain);
	expect_rows(f, "SELECT count(*) AS n FROM ev", sum[1]);
	expect_rows(f, "SELECT count(*) AS n FROM plain", sum[0]);
	expect_rows(f, "SELECT count(*) AS n FROM ev WHERE "
	    "words LIKE 'SAY \"%'", sum[1]);
}

static void
questions(struct fixture *f)
{
	char *text = ask_stubbornly(f, NULL, "SELECT id, seq, repeat(note, "
	    "20) || id AS t FROM ev ORDER BY seq DESC, id LIMIT 70");
	size_t n = strlen(text);

	must(n > 10000, "a long answer is short");
	tn_free(text);
	text = ask_stubbornly(f, NULL, "SELECT DISTINCT lpad(note, 300) AS t,"
	    " ((doc::text)::jsonb)::text AS d FROM ev");
	must(strlen(text) > 10000, "a distinct answer is short");
	tn_free(text);
	text = ask_stubbornly(f, NULL, "SELECT name, batch FROM names ORDER "
	    "BY batch");
	must(strlen(text) > 2000, "a reference table is short");
	tn_free(text);
	text = ask_stubbornly(f, NULL, "SELECT note, count(*) AS n, "
	    "min(words) AS w FROM ev GROUP BY note ORDER BY w");
	must(strlen(text) > 2000, "groups are missing");
	tn_free(text);
}

static void
scenario(struct fixture *f)
{
	struct feed feed = { .f = f };

	on_loop(&feed);
	for (uint32_t i = 0; i < 3; i++)
		send_body(f, i);
	questions(f);
	job(f, TN_BATCH_CUT);
	for (uint32_t i = 3; i < 5; i++)
		send_body(f, i);
	send_body(f, 2);
	check(f);
	job(f, TN_BATCH_CUT);
	questions(f);
	for (uint32_t i = 5; i < BODIES; i++)
		send_body(f, i);
	send_body(f, 1);
	job(f, TN_BATCH_CUT);
	job(f, TN_BATCH_RECOMPUTE);
	job(f, TN_BATCH_VERIFY);
	check(f);
	on_loop(&feed);
}

static void
again(struct fixture *f)
{
	check(f);
	for (uint32_t i = 0; i < BODIES; i++)
		send_body(f, i);
	check(f);
	job(f, TN_BATCH_VERIFY);
}

/* ---- every N ---------------------------------------------------------- */

/* A start may fail for want of memory; the next one does not. */
static void
start(struct fixture *f, void (*script)(struct fixture *f))
{
	struct tn_diag d;
	enum tn_status st = try_engine(f, &d);

	if (st == TN_ENOMEM) {
		tn_app_engine_close(&f->a);
		st = try_engine(f, &d);
	}
	if (st != TN_OK)
		print_message("start: %s: %s\n", tn_status_text(st),
		    d.message);
	must(st == TN_OK, "the engine does not start");
	run_open(f, script);
}

/* False when no allocation failed: there are fewer than N. */
static bool
run_with(uint32_t fail_at)
{
	struct run r = { .live_rows = 0 };
	struct fixture f;
	bool fired;

	memset(&f, 0, sizeof f);
	snprintf(f.dir, sizeof f.dir, "/dev/shm/tarn-engine-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	f.pipeline = alloc_pipeline;
	f.keep_us = 1;
	f.arg = &r;
	for (uint32_t i = 0; i < BODIES; i++)
		make_text(&r.text[i], &bodies[i]);
	fault.calls = 0;
	fault.fired = 0;
	fault.fail_at = fail_at;
	fault.armed = true;
	start(&f, scenario);
	start(&f, again);
	fired = fault.fired > 0;
	fault.armed = false;
	start(&f, again);
	must(r.live_rows > 0, "the feed said nothing");
	for (uint32_t i = 0; i < BODIES; i++)
		tn_buf_fini(&r.text[i]);
	remove_dir(&f);
	return fired;
}

/* Goal: any one allocation of outside size fails. */
static void
test_every_one(void **state)
{
	uint32_t stride = 211, at = 1, ran = 0;
	int64_t begun = tn_os_mono_us();
	const char *seed = getenv("TARN_SEED");

	(void)state;
	if (getenv("SOAK") != NULL)
		stride = 1;
	if (getenv("TARN_STRIDE") != NULL)
		stride = (uint32_t)atoi(getenv("TARN_STRIDE"));
	if (seed != NULL)
		at += (uint32_t)strtoul(seed, NULL, 10) % stride;
	if (getenv("TARN_FAIL_AT") != NULL) {
		run_with((uint32_t)atoi(getenv("TARN_FAIL_AT")));
		return;
	}
	for (; run_with(at); at += stride)
		ran++;
	print_message("every %uth: %u of about %u allocations, %.1f s\n",
	    (unsigned)stride, (unsigned)ran, (unsigned)at,
	    (double)(tn_os_mono_us() - begun) / 1e6);
	assert_true(at > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_one),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	/* The engine says each failure, which is right and long. */
	if (getenv("TARN_FAIL_AT") == NULL)
		quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

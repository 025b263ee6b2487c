/* The whole engine in one process: events in, both layers, cuts, restarts,
 * recompute and verify, without a door. The loop runs on the main thread of
 * the test; a driver thread does what a client would. */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "app/run_int.h"

static const char pipeline_text[] =
    "CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " office text NOT NULL, direction text NOT NULL"
    " CHECK (direction IN ('in','out')), temp double precision)"
    " WITH (event_time = 'ts', max_future_skew = '40000 days');"
    "CREATE TABLE offices (office text PRIMARY KEY, city text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW hourly AS SELECT office,"
    " date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS n,"
    " count(*) FILTER (WHERE direction = 'in') AS entries,"
    " avg(temp) AS temp, count(DISTINCT event_id) AS ids"
    " FROM badge GROUP BY office, hour;"
    "CREATE MATERIALIZED VIEW cities AS SELECT o.city, count(*) AS n"
    " FROM badge b LEFT JOIN offices o ON o.office = b.office"
    " GROUP BY o.city;"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n,"
    " max(temp) AS hottest FROM badge;";

struct fixture {
	char dir[64];
	struct app a;
	pthread_t driver;
	void (*script)(struct fixture *f);
};

/* ---- a client's calls, on the driver thread --------------------------- */

struct call {
	struct tn_net_job job;
	struct fixture *f;
	struct tn_net_latch *latch;
	/* post */
	const char *stream, *key;
	struct tn_slice body;
	size_t piece;
	struct tn_ingest_body *at;
	size_t sent;
	struct tn_ingest_result result;
	char code[40];
	/* get */
	const char *view, *sql;
	enum tn_serving_layer layer;
	struct tn_serving_answer *answer;
};

static void
posted(void *arg, const struct tn_ingest_result *r)
{
	struct call *c = arg;

	c->result = *r;
	memcpy(c->code, r->diag.code, sizeof c->code);
	c->at = NULL;
	tn_net_latch_open(c->latch);
}

static void
go_on(void *arg)
{
	struct call *c = arg;

	while (c->at != NULL && c->sent < c->body.n) {
		size_t n = c->body.n - c->sent;
		if (n > c->piece)
			n = c->piece;
		if (tn_ingest_feed(c->at, (struct tn_slice){
		    c->body.p + c->sent, n }) == TN_EFULL)
			return;
		c->sent += n;
	}
	if (c->at != NULL)
		tn_ingest_end(c->at);
}

static void
run_post(struct tn_net_job *job)
{
	struct call *c = (struct call *)job;
	struct tn_codec_spec *spec = tn_zalloc(sizeof *spec);
	struct tn_ingest_request r = { .stream = tn_slice_of(c->stream),
	    .spec = spec, .source = "test", .done = posted,
	    .resume = go_on, .arg = c };

	tn_codec_spec_init(spec, TN_CODEC_NDJSON);
	if (c->key != NULL)
		r.idempotency_key = tn_slice_of(c->key);
	c->result.status = tn_ingest_begin(c->f->a.ingest, &r, &c->at,
	    &c->result.diag);
	if (c->result.status != TN_OK) {
		tn_net_latch_open(c->latch);
		return;
	}
	go_on(c);
}

static struct call
post(struct fixture *f, const char *stream, const char *body,
    const char *key)
{
	struct call c = { .f = f, .stream = stream, .key = key,
	    .body = tn_slice_of(body), .piece = 10000 };

	c.job.run = run_post;
	c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &c.job);
	tn_net_latch_wait(c.latch);
	tn_net_latch_free(c.latch);
	return c;
}

static void
got(void *arg, struct tn_serving_answer *a)
{
	struct call *c = arg;

	c->answer = a;
	tn_net_latch_open(c->latch);
}

static void
run_get(struct tn_net_job *job)
{
	struct call *c = (struct call *)job;
	struct tn_serving_view_request v = { .layer = c->layer,
	    .format = TN_FORMAT_CSV };
	struct tn_serving_sql_request q = { .format = TN_FORMAT_CSV };

	if (c->sql != NULL) {
		q.text = tn_slice_of(c->sql);
		tn_serving_sql(c->f->a.serving, &q, got, c);
	} else {
		v.view = tn_slice_of(c->view);
		tn_serving_view_get(c->f->a.serving, &v, got, c);
	}
}

static char *
answer_of(struct call *c)
{
	char *text;

	c->job.run = run_get;
	c->latch = tn_net_latch_new();
	tn_net_loop_post(c->f->a.loop, &c->job);
	tn_net_latch_wait(c->latch);
	tn_net_latch_free(c->latch);
	if (c->answer->status != TN_OK)
		print_message("answer: %s\n", c->answer->diag.message);
	assert_int_equal(c->answer->status, TN_OK);
	text = tn_strndup((char *)c->answer->body.p, c->answer->body.n);
	tn_serving_answer_unref(c->answer);
	return text;
}

static char *
view(struct fixture *f, const char *name, enum tn_serving_layer layer)
{
	struct call c = { .f = f, .view = name, .layer = layer };

	return answer_of(&c);
}

static void
expect_view(struct fixture *f, const char *name, enum tn_serving_layer layer,
    const char *want)
{
	/* Committed rows reach the folds a moment later. */
	tn_speed_flush(f->a.speed);
	char *got_text = view(f, name, layer);
	assert_string_equal(got_text, want);
	tn_free(got_text);
}

static void
expect_sql(struct fixture *f, const char *sql, const char *want)
{
	struct call c = { .f = f, .sql = sql };
	char *text;

	tn_speed_flush(f->a.speed);
	text = answer_of(&c);
	assert_string_equal(text, want);
	tn_free(text);
}

static struct tn_batch_report
batch(struct fixture *f, enum tn_batch_kind kind)
{
	struct tn_batch_request r = { .kind = kind, .reason = "request" };
	struct tn_batch_report out;

	memset(&out, 0, sizeof out);
	tn_speed_flush(f->a.speed);
	if (tn_batch_run(f->a.batch, &r, &out) != TN_OK)
		print_message("batch: %s\n%s\n", out.diag.message,
		    tn_buf_cstr(&out.text));
	tn_buf_fini(&out.text);
	return out;
}

/* ---- opening and closing --------------------------------------------- */

static void
open_engine(struct fixture *f)
{
	struct tn_sql_source s = { "test.sql", tn_slice_of(pipeline_text) };
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	memset(&f->a, 0, sizeof f->a);
	f->a.data = f->dir;
	tn_app_settings_init(&f->a.set);
	st = tn_sql_load(&f->a.pipeline, &s, 1, &d);
	if (st == TN_OK)
		st = tn_app_engine_open(&f->a, &d);
	if (st != TN_OK)
		print_message("%s:%u:%u %s\n", d.file, d.line, d.column,
		    d.message);
	assert_int_equal(st, TN_OK);
}

static void *
drive(void *arg)
{
	struct fixture *f = arg;

	f->script(f);
	tn_net_loop_stop(f->a.loop);
	return NULL;
}

static void
run_script(struct fixture *f, void (*script)(struct fixture *f))
{
	open_engine(f);
	f->script = script;
	assert_int_equal(pthread_create(&f->driver, NULL, drive, f), 0);
	tn_net_loop_run(f->a.loop);
	pthread_join(f->driver, NULL);
	tn_app_engine_close(&f->a);
}

static void
make_dir(struct fixture *f)
{
	snprintf(f->dir, sizeof f->dir, "/tmp/tarn-engine-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
}

static void
remove_dir(struct fixture *f)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
}

/* ---- scripts --------------------------------------------------------- */

#define ROW(id, ts, office, dir, temp) \
	"{\"event_id\":\"" id "\",\"ts\":\"" ts "\",\"office\":\"" office \
	"\",\"direction\":\"" dir "\",\"temp\":" temp "}\n"

static void
first_steps(struct fixture *f)
{
	struct call c;

	c = post(f, "offices", "{\"office\":\"b\",\"city\":\"Berlin\"}\n",
	    NULL);
	assert_int_equal(c.result.status, TN_OK);
	c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    ROW("2", "2026-03-01T08:30:00Z", "b", "out", "22")
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    ROW("3", "2026-03-01T08:30:00Z", "b", "sideways", "22")
	    "not json\n", NULL);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, 2);
	assert_int_equal(c.result.duplicates, 1);
	assert_int_equal(c.result.quarantined, 2);
	assert_int_equal(c.result.first_offset, 0);
	assert_int_equal(c.result.last_offset, 4);
	expect_view(f, "hourly", TN_LAYER_MERGED,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,2,1,21,2\n");
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n");
	expect_view(f, "cities", TN_LAYER_MERGED, "city,n\nBerlin,2\n");
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n2,22\n");
	expect_sql(f, "SELECT office, count(*) FROM badge GROUP BY 1",
	    "office,count\nb,2\n");
}

static void
cut_and_more(struct fixture *f)
{
	struct tn_batch_report r;
	struct call c;

	/* After the restart: replayed from the log. */
	expect_view(f, "cities", TN_LAYER_MERGED, "city,n\nBerlin,2\n");
	r = batch(f, TN_BATCH_CUT);
	assert_int_equal(r.status, TN_OK);
	assert_int_equal(r.rows, 6);
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,2,1,21,2\n");
	expect_view(f, "hourly", TN_LAYER_SPEED,
	    "office,hour,n,entries,temp,ids\n");
	/* A late row, a duplicate of one in the lake, a new one. */
	c = post(f, "badge",
	    ROW("4", "2026-02-28T23:59:59Z", "c", "in", "-1.5")
	    ROW("2", "2026-03-01T08:30:00Z", "b", "out", "22")
	    ROW("5", "2026-03-01T08:59:59.999Z", "b", "in", "24"), NULL);
	assert_int_equal(c.result.accepted, 2);
	assert_int_equal(c.result.duplicates, 1);
	expect_view(f, "hourly", TN_LAYER_MERGED,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,3,2,22,3\n"
	    "c,2026-02-28 23:00:00+00,1,1,-1.5,1\n");
	expect_view(f, "cities", TN_LAYER_MERGED,
	    "city,n\nBerlin,3\n,1\n");
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n4,24\n");
	expect_sql(f, "SELECT event_id FROM badge ORDER BY ts DESC LIMIT 2",
	    "event_id\n5\n2\n");
	expect_sql(f, "SELECT sum(n) FROM hourly", "sum\n4\n");
	expect_sql(f, "SELECT city FROM offices", "city\nBerlin\n");
}

static void
after_restart(struct fixture *f)
{
	struct tn_batch_report r;
	struct call c;

	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n4,24\n");
	c = post(f, "badge",
	    ROW("5", "2026-03-01T08:59:59.999Z", "b", "in", "24")
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20"), NULL);
	assert_int_equal(c.result.duplicates, 2);
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	r = batch(f, TN_BATCH_RECOMPUTE);
	assert_int_equal(r.status, TN_OK);
	expect_view(f, "hourly", TN_LAYER_BATCH,
	    "office,hour,n,entries,temp,ids\n"
	    "b,2026-03-01 08:00:00+00,3,2,22,3\n"
	    "c,2026-02-28 23:00:00+00,1,1,-1.5,1\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
}

/* Events, a restart, a cut, late rows, a restart, verify: every layer says
 * what it should at each step. */
static void
test_life(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, first_steps);
	run_script(&f, cut_and_more);
	run_script(&f, after_restart);
	remove_dir(&f);
}

static void
keyed(struct fixture *f)
{
	struct call c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");

	assert_int_equal(c.result.accepted, 1);
	assert_false(c.result.replayed);
	c = post(f, "badge", ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");
	assert_int_equal(c.result.status, TN_OK);
	assert_true(c.result.replayed);
	assert_int_equal(c.result.accepted, 1);
	assert_int_equal(c.result.quarantined, 1);
	c = post(f, "badge", ROW("2", "2026-03-01T08:00:00Z", "b", "in",
	    "20"), "key-1");
	assert_int_equal(c.result.status, TN_EINVAL);
	assert_string_equal(c.code, "idempotency_mismatch");
	c = post(f, "badge", "", "key-2");
	assert_int_equal(c.result.status, TN_OK);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n1,20\n");
}

static void
keyed_again(struct fixture *f)
{
	struct call c = post(f, "badge",
	    ROW("1", "2026-03-01T08:00:00Z", "b", "in", "20")
	    "oops\n", "key-1");

	assert_true(c.result.replayed);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n1,20\n");
}

/* The same Idempotency-Key gives the same answer, also after a restart, and
 * another body with it is refused. */
static void
test_idempotency(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, keyed);
	run_script(&f, keyed_again);
	remove_dir(&f);
}

static void
large(struct fixture *f)
{
	struct tn_buf b = { 0 };
	struct call c;
	uint32_t rows = 100000;

	for (uint32_t i = 0; i < rows; i++)
		tn_buf_printf(&b, "{\"event_id\":\"e%u\",\"ts\":\"2026-03-%02u"
		    "T%02u:00:00Z\",\"office\":\"o%u\",\"direction\":\"in\","
		    "\"temp\":%u.5}\n", i, i % 28 + 1, i % 24, i % 7, i % 30);
	c = post(f, "badge", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, rows);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n100000,29.5\n");
	struct tn_batch_report r = batch(f, TN_BATCH_CUT);
	assert_int_equal(r.status, TN_OK);
	c = post(f, "badge", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.duplicates, rows);
	expect_view(f, "total", TN_LAYER_MERGED, "n,hottest\n100000,29.5\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	tn_buf_fini(&b);
}

/* A body of many chunks is taken once, and again as duplicates. */
static void
test_large(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	run_script(&f, large);
	remove_dir(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_large),
	};

	tn_say_setup(TN_WARN, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

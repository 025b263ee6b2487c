/* The whole engine in one process, for the tests of app: events in, views
 * out, cuts, restarts, without a door. The loop runs on the test's thread; a
 * driver thread does what a client would. Functions are inline so that a test
 * may leave some of them alone. */
#ifndef TN_TEST_ENGINE_FIXTURE_H
#define TN_TEST_ENGINE_FIXTURE_H

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
	const char *pipeline;       /* NULL: pipeline_text. */
	int64_t keep_us;            /* Of dropped files; 0: the setting. */
	void *arg;                  /* The test's own. */
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

static inline void
posted(void *arg, const struct tn_ingest_result *r)
{
	struct call *c = arg;

	c->result = *r;
	memcpy(c->code, r->diag.code, sizeof c->code);
	c->at = NULL;
	tn_net_latch_open(c->latch);
}

static inline void
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

static inline void
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

static inline struct call
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

static inline void
got(void *arg, struct tn_serving_answer *a)
{
	struct call *c = arg;

	c->answer = a;
	tn_net_latch_open(c->latch);
}

static inline void
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

static inline char *
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

static inline char *
view(struct fixture *f, const char *name, enum tn_serving_layer layer)
{
	struct call c = { .f = f, .view = name, .layer = layer };

	return answer_of(&c);
}

static inline void
expect_view(struct fixture *f, const char *name, enum tn_serving_layer layer,
    const char *want)
{
	/* Committed rows reach the folds a moment later. */
	tn_speed_flush(f->a.speed);
	char *got_text = view(f, name, layer);
	assert_string_equal(got_text, want);
	tn_free(got_text);
}

static inline void
expect_sql(struct fixture *f, const char *sql, const char *want)
{
	struct call c = { .f = f, .sql = sql };
	char *text;

	tn_speed_flush(f->a.speed);
	text = answer_of(&c);
	assert_string_equal(text, want);
	tn_free(text);
}

static inline struct tn_batch_report
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

/* As it comes out; a failed one is to be closed too. */
static inline enum tn_status
try_engine(struct fixture *f, struct tn_diag *d)
{
	struct tn_sql_source s = { "test.sql", tn_slice_of(f->pipeline
	    != NULL ? f->pipeline : pipeline_text) };
	enum tn_status st;

	memset(&f->a, 0, sizeof f->a);
	memset(d, 0, sizeof *d);
	f->a.data = f->dir;
	tn_app_settings_init(&f->a.set);
	st = tn_sql_load(&f->a.pipeline, &s, 1, d);
	if (st == TN_OK)
		st = tn_app_settings_apply(&f->a.set, f->a.pipeline, d);
	if (f->keep_us != 0)
		f->a.set.number[TN_SET_SNAPSHOT_KEEP] = f->keep_us;
	if (st == TN_OK)
		st = tn_app_engine_open(&f->a, d);
	return st;
}

static inline void
open_engine(struct fixture *f)
{
	struct tn_diag d;
	enum tn_status st = try_engine(f, &d);

	if (st != TN_OK)
		print_message("%s:%u:%u %s\n", d.file, d.line, d.column,
		    d.message);
	assert_int_equal(st, TN_OK);
}

static inline void *
drive(void *arg)
{
	struct fixture *f = arg;

	f->script(f);
	tn_net_loop_stop(f->a.loop);
	return NULL;
}

/* Of an engine that is open; closes it. */
static inline void
run_open(struct fixture *f, void (*script)(struct fixture *f))
{
	f->script = script;
	assert_int_equal(pthread_create(&f->driver, NULL, drive, f), 0);
	tn_net_loop_run(f->a.loop);
	pthread_join(f->driver, NULL);
	tn_app_engine_close(&f->a);
}

static inline void
run_script(struct fixture *f, void (*script)(struct fixture *f))
{
	open_engine(f);
	run_open(f, script);
}

static inline void
make_dir(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/tarn-engine-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
}

static inline void
remove_dir(struct fixture *f)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
}

#endif

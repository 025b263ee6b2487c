/* The API over the wire, against real rooms: events in, rows out, batch,
 * live, access. */
#include "test.h"

#include "http_help.h"

static struct rig rig;

RIG_OF_GROUP(rig)

#define JSON "Content-Type: application/json\r\n"
#define NDJSON "Content-Type: application/x-ndjson\r\n"

/* Goal: an event is answered with its counts and is seen by view, SQL and
 * recent at once, with the LSN that was promised. */
static void
event_in_rows_out(void **state)
{
	(void)state;
	expect_call(&rig, "POST", "/api/v1/streams/badge", JSON,
	    "{\"event_id\":\"a1\",\"ts\":\"2026-03-01T08:10:00Z\","
	    "\"office\":\"berlin\",\"direction\":\"in\"}", 200,
	    "{\"accepted\":1,\"quarantined\":0,\"duplicates\":0,"
	    "\"first_offset\":0,\"last_offset\":0,\"lsn\":1,\"errors\":[]}");
	expect_call(&rig, "POST", "/api/v1/streams/badge", NDJSON,
	    "{\"event_id\":\"a1\",\"ts\":\"2026-03-01T08:10:00Z\","
	    "\"office\":\"berlin\",\"direction\":\"in\"}\n"
	    "{\"event_id\":\"a2\",\"ts\":\"2026-03-01T08:20:00Z\","
	    "\"office\":\"berlin\",\"direction\":\"sideways\"}\n", 200,
	    "\"accepted\":0,\"quarantined\":1,\"duplicates\":1");
	for (int64_t until = now_ms() + WAIT_MS;;) {
		struct reply r;
		bool seen;
		call(&rig, &r, "GET", "/api/v1/views/visits", NULL, NULL);
		assert_int_equal(r.code, 200);
		seen = says(&r, "[\"berlin\",\"2026-03-01T08:00:00Z\",1]");
		reply_free(&r);
		if (seen)
			break;
		assert_true(now_ms() < until);
		usleep(10000);
	}
	expect_call(&rig, "GET", "/api/v1/views/visits?office=berlin&format="
	    "csv", NULL, NULL, 200, "office,hour,visits\nberlin,");
	expect_call(&rig, "POST", "/api/v1/sql", "Content-Type: text/plain"
	    "\r\n", "SELECT event_id FROM badge", 200, "[\"a1\"]");
	expect_call(&rig, "POST", "/api/v1/sql", JSON, "{\"sql\":\"SELECT "
	    "office FROM badge\",\"format\":\"csv\"}", 200,
	    "office\nberlin\n");
	expect_call(&rig, "GET", "/api/v1/streams/badge/recent", NULL, NULL,
	    200, "a2");
	expect_call(&rig, "GET", "/api/v1/quarantine/badge", NULL, NULL, 200,
	    "sideways");
}

/* Goal: limit= of every list is a number from 1 to what the answer says, and
 * a list that has none says so. */
static void
limits(void **state)
{
	static const struct {
		const char *path;
		const char *max;
	} lists[] = {
		{ "/api/v1/views/visits?", "4294967295" },
		{ "/api/v1/views/visits/live?", "4294967295" },
		{ "/api/v1/live?view=visits&", "4294967295" },
		{ "/api/v1/views/visits/explain?office=berlin&", "1000" },
		{ "/api/v1/views/visits/corrections?", "1000" },
		{ "/api/v1/streams/badge/recent?", "1000" },
		{ "/api/v1/quarantine/badge?", "1000" },
		{ "/api/v1/runs?", "1000" },
		{ "/api/v1/snapshots?", "10000" },
	};
	static const char *const none[] = { "streams", "views", "mqtt",
	    "inbox", "files", "lake", "schedule" };
	static const char *const wrong[] = { "-1", "0", "", "x", "1.5", "1x",
	    "%201", "99999999999999999999" };
	char path[200], words[64];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(lists); i++) {
		snprintf(words, sizeof words, "limit must be a number from 1 "
		    "to %s\"", lists[i].max);
		for (size_t k = 0; k < TN_COUNT(wrong); k++) {
			snprintf(path, sizeof path, "%slimit=%s",
			    lists[i].path, wrong[k]);
			expect_call(&rig, "GET", path, NULL, NULL, 400, words);
		}
		snprintf(path, sizeof path, "%slimit=%llu", lists[i].path,
		    strtoull(lists[i].max, NULL, 10) + 1);
		expect_call(&rig, "GET", path, NULL, NULL, 400, words);
	}
	for (size_t i = 0; i < TN_COUNT(none); i++) {
		snprintf(path, sizeof path, "/api/v1/%s?limit=1", none[i]);
		expect_call(&rig, "GET", path, NULL, NULL, 400,
		    "there is no parameter \\\"limit\\\" here");
	}
}

/* Goal: what is wrong with a request is said in a problem of its own code. */
static void
problems(void **state)
{
	static const struct {
		const char *method, *path, *headers, *body;
		int code;
		const char *words;
	} cases[] = {
		{ "POST", "/api/v1/streams/nope", JSON, "{}", 404,
		    "/problems/unknown-stream" },
		{ "POST", "/api/v1/streams/badge", "Content-Type: image/png"
		    "\r\n", "{}", 415, "unsupported-media-type" },
		{ "POST", "/api/v1/streams/badge", "Content-Type: text/csv; "
		    "charset=latin1\r\n", "{}", 415, "media-type" },
		{ "POST", "/api/v1/streams/badge", JSON "Content-Encoding: "
		    "br\r\n", "{}", 415, "unsupported-coding" },
		{ "POST", "/api/v1/streams/badge", NULL, "a,b\n1,2\n", 415,
		    "unknown-format" },
		{ "POST", "/api/v1/streams/badge?colour=red", JSON, "{}",
		    400, "colour" },
		{ "POST", "/api/v1/streams/badge?format=xml", JSON, "{}",
		    400, "bad-format" },
		{ "GET", "/api/v1/streams/nope", NULL, NULL, 404, "nope" },
		{ "GET", "/api/v1/views/nope", NULL, NULL, 404, "nope" },
		{ "GET", "/api/v1/views/visits?colour=red", NULL, NULL, 400,
		    "colour" },
		{ "GET", "/api/v1/views/visits?layer=x", NULL, NULL, 400,
		    "layer" },
		{ "GET", "/api/v1/views/visits?limit=x", NULL, NULL, 400,
		    "limit" },
		{ "GET", "/api/v1/views/visits", "Accept: image/png\r\n",
		    NULL, 406, "not-acceptable" },
		{ "POST", "/api/v1/sql", NULL, "SELEC 1", 400, "\"column\"" },
		{ "POST", "/api/v1/sql", JSON, "{\"sql\":1}", 400, "sql" },
		{ "POST", "/api/v1/sql", JSON, "{", 400, "problems" },
		{ "POST", "/api/v1/recompute", NULL, "", 400, "view" },
		{ "POST", "/api/v1/verify?view=nope", NULL, "", 404, "nope" },
		{ "GET", "/api/v1/files?tier=lead", NULL, NULL, 400, "tier" },
		{ "GET", "/api/v1/runs?x=1", NULL, NULL, 400, "x" },
		{ "GET", "/api/v1/nothing", NULL, NULL, 404, "no-such-path" },
		{ "PUT", "/api/v1/status", NULL, "x", 405, "GET, HEAD" },
		{ "DELETE", "/api/v1/tokens/99", NULL, NULL, 404, "99" },
		{ "DELETE", "/api/v1/tokens/x", NULL, NULL, 404, "number" },
		{ "POST", "/api/v1/tokens", JSON, "{\"name\":\"n\"}", 400,
		    "scope" },
		{ "POST", "/api/v1/tokens", JSON, "[]", 400, "object" },
		{ "POST", "/api/v1/login", JSON, "{\"password\":\"x\"}", 409,
		    "no-password" },
		{ "POST", "/api/v1/setup", JSON, "{\"code\":\"x\","
		    "\"password\":\"long enough\"}", 403, "setup-code" },
		{ "GET", "/api/v1/live?view=nope", NULL, NULL, 404, "nope" },
		{ "GET", "/api/v1/status", NULL, "body", 400,
		    "body-not-expected" },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++)
		expect_call(&rig, cases[i].method, cases[i].path,
		    cases[i].headers, cases[i].body, cases[i].code,
		    cases[i].words);
}

/* Goal: every door of the API answers with its JSON. */
static void
doors(void **state)
{
	static const struct {
		const char *path, *words;
	} cases[] = {
		{ "/api/v1/streams", "{\"streams\":[{\"name\":\"badge\"" },
		{ "/api/v1/streams/plain", "\"default\":\"x\"" },
		{ "/api/v1/views", "\"bucket\":\"hour\"" },
		{ "/api/v1/runs", "{\"runs\":[" },
		{ "/api/v1/files", "\"files\":[" },
		{ "/api/v1/status", "\"auth\":\"open\"" },
		{ "/api/v1/tokens", "{\"tokens\":[" },
		{ "/api/v1/settings", "\"name\":\"chunk_bytes\"" },
		{ "/api/v1/session", "{\"scope\":\"admin\",\"setup\":true,"
		    "\"loopback\":true}" },
		{ "/api/openapi.json", "\"/api/v1/streams/{stream}\"" },
		{ "/livez", "ok\n" },
		{ "/readyz?verbose", "lsn " },
		{ "/healthz", "ok\n" },
		{ "/metrics", "tarn_log_end_offset" },
		{ "/metrics", "# EOF\n" },
		{ "/", "no page" },
		{ "/streams/badge", "no page" },
	};
	struct reply r;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++)
		expect_call(&rig, "GET", cases[i].path, NULL, NULL, 200,
		    cases[i].words);
	expect_call(&rig, "GET", "/assets/x/y.js", NULL, NULL, 404, NULL);
	expect_call(&rig, "GET", "/docs", NULL, NULL, 302, NULL);
	call(&rig, &r, "OPTIONS", "/api/v1/tokens", NULL, NULL);
	assert_int_equal(r.code, 204);
	assert_string_equal(header(&r, "Allow"), "GET, POST, HEAD, OPTIONS");
	reply_free(&r);
	call(&rig, &r, "HEAD", "/api/v1/status", NULL, NULL);
	assert_int_equal(r.code, 200);
	assert_string_equal(header(&r, "Cache-Control"), "no-store");
	assert_string_equal(header(&r, "X-Content-Type-Options"), "nosniff");
	reply_free(&r);
}

/* Goal: JSON answers are JSON, read by our own strict parser. */
static void
answers_are_json(void **state)
{
	static const char *const paths[] = { "/api/v1/streams",
	    "/api/v1/streams/badge", "/api/v1/views", "/api/v1/runs",
	    "/api/v1/files", "/api/v1/status", "/api/v1/tokens",
	    "/api/v1/settings", "/api/v1/session", "/api/openapi.json",
	    "/api/v1/nothing", "/api/v1/views/visits" };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(paths); i++) {
		struct tn_arena *a = tn_arena_new(4096);
		struct tn_diag d = { .line = 0 };
		struct tn_json *j;
		struct reply r;
		call(&rig, &r, "GET", paths[i], NULL, NULL);
		if (tn_codec_json_parse(a, (struct tn_slice){ r.body.p,
		    r.body.n }, &j, &d) != TN_OK) {
			print_message("%s: %s\n%s\n", paths[i], d.message,
			    tn_buf_cstr(&r.body));
			fail();
		}
		reply_free(&r);
		tn_arena_free(a);
	}
}

/* Goal: a view's ETag gives 304 until something changes. */
static void
etags(void **state)
{
	struct reply r;
	char etag[512];

	(void)state;
	call(&rig, &r, "GET", "/api/v1/views/total", NULL, NULL);
	snprintf(etag, sizeof etag, "If-None-Match: %s\r\n", header(&r,
	    "ETag"));
	assert_string_equal(header(&r, "Cache-Control"), "no-cache");
	reply_free(&r);
	expect_call(&rig, "GET", "/api/v1/views/total", etag, NULL, 304,
	    NULL);
	expect_call(&rig, "GET", "/api/v1/views/total?format=csv", etag,
	    NULL, 200, NULL);
	expect_call(&rig, "POST", "/api/v1/streams/plain", JSON, "{\"n\":1}",
	    200, NULL);
	for (int64_t until = now_ms() + WAIT_MS;;) {
		call(&rig, &r, "GET", "/api/v1/views/total", etag, NULL);
		if (r.code == 200)
			break;
		assert_true(now_ms() < until);
		reply_free(&r);
		usleep(10000);
	}
	assert_true(says(&r, "\"rows\":[[1]]"));
	reply_free(&r);
}

/* Goal: a cut is published before it is answered, and leaves a run, files and
 * the same rows; verify and recompute agree. */
static void
batch(void **state)
{
	(void)state;
	expect_call(&rig, "POST", "/api/v1/batch/run", NULL, "", 200,
	    "{\"run\":");
	expect_call(&rig, "GET", "/api/v1/files?tier=silver&table=badge",
	    NULL, NULL, 200, "\"tier\":\"silver\"");
	expect_call(&rig, "GET", "/api/v1/files?tier=silver&table=badge",
	    NULL, NULL, 200, "\"snapshot\":1,\"sort_by\":[\"ts\"]}");
	expect_call(&rig, "GET", "/api/v1/files?tier=bronze&table=badge",
	    NULL, NULL, 200, "\"snapshot\":1,\"sort_by\":[\"_lsn\"]}");
	expect_call(&rig, "GET", "/api/v1/files?tier=gold", NULL, NULL, 200,
	    "\"snapshot\":1,\"sort_by\":[]}");
	expect_call(&rig, "GET", "/api/v1/runs?limit=1", NULL, NULL, 200,
	    "\"kind\":\"cut\"");
	expect_call(&rig, "GET", "/api/v1/views/visits?layer=batch", NULL,
	    NULL, 200, "[\"berlin\",\"2026-03-01T08:00:00Z\",1]");
	expect_call(&rig, "POST", "/api/v1/verify", NULL, "", 200,
	    "{\"equal\":true");
	expect_call(&rig, "POST", "/api/v1/recompute?view=visits", NULL, "",
	    200, "\"run\":");
	expect_call(&rig, "POST", "/api/v1/batch/run", NULL, "", 200,
	    "{\"run\":null");
}

/* Goal: the same Idempotency-Key and body are answered from memory, another
 * body is refused. */
static void
idempotency(void **state)
{
	static const char key[] = JSON "Idempotency-Key: k-1\r\n";
	struct reply r;

	(void)state;
	expect_call(&rig, "POST", "/api/v1/streams/plain", key, "{\"n\":7}",
	    200, "\"accepted\":1");
	call(&rig, &r, "POST", "/api/v1/streams/plain", key, "{\"n\":7}");
	assert_int_equal(r.code, 200);
	assert_string_equal(header(&r, "Idempotency-Replayed"), "true");
	reply_free(&r);
	expect_call(&rig, "POST", "/api/v1/streams/plain", key, "{\"n\":8}",
	    422, "idempotency-mismatch");
}

/* Goal: bodies without a type are understood by their first bytes; gzip too. */
static void
formats(void **state)
{
	struct tn_buf z = { 0 }, b = { 0 };
	struct reply r = { 0 };
	int fd = dial(&rig);

	(void)state;
	expect_call(&rig, "POST", "/api/v1/streams/plain", NULL,
	    "[{\"n\":1},{\"n\":2}]", 200, "\"accepted\":2");
	expect_call(&rig, "POST", "/api/v1/streams/plain",
	    "Content-Type: application/x-www-form-urlencoded\r\n",
	    "{\"n\":1}\n{\"n\":2}\n{\"n\":3}", 200, "\"accepted\":3");
	expect_call(&rig, "POST", "/api/v1/streams/plain", NULL,
	    "{\n  \"n\": 1\n}\n", 200, "\"accepted\":1");
	expect_call(&rig, "POST", "/api/v1/streams/plain?format=csv&header="
	    "false&columns=n,t", NULL, "1,a\n2,b\n", 200, "\"accepted\":2");
	expect_call(&rig, "POST", "/api/v1/streams/plain", JSON, "", 200,
	    "\"first_offset\":null");
	assert_int_equal(tn_gzip_compress(&z, tn_slice_of("{\"n\":1}\n"
	    "{\"n\":2}\n"), 6), TN_OK);
	tn_buf_printf(&b, "POST /api/v1/streams/plain HTTP/1.1\r\nHost: "
	    "localhost\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n"
	    "\r\n", z.n);
	tn_buf_add(&b, z.p, z.n);
	assert_true(put_bytes(fd, b.p, b.n));
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 200);
	assert_true(says(&r, "\"accepted\":2"));
	reply_free(&r);
	close(fd);
	tn_buf_fini(&z);
	tn_buf_fini(&b);
}

static int
live_count(void)
{
	struct reply r;
	const char *p;
	int n;

	call(&rig, &r, "GET", "/metrics", NULL, NULL);
	p = strstr(tn_buf_cstr(&r.body), "\ntarn_sse_clients ");
	assert_non_null(p);
	n = atoi(p + strlen("\ntarn_sse_clients "));
	reply_free(&r);
	return n;
}

/* One that has gone is found out with the next status. */
static void
wait_for_clients(int n)
{
	int64_t until = now_ms() + WAIT_MS;

	while (live_count() != n) {
		assert_true(now_ms() < until);
		usleep(20000);
	}
}

/* One event of a stream of events: the JSON after "data: ". */
static void
next_event(int fd, struct tn_buf *all, const char *wanted)
{
	int64_t until = now_ms() + WAIT_MS;
	char c;

	while (strstr(tn_buf_cstr(all), wanted) == NULL) {
		int got = get_byte(fd, &c, until);
		if (got != 1)
			print_message("wanted %s in %s\n", wanted,
			    tn_buf_cstr(all));
		assert_int_equal(got, 1);
		tn_buf_char(all, c);
	}
}

/* Goal: a live connection brings a snapshot, changed rows, cuts and the
 * status; closing it frees its place. */
static void
live(void **state)
{
	struct tn_buf all = { 0 };
	struct reply r;
	int fd = dial(&rig);

	(void)state;
	put(fd, "GET /api/v1/live?view=total&view=visits&status=1 HTTP/1.1\r\n"
	    "Host: localhost\r\n\r\n");
	assert_true(get_head(fd, &r));
	assert_int_equal(r.code, 200);
	assert_string_equal(header(&r, "Content-Type"), "text/event-stream");
	reply_free(&r);
	next_event(fd, &all, "retry: 1000\n\n");
	next_event(fd, &all, "{\"type\":\"snapshot\",\"view\":\"visits\"");
	next_event(fd, &all, "{\"type\":\"snapshot\",\"view\":\"total\"");
	next_event(fd, &all, "{\"type\":\"status\",\"instance\":\"unit\"");
	tn_buf_clear(&all);
	expect_call(&rig, "POST", "/api/v1/streams/plain", JSON, "{\"n\":1}",
	    200, NULL);
	/* The thirteenth; changed rows, or all of them where the last cut has
	 * come in between. */
	next_event(fd, &all, "[13]");
	expect_call(&rig, "POST", "/api/v1/batch/run", NULL, "", 200, NULL);
	next_event(fd, &all, "{\"type\":\"cut\"");
	close(fd);
	tn_buf_fini(&all);
	wait_for_clients(0);
}

/* Goal: a single view's live door takes filters. */
static void
live_view(void **state)
{
	struct tn_buf all = { 0 };
	struct reply r;
	int fd = dial(&rig);

	(void)state;
	put(fd, "GET /api/v1/views/visits/live?office=berlin HTTP/1.1\r\n"
	    "Host: localhost\r\n\r\n");
	assert_true(get_head(fd, &r));
	reply_free(&r);
	next_event(fd, &all, "\"type\":\"snapshot\"");
	next_event(fd, &all, "berlin");
	close(fd);
	tn_buf_fini(&all);
	wait_for_clients(0);
}

/* Goal: a live reader that does not read is disconnected after about the
 * queue's bound, and the others go on. */
static void
slow_reader(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons(rig.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool gone = false;

	(void)state;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	put(fd, "GET /api/v1/live?view=visits HTTP/1.1\r\nHost: localhost"
	    "\r\n\r\n");
	wait_for_clients(1);
	for (int round = 0; round < 40 && !gone; round++) {
		struct tn_buf b = { 0 };
		for (int i = 0; i < 10000; i++)
			tn_buf_printf(&b, "{\"event_id\":\"s%d-%d\",\"ts\":"
			    "\"2026-03-01T08:10:00Z\",\"office\":\"a rather "
			    "long office name %d\",\"direction\":\"in\"}\n",
			    round, i, i);
		expect_call(&rig, "POST", "/api/v1/streams/badge", NDJSON,
		    tn_buf_cstr(&b), 200, "\"accepted\":10000");
		tn_buf_fini(&b);
		usleep(100000);
		gone = live_count() == 0;
	}
	assert_true(gone);
	close(fd);
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_in_rows_out),
		cmocka_unit_test(limits),
		cmocka_unit_test(problems),
		cmocka_unit_test(doors),
		cmocka_unit_test(answers_are_json),
		cmocka_unit_test(etags),
		cmocka_unit_test(batch),
		cmocka_unit_test(idempotency),
		cmocka_unit_test(formats),
		cmocka_unit_test(live),
		cmocka_unit_test(live_view),
		cmocka_unit_test(slow_reader),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

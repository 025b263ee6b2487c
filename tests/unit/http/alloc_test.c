/* wrap: tn_try_alloc tn_try_realloc tn_arena_try_alloc */
/* Every kind of request with the Nth allocation of outside size failing, for
 * every N until none fails (from the 40th on every 61st, all with SOAK=1): the
 * answer is the right one or 503 with a problem,
 * never another, never a cut one; the server goes on, and the same request
 * succeeds at once. Allocations of all threads count, so a request may also
 * be spared by one that failed behind it (a fold, a cut). */
#include "test.h"

#include <stdatomic.h>

#include "http_help.h"

static struct {
	atomic_uint calls;
	atomic_uint fired;
	atomic_bool armed;
	uint32_t fail_at;
} fault;
/* The thread that asks is no part of what is tested. */
static _Thread_local bool is_client;

static bool
fails_now(void)
{
	if (is_client || !atomic_load(&fault.armed) ||
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

static struct rig rig;

RIG_OF_GROUP(rig)

/* A request as bytes; ${headers} are whole lines. */
static void
put_request(struct tn_buf *out, const char *line, const char *headers,
    const struct tn_buf *body)
{
	tn_buf_printf(out, "%s HTTP/1.1\r\nHost: localhost\r\n%s", line,
	    headers);
	if (body != NULL)
		tn_buf_printf(out, "Content-Length: %zu\r\n", body->n);
	tn_buf_str(out, "\r\n");
	if (body != NULL)
		tn_buf_add(out, body->p, body->n);
}

static int
answer_to(const struct tn_buf *request, const char *words)
{
	int fd = dial(&rig), code;
	struct reply r;

	memset(&r, 0, sizeof r);
	assert_true(put_bytes(fd, request->p, request->n));
	get_reply(fd, &r, true);
	close(fd);
	code = r.code;
	if (r.cut || (code != 200 && code != 503))
		print_message("allocation %u: %s%s\n",
		    (unsigned)fault.fail_at, r.head, tn_buf_cstr(&r.body));
	assert_false(r.cut);
	assert_true(code == 200 || code == 503);
	if (code == 503)
		assert_true(says(&r, "\"type\":\"/problems/") &&
		    says(&r, "emory"));
	else if (!says(&r, words))
		print_message("%s\n", tn_buf_cstr(&r.body));
	assert_true(code == 503 || says(&r, words));
	reply_free(&r);
	return code;
}

/* Goal: as in this file's head, for one request. */
static void
every_one_with(const char *line, const char *headers,
    const struct tn_buf *body, const char *words)
{
	struct tn_buf request = { 0 };
	uint32_t refused = 0, n = 1;
	uint32_t stride = getenv("SOAK") != NULL ? 1 : 61;
	bool fired = true;

	put_request(&request, line, headers, body);
	/* A question that reads many blocks has many: then not every one. */
	for (; fired; n += n < 40 ? 1 : stride) {
		int code;
		fault.calls = 0;
		fault.fired = 0;
		fault.fail_at = n;
		fault.armed = true;
		code = answer_to(&request, words);
		tn_ingest_flush(rig.ingest);
		tn_speed_flush(rig.speed);
		fault.armed = false;
		fired = fault.fired > 0;
		assert_true(fired || code == 200);
		refused += code == 503;
		assert_int_equal(answer_to(&request, words), 200);
		assert_true(n < 10000);
	}
	print_message("%s: about %u allocations, %u refused\n", line,
	    (unsigned)n - 2, (unsigned)refused);
	tn_buf_fini(&request);
}

static void
every_one(const char *line, const struct tn_buf *body, const char *words)
{
	every_one_with(line, "", body, words);
}

#define ROWS 120

static void
events(struct tn_buf *out, bool array)
{
	for (int i = 0; i < ROWS; i++)
		tn_buf_printf(out, "%s{\"event_id\":\"e%d\",\"ts\":\"2026-03-"
		    "01T08:%02d:00Z\",\"office\":\"berlin %d\\u00e4\","
		    "\"direction\":\"%s\"}%s", array && i == 0 ? "[" : "", i,
		    i % 60, i, i % 40 == 39 ? "up" : "in",
		    !array ? "\n" : i + 1 < ROWS ? "," : "]");
}

static void
bodies(void **state)
{
	struct tn_buf b = { 0 }, z = { 0 }, csv = { 0 };

	(void)state;
	events(&b, true);
	every_one("POST /api/v1/streams/badge?format=json", &b,
	    "\"errors\":[{");
	/* By its first bytes. */
	every_one("POST /api/v1/streams/badge", &b, "\"errors\":[{");
	tn_buf_clear(&b);
	events(&b, false);
	every_one("POST /api/v1/streams/badge?format=ndjson", &b,
	    "\"errors\":[{");
	assert_int_equal(tn_gzip_compress(&z, (struct tn_slice){ b.p, b.n },
	    6), TN_OK);
	every_one_with("POST /api/v1/streams/badge", "Content-Encoding: gzip"
	    "\r\n", &z, "\"errors\":[{");
	tn_buf_clear(&z);
	assert_int_equal(tn_zstd_compress(&z, (struct tn_slice){ b.p, b.n },
	    3), TN_OK);
	every_one_with("POST /api/v1/streams/badge?format=ndjson",
	    "Content-Encoding: zstd\r\nIdempotency-Key: k1\r\n", &z,
	    "\"errors\":[{");
	tn_buf_str(&csv, "n,t\n");
	for (int i = 0; i < 2000; i++)
		tn_buf_printf(&csv, "%d,\"a \"\"%d\"\"\"\n", i, i);
	every_one("POST /api/v1/streams/plain?format=csv", &csv,
	    "\"accepted\":2000");
	tn_buf_fini(&csv);
	tn_buf_fini(&z);
	tn_buf_fini(&b);
}

static void
questions(void **state)
{
	struct tn_buf sql = { 0 };

	(void)state;
	every_one("GET /api/v1/views/visits", NULL, "berlin");
	every_one("GET /api/v1/views/visits?order=newest&format=csv", NULL,
	    "berlin");
	tn_buf_str(&sql, "{\"sql\":\"SELECT event_id, repeat(office, 30) AS o "
	    "FROM badge ORDER BY event_id /* ");
	for (int i = 0; i < 3000; i++)
		tn_buf_str(&sql, "\\u0041 ");
	tn_buf_str(&sql, "*/ LIMIT 100\"}");
	every_one_with("POST /api/v1/sql", "Content-Type: application/json"
	    "\r\n", &sql, "berlin");
	every_one("GET /api/v1/quarantine/badge", NULL, "badge_direction");
	every_one("GET /api/v1/streams/badge/recent?limit=500", NULL, "e1");
	tn_buf_fini(&sql);
}

static void
lists(void **state)
{
	static const char *const paths[][2] = {
		{ "GET /api/v1/streams", "badge" },
		{ "GET /api/v1/views", "visits" },
		{ "GET /api/v1/runs", "runs" },
		{ "GET /api/v1/files", "files" },
		{ "GET /api/v1/status", "unit" },
		{ "GET /api/v1/settings", "chunk_bytes" },
		{ "GET /api/openapi.json", "openapi" },
		{ "GET /metrics", "# EOF" },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(paths); i++)
		every_one(paths[i][0], NULL, paths[i][1]);
}

/* Goal: a cut that finds no memory is answered so, and the next one works. */
static void
jobs(void **state)
{
	(void)state;
	every_one("POST /api/v1/batch/run", NULL, "lsn");
	every_one("POST /api/v1/verify", NULL, "equal");
	every_one("POST /api/v1/recompute?view=visits", NULL, "run");
	questions(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(questions),
		cmocka_unit_test(lists),
		cmocka_unit_test(jobs),
	};

	is_client = true;
	tn_say_setup(TN_ERROR, -1);
	return cmocka_run_group_tests(tests, start, stop);
}

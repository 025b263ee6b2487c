/* What a batch run changed, over the wire: the corrections of a view, the
 * count of a run; and which views a table feeds. */
#include "test.h"

#include "http_help.h"

static const char sql[] =
    "CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " office text NOT NULL) WITH (event_time = 'ts');\n"
    "CREATE TABLE offices (office text PRIMARY KEY, city text)"
    " WITH (kind = 'reference');\n"
    "CREATE MATERIALIZED VIEW visits AS SELECT office,"
    " date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits"
    " FROM badge GROUP BY office, hour;\n"
    "CREATE MATERIALIZED VIEW cities AS SELECT o.city, count(*) AS n"
    " FROM badge b LEFT JOIN offices o ON o.office = b.office"
    " GROUP BY o.city;\n";

static struct rig rig = { .sql = sql };

RIG_OF_GROUP(rig)

#define VISITS "/api/v1/views/visits/corrections"

static void
event(const char *id, const char *office, const char *time)
{
	char body[200];

	(void)snprintf(body, sizeof body, "{\"event_id\":\"%s\",\"office\":"
	    "\"%s\",\"ts\":\"2026-03-01T%s:00Z\"}", id, office, time);
	expect_call(&rig, "POST", "/api/v1/streams/badge",
	    "Content-Type: application/json\r\n", body, 200,
	    "\"accepted\":1");
}

static void
cut(void)
{
	expect_call(&rig, "POST", "/api/v1/batch/run", NULL, "", 200,
	    "{\"run\":");
}

static void
expect(const char *path, const char *want)
{
	struct reply r;

	call(&rig, &r, "GET", path, NULL, NULL);
	assert_int_equal(r.code, 200);
	assert_string_equal(tn_buf_cstr(&r.body), want);
	reply_free(&r);
}

/* Goal: what a run made of views is told when it is asked for, as a row of
 * figures for each view: without duplicates. */
static void
views_of_runs(void **state)
{
	struct reply r;
	const char *at;
	unsigned long long after, wrote, folded;
	int end = 0;

	(void)state;
	event("m1", "oslo", "07:10");
	event("m2", "oslo", "07:20");
	expect_call(&rig, "POST", "/api/v1/streams/badge",
	    "Content-Type: application/json\r\n", "{\"event_id\":\"m2\","
	    "\"office\":\"oslo\",\"ts\":\"2026-03-01T07:20:00Z\"}", 200,
	    "\"duplicates\":1");
	cut();
	expect_call(&rig, "GET", "/api/v1/runs?limit=1&views=maybe", NULL,
	    NULL, 400, "views is true or false");
	call(&rig, &r, "GET", "/api/v1/runs?limit=1", NULL, NULL);
	assert_null(strstr(tn_buf_cstr(&r.body), "views"));
	reply_free(&r);
	call(&rig, &r, "GET", "/api/v1/runs?limit=1&views=true", NULL, NULL);
	assert_non_null(strstr(tn_buf_cstr(&r.body), "{\"view_columns\":"
	    "[\"view\",\"after_us\",\"write_us\",\"fold_us\",\"rows\","
	    "\"groups\",\"files\",\"changed\"],\"runs\":[{\"id\":"));
	at = strstr(tn_buf_cstr(&r.body), "[\"visits\",");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "[\"visits\",%llu,%llu,%llu,%n",
	    &after, &wrote, &folded, &end), 3);
	assert_int_equal(strncmp(at + end, "2,1,1,0]", 8), 0);
	assert_non_null(strstr(tn_buf_cstr(&r.body), "[\"cities\","));
	reply_free(&r);
}

/* Goal: corrections are told newest first in their fixed form; from and to are
 * on the time bucket; the run tells how many rows it changed. */
static void
told(void **state)
{
	struct reply r;
	const char *p;

	(void)state;
	event("a1", "berlin", "08:10");
	event("a2", "munich", "09:10");
	cut();
	expect(VISITS, "{\"corrections\":[]}");
	expect_call(&rig, "GET", "/api/v1/runs?limit=1", NULL, NULL, 200,
	    "\"changed\":0,");
	event("a3", "berlin", "08:20");
	cut();
	expect_call(&rig, "GET", "/api/v1/runs?limit=1", NULL, NULL, 200,
	    "\"changed\":1,");
	event("a4", "munich", "09:20");
	cut();
	call(&rig, &r, "GET", VISITS, NULL, NULL);
	assert_int_equal(r.code, 200);
	p = tn_buf_cstr(&r.body);
	assert_non_null(strstr(p, "{\"corrections\":[{\"run\":"));
	assert_non_null(strstr(p, ",\"at\":\"20"));
	assert_non_null(strstr(p, "Z\",\"key\":{\"office\":\"munich\","
	    "\"hour\":\"2026-03-01T09:00:00Z\"},\"column\":\"visits\","
	    "\"old\":1,\"new\":2},{\"run\":"));
	assert_non_null(strstr(p, "\"key\":{\"office\":\"berlin\","
	    "\"hour\":\"2026-03-01T08:00:00Z\"},\"column\":\"visits\","
	    "\"old\":1,\"new\":2}]}"));
	reply_free(&r);
	call(&rig, &r, "GET", VISITS "?to=2026-03-01T09:00:00Z", NULL, NULL);
	assert_true(says(&r, "berlin") && !says(&r, "munich"));
	reply_free(&r);
	call(&rig, &r, "GET", VISITS "?from=2026-03-01T09:00:00Z", NULL,
	    NULL);
	assert_true(says(&r, "munich") && !says(&r, "berlin"));
	reply_free(&r);
	call(&rig, &r, "GET", VISITS "?limit=1", NULL, NULL);
	assert_true(says(&r, "munich") && !says(&r, "berlin"));
	reply_free(&r);
	expect(VISITS "?from=now-1h", "{\"corrections\":[]}");
	expect("/api/v1/views/cities/corrections", "{\"corrections\":[]}");
}

/* Goal: what is wrong with the question is said. */
static void
problems(void **state)
{
	static const struct {
		const char *path;
		int code;
		const char *words;
	} cases[] = {
		{ "/api/v1/views/nope/corrections", 404, "\\\"nope\\\"" },
		{ VISITS "?colour=red", 400, "colour" },
		{ VISITS "?from=yesterday", 400, "yesterday" },
		{ VISITS "?limit=x", 400, "limit" },
		{ VISITS "?limit=1001", 400, "1000" },
		{ VISITS "/x", 404, "no-such-path" },
		{ "/api/openapi.json", 200, "/views/{view}/corrections" },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++)
		expect_call(&rig, "GET", cases[i].path, NULL, NULL,
		    cases[i].code, cases[i].words);
}

/* Goal: the ETag gives 304 until something is published; another question has
 * another one, and one that names the present time has none. */
static void
etags(void **state)
{
	struct reply r;
	char etag[512];

	(void)state;
	call(&rig, &r, "GET", VISITS, NULL, NULL);
	assert_int_equal(r.code, 200);
	(void)snprintf(etag, sizeof etag, "If-None-Match: %s\r\n", header(&r,
	    "ETag"));
	assert_true(strlen(header(&r, "ETag")) > 10);
	assert_string_equal(header(&r, "Cache-Control"), "no-cache");
	reply_free(&r);
	expect_call(&rig, "GET", VISITS, etag, NULL, 304, NULL);
	expect_call(&rig, "GET", VISITS "?limit=5", etag, NULL, 200, NULL);
	expect_call(&rig, "GET", "/api/v1/views/cities/corrections", etag,
	    NULL, 200, NULL);
	call(&rig, &r, "GET", VISITS "?from=now-1h", NULL, NULL);
	assert_string_equal(header(&r, "ETag"), "");
	reply_free(&r);
	event("b1", "berlin", "08:30");
	expect_call(&rig, "GET", VISITS, etag, NULL, 304, NULL);
	cut();
	expect_call(&rig, "GET", VISITS, etag, NULL, 200, "\"new\":3");
}

/* Goal: a table lists the views that read it and those that join it. */
static void
views_of_tables(void **state)
{
	(void)state;
	expect_call(&rig, "GET", "/api/v1/streams/badge", NULL, NULL, 200,
	    "\"views\":[\"cities\",\"visits\"]");
	expect_call(&rig, "GET", "/api/v1/streams/offices", NULL, NULL, 200,
	    "\"views\":[\"cities\"]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told),
		cmocka_unit_test(views_of_runs),
		cmocka_unit_test(problems),
		cmocka_unit_test(etags),
		cmocka_unit_test(views_of_tables),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

/* The small readers and the table of routes: no server, no sockets. */
#include "test.h"

#include "http/http_int.h"

static struct tn_slice
s(const char *text)
{
	return tn_slice_of(text);
}

/* Goal: Accept chooses by weight, then by our order, and may want nothing. */
static void
accepting(void **state)
{
	static const struct {
		const char *header;
		bool ok;
		enum tn_serving_format f;
	} cases[] = {
		{ "", true, TN_FORMAT_JSON },
		{ "  ", true, TN_FORMAT_JSON },
		{ "*/*", true, TN_FORMAT_JSON },
		{ "text/csv", true, TN_FORMAT_CSV },
		{ "TEXT/CSV", true, TN_FORMAT_CSV },
		{ "text/*", true, TN_FORMAT_CSV },
		{ "application/x-ndjson", true, TN_FORMAT_NDJSON },
		{ "application/jsonl, */*;q=0.1", true, TN_FORMAT_NDJSON },
		{ "application/*", true, TN_FORMAT_JSON },
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,"
		    "*/*;q=0.8", true, TN_FORMAT_JSON },
		{ "application/json;q=0.2, text/csv;q=0.9", true,
		    TN_FORMAT_CSV },
		{ "application/json;q=0, text/csv;q=0.001", true,
		    TN_FORMAT_CSV },
		{ "*/*;q=0.5, application/json;q=0", true, TN_FORMAT_CSV },
		{ "image/png", false, TN_FORMAT_JSON },
		{ "*/*;q=0", false, TN_FORMAT_JSON },
		{ ",,;;q=,", false, TN_FORMAT_JSON },
		{ "text/csv;q=zzz", true, TN_FORMAT_CSV },
		{ "text/csv;charset=utf-8;q=1.0", true, TN_FORMAT_CSV },
	};
	enum tn_serving_format f;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		bool ok = tn_http_accept(s(cases[i].header), &f);
		if (ok != cases[i].ok || (ok && f != cases[i].f))
			print_message("%s\n", cases[i].header);
		assert_int_equal(ok, cases[i].ok);
		if (ok)
			assert_int_equal(f, cases[i].f);
	}
}

/* Goal: gzip only for those who take it. */
static void
gzip(void **state)
{
	(void)state;
	assert_true(tn_http_accepts_gzip(s("gzip, deflate")));
	assert_true(tn_http_accepts_gzip(s("deflate, x-gzip;q=0.5")));
	assert_true(tn_http_accepts_gzip(s("*")));
	assert_false(tn_http_accepts_gzip(s("")));
	assert_false(tn_http_accepts_gzip(s("br")));
	assert_false(tn_http_accepts_gzip(s("gzip;q=0")));
	assert_false(tn_http_accepts_gzip(s("gzip;q=0.000, *")));
	assert_false(tn_http_accepts_gzip(s("gzipped")));
}

/* Goal: media types lose their parameters; charsets but UTF-8 are refused. */
static void
media(void **state)
{
	char out[64];

	(void)state;
	assert_true(tn_http_media(s("Application/JSON ; Charset=\"UTF-8\""),
	    out));
	assert_string_equal(out, "application/json");
	assert_true(tn_http_media(s("text/csv;header=present"), out));
	assert_string_equal(out, "text/csv");
	assert_false(tn_http_media(s("text/csv; charset=latin1"), out));
	assert_false(tn_http_media(s("text/csv; charset="), out));
	assert_false(tn_http_media(s("text/csv; charset=\""), out));
	assert_true(tn_http_media(s(""), out));
	assert_string_equal(out, "");
	assert_true(tn_http_media(s("a/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), out));
	assert_int_equal(strlen(out), 63);
}

/* Goal: only this machine's own names pass, with any port and case. */
static void
local_hosts(void **state)
{
	static const char *const good[] = { "localhost", "LOCALHOST:8420",
	    "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535" };
	static const char *const bad[] = { "", "localhost.", "localhost.evil"
	    ".com", "localhost:", "localhost:x", "localhost:123456",
	    "evil.com", "127.0.0.1.nip.io", "127.0.0.2", "[::2]", "::1",
	    "localhost:80@evil.com", "0.0.0.0", "local", " localhost" };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(good); i++)
		assert_true(tn_http_host_is_local(s(good[i])));
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_false(tn_http_host_is_local(s(bad[i])));
}

/* Goal: an origin must be scheme, the very host and port, and nothing more. */
static void
origins(void **state)
{
	(void)state;
	assert_true(tn_http_origin_is(s("http://a:1"), s("a:1")));
	assert_true(tn_http_origin_is(s("https://A:1"), s("a:1")));
	assert_false(tn_http_origin_is(s("http://a:2"), s("a:1")));
	assert_false(tn_http_origin_is(s("http://a"), s("a:1")));
	assert_false(tn_http_origin_is(s("http://a:1/"), s("a:1")));
	assert_false(tn_http_origin_is(s("http://b.a:1"), s("a:1")));
	assert_false(tn_http_origin_is(s("null"), s("a:1")));
	assert_false(tn_http_origin_is(s(""), s("")));
	assert_false(tn_http_origin_is(s("http://"), s("")));
	assert_false(tn_http_origin_is(s("ftp://a:1"), s("a:1")));
}

/* Goal: a cookie is found among others by its whole name. */
static void
cookies(void **state)
{
	(void)state;
	assert_true(tn_slice_is(tn_http_cookie(s("a=1; tarn_session=xyz; "
	    "b=2"), "tarn_session"), "xyz"));
	assert_true(tn_slice_is(tn_http_cookie(s("tarn_session=x=y"),
	    "tarn_session"), "x=y"));
	assert_int_equal(tn_http_cookie(s("xtarn_session=1"),
	    "tarn_session").n, 0);
	assert_int_equal(tn_http_cookie(s("tarn_session"),
	    "tarn_session").n, 0);
	assert_int_equal(tn_http_cookie(s(""), "tarn_session").n, 0);
	assert_int_equal(tn_http_cookie(s(";;;="), "tarn_session").n, 0);
}

/* Goal: escapes are undone once; what cannot stand in text is refused. */
static void
escapes(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" }, { "abc", "abc" }, { "%41%2f%2F", "A//" },
		{ "%2541", "%41" }, { "a%C3%A4", "a\xc3\xa4" },
		{ "a%0Ab", "a\nb" }, { "%", NULL }, { "%4", NULL },
		{ "%4g", NULL }, { "%-1", NULL }, { "%00", NULL },
		{ "a%07", NULL }, { "%7f", NULL }, { "%ff", NULL },
		{ "%c0%80", NULL }, { "%ed%a0%80", NULL }, { "\x80", NULL },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		char buf[64];
		size_t n;
		bool ok;
		strcpy(buf, cases[i].in);
		ok = tn_http_decode(buf, &n);
		assert_int_equal(ok, cases[i].out != NULL);
		if (ok) {
			assert_string_equal(buf, cases[i].out);
			assert_int_equal(n, strlen(cases[i].out));
		}
	}
}

/* Goal: tags match as a list, weak or not, or as a star. */
static void
tags(void **state)
{
	(void)state;
	assert_true(tn_http_etag_matches(s("\"a\""), "\"a\""));
	assert_true(tn_http_etag_matches(s("\"b\", W/\"a\""), "\"a\""));
	assert_true(tn_http_etag_matches(s("*"), "\"a\""));
	assert_false(tn_http_etag_matches(s(""), "\"a\""));
	assert_false(tn_http_etag_matches(s("a"), "\"a\""));
	assert_false(tn_http_etag_matches(s("\"ab\""), "\"a\""));
}

/* Goal: a body's first bytes tell JSON from NDJSON. */
static void
sniffing(void **state)
{
	static const struct {
		const char *text;
		int format;      /* -1: neither */
	} cases[] = {
		{ "", TN_CODEC_JSON }, { " \n\t", TN_CODEC_JSON },
		{ "[1]", TN_CODEC_JSON }, { "\n [", TN_CODEC_JSON },
		{ "{\"a\":1}", TN_CODEC_NDJSON },
		{ "{\"a\":1}\n{\"a\":2}", TN_CODEC_NDJSON },
		{ "{\"a\":{\"b\":[1]}} \n {", TN_CODEC_NDJSON },
		{ "{\n\"a\":1}", TN_CODEC_JSON },
		{ "{\"a\":[\n{}]}", TN_CODEC_JSON },
		{ "{\"a\":\"\\\"}\n", TN_CODEC_NDJSON },
		{ "{\"a\":\"}{\",\n", TN_CODEC_JSON },
		{ "{\"a\":1", TN_CODEC_NDJSON },
		{ "\xef\xbb\xbf{\"a\":1}\n", TN_CODEC_NDJSON },
		{ "{]", TN_CODEC_NDJSON }, { "{\"\\", TN_CODEC_NDJSON },
		{ "a,b\n", -1 }, { "<x>", -1 }, { "1", -1 },
		{ "\xff", -1 },
	};
	enum tn_codec_format f;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		bool ok = tn_http_sniff(s(cases[i].text), &f);
		if (ok != (cases[i].format >= 0) ||
		    (ok && (int)f != cases[i].format))
			print_message("%s\n", cases[i].text);
		assert_int_equal(ok, cases[i].format >= 0);
		if (ok)
			assert_int_equal(f, cases[i].format);
	}
}

/* Goal: every status has its code, and the mismatch its own. */
static void
codes(void **state)
{
	static const struct {
		enum tn_status st;
		uint32_t code;
	} cases[] = {
		{ TN_OK, 200 }, { TN_EINVAL, 400 }, { TN_ENOTFOUND, 404 },
		{ TN_EEXIST, 409 }, { TN_ECONFLICT, 409 },
		{ TN_EDENIED, 403 }, { TN_EFULL, 503 }, { TN_ELIMIT, 413 },
		{ TN_ECORRUPT, 500 }, { TN_EUNSUPPORTED, 400 },
		{ TN_ENOSPC, 507 }, { TN_EIO, 500 }, { TN_ENOMEM, 503 },
		{ TN_ECLOSED, 503 },
	};
	struct tn_diag d = { .code = "x" };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		assert_int_equal(tn_http_code_of(cases[i].st, &d),
		    cases[i].code);
		assert_string_not_equal(tn_http_title(cases[i].code),
		    "Error");
	}
	strcpy(d.code, "idempotency_mismatch");
	assert_int_equal(tn_http_code_of(TN_ECONFLICT, &d), 422);
}

/* Goal: problems are JSON whatever the texts, with their members. */
static void
problem(void **state)
{
	struct request *r = tn_zalloc(sizeof *r);
	struct tn_diag d = { .line = 3, .column = 7, .code = "bad_thing",
	    .message = "a \"quoted\"\n\x01 \xff thing", .hint = "do \\ it" };
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_json *j;

	(void)state;
	tn_http_problem_with(r, 503, &d, "\"accepted\":1");
	assert_int_equal(tn_codec_json_parse(a, (struct tn_slice){ r->out.p,
	    r->out.n }, &j, NULL), TN_OK);
	assert_true(tn_slice_is(tn_codec_json_get(j, "type")->text,
	    "/problems/bad-thing"));
	assert_true(tn_slice_is(tn_codec_json_get(j, "title")->text,
	    "Service Unavailable"));
	assert_true(tn_slice_is(tn_codec_json_get(j, "status")->text, "503"));
	assert_true(tn_slice_is(tn_codec_json_get(j, "line")->text, "3"));
	assert_true(tn_slice_is(tn_codec_json_get(j, "column")->text, "7"));
	assert_true(tn_slice_is(tn_codec_json_get(j, "accepted")->text,
	    "1"));
	assert_string_equal(r->extra[0].name, "Retry-After");
	tn_buf_fini(&r->out);
	tn_free(r);
	tn_arena_free(a);
}

/* Goal: each route is found by its own path and method, no two are alike, and
 * each has a word of its own; only those listed here need no scope. */
static void
routes(void **state)
{
	static const char *const open_paths[] = { "/api/v1/login",
	    "/api/v1/logout", "/api/v1/setup", "/api/v1/session", "/livez",
	    "/readyz", "/healthz", "/api/openapi.json", "/docs", "/mqtt" };

	(void)state;
	for (uint32_t i = 0; i < tn_http_route_count; i++) {
		const struct tn_http_route *t = &tn_http_routes[i];
		struct tn_buf path = { 0 };
		struct tn_slice var;
		uint32_t others;
		bool open = false;
		for (const char *p = t->path; *p != '\0'; p++) {
			tn_buf_char(&path, *p == '{' ? 'v' : *p);
			if (*p == '{')
				p = strchr(p, '}');
		}
		assert_ptr_equal(tn_http_route_find(t->method,
		    (struct tn_slice){ path.p, path.n }, &var, &others), t);
		/* "v", or "v/v" of two, with what stands between. */
		assert_true((var.n > 0) == (strchr(t->path, '{') != NULL));
		assert_true((var.n >= 3) == (strchr(t->path, '{') !=
		    strrchr(t->path, '{')));
		assert_true(strlen(t->doc) >= 10 && t->run != NULL);
		for (size_t k = 0; k < TN_COUNT(open_paths); k++)
			open = open || strcmp(open_paths[k], t->path) == 0;
		assert_true((t->need == TN_NEED_FREE) == open);
		/* What changes something is never a GET. */
		assert_true(t->method != TN_HTTP_GET ||
		    t->body == TN_BODY_NONE);
		tn_buf_fini(&path);
	}
}

/* Goal: wrong methods and near misses do not match, and say what would. */
static void
near_routes(void **state)
{
	struct tn_slice var;
	uint32_t others;
	char allow[64];

	(void)state;
	assert_null(tn_http_route_find(TN_HTTP_DELETE, s("/api/v1/tokens"),
	    &var, &others));
	tn_http_route_allow(others, allow);
	assert_string_equal(allow, "GET, POST, HEAD, OPTIONS");
	assert_non_null(tn_http_route_find(TN_HTTP_HEAD, s("/livez"), &var,
	    &others));
	assert_null(tn_http_route_find(TN_HTTP_GET, s("/api/v1/streams/"),
	    &var, &others));
	assert_int_equal(others, 0);
	assert_null(tn_http_route_find(TN_HTTP_GET, s("/api/v1/views/a/b/"
	    "live"), &var, &others));
	assert_null(tn_http_route_find(TN_HTTP_GET, s("/api/v1/views//live"),
	    &var, &others));
	assert_null(tn_http_route_find(TN_HTTP_GET, s("/LIVEZ"), &var,
	    &others));
	assert_null(tn_http_route_find(TN_HTTP_GET, s(""), &var, &others));
	assert_null(tn_http_route_find(TN_HTTP_GET, s("/livez/"), &var,
	    &others));
}

/* Goal: the description names every route with its scope, in valid JSON. */
static void
description(void **state)
{
	struct tn_arena *a = tn_arena_new(65536);
	struct tn_buf b = { 0 };
	struct tn_diag d = { .line = 0 };
	struct tn_json *j;
	const struct tn_json *paths;
	uint32_t operations = 0;

	(void)state;
	tn_http_openapi(&b);
	assert_int_equal(tn_codec_json_parse(a, (struct tn_slice){ b.p, b.n },
	    &j, &d), TN_OK);
	paths = tn_codec_json_get(j, "paths");
	for (uint32_t i = 0; i < paths->count; i++)
		operations += paths->items[i].count;
	assert_int_equal(operations, tn_http_route_count);
	tn_buf_fini(&b);
	tn_arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepting),
		cmocka_unit_test(gzip),
		cmocka_unit_test(media),
		cmocka_unit_test(local_hosts),
		cmocka_unit_test(origins),
		cmocka_unit_test(cookies),
		cmocka_unit_test(escapes),
		cmocka_unit_test(tags),
		cmocka_unit_test(sniffing),
		cmocka_unit_test(codes),
		cmocka_unit_test(problem),
		cmocka_unit_test(routes),
		cmocka_unit_test(near_routes),
		cmocka_unit_test(description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

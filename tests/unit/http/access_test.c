/* Who may do what, over the wire: every route with every kind of caller, the
 * loopback rules, log-in, and the folder that the page is served from. */
#include "test.h"

#include <sys/stat.h>

#include "http_help.h"

static struct rig shut = { .password = "correct horse" };
static struct rig outside = { .listen = "0.0.0.0:0",
	.connections_max = 40, .header_ms = 2 * WAIT_MS };
static struct rig page;
static struct rig *open_rig = &page;
static char web_dir[] = "/tmp/tarn-web-XXXXXX";

static void
write_text(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", web_dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* One loop a process: each group has its own server. */
static int
start_page(void **state)
{
	char path[200];

	(void)state;
	assert_non_null(mkdtemp(web_dir));
	write_text("index.html", "<p>index</p>");
	snprintf(path, sizeof path, "%s/js", web_dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_text("js/app.js", "let x;");
	page.web_dir = web_dir;
	rig_start(&page);
	return 0;
}

static int
stop_page(void **state)
{
	char command[100];

	(void)state;
	rig_stop(&page);
	snprintf(command, sizeof command, "rm -rf '%s'", web_dir);
	return system(command);
}

static int
start_shut(void **state)
{
	(void)state;
	rig_start(&shut);
	return 0;
}

static int
stop_shut(void **state)
{
	(void)state;
	rig_stop(&shut);
	return 0;
}

static int
start_outside(void **state)
{
	(void)state;
	rig_start(&outside);
	return 0;
}

static int
stop_outside(void **state)
{
	(void)state;
	rig_stop(&outside);
	return 0;
}

static int
code_of(const struct rig *g, const char *text)
{
	struct reply r;
	int code;

	ask(g, &r, text);
	code = r.code;
	reply_free(&r);
	return code;
}

/* ---- open ------------------------------------------------------------ */

/* Goal: without a password only local names are answered, and no foreign
 * page, whatever the path. */
static void
foreign_pages(void **state)
{
	(void)state;
	assert_int_equal(code_of(open_rig, "GET /api/v1/status HTTP/1.1\r\n"
	    "Host: localhost:9\r\n\r\n"), 200);
	assert_int_equal(code_of(open_rig, "GET /api/v1/status HTTP/1.1\r\n"
	    "Host: evil.example\r\n\r\n"), 403);
	assert_int_equal(code_of(open_rig, "GET / HTTP/1.1\r\n"
	    "Host: evil.example\r\n\r\n"), 403);
	assert_int_equal(code_of(open_rig, "GET /livez HTTP/1.0\r\n\r\n"),
	    403);
	/* The host of a URL in absolute form is the one asked. */
	assert_int_equal(code_of(open_rig, "GET http://localhost:9/api/v1/"
	    "status HTTP/1.1\r\nHost: evil.example\r\n"
	    "Origin: http://localhost:9\r\n\r\n"), 200);
	assert_int_equal(code_of(open_rig, "GET http://evil.example/api/v1/"
	    "status HTTP/1.1\r\nHost: localhost:9\r\n\r\n"), 403);
	assert_int_equal(code_of(open_rig, "GET http://evil.example/api/v1/"
	    "status HTTP/1.1\r\nHost: localhost:9\r\n"
	    "Origin: http://evil.example\r\n\r\n"), 403);
	assert_int_equal(code_of(open_rig, "GET /api/v1/status HTTP/1.1\r\n"
	    "Host: localhost:9\r\nOrigin: http://localhost:9\r\n\r\n"), 200);
	assert_int_equal(code_of(open_rig, "GET /api/v1/status HTTP/1.1\r\n"
	    "Host: localhost:9\r\nOrigin: http://localhost:10\r\n\r\n"),
	    403);
	assert_int_equal(code_of(open_rig, "POST /api/v1/batch/run HTTP/1.1"
	    "\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 0\r\n"
	    "\r\n"), 403);
	assert_int_equal(code_of(open_rig, "POST /api/v1/streams/plain HTTP/"
	    "1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"), 403);
}

/* Goal: the page's folder gives its own files with the page's headers, its
 * routes give the index, and no path leads out. */
static void
folder(void **state)
{
	static const char *const out[] = { "/../etc/passwd",
	    "/%2e%2e/etc/passwd", "/js/../../etc/passwd", "/js/%2e%2e/x",
	    "/js//app.js", "/./js/app.js", "/js/", "/assets/../index.html",
	    "/js%2f..%2f..%2fetc%2fpasswd", "/js\\..\\x" };
	struct reply r;

	(void)state;
	call(open_rig, &r, "GET", "/", NULL, NULL);
	assert_int_equal(r.code, 200);
	assert_true(says(&r, "index"));
	assert_true(strstr(header(&r, "Content-Security-Policy"),
	    "default-src 'none'; script-src 'self'") != NULL);
	assert_string_equal(header(&r, "Cross-Origin-Opener-Policy"),
	    "same-origin");
	reply_free(&r);
	call(open_rig, &r, "GET", "/js/app.js", NULL, NULL);
	assert_int_equal(r.code, 200);
	assert_true(says(&r, "let x;"));
	assert_string_equal(header(&r, "Content-Type"),
	    "text/javascript; charset=utf-8");
	reply_free(&r);
	expect_call(open_rig, "GET", "/streams/badge", NULL, NULL, 200,
	    "index");
	expect_call(open_rig, "GET", "/assets/none.js", NULL, NULL, 404,
	    NULL);
	for (size_t i = 0; i < TN_COUNT(out); i++) {
		call(open_rig, &r, "GET", out[i], NULL, NULL);
		assert_false(says(&r, "root:") || says(&r, "let x"));
		assert_true(r.code == 404 || says(&r, "index"));
		reply_free(&r);
	}
}

/* Goal: draining answers what is under way, refuses what is new, ends live
 * connections and then is idle. */
struct drain_job {
	struct tn_net_job job;
	struct rig *g;
};

static void
run_drain(struct tn_net_job *job)
{
	tn_http_drain(((struct drain_job *)job)->g->http);
}

static void
draining(void **state)
{
	struct drain_job d = { .job.run = run_drain, .g = open_rig };
	struct reply r = { 0 };
	struct tn_buf all = { 0 };
	int live = dial(open_rig), kept = dial(open_rig), fd;
	char c;

	(void)state;
	put(live, "GET /api/v1/live?view=total HTTP/1.1\r\nHost: localhost"
	    "\r\n\r\n");
	assert_true(get_head(live, &r));
	reply_free(&r);
	put(kept, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
	get_reply(kept, &r, true);
	assert_int_equal(r.code, 200);
	reply_free(&r);
	tn_net_loop_post(open_rig->loop, &d.job);
	/* The answer ends; its connection may be used again. */
	while (all.n < 7 || memcmp(all.p + all.n - 7, "\r\n0\r\n\r\n", 7) != 0) {
		assert_int_equal(get_byte(live, &c, now_ms() + WAIT_MS), 1);
		tn_buf_char(&all, c);
	}
	tn_buf_fini(&all);
	put(kept, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
	get_reply(kept, &r, true);
	assert_int_equal(r.code, 503);
	assert_true(ends(kept, WAIT_MS));
	reply_free(&r);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	{
		struct sockaddr_in a = { .sin_family = AF_INET,
		    .sin_port = htons(open_rig->port),
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		assert_int_not_equal(connect(fd, (struct sockaddr *)&a,
		    sizeof a), 0);
	}
	close(fd);
	close(live);
	close(kept);
}

/* ---- with a password ------------------------------------------------- */

static char cookie[200];

static void
log_in(struct rig *g, const char *password)
{
	struct reply r;
	char body[100];

	snprintf(body, sizeof body, "{\"password\":\"%s\"}", password);
	call(g, &r, "POST", "/api/v1/login", NULL, body);
	assert_int_equal(r.code, 204);
	assert_non_null(strstr(header(&r, "Set-Cookie"), "; HttpOnly; "
	    "SameSite=Strict; Path=/"));
	snprintf(cookie, sizeof cookie, "Cookie: x=1; %.*s\r\n",
	    (int)strcspn(header(&r, "Set-Cookie"), ";"),
	    header(&r, "Set-Cookie"));
	reply_free(&r);
}

/* Make a token; its header line goes to ${out}. Returns its id. */
static int
token(struct rig *g, const char *scope, char out[static 200])
{
	struct reply r;
	char body[100], headers[400];
	const char *p;
	int id;

	snprintf(body, sizeof body, "{\"name\":\"t\",\"scope\":\"%s\","
	    "\"days\":3}", scope);
	snprintf(headers, sizeof headers, "%sSec-Fetch-Site: same-origin\r\n",
	    cookie);
	call(g, &r, "POST", "/api/v1/tokens", headers, body);
	assert_int_equal(r.code, 200);
	id = atoi(tn_buf_cstr(&r.body) + strlen("{\"id\":"));
	p = strstr(tn_buf_cstr(&r.body), "\"token\":\"");
	assert_non_null(p);
	snprintf(out, 200, "Authorization: Bearer %.*s\r\n",
	    (int)strcspn(p + 9, "\""), p + 9);
	reply_free(&r);
	return id;
}

static bool
allowed(enum tn_http_need need, const char *scope)
{
	if (need == TN_NEED_FREE || strcmp(scope, "admin") == 0)
		return true;
	return (need == TN_NEED_INGEST && strcmp(scope, "ingest") == 0) ||
	    (need == TN_NEED_READ && strcmp(scope, "read") == 0);
}

/* Goal: every route of the table answers 401 to nobody, 403 to the wrong
 * scope, and neither to the right one: a new route is tested by being
 * there. */
static void
matrix(void **state)
{
	static const char *const scopes[] = { "none", "ingest", "read",
	    "admin" };
	char tokens[4][200] = { "" };

	(void)state;
	log_in(&shut, "correct horse");
	for (int i = 1; i < 4; i++)
		(void)token(&shut, scopes[i], tokens[i]);
	for (uint32_t i = 0; i < tn_http_route_count * 4; i++) {
		const struct tn_http_route *t = &tn_http_routes[i / 4];
		const char *scope = scopes[i % 4];
		char path[100];
		struct reply r = { 0 };
		int fd;
		struct tn_buf b = { 0 };
		/* Nothing exists under this name; HEAD ends live doors. */
		snprintf(path, sizeof path, "%.*s%s%s",
		    (int)strcspn(t->path, "{"), t->path,
		    strchr(t->path, '{') != NULL ? "777777" : "",
		    strchr(t->path, '}') != NULL ? strchr(t->path, '}') + 1 :
		    "");
		tn_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: any.example\r\n"
		    "%sContent-Length: 0\r\n\r\n", t->method == TN_HTTP_GET ?
		    "HEAD" : tn_http_method_name(t->method), path,
		    tokens[i % 4]);
		fd = dial(&shut);
		put_bytes(fd, b.p, b.n);
		get_reply(fd, &r, t->method != TN_HTTP_GET);
		if (i % 4 == 0 && t->need != TN_NEED_FREE)
			assert_int_equal(r.code, 401);
		else if (!allowed(t->need, scope))
			assert_int_equal(r.code, 403);
		else if (r.code == 401 || (r.code == 403 &&
		    !says(&r, "setup-code")))
			fail_msg("%s %s %s: %d", scope, b.p, r.head, r.code);
		reply_free(&r);
		tn_buf_fini(&b);
		close(fd);
	}
}

/* Goal: a cookie alone changes nothing when a foreign page sent it. */
static void
cross_site(void **state)
{
	char headers[600];

	(void)state;
	log_in(&shut, "correct horse");
	expect_call(&shut, "GET", "/api/v1/status", cookie, NULL, 200, NULL);
	expect_call(&shut, "POST", "/api/v1/batch/run", cookie, "", 403,
	    "origin-refused");
	snprintf(headers, sizeof headers, "%sOrigin: http://evil\r\n",
	    cookie);
	expect_call(&shut, "POST", "/api/v1/batch/run", headers, "", 403,
	    "origin-refused");
	snprintf(headers, sizeof headers, "%sSec-Fetch-Site: cross-site\r\n",
	    cookie);
	expect_call(&shut, "POST", "/api/v1/batch/run", headers, "", 403,
	    "origin-refused");
	snprintf(headers, sizeof headers, "%sOrigin: http://localhost\r\n",
	    cookie);
	expect_call(&shut, "POST", "/api/v1/batch/run", headers, "", 200,
	    NULL);
	expect_call(&shut, "POST", "/api/v1/login", "Origin: http://evil\r\n",
	    "{\"password\":\"correct horse\"}", 403, "origin-refused");
	expect_call(&shut, "POST", "/api/v1/logout", cookie, "", 204, NULL);
	expect_call(&shut, "GET", "/api/v1/status", cookie, NULL, 401, NULL);
}

/* Goal: a revoked token, a made-up one and an empty one are nobody. */
static void
tokens(void **state)
{
	char admin[200], path[64];
	struct reply r;
	int id;

	(void)state;
	log_in(&shut, "correct horse");
	id = token(&shut, "admin", admin);
	call(&shut, &r, "GET", "/api/v1/tokens", admin, NULL);
	assert_int_equal(r.code, 200);
	assert_false(says(&r, "hash") || says(&r, "trn_"));
	reply_free(&r);
	snprintf(path, sizeof path, "/api/v1/tokens/%d", id);
	expect_call(&shut, "DELETE", path, admin, NULL, 204, NULL);
	expect_call(&shut, "GET", "/api/v1/tokens", admin, NULL, 401, NULL);
	expect_call(&shut, "GET", "/api/v1/status", "Authorization: Bearer "
	    "trn_0000000000000000000000000000000000000000000\r\n", NULL, 401,
	    NULL);
	expect_call(&shut, "GET", "/api/v1/status", "Authorization: Bearer "
	    "\r\n", NULL, 401, NULL);
	expect_call(&shut, "GET", "/api/v1/status", "Authorization: Basic "
	    "YTpi\r\n", NULL, 401, "login-needed");
}

/* Goal: wrong passwords are slowed down with 429 and Retry-After. Last, since
 * the address has to wait afterwards. */
static void
guessing(void **state)
{
	struct reply r;

	(void)state;
	for (int i = 0; i < 20; i++) {
		call(&shut, &r, "POST", "/api/v1/login", NULL,
		    "{\"password\":\"wrong\"}");
		assert_true(r.code == 403 || r.code == 429);
		if (r.code == 429)
			break;
		reply_free(&r);
	}
	assert_int_equal(r.code, 429);
	assert_true(atoi(header(&r, "Retry-After")) >= 1);
	reply_free(&r);
}

/* ---- not loopback, no password --------------------------------------- */

/* Goal: before the first password nothing but the page, health and setup
 * answers; the code works once. */
static void
first_start(void **state)
{
	char body[200];
	struct reply r;

	(void)state;
	assert_false(tn_http_is_loopback(outside.http));
	expect_call(&outside, "GET", "/api/v1/status", NULL, NULL, 401, NULL);
	expect_call(&outside, "GET", "/metrics", NULL, NULL, 401, NULL);
	expect_call(&outside, "GET", "/livez", NULL, NULL, 200, NULL);
	expect_call(&outside, "GET", "/setup", NULL, NULL, 200, "no page");
	expect_call(&outside, "GET", "/api/v1/session", NULL, NULL, 200,
	    "{\"scope\":\"none\",\"setup\":true,\"loopback\":false}");
	snprintf(body, sizeof body, "{\"code\":\"%s\",\"password\":\"short"
	    "\"}", outside.setup);
	expect_call(&outside, "POST", "/api/v1/setup", NULL, body, 400,
	    "weak-password");
	snprintf(body, sizeof body, "{\"code\":\"%s\",\"password\":\"long "
	    "enough\"}", outside.setup);
	call(&outside, &r, "POST", "/api/v1/setup", NULL, body);
	assert_int_equal(r.code, 204);
	assert_non_null(strstr(header(&r, "Set-Cookie"), "tarn_session="));
	reply_free(&r);
	expect_call(&outside, "POST", "/api/v1/setup", NULL, body, 403,
	    "setup-code");
	log_in(&outside, "long enough");
	expect_call(&outside, "GET", "/api/v1/status", cookie, NULL, 200,
	    "\"auth\":\"session\"");
}

/* Goal: three times as many silent connections as there are places do not
 * keep a good client out: they would keep theirs for longer than its answer is
 * waited for. */
static void
crowd(void **state)
{
	int fds[120];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(fds); i++) {
		fds[i] = dial(&outside);
		if (i % 2 == 0)
			put(fds[i], "GET /livez HTTP/1.1\r\n");
		expect_call(&outside, "GET", "/livez", NULL, NULL, 200, "ok");
	}
	for (size_t i = 0; i < TN_COUNT(fds); i++)
		close(fds[i]);
}

/* Goal: a taken port, a foreign address and nonsense are each told apart. */
static void
bad_addresses(void **state)
{
	struct tn_diag d = { .line = 0 };
	struct tn_http *h = tn_zalloc(sizeof *h);
	char taken[40];

	(void)state;
	h->o.listen = taken;
	snprintf(taken, sizeof taken, "127.0.0.1:%u",
	    (unsigned)outside.port);
	assert_int_equal(tn_http_listen(h, &d), TN_ECONFLICT);
	assert_non_null(strstr(d.hint, "--http"));
	h->o.listen = "192.0.2.1:0";
	assert_int_equal(tn_http_listen(h, &d), TN_EINVAL);
	{
		static const char *const bad[] = { "", ":", "x", "x:1",
		    "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:-1", "[::1:80",
		    "[]:80", "::1:80", "localhost:" };
		for (size_t i = 0; i < TN_COUNT(bad); i++) {
			h->o.listen = bad[i];
			assert_int_equal(tn_http_listen(h, &d), TN_EINVAL);
		}
	}
	h->o.listen = "[::1]:0";
	if (tn_http_listen(h, &d) == TN_OK) {
		assert_true(h->loopback && h->port != 0);
		close(h->listen_fd);
	}
	tn_free(h);
}

int
main(void)
{
	const struct CMUnitTest open_tests[] = {
		cmocka_unit_test(foreign_pages),
		cmocka_unit_test(folder),
		cmocka_unit_test(draining),
	};
	const struct CMUnitTest shut_tests[] = {
		cmocka_unit_test(matrix),
		cmocka_unit_test(cross_site),
		cmocka_unit_test(tokens),
		cmocka_unit_test(guessing),
	};
	const struct CMUnitTest outside_tests[] = {
		cmocka_unit_test(first_start),
		cmocka_unit_test(crowd),
		cmocka_unit_test(bad_addresses),
	};
	int failed = cmocka_run_group_tests(open_tests, start_page,
	    stop_page);

	failed += cmocka_run_group_tests(shut_tests, start_shut, stop_shut);
	failed += cmocka_run_group_tests(outside_tests, start_outside,
	    stop_outside);
	return failed;
}

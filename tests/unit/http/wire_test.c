/* What arrives on the wire: framing, smuggling, limits, deadlines, clients
 * that go away. Each of libmicrohttpd's traps that FACTS.md lists has a test
 * here. */
#include "test.h"

#include "http_help.h"

static struct rig rig = { .header_ms = 600, .body_idle_ms = 5000,
	.pending_bytes_max = 4 << 20 };

RIG_OF_GROUP(rig)

#define GET_LIVEZ "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST_PLAIN "POST /api/v1/streams/plain HTTP/1.1\r\n" \
	"Host: localhost\r\nContent-Type: application/json\r\n"

static uint64_t
plain_rows(void)
{
	struct reply r;
	uint64_t n;

	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, NULL);
	call(&rig, &r, "GET", "/api/v1/streams/plain", NULL, NULL);
	n = strtoull(strstr(tn_buf_cstr(&r.body), "\"next_offset\":") + 14,
	    NULL, 10);
	reply_free(&r);
	return n;
}

/* Send raw bytes; expect a code, then the end of the connection. */
static void
refused(const char *text, size_t n, int code)
{
	struct reply r = { 0 };
	int fd = dial(&rig);

	assert_true(put_bytes(fd, text, n));
	get_reply(fd, &r, true);
	if (r.code != code)
		print_message("for %s\n got %s\n", text, r.head);
	assert_int_equal(r.code, code);
	assert_true(ends(fd, WAIT_MS));
	reply_free(&r);
	close(fd);
}

#define REFUSED(text, code) refused(text, sizeof text - 1, code)

/* Goal: what two programs may read differently is refused and the connection
 * is closed, so that nothing behind it is taken for a request. */
static void
smuggling(void **state)
{
	uint64_t before = plain_rows();
	/* From 1.0 on, libmicrohttpd closes at a NUL in the request line
	 * without a word. */
	int at_nul = tn_http_layout_known() ? 400 : 0;

	(void)state;
	/* Length beside chunked, a whole request hidden behind. */
	REFUSED(POST_PLAIN "Content-Length: 4\r\nTransfer-Encoding: chunked"
	    "\r\n\r\n0\r\n\r\n" POST_PLAIN "Content-Length: 7\r\n\r\n"
	    "{\"n\":1}", 400);
	REFUSED(POST_PLAIN "Transfer-Encoding: chunked\r\nContent-Length: 5"
	    "\r\n\r\n0\r\n\r\n" POST_PLAIN "Content-Length: 7\r\n\r\n"
	    "{\"n\":1}", 400);
	/* Two lengths, also equal ones. */
	REFUSED(POST_PLAIN "Content-Length: 7\r\nContent-Length: 9\r\n\r\n"
	    "{\"n\":1}", 400);
	REFUSED(POST_PLAIN "Content-Length: 7\r\nContent-Length: 7\r\n\r\n"
	    "{\"n\":1}", 400);
	/* Codings that are not chunked. */
	REFUSED(POST_PLAIN "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	    400);
	REFUSED(POST_PLAIN "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n"
	    "\r\n", 400);
	REFUSED(POST_PLAIN "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n"
	    "\r\n", 400);
	REFUSED(POST_PLAIN "Transfer-Encoding: chunked\r\nTransfer-Encoding:"
	    " chunked\r\n\r\n0\r\n\r\n", 400);
	REFUSED(POST_PLAIN "Transfer-Encoding:\tchunked \r\nContent-Length: "
	    "3\r\n\r\n0\r\n\r\n", 400);
	REFUSED("POST /api/v1/streams/plain HTTP/1.0\r\nHost: localhost\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
	/* Blanks around the name, folding, bare line feeds, NUL. */
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A : b\r\n\r\n",
	    400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n"
	    "\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
	    400);
	REFUSED("GET /livez HTTP/1.1\nHost: localhost\n\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
	    400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\0evil\r\n\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nX-A: b\0\r\nHost: localhost\r\n\r\n",
	    400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\0"
	    "\r\n\r\n", 400);
	REFUSED("GET /livez\0x HTTP/1.1\r\nHost: localhost\r\n\r\n",
	    at_nul);
	REFUSED("GET /livez?a=b\0x HTTP/1.1\r\nHost: localhost\r\n\r\n",
	    at_nul);
	REFUSED("GET  /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 400);
	REFUSED("GET /livez  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400);
	REFUSED("GET /li vez HTTP/1.1\r\nHost: localhost\r\n\r\n", 400);
	/* Control characters, also a bare carriage return. */
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\001c\r\n"
	    "\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\rX-B: c"
	    "\r\n\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\177\r\n"
	    "\r\n", 400);
	/* Host: none, two. */
	REFUSED("GET /livez HTTP/1.1\r\n\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost"
	    "\r\n\r\n", 400);
	REFUSED("GET /livez HTTP/1.1\r\nHost: localhost\r\nhost: evil\r\n"
	    "\r\n", 400);
	assert_int_equal(plain_rows(), before);
}

/* Goal: a Content-Length that is none ends the connection and nothing behind
 * it is read (0.9.75 sends its own 400 twice, which harms nobody). */
static void
wrong_length(void **state)
{
	static const char *const lengths[] = { "abc", "-1", "+7", "7 7",
	    "7,7", "0x7", "99999999999999999999999", "" };
	uint64_t before = plain_rows();

	(void)state;
	for (size_t i = 0; i < TN_COUNT(lengths); i++) {
		struct tn_buf b = { 0 };
		int fd = dial(&rig);
		char c;
		tn_buf_printf(&b, POST_PLAIN "Content-Length: %s\r\n\r\n"
		    POST_PLAIN "Content-Length: 7\r\n\r\n{\"n\":1}",
		    lengths[i]);
		assert_true(put_bytes(fd, b.p, b.n));
		assert_int_equal(get_byte(fd, &c, now_ms() + WAIT_MS), 1);
		tn_buf_clear(&b);
		tn_buf_char(&b, c);
		while (get_byte(fd, &c, now_ms() + WAIT_MS) == 1)
			tn_buf_char(&b, c);
		assert_ptr_equal(strstr(tn_buf_cstr(&b), "HTTP/1.1 4"),
		    tn_buf_cstr(&b));
		assert_null(strstr(tn_buf_cstr(&b), "HTTP/1.1 200"));
		tn_buf_fini(&b);
		close(fd);
	}
	assert_int_equal(plain_rows(), before);
}

/* Goal: URLs: bad escapes, NUL, dot segments and encoded slashes lead
 * nowhere; an over-long one is 414. */
static void
urls(void **state)
{
	static const struct {
		const char *path;
		int code;
	} cases[] = {
		{ "/livez%", 400 }, { "/livez%2", 400 }, { "/li%zzvez", 400 },
		{ "/livez%00", 400 }, { "/livez?a=%00", 400 },
		{ "/livez?a=%ff", 400 }, { "/%c0%ae%c0%ae/x", 400 },
		{ "/livez%0a", 404 }, { "/%6civez", 200 },
		{ "livez", 400 }, { "*", 400 },
		/* Absolute form, as a client of a proxy writes it. */
		{ "http://localhost/livez", 200 },
		{ "HTTP://LOCALHOST:8420/%6civez?a=%62", 200 },
		{ "https://[::1]:1/livez", 200 },
		{ "http://localhost", 404 }, { "http://localhost?x=1", 404 },
		{ "http://localhost/http://localhost/livez", 404 },
		{ "http://localhost/livez%2", 400 },
		{ "http://localhost/livez?a=%00", 400 },
		{ "http://", 400 }, { "http:///livez", 400 },
		{ "http://u@localhost/livez", 400 },
		{ "http://local%68ost/livez", 400 },
		{ "http:/livez", 400 }, { "ftp://localhost/livez", 400 },
		{ "/api/v1/streams/plain%2frecent", 200 },
		{ "/api/v1/../../etc/passwd", 404 },
		{ "/api/v1/streams/..%2f..%2fetc", 404 },
		{ "/assets/../../../etc/passwd", 404 },
		{ "/assets/%2e%2e/%2e%2e/etc/passwd", 404 },
	};
	struct tn_buf b = { 0 };
	struct reply r;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		call(&rig, &r, "GET", cases[i].path, NULL, NULL);
		/* The page's routes answer 200 to any name of theirs. */
		if (r.code != cases[i].code && !(cases[i].code == 404 &&
		    says(&r, "no page")))
			print_message("%s: %d\n", cases[i].path, r.code);
		assert_true(r.code == cases[i].code ||
		    (cases[i].code == 404 && says(&r, "no page")));
		assert_false(says(&r, "root:"));
		reply_free(&r);
	}
	tn_buf_char(&b, '/');
	for (int i = 0; i < 8192; i++)
		tn_buf_char(&b, 'a');
	expect_call(&rig, "GET", tn_buf_cstr(&b), NULL, NULL, 414,
	    "url-too-long");
	tn_buf_fini(&b);
}

/* Goal: heads up to the pool's size are read whatever their shape; larger
 * ones are refused and the connection closed. */
static void
large_heads(void **state)
{
	struct tn_buf b = { 0 };
	struct reply r;

	(void)state;
	for (int n = 1; n < 200; n += 7) {
		tn_buf_clear(&b);
		for (int i = 0; i < n; i++)
			tn_buf_printf(&b, "X-Header-%d: %.*s\r\n", i,
			    i % 60, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			    "aaaaaaaaaaaaaaaaaaaa");
		expect_call(&rig, "GET", "/livez", tn_buf_cstr(&b), NULL,
		    200, "ok");
	}
	tn_buf_clear(&b);
	tn_buf_str(&b, "X-Big: ");
	for (int i = 0; i < 20000; i++)
		tn_buf_char(&b, 'b');
	tn_buf_str(&b, "\r\n");
	expect_call(&rig, "GET", "/livez", tn_buf_cstr(&b), NULL, 200, "ok");
	for (int i = 0; i < 40000; i++)
		tn_buf_printf(&b, "X-More-%d: c\r\n", i);
	call(&rig, &r, "GET", "/livez", tn_buf_cstr(&b), NULL);
	assert_true(r.code == 431 || r.cut);
	reply_free(&r);
	tn_buf_fini(&b);
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, "ok");
}

/* Goal: one connection serves request after request, also when all are sent
 * at once, in order. */
static void
pipelining(void **state)
{
	struct tn_buf b = { 0 };
	int fd = dial(&rig);
	uint64_t before = plain_rows();

	(void)state;
	for (int i = 0; i < 50; i++)
		tn_buf_printf(&b, "%s%sContent-Length: 7\r\n\r\n{\"n\":%d}",
		    GET_LIVEZ, POST_PLAIN, i % 10);
	assert_true(put_bytes(fd, b.p, b.n));
	for (int i = 0; i < 100; i++) {
		struct reply r = { 0 };
		get_reply(fd, &r, true);
		assert_int_equal(r.code, 200);
		assert_true(says(&r, i % 2 == 0 ? "ok" : "\"accepted\":1"));
		reply_free(&r);
	}
	assert_true(is_silent(fd, 50));
	close(fd);
	tn_buf_fini(&b);
	assert_int_equal(plain_rows(), before + 50);
}

/* Goal: chunked bodies, cut anywhere, give the same rows. */
static void
chunked(void **state)
{
	const char *body = "[{\"n\":1},{\"n\":2},{\"n\":3}]";
	/* libmicrohttpd 1.0.1 loses count at a chunk's extension; it must not
	 * lose a request over it. */
	const char *ext = tn_http_layout_known() ? ";ext=1" : "";
	uint64_t before = plain_rows();
	int posts = 0;

	(void)state;
	for (size_t step = 1; step < 27; step += 4) {
		struct tn_buf b = { 0 };
		struct reply r = { 0 };
		int fd = dial(&rig);
		tn_buf_str(&b, POST_PLAIN "Transfer-Encoding: chunked\r\n"
		    "\r\n");
		for (size_t at = 0; at < strlen(body); at += step) {
			size_t n = strlen(body) - at;
			n = n < step ? n : step;
			tn_buf_printf(&b, "%zx%s\r\n%.*s\r\n", n, ext,
			    (int)n, body + at);
		}
		tn_buf_str(&b, "0\r\n\r\n" GET_LIVEZ);
		/* A byte at a time, too. */
		for (size_t i = 0; step == 5 && i < b.n; i++)
			assert_true(put_bytes(fd, b.p + i, 1));
		if (step != 5)
			assert_true(put_bytes(fd, b.p, b.n));
		get_reply(fd, &r, true);
		assert_int_equal(r.code, 200);
		assert_true(says(&r, "\"accepted\":3"));
		reply_free(&r);
		get_reply(fd, &r, true);
		assert_int_equal(r.code, 200);
		reply_free(&r);
		close(fd);
		tn_buf_fini(&b);
		posts++;
	}
	REFUSED(POST_PLAIN "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", 400);
	if (!tn_http_layout_known()) {
		REFUSED(POST_PLAIN "Transfer-Encoding: chunked\r\n\r\n"
		    "7;ext=1\r\n{\"n\":1}\r\n0\r\n\r\n", 400);
		REFUSED(POST_PLAIN "Transfer-Encoding: chunked\r\n\r\n"
		    "0;ext=1\r\n\r\n" GET_LIVEZ, 400);
	}
	assert_int_equal(plain_rows(), before + (uint64_t)posts * 3);
}

/* Goal: Expect: 100-continue is told to go on, or gets its refusal before it
 * sends the body. */
static void
expect_continue(void **state)
{
	struct reply r;
	int fd = dial(&rig);

	(void)state;
	put(fd, POST_PLAIN "Expect: 100-continue\r\nContent-Length: 7\r\n"
	    "\r\n");
	assert_true(get_head(fd, &r));
	assert_int_equal(r.code, 100);
	reply_free(&r);
	put(fd, "{\"n\":1}");
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 200);
	reply_free(&r);
	close(fd);
	fd = dial(&rig);
	put(fd, "POST /api/v1/streams/nope HTTP/1.1\r\nHost: localhost\r\n"
	    "Expect: 100-continue\r\nContent-Length: 700000\r\n\r\n");
	assert_true(get_head(fd, &r));
	assert_int_equal(r.code, 404);
	reply_free(&r);
	close(fd);
}

/* Goal: a refused body of moderate size is read, answered, and the connection
 * goes on; a huge one is answered and closed; neither hangs. */
static void
refused_bodies(void **state)
{
	struct tn_buf b = { 0 };
	struct reply r = { 0 };
	int fd = dial(&rig);

	(void)state;
	tn_buf_str(&b, "POST /api/v1/streams/nope HTTP/1.1\r\nHost: localhost"
	    "\r\nContent-Length: 200000\r\n\r\n");
	for (int i = 0; i < 200000; i++)
		tn_buf_char(&b, 'x');
	tn_buf_str(&b, GET_LIVEZ);
	assert_true(put_bytes(fd, b.p, b.n));
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 404);
	reply_free(&r);
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 200);
	reply_free(&r);
	close(fd);
	/* Chunked without end: at most DRAIN_MAX is read. */
	fd = dial(&rig);
	tn_buf_clear(&b);
	tn_buf_str(&b, "10000\r\n");
	for (int i = 0; i < 65536; i++)
		tn_buf_char(&b, 'x');
	tn_buf_str(&b, "\r\n");
	put(fd, "POST /api/v1/streams/nope HTTP/1.1\r\nHost: localhost\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 10000; i++)
		if (!put_bytes(fd, b.p, b.n))
			break;
	assert_false(put_bytes(fd, b.p, b.n) && put_bytes(fd, b.p, b.n));
	close(fd);
	tn_buf_fini(&b);
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, NULL);
}

/* Goal: bodies that are gathered have a limit, told by length and by count. */
static void
gathered_bodies(void **state)
{
	struct tn_buf b = { 0 };
	struct reply r = { 0 };
	int fd = dial(&rig);

	(void)state;
	for (int i = 0; i < 140000; i++)
		tn_buf_char(&b, ' ');
	expect_call(&rig, "POST", "/api/v1/sql", NULL, tn_buf_cstr(&b), 413,
	    "body-too-large");
	put(fd, "POST /api/v1/sql HTTP/1.1\r\nHost: localhost\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n222e0\r\n");
	assert_true(put_bytes(fd, b.p, b.n));
	put(fd, "\r\n0\r\n\r\n");
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 413);
	reply_free(&r);
	close(fd);
	b.n = 70000;
	expect_call(&rig, "POST", "/api/v1/sql", NULL, tn_buf_cstr(&b), 413,
	    "sql-too-long");
	tn_buf_fini(&b);
}

/* Goal: a large body passes in bounded memory, back-pressure included, and
 * every row arrives. */
static void
large_body(void **state)
{
	struct tn_buf b = { 0 };
	struct reply r = { 0 };
	uint64_t before = plain_rows();
	int fd;
	const int rows = 600000;

	(void)state;
	for (int i = 0; i < rows; i++)
		tn_buf_printf(&b, "{\"n\":%d,\"t\":\"some text here\"}\n", i);
	/* Only now: an idle connection is closed in the end. */
	fd = dial(&rig);
	{
		char head[200];
		snprintf(head, sizeof head, "POST /api/v1/streams/plain HTTP/"
		    "1.1\r\nHost: localhost\r\nContent-Type: application/"
		    "x-ndjson\r\nContent-Length: %zu\r\n\r\n", b.n);
		put(fd, head);
	}
	assert_true(put_bytes(fd, b.p, b.n));
	get_reply(fd, &r, true);
	assert_int_equal(r.code, 200);
	assert_true(says(&r, "\"accepted\":600000"));
	reply_free(&r);
	close(fd);
	tn_buf_fini(&b);
	assert_int_equal(plain_rows(), before + rows);
}

struct sender {
	pthread_t thread;
	const struct tn_buf *body;
	int fd;
	bool half;               /* Ends its side behind the body. */
	struct reply reply;
};

static void *
send_body(void *arg)
{
	struct sender *x = arg;
	char head[200];

	snprintf(head, sizeof head, "POST /api/v1/streams/plain HTTP/1.1\r\n"
	    "Host: localhost\r\nContent-Type: application/x-ndjson\r\n"
	    "Content-Length: %zu\r\n\r\n", x->body->n);
	(void)put(x->fd, head);
	(void)put_bytes(x->fd, x->body->p, x->body->n);
	if (x->half)
		(void)shutdown(x->fd, SHUT_WR);
	get_reply(x->fd, &x->reply, true);
	return NULL;
}

/* Goal: many large bodies at once, far more than may be pending: each is taken
 * whole or refused with 503 and Retry-After, none hangs, none is half lost;
 * neither when its sender has ended its side while the last part waits here. */
static void
overload(void **state)
{
	struct sender x[16];
	struct tn_buf b = { 0 };
	uint64_t before = plain_rows(), taken = 0;

	(void)state;
	for (int i = 0; i < 100000; i++)
		tn_buf_printf(&b, "{\"n\":%d,\"t\":\"some text here\"}\n", i);
	memset(x, 0, sizeof x);
	for (size_t i = 0; i < TN_COUNT(x); i++) {
		x[i].fd = dial(&rig);
		x[i].body = &b;
		x[i].half = i % 2 > 0;
		assert_int_equal(pthread_create(&x[i].thread, NULL,
		    send_body, &x[i]), 0);
	}
	for (size_t i = 0; i < TN_COUNT(x); i++) {
		pthread_join(x[i].thread, NULL);
		close(x[i].fd);
		if (x[i].reply.code == 200) {
			assert_true(says(&x[i].reply, "\"accepted\":100000,"));
			taken += 100000;
		} else if (x[i].reply.code == 503) {
			/* One that waited too long in its midst is told what
			 * of it was taken. */
			const char *part = strstr(
			    tn_buf_cstr(&x[i].reply.body), "\"accepted\":");
			assert_string_equal(header(&x[i].reply,
			    "Retry-After"), "1");
			if (part != NULL)
				taken += strtoull(part + 11, NULL, 10);
		} else {
			/* Answered at the head; the rest was not read. */
			assert_true(x[i].reply.cut);
		}
		reply_free(&x[i].reply);
	}
	assert_true(taken > 0);
	assert_int_equal(plain_rows(), before + taken);
	tn_buf_fini(&b);
}

/* Goal: who does not finish its head in time is cut off, at the first request
 * and at a later one, also when it drips bytes; others are served meanwhile. */
static void
slow_heads(void **state)
{
	int64_t begun = now_ms();
	int first = dial(&rig), later = dial(&rig), silent = dial(&rig);
	struct reply r = { 0 };
	bool first_ended = false, later_ended = false;

	(void)state;
	put(later, GET_LIVEZ);
	get_reply(later, &r, true);
	assert_int_equal(r.code, 200);
	reply_free(&r);
	put(first, "GET /livez HTTP/1.1\r\n");
	/* At once: the sweep must see that it was idle and is no more. */
	while (now_ms() < begun + WAIT_MS && !(first_ended && later_ended)) {
		char c;
		if (!first_ended && !put(first, "X"))
			first_ended = true;
		if (!later_ended && !put(later, "G"))
			later_ended = true;
		first_ended = first_ended || get_byte(first, &c,
		    now_ms()) >= 0;
		later_ended = later_ended || get_byte(later, &c,
		    now_ms()) >= 0;
		expect_call(&rig, "GET", "/livez", NULL, NULL, 200, "ok");
		usleep(50000);
	}
	assert_true(first_ended && later_ended);
	assert_true(now_ms() - begun >= 500);
	get_reply(silent, &r, true);
	assert_int_equal(r.code, 408);
	assert_true(ends(silent, WAIT_MS));
	reply_free(&r);
	close(first);
	close(later);
	close(silent);
}

/* Goal: a connection that waits between requests is not cut off by the head's
 * deadline. */
static void
patient_keep_alive(void **state)
{
	struct reply r = { 0 };
	int fd = dial(&rig);

	(void)state;
	for (int i = 0; i < 3; i++) {
		put(fd, GET_LIVEZ);
		get_reply(fd, &r, true);
		assert_int_equal(r.code, 200);
		reply_free(&r);
		usleep(900000);
	}
	close(fd);
}

/* Goal: clients that go away in the middle of a body, or before the answer,
 * harm nobody and leave nothing behind. */
static void
gone_clients(void **state)
{
	struct linger hard = { .l_onoff = 1 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		int fd = dial(&rig);
		switch (i % 5) {
		case 0:
			put(fd, POST_PLAIN "Content-Length: 700\r\n\r\n{\"n\"");
			break;
		case 1:
			put(fd, POST_PLAIN "Content-Length: 7\r\n\r\n"
			    "{\"n\":1}");
			break;
		case 2:
			put(fd, "POST /api/v1/sql HTTP/1.1\r\nHost: localhost"
			    "\r\nContent-Length: 25\r\n\r\n"
			    "SELECT count(*) FROM plain");
			break;
		case 3:
			put(fd, "POST /api/v1/batch/run HTTP/1.1\r\nHost: "
			    "localhost\r\nContent-Length: 0\r\n\r\n");
			break;
		case 4:
			put(fd, "GET /api/v1/live?view=total&status=1 HTTP/1.1"
			    "\r\nHost: localhost\r\n\r\n");
			break;
		}
		if (i % 2 == 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard,
			    sizeof hard);
		if (i % 3 == 0)
			usleep(2000);
		close(fd);
	}
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, "ok");
}

/* Goal: who ends its side behind its last whole request gets every answer, at
 * once or from elsewhere, and then the connection is closed. */
static void
half_closed(void **state)
{
	static const struct {
		const char *text;
		int answers;
	} cases[] = {
		{ GET_LIVEZ, 1 },
		{ "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n", 1 },
		{ "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 1 },
		{ "GET /api/v1/views/total HTTP/1.1\r\nHost: localhost"
		    "\r\n\r\n", 1 },
		{ "GET /api/v1/views/total HTTP/1.0\r\nHost: localhost"
		    "\r\n\r\n", 1 },
		{ POST_PLAIN "Content-Length: 7\r\n\r\n{\"n\":1}", 1 },
		{ POST_PLAIN "Transfer-Encoding: chunked\r\n\r\n7\r\n"
		    "{\"n\":1}\r\n0\r\n\r\n", 1 },
		{ "POST /api/v1/sql HTTP/1.1\r\nHost: localhost\r\n"
		    "Content-Type: application/sql\r\nContent-Length: 26"
		    "\r\n\r\nSELECT count(*) FROM plain", 1 },
		{ "POST /api/v1/batch/run HTTP/1.1\r\nHost: localhost\r\n"
		    "Content-Length: 0\r\n\r\n", 1 },
		{ POST_PLAIN "Content-Length: 7\r\n\r\n{\"n\":1}"
		    GET_LIVEZ POST_PLAIN "Content-Length: 7\r\n\r\n"
		    "{\"n\":1}" GET_LIVEZ, 4 },
	};

	(void)state;
	for (size_t i = 0; i < 8 * TN_COUNT(cases); i++) {
		size_t k = i % TN_COUNT(cases);
		int fd = dial(&rig);

		assert_true(put(fd, cases[k].text));
		/* The end comes with the request, or after it was read. */
		if (i % 3 == 0)
			usleep(1000);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		for (int n = 0; n < cases[k].answers; n++) {
			struct reply r = { 0 };

			get_reply(fd, &r, true);
			if (r.code != 200 || r.cut)
				fail_msg("answer %d of %s: %d", n,
				    cases[k].text, r.code);
			reply_free(&r);
		}
		/* Before an idle connection is closed in any case. */
		assert_true(ends(fd, 4000));
		close(fd);
	}
}

/* Goal: random bytes, and good requests with random changes, never end the
 * server or hang a client. */
static void
garbage(void **state)
{
	const char *text = getenv("TARN_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	static const char good[] = POST_PLAIN "Accept: */*\r\nIdempotency-Key"
	    ": a\r\nContent-Length: 7\r\n\r\n{\"n\":1}" GET_LIVEZ
	    "GET /api/v1/views/total?format=csv HTTP/1.1\r\nHost: localhost"
	    "\r\n\r\n";

	(void)state;
	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < 150; i++) {
		char bytes[sizeof good];
		int changes, fd = dial(&rig);
		memcpy(bytes, good, sizeof good);
		seed = tn_hash64(&seed, sizeof seed, 5);
		changes = 1 + (int)(seed % 4);
		for (int k = 0; k < changes; k++) {
			seed = tn_hash64(&seed, sizeof seed, 6);
			bytes[seed % (sizeof good - 1)] = (char)(seed >> 32);
		}
		(void)put_bytes(fd, bytes, sizeof good - 1);
		(void)shutdown(fd, SHUT_WR);
		while (recv(fd, bytes, sizeof bytes, 0) > 0)
			;
		close(fd);
	}
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, "ok");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smuggling),
		cmocka_unit_test(wrong_length),
		cmocka_unit_test(urls),
		cmocka_unit_test(large_heads),
		cmocka_unit_test(pipelining),
		cmocka_unit_test(chunked),
		cmocka_unit_test(expect_continue),
		cmocka_unit_test(refused_bodies),
		cmocka_unit_test(gathered_bodies),
		cmocka_unit_test(large_body),
		cmocka_unit_test(overload),
		cmocka_unit_test(slow_heads),
		cmocka_unit_test(patient_keep_alive),
		cmocka_unit_test(gone_clients),
		cmocka_unit_test(half_closed),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

/* GET /mqtt: which handshakes are taken, what the broker is told of the
 * caller, and that the socket lives on apart from libmicrohttpd. The broker
 * here sends back what it gets. */
#include "test.h"

#include "http_help.h"

/* What the broker of this test saw; the loop writes, the test reads. */
static struct {
	uint32_t adopted, closed;
	int scope;
	char peer[64];
} seen;

struct echo {
	struct tn_net_stream *s;
};

static void
echo_bytes(void *arg, struct tn_slice in)
{
	struct echo *e = arg;

	tn_net_stream_write(e->s, in);
	if (in.n > 0 && in.p[in.n - 1] == '!')
		tn_net_stream_close(e->s, 1000);
}

static void
echo_closed(void *arg, enum tn_status why)
{
	(void)why;
	tn_free(arg);
	__atomic_add_fetch(&seen.closed, 1, __ATOMIC_ACQ_REL);
}

static void
adopt(void *arg, struct tn_net_stream *s, enum tn_governance_scope scope)
{
	static const struct tn_net_stream_calls calls = {
		.bytes = echo_bytes, .closed = echo_closed };
	struct echo *e = tn_zalloc(sizeof *e);

	assert_ptr_equal(arg, &seen);
	e->s = s;
	seen.scope = (int)scope;
	snprintf(seen.peer, sizeof seen.peer, "%s", tn_net_stream_peer(s));
	tn_net_stream_start(s, &calls, e);
	__atomic_add_fetch(&seen.adopted, 1, __ATOMIC_ACQ_REL);
}

static struct rig rig = { .header_ms = 600, .connections_max = 10,
	.mqtt = { .adopt = adopt, .arg = &seen } };
static struct rig shut = { .password = "correct horse",
	.mqtt = { .adopt = adopt, .arg = &seen } };
static struct rig none;

RIG_OF_GROUP(rig)

#define GET "GET /mqtt HTTP/1.1\r\nHost: localhost\r\n"
#define UP "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SUB "Sec-WebSocket-Protocol: mqtt\r\n"
#define GOOD GET UP V13 KEY SUB "\r\n"

static int
shake(const struct rig *g, struct reply *r, const char *text)
{
	int fd = dial(g);

	memset(r, 0, sizeof *r);
	assert_true(put(fd, text));
	get_reply(fd, r, false);
	return fd;
}

static void
wait_for(const uint32_t *what, uint32_t n)
{
	int64_t until = now_ms() + WAIT_MS;

	while (__atomic_load_n(what, __ATOMIC_ACQUIRE) < n) {
		assert_true(now_ms() < until);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(__atomic_load_n(what, __ATOMIC_ACQUIRE), n);
}

/* The other side sends back ${text}. */
static void
expect_echo(int fd, const char *text)
{
	struct tn_buf b = { 0 };

	assert_true(get_exactly(fd, &b, strlen(text), now_ms() + WAIT_MS));
	assert_memory_equal(b.p, text, strlen(text));
	tn_buf_fini(&b);
}

/* Goal: each handshake gets the answer that RFC 6455 gives it; only a right
 * one reaches the broker. */
static void
handshakes(void **state)
{
	static const struct { int code; const char *text; } table[] = {
		{ 101, GOOD },
		{ 101, GET "Connection: keep-alive, upgrade\r\nUpgrade: h2c, "
		    "WebSocket\r\n" V13 KEY "Sec-WebSocket-Protocol: mqttv3.1, "
		    "mqtt\r\n\r\n" },
		{ 101, GET "Connection: keep-alive\r\nConnection: Upgrade\r\n"
		    "Upgrade: websocket\r\n" V13 KEY "Sec-WebSocket-Protocol: "
		    "chat\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n" },
		/* Versions. */
		{ 426, GET UP KEY SUB "\r\n" },
		{ 426, GET UP "Sec-WebSocket-Version: 8\r\n" KEY SUB "\r\n" },
		{ 426, GET UP "Sec-WebSocket-Version: 13, 8\r\n" KEY SUB
		    "\r\n" },
		{ 426, GET UP V13 V13 KEY SUB "\r\n" },
		/* Keys: none, two, short, long, not base64, 17 bytes. */
		{ 400, GET UP V13 SUB "\r\n" },
		{ 400, GET UP V13 KEY KEY SUB "\r\n" },
		{ 400, GET UP V13 SUB "Sec-WebSocket-Key: \r\n\r\n" },
		{ 400, GET UP V13 SUB "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"
		    "\r\n" },
		{ 400, GET UP V13 SUB "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"
		    "ZQo=\r\n\r\n" },
		{ 400, GET UP V13 SUB "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"
		    "ZR==\r\n\r\n" },
		{ 400, GET UP V13 SUB "Sec-WebSocket-Key: dGhlIHNhbXBs*SBub25j"
		    "ZQ==\r\n\r\n" },
		/* Subprotocol. */
		{ 400, GET UP V13 KEY "\r\n" },
		{ 400, GET UP V13 KEY "Sec-WebSocket-Protocol: mqttv3.1, MQTT,"
		    " mqtt5\r\n\r\n" },
		/* Connection does not say so, or says close. */
		{ 400, GET "Upgrade: websocket\r\n" V13 KEY SUB "\r\n" },
		{ 400, GET "Connection: upgrade, close\r\nUpgrade: websocket"
		    "\r\n" V13 KEY SUB "\r\n" },
		{ 400, "GET /mqtt HTTP/1.0\r\nHost: localhost\r\n" UP V13 KEY
		    SUB "\r\n" },
		{ 400, "HEAD /mqtt HTTP/1.1\r\nHost: localhost\r\n" UP V13 KEY
		    SUB "\r\n" },
		{ 405, "POST /mqtt HTTP/1.1\r\nHost: localhost\r\nContent-"
		    "Length: 0\r\n" UP V13 KEY SUB "\r\n" },
		/* Other names and pages. */
		{ 403, "GET /mqtt HTTP/1.1\r\nHost: evil.example\r\n" UP V13
		    KEY SUB "\r\n" },
		{ 403, GET UP V13 KEY SUB "Origin: http://evil.example\r\n"
		    "\r\n" },
		{ 101, GET UP V13 KEY SUB "Origin: http://localhost\r\n"
		    "\r\n" },
		/* Without Upgrade it is a page. */
		{ 200, GET "\r\n" },
		{ 200, GET "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" },
	};
	uint32_t taken = 0;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(table); i++) {
		struct reply r;
		int fd = shake(&rig, &r, table[i].text);
		if (r.code != table[i].code)
			print_message("for %s\n got %s\n", table[i].text,
			    r.head);
		assert_int_equal(r.code, table[i].code);
		if (r.code == 426)
			assert_string_equal(header(&r,
			    "Sec-WebSocket-Version"), "13");
		taken += r.code == 101;
		reply_free(&r);
		close(fd);
	}
	wait_for(&seen.adopted, taken);
	wait_for(&seen.closed, taken);
	assert_int_equal(seen.scope, TN_SCOPE_ADMIN);
}

/* Goal: the answer holds what the client checks (the example of RFC 6455), and
 * then bytes go both ways, those that came with the head first. */
static void
bytes(void **state)
{
	uint32_t before = seen.adopted;
	struct sockaddr_in own;
	socklen_t n = sizeof own;
	char peer[64];
	struct reply r;
	int fd;

	(void)state;
	fd = shake(&rig, &r, GOOD "early");
	assert_int_equal(r.code, 101);
	assert_string_equal(header(&r, "Sec-WebSocket-Accept"),
	    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_string_equal(header(&r, "Sec-WebSocket-Protocol"), "mqtt");
	assert_int_equal(strcasecmp(header(&r, "Upgrade"), "websocket"), 0);
	assert_int_equal(strcasecmp(header(&r, "Connection"), "Upgrade"), 0);
	expect_echo(fd, "early");
	assert_true(put(fd, "later"));
	expect_echo(fd, "later");
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &n), 0);
	snprintf(peer, sizeof peer, "127.0.0.1:%u",
	    (unsigned)ntohs(own.sin_port));
	wait_for(&seen.adopted, before + 1);
	assert_string_equal(seen.peer, peer);
	/* HTTP's deadlines are not for it any more. */
	assert_true(is_silent(fd, 1500));
	assert_true(put(fd, "end!"));
	expect_echo(fd, "end!");
	assert_true(ends(fd, WAIT_MS));
	wait_for(&seen.closed, before + 1);
	reply_free(&r);
	close(fd);
}

/* Goal: open WebSockets take none of HTTP's few places. */
static void
places(void **state)
{
	uint32_t before = seen.adopted;
	struct reply r;
	int fds[40];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(fds); i++) {
		fds[i] = shake(&rig, &r, GOOD);
		assert_int_equal(r.code, 101);
		reply_free(&r);
	}
	expect_call(&rig, "GET", "/livez", NULL, NULL, 200, NULL);
	for (size_t i = 0; i < TN_COUNT(fds); i++) {
		assert_true(put(fds[i], "here"));
		expect_echo(fds[i], "here");
		close(fds[i]);
	}
	wait_for(&seen.closed, before + TN_COUNT(fds));
}

/* Goal: where there is no broker, it says so. */
static void
no_broker(void **state)
{
	struct reply r;
	int fd;

	(void)state;
	rig_start(&none);
	fd = shake(&none, &r, GOOD);
	assert_int_equal(r.code, 404);
	reply_free(&r);
	close(fd);
	rig_stop(&none);
}

/* Goal: with a password, what the caller showed goes to the broker; who shows
 * nothing may still come and show it to MQTT; a session alone, without a sign
 * of our own page, is not enough. */
static void
callers(void **state)
{
	static const struct { const char *extra; int code, scope; } table[] = {
		{ "", 101, TN_SCOPE_NONE },
		{ "Origin: http://evil.example\r\n", 403, 0 },
		{ "Origin: http://localhost\r\n", 101, TN_SCOPE_NONE },
		{ "Authorization: Bearer trn_x\r\n", 401, 0 },
		{ "Cookie: tarn_session=no\r\n", 101, TN_SCOPE_NONE },
		{ "@", 403, 0 },
		{ "@Origin: http://evil.example\r\n", 403, 0 },
		{ "@Sec-Fetch-Site: cross-site\r\n", 403, 0 },
		{ "@Origin: http://localhost\r\n", 101, TN_SCOPE_ADMIN },
		{ "@Sec-Fetch-Site: same-origin\r\n", 101, TN_SCOPE_ADMIN },
	};
	char cookie[200];
	struct reply r;

	(void)state;
	rig_start(&shut);
	call(&shut, &r, "POST", "/api/v1/login", NULL,
	    "{\"password\":\"correct horse\"}");
	assert_int_equal(r.code, 204);
	snprintf(cookie, sizeof cookie, "Cookie: %.*s\r\n",
	    (int)strcspn(header(&r, "Set-Cookie"), ";"),
	    header(&r, "Set-Cookie"));
	reply_free(&r);
	for (size_t i = 0; i < TN_COUNT(table); i++) {
		uint32_t before = seen.adopted;
		bool with = table[i].extra[0] == '@';
		char text[1000];
		int fd;
		snprintf(text, sizeof text, GET UP V13 KEY SUB "%s%s\r\n",
		    with ? cookie : "", table[i].extra + with);
		fd = shake(&shut, &r, text);
		if (r.code != table[i].code)
			print_message("for %s\n got %s\n", text, r.head);
		assert_int_equal(r.code, table[i].code);
		if (r.code == 101) {
			wait_for(&seen.adopted, before + 1);
			assert_int_equal(seen.scope, table[i].scope);
		}
		reply_free(&r);
		close(fd);
		wait_for(&seen.closed, seen.adopted);
	}
	rig_stop(&shut);
}

int
main(void)
{
	const struct CMUnitTest open_tests[] = {
		cmocka_unit_test(handshakes),
		cmocka_unit_test(bytes),
		cmocka_unit_test(places),
	};
	const struct CMUnitTest own_tests[] = {
		cmocka_unit_test(no_broker),
		cmocka_unit_test(callers),
	};
	int failed = cmocka_run_group_tests(open_tests, start, stop);

	return failed + cmocka_run_group_tests(own_tests, NULL, NULL);
}

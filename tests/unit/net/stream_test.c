/* wrap: accept4 recv send sendmsg socket bind listen setsockopt getsockname connect shutdown getsockopt uv_poll_init uv_close tn_try_alloc */
/* Byte streams without TLS over real sockets: bytes, back-pressure, every way
 * to end, limits, and each system call failing once. */
#include "stream_help.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <uv.h>

/* ---- failing calls --------------------------------------------------- */

static struct {
	uint32_t calls;
	uint32_t fail_at;       /* 0: never. */
	int error;
	uint32_t fired;
} fault;

static bool
fails_now(void)
{
	fault.calls++;
	if (fault.calls != fault.fail_at)
		return false;
	fault.fired++;
	errno = fault.error;
	return true;
}

/* The linker sends calls of NAME to __wrap_NAME (--wrap). */
#define WRAP(type, name, fails, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type \
	__wrap_##name params \
	{ \
		return fails_now() ? (fails) : __real_##name args; \
	}
WRAP(int, accept4, -1, (int fd, struct sockaddr *a, socklen_t *n, int f),
    (fd, a, n, f))
WRAP(ssize_t, recv, -1, (int fd, void *p, size_t n, int f), (fd, p, n, f))
WRAP(ssize_t, send, -1, (int fd, const void *p, size_t n, int f),
    (fd, p, n, f))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *m, int f),
    (fd, m, f))
WRAP(int, socket, -1, (int d, int t, int p), (d, t, p))
WRAP(int, bind, -1, (int fd, const struct sockaddr *a, socklen_t n),
    (fd, a, n))
WRAP(int, listen, -1, (int fd, int n), (fd, n))
WRAP(int, setsockopt, -1, (int fd, int l, int o, const void *p, socklen_t n),
    (fd, l, o, p, n))
WRAP(int, getsockopt, -1, (int fd, int l, int o, void *p, socklen_t *n),
    (fd, l, o, p, n))
WRAP(int, getsockname, -1, (int fd, struct sockaddr *a, socklen_t *n),
    (fd, a, n))
WRAP(int, connect, -1, (int fd, const struct sockaddr *a, socklen_t n),
    (fd, a, n))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, uv_poll_init, -ENOMEM, (void *l, void *h, int fd), (l, h, fd))
WRAP(void *, tn_try_alloc, NULL, (size_t n), (n))

/* The loop lets go of a number before it is closed: behind that another thread
 * may have it, and uv_close would speak to the kernel of what is not ours. */
void __real_uv_close(uv_handle_t *handle, uv_close_cb cb);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb cb);
void
__wrap_uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	uv_os_fd_t fd;

	if (uv_handle_get_type(handle) == UV_POLL &&
	    uv_fileno(handle, &fd) == 0)
		assert_true(fcntl(fd, F_GETFD) >= 0);
	__real_uv_close(handle, cb);
}

/* ---- bytes ----------------------------------------------------------- */

static void
test_echo(void **state)
{
	struct end server = { .echo = true };
	struct end client = { .pattern = true, .to_send = 100u << 20,
		.close_when_done = true, .peer = &server,
		.on_closed = stop_when_both };

	(void)state;
	/* Goal: 100 MB in pieces of random sizes come back as they went, and
	 * both ends hear of an orderly end once. */
	server.peer = &client;
	server.on_closed = stop_when_both;
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	world.server = &server;
	world_connect(&client, NULL, NULL);
	world_run();
	assert_false(client.bad);
	assert_int_equal(client.got, 100u << 20);
	assert_int_equal(client.closed + server.closed, 2);
	assert_int_equal(client.why, TN_END);
	assert_int_equal(server.why, TN_END);
	world_close();
}

/* A raw socket that reads when told. */
static struct raw {
	int fd;
	uint64_t got;
	bool bad, ended;
	int error;
	struct tn_net_watch *watch;
} raw;

static void
raw_readable(void *arg)
{
	static uint8_t buf[100000]; /* Less than PATTERN_MAX. */
	struct raw *r = arg;
	ssize_t n = read(r->fd, buf, sizeof buf);

	if (n > 0) {
		r->bad = r->bad || memcmp(buf, pattern(r->got), (size_t)n) != 0;
		r->got += (uint64_t)n;
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	r->error = n < 0 ? errno : 0;
	r->ended = true;
	tn_net_watch_free(r->watch);
	(void)close(r->fd);
	r->watch = NULL;
	r->fd = -1;
}

static void
raw_open(void)
{
	memset(&raw, 0, sizeof raw);
	raw.fd = world_raw();
	assert_int_equal(fcntl(raw.fd, F_SETFL, O_NONBLOCK), 0);
}

static void
raw_read(void)
{
	raw.watch = tn_net_watch_new(world.loop, raw.fd, raw_readable, &raw);
	assert_non_null(raw.watch);
}

static void
write_all(struct end *e)
{
	while (e->sent < e->to_send) {
		uint64_t left = e->to_send - e->sent;

		end_write(e, left < 50000 ? (size_t)left : 50000);
	}
	(void)tn_net_stream_queued(e->s);
}

static uint32_t turns;

/* Two turns after the socket was full the other side begins to read; when it
 * has everything, the stream is closed. */
static void
read_later(void *arg)
{
	struct end *e = arg;

	if (e->s != NULL && raw.got == e->to_send) {
		tn_net_stream_close(e->s, 5000);
		end_write(e, 100);
		e->sent -= 100;
	}
	if (e->s == NULL || ++turns < 3 || raw.watch != NULL || raw.ended)
		return;
	assert_in_range(tn_net_stream_queued(e->s), 1u << 20, e->to_send);
	assert_int_equal(e->drained, 0);
	assert_int_equal(tn_net_stream_end(e->s), e->to_send);
	assert_in_range(tn_net_stream_heard(e->s), 1, e->to_send - (1u << 20));
	raw_read();
}

static void
nudge(void *arg)
{
	(void)arg;
}

static void
test_slow_reader(void **state)
{
	struct end server = { .to_send = 20000000, .on_open = write_all,
		.on_closed = stop_loop };
	struct tn_net_timer *t;

	(void)state;
	/* Goal: what a slow reader does not take is queued, and is not heard;
	 * drained comes once for the one look at the queue; nothing written
	 * after a close goes out. */
	turns = 0;
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	tn_net_loop_on_turn(world.loop, read_later, &server);
	t = tn_net_timer_new(world.loop, nudge, NULL);
	tn_net_timer_start(t, 1, 1);
	world.server = &server;
	raw_open();
	world_run();
	assert_int_equal(server.drained, 1);
	assert_int_equal(server.why, TN_END);
	assert_int_equal(server.reached, server.to_send);
	assert_int_equal(raw.got, server.to_send);
	assert_false(raw.bad);
	assert_true(raw.ended);
	tn_net_timer_free(t);
	tn_net_loop_on_turn(world.loop, NULL, NULL);
	world_close();
}

static void
pause_now(struct end *e)
{
	tn_net_stream_pause(e->s, true);
}

static void
resume(void *arg)
{
	struct end *e = arg;

	if (++turns < 10)
		return;
	if (turns == 10)
		assert_int_equal(e->got, 0);
	if (e->s != NULL)
		tn_net_stream_pause(e->s, false);
}

static void
test_pause(void **state)
{
	struct end server = { .pattern = true, .on_open = pause_now,
		.on_closed = stop_loop };
	uint8_t bytes[5000];
	struct tn_net_timer *t;

	(void)state;
	/* Goal: nothing is given while paused; the rest and the end after. */
	turns = 0;
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	world.server = &server;
	t = tn_net_timer_new(world.loop, resume, &server);
	tn_net_timer_start(t, 1, 1);
	raw_open();
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = byte_at(i);
	assert_int_equal(write(raw.fd, bytes, sizeof bytes), sizeof bytes);
	(void)close(raw.fd);
	world_run();
	assert_int_equal(server.got, sizeof bytes);
	assert_false(server.bad);
	assert_int_equal(server.why, TN_END);
	assert_true(turns >= 10);
	tn_net_timer_free(t);
	world_close();
}

/* ---- ends ------------------------------------------------------------ */

static void
write_and_close(struct end *e)
{
	write_all(e);
	tn_net_stream_close(e->s, 5000);
	tn_net_stream_close(e->s, 5000);
	tn_net_stream_pause(e->s, true);
	raw_read();
}

static void
test_close_linger(void **state)
{
	struct end server = { .to_send = 4000000, .on_open = write_and_close,
		.on_closed = stop_loop };

	(void)state;
	/* Goal: close sends what is queued, also when the peer's own bytes
	 * were never read. */
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	world.server = &server;
	raw_open();
	assert_int_equal(write(raw.fd, "unread", 6), 6);
	world_run();
	assert_int_equal(server.why, TN_END);
	assert_int_equal(raw.got, 4000000);
	assert_int_equal(server.reached, 4000000);
	assert_int_equal(raw.error, 0);
	assert_true(raw.ended);
	world_close();
}

static void
close_short(struct end *e)
{
	write_all(e);
	tn_net_stream_close(e->s, 30);
}

static void
close_at_once(struct end *e)
{
	write_all(e);
	tn_net_stream_close(e->s, 0);
	assert_int_equal(e->closed, 0);
	end_write(e, 1);
	tn_net_stream_close(e->s, 0);
}

static void
test_close_unread(void **state)
{
	static void (*const ways[])(struct end *e) = { close_short,
		close_at_once };

	(void)state;
	/* Goal: a peer that does not read holds a close up for linger_ms and
	 * no longer; 0 is at once. */
	for (size_t i = 0; i < TN_COUNT(ways); i++) {
		struct end server = { .to_send = 20000000, .on_open = ways[i],
			.on_closed = stop_loop };

		world_open();
		assert_int_equal(world_listen(NULL, 0), TN_OK);
		world.server = &server;
		raw_open();
		world_run();
		assert_int_equal(server.closed, 1);
		assert_int_equal(server.why, i == 0 ? TN_EUNREACHABLE : TN_END);
		assert_true(server.reached < server.to_send);
		(void)close(raw.fd);
		world_close();
	}
}

static void
reset(struct end *e)
{
	struct linger now = { 1, 0 };

	write_all(e);
	assert_int_equal(setsockopt(raw.fd, SOL_SOCKET, SO_LINGER, &now,
	    sizeof now), 0);
	(void)close(raw.fd);
}

static void
test_reset(void **state)
{
	(void)state;
	/* Goal: a reset ends the stream once, with nothing, little and much
	 * queued, and it is no orderly end. */
	for (uint64_t n = 0; n <= 20000000; n = n * 1000 + 20000) {
		struct end server = { .to_send = n, .on_open = reset,
			.on_closed = stop_loop };

		world_open();
		assert_int_equal(world_listen(NULL, 0), TN_OK);
		world.server = &server;
		raw_open();
		world_run();
		assert_int_equal(server.closed, 1);
		assert_int_equal(server.why, TN_EIO);
		world_close();
	}
}

static void
answer(struct end *e, struct tn_slice in)
{
	(void)in;
	write_all(e);
	raw_read();
}

static void
test_half_close(void **state)
{
	struct end server = { .to_send = 8000000, .on_bytes = answer,
		.on_closed = stop_loop };

	(void)state;
	/* Goal: a peer that ends its side gets the answer all the same. */
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	world.server = &server;
	raw_open();
	assert_int_equal(write(raw.fd, "hello", 5), 5);
	assert_int_equal(shutdown(raw.fd, SHUT_WR), 0);
	world_run();
	assert_int_equal(server.why, TN_END);
	assert_int_equal(server.got, 5);
	if (raw.watch != NULL)
		while (!raw.ended)
			raw_readable(&raw);
	assert_int_equal(raw.got, 8000000);
	assert_false(raw.bad);
	world_close();
}

static void
test_stopped_loop(void **state)
{
	struct end server = { .on_open = stop_loop };
	struct end client = { .failed = TN_OK }, third = { .failed = TN_OK };

	(void)state;
	/* Goal: after the loop has stopped, closed() still comes with
	 * settle, also for a stream that lingers, and a connection under way
	 * fails. */
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	world.server = &server;
	world_connect(&client, NULL, NULL);
	world_run();
	world_connect(&third, NULL, NULL);
	tn_net_stream_close(server.s, 5000);
	if (client.s != NULL)
		tn_net_stream_close(client.s, 0);
	tn_net_loop_settle(world.loop);
	assert_int_equal(server.closed, 1);
	assert_int_equal(client.closed, client.opened);
	assert_int_equal(third.failed, TN_ECLOSED);
	world_close();
}

/* ---- many ------------------------------------------------------------ */

#define MANY 2000
static struct end many[2][MANY];
static uint32_t many_closed;

static void
count_closed(struct end *e)
{
	(void)e;
	if (++many_closed == 2 * MANY)
		tn_net_loop_stop(world.loop);
}

static void
next_server(struct end *e)
{
	world.server = e + 1 < many[1] + MANY ? e + 1 : NULL;
}

static void
test_many(void **state)
{
	(void)state;
	/* Goal: 2,000 connections at once, each served, each closed once. */
	memset(many, 0, sizeof many);
	many_closed = 0;
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	for (uint32_t i = 0; i < MANY; i++) {
		many[0][i] = (struct end){ .pattern = true, .to_send = 1000,
			.close_when_done = true, .on_closed = count_closed };
		many[1][i] = (struct end){ .echo = true,
			.on_closed = count_closed, .on_open = next_server };
		world_connect(&many[0][i], NULL, NULL);
	}
	world.server = &many[1][0];
	world_run();
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(many[0][i].got, 1000);
		assert_false(many[0][i].bad);
		assert_int_equal(many[0][i].why, TN_END);
		assert_int_equal(many[1][i].closed, 1);
	}
	world_close();
}

static uint32_t refused;

static void
count_refused(struct end *e)
{
	assert_int_equal(e->got, 0);
	if (++refused == 5)
		tn_net_loop_stop(world.loop);
}

static void
test_connections_max(void **state)
{
	struct tn_net_listener_opts o = { .address = "127.0.0.1:0",
		.connections_max = 10, .accepted = world_accepted };
	struct tn_buf text = { .n = 0 };

	(void)state;
	/* Goal: connections beyond the bound are accepted, closed and
	 * counted; a place that becomes free is given again. */
	memset(many, 0, sizeof many);
	refused = 0;
	world_open();
	assert_int_equal(tn_net_listener_new(&world.listener, world.loop, &o,
	    NULL), TN_OK);
	world.server = &many[1][0];
	for (uint32_t i = 0; i < 15; i++) {
		many[0][i].on_closed = count_refused;
		many[1][i].on_open = next_server;
		world_connect(&many[0][i], NULL, NULL);
	}
	world_run();
	assert_int_equal(world.accepted, 10);
	tn_counter_render(&text);
	assert_non_null(strstr(tn_buf_cstr(&text),
	    "tarn_net_connections_refused_total{listener=\"127.0.0.1:0\"} 5"));
	tn_buf_fini(&text);
	for (uint32_t i = 0; i < 15; i++) {
		many[0][i].on_closed = NULL;
		if (many[0][i].s != NULL)
			tn_net_stream_close(many[0][i].s, 0);
		if (many[1][i].s != NULL)
			tn_net_stream_close(many[1][i].s, 0);
	}
	many[1][10].on_open = stop_loop;
	world_connect(&many[0][20], NULL, NULL);
	world_run();
	assert_int_equal(world.accepted, 11);
	tn_net_stream_close(many[1][10].s, 0);
	if (many[0][20].s != NULL)
		tn_net_stream_close(many[0][20].s, 0);
	world_close();
}

static int clients[8];

static void
next_or_stop(struct end *e)
{
	if (world.accepted == 8)
		tn_net_loop_stop(world.loop);
	next_server(e);
}

static void
count_turns(void *arg)
{
	(void)arg;
	turns++;
}

static struct tn_net_timer *half_second;

/* Half a second without descriptors, once the loop has found that there are
 * none; then they are there again. */
static void
descriptors_back(void *arg)
{
	static bool missed;
	struct rlimit *before = arg;

	if (!missed) {
		missed = world.accepted == 2;
		turns = 0;
		tn_net_timer_start(half_second, 500, 0);
		return;
	}
	assert_int_equal(world.accepted, 2);
	assert_in_range(turns, 1, 60);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, before), 0);
}

static void
test_no_descriptors(void **state)
{
	struct rlimit before, few;
	int top;

	(void)state;
	/* Goal: without descriptors accepting rests instead of spinning, and
	 * goes on when there are some again. */
	memset(many, 0, sizeof many);
	turns = 0;
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	for (int i = 0; i < 8; i++) {
		clients[i] = world_raw();
		many[1][i].on_open = next_or_stop;
	}
	world.server = &many[1][0];
	top = dup(0);
	(void)close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)top + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	half_second = tn_net_timer_new(world.loop, descriptors_back, &before);
	tn_net_timer_start(half_second, 1, 0);
	tn_net_loop_on_turn(world.loop, count_turns, NULL);
	world_run();
	assert_int_equal(world.accepted, 8);
	for (int i = 0; i < 8; i++) {
		tn_net_stream_close(many[1][i].s, 0);
		(void)close(clients[i]);
	}
	tn_net_timer_free(half_second);
	tn_net_loop_on_turn(world.loop, NULL, NULL);
	world_close();
}

/* ---- addresses and other ways in ------------------------------------- */

static void
test_addresses(void **state)
{
	static const char *const bad[] = { "", "1883", "host:1883", ":x",
		"::1:80", "[::1:80", "1.2.3.4:65536", "1.2.3:1", "192.0.2.1:0" };
	struct tn_net_listener_opts o = { .connections_max = 1,
		.accepted = world_accepted };
	struct tn_net_listener *l;
	struct tn_diag d = { .line = 0 };
	char taken[40];

	(void)state;
	/* Goal: an address that is none, or is taken, is refused with a
	 * reason. */
	world_open();
	assert_int_equal(world_listen(NULL, 0), TN_OK);
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		o.address = bad[i];
		assert_int_equal(tn_net_listener_new(&l, world.loop, &o, &d),
		    TN_EINVAL);
		assert_string_equal(d.code, "bad_address");
		assert_null(l);
	}
	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u",
	    tn_net_listener_port(world.listener));
	o.address = taken;
	assert_int_equal(tn_net_listener_new(&l, world.loop, &o, &d),
	    TN_ECONFLICT);
	tn_net_listener_free(NULL);
	world_close();
}

static const char *shown;

static void
look_at_peer(struct end *e)
{
	const char *peer = tn_net_stream_peer(e->s);

	assert_int_equal(strncmp(peer, shown, strlen(shown)), 0);
	assert_true(tn_net_stream_loopback(e->s));
	assert_null(tn_net_stream_certificate(e->s));
	tn_net_stream_close(e->s, 1000);
}

static void
test_families(void **state)
{
	static const struct {
		const char *listen, *connect, *shown;
	} cases[] = {
		{ ":0", "127.0.0.1", "127.0.0.1:" },
		{ ":0", "[::1]", "[::1]:" },
		{ "[::1]:0", "[::1]", "[::1]:" },
		{ "localhost:0", "localhost", "127.0.0.1:" },
		{ "localhost:0", "127.1", "127.0.0.1:" }, /* By lookup. */
	};

	(void)state;
	/* Goal: IPv4, IPv6 and both at once; peers are named in their own
	 * family; a name is looked up. */
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_net_listener_opts o = { .address = cases[i].listen,
			.connections_max = 1, .accepted = world_accepted };
		struct end server = { .on_open = look_at_peer,
			.on_closed = stop_when_both };
		struct end client = { .on_closed = stop_when_both,
			.peer = &server };
		char address[64];

		server.peer = &client;
		shown = cases[i].shown;
		world_open();
		if (tn_net_listener_new(&world.listener, world.loop, &o,
		    NULL) != TN_OK) {
			/* A machine without IPv6. */
			assert_non_null(strchr(cases[i].listen, '['));
			world_close();
			continue;
		}
		world.server = &server;
		(void)snprintf(address, sizeof address, "%s:%u",
		    cases[i].connect, tn_net_listener_port(world.listener));
		tn_net_connect(world.loop, address, NULL, NULL, 0,
		    end_connected, &client);
		world_run();
		assert_int_equal(client.closed, client.opened);
		if (client.failed == TN_OK)
			assert_int_equal(client.why, TN_END);
		world_close();
	}
}

static void
test_connect_fails(void **state)
{
	static const char *const addresses[] = { "nowhere", ":1", "127.0.0.1:1",
		"no such host:1" };
	static const enum tn_status want[] = { TN_EINVAL, TN_EUNREACHABLE,
		TN_EUNREACHABLE, TN_EUNREACHABLE };

	(void)state;
	/* Goal: connected() says once and later why there is no stream. */
	for (size_t i = 0; i < TN_COUNT(addresses); i++) {
		struct end client = { .on_closed = stop_loop };

		world_open();
		tn_net_connect(world.loop, addresses[i], NULL, NULL, 5000,
		    end_connected, &client);
		assert_int_equal(client.failed, TN_OK);
		world_run();
		assert_int_equal(client.failed, want[i]);
		world_close();
	}
}

static uint32_t released;

static void
release(void *arg)
{
	(void)close(*(int *)arg);
	released++;
}

static void
test_of_fd(void **state)
{
	struct end server = { .echo = true, .pattern = true,
		.on_closed = stop_loop };
	uint8_t bytes[1000], back[1000];
	struct tn_slice early = { bytes, 300 };
	FILE *plain = tmpfile();
	int ends[2], fd;

	(void)state;
	/* Goal: a socket of somebody else: early bytes first and later, then
	 * its own; given back once at the end instead of being closed. */
	released = 0;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = byte_at(i);
	world_open();
	fd = fileno(plain);
	assert_null(tn_net_stream_of_fd(world.loop, fd, "x", early, release,
	    &fd));
	(void)fclose(plain);
	assert_int_equal(released, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(write(ends[1], bytes + 300, 700), 700);
	assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
	end_open(&server, tn_net_stream_of_fd(world.loop, ends[0],
	    "10.0.0.7:51234", early, release, &ends[0]));
	memset(bytes, 0, 300);
	assert_int_equal(server.got, 0);
	assert_string_equal(tn_net_stream_peer(server.s), "10.0.0.7:51234");
	assert_true(tn_net_stream_loopback(server.s));
	world_run();
	assert_int_equal(released, 1);
	assert_int_equal(server.got, 1000);
	assert_false(server.bad);
	assert_int_equal(server.why, TN_END);
	assert_int_equal(read(ends[1], back, sizeof back), 1000);
	for (size_t i = 0; i < sizeof back; i++)
		assert_int_equal(back[i], byte_at(i));
	assert_int_equal(read(ends[1], back, 1), 0);
	(void)close(ends[1]);
	world_close();
}

static void
close_in_bytes(struct end *e, struct tn_slice in)
{
	(void)in;
	tn_net_stream_close(e->s, 0);
}

static void
resume_twice(struct end *e)
{
	tn_net_stream_pause(e->s, true);
	tn_net_stream_pause(e->s, false);
}

static void
test_close_inside(void **state)
{
	struct end server = { .on_bytes = close_in_bytes,
		.on_open = resume_twice, .on_closed = stop_loop };
	int ends[2];

	(void)state;
	/* Goal: closed inside bytes(): no more bytes, closed() later. */
	world_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	end_open(&server, tn_net_stream_of_fd(world.loop, ends[0], "local",
	    tn_slice_of("early"), release, &ends[0]));
	world_run();
	assert_int_equal(server.got, 5);
	assert_int_equal(server.closed, 1);
	(void)close(ends[1]);
	world_close();
}

/* ---- each call fails once --------------------------------------------- */

static bool
done(const struct end *e)
{
	return e->closed == 1 || e->failed != TN_OK;
}

static void
stop_when_done(struct end *e)
{
	struct end *peer = e->peer;

	if (done(e) && (done(peer) || (peer->s == NULL && !peer->echo)))
		tn_net_loop_stop(world.loop);
	/* The server never came to be: its connection was dropped. */
	else if (done(e) && e->close_when_done && peer->s == NULL)
		tn_net_loop_stop(world.loop);
}

/* One visit with the Nth call failing; true when that call was made. */
static bool
visit(uint32_t fail_at, int error)
{
	struct end server = { .echo = true, .on_closed = stop_when_done };
	struct end client = { .pattern = true, .to_send = 300000,
		.close_when_done = true, .peer = &server,
		.on_closed = stop_when_done };

	server.peer = &client;
	world_open();
	world.server = &server;
	fault.calls = 0;
	fault.fired = 0;
	fault.error = error;
	fault.fail_at = fail_at;
	if (world_listen(NULL, 0) == TN_OK) {
		world_connect(&client, NULL, NULL);
		world_run();
		if (server.s != NULL)
			tn_net_stream_close(server.s, 0);
		assert_true(done(&client));
	} else {
		assert_int_equal(fault.fired, 1);
	}
	fault.fail_at = 0;
	world_close();
	assert_int_equal(client.closed, client.opened);
	assert_int_equal(server.closed, server.opened);
	assert_false(client.bad);
	if (fault.fired == 0 || error == EINTR)
		assert_true(client.got == 300000 || fault.fired > 0);
	return fault.fired > 0;
}

static void
test_faults(void **state)
{
	static const int errors[] = { EIO, EINTR, EAGAIN, EMFILE, ENOMEM };

	(void)state;
	/* Goal: whichever call fails once, each owner hears how it ended,
	 * once, and nothing is left. */
	for (size_t i = 0; i < TN_COUNT(errors); i++) {
		uint32_t n = 1;

		while (visit(n, errors[i]))
			n++;
		assert_true(n > 30);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_close_linger),
		cmocka_unit_test(test_close_unread),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_stopped_loop),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_connections_max),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_connect_fails),
		cmocka_unit_test(test_of_fd),
		cmocka_unit_test(test_close_inside),
		cmocka_unit_test(test_faults),
	};

	(void)signal(SIGPIPE, SIG_DFL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

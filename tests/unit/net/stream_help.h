/* What the tests of byte streams share: ends that count what they hear and
 * check the rules that hold for every owner: closed() once, never inside
 * another call, nothing after it. Bytes are a pattern of their position, so
 * that a lost, doubled or moved one shows. */
#ifndef TN_STREAM_HELP_H
#define TN_STREAM_HELP_H

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

#define GUARD_MS 60000
#define QUEUE_MARK ((size_t)1 << 20)

struct end {
	struct tn_net_stream *s;        /* NULL: not yet, or closed. */
	const char *name;
	uint64_t got, sent, to_send;    /* Bytes. */
	uint64_t reached;               /* The other system, in closed(). */
	uint32_t opened, closed, drained;
	enum tn_status why, failed;
	bool echo;                      /* Sends back what comes. */
	bool bad;                       /* A byte was not the expected one. */
	bool pattern;                   /* What comes is checked. */
	bool close_when_done;           /* All sent came back. */
	void (*on_bytes)(struct end *e, struct tn_slice in);
	void (*on_open)(struct end *e);
	void (*on_closed)(struct end *e);
	void (*on_drained)(struct end *e);
	struct end *peer;
};

static struct {
	struct tn_net_loop *loop;
	struct tn_net_timer *guard;
	struct tn_net_listener *listener;
	uint32_t inside;                /* Calls of owners under way. */
	struct end *server;             /* Taken by the next accepted. */
	uint32_t accepted;
	uint64_t seed;
} world;

static inline uint32_t
rnd(uint32_t n)
{
	world.seed = world.seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(world.seed >> 33) % n;
}

/* The bytes from position ${at} on, at most PATTERN_MAX. A table and memcmp,
 * because the thread sanitizer looks at each access of a loop. The period is
 * a prime: no buffer's size is a multiple of it. */
#define PATTERN_MAX ((size_t)1 << 18)
static inline const uint8_t *
pattern(uint64_t at)
{
	static uint8_t bytes[65521 + PATTERN_MAX];
	static bool made;

	for (size_t i = 0; !made && i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i % 65521 * 167 + (i % 65521 >> 8) * 13);
	made = true;
	return bytes + at % 65521;
}

static inline uint8_t
byte_at(uint64_t at)
{
	return *pattern(at);
}

static inline void
end_write(struct end *e, size_t n)
{
	n = n < PATTERN_MAX ? n : PATTERN_MAX;
	tn_net_stream_write(e->s, (struct tn_slice){ pattern(e->sent), n });
	e->sent += n;
}

/* Pieces of random sizes until the queue is long enough. */
static inline void
end_pump(struct end *e)
{
	while (e->s != NULL && e->sent < e->to_send &&
	    tn_net_stream_queued(e->s) < QUEUE_MARK) {
		uint64_t left = e->to_send - e->sent;
		size_t n = rnd(10) == 0 ? 1 + rnd(200000) : 1 + rnd(3000);

		end_write(e, left < n ? (size_t)left : n);
	}
}

static void
end_bytes(void *arg, struct tn_slice in)
{
	struct end *e = arg;

	assert_non_null(e->s);
	assert_int_equal(e->closed, 0);
	world.inside++;
	assert_true(in.n > 0 && in.n <= PATTERN_MAX);
	if (e->pattern && memcmp(in.p, pattern(e->got), in.n) != 0)
		e->bad = true;
	e->got += in.n;
	if (e->echo) {
		tn_net_stream_write(e->s, in);
		if (tn_net_stream_queued(e->s) > QUEUE_MARK)
			tn_net_stream_pause(e->s, true);
	}
	if (e->on_bytes != NULL)
		e->on_bytes(e, in);
	if (e->close_when_done && e->got == e->to_send)
		tn_net_stream_close(e->s, 5000);
	world.inside--;
}

static void
end_drained(void *arg)
{
	struct end *e = arg;

	assert_non_null(e->s);
	world.inside++;
	e->drained++;
	if (e->echo && tn_net_stream_queued(e->s) <= QUEUE_MARK)
		tn_net_stream_pause(e->s, false);
	end_pump(e);
	if (e->on_drained != NULL)
		e->on_drained(e);
	world.inside--;
}

static void
end_closed(void *arg, enum tn_status why)
{
	struct end *e = arg;

	assert_int_equal(world.inside, 0);
	assert_non_null(e->s);
	assert_non_null(tn_net_stream_peer(e->s));
	e->reached = tn_net_stream_reached(e->s);
	assert_true(e->reached <= tn_net_stream_end(e->s));
	e->s = NULL;
	e->closed++;
	e->why = why;
	assert_int_equal(e->closed, 1);
	if (e->on_closed != NULL)
		e->on_closed(e);
}

static const struct tn_net_stream_calls end_calls = { end_bytes, end_drained,
	end_closed };

static inline void
end_open(struct end *e, struct tn_net_stream *s)
{
	e->s = s;
	e->opened++;
	assert_int_equal(e->opened, 1);
	tn_net_stream_start(s, &end_calls, e);
	world.inside++;
	end_pump(e);
	if (e->on_open != NULL)
		e->on_open(e);
	world.inside--;
}

static inline void
stop_loop(struct end *e)
{
	(void)e;
	tn_net_loop_stop(world.loop);
}

/* For on_closed: when both are gone. */
static inline void
stop_when_both(struct end *e)
{
	if (e->peer == NULL || e->peer->s == NULL)
		tn_net_loop_stop(world.loop);
}

static void
end_connected(void *arg, struct tn_net_stream *s, enum tn_status st)
{
	struct end *e = arg;

	assert_int_equal(world.inside, 0);
	assert_int_equal(s == NULL, st != TN_OK);
	if (s != NULL) {
		end_open(e, s);
		return;
	}
	e->failed = st;
	if (e->on_closed != NULL)
		e->on_closed(e);
}

static void
world_accepted(void *arg, struct tn_net_stream *s)
{
	struct end *e = world.server;

	(void)arg;
	world.accepted++;
	if (e == NULL) {
		tn_net_stream_close(s, 0);
		return;
	}
	world.server = NULL;
	end_open(e, s);
}

static void
world_stuck(void *arg)
{
	(void)arg;
	fail_msg("the loop did not end");
}

static inline void
world_open(void)
{
	const char *seed = getenv("TARN_SEED");

	memset(&world, 0, sizeof world);
	world.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1;
	world.loop = tn_net_loop_new();
	world.guard = tn_net_timer_new(world.loop, world_stuck, NULL);
	tn_net_timer_start(world.guard, GUARD_MS, 0);
}

static inline enum tn_status
world_listen(const struct tn_net_tls *tls, uint32_t handshake_ms)
{
	struct tn_net_listener_opts o = { .address = "127.0.0.1:0",
		.tls = tls, .connections_max = 3000,
		.accepted = world_accepted, .handshake_ms = handshake_ms };

	return tn_net_listener_new(&world.listener, world.loop, &o, NULL);
}

static inline void
world_connect(struct end *e, const struct tn_net_tls *tls, const char *name)
{
	char address[40];

	(void)snprintf(address, sizeof address, "127.0.0.1:%u",
	    tn_net_listener_port(world.listener));
	tn_net_connect(world.loop, address, tls, name, 5000, end_connected, e);
}

/* A client's socket that no stream knows; blocking until told. */
static inline int
world_raw(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons(tn_net_listener_port(world.listener));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static inline void
world_run(void)
{
	tn_net_loop_run(world.loop);
	assert_int_equal(world.inside, 0);
}

static inline void
world_close(void)
{
	tn_net_listener_free(world.listener);
	tn_net_timer_free(world.guard);
	tn_net_loop_settle(world.loop);
	tn_net_loop_free(world.loop);
}

#endif

/* listen: accepts connections and makes streams of them.
 *
 * A listener lives until it was freed and its last stream is gone, because
 * each stream counts towards connections_max. When the process or the machine
 * has no descriptor or memory for one more connection, accepting rests for a
 * moment: the connection stays in the kernel's queue, where the poll would
 * tell of it again and again. */
#include "net/stream_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
	ACCEPTS_MAX = 64,       /* In one turn. */
	/* A handshake takes a millisecond of the loop; descriptors of open
	 * streams are served between these. */
	ACCEPTS_TLS_MAX = 4,
	REST_MS = 100,
	WARN_MS = 60000,        /* Between two warnings about it. */
	HANDSHAKE_MS = 10000,
};

struct tn_net_listener {
	struct tn_net_parent parent;
	struct tn_net_listener_opts o;
	struct tn_net_hub *hub;
	struct tn_net_timer *rest;
	uv_poll_t poll;
	int fd;
	uint16_t port;
	bool freed;
	bool warned;
	uint64_t warned_ms;
	uint32_t count;         /* Streams. */
	uint32_t refs;          /* Streams, and one for the rest. */
	struct tn_counter *open, *refused, *rests;
};

static void
unref(struct tn_net_listener *l)
{
	tn_assert(l->refs > 0);
	if (--l->refs == 0)
		tn_free(l);
}

/* ---- streams --------------------------------------------------------- */

static void
stream_ready(struct tn_net_parent *p, struct tn_net_stream *s)
{
	struct tn_net_listener *l = (struct tn_net_listener *)p;

	tn_assert(!l->freed);
	l->o.accepted(l->o.arg, s);
}

static void
stream_failed(struct tn_net_parent *p, enum tn_status why)
{
	(void)p;
	(void)why;
}

static void
stream_gone(struct tn_net_parent *p)
{
	struct tn_net_listener *l = (struct tn_net_listener *)p;

	l->count--;
	tn_counter_add(l->open, -1);
	unref(l);
}

static void
welcome(struct tn_net_listener *l, int fd, const struct sockaddr *from)
{
	char peer[TN_NET_PEER_BYTES];
	struct tn_net_make m = { .fd = fd, .peer = peer, .tls = l->o.tls,
		.parent = &l->parent, .deadline_ms = l->o.handshake_ms };

	if (l->count >= l->o.connections_max) {
		tn_counter_add(l->refused, 1);
		(void)close(fd);
		return;
	}
	tn_net_addr_text(from, peer);
	m.loopback = tn_net_addr_loopback(from);
	l->count++;
	l->refs++;
	tn_counter_add(l->open, 1);
	if (tn_net_stream_make(l->hub, &m) != NULL)
		return;
	(void)close(fd);
	stream_gone(&l->parent);
}

/* ---- accepting ------------------------------------------------------- */

static void acceptable(uv_poll_t *poll, int status, int events);

static void
go_on(void *arg)
{
	struct tn_net_listener *l = arg;
	int rc = uv_poll_start(&l->poll, UV_READABLE, acceptable);

	tn_assert(rc == 0);
}

static void
rest(struct tn_net_listener *l, const char *why)
{
	uint64_t now = uv_now(l->poll.loop);

	tn_counter_add(l->rests, 1);
	if (!l->warned || now - l->warned_ms >= WARN_MS) {
		l->warned = true;
		l->warned_ms = now;
		tn_say(TN_WARN, "net", "%s: no new connection for now: %s",
		    l->o.address, why);
	}
	(void)uv_poll_stop(&l->poll);
	tn_net_timer_start(l->rest, REST_MS, 0);
}

/* The connection failed, not the accepting; Linux reports pending errors of
 * the network here, see accept(2). */
static bool
passes(int error)
{
	static const int errors[] = { EINTR, ECONNABORTED, EPROTO, ENETDOWN,
		ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
		ENETUNREACH, EPERM };

	for (size_t i = 0; i < TN_COUNT(errors); i++) {
		if (errors[i] == error)
			return true;
	}
	return false;
}

static void
acceptable(uv_poll_t *poll, int status, int events)
{
	struct tn_net_listener *l = poll->data;
	int max = l->o.tls != NULL ? ACCEPTS_TLS_MAX : ACCEPTS_MAX;

	(void)events;
	if (status < 0) {
		/* libuv has stopped polling. */
		rest(l, uv_strerror(status));
		return;
	}
	l->refs++;
	for (int i = 0; i < max && !l->freed; i++) {
		struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
		socklen_t n = sizeof from;
		int fd = accept4(l->fd, (struct sockaddr *)&from, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			welcome(l, fd, (struct sockaddr *)&from);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		if (!passes(errno)) {
			rest(l, strerror(errno));
			break;
		}
	}
	unref(l);
}

/* ---- making ---------------------------------------------------------- */

static enum tn_status
refuse(const char *address, int error, struct tn_diag *d)
{
	switch (error) {
	case EADDRINUSE:
		return tn_diag_set(d, TN_ECONFLICT, "port_taken",
		    "%s: the port is taken", address);
	case EACCES:
	case EPERM:
		return tn_diag_set(d, TN_EDENIED, "port_denied",
		    "%s: not allowed to listen there", address);
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return tn_diag_set(d, TN_EINVAL, "bad_address",
		    "%s: this machine has no such address", address);
	default:
		return tn_diag_set(d, TN_EIO, "cannot_listen", "%s: %s",
		    address, strerror(error));
	}
}

/* "[::]" and ":" mean IPv4, too; without IPv6 ":" means IPv4 alone. */
static int
open_socket(struct tn_net_addr *a, bool any)
{
	int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	int fd = socket(a->at.ss_family, type, 0);
	int off = 0;

	if (fd >= 0 && a->at.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
		    sizeof off);
	if (fd >= 0 || errno != EAFNOSUPPORT || !any)
		return fd;
	memcpy(&v6, &a->at, sizeof v6);
	v4.sin_port = v6.sin6_port;
	memcpy(&a->at, &v4, sizeof v4);
	a->n = sizeof v4;
	return socket(AF_INET, type, 0);
}

/* A listening socket, or -1 with errno. */
static int
open_at(const char *address, const char *name, struct tn_net_addr *a)
{
	int fd = tn_net_hand_take(name);
	int on = 1, error;

	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&a->at,
	    &a->n) == 0)
		return fd;
	fd = open_socket(a, address[0] == ':');
	if (fd < 0)
		return -1;
	/* A restart does not wait for the connections of the last run. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, (struct sockaddr *)&a->at, a->n) == 0 &&
	    listen(fd, SOMAXCONN) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a->at, &a->n) == 0)
		return fd;
	error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

static uint16_t
port_of(const struct tn_net_addr *a)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	memcpy(&v4, &a->at, sizeof v4);
	memcpy(&v6, &a->at, sizeof v6);
	return ntohs(a->at.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

static void
count_for(struct tn_net_listener *l)
{
	struct tn_buf labels = { .n = 0 };
	const char *text;

	tn_counter_label(&labels, "listener", l->o.address);
	text = tn_buf_cstr(&labels);
	l->open = tn_counter_get(TN_GAUGE, "tarn_net_connections", text,
	    "Open connections of a listener.");
	l->refused = tn_counter_get(TN_COUNTER,
	    "tarn_net_connections_refused_total", text,
	    "Connections closed at once because there were too many.");
	l->rests = tn_counter_get(TN_COUNTER, "tarn_net_accept_rests_total",
	    text, "Times that accepting rested for want of descriptors.");
	tn_buf_fini(&labels);
}

enum tn_status
tn_net_listener_new(struct tn_net_listener **out, struct tn_net_loop *loop,
    const struct tn_net_listener_opts *o, struct tn_diag *d)
{
	struct tn_net_hub *hub = tn_net_loop_hub(loop);
	struct tn_net_listener *l;
	struct tn_net_addr a;
	char name[160];
	int fd;

	tn_assert(o->accepted != NULL && o->connections_max > 0);
	*out = NULL;
	if (!tn_net_addr_parse(o->address, &a))
		return tn_diag_set(d, TN_EINVAL, "bad_address",
		    "%s: not an address like 127.0.0.1:1883 or [::]:1883",
		    o->address);
	snprintf(name, sizeof name, "tcp/%s", o->address);
	fd = open_at(o->address, name, &a);
	if (fd < 0)
		return refuse(o->address, errno, d);
	l = tn_zalloc(sizeof *l);
	if (uv_poll_init(tn_net_loop_uv(loop), &l->poll, fd) != 0) {
		(void)close(fd);
		tn_free(l);
		return tn_diag_set(d, TN_EIO, "cannot_listen",
		    "%s: cannot be watched", o->address);
	}
	l->parent = (struct tn_net_parent){ stream_ready, stream_failed,
		stream_gone };
	l->o = *o;
	l->o.address = tn_strdup(o->address);
	if (l->o.handshake_ms == 0)
		l->o.handshake_ms = HANDSHAKE_MS;
	l->hub = hub;
	l->fd = fd;
	tn_net_hand_note(name, fd);
	l->port = port_of(&a);
	l->refs = 1;
	l->poll.data = l;
	l->rest = tn_net_timer_new(loop, go_on, l);
	count_for(l);
	go_on(l);
	*out = l;
	return TN_OK;
}

uint16_t
tn_net_listener_port(const struct tn_net_listener *l)
{
	return l->port;
}

static void
poll_closed(uv_handle_t *handle)
{
	unref(handle->data);
}

void
tn_net_listener_free(struct tn_net_listener *l)
{
	if (l == NULL)
		return;
	tn_assert(tn_net_on_loop() && !l->freed);
	l->freed = true;
	tn_net_stream_orphan(l->hub, &l->parent);
	uv_close((uv_handle_t *)&l->poll, poll_closed);
	tn_net_hand_gone(l->fd);
	(void)close(l->fd);
	tn_net_timer_free(l->rest);
	tn_free((char *)l->o.address);
	l->o.address = NULL;
}

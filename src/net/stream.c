/* stream: byte streams over non-blocking sockets that libuv polls.
 *
 *   CONNECT --> SHAKE --> OPEN --> FLUSH --> AWAIT --> DEAD
 *
 *   CONNECT  the connection is being made
 *   SHAKE    TLS handshake
 *   OPEN     bytes go both ways; the only step the owner takes part in
 *   FLUSH    closing: what is queued is sent, what comes is thrown away
 *   AWAIT    all is sent and the end was told: the peer may end, too, so that
 *            the kernel does not answer its last bytes with a reset, which
 *            would take ours away from it
 *   DEAD     closed() is due at the end of the turn
 *
 * Steps may be left out, never repeated. Everything that is due, sending,
 * asking libuv for other events, closed(), is done at the end of the turn for
 * the streams listed in the hub: many writes make one system call, and no
 * owner hears closed() inside another call. All streams read into one buffer
 * of the hub, so an idle one holds its own struct and nothing else.
 *
 * What can go wrong: the peer (its stream dies), memory for the queue (the
 * stream dies, TN_ENOMEM), a descriptor that cannot be watched (no stream). */
#include "net/stream_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
	IN_BYTES = 64 << 10,
	CLEAR_BYTES = 64 << 10,
	READS_MAX = 4,          /* Of one stream in one turn. */
	IOVS_MAX = 64,
	AHEAD_BYTES = 64 << 10, /* Encrypted before it can be sent. */
	PASSES_MAX = 4,         /* Over what a turn's end brings up itself. */
	END_LINGER_MS = 5000,   /* For the rest, after the peer's end. */
	ALERT_LINGER_MS = 1000, /* For the alert of a failed handshake. */
	SAY_MS = 1000,          /* Between two lines about peers' failures. */
	RECORD_BYTES = 22,      /* What TLS 1.3 adds to a record. */
};

enum step { CONNECT, SHAKE, OPEN, FLUSH, AWAIT, DEAD };

struct left {
	size_t n;
	uint8_t p[];
};

struct tn_net_hub {
	uv_loop_t *uv;
	struct tn_net_loop *loop;
	struct tn_net_stream *live;
	struct tn_net_stream *turn;         /* To be looked at, oldest first. */
	struct tn_net_stream **turn_end;
	struct tn_net_dials dials;
	struct tn_counter *shakes_failed;
	uint64_t said_ms;
	uint8_t in[IN_BYTES];
	uint8_t clear[CLEAR_BYTES];         /* Decrypted. */
};

struct tn_net_stream {
	uv_poll_t poll;
	struct tn_net_hub *hub;
	struct tn_net_stream *next, *prev;  /* Of hub->live. */
	struct tn_net_stream *turn_next;
	struct tn_net_stream_calls calls;
	void *arg;
	struct tn_net_bytes out;
	size_t seen;                /* Highest answer of _queued, or 0. */
	uint64_t sent, reached;     /* Of the socket; the latter once closed. */
	struct tn_net_secret *secret;
	struct left *left;          /* Came early, or before a pause. */
	struct tn_net_parent *parent;
	struct tn_net_timer *deadline;
	void (*released)(void *arg);
	void *released_arg;
	int fd;
	uint8_t step;
	uint8_t why;                /* Of closed(). */
	uint8_t events;             /* What libuv was asked for. */
	bool listed;                /* In hub->turn. */
	bool paused;
	bool blocked;               /* The socket was full. */
	bool ended;                 /* The peer sends no more. */
	bool shut;                  /* Nor do we: a byte more in TCP's count. */
	bool told;                  /* The owner knows of it. */
	bool loopback;
	char peer[];
};

/* ---- steps ----------------------------------------------------------- */

static void
step_to(struct tn_net_stream *s, enum step to)
{
	static const uint8_t moves[] = {
		[CONNECT] = 1 << SHAKE | 1 << OPEN | 1 << DEAD,
		[SHAKE] = 1 << OPEN | 1 << FLUSH | 1 << DEAD,
		[OPEN] = 1 << FLUSH | 1 << DEAD,
		[FLUSH] = 1 << AWAIT | 1 << DEAD,
		[AWAIT] = 1 << DEAD,
		[DEAD] = 0,
	};

	tn_assert((moves[s->step] & 1 << to) != 0);
	s->step = (uint8_t)to;
}

/* Look at it at the end of this turn. */
static void
touch(struct tn_net_stream *s)
{
	if (s->listed)
		return;
	s->listed = true;
	s->turn_next = NULL;
	*s->hub->turn_end = s;
	s->hub->turn_end = &s->turn_next;
}

static void
no_deadline(struct tn_net_stream *s)
{
	tn_net_timer_free(s->deadline);
	s->deadline = NULL;
}

static void
die(struct tn_net_stream *s, enum tn_status why)
{
	if (s->step == DEAD)
		return;
	step_to(s, DEAD);
	s->why = (uint8_t)why;
	s->events = 0;
	(void)uv_poll_stop(&s->poll);
	no_deadline(s);
	touch(s);
}

static void
too_late(void *arg)
{
	struct tn_net_stream *s = arg;

	die(s, s->step == AWAIT ? (enum tn_status)s->why : TN_EUNREACHABLE);
}

static void
set_deadline(struct tn_net_stream *s, uint32_t ms)
{
	if (s->deadline == NULL)
		s->deadline = tn_net_timer_new(s->hub->loop, too_late, s);
	tn_net_timer_start(s->deadline, ms, 0);
}

/* From SHAKE or OPEN: send the rest for a while, then ${why}. */
static void
finish(struct tn_net_stream *s, enum tn_status why, uint32_t linger_ms)
{
	step_to(s, FLUSH);
	s->why = (uint8_t)why;
	s->paused = false;
	s->seen = 0;
	tn_free(s->left);
	s->left = NULL;
	set_deadline(s, linger_ms);
	touch(s);
}

static void
shake_failed(struct tn_net_stream *s)
{
	struct tn_net_hub *h = s->hub;
	uint64_t now = uv_now(h->uv);

	tn_counter_add(h->shakes_failed, 1);
	if (h->said_ms == 0 || now - h->said_ms >= SAY_MS) {
		h->said_ms = now;
		tn_say(TN_WARN, "net", "handshake with %s: %s", s->peer,
		    tn_net_secret_why(s->secret));
	}
	finish(s, TN_EDENIED, ALERT_LINGER_MS);
}

/* The peer's last byte was read. */
static void
peer_ended(struct tn_net_stream *s, bool orderly)
{
	s->ended = true;
	if (s->step == AWAIT)
		die(s, (enum tn_status)s->why);
	else if (s->step < OPEN || (s->step == OPEN && !orderly))
		die(s, TN_EIO);
	else if (s->step == OPEN)
		finish(s, TN_END, END_LINGER_MS);
	touch(s);
}

/* ---- reading --------------------------------------------------------- */

/* Bytes that may not be given to anybody now. */
static void
keep(struct tn_net_stream *s, struct tn_slice in)
{
	struct left *left = tn_try_alloc(sizeof *left + in.n);

	tn_assert(s->left == NULL);
	if (left == NULL) {
		die(s, TN_ENOMEM);
		return;
	}
	left->n = in.n;
	memcpy(left->p, in.p, in.n);
	s->left = left;
}

static void
take_secret(struct tn_net_stream *s, struct tn_slice in)
{
	struct iovec room = { s->hub->clear, CLEAR_BYTES };
	enum tn_net_step did = TN_NET_DONE;

	while (s->step == OPEN && !s->paused && did == TN_NET_DONE) {
		size_t n = 0;

		did = tn_net_secret_open(s->secret, &in, room, &n);
		if (n > 0)
			s->calls.bytes(s->arg, (struct tn_slice){
			    s->hub->clear, n });
	}
	if (s->out.n > 0)
		touch(s);
	if (s->step != OPEN)
		return;
	if (did == TN_NET_ENDED)
		peer_ended(s, true);
	else if (did == TN_NET_FAILED)
		finish(s, TN_EIO, ALERT_LINGER_MS);
	else if (in.n > 0)
		keep(s, in);
}

static void
open_now(struct tn_net_stream *s)
{
	step_to(s, OPEN);
	no_deadline(s);
	s->told = true;
	if (s->parent != NULL)
		s->parent->ready(s->parent, s);
	/* Whoever gets a stream starts it at once, or closes it. */
	tn_assert(s->step != OPEN || s->calls.bytes != NULL);
}

static void
take(struct tn_net_stream *s, struct tn_slice in)
{
	if (s->step == SHAKE) {
		enum tn_net_step did = tn_net_secret_shake(s->secret, &in);

		touch(s);
		if (did == TN_NET_DONE)
			open_now(s);
		else if (did != TN_NET_MORE)
			shake_failed(s);
	}
	/* Paused: by its owner, just when it was opened. */
	if (s->step == OPEN && s->paused && in.n > 0)
		keep(s, in);
	else if (s->step == OPEN && s->secret != NULL)
		take_secret(s, in);
	else if (s->step == OPEN)
		s->calls.bytes(s->arg, in);
}

static bool
reads(const struct tn_net_stream *s)
{
	if (s->step == OPEN && s->calls.bytes == NULL)
		return false;
	return s->step != CONNECT && s->step != DEAD && !s->paused &&
	    !s->ended && s->left == NULL;
}

static void
read_some(struct tn_net_stream *s)
{
	for (int i = 0; i < READS_MAX && reads(s); i++) {
		uint8_t *in = s->hub->in;
		ssize_t n = recv(s->fd, in, IN_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			die(s, TN_EIO);
			return;
		}
		if (n == 0) {
			peer_ended(s, s->secret == NULL);
			return;
		}
		take(s, (struct tn_slice){ in, (size_t)n });
		if (n < IN_BYTES)
			return;
	}
}

/* ---- writing --------------------------------------------------------- */

static struct tn_net_bytes *
queue_of(struct tn_net_stream *s)
{
	return s->secret != NULL ? tn_net_secret_plain(s->secret) : &s->out;
}

static size_t
queued(const struct tn_net_stream *s)
{
	size_t n = s->out.n;

	if (s->secret != NULL)
		n += tn_net_secret_plain(s->secret)->n;
	return n;
}

/* Everything is on its way: say that no more comes. */
static void
all_sent(struct tn_net_stream *s)
{
	s->shut = !s->ended && shutdown(s->fd, SHUT_WR) == 0;
	if (s->shut)
		step_to(s, AWAIT);
	else
		die(s, (enum tn_status)s->why);
}

/* Send s->out. True when all of it went. */
static bool
send_out(struct tn_net_stream *s)
{
	struct iovec iov[IOVS_MAX];

	while (s->out.n > 0) {
		struct msghdr m = { .msg_iov = iov };
		size_t want = 0;
		ssize_t n;

		m.msg_iovlen = (size_t)tn_net_bytes_iov(&s->out, iov, IOVS_MAX);
		for (size_t i = 0; i < m.msg_iovlen; i++)
			want += iov[i].iov_len;
		/* An answer is one piece mostly: 0.4 us less so. */
		n = m.msg_iovlen == 1 ?
		    send(s->fd, iov[0].iov_base, want, MSG_NOSIGNAL) :
		    sendmsg(s->fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			s->ended = errno == EPIPE;
			die(s, TN_EIO);
			return false;
		}
		tn_net_bytes_drop(&s->out, n < 0 ? 0 : (size_t)n);
		s->sent += n < 0 ? 0 : (uint64_t)n;
		s->blocked = n < (ssize_t)want;
		if (s->blocked)
			return false;
	}
	return true;
}

/* Encrypt some of what waits for it, and the end behind the last of it. */
static bool
seal(struct tn_net_stream *s)
{
	if (s->secret == NULL || s->step == SHAKE)
		return true;
	if (!tn_net_secret_seal(s->secret, AHEAD_BYTES)) {
		die(s, TN_EIO);
		return false;
	}
	if (s->step == FLUSH && s->told &&
	    tn_net_secret_plain(s->secret)->n == 0)
		tn_net_secret_bye(s->secret);
	return true;
}

static void
flush(struct tn_net_stream *s)
{
	bool went = s->step >= SHAKE && s->step < AWAIT && !s->blocked;

	while (went)
		went = seal(s) && s->out.n > 0 && send_out(s);
	if (s->step == FLUSH && queued(s) == 0) {
		all_sent(s);
	} else if (s->step == OPEN && s->seen > queued(s) &&
	    queued(s) < s->seen - s->seen / 2) {
		s->seen = 0;
		if (s->calls.drained != NULL)
			s->calls.drained(s->arg);
	}
}

/* ---- events ---------------------------------------------------------- */

static void
try_connected(struct tn_net_stream *s)
{
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error != 0) {
		die(s, error == EACCES || error == EPERM ? TN_EDENIED :
		    TN_EUNREACHABLE);
		return;
	}
	if (s->secret == NULL) {
		open_now(s);
		return;
	}
	step_to(s, SHAKE);
	take(s, (struct tn_slice){ NULL, 0 });
}

static int
wanted(const struct tn_net_stream *s)
{
	int events = reads(s) ? UV_READABLE : 0;

	if (s->step == CONNECT || (s->blocked && s->step < AWAIT))
		events |= UV_WRITABLE;
	return events;
}

/* libuv tells an error of the socket as a bad status, without saying which,
 * and has stopped polling then. */
static void
happened(uv_poll_t *poll, int status, int events)
{
	struct tn_net_stream *s = poll->data;

	if (s->step == CONNECT) {
		try_connected(s);
		events = 0;
	}
	if (events & UV_WRITABLE) {
		s->blocked = false;
		flush(s);
	}
	if ((events & UV_READABLE) || status < 0)
		read_some(s);
	if (status < 0)
		die(s, s->step == AWAIT ? (enum tn_status)s->why : TN_EIO);
	if (wanted(s) != s->events)
		touch(s);
}

static void
ask_for(struct tn_net_stream *s, int events)
{
	int rc;

	if (events == s->events)
		return;
	s->events = (uint8_t)events;
	if (events == 0)
		rc = uv_poll_stop(&s->poll);
	else
		rc = uv_poll_start(&s->poll, events, happened);
	tn_assert(rc == 0);
}

/* ---- the end of a turn ----------------------------------------------- */

static void
poll_closed(uv_handle_t *handle)
{
	tn_free(handle->data);
}

static void
bury(struct tn_net_stream *s)
{
	struct tn_net_parent *parent = s->parent;

	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		s->hub->live = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	s->reached = tn_net_stream_reached(s);
	/* While the number is ours: close gives it to any thread. */
	uv_close((uv_handle_t *)&s->poll, poll_closed);
	if (s->released != NULL)
		s->released(s->released_arg);
	else
		(void)close(s->fd);
	s->fd = -1;
	tn_net_bytes_fini(&s->out);
	tn_free(s->left);
	if (!s->told && parent != NULL)
		parent->failed(parent, (enum tn_status)s->why);
	if (parent != NULL)
		parent->gone(parent);
	if (s->calls.closed != NULL)
		s->calls.closed(s->arg, (enum tn_status)s->why);
	tn_net_secret_free(s->secret);
}

/* What is due for one stream. It may be listed again by its owner. */
static void
look_at(struct tn_net_stream *s)
{
	s->listed = false;
	if (s->left != NULL && s->step == OPEN && !s->paused &&
	    s->calls.bytes != NULL) {
		struct left *left = s->left;

		s->left = NULL;
		take(s, (struct tn_slice){ left->p, left->n });
		tn_free(left);
	}
	flush(s);
	if (s->step != DEAD)
		ask_for(s, wanted(s));
	else if (!s->listed)
		bury(s);
}

void
tn_net_hub_turn(struct tn_net_hub *h)
{
	for (int pass = 0; pass < PASSES_MAX && h->turn != NULL; pass++) {
		struct tn_net_stream *s = h->turn;

		h->turn = NULL;
		h->turn_end = &h->turn;
		while (s != NULL) {
			struct tn_net_stream *next = s->turn_next;

			look_at(s);
			s = next;
		}
	}
	/* The rest in the next turn, which comes without sleep. */
	if (h->turn != NULL)
		tn_net_loop_awake(h->loop);
}

bool
tn_net_hub_settle(struct tn_net_hub *h)
{
	bool any = tn_net_dials_cancel(h);

	for (struct tn_net_stream *s = h->live; s != NULL; s = s->next) {
		if (s->step == OPEN)
			continue;
		any = true;
		flush(s);
		die(s, s->told ? (enum tn_status)s->why : TN_ECLOSED);
	}
	any = any || h->turn != NULL;
	tn_net_hub_turn(h);
	return any;
}

/* ---- making ---------------------------------------------------------- */

struct tn_net_hub *
tn_net_hub_new(struct tn_net_loop *l)
{
	struct tn_net_hub *h = tn_zalloc(sizeof *h);

	h->loop = l;
	h->uv = tn_net_loop_uv(l);
	h->turn_end = &h->turn;
	h->shakes_failed = tn_counter_get(TN_COUNTER,
	    "tarn_tls_handshakes_failed_total", NULL,
	    "TLS handshakes that failed or took too long.");
	return h;
}

void
tn_net_hub_free(struct tn_net_hub *h)
{
	/* Or a stream's owner has not closed it. */
	tn_assert(h->live == NULL);
	tn_net_bytes_forget();
	tn_free(h);
}

struct tn_net_dials *
tn_net_hub_dials(struct tn_net_hub *h)
{
	return &h->dials;
}

struct tn_net_loop *
tn_net_hub_loop(const struct tn_net_hub *h)
{
	return h->loop;
}

struct tn_net_stream *
tn_net_stream_make(struct tn_net_hub *h, const struct tn_net_make *m)
{
	size_t n = strlen(m->peer) + 1;
	struct tn_net_stream *s = tn_zalloc(sizeof *s + n);

	tn_assert(tn_net_on_loop());
	if (m->tls != NULL)
		s->secret = tn_net_secret_new(m->tls, m->server_name, &s->out);
	if ((m->tls != NULL && s->secret == NULL) ||
	    uv_poll_init(h->uv, &s->poll, m->fd) != 0) {
		tn_net_secret_free(s->secret);
		tn_free(s);
		return NULL;
	}
	memcpy(s->peer, m->peer, n);
	s->poll.data = s;
	s->hub = h;
	s->fd = m->fd;
	s->loopback = m->loopback;
	s->parent = m->parent;
	s->released = m->released;
	s->released_arg = m->released_arg;
	s->next = h->live;
	if (h->live != NULL)
		h->live->prev = s;
	h->live = s;
	tn_net_addr_options(m->fd);
	s->step = m->connecting ? CONNECT : m->tls != NULL ? SHAKE : OPEN;
	touch(s);
	if (s->step != OPEN) {
		set_deadline(s, m->deadline_ms);
		return s;
	}
	s->told = true;
	if (s->parent != NULL) {
		s->parent->ready(s->parent, s);
		tn_assert(s->step != OPEN || s->calls.bytes != NULL);
	}
	return s;
}

void
tn_net_stream_orphan(struct tn_net_hub *h, struct tn_net_parent *p)
{
	for (struct tn_net_stream *s = h->live; s != NULL; s = s->next) {
		if (s->parent == p && !s->told)
			die(s, TN_ECLOSED);
	}
}

/* ---- what owners call ------------------------------------------------ */

struct tn_net_stream *
tn_net_stream_of_fd(struct tn_net_loop *l, int fd, const char *peer,
    struct tn_slice early, void (*released)(void *arg), void *arg)
{
	struct tn_net_make m = { .fd = fd, .peer = peer, .released = released,
		.released_arg = arg, .loopback = tn_net_addr_near(fd) };
	struct tn_net_stream *s;

	tn_assert(released != NULL);
	s = tn_net_stream_make(tn_net_loop_hub(l), &m);
	if (s != NULL && early.n > 0)
		keep(s, early);
	return s;
}

void
tn_net_stream_start(struct tn_net_stream *s,
    const struct tn_net_stream_calls *calls, void *arg)
{
	tn_assert(tn_net_on_loop());
	tn_assert(calls->bytes != NULL && calls->closed != NULL);
	tn_assert(s->calls.bytes == NULL);
	s->calls = *calls;
	s->arg = arg;
	touch(s);
}

void
tn_net_stream_write(struct tn_net_stream *s, struct tn_slice bytes)
{
	tn_assert(tn_net_on_loop());
	if (s->step != OPEN || bytes.n == 0)
		return;
	if (!tn_net_bytes_add(queue_of(s), bytes)) {
		die(s, TN_ENOMEM);
		return;
	}
	if (!s->blocked)
		touch(s);
}

size_t
tn_net_stream_queued(const struct tn_net_stream *s)
{
	size_t n = queued(s);

	/* What the owner saw is what drained() is measured by. */
	if (n > s->seen)
		((struct tn_net_stream *)s)->seen = n;
	return n;
}

uint64_t
tn_net_stream_end(const struct tn_net_stream *s)
{
	const size_t plain = queued(s) - s->out.n;

	return s->sent + s->out.n + plain + (plain > 0 ? RECORD_BYTES : 0);
}

uint64_t
tn_net_stream_heard(const struct tn_net_stream *s)
{
	uint64_t n = tn_net_addr_unheard(s->fd);

	n -= s->shut && n > 0;
	return s->sent > n ? s->sent - n : 0;
}

uint64_t
tn_net_stream_reached(const struct tn_net_stream *s)
{
	uint64_t n;

	if (s->fd < 0)
		return s->reached;
	if (s->ended || tn_net_addr_repeats(s->fd))
		return tn_net_stream_heard(s);
	n = tn_net_addr_unsent(s->fd);
	return s->sent > n ? s->sent - n : 0;
}

void
tn_net_stream_pause(struct tn_net_stream *s, bool paused)
{
	tn_assert(tn_net_on_loop());
	if (s->step != OPEN || s->paused == paused)
		return;
	s->paused = paused;
	touch(s);
}

void
tn_net_stream_close(struct tn_net_stream *s, uint32_t linger_ms)
{
	tn_assert(tn_net_on_loop());
	if (s->step == OPEN)
		finish(s, TN_END, linger_ms);
	if (linger_ms > 0)
		return;
	/* What the socket takes without waiting goes out all the same. */
	flush(s);
	die(s, TN_END);
}

const char *
tn_net_stream_peer(const struct tn_net_stream *s)
{
	return s->peer;
}

bool
tn_net_stream_loopback(const struct tn_net_stream *s)
{
	return s->loopback;
}

const char *
tn_net_stream_certificate(const struct tn_net_stream *s)
{
	return s->secret != NULL ? tn_net_secret_certificate(s->secret) : NULL;
}

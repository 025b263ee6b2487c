/* connect: connections out.
 *
 *   begin --> (look the name up) --> try the addresses in turn --> give
 *
 * A dial lives until nothing refers to it: the posted beginning, a lookup, a
 * stream. The owner hears from it once, by give(); what comes later is
 * dropped. Names are looked up by a thread of libuv, which cannot be broken
 * off: freeing the loop waits for it. */
#include "net/stream_int.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
	TIMEOUT_MS = 10000,
};

struct tn_net_dial {
	struct tn_net_parent parent;
	struct tn_net_job begin;
	uv_getaddrinfo_t lookup;
	struct tn_net_dial *next, *prev;    /* Of the hub, until given. */
	struct tn_net_hub *hub;
	struct tn_net_timer *deadline;
	const struct tn_net_tls *tls;
	char *address;
	char *server_name;
	struct addrinfo *found, *at;        /* at: the next one to try. */
	void (*connected)(void *arg, struct tn_net_stream *s,
	    enum tn_status st);
	void *arg;
	uint32_t timeout_ms;
	uint32_t refs;
	bool looking;
	bool given;
};

static struct tn_net_dial *
dial_of_job(struct tn_net_job *job)
{
	return (struct tn_net_dial *)((char *)job -
	    offsetof(struct tn_net_dial, begin));
}

static void
unref(struct tn_net_dial *d)
{
	tn_assert(d->refs > 0);
	if (--d->refs > 0)
		return;
	tn_assert(d->given);
	if (d->found != NULL)
		uv_freeaddrinfo(d->found);
	tn_free(d->address);
	tn_free(d->server_name);
	tn_free(d);
}

static void
give(struct tn_net_dial *d, struct tn_net_stream *s, enum tn_status st)
{
	struct tn_net_dials *all = tn_net_hub_dials(d->hub);

	if (d->given)
		return;
	d->given = true;
	if (d->prev != NULL)
		d->prev->next = d->next;
	else
		all->first = d->next;
	if (d->next != NULL)
		d->next->prev = d->prev;
	tn_net_timer_free(d->deadline);
	d->deadline = NULL;
	if (st != TN_OK && st != TN_ECLOSED)
		tn_say(TN_WARN, "net", "connect %s: %s", d->address,
		    tn_status_text(st));
	d->connected(d->arg, s, st);
}

/* ---- one address after the other ------------------------------------- */

/* False: not this one. */
static bool
try_addr(struct tn_net_dial *d, const struct sockaddr *a, socklen_t n)
{
	char peer[TN_NET_PEER_BYTES];
	struct tn_net_make m = { .peer = peer, .connecting = true,
		.parent = &d->parent, .tls = d->tls,
		.server_name = d->server_name, .deadline_ms = d->timeout_ms };

	m.fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (m.fd < 0)
		return false;
	tn_net_addr_text(a, peer);
	m.loopback = tn_net_addr_loopback(a);
	if ((connect(m.fd, a, n) != 0 && errno != EINPROGRESS) ||
	    tn_net_stream_make(d->hub, &m) == NULL) {
		(void)close(m.fd);
		return false;
	}
	d->refs++;
	return true;
}

static void
try_next(struct tn_net_dial *d)
{
	while (d->at != NULL) {
		const struct addrinfo *a = d->at;

		d->at = a->ai_next;
		if (try_addr(d, a->ai_addr, a->ai_addrlen))
			return;
	}
	give(d, NULL, TN_EUNREACHABLE);
}

static void
stream_ready(struct tn_net_parent *p, struct tn_net_stream *s)
{
	give((struct tn_net_dial *)p, s, TN_OK);
}

static void
stream_failed(struct tn_net_parent *p, enum tn_status why)
{
	struct tn_net_dial *d = (struct tn_net_dial *)p;

	if (d->given)
		return;
	/* Another address of a peer that answered answers the same. */
	if (why == TN_EUNREACHABLE)
		try_next(d);
	else
		give(d, NULL, why);
}

static void
stream_gone(struct tn_net_parent *p)
{
	unref((struct tn_net_dial *)p);
}

/* ---- the beginning --------------------------------------------------- */

static void
looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct tn_net_dial *d = req->data;

	tn_net_hub_dials(d->hub)->lookups--;
	d->looking = false;
	d->found = found;
	d->at = found;
	if (!d->given && status != 0)
		tn_say(TN_WARN, "net", "%s: %s", d->address,
		    uv_strerror(status));
	if (!d->given)
		try_next(d);
	unref(d);
}

static enum tn_status
look_up(struct tn_net_dial *d)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	char host[TN_NET_HOST_BYTES], service[8];
	uint16_t port;

	if (!tn_net_addr_split(d->address, host, &port) || host[0] == '\0')
		return TN_EINVAL;
	(void)snprintf(service, sizeof service, "%u", port);
	d->lookup.data = d;
	if (uv_getaddrinfo(tn_net_loop_uv(tn_net_hub_loop(d->hub)), &d->lookup,
	    looked_up, host, service, &hints) != 0)
		return TN_EINVAL;
	d->looking = true;
	d->refs++;
	tn_net_hub_dials(d->hub)->lookups++;
	return TN_OK;
}

static void
begin(struct tn_net_job *job)
{
	struct tn_net_dial *d = dial_of_job(job);
	struct tn_net_addr a;
	enum tn_status st = TN_OK;

	if (!d->given && !tn_net_addr_parse(d->address, &a))
		st = look_up(d);
	else if (!d->given && !try_addr(d, (struct sockaddr *)&a.at, a.n))
		st = TN_EUNREACHABLE;
	if (st != TN_OK)
		give(d, NULL, st);
	unref(d);
}

static void
cancel(struct tn_net_dial *d, enum tn_status st)
{
	if (d->looking)
		(void)uv_cancel((uv_req_t *)&d->lookup);
	tn_net_stream_orphan(d->hub, &d->parent);
	give(d, NULL, st);
}

static void
too_late(void *arg)
{
	cancel(arg, TN_EUNREACHABLE);
}

void
tn_net_connect(struct tn_net_loop *l, const char *address,
    const struct tn_net_tls *tls, const char *server_name,
    uint32_t timeout_ms,
    void (*connected)(void *arg, struct tn_net_stream *s, enum tn_status st),
    void *arg)
{
	struct tn_net_dial *d = tn_zalloc(sizeof *d);
	char host[TN_NET_HOST_BYTES] = "";
	struct tn_net_dials *all;
	uint16_t port;

	d->hub = tn_net_loop_hub(l);
	d->parent = (struct tn_net_parent){ stream_ready, stream_failed,
		stream_gone };
	d->begin.run = begin;
	d->tls = tls;
	d->address = tn_strdup(address);
	if (server_name == NULL && tn_net_addr_split(address, host, &port))
		server_name = host;
	d->server_name = tn_strdup(server_name != NULL ? server_name : "");
	d->connected = connected;
	d->arg = arg;
	d->timeout_ms = timeout_ms != 0 ? timeout_ms : TIMEOUT_MS;
	d->refs = 1;
	all = tn_net_hub_dials(d->hub);
	d->next = all->first;
	if (d->next != NULL)
		d->next->prev = d;
	all->first = d;
	d->deadline = tn_net_timer_new(l, too_late, d);
	tn_net_timer_start(d->deadline, d->timeout_ms, 0);
	tn_net_loop_post(l, &d->begin);
}

bool
tn_net_dials_cancel(struct tn_net_hub *h)
{
	struct tn_net_dials *all = tn_net_hub_dials(h);
	bool any = all->first != NULL;

	while (all->first != NULL)
		cancel(all->first, TN_ECLOSED);
	return any;
}

void
tn_net_dials_wait(struct tn_net_hub *h)
{
	while (tn_net_hub_dials(h)->lookups > 0)
		(void)uv_run(tn_net_loop_uv(tn_net_hub_loop(h)), UV_RUN_ONCE);
}

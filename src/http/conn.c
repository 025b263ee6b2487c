/* Connections and their deadlines. libmicrohttpd's own timeout is one of
 * inactivity: who sends a byte now and then holds a connection for ever. Here
 * a connection is
 *
 *   waiting   for a head: the first one must be complete header_ms after the
 *             connection was made; a later one header_ms after its first byte
 *             (libmicrohttpd's timeout ends those that send nothing)
 *   busy      with a request: a body must bring at least WINDOW_BYTES in
 *             every WINDOW_MS, unless we are the ones who do not read
 *
 * A connection that misses its deadline is shut down; libmicrohttpd finds
 * that and cleans up. When nine tenths of the connections are taken, waiting
 * ones get a second only, and each new one takes the place of the one that
 * waited longest, so that idle connections cannot keep others out.
 *
 * Whether a later head was begun, only the kernel can tell (TCP_INFO); asked
 * once a sweep, and only of waiting connections.
 *
 * A client that has ended its side behind a whole request may wait for the
 * answer (nc -N, a port forwarder), or be gone: on the wire both are the same
 * FIN. What is sent tells them apart, as the system of one that is gone answers
 * with a reset. So it is asked: HTTP/1.1 100 Continue may come before any answer,
 * and who did not ask for it passes it over (RFC 9110, 15.2). HTTP/1.0 has no
 * such word; there an end is taken for good, as proxies that speak it mean it. */
#include "http/http_int.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "os/os.h"

#define PRESSED_US INT64_C(1000000)
#define ASK_US INT64_C(2000000)  /* Between two questions to one. */
/* tcpi_state; the names of the kernel are no macros of linux/tcp.h. */
#define STATE_CLOSE 7
#define STATE_CLOSE_WAIT 8

static void
name_address(struct conn *k, const struct sockaddr *a)
{
	const void *p = NULL;

	if (a != NULL && a->sa_family == AF_INET)
		p = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
	if (a != NULL && a->sa_family == AF_INET6)
		p = &((const struct sockaddr_in6 *)(const void *)a)->
		    sin6_addr;
	if (p == NULL || inet_ntop(a->sa_family, p, k->address,
	    sizeof k->address) == NULL)
		(void)snprintf(k->address, sizeof k->address, "unknown");
	(void)snprintf(k->source, sizeof k->source, "http %s", k->address);
}

static struct conn *
conn_new(struct tn_http *h, struct MHD_Connection *c)
{
	struct conn *k = tn_zalloc(sizeof *k);
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(c,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	name_address(k, i != NULL ? i->client_addr : NULL);
	i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	k->fd = i != NULL ? i->connect_fd : -1;
	k->h = h;
	k->held.class = TN_BUDGET_DOORS;
	tn_budget_set(&k->held, sizeof *k + TN_HTTP_POOL_BYTES +
	    sizeof(struct request));
	k->since_us = tn_os_mono_us();
	k->next = h->conns;
	if (h->conns != NULL)
		h->conns->prev = k;
	else
		h->conns_last = k;
	h->conns = k;
	h->conn_count++;
	return k;
}

static void
conn_free(struct conn *k)
{
	struct tn_http *h = k->h;

	if (k->prev != NULL)
		k->prev->next = k->next;
	else
		h->conns = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	else
		h->conns_last = k->prev;
	h->conn_count--;
	tn_budget_set(&k->held, 0);
	tn_free(k);
}

void
tn_http_conn_idle(struct conn *k)
{
	k->busy = false;
	k->used = true;
	k->partial = false;
	k->peer = PEER_THERE;
	k->asked_us = 0;
	k->seen_bytes = 0;
	k->request = NULL;
	k->since_us = tn_os_mono_us();
}

/* ---- ending them ------------------------------------------------------ */

static void
cut_off(struct conn *k, const char *words)
{
	if (words != NULL)
		(void)send(k->fd, words, strlen(words),
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(k->fd, SHUT_RDWR);
	k->cut = true;
	tn_http_kick(k->h);
}

static bool
is_pressed(const struct tn_http *h)
{
	return h->conn_count >= h->o.connections_max -
	    h->o.connections_max / 10;
}

/* A new connection came when few places are left: the one that has waited
 * longest goes, first among those that never sent a whole request. */
static void
make_place(struct tn_http *h)
{
	struct conn *idle = NULL;

	for (struct conn *k = h->conns_last; k != NULL; k = k->prev) {
		if (k->busy || k->cut || k->fd < 0)
			continue;
		if (!k->used) {
			idle = k;
			break;
		}
		if (idle == NULL)
			idle = k;
	}
	if (idle != NULL)
		cut_off(idle, NULL);
}

void
tn_http_conn_notify(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		if (is_pressed(arg))
			make_place(arg);
		*context = conn_new(arg, c);
	} else if (*context != NULL) {
		conn_free(*context);
		*context = NULL;
	}
}

/* ---- the sweep ------------------------------------------------------- */

static enum peer
peer_of(const struct conn *k)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof info;
	int unread = 0;

	if (getsockopt(k->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return PEER_THERE;
	if (info.tcpi_state == STATE_CLOSE)
		return PEER_GONE;
	return info.tcpi_state == STATE_CLOSE_WAIT &&
	    ioctl(k->fd, FIONREAD, &unread) == 0 && unread == 0 ?
	    PEER_ENDED : PEER_THERE;
}

/* Does nothing more come? libmicrohttpd waits for the next edge of its epoll,
 * but when the end came together with the last bytes it read, there is none.
 * Twice, so that it had its turn. */
static bool
has_ended(struct conn *k)
{
	enum peer before = k->peer;

	k->peer = peer_of(k);
	return before != PEER_THERE && k->peer != PEER_THERE;
}

/* Will nobody read the answer to this request, of which nothing was sent yet?
 * One that does not even acknowledge the question is gone, too. */
static bool
has_left(struct conn *k, const struct request *r, int64_t now)
{
	static const char question[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int unheard = 0;

	if (!has_ended(k))
		return false;
	if (k->peer == PEER_GONE || r->http_1_0 || !r->ended)
		return true;
	if (k->asked_us != 0 && now - k->asked_us < ASK_US)
		return false;
	if (ioctl(k->fd, SIOCOUTQ, &unheard) != 0 || unheard > 0)
		return k->asked_us != 0;
	k->asked_us = now;
	(void)send(k->fd, question, sizeof question - 1,
	    MSG_DONTWAIT | MSG_NOSIGNAL);
	return false;
}

static uint64_t
bytes_received(const struct conn *k)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof info;

	if (getsockopt(k->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return 0;
	return info.tcpi_bytes_received;
}

/* Has a later head been begun? since_us is then when that was seen. */
static void
look_for_head(struct conn *k, int64_t now)
{
	uint64_t n;

	if (!k->used || k->partial)
		return;
	n = bytes_received(k);
	if (k->seen_bytes != 0 && n > k->seen_bytes) {
		k->partial = true;
		k->since_us = now;
	}
	k->seen_bytes = n;
}

static void
sweep_waiting(struct conn *k, int64_t now, bool pressed)
{
	static const char late[] = "HTTP/1.1 408 Request Timeout\r\n"
	    "Connection: close\r\nContent-Length: 0\r\n\r\n";
	int64_t allowed = (int64_t)k->h->o.header_ms * 1000;

	if (has_ended(k)) {
		cut_off(k, NULL);
		return;
	}
	look_for_head(k, now);
	if (pressed && allowed > PRESSED_US)
		allowed = PRESSED_US;
	if (now - k->since_us < allowed)
		return;
	if (!k->used || k->partial)
		cut_off(k, late);
	else if (pressed)
		cut_off(k, NULL);
}

static void
sweep_body(struct conn *k, int64_t now)
{
	struct request *r = k->request;

	if (r != NULL && r->suspended && !r->sent && has_left(k, r, now))
		r->left = true;
	if (r == NULL || r->ended || r->suspended || r->sent) {
		k->since_us = now;
		return;
	}
	if (has_ended(k)) {
		cut_off(k, NULL);
		return;
	}
	if (r->taken - k->window_bytes >= TN_HTTP_BODY_WINDOW_BYTES) {
		k->window_bytes = r->taken;
		k->since_us = now;
	} else if (now - k->since_us >
	    (int64_t)TN_HTTP_BODY_WINDOW_MS * 1000) {
		cut_off(k, NULL);
	}
}

void
tn_http_conn_sweep(struct tn_http *h)
{
	int64_t now = tn_os_mono_us();
	bool pressed = is_pressed(h);

	for (struct conn *k = h->conns; k != NULL; k = k->next) {
		if (k->cut || k->fd < 0)
			continue;
		if (k->busy)
			sweep_body(k, now);
		else
			sweep_waiting(k, now, pressed);
	}
}

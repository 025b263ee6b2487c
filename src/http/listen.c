/* The listening socket. We make it ourselves, so that each failure has its
 * own words. Addresses are numbers ("127.0.0.1:8420", "[::1]:0",
 * "0.0.0.0:8420", ":8420" for all), or localhost. */
#include "http/http_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} u;
	socklen_t bytes;
	bool loopback;
};

static bool
parse_host(struct address *a, const char *host, uint16_t port)
{
	memset(a, 0, sizeof *a);
	if (host[0] == '[') {
		char inner[64];
		size_t n = strlen(host);
		if (n < 3 || n > sizeof inner || host[n - 1] != ']')
			return false;
		memcpy(inner, host + 1, n - 2);
		inner[n - 2] = '\0';
		a->u.v6.sin6_family = AF_INET6;
		a->u.v6.sin6_port = htons(port);
		a->bytes = sizeof a->u.v6;
		if (inet_pton(AF_INET6, inner, &a->u.v6.sin6_addr) != 1)
			return false;
		a->loopback = IN6_IS_ADDR_LOOPBACK(&a->u.v6.sin6_addr);
		return true;
	}
	if (host[0] == '\0')
		host = "0.0.0.0";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	a->u.v4.sin_family = AF_INET;
	a->u.v4.sin_port = htons(port);
	a->bytes = sizeof a->u.v4;
	if (inet_pton(AF_INET, host, &a->u.v4.sin_addr) != 1)
		return false;
	a->loopback = ntohl(a->u.v4.sin_addr.s_addr) >> 24 == 127;
	return true;
}

static enum tn_status
parse(struct address *a, const char *listen_at, struct tn_diag *d)
{
	const char *colon = strrchr(listen_at, ':');
	char host[80];
	uint64_t port;

	tn_diag_hint(d, "write it as 127.0.0.1:8420, [::1]:8420 or "
	    "0.0.0.0:8420");
	if (colon == NULL || (size_t)(colon - listen_at) >= sizeof host ||
	    !tn_parse_u64(tn_slice_of(colon + 1), &port) || port > 65535)
		return tn_diag_set(d, TN_EINVAL, "bad_address",
		    "\"%s\" is not an address and a port", listen_at);
	memcpy(host, listen_at, (size_t)(colon - listen_at));
	host[colon - listen_at] = '\0';
	if (!parse_host(a, host, (uint16_t)port))
		return tn_diag_set(d, TN_EINVAL, "bad_address",
		    "\"%s\" is not the number of an address", host);
	if (d != NULL)
		d->hint[0] = '\0';
	return TN_OK;
}

static enum tn_status
fail(const struct tn_http *h, int error, struct tn_diag *d)
{
	const char *at = h->o.listen;

	if (error == EADDRINUSE) {
		tn_diag_hint(d, "stop the other program, or choose another "
		    "port: --http 127.0.0.1:8421, TARN_HTTP, or ALTER SYSTEM "
		    "SET http_listen");
		return tn_diag_set(d, TN_ECONFLICT, "port_taken",
		    "another program listens on %s already", at);
	}
	if (error == EACCES || error == EPERM) {
		tn_diag_hint(d, "ports below 1024 need a privilege; choose a "
		    "higher one with --http");
		return tn_diag_set(d, TN_EDENIED, "port_denied",
		    "this user may not listen on %s", at);
	}
	if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) {
		tn_diag_hint(d, "ip address lists the addresses of this "
		    "machine");
		return tn_diag_set(d, TN_EINVAL, "bad_address",
		    "this machine has no address %s", at);
	}
	return tn_diag_set(d, TN_EIO, "listen", "cannot listen on %s: %s",
	    at, strerror(error));
}

static int
open_socket(struct address *a)
{
	int on = 1, off = 0;
	int fd = socket(a->u.any.sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	/* [::] takes IPv4, too. */
	if (a->u.any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
		    sizeof off);
	if (bind(fd, &a->u.any, a->bytes) != 0 || listen(fd, BACKLOG) != 0)
		error = errno;
	a->bytes = sizeof a->u;
	if (error == 0 && getsockname(fd, &a->u.any, &a->bytes) != 0)
		error = errno;
	if (error == 0)
		return fd;
	(void)close(fd);
	return -error;
}

/* The one that the program had before it started itself anew. */
static int
take_socket(const char *name, struct address *a)
{
	int fd = tn_net_hand_take(name);

	a->bytes = sizeof a->u;
	return fd >= 0 && getsockname(fd, &a->u.any, &a->bytes) == 0 ? fd :
	    -1;
}

enum tn_status
tn_http_listen(struct tn_http *h, struct tn_diag *d)
{
	struct address a;
	char name[160];
	enum tn_status st = parse(&a, h->o.listen, d);

	if (st != TN_OK)
		return st;
	h->loopback = a.loopback;
	snprintf(name, sizeof name, "http/%s", h->o.listen);
	h->listen_fd = take_socket(name, &a);
	if (h->listen_fd < 0)
		h->listen_fd = open_socket(&a);
	if (h->listen_fd < 0) {
		int error = -h->listen_fd;
		h->listen_fd = -1;
		return fail(h, error, d);
	}
	tn_net_hand_note(name, h->listen_fd);
	h->port = ntohs(a.u.any.sa_family == AF_INET6 ? a.u.v6.sin6_port :
	    a.u.v4.sin_port);
	tn_assert(h->port != 0);
	return TN_OK;
}

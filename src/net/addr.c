/* addr: addresses as text and back. Numbers, "localhost" and an empty host
 * are understood here; other names are looked up by connect.c. And what a
 * socket is told of how to talk to one, and tells of that. */
#include "net/stream_int.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { KEEP_IDLE_S = 60, KEEP_EVERY_S = 15, KEEP_TRIES = 4 };

bool
tn_net_addr_split(const char *text, char host[TN_NET_HOST_BYTES],
    uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *from = text, *end = colon;
	uint64_t v;

	if (colon == NULL || !tn_parse_u64(tn_slice_of(colon + 1), &v) ||
	    v > UINT16_MAX)
		return false;
	if (*from == '[') {
		from++;
		if (end <= from || end[-1] != ']')
			return false;
		end--;
	} else if (memchr(from, ':', (size_t)(end - from)) != NULL) {
		return false;
	}
	if (end - from >= TN_NET_HOST_BYTES)
		return false;
	memcpy(host, from, (size_t)(end - from));
	host[end - from] = '\0';
	*port = (uint16_t)v;
	return true;
}

static void
set_v4(struct tn_net_addr *a, struct in_addr ip, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr = ip;
	in.sin_port = htons(port);
	memcpy(&a->at, &in, sizeof in);
	a->n = sizeof in;
}

static void
set_v6(struct tn_net_addr *a, const struct in6_addr *ip, uint16_t port)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6 };

	in.sin6_addr = *ip;
	in.sin6_port = htons(port);
	memcpy(&a->at, &in, sizeof in);
	a->n = sizeof in;
}

bool
tn_net_addr_parse(const char *text, struct tn_net_addr *a)
{
	char host[TN_NET_HOST_BYTES];
	struct in6_addr v6;
	struct in_addr v4;
	uint16_t port;

	memset(a, 0, sizeof *a);
	if (!tn_net_addr_split(text, host, &port))
		return false;
	if (strcmp(host, "localhost") == 0)
		(void)snprintf(host, sizeof host, "127.0.0.1");
	if (host[0] == '\0' && text[0] == ':')
		set_v6(a, &in6addr_any, port);
	else if (inet_pton(AF_INET, host, &v4) == 1)
		set_v4(a, v4, port);
	else if (inet_pton(AF_INET6, host, &v6) == 1)
		set_v6(a, &v6, port);
	else
		return false;
	return true;
}

/* An IPv4 peer on an IPv6 socket comes as ::ffff:a.b.c.d. */
static bool
v4_of(const struct sockaddr *a, struct sockaddr_in *out)
{
	struct sockaddr_in6 in;

	if (a->sa_family == AF_INET) {
		memcpy(out, a, sizeof *out);
		return true;
	}
	if (a->sa_family != AF_INET6)
		return false;
	memcpy(&in, a, sizeof in);
	if (!IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
		return false;
	memcpy(&out->sin_addr, in.sin6_addr.s6_addr + 12, 4);
	out->sin_port = in.sin6_port;
	return true;
}

void
tn_net_addr_text(const struct sockaddr *a, char out[TN_NET_PEER_BYTES])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (v4_of(a, &v4)) {
		(void)inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof ip);
		(void)snprintf(out, TN_NET_PEER_BYTES, "%s:%u", ip,
		    ntohs(v4.sin_port));
	} else if (a->sa_family == AF_INET6) {
		memcpy(&v6, a, sizeof v6);
		(void)inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof ip);
		(void)snprintf(out, TN_NET_PEER_BYTES, "[%s]:%u", ip,
		    ntohs(v6.sin6_port));
	} else {
		(void)snprintf(out, TN_NET_PEER_BYTES, "local");
	}
}

bool
tn_net_addr_loopback(const struct sockaddr *a)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (v4_of(a, &v4))
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	if (a->sa_family == AF_UNIX)
		return true;
	if (a->sa_family != AF_INET6)
		return false;
	memcpy(&v6, a, sizeof v6);
	return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

bool
tn_net_addr_near(int fd)
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof at;

	return getpeername(fd, (struct sockaddr *)&at, &n) == 0 &&
	    tn_net_addr_loopback((struct sockaddr *)&at);
}

/* Small packets leave at once; a peer that vanished is noticed. A socket that
 * is not TCP has none of these, and needs none. */
void
tn_net_addr_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEP_EVERY_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEP_TRIES },
	};

	for (size_t i = 0; i < TN_COUNT(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof options[i].value);
}

/* Of what the kernel cannot tell nothing is missing. */
static uint64_t
ask(int fd, unsigned long what)
{
	int n = 0;

	return ioctl(fd, what, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

uint64_t
tn_net_addr_unheard(int fd)
{
	return ask(fd, SIOCOUTQ);
}

uint64_t
tn_net_addr_unsent(int fd)
{
	return ask(fd, SIOCOUTQNSD);
}

/* Systems take their time to acknowledge (40 ms and more), and a reset brings
 * no such word: before the first repetition it means nothing that there was
 * none. */
bool
tn_net_addr_repeats(int fd)
{
	struct tcp_info info = { .tcpi_retransmits = 0 };
	socklen_t n = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
	    info.tcpi_retransmits > 0;
}

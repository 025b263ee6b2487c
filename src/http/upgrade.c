/* GET /mqtt: MQTT over WebSocket. The handshake (RFC 6455, section 4.2) is
 * done here, then the socket leaves libmicrohttpd and goes to the broker:
 *
 *   head --checked--> 101 sent --> our copy of the descriptor, as a stream,
 *   to mqtt.adopt; libmicrohttpd closes its own and forgets the connection
 *
 * The copy is what keeps the two apart: the stream may outlive libmicrohttpd,
 * its memory for a head is free at once, and the connection counts among
 * mqtt_connections_max from then on, not among http_connections_max.
 *
 * Without Upgrade the path is one of the page (its list of MQTT clients).
 *
 * Who may: as everywhere, but a caller without session or token may still
 * connect when a password is set: it brings its name and password in MQTT's
 * own CONNECT, as on the MQTT port, because WebSocket clients cannot set
 * headers. A session counts only when our own page asks, so that no foreign
 * page rides on it. */
#include "http/http_int.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_CHARS 24             /* 16 bytes in base64. */

struct handshake {
	bool websocket;          /* Upgrade lists websocket, */
	bool upgrade;            /* Connection lists upgrade, */
	bool close;              /* or close, */
	bool mqtt;               /* and Sec-WebSocket-Protocol mqtt. */
	struct tn_slice key, version;
	uint32_t keys, versions;
};

/* Does a comma-separated list have the word? */
static bool
lists(struct tn_slice list, const char *word, bool any_case)
{
	const uint8_t *p = list.p, *end = list.p + list.n, *comma;

	for (; p < end; p = comma + 1) {
		struct tn_slice one;
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		one = tn_http_trim((struct tn_slice){ p,
		    (size_t)(comma - p) });
		if (any_case ? tn_http_is(one, word) :
		    tn_slice_is(one, word))
			return true;
	}
	return false;
}

/* Lists may be spread over several headers. */
static enum MHD_Result
each_header(void *arg, enum MHD_ValueKind kind, const char *name,
    size_t name_bytes, const char *value, size_t value_bytes)
{
	struct handshake *h = arg;
	struct tn_slice n = { (const uint8_t *)name, name_bytes };
	struct tn_slice v = { (const uint8_t *)value, value_bytes };

	(void)kind;
	if (tn_http_is(n, "Upgrade")) {
		h->websocket = h->websocket || lists(v, "websocket", true);
	} else if (tn_http_is(n, "Connection")) {
		h->upgrade = h->upgrade || lists(v, "upgrade", true);
		h->close = h->close || lists(v, "close", true);
	} else if (tn_http_is(n, "Sec-WebSocket-Protocol")) {
		h->mqtt = h->mqtt || lists(v, "mqtt", false);
	} else if (tn_http_is(n, "Sec-WebSocket-Key")) {
		h->key = tn_http_trim(v);
		h->keys++;
	} else if (tn_http_is(n, "Sec-WebSocket-Version")) {
		h->version = tn_http_trim(v);
		h->versions++;
	}
	return MHD_YES;
}

static bool
is_base64(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* 16 bytes in base64: 22 characters, the last of them of two bits, and two
 * marks. */
static bool
is_key(struct tn_slice key)
{
	if (key.n != KEY_CHARS || key.p[22] != '=' || key.p[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++)
		if (!is_base64(key.p[i]))
			return false;
	return strchr("AQgw", key.p[21]) != NULL;
}

/* What is wrong with it, or NULL. */
static const char *
trouble(const struct request *r, const struct handshake *h)
{
	if (r->method != TN_HTTP_GET || r->http_1_0)
		return "a WebSocket begins with GET and HTTP/1.1";
	if (!h->upgrade || h->close)
		return "Connection must say Upgrade";
	if (h->keys != 1 || !is_key(h->key))
		return "Sec-WebSocket-Key must be 16 bytes in base64, once";
	if (!h->mqtt)
		return "Sec-WebSocket-Protocol must offer mqtt";
	return NULL;
}

/* ---- handing over ---------------------------------------------------- */

static void
released(void *arg)
{
	(void)close((int)(intptr_t)arg);
}

/* As net writes peers: "10.0.0.7:51234", "[::1]:51234". */
static void
name_peer(int fd, const char *address, char out[static 64])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t n = sizeof a;
	bool v6 = strchr(address, ':') != NULL;

	(void)getpeername(fd, &a.any, &n);
	(void)snprintf(out, 64, "%s%s%s:%u", v6 ? "[" : "", address,
	    v6 ? "]" : "", (unsigned)ntohs(a.any.sa_family == AF_INET6 ?
	    a.v6.sin6_port : a.v4.sin_port));
}

static void
hand_over(struct request *r, int fd, struct tn_slice early)
{
	const struct tn_http_mqtt *m = &r->h->o.mqtt;
	struct tn_net_stream *s;
	char peer[64];

	name_peer(fd, r->conn->address, peer);
	s = tn_net_stream_of_fd(r->h->o.loop, fd, peer, early, released,
	    (void *)(intptr_t)fd);
	if (s == NULL)
		(void)close(fd);
	else
		m->adopt(m->arg, s, r->scope);
}

/* libmicrohttpd has sent the 101. */
static void
upgraded(void *arg, struct MHD_Connection *c, void *context,
    const char *extra, size_t extra_bytes, MHD_socket sock,
    struct MHD_UpgradeResponseHandle *urh)
{
	struct request *r = context;
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	(void)arg;
	(void)c;
	if (fd < 0)
		tn_say(TN_ERROR, "http", "no descriptor is left for a "
		    "WebSocket of %s", r->conn->address);
	else
		hand_over(r, fd, (struct tn_slice){
		    (const uint8_t *)extra, extra_bytes });
	(void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
	tn_http_kick(r->h);
}

struct MHD_Response *
tn_http_upgrade_response(void)
{
	return MHD_create_response_for_upgrade(upgraded, NULL);
}

/* ---- the route ------------------------------------------------------- */

static void
accept_it(struct request *r, struct tn_slice key)
{
	char text[29];

	tn_codec_ws_accept(key, text);
	r->upgrade = true;
	tn_http_say(r, 101, NULL);
	tn_http_extra(r, "Upgrade", "websocket");
	tn_http_extra(r, "Sec-WebSocket-Accept", tn_arena_printf(
	    tn_http_arena(r), "%s", text));
	tn_http_extra(r, "Sec-WebSocket-Protocol", "mqtt");
}

void
tn_http_run_mqtt_socket(struct request *r)
{
	struct handshake h = { .websocket = false };
	const char *bad;

	(void)MHD_get_connection_values_n(r->c, MHD_HEADER_KIND, each_header,
	    &h);
	if (!h.websocket) {
		tn_http_run_page(r);
		return;
	}
	bad = trouble(r, &h);
	if (r->h->o.mqtt.adopt == NULL) {
		tn_http_fail(r, 404, "no_mqtt", NULL, "there is no MQTT "
		    "broker here");
	} else if (h.versions != 1 || !tn_slice_is(h.version, "13")) {
		tn_http_fail(r, 426, "websocket_version", NULL,
		    "WebSocket version 13 is spoken here");
		tn_http_extra(r, "Upgrade", "websocket");
		tn_http_extra(r, "Sec-WebSocket-Version", "13");
	} else if (bad != NULL) {
		tn_http_fail(r, 400, "bad_handshake", "an MQTT client speaks "
		    "WebSocket with subprotocol mqtt", "%s", bad);
	} else if (tn_http_may_connect(r)) {
		accept_it(r, h.key);
	}
	tn_http_ready(r);
}

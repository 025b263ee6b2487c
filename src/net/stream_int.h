/* stream_int: what the files behind byte streams share: the hub (what all
 * streams of the loop have in common), queues of bytes, addresses, TLS.
 *
 *   listen.c, connect.c --make--> stream.c --> bytes.c
 *                                    |
 *                                    +--> tls.c (bytes in, bytes out; no socket) */
#ifndef TN_NET_STREAM_INT_H
#define TN_NET_STREAM_INT_H

#include "net/net_int.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* ---- queues of bytes (bytes.c) --------------------------------------- */

/* Bytes waiting to be sent, oldest first, in chunks that grow with the queue;
 * an empty one holds no memory. Zero-initialise. */
struct tn_net_chunk;
struct tn_net_bytes {
	struct tn_net_chunk *head;
	struct tn_net_chunk *tail;
	size_t n;
};
/* False: out of memory; an unknown part was added. */
TN_MUST_USE bool tn_net_bytes_add(struct tn_net_bytes *b, struct tn_slice in);
/* The oldest bytes that lie together; empty when there are none. */
struct tn_slice tn_net_bytes_front(const struct tn_net_bytes *b);
/* Describe the oldest bytes in at most ${max} pieces; returns how many. */
int tn_net_bytes_iov(const struct tn_net_bytes *b, struct iovec *iov, int max);
void tn_net_bytes_drop(struct tn_net_bytes *b, size_t n);
void tn_net_bytes_fini(struct tn_net_bytes *b);
/* Free what is kept for the next queues. */
void tn_net_bytes_forget(void);

/* ---- addresses (addr.c) ---------------------------------------------- */

struct tn_net_addr {
	struct sockaddr_storage at;
	socklen_t n;
};
enum {
	TN_NET_HOST_BYTES = 256,
	TN_NET_PEER_BYTES = 64,
};
/* "10.0.0.1:80", "[::1]:80", "localhost:80", ":80" (every address, IPv6 with
 * IPv4). False: not of this form. */
bool tn_net_addr_parse(const char *text, struct tn_net_addr *a);
/* Cut "name:port" in two; false when it is not that. */
bool tn_net_addr_split(const char *text, char host[TN_NET_HOST_BYTES],
    uint16_t *port);
void tn_net_addr_text(const struct sockaddr *a, char out[TN_NET_PEER_BYTES]);
bool tn_net_addr_loopback(const struct sockaddr *a);
/* Is the peer of the socket on this machine? */
bool tn_net_addr_near(int fd);
/* Before a socket is used: no delays, keep-alive. */
void tn_net_addr_options(int fd);
/* What the kernel knows, also when the connection has ended: bytes that the
 * other system has not acknowledged, those of them that never left, and
 * whether it sends some again because no answer comes. */
uint64_t tn_net_addr_unheard(int fd);
uint64_t tn_net_addr_unsent(int fd);
bool tn_net_addr_repeats(int fd);

/* ---- TLS (tls.c) ----------------------------------------------------- */

/* One TLS session between two pieces of memory: it takes received bytes from
 * a slice and appends what is to be sent to a queue. */
struct tn_net_secret;
enum tn_net_step {
	TN_NET_DONE,    /* The handshake is complete; or the room is full. */
	TN_NET_MORE,    /* All input was taken; wants more. */
	TN_NET_ENDED,   /* The peer said that it ends. */
	TN_NET_FAILED,  /* An alert may lie in the queue; _why says why. */
};
/* ${server_name} NULL: this side is the server. NULL: see _why's log line. */
struct tn_net_secret *tn_net_secret_new(const struct tn_net_tls *t,
    const char *server_name, struct tn_net_bytes *out);
enum tn_net_step tn_net_secret_shake(struct tn_net_secret *x,
    struct tn_slice *in);
/* Decrypt from ${in} into ${buf}; *${n} bytes came. */
enum tn_net_step tn_net_secret_open(struct tn_net_secret *x,
    struct tn_slice *in, struct iovec buf, size_t *n);
/* Bytes to be encrypted wait here, so that a turn's small writes share
 * records. */
struct tn_net_bytes *tn_net_secret_plain(struct tn_net_secret *x);
/* Encrypt what waits until ${ahead} bytes lie in the queue. */
TN_MUST_USE bool tn_net_secret_seal(struct tn_net_secret *x, size_t ahead);
/* Tell the peer that no more comes. Once; later calls do nothing. */
void tn_net_secret_bye(struct tn_net_secret *x);
const char *tn_net_secret_why(const struct tn_net_secret *x);
const char *tn_net_secret_certificate(const struct tn_net_secret *x);
void tn_net_secret_free(struct tn_net_secret *x);

/* ---- streams (stream.c) ---------------------------------------------- */

/* Who made a stream; first member of its struct. */
struct tn_net_parent {
	/* It is open; the owner is to be told now. */
	void (*ready)(struct tn_net_parent *p, struct tn_net_stream *s);
	/* It ended before that. */
	void (*failed)(struct tn_net_parent *p, enum tn_status why);
	/* Last word about it, in both cases. */
	void (*gone)(struct tn_net_parent *p);
};

struct tn_net_make {
	int fd;
	const char *peer;
	bool loopback;
	bool connecting;                /* Not yet connected. */
	struct tn_net_parent *parent;   /* NULL: open at once, nobody asks. */
	const struct tn_net_tls *tls;
	const char *server_name;        /* NULL: accepted, not connected. */
	uint32_t deadline_ms;           /* To be open. */
	void (*released)(void *arg);
	void *released_arg;
};

struct tn_net_hub;
struct tn_net_hub *tn_net_hub_new(struct tn_net_loop *l);
/* NULL: it cannot be watched; the caller keeps the descriptor. With parent,
 * ready() may be called before this returns. */
struct tn_net_stream *tn_net_stream_make(struct tn_net_hub *h,
    const struct tn_net_make *m);
/* Its parent goes away: cut it if it is not open yet. */
void tn_net_stream_orphan(struct tn_net_hub *h, struct tn_net_parent *p);
/* End of a turn: flush, tell who is closed. */
void tn_net_hub_turn(struct tn_net_hub *h);
/* The loop has stopped: finish what is closing. True if anything was done. */
bool tn_net_hub_settle(struct tn_net_hub *h);
/* Streams must be closed. The memory goes when the loop closes handles. */
void tn_net_hub_free(struct tn_net_hub *h);

/* Connections under way (connect.c). */
struct tn_net_dial;
struct tn_net_dials {
	struct tn_net_dial *first;
	uint32_t lookups;               /* Of names. */
};
struct tn_net_dials *tn_net_hub_dials(struct tn_net_hub *h);
struct tn_net_loop *tn_net_hub_loop(const struct tn_net_hub *h);
/* All of them fail with TN_ECLOSED; true if there were any. */
bool tn_net_dials_cancel(struct tn_net_hub *h);
/* Until no name lookup is under way. */
void tn_net_dials_wait(struct tn_net_hub *h);

#endif

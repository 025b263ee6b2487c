/* net: one event loop, threads that take jobs from bounded queues, timers.
 * The only room with mutexes besides base, and the only one that includes
 * libuv. Shape: a job is a caller-owned struct whose first member is a
 * struct tn_net_job; posting it hands the caller's ownership to the queue's
 * thread until run() is entered.
 *
 *   loop thread --post--> worker/actor thread --post_loop--> loop thread */
#ifndef TN_NET_NET_H
#define TN_NET_NET_H

#include "base/base.h"

struct tn_net_job {
	struct tn_net_job *next;
	void (*run)(struct tn_net_job *job);
};

/* ---- loop ------------------------------------------------------------ */

struct tn_net_loop;
struct tn_net_loop *tn_net_loop_new(void);
/* Runs until tn_net_loop_stop, then flushes the last turn. The calling thread
 * is the loop thread from here on; before, the one that made the loop. May be
 * run again. */
void tn_net_loop_run(struct tn_net_loop *l);
/* Any thread. */
void tn_net_loop_stop(struct tn_net_loop *l);
/* Runs what is still posted, on the calling thread. Timers, watches and
 * listeners must have been freed, streams closed (closed() may come here).
 * One loop exists at a time. NULL is fine. */
void tn_net_loop_free(struct tn_net_loop *l);
/* After the loop has stopped: run what was posted to it, on this thread,
 * until nothing is left. Between stopping the threads that post and freeing
 * what their jobs touch. */
void tn_net_loop_settle(struct tn_net_loop *l);
/* True on the thread that runs the (one) loop. */
bool tn_net_on_loop(void);
/* Run ${job} on the loop, in order of posting. Never fails, never blocks:
 * completions of accepted work are bounded by the queues they came through.
 * Any thread. */
void tn_net_loop_post(struct tn_net_loop *l, struct tn_net_job *job);

/* A repeating or one-shot timer on the loop. Loop thread only. */
struct tn_net_timer;
struct tn_net_timer *tn_net_timer_new(struct tn_net_loop *l,
    void (*fire)(void *arg), void *arg);
void tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms);
void tn_net_timer_stop(struct tn_net_timer *t);
void tn_net_timer_free(struct tn_net_timer *t);

/* Watch a descriptor that another library owns. readable() is called on the
 * loop while it is readable. NULL when the descriptor cannot be watched (a
 * plain file). Free it before the descriptor is closed. Loop thread only. */
struct tn_net_watch;
struct tn_net_watch *tn_net_watch_new(struct tn_net_loop *l, int fd,
    void (*readable)(void *arg), void *arg);
void tn_net_watch_free(struct tn_net_watch *w);

/* Watch a folder: changed() is called on the loop after names in it or bytes
 * of its files have changed, perhaps more often than that. NULL when the
 * system cannot (too many watches, a network file system): look now and then
 * instead. Loop thread only. */
struct tn_net_folder;
struct tn_net_folder *tn_net_folder_new(struct tn_net_loop *l,
    const char *path, void (*changed)(void *arg), void *arg);
void tn_net_folder_free(struct tn_net_folder *f);

/* Called once per turn of the loop after all descriptors and timers were
 * served, before the loop sleeps: the place to flush what the turn gathered.
 * One per loop; NULL takes it away. Loop thread only. */
void tn_net_loop_on_turn(struct tn_net_loop *l, void (*turn)(void *arg),
    void *arg);

/* From on_turn: the turn does not end in sleep, descriptors are looked at once
 * and the next turn begins. For what is left over, and for who knows that
 * something comes within microseconds. Loop thread only. */
void tn_net_loop_awake(struct tn_net_loop *l);

/* Signals as loop callbacks: SIGINT, SIGTERM, SIGHUP. Loop thread only. */
void tn_net_loop_on_signal(struct tn_net_loop *l, int signum,
    void (*signalled)(int signum, void *arg), void *arg);

/* ---- listening sockets that outlive the program ------------------------ */

/* For who makes a listening socket: the one that the program before left under
 * that name ("http/127.0.0.1:8420"), or -1; a new or taken one is noted; before
 * it is closed it is gone. At most 8. See hand.c. Loop thread, as all of it. */
int tn_net_hand_take(const char *name);
void tn_net_hand_note(const char *name, int fd);
void tn_net_hand_gone(int fd);
/* For who starts the program anew: all that is noted stays open; right before
 * exec. */
void tn_net_hand_keep(void);
void tn_net_hand_pass(void);
/* After all listen: what nobody took is closed. */
void tn_net_hand_end(void);

/* ---- byte streams: TCP, with or without TLS --------------------------- */

/* A listener accepts on ${address} ("127.0.0.1:1883", "[::]:1883", ":1883")
 * and gives each connection as a stream. Loop thread only, all of it. */
struct tn_net_listener;
struct tn_net_stream;
struct tn_net_tls;
struct tn_net_listener_opts {
	const char *address;
	const struct tn_net_tls *tls;    /* NULL: plain. Borrowed. */
	uint32_t connections_max;        /* Beyond: accepted and closed. */
	/* A new connection; the callee sets its callbacks at once with
	 * tn_net_stream_start. With TLS: after the handshake, which has
	 * handshake_ms (0: 10 s). */
	void (*accepted)(void *arg, struct tn_net_stream *s);
	uint32_t handshake_ms;
	void *arg;
};
/* TN_ECONFLICT: the port is taken. TN_EINVAL: not an address. TN_EDENIED. */
TN_MUST_USE enum tn_status tn_net_listener_new(struct tn_net_listener **out,
    struct tn_net_loop *l, const struct tn_net_listener_opts *o,
    struct tn_diag *d);
uint16_t tn_net_listener_port(const struct tn_net_listener *l);
/* Streams it gave live on. NULL is fine. */
void tn_net_listener_free(struct tn_net_listener *l);

/* What a stream's owner hears, on the loop. After closed() the stream is
 * gone. */
struct tn_net_stream_calls {
	/* Bytes that came; all are taken. The slice ends with the call. The
	 * callee may write to, pause or close this stream. */
	void (*bytes)(void *arg, struct tn_slice in);
	/* The write queue has fallen below half of the highest answer that
	 * tn_net_stream_queued gave since the last drained(). May be NULL. */
	void (*drained)(void *arg);
	/* The peer ended, failed, or tn_net_stream_close was called: once, and
	 * never from inside another call of the owner. TN_END: orderly. */
	void (*closed)(void *arg, enum tn_status why);
};
void tn_net_stream_start(struct tn_net_stream *s,
    const struct tn_net_stream_calls *calls, void *arg);
/* Append bytes (copied) to what is to be sent. They leave at the end of the
 * turn, together, in one system call when the socket takes it. What the
 * socket does not take is queued; the owner bounds it by looking at _queued. A closing
 * stream drops them. */
void tn_net_stream_write(struct tn_net_stream *s, struct tn_slice bytes);
size_t tn_net_stream_queued(const struct tn_net_stream *s);
/* Counted in bytes of the socket: where all that was written so far ends (a
 * good guess with TLS, when it is not encrypted yet); how much the peer's
 * system has acknowledged; and, when it is over, how much may have reached it,
 * in closed(), too: with its end it said what it had, else what it has not
 * acknowledged is taken to be there until it was sent a second time. */
uint64_t tn_net_stream_end(const struct tn_net_stream *s);
uint64_t tn_net_stream_heard(const struct tn_net_stream *s);
uint64_t tn_net_stream_reached(const struct tn_net_stream *s);
/* Stop and go on reading (back-pressure). Counted not: a flag. */
void tn_net_stream_pause(struct tn_net_stream *s, bool paused);
/* Send what is queued (for at most linger_ms), then close; 0: at once.
 * closed() follows later. */
void tn_net_stream_close(struct tn_net_stream *s, uint32_t linger_ms);
/* "10.0.0.7:51234"; lives as long as the stream. */
const char *tn_net_stream_peer(const struct tn_net_stream *s);
bool tn_net_stream_loopback(const struct tn_net_stream *s);
/* Common name of a verified client certificate, or NULL. */
const char *tn_net_stream_certificate(const struct tn_net_stream *s);
/* A connected socket that another library hands over (an upgraded HTTP
 * connection). Takes ${fd}: released(arg) is called once it is not used any
 * more, instead of close(). ${early}: bytes that came with it; they are given
 * to bytes() after start, on a later turn. NULL: it cannot be watched. */
struct tn_net_stream *tn_net_stream_of_fd(struct tn_net_loop *l, int fd,
    const char *peer, struct tn_slice early, void (*released)(void *arg),
    void *arg);
/* Connect out. connected() comes once on the loop, later, with a stream or a
 * reason. ${tls}: NULL plain. */
void tn_net_connect(struct tn_net_loop *l, const char *address,
    const struct tn_net_tls *tls, const char *server_name,
    uint32_t timeout_ms,
    void (*connected)(void *arg, struct tn_net_stream *s,
    enum tn_status st), void *arg);

/* Certificates of a server (or, with only ca_file, of a client): TLS 1.2 and
 * 1.3. client_ca: ask clients for a certificate of this authority; it is
 * checked when given. Files are PEM. */
struct tn_net_tls_opts {
	const char *cert_file, *key_file;
	const char *ca_file;             /* Client: trust; NULL: system's. */
	const char *client_ca_file;      /* Server; NULL: do not ask. */
	bool client_required;
};
TN_MUST_USE enum tn_status tn_net_tls_new(struct tn_net_tls **out,
    const struct tn_net_tls_opts *o, struct tn_diag *d);
/* Read the files again; streams that are open keep what they have. */
TN_MUST_USE enum tn_status tn_net_tls_reload(struct tn_net_tls *t,
    struct tn_diag *d);
void tn_net_tls_free(struct tn_net_tls *t);

/* ---- actors: one thread, one queue ----------------------------------- */

/* A named thread that runs posted jobs one after the other. */
struct tn_net_actor;
struct tn_net_actor *tn_net_actor_new(const char *name, uint32_t jobs_max);
/* The same, whose thread runs after others that want the processor or the disk:
 * nothing that others wait for is to be its job. */
struct tn_net_actor *tn_net_actor_background(const char *name,
    uint32_t jobs_max);
/* TN_EFULL: the queue is full, the caller keeps the job. TN_ECLOSED: the
 * actor is stopping. Any thread. */
TN_MUST_USE enum tn_status tn_net_actor_post(struct tn_net_actor *a,
    struct tn_net_job *job);
/* As post, but past the bound: for internal messages whose number is bounded
 * elsewhere. False only when stopping. */
bool tn_net_actor_post_internal(struct tn_net_actor *a,
    struct tn_net_job *job);
/* On the actor's thread: all jobs queued now, oldest first, NULL if none;
 * lets one run() take a whole group (group commit). The taken jobs' run() is
 * not called. */
struct tn_net_job *tn_net_actor_take(struct tn_net_actor *a);
/* True on the thread of ${a}. */
bool tn_net_on_actor(const struct tn_net_actor *a);
/* Refuse new jobs (TN_ECLOSED), run what is queued, join and free. Not on
 * the actor's own thread. NULL is fine. */
void tn_net_actor_free(struct tn_net_actor *a);
uint32_t tn_net_actor_depth(const struct tn_net_actor *a);

/* ---- pools: many threads, one queue ---------------------------------- */

struct tn_net_pool;
struct tn_net_pool *tn_net_pool_new(const char *name, uint32_t threads,
    uint32_t jobs_max);
TN_MUST_USE enum tn_status tn_net_pool_post(struct tn_net_pool *p,
    struct tn_net_job *job);
/* The same, whose threads run after others that want the processor or the
 * disk. */
struct tn_net_pool *tn_net_pool_background(const char *name,
    uint32_t threads, uint32_t jobs_max);
/* Run ${count} tasks task(arg, i) on the pool's threads and this one; return
 * when all are done. May be called inside a task or job of the same pool. Of
 * a background pool: on its threads alone, and not called inside it. Any
 * thread but the running loop. */
void tn_net_pool_each(struct tn_net_pool *p, uint32_t count,
    void (*task)(void *arg, uint32_t i), void *arg);
void tn_net_pool_free(struct tn_net_pool *p);

/* ---- latch: wait for another thread (not on the loop) ---------------- */

struct tn_net_latch;
struct tn_net_latch *tn_net_latch_new(void);
void tn_net_latch_open(struct tn_net_latch *l);
void tn_net_latch_wait(struct tn_net_latch *l);
void tn_net_latch_free(struct tn_net_latch *l);

/* A plain lock, for tables that many threads read and few change. */
struct tn_net_lock;
struct tn_net_lock *tn_net_lock_new(void);
void tn_net_lock_take(struct tn_net_lock *l);
void tn_net_lock_drop(struct tn_net_lock *l);
void tn_net_lock_free(struct tn_net_lock *l);

/* ---- threads --------------------------------------------------------- */

/* Run once on a fresh thread with ${stack_bytes} of stack and wait for it.
 * Waits up to a second for a thread to be free, then ends the process. */
void tn_net_run_with_stack(size_t stack_bytes, void (*run)(void *arg),
    void *arg);

#endif

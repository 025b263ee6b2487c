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
/* Runs what is still posted, on the calling thread. Timers and watches must
 * have been freed. One loop exists at a time. NULL is fine. */
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

/* Called once per turn of the loop after all descriptors and timers were
 * served, before the loop sleeps: the place to flush what the turn gathered.
 * One per loop; NULL takes it away. Loop thread only. */
void tn_net_loop_on_turn(struct tn_net_loop *l, void (*turn)(void *arg),
    void *arg);

/* Signals as loop callbacks: SIGINT, SIGTERM, SIGHUP. Loop thread only. */
void tn_net_loop_on_signal(struct tn_net_loop *l, int signum,
    void (*signalled)(int signum, void *arg), void *arg);

/* ---- actors: one thread, one queue ----------------------------------- */

/* A named thread that runs posted jobs one after the other. */
struct tn_net_actor;
struct tn_net_actor *tn_net_actor_new(const char *name, uint32_t jobs_max);
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
/* Run ${count} tasks task(arg, i) on the pool's threads and this one; return
 * when all are done. May be called inside a task or job of the same pool.
 * Any thread but the running loop. */
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

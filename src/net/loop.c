/* loop: the one event loop, over libuv.
 *
 *   one turn:  timers -> posted on the loop -> on_turn -> streams flushed ->
 *              sleep in epoll -> descriptors, streams, signals, posted from
 *              other threads
 *
 * on_turn runs just before the loop sleeps, not just after it woke: whatever
 * a turn gathered, also in timers, is flushed before the next wait and never
 * lies there while nothing happens.
 *
 * Posted jobs are a stack that any thread pushes on with one compare-and-
 * swap; the loop takes all of it and turns it round, which gives the order of
 * posting. Only the push that finds the stack empty wakes the loop: from
 * another thread with an eventfd, from the loop itself with an idle handle,
 * which costs no system call. Jobs posted while the taken ones run wait for
 * the next turn, so that descriptors are served in between.
 *
 * The eventfd is our own and not a uv_async_t: when the loop wakes, that one
 * spins until its sender has returned from write(). Where the kernel gave the
 * loop the sender's processor (nearly each second wake on two busy cores) it
 * spins to the end, 20 us, and holds up the very thread it waits for.
 *
 * What can go wrong: no descriptors left at start (ends the process), a
 * descriptor that cannot be watched (watch_new returns NULL). */
#include "net/stream_int.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

enum {
	SIGNALS_MAX = 8,
	CLOSE_TURNS_MAX = 10,
};

struct signal_watch {
	uv_signal_t handle;
	void (*signalled)(int signum, void *arg);
	void *arg;
};

struct tn_net_loop {
	uv_loop_t uv;
	int wake_fd;
	uv_poll_t wake;             /* Of wake_fd. */
	uv_idle_t more;             /* Active: no sleep before the next turn. */
	uv_prepare_t before_sleep;
	_Atomic(struct tn_net_job *) posted;    /* Newest first. */
	_Atomic bool stopping;
	/* Threads inside post or stop: a job may end the loop's life before
	 * its poster has come to wake it, so free waits for them. */
	_Atomic uint32_t inside;
	void (*turn)(void *arg);
	void *turn_arg;
	struct tn_net_hub *hub;     /* NULL: no stream yet. */
	struct signal_watch signals[SIGNALS_MAX];
	uint32_t signal_count;
};

/* The address of a thread's mark names the thread. */
static _Thread_local char mark;
static _Thread_local bool running;
static _Atomic(char *) owner;

bool
tn_net_on_loop(void)
{
	return atomic_load_explicit(&owner, memory_order_relaxed) == &mark;
}

bool
tn_net_in_loop(void)
{
	return running;
}

/* ---- posted jobs ----------------------------------------------------- */

static struct tn_net_job *
reversed(struct tn_net_job *newest)
{
	struct tn_net_job *oldest = NULL;

	while (newest != NULL) {
		struct tn_net_job *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

/* Run what was posted until now. True if there was anything. */
static bool
run_posted(struct tn_net_loop *l)
{
	struct tn_net_job *job;
	bool any;

	(void)uv_idle_stop(&l->more);
	job = reversed(atomic_exchange_explicit(&l->posted, NULL,
	    memory_order_acquire));
	any = job != NULL;
	while (job != NULL) {
		struct tn_net_job *next = job->next;

		job->next = NULL;
		job->run(job);
		job = next;
	}
	return any;
}

static void
woken(uv_poll_t *handle, int status, int events)
{
	struct tn_net_loop *l = handle->data;
	uint64_t times;

	(void)events;
	tn_assert(status == 0);
	/* Before the jobs are taken: who posts afterwards wakes us again. */
	if (read(l->wake_fd, &times, sizeof times) < 0)
		tn_assert(errno == EAGAIN);
	(void)run_posted(l);
	if (atomic_load_explicit(&l->stopping, memory_order_acquire))
		uv_stop(&l->uv);
}

static void
more_posted(uv_idle_t *handle)
{
	(void)run_posted(handle->data);
}

/* Any thread; never waits. */
static void
ring(const struct tn_net_loop *l)
{
	const uint64_t once = 1;
	ssize_t n = write(l->wake_fd, &once, sizeof once);

	/* A counter that is full wakes as well. */
	tn_assert(n == (ssize_t)sizeof once || errno == EAGAIN);
}

void
tn_net_loop_awake(struct tn_net_loop *l)
{
	int rc;

	tn_assert(tn_net_on_loop());
	rc = uv_idle_start(&l->more, more_posted);
	tn_assert(rc == 0);
}

void
tn_net_loop_post(struct tn_net_loop *l, struct tn_net_job *job)
{
	struct tn_net_job *top;

	tn_assert(job->run != NULL);
	(void)atomic_fetch_add_explicit(&l->inside, 1, memory_order_relaxed);
	top = atomic_load_explicit(&l->posted, memory_order_relaxed);
	do {
		job->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&l->posted, &top, job,
	    memory_order_release, memory_order_relaxed));
	/* The job may be gone by now: do not touch it. */
	if (top == NULL && tn_net_on_loop())
		tn_net_loop_awake(l);
	else if (top == NULL)
		ring(l);
	(void)atomic_fetch_sub_explicit(&l->inside, 1, memory_order_release);
}

/* ---- the loop -------------------------------------------------------- */

/* Streams after on_turn, which may write to them. */
static void
end_turn(struct tn_net_loop *l)
{
	if (l->turn != NULL)
		l->turn(l->turn_arg);
	if (l->hub != NULL)
		tn_net_hub_turn(l->hub);
}

static void
about_to_sleep(uv_prepare_t *handle)
{
	end_turn(handle->data);
}

struct uv_loop_s *
tn_net_loop_uv(struct tn_net_loop *l)
{
	return &l->uv;
}

struct tn_net_hub *
tn_net_loop_hub(struct tn_net_loop *l)
{
	tn_assert(tn_net_on_loop());
	if (l->hub == NULL)
		l->hub = tn_net_hub_new(l);
	return l->hub;
}

/* libuv asks for little, and in places ends the process without a word when
 * it gets nothing. Ours ends it too, and says why. */
static void *
uv_calloc(size_t count, size_t n)
{
	return count != 0 && n > SIZE_MAX / count ? NULL : tn_zalloc(count * n);
}

static void
begin_wakes(struct tn_net_loop *l)
{
	int rc;

	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0)
		tn_say(TN_ERROR, "net", "no event loop: %s", strerror(errno));
	tn_assert(l->wake_fd >= 0);
	rc = uv_poll_init(&l->uv, &l->wake, l->wake_fd);
	tn_assert(rc == 0);
	rc = uv_poll_start(&l->wake, UV_READABLE, woken);
	tn_assert(rc == 0);
}

struct tn_net_loop *
tn_net_loop_new(void)
{
	struct tn_net_loop *l = tn_zalloc(sizeof *l);
	int rc = uv_replace_allocator(tn_alloc, tn_realloc, uv_calloc, free);

	tn_assert(rc == 0);
	rc = uv_loop_init(&l->uv);
	if (rc != 0)
		tn_say(TN_ERROR, "net", "no event loop: %s", uv_strerror(rc));
	tn_assert(rc == 0);
	tn_assert(atomic_load(&owner) == NULL);
	begin_wakes(l);
	rc = uv_idle_init(&l->uv, &l->more);
	tn_assert(rc == 0);
	rc = uv_prepare_init(&l->uv, &l->before_sleep);
	tn_assert(rc == 0);
	rc = uv_prepare_start(&l->before_sleep, about_to_sleep);
	tn_assert(rc == 0);
	l->wake.data = l;
	l->more.data = l;
	l->before_sleep.data = l;
	atomic_store(&owner, &mark);
	return l;
}

void
tn_net_loop_run(struct tn_net_loop *l)
{
	atomic_store(&owner, &mark);
	running = true;
	while (!atomic_load_explicit(&l->stopping, memory_order_acquire))
		(void)uv_run(&l->uv, UV_RUN_DEFAULT);
	/* The last turn gathered something, too. */
	end_turn(l);
	running = false;
	/* So that it may run once more. */
	atomic_store_explicit(&l->stopping, false, memory_order_relaxed);
}

void
tn_net_loop_stop(struct tn_net_loop *l)
{
	(void)atomic_fetch_add_explicit(&l->inside, 1, memory_order_relaxed);
	atomic_store_explicit(&l->stopping, true, memory_order_release);
	ring(l);
	(void)atomic_fetch_sub_explicit(&l->inside, 1, memory_order_release);
}

/* One round of what is left when the loop no longer runs. */
static bool
settle_some(struct tn_net_loop *l)
{
	bool any = run_posted(l);

	return (l->hub != NULL && tn_net_hub_settle(l->hub)) || any;
}

void
tn_net_loop_settle(struct tn_net_loop *l)
{
	atomic_store(&owner, &mark);
	while (settle_some(l))
		;
}

void
tn_net_loop_free(struct tn_net_loop *l)
{
	int rc = UV_EBUSY;

	if (l == NULL)
		return;
	atomic_store(&owner, &mark);
	while (settle_some(l) ||
	    atomic_load_explicit(&l->inside, memory_order_acquire) != 0)
		(void)sched_yield();
	l->turn = NULL;
	if (l->hub != NULL) {
		tn_net_dials_wait(l->hub);
		tn_net_hub_free(l->hub);
		l->hub = NULL;
	}
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_close((uv_handle_t *)&l->more, NULL);
	uv_close((uv_handle_t *)&l->before_sleep, NULL);
	for (uint32_t i = 0; i < l->signal_count; i++)
		uv_close((uv_handle_t *)&l->signals[i].handle, NULL);
	/* Also completes the closing of timers and watches; a signal that came
	 * just now takes a turn more. */
	for (int i = 0; i < CLOSE_TURNS_MAX && rc == UV_EBUSY; i++) {
		(void)uv_run(&l->uv, UV_RUN_NOWAIT);
		rc = uv_loop_close(&l->uv);
	}
	/* Or a timer or a watch was not freed. */
	tn_assert(rc == 0);
	(void)close(l->wake_fd);
	atomic_store(&owner, NULL);
	tn_free(l);
}

void
tn_net_loop_on_turn(struct tn_net_loop *l, void (*turn)(void *arg),
    void *arg)
{
	tn_assert(tn_net_on_loop());
	tn_assert(l->turn == NULL || turn == NULL);
	l->turn = turn;
	l->turn_arg = arg;
}

static void
got_signal(uv_signal_t *handle, int signum)
{
	const struct signal_watch *w = handle->data;

	w->signalled(signum, w->arg);
}

void
tn_net_loop_on_signal(struct tn_net_loop *l, int signum,
    void (*signalled)(int signum, void *arg), void *arg)
{
	struct signal_watch *w = &l->signals[l->signal_count];
	int rc;

	tn_assert(tn_net_on_loop());
	tn_assert(l->signal_count < SIGNALS_MAX);
	l->signal_count++;
	w->signalled = signalled;
	w->arg = arg;
	w->handle.data = w;
	rc = uv_signal_init(&l->uv, &w->handle);
	tn_assert(rc == 0);
	rc = uv_signal_start(&w->handle, got_signal, signum);
	tn_assert(rc == 0);
}

/* ---- timers ---------------------------------------------------------- */

struct tn_net_timer {
	uv_timer_t handle;
	void (*fire)(void *arg);
	void *arg;
};

/* Both timers and watches are freed here, a turn later, because libuv may
 * still be inside the callback that frees them. */
static void
closed(uv_handle_t *handle)
{
	tn_free(handle->data);
}

static void
fired(uv_timer_t *handle)
{
	const struct tn_net_timer *t = handle->data;

	t->fire(t->arg);
}

struct tn_net_timer *
tn_net_timer_new(struct tn_net_loop *l, void (*fire)(void *arg), void *arg)
{
	struct tn_net_timer *t = tn_zalloc(sizeof *t);
	int rc;

	tn_assert(tn_net_on_loop());
	rc = uv_timer_init(&l->uv, &t->handle);
	tn_assert(rc == 0);
	t->handle.data = t;
	t->fire = fire;
	t->arg = arg;
	return t;
}

void
tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms)
{
	int rc;

	tn_assert(tn_net_on_loop());
	/* The loop's clock stands still during a turn. */
	uv_update_time(t->handle.loop);
	rc = uv_timer_start(&t->handle, fired, first_ms, repeat_ms);
	tn_assert(rc == 0);
}

void
tn_net_timer_stop(struct tn_net_timer *t)
{
	tn_assert(tn_net_on_loop());
	(void)uv_timer_stop(&t->handle);
}

void
tn_net_timer_free(struct tn_net_timer *t)
{
	if (t == NULL)
		return;
	tn_assert(tn_net_on_loop());
	uv_close((uv_handle_t *)&t->handle, closed);
}

/* ---- watches --------------------------------------------------------- */

struct tn_net_watch {
	uv_poll_t handle;
	void (*readable)(void *arg);
	void *arg;
};

static void
ready(uv_poll_t *handle, int status, int events)
{
	const struct tn_net_watch *w = handle->data;

	(void)events;
	/* libuv stopped watching; the owner finds the error when it reads. */
	if (status < 0)
		tn_say(TN_WARN, "net", "watch: %s", uv_strerror(status));
	w->readable(w->arg);
}

struct tn_net_watch *
tn_net_watch_new(struct tn_net_loop *l, int fd, void (*readable)(void *arg),
    void *arg)
{
	struct tn_net_watch *w = tn_zalloc(sizeof *w);
	int rc;

	tn_assert(tn_net_on_loop());
	rc = uv_poll_init(&l->uv, &w->handle, fd);
	if (rc != 0) {
		tn_say(TN_ERROR, "net", "watch %d: %s", fd, uv_strerror(rc));
		tn_free(w);
		return NULL;
	}
	w->handle.data = w;
	w->readable = readable;
	w->arg = arg;
	rc = uv_poll_start(&w->handle, UV_READABLE, ready);
	tn_assert(rc == 0);
	return w;
}

void
tn_net_watch_free(struct tn_net_watch *w)
{
	if (w == NULL)
		return;
	tn_assert(tn_net_on_loop());
	uv_close((uv_handle_t *)&w->handle, closed);
}

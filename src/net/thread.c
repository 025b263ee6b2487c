/* thread: threads, latches and locks, the thinnest layer over pthreads.
 *
 * All signals are blocked in the threads made here, so that they arrive on
 * the loop's thread and no disk call of a writer is interrupted. */
#include "net/net_int.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	TRIES_MAX = 1000,           /* One millisecond apart. */
	NAME_BYTES = 16,            /* Of Linux. */
};

/* ---- threads --------------------------------------------------------- */

/* pthread_create fails with EAGAIN when a limit on threads is reached; that
 * passes when another thread ends, so wait a little. */
static int
create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *arg), void *arg)
{
	const struct timespec pause = { 0, 1000000 };
	int rc = EAGAIN;

	for (int i = 0; i < TRIES_MAX && rc == EAGAIN; i++) {
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		rc = pthread_create(thread, attr, run, arg);
	}
	return rc;
}

pthread_t
tn_net_thread_new(const char *name, size_t stack_bytes,
    void *(*run)(void *arg), void *arg)
{
	size_t least = (size_t)PTHREAD_STACK_MIN;
	char text[NAME_BYTES];
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	rc = pthread_attr_init(&attr);
	tn_assert(rc == 0);
	if (stack_bytes != 0) {
		rc = pthread_attr_setstacksize(&attr,
		    stack_bytes < least ? least : stack_bytes);
		tn_assert(rc == 0);
	}
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = create(&thread, &attr, run, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0)
		tn_say(TN_ERROR, "net", "no thread %s: %s", name, strerror(rc));
	tn_assert(rc == 0);
	(void)snprintf(text, sizeof text, "%s", name);
	(void)pthread_setname_np(thread, text);
	return thread;
}

struct call {
	void (*run)(void *arg);
	void *arg;
};

static void *
call_run(void *arg)
{
	const struct call *c = arg;

	c->run(c->arg);
	return NULL;
}

void
tn_net_run_with_stack(size_t stack_bytes, void (*run)(void *arg), void *arg)
{
	struct call c = { run, arg };
	pthread_t thread;
	int rc;

	thread = tn_net_thread_new("deep", stack_bytes, call_run, &c);
	rc = pthread_join(thread, NULL);
	tn_assert(rc == 0);
}

/* ---- latch ----------------------------------------------------------- */

struct tn_net_latch {
	pthread_mutex_t mutex;
	pthread_cond_t opened;
	bool open;
};

struct tn_net_latch *
tn_net_latch_new(void)
{
	struct tn_net_latch *l = tn_zalloc(sizeof *l);
	int rc = pthread_mutex_init(&l->mutex, NULL);

	tn_assert(rc == 0);
	rc = pthread_cond_init(&l->opened, NULL);
	tn_assert(rc == 0);
	return l;
}

void
tn_net_latch_open(struct tn_net_latch *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->open = true;
	/* Under the lock: a waiter may free the latch as soon as it has it. */
	(void)pthread_cond_broadcast(&l->opened);
	(void)pthread_mutex_unlock(&l->mutex);
}

void
tn_net_latch_wait(struct tn_net_latch *l)
{
	tn_assert(!tn_net_in_loop());
	(void)pthread_mutex_lock(&l->mutex);
	while (!l->open)
		(void)pthread_cond_wait(&l->opened, &l->mutex);
	(void)pthread_mutex_unlock(&l->mutex);
}

void
tn_net_latch_free(struct tn_net_latch *l)
{
	if (l == NULL)
		return;
	(void)pthread_cond_destroy(&l->opened);
	(void)pthread_mutex_destroy(&l->mutex);
	tn_free(l);
}

/* ---- lock ------------------------------------------------------------ */

struct tn_net_lock {
	pthread_mutex_t mutex;
};

struct tn_net_lock *
tn_net_lock_new(void)
{
	struct tn_net_lock *l = tn_zalloc(sizeof *l);
	int rc = pthread_mutex_init(&l->mutex, NULL);

	tn_assert(rc == 0);
	return l;
}

void
tn_net_lock_take(struct tn_net_lock *l)
{
	int rc = pthread_mutex_lock(&l->mutex);

	tn_assert(rc == 0);
}

void
tn_net_lock_drop(struct tn_net_lock *l)
{
	int rc = pthread_mutex_unlock(&l->mutex);

	tn_assert(rc == 0);
}

void
tn_net_lock_free(struct tn_net_lock *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_destroy(&l->mutex);
	tn_free(l);
}

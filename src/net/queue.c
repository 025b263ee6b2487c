/* queue: the bounded list of jobs behind actors and pools.
 *
 * Posting is one lock, two stores and, only when a consumer sleeps, one
 * signal. The signal is sent after the lock is left, because the consumer it
 * wakes wants that lock; waking keeps the queue alive meanwhile. */
#include "net/net_int.h"

#include <sched.h>

void
tn_net_list_add(struct tn_net_list *l, struct tn_net_job *job)
{
	job->next = NULL;
	if (l->tail != NULL)
		l->tail->next = job;
	else
		l->head = job;
	l->tail = job;
	l->n++;
}

struct tn_net_job *
tn_net_list_pop(struct tn_net_list *l)
{
	struct tn_net_job *job = l->head;

	if (job == NULL)
		return NULL;
	l->head = job->next;
	if (l->head == NULL)
		l->tail = NULL;
	l->n--;
	job->next = NULL;
	return job;
}

void
tn_net_list_join(struct tn_net_list *l, struct tn_net_list *from)
{
	static const struct tn_net_list none;

	if (from->head == NULL)
		return;
	if (l->tail != NULL)
		l->tail->next = from->head;
	else
		l->head = from->head;
	l->tail = from->tail;
	l->n += from->n;
	*from = none;
}

void
tn_net_queue_init(struct tn_net_queue *q, uint32_t jobs_max)
{
	int rc = pthread_mutex_init(&q->mutex, NULL);

	tn_assert(rc == 0);
	rc = pthread_cond_init(&q->filled, NULL);
	tn_assert(rc == 0);
	tn_assert(jobs_max > 0);
	q->jobs_max = jobs_max;
}

void
tn_net_queue_fini(struct tn_net_queue *q)
{
	tn_assert(q->list.head == NULL);
	tn_assert(q->closing);
	/* A poster needs only to be scheduled to get out. */
	while (atomic_load_explicit(&q->waking, memory_order_acquire) != 0)
		(void)sched_yield();
	(void)pthread_cond_destroy(&q->filled);
	(void)pthread_mutex_destroy(&q->mutex);
}

void
tn_net_queue_leave(struct tn_net_queue *q, uint32_t threads)
{
	if (threads > q->sleeping)
		threads = q->sleeping;
	if (threads == 0) {
		(void)pthread_mutex_unlock(&q->mutex);
		return;
	}
	(void)atomic_fetch_add_explicit(&q->waking, 1, memory_order_relaxed);
	(void)pthread_mutex_unlock(&q->mutex);
	for (uint32_t i = 0; i < threads; i++)
		(void)pthread_cond_signal(&q->filled);
	(void)atomic_fetch_sub_explicit(&q->waking, 1, memory_order_release);
}

enum tn_status
tn_net_queue_push(struct tn_net_queue *q, struct tn_net_job *job,
    bool past_bound)
{
	enum tn_status st = TN_OK;

	tn_assert(job->run != NULL);
	(void)pthread_mutex_lock(&q->mutex);
	if (q->closing) {
		st = TN_ECLOSED;
	} else if (!past_bound && atomic_load_explicit(&q->count,
	    memory_order_relaxed) >= q->jobs_max) {
		st = TN_EFULL;
	} else {
		tn_net_list_add(&q->list, job);
		(void)atomic_fetch_add_explicit(&q->count, 1,
		    memory_order_relaxed);
	}
	tn_net_queue_leave(q, st == TN_OK ? 1 : 0);
	return st;
}

void
tn_net_queue_close(struct tn_net_queue *q)
{
	(void)pthread_mutex_lock(&q->mutex);
	q->closing = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_mutex_unlock(&q->mutex);
}

void
tn_net_queue_sleep(struct tn_net_queue *q)
{
	q->sleeping++;
	(void)pthread_cond_wait(&q->filled, &q->mutex);
	q->sleeping--;
}

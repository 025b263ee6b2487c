/* net_int: what the files of net share and no other room sees. */
#ifndef TN_NET_NET_INT_H
#define TN_NET_NET_INT_H

#include "net/net.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- lists of jobs --------------------------------------------------- */

/* Oldest first; job->next links them. One owner at a time. */
struct tn_net_list {
	struct tn_net_job *head;
	struct tn_net_job *tail;
	uint32_t n;
};
void tn_net_list_add(struct tn_net_list *l, struct tn_net_job *job);
/* The oldest, or NULL. */
struct tn_net_job *tn_net_list_pop(struct tn_net_list *l);
/* Append all of ${from}, which is empty afterwards. */
void tn_net_list_join(struct tn_net_list *l, struct tn_net_list *from);

/* ---- queues ---------------------------------------------------------- */

/* A bounded list with one lock. count is the number of jobs not yet begun;
 * it is written under the lock or by the consumer and may be read anywhere.
 * waking counts posters that left the lock and still have to signal: fini
 * waits for them, so that a poster never touches freed memory. */
struct tn_net_queue {
	pthread_mutex_t mutex;
	pthread_cond_t filled;
	struct tn_net_list list;
	_Atomic uint32_t count;
	_Atomic uint32_t waking;
	uint32_t jobs_max;
	uint32_t sleeping;
	bool closing;
};
void tn_net_queue_init(struct tn_net_queue *q, uint32_t jobs_max);
/* The consumers have ended. */
void tn_net_queue_fini(struct tn_net_queue *q);
/* TN_EFULL unless ${past_bound}; TN_ECLOSED. */
TN_MUST_USE enum tn_status tn_net_queue_push(struct tn_net_queue *q,
    struct tn_net_job *job, bool past_bound);
/* Refuse what comes from now on and wake all consumers. */
void tn_net_queue_close(struct tn_net_queue *q);
/* The lock is held: sleep until something was signalled. */
void tn_net_queue_sleep(struct tn_net_queue *q);
/* The lock is held: leave it, waking at most ${threads} sleepers. */
void tn_net_queue_leave(struct tn_net_queue *q, uint32_t threads);

/* ---- threads --------------------------------------------------------- */

/* A thread with all signals blocked. ${stack_bytes} 0: the usual size. Ends
 * the process when the system has no thread to give for a second. */
pthread_t tn_net_thread_new(const char *name, size_t stack_bytes,
    void *(*run)(void *arg), void *arg);
/* True while this thread is inside tn_net_loop_run: it must not block. */
bool tn_net_in_loop(void);

/* ---- loop ------------------------------------------------------------ */

/* What all byte streams have in common; made when first asked for. The loop
 * calls tn_net_hub_turn after on_turn. */
struct tn_net_hub;
struct tn_net_hub *tn_net_loop_hub(struct tn_net_loop *l);
struct uv_loop_s;
struct uv_loop_s *tn_net_loop_uv(struct tn_net_loop *l);

#endif

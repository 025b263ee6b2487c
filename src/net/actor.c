/* actor: one named thread and the queue of its jobs.
 *
 *   posters --lock--> queue.list --all at once--> batch --one by one--> run()
 *
 * The thread takes whatever is queued with one lock and then runs job after
 * job without it; a job counts against the bound until it begins. take() hands
 * the rest of the batch and all that was queued since to the running job, so
 * that a writer commits many blocks with one sync.
 *
 * Freeing refuses new jobs, runs what is queued, and joins. */
#include "net/net_int.h"

#include "os/os.h"

struct tn_net_actor {
	struct tn_net_queue queue;
	struct tn_net_list batch;   /* Owned by the thread. */
	bool background;
	pthread_t thread;
};

static _Thread_local const struct tn_net_actor *here;

/* All jobs that are queued go to the batch. The lock is held. */
static void
refill(struct tn_net_actor *a)
{
	tn_net_list_join(&a->batch, &a->queue.list);
}

static void
began(struct tn_net_actor *a, uint32_t jobs)
{
	uint32_t before = atomic_fetch_sub_explicit(&a->queue.count, jobs,
	    memory_order_relaxed);

	tn_assert(before >= jobs);
}

/* The next job; sleeps. NULL: closing, and nothing is left. */
static struct tn_net_job *
next_job(struct tn_net_actor *a)
{
	struct tn_net_job *job = tn_net_list_pop(&a->batch);

	if (job != NULL)
		return job;
	(void)pthread_mutex_lock(&a->queue.mutex);
	while (a->queue.list.head == NULL && !a->queue.closing)
		tn_net_queue_sleep(&a->queue);
	refill(a);
	(void)pthread_mutex_unlock(&a->queue.mutex);
	return tn_net_list_pop(&a->batch);
}

static void *
work(void *arg)
{
	struct tn_net_actor *a = arg;
	struct tn_net_job *job;

	here = a;
	if (a->background)
		tn_os_thread_background();
	for (job = next_job(a); job != NULL; job = next_job(a)) {
		began(a, 1);
		job->run(job);
	}
	here = NULL;
	return NULL;
}

static struct tn_net_actor *
make(const char *name, uint32_t jobs_max, bool background)
{
	struct tn_net_actor *a = tn_zalloc(sizeof *a);

	tn_net_queue_init(&a->queue, jobs_max);
	a->background = background;
	a->thread = tn_net_thread_new(name, 0, work, a);
	return a;
}

struct tn_net_actor *
tn_net_actor_new(const char *name, uint32_t jobs_max)
{
	return make(name, jobs_max, false);
}

struct tn_net_actor *
tn_net_actor_background(const char *name, uint32_t jobs_max)
{
	return make(name, jobs_max, true);
}

enum tn_status
tn_net_actor_post(struct tn_net_actor *a, struct tn_net_job *job)
{
	return tn_net_queue_push(&a->queue, job, false);
}

bool
tn_net_actor_post_internal(struct tn_net_actor *a, struct tn_net_job *job)
{
	return tn_net_queue_push(&a->queue, job, true) == TN_OK;
}

struct tn_net_job *
tn_net_actor_take(struct tn_net_actor *a)
{
	static const struct tn_net_list none;
	struct tn_net_list all;

	tn_assert(tn_net_on_actor(a));
	(void)pthread_mutex_lock(&a->queue.mutex);
	refill(a);
	(void)pthread_mutex_unlock(&a->queue.mutex);
	all = a->batch;
	a->batch = none;
	began(a, all.n);
	return all.head;
}

bool
tn_net_on_actor(const struct tn_net_actor *a)
{
	return a != NULL && here == a;
}

uint32_t
tn_net_actor_depth(const struct tn_net_actor *a)
{
	return atomic_load_explicit(&a->queue.count, memory_order_relaxed);
}

void
tn_net_actor_free(struct tn_net_actor *a)
{
	int rc;

	if (a == NULL)
		return;
	tn_assert(!tn_net_on_actor(a));
	tn_net_queue_close(&a->queue);
	rc = pthread_join(a->thread, NULL);
	tn_assert(rc == 0);
	tn_assert(a->batch.head == NULL);
	tn_net_queue_fini(&a->queue);
	tn_free(a);
}

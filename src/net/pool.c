/* pool: many threads, one queue, and loops shared among them.
 *
 * A shared loop (tn_net_pool_each) is not a job: it stands in the pool's list
 * of loops while it has numbers to give away. Free threads look there first,
 * join, take numbers until none is left, and leave; the caller takes numbers
 * too (not those of a background pool, whose threads alone are of low priority)
 * and waits only for threads that are inside a task. So nothing is
 * allocated, nothing is left behind in the queue, and a loop started inside a
 * task or with all threads busy makes progress by itself.
 *
 * Everything but the numbers is under the queue's lock. */
#include "net/net_int.h"

#include "os/os.h"

enum { THREADS_MAX = 256 };

/* One call of tn_net_pool_each; lives on the caller's stack. */
struct shared {
	struct shared *next;
	void (*task)(void *arg, uint32_t i);
	void *arg;
	uint32_t count;
	_Atomic uint32_t given;     /* Numbers taken; may pass count. */
	uint32_t helpers;           /* Threads of the pool inside. */
	pthread_cond_t left;        /* helpers became 0. */
};

struct tn_net_pool {
	struct tn_net_queue queue;
	struct shared *loops;
	bool background;
	uint32_t threads;
	pthread_t thread[];
};

/* Take numbers until there are none. */
static void
take_numbers(struct shared *s)
{
	for (;;) {
		uint32_t i = atomic_fetch_add_explicit(&s->given, 1,
		    memory_order_relaxed);

		if (i >= s->count)
			return;
		s->task(s->arg, i);
	}
}

static void
unlist(struct tn_net_pool *p, struct shared *s)
{
	struct shared **at = &p->loops;

	while (*at != NULL && *at != s)
		at = &(*at)->next;
	if (*at == s)
		*at = s->next;
}

/* The lock is held on entry and exit, not while tasks run. */
static void
help(struct tn_net_pool *p, struct shared *s)
{
	s->helpers++;
	(void)pthread_mutex_unlock(&p->queue.mutex);
	take_numbers(s);
	(void)pthread_mutex_lock(&p->queue.mutex);
	/* Nobody else needs to look here. */
	unlist(p, s);
	s->helpers--;
	/* Under the lock: the caller frees s as soon as it has seen this. */
	if (s->helpers == 0)
		(void)pthread_cond_signal(&s->left);
}

/* The lock is held on entry and exit, not while the job runs. */
static void
run_one(struct tn_net_pool *p)
{
	struct tn_net_job *job = tn_net_list_pop(&p->queue.list);

	(void)atomic_fetch_sub_explicit(&p->queue.count, 1,
	    memory_order_relaxed);
	(void)pthread_mutex_unlock(&p->queue.mutex);
	job->run(job);
	(void)pthread_mutex_lock(&p->queue.mutex);
}

static void *
work(void *arg)
{
	struct tn_net_pool *p = arg;

	if (p->background)
		tn_os_thread_background();
	(void)pthread_mutex_lock(&p->queue.mutex);
	for (;;) {
		if (p->loops != NULL)
			help(p, p->loops);
		else if (p->queue.list.head != NULL)
			run_one(p);
		else if (p->queue.closing)
			break;
		else
			tn_net_queue_sleep(&p->queue);
	}
	(void)pthread_mutex_unlock(&p->queue.mutex);
	return NULL;
}

static struct tn_net_pool *
make(const char *name, uint32_t threads, uint32_t jobs_max, bool background)
{
	struct tn_net_pool *p;

	tn_assert(threads > 0 && threads <= THREADS_MAX);
	p = tn_zalloc(sizeof *p + threads * sizeof p->thread[0]);
	tn_net_queue_init(&p->queue, jobs_max);
	p->threads = threads;
	p->background = background;
	for (uint32_t i = 0; i < threads; i++)
		p->thread[i] = tn_net_thread_new(name, 0, work, p);
	return p;
}

struct tn_net_pool *
tn_net_pool_new(const char *name, uint32_t threads, uint32_t jobs_max)
{
	return make(name, threads, jobs_max, false);
}

struct tn_net_pool *
tn_net_pool_background(const char *name, uint32_t threads,
    uint32_t jobs_max)
{
	return make(name, threads, jobs_max, true);
}

enum tn_status
tn_net_pool_post(struct tn_net_pool *p, struct tn_net_job *job)
{
	return tn_net_queue_push(&p->queue, job, false);
}

void
tn_net_pool_each(struct tn_net_pool *p, uint32_t count,
    void (*task)(void *arg, uint32_t i), void *arg)
{
	struct shared s = { .task = task, .arg = arg, .count = count };
	int rc;

	tn_assert(!tn_net_in_loop());
	/* given passes count by one for each thread at most. */
	tn_assert(count < UINT32_MAX - THREADS_MAX - 1);
	if (count <= (p->background ? 0 : 1)) {
		take_numbers(&s);
		return;
	}
	rc = pthread_cond_init(&s.left, NULL);
	tn_assert(rc == 0);
	(void)pthread_mutex_lock(&p->queue.mutex);
	s.next = p->loops;
	p->loops = &s;
	tn_net_queue_leave(&p->queue, p->background ? count : count - 1);
	if (!p->background)
		take_numbers(&s);
	(void)pthread_mutex_lock(&p->queue.mutex);
	if (!p->background)
		unlist(p, &s);
	while (s.helpers > 0 || atomic_load_explicit(&s.given,
	    memory_order_relaxed) < count)
		(void)pthread_cond_wait(&s.left, &p->queue.mutex);
	(void)pthread_mutex_unlock(&p->queue.mutex);
	(void)pthread_cond_destroy(&s.left);
}

void
tn_net_pool_free(struct tn_net_pool *p)
{
	int rc;

	if (p == NULL)
		return;
	tn_net_queue_close(&p->queue);
	for (uint32_t i = 0; i < p->threads; i++) {
		rc = pthread_join(p->thread[i], NULL);
		tn_assert(rc == 0);
	}
	tn_assert(p->loops == NULL);
	tn_net_queue_fini(&p->queue);
	tn_free(p);
}

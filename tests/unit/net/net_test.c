/* The loop, actors, pools, latches: order, bounds, ends, races. The races are
 * for the thread sanitizer to judge: make VARIANT=tsan unit ROOM=net. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/net.h"

/* ---- jobs that write down when they ran ------------------------------ */

struct note {
	struct tn_net_job job;
	uint32_t from;
	uint32_t number;
};

struct book {
	struct note notes[4][1000];
	uint32_t next[4];           /* The number expected of each poster. */
	_Atomic uint32_t ran;
	bool in_order;
	uint32_t stop_at;
	struct tn_net_loop *loop;
};

static struct book book;

static void
write_down(struct tn_net_job *job)
{
	const struct note *n = (const struct note *)job;

	if (book.next[n->from]++ != n->number)
		book.in_order = false;
	if (atomic_fetch_add(&book.ran, 1) + 1 == book.stop_at)
		tn_net_loop_stop(book.loop);
}

static void
book_open(void (*run)(struct tn_net_job *job))
{
	memset(&book, 0, sizeof book);
	book.in_order = true;
	for (uint32_t f = 0; f < 4; f++) {
		for (uint32_t i = 0; i < 1000; i++) {
			book.notes[f][i].job.run = run;
			book.notes[f][i].from = f;
			book.notes[f][i].number = i;
		}
	}
}

/* ---- loop ------------------------------------------------------------ */

static void *
post_thousand(void *arg)
{
	const uint32_t *from = arg;

	for (uint32_t i = 0; i < 1000; i++)
		tn_net_loop_post(book.loop, &book.notes[*from][i].job);
	return NULL;
}

static void
test_loop_post(void **state)
{
	static uint32_t from[4] = { 0, 1, 2, 3 };
	pthread_t threads[4];

	(void)state;
	/* Goal: every job posted from any thread runs on the loop once, in
	 * its poster's order, and the loop may be freed right after. */
	for (int round = 0; round < 20; round++) {
		book_open(write_down);
		book.loop = tn_net_loop_new();
		assert_true(tn_net_on_loop());
		book.stop_at = 4000;
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
			    post_thousand, &from[i]), 0);
		tn_net_loop_run(book.loop);
		tn_net_loop_free(book.loop);
		assert_false(tn_net_on_loop());
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(book.ran, 4000);
		assert_true(book.in_order);
	}
	tn_net_loop_free(NULL);
}

static void
test_loop_leftovers(void **state)
{
	(void)state;
	/* Goal: what nobody ran is run when the loop is freed. */
	book_open(write_down);
	book.loop = tn_net_loop_new();
	for (uint32_t i = 0; i < 10; i++)
		tn_net_loop_post(book.loop, &book.notes[0][i].job);
	tn_net_loop_free(book.loop);
	assert_int_equal(book.ran, 10);
	assert_true(book.in_order);
}

/* Post the next note from inside the loop, a hundred deep. */
static void
post_next(struct tn_net_job *job)
{
	struct note *n = (struct note *)job;

	write_down(job);
	if (n->number < 99)
		tn_net_loop_post(book.loop, &n[1].job);
	else
		tn_net_loop_stop(book.loop);
}

static uint32_t turns;

static void
count_turn(void *arg)
{
	assert_ptr_equal(arg, &turns);
	turns++;
}

static void
test_loop_post_inside(void **state)
{
	(void)state;
	/* Goal: a job posted on the loop runs in a later turn without any
	 * wake-up from outside, and each turn is flushed. */
	book_open(post_next);
	turns = 0;
	book.loop = tn_net_loop_new();
	tn_net_loop_on_turn(book.loop, count_turn, &turns);
	tn_net_loop_post(book.loop, &book.notes[0][0].job);
	tn_net_loop_run(book.loop);
	assert_int_equal(book.ran, 100);
	assert_in_range(turns, 100, 103);
	tn_net_loop_free(book.loop);
}

static void
flush_book(void *arg)
{
	*(uint32_t *)arg = book.ran;
}

static void
test_last_turn(void **state)
{
	static uint32_t from;
	uint32_t flushed = 0;
	pthread_t thread;

	(void)state;
	/* Goal: what the turn gathers that stops the loop is flushed. */
	book_open(write_down);
	book.stop_at = 1000;
	book.loop = tn_net_loop_new();
	tn_net_loop_on_turn(book.loop, flush_book, &flushed);
	assert_int_equal(pthread_create(&thread, NULL, post_thousand, &from),
	    0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	tn_net_loop_run(book.loop);
	assert_int_equal(flushed, 1000);
	tn_net_loop_free(book.loop);
}

struct clockwork {
	struct tn_net_loop *loop;
	struct tn_net_timer *timer;
	struct tn_net_timer *once;
	struct tn_net_timer *never;
	uint32_t fired;
	uint32_t fired_once;
	uint32_t gathered;
	uint32_t flushed;
};

static void
tick(void *arg)
{
	struct clockwork *c = arg;

	assert_true(tn_net_on_loop());
	c->gathered++;
	if (++c->fired < 5)
		return;
	/* Freed inside its own callback. */
	tn_net_timer_free(c->timer);
	c->timer = NULL;
	tn_net_loop_stop(c->loop);
}

static void
tick_once(void *arg)
{
	struct clockwork *c = arg;

	c->fired_once++;
}

static void
flush(void *arg)
{
	struct clockwork *c = arg;

	c->flushed += c->gathered;
	c->gathered = 0;
}

static void
test_timers(void **state)
{
	struct clockwork c = { .fired = 0 };

	(void)state;
	/* Goal: repeating, one-shot, stopped and freed timers do what they
	 * say, and what a timer gathers is flushed before the loop sleeps. */
	c.loop = tn_net_loop_new();
	c.timer = tn_net_timer_new(c.loop, tick, &c);
	c.once = tn_net_timer_new(c.loop, tick_once, &c);
	c.never = tn_net_timer_new(c.loop, tick_once, &c);
	tn_net_loop_on_turn(c.loop, flush, &c);
	tn_net_timer_start(c.timer, 1, 1);
	tn_net_timer_start(c.once, 0, 0);
	tn_net_timer_start(c.never, 0, 0);
	tn_net_timer_stop(c.never);
	tn_net_loop_run(c.loop);
	assert_int_equal(c.fired, 5);
	assert_int_equal(c.flushed, 5);
	assert_int_equal(c.fired_once, 1);
	tn_net_timer_free(c.once);
	tn_net_timer_free(c.never);
	tn_net_timer_free(NULL);
	tn_net_loop_free(c.loop);
}

struct pipework {
	struct tn_net_loop *loop;
	struct tn_net_watch *watch;
	int fd;
	uint32_t bytes;
};

static void
drain_one(void *arg)
{
	struct pipework *p = arg;
	char c;

	assert_int_equal(read(p->fd, &c, 1), 1);
	if (++p->bytes < 5)
		return;
	tn_net_watch_free(p->watch);
	tn_net_loop_stop(p->loop);
}

static void
test_watch(void **state)
{
	struct pipework p = { .bytes = 0 };
	FILE *plain = tmpfile();
	int ends[2];

	(void)state;
	/* Goal: readable() is called while there is something to read, and a
	 * plain file is refused. */
	assert_int_equal(pipe(ends), 0);
	p.fd = ends[0];
	p.loop = tn_net_loop_new();
	assert_null(tn_net_watch_new(p.loop, fileno(plain), drain_one, &p));
	(void)fclose(plain);
	p.watch = tn_net_watch_new(p.loop, ends[0], drain_one, &p);
	assert_non_null(p.watch);
	assert_int_equal(write(ends[1], "12345678", 8), 8);
	tn_net_loop_run(p.loop);
	assert_int_equal(p.bytes, 5);
	tn_net_loop_free(p.loop);
	tn_net_watch_free(NULL);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
got_signal(int signum, void *arg)
{
	assert_int_equal(signum, SIGHUP);
	tn_net_loop_stop(arg);
}

static void
test_signal(void **state)
{
	struct tn_net_loop *l = tn_net_loop_new();

	(void)state;
	/* Goal: a signal arrives as a callback on the loop. */
	tn_net_loop_on_signal(l, SIGHUP, got_signal, l);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	tn_net_loop_run(l);
	tn_net_loop_free(l);
}

static void *
stop_it(void *arg)
{
	tn_net_loop_stop(arg);
	return NULL;
}

static void
test_stop(void **state)
{
	(void)state;
	/* Goal: stop from another thread ends the run at any time, before it
	 * too, and the loop may run again. */
	for (int i = 0; i < 200; i++) {
		struct tn_net_loop *l = tn_net_loop_new();
		pthread_t thread;

		for (int k = 0; k < 2; k++) {
			assert_int_equal(pthread_create(&thread, NULL, stop_it,
			    l), 0);
			tn_net_loop_run(l);
			if (k == 0)
				assert_int_equal(pthread_join(thread, NULL), 0);
		}
		tn_net_loop_free(l);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

/* ---- actors ---------------------------------------------------------- */

struct gate {
	struct tn_net_job job;
	struct tn_net_latch *entered;
	struct tn_net_latch *go;
	struct tn_net_actor *actor;
	uint32_t taken;
	uint32_t depth;
};

/* Hold the actor until told, then take what is queued. */
static void
wait_and_take(struct tn_net_job *job)
{
	struct gate *g = (struct gate *)job;
	struct tn_net_job *rest;

	assert_true(tn_net_on_actor(g->actor));
	tn_net_latch_open(g->entered);
	tn_net_latch_wait(g->go);
	rest = tn_net_actor_take(g->actor);
	g->depth = tn_net_actor_depth(g->actor);
	for (; rest != NULL; rest = rest->next) {
		const struct note *n = (const struct note *)rest;

		assert_int_equal(n->number, g->taken);
		g->taken++;
	}
	assert_null(tn_net_actor_take(g->actor));
}

static void
test_actor_bound(void **state)
{
	struct gate g = { .job.run = wait_and_take };

	(void)state;
	/* Goal: exactly jobs_max jobs wait; more is TN_EFULL except inside
	 * messages; take gives all of them in order and makes room. */
	book_open(write_down);
	g.entered = tn_net_latch_new();
	g.go = tn_net_latch_new();
	g.actor = tn_net_actor_new("bounded", 10);
	assert_false(tn_net_on_actor(g.actor));
	assert_false(tn_net_on_actor(NULL));
	assert_int_equal(tn_net_actor_post(g.actor, &g.job), TN_OK);
	tn_net_latch_wait(g.entered);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(tn_net_actor_post(g.actor,
		    &book.notes[0][i].job), TN_OK);
	assert_int_equal(tn_net_actor_depth(g.actor), 10);
	assert_int_equal(tn_net_actor_post(g.actor, &book.notes[0][10].job),
	    TN_EFULL);
	assert_true(tn_net_actor_post_internal(g.actor,
	    &book.notes[0][10].job));
	assert_int_equal(tn_net_actor_depth(g.actor), 11);
	tn_net_latch_open(g.go);
	tn_net_actor_free(g.actor);
	assert_int_equal(g.taken, 11);
	assert_int_equal(g.depth, 0);
	assert_int_equal(book.ran, 0);
	tn_net_latch_free(g.entered);
	tn_net_latch_free(g.go);
	tn_net_latch_free(NULL);
	tn_net_actor_free(NULL);
}

struct poster {
	struct tn_net_actor *actor;
	uint32_t from;
	uint32_t refused;
};

static void *
post_to_actor(void *arg)
{
	struct poster *p = arg;

	for (uint32_t i = 0; i < 1000; i++) {
		struct tn_net_job *job = &book.notes[p->from][i].job;
		enum tn_status st = tn_net_actor_post(p->actor, job);

		while (st == TN_EFULL) {
			p->refused++;
			(void)sched_yield();
			st = tn_net_actor_post(p->actor, job);
		}
		if (st != TN_OK)
			return NULL;
	}
	return NULL;
}

static void
test_actor_many(void **state)
{
	struct poster posters[4];
	pthread_t threads[4];

	(void)state;
	/* Goal: through a small queue every job of four posters runs once, in
	 * its poster's order, also when the actor is freed at once. */
	for (int round = 0; round < 10; round++) {
		struct tn_net_actor *a = tn_net_actor_new("many", 16);

		book_open(write_down);
		for (uint32_t i = 0; i < 4; i++) {
			posters[i] = (struct poster){ a, i, 0 };
			assert_int_equal(pthread_create(&threads[i], NULL,
			    post_to_actor, &posters[i]), 0);
		}
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		tn_net_actor_free(a);
		assert_int_equal(book.ran, 4000);
		assert_true(book.in_order);
	}
}

struct last {
	struct tn_net_job job;
	struct tn_net_actor *actor;
	struct tn_net_latch *done;
	struct tn_net_job after;
	enum tn_status st;
};

/* Runs while the actor is being freed: posting to it is refused. */
static void
post_when_closing(struct tn_net_job *job)
{
	struct last *l = (struct last *)job;

	do {
		l->st = tn_net_actor_post(l->actor, &l->after);
		(void)sched_yield();
	} while (l->st == TN_EFULL);
	if (!tn_net_actor_post_internal(l->actor, job))
		tn_net_latch_open(l->done);
}

static void
nothing(struct tn_net_job *job)
{
	(void)job;
}

static void
test_actor_closing(void **state)
{
	struct last l = { .job.run = post_when_closing, .after.run = nothing };

	(void)state;
	/* Goal: freeing runs what is queued, refuses what comes then, and
	 * ends though a job posts itself again and again. */
	l.actor = tn_net_actor_new("closing", 1);
	l.done = tn_net_latch_new();
	l.after.run = nothing;
	assert_int_equal(tn_net_actor_post(l.actor, &l.job), TN_OK);
	tn_net_actor_free(l.actor);
	tn_net_latch_wait(l.done);
	tn_net_latch_free(l.done);
}

/* ---- pools ----------------------------------------------------------- */

struct count {
	_Atomic uint32_t *cells;
	struct tn_net_pool *pool;
	uint32_t inner;
};

static void
mark_cell(void *arg, uint32_t i)
{
	struct count *c = arg;

	atomic_fetch_add(&c->cells[i], 1);
}

static void
mark_nested(void *arg, uint32_t i)
{
	struct count *c = arg;
	struct count in = { c->cells + (size_t)i * c->inner, c->pool, 0 };

	tn_net_pool_each(c->pool, c->inner, mark_cell, &in);
}

static void
test_pool_each(void **state)
{
	static _Atomic uint32_t cells[5000];
	struct count c = { cells, NULL, 50 };

	(void)state;
	/* Goal: each number is given once, for any count, nested too. */
	c.pool = tn_net_pool_new("each", 3, 4);
	for (uint32_t count = 0; count < 5000; count = count * 3 + 1) {
		memset((void *)cells, 0, sizeof cells);
		tn_net_pool_each(c.pool, count, mark_cell, &c);
		for (uint32_t i = 0; i < 5000; i++)
			assert_int_equal(cells[i], i < count);
	}
	for (int round = 0; round < 20; round++) {
		memset((void *)cells, 0, sizeof cells);
		tn_net_pool_each(c.pool, 100, mark_nested, &c);
		for (uint32_t i = 0; i < 5000; i++)
			assert_int_equal(cells[i], 1);
	}
	tn_net_pool_free(c.pool);
	tn_net_pool_free(NULL);
}

struct aside {
	pthread_t caller;
	_Atomic uint32_t cells[40], wrong;
};

static void
work_aside(void *arg, uint32_t i)
{
	struct aside *a = arg;

	if (pthread_equal(pthread_self(), a->caller) ||
	    getpriority(PRIO_PROCESS, 0) < 10)
		atomic_fetch_add(&a->wrong, 1);
	atomic_fetch_add(&a->cells[i], 1);
}

/* Goal: a background pool's tasks run on its threads alone, which leave the
 * processor to others; also a single one, also when two callers come. */
static void *
call_aside(void *pool)
{
	struct aside a = { .caller = pthread_self() };

	for (uint32_t count = 0; count <= 40; count++) {
		memset((void *)a.cells, 0, sizeof a.cells);
		tn_net_pool_each(pool, count, work_aside, &a);
		for (uint32_t i = 0; i < 40; i++)
			assert_int_equal(a.cells[i], i < count);
	}
	assert_int_equal(a.wrong, 0);
	return NULL;
}

static void
test_pool_background(void **state)
{
	struct tn_net_pool *p = tn_net_pool_background("aside", 2, 4);
	int before = getpriority(PRIO_PROCESS, 0);
	pthread_t other;

	(void)state;
	assert_int_equal(pthread_create(&other, NULL, call_aside, p), 0);
	(void)call_aside(p);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
	tn_net_pool_free(p);
}

struct low {
	struct tn_net_job job;
	struct tn_net_latch *latch;
	int nice;
};

static void
say_nice(struct tn_net_job *job)
{
	struct low *l = (struct low *)job;

	l->nice = getpriority(PRIO_PROCESS, 0);
	tn_net_latch_open(l->latch);
}

/* Goal: the thread of a background actor leaves the processor to others, those
 * of others do not. */
static void
test_actor_background(void **state)
{
	int before = getpriority(PRIO_PROCESS, 0);

	(void)state;
	for (int low = 0; low < 2; low++) {
		struct low l = { .job.run = say_nice };
		struct tn_net_actor *a = low ?
		    tn_net_actor_background("low", 1) :
		    tn_net_actor_new("plain", 1);
		l.latch = tn_net_latch_new();
		assert_int_equal(tn_net_actor_post(a, &l.job), TN_OK);
		tn_net_latch_wait(l.latch);
		tn_net_latch_free(l.latch);
		tn_net_actor_free(a);
		assert_int_equal(l.nice, low ? 10 : before);
	}
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

struct meeting {
	_Atomic uint32_t inside;
	_Atomic uint32_t left;
	pthread_t caller;
};

/* Both threads are inside; then the caller leaves first. */
static void
meet(void *arg, uint32_t i)
{
	struct meeting *m = arg;

	(void)i;
	atomic_fetch_add(&m->inside, 1);
	while (atomic_load(&m->inside) < 2)
		(void)sched_yield();
	if (!pthread_equal(pthread_self(), m->caller)) {
		for (int k = 0; k < 1000; k++)
			(void)sched_yield();
	}
	atomic_fetch_add(&m->left, 1);
}

static void
test_pool_waits(void **state)
{
	struct tn_net_pool *p = tn_net_pool_new("waits", 1, 1);

	(void)state;
	/* Goal: a shared loop returns only when every task has ended. */
	for (int round = 0; round < 100; round++) {
		struct meeting m = { .caller = pthread_self() };

		tn_net_pool_each(p, 2, meet, &m);
		assert_int_equal(m.left, 2);
	}
	tn_net_pool_free(p);
}

struct hold {
	struct tn_net_job job;
	struct tn_net_latch *entered;
	struct tn_net_latch *go;
};

static void
hold_thread(struct tn_net_job *job)
{
	struct hold *h = (struct hold *)job;

	tn_net_latch_open(h->entered);
	tn_net_latch_wait(h->go);
}

static void
test_pool_busy(void **state)
{
	static _Atomic uint32_t cells[100];
	struct count c = { cells, NULL, 0 };
	struct tn_net_job more[3] = { { NULL, nothing }, { NULL, nothing },
		{ NULL, nothing } };
	struct hold h[2];

	(void)state;
	/* Goal: with all threads held, a shared loop still ends (the caller
	 * works), jobs beyond the bound are refused, none is forgotten. */
	c.pool = tn_net_pool_new("busy", 2, 2);
	for (int i = 0; i < 2; i++) {
		h[i].job.run = hold_thread;
		h[i].entered = tn_net_latch_new();
		h[i].go = tn_net_latch_new();
		assert_int_equal(tn_net_pool_post(c.pool, &h[i].job), TN_OK);
		tn_net_latch_wait(h[i].entered);
	}
	tn_net_pool_each(c.pool, 100, mark_cell, &c);
	for (int i = 0; i < 100; i++)
		assert_int_equal(cells[i], 1);
	assert_int_equal(tn_net_pool_post(c.pool, &more[0]), TN_OK);
	assert_int_equal(tn_net_pool_post(c.pool, &more[1]), TN_OK);
	assert_int_equal(tn_net_pool_post(c.pool, &more[2]), TN_EFULL);
	for (int i = 0; i < 2; i++)
		tn_net_latch_open(h[i].go);
	tn_net_pool_free(c.pool);
	for (int i = 0; i < 2; i++) {
		tn_net_latch_free(h[i].entered);
		tn_net_latch_free(h[i].go);
	}
}

struct ask {
	struct tn_net_job job;
	struct count *count;
};

/* A job that shares a loop: all threads of the pool at once. */
static void
each_in_job(struct tn_net_job *job)
{
	struct ask *a = (struct ask *)job;

	tn_net_pool_each(a->count->pool, 1000, mark_cell, a->count);
}

static void
test_pool_each_in_jobs(void **state)
{
	static _Atomic uint32_t cells[1000];
	struct count c = { cells, NULL, 0 };
	struct ask asks[50];

	(void)state;
	/* Goal: shared loops inside the pool's own jobs never wait for each
	 * other. */
	c.pool = tn_net_pool_new("nested", 2, 50);
	for (size_t i = 0; i < TN_COUNT(asks); i++) {
		asks[i] = (struct ask){ { NULL, each_in_job }, &c };
		assert_int_equal(tn_net_pool_post(c.pool, &asks[i].job), TN_OK);
	}
	tn_net_pool_free(c.pool);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(cells[i], TN_COUNT(asks));
}

/* ---- round trips and threads ----------------------------------------- */

struct trip {
	struct tn_net_job job;
	struct tn_net_actor *actor;
	struct tn_net_loop *loop;
	uint32_t left;
};

static void trip_there(struct tn_net_job *job);

static void
trip_back(struct tn_net_job *job)
{
	struct trip *t = (struct trip *)job;

	assert_true(tn_net_on_loop());
	if (--t->left == 0) {
		tn_net_loop_stop(t->loop);
		return;
	}
	job->run = trip_there;
	assert_int_equal(tn_net_actor_post(t->actor, job), TN_OK);
}

static void
trip_there(struct tn_net_job *job)
{
	struct trip *t = (struct trip *)job;

	assert_false(tn_net_on_loop());
	job->run = trip_back;
	tn_net_loop_post(t->loop, job);
}

static void
test_round_trips(void **state)
{
	struct trip t = { .job.run = trip_there, .left = 5000 };

	(void)state;
	/* Goal: a job that goes to and fro between loop and actor is never
	 * lost asleep on either side. */
	t.loop = tn_net_loop_new();
	t.actor = tn_net_actor_new("trip", 1);
	assert_int_equal(tn_net_actor_post(t.actor, &t.job), TN_OK);
	tn_net_loop_run(t.loop);
	assert_int_equal(t.left, 0);
	tn_net_actor_free(t.actor);
	tn_net_loop_free(t.loop);
}

static void
go_deep(void *arg)
{
	volatile char room[12 << 20];
	int *result = arg;
	sigset_t blocked;

	for (size_t i = 0; i < sizeof room; i += 4096)
		room[i] = 1;
	*result = room[4096];
	(void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (!sigismember(&blocked, SIGTERM))
		*result = -1;
}

static void
test_stack(void **state)
{
	int result = 0;

	(void)state;
	/* Goal: the thread has the stack asked for, and signals blocked. */
	tn_net_run_with_stack(16 << 20, go_deep, &result);
	assert_int_equal(result, 1);
}

static void *
open_latch(void *arg)
{
	tn_net_latch_open(arg);
	return NULL;
}

static void
test_latch(void **state)
{
	(void)state;
	/* Goal: a latch may be freed as soon as the wait returns. */
	for (int i = 0; i < 500; i++) {
		struct tn_net_latch *l = tn_net_latch_new();
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, open_latch, l),
		    0);
		tn_net_latch_wait(l);
		tn_net_latch_wait(l);
		tn_net_latch_free(l);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

struct shared_sum {
	struct tn_net_lock *lock;
	uint64_t sum;
};

static void
add_locked(void *arg, uint32_t i)
{
	struct shared_sum *s = arg;

	tn_net_lock_take(s->lock);
	s->sum += i;
	tn_net_lock_drop(s->lock);
}

static void
test_lock(void **state)
{
	struct shared_sum s = { tn_net_lock_new(), 0 };
	struct tn_net_pool *p = tn_net_pool_new("lock", 3, 1);

	(void)state;
	/* Goal: the lock excludes. */
	tn_net_pool_each(p, 10000, add_locked, &s);
	assert_int_equal(s.sum, 10000u * 9999u / 2);
	tn_net_pool_free(p);
	tn_net_lock_free(s.lock);
	tn_net_lock_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop_post),
		cmocka_unit_test(test_loop_leftovers),
		cmocka_unit_test(test_loop_post_inside),
		cmocka_unit_test(test_last_turn),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_actor_bound),
		cmocka_unit_test(test_actor_many),
		cmocka_unit_test(test_actor_closing),
		cmocka_unit_test(test_pool_each),
		cmocka_unit_test(test_pool_background),
		cmocka_unit_test(test_actor_background),
		cmocka_unit_test(test_pool_waits),
		cmocka_unit_test(test_pool_busy),
		cmocka_unit_test(test_pool_each_in_jobs),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_latch),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

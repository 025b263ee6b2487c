/* Turns of compaction: who takes its steps, and how many.
 *
 *   tick -> batch thread: what there is to do, a file's name, the publication
 *               | lend                                             ^ back
 *               v                                                  |
 *           thread "merge", of low priority: read, merge, pack, write, sync
 *
 * Two threads, because the batch thread makes the cuts: without a privilege a
 * thread that lowers its priority cannot raise it again. So what is long has a
 * thread of its own, which runs after all that others ask for, and a cut does
 * not wait for it: while the round is lent the batch thread does other jobs.
 * What is the batch thread's alone (the lake's folders, the catalog, the speed
 * layer) stays there.
 *
 * The round is whose turn it is; a message hands it over, so nothing is locked.
 * A turn lasts for some ticks (TURN_US; each begins it anew), as far as compact_rate
 * allows, a quarter of it while the log grows faster than compact_busy_rate.
 * Whoever must have the round (an erasure, a partition that is overdue, the end)
 * takes it back. For those alone the low priority counts: the step under way has
 * a tenth of the processor where others take all of it, and cannot be given more.
 * So an erasure and the end, for whom the round is in vain, give it up: what reads,
 * sorts, packs and hashes looks at that between pages, columns and pieces, some
 * milliseconds of a processor, and fails. A cut whose partition is overdue wants
 * the round, and waits for the whole step. */
#include "batch/compact_int.h"

#include "os/os.h"

#define STEP_US 20000                /* Of the batch thread at a time. */
#define TURN_US 250000               /* A tick, which comes each 50 ms, begins
                                        it anew; the processor may come late. */

#define GET(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* ---- pace ------------------------------------------------------------ */

void
tn_batch_pace_refill(struct tn_batch_pace *p, const struct tn_batch_jobs *b,
    uint64_t bytes)
{
	int64_t now = tn_os_mono_us(), passed = now - p->ticked_us;
	int64_t rate = (int64_t)bytes;
	uint64_t log = tn_log_bytes(b->o.log);

	if (passed > 1000000 || passed < 0)
		passed = 1000000;
	if (log > p->log_bytes && (double)(log - p->log_bytes) * 1e6 >
	    (double)b->o.busy_rate * (double)(passed + 1))
		rate /= 4;
	p->ticked_us = now;
	p->log_bytes = log;
	p->allowance += rate * passed / 1000000;
	if (p->allowance > rate)
		p->allowance = rate;
}

/* ---- the thread that merges ------------------------------------------ */

static bool
may_go_on(const struct tn_batch_jobs *b)
{
	const struct tn_batch_compaction *x = b->compaction;

	return x->left > 0 && GET(x->turn.hold) == 0 && GET(b->stopping) == 0 &&
	    tn_os_mono_us() < GET(x->turn.until_us);
}

static void
run_there(struct tn_net_job *job)
{
	struct tn_batch_jobs *b = ((struct tn_batch_hand *)job)->b;
	struct tn_batch_compaction *x = b->compaction;
	enum tn_status st;

	do
		st = tn_batch_merge_step(b, false);
	while (st == TN_OK && tn_batch_is_merging(x) && may_go_on(b));
	x->turn.st = st;
	tn_net_latch_open(x->turn.done);
	/* turns_end waits for this thread before the other one ends. */
	(void)tn_net_actor_post_internal(b->actor, &x->turn.back.job);
}

/* ---- the batch thread ------------------------------------------------ */

bool
tn_batch_is_lent(const struct tn_batch_compaction *x)
{
	return GET(x->turn.lent) != 0 && !x->turn.taken;
}

static void
lend(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	struct tn_batch_turn *t = &x->turn;
	bool there;

	tn_assert(GET(t->lent) == 0);
	if (t->over)
		return;
	t->done = tn_net_latch_new();
	t->taken = false;
	t->given = x->left = x->pace.allowance;
	SET(t->hold, 0);
	SET(t->lent, 1);
	there = tn_net_actor_post_internal(t->thread, &t->there.job);
	tn_assert(there);                /* Only turns_end closes it. */
}

void
tn_batch_take_back(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	struct tn_batch_turn *t = &x->turn;

	if (!tn_batch_is_lent(x))
		return;
	SET(t->hold, 1);
	tn_net_latch_wait(t->done);
	t->taken = true;
	x->pace.allowance -= t->given - x->left;
	x->left = 0;
	if (t->st != TN_OK)
		tn_batch_compaction_fails(b, t->st);
}

void
tn_batch_give_up(struct tn_batch_jobs *b, bool up)
{
	_Atomic bool *given_up = &b->compaction->turn.given_up;

	*given_up = up;
	/* A stop may have come between: it sets both, this one last. */
	if (__atomic_load_n(&b->stopping, __ATOMIC_SEQ_CST) != 0)
		*given_up = true;
}

/* As long as there is something to do, and it may. */
static void
go_on(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	int64_t until = tn_os_mono_us() + STEP_US;

	while (GET(b->stopping) == 0 && x->pace.allowance > 0) {
		if (tn_batch_is_merging(x)) {
			lend(b);
			return;
		}
		if (!tn_batch_compact_step(b, false) ||
		    tn_os_mono_us() >= until)
			return;
	}
}

static void
run_back(struct tn_net_job *job)
{
	struct tn_batch_jobs *b = ((struct tn_batch_hand *)job)->b;
	struct tn_batch_turn *t = &b->compaction->turn;

	tn_batch_take_back(b);
	tn_net_latch_free(t->done);
	t->done = NULL;
	SET(t->lent, 0);
	if (tn_os_mono_us() < GET(t->until_us))
		go_on(b);
}

static void
run_tick(struct tn_net_job *job)
{
	struct tn_batch_jobs *b = ((struct tn_batch_tick *)job)->b;
	struct tn_batch_compaction *x = b->compaction;

	tn_batch_tune_take(b);
	tn_batch_preparing_wake(b);
	tn_batch_pace_refill(&x->pace, b, b->o.compact_rate);
	SET(x->turn.until_us, tn_os_mono_us() + TURN_US);
	if (GET(x->turn.lent) == 0)
		go_on(b);
	__atomic_store_n(&b->tick.waiting, 0, __ATOMIC_RELEASE);
}

void
tn_batch_tick(struct tn_batch_jobs *b)
{
	if (__atomic_exchange_n(&b->tick.waiting, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	__atomic_store_n(&b->ticking, 1, __ATOMIC_RELAXED);
	b->tick.job.run = run_tick;
	b->tick.b = b;
	if (!tn_net_actor_post_internal(b->actor, &b->tick.job))
		__atomic_store_n(&b->tick.waiting, 0, __ATOMIC_RELEASE);
}

/* ---- beginning and end ----------------------------------------------- */

void
tn_batch_turns_new(struct tn_batch_jobs *b)
{
	struct tn_batch_turn *t = &b->compaction->turn;

	t->there = (struct tn_batch_hand){ { .run = run_there }, b };
	t->back = (struct tn_batch_hand){ { .run = run_back }, b };
	t->thread = tn_net_actor_background("merge", 1);
}

struct last {
	struct tn_net_job job;
	struct tn_batch_jobs *b;
	struct tn_net_latch *latch;
};

static void
run_last(struct tn_net_job *job)
{
	struct last *l = (struct last *)job;

	l->b->compaction->turn.over = true;
	tn_net_latch_open(l->latch);
}

void
tn_batch_turns_end(struct tn_batch_jobs *b)
{
	struct last l = { { .run = run_last }, b, tn_net_latch_new() };

	/* From the batch thread itself, so that it lends nothing behind it. */
	if (tn_net_actor_post_internal(b->actor, &l.job))
		tn_net_latch_wait(l.latch);
	tn_net_latch_free(l.latch);
	tn_net_actor_free(b->compaction->turn.thread);
}

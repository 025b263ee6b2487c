/* Answering readers: a clone of the states they want, never the live ones.
 *
 * "Changed" questions come from one asker a view (serving's live feed). What
 * was touched since the last such question is marked in the open fold, or was
 * saved in tail->changed at a seal. A changed group must be answered with its
 * whole tail state, so the touched keys are looked up again in sealed and
 * open; and since a cut may have moved them to gold meanwhile, the keys go
 * with the answer. A view that nobody asks about is marked no more after two
 * seals; the first question after that is answered "lost".
 *
 * A clone is memory that a stranger's request takes: the budget is asked
 * first, by what the clone will about have, and told what it then has. What
 * live readers need is not refused: they get it once a view. */
#include "speed/speed_int.h"

#include <string.h>

/* Sealed and open together, restricted by bounds. */
static struct tn_exec_fold *
whole_tail(const struct tail *t, const struct tn_exec_bound *bounds,
    uint32_t count)
{
	struct tn_exec_fold *f = tn_exec_fold_clone(t->open, bounds, count);

	if (t->sealed != NULL) {
		struct tn_exec_fold *s = tn_exec_fold_clone(t->sealed,
		    bounds, count);
		tn_exec_fold_merge(f, s);
		tn_exec_fold_free(s);
	}
	return f;
}

static size_t
tail_bytes(const struct tail *t, const struct tn_exec_bound *bounds,
    uint32_t count)
{
	size_t n = tn_exec_fold_clone_bytes(t->open, bounds, count);

	return t->sealed == NULL ? n :
	    n + tn_exec_fold_clone_bytes(t->sealed, bounds, count);
}

/* Most tails are small or there is room: only when all of it would not fit
 * are the groups counted that the reader wants. */
static bool
may_clone(const struct tail *t, struct tn_serving_ask *ask)
{
	return tn_budget_try(&ask->held, tail_bytes(t, NULL, 0)) ||
	    (ask->bound_count > 0 && tn_budget_try(&ask->held,
	    tail_bytes(t, ask->bounds, ask->bound_count)));
}

static void
changed_tail(struct tail *t, struct tn_serving_ask *ask)
{
	struct tn_exec_fold *keys = tn_exec_fold_take_changed(t->open);

	/* The first question begins the marking. */
	ask->lost = !t->watched;
	t->watched = true;
	t->unasked = 0;
	if (t->changed != NULL) {
		tn_exec_fold_merge(keys, t->changed);
		tn_exec_fold_free(t->changed);
		t->changed = NULL;
	}
	ask->touched = keys;
	ask->fold = tn_exec_fold_pick(t->open, keys);
	if (t->sealed != NULL) {
		struct tn_exec_fold *s = tn_exec_fold_pick(t->sealed, keys);
		tn_exec_fold_merge(ask->fold, s);
		tn_exec_fold_free(s);
	}
}

static void
count_answer(struct tail *t, struct tn_serving_ask *ask)
{
	size_t n = 0;

	if (ask->fold != NULL)
		n += tn_exec_fold_bytes(ask->fold);
	if (ask->touched != NULL)
		n += tn_exec_fold_bytes(ask->touched);
	tn_budget_set(&ask->held, n);
	if (ask->changed_only)
		tn_budget_set(&t->held, t->cut_bytes);  /* Changed is gone. */
}

/* A definition that is gone answers as of the end of it, for a while. */
static void
as_it_was(struct tn_speed *s, struct tn_serving_ask *ask)
{
	const struct tail *t = &s->tails[ask->view];

	ask->gone = t->open == NULL;
	if (t->was == NULL)
		return;
	tn_catalog_snapshot_put(ask->base);
	ask->base = tn_catalog_snapshot_again(t->was);
	ask->last = t->was_last;
}

static void
run_ask(struct tn_net_job *job)
{
	struct tn_serving_ask *ask = (struct tn_serving_ask *)job;
	struct tn_speed *s = ask->answerer;

	/* Not the newest snapshot: that may be ahead of the tails. */
	ask->base = tn_catalog_snapshot_again(s->base);
	ask->last = s->last;
	if (ask->view >= 0)
		as_it_was(s, ask);
	if (ask->want_fold && ask->view >= 0 && !ask->gone) {
		struct tail *t = &s->tails[ask->view];
		if (ask->changed_only)
			changed_tail(t, ask);
		else if (may_clone(t, ask))
			ask->fold = whole_tail(t, ask->bounds,
			    ask->bound_count);
		else
			ask->refused = true;
		count_answer(t, ask);
	}
	tn_speed_freeze(s, &ask->refs);
	ask->done(ask);
}

void
tn_speed_ask(void *speed, struct tn_serving_ask *ask)
{
	struct tn_speed *s = speed;
	bool posted;

	tn_assert(ask->view < (int)s->o.model->view_count);
	memset(&ask->refs, 0, sizeof ask->refs);
	ask->base = NULL;
	ask->job.run = run_ask;
	ask->fold = NULL;
	ask->touched = NULL;
	ask->lost = false;
	ask->refused = false;
	ask->gone = false;
	ask->held = (struct tn_budget_share){ .class = TN_BUDGET_QUERIES };
	ask->answerer = s;
	tn_net_lock_take(s->lock);
	posted = !s->stopped &&
	    tn_net_actor_post_internal(s->actor, &ask->job);
	tn_net_lock_drop(s->lock);
	if (!posted)
		ask->done(ask);         /* Stopping: base is NULL. */
}

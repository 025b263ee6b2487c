/* Answering readers: a clone of the states they want, never the live ones.
 *
 * "Changed" questions come from one asker a view (serving's live feed). What
 * was touched since the last such question is marked in the open fold, or was
 * saved in tail->changed at a seal. A changed group must be answered with its
 * whole tail state, so the touched keys are looked up again in sealed and
 * open; and since a cut may have moved them to gold meanwhile, the keys go
 * with the answer. A view that nobody asks about is marked no more after two
 * seals; the first question after that is answered "lost". */
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
run_ask(struct tn_net_job *job)
{
	struct tn_serving_ask *ask = (struct tn_serving_ask *)job;
	struct tn_speed *s = ask->answerer;

	/* Not the newest snapshot: that may be ahead of the tails. */
	ask->base = tn_catalog_snapshot_again(s->base);
	ask->last = s->last;
	if (ask->want_fold && ask->view >= 0) {
		struct tail *t = &s->tails[ask->view];
		if (ask->changed_only)
			changed_tail(t, ask);
		else
			ask->fold = whole_tail(t, ask->bounds,
			    ask->bound_count);
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
	ask->answerer = s;
	tn_net_lock_take(s->lock);
	posted = !s->stopped &&
	    tn_net_actor_post_internal(s->actor, &ask->job);
	tn_net_lock_drop(s->lock);
	if (!posted)
		ask->done(ask);         /* Stopping: base is NULL. */
}

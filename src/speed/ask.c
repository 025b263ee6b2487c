/* Answering readers: a clone of the states they want, never the live ones.
 *
 * "Changed" questions come from one asker a view (serving's live feed). What
 * was touched since the last such question may lie in the sealed fold (before
 * a seal), in tail->changed (saved at the seal) or in the open one. A changed
 * group must be answered with its whole tail state, so the touched keys are
 * looked up again in sealed and open. */
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

static struct tn_exec_fold *
changed_tail(struct tail *t)
{
	struct tn_exec_fold *keys = tn_exec_fold_take_changed(t->open);
	struct tn_exec_fold *f;

	if (!t->watched) {
		/* The first question begins the marking. */
		t->watched = true;
		tn_exec_fold_free(t->changed);
		t->changed = NULL;
	}
	if (t->changed != NULL) {
		tn_exec_fold_merge(keys, t->changed);
		tn_exec_fold_free(t->changed);
		t->changed = NULL;
	}
	f = tn_exec_fold_pick(t->open, keys);
	if (t->sealed != NULL) {
		struct tn_exec_fold *s = tn_exec_fold_pick(t->sealed, keys);
		tn_exec_fold_merge(f, s);
		tn_exec_fold_free(s);
	}
	tn_exec_fold_free(keys);
	return f;
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
		ask->fold = ask->changed_only ? changed_tail(t) :
		    whole_tail(t, ask->bounds, ask->bound_count);
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
	ask->answerer = s;
	tn_net_lock_take(s->lock);
	posted = !s->stopped &&
	    tn_net_actor_post_internal(s->actor, &ask->job);
	tn_net_lock_drop(s->lock);
	if (!posted)
		ask->done(ask);         /* Stopping: base is NULL. */
}

/* Views that come and go while the tails are followed; see
 * tn_serving_change.
 *
 *   adopt    an open fold for each view being built: rows from now on are in
 *            it, those before are batch's to find
 *   swap     after the publication: the new base, those tails get their
 *            rows of before, the old definitions' tails are frozen with the
 *            old base until the next publication; then nobody can have
 *            found them any more but who waits longer than a cut takes
 *   abandon  it failed: the folds go */
#include "speed/speed_int.h"

#include <string.h>

static void
run_adopt(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;
	struct tn_speed *s = o->speed;

	for (uint32_t i = 0; i < o->change->built_count; i++)
		tn_speed_open(s, o->change->built[i].view);
	tn_speed_count_all(s);
	o->lsn = s->last;
	tn_speed_freeze(s, o->refs);
	tn_net_latch_open(o->done);
}

void
tn_speed_adopt(struct tn_speed *s, struct tn_serving_change *c,
    uint64_t *lsn, struct tn_serving_refs *refs)
{
	struct order o = { .refs = refs, .change = c };

	memset(refs, 0, sizeof *refs);
	tn_speed_order(s, &o, run_adopt);
	*lsn = o.lsn;
}

static void
freeze_tail(struct tn_speed *s, struct tail *t,
    const struct tn_catalog_snapshot *base)
{
	if (t->open == NULL)
		return;
	t->was = tn_catalog_snapshot_again(base);
	t->was_last = s->last;
	t->watched = false;
}

static void
run_swap(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;
	struct tn_speed *s = o->speed;
	struct tn_serving_change *c = o->change;
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot_again(
	    s->base);

	tn_speed_rebase(s);
	for (uint32_t i = 0; i < c->gone_count; i++)
		freeze_tail(s, &s->tails[c->gone[i]], base);
	for (uint32_t i = 0; i < c->built_count; i++) {
		struct tn_serving_built *x = &c->built[i];
		tn_exec_fold_merge(s->tails[x->view].open, x->tail);
		tn_exec_fold_free(x->tail);
		x->tail = NULL;
	}
	tn_catalog_snapshot_put(base);
	tn_serving_change_swap(c);
	tn_speed_count_all(s);
	tn_net_latch_open(o->done);
}

void
tn_speed_swap(struct tn_speed *s, struct tn_serving_change *c)
{
	struct order o = { .change = c };

	tn_speed_order(s, &o, run_swap);
}

static void
run_abandon(struct tn_net_job *job)
{
	struct order *o = (struct order *)job;

	for (uint32_t i = 0; i < o->change->built_count; i++)
		tn_speed_drop(&o->speed->tails[o->change->built[i].view]);
	tn_speed_count_all(o->speed);
	tn_net_latch_open(o->done);
}

void
tn_speed_abandon(struct tn_speed *s, struct tn_serving_change *c)
{
	struct order o = { .change = c };

	tn_speed_order(s, &o, run_abandon);
}

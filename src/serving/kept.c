/* Numbers of a view that its retention has taken: buckets before the view's
 * floor. No layer shows them, nor does the past; a late row of such a bucket
 * would else be a number of its own, made of that row alone.
 *
 *   floor raised -> files dropped in a publication      (batch, retention)
 *   files added in a publication -> floor lowered       (batch, recompute)
 *
 * Either way there is an instant when the floor is higher than the gold in
 * force needs, and none when it is lower. A reader of an older snapshot, which
 * lacks what a recompute brought back, gets the floor of then. What speed gives
 * is not cut before the snapshot is known: by then the floor may be lower. */
#include "serving/serving_int.h"

#define DAY_US INT64_C(86400000000)

void
tn_serving_kept_new(struct tn_serving *s)
{
	uint32_t n = tn_serving_view_slots(s->o.model);

	s->kept = tn_zalloc((n + 1ul) * sizeof *s->kept);
	for (uint32_t i = 0; i < n; i++)
		s->kept[i].us = s->kept[i].before = INT64_MIN;
}

int64_t
tn_serving_gold_floor(const struct tn_serving *s, uint32_t view)
{
	int64_t us;

	tn_net_lock_take(s->lock);
	us = s->kept[view].us;
	tn_net_lock_drop(s->lock);
	return us;
}

void
tn_serving_gold_floor_raise(struct tn_serving *s, uint32_t view, int64_t us)
{
	struct kept *k = &s->kept[view];

	tn_net_lock_take(s->lock);
	if (k->us < us)
		k->us = us;
	tn_net_lock_drop(s->lock);
}

void
tn_serving_gold_floor_lower(struct tn_serving *s, uint32_t view, int64_t us,
    uint64_t sequence)
{
	struct kept *k = &s->kept[view];

	tn_net_lock_take(s->lock);
	if (k->us > us) {
		k->before = k->us;
		k->since = sequence;
		k->us = us;
	}
	tn_net_lock_drop(s->lock);
}

static int64_t
floor_at(const struct tn_serving *s, uint32_t view, uint64_t sequence)
{
	const struct kept *k = &s->kept[view];
	int64_t us;

	tn_net_lock_take(s->lock);
	us = sequence < k->since && k->before > k->us ? k->before : k->us;
	tn_net_lock_drop(s->lock);
	return us;
}

bool
tn_serving_kept_bound(const struct tn_serving_view *v, int64_t us,
    struct tn_arena *a, struct tn_exec_bound *out)
{
	int bucket = v->def->select->bucket_group;
	struct tn_column *c;
	int64_t *values;

	if (bucket < 0 || us == INT64_MIN)
		return false;
	c = tn_arena_zalloc(a, sizeof *c);
	values = tn_arena_alloc(a, sizeof *values);
	c->type = v->def->select->groups[bucket]->type;
	c->rows = 1;
	c->values = values;
	*values = us;
	if (c->type.id == TN_T_DATE)     /* Floors are whole days. */
		*(int32_t *)c->values = (int32_t)(us / DAY_US);
	*out = (struct tn_exec_bound){ .group = (uint32_t)bucket, .min = c,
	    .null_holds = true };
	return true;
}

void
tn_serving_keep(struct request *r, const struct tn_catalog_snapshot *base)
{
	struct tn_exec_bound b;
	int64_t us = floor_at(r->s, (uint32_t)r->view, base->sequence);

	if (!tn_serving_kept_bound(&r->s->o.model->views[r->view], us,
	    r->arena, &b))
		return;
	if (r->kept == NULL)
		r->kept = &r->bounds[r->bound_count++];
	tn_assert(r->bound_count <= TN_COUNT(r->bounds));
	*r->kept = b;
}

void
tn_serving_keep_tail(struct request *r)
{
	struct tn_exec_bound below;
	struct tn_exec_fold *all = r->ask.fold;

	if (r->kept == NULL || all == NULL)
		return;
	below = (struct tn_exec_bound){ .group = r->kept->group,
	    .max = r->kept->min };
	if (tn_exec_fold_clone_bytes(all, &below, 1) == 0)
		return;
	r->ask.fold = tn_exec_fold_clone(all, r->kept, 1);
	tn_exec_fold_free(all);
}

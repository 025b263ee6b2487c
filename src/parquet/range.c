/* range: what a file's statistics say of one column, all row groups together:
 * how many nulls, and between which values the others lie. For tables that
 * other engines prune files with.
 *
 * A bound is given only when every row group that holds a value has one whose
 * meaning is certain (as in prune.c), and, of floats, when no NaN is among
 * them: engines do not agree where NaN stands. Texts may be cut: a minimum is
 * then below, a maximum above the values. */
#include "parquet/parquet_int.h"

/* Of one row group; false: nothing certain. */
static bool
group_range(const struct pq_leaf *leaf, const struct pq_chunk *c,
    struct pq_value *min, struct pq_value *max)
{
	const struct pq_stats *s = &c->stats;

	if (!leaf->ordered || s->old || !s->has_min || !s->has_max)
		return false;
	if (tn_parquet_order(leaf->type) == TN_PQ_BY_FLOAT && s->nans != 0)
		return false;
	return tn_parquet_value_stored(leaf, s->min, min) &&
	    tn_parquet_value_stored(leaf, s->max, max);
}

static void
add_group(const struct pq_leaf *leaf, const struct pq_chunk *c,
    struct tn_parquet_range *out, bool *begun)
{
	enum pq_order o = tn_parquet_order(leaf->type);
	struct pq_value min = { 0 }, max = { 0 };
	struct pq_value was_min = { out->min_i, out->min_f, out->min_s };
	struct pq_value was_max = { out->max_i, out->max_f, out->max_s };

	if (c->stats.nulls < 0)
		out->counted = false;
	else
		out->nulls += (uint64_t)c->stats.nulls;
	if (c->stats.nulls >= 0 && (uint64_t)c->stats.nulls == c->values)
		return;                  /* It has no value to bound. */
	if (!group_range(leaf, c, &min, &max)) {
		out->bounded = false;
		return;
	}
	if (*begun && tn_parquet_value_compare(o, &was_min, &min) < 0)
		min = was_min;
	if (*begun && tn_parquet_value_compare(o, &was_max, &max) > 0)
		max = was_max;
	*begun = true;
	out->min_i = min.i;
	out->min_f = min.f;
	out->min_s = min.s;
	out->max_i = max.i;
	out->max_f = max.f;
	out->max_s = max.s;
}

void
tn_parquet_range(const struct tn_parquet_reader *r, uint32_t column,
    struct tn_parquet_range *out)
{
	const struct pq_leaf *leaf;
	bool begun = false;

	tn_assert(column < r->schema.count);
	leaf = &r->leaves[column];
	memset(out, 0, sizeof *out);
	out->counted = true;
	out->bounded = true;
	for (uint32_t g = 0; g < r->group_count; g++)
		add_group(leaf, &r->groups[g].chunks[column], out, &begun);
	out->bounded = out->bounded && begun;
}

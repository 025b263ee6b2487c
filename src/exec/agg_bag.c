/* percentile_cont in queries: the values of a group one behind the other, as
 * integers of the same order, sorted when the result is asked for. That is a
 * store a row where a set (agg_set.c) is a search; but a set keeps equal
 * values once. So a bag that would take more than BAG_MAX values becomes a
 * set, which then is what the aggregate of views has.
 *
 *   values -> BAG_MAX of them -> set -> more values
 *
 * Folds of queries are never merged, saved or loaded: there is no code for
 * it. Several aggregates may share a state (tn_agg.shared). */
#include "exec/fold_int.h"

#include <math.h>

#define BAG_MIN 16u
#define BAG_MAX 4096u
#define FEW 16                   /* Values that are sorted by insertion. */

struct bag {
	uint8_t set[TN_SET_STATE_BYTES];         /* All zero: no set. */
	uint32_t count;
	uint32_t cap;
	int64_t *values;                         /* Ranks; NULL: none. */
	bool sorted;
	bool is_set;
};

/* NaN above all, no -0: canonical. */
static inline int64_t
rank_of(double d)
{
	return tn_float_rank(d == 0 ? 0 : d);
}

static void
become_set(struct tn_exec_fold *f, const struct tn_agg *a, struct bag *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		double d = tn_rank_float(b->values[i]);
		uint64_t word;
		bool fits;

		memcpy(&word, &d, 8);
		fits = tn_exec_set_put(f, a, b->set, word);
		tn_assert(fits);         /* There is no limit in a query. */
	}
	f->aside -= b->cap * sizeof *b->values;
	tn_free(b->values);
	b->values = NULL;
	b->count = b->cap = 0;
	b->is_set = true;
}

/* There is no room for one more. */
static void
bag_grow(struct tn_exec_fold *f, const struct tn_agg *a, struct bag *b)
{
	uint32_t cap = b->cap == 0 ? BAG_MIN : b->cap * 2;

	if (cap > BAG_MAX) {
		become_set(f, a, b);
		return;
	}
	b->values = tn_realloc(b->values, cap * sizeof *b->values);
	f->aside += (cap - b->cap) * sizeof *b->values;
	b->cap = cap;
}

static void
add_to_set(struct tn_exec_fold *f, const struct tn_agg *a, struct bag *b,
    int64_t rank)
{
	double d = tn_rank_float(rank);
	uint64_t word;
	bool fits;

	memcpy(&word, &d, 8);
	fits = tn_exec_set_put(f, a, b->set, word);
	tn_assert(fits);
}

static void
bag_apply(const struct tn_agg_run *r)
{
	const double *v = tn_exec_widen_float(r->arena, r->args[0]);

	for (uint32_t i = 0; i < r->rows; i++) {
		struct bag *b = (void *)(r->states + r->groups[i] * r->width);

		if (r->keep != NULL && !r->keep[i])
			continue;
		if (b->count == b->cap && !b->is_set)
			bag_grow(r->fold, r->agg, b);
		if (b->is_set)
			add_to_set(r->fold, r->agg, b, rank_of(v[i]));
		else
			b->values[b->count++] = rank_of(v[i]);
		b->sorted = false;
	}
}

static void
bag_drop(struct tn_exec_fold *f, void *state)
{
	struct bag *b = state;

	f->aside -= b->cap * sizeof *b->values;
	tn_free(b->values);
	b->values = NULL;
	b->cap = b->count = 0;
	tn_exec_agg_percentile.drop(f, b->set);
}

/* ---- results --------------------------------------------------------- */

static void
sort_few(int64_t *v, int64_t n)
{
	for (int64_t i = 1; i < n; i++) {
		int64_t x = v[i];
		int64_t k = i;

		for (; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

static int64_t
middle(const int64_t *v, int64_t n)
{
	int64_t a = v[0], b = v[n / 2], c = v[n - 1];

	if (a > b) {
		int64_t x = a;

		a = b;
		b = x;
	}
	return c < a ? a : c > b ? b : c;
}

/* Quicksort; the smaller part by recursion, so it is at most 12 deep. */
static void
sort_ranks(int64_t *v, int64_t n)
{
	while (n > FEW) {
		int64_t pivot = middle(v, n);
		int64_t lo = 0, hi = n - 1;

		while (lo <= hi) {
			int64_t x = v[lo];

			if (x < pivot) {
				lo++;
			} else if (v[hi] > pivot) {
				hi--;
			} else {
				v[lo++] = v[hi];
				v[hi--] = x;
			}
		}
		if (hi + 1 < n - lo) {
			sort_ranks(v, hi + 1);
			v += lo;
			n -= lo;
		} else {
			sort_ranks(v + lo, n - lo);
			n = hi + 1;
		}
	}
	sort_few(v, n);
}

/* As PostgreSQL: between the rows on both sides of fraction * (rows - 1). */
static bool
bag_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	struct bag *b = (void *)(uintptr_t)state;    /* Sorting keeps it. */
	double at, low, high;

	if (b->is_set)
		return tn_exec_agg_percentile.value(a, b->set, v, env);
	if (b->count == 0)
		return false;
	if (!b->sorted)
		sort_ranks(b->values, b->count);
	b->sorted = true;
	at = a->sql->fraction * (double)(b->count - 1);
	low = tn_rank_float(b->values[(uint32_t)floor(at)]);
	high = tn_rank_float(b->values[(uint32_t)ceil(at)]);
	if (floor(at) != ceil(at))
		low += (at - floor(at)) * (high - low);
	memcpy(v->w, &low, 8);
	return true;
}

const struct tn_agg_class tn_exec_agg_bag = {
	.name = "bag", .size = sizeof(struct bag), .apply = bag_apply,
	.value = bag_value, .drop = bag_drop,
};

/* percentile_cont in queries: the values of a group one behind the other, as
 * integers of the same order. That is a store a row where a set (agg_set.c) is
 * a search; but a set keeps equal values once. So a bag that would take more
 * than BAG_MAX values becomes a set, which then is what the aggregate of views
 * has.
 *
 *   values -> BAG_MAX of them -> set -> more values
 *
 * When the result is asked for, values are not sorted: one is brought to its
 * place, with none greater before it and none smaller behind (quickselect, its
 * partition without branches). What lies before that place need not be looked
 * at again for a larger fraction.
 *
 * Folds of queries are never merged, saved or loaded: there is no code for
 * it. Several aggregates may share a state (tn_agg.shared). */
#include "exec/fold_int.h"

#include <math.h>

#define BAG_MIN 16u
#define BAG_MAX 4096u
#define FEW 8u                   /* Values that are sorted by insertion. */
#define NINE_MIN 64u             /* Values whose pivot is worth nine looks. */

struct bag {
	uint8_t set[TN_SET_STATE_BYTES];         /* All zero: no set. */
	uint32_t count;
	uint32_t cap;
	int64_t *values;                         /* Ranks; NULL: none. */
	uint32_t split;          /* None before it is greater than any from it
	                          * on. */
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
	uint32_t cap = b->cap == 0 ? BAG_MIN : b->cap * (b->cap < 64 ? 4 : 2);

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
		b->split = 0;
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
sort_few(int64_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		int64_t x = v[i];
		uint32_t k = i;

		for (; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

static int64_t
middle(int64_t a, int64_t b, int64_t c)
{
	if (a > b) {
		int64_t x = a;

		a = b;
		b = x;
	}
	return c < a ? a : c > b ? b : c;
}

/* One of the values, not far from their middle. */
static int64_t
pivot_of(const int64_t *v, uint32_t n)
{
	uint32_t s = n / 9;
	int64_t few[3];

	if (n < NINE_MIN)
		return middle(v[0], v[n / 2], v[n - 1]);
	for (uint32_t i = 0; i < 3; i++)
		few[i] = middle(v[i * 3 * s], v[(i * 3 + 1) * s],
		    v[(i * 3 + 2) * s]);
	return middle(few[0], few[1], few[2]);
}

/* Those below the pivot to the front, and those that equal it if ${equal};
 * returns how many. What is exchanged may be one value with itself: no branch
 * that a processor would guess wrong. */
static inline uint32_t
part(int64_t *v, uint32_t n, int64_t pivot, bool equal)
{
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		int64_t x = v[i];

		v[i] = v[m];
		v[m] = x;
		m += equal ? x <= pivot : x < pivot;
	}
	return m;
}

/* The value that would be at ${k} if they were sorted, to that place: none
 * greater before it, none smaller behind. */
static void
bring(int64_t *v, uint32_t n, uint32_t k)
{
	tn_assert(k < n);
	while (n > FEW) {
		int64_t pivot = pivot_of(v, n);
		uint32_t less = part(v, n, pivot, false);

		if (k < less) {
			n = less;
			continue;
		}
		/* The pivot is the least: all that equal it lie together. */
		if (less == 0) {
			less = part(v, n, pivot, true);
			if (k < less)
				return;
		}
		v += less;
		n -= less;
		k -= less;
	}
	sort_few(v, n);
}

/* The value at a place of the sorted values. */
static double
value_at(struct bag *b, uint32_t k)
{
	uint32_t from = k < b->split ? 0 : b->split;
	uint32_t end = k < b->split ? b->split : b->count;

	bring(b->values + from, end - from, k - from);
	b->split = k;
	return tn_rank_float(b->values[k]);
}

/* The value behind that at the split. */
static double
value_after(const struct bag *b)
{
	int64_t least = INT64_MAX;

	for (uint32_t i = b->split + 1; i < b->count; i++)
		least = b->values[i] < least ? b->values[i] : least;
	return tn_rank_float(least);
}

/* As PostgreSQL: between the rows on both sides of fraction * (rows - 1). */
static bool
bag_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	struct bag *b = (void *)(uintptr_t)state;    /* The same values. */
	double at, low, high;

	if (b->is_set)
		return tn_exec_agg_percentile.value(a, b->set, v, env);
	if (b->count == 0)
		return false;
	at = a->sql->fraction * (double)(b->count - 1);
	low = value_at(b, (uint32_t)floor(at));
	if (floor(at) != ceil(at)) {
		high = value_after(b);
		low += (at - floor(at)) * (high - low);
	}
	memcpy(v->w, &low, 8);
	return true;
}

const struct tn_agg_class tn_exec_agg_bag = {
	.name = "bag", .size = sizeof(struct bag), .apply = bag_apply,
	.value = bag_value, .drop = bag_drop,
};

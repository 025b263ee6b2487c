/* prune: which rows of a row group can match the bounds. Row groups go by
 * their statistics; pages by the column index. The kept row ranges hold for
 * all columns, whatever their pages.
 *
 * A statistic is used only when its meaning is certain: the column order is
 * told (or it is a plain signed integer), lengths fit, it is not NaN. NaN is
 * above all numbers in Tarn and never in statistics, so that a range without
 * an upper end is kept unless the file says that there are no NaNs. */
#include "parquet/parquet_int.h"

#include <math.h>

/* What is known of the values of a page or a chunk. */
struct known {
	bool has_min;
	bool has_max;
	bool no_nans;
	bool all_null;
	struct pq_value min;
	struct pq_value max;
};
/* A bound, ready to compare. */
struct limit {
	enum pq_order order;
	bool has_min;
	bool has_max;
	struct pq_value min;
	struct pq_value max;
};

static struct limit
limit_of(const struct tn_parquet_bound *b, const struct pq_leaf *leaf)
{
	struct limit l = { .order = tn_parquet_order(leaf->type) };

	/* A bound that is null has no order: it does not bound. */
	if (b->min != NULL && tn_column_valid(b->min, 0)) {
		tn_assert(b->min->type.id == leaf->type.id);
		l.min = tn_parquet_value_at(b->min, 0);
		l.has_min = true;
	}
	if (b->max != NULL && tn_column_valid(b->max, 0)) {
		tn_assert(b->max->type.id == leaf->type.id);
		l.max = tn_parquet_value_at(b->max, 0);
		l.has_max = true;
	}
	return l;
}

/* True when no value can be within the limit. */
static bool
is_outside(const struct limit *l, const struct known *k)
{
	bool nan_fits;

	if (k->all_null)
		return true;
	/* NaN is within when the upper end is open or NaN itself. */
	nan_fits = l->order == TN_PQ_BY_FLOAT && !k->no_nans &&
	    (!l->has_max || isnan(l->max.f));
	if (nan_fits)
		return false;
	if (l->has_min && k->has_max && (isnan(l->min.f) ||
	    tn_parquet_value_compare(l->order, &k->max, &l->min) < 0))
		return true;
	return l->has_max && k->has_min &&
	    tn_parquet_value_compare(l->order, &k->min, &l->max) > 0;
}

static bool
is_plain_signed(const struct pq_leaf *leaf)
{
	return (leaf->physical == TN_PQ_INT32 ||
	    leaf->physical == TN_PQ_INT64) &&
	    (leaf->convert < TN_PQ_FROM_U8 || leaf->convert > TN_PQ_FROM_U64);
}

static bool
group_is_outside(const struct pq_call *call,
    const struct tn_parquet_bound *b)
{
	const struct pq_leaf *leaf = &call->r->leaves[b->column];
	const struct pq_chunk *c =
	    &call->r->groups[call->group].chunks[b->column];
	const struct pq_stats *s = &c->stats;
	struct limit l = limit_of(b, leaf);
	struct known k = { .no_nans = s->nans == 0,
	    .all_null = s->nulls >= 0 && (uint64_t)s->nulls == c->values };

	if ((leaf->ordered && !s->old) || is_plain_signed(leaf)) {
		k.has_min = s->has_min &&
		    tn_parquet_value_stored(leaf, s->min, &k.min);
		k.has_max = s->has_max &&
		    tn_parquet_value_stored(leaf, s->max, &k.max);
	}
	return is_outside(&l, &k);
}

/* ---- page index ------------------------------------------------------ */

static void
read_location(struct tn_cursor *c, struct pq_location *l)
{
	int16_t id = 0;
	uint8_t type;

	*l = (struct pq_location){ 0, UINT64_MAX };
	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1)
			l->at = (uint64_t)tn_parquet_get_i64(c, type);
		else if (id == 3)
			l->row = (uint64_t)tn_parquet_get_i64(c, type);
		else
			tn_parquet_skip(c, type);
	}
}

static bool
locations_are_fine(const struct pq_location *l, size_t n, uint64_t rows)
{
	if (n == 0 || l[0].row != 0)
		return false;
	for (size_t i = 1; i < n; i++)
		if (l[i].row <= l[i - 1].row)
			return false;
	return l[n - 1].row < rows;
}

enum tn_status
tn_parquet_locations(struct pq_call *call, uint32_t column,
    struct pq_location **out, size_t *n)
{
	const struct pq_group *g = &call->r->groups[call->group];
	struct tn_slice in = g->chunks[column].offset_index;
	struct tn_cursor c = { in.p, in.p + in.n, false };
	int16_t id = 0;
	uint8_t type;

	*out = NULL;
	*n = 0;
	while (tn_parquet_field(&c, &id, &type)) {
		if (id != 1 || *out != NULL) {
			tn_parquet_skip(&c, type);
			continue;
		}
		*n = tn_parquet_get_list(&c, type, TN_PQ_T_STRUCT);
		*out = tn_arena_alloc(call->scratch, (*n + 1) * sizeof **out);
		for (size_t i = 0; i < *n && !c.failed; i++)
			read_location(&c, &(*out)[i]);
	}
	if (c.failed || *out == NULL ||
	    !locations_are_fine(*out, *n, g->rows))
		return tn_parquet_fail(call, column, TN_ECORRUPT,
		    "the offset index is damaged");
	return TN_OK;
}

/* ColumnIndex with the values of ${n} pages. */
struct index {
	size_t n;
	bool *null_pages;
	struct tn_slice *mins;
	struct tn_slice *maxs;
	int64_t *nans;
};

static void *
read_list(struct pq_call *call, struct tn_cursor *c, struct index *x,
    int16_t id, uint8_t type)
{
	static const uint8_t elements[] = { [1] = TN_PQ_T_TRUE,
	    [2] = TN_PQ_T_BINARY, [3] = TN_PQ_T_BINARY, [8] = TN_PQ_T_I64 };
	uint32_t n = tn_parquet_get_list(c, type, elements[id]);
	struct tn_slice *s = NULL;
	int64_t *v = NULL;
	bool *flags = NULL;

	if (n != x->n) {
		c->failed = true;
		return NULL;
	}
	if (id == 1)
		flags = tn_arena_zalloc(call->scratch, n);
	else if (id == 8)
		v = tn_arena_zalloc(call->scratch, n * sizeof *v);
	else
		s = tn_arena_zalloc(call->scratch, n * sizeof *s);
	for (uint32_t i = 0; i < n && !c->failed; i++) {
		if (flags != NULL)
			flags[i] = tn_cursor_u8(c) == TN_PQ_T_TRUE;
		else if (v != NULL)
			v[i] = tn_parquet_get_i64(c, TN_PQ_T_I64);
		else
			s[i] = tn_parquet_get_binary(c, TN_PQ_T_BINARY);
	}
	return flags != NULL ? (void *)flags : v != NULL ? (void *)v : s;
}

static bool
read_index(struct pq_call *call, struct tn_slice in, struct index *x)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(&c, &id, &type)) {
		if (id == 1 && x->null_pages == NULL)
			x->null_pages = read_list(call, &c, x, id, type);
		else if (id == 2 && x->mins == NULL)
			x->mins = read_list(call, &c, x, id, type);
		else if (id == 3 && x->maxs == NULL)
			x->maxs = read_list(call, &c, x, id, type);
		else if (id == 8 && x->nans == NULL)
			x->nans = read_list(call, &c, x, id, type);
		else
			tn_parquet_skip(&c, type);
	}
	return !c.failed && x->null_pages != NULL && x->mins != NULL &&
	    x->maxs != NULL;
}

static bool
page_is_outside(const struct index *x, size_t i, const struct limit *l,
    const struct pq_leaf *leaf)
{
	struct known k = { .all_null = x->null_pages[i],
	    .no_nans = x->nans != NULL && x->nans[i] == 0 };

	if (!k.all_null) {
		k.has_min = tn_parquet_value_stored(leaf, x->mins[i], &k.min);
		k.has_max = tn_parquet_value_stored(leaf, x->maxs[i], &k.max);
	}
	return is_outside(l, &k);
}

/* ---- ranges ---------------------------------------------------------- */

static void
add_range(struct pq_ranges *r, uint64_t first, uint64_t end)
{
	struct pq_range *last = r->n > 0 ? &r->p[r->n - 1] : NULL;

	if (first >= end)
		return;
	if (last != NULL && last->first + last->count == first) {
		last->count += end - first;
		return;
	}
	r->p[r->n++] = (struct pq_range){ first, end - first };
}

/* Both ascending; the result has at most as many as both together. */
static void
intersect(struct pq_call *call, const struct pq_ranges *b)
{
	struct pq_ranges a = call->ranges;
	struct pq_ranges r = { NULL, 0 };
	size_t i = 0, k = 0;

	r.p = tn_arena_alloc(call->scratch, (a.n + b->n + 1) * sizeof *r.p);
	while (i < a.n && k < b->n) {
		uint64_t a_end = a.p[i].first + a.p[i].count;
		uint64_t b_end = b->p[k].first + b->p[k].count;
		uint64_t first = a.p[i].first > b->p[k].first ?
		    a.p[i].first : b->p[k].first;

		add_range(&r, first, a_end < b_end ? a_end : b_end);
		if (a_end < b_end)
			i++;
		else
			k++;
	}
	call->ranges = r;
}

static enum tn_status
prune_pages(struct pq_call *call, const struct tn_parquet_bound *b)
{
	const struct pq_group *g = &call->r->groups[call->group];
	const struct pq_chunk *chunk = &g->chunks[b->column];
	const struct pq_leaf *leaf = &call->r->leaves[b->column];
	struct limit l = limit_of(b, leaf);
	struct pq_ranges kept = { NULL, 0 };
	struct index x = { .n = 0 };
	struct pq_location *pages;
	enum tn_status st;

	if (chunk->column_index.p == NULL || chunk->offset_index.p == NULL ||
	    (!leaf->ordered && !is_plain_signed(leaf)))
		return TN_OK;
	st = tn_parquet_locations(call, b->column, &pages, &x.n);
	if (st != TN_OK)
		return st;
	if (!read_index(call, chunk->column_index, &x))
		return tn_parquet_fail(call, b->column, TN_ECORRUPT,
		    "the column index is damaged");
	kept.p = tn_arena_alloc(call->scratch, x.n * sizeof *kept.p);
	for (size_t i = 0; i < x.n; i++)
		if (!page_is_outside(&x, i, &l, leaf))
			add_range(&kept, pages[i].row, i + 1 < x.n ?
			    pages[i + 1].row : g->rows);
	intersect(call, &kept);
	return TN_OK;
}

enum tn_status
tn_parquet_prune(struct pq_call *call)
{
	const struct tn_parquet_read_opts *o = call->opts;
	uint64_t rows = call->r->groups[call->group].rows;
	uint64_t end = rows;
	enum tn_status st = TN_OK;

	if (o->batch_rows_max > 0 && o->row_first < rows &&
	    o->batch_rows_max < rows - o->row_first)
		end = o->row_first + o->batch_rows_max;
	call->ranges.p = tn_arena_alloc(call->scratch,
	    sizeof *call->ranges.p);
	add_range(&call->ranges, o->row_first, end);
	for (uint32_t i = 0; i < o->bound_count; i++) {
		tn_assert(o->bounds[i].column < call->r->schema.count);
		if (group_is_outside(call, &o->bounds[i]))
			call->ranges.n = 0;
	}
	for (uint32_t i = 0; st == TN_OK && i < o->bound_count &&
	    call->ranges.n > 0; i++)
		st = prune_pages(call, &o->bounds[i]);
	for (size_t i = 0; i < call->ranges.n; i++)
		call->rows += call->ranges.p[i].count;
	return st;
}

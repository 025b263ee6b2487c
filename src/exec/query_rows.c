/* Rows that a query holds: a heap of batches in order of arrival, and their
 * order by ORDER BY.
 *
 * Small batches (selective WHERE) are joined when enough of them have come,
 * so that a row is copied twice at most. Sorting compares 64 bits of the first
 * key first and the values only on a tie; equal rows keep their order of
 * arrival. */
#include "exec/fold_int.h"

#include <stdlib.h>

#define SMALL_ROWS 4096u
#define SMALL_MAX 64u

static void
heap_push(struct tn_heap *h, struct tn_batch *b)
{
	if (h->count == h->cap) {
		h->cap = h->cap < 16 ? 16 : h->cap * 2;
		h->batches = tn_realloc(h->batches,
		    h->cap * sizeof *h->batches);
	}
	h->batches[h->count++] = b;
	h->bytes += tn_record_batch_bytes(b);
	h->rows += b->rows;
}

/* The last ${n} batches become one. TN_ENOMEM: they stay as they are. */
static enum tn_status
heap_join(struct tn_heap *h, uint32_t n)
{
	struct tn_batch **from = h->batches + h->count - n;
	struct tn_batch *one;

	if (n < 2)
		return TN_OK;
	one = tn_record_batch_concat(from, n);
	if (one == NULL)
		return TN_ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		h->bytes -= tn_record_batch_bytes(from[i]);
		h->rows -= from[i]->rows;
		tn_record_batch_unref(from[i]);
	}
	h->count -= n;
	heap_push(h, one);
	return TN_OK;
}

enum tn_status
tn_exec_heap_add(struct tn_heap *h, struct tn_batch *b)
{
	tn_assert(h->rows + b->rows < TN_BATCH_ROWS_MAX);
	heap_push(h, b);
	if (b->rows >= SMALL_ROWS) {
		h->small = 0;
		h->small_rows = 0;
		return TN_OK;
	}
	h->small++;
	h->small_rows += b->rows;
	if (h->small < SMALL_MAX && h->small_rows < SMALL_ROWS * 4)
		return TN_OK;
	if (heap_join(h, h->small) != TN_OK)
		return TN_ENOMEM;
	h->small = 0;
	h->small_rows = 0;
	return TN_OK;
}

enum tn_status
tn_exec_heap_take(struct tn_heap *h, struct tn_batch **all)
{
	*all = NULL;
	if (h->count == 0)
		return TN_OK;
	if (heap_join(h, h->count) != TN_OK)
		return TN_ENOMEM;
	*all = h->batches[0];
	tn_free(h->batches);
	memset(h, 0, sizeof *h);
	return TN_OK;
}

void
tn_exec_heap_fini(struct tn_heap *h)
{
	for (uint32_t i = 0; i < h->count; i++)
		tn_record_batch_unref(h->batches[i]);
	tn_free(h->batches);
	memset(h, 0, sizeof *h);
}

/* ---- order ----------------------------------------------------------- */

struct sort_row {
	uint64_t prefix;
	uint32_t row;
};
struct sorter {
	const struct tn_sql_select *s;
	const struct tn_batch *b;
};

static int
order_one(const struct tn_sql_order *o, const struct tn_column *c,
    uint32_t a, uint32_t b)
{
	bool null_a = !tn_column_valid(c, a);
	bool null_b = !tn_column_valid(c, b);
	int order;

	if (c->type.id == TN_T_NONE || (null_a && null_b))
		return 0;
	if (null_a != null_b)
		return null_a == o->nulls_first ? -1 : 1;
	order = tn_record_compare(c, a, c, b);
	return o->descending ? -order : order;
}

static int
order_rows(const void *pa, const void *pb, void *arg)
{
	const struct sort_row *a = pa;
	const struct sort_row *b = pb;
	const struct sorter *sort = arg;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	for (uint32_t i = 0; i < sort->s->order_count; i++) {
		const struct tn_sql_order *o = &sort->s->order[i];
		int order = order_one(o, &sort->b->columns[o->output], a->row,
		    b->row);

		if (order != 0)
			return order;
	}
	return (a->row > b->row) - (a->row < b->row);
}

/* Nulls get the prefix at their end of the order; a value that has the same
 * is told apart by the comparison. */
static uint64_t
row_prefix(const struct tn_sql_order *o, const struct tn_column *c,
    uint32_t row)
{
	struct tn_value v;
	uint64_t p;

	if (c->type.id == TN_T_NONE || !tn_column_valid(c, row))
		return o->nulls_first ? 0 : UINT64_MAX;
	tn_exec_value_canon(c, row, &v);
	p = tn_exec_value_prefix(tn_exec_form(c->type.id), &v);
	return o->descending ? ~p : p;
}

uint32_t *
tn_exec_order_rows(const struct tn_sql_select *s, const struct tn_batch *b)
{
	struct sort_row *sort = tn_try_alloc(b->rows * sizeof *sort);
	uint32_t *rows = tn_try_alloc(b->rows * 4ul);
	const struct tn_sql_order *first = &s->order[0];

	tn_assert(s->order_count > 0);
	if (sort == NULL || rows == NULL) {
		tn_free(sort);
		tn_free(rows);
		return NULL;
	}
	for (uint32_t i = 0; i < b->rows; i++) {
		sort[i].prefix = row_prefix(first,
		    &b->columns[first->output], i);
		sort[i].row = i;
	}
	qsort_r(sort, b->rows, sizeof *sort, order_rows,
	    &(struct sorter){ s, b });
	for (uint32_t i = 0; i < b->rows; i++)
		rows[i] = sort[i].row;
	tn_free(sort);
	return rows;
}

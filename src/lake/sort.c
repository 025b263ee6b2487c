/* Rows in the order of some columns: nulls last, equal rows as they came. A
 * merge sort over row numbers that leaves runs alone which are in order
 * already, because rows mostly come in order or as a few sorted runs. */
#include "lake/lake_int.h"

#include <string.h>

int
tn_lake_order(const uint32_t *sort, uint32_t sort_count,
    const struct tn_batch *a, uint32_t i, const struct tn_batch *b,
    uint32_t k)
{
	int c = 0;

	for (uint32_t s = 0; c == 0 && s < sort_count; s++)
		c = tn_record_compare(&a->columns[sort[s]], i,
		    &b->columns[sort[s]], k);
	return c;
}

#define LOOK_ROWS 4096u              /* Merged between two looks at left. */

static bool
is_left(const struct tn_lake_sorting *s)
{
	return s->left != NULL && *s->left;
}

static bool
in_order(const struct tn_lake_sorting *s, uint32_t i, uint32_t k)
{
	return tn_lake_order(s->sort, s->sort_count, s->b, i, s->b, k) <= 0;
}

/* tmp has room for n / 2. */
static void
sort_rows(const struct tn_lake_sorting *s, uint32_t *rows, uint32_t *tmp,
    uint32_t n)
{
	uint32_t half = n / 2, i = 0, j = half, k = 0;

	if (n < 2 || (n >= LOOK_ROWS && is_left(s)))
		return;
	sort_rows(s, rows, tmp, half);
	sort_rows(s, rows + half, tmp, n - half);
	if (in_order(s, rows[half - 1], rows[half]))
		return;
	memcpy(tmp, rows, half * sizeof *rows);
	while (i < half && j < n) {
		if (k % LOOK_ROWS == LOOK_ROWS - 1 && is_left(s))
			return;
		rows[k++] = in_order(s, tmp[i], rows[j]) ? tmp[i++] :
		    rows[j++];
	}
	while (i < half)
		rows[k++] = tmp[i++];
}

void
tn_lake_sort(const struct tn_lake_sorting *s, uint32_t *rows, uint32_t count)
{
	sort_rows(s, rows, rows + count, count);
}

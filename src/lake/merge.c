/* Files read as one, in pieces, so that a merge needs the memory of a few
 * pages of each file however large they are.
 *
 *   without columns to sort by: one file after the other, texts as the
 *     dictionaries that they are in: rows of bronze may share a long one
 *   with them: every file is sorted by them; each turn takes
 *     - of every file the piece it stands in (a new one when that is used up)
 *     - the bound: the least of the pieces' last rows, of files that go on;
 *       no row that is still to come is before it
 *     - all rows up to the bound, sorted (runs are merged, equal rows stay in
 *       the order of their files)
 *
 * Each turn uses up at least one piece. Where files follow one another in time,
 * as those of cuts do, a turn is rows of one file, without a sort.
 *
 * What can go wrong: a file is damaged or not sorted as it should be
 * (TN_ECORRUPT, with its path), memory. */
#include "lake/lake_int.h"

#include <string.h>

struct input {
	struct tn_lake_cursor *cursor;
	struct tn_batch *b;      /* Borrowed from the cursor; NULL: at its end. */
	uint32_t row;            /* The first that is not given out. */
	uint32_t take;           /* Of this turn, from row on. */
};

struct tn_lake_merge {
	struct tn_lake *lake;
	struct tn_lake_merge_opts o;
	struct input *inputs;
	uint32_t next;           /* Without a sort: the file after this one. */
	struct tn_batch *given;  /* Of the last turn; owned. */
};

/* Order of two rows by the columns of the merge. */
static int
order_rows(const struct tn_lake_merge *m, const struct tn_batch *a,
    uint32_t i, const struct tn_batch *b, uint32_t k)
{
	return tn_lake_order(m->o.sort, m->o.sort_count, a, i, b, k);
}

static enum tn_status
look_left(const struct tn_lake_merge *m)
{
	return m->o.left != NULL && *m->o.left ? TN_ECLOSED : TN_OK;
}

static enum tn_status
open_input(struct tn_lake_merge *m, uint32_t i, struct tn_diag *d)
{
	struct tn_lake_read r = { .path = m->o.paths[i],
	    .schema = m->o.schema,
	    .keep_dictionary = m->o.sort_count == 0, .left = m->o.left };

	if (look_left(m) != TN_OK)
		return TN_ECLOSED;
	return tn_lake_cursor_open(m->lake, &r, &m->o.piece,
	    &m->inputs[i].cursor, d);
}

static void
close_input(struct input *x)
{
	tn_lake_cursor_close(x->cursor);
	x->cursor = NULL;
	x->b = NULL;
}

enum tn_status
tn_lake_merge_open(struct tn_lake *lake, const struct tn_lake_merge_opts *o,
    struct tn_lake_merge **out, struct tn_diag *d)
{
	struct tn_lake_merge *m = tn_zalloc(sizeof *m);
	enum tn_status st = TN_OK;

	tn_assert(o->count >= 1 && o->piece.rows >= 1);
	m->lake = lake;
	m->o = *o;
	m->inputs = tn_zalloc(o->count * sizeof *m->inputs);
	for (uint32_t i = 0; st == TN_OK && i < o->count &&
	    o->sort_count > 0; i++)
		st = open_input(m, i, d);
	if (st != TN_OK) {
		tn_lake_merge_close(m);
		m = NULL;
	}
	*out = m;
	return st;
}

void
tn_lake_merge_close(struct tn_lake_merge *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->o.count; i++)
		close_input(&m->inputs[i]);
	tn_record_batch_unref(m->given);
	tn_free(m->inputs);
	tn_free(m);
}

/* ---- one after the other ---------------------------------------------- */

static enum tn_status
next_in_line(struct tn_lake_merge *m, const struct tn_batch **out,
    struct tn_diag *d)
{
	while (m->next < m->o.count) {
		struct input *x = &m->inputs[m->next];
		enum tn_status st = x->cursor == NULL ?
		    open_input(m, m->next, d) : TN_OK;
		if (st == TN_OK)
			st = tn_lake_cursor_next(x->cursor, &x->b, d);
		if (st != TN_END) {
			*out = x->b;
			return st;
		}
		close_input(x);
		m->next++;
	}
	return TN_END;
}

/* ---- by order --------------------------------------------------------- */

static enum tn_status
check_order(const struct tn_lake_merge *m, uint32_t input,
    const struct tn_batch *before, struct tn_diag *d)
{
	const struct tn_batch *b = m->inputs[input].b;
	bool good = before == NULL || order_rows(m, before, before->rows - 1,
	    b, 0) <= 0;

	for (uint32_t i = 1; good && i < b->rows; i++)
		good = order_rows(m, b, i - 1, b, i) <= 0;
	if (good)
		return TN_OK;
	return tn_diag_set(d, TN_ECORRUPT, "not_sorted", "%s is not sorted "
	    "as its table says", m->o.paths[input]);
}

/* Every input that is not at its end stands on a row. */
static enum tn_status
fill(struct tn_lake_merge *m, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < m->o.count; i++) {
		struct input *x = &m->inputs[i];
		uint32_t last[1];
		struct tn_batch *before = NULL;
		if (x->cursor == NULL || (x->b != NULL && x->row < x->b->rows))
			continue;
		if (x->b != NULL) {
			/* The cursor drops the piece; its last row stays. */
			last[0] = x->b->rows - 1;
			before = tn_record_batch_take(x->b, last, 1);
			if (before == NULL)
				return TN_ENOMEM;
		}
		x->row = 0;
		st = tn_lake_cursor_next(x->cursor, &x->b, d);
		if (st == TN_OK)
			st = check_order(m, i, before, d);
		tn_record_batch_unref(before);
		if (st == TN_END) {
			close_input(x);
			st = TN_OK;
		}
	}
	return st;
}

/* The input whose piece ends first, or -1 when all are at their ends. Of
 * equal last rows the first file's. */
static int
find_bound(const struct tn_lake_merge *m)
{
	int best = -1;

	for (uint32_t i = 0; i < m->o.count; i++) {
		const struct tn_batch *b = m->inputs[i].b;
		const struct tn_batch *low = best < 0 ? NULL :
		    m->inputs[best].b;
		if (b != NULL && (low == NULL || order_rows(m, b,
		    b->rows - 1, low, low->rows - 1) < 0))
			best = (int)i;
	}
	return best;
}

/* Rows of input ${i} up to the bound; those equal to it only of files before
 * the bound's, whose equal rows are to come first. */
static uint32_t
rows_below(const struct tn_lake_merge *m, uint32_t i, uint32_t bound)
{
	const struct input *x = &m->inputs[i];
	const struct tn_batch *low = m->inputs[bound].b;
	uint32_t lo = x->row, hi = x->b->rows;

	if (i == bound)
		return hi - lo;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = order_rows(m, x->b, mid, low, low->rows - 1);
		if (c < 0 || (c == 0 && i < bound))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - x->row;
}

static struct tn_batch *
slice_of(const struct input *x)
{
	uint32_t *rows;
	struct tn_batch *b;

	if (x->take == x->b->rows)
		return tn_record_batch_ref(x->b);
	rows = tn_try_alloc((size_t)x->take * sizeof *rows);
	if (rows == NULL)
		return NULL;
	for (uint32_t i = 0; i < x->take; i++)
		rows[i] = x->row + i;
	b = tn_record_batch_take(x->b, rows, x->take);
	tn_free(rows);
	return b;
}

/* The rows of this turn, of several inputs, in their order. */
static struct tn_batch *
sort_turn(struct tn_lake_merge *m, uint32_t parts)
{
	struct tn_batch **in = tn_zalloc(parts * sizeof *in);
	struct tn_batch *all = NULL, *sorted = NULL;
	uint32_t n = 0, *rows = NULL;
	bool good = true;

	for (uint32_t i = 0; good && i < m->o.count; i++)
		if (m->inputs[i].b != NULL && m->inputs[i].take > 0) {
			in[n] = slice_of(&m->inputs[i]);
			good = in[n] != NULL;
			n += good;
		}
	if (good)
		all = tn_record_batch_concat(in, n);
	if (all != NULL)
		rows = tn_try_alloc((size_t)all->rows * 2 * sizeof *rows);
	if (rows != NULL) {
		for (uint32_t i = 0; i < all->rows; i++)
			rows[i] = i;
		tn_lake_sort(&(struct tn_lake_sorting){ m->o.sort,
		    m->o.sort_count, all, m->o.left }, rows, all->rows);
		if (look_left(m) == TN_OK)
			sorted = tn_record_batch_take(all, rows, all->rows);
	}
	for (uint32_t i = 0; i < n; i++)
		tn_record_batch_unref(in[i]);
	tn_record_batch_unref(all);
	tn_free(rows);
	tn_free(in);
	return sorted;
}

static enum tn_status
next_by_order(struct tn_lake_merge *m, const struct tn_batch **out,
    struct tn_diag *d)
{
	uint32_t parts = 0, last = 0;
	int bound;
	enum tn_status st;

	st = fill(m, d);
	bound = st == TN_OK ? find_bound(m) : -1;
	if (bound < 0)
		return st == TN_OK ? TN_END : st;
	for (uint32_t i = 0; i < m->o.count; i++) {
		struct input *x = &m->inputs[i];
		if (x->b == NULL)
			continue;
		x->take = rows_below(m, i, (uint32_t)bound);
		parts += x->take > 0;
		if (x->take > 0)
			last = i;
	}
	tn_assert(parts > 0);
	m->given = parts == 1 ? slice_of(&m->inputs[last]) :
	    sort_turn(m, parts);
	if (m->given == NULL)
		return look_left(m) == TN_OK ? TN_ENOMEM : TN_ECLOSED;
	for (uint32_t i = 0; i < m->o.count; i++) {
		m->inputs[i].row += m->inputs[i].take;
		m->inputs[i].take = 0;
	}
	*out = m->given;
	return TN_OK;
}

enum tn_status
tn_lake_merge_next(struct tn_lake_merge *m, const struct tn_batch **out,
    struct tn_diag *d)
{
	*out = NULL;
	tn_record_batch_unref(m->given);
	m->given = NULL;
	return m->o.sort_count == 0 ? next_in_line(m, out, d) :
	    next_by_order(m, out, d);
}

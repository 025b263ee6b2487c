/* What verify says of the time buckets of a view: a line for each, equal or
 * with the number of its rows that differ (each of those has a line of its own
 * before it, up to a bound of verify's).
 *
 *   equal      view days: 2026-03-01 00:00:00+00: 3 rows
 *   DIFFERENT  view days: 2026-03-02 00:00:00+00: 2 rows, 1 of them different
 *   equal      view days: 2026-03-03 .. 2026-05-01: 60 buckets, 180 rows
 *
 * The last is a run of equal ones, for who reads on a terminal. There is a bound
 * (lines_max) of what is said of all views: from half of it on runs are one line
 * each anyhow, beyond it the rest of each view is one number. */
#include "batch/batch_int.h"

#include <stdlib.h>

#define UNSORTED 1024            /* That wait for a sort, and half of the rest. */

struct bucket {
	int64_t us;
	const struct tn_batch *b;        /* A row of it; borrowed. */
	uint32_t row;
	uint32_t rows, differences;
};

static int64_t
time_of(const struct tn_column *c, uint32_t row)
{
	if (!tn_column_valid(c, row))
		return INT64_MIN;
	return c->type.id == TN_T_DATE ? ((const int32_t *)c->values)[row] *
	    INT64_C(86400000000) : ((const int64_t *)c->values)[row];
}

static int
by_time(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	return (x->us > y->us) - (x->us < y->us);
}

/* All in order, each time once. */
static void
settle(struct tn_batch_buckets *t)
{
	uint32_t n = 0;

	if (t->count == t->sorted)
		return;
	qsort(t->all, t->count, sizeof *t->all, by_time);
	for (uint32_t i = 1; i < t->count; i++) {
		if (t->all[i].us != t->all[n].us) {
			t->all[++n] = t->all[i];
			continue;
		}
		t->all[n].rows += t->all[i].rows;
		t->all[n].differences += t->all[i].differences;
	}
	t->count = t->sorted = n + 1;
}

static struct bucket *
find(const struct tn_batch_buckets *t, int64_t us)
{
	uint32_t lo = 0, hi = t->sorted;

	if (t->count > t->sorted && t->all[t->count - 1].us == us)
		return &t->all[t->count - 1];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->all[mid].us < us)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->sorted && t->all[lo].us == us ? &t->all[lo] : NULL;
}

/* New ones gather behind those in order, so that rows in any order cost no
 * more than a sort. */
void
tn_batch_bucket_add(struct tn_batch_buckets *t, const struct tn_batch *b,
    uint32_t row, bool same)
{
	int64_t us = time_of(&b->columns[t->column], row);
	struct bucket *x = find(t, us);

	if (x == NULL && t->count - t->sorted > t->sorted / 2 + UNSORTED) {
		settle(t);
		x = find(t, us);
	}
	if (x == NULL) {
		if (t->count == t->cap) {
			t->cap = t->cap == 0 ? 64 : t->cap * 2;
			t->all = tn_realloc(t->all, t->cap * sizeof *t->all);
		}
		x = &t->all[t->count++];
		*x = (struct bucket){ .us = us, .b = b, .row = row };
	}
	x->rows++;
	x->differences += !same;
}

static void
say_time(const struct tn_batch_buckets *t, const struct bucket *x,
    struct tn_buf *out)
{
	if (x->us == INT64_MIN)
		tn_buf_str(out, "null");
	else
		tn_record_print(out, &x->b->columns[t->column], x->row);
}

/* How many equal ones begin here. */
static uint32_t
run_of(const struct tn_batch_buckets *t, uint32_t at, uint64_t *rows)
{
	uint32_t n = 0;

	*rows = 0;
	for (; at + n < t->count && t->all[at + n].differences == 0; n++)
		*rows += t->all[at + n].rows;
	return n;
}

static void
say_rest(const struct tn_batch_buckets *t, uint32_t at, struct tn_buf *out)
{
	uint32_t different = 0;

	for (uint32_t i = at; i < t->count; i++)
		different += t->all[i].differences > 0;
	tn_buf_printf(out, "%s  view %s: %u more buckets, %u of them "
	    "different\n", different == 0 ? "equal    " : "DIFFERENT",
	    t->view, (unsigned)(t->count - at), (unsigned)different);
}

void
tn_batch_buckets_say(struct tn_batch_buckets *t, struct tn_buf *out,
    uint32_t *said)
{
	uint64_t rows;

	settle(t);
	for (uint32_t i = 0; i < t->count; ) {
		const struct bucket *x = &t->all[i];
		uint32_t n = run_of(t, i, &rows);
		if (*said >= t->lines_max) {
			say_rest(t, i, out);
			return;
		}
		n = n < 2 || (!t->folded && *said < t->lines_max / 2) ? 1 : n;
		tn_buf_printf(out, "%s  view %s: ", x->differences == 0 ?
		    "equal    " : "DIFFERENT", t->view);
		say_time(t, x, out);
		if (n > 1) {
			tn_buf_str(out, " .. ");
			say_time(t, &t->all[i + n - 1], out);
			tn_buf_printf(out, ": %u buckets, %llu rows\n",
			    (unsigned)n, (unsigned long long)rows);
		} else {
			tn_buf_printf(out, ": %u row%s", (unsigned)x->rows,
			    x->rows == 1 ? "" : "s");
			if (x->differences > 0)
				tn_buf_printf(out, ", %u of them different",
				    (unsigned)x->differences);
			tn_buf_char(out, '\n');
		}
		(*said)++;
		i += n;
	}
}

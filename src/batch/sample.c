/* A sample for verify: of installations with years of data a share of the days
 * is compared, and only the bronze files are read that can have their rows.
 *
 * Drawn are whole gold partitions (days of the view's time bucket, months where
 * buckets are longer) by a hash of their name and the seed: single hours would
 * be spread over all files. Candidates are the partitions that gold has, and
 * those of the days that silver has.
 *
 * A bronze file can have a row of event time t when it was received between t
 * less max_future_skew and t and LATE_US; and later, when silver has a row of
 * that time from its LSNs. So what a sample does not see is a row that came
 * more than LATE_US late and is missing in silver, too; a verify without a
 * sample does. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define LATE_US DAY_US

/* ---- partitions ------------------------------------------------------ */

/* Of a month ("2026-03") or a day ("2026-03-01"). */
bool
tn_batch_label_days(const char *label, bool by_month, int64_t *from, int64_t *to)
{
	int y, m = 0, d = 1;
	struct tn_arena *a = tn_arena_new(256);
	const struct tn_column *c;
	char text[2][24];
	bool good = sscanf(label, by_month ? "%d-%d" : "%d-%d-%d", &y, &m,
	    &d) >= (by_month ? 2 : 3) && m >= 1 && m <= 12;

	snprintf(text[0], sizeof text[0], "%04d-%02d-%02d", y % 1000000,
	    m % 100, d % 100);
	snprintf(text[1], sizeof text[1], "%04d-%02d-01", (m == 12 ? y + 1 :
	    y) % 1000000, m % 12 + 1);
	c = good ? tn_exec_parse(a, (struct tn_type){ .id = TN_T_DATE },
	    tn_slice_of(text[0])) : NULL;
	if (c != NULL)
		*from = ((const int32_t *)c->values)[0];
	if (c != NULL && by_month)
		c = tn_exec_parse(a, (struct tn_type){ .id = TN_T_DATE },
		    tn_slice_of(text[1]));
	if (c != NULL)
		*to = by_month ? ((const int32_t *)c->values)[0] : *from + 1;
	tn_arena_free(a);
	return c != NULL;
}

static void
add_label(const struct tn_batch_check *x, const struct tn_serving_view *w,
    const char *label, struct tn_batch_picks *out)
{
	const struct tn_governance_stream *s = &x->b->o.model->streams[
	    w->stream];
	struct tn_batch_pick p;
	int64_t from, to;

	if (!tn_batch_sampled(x, label) ||
	    !tn_batch_label_days(label, w->by_month, &from, &to))
		return;
	p.min_us = from * DAY_US;
	p.max_us = to * DAY_US - 1;
	if (!tn_serving_rows_of(s, w->def->select, &p.min_us, &p.max_us))
		return;
	for (uint32_t i = 0; i < out->count; i++)
		if (out->all[i].min_us == p.min_us)
			return;          /* Of gold and silver. */
	out->all = tn_realloc(out->all, (out->count + 1ul) *
	    sizeof *out->all);
	out->all[out->count++] = p;
}

static int
order_picks(const void *pa, const void *pb)
{
	const struct tn_batch_pick *a = pa, *b = pb;

	return a->min_us < b->min_us ? -1 : a->min_us > b->min_us;
}

void
tn_batch_pick_days(const struct tn_batch_check *x,
    const struct tn_serving_view *w, struct tn_batch_picks *out)
{
	const struct tn_governance_stream *s = &x->b->o.model->streams[
	    w->stream];
	int64_t min = 0, max = 0;
	uint32_t first, n;

	memset(out, 0, sizeof *out);
	out->sampled = tn_serving_rows_of(s, w->def->select, &min, &max);
	if (!out->sampled)
		return;
	n = tn_catalog_snapshot_find(x->base, TN_TIER_GOLD, w->id, &first);
	for (uint32_t i = first; i < first + n; i++)
		add_label(x, w, x->base->files[i].partition, out);
	n = tn_catalog_snapshot_find(x->base, TN_TIER_SILVER, s->id, &first);
	for (uint32_t i = first; i < first + n; i++) {
		char label[24];
		snprintf(label, sizeof label, "%s",
		    x->base->files[i].partition);
		if (w->by_month && strrchr(label, '-') != NULL)
			*strrchr(label, '-') = '\0';
		add_label(x, w, label, out);
	}
	if (out->count > 0)
		qsort(out->all, out->count, sizeof *out->all, order_picks);
}

/* They are all equally long but for months, and reach into one another by the
 * length of a bucket at most: those that begin at or before it are looked at
 * from the last one back. */
bool
tn_batch_picked(const struct tn_batch_picks *p, int64_t us)
{
	uint32_t lo = 0, hi = p->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (p->all[mid].min_us <= us)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo > 0 && us > p->all[lo - 1].max_us &&
	    us - p->all[lo - 1].min_us < 800 * DAY_US)
		lo--;
	return lo > 0 && us <= p->all[lo - 1].max_us;
}

struct picking {
	const struct tn_batch_check *x;
	struct tn_exec_fold *to;
};

static void
pick_part(void *arg, const char *label, struct tn_exec_fold *part)
{
	struct picking *p = arg;

	if (tn_batch_sampled(p->x, label))
		tn_exec_fold_merge(p->to, part);
	tn_exec_fold_free(part);
}

void
tn_batch_pick_groups(const struct tn_batch_check *x,
    const struct tn_serving_view *w, struct tn_exec_fold **f)
{
	struct picking p = { x, tn_exec_fold_new(w->program) };

	tn_exec_fold_split(*f, w->by_month, pick_part, &p);
	tn_exec_fold_free(*f);
	*f = p.to;
}

/* ---- bronze files ---------------------------------------------------- */

struct looking {
	const struct tn_batch_check *x;
	const struct tn_governance_stream *s;
	const struct tn_batch_picks *p;
	uint32_t first, count;           /* Bronze files in the snapshot. */
	uint8_t *files;
};

/* Files that have one LSN: of rows that came late. */
static void
mark_lsn(struct looking *l, uint64_t lsn)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct tn_catalog_file *f = &l->x->base->files[
		    l->first + i];
		if (f->lsn_min <= lsn && lsn <= f->lsn_max)
			l->files[i] = 1;
	}
}

static enum tn_status
look_at_silver(void *arg, struct tn_batch *b)
{
	struct looking *l = arg;
	uint32_t columns = l->s->silver->count;
	const struct tn_column *t = &b->columns[tn_batch_time_column(l->s)];
	const int64_t *lsns = b->columns[columns - 3].values;
	int64_t last = -1;

	for (uint32_t i = 0; i < b->rows; i++) {
		int64_t us = t->type.id == TN_T_DATE ?
		    ((const int32_t *)t->values)[i] * DAY_US :
		    ((const int64_t *)t->values)[i];
		if (lsns[i] == last || !tn_batch_picked(l->p, us))
			continue;
		mark_lsn(l, (uint64_t)lsns[i]);
		last = lsns[i];
	}
	return TN_OK;
}

static bool
may_have(const struct tn_batch_picks *p, int64_t min, int64_t max)
{
	bool any = false;

	for (uint32_t i = 0; !any && i < p->count; i++)
		any = p->all[i].min_us <= max && p->all[i].max_us >= min;
	return any;
}

static enum tn_status
read_silver(struct looking *l, struct tn_diag *d)
{
	const struct tn_catalog_file *f = l->x->base->files;
	uint32_t columns = l->s->silver->count;
	uint8_t *used = tn_zalloc(columns);
	uint32_t first, n = tn_catalog_snapshot_find(l->x->base,
	    TN_TIER_SILVER, l->s->id, &first);
	enum tn_status st = TN_OK;

	used[columns - 3] = 1;
	used[tn_batch_time_column(l->s)] = 1;
	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_lake_read r = { .path = f[i].path,
		    .schema = l->s->silver, .used = used,
		    .each = look_at_silver, .arg = l };
		if (!may_have(l->p, f[i].time_min, f[i].time_max))
			continue;
		st = tn_batch_stopping(l->x->b, d);
		if (st == TN_OK)
			st = tn_lake_read(l->x->b->o.lake, &r, d);
	}
	tn_free(used);
	return st;
}

enum tn_status
tn_batch_pick_bronze(const struct tn_batch_check *x,
    const struct tn_governance_stream *s, const struct tn_batch_picks *p,
    uint8_t *files, struct tn_diag *d)
{
	struct looking l = { .x = x, .s = s, .p = p, .files = files };
	int64_t skew = s->table->max_future_skew_us;

	l.count = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE, s->id,
	    &l.first);
	if (p->count == 0)
		return TN_OK;
	for (uint32_t i = 0; i < l.count; i++) {
		const struct tn_catalog_file *f = &x->base->files[l.first +
		    i];
		/* Without a limit any file may have rows sent ahead. */
		if (may_have(p, f->time_min - LATE_US, skew == 0 ?
		    INT64_MAX : f->time_max + skew))
			files[i] = 1;
	}
	return read_silver(&l, d);
}

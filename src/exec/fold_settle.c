/* Answers of holistic states that outgrew state_max: found by folding the same
 * rows once more, for just those states, in bounded memory.
 *
 *   cells = (group, aggregate) whose answer is not known
 *   pass: an exact fold of the next so many cells <- all their rows
 *         fits   their answers are taken over; the next cells
 *         full   half as many cells; a lone one in twice as many parts
 *
 * A part is the values whose hash leaves a certain remainder, so the counts of
 * its parts add up to that of a set. The rows between two values in order can
 * not be found so: a percentile has one part, and is refused when it does not
 * fit. Cells are taken in the order in which their groups were met, which is
 * roughly that of time, so a pass asks for a short range of it. */
#include "exec/fold_int.h"

#define PARTS_MAX 64u
#define US_PER_DAY INT64_C(86400000000)

struct cell {
	uint32_t group;
	uint32_t agg;
};

/* Which cells the pass at hand asks for. */
struct pass {
	uint32_t at;
	uint32_t count;
	uint32_t part;
	uint32_t parts;
};

static bool
is_unknown(const struct tn_exec_fold *f, uint32_t group, uint32_t agg)
{
	const struct tn_agg *a = &f->program->aggs[agg];

	return a->class->holistic &&
	    tn_exec_set_unknown(tn_fold_state(f, group) + a->at);
}

uint32_t
tn_exec_fold_unknown(const struct tn_exec_fold *f)
{
	uint32_t n = 0;

	for (uint32_t g = 0; f->program->holistic && g < f->keys.count; g++) {
		uint32_t k = 0;

		while (k < f->program->s->agg_count && !is_unknown(f, g, k))
			k++;
		n += k < f->program->s->agg_count;
	}
	return n;
}

bool
tn_exec_fold_full(const struct tn_exec_fold *f)
{
	return f->exact != NULL && f->exact->full;
}

bool
tn_exec_fold_times(const struct tn_exec_fold *f, int64_t *min_us,
    int64_t *max_us)
{
	const struct tn_key_plan *p = f->keys.plan;
	int at = f->program->s->bucket_group;
	enum tn_type_id type;

	if (at < 0 || f->keys.count == 0)
		return false;
	type = (enum tn_type_id)f->program->s->groups[at]->type.id;
	if (type != TN_T_DATE && type != TN_T_TIMESTAMP &&
	    type != TN_T_TIMESTAMPTZ)
		return false;
	for (uint32_t g = 0; g < f->keys.count; g++) {
		const uint64_t *words = f->keys.words + (size_t)g * p->words;
		struct tn_value v;
		int64_t us;

		if (tn_key_null(words, (uint32_t)at))
			return false;
		tn_exec_key_value(p, words, (uint32_t)at, &v);
		us = (int64_t)v.w[0];
		if (type == TN_T_DATE)
			us *= US_PER_DAY;
		*min_us = g == 0 || us < *min_us ? us : *min_us;
		*max_us = g == 0 || us > *max_us ? us : *max_us;
	}
	return true;
}

/* ---- passes ---------------------------------------------------------- */

static struct cell *
find_cells(const struct tn_exec_fold *f, uint32_t *count)
{
	uint32_t aggs = f->program->s->agg_count;
	struct cell *cells = NULL;
	uint32_t n = 0;
	uint32_t cap = 0;

	for (uint32_t g = 0; f->program->holistic && g < f->keys.count; g++)
		for (uint32_t k = 0; k < aggs; k++) {
			if (!is_unknown(f, g, k))
				continue;
			if (n == cap) {
				cap = cap == 0 ? 16 : cap * 2;
				cells = tn_realloc(cells,
				    cap * sizeof *cells);
			}
			cells[n++] = (struct cell){ g, k };
		}
	*count = n;
	return cells;
}

static struct tn_exec_fold *
exact_new(const struct tn_exec_fold *f, const struct cell *cells,
    const struct pass *p, size_t memory_max)
{
	struct tn_exec_fold *e = tn_exec_fold_new(f->program);
	size_t step = f->keys.plan->words;
	bool fresh;

	e->left = f->left;
	e->exact = tn_zalloc(sizeof *e->exact);
	*e->exact = (struct tn_exact){ .bytes_max = memory_max,
	    .part = p->part, .parts = p->parts,
	    .aggs = tn_zalloc(f->program->s->agg_count) };
	for (uint32_t i = p->at; i < p->at + p->count; i++) {
		const struct tn_agg *a = &f->program->aggs[cells[i].agg];
		uint32_t g = tn_exec_fold_group(e, f->keys.words +
		    cells[i].group * step, f->keys.hashes[cells[i].group],
		    &fresh);

		tn_exec_set_want(tn_fold_state(e, g) + a->at);
		e->exact->aggs[cells[i].agg] = 1;
	}
	return e;
}

/* The answers of a pass that saw all rows. */
static enum tn_status
take_answers(struct tn_exec_fold *f, const struct cell *cells,
    const struct pass *p, const struct tn_exec_fold *e, struct tn_diag *d)
{
	size_t step = f->keys.plan->words;

	for (uint32_t i = p->at; i < p->at + p->count; i++) {
		const struct tn_agg *a = &f->program->aggs[cells[i].agg];
		uint32_t group = cells[i].group;
		uint32_t g = tn_exec_keys_find(&e->keys, f->keys.words +
		    group * step, f->keys.hashes[group]);

		tn_assert(g != UINT32_MAX);
		if (tn_exec_set_settle(a, tn_fold_state(f, group) + a->at,
		    tn_fold_state(e, g) + a->at, e->exact))
			continue;
		tn_diag_hint(d, "tarn verify says what else differs");
		return tn_diag_set(d, TN_ECORRUPT, "rows_missing",
		    "a group has states, but its rows were not found again");
	}
	return TN_OK;
}

static enum tn_status
refuse(const struct tn_agg *a, size_t memory_max, struct tn_diag *d)
{
	bool percentile = a->class == &tn_exec_agg_percentile;

	if (percentile)
		tn_diag_hint(d, "raise query_memory, or group by more so "
		    "that a group has fewer values");
	else
		tn_diag_hint(d, "raise query_memory, or use "
		    "approx_count_distinct");
	return tn_diag_set(d, TN_ELIMIT, "group_too_large",
	    "%s of one group has more values than fit into %zu MiB",
	    percentile ? "percentile_cont" : "count(DISTINCT)",
	    memory_max >> 20);
}

/* The pass did not fit: ask for less. */
static enum tn_status
narrow(struct pass *p, const struct tn_agg *first, size_t memory_max,
    struct tn_diag *d)
{
	if (p->count > 1) {
		p->count = (p->count + 1) / 2;
		return TN_OK;
	}
	if (first->class != &tn_exec_agg_distinct || p->parts >= PARTS_MAX)
		return refuse(first, memory_max, d);
	p->parts *= 2;
	p->part = 0;
	return TN_OK;
}

/* What comes after a pass that fitted. */
static void
advance(struct pass *p, uint32_t cells, bool with_ease)
{
	if (++p->part < p->parts)
		return;
	p->at += p->count;
	if (with_ease && p->parts == 1)
		p->count *= 2;
	if (p->count > cells - p->at)
		p->count = cells - p->at;
	p->part = 0;
	p->parts = 1;
}

enum tn_status
tn_exec_fold_settle(struct tn_exec_fold *f,
    const struct tn_exec_settle_opts *o, struct tn_diag *d)
{
	size_t memory_max = o->memory_max > 0 ? o->memory_max : 256u << 20;
	uint32_t n;
	struct cell *cells = find_cells(f, &n);
	struct pass p = { .count = n, .parts = 1 };
	enum tn_status st = TN_OK;

	while (st == TN_OK && p.at < n) {
		struct tn_exec_fold *e = exact_new(f, cells, &p, memory_max);
		bool with_ease;

		st = o->pass(o->arg, e, d);
		with_ease = e->aside < memory_max / 2;
		if (e->exact->full)
			st = narrow(&p, &f->program->aggs[cells[p.at].agg],
			    memory_max, d);
		else if (st == TN_OK)
			st = take_answers(f, cells, &p, e, d);
		if (st == TN_OK && !e->exact->full)
			advance(&p, n, with_ease);
		tn_exec_fold_free(e);
	}
	tn_free(cells);
	tn_assert(st != TN_OK || tn_exec_fold_unknown(f) == 0);
	return st;
}

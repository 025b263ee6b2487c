/* Before a new definition is swapped in: its states, folded from silver, are
 * compared with a fold of bronze's raw bytes up to the same LSN. As verify does,
 * but beside the other jobs and for a view that nobody sees yet.
 *
 * What can go wrong: bronze is damaged (the status says so), or there is a
 * difference (TN_ECONFLICT). Not compared, and said so (TN_ELIMIT): when
 * retention has removed rows, or a group is too large for query_memory. */
#include "batch/batch_int.h"

#include <string.h>

struct derive {
	struct tn_batch_jobs *b;
	struct tn_batch_states *s;
	struct tn_exec_fold *fold;       /* Where rows go. */
	struct tn_governance_reader *reader;
	struct tn_arena *arena;
	struct tn_budget_share held;
	struct tn_diag *d;
};

static enum tn_status
fold_block(struct derive *x, const struct tn_log_block *block)
{
	struct tn_governance_rows *g = NULL;
	enum tn_status st = tn_governance_reader_block(x->reader, block, &g);

	if (st == TN_OK) {
		struct tn_exec_rows rows = { .batch = g->batch,
		    .skip = g->marks, .lsn = g->lsn, .offset = g->offset,
		    .received_us = g->received_us };
		tn_exec_fold_apply(x->fold, &rows, &x->s->refs, NULL);
		x->s->rows += g->batch->rows;
	}
	tn_governance_rows_unref(g);
	return st;
}

static enum tn_status
fold_bronze(void *arg, struct tn_batch *b)
{
	struct derive *x = arg;
	uint32_t at = 0;
	enum tn_status st = tn_budget_try(&x->held,
	    tn_exec_fold_bytes(x->fold) + 2 * tn_record_batch_bytes(b)) ?
	    TN_OK : tn_budget_refuse(x->d);

	while (st == TN_OK && at < b->rows) {
		struct tn_log_block block;
		st = tn_governance_block_of(b, at, x->b->o.model->streams[
		    x->s->view->stream].id, x->arena, &block, &at);
		if (st == TN_OK)
			st = fold_block(x, &block);
		tn_arena_reset(x->arena);
	}
	return st;
}

static enum tn_status
read_bronze(struct derive *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->s->base,
	    TN_TIER_BRONZE, x->b->o.model->streams[x->s->view->stream].id,
	    &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_lake_read r = { .path = x->s->base->files[i].path,
		    .schema = &tn_governance_bronze,
		    .keep_dictionary = true, .each = fold_bronze,
		    .arg = x };
		if (x->s->go_on != NULL)
			st = x->s->go_on(x->s->arg, x->d);
		if (st == TN_OK)
			st = tn_lake_read(x->b->o.lake, &r, x->d);
	}
	return st;
}

/* Bronze once more, for exact answers of large groups. */
static enum tn_status
read_again(void *arg, struct tn_exec_fold *exact, struct tn_diag *d)
{
	struct derive *x = arg;
	struct tn_exec_fold *was = x->fold;
	enum tn_status st;

	x->fold = exact;
	st = read_bronze(x);
	x->fold = was;
	if (st != TN_OK && d != x->d)
		*d = *x->d;
	return st;
}

static bool
same_row(const struct tn_batch *a, const struct tn_batch *b, uint32_t row)
{
	bool same = row < a->rows && row < b->rows;

	for (uint32_t c = 0; same && c < a->schema->count; c++)
		same = tn_batch_same_value(&a->columns[c], row,
		    &b->columns[c], row);
	return same;
}

/* Both are in order of their groups. */
static enum tn_status
compare(struct derive *x, const struct tn_exec_fold *silver)
{
	struct tn_batch *a = tn_exec_fold_finish(silver, NULL);
	struct tn_batch *b = tn_exec_fold_finish(x->fold, NULL);
	enum tn_status st = a == NULL || b == NULL ? TN_ENOMEM : TN_OK;

	for (uint32_t i = 0; st == TN_OK && (i < a->rows || i < b->rows); i++)
		if (!same_row(a, b, i))
			st = tn_diag_set(x->d, TN_ECONFLICT, "different",
			    "view %s: what silver gives differs from what the "
			    "raw bytes in bronze give, first in row %u: "
			    "tarn verify says more", x->s->view->def->name,
			    (unsigned)i + 1);
	if (st == TN_OK)
		x->s->groups = a->rows;
	tn_record_batch_unref(a);
	tn_record_batch_unref(b);
	return st;
}

static enum tn_status
settle_both(struct derive *x, struct tn_exec_fold *silver)
{
	struct tn_serving_settle s = { .view = x->s->view,
	    .base = x->s->base, .refs = x->s->refs,
	    .memory = TN_BUDGET_QUERIES, .go_on = x->s->go_on,
	    .arg = x->s->arg };
	struct tn_exec_settle_opts o = { .pass = read_again, .arg = x,
	    .memory_max = tn_serving_query_bytes(x->b->o.serving) };
	enum tn_status st = tn_exec_fold_settle(x->fold, &o, x->d);

	return st == TN_OK ? tn_serving_settle(x->b->o.serving, &s, silver,
	    x->d) : st;
}

enum tn_status
tn_batch_check_states(struct tn_batch_jobs *b, struct tn_batch_states *s,
    struct tn_diag *d)
{
	struct derive x = { .b = b, .s = s, .d = d,
	    .held.class = TN_BUDGET_QUERIES };
	const struct tn_serving_model *m = b->o.model;
	struct tn_exec_fold *silver;
	enum tn_status st;

	s->rows = s->groups = 0;
	if (tn_serving_floor(b->o.serving, s->view->stream) != INT64_MIN)
		return tn_diag_set(d, TN_ELIMIT, "retired", "retention has "
		    "removed rows of %s", m->streams[s->view->stream].
		    table->name);
	x.reader = tn_governance_reader_new(m->streams, m->stream_count);
	x.arena = tn_arena_new(1 << 16);
	x.fold = tn_exec_fold_new(s->view->program);
	silver = tn_exec_fold_clone(s->states, NULL, 0);
	st = read_bronze(&x);
	if (st == TN_OK)
		st = settle_both(&x, silver);
	if (st == TN_OK)
		st = compare(&x, silver);
	tn_exec_fold_free(silver);
	tn_exec_fold_free(x.fold);
	tn_budget_set(&x.held, 0);
	tn_arena_free(x.arena);
	tn_governance_reader_free(x.reader);
	return st;
}

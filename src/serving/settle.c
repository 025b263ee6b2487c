/* Answers that states do not hold any more: a distinct set or percentile that
 * outgrew holistic_state_bytes is found again from the rows themselves.
 *
 *   merged fold -> groups whose answer is not known
 *     silver files that may hold rows of their buckets -> exact fold
 *     the log after them                                -> exact fold
 *   -> answers into the merged fold
 *
 * Several passes are made when not all fits into query_memory (exec decides).
 * Files are left out by time only where the bucket is made of the event time
 * in a way we know; the reach around a bucket is generous.
 *
 * What can go wrong: one group is too large for query_memory (TN_ELIMIT, with
 * what to do); a cut trimmed the log meanwhile (TN_ENOTFOUND: ask again). Then
 * there is no answer, never a wrong one. */
#include "serving/serving_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define TRIES_MAX 5
#define DAY_US INT64_C(86400000000)
#define REACH_US (3 * DAY_US)    /* Dates of all zones, casts. */
#define ZONE_US (8 * DAY_US)     /* A zone may be written as +167:59. */

/* ---- the log's tail -------------------------------------------------- */

static enum tn_status
tail_block(struct tn_serving *s, const struct tail_scan *t, uint64_t lsn,
    struct tn_governance_reader *reader, struct tn_arena *a)
{
	struct tn_log_block block;
	struct tn_governance_rows *g = NULL;
	enum tn_status st = tn_log_read(s->o.log, lsn, a, &block, t->d);

	if (st != TN_OK || block.stream != t->stream)
		return st;
	st = tn_governance_reader_block(reader, &block, &g);
	if (st == TN_OK) {
		struct tn_exec_rows rows = { .batch = g->batch,
		    .skip = g->marks, .lsn = g->lsn, .offset = g->offset,
		    .received_us = g->received_us };
		st = t->each(t->arg, &rows);
	}
	tn_governance_rows_unref(g);
	return st;
}

enum tn_status
tn_serving_tail(struct tn_serving *s, const struct tail_scan *t)
{
	struct tn_governance_reader *reader = tn_governance_reader_new(
	    s->o.model->streams, s->o.model->stream_count);
	struct tn_arena *a = tn_arena_new(1 << 20);
	enum tn_status st = TN_OK;

	for (uint64_t lsn = t->after + 1; st == TN_OK && lsn <= t->last;
	    lsn++) {
		st = tn_serving_awaited(t->left);
		if (st == TN_OK)
			st = tail_block(s, t, lsn, reader, a);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	tn_governance_reader_free(reader);
	return st;
}

/* ---- which files ----------------------------------------------------- */

static int64_t
unit_reach(const struct tn_sql_expr *unit)
{
	static const struct { const char *unit; int64_t days; } units[] = {
		{ "microseconds", 1 }, { "milliseconds", 1 },
		{ "second", 1 }, { "minute", 1 }, { "hour", 1 },
		{ "day", 1 }, { "week", 7 }, { "month", 31 },
		{ "quarter", 92 }, { "year", 366 },
	};
	struct tn_slice text;

	if (unit->node != TN_SQL_CONST || !tn_column_valid(unit->value, 0))
		return -1;
	text = tn_column_text(unit->value, 0);
	for (size_t i = 0; i < TN_COUNT(units); i++)
		if (tn_slice_is(text, units[i].unit))
			return units[i].days * DAY_US;
	return -1;
}

static int64_t
bin_reach(const struct tn_sql_expr *width)
{
	const struct tn_interval *iv;
	int64_t days;

	if (width->node != TN_SQL_CONST || !tn_column_valid(width->value, 0))
		return -1;
	iv = width->value->values;
	days = iv->days;
	if (iv->months != 0 || days > 100000 || days < -100000)
		return -1;
	days = (days < 0 ? -days : days) + 1;
	return days * DAY_US + (iv->us < 0 ? -iv->us : iv->us);
}

static bool
is_time(struct tn_type t)
{
	return t.id == TN_T_DATE || t.id == TN_T_TIMESTAMP ||
	    t.id == TN_T_TIMESTAMPTZ;
}

/* How far a bucket may lie from the time in ${column} of its rows; -1: that
 * cannot be told. Each step down the expression adds its own. */
static int64_t
bucket_reach(const struct tn_sql_expr *e, uint32_t column)
{
	int64_t reach = REACH_US;

	for (;;) {
		int64_t more = 0;
		uint32_t arg = 1;

		if (e->node == TN_SQL_COLUMN)
			return e->column == column ? reach : -1;
		if (e->node == TN_SQL_CAST)
			arg = 0;
		else if (e->node != TN_SQL_CALL || e->arg_count < 2)
			return -1;
		else if (e->fn == TN_FN_DATE_BIN)
			more = bin_reach(e->args[0]);
		else if (e->fn == TN_FN_DATE_TRUNC ||
		    e->fn == TN_FN_DATE_TRUNC_TZ)
			more = unit_reach(e->args[0]);
		else if (e->fn == TN_FN_TIMEZONE)
			more = ZONE_US;
		else
			return -1;
		if (more < 0 || !is_time(e->args[arg]->type))
			return -1;
		reach += more;
		e = e->args[arg];
	}
}

uint32_t
tn_serving_time_column(const struct tn_governance_stream *s)
{
	return s->table->event_time >= 0 ? (uint32_t)s->table->event_time :
	    s->silver->count - 1;
}

bool
tn_serving_rows_of(const struct tn_governance_stream *s,
    const struct tn_sql_select *q, int64_t *min_us, int64_t *max_us)
{
	int64_t reach = q->bucket_group < 0 ? -1 : bucket_reach(
	    q->groups[q->bucket_group], tn_serving_time_column(s));

	if (reach < 0)
		return false;
	if (__builtin_sub_overflow(*min_us, reach, min_us))
		*min_us = INT64_MIN;
	if (__builtin_add_overflow(*max_us, reach, max_us))
		*max_us = INT64_MAX;
	return true;
}

void
tn_serving_range_set(struct range *r, const struct tn_governance_stream *s,
    const struct tn_sql_select *select, const struct tn_exec_fold *exact)
{
	int64_t reach;

	r->column = tn_serving_time_column(s);
	r->bounded = false;
	if (s->silver->fields[r->column].type.id == TN_T_DATE ||
	    !tn_exec_fold_times(exact, &r->min, &r->max))
		return;
	reach = bucket_reach(select->groups[select->bucket_group],
	    r->column);
	if (reach < 0 || __builtin_sub_overflow(r->min, reach, &r->min) ||
	    __builtin_add_overflow(r->max, reach, &r->max))
		return;
	r->bounded = true;
	r->lo = (struct tn_column){ .rows = 1, .values = &r->min,
	    .type = s->silver->fields[r->column].type };
	r->hi = r->lo;
	r->hi.values = &r->max;
	r->bound = (struct tn_parquet_bound){ r->column, &r->lo, &r->hi };
}

static bool
is_dropped(const struct tn_serving_settle *w, uint64_t file)
{
	for (uint32_t i = 0; i < w->drop_count; i++)
		if (w->drop[i] == file)
			return true;
	return false;
}

/* ---- a pass ---------------------------------------------------------- */

struct settling {
	struct tn_serving *s;
	const struct tn_serving_settle *w;
	const struct tn_governance_stream *stream;
	struct range range;
	struct tn_exec_fold *exact;      /* Of the pass at hand. */
	struct lsn_marks marks;
	struct tn_budget_share held;
	struct tn_diag *d;
};

static enum tn_status
apply_rows(void *arg, const struct tn_exec_rows *rows)
{
	struct settling *x = arg;

	tn_exec_fold_apply(x->exact, rows, &x->w->refs, NULL);
	if (tn_serving_awaited(x->w->left) != TN_OK)
		return TN_ECLOSED;       /* Some rows were left out. */
	if (!tn_budget_try(&x->held, tn_exec_fold_bytes(x->exact)))
		return tn_budget_refuse(x->d);
	return tn_exec_fold_full(x->exact) ? TN_END : TN_OK;
}

static enum tn_status
apply_silver(void *arg, struct tn_batch *b)
{
	struct settling *x = arg;
	struct tn_exec_rows rows = { .batch = b, .has_hidden = true };

	if (x->w->lsn_max > 0) {
		if (!tn_serving_lsn_mark(&x->marks, b, 0, x->w->lsn_max))
			return TN_OK;
		rows.skip = x->marks.marks;
	}
	return apply_rows(arg, &rows);
}

static enum tn_status
read_file(struct settling *x, const struct tn_catalog_file *f,
    struct tn_diag *d)
{
	const struct range *r = &x->range;
	struct tn_lake_read read = { .path = f->path,
	    .schema = x->stream->silver, .used = r->used, .bounds = &r->bound,
	    .bound_count = r->bounded, .keep_dictionary = true,
	    .each = apply_silver, .arg = x };
	enum tn_status st = TN_OK;

	if (f->tier != TN_TIER_SILVER || f->object != x->stream->id ||
	    (x->w->lsn_max > 0 && f->lsn_min > x->w->lsn_max) ||
	    tn_exec_fold_full(x->exact) || (r->bounded &&
	    (f->time_max < r->min || f->time_min > r->max)))
		return TN_OK;
	if (x->w->go_on != NULL)
		st = x->w->go_on(x->w->arg, d);
	return st == TN_OK ? tn_lake_read(x->s->o.lake, &read, d) : st;
}

static enum tn_status
pass(void *arg, struct tn_exec_fold *exact, struct tn_diag *d)
{
	struct settling *x = arg;
	const struct tn_serving_settle *w = x->w;
	struct tail_scan tail = { .stream = x->stream->id,
	    .after = w->after, .last = w->last, .each = apply_rows,
	    .arg = x, .left = w->left, .d = d };
	uint32_t first, n;
	enum tn_status st = TN_OK;

	x->exact = exact;
	x->d = d;
	tn_serving_range_set(&x->range, x->stream, w->view->def->select, exact);
	if (w->base != NULL) {
		n = tn_catalog_snapshot_find(w->base, TN_TIER_SILVER,
		    x->stream->id, &first);
		for (uint32_t i = first; st == TN_OK && i < first + n; i++)
			if (!is_dropped(w, w->base->files[i].id))
				st = read_file(x, &w->base->files[i], d);
	}
	for (uint32_t i = 0; st == TN_OK && i < w->more_count; i++)
		st = read_file(x, &w->more[i], d);
	if (st == TN_OK && !tn_exec_fold_full(exact))
		st = tn_serving_tail(x->s, &tail);
	return st == TN_END ? TN_OK : st;
}

static void
count_groups(struct tn_serving *s, const struct tn_serving_settle *w)
{
	const struct tn_serving_view *v = w->view;
	char labels[128];

	snprintf(labels, sizeof labels, "view=\"%s\"", v->def->name);
	tn_counter_add(tn_counter_get(TN_COUNTER,
	    "tarn_view_recomputed_groups_total", labels,
	    "Groups whose exact answer was found again from rows because "
	    "their state outgrew holistic_state_bytes."), w->groups);
	__atomic_add_fetch(&s->recomputed[v - s->o.model->views], w->groups,
	    __ATOMIC_RELAXED);
}

uint64_t
tn_serving_recomputed(const struct tn_serving *s, uint32_t view)
{
	return __atomic_load_n(&s->recomputed[view], __ATOMIC_RELAXED);
}

void
tn_serving_floor_set(struct tn_serving *s, uint32_t stream, int64_t us,
    uint64_t lsn)
{
	__atomic_store_n(&s->retired[stream], lsn, __ATOMIC_RELAXED);
	__atomic_store_n(&s->floors[stream], us, __ATOMIC_RELAXED);
}

int64_t
tn_serving_floor(const struct tn_serving *s, uint32_t stream)
{
	return __atomic_load_n(&s->floors[stream], __ATOMIC_RELAXED);
}

/* Rows that retention has removed cannot be asked. */
static enum tn_status
check_floor(const struct settling *x, const struct tn_exec_fold *f,
    struct tn_diag *d)
{
	const struct tn_serving_view *v = x->w->view;
	const struct tn_sql_select *q = v->def->select;
	int64_t floor = __atomic_load_n(&x->s->floors[v->stream],
	    __ATOMIC_RELAXED);
	struct tn_exec_bound b = { .max_inclusive = true };
	struct tn_exec_fold *old;
	struct tn_arena *a;
	bool gone = true;

	if (floor == INT64_MIN)
		return TN_OK;
	a = tn_arena_new(1024);
	b.max = tn_exec_bucket_at(q, tn_serving_time_column(x->stream), floor - 1, a);
	if (b.max != NULL) {
		b.group = (uint32_t)q->bucket_group;
		old = tn_exec_fold_clone(f, &b, 1);
		gone = tn_exec_fold_unknown(old) > 0;
		tn_exec_fold_free(old);
	}
	tn_arena_free(a);
	if (!gone)
		return TN_OK;
	tn_diag_hint(d, "ask for newer ones, or keep rows longer");
	return tn_diag_set(d, TN_ELIMIT, "rows_retired", "view %s has groups "
	    "too large to be kept, whose rows retention has removed",
	    v->def->name);
}

enum tn_status
tn_serving_settle(struct tn_serving *s, struct tn_serving_settle *w,
    struct tn_exec_fold *f, struct tn_diag *d)
{
	struct settling x = { .s = s, .w = w, .held = { .class = w->memory },
	    .stream = &s->o.model->streams[w->view->stream] };
	struct tn_exec_settle_opts o = { .pass = pass, .arg = &x,
	    .memory_max = s->o.query_bytes };
	uint32_t columns = x.stream->silver->count;
	int64_t begun = tn_os_mono_us();
	enum tn_status st;

	w->groups = tn_exec_fold_unknown(f);
	w->took_us = 0;
	if (w->groups == 0)
		return TN_OK;
	st = check_floor(&x, f, d);
	if (st != TN_OK)
		return st;
	x.range.used = tn_zalloc(columns + 1);
	memcpy(x.range.used, w->view->def->select->used, columns);
	x.range.used[columns - 3] = 1;   /* Joins: as of the LSN. */
	x.range.used[columns - 2] = 1;
	tn_exec_fold_until(f, w->left);
	st = tn_exec_fold_settle(f, &o, d);
	tn_exec_fold_until(f, NULL);
	tn_budget_set(&x.held, 0);
	tn_free(x.range.used);
	tn_free(x.marks.marks);
	w->took_us = tn_os_mono_us() - begun;
	if (st == TN_OK)
		count_groups(s, w);
	else if (d != NULL && d->message[0] == '\0')
		tn_diag_set(d, st, "not_recomputed", "view %s could not be "
		    "computed from its rows: %s", w->view->def->name,
		    tn_status_text(st));
	return st;
}

size_t
tn_serving_query_bytes(const struct tn_serving *s)
{
	return s->o.query_bytes;
}

enum tn_status
tn_serving_settle_request(struct request *r, struct tn_exec_fold *f,
    struct tn_diag *d)
{
	bool batch = r->layer == TN_LAYER_BATCH;
	struct tn_serving_settle w = {
	    .view = &r->s->o.model->views[r->view],
	    .base = r->layer == TN_LAYER_SPEED ? NULL : r->ask.base,
	    .after = r->ask.base->lsn,
	    .last = batch ? r->ask.base->lsn : r->ask.last,
	    .memory = TN_BUDGET_QUERIES, .left = r->left,
	    .refs = tn_serving_refs_view(&r->ask.refs) };
	enum tn_status st;

	if (r->past.kind != PAST_NOT) {
		w.base = r->past.silver;
		w.lsn_max = w.last = r->past.lsn;
		w.after = w.base->lsn < w.last ? w.base->lsn : w.last;
	}
	st = tn_serving_settle(r->s, &w, f, d);
	r->answer->recomputed = w.groups;
	r->answer->recompute_us = w.took_us;
	return st;
}

bool
tn_serving_ask_again(struct request *r, enum tn_status st)
{
	if (st != TN_ENOTFOUND || ++r->tries >= TRIES_MAX)
		return false;
	r->answer->status = TN_OK;
	memset(&r->answer->diag, 0, sizeof r->answer->diag);
	tn_serving_past_end(r);
	tn_serving_ask_fini(&r->ask);
	tn_serving_request_ask(r);
	return true;
}

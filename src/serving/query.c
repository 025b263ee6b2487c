/* Ad-hoc SQL. The plan is made on the pool, then speed is asked for the base
 * snapshot (and the tail, for a view), then the source's rows are pushed:
 *
 *   stream      silver files of the base, then the log after it
 *   reference   the newest version of each row
 *   view        its merged result rows
 *
 * FROM as_of(...) reads the same as of an LSN or a time: see past.c.
 *
 * A cut that is published while we read may trim the log under us: then the
 * query begins again on the new base. */
#include "serving/serving_int.h"

#include <string.h>

#include "os/os.h"

struct run {
	struct request *r;
	struct tn_exec_query *query;
	struct tn_exec_refs refs;
	int64_t now_us;
	bool enough;             /* LIMIT is reached: push no more. */
	bool piecewise;          /* COPY: each piece is a query of its own. */
	const struct tn_exec_query_opts *opts;
	uint64_t last;           /* LSN that the answer is of. */
	struct tn_parquet_bound bounds[TN_SERVING_BOUNDS_MAX];
	uint32_t bound_count;
	struct tn_diag *d;
};

/* Rows whose results need no other rows go to the file as they come. */
static enum tn_status
take_piece(struct run *x, const struct tn_exec_rows *rows)
{
	struct tn_exec_query *q = tn_exec_query_new(x->r->plan, x->opts);
	struct tn_batch *b = NULL;
	bool truncated = false;
	enum tn_status st = tn_exec_query_push(q, rows, &x->refs, x->d);

	if (st == TN_OK)
		st = tn_exec_query_finish(q, &b, &truncated, x->d);
	tn_assert(!truncated);
	if (st == TN_OK)
		st = x->r->sink.rows(x->r->sink.arg, b, x->d);
	tn_record_batch_unref(b);
	tn_exec_query_free(q);
	return st;
}

static enum tn_status
take(struct run *x, const struct tn_exec_rows *rows)
{
	return x->piecewise ? take_piece(x, rows) :
	    tn_exec_query_push(x->query, rows, &x->refs, x->d);
}

/* Rows of the past, of silver or of the log. */
static enum tn_status
push_past(void *arg, const struct tn_exec_rows *rows)
{
	struct run *x = arg;
	enum tn_status st = take(x, rows);

	x->enough = st == TN_END;
	return st;
}

static enum tn_status
push_silver(void *arg, struct tn_batch *b)
{
	struct run *x = arg;
	struct tn_exec_rows rows = { .batch = b, .has_hidden = true };
	enum tn_status st = take(x, &rows);

	/* The file's reader ends at TN_END, and says TN_OK. */
	x->enough = st == TN_END;
	return st;
}

/* A file whose time range lies outside the WHERE need not be opened. */
static bool
file_may_match(const struct tn_governance_stream *s,
    const struct tn_catalog_file *f, const struct tn_parquet_bound *bounds,
    uint32_t count)
{
	int time = s->table->event_time;

	if (time < 0 || s->silver->fields[time].type.id == TN_T_DATE)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (bounds[i].column != (uint32_t)time)
			continue;
		if (bounds[i].min != NULL && f->time_max <
		    ((const int64_t *)bounds[i].min->values)[0])
			return false;
		if (bounds[i].max != NULL && f->time_min >
		    ((const int64_t *)bounds[i].max->values)[0])
			return false;
	}
	return true;
}

static uint32_t
source_bounds(struct run *x, struct tn_parquet_bound *out)
{
	struct tn_exec_bound b[TN_SERVING_BOUNDS_MAX];
	uint32_t n = tn_exec_query_bounds_at(x->r->plan, x->now_us, b,
	    TN_SERVING_BOUNDS_MAX, x->r->arena);

	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct tn_parquet_bound){ b[i].group, b[i].min,
		    b[i].max };
	return n;
}

/* The columns of silver that the query needs. */
static uint8_t *
used_columns(const struct run *x, const struct tn_governance_stream *s)
{
	uint8_t *used = tn_arena_zalloc(x->r->arena, s->silver->count + 1);

	memcpy(used, x->r->plan->used, s->silver->count);
	/* The past is cut by LSN. */
	used[s->silver->count - 3] |= x->r->past.kind != PAST_NOT;
	tn_exec_query_hidden(x->r->plan, used + s->silver->count - 3);
	return used;
}

static enum tn_status
scan_silver(struct run *x, const struct tn_governance_stream *s)
{
	struct tn_parquet_bound bounds[TN_SERVING_BOUNDS_MAX];
	uint32_t bound_count = source_bounds(x, bounds);
	const struct tn_catalog_snapshot *base = x->r->ask.base;
	uint8_t *used = used_columns(x, s);
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_SILVER,
	    s->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && !x->enough && i < first + n;
	    i++) {
		struct tn_lake_read read = { .path = base->files[i].path,
		    .schema = s->silver, .used = used, .bounds = bounds,
		    .bound_count = bound_count, .keep_dictionary = true,
		    .each = push_silver, .arg = x };
		if (!file_may_match(s, &base->files[i], bounds, bound_count))
			continue;
		st = tn_serving_request_room(x->r,
		    tn_serving_read_bytes(&base->files[i]), x->d);
		if (st == TN_OK)
			st = tn_lake_read(x->r->s->o.lake, &read, x->d);
	}
	return st;
}

static enum tn_status
before_past(void *arg, const struct tn_catalog_file *f, struct tn_diag *d)
{
	struct run *x = arg;
	const struct tn_governance_stream *s =
	    &x->r->s->o.model->streams[x->r->stream];

	if (!file_may_match(s, f, x->bounds, x->bound_count))
		return TN_END;
	return tn_serving_request_room(x->r, tn_serving_read_bytes(f), d);
}

static enum tn_status
scan_past(struct run *x, const struct tn_governance_stream *s)
{
	struct lsn_scan scan = { .stream = (uint32_t)x->r->stream,
	    .silver = x->r->past.silver, .last = x->r->past.lsn,
	    .used = used_columns(x, s), .keep_dictionary = true,
	    .bounds = x->bounds,
	    .before = before_past, .each = push_past, .arg = x,
	    .left = x->r->left };

	x->bound_count = scan.bound_count = source_bounds(x, x->bounds);
	return tn_serving_lsn_scan(x->r->s, &scan, x->d);
}

static enum tn_status
push_rows(void *arg, const struct tn_exec_rows *rows)
{
	struct run *x = arg;

	return take(x, rows);
}

static enum tn_status
scan_tail(struct run *x, const struct tn_governance_stream *s)
{
	const struct tn_serving_ask *ask = &x->r->ask;
	struct tail_scan t = { .stream = s->id, .after = ask->base->lsn,
	    .last = ask->last, .each = push_rows, .arg = x,
	    .left = x->r->left, .d = x->d };

	return tn_serving_tail(x->r->s, &t);
}

static enum tn_status
push_reference(struct run *x, const char *name)
{
	const struct tn_serving_refs *refs = &x->r->ask.refs;
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < refs->count; i++) {
		if (strcmp(refs->names[i], name) != 0)
			continue;
		struct tn_batch *b = tn_exec_ref_rows(refs->refs[i],
		    x->last);
		struct tn_exec_rows rows = { .batch = b,
		    .has_hidden = true, .lsn = x->last };
		st = b == NULL ? TN_ENOMEM : take(x, &rows);
		tn_record_batch_unref(b);
	}
	return st;
}

static enum tn_status
push_view(struct run *x)
{
	struct tn_exec_fold *f;
	struct tn_batch *b;
	struct tn_exec_rows rows = { .has_hidden = true, .lsn = x->last };
	enum tn_status st = x->r->past.kind == PAST_NOT ? TN_OK :
	    tn_serving_past_fold(x->r, x->d);

	if (st != TN_OK)
		return st;
	f = tn_serving_merge(x->r, x->d);
	if (f == NULL)
		return tn_serving_merge_failed(x->d);
	st = tn_serving_settle_request(x->r, f, x->d);
	if (st == TN_OK) {
		b = tn_exec_fold_finish(f, NULL);
		rows.batch = b;
		st = take(x, &rows);
		tn_record_batch_unref(b);
	}
	tn_exec_fold_free(f);
	return st;
}

static enum tn_status
push_source(struct run *x)
{
	const struct tn_sql_select *p = x->r->plan;
	const struct tn_governance_stream *s;
	enum tn_status st;

	if (p->source == NULL) {
		/* SELECT without FROM: one row without columns. */
		struct tn_batch one = { .schema = p->input, .rows = 1,
		    .refs = 1 };
		struct tn_exec_rows rows = { .batch = &one,
		    .has_hidden = true };
		return take(x, &rows);
	}
	if (p->source_kind == TN_SQL_VIEW)
		return push_view(x);
	if (p->source_kind == TN_SQL_REFERENCE)
		return push_reference(x, p->source);
	s = &x->r->s->o.model->streams[x->r->stream];
	if (x->r->past.kind != PAST_NOT)
		return scan_past(x, s);
	/* A long copy reads the log first, before a cut trims it. */
	if (x->piecewise) {
		st = scan_tail(x, s);
		return st == TN_OK ? scan_silver(x, s) : st;
	}
	st = scan_silver(x, s);
	return st == TN_OK && !x->enough ? scan_tail(x, s) : st;
}

/* The value of as_of(..., this): an LSN or a time. */
static enum tn_status
read_as_of(struct run *x)
{
	static const struct tn_schema none = { .name = "as_of" };
	const struct tn_sql_expr *e = x->r->plan->as_of;
	struct tn_batch one = { .schema = &none, .rows = 1, .refs = 1 };
	struct tn_exec_env env = { .batch = &one, .arena = x->r->arena,
	    .now_us = x->now_us };
	const struct tn_column *c = tn_exec_eval(e, &env);

	if (env.errors > 0 || !tn_column_valid(c, 0)) {
		tn_diag_hint(x->d, "write as_of('name', 1234) or "
		    "as_of('name', timestamptz '2026-03-01 08:00:00+00')");
		return tn_diag_set(x->d, TN_EINVAL, "bad_as_of",
		    "as_of needs an LSN or a time, not null");
	}
	x->r->past.kind = e->type.id == TN_T_INT8 ? PAST_LSN : PAST_TIME;
	x->r->past.value = ((const int64_t *)c->values)[0];
	return tn_serving_past_begin(x->r, x->d);
}

static bool
is_piecewise(const struct tn_sql_select *p)
{
	return p->source != NULL && !p->aggregated && !p->distinct &&
	    p->order_count == 0 && p->limit < 0 && p->offset <= 0;
}

/* The result, or what is left of it, to the asker. */
static enum tn_status
give(struct run *x, struct tn_batch *b, bool truncated)
{
	struct request *r = x->r;
	enum tn_status st = TN_OK;

	if (r->sink.rows == NULL) {
		tn_serving_encode_rows(r, b, truncated);
		return TN_OK;
	}
	if (!x->piecewise)
		st = r->sink.rows(r->sink.arg, b, x->d);
	return st == TN_OK ? r->sink.end(r->sink.arg, x->d) : st;
}

static void
work_run(struct request *r)
{
	struct tn_serving_answer *a = r->answer;
	bool copy = r->sink.rows != NULL;
	struct tn_exec_query_opts o = { .now_us = tn_os_wall_us(),
	    .memory_max = r->s->o.query_bytes, .left = r->left,
	    .rows_max = copy ? 0 : r->s->o.rows_max };
	struct run x = { .r = r, .d = &a->diag, .now_us = o.now_us,
	    .refs = tn_serving_refs_view(&r->ask.refs), .opts = &o,
	    .piecewise = copy && is_piecewise(r->plan) };
	struct tn_batch *b = NULL;
	bool truncated = false;
	enum tn_status st = TN_OK;

	a->batch_lsn = r->ask.base->lsn;
	a->lsn = r->ask.last;
	if (r->plan->as_of != NULL)
		st = read_as_of(&x);
	x.last = a->lsn;
	x.query = tn_exec_query_new(r->plan, &o);
	if (st == TN_OK && copy)
		st = r->sink.begin(r->sink.arg, r->plan->schema, x.d);
	if (st == TN_OK)
		st = push_source(&x);
	if (st == TN_OK || st == TN_END)
		st = tn_exec_query_finish(x.query, &b, &truncated, x.d);
	tn_exec_query_free(x.query);
	if (tn_serving_ask_again(r, st))
		return;
	if (st == TN_OK)
		st = give(&x, b, truncated);
	if (st != TN_OK)
		a->status = a->diag.message[0] != '\0' ? st : tn_diag_set(
		    &a->diag, st, "query_failed", "the query failed: %s",
		    tn_status_text(st));
	tn_record_batch_unref(b);
	tn_serving_request_end(r);
}

/* COPY (...) TO, or a SELECT. */
static enum tn_status
make_plan(struct request *r, const struct tn_sql_pipeline *p)
{
	const struct tn_sql_copy *copy;
	enum tn_status st;

	if (r->sink.rows == NULL)
		return tn_sql_query(p, r->sql, r->arena, &r->plan,
		    &r->answer->diag);
	st = tn_sql_copy_parse(p, r->sql, r->arena, &copy,
	    &r->answer->diag);
	if (st == TN_OK)
		r->plan = copy->select;
	tn_assert(st != TN_OK || r->plan != NULL);
	return st;
}

/* The view of a plan; -1: its definition changed since the plan was made. */
static int
view_of(const struct tn_serving_model *m, const struct tn_sql_pipeline *p,
    const char *name)
{
	int at = tn_serving_view_find(m, tn_slice_of(name));
	const struct tn_sql_view *def = tn_sql_view(p, tn_slice_of(name));

	return at >= 0 && strcmp(m->views[at].def->definition,
	    def->definition) == 0 ? at : -1;
}

static void
work_plan(struct request *r)
{
	const struct tn_serving_model *m = r->s->o.model;
	const struct tn_sql_pipeline *p = tn_serving_pipeline(m);
	enum tn_status st = make_plan(r, p);

	if (st != TN_OK) {
		r->answer->status = st;
		tn_serving_request_end(r);
		return;
	}
	if (r->plan->source != NULL) {
		if (r->plan->source_kind == TN_SQL_VIEW)
			r->view = view_of(m, p, r->plan->source);
		else
			r->stream = tn_serving_stream_find(m,
			    tn_slice_of(r->plan->source));
		if (r->plan->source_kind == TN_SQL_VIEW && r->view < 0) {
			tn_serving_request_fail(r, TN_EFULL, "view_changed",
			    "the definition of the view has just changed",
			    "ask again");
			return;
		}
	}
	r->work = work_run;
	r->ask.view = r->view;
	if (r->plan->as_of != NULL && r->layer != TN_LAYER_MERGED) {
		tn_serving_request_fail(r, TN_EINVAL, "bad_as_of",
		    "the layers were not kept apart: as_of is of both",
		    "leave layer out");
		return;
	}
	r->ask.want_fold = r->view >= 0 && r->layer != TN_LAYER_BATCH &&
	    r->plan->as_of == NULL;
	tn_serving_request_ask(r);
}

void
tn_serving_sql(struct tn_serving *s, const struct tn_serving_sql_request *q,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	struct request *r = tn_serving_request_new(s);

	tn_assert(tn_net_on_loop());
	r->done = done;
	r->arg = arg;
	r->format = q->format;
	r->layer = q->layer;
	r->limit = s->o.rows_max;
	r->sink = q->sink;
	r->left = q->left;
	r->sql.n = q->text.n;
	r->sql.p = (const uint8_t *)tn_arena_strndup(r->arena,
	    (const char *)q->text.p, q->text.n);
	r->work = work_plan;
	if (!tn_serving_request_refused(r))
		tn_serving_request_pool(r);
}

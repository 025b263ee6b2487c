/* Why this number: a cell of a view traced to the raw bytes.
 *
 *   groups asked for -> the row in each layer (gold, tail, merged)
 *                    -> gold files: version, cut, run
 *                    -> rows of the stream with those groups (silver, log)
 *                    -> bronze of each row: raw bytes, source, outcome
 *
 * The rows are found by a query made of the view's own plan: its source, joins
 * and WHERE, with the group expressions compared to the values asked for. So
 * what is shown is what is counted; nothing is evaluated in another way: a
 * group that cannot be computed for a row is null there, as in the view.
 *
 *   {"view":"visits","version":1,"definition":"...","stream":"badge",
 *    "columns":[..],"merged":[[..]],"batch":[[..]],"speed":[[..]],
 *    "gold":[{"path":..,"partition":..,"rows":..,"lsn":..,"run":..}],
 *    "stream_columns":[..],"rows":[{"values":[..],"lsn":..,"raw":..,...}],
 *    "truncated":false,"lsn":..,"batch_lsn":..}
 *
 * Of the past (as_of) the layers were not kept apart: there is merged alone.
 *
 * What can go wrong: as for a view and a query; a bronze file that cannot be
 * read, or has lost a row, ends the answer with its error. */
#include "serving/serving_int.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define ROWS 20
#define ROWS_MAX 1000

/* A row that counts, and what bronze has of it. */
struct event {
	uint64_t lsn, offset;
	uint32_t row;                /* In the result. */
	struct tn_buf fate;
};
struct explain {
	struct request *r;
	const struct tn_serving_view *v;
	const struct tn_governance_stream *s;
	const struct tn_catalog_snapshot *base;  /* Whose silver is read. */
	uint64_t last;
	struct tn_exec_query *query;
	struct tn_exec_refs refs;
	struct range range;
	struct tn_batch *found;
	struct event *events;        /* By offset. */
	uint32_t count;
	bool truncated;
	struct tn_diag *d;
};

/* ---- the plan -------------------------------------------------------- */

static struct tn_sql_expr *
node_new(struct tn_arena *a, enum tn_sql_node node, uint32_t args)
{
	struct tn_sql_expr *e = tn_arena_zalloc(a, sizeof *e);

	e->node = node;
	e->type = tn_record_type(TN_T_BOOL);
	e->args = tn_arena_zalloc(a, (args + 1) * sizeof(void *));
	e->arg_count = args;
	return e;
}

static const struct tn_sql_expr *
compare(struct tn_arena *a, enum tn_sql_fn fn, const struct tn_sql_expr *x,
    const struct tn_column *value)
{
	struct tn_sql_expr *e = node_new(a, TN_SQL_CALL, 2);
	struct tn_sql_expr *c = node_new(a, TN_SQL_CONST, 0);
	const struct tn_sql_expr **args = (const struct tn_sql_expr **)e->args;

	c->type = x->type;
	c->value = value;
	e->fn = fn;
	args[0] = x;
	args[1] = c;
	return e;
}

static const struct tn_sql_expr *
is_null(struct tn_arena *a, const struct tn_sql_expr *x)
{
	struct tn_sql_expr *e = node_new(a, TN_SQL_CALL, 1);

	e->fn = TN_FN_IS_NULL;
	((const struct tn_sql_expr **)e->args)[0] = x;
	return e;
}

static const struct tn_sql_expr *
both(struct tn_arena *a, enum tn_sql_node node, const struct tn_sql_expr *x,
    const struct tn_sql_expr *y)
{
	struct tn_sql_expr *e;
	const struct tn_sql_expr **args;

	if (x == NULL || y == NULL)
		return x == NULL ? y : x;
	e = node_new(a, node, 2);
	args = (const struct tn_sql_expr **)e->args;
	args[0] = x;
	args[1] = y;
	return e;
}

/* The same as the fold's choice of groups. */
static const struct tn_sql_expr *
bound_of(struct tn_arena *a, const struct tn_exec_bound *b,
    const struct tn_sql_expr *group)
{
	const struct tn_sql_expr *min = NULL, *max = NULL, *e;

	if (b->only_null)
		return is_null(a, group);
	if (b->min != NULL)
		min = compare(a, b->min_exclusive ? TN_FN_GT : TN_FN_GE,
		    group, b->min);
	if (b->max != NULL)
		max = compare(a, b->max_inclusive ? TN_FN_LE : TN_FN_LT,
		    group, b->max);
	e = both(a, TN_SQL_AND, min, max);
	return b->null_holds ? both(a, TN_SQL_OR, e, is_null(a, group)) : e;
}

/* The view's WHERE, and the groups within the bounds. */
static const struct tn_sql_expr *
where_of(const struct explain *x)
{
	const struct request *r = x->r;
	const struct tn_sql_select *q = x->v->def->select;
	const struct tn_sql_expr *all = q->where;

	for (uint32_t i = 0; i < r->bound_count; i++)
		all = both(r->arena, TN_SQL_AND, all, bound_of(r->arena,
		    &r->bounds[i], q->groups[r->bounds[i].group]));
	return all;
}

/* Every column of the stream, hidden ones last; newest rows first. */
static const struct tn_sql_select *
plan_of(const struct explain *x)
{
	struct tn_arena *a = x->r->arena;
	const struct tn_sql_select *q = x->v->def->select;
	uint32_t n = q->source_columns;
	struct tn_sql_select *p = tn_arena_zalloc(a, sizeof *p);
	struct tn_sql_output *out = tn_arena_zalloc(a, n * sizeof *out);
	struct tn_sql_order *order = tn_arena_zalloc(a, sizeof *order);
	struct tn_schema *schema = tn_arena_zalloc(a, sizeof *schema);
	uint8_t *used = tn_arena_zalloc(a, q->input->count + 1);

	*p = *q;
	memcpy(used, q->used, q->input->count);
	memset(used, 1, n);
	for (uint32_t i = 0; i < n; i++) {
		struct tn_sql_expr *e = node_new(a, TN_SQL_COLUMN, 0);
		e->type = q->input->fields[i].type;
		e->column = i;
		out[i] = (struct tn_sql_output){ q->input->fields[i].name, e };
	}
	order->output = n - 2;           /* _offset */
	order->descending = true;
	*schema = (struct tn_schema){ "rows", n, q->input->fields };
	p->where = where_of(x);
	p->aggregated = p->distinct = false;
	p->group_count = p->agg_count = 0;
	p->having = NULL;
	p->outputs = out;
	p->output_count = n;
	p->output_hidden = 0;
	p->order = order;
	p->order_count = 1;
	p->limit = x->r->limit + 1;
	p->offset = 0;
	p->schema = schema;
	p->bucket_group = -1;
	p->used = used;
	return p;
}

/* ---- rows ------------------------------------------------------------ */

static enum tn_status
push(void *arg, const struct tn_exec_rows *rows)
{
	struct explain *x = arg;

	return tn_exec_query_push(x->query, rows, &x->refs, x->d);
}

static enum tn_status
before(void *arg, const struct tn_catalog_file *f, struct tn_diag *d)
{
	struct explain *x = arg;
	const struct range *g = &x->range;

	if (g->bounded && (f->time_max < g->min || f->time_min > g->max))
		return TN_END;
	return tn_serving_request_room(x->r, tn_serving_read_bytes(f), d);
}

static enum tn_status
find_rows(struct explain *x)
{
	struct tn_exec_query_opts o = { .now_us = tn_os_wall_us(),
	    .memory_max = x->r->s->o.query_bytes, .errors_null = true,
	    .left = x->r->left };
	const struct tn_sql_select *p = plan_of(x);
	struct lsn_scan scan = { .stream = x->v->stream, .silver = x->base,
	    .last = x->last, .used = p->used, .bounds = &x->range.bound,
	    .bound_count = x->range.bounded, .before = before, .each = push,
	    .arg = x, .left = x->r->left };
	bool truncated = false;
	enum tn_status st;

	x->query = tn_exec_query_new(p, &o);
	st = tn_serving_lsn_scan(x->r->s, &scan, x->d);
	if (st == TN_OK || st == TN_END)
		st = tn_exec_query_finish(x->query, &x->found, &truncated,
		    x->d);
	tn_exec_query_free(x->query);
	if (st != TN_OK)
		return st;
	x->count = x->found->rows;
	x->truncated = x->count > x->r->limit;
	if (x->truncated)
		x->count = x->r->limit;
	return TN_OK;
}

/* ---- what bronze has of them ----------------------------------------- */

static int
by_offset(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int
by_row(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->row < y->row ? -1 : x->row > y->row;
}

static void
list_events(struct explain *x)
{
	uint32_t n = x->found->schema->count;
	const int64_t *lsn = x->found->columns[n - 3].values;
	const int64_t *offset = x->found->columns[n - 2].values;

	x->events = tn_zalloc((x->count + 1) * sizeof *x->events);
	for (uint32_t i = 0; i < x->count; i++)
		x->events[i] = (struct event){ .lsn = (uint64_t)lsn[i],
		    .offset = (uint64_t)offset[i], .row = i };
	qsort(x->events, x->count, sizeof *x->events, by_offset);
}

static enum tn_status
take_bronze(void *arg, struct tn_batch *b)
{
	struct explain *x = arg;
	const int64_t *offset = b->columns[TN_BRONZE_OFFSET].values;

	for (uint32_t i = 0; i < b->rows; i++) {
		struct event key = { .offset = (uint64_t)offset[i] };
		struct event *e = bsearch(&key, x->events, x->count,
		    sizeof key, by_offset);
		if (e != NULL && e->fate.n == 0)
			tn_serving_encode_fate(&e->fate, b, i);
	}
	return tn_serving_awaited(x->r->left);
}

/* LSNs of the rows that are in files of bronze, or the log's. */
static bool
lsn_range(const struct explain *x, uint64_t min, uint64_t max, int64_t *lo,
    int64_t *hi)
{
	bool any = false;

	for (uint32_t i = 0; i < x->count; i++) {
		uint64_t lsn = x->events[i].lsn;
		if (lsn < min || lsn > max)
			continue;
		*lo = !any || (int64_t)lsn < *lo ? (int64_t)lsn : *lo;
		*hi = !any || (int64_t)lsn > *hi ? (int64_t)lsn : *hi;
		any = true;
	}
	return any;
}

static enum tn_status
read_bronze(struct explain *x, const struct tn_catalog_file *f)
{
	int64_t lo = 0, hi = 0;
	struct tn_column min = { .type = tn_record_type(TN_T_INT8),
	    .rows = 1, .values = &lo }, max = min;
	struct tn_parquet_bound bound = { TN_BRONZE_LSN, &min, &max };
	struct tn_lake_read read = { .path = f->path,
	    .schema = &tn_governance_bronze, .bounds = &bound,
	    .bound_count = 1, .each = take_bronze, .arg = x };

	max.values = &hi;
	return lsn_range(x, f->lsn_min, f->lsn_max, &lo, &hi) ?
	    tn_lake_read(x->r->s->o.lake, &read, x->d) : TN_OK;
}

static enum tn_status
read_log(struct explain *x)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	uint64_t done = 0;
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < x->count; i++) {
		struct tn_log_block block;
		struct tn_batch *b;
		/* Rows of a block lie side by side. */
		if (x->events[i].lsn <= x->base->lsn ||
		    x->events[i].lsn == done)
			continue;
		done = x->events[i].lsn;
		st = tn_log_read(x->r->s->o.log, done, a, &block, x->d);
		if (st != TN_OK)
			break;
		b = tn_governance_bronze_of(&block);
		st = b == NULL ? TN_ENOMEM : take_bronze(x, b);
		tn_record_batch_unref(b);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return st;
}

static enum tn_status
find_fates(struct explain *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE,
	    x->s->id, &first);
	enum tn_status st = TN_OK;

	list_events(x);
	for (uint32_t i = first; st == TN_OK && i < first + n; i++)
		st = read_bronze(x, &x->base->files[i]);
	if (st == TN_OK)
		st = read_log(x);
	qsort(x->events, x->count, sizeof *x->events, by_row);
	return st;
}

/* ---- words ----------------------------------------------------------- */

static void
put_names(struct tn_buf *out, const char *name, const struct tn_schema *s,
    uint32_t count)
{
	tn_buf_printf(out, ",\"%s\":[", name);
	for (uint32_t i = 0; i < count; i++) {
		tn_buf_str(out, i > 0 ? ",\"" : "\"");
		tn_buf_json(out, s->fields[i].name,
		    strlen(s->fields[i].name));
		tn_buf_char(out, '"');
	}
	tn_buf_char(out, ']');
}

static void
put_values(struct tn_buf *out, const struct tn_batch *b, uint32_t row,
    uint32_t count)
{
	tn_buf_char(out, '[');
	for (uint32_t c = 0; c < count; c++) {
		if (c > 0)
			tn_buf_char(out, ',');
		tn_record_print_json(out, &b->columns[c], row);
	}
	tn_buf_char(out, ']');
}

/* The row in one layer; the merged one also says where to look. */
static enum tn_status
put_layer(struct explain *x, const char *name, enum tn_serving_layer layer)
{
	struct request *r = x->r;
	struct tn_buf *out = &r->answer->body;
	struct tn_exec_fold *f;
	struct tn_batch *b;
	enum tn_status st;

	r->layer = layer;
	f = tn_serving_merge(r, x->d);
	if (f == NULL)
		return tn_serving_merge_failed(x->d);
	st = tn_serving_settle_request(r, f, x->d);
	if (st == TN_OK) {
		if (layer == TN_LAYER_MERGED)
			tn_serving_range_set(&x->range, x->s,
			    x->v->def->select, f);
		b = tn_exec_fold_finish(f, NULL);
		tn_buf_printf(out, ",\"%s\":[", name);
		for (uint32_t i = 0; i < b->rows && i < r->limit; i++) {
			if (i > 0)
				tn_buf_char(out, ',');
			put_values(out, b, i, b->schema->count);
		}
		tn_buf_char(out, ']');
		tn_record_batch_unref(b);
	}
	tn_exec_fold_free(f);
	return st;
}

/* The run that wrote a file stands in its name: <cut>-<run>... */
static uint64_t
run_of(const char *path)
{
	const char *name = strrchr(path, '/');
	const char *dash = strchr(name != NULL ? name : path, '-');

	return dash == NULL ? 0 : strtoull(dash + 1, NULL, 10);
}

static void
put_gold(struct explain *x)
{
	struct tn_buf *out = &x->r->answer->body;
	const struct tn_catalog_snapshot *s = x->r->past.kind == PAST_NOT ?
	    x->r->ask.base : x->r->past.gold;
	uint32_t first = 0, n = s == NULL ? 0 : tn_catalog_snapshot_find(s,
	    TN_TIER_GOLD, x->v->id, &first);
	bool any = false;

	tn_buf_str(out, ",\"gold\":[");
	for (uint32_t i = first; i < first + n; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		if (f->version != x->v->version || !tn_serving_may_match(x->v,
		    f, x->r->bounds, x->r->bound_count))
			continue;
		tn_buf_printf(out, "%s{\"path\":\"%s\",\"partition\":\"%s\","
		    "\"rows\":%llu,\"version\":%u,\"lsn\":%llu,\"run\":%llu}",
		    any ? "," : "", f->path, f->partition,
		    (unsigned long long)f->rows, (unsigned)f->version,
		    (unsigned long long)f->lsn_max,
		    (unsigned long long)run_of(f->path));
		any = true;
	}
	tn_buf_char(out, ']');
}

static enum tn_status
put_rows(struct explain *x)
{
	struct tn_buf *out = &x->r->answer->body;
	uint32_t shown = x->found->schema->count - TN_SQL_HIDDEN;

	put_names(out, "stream_columns", x->found->schema, shown);
	tn_buf_str(out, ",\"rows\":[");
	for (uint32_t i = 0; i < x->count; i++) {
		const struct event *e = &x->events[i];
		if (e->fate.n == 0)
			return tn_diag_set(x->d, TN_ECORRUPT, "bronze_lost",
			    "row %llu of %s has no raw bytes in bronze: run "
			    "tarn verify", (unsigned long long)e->offset,
			    x->s->table->name);
		tn_buf_str(out, i > 0 ? ",{\"values\":" : "{\"values\":");
		put_values(out, x->found, e->row, shown);
		tn_buf_char(out, ',');
		tn_buf_add(out, e->fate.p, e->fate.n);
		tn_buf_char(out, '}');
	}
	tn_buf_printf(out, "],\"truncated\":%s",
	    x->truncated ? "true" : "false");
	x->r->answer->rows = x->count;
	return TN_OK;
}

/* ---- the whole ------------------------------------------------------- */

static enum tn_status
explain(struct explain *x)
{
	struct request *r = x->r;
	struct tn_buf *out = &r->answer->body;
	bool past = r->past.kind != PAST_NOT;
	enum tn_status st = TN_OK;

	if (past)
		st = tn_serving_past_begin(r, x->d);
	if (past && st == TN_OK)
		st = tn_serving_past_fold(r, x->d);
	if (st != TN_OK)
		return st;
	x->base = past ? r->past.silver : r->ask.base;
	x->last = past ? r->past.lsn : r->ask.last;
	tn_buf_printf(out, "{\"view\":\"%s\",\"version\":%u,\"definition\":\"",
	    x->v->def->name, (unsigned)x->v->version);
	tn_buf_json(out, x->v->def->definition,
	    strlen(x->v->def->definition));
	tn_buf_printf(out, "\",\"stream\":\"%s\"", x->s->table->name);
	put_names(out, "columns", x->v->def->select->schema,
	    x->v->def->select->schema->count);
	st = put_layer(x, "merged", TN_LAYER_MERGED);
	if (st == TN_OK && !past)
		st = put_layer(x, "batch", TN_LAYER_BATCH);
	if (st == TN_OK && !past)
		st = put_layer(x, "speed", TN_LAYER_SPEED);
	put_gold(x);
	if (st == TN_OK)
		st = find_rows(x);
	if (st == TN_OK)
		st = find_fates(x);
	if (st == TN_OK)
		st = put_rows(x);
	tn_buf_printf(out, ",\"lsn\":%llu,\"batch_lsn\":%llu}",
	    (unsigned long long)x->last,
	    (unsigned long long)r->answer->batch_lsn);
	return st == TN_OK ? tn_buf_status(out) : st;
}

static void
work_explain(struct request *r)
{
	struct tn_serving_answer *a = r->answer;
	const struct tn_serving_model *m = r->s->o.model;
	struct explain x = { .r = r, .v = &m->views[r->view],
	    .refs = tn_serving_refs_view(&r->ask.refs), .d = &a->diag };
	enum tn_status st;

	x.s = &m->streams[x.v->stream];
	a->batch_lsn = r->ask.base->lsn;
	a->lsn = r->ask.last;
	st = explain(&x);
	for (uint32_t i = 0; i < x.count && x.events != NULL; i++)
		tn_buf_fini(&x.events[i].fate);
	tn_free(x.events);
	tn_record_batch_unref(x.found);
	if (tn_serving_ask_again(r, st)) {
		tn_buf_clear(&a->body);
		return;
	}
	if (st != TN_OK)
		a->status = a->diag.message[0] != '\0' ? st : tn_diag_set(
		    &a->diag, st, "explain_failed", "the rows could not be "
		    "found: %s", tn_status_text(st));
	tn_serving_request_end(r);
}

void
tn_serving_explain(struct tn_serving *s,
    const struct tn_serving_view_request *q,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	struct request *r = tn_serving_request_new(s);
	struct tn_diag *d = &r->answer->diag;

	tn_assert(tn_net_on_loop());
	r->done = done;
	r->arg = arg;
	r->left = q->left;
	r->limit = q->limit == 0 ? ROWS : q->limit > ROWS_MAX ? ROWS_MAX :
	    q->limit;
	r->view = tn_serving_view_find(s->o.model, q->view);
	if (r->view < 0) {
		tn_serving_request_fail(r, TN_ENOTFOUND, "unknown_view",
		    "there is no such view",
		    "GET /api/v1/views lists the views");
		return;
	}
	r->answer->status = tn_serving_bounds(r, q->params, q->param_count,
	    d);
	if (r->answer->status == TN_OK && q->as_of.p != NULL &&
	    !tn_serving_past_parse(r, q->as_of))
		r->answer->status = TN_EINVAL;
	if (r->answer->status != TN_OK) {
		tn_serving_request_end(r);
		return;
	}
	if (tn_serving_request_refused(r))
		return;
	r->work = work_explain;
	r->ask.view = r->view;
	r->ask.want_fold = r->past.kind == PAST_NOT;
	r->ask.bounds = r->bounds;
	r->ask.bound_count = r->bound_count;
	tn_serving_request_ask(r);
}

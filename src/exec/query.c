/* Queries: a whole SELECT over pushed rows.
 *
 *   aggregated   rows -> fold; finish: result -> DISTINCT -> ORDER BY -> LIMIT
 *   plain        rows -> input -> outputs -> DISTINCT -> heap; finish: the rest
 *
 * DISTINCT is a key table over the outputs. ORDER BY with LIMIT keeps only
 * the best rows: when the heap has grown to some multiple of what is wanted,
 * it is sorted and cut. LIMIT without ORDER BY ends the query early.
 *
 * Memory: what is held is measured after each few slices; beyond memory_max
 * the query fails with TN_ELIMIT. Joining and sorting the heap at the end
 * needs as much again for a moment, so plain rows may take half of it.
 *
 * A row error fails the query, except in rows that LIMIT cuts off, and unless
 * it is asked for null instead (errors_null). So does want
 * of memory for its rows (TN_ENOMEM); for the groups of a fold it does not yet,
 * that ends the process. */
#include "exec/fold_int.h"

#define MEMORY_DEFAULT ((size_t)256 << 20)
#define CHUNK_ROWS (8 * TN_SLICE_ROWS)
#define TOP_ROWS_MIN (4 * TN_SLICE_ROWS)

struct tn_exec_query {
	const struct tn_sql_select *s;
	int64_t now_us;
	size_t memory_max;
	uint64_t rows_max;       /* UINT64_MAX: none. */
	uint64_t wanted;         /* Rows that can matter, offset included. */
	uint64_t pushed;         /* Rows of a source without offsets. */
	struct tn_exec_program *program;     /* Aggregated. */
	struct tn_exec_fold *fold;
	struct tn_heap heap;                 /* Plain. */
	struct tn_key_plan distinct_plan;
	struct tn_keys distinct;
	struct tn_arena *scratch;
	struct tn_budget_share held;
	bool no_memory;          /* For a text of some row. */
	bool errors_null;
	const _Atomic bool *left;            /* NULL, or true: stop. */
};

static uint64_t
rows_wanted(const struct tn_exec_query *q)
{
	uint64_t limit = q->s->limit < 0 ? UINT64_MAX : (uint64_t)q->s->limit;
	uint64_t offset = q->s->offset < 0 ? 0 : (uint64_t)q->s->offset;

	/* One more than may be given tells that there are more. */
	if (q->rows_max != UINT64_MAX && q->rows_max + 1 < limit)
		limit = q->rows_max + 1;
	return limit > UINT64_MAX - offset ? UINT64_MAX : limit + offset;
}

static void
distinct_init(struct tn_exec_query *q)
{
	const struct tn_sql_select *s = q->s;
	struct tn_type *types;

	if (!s->distinct)
		return;
	types = tn_alloc(s->output_count * sizeof *types);
	for (uint32_t i = 0; i < s->output_count; i++)
		types[i] = s->outputs[i].expr->type;
	tn_exec_key_plan_init(&q->distinct_plan, types, s->output_count);
	tn_exec_keys_init(&q->distinct, &q->distinct_plan);
	tn_free(types);
}

struct tn_exec_query *
tn_exec_query_new(const struct tn_sql_select *s,
    const struct tn_exec_query_opts *opts)
{
	struct tn_exec_query *q = tn_zalloc(sizeof *q);

	q->s = s;
	q->held.class = TN_BUDGET_QUERIES;
	q->memory_max = MEMORY_DEFAULT;
	q->rows_max = UINT64_MAX;
	if (opts != NULL) {
		q->now_us = opts->now_us;
		q->errors_null = opts->errors_null;
		q->left = opts->left;
		if (opts->memory_max > 0)
			q->memory_max = opts->memory_max;
		if (opts->rows_max > 0)
			q->rows_max = opts->rows_max;
	}
	q->wanted = rows_wanted(q);
	q->scratch = tn_arena_new(64u << 10);
	distinct_init(q);
	if (s->aggregated) {
		q->program = tn_exec_program_of_query(s);
		q->fold = tn_exec_fold_new(q->program);
	}
	return q;
}

void
tn_exec_query_free(struct tn_exec_query *q)
{
	if (q == NULL)
		return;
	tn_budget_set(&q->held, 0);
	tn_exec_fold_free(q->fold);
	tn_exec_program_free(q->program);
	tn_exec_heap_fini(&q->heap);
	tn_exec_keys_fini(&q->distinct);
	tn_exec_key_plan_fini(&q->distinct_plan);
	tn_arena_free(q->scratch);
	tn_free(q);
}

void
tn_exec_query_hidden(const struct tn_sql_select *s, uint8_t used[static 2])
{
	used[0] |= s->join_count > 0;
	for (uint32_t k = 0; k < s->agg_count; k++)
		used[1] |= s->aggs[k].kind == TN_AGG_FIRST ||
		    s->aggs[k].kind == TN_AGG_LAST;
}

/* ---- failures -------------------------------------------------------- */

static enum tn_status
row_error(const struct tn_exec_env *env, struct tn_diag *d)
{
	(void)tn_diag_set(d, TN_EINVAL, "row_error", "%s", env->message);
	tn_diag_hint(d, "A row cannot be computed; leave such rows out with "
	    "WHERE, or guard the expression with nullif() or CASE.");
	return TN_EINVAL;
}

static enum tn_status
no_memory(struct tn_diag *d)
{
	(void)tn_diag_set(d, TN_ENOMEM, "memory_full",
	    "memory is out for the rows of the query");
	tn_diag_hint(d, "Ask again later, or read less (a range of time in "
	    "WHERE), or add LIMIT.");
	return TN_ENOMEM;
}

static enum tn_status
check_memory(struct tn_exec_query *q, struct tn_diag *d)
{
	size_t held = q->heap.bytes * 2 + tn_arena_bytes(q->scratch);

	if (q->s->distinct)
		held += tn_exec_keys_bytes(&q->distinct);
	if (q->fold != NULL)
		held += tn_exec_fold_bytes(q->fold);
	if (held <= q->memory_max)
		return tn_budget_try(&q->held, held) ? TN_OK :
		    tn_budget_refuse(d);
	(void)tn_diag_set(d, TN_ELIMIT, "query_memory",
	    "the query needs more than %zu KiB of memory",
	    q->memory_max >> 10);
	tn_diag_hint(d, "Read less (a range of time in WHERE), group by "
	    "fewer or coarser values, select fewer columns, or add LIMIT.");
	return TN_ELIMIT;
}

/* ---- rows in --------------------------------------------------------- */

/* Outputs of the input in env as a batch on the scratch arena, at most
 * ${wanted} rows. False on a row error in one of them. */
static bool
outputs_batch(struct tn_exec_query *q, uint64_t wanted,
    struct tn_exec_env *env, struct tn_batch *out)
{
	const struct tn_sql_select *s = q->s;
	uint32_t rows = env->batch->rows;
	uint64_t before = env->errors;
	uint32_t first = 0;
	struct tn_field *fields;
	struct tn_schema *schema;
	uint32_t count = s->output_count + s->output_hidden;

	env->error_rows = tn_arena_zalloc(env->arena, rows);
	out->columns = tn_exec_outputs(s, true, env);
	if (env->errors > before) {
		while (first < rows && env->error_rows[first] == 0)
			first++;
		if (first < wanted && !q->errors_null)
			return false;
	}
	env->error_rows = NULL;
	env->errors = before;
	schema = tn_arena_alloc(env->arena, sizeof *schema);
	fields = tn_arena_zalloc(env->arena, count * sizeof *fields);
	for (uint32_t i = 0; i < count; i++) {
		fields[i].name = s->outputs[i].name != NULL ?
		    s->outputs[i].name : "";
		fields[i].type = out->columns[i].type;
	}
	*schema = (struct tn_schema){ .name = "result", .count = count,
	    .fields = fields };
	out->schema = schema;
	out->rows = rows;
	out->refs = 1;
	return true;
}

/* Rows whose outputs were not seen before; returns how many. */
static uint32_t
distinct_rows(struct tn_exec_query *q, const struct tn_batch *b,
    struct tn_arena *a, uint32_t *rows)
{
	uint32_t next = q->distinct.count;
	uint32_t n = 0;
	uint64_t *words;
	uint32_t *ids;

	words = tn_exec_keys_words(&q->distinct_plan, a, b->columns, b->rows);
	ids = tn_arena_alloc(a, b->rows * 4ul);
	tn_exec_keys_map(&q->distinct, a, words, b->rows, ids);
	for (uint32_t i = 0; i < b->rows; i++) {
		if (ids[i] != next)
			continue;
		rows[n++] = i;
		next++;
	}
	tn_assert(next == q->distinct.count);
	return n;
}

/* Keep only the first ${wanted} rows in the order asked for. TN_ENOMEM. */
static enum tn_status
cut_heap(struct tn_exec_query *q)
{
	struct tn_batch *all;
	struct tn_batch *few = NULL;
	uint32_t *rows = NULL;
	uint64_t top = q->wanted * 4;
	enum tn_status st;

	if (q->s->order_count == 0 || q->wanted > TN_SORT_ROWS_MAX)
		return TN_OK;
	if (q->heap.rows < (top < TOP_ROWS_MIN ? TOP_ROWS_MIN : top))
		return TN_OK;
	st = tn_exec_heap_take(&q->heap, &all);
	if (st != TN_OK)
		return st;
	rows = tn_exec_order_rows(q->s, all);
	if (rows != NULL)
		few = tn_record_batch_take(all, rows, (uint32_t)q->wanted);
	st = few == NULL ? TN_ENOMEM : tn_exec_heap_add(&q->heap, few);
	tn_free(rows);
	tn_record_batch_unref(all);
	return st;
}

static enum tn_status
plain_slice(struct tn_exec_query *q, struct tn_exec_env *env,
    struct tn_diag *d)
{
	bool bounded = q->s->order_count == 0;
	uint64_t left = UINT64_MAX;
	struct tn_batch b = { .arena = env->arena };
	struct tn_batch *kept;
	uint32_t *rows;
	uint32_t n;

	if (bounded && q->wanted != UINT64_MAX)
		left = q->wanted - q->heap.rows;
	if (!outputs_batch(q, left, env, &b))
		return q->no_memory ? no_memory(d) : row_error(env, d);
	if (q->no_memory)
		return no_memory(d);
	n = b.rows;
	rows = tn_arena_alloc(env->arena, n * 4ul);
	for (uint32_t i = 0; i < n; i++)
		rows[i] = i;
	if (q->s->distinct)
		n = distinct_rows(q, &b, env->arena, rows);
	if (n > left)
		n = (uint32_t)left;
	kept = n > 0 ? tn_record_batch_take(&b, rows, n) : NULL;
	if (n > 0 && (kept == NULL || tn_exec_heap_add(&q->heap, kept) !=
	    TN_OK))
		return no_memory(d);
	if (cut_heap(q) != TN_OK)
		return no_memory(d);
	return bounded && q->heap.rows >= q->wanted ? TN_END : TN_OK;
}

static bool
nobody_waits(const struct tn_exec_query *q)
{
	return q->left != NULL && *q->left;
}

static enum tn_status
push_plain(struct tn_exec_query *q, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, struct tn_diag *d)
{
	struct tn_input in = { .s = q->s, .rows = rows, .refs = refs };
	uint32_t total = rows->batch->rows;
	enum tn_status st = TN_OK;

	if (q->s->order_count == 0 && q->heap.rows >= q->wanted)
		return TN_END;
	for (uint32_t at = 0; at < total && st == TN_OK;
	    at += TN_SLICE_ROWS) {
		uint32_t n = total - at;
		struct tn_exec_env env = { .now_us = q->now_us,
		    .arena = q->scratch, .no_memory = &q->no_memory };

		tn_arena_reset(q->scratch);
		tn_exec_input(&in, at, n < TN_SLICE_ROWS ? n : TN_SLICE_ROWS,
		    &env);
		if (q->no_memory)
			st = no_memory(d);
		else if (env.errors > 0 && !q->errors_null)
			st = row_error(&env, d);
		else if (in.batch.rows > 0)
			st = plain_slice(q, &env, d);
		if (st == TN_OK)
			st = nobody_waits(q) ? TN_ECLOSED : check_memory(q, d);
	}
	tn_arena_reset(q->scratch);
	return st;
}

static enum tn_status
push_fold(struct tn_exec_query *q, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, struct tn_diag *d)
{
	uint32_t total = rows->batch->rows;

	for (uint32_t at = 0; at < total; at += CHUNK_ROWS) {
		uint32_t n = total - at < CHUNK_ROWS ? total - at :
		    CHUNK_ROWS;
		struct tn_exec_env env = { .now_us = q->now_us,
		    .no_memory = &q->no_memory, .left = q->left };
		enum tn_status st;

		tn_exec_fold_rows(q->fold, rows, refs, at, at + n, &env);
		if (q->no_memory)
			return no_memory(d);
		if (env.errors > 0 && !q->errors_null)
			return row_error(&env, d);
		st = nobody_waits(q) ? TN_ECLOSED : check_memory(q, d);
		if (st != TN_OK)
			return st;
	}
	return TN_OK;
}

enum tn_status
tn_exec_query_push(struct tn_exec_query *q, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, struct tn_diag *d)
{
	struct tn_exec_rows in = *rows;

	if (q->s->source_kind != TN_SQL_STREAM) {
		in.offset = q->pushed;
		q->pushed += rows->batch->rows;
	}
	return q->s->aggregated ? push_fold(q, &in, refs, d) :
	    push_plain(q, &in, refs, d);
}

/* ---- the result ------------------------------------------------------ */

static struct tn_batch *
no_rows(const struct tn_sql_select *s)
{
	struct tn_arena *a = tn_arena_new(1024);
	uint32_t count = s->output_count + s->output_hidden;
	struct tn_field *fields = tn_arena_zalloc(a, count * sizeof *fields);
	struct tn_column *cols = tn_arena_alloc(a, count * sizeof *cols);
	struct tn_schema schema = { .name = "result", .count = count,
	    .fields = fields };

	for (uint32_t i = 0; i < count; i++) {
		fields[i].name = s->outputs[i].name != NULL ?
		    s->outputs[i].name : "";
		fields[i].type = s->outputs[i].expr->type;
		cols[i] = tn_exec_column_null(a, fields[i].type, 0);
	}
	return tn_record_batch_new(a, tn_exec_schema_copy(a, &schema), 0,
	    cols);
}

/* Rows of an aggregated query that were not seen before. Takes ${b}. */
static enum tn_status
distinct_of(struct tn_exec_query *q, struct tn_batch *b,
    struct tn_batch **out)
{
	uint32_t *rows = tn_try_alloc(b->rows * 4ul);
	uint32_t n;

	tn_arena_reset(q->scratch);
	if (rows != NULL) {
		n = distinct_rows(q, b, q->scratch, rows);
		*out = tn_record_batch_take(b, rows, n);
	}
	tn_free(rows);
	tn_record_batch_unref(b);
	return *out == NULL ? TN_ENOMEM : TN_OK;
}

/* All rows of the query before ORDER BY and LIMIT. */
static enum tn_status
gather(struct tn_exec_query *q, struct tn_batch **out, struct tn_diag *d)
{
	struct tn_exec_env env = { .now_us = q->now_us,
	    .no_memory = &q->no_memory };
	struct tn_batch *b = NULL;

	*out = NULL;
	if (!q->s->aggregated) {
		if (tn_exec_heap_take(&q->heap, out) != TN_OK)
			return no_memory(d);
		if (*out == NULL)
			*out = no_rows(q->s);
		return TN_OK;
	}
	b = tn_exec_fold_result(q->fold, true, &env);
	if (q->no_memory || (env.errors > 0 && !q->errors_null)) {
		tn_record_batch_unref(b);
		return q->no_memory ? no_memory(d) : row_error(&env, d);
	}
	if (q->s->distinct)
		return distinct_of(q, b, out) == TN_OK ? TN_OK : no_memory(d);
	*out = b;
	return TN_OK;
}

/* Rows [from, from + n) in the order asked for, visible columns only. NULL:
 * memory is out. */
static struct tn_batch *
arrange(const struct tn_sql_select *s, const struct tn_batch *all,
    uint64_t from, uint32_t n)
{
	struct tn_batch view = *all;
	struct tn_batch *out;
	uint32_t *rows;

	if (s->order_count > 0) {
		rows = tn_exec_order_rows(s, all);
	} else {
		rows = tn_try_alloc(all->rows * 4ul);
		for (uint32_t i = 0; rows != NULL && i < all->rows; i++)
			rows[i] = i;
	}
	if (rows == NULL)
		return NULL;
	if (s->schema != NULL)
		view.schema = s->schema;
	tn_assert(view.schema->count <= all->schema->count);
	out = tn_record_batch_take(&view, rows + from, n);
	tn_free(rows);
	return out;
}

enum tn_status
tn_exec_query_finish(struct tn_exec_query *q, struct tn_batch **out,
    bool *truncated, struct tn_diag *d)
{
	const struct tn_sql_select *s = q->s;
	struct tn_batch *all;
	enum tn_status st = gather(q, &all, d);
	uint64_t from = s->offset < 0 ? 0 : (uint64_t)s->offset;
	uint64_t n;

	if (st != TN_OK)
		return st;
	if (from > all->rows)
		from = all->rows;
	n = all->rows - from;
	if (s->limit >= 0 && n > (uint64_t)s->limit)
		n = (uint64_t)s->limit;
	if (truncated != NULL)
		*truncated = n > q->rows_max;
	if (n > q->rows_max)
		n = q->rows_max;
	if (n == all->rows && s->order_count == 0 && s->output_hidden == 0) {
		*out = all;
		return TN_OK;
	}
	*out = arrange(s, all, from, (uint32_t)n);
	tn_record_batch_unref(all);
	if (*out == NULL)
		return no_memory(d);
	tn_assert((*out)->rows == n);
	return TN_OK;
}

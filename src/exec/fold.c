/* Folds: programs, groups, and rows going in.
 *
 *   rows -> input (rows.c) -> group values -> key words -> group ids
 *                                         \-> codes ----/ (fold_codes.c)
 *        -> for each aggregate one loop over (group id, value)
 *
 * Rows are taken in slices of TN_SLICE_ROWS, so that all that a slice needs
 * stays in the second-level cache; its scratch memory is an arena of the
 * fold, reset each time. Texts that are grouped, counted or kept may come and
 * stay as dictionary columns.
 *
 * Row errors make values null and are counted. A FILTER shields its
 * aggregate's arguments from errors of rows that it leaves out. */
#include "exec/fold_int.h"

#include <stdio.h>

#define SCRATCH_BLOCK (64u << 10)
#define CALL_BLOCK 1024u

/* ---- programs -------------------------------------------------------- */

static void
plan_keys(struct tn_exec_program *p)
{
	const struct tn_sql_select *s = p->s;
	struct tn_type *types = tn_alloc(s->group_count * sizeof *types);

	for (uint32_t i = 0; i < s->group_count; i++)
		types[i] = s->groups[i]->type;
	tn_exec_key_plan_init(&p->keys, types, s->group_count);
	tn_free(types);
}

/* What is faster when states are never merged nor saved. */
static const struct tn_agg_class *
class_in_query(const struct tn_agg *a)
{
	if (a->class == &tn_exec_agg_percentile)
		return &tn_exec_agg_bag;
	if (a->class == &tn_exec_agg_distinct && a->type[0].id == TN_T_TEXT)
		return &tn_exec_agg_ids;
	if (a->class == &tn_exec_agg_first && a->form[0] == TN_FORM_TEXT &&
	    a->form[1] == TN_FORM_INT)
		return &tn_exec_agg_recent;
	return a->class;
}

static bool
same_column(const struct tn_sql_expr *x, const struct tn_sql_expr *y)
{
	return x->node == TN_SQL_COLUMN && y->node == TN_SQL_COLUMN &&
	    x->column == y->column;
}

/* min or max that the time of a first or last may be. */
static bool
may_be_time(const struct tn_agg *a)
{
	return a->form[0] == TN_FORM_INT && (a->sql->kind == TN_AGG_MIN ||
	    a->sql->kind == TN_AGG_MAX);
}

/* Does the state of ${of} tell ${a}, too? */
static bool
tells(const struct tn_agg *of, const struct tn_agg *a)
{
	if (of->shared || of->sql->filter != NULL || a->sql->filter != NULL)
		return false;
	if (a->class == &tn_exec_agg_bag)
		return of->class == a->class &&
		    same_column(of->sql->args[0], a->sql->args[0]);
	return of->class == &tn_exec_agg_recent && may_be_time(a) &&
	    (of->sql->kind == TN_AGG_LAST) == (a->sql->kind == TN_AGG_MAX) &&
	    same_column(of->sql->args[1], a->sql->args[0]);
}

/* In a query, p50 and p95 of one column keep its values once, and max(ts) is
 * what last(x, ts) is the last by. */
static bool
share(struct tn_exec_program *p, uint32_t k)
{
	struct tn_agg *a = &p->aggs[k];
	uint32_t end = may_be_time(a) ? p->s->agg_count : k;

	for (uint32_t j = 0; p->query && j < end && !a->shared; j++) {
		if (j == k || !tells(&p->aggs[j], a))
			continue;
		a->at = p->aggs[j].at;
		a->shared = true;
		if (may_be_time(a))
			a->class = &tn_exec_agg_recent_by;
	}
	return a->shared;
}

static void
place(struct tn_exec_program *p, uint32_t k, struct tn_buf *mark)
{
	struct tn_agg *a = &p->aggs[k];

	a->at = p->width;
	if (share(p, k))
		return;
	p->width += a->class->size;
	p->flat &= a->class->flat;
	p->offsets |= a->class->offsets;
	p->holistic |= a->class->holistic;
	tn_buf_str(mark, a->class->name);
	tn_buf_printf(mark, " %d %d %d %d %d %.17g;", (int)a->sql->kind,
	    a->type[0].id, a->type[0].scale, a->type[1].id, a->type[1].scale,
	    a->sql->fraction);
}

static void
plan_aggs(struct tn_exec_program *p)
{
	const struct tn_sql_select *s = p->s;
	struct tn_buf mark = { .n = 0 };

	p->aggs = tn_arena_zalloc(p->arena, s->agg_count * sizeof *p->aggs);
	p->flat = true;
	for (uint32_t k = 0; k < s->agg_count; k++) {
		tn_exec_agg_init(&p->aggs[k], &s->aggs[k]);
		if (p->query)
			p->aggs[k].class = class_in_query(&p->aggs[k]);
	}
	/* Those that may share the state of a later one come last. */
	for (uint32_t k = 0; k < s->agg_count; k++)
		if (!p->query || !may_be_time(&p->aggs[k]))
			place(p, k, &mark);
	for (uint32_t k = 0; k < s->agg_count; k++)
		if (p->query && may_be_time(&p->aggs[k]))
			place(p, k, &mark);
	p->mark = (uint16_t)tn_hash64(mark.p, mark.n, 0);
	tn_buf_fini(&mark);
}

static struct tn_field
field(struct tn_arena *a, const char *prefix, uint32_t i, struct tn_type t)
{
	return (struct tn_field){ .name = tn_arena_printf(a, "%s%u", prefix,
	    i), .type = t };
}

static struct tn_schema *
schema_new(struct tn_arena *a, const char *name, uint32_t count,
    struct tn_field **fields)
{
	struct tn_schema *s = tn_arena_alloc(a, sizeof *s);

	*fields = tn_arena_zalloc(a, count * sizeof **fields);
	*s = (struct tn_schema){ .name = name, .count = count,
	    .fields = *fields };
	return s;
}

static void
plan_schemas(struct tn_exec_program *p)
{
	const struct tn_sql_select *s = p->s;
	struct tn_field *to;

	p->second = schema_new(p->arena, "second",
	    s->group_count + s->agg_count, &to);
	for (uint32_t i = 0; i < s->group_count; i++)
		*to++ = field(p->arena, "g", i, s->groups[i]->type);
	for (uint32_t i = 0; i < s->agg_count; i++)
		*to++ = field(p->arena, "a", i, s->aggs[i].type);
	p->saved = schema_new(p->arena, "states",
	    s->output_count + 1 + s->group_count + 1, &to);
	for (uint32_t i = 0; i < s->output_count; i++)
		*to++ = (struct tn_field){ .name = tn_arena_strdup(p->arena,
		    s->outputs[i].name), .type = s->outputs[i].expr->type };
	*to++ = (struct tn_field){ .name = "_visible",
	    .type = tn_record_type(TN_T_BOOL), .not_null = true };
	for (uint32_t i = 0; i < s->group_count; i++)
		*to++ = field(p->arena, "_k", i, s->groups[i]->type);
	*to = (struct tn_field){ .name = "_state",
	    .type = tn_record_type(TN_T_BYTES), .not_null = true };
}

static struct tn_exec_program *
program_make(const struct tn_sql_select *s, bool query)
{
	struct tn_exec_program *p = tn_zalloc(sizeof *p);

	tn_assert(s->aggregated);
	p->s = s;
	p->query = query;
	p->arena = tn_arena_new(2048);
	plan_keys(p);
	plan_aggs(p);
	plan_schemas(p);
	return p;
}

struct tn_exec_program *
tn_exec_program_new(const struct tn_sql_select *s)
{
	return program_make(s, false);
}

struct tn_exec_program *
tn_exec_program_of_query(const struct tn_sql_select *s)
{
	return program_make(s, true);
}

void
tn_exec_program_state_max(struct tn_exec_program *p, size_t bytes)
{
	/* The smallest set has room always. */
	p->state_max = bytes > 0 && bytes < TN_SET_BYTES_MIN ?
	    TN_SET_BYTES_MIN : bytes;
}

void
tn_exec_program_free(struct tn_exec_program *p)
{
	if (p == NULL)
		return;
	tn_exec_key_plan_fini(&p->keys);
	tn_arena_free(p->arena);
	tn_free(p);
}

/* ---- folds ----------------------------------------------------------- */

struct tn_exec_fold *
tn_exec_fold_new(const struct tn_exec_program *p)
{
	struct tn_exec_fold *f = tn_zalloc(sizeof *f);

	f->program = p;
	tn_exec_keys_init(&f->keys, &p->keys);
	return f;
}

static void
drop_states(struct tn_exec_fold *f)
{
	const struct tn_exec_program *p = f->program;

	if (p->flat)
		return;
	for (uint32_t k = 0; k < p->s->agg_count; k++) {
		const struct tn_agg *a = &p->aggs[k];

		if (a->class->flat || a->shared)
			continue;
		for (uint32_t g = 0; g < f->keys.count; g++)
			a->class->drop(f, tn_fold_state(f, g) + a->at);
	}
	tn_assert(f->aside == 0);
}

void
tn_exec_fold_free(struct tn_exec_fold *f)
{
	if (f == NULL)
		return;
	if (f->states_cap > 0)
		drop_states(f);
	tn_exec_keys_fini(&f->keys);
	tn_exec_codes_free(f->codes);
	tn_arena_free(f->call_arena);
	tn_arena_free(f->scratch);
	if (f->exact != NULL)
		tn_free(f->exact->aggs);
	tn_free(f->exact);
	tn_free(f->states);
	tn_free(f->changed);
	tn_free(f->touched);
	tn_free(f);
}

uint32_t
tn_exec_fold_groups(const struct tn_exec_fold *f)
{
	return f->keys.count;
}

size_t
tn_exec_fold_bytes(const struct tn_exec_fold *f)
{
	size_t n = sizeof *f + tn_exec_keys_bytes(&f->keys) + f->aside +
	    tn_exec_codes_bytes(f->codes);

	n += (size_t)f->states_cap * f->program->width;
	if (f->changed != NULL)
		n += (size_t)f->states_cap * 5;
	if (f->call_arena != NULL)
		n += tn_arena_bytes(f->call_arena);
	return n + (f->scratch != NULL ? tn_arena_bytes(f->scratch) : 0);
}

void
tn_exec_fold_grow(struct tn_exec_fold *f)
{
	size_t width = f->program->width;
	uint32_t old = f->states_cap;
	uint32_t cap = f->keys.cap;

	if (f->keys.count <= old)
		return;
	f->states = tn_realloc(f->states, cap * width);
	memset(f->states + old * width, 0, (cap - old) * width);
	if (f->changed != NULL) {
		f->changed = tn_realloc(f->changed, cap);
		memset(f->changed + old, 0, cap - old);
		f->touched = tn_realloc(f->touched, cap * 4ul);
	}
	f->states_cap = cap;
}

uint32_t
tn_exec_fold_group(struct tn_exec_fold *f, const uint64_t *words,
    uint64_t hash, bool *fresh)
{
	uint32_t g = tn_exec_keys_put(&f->keys, words, hash, fresh);

	tn_exec_fold_grow(f);
	return g;
}

void
tn_exec_fold_touch(struct tn_exec_fold *f, uint32_t group)
{
	if (f->changed == NULL || f->changed[group])
		return;
	f->changed[group] = 1;
	f->touched[f->touched_count++] = group;
}

/* ---- rows in --------------------------------------------------------- */

/* A slice with its groups. */
struct slice {
	const struct tn_batch *batch;
	const uint32_t *groups;
	const uint64_t *offsets;
	const uint8_t *keep;     /* Rows of groups asked for; NULL: all. */
	uint32_t rows;
};

static uint32_t *
map_groups(struct tn_exec_fold *f, struct tn_exec_env *env)
{
	const struct tn_sql_select *s = f->program->s;
	uint32_t n = env->batch->rows;
	uint32_t *ids = tn_arena_alloc(env->arena, (size_t)n * 4);
	struct tn_column *cols;
	uint64_t *words;

	if (s->group_count == 0)
		memset(ids, 0, n * 4ul);
	cols = tn_arena_alloc(env->arena, s->group_count * sizeof *cols);
	for (uint32_t i = 0; i < s->group_count; i++)
		cols[i] = tn_exec_eval_column(s->groups[i], env, false);
	if (f->exact != NULL) {
		words = tn_exec_keys_words(&f->program->keys, env->arena,
		    cols, n);
		tn_exec_keys_look(&f->keys, env->arena, words,
		    s->group_count > 0 ? n : 1, ids);
		return ids;
	}
	if (!tn_exec_codes_map(f, env->arena, cols, n, ids)) {
		n = s->group_count > 0 ? n : 1;
		words = tn_exec_keys_words(&f->program->keys, env->arena,
		    cols, n);
		tn_exec_keys_map(&f->keys, env->arena, words, n, ids);
		n = env->batch->rows;
	}
	tn_exec_fold_grow(f);
	for (uint32_t i = 0; f->changed != NULL && i < n; i++)
		tn_exec_fold_touch(f, ids[i]);
	return ids;
}

/* In an exact fold: only rows of its groups. False: there are none. */
static bool
keep_asked(struct slice *in, uint32_t *groups, struct tn_arena *arena)
{
	uint8_t *keep = tn_arena_alloc(arena, in->rows);
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->rows; i++) {
		keep[i] = groups[i] != UINT32_MAX;
		n += keep[i];
		if (!keep[i])
			groups[i] = 0;
	}
	in->keep = n < in->rows ? keep : NULL;
	return n > 0;
}

/* The rows of ${in} where keep is set, with the columns that the arguments
 * of ${a} use. */
static void
sub_slice(const struct tn_sql_agg *a, const struct slice *in,
    const uint8_t *keep, struct tn_arena *arena, struct slice *out,
    struct tn_batch *batch)
{
	uint32_t *rows = tn_arena_alloc(arena, in->rows * 4ul);
	uint32_t *groups = tn_arena_alloc(arena, in->rows * 4ul);
	uint64_t *offsets = tn_arena_alloc(arena, in->rows * 8ul);
	uint32_t columns = in->batch->schema->count;
	uint8_t *used = tn_arena_zalloc(arena, columns + 1ul);
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->rows; i++) {
		if (!keep[i])
			continue;
		groups[n] = in->groups[i];
		if (in->offsets != NULL)
			offsets[n] = in->offsets[i];
		rows[n++] = i;
	}
	tn_exec_expr_columns(a->args[0], used);
	tn_exec_expr_columns(a->args[1], used);
	*batch = *in->batch;
	batch->rows = n;
	batch->columns = tn_arena_zalloc(arena,
	    columns * sizeof *batch->columns);
	for (uint32_t c = 0; c < columns; c++) {
		batch->columns[c].rows = n;
		if (used[c])
			batch->columns[c] = tn_exec_column_take(arena,
			    &in->batch->columns[c], rows, n);
	}
	*out = (struct slice){ .batch = batch, .groups = groups, .rows = n,
	    .offsets = in->offsets != NULL ? offsets : NULL };
}

/* Loops over numbers want plain values; texts may stay a dictionary. */
static void
eval_args(const struct tn_agg *a, struct tn_exec_env *env,
    struct tn_column args[static 2])
{
	for (int i = 0; i < 2; i++)
		if (a->sql->args[i] != NULL)
			args[i] = tn_exec_eval_column(a->sql->args[i], env,
			    a->form[i] != TN_FORM_TEXT);
}

static const uint8_t *
both(struct tn_arena *arena, const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint8_t *out;

	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	out = tn_arena_alloc(arena, n);
	for (uint32_t i = 0; i < n; i++)
		out[i] = a[i] & b[i];
	return out;
}

/* One aggregate over a slice. The arguments are evaluated over all rows
 * first; only if that raises errors while there is a filter, again over the
 * rows that pass it. */
static void
apply_agg(struct tn_exec_fold *f, const struct tn_agg *a, struct slice in,
    struct tn_exec_env *env)
{
	struct tn_exec_env trial = *env;
	struct tn_column args[2] = { { .rows = 0 } };
	const uint8_t *keep = in.keep;
	const uint8_t *valid = NULL;
	struct tn_batch batch;

	if (a->sql->filter != NULL) {
		uint8_t *pass = tn_arena_alloc(env->arena, in.rows);

		tn_exec_filter(a->sql->filter, env, pass);
		keep = both(env->arena, keep, pass, in.rows);
		trial = *env;
	}
	eval_args(a, &trial, args);
	if (keep != NULL && trial.errors > env->errors) {
		sub_slice(a->sql, &in, keep, env->arena, &in, &batch);
		keep = NULL;
		trial = *env;
		trial.batch = in.batch;
		eval_args(a, &trial, args);
		trial.batch = env->batch;
	}
	*env = trial;
	if (in.rows == 0 || (a->sql->args[0] != NULL &&
	    !a->class->null_args && a->form[0] == TN_FORM_NONE))
		return;
	if (a->sql->args[0] != NULL && !a->class->null_args)
		valid = tn_exec_valid_bytes(env->arena, &args[0]);
	a->class->apply(&(struct tn_agg_run){ .fold = f, .agg = a,
	    .arena = env->arena, .rows = in.rows, .groups = in.groups,
	    .args = { &args[0], &args[1] }, .offsets = in.offsets,
	    .keep = both(env->arena, keep, valid, in.rows),
	    .states = f->states + a->at, .width = f->program->width,
	    .memo = &f->memos[a - f->program->aggs] });
}

/* What is known of a batch's dictionaries holds for all of its rows. */
static void
call_begin(struct tn_exec_fold *f)
{
	if (f->call_arena == NULL)
		f->call_arena = tn_arena_new(CALL_BLOCK);
	tn_arena_reset(f->call_arena);
	f->memos = tn_arena_zalloc(f->call_arena,
	    (f->program->s->agg_count + 1ul) * sizeof *f->memos);
	f->call++;
	tn_exec_codes_begin(f->codes);
}

void
tn_exec_fold_rows(struct tn_exec_fold *f, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, uint32_t at, uint32_t end,
    struct tn_exec_env *env)
{
	const struct tn_exec_program *p = f->program;
	struct tn_input in = { .s = p->s, .rows = rows, .refs = refs,
	    .offsets_wanted = p->offsets };

	if (f->scratch == NULL)
		f->scratch = tn_arena_new(SCRATCH_BLOCK);
	env->arena = f->scratch;
	if (at == 0)
		call_begin(f);
	for (; at < end; at += TN_SLICE_ROWS) {
		uint32_t n = end - at;
		uint32_t *ids;
		struct slice slice;

		if (env->left != NULL && *env->left)
			break;
		tn_arena_reset(f->scratch);
		tn_exec_input(&in, at, n < TN_SLICE_ROWS ? n : TN_SLICE_ROWS,
		    env);
		if (in.batch.rows == 0)
			continue;
		slice = (struct slice){ .batch = &in.batch,
		    .rows = in.batch.rows, .offsets = in.offsets };
		ids = map_groups(f, env);
		slice.groups = ids;
		if (f->exact != NULL && !keep_asked(&slice, ids, f->scratch))
			continue;
		for (uint32_t k = 0; k < p->s->agg_count; k++)
			if (!p->aggs[k].shared && (f->exact == NULL ||
			    f->exact->aggs[k]))
				apply_agg(f, &p->aggs[k], slice, env);
	}
	tn_arena_reset(f->scratch);
	env->batch = NULL;
	env->arena = NULL;
}

void
tn_exec_fold_apply(struct tn_exec_fold *f, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, uint64_t *errors)
{
	struct tn_exec_env env = { .now_us = rows->received_us,
	    .left = f->left };

	tn_exec_fold_rows(f, rows, refs, 0, rows->batch->rows, &env);
	if (errors != NULL)
		*errors += env.errors;
}

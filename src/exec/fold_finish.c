/* Results of folds: the second space (group values and aggregate results) of
 * the groups in key order, HAVING, and the outputs over it.
 *
 * Everything lives in one arena that the result batch takes: columns of the
 * second space that an output just names are not copied. Outputs are
 * evaluated only for groups that HAVING keeps, so an error in a group that
 * is left out is none. */
#include "exec/fold_int.h"

#define ARENA_BLOCK (16u << 10)
#define SMALL_BYTES 4096

/* ---- the second space ------------------------------------------------ */

static void
agg_text(const struct tn_exec_fold *f, const struct tn_agg *a,
    const uint32_t *ids, struct tn_exec_env *env, struct tn_column *out,
    uint8_t *valid)
{
	uint32_t n = out->rows;
	uint32_t *offsets = tn_arena_alloc(env->arena, (n + 1ul) * 4);
	struct tn_slice *texts = tn_arena_alloc(env->arena,
	    n * sizeof *texts);
	size_t total = 0;
	uint8_t *bytes;

	for (uint32_t i = 0; i < n; i++) {
		struct tn_value v = { .text = { NULL, 0 } };

		offsets[i] = (uint32_t)total;
		texts[i].n = 0;
		if (!a->class->value(a, tn_fold_state(f, ids[i]) + a->at, &v,
		    env))
			continue;
		texts[i] = v.text;
		total += v.text.n;
		tn_assert(total <= TN_BATCH_TEXT_MAX);
		valid[i >> 3] |= (uint8_t)(1 << (i & 7));
	}
	offsets[n] = (uint32_t)total;
	bytes = tn_arena_alloc(env->arena, total + 1);
	for (uint32_t i = 0; i < n; i++)
		if (texts[i].n > 0)
			memcpy(bytes + offsets[i], texts[i].p, texts[i].n);
	out->offsets = offsets;
	out->bytes = bytes;
}

/* In the order of groups, not of results: states, and what they have aside, lie
 * one behind the other. */
static void
agg_fixed(const struct tn_exec_fold *f, const struct tn_agg *a,
    const uint32_t *ids, struct tn_exec_env *env, struct tn_column *out,
    uint8_t *valid)
{
	size_t width = tn_record_type_width(out->type);
	uint8_t *values = tn_arena_zalloc(env->arena, out->rows * width);
	uint32_t *rows = tn_arena_alloc(env->arena, out->rows * 4ul);

	tn_assert(out->rows == f->keys.count);
	for (uint32_t i = 0; i < out->rows; i++)
		rows[ids[i]] = i;
	for (uint32_t g = 0; g < out->rows; g++) {
		struct tn_value v = { .w = { 0 } };
		uint32_t i = rows[g];

		if (!a->class->value(a, tn_fold_state(f, g) + a->at, &v, env))
			continue;
		tn_exec_value_store(out->type, &v, values, i);
		valid[i >> 3] |= (uint8_t)(1 << (i & 7));
	}
	out->values = values;
}

static struct tn_column
agg_column(const struct tn_exec_fold *f, const struct tn_agg *a,
    const uint32_t *ids, uint32_t n, struct tn_exec_env *env)
{
	struct tn_column c = { .type = a->sql->type, .rows = n };
	uint8_t *valid;

	if (c.type.id == TN_T_NONE)
		return tn_exec_column_null(env->arena, c.type, n);
	valid = tn_arena_zalloc(env->arena, (n + 63ul) / 64 * 8);
	c.valid = valid;
	if (tn_record_type_width(c.type) == 0)
		agg_text(f, a, ids, env, &c, valid);
	else
		agg_fixed(f, a, ids, env, &c, valid);
	return c;
}

/* env->arena holds it. */
static struct tn_batch *
second_space(const struct tn_exec_fold *f, const uint32_t *ids, uint32_t n,
    struct tn_exec_env *env)
{
	const struct tn_exec_program *p = f->program;
	uint32_t groups = p->s->group_count;
	struct tn_column *cols = tn_arena_alloc(env->arena,
	    p->second->count * sizeof *cols);

	for (uint32_t i = 0; i < groups; i++)
		cols[i] = tn_exec_keys_column(&f->keys, i,
		    p->s->groups[i]->type, ids, n, env->arena);
	for (uint32_t k = 0; k < p->s->agg_count; k++)
		cols[groups + k] = agg_column(f, &p->aggs[k], ids, n, env);
	return tn_record_batch_new(env->arena, p->second, n, cols);
}

/* ---- outputs --------------------------------------------------------- */

struct tn_column *
tn_exec_outputs(const struct tn_sql_select *s, bool hidden,
    struct tn_exec_env *env)
{
	uint32_t count = s->output_count + (hidden ? s->output_hidden : 0);
	struct tn_column *cols = tn_arena_alloc(env->arena,
	    (count + 1ul) * sizeof *cols);

	for (uint32_t i = 0; i < count; i++) {
		cols[i] = tn_exec_eval_column(s->outputs[i].expr, env,
		    false);
		tn_assert(cols[i].rows == env->batch->rows);
	}
	return cols;
}

/* Names of the outputs, in the arena. */
static struct tn_schema *
output_schema(const struct tn_sql_select *s, bool hidden,
    struct tn_arena *a)
{
	uint32_t count = s->output_count + (hidden ? s->output_hidden : 0);
	struct tn_field *fields = tn_arena_zalloc(a, count * sizeof *fields);
	struct tn_schema schema = { .name = "result", .count = count,
	    .fields = fields };

	for (uint32_t i = 0; i < count; i++) {
		fields[i].name = s->outputs[i].name != NULL ?
		    s->outputs[i].name : "";
		fields[i].type = s->outputs[i].expr->type;
	}
	return tn_exec_schema_copy(a, &schema);
}

/* Only rows that HAVING keeps. */
static struct tn_batch *
having_filter(const struct tn_sql_select *s, struct tn_batch *second,
    struct tn_exec_env *env)
{
	const uint32_t *rows;
	struct tn_column *cols;
	uint32_t n;

	env->batch = second;
	if (s->having == NULL)
		return second;
	rows = tn_exec_select(s->having, env, &n);
	if (rows == NULL)
		return second;
	cols = tn_arena_alloc(env->arena,
	    second->schema->count * sizeof *cols);
	for (uint32_t i = 0; i < second->schema->count; i++)
		cols[i] = tn_exec_column_take(env->arena, &second->columns[i],
		    rows, n);
	return tn_record_batch_new(env->arena, second->schema, n, cols);
}

/* A fold without GROUP BY has one group even when no row came. */
static struct tn_exec_fold *
empty_group(const struct tn_exec_fold *f)
{
	struct tn_exec_fold *one;
	struct tn_arena *a;
	uint64_t *words;
	uint32_t id;

	if (f->program->s->group_count > 0 || f->keys.count > 0)
		return NULL;
	one = tn_exec_fold_new(f->program);
	a = tn_arena_new(256);
	words = tn_exec_keys_words(&f->program->keys, a, NULL, 1);
	tn_exec_keys_map(&one->keys, a, words, 1, &id);
	tn_exec_fold_grow(one);
	tn_arena_free(a);
	tn_assert(one->keys.count == 1);
	return one;
}

struct tn_batch *
tn_exec_fold_result(const struct tn_exec_fold *f, bool hidden,
    struct tn_exec_env *env)
{
	const struct tn_sql_select *s = f->program->s;
	struct tn_arena *arena = tn_arena_new(ARENA_BLOCK);
	struct tn_exec_fold *empty = empty_group(f);
	const struct tn_exec_fold *from = empty != NULL ? empty : f;
	uint32_t *ids = tn_exec_keys_sorted(&from->keys);
	struct tn_batch *second;
	struct tn_column *cols;

	env->arena = arena;
	second = second_space(from, ids, from->keys.count, env);
	second = having_filter(s, second, env);
	env->batch = second;
	cols = tn_exec_outputs(s, hidden, env);
	env->batch = NULL;
	env->arena = NULL;
	tn_free(ids);
	tn_exec_fold_free(empty);
	return tn_record_batch_new(arena, output_schema(s, hidden, arena),
	    second->rows, cols);
}

struct tn_batch *
tn_exec_fold_finish(const struct tn_exec_fold *f, uint64_t *errors)
{
	struct tn_exec_env env = { .now_us = 0 };
	struct tn_batch *b = tn_exec_fold_result(f, false, &env);

	if (errors != NULL)
		*errors += env.errors;
	return b;
}

/* ---- for gold files -------------------------------------------------- */

static struct tn_column
visible_column(const struct tn_sql_select *s, struct tn_exec_env *env)
{
	uint32_t n = env->batch->rows;
	uint8_t *v = tn_arena_alloc(env->arena, n);

	memset(v, 1, n);
	if (s->having != NULL && n > 0)
		tn_exec_filter(s->having, env, v);
	return (struct tn_column){ .type = tn_record_type(TN_T_BOOL),
	    .rows = n, .values = v };
}

/* A few groups are a small allocation: a fold without any, which callers make
 * for its shape, is always saved. */
static void *
hold(struct tn_arena *a, size_t n)
{
	return n <= SMALL_BYTES ? tn_arena_alloc(a, n) :
	    tn_arena_try_alloc(a, n);
}

/* False when memory is out. */
static bool
state_column(const struct tn_exec_fold *f, const uint32_t *ids,
    struct tn_arena *a, struct tn_column *out)
{
	uint32_t n = f->keys.count;
	uint32_t *offsets = hold(a, (n + 1ul) * 4);
	struct tn_buf buf = { .max = TN_BATCH_TEXT_MAX };
	uint8_t *bytes = NULL;

	for (uint32_t i = 0; offsets != NULL && i < n; i++) {
		offsets[i] = (uint32_t)buf.n;
		tn_exec_state_save(f, ids[i], &buf);
	}
	tn_assert(tn_buf_status(&buf) != TN_ELIMIT);
	if (offsets != NULL && !buf.failed)
		bytes = hold(a, buf.n + 1);
	if (bytes != NULL) {
		offsets[n] = (uint32_t)buf.n;
		if (buf.n > 0)
			memcpy(bytes, buf.p, buf.n);
	}
	tn_buf_fini(&buf);
	*out = (struct tn_column){ .type = tn_record_type(TN_T_BYTES),
	    .rows = n, .offsets = offsets, .bytes = bytes };
	return bytes != NULL;
}

struct tn_batch *
tn_exec_fold_save(const struct tn_exec_fold *f)
{
	const struct tn_exec_program *p = f->program;
	const struct tn_sql_select *s = p->s;
	struct tn_arena *arena = tn_arena_new(ARENA_BLOCK);
	struct tn_exec_env env = { .arena = arena };
	uint32_t n = f->keys.count;
	uint32_t *ids = tn_exec_keys_sorted(&f->keys);
	struct tn_batch *second = second_space(f, ids, n, &env);
	struct tn_column *cols = tn_arena_alloc(arena,
	    p->saved->count * sizeof *cols);
	struct tn_column *to = cols;
	bool done;

	env.batch = second;
	memcpy(to, tn_exec_outputs(s, false, &env),
	    s->output_count * sizeof *to);
	to += s->output_count;
	*to++ = visible_column(s, &env);
	memcpy(to, second->columns, s->group_count * sizeof *to);
	to += s->group_count;
	done = state_column(f, ids, arena, to);
	tn_free(ids);
	if (!done) {
		tn_arena_free(arena);
		return NULL;
	}
	return tn_record_batch_new(arena, tn_exec_schema_copy(arena,
	    p->saved), n, cols);
}

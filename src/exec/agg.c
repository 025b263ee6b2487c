/* Aggregates: which class does which, and the small classes: count, min and
 * max of integers and floats, bool_and and bool_or. A class is a set of
 * functions over a state of fixed size (struct tn_agg_class); all zero is the
 * state of no rows. Saved states begin with what says "no rows" in one byte.
 *
 *   count    u64
 *   min max  value, has        (8 + 8 bytes)
 *   bool     bit 0: a true was seen, bit 1: a false was seen */
#include "exec/fold_int.h"

#include <math.h>
#include <stdio.h>

/* ---- values in states ------------------------------------------------ */

void
tn_exec_value_save(struct tn_type t, const struct tn_value *v,
    struct tn_buf *out)
{
	switch (tn_exec_form(t.id)) {
	case TN_FORM_INT:
		tn_buf_varint(out, tn_zigzag((int64_t)v->w[0]));
		break;
	case TN_FORM_FLOAT:
		tn_buf_u64(out, v->w[0]);
		break;
	case TN_FORM_TEXT:
		tn_buf_varint(out, v->text.n);
		tn_buf_add(out, v->text.p, v->text.n);
		break;
	case TN_FORM_NONE:
		break;
	default:
		tn_buf_u64(out, v->w[0]);
		tn_buf_u64(out, v->w[1]);
	}
}

bool
tn_exec_value_load(struct tn_type t, struct tn_cursor *in,
    struct tn_value *v)
{
	uint64_t n;

	memset(v, 0, sizeof *v);
	switch (tn_exec_form(t.id)) {
	case TN_FORM_INT:
		v->w[0] = (uint64_t)tn_zagzig(tn_cursor_varint(in));
		break;
	case TN_FORM_FLOAT:
		v->w[0] = tn_cursor_u64(in);
		break;
	case TN_FORM_TEXT:
		n = tn_cursor_varint(in);
		if (in->failed || n > (uint64_t)(in->end - in->p))
			return false;
		v->text = tn_cursor_bytes(in, (size_t)n);
		break;
	case TN_FORM_NONE:
		break;
	default:
		v->w[0] = tn_cursor_u64(in);
		v->w[1] = tn_cursor_u64(in);
	}
	return !in->failed && tn_exec_value_check(t, v);
}

void
tn_exec_agg_fail(struct tn_exec_env *env, const char *message)
{
	if (env->errors == 0)
		(void)snprintf(env->message, sizeof env->message, "%s",
		    message);
	env->errors++;
}

/* ---- count ----------------------------------------------------------- */

static void
count_apply(const struct tn_agg_run *r)
{
	if (r->keep == NULL) {
		for (uint32_t i = 0; i < r->rows; i++)
			++*(uint64_t *)(void *)(r->states +
			    r->groups[i] * r->width);
		return;
	}
	for (uint32_t i = 0; i < r->rows; i++)
		*(uint64_t *)(void *)(r->states + r->groups[i] * r->width) +=
		    r->keep[i];
}

static void
count_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	(void)f;
	(void)a;
	*(uint64_t *)to += *(const uint64_t *)from;
}

static bool
count_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	(void)a;
	(void)env;
	v->w[0] = *(const uint64_t *)state;
	return true;
}

static void
count_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	(void)a;
	tn_buf_varint(out, *(const uint64_t *)state);
}

static bool
count_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	uint64_t n = tn_cursor_varint(in);

	(void)f;
	(void)a;
	*(uint64_t *)state = n;
	return !in->failed && n <= TN_STATE_COUNT_MAX;
}

static const struct tn_agg_class count_class = {
	.name = "count", .size = 8, .flat = true, .apply = count_apply,
	.merge = count_merge, .value = count_value, .save = count_save,
	.load = count_load,
};

/* ---- min and max ----------------------------------------------------- */

struct extreme {
	uint64_t v;
	uint64_t has;
};

static bool
wants_max(const struct tn_agg *a)
{
	return a->sql->kind == TN_AGG_MAX;
}

/* x ^ flip orders the other way for max. */
static void
int_apply(const struct tn_agg_run *r)
{
	const int64_t *v = tn_exec_widen_int(r->arena, r->args[0]);
	int64_t flip = wants_max(r->agg) ? -1 : 0;

	for (uint32_t i = 0; i < r->rows; i++) {
		struct extreme *s = (void *)(r->states +
		    r->groups[i] * r->width);

		if (r->keep != NULL && !r->keep[i])
			continue;
		if (!s->has || (v[i] ^ flip) < ((int64_t)s->v ^ flip)) {
			s->v = (uint64_t)v[i];
			s->has = 1;
		}
	}
}

/* The state holds the rank, so merging is that of integers. */
static void
float_apply(const struct tn_agg_run *r)
{
	const double *v = tn_exec_widen_float(r->arena, r->args[0]);
	int64_t flip = wants_max(r->agg) ? -1 : 0;

	for (uint32_t i = 0; i < r->rows; i++) {
		struct extreme *s = (void *)(r->states +
		    r->groups[i] * r->width);
		int64_t rank = tn_float_rank(v[i]);

		if (r->keep != NULL && !r->keep[i])
			continue;
		if (!s->has || (rank ^ flip) < ((int64_t)s->v ^ flip)) {
			s->v = (uint64_t)rank;
			s->has = 1;
		}
	}
}

static void
extreme_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct extreme *b = from;
	struct extreme *s = to;
	int64_t flip = wants_max(a) ? -1 : 0;

	(void)f;
	if (b->has && (!s->has ||
	    ((int64_t)b->v ^ flip) < ((int64_t)s->v ^ flip)))
		*s = *b;
}

static bool
extreme_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct extreme *s = state;
	double d;

	(void)env;
	v->w[0] = s->v;
	if (a->form[0] == TN_FORM_FLOAT) {
		d = tn_rank_float((int64_t)s->v);
		memcpy(v->w, &d, 8);
	}
	return s->has != 0;
}

static void
extreme_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	struct tn_value v = { .w = { 0 } };
	bool has = extreme_value(a, state, &v, NULL);

	tn_buf_char(out, has ? 1 : 0);
	if (has)
		tn_exec_value_save(a->type[0], &v, out);
}

static bool
extreme_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct extreme *s = state;
	uint8_t has = tn_cursor_u8(in);
	struct tn_value v;
	double d;

	(void)f;
	if (has == 0)
		return !in->failed;
	if (has != 1 || !tn_exec_value_load(a->type[0], in, &v))
		return false;
	s->has = 1;
	s->v = v.w[0];
	if (a->form[0] == TN_FORM_FLOAT) {
		memcpy(&d, v.w, 8);
		s->v = (uint64_t)tn_float_rank(d);
	}
	return true;
}

static const struct tn_agg_class int_class = {
	.name = "extreme", .size = sizeof(struct extreme), .flat = true,
	.apply = int_apply, .merge = extreme_merge, .value = extreme_value,
	.save = extreme_save, .load = extreme_load,
};
static const struct tn_agg_class float_class = {
	.name = "extreme", .size = sizeof(struct extreme), .flat = true,
	.apply = float_apply, .merge = extreme_merge, .value = extreme_value,
	.save = extreme_save, .load = extreme_load,
};

/* ---- bool_and, bool_or ------------------------------------------------ */

static void
bool_apply(const struct tn_agg_run *r)
{
	const uint8_t *v = r->args[0]->values;

	for (uint32_t i = 0; i < r->rows; i++)
		if (r->keep == NULL || r->keep[i])
			r->states[r->groups[i] * r->width] |= v[i] ? 1 : 2;
}

static void
bool_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	(void)f;
	(void)a;
	*(uint8_t *)to |= *(const uint8_t *)from;
}

static bool
bool_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	uint8_t seen = *(const uint8_t *)state;

	(void)env;
	v->w[0] = a->sql->kind == TN_AGG_BOOL_AND ? !(seen & 2) : seen & 1;
	return seen != 0;
}

static void
bool_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	(void)a;
	tn_buf_add(out, state, 1);
}

static bool
bool_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	uint8_t seen = tn_cursor_u8(in);

	(void)f;
	(void)a;
	*(uint8_t *)state = seen & 3;
	return !in->failed && seen <= 3;
}

static const struct tn_agg_class bool_class = {
	.name = "bool", .size = 8, .flat = true, .apply = bool_apply,
	.merge = bool_merge, .value = bool_value, .save = bool_save,
	.load = bool_load,
};

/* ---- which does which ------------------------------------------------ */

static const struct tn_agg_class *
sum_class(enum tn_form form)
{
	return form == TN_FORM_FLOAT ? &tn_exec_agg_float : &tn_exec_agg_sum;
}

static const struct tn_agg_class *
extreme_class(enum tn_form form)
{
	if (form == TN_FORM_INT)
		return &int_class;
	return form == TN_FORM_FLOAT ? &float_class : &tn_exec_agg_cell;
}

/* Those that do not depend on the argument's type. */
static const struct tn_agg_class *const classes[] = {
	[TN_AGG_COUNT_STAR] = &count_class,
	[TN_AGG_COUNT] = &count_class,
	[TN_AGG_COUNT_DISTINCT] = &tn_exec_agg_distinct,
	[TN_AGG_BOOL_AND] = &bool_class,
	[TN_AGG_BOOL_OR] = &bool_class,
	[TN_AGG_STDDEV_SAMP] = &tn_exec_agg_var,
	[TN_AGG_STDDEV_POP] = &tn_exec_agg_var,
	[TN_AGG_VAR_SAMP] = &tn_exec_agg_var,
	[TN_AGG_VAR_POP] = &tn_exec_agg_var,
	[TN_AGG_FIRST] = &tn_exec_agg_first,
	[TN_AGG_LAST] = &tn_exec_agg_first,
	[TN_AGG_ARG_MIN] = &tn_exec_agg_arg,
	[TN_AGG_ARG_MAX] = &tn_exec_agg_arg,
	[TN_AGG_APPROX_COUNT_DISTINCT] = &tn_exec_agg_hll,
	[TN_AGG_PERCENTILE_CONT] = &tn_exec_agg_percentile,
};

static const struct tn_agg_class *
class_of(enum tn_sql_agg_kind kind, enum tn_form form)
{
	if (kind == TN_AGG_SUM || kind == TN_AGG_AVG)
		return sum_class(form);
	if (kind == TN_AGG_MIN || kind == TN_AGG_MAX)
		return extreme_class(form);
	tn_assert(kind < TN_COUNT(classes) && classes[kind] != NULL);
	return classes[kind];
}

void
tn_exec_agg_init(struct tn_agg *a, const struct tn_sql_agg *sql)
{
	memset(a, 0, sizeof *a);
	a->sql = sql;
	for (int k = 0; k < 2; k++) {
		if (sql->args[k] == NULL)
			continue;
		a->type[k] = sql->args[k]->type;
		a->form[k] = tn_exec_form(a->type[k].id);
	}
	a->class = class_of(sql->kind, a->form[0]);
	tn_assert(a->class->size % 8 == 0);
}

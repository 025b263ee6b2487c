/* Aggregates that keep one of the values: min and max of the wider types,
 * first and last, arg_min and arg_max.
 *
 * A cell holds a value of any type in 16 bytes: its words, or for text a
 * pointer to an allocation of the state, its length and its room. The room
 * grows only, so that a maximum that climbs does not allocate each time.
 *
 *   cell    has, value
 *   pick    what decides (by: a time or a value), the value, and for first
 *           and last the row's offset, which breaks ties
 *
 * first and last ignore rows with a null time and keep a null value;
 * arg_min and arg_max ignore rows with a null on either side, and take the
 * smaller value on a tie. */
#include "exec/fold_int.h"

struct cell {
	uint64_t w[2];       /* Text: pointer; length and room, 32 bits each. */
};

#define ROOM_MIN 16u

static struct tn_slice
cell_text(const struct cell *c)
{
	return (struct tn_slice){ (const uint8_t *)(uintptr_t)c->w[0],
	    (uint32_t)c->w[1] };
}

static void
cell_get(enum tn_form form, const struct cell *c, struct tn_value *v)
{
	if (form == TN_FORM_TEXT) {
		v->text = cell_text(c);
		return;
	}
	v->w[0] = c->w[0];
	v->w[1] = c->w[1];
}

static void
cell_set(struct tn_exec_fold *f, enum tn_form form, struct cell *c,
    const struct tn_value *v)
{
	uint32_t room = (uint32_t)(c->w[1] >> 32);
	uint32_t need;
	uint8_t *p = (uint8_t *)(uintptr_t)c->w[0];

	if (form != TN_FORM_TEXT) {
		c->w[0] = v->w[0];
		c->w[1] = tn_form_words(form) == 2 ? v->w[1] : 0;
		return;
	}
	tn_assert(v->text.n <= UINT32_MAX - 32);
	if (p == NULL || v->text.n > room) {
		need = ((uint32_t)v->text.n + 15) & ~15u;
		if (need < ROOM_MIN)
			need = ROOM_MIN;
		p = tn_realloc(p, need);
		f->aside += need - room;
		room = need;
	}
	if (v->text.n > 0)
		memmove(p, v->text.p, v->text.n);
	c->w[0] = (uint64_t)(uintptr_t)p;
	c->w[1] = (uint64_t)room << 32 | v->text.n;
}

static void
cell_drop(struct tn_exec_fold *f, enum tn_form form, struct cell *c)
{
	if (form != TN_FORM_TEXT)
		return;
	f->aside -= c->w[1] >> 32;
	tn_free((void *)(uintptr_t)c->w[0]);
	memset(c, 0, sizeof *c);
}

/* ---- min, max -------------------------------------------------------- */

struct one {
	uint64_t form;       /* enum tn_form; 0: nothing yet. */
	struct cell v;
};

static void
one_offer(struct tn_exec_fold *f, const struct tn_agg *a, struct one *s,
    const struct tn_value *v)
{
	enum tn_form form = a->form[0];
	struct tn_value held;
	int order;

	if (s->form != 0) {
		cell_get(form, &s->v, &held);
		order = tn_exec_value_order(form, v, &held);
		if (a->sql->kind == TN_AGG_MAX ? order <= 0 : order >= 0)
			return;
	}
	s->form = form;
	cell_set(f, form, &s->v, v);
}

static void
one_apply(const struct tn_agg_run *r)
{
	struct tn_value v = { .w = { 0 } };

	for (uint32_t i = 0; i < r->rows; i++) {
		if (r->keep != NULL && !r->keep[i])
			continue;
		tn_exec_value_raw(r->args[0], i, &v);
		one_offer(r->fold, r->agg, (void *)(r->states +
		    r->groups[i] * r->width), &v);
	}
}

static void
one_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct one *b = from;
	struct tn_value v;

	if (b->form == 0)
		return;
	cell_get(a->form[0], &b->v, &v);
	one_offer(f, a, to, &v);
}

static bool
one_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct one *s = state;

	(void)env;
	cell_get(a->form[0], &s->v, v);
	return s->form != 0;
}

static void
one_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	struct tn_value v;
	bool has = one_value(a, state, &v, NULL);

	tn_buf_char(out, has ? 1 : 0);
	if (has)
		tn_exec_value_save(a->type[0], &v, out);
}

static bool
one_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	uint8_t has = tn_cursor_u8(in);
	struct tn_value v;

	if (has == 0)
		return !in->failed;
	if (has != 1 || !tn_exec_value_load(a->type[0], in, &v))
		return false;
	one_offer(f, a, state, &v);
	return true;
}

static void
one_drop(struct tn_exec_fold *f, void *state)
{
	struct one *s = state;

	cell_drop(f, (enum tn_form)s->form, &s->v);
	s->form = 0;
}

const struct tn_agg_class tn_exec_agg_cell = {
	.name = "cell", .size = sizeof(struct one), .apply = one_apply,
	.merge = one_merge, .value = one_value, .save = one_save,
	.load = one_load, .drop = one_drop,
};

/* ---- first, last, arg_min, arg_max ----------------------------------- */

struct pick {
	uint64_t offset;
	uint8_t by_form;     /* enum tn_form; 0: nothing yet. */
	uint8_t value_form;
	bool null;           /* The value is. */
	bool waits;          /* For the value: see apply_times. */
	uint8_t unused[4];
	struct cell by;
	struct cell value;
};

/* One row that wants to be kept. */
struct offer {
	uint64_t offset;
	bool null;
	struct tn_value by;
	struct tn_value value;
};

/* Does the offer come before the one held, in the order that decides. */
static bool
better(const struct tn_agg *a, const struct pick *s, const struct offer *o)
{
	enum tn_sql_agg_kind kind = a->sql->kind;
	bool up = kind == TN_AGG_FIRST || kind == TN_AGG_ARG_MIN;
	struct tn_value held;
	int order;

	cell_get(a->form[1], &s->by, &held);
	order = tn_exec_value_order(a->form[1], &o->by, &held);
	if (order != 0)
		return up ? order < 0 : order > 0;
	if (a->class->offsets)
		return up ? o->offset < s->offset : o->offset > s->offset;
	cell_get(a->form[0], &s->value, &held);
	return tn_exec_value_order(a->form[0], &o->value, &held) < 0;
}

static void
pick_offer(struct tn_exec_fold *f, const struct tn_agg *a, struct pick *s,
    const struct offer *o)
{
	if (s->by_form != 0 && !better(a, s, o))
		return;
	s->offset = o->offset;
	s->by_form = (uint8_t)a->form[1];
	s->value_form = (uint8_t)a->form[0];
	s->null = o->null;
	cell_set(f, a->form[1], &s->by, &o->by);
	if (!o->null)
		cell_set(f, a->form[0], &s->value, &o->value);
}

/* The rows of a slice that have a time, with it. */
struct times {
	const int64_t *us;
	const struct tn_column *by;
	const uint8_t *keep;
};

static inline bool
has_time(const struct times *t, uint32_t i)
{
	return (t->keep == NULL || t->keep[i]) && tn_column_valid(t->by, i);
}

/* Rows come in rough order of time, so for last nearly each one is better
 * than those before. Therefore times and offsets go first, and then only the
 * values of the rows that stayed. */
static void
take_times(const struct tn_agg_run *r, const struct times *t)
{
	int64_t flip = r->agg->sql->kind == TN_AGG_FIRST ? 0 : -1;

	for (uint32_t i = 0; i < r->rows; i++) {
		struct pick *s = (void *)(r->states + r->groups[i] * r->width);
		int64_t held = (int64_t)s->by.w[0] ^ flip;
		int64_t us = t->us[i] ^ flip;

		if (!has_time(t, i))
			continue;
		if (s->by_form != 0 && (us > held || (us == held &&
		    (r->offsets[i] ^ (uint64_t)flip) >=
		    (s->offset ^ (uint64_t)flip))))
			continue;
		s->by.w[0] = (uint64_t)t->us[i];
		s->offset = r->offsets[i];
		s->by_form = TN_FORM_INT;
		s->value_form = (uint8_t)r->agg->form[0];
		s->waits = true;
	}
}

static void
take_values(const struct tn_agg_run *r, const struct times *t)
{
	const struct tn_column *value = r->args[0];
	enum tn_form form = r->agg->form[0];
	struct tn_value v = { .w = { 0 } };

	for (uint32_t i = 0; i < r->rows; i++) {
		struct pick *s = (void *)(r->states + r->groups[i] * r->width);

		if (!s->waits || s->offset != r->offsets[i] ||
		    (int64_t)s->by.w[0] != t->us[i] || !has_time(t, i))
			continue;
		s->waits = false;
		s->null = form == TN_FORM_NONE || !tn_column_valid(value, i);
		if (s->null)
			continue;
		tn_exec_value_raw(value, i, &v);
		cell_set(r->fold, form, &s->value, &v);
	}
}

static void
pick_apply(const struct tn_agg_run *r)
{
	const struct tn_column *value = r->args[0];
	const struct tn_column *by = r->args[1];
	struct offer o = { .offset = 0 };

	if (by->type.id == TN_T_NONE)
		return;
	if (r->agg->form[1] == TN_FORM_INT && r->agg->class->offsets &&
	    by->dict == NULL) {
		struct times t = { tn_exec_widen_int(r->arena, by), by,
		    r->keep };

		take_times(r, &t);
		take_values(r, &t);
		return;
	}
	for (uint32_t i = 0; i < r->rows; i++) {
		if (r->keep != NULL && !r->keep[i])
			continue;
		if (!tn_column_valid(by, i))
			continue;
		o.null = value->type.id == TN_T_NONE ||
		    !tn_column_valid(value, i);
		if (r->offsets != NULL)
			o.offset = r->offsets[i];
		tn_exec_value_canon(by, i, &o.by);
		if (!o.null)
			tn_exec_value_raw(value, i, &o.value);
		pick_offer(r->fold, r->agg, (void *)(r->states +
		    r->groups[i] * r->width), &o);
	}
}

static void
pick_get(const struct tn_agg *a, const struct pick *s, struct offer *o)
{
	o->offset = s->offset;
	o->null = s->null;
	cell_get(a->form[1], &s->by, &o->by);
	if (!s->null)
		cell_get(a->form[0], &s->value, &o->value);
}

static void
pick_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct pick *b = from;
	struct offer o;

	if (b->by_form == 0)
		return;
	pick_get(a, b, &o);
	pick_offer(f, a, to, &o);
}

static bool
pick_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct pick *s = state;

	(void)env;
	if (s->by_form == 0 || s->null)
		return false;
	cell_get(a->form[0], &s->value, v);
	return true;
}

static void
pick_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	const struct pick *s = state;
	struct offer o;

	tn_buf_char(out, s->by_form == 0 ? 0 : s->null ? 2 : 1);
	if (s->by_form == 0)
		return;
	pick_get(a, s, &o);
	if (a->class->offsets)
		tn_buf_varint(out, o.offset);
	tn_exec_value_save(a->type[1], &o.by, out);
	if (!o.null)
		tn_exec_value_save(a->type[0], &o.value, out);
}

static bool
pick_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	uint8_t has = tn_cursor_u8(in);
	struct offer o = { .offset = 0 };

	if (has == 0)
		return !in->failed;
	if (has > 2 || (has == 2 && !a->class->offsets) ||
	    a->form[1] == TN_FORM_NONE)
		return false;
	if (a->class->offsets)
		o.offset = tn_cursor_varint(in);
	o.null = has == 2;
	if (!tn_exec_value_load(a->type[1], in, &o.by))
		return false;
	if (!o.null && (a->form[0] == TN_FORM_NONE ||
	    !tn_exec_value_load(a->type[0], in, &o.value)))
		return false;
	pick_offer(f, a, state, &o);
	return true;
}

static void
pick_drop(struct tn_exec_fold *f, void *state)
{
	struct pick *s = state;

	cell_drop(f, (enum tn_form)s->by_form, &s->by);
	cell_drop(f, (enum tn_form)s->value_form, &s->value);
	s->by_form = 0;
}

const struct tn_agg_class tn_exec_agg_first = {
	.name = "first", .size = sizeof(struct pick), .null_args = true,
	.offsets = true, .apply = pick_apply, .merge = pick_merge,
	.value = pick_value, .save = pick_save, .load = pick_load,
	.drop = pick_drop,
};
const struct tn_agg_class tn_exec_agg_arg = {
	.name = "arg", .size = sizeof(struct pick), .apply = pick_apply,
	.merge = pick_merge, .value = pick_value, .save = pick_save,
	.load = pick_load, .drop = pick_drop,
};

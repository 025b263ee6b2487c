/* count(DISTINCT x) and percentile_cont: sets of values, the second with the
 * number of rows of each. Both are exact: values are compared, not hashes.
 *
 *   set -> tags    a byte a slot: 0 free, else 0x80 and 7 bits of the hash
 *          words   1 or 2 canonical words a slot (see fold_int.h)
 *          counts  rows of the value, percentiles only
 *          heap    long texts; w[1] is where one begins
 *
 * Open addressing, at most 7/8 full, 8 slots at first (about 200 bytes).
 * Merging is the union; counts add up. Saved in ascending order of values, so
 * that equal sets have equal bytes: the number of values, then each value
 * (and count); a file with values out of order, twice or not canonical is
 * refused. A set holds at most SET_MAX values, a text heap 4 GiB; more is
 * asserted, the caller's limit on memory comes first. */
#include "exec/fold_int.h"

#include <math.h>
#include <stdlib.h>

#define SLOTS_MIN 8u
#define SET_MAX (1u << 30)
#define SCATTER 2654435769u      /* Odd. */

struct set {
	uint32_t count;
	uint32_t slots;          /* A power of two. */
	uint8_t form;            /* enum tn_form */
	uint8_t words_each;
	bool counted;
	uint8_t *tags;
	uint64_t *words;
	uint64_t *counts;
	uint8_t *heap;
	uint32_t heap_n;
	uint32_t heap_cap;
};

struct set_state {
	struct set *set;
};

static size_t
slot_bytes(const struct set *s)
{
	return 1 + s->words_each * 8ul + (s->counted ? 8 : 0);
}

static void
set_alloc(struct tn_exec_fold *f, struct set *s, uint32_t slots)
{
	s->slots = slots;
	s->tags = tn_zalloc(slots);
	s->words = tn_alloc((size_t)slots * s->words_each * 8);
	s->counts = s->counted ? tn_alloc((size_t)slots * 8) : NULL;
	f->aside += slots * slot_bytes(s);
}

static struct set *
set_new(struct tn_exec_fold *f, enum tn_form form, bool counted)
{
	struct set *s = tn_zalloc(sizeof *s);

	s->form = (uint8_t)form;
	s->words_each = (uint8_t)tn_form_words(form);
	s->counted = counted;
	f->aside += sizeof *s;
	set_alloc(f, s, SLOTS_MIN);
	return s;
}

static void
set_drop(struct tn_exec_fold *f, void *state)
{
	struct set_state *st = state;
	struct set *s = st->set;

	if (s == NULL)
		return;
	f->aside -= sizeof *s + s->slots * slot_bytes(s) + s->heap_cap;
	tn_free(s->tags);
	tn_free(s->words);
	tn_free(s->counts);
	tn_free(s->heap);
	tn_free(s);
	st->set = NULL;
}

static uint64_t *
slot_words(const struct set *s, uint32_t slot)
{
	return s->words + (size_t)slot * s->words_each;
}

static uint8_t
tag_of(uint64_t hash)
{
	return (uint8_t)(0x80 | hash >> 57);
}

static void
set_grow(struct tn_exec_fold *f, struct set *s)
{
	struct set old = *s;

	tn_assert(s->slots <= SET_MAX);
	set_alloc(f, s, old.slots * 2);
	for (uint32_t i = 0; i < old.slots; i++) {
		const uint64_t *w = slot_words(&old, i);
		uint64_t hash;
		uint32_t to;

		if (old.tags[i] == 0)
			continue;
		hash = tn_exec_words_hash((enum tn_form)s->form, w, s->heap,
		    f->program->keys.seed);
		to = (uint32_t)hash & (s->slots - 1);
		while (s->tags[to] != 0)
			to = (to + 1) & (s->slots - 1);
		s->tags[to] = old.tags[i];
		memcpy(slot_words(s, to), w, s->words_each * 8ul);
		if (s->counted)
			s->counts[to] = old.counts[i];
	}
	tn_free(old.tags);
	tn_free(old.words);
	tn_free(old.counts);
	f->aside -= old.slots * slot_bytes(s);
}

static uint64_t
heap_add(struct tn_exec_fold *f, struct set *s, struct tn_slice text)
{
	uint64_t at = s->heap_n;
	uint64_t need = at + text.n;
	uint64_t cap = s->heap_cap;

	tn_assert(need <= UINT32_MAX);
	if (need > cap) {
		cap = need + need / 2 + 64;
		if (cap > UINT32_MAX)
			cap = UINT32_MAX;
		s->heap = tn_realloc(s->heap, cap);
		f->aside += cap - s->heap_cap;
		s->heap_cap = (uint32_t)cap;
	}
	memcpy(s->heap + at, text.p, text.n);
	s->heap_n = (uint32_t)need;
	return at;
}

/* Is the value in the slot that with the words ${w}, whose long text lies at
 * ${text}. */
static bool
same(const struct set *s, uint32_t slot, const uint64_t *w,
    struct tn_slice text)
{
	const uint64_t *held = slot_words(s, slot);

	if (held[0] != w[0])
		return false;
	if (s->words_each == 1)
		return true;
	if (s->form == TN_FORM_TEXT && text.n > TN_TEXT_INLINE)
		return memcmp(s->heap + held[1], text.p, text.n) == 0;
	return held[1] == w[1];
}

/* ${w}: canonical words; a long text is given by pointer. */
static void
set_add(struct tn_exec_fold *f, struct set *s, const uint64_t *w,
    uint64_t times)
{
	uint64_t hash = tn_exec_words_hash((enum tn_form)s->form, w, NULL,
	    f->program->keys.seed);
	struct tn_slice text = { NULL, 0 };
	uint8_t tag = tag_of(hash);
	uint32_t i = (uint32_t)hash & (s->slots - 1);

	if (s->form == TN_FORM_TEXT)
		text = tn_words_text(w, NULL);
	for (; s->tags[i] != 0; i = (i + 1) & (s->slots - 1)) {
		if (s->tags[i] != tag || !same(s, i, w, text))
			continue;
		if (s->counted)
			s->counts[i] += times;
		return;
	}
	s->tags[i] = tag;
	memcpy(slot_words(s, i), w, s->words_each * 8ul);
	if (text.n > TN_TEXT_INLINE)
		slot_words(s, i)[1] = heap_add(f, s, text);
	if (s->counted)
		s->counts[i] = times;
	s->count++;
	if (s->count > s->slots / 8 * 7)
		set_grow(f, s);
}

static void
set_apply(const struct tn_agg_run *r)
{
	const struct tn_agg *a = r->agg;
	bool counted = a->class == &tn_exec_agg_percentile;
	const struct tn_type type = a->type[0];
	struct tn_key_plan plan;
	uint64_t *keys;

	tn_exec_key_plan_init(&plan, &type, 1);
	keys = tn_exec_keys_words(&plan, r->arena, r->args[0], r->rows);
	for (uint32_t i = 0; i < r->rows; i++) {
		struct set_state *st = (void *)(r->states +
		    r->groups[i] * r->width);

		if (r->keep != NULL && !r->keep[i])
			continue;
		if (st->set == NULL)
			st->set = set_new(r->fold, a->form[0], counted);
		set_add(r->fold, st->set,
		    keys + (size_t)i * plan.words + plan.at[0], 1);
	}
	tn_exec_key_plan_fini(&plan);
}

static void
set_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct set *b = ((const struct set_state *)from)->set;
	struct set_state *st = to;
	uint64_t w[2] = { 0 };

	if (b == NULL)
		return;
	if (st->set == NULL)
		st->set = set_new(f, a->form[0], b->counted);
	/* Scattered: values in the order of their slots would pile up in one
	 * stretch of a table that hashes the same way. */
	for (uint32_t k = 0; k < b->slots; k++) {
		uint32_t i = k * SCATTER & (b->slots - 1);

		if (b->tags[i] == 0)
			continue;
		memcpy(w, slot_words(b, i), b->words_each * 8ul);
		if (b->form == TN_FORM_TEXT &&
		    tn_words_len(w) > TN_TEXT_INLINE)
			w[1] = (uint64_t)(uintptr_t)(b->heap + w[1]);
		set_add(f, st->set, w, b->counted ? b->counts[i] : 1);
	}
}

/* ---- in order -------------------------------------------------------- */

static void
slot_value(const struct set *s, uint32_t slot, struct tn_value *v)
{
	const uint64_t *w = slot_words(s, slot);

	v->w[0] = w[0];
	v->w[1] = s->words_each == 2 ? w[1] : 0;
	if (s->form == TN_FORM_TEXT)
		v->text = tn_words_text(w, s->heap);
}

static int
order_slots(const void *pa, const void *pb, void *arg)
{
	const struct set *s = arg;
	struct tn_value a;
	struct tn_value b;

	slot_value(s, *(const uint32_t *)pa, &a);
	slot_value(s, *(const uint32_t *)pb, &b);
	return tn_exec_value_order((enum tn_form)s->form, &a, &b);
}

/* Slots in order of their values; freed with tn_free. */
static uint32_t *
set_sorted(struct set *s)
{
	uint32_t *slots = tn_alloc((size_t)s->count * 4);
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->slots; i++)
		if (s->tags[i] != 0)
			slots[n++] = i;
	tn_assert(n == s->count);
	qsort_r(slots, n, sizeof *slots, order_slots, s);
	return slots;
}

/* ---- saved ----------------------------------------------------------- */

static void
set_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	struct set *s = ((const struct set_state *)state)->set;
	uint32_t *slots;

	tn_buf_varint(out, s == NULL ? 0 : s->count);
	if (s == NULL)
		return;
	slots = set_sorted(s);
	for (uint32_t i = 0; i < s->count; i++) {
		struct tn_value v;

		slot_value(s, slots[i], &v);
		tn_exec_value_save(a->type[0], &v, out);
		if (s->counted)
			tn_buf_varint(out, s->counts[slots[i]]);
	}
	tn_free(slots);
}

/* Is ${v} in the form that canonical values have. */
static bool
canonical(enum tn_form form, const struct tn_value *v)
{
	struct tn_interval i;
	bool small;

	if (form == TN_FORM_FLOAT)
		return v->w[0] != UINT64_C(1) << 63;
	if (form != TN_FORM_INTERVAL)
		return true;
	memcpy(&i, v->w, 16);
	small = i.us > INT64_C(-86400000000) && i.us < INT64_C(86400000000);
	return small && i.months == 0;
}

static bool
set_load_one(struct tn_exec_fold *f, const struct tn_agg *a, struct set *s,
    struct tn_cursor *in, struct tn_value *v)
{
	uint64_t times = 1;
	uint64_t w[2];

	if (!tn_exec_value_load(a->type[0], in, v) ||
	    !canonical(a->form[0], v))
		return false;
	if (s->counted)
		times = tn_cursor_varint(in);
	if (in->failed || times == 0 || times > TN_STATE_COUNT_MAX)
		return false;
	memcpy(w, v->w, 16);
	if (a->form[0] == TN_FORM_TEXT)
		tn_exec_words_of_text(v->text, w);
	set_add(f, s, w, times);
	return true;
}

static bool
set_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct set_state *st = state;
	bool counted = a->class == &tn_exec_agg_percentile;
	uint64_t n = tn_cursor_varint(in);
	struct tn_value v[2];

	/* Each value takes a byte at least. */
	if (in->failed || n > (uint64_t)(in->end - in->p) || n > SET_MAX)
		return false;
	if (n == 0)
		return true;
	if (a->form[0] == TN_FORM_NONE)
		return false;
	st->set = set_new(f, a->form[0], counted);
	for (uint64_t i = 0; i < n; i++) {
		if (!set_load_one(f, a, st->set, in, &v[i & 1]))
			return false;
		if (i > 0 && tn_exec_value_order(a->form[0], &v[~i & 1],
		    &v[i & 1]) >= 0)
			return false;
	}
	return st->set->count == n;
}

/* ---- results --------------------------------------------------------- */

static bool
distinct_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct set *s = ((const struct set_state *)state)->set;

	(void)a;
	(void)env;
	v->w[0] = s == NULL ? 0 : s->count;
	return true;
}

/* The value of row ${at} when all rows stand in order. */
static double
value_at(const struct set *s, const uint32_t *slots, uint64_t at)
{
	uint64_t before = 0;
	uint32_t i = 0;
	double d;

	while (i + 1 < s->count && before + s->counts[slots[i]] <= at)
		before += s->counts[slots[i++]];
	memcpy(&d, slot_words(s, slots[i]), 8);
	return d;
}

/* As PostgreSQL: between the rows on both sides of fraction * (rows - 1). */
static bool
percentile_value(const struct tn_agg *a, const void *state,
    struct tn_value *v, struct tn_exec_env *env)
{
	struct set *s = ((const struct set_state *)state)->set;
	uint64_t rows = 0;
	uint32_t *slots;
	double low, high, at;

	(void)env;
	if (s == NULL)
		return false;
	slots = set_sorted(s);
	for (uint32_t i = 0; i < s->count; i++)
		rows += s->counts[slots[i]];
	at = a->sql->fraction * (double)(rows - 1);
	low = value_at(s, slots, (uint64_t)floor(at));
	high = value_at(s, slots, (uint64_t)ceil(at));
	tn_free(slots);
	if (floor(at) != ceil(at))
		low += (at - floor(at)) * (high - low);
	memcpy(v->w, &low, 8);
	return true;
}

const struct tn_agg_class tn_exec_agg_distinct = {
	.name = "distinct", .size = sizeof(struct set_state),
	.apply = set_apply, .merge = set_merge, .value = distinct_value,
	.save = set_save, .load = set_load, .drop = set_drop,
};
const struct tn_agg_class tn_exec_agg_percentile = {
	.name = "percentile", .size = sizeof(struct set_state),
	.apply = set_apply, .merge = set_merge, .value = percentile_value,
	.save = set_save, .load = set_load, .drop = set_drop,
};

/* Folds from folds: merge, and copies of some of the groups (by bounds, by
 * change, by the keys of another fold, by a hash, by day or month).
 *
 * A copy of a group is the merge into an empty one; where no aggregate has
 * anything aside that is one memcpy. Hashes are kept with the keys, so no key
 * is hashed again. */
#include "exec/fold_int.h"

#include <stdio.h>
#include <stdlib.h>

#define US_PER_DAY INT64_C(86400000000)
#define LOOK_GROUPS 1024u            /* Merged between two looks at left. */
#define SLICE_SEED UINT64_C(0x7461726e676f6c64)

static void
merge_group(struct tn_exec_fold *dst, const struct tn_exec_fold *src,
    uint32_t from)
{
	const struct tn_exec_program *p = dst->program;
	const uint8_t *b = tn_fold_state(src, from);
	bool fresh;
	uint32_t to = tn_exec_fold_group(dst, src->keys.words +
	    (size_t)from * p->keys.words, src->keys.hashes[from], &fresh);
	uint8_t *s = tn_fold_state(dst, to);

	tn_exec_fold_touch(dst, to);
	if (fresh && p->flat) {
		memcpy(s, b, p->width);
		return;
	}
	for (uint32_t k = 0; k < p->s->agg_count; k++) {
		const struct tn_agg *a = &p->aggs[k];

		a->class->merge(dst, a, s + a->at, b + a->at);
	}
}

void
tn_exec_fold_until(struct tn_exec_fold *f, const _Atomic bool *left)
{
	f->left = left;
}

void
tn_exec_fold_merge(struct tn_exec_fold *dst, const struct tn_exec_fold *src)
{
	tn_assert(dst->program == src->program && dst != src);
	tn_assert(dst->exact == NULL && src->exact == NULL);
	for (uint32_t g = 0; g < src->keys.count; g++) {
		if (g % LOOK_GROUPS == 0 && dst->left != NULL && *dst->left)
			return;
		merge_group(dst, src, g);
	}
}

/* ---- by bounds ------------------------------------------------------- */

static bool
within(const struct tn_exec_fold *f, uint32_t group,
    const struct tn_exec_bound *b)
{
	const struct tn_key_plan *p = &f->keys.plan[0];
	const uint64_t *words = f->keys.words + (size_t)group * p->words;
	enum tn_form form = (enum tn_form)p->form[b->group];
	struct tn_value limit = { .w = { 0 } };
	struct tn_value v;
	int order;

	if (tn_key_null(words, b->group))
		return b->null_holds || b->only_null;
	if (b->only_null)
		return false;
	tn_exec_key_value(p, words, b->group, &v);
	if (b->min != NULL) {
		if (!tn_column_valid(b->min, 0))
			return false;
		tn_exec_value_canon(b->min, 0, &limit);
		order = tn_exec_value_order(form, &v, &limit);
		if (order < 0 || (order == 0 && b->min_exclusive))
			return false;
	}
	if (b->max != NULL) {
		if (!tn_column_valid(b->max, 0))
			return false;
		tn_exec_value_canon(b->max, 0, &limit);
		order = tn_exec_value_order(form, &v, &limit);
		return b->max_inclusive ? order <= 0 : order < 0;
	}
	return true;
}

static void
check_bounds(const struct tn_exec_fold *f, const struct tn_exec_bound *b,
    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t form;

		tn_assert(b[i].group < f->keys.plan->count);
		form = f->keys.plan->form[b[i].group];
		tn_assert(b[i].min == NULL ||
		    tn_exec_form(b[i].min->type.id) == form);
		tn_assert(b[i].max == NULL ||
		    tn_exec_form(b[i].max->type.id) == form);
	}
}

/* Guessed by the share of groups: their states are about alike. */
size_t
tn_exec_fold_clone_bytes(const struct tn_exec_fold *f,
    const struct tn_exec_bound *bounds, uint32_t count)
{
	size_t all = tn_exec_fold_bytes(f), groups = 0;

	if (count == 0 || f->keys.count == 0)
		return all;
	check_bounds(f, bounds, count);
	for (uint32_t g = 0; g < f->keys.count; g++) {
		uint32_t i = 0;

		while (i < count && within(f, g, &bounds[i]))
			i++;
		groups += i == count;
	}
	return (size_t)((double)all / f->keys.count * (double)groups);
}

struct tn_exec_fold *
tn_exec_fold_clone(const struct tn_exec_fold *f,
    const struct tn_exec_bound *bounds, uint32_t count)
{
	struct tn_exec_fold *copy = tn_exec_fold_new(f->program);

	check_bounds(f, bounds, count);
	if (count == 0)
		tn_exec_keys_reserve(&copy->keys, f->keys.count);
	for (uint32_t g = 0; g < f->keys.count; g++) {
		uint32_t i = 0;

		while (i < count && within(f, g, &bounds[i]))
			i++;
		if (i == count)
			merge_group(copy, f, g);
	}
	return copy;
}

/* ---- by change, by keys ---------------------------------------------- */

struct tn_exec_fold *
tn_exec_fold_take_changed(struct tn_exec_fold *f)
{
	struct tn_exec_fold *part;

	if (f->changed == NULL) {
		f->changed = tn_zalloc(f->states_cap);
		f->touched = tn_alloc(f->states_cap * 4ul);
		return tn_exec_fold_clone(f, NULL, 0);
	}
	part = tn_exec_fold_new(f->program);
	for (uint32_t i = 0; i < f->touched_count; i++) {
		merge_group(part, f, f->touched[i]);
		f->changed[f->touched[i]] = 0;
	}
	f->touched_count = 0;
	return part;
}

struct tn_exec_fold *
tn_exec_fold_pick(const struct tn_exec_fold *f,
    const struct tn_exec_fold *keys)
{
	struct tn_exec_fold *part = tn_exec_fold_new(f->program);
	size_t step = f->keys.plan->words;

	tn_assert(f->program == keys->program);
	for (uint32_t k = 0; k < keys->keys.count; k++) {
		uint32_t g = tn_exec_keys_find(&f->keys,
		    keys->keys.words + k * step, keys->keys.hashes[k]);

		if (g != UINT32_MAX)
			merge_group(part, f, g);
	}
	return part;
}

/* ---- by a hash of the keys -------------------------------------------- */

/* On disk, in the names of gold files: not the hash of key tables, which is
 * another one in each process. */
static uint64_t
slice_hash(const struct tn_key_plan *p, const uint64_t *words)
{
	uint64_t h = tn_hash64(words, p->null_words * 8ul, SLICE_SEED);

	for (uint32_t c = 0; c < p->count; c++) {
		enum tn_form form = (enum tn_form)p->form[c];
		struct tn_slice v = { (const uint8_t *)(words + p->at[c]),
		    tn_form_words(form) * 8ul };

		if (tn_key_null(words, c))
			continue;
		if (form == TN_FORM_TEXT)
			v = tn_words_text(words + p->at[c], NULL);
		h = tn_hash64(v.p, v.n, h);
	}
	return h;
}

static bool
is_in(uint64_t hash, const struct tn_exec_slice *s)
{
	return (hash & (s->count - 1)) == s->index;
}

struct tn_exec_fold *
tn_exec_fold_slice(const struct tn_exec_fold *f,
    const struct tn_exec_slice *s, const struct tn_exec_slice *not,
    uint32_t not_count)
{
	struct tn_exec_fold *part = tn_exec_fold_new(f->program);
	const struct tn_key_plan *p = f->keys.plan;

	tn_assert(s->count > 0 && (s->count & (s->count - 1)) == 0);
	tn_assert(s->index < s->count);
	for (uint32_t g = 0; g < f->keys.count; g++) {
		uint64_t hash = slice_hash(p, f->keys.words +
		    (size_t)g * p->words);
		bool in = is_in(hash, s);

		for (uint32_t i = 0; in && i < not_count; i++)
			in = !is_in(hash, &not[i]);
		if (in)
			merge_group(part, f, g);
	}
	return part;
}

/* ---- by day or month ------------------------------------------------- */

#define PART_NULL INT64_MAX
#define PART_ALL (INT64_MAX - 1)

struct part {
	int64_t number;          /* Days, or months, since year 0. */
	uint32_t group;
};

/* The day of the bucket group's value. */
static int64_t
day_of(enum tn_type_id type, int64_t v)
{
	int64_t days = v;

	if (type != TN_T_DATE)
		days = v / US_PER_DAY - (v % US_PER_DAY < 0);
	return days;
}

static int64_t
part_of(const struct tn_exec_fold *f, uint32_t group, bool by_month)
{
	const struct tn_sql_select *s = f->program->s;
	const struct tn_key_plan *p = f->keys.plan;
	const uint64_t *words = f->keys.words + (size_t)group * p->words;
	enum tn_type_id type;
	struct tn_value v;
	uint32_t month;
	uint32_t day;
	int32_t year;

	if (s->bucket_group < 0)
		return PART_ALL;
	type = (enum tn_type_id)s->groups[s->bucket_group]->type.id;
	if (type != TN_T_DATE && type != TN_T_TIMESTAMP &&
	    type != TN_T_TIMESTAMPTZ)
		return PART_ALL;
	if (tn_key_null(words, (uint32_t)s->bucket_group))
		return PART_NULL;
	tn_exec_key_value(p, words, (uint32_t)s->bucket_group, &v);
	if (!by_month)
		return day_of(type, (int64_t)v.w[0]);
	tn_record_civil(day_of(type, (int64_t)v.w[0]), &year, &month, &day);
	return (int64_t)year * 12 + (month - 1);
}

static void
part_label(char label[static 32], int64_t number, bool by_month)
{
	int64_t year = number / 12 - (number % 12 < 0);
	int32_t y;
	uint32_t month;
	uint32_t day;

	if (number == PART_NULL) {
		(void)snprintf(label, 32, "null");
	} else if (number == PART_ALL) {
		(void)snprintf(label, 32, "all");
	} else if (by_month) {
		(void)snprintf(label, 32, "%04d-%02u", (int)year,
		    (unsigned)(number - year * 12 + 1));
	} else {
		tn_record_civil(number, &y, &month, &day);
		(void)snprintf(label, 32, "%04d-%02u-%02u", (int)y, month,
		    day);
	}
}

static int
order_parts(const void *pa, const void *pb)
{
	const struct part *a = pa;
	const struct part *b = pb;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return (a->group > b->group) - (a->group < b->group);
}

void
tn_exec_fold_split(const struct tn_exec_fold *f, bool by_month,
    void (*part)(void *arg, const char *label, struct tn_exec_fold *part),
    void *arg)
{
	uint32_t n = f->keys.count;
	struct part *parts = tn_alloc(n * sizeof *parts);
	struct tn_exec_fold *one = NULL;
	char label[32];

	for (uint32_t g = 0; g < n; g++)
		parts[g] = (struct part){ part_of(f, g, by_month), g };
	qsort(parts, n, sizeof *parts, order_parts);
	for (uint32_t i = 0; i < n; i++) {
		if (one == NULL)
			one = tn_exec_fold_new(f->program);
		merge_group(one, f, parts[i].group);
		if (i + 1 < n && parts[i + 1].number == parts[i].number)
			continue;
		part_label(label, parts[i].number, by_month);
		part(arg, label, one);
		one = NULL;
	}
	tn_free(parts);
	tn_assert(one == NULL);
}

/* count(DISTINCT x) and percentile_cont: sets of values, the second with the
 * number of rows of each. Both are exact: values are compared, not hashes.
 *
 *   set -> tags    a byte a slot: 0 free, else 0x80 and 7 bits of the hash;
 *                  behind the last the first PAD again, for reads of 8
 *          words   1 or 2 canonical words a slot (see fold_int.h)
 *          counts  rows of the value, percentiles only
 *          heap    long texts; the low half of w[1] is where one begins, the
 *                  high half the low half of its hash, so that growing reads
 *                  no texts
 *
 * Open addressing, at most 7/8 full, 8 slots at first (about 200 bytes).
 * Merging is the union; counts add up. Saved in ascending order of values, so
 * that equal sets have equal bytes: the number of values, then each value
 * (and count); a file with values out of order, twice or not canonical is
 * refused. A set holds at most SET_MAX values, a text heap 4 GiB; more is
 * asserted, the caller's limit on memory comes first.
 *
 * A set that would take more than the program's state_max bytes is SPILLED: it
 * is dropped, and the state says only whether the answer is known for just the
 * rows folded so far. Any row or merge after that makes it unknown; then the
 * rows are asked again (fold_settle.c). Slots and texts hang on the values
 * alone, so whether a state spills does not depend on how history was split.
 * Saved: SET_MAX + 1 where the number of values would be, a byte (1: known),
 * and 8 bytes: the count, or the bits of the double; zero when not known.
 *
 *   WHOLE --too large--> UNKNOWN --settle--> KNOWN --a row, a merge--> UNKNOWN
 *
 * Rows come in by agg_set_rows.c.
 *
 * In an exact fold only states that are WANTED gather values, and all sets
 * together may take so many bytes; beyond, the fold is full. */
#include "exec/set_int.h"

#include "os/os.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define SLOTS_MIN 8u
#define SET_MAX (1u << 30)
#define PAD 8u
#define LOW_BITS UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)
#define SCATTER 2654435769u      /* Odd. */
#define SPILLED (SET_MAX + 1ull) /* Saved in place of the number of values. */

static_assert(sizeof(struct set_state) == TN_SET_STATE_BYTES, "agg_bag");

static size_t
slot_bytes(const struct set *s)
{
	return 1 + s->words_each * 8ul + (s->counted ? 8 : 0);
}

static void
set_alloc(struct tn_exec_fold *f, struct set *s, uint32_t slots)
{
	s->slots = slots;
	s->tags = tn_zalloc(slots + PAD);
	s->words = tn_alloc((size_t)slots * s->words_each * 8);
	s->counts = s->counted ? tn_alloc((size_t)slots * 8) : NULL;
	tn_os_memory_huge(s->tags, slots + PAD);
	tn_os_memory_huge(s->words, (size_t)slots * s->words_each * 8);
	f->aside += slots * slot_bytes(s);
}

static struct set *
set_new(struct tn_exec_fold *f, enum tn_form form, bool counted)
{
	struct set *s = tn_zalloc(sizeof *s);

	s->form = (uint8_t)form;
	s->words_each = (uint8_t)tn_form_words(form);
	s->counted = counted;
	s->max = f->exact == NULL ? f->program->state_max : 0;
	f->aside += sizeof *s + PAD;
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
	f->aside -= sizeof *s + PAD + s->slots * slot_bytes(s) + s->heap_cap;
	tn_free(s->tags);
	tn_free(s->words);
	tn_free(s->counts);
	tn_free(s->heap);
	tn_free(s);
	st->set = NULL;
}

static uint8_t
tag_of(uint64_t hash)
{
	return (uint8_t)(0x80 | hash >> 57);
}

/* Eight tags from slot ${i} on, the first in the lowest byte. */
static inline uint64_t
tags_at(const struct set *s, uint32_t i)
{
	uint64_t w;

	memcpy(&w, s->tags + i, 8);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		w = __builtin_bswap64(w);
	return w;
}

static inline void
tag_put(struct set *s, uint32_t i, uint8_t tag)
{
	s->tags[i] = tag;
	if (i < PAD)
		s->tags[s->slots + i] = tag;
}

/* The first free slot from that of the hash on. */
static inline uint32_t
free_slot(const struct set *s, uint64_t hash)
{
	uint32_t mask = s->slots - 1;
	uint32_t i = (uint32_t)hash & mask;
	uint64_t none = ~tags_at(s, i) & HIGH_BITS;

	while (none == 0) {
		i = (i + 8) & mask;
		none = ~tags_at(s, i) & HIGH_BITS;
	}
	return (i + ((uint32_t)__builtin_ctzll(none) >> 3)) & mask;
}

/* Words of a slot: does the text lie in the heap. */
static inline bool
is_long(const struct set *s, const uint64_t *w)
{
	return s->form == TN_FORM_TEXT && tn_words_len(w) > TN_TEXT_INLINE;
}

/* What its values take; hangs on them alone, not on the way they came. */
static uint64_t
set_bytes(const struct set *s)
{
	return s->slots * (uint64_t)slot_bytes(s) + s->heap_n;
}

/* May an exact fold take so many bytes more? */
static bool
exact_room(struct tn_exec_fold *f, uint64_t bytes)
{
	if (f->exact == NULL || f->aside + bytes <= f->exact->bytes_max)
		return true;
	f->exact->full = true;
	return false;
}

/* False: too large. It must be dropped then. */
static bool
set_grow(struct tn_exec_fold *f, struct set *s)
{
	struct set old = *s;
	uint64_t slots_more = s->slots * (uint64_t)slot_bytes(s);

	if (s->max > 0 && set_bytes(s) + slots_more > s->max)
		return false;
	/* The old slots stay until all is moved. */
	if (!exact_room(f, slots_more * 2))
		return false;
	tn_assert(s->slots <= SET_MAX);
	set_alloc(f, s, old.slots * 2);
	for (uint32_t i = 0; i < old.slots; i++) {
		const uint64_t *w = tn_set_words(&old, i);
		uint64_t hash;
		uint32_t to;

		if (old.tags[i] == 0)
			continue;
		hash = is_long(s, w) ? w[1] >> 32 :
		    tn_exec_words_hash((enum tn_form)s->form, w, NULL,
		    f->program->keys.seed);
		to = free_slot(s, hash);
		tag_put(s, to, old.tags[i]);
		memcpy(tn_set_words(s, to), w, s->words_each * 8ul);
		if (s->counted)
			s->counts[to] = old.counts[i];
	}
	tn_free(old.tags);
	tn_free(old.words);
	tn_free(old.counts);
	f->aside -= old.slots * slot_bytes(s);
	return true;
}

/* False: too large, as above. */
static bool
heap_add(struct tn_exec_fold *f, struct set *s, struct tn_slice text,
    uint64_t *at)
{
	uint64_t need = s->heap_n + (uint64_t)text.n;
	uint64_t cap = s->heap_cap;

	if (s->max > 0 && set_bytes(s) + text.n > s->max)
		return false;
	if (f->exact != NULL && need > UINT32_MAX) {
		f->exact->full = true;
		return false;
	}
	tn_assert(need <= UINT32_MAX);
	if (need > cap) {
		cap = need + need / 2 + 64;
		if (cap > UINT32_MAX)
			cap = UINT32_MAX;
		if (!exact_room(f, cap - s->heap_cap))
			return false;
		s->heap = tn_realloc(s->heap, cap);
		tn_os_memory_huge(s->heap, cap);
		f->aside += cap - s->heap_cap;
		s->heap_cap = (uint32_t)cap;
	}
	memcpy(s->heap + s->heap_n, text.p, text.n);
	*at = s->heap_n;
	s->heap_n = (uint32_t)need;
	return true;
}

/* Is the value in the slot that with the words ${w} and this hash, whose long
 * text lies at ${text}. */
static inline bool
same(const struct set *s, uint32_t slot, const uint64_t *w, uint64_t hash,
    struct tn_slice text)
{
	const uint64_t *held = tn_set_words(s, slot);

	if (held[0] != w[0])
		return false;
	if (s->words_each == 1)
		return true;
	if (s->form == TN_FORM_TEXT && text.n > TN_TEXT_INLINE)
		return held[1] >> 32 == (uint32_t)hash &&
		    memcmp(s->heap + (uint32_t)held[1], text.p, text.n) == 0;
	return held[1] == w[1];
}

uint64_t
tn_exec_set_hash(const struct tn_exec_fold *f, const struct set *s,
    const uint64_t *w)
{
	return tn_exec_words_hash((enum tn_form)s->form, w, NULL,
	    f->program->keys.seed);
}

/* The slot of a value that the set has, else UINT32_MAX and in *to the slot
 * that it is to have. */
static inline uint32_t
set_find(const struct set *s, const uint64_t *w, uint64_t hash,
    struct tn_slice text, uint32_t *to)
{
	uint64_t tags = tag_of(hash) * LOW_BITS;
	uint32_t mask = s->slots - 1;
	uint32_t i = (uint32_t)hash & mask;

	for (;; i = (i + 8) & mask) {
		uint64_t eight = tags_at(s, i);
		uint64_t none = ~eight & HIGH_BITS;
		uint64_t diff = eight ^ tags;
		/* Bytes that are equal, and perhaps some above the first. */
		uint64_t hits = (diff - LOW_BITS) & ~diff & HIGH_BITS;

		if (none != 0)
			hits &= none ^ (none - 1);
		for (; hits != 0; hits &= hits - 1) {
			uint32_t slot = (i + ((uint32_t)
			    __builtin_ctzll(hits) >> 3)) & mask;

			if (s->tags[slot] != 0 &&
			    same(s, slot, w, hash, text))
				return slot;
		}
		if (none == 0)
			continue;
		*to = (i + ((uint32_t)__builtin_ctzll(none) >> 3)) & mask;
		return UINT32_MAX;
	}
}

bool
tn_exec_set_add(struct tn_exec_fold *f, struct set *s, const uint64_t *w,
    uint64_t hash, uint64_t times)
{
	struct tn_slice text = { NULL, 0 };
	uint32_t to = 0;
	uint32_t i;

	if (s->form == TN_FORM_TEXT)
		text = tn_words_text(w, NULL);
	i = set_find(s, w, hash, text, &to);
	if (i != UINT32_MAX) {
		if (s->counted)
			s->counts[i] += times;
		return true;
	}
	memcpy(tn_set_words(s, to), w, s->words_each * 8ul);
	if (text.n > TN_TEXT_INLINE) {
		uint64_t at;

		if (!heap_add(f, s, text, &at))
			return false;
		tn_set_words(s, to)[1] = hash << 32 | at;
	}
	tag_put(s, to, tag_of(hash));
	if (s->counted)
		s->counts[to] = times;
	s->count++;
	return s->count <= s->slots / 8 * 7 || set_grow(f, s);
}

void
tn_exec_set_spill(struct tn_exec_fold *f, struct set_state *st)
{
	set_drop(f, st);
	st->answer = 0;
	if (f->exact == NULL)
		st->kind = UNKNOWN;
}

bool
tn_exec_set_begin(const struct tn_agg_run *r, struct set_state *st,
    bool counted)
{
	struct tn_exec_fold *f = r->fold;

	switch ((enum kind)st->kind) {
	case WHOLE:
		if (f->exact != NULL)
			return false;           /* Not asked for. */
		break;
	case WANTED:
		if (f->exact->full || !exact_room(f, TN_SET_BYTES_MIN))
			return false;
		break;
	case UNKNOWN:
	case KNOWN:
		st->kind = UNKNOWN;
		st->answer = 0;
		return false;
	}
	st->set = set_new(f, r->agg->form[0], counted);
	return true;
}

bool
tn_exec_set_put(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    uint64_t word)
{
	struct set_state *st = state;

	if (st->set == NULL)
		st->set = set_new(f, a->form[0], true);
	return tn_exec_set_add(f, st->set, &word,
	    tn_exec_set_hash(f, st->set, &word), 1);
}

/* False when there are no values to add. */
static bool
merge_begin(struct tn_exec_fold *f, struct set_state *st,
    const struct set_state *from)
{
	tn_assert(from->kind != WANTED && st->kind != WANTED);
	if (from->kind == WHOLE && from->set == NULL)
		return false;
	if (st->kind == WHOLE && from->kind == WHOLE)
		return true;
	if (st->kind == WHOLE && st->set == NULL)
		*st = *from;            /* Spilled: what was known still is. */
	else
		tn_exec_set_spill(f, st);
	return false;
}

static void
set_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct set *b = ((const struct set_state *)from)->set;
	struct set_state *st = to;
	uint64_t w[2] = { 0 };

	if (!merge_begin(f, st, from))
		return;
	if (st->set == NULL)
		st->set = set_new(f, a->form[0], b->counted);
	/* Scattered: values in the order of their slots would pile up in one
	 * stretch of a table that hashes the same way. */
	for (uint32_t k = 0; k < b->slots; k++) {
		uint32_t i = k * SCATTER & (b->slots - 1);

		if (b->tags[i] == 0)
			continue;
		memcpy(w, tn_set_words(b, i), b->words_each * 8ul);
		if (b->form == TN_FORM_TEXT &&
		    tn_words_len(w) > TN_TEXT_INLINE)
			w[1] = (uint64_t)(uintptr_t)(b->heap +
			    (uint32_t)w[1]);
		if (tn_exec_set_add(f, st->set, w,
		    tn_exec_set_hash(f, st->set, w), b->counted ? b->counts[i] : 1))
			continue;
		tn_exec_set_spill(f, st);
		return;
	}
}

/* ---- in order -------------------------------------------------------- */

static void
slot_value(const struct set *s, uint32_t slot, struct tn_value *v)
{
	const uint64_t *w = tn_set_words(s, slot);

	v->w[0] = w[0];
	v->w[1] = s->words_each == 2 ? w[1] : 0;
	if (is_long(s, w))
		v->text = (struct tn_slice){ s->heap + (uint32_t)w[1],
		    tn_words_len(w) };
	else if (s->form == TN_FORM_TEXT)
		v->text = tn_words_text(w, NULL);
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
	const struct set_state *st = state;
	struct set *s = st->set;
	uint32_t *slots;

	if (st->kind == UNKNOWN || st->kind == KNOWN) {
		tn_buf_varint(out, SPILLED);
		tn_buf_char(out, st->kind == KNOWN);
		tn_buf_u64(out, st->kind == KNOWN ? st->answer : 0);
		return;
	}
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
	return tn_exec_set_add(f, s, w, tn_exec_set_hash(f, s, w), times);
}

static bool
load_spilled(struct set_state *st, bool counted, struct tn_cursor *in)
{
	uint8_t known = tn_cursor_u8(in);

	st->answer = tn_cursor_u64(in);
	st->kind = known ? KNOWN : UNKNOWN;
	if (in->failed || known > 1)
		return false;
	if (!known)
		return st->answer == 0;
	/* No values, no set: a spilled one counts some. */
	return counted || (st->answer > 0 &&
	    st->answer <= TN_STATE_COUNT_MAX);
}

/* It was saved when states might be larger. All of it is here, so its answer
 * is known. */
static void
spill_loaded(struct tn_exec_fold *f, const struct tn_agg *a,
    struct set_state *st)
{
	struct tn_value v = { .w = { 0 } };
	bool some = a->class->value(a, st, &v, NULL);

	tn_assert(some);
	set_drop(f, st);
	st->answer = v.w[0];
	st->kind = KNOWN;
}

static bool
set_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct set_state *st = state;
	bool counted = a->class == &tn_exec_agg_percentile;
	uint64_t n = tn_cursor_varint(in);
	struct tn_value v[2];

	if (n == SPILLED)
		return a->form[0] != TN_FORM_NONE &&
		    load_spilled(st, counted, in);
	/* Each value takes a byte at least. */
	if (in->failed || n > (uint64_t)(in->end - in->p) || n > SET_MAX)
		return false;
	if (n == 0)
		return true;
	if (a->form[0] == TN_FORM_NONE)
		return false;
	st->set = set_new(f, a->form[0], counted);
	st->set->max = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (!set_load_one(f, a, st->set, in, &v[i & 1]))
			return false;
		if (i > 0 && tn_exec_value_order(a->form[0], &v[~i & 1],
		    &v[i & 1]) >= 0)
			return false;
	}
	if (st->set->count != n)
		return false;
	st->set->max = f->program->state_max;
	if (st->set->max > 0 && set_bytes(st->set) > st->set->max)
		spill_loaded(f, a, st);
	return true;
}

/* ---- results --------------------------------------------------------- */

static bool
distinct_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct set_state *st = state;

	(void)a;
	(void)env;
	v->w[0] = st->set == NULL ? st->answer : st->set->count;
	return st->kind != UNKNOWN;
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
	memcpy(&d, tn_set_words(s, slots[i]), 8);
	return d;
}

/* As PostgreSQL: between the rows on both sides of fraction * (rows - 1). */
static bool
percentile_value(const struct tn_agg *a, const void *state,
    struct tn_value *v, struct tn_exec_env *env)
{
	const struct set_state *st = state;
	struct set *s = st->set;
	uint64_t rows = 0;
	uint32_t *slots;
	double low, high, at;

	(void)env;
	v->w[0] = st->answer;
	if (s == NULL)
		return st->kind == KNOWN;
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

/* ---- settling -------------------------------------------------------- */

bool
tn_exec_set_unknown(const void *state)
{
	return ((const struct set_state *)state)->kind == UNKNOWN;
}

void
tn_exec_set_want(void *state)
{
	struct set_state *st = state;

	tn_assert(st->set == NULL && st->kind == WHOLE);
	st->kind = WANTED;
}

bool
tn_exec_set_settle(const struct tn_agg *a, void *to, const void *from,
    const struct tn_exact *exact)
{
	const struct set_state *b = from;
	struct set_state *st = to;
	bool last = exact->part + 1 == exact->parts;
	struct tn_value v = { .w = { 0 } };

	tn_assert(st->kind == UNKNOWN && b->kind == WANTED);
	if (exact->part == 0)
		st->answer = 0;
	if (b->set != NULL) {
		(void)a->class->value(a, b, &v, NULL);
		st->answer += v.w[0];   /* Of one part, or counts. */
	} else if (exact->parts == 1) {
		return false;
	}
	if (last)
		st->kind = KNOWN;
	return true;
}

const struct tn_agg_class tn_exec_agg_distinct = {
	.name = "distinct", .size = sizeof(struct set_state),
	.apply = tn_exec_set_apply, .merge = set_merge, .value = distinct_value,
	.save = set_save, .load = set_load, .drop = set_drop,
	.holistic = true,
};
const struct tn_agg_class tn_exec_agg_percentile = {
	.name = "percentile", .size = sizeof(struct set_state),
	.apply = tn_exec_set_apply, .merge = set_merge, .value = percentile_value,
	.save = set_save, .load = set_load, .drop = set_drop,
	.holistic = true,
};

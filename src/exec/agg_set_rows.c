/* Rows going into sets of values (agg_set.c).
 *
 *   dictionary   words and hashes of its entries once a call; each entry is
 *                given to a set once a call: the set remembers by a bitmap
 *                which it has got
 *   else         words and hashes of a slice, then row after row, the slots
 *                of the rows to come being fetched meanwhile */
#include "exec/set_int.h"

/* ---- rows of a dictionary -------------------------------------------- */

#define SEEN_MAX ((size_t)4 << 20)   /* Bytes of bitmaps of one call. */

/* The entries of a dictionary as words and hashes, for one call of the
 * fold. */
struct entries {
	const struct tn_column *dict;
	uint64_t *words;
	uint64_t *hashes;
	uint32_t step;           /* Words of an entry, null word first. */
};

static struct entries *
entries_of(const struct tn_agg_run *r)
{
	struct tn_exec_fold *f = r->fold;
	const struct tn_column *dict = r->args[0]->dict;
	struct entries *e = *r->memo;
	struct tn_key_plan plan;

	if (e != NULL && e->dict == dict)
		return e;
	e = *r->memo = tn_arena_alloc(f->call_arena, sizeof *e);
	tn_exec_key_plan_init(&plan, &r->agg->type[0], 1);
	e->dict = dict;
	e->step = plan.words;
	e->words = tn_exec_keys_words(&plan, f->call_arena, dict, dict->rows);
	e->hashes = tn_arena_alloc(f->call_arena, dict->rows * 8ul);
	for (uint32_t i = 0; i < dict->rows; i++)
		e->hashes[i] = tn_exec_words_hash((enum tn_form)plan.form[0],
		    e->words + (size_t)i * e->step + plan.at[0], NULL,
		    f->program->keys.seed);
	tn_exec_key_plan_fini(&plan);
	return e;
}

/* Was the entry given to the set before; from now on it was. */
static inline bool
was_seen(struct tn_exec_fold *f, struct set *s, const struct entries *e,
    uint32_t code)
{
	uint8_t bit = (uint8_t)(1u << (code & 7));
	bool before;

	if (s->seen_call != f->call) {
		if (tn_arena_bytes(f->call_arena) > SEEN_MAX)
			return false;
		s->seen = tn_arena_zalloc(f->call_arena,
		    e->dict->rows / 8 + 1ul);
		s->seen_call = f->call;
	}
	before = (s->seen[code >> 3] & bit) != 0;
	s->seen[code >> 3] |= bit;
	return before;
}

static void
apply_dict(const struct tn_agg_run *r)
{
	const struct entries *e = entries_of(r);
	const uint32_t *codes = r->args[0]->values;

	for (uint32_t i = 0; i < r->rows; i++) {
		struct set_state *st = (void *)(r->states +
		    r->groups[i] * r->width);

		if (r->keep != NULL && !r->keep[i])
			continue;
		if (st->set == NULL && !tn_exec_set_begin(r, st, false))
			continue;
		if (was_seen(r->fold, st->set, e, codes[i]))
			continue;
		if (!tn_exec_set_add(r->fold, st->set, e->words +
		    (size_t)codes[i] * e->step + 1, e->hashes[codes[i]], 1))
			tn_exec_set_spill(r->fold, st);
	}
}

/* ---- rows ------------------------------------------------------------ */

#define AHEAD 12u                /* Rows whose slots are fetched early. */

/* A function of nothing but prefetches is thrown away by GCC: this one tells
 * where, its caller fetches. */
static inline const struct set *
set_ahead(const struct tn_agg_run *r, uint32_t i)
{
	return i + AHEAD >= r->rows ? NULL : ((const struct set_state *)
	    (const void *)(r->states + r->groups[i + AHEAD] * r->width))->set;
}

/* The values of all rows as words, with their hashes. */
struct values {
	const uint64_t *words;
	const uint64_t *hashes;
	uint32_t step;
};

static void
add_values(const struct tn_agg_run *r, const struct values *v, bool counted)
{
	const struct tn_exact *exact = r->fold->exact;
	uint32_t parts = exact != NULL ? exact->parts : 1;
	uint32_t part = exact != NULL ? exact->part : 0;

	for (uint32_t i = 0; i < r->rows; i++) {
		const struct set *next = set_ahead(r, i);
		struct set_state *st = (void *)(r->states +
		    r->groups[i] * r->width);

		if (next != NULL) {
			uint32_t slot = (uint32_t)v->hashes[i + AHEAD] &
			    (next->slots - 1);

			__builtin_prefetch(&next->tags[slot]);
			__builtin_prefetch(tn_set_words(next, slot));
		}
		if (r->keep != NULL && !r->keep[i])
			continue;
		if (st->set == NULL && !tn_exec_set_begin(r, st, counted))
			continue;
		/* Not the bits that choose the slot. */
		if (parts > 1 && (v->hashes[i] >> 32) % parts != part)
			continue;
		if (!tn_exec_set_add(r->fold, st->set, v->words +
		    (size_t)i * v->step, v->hashes[i], 1))
			tn_exec_set_spill(r->fold, st);
	}
}

void
tn_exec_set_apply(const struct tn_agg_run *r)
{
	const struct tn_agg *a = r->agg;
	bool counted = a->class == &tn_exec_agg_percentile;
	const struct tn_column *in = r->args[0];
	struct tn_key_plan plan;
	uint64_t *hashes;
	uint64_t *words;

	if (in->dict != NULL && !counted && r->fold->exact == NULL &&
	    in->dict->rows <= r->rows * 4ul) {
		apply_dict(r);
		return;
	}
	tn_exec_key_plan_init(&plan, &a->type[0], 1);
	words = tn_exec_keys_words(&plan, r->arena, in, r->rows);
	words += plan.at[0];
	hashes = tn_arena_alloc(r->arena, r->rows * 8ul);
	for (uint32_t i = 0; i < r->rows; i++)
		hashes[i] = tn_exec_words_hash(a->form[0],
		    words + (size_t)i * plan.words, NULL, plan.seed);
	add_values(r, &(struct values){ words, hashes, plan.words },
	    counted);
	tn_exec_key_plan_fini(&plan);
}

void
tn_exec_set_words(const struct tn_agg_run *r, const uint64_t *words,
    const uint64_t *hashes)
{
	tn_assert(tn_form_words(r->agg->form[0]) == 2);
	add_values(r, &(struct values){ words, hashes, 2 }, false);
}

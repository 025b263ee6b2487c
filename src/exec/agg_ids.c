/* count(DISTINCT text) in queries: two sets, one of texts and one of those
 * texts that are UUIDs in their usual form ("8-4-4-4-12", lower case), which
 * lie in it as 16 bytes. Ids of events mostly are such texts; this way a value
 * needs no place in a heap, and equal ones are told by two words.
 *
 *   text -> 32 digits and 4 dashes?  yes: 128 bits -> set of UUIDs
 *                                    no: set of texts (agg_set.c)
 *
 * Without GROUP BY there may be very many: then the UUIDs are a pile
 * (agg_pile.c).
 *
 * A column may come as a dictionary from one file and plain from the next; a
 * dictionary without UUIDs goes the way of texts as a whole.
 *
 * A text has one such value and a value one such text, so no text is in both
 * sets, and the answer is the sum of both counts. Only folds of queries have
 * this state: they are never merged, saved or loaded, and know no state_max. */
#include "exec/fold_int.h"

#define ID_CHARS 36u

struct ids {
	uint8_t texts[TN_SET_STATE_BYTES];
	uint8_t ids[TN_SET_STATE_BYTES];
	struct tn_pile *pile;    /* Instead of ids, without GROUP BY. */
	uint64_t seed;           /* For the pile's hashes. */
};

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16)));

static inline bytes16
load16(const uint8_t *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* What sixteen lower case digits are worth; where one is none, *bad is not
 * zero. From 'a' on are letters; bytes above 127 compare as negative. */
static inline bytes16
digits16(bytes16 c, bytes16 *bad)
{
	bytes16 letters = (bytes16)((signed16)c > '`');
	bytes16 n = c - '0' - (letters & ('a' - '0' - 10));

	*bad |= (n & 0xf0) | (bytes16)((signed16)n >
	    (signed16)((letters & 6) + 9));
	return n;
}

/* False: no UUID in its usual form. Of the 32 digits the first sixteen are the
 * high halves of the bytes, the others the low ones: any order will do, as long
 * as it is one. */
static inline bool
id_words(const uint8_t *p, uint32_t n, uint64_t w[static 2])
{
	bytes16 bad = { 0 }, high, low;
	uint64_t wrong[2];

	if (n != ID_CHARS || p[8] != '-' || p[13] != '-' || p[18] != '-' ||
	    p[23] != '-')
		return false;
	/* From 16 on: of the second sixteen bytes. */
	high = __builtin_shufflevector(load16(p), load16(p + 2), 0, 1, 2, 3, 4,
	    5, 6, 7, 9, 10, 11, 12, 14, 15, 16 + 14, 16 + 15);
	low = __builtin_shufflevector(load16(p + 19), load16(p + 20), 0, 1, 2,
	    3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 + 15);
	high = digits16(high, &bad) << 4 | digits16(low, &bad);
	memcpy(w, &high, sizeof high);
	memcpy(wrong, &bad, sizeof bad);
	return (wrong[0] | wrong[1]) == 0;
}

/* Sort rows out: to the set of ids those with is_id[] 1, to the other those
 * with is_text[] 1. Words of ids. Returns how many ids. */
static uint32_t
sort_out(const struct tn_agg_run *r, uint8_t *is_id, uint8_t *is_text,
    uint64_t *words)
{
	const struct tn_column *c = r->args[0];
	const struct tn_column *texts = c->dict != NULL ? c->dict : c;
	const uint32_t *codes = c->dict != NULL ? c->values : NULL;
	const uint32_t *offsets = texts->offsets;
	const uint8_t *bytes = texts->bytes;
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->rows; i++) {
		uint64_t *w = words + i * 2ul;
		bool kept = r->keep == NULL || r->keep[i], id = false;

		if (kept) {
			uint32_t row = codes != NULL ? codes[i] : i;
			uint32_t from = offsets[row];

			id = id_words(bytes + from, offsets[row + 1] - from,
			    w);
		}
		is_id[i] = id;
		is_text[i] = kept && !id;
		found += id;
	}
	return found;
}

static uint64_t *
hashes_of(const struct tn_agg_run *r, const uint8_t *is_id,
    const uint64_t *words)
{
	uint64_t *hashes = tn_arena_alloc(r->arena, r->rows * 8ul);

	for (uint32_t i = 0; i < r->rows; i++)
		hashes[i] = is_id[i] ? tn_exec_words_hash(TN_FORM_UUID,
		    words + i * 2ul, NULL, r->fold->program->keys.seed) : 0;
	return hashes;
}

/* Has a dictionary an entry that is to be in the set of ids? */
static bool
has_ids(const struct tn_column *dict)
{
	uint64_t w[2];

	for (uint32_t i = 0; i < dict->rows; i++)
		if (id_words(dict->bytes + dict->offsets[i],
		    dict->offsets[i + 1] - dict->offsets[i], w))
			return true;
	return false;
}

static void
add_to_pile(struct tn_exec_fold *f, struct ids *s,
    const struct tn_pile_rows *in)
{
	if (s->pile == NULL)
		s->pile = tn_exec_pile_new(f);
	s->seed = f->program->keys.seed;
	tn_exec_pile_add(f, s->pile, in);
}

static void
ids_apply(const struct tn_agg_run *r)
{
	const struct tn_column *dict = r->args[0]->dict;
	struct tn_agg of_ids = *r->agg;
	struct tn_agg_run part = *r;
	uint8_t *is_id, *is_text;
	uint64_t *words;
	uint32_t found;

	if (dict != NULL && !has_ids(dict)) {
		tn_exec_agg_distinct.apply(r);
		return;
	}
	is_id = tn_arena_alloc(r->arena, r->rows);
	is_text = tn_arena_alloc(r->arena, r->rows);
	words = tn_arena_alloc(r->arena, r->rows * 16ul);
	found = sort_out(r, is_id, is_text, words);
	if (found < r->rows) {
		part.keep = is_text;
		tn_exec_agg_distinct.apply(&part);
	}
	if (found == 0)
		return;
	if (r->fold->program->s->group_count == 0) {
		add_to_pile(r->fold, (void *)r->states, &(struct tn_pile_rows){
		    words, is_id, r->rows });
		return;
	}
	of_ids.form[0] = TN_FORM_UUID;
	part.agg = &of_ids;
	part.keep = found < r->rows ? is_id : NULL;
	part.states += offsetof(struct ids, ids);
	tn_exec_set_words(&part, words, hashes_of(r, is_id, words));
}

static void
ids_drop(struct tn_exec_fold *f, void *state)
{
	struct ids *s = state;

	tn_exec_agg_distinct.drop(f, s->texts);
	tn_exec_agg_distinct.drop(f, s->ids);
	tn_exec_pile_free(f, s->pile);
	s->pile = NULL;
}

static bool
ids_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct ids *s = state;
	struct tn_value more = { .w = { 0 } };
	bool known = tn_exec_agg_distinct.value(a, s->texts, v, env) &&
	    tn_exec_agg_distinct.value(a, s->ids, &more, env);

	v->w[0] += more.w[0] + tn_exec_pile_count(s->pile, s->seed);
	return known;
}

const struct tn_agg_class tn_exec_agg_ids = {
	.name = "ids", .size = sizeof(struct ids), .apply = ids_apply,
	.value = ids_value, .drop = ids_drop,
};

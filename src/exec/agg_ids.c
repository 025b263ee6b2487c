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
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

struct ids {
	uint8_t texts[TN_SET_STATE_BYTES];
	uint8_t ids[TN_SET_STATE_BYTES];
	struct tn_pile *pile;    /* Instead of ids, without GROUP BY. */
	uint64_t seed;           /* Of the pile's hashes. */
};

/* Eight digits as 32 bits; sets bits in *bad when they are no lower case
 * digits. Each byte of ${v} is a character. */
static inline uint64_t
eight_digits(uint64_t v, uint64_t *bad)
{
	uint64_t letter = v >> 6 & EACH(1);
	uint64_t n = (v & EACH(0x0f)) + letter * 9;
	uint64_t above9 = (n + EACH(0x76)) >> 7 & EACH(1);

	/* Spelt again it must be what it was. */
	*bad |= n & EACH(0xf0);
	*bad |= v ^ (n + EACH('0') + above9 * ('a' - '0' - 10));
	n = (n << 4 | n >> 8) & UINT64_C(0x00ff00ff00ff00ff);
	n = (n | n >> 8) & UINT64_C(0x0000ffff0000ffff);
	return (n | n >> 16) & UINT32_MAX;
}

static inline uint64_t
load(const uint8_t *p, const uint8_t *q)
{
	uint32_t a, b;

	memcpy(&a, p, 4);
	memcpy(&b, q, 4);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		return (uint64_t)__builtin_bswap32(b) << 32 |
		    __builtin_bswap32(a);
	return (uint64_t)b << 32 | a;
}

/* False: no UUID in its usual form. */
static inline bool
id_words(const uint8_t *p, uint32_t n, uint64_t w[static 2])
{
	uint64_t bad = 0;

	if (n != ID_CHARS || p[8] != '-' || p[13] != '-' || p[18] != '-' ||
	    p[23] != '-')
		return false;
	w[0] = eight_digits(load(p, p + 4), &bad) |
	    eight_digits(load(p + 9, p + 14), &bad) << 32;
	w[1] = eight_digits(load(p + 19, p + 24), &bad) |
	    eight_digits(load(p + 28, p + 32), &bad) << 32;
	return bad == 0;
}

/* Sort rows out: to the set of ids those with is_id[] 1, to the other those
 * with is_text[] 1. Words and hashes of ids. Returns how many ids. */
static uint32_t
sort_out(const struct tn_agg_run *r, uint8_t *is_id, uint8_t *is_text,
    uint64_t *words, uint64_t *hashes)
{
	const struct tn_column *c = r->args[0];
	const struct tn_column *texts = c->dict != NULL ? c->dict : c;
	const uint32_t *codes = c->dict != NULL ? c->values : NULL;
	uint64_t seed = r->fold->program->keys.seed;
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->rows; i++) {
		uint64_t *w = words + i * 2ul;
		bool kept = r->keep == NULL || r->keep[i], id = false;

		if (kept) {
			uint32_t row = codes != NULL ? codes[i] : i;
			uint32_t from = texts->offsets[row];

			id = id_words(texts->bytes + from,
			    texts->offsets[row + 1] - from, w);
		}
		is_id[i] = id;
		is_text[i] = kept && !id;
		found += id;
		hashes[i] = id ? tn_exec_words_hash(TN_FORM_UUID, w, NULL,
		    seed) : 0;
	}
	return found;
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
	uint64_t *words, *hashes;
	uint32_t found;

	if (dict != NULL && !has_ids(dict)) {
		tn_exec_agg_distinct.apply(r);
		return;
	}
	is_id = tn_arena_alloc(r->arena, r->rows);
	is_text = tn_arena_alloc(r->arena, r->rows);
	words = tn_arena_alloc(r->arena, r->rows * 16ul);
	hashes = tn_arena_alloc(r->arena, r->rows * 8ul);
	found = sort_out(r, is_id, is_text, words, hashes);
	if (found < r->rows) {
		part.keep = is_text;
		tn_exec_agg_distinct.apply(&part);
	}
	if (found == 0)
		return;
	if (r->fold->program->s->group_count == 0) {
		add_to_pile(r->fold, (void *)r->states, &(struct tn_pile_rows){
		    words, hashes, is_id, r->rows });
		return;
	}
	of_ids.form[0] = TN_FORM_UUID;
	part.agg = &of_ids;
	part.keep = found < r->rows ? is_id : NULL;
	part.states += offsetof(struct ids, ids);
	tn_exec_set_words(&part, words, hashes);
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

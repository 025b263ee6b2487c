/* Piles: many values of two words each, of which only the number of different
 * ones is asked for at the end.
 *
 *   value -> part by its hash -> appended
 *   part, when it is squeezed: each value once, by a table that fits the cache
 *
 * A set looks each row up in a table of hundreds of megabytes; a pile writes
 * to one of PARTS ends and looks later, part by part. It is squeezed when it
 * has grown fourfold (twofold, if that took away half of it), so it holds at
 * most some four times what is different. Nothing can fail. */
#include "exec/fold_int.h"

#define PARTS 256u
#define PART_BITS 8u
#define PART_MIN 16u             /* Values of the first allocation. */
#define SQUEEZE_MIN 65536u

struct part {
	uint64_t *words;         /* Two a value. */
	uint32_t count;
	uint32_t cap;
};
struct tn_pile {
	struct part part[PARTS];
	uint64_t held;
	uint64_t squeeze_at;
};

struct tn_pile *
tn_exec_pile_new(struct tn_exec_fold *f)
{
	struct tn_pile *p = tn_zalloc(sizeof *p);

	p->squeeze_at = SQUEEZE_MIN;
	f->aside += sizeof *p;
	return p;
}

void
tn_exec_pile_free(struct tn_exec_fold *f, struct tn_pile *p)
{
	if (p == NULL)
		return;
	for (uint32_t k = 0; k < PARTS; k++) {
		f->aside -= p->part[k].cap * 16ul;
		tn_free(p->part[k].words);
	}
	f->aside -= sizeof *p;
	tn_free(p);
}

/* Each value of the part once, in the order of their first places. ${slots}
 * is a table of a power of two, more than there are values. */
static void
squeeze_part(struct part *q, uint64_t seed, uint32_t *slots, uint32_t n)
{
	uint32_t kept = 0;

	memset(slots, 0, n * sizeof *slots);
	for (uint32_t k = 0; k < q->count; k++) {
		const uint64_t *w = q->words + k * 2ul;
		uint64_t hash = tn_exec_words_hash(TN_FORM_UUID, w, NULL,
		    seed);
		uint32_t i = (uint32_t)hash & (n - 1);
		uint64_t *held;

		for (; slots[i] != 0; i = (i + 1) & (n - 1)) {
			held = q->words + (slots[i] - 1) * 2ul;
			if (held[0] == w[0] && held[1] == w[1])
				break;
		}
		if (slots[i] != 0)
			continue;
		held = q->words + kept * 2ul;
		held[0] = w[0];
		held[1] = w[1];
		slots[i] = ++kept;
	}
	q->count = kept;
}

static void
squeeze(struct tn_pile *p, uint64_t seed)
{
	uint32_t most = 0;
	uint32_t n = 16;
	uint32_t *slots;

	for (uint32_t k = 0; k < PARTS; k++)
		most = p->part[k].count > most ? p->part[k].count : most;
	while (n / 2 < most)
		n *= 2;
	slots = tn_alloc(n * sizeof *slots);
	p->held = 0;
	for (uint32_t k = 0; k < PARTS; k++) {
		squeeze_part(&p->part[k], seed, slots, n);
		p->held += p->part[k].count;
	}
	tn_free(slots);
}

static void
part_grow(struct tn_exec_fold *f, struct part *q)
{
	uint32_t cap = q->cap == 0 ? PART_MIN : q->cap + q->cap / 2;

	tn_assert(cap < UINT32_MAX / 2);
	q->words = tn_realloc(q->words, cap * 16ul);
	f->aside += (cap - q->cap) * 16ul;
	q->cap = cap;
}

static void
not_too_many(struct tn_pile *p, uint64_t seed)
{
	uint64_t before = p->held;

	if (before < p->squeeze_at)
		return;
	squeeze(p, seed);
	p->squeeze_at = p->held * (p->held * 2 < before ? 2 : 4);
	if (p->squeeze_at < SQUEEZE_MIN)
		p->squeeze_at = SQUEEZE_MIN;
}

void
tn_exec_pile_add(struct tn_exec_fold *f, struct tn_pile *p,
    const struct tn_pile_rows *in)
{
	for (uint32_t i = 0; i < in->rows; i++) {
		struct part *q = &p->part[in->hashes[i] >> (64 - PART_BITS)];

		if (!in->keep[i])
			continue;
		if (q->count == q->cap)
			part_grow(f, q);
		memcpy(q->words + q->count * 2ul, in->words + i * 2ul, 16);
		q->count++;
		p->held++;
	}
	not_too_many(p, f->program->keys.seed);
}

uint64_t
tn_exec_pile_count(struct tn_pile *p, uint64_t seed)
{
	if (p == NULL)
		return 0;
	squeeze(p, seed);
	return p->held;
}

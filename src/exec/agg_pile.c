/* Piles: many values of two words each, of which only the number of different
 * ones is asked for at the end.
 *
 *   value -> part by its hash -> appended
 *   part, when it is squeezed: each value once, by a table that fits the cache;
 *                              a slot has the place of its value and, where
 *                              there are bits left, some of its hash
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

/* The seed is random, one a process: nobody can choose values that collide. */
static inline uint64_t
hash_of(const uint64_t *w, uint64_t seed)
{
	unsigned __int128 p = (unsigned __int128)(w[0] ^ seed) *
	    (w[1] ^ seed * UINT64_C(0x9e3779b97f4a7c15));

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Each value of the part once, in the order of their first places. ${slots}
 * is a table of 2^bits, more than twice as many as there are values. */
static void
squeeze_part(struct part *q, uint64_t seed, uint32_t *slots, unsigned bits)
{
	uint32_t mask = (UINT32_C(1) << bits) - 1;
	uint64_t *words = q->words;
	uint32_t kept = 0;

	memset(slots, 0, sizeof *slots << bits);
	for (uint32_t k = 0; k < q->count; k++) {
		const uint64_t *w = words + k * 2ul;
		uint64_t hash = hash_of(w, seed);
		uint32_t tag = (uint32_t)(hash >> 24) & ~mask;
		uint32_t i = (uint32_t)hash & mask;
		uint64_t *held;

		for (; slots[i] != 0; i = (i + 1) & mask) {
			if ((slots[i] & ~mask) != tag)
				continue;
			held = words + ((slots[i] & mask) - 1) * 2ul;
			if (held[0] == w[0] && held[1] == w[1])
				break;
		}
		if (slots[i] != 0)
			continue;
		held = words + kept * 2ul;
		held[0] = w[0];
		held[1] = w[1];
		slots[i] = tag | ++kept;
	}
	q->count = kept;
}

static void
squeeze(struct tn_pile *p, uint64_t seed)
{
	uint32_t most = 0;
	unsigned bits = 4;
	uint32_t *slots;

	for (uint32_t k = 0; k < PARTS; k++)
		most = p->part[k].count > most ? p->part[k].count : most;
	while (UINT32_C(1) << (bits - 1) <= most)
		bits++;
	slots = tn_alloc(sizeof *slots << bits);
	p->held = 0;
	for (uint32_t k = 0; k < PARTS; k++) {
		squeeze_part(&p->part[k], seed, slots, bits);
		p->held += p->part[k].count;
	}
	tn_free(slots);
}

static void
part_grow(struct tn_exec_fold *f, struct part *q)
{
	uint32_t cap = q->cap == 0 ? PART_MIN : q->cap + q->cap / 2;

	tn_assert(cap < UINT32_MAX / 4);     /* A slot has room for it. */
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
	const struct tn_pile_rows rows = *in;
	uint64_t seed = f->program->keys.seed;
	uint64_t added = 0;

	for (uint32_t i = 0; i < rows.rows; i++) {
		const uint64_t *w = rows.words + i * 2ul;
		struct part *q;

		if (!rows.keep[i])
			continue;
		q = &p->part[hash_of(w, seed) >> (64 - PART_BITS)];
		if (q->count == q->cap)
			part_grow(f, q);
		memcpy(q->words + q->count * 2ul, w, 16);
		q->count++;
		added++;
	}
	p->held += added;
	not_too_many(p, seed);
}

uint64_t
tn_exec_pile_count(struct tn_pile *p, uint64_t seed)
{
	if (p == NULL)
		return 0;
	squeeze(p, seed);
	return p->held;
}

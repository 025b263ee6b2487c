/* dict: the dictionary of a column chunk while it is written: an open hash
 * table of codes, the first place of each entry among the values, and a code
 * for each value. Values equal to the one before take no look-up.
 *
 * Given up (the caller then writes PLAIN or DELTA) when it has more than
 * TN_PQ_DICT_ENTRIES_MAX entries or TN_PQ_DICT_BYTES_MAX bytes, or when three
 * quarters of the first TN_PQ_DICT_TRIAL values are different. Equal means
 * equal bytes: -0.0 and 0.0 are two entries, NaNs of one form are one. */
#include "parquet/parquet_int.h"

#define SLOTS_MIN 1024u

static uint64_t
mix(uint64_t v)
{
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return v ^ v >> 32;
}

static uint32_t
hash_at(const struct pq_column *c, uint32_t i)
{
	const uint8_t *p;
	struct tn_slice s;

	if (c->width == 0) {
		s = pq_text_at(c, i);
		return (uint32_t)tn_hash64(s.p, s.n, 0);
	}
	p = c->values + i * c->width;
	switch (c->width) {
	case 4:
		return (uint32_t)mix(pq_load32(p));
	case 8:
		return (uint32_t)mix(pq_load64(p));
	default:
		return (uint32_t)mix(mix(pq_load64(p)) ^ pq_load64(p + 8));
	}
}

static bool
same(const struct pq_column *c, uint32_t a, uint32_t b)
{
	const uint8_t *p, *q;

	if (c->width == 0)
		return tn_slice_eq(pq_text_at(c, a), pq_text_at(c, b));
	p = c->values + a * c->width;
	q = c->values + b * c->width;
	switch (c->width) {
	case 4:
		return pq_load32(p) == pq_load32(q);
	case 8:
		return pq_load64(p) == pq_load64(q);
	default:
		return pq_load64(p) == pq_load64(q) &&
		    pq_load64(p + 8) == pq_load64(q + 8);
	}
}

static void
grow_slots(struct pq_dict_builder *d)
{
	uint32_t mask;

	d->slot_count *= 2;
	mask = d->slot_count - 1;
	d->slots = tn_realloc(d->slots, d->slot_count * sizeof *d->slots);
	memset(d->slots, 0, d->slot_count * sizeof *d->slots);
	for (uint32_t e = 0; e < d->entries; e++) {
		uint32_t at = d->hashes[e] & mask;

		while (d->slots[at] != 0)
			at = (at + 1) & mask;
		d->slots[at] = e + 1;
	}
}

static void
begin(struct pq_dict_builder *d, const struct pq_column *c)
{
	if (d->hashes == NULL) {
		d->hashes = tn_alloc(TN_PQ_DICT_ENTRIES_MAX *
		    sizeof *d->hashes);
		d->first = tn_alloc(TN_PQ_DICT_ENTRIES_MAX *
		    sizeof *d->first);
	}
	d->slot_count = SLOTS_MIN;
	d->slots = tn_realloc(d->slots, SLOTS_MIN * sizeof *d->slots);
	memset(d->slots, 0, SLOTS_MIN * sizeof *d->slots);
	if (d->codes_cap < c->dense) {
		tn_free(d->codes);
		d->codes = tn_alloc(c->dense * sizeof *d->codes);
		d->codes_cap = c->dense;
	}
	d->entries = 0;
	d->bytes = 0;
	d->runs = 0;
}

/* A new entry for value ${i} at a free slot. */
static bool
add(struct pq_dict_builder *d, const struct pq_column *c, uint32_t i,
    uint32_t hash, uint32_t slot)
{
	size_t bytes = c->width == 0 ? 4 + pq_text_at(c, i).n : c->width;

	if (d->entries == TN_PQ_DICT_ENTRIES_MAX ||
	    d->bytes + bytes > TN_PQ_DICT_BYTES_MAX)
		return false;
	d->hashes[d->entries] = hash;
	d->first[d->entries] = i;
	d->bytes += bytes;
	d->entries++;
	d->slots[slot] = d->entries;
	if (d->entries > d->slot_count / 2)
		grow_slots(d);
	return true;
}

static bool
code_of(struct pq_dict_builder *d, const struct pq_column *c, uint32_t i)
{
	uint32_t hash = hash_at(c, i);
	uint32_t at = hash & (d->slot_count - 1);
	uint32_t slot;

	for (;;) {
		slot = d->slots[at];
		if (slot == 0)
			break;
		if (d->hashes[slot - 1] == hash &&
		    same(c, d->first[slot - 1], i)) {
			d->codes[i] = slot - 1;
			return true;
		}
		at = (at + 1) & (d->slot_count - 1);
	}
	d->codes[i] = d->entries;
	return add(d, c, i, hash, at);
}

bool
tn_parquet_dict_build(struct pq_dict_builder *d, const struct pq_column *c)
{
	tn_assert(c->width != 1);
	begin(d, c);
	for (uint32_t i = 0; i < c->dense; i++) {
		if (i > 0 && same(c, i - 1, i)) {
			d->codes[i] = d->codes[i - 1];
			continue;
		}
		d->runs++;
		if (!code_of(d, c, i))
			return false;
		if (i == TN_PQ_DICT_TRIAL &&
		    d->entries > TN_PQ_DICT_TRIAL / 4 * 3)
			return false;
	}
	return true;
}

void
tn_parquet_dict_fini(struct pq_dict_builder *d)
{
	tn_free(d->slots);
	tn_free(d->hashes);
	tn_free(d->first);
	tn_free(d->codes);
	*d = (struct pq_dict_builder){ 0 };
}

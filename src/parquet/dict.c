/* dict: the dictionary of a column chunk while it is written: an open hash
 * table of codes, the first place of each entry among the values, and a code
 * for each value. Values equal to the one before take no look-up.
 *
 * A value is looked up by its key: values of fixed width and texts of up to
 * 16 bytes are wholly in it, so that the table alone tells; of a longer text
 * it is a hash, and the bytes are compared.
 *
 * Given up (the caller then writes PLAIN or DELTA) when it has more than
 * TN_PQ_DICT_ENTRIES_MAX entries or TN_PQ_DICT_BYTES_MAX bytes, or when three
 * quarters of the first TN_PQ_DICT_TRIAL values are different. Equal means
 * equal bytes: -0.0 and 0.0 are two entries, NaNs of one form are one. */
#include "parquet/parquet_int.h"

#define SLOTS_MIN 1024u
#define WHOLE_BYTES 16u          /* Of a text that its key tells. */

static uint64_t
mix(uint64_t v)
{
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return v ^ v >> 32;
}

/* Bytes may be read twice; together with their number the two words tell all
 * of them. */
static struct pq_dict_key
short_key(const uint8_t *p, uint32_t n)
{
	struct pq_dict_key k = { 0, 0, n };

	if (n >= 8) {
		k.a = pq_load64(p);
		k.b = pq_load64(p + n - 8);
	} else if (n >= 4) {
		k.a = pq_load32(p);
		k.b = pq_load32(p + n - 4);
	} else if (n > 0) {
		k.a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 |
		    p[n - 1];
	}
	return k;
}

static inline struct pq_dict_key
key_at(const struct pq_column *c, uint32_t i)
{
	const uint8_t *p = c->values + i * c->width;
	struct tn_slice s;

	switch (c->width) {
	case 0:
		s = pq_text_at(c, i);
		return s.n <= WHOLE_BYTES ? short_key(s.p, (uint32_t)s.n) :
		    (struct pq_dict_key){ tn_hash64(s.p, s.n, 0), 0,
		    (uint32_t)s.n };
	case 4:
		return (struct pq_dict_key){ pq_load32(p), 0, 4 };
	case 8:
		return (struct pq_dict_key){ pq_load64(p), 0, 8 };
	default:
		return (struct pq_dict_key){ pq_load64(p), pq_load64(p + 8),
		    16 };
	}
}

static inline bool
same_key(const struct pq_dict_key *x, const struct pq_dict_key *y)
{
	return x->a == y->a && x->b == y->b && x->n == y->n;
}

static inline bool
is_whole(const struct pq_column *c, const struct pq_dict_key *k)
{
	return c->width != 0 || k->n <= WHOLE_BYTES;
}

/* Equal keys: equal values? */
static inline bool
same(const struct pq_column *c, const struct pq_dict_key *k, uint32_t a,
    uint32_t b)
{
	return is_whole(c, k) || tn_slice_eq(pq_text_at(c, a),
	    pq_text_at(c, b));
}

static inline uint32_t
hash_of(const struct pq_dict_key *k)
{
	return (uint32_t)mix(mix(k->a) ^ k->b ^ k->n);
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
		uint32_t at = hash_of(&d->keys[e]) & mask;

		while (d->slots[at] != 0)
			at = (at + 1) & mask;
		d->slots[at] = e + 1;
	}
}

static void
begin(struct pq_dict_builder *d, const struct pq_column *c)
{
	if (d->keys == NULL) {
		d->keys = tn_alloc(TN_PQ_DICT_ENTRIES_MAX * sizeof *d->keys);
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
    const struct pq_dict_key *k, uint32_t slot)
{
	size_t bytes = c->width == 0 ? 4 + k->n : c->width;

	if (d->entries == TN_PQ_DICT_ENTRIES_MAX ||
	    d->bytes + bytes > TN_PQ_DICT_BYTES_MAX)
		return false;
	d->keys[d->entries] = *k;
	d->first[d->entries] = i;
	d->bytes += bytes;
	d->entries++;
	d->slots[slot] = d->entries;
	if (d->entries > d->slot_count / 2)
		grow_slots(d);
	return true;
}

static inline bool
code_of(struct pq_dict_builder *d, const struct pq_column *c, uint32_t i,
    const struct pq_dict_key *k)
{
	uint32_t at = hash_of(k) & (d->slot_count - 1);
	uint32_t slot;

	for (;;) {
		slot = d->slots[at];
		if (slot == 0)
			break;
		if (same_key(&d->keys[slot - 1], k) &&
		    same(c, k, d->first[slot - 1], i)) {
			d->codes[i] = slot - 1;
			return true;
		}
		at = (at + 1) & (d->slot_count - 1);
	}
	d->codes[i] = d->entries;
	return add(d, c, i, k, at);
}

/* A long text like the one before is not hashed again. */
static inline bool
repeats_long(const struct pq_column *c, uint32_t i)
{
	uint32_t n = c->offsets[i + 1] - c->offsets[i];

	return n > WHOLE_BYTES && n == c->offsets[i] - c->offsets[i - 1] &&
	    memcmp(c->bytes + c->offsets[i], c->bytes + c->offsets[i - 1],
	    n) == 0;
}

bool
tn_parquet_dict_build(struct pq_dict_builder *d, const struct pq_column *c)
{
	struct pq_dict_key k, last = { 0, 0, UINT32_MAX };

	tn_assert(c->width != 1);
	begin(d, c);
	for (uint32_t i = 0; i < c->dense; i++) {
		if (i > 0 && c->width == 0 && repeats_long(c, i)) {
			d->codes[i] = d->codes[i - 1];
			continue;
		}
		k = key_at(c, i);
		if (same_key(&k, &last) && is_whole(c, &k)) {
			d->codes[i] = d->codes[i - 1];
			continue;
		}
		last = k;
		d->runs++;
		if (!code_of(d, c, i, &k))
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
	tn_free(d->keys);
	tn_free(d->first);
	tn_free(d->codes);
	*d = (struct pq_dict_builder){ 0 };
}

/* The dedupe window of one stream: key files of what is in the lake, and
 * hash sets of what is not yet. Belongs to the writer, which decides
 * duplicates once, in commit order.
 *
 * Sets are generations: a publication drops those whose newest LSN it covers
 * and begins a new one, so memory holds the keys of about two cuts. A set is
 * open addressing with linear probing over 16-byte hashes, half full at most;
 * taking back (a failed commit) shifts the cluster, no tombstones.
 *
 * What can go wrong: publications lag behind, then the eighth set grows and
 * goes with the last publication. A key is never forgotten early, so at worst
 * memory is used longer than needed. */
#include "ingest/ingest_int.h"

#include <string.h>

#define GENERATIONS_MAX 8

struct generation {
	struct tn_hash128 *slots;    /* {0,0} is empty. */
	uint64_t mask;
	uint64_t count;
	uint64_t lsn_max;
};
struct keyset {
	struct generation gen[GENERATIONS_MAX];   /* The last one takes. */
	uint32_t gen_count;
	struct tn_lake_keys **files;
	uint32_t file_count;
};

struct keyset *
tn_ingest_keyset_new(void)
{
	struct keyset *k = tn_zalloc(sizeof *k);

	k->gen_count = 1;
	return k;
}

static void
drop_files(struct keyset *k)
{
	for (uint32_t i = 0; i < k->file_count; i++)
		tn_lake_keys_close(k->files[i]);
	tn_free(k->files);
	k->files = NULL;
	k->file_count = 0;
}

void
tn_ingest_keyset_free(struct keyset *k)
{
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->gen_count; i++)
		tn_free(k->gen[i].slots);
	drop_files(k);
	tn_free(k);
}

/* {0,0} stands for empty: let that one hash be another. */
static struct tn_hash128
not_empty(struct tn_hash128 h)
{
	if (h.lo == 0 && h.hi == 0)
		h.lo = 1;
	return h;
}

static bool
is_empty(const struct tn_hash128 *h)
{
	return h->lo == 0 && h->hi == 0;
}

/* The slot that has the key, or the empty one where it would go. */
static uint64_t
find_slot(const struct generation *g, struct tn_hash128 h)
{
	uint64_t i = h.lo & g->mask;

	while (!is_empty(&g->slots[i]) &&
	    (g->slots[i].lo != h.lo || g->slots[i].hi != h.hi))
		i = (i + 1) & g->mask;
	return i;
}

static void
grow(struct generation *g)
{
	struct generation n = *g;
	uint64_t cap = g->slots == NULL ? 1024 : (g->mask + 1) * 2;

	n.slots = tn_zalloc(cap * sizeof *n.slots);
	n.mask = cap - 1;
	for (uint64_t i = 0; g->slots != NULL && i <= g->mask; i++)
		if (!is_empty(&g->slots[i]))
			n.slots[find_slot(&n, g->slots[i])] = g->slots[i];
	tn_free(g->slots);
	*g = n;
}

static bool
known(const struct keyset *k, struct tn_hash128 key)
{
	struct tn_hash128 h = not_empty(key);

	for (uint32_t i = 0; i < k->gen_count; i++) {
		const struct generation *g = &k->gen[i];
		if (g->count > 0 && !is_empty(&g->slots[find_slot(g, h)]))
			return true;
	}
	for (uint32_t i = 0; i < k->file_count; i++)
		if (tn_lake_keys_has(k->files[i], key))
			return true;
	return false;
}

bool
tn_ingest_keyset_add(struct keyset *k, struct tn_hash128 key, uint64_t lsn)
{
	struct generation *g = &k->gen[k->gen_count - 1];
	struct tn_hash128 h = not_empty(key);

	if (known(k, key))
		return false;
	if (g->slots == NULL || g->count * 2 > g->mask)
		grow(g);
	g->slots[find_slot(g, h)] = h;
	g->count++;
	g->lsn_max = lsn;
	return true;
}

/* Linear probing's deletion (Knuth, TAOCP vol. 3, 6.4 algorithm R). */
static void
remove_slot(struct generation *g, uint64_t hole)
{
	uint64_t i = hole;

	for (;;) {
		i = (i + 1) & g->mask;
		if (is_empty(&g->slots[i]))
			break;
		uint64_t home = g->slots[i].lo & g->mask;
		/* Stays when its home lies cyclically in (hole, i]. */
		if (((i - home) & g->mask) < ((i - hole) & g->mask))
			continue;
		g->slots[hole] = g->slots[i];
		hole = i;
	}
	memset(&g->slots[hole], 0, sizeof g->slots[hole]);
	g->count--;
}

void
tn_ingest_keyset_undo(struct keyset *k, const struct tn_hash128 *keys,
    uint64_t count)
{
	struct generation *g = &k->gen[k->gen_count - 1];

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = find_slot(g, not_empty(keys[i]));
		tn_assert(!is_empty(&g->slots[at]));
		remove_slot(g, at);
	}
}

void
tn_ingest_keyset_files(struct keyset *k, struct tn_lake_keys **files,
    uint32_t count, uint64_t lsn)
{
	uint32_t kept = 0;

	drop_files(k);
	k->files = files;
	k->file_count = count;
	for (uint32_t i = 0; i < k->gen_count; i++) {
		if (k->gen[i].count == 0 || k->gen[i].lsn_max <= lsn)
			tn_free(k->gen[i].slots);
		else
			k->gen[kept++] = k->gen[i];
	}
	/* When publications lag behind, the last generation goes on. */
	if (kept < GENERATIONS_MAX)
		memset(&k->gen[kept++], 0, sizeof k->gen[0]);
	k->gen_count = kept;
}

uint64_t
tn_ingest_keyset_count(const struct keyset *k)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < k->gen_count; i++)
		n += k->gen[i].count;
	return n;
}

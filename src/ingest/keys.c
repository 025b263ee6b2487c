/* The dedupe window of one stream: key files of what is in the lake, and
 * hash sets of what is not yet. Belongs to the writer, which decides
 * duplicates once, in commit order.
 *
 * Sets are generations: a publication drops those whose newest LSN it covers
 * and begins a new one, so memory holds the keys of about two cuts. A set is
 * SHARDS tables, told by the top bits of hi; each is open addressing with
 * linear probing over 16-byte hashes from lo's low bits. Taking back (a failed
 * commit) shifts the cluster, no tombstones.
 *
 * A table doubles at 30 to 60 per cent, each shard at another share: so at any
 * time about as many shards are young as are nearly full, and growing is a
 * little work now and then instead of a pause that all senders feel.
 *
 * Nearly every lookup misses the processor's caches. The writer therefore
 * calls fetch some rows ahead of add.
 *
 * What can go wrong: memory is out for a larger table, then the rows are
 * refused before any is committed. Publications lag behind, then the eighth set grows and
 * goes with the last publication. A key is never forgotten early, so at worst
 * memory is used longer than needed. The budget is told of tables and of the
 * files' filters; it cannot refuse them, but the doors close before. */
#include "ingest/ingest_int.h"

#include <string.h>

#define GENERATIONS_MAX 8
#define SHARDS 256
#define SLOTS_MIN 16             /* Of a shard with any key. */
#define FETCH_FILES 8            /* Fetched ahead; the rest is waited for. */

struct shard {
	struct tn_hash128 *slots;    /* {0,0} is empty. NULL: no key yet. */
	uint64_t mask;
	uint64_t count;
};
struct generation {
	struct shard *shards;        /* SHARDS; NULL: no key yet. */
	uint64_t count;
	uint64_t lsn_max;
};
struct keyset {
	struct generation gen[GENERATIONS_MAX];   /* The last one takes. */
	uint32_t gen_count;
	struct tn_lake_keys **files;
	uint32_t file_count;
	struct tn_budget_share held;
};

struct keyset *
tn_ingest_keyset_new(void)
{
	struct keyset *k = tn_zalloc(sizeof *k);

	k->gen_count = 1;
	k->held.class = TN_BUDGET_KEYS;
	return k;
}

static void
count_more(struct keyset *k, size_t bytes)
{
	tn_budget_set(&k->held, k->held.bytes + bytes);
}

static void
count_less(struct keyset *k, size_t bytes)
{
	tn_budget_set(&k->held, k->held.bytes - bytes);
}

static size_t
table_bytes(const struct shard *s)
{
	return s->slots == NULL ? 0 : (s->mask + 1) * sizeof *s->slots;
}

static void
drop_generation(struct keyset *k, struct generation *g)
{
	for (uint32_t i = 0; g->shards != NULL && i < SHARDS; i++) {
		count_less(k, table_bytes(&g->shards[i]));
		tn_free(g->shards[i].slots);
	}
	tn_free(g->shards);
	memset(g, 0, sizeof *g);
}

static void
drop_files(struct keyset *k)
{
	for (uint32_t i = 0; i < k->file_count; i++) {
		count_less(k, tn_lake_keys_filter_bytes(k->files[i]));
		tn_lake_keys_close(k->files[i]);
	}
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
		drop_generation(k, &k->gen[i]);
	drop_files(k);
	tn_assert(k->held.bytes == 0);
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

static uint32_t
shard_of(struct tn_hash128 h)
{
	return (uint32_t)(h.hi >> 56) & (SHARDS - 1);
}

/* The slot that has the key, or the empty one where it would go. */
static uint64_t
find_slot(const struct shard *s, struct tn_hash128 h)
{
	uint64_t i = h.lo & s->mask;

	while (!is_empty(&s->slots[i]) &&
	    (s->slots[i].lo != h.lo || s->slots[i].hi != h.hi))
		i = (i + 1) & s->mask;
	return i;
}

/* Is a shard so full that it grows before it takes one more? */
static bool
is_full(const struct shard *s, uint32_t number)
{
	return s->slots == NULL || (s->count + 1) * 10 * SHARDS >
	    (s->mask + 1) * 3 * (SHARDS + number);
}

/* False when memory is out: the shard is as it was. */
static bool
grow(struct shard *s)
{
	struct shard n = *s;
	uint64_t cap = s->slots == NULL ? SLOTS_MIN : (s->mask + 1) * 2;

	n.slots = tn_try_alloc(cap * sizeof *n.slots);
	if (n.slots == NULL)
		return false;
	memset(n.slots, 0, cap * sizeof *n.slots);
	n.mask = cap - 1;
	for (uint64_t i = 0; s->slots != NULL && i <= s->mask; i++)
		if (!is_empty(&s->slots[i]))
			n.slots[find_slot(&n, s->slots[i])] = s->slots[i];
	tn_free(s->slots);
	*s = n;
	return true;
}

static bool
generation_has(const struct generation *g, struct tn_hash128 h)
{
	const struct shard *s;

	if (g->count == 0)
		return false;
	s = &g->shards[shard_of(h)];
	return s->count > 0 && !is_empty(&s->slots[find_slot(s, h)]);
}

static bool
known_before(const struct keyset *k, struct tn_hash128 key)
{
	struct tn_hash128 h = not_empty(key);

	for (uint32_t i = 0; i + 1 < k->gen_count; i++)
		if (generation_has(&k->gen[i], h))
			return true;
	for (uint32_t i = 0; i < k->file_count; i++)
		if (tn_lake_keys_has(k->files[i], key))
			return true;
	return false;
}

void
tn_ingest_keyset_fetch(const struct keyset *k, struct tn_hash128 key)
{
	struct tn_hash128 h = not_empty(key);

	for (uint32_t i = 0; i < k->gen_count; i++) {
		const struct shard *s = k->gen[i].shards;
		if (s == NULL)
			continue;
		s += shard_of(h);
		if (s->slots != NULL)
			__builtin_prefetch(&s->slots[h.lo & s->mask]);
	}
	for (uint32_t i = 0; i < k->file_count && i < FETCH_FILES; i++)
		tn_lake_keys_fetch(k->files[i], key);
}

enum tn_status
tn_ingest_keyset_add(struct keyset *k, struct tn_hash128 key, uint64_t lsn,
    bool *fresh)
{
	struct generation *g = &k->gen[k->gen_count - 1];
	struct tn_hash128 h = not_empty(key);
	struct shard *s;
	uint64_t at;
	bool grown = true;

	if (g->shards == NULL)
		g->shards = tn_zalloc(SHARDS * sizeof *g->shards);
	s = &g->shards[shard_of(h)];
	*fresh = false;
	if (is_full(s, shard_of(h))) {
		count_less(k, table_bytes(s));
		grown = grow(s);
		count_more(k, table_bytes(s));
	}
	if (!grown)
		return TN_ENOMEM;
	at = find_slot(s, h);
	if (!is_empty(&s->slots[at]) || known_before(k, key))
		return TN_OK;
	s->slots[at] = h;
	s->count++;
	g->count++;
	g->lsn_max = lsn;
	*fresh = true;
	return TN_OK;
}

/* Linear probing's deletion (Knuth, TAOCP vol. 3, 6.4 algorithm R). */
static void
remove_slot(struct shard *s, uint64_t hole)
{
	uint64_t i = hole;

	for (;;) {
		i = (i + 1) & s->mask;
		if (is_empty(&s->slots[i]))
			break;
		uint64_t home = s->slots[i].lo & s->mask;
		/* Stays when its home lies cyclically in (hole, i]. */
		if (((i - home) & s->mask) < ((i - hole) & s->mask))
			continue;
		s->slots[hole] = s->slots[i];
		hole = i;
	}
	memset(&s->slots[hole], 0, sizeof s->slots[hole]);
	s->count--;
}

void
tn_ingest_keyset_undo(struct keyset *k, const struct tn_hash128 *keys,
    uint64_t count)
{
	struct generation *g = &k->gen[k->gen_count - 1];

	for (uint64_t i = 0; i < count; i++) {
		struct tn_hash128 h = not_empty(keys[i]);
		struct shard *s = &g->shards[shard_of(h)];
		uint64_t at = find_slot(s, h);
		tn_assert(!is_empty(&s->slots[at]));
		remove_slot(s, at);
		g->count--;
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
	for (uint32_t i = 0; i < count; i++)
		count_more(k, tn_lake_keys_filter_bytes(files[i]));
	for (uint32_t i = 0; i < k->gen_count; i++) {
		if (k->gen[i].count == 0 || k->gen[i].lsn_max <= lsn)
			drop_generation(k, &k->gen[i]);
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

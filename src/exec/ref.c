/* Reference tables: every version of every row, by primary key and LSN.
 *
 *   core (counted)   entries: append-only, in chunks that never move
 *                      { batch, row, lsn, hash, older entry of the same key }
 *   table (counted)  open addressing: key -> its newest entry
 *   handle           core + table + how many entries it may see
 *
 * The writer fills an entry, then publishes it with a release store into its
 * slot. A reader of a frozen handle loads slots with acquire, so what it
 * reaches is complete; it skips entries that are newer than its count by
 * following the link to the older one. Entries and batches are never changed
 * or freed while a handle lives. When the table is full the writer makes a
 * larger one; frozen handles keep the old one, which still leads to all they
 * may see. So freezing costs two counts, and putting never waits.
 *
 * Limits: 2^32 - 1024 versions a table (asserted). Rows whose key has a null
 * are left out: nothing could find them. */
#include "exec/expr_int.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK0 1024u
#define CHUNKS 22
#define SLOTS_MIN 64u

struct entry {
	const struct tn_batch *batch;
	uint64_t lsn;
	uint64_t hash;
	uint32_t row;
	uint32_t older;              /* Entry number + 1; 0: none. */
};
struct table {
	atomic_uint refs;
	uint32_t mask;
	uint32_t keys;               /* Writer only. */
	_Atomic uint32_t slots[];    /* Entry number + 1; 0: free. */
};
struct core {
	atomic_uint refs;
	struct tn_schema *schema;
	uint32_t *key;
	uint32_t key_count;
	struct entry *chunks[CHUNKS];
	struct tn_batch **batches;   /* Writer, and whoever frees. */
	size_t bytes;                /* Writer: of chunks and batches. */
	uint32_t batch_count, batch_cap;
};
struct tn_exec_ref {
	atomic_uint refs;
	bool frozen;
	struct core *core;
	struct table *table;
	uint32_t count;              /* Entries that may be seen. */
};

/* ---- entries --------------------------------------------------------- */

/* Chunk k holds CHUNK0 << k entries. */
static struct entry *
entry_at(const struct core *c, uint32_t i)
{
	uint64_t j = (uint64_t)i + CHUNK0;
	uint32_t k = 63 - (uint32_t)__builtin_clzll(j) - 10;

	return &c->chunks[k][j - ((uint64_t)CHUNK0 << k)];
}

static struct entry *
entry_new(struct core *c, uint32_t i)
{
	uint64_t j = (uint64_t)i + CHUNK0;
	uint32_t k = 63 - (uint32_t)__builtin_clzll(j) - 10;

	tn_assert(k < CHUNKS);
	if (c->chunks[k] == NULL) {
		c->chunks[k] = tn_alloc(((size_t)CHUNK0 << k) *
		    sizeof(struct entry));
		c->bytes += ((size_t)CHUNK0 << k) * sizeof(struct entry);
	}
	return entry_at(c, i);
}

/* ---- keys ------------------------------------------------------------ */

/* A dictionary column's value lies in its dictionary. */
static const struct tn_column *
resolve(const struct tn_column *c, uint32_t *row)
{
	if (c->dict == NULL)
		return c;
	*row = ((const uint32_t *)c->values)[*row];
	return c->dict;
}

/* Equal values hash alike: numerics without trailing zeros, one zero and one
 * NaN, intervals by their length. */
static uint64_t
hash_value(const struct tn_column *c, uint32_t row, uint64_t seed)
{
	size_t width = tn_record_type_width(c->type);
	const uint8_t *p = c->values;
	struct tn_slice s;
	__int128 v;
	double d;

	if (width == 0) {
		s = tn_column_text(c, row);
		return tn_hash64(s.p, s.n, seed);
	}
	switch (c->type.id) {
	case TN_T_NUMERIC:
		memcpy(&v, p + row * 16ul, 16);
		for (int i = c->type.scale; i > 0 && v % 10 == 0; i--)
			v /= 10;
		return tn_hash64(&v, sizeof v, seed);
	case TN_T_INTERVAL:
		v = tn_exec_interval_span(
		    ((const struct tn_interval *)c->values)[row]);
		return tn_hash64(&v, sizeof v, seed);
	case TN_T_FLOAT4:
	case TN_T_FLOAT8:
		d = c->type.id == TN_T_FLOAT8 ?
		    ((const double *)c->values)[row] :
		    (double)((const float *)c->values)[row];
		d = d == 0 ? 0 : d != d ? (double)__builtin_nan("") : d;
		return tn_hash64(&d, sizeof d, seed);
	default:
		return tn_hash64(p + row * width, width, seed);
	}
}

/* False when a key column is null. */
static bool
hash_key(const struct tn_column *const *key, uint32_t count, uint32_t row,
    uint64_t *hash)
{
	uint64_t h = count;

	for (uint32_t k = 0; k < count; k++) {
		uint32_t at = row;
		const struct tn_column *c;

		if (!tn_column_valid(key[k], row))
			return false;
		c = resolve(key[k], &at);
		h = hash_value(c, at, h);
	}
	*hash = h;
	return true;
}

static bool
same_key(const struct core *c, const struct entry *e,
    const struct tn_column *const *key, uint32_t row)
{
	for (uint32_t k = 0; k < c->key_count; k++) {
		uint32_t a = e->row, b = row;
		const struct tn_column *x = resolve(
		    &e->batch->columns[c->key[k]], &a);
		const struct tn_column *y = resolve(key[k], &b);

		tn_assert(x->type.id == y->type.id);
		if (tn_exec_order(x, a, y, b) != 0)
			return false;
	}
	return true;
}

/* ---- the table ------------------------------------------------------- */

static struct table *
table_new(uint32_t slots)
{
	struct table *t = tn_zalloc(sizeof *t + slots * sizeof t->slots[0]);

	atomic_init(&t->refs, 1);
	t->mask = slots - 1;
	return t;
}

static void
table_unref(struct table *t)
{
	if (t != NULL && atomic_fetch_sub(&t->refs, 1) == 1)
		tn_free(t);
}

/* The slot of a key: it holds the key's newest entry or is free. */
static _Atomic uint32_t *
table_slot(struct table *t, const struct core *c, uint64_t hash,
    const struct tn_column *const *key, uint32_t row)
{
	uint32_t at = (uint32_t)hash & t->mask;

	for (;; at = (at + 1) & t->mask) {
		uint32_t i = atomic_load_explicit(&t->slots[at],
		    memory_order_acquire);
		const struct entry *e;

		if (i == 0)
			return &t->slots[at];
		e = entry_at(c, i - 1);
		if (e->hash == hash && same_key(c, e, key, row))
			return &t->slots[at];
	}
}

/* Twice the slots; keys stay apart, so no key is compared. */
static void
table_grow(struct tn_exec_ref *r)
{
	struct table *old = r->table;
	struct table *t = table_new((old->mask + 1) * 2);

	for (uint32_t s = 0; s <= old->mask; s++) {
		uint32_t i = atomic_load_explicit(&old->slots[s],
		    memory_order_relaxed);
		uint32_t at;

		if (i == 0)
			continue;
		at = (uint32_t)entry_at(r->core, i - 1)->hash & t->mask;
		while (atomic_load_explicit(&t->slots[at],
		    memory_order_relaxed) != 0)
			at = (at + 1) & t->mask;
		atomic_store_explicit(&t->slots[at], i,
		    memory_order_relaxed);
	}
	t->keys = old->keys;
	r->table = t;
	table_unref(old);
}

/* ---- handles --------------------------------------------------------- */

struct tn_exec_ref *
tn_exec_ref_new(const struct tn_sql_table *table)
{
	struct tn_exec_ref *r = tn_zalloc(sizeof *r);
	struct core *c = tn_zalloc(sizeof *c);

	tn_assert(table->key_count > 0);
	atomic_init(&r->refs, 1);
	atomic_init(&c->refs, 1);
	c->schema = tn_record_schema_copy(table->schema);
	c->key_count = table->key_count;
	c->key = tn_alloc(c->key_count * sizeof *c->key);
	memcpy(c->key, table->key, c->key_count * sizeof *c->key);
	r->core = c;
	r->table = table_new(SLOTS_MIN);
	return r;
}

struct tn_exec_ref *
tn_exec_ref_freeze(struct tn_exec_ref *r)
{
	struct tn_exec_ref *f;

	if (r->frozen) {
		atomic_fetch_add(&r->refs, 1);
		return r;
	}
	f = tn_zalloc(sizeof *f);
	atomic_init(&f->refs, 1);
	f->frozen = true;
	f->core = r->core;
	f->table = r->table;
	f->count = r->count;
	atomic_fetch_add(&r->core->refs, 1);
	atomic_fetch_add(&r->table->refs, 1);
	return f;
}

static void
core_unref(struct core *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < c->batch_count; i++)
		tn_record_batch_unref(c->batches[i]);
	for (uint32_t k = 0; k < CHUNKS; k++)
		tn_free(c->chunks[k]);
	tn_free(c->batches);
	tn_free(c->schema);
	tn_free(c->key);
	tn_free(c);
}

void
tn_exec_ref_free(struct tn_exec_ref *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	table_unref(r->table);
	core_unref(r->core);
	tn_free(r);
}

size_t
tn_exec_ref_bytes(const struct tn_exec_ref *r)
{
	tn_assert(!r->frozen);
	return sizeof *r + sizeof *r->core + r->core->bytes +
	    (r->table->mask + (size_t)1) * sizeof r->table->slots[0];
}

/* ---- writing --------------------------------------------------------- */

static void
keep_batch(struct core *c, struct tn_batch *b)
{
	if (c->batch_count == c->batch_cap) {
		c->batch_cap = c->batch_cap == 0 ? 16 : c->batch_cap * 2;
		c->batches = tn_realloc(c->batches,
		    c->batch_cap * sizeof *c->batches);
	}
	c->batches[c->batch_count++] = tn_record_batch_ref(b);
	c->bytes += tn_record_batch_bytes(b);
}

static void
put_row(struct tn_exec_ref *r, const struct tn_batch *b,
    const struct tn_column *const *key, uint32_t row, uint64_t lsn)
{
	_Atomic uint32_t *slot;
	struct entry *e;
	uint64_t hash;
	uint32_t older;

	if (!hash_key(key, r->core->key_count, row, &hash))
		return;
	slot = table_slot(r->table, r->core, hash, key, row);
	older = atomic_load_explicit(slot, memory_order_relaxed);
	tn_assert(older == 0 || entry_at(r->core, older - 1)->lsn <= lsn);
	e = entry_new(r->core, r->count);
	*e = (struct entry){ .batch = b, .lsn = lsn, .hash = hash,
	    .row = row, .older = older };
	atomic_store_explicit(slot, r->count + 1, memory_order_release);
	r->count++;
	r->table->keys += older == 0;
	if (r->table->keys * 2ul > r->table->mask)
		table_grow(r);
}

void
tn_exec_ref_put(struct tn_exec_ref *r, struct tn_batch *b,
    const uint8_t *skip, uint64_t lsn)
{
	struct core *c = r->core;
	const struct tn_column **key;

	tn_assert(!r->frozen);
	tn_assert(b->schema->count >= c->schema->count);
	key = tn_alloc(c->key_count * sizeof *key);
	for (uint32_t k = 0; k < c->key_count; k++)
		key[k] = &b->columns[c->key[k]];
	keep_batch(c, b);
	for (uint32_t i = 0; i < b->rows; i++)
		if (skip == NULL || skip[i] == 0)
			put_row(r, b, key, i, lsn);
	tn_free(key);
}

/* ---- reading --------------------------------------------------------- */

/* From a key's newest entry to the version of ${lsn}; 0: none. */
static uint32_t
visible(const struct tn_exec_ref *r, uint32_t i, uint64_t lsn)
{
	while (i != 0) {
		const struct entry *e = entry_at(r->core, i - 1);

		if (i <= r->count && e->lsn <= lsn)
			return i;
		i = e->older;
	}
	return 0;
}

bool
tn_exec_ref_find(const struct tn_exec_ref *r,
    const struct tn_column *const *key, uint32_t row, uint64_t lsn,
    const struct tn_batch **b, uint32_t *at)
{
	const struct entry *e;
	uint64_t hash;
	uint32_t i;

	if (!hash_key(key, r->core->key_count, row, &hash))
		return false;
	i = atomic_load_explicit(table_slot(r->table, r->core, hash, key,
	    row), memory_order_acquire);
	i = visible(r, i, lsn);
	if (i == 0)
		return false;
	e = entry_at(r->core, i - 1);
	*b = e->batch;
	*at = e->row;
	return true;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct tn_batch *
tn_exec_ref_rows(const struct tn_exec_ref *r, uint64_t lsn)
{
	struct tn_builder *b;
	struct tn_batch *out;
	uint32_t *found = tn_try_alloc((r->table->mask + 1ul) *
	    sizeof *found);
	uint32_t count = 0;

	if (found == NULL)
		return NULL;
	for (uint32_t s = 0; s <= r->table->mask; s++) {
		uint32_t i = visible(r, atomic_load_explicit(
		    &r->table->slots[s], memory_order_acquire), lsn);

		if (i != 0)
			found[count++] = i;
	}
	qsort(found, count, sizeof *found, by_number);
	b = tn_record_builder_new(r->core->schema, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct entry *e = entry_at(r->core, found[i] - 1);

		for (uint32_t k = 0; k < r->core->schema->count; k++)
			tn_record_builder_copy(b, k, &e->batch->columns[k],
			    e->row);
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	tn_free(found);
	return out;
}

/* Key tables: from row keys (canonical words, see fold_int.h) to ids in order
 * of arrival. Folds keep their groups here, DISTINCT its rows.
 *
 *   slots   open addressing, linear probing, at most 3/4 full; a slot is the
 *           high half of the hash and id + 1, or 0
 *   words   the keys, plan->words each; long texts are copied to text
 *   hashes  of the keys, so that growing and merging never hash again
 *
 * A table holds at most TN_SORT_ROWS_MAX keys (asserted; memory ends before).
 * The seed of the hashes is random, one a process, so that nobody can choose
 * keys that collide. Hashes never leave the process; ids and results do not
 * depend on them. */
#include "exec/fold_int.h"

#include "os/os.h"

#include <math.h>
#include <stdlib.h>

#define SLOTS_MIN 16u
#define TEXT_BLOCK 1024u

static uint64_t
process_seed(void)
{
	static uint64_t seed;
	uint64_t s = __atomic_load_n(&seed, __ATOMIC_RELAXED);
	uint64_t none = 0;

	if (s != 0)
		return s;
	tn_os_random(&s, sizeof s);
	s |= 1;
	if (!__atomic_compare_exchange_n(&seed, &none, s, false,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		s = none;
	return s;
}

void
tn_exec_key_plan_init(struct tn_key_plan *p, const struct tn_type *types,
    uint32_t count)
{
	uint32_t at = (count + 63) / 64;

	memset(p, 0, sizeof *p);
	p->count = count;
	p->seed = process_seed();
	p->null_words = at;
	p->form = tn_alloc(count);
	p->at = tn_alloc(count * sizeof *p->at);
	for (uint32_t i = 0; i < count; i++) {
		enum tn_form form = tn_exec_form(types[i].id);

		p->form[i] = (uint8_t)form;
		p->at[i] = at;
		p->text |= form == TN_FORM_TEXT;
		at += tn_form_words(form);
	}
	p->words = at;
}

void
tn_exec_key_plan_fini(struct tn_key_plan *p)
{
	tn_free(p->form);
	tn_free(p->at);
	memset(p, 0, sizeof *p);
}

void
tn_exec_keys_init(struct tn_keys *k, const struct tn_key_plan *plan)
{
	memset(k, 0, sizeof *k);
	k->plan = plan;
	k->slots = tn_zalloc(SLOTS_MIN * sizeof *k->slots);
	k->slot_mask = SLOTS_MIN - 1;
}

void
tn_exec_keys_fini(struct tn_keys *k)
{
	tn_free(k->words);
	tn_free(k->hashes);
	tn_free(k->slots);
	tn_arena_free(k->text);
	memset(k, 0, sizeof *k);
}

size_t
tn_exec_keys_bytes(const struct tn_keys *k)
{
	size_t n = ((size_t)k->slot_mask + 1) * sizeof *k->slots;

	n += (size_t)k->cap * (k->plan->words + 1) * 8;
	return n + (k->text != NULL ? tn_arena_bytes(k->text) : 0);
}

/* ---- words of rows --------------------------------------------------- */

static void
words_int(uint64_t *out, uint32_t step, const int64_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		out[(size_t)i * step] = (uint64_t)v[i];
}

static void
words_float(uint64_t *out, uint32_t step, const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double d = v[i] == 0 ? 0 : v[i];

		if (isnan(d))
			out[(size_t)i * step] = UINT64_C(0x7ff8000000000000);
		else
			memcpy(&out[(size_t)i * step], &d, 8);
	}
}

/* A short text by one 16-byte read where the column has so many bytes after
 * its start; what follows the text is masked away. */
static inline void
text_words(uint64_t *w, const uint8_t *p, uint32_t n, uint32_t left)
{
	uint64_t a;
	uint32_t b;

	if (n > TN_TEXT_INLINE || left < 12 ||
	    __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) {
		tn_exec_words_of_text((struct tn_slice){ p, n }, w);
		return;
	}
	memcpy(&b, p, 4);
	memcpy(&a, p + 4, 8);
	if (n < 4) {
		b &= (1u << (n * 8)) - 1;
		a = 0;
	} else if (n < 12) {
		a &= (UINT64_C(1) << ((n - 4) * 8)) - 1;
	}
	w[0] = (uint64_t)b << 32 | n;
	w[1] = a;
}

static void
words_text(uint64_t *out, uint32_t step, const struct tn_column *c,
    uint32_t n)
{
	uint32_t end = c->offsets[c->rows];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = c->offsets[i];

		text_words(out + (size_t)i * step, c->bytes + from,
		    c->offsets[i + 1] - from, end - from);
	}
}

/* Texts of a dictionary that has no more entries than there are rows. */
static void
words_dict(uint64_t *out, uint32_t step, const struct tn_column *c,
    uint32_t n, struct tn_arena *a)
{
	const uint32_t *codes = c->values;
	uint64_t *entries = tn_arena_alloc(a, c->dict->rows * 16ul);

	words_text(entries, 2, c->dict, c->dict->rows);
	for (uint32_t i = 0; i < n; i++)
		if (tn_column_valid(c, i))
			memcpy(out + (size_t)i * step, entries +
			    codes[i] * 2ul, 16);
}

static void
words_slow(uint64_t *out, uint32_t step, const struct tn_column *c,
    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t *w = out + (size_t)i * step;
		struct tn_value v;

		if (!tn_column_valid(c, i))
			continue;
		tn_exec_value_canon(c, i, &v);
		switch (tn_exec_form(c->type.id)) {
		case TN_FORM_TEXT:
			tn_exec_words_of_text(v.text, w);
			break;
		case TN_FORM_INT:
		case TN_FORM_FLOAT:
			w[0] = v.w[0];
			break;
		default:
			memcpy(w, v.w, 16);
		}
	}
}

static void
words_nulls(uint64_t *key, uint32_t step, uint32_t col, uint32_t at,
    uint32_t width, const struct tn_column *c, uint32_t n)
{
	if (c->valid == NULL && c->type.id != TN_T_NONE)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t *w = key + (size_t)i * step;

		if (c->type.id != TN_T_NONE && tn_column_valid(c, i))
			continue;
		w[col >> 6] |= UINT64_C(1) << (col & 63);
		memset(w + at, 0, width * 8ul);
	}
}

uint64_t *
tn_exec_keys_words(const struct tn_key_plan *p, struct tn_arena *a,
    const struct tn_column *cols, uint32_t n)
{
	uint32_t step = p->words;
	uint64_t *key = tn_arena_alloc(a, (size_t)n * step * 8);

	for (uint32_t w = 0; w < p->null_words; w++)
		for (uint32_t i = 0; i < n; i++)
			key[(size_t)i * step + w] = 0;
	for (uint32_t k = 0; k < p->count; k++) {
		const struct tn_column *c = &cols[k];
		uint64_t *to = key + p->at[k];

		if (c->type.id == TN_T_NONE)
			;           /* Null, below. */
		else if (c->dict != NULL && p->form[k] == TN_FORM_TEXT &&
		    c->dict->rows <= n)
			words_dict(to, step, c, n, a);
		else if (c->dict != NULL)
			words_slow(to, step, c, n);
		else if (p->form[k] == TN_FORM_INT)
			words_int(to, step, tn_exec_widen_int(a, c), n);
		else if (p->form[k] == TN_FORM_FLOAT)
			words_float(to, step, tn_exec_widen_float(a, c), n);
		else if (p->form[k] == TN_FORM_TEXT)
			words_text(to, step, c, n);
		else
			words_slow(to, step, c, n);
		words_nulls(key, step, k, p->at[k],
		    tn_form_words(p->form[k]), c, n);
	}
	return key;
}

/* ---- hashing and equality -------------------------------------------- */

static inline uint64_t
fold_mul(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

#define STEP(h, w) (fold_mul((h) ^ (w), UINT64_C(0x9e3779b97f4a7c15)) ^ \
    ((w) >> 29))

static uint64_t
hash_text_key(const struct tn_key_plan *p, const uint64_t *w)
{
	uint64_t h = p->seed;

	for (uint32_t i = 0; i < p->null_words; i++)
		h = STEP(h, w[i]);
	for (uint32_t k = 0; k < p->count; k++) {
		const uint64_t *v = w + p->at[k];

		if (p->form[k] == TN_FORM_TEXT &&
		    tn_words_len(v) > TN_TEXT_INLINE) {
			struct tn_slice s = tn_words_text(v, NULL);
			uint64_t inside = tn_hash64(s.p, s.n, p->seed);

			h = STEP(h, v[0]);
			h = STEP(h, inside);
			continue;
		}
		h = STEP(h, v[0]);
		if (tn_form_words(p->form[k]) == 2)
			h = STEP(h, v[1]);
	}
	return h;
}

static inline uint64_t
hash_key(const struct tn_key_plan *p, const uint64_t *w)
{
	uint64_t h = p->seed;

	if (p->text)
		return hash_text_key(p, w);
	for (uint32_t i = 0; i < p->words; i++)
		h = STEP(h, w[i]);
	return h;
}

/* Words differ: still equal when only pointers of long texts do. */
static bool
equal_text(const struct tn_key_plan *p, const uint64_t *a, const uint64_t *b)
{
	if (memcmp(a, b, p->null_words * 8ul) != 0)
		return false;
	for (uint32_t k = 0; k < p->count; k++) {
		const uint64_t *va = a + p->at[k];
		const uint64_t *vb = b + p->at[k];
		bool two = tn_form_words(p->form[k]) == 2;
		uint32_t n;

		if (va[0] != vb[0])
			return false;
		if (!two || va[1] == vb[1])
			continue;
		n = tn_words_len(va);
		if (p->form[k] != TN_FORM_TEXT || n <= TN_TEXT_INLINE)
			return false;
		if (memcmp((const void *)(uintptr_t)va[1],
		    (const void *)(uintptr_t)vb[1], n) != 0)
			return false;
	}
	return true;
}

static inline bool
equal_words(const uint64_t *a, const uint64_t *b, uint32_t words)
{
	uint64_t diff = 0;

	for (uint32_t i = 0; i < words; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static inline bool
equal_key(const struct tn_key_plan *p, const uint64_t *a, const uint64_t *b)
{
	return equal_words(a, b, p->words) ||
	    (p->text && equal_text(p, a, b));
}

/* ---- the table ------------------------------------------------------- */

static void
slots_grow(struct tn_keys *k, uint32_t slots)
{
	uint64_t *to = tn_zalloc((size_t)slots * sizeof *to);
	uint32_t mask = slots - 1;

	tn_os_memory_huge(to, (size_t)slots * sizeof *to);

	for (uint32_t id = 0; id < k->count; id++) {
		uint32_t i = (uint32_t)k->hashes[id] & mask;

		while (to[i] != 0)
			i = (i + 1) & mask;
		to[i] = (k->hashes[id] >> 32 << 32) | (id + 1);
	}
	tn_free(k->slots);
	k->slots = to;
	k->slot_mask = mask;
}

static void
keys_grow(struct tn_keys *k, uint32_t cap)
{
	size_t words = k->plan->words;

	k->words = tn_realloc(k->words, (size_t)cap * words * 8);
	k->hashes = tn_realloc(k->hashes, (size_t)cap * 8);
	tn_os_memory_huge(k->words, (size_t)cap * words * 8);
	tn_os_memory_huge(k->hashes, (size_t)cap * 8);
	k->cap = cap;
}

void
tn_exec_keys_reserve(struct tn_keys *k, uint32_t count)
{
	uint32_t slots = SLOTS_MIN;

	tn_assert(count <= TN_SORT_ROWS_MAX / 2);
	while (slots / 4 * 3 < count)
		slots *= 2;
	if (count > k->cap)
		keys_grow(k, count);
	if (slots > k->slot_mask + 1)
		slots_grow(k, slots);
}

/* Long texts of a new key move into the table. */
static void
own_texts(struct tn_keys *k, uint64_t *words)
{
	const struct tn_key_plan *p = k->plan;

	for (uint32_t c = 0; c < p->count; c++) {
		uint64_t *w = words + p->at[c];
		uint32_t n;
		void *copy;

		if (p->form[c] != TN_FORM_TEXT)
			continue;
		n = tn_words_len(w);
		if (n <= TN_TEXT_INLINE)
			continue;
		if (k->text == NULL)
			k->text = tn_arena_new(TEXT_BLOCK);
		copy = tn_arena_alloc(k->text, n);
		memcpy(copy, (const void *)(uintptr_t)w[1], n);
		w[1] = (uint64_t)(uintptr_t)copy;
	}
}

static uint32_t
keys_add(struct tn_keys *k, const uint64_t *words, uint64_t hash,
    uint32_t slot)
{
	size_t step = k->plan->words;
	uint32_t id = k->count;

	tn_assert(id < TN_SORT_ROWS_MAX);
	if (id == k->cap)
		keys_grow(k, id < 8 ? 8 : id + id / 2);
	memcpy(k->words + id * step, words, step * 8);
	if (k->plan->text)
		own_texts(k, k->words + id * step);
	k->hashes[id] = hash;
	k->slots[slot] = (hash >> 32 << 32) | (id + 1);
	k->count++;
	if (k->count > (k->slot_mask + 1) / 4 * 3)
		slots_grow(k, (k->slot_mask + 1) * 2);
	return id;
}

/* The id, or UINT32_MAX and the free slot. */
static inline uint32_t
probe(const struct tn_keys *k, const uint64_t *words, uint64_t hash,
    uint32_t *slot)
{
	const struct tn_key_plan *p = k->plan;
	uint32_t i = (uint32_t)hash & k->slot_mask;

	for (; k->slots[i] != 0; i = (i + 1) & k->slot_mask) {
		uint32_t id = (uint32_t)k->slots[i] - 1;

		if ((k->slots[i] ^ hash) >> 32 != 0)
			continue;
		if (equal_key(p, k->words + (size_t)id * p->words, words))
			return id;
	}
	*slot = i;
	return UINT32_MAX;
}

uint32_t
tn_exec_keys_find(const struct tn_keys *k, const uint64_t *words,
    uint64_t hash)
{
	uint32_t slot = 0;

	return probe(k, words, hash, &slot);
}

uint32_t
tn_exec_keys_put(struct tn_keys *k, const uint64_t *words, uint64_t hash,
    bool *fresh)
{
	uint32_t slot = 0;
	uint32_t id = probe(k, words, hash, &slot);

	*fresh = id == UINT32_MAX;
	return *fresh ? keys_add(k, words, hash, slot) : id;
}

void
tn_exec_keys_map(struct tn_keys *k, struct tn_arena *a, const uint64_t *words,
    uint32_t n, uint32_t *ids)
{
	uint32_t step = k->plan->words;
	uint64_t *hashes = tn_arena_alloc(a, (size_t)n * 8);
	bool fresh;

	for (uint32_t i = 0; i < n; i++)
		hashes[i] = hash_key(k->plan, words + (size_t)i * step);
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t *w = words + (size_t)i * step;

		if (i + 8 < n)
			__builtin_prefetch(&k->slots[
			    (uint32_t)hashes[i + 8] & k->slot_mask]);
		if (i > 0 && hashes[i] == hashes[i - 1] &&
		    equal_words(w, w - step, step))
			ids[i] = ids[i - 1];
		else
			ids[i] = tn_exec_keys_put(k, w, hashes[i], &fresh);
	}
}

void
tn_exec_keys_look(const struct tn_keys *k, struct tn_arena *a,
    const uint64_t *words, uint32_t n, uint32_t *ids)
{
	uint32_t step = k->plan->words;
	uint64_t *hashes = tn_arena_alloc(a, (size_t)n * 8);

	for (uint32_t i = 0; i < n; i++) {
		const uint64_t *w = words + (size_t)i * step;

		hashes[i] = hash_key(k->plan, w);
		if (i > 0 && hashes[i] == hashes[i - 1] &&
		    equal_words(w, w - step, step))
			ids[i] = ids[i - 1];
		else
			ids[i] = tn_exec_keys_find(k, w, hashes[i]);
	}
}

/* ---- keys as values -------------------------------------------------- */

void
tn_exec_key_value(const struct tn_key_plan *p, const uint64_t *words,
    uint32_t col, struct tn_value *v)
{
	const uint64_t *w = words + p->at[col];

	v->w[0] = w[0];
	v->w[1] = tn_form_words(p->form[col]) == 2 ? w[1] : 0;
	if (p->form[col] == TN_FORM_TEXT)
		v->text = tn_words_text(w, NULL);
}

static uint64_t
sort_prefix(const struct tn_key_plan *p, const uint64_t *words)
{
	struct tn_value v;

	if (p->count == 0 || tn_key_null(words, 0))
		return UINT64_MAX;
	tn_exec_key_value(p, words, 0, &v);
	return tn_exec_value_prefix((enum tn_form)p->form[0], &v);
}

struct sort_key {
	uint64_t prefix;
	uint32_t id;
};

static int
order_keys(const void *pa, const void *pb, void *arg)
{
	const struct sort_key *a = pa;
	const struct sort_key *b = pb;
	const struct tn_keys *k = arg;
	const struct tn_key_plan *p = k->plan;
	const uint64_t *wa = k->words + (size_t)a->id * p->words;
	const uint64_t *wb = k->words + (size_t)b->id * p->words;

	for (uint32_t c = 0; c < p->count; c++) {
		bool null_a = tn_key_null(wa, c);
		bool null_b = tn_key_null(wb, c);
		struct tn_value va;
		struct tn_value vb;
		int order;

		if (c == 0 && a->prefix != b->prefix && !null_a && !null_b)
			return a->prefix < b->prefix ? -1 : 1;
		if (null_a != null_b)
			return null_a ? 1 : -1;
		if (null_a)
			continue;
		tn_exec_key_value(p, wa, c, &va);
		tn_exec_key_value(p, wb, c, &vb);
		order = tn_exec_value_order((enum tn_form)p->form[c], &va, &vb);
		if (order != 0)
			return order;
	}
	return (a->id > b->id) - (a->id < b->id);
}

uint32_t *
tn_exec_keys_sorted(const struct tn_keys *k)
{
	struct sort_key *s = tn_alloc(k->count * sizeof *s);
	uint32_t *ids = tn_alloc((size_t)k->count * 4);

	for (uint32_t i = 0; i < k->count; i++) {
		s[i].prefix = sort_prefix(k->plan,
		    k->words + (size_t)i * k->plan->words);
		s[i].id = i;
	}
	qsort_r(s, k->count, sizeof *s, order_keys, (void *)(uintptr_t)k);
	for (uint32_t i = 0; i < k->count; i++)
		ids[i] = s[i].id;
	tn_free(s);
	return ids;
}

static void
column_text(const struct tn_keys *k, uint32_t col, const uint32_t *ids,
    struct tn_arena *a, struct tn_column *out)
{
	const struct tn_key_plan *p = k->plan;
	uint32_t n = out->rows;
	uint32_t *offsets = tn_arena_alloc(a, ((size_t)n + 1) * 4);
	size_t total = 0;
	uint8_t *bytes;

	for (uint32_t i = 0; i < n; i++) {
		offsets[i] = (uint32_t)total;
		total += tn_words_len(k->words +
		    (size_t)ids[i] * p->words + p->at[col]);
		tn_assert(total <= TN_BATCH_TEXT_MAX);
	}
	offsets[n] = (uint32_t)total;
	bytes = tn_arena_alloc(a, total + 1);
	for (uint32_t i = 0; i < n; i++) {
		struct tn_slice s = tn_words_text(k->words +
		    (size_t)ids[i] * p->words + p->at[col], NULL);

		if (s.n > 0)
			memcpy(bytes + offsets[i], s.p, s.n);
	}
	out->offsets = offsets;
	out->bytes = bytes;
}

struct tn_column
tn_exec_keys_column(const struct tn_keys *k, uint32_t col, struct tn_type t,
    const uint32_t *ids, uint32_t n, struct tn_arena *a)
{
	const struct tn_key_plan *p = k->plan;
	struct tn_column c = { .type = t, .rows = n };
	uint8_t *valid = tn_arena_zalloc(a, ((size_t)n + 63) / 64 * 8);
	size_t width = tn_record_type_width(t);
	uint32_t nulls = 0;
	void *values;

	if (p->form[col] == TN_FORM_NONE)
		return tn_exec_column_null(a, t, n);
	for (uint32_t i = 0; i < n; i++) {
		bool null = tn_key_null(k->words +
		    (size_t)ids[i] * p->words, col);

		valid[i >> 3] |= (uint8_t)(!null << (i & 7));
		nulls += null;
	}
	c.valid = nulls > 0 ? valid : NULL;
	if (p->form[col] == TN_FORM_TEXT) {
		column_text(k, col, ids, a, &c);
		return c;
	}
	values = tn_arena_alloc(a, n * width);
	for (uint32_t i = 0; i < n; i++) {
		struct tn_value v;

		tn_exec_key_value(p, k->words + (size_t)ids[i] * p->words,
		    col, &v);
		tn_exec_value_store(t, &v, values, i);
	}
	c.values = values;
	return c;
}

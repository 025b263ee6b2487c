/* Groups of rows whose grouping columns have few values: small numbers
 * instead of hashes.
 *
 *   column          code of a row
 *   dictionary      its own code
 *   integer, time   place of the value among those met, at most INTS of them
 *   null            one more
 *
 *   codes -> combination -> table: group id + 1, or 0: not met yet
 *
 * A combination that is met for the first time goes the usual way (words,
 * hash, key table), so ids are those that keys_map would have given, in the
 * same order, and two dictionary entries with one text are one group.
 *
 * What is known of dictionaries holds for one batch. When a column has shown
 * INTS values the table begins anew, for times go on and seldom come back;
 * when that happens within a slice, or columns are of another kind, or their
 * product is beyond the table, the rest of the batch goes the usual way. */
#include "exec/fold_int.h"

#define INTS 250u                /* Values of an integer column; a byte. */
#define INT_BITS 10u
#define INT_SLOTS (1u << INT_BITS)
#define COLUMNS_MAX 4u
#define TABLE_MAX (1u << 16)
#define TABLE_ROWS 8u            /* Entries a row that are worth clearing. */
#define ROWS_MIN 256u            /* Fewer rows are not worth the table. */
#define BLOCK 16u                /* What the compiler makes vectors of. */

struct code_column {
	const struct tn_column *dict;    /* NULL: integers. */
	uint32_t count;                  /* Codes, that of null the last. */
	uint32_t stride;
	uint32_t ints;                   /* Values met. */
	int64_t value[INTS];
	uint8_t slots[INT_SLOTS];        /* Code + 1, by a hash; or 0. */
};
struct tn_codes {
	bool ready;                      /* For the batch of this call. */
	bool off;
	uint32_t table_cap;
	uint32_t *table;
	struct code_column column[COLUMNS_MAX];
};

void
tn_exec_codes_free(struct tn_codes *c)
{
	if (c == NULL)
		return;
	tn_free(c->table);
	tn_free(c);
}

size_t
tn_exec_codes_bytes(const struct tn_codes *c)
{
	return c == NULL ? 0 : sizeof *c + c->table_cap * 4ul;
}

void
tn_exec_codes_begin(struct tn_codes *c)
{
	if (c != NULL)
		c->ready = c->off = false;
}

static bool
has_codes(const struct tn_column *c)
{
	if (c->dict != NULL)
		return c->values != NULL;
	return tn_exec_form(c->type.id) == TN_FORM_INT;
}

/* The shape of the table for these columns; false: they do not fit. */
static bool
shape(struct tn_codes *c, const struct tn_column *cols, uint32_t count,
    uint32_t rows)
{
	uint64_t all = 1;

	for (uint32_t k = 0; k < count; k++) {
		struct code_column *to = &c->column[k];

		if (!has_codes(&cols[k]))
			return false;
		to->dict = cols[k].dict;
		to->ints = 0;
		to->count = to->dict != NULL ? to->dict->rows + 1 : INTS + 1;
		to->stride = (uint32_t)all;
		all *= to->count;
		if (all > TABLE_MAX || all / TABLE_ROWS > rows)
			return false;
		memset(to->slots, 0, sizeof to->slots);
	}
	if (all > c->table_cap) {
		tn_free(c->table);
		c->table = tn_alloc(all * 4);
		c->table_cap = (uint32_t)all;
	}
	memset(c->table, 0, all * 4);
	return true;
}

static bool
same_shape(const struct tn_codes *c, const struct tn_column *cols,
    uint32_t count)
{
	for (uint32_t k = 0; k < count; k++)
		if (c->column[k].dict != cols[k].dict || !has_codes(&cols[k]))
			return false;
	return true;
}

static void
add_dict(const struct code_column *to, const struct tn_column *c,
    uint32_t n, uint32_t *restrict comb)
{
	const uint32_t *codes = c->values;
	uint32_t null = to->count - 1;
	uint32_t stride = to->stride;
	uint32_t whole = n / BLOCK * BLOCK;

	if (c->valid == NULL) {
		for (uint32_t i = 0; i < whole; i += BLOCK)
			for (uint32_t k = i; k < i + BLOCK; k++)
				comb[k] += codes[k] * stride;
		for (uint32_t i = whole; i < n; i++)
			comb[i] += codes[i] * stride;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		comb[i] += (tn_column_valid(c, i) ? codes[i] : null) *
		    to->stride;
}

/* The code of a value; INTS when there are too many. */
static uint32_t
int_code(struct code_column *to, int64_t v)
{
	uint32_t i = (uint32_t)(((uint64_t)v *
	    UINT64_C(0x9e3779b97f4a7c15)) >> (64 - INT_BITS));

	for (; to->slots[i] != 0; i = (i + 1) % INT_SLOTS)
		if (to->value[to->slots[i] - 1] == v)
			return to->slots[i] - 1u;
	if (to->ints == INTS)
		return INTS;
	to->value[to->ints] = v;
	to->slots[i] = (uint8_t)++to->ints;
	return to->ints - 1;
}

/* Rows of a stream come in rough order of time: mostly the value is that of
 * the row before. */
static bool
add_ints(struct code_column *to, const struct tn_column *c,
    struct tn_arena *a, uint32_t n, uint32_t *comb)
{
	const int64_t *v = tn_exec_widen_int(a, c);
	const uint8_t *valid = c->valid;
	uint32_t stride = to->stride, null = (to->count - 1) * stride;
	uint32_t code = INTS;
	int64_t last = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (valid != NULL && !(valid[i >> 3] >> (i & 7) & 1)) {
			comb[i] += null;
			continue;
		}
		if (code == INTS || v[i] != last) {
			last = v[i];
			code = int_code(to, last);
			if (code == INTS)
				return false;
		}
		comb[i] += code * stride;
	}
	return true;
}

/* Ids of the rows ${rows}, each the first of its combination. */
static void
resolve(struct tn_exec_fold *f, struct tn_arena *a,
    const struct tn_column *cols, const uint32_t *rows, uint32_t n,
    uint32_t *ids)
{
	uint32_t count = f->keys.plan->count;
	struct tn_column *few = tn_arena_alloc(a, count * sizeof *few);
	uint64_t *words;

	for (uint32_t k = 0; k < count; k++)
		few[k] = tn_exec_column_take(a, &cols[k], rows, n);
	words = tn_exec_keys_words(f->keys.plan, a, few, n);
	tn_exec_keys_map(&f->keys, a, words, n, ids);
}

static void
look_up(struct tn_exec_fold *f, struct tn_arena *a,
    const struct tn_column *cols, const uint32_t *comb, uint32_t n,
    uint32_t *ids)
{
	uint32_t *table = f->codes->table;
	uint32_t *rows = tn_arena_alloc(a, n * 4ul);
	uint32_t *fresh;
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = table[comb[i]];

		ids[i] = id - 1;
		if (id != 0)
			continue;
		rows[m++] = i;
		table[comb[i]] = UINT32_MAX;     /* On its way. */
	}
	if (m == 0)
		return;
	fresh = tn_arena_alloc(a, m * 4ul);
	resolve(f, a, cols, rows, m, fresh);
	for (uint32_t j = 0; j < m; j++)
		table[comb[rows[j]]] = fresh[j] + 1;
	for (uint32_t i = rows[0]; i < n; i++)
		ids[i] = table[comb[i]] - 1;
}

/* The combination of each row; NULL: some column has too many values. */
static const uint32_t *
combine(struct tn_codes *c, struct tn_arena *a, const struct tn_column *cols,
    uint32_t count)
{
	uint32_t n = cols[0].rows;
	uint32_t *comb;

	if (count == 1 && cols[0].dict != NULL && cols[0].valid == NULL)
		return cols[0].values;
	comb = tn_arena_zalloc(a, n * sizeof *comb);
	for (uint32_t k = 0; k < count; k++)
		if (c->column[k].dict != NULL)
			add_dict(&c->column[k], &cols[k], n, comb);
		else if (!add_ints(&c->column[k], &cols[k], a, n, comb))
			return NULL;
	return comb;
}

bool
tn_exec_codes_map(struct tn_exec_fold *f, struct tn_arena *a,
    const struct tn_column *cols, uint32_t n, uint32_t *ids)
{
	uint32_t count = f->keys.plan->count;
	struct tn_codes *c = f->codes;
	const uint32_t *comb = NULL;

	if (count == 0 || count > COLUMNS_MAX || n < ROWS_MIN ||
	    (c != NULL && c->off))
		return false;
	if (c == NULL)
		c = f->codes = tn_zalloc(sizeof *c);
	tn_assert(cols[0].rows == n);
	if (c->ready && same_shape(c, cols, count))
		comb = combine(c, a, cols, count);
	if (comb == NULL && shape(c, cols, count, n))
		comb = combine(c, a, cols, count);
	c->ready = true;
	c->off = comb == NULL;
	if (comb != NULL)
		look_up(f, a, cols, comb, n, ids);
	return comb != NULL;
}

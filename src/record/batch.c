/* Record batches: counted, immutable sets of columns.
 *
 *   arena:  box { tn_batch, schema, columns }   and what the maker put there
 *   heap:   value arrays that a builder or a gather made; the box frees them
 *
 * A batch dies with its last reference, on whichever thread that is. Row
 * counts and text bytes of a column fit 32 bits; more is a bug of the caller
 * (TN_BATCH_TEXT_MAX). */
#include "record/record_int.h"

#include <string.h>

/* The public struct first: a batch pointer is a box pointer. */
struct box {
	struct tn_batch batch;
	/* The malloc'ed column arrays, as they were adopted: whoever holds
	 * the only reference may put other columns in their place. */
	const struct tn_column *adopted;
	uint32_t adopted_count;
	size_t adopted_bytes;
	struct tn_batch *shared;     /* Whose values they are, or NULL. */
};

static struct box *
box_of(const struct tn_batch *b)
{
	return (struct box *)(uintptr_t)b;
}

struct tn_batch *
tn_record_batch_new(struct tn_arena *arena, const struct tn_schema *schema,
    uint32_t rows, struct tn_column *columns)
{
	struct box *box = tn_arena_zalloc(arena, sizeof *box);

	for (uint32_t i = 0; i < schema->count; i++)
		tn_assert(columns[i].rows == rows);
	box->batch = (struct tn_batch){ .schema = schema, .rows = rows,
	    .columns = columns, .arena = arena, .refs = 1 };
	return &box->batch;
}

struct tn_batch *
tn_record_batch_adopt(const struct tn_schema *schema, uint32_t rows,
    const struct tn_column *columns, size_t bytes)
{
	size_t schema_n = tn_record_schema_bytes(schema);
	size_t columns_n = schema->count * sizeof *columns;
	struct tn_arena *arena = tn_arena_new(schema_n + 2 * columns_n +
	    sizeof(struct box) + 96);
	struct tn_schema *own = tn_record_schema_write(
	    tn_arena_alloc(arena, schema_n), schema);
	struct tn_column *copy = tn_arena_alloc(arena, columns_n + 1);
	struct tn_column *kept = tn_arena_alloc(arena, columns_n + 1);
	struct tn_batch *b;

	if (columns_n > 0) {
		memcpy(copy, columns, columns_n);
		memcpy(kept, columns, columns_n);
	}
	b = tn_record_batch_new(arena, own, rows, copy);
	box_of(b)->adopted = kept;
	box_of(b)->adopted_count = schema->count;
	box_of(b)->adopted_bytes = bytes;
	return b;
}

struct tn_batch *
tn_record_batch_share(struct tn_batch *b)
{
	size_t n = b->schema->count * sizeof *b->columns;
	struct tn_arena *arena = tn_arena_new(sizeof(struct box) + n + 96);
	struct tn_column *columns = tn_arena_alloc(arena, n + 1);
	struct tn_batch *out;

	tn_assert(box_of(b)->shared == NULL);
	if (n > 0)
		memcpy(columns, b->columns, n);
	out = tn_record_batch_new(arena, b->schema, b->rows, columns);
	box_of(out)->shared = tn_record_batch_ref(b);
	return out;
}

struct tn_batch *
tn_record_batch_ref(struct tn_batch *b)
{
	uint32_t before = __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);

	tn_assert(before > 0 && before < UINT32_MAX);
	return b;
}

static void
adopted_free(struct tn_batch *b)
{
	for (uint32_t i = 0; i < box_of(b)->adopted_count; i++) {
		const struct tn_column *c = &box_of(b)->adopted[i];

		tn_free((void *)(uintptr_t)c->valid);
		tn_free((void *)(uintptr_t)c->values);
		tn_free((void *)(uintptr_t)c->offsets);
		tn_free((void *)(uintptr_t)c->bytes);
	}
}

void
tn_record_batch_unref(struct tn_batch *b)
{
	uint32_t before;

	if (b == NULL)
		return;
	before = __atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL);
	tn_assert(before > 0);
	if (before > 1)
		return;
	if (box_of(b)->adopted != NULL)
		adopted_free(b);
	/* One deep: nobody shares one that shares. */
	tn_record_batch_unref(box_of(b)->shared);
	tn_arena_free(b->arena);
}

size_t
tn_record_batch_bytes(const struct tn_batch *b)
{
	const struct tn_batch *shared = box_of(b)->shared;
	size_t n = tn_arena_bytes(b->arena) + box_of(b)->adopted_bytes;

	return shared == NULL ? n : n + tn_record_batch_bytes(shared);
}

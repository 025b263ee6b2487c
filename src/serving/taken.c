/* Quarantined rows that were taken since: a changed definition tries them
 * again, and what passes is committed as a new row, which says by its source
 * where it comes from (ingest/again.c). The row of then keeps its mark in
 * bronze; the list of the quarantine leaves it out.
 *
 * New rows have greater LSNs than those they come from, and the list goes from
 * the newest back. So before a file is listed, all files that reach beyond its
 * first LSN are looked through for such sources, each once; pages without one
 * are passed over by their statistics. The log's blocks come in order anyway.
 *
 * What is read of a file is asked for before it is read, and room for offsets, of
 * which a definition that takes a large quarantine makes as many as that had
 * rows, before they are kept. */
#include "serving/serving_int.h"

#include <stdlib.h>
#include <string.h>

void
tn_serving_taken_fini(struct tn_serving_taken *t)
{
	tn_free(t->offsets);
	tn_free(t->looked);
	*t = (struct tn_serving_taken){ .count = 0 };
}

size_t
tn_serving_taken_bytes(const struct tn_serving_taken *t)
{
	return t->cap * sizeof *t->offsets + t->read_bytes;
}

/* While they move, the old and the new are there. */
static enum tn_status
grow(struct tn_serving_taken *t)
{
	size_t cap = t->cap == 0 ? 1024 : t->cap * 2;
	enum tn_status st = t->room(t->arg, tn_serving_taken_bytes(t) +
	    cap * sizeof *t->offsets);
	uint64_t *offsets = st != TN_OK ? NULL : tn_try_realloc(t->offsets,
	    cap * sizeof *offsets);

	if (offsets == NULL)
		return st != TN_OK ? st : TN_ENOMEM;
	t->offsets = offsets;
	t->cap = cap;
	return TN_OK;
}

enum tn_status
tn_serving_taken_note(struct tn_serving_taken *t, struct tn_slice source,
    int64_t line)
{
	uint64_t offset;
	enum tn_status st;

	if (!tn_governance_again_of(source, line, &offset))
		return TN_OK;
	st = t->count < t->cap ? TN_OK : grow(t);
	if (st != TN_OK)
		return st;
	t->offsets[t->count++] = offset;
	t->sorted = false;
	return TN_OK;
}

static int
by_offset(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

bool
tn_serving_taken_has(struct tn_serving_taken *t, uint64_t offset)
{
	if (t->count == 0)
		return false;
	if (!t->sorted)
		qsort(t->offsets, t->count, sizeof *t->offsets, by_offset);
	t->sorted = true;
	return bsearch(&offset, t->offsets, t->count, sizeof offset,
	    by_offset) != NULL;
}

static enum tn_status
look_rows(void *arg, struct tn_batch *b)
{
	const struct tn_column *line = &b->columns[TN_BRONZE_LINE];
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < b->rows && st == TN_OK; i++)
		if (tn_column_valid(line, i))
			st = tn_serving_taken_note(arg,
			    tn_governance_bronze_text(
			    &b->columns[TN_BRONZE_SOURCE], i),
			    ((const int64_t *)line->values)[i]);
	return st;
}

static enum tn_status
look_file(struct tn_serving_taken *t, struct tn_lake *lake, const char *path,
    struct tn_diag *d)
{
	/* The word, a blank and any number. */
	static const char ends[] = TN_GOVERNANCE_AGAIN TN_GOVERNANCE_AGAIN ":";
	static const uint32_t min_at[] = { 0, sizeof TN_GOVERNANCE_AGAIN - 1 };
	static const uint32_t max_at[] = { sizeof TN_GOVERNANCE_AGAIN - 1,
	    sizeof ends - 1 };
	const struct tn_column min = { .type = tn_record_type(TN_T_TEXT),
	    .rows = 1, .offsets = min_at, .bytes = (const uint8_t *)ends };
	const struct tn_column max = { .type = tn_record_type(TN_T_TEXT),
	    .rows = 1, .offsets = max_at, .bytes = (const uint8_t *)ends };
	const struct tn_parquet_bound bound = { TN_BRONZE_SOURCE, &min,
	    &max };
	const uint8_t used[TN_BRONZE_RAW + 1] = { [TN_BRONZE_SOURCE] = 1,
	    [TN_BRONZE_LINE] = 1 };
	struct tn_lake_read r = { .path = path,
	    .schema = &tn_governance_bronze, .used = used, .bounds = &bound,
	    .bound_count = 1, .keep_dictionary = true, .each = look_rows,
	    .arg = t };

	return tn_lake_read(lake, &r, d);
}

enum tn_status
tn_serving_taken_look(struct tn_serving_taken *t, struct tn_lake *lake,
    const struct tn_catalog_file *files, uint32_t n, uint32_t i,
    struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	if (t->looked == NULL)
		t->looked = tn_zalloc(n + 1ul);
	for (uint32_t k = 0; st == TN_OK && k < n; k++) {
		if (t->looked[k] || files[k].lsn_max < files[i].lsn_min)
			continue;
		t->looked[k] = 1;
		t->read_bytes = tn_serving_read_bytes(&files[k]);
		st = t->room(t->arg, tn_serving_taken_bytes(t));
		if (st == TN_OK)
			st = look_file(t, lake, files[k].path, d);
		t->read_bytes = 0;
	}
	return st;
}

/* Fuzz the Parquet reader: the input is a file. Open it, read every row group
 * whole, in pieces, with bounds and with dictionaries kept, and hold what comes
 * back against the rules of record.h. Seeds are in tests/fuzz/corpus/parquet
 * (foreign files without page checksums, so that changes reach the decoders).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parquet/parquet.h"

#define GROUPS_MAX 4u
#define ROWS_MAX 3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_texts(const struct tn_column *c)
{
	for (uint32_t i = 0; i < c->rows; i++)
		tn_assert(c->offsets[i] <= c->offsets[i + 1]);
	for (uint32_t i = 0; i < c->rows; i++) {
		struct tn_slice s = tn_column_text(c, i);

		if (c->type.id != TN_T_BYTES)
			tn_assert(tn_utf8_valid(s.p, s.n));
	}
}

static void
check_column(const struct tn_column *c, uint32_t rows)
{
	size_t width = tn_record_type_width(c->type);
	uint64_t sum = 0;

	tn_assert(c->rows == rows);
	for (uint32_t i = 0; i < rows; i++)
		sum += tn_column_valid(c, i);
	if (c->dict != NULL) {
		for (uint32_t i = 0; i < rows; i++)
			tn_assert(((const uint32_t *)c->values)[i] <
			    c->dict->rows);
		check_texts(c->dict);
	} else if (width == 0) {
		check_texts(c);
	} else {
		for (size_t i = 0; i < rows * width; i++)
			sum += ((const uint8_t *)c->values)[i];
	}
	/* Keep the reads. */
	if (sum == UINT64_MAX)
		abort();
}

static void
read_group(struct tn_parquet_reader *r, uint32_t group,
    const struct tn_parquet_read_opts *o)
{
	struct tn_diag d = { .line = 0 };
	struct tn_batch *b;
	enum tn_status st = tn_parquet_read(r, group, o, &b, &d);

	if (st != TN_OK) {
		tn_assert(b == NULL && d.message[0] != 0);
		return;
	}
	if (b == NULL)
		return;
	tn_assert(b->rows <= ROWS_MAX);
	for (uint32_t i = 0; i < b->schema->count; i++)
		check_column(&b->columns[i], b->rows);
	tn_record_batch_unref(b);
}

/* A bound of a zero (or an "m") on each of the first columns. */
static void
read_bounded(struct tn_parquet_reader *r, uint32_t group, bool is_max)
{
	static const _Alignas(16) uint8_t zero[16];
	static const uint32_t offsets[2] = { 0, 1 };
	uint32_t count = tn_parquet_schema(r)->count;

	for (uint32_t i = 0; i < count && i < 8; i++) {
		struct tn_type t = tn_parquet_schema(r)->fields[i].type;
		struct tn_column c = { .type = t, .rows = 1, .values = zero };
		struct tn_parquet_bound b = { i, is_max ? NULL : &c,
		    is_max ? &c : NULL };
		struct tn_parquet_read_opts o = { .bounds = &b,
		    .bound_count = 1, .batch_rows_max = ROWS_MAX };

		if (tn_record_type_width(t) == 0) {
			c.values = NULL;
			c.offsets = offsets;
			c.bytes = (const uint8_t *)"m";
		}
		read_group(r, group, &o);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tn_parquet_reader *r;
	struct tn_diag d = { .line = 0 };
	char path[64];
	int fd = memfd_create("parquet", 0);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (tn_parquet_open(&r, path, &d) == TN_OK) {
		for (uint32_t g = 0; g < tn_parquet_groups(r) &&
		    g < GROUPS_MAX; g++) {
			struct tn_parquet_read_opts o = {
				.batch_rows_max = ROWS_MAX };

			read_group(r, g, &o);
			o.keep_dictionary = true;
			o.row_first = 7;
			o.batch_rows_max = 10;
			read_group(r, g, &o);
			read_bounded(r, g, false);
			read_bounded(r, g, true);
		}
		tn_parquet_close(r);
	} else {
		tn_assert(d.message[0] != 0);
	}
	close(fd);
	return 0;
}

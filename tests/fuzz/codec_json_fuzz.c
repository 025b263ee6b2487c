/* Fuzzes the JSON row decoder. The input is NDJSON. What must hold:
 *   - a decoder that knows earlier rows and a fresh one agree on every row
 *   - a row is called broken JSON exactly when the tree parser refuses it
 *   - good batches survive printing as NDJSON and decoding again */
#include "codec/codec.h"

#include <string.h>

static const struct tn_field fields[] = {
	{ "a", { .id = TN_T_INT8 }, false },
	{ "b", { .id = TN_T_TEXT }, false },
	{ "c", { .id = TN_T_FLOAT8 }, false },
	{ "d", { .id = TN_T_TIMESTAMPTZ }, false },
	{ "e", { .id = TN_T_JSONB }, false },
	{ "f", { .id = TN_T_NUMERIC, .precision = 20, .scale = 4 }, false },
	{ "g", { .id = TN_T_BOOL }, false },
	{ "h", { .id = TN_T_UUID }, false },
	{ "i", { .id = TN_T_DATE }, false },
	{ "j", { .id = TN_T_INT2 }, false },
};
static const struct tn_schema schema = { "t", 10, fields };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decode; codes[i] is the code of row i, or NULL. */
static struct tn_batch *
decode(struct tn_codec_decoder *d, const struct tn_codec_rows *rows,
    const char **codes)
{
	struct tn_builder *b = tn_record_builder_new(&schema, 4);
	const struct tn_codec_error *errors;
	struct tn_batch *batch;
	uint32_t n;

	tn_codec_decode(d, rows, NULL, b, NULL, &errors, &n);
	for (uint32_t i = 0; i < n; i++)
		codes[errors[i].row] = errors[i].code;
	batch = tn_record_builder_take(b);
	tn_assert(batch->rows == rows->count);
	tn_record_builder_free(b);
	return batch;
}

static void
check_row(struct tn_slice row, const struct tn_codec_spec *spec,
    const char *code, const struct tn_batch *batch, uint32_t at)
{
	struct tn_codec_decoder *d = tn_codec_decoder_new(&schema, spec);
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_codec_rows one = { 0 };
	struct tn_batch *fresh;
	struct tn_json *root;
	const char *again = NULL;
	bool broken;

	tn_codec_rows_add(&one, row.p, row.n, 1);
	fresh = decode(d, &one, &again);
	tn_assert((code == NULL) == (again == NULL));
	tn_assert(code == NULL || strcmp(code, again) == 0);
	for (uint32_t c = 0; c < schema.count; c++)
		tn_assert(tn_record_compare(&fresh->columns[c], 0,
		    &batch->columns[c], at) == 0);
	broken = code != NULL && (strcmp(code, "json_syntax") == 0 ||
	    strcmp(code, "bad_utf8") == 0);
	tn_assert(broken == (tn_codec_json_parse(arena, row, &root, NULL) !=
	    TN_OK));
	tn_record_batch_unref(fresh);
	tn_codec_rows_fini(&one);
	tn_arena_free(arena);
	tn_codec_decoder_free(d);
}

/* Rows that were good print and read back equal. */
static void
check_print(const struct tn_batch *batch, const struct tn_codec_spec *spec)
{
	struct tn_codec_decoder *d = tn_codec_decoder_new(&schema, spec);
	struct tn_codec_spec copy = *spec;
	struct tn_codec_splitter *s = tn_codec_splitter_new(&copy, 1 << 24);
	struct tn_codec_rows rows = { 0 };
	struct tn_buf out = { 0 };
	const char **codes = tn_zalloc((batch->rows + 1) * sizeof *codes);
	struct tn_batch *back;
	struct tn_slice in;

	tn_codec_ndjson_rows(&out, batch);
	in = (struct tn_slice){ out.p, out.n };
	tn_assert(tn_codec_splitter_feed(s, &in, &rows, SIZE_MAX) == TN_OK);
	tn_assert(tn_codec_splitter_end(s, &rows) == TN_OK);
	back = decode(d, &rows, codes);
	tn_assert(back->rows == batch->rows);
	for (uint32_t r = 0; r < back->rows; r++) {
		/* Years beyond 9999 print as PostgreSQL does, not as ISO. */
		if (codes[r] != NULL)
			continue;
		for (uint32_t c = 0; c < schema.count; c++)
			tn_assert(tn_record_compare(&back->columns[c], r,
			    &batch->columns[c], r) == 0);
	}
	tn_record_batch_unref(back);
	tn_free(codes);
	tn_buf_fini(&out);
	tn_codec_rows_fini(&rows);
	tn_codec_splitter_free(s);
	tn_codec_decoder_free(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_codec_spec spec;
	struct tn_codec_splitter *s;
	struct tn_codec_decoder *d;
	struct tn_codec_rows rows = { 0 };
	struct tn_slice in = { data, size };
	struct tn_batch *batch;
	const char **codes;

	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	s = tn_codec_splitter_new(&spec, 1 << 20);
	tn_assert(tn_codec_splitter_feed(s, &in, &rows, SIZE_MAX) == TN_OK);
	tn_assert(tn_codec_splitter_end(s, &rows) == TN_OK);
	codes = tn_zalloc((rows.count + 1) * sizeof *codes);
	d = tn_codec_decoder_new(&schema, &spec);
	batch = decode(d, &rows, codes);
	for (uint32_t i = 0; i < rows.count; i++)
		check_row((struct tn_slice){ rows.raw.p + rows.start[i],
		    rows.length[i] }, &spec, codes[i], batch, i);
	check_print(batch, &spec);
	tn_record_batch_unref(batch);
	tn_codec_decoder_free(d);
	tn_codec_rows_fini(&rows);
	tn_codec_splitter_free(s);
	tn_free(codes);
	return 0;
}

/* Fuzzes CSV. The first byte picks options, the rest is the body. What must
 * hold: nothing breaks, every row is good or has one error, and the texts of
 * good rows survive printing as CSV and decoding again. */
#include "codec/codec.h"

#include <string.h>

static const struct tn_field fields[] = {
	{ "a", { .id = TN_T_TEXT }, false },
	{ "b", { .id = TN_T_INT4 }, false },
	{ "c", { .id = TN_T_TIMESTAMPTZ }, false },
	{ "d", { .id = TN_T_FLOAT4 }, false },
	{ "e", { .id = TN_T_JSONB }, false },
};
static const struct tn_schema schema = { "t", 5, fields };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tn_batch *
read_all(struct tn_codec_spec *spec, struct tn_slice in,
    const struct tn_codec_error **errors, uint32_t *n,
    struct tn_codec_decoder **d)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(spec, 1 << 20);
	struct tn_builder *b = tn_record_builder_new(&schema, 4);
	struct tn_codec_rows rows = { 0 };
	struct tn_batch *batch;

	(void)!tn_codec_splitter_feed(s, &in, &rows, SIZE_MAX);
	(void)!tn_codec_splitter_end(s, &rows);
	*d = tn_codec_decoder_new(&schema, spec);
	tn_codec_decode(*d, &rows, NULL, b, NULL, errors, n);
	batch = tn_record_builder_take(b);
	tn_assert(batch->rows == rows.count);
	for (uint32_t i = 1; i < *n; i++)
		tn_assert((*errors)[i - 1].row < (*errors)[i].row);
	tn_record_builder_free(b);
	tn_codec_rows_fini(&rows);
	tn_codec_splitter_free(s);
	return batch;
}

static void
set(struct tn_codec_spec *s, const char *name, const char *value)
{
	tn_assert(tn_codec_spec_set(s, tn_slice_of(name), tn_slice_of(value),
	    NULL) == TN_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tn_codec_error *errors;
	struct tn_codec_decoder *d;
	struct tn_batch *batch, *back;
	struct tn_codec_spec spec;
	struct tn_buf out = { 0 };
	uint8_t pick = size > 0 ? *data : 0;
	uint32_t n;

	if (size == 0)
		return 0;
	tn_codec_spec_init(&spec, TN_CODEC_CSV);
	if (pick & 1)
		set(&spec, "columns", "a,b,c,d,e");
	if (pick & 2)
		set(&spec, "header", "false");
	if (pick & 4)
		set(&spec, "null", "x");
	if (pick & 8)
		set(&spec, "time_format", "%d.%m.%Y");
	if (pick & 16)
		set(&spec, "delimiter", ";");
	batch = read_all(&spec, (struct tn_slice){ data + 1, size - 1 },
	    &errors, &n, &d);
	tn_codec_decoder_free(d);
	tn_codec_spec_fini(&spec);
	tn_codec_spec_init(&spec, TN_CODEC_CSV);
	tn_codec_csv_header(&out, &schema);
	tn_codec_csv_rows(&out, batch);
	back = read_all(&spec, (struct tn_slice){ out.p, out.n }, &errors, &n,
	    &d);
	tn_assert(back->rows == batch->rows);
	for (uint32_t i = 0, e = 0; i < back->rows; i++) {
		if (e < n && errors[e].row == i) {
			/* Only a year that ISO 8601 cannot write. */
			tn_assert(strcmp(errors[e].code,
			    "bad_timestamp") == 0);
			e++;
			continue;
		}
		for (uint32_t c = 0; c < schema.count; c++)
			tn_assert(tn_record_compare(&back->columns[c], i,
			    &batch->columns[c], i) == 0);
	}
	tn_codec_decoder_free(d);
	tn_codec_spec_fini(&spec);
	tn_record_batch_unref(back);
	tn_record_batch_unref(batch);
	tn_buf_fini(&out);
	return 0;
}

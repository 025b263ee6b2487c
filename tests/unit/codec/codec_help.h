/* What the codec tests share: reading files, splitting a body in random
 * pieces, decoding it into one batch and reading values as text. */
#ifndef TN_TEST_CODEC_HELP_H
#define TN_TEST_CODEC_HELP_H

#include "test.h"
#include "codec/codec.h"

#include <dirent.h>

#define DATA "/work/shared/data/"

static uint64_t help_state;

static inline void
help_seed(void)
{
	const char *s = getenv("TARN_SEED");

	help_state = s == NULL ? 1 : strtoull(s, NULL, 10);
	printf("seed %llu\n", (unsigned long long)help_state);
}

static inline uint32_t
help_rnd(uint32_t n)
{
	help_state = help_state * 6364136223846793005u +
	    1442695040888963407u;
	return (uint32_t)(help_state >> 33) % n;
}

/* False when there is no such file. */
static inline bool
help_read(const char *path, struct tn_buf *out)
{
	FILE *f = fopen(path, "rb");
	char buf[65536];
	size_t n;

	if (f == NULL)
		return false;
	while ((n = fread(buf, 1, sizeof buf, f)) > 0)
		tn_buf_add(out, buf, n);
	fclose(f);
	return true;
}

static inline struct tn_slice
help_slice(const struct tn_buf *b)
{
	return (struct tn_slice){ b->p, b->n };
}

/* Split ${body}; piece_max 0: in one piece. Appends to ${rows}. */
static inline enum tn_status
help_split(struct tn_codec_spec *spec, struct tn_slice body,
    size_t row_max, uint32_t piece_max, struct tn_codec_rows *rows)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(spec, row_max);
	enum tn_status st = TN_OK;
	struct tn_slice in;
	uint8_t *copy;
	size_t n;

	while (st == TN_OK && body.n > 0) {
		n = piece_max == 0 ? body.n : 1 + help_rnd(piece_max);
		if (n > body.n)
			n = body.n;
		/* A copy of its own, so that a look behind it is seen. */
		copy = tn_alloc(n);
		memcpy(copy, body.p, n);
		in = (struct tn_slice){ copy, n };
		while (st == TN_OK && in.n > 0)
			st = tn_codec_splitter_feed(s, &in, rows,
			    piece_max == 0 ? SIZE_MAX :
			    rows->raw.n + 1 + help_rnd(300));
		tn_free(copy);
		body.p += n;
		body.n -= n;
	}
	if (st == TN_OK)
		st = tn_codec_splitter_end(s, rows);
	tn_codec_splitter_free(s);
	return st;
}

/* A body decoded: the batch, and for row i its error code or "". */
struct help {
	struct tn_codec_spec spec;
	struct tn_schema schema;
	struct tn_codec_rows rows;
	struct tn_codec_decoder *decoder;
	struct tn_builder *builder;
	struct tn_batch *batch;
	const struct tn_codec_error *errors;
	uint32_t error_count;
	struct tn_buf text;
	uint8_t *absent;
};

static inline void
help_init(struct help *h, enum tn_codec_format format,
    const struct tn_field *fields, uint32_t count)
{
	memset(h, 0, sizeof *h);
	tn_codec_spec_init(&h->spec, format);
	h->schema = (struct tn_schema){ "t", count, fields };
}

static inline void
help_set(struct help *h, const char *name, const char *value)
{
	struct tn_diag d = { 0 };

	assert_int_equal(tn_codec_spec_set(&h->spec, tn_slice_of(name),
	    tn_slice_of(value), &d), TN_OK);
}

static inline void
help_decode_rows(struct help *h)
{
	if (h->decoder == NULL) {
		h->decoder = tn_codec_decoder_new(&h->schema, &h->spec);
		h->builder = tn_record_builder_new(&h->schema, 16);
	}
	tn_record_batch_unref(h->batch);
	free(h->absent);
	h->absent = calloc(h->rows.count + 1, (h->schema.count + 7) / 8 + 1);
	tn_codec_decode(h->decoder, &h->rows, NULL, h->builder, h->absent,
	    &h->errors, &h->error_count);
	h->batch = tn_record_builder_take(h->builder);
	assert_int_equal(h->batch->rows, h->rows.count);
}

static inline void
help_decode_slice(struct help *h, struct tn_slice body)
{
	tn_codec_rows_clear(&h->rows);
	assert_int_equal(help_split(&h->spec, body, 1 << 20, 0, &h->rows),
	    TN_OK);
	help_decode_rows(h);
}

static inline void
help_decode(struct help *h, const char *body)
{
	help_decode_slice(h, tn_slice_of(body));
}

static inline void
help_fini(struct help *h)
{
	tn_record_batch_unref(h->batch);
	tn_record_builder_free(h->builder);
	tn_codec_decoder_free(h->decoder);
	tn_codec_rows_fini(&h->rows);
	tn_codec_spec_fini(&h->spec);
	tn_buf_fini(&h->text);
	free(h->absent);
}

static inline const struct tn_codec_error *
help_error(const struct help *h, uint32_t row)
{
	static const struct tn_codec_error none = { 0, "", "", "" };

	for (uint32_t i = 0; i < h->error_count; i++)
		if (h->errors[i].row == row)
			return &h->errors[i];
	return &none;
}

static inline const char *
help_code(const struct help *h, uint32_t row)
{
	return help_error(h, row)->code;
}

/* The value as text; "NULL" for null. */
static inline const char *
help_value(struct help *h, uint32_t row, uint32_t col)
{
	const struct tn_column *c = &h->batch->columns[col];

	tn_buf_clear(&h->text);
	if (!tn_column_valid(c, row))
		return "NULL";
	tn_record_print(&h->text, c, row);
	return tn_buf_cstr(&h->text);
}

#endif

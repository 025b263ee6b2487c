/* Fuzzes the splitters. The first two bytes pick the format, options and how
 * the body is cut into pieces. What must hold: the pieces give the same rows,
 * line numbers and status as the whole. */
#include "codec/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ${seed} 0: in one piece. */
static enum tn_status
split(struct tn_codec_spec *spec, struct tn_slice body, size_t row_max,
    uint32_t seed, struct tn_codec_rows *rows)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(spec, row_max);
	enum tn_status st = TN_OK;
	struct tn_slice in;
	uint8_t *copy;
	size_t n;

	while (st == TN_OK && body.n > 0) {
		n = body.n;
		if (seed != 0) {
			seed = seed * 1664525 + 1013904223;
			n = 1 + (seed >> 24) % 7;
		}
		if (n > body.n)
			n = body.n;
		copy = tn_alloc(n);
		memcpy(copy, body.p, n);
		in = (struct tn_slice){ copy, n };
		while (st == TN_OK && in.n > 0)
			st = tn_codec_splitter_feed(s, &in, rows, seed == 0 ?
			    SIZE_MAX : rows->raw.n + 1);
		tn_free(copy);
		body.p += n;
		body.n -= n;
	}
	if (st == TN_OK)
		st = tn_codec_splitter_end(s, rows);
	tn_codec_splitter_free(s);
	return st;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_codec_spec spec[2];
	struct tn_codec_rows rows[2] = { { 0 }, { 0 } };
	enum tn_status st[2];
	struct tn_slice body;
	size_t row_max;

	if (size < 2)
		return 0;
	body = (struct tn_slice){ data + 2, size - 2 };
	row_max = 16 + (data[0] >> 4) * 5;
	for (int i = 0; i < 2; i++) {
		tn_codec_spec_init(&spec[i],
		    (enum tn_codec_format)(data[0] % 3));
		spec[i].no_header = (data[0] & 4) != 0;
		if (data[0] & 8)
			tn_assert(tn_codec_spec_set(&spec[i],
			    tn_slice_of("columns"), tn_slice_of("a,b"),
			    NULL) == TN_OK);
		st[i] = split(&spec[i], body, row_max,
		    i == 0 ? 0 : data[1] + 1u, &rows[i]);
	}
	tn_assert(st[0] == st[1]);
	tn_assert(rows[0].count == rows[1].count);
	tn_assert(rows[0].raw.n == rows[1].raw.n);
	tn_assert(rows[0].raw.n == 0 || memcmp(rows[0].raw.p, rows[1].raw.p,
	    rows[0].raw.n) == 0);
	for (uint32_t i = 0; i < rows[0].count; i++) {
		tn_assert(rows[0].start[i] == rows[1].start[i]);
		tn_assert(rows[0].length[i] == rows[1].length[i]);
		tn_assert(rows[0].line[i] == rows[1].line[i]);
		tn_assert(rows[0].length[i] <= row_max);
	}
	for (int i = 0; i < 2; i++) {
		tn_codec_rows_fini(&rows[i]);
		tn_codec_spec_fini(&spec[i]);
	}
	return 0;
}

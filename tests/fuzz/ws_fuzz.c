/* Fuzzes WebSocket heads. The first byte bounds the payload; the rest is what
 * a client sent. What must hold: the answer for a prefix is "not enough" or
 * the answer for the whole; a head that is taken is the only way to write it;
 * undoing the mask in two pieces is undoing it in one, and twice is nothing. */
#include "codec/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
masks(const struct tn_codec_ws_frame *f, const uint8_t *p, size_t n)
{
	uint8_t *one = tn_alloc(n + 1), *two = tn_alloc(n + 1);
	size_t cut = n == 0 ? 0 : p[0] % (n + 1);

	memcpy(one, p, n);
	memcpy(two, p, n);
	tn_codec_ws_unmask(one, n, f->mask, 0);
	tn_codec_ws_unmask(two, cut, f->mask, 0);
	tn_codec_ws_unmask(two + cut, n - cut, f->mask, cut);
	tn_assert(memcmp(one, two, n) == 0);
	for (size_t i = 0; i < n; i++)
		tn_assert(one[i] == (p[i] ^ f->mask[i % 4]));
	tn_codec_ws_unmask(one, n, f->mask, 0);
	tn_assert(memcmp(one, p, n) == 0);
	tn_free(one);
	tn_free(two);
}

/* A server's head of the same frame differs in FIN and the mask alone. */
static void
written(const struct tn_codec_ws_frame *f, const uint8_t *head)
{
	struct tn_buf b = { 0 };

	tn_codec_ws_put(&b, f->op, f->bytes);
	tn_assert(b.n == f->head_bytes - 4);
	tn_assert((b.p[0] & 0x7f) == (head[0] & 0x7f));
	tn_assert((b.p[1] | 0x80) == head[1]);
	tn_assert(memcmp(b.p + 2, head + 2, b.n - 2) == 0);
	tn_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_codec_ws_frame f = { 0 }, g = { 0 };
	enum tn_status st, part;
	size_t max;
	uint8_t *in;
	char accept[29];

	if (size < 1)
		return 0;
	max = (size_t)1 << (data[0] & 63);
	size--;
	in = tn_alloc(size + 1);
	memcpy(in, data + 1, size);
	st = tn_codec_ws_head((struct tn_slice){ in, size }, max, &f);
	for (size_t n = 0; n < size && n < 16; n++) {
		part = tn_codec_ws_head((struct tn_slice){ in, n }, max, &g);
		tn_assert(part == TN_END || part == st);
	}
	tn_assert(st != TN_END || size < 14);
	if (st == TN_OK) {
		tn_assert(f.head_bytes <= size && f.bytes <= max);
		written(&f, in);
		masks(&f, in + f.head_bytes, size - f.head_bytes);
	}
	tn_codec_ws_accept((struct tn_slice){ in, size }, accept);
	tn_assert(strlen(accept) == 28);
	tn_free(in);
	return 0;
}

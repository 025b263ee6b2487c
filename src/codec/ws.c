/* ws: frames of a WebSocket connection and the answer to its handshake, on
 * the server's side (RFC 6455, sections 4.2.2, 5.2, 5.3 and 5.5).
 *
 * A head is refused as soon as a byte of it is wrong, so that a peer cannot
 * make us wait for the rest of it. SHA-1 (RFC 3174) is here because the
 * handshake names it; it protects nothing. */
#include "codec/codec_int.h"

#include <string.h>

/* ---- frames ---------------------------------------------------------- */

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* The first two bytes, or as many as are here. */
static bool
start_ok(struct tn_slice in)
{
	unsigned op = in.p[0] & 15;
	bool control = op >= TN_WS_CLOSE;

	if ((in.p[0] & 0x70) != 0 || (op & 7) > 2)
		return false;
	if (control && (in.p[0] & 0x80) == 0)
		return false;
	if (in.n == 1)
		return true;
	return (in.p[1] & 0x80) != 0 && !(control && (in.p[1] & 127) > 125);
}

enum tn_status
tn_codec_ws_head(struct tn_slice in, size_t bytes_max,
    struct tn_codec_ws_frame *out)
{
	size_t more = 0;
	uint64_t bytes;

	if (in.n == 0)
		return TN_END;
	if (!start_ok(in))
		return TN_EINVAL;
	if (in.n < 2)
		return TN_END;
	bytes = in.p[1] & 127;
	if (bytes >= 126)
		more = bytes == 126 ? 2 : 8;
	if (in.n < 2 + more)
		return TN_END;
	if (more > 0)
		bytes = big_endian(in.p + 2, more);
	/* The shortest form, and no sign bit. */
	if ((more == 2 && bytes < 126) ||
	    (more == 8 && (bytes <= UINT16_MAX || bytes > INT64_MAX)))
		return TN_EINVAL;
	if (bytes > bytes_max)
		return TN_ELIMIT;
	if (in.n < 2 + more + 4)
		return TN_END;
	out->last = (in.p[0] & 0x80) != 0;
	out->op = (enum tn_codec_ws_op)(in.p[0] & 15);
	out->head_bytes = 2 + more + 4;
	out->bytes = (size_t)bytes;
	memcpy(out->mask, in.p + 2 + more, 4);
	return TN_OK;
}

void
tn_codec_ws_unmask(uint8_t *p, size_t n, const uint8_t mask[static 4],
    size_t at)
{
	uint8_t turned[8];
	uint64_t key, eight;
	size_t i = 0;

	for (size_t j = 0; j < 8; j++)
		turned[j] = mask[(at + j) & 3];
	memcpy(&key, turned, 8);
	for (; n - i >= 8; i += 8) {
		memcpy(&eight, p + i, 8);
		eight ^= key;
		memcpy(p + i, &eight, 8);
	}
	for (; i < n; i++)
		p[i] ^= turned[i & 7];
}

void
tn_codec_ws_put(struct tn_buf *out, enum tn_codec_ws_op op, size_t bytes)
{
	uint8_t head[10] = { (uint8_t)(0x80 | op) };
	size_t more = bytes < 126 ? 0 : bytes <= UINT16_MAX ? 2 : 8;

	tn_assert(op < TN_WS_CLOSE || bytes < 126);
	tn_assert(bytes <= INT64_MAX);
	head[1] = (uint8_t)(more == 0 ? bytes : more == 2 ? 126 : 127);
	for (size_t i = 0; i < more; i++)
		head[2 + i] = (uint8_t)(bytes >> (8 * (more - 1 - i)));
	tn_buf_add(out, head, 2 + more);
}

/* ---- SHA-1 ----------------------------------------------------------- */

static uint32_t
turn(uint32_t x, unsigned by)
{
	return x << by | x >> (32 - by);
}

/* RFC 3174, section 6.1. */
static void
block(uint32_t h[static 5], const uint8_t *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (size_t t = 0; t < 16; t++)
		w[t] = (uint32_t)big_endian(p + 4 * t, 4);
	for (size_t t = 16; t < 80; t++)
		w[t] = turn(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (size_t t = 0; t < 80; t++) {
		uint32_t f, x;

		if (t < 20)
			f = ((b & c) | (~b & d)) + 0x5a827999;
		else if (t < 40)
			f = (b ^ c ^ d) + 0x6ed9eba1;
		else if (t < 60)
			f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
		else
			f = (b ^ c ^ d) + 0xca62c1d6;
		x = turn(a, 5) + f + e + w[t];
		e = d;
		d = c;
		c = turn(b, 30);
		b = a;
		a = x;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void
tn_codec_sha1(struct tn_slice in, uint8_t out[static 20])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
	    0xc3d2e1f0 };
	uint64_t bits = (uint64_t)in.n * 8;
	uint8_t last[128] = { 0 };
	size_t whole = in.n / 64 * 64, rest = in.n - whole;
	size_t last_bytes = rest < 56 ? 64 : 128;

	for (size_t i = 0; i < whole; i += 64)
		block(h, in.p + i);
	if (rest > 0)
		memcpy(last, in.p + whole, rest);
	last[rest] = 0x80;
	for (size_t i = 0; i < 8; i++)
		last[last_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
	for (size_t i = 0; i < last_bytes; i += 64)
		block(h, last + i);
	for (size_t i = 0; i < 20; i++)
		out[i] = (uint8_t)(h[i / 4] >> (8 * (3 - i % 4)));
}

/* ---- handshake ------------------------------------------------------- */

/* base64 (RFC 4648) of the 20 bytes: 27 letters and one filler. */
static void
base64(const uint8_t in[static 20], char out[static 29])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t three[3];

	for (size_t i = 0; i < 7; i++) {
		for (size_t j = 0; j < 3; j++)
			three[j] = 3 * i + j < 20 ? in[3 * i + j] : 0;
		out[4 * i] = letters[three[0] >> 2];
		out[4 * i + 1] = letters[(three[0] & 3) << 4 | three[1] >> 4];
		out[4 * i + 2] = letters[(three[1] & 15) << 2 | three[2] >> 6];
		out[4 * i + 3] = letters[three[2] & 63];
	}
	out[27] = '=';
	out[28] = '\0';
}

void
tn_codec_ws_accept(struct tn_slice key, char out[static 29])
{
	struct tn_buf text = { 0 };
	uint8_t digest[20];

	tn_buf_add(&text, key.p, key.n);
	tn_buf_str(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	tn_codec_sha1((struct tn_slice){ text.p, text.n }, digest);
	tn_buf_fini(&text);
	base64(digest, out);
}

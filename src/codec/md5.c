/* MD5 (RFC 1321) of bytes that come in pieces: the SQL function of that name,
 * and Content-MD5. Not for secrets. */
#include "codec/codec.h"

#include <string.h>

static const uint32_t sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf,
	0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af,
	0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e,
	0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
	0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6,
	0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
	0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122,
	0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
	0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97,
	0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
	0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
	0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const uint8_t turns[4][4] = {
	{ 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 },
	{ 6, 10, 15, 21 },
};

static void
md5_block(struct tn_codec_md5 *m, const uint8_t *p)
{
	uint32_t a = m->sum[0], b = m->sum[1], c = m->sum[2];
	uint32_t d = m->sum[3], x[16];

	memcpy(x, p, sizeof x);          /* Little endian, as MD5 is. */
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t f, k, next;
		uint8_t turn = turns[i / 16][i % 4];

		if (i < 16) {
			f = (b & c) | (~b & d);
			k = i;
		} else if (i < 32) {
			f = (d & b) | (~d & c);
			k = (5 * i + 1) % 16;
		} else if (i < 48) {
			f = b ^ c ^ d;
			k = (3 * i + 5) % 16;
		} else {
			f = c ^ (b | ~d);
			k = 7 * i % 16;
		}
		f += a + sines[i] + x[k];
		next = b + (f << turn | f >> (32 - turn));
		a = d;
		d = c;
		c = b;
		b = next;
	}
	m->sum[0] += a;
	m->sum[1] += b;
	m->sum[2] += c;
	m->sum[3] += d;
}

void
tn_codec_md5_init(struct tn_codec_md5 *m)
{
	*m = (struct tn_codec_md5){ .sum = { 0x67452301, 0xefcdab89,
	    0x98badcfe, 0x10325476 } };
}

void
tn_codec_md5_add(struct tn_codec_md5 *m, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t held = m->bytes % 64, part = 64 - held;

	m->bytes += n;
	if (held > 0 && n >= part) {
		memcpy(m->block + held, p, part);
		md5_block(m, m->block);
		p += part;
		n -= part;
		held = 0;
	}
	for (; held == 0 && n >= 64; n -= 64, p += 64)
		md5_block(m, p);
	if (n > 0)
		memcpy(m->block + held, p, n);
}

void
tn_codec_md5_end(struct tn_codec_md5 *m, uint8_t out[static 16])
{
	static const uint8_t mark[64] = { 0x80 };
	uint64_t bits = m->bytes * 8;
	size_t held = m->bytes % 64;

	tn_codec_md5_add(m, mark, held < 56 ? 56 - held : 120 - held);
	tn_codec_md5_add(m, &bits, sizeof bits);
	tn_assert(m->bytes % 64 == 0);
	memcpy(out, m->sum, 16);
}

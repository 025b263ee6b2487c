/* WebSocket: heads, masks, the handshake's answer and the SHA-1 under it. */
#include "codec_help.h"
#include "codec/codec_int.h"

/* ---- heads ----------------------------------------------------------- */

#define BYTES(text) { (const uint8_t *)(text), sizeof(text) - 1 }
#define KEY "\x37\xfa\x21\x3d"

static const struct head_case {
	struct tn_slice in;
	enum tn_status st;
	size_t bytes, head_bytes;
	enum tn_codec_ws_op op;
	bool last;
} heads[] = {
	/* Section 5.7: "Hello" whole, in two parts, a ping, its pong. */
	{ BYTES("\x81\x85" KEY "\x7f\x9f\x4d\x51\x58"), TN_OK, 5, 6,
	    TN_WS_TEXT, true },
	{ BYTES("\x01\x83" KEY), TN_OK, 3, 6, TN_WS_TEXT, false },
	{ BYTES("\x80\x82" KEY), TN_OK, 2, 6, TN_WS_MORE, true },
	{ BYTES("\x00\x82" KEY), TN_OK, 2, 6, TN_WS_MORE, false },
	{ BYTES("\x89\x85" KEY), TN_OK, 5, 6, TN_WS_PING, true },
	{ BYTES("\x8a\xfd" KEY), TN_OK, 125, 6, TN_WS_PONG, true },
	{ BYTES("\x88\x80" KEY), TN_OK, 0, 6, TN_WS_CLOSE, true },
	{ BYTES("\x82\xfe\x01\x00" KEY), TN_OK, 256, 8, TN_WS_BINARY, true },
	{ BYTES("\x82\xfe\x00\x7e" KEY), TN_OK, 126, 8, TN_WS_BINARY, true },
	{ BYTES("\x82\xfe\xff\xff" KEY), TN_OK, 65535, 8, TN_WS_BINARY,
	    true },
	{ BYTES("\x82\xff\0\0\0\0\0\1\0\0" KEY), TN_OK, 65536, 14,
	    TN_WS_BINARY, true },
	/* Not yet. */
	{ BYTES(""), TN_END, 0, 0, 0, false },
	{ BYTES("\x82"), TN_END, 0, 0, 0, false },
	{ BYTES("\x82\x85\x37\xfa\x21"), TN_END, 0, 0, 0, false },
	{ BYTES("\x82\xfe\x01"), TN_END, 0, 0, 0, false },
	{ BYTES("\x82\xff\0\0\0\0\0\1\0"), TN_END, 0, 0, 0, false },
	/* Refused as soon as the byte is there. */
	{ BYTES("\xc2"), TN_EINVAL, 0, 0, 0, false },    /* Reserved bits. */
	{ BYTES("\xa2"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x92"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x83"), TN_EINVAL, 0, 0, 0, false },    /* Opcodes. */
	{ BYTES("\x87"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x8b"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x8f"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x08"), TN_EINVAL, 0, 0, 0, false },    /* Control in parts. */
	{ BYTES("\x09\x80" KEY), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x0a"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x82\x05"), TN_EINVAL, 0, 0, 0, false }, /* No mask. */
	{ BYTES("\x89\xfe"), TN_EINVAL, 0, 0, 0, false }, /* Control of 126. */
	{ BYTES("\x88\xff"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x82\xfe\x00\x7d"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x82\xff\0\0\0\0\0\0\xff\xff"), TN_EINVAL, 0, 0, 0, false },
	{ BYTES("\x82\xff\x80\0\0\0\0\1\0\0"), TN_EINVAL, 0, 0, 0, false },
	/* Over the limit, before the mask is there. */
	{ BYTES("\x82\xff\0\0\0\0\0\1\0\1"), TN_ELIMIT, 0, 0, 0, false },
	{ BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), TN_ELIMIT, 0, 0,
	    0, false },
};

/* Goal: each rule of section 5.2 holds, and every prefix of a good head is
 * "not yet". */
static void
test_heads(void **state)
{
	struct tn_codec_ws_frame f;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(heads); i++) {
		const struct head_case *c = &heads[i];
		enum tn_status st = tn_codec_ws_head(c->in, 65536, &f);

		if (st != c->st)
			fail_msg("row %zu: status %d", i, st);
		if (st != TN_OK)
			continue;
		assert_int_equal(f.bytes, c->bytes);
		assert_int_equal(f.head_bytes, c->head_bytes);
		assert_int_equal(f.op, c->op);
		assert_int_equal(f.last, c->last);
		assert_memory_equal(f.mask, KEY, 4);
		for (size_t n = 0; n < c->head_bytes; n++) {
			struct tn_slice cut = { c->in.p, n };

			assert_int_equal(tn_codec_ws_head(cut, 65536, &f),
			    TN_END);
		}
	}
}

/* Goal: the limit is the payload's, to the byte. */
static void
test_limit(void **state)
{
	struct tn_slice in = BYTES("\x82\x85" KEY);
	struct tn_codec_ws_frame f;

	(void)state;
	assert_int_equal(tn_codec_ws_head(in, 5, &f), TN_OK);
	assert_int_equal(tn_codec_ws_head(in, 4, &f), TN_ELIMIT);
}

/* Goal: what put writes is section 5.7's, and with a mask it is read back. */
static void
test_put(void **state)
{
	static const struct {
		enum tn_codec_ws_op op;
		size_t bytes;
		struct tn_slice head;
	} cases[] = {
		{ TN_WS_TEXT, 5, BYTES("\x81\x05") },
		{ TN_WS_BINARY, 0, BYTES("\x82\x00") },
		{ TN_WS_BINARY, 125, BYTES("\x82\x7d") },
		{ TN_WS_BINARY, 126, BYTES("\x82\x7e\x00\x7e") },
		{ TN_WS_BINARY, 256, BYTES("\x82\x7e\x01\x00") },
		{ TN_WS_BINARY, 65535, BYTES("\x82\x7e\xff\xff") },
		{ TN_WS_BINARY, 65536, BYTES("\x82\x7f\0\0\0\0\0\1\0\0") },
		{ TN_WS_PONG, 125, BYTES("\x8a\x7d") },
		{ TN_WS_CLOSE, 2, BYTES("\x88\x02") },
	};
	struct tn_buf out = { 0 };
	struct tn_codec_ws_frame f;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		tn_buf_clear(&out);
		tn_codec_ws_put(&out, cases[i].op, cases[i].bytes);
		assert_true(tn_slice_eq(help_slice(&out), cases[i].head));
		out.p[1] |= 0x80;
		tn_buf_add(&out, KEY, 4);
		assert_int_equal(tn_codec_ws_head(help_slice(&out), SIZE_MAX,
		    &f), TN_OK);
		assert_int_equal(f.bytes, cases[i].bytes);
		assert_int_equal(f.op, cases[i].op);
		assert_int_equal(f.head_bytes, out.n);
	}
	tn_buf_fini(&out);
}

/* ---- masks ----------------------------------------------------------- */

/* Goal: section 5.7's "Hello", and pieces of any length at any offset give
 * what the definition says. */
static void
test_unmask(void **state)
{
	uint8_t hello[] = "\x7f\x9f\x4d\x51\x58";
	uint8_t mask[4], plain[70], got[70];

	(void)state;
	tn_codec_ws_unmask(hello, 5, (const uint8_t *)KEY, 0);
	assert_string_equal((char *)hello, "Hello");
	for (uint32_t turn = 0; turn < 20000; turn++) {
		uint32_t n = help_rnd(70), at = help_rnd(1000);
		uint8_t *own;

		for (size_t i = 0; i < 4; i++)
			mask[i] = (uint8_t)help_rnd(256);
		for (uint32_t i = 0; i < n; i++) {
			plain[i] = (uint8_t)help_rnd(256);
			got[i] = plain[i] ^ mask[(at + i) % 4];
		}
		own = malloc(n + 1);
		memcpy(own, got, n);
		tn_codec_ws_unmask(own, n, mask, at);
		assert_memory_equal(own, plain, n);
		free(own);
	}
}

/* ---- handshake ------------------------------------------------------- */

static const char *
hex(const uint8_t digest[20])
{
	static char text[41];

	for (size_t i = 0; i < 20; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text;
}

/* Goal: the vectors of RFC 3174, section 7.3 and of FIPS 180, and lengths at
 * the borders of a block (digests from another implementation). */
static void
test_sha1(void **state)
{
	static const struct {
		const char *text;
		uint32_t repeat;
		const char *digest;
	} cases[] = {
		{ "abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
		{ "a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f" },
		{ "0123456701234567012345670123456701234567012345670123456"
		    "701234567", 10,
		    "dea356a2cddd90c7a7ecedc5ebb563934f460452" },
		{ "", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
		{ "x", 55, "cef734ba81a024479e09eb5a75b6ddae62e6abf1" },
		{ "x", 56, "901305367c259952f4e7af8323f480d59f81335b" },
		{ "x", 63, "0ddc4e0cccd9a12850deb5abb0853a4425559fec" },
		{ "x", 64, "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163" },
		{ "x", 65, "78c741ddc482e4cdf8c474a0876347a0905b6233" },
		{ "x", 119, "4300320394f7ee239bcdce7d3b8bcee173a0cd5c" },
		{ "x", 120, "ceb2821639c4b6dcb10bce0e522ca2e608ce056d" },
	};
	struct tn_buf text = { 0 };
	uint8_t digest[20];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		tn_buf_clear(&text);
		for (uint32_t k = 0; k < cases[i].repeat; k++)
			tn_buf_str(&text, cases[i].text);
		tn_codec_sha1(help_slice(&text), digest);
		assert_string_equal(hex(digest), cases[i].digest);
	}
	tn_buf_fini(&text);
}

/* Goal: the example of section 1.3, and another key. */
static void
test_accept(void **state)
{
	char out[29];

	(void)state;
	tn_codec_ws_accept(tn_slice_of("dGhlIHNhbXBsZSBub25jZQ=="), out);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	tn_codec_ws_accept(tn_slice_of("x3JJHMbDL1EzLkh9GBhXDw=="), out);
	assert_string_equal(out, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_unmask),
		cmocka_unit_test(test_sha1),
		cmocka_unit_test(test_accept),
	};

	help_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

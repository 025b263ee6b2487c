/* Hashes and checksums: fixed vectors, spread, and equal engines. */
#include "test.h"

#include "base/base_int.h"

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = tn_hash64(&seed, sizeof seed, 1);
	return seed;
}

static const struct {
	const char *text;
	uint64_t seed;
	uint64_t h64, lo, hi;
} vectors[] = {
	{ "",
	    UINT64_C(0x0), UINT64_C(0xaca4b846a29ebe6a),
	    UINT64_C(0x4b3a75cb93c30ec7), UINT64_C(0xefbb18ec78b214a1) },
	{ "a",
	    UINT64_C(0x0), UINT64_C(0xb84626a49dc8055d),
	    UINT64_C(0x634184e2ccfb5502), UINT64_C(0xfa2e651ff326c4bf) },
	{ "abc",
	    UINT64_C(0x0), UINT64_C(0xcb59d9fc78d3c038),
	    UINT64_C(0x858b517e49f58c30), UINT64_C(0x5b4308b463783b5e) },
	{ "badge-17",
	    UINT64_C(0x0), UINT64_C(0xee55ff18489efa35),
	    UINT64_C(0x06cf22fac6c22168), UINT64_C(0x01ec1a15aeb823b7) },
	{ "0123456789abcdef",
	    UINT64_C(0x0), UINT64_C(0x26ad2b2028562711),
	    UINT64_C(0x4d4958306626e62a), UINT64_C(0x5cdfc675d6a46cdf) },
	{ "0123456789abcdefg",
	    UINT64_C(0x0), UINT64_C(0xe166ed9c10c1455a),
	    UINT64_C(0x4c90709e4326cee0), UINT64_C(0x1b4032c79456827a) },
	{ "The quick brown fox jumps over the lazy dog",
	    UINT64_C(0x0), UINT64_C(0x886a025f0543d03a),
	    UINT64_C(0x54815227d2abdcb9), UINT64_C(0x5a3c9ec521371cec) },
	{ "The quick brown fox jumps over the lazy dog, twice, and once more.",
	    UINT64_C(0x0), UINT64_C(0x045d8c0f96a5835e),
	    UINT64_C(0xf6d053247ca220cc), UINT64_C(0x9f7006e414aabed3) },
	{ "",
	    UINT64_C(0x1), UINT64_C(0x5db97b8a0b384bf2),
	    UINT64_C(0x1e22df59606f6336), UINT64_C(0x2b31cd0bf2f48b9e) },
	{ "a",
	    UINT64_C(0x1), UINT64_C(0x3fdd0ba156417e7a),
	    UINT64_C(0x9a3324cfbe4aebe6), UINT64_C(0x7ebc97e5d4f036d7) },
	{ "abc",
	    UINT64_C(0x1), UINT64_C(0x579453e404ebde5c),
	    UINT64_C(0x2213fc9834a26562), UINT64_C(0xf387c9dd7d78e479) },
	{ "badge-17",
	    UINT64_C(0x1), UINT64_C(0xe256e8b7c3265a11),
	    UINT64_C(0x990e213de180441b), UINT64_C(0x8395c3ec264f774c) },
	{ "0123456789abcdef",
	    UINT64_C(0x1), UINT64_C(0x18e48b336b2d56c0),
	    UINT64_C(0x63fb6ed883dd4178), UINT64_C(0xd3348289a2d382c1) },
	{ "0123456789abcdefg",
	    UINT64_C(0x1), UINT64_C(0x072fd12190fde72d),
	    UINT64_C(0x250b0b154b142ab7), UINT64_C(0xd0040ecd0d4b9e7a) },
	{ "The quick brown fox jumps over the lazy dog",
	    UINT64_C(0x1), UINT64_C(0x8af19e9cbdf02e3f),
	    UINT64_C(0xc61ff72020a43fcb), UINT64_C(0x160719c2d0edbd28) },
	{ "The quick brown fox jumps over the lazy dog, twice, and once more.",
	    UINT64_C(0x1), UINT64_C(0x7491380f44c8a068),
	    UINT64_C(0x8c0b775e43992731), UINT64_C(0x445078c756ca14ba) },
	{ "",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0xdf7e4aa3650e7ca1),
	    UINT64_C(0x97ccfba5b29cded1), UINT64_C(0x5fef30aeb38477b9) },
	{ "a",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0x7a0311c93bf7b6d0),
	    UINT64_C(0x0fcf12fc9dbd651c), UINT64_C(0xc93f5694cb512a3f) },
	{ "abc",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0x167167dff51c584c),
	    UINT64_C(0x7d045628f94352ee), UINT64_C(0x3efb6c81b82f90e0) },
	{ "badge-17",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0x86c48a3818115184),
	    UINT64_C(0x0892200c3b0fb7fa), UINT64_C(0xe5c3c30ae309454e) },
	{ "0123456789abcdef",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0xa7f1f846efff9dd1),
	    UINT64_C(0xb0ee19c8205161ab), UINT64_C(0x33c4b1239e7f25bf) },
	{ "0123456789abcdefg",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0x9a851de45e678d41),
	    UINT64_C(0xf5cb92d2e8cd521f), UINT64_C(0x00426c76e9822108) },
	{ "The quick brown fox jumps over the lazy dog",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0xfa951d2937f93412),
	    UINT64_C(0x40a76d7199456eac), UINT64_C(0x8efdb82e24b763af) },
	{ "The quick brown fox jumps over the lazy dog, twice, and once more.",
	    UINT64_C(0xffffffffffffffff), UINT64_C(0xcdeb8390959882f5),
	    UINT64_C(0x00fa22b498ab000c), UINT64_C(0xbd9a502564d2f4d7) },
};

static void
test_vectors(void **state)
{
	char text[256];

	(void)state;
	/* Goal: hashes never change between releases: key files hold them. */
	for (size_t i = 0; i < TN_COUNT(vectors); i++) {
		struct tn_slice s = tn_slice_of(vectors[i].text);
		struct tn_hash128 h = tn_hash128(s.p, s.n, vectors[i].seed);

		assert_true(tn_hash64(s.p, s.n, vectors[i].seed) ==
		    vectors[i].h64);
		assert_true(h.lo == vectors[i].lo && h.hi == vectors[i].hi);
	}
	/* One number over all lengths to 255 and places in memory. */
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 7);
	for (size_t at = 0; at < 8; at++) {
		char moved[264];
		uint64_t sum = 0;

		memcpy(moved + at, text, sizeof text);
		for (size_t n = 0; n < sizeof text; n++) {
			struct tn_hash128 h = tn_hash128(moved + at, n, sum);

			sum = tn_hash64(moved + at, n, h.lo ^ h.hi);
		}
		assert_true(sum == UINT64_C(0xf06b8491924be078));
	}
}

enum { SAMPLES = 2000 };

/* Flip bit ${bit} of many keys of ${n} bytes; each bit of the result must
 * change in about half of them. */
static void
avalanche(size_t n, size_t bit)
{
	uint32_t flips[192] = { 0 };
	uint8_t key[80];

	for (int k = 0; k < SAMPLES; k++) {
		uint64_t s = rnd();
		struct tn_hash128 a, b;
		uint64_t d[3];

		for (size_t i = 0; i < n; i++)
			key[i] = (uint8_t)rnd();
		a = tn_hash128(key, n, s);
		d[0] = tn_hash64(key, n, s);
		key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		b = tn_hash128(key, n, s);
		d[0] ^= tn_hash64(key, n, s);
		d[1] = a.lo ^ b.lo;
		d[2] = a.hi ^ b.hi;
		for (size_t i = 0; i < TN_COUNT(flips); i++)
			flips[i] += d[i / 64] >> i % 64 & 1;
	}
	/* Six standard deviations of a fair coin: 134. */
	for (size_t i = 0; i < TN_COUNT(flips); i++)
		assert_in_range(flips[i], SAMPLES / 2 - 140, SAMPLES / 2 + 140);
}

static void
test_avalanche(void **state)
{
	static const size_t lengths[] = { 1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 33,
		48, 49, 64, 80 };

	(void)state;
	/* Goal: each bit of the key reaches each bit of the hash. */
	for (size_t i = 0; i < TN_COUNT(lengths); i++) {
		for (size_t bit = 0; bit < lengths[i] * 8; bit += 13)
			avalanche(lengths[i], bit);
	}
}

static int
by_number(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

/* No two of ${n} hashes equal, and low and high bits spread evenly. */
static void
judge(uint64_t *h, size_t n)
{
	uint32_t low[256] = { 0 };
	uint32_t high[256] = { 0 };

	for (size_t i = 0; i < n; i++) {
		low[h[i] & 255]++;
		high[h[i] >> 56]++;
	}
	for (size_t i = 0; i < 256; i++) {
		assert_in_range(low[i], n / 256 * 8 / 10, n / 256 * 12 / 10);
		assert_in_range(high[i], n / 256 * 8 / 10, n / 256 * 12 / 10);
	}
	qsort(h, n, sizeof *h, by_number);
	for (size_t i = 1; i < n; i++)
		assert_true(h[i] != h[i - 1]);
}

static void
test_spread(void **state)
{
	size_t n = 1 << 20;
	uint64_t *h64 = tn_alloc(n * sizeof *h64);
	uint64_t *lo = tn_alloc(n * sizeof *lo);
	uint64_t *hi = tn_alloc(n * sizeof *hi);

	(void)state;
	/* Goal: keys as they occur (counters, near texts, zeros, two bits set)
	 * collide nowhere, in any 64 bits of either hash. */
	for (int kind = 0; kind < 4; kind++) {
		for (size_t i = 0; i < n; i++) {
			uint8_t key[24] = { 0 };
			size_t bytes = sizeof key;
			struct tn_hash128 h;

			if (kind == 0)
				memcpy(key, &i, bytes = 8);
			else if (kind == 1)
				bytes = (size_t)snprintf((char *)key,
				    sizeof key, "badge-%zu", i);
			else if (kind == 2)
				memcpy(key + 16, &i, 8);
			else
				memcpy(key + 3, &i, bytes = 7);
			h64[i] = tn_hash64(key, bytes, 0);
			h = tn_hash128(key, bytes, 0);
			lo[i] = h.lo;
			hi[i] = h.hi;
		}
		judge(h64, n);
		judge(lo, n);
		judge(hi, n);
	}
	tn_free(h64);
	tn_free(lo);
	tn_free(hi);
}

static void
test_no_swallowing(void **state)
{
	const uint64_t trap = UINT64_C(0x3c6ef372fe94f82b);
	const uint64_t trap2 = UINT64_C(0xa54ff53a5f1d36f1);

	(void)state;
	/* Goal: words that make a factor zero do not hide their neighbour. */
	for (int round = 0; round < 1000; round++) {
		uint64_t a[4] = { trap, rnd(), trap, trap2 };
		uint64_t b[4] = { trap, rnd(), trap, trap2 };
		struct tn_hash128 x = tn_hash128(a, sizeof a, 0);
		struct tn_hash128 y = tn_hash128(b, sizeof b, 0);

		assert_true(x.lo != y.lo && x.hi != y.hi);
		assert_true(tn_hash64(a, sizeof a, 0) !=
		    tn_hash64(b, sizeof b, 0));
		assert_true(tn_hash64(a, 16, 0) != tn_hash64(b, 16, 0));
	}
}

static void
test_crc_vectors(void **state)
{
	uint8_t b[32];

	(void)state;
	/* Goal: the examples of RFC 3720, appendix B.4, and the check value
	 * of the catalogue of CRCs. */
	assert_int_equal(tn_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(tn_crc32c(0, NULL, 0), 0);
	memset(b, 0, sizeof b);
	assert_int_equal(tn_crc32c(0, b, sizeof b), 0x8a9136aa);
	memset(b, 0xff, sizeof b);
	assert_int_equal(tn_crc32c(0, b, sizeof b), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(tn_crc32c(0, b, sizeof b), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(tn_crc32c(0, b, sizeof b), 0x113fdb5c);
}

static void
test_crc_engines(void **state)
{
	size_t size = 20000;
	uint8_t *b = tn_alloc(size);

	(void)state;
	/* Goal: both engines agree at every length and alignment, in one
	 * piece and in two. */
	for (size_t i = 0; i < size; i++)
		b[i] = (uint8_t)rnd();
	for (size_t n = 0; n < size; n = n < 300 ? n + 1 : n + rnd() % 97) {
		size_t at = rnd() % 16 < size - n ? rnd() % 8 : 0;
		size_t cut = n > 0 ? rnd() % n : 0;
		uint32_t soft;

		if (at + n > size)
			at = 0;
		soft = tn_crc32c_soft((uint32_t)n, b + at, n);
		if (tn_crc32c_has_hard())
			assert_int_equal(soft,
			    tn_crc32c_hard((uint32_t)n, b + at, n));
		assert_int_equal(soft, tn_crc32c(tn_crc32c((uint32_t)n, b + at,
		    cut), b + at + cut, n - cut));
	}
	tn_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_avalanche),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_no_swallowing),
		cmocka_unit_test(test_crc_vectors),
		cmocka_unit_test(test_crc_engines),
	};
	const char *text = getenv("TARN_SEED");

	seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

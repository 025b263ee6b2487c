/* bytes: thrift, bit packing, delta, snappy and CRC by themselves. */
#include "test.h"
#include "parquet/parquet.h"
#include "parquet/parquet_int.h"
#include "pq_gen.h"

/* Goal: CRC-32 gives the published check value, in one call and in two. */
static void
crc_has_the_known_value(void **state)
{
	static const char text[] = "123456789";
	char many[1000];

	(void)state;
	assert_int_equal(tn_parquet_crc32(0, text, 9), 0xcbf43926);
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = (char)gen_u64();
	for (size_t cut = 0; cut < 40; cut++)
		assert_int_equal(tn_parquet_crc32(tn_parquet_crc32(0, many,
		    cut), many + cut, sizeof many - cut),
		    tn_parquet_crc32(0, many, sizeof many));
}

/* Goal: CRC-32 of any length is that of its bytes one by one, which goes
 * another way than long ones do. */
static void
crc_of_bytes_one_by_one(void **state)
{
	uint8_t many[1000];
	uint32_t crc = 0;

	(void)state;
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = (uint8_t)gen_u64();
	for (size_t n = 1; n <= sizeof many; n++) {
		crc = tn_parquet_crc32(crc, many + n - 1, 1);
		assert_int_equal(tn_parquet_crc32(0, many, n), crc);
	}
}

/* Goal: values of every width unpack to what was packed. */
static void
packing_comes_back(void **state)
{
	uint64_t in[100], out[100];
	uint32_t in32[100], out32[100];

	(void)state;
	for (unsigned width = 0; width <= 64; width++) {
		struct tn_buf b = { .p = NULL };
		size_t n = 1 + gen_below(100);
		uint64_t mask = width == 64 ? UINT64_MAX :
		    ((uint64_t)1 << width) - 1;

		for (size_t i = 0; i < n; i++) {
			in[i] = gen_u64() & mask;
			in32[i] = (uint32_t)in[i];
		}
		tn_parquet_pack64(&b, in, n, width);
		assert_int_equal(b.n, (n * width + 7) / 8);
		memset(tn_buf_reserve(&b, TN_PQ_SLACK), 0xff, TN_PQ_SLACK);
		tn_parquet_unpack64(b.p, width, out, n);
		assert_memory_equal(in, out, n * sizeof *in);
		if (width <= 32) {
			tn_buf_clear(&b);
			tn_parquet_pack32(&b, in32, n, width);
			memset(tn_buf_reserve(&b, TN_PQ_SLACK), 0xff,
			    TN_PQ_SLACK);
			tn_parquet_unpack32(b.p, width, out32, n);
			assert_memory_equal(in32, out32, n * sizeof *in32);
		}
		tn_buf_fini(&b);
	}
}

/* Goal: the example of Encodings.md packs to its bytes. */
static void
packing_follows_the_format(void **state)
{
	static const uint32_t v[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct tn_buf b = { .p = NULL };

	(void)state;
	tn_parquet_pack32(&b, v, 8, 3);
	assert_int_equal(b.n, 3);
	assert_memory_equal(b.p, "\x88\xc6\xfa", 3);
	tn_buf_fini(&b);
}

static size_t
random_codes(uint32_t *v, size_t max, unsigned width)
{
	size_t n = gen_below((uint32_t)max);

	for (size_t i = 0; i < n;) {
		uint32_t code = (uint32_t)(gen_u64() &
		    (((uint64_t)1 << width) - 1));
		size_t run = gen_below(3) == 0 ? gen_below(60) : 1;

		for (; run > 0 && i < n; run--)
			v[i++] = code;
	}
	return n;
}

/* Goal: the hybrid of runs and packing comes back for every width and mix of
 * runs, and the largest value is told. */
static void
hybrid_comes_back(void **state)
{
	uint32_t in[700], out[700];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		unsigned width = 1 + i % 32;
		struct tn_buf b = { .p = NULL };
		size_t n = random_codes(in, 700, width);
		uint32_t max, want = 0;

		for (size_t k = 0; k < n; k++)
			want = in[k] > want ? in[k] : want;
		tn_parquet_hybrid_encode(&b, in, n, width);
		(void)tn_buf_reserve(&b, TN_PQ_SLACK);
		assert_true(tn_parquet_hybrid_decode((struct tn_slice){ b.p,
		    b.n }, width, out, n, &max));
		assert_int_equal(max, want);
		assert_memory_equal(in, out, n * sizeof *in);
		/* Cut short, it is refused and not read beyond. */
		if (b.n > 0)
			(void)!tn_parquet_hybrid_decode((struct tn_slice){
			    b.p, gen_below((uint32_t)b.n) }, width, out, n,
			    &max);
		tn_buf_fini(&b);
	}
}

/* Goal: a long run costs a few bytes, not a packed stretch. */
static void
hybrid_uses_runs(void **state)
{
	static uint32_t v[100000];
	struct tn_buf b = { .p = NULL };

	(void)state;
	tn_parquet_hybrid_encode(&b, v, TN_COUNT(v), 15);
	assert_true(b.n < 10);
	tn_buf_fini(&b);
}

/* Goal: bitmaps copied and filled at any bit equal a bit by bit copy. */
static void
bitmaps_are_copied(void **state)
{
	uint8_t from[40], to[40], want[40];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		size_t a = gen_below(100), b = gen_below(100);
		size_t n = gen_below(150), ones = 0;

		for (size_t k = 0; k < sizeof from; k++) {
			from[k] = (uint8_t)gen_u64();
			to[k] = want[k] = (uint8_t)gen_u64();
		}
		for (size_t k = 0; k < n; k++) {
			unsigned bit = from[(b + k) / 8] >> (b + k) % 8 & 1;

			ones += bit;
			want[(a + k) / 8] = (uint8_t)((want[(a + k) / 8] &
			    ~(1u << (a + k) % 8)) | bit << (a + k) % 8);
		}
		assert_int_equal(tn_parquet_bits_copy(to, a, from, b, n),
		    ones);
		assert_memory_equal(to, want, sizeof to);
		tn_parquet_bits_fill(to, a, i & 1, n);
		assert_int_equal(tn_parquet_bits_count(to, a, n),
		    (i & 1) ? n : 0);
		if (a > 0)
			assert_int_equal(to[(a - 1) / 8] >> (a - 1) % 8 & 1,
			    want[(a - 1) / 8] >> (a - 1) % 8 & 1);
		assert_int_equal(to[(a + n) / 8] >> (a + n) % 8,
		    want[(a + n) / 8] >> (a + n) % 8);
	}
}

/* Goal: delta coding comes back for all shapes of integers, also where steps
 * overflow, and its size is estimated well. */
static void
delta_comes_back(void **state)
{
	int64_t in[1000], out[1000];

	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		enum gen_shape shape = (enum gen_shape)(i % SHAPES);
		bool is32 = i / SHAPES % 2;
		size_t n = gen_below(4) == 0 ? gen_below(4) : gen_below(1000);
		struct tn_buf b = { .p = NULL };
		struct tn_cursor c;

		for (size_t k = 0; k < n; k++)
			in[k] = gen_int(shape, (uint32_t)k, is32 ? 32 : 64);
		tn_parquet_delta_encode(&b, in, n, is32);
		if (n > 300)
			assert_true(tn_parquet_delta_bytes(in, n, is32) <
			    b.n * 5 / 4 + 40);
		(void)tn_buf_reserve(&b, TN_PQ_SLACK);
		c = (struct tn_cursor){ b.p, b.p + b.n, false };
		assert_true(tn_parquet_delta_decode(&c, out, n));
		assert_ptr_equal(c.p, c.end);
		for (size_t k = 0; k < n; k++)
			assert_true(is32 ? (int32_t)out[k] == in[k] :
			    out[k] == in[k]);
		c = (struct tn_cursor){ b.p, b.p + gen_below((uint32_t)b.n),
		    false };
		(void)!tn_parquet_delta_decode(&c, out, n);
		tn_buf_fini(&b);
	}
}

/* Goal: columns of 32 bits never take miniblocks of more than 32 bits, even
 * where steps overflow (the format forbids it). */
static void
delta_of_32_bits_stays_narrow(void **state)
{
	static const int64_t v[] = { INT32_MIN, INT32_MAX, 0, INT32_MIN, -1,
	    INT32_MAX, INT32_MIN };
	struct tn_buf b = { .p = NULL };
	struct tn_cursor c;

	(void)state;
	tn_parquet_delta_encode(&b, v, TN_COUNT(v), true);
	c = (struct tn_cursor){ b.p, b.p + b.n, false };
	/* Block, miniblocks, count, first value, least step. */
	for (int i = 0; i < 5; i++)
		(void)tn_cursor_varint(&c);
	for (int i = 0; i < 4; i++)
		assert_true(tn_cursor_u8(&c) <= 32);
	tn_buf_fini(&b);
}

/* Goal: the example of Encodings.md with its own block size decodes. */
static void
delta_reads_other_shapes(void **state)
{
	/* Block 8, 1 miniblock, 8 values from 7; least -2, width 2. */
	uint8_t in[8 + TN_PQ_SLACK] = { 8, 1, 8, 14, 3, 2, 0xc0, 0x3f };
	static const int64_t want[] = { 7, 5, 3, 1, 2, 3, 4, 5 };
	struct tn_cursor c = { in, in + 8, false };
	int64_t out[8];

	(void)state;
	assert_true(tn_parquet_delta_decode(&c, out, 8));
	assert_memory_equal(out, want, sizeof want);
	/* Another count than the page has is refused. */
	c = (struct tn_cursor){ in, in + 8, false };
	assert_false(tn_parquet_delta_decode(&c, out, 7));
}

/* Goal: snappy literals of all lengths and copies that overlap decode; what
 * points outside is refused. */
static void
snappy_decodes(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} good[] = {
		{ "\x00", 1, "" },
		{ "\x03\x08" "abc", 5, "abc" },
		/* 'ab', then seven bytes from two before. */
		{ "\x09\x04" "ab\x1a\x02\x00", 7, "ababababa" },
		{ "\x06\x00" "x\x05\x01", 5, "xxxxxx" },
		{ "\x06\xf0\x05" "abcdef", 9, "abcdef" },
		{ "\x06\xf4\x05\x00" "abcdef", 10, "abcdef" },
	};
	static const struct {
		const char *in;
		size_t n;
		size_t out;
	} bad[] = {
		{ "", 0, 0 },
		{ "\x03\x08" "ab", 4, 3 },            /* input ends */
		{ "\x02\x08" "abc", 5, 2 },           /* output full */
		{ "\x04\x08" "abc", 5, 4 },           /* output short */
		{ "\x08\x00" "a\x0d\x02", 5, 8 },     /* before the start */
		{ "\x08\x00" "a\x0d\x00", 5, 8 },     /* distance 0 */
		{ "\x08\x00" "a\x0e\x01", 5, 8 },     /* offset cut */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, 8 },
	};
	uint8_t out[64];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(good); i++) {
		size_t n = (uint8_t)good[i].in[0];
		struct tn_slice s = { (const uint8_t *)good[i].in, good[i].n };

		assert_true(tn_parquet_snappy(s, out, n));
		assert_memory_equal(out, good[i].out, n);
	}
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_false(tn_parquet_snappy((struct tn_slice){
		    (const uint8_t *)bad[i].in, bad[i].n }, out, bad[i].out));
}

/* Goal: thrift fields of every type are skipped, and depth and counts of a
 * hostile input are bounded. */
static void
thrift_skips_and_refuses(void **state)
{
	struct tn_buf b = { .p = NULL };
	int16_t last = 0, id = 0;
	struct tn_cursor c;
	uint8_t type;

	(void)state;
	tn_parquet_put_i32(&b, &last, 1, -5);
	tn_parquet_put_i64(&b, &last, 3, INT64_MIN);
	tn_parquet_put_bool(&b, &last, 4, true);
	tn_parquet_put_binary(&b, &last, 5, "abc", 3);
	tn_parquet_put_list(&b, &last, 6, TN_PQ_T_I32, 20);
	for (int i = 0; i < 20; i++)
		tn_parquet_put_zigzag(&b, i);
	tn_parquet_put_field(&b, &last, 7, TN_PQ_T_MAP);
	tn_buf_add(&b, "\x01\x88\x01" "k\x01" "v", 6);
	tn_parquet_put_field(&b, &last, 8, TN_PQ_T_DOUBLE);
	tn_buf_u64(&b, 1);
	tn_parquet_put_stop(&b);
	c = (struct tn_cursor){ b.p, b.p + b.n, false };
	while (tn_parquet_field(&c, &id, &type)) {
		if (id == 3)
			assert_int_equal(tn_parquet_get_i64(&c, type),
			    INT64_MIN);
		else
			tn_parquet_skip(&c, type);
	}
	assert_false(c.failed);
	assert_int_equal(id, 8);
	assert_ptr_equal(c.p, c.end);
	/* A list that claims more elements than there are bytes. */
	c = (struct tn_cursor){ (const uint8_t *)"\xf8\xff\xff\x03", (const
	    uint8_t *)"", false };
	c.end = c.p + 4;
	assert_int_equal(tn_parquet_get_list(&c, TN_PQ_T_LIST,
	    TN_PQ_T_BINARY), 0);
	assert_true(c.failed);
	/* Structs in structs without end. */
	tn_buf_clear(&b);
	for (int i = 0; i < 100000; i++)
		tn_buf_char(&b, 0x1c);
	c = (struct tn_cursor){ b.p, b.p + b.n, false };
	tn_parquet_skip(&c, TN_PQ_T_STRUCT);
	assert_true(c.failed);
	tn_buf_fini(&b);
}

/* Goal: big-endian numbers of any length are read when they fit 128 bits. */
static void
big_endian_numbers(void **state)
{
	uint8_t p[20];
	__int128 v;

	(void)state;
	memset(p, 0xff, sizeof p);
	assert_true(tn_parquet_big_endian(p, 20, &v) && v == -1);
	p[19] = 0xfe;
	assert_true(tn_parquet_big_endian(p, 20, &v) && v == -2);
	assert_true(tn_parquet_big_endian(p + 18, 2, &v) && v == -2);
	p[0] = 0x7f;
	assert_false(tn_parquet_big_endian(p, 20, &v));
	memset(p, 0, sizeof p);
	p[19] = 7;
	assert_true(tn_parquet_big_endian(p, 20, &v) && v == 7);
	p[4] = 0x80;
	assert_false(tn_parquet_big_endian(p, 20, &v));
	assert_true(tn_parquet_big_endian(p + 4, 16, &v) && v < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_has_the_known_value),
		cmocka_unit_test(crc_of_bytes_one_by_one),
		cmocka_unit_test(packing_comes_back),
		cmocka_unit_test(packing_follows_the_format),
		cmocka_unit_test(hybrid_comes_back),
		cmocka_unit_test(hybrid_uses_runs),
		cmocka_unit_test(bitmaps_are_copied),
		cmocka_unit_test(delta_comes_back),
		cmocka_unit_test(delta_of_32_bits_stays_narrow),
		cmocka_unit_test(delta_reads_other_shapes),
		cmocka_unit_test(snappy_decodes),
		cmocka_unit_test(thrift_skips_and_refuses),
		cmocka_unit_test(big_endian_numbers),
	};

	gen_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

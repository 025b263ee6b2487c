/* wrap: malloc calloc realloc */
/* Compression and streaming decompression. */
#include "test.h"

#include <pthread.h>

/* Fails the next allocation when it is 0; never below 0. Small ones, which
 * end the process, are not counted. */
#define SMALL 4096
static int allocs_left = -1;
static bool refused;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

static bool
refuse(void)
{
	if (allocs_left == 0)
		refused = true;
	if (allocs_left > 0)
		allocs_left--;
	return allocs_left == 0 && refused;
}

void *
__wrap_malloc(size_t n)
{
	return n > SMALL && refuse() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t m)
{
	return n * m > SMALL && refuse() ? NULL : __real_calloc(n, m);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return n > SMALL && refuse() ? NULL : __real_realloc(p, n);
}

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = tn_hash64(&seed, sizeof seed, 1);
	return seed;
}

/* Text that compresses about three to one. */
static struct tn_buf
sample(size_t n)
{
	struct tn_buf b = { .max = 0 };

	while (b.n < n)
		tn_buf_printf(&b, "{\"door\":\"D%02u\",\"temp\":%u},",
		    (unsigned)(rnd() % 40), (unsigned)(rnd() % 1000));
	b.n = n;
	return b;
}

static struct tn_slice
all_of(const struct tn_buf *b)
{
	struct tn_slice s = { b->p, b->n };

	return s;
}

static void
test_zstd(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 65536, 131072, 300001 };

	(void)state;
	/* Goal: what is packed at any level comes back; results are appended;
	 * limits hold to the byte. */
	for (size_t i = 0; i < TN_COUNT(sizes); i++) {
		struct tn_buf in = sample(sizes[i]);

		for (int level = -5; level <= 19; level += 6) {
			struct tn_buf z = { .max = 0 };
			struct tn_buf out = { .max = 0 };

			assert_int_equal(i % 2 == 0 ? tn_zstd_compress(&z,
			    all_of(&in), level) : tn_zstd_compress_rows(&z,
			    all_of(&in), level, NULL), TN_OK);
			tn_buf_str(&out, "before");
			assert_int_equal(tn_zstd_decompress(&out, all_of(&z),
			    in.n), TN_OK);
			assert_int_equal(out.n, in.n + 6);
			assert_memory_equal(out.p, "before", 6);
			if (in.n > 0)
				assert_memory_equal(out.p + 6, in.p, in.n);
			if (in.n > 0)
				assert_int_equal(tn_zstd_decompress(&out,
				    all_of(&z), in.n - 1), TN_ELIMIT);
			assert_int_equal(out.n, in.n + 6);
			tn_buf_fini(&z);
			tn_buf_fini(&out);
		}
		tn_buf_fini(&in);
	}
}

/* Rows with an id of 32 digits, or short ones of a few numbers. */
static struct tn_buf
rows_of(bool ids, size_t n)
{
	struct tn_buf b = { .max = 0 };

	while (b.n < n)
		if (ids)
			tn_buf_printf(&b, "{\"event_id\":\"%016llx%016llx\","
			    "\"employee_id\":\"E%05u\",\"office\":\"berlin\","
			    "\"direction\":\"in\"}", (unsigned long long)rnd(),
			    (unsigned long long)rnd(), (unsigned)(rnd() % 4000));
		else
			tn_buf_printf(&b, "%u,2019-11-%02u %02u:%02u:00,%u.%u,N,"
			    "%u,0.5,0,0,0.3\n", (unsigned)(rnd() % 3),
			    (unsigned)(rnd() % 30), (unsigned)(rnd() % 24),
			    (unsigned)(rnd() % 60), (unsigned)(rnd() % 9),
			    (unsigned)(rnd() % 90), (unsigned)(rnd() % 5));
	return b;
}

/* Packed, and read back as it was. */
static size_t
pack_known(const struct tn_buf *in, struct tn_zstd_rows *known)
{
	struct tn_buf z = { .max = 0 }, out = { .max = 0 };
	size_t n;

	assert_int_equal(tn_zstd_compress_rows(&z, all_of(in), 1, known),
	    TN_OK);
	assert_int_equal(tn_zstd_decompress(&out, all_of(&z), in->n), TN_OK);
	assert_int_equal(out.n, in->n);
	assert_memory_equal(out.p, in->p, in->n);
	n = z.n;
	tn_buf_fini(&z);
	tn_buf_fini(&out);
	return n;
}

/* Goal: one frame of 64 says whether a shorter search does; where it loses more
 * than a 32nd it is not taken, and what is not known is packed carefully. */
static void
test_zstd_known(void **state)
{
	struct tn_zstd_rows known = { 0 };
	struct tn_buf ids = rows_of(true, 300000), few = rows_of(false, 300000);
	struct tn_buf z = { .max = 0 };
	size_t careful = pack_known(&ids, NULL), quick;

	(void)state;
	assert_int_equal(pack_known(&ids, &known), careful);
	assert_true(known.quick && known.left == 63);
	quick = pack_known(&ids, &known);
	assert_true(quick != careful && quick <= careful + careful / 32);
	/* Until the next trial others lose by it, and then no more. */
	careful = pack_known(&few, NULL);
	while (known.left > 0)
		assert_true(pack_known(&few, &known) > careful + careful / 32);
	assert_int_equal(pack_known(&few, &known), careful);
	assert_true(!known.quick && known.left == 63);
	assert_int_equal(pack_known(&few, &known), careful);
	/* No memory for a trial: carefully, too. */
	known = (struct tn_zstd_rows){ .quick = true };
	refused = false;
	allocs_left = 1;
	assert_int_equal(tn_zstd_compress_rows(&z, all_of(&ids), 1, &known),
	    TN_OK);
	allocs_left = -1;
	assert_true(refused && !known.quick);
	assert_int_equal(z.n, pack_known(&ids, NULL));
	/* Other levels do not ask. */
	known.left = 7;
	assert_int_equal(tn_zstd_compress_rows(&z, all_of(&ids), 3, &known),
	    TN_OK);
	assert_int_equal(known.left, 7);
	tn_buf_fini(&z);
	tn_buf_fini(&ids);
	tn_buf_fini(&few);
}

static void
test_zstd_limit(void **state)
{
	struct tn_buf in = sample(50000);
	struct tn_buf exact = { .max = 0 };
	struct tn_buf out = { .max = 0 };

	(void)state;
	/* Goal: a bounded output is TN_ELIMIT and is not dropped. */
	assert_int_equal(tn_zstd_compress(&exact, all_of(&in), 3), TN_OK);
	out.max = exact.n / 2;
	tn_buf_str(&out, "kept");
	assert_int_equal(tn_zstd_compress(&out, all_of(&in), 3), TN_ELIMIT);
	assert_string_equal(tn_buf_cstr(&out), "kept");
	assert_int_equal(tn_gzip_compress(&out, all_of(&in), 6), TN_ELIMIT);
	assert_string_equal(tn_buf_cstr(&out), "kept");
	assert_int_equal(tn_zstd_decompress(&out, all_of(&exact), SIZE_MAX),
	    TN_ELIMIT);
	assert_string_equal(tn_buf_cstr(&out), "kept");
	tn_buf_fini(&in);
	tn_buf_fini(&exact);
	tn_buf_fini(&out);
}

static void
test_zstd_broken(void **state)
{
	struct tn_buf in = sample(3000);
	struct tn_buf z = { .max = 0 };
	struct tn_buf out = { .max = 0 };
	/* A frame of 17 bytes that claims 1 GiB. */
	const uint8_t liar[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0x40,
		0, 0, 0, 0, 1, 0, 0 };
	struct tn_slice s = { liar, sizeof liar };

	(void)state;
	/* Goal: every cut, trailing bytes, two frames, and what is not a
	 * frame are refused; flipped bytes never crash. */
	assert_int_equal(tn_zstd_compress(&z, all_of(&in), 3), TN_OK);
	for (size_t n = 0; n < z.n; n++) {
		struct tn_slice cut = { z.p, n };

		assert_int_equal(tn_zstd_decompress(&out, cut, 1 << 20),
		    TN_ECORRUPT);
	}
	assert_int_equal(tn_zstd_decompress(&out, s, SIZE_MAX), TN_ECORRUPT);
	assert_true(out.cap < 1 << 20);
	for (int round = 0; round < 3000; round++) {
		size_t at = rnd() % z.n;
		uint8_t old = z.p[at];

		z.p[at] = (uint8_t)rnd();
		tn_buf_clear(&out);
		if (tn_zstd_decompress(&out, all_of(&z), 5000) != TN_OK)
			assert_int_equal(out.n, 0);
		z.p[at] = old;
	}
	tn_buf_char(&z, 0);
	assert_int_equal(tn_zstd_decompress(&out, all_of(&z), 1 << 20),
	    TN_ECORRUPT);
	z.n--;
	assert_int_equal(tn_zstd_compress(&z, all_of(&in), 3), TN_OK);
	assert_int_equal(tn_zstd_decompress(&out, all_of(&z), 1 << 20),
	    TN_ECORRUPT);
	/* A skippable frame behind the frame, and one alone. */
	z.n = 0;
	assert_int_equal(tn_zstd_compress(&z, all_of(&in), 3), TN_OK);
	tn_buf_u32(&z, 0x184d2a50);
	tn_buf_u32(&z, 0);
	assert_int_equal(tn_zstd_decompress(&out, all_of(&z), 1 << 20),
	    TN_ECORRUPT);
	s = (struct tn_slice){ z.p + z.n - 8, 8 };
	assert_int_equal(tn_zstd_decompress(&out, s, 1 << 20), TN_ECORRUPT);
	tn_buf_fini(&in);
	tn_buf_fini(&z);
	tn_buf_fini(&out);
}

/* Goal: frames back to back are one text for decompress_all, within the limit
 * for all of them; what is cut off, or has a byte more, is refused whole. */
static void
test_zstd_frames(void **state)
{
	struct tn_buf in = { 0 }, z = { 0 }, out = { 0 };
	size_t ends[4] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t from = in.n;
		for (int k = 0; k < 1000 * (i + 1); k++)
			tn_buf_printf(&in, "%d,", k * i);
		assert_int_equal(tn_zstd_compress(&z, (struct tn_slice){
		    in.p + from, in.n - from }, 1), TN_OK);
		ends[i + 1] = z.n;
	}
	tn_buf_str(&out, "before");
	assert_int_equal(tn_zstd_decompress_all(&out, all_of(&z), in.n),
	    TN_OK);
	assert_int_equal(out.n, 6 + in.n);
	assert_memory_equal(out.p + 6, in.p, in.n);
	out.n = 6;
	assert_int_equal(tn_zstd_decompress_all(&out, all_of(&z), in.n - 1),
	    TN_ELIMIT);
	assert_int_equal(out.n, 6);
	for (size_t n = 0; n < z.n; n++) {
		bool whole = n == ends[1] || n == ends[2];
		enum tn_status st = tn_zstd_decompress_all(&out,
		    (struct tn_slice){ z.p, n }, in.n);
		assert_int_equal(st, whole ? TN_OK : TN_ECORRUPT);
		out.n = whole ? 6 : out.n;
		assert_int_equal(out.n, 6);
	}
	tn_buf_char(&z, 1);
	assert_int_equal(tn_zstd_decompress_all(&out, all_of(&z), in.n),
	    TN_ECORRUPT);
	tn_buf_fini(&in);
	tn_buf_fini(&z);
	tn_buf_fini(&out);
}

static void
test_zstd_unknown_size(void **state)
{
	/* "tarn tarn tarn tarn\n", streamed: no size, with a checksum. */
	const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58,
		0x65, 0x00, 0x00, 0x30, 0x74, 0x61, 0x72, 0x6e, 0x20, 0x0a,
		0x01, 0x00, 0x90, 0x8b, 0x16, 0x29, 0xde, 0x71, 0x2f };
	struct tn_slice s = { frame, sizeof frame };
	struct tn_buf out = { .max = 0 };

	(void)state;
	/* Goal: a frame that does not tell its size is bounded all the same. */
	assert_int_equal(tn_zstd_decompress(&out, s, 20), TN_OK);
	assert_string_equal(tn_buf_cstr(&out), "tarn tarn tarn tarn\n");
	assert_int_equal(tn_zstd_decompress(&out, s, 19), TN_ELIMIT);
	assert_int_equal(out.n, 20);
	assert_int_equal(tn_zstd_decompress(&out, s, 0), TN_ELIMIT);
	out.max = 40;
	assert_int_equal(tn_zstd_decompress(&out, s, 100), TN_OK);
	assert_int_equal(tn_zstd_decompress(&out, s, 100), TN_ELIMIT);
	assert_int_equal(out.n, 40);
	s.n--;
	out.max = 0;
	assert_int_equal(tn_zstd_decompress(&out, s, 100), TN_ECORRUPT);
	tn_buf_fini(&out);
}

/* Feed ${z} in pieces of ${in_max}, take pieces of ${out_max}. */
static enum tn_status
inflate_all(enum tn_coding coding, struct tn_slice z, size_t in_max,
    size_t out_max, struct tn_buf *out, bool *done)
{
	struct tn_inflate *f = tn_inflate_new(coding);
	enum tn_status st = TN_OK;
	size_t got = 1;

	while ((z.n > 0 || got > 0) && (st == TN_OK || st == TN_END)) {
		struct tn_slice piece = { z.p, z.n < in_max ? z.n : in_max };
		size_t before = out->n;
		const uint8_t *start = piece.p;

		st = tn_inflate_step(f, &piece, out, out_max);
		got = out->n - before;
		assert_true(got <= out_max);
		z.n -= (size_t)(piece.p - start);
		z.p = piece.p;
	}
	*done = tn_inflate_done(f);
	tn_inflate_free(f);
	return st;
}

static struct tn_buf
packed(enum tn_coding coding, struct tn_slice in)
{
	struct tn_buf z = { .max = 0 };
	enum tn_status st = TN_OK;

	if (coding == TN_CODING_GZIP)
		st = tn_gzip_compress(&z, in, 6);
	else if (coding == TN_CODING_ZSTD)
		st = tn_zstd_compress(&z, in, 3);
	else
		tn_buf_add(&z, in.p, in.n);
	assert_int_equal(st, TN_OK);
	return z;
}

static void
test_inflate(void **state)
{
	static const size_t steps[] = { 1, 7, 1000, 1 << 20 };

	(void)state;
	/* Goal: any cutting of input and output gives the same bytes; frames
	 * may follow one another; done only at their boundaries. */
	for (int coding = 0; coding < 3; coding++) {
		struct tn_buf in = sample(20000);
		struct tn_buf z = packed((enum tn_coding)coding, all_of(&in));
		struct tn_buf twice = { .max = 0 };
		bool done = false;

		tn_buf_add(&twice, z.p, z.n);
		tn_buf_add(&twice, z.p, z.n);
		for (size_t i = 0; i < 16; i++) {
			struct tn_buf out = { .max = 40000 };

			assert_int_equal(inflate_all((enum tn_coding)coding,
			    all_of(&twice), steps[i % 4], steps[i / 4], &out,
			    &done), TN_END);
			assert_true(done);
			assert_int_equal(out.n, 40000);
			assert_memory_equal(out.p, in.p, 20000);
			assert_memory_equal(out.p + 20000, in.p, 20000);
			tn_buf_fini(&out);
		}
		for (size_t n = 0; n < z.n; n += 97) {
			struct tn_buf out = { .max = 0 };
			struct tn_slice cut = { z.p, n };
			bool plain = coding == TN_CODING_IDENTITY;

			assert_int_equal(inflate_all((enum tn_coding)coding,
			    cut, 1000, 1000, &out, &done),
			    plain ? TN_END : TN_OK);
			assert_int_equal(done, plain);
			tn_buf_fini(&out);
		}
		tn_buf_fini(&in);
		tn_buf_fini(&z);
		tn_buf_fini(&twice);
	}
}

static void
test_inflate_broken(void **state)
{
	(void)state;
	/* Goal: garbage, trailing garbage and flipped bytes are TN_ECORRUPT
	 * and never crash; a bounded buffer is TN_ELIMIT. */
	for (int coding = 1; coding < 3; coding++) {
		struct tn_buf in = sample(5000);
		struct tn_buf z = packed((enum tn_coding)coding, all_of(&in));
		struct tn_buf out = { .max = 4999 };
		bool done = false;

		assert_int_equal(inflate_all((enum tn_coding)coding,
		    all_of(&z), 100, 100, &out, &done), TN_ELIMIT);
		assert_false(done);
		assert_int_equal(out.n, 4999);
		tn_buf_clear(&out);
		assert_int_equal(inflate_all((enum tn_coding)coding,
		    all_of(&in), 100, 100, &out, &done), TN_ECORRUPT);
		out.max = 0;
		for (int round = 0; round < 1000; round++) {
			size_t at = rnd() % z.n;
			uint8_t old = z.p[at];

			z.p[at] = (uint8_t)rnd();
			tn_buf_clear(&out);
			(void)inflate_all((enum tn_coding)coding, all_of(&z),
			    500, 500, &out, &done);
			z.p[at] = old;
		}
		tn_buf_str(&z, "garbage!");
		tn_buf_clear(&out);
		assert_int_equal(inflate_all((enum tn_coding)coding,
		    all_of(&z), 100, 100, &out, &done), TN_ECORRUPT);
		assert_false(done);
		tn_buf_fini(&in);
		tn_buf_fini(&z);
		tn_buf_fini(&out);
	}
	tn_inflate_free(NULL);
}

static void
test_window(void **state)
{
	/* A zstd header that asks for a window of 128 MiB. */
	const uint8_t head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0,
		0 };
	struct tn_slice s = { head, sizeof head };
	struct tn_inflate *f = tn_inflate_new(TN_CODING_ZSTD);
	struct tn_buf out = { .max = 0 };

	(void)state;
	/* Goal: a client cannot make us take a window beyond 8 MiB. */
	assert_int_equal(tn_inflate_step(f, &s, &out, 100), TN_ELIMIT);
	assert_int_equal(tn_inflate_step(f, &s, &out, 100), TN_ELIMIT);
	tn_inflate_free(f);
	tn_buf_fini(&out);
}

static void
test_bomb(void **state)
{
	struct tn_buf in = { .max = 0 };

	(void)state;
	/* Goal: ten megabytes of nothing are stopped at the step's bound. */
	assert_non_null(tn_buf_reserve(&in, 10 << 20));
	memset(in.p, 0, 10 << 20);
	in.n = 10 << 20;
	for (int coding = 1; coding < 3; coding++) {
		struct tn_buf z = packed((enum tn_coding)coding, all_of(&in));
		struct tn_inflate *f = tn_inflate_new((enum tn_coding)coding);
		struct tn_buf out = { .max = 0 };
		struct tn_slice rest = all_of(&z);

		assert_true(z.n < 20000);
		for (size_t i = 1; i < 10; i++) {
			assert_int_equal(tn_inflate_step(f, &rest, &out,
			    1 << 20), TN_OK);
			assert_int_equal(out.n, i << 20);
		}
		tn_inflate_free(f);
		tn_buf_fini(&z);
		tn_buf_fini(&out);
	}
	tn_buf_fini(&in);
}

/* ${packed} through a decoder; no byte of it is lost without a word. */
static enum tn_status
stream_once(enum tn_coding coding, struct tn_buf *packed, size_t bytes)
{
	struct tn_inflate *f = tn_inflate_new(coding);
	struct tn_slice s = all_of(packed);
	struct tn_buf out = { .max = 0 };
	enum tn_status st = TN_OK;

	while (st == TN_OK)
		st = tn_inflate_step(f, &s, &out, 10000);
	assert_true(st != TN_END || out.n == bytes);
	if (st != TN_END)
		assert_int_equal(tn_inflate_step(f, &s, &out, 10000), st);
	tn_inflate_free(f);
	tn_buf_fini(&out);
	return st == TN_END ? TN_OK : st;
}

/* One thread's worth of packing, so that contexts are made anew. */
static void *
pack_once(void *arg)
{
	struct tn_buf *b = arg;
	struct tn_buf z = { .max = 0 };
	struct tn_buf out = { .max = 0 };
	enum tn_status st;

	st = tn_zstd_compress(&z, all_of(b), 3);
	if (st == TN_OK)
		st = tn_zstd_decompress(&out, all_of(&z), b->n);
	if (st == TN_OK)
		st = stream_once(TN_CODING_ZSTD, &z, b->n);
	tn_buf_clear(&z);
	if (st == TN_OK)
		st = tn_gzip_compress(&z, all_of(b), 3);
	if (st == TN_OK)
		st = stream_once(TN_CODING_GZIP, &z, b->n);
	tn_buf_fini(&z);
	tn_buf_fini(&out);
	return (void *)(uintptr_t)st;
}

static void
test_threads(void **state)
{
	struct tn_buf in = sample(10000);
	pthread_t threads[8];
	void *st;

	(void)state;
	/* Goal: threads have contexts of their own and give them back. */
	for (size_t i = 0; i < TN_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pack_once,
		    &in), 0);
	for (size_t i = 0; i < TN_COUNT(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &st), 0);
		assert_int_equal((uintptr_t)st, TN_OK);
	}
	tn_buf_fini(&in);
}

static void
test_no_memory(void **state)
{
	struct tn_buf in = sample(50000);

	(void)state;
	/* Goal: whichever allocation of outside size fails, the answer is
	 * TN_ENOMEM and nothing leaks. The contexts exist: see test_zstd. */
	refused = true;
	for (int left = 0; refused; left++) {
		uintptr_t st;

		refused = false;
		allocs_left = left;
		st = (uintptr_t)pack_once(&in);
		allocs_left = -1;
		assert_int_equal(st, refused ? TN_ENOMEM : TN_OK);
	}
	tn_buf_fini(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_zstd_known),
		cmocka_unit_test(test_zstd_limit),
		cmocka_unit_test(test_zstd_broken),
		cmocka_unit_test(test_zstd_frames),
		cmocka_unit_test(test_zstd_unknown_size),
		cmocka_unit_test(test_inflate),
		cmocka_unit_test(test_inflate_broken),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_memory),
	};
	const char *text = getenv("TARN_SEED");

	seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

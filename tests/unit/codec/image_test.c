/* What the first bytes of a file say, and MD5: known files of each format,
 * Exif in both byte orders, every prefix of each, and bytes turned over at
 * random, in memory that ends where the file ends. */
#include "codec_help.h"

/* ---- making files ----------------------------------------------------- */

static void
put16(struct tn_buf *b, bool big, uint32_t v)
{
	tn_buf_char(b, (char)(big ? v >> 8 : v));
	tn_buf_char(b, (char)(big ? v : v >> 8));
}

static void
put32(struct tn_buf *b, bool big, uint32_t v)
{
	put16(b, big, big ? v >> 16 : v & 0xffff);
	put16(b, big, big ? v & 0xffff : v >> 16);
}

struct exif {
	bool big;
	const char *taken, *offset, *subsec;
};

static void
put_entry(struct tn_buf *b, bool big, uint32_t tag, uint32_t kind,
    uint32_t count, uint32_t value)
{
	put16(b, big, tag);
	put16(b, big, kind);
	put32(b, big, count);
	put32(b, big, value);
}

/* A text of at most four bytes stands in the entry itself. */
static void
put_text(struct tn_buf *b, bool big, uint32_t tag, const char *text,
    uint32_t at)
{
	size_t n = strlen(text) + 1;

	put_entry(b, big, tag, 2, (uint32_t)n, at);
	if (n <= 4) {
		memset(b->p + b->n - 4, 0, 4);
		memcpy(b->p + b->n - 4, text, n);
	}
}

/* TIFF: head, IFD0 at 8 with one entry, Exif's at 26 with three, texts. */
static void
put_tiff(struct tn_buf *b, const struct exif *x)
{
	bool g = x->big;
	uint32_t texts = 26 + 2 + 3 * 12 + 4;
	size_t n = strlen(x->taken) + 1, m = strlen(x->offset) + 1;

	tn_buf_add(b, g ? "MM\0*" : "II*\0", 4);
	put32(b, g, 8);
	put16(b, g, 1);
	put_entry(b, g, 0x8769, 4, 1, 26);
	put32(b, g, 0);
	put16(b, g, 3);
	put_text(b, g, 0x9003, x->taken, texts);
	put_text(b, g, 0x9011, x->offset, texts + (uint32_t)n);
	put_text(b, g, 0x9291, x->subsec, texts + (uint32_t)(n + m));
	put32(b, g, 0);
	tn_buf_add(b, x->taken, n);
	tn_buf_add(b, x->offset, m);
	tn_buf_add(b, x->subsec, strlen(x->subsec) + 1);
}

/* SOI, APP0, APP1 with Exif, a large APP2, SOF2 of 300 x 200, SOS. */
static void
put_jpeg(struct tn_buf *b, const struct exif *x, uint32_t filler)
{
	struct tn_buf t = { 0 };

	tn_buf_add(b, "\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0", 20);
	put_tiff(&t, x);
	tn_buf_add(b, "\xff\xff\xff\xe1", 4);           /* With fill. */
	put16(b, true, (uint32_t)t.n + 8);
	tn_buf_add(b, "Exif\0\0", 6);
	tn_buf_add(b, t.p, t.n);
	tn_buf_fini(&t);
	for (; filler > 0; filler--) {
		tn_buf_add(b, "\xff\xe2\xff\xff", 4);
		for (int i = 0; i < 0xfffd; i++)
			tn_buf_char(b, 'x');
	}
	tn_buf_add(b, "\xff\xc4\x00\x04zz\xff\xc2\x00\x0b\x08", 11);
	put16(b, true, 200);
	put16(b, true, 300);
	tn_buf_add(b, "\1\1\x11\0\xff\xda\x00\x02pixels", 14);
}

static void
put_chunk(struct tn_buf *b, const char *type, const void *p, size_t n)
{
	put32(b, true, (uint32_t)n);
	tn_buf_add(b, type, 4);
	tn_buf_add(b, p, n);
	put32(b, true, 0);
}

static void
put_png(struct tn_buf *b, const struct exif *x)
{
	struct tn_buf t = { 0 };

	tn_buf_add(b, "\x89PNG\r\n\x1a\n", 8);
	put_chunk(b, "IHDR", "\0\0\1\x2c\0\0\0\xc8\x08\2\0\0\0", 13);
	put_tiff(&t, x);
	put_chunk(b, "eXIf", t.p, t.n);
	tn_buf_fini(&t);
	put_chunk(b, "IEND", "", 0);
}

static void
put_webp(struct tn_buf *b, const struct exif *x)
{
	struct tn_buf t = { 0 };

	tn_buf_add(b, "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08\0\0\0", 24);
	tn_buf_add(b, "\x2b\1\0\xc7\0\0", 6);
	tn_buf_add(b, "VP8 \3\0\0\0abc\0", 12);         /* Odd: padded. */
	put_tiff(&t, x);
	tn_buf_add(b, "EXIF", 4);
	put32(b, false, (uint32_t)t.n);
	tn_buf_add(b, t.p, t.n);
	tn_buf_fini(&t);
}

/* ---- reading ---------------------------------------------------------- */

/* In memory that ends where the bytes end. */
static struct tn_codec_image
read_part(const struct tn_buf *b, size_t n)
{
	struct tn_codec_image out;
	uint8_t *p = malloc(n == 0 ? 1 : n);

	if (n > 0)
		memcpy(p, b->p, n);
	tn_codec_image_read((struct tn_slice){ p, n }, &out);
	free(p);
	assert_true((out.width == 0) == (out.height == 0));
	assert_true(out.taken_offset[0] == '\0' || out.has_taken);
	return out;
}

static void
put_kind(struct tn_buf *b, int kind, const struct exif *x)
{
	tn_buf_clear(b);
	if (kind == 0)
		put_jpeg(b, x, 0);
	else if (kind == 1)
		put_png(b, x);
	else
		put_webp(b, x);
}

static const char *const types[] = { "image/jpeg", "image/png",
    "image/webp" };

/* Goal: each format gives type, size and time; of a prefix as much as is
 * there, and the type as soon as its magic is. */
static void
test_formats(void **state)
{
	static const struct exif good = { true, "2024:02:29 23:59:58",
	    "-03:30", "25" };
	struct tn_buf b = { 0 };

	(void)state;
	for (int kind = 0; kind < 6; kind++) {
		struct exif x = good;
		struct tn_codec_image i;
		x.big = kind < 3;
		put_kind(&b, kind % 3, &x);
		i = read_part(&b, b.n);
		assert_string_equal(i.type, types[kind % 3]);
		assert_int_equal(i.width, 300);
		assert_int_equal(i.height, 200);
		assert_true(i.has_taken);
		/* 2024-03-01 03:29:58.25 UTC */
		assert_int_equal(i.taken_us, INT64_C(1709263798250000));
		assert_string_equal(i.taken_offset, "-03:30");
		for (size_t n = 0; n < b.n; n++) {
			i = read_part(&b, n);
			assert_true(i.type == NULL || strcmp(i.type,
			    types[kind % 3]) == 0);
			assert_true(n < 12 || i.type != NULL);
			assert_true(i.width == 0 || i.width == 300);
		}
	}
	tn_buf_fini(&b);
}

static const struct taken_case {
	const char *taken, *offset, *subsec;
	bool has;
	int64_t us;
	const char *kept;
} taken_cases[] = {
	{ "1970:01:01 00:00:01", "", "", true, 1000000, "" },
	{ "1970:01:01 00:00:01", "+01:00", "", true,
	    INT64_C(-3599000000), "+01:00" },
	{ "1970:01:01 00:00:01", "   :  ", "", true, 1000000, "" },
	{ "1970:01:01 00:00:01", "Z", "5  ", true, 1500000, "" },
	{ "1970:01:01 00:00:01", "", "1234567", true, 1123456, "" },
	{ "1970:01:01 00:00:01", "", "abc", true, 1000000, "" },
	{ "    :  :     :  :  ", "+01:00", "", false, 0, "" },
	{ "0000:00:00 00:00:00", "+01:00", "", false, 0, "" },
	{ "2023:02:29 00:00:00", "", "", false, 0, "" },
	{ "2023:13:01 00:00:00", "", "", false, 0, "" },
	{ "2023:12:01 25:00:00", "", "", false, 0, "" },
	{ "2023:12:01 00:00:00", "+99:99", "", false, 0, "" },
	{ "2023-12-01 00:00:00", "", "", false, 0, "" },
	{ "2023:12:01", "", "", false, 0, "" },
	{ "", "", "", false, 0, "" },
};

/* Goal: a time that is none is left out, and does not bring an offset. */
static void
test_taken(void **state)
{
	struct tn_buf b = { 0 };

	(void)state;
	for (size_t k = 0; k < TN_COUNT(taken_cases); k++) {
		const struct taken_case *c = &taken_cases[k];
		struct exif x = { k % 2 == 0, c->taken, c->offset,
		    c->subsec };
		struct tn_codec_image i;
		put_kind(&b, (int)(k % 3), &x);
		i = read_part(&b, b.n);
		print_message("%s %s\n", c->taken, c->offset);
		assert_int_equal(i.width, 300);
		assert_int_equal(i.has_taken, c->has);
		assert_int_equal(i.taken_us, c->has ? c->us : i.taken_us);
		assert_string_equal(i.taken_offset, c->kept);
	}
	tn_buf_fini(&b);
}

#define FILE_OF(t) { (const uint8_t *)(t), sizeof(t) - 1 }
static const struct other_case {
	struct tn_slice in;
	const char *type;
	uint32_t width, height;
} others[] = {
	{ FILE_OF("GIF89a\x10\0\x20\1"), "image/gif", 16, 288 },
	{ FILE_OF("GIF87a\x10\0\x20\1xyz"), "image/gif", 16, 288 },
	{ FILE_OF("GIF87a\x10\0\x20"), "image/gif", 0, 0 },
	{ FILE_OF("GIF88a\x10\0\x20\1"), NULL, 0, 0 },
	{ FILE_OF("%PDF-1.7\n"), "application/pdf", 0, 0 },
	{ FILE_OF("RIFF....WAVEfmt "), NULL, 0, 0 },
	/* Lossless: 14 bits each, less one. */
	{ FILE_OF("RIFF....WEBPVP8L\5\0\0\0\x2f\x2b\xc1\x31\0\0"),
	    "image/webp", 300, 200 },
	/* Lossy, cut off in its pixels. */
	{ FILE_OF("RIFF....WEBPVP8 \xff\xff\0\0\x30\1\0\x9d\1\x2a\x2c\1\xc8"
	    "\0pixels"), "image/webp", 300, 200 },
	/* A size of 2^32 - 1 and one byte more than fits. */
	{ FILE_OF("RIFF....WEBPABCD\xff\xff\xff\xff"), "image/webp", 0, 0 },
	/* No size in the frame: it comes behind the pixels. */
	{ FILE_OF("\xff\xd8\xff\xc0\0\x0b\x08\0\0\1\x2c\1\1\x11\0"),
	    "image/jpeg", 0, 0 },
	/* A frame behind the pixels is none. */
	{ FILE_OF("\xff\xd8\xff\xda\0\2\xff\xc0\0\x0b\x08\0\5\0\6\1\1\1\0"),
	    "image/jpeg", 0, 0 },
	{ FILE_OF("\xff\xd8\xff\xe1\0\1"), "image/jpeg", 0, 0 },
	{ FILE_OF("\xff\xd8\xff\xff\xff\xff\xff\xff"), "image/jpeg", 0, 0 },
	{ FILE_OF("\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR\0\0\0\1\0\0\0\1"),
	    "image/png", 0, 0 },
	/* IHDR not in front. */
	{ FILE_OF("\x89PNG\r\n\x1a\n\0\0\0\0abcd....\0\0\0\x8IHDR\0\0\0\1"
	    "\0\0\0\1...."), "image/png", 0, 0 },
	{ FILE_OF(""), NULL, 0, 0 },
	{ FILE_OF("<svg xmlns='...' onload='x()'/>"), NULL, 0, 0 },
};

/* Goal: GIF, PDF, the kinds of WebP, and files that lie. */
static void
test_others(void **state)
{
	(void)state;
	for (size_t k = 0; k < TN_COUNT(others); k++) {
		const struct other_case *c = &others[k];
		struct tn_buf b = { 0 };
		struct tn_codec_image i;
		print_message("case %zu\n", k);
		tn_buf_add(&b, c->in.p, c->in.n);
		i = read_part(&b, b.n);
		if (c->type == NULL)
			assert_null(i.type);
		else
			assert_string_equal(i.type, c->type);
		assert_int_equal(i.width, c->width);
		assert_int_equal(i.height, c->height);
		tn_buf_fini(&b);
	}
}

/* Goal: a frame behind 10 segments of 64 KiB is found. */
static void
test_far_frame(void **state)
{
	static const struct exif x = { false, "2024:02:29 23:59:58", "", "" };
	struct tn_buf b = { 0 };

	(void)state;
	put_jpeg(&b, &x, 10);
	assert_int_equal(read_part(&b, b.n).width, 300);
	assert_int_equal(read_part(&b, 65536).width, 0);
	assert_true(read_part(&b, 65536).has_taken);
	tn_buf_fini(&b);
}

/* A directory of 65535 entries that leads to itself ends. */
static void
test_loop(void **state)
{
	struct tn_buf b = { 0 };

	(void)state;
	tn_buf_add(&b, "\xff\xd8\xff\xe1\xff\xff" "Exif\0\0II*\0\x08\0\0\0\xff\xff",
	    22);
	while (b.n < 0xffff + 2)
		put_entry(&b, false, 0x8769, 4, 1, 8);
	b.n = 0xffff + 4;
	assert_string_equal(read_part(&b, b.n).type, "image/jpeg");
	tn_buf_fini(&b);
}

/* Goal: bytes turned over anywhere break nothing. */
static void
test_random(void **state)
{
	static const struct exif x = { true, "2024:02:29 23:59:58", "+01:00",
	    "1" };
	struct tn_buf b = { 0 };

	(void)state;
	for (int round = 0; round < 30000; round++) {
		uint32_t turns = 1 + help_rnd(6);
		put_kind(&b, round % 3, &x);
		for (; turns > 0; turns--)
			b.p[help_rnd((uint32_t)b.n)] = (uint8_t)(help_rnd(3)
			    == 0 ? 0xff : help_rnd(256));
		(void)read_part(&b, help_rnd(4) == 0 ?
		    help_rnd((uint32_t)b.n) : b.n);
	}
	tn_buf_fini(&b);
}

/* ---- MD5 --------------------------------------------------------------- */

/* Goal: RFC 1321's examples, and pieces of any size give what the whole
 * gives. */
static void
test_md5(void **state)
{
	static const struct { const char *in; const char *hex; } known[] = {
		{ "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ "12345678901234567890123456789012345678901234567890123456"
		    "789012345678901234567890",
		    "57edf4a22be3c955ac49da2e2107b67a" },
	};
	uint8_t bytes[1000], whole[16], pieces[16];
	struct tn_codec_md5 m;
	char hex[33];

	(void)state;
	for (size_t k = 0; k < TN_COUNT(known); k++) {
		tn_codec_md5_init(&m);
		tn_codec_md5_add(&m, known[k].in, strlen(known[k].in));
		tn_codec_md5_end(&m, whole);
		for (int i = 0; i < 16; i++)
			snprintf(hex + 2 * i, 3, "%02x", whole[i]);
		assert_string_equal(hex, known[k].hex);
	}
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)help_rnd(256);
	for (uint32_t n = 0; n < sizeof bytes; n++) {
		uint32_t at = 0;
		tn_codec_md5_init(&m);
		tn_codec_md5_add(&m, bytes, n);
		tn_codec_md5_end(&m, whole);
		tn_codec_md5_init(&m);
		while (at < n) {
			uint32_t part = 1 + help_rnd(n - at);
			tn_codec_md5_add(&m, bytes + at, part);
			at += part;
		}
		tn_codec_md5_end(&m, pieces);
		assert_memory_equal(whole, pieces, 16);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_far_frame),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_md5),
	};

	help_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

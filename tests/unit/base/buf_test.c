/* wrap: realloc */
/* Byte buffers, cursors, numbers, UTF-8 and JSON strings. */
#include "test.h"

#include "base/base_int.h"

/* Fails the next call when it is 0; never below 0. */
static int reallocs_left = -1;
static bool refused;
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *
__wrap_realloc(void *p, size_t n)
{
	/* The first 4 KiB are a small allocation. */
	if (n <= 4096)
		return __real_realloc(p, n);
	if (reallocs_left == 0) {
		refused = true;
		return NULL;
	}
	if (reallocs_left > 0)
		reallocs_left--;
	return __real_realloc(p, n);
}

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = tn_hash64(&seed, sizeof seed, 1);
	return seed;
}

static void
test_limit(void **state)
{
	struct tn_buf b = { .max = 100 };

	(void)state;
	/* Goal: exactly max bytes fit, by every way in; one more fails,
	 * drops all and keeps failing until cleared. */
	for (int i = 0; i < 100; i++)
		tn_buf_char(&b, 'x');
	assert_false(b.failed);
	assert_int_equal(b.n, 100);
	assert_int_equal(strlen(tn_buf_cstr(&b)), 100);
	assert_int_equal(b.n, 100);
	tn_buf_char(&b, 'x');
	assert_true(b.failed);
	assert_int_equal(b.n, 0);
	assert_string_equal(tn_buf_cstr(&b), "");
	assert_null(tn_buf_reserve(&b, 0));
	assert_null(tn_buf_reserve(&b, 1));
	tn_buf_str(&b, "more");
	assert_int_equal(b.n, 0);
	assert_int_equal(tn_buf_status(&b), TN_ELIMIT);
	tn_buf_clear(&b);
	assert_int_equal(tn_buf_status(&b), TN_OK);
	tn_buf_printf(&b, "%100d", 5);
	assert_false(b.failed);
	assert_int_equal(b.n, 100);
	tn_buf_printf(&b, "%s", "");
	assert_false(b.failed);
	tn_buf_printf(&b, "1");
	assert_true(b.failed);
	tn_buf_fini(&b);
	b.max = 1000;
	tn_buf_printf(&b, "%1000d", 5);
	assert_int_equal(b.n, 1000);
	assert_int_equal(strlen(tn_buf_cstr(&b)), 1000);
	assert_null(tn_buf_reserve(&b, SIZE_MAX));
	tn_buf_fini(&b);
}

static void
test_allocations_fail(void **state)
{
	(void)state;
	/* Goal: whichever growth fails, the buffer is failed and empty and
	 * nothing leaks. */
	refused = true;
	for (int left = 0; refused; left++) {
		struct tn_buf b = { .max = 0 };

		refused = false;
		reallocs_left = left;
		for (int i = 0; i < 1000; i++)
			tn_buf_printf(&b, "%d %300d", i, i);
		(void)tn_buf_cstr(&b);
		reallocs_left = -1;
		assert_int_equal(b.failed, refused);
		assert_int_equal(tn_buf_status(&b), refused ? TN_ENOMEM :
		    TN_OK);
		if (b.failed)
			assert_null(b.p);
		tn_buf_fini(&b);
	}
}

static void
test_integers(void **state)
{
	struct tn_buf b = { .max = 0 };
	uint64_t values[500];
	struct tn_cursor c;

	(void)state;
	/* Goal: what is written is read back, and every cut of the bytes is
	 * noticed, never read past. */
	for (size_t i = 0; i < TN_COUNT(values); i++) {
		values[i] = rnd() >> (rnd() % 64);
		tn_buf_varint(&b, values[i]);
		tn_buf_u32(&b, (uint32_t)values[i]);
		tn_buf_u64(&b, values[i]);
	}
	c = (struct tn_cursor){ b.p, b.p + b.n, false };
	for (size_t i = 0; i < TN_COUNT(values); i++) {
		assert_int_equal(tn_cursor_varint(&c), values[i]);
		assert_int_equal(tn_cursor_u32(&c), (uint32_t)values[i]);
		assert_int_equal(tn_cursor_u64(&c), values[i]);
	}
	assert_false(c.failed);
	assert_ptr_equal(c.p, c.end);
	assert_int_equal(tn_cursor_u8(&c), 0);
	assert_true(c.failed);
	for (size_t cut = 0; cut < 40; cut++) {
		/* Memory of its own, so that ASan sees a step too far. */
		uint8_t *copy = tn_alloc(cut);

		memcpy(copy, b.p, cut);
		c = (struct tn_cursor){ copy, copy + cut, false };
		while (!c.failed) {
			(void)tn_cursor_varint(&c);
			(void)tn_cursor_u32(&c);
			(void)tn_cursor_bytes(&c, 3);
		}
		assert_int_equal(tn_cursor_bytes(&c, 0).n, 0);
		assert_int_equal(tn_cursor_varint(&c), 0);
		tn_free(copy);
	}
	tn_buf_fini(&b);
}

static void
test_varint_limits(void **state)
{
	const uint8_t most[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255,
		1 };
	const uint8_t over[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255,
		2 };
	const uint8_t endless[11] = { 128, 128, 128, 128, 128, 128, 128, 128,
		128, 128, 0 };
	struct tn_cursor c = { most, most + sizeof most, false };

	(void)state;
	/* Goal: 64 bits are read, a 65th or an eleventh byte is refused. */
	assert_int_equal(tn_cursor_varint(&c), UINT64_MAX);
	assert_false(c.failed);
	c = (struct tn_cursor){ over, over + sizeof over, false };
	assert_int_equal(tn_cursor_varint(&c), 0);
	assert_true(c.failed);
	c = (struct tn_cursor){ endless, endless + sizeof endless, false };
	assert_int_equal(tn_cursor_varint(&c), 0);
	assert_true(c.failed);
	c = (struct tn_cursor){ most, most + 4, false };
	assert_int_equal(tn_cursor_bytes(&c, SIZE_MAX).n, 0);
	assert_true(c.failed);
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1a",
		"0x1", "1.0", "--1", "99999999999999999999" };
	uint64_t u = 7;
	int64_t i = 7;

	(void)state;
	/* Goal: whole decimal numbers in range and nothing else. */
	for (size_t k = 0; k < TN_COUNT(bad); k++) {
		assert_false(tn_parse_u64(tn_slice_of(bad[k]), &u));
		assert_false(tn_parse_i64(tn_slice_of(bad[k]), &i));
	}
	assert_int_equal(u, 7);
	assert_int_equal(i, 7);
	assert_true(tn_parse_u64(tn_slice_of("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_false(tn_parse_u64(tn_slice_of("18446744073709551616"), &u));
	assert_false(tn_parse_u64(tn_slice_of("-1"), &u));
	assert_true(tn_parse_i64(tn_slice_of("-9223372036854775808"), &i));
	assert_true(i == INT64_MIN);
	assert_false(tn_parse_i64(tn_slice_of("-9223372036854775809"), &i));
	assert_true(tn_parse_i64(tn_slice_of("9223372036854775807"), &i));
	assert_true(i == INT64_MAX);
	assert_false(tn_parse_i64(tn_slice_of("9223372036854775808"), &i));
	assert_true(tn_parse_u64(tn_slice_of("007"), &u) && u == 7);
}

/* The plain way to judge UTF-8: decode, then ask what the number may be. */
static bool
plainly_valid(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0; i < n;) {
		size_t length = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2
		    : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
		uint32_t v;

		if (length == 0 || length > n - i)
			return false;
		v = length == 1 ? p[i] : p[i] & (0x7fu >> length);
		for (size_t k = 1; k < length; k++) {
			if (p[i + k] >> 6 != 2)
				return false;
			v = v << 6 | (p[i + k] & 0x3f);
		}
		if (v < least[length] || v > 0x10ffff || v >> 11 == 27)
			return false;
		i += length;
	}
	return true;
}

static void
test_utf8(void **state)
{
	uint8_t text[32];

	(void)state;
	/* Goal: the fast judge agrees with the plain one on every sequence of
	 * three bytes and on random longer ones. */
	for (uint32_t v = 0; v < 1u << 24; v += v >> 16 < 0xc0 ? 257 : 1) {
		text[0] = (uint8_t)(v >> 16);
		text[1] = (uint8_t)(v >> 8);
		text[2] = (uint8_t)v;
		assert_int_equal(tn_utf8_valid(text, 3),
		    plainly_valid(text, 3));
	}
	for (int round = 0; round < 300000; round++) {
		static const uint8_t likely[] = { 'a', 0x80, 0xbf, 0xf0, 0xf4,
			0x90, 0x8f, 0xe0, 0xed, 0x9f, 0xa0, 0xc2, 0 };
		size_t n = rnd() % sizeof text;

		for (size_t i = 0; i < n; i++)
			text[i] = likely[rnd() % sizeof likely];
		assert_int_equal(tn_utf8_valid(text, n),
		    plainly_valid(text, n));
	}
}

static void
test_utf8_cut(void **state)
{
	const char *text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };

	(void)state;
	/* Goal: a cut never leaves part of a character. */
	for (size_t n = 0; n < TN_COUNT(want); n++)
		assert_int_equal(tn_utf8_cut(text, n), want[n]);
	assert_int_equal(tn_utf8_cut("\x80\x80\x80\x80\x80", 5), 5);
}

static void
json_is(const char *in, size_t n, const char *want)
{
	struct tn_buf b = { .max = 0 };

	tn_buf_json(&b, in, n);
	assert_string_equal(tn_buf_cstr(&b), want);
	tn_buf_fini(&b);
}

static void
test_json(void **state)
{
	struct tn_buf b = { .max = 0 };

	(void)state;
	/* Goal: what must be escaped is, what is not UTF-8 is replaced, the
	 * rest is copied; at every place in a run of eight. */
	json_is("", 0, "");
	json_is("a\"b\\c", 5, "a\\\"b\\\\c");
	json_is("\0\n\r\t\b\f\x1f\x7f", 8,
	    "\\u0000\\n\\r\\t\\b\\f\\u001f\x7f");
	json_is("\xc3\xa4\xff\xe2\x82", 5,
	    "\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	for (size_t at = 0; at < 24; at++) {
		for (int c = 0; c < 256; c++) {
			char text[24];
			bool plain = c >= 0x20 && c < 0x80 && c != '"' &&
			    c != '\\';

			memset(text, 'x', sizeof text);
			text[at] = (char)c;
			tn_buf_clear(&b);
			tn_buf_json(&b, text, sizeof text);
			assert_int_equal(b.n == sizeof text, plain);
			assert_true(tn_utf8_valid(b.p, b.n));
			assert_memory_equal(b.p, text, at);
			if (at < 23)
				assert_int_equal(b.p[b.n - 1], 'x');
		}
	}
	tn_buf_fini(&b);
}

static void
shown_is(const char *in, size_t n, const char *want)
{
	struct tn_buf b = { 0 };

	tn_buf_shown(&b, in, n);
	assert_string_equal(tn_buf_cstr(&b), want);
	tn_buf_fini(&b);
}

static void
test_shown(void **state)
{
	uint8_t bytes[12];

	(void)state;
	/* Goal: any bytes are shown as UTF-8, good UTF-8 as it is, and no two
	 * texts alike. */
	shown_is("", 0, "");
	shown_is("M\xc3\xbcller.csv", 11, "M\xc3\xbcller.csv");
	shown_is("M\xfcller.csv", 10, "M\\xfcller.csv");
	shown_is("M\\xfcller.csv", 13, "M\\\\xfcller.csv");
	shown_is("\xff\xfe", 2, "\\xff\\xfe");
	shown_is("\xe2\x82", 2, "\\xe2\\x82");
	shown_is("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");
	for (int i = 0; i < 10000; i++) {
		struct tn_buf b = { 0 };
		for (size_t k = 0; k < sizeof bytes; k++)
			bytes[k] = (uint8_t)rnd();
		tn_buf_shown(&b, bytes, sizeof bytes);
		assert_true(tn_utf8_valid(b.p, b.n));
		tn_buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_allocations_fail),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_varint_limits),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_utf8_cut),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_shown),
	};
	const char *text = getenv("TARN_SEED");

	seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

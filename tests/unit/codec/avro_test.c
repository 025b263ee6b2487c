/* avro: container files as the writer makes them, byte by byte, and edited
 * ones; hostile input. avsc reads the same files in tests/e2e/tables. */
#include "test.h"

#include "codec/codec.h"

static const char schema[] = "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
    "{\"name\":\"path\",\"type\":\"string\"},"
    "{\"name\":\"length\",\"type\":\"long\"},"
    "{\"name\":\"maybe\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"counts\",\"type\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"record\",\"name\":\"kv\",\"fields\":["
    "{\"name\":\"key\",\"type\":\"int\"},"
    "{\"name\":\"value\",\"type\":\"bytes\"}]}}},"
    "{\"name\":\"words\",\"type\":{\"type\":\"map\",\"values\":\"long\"}},"
    "{\"name\":\"b\",\"type\":\"boolean\"},"
    "{\"name\":\"f\",\"type\":\"float\"},"
    "{\"name\":\"d\",\"type\":\"double\"}]}";

/* Goal: zigzag and lengths are those of the specification's examples. */
static void
numbers(void **state)
{
	static const struct {
		int64_t v;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ 0, "\x00", 1 }, { -1, "\x01", 1 }, { 1, "\x02", 1 },
		{ -2, "\x03", 1 }, { 2, "\x04", 1 }, { -64, "\x7f", 1 },
		{ 64, "\x80\x01", 2 },
		{ INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
		{ INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
	};
	struct tn_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		tn_buf_clear(&b);
		tn_codec_avro_long(&b, cases[i].v);
		assert_int_equal(b.n, cases[i].n);
		assert_memory_equal(b.p, cases[i].bytes, cases[i].n);
	}
	tn_buf_clear(&b);
	tn_codec_avro_text(&b, "foo");
	assert_memory_equal(b.p, "\x06" "foo", 4);
	tn_buf_fini(&b);
}

static void
put_value(struct tn_buf *b, const char *path, int64_t length, bool maybe)
{
	const uint8_t raw[12] = { 1, 0, 0, 128, 63 };

	tn_codec_avro_text(b, path);
	tn_codec_avro_long(b, length);
	tn_codec_avro_long(b, maybe);
	if (maybe)
		tn_codec_avro_text(b, path);
	tn_codec_avro_long(b, 2);
	for (int i = 0; i < 2; i++) {
		tn_codec_avro_long(b, i);
		tn_codec_avro_text(b, "old/bytes stay");
	}
	tn_codec_avro_long(b, 0);
	tn_codec_avro_long(b, 1);
	tn_codec_avro_text(b, "old/key stays");
	tn_codec_avro_long(b, 7);
	tn_codec_avro_long(b, 0);
	tn_buf_add(b, raw, 1);
	tn_buf_add(b, raw, 4);
	tn_buf_add(b, raw, 8);
}

static void
make_file(struct tn_buf *out, const char *path, int64_t length, int count)
{
	const struct tn_codec_avro_pair pairs[] = {
		{ "format-version", tn_slice_of("2") },
		{ "empty", { NULL, 0 } },
	};
	struct tn_buf values = { 0 };

	for (int i = 0; i < count; i++)
		put_value(&values, path, length, i % 2);
	tn_codec_avro_file(out, &(struct tn_codec_avro){ tn_slice_of(schema),
	    pairs, TN_COUNT(pairs) }, (uint64_t)count, (struct tn_slice){
	    values.p, values.n });
	tn_buf_fini(&values);
}

static struct tn_slice
other_text(void *arg, struct tn_slice field, struct tn_slice value)
{
	(void)arg;
	if (tn_slice_is(field, "path"))
		return tn_slice_of("http://a.much.longer/place");
	return tn_slice_is(value, "old") ? tn_slice_of(
	    "http://a.much.longer/place") : value;
}

static int64_t
other_number(void *arg, struct tn_slice field, int64_t value)
{
	++*(int *)arg;
	return tn_slice_is(field, "length") ? 99 : value;
}

/* Goal: a file with other texts and numbers put into it is, to the byte, the
 * file that would have been written with them; without changes it is itself. */
static void
edits(void **state)
{
	struct tn_buf old = { 0 }, want = { 0 }, got = { 0 };
	int calls = 0;
	struct tn_codec_avro_edit change = { other_text, other_number,
	    &calls }, same = { NULL, NULL, NULL };

	(void)state;
	for (int count = 0; count < 5; count++) {
		tn_buf_clear(&old);
		tn_buf_clear(&want);
		tn_buf_clear(&got);
		make_file(&old, "old", 5, count);
		make_file(&want, "http://a.much.longer/place", 99, count);
		calls = 0;
		assert_int_equal(tn_codec_avro_edit(&got, (struct tn_slice){
		    old.p, old.n }, &change), TN_OK);
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.p, want.p, want.n);
		/* length, two keys and one value of the map. */
		assert_int_equal(calls, 4 * count);
		tn_buf_clear(&got);
		assert_int_equal(tn_codec_avro_edit(&got, (struct tn_slice){
		    old.p, old.n }, &same), TN_OK);
		assert_int_equal(got.n, old.n);
		assert_memory_equal(got.p, old.p, old.n);
	}
	tn_buf_fini(&old);
	tn_buf_fini(&want);
	tn_buf_fini(&got);
}

/* Goal: no cut and no changed byte crashes, hangs or takes memory; a cut
 * inside of the file is told. */
static void
hostile(void **state)
{
	struct tn_buf file = { 0 }, got = { .max = 1 << 20 };
	struct tn_codec_avro_edit same = { NULL, NULL, NULL };

	(void)state;
	make_file(&file, "old", 5, 3);
	for (size_t n = 0; n < file.n; n++) {
		uint8_t *part = malloc(n + 1);
		memcpy(part, file.p, n);
		tn_buf_clear(&got);
		/* The end of the head is the end of an empty file. */
		if (tn_codec_avro_edit(&got, (struct tn_slice){ part, n },
		    &same) == TN_OK)
			assert_true(n > sizeof schema && got.n == n);
		free(part);
	}
	for (size_t i = 0; i < file.n; i++)
		for (int k = 1; k < 256; k = k * 2 + 1) {
			uint8_t was = file.p[i];
			file.p[i] = (uint8_t)(was ^ k);
			tn_buf_clear(&got);
			got.failed = got.no_memory = false;
			(void)!tn_codec_avro_edit(&got, (struct tn_slice){
			    file.p, file.n }, &same);
			file.p[i] = was;
		}
	tn_buf_fini(&file);
	tn_buf_fini(&got);
}

static enum tn_status
edit_with(const char *json, const char *codec, const void *values, size_t n,
    int64_t count)
{
	struct tn_buf file = { 0 }, got = { 0 };
	struct tn_codec_avro_edit same = { NULL, NULL, NULL };
	const uint8_t sync[16] = { 0 };
	enum tn_status st;

	tn_buf_add(&file, "Obj\1", 4);
	tn_codec_avro_long(&file, 2);
	tn_codec_avro_text(&file, "avro.schema");
	tn_codec_avro_text(&file, json);
	tn_codec_avro_text(&file, "avro.codec");
	tn_codec_avro_text(&file, codec);
	tn_codec_avro_long(&file, 0);
	tn_buf_add(&file, sync, 16);
	tn_codec_avro_long(&file, count);
	tn_codec_avro_bytes(&file, (struct tn_slice){ values, n });
	tn_buf_add(&file, sync, 16);
	st = tn_codec_avro_edit(&got, (struct tn_slice){ file.p, file.n },
	    &same);
	tn_buf_fini(&file);
	tn_buf_fini(&got);
	return st;
}

/* Goal: what is not known is refused as such; values without bytes do not run
 * away; a schema as deep as one likes does not exhaust the stack. */
static void
refused(void **state)
{
	struct tn_buf deep = { 0 };

	(void)state;
	assert_int_equal(edit_with("\"long\"", "null", "\2", 1, 1), TN_OK);
	assert_int_equal(edit_with("\"long\"", "deflate", "\2", 1, 1),
	    TN_EUNSUPPORTED);
	assert_int_equal(edit_with("{\"type\":\"fixed\",\"size\":1,"
	    "\"name\":\"x\"}", "null", "\2", 1, 1), TN_EUNSUPPORTED);
	assert_int_equal(edit_with("\"long\"", "null", "\2\2", 2, 1),
	    TN_ECORRUPT);
	assert_int_equal(edit_with("\"null\"", "null", "", 0,
	    INT64_C(1) << 60), TN_ECORRUPT);
	assert_int_equal(edit_with("{\"type\":\"array\",\"items\":\"null\"}",
	    "null", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0", 11, 1),
	    TN_ECORRUPT);
	for (int i = 0; i < 200; i++)
		tn_buf_str(&deep, "{\"type\":");
	tn_buf_str(&deep, "\"long\"");
	for (int i = 0; i < 200; i++)
		tn_buf_char(&deep, '}');
	assert_int_equal(edit_with(tn_buf_cstr(&deep), "null", "\2", 1, 1),
	    TN_ECORRUPT);
	tn_buf_fini(&deep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(edits),
		cmocka_unit_test(hostile),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

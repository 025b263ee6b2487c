/* wrap: tn_try_realloc tn_try_alloc tn_arena_try_alloc */
/* Load options and their text form, canonical jsonb, the encoders, and what
 * happens when memory runs out. */
#include "codec_help.h"

/* ---- memory that runs out -------------------------------------------- */

static long fail_at = -1;

static bool
fails_now(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

void *__real_tn_try_realloc(void *p, size_t n);
void *__wrap_tn_try_realloc(void *p, size_t n);
void *
__wrap_tn_try_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_tn_try_realloc(p, n);
}

void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	return fails_now() ? NULL : __real_tn_try_alloc(n);
}

void *__real_tn_arena_try_alloc(struct tn_arena *a, size_t n);
void *__wrap_tn_arena_try_alloc(struct tn_arena *a, size_t n);
void *
__wrap_tn_arena_try_alloc(struct tn_arena *a, size_t n)
{
	return fails_now() ? NULL : __real_tn_arena_try_alloc(a, n);
}

static const char *const formats[] = {
	"[{\"t\":\"a\\nb%s\",\"j\":{\"b\":1,\"a\\t\":[2%s]}}]",
	"{\"t\":\"a\\nb%s\",\"j\":{\"b\":1,\"a\\t\":[2%s]}}\n",
	"t,j\n\"a\"\"\nb%s\",\"{\"\"b\"\":1,\"\"a\\t\"\":[2%s]}\"\n",
};

/* Long enough that its buffers are no small allocations. */
static void
long_body(struct tn_buf *out, int format)
{
	struct tn_buf text = { 0 }, list = { 0 };

	for (int i = 0; i < 3000; i++) {
		tn_buf_str(&text, "xyz");
		tn_buf_str(&list, ",1");
	}
	tn_buf_printf(out, formats[format], tn_buf_cstr(&text),
	    tn_buf_cstr(&list));
	tn_buf_fini(&text);
	tn_buf_fini(&list);
}

/* Decodes what was split; TN_ENOMEM, or a row that is whole. */
static enum tn_status
decode_once(struct help *h)
{
	enum tn_status st;

	h->decoder = tn_codec_decoder_new(&h->schema, &h->spec);
	h->builder = tn_record_builder_new(&h->schema, 16);
	tn_codec_decode(h->decoder, &h->rows, NULL, h->builder, NULL,
	    &h->errors, &h->error_count);
	h->batch = tn_record_builder_take(h->builder);
	st = h->batch == NULL || tn_codec_decoder_no_memory(h->decoder) ?
	    TN_ENOMEM : TN_OK;
	if (st == TN_OK) {
		assert_int_equal(h->error_count, 0);
		assert_true(tn_column_text(&h->batch->columns[0], 0).n >
		    9000);
		assert_true(tn_column_text(&h->batch->columns[1], 0).n >
		    9000);
	}
	return st;
}

/* Goal: with the Nth allocation of outside size failing, for every N, splitting
 * and decoding say so or get by; no row is lost without a word, nothing
 * crashes and nothing leaks. */
static void
test_no_memory(void **unused)
{
	static const struct tn_field f[] = {
		{ "t", { .id = TN_T_TEXT }, false },
		{ "j", { .id = TN_T_JSONB }, false } };
	struct tn_buf body = { 0 };
	enum tn_status st;
	bool reached;
	struct help h;
	long n;

	(void)unused;
	for (int format = 0; format < 3; format++) {
		tn_buf_clear(&body);
		long_body(&body, format);
		reached = true;
		for (n = 0; reached; n++) {
			help_init(&h, (enum tn_codec_format)format, f, 2);
			fail_at = n;
			st = help_split(&h.spec, (struct tn_slice){ body.p,
			    body.n }, 1 << 16, 300, &h.rows);
			if (st == TN_OK) {
				assert_int_equal(h.rows.count, 1);
				st = decode_once(&h);
			}
			reached = fail_at < 0;
			fail_at = -1;
			assert_true(st == TN_OK || st == TN_ENOMEM);
			assert_true(reached || st == TN_OK);
			help_fini(&h);
			assert_true(n < 200);
		}
		assert_true(n > 8);
	}
	tn_buf_fini(&body);
}

/* ---- load options ---------------------------------------------------- */

static const char *
spec_text(const struct tn_codec_spec *s, struct tn_buf *out)
{
	tn_buf_clear(out);
	tn_codec_spec_text(s, out);
	return tn_buf_cstr(out);
}

/* Goal: options give the canonical text, and parsing it gives equal options
 * with the same text. */
static void
test_spec_text(void **unused)
{
	static const struct { const char *options[8]; const char *text; }
	cases[] = {
		{ { NULL }, "format=json" },
		{ { "format", "csv", NULL }, "format=csv" },
		{ { "format", "csv", "delimiter", ";", "header", "false",
		    NULL }, "format=csv&delimiter=%3B&header=false" },
		{ { "format", "csv", "delimiter", "tab", "null", "N/A &=%",
		    NULL },
		    "format=csv&delimiter=%09&null=N/A%20%26%3D%25" },
		{ { "columns", "a,\"b,c\", d e ,\"\"", NULL },
		    "format=json&columns=a,b%2Cc,d%20e," },
		{ { "time_zone", "+0130", "time_format", "%d.%m.%Y", NULL },
		    "format=json&time_format=%25d.%25m.%25Y"
		    "&time_zone=+01:30" },
		{ { "time_zone", "+01", "time_zone", "UTC", NULL },
		    "format=json" },
		{ { "time_zone", "-05", NULL },
		    "format=json&time_zone=-05:00" },
		{ { "rename", "a:b:c", "rename", "d:\xc3\xa4", "constant",
		    "e:x:y,z", NULL }, "format=json&rename=a:b:c"
		    "&rename=d:%C3%A4&constant=e:x:y%2Cz" },
	};
	struct tn_codec_spec s, again;
	struct tn_buf a = { 0 }, b = { 0 };
	struct tn_diag d;

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		tn_codec_spec_init(&s, TN_CODEC_JSON);
		for (int k = 0; cases[i].options[k] != NULL; k += 2)
			assert_int_equal(tn_codec_spec_set(&s,
			    tn_slice_of(cases[i].options[k]),
			    tn_slice_of(cases[i].options[k + 1]), &d), TN_OK);
		assert_string_equal(spec_text(&s, &a), cases[i].text);
		assert_int_equal(tn_codec_spec_parse(&again, help_slice(&a)),
		    TN_OK);
		assert_string_equal(spec_text(&again, &b), cases[i].text);
		assert_int_equal(again.columns_given, s.columns_given);
		tn_codec_spec_fini(&s);
		tn_codec_spec_fini(&again);
	}
	tn_buf_fini(&a);
	tn_buf_fini(&b);
}

/* Goal: names found in a header survive the text form, whatever bytes they
 * have, and the rows decode again from spec and raw bytes alone. */
static void
test_spec_found(void **unused)
{
	static const struct tn_field f[] = {
		{ "b &,", { .id = TN_T_INT8 }, false } };
	struct tn_codec_spec again;
	struct tn_buf text = { 0 };
	struct help h, h2;

	(void)unused;
	help_init(&h, TN_CODEC_CSV, f, 1);
	help_decode(&h, "\"a\"\"\",\"b &,\",\n1,2,3\n");
	assert_string_equal(help_value(&h, 0, 0), "2");
	assert_string_equal(spec_text(&h.spec, &text),
	    "format=csv&found=a%22,b%20%26%2C,");
	assert_int_equal(tn_codec_spec_parse(&again, help_slice(&text)),
	    TN_OK);
	help_init(&h2, TN_CODEC_CSV, f, 1);
	tn_codec_spec_fini(&h2.spec);
	h2.spec = again;
	tn_codec_rows_add(&h2.rows, h.rows.raw.p, h.rows.length[0], 1);
	help_decode_rows(&h2);
	assert_string_equal(help_value(&h2, 0, 0), "2");
	help_fini(&h);
	help_fini(&h2);
	tn_buf_fini(&text);
}

/* Goal: whatever bytes a header line has, the spec that it made has a text
 * that parses back to the same text: ingest stores it and relies on it. */
static void
test_spec_any_header(void **unused)
{
	struct tn_codec_spec s, again;
	struct tn_codec_rows rows = { 0 };
	struct tn_buf body = { 0 }, a = { 0 }, b = { 0 };

	(void)unused;
	help_seed();
	for (int round = 0; round < 3000; round++) {
		tn_buf_clear(&body);
		for (uint32_t i = help_rnd(60); i > 0; i--)
			tn_buf_char(&body, help_rnd(3) == 0 ?
			    ",\"%&=:\xff\xef"[help_rnd(9)] :
			    (char)help_rnd(256));
		tn_codec_spec_init(&s, TN_CODEC_CSV);
		assert_int_equal(help_split(&s, help_slice(&body), 64,
		    help_rnd(9), &rows), TN_OK);
		tn_codec_spec_text(&s, &a);
		assert_int_equal(tn_codec_spec_parse(&again, help_slice(&a)),
		    TN_OK);
		tn_codec_spec_text(&again, &b);
		assert_true(tn_slice_eq(help_slice(&a), help_slice(&b)));
		assert_int_equal(again.column_count, s.column_count);
		tn_buf_clear(&a);
		tn_buf_clear(&b);
		tn_codec_spec_fini(&s);
		tn_codec_spec_fini(&again);
		tn_codec_rows_clear(&rows);
	}
	tn_codec_rows_fini(&rows);
	tn_buf_fini(&body);
	tn_buf_fini(&a);
	tn_buf_fini(&b);
}

/* Goal: wrong options say TN_EINVAL with a hint, others TN_ENOTFOUND, broken
 * texts TN_EINVAL; nothing leaks. */
static void
test_spec_bad(void **unused)
{
	static const char *const options[][2] = {
		{ "format", "xml" }, { "delimiter", "" },
		{ "delimiter", "ab" }, { "delimiter", "\"" },
		{ "delimiter", "\n" }, { "delimiter", "\xc3" },
		{ "header", "yes" }, { "columns", "" },
		{ "columns", "\xff" }, { "time_format", "%q" },
		{ "time_format", "" }, { "time_format", "%d%" },
		{ "time_zone", "Europe/Berlin" }, { "time_zone", "+1" },
		{ "time_zone", "+01:0" }, { "time_zone", "+99:00" },
		{ "time_zone", "" }, { "rename", "a" }, { "rename", ":a" },
		{ "rename", "a:" }, { "constant", "a" },
		{ "constant", ":a" },
	};
	static const char *const texts[] = { "", "format=", "format=xml",
	    "format=csv&", "format=csv&x", "format=csv&x=1",
	    "format=csv&null=%", "format=csv&null=%0", "format=csv&null=%00",
	    "format=csv&null=%g0", "format=csv&columns=a,%",
	    "format=csv&&null=a", "delimiter=a", "format=csv&rename=a" };
	struct tn_codec_spec s;
	struct tn_diag d;

	(void)unused;
	tn_codec_spec_init(&s, TN_CODEC_CSV);
	for (size_t i = 0; i < TN_COUNT(options); i++) {
		memset(&d, 0, sizeof d);
		assert_int_equal(tn_codec_spec_set(&s,
		    tn_slice_of(options[i][0]), tn_slice_of(options[i][1]),
		    &d), TN_EINVAL);
		assert_string_equal(d.code, "bad_load_option");
		assert_true(d.hint[0] != 0);
	}
	assert_int_equal(tn_codec_spec_set(&s, tn_slice_of("limit"),
	    tn_slice_of("1"), &d), TN_ENOTFOUND);
	for (int i = 0; i < 64; i++)
		assert_int_equal(tn_codec_spec_set(&s, tn_slice_of("rename"),
		    tn_slice_of("a:b"), &d), TN_OK);
	assert_int_equal(tn_codec_spec_set(&s, tn_slice_of("rename"),
	    tn_slice_of("a:b"), &d), TN_EINVAL);
	tn_codec_spec_fini(&s);
	for (size_t i = 0; i < TN_COUNT(texts); i++)
		assert_int_equal(tn_codec_spec_parse(&s,
		    tn_slice_of(texts[i])), TN_EINVAL);
}

/* Goal: names of columns that the schema lacks are told, with the option. */
static void
test_spec_fits(void **unused)
{
	static const struct { const char *option, *value, *message; } bad[] = {
		{ "rename", "c:a", "rename: there is no column \"c\"" },
		{ "constant", "A:1", "constant: there is no column \"A\"" },
	};
	static struct tn_field fields[] = { { .name = "a" }, { .name = "b" } };
	static const struct tn_schema schema = { .count = 2,
	    .fields = fields };
	struct tn_codec_spec s;

	(void)unused;
	for (size_t i = 0; i <= TN_COUNT(bad); i++) {
		struct tn_diag d = { .line = 0 };
		tn_codec_spec_init(&s, TN_CODEC_CSV);
		assert_int_equal(tn_codec_spec_set(&s, tn_slice_of("rename"),
		    tn_slice_of("b:c"), &d), TN_OK);
		assert_int_equal(tn_codec_spec_set(&s, tn_slice_of(
		    "constant"), tn_slice_of("a:A"), &d), TN_OK);
		assert_int_equal(tn_codec_spec_fits(&s, &schema, &d), TN_OK);
		if (i < TN_COUNT(bad)) {
			assert_int_equal(tn_codec_spec_set(&s, tn_slice_of(
			    bad[i].option), tn_slice_of(bad[i].value), &d),
			    TN_OK);
			assert_int_equal(tn_codec_spec_fits(&s, &schema, &d),
			    TN_EINVAL);
			assert_string_equal(d.message, bad[i].message);
			assert_string_equal(d.code, "unknown_column");
		}
		tn_codec_spec_fini(&s);
	}
}

/* ---- jsonb ----------------------------------------------------------- */

/* Goal: canonical text as PostgreSQL 15 prints it. */
static void
test_jsonb(void **unused)
{
	static const char *const cases[][2] = {
		{ "{\"bb\":1,\"a\":2,\"c\":3,\"a\":4}",
		    "{\"a\": 4, \"c\": 3, \"bb\": 1}" },
		{ " [ 1 ,2, [ ] , { } ] ", "[1, 2, [], {}]" },
		{ "null", "null" }, { "true", "true" }, { "false", "false" },
		{ "1.50", "1.50" }, { "1e3", "1000" }, { "1.5e1", "15" },
		{ "1.50e1", "15.0" }, { "1.5e3", "1500" },
		{ "1.5e-3", "0.0015" }, { "123.456e-1", "12.3456" },
		{ "-0", "0" }, { "-0.0", "0.0" }, { "0e5", "0" },
		{ "0.00e1", "0.0" }, { "0e-3", "0.000" },
		{ "-1.25e2", "-125" }, { "0.05e1", "0.5" },
		{ "0.05e3", "50" }, { "0.005e1", "0.05" },
		{ "1E+2", "100" }, { "12e-2", "0.12" }, { "12e-3", "0.012" },
		{ "100", "100" }, { "10.0e-1", "1.00" },
		{ "12345678901234567890123456789",
		    "12345678901234567890123456789" },
		{ "\"a\\u00e9\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f\"",
		    "\"a\u00e9/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f\"" },
		{ "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
		{ "{\"\":{\"x\":[]}}", "{\"\": {\"x\": []}}" },
	};
	static const char *const bad[] = { "", "{", "\"\\u0000\"",
	    "{\"\\u0000\":1}", "1e9999", "1e-9999", "[1e500]", "01",
	    "\"\\ud800\"" };
	struct tn_buf out = { 0 };

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		tn_buf_clear(&out);
		assert_int_equal(tn_codec_jsonb(&out,
		    tn_slice_of(cases[i][0])), TN_OK);
		assert_string_equal(tn_buf_cstr(&out), cases[i][1]);
		/* Canonical text stays as it is. */
		tn_buf_clear(&out);
		assert_int_equal(tn_codec_jsonb(&out,
		    tn_slice_of(cases[i][1])), TN_OK);
		assert_string_equal(tn_buf_cstr(&out), cases[i][1]);
	}
	tn_buf_clear(&out);
	tn_buf_str(&out, "kept");
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		assert_int_equal(tn_codec_jsonb(&out, tn_slice_of(bad[i])),
		    TN_EINVAL);
		assert_string_equal(tn_buf_cstr(&out), "kept");
	}
	tn_buf_fini(&out);
}

/* ---- encoding -------------------------------------------------------- */

static const struct tn_field mixed[] = {
	{ "i", { .id = TN_T_INT4 }, false },
	{ "te\"xt", { .id = TN_T_TEXT }, false },
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, false },
	{ "j", { .id = TN_T_JSONB }, false },
	{ "f", { .id = TN_T_FLOAT8 }, false },
};

/* Goal: batches print as written, and CSV and NDJSON read back as the same
 * values: null stays null, an empty text stays one. */
static void
test_encode(void **unused)
{
	static const char body[] =
	    "{\"i\":1,\"te\\\"xt\":\"a,\\\"b\\\"\\nc\",\"ts\":"
	    "\"2026-03-01T08:00:00.5Z\",\"j\":{\"k\":1},\"f\":0.1}\n"
	    "{\"te\\\"xt\":\"\"}\n{\"te\\\"xt\":\" x \",\"f\":\"NaN\"}\n";
	static const char csv[] = "i,\"te\"\"xt\",ts,j,f\n"
	    "1,\"a,\"\"b\"\"\nc\",2026-03-01 08:00:00.5+00,"
	    "\"{\"\"k\"\": 1}\",0.1\n,\"\",,,\n, x ,,,NaN\n";
	static const char ndjson[] =
	    "{\"i\":1,\"te\\\"xt\":\"a,\\\"b\\\"\\nc\",\"ts\":"
	    "\"2026-03-01T08:00:00.5Z\",\"j\":{\"k\": 1},\"f\":0.1}\n"
	    "{\"i\":null,\"te\\\"xt\":\"\",\"ts\":null,\"j\":null,"
	    "\"f\":null}\n"
	    "{\"i\":null,\"te\\\"xt\":\" x \",\"ts\":null,\"j\":null,"
	    "\"f\":\"NaN\"}\n";
	struct tn_buf out = { 0 };
	struct help h, back;
	bool first = true;

	(void)unused;
	help_init(&h, TN_CODEC_NDJSON, mixed, 5);
	help_decode(&h, body);
	assert_int_equal(h.error_count, 0);
	tn_codec_csv_header(&out, h.batch->schema);
	tn_codec_csv_rows(&out, h.batch);
	assert_string_equal(tn_buf_cstr(&out), csv);
	help_init(&back, TN_CODEC_CSV, mixed, 5);
	help_decode_slice(&back, help_slice(&out));
	assert_int_equal(back.error_count, 0);
	tn_buf_clear(&out);
	tn_codec_ndjson_rows(&out, back.batch);
	assert_string_equal(tn_buf_cstr(&out), ndjson);
	help_fini(&back);
	tn_buf_clear(&out);
	tn_codec_json_rows(&out, h.batch, &first);
	tn_codec_json_rows(&out, h.batch, &first);
	assert_false(first);
	assert_non_null(strstr(tn_buf_cstr(&out), "[null,\"\",null,null,null]"
	    ",[null,\" x \",null,null,\"NaN\"],[1,"));
	help_fini(&h);
	tn_buf_fini(&out);
}

static struct tn_batch *
random_texts(const struct tn_schema *schema)
{
	struct tn_builder *b = tn_record_builder_new(schema, 16);
	struct tn_batch *batch;
	char text[40];
	uint32_t n;

	for (uint32_t v = 0; v < 20; v++) {
		n = help_rnd(30);
		for (uint32_t i = 0; i < n; i++)
			text[i] = "\"\"\n\r,;a \\{}'\x01\t"[help_rnd(14)];
		if (help_rnd(5) == 0)
			tn_record_builder_null(b, v % 2);
		else
			tn_record_builder_text(b, v % 2, text, n);
		if (v % 2 == 1)
			tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return batch;
}

/* Goal: random texts come back byte for byte through CSV and NDJSON. */
static void
test_round_trip(void **unused)
{
	static const struct tn_field f[] = {
		{ "a", { .id = TN_T_TEXT }, false },
		{ "b", { .id = TN_T_TEXT }, false } };
	struct tn_schema schema = { "t", 2, f };
	struct tn_batch *batch;
	struct tn_buf out = { 0 };
	struct help h;

	(void)unused;
	help_seed();
	for (int round = 0; round < 1000; round++) {
		batch = random_texts(&schema);
		help_init(&h, round % 2 != 0 ? TN_CODEC_CSV :
		    TN_CODEC_NDJSON, f, 2);
		tn_buf_clear(&out);
		if (round % 2 != 0) {
			tn_codec_csv_header(&out, &schema);
			tn_codec_csv_rows(&out, batch);
		} else {
			tn_codec_ndjson_rows(&out, batch);
		}
		assert_int_equal(help_split(&h.spec, help_slice(&out),
		    1 << 16, 40, &h.rows), TN_OK);
		help_decode_rows(&h);
		assert_int_equal(h.batch->rows, 10);
		assert_int_equal(h.error_count, 0);
		for (uint32_t r = 0; r < 20; r++)
			assert_int_equal(tn_record_compare(
			    &h.batch->columns[r % 2], r / 2,
			    &batch->columns[r % 2], r / 2), 0);
		help_fini(&h);
		tn_record_batch_unref(batch);
	}
	tn_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_spec_text),
		cmocka_unit_test(test_spec_found),
		cmocka_unit_test(test_spec_any_header),
		cmocka_unit_test(test_spec_bad),
		cmocka_unit_test(test_spec_fits),
		cmocka_unit_test(test_jsonb),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

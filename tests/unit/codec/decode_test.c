/* Rows into typed columns: every type from JSON and from CSV, every error
 * code, duplicate keys, absent fields, the plan of the row before. */
#include "codec_help.h"

#define NDJSON TN_CODEC_NDJSON
#define CSV TN_CODEC_CSV

/* One value into a column of one type. */
static const struct value_case {
	struct tn_type type;
	const char *json;        /* The value, or NULL: CSV only. */
	const char *csv;         /* The field, or NULL: JSON only. */
	const char *want;        /* Text, "NULL" or "!code". */
} values[] = {
	{ { .id = TN_T_INT8 }, "9223372036854775807", "9223372036854775807",
	    "9223372036854775807" },
	{ { .id = TN_T_INT8 }, "-9223372036854775808",
	    "-9223372036854775808", "-9223372036854775808" },
	{ { .id = TN_T_INT8 }, "9223372036854775808", "9223372036854775808",
	    "!out_of_range" },
	{ { .id = TN_T_INT8 }, "18446744073709551616",
	    "18446744073709551616", "!out_of_range" },
	{ { .id = TN_T_INT8 }, "100000000000000000000000", "1e30",
	    "!out_of_range" },
	{ { .id = TN_T_INT8 }, "1.0", "1.0", "1" },
	{ { .id = TN_T_INT8 }, "1e3", "1E3", "1000" },
	{ { .id = TN_T_INT8 }, "-12.50e1", "-12.50e1", "-125" },
	{ { .id = TN_T_INT8 }, "1500e-2", "1500e-2", "15" },
	{ { .id = TN_T_INT8 }, "9223372036854775807.000",
	    "9223372036854775807.000", "9223372036854775807" },
	{ { .id = TN_T_INT8 }, "92233720368547758070e-1",
	    "92233720368547758070e-1", "9223372036854775807" },
	{ { .id = TN_T_INT8 }, "0e99999999999", "0.000", "0" },
	{ { .id = TN_T_INT8 }, "-0", "-0", "0" },
	{ { .id = TN_T_INT8 }, "1.5", "1.5", "!not_an_integer" },
	{ { .id = TN_T_INT8 }, "15e-1", "15e-1", "!not_an_integer" },
	{ { .id = TN_T_INT8 }, "1e-400", "1e-400", "!not_an_integer" },
	{ { .id = TN_T_INT8 }, "1e400", "1e99999999999", "!out_of_range" },
	{ { .id = TN_T_INT8 }, "\"42\"", "\"42\"", "42" },
	{ { .id = TN_T_INT8 }, "\" +42 \"", " 042 ", "42" },
	{ { .id = TN_T_INT8 }, NULL, "-007", "-7" },
	{ { .id = TN_T_INT8 }, NULL, "+-7", "!not_a_number" },
	{ { .id = TN_T_INT8 }, "\"\"", NULL, "!not_a_number" },
	{ { .id = TN_T_INT8 }, "\"n/a\"", "n/a", "!not_a_number" },
	{ { .id = TN_T_INT8 }, "true", "true", "!not_a_number" },
	{ { .id = TN_T_INT8 }, "null", "", "NULL" },
	{ { .id = TN_T_INT8 }, NULL, "\"\"", "NULL" },
	{ { .id = TN_T_INT8 }, "{\"a\":1}", NULL, "!not_a_scalar" },
	{ { .id = TN_T_INT8 }, "[1]", NULL, "!not_a_scalar" },
	{ { .id = TN_T_INT4 }, "2147483647", "2147483647", "2147483647" },
	{ { .id = TN_T_INT4 }, "2147483648", "2147483648",
	    "!out_of_range" },
	{ { .id = TN_T_INT4 }, "-2147483649", "-2147483649",
	    "!out_of_range" },
	{ { .id = TN_T_INT2 }, "-32768", "-32768", "-32768" },
	{ { .id = TN_T_INT2 }, "32768", "32768", "!out_of_range" },
	{ { .id = TN_T_FLOAT8 }, "21.4", "21.4", "21.4" },
	{ { .id = TN_T_FLOAT8 }, "-0.0", "-0.0", "-0" },
	{ { .id = TN_T_FLOAT8 }, "0.1e-6", "1e-7", "1e-07" },
	{ { .id = TN_T_FLOAT8 }, "123456789012345678901234567890",
	    "123456789012345678901234567890", "1.2345678901234568e+29" },
	{ { .id = TN_T_FLOAT8 }, "2.2250738585072011e-308",
	    "2.2250738585072011e-308", "2.225073858507201e-308" },
	{ { .id = TN_T_FLOAT8 }, "9007199254740993", "9007199254740993",
	    "9.007199254740992e+15" },
	{ { .id = TN_T_FLOAT8 }, "1e400", "1e400", "!out_of_range" },
	{ { .id = TN_T_FLOAT8 }, "\"NaN\"", "NaN", "NaN" },
	{ { .id = TN_T_FLOAT8 }, "\"-Infinity\"", "-Infinity",
	    "-Infinity" },
	{ { .id = TN_T_FLOAT8 }, "\"warm\"", "warm", "!not_a_number" },
	{ { .id = TN_T_FLOAT4 }, "0.1", "0.1", "0.1" },
	{ { .id = TN_T_FLOAT4 }, "1e39", "1e39", "!out_of_range" },
	/* Just above the middle of two floats: one rounding, not two. */
	{ { .id = TN_T_FLOAT4 }, "1.00000005960464477540",
	    "1.00000005960464477540", "1.0000001" },
	{ { .id = TN_T_NUMERIC, .precision = 10, .scale = 2,
	    .declared = true }, "1234.505", "1234.505", "1234.51" },
	{ { .id = TN_T_NUMERIC, .precision = 10, .scale = 2,
	    .declared = true }, "\"12.5\"", "\"12.5\"", "12.50" },
	{ { .id = TN_T_NUMERIC, .precision = 4, .scale = 2 }, "123.45",
	    "123.45", "!out_of_range" },
	{ { .id = TN_T_NUMERIC, .precision = 4, .scale = 2 }, "\"x\"", "x",
	    "!not_a_number" },
	{ { .id = TN_T_TEXT }, "\"a\\u00e9\\n\\\"\\ud83d\\ude00\"",
	    "\"a\xc3\xa9\n\"\"\xf0\x9f\x98\x80\"",
	    "a\xc3\xa9\n\"\xf0\x9f\x98\x80" },
	{ { .id = TN_T_TEXT }, "\"\"", "\"\"", "" },
	{ { .id = TN_T_TEXT }, "null", "", "NULL" },
	{ { .id = TN_T_TEXT }, "12.50", "12.50", "12.50" },
	{ { .id = TN_T_TEXT }, "false", "false", "false" },
	{ { .id = TN_T_TEXT }, "\" x \"", " x ", " x " },
	{ { .id = TN_T_TEXT }, "[1]", NULL, "!not_a_scalar" },
	{ { .id = TN_T_TEXT }, "\"a\\u0000b\"", NULL, "!nul_character" },
	{ { .id = TN_T_TEXT }, "\"\xff\"", "\xff", "!bad_utf8" },
	{ { .id = TN_T_TEXT }, "\"\xed\xa0\x80\"", "\xed\xa0\x80",
	    "!bad_utf8" },
	{ { .id = TN_T_TEXT }, "\"\\ud800\"", NULL, "!json_syntax" },
	{ { .id = TN_T_TEXT }, "\"a\tb\"", NULL, "!json_syntax" },
	{ { .id = TN_T_TEXT, .length_max = 3 }, "\"\xc3\xa9\xc3\xa9x\"",
	    "\xc3\xa9\xc3\xa9x", "\xc3\xa9\xc3\xa9x" },
	{ { .id = TN_T_TEXT, .length_max = 3 }, "\"abcd\"", "abcd",
	    "!too_long" },
	{ { .id = TN_T_BOOL }, "true", "true", "true" },
	{ { .id = TN_T_BOOL }, "\"no\"", "no", "false" },
	{ { .id = TN_T_BOOL }, "1", "1", "true" },
	{ { .id = TN_T_BOOL }, "2", "2", "!not_a_boolean" },
	{ { .id = TN_T_DATE }, "\"2026-03-01\"", "2026-03-01",
	    "2026-03-01" },
	{ { .id = TN_T_DATE }, "\"2026-03-01T23:59:59\"",
	    "2026-03-01T23:59:59", "2026-03-01" },
	{ { .id = TN_T_DATE }, "\"1969-12-31T01:00:00Z\"",
	    "1969-12-31T01:00:00Z", "1969-12-31" },
	{ { .id = TN_T_DATE }, "\"2026-02-29\"", "2026-02-29", "!bad_date" },
	{ { .id = TN_T_TIME }, "\"08:30:00.5\"", "08:30:00.5",
	    "08:30:00.5" },
	{ { .id = TN_T_TIME }, "\"25:00\"", "25:00", "!bad_time" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01T08:00:00.123Z\"",
	    "2026-03-01T08:00:00.123Z", "2026-03-01 08:00:00.123+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01 08:00:00\"",
	    "2026-03-01 08:00:00", "2026-03-01 08:00:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01T08:00:00+05:30\"",
	    "2026-03-01T08:00:00+05:30", "2026-03-01 02:30:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01T08:00:00.1234567-01\"",
	    "2026-03-01T08:00:00.1234567-01",
	    "2026-03-01 09:00:00.123457+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1772352000", "1772352000",
	    "2026-03-01 08:00:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1772352000.25", "1772352000.25",
	    "2026-03-01 08:00:00.25+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1772352000123", "1772352000123",
	    "2026-03-01 08:00:00.123+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1772352000123456",
	    "1772352000123456", "2026-03-01 08:00:00.123456+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1772352000123456789",
	    "1772352000123456789", "2026-03-01 08:00:00.123457+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1.7723520e9", NULL,
	    "2026-03-01 08:00:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "-1.5", NULL,
	    "1969-12-31 23:59:58.5+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "1e60", NULL, "!bad_timestamp" },
	{ { .id = TN_T_TIMESTAMPTZ }, NULL, "20260301",
	    "2026-03-01 00:00:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-02-29T00:00:00Z\"",
	    "2026-02-29T00:00:00Z", "!bad_timestamp" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01T24:00:00Z\"",
	    "2026-03-01T24:00:00Z", "2026-03-02 00:00:00+00" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"2026-03-01T08:00:00.Z\"",
	    "2026-03-01T08:00:00.Z", "!bad_timestamp" },
	{ { .id = TN_T_TIMESTAMPTZ }, "\"now\"", "yesterday",
	    "!bad_timestamp" },
	{ { .id = TN_T_TIMESTAMPTZ }, "true", "true", "!bad_timestamp" },
	{ { .id = TN_T_TIMESTAMP }, "\"2026-03-01T08:00:00\"",
	    "2026-03-01T08:00:00", "2026-03-01 08:00:00" },
	{ { .id = TN_T_TIMESTAMP }, "\"2026-03-01T08:00:00+02:00\"",
	    "2026-03-01T08:00:00+02:00", "2026-03-01 06:00:00" },
	{ { .id = TN_T_UUID }, "\"0E37DF36-F698-11E6-8DD4-CB9CED3DF976\"",
	    "0e37df36f69811e68dd4cb9ced3df976",
	    "0e37df36-f698-11e6-8dd4-cb9ced3df976" },
	{ { .id = TN_T_UUID }, "7", "7", "!bad_uuid" },
	{ { .id = TN_T_JSONB }, "{\"bb\":1e2,\"a\":[1,2]}",
	    "\"{\"\"bb\"\":1e2,\"\"a\"\":[1,2]}\"",
	    "{\"a\": [1, 2], \"bb\": 100}" },
	{ { .id = TN_T_JSONB }, "\"x\"", "\"\"\"x\"\"\"", "\"x\"" },
	{ { .id = TN_T_JSONB }, "null", "", "NULL" },
	{ { .id = TN_T_JSONB }, NULL, "{", "!json_syntax" },
	{ { .id = TN_T_JSONB }, "1e9999", "1e9999", "!out_of_range" },
	{ { .id = TN_T_INTERVAL }, "\"1 hour\"", "1 hour", "01:00:00" },
	{ { .id = TN_T_INTERVAL }, "\"soon\"", "soon", "!bad_interval" },
};

static void
check_value(const struct value_case *v, enum tn_codec_format format)
{
	struct tn_field f[] = { { "v", v->type, false },
	    { "x", { .id = TN_T_TEXT }, false } };
	struct tn_buf body = { 0 };
	struct help h;
	const char *got;

	help_init(&h, format, f, 2);
	if (format == CSV)
		tn_buf_printf(&body, "v,x\n%s,1\n%s,1\n", v->csv, v->csv);
	else
		tn_buf_printf(&body, "{\"v\":%s,\"x\":1}\n"
		    "{\"v\":%s,\"x\":1}\n", v->json, v->json);
	help_decode_slice(&h, help_slice(&body));
	assert_int_equal(h.rows.count, 2);
	for (uint32_t row = 0; row < 2; row++) {
		got = help_code(&h, row);
		if (*v->want == '!') {
			if (strcmp(got, v->want + 1) != 0)
				print_message("%s", tn_buf_cstr(&body));
			assert_string_equal(got, v->want + 1);
			assert_string_equal(help_value(&h, row, 1), "NULL");
			if (strcmp(got, "json_syntax") != 0 &&
			    strcmp(got, "bad_utf8") != 0)
				assert_string_equal(
				    help_error(&h, row)->column, "v");
			continue;
		}
		if (*got != 0)
			print_message("%s%s: %s\n", tn_buf_cstr(&body), got,
			    help_error(&h, row)->message);
		assert_string_equal(got, "");
		got = help_value(&h, row, 0);
		if (strcmp(got, v->want) != 0)
			print_message("%s", tn_buf_cstr(&body));
		assert_string_equal(got, v->want);
		assert_string_equal(help_value(&h, row, 1), "1");
	}
	tn_buf_fini(&body);
	help_fini(&h);
}

/* Goal: each value text gives the wanted value or error code, from JSON and
 * from CSV alike. */
static void
test_values(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < TN_COUNT(values); i++) {
		if (values[i].json != NULL)
			check_value(&values[i], NDJSON);
		if (values[i].csv != NULL)
			check_value(&values[i], CSV);
	}
}

static const struct tn_field abc[] = {
	{ "a", { .id = TN_T_INT8 }, false },
	{ "b", { .id = TN_T_TEXT }, false },
	{ "c", { .id = TN_T_FLOAT8 }, false },
};

/* Values of a row as "a/b/c", or "!code". */
static const char *
row_text(struct help *h, uint32_t row, char buf[static 256])
{
	size_t n = 0;

	if (*help_code(h, row) != 0) {
		snprintf(buf, 256, "!%s", help_code(h, row));
		return buf;
	}
	for (uint32_t i = 0; i < h->schema.count; i++)
		n += (size_t)snprintf(buf + n, 256 - n, "%s%s",
		    i > 0 ? "/" : "", help_value(h, row, i));
	return buf;
}

static const char *const objects[][2] = {
	{ "{\"a\":1,\"b\":\"x\",\"c\":2}", "1/x/2" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":2}", "1/x/2" },
	{ " { \"a\" : 1 , \"b\" : \"x\" , \"c\" : 2 } ", "1/x/2" },
	{ "{\"a\": 1, \"b\": \"x\", \"c\": 2}", "1/x/2" },
	{ "{\"c\":2,\"b\":\"x\",\"a\":1}", "1/x/2" },
	{ "{}", "NULL/NULL/NULL" },
	{ " { } ", "NULL/NULL/NULL" },
	{ "{\"a\":1,\"c\":2}", "1/NULL/2" },
	{ "{\"c\":2}", "NULL/NULL/2" },
	{ "{\"a\":null,\"b\":null,\"c\":null}", "NULL/NULL/NULL" },
	{ "{\"a\":1,\"a\":2,\"b\":\"x\",\"a\":3}", "3/x/NULL" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":2,\"b\":null}", "1/NULL/2" },
	{ "{\"a\":1,\"b\":null,\"c\":2,\"b\":\"y\"}", "1/y/2" },
	{ "{\"a\":1,\"z\":{\"y\":[1,{}]},\"b\":\"x\",\"c\":2}",
	    "1/x/2" },
	{ "{\"a\":1,\"z\":{\"y\":[1,{}]},\"b\":\"x\",\"c\":2}",
	    "1/x/2" },
	{ "{\"a\":1,\"z\":[1,],\"b\":\"x\",\"c\":2}",
	    "!json_syntax" },
	{ "{\"\\u0061\":1,\"b\":\"x\",\"c\":2}", "1/x/2" },
	{ "{\"\\u0061\":1,\"b\":\"x\",\"c\":2}", "1/x/2" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":2", "!json_syntax" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":2}}", "!json_syntax" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":2,}", "!json_syntax" },
	{ "{\"a\":1,\"b\":\"x\" \"c\":2}", "!json_syntax" },
	{ "{\"a\":1\"b\":\"x\",\"c\":2}", "!json_syntax" },
	{ "{\"a\":,\"b\":\"x\",\"c\":2}", "!json_syntax" },
	{ "{\"a\":1,\"b\":", "!json_syntax" },
	{ "{\"a\":1,\"b\":\"x\",\"c\":", "!json_syntax" },
	{ "{\"a\":1,\"b\":\"x\",\"c\"", "!json_syntax" },
	{ "{\"a\":", "!json_syntax" },
	{ "{", "!json_syntax" },
	{ "{\"a\":\"n/a\",\"b\":", "!json_syntax" },
	{ "{\"a\":\"n/a\",\"b\":1}", "!not_a_number" },
	{ "[]", "!not_an_object" },
	{ "\"x\"", "!not_an_object" },
	{ "{\"a\":01}", "!json_syntax" },
	{ "{\"a\":1 2}", "!json_syntax" },
	/* Found by fuzzing: the first step begins with a brace. */
	{ "{\"z\":[{}]{\"a\":1,\"b\":\"x\",\"c\":2}",
	    "!json_syntax" },
	{ "{\"a\":tru}", "!json_syntax" },
	{ "{\"a\":n}", "!json_syntax" },
	{ "{\"A\":1}", "NULL/NULL/NULL" },
	{ "{\"\":1}", "NULL/NULL/NULL" },
	{ "{\"a\\u0000\":1}", "NULL/NULL/NULL" },
};

/* Goal: objects in every order, spacing and completeness give the same as
 * for a decoder that has seen nothing before; duplicates: the last wins. */
static void
test_objects(void **unused)
{
	struct help one, fresh;
	char buf[256];
	uint32_t k;

	(void)unused;
	help_seed();
	help_init(&one, NDJSON, abc, 3);
	for (uint32_t round = 0; round < 20000; round++) {
		k = round < TN_COUNT(objects) ? round :
		    help_rnd(TN_COUNT(objects));
		tn_codec_rows_clear(&one.rows);
		tn_codec_rows_add(&one.rows, objects[k][0],
		    strlen(objects[k][0]), 1);
		/* What follows in memory must not matter. */
		for (int more = 0; more < 2; more++)
			tn_codec_rows_add(&one.rows, objects[0][0],
			    strlen(objects[0][0]), 2);
		help_decode_rows(&one);
		if (strcmp(row_text(&one, 0, buf), objects[k][1]) != 0)
			print_message("%s\n", objects[k][0]);
		assert_string_equal(row_text(&one, 0, buf), objects[k][1]);
		assert_string_equal(row_text(&one, 1, buf), "1/x/2");
	}
	help_fini(&one);
	for (k = 0; k < TN_COUNT(objects); k++) {
		help_init(&fresh, NDJSON, abc, 3);
		tn_codec_rows_add(&fresh.rows, objects[k][0],
		    strlen(objects[k][0]), 1);
		help_decode_rows(&fresh);
		assert_string_equal(row_text(&fresh, 0, buf), objects[k][1]);
		help_fini(&fresh);
	}
}

/* Goal: random objects, broken at random, give the same values and codes from
 * a decoder with a history as from a fresh one, and are refused exactly when
 * the tree refuses them. */
static void
test_history(void **unused)
{
	static const char *const parts[] = { "{", "}", "\"a\":", "\"b\":",
	    "\"c\":", "\"a-rather-long-key-of-more-than-eighty-bytes-which-"
	    "no-step-of-a-plan-can-hold-at-all-0123456789\":", ",", ", ",
	    "1", "\"x\"", "[1]", " ", "null", "1.5", "\"", "{\"a\":1}" };
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_buf row = { 0 };
	struct help one, fresh;
	struct tn_json *root;
	char x[256], y[256];
	bool good;

	(void)unused;
	help_seed();
	help_init(&one, NDJSON, abc, 3);
	for (uint32_t round = 0; round < 20000; round++) {
		tn_buf_clear(&row);
		tn_buf_str(&row, "{");
		for (uint32_t i = 0, n = help_rnd(7); i < n; i++) {
			tn_buf_str(&row, i > 0 ? parts[6 + help_rnd(2)] :
			    "");
			tn_buf_str(&row, parts[2 + help_rnd(4)]);
			tn_buf_str(&row, parts[8 + help_rnd(6)]);
			if (help_rnd(40) == 0)
				tn_buf_str(&row, parts[help_rnd(16)]);
		}
		tn_buf_str(&row, "}");
		tn_codec_rows_clear(&one.rows);
		tn_codec_rows_add(&one.rows, row.p, row.n, 1);
		tn_codec_rows_add(&one.rows, row.p, row.n, 2);
		help_decode_rows(&one);
		help_init(&fresh, NDJSON, abc, 3);
		tn_codec_rows_add(&fresh.rows, row.p, row.n, 1);
		help_decode_rows(&fresh);
		row_text(&fresh, 0, x);
		assert_string_equal(row_text(&one, 0, y), x);
		assert_string_equal(row_text(&one, 1, y), x);
		good = tn_codec_json_parse(arena, help_slice(&row), &root,
		    NULL) == TN_OK;
		assert_int_equal(good, strcmp(x, "!json_syntax") != 0);
		tn_arena_reset(arena);
		help_fini(&fresh);
	}
	help_fini(&one);
	tn_buf_fini(&row);
	tn_arena_free(arena);
}

/* Goal: absent bits tell exactly the columns that a good row does not
 * mention; skipped rows are null without error. */
static void
test_absent_and_skip(void **unused)
{
	static const char body[] = "{\"a\":1,\"b\":\"x\",\"c\":2}\n"
	    "{\"b\":null}\n{\"a\":\n{\"c\":1,\"c\":2}\n";
	const uint8_t skip[] = { 1, 0, 1, 0 };
	struct help h;

	(void)unused;
	help_init(&h, NDJSON, abc, 3);
	help_decode(&h, body);
	assert_int_equal(h.absent[0], 0);
	assert_int_equal(h.absent[1], 5);
	assert_int_equal(h.absent[2], 0);
	assert_int_equal(h.absent[3], 3);
	assert_int_equal(h.error_count, 1);
	tn_codec_decode(h.decoder, &h.rows, skip, h.builder, NULL, &h.errors,
	    &h.error_count);
	tn_record_batch_unref(h.batch);
	h.batch = tn_record_builder_take(h.builder);
	assert_int_equal(h.error_count, 0);
	assert_int_equal(h.batch->rows, 4);
	assert_string_equal(help_value(&h, 0, 0), "NULL");
	assert_string_equal(help_value(&h, 2, 0), "NULL");
	assert_string_equal(help_value(&h, 3, 2), "2");
	help_fini(&h);
	help_init(&h, CSV, abc, 3);
	help_decode(&h, "c,zz,a\n1,2,3\n");
	assert_int_equal(h.absent[0], 2);
	assert_string_equal(tn_codec_decoder_unknown(h.decoder)[0], "zz");
	assert_null(tn_codec_decoder_unknown(h.decoder)[1]);
	help_fini(&h);
}

/* Goal: unknown names are listed once each and bounded in number; what is
 * beyond is skipped just the same. */
static void
test_unknown(void **unused)
{
	const char *const *names;
	struct tn_buf body = { 0 };
	struct help h;
	uint32_t n = 0;

	(void)unused;
	for (int i = 0; i < 1000; i++)
		tn_buf_printf(&body, "{\"k%d\":[{\"a\":7}],\"a\":%d,"
		    "\"k%d\":0}\n", i / 2, i, i % 3);
	help_init(&h, NDJSON, abc, 3);
	help_decode_slice(&h, help_slice(&body));
	assert_int_equal(h.error_count, 0);
	assert_string_equal(help_value(&h, 999, 0), "999");
	names = tn_codec_decoder_unknown(h.decoder);
	while (names[n] != NULL)
		n++;
	assert_int_equal(n, 256);
	assert_string_equal(names[0], "k0");
	help_fini(&h);
	tn_buf_fini(&body);
}

/* Goal: renames, constants, time format and zone do what the spec says. */
static void
test_spec(void **unused)
{
	static const struct tn_field f[] = {
		{ "ts", { .id = TN_T_TIMESTAMPTZ }, false },
		{ "local", { .id = TN_T_TIMESTAMP }, false },
		{ "room", { .id = TN_T_TEXT }, false },
		{ "n", { .id = TN_T_INT4 }, false },
		{ "day", { .id = TN_T_DATE }, false },
	};
	char buf[256];
	struct help h;

	(void)unused;
	for (int format = NDJSON; format <= CSV; format++) {
		help_init(&h, (enum tn_codec_format)format, f, 5);
		help_set(&h, "time_format", "%m/%d/%y %H:%M:%S");
		help_set(&h, "time_zone", "-07:00");
		help_set(&h, "rename", "ts:when");
		help_set(&h, "rename", "local:when");
		help_set(&h, "rename", "day:when");
		help_set(&h, "constant", "room:a \"b\", c");
		help_set(&h, "constant", "n:7");
		help_decode(&h, format == CSV ? "when,room,ts\n"
		    "07/24/05 23:30:00,x,y\n2005-07-24 00:00:00,x,y\n" :
		    "{\"when\":\"07/24/05 23:30:00\",\"room\":3,\"ts\":4}\n"
		    "{\"when\":\"2005-07-24 00:00:00\"}\n");
		assert_string_equal(row_text(&h, 0, buf),
		    "2005-07-25 06:30:00+00/2005-07-24 23:30:00/"
		    "a \"b\", c/7/2005-07-24");
		assert_string_equal(row_text(&h, 1, buf), "!bad_timestamp");
		assert_string_equal(help_error(&h, 1)->column, "ts");
		/* Now nobody takes the field ts; room is taken care of. */
		assert_string_equal(
		    tn_codec_decoder_unknown(h.decoder)[0], "ts");
		assert_null(tn_codec_decoder_unknown(h.decoder)[1]);
		help_fini(&h);
	}
	help_init(&h, NDJSON, f, 5);
	help_set(&h, "time_format", "%Y%m%d%H");
	help_decode(&h, "{\"ts\":2026030108,\"local\":1772352000}\n"
	    "{\"ts\":\"2026-03-01\"}\n");
	assert_string_equal(help_value(&h, 0, 0), "2026-03-01 08:00:00+00");
	assert_string_equal(help_value(&h, 0, 1), "2026-03-01 08:00:00");
	assert_string_equal(help_code(&h, 1), "bad_timestamp");
	help_fini(&h);
	help_init(&h, NDJSON, f, 5);
	help_set(&h, "time_zone", "+01:00");
	help_set(&h, "constant", "n:many");
	help_set(&h, "constant", "nope:1");
	help_decode(&h, "{\"ts\":\"2026-03-01T00:00:00\","
	    "\"local\":\"2026-03-01T00:00:00Z\"}\n");
	assert_string_equal(help_code(&h, 0), "not_a_number");
	assert_string_equal(tn_codec_decoder_unknown(h.decoder)[0], "nope");
	help_fini(&h);
	help_init(&h, NDJSON, f, 5);
	help_set(&h, "time_zone", "+01:00");
	help_decode(&h, "{\"ts\":\"2026-03-01T00:00:00\","
	    "\"local\":\"2026-03-01T00:00:00Z\",\"day\":\"20260301\"}\n");
	assert_string_equal(row_text(&h, 0, buf), "2026-02-28 23:00:00+00/"
	    "2026-03-01 01:00:00/NULL/NULL/2026-03-01");
	help_fini(&h);
}

/* Goal: a real NDJSON file (Wikipedia edits of a day) gives the published
 * numbers: rows, characters added on #en, deleted in the first hour. */
static void
test_wikiticker(void **unused)
{
	static const struct tn_field f[] = {
		{ "time", { .id = TN_T_TIMESTAMPTZ }, false },
		{ "channel", { .id = TN_T_TEXT }, false },
		{ "added", { .id = TN_T_INT8 }, false },
		{ "deleted", { .id = TN_T_INT4 }, false },
		{ "isAnonymous", { .id = TN_T_BOOL }, false },
	};
	struct tn_inflate *z = tn_inflate_new(TN_CODING_GZIP);
	struct tn_buf file = { 0 }, body = { 0 };
	int64_t added = 0, deleted = 0, hour, start = 1442016000000000;
	struct tn_slice in;
	struct help h;

	(void)unused;
	if (!help_read(DATA
	    "wikiticker/wikiticker-2015-09-12-sampled.ndjson.gz", &file))
		skip();
	in = help_slice(&file);
	while (tn_inflate_step(z, &in, &body, 1 << 20) == TN_OK)
		;
	tn_inflate_free(z);
	help_init(&h, NDJSON, f, 5);
	help_decode_slice(&h, help_slice(&body));
	assert_int_equal(h.batch->rows, 39244);
	assert_int_equal(h.error_count, 0);
	for (uint32_t r = 0; r < h.batch->rows; r++) {
		if (tn_slice_is(tn_column_text(&h.batch->columns[1], r),
		    "#en.wikipedia"))
			added += ((const int64_t *)
			    h.batch->columns[2].values)[r];
		hour = (((const int64_t *)h.batch->columns[0].values)[r] -
		    start) / 3600000000;
		if (hour == 0)
			deleted += ((const int32_t *)
			    h.batch->columns[3].values)[r];
	}
	assert_int_equal(added, 3045299);
	assert_int_equal(deleted, 1761);
	help_fini(&h);
	tn_buf_fini(&file);
	tn_buf_fini(&body);
}

/* Goal: messages quote the value, cut to 60 bytes at a character, with odd
 * bytes shown as such. */
static void
test_messages(void **unused)
{
	struct help h;

	(void)unused;
	help_init(&h, NDJSON, abc, 3);
	help_decode(&h, "{\"a\":\"n/a\"}\n{\"a\":\"\\u001b[31m\"}\n"
	    "{\"a\":\"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "x\u00e9\"}\n{\"a\":1}}\n{\"a\":\n");
	assert_string_equal(help_error(&h, 0)->message,
	    "expected a number, found \"n/a\"");
	assert_string_equal(help_error(&h, 1)->message,
	    "expected a number, found \"\\x1B[31m\"");
	assert_string_equal(help_error(&h, 2)->message,
	    "expected a number, found \"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
	    "\u00e9\u00e9\u00e9x...\"");
	assert_string_equal(help_error(&h, 3)->message,
	    "text after the value at byte 8: \"}\"");
	assert_string_equal(help_error(&h, 4)->message,
	    "unexpected end at byte 6, at the end of the row");
	help_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_absent_and_skip),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_spec),
		cmocka_unit_test(test_wikiticker),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Splitting bodies into rows: every format, every chunking, every break. */
#include "codec_help.h"

/* Rows joined by | ; a row that is too large shows as LIMIT at the end. */
static const char *
split_to_text(enum tn_codec_format format, const char *columns,
    struct tn_slice body, size_t row_max, uint32_t piece_max,
    struct tn_buf *out)
{
	struct tn_codec_spec spec;
	struct tn_codec_rows rows = { 0 };
	enum tn_status st;

	tn_codec_spec_init(&spec, format);
	if (columns != NULL) {
		spec.no_header = strcmp(columns, "none") == 0;
		if (!spec.no_header)
			assert_int_equal(tn_codec_spec_set(&spec,
			    tn_slice_of("columns"), tn_slice_of(columns),
			    NULL), TN_OK);
	}
	st = help_split(&spec, body, row_max, piece_max, &rows);
	tn_buf_clear(out);
	for (uint32_t i = 0; i < rows.count; i++) {
		/* Rows lie without gaps. */
		assert_int_equal(rows.start[i], i == 0 ? 0 :
		    rows.start[i - 1] + rows.length[i - 1]);
		tn_buf_printf(out, "%u:", rows.line[i]);
		tn_buf_add(out, rows.raw.p + rows.start[i], rows.length[i]);
		tn_buf_char(out, '|');
	}
	if (st != TN_OK)
		tn_buf_str(out, st == TN_ELIMIT ? "LIMIT" : "?");
	tn_codec_rows_fini(&rows);
	tn_codec_spec_fini(&spec);
	return tn_buf_cstr(out);
}

static const struct split_case {
	enum tn_codec_format format;
	const char *columns;     /* CSV: columns= or "none". */
	const char *body;
	const char *rows;
} cases[] = {
	{ TN_CODEC_NDJSON, NULL, "", "" },
	{ TN_CODEC_NDJSON, NULL, "\n \r\n\t\n", "" },
	{ TN_CODEC_NDJSON, NULL, "{}", "1:{}|" },
	{ TN_CODEC_NDJSON, NULL, "{}\r\n\n{\"a\":1}\n x ",
	    "1:{}|3:{\"a\":1}|4: x |" },
	{ TN_CODEC_NDJSON, NULL, "\xef\xbb\xbf{}\n", "1:{}|" },
	{ TN_CODEC_NDJSON, NULL, "\xef\xbb{}\n", "1:\xef\xbb{}|" },
	{ TN_CODEC_NDJSON, NULL, "\xef", "1:\xef|" },
	{ TN_CODEC_NDJSON, NULL, "{}\r", "1:{}|" },

	{ TN_CODEC_JSON, NULL, "", "" },
	{ TN_CODEC_JSON, NULL, " \n", "" },
	{ TN_CODEC_JSON, NULL, "\xef\xbb\xbf[]", "" },
	{ TN_CODEC_JSON, NULL, " {\"a\":[1,{}]} \n", "1:{\"a\":[1,{}]}|" },
	{ TN_CODEC_JSON, NULL, "[{\"a\":\"]}\\\"\"},\n {\"b\":2}\n]\n",
	    "1:{\"a\":\"]}\\\"\"}|2:{\"b\":2}|" },
	{ TN_CODEC_JSON, NULL, "[1, \"x\" ,null]", "1:1|1:\"x\"|1:null|" },
	{ TN_CODEC_JSON, NULL, "123", "1:123|" },
	/* Objects one after the other. */
	{ TN_CODEC_JSON, NULL, "{}\n{\"a\":\n1}\r\n\n{}", "1:{}|2:{\"a\":\n1}|5:{}|" },
	{ TN_CODEC_JSON, NULL, "{\"a\":\"}\"}{\"b\":{}} {", "1:{\"a\":\"}\"}|1:{\"b\":{}}|1:{|" },
	{ TN_CODEC_JSON, NULL, "[[1],[2]]", "1:[1]|1:[2]|" },
	/* Broken arrays. */
	{ TN_CODEC_JSON, NULL, "[", "1:|" },
	{ TN_CODEC_JSON, NULL, "[{}", "1:{}|1:|" },
	{ TN_CODEC_JSON, NULL, "[{},", "1:{}|1:|" },
	{ TN_CODEC_JSON, NULL, "[{},]", "1:{}|1:]|" },
	{ TN_CODEC_JSON, NULL, "[,{}]", "1:,{}]|" },
	{ TN_CODEC_JSON, NULL, "[{}]\nx", "1:{}|2:x|" },
	{ TN_CODEC_JSON, NULL, "[{} {\"a\":1}", "1:{}|1:{\"a\":1|1:}|" },
	{ TN_CODEC_JSON, NULL, "[{}]{\"a\":1}", "1:{}|1:{\"a\":1|1:}|" },
	{ TN_CODEC_JSON, NULL, "{},{}", "1:{}|1:,{}|" },
	{ TN_CODEC_JSON, NULL, "[{\"a\":\n\n", "1:{\"a\":\n\n|" },
	{ TN_CODEC_JSON, NULL, "}", "1:}|" },
	{ TN_CODEC_JSON, NULL, "[{}}", "1:{}|1:}|" },

	{ TN_CODEC_CSV, NULL, "", "" },
	{ TN_CODEC_CSV, NULL, "a,b\n", "" },
	{ TN_CODEC_CSV, NULL, "a,b", "" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,2\r\n3,4", "2:1,2|3:3,4|" },
	{ TN_CODEC_CSV, NULL, "\xef\xbb\xbf" "a,b\r\n\r\n1,2\n\n3,4\r",
	    "3:1,2|5:3,4|" },
	{ TN_CODEC_CSV, NULL, "a,b\n\"x\r\ny\",2\n3,4\n",
	    "2:\"x\r\ny\",2|4:3,4|" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,\"x\"\"\n\"\n3,4\n",
	    "2:1,\"x\"\"\n\"|4:3,4|" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,\"\"\n3,4\n", "2:1,\"\"|3:3,4|" },
	{ TN_CODEC_CSV, "a,b", "x,y\n1,2\n", "2:1,2|" },
	{ TN_CODEC_CSV, "none", "1,2\n3,4\n", "1:1,2|2:3,4|" },
	/* A quote inside a field without quotes is plain text. */
	{ TN_CODEC_CSV, NULL, "a,b\n36\"N,1\n3,4\n", "2:36\"N,1|3:3,4|" },
	/* Stray quotes spoil their line only. */
	{ TN_CODEC_CSV, NULL, "a,b\n\"x\",1\n\"\n\"y\",2\n\"z\",3\n",
	    "2:\"x\",1|3:\"|4:\"y\",2|5:\"z\",3|" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,2\n\"\n3,4\n5,6\n\"\n7,8\n",
	    "2:1,2|3:\"|4:3,4|5:5,6|6:\"|7:7,8|" },
	{ TN_CODEC_CSV, NULL, "a,b\n\"x\"y,1\n3,4\n",
	    "2:\"x\"y,1|3:3,4|" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,\"x\n3,4\n5,6\n",
	    "2:1,\"x|3:3,4|4:5,6|" },
	{ TN_CODEC_CSV, NULL, "a,b\n\"\n", "2:\"|" },
	{ TN_CODEC_CSV, NULL, "a,b\n1,2\n\"", "2:1,2|3:\"|" },
	{ TN_CODEC_CSV, NULL, "a,b\n\"x\ny\",2,3\n4,5\n",
	    "2:\"x|3:y\",2,3|4:4,5|" },
	{ TN_CODEC_CSV, "none", "1,2\n\"\n3,4\n\"\n5,6\n",
	    "1:1,2|2:\"|3:3,4|4:\"|5:5,6|" },
	/* A header line that is broken still is the header. */
	{ TN_CODEC_CSV, NULL, "\"a\"x,b\n1\n", "2:1|" },
};

/* Goal: each body gives exactly these rows, in one piece and in 50 random
 * ways to cut it. */
static void
test_cases(void **unused)
{
	struct tn_buf out = { 0 };
	const char *got;

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		for (uint32_t k = 0; k < 50; k++) {
			got = split_to_text(cases[i].format,
			    cases[i].columns, tn_slice_of(cases[i].body),
			    1 << 16, k % 8, &out);
			if (strcmp(got, cases[i].rows) != 0)
				print_message("case %zu\n", i);
			assert_string_equal(got, cases[i].rows);
		}
	}
	tn_buf_fini(&out);
}

/* Goal: random bodies of the bytes that matter give the same rows and status
 * however they are cut, also when rows meet the size limit. */
static void
test_chunking(void **unused)
{
	static const char *const letters[] = {
		"{}[],\"\\\n a1", "{}\n\r \"a", ",\"\n\r\"\"a",
	};
	struct tn_buf body = { 0 }, whole = { 0 }, cut = { 0 };
	const char *columns;
	uint32_t n, format;

	(void)unused;
	help_seed();
	for (uint32_t round = 0; round < 20000; round++) {
		format = round % 3;
		tn_buf_clear(&body);
		n = help_rnd(120);
		for (uint32_t i = 0; i < n; i++)
			tn_buf_char(&body, letters[format][help_rnd(
			    (uint32_t)strlen(letters[format]))]);
		columns = help_rnd(2) != 0 ? NULL :
		    help_rnd(2) != 0 ? "a,b" : "none";
		split_to_text((enum tn_codec_format)format, columns,
		    help_slice(&body), 16, 0, &whole);
		split_to_text((enum tn_codec_format)format, columns,
		    help_slice(&body), 16, 1 + help_rnd(20), &cut);
		if (!tn_slice_eq(help_slice(&whole), help_slice(&cut)))
			print_message("format %u body <%s>\n", format,
			    tn_buf_cstr(&body));
		assert_string_equal(tn_buf_cstr(&whole), tn_buf_cstr(&cut));
	}
	tn_buf_fini(&body);
	tn_buf_fini(&whole);
	tn_buf_fini(&cut);
}

/* Goal: the pieces of a broken array are bad rows whatever they hold: no
 * remainder can smuggle in a row that decodes. */
static void
test_broken_is_bad(void **unused)
{
	static const struct tn_field f[] = {
		{ "a", { .id = TN_T_INT8 }, false } };
	struct tn_buf body = { 0 };
	const char *parts[] = { "{\"a\":1}", " ", "\n", "{}", "{", "}",
	    "\"", ",", "{\"a\":222}" };
	struct help h;

	(void)unused;
	help_seed();
	for (uint32_t round = 0; round < 3000; round++) {
		tn_buf_clear(&body);
		tn_buf_str(&body, "[{\"a\":0}]x");
		tn_buf_clear(&body);
		tn_buf_str(&body, "[{\"a\":0} ");
		tn_buf_str(&body, parts[help_rnd(2) * 8]);
		for (uint32_t i = help_rnd(9); i > 0; i--)
			tn_buf_str(&body, parts[help_rnd(9)]);
		help_init(&h, TN_CODEC_JSON, f, 1);
		assert_int_equal(help_split(&h.spec, help_slice(&body), 16,
		    help_rnd(9), &h.rows), TN_OK);
		help_decode_rows(&h);
		assert_string_equal(help_code(&h, 0), "");
		for (uint32_t i = 1; i < h.rows.count; i++)
			if (*help_code(&h, i) == 0)
				print_message("<%s> row %u\n",
				    tn_buf_cstr(&body), i);
		for (uint32_t i = 1; i < h.rows.count; i++)
			assert_string_not_equal(help_code(&h, i), "");
		assert_true(h.rows.count > 1);
		help_fini(&h);
	}
	tn_buf_fini(&body);
}

/* Goal: a row of exactly row_bytes_max passes, one byte more is TN_ELIMIT,
 * rows before it are kept and nothing comes after. */
static void
test_limit(void **unused)
{
	static const char *const bodies[] = {
		"{\"a\":1}\n{\"bbbbbbbb\":123}\n{}\n",
		"{\"a\":1}\r\n{\"bbbbbbbb\":1234}\r\n{}\r\n",
		"[{\"a\":1},{\"bbbbbbbb\":1234},{}]",
		"a,b\n1,2\n12345678,12345678\n3,4\n",
		"a,b\n1,2\n\"12345678\",1234567\n3,4\n",
	};
	static const int formats[] = { 1, 1, 0, 2, 2 };
	static const char *const rows[] = {
		"1:{\"a\":1}|2:{\"bbbbbbbb\":123}|3:{}|",
		"1:{\"a\":1}|LIMIT", "1:{\"a\":1}|LIMIT",
		"2:1,2|LIMIT", "2:1,2|LIMIT",
	};
	struct tn_codec_rows r = { 0 };
	struct tn_codec_splitter *s;
	struct tn_codec_spec spec;
	struct tn_slice in = tn_slice_of("xxxxxxxxxxxxxxxxxxxxxxxxxx\n");
	struct tn_buf out = { 0 };

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(bodies); i++)
		for (uint32_t k = 0; k < 20; k++)
			assert_string_equal(split_to_text(
			    (enum tn_codec_format)formats[i], NULL,
			    tn_slice_of(bodies[i]), 16, k, &out), rows[i]);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	s = tn_codec_splitter_new(&spec, 16);
	assert_int_equal(tn_codec_splitter_feed(s, &in, &r, 100), TN_ELIMIT);
	in = tn_slice_of("{}\n");
	assert_int_equal(tn_codec_splitter_feed(s, &in, &r, 100), TN_ELIMIT);
	assert_int_equal(tn_codec_splitter_end(s, &r), TN_ELIMIT);
	assert_int_equal(r.count, 0);
	tn_codec_splitter_free(s);
	tn_codec_splitter_free(NULL);
	tn_codec_rows_fini(&r);
	tn_buf_fini(&out);
}

/* Goal: a body made to be read ahead over and over ends in time about
 * proportional to its size, and a multi-line record after it is refused only
 * because the written budget is spent. */
static void
test_hostile_quotes(void **unused)
{
	struct tn_buf body = { 0 }, out = { 0 };
	size_t lines = 300000;

	(void)unused;
	/* x","y leaves a quote open from a line start and from inside. */
	tn_buf_str(&body, "none\n");
	for (size_t i = 0; i < lines; i++)
		tn_buf_str(&body, "x\",\"y\n");
	split_to_text(TN_CODEC_CSV, "none", help_slice(&body), 4096, 0, &out);
	assert_true(out.n > lines * 6);
	tn_buf_clear(&body);
	/* As many fields as any row may have. */
	for (int i = 0; i < 4000; i++)
		tn_buf_str(&body, i == 0 ? "a" : ",a");
	tn_buf_str(&body, "\n");
	for (size_t i = 0; i < lines; i++)
		tn_buf_str(&body, "x\",\"y\n");
	split_to_text(TN_CODEC_CSV, NULL, help_slice(&body), 65536, 0, &out);
	assert_true(out.n > lines * 6);
	tn_buf_fini(&body);
	tn_buf_fini(&out);
}

/* Goal: the budget for reading ahead in vain is what the README says: a good
 * record of two lines passes before it is spent and is cut after. */
static void
test_budget(void **unused)
{
	struct tn_buf body = { 0 }, out = { 0 };
	const char *got;

	(void)unused;
	for (uint32_t lines = 10; lines <= 5000; lines += 4990) {
		for (uint32_t piece = 0; piece < 2000; piece += 999) {
			tn_buf_clear(&body);
			for (uint32_t i = 0; i < lines; i++)
				tn_buf_str(&body, "x\",\"y\n");
			tn_buf_str(&body, "\"a\nb\",c\n");
			got = split_to_text(TN_CODEC_CSV, "none",
			    help_slice(&body), 4096, piece, &out);
			got = strstr(got, "\"a\n");
			assert_int_equal(got != NULL, lines == 10);
		}
	}
	tn_buf_fini(&body);
	tn_buf_fini(&out);
}

/* Goal: feed stops at raw_max and goes on where it stopped. */
static void
test_raw_max(void **unused)
{
	struct tn_slice in = tn_slice_of("{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
	struct tn_codec_rows rows = { 0 };
	struct tn_codec_spec spec;
	struct tn_codec_splitter *s;

	(void)unused;
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	s = tn_codec_splitter_new(&spec, 100);
	assert_int_equal(tn_codec_splitter_feed(s, &in, &rows, 8), TN_OK);
	assert_int_equal(rows.count, 2);
	assert_int_equal(in.n, 8);
	assert_int_equal(tn_codec_splitter_feed(s, &in, &rows, 8), TN_OK);
	assert_int_equal(in.n, 8);
	tn_codec_rows_clear(&rows);
	assert_int_equal(tn_codec_splitter_feed(s, &in, &rows, 8), TN_OK);
	assert_int_equal(in.n, 0);
	assert_int_equal(rows.count, 1);
	assert_int_equal(rows.line[0], 3);
	tn_codec_splitter_free(s);
	tn_codec_rows_fini(&rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_chunking),
		cmocka_unit_test(test_broken_is_bad),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_hostile_quotes),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_raw_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* CSV from end to end: the csv-spectrum vectors, real files with their known
 * faults, nulls, counts and names. */
#include "codec_help.h"

#define CSV TN_CODEC_CSV

static const struct tn_field ab[] = {
	{ "a", { .id = TN_T_INT8 }, false },
	{ "b", { .id = TN_T_TEXT }, false },
};

/* Row ${r} of the batch holds the texts of ${want}. */
static void
check_twin(const struct help *h, uint32_t r, const struct tn_json *want,
    bool skip_first)
{
	struct tn_slice got;

	for (uint32_t k = skip_first ? 1 : 0; k < want->count; k++) {
		got = tn_column_text(&h->batch->columns[k], r);
		assert_true(tn_slice_eq(want->items[k].text, got));
	}
}

/* Goal: each vector of csv-spectrum reads as its JSON twin says. */
static void
test_spectrum(void **unused)
{
	static const char *const names[] = { "comma_in_quotes", "empty",
	    "empty_crlf", "escaped_quotes", "json", "location_coordinates",
	    "newlines", "newlines_crlf", "quotes_and_newlines", "simple",
	    "simple_crlf", "utf8" };
	const char *dir = DATA "vectors/csv-spectrum";
	struct tn_buf csv = { 0 }, json = { 0 };
	struct tn_field fields[8];
	struct tn_json *root, *first;
	struct tn_arena *a = tn_arena_new(4096);
	char path[300];
	struct help h;

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(names); i++) {
		tn_buf_clear(&csv);
		tn_buf_clear(&json);
		snprintf(path, sizeof path, "%s/csvs/%s.csv", dir, names[i]);
		if (!help_read(path, &csv))
			skip();
		snprintf(path, sizeof path, "%s/json/%s.json", dir, names[i]);
		assert_true(help_read(path, &json));
		assert_int_equal(tn_codec_json_parse(a, help_slice(&json),
		    &root, NULL), TN_OK);
		first = root->kind == TN_JSON_ARRAY ? root->items : root;
		memset(fields, 0, sizeof fields);
		for (uint32_t k = 0; k < first->count; k++) {
			fields[k].name = tn_arena_strndup(a,
			    (const char *)first->keys[k].p,
			    first->keys[k].n);
			fields[k].type.id = TN_T_TEXT;
		}
		help_init(&h, CSV, fields, first->count);
		help_decode_slice(&h, help_slice(&csv));
		assert_int_equal(h.error_count, 0);
		assert_int_equal(h.batch->rows,
		    root->kind == TN_JSON_ARRAY ? root->count : 1);
		/* The twin of "location..." has another number. */
		for (uint32_t r = 0; r < h.batch->rows; r++)
			check_twin(&h, r, &first[r], *names[i] == 'l');
		help_fini(&h);
	}
	tn_buf_fini(&csv);
	tn_buf_fini(&json);
	tn_arena_free(a);
}

/* Goal: of each Calit2 file exactly the two lines that are a lone quote are
 * bad, with their line numbers, and the sums are the known ones. */
static void
test_calit2(void **unused)
{
	static const struct tn_field f[] = {
		{ "ts", { .id = TN_T_TIMESTAMPTZ }, false },
		{ "n", { .id = TN_T_INT4 }, false },
	};
	static const char *const paths[] = { DATA "calit2/cal-inflow.csv",
	    DATA "calit2/cal-outflow.csv" };
	static const uint32_t lines[][2] = { { 3994, 4745 }, { 3994, 4746 } };
	struct tn_buf file = { 0 };
	struct help h;
	int64_t sum;

	(void)unused;
	help_seed();
	for (int i = 0; i < 2; i++) {
		tn_buf_clear(&file);
		if (!help_read(paths[i], &file))
			skip();
		for (uint32_t piece = 0; piece < 5000; piece += 1777) {
			help_init(&h, CSV, f, 2);
			if (piece != 1777)
				help_set(&h, "columns", "ts,n");
			help_set(&h, "header", "false");
			help_set(&h, "time_format", "%m/%d/%y %H:%M:%S");
			assert_int_equal(help_split(&h.spec,
			    help_slice(&file), 1 << 20, piece, &h.rows),
			    TN_OK);
			help_decode_rows(&h);
			assert_int_equal(h.rows.count, 5041);
			assert_int_equal(h.error_count, 2);
			for (int k = 0; k < 2; k++) {
				assert_int_equal(h.rows.line[
				    h.errors[k].row], lines[i][k]);
				assert_string_equal(h.errors[k].code,
				    "csv_syntax");
			}
			sum = 0;
			for (uint32_t r = 0; r < h.batch->rows; r++)
				sum += ((const int32_t *)
				    h.batch->columns[1].values)[r];
			assert_true(sum > 10000);
			assert_string_equal(help_value(&h, 0, 0),
			    "2005-07-24 00:00:00+00");
			help_fini(&h);
		}
	}
	tn_buf_fini(&file);
}

/* Goal: the UCI files, whose header is one name short, load with columns=
 * and without it say in every row what to do. */
static void
test_uci(void **unused)
{
	static const struct tn_field f[] = {
		{ "date", { .id = TN_T_TIMESTAMP }, false },
		{ "temperature", { .id = TN_T_FLOAT8 }, false },
		{ "occupancy", { .id = TN_T_BOOL }, false },
	};
	struct tn_buf file = { 0 };
	struct help h;

	(void)unused;
	if (!help_read(DATA "uci-occupancy/datatraining.txt", &file))
		skip();
	help_init(&h, CSV, f, 3);
	help_decode_slice(&h, help_slice(&file));
	assert_int_equal(h.batch->rows, 8143);
	assert_int_equal(h.error_count, 8143);
	assert_string_equal(h.errors[0].code, "wrong_field_count");
	assert_string_equal(h.errors[0].message, "found 8 fields, the header "
	    "names 7; use columns=a,b,... to name every field");
	help_fini(&h);
	help_init(&h, CSV, f, 3);
	help_set(&h, "columns", "row,date,temperature,humidity,light,co2,"
	    "ratio,occupancy");
	help_decode_slice(&h, help_slice(&file));
	assert_int_equal(h.batch->rows, 8143);
	assert_int_equal(h.error_count, 0);
	assert_string_equal(help_value(&h, 0, 0), "2015-02-04 17:51:00");
	assert_string_equal(help_value(&h, 8142, 1), "21.1");
	assert_string_equal(help_value(&h, 8142, 2), "true");
	help_fini(&h);
	tn_buf_fini(&file);
}

/* Goal: a file with LF and CRLF mixed and empty last fields reads without a
 * bad row (NYC taxi sample). */
static void
test_taxi(void **unused)
{
	static const struct tn_field f[] = {
		{ "pickup_datetime", { .id = TN_T_TIMESTAMP }, false },
		{ "total_amount", { .id = TN_T_NUMERIC, .precision = 10,
		    .scale = 2 }, false },
		{ "congestion_surcharge", { .id = TN_T_FLOAT8 }, false },
	};
	struct tn_buf file = { 0 };
	struct help h;

	(void)unused;
	if (!help_read(DATA "taxi-2019/yellow_tripdata_sample_2019-01.csv",
	    &file))
		skip();
	help_init(&h, CSV, f, 3);
	help_decode_slice(&h, help_slice(&file));
	assert_int_equal(h.batch->rows, 10000);
	assert_int_equal(h.error_count, 0);
	assert_string_equal(help_value(&h, 0, 0), "2019-01-15 03:36:12");
	assert_string_equal(help_value(&h, 0, 1), "9.75");
	assert_string_equal(help_value(&h, 0, 2), "NULL");
	assert_string_equal(help_value(&h, 9999, 2), "0");
	help_fini(&h);
	tn_buf_fini(&file);
}

static const struct csv_case {
	const char *options;     /* name=value, blanks between */
	const char *body;
	const char *want;        /* a/b or !code a row, | between */
} cases[] = {
	{ "", "a,b\n1,x\n,\n2,\"\"\n", "1/x|NULL/NULL|2/" },
	{ "", " a , b \n1,x\n", "1/x" },
	{ "", "b,\"a\"\nx,1\n", "1/x" },
	{ "", "a,b,a\n1,x,2\n", "2/x" },
	{ "", "a,b\n1\n1,2,3\n\n4,5\n",
	    "!wrong_field_count|!wrong_field_count|4/5" },
	{ "", "a,b\nx,1,2\n", "!wrong_field_count" },
	{ "", "a,b\n1,\"x\"y\n", "!csv_syntax" },
	{ "", "a,b\nzz,\"x\"y\n", "!csv_syntax" },
	{ "", "a,b\n1,x\"y\"\n", "1/x\"y\"" },
	{ "", "a,b\n 1 , x\n", "1/ x" },
	{ "", "a,b\n 1 , \n", "1/ " },
	{ "", "a,b\n  ,x\n", "NULL/x" },
	{ "", "a,b\n1,x\xff\n", "!bad_utf8" },
	{ "", "zz,b\n1,x\n", "NULL/x" },
	{ "", "a,b,\n1,x,\n", "1/x" },
	{ "header=false", "1,x\n2,y\n", "1/x|2/y" },
	{ "header=false", "1\n1,x\n", "!wrong_field_count|1/x" },
	{ "null=NA", "a,b\nNA,NA\n,\n1,\"NA\"\n", "NULL/NULL|NULL/|1/NA" },
	{ "delimiter=;", "a;b\n1;\"x;\"\n", "1/x;" },
	{ "delimiter=tab", "a\tb\n1\tx\n", "1/x" },
	{ "columns=b,a", "a,b\nx,1\n", "1/x" },
	{ "columns=b,a header=false", "x,1\n", "1/x" },
	{ "rename=a:z", "z,a,b\n1,2,x\n", "1/x" },
	{ "rename=a:z rename=b:z", "z\n1\n", "1/1" },
	{ "constant=b:k", "a,b\n1,x\n", "1/k" },
	{ "constant=b:", "a\n1\n", "1/" },
};

/* Goal: the written rules on nulls, counts, names and options hold. */
static void
test_cases(void **unused)
{
	struct tn_buf out = { 0 };
	char options[128], *o, *value, *save;
	struct help h;

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		help_init(&h, CSV, ab, 2);
		snprintf(options, sizeof options, "%s", cases[i].options);
		for (o = strtok_r(options, " ", &save); o != NULL;
		    o = strtok_r(NULL, " ", &save)) {
			value = strchr(o, '=');
			*value = 0;
			help_set(&h, o, value + 1);
		}
		help_decode(&h, cases[i].body);
		tn_buf_clear(&out);
		for (uint32_t r = 0; r < h.batch->rows; r++) {
			tn_buf_str(&out, r > 0 ? "|" : "");
			if (*help_code(&h, r) != 0) {
				tn_buf_printf(&out, "!%s", help_code(&h, r));
				continue;
			}
			tn_buf_printf(&out, "%s/", help_value(&h, r, 0));
			tn_buf_str(&out, help_value(&h, r, 1));
		}
		assert_string_equal(tn_buf_cstr(&out), cases[i].want);
		help_fini(&h);
	}
	tn_buf_fini(&out);
}

/* Goal: one decoder and spec read bodies with other headers one after the
 * other, each by its own. */
static void
test_next_header(void **unused)
{
	struct help h;

	(void)unused;
	help_init(&h, CSV, ab, 2);
	for (int i = 0; i < 20; i++) {
		help_decode(&h, i % 2 != 0 ? "b,a\nx,1\n" : "a,b\n1,x\n");
		assert_int_equal(h.error_count, 0);
		assert_string_equal(help_value(&h, 0, 0), "1");
		assert_string_equal(help_value(&h, 0, 1), "x");
	}
	help_fini(&h);
}

/* Goal: a zero byte in a line makes a bad row, not a cut text. */
static void
test_nul(void **unused)
{
	struct help h;

	(void)unused;
	help_init(&h, CSV, ab, 2);
	help_decode_slice(&h, (struct tn_slice){
	    (const uint8_t *)"a,b\n1,x\0y\n2,z\n", 14 });
	assert_string_equal(help_code(&h, 0), "nul_character");
	assert_string_equal(help_value(&h, 1, 1), "z");
	help_fini(&h);
}

/* Goal: one bad byte anywhere in a good file spoils at most its own line and
 * a neighbour: all other rows are as before. */
static void
test_one_bad_byte(void **unused)
{
	struct tn_buf good = { 0 }, bad = { 0 };
	uint32_t same, at;
	struct help g, h;
	char want[64];

	(void)unused;
	help_seed();
	tn_buf_str(&good, "a,b\n");
	for (int i = 0; i < 50; i++)
		tn_buf_printf(&good, i % 3 == 0 ? "\"%d\",\"x%d\"\n" :
		    "%d,x%d\n", i, i);
	for (int round = 0; round < 3000; round++) {
		tn_buf_clear(&bad);
		tn_buf_add(&bad, good.p, good.n);
		at = 4 + help_rnd((uint32_t)good.n - 4);
		bad.p[at] = (uint8_t)"\",\n\rx"[help_rnd(5)];
		help_init(&h, CSV, ab, 2);
		help_decode_slice(&h, help_slice(&bad));
		same = 0;
		for (uint32_t r = 0; r < h.batch->rows; r++) {
			if (*help_code(&h, r) != 0 ||
			    !tn_column_valid(&h.batch->columns[0], r))
				continue;
			snprintf(want, sizeof want, "x%lld", (long long)
			    ((const int64_t *)h.batch->columns[0].values)[r]);
			same += strcmp(help_value(&h, r, 1), want) == 0;
		}
		assert_true(same >= 48);
		help_fini(&h);
	}
	help_init(&g, CSV, ab, 2);
	help_decode_slice(&g, help_slice(&good));
	assert_int_equal(g.error_count, 0);
	help_fini(&g);
	tn_buf_fini(&good);
	tn_buf_fini(&bad);
}

/* Goal: more names than TN_CODEC_FIELDS_MAX are refused, not half taken. */
static void
test_many_names(void **unused)
{
	struct tn_codec_rows rows = { 0 };
	struct tn_codec_spec spec;
	struct tn_buf body = { 0 };

	(void)unused;
	for (int n = 4096; n <= 4097; n++) {
		tn_buf_clear(&body);
		for (int i = 0; i < n; i++)
			tn_buf_printf(&body, "%sc%d", i > 0 ? "," : "", i);
		tn_buf_str(&body, "\n");
		tn_codec_spec_init(&spec, CSV);
		assert_int_equal(help_split(&spec, help_slice(&body),
		    1 << 20, 0, &rows), n == 4096 ? TN_OK : TN_ELIMIT);
		assert_int_equal(spec.column_count, n == 4096 ? n : 0);
		tn_codec_spec_fini(&spec);
	}
	tn_codec_rows_fini(&rows);
	tn_buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spectrum),
		cmocka_unit_test(test_calit2),
		cmocka_unit_test(test_uci),
		cmocka_unit_test(test_taxi),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_next_header),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_one_bad_byte),
		cmocka_unit_test(test_many_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

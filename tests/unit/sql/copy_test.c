/* COPY: what it takes, and how it refuses. */
#include "test.h"

#include "fixture.h"

static const struct tn_sql_copy *
parse(struct tn_arena *a, struct tn_sql_pipeline *p, const char *text,
    struct tn_diag *d)
{
	const struct tn_sql_copy *copy = NULL;
	enum tn_status st = tn_sql_copy_parse(p, tn_slice_of(text), a, &copy,
	    d);

	assert_int_equal(st == TN_OK, copy != NULL);
	assert_true(tn_sql_is_copy(tn_slice_of(text)));
	return copy;
}

/* Goal: rows, path and format of TO. */
static void
takes_to(void **state)
{
	static const struct {
		const char *text, *path;
		enum tn_sql_copy_format format;
		uint32_t columns;
		bool no_header;
	} cases[] = {
		{ "COPY (SELECT office, n FROM badge) TO '/a/x.parquet'",
		    "/a/x.parquet", TN_SQL_COPY_PARQUET, 2, false },
		{ "copy hourly to 'x.csv' WITH (HEADER false)", "x.csv",
		    TN_SQL_COPY_CSV, 3, true },
		{ "COPY hourly (visits) TO 'x' (FORMAT ndjson)", "x",
		    TN_SQL_COPY_NDJSON, 1, false },
		{ "/* c */ COPY (SELECT n FROM k) TO 'y.jsonl';", "y.jsonl",
		    TN_SQL_COPY_NDJSON, 1, false },
		{ "COPY people TO 'x.csv' (FORMAT 'PARQUET')", "x.csv",
		    TN_SQL_COPY_PARQUET, 4, false },
		{ "COPY people TO 'x.csv' WITH CSV HEADER", "x.csv",
		    TN_SQL_COPY_CSV, 4, false },
		{ "COPY k (\"Odd Name\") TO 'x.csv'", "x.csv",
		    TN_SQL_COPY_CSV, 1, false },
	};
	struct tn_sql_pipeline *p = load_fixture();

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };
		const struct tn_sql_copy *c = parse(a, p, cases[i].text, &d);

		if (c == NULL)
			fail_msg("%s: %s", cases[i].text, d.message);
		assert_false(c->from);
		assert_string_equal(c->path, cases[i].path);
		assert_int_equal(c->format, cases[i].format);
		assert_non_null(c->select);
		assert_int_equal(c->select->schema->count, cases[i].columns);
		assert_int_equal(c->no_header, cases[i].no_header);
		tn_arena_free(a);
	}
	tn_sql_pipeline_free(p);
}

static const char *
option(const struct tn_sql_copy *c, const char *name)
{
	for (uint32_t i = 0; i < c->option_count; i++)
		if (strcmp(c->options[i].name, name) == 0)
			return c->options[i].value;
	return NULL;
}

/* Goal: options of FROM are those of a load. */
static void
takes_from(void **state)
{
	struct tn_sql_pipeline *p = load_fixture();
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_diag d = { .line = 0 };
	const struct tn_sql_copy *c = parse(a, p, "COPY badge (ts, \"a,b\") "
	    "FROM 'x.txt' WITH (FORMAT csv, DELIMITER ';', NULL 'n/a', HEADER "
	    "off, time_format '%d.%m.%Y', rename 'office:o')", &d);

	(void)state;
	if (c == NULL)
		fail_msg("%s", d.message);
	assert_true(c->from);
	assert_string_equal(c->table, "badge");
	assert_int_equal(c->format, TN_SQL_COPY_CSV);
	assert_string_equal(option(c, "columns"), "\"ts\",\"a,b\"");
	assert_string_equal(option(c, "delimiter"), ";");
	assert_string_equal(option(c, "null"), "n/a");
	assert_string_equal(option(c, "header"), "false");
	assert_string_equal(option(c, "time_format"), "%d.%m.%Y");
	assert_string_equal(option(c, "rename"), "office:o");
	c = parse(a, p, "COPY badge FROM '/x.parquet'", &d);
	assert_non_null(c);
	assert_int_equal(c->format, TN_SQL_COPY_ANY);
	assert_int_equal(c->option_count, 0);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: what is not done is refused with words, never ignored. */
static void
refuses(void **state)
{
	static const char *const cases[] = {
		"COPY badge TO STDOUT", "COPY badge FROM STDIN",
		"COPY badge TO PROGRAM 'cat'", "COPY badge TO 'x'",
		"COPY badge TO 'x.csv.gz'", "COPY badge TO 'x.json'",
		"COPY badge TO 'x.csv' (DELIMITER ';')",
		"COPY badge TO 'x.csv' (FORMAT binary)",
		"COPY badge TO 'x.json' (FORMAT json)",
		"COPY nothing TO 'x.csv'", "COPY nothing FROM 'x.csv'",
		"COPY hourly FROM 'x.csv'", "COPY badge (nothing) TO 'x.csv'",
		"COPY badge FROM 'x.csv' WHERE n > 1",
		"COPY (SELECT nothing FROM badge) TO 'x.csv'",
		"COPY badge TO 'x.csv'; SELECT 1", "COPY", "COPY badge",
	};
	struct tn_sql_pipeline *p = load_fixture();

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };

		if (parse(a, p, cases[i], &d) != NULL)
			fail_msg("%s was taken", cases[i]);
		assert_true(d.message[0] != '\0');
		tn_arena_free(a);
	}
	assert_false(tn_sql_is_copy(tn_slice_of("SELECT 1")));
	assert_false(tn_sql_is_copy(tn_slice_of("copying")));
	tn_sql_pipeline_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_to),
		cmocka_unit_test(takes_from),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A table of the program's own beside those of a pipeline: views read it; a
 * table or view of the same name, or the setting, leaves it and its comment
 * out. */
#include "test.h"

#include "sql/sql.h"

static const struct tn_sql_builtin *
own(void)
{
	static struct tn_sql_builtin b;

	b = (struct tn_sql_builtin){ { "built in", tn_slice_of(
	    "CREATE TABLE files (id text PRIMARY KEY, n int);\n"
	    "COMMENT ON TABLE files IS 'ours';") }, "files_on" };
	return &b;
}

static struct tn_sql_pipeline *
load(const char *text)
{
	struct tn_sql_source src = { "a.sql", tn_slice_of(text) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_sql_load_with(&p, &src, 1, own(), &d);

	if (st != TN_OK)
		print_error("%u:%u %s\n", d.line, d.column, d.message);
	assert_int_equal(st, TN_OK);
	return p;
}

/* Goal: it is there, says so, and may be read by a view. */
static void
test_there(void **state)
{
	struct tn_sql_pipeline *p = load("CREATE MATERIALIZED VIEW v AS "
	    "SELECT count(*) AS c FROM files; CREATE TABLE s (n int);");
	const struct tn_sql_table *t = tn_sql_table(p, tn_slice_of("files"));

	(void)state;
	assert_int_equal(p->table_count, 2);
	assert_true(t->builtin);
	assert_string_equal(t->comment, "ours");
	assert_false(tn_sql_table(p, tn_slice_of("s"))->builtin);
	tn_sql_pipeline_free(p);
}

/* Goal: the user's name wins; comments stay with whose table it is. */
static void
test_passed_over(void **state)
{
	static const char *const texts[] = {
		"CREATE TABLE files (x int); COMMENT ON TABLE files IS 'mine';",
		"COMMENT ON TABLE files IS 'mine'; CREATE TABLE files (x int);",
	};
	struct tn_sql_pipeline *p;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(texts); i++) {
		const struct tn_sql_table *t;
		p = load(texts[i]);
		t = tn_sql_table(p, tn_slice_of("files"));
		assert_int_equal(p->table_count, 1);
		assert_false(t->builtin);
		assert_string_equal(t->schema->fields[0].name, "x");
		assert_string_equal(t->comment, "mine");
		tn_sql_pipeline_free(p);
	}
	p = load("CREATE TABLE s (n int); CREATE MATERIALIZED VIEW files AS "
	    "SELECT count(*) AS c FROM s;");
	assert_int_equal(p->table_count, 1);
	assert_null(tn_sql_table(p, tn_slice_of("files")));
	tn_sql_pipeline_free(p);
	p = load("CREATE TABLE s (n int); ALTER SYSTEM SET files_on = 'off';");
	assert_int_equal(p->table_count, 1);
	tn_sql_pipeline_free(p);
	p = load("CREATE TABLE s (n int); ALTER SYSTEM SET files_on = 'on';");
	assert_int_equal(p->table_count, 2);
	tn_sql_pipeline_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there),
		cmocka_unit_test(test_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

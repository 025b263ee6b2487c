#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "dump.h"
#include "fixture.h"

static struct tn_sql_pipeline *
load(const char *text)
{
	struct tn_sql_source src = { "t.sql", tn_slice_of(text) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d;

	if (tn_sql_load(&p, &src, 1, &d) != TN_OK)
		print_error("%u:%u %s: %s\n", d.line, d.column, d.code,
		    d.message);
	assert_non_null(p);
	return p;
}

static const struct tn_sql_table *
table(const struct tn_sql_pipeline *p, const char *name)
{
	const struct tn_sql_table *t = tn_sql_table(p, tn_slice_of(name));

	assert_non_null(t);
	return t;
}

static const struct tn_sql_view *
view(const struct tn_sql_pipeline *p, const char *name)
{
	const struct tn_sql_view *v = tn_sql_view(p, tn_slice_of(name));

	assert_non_null(v);
	return v;
}

/* The pipeline of the design, as far as this version goes. */
static const char design[] =
    "ALTER SYSTEM SET http_listen = '127.0.0.1:8420';  -- optional\n"
    "CREATE TABLE badge (  -- a stream\n"
    "  event_id    text PRIMARY KEY,\n"
    "  ts          timestamptz NOT NULL,\n"
    "  employee_id text NOT NULL,\n"
    "  office      text NOT NULL,\n"
    "  door        text NOT NULL,\n"
    "  direction   text NOT NULL CHECK (direction IN ('in','out')),\n"
    "  temp_c      double precision CHECK (temp_c BETWEEN -40 AND 60)\n"
    ") WITH (event_time = 'ts', dedupe_window = '7 days',\n"
    "  retention = '400 days');\n"
    "CREATE TABLE employees (employee_id text PRIMARY KEY, team text)\n"
    "  WITH (kind = 'reference');\n"
    "CREATE MATERIALIZED VIEW visits_hourly AS\n"
    "SELECT office, date_bin('1 hour', ts, 'epoch') AS hour,\n"
    "       count(*) AS visits,\n"
    "       count(*) FILTER (WHERE direction = 'in') AS entries,\n"
    "       count(DISTINCT employee_id) AS people\n"
    "FROM badge GROUP BY office, hour;\n"
    "COMMENT ON TABLE badge IS 'Door readers. Owner: facilities.';\n";

/* Goal: the design's example loads, and its tables and view are what it
 * says. */
static void
design_loads(void **state)
{
	struct tn_sql_pipeline *p = load(design);
	const struct tn_sql_table *t = table(p, "badge");
	const struct tn_sql_view *v = view(p, "visits_hourly");

	(void)state;
	assert_int_equal(p->table_count, 2);
	assert_int_equal(p->view_count, 1);
	assert_int_equal(t->kind, TN_SQL_STREAM);
	assert_int_equal(t->schema->count, 7);
	assert_int_equal(t->key_count, 1);
	assert_int_equal(t->key[0], 0);
	assert_true(t->schema->fields[0].not_null);
	assert_false(t->schema->fields[6].not_null);
	assert_int_equal(t->event_time, 1);
	assert_int_equal(t->dedupe_window_us, INT64_C(7) * 86400000000);
	assert_int_equal(t->retention_us, INT64_C(400) * 86400000000);
	assert_int_equal(t->max_future_skew_us, INT64_C(3600000000));
	assert_string_equal(t->comment, "Door readers. Owner: facilities.");
	assert_int_equal(table(p, "employees")->kind, TN_SQL_REFERENCE);
	assert_int_equal(v->select->agg_count, 3);
	assert_int_equal(v->group_output[0], 0);
	assert_int_equal(v->group_output[1], 1);
	assert_int_equal(v->select->bucket_group, 1);
	assert_int_equal(v->select->bucket_us, INT64_C(3600000000));
	assert_int_equal(p->setting_count, 1);
	assert_string_equal(p->settings[0].name, "http_listen");
	assert_string_equal(p->settings[0].value, "127.0.0.1:8420");
	assert_string_equal(p->settings[0].file, "t.sql");
	assert_int_equal(p->settings[0].line, 1);
	tn_sql_pipeline_free(p);
}

/* Goal: checks are named as PostgreSQL names them, and carry their text as
 * written and the first column. */
static void
checks_have_names(void **state)
{
	struct tn_sql_pipeline *p = load("CREATE TABLE t (a int CHECK (a > "
	    "1) CHECK ( a <  /* b */ 9 ), b text CONSTRAINT mine CHECK (b "
	    "LIKE '(%'),\nCHECK (a > length(b)), CHECK (a <> 5), CHECK "
	    "(1 < 2), CHECK (b <> 'x' AND a > 2))");
	const struct tn_sql_table *t = table(p, "t");
	static const char *const want[][3] = {
		{ "t_a_check", "a > 1", "a" },
		{ "t_a_check1", "a <  /* b */ 9", "a" },
		{ "mine", "b LIKE '(%'", "b" },
		{ "t_check", "a > length(b)", "a" },
		{ "t_a_check2", "a <> 5", "a" },
		{ "t_check1", "1 < 2", NULL },
		{ "t_check2", "b <> 'x' AND a > 2", "b" },
	};

	(void)state;
	assert_int_equal(t->check_count, 7);
	for (uint32_t i = 0; i < 7; i++) {
		assert_string_equal(t->checks[i].name, want[i][0]);
		assert_string_equal(t->checks[i].text, want[i][1]);
		if (want[i][2] != NULL)
			assert_string_equal(t->checks[i].column,
			    want[i][2]);
		else
			assert_null(t->checks[i].column);
		assert_int_equal(t->checks[i].expr->type.id, TN_T_BOOL);
	}
	tn_sql_pipeline_free(p);
}

/* Goal: a check's name never passes 63 bytes; the longer part is cut. */
static void
check_names_are_cut(void **state)
{
	char text[400], name[61], column[61];
	struct tn_sql_pipeline *p;

	(void)state;
	memset(name, 't', 60);
	memset(column, 'c', 60);
	name[60] = column[60] = '\0';
	(void)snprintf(text, sizeof text, "CREATE TABLE %s (%s int CHECK "
	    "(%s > 1) CHECK (%s < 9))", name, column, column, column);
	p = load(text);
	assert_int_equal(strlen(p->tables[0]->checks[0].name), 63);
	assert_int_equal(strlen(p->tables[0]->checks[1].name), 63);
	assert_non_null(strstr(p->tables[0]->checks[0].name, "_check"));
	assert_non_null(strstr(p->tables[0]->checks[1].name, "_check1"));
	tn_sql_pipeline_free(p);
}

static void
expect_expr(const struct tn_sql_expr *e, const char *want)
{
	struct tn_buf b = { 0 };

	dump_expr(&b, e);
	assert_string_equal(tn_buf_cstr(&b), want);
	tn_buf_fini(&b);
}

/* Goal: DEFAULT and GENERATED have the column's type, and an event time may
 * be put together from a day and a time of day. */
static void
values_have_types(void **state)
{
	struct tn_sql_pipeline *p = load("CREATE TABLE t (\n"
	    "a smallint DEFAULT 7, b numeric(6,2) DEFAULT 1.005,\n"
	    "c timestamptz DEFAULT now(), d date DEFAULT current_date,\n"
	    "e text DEFAULT 'x', f jsonb DEFAULT '{\"b\":1}', g int DEFAULT "
	    "NULL, day date, minute int,\n"
	    "at timestamptz GENERATED ALWAYS AS ((day + minute * interval "
	    "'1 minute') AT TIME ZONE 'Europe/Berlin') STORED,\n"
	    "half int GENERATED ALWAYS AS (minute / 2.0) STORED,\n"
	    "neg int DEFAULT -5, tags varchar(3) DEFAULT 'abc')\n"
	    "WITH (event_time = at, max_future_skew = 0)");
	const struct tn_sql_table *t = table(p, "t");

	(void)state;
	expect_expr(t->defaults[0], "7:smallint");
	expect_expr(t->defaults[1], "1.01:numeric(6,2)");
	expect_expr(t->defaults[2], "NOW():timestamp with time zone");
	expect_expr(t->defaults[3], "CAST(NOW():timestamp with time "
	    "zone):date");
	expect_expr(t->defaults[4], "x:text");
	expect_expr(t->defaults[5], "{\"b\": 1}:jsonb");
	expect_expr(t->defaults[6], "null:integer");
	assert_null(t->defaults[7]);
	expect_expr(t->defaults[11], "-5:integer");
	expect_expr(t->defaults[12], "abc:character varying(3)");
	expect_expr(t->generated[9], "TIMEZONE(Europe/Berlin:text, TS_ADD("
	    "CAST($7):timestamp without time zone, INTERVAL_MUL(00:01:00:"
	    "interval, CAST($8):double precision):interval):timestamp "
	    "without time zone):timestamp with time zone");
	expect_expr(t->generated[10], "CAST(DIV(CAST($8):numeric(38,0), "
	    "2.0:numeric(38,1)):numeric(38,16)~):integer");
	assert_int_equal(t->event_time, 9);
	assert_true(t->schema->fields[9].not_null);
	assert_int_equal(t->max_future_skew_us, 0);
	assert_int_equal(t->retention_us, 0);
	tn_sql_pipeline_free(p);
}

/* Goal: sort_by is a list of columns in the order given. */
static void
sort_by_columns(void **state)
{
	struct tn_sql_pipeline *p = load("CREATE TABLE t (a int, b text, "
	    "\"C c\" date, at timestamptz) WITH (event_time = 'at', "
	    "sort_by = ' C c ,a,  at')");
	const struct tn_sql_table *t = table(p, "t");

	(void)state;
	assert_int_equal(t->sort_count, 3);
	assert_int_equal(t->sort_by[0], 2);
	assert_int_equal(t->sort_by[1], 0);
	assert_int_equal(t->sort_by[2], 3);
	tn_sql_pipeline_free(p);
}

/* Goal: a view may keep its numbers for a time, and for ever by default; that
 * is no part of its definition. */
static void
view_retention(void **state)
{
	static const char body[] = " AS SELECT date_trunc('day', at) AS d, "
	    "count(*) AS n FROM t GROUP BY d";
	static const struct {
		const char *option;
		int64_t us;
	} cases[] = { { "", 0 }, { " WITH (retention = 'forever')", 0 },
		{ " WITH (retention = '90 days')",
		    INT64_C(90) * 86400000000 } };
	char text[300], *first = NULL;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_sql_pipeline *p;
		(void)snprintf(text, sizeof text, "CREATE TABLE t (at "
		    "timestamptz); CREATE MATERIALIZED VIEW v%s%s",
		    cases[i].option, body);
		p = load(text);
		assert_int_equal(view(p, "v")->retention_us, cases[i].us);
		if (first == NULL)
			first = tn_strdup(view(p, "v")->definition);
		assert_string_equal(view(p, "v")->definition, first);
		tn_sql_pipeline_free(p);
	}
	tn_free(first);
}

/* Goal: the order of files and statements does not matter. */
static void
order_does_not_matter(void **state)
{
	struct tn_sql_source src[3] = {
		{ "1.sql", tn_slice_of("COMMENT ON COLUMN v.n IS 'how many';"
		    " COMMENT ON MATERIALIZED VIEW v IS 'all';") },
		{ "2.sql", tn_slice_of("CREATE MATERIALIZED VIEW v AS SELECT"
		    " team, count(*) AS n FROM s JOIN r USING (id) GROUP BY "
		    "team;;") },
		{ "3.sql", tn_slice_of("\xef\xbb\xbf/* bom */ CREATE TABLE r"
		    " (id int PRIMARY KEY, team text) WITH (kind = "
		    "reference); CREATE TABLE s (id int)") },
	};
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d;

	(void)state;
	assert_int_equal(tn_sql_load(&p, src, 3, &d), TN_OK);
	assert_string_equal(view(p, "v")->comment, "all");
	assert_string_equal(view(p, "v")->column_comments[1], "how many");
	assert_null(view(p, "v")->column_comments[0]);
	assert_string_equal(p->tables[0]->name, "r");
	assert_string_equal(p->tables[1]->name, "s");
	tn_sql_pipeline_free(p);
}

/* Goal: a definition does not change with blanks, comments, letter case of
 * words, COMMENT ON, or how a view is shown; it changes with anything
 * else. */
static void
definitions_are_canonical(void **state)
{
	static const char *const same[] = {
		"CREATE TABLE t (a int CHECK (a>-1), b text DEFAULT 'It''s');"
		"CREATE MATERIALIZED VIEW v AS SELECT b, sum(a) AS n FROM t "
		"GROUP BY b",
		"create  table T(\n A INT check(a > - 1) -- note\n,b TEXT "
		"default /* x /* y */ */ 'It''s');COMMENT ON TABLE t IS 'z';"
		"create materialized view V with (title = 'N', overview = "
		"line) as select B,Sum(a) n2 from T group by b",
	};
	static const char *const other[] = {
		"CREATE TABLE t (a int CHECK (a>-2), b text DEFAULT 'It''s')",
		"CREATE TABLE t (a int CHECK (a>-1), b text DEFAULT 'it''s')",
		"CREATE TABLE t (a int CHECK (a>-1), b text)",
		"CREATE TABLE t (a int CHECK (a>-1), b text DEFAULT 'It' \n"
		"'s')",
	};
	struct tn_sql_pipeline *p = load(same[0]);
	struct tn_sql_pipeline *q = load(same[1]);

	(void)state;
	assert_string_equal(table(p, "t")->definition,
	    table(q, "t")->definition);
	assert_string_equal(view(p, "v")->definition, "create materialized "
	    "view v as select b, sum (a) as n from t group by b");
	assert_string_equal(view(q, "v")->definition, "create materialized "
	    "view v as select b, sum (a) n2 from t group by b");
	for (size_t i = 0; i < TN_COUNT(other); i++) {
		struct tn_sql_pipeline *r = load(other[i]);

		assert_string_not_equal(table(p, "t")->definition,
		    table(r, "t")->definition);
		tn_sql_pipeline_free(r);
	}
	tn_sql_pipeline_free(p);
	tn_sql_pipeline_free(q);
}

/* Goal: a definition loads again as itself. */
static void
definitions_load_again(void **state)
{
	struct tn_sql_pipeline *p = load(fixture_text), *q;
	struct tn_buf all = { 0 };

	(void)state;
	for (uint32_t i = 0; i < p->table_count; i++)
		tn_buf_printf(&all, "%s;\n", p->tables[i]->definition);
	for (uint32_t i = 0; i < p->view_count; i++)
		tn_buf_printf(&all, "%s;\n", p->views[i]->definition);
	q = load(tn_buf_cstr(&all));
	assert_int_equal(p->table_count, q->table_count);
	for (uint32_t i = 0; i < p->table_count; i++)
		assert_string_equal(p->tables[i]->definition,
		    q->tables[i]->definition);
	assert_string_equal(p->views[0]->definition,
	    q->views[0]->definition);
	tn_sql_pipeline_free(p);
	tn_sql_pipeline_free(q);
	tn_buf_fini(&all);
}

/* Goal: options of a view are kept as pairs, in order. */
static void
view_options_are_kept(void **state)
{
	struct tn_sql_pipeline *p = load("CREATE TABLE t (a int, b text, d "
	    "date); CREATE MATERIALIZED VIEW v WITH (overview = 'heatmap', "
	    "x = d, y = 'n, m', series = \"b\", title = 'A ''title''', "
	    "position = 10, unit = 'ppm', description = '') AS SELECT d, b, "
	    "count(*) AS n, max(a) AS m FROM t GROUP BY d, b");
	const struct tn_sql_view *v = view(p, "v");

	(void)state;
	assert_int_equal(v->option_count, 8);
	assert_string_equal(v->options[0].name, "overview");
	assert_string_equal(v->options[0].value, "heatmap");
	assert_string_equal(v->options[2].value, "n, m");
	assert_string_equal(v->options[4].value, "A 'title'");
	assert_string_equal(v->options[5].value, "10");
	assert_string_equal(v->options[7].value, "");
	tn_sql_pipeline_free(p);
}

/* Goal: settings keep their text, whatever their kind. */
static void
settings_are_texts(void **state)
{
	struct tn_sql_pipeline *p = load("ALTER SYSTEM SET a = 5;\n  ALTER "
	    "SYSTEM SET b.c TO on; ALTER SYSTEM SET d = -1.5; ALTER SYSTEM "
	    "SET e = 'x y'; ALTER SYSTEM SET f = true; ALTER SYSTEM SET g = "
	    "-3; ALTER SYSTEM SET h = 0");
	static const char *const want[] = { "5", "on", "-1.5", "x y", "true",
		"-3", "0" };

	(void)state;
	assert_int_equal(p->setting_count, 7);
	for (uint32_t i = 0; i < 7; i++)
		assert_string_equal(p->settings[i].value, want[i]);
	assert_string_equal(p->settings[1].name, "b.c");
	assert_int_equal(p->settings[1].line, 2);
	assert_int_equal(p->settings[1].column, 3);
	tn_sql_pipeline_free(p);
}

/* Goal: a folder gives its .sql files in name order, and a mistake names the
 * file. */
static void
folders_load(void **state)
{
	char dir[] = "/tmp/tarn_sql_XXXXXX", path[100];
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(tn_sql_load_dir(&p, dir, &d), TN_EINVAL);
	assert_string_equal(d.code, "no_files");
	(void)snprintf(path, sizeof path, "%s/a.sql", dir);
	f = fopen(path, "w");
	(void)fputs("CREATE TABLE a (x int);", f);
	(void)fclose(f);
	assert_int_equal(tn_sql_load_dir(&p, dir, &d), TN_OK);
	assert_int_equal(p->table_count, 1);
	tn_sql_pipeline_free(p);
	(void)snprintf(path, sizeof path, "%s/b.sql", dir);
	f = fopen(path, "w");
	(void)fputs("CREATE TABLE b (x int);\nCREATE TABLE c (y itn);", f);
	(void)fclose(f);
	assert_int_equal(tn_sql_load_dir(&p, dir, &d), TN_EINVAL);
	assert_null(p);
	assert_string_equal(d.file, path);
	assert_int_equal(d.line, 2);
	assert_int_equal(d.column, 19);
	assert_non_null(strstr(d.hint, "\"int\""));
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "%s/a.sql", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	assert_int_equal(tn_sql_load_dir(&p, dir, &d), TN_ENOTFOUND);
}

/* Goal: help names every function, and explain every table and view. */
static void
help_is_whole(void **state)
{
	static const char *const names[] = {
#define NAME(id, name, signature, doc) name,
		TN_SQL_FUNCTIONS(NAME)
#undef NAME
	};
	struct tn_sql_pipeline *p = load(design);
	struct tn_buf b = { 0 };

	(void)state;
	tn_sql_help(&b);
	for (size_t i = 0; i < TN_COUNT(names); i++)
		assert_non_null(strstr(tn_buf_cstr(&b), names[i]));
	assert_non_null(strstr(tn_buf_cstr(&b), "WHERE TARN DIFFERS"));
	tn_buf_clear(&b);
	tn_sql_explain(p, &b);
	assert_non_null(strstr(tn_buf_cstr(&b), "stream badge"));
	assert_non_null(strstr(tn_buf_cstr(&b), "view visits_hourly"));
	assert_non_null(strstr(tn_buf_cstr(&b), "2 tables, 1 view: good"));
	/* Which way its exact aggregates go. */
	assert_non_null(strstr(tn_buf_cstr(&b), "exact: count(DISTINCT) kept"));
	assert_non_null(strstr(tn_buf_cstr(&b), "holistic_state_bytes"));
	tn_buf_fini(&b);
	tn_sql_pipeline_free(p);
}

/* Goal: an empty text is an empty pipeline. */
static void
empty_loads(void **state)
{
	struct tn_sql_pipeline *p = load("");

	(void)state;
	assert_int_equal(p->table_count, 0);
	tn_sql_pipeline_free(p);
	p = load(" -- nothing\n;;");
	assert_int_equal(p->view_count, 0);
	tn_sql_pipeline_free(p);
	tn_sql_pipeline_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(design_loads),
		cmocka_unit_test(checks_have_names),
		cmocka_unit_test(check_names_are_cut),
		cmocka_unit_test(values_have_types),
		cmocka_unit_test(sort_by_columns),
		cmocka_unit_test(view_retention),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(definitions_are_canonical),
		cmocka_unit_test(definitions_load_again),
		cmocka_unit_test(view_options_are_kept),
		cmocka_unit_test(settings_are_texts),
		cmocka_unit_test(folders_load),
		cmocka_unit_test(help_is_whole),
		cmocka_unit_test(empty_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "test.h"

#include "dump.h"
#include "fixture.h"

/* A query and its whole plan. */
static const struct {
	const char *text;
	const char *plan;
} cases[] = {
	{ "SELECT * FROM people",
	    "reference people 4/4\n"
	    "out person = $0\n"
	    "out team = $1\n"
	    "out since = $2\n"
	    "out rate = $3\n"
	    "used 0 1 2 3\n" },
	{ "SELECT visits FROM as_of('hourly', 12)",
	    "view hourly 3/3 as of 12:bigint\n"
	    "out visits = $2\n"
	    "used 2\n" },
	{ "SELECT b.n, team FROM as_of('badge', '2026-03-01') b JOIN people "
	    "p ON p.person = b.person",
	    "stream badge 13/17 as of 2026-03-01 00:00:00+00:timestamp with "
	    "time zone\n"
	    "join people at 13 key $2\n"
	    "out n = $8\n"
	    "out team = $14\n"
	    "used 2 8 13 14\n" },
	{ "SELECT people.person FROM as_of('people', date '2026-03-01')",
	    "reference people 4/4 as of 2026-03-01 00:00:00+00:timestamp with "
	    "time zone\n"
	    "out person = $0\n"
	    "used 0\n" },
	{ "SELECT n FROM as_of('badge', now() - interval '1 hour')",
	    "stream badge 13/13 as of TS_SUB(NOW():timestamp with time zone, "
	    "01:00:00:interval):timestamp with time zone\n"
	    "out n = $8\n"
	    "used 8\n" },
	{ "SELECT s.* FROM sizes AS s",
	    "reference sizes 2/2\n"
	    "out id = $0\n"
	    "out label = $1\n"
	    "used 0 1\n" },
	{ "SELECT hour, visits FROM hourly WHERE office = 'berlin' ORDER "
	    "BY hour DESC LIMIT 10 OFFSET 5",
	    "view hourly 3/3\n"
	    "where EQ($0, berlin:text):boolean\n"
	    "out hour = $1\n"
	    "out visits = $2\n"
	    "order 0 desc nulls first\n"
	    "limit 10\n"
	    "offset 5\n"
	    "used 0 1 2\n" },
	{ "SELECT person, team FROM badge JOIN people USING (person)",
	    "stream badge 13/17\n"
	    "join people at 13 key $2\n"
	    "out person = $2\n"
	    "out team = $14\n"
	    "used 2 13 14\n" },
	{ "SELECT * FROM badge b LEFT JOIN people p ON p.person = b.person "
	    "AND p.team <> 'x' AND b.n > 0",
	    "stream badge 13/17\n"
	    "left join people at 13 key $2 rest AND(NE($14, x:text):boolean, "
	    "GT($8, 0:integer):boolean):boolean\n"
	    "out event_id = $0\n"
	    "out ts = $1\n"
	    "out person = $2\n"
	    "out office = $3\n"
	    "out door = $4\n"
	    "out direction = $5\n"
	    "out temp = $6\n"
	    "out amount = $7\n"
	    "out n = $8\n"
	    "out doc = $9\n"
	    "out person = $13\n"
	    "out team = $14\n"
	    "out since = $15\n"
	    "out rate = $16\n"
	    "used 0 1 2 3 4 5 6 7 8 9 13 14 15 16\n" },
	{ "SELECT b.person, d.zone, s.label FROM badge b JOIN doors d ON "
	    "b.door = d.door AND d.office = b.office LEFT JOIN sizes "
	    "s ON s.id = b.n",
	    "stream badge 13/19\n"
	    "join doors at 13 key $3 $4\n"
	    "left join sizes at 17 key $8\n"
	    "out person = $2\n"
	    "out zone = $15\n"
	    "out label = $18\n"
	    "used 2 3 4 8 13 14 15 17 18\n" },
	{ "SELECT zone FROM badge JOIN doors ON doors.office = 'berlin' AND "
	    "doors.door = badge.door",
	    "stream badge 13/17\n"
	    "join doors at 13 key berlin:text $4\n"
	    "out zone = $15\n"
	    "used 4 13 14 15\n" },
	{ "SELECT zone FROM badge JOIN doors ON doors.office = badge.office "
	    "AND doors.door = badge.door AND doors.big = badge.n",
	    "stream badge 13/17\n"
	    "join doors at 13 key $3 $4 rest EQ($16, CAST($8):bigint):boolean\n"
	    "out zone = $15\n"
	    "used 3 4 8 13 14 15 16\n" },
	{ "SELECT label FROM k JOIN sizes ON k.b = sizes.id WHERE label = "
	    "'somewhat longer'",
	    "stream k 20/22\n"
	    "join sizes at 20 key CAST($1):integer\n"
	    "where EQ($21, somewhat longer:text):boolean\n"
	    "out label = $21\n"
	    "used 1 20 21\n" },
	{ "SELECT label FROM people JOIN sizes ON sizes.id = length(people.team)",
	    "reference people 4/6\n"
	    "join sizes at 4 key LENGTH($1):integer\n"
	    "out label = $5\n"
	    "used 1 4 5\n" },
	{ "SELECT office, count(*), count(*) + 1 AS next FROM badge GROUP "
	    "BY office",
	    "stream badge 13/13 aggregated\n"
	    "group $3\n"
	    "agg count* - - bigint\n"
	    "out office = $0\n"
	    "out count = $1\n"
	    "out next = ADD($1, 1:bigint):bigint\n"
	    "used 3\n" },
	{ "SELECT count(*) FROM badge",
	    "stream badge 13/13 aggregated\n"
	    "agg count* - - bigint\n"
	    "out count = $0\n"
	    "used\n" },
	{ "SELECT 1 AS one, 'x' AS x FROM badge HAVING count(*) > 5",
	    "stream badge 13/13 aggregated\n"
	    "agg count* - - bigint\n"
	    "having GT($0, 5:bigint):boolean\n"
	    "out one = 1:integer\n"
	    "out x = x:text\n"
	    "used\n" },
	{ "SELECT office AS o, date_bin('15 minutes', ts, 'epoch') AS slot, "
	    "sum(n), avg(n), sum(amount), avg(amount), sum(temp), avg(temp) "
	    "FROM badge GROUP BY o, slot",
	    "stream badge 13/13 aggregated\n"
	    "group $3\n"
	    "group DATE_BIN(00:15:00:interval, $1, 1970-01-01 00:00:00+00:timestamp "
	    "with time zone):timestamp with time zone\n"
	    "agg sum $8 - bigint\n"
	    "agg avg $8 - numeric(38,16)~\n"
	    "agg sum $7 - numeric(38,2)\n"
	    "agg avg $7 - numeric(38,16)~\n"
	    "agg sum $6 - real\n"
	    "agg avg $6 - double precision\n"
	    "out o = $0\n"
	    "out slot = $1\n"
	    "out sum = $2\n"
	    "out avg = $3\n"
	    "out sum = $4\n"
	    "out avg = $5\n"
	    "out sum = $6\n"
	    "out avg = $7\n"
	    "bucket 1 width 900000000\n"
	    "used 1 3 6 7 8\n" },
	{ "SELECT date_trunc('day', ts) AS d, upper(office) || '!' AS who, "
	    "max(n) FROM badge GROUP BY 1, upper(office)",
	    "stream badge 13/13 aggregated\n"
	    "group DATE_TRUNC(day:text, $1):timestamp with time zone\n"
	    "group UPPER($3):text\n"
	    "agg max $8 - integer\n"
	    "out d = $0\n"
	    "out who = CONCAT_OP($1, !:text):text\n"
	    "out max = $2\n"
	    "bucket 0 width 86400000000\n"
	    "used 1 3 8\n" },
	{ "SELECT date_trunc('month', ts), count(DISTINCT person) FROM badge "
	    "GROUP BY 1 HAVING count(DISTINCT person) > 3 AND date_trunc('month', "
	    "ts) > '2026-01-01'",
	    "stream badge 13/13 aggregated\n"
	    "group DATE_TRUNC(month:text, $1):timestamp with time zone\n"
	    "agg count_distinct $2 - bigint\n"
	    "having AND(GT($1, 3:bigint):boolean, GT($0, 2026-01-01 00:00:00+00:timestamp "
	    "with time zone):boolean):boolean\n"
	    "out date_trunc = $0\n"
	    "out count = $1\n"
	    "bucket 0 width 0\n"
	    "used 1 2\n" },
	{ "SELECT office, count(*) FILTER (WHERE direction = 'in') AS a, "
	    "count(*) FILTER (WHERE direction = 'in') AS b, count(*) "
	    "AS c FROM badge GROUP BY office",
	    "stream badge 13/13 aggregated\n"
	    "group $3\n"
	    "agg count* - - bigint filter EQ($5, in:text):boolean\n"
	    "agg count* - - bigint\n"
	    "out office = $0\n"
	    "out a = $1\n"
	    "out b = $1\n"
	    "out c = $2\n"
	    "used 3 5\n" },
	{ "SELECT first(temp, ts), last(temp, ts), arg_min(person, temp), "
	    "arg_max(person, ts), bool_or(n > 3), bool_and(direction "
	    "= 'in'), approx_count_distinct(person) FROM badge",
	    "stream badge 13/13 aggregated\n"
	    "agg first $6 $1 real\n"
	    "agg last $6 $1 real\n"
	    "agg arg_min $2 $6 text\n"
	    "agg arg_max $2 $1 text\n"
	    "agg bool_or GT($8, 3:integer):boolean - boolean\n"
	    "agg bool_and EQ($5, in:text):boolean - boolean\n"
	    "agg approx_count_distinct $2 - bigint\n"
	    "out first = $0\n"
	    "out last = $1\n"
	    "out arg_min = $2\n"
	    "out arg_max = $3\n"
	    "out bool_or = $4\n"
	    "out bool_and = $5\n"
	    "out approx_count_distinct = $6\n"
	    "used 1 2 5 6 8\n" },
	{ "SELECT stddev(n), var_pop(temp), percentile_cont(0.95) WITHIN "
	    "GROUP (ORDER BY n), percentile_cont(0.95) WITHIN GROUP "
	    "(ORDER BY n DESC) FROM badge",
	    "stream badge 13/13 aggregated\n"
	    "agg stddev_samp CAST($8):double precision - double precision\n"
	    "agg var_pop CAST($6):double precision - double precision\n"
	    "agg percentile_cont CAST($8):double precision - double precision "
	    "0.95\n"
	    "agg percentile_cont CAST($8):double precision - double precision "
	    "0.05\n"
	    "out stddev = $0\n"
	    "out var_pop = $1\n"
	    "out percentile_cont = $2\n"
	    "out percentile_cont = $3\n"
	    "used 6 8\n" },
	{ "SELECT sum(n)::float8 / count(*) AS mean FROM badge",
	    "stream badge 13/13 aggregated\n"
	    "agg sum $8 - bigint\n"
	    "agg count* - - bigint\n"
	    "out mean = DIV(CAST($0):double precision, CAST($1):double precision):double "
	    "precision\n"
	    "used 8\n" },
	{ "SELECT min(DISTINCT n), max(n) FROM badge",
	    "stream badge 13/13 aggregated\n"
	    "agg min $8 - integer\n"
	    "agg max $8 - integer\n"
	    "out min = $0\n"
	    "out max = $1\n"
	    "used 8\n" },
	{ "SELECT office FROM badge GROUP BY office ORDER BY count(*) DESC, "
	    "office NULLS FIRST",
	    "stream badge 13/13 aggregated\n"
	    "group $3\n"
	    "agg count* - - bigint\n"
	    "out office = $0\n"
	    "hidden ?order? = $1\n"
	    "order 1 desc nulls first\n"
	    "order 0 nulls first\n"
	    "used 3\n" },
	{ "SELECT person FROM badge ORDER BY ts DESC NULLS LAST, 1, person "
	    "|| 'x'",
	    "stream badge 13/13\n"
	    "out person = $2\n"
	    "hidden ?order? = $1\n"
	    "hidden ?order? = CONCAT_OP($2, x:text):text\n"
	    "order 1 desc\n"
	    "order 0\n"
	    "order 2\n"
	    "used 1 2\n" },
	{ "SELECT n AS person, person AS n FROM badge ORDER BY n",
	    "stream badge 13/13\n"
	    "out person = $8\n"
	    "out n = $2\n"
	    "order 1\n"
	    "used 2 8\n" },
	{ "SELECT DISTINCT office, door FROM badge ORDER BY 2 LIMIT ALL",
	    "stream badge 13/13\n"
	    "out office = $3\n"
	    "out door = $4\n"
	    "order 1\n"
	    "distinct\n"
	    "used 3 4\n" },
	{ "SELECT n AS office FROM badge GROUP BY n, office",
	    "stream badge 13/13 aggregated\n"
	    "group $8\n"
	    "group $3\n"
	    "out office = $0\n"
	    "used 3 8\n" },
	{ "SELECT day, tm, count(*) FROM k GROUP BY day, tm",
	    "stream k 20/20 aggregated\n"
	    "group $7\n"
	    "group $8\n"
	    "agg count* - - bigint\n"
	    "out day = $0\n"
	    "out tm = $1\n"
	    "out count = $2\n"
	    "bucket 0 width 0\n"
	    "used 7 8\n" },
	{ "SELECT date_trunc('week', ts), date_trunc('day', tz, 'Europe/Berlin') "
	    "AS l, count(*) FROM k GROUP BY 1, 2",
	    "stream k 20/20 aggregated\n"
	    "group DATE_TRUNC(week:text, $9):timestamp without time zone\n"
	    "group DATE_TRUNC_TZ(day:text, $10, Europe/Berlin:text):timestamp "
	    "with time zone\n"
	    "agg count* - - bigint\n"
	    "out date_trunc = $0\n"
	    "out l = $1\n"
	    "out count = $2\n"
	    "bucket 0 width 604800000000\n"
	    "used 9 10\n" },
	{ "SELECT a FROM k LIMIT NULL",
	    "stream k 20/20\n"
	    "out a = $0\n"
	    "used 0\n" },
	{ "SELECT a FROM k FETCH FIRST 3 ROWS ONLY",
	    "stream k 20/20\n"
	    "out a = $0\n"
	    "limit 3\n"
	    "used 0\n" },
	{ "SELECT a FROM public.k WHERE NULL",
	    "stream k 20/20\n"
	    "where null:boolean\n"
	    "out a = $0\n"
	    "used 0\n" },
	{ "SELECT doc ->> 'kind' AS kind, sum((doc ->> 'n')::int) FROM badge "
	    "WHERE doc ? 'n' GROUP BY doc ->> 'kind'",
	    "stream badge 13/13 aggregated\n"
	    "where JSON_HAS($9, n:text):boolean\n"
	    "group JSON_GET_TEXT($9, kind:text):text\n"
	    "agg sum CAST(JSON_GET_TEXT($9, n:text):text):integer - bigint\n"
	    "out kind = $0\n"
	    "out sum = $1\n"
	    "used 9\n" },
};

/* Goal: joins, groups, aggregates, order and limits of a SELECT fill the
 * plan structs exactly as sql.h says. */
static void
queries_bind(void **state)
{
	struct tn_sql_pipeline *p = load_fixture();
	uint32_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(64 * 1024);
		const struct tn_sql_select *s;
		struct tn_buf got = { 0 };
		struct tn_diag d;

		if (tn_sql_query(p, tn_slice_of(cases[i].text), a, &s,
		    &d) == TN_OK)
			dump_select(&got, s);
		else
			tn_buf_printf(&got, "%s: %s", d.code, d.message);
		if (strcmp(tn_buf_cstr(&got), cases[i].plan) != 0) {
			print_error("%s\n--- want\n%s--- got\n%s\n",
			    cases[i].text, cases[i].plan,
			    tn_buf_cstr(&got));
			wrong++;
		}
		tn_buf_fini(&got);
		tn_arena_free(a);
	}
	assert_int_equal(wrong, 0);
	tn_sql_pipeline_free(p);
}

/* Goal: the input space of a query holds declared columns, the hidden three
 * of a stream, then those of each join, which a LEFT JOIN makes nullable. */
static void
input_is_laid_out(void **state)
{
	struct tn_sql_pipeline *p = load_fixture();
	struct tn_arena *a = tn_arena_new(64 * 1024);
	const struct tn_sql_select *s;
	struct tn_diag d;

	(void)state;
	assert_int_equal(tn_sql_query(p, tn_slice_of("SELECT zone FROM badge "
	    "LEFT JOIN people ON people.person = badge.person JOIN doors ON "
	    "doors.office = badge.office AND doors.door = badge.door"), a,
	    &s, &d), TN_OK);
	assert_int_equal(s->input->count, 10 + TN_SQL_HIDDEN + 4 + 4);
	assert_int_equal(s->source_columns, 13);
	assert_string_equal(s->input->fields[0].name, "event_id");
	assert_true(s->input->fields[0].not_null);
	assert_string_equal(s->input->fields[10].name, TN_SQL_LSN_NAME);
	assert_int_equal(s->input->fields[10].type.id, TN_T_INT8);
	assert_string_equal(s->input->fields[11].name, TN_SQL_OFFSET_NAME);
	assert_string_equal(s->input->fields[12].name,
	    TN_SQL_RECEIVED_NAME);
	assert_int_equal(s->input->fields[12].type.id, TN_T_TIMESTAMPTZ);
	assert_string_equal(s->input->fields[13].name, "person");
	assert_false(s->input->fields[13].not_null);
	assert_string_equal(s->input->fields[17].name, "office");
	assert_true(s->input->fields[17].not_null);
	assert_string_equal(s->schema->fields[0].name, "zone");
	assert_false(s->schema->fields[0].not_null);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: no node of any plan has an open type, whatever its literals are. */
static void
check_types(const struct tn_sql_expr *e)
{
	assert_true(e->type.id > TN_T_NONE && e->type.id < TN_T_COUNT);
	assert_true(e->node <= TN_SQL_IN);
	for (uint32_t i = 0; i < e->arg_count; i++)
		check_types(e->args[i]);
}

static void
literals_are_settled(void **state)
{
	static const char *const texts[] = {
		"SELECT NULL, 'x', coalesce(NULL, 'x'), NULL IS NULL, 'a' = "
		"'b', NULL = NULL, NULL AND NULL, NULL::int FROM k",
		"SELECT min(NULL), count(NULL), first('x', NULL) FROM k",
		"SELECT CASE WHEN NULL THEN NULL END, greatest(NULL, 1), "
		"'a' IN ('b', NULL), concat(NULL, 'x') FROM k",
		"SELECT DISTINCT 'x', NULL FROM k ORDER BY 1, 2",
	};
	struct tn_sql_pipeline *p = load_fixture();

	(void)state;
	for (size_t i = 0; i < TN_COUNT(texts); i++) {
		struct tn_arena *a = tn_arena_new(64 * 1024);
		const struct tn_sql_select *s;
		struct tn_diag d;

		assert_int_equal(tn_sql_query(p, tn_slice_of(texts[i]), a,
		    &s, &d), TN_OK);
		for (uint32_t k = 0; k < s->output_count; k++) {
			check_types(s->outputs[k].expr);
			assert_int_equal(s->schema->fields[k].type.id,
			    s->outputs[k].expr->type.id);
		}
		for (uint32_t k = 0; k < s->agg_count; k++)
			if (s->aggs[k].args[0] != NULL)
				check_types(s->aggs[k].args[0]);
		tn_arena_free(a);
	}
	tn_sql_pipeline_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_bind),
		cmocka_unit_test(input_is_laid_out),
		cmocka_unit_test(literals_are_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

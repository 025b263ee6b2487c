/* CALL name(arguments): what it takes, and how it refuses. */
#include "test.h"

#include <string.h>

#include "fixture.h"

static const struct tn_sql_call *
parse(struct tn_arena *a, const char *text, struct tn_diag *d)
{
	struct tn_sql_pipeline *p = load_fixture();
	const struct tn_sql_call *call = NULL;
	enum tn_status st = tn_sql_call_parse(p, tn_slice_of(text), a, &call,
	    d);

	assert_int_equal(st == TN_OK, call != NULL);
	tn_sql_pipeline_free(p);
	return call;
}

/* Goal: arguments come by place and by name, in each kind that is allowed. */
static void
takes_arguments(void **state)
{
	static const struct {
		const char *text;
		enum tn_sql_arg_kind kind;
		int64_t number;
	} cases[] = {
		{ "CALL expire_snapshots('2 hours')", TN_SQL_ARG_INTERVAL,
		    INT64_C(7200000000) },
		{ "call Expire_Snapshots(older_than => '1 day');",
		    TN_SQL_ARG_INTERVAL, INT64_C(86400000000) },
		{ "CALL expire_snapshots(interval '5 min')",
		    TN_SQL_ARG_INTERVAL, INT64_C(300000000) },
		{ "CALL expire_snapshots('1970-01-02 00:00:00+00')",
		    TN_SQL_ARG_TIME, INT64_C(86400000000) },
		{ "CALL expire_snapshots(timestamptz '1970-01-01T01:00:00Z')",
		    TN_SQL_ARG_TIME, INT64_C(3600000000) },
		{ "CALL expire_snapshots(date '1970-01-03')",
		    TN_SQL_ARG_TIME, INT64_C(172800000000) },
		{ "/* old */ CALL expire_snapshots(older_than := 17)",
		    TN_SQL_ARG_INT, 17 },
		{ "CALL expire_snapshots(5000000000)", TN_SQL_ARG_INT,
		    INT64_C(5000000000) },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };
		const struct tn_sql_call *c = parse(a, cases[i].text, &d);
		const struct tn_sql_arg *x;

		if (c == NULL)
			fail_msg("%s: %s", cases[i].text, d.message);
		assert_true(tn_sql_is_call(tn_slice_of(cases[i].text)));
		assert_string_equal(c->name, "expire_snapshots");
		x = tn_sql_call_arg(c, "older_than");
		assert_non_null(x);
		assert_int_equal(x->kind, cases[i].kind);
		assert_int_equal(x->number, cases[i].number);
		assert_null(tn_sql_call_arg(c, "lsn"));
		tn_arena_free(a);
	}
}

/* Goal: text arguments and optional ones; what is not given is not there; an
 * unknown procedure is answered with all that there are. */
static void
takes_text(void **state)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_diag d = { .line = 0 };
	const struct tn_sql_call *c = parse(a, "CALL nothing()", &d);

	(void)state;
	assert_null(c);
	for (uint32_t i = 0; tn_sql_procedure(i) != NULL; i++)
		assert_non_null(strstr(d.hint, tn_sql_procedure(i)));
	c = parse(a, "CALL rollback('hourly', lsn => 12)", &d);
	assert_non_null(c);
	assert_true(tn_slice_is(tn_sql_call_arg(c, "name")->text, "hourly"));
	assert_int_equal(tn_sql_call_arg(c, "lsn")->number, 12);
	assert_null(tn_sql_call_arg(c, "snapshot"));
	c = parse(a, "CALL rollback(snapshot => 3, name => 'hourly')", &d);
	assert_non_null(c);
	assert_int_equal(tn_sql_call_arg(c, "snapshot")->number, 3);
	tn_arena_free(a);
}

/* Goal: each mistake is refused with its code; an unknown name with all that
 * there are. */
static void
refuses(void **state)
{
	static const struct {
		const char *text;
		const char *code;
		const char *hint;
	} cases[] = {
		{ "CALL expire_snapshot(1)", "unknown_procedure",
		    "Did you mean \"expire_snapshots\"? Procedures are: " },
		{ "CALL x.expire_snapshots(1)", "unknown_procedure", NULL },
		{ "CALL expire_snapshots()", "missing_argument",
		    "CALL expire_snapshots(older_than => "
		    "integer|timestamptz|interval)" },
		{ "CALL expire_snapshots(1, 2)", "unknown_argument", NULL },
		{ "CALL expire_snapshots(newer_than => 1)",
		    "unknown_argument", NULL },
		{ "CALL expire_snapshots(1, older_than => 1)",
		    "unknown_argument", NULL },
		{ "CALL expire_snapshots(true)", "type_mismatch", NULL },
		{ "CALL expire_snapshots(1.5)", "type_mismatch", NULL },
		{ "CALL expire_snapshots('2 months')", "bad_literal", NULL },
		{ "CALL expire_snapshots('gestern')", "bad_literal", NULL },
		{ "CALL expire_snapshots(NULL)", "unsupported", NULL },
		{ "CALL expire_snapshots(now())", "unsupported", NULL },
		{ "CALL expire_snapshots(office)", "unknown_column", NULL },
		{ "CALL expire_snapshots(count(*))", NULL, NULL },
		{ "CALL rollback(1, 2)", "type_mismatch", NULL },
		{ "CALL rollback('a', 'b')", "type_mismatch", NULL },
		{ "CALL expire_snapshots(1); CALL expire_snapshots(2)",
		    "unsupported", NULL },
		{ "CALL", "syntax", NULL },
		{ "SELECT 1", "unsupported", NULL },
		{ "", "unsupported", NULL },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };

		if (parse(a, cases[i].text, &d) != NULL)
			fail_msg("taken: %s", cases[i].text);
		if (cases[i].code != NULL && strcmp(d.code, cases[i].code)
		    != 0)
			fail_msg("%s: %s %s", cases[i].text, d.code,
			    d.message);
		if (cases[i].hint != NULL && strncmp(d.hint, cases[i].hint,
		    strlen(cases[i].hint)) != 0)
			fail_msg("%s: %s", cases[i].text, d.hint);
		tn_arena_free(a);
	}
}

/* Goal: the word alone decides what is a CALL, and no text reads beyond its
 * end. */
static void
knows_a_call(void **state)
{
	static const char *const yes[] = { "CALL", "call x()", " \n CaLl(",
	    "-- no\ncall a", "/* a /* b */ c */call" };
	static const char *const no[] = { "", "cal", "callx", "\"call\"",
	    "'call'", "SELECT call", "-- call", "/* call", "$call$" };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(yes); i++)
		assert_true(tn_sql_is_call(tn_slice_of(yes[i])));
	for (size_t i = 0; i < TN_COUNT(no); i++) {
		size_t n = strlen(no[i]);
		uint8_t *copy = tn_alloc(n + (n == 0));

		memcpy(copy, no[i], n);
		assert_false(tn_sql_is_call((struct tn_slice){ copy, n }));
		tn_free(copy);
	}
}

/* Goal: help lists every procedure with its arguments. */
static void
help_lists(void **state)
{
	struct tn_buf b = { 0 };

	(void)state;
	tn_sql_help(&b);
	for (uint32_t i = 0; tn_sql_procedure(i) != NULL; i++)
		assert_non_null(strstr(tn_buf_cstr(&b),
		    tn_sql_procedure(i)));
	assert_non_null(strstr(tn_buf_cstr(&b),
	    "rollback(name => text, [snapshot => integer], [lsn => "
	    "integer])"));
	tn_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_arguments),
		cmocka_unit_test(takes_text),
		cmocka_unit_test(refuses),
		cmocka_unit_test(knows_a_call),
		cmocka_unit_test(help_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

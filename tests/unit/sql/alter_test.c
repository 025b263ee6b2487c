/* ALTER SYSTEM over the SQL door: what it takes, and how it refuses. */
#include "test.h"

#include <string.h>

#include "sql/sql.h"

/* Goal: a value comes as a text, however it is written; RESET and DEFAULT have
 * none. */
static void
takes_values(void **state)
{
	static const struct {
		const char *text, *name, *value;
	} cases[] = {
		{ "ALTER SYSTEM SET cut_interval = '5 min'", "cut_interval",
		    "5 min" },
		{ "/* x */ alter system set Cut_Rows to 5000000000;",
		    "cut_rows", "5000000000" },
		{ "ALTER SYSTEM SET cut_rows = 7", "cut_rows", "7" },
		{ "ALTER SYSTEM SET a = ''", "a", "" },
		{ "ALTER SYSTEM RESET cut_interval", "cut_interval", NULL },
		{ "ALTER SYSTEM SET cut_interval = DEFAULT", "cut_interval",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };
		struct tn_sql_alter x;
		struct tn_slice text = tn_slice_of(cases[i].text);

		assert_true(tn_sql_is_alter(text));
		if (tn_sql_alter_parse(text, a, &x, &d) != TN_OK)
			fail_msg("%s: %s", cases[i].text, d.message);
		assert_string_equal(x.name, cases[i].name);
		assert_int_equal(x.value == NULL, cases[i].value == NULL);
		if (x.value != NULL)
			assert_string_equal(x.value, cases[i].value);
		tn_arena_free(a);
	}
	assert_false(tn_sql_is_alter(tn_slice_of("SELECT 'alter'")));
}

/* Goal: other statements, several, and values of other kinds are refused with
 * words. */
static void
refuses(void **state)
{
	static const char *const cases[] = {
		"ALTER", "ALTER TABLE t ADD COLUMN x text",
		"ALTER SYSTEM RESET ALL", "ALTER SYSTEM SET a = 1, 2",
		"ALTER SYSTEM SET a = '1'; ALTER SYSTEM SET b = '1'",
		"ALTER SYSTEM SET a = now()", "ALTER SYSTEM SET a",
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_diag d = { .line = 0 };
		struct tn_sql_alter x;

		assert_int_not_equal(tn_sql_alter_parse(tn_slice_of(cases[i]),
		    a, &x, &d), TN_OK);
		assert_true(d.message[0] != '\0');
		tn_arena_free(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_values),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Definitions that come while the program runs: how many there may be. */
#include "test.h"

#include <unistd.h>

#include "serving/serving.h"

static const char sql[] =
    "CREATE TABLE t (n int NOT NULL);"
    "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c FROM t;";

static struct tn_sql_pipeline *
pipeline(void)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_sql_load(&p, &source, 1, &d), TN_OK);
	return p;
}

/* Goal: when the slots are used up the answer says how many there were and what
 * to do, and the definitions that stand go on. */
static void
slots(void **state)
{
	char dir[] = "/tmp/tarn-change-XXXXXX", path[100], command[100];
	struct tn_serving_change c = { .pipeline = pipeline() };
	struct tn_serving_model *m;
	struct tn_catalog *cat;
	struct tn_diag d = { .line = 0 };
	uint32_t n = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/catalog.db", dir);
	assert_int_equal(tn_catalog_open(&cat, path, &d), TN_OK);
	assert_int_equal(tn_serving_model_new(&m, pipeline(), cat, &d),
	    TN_OK);
	c.model = m;
	while (n < 10000 && tn_serving_change_add(&c, c.pipeline->views[0],
	    &d) == TN_OK)
		n++;
	assert_int_equal(n, 256);
	assert_string_equal(d.code, "too_many_changes");
	assert_non_null(strstr(d.message, "256 definitions"));
	assert_non_null(strstr(d.hint, "restart"));
	assert_true(tn_serving_view_live(m, 0));
	assert_int_equal(tn_serving_view_find(m, tn_slice_of("v")), 0);
	tn_serving_change_fini(&c);
	tn_serving_model_free(m);
	tn_catalog_close(cat);
	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

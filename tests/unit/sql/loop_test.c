/* Views whose published topics come back to the stream they read are refused;
 * those that only go on into other streams are not. */
#include "test.h"

#include "sql/sql.h"

#define STREAM(name, topics) "CREATE TABLE " name " (k text, n int) WITH (" \
    "mqtt = '" topics "');\n"
#define PLAIN(name) "CREATE TABLE " name " (k text, n int);\n"
#define VIEW(name, stream, topic) "CREATE MATERIALIZED VIEW " name \
    " WITH (title = 't', publish = '" topic "') AS SELECT k, max(n) AS n " \
    "FROM " stream " GROUP BY k;\n"

static const struct {
	const char *text;
	/* NULL: it is good. */
	const char *message;
	uint32_t line;
} cases[] = {
	/* One view. */
	{ STREAM("s", "s/{k}") VIEW("v", "s", "s/{k}"),
	    "publish: view \"v\" would feed itself for ever: stream \"s\" "
	    "takes its topic 's/{k}' by mqtt = 's/{k}', and so round: s -> "
	    "view v -> s", 2 },
	{ STREAM("s", "in/{k}, out/+") VIEW("v", "s", "out/{k}"),
	    "publish: view \"v\" would feed itself for ever: stream \"s\" "
	    "takes its topic 'out/{k}' by mqtt = 'out/+', and so round: s -> "
	    "view v -> s", 2 },
	{ STREAM("s", "#") VIEW("v", "s", "out/{k}"),
	    "publish: view \"v\" would feed itself for ever: stream \"s\" "
	    "takes its topic 'out/{k}' by mqtt = '#', and so round: s -> "
	    "view v -> s", 2 },
	{ STREAM("s", "{k}/in") VIEW("v", "s", "out/{k}"),
	    "publish: view \"v\" would feed itself for ever: stream \"s\" "
	    "takes its topic 'out/{k}' by mqtt = '{k}/in', and so round: s "
	    "-> view v -> s", 2 },
	/* Two: the first one is named, whose other way is none. */
	{ VIEW("a", "s", "t/{k}") VIEW("b", "t", "s/{k}/x")
	    STREAM("s", "in/{k},s/{k}/#") STREAM("t", "t/{k}")
	    STREAM("u", "t/#"),
	    "publish: view \"a\" would feed itself for ever: stream \"t\" "
	    "takes its topic 't/{k}' by mqtt = 't/{k}', and so round: s -> "
	    "view a -> t -> view b -> s", 1 },
	/* Three, behind a view that is on no such way but leads to it. */
	{ PLAIN("in_") VIEW("first", "in_", "s/0") STREAM("s", "s/+")
	    STREAM("t", "t/+") STREAM("u", "u/+") VIEW("x", "s", "t/1")
	    VIEW("y", "t", "u/1") VIEW("z", "u", "s/1"),
	    "publish: view \"x\" would feed itself for ever: stream \"t\" "
	    "takes its topic 't/1' by mqtt = 't/+', and so round: s -> "
	    "view x -> t -> view y -> u -> view z -> s", 6 },
	/* Of two ways the shorter is told. */
	{ STREAM("s", "#") STREAM("r", "r/+") VIEW("y", "r", "s/1")
	    VIEW("x", "s", "r/1"),
	    "publish: view \"y\" would feed itself for ever: stream \"s\" "
	    "takes its topic 's/1' by mqtt = '#', and so round: r -> "
	    "view y -> s -> view x -> r", 3 },
	/* No way leads back. */
	{ STREAM("s", "in/{k}") VIEW("v", "s", "out/{k}"), NULL, 0 },
	{ STREAM("s", "in/{k}") VIEW("v", "s", "in/{k}/x"), NULL, 0 },
	{ STREAM("s", "in/{k}") VIEW("v", "s", "in"), NULL, 0 },
	{ STREAM("s", "in-{k}") VIEW("v", "s", "out-{k}"), NULL, 0 },
	{ PLAIN("s") STREAM("t", "#") VIEW("v", "s", "out/{k}"), NULL, 0 },
	{ STREAM("s", "s/{k}") STREAM("t", "t/{k}") STREAM("u", "t/{k}")
	    VIEW("a", "s", "t/{k}") VIEW("b", "t", "u/{k}")
	    VIEW("c", "u", "views/c"), NULL, 0 },
	{ STREAM("s", "s/{k}") STREAM("t", "t/{k}")
	    "CREATE MATERIALIZED VIEW silent AS SELECT k, max(n) AS n FROM t "
	    "GROUP BY k;" VIEW("a", "s", "t/{k}"), NULL, 0 },
	/* A row of a reference table moves no view. */
	{ STREAM("s", "s/{k}") "CREATE TABLE r (k text PRIMARY KEY, n int) "
	    "WITH (kind = 'reference', mqtt = 'r/{k}');"
	    "CREATE MATERIALIZED VIEW v WITH (publish = 'r/{k}') AS SELECT "
	    "s.k AS k, max(r.n) AS n FROM s JOIN r ON r.k = s.k GROUP BY "
	    "s.k;", NULL, 0 },
	/* It comes to rest, or may. */
	{ STREAM("s", "s/#") "CREATE MATERIALIZED VIEW v WITH (publish = "
	    "'s/{k}/alarm') AS SELECT k, max(n) AS n FROM s WHERE n > 3 "
	    "GROUP BY k;", NULL, 0 },
	{ STREAM("s", "s/#") "CREATE MATERIALIZED VIEW v WITH (publish = "
	    "'s/{k}/alarm') AS SELECT k, max(n) AS n FROM s GROUP BY k "
	    "HAVING max(n) > 3;", NULL, 0 },
	{ STREAM("s", "s/{k}") "CREATE TABLE t (k text PRIMARY KEY, n int) "
	    "WITH (mqtt = 't/{k}');" VIEW("a", "s", "t/{k}")
	    VIEW("b", "t", "s/{k}"), NULL, 0 },
	{ "CREATE TABLE s (k text NOT NULL, m int NOT NULL, n int) WITH ("
	    "mqtt = 's/{k}');" VIEW("v", "s", "s/{k}"), NULL, 0 },
	{ "CREATE TABLE s (k text, x float8 NOT NULL) WITH (mqtt = "
	    "'s/{k}/# -> x');" "CREATE MATERIALIZED VIEW v WITH (publish = "
	    "'s/{k}/top') AS SELECT k, max(x) AS x FROM s GROUP BY k;",
	    NULL, 0 },
	{ "CREATE TABLE s (k text, n int NOT NULL) WITH (mqtt = 's/{k}');"
	    "CREATE MATERIALIZED VIEW v WITH (publish = 's/{k}') AS SELECT "
	    "k, 'x' || max(n)::text AS n FROM s GROUP BY k;", NULL, 0 },
	{ "CREATE TABLE s (k text, n int CHECK (n > 3)) WITH (mqtt = "
	    "'s/{k}');" VIEW("v", "s", "s/{k}"), NULL, 0 },
	/* It does not: each row has what it must. */
	{ "CREATE TABLE s (k text NOT NULL, m int NOT NULL DEFAULT 1, n int "
	    "NOT NULL) WITH (mqtt = 's/{k}');" VIEW("v", "s", "s/{k}"),
	    "publish: view \"v\" would feed itself for ever: stream \"s\" "
	    "takes its topic 's/{k}' by mqtt = 's/{k}', and so round: s -> "
	    "view v -> s", 1 },
	{ "", NULL, 0 },
};

/* Goal: each way that comes back is refused where publish stands, with the view,
 * its topic, the stream and the way round; and nothing else is. */
static void
refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_sql_source src = { "a.sql",
		    tn_slice_of(cases[i].text) };
		struct tn_sql_pipeline *p = NULL;
		struct tn_diag d = { .line = 0 };
		enum tn_status st = tn_sql_load(&p, &src, 1, &d);

		if (cases[i].message == NULL) {
			if (st != TN_OK)
				fail_msg("%s%s", cases[i].text, d.message);
			tn_sql_pipeline_free(p);
			continue;
		}
		assert_int_equal(st, TN_EINVAL);
		assert_string_equal(d.message, cases[i].message);
		assert_string_equal(d.code, "topic_loop");
		assert_string_equal(d.file, "a.sql");
		assert_int_equal(d.line, cases[i].line);
		assert_true(d.column > 1);
		assert_non_null(strstr(d.hint, "Publish to a topic"));
		assert_non_null(strstr(d.hint, "may publish."));
	}
}

/* Goal: a way of hundreds of views with long names is found, and told as far
 * as it fits. */
static void
long_way(void **state)
{
	struct tn_buf text = { 0 };
	struct tn_sql_source src = { "a.sql", { NULL, 0 } };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	const uint32_t count = 400;

	(void)state;
	for (uint32_t i = 0; i < count; i++)
		tn_buf_printf(&text, "CREATE TABLE s%u (n int) WITH (mqtt = "
		    "'t/%u');CREATE MATERIALIZED VIEW a_long_name_%u WITH ("
		    "publish = 't/%u') AS SELECT max(n) AS n FROM s%u;\n",
		    i, i, i, (i + 1) % count, i);
	src.text = (struct tn_slice){ text.p, text.n };
	assert_int_equal(tn_sql_load(&p, &src, 1, &d), TN_EINVAL);
	assert_string_equal(d.code, "topic_loop");
	assert_int_equal(d.line, 1);
	assert_non_null(strstr(d.message, "s0 -> view a_long_name_0 -> s1 -> "
	    "view a_long_name_1 -> "));
	assert_non_null(strstr(d.message, "..."));
	tn_buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(long_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

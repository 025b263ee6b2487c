/* The pipeline that the tests of sql share: two streams, three reference
 * tables, a view. */
#ifndef TN_TEST_SQL_FIXTURE_H
#define TN_TEST_SQL_FIXTURE_H

#include "sql/sql.h"

static const char fixture_text[] =
    "CREATE TABLE badge (event_id text PRIMARY KEY, ts "
    "timestamptz NOT NULL, person text NOT NULL, office text, "
    "door text, direction text CHECK (direction IN ('in', "
    "'out')), temp real, amount numeric(10,2), n int, doc jsonb) "
    "WITH (event_time = 'ts');\n"
    "CREATE TABLE people (person text PRIMARY KEY, team text, "
    "since date, rate numeric(6,2)) WITH (kind = 'reference');\n"
    "CREATE TABLE doors (office text, door text, zone text, big "
    "bigint, PRIMARY KEY (office, door)) WITH (kind = "
    "'reference');\n"
    "CREATE TABLE sizes (id int PRIMARY KEY, label varchar(8)) "
    "WITH (kind = 'reference');\n"
    "CREATE TABLE k (a int, b smallint, c bigint, n numeric, m "
    "numeric(10,2), r real, d double precision, day date, tm "
    "time, ts timestamp, tz timestamptz, j jsonb, u uuid, v "
    "varchar(5), f bool, t text, \"Odd Name\" int);\n"
    "CREATE MATERIALIZED VIEW hourly AS SELECT office, "
    "date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits "
    "FROM badge GROUP BY office, hour;\n";

static inline struct tn_sql_pipeline *
load_fixture(void)
{
	struct tn_sql_source src = { "fixture.sql",
	    tn_slice_of(fixture_text) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d;
	enum tn_status st = tn_sql_load(&p, &src, 1, &d);

	if (st != TN_OK)
		print_error("%u:%u %s\n", d.line, d.column, d.message);
	assert_int_equal(st, TN_OK);
	return p;
}

#endif

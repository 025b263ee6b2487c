/* Fuzz: any bytes as a pipeline beside a good one, and as a query over it.
 * The first byte chooses. Nothing may crash, and a refusal has a code. */
#include "sql/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char base[] =
    "CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " person text, office text, n int, amount numeric(10,2), temp real, "
    "doc jsonb, day date, tm time) WITH (event_time = 'ts');"
    "CREATE TABLE people (person text PRIMARY KEY, team text) WITH (kind = "
    "'reference');"
    "CREATE MATERIALIZED VIEW hourly AS SELECT office, date_bin('1 hour', "
    "ts, 'epoch') AS hour, count(*) AS visits FROM badge GROUP BY office, "
    "hour;";

static void
define(const uint8_t *p, size_t n)
{
	struct tn_sql_source src[2] = { { "fuzz.sql", { p, n } },
		{ "base.sql", { (const uint8_t *)base, sizeof base - 1 } } };
	struct tn_sql_pipeline *out = NULL;
	struct tn_diag d;
	enum tn_status st = tn_sql_load(&out, src, 2, &d);

	tn_assert((st == TN_OK) == (out != NULL));
	tn_assert(st == TN_OK || d.code[0] != '\0');
	tn_sql_pipeline_free(out);
}

static void
query(const uint8_t *p, size_t n)
{
	static struct tn_sql_pipeline *pipe;
	struct tn_sql_source src = { "base.sql", { (const uint8_t *)base,
	    sizeof base - 1 } };
	struct tn_arena *a = tn_arena_new(64 * 1024);
	const struct tn_sql_select *s = NULL;
	struct tn_diag d;
	enum tn_status st = TN_OK;

	if (pipe == NULL)
		st = tn_sql_load(&pipe, &src, 1, &d);
	tn_assert(st == TN_OK);
	st = tn_sql_query(pipe, (struct tn_slice){ p, n }, a, &s, &d);
	tn_assert((st == TN_OK) == (s != NULL));
	tn_assert(st == TN_OK || d.code[0] != '\0');
	tn_arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	if (p[0] & 1)
		define(p + 1, n - 1);
	else
		query(p + 1, n - 1);
	return 0;
}

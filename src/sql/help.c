/* tarn help sql: printed from the tables that bind, so that it cannot say
 * what is not so. */
#include "sql/sql_int.h"

#include <string.h>

static const struct {
	const char *name;
	const char *signature;
	const char *doc;
} functions[] = {
#define ROW(id, name, signature, doc) { name, signature, doc },
	TN_SQL_FUNCTIONS(ROW)
#undef ROW
};

static const char copies[] =
    "\nCOPY (scope admin): files of the server below DATA/export, DATA/inbox "
    "and the\nfolders of the setting copy_paths; a path without / in front "
    "is below DATA/export\n"
    "  COPY (SELECT ...) TO 'x.parquet' WITH (FORMAT parquet | csv | ndjson, "
    "HEADER false)\n"
    "  COPY stream TO 'x.csv'\n"
    "  COPY stream [(columns)] FROM 'x.csv.gz' (FORMAT csv | json | ndjson | "
    "parquet,\n      DELIMITER ';', NULL 'n/a', HEADER false, and the other "
    "options of tarn help load)\n";

static const char deletes[] =
    "\nDELETE (scope admin): rows of a stream leave every file, view and "
    "snapshot for good\n"
    "  DELETE FROM stream WHERE condition      WHERE true: every row\n";

static const char alters[] =
    "\nALTER SYSTEM (scope admin): settings that change while it runs; kept "
    "over a restart,\nbefore what the configuration says, until RESET\n"
    "  ALTER SYSTEM SET cut_interval = '5 min'\n"
    "  ALTER SYSTEM RESET cut_interval\n";

static const char head[] =
    "Tarn reads PostgreSQL's dialect with PostgreSQL's own parser. What it "
    "does not\ndo is refused with file, line, column and a hint.\n\n"
    "STATEMENTS of a pipeline (a folder of .sql files, in any order)\n"
    "  ALTER SYSTEM SET name = value;\n"
    "  CREATE TABLE name (column type [NOT NULL] [PRIMARY KEY] [CHECK "
    "(condition)]\n"
    "      [DEFAULT constant | now()]\n"
    "      [GENERATED ALWAYS AS (expression) STORED], ...\n"
    "      [PRIMARY KEY (a, b)] [CHECK (condition)]) [WITH (option = "
    "'value', ...)];\n"
    "  CREATE MATERIALIZED VIEW name [WITH (option = 'value', ...)] AS\n"
    "      SELECT expressions and aggregates FROM stream\n"
    "      [[LEFT] JOIN reference ON reference.key = expression]\n"
    "      [WHERE condition] [GROUP BY names, positions, expressions] "
    "[HAVING condition];\n"
    "  COMMENT ON TABLE name | MATERIALIZED VIEW name | COLUMN "
    "name.column IS 'text';\n\n"
    "QUERIES (tarn sql, POST /api/v1/sql): one SELECT over a stream, a "
    "reference table\nor a view; also DISTINCT, ORDER BY, LIMIT, OFFSET, "
    "and rows without GROUP BY.\nStreams also have the columns _lsn, "
    "_offset and _received_at, which * leaves out.\n"
    "FROM as_of('name', lsn or time) reads a stream, reference table or view "
    "as it was:\n  as_of('badge', 1234), as_of('badge', timestamptz "
    "'2026-03-01 08:00:00+00'),\n  as_of('visits', now() - interval '1 "
    "hour') AS v\n\n"
    "OPTIONS of a stream: WITH (...)\n"
    "  event_time       the column that says when; else the time of "
    "arrival\n"
    "  dedupe_window    how long the primary key is remembered; '7 days'\n"
    "  max_future_skew  rows further ahead go to quarantine; '1 hour', 0: "
    "no limit\n"
    "  retention        how long rows are kept, by event time and whole "
    "days; default:\n"
    "                   for ever. Views keep the numbers made of them\n"
    "  bronze_retention how long their raw bytes are kept, by the time they "
    "came;\n"
    "                   not shorter; default: as retention\n"
    "  cold_after       age at which whole partitions are moved to the "
    "cold folder,\n"
    "                   or 'never'; default: the setting cold_after\n"
    "  mqtt             topics that fill it, with commas between:\n"
    "                   'office/{office}/door/{door}' takes columns from "
    "the topic and\n"
    "                   the others from a JSON payload; 'm/{id}/total -> "
    "total' puts\n"
    "                   the whole payload into a column; + and # match "
    "anything; of\n"
    "                   patterns that take the same topic the first one "
    "has the message\n"
    "  sort_by          columns that lake files of a day are sorted by, as "
    "'office, door',\n"
    "                   for reads that ask for few of them; default: the "
    "event time\n"
    "  kind             'stream' or 'reference' (a table that is joined, "
    "newest row\n"
    "                   of a primary key wins)\n\n"
    "OPTIONS of a view: WITH (...), how it is shown and how long kept\n"
    "  overview         'tile', 'line', 'bar', 'heatmap' or 'table'\n"
    "  x, y, series     outputs to draw; y may be several, with commas\n"
    "  title, description, unit, position\n"
    "  publish          topic of the MQTT broker that gets each changed "
    "row as a\n"
    "                   retained message: 'views/visits/{office}'; clients "
    "may not\n"
    "                   publish there. + # / % of a value are %2B %23 %2F "
    "%25, null is -.\n"
    "                   A stream whose mqtt takes the topic has the rows as "
    "events; a view\n"
    "                   that would feed itself so, also over other streams, "
    "is refused\n"
    "  retention        how long its numbers are kept, by its time bucket and "
    "whole days\n"
    "                   (months where buckets are longer); default: for "
    "ever, also when\n"
    "                   the rows are gone\n\n"
    "TYPES\n";

static const char differences[] =
    "\nWHERE TARN DIFFERS FROM POSTGRESQL\n"
    "  - numeric without digits is numeric(38,9) and prints without "
    "trailing zeros;\n"
    "    numeric has at most 38 digits.\n"
    "  - numeric * numeric keeps the digits after the point of both, at "
    "most 18;\n"
    "    numeric / numeric and avg give 16 digits after the point, "
    "printed without\n    trailing zeros.\n"
    "  - sqrt, power, ^, exp, ln and log take and give double precision, "
    "also for\n    numeric; stddev and variance are double precision.\n"
    "  - In a view, overflow, division by zero and failed casts give null "
    "and are\n    counted; in a query they end it with a message.\n"
    "  - The time zone is UTC: timestamps with time zone print as "
    "2026-03-01\n    08:00:00+00, and date_trunc without a zone cuts in "
    "UTC.\n"
    "  - A timestamp (without time zone) with an offset in its text is "
    "refused, where\n    PostgreSQL drops the offset.\n"
    "  - Text is compared and sorted by bytes (as COLLATE \"C\"); lower, "
    "upper and\n    ILIKE know ASCII and simple Unicode.\n"
    "  - varchar(n) is text with a limit; a longer value goes to "
    "quarantine, a cast\n    cuts it. There is no char(n).\n"
    "  - Regular expressions are PCRE2's: \\d, \\w, \\b and "
    "lookaround; no \\y, \\m.\n"
    "  - jsonb cannot be compared, grouped or sorted; take a field with "
    "->>.\n"
    "  - A column of type interval, and a view's output of it, is "
    "refused.\n"
    "  - DEFAULT is a constant or now(); now() is the time the row was "
    "received in\n    CHECK, DEFAULT and GENERATED, the time of the query "
    "in a query, and refused\n    in a view.\n"
    "  - Only reference tables can be joined, on their whole primary key; "
    "a row sees\n    the reference row as it was when the event came.\n"
    "  - Names of tables and views are a-z, 0-9 and _; names that begin "
    "with _ are\n    Tarn's own. A name over 63 bytes is refused, not "
    "cut.\n"
    "  - The unit of extract, date_part and date_trunc is a constant.\n"
    "  - first, last, arg_min, arg_max and approx_count_distinct are "
    "additions.\n"
    "  - Refused: subqueries, WITH, UNION, window functions, arrays, other "
    "joins,\n    DISTINCT ON, GROUPING SETS, views over views.\n"
    "  - One text has at most 64 KiB.\n";

static bool
is_operator(const char *name)
{
	return strchr("+-*/%^&|#~<>=?", name[0]) != NULL ||
	    strchr(name, ' ') != NULL || strcmp(name, "like") == 0 ||
	    strcmp(name, "ilike") == 0;
}

/* A form on the left, words on the right, broken at 78 columns. */
static void
print_row(struct tn_buf *out, const char *form, const char *doc)
{
	const int left = 34;
	int column = left;
	size_t n;

	tn_buf_printf(out, "  %-*s", left - 2, form);
	if (strlen(form) >= (size_t)left - 2)
		tn_buf_printf(out, "\n%*s", left, "");
	while (*doc != '\0') {
		n = strcspn(doc, " ");
		if (column > left && column + (int)n > 78) {
			tn_buf_printf(out, "\n%*s", left, "");
			column = left;
		}
		tn_buf_printf(out, "%s%.*s", column > left ? " " : "",
		    (int)n, doc);
		column += (int)n + 1;
		doc += n;
		doc += strspn(doc, " ");
	}
	tn_buf_char(out, '\n');
}

/* "left" and "text, int4 -> text" make left(text, int4) -> text. */
static void
print_functions(struct tn_buf *out, bool operators)
{
	struct tn_buf form = { 0 };

	for (size_t i = 0; i < TN_COUNT(functions); i++) {
		const char *name = functions[i].name;
		const char *signature = functions[i].signature;
		const char *arrow = strstr(signature, "-> ");
		int args = (int)(arrow - signature);

		if (is_operator(name) != operators)
			continue;
		tn_buf_clear(&form);
		if (!operators)
			tn_buf_printf(&form, "%s(%.*s) %s", name,
			    args > 0 ? args - 1 : 0, signature, arrow);
		else if (strstr(signature, name) != NULL)
			tn_buf_str(&form, signature);
		else
			tn_buf_printf(&form, "%s: %s", name, signature);
		print_row(out, tn_buf_cstr(&form), functions[i].doc);
	}
	tn_buf_fini(&form);
}

void
tn_sql_help(struct tn_buf *out)
{
	tn_buf_str(out, head);
	tn_sql_types_help(out, print_row);
	tn_buf_str(out, "\nOPERATORS (num: any number; int: any whole "
	    "number; ts: timestamp or timestamptz;\nany: any type, both "
	    "alike; what has another type is cast where PostgreSQL does)\n"
	    "  and, or, not; is [not] null; [not] between; [not] in (...); "
	    "case; coalesce;\n"
	    "  x::type, cast(x as type); x at time zone 'Europe/Berlin'; not "
	    "like, !~, !~*\n");
	print_functions(out, true);
	tn_buf_str(out, "\nFUNCTIONS\n");
	print_functions(out, false);
	tn_buf_str(out, "\nAGGREGATES (each may have FILTER (WHERE "
	    "condition))\n");
	tn_sql_aggs_help(out, print_row);
	tn_buf_str(out, "\nPROCEDURES: CALL name(arguments), by place or as "
	    "name => value; for tarn sql and\nPOST /api/v1/sql, with the "
	    "scope admin\n");
	tn_sql_calls_help(out, print_row);
	tn_buf_str(out, copies);
	tn_buf_str(out, deletes);
	tn_buf_str(out, alters);
	tn_buf_str(out, differences);
}

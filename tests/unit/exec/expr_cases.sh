#!/bin/sh
# Make expr_cases.h from expr_cases.txt: every expression over the six rows of
# table t, judged by a real PostgreSQL 15 (psql reads PGHOST, PGPORT, ...).
# A result that is an error is written as "!message"; numerics are rounded to
# nine digits and lose zeros at the end. Not run by make: the table is kept.
#   tests/unit/exec/expr_cases.sh > tests/unit/exec/expr_cases.h
set -eu
here=$(dirname "$0")
sql() { psql -AtXq -v ON_ERROR_STOP=1 "$@"; }
cat <<'HEAD'
/* Expressions and their results over the six rows of expr_rows, made by
 * expr_cases.sh with PostgreSQL 15. Do not edit. */
#ifndef TN_EXPR_CASES_H
#define TN_EXPR_CASES_H

#include <stddef.h>

static const struct expr_case {
	const char *expr;
	const char *results[6];
} expr_cases[] = {
HEAD
{
	cat <<'SETUP'
SET client_min_messages = error; SET timezone = 'UTC'; SET datestyle = 'ISO';
CREATE TEMP TABLE t (id int PRIMARY KEY, b boolean, i2 smallint, i4 integer,
  i8 bigint, f4 real, f8 float8, n numeric(12,3), nn numeric, s text,
  v varchar(5), d date, tm time, ts timestamp, tz timestamptz, j jsonb, u uuid);
CREATE TEMP TABLE e (k serial, x text);
SETUP
	echo "COPY t FROM STDIN WITH (FORMAT csv, DELIMITER ';', QUOTE '~');"
	sed -n 's/^	R("\(.*\)")$/\1/p' "$here/expr_rows.h" | sed 's/\\\(.\)/\1/g'
	echo '\.'
	echo "COPY e (x) FROM STDIN WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');"
	cat "$here/expr_cases.txt"
	echo '\.'
	cat <<'RUN'
CREATE FUNCTION pg_temp.try(x text, k int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; ty text;
BEGIN
  EXECUTE format('SELECT pg_typeof(x)::text, x::text FROM (SELECT (%s) AS x
    FROM t WHERE id = %s) q', x, k) INTO ty, r;
  IF ty = 'numeric' AND r NOT IN ('NaN', 'Infinity', '-Infinity') THEN
    r := trim_scale(round(r::numeric, 9))::text;
  END IF;
  RETURN r;
EXCEPTION WHEN OTHERS THEN RETURN '!' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.c(x text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce('"' || replace(replace(replace(x, '\', '\\'), '"', '\"'),
    chr(10), '\n') || '"', 'NULL') $$;
SELECT format(E'\t{ %s,\n\t  { %s } },', pg_temp.c(x), (SELECT string_agg(
  pg_temp.c(pg_temp.try(e.x, i)), E',\n\t    ' ORDER BY i)
  FROM generate_series(1, 6) i)) FROM e ORDER BY k;
RUN
} | sql
printf '};\n\n#endif\n'

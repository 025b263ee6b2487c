/* The six rows that expr_cases.txt is evaluated over, as CSV with ";" for
 * commas, "~" for quotes and nothing for null; read by expr_cases.sh too.
 * Columns: expr_table. */
#ifndef TN_EXPR_ROWS_H
#define TN_EXPR_ROWS_H

static const char expr_table[] =
    "CREATE TABLE t (id integer PRIMARY KEY, b boolean, i2 smallint, "
    "i4 integer, i8 bigint, f4 real, f8 double precision, n numeric(12,3), "
    "nn numeric, s text, v varchar(5), d date, tm time, ts timestamp, "
    "tz timestamptz, j jsonb, u uuid);";

#define R(line) line,
static const char *const expr_rows[6] = {
	R("1;t;3;7;5000000000;1.5;2.25;12.5;1.23456789;hello;abc;2024-02-29;13:14:15.678901;2024-02-29 13:14:15.678901;2024-02-29 12:14:15.678901+00;{\"a\": 1, \"b\": {\"c\": \"x\"}};a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	R("2;f;-5;-42;-9;-0.25;-1.5;-12.345;-0.5;Grüße, Welt;xyz;1999-12-31;00:00:00;1999-12-31 23:59:59;2000-01-01 00:00:00+00;[1, \"two\", null];00000000-0000-0000-0000-000000000001")
	R("3;t;32767;2147483647;9223372036854775807;3.4e38;1e308;999999999.999;99999999999.5;a%b_d éa;b%;0001-01-01;23:59:59.999999;0044-03-15 12:00:00 BC;2100-07-04 00:00:00+00;\"str\";ffffffff-ffff-ffff-ffff-ffffffffffff")
	R("4;f;0;0;0;0;0;0;0;~~;~~;1970-01-01;12:00:00;1970-01-01 00:00:00;1970-01-01 00:00:00+00;{};b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	R("5;;-32768;-2147483648;-9223372036854775808;NaN;Infinity;-999999999.999;0.000000001;ÉCOLE 123  foo;42;1969-12-31;06:30:00;1969-12-31 23:59:59.999999;2024-10-27 00:30:00+00;true;a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12")
	R("6;;;;;;;;;;;;;;;;")
};
#undef R

#endif

/* Plain functions: one row an overload, and the choice among them.
 *
 * Letters: t text, i int4, d double, n numeric, N any number as it is,
 * s timestamp, z timestamptz, D date, T time, v interval, j jsonb. The
 * choice follows PostgreSQL: most exact matches first, then most matches
 * that lead to the preferred type of their kind (double, text, timestamptz,
 * interval); what stands first wins a tie. */
#include "sql/sql_int.h"

#include <string.h>

enum fill { FILL_NONE, FILL_BLANK, FILL_EMPTY };
/* What the result needs beyond the call. */
enum after { AS_IS, SCALE_0, SCALE_ARG, SWAP, TO_DOUBLE };

static const struct overload {
	const char *name;
	enum tn_sql_fn fn;
	const char *args;
	char result;
	enum fill fill;      /* One more argument, added. */
	enum after after;
} overloads[] = {
	{ "abs", TN_FN_ABS, "N", 'N', 0, 0 },
	{ "sign", TN_FN_SIGN, "d", 'd', 0, 0 },
	{ "sign", TN_FN_SIGN, "n", 'n', 0, SCALE_0 },
	{ "ceil", TN_FN_CEIL, "d", 'd', 0, 0 },
	{ "ceil", TN_FN_CEIL, "n", 'n', 0, SCALE_0 },
	{ "ceiling", TN_FN_CEIL, "d", 'd', 0, 0 },
	{ "ceiling", TN_FN_CEIL, "n", 'n', 0, SCALE_0 },
	{ "floor", TN_FN_FLOOR, "d", 'd', 0, 0 },
	{ "floor", TN_FN_FLOOR, "n", 'n', 0, SCALE_0 },
	{ "trunc", TN_FN_TRUNC, "d", 'd', 0, 0 },
	{ "trunc", TN_FN_TRUNC, "n", 'n', 0, SCALE_0 },
	{ "trunc", TN_FN_TRUNC_TO, "ni", 'n', 0, SCALE_ARG },
	{ "round", TN_FN_ROUND, "d", 'd', 0, 0 },
	{ "round", TN_FN_ROUND, "n", 'n', 0, SCALE_0 },
	{ "round", TN_FN_ROUND_TO, "ni", 'n', 0, SCALE_ARG },
	{ "power", TN_FN_POWER, "dd", 'd', 0, 0 },
	{ "pow", TN_FN_POWER, "dd", 'd', 0, 0 },
	{ "sqrt", TN_FN_SQRT, "d", 'd', 0, 0 },
	{ "cbrt", TN_FN_CBRT, "d", 'd', 0, 0 },
	{ "exp", TN_FN_EXP, "d", 'd', 0, 0 },
	{ "ln", TN_FN_LN, "d", 'd', 0, 0 },
	{ "log", TN_FN_LOG10, "d", 'd', 0, 0 },
	{ "log10", TN_FN_LOG10, "d", 'd', 0, 0 },
	{ "sin", TN_FN_SIN, "d", 'd', 0, 0 },
	{ "cos", TN_FN_COS, "d", 'd', 0, 0 },
	{ "tan", TN_FN_TAN, "d", 'd', 0, 0 },
	{ "asin", TN_FN_ASIN, "d", 'd', 0, 0 },
	{ "acos", TN_FN_ACOS, "d", 'd', 0, 0 },
	{ "atan", TN_FN_ATAN, "d", 'd', 0, 0 },
	{ "atan2", TN_FN_ATAN2, "dd", 'd', 0, 0 },
	{ "degrees", TN_FN_DEGREES, "d", 'd', 0, 0 },
	{ "radians", TN_FN_RADIANS, "d", 'd', 0, 0 },
	{ "pi", TN_FN_PI, "", 'd', 0, 0 },
	{ "regexp_replace", TN_FN_REGEXP_REPLACE, "ttt", 't', FILL_EMPTY, 0 },
	{ "regexp_replace", TN_FN_REGEXP_REPLACE, "tttt", 't', 0, 0 },
	{ "regexp_substr", TN_FN_REGEXP_SUBSTR, "tt", 't', 0, 0 },
	{ "regexp_like", TN_FN_REGEX, "tt", 'b', 0, 0 },
	{ "length", TN_FN_LENGTH, "t", 'i', 0, 0 },
	{ "char_length", TN_FN_LENGTH, "t", 'i', 0, 0 },
	{ "character_length", TN_FN_LENGTH, "t", 'i', 0, 0 },
	{ "octet_length", TN_FN_OCTET_LENGTH, "t", 'i', 0, 0 },
	{ "lower", TN_FN_LOWER, "t", 't', 0, 0 },
	{ "upper", TN_FN_UPPER, "t", 't', 0, 0 },
	{ "initcap", TN_FN_INITCAP, "t", 't', 0, 0 },
	{ "btrim", TN_FN_TRIM, "t", 't', FILL_BLANK, 0 },
	{ "btrim", TN_FN_TRIM, "tt", 't', 0, 0 },
	{ "ltrim", TN_FN_LTRIM, "t", 't', FILL_BLANK, 0 },
	{ "ltrim", TN_FN_LTRIM, "tt", 't', 0, 0 },
	{ "rtrim", TN_FN_RTRIM, "t", 't', FILL_BLANK, 0 },
	{ "rtrim", TN_FN_RTRIM, "tt", 't', 0, 0 },
	{ "lpad", TN_FN_LPAD, "ti", 't', FILL_BLANK, 0 },
	{ "lpad", TN_FN_LPAD, "tit", 't', 0, 0 },
	{ "rpad", TN_FN_RPAD, "ti", 't', FILL_BLANK, 0 },
	{ "rpad", TN_FN_RPAD, "tit", 't', 0, 0 },
	{ "substring", TN_FN_REGEXP_SUBSTR, "tt", 't', 0, 0 },
	{ "substring", TN_FN_SUBSTRING, "ti", 't', 0, 0 },
	{ "substring", TN_FN_SUBSTRING, "tii", 't', 0, 0 },
	{ "substr", TN_FN_SUBSTRING, "ti", 't', 0, 0 },
	{ "substr", TN_FN_SUBSTRING, "tii", 't', 0, 0 },
	{ "left", TN_FN_LEFT, "ti", 't', 0, 0 },
	{ "right", TN_FN_RIGHT, "ti", 't', 0, 0 },
	{ "position", TN_FN_POSITION, "tt", 'i', 0, SWAP },
	{ "strpos", TN_FN_POSITION, "tt", 'i', 0, SWAP },
	{ "replace", TN_FN_REPLACE, "ttt", 't', 0, 0 },
	{ "split_part", TN_FN_SPLIT_PART, "tti", 't', 0, 0 },
	{ "starts_with", TN_FN_STARTS_WITH, "tt", 'b', 0, 0 },
	{ "repeat", TN_FN_REPEAT, "ti", 't', 0, 0 },
	{ "reverse", TN_FN_REVERSE, "t", 't', 0, 0 },
	{ "ascii", TN_FN_ASCII, "t", 'i', 0, 0 },
	{ "chr", TN_FN_CHR, "i", 't', 0, 0 },
	{ "md5", TN_FN_MD5, "t", 't', 0, 0 },
	{ "date_bin", TN_FN_DATE_BIN, "vzz", 'z', 0, 0 },
	{ "date_bin", TN_FN_DATE_BIN, "vss", 's', 0, 0 },
	{ "date_trunc", TN_FN_DATE_TRUNC, "tz", 'z', 0, 0 },
	{ "date_trunc", TN_FN_DATE_TRUNC, "ts", 's', 0, 0 },
	{ "date_trunc", TN_FN_DATE_TRUNC_TZ, "tzt", 'z', 0, 0 },
	{ "extract", TN_FN_EXTRACT, "tz", 'x', 0, 0 },
	{ "extract", TN_FN_EXTRACT, "ts", 'x', 0, 0 },
	{ "extract", TN_FN_EXTRACT, "tD", 'x', 0, 0 },
	{ "extract", TN_FN_EXTRACT, "tT", 'x', 0, 0 },
	{ "extract", TN_FN_EXTRACT, "tv", 'x', 0, 0 },
	{ "date_part", TN_FN_EXTRACT, "tz", 'x', 0, TO_DOUBLE },
	{ "date_part", TN_FN_EXTRACT, "ts", 'x', 0, TO_DOUBLE },
	{ "date_part", TN_FN_EXTRACT, "tD", 'x', 0, TO_DOUBLE },
	{ "date_part", TN_FN_EXTRACT, "tT", 'x', 0, TO_DOUBLE },
	{ "date_part", TN_FN_EXTRACT, "tv", 'x', 0, TO_DOUBLE },
	{ "timezone", TN_FN_TIMEZONE, "tz", 's', 0, 0 },
	{ "timezone", TN_FN_TIMEZONE, "ts", 'z', 0, 0 },
	{ "to_timestamp", TN_FN_TO_TIMESTAMP, "d", 'z', 0, 0 },
	{ "to_char", TN_FN_TO_CHAR, "zt", 't', 0, 0 },
	{ "to_char", TN_FN_TO_CHAR, "st", 't', 0, 0 },
	{ "make_date", TN_FN_MAKE_DATE, "iii", 'D', 0, 0 },
	{ "make_time", TN_FN_MAKE_TIME, "iid", 'T', 0, 0 },
	{ "age", TN_FN_AGE, "zz", 'v', 0, 0 },
	{ "age", TN_FN_AGE, "ss", 'v', 0, 0 },
	{ "jsonb_array_length", TN_FN_JSON_LENGTH, "j", 'i', 0, 0 },
	{ "jsonb_typeof", TN_FN_JSON_TYPEOF, "j", 't', 0, 0 },
};

static struct tn_type
letter_type(char c)
{
	static const struct {
		char c;
		enum tn_type_id id;
	} letters[] = {
		{ 'b', TN_T_BOOL }, { 't', TN_T_TEXT }, { 'i', TN_T_INT4 },
		{ 'd', TN_T_FLOAT8 }, { 's', TN_T_TIMESTAMP },
		{ 'z', TN_T_TIMESTAMPTZ }, { 'D', TN_T_DATE },
		{ 'T', TN_T_TIME }, { 'v', TN_T_INTERVAL },
		{ 'j', TN_T_JSONB }, { 'N', TN_T_FLOAT8 },
	};

	if (c == 'n')
		return tn_sql_numeric(0, true);
	if (c == 'x')
		return tn_sql_numeric(6, false);
	for (size_t i = 0; i < TN_COUNT(letters); i++)
		if (letters[i].c == c)
			return tn_record_type(letters[i].id);
	tn_assert(c == 't');
	return tn_record_type(TN_T_TEXT);
}

/* 0 exact, more is worse, -1 does not fit. */
static int
cost(char c, struct tn_type from)
{
	struct tn_type to = letter_type(c);
	bool preferred = strchr("dtzv", c) != NULL;

	if (c == 'N')
		return tn_sql_is_number(from) ? 0 :
		    tn_sql_is_unknown(from) ? 1 : -1;
	if (tn_sql_is_unknown(from))
		return c == 't' ? 1 : preferred ? 2 : 3;
	if (from.id == to.id)
		return 0;
	if (!tn_sql_castable(from, to, TN_SQL_IMPLICIT))
		return -1;
	return preferred ? 10 : 11;
}

static const struct overload *
choose(struct tn_slice name, const struct tn_sql_expr *const *args,
    uint32_t n, bool *found)
{
	const struct overload *best = NULL;
	int least = 0;

	*found = false;
	for (size_t i = 0; i < TN_COUNT(overloads); i++) {
		const struct overload *o = &overloads[i];
		int sum = 0;

		if (!tn_slice_is(name, o->name))
			continue;
		*found = true;
		if (strlen(o->args) != n)
			continue;
		for (uint32_t k = 0; k < n && sum >= 0; k++) {
			int one = cost(o->args[k], args[k]->type);

			sum = one < 0 ? -1 : sum + one;
		}
		if (sum >= 0 && (best == NULL || sum < least)) {
			best = o;
			least = sum;
		}
	}
	return best;
}

static const struct tn_sql_expr *
argument(struct tn_sql_bind *b, char c, const struct tn_sql_expr *e)
{
	struct tn_slice s;

	if (c == 'N' && tn_sql_is_number(e->type))
		return e;
	if (c == 'n' && e->type.id == TN_T_NUMERIC)
		return e;
	if (c == 'n' && tn_sql_const_get_text(e, &s)) {
		e = tn_sql_const_number(b, s, e->at);
		if (e == NULL || e->type.id == TN_T_NUMERIC)
			return e;
	}
	return tn_sql_coerce(b, e, letter_type(c), TN_SQL_IMPLICIT);
}

static const struct tn_sql_expr *
filler(struct tn_sql_bind *b, enum fill fill, uint32_t at)
{
	struct tn_type text = tn_record_type(TN_T_TEXT);

	return tn_sql_const_text(b, text,
	    tn_slice_of(fill == FILL_BLANK ? " " : ""), at);
}

/* Digits after the point of round(x, n): a constant n says so. */
static struct tn_type
digits_type(const struct tn_sql_expr *x, const struct tn_sql_expr *n)
{
	int64_t v;

	if (!tn_sql_const_get_int(n, &v))
		return x->type;
	return tn_sql_numeric((uint8_t)(v < 0 ? 0 :
	    v > TN_SQL_MUL_SCALE_MAX ? TN_SQL_MUL_SCALE_MAX : v), true);
}

static struct tn_sql_expr *
no_overload(struct tn_sql_bind *b, struct tn_slice name,
    const struct tn_sql_expr *const *args, uint32_t n, uint32_t at)
{
	struct tn_buf types = { 0 };
	const char *hint = NULL, *list;

	for (uint32_t i = 0; i < n; i++)
		tn_buf_printf(&types, "%s%s", i > 0 ? ", " : "",
		    tn_sql_type_text(b, args[i]->type));
	list = tn_arena_strdup(b->a, tn_buf_cstr(&types));
	tn_buf_fini(&types);
	if (n == 2 && tn_sql_is_float(args[0]->type) &&
	    (tn_slice_is(name, "round") || tn_slice_is(name, "trunc")))
		hint = "Cast the first to numeric: round(x::numeric, 2).";
	if (n == 2 && tn_slice_is(name, "log"))
		hint = "Write ln(x) / ln(base).";
	if (tn_slice_is(name, "to_char") && hint == NULL)
		hint = "to_char takes a timestamp and a pattern; numbers: "
		    "x::text, round(x, 2).";
	if (tn_slice_is(name, "age") && n == 1)
		hint = "Write age(now(), x).";
	if (hint == NULL)
		hint = "Its forms are in tarn help sql; a cast may help.";
	return tn_sql_fail(b, at, "type_mismatch", hint,
	    "function %.*s(%s) does not exist", (int)name.n,
	    (const char *)name.p, list);
}

static struct tn_sql_expr *
finish(struct tn_sql_bind *b, const struct overload *o,
    const struct tn_sql_expr **args, uint32_t n)
{
	struct tn_type t = letter_type(o->result);
	const struct tn_sql_expr *e;

	if (o->result == 'n' || o->result == 'N')
		t = o->after == SCALE_ARG ? digits_type(args[0], args[1]) :
		    args[0]->type;
	if (o->after == SWAP) {
		e = args[0];
		args[0] = args[1];
		args[1] = e;
	}
	e = tn_sql_call(b, o->fn, t, args, n);
	if (o->after == SCALE_0 && t.scale > 0)
		e = tn_sql_node_new(b, TN_SQL_CAST, tn_sql_numeric(0, true),
		    &e, 1);
	if (o->after == TO_DOUBLE)
		e = tn_sql_node_new(b, TN_SQL_CAST,
		    tn_record_type(TN_T_FLOAT8), &e, 1);
	return (struct tn_sql_expr *)e;
}

struct tn_sql_expr *
tn_sql_overload(struct tn_sql_bind *b, struct tn_slice name,
    const struct tn_sql_expr **in, uint32_t n, uint32_t at, bool *found)
{
	const struct overload *o = choose(name, in, n, found);
	const struct tn_sql_expr *args[8];

	if (!*found)
		return NULL;
	if (o == NULL)
		return no_overload(b, name, in, n, at);
	tn_assert(n < TN_COUNT(args));
	for (uint32_t i = 0; i < n; i++) {
		args[i] = argument(b, o->args[i], in[i]);
		if (args[i] == NULL)
			return NULL;
	}
	if (o->fill != FILL_NONE)
		args[n++] = filler(b, o->fill, at);
	return finish(b, o, args, n);
}

void
tn_sql_overload_near(struct tn_sql_near *n)
{
	for (size_t i = 0; i < TN_COUNT(overloads); i++)
		tn_sql_near_try(n, overloads[i].name);
}

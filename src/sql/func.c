/* Function calls: aggregates go to agg.c, plain overloads to functab.c; here
 * are the calls that need more than a type (units, named arguments, now(),
 * type names used as functions) and the hints for functions of PostgreSQL
 * and its relatives that Tarn does not have. */
#include "sql/sql_int.h"

#include <string.h>

#include "os/os.h"

/* A call taken apart. */
struct call {
	struct tn_slice name;
	const struct tn_json *body;
	const struct tn_json *args;
	uint32_t n;
	uint32_t at;
};

/* ---- units of extract and date_trunc --------------------------------- */

enum { OF_DAY = 1, OF_TIME = 2, OF_INTERVAL = 4, TO_TRUNC = 8 };

static const struct {
	const char *name;
	const char *unit;
	int of;
} units[] = {
	{ "microseconds", "microseconds", 15 },
	{ "microsecond", "microseconds", 15 },
	{ "milliseconds", "milliseconds", 15 },
	{ "millisecond", "milliseconds", 15 },
	{ "second", "second", 15 }, { "seconds", "second", 15 },
	{ "minute", "minute", 15 }, { "minutes", "minute", 15 },
	{ "hour", "hour", 15 }, { "hours", "hour", 15 },
	{ "day", "day", 13 }, { "days", "day", 13 },
	{ "week", "week", 9 }, { "weeks", "week", 9 },
	{ "month", "month", 13 }, { "months", "month", 13 },
	{ "quarter", "quarter", 13 },
	{ "year", "year", 13 }, { "years", "year", 13 },
	{ "decade", "decade", 13 }, { "decades", "decade", 13 },
	{ "century", "century", 13 }, { "centuries", "century", 13 },
	{ "millennium", "millennium", 13 },
	{ "millennia", "millennium", 13 },
	{ "dow", "dow", 1 }, { "isodow", "isodow", 1 },
	{ "doy", "doy", 1 }, { "isoyear", "isoyear", 1 },
	{ "epoch", "epoch", 7 },
};

static const char *
find_unit(struct tn_slice word, int *of)
{
	char low[16];

	if (word.n >= sizeof low)
		return NULL;
	for (size_t i = 0; i < word.n; i++)
		low[i] = (char)(word.p[i] >= 'A' && word.p[i] <= 'Z' ?
		    word.p[i] + 32 : word.p[i]);
	low[word.n] = '\0';
	for (size_t i = 0; i < TN_COUNT(units); i++) {
		if (strcmp(low, units[i].name) == 0) {
			*of = units[i].of;
			return units[i].unit;
		}
	}
	return NULL;
}

static bool
unit_fits(struct tn_type t, int of, bool trunc)
{
	bool time_part = (of & OF_TIME) != 0;

	if (trunc)
		return (of & TO_TRUNC) != 0;
	if (t.id == TN_T_TIME)
		return time_part;
	if (t.id == TN_T_INTERVAL)
		return (of & OF_INTERVAL) != 0;
	if (t.id == TN_T_DATE)
		return of != 15;
	return true;
}

/* The unit is a known constant; put its usual name into args[0]. */
static bool
check_unit(struct tn_sql_bind *b, const struct call *c,
    const struct tn_sql_expr **args)
{
	bool trunc = tn_slice_is(c->name, "date_trunc");
	struct tn_sql_near near = { 0 };
	struct tn_slice word;
	const char *unit;
	int of = 0;

	if (!tn_sql_const_get_text(args[0], &word)) {
		(void)tn_sql_fail(b, args[0]->at, "unsupported",
		    "Write the unit as a literal: date_trunc('hour', ts).",
		    "the unit of %.*s must be a constant", (int)c->name.n,
		    (const char *)c->name.p);
		return false;
	}
	unit = find_unit(word, &of);
	if (unit == NULL || !unit_fits(args[1]->type, of, trunc)) {
		near.word = word;
		for (size_t i = 0; unit == NULL && i < TN_COUNT(units); i++)
			tn_sql_near_try(&near, units[i].unit);
		(void)tn_sql_fail(b, args[0]->at, "bad_unit",
		    tn_sql_near_hint(b, &near, "Units are second, minute, "
		    "hour, day, week, month, quarter, year and more; see "
		    "tarn help sql."), "unit \"%.*s\" not %s for type %s",
		    word.n > 40 ? 40 : (int)word.n, (const char *)word.p,
		    unit == NULL ? "recognized" : "supported",
		    tn_sql_type_text(b, args[1]->type));
		return false;
	}
	args[0] = tn_sql_const_text(b, tn_record_type(TN_T_TEXT),
	    tn_slice_of(unit), args[0]->at);
	return true;
}

/* ---- time zones ------------------------------------------------------ */

/* A constant zone must be one that the system knows, else a view would be
 * all null. Names are checked before they become part of a path. */
static bool
check_zone(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	struct tn_slice z;
	const char *path;
	bool bad = false, letters = false;

	if (!tn_sql_const_get_text(e, &z) ||
	    tn_os_kind("/usr/share/zoneinfo") != TN_OS_DIR)
		return true;
	for (size_t i = 0; i < z.n; i++) {
		uint8_t c = z.p[i];
		bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';

		letters |= letter;
		bad |= !letter && !(c >= '0' && c <= '9') &&
		    (c == 0 || strchr("/_+-:", c) == NULL);
	}
	path = tn_arena_printf(b->a, "/usr/share/zoneinfo/%.*s",
	    z.n > 60 ? 60 : (int)z.n, (const char *)z.p);
	bad |= z.n == 0 || z.n > 60 || z.p[0] == '/';
	/* PostgreSQL reads '+01:00' as west of Greenwich, and nobody else
	 * does: too easily wrong to be let through. */
	if (!bad && letters && (tn_slice_is(z, "Z") ||
	    tn_os_kind(path) == TN_OS_FILE))
		return true;
	(void)tn_sql_fail(b, e->at, "unknown_time_zone",
	    "Write a name as in 'Europe/Berlin' or 'UTC'; for an offset add "
	    "an interval.", "time zone \"%.*s\" not recognized",
	    z.n > 60 ? 60 : (int)z.n, (const char *)z.p);
	return false;
}

static bool
check_stride(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	const struct tn_interval *iv;

	if (e->node != TN_SQL_CONST || e->type.id != TN_T_INTERVAL ||
	    tn_sql_const_is_null(e))
		return true;
	iv = e->value->values;
	if (iv->months != 0) {
		(void)tn_sql_fail(b, e->at, "bad_interval",
		    "Use date_trunc('month', ts) for months and years.",
		    "timestamps cannot be binned into intervals containing "
		    "months or years");
		return false;
	}
	if (iv->us + iv->days * INT64_C(86400000000) <= 0) {
		(void)tn_sql_fail(b, e->at, "bad_interval", NULL,
		    "stride must be greater than zero");
		return false;
	}
	return true;
}

/* Constants that can be judged now rather than row by row. */
static bool
check_constants(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	struct tn_sql_expr *x = (struct tn_sql_expr *)e;

	if (x->node == TN_SQL_CAST)
		x = (struct tn_sql_expr *)x->args[0];
	if (x->node != TN_SQL_CALL)
		return true;
	if (x->fn == TN_FN_DATE_BIN)
		return check_stride(b, x->args[0]);
	if (x->fn == TN_FN_TIMEZONE)
		return check_zone(b, x->args[0]);
	if (x->fn == TN_FN_DATE_TRUNC_TZ)
		return check_zone(b, x->args[2]);
	return true;
}

/* ---- special calls --------------------------------------------------- */

static struct tn_sql_expr *
now(struct tn_sql_bind *b, uint32_t at)
{
	if (b->mode == TN_SQL_IN_VIEW)
		return tn_sql_fail(b, at, "unsupported",
		    "A view gives the same answer whenever it is computed. "
		    "Leave the time out, and ask for the last hours in the "
		    "query that reads it.", "now() cannot stand in a view");
	b->here = at;
	return tn_sql_call(b, TN_FN_NOW, tn_record_type(TN_T_TIMESTAMPTZ),
	    NULL, 0);
}

static bool
is_now(struct tn_slice name)
{
	return tn_slice_is(name, "now") ||
	    tn_slice_is(name, "transaction_timestamp") ||
	    tn_slice_is(name, "statement_timestamp");
}

static struct tn_sql_expr *
mod(struct tn_sql_bind *b, const struct call *c,
    const struct tn_sql_expr **args)
{
	if (c->n != 2)
		return tn_sql_fail(b, c->at, "type_mismatch",
		    "Write mod(a, b) or a % b.",
		    "mod takes two arguments");
	return tn_sql_operator(b, tn_slice_of("%"), args[0], args[1],
	    c->at);
}

/* concat prints a bool as t or f, where a cast says true or false. */
static const struct tn_sql_expr *
as_concat_text(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	struct tn_type text = tn_record_type(TN_T_TEXT);
	const struct tn_sql_expr *args[5];

	if (e->type.id != TN_T_BOOL)
		return tn_sql_coerce(b, e, text, TN_SQL_ASSIGN);
	args[0] = e;
	args[1] = tn_sql_const_text(b, text, tn_slice_of("t"), e->at);
	args[2] = tn_sql_not(b, e);
	args[3] = tn_sql_const_text(b, text, tn_slice_of("f"), e->at);
	args[4] = tn_sql_const_null(b, text, e->at);
	return tn_sql_node_new(b, TN_SQL_CASE, text, args, 5);
}

static struct tn_sql_expr *
concat(struct tn_sql_bind *b, const struct call *c,
    const struct tn_sql_expr **args)
{
	bool with = tn_slice_is(c->name, "concat_ws");

	if (c->n < (with ? 2u : 1u))
		return tn_sql_fail(b, c->at, "type_mismatch", NULL,
		    "%s takes %s", with ? "concat_ws" : "concat",
		    with ? "a separator and values" : "values");
	if (with && args[0]->type.id != TN_T_TEXT &&
	    !tn_sql_is_unknown(args[0]->type))
		return tn_sql_fail(b, args[0]->at, "type_mismatch",
		    "The first argument is the separator: concat_ws(', ', "
		    "a, b).", "the separator of concat_ws must be text");
	for (uint32_t i = 0; i < c->n; i++) {
		args[i] = as_concat_text(b, args[i]);
		if (args[i] == NULL)
			return NULL;
	}
	return tn_sql_call(b, with ? TN_FN_CONCAT_WS : TN_FN_CONCAT,
	    tn_record_type(TN_T_TEXT), args, c->n);
}

/* Arguments by place or by name, days => 3; the rest is 0. */
static struct tn_sql_expr *
make_interval(struct tn_sql_bind *b, const struct call *c)
{
	static const char *const names[7] = { "years", "months", "weeks",
	    "days", "hours", "mins", "secs" };
	const struct tn_sql_expr *args[7] = { NULL };
	const struct tn_sql_expr *e;
	const struct tn_json *named;
	uint32_t slot;

	for (uint32_t i = 0; i < c->n; i++) {
		named = tn_sql_body(&c->args[i], "NamedArgExpr");
		slot = i;
		for (uint32_t k = 0; named != NULL && k < 8; k++) {
			slot = k;
			if (k < 7 && tn_sql_str_is(named, "name", names[k]))
				break;
		}
		if (slot > 6 || args[slot] != NULL)
			return tn_sql_fail(b, c->at, "type_mismatch",
			    "Its arguments are years, months, weeks, days, "
			    "hours, mins, secs.",
			    "make_interval has no such argument, or has it "
			    "twice");
		e = tn_sql_expr_bind(b, named == NULL ? &c->args[i] :
		    tn_codec_json_get(named, "arg"));
		if (e != NULL)
			e = tn_sql_coerce(b, e, tn_record_type(slot == 6 ?
			    TN_T_FLOAT8 : TN_T_INT4), TN_SQL_IMPLICIT);
		if (e == NULL)
			return NULL;
		args[slot] = e;
	}
	for (slot = 0; slot < 7; slot++) {
		if (args[slot] == NULL)
			args[slot] = tn_sql_coerce(b,
			    tn_sql_const_i32(b, 0, c->at),
			    tn_record_type(slot == 6 ? TN_T_FLOAT8 :
			    TN_T_INT4), TN_SQL_IMPLICIT);
	}
	return tn_sql_call(b, TN_FN_MAKE_INTERVAL,
	    tn_record_type(TN_T_INTERVAL), args, 7);
}

/* ---- what does not exist --------------------------------------------- */

static const struct {
	const char *name;
	const char *hint;
} foreign[] = {
	{ "time_bucket", "Write date_bin('1 hour', ts, 'epoch')." },
	{ "tumble", "Write date_bin('1 hour', ts, 'epoch')." },
	{ "hop", "Write date_bin('1 hour', ts, 'epoch')." },
	{ "datetrunc", "Write date_trunc('hour', ts)." },
	{ "datediff", "Write a - b; days: date - date." },
	{ "date_diff", "Write a - b; days: date - date." },
	{ "dateadd", "Write ts + interval '1 day'." },
	{ "date_add", "Write ts + interval '1 day'." },
	{ "strftime", "Write to_char(ts, 'YYYY-MM-DD')." },
	{ "date_format", "Write to_char(ts, 'YYYY-MM-DD')." },
	{ "to_date", "Write text::date." },
	{ "to_number", "Write text::numeric." },
	{ "year", "Write extract(year from ts)." },
	{ "month", "Write extract(month from ts)." },
	{ "day", "Write extract(day from ts)." },
	{ "hour", "Write extract(hour from ts)." },
	{ "ifnull", "Write coalesce(a, b)." },
	{ "isnull", "Write x IS NULL, or coalesce(a, b)." },
	{ "nvl", "Write coalesce(a, b)." },
	{ "iff", "Write CASE WHEN c THEN a ELSE b END." },
	{ "if", "Write CASE WHEN c THEN a ELSE b END." },
	{ "len", "Write length(x)." },
	{ "instr", "Write strpos(x, part)." },
	{ "regexp_match", "Write regexp_substr(x, pattern)." },
	{ "regexp_matches", "Write regexp_substr(x, pattern)." },
	{ "median",
	    "Write percentile_cont(0.5) WITHIN GROUP (ORDER BY x)." },
	{ "quantile",
	    "Write percentile_cont(0.5) WITHIN GROUP (ORDER BY x)." },
	{ "percentile_disc",
	    "Write percentile_cont(p) WITHIN GROUP (ORDER BY x)." },
	{ "mode", "Group by the value and take the largest count." },
	{ "mean", "Write avg(x)." },
	{ "any_value", "Write min(x), or first(x, time)." },
	{ "first_value", "Write first(x, time)." },
	{ "last_value", "Write last(x, time)." },
	{ "min_by", "Write arg_min(value, by)." },
	{ "max_by", "Write arg_max(value, by)." },
	{ "argmin", "Write arg_min(value, by)." },
	{ "argmax", "Write arg_max(value, by)." },
	{ "countif", "Write count(*) FILTER (WHERE condition)." },
	{ "count_if", "Write count(*) FILTER (WHERE condition)." },
	{ "sumif", "Write sum(x) FILTER (WHERE condition)." },
	{ "approx_distinct", "Write approx_count_distinct(x)." },
	{ "uniq", "Write count(DISTINCT x)." },
	{ "string_agg", "Lists are not kept; group by the value." },
	{ "array_agg", "Lists are not kept; group by the value." },
	{ "jsonb_agg", "Lists are not kept; group by the value." },
	{ "json_agg", "Lists are not kept; group by the value." },
	{ "list", "Lists are not kept; group by the value." },
	{ "bit_and", "Use bool_and of conditions." },
	{ "bit_or", "Use bool_or of conditions." },
	{ "corr", "Take the sums it is made of." },
	{ "rank", "Window functions are not supported." },
	{ "row_number", "Window functions are not supported." },
	{ "lag", "Window functions are not supported." },
	{ "lead", "Window functions are not supported." },
	{ "random", "Results must not change when computed again." },
	{ "gen_random_uuid",
	    "Let the sender make the id; it is then the same on a retry." },
	{ "uuid_generate_v4",
	    "Let the sender make the id; it is then the same on a retry." },
	{ "clock_timestamp", "Write now()." },
	{ "timeofday", "Write now()." },
	{ "nextval", "Every row of a stream has its _offset." },
	{ "version", "Ask tarn version." },
	{ "unnest", "Lists cannot be unfolded here." },
	{ "generate_series", "Rows come from streams only." },
	{ "overlay", "Write left(x, n) || y || substring(x, m)." },
	{ "normalize", "Compare the text as it is." },
	{ "format", "Write concat(a, b) or a || b." },
	{ "jsonb_extract_path_text", "Write doc->'a'->>'b'." },
	{ "jsonb_extract_path", "Write doc->'a'->'b'." },
	{ "json_extract", "Write doc->'a'." },
	{ "hash", "Write md5(x)." },
	{ "sha256", "Write md5(x)." },
	{ "session", "Session windows are not in this version." },
	{ "like_escape", "Write x LIKE pattern ESCAPE '!'." },
	{ "similar_to_escape", "Use a regular expression: x ~ 'a|b'." },
	{ "width_bucket", "Write floor((x - low) / width)." },
	{ "div", "Write trunc(a / b)." },
	{ "greatest", "Write greatest(a, b, ...)." },
};

static struct tn_sql_expr *
no_function(struct tn_sql_bind *b, struct tn_slice name, uint32_t at)
{
	static const char *const more[] = { "concat", "concat_ws", "mod",
	    "now", "make_interval", "coalesce", "nullif", "greatest",
	    "least" };
	struct tn_sql_near near = { .word = name };

	for (size_t i = 0; i < TN_COUNT(foreign); i++)
		if (tn_slice_is(name, foreign[i].name))
			return tn_sql_fail(b, at, "unsupported",
			    foreign[i].hint, "function %s is not supported",
			    foreign[i].name);
	tn_sql_overload_near(&near);
	tn_sql_agg_near(&near);
	for (size_t i = 0; i < TN_COUNT(more); i++)
		tn_sql_near_try(&near, more[i]);
	return tn_sql_fail(b, at, "unknown_function",
	    tn_sql_near_hint(b, &near, "tarn help sql lists the functions."),
	    "function %.*s does not exist", (int)name.n,
	    (const char *)name.p);
}

/* ---- the way through ------------------------------------------------- */

/* Marks of aggregates on a plain function are mistakes. */
static bool
check_plain(struct tn_sql_bind *b, const struct call *c)
{
	const struct tn_json *items;
	const char *what = NULL;

	if (tn_sql_bool(c->body, "agg_star"))
		what = "*";
	else if (tn_sql_bool(c->body, "agg_distinct"))
		what = "DISTINCT";
	else if (tn_codec_json_get(c->body, "agg_filter") != NULL)
		what = "FILTER";
	else if (tn_sql_bool(c->body, "agg_within_group"))
		what = "WITHIN GROUP";
	else if (tn_sql_list(c->body, "agg_order", &items) > 0)
		what = "ORDER BY";
	if (what == NULL)
		return true;
	(void)tn_sql_fail(b, c->at, "type_mismatch", NULL,
	    "%s specified, but %.*s is not an aggregate function", what,
	    (int)c->name.n, (const char *)c->name.p);
	return false;
}

static struct tn_sql_expr *
with_args(struct tn_sql_bind *b, const struct call *c)
{
	const struct tn_sql_expr **args = tn_arena_zalloc(b->a,
	    (c->n + 1) * sizeof *args);
	struct tn_type t;
	struct tn_sql_expr *e;
	bool unit = tn_slice_is(c->name, "extract") ||
	    tn_slice_is(c->name, "date_part") ||
	    tn_slice_is(c->name, "date_trunc");
	bool found;

	for (uint32_t i = 0; i < c->n; i++) {
		args[i] = tn_sql_expr_bind(b, &c->args[i]);
		if (args[i] == NULL)
			return NULL;
	}
	if (tn_slice_is(c->name, "mod"))
		return mod(b, c, args);
	if (tn_slice_is(c->name, "concat") ||
	    tn_slice_is(c->name, "concat_ws"))
		return concat(b, c, args);
	if (unit && c->n >= 2 && !check_unit(b, c, args))
		return NULL;
	e = tn_sql_overload(b, c->name, args, c->n, c->at, &found);
	if (found)
		return e == NULL || !check_constants(b, e) ? NULL : e;
	/* A type's name works as a function of one argument: date(ts). */
	if (c->n == 1 && tn_sql_type_find(c->name, &t))
		return tn_sql_coerce(b, args[0], t, TN_SQL_EXPLICIT);
	return no_function(b, c->name, c->at);
}

static bool
take_apart(struct tn_sql_bind *b, const struct tn_json *node,
    struct call *c)
{
	const struct tn_json *names;
	uint32_t n;

	c->body = tn_sql_body(node, "FuncCall");
	c->at = tn_sql_at(node, b->here);
	c->n = tn_sql_list(c->body, "args", &c->args);
	n = tn_sql_list(c->body, "funcname", &names);
	if (n == 0 || n > 2 || (n == 2 &&
	    !tn_slice_is(tn_sql_string(&names[0]), "pg_catalog"))) {
		(void)tn_sql_fail(b, c->at, "unsupported",
		    "Write the function's name alone.",
		    "functions of other schemas do not exist");
		return false;
	}
	c->name = tn_sql_string(&names[n - 1]);
	if (tn_codec_json_get(c->body, "over") != NULL) {
		(void)tn_sql_fail(b, c->at, "unsupported",
		    "Use GROUP BY with first(x, time), last(x, time) or "
		    "arg_max(value, by).",
		    "window functions are not supported");
		return false;
	}
	if (tn_sql_bool(c->body, "func_variadic")) {
		(void)tn_sql_fail(b, c->at, "unsupported",
		    "Write the arguments one by one.",
		    "VARIADIC is not supported");
		return false;
	}
	if (c->n > TN_SQL_ARGS_MAX) {
		(void)tn_sql_fail(b, c->at, "too_many", NULL,
		    "a function takes at most %d arguments",
		    TN_SQL_ARGS_MAX);
		return false;
	}
	return true;
}

struct tn_sql_expr *
tn_sql_func(struct tn_sql_bind *b, const struct tn_json *node)
{
	struct call c;
	struct tn_sql_expr *e;
	bool found;

	if (!take_apart(b, node, &c))
		return NULL;
	e = tn_sql_agg(b, node, c.name, c.at, &found);
	if (found)
		return e;
	if (!check_plain(b, &c))
		return NULL;
	if (tn_slice_is(c.name, "make_interval"))
		return make_interval(b, &c);
	if (is_now(c.name) && c.n == 0)
		return now(b, c.at);
	return with_args(b, &c);
}

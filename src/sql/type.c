/* Types: their names, which turn into which by themselves, by assignment or
 * on request, and what several of them have in common. The rules are
 * PostgreSQL's (chapters "Type Conversion" and "CREATE CAST" of its manual),
 * cut down to Tarn's types. */
#include "sql/sql_int.h"

#include <string.h>

static const struct {
	const char *name;
	enum tn_type_id id;
	const char *shown;    /* In the help, once a type. */
	const char *doc;
} types[] = {
	{ "bool", TN_T_BOOL, "bool", "true, false" },
	{ "boolean", TN_T_BOOL, NULL, NULL },
	{ "int2", TN_T_INT2, "smallint", "16 bits; also int2" },
	{ "smallint", TN_T_INT2, NULL, NULL },
	{ "int4", TN_T_INT4, "int", "32 bits; also integer, int4" },
	{ "int", TN_T_INT4, NULL, NULL },
	{ "integer", TN_T_INT4, NULL, NULL },
	{ "int8", TN_T_INT8, "bigint", "64 bits; also int8" },
	{ "bigint", TN_T_INT8, NULL, NULL },
	{ "float4", TN_T_FLOAT4, "real", "32 bits; also float4" },
	{ "real", TN_T_FLOAT4, NULL, NULL },
	{ "float8", TN_T_FLOAT8, "double precision", "64 bits; also float8" },
	{ "numeric", TN_T_NUMERIC, "numeric(p,s)",
	    "exact, p up to 38; numeric alone is numeric(38,9); also "
	    "decimal" },
	{ "decimal", TN_T_NUMERIC, NULL, NULL },
	{ "text", TN_T_TEXT, "text", "UTF-8, compared by bytes" },
	{ "varchar", TN_T_TEXT, "varchar(n)", "text of at most n characters" },
	{ "date", TN_T_DATE, "date", "a day" },
	{ "time", TN_T_TIME, "time", "of day, microseconds" },
	{ "timestamp", TN_T_TIMESTAMP, "timestamp",
	    "microseconds, no time zone" },
	{ "timestamptz", TN_T_TIMESTAMPTZ, "timestamptz",
	    "an instant, kept and printed in UTC" },
	{ "interval", TN_T_INTERVAL, "interval",
	    "months, days, microseconds; in expressions and queries only" },
	{ "jsonb", TN_T_JSONB, "jsonb", "any JSON value" },
	{ "uuid", TN_T_UUID, "uuid", "128 bits" },
};

static const struct {
	const char *name;
	const char *hint;
} foreign_types[] = {
	{ "bpchar", "Use text or varchar(n)." },
	{ "char", "Use text or varchar(n)." },
	{ "json", "Use jsonb." },
	{ "bytea", "Use text, in hex or base64." },
	{ "serial", "Use bigint; every row of a stream has its _offset." },
	{ "bigserial", "Use bigint; every row of a stream has its _offset." },
	{ "smallserial", "Use int; every row of a stream has its _offset." },
	{ "money", "Use numeric(12,2)." },
	{ "timetz", "Use time, or timestamptz for an instant." },
	{ "bit", "Use int or text." },
	{ "varbit", "Use int or text." },
	{ "inet", "Use text." },
	{ "cidr", "Use text." },
	{ "xml", "Use text." },
	{ "name", "Use text." },
	{ "string", "Use text." },
	{ "datetime", "Use timestamptz." },
	{ "double", "Use double precision." },
	{ "float", "Use double precision." },
	{ "point", "Use two columns of type double precision." },
	{ "geometry", "Use two columns of type double precision." },
};

struct tn_type
tn_sql_numeric(uint8_t scale, bool declared)
{
	struct tn_type t = { .id = TN_T_NUMERIC,
	    .precision = TN_NUMERIC_DIGITS_MAX, .scale = scale,
	    .declared = declared };

	tn_assert(scale <= TN_NUMERIC_DIGITS_MAX);
	return t;
}

/* Place in the row of numbers: each turns into those after it. */
static int
rank(struct tn_type t)
{
	switch (t.id) {
	case TN_T_INT2:
		return 1;
	case TN_T_INT4:
		return 2;
	case TN_T_INT8:
		return 3;
	case TN_T_NUMERIC:
		return 4;
	case TN_T_FLOAT4:
		return 5;
	case TN_T_FLOAT8:
		return 6;
	default:
		return 0;
	}
}

/* Likewise for days and instants. */
static int
time_rank(struct tn_type t)
{
	return t.id == TN_T_DATE ? 1 : t.id == TN_T_TIMESTAMP ? 2 :
	    t.id == TN_T_TIMESTAMPTZ ? 3 : 0;
}

bool
tn_sql_is_number(struct tn_type t)
{
	return rank(t) > 0;
}

bool
tn_sql_is_int(struct tn_type t)
{
	return rank(t) >= 1 && rank(t) <= 3;
}

bool
tn_sql_is_float(struct tn_type t)
{
	return rank(t) >= 5;
}

bool
tn_sql_is_ts(struct tn_type t)
{
	return time_rank(t) >= 2;
}

bool
tn_sql_is_unknown(struct tn_type t)
{
	return t.id == TN_SQL_T_UNKNOWN || t.id == TN_T_NONE;
}

const char *
tn_sql_type_text(struct tn_sql_bind *b, struct tn_type t)
{
	char buf[48];

	if (tn_sql_is_unknown(t))
		return "unknown";
	return tn_arena_strdup(b->a, tn_record_type_name(t, buf));
}

/* Casts between two different kinds that need more than a rank. */
static bool
special_cast(enum tn_type_id from, enum tn_type_id to, enum tn_sql_cast how)
{
	bool asked = how == TN_SQL_EXPLICIT;

	switch (from) {
	case TN_T_BOOL:
		return asked && to == TN_T_INT4;
	case TN_T_INT4:
		return asked && to == TN_T_BOOL;
	case TN_T_TIMESTAMP:
	case TN_T_TIMESTAMPTZ:
		return how != TN_SQL_IMPLICIT &&
		    (to == TN_T_DATE || to == TN_T_TIME);
	case TN_T_TIME:
		return to == TN_T_INTERVAL;
	case TN_T_INTERVAL:
		return how != TN_SQL_IMPLICIT && to == TN_T_TIME;
	case TN_T_JSONB:
		return asked && (to == TN_T_BOOL ||
		    rank((struct tn_type){ .id = (uint8_t)to }) > 0);
	default:
		return false;
	}
}

bool
tn_sql_castable(struct tn_type from, struct tn_type to,
    enum tn_sql_cast how)
{
	if (from.id == to.id || tn_sql_is_unknown(from))
		return true;
	if (to.id == TN_T_TEXT)
		return how != TN_SQL_IMPLICIT;
	if (from.id == TN_T_TEXT)
		return how == TN_SQL_EXPLICIT;
	if (rank(from) > 0 && rank(to) > 0)
		return rank(from) <= rank(to) || how != TN_SQL_IMPLICIT;
	if (time_rank(from) > 0 && time_rank(to) > time_rank(from))
		return true;
	if (tn_sql_is_ts(from) && tn_sql_is_ts(to))
		return how != TN_SQL_IMPLICIT;
	return special_cast(from.id, to.id, how);
}

/* A scale that keeps all digits of both; integers have none. */
static struct tn_type
common_number(struct tn_type a, struct tn_type b)
{
	struct tn_type t = rank(a) >= rank(b) ? a : b;
	uint8_t sa = a.id == TN_T_NUMERIC ? a.scale : 0;
	uint8_t sb = b.id == TN_T_NUMERIC ? b.scale : 0;
	bool keep = (a.id != TN_T_NUMERIC || a.declared) &&
	    (b.id != TN_T_NUMERIC || b.declared);

	if (t.id != TN_T_NUMERIC)
		return t;
	return tn_sql_numeric(sa > sb ? sa : sb, keep);
}

bool
tn_sql_type_common(struct tn_type a, struct tn_type b, struct tn_type *out)
{
	if (tn_sql_is_unknown(a) || tn_sql_is_unknown(b)) {
		*out = tn_sql_is_unknown(a) ? b : a;
		return true;
	}
	if (rank(a) > 0 && rank(b) > 0) {
		*out = common_number(a, b);
		return true;
	}
	if (a.id == b.id) {
		*out = a;
		if (a.length_max != b.length_max)
			out->length_max = 0;
		return true;
	}
	if (tn_sql_castable(a, b, TN_SQL_IMPLICIT)) {
		*out = b;
		return true;
	}
	*out = a;
	return tn_sql_castable(b, a, TN_SQL_IMPLICIT);
}

bool
tn_sql_type_find(struct tn_slice name, struct tn_type *out)
{
	for (size_t i = 0; i < TN_COUNT(types); i++) {
		if (!tn_slice_is(name, types[i].name))
			continue;
		*out = tn_record_type(types[i].id);
		if (types[i].id == TN_T_NUMERIC)
			*out = tn_sql_numeric(TN_NUMERIC_SCALE_DEFAULT,
			    false);
		return true;
	}
	return false;
}

static bool
unknown_type(struct tn_sql_bind *b, struct tn_slice name, uint32_t at)
{
	struct tn_sql_near near = { .word = name };
	const char *hint = "tarn help sql lists the types.";

	for (size_t i = 0; i < TN_COUNT(types); i++)
		tn_sql_near_try(&near, types[i].name);
	hint = tn_sql_near_hint(b, &near, hint);
	for (size_t i = 0; i < TN_COUNT(foreign_types); i++) {
		if (!tn_slice_is(name, foreign_types[i].name))
			continue;
		(void)tn_sql_fail(b, at, "unsupported",
		    foreign_types[i].hint, "type \"%s\" is not supported",
		    foreign_types[i].name);
		return false;
	}
	(void)tn_sql_fail(b, at, "unknown_type", hint,
	    "type \"%.*s\" does not exist", (int)name.n,
	    (const char *)name.p);
	return false;
}

/* (10,2), (20), and the bit mask of INTERVAL fields. */
static bool
modifiers(struct tn_sql_bind *b, const struct tn_json *body,
    int64_t mods[2], uint32_t *n, uint32_t at)
{
	const struct tn_json *items;
	const struct tn_json *c;

	*n = tn_sql_list(body, "typmods", &items);
	for (uint32_t i = 0; i < *n; i++) {
		c = tn_sql_body(&items[i], "A_Const");
		if (*n > 2 || tn_codec_json_get(c, "ival") == NULL) {
			(void)tn_sql_fail(b, at, "bad_type", NULL,
			    "this type cannot have such modifiers");
			return false;
		}
		mods[i] = tn_sql_ival(b->text, tn_codec_json_get(c, "ival"),
		    tn_sql_at(&items[i], at));
	}
	return true;
}

static bool
modify_numeric(struct tn_sql_bind *b, const int64_t *mods, uint32_t n,
    uint32_t at, struct tn_type *t)
{
	int64_t scale = n > 1 ? mods[1] : 0;

	if (mods[0] < 1 || mods[0] > TN_NUMERIC_DIGITS_MAX || scale < 0 ||
	    scale > mods[0]) {
		(void)tn_sql_fail(b, at, "bad_type",
		    "Use a precision of 1 to 38 and a scale of 0 to the "
		    "precision, as in numeric(12,2).",
		    "numeric(%lld,%lld) is out of range",
		    (long long)mods[0], (long long)scale);
		return false;
	}
	t->precision = (uint8_t)mods[0];
	t->scale = (uint8_t)scale;
	t->declared = true;
	return true;
}

static bool
modify(struct tn_sql_bind *b, const int64_t *mods, uint32_t n, uint32_t at,
    struct tn_type *t)
{
	bool time = t->id == TN_T_TIME || tn_sql_is_ts(*t);

	if (t->id == TN_T_NUMERIC)
		return modify_numeric(b, mods, n, at, t);
	if (t->id == TN_T_TEXT && n == 1 && mods[0] >= 1 &&
	    mods[0] <= 10485760) {
		t->length_max = (uint32_t)mods[0];
		return true;
	}
	if (time && n == 1 && mods[0] == 6)
		return true;
	(void)tn_sql_fail(b, at, time ? "unsupported" : "bad_type",
	    time ? "Leave the precision out: times have microseconds." :
	    NULL, "this type cannot have such a modifier");
	return false;
}

bool
tn_sql_type_bind(struct tn_sql_bind *b, const struct tn_json *node,
    struct tn_type *out, uint32_t *fields)
{
	const struct tn_json *body = tn_sql_body(node, "TypeName");
	const struct tn_json *names, *bounds;
	struct tn_slice name;
	int64_t mods[2] = { 0, 0 };
	uint32_t n, mod_n = 0, at;

	if (body == NULL)
		body = node;      /* A ColumnDef has it bare. */
	at = (uint32_t)tn_sql_int(body, "location");
	n = tn_sql_list(body, "names", &names);
	if (fields != NULL)
		*fields = 0;
	if (n == 0 || n > 2 || (n == 2 &&
	    !tn_slice_is(tn_sql_string(&names[0]), "pg_catalog"))) {
		(void)tn_sql_fail(b, at, "unsupported",
		    "Write the type's name alone.",
		    "types of other schemas do not exist");
		return false;
	}
	if (tn_sql_list(body, "arrayBounds", &bounds) > 0) {
		(void)tn_sql_fail(b, at, "unsupported",
		    "Use jsonb for lists.", "arrays are not supported");
		return false;
	}
	name = tn_sql_string(&names[n - 1]);
	if (tn_sql_bool(body, "setof") || tn_sql_bool(body, "pct_type") ||
	    !tn_sql_type_find(name, out))
		return unknown_type(b, name, at);
	if (!modifiers(b, body, mods, &mod_n, at))
		return false;
	if (out->id == TN_T_INTERVAL && mod_n == 1 && fields != NULL) {
		*fields = (uint32_t)mods[0];
		return true;
	}
	return mod_n == 0 || modify(b, mods, mod_n, at, out);
}

void
tn_sql_types_help(struct tn_buf *out, tn_sql_row *row)
{
	for (size_t i = 0; i < TN_COUNT(types); i++)
		if (types[i].shown != NULL)
			row(out, types[i].shown, types[i].doc);
}

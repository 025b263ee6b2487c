/* sql: text in PostgreSQL's dialect to a checked plan. The grammar is
 * PostgreSQL's own (libpg_query, JSON tree only); names, types, and what
 * Tarn does and does not do are decided here. Everything that is not done is
 * refused with file, line, column and a hint; nothing is silently ignored.
 *
 * Plans are trees of plain structs in one arena, immutable once made, so any
 * thread may read them. exec runs them. */
#ifndef TN_SQL_SQL_H
#define TN_SQL_SQL_H

#include "base/base.h"
#include "record/record.h"

/* ---- expressions ----------------------------------------------------- */

enum tn_sql_node {
	TN_SQL_CONST,    /* value: a column of one row */
	TN_SQL_COLUMN,   /* column: index into the input (see tn_sql_select) */
	TN_SQL_CALL,     /* fn with args */
	TN_SQL_CAST,     /* args[0] to type (see casts in sql/README.md) */
	TN_SQL_AND,      /* args, three-valued, two or more */
	TN_SQL_OR,
	TN_SQL_NOT,
	TN_SQL_CASE,     /* args: when, then, when, then, ..., else */
	TN_SQL_COALESCE, /* args of the node's type; lazily evaluated */
	TN_SQL_IN,       /* args[0] in the rest, all of one type */
};

/* Operators and functions, by operation. The binder inserts casts so that
 * the argument types are those of the comment; exec may rely on them.
 * "num": INT2 INT4 INT8 FLOAT4 FLOAT8 NUMERIC, all arguments and the result
 * of one type (NUMERIC of one scale unless said); "int": INT2 INT4 INT8;
 * "ts": TIMESTAMP or TIMESTAMPTZ; "any": any type, the arguments alike.
 * A null argument gives null unless said. X(id, name, signature, doc): name
 * is what a user writes; the table in help.c prints it. */
#define TN_SQL_FUNCTIONS(X) \
	/* arithmetic; overflow and division by zero are row errors */ \
	X(ADD, "+", "num + num -> num", "sum") \
	X(SUB, "-", "num - num -> num", "difference") \
	X(MUL, "*", "num * num -> num", \
	    "product; numeric: scales add up, at most 18") \
	X(DIV, "/", "num / num -> num", \
	    "quotient; integers truncate; numeric: 16 digits after the " \
	    "point") \
	X(MOD, "%", "num % num -> num", \
	    "remainder with the sign of the dividend; also mod(a, b)") \
	X(NEG, "-", "- num -> num", "negation") \
	X(POWER, "^", "double ^ double -> double", "power; also power(a, b)") \
	X(BIT_AND, "&", "int & int -> int", "bits in both") \
	X(BIT_OR, "|", "int | int -> int", "bits in either") \
	X(BIT_XOR, "#", "int # int -> int", "bits in one of them") \
	X(BIT_NOT, "~", "~ int -> int", "bits turned over") \
	X(SHIFT_LEFT, "<<", "int << int4 -> int", "bits moved left") \
	X(SHIFT_RIGHT, ">>", "int >> int4 -> int", "bits moved right") \
	/* comparison: any orderable type; text by bytes; NaN above all */ \
	X(EQ, "=", "any = any -> bool", "equal") \
	X(NE, "<>", "any <> any -> bool", "not equal") \
	X(LT, "<", "any < any -> bool", "less") \
	X(LE, "<=", "any <= any -> bool", "less or equal") \
	X(GT, ">", "any > any -> bool", "greater") \
	X(GE, ">=", "any >= any -> bool", "greater or equal") \
	X(DISTINCT_FROM, "is distinct from", "any, any -> bool", \
	    "not equal, nulls being equal; never null") \
	X(IS_NULL, "is null", "any -> bool", "never null") \
	X(IS_TRUE, "is true", "bool -> bool", \
	    "never null; also is false, is unknown and their negations") \
	X(IS_FALSE, "is false", "bool -> bool", "never null") \
	X(NULLIF, "nullif", "any, any -> any", \
	    "null when both are equal, else the first") \
	X(GREATEST, "greatest", "any, ... -> any", "largest that is not null") \
	X(LEAST, "least", "any, ... -> any", "smallest that is not null") \
	/* patterns */ \
	X(LIKE, "like", "text, text -> bool", \
	    "patterns of % and _; a backslash, or the character of " \
	    "ESCAPE, escapes") \
	X(ILIKE, "ilike", "text, text -> bool", \
	    "like, without regard to case (ASCII and simple Unicode)") \
	X(REGEX, "~", "text, text -> bool", "regular expression match") \
	X(REGEX_I, "~*", "text, text -> bool", \
	    "regular expression match without regard to case") \
	X(REGEXP_REPLACE, "regexp_replace", "text, text, text, text -> text", \
	    "replace the first match; flags (may be left out): g all, " \
	    "i any case; \\1 and \\& refer") \
	X(REGEXP_SUBSTR, "regexp_substr", "text, text -> text", \
	    "first match or null; also substring(text from pattern): its " \
	    "first group if it has one") \
	/* strings; positions and lengths in characters */ \
	X(CONCAT_OP, "||", "text || text -> text", "joined") \
	X(CONCAT, "concat", "text, ... -> text", \
	    "joined, nulls left out; never null") \
	X(CONCAT_WS, "concat_ws", "text, text, ... -> text", \
	    "joined by the first, nulls left out") \
	X(LENGTH, "length", "text -> int4", "characters; also char_length") \
	X(OCTET_LENGTH, "octet_length", "text -> int4", "bytes") \
	X(LOWER, "lower", "text -> text", \
	    "small letters (ASCII and simple Unicode)") \
	X(UPPER, "upper", "text -> text", "capital letters") \
	X(INITCAP, "initcap", "text -> text", "each word with a capital") \
	X(TRIM, "trim", "text, text -> text", \
	    "both ends, of blanks or of the characters given; also " \
	    "btrim") \
	X(LTRIM, "ltrim", "text, text -> text", \
	    "front end") \
	X(RTRIM, "rtrim", "text, text -> text", "back end") \
	X(LPAD, "lpad", "text, int4, text -> text", \
	    "filled (with blanks) or cut to a length from the front") \
	X(RPAD, "rpad", "text, int4, text -> text", \
	    "filled (with blanks) or cut to a length at the back") \
	X(SUBSTRING, "substring", "text, int4, int4 -> text", \
	    "from a position, so many characters or all; also substr") \
	X(LEFT, "left", "text, int4 -> text", \
	    "first n; negative: all but the last n") \
	X(RIGHT, "right", "text, int4 -> text", \
	    "last n; negative: all but the first n") \
	X(POSITION, "position", "text, text -> int4", \
	    "position(part in text): where it lies, from 1, or 0; also " \
	    "strpos(text, part); the plan has (part, text)") \
	X(REPLACE, "replace", "text, text, text -> text", "all occurrences") \
	X(SPLIT_PART, "split_part", "text, text, int4 -> text", \
	    "n-th field, from 1; negative counts from the end") \
	X(STARTS_WITH, "starts_with", "text, text -> bool", "also ^@") \
	X(REPEAT, "repeat", "text, int4 -> text", "at most 1 MiB") \
	X(REVERSE, "reverse", "text -> text", "characters backwards") \
	X(ASCII, "ascii", "text -> int4", "code point of the first character") \
	X(CHR, "chr", "int4 -> text", "character of a code point") \
	X(MD5, "md5", "text -> text", "hex MD5 (RFC 1321)") \
	/* mathematics */ \
	X(ABS, "abs", "num -> num", "absolute value") \
	X(SIGN, "sign", "double|numeric -> same", "-1, 0 or 1") \
	X(CEIL, "ceil", "double|numeric -> same", \
	    "up to a whole number; also ceiling") \
	X(FLOOR, "floor", "double|numeric -> same", "down to a whole number") \
	X(TRUNC, "trunc", "double|numeric -> same", "toward zero") \
	X(ROUND, "round", "double|numeric -> same", \
	    "to a whole number: doubles half to even, numeric half away " \
	    "from zero") \
	X(ROUND_TO, "round", "numeric, int4 -> numeric", \
	    "to digits after the point; a constant number of digits is " \
	    "the scale of the result") \
	X(TRUNC_TO, "trunc", "numeric, int4 -> numeric", \
	    "cut to digits after the point") \
	X(SQRT, "sqrt", "double -> double", \
	    "square root; negative is a row error") \
	X(CBRT, "cbrt", "double -> double", "cube root") \
	X(EXP, "exp", "double -> double", "e to the power") \
	X(LN, "ln", "double -> double", "natural logarithm") \
	X(LOG10, "log", "double -> double", "base 10; also log10") \
	X(SIN, "sin", "double -> double", "sine") \
	X(COS, "cos", "double -> double", "cosine") \
	X(TAN, "tan", "double -> double", "tangent") \
	X(ASIN, "asin", "double -> double", "inverse sine") \
	X(ACOS, "acos", "double -> double", "inverse cosine") \
	X(ATAN, "atan", "double -> double", "inverse tangent") \
	X(ATAN2, "atan2", "double, double -> double", "angle of y, x") \
	X(DEGREES, "degrees", "double -> double", "from radians") \
	X(RADIANS, "radians", "double -> double", "from degrees") \
	X(PI, "pi", "-> double", "3.14159...") \
	/* dates and times; weeks begin on Monday (ISO 8601) */ \
	X(NOW, "now", "-> timestamptz", \
	    "time of the query; also current_timestamp; in CHECK, " \
	    "DEFAULT and GENERATED the time the row was received; not " \
	    "in views") \
	X(TS_ADD, "+", "ts + interval -> ts", "later") \
	X(TS_SUB, "-", "ts - interval -> ts", "earlier") \
	X(TS_DIFF, "-", "ts - ts -> interval", "days and time between") \
	X(DATE_ADD, "+", "date + int4 -> date", "days later") \
	X(DATE_SUB, "-", "date - int4 -> date", "days earlier") \
	X(DATE_DIFF, "-", "date - date -> int4", "days between") \
	X(DATE_TIME, "+", "date + time -> timestamp", "put together") \
	X(TIME_ADD, "+", "time + interval -> time", "wraps at midnight") \
	X(TIME_SUB, "-", "time - interval -> time", "wraps at midnight") \
	X(TIME_DIFF, "-", "time - time -> interval", "time between") \
	X(INTERVAL_ADD, "+", "interval + interval -> interval", "sum") \
	X(INTERVAL_SUB, "-", "interval - interval -> interval", "difference") \
	X(INTERVAL_NEG, "-", "- interval -> interval", "negation") \
	X(INTERVAL_MUL, "*", "interval * double -> interval", "times") \
	X(INTERVAL_DIV, "/", "interval / double -> interval", "divided") \
	X(DATE_BIN, "date_bin", "interval, ts, ts -> ts", \
	    "start of the bin of a fixed width that begins at an origin; " \
	    "no months") \
	X(DATE_TRUNC, "date_trunc", "text, ts -> ts", \
	    "microseconds ... millennium; timestamptz in UTC") \
	X(DATE_TRUNC_TZ, "date_trunc", \
	    "text, timestamptz, text -> timestamptz", \
	    "in a time zone") \
	X(EXTRACT, "extract", "text, ts|date|time|interval -> numeric(38,6)", \
	    "year month day hour minute second dow isodow doy week " \
	    "isoyear quarter epoch ...; also date_part (as double)") \
	X(TIMEZONE, "timezone", "text, ts -> the other ts", "at time zone") \
	X(TO_TIMESTAMP, "to_timestamp", "double -> timestamptz", \
	    "seconds since 1970") \
	X(TO_CHAR, "to_char", "ts, text -> text", \
	    "YYYY MM DD HH24 HH12 MI SS MS US Day Dy Month Mon ID D " \
	    "DDD IW Q AM") \
	X(MAKE_DATE, "make_date", "int4, int4, int4 -> date", \
	    "year, month, day") \
	X(MAKE_TIME, "make_time", "int4, int4, double -> time", \
	    "hour, minute, second") \
	X(MAKE_INTERVAL, "make_interval", "int4 x6, double -> interval", \
	    "years, months, weeks, days, hours, mins, secs; named " \
	    "arguments too") \
	X(AGE, "age", "ts, ts -> interval", "years, months and days between") \
	/* jsonb */ \
	X(JSON_GET, "->", "jsonb -> text -> jsonb", \
	    "value of a key; null when absent") \
	X(JSON_AT, "->", "jsonb -> int4 -> jsonb", \
	    "element, from 0; negative from the end") \
	X(JSON_GET_TEXT, "->>", "jsonb ->> text -> text", "as text") \
	X(JSON_AT_TEXT, "->>", "jsonb ->> int4 -> text", "as text") \
	X(JSON_HAS, "?", "jsonb ? text -> bool", \
	    "has the key or the string element") \
	X(JSON_LENGTH, "jsonb_array_length", "jsonb -> int4", \
	    "elements; a row error when not an array") \
	X(JSON_TYPEOF, "jsonb_typeof", "jsonb -> text", \
	    "object array string number boolean null")

enum tn_sql_fn {
#define TN_SQL_FN_ENUM(id, name, signature, doc) TN_FN_##id,
	TN_SQL_FUNCTIONS(TN_SQL_FN_ENUM)
#undef TN_SQL_FN_ENUM
	TN_FN_COUNT
};

struct tn_sql_expr {
	enum tn_sql_node node;
	struct tn_type type;
	enum tn_sql_fn fn;                 /* CALL */
	uint32_t column;                   /* COLUMN */
	const struct tn_column *value;     /* CONST */
	const struct tn_sql_expr *const *args;
	uint32_t arg_count;
	uint32_t at;                       /* Byte in the text, for messages. */
};

/* ---- tables (streams and reference tables) --------------------------- */

enum tn_sql_kind { TN_SQL_STREAM, TN_SQL_REFERENCE, TN_SQL_VIEW };

struct tn_sql_check {
	const char *name;                  /* "temp_c_check" as PostgreSQL. */
	const char *text;                  /* As written, for the reason. */
	const char *column;                /* First column it mentions. */
	const struct tn_sql_expr *expr;    /* Bad when false (null passes). */
};
#define TN_SQL_SORT_MAX 8
struct tn_sql_table {
	enum tn_sql_kind kind;
	const char *name;
	const char *comment;               /* COMMENT ON TABLE, or NULL. */
	const char **column_comments;      /* Each may be NULL. */
	/* Declared columns in order, generated ones among them. */
	const struct tn_schema *schema;
	/* Each NULL, constant, or now() as it is or cast. */
	const struct tn_sql_expr **defaults;
	const struct tn_sql_expr **generated;  /* Each NULL or over schema. */
	const uint32_t *key;               /* PRIMARY KEY columns. */
	uint32_t key_count;
	const struct tn_sql_check *checks;
	uint32_t check_count;
	int event_time;                    /* Column, or -1: received_at. */
	int64_t dedupe_window_us;          /* Default 7 days. */
	int64_t max_future_skew_us;        /* Default 1 hour; 0: no limit. */
	int64_t retention_us;              /* Of silver; 0: for ever. */
	int64_t bronze_retention_us;       /* 0: for ever; >= retention_us. */
	/* Age of what is moved to the cold folder; -1: as the setting says,
	 * INT64_MAX: never. */
	int64_t cold_after_us;
	/* WITH (sort_by = 'a, b'): columns that silver files are sorted by,
	 * before their time; none: by their time. */
	const uint32_t *sort_by;
	uint32_t sort_count;
	/* WITH (mqtt = '...'): each a pattern for tn_codec_topic_parse. */
	const char *const *topics;
	uint32_t topic_count;
	/* Canonical text of the definition (deparsed by us or as written): the
	 * version of a table changes when this does. */
	const char *definition;
	bool builtin;                      /* Of no file of the user. */
};
/* Columns that every stream also has when it is read (silver), after the
 * declared ones, in this order. */
#define TN_SQL_HIDDEN 3
#define TN_SQL_LSN_NAME "_lsn"            /* int8 */
#define TN_SQL_OFFSET_NAME "_offset"      /* int8 */
#define TN_SQL_RECEIVED_NAME "_received_at" /* timestamptz */

/* ---- selects (views and queries) ------------------------------------- */

enum tn_sql_agg_kind {
	TN_AGG_COUNT_STAR,      /* -> int8 */
	TN_AGG_COUNT,           /* any -> int8 */
	TN_AGG_COUNT_DISTINCT,  /* any -> int8, exact */
	/* int2, int4 -> int8; int8, numeric(s) -> numeric(38,s); floats ->
	 * the same */
	TN_AGG_SUM,
	TN_AGG_AVG,     /* int*, numeric -> numeric(38,16); float* -> float8 */
	TN_AGG_MIN, TN_AGG_MAX, /* any orderable -> same */
	TN_AGG_BOOL_AND, TN_AGG_BOOL_OR,
	/* float8 -> float8; binder casts */
	TN_AGG_STDDEV_SAMP, TN_AGG_STDDEV_POP,
	TN_AGG_VAR_SAMP, TN_AGG_VAR_POP,
	/* (value any, time orderable) -> value; ties by offset; null times
	 * ignored */
	TN_AGG_FIRST, TN_AGG_LAST,
	/* (value any, by orderable) -> value; on a tie the smaller value; rows
	 * with null value or by ignored */
	TN_AGG_ARG_MIN, TN_AGG_ARG_MAX,
	/* any -> int8, HyperLogLog 2^12 registers */
	TN_AGG_APPROX_COUNT_DISTINCT,
	TN_AGG_PERCENTILE_CONT,         /* (float8) with p -> float8, exact */
};
struct tn_sql_agg {
	enum tn_sql_agg_kind kind;
	struct tn_type type;               /* Of the result. */
	const struct tn_sql_expr *args[2]; /* Over the input; NULL unused. */
	const struct tn_sql_expr *filter;  /* FILTER (WHERE ...), or NULL. */
	double fraction;                   /* PERCENTILE_CONT */
};
struct tn_sql_output {
	const char *name;
	const struct tn_sql_expr *expr;    /* Over the second space, below. */
};
struct tn_sql_join {
	const char *table;                 /* A reference table. */
	bool left;                         /* LEFT JOIN; else inner. */
	/* The joined table's key columns equal these expressions (over what
	 * lies to the left); the whole primary key must be given. */
	const struct tn_sql_expr *const *key;
	uint32_t key_count;
	/* What remains of ON, over the input including this table; or NULL.
	 * For LEFT it decides whether the row counts as matched. */
	const struct tn_sql_expr *rest;
	uint32_t first_column;             /* Of the table, in the input. */
};
/* First space ("input"): columns of the source (a stream: schema then the
 * three hidden ones; a view: its outputs), then those of each join in order.
 * Second space: with aggregation: group values, then aggregate results;
 * without: the input itself. */
struct tn_sql_order {
	uint32_t output;                   /* Index into outputs. */
	bool descending;
	bool nulls_first;
};
struct tn_sql_select {
	enum tn_sql_kind source_kind;
	const char *source;                /* Stream, reference or view. */
	uint32_t source_columns;
	/* FROM as_of('source', this): an int8 (LSN) or timestamptz, without
	 * columns; NULL: as it is now. Only in queries. */
	const struct tn_sql_expr *as_of;
	const struct tn_schema *input;     /* The whole input space. */
	const struct tn_sql_join *joins;
	uint32_t join_count;
	const struct tn_sql_expr *where;   /* Over the input, or NULL. */
	bool aggregated;
	const struct tn_sql_expr *const *groups;
	uint32_t group_count;
	const struct tn_sql_agg *aggs;
	uint32_t agg_count;
	const struct tn_sql_expr *having;  /* Over the second space, or NULL. */
	const struct tn_sql_output *outputs;
	uint32_t output_count;             /* Those the user sees ... */
	uint32_t output_hidden;            /* ... then those for ORDER BY. */
	bool distinct;                     /* SELECT DISTINCT of the outputs. */
	const struct tn_sql_order *order;
	uint32_t order_count;
	int64_t limit;                     /* -1: none */
	int64_t offset;
	const struct tn_schema *schema;    /* Of the visible outputs. */
	/* Which group is the time bucket: the first of a time type, or -1; its
	 * width if it is a date_bin or date_trunc of a constant, else 0. */
	int bucket_group;
	int64_t bucket_us;
	/* Input columns used anywhere: one byte each. */
	const uint8_t *used;
};

struct tn_sql_option {
	const char *name;
	const char *value;
};
/* Options of a view: how it is shown, and how long kept; all optional. */
struct tn_sql_view {
	const char *name;
	const char *comment;
	const char **column_comments;
	const struct tn_sql_select *select; /* aggregated, no order, limit */
	/* For each group: the visible output that is just that, or -1. */
	const int *group_output;
	const char *definition;
	/* WITH (overview = 'tile' | 'line' | 'bar' | 'heatmap' | 'table',
	 * title = '...', x = 'hour', y = 'visits', series = 'office', unit =
	 * 'ppm', position = 10, description = '...', publish =
	 * 'views/visits/{office}', retention = '90 days'): kept as pairs,
	 * checked against the columns. */
	const struct tn_sql_option *options;
	uint32_t option_count;
	int64_t retention_us;   /* By the time bucket; 0: for ever. */
};

/* ---- a pipeline ------------------------------------------------------ */

struct tn_sql_setting {
	const char *name;
	const char *value;
	const char *file;
	uint32_t line, column;
};
struct tn_sql_pipeline {
	const struct tn_sql_table *const *tables;   /* By name order. */
	uint32_t table_count;
	const struct tn_sql_view *const *views;
	uint32_t view_count;
	const struct tn_sql_setting *settings;
	uint32_t setting_count;
	struct tn_arena *arena;
};
#define TN_SQL_TEXT_MAX (64 * 1024)   /* Of one statement text or file. */

/* All *.sql files of a folder in name order, as one pipeline. On the first
 * mistake: TN_EINVAL or TN_EUNSUPPORTED with file, line, column, hint. The
 * parser runs on a thread of its own with a large stack. Any thread but the
 * loop. */
TN_MUST_USE enum tn_status tn_sql_load_dir(struct tn_sql_pipeline **out,
    const char *dir, struct tn_diag *d);
/* The same from named texts (bundled pipelines, tests). */
struct tn_sql_source {
	const char *name;
	struct tn_slice text;
};
TN_MUST_USE enum tn_status tn_sql_load(struct tn_sql_pipeline **out,
    const struct tn_sql_source *sources, uint32_t count, struct tn_diag *d);
/* A text of the program's own with one table. It is passed over when a table
 * or view of the pipeline has its name, and when the pipeline sets ${setting}
 * to off. */
struct tn_sql_builtin {
	struct tn_sql_source source;
	const char *setting;
};
/* Both as above, with such a text. */
TN_MUST_USE enum tn_status tn_sql_load_with(struct tn_sql_pipeline **out,
    const struct tn_sql_source *sources, uint32_t count,
    const struct tn_sql_builtin *more, struct tn_diag *d);
TN_MUST_USE enum tn_status tn_sql_load_dir_with(
    struct tn_sql_pipeline **out, const char *dir,
    const struct tn_sql_builtin *more, struct tn_diag *d);
void tn_sql_pipeline_free(struct tn_sql_pipeline *p);
const struct tn_sql_table *tn_sql_table(const struct tn_sql_pipeline *p,
    struct tn_slice name);
const struct tn_sql_view *tn_sql_view(const struct tn_sql_pipeline *p,
    struct tn_slice name);
/* One SELECT over streams, reference tables and views. The plan lives in
 * ${a}. Any thread but the loop. */
TN_MUST_USE enum tn_status tn_sql_query(const struct tn_sql_pipeline *p,
    struct tn_slice text, struct tn_arena *a,
    const struct tn_sql_select **out, struct tn_diag *d);
/* ---- CALL name(arguments) -------------------------------------------- */

enum tn_sql_arg_kind {
	TN_SQL_ARG_TEXT = 1, TN_SQL_ARG_INT = 2, TN_SQL_ARG_BOOL = 4,
	TN_SQL_ARG_TIME = 8,             /* number: us since 1970. */
	TN_SQL_ARG_INTERVAL = 16,        /* number: us; a day has 24 h. */
};
#define TN_SQL_CALL_ARGS 8
struct tn_sql_arg {
	const char *name;                  /* NULL: not given. */
	enum tn_sql_arg_kind kind;
	struct tn_slice text;              /* TEXT; in the arena. */
	int64_t number;                    /* All others. */
};
/* Checked against the table in call.c: the kinds fit, what is needed is
 * there, by place or by name => value. */
struct tn_sql_call {
	const char *name;
	struct tn_sql_arg args[TN_SQL_CALL_ARGS];
};
/* Does a text begin with the word CALL? Any thread. */
bool tn_sql_is_call(struct tn_slice text);
/* Unknown names and arguments are refused with the list of what there is. Any
 * thread but the loop. */
TN_MUST_USE enum tn_status tn_sql_call_parse(
    const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_call **out, struct tn_diag *d);
/* NULL: not given. */
const struct tn_sql_arg *tn_sql_call_arg(const struct tn_sql_call *call,
    const char *name);
/* Names of all procedures by number, NULL at the end. */
const char *tn_sql_procedure(uint32_t i);

/* ---- DELETE ---------------------------------------------------------- */

struct tn_sql_delete {
	const struct tn_sql_table *table;    /* A stream of the user. */
	/* Over its columns, then the hidden ones; and which of them it uses. */
	const struct tn_sql_expr *where;
	const uint8_t *used;
	/* It looks at what is not the row's own: two rows of the same bytes
	 * may differ in it. */
	bool by_arrival;
};
/* Does a text begin with the word DELETE? Any thread. */
bool tn_sql_is_delete(struct tn_slice text);
/* DELETE FROM stream WHERE condition. The plan lives in ${a}. Any thread but
 * the loop. */
TN_MUST_USE enum tn_status tn_sql_delete_parse(
    const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_delete **out, struct tn_diag *d);

/* ---- ALTER SYSTEM ---------------------------------------------------- */

struct tn_sql_alter {
	const char *name;
	const char *value;                   /* NULL: as it was before. */
};
/* Does a text begin with the word ALTER? Any thread. */
bool tn_sql_is_alter(struct tn_slice text);
/* ALTER SYSTEM SET name = value, or RESET name. Texts live in ${a}. Any thread
 * but the loop. */
TN_MUST_USE enum tn_status tn_sql_alter_parse(struct tn_slice text,
    struct tn_arena *a, struct tn_sql_alter *out, struct tn_diag *d);

/* ---- COPY ------------------------------------------------------------ */

enum tn_sql_copy_format { TN_SQL_COPY_ANY, TN_SQL_COPY_CSV, TN_SQL_COPY_JSON,
	TN_SQL_COPY_NDJSON, TN_SQL_COPY_PARQUET };
#define TN_SQL_COPY_OPTIONS 64
struct tn_sql_copy {
	bool from;
	const char *table;                   /* FROM: into this one. */
	const struct tn_sql_select *select;  /* TO: these rows. */
	const char *path;                    /* As written. */
	enum tn_sql_copy_format format;      /* ANY: only FROM. */
	bool no_header;                      /* TO, csv. */
	/* FROM: as the load options of the HTTP door, format among them. */
	struct tn_sql_option options[TN_SQL_COPY_OPTIONS + 1];
	uint32_t option_count;
};
/* Does a text begin with the word COPY? Any thread. */
bool tn_sql_is_copy(struct tn_slice text);
/* The plan lives in ${a}. Any thread but the loop. */
TN_MUST_USE enum tn_status tn_sql_copy_parse(
    const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_copy **out, struct tn_diag *d);

/* What the language does, for tarn help sql. */
void tn_sql_help(struct tn_buf *out);
/* One paragraph a table and view: columns, types, keys, source; for tarn
 * check and the page. */
void tn_sql_explain(const struct tn_sql_pipeline *p, struct tn_buf *out);

#endif

/* What the files of sql share. The way of a text: source.c checks the bytes
 * and finds tokens, lines and columns; tree.c parses it to the JSON tree;
 * the binder (everything else) walks the tree with a struct tn_sql_bind and
 * fills the plan structs of sql.h in one arena.
 *
 * A binding function returns NULL (or a status) after a mistake; the place,
 * the message and the hint are then in the bind's diag, once. */
#ifndef TN_SQL_SQL_INT_H
#define TN_SQL_SQL_INT_H

#include "codec/codec.h"
#include "sql/sql.h"

#define TN_SQL_NAME_MAX 63
#define TN_SQL_DEPTH_MAX 500      /* Of the JSON tree; codec allows 512. */
#define TN_SQL_OUTPUTS_MAX 256
#define TN_SQL_JOINS_MAX 16
#define TN_SQL_ARGS_MAX 100       /* Of a function, as PostgreSQL. */
#define TN_SQL_STATEMENTS_MAX 1000
#define TN_SQL_MUL_SCALE_MAX 18
#define TN_SQL_DIV_SCALE 16

/* Two ids that never leave the binder: a string literal whose type is still
 * open, and a node that stands for an aggregate's result. */
#define TN_SQL_T_UNKNOWN 200
#define TN_SQL_NODE_AGG ((enum tn_sql_node)100)

/* ---- source texts ---------------------------------------------------- */

/* A checked text: UTF-8, no NUL inside, at most TN_SQL_TEXT_MAX bytes,
 * identifiers within 63 bytes; NUL-terminated copy in the arena. */
struct tn_sql_text {
	const char *name;
	const char *p;
	uint32_t n;
};
enum tn_sql_token_kind {
	TN_SQL_TOK_END, TN_SQL_TOK_WORD, TN_SQL_TOK_QUOTED, TN_SQL_TOK_STRING,
	TN_SQL_TOK_OTHER,
};
struct tn_sql_token {
	enum tn_sql_token_kind kind;
	uint32_t at;
	uint32_t n;
};
/* The next token at or after *at; moves *at behind it. */
struct tn_sql_token tn_sql_token_next(const struct tn_sql_text *t,
    uint32_t *at, uint32_t end);
void tn_sql_text_place(const struct tn_sql_text *t, uint32_t at,
    struct tn_diag *d);
/* Is that the first word, in any case, behind blanks and comments? */
bool tn_sql_text_begins(struct tn_slice text, const char *word);
TN_MUST_USE enum tn_status tn_sql_text_check(struct tn_arena *a,
    const char *name, struct tn_slice in, struct tn_sql_text *out,
    struct tn_diag *d);
/* Tokens of [from, end) with single blanks between, comments left out,
 * unquoted words in lower case. */
const char *tn_sql_text_canonical(struct tn_arena *a,
    const struct tn_sql_text *t, uint32_t from, uint32_t end);
/* The text between the brackets that open first after ${at}, or "". */
const char *tn_sql_text_inside(struct tn_arena *a,
    const struct tn_sql_text *t, uint32_t at);

/* ---- the tree -------------------------------------------------------- */

/* pg_query_parse on the parser's thread; ${result} is a
 * PgQueryParseResult, to be freed by the caller. Any thread but the loop. */
void tn_sql_parse(const char *text, void *result);
/* Array of RawStmt objects. */
TN_MUST_USE enum tn_status tn_sql_tree_parse(struct tn_arena *a,
    const struct tn_sql_text *t, const struct tn_json **stmts,
    struct tn_diag *d);
/* Kind of a node {"Kind": {...}} and its body; an empty slice if none. */
struct tn_slice tn_sql_kind(const struct tn_json *node,
    const struct tn_json **body);
/* The body if it is of that kind, else NULL. */
const struct tn_json *tn_sql_body(const struct tn_json *node,
    const char *kind);
struct tn_slice tn_sql_str(const struct tn_json *o, const char *key);
bool tn_sql_str_is(const struct tn_json *o, const char *key,
    const char *value);
int64_t tn_sql_int(const struct tn_json *o, const char *key);
bool tn_sql_bool(const struct tn_json *o, const char *key);
uint32_t tn_sql_list(const struct tn_json *o, const char *key,
    const struct tn_json **items);
/* {"String": {"sval": ...}} to its text; empty if it is none. */
struct tn_slice tn_sql_string(const struct tn_json *node);
/* Where the node begins, or ${other} when the tree does not say. */
uint32_t tn_sql_at(const struct tn_json *node, uint32_t other);
uint32_t tn_sql_first_at(const struct tn_json *node, uint32_t other);
/* The value of an Integer body that begins at ${at} of the text. */
int64_t tn_sql_ival(const struct tn_sql_text *t,
    const struct tn_json *integer, uint32_t at);

/* ---- binding --------------------------------------------------------- */

enum tn_sql_mode {
	TN_SQL_IN_CHECK, TN_SQL_IN_DEFAULT, TN_SQL_IN_GENERATED,
	TN_SQL_IN_VIEW, TN_SQL_IN_QUERY
};
struct tn_sql_rel {
	const char *alias;
	const char *table;
	uint32_t first;          /* Column of the input. */
	uint32_t visible;        /* Columns in "*". */
	uint32_t count;          /* With hidden ones. */
	uint8_t *merged;         /* A byte a column: taken by USING. */
};
struct tn_sql_bind {
	struct tn_arena *a;
	struct tn_diag *d;
	enum tn_status st;               /* First failure. */
	const struct tn_sql_text *text;
	const struct tn_sql_pipeline *pipe;
	/* Views of the pipeline that is being loaded, bound or not. */
	const struct tn_slice *view_names;
	uint32_t view_name_count;
	enum tn_sql_mode mode;
	/* The input space. */
	struct tn_sql_rel rels[TN_SQL_JOINS_MAX + 1];
	uint32_t rel_count;
	struct tn_field *fields;
	uint32_t field_count;
	uint8_t *used;
	/* Columns of a table that are generated: not for GENERATED. */
	const uint8_t *generated;
	/* Aggregates met so far; NULL forbids them. */
	const char *no_agg;              /* Where they are not allowed. */
	bool inside_agg;
	struct tn_sql_agg *aggs;
	uint32_t agg_count;
	uint32_t depth;
	uint32_t here;                   /* Place of nodes without one. */
};

/* Note a mistake (the first one stays); always gives NULL. Code
 * "unsupported" makes it TN_EUNSUPPORTED, else TN_EINVAL. hint may be
 * NULL. */
void *tn_sql_fail(struct tn_sql_bind *b, uint32_t at, const char *code,
    const char *hint, const char *fmt, ...) TN_PRINTF(5, 6);
/* The value of a SET as a text. */
bool tn_sql_setting_value(struct tn_sql_bind *b, const struct tn_json *set,
    const char **value);
/* The body of a text's only statement, which is to be a ${kind} (that people
 * call ${word}); sets b's text and here. NULL: b->st says why. */
const struct tn_json *tn_sql_statement(struct tn_sql_bind *b,
    struct tn_slice text, const char *kind, const char *word);

/* The nearest of names to a word, as 'did you mean "x"?', else ${other}. */
struct tn_sql_near {
	struct tn_slice word;
	const char *best;
	uint32_t distance;
};
void tn_sql_near_try(struct tn_sql_near *n, const char *name);
const char *tn_sql_near_hint(struct tn_sql_bind *b,
    const struct tn_sql_near *n, const char *other);

/* ---- types ----------------------------------------------------------- */

enum tn_sql_cast { TN_SQL_IMPLICIT, TN_SQL_ASSIGN, TN_SQL_EXPLICIT };
struct tn_type tn_sql_numeric(uint8_t scale, bool declared);
bool tn_sql_is_number(struct tn_type t);
bool tn_sql_is_int(struct tn_type t);
bool tn_sql_is_float(struct tn_type t);
bool tn_sql_is_ts(struct tn_type t);        /* TIMESTAMP, TIMESTAMPTZ */
bool tn_sql_is_unknown(struct tn_type t);   /* NULL or an open literal */
/* As PostgreSQL names it; "unknown" for open literals. Arena text. */
const char *tn_sql_type_text(struct tn_sql_bind *b, struct tn_type t);
bool tn_sql_castable(struct tn_type from, struct tn_type to,
    enum tn_sql_cast how);
/* A TypeName of the tree. *fields gets the mask of INTERVAL fields. */
TN_MUST_USE bool tn_sql_type_bind(struct tn_sql_bind *b,
    const struct tn_json *type_name, struct tn_type *out, uint32_t *fields);
/* By a plain name ("int4", "text"), without modifiers. */
bool tn_sql_type_find(struct tn_slice name, struct tn_type *out);
/* The type that CASE, IN, COALESCE... give values of both; false if none. */
bool tn_sql_type_common(struct tn_type a, struct tn_type b,
    struct tn_type *out);
/* Lists for help, a row at a time. */
typedef void tn_sql_row(struct tn_buf *out, const char *form,
    const char *doc);
void tn_sql_types_help(struct tn_buf *out, tn_sql_row *row);

/* ---- expressions ----------------------------------------------------- */

struct tn_sql_expr *tn_sql_new(struct tn_sql_bind *b, enum tn_sql_node node,
    struct tn_type t, uint32_t at);
/* Copies the argument pointers. */
struct tn_sql_expr *tn_sql_node_new(struct tn_sql_bind *b,
    enum tn_sql_node node, struct tn_type t,
    const struct tn_sql_expr *const *args, uint32_t n);
struct tn_sql_expr *tn_sql_call(struct tn_sql_bind *b, enum tn_sql_fn fn,
    struct tn_type t, const struct tn_sql_expr *const *args, uint32_t n);
bool tn_sql_expr_eq(const struct tn_sql_expr *a, const struct tn_sql_expr *b);

struct tn_sql_expr *tn_sql_const_null(struct tn_sql_bind *b,
    struct tn_type t, uint32_t at);
struct tn_sql_expr *tn_sql_const_text(struct tn_sql_bind *b,
    struct tn_type t, struct tn_slice s, uint32_t at);
struct tn_sql_expr *tn_sql_const_i32(struct tn_sql_bind *b, int32_t v,
    uint32_t at);
struct tn_sql_expr *tn_sql_const_bool(struct tn_sql_bind *b, bool v,
    uint32_t at);
/* From digits as the grammar gives them: int4, int8 or numeric. */
struct tn_sql_expr *tn_sql_const_number(struct tn_sql_bind *b,
    struct tn_slice s, uint32_t at);
/* A text literal as a value of ${t}; a mistake if it is none. */
struct tn_sql_expr *tn_sql_const_parse(struct tn_sql_bind *b,
    struct tn_type t, struct tn_slice s, uint32_t at);
bool tn_sql_const_is_null(const struct tn_sql_expr *e);
/* The text of a constant of text or unknown type; false if it is not. */
bool tn_sql_const_get_text(const struct tn_sql_expr *e, struct tn_slice *s);
/* The value of an integer constant. */
bool tn_sql_const_get_int(const struct tn_sql_expr *e, int64_t *v);
bool tn_sql_const_get_f64(const struct tn_sql_expr *e, double *v);

/* ${e} as type ${t}: unchanged, folded, or under a CAST. */
struct tn_sql_expr *tn_sql_coerce(struct tn_sql_bind *b,
    const struct tn_sql_expr *e, struct tn_type t, enum tn_sql_cast how);
/* An open literal becomes text; all else is unchanged. */
struct tn_sql_expr *tn_sql_settle(struct tn_sql_bind *b,
    const struct tn_sql_expr *e);
/* Bring all to one type; ${what} names the construct in messages. */
TN_MUST_USE bool tn_sql_unify(struct tn_sql_bind *b,
    const struct tn_sql_expr **args, uint32_t n, const char *what);

struct tn_type tn_sql_type_of_any(const struct tn_sql_expr *const *args,
    uint32_t n);

/* Any expression of the tree; may be open (unknown). */
struct tn_sql_expr *tn_sql_expr_bind(struct tn_sql_bind *b,
    const struct tn_json *node);
/* As a condition; ${what}: "WHERE". */
struct tn_sql_expr *tn_sql_expr_bool(struct tn_sql_bind *b,
    const struct tn_json *node, const char *what);
struct tn_sql_expr *tn_sql_as_bool(struct tn_sql_bind *b,
    const struct tn_sql_expr *e, const char *what);
/* Column ${i} of the input. */
struct tn_sql_expr *tn_sql_column(struct tn_sql_bind *b, uint32_t i,
    uint32_t at);
struct tn_sql_expr *tn_sql_column_ref(struct tn_sql_bind *b,
    const struct tn_json *ref);
/* lexpr may be NULL for prefix operators. */
struct tn_sql_expr *tn_sql_operator(struct tn_sql_bind *b,
    struct tn_slice name, const struct tn_sql_expr *l,
    const struct tn_sql_expr *r, uint32_t at);
struct tn_sql_expr *tn_sql_not(struct tn_sql_bind *b,
    const struct tn_sql_expr *e);
struct tn_sql_expr *tn_sql_like(struct tn_sql_bind *b,
    const struct tn_json *body, bool any_case);
struct tn_sql_expr *tn_sql_func(struct tn_sql_bind *b,
    const struct tn_json *call);
/* *found false: not the name of an aggregate. */
struct tn_sql_expr *tn_sql_agg(struct tn_sql_bind *b,
    const struct tn_json *call, struct tn_slice name, uint32_t at,
    bool *found);
void tn_sql_agg_near(struct tn_sql_near *n);
bool tn_sql_agg_is(struct tn_slice name);
void tn_sql_aggs_help(struct tn_buf *out, tn_sql_row *row);
/* Overloads of plain functions (functab.c); *found as above. */
struct tn_sql_expr *tn_sql_overload(struct tn_sql_bind *b,
    struct tn_slice name, const struct tn_sql_expr **args, uint32_t n,
    uint32_t at, bool *found);
void tn_sql_overload_near(struct tn_sql_near *n);
/* Name that PostgreSQL gives an output without AS. */
const char *tn_sql_figure_name(struct tn_sql_bind *b,
    const struct tn_json *node);

/* ---- statements ------------------------------------------------------ */

/* The relation named by a RangeVar, "public" allowed, others refused. */
TN_MUST_USE bool tn_sql_relation_name(struct tn_sql_bind *b,
    const struct tn_json *range_var, uint32_t at, struct tn_slice *name);
/* [a-z_][a-z0-9_]* and not reserved. */
TN_MUST_USE bool tn_sql_relation_check(struct tn_sql_bind *b,
    struct tn_slice name, uint32_t at);
TN_MUST_USE bool tn_sql_column_check(struct tn_sql_bind *b,
    struct tn_slice name, uint32_t at);
/* FROM: fills rels, fields, used, and source, joins, input of ${s}. */
TN_MUST_USE bool tn_sql_from(struct tn_sql_bind *b,
    const struct tn_json *select, struct tn_sql_select *s);
const struct tn_sql_select *tn_sql_select_bind(struct tn_sql_bind *b,
    const struct tn_json *select, uint32_t at);
const struct tn_sql_table *tn_sql_table_bind(struct tn_sql_bind *b,
    const struct tn_json *create, uint32_t at);
const struct tn_sql_view *tn_sql_view_bind(struct tn_sql_bind *b,
    const struct tn_json *create, uint32_t at);

/* One WITH option: its name, its text, and where it stands. */
struct tn_sql_opt {
	struct tn_slice name;
	struct tn_slice value;
	uint32_t at;
};
TN_MUST_USE bool tn_sql_opt_read(struct tn_sql_bind *b,
    const struct tn_json *node, struct tn_sql_opt *out);
/* A length of time, '7 days' or '0'; and 'forever', which is 0. */
TN_MUST_USE bool tn_sql_interval_bind(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, int64_t *us);
TN_MUST_USE bool tn_sql_retention_bind(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, int64_t *us);
/* sort_by = 'a, b'. */
TN_MUST_USE bool tn_sql_sort_bind(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, const struct tn_field *fields,
    uint32_t count, struct tn_sql_table *t);
/* Refuses an option that is not in the list, with the nearest. */
TN_MUST_USE bool tn_sql_opt_unknown(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, const char *const *names, uint32_t n,
    const char *of);

/* ---- call.c ---------------------------------------------------------- */

void tn_sql_calls_help(struct tn_buf *out, tn_sql_row *row);

/* ---- topic.c --------------------------------------------------------- */

/* Option mqtt of a table into t->topics. */
TN_MUST_USE bool tn_sql_topics_bind(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, const struct tn_field *fields,
    uint32_t count, struct tn_sql_table *t);
/* Option publish of a view with these outputs. */
TN_MUST_USE bool tn_sql_publish_check(struct tn_sql_bind *b,
    const struct tn_sql_opt *o, const struct tn_schema *outputs);

/* ---- loop.c ---------------------------------------------------------- */

struct tn_sql_loop {
	uint32_t view;
	const char *message;     /* In the pipeline's arena. */
};
/* The first view whose published topics come back to the stream it reads. */
bool tn_sql_loop_find(const struct tn_sql_pipeline *p,
    struct tn_sql_loop *out);

#endif

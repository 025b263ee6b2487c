/* A text to PostgreSQL's tree. libpg_query gives it as JSON, whose names
 * hardly differ between its versions (the other forms do). The parser runs
 * on a thread of its own (parser.c); the text is capped before. The JSON may
 * nest deeper than our own reader allows: measured first and refused with a
 * message that a person understands.
 *
 * Then: small readers for the tree. Zero, false and empty are left out of
 * it, so a missing key is not a mistake. */
#include "sql/sql_int.h"

#include <pg_query.h>
#include <string.h>

/* The deepest nesting of a JSON text. */
static uint32_t
json_depth(const char *p)
{
	uint32_t depth = 0, deepest = 0;
	bool inside = false;

	for (; *p != '\0'; p++) {
		if (inside && *p == '\\' && p[1] != '\0') {
			p++;
		} else if (*p == '"') {
			inside = !inside;
		} else if (!inside && (*p == '{' || *p == '[')) {
			depth++;
			if (depth > deepest)
				deepest = depth;
		} else if (!inside && (*p == '}' || *p == ']')) {
			depth--;
		}
	}
	return deepest;
}

/* The parser counts characters from 1, we count bytes from 0. */
static uint32_t
byte_of_char(const struct tn_sql_text *t, int chars)
{
	uint32_t i = 0;
	int left = chars - 1;

	while (i < t->n && left > 0) {
		i++;
		while (i < t->n && ((uint8_t)t->p[i] & 0xc0) == 0x80)
			i++;
		left--;
	}
	return i;
}

static enum tn_status
syntax_error(const struct tn_sql_text *t, const PgQueryError *e,
    struct tn_diag *d)
{
	tn_sql_text_place(t, byte_of_char(t, e->cursorpos), d);
	if (strstr(e->message, "memory exhausted") != NULL ||
	    strstr(e->message, "stack depth") != NULL) {
		tn_diag_hint(d, "Write it with fewer brackets and operators "
		    "inside one another.");
		return tn_diag_set(d, TN_EINVAL, "too_deep",
		    "the text is nested too deeply");
	}
	tn_diag_hint(d, "Tarn reads PostgreSQL's dialect; see tarn help "
	    "sql.");
	return tn_diag_set(d, TN_EINVAL, "syntax", "%s", e->message);
}

enum tn_status
tn_sql_tree_parse(struct tn_arena *a, const struct tn_sql_text *t,
    const struct tn_json **stmts, struct tn_diag *d)
{
	PgQueryParseResult result;
	struct tn_json *root = NULL;
	enum tn_status st;
	struct tn_slice json;
	char *copy;

	*stmts = NULL;
	tn_sql_parse(t->p, &result);
	if (result.error != NULL && result.error->message != NULL) {
		st = syntax_error(t, result.error, d);
		goto out;
	}
	if (result.error != NULL || result.parse_tree == NULL) {
		st = tn_diag_set(d, TN_ENOMEM, "no_memory",
		    "no memory to read the statements");
		goto out;
	}
	if (json_depth(result.parse_tree) > TN_SQL_DEPTH_MAX) {
		tn_sql_text_place(t, 0, d);
		tn_diag_hint(d, "Use IN (...) for long lists of OR, and fewer "
		    "operators in a row.");
		st = tn_diag_set(d, TN_EINVAL, "too_deep",
		    "an expression is nested too deeply");
		goto out;
	}
	/* Strings of the tree may point into the text: it must stay. */
	json.n = strlen(result.parse_tree);
	copy = tn_arena_strndup(a, result.parse_tree, json.n);
	json.p = (const uint8_t *)copy;
	st = tn_codec_json_parse(a, json, &root, d);
	if (st != TN_OK) {
		tn_sql_text_place(t, 0, d);
		goto out;
	}
	*stmts = tn_codec_json_get(root, "stmts");
out:
	pg_query_free_parse_result(result);
	return st;
}

struct tn_slice
tn_sql_kind(const struct tn_json *node, const struct tn_json **body)
{
	static const struct tn_slice none = { (const uint8_t *)"", 0 };

	*body = NULL;
	if (node == NULL || node->kind != TN_JSON_OBJECT || node->count != 1)
		return none;
	*body = &node->items[0];
	return node->keys[0];
}

const struct tn_json *
tn_sql_body(const struct tn_json *node, const char *kind)
{
	const struct tn_json *body;

	return tn_slice_is(tn_sql_kind(node, &body), kind) ? body : NULL;
}

struct tn_slice
tn_sql_str(const struct tn_json *o, const char *key)
{
	const struct tn_json *v = tn_codec_json_get(o, key);

	if (v == NULL || v->kind != TN_JSON_STRING)
		return (struct tn_slice){ (const uint8_t *)"", 0 };
	return v->text;
}

bool
tn_sql_str_is(const struct tn_json *o, const char *key, const char *value)
{
	return tn_slice_is(tn_sql_str(o, key), value);
}

int64_t
tn_sql_int(const struct tn_json *o, const char *key)
{
	return tn_codec_json_i64(o, key, 0);
}

bool
tn_sql_bool(const struct tn_json *o, const char *key)
{
	const struct tn_json *v = tn_codec_json_get(o, key);

	return v != NULL && v->kind == TN_JSON_TRUE;
}

uint32_t
tn_sql_list(const struct tn_json *o, const char *key,
    const struct tn_json **items)
{
	const struct tn_json *v = tn_codec_json_get(o, key);
	const struct tn_json *list = tn_sql_body(v, "List");

	if (list != NULL)
		v = tn_codec_json_get(list, "items");
	*items = NULL;
	if (v == NULL || v->kind != TN_JSON_ARRAY)
		return 0;
	*items = v->items;
	return v->count;
}

struct tn_slice
tn_sql_string(const struct tn_json *node)
{
	const struct tn_json *body = tn_sql_body(node, "String");
	struct tn_slice s = tn_sql_str(body, "sval");

	return s.n > 0 ? s : tn_sql_str(body, "str");
}

uint32_t
tn_sql_at(const struct tn_json *node, uint32_t other)
{
	const struct tn_json *body;
	const struct tn_json *v;
	int64_t n = 0;

	if (tn_sql_kind(node, &body).n == 0)
		return other;
	/* Of an operator the place is the sign; people look for its start. */
	if (tn_sql_body(node, "A_Expr") != NULL) {
		const struct tn_json *l = tn_codec_json_get(body, "lexpr");

		if (l != NULL && tn_sql_body(l, "List") == NULL)
			return tn_sql_at(l, other);
	}
	if (tn_sql_body(node, "TypeCast") != NULL)
		return tn_sql_at(tn_codec_json_get(body, "arg"), other);
	v = tn_codec_json_get(body, "location");
	if (v == NULL)
		return tn_sql_first_at(body, other);
	if (v->kind != TN_JSON_NUMBER || !tn_parse_i64(v->text, &n) || n < 0)
		return other;
	return (uint32_t)n;
}

/* Digits as they stand in the text, with PostgreSQL 16's prefixes and
 * underscores. */
static int64_t
read_digits(const struct tn_sql_text *t, struct tn_sql_token tok)
{
	const char *p = t->p + tok.at;
	char mark = tok.n > 2 && p[0] == '0' ? (char)(p[1] | 32) : ' ';
	int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
	int64_t v = 0;

	for (uint32_t i = base == 10 ? 0 : 2; i < tok.n; i++) {
		char c = (char)(p[i] | 32);
		int digit = c >= 'a' ? c - 'a' + 10 : p[i] - '0';

		if (p[i] == '_')
			continue;
		if (digit < 0 || digit >= base || v > INT32_MAX)
			return 0;
		v = v * base + digit;
	}
	return v;
}

/* libpg_query 15 leaves negative integers out of its JSON, as it does zero
 * (-5 is {"ival":{}}): look at the text. ${at} is where the value begins;
 * the sign is folded through brackets. */
int64_t
tn_sql_ival(const struct tn_sql_text *t, const struct tn_json *integer,
    uint32_t at)
{
	struct tn_sql_token tok;

	if (tn_codec_json_get(integer, "ival") != NULL)
		return tn_sql_int(integer, "ival");
	tok = tn_sql_token_next(t, &at, t->n);
	if (tok.n != 1 || t->p[tok.at] != '-')
		return 0;
	while (tok.n == 1 && (t->p[tok.at] == '-' || t->p[tok.at] == '('))
		tok = tn_sql_token_next(t, &at, t->n);
	return tok.n == 0 ? 0 : -read_digits(t, tok);
}

/* The first place that anything inside a node tells. */
static void
first_place(const struct tn_json *j, uint32_t depth, uint32_t *least)
{
	int64_t n;

	if (depth > TN_SQL_DEPTH_MAX || (j->kind != TN_JSON_OBJECT &&
	    j->kind != TN_JSON_ARRAY))
		return;
	for (uint32_t i = 0; i < j->count; i++) {
		const struct tn_json *v = &j->items[i];
		bool place = j->kind == TN_JSON_OBJECT &&
		    v->kind == TN_JSON_NUMBER &&
		    tn_slice_is(j->keys[i], "location");

		if (!place)
			first_place(v, depth + 1, least);
		else if (tn_parse_i64(v->text, &n) && n >= 0 && n < *least)
			*least = (uint32_t)n;
	}
}

uint32_t
tn_sql_first_at(const struct tn_json *node, uint32_t other)
{
	uint32_t least = UINT32_MAX;

	if (node != NULL)
		first_place(node, 0, &least);
	return least == UINT32_MAX ? other : least;
}

const struct tn_json *
tn_sql_statement(struct tn_sql_bind *b, struct tn_slice text,
    const char *kind, const char *word)
{
	struct tn_sql_text *t = tn_arena_zalloc(b->a, sizeof *t);
	const struct tn_json *stmts, *body = NULL;
	uint32_t at = 0;

	b->st = tn_sql_text_check(b->a, "query", text, t, b->d);
	if (b->st == TN_OK)
		b->st = tn_sql_tree_parse(b->a, t, &stmts, b->d);
	if (b->st != TN_OK)
		return NULL;
	b->text = t;
	b->here = tn_sql_token_next(t, &at, t->n).at;
	if (stmts != NULL && stmts->count == 1)
		body = tn_sql_body(tn_codec_json_get(&stmts->items[0],
		    "stmt"), kind);
	if (body == NULL)
		(void)tn_sql_fail(b, b->here, "unsupported", tn_arena_printf(
		    b->a, "Send one %s at a time.", word),
		    "this is not one %s", word);
	return body;
}

/* LIKE, ILIKE and their ESCAPE. A constant pattern with another escape
 * character is rewritten to the backslash, which exec knows. */
#include "sql/sql_int.h"

static size_t
char_bytes(uint8_t c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* ${p} with ${escape} (one character, or empty: none) to backslashes. */
static const struct tn_sql_expr *
rewrite(struct tn_sql_bind *b, struct tn_slice p, struct tn_slice escape,
    uint32_t at)
{
	uint8_t *out = tn_arena_alloc(b->a, 2 * p.n + 1);
	size_t n = 0, i = 0, step;

	while (i < p.n) {
		struct tn_slice c = { p.p + i, char_bytes(p.p[i]) };

		step = c.n;
		if (escape.n > 0 && tn_slice_eq(c, escape)) {
			if (i + step >= p.n)
				return tn_sql_fail(b, at, "bad_literal",
				    NULL, "LIKE pattern must not end with "
				    "escape character");
			i += step;
			step = char_bytes(p.p[i]);
			out[n++] = '\\';
		} else if (p.p[i] == '\\') {
			out[n++] = '\\';
		}
		for (; step > 0 && i < p.n; step--)
			out[n++] = p.p[i++];
	}
	return tn_sql_const_text(b, tn_record_type(TN_T_TEXT),
	    (struct tn_slice){ out, n }, at);
}

static bool
ends_in_escape(struct tn_slice p)
{
	size_t n = 0;

	while (n < p.n && p.p[p.n - 1 - n] == '\\')
		n++;
	return n % 2 == 1;
}

/* The pattern; like_escape(pattern, escape) is what ESCAPE parses to. */
static const struct tn_sql_expr *
bind_pattern(struct tn_sql_bind *b, const struct tn_json *node)
{
	const struct tn_json *call = tn_sql_body(node, "FuncCall");
	const struct tn_json *names, *args;
	const struct tn_sql_expr *p, *e;
	struct tn_slice text, escape;
	uint32_t n = tn_sql_list(call, "funcname", &names);

	if (n != 2 || !tn_slice_is(tn_sql_string(&names[1]), "like_escape") ||
	    tn_sql_list(call, "args", &args) != 2) {
		p = tn_sql_expr_bind(b, node);
		if (p != NULL && tn_sql_const_get_text(p, &text) &&
		    ends_in_escape(text))
			return tn_sql_fail(b, p->at, "bad_literal",
			    "Write two backslashes for one.",
			    "LIKE pattern must not end with escape "
			    "character");
		return p;
	}
	p = tn_sql_expr_bind(b, &args[0]);
	e = p == NULL ? NULL : tn_sql_expr_bind(b, &args[1]);
	if (e == NULL)
		return NULL;
	if (!tn_sql_const_get_text(p, &text) ||
	    !tn_sql_const_get_text(e, &escape))
		return tn_sql_fail(b, p->at, "unsupported",
		    "Write both as literals, or escape with backslashes.",
		    "ESCAPE needs a constant pattern");
	if (escape.n > 0 && escape.n != char_bytes(escape.p[0]))
		return tn_sql_fail(b, e->at, "bad_literal", NULL,
		    "escape string must be empty or one character");
	return rewrite(b, text, escape, p->at);
}

struct tn_sql_expr *
tn_sql_like(struct tn_sql_bind *b, const struct tn_json *body,
    bool any_case)
{
	struct tn_type text = tn_record_type(TN_T_TEXT);
	const struct tn_json *names;
	const struct tn_sql_expr *args[2];
	struct tn_sql_expr *e;
	bool negated = tn_sql_list(body, "name", &names) == 1 &&
	    tn_sql_string(&names[0]).p[0] == '!';

	args[0] = tn_sql_expr_bind(b, tn_codec_json_get(body, "lexpr"));
	args[1] = args[0] == NULL ? NULL :
	    bind_pattern(b, tn_codec_json_get(body, "rexpr"));
	if (args[1] == NULL)
		return NULL;
	for (int i = 0; i < 2; i++) {
		if (args[i]->type.id != TN_T_TEXT &&
		    !tn_sql_is_unknown(args[i]->type))
			return tn_sql_fail(b, args[i]->at, "type_mismatch",
			    "Write a cast: x::text.",
			    "operator does not exist: %s %s %s",
			    tn_sql_type_text(b, args[0]->type),
			    any_case ? "~~*" : "~~",
			    tn_sql_type_text(b, args[1]->type));
		args[i] = tn_sql_coerce(b, args[i], text, TN_SQL_IMPLICIT);
		if (args[i] == NULL)
			return NULL;
	}
	e = tn_sql_call(b, any_case ? TN_FN_ILIKE : TN_FN_LIKE,
	    tn_record_type(TN_T_BOOL), args, 2);
	return negated ? tn_sql_not(b, e) : e;
}

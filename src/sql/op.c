/* Operators: which operation two types mean, and what the arguments are
 * cast to. An open literal takes the type of the other side where
 * PostgreSQL gives it that type. */
#include "sql/sql_int.h"

#include <string.h>

struct tn_sql_expr *
tn_sql_new(struct tn_sql_bind *b, enum tn_sql_node node, struct tn_type t,
    uint32_t at)
{
	struct tn_sql_expr *e = tn_arena_zalloc(b->a, sizeof *e);

	e->node = node;
	e->type = t;
	e->at = at;
	return e;
}

struct tn_sql_expr *
tn_sql_node_new(struct tn_sql_bind *b, enum tn_sql_node node,
    struct tn_type t, const struct tn_sql_expr *const *args, uint32_t n)
{
	struct tn_sql_expr *e = tn_sql_new(b, node, t,
	    n > 0 ? args[0]->at : b->here);
	const struct tn_sql_expr **copy = tn_arena_alloc(b->a,
	    (n + 1) * sizeof *copy);

	tn_assert(!tn_sql_is_unknown(t));
	for (uint32_t i = 0; i < n; i++) {
		tn_assert(args[i] != NULL);
		tn_assert(!tn_sql_is_unknown(args[i]->type));
		copy[i] = args[i];
	}
	e->args = copy;
	e->arg_count = n;
	return e;
}

struct tn_sql_expr *
tn_sql_call(struct tn_sql_bind *b, enum tn_sql_fn fn, struct tn_type t,
    const struct tn_sql_expr *const *args, uint32_t n)
{
	struct tn_sql_expr *e = tn_sql_node_new(b, TN_SQL_CALL, t, args, n);

	tn_assert(fn < TN_FN_COUNT);
	e->fn = fn;
	return e;
}

static struct tn_sql_expr *
call2(struct tn_sql_bind *b, enum tn_sql_fn fn, struct tn_type t,
    const struct tn_sql_expr *x, const struct tn_sql_expr *y)
{
	const struct tn_sql_expr *args[2] = { x, y };

	if (x == NULL || y == NULL)
		return NULL;
	return tn_sql_call(b, fn, t, args, 2);
}

struct tn_sql_expr *
tn_sql_not(struct tn_sql_bind *b, const struct tn_sql_expr *e)
{
	if (e == NULL)
		return NULL;
	return tn_sql_node_new(b, TN_SQL_NOT, tn_record_type(TN_T_BOOL),
	    &e, 1);
}

/* One operator in hand. */
struct op {
	struct tn_sql_bind *b;
	struct tn_slice name;
	const struct tn_sql_expr *l;      /* NULL: prefix. */
	const struct tn_sql_expr *r;
	uint32_t at;
};

static bool
is(const struct op *o, const char *name)
{
	return tn_slice_is(o->name, name);
}

static struct tn_sql_expr *
no_operator(const struct op *o)
{
	const char *hint = "Write a cast, as in x::numeric or x::text.";
	bool open;

	if (o->l == NULL)
		return tn_sql_fail(o->b, o->at, "type_mismatch", hint,
		    "operator does not exist: %.*s %s", (int)o->name.n,
		    (const char *)o->name.p,
		    tn_sql_type_text(o->b, o->r->type));
	open = tn_sql_is_unknown(o->l->type) || tn_sql_is_unknown(o->r->type);
	if (open && (is(o, "+") || is(o, "-")))
		hint = "Say what the literal is: interval '1 hour', date "
		    "'2026-03-01', or a plain number.";
	return tn_sql_fail(o->b, o->at, "type_mismatch", hint,
	    open ? "operator is not unique: %s %.*s %s" :
	    "operator does not exist: %s %.*s %s",
	    tn_sql_type_text(o->b, o->l->type), (int)o->name.n,
	    (const char *)o->name.p, tn_sql_type_text(o->b, o->r->type));
}

static struct tn_sql_expr *
compare(const struct op *o, enum tn_sql_fn fn)
{
	const struct tn_sql_expr *args[2] = { o->l, o->r };
	struct tn_type t;
	bool mixed;

	if (!tn_sql_type_common(o->l->type, o->r->type, &t))
		return no_operator(o);
	/* Beside a numeric a float makes both double, as in arithmetic. */
	mixed = t.id == TN_T_FLOAT4 && (o->l->type.id != o->r->type.id) &&
	    !tn_sql_is_unknown(o->l->type) && !tn_sql_is_unknown(o->r->type);
	if (t.id == TN_T_JSONB)
		return tn_sql_fail(o->b, o->at, "unsupported",
		    "Compare a field as text, as in doc->>'state' = 'on'.",
		    "jsonb values cannot be compared");
	if (mixed) {
		t = tn_record_type(TN_T_FLOAT8);
		args[0] = tn_sql_coerce(o->b, args[0], t, TN_SQL_IMPLICIT);
		args[1] = tn_sql_coerce(o->b, args[1], t, TN_SQL_IMPLICIT);
	} else if (!tn_sql_unify(o->b, args, 2, "comparison")) {
		return NULL;
	}
	return call2(o->b, fn, tn_record_type(TN_T_BOOL), args[0], args[1]);
}

static bool
comparison(struct tn_slice name, enum tn_sql_fn *fn)
{
	static const struct {
		const char *name;
		enum tn_sql_fn fn;
	} ops[] = {
		{ "=", TN_FN_EQ }, { "<>", TN_FN_NE }, { "!=", TN_FN_NE },
		{ "<", TN_FN_LT }, { "<=", TN_FN_LE }, { ">", TN_FN_GT },
		{ ">=", TN_FN_GE },
	};

	for (size_t i = 0; i < TN_COUNT(ops); i++) {
		if (tn_slice_is(name, ops[i].name)) {
			*fn = ops[i].fn;
			return true;
		}
	}
	return false;
}

static struct tn_sql_expr *
divide(const struct op *o, struct tn_type t)
{
	const struct tn_sql_expr *l = o->l, *r = o->r;
	struct tn_type whole = tn_sql_numeric(0, true);

	if (t.id != TN_T_NUMERIC) {
		l = tn_sql_coerce(o->b, l, t, TN_SQL_IMPLICIT);
		r = tn_sql_coerce(o->b, r, t, TN_SQL_IMPLICIT);
		return call2(o->b, TN_FN_DIV, t, l, r);
	}
	if (l->type.id != TN_T_NUMERIC)
		l = tn_sql_coerce(o->b, l, tn_sql_is_unknown(l->type) ? t :
		    whole, TN_SQL_IMPLICIT);
	if (r->type.id != TN_T_NUMERIC)
		r = tn_sql_coerce(o->b, r, tn_sql_is_unknown(r->type) ? t :
		    whole, TN_SQL_IMPLICIT);
	return call2(o->b, TN_FN_DIV,
	    tn_sql_numeric(TN_SQL_DIV_SCALE, false), l, r);
}

static struct tn_sql_expr *
multiply_numeric(const struct op *o, struct tn_type t)
{
	const struct tn_sql_expr *x[2] = { o->l, o->r };
	uint8_t scale[2], *larger;
	bool keep = true;

	for (int i = 0; i < 2; i++) {
		if (x[i]->type.id != TN_T_NUMERIC)
			x[i] = tn_sql_coerce(o->b, x[i],
			    tn_sql_is_unknown(x[i]->type) ? t :
			    tn_sql_numeric(0, true), TN_SQL_IMPLICIT);
		if (x[i] == NULL)
			return NULL;
		scale[i] = x[i]->type.scale;
		keep &= x[i]->type.declared;
	}
	while (scale[0] + scale[1] > TN_SQL_MUL_SCALE_MAX) {
		larger = scale[0] >= scale[1] ? &scale[0] : &scale[1];
		(*larger)--;
	}
	for (int i = 0; i < 2; i++)
		if (scale[i] != x[i]->type.scale)
			x[i] = tn_sql_coerce(o->b, x[i],
			    tn_sql_numeric(scale[i], keep), TN_SQL_IMPLICIT);
	return call2(o->b, TN_FN_MUL, tn_sql_numeric(
	    (uint8_t)(scale[0] + scale[1]), keep), x[0], x[1]);
}

/* + - * / % of two numbers, or a number and an open literal. */
static struct tn_sql_expr *
number_op(const struct op *o)
{
	const struct tn_sql_expr *args[2] = { o->l, o->r };
	bool sure = tn_sql_is_number(o->l->type) &&
	    tn_sql_is_number(o->r->type);
	struct tn_type t;
	enum tn_sql_fn fn;

	if (!tn_sql_type_common(o->l->type, o->r->type, &t) ||
	    !tn_sql_is_number(t))
		return no_operator(o);
	if (sure && t.id == TN_T_FLOAT4 &&
	    o->l->type.id != o->r->type.id)
		t = tn_record_type(TN_T_FLOAT8);
	if (is(o, "%") && tn_sql_is_float(t))
		return no_operator(o);
	if (is(o, "/"))
		return divide(o, t);
	if (is(o, "*") && t.id == TN_T_NUMERIC)
		return multiply_numeric(o, t);
	fn = is(o, "+") ? TN_FN_ADD : is(o, "-") ? TN_FN_SUB :
	    is(o, "*") ? TN_FN_MUL : TN_FN_MOD;
	args[0] = tn_sql_coerce(o->b, args[0], t, TN_SQL_IMPLICIT);
	args[1] = args[0] == NULL ? NULL :
	    tn_sql_coerce(o->b, args[1], t, TN_SQL_IMPLICIT);
	return call2(o->b, fn, t, args[0], args[1]);
}

static struct tn_sql_expr *
as(const struct op *o, const struct tn_sql_expr *e, enum tn_type_id id)
{
	return tn_sql_coerce(o->b, e, tn_record_type(id), TN_SQL_IMPLICIT);
}

static bool
has(const struct tn_sql_expr *e, enum tn_type_id id)
{
	return e->type.id == id;
}

/* What a day, an instant or a time of day is moved by. */
static const struct move {
	enum tn_type_id l, r;
	char sign;
	enum tn_sql_fn fn;
	enum tn_type_id result;
} moves[] = {
	{ TN_T_DATE, TN_T_INT4, '+', TN_FN_DATE_ADD, TN_T_DATE },
	{ TN_T_DATE, TN_T_INT4, '-', TN_FN_DATE_SUB, TN_T_DATE },
	{ TN_T_DATE, TN_T_TIME, '+', TN_FN_DATE_TIME, TN_T_TIMESTAMP },
	{ TN_T_TIME, TN_T_INTERVAL, '+', TN_FN_TIME_ADD, TN_T_TIME },
	{ TN_T_TIME, TN_T_INTERVAL, '-', TN_FN_TIME_SUB, TN_T_TIME },
	{ TN_T_INTERVAL, TN_T_INTERVAL, '+', TN_FN_INTERVAL_ADD,
	    TN_T_INTERVAL },
	{ TN_T_INTERVAL, TN_T_INTERVAL, '-', TN_FN_INTERVAL_SUB,
	    TN_T_INTERVAL },
	{ TN_T_TIMESTAMP, TN_T_INTERVAL, '+', TN_FN_TS_ADD,
	    TN_T_TIMESTAMP },
	{ TN_T_TIMESTAMP, TN_T_INTERVAL, '-', TN_FN_TS_SUB,
	    TN_T_TIMESTAMP },
	{ TN_T_TIMESTAMPTZ, TN_T_INTERVAL, '+', TN_FN_TS_ADD,
	    TN_T_TIMESTAMPTZ },
	{ TN_T_TIMESTAMPTZ, TN_T_INTERVAL, '-', TN_FN_TS_SUB,
	    TN_T_TIMESTAMPTZ },
};

static const struct move *
find_move(const struct op *o, const struct tn_sql_expr *x,
    const struct tn_sql_expr *y)
{
	for (size_t i = 0; i < TN_COUNT(moves); i++)
		if (has(x, moves[i].l) && has(y, moves[i].r) &&
		    o->name.p[0] == (uint8_t)moves[i].sign)
			return &moves[i];
	return NULL;
}

static struct tn_sql_expr *
shift(const struct op *o, const struct tn_sql_expr *x,
    const struct tn_sql_expr *y)
{
	const struct move *m = find_move(o, x, y);
	bool swapped = is(o, "+") && has(x, TN_T_INTERVAL);

	if (m == NULL && has(y, TN_T_INT2))
		y = as(o, y, TN_T_INT4);
	/* A time of day is an interval, and a day its midnight. */
	if (m == NULL && has(y, TN_T_TIME) && !has(x, TN_T_TIME) && !swapped)
		y = as(o, y, TN_T_INTERVAL);
	if (m == NULL && has(x, TN_T_DATE) && has(y, TN_T_INTERVAL))
		x = as(o, x, TN_T_TIMESTAMP);
	m = find_move(o, x, y);
	if (m == NULL)
		return NULL;
	return call2(o->b, m->fn, tn_record_type(m->result), x, y);
}

static bool
is_moment(struct tn_type t)
{
	return t.id == TN_T_DATE || tn_sql_is_ts(t);
}

/* What lies between two days, instants or times of day. */
static struct tn_sql_expr *
difference(const struct op *o)
{
	const struct tn_sql_expr *l = o->l, *r = o->r;
	struct tn_type t;

	if (tn_sql_is_unknown(l->type) || tn_sql_is_unknown(r->type)) {
		t = tn_sql_is_unknown(l->type) ? r->type : l->type;
		l = tn_sql_coerce(o->b, l, t, TN_SQL_IMPLICIT);
		r = tn_sql_coerce(o->b, r, t, TN_SQL_IMPLICIT);
		if (l == NULL || r == NULL)
			return NULL;
	}
	if (has(l, TN_T_DATE) && has(r, TN_T_DATE))
		return call2(o->b, TN_FN_DATE_DIFF,
		    tn_record_type(TN_T_INT4), l, r);
	if (has(l, TN_T_TIME) && has(r, TN_T_TIME))
		return call2(o->b, TN_FN_TIME_DIFF,
		    tn_record_type(TN_T_INTERVAL), l, r);
	if (!is_moment(l->type) || !is_moment(r->type) ||
	    !tn_sql_type_common(l->type, r->type, &t))
		return NULL;
	l = tn_sql_coerce(o->b, l, t, TN_SQL_IMPLICIT);
	r = tn_sql_coerce(o->b, r, t, TN_SQL_IMPLICIT);
	return call2(o->b, TN_FN_TS_DIFF, tn_record_type(TN_T_INTERVAL),
	    l, r);
}

static struct tn_sql_expr *
scale_interval(const struct op *o)
{
	struct tn_type t = tn_record_type(TN_T_INTERVAL);
	const struct tn_sql_expr *l = o->l, *r = o->r;
	const struct tn_sql_expr *swap = l;

	if (is(o, "*") && has(r, TN_T_INTERVAL)) {
		l = r;
		r = swap;
	}
	if (!has(l, TN_T_INTERVAL) || has(r, TN_T_INTERVAL) ||
	    (!tn_sql_is_number(r->type) && !tn_sql_is_unknown(r->type)))
		return NULL;
	return call2(o->b, is(o, "*") ? TN_FN_INTERVAL_MUL :
	    TN_FN_INTERVAL_DIV, t, l, as(o, r, TN_T_FLOAT8));
}

static bool
is_time_kind(struct tn_type t)
{
	return is_moment(t) || t.id == TN_T_TIME || t.id == TN_T_INTERVAL;
}

/* Beside an instant or an interval an open literal is an interval; beside a
 * date it could be too many things. */
static struct tn_sql_expr *
plus_or_minus(const struct op *o)
{
	const struct tn_sql_expr *l = o->l, *r = o->r;
	struct tn_sql_expr *e;

	if (is(o, "-") && tn_sql_is_unknown(r->type) &&
	    !has(l, TN_T_INTERVAL))
		return NULL;
	if (tn_sql_is_unknown(r->type) && !has(l, TN_T_DATE))
		r = as(o, r, TN_T_INTERVAL);
	if (tn_sql_is_unknown(l->type) && !has(o->r, TN_T_DATE))
		l = as(o, l, TN_T_INTERVAL);
	if (l == NULL || r == NULL)
		return NULL;
	e = shift(o, l, r);
	return e == NULL && is(o, "+") ? shift(o, r, l) : e;
}

static struct tn_sql_expr *
time_op(const struct op *o)
{
	struct tn_sql_expr *e = NULL;
	bool between = is(o, "-") && !has(o->l, TN_T_INTERVAL) &&
	    !has(o->r, TN_T_INTERVAL) && !tn_sql_is_int(o->r->type);

	if (is(o, "*") || is(o, "/"))
		e = scale_interval(o);
	else if (between)
		e = difference(o);
	if (e == NULL && o->b->st == TN_OK && (is(o, "+") || is(o, "-")))
		e = plus_or_minus(o);
	if (e == NULL && o->b->st == TN_OK)
		return no_operator(o);
	return e;
}

static struct tn_sql_expr *
bits(const struct op *o)
{
	bool moved = is(o, "<<") || is(o, ">>");
	enum tn_sql_fn fn = is(o, "&") ? TN_FN_BIT_AND :
	    is(o, "|") ? TN_FN_BIT_OR : is(o, "#") ? TN_FN_BIT_XOR :
	    is(o, "<<") ? TN_FN_SHIFT_LEFT : TN_FN_SHIFT_RIGHT;
	const struct tn_sql_expr *l = o->l, *r = o->r;
	struct tn_type t;

	if (!tn_sql_type_common(l->type, r->type, &t) || !tn_sql_is_int(t))
		return no_operator(o);
	if (moved && tn_sql_is_int(l->type) && has(r, TN_T_INT8))
		return no_operator(o);
	if (moved)
		t = tn_sql_is_int(l->type) ? l->type : t;
	l = tn_sql_coerce(o->b, l, t, TN_SQL_IMPLICIT);
	if (l == NULL)
		return NULL;
	r = tn_sql_coerce(o->b, r, moved ? tn_record_type(TN_T_INT4) : t,
	    TN_SQL_IMPLICIT);
	return call2(o->b, fn, t, l, r);
}

static bool
is_text_like(struct tn_type t)
{
	return t.id == TN_T_TEXT || tn_sql_is_unknown(t);
}

static struct tn_sql_expr *
concat(const struct op *o)
{
	struct tn_type text = tn_record_type(TN_T_TEXT);
	const struct tn_sql_expr *l = o->l, *r = o->r;

	if (has(l, TN_T_JSONB) || has(r, TN_T_JSONB))
		return tn_sql_fail(o->b, o->at, "unsupported",
		    "Take fields out with -> and ->>.",
		    "|| of jsonb values is not supported");
	if (!is_text_like(l->type) && !is_text_like(r->type))
		return no_operator(o);
	l = tn_sql_coerce(o->b, l, text, TN_SQL_ASSIGN);
	r = tn_sql_coerce(o->b, r, text, TN_SQL_ASSIGN);
	return call2(o->b, TN_FN_CONCAT_OP, text, l, r);
}

static struct tn_sql_expr *
pattern(const struct op *o)
{
	struct tn_slice bare = o->name;
	struct tn_sql_expr *e;
	bool negated = bare.n > 0 && bare.p[0] == '!';
	bool any_case = bare.n > 0 && bare.p[bare.n - 1] == '*';

	if (!is_text_like(o->l->type) || !is_text_like(o->r->type))
		return no_operator(o);
	e = call2(o->b, any_case ? TN_FN_REGEX_I : TN_FN_REGEX,
	    tn_record_type(TN_T_BOOL), as(o, o->l, TN_T_TEXT),
	    as(o, o->r, TN_T_TEXT));
	return negated ? tn_sql_not(o->b, e) : e;
}

static struct tn_sql_expr *
json_op(const struct op *o)
{
	bool text = is(o, "->>");
	const struct tn_sql_expr *r = o->r;
	struct tn_type t = tn_record_type(text ? TN_T_TEXT : TN_T_JSONB);

	if (!has(o->l, TN_T_JSONB))
		return no_operator(o);
	if (is(o, "?"))
		t = tn_record_type(TN_T_BOOL);
	if (is_text_like(r->type))
		return call2(o->b, is(o, "?") ? TN_FN_JSON_HAS :
		    text ? TN_FN_JSON_GET_TEXT : TN_FN_JSON_GET, t, o->l,
		    as(o, r, TN_T_TEXT));
	if (is(o, "?") || !(has(r, TN_T_INT4) || has(r, TN_T_INT2)))
		return no_operator(o);
	return call2(o->b, text ? TN_FN_JSON_AT_TEXT : TN_FN_JSON_AT, t,
	    o->l, as(o, r, TN_T_INT4));
}

static struct tn_sql_expr *
prefix(const struct op *o)
{
	const struct tn_sql_expr *r = o->r;
	bool number = tn_sql_is_number(r->type);

	if (is(o, "-") && number)
		return tn_sql_call(o->b, TN_FN_NEG, r->type, &r, 1);
	if (is(o, "-") && has(r, TN_T_INTERVAL))
		return tn_sql_call(o->b, TN_FN_INTERVAL_NEG, r->type, &r, 1);
	if (is(o, "+") && number)
		return (struct tn_sql_expr *)r;
	if (is(o, "~") && tn_sql_is_int(r->type))
		return tn_sql_call(o->b, TN_FN_BIT_NOT, r->type, &r, 1);
	if (is(o, "@"))
		return tn_sql_fail(o->b, o->at, "unsupported",
		    "Write abs(x).", "operator @ is not supported");
	return no_operator(o);
}

/* Operators of PostgreSQL that Tarn leaves out, with a way around. */
static struct tn_sql_expr *
unsupported(const struct op *o)
{
	static const struct {
		const char *name;
		const char *hint;
	} known[] = {
		{ "#>", "Chain -> instead: doc->'a'->'b'." },
		{ "#>>", "Chain -> and ->>: doc->'a'->>'b'." },
		{ "@>", "Compare the fields: doc->>'a' = 'x'." },
		{ "<@", "Compare the fields: doc->>'a' = 'x'." },
		{ "?|", "Write doc ? 'a' OR doc ? 'b'." },
		{ "?&", "Write doc ? 'a' AND doc ? 'b'." },
		{ "@?", "Take fields out with -> and ->>." },
		{ "@@", "Use LIKE or a regular expression." },
		{ "==", "Write =." },
		{ "&&", "Write AND." },
		{ "|/", "Write sqrt(x)." },
		{ "||/", "Write cbrt(x)." },
		{ "**", "Write power(a, b)." },
	};

	for (size_t i = 0; i < TN_COUNT(known); i++)
		if (is(o, known[i].name))
			return tn_sql_fail(o->b, o->at, "unsupported",
			    known[i].hint, "operator %s is not supported",
			    known[i].name);
	return tn_sql_fail(o->b, o->at, "unsupported",
	    "tarn help sql lists the operators.",
	    "operator %.*s is not supported", (int)o->name.n,
	    (const char *)o->name.p);
}

static struct tn_sql_expr *
word_op(const struct op *o)
{
	struct tn_type f8 = tn_record_type(TN_T_FLOAT8);
	bool text = is_text_like(o->l->type) && is_text_like(o->r->type);

	if (is(o, "||"))
		return concat(o);
	if (is(o, "~") || is(o, "!~") || is(o, "~*") || is(o, "!~*"))
		return pattern(o);
	if (is(o, "->") || is(o, "->>") || is(o, "?"))
		return json_op(o);
	if (is(o, "&") || is(o, "|") || is(o, "#") || is(o, "<<") ||
	    is(o, ">>"))
		return bits(o);
	if (is(o, "^")) {
		if (text || !tn_sql_castable(o->l->type, f8,
		    TN_SQL_IMPLICIT) || !tn_sql_castable(o->r->type, f8,
		    TN_SQL_IMPLICIT))
			return no_operator(o);
		return call2(o->b, TN_FN_POWER, f8,
		    as(o, o->l, TN_T_FLOAT8), as(o, o->r, TN_T_FLOAT8));
	}
	if (is(o, "^@") && text)
		return call2(o->b, TN_FN_STARTS_WITH,
		    tn_record_type(TN_T_BOOL), as(o, o->l, TN_T_TEXT),
		    as(o, o->r, TN_T_TEXT));
	return unsupported(o);
}

struct tn_sql_expr *
tn_sql_operator(struct tn_sql_bind *b, struct tn_slice name,
    const struct tn_sql_expr *l, const struct tn_sql_expr *r, uint32_t at)
{
	struct op o = { .b = b, .name = name, .l = l, .r = r, .at = at };
	enum tn_sql_fn fn;

	tn_assert(r != NULL);
	if (l == NULL)
		return prefix(&o);
	if (comparison(name, &fn))
		return compare(&o, fn);
	if (!is(&o, "+") && !is(&o, "-") && !is(&o, "*") && !is(&o, "/") &&
	    !is(&o, "%"))
		return word_op(&o);
	if (tn_sql_is_unknown(l->type) && tn_sql_is_unknown(r->type))
		return no_operator(&o);
	if (is_time_kind(l->type) || is_time_kind(r->type))
		return time_op(&o);
	return number_op(&o);
}

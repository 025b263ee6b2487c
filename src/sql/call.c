/* CALL name(arguments): work that a person asks for by name, and that is no
 * query. Here a text becomes a name and constant arguments; app runs it.
 *
 *   CALL rollback('visits_hourly', snapshot => 41)
 *   CALL expire_snapshots(older_than => '2 days')
 *
 * The table below says which procedures there are, what their arguments are
 * called, in which order they stand without names, and of what kinds they may
 * be. A new procedure is one row here and one handler in app/call.c. All else
 * is refused with its place and the list of what there is. */
#include "sql/sql_int.h"

#include <string.h>

#define TEXT TN_SQL_ARG_TEXT
#define INT TN_SQL_ARG_INT
#define BOOL TN_SQL_ARG_BOOL
#define TIME TN_SQL_ARG_TIME
#define INTERVAL TN_SQL_ARG_INTERVAL
#define NEEDED 0x100

struct proc {
	const char *name;
	const char *doc;
	struct {
		const char *name;
		uint32_t kinds;      /* What it may be, and NEEDED. */
	} params[TN_SQL_CALL_ARGS];
};
static const struct proc procs[] = {
	{ "backup", "a consistent copy of the data folder into a folder of the "
	    "server; the next one into it adds what is new",
	    { { "path", TEXT | NEEDED } } },
	{ "cancel", "end a recompute that is under way; the old numbers stay",
	    { { "run", INT | NEEDED } } },
	{ "compact", "merge the young files of every day now, not when it is "
	    "quiet; answers when it is begun", { { NULL, 0 } } },
	{ "expire_snapshots", "drop snapshots of before a time, an age or an "
	    "LSN; as_of stays exact, only kept files go",
	    { { "older_than", TIME | INTERVAL | INT | NEEDED } } },
	{ "pause", "let a recompute wait; cuts go on",
	    { { "run", INT | NEEDED } } },
	{ "recompute", "compute a view anew from silver, or the time buckets "
	    "of a range; dry_run only says what would be read",
	    { { "view", TEXT | NEEDED }, { "from_time", TIME },
	    { "to_time", TIME }, { "dry_run", BOOL } } },
	{ "resume", "let a recompute go on that was paused",
	    { { "run", INT | NEEDED } } },
	{ "rollback", "publish a view as it was in a kept snapshot, with all "
	    "events since folded in; a stream only if no row would be lost",
	    { { "name", TEXT | NEEDED }, { "snapshot", INT },
	    { "lsn", INT } } },
};

const char *
tn_sql_procedure(uint32_t i)
{
	return i < TN_COUNT(procs) ? procs[i].name : NULL;
}

/* ---- kinds ----------------------------------------------------------- */

static const struct {
	uint32_t kind;
	const char *name;
} kinds[] = {
	{ TEXT, "text" }, { INT, "integer" }, { BOOL, "boolean" },
	{ TIME, "timestamptz" }, { INTERVAL, "interval" },
};

static void
put_kinds(struct tn_buf *out, uint32_t mask)
{
	bool first = true;

	for (size_t i = 0; i < TN_COUNT(kinds); i++) {
		if ((mask & kinds[i].kind) == 0)
			continue;
		tn_buf_printf(out, "%s%s", first ? "" : "|", kinds[i].name);
		first = false;
	}
}

/* "rollback(name => text, [snapshot => integer], ...)" */
static const char *
form_of(struct tn_arena *a, const struct proc *p)
{
	struct tn_buf b = { 0 };
	const char *s;

	tn_buf_printf(&b, "%s(", p->name);
	for (uint32_t i = 0; i < TN_SQL_CALL_ARGS && p->params[i].name !=
	    NULL; i++) {
		bool needed = (p->params[i].kinds & NEEDED) != 0;

		tn_buf_printf(&b, "%s%s%s => ", i > 0 ? ", " : "",
		    needed ? "" : "[", p->params[i].name);
		put_kinds(&b, p->params[i].kinds);
		if (!needed)
			tn_buf_char(&b, ']');
	}
	tn_buf_char(&b, ')');
	s = tn_arena_strndup(a, tn_buf_cstr(&b), b.n);
	tn_buf_fini(&b);
	return s;
}

void
tn_sql_calls_help(struct tn_buf *out, tn_sql_row *row)
{
	struct tn_arena *a = tn_arena_new(1024);

	for (size_t i = 0; i < TN_COUNT(procs); i++)
		row(out, form_of(a, &procs[i]), procs[i].doc);
	tn_arena_free(a);
}

/* ---- arguments ------------------------------------------------------- */

struct calling {
	struct tn_sql_bind *b;
	const struct proc *proc;
	struct tn_sql_call *out;
	uint32_t at;
};

static bool
bad_kind(const struct calling *c, uint32_t slot,
    const struct tn_sql_expr *e)
{
	struct tn_buf want = { 0 };

	put_kinds(&want, c->proc->params[slot].kinds);
	(void)tn_sql_fail(c->b, e->at, "type_mismatch", tn_arena_printf(
	    c->b->a, "CALL %s", form_of(c->b->a, c->proc)),
	    "argument \"%s\" must be %s", c->proc->params[slot].name,
	    tn_buf_cstr(&want));
	tn_buf_fini(&want);
	return false;
}

static bool
interval_us(const struct tn_interval *v, int64_t *us)
{
	int64_t day;

	return v->months == 0 &&
	    !__builtin_mul_overflow((int64_t)v->days, INT64_C(86400000000),
	    &day) && !__builtin_add_overflow(day, v->us, us);
}

/* An open literal where a time or an interval is wanted. */
static bool
take_literal(const struct calling *c, uint32_t slot,
    const struct tn_sql_expr *e, struct tn_slice text,
    struct tn_sql_arg *out)
{
	uint32_t want = c->proc->params[slot].kinds;
	struct tn_interval v;

	if ((want & INTERVAL) != 0 && tn_record_parse_interval(text, &v) &&
	    interval_us(&v, &out->number)) {
		out->kind = INTERVAL;
		return true;
	}
	if ((want & TIME) == 0)
		return bad_kind(c, slot, e);
	e = tn_sql_const_parse(c->b, tn_record_type(TN_T_TIMESTAMPTZ), text,
	    e->at);
	if (e == NULL && (want & INTERVAL) != 0)
		tn_diag_hint(c->b->d, "Write an age without months like "
		    "'2 days', a time like '2026-03-01 08:00:00+00', or an "
		    "LSN.");
	if (e == NULL)
		return false;
	out->kind = TIME;
	out->number = *(const int64_t *)e->value->values;
	return true;
}

static bool
take_typed(const struct tn_sql_expr *e, struct tn_sql_arg *out)
{
	const void *v = e->value->values;

	switch (e->type.id) {
	case TN_T_BOOL:
		out->kind = BOOL;
		out->number = *(const uint8_t *)v != 0;
		return true;
	case TN_T_TIMESTAMP:
	case TN_T_TIMESTAMPTZ:
		out->kind = TIME;
		out->number = *(const int64_t *)v;
		return true;
	case TN_T_DATE:
		out->kind = TIME;
		out->number = *(const int32_t *)v * INT64_C(86400000000);
		return true;
	case TN_T_INTERVAL:
		out->kind = INTERVAL;
		return interval_us(v, &out->number);
	default:
		out->kind = INT;
		return tn_sql_const_get_int(e, &out->number);
	}
}

static bool
take_value(const struct calling *c, uint32_t slot,
    const struct tn_sql_expr *e, struct tn_sql_arg *out)
{
	uint32_t want = c->proc->params[slot].kinds;
	struct tn_slice text;

	if (e->node != TN_SQL_CONST || tn_sql_const_is_null(e)) {
		(void)tn_sql_fail(c->b, e->at, "unsupported",
		    "Write its value.", "argument \"%s\" must be a constant",
		    c->proc->params[slot].name);
		return false;
	}
	if (tn_sql_const_get_text(e, &text)) {
		if ((want & TEXT) == 0)
			return take_literal(c, slot, e, text, out);
		out->kind = TEXT;
		out->text = text;
		return true;
	}
	return take_typed(e, out) && (out->kind & want) != 0 ? true :
	    bad_kind(c, slot, e);
}

/* The place of an argument by its name or number; -1 after a mistake. */
static int
slot_of(const struct calling *c, const struct tn_json *named, uint32_t i)
{
	struct tn_slice name = tn_sql_str(named, "name");

	for (uint32_t k = 0; k < TN_SQL_CALL_ARGS &&
	    c->proc->params[k].name != NULL; k++)
		if (named == NULL ? k == i :
		    tn_slice_is(name, c->proc->params[k].name))
			return (int)k;
	(void)tn_sql_fail(c->b, c->at, "unknown_argument",
	    tn_arena_printf(c->b->a, "CALL %s", form_of(c->b->a, c->proc)),
	    named == NULL ? "%s has too many arguments%.*s" :
	    "%s has no argument \"%.*s\"", c->proc->name,
	    named == NULL ? 0 : (int)name.n,
	    named == NULL ? "" : (const char *)name.p);
	return -1;
}

static bool
take_argument(const struct calling *c, const struct tn_json *node,
    uint32_t i)
{
	const struct tn_json *named = tn_sql_body(node, "NamedArgExpr");
	const struct tn_sql_expr *e;
	int slot = slot_of(c, named, i);
	struct tn_sql_arg *out;

	if (slot < 0)
		return false;
	out = &c->out->args[slot];
	if (out->name != NULL) {
		(void)tn_sql_fail(c->b, c->at, "unknown_argument", NULL,
		    "argument \"%s\" is given twice", out->name);
		return false;
	}
	e = tn_sql_expr_bind(c->b, named == NULL ? node :
	    tn_codec_json_get(named, "arg"));
	if (e == NULL || !take_value(c, (uint32_t)slot, e, out))
		return false;
	out->name = c->proc->params[slot].name;
	return true;
}

static bool
check_needed(const struct calling *c)
{
	for (uint32_t k = 0; k < TN_SQL_CALL_ARGS; k++) {
		if ((c->proc->params[k].kinds & NEEDED) == 0 ||
		    c->out->args[k].name != NULL)
			continue;
		(void)tn_sql_fail(c->b, c->at, "missing_argument",
		    tn_arena_printf(c->b->a, "CALL %s",
		    form_of(c->b->a, c->proc)), "argument \"%s\" is missing",
		    c->proc->params[k].name);
		return false;
	}
	return true;
}

/* ---- the statement --------------------------------------------------- */

static const struct proc *
find_proc(struct tn_sql_bind *b, struct tn_slice name, uint32_t at)
{
	struct tn_sql_near near = { .word = name };
	struct tn_buf list = { 0 };
	const char *hint;

	for (size_t i = 0; i < TN_COUNT(procs); i++)
		if (tn_slice_is(name, procs[i].name))
			return &procs[i];
	for (size_t i = 0; i < TN_COUNT(procs); i++) {
		tn_sql_near_try(&near, procs[i].name);
		tn_buf_printf(&list, "%s%s", i > 0 ? ", " : "",
		    procs[i].name);
	}
	hint = tn_arena_printf(b->a, "%s%s%sProcedures are: %s.",
	    near.best == NULL ? "" : "Did you mean \"",
	    near.best == NULL ? "" : near.best,
	    near.best == NULL ? "" : "\"? ", tn_buf_cstr(&list));
	tn_buf_fini(&list);
	return tn_sql_fail(b, at, "unknown_procedure", hint,
	    "procedure \"%.*s\" does not exist", (int)name.n,
	    (const char *)name.p);
}

static bool
bind_call(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_call *out)
{
	const struct tn_json *f = tn_sql_body(tn_codec_json_get(body,
	    "funccall"), "FuncCall");
	const struct tn_json *names, *args;
	struct calling c = { .b = b, .out = out };
	uint32_t n;

	/* Inside a CALL the tree has the function's body without its kind. */
	if (f == NULL)
		f = tn_codec_json_get(body, "funccall");
	n = tn_sql_list(f, "funcname", &names);
	c.at = (uint32_t)tn_sql_int(f, "location");
	if (c.at == 0)
		c.at = b->here;
	if (n != 1) {
		(void)tn_sql_fail(b, c.at, "unknown_procedure",
		    "Write the name alone.", "procedures have no schema");
		return false;
	}
	c.proc = find_proc(b, tn_sql_string(&names[0]), c.at);
	if (c.proc == NULL)
		return false;
	out->name = c.proc->name;
	n = tn_sql_list(f, "args", &args);
	for (uint32_t i = 0; i < n; i++)
		if (!take_argument(&c, &args[i], i))
			return false;
	return check_needed(&c);
}

bool
tn_sql_is_call(struct tn_slice text)
{
	return tn_sql_text_begins(text, "call");
}

enum tn_status
tn_sql_call_parse(const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_call **out, struct tn_diag *d)
{
	struct tn_sql_call *call = tn_arena_zalloc(a, sizeof *call);
	struct tn_sql_bind *b = tn_arena_zalloc(a, sizeof *b);
	const struct tn_json *body;

	*out = NULL;
	*b = (struct tn_sql_bind){ .a = a, .d = d, .pipe = p,
	    .mode = TN_SQL_IN_QUERY, .no_agg = "CALL" };
	body = tn_sql_statement(b, text, "CallStmt", "CALL");
	if (body != NULL && bind_call(b, body, call))
		*out = call;
	return b->st;
}

const struct tn_sql_arg *
tn_sql_call_arg(const struct tn_sql_call *call, const char *name)
{
	for (uint32_t i = 0; i < TN_SQL_CALL_ARGS; i++)
		if (call->args[i].name != NULL &&
		    strcmp(call->args[i].name, name) == 0)
			return &call->args[i];
	return NULL;
}

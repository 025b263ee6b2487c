/* WITH (name = value, ...): values as text, unknown names refused with the
 * nearest known one; and values that tables and views share. */
#include "sql/sql_int.h"

#include <string.h>

#define US_PER_DAY INT64_C(86400000000)

/* Behind name and the sign =. */
static uint32_t
value_at(const struct tn_sql_bind *b, uint32_t at)
{
	struct tn_sql_token tok;

	do
		tok = tn_sql_token_next(b->text, &at, b->text->n);
	while (tok.n > 0 && b->text->p[tok.at] != '=');
	/* "=-5" is one run of signs to the eye, two tokens to the lexer. */
	return at;
}

bool
tn_sql_opt_read(struct tn_sql_bind *b, const struct tn_json *node,
    struct tn_sql_opt *out)
{
	const struct tn_json *body = tn_sql_body(node, "DefElem");
	const struct tn_json *arg = tn_codec_json_get(body, "arg");
	const struct tn_json *inner, *names;
	struct tn_slice kind = tn_sql_kind(arg, &inner);
	uint32_t n;

	out->name = tn_sql_str(body, "defname");
	out->at = tn_sql_at(node, b->here);
	out->value = tn_slice_of("");
	if (tn_sql_str(body, "defnamespace").n > 0) {
		(void)tn_sql_fail(b, out->at, "unsupported", "Leave it out.",
		    "options of other programs are not supported");
		return false;
	}
	if (tn_slice_is(kind, "String"))
		out->value = tn_sql_string(arg);
	else if (tn_slice_is(kind, "Integer"))
		out->value = tn_slice_of(tn_arena_printf(b->a, "%lld",
		    (long long)tn_sql_ival(b->text, inner,
		    value_at(b, out->at))));
	else if (tn_slice_is(kind, "Float"))
		out->value = tn_sql_str(inner, "fval").n > 0 ?
		    tn_sql_str(inner, "fval") : tn_sql_str(inner, "str");
	else if (tn_slice_is(kind, "TypeName")) {
		n = tn_sql_list(inner, "names", &names);
		if (n > 0)
			out->value = tn_sql_string(&names[n - 1]);
	}
	if (out->value.n > 0 || tn_slice_is(kind, "String"))
		return true;
	(void)tn_sql_fail(b, out->at, "bad_option",
	    "Write name = 'value'.", "option \"%.*s\" has no value",
	    (int)out->name.n, (const char *)out->name.p);
	return false;
}

bool
tn_sql_opt_unknown(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const char *const *names, uint32_t n, const char *of)
{
	static const char *const later[] = { "notify", "webhook", "email",
	    "masked", "tier", "partition_by", "watermark" };
	struct tn_sql_near near = { .word = o->name };
	struct tn_buf list = { 0 };
	const char *hint;

	for (uint32_t i = 0; i < n; i++) {
		tn_sql_near_try(&near, names[i]);
		tn_buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	hint = tn_arena_printf(b->a, "%s%s%sOptions are: %s.",
	    near.best == NULL ? "" : "Did you mean \"",
	    near.best == NULL ? "" : near.best,
	    near.best == NULL ? "" : "\"? ", tn_buf_cstr(&list));
	tn_buf_fini(&list);
	for (size_t i = 0; i < TN_COUNT(later); i++) {
		if (!tn_slice_is(o->name, later[i]))
			continue;
		(void)tn_sql_fail(b, o->at, "unsupported",
		    tn_arena_printf(b->a, "This version does not have it. "
		    "%s", hint), "option \"%s\" is not supported",
		    later[i]);
		return false;
	}
	(void)tn_sql_fail(b, o->at, "unknown_option", hint,
	    "unknown option \"%.*s\" of a %s", (int)o->name.n,
	    (const char *)o->name.p, of);
	return false;
}

bool
tn_sql_interval_bind(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    int64_t *us)
{
	struct tn_interval iv;

	if (tn_slice_is(o->value, "0")) {
		*us = 0;
		return true;
	}
	/* PostgreSQL takes '7' for seconds; nobody means that here. */
	if (tn_parse_i64(o->value, us) ||
	    !tn_record_parse_interval(o->value, &iv) || iv.months != 0 ||
	    iv.us < 0 || iv.days < 0 || iv.days > 1000000) {
		(void)tn_sql_fail(b, o->at, "bad_option",
		    "Write days, hours or minutes, as in '7 days' or "
		    "'90 minutes'; '365 days' for a year.",
		    "\"%.*s\" is not a length of time", o->value.n > 60 ?
		    60 : (int)o->value.n, (const char *)o->value.p);
		return false;
	}
	*us = iv.us + iv.days * US_PER_DAY;
	return true;
}

bool
tn_sql_retention_bind(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    int64_t *us)
{
	*us = 0;
	return tn_slice_is(o->value, "forever") ||
	    tn_sql_interval_bind(b, o, us);
}

/* The next name of 'a, b', without the spaces around it; *more: a comma is
 * behind it. */
static struct tn_slice
next_name(struct tn_slice *rest, bool *more)
{
	struct tn_slice name = *rest;
	const uint8_t *comma = memchr(rest->p, ',', rest->n);

	if (comma != NULL)
		name.n = (size_t)(comma - rest->p);
	*more = comma != NULL;
	rest->p += name.n + (comma != NULL);
	rest->n -= name.n + (comma != NULL);
	while (name.n > 0 && name.p[0] == ' ') {
		name.p++;
		name.n--;
	}
	while (name.n > 0 && name.p[name.n - 1] == ' ')
		name.n--;
	return name;
}

static bool
sort_column(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_field *fields, uint32_t count, struct tn_slice name,
    uint32_t *out)
{
	struct tn_sql_near near = { .word = name };

	for (uint32_t i = 0; i < count; i++) {
		tn_sql_near_try(&near, fields[i].name);
		if (!tn_slice_is(name, fields[i].name))
			continue;
		*out = i;
		if (fields[i].type.id != TN_T_JSONB)
			return true;
		(void)tn_sql_fail(b, o->at, "type_mismatch",
		    "Make a column of what matters in it with GENERATED "
		    "ALWAYS AS (...) STORED.",
		    "sort_by column \"%s\" is jsonb, which has no order",
		    fields[i].name);
		return false;
	}
	(void)tn_sql_fail(b, o->at, "unknown_column",
	    tn_sql_near_hint(b, &near, "Write columns, as in 'office, door'."),
	    "sort_by column \"%.*s\" does not exist",
	    name.n > 60 ? 60 : (int)name.n, (const char *)name.p);
	return false;
}

bool
tn_sql_sort_bind(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_field *fields, uint32_t count, struct tn_sql_table *t)
{
	uint32_t *columns = tn_arena_zalloc(b->a, TN_SQL_SORT_MAX *
	    sizeof *columns), n = 0;
	struct tn_slice rest = o->value;
	bool more = true;

	do {
		if (n == TN_SQL_SORT_MAX) {
			(void)tn_sql_fail(b, o->at, "too_many", NULL,
			    "sort_by has at most %d columns",
			    TN_SQL_SORT_MAX);
			return false;
		}
		if (!sort_column(b, o, fields, count, next_name(&rest,
		    &more), &columns[n]))
			return false;
		for (uint32_t i = 0; i < n; i++)
			if (columns[i] == columns[n]) {
				(void)tn_sql_fail(b, o->at,
				    "duplicate_column", NULL, "column \"%s\" "
				    "appears twice in sort_by",
				    fields[columns[n]].name);
				return false;
			}
		n++;
	} while (more);
	t->sort_by = columns;
	t->sort_count = n;
	return true;
}

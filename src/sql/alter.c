/* ALTER SYSTEM over the SQL door: which setting is to have which value from now
 * on. In a pipeline's folder the same statement says what it begins with
 * (load.c); here it may also be taken back:
 *
 *   ALTER SYSTEM SET cut_interval = '5 min'
 *   ALTER SYSTEM RESET cut_interval           also: SET cut_interval = DEFAULT
 *
 * Whether there is such a setting, what it takes and whether it can change
 * while the program runs is app's to say. */
#include "sql/sql_int.h"

bool
tn_sql_is_alter(struct tn_slice text)
{
	return tn_sql_text_begins(text, "alter");
}

static bool
bind_alter(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_alter *out)
{
	const struct tn_json *set = tn_codec_json_get(body, "setstmt");
	const struct tn_json *inner = tn_sql_body(set, "VariableSetStmt");
	struct tn_slice name;

	if (inner != NULL)
		set = inner;
	name = tn_sql_str(set, "name");
	if (name.n == 0 || tn_sql_str_is(set, "kind", "VAR_RESET_ALL"))
		return tn_sql_fail(b, b->here, "unsupported", "ALTER SYSTEM "
		    "RESET name, one at a time", "this form of ALTER SYSTEM is "
		    "not supported") != NULL;
	out->name = tn_arena_strndup(b->a, (const char *)name.p, name.n);
	out->value = NULL;
	return tn_sql_str_is(set, "kind", "VAR_RESET") ||
	    tn_sql_str_is(set, "kind", "VAR_SET_DEFAULT") ||
	    tn_sql_setting_value(b, set, &out->value);
}

enum tn_status
tn_sql_alter_parse(struct tn_slice text, struct tn_arena *a,
    struct tn_sql_alter *out, struct tn_diag *d)
{
	struct tn_sql_bind *b = tn_arena_zalloc(a, sizeof *b);
	const struct tn_json *body;

	*out = (struct tn_sql_alter){ NULL, NULL };
	*b = (struct tn_sql_bind){ .a = a, .d = d, .mode = TN_SQL_IN_QUERY,
	    .no_agg = "ALTER SYSTEM" };
	body = tn_sql_statement(b, text, "AlterSystemStmt", "ALTER SYSTEM");
	if (body != NULL && bind_alter(b, body, out))
		return TN_OK;
	tn_assert(b->st != TN_OK);
	return b->st;
}

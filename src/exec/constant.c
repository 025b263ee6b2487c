/* Constants that no row can be evaluated with: a regular expression that is
 * none. Told when definitions are read, for then every row would fail. The
 * compiler of patterns is ours (pattern_regex.c), so sql cannot tell.
 *
 * A call with such a pattern is evaluated once, over the empty text. What can
 * go wrong: nothing; depth is bounded by sql. */
#include "exec/expr_int.h"

#include <string.h>

#define ARGS 4               /* Of regexp_replace. */

static bool
is_given(const struct tn_sql_expr *e)
{
	return e->node == TN_SQL_CONST && (e->value->valid == NULL ||
	    (e->value->valid[0] & 1) != 0);
}

/* Text, pattern; of regexp_replace also replacement, flags. */
static bool
has_pattern(const struct tn_sql_expr *e)
{
	if (e->node != TN_SQL_CALL || (e->fn != TN_FN_REGEX &&
	    e->fn != TN_FN_REGEX_I && e->fn != TN_FN_REGEXP_REPLACE &&
	    e->fn != TN_FN_REGEXP_SUBSTR))
		return false;
	tn_assert(e->arg_count >= 2 && e->arg_count <= ARGS);
	return is_given(e->args[1]) && (e->arg_count < ARGS ||
	    is_given(e->args[3]));
}

static bool
is_bad(const struct tn_sql_expr *e, struct tn_arena *a, char message[160])
{
	const struct tn_sql_expr *args[ARGS];
	const struct tn_sql_expr none = { .node = TN_SQL_CONST,
	    .type = tn_record_type(TN_T_TEXT),
	    .value = tn_exec_parse(a, tn_record_type(TN_T_TEXT),
	    tn_slice_of("")) };
	struct tn_schema schema = { .count = 0 };
	struct tn_batch row = { .schema = &schema, .rows = 1 };
	struct tn_exec_env env = { .batch = &row, .arena = a };
	struct tn_sql_expr call = *e;

	for (uint32_t i = 0; i < e->arg_count; i++)
		args[i] = i == 1 || i == 3 ? e->args[i] : &none;
	call.args = args;
	(void)tn_exec_eval(&call, &env);
	if (env.errors == 0)
		return false;
	memcpy(message, env.message, sizeof env.message);
	return true;
}

bool
tn_exec_constants_good(const struct tn_sql_expr *e, char message[160])
{
	struct tn_arena *a;
	bool good = true;

	for (uint32_t i = 0; e != NULL && good && i < e->arg_count; i++)
		good = tn_exec_constants_good(e->args[i], message);
	if (e == NULL || !good || !has_pattern(e))
		return good;
	a = tn_arena_new(4096);
	good = !is_bad(e, a, message);
	tn_arena_free(a);
	return good;
}

/* One SELECT asked at a running server. */
#include "sql/sql_int.h"

#include <string.h>

enum tn_status
tn_sql_query(const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_select **out, struct tn_diag *d)
{
	struct tn_diag spare;
	struct tn_sql_text t;
	struct tn_sql_bind *b;
	const struct tn_json *stmts, *body = NULL;
	enum tn_status st;
	uint32_t at = 0;

	*out = NULL;
	if (d == NULL)
		d = &spare;
	memset(d, 0, sizeof *d);
	st = tn_sql_text_check(a, "query", text, &t, d);
	if (st == TN_OK)
		st = tn_sql_tree_parse(a, &t, &stmts, d);
	if (st != TN_OK)
		return st;
	b = tn_arena_zalloc(a, sizeof *b);
	*b = (struct tn_sql_bind){ .a = a, .d = d, .text = &t, .pipe = p,
	    .mode = TN_SQL_IN_QUERY };
	if (stmts != NULL && stmts->count == 1)
		body = tn_sql_body(tn_codec_json_get(&stmts->items[0],
		    "stmt"), "SelectStmt");
	b->here = tn_sql_token_next(&t, &at, t.n).at;
	if (stmts != NULL && stmts->count > 1)
		(void)tn_sql_fail(b, (uint32_t)tn_sql_int(&stmts->items[1],
		    "stmt_location"), "unsupported",
		    "Send one SELECT at a time.",
		    "more than one statement");
	else if (body == NULL)
		(void)tn_sql_fail(b, b->here, "unsupported",
		    "Write SELECT ... FROM a stream, reference table or "
		    "view; definitions go into the pipeline's files.",
		    "only SELECT is supported here");
	else
		*out = tn_sql_select_bind(b, body, b->here);
	return b->st;
}

/* What the expression tests share: the six rows of expr_rows.h as a batch of
 * a pipeline with the one stream t, and an expression bound over it. */
#ifndef TN_EXPR_HELP_H
#define TN_EXPR_HELP_H

#include "exec/exec.h"
#include "record/record.h"
#include "sql/sql.h"
#include "test.h"

#include "expr_rows.h"

struct world {
	struct tn_sql_pipeline *pipeline;
	struct tn_batch *rows;       /* The six rows, hidden columns last. */
	struct tn_arena *plans;
};

static inline void
row_append(struct tn_builder *b, const struct tn_schema *s, const char *line,
    uint32_t columns)
{
	struct tn_arena *a = tn_arena_new(4096);

	for (uint32_t k = 0; k < s->count; k++) {
		const char *end = strchrnul(line, ';');
		struct tn_slice text = { (const uint8_t *)line,
		    (size_t)(end - line) };
		const struct tn_column *c;

		if (k >= columns) {          /* Hidden. */
			tn_record_builder_i64(b, k, k);
			continue;
		}
		if (tn_slice_is(text, "~~"))
			text.n = 0;
		else if (text.n == 0)
			text.p = NULL;
		if (text.p == NULL) {
			tn_record_builder_null(b, k);
		} else {
			c = tn_exec_parse(a, s->fields[k].type, text);
			if (c == NULL)
				fail_msg("row text %s: %.*s",
				    s->fields[k].name, (int)text.n, line);
			tn_record_builder_copy(b, k, c, 0);
		}
		line = *end == ';' ? end + 1 : end;
	}
	tn_record_builder_row_end(b);
	tn_arena_free(a);
}

static inline const struct tn_sql_select *
bind(struct world *w, const char *expr, struct tn_diag *d)
{
	const struct tn_sql_select *s = NULL;
	char text[4096];

	snprintf(text, sizeof text, "SELECT %s AS x FROM t", expr);
	memset(d, 0, sizeof *d);
	if (tn_sql_query(w->pipeline, tn_slice_of(text), w->plans, &s, d) !=
	    TN_OK)
		return NULL;
	return s;
}

static inline void
world_init(struct world *w)
{
	struct tn_sql_source src = { "t.sql", tn_slice_of(expr_table) };
	const struct tn_sql_select *s;
	struct tn_builder *b;
	struct tn_diag d = { .line = 0 };

	memset(w, 0, sizeof *w);
	if (tn_sql_load(&w->pipeline, &src, 1, &d) != TN_OK)
		fail_msg("%s", d.message);
	w->plans = tn_arena_new(1 << 16);
	s = bind(w, "1", &d);
	if (s == NULL)
		fail_msg("%s", d.message);
	b = tn_record_builder_new(s->input, 6);
	for (int i = 0; i < 6; i++)
		row_append(b, s->input, expr_rows[i],
		    s->source_columns - TN_SQL_HIDDEN);
	w->rows = tn_record_builder_take(b);
	tn_record_builder_free(b);
}

static inline void
world_fini(struct world *w)
{
	tn_record_batch_unref(w->rows);
	tn_arena_free(w->plans);
	tn_sql_pipeline_free(w->pipeline);
}

#endif

/* Plans as short texts, for tests that compare structure. Columns are $0,
 * $1 ...; constants as PostgreSQL prints them with their type. */
#ifndef TN_TEST_SQL_DUMP_H
#define TN_TEST_SQL_DUMP_H

#include "record/record.h"
#include "sql/sql.h"

static const char *const fn_names[] = {
#define NAME(id, name, signature, doc) #id,
	TN_SQL_FUNCTIONS(NAME)
#undef NAME
};

/* numeric(38,16)~ does not keep zeros when printed. */
static inline void
dump_type(struct tn_buf *out, struct tn_type t)
{
	char name[48];

	if (t.id == TN_T_NUMERIC)
		tn_buf_printf(out, "numeric(%u,%u)%s", t.precision, t.scale,
		    t.declared ? "" : "~");
	else
		tn_buf_str(out, tn_record_type_name(t, name));
}

static inline void
dump_expr(struct tn_buf *out, const struct tn_sql_expr *e)
{
	static const char *const nodes[] = { "", "", "", "CAST", "AND",
		"OR", "NOT", "CASE", "COALESCE", "IN" };
	if (e == NULL) {
		tn_buf_str(out, "-");
		return;
	}
	if (e->node == TN_SQL_COLUMN) {
		tn_buf_printf(out, "$%u", e->column);
		return;
	}
	if (e->node == TN_SQL_CONST) {
		if (!tn_column_valid(e->value, 0))
			tn_buf_str(out, "null");
		else
			tn_record_print(out, e->value, 0);
		tn_buf_char(out, ':');
		dump_type(out, e->type);
		return;
	}
	tn_buf_str(out, e->node == TN_SQL_CALL ? fn_names[e->fn] :
	    nodes[e->node]);
	tn_buf_char(out, '(');
	for (uint32_t i = 0; i < e->arg_count; i++) {
		if (i > 0)
			tn_buf_str(out, ", ");
		dump_expr(out, e->args[i]);
	}
	tn_buf_str(out, "):");
	dump_type(out, e->type);
}

static inline void
dump_agg(struct tn_buf *out, const struct tn_sql_agg *g)
{
	static const char *const kinds[] = { "count*", "count",
		"count_distinct", "sum", "avg", "min", "max", "bool_and",
		"bool_or", "stddev_samp", "stddev_pop", "var_samp",
		"var_pop", "first", "last", "arg_min", "arg_max",
		"approx_count_distinct", "percentile_cont" };

	tn_buf_printf(out, "agg %s ", kinds[g->kind]);
	dump_expr(out, g->args[0]);
	tn_buf_char(out, ' ');
	dump_expr(out, g->args[1]);
	tn_buf_char(out, ' ');
	dump_type(out, g->type);
	if (g->kind == TN_AGG_PERCENTILE_CONT)
		tn_buf_printf(out, " %g", g->fraction);
	if (g->filter != NULL) {
		tn_buf_str(out, " filter ");
		dump_expr(out, g->filter);
	}
	tn_buf_char(out, '\n');
}

static inline void
dump_joins(struct tn_buf *out, const struct tn_sql_select *s)
{
	for (uint32_t i = 0; i < s->join_count; i++) {
		const struct tn_sql_join *j = &s->joins[i];

		tn_buf_printf(out, "%sjoin %s at %u key", j->left ?
		    "left " : "", j->table, j->first_column);
		for (uint32_t k = 0; k < j->key_count; k++) {
			tn_buf_char(out, ' ');
			dump_expr(out, j->key[k]);
		}
		if (j->rest != NULL) {
			tn_buf_str(out, " rest ");
			dump_expr(out, j->rest);
		}
		tn_buf_char(out, '\n');
	}
}

static inline void
dump_end(struct tn_buf *out, const struct tn_sql_select *s)
{
	for (uint32_t i = 0; i < s->order_count; i++)
		tn_buf_printf(out, "order %u%s%s\n", s->order[i].output,
		    s->order[i].descending ? " desc" : "",
		    s->order[i].nulls_first ? " nulls first" : "");
	if (s->distinct)
		tn_buf_str(out, "distinct\n");
	if (s->limit >= 0)
		tn_buf_printf(out, "limit %lld\n", (long long)s->limit);
	if (s->offset > 0)
		tn_buf_printf(out, "offset %lld\n", (long long)s->offset);
	if (s->bucket_group >= 0)
		tn_buf_printf(out, "bucket %d width %lld\n",
		    s->bucket_group, (long long)s->bucket_us);
	tn_buf_str(out, "used");
	for (uint32_t i = 0; i < s->input->count; i++)
		if (s->used[i])
			tn_buf_printf(out, " %u", i);
	tn_buf_char(out, '\n');
}

/* A whole plan, a line a part; what is absent is left out. */
static inline void
dump_select(struct tn_buf *out, const struct tn_sql_select *s)
{
	tn_buf_printf(out, "%s %s %u/%u%s", s->source_kind ==
	    TN_SQL_STREAM ? "stream" : s->source_kind == TN_SQL_VIEW ?
	    "view" : "reference", s->source, s->source_columns,
	    s->input->count, s->aggregated ? " aggregated" : "");
	if (s->as_of != NULL) {
		tn_buf_str(out, " as of ");
		dump_expr(out, s->as_of);
	}
	tn_buf_char(out, '\n');
	dump_joins(out, s);
	if (s->where != NULL) {
		tn_buf_str(out, "where ");
		dump_expr(out, s->where);
		tn_buf_char(out, '\n');
	}
	for (uint32_t i = 0; i < s->group_count; i++) {
		tn_buf_str(out, "group ");
		dump_expr(out, s->groups[i]);
		tn_buf_char(out, '\n');
	}
	for (uint32_t i = 0; i < s->agg_count; i++)
		dump_agg(out, &s->aggs[i]);
	if (s->having != NULL) {
		tn_buf_str(out, "having ");
		dump_expr(out, s->having);
		tn_buf_char(out, '\n');
	}
	for (uint32_t i = 0; i < s->output_count + s->output_hidden; i++) {
		tn_buf_printf(out, "%s %s = ", i < s->output_count ? "out" :
		    "hidden", s->outputs[i].name);
		dump_expr(out, s->outputs[i].expr);
		tn_buf_char(out, '\n');
	}
	dump_end(out, s);
}

#endif

/* A pipeline in words, for tarn check: what each table and view is made of,
 * what its columns are, and what keeps rows out. */
#include "sql/sql_int.h"

#include <string.h>

static void
print_span(struct tn_buf *out, int64_t us)
{
	static const struct {
		int64_t us;
		const char *unit;
	} units[] = {
		{ INT64_C(86400000000), "day" },
		{ INT64_C(3600000000), "hour" }, { 60000000, "minute" },
		{ 1000000, "second" }, { 1, "microsecond" },
	};

	for (size_t i = 0; i < TN_COUNT(units); i++) {
		if (us % units[i].us != 0)
			continue;
		tn_buf_printf(out, "%lld %s%s",
		    (long long)(us / units[i].us), units[i].unit,
		    us / units[i].us == 1 ? "" : "s");
		return;
	}
}

static void
print_columns(struct tn_buf *out, const struct tn_schema *s,
    const char *const *comments, const struct tn_sql_table *t)
{
	char name[48];
	size_t wide = 4;

	for (uint32_t i = 0; i < s->count; i++)
		if (strlen(s->fields[i].name) > wide)
			wide = strlen(s->fields[i].name);
	for (uint32_t i = 0; i < s->count; i++) {
		tn_buf_printf(out, "  %-*s  %s%s", (int)wide,
		    s->fields[i].name,
		    tn_record_type_name(s->fields[i].type, name),
		    s->fields[i].not_null ? " not null" : "");
		if (t != NULL && t->generated[i] != NULL)
			tn_buf_str(out, " generated");
		if (t != NULL && t->defaults[i] != NULL)
			tn_buf_str(out, " default");
		if (comments[i] != NULL)
			tn_buf_printf(out, "  -- %s", comments[i]);
		tn_buf_char(out, '\n');
	}
}

static void
explain_stream(const struct tn_sql_table *t, struct tn_buf *out)
{
	tn_buf_printf(out, "  event time: %s\n", t->event_time < 0 ?
	    "time of arrival" : t->schema->fields[t->event_time].name);
	if (t->key_count > 0) {
		tn_buf_str(out, "  duplicates dropped within: ");
		print_span(out, t->dedupe_window_us);
		tn_buf_char(out, '\n');
	}
	if (t->max_future_skew_us > 0 && t->event_time >= 0) {
		tn_buf_str(out, "  quarantined when ahead by more than: ");
		print_span(out, t->max_future_skew_us);
		tn_buf_char(out, '\n');
	}
	for (uint32_t i = 0; i < t->sort_count; i++)
		tn_buf_printf(out, "%s%s%s", i == 0 ? "  sorted by: " : ", ",
		    t->schema->fields[t->sort_by[i]].name,
		    i + 1 == t->sort_count ? "\n" : "");
	tn_buf_str(out, "  kept: ");
	if (t->retention_us > 0)
		print_span(out, t->retention_us);
	else
		tn_buf_str(out, "for ever");
	if (t->bronze_retention_us != t->retention_us) {
		tn_buf_str(out, "; raw: ");
		if (t->bronze_retention_us > 0)
			print_span(out, t->bronze_retention_us);
		else
			tn_buf_str(out, "for ever");
	}
	tn_buf_char(out, '\n');
	if (t->cold_after_us == INT64_MAX) {
		tn_buf_str(out, "  to the cold folder: never\n");
	} else if (t->cold_after_us >= 0) {
		tn_buf_str(out, "  to the cold folder: after ");
		print_span(out, t->cold_after_us);
		tn_buf_char(out, '\n');
	}
}

static void
explain_table(const struct tn_sql_table *t, struct tn_buf *out)
{
	tn_buf_printf(out, "%s %s", t->kind == TN_SQL_STREAM ? "stream" :
	    "reference table", t->name);
	if (t->comment != NULL)
		tn_buf_printf(out, "  -- %s", t->comment);
	tn_buf_char(out, '\n');
	print_columns(out, t->schema,
	    (const char *const *)t->column_comments, t);
	if (t->key_count > 0) {
		tn_buf_str(out, "  primary key: ");
		for (uint32_t i = 0; i < t->key_count; i++)
			tn_buf_printf(out, "%s%s", i > 0 ? ", " : "",
			    t->schema->fields[t->key[i]].name);
		tn_buf_char(out, '\n');
	}
	for (uint32_t i = 0; i < t->topic_count; i++)
		tn_buf_printf(out, "  mqtt: %s\n", t->topics[i]);
	for (uint32_t i = 0; i < t->check_count; i++)
		tn_buf_printf(out, "  check %s: %s\n", t->checks[i].name,
		    t->checks[i].text);
	if (t->kind == TN_SQL_STREAM)
		explain_stream(t, out);
	tn_buf_char(out, '\n');
}

/* Exact aggregates whose states grow with the values: which way is gone. */
static void
explain_holistic(const struct tn_sql_select *s, struct tn_buf *out)
{
	bool distinct = false, percentile = false;

	for (uint32_t i = 0; i < s->agg_count; i++) {
		distinct |= s->aggs[i].kind == TN_AGG_COUNT_DISTINCT;
		percentile |= s->aggs[i].kind == TN_AGG_PERCENTILE_CONT;
	}
	if (distinct || percentile)
		tn_buf_printf(out, "  exact: %s%s%s kept as mergeable values "
		    "up to holistic_state_bytes a group, beyond that "
		    "recomputed from silver and tail\n",
		    distinct ? "count(DISTINCT)" : "",
		    distinct && percentile ? " and " : "",
		    percentile ? "percentile_cont" : "");
}

static void
explain_view(const struct tn_sql_view *v, struct tn_buf *out)
{
	const struct tn_sql_select *s = v->select;

	tn_buf_printf(out, "view %s", v->name);
	if (v->comment != NULL)
		tn_buf_printf(out, "  -- %s", v->comment);
	tn_buf_char(out, '\n');
	print_columns(out, s->schema,
	    (const char *const *)v->column_comments, NULL);
	tn_buf_printf(out, "  from: %s", s->source);
	for (uint32_t i = 0; i < s->join_count; i++)
		tn_buf_printf(out, ", %s%s", s->joins[i].left ? "left " :
		    "", s->joins[i].table);
	tn_buf_printf(out, "\n  groups: %u, aggregates: %u\n",
	    s->group_count, s->agg_count);
	if (s->bucket_group >= 0) {
		tn_buf_printf(out, "  time bucket: group %d",
		    s->bucket_group + 1);
		if (s->bucket_us > 0) {
			tn_buf_str(out, ", width ");
			print_span(out, s->bucket_us);
		}
		tn_buf_char(out, '\n');
	}
	explain_holistic(s, out);
	for (uint32_t i = 0; i < v->option_count; i++)
		tn_buf_printf(out, "  %s: %s\n", v->options[i].name,
		    v->options[i].value);
	tn_buf_char(out, '\n');
}

void
tn_sql_explain(const struct tn_sql_pipeline *p, struct tn_buf *out)
{
	for (uint32_t i = 0; i < p->table_count; i++)
		explain_table(p->tables[i], out);
	for (uint32_t i = 0; i < p->view_count; i++)
		explain_view(p->views[i], out);
	for (uint32_t i = 0; i < p->setting_count; i++)
		tn_buf_printf(out, "setting %s = %s\n",
		    p->settings[i].name, p->settings[i].value);
	tn_buf_printf(out, "%u table%s, %u view%s: good\n", p->table_count,
	    p->table_count == 1 ? "" : "s", p->view_count,
	    p->view_count == 1 ? "" : "s");
}

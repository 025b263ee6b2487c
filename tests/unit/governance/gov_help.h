/* What the tests of governance share: a stream from SQL text, raw rows from
 * C texts, and batches compared as text. */
#ifndef TN_GOV_HELP_H
#define TN_GOV_HELP_H

#include "governance/governance.h"
#include "random.h"

/* 2026-03-01 00:30:00 UTC */
#define RECEIVED INT64_C(1772325000000000)

/* ---- streams --------------------------------------------------------- */

struct made {
	struct tn_sql_pipeline *pipeline;
	struct tn_governance_stream stream;
};

UNUSED static void
make_stream(struct made *m, const char *sql, const char *name, uint32_t id)
{
	static const char *const hidden[] = { TN_SQL_LSN_NAME,
	    TN_SQL_OFFSET_NAME, TN_SQL_RECEIVED_NAME };
	struct tn_sql_source src = { "t.sql", tn_slice_of(sql) };
	struct tn_diag d;
	enum tn_status st = tn_sql_load(&m->pipeline, &src, 1, &d);
	struct tn_schema *s;
	struct tn_field *f;
	uint32_t n;

	if (st != TN_OK)
		print_error("%u:%u %s\n", d.line, d.column, d.message);
	assert_int_equal(st, TN_OK);
	m->stream.table = tn_sql_table(m->pipeline, tn_slice_of(name));
	assert_non_null(m->stream.table);
	m->stream.id = id;
	m->stream.version = 1;
	n = m->stream.table->schema->count;
	s = tn_arena_zalloc(m->pipeline->arena, sizeof *s);
	f = tn_arena_zalloc(m->pipeline->arena,
	    (n + TN_SQL_HIDDEN) * sizeof *f);
	memcpy(f, m->stream.table->schema->fields, n * sizeof *f);
	for (int k = 0; k < TN_SQL_HIDDEN; k++)
		f[n + (uint32_t)k] = (struct tn_field){ hidden[k],
		    tn_record_type(k < 2 ? TN_T_INT8 : TN_T_TIMESTAMPTZ),
		    true };
	s->name = name;
	s->count = n + TN_SQL_HIDDEN;
	s->fields = f;
	m->stream.silver = s;
}

UNUSED static void
drop_stream(struct made *m)
{
	tn_sql_pipeline_free(m->pipeline);
}

/* ---- rows ------------------------------------------------------------ */

UNUSED static void
add_row(struct tn_codec_rows *r, const char *text)
{
	tn_codec_rows_add(r, text, strlen(text), r->count + 1);
}

/* A column by name. */
UNUSED static const struct tn_column *
column_of(const struct tn_batch *b, const char *name)
{
	int at = tn_record_schema_find(b->schema, tn_slice_of(name));

	assert_true(at >= 0);
	return &b->columns[at];
}

/* A value as text; "null" for none. */
UNUSED static const char *
value(const struct tn_batch *b, const char *name, uint32_t row)
{
	static struct tn_buf texts[4];
	static int next;
	struct tn_buf *t = &texts[next++ % 4];
	const struct tn_column *c = column_of(b, name);

	tn_buf_clear(t);
	if (tn_column_valid(c, row))
		tn_record_print(t, c, row);
	else
		tn_buf_str(t, "null");
	return tn_buf_cstr(t);
}

UNUSED static const struct tn_log_reason *
reason_of(const struct tn_governance_rows *r, uint32_t row)
{
	for (uint32_t i = 0; i < r->reason_count; i++)
		if (r->reasons[i].row == row)
			return &r->reasons[i];
	return NULL;
}

/* Marks and keys alike, and the values of accepted rows. */
UNUSED static void
same_rows(const struct tn_governance_rows *a,
    const struct tn_governance_rows *b)
{
	const struct tn_schema *s = a->batch->schema;

	assert_int_equal(a->batch->rows, b->batch->rows);
	assert_int_equal(s->count, b->batch->schema->count);
	assert_memory_equal(a->marks, b->marks, a->batch->rows);
	for (uint32_t i = 0; i < a->batch->rows; i++) {
		if (a->marks[i] != TN_MARK_ACCEPTED)
			continue;
		if (a->keys != NULL)
			assert_memory_equal(&a->keys[i], &b->keys[i], 16);
		for (uint32_t c = 0; c < s->count; c++)
			assert_string_equal(value(a->batch,
			    s->fields[c].name, i), value(b->batch,
			    s->fields[c].name, i));
	}
}

/* The block that the rows become in the log. ${raw} lives longer. */
UNUSED static struct tn_log_block
block_from(const struct tn_governance_rows *r, const struct tn_codec_rows *raw,
    struct tn_slice spec)
{
	return (struct tn_log_block){
		.lsn = 7,
		.stream = r->stream->id,
		.version = 1,
		.offset = 1000,
		.rows = raw->count,
		.received_us = r->received_us,
		.spec = spec,
		.source = tn_slice_of("test"),
		.marks = r->marks,
		.reasons = r->reasons,
		.reason_count = r->reason_count,
		.raw = { raw->raw.p, raw->raw.n },
		.lengths = raw->length,
		.lines = raw->line,
	};
}

#endif

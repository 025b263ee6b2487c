/* Bronze: every row as it came, with where, when and what became of it. Log
 * blocks turn to bronze rows at a cut; bronze rows turn back to blocks for
 * verify and recompute. Also the readers that decode blocks of any stream. */
#include "governance/governance.h"

#include <string.h>

static const struct tn_field bronze_fields[] = {
	{ TN_SQL_LSN_NAME, { .id = TN_T_INT8 }, true },
	{ TN_SQL_OFFSET_NAME, { .id = TN_T_INT8 }, true },
	{ "received_at", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "source", { .id = TN_T_TEXT }, true },
	{ "spec", { .id = TN_T_TEXT }, true },
	{ "line", { .id = TN_T_INT8 }, false },
	{ "status", { .id = TN_T_INT4 }, true },
	{ "code", { .id = TN_T_TEXT }, false },
	{ "column", { .id = TN_T_TEXT }, false },
	{ "reason", { .id = TN_T_TEXT }, false },
	{ "raw", { .id = TN_T_BYTES }, true },
};
const struct tn_schema tn_governance_bronze = {
	"bronze", TN_COUNT(bronze_fields), bronze_fields
};

static void
bronze_row(struct tn_builder *b, const struct tn_log_block *k, uint32_t i,
    size_t at, const struct tn_log_reason *why)
{
	int mark = k->marks != NULL ? k->marks[i] : TN_MARK_ACCEPTED;

	tn_record_builder_i64(b, TN_BRONZE_LSN, (int64_t)k->lsn);
	tn_record_builder_i64(b, TN_BRONZE_OFFSET,
	    (int64_t)(k->offset + i));
	tn_record_builder_i64(b, TN_BRONZE_RECEIVED, k->received_us);
	tn_record_builder_text(b, TN_BRONZE_SOURCE, k->source.p,
	    k->source.n);
	tn_record_builder_text(b, TN_BRONZE_SPEC, k->spec.p, k->spec.n);
	if (k->lines != NULL)
		tn_record_builder_i64(b, TN_BRONZE_LINE, k->lines[i]);
	tn_record_builder_i64(b, TN_BRONZE_STATUS, mark);
	if (why != NULL) {
		tn_record_builder_text(b, TN_BRONZE_CODE, why->code,
		    strlen(why->code));
		tn_record_builder_text(b, TN_BRONZE_COLUMN, why->column,
		    strlen(why->column));
		tn_record_builder_text(b, TN_BRONZE_REASON, why->message,
		    strlen(why->message));
	}
	tn_record_builder_text(b, TN_BRONZE_RAW, k->raw.p + at,
	    k->lengths[i]);
	tn_record_builder_row_end(b);
}

struct tn_batch *
tn_governance_bronze_of(const struct tn_log_block *k)
{
	struct tn_builder *b = tn_record_builder_new(&tn_governance_bronze,
	    k->rows);
	struct tn_batch *out;
	uint32_t next = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < k->rows; i++) {
		const struct tn_log_reason *why = NULL;
		if (next < k->reason_count && k->reasons[next].row == i)
			why = &k->reasons[next++];
		bronze_row(b, k, i, at, why);
		at += k->lengths[i];
	}
	tn_assert(at == k->raw.n);
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

static int64_t
int_at(const struct tn_batch *b, uint32_t col, uint32_t row)
{
	return ((const int64_t *)b->columns[col].values)[row];
}

/* Rows of one LSN are one block: one spec, one offset after the other. */
static uint32_t
run_end(const struct tn_batch *b, uint32_t first)
{
	const struct tn_column *spec = &b->columns[TN_BRONZE_SPEC];
	uint64_t offset = (uint64_t)int_at(b, TN_BRONZE_OFFSET, first);
	uint32_t i = first + 1;

	while (i < b->rows &&
	    int_at(b, TN_BRONZE_LSN, i) == int_at(b, TN_BRONZE_LSN, first) &&
	    (uint64_t)int_at(b, TN_BRONZE_OFFSET, i) == offset + i - first &&
	    tn_slice_eq(tn_column_text(spec, i),
	    tn_column_text(spec, first)))
		i++;
	return i;
}

/* The line of every row, or NULL when one is unknown. */
static uint32_t *
lines_of(const struct tn_batch *b, uint32_t first, uint32_t n,
    struct tn_arena *a)
{
	const struct tn_column *c = &b->columns[TN_BRONZE_LINE];
	uint32_t *lines = tn_arena_alloc(a, (size_t)n * sizeof *lines);

	for (uint32_t i = 0; i < n; i++) {
		if (!tn_column_valid(c, first + i))
			return NULL;
		lines[i] = (uint32_t)int_at(b, TN_BRONZE_LINE, first + i);
	}
	return lines;
}

enum tn_status
tn_governance_block_of(const struct tn_batch *b, uint32_t first,
    uint32_t stream, struct tn_arena *a, struct tn_log_block *out,
    uint32_t *next)
{
	const struct tn_column *raw = &b->columns[TN_BRONZE_RAW];
	uint32_t end, n;
	uint32_t *lengths;
	uint8_t *marks;

	if (first >= b->rows)
		return TN_END;
	end = run_end(b, first);
	n = end - first;
	lengths = tn_arena_alloc(a, (size_t)n * sizeof *lengths);
	marks = tn_arena_alloc(a, n);
	for (uint32_t i = 0; i < n; i++) {
		lengths[i] = (uint32_t)tn_column_text(raw, first + i).n;
		int32_t mark = ((const int32_t *)b->columns[
		    TN_BRONZE_STATUS].values)[first + i];
		if (mark < 0 || mark > TN_MARK_DUPLICATE)
			return TN_ECORRUPT;
		marks[i] = (uint8_t)mark;
	}
	*out = (struct tn_log_block){
		.lsn = (uint64_t)int_at(b, TN_BRONZE_LSN, first),
		.stream = stream,
		.offset = (uint64_t)int_at(b, TN_BRONZE_OFFSET, first),
		.rows = n,
		.received_us = int_at(b, TN_BRONZE_RECEIVED, first),
		.spec = tn_column_text(&b->columns[TN_BRONZE_SPEC], first),
		.source = tn_column_text(&b->columns[TN_BRONZE_SOURCE],
		    first),
		.marks = marks,
		.raw = { tn_column_text(raw, first).p,
		    raw->offsets[end] - raw->offsets[first] },
		.lengths = lengths,
		.lines = lines_of(b, first, n, a),
	};
	*next = end;
	return TN_OK;
}

/* ---- readers of blocks ----------------------------------------------- */

#define GATES_MAX 64

struct kept_gate {
	uint32_t stream;         /* Index. */
	struct tn_buf text;
	struct tn_codec_spec spec;
	struct tn_governance_gate *gate;
	uint64_t used;
};
struct tn_governance_reader {
	const struct tn_governance_stream *streams;
	uint32_t stream_count;
	struct kept_gate gates[GATES_MAX];
	uint32_t gate_count;
	uint64_t clock;
	uint32_t *start;         /* Of the rows of the block at hand. */
	uint8_t *zeros;          /* "All accepted". */
	uint32_t rows_cap;
};

struct tn_governance_reader *
tn_governance_reader_new(const struct tn_governance_stream *streams,
    uint32_t count)
{
	struct tn_governance_reader *r = tn_zalloc(sizeof *r);

	r->streams = streams;
	r->stream_count = count;
	return r;
}

static void
drop_gate(struct kept_gate *k)
{
	tn_governance_gate_free(k->gate);
	tn_codec_spec_fini(&k->spec);
	tn_buf_fini(&k->text);
	memset(k, 0, sizeof *k);
}

void
tn_governance_reader_free(struct tn_governance_reader *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->gate_count; i++)
		drop_gate(&r->gates[i]);
	tn_free(r->start);
	tn_free(r->zeros);
	tn_free(r);
}

static struct kept_gate *
free_slot(struct tn_governance_reader *r)
{
	uint32_t oldest = 0;

	if (r->gate_count < GATES_MAX)
		return &r->gates[r->gate_count++];
	for (uint32_t i = 1; i < r->gate_count; i++)
		if (r->gates[i].used < r->gates[oldest].used)
			oldest = i;
	drop_gate(&r->gates[oldest]);
	return &r->gates[oldest];
}

static enum tn_status
find_gate(struct tn_governance_reader *r, const struct tn_log_block *b,
    struct tn_governance_gate **out)
{
	struct tn_codec_spec spec;
	struct kept_gate *k;
	uint32_t s = 0;

	while (s < r->stream_count && r->streams[s].id != b->stream)
		s++;
	if (s == r->stream_count)
		return TN_ENOTFOUND;
	for (uint32_t i = 0; i < r->gate_count; i++) {
		k = &r->gates[i];
		if (k->stream == s && tn_slice_eq(b->spec,
		    (struct tn_slice){ k->text.p, k->text.n })) {
			k->used = ++r->clock;
			*out = k->gate;
			return TN_OK;
		}
	}
	if (tn_codec_spec_parse(&spec, b->spec) != TN_OK)
		return TN_ECORRUPT;
	k = free_slot(r);
	k->spec = spec;          /* The gate borrows it where it is. */
	tn_buf_add(&k->text, b->spec.p, b->spec.n);
	k->stream = s;
	k->used = ++r->clock;
	k->gate = tn_governance_gate_new(&r->streams[s], &k->spec);
	*out = k->gate;
	return TN_OK;
}

/* Room for where each row of the block starts, and for its marks. */
static bool
make_room(struct tn_governance_reader *r, uint32_t rows)
{
	if (rows <= r->rows_cap)
		return true;
	tn_free(r->zeros);
	tn_free(r->start);
	r->rows_cap = 0;
	r->start = tn_try_alloc((size_t)rows * sizeof *r->start);
	r->zeros = tn_try_alloc(rows);
	if (r->start == NULL || r->zeros == NULL)
		return false;
	memset(r->zeros, 0, rows);
	r->rows_cap = rows;
	return true;
}

/* Where each row starts. False when the lengths do not add up to the bytes. */
static bool
place_rows(struct tn_governance_reader *r, const struct tn_log_block *b)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < b->rows && at <= b->raw.n; i++) {
		r->start[i] = (uint32_t)at;
		at += b->lengths[i];
	}
	return at == b->raw.n;
}

enum tn_status
tn_governance_reader_block(struct tn_governance_reader *r,
    const struct tn_log_block *b, struct tn_governance_rows **out)
{
	static const uint8_t none[1];
	struct tn_governance_gate *g = NULL;
	struct tn_codec_rows rows;
	const uint8_t *marks;
	enum tn_status st = find_gate(r, b, &g);

	*out = NULL;
	if (st != TN_OK)
		return st;
	if (!make_room(r, b->rows))
		return TN_ENOMEM;
	if (b->raw.n > UINT32_MAX || !place_rows(r, b))
		return TN_ECORRUPT;
	/* Decoding reads them only: lent, not copied. */
	rows = (struct tn_codec_rows){
		.raw = { .p = (uint8_t *)(uintptr_t)b->raw.p, .n = b->raw.n },
		.start = r->start,
		.length = (uint32_t *)(uintptr_t)b->lengths,
		.line = (uint32_t *)(uintptr_t)b->lines,
		.count = b->rows,
	};
	/* "All accepted" must still say that marks are known. */
	marks = b->marks != NULL ? b->marks :
	    r->zeros != NULL ? r->zeros : none;
	*out = tn_governance_gate_pass(g, &rows, b->received_us, marks);
	if (*out == NULL)
		return TN_ENOMEM;
	(*out)->lsn = b->lsn;
	(*out)->offset = b->offset;
	return TN_OK;
}

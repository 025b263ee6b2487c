/* Bronze: every row as it came, with where, when and what became of it. Log
 * blocks turn to bronze rows at a cut; bronze rows turn back to blocks for
 * verify and recompute. Also the readers that decode blocks of any stream. */
#include "governance/governance.h"

#include <string.h>

#define RAW_MAX ((uint64_t)1 << 30)      /* Of a block out of a dictionary. */

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

/* The columns of one block, made one after the other: nearly all are the same
 * value in every row. */
struct making {
	const struct tn_log_block *block;
	struct tn_arena *arena;
	struct tn_column *columns;
	bool failed;             /* Memory is out. */
};

static void *
make_array(struct making *m, size_t n)
{
	void *p = tn_arena_try_alloc(m->arena, n + 1);

	m->failed |= p == NULL;
	return p;
}

/* An int8 column, to be filled; NULL: memory is out. */
static int64_t *
make_ints(struct making *m, uint32_t col)
{
	int64_t *v = make_array(m, m->block->rows * sizeof *v);

	m->columns[col].values = v;
	return v;
}

static void
put_ints(struct making *m, uint32_t col, int64_t first, int64_t step)
{
	int64_t *v = make_ints(m, col);

	for (uint32_t i = 0; v != NULL && i < m->block->rows; i++)
		v[i] = first + i * step;
}

static void
put_lines(struct making *m)
{
	const struct tn_log_block *k = m->block;
	int64_t *v = make_ints(m, TN_BRONZE_LINE);
	size_t bits = ((size_t)k->rows + 7) / 8;
	uint8_t *valid;

	for (uint32_t i = 0; v != NULL && i < k->rows; i++)
		v[i] = k->lines != NULL ? k->lines[i] : 0;
	if (k->lines != NULL)
		return;
	valid = make_array(m, bits);
	if (valid != NULL)
		memset(valid, 0, bits);
	m->columns[TN_BRONZE_LINE].valid = valid;
}

static void
put_marks(struct making *m)
{
	const struct tn_log_block *k = m->block;
	int32_t *v = make_array(m, k->rows * sizeof *v);

	for (uint32_t i = 0; v != NULL && i < k->rows; i++)
		v[i] = k->marks != NULL ? k->marks[i] : TN_MARK_ACCEPTED;
	m->columns[TN_BRONZE_STATUS].values = v;
}

/* The same text in every row: a dictionary of one entry. A sender chooses the
 * header of a CSV body, which is in the spec, and how many rows follow it: the
 * text once a row would be what he makes of it. */
static void
put_same(struct making *m, uint32_t col, struct tn_slice text)
{
	size_t codes = m->block->rows * sizeof(uint32_t);
	struct tn_column *dict = make_array(m, sizeof *dict);
	uint32_t *offsets = make_array(m, 2 * sizeof *offsets);
	uint8_t *bytes = make_array(m, text.n);
	uint32_t *values = make_array(m, codes);

	m->columns[col].values = values;
	m->columns[col].dict = dict;
	if (m->failed)
		return;
	tn_assert(text.n <= TN_BATCH_TEXT_MAX);
	memset(values, 0, codes);
	offsets[0] = 0;
	offsets[1] = (uint32_t)text.n;
	if (text.n > 0)
		memcpy(bytes, text.p, text.n);
	*dict = (struct tn_column){ .type = m->columns[col].type, .rows = 1,
	    .offsets = offsets, .bytes = bytes };
}

/* Whoever made the block: no reader takes a text column back that is not
 * UTF-8, and all rows beside it would be lost with it. */
static void
put_any(struct making *m, uint32_t col, struct tn_slice text)
{
	struct tn_buf shown = { .max = SIZE_MAX };

	if (!tn_utf8_valid(text.p, text.n)) {
		tn_buf_shown(&shown, text.p, text.n);
		m->failed |= shown.failed;
		text = (struct tn_slice){ shown.p, shown.n };
	}
	put_same(m, col, text);
	tn_buf_fini(&shown);
}

struct tn_slice
tn_governance_bronze_text(const struct tn_column *c, uint32_t row)
{
	if (c->dict == NULL)
		return tn_column_text(c, row);
	if (!tn_column_valid(c, row))
		return (struct tn_slice){ c->dict->bytes, 0 };
	return tn_column_text(c->dict, ((const uint32_t *)c->values)[row]);
}

bool
tn_governance_again_of(struct tn_slice source, int64_t line,
    uint64_t *offset)
{
	size_t n = strlen(TN_GOVERNANCE_AGAIN);
	uint64_t base;

	if (source.n <= n || memcmp(source.p, TN_GOVERNANCE_AGAIN, n) != 0 ||
	    line < 0 || !tn_parse_u64((struct tn_slice){ source.p + n,
	    source.n - n }, &base))
		return false;
	*offset = base + (uint64_t)line;
	return true;
}

static const char *
reason_text(const struct tn_log_reason *r, uint32_t col)
{
	return col == TN_BRONZE_CODE ? r->code :
	    col == TN_BRONZE_COLUMN ? r->column : r->message;
}

/* What is said of bad rows; of the others nothing. */
static void
put_reasons(struct making *m, uint32_t col)
{
	const struct tn_log_block *k = m->block;
	size_t bits = ((size_t)k->rows + 7) / 8, bytes = 0;
	uint32_t *offsets = make_array(m, (k->rows + 1ul) * sizeof *offsets);
	uint8_t *valid = make_array(m, bits), *text;
	uint32_t row = 0, at = 0;

	for (uint32_t i = 0; i < k->reason_count; i++)
		bytes += strlen(reason_text(&k->reasons[i], col));
	text = make_array(m, bytes);
	m->columns[col].offsets = offsets;
	m->columns[col].valid = valid;
	m->columns[col].bytes = text;
	if (m->failed)
		return;
	tn_assert(bytes <= TN_BATCH_TEXT_MAX);
	memset(valid, 0, bits);
	for (uint32_t i = 0; i < k->reason_count; i++) {
		const struct tn_log_reason *r = &k->reasons[i];
		size_t n = strlen(reason_text(r, col));
		/* Only the first one of a row is kept. */
		if (r->row >= k->rows || r->row < row)
			continue;
		while (row <= r->row)
			offsets[row++] = at;
		memcpy(text + at, reason_text(r, col), n);
		at += (uint32_t)n;
		valid[r->row >> 3] |= (uint8_t)(1u << (r->row & 7));
	}
	while (row <= k->rows)
		offsets[row++] = at;
}

static void
put_raw(struct making *m)
{
	const struct tn_log_block *k = m->block;
	uint32_t *offsets = make_array(m, (k->rows + 1ul) * sizeof *offsets);
	uint8_t *bytes = k->raw.p != NULL ? make_array(m, k->raw.n) : NULL;
	uint64_t at = 0;

	m->columns[TN_BRONZE_RAW].offsets = offsets;
	m->columns[TN_BRONZE_RAW].bytes = bytes;
	if (m->failed)
		return;
	tn_assert(k->raw.n <= TN_BATCH_TEXT_MAX);
	offsets[0] = 0;
	for (uint32_t i = 0; i < k->rows; i++) {
		at += k->lengths[i];
		offsets[i + 1] = (uint32_t)at;
	}
	tn_assert(at == k->raw.n);
	if (bytes != NULL && k->raw.n > 0)
		memcpy(bytes, k->raw.p, k->raw.n);
}

struct tn_batch *
tn_governance_bronze_of(const struct tn_log_block *k)
{
	struct making m = { .block = k, .arena = tn_arena_new(4096) };

	m.columns = tn_arena_zalloc(m.arena, TN_COUNT(bronze_fields) *
	    sizeof *m.columns);
	for (uint32_t i = 0; i < TN_COUNT(bronze_fields); i++) {
		m.columns[i].type = bronze_fields[i].type;
		m.columns[i].rows = k->rows;
	}
	put_ints(&m, TN_BRONZE_LSN, (int64_t)k->lsn, 0);
	put_ints(&m, TN_BRONZE_OFFSET, (int64_t)k->offset, 1);
	put_ints(&m, TN_BRONZE_RECEIVED, k->received_us, 0);
	put_any(&m, TN_BRONZE_SOURCE, k->source);
	put_any(&m, TN_BRONZE_SPEC, k->spec);
	put_lines(&m);
	put_marks(&m);
	put_reasons(&m, TN_BRONZE_CODE);
	put_reasons(&m, TN_BRONZE_COLUMN);
	put_reasons(&m, TN_BRONZE_REASON);
	put_raw(&m);
	if (m.failed) {
		tn_arena_free(m.arena);
		return NULL;
	}
	return tn_record_batch_new(m.arena, &tn_governance_bronze, k->rows,
	    m.columns);
}

static int64_t
int_at(const struct tn_batch *b, uint32_t col, uint32_t row)
{
	return ((const int64_t *)b->columns[col].values)[row];
}

/* Texts of a dictionary are compared only where they lie apart. */
static bool
same_spec(const struct tn_batch *b, uint32_t first, uint32_t row)
{
	const struct tn_column *c = &b->columns[TN_BRONZE_SPEC];
	struct tn_slice x = tn_governance_bronze_text(c, first);
	struct tn_slice y = tn_governance_bronze_text(c, row);

	return (x.p == y.p && x.n == y.n) || tn_slice_eq(x, y);
}

/* Rows of one LSN are one block: one spec, one offset after the other. */
static uint32_t
run_end(const struct tn_batch *b, uint32_t first)
{
	uint64_t offset = (uint64_t)int_at(b, TN_BRONZE_OFFSET, first);
	uint32_t i = first + 1;

	while (i < b->rows &&
	    int_at(b, TN_BRONZE_LSN, i) == int_at(b, TN_BRONZE_LSN, first) &&
	    (uint64_t)int_at(b, TN_BRONZE_OFFSET, i) == offset + i - first &&
	    same_spec(b, first, i))
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

/* A cut found that an accepted row does not fit the table as it was then: the
 * definition in force decides anew. */
static bool
is_redefined(const struct tn_batch *b, uint32_t row)
{
	const struct tn_column *code = &b->columns[TN_BRONZE_CODE];

	return tn_column_valid(code, row) && tn_slice_is(
	    tn_governance_bronze_text(code, row), "definition_changed");
}

/* The raw rows, back to back: borrowed, or put together from a dictionary. */
static enum tn_status
raw_of(const struct tn_batch *b, uint32_t first, uint32_t n,
    struct tn_arena *a, struct tn_log_block *out)
{
	const struct tn_column *c = &b->columns[TN_BRONZE_RAW];
	uint32_t *lengths = tn_arena_alloc(a, (size_t)n * sizeof *lengths);
	uint8_t *bytes, *at;
	uint64_t all = 0;

	for (uint32_t i = 0; i < n; i++) {
		lengths[i] = (uint32_t)tn_governance_bronze_text(c,
		    first + i).n;
		all += lengths[i];
	}
	out->lengths = lengths;
	if (c->dict == NULL) {
		out->raw = (struct tn_slice){ tn_column_text(c, first).p,
		    (size_t)all };
		return TN_OK;
	}
	if (all > RAW_MAX)
		return TN_ECORRUPT;
	bytes = tn_arena_try_alloc(a, (size_t)all + 1);
	if (bytes == NULL)
		return TN_ENOMEM;
	at = bytes;
	for (uint32_t i = 0; i < n; at += lengths[i++])
		if (lengths[i] > 0)
			memcpy(at, tn_governance_bronze_text(c, first + i).p,
			    lengths[i]);
	out->raw = (struct tn_slice){ bytes, (size_t)all };
	return TN_OK;
}

enum tn_status
tn_governance_block_of(const struct tn_batch *b, uint32_t first,
    uint32_t stream, struct tn_arena *a, struct tn_log_block *out,
    uint32_t *next)
{
	uint32_t end, n;
	uint8_t *marks;

	if (first >= b->rows)
		return TN_END;
	end = run_end(b, first);
	n = end - first;
	marks = tn_arena_alloc(a, n);
	for (uint32_t i = 0; i < n; i++) {
		int32_t mark = ((const int32_t *)b->columns[
		    TN_BRONZE_STATUS].values)[first + i];
		if (mark < 0 || mark > TN_MARK_ERASED)
			return TN_ECORRUPT;
		marks[i] = (uint8_t)mark;
		if (mark == TN_MARK_QUARANTINED &&
		    is_redefined(b, first + i))
			marks[i] = TN_MARK_ACCEPTED;
	}
	*out = (struct tn_log_block){
		.lsn = (uint64_t)int_at(b, TN_BRONZE_LSN, first),
		.stream = stream,
		.offset = (uint64_t)int_at(b, TN_BRONZE_OFFSET, first),
		.rows = n,
		.received_us = int_at(b, TN_BRONZE_RECEIVED, first),
		.spec = tn_governance_bronze_text(
		    &b->columns[TN_BRONZE_SPEC], first),
		.source = tn_governance_bronze_text(
		    &b->columns[TN_BRONZE_SOURCE], first),
		.marks = marks,
		.lines = lines_of(b, first, n, a),
	};
	*next = end;
	return raw_of(b, first, n, a, out);
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

/* Builders: rows appended a value at a time, handed over as batches.
 *
 *   column   values | offsets + bytes, malloc'ed, grown by doubling
 *   valid    no bitmap until the first null; then filled with ones ahead of
 *            the rows, so that a value never touches it and a null clears
 *            its bit
 *   count    a column's count is the builder's rows, or one more when the
 *            open row has its value already
 *
 * No value allocates by itself. take hands the arrays to the batch and keeps
 * the sizes as the hint for the next one.
 *
 * When an array cannot grow, the builder begins again at row 0 in the arrays
 * that it has and remembers the failure: rows go on coming and are lost, and
 * take gives no batch. So nobody asks after each value. */
#include "record/record_int.h"

#include <string.h>

#define ROWS_FIRST 64
#define BYTES_FIRST 1024
/* Bounds of the rows that are allocated before any is there. */
#define HINT_MIN 8
#define HINT_MAX (1u << 20)

struct build {
	struct tn_type type;
	uint8_t width;      /* 0: text kind or no type. */
	bool text;
	uint32_t count;     /* Rows, with the open one when given. */
	uint32_t cap;       /* Rows that fit. */
	uint8_t *valid;
	uint8_t *values;
	uint32_t *offsets;
	uint8_t *bytes;
	size_t bytes_n;
	size_t bytes_cap;
	size_t bytes_hint;  /* What the last batch needed. */
};

struct tn_builder {
	struct tn_schema *schema;
	uint32_t rows;
	uint32_t rows_hint;
	uint32_t count;     /* Columns. */
	bool failed;        /* Memory was out. */
	struct build columns[];
};

static uint32_t
hint_within(uint32_t rows)
{
	if (rows > HINT_MAX)
		return HINT_MAX;
	return rows < HINT_MIN ? HINT_MIN : rows;
}

struct tn_builder *
tn_record_builder_new(const struct tn_schema *schema, uint32_t rows_hint)
{
	struct tn_builder *b = tn_zalloc(sizeof *b +
	    schema->count * sizeof b->columns[0]);

	b->schema = tn_record_schema_copy(schema);
	b->rows_hint = hint_within(rows_hint > 0 ? rows_hint :
	    ROWS_FIRST);
	b->count = schema->count;
	for (uint32_t i = 0; i < b->count; i++) {
		struct build *c = &b->columns[i];

		c->type = schema->fields[i].type;
		c->width = (uint8_t)tn_record_type_width(c->type);
		c->text = type_is_text(c->type.id);
	}
	return b;
}

static size_t
bitmap_bytes(uint32_t rows)
{
	return ((size_t)rows + 7) / 8;
}

/* Memory is out: begin again at row 0. Values of the open row stay given,
 * whatever they are now. */
static void
give_up(struct tn_builder *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct build *c = &b->columns[i];

		c->count -= b->rows;
		c->bytes_n = 0;
		if (c->offsets != NULL)
			memset(c->offsets, 0, (c->count + 1ul) *
			    sizeof *c->offsets);
	}
	b->rows = 0;
	b->failed = true;
}

/* ${p} with room for ${n} bytes; as it was and false when memory is out. */
static bool
grow_array(void *array, size_t n, bool must)
{
	void *p, *more;

	memcpy(&p, array, sizeof p);
	more = must ? tn_realloc(p, n) : tn_try_realloc(p, n);
	if (more == NULL)
		return false;
	memcpy(array, &more, sizeof more);
	return true;
}

/* The arrays of a column for ${cap} rows. */
static bool
grow_column(struct build *c, uint32_t cap, bool must)
{
	size_t had = bitmap_bytes(c->cap);
	bool done = true;

	if (c->text)
		done = grow_array(&c->offsets,
		    ((size_t)cap + 1) * sizeof *c->offsets, must);
	else if (c->width > 0)
		done = grow_array(&c->values, (size_t)cap * c->width, must);
	if (done && c->valid != NULL) {
		done = grow_array(&c->valid, bitmap_bytes(cap), must);
		if (done)
			memset(c->valid + had, 0xff,
			    bitmap_bytes(cap) - had);
	}
	if (done)
		c->cap = cap;
	return done;
}

/* Room for one row more. */
static void __attribute__((noinline))
grow_rows(struct tn_builder *b, struct build *c)
{
	uint32_t cap = c->cap == 0 ? b->rows_hint : c->cap;

	tn_assert(c->count < TN_BATCH_ROWS_MAX);
	if (c->cap != 0)
		cap = cap > TN_BATCH_ROWS_MAX / 2 ? TN_BATCH_ROWS_MAX :
		    cap * 2;
	if (!grow_column(c, cap, false)) {
		give_up(b);
		/* A few rows, to go on with. */
		if (c->cap == 0)
			(void)grow_column(c, HINT_MIN, true);
	}
	if (c->text)
		c->offsets[c->count] = (uint32_t)c->bytes_n;
}

/* Room for ${n} bytes more; false when memory is out. */
static bool __attribute__((noinline))
grow_bytes(struct build *c, size_t n)
{
	size_t cap = c->bytes_cap * 2;

	tn_assert(n <= TN_BATCH_TEXT_MAX - c->bytes_n);
	if (c->bytes_cap == 0)
		cap = c->bytes_hint > 0 ? c->bytes_hint : BYTES_FIRST;
	if (cap < c->bytes_n + n)
		cap = c->bytes_n + n;
	if (!grow_array(&c->bytes, cap, false))
		return false;
	c->bytes_cap = cap;
	return true;
}

/* The column, with room for the value of the open row. */
static inline struct build *
column_open(struct tn_builder *b, uint32_t col)
{
	struct build *c = &b->columns[col];

	tn_assert(col < b->count && c->count == b->rows);
	if (UNLIKELY(c->count == c->cap))
		grow_rows(b, c);
	return c;
}

void
tn_record_builder_null(struct tn_builder *b, uint32_t col)
{
	struct build *c = column_open(b, col);

	if (UNLIKELY(c->valid == NULL)) {
		c->valid = tn_try_alloc(bitmap_bytes(c->cap));
		if (c->valid == NULL) {
			give_up(b);
			c->valid = tn_alloc(bitmap_bytes(HINT_MIN));
			c->cap = HINT_MIN;
		}
		memset(c->valid, 0xff, bitmap_bytes(c->cap));
	}
	c->valid[c->count >> 3] &= (uint8_t)~(1u << (c->count & 7));
	if (c->text)
		c->offsets[c->count + 1] = (uint32_t)c->bytes_n;
	else if (c->width > 0)
		memset(c->values + (size_t)c->count * c->width, 0, c->width);
	c->count++;
}

static inline void
store(struct build *c, const void *v, size_t width)
{
	tn_assert(c->width == width);
	memcpy(c->values + (size_t)c->count * width, v, width);
	c->count++;
}

void
tn_record_builder_fixed(struct tn_builder *b, uint32_t col, const void *v)
{
	struct build *c = column_open(b, col);

	switch (c->width) {
	case 8:
		store(c, v, 8);
		break;
	case 4:
		store(c, v, 4);
		break;
	case 16:
		store(c, v, 16);
		break;
	default:
		tn_assert(c->width > 0);
		store(c, v, c->width);
	}
}

void
tn_record_builder_i64(struct tn_builder *b, uint32_t col, int64_t v)
{
	struct build *c = column_open(b, col);
	int32_t v4 = (int32_t)v;
	int16_t v2 = (int16_t)v;

	switch (c->type.id) {
	case TN_T_INT8:
	case TN_T_TIME:
	case TN_T_TIMESTAMP:
	case TN_T_TIMESTAMPTZ:
		store(c, &v, 8);
		break;
	case TN_T_INT4:
	case TN_T_DATE:
		tn_assert(v4 == v);
		store(c, &v4, 4);
		break;
	default:
		tn_assert(c->type.id == TN_T_INT2);
		tn_assert(v2 == v);
		store(c, &v2, 2);
	}
}

void
tn_record_builder_f64(struct tn_builder *b, uint32_t col, double v)
{
	struct build *c = column_open(b, col);
	float v4 = (float)v;

	if (c->type.id == TN_T_FLOAT8) {
		store(c, &v, 8);
	} else {
		tn_assert(c->type.id == TN_T_FLOAT4);
		store(c, &v4, 4);
	}
}

void
tn_record_builder_bool(struct tn_builder *b, uint32_t col, bool v)
{
	struct build *c = column_open(b, col);
	uint8_t v1 = v;

	tn_assert(c->type.id == TN_T_BOOL);
	store(c, &v1, 1);
}

void
tn_record_builder_text(struct tn_builder *b, uint32_t col, const void *p,
    size_t n)
{
	struct build *c = column_open(b, col);

	tn_assert(c->text);
	if (UNLIKELY(n > c->bytes_cap - c->bytes_n) && !grow_bytes(c, n)) {
		give_up(b);
		n = 0;
	}
	if (n > 0)
		memcpy(c->bytes + c->bytes_n, p, n);
	c->bytes_n += n;
	c->count++;
	c->offsets[c->count] = (uint32_t)c->bytes_n;
}

void
tn_record_builder_copy(struct tn_builder *b, uint32_t col,
    const struct tn_column *c, uint32_t row)
{
	struct tn_slice text;

	tn_assert(row < c->rows);
	if (column_null(c, row)) {
		tn_record_builder_null(b, col);
		return;
	}
	tn_assert(c->type.id == b->columns[col].type.id);
	c = column_at(c, &row);
	if (type_is_text(c->type.id)) {
		text = tn_column_text(c, row);
		tn_record_builder_text(b, col, text.p, text.n);
		return;
	}
	tn_record_builder_fixed(b, col, (const uint8_t *)c->values +
	    (size_t)row * b->columns[col].width);
}

void
tn_record_builder_row_end(struct tn_builder *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (b->columns[i].count == b->rows)
			tn_record_builder_null(b, i);
	tn_assert(b->rows < TN_BATCH_ROWS_MAX);
	b->rows++;
}

bool
tn_record_builder_has(const struct tn_builder *b, uint32_t col)
{
	tn_assert(col < b->count);
	return b->columns[col].count > b->rows;
}

void
tn_record_builder_again(struct tn_builder *b, uint32_t col)
{
	struct build *c = &b->columns[col];

	if (!tn_record_builder_has(b, col))
		return;
	c->count = b->rows;
	if (c->text)
		c->bytes_n = c->offsets[c->count];
	if (c->valid != NULL)
		c->valid[c->count >> 3] |= (uint8_t)(1u << (c->count & 7));
}

void
tn_record_builder_row_undo(struct tn_builder *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		tn_record_builder_again(b, i);
}

uint32_t
tn_record_builder_rows(const struct tn_builder *b)
{
	return b->rows;
}

size_t
tn_record_builder_bytes(const struct tn_builder *b)
{
	size_t n = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		const struct build *c = &b->columns[i];

		n += c->text ? c->bytes_n + (size_t)c->count * 4 :
		    (size_t)c->count * c->width;
		n += c->valid != NULL ? bitmap_bytes(c->count) : 0;
	}
	return n;
}

/* Give back what is much more than needed; the batch may live long. Adds
 * what stays to *held. */
static void *
shrink(void *p, size_t n, size_t cap, size_t *held)
{
	void *less = cap - n <= cap / 4 ? NULL : tn_try_realloc(p, n);

	*held += less != NULL ? n : cap;
	return less != NULL ? less : p;
}

/* A column without rows still has its arrays. */
static struct tn_column
column_close(struct tn_builder *b, struct build *c, size_t *held)
{
	struct tn_column out = { .type = c->type, .rows = b->rows };
	size_t rows = b->rows;
	size_t cap;

	tn_assert(c->count == b->rows && c->cap > 0);
	cap = c->cap;
	if (c->text) {
		if (c->bytes == NULL && !grow_bytes(c, 1)) {
			c->bytes = tn_alloc(1);
			c->bytes_cap = 1;
		}
		out.offsets = shrink(c->offsets, (rows + 1) * 4,
		    (cap + 1) * 4, held);
		out.bytes = shrink(c->bytes, c->bytes_n, c->bytes_cap, held);
	} else if (c->width > 0) {
		out.values = shrink(c->values, rows * c->width,
		    cap * c->width, held);
	}
	if (c->valid != NULL) {
		tn_record_valid_trim(c->valid, b->rows);
		out.valid = c->valid;
		*held += bitmap_bytes(c->cap);
	}
	return out;
}

static void
drop_column(struct build *c)
{
	tn_free(c->valid);
	tn_free(c->values);
	tn_free(c->offsets);
	tn_free(c->bytes);
	*c = (struct build){ .type = c->type, .width = c->width,
	    .text = c->text };
}

struct tn_batch *
tn_record_builder_take(struct tn_builder *b)
{
	struct tn_column *columns;
	struct tn_batch *out;
	size_t held = 0;

	tn_record_builder_row_undo(b);
	for (uint32_t i = 0; i < b->count && !b->failed; i++)
		if (b->columns[i].cap == 0)
			grow_rows(b, &b->columns[i]);
	if (b->failed) {
		for (uint32_t i = 0; i < b->count; i++)
			drop_column(&b->columns[i]);
		b->rows = 0;
		b->failed = false;
		return NULL;
	}
	columns = tn_zalloc((b->count + 1) * sizeof *columns);
	for (uint32_t i = 0; i < b->count; i++) {
		struct build *c = &b->columns[i];

		columns[i] = column_close(b, c, &held);
		*c = (struct build){ .type = c->type, .width = c->width,
		    .text = c->text, .bytes_hint = c->bytes_n };
	}
	out = tn_record_batch_adopt(b->schema, b->rows, columns, held);
	tn_free(columns);
	if (b->rows > 0)
		b->rows_hint = hint_within(b->rows);
	b->rows = 0;
	return out;
}

void
tn_record_builder_free(struct tn_builder *b)
{
	if (b == NULL)
		return;
	for (uint32_t i = 0; i < b->count; i++)
		drop_column(&b->columns[i]);
	tn_free(b->schema);
	tn_free(b);
}

/* New batches out of old ones: rows picked (take), batches joined (concat).
 *
 * Works a column at a time in two passes: the first adds up text bytes, so
 * that every array is allocated once at its size; the second copies. A
 * dictionary column comes out as a plain one. Null rows come out as zero
 * bytes or empty text, whatever the input held. A validity bitmap is made
 * only where the result has a null. When memory is out, what was made is freed
 * and there is no batch. */
#include "record/record_int.h"

#include <string.h>

/* One column of the result while it is filled. */
struct target {
	struct tn_type type;
	size_t width;
	uint32_t rows;      /* All that will come. */
	uint32_t at;        /* Rows filled. */
	uint32_t nulls;
	uint32_t text_n;    /* Bytes filled. */
	uint8_t *valid;
	uint8_t *values;
	uint32_t *offsets;
	uint8_t *bytes;
	size_t held;        /* Bytes allocated. */
	bool failed;        /* Memory is out. */
};

/* Rows of one source column: those listed, or all when list is NULL. */
struct picked {
	const struct tn_column *column;
	const uint32_t *list;
	uint32_t count;
};

static uint32_t
pick(const struct picked *s, uint32_t i)
{
	return s->list != NULL ? s->list[i] : i;
}

static uint64_t
text_total(const struct picked *s)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t row = pick(s, i);
		const struct tn_column *c = s->column;

		if (column_null(c, row))
			continue;
		c = column_at(c, &row);
		total += c->offsets[row + 1] - c->offsets[row];
	}
	return total;
}

static void *
target_alloc(struct target *t, size_t n)
{
	void *p = tn_try_alloc(n);

	t->held += n;
	t->failed |= p == NULL;
	return p;
}

/* False when memory is out; close it all the same. */
static bool
target_open(struct target *t, struct tn_type type, uint32_t rows,
    uint64_t text_bytes)
{
	tn_assert(text_bytes <= TN_BATCH_TEXT_MAX);
	*t = (struct target){ .type = type, .rows = rows,
	    .width = tn_record_type_width(type) };
	if (type_is_text(type.id)) {
		t->offsets = target_alloc(t,
		    ((size_t)rows + 1) * sizeof *t->offsets);
		if (t->offsets != NULL)
			t->offsets[0] = 0;
		t->bytes = target_alloc(t, (size_t)text_bytes);
	} else if (t->width > 0) {
		t->values = target_alloc(t, rows * t->width);
	}
	return !t->failed;
}

/* The bit of the row that comes next is made 0; earlier ones are 1. */
static void
target_null(struct target *t)
{
	size_t n = ((size_t)t->rows + 7) / 8;

	if (t->valid == NULL && !t->failed) {
		t->valid = target_alloc(t, n);
		if (t->valid != NULL)
			memset(t->valid, 0xff, n);
	}
	if (t->failed)
		return;
	t->valid[t->at >> 3] &= (uint8_t)~(1u << (t->at & 7));
	t->nulls++;
}

static void
fill_text(struct target *t, const struct picked *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t row = pick(s, i);
		const struct tn_column *c = s->column;

		if (column_null(c, row)) {
			target_null(t);
		} else {
			struct tn_slice text;

			c = column_at(c, &row);
			text = tn_column_text(c, row);
			if (text.n > 0)
				memcpy(t->bytes + t->text_n, text.p, text.n);
			t->text_n += (uint32_t)text.n;
		}
		t->at++;
		t->offsets[t->at] = t->text_n;
	}
}

static void
fill_fixed(struct target *t, const struct picked *s)
{
	const size_t w = t->width;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t row = pick(s, i);
		const struct tn_column *c = s->column;
		uint8_t *to = t->values + t->at * w;

		if (column_null(c, row)) {
			target_null(t);
			if (w > 0)
				memset(to, 0, w);
		} else {
			c = column_at(c, &row);
			memcpy(to, (const uint8_t *)c->values + row * w, w);
		}
		t->at++;
	}
}

/* The same without tests, for the commonest shape. */
static void
fill_dense8(struct target *t, const struct picked *s)
{
	const uint64_t *from = s->column->values;
	uint64_t *to = (uint64_t *)(void *)t->values + t->at;

	for (uint32_t i = 0; i < s->count; i++)
		to[i] = from[pick(s, i)];
	t->at += s->count;
}

/* All rows of a column without nulls and dictionary. */
static void
fill_whole(struct target *t, const struct picked *s)
{
	const struct tn_column *c = s->column;
	uint32_t base;
	uint32_t n;

	if (!type_is_text(t->type.id)) {
		if (s->count > 0)
			memcpy(t->values + t->at * t->width, c->values,
			    s->count * t->width);
		t->at += s->count;
		return;
	}
	base = c->offsets[0];
	n = c->offsets[s->count] - base;
	if (n > 0)
		memcpy(t->bytes + t->text_n, c->bytes + base, n);
	for (uint32_t i = 0; i < s->count; i++)
		t->offsets[t->at + i + 1] =
		    t->text_n + (c->offsets[i + 1] - base);
	t->text_n += n;
	t->at += s->count;
}

static void
fill(struct target *t, const struct picked *s)
{
	const struct tn_column *c = s->column;
	bool dense = c->valid == NULL && c->dict == NULL &&
	    c->type.id != TN_T_NONE;

	tn_assert(c->type.id == t->type.id);
	if (dense && s->list == NULL)
		fill_whole(t, s);
	else if (dense && t->width == 8)
		fill_dense8(t, s);
	else if (type_is_text(t->type.id))
		fill_text(t, s);
	else
		fill_fixed(t, s);
}

static struct tn_column
target_close(struct target *t)
{
	struct tn_column c = { .type = t->type, .rows = t->rows };

	tn_assert(t->failed || t->at == t->rows);
	if (t->valid != NULL)
		tn_record_valid_trim(t->valid, t->rows);
	c.valid = t->valid;
	c.values = t->values;
	c.offsets = t->offsets;
	c.bytes = t->bytes;
	return c;
}

void
tn_record_valid_trim(uint8_t *valid, uint32_t rows)
{
	if ((rows & 7) != 0)
		valid[rows >> 3] &= (uint8_t)((1u << (rows & 7)) - 1);
}

/* The batch of such columns, which are freed instead when one failed. */
static struct tn_batch *
adopt(const struct tn_schema *schema, uint32_t rows,
    struct tn_column *columns, size_t held, bool failed)
{
	struct tn_batch *out = NULL;

	for (uint32_t i = 0; failed && i < schema->count; i++) {
		tn_free((void *)(uintptr_t)columns[i].valid);
		tn_free((void *)(uintptr_t)columns[i].values);
		tn_free((void *)(uintptr_t)columns[i].offsets);
		tn_free((void *)(uintptr_t)columns[i].bytes);
	}
	if (!failed)
		out = tn_record_batch_adopt(schema, rows, columns, held);
	tn_free(columns);
	return out;
}

struct tn_batch *
tn_record_batch_take(const struct tn_batch *b, const uint32_t *rows,
    uint32_t count)
{
	uint32_t width = b->schema->count;
	struct tn_column *columns = tn_zalloc((width + 1) * sizeof *columns);
	size_t held = 0;
	bool failed = false;

	for (uint32_t i = 0; i < width && !failed; i++) {
		struct picked s = { &b->columns[i], rows, count };
		struct target t;

		if (target_open(&t, s.column->type, count,
		    type_is_text(s.column->type.id) ? text_total(&s) : 0))
			fill(&t, &s);
		columns[i] = target_close(&t);
		held += t.held;
		failed = t.failed;
	}
	return adopt(b->schema, count, columns, held, failed);
}

struct tn_batch *
tn_record_batch_concat(struct tn_batch *const *in, uint32_t count)
{
	const struct tn_schema *schema;
	struct tn_column *columns;
	uint64_t rows = 0;
	size_t held = 0;
	bool failed = false;

	tn_assert(count >= 1);
	schema = in[0]->schema;
	columns = tn_zalloc((schema->count + 1) * sizeof *columns);
	for (uint32_t k = 0; k < count; k++) {
		tn_assert(in[k]->schema->count == schema->count);
		rows += in[k]->rows;
	}
	tn_assert(rows <= TN_BATCH_ROWS_MAX);
	for (uint32_t i = 0; i < schema->count && !failed; i++) {
		struct tn_type type = schema->fields[i].type;
		uint64_t text = 0;
		struct target t;

		for (uint32_t k = 0; k < count; k++) {
			struct picked s = { &in[k]->columns[i], NULL,
			    in[k]->rows };

			if (type_is_text(type.id))
				text += text_total(&s);
		}
		failed = !target_open(&t, type, (uint32_t)rows, text);
		for (uint32_t k = 0; k < count && !failed; k++) {
			struct picked s = { &in[k]->columns[i], NULL,
			    in[k]->rows };

			fill(&t, &s);
		}
		columns[i] = target_close(&t);
		held += t.held;
		failed = t.failed;
	}
	return adopt(schema, (uint32_t)rows, columns, held, failed);
}

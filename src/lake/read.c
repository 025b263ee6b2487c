/* Reading a file in a table's present shape. A table gains columns over time
 * and old files stay as they are: columns are found by name, a missing one is
 * all null. Columns nobody asked for are all null too, so that indexes of the
 * schema stay valid for every reader; all of them share one block of zeros,
 * which nobody writes: it takes addresses, not memory.
 *
 *   file's batch --widen, reorder, add nulls--> batch in the schema's shape
 *
 * What can go wrong: a file is damaged (TN_ECORRUPT from parquet), or holds a
 * column in a type that cannot be widened to today's. */
#include "lake/lake_int.h"

#include <string.h>

#include "os/os.h"

enum { ROWS_MAX = 1 << 20 };     /* Of a batch. */

struct shape {
	uint32_t *file_column;   /* Per wanted column: index in the file. */
	uint32_t *schema_column; /* Per wanted column: index in the schema. */
	uint32_t count;
	struct tn_parquet_bound *bounds;
	uint32_t bound_count;
	bool never;              /* A bound on a column the file lacks. */
};

static bool
is_int(struct tn_type t)
{
	return t.id == TN_T_INT2 || t.id == TN_T_INT4 || t.id == TN_T_INT8;
}

/* Equal, or an integer or float that only grew. */
static bool
can_widen(struct tn_type from, struct tn_type to)
{
	if (from.id == to.id)
		return from.scale == to.scale;
	if (is_int(from) && is_int(to))
		return from.id < to.id;
	return from.id == TN_T_FLOAT4 && to.id == TN_T_FLOAT8;
}

static enum tn_status
type_changed(const struct tn_lake_read *r, const struct tn_field *f,
    struct tn_type was, struct tn_diag *d)
{
	char from[48], to[48];

	tn_diag_hint(d, "give the new type to a column of another name; "
	    "integers and floats may grow");
	return tn_diag_set(d, TN_EUNSUPPORTED, "type_changed",
	    "column \"%.63s\" is %s now, but %s in older files (%.100s)",
	    f->name, tn_record_type_name(f->type, to),
	    tn_record_type_name(was, from), r->path);
}

static enum tn_status
make_shape(struct shape *s, const struct tn_lake_read *r,
    const struct tn_schema *file, struct tn_arena *a, struct tn_diag *d)
{
	memset(s, 0, sizeof *s);
	s->file_column = tn_arena_alloc(a, (r->schema->count + 1) * 4);
	s->schema_column = tn_arena_alloc(a, (r->schema->count + 1) * 4);
	s->bounds = tn_arena_alloc(a,
	    (r->bound_count + 1) * sizeof *s->bounds);
	for (uint32_t i = 0; i < r->schema->count; i++) {
		const struct tn_field *f = &r->schema->fields[i];
		int at = tn_record_schema_find(file, tn_slice_of(f->name));
		bool fits = at >= 0 && can_widen(file->fields[at].type,
		    f->type);
		if (r->found != NULL)
			r->found[i] = fits && (r->used == NULL || r->used[i]);
		if (at < 0 || (r->used != NULL && r->used[i] == 0))
			continue;
		if (!fits && r->found != NULL)
			continue;
		if (!fits)
			return type_changed(r, f, file->fields[at].type, d);
		s->file_column[s->count] = (uint32_t)at;
		s->schema_column[s->count++] = i;
	}
	for (uint32_t i = 0; i < r->bound_count; i++) {
		struct tn_parquet_bound b = r->bounds[i];
		int at = tn_record_schema_find(file, tn_slice_of(
		    r->schema->fields[b.column].name));
		if (at < 0) {
			s->never = true;
			continue;
		}
		/* A bound is a hint: leave it out where types differ. */
		if (file->fields[at].type.id !=
		    r->schema->fields[b.column].type.id)
			continue;
		b.column = (uint32_t)at;
		s->bounds[s->bound_count++] = b;
	}
	return TN_OK;
}

static int64_t
int_of(const struct tn_column *c, uint32_t row)
{
	if (c->type.id == TN_T_INT2)
		return ((const int16_t *)c->values)[row];
	return ((const int32_t *)c->values)[row];
}

/* The column with wider values. */
static void
widen(struct tn_column *c, struct tn_type to, struct tn_arena *a)
{
	size_t width = tn_record_type_width(to);
	uint8_t *v = tn_arena_alloc(a, c->rows * width + 1);

	tn_assert(c->dict == NULL);
	for (uint32_t i = 0; i < c->rows; i++) {
		if (to.id == TN_T_INT8)
			((int64_t *)(void *)v)[i] = int_of(c, i);
		else if (to.id == TN_T_INT4)
			((int32_t *)(void *)v)[i] = (int32_t)int_of(c, i);
		else
			((double *)(void *)v)[i] = (double)
			    ((const float *)c->values)[i];
	}
	c->values = v;
	c->type = to;
}

/* A column of nulls: validity, values and offsets are all zeros. */
static struct tn_column
null_column(struct tn_type t, uint32_t rows)
{
	/* Not const: it would be bytes of the binary. */
	static _Alignas(16) uint8_t zeros[(ROWS_MAX + 1) * 16];
	struct tn_column c = { .type = t, .rows = rows, .valid = zeros };

	if (tn_record_type_width(t) > 0) {
		c.values = zeros;
	} else {
		c.offsets = (const void *)zeros;
		c.bytes = zeros;
	}
	return c;
}

/* The file's batch with its columns moved to where the schema has them. The
 * result borrows values of ${in}. */
static struct tn_batch *
reshape(const struct shape *s, const struct tn_schema *schema,
    const struct tn_batch *in)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_column *cols = tn_arena_zalloc(a,
	    (schema->count + 1) * sizeof *cols);

	tn_assert(in->rows <= ROWS_MAX);
	for (uint32_t i = 0; i < s->count; i++)
		cols[s->schema_column[i]] = in->columns[i];
	for (uint32_t i = 0; i < schema->count; i++) {
		struct tn_type t = schema->fields[i].type;
		if (cols[i].type.id == TN_T_NONE)
			cols[i] = null_column(t, in->rows);
		else if (cols[i].type.id != t.id)
			widen(&cols[i], t, a);
		else
			cols[i].type = t;
	}
	return tn_record_batch_new(a, schema, in->rows, cols);
}

/* Our own groups are far smaller than ROWS_MAX; a foreign file put in their
 * place may be one group. */
static enum tn_status
read_group(struct tn_parquet_reader *file, uint32_t group,
    const struct tn_lake_read *r, const struct shape *s, struct tn_diag *d)
{
	struct tn_parquet_read_opts o = {
		.columns = s->file_column,
		.column_count = s->count,
		.bounds = s->bounds,
		.bound_count = s->bound_count,
		.keep_dictionary = r->keep_dictionary,
		.batch_rows_max = ROWS_MAX,
		.left = r->left,
	};
	uint64_t rows = tn_parquet_group_rows(file, group);
	enum tn_status st = TN_OK;

	for (; st == TN_OK && o.row_first < rows; o.row_first += ROWS_MAX) {
		struct tn_batch *in = NULL, *b;
		st = tn_parquet_read(file, group, &o, &in, d);
		if (st != TN_OK || in == NULL)
			continue;
		b = reshape(s, r->schema, in);
		st = r->each(r->arg, b);
		/* each() borrows: values belong to in. */
		tn_assert(b->refs == 1);
		tn_record_batch_unref(b);
		tn_record_batch_unref(in);
	}
	return st;
}

enum tn_status
tn_lake_read(struct tn_lake *lake, const struct tn_lake_read *r,
    struct tn_diag *d)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_parquet_reader *file = NULL;
	struct tn_arena *a = tn_arena_new(4096);
	struct shape s;
	enum tn_status st = tn_lake_absolute(lake, r->path, full);

	if (st == TN_OK)
		st = tn_parquet_open(&file, full, d);
	if (st == TN_OK)
		st = make_shape(&s, r, tn_parquet_schema(file), a, d);
	if (st == TN_OK && !s.never)
		for (uint32_t g = 0; st == TN_OK &&
		    g < tn_parquet_groups(file); g++)
			st = read_group(file, g, r, &s, d);
	tn_parquet_close(file);
	tn_arena_free(a);
	return st == TN_END ? TN_OK : st;
}

/* ---- in pieces -------------------------------------------------------- */

#define FIRST_ROWS 2                 /* Of a file whose rows may be wide. */
#define GROWTH 8                     /* Of a piece from one to the next. */

struct tn_lake_cursor {
	struct tn_parquet_reader *file;
	struct tn_arena *arena;          /* Of the shape. */
	struct tn_lake_read r;
	struct shape shape;
	uint32_t group;
	struct tn_parquet_read_opts o;
	struct tn_batch *in, *given;
	struct tn_lake_piece most;
};

enum tn_status
tn_lake_cursor_open(struct tn_lake *lake, const struct tn_lake_read *r,
    const struct tn_lake_piece *most, struct tn_lake_cursor **out,
    struct tn_diag *d)
{
	struct tn_lake_cursor *c = tn_zalloc(sizeof *c);
	char full[TN_LAKE_PATH_MAX];
	enum tn_status st = tn_lake_absolute(lake, r->path, full);

	tn_assert(r->each == NULL && r->bound_count == 0 && most->rows > 0 &&
	    most->rows <= ROWS_MAX);
	c->r = *r;
	c->most = *most;
	c->arena = tn_arena_new(4096);
	if (st == TN_OK)
		st = tn_parquet_open(&c->file, full, d);
	if (st == TN_OK)
		st = make_shape(&c->shape, r, tn_parquet_schema(c->file),
		    c->arena, d);
	if (st != TN_OK) {
		tn_lake_cursor_close(c);
		c = NULL;
	} else {
		c->o = (struct tn_parquet_read_opts){
		    .columns = c->shape.file_column,
		    .column_count = c->shape.count,
		    .keep_dictionary = r->keep_dictionary, .left = r->left,
		    .batch_rows_max = most->bytes == 0 || most->rows <
			FIRST_ROWS ? most->rows : FIRST_ROWS };
	}
	*out = c;
	return st;
}

static void
drop_piece(struct tn_lake_cursor *c)
{
	tn_record_batch_unref(c->given);
	tn_record_batch_unref(c->in);
	c->given = c->in = NULL;
}

/* Bytes of the rows themselves: what the batch holds is mostly the first
 * blocks of its arena when the rows are few. A dictionary is there as a whole
 * however few they are. */
static size_t
bytes_of_rows(const struct tn_batch *b)
{
	size_t n = 0;

	for (uint32_t i = 0; i < b->schema->count; i++) {
		const struct tn_column *c = &b->columns[i];

		n += b->rows * (size_t)5;
		if (c->dict != NULL)
			continue;
		n += c->offsets == NULL ? b->rows *
		    tn_record_type_width(c->type) :
		    c->offsets[b->rows] - c->offsets[0];
	}
	return n;
}

/* How wide rows are is known when some of them were read. */
static void
fit_piece(struct tn_lake_cursor *c)
{
	size_t row, rows;

	if (c->most.bytes == 0 || c->in == NULL || c->in->rows == 0)
		return;
	row = bytes_of_rows(c->in) / c->in->rows + 1;
	rows = c->most.bytes / row;
	if (rows > (size_t)c->o.batch_rows_max * GROWTH)
		rows = (size_t)c->o.batch_rows_max * GROWTH;
	if (rows > c->most.rows)
		rows = c->most.rows;
	c->o.batch_rows_max = rows > 0 ? (uint32_t)rows : 1;
}

enum tn_status
tn_lake_cursor_next(struct tn_lake_cursor *c, struct tn_batch **out,
    struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	*out = NULL;
	drop_piece(c);
	while (st == TN_OK && c->in == NULL) {
		if (c->group == tn_parquet_groups(c->file))
			return TN_END;
		if (c->o.row_first >= tn_parquet_group_rows(c->file,
		    c->group)) {
			c->o.row_first = 0;
			c->group++;
			continue;
		}
		st = tn_parquet_read(c->file, c->group, &c->o, &c->in, d);
		c->o.row_first += c->o.batch_rows_max;
	}
	if (st != TN_OK)
		return st;
	fit_piece(c);
	c->given = reshape(&c->shape, c->r.schema, c->in);
	*out = c->given;
	return TN_OK;
}

void
tn_lake_cursor_close(struct tn_lake_cursor *c)
{
	if (c == NULL)
		return;
	drop_piece(c);
	tn_parquet_close(c->file);
	tn_arena_free(c->arena);
	tn_free(c);
}

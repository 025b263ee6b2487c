/* write: the writer's outside. Rows are gathered column by column until a row
 * group is full (group_rows, or group_bytes of values), then every
 * column becomes a chunk; bytes go to the file in pieces of about 1 MiB.
 *
 *   open --write--> open --finish--> gone, file complete and synced
 *     \__ failure __> failed --finish, abandon--> gone, file removed
 *
 * The first failure is kept: later calls return it and do nothing. */
#include "os/os.h"
#include "parquet/write_int.h"

#define GROUP_ROWS 122880u
#define PAGE_ROWS 20000u
#define GROUP_ROWS_MAX (1u << 24)
#define PAGE_ROWS_MAX (1u << 20)
#define FLUSH_BYTES (1u << 20)
/* A longer single row is refused; its page must stay below 256 MiB. */
#define ROW_BYTES_MAX (128u << 20)

struct tn_parquet_writer {
	char *path;
	struct tn_os_file *file;
	const struct tn_schema *schema;
	struct tn_parquet_write_opts opts;
	enum tn_status status;
	struct pq_column *columns;
	struct pq_scratch scratch;
	struct pq_group_written *groups;
	uint32_t group_count;
	uint32_t groups_cap;
	uint32_t open_rows;      /* Of the open row group. */
	size_t open_bytes;
	uint64_t rows;
	struct tn_buf out;
	uint64_t at;             /* File offset of out. */
	uint32_t crc;
};

static bool
is_left(const struct tn_parquet_writer *w)
{
	return w->opts.left != NULL && *w->opts.left;
}

/* ---- output ---------------------------------------------------------- */

static enum tn_status
flush(struct tn_parquet_writer *w)
{
	enum tn_status st;

	if (w->out.failed)
		return TN_ENOMEM;
	if (w->out.n == 0)
		return TN_OK;
	if (w->opts.each != NULL)
		w->opts.each(w->opts.arg, w->out.p, w->out.n);
	st = tn_os_write(w->file, w->out.p, w->out.n);
	if (st != TN_OK)
		return st;
	tn_os_write_soon(w->file);
	w->crc = tn_crc32c(w->crc, w->out.p, w->out.n);
	w->at += w->out.n;
	tn_buf_clear(&w->out);
	return TN_OK;
}

static struct pq_group_written *
next_group(struct tn_parquet_writer *w)
{
	struct pq_group_written *g;

	if (w->group_count == w->groups_cap) {
		w->groups_cap = w->groups_cap == 0 ? 4 : w->groups_cap * 2;
		w->groups = tn_realloc(w->groups,
		    w->groups_cap * sizeof *w->groups);
	}
	g = &w->groups[w->group_count++];
	*g = (struct pq_group_written){ .rows = w->open_rows,
	    .at = w->at + w->out.n };
	g->chunks = tn_zalloc(w->schema->count * sizeof *g->chunks);
	return g;
}

static enum tn_status
close_group(struct tn_parquet_writer *w)
{
	struct pq_group_written *g;
	enum tn_status st = TN_OK;

	if (w->open_rows == 0)
		return TN_OK;
	g = next_group(w);
	for (uint32_t i = 0; st == TN_OK && i < w->schema->count; i++) {
		tn_assert(w->columns[i].rows == w->open_rows);
		if (is_left(w))
			return TN_ECLOSED;
		st = tn_parquet_chunk_write(&w->scratch, &w->columns[i],
		    &w->out, w->at, &g->chunks[i]);
		tn_parquet_gather_reset(&w->columns[i]);
		if (st == TN_OK && w->out.n >= FLUSH_BYTES)
			st = flush(w);
	}
	w->rows += w->open_rows;
	w->open_rows = 0;
	w->open_bytes = 0;
	return st;
}

/* ---- input ----------------------------------------------------------- */

static size_t
piece_bytes(const struct tn_batch *b, uint32_t from, uint32_t n)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < b->schema->count; i++)
		bytes += tn_parquet_source_bytes(&b->columns[i], from, n);
	return bytes;
}

/* As many rows from ${from}, of ${n}, as the open row group takes, at least
 * one. */
static uint32_t
piece_rows(const struct tn_parquet_writer *w, const struct tn_batch *b,
    uint32_t from, uint32_t n, size_t *bytes)
{
	if (n > w->opts.group_rows - w->open_rows)
		n = w->opts.group_rows - w->open_rows;
	for (;;) {
		*bytes = piece_bytes(b, from, n);
		if (n == 1 || w->open_bytes + *bytes <= w->opts.group_bytes)
			return n;
		n /= 2;
	}
}

static enum tn_status
write_piece(struct tn_parquet_writer *w, const struct tn_batch *b,
    uint32_t from, uint32_t n)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < b->schema->count; i++)
		st = tn_parquet_gather(&w->columns[i], &b->columns[i], from,
		    n);
	w->open_rows += n;
	return st;
}

static enum tn_status
write_rows(struct tn_parquet_writer *w, const struct tn_batch *b,
    uint32_t from, uint32_t to)
{
	enum tn_status st = TN_OK;

	while (st == TN_OK && from < to) {
		size_t bytes;
		uint32_t n = piece_rows(w, b, from, to - from, &bytes);

		if (n == 1 && bytes > ROW_BYTES_MAX)
			return TN_ELIMIT;
		st = write_piece(w, b, from, n);
		from += n;
		w->open_bytes += bytes;
		if (st == TN_OK && (w->open_rows == w->opts.group_rows ||
		    w->open_bytes >= w->opts.group_bytes))
			st = close_group(w);
	}
	return st;
}

size_t
tn_parquet_open_bytes(const struct tn_parquet_writer *w)
{
	return w->open_bytes;
}

uint64_t
tn_parquet_size(const struct tn_parquet_writer *w)
{
	return w->at + w->out.n;
}

enum tn_status
tn_parquet_write_rows(struct tn_parquet_writer *w, const struct tn_batch *b,
    uint32_t from, uint32_t count)
{
	tn_assert(from <= b->rows && count <= b->rows - from);
	tn_assert(b->schema->count == w->schema->count);
	for (uint32_t i = 0; i < b->schema->count; i++)
		tn_assert(b->columns[i].type.id ==
		    w->schema->fields[i].type.id &&
		    b->columns[i].type.scale ==
		    w->schema->fields[i].type.scale);
	if (w->status == TN_OK)
		w->status = write_rows(w, b, from, from + count);
	return w->status;
}

/* Is the frame a page of its own: neither too small nor too large? */
static bool
is_page(const struct tn_parquet_writer *w, const struct tn_batch *b,
    const struct tn_parquet_frame *frame)
{
	const struct tn_column *c = &b->columns[frame->column];
	uint32_t bytes;

	tn_assert(frame->column < w->schema->count &&
	    w->columns[frame->column].width == 0);
	if (c->valid != NULL || c->dict != NULL || b->rows == 0 ||
	    w->columns[frame->column].leaf.optional)
		return false;
	bytes = c->offsets[b->rows] - c->offsets[0];
	return bytes <= TN_PQ_FRAME_BYTES_MAX &&
	    b->rows <= TN_PQ_FRAME_ROWS_MAX && b->rows <= w->opts.group_rows &&
	    piece_bytes(b, 0, b->rows) <= w->opts.group_bytes;
}

/* It lies in one row group: the open one ends where it has no room for it. */
static enum tn_status
write_page(struct tn_parquet_writer *w, const struct tn_batch *b,
    const struct tn_parquet_frame *frame)
{
	size_t bytes = piece_bytes(b, 0, b->rows);
	enum tn_status st = TN_OK;

	if (w->open_rows + b->rows > w->opts.group_rows ||
	    w->open_bytes + bytes > w->opts.group_bytes)
		st = close_group(w);
	if (st == TN_OK)
		st = write_piece(w, b, 0, b->rows);
	w->open_bytes += bytes + frame->bytes.n;
	if (st == TN_OK)
		st = tn_parquet_gather_frame(&w->columns[frame->column],
		    b->rows, frame->bytes);
	if (st == TN_OK && (w->open_rows == w->opts.group_rows ||
	    w->open_bytes >= w->opts.group_bytes))
		st = close_group(w);
	return st;
}

enum tn_status
tn_parquet_write_framed(struct tn_parquet_writer *w, const struct tn_batch *b,
    const struct tn_parquet_frame *frame)
{
	tn_assert(b->schema->count == w->schema->count);
	if (!is_page(w, b, frame))
		return w->status == TN_OK && b->rows > 0 &&
		    b->columns[frame->column].bytes == NULL ?
		    TN_EUNSUPPORTED : tn_parquet_write(w, b);
	if (w->status == TN_OK)
		w->status = write_page(w, b, frame);
	return w->status;
}

enum tn_status
tn_parquet_write(struct tn_parquet_writer *w, const struct tn_batch *b)
{
	return tn_parquet_write_rows(w, b, 0, b->rows);
}

/* ---- life ------------------------------------------------------------ */

static void
writer_free(struct tn_parquet_writer *w)
{
	for (uint32_t g = 0; g < w->group_count; g++) {
		for (uint32_t i = 0; i < w->schema->count; i++) {
			tn_buf_fini(&w->groups[g].chunks[i].stat_bytes);
			tn_free(w->groups[g].chunks[i].pages);
		}
		tn_free(w->groups[g].chunks);
	}
	for (uint32_t i = 0; i < w->schema->count; i++)
		tn_parquet_gather_fini(&w->columns[i]);
	tn_parquet_dict_fini(&w->scratch.dict);
	tn_free(w->scratch.wide);
	tn_free(w->scratch.seen);
	tn_buf_fini(&w->scratch.body);
	tn_buf_fini(&w->scratch.packed);
	tn_buf_fini(&w->out);
	tn_free(w->groups);
	tn_free(w->columns);
	tn_free(w->path);
	tn_free(w);
}

void
tn_parquet_pairs(struct tn_parquet_writer *w,
    const struct tn_parquet_pair *pairs, uint32_t count)
{
	w->opts.pairs = pairs;
	w->opts.pair_count = count;
}

static void
set_opts(struct tn_parquet_writer *w, const struct tn_parquet_write_opts *o)
{
	if (o != NULL)
		w->opts = *o;
	if (w->opts.group_rows == 0)
		w->opts.group_rows = GROUP_ROWS;
	if (w->opts.group_rows > GROUP_ROWS_MAX)
		w->opts.group_rows = GROUP_ROWS_MAX;
	if (w->opts.group_bytes == 0 ||
	    w->opts.group_bytes > TN_PQ_GROUP_BYTES)
		w->opts.group_bytes = TN_PQ_GROUP_BYTES;
	if (w->opts.page_rows == 0)
		w->opts.page_rows = PAGE_ROWS;
	if (w->opts.page_rows > PAGE_ROWS_MAX)
		w->opts.page_rows = PAGE_ROWS_MAX;
	w->scratch.level = w->opts.zstd_level == 0 ? 1 : w->opts.zstd_level;
	w->scratch.page_rows = w->opts.page_rows;
	w->scratch.left = w->opts.left;
	w->scratch.seen = tn_alloc(TN_PQ_DICT_ENTRIES_MAX *
	    sizeof *w->scratch.seen);
}

/* Width in memory: FIXED is always 16 here, uuid or numeric. */
static enum tn_status
set_columns(struct tn_parquet_writer *w)
{
	enum tn_status st = TN_OK;

	w->columns = tn_zalloc((w->schema->count + 1) * sizeof *w->columns);
	for (uint32_t i = 0; st == TN_OK && i < w->schema->count; i++) {
		struct pq_column *c = &w->columns[i];

		st = tn_parquet_leaf_of(&w->schema->fields[i], &c->leaf,
		    &c->element);
		if (st == TN_OK)
			c->width = tn_parquet_stored_width(&c->leaf);
	}
	return st;
}

enum tn_status
tn_parquet_create(struct tn_parquet_writer **out, const char *path,
    const struct tn_schema *schema, const struct tn_parquet_write_opts *opts)
{
	struct tn_parquet_writer *w = tn_zalloc(sizeof *w);
	enum tn_status st;

	tn_assert(schema->count >= 1 && schema->count <= TN_COLUMNS_MAX);
	w->path = tn_strdup(path);
	w->schema = schema;
	set_opts(w, opts);
	for (uint32_t i = 0; i < w->opts.sorted_count; i++)
		tn_assert(w->opts.sorted_by[i] < schema->count);
	st = set_columns(w);
	if (st == TN_OK)
		st = tn_os_open(&w->file, path, TN_OS_CREATE);
	if (st != TN_OK) {
		writer_free(w);
		return st;
	}
	tn_buf_str(&w->out, "PAR1");
	*out = w;
	return TN_OK;
}

static enum tn_status
finish_file(struct tn_parquet_writer *w)
{
	struct pq_footer f = { w->schema, &w->opts, w->columns, NULL, 0, 0 };
	enum tn_status st = w->status;

	if (st == TN_OK)
		st = close_group(w);
	if (st != TN_OK)
		return st;
	f.groups = w->groups;
	f.group_count = w->group_count;
	f.rows = w->rows;
	tn_parquet_footer_write(&w->out, w->at, &f);
	st = flush(w);
	if (st != TN_OK)
		return st;
	return is_left(w) ? TN_ECLOSED : tn_os_sync(w->file);
}

enum tn_status
tn_parquet_finish(struct tn_parquet_writer *w, struct tn_parquet_written *out)
{
	enum tn_status st = finish_file(w);

	if (st != TN_OK) {
		tn_parquet_abandon(w);
		return st;
	}
	tn_os_close(w->file);
	if (out != NULL)
		*out = (struct tn_parquet_written){ w->rows, w->at, w->crc };
	writer_free(w);
	return TN_OK;
}

void
tn_parquet_abandon(struct tn_parquet_writer *w)
{
	enum tn_status st;

	if (w == NULL)
		return;
	tn_os_close(w->file);
	st = tn_os_unlink(w->path);
	if (st != TN_OK)
		tn_say(TN_WARN, "parquet", "%s could not be removed: %s",
		    w->path, tn_status_text(st));
	writer_free(w);
}

/* chunk_read: the wanted rows of one column chunk. First the pages are found:
 * by the offset index when rows are left out, else by walking the headers.
 * Then the dictionary is loaded, then each page that has wanted rows is
 * decoded: straight into the column when all of it is wanted, else aside and
 * copied in parts.
 *
 * Bodies are decompressed into one buffer that all pages share; uncompressed
 * ones are used where they lie in the map. Sizes come from the file: a body
 * is at most TN_PQ_PAGE_BYTES_MAX, the batch at most call->bytes_max. */
#include "parquet/parquet_int.h"

struct page {
	struct pq_page_header h;
	const uint8_t *body;
	uint64_t row;          /* First, in the group. */
};
struct chunk {
	struct pq_call *call;
	uint32_t column;
	const struct pq_leaf *leaf;
	const struct pq_chunk *meta;
	struct page *pages;    /* With wanted rows, in order. */
	size_t page_count;
	size_t pages_cap;
	struct page dict_page;
	bool has_dict_page;
	struct pq_dict dict;
	const char *what;      /* Why it failed. */
};

/* ---- finding pages --------------------------------------------------- */

/* The first range that ends behind ${row}, ranges.n when there is none. */
static size_t
range_behind(const struct pq_call *call, uint64_t row)
{
	size_t from = 0;
	size_t to = call->ranges.n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct pq_range *g = &call->ranges.p[mid];

		if (g->first + g->count > row)
			to = mid;
		else
			from = mid + 1;
	}
	return from;
}

static bool
is_wanted(const struct pq_call *call, uint64_t row, uint64_t rows)
{
	size_t i = range_behind(call, row);

	return i < call->ranges.n && call->ranges.p[i].first < row + rows;
}

static void
add_page(struct chunk *k, const struct page *p)
{
	struct page *more;

	if (k->page_count == k->pages_cap) {
		k->pages_cap = k->pages_cap == 0 ? 16 : k->pages_cap * 2;
		more = tn_arena_alloc(k->call->scratch,
		    k->pages_cap * sizeof *more);
		if (k->page_count > 0)
			memcpy(more, k->pages,
			    k->page_count * sizeof *more);
		k->pages = more;
	}
	k->pages[k->page_count++] = *p;
}

/* The header at the cursor; moves behind the body. */
static bool
next_page(struct chunk *k, struct tn_cursor *c, struct page *p)
{
	if (!tn_parquet_page_header(c, &p->h)) {
		k->what = "a page header is damaged";
		return false;
	}
	if (p->h.disk_bytes > (size_t)(c->end - c->p)) {
		k->what = "a page does not fit its column chunk";
		return false;
	}
	if (p->h.values > TN_PQ_PAGE_VALUES_MAX) {
		k->what = "a page has more than 16 million values";
		return false;
	}
	p->body = c->p;
	c->p += p->h.disk_bytes;
	return true;
}

static enum tn_status
walk(struct chunk *k)
{
	uint64_t rows = k->call->r->groups[k->call->group].rows;
	const uint8_t *at = k->call->r->map + k->meta->at;
	struct tn_cursor c = { at, at + k->meta->bytes, false };
	struct page p = { .row = 0 };

	while (p.row < rows && c.p < c.end) {
		if (!next_page(k, &c, &p))
			return TN_ECORRUPT;
		if (p.h.kind == TN_PQ_DICT_PAGE && !k->has_dict_page) {
			k->dict_page = p;
			k->has_dict_page = true;
		}
		if (p.h.kind != TN_PQ_DATA_PAGE &&
		    p.h.kind != TN_PQ_DATA_PAGE2)
			continue;
		if (p.h.values > rows - p.row)
			break;
		if (p.h.values > 0 && is_wanted(k->call, p.row, p.h.values))
			add_page(k, &p);
		p.row += p.h.values;
	}
	if (p.row == rows)
		return TN_OK;
	k->what = "the pages do not have as many values as the row group";
	return TN_ECORRUPT;
}

/* One page by its place in the file. */
static enum tn_status
page_at(struct chunk *k, uint64_t at, struct page *p)
{
	const uint8_t *map = k->call->r->map;
	uint64_t end = k->meta->at + k->meta->bytes;
	struct tn_cursor c;

	if (at < k->meta->at || at >= end) {
		k->what = "the offset index points out of the column chunk";
		return TN_ECORRUPT;
	}
	c = (struct tn_cursor){ map + at, map + end, false };
	return next_page(k, &c, p) ? TN_OK : TN_ECORRUPT;
}

static enum tn_status
by_index(struct chunk *k)
{
	uint64_t rows = k->call->r->groups[k->call->group].rows;
	struct pq_location *l;
	struct page p;
	size_t n;
	enum tn_status st;

	st = tn_parquet_locations(k->call, k->column, &l, &n);
	if (st != TN_OK)
		return st;
	st = page_at(k, k->meta->at, &p);
	if (st == TN_OK && p.h.kind == TN_PQ_DICT_PAGE) {
		k->dict_page = p;
		k->has_dict_page = true;
	}
	for (size_t i = 0; st == TN_OK && i < n; i++) {
		uint64_t end = i + 1 < n ? l[i + 1].row : rows;

		if (!is_wanted(k->call, l[i].row, end - l[i].row))
			continue;
		st = page_at(k, l[i].at, &p);
		p.row = l[i].row;
		if (st == TN_OK && (p.h.values != end - p.row ||
		    (p.h.kind != TN_PQ_DATA_PAGE &&
		    p.h.kind != TN_PQ_DATA_PAGE2))) {
			k->what = "the offset index does not fit the pages";
			return TN_ECORRUPT;
		}
		if (st == TN_OK)
			add_page(k, &p);
	}
	return st;
}

/* ---- bodies ---------------------------------------------------------- */

/* Of what is not compressed: rooms are measured by the one, contents come of
 * the other. */
static enum tn_status
check_lengths(struct chunk *k, size_t disk_bytes, size_t raw_bytes)
{
	if (disk_bytes == raw_bytes)
		return TN_OK;
	k->what = "a page that is not compressed has two lengths";
	return TN_ECORRUPT;
}

/* Decompress to exactly ${bytes}; *out is in ${buf} or in the map. */
static enum tn_status
unpack(struct chunk *k, struct tn_slice in, size_t bytes, struct tn_buf *buf,
    struct tn_slice *out)
{
	enum tn_status st = TN_OK;
	uint8_t *p;

	if (k->meta->codec == TN_PQ_RAW || bytes == 0) {
		*out = (struct tn_slice){ in.p, bytes };
		return bytes == 0 ? TN_OK : check_lengths(k, in.n, bytes);
	}
	if (bytes > TN_PQ_PAGE_BYTES_MAX) {
		k->what = "a page is larger than 256 MiB";
		return TN_ELIMIT;
	}
	tn_buf_clear(buf);
	p = tn_buf_reserve(buf, bytes + TN_PQ_SLACK);
	if (p == NULL)
		return TN_ENOMEM;
	if (k->meta->codec == TN_PQ_SNAPPY) {
		st = tn_parquet_snappy(in, p, bytes) ? TN_OK : TN_ECORRUPT;
		buf->n = bytes;
	} else if (k->meta->codec == TN_PQ_ZSTD) {
		st = tn_zstd_decompress_all(buf, in, bytes);
	} else {
		k->what = "compressed in a way that Tarn does not read; it "
		    "reads zstd, snappy and uncompressed files";
		return TN_EUNSUPPORTED;
	}
	if (st == TN_ENOMEM)
		return st;
	if (st != TN_OK || buf->n != bytes) {
		k->what = "a page does not decompress";
		return TN_ECORRUPT;
	}
	p = tn_buf_reserve(buf, TN_PQ_SLACK);
	if (p == NULL)
		return TN_ENOMEM;
	memset(p, 0, TN_PQ_SLACK);
	*out = (struct tn_slice){ buf->p, bytes };
	return TN_OK;
}

static enum tn_status
check_crc(struct chunk *k, const struct page *p)
{
	if (!p->h.has_crc || tn_parquet_crc32(0, p->body, p->h.disk_bytes) ==
	    p->h.crc)
		return TN_OK;
	k->what = "a page does not match its checksum";
	return TN_ECORRUPT;
}

/* A page body taken apart. */
struct parts {
	struct tn_slice levels;  /* p NULL: no level is stored. */
	struct pq_body body;
};

static enum tn_status
open_v1(struct chunk *k, const struct page *p, struct parts *q)
{
	struct tn_slice in = { p->body, p->h.disk_bytes };
	struct tn_slice *body = &q->body.in;
	enum tn_status st;

	st = unpack(k, in, p->h.raw_bytes, &k->call->page, body);
	if (st != TN_OK || !k->leaf->optional)
		return st;
	if (p->h.level_encoding != TN_PQ_RLE) {
		k->what = "definition levels in the old bit-packed form";
		return TN_EUNSUPPORTED;
	}
	if (body->n < 4 || pq_load32(body->p) > body->n - 4) {
		k->what = "definition levels do not fit their page";
		return TN_ECORRUPT;
	}
	q->levels = (struct tn_slice){ body->p + 4, pq_load32(body->p) };
	body->p += 4 + q->levels.n;
	body->n -= 4 + q->levels.n;
	return TN_OK;
}

static enum tn_status
open_v2(struct chunk *k, const struct page *p, struct parts *q)
{
	const struct pq_page_header *h = &p->h;
	uint64_t levels = (uint64_t)h->level_bytes + h->repeat_bytes;
	struct tn_slice in;

	if (levels > h->disk_bytes || levels > h->raw_bytes) {
		k->what = "levels do not fit their page";
		return TN_ECORRUPT;
	}
	if (k->leaf->optional && h->level_bytes > 0)
		q->levels = (struct tn_slice){ p->body + h->repeat_bytes,
		    h->level_bytes };
	in = (struct tn_slice){ p->body + levels, h->disk_bytes - levels };
	if (!h->compressed) {
		q->body.in = in;
		return check_lengths(k, h->disk_bytes, h->raw_bytes);
	}
	return unpack(k, in, h->raw_bytes - levels, &k->call->page,
	    &q->body.in);
}

static enum tn_status
open_page(struct chunk *k, const struct page *p, struct parts *q)
{
	enum tn_status st = check_crc(k, p);

	*q = (struct parts){ .body = { { NULL, 0 }, p->h.encoding } };
	if (st != TN_OK)
		return st;
	if (p->h.kind == TN_PQ_DATA_PAGE)
		return open_v1(k, p, q);
	return open_v2(k, p, q);
}

/* ---- the dictionary -------------------------------------------------- */

static bool
is_dict(const struct page *p)
{
	return p->h.encoding == TN_PQ_RLE_DICTIONARY ||
	    p->h.encoding == TN_PQ_PLAIN_DICTIONARY;
}

static bool
valid_texts(const struct tn_slice *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!tn_utf8_valid(s[i].p, s[i].n))
			return false;
	return true;
}

static enum tn_status
load_texts(struct chunk *k, struct pq_body body, uint32_t n)
{
	struct tn_slice *s = tn_parquet_slot(k->call, TN_PQ_SLOT_DICT,
	    n * sizeof *s);
	enum tn_status st;

	if (s == NULL)
		return TN_ENOMEM;
	st = tn_parquet_decode_texts(k->call, k->leaf, NULL, body, n, s);
	/* Lengths below 128 pass for ASCII, too. */
	if (st == TN_OK && k->leaf->type.id != TN_T_BYTES &&
	    !tn_parquet_ascii(body.in.p, body.in.n) && !valid_texts(s, n))
		st = TN_ECORRUPT;
	k->dict.texts = s;
	return st;
}

static enum tn_status
load_dict(struct chunk *k)
{
	const struct page *p = &k->dict_page;
	struct pq_body body = { { NULL, 0 }, TN_PQ_PLAIN };
	size_t width = tn_record_type_width(k->leaf->type);
	enum tn_status st = check_crc(k, p);

	if (st == TN_OK)
		st = unpack(k, (struct tn_slice){ p->body, p->h.disk_bytes },
		    p->h.raw_bytes, &k->call->dict, &body.in);
	if (st != TN_OK)
		return st;
	/* Every entry takes a byte at least. */
	if (p->h.values > body.in.n || k->leaf->physical == TN_PQ_BOOLEAN) {
		k->what = "a dictionary is damaged";
		return TN_ECORRUPT;
	}
	if (width == 0) {
		st = load_texts(k, body, p->h.values);
	} else {
		k->dict.values = tn_parquet_slot(k->call, TN_PQ_SLOT_DICT,
		    p->h.values * width);
		if (k->dict.values == NULL)
			return TN_ENOMEM;
		st = tn_parquet_decode_fixed(k->call, k->leaf, NULL, body,
		    p->h.values, k->dict.values);
	}
	k->dict.count = p->h.values;
	k->dict.present = true;
	return st;
}

/* ---- rows ------------------------------------------------------------ */

static enum tn_status
read_rows(struct chunk *k, const struct page *p, struct pq_sink *sink)
{
	uint32_t n = p->h.values;
	size_t present = n;
	struct parts q;
	enum tn_status st;

	k->what = NULL;
	st = open_page(k, p, &q);
	if (st != TN_OK)
		return st;
	if (sink->valid != NULL && q.levels.p == NULL)
		tn_parquet_bits_fill(sink->valid, sink->rows, true, n);
	if (q.levels.p != NULL && !tn_parquet_levels_decode(q.levels,
	    sink->valid, sink->rows, n, &present)) {
		k->what = "definition levels are damaged";
		return TN_ECORRUPT;
	}
	return tn_parquet_sink_add(k->call, sink, &k->dict, q.body, n,
	    (uint32_t)present);
}

/* Memory for a page of which only a part is wanted. */
static enum tn_status
part_sink(struct chunk *k, const struct pq_sink *to, uint32_t rows,
    struct pq_sink *part)
{
	size_t width = to->width == 0 ? 4 : to->width;
	void *values;

	if ((uint64_t)rows * width > k->call->bytes_max) {
		k->what = "a page has too many rows";
		return TN_ELIMIT;
	}
	*part = (struct pq_sink){ .leaf = to->leaf, .width = to->width,
	    .codes = to->codes, .rows_max = rows,
	    .bytes = { .max = to->bytes.max } };
	values = tn_parquet_slot(k->call, TN_PQ_SLOT_PART,
	    ((size_t)rows + 1) * width);
	if (values == NULL)
		return TN_ENOMEM;
	part->values = values;
	part->offsets = values;
	if (to->valid == NULL)
		return TN_OK;
	part->valid = tn_parquet_slot(k->call, TN_PQ_SLOT_PART2,
	    (size_t)rows / 8 + 10);
	if (part->valid == NULL)
		return TN_ENOMEM;
	memset(part->valid, 0, (size_t)rows / 8 + 10);
	return TN_OK;
}

static enum tn_status
read_part(struct chunk *k, const struct page *p, struct pq_sink *sink)
{
	uint64_t before = k->call->bytes;
	uint64_t end = p->row + p->h.values;
	struct pq_sink part;
	enum tn_status st = part_sink(k, sink, p->h.values, &part);

	if (st == TN_OK)
		st = read_rows(k, p, &part);
	/* Texts set aside are not the batch's. */
	k->call->bytes = before;
	for (size_t i = range_behind(k->call, p->row); st == TN_OK &&
	    i < k->call->ranges.n && k->call->ranges.p[i].first < end; i++) {
		const struct pq_range *g = &k->call->ranges.p[i];
		uint64_t from = g->first > p->row ? g->first : p->row;
		uint64_t to = g->first + g->count < end ?
		    g->first + g->count : end;

		st = tn_parquet_sink_copy(k->call, sink, &part,
		    (uint32_t)(from - p->row), (uint32_t)(to - from));
	}
	tn_buf_fini(&part.bytes);
	return st;
}

static bool
is_whole(const struct pq_call *call, const struct page *p)
{
	size_t i = range_behind(call, p->row);
	const struct pq_range *g = &call->ranges.p[i];

	tn_assert(i < call->ranges.n);
	return g->first <= p->row &&
	    p->row + p->h.values <= g->first + g->count;
}

static bool
keeps_dict(const struct chunk *k)
{
	if (!k->call->opts->keep_dictionary || !pq_is_text(k->leaf) ||
	    k->dict.count == 0)
		return false;
	for (size_t i = 0; i < k->page_count; i++)
		if (!is_dict(&k->pages[i]))
			return false;
	return true;
}

/* How many bytes the texts of the wanted pages have at most, where all lie in
 * the pages' bodies with little else (DELTA_LENGTH); 0 when that is not told. */
static uint64_t
texts_bound(const struct chunk *k)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < k->page_count; i++) {
		if (k->pages[i].h.encoding != TN_PQ_DELTA_LENGTH)
			return 0;
		bytes += k->pages[i].h.raw_bytes;
	}
	return bytes > k->call->bytes_max - k->call->bytes ? 0 : bytes;
}

/* Texts go to where they stay. Without memory for that they grow aside. */
static void
texts_in_arena(struct chunk *k, struct pq_sink *sink)
{
	uint64_t bytes = texts_bound(k) + 2 * TN_PQ_SLACK;
	uint8_t *p = bytes == 2 * TN_PQ_SLACK ? NULL :
	    tn_arena_try_alloc(k->call->arena, bytes);

	if (p == NULL)
		return;
	sink->bytes.p = p;
	sink->bytes.cap = bytes;
	sink->bytes_in_arena = true;
}

static enum tn_status
make_sink(struct chunk *k, struct pq_sink *sink)
{
	struct pq_call *call = k->call;
	uint32_t rows = (uint32_t)call->rows;
	size_t width;

	*sink = (struct pq_sink){ .leaf = k->leaf,
	    .width = tn_record_type_width(k->leaf->type), .rows_max = rows,
	    .bytes = { .max = call->bytes_max + 2 * TN_PQ_SLACK } };
	sink->codes = keeps_dict(k);
	if (sink->codes)
		sink->width = sizeof(uint32_t);
	width = sink->width == 0 ? sizeof(uint32_t) : sink->width;
	if ((uint64_t)rows * width > call->bytes_max - call->bytes) {
		k->what = "the batch is too large; read fewer rows at once";
		return TN_ELIMIT;
	}
	call->bytes += (uint64_t)rows * width;
	sink->values = tn_arena_try_alloc(call->arena,
	    ((size_t)rows + 1) * width);
	if (sink->values == NULL)
		return TN_ENOMEM;
	sink->offsets = (uint32_t *)(void *)sink->values;
	if (sink->width == 0) {
		sink->offsets[0] = 0;
		texts_in_arena(k, sink);
	}
	if (!k->leaf->optional)
		return TN_OK;
	sink->valid = tn_arena_try_alloc(call->arena, (size_t)rows / 8 + 10);
	if (sink->valid == NULL)
		return TN_ENOMEM;
	memset(sink->valid, 0, (size_t)rows / 8 + 10);
	return TN_OK;
}

/* The dictionary as a column of its own. */
static enum tn_status
dict_column(struct chunk *k, struct tn_column *out)
{
	uint32_t n = k->dict.count;
	struct tn_column *c = tn_arena_zalloc(k->call->arena, sizeof *c);
	uint32_t *offsets;
	uint8_t *bytes;
	size_t all = 0;

	for (uint32_t i = 0; i < n; i++)
		all += k->dict.texts[i].n;
	if (all + 4 * (uint64_t)n > k->call->bytes_max - k->call->bytes)
		return TN_ELIMIT;
	k->call->bytes += all + 4 * (uint64_t)n;
	offsets = tn_arena_try_alloc(k->call->arena,
	    ((size_t)n + 1) * sizeof *offsets);
	bytes = tn_arena_try_alloc(k->call->arena, all + 1);
	if (offsets == NULL || bytes == NULL)
		return TN_ENOMEM;
	all = 0;
	for (uint32_t i = 0; i < n; i++) {
		offsets[i] = (uint32_t)all;
		if (k->dict.texts[i].n > 0)
			memcpy(bytes + all, k->dict.texts[i].p,
			    k->dict.texts[i].n);
		all += k->dict.texts[i].n;
	}
	offsets[n] = (uint32_t)all;
	*c = (struct tn_column){ .type = k->leaf->type, .rows = n,
	    .offsets = offsets, .bytes = bytes };
	out->dict = c;
	return TN_OK;
}

static enum tn_status
make_column(struct chunk *k, struct pq_sink *sink, struct tn_column *out)
{
	uint8_t *bytes;

	tn_assert(sink->rows == sink->rows_max);
	*out = (struct tn_column){ .type = k->leaf->type, .rows = sink->rows,
	    .valid = sink->nulls > 0 ? sink->valid : NULL };
	if (sink->width > 0)
		out->values = sink->values;
	if (sink->codes)
		return dict_column(k, out);
	if (sink->width > 0)
		return TN_OK;
	bytes = sink->bytes.p;
	if (!sink->bytes_in_arena) {
		bytes = tn_arena_try_alloc(k->call->arena, sink->bytes.n + 1);
		if (bytes == NULL)
			return TN_ENOMEM;
		if (sink->bytes.n > 0)
			memcpy(bytes, sink->bytes.p, sink->bytes.n);
	}
	out->offsets = sink->offsets;
	out->bytes = bytes;
	return TN_OK;
}

static enum tn_status
read_chunk(struct chunk *k, struct tn_column *out)
{
	uint64_t rows = k->call->r->groups[k->call->group].rows;
	bool all = k->call->rows == rows;
	struct pq_sink sink = { .rows = 0 };
	enum tn_status st;

	st = all || k->meta->offset_index.p == NULL ? walk(k) : by_index(k);
	if (st == TN_OK && k->has_dict_page)
		st = load_dict(k);
	if (st == TN_OK)
		st = make_sink(k, &sink);
	for (size_t i = 0; st == TN_OK && i < k->page_count; i++)
		st = is_whole(k->call, &k->pages[i]) ?
		    read_rows(k, &k->pages[i], &sink) :
		    read_part(k, &k->pages[i], &sink);
	if (st == TN_OK)
		st = make_column(k, &sink, out);
	if (!sink.bytes_in_arena)
		tn_buf_fini(&sink.bytes);
	return st;
}

enum tn_status
tn_parquet_column_read(struct pq_call *call, uint32_t column,
    struct tn_column *out)
{
	const struct pq_group *g = &call->r->groups[call->group];
	struct chunk k = { .call = call, .column = column,
	    .leaf = &call->r->leaves[column], .meta = &g->chunks[column] };
	enum tn_status st = read_chunk(&k, out);

	if (st == TN_OK)
		return TN_OK;
	if (k.what == NULL && st == TN_EUNSUPPORTED)
		k.what = "encoded in a way that Tarn does not read";
	else if (k.what == NULL && st == TN_ECORRUPT)
		k.what = "values are damaged";
	else if (k.what == NULL)
		k.what = tn_status_text(st);
	return tn_parquet_fail(call, column, st, k.what);
}

/* chunk_write: one column of a row group as a column chunk. First the
 * encoding is chosen over the whole chunk: a dictionary when it is estimated
 * smallest, else DELTA_BINARY_PACKED (integers, when at most four fifths of
 * PLAIN), DELTA_LENGTH_BYTE_ARRAY (texts) or PLAIN. Then pages follow: levels,
 * values, zstd, header with CRC; bounds of each page are kept for the column
 * index.
 *
 * A page ends after page_rows rows, or before when its texts pass
 * TN_PQ_PAGE_BYTES (a single longer text makes a page of its own).
 *
 * Rows whose texts were given compressed are a page for themselves: a zstd
 * frame of their lengths, and behind it the frame that was given. Frames back
 * to back are what zstd decompresses to one text (RFC 8878, 3.1). Such texts are
 * not looked at, they need not even be there: a column with a page of them has
 * no bounds. */
#include "parquet/parquet_int.h"

#define STEPS_PARTS 8            /* Bytes for so many values, at most. */

struct chunk {
	struct pq_scratch *s;
	const struct pq_column *c;
	struct tn_buf *out;
	uint64_t base;
	struct pq_chunk_written *w;
	struct pq_minmax all;
	const int64_t *ints;     /* Integer columns: all values, widened. */
	unsigned code_bits;
	uint32_t pages_cap;
	uint32_t frame;          /* The next one of c. */
	bool unseen;             /* Frames were given: there are no bounds. */
};
struct piece {
	uint32_t row;
	uint32_t rows;
	uint32_t from;           /* Values, [from, to). */
	uint32_t to;
	const struct pq_frame *frame;    /* Its texts; NULL: to be packed. */
};

/* ---- the encoding ---------------------------------------------------- */

static size_t
plain_bytes(const struct pq_column *c)
{
	if (c->width == 0)
		return 4 * (size_t)c->dense + c->offsets[c->dense];
	return c->width * c->dense;
}

static size_t
dict_bytes(const struct pq_dict_builder *d, uint32_t dense)
{
	unsigned bits = pq_bits_for(d->entries);
	size_t packed = (size_t)dense * bits / 8;
	size_t runs = (size_t)d->runs * (2 + (bits + 7) / 8);

	return d->bytes + (packed < runs ? packed : runs);
}

static const int64_t *
widen(struct pq_scratch *s, const struct pq_column *c)
{
	const int32_t *v = (const int32_t *)c->values;

	if (c->leaf.physical == TN_PQ_INT64)
		return (const int64_t *)c->values;
	if (s->wide_cap < c->dense) {
		tn_free(s->wide);
		s->wide = tn_alloc(c->dense * sizeof *s->wide);
		s->wide_cap = c->dense;
	}
	for (uint32_t i = 0; i < c->dense; i++)
		s->wide[i] = v[i];
	return s->wide;
}

static void
choose(struct chunk *k)
{
	const struct pq_column *c = k->c;
	bool is32 = c->leaf.physical == TN_PQ_INT32;
	size_t best;

	k->w->encoding = TN_PQ_PLAIN;
	if (c->dense == 0 || c->leaf.physical == TN_PQ_BOOLEAN)
		return;
	best = plain_bytes(c);
	if (c->width == 0)
		k->w->encoding = TN_PQ_DELTA_LENGTH;
	if (c->frame_count > 0)
		return;
	if (is32 || c->leaf.physical == TN_PQ_INT64) {
		size_t delta;

		k->ints = widen(k->s, c);
		delta = tn_parquet_delta_bytes(k->ints, c->dense, is32);
		if (delta <= best / 5 * 4) {
			k->w->encoding = TN_PQ_DELTA;
			best = delta;
		}
		/* Equal steps: nothing is smaller by much. */
		if (delta <= c->dense / STEPS_PARTS)
			return;
	}
	if (tn_parquet_dict_build(&k->s->dict, c) &&
	    dict_bytes(&k->s->dict, c->dense) <= best) {
		k->w->encoding = TN_PQ_RLE_DICTIONARY;
		k->w->has_dict = true;
		k->code_bits = pq_bits_for(k->s->dict.entries - 1);
		/* Some readers stumble over codes of no bits. */
		if (k->code_bits == 0)
			k->code_bits = 1;
	}
}

/* ---- values ---------------------------------------------------------- */

static void
put_big_endian(struct tn_buf *b, const __int128 *v, size_t n)
{
	uint8_t *p = tn_buf_reserve(b, n * 16);

	if (p == NULL)
		return;
	for (size_t i = 0; i < n; i++, p += 16) {
		uint64_t hi = __builtin_bswap64((uint64_t)(v[i] >> 64));
		uint64_t lo = __builtin_bswap64((uint64_t)v[i]);

		memcpy(p, &hi, 8);
		memcpy(p + 8, &lo, 8);
	}
	b->n += n * 16;
}

static void
put_bools(struct tn_buf *b, const uint8_t *v, size_t n)
{
	uint8_t *p = tn_buf_reserve(b, (n + 7) / 8);

	if (p == NULL)
		return;
	memset(p, 0, (n + 7) / 8);
	for (size_t i = 0; i < n; i++)
		p[i >> 3] |= (uint8_t)((v[i] != 0) << (i & 7));
	b->n += (n + 7) / 8;
}

static void
put_text(struct tn_buf *b, struct tn_slice s)
{
	uint8_t *p = tn_buf_reserve(b, 4 + s.n);
	uint32_t n = (uint32_t)s.n;

	if (p == NULL)
		return;
	memcpy(p, &n, 4);
	if (n > 0)
		memcpy(p + 4, s.p, n);
	b->n += 4 + s.n;
}

static void
put_plain(struct tn_buf *b, const struct pq_column *c, uint32_t from,
    uint32_t to)
{
	const uint8_t *p;

	if (c->width == 0) {
		for (uint32_t i = from; i < to; i++)
			put_text(b, pq_text_at(c, i));
		return;
	}
	p = c->values + from * c->width;
	if (c->leaf.physical == TN_PQ_BOOLEAN)
		put_bools(b, p, to - from);
	else if (c->leaf.convert == TN_PQ_DEC_FIXED)
		put_big_endian(b, (const __int128 *)p, to - from);
	else
		tn_buf_add(b, p, (to - from) * c->width);
}

static void
put_lengths(struct chunk *k, uint32_t from, uint32_t to)
{
	const struct pq_column *c = k->c;
	struct pq_scratch *s = k->s;

	if (s->wide_cap < to - from) {
		tn_free(s->wide);
		s->wide = tn_alloc((to - from) * sizeof *s->wide);
		s->wide_cap = to - from;
	}
	for (uint32_t i = from; i < to; i++)
		s->wide[i - from] = (int64_t)c->offsets[i + 1] -
		    c->offsets[i];
	tn_parquet_delta_encode(&s->body, s->wide, to - from, true);
}

static void
put_lengths_and_bytes(struct chunk *k, const struct piece *at)
{
	const struct pq_column *c = k->c;

	put_lengths(k, at->from, at->to);
	if (at->frame == NULL && c->offsets[at->to] > c->offsets[at->from])
		tn_buf_add(&k->s->body, c->bytes + c->offsets[at->from],
		    c->offsets[at->to] - c->offsets[at->from]);
}

static void
put_values(struct chunk *k, const struct piece *at)
{
	struct tn_buf *b = &k->s->body;

	switch (k->w->encoding) {
	case TN_PQ_RLE_DICTIONARY:
		tn_buf_char(b, (char)k->code_bits);
		tn_parquet_hybrid_encode(b, k->s->dict.codes + at->from,
		    at->to - at->from, k->code_bits);
		break;
	case TN_PQ_DELTA:
		tn_parquet_delta_encode(b, k->ints + at->from,
		    at->to - at->from, k->c->leaf.physical == TN_PQ_INT32);
		break;
	case TN_PQ_DELTA_LENGTH:
		put_lengths_and_bytes(k, at);
		break;
	default:
		put_plain(b, k->c, at->from, at->to);
	}
}

/* ---- pages ----------------------------------------------------------- */

/* Behind what is packed comes ${frame}, of ${more} bytes. */
static void
put_header(struct chunk *k, bool dict, const struct piece *at,
    struct tn_slice frame, size_t more)
{
	const struct tn_buf *packed = &k->s->packed;
	uint32_t crc = tn_parquet_crc32(0, packed->p, packed->n);
	struct tn_buf *b = k->out;
	int16_t last = 0, inner = 0;

	tn_parquet_put_i32(b, &last, 1, dict ? TN_PQ_DICT_PAGE :
	    TN_PQ_DATA_PAGE);
	tn_parquet_put_i32(b, &last, 2, (int32_t)(k->s->body.n + more));
	tn_parquet_put_i32(b, &last, 3, (int32_t)(packed->n + frame.n));
	tn_parquet_put_i32(b, &last, 4,
	    (int32_t)tn_parquet_crc32(crc, frame.p, frame.n));
	tn_parquet_put_field(b, &last, dict ? 7 : 5, TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &inner, 1, (int32_t)at->rows);
	tn_parquet_put_i32(b, &inner, 2, dict ? TN_PQ_PLAIN :
	    k->w->encoding);
	if (!dict) {
		tn_parquet_put_i32(b, &inner, 3, TN_PQ_RLE);
		tn_parquet_put_i32(b, &inner, 4, TN_PQ_RLE);
	}
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
}

/* s->body becomes a page behind ${out}, with the frame that was given. */
static enum tn_status
put_page(struct chunk *k, bool dict, const struct piece *at)
{
	const struct pq_frame *given = at->frame;
	size_t more = given == NULL ? 0 : k->c->offsets[at->to] -
	    k->c->offsets[at->from];
	struct tn_slice frame = { NULL, 0 };
	struct pq_scratch *s = k->s;
	size_t before = k->out->n;
	enum tn_status st;

	if (given != NULL)
		frame = (struct tn_slice){ k->c->frame_bytes.p + given->at,
		    given->bytes };
	if (s->body.failed)
		return tn_buf_status(&s->body);
	if (s->body.n > TN_PQ_PAGE_BYTES_MAX)
		return TN_ELIMIT;
	tn_buf_clear(&s->packed);
	st = tn_zstd_compress(&s->packed, (struct tn_slice){ s->body.p,
	    s->body.n }, s->level);
	if (st != TN_OK)
		return st;
	put_header(k, dict, at, frame, more);
	k->w->raw_bytes += k->out->n - before + s->body.n + more;
	tn_buf_add(k->out, s->packed.p, s->packed.n);
	tn_buf_add(k->out, frame.p, frame.n);
	return tn_buf_status(k->out);
}

static enum tn_status
put_dict(struct chunk *k)
{
	const struct pq_dict_builder *d = &k->s->dict;

	tn_buf_clear(&k->s->body);
	for (uint32_t e = 0; e < d->entries; e++)
		put_plain(&k->s->body, k->c, d->first[e], d->first[e] + 1);
	tn_assert(k->s->body.failed || k->s->body.n == d->bytes);
	return put_page(k, true, &(struct piece){ .rows = d->entries });
}

static void
put_levels(struct chunk *k, const struct piece *at)
{
	struct tn_buf *b = &k->s->body;
	size_t before = b->n;
	uint32_t n;

	if (!k->c->leaf.optional)
		return;
	tn_buf_u32(b, 0);
	tn_parquet_levels_encode(b, k->c->valid, at->row, at->rows,
	    at->to - at->from);
	if (b->failed)
		return;
	n = (uint32_t)(b->n - before - 4);
	memcpy(b->p + before, &n, 4);
}

/* Texts of a dictionary: every entry is looked at once a page. */
static void
bounds_by_codes(struct chunk *k, const struct piece *at, struct pq_minmax *m)
{
	struct pq_scratch *s = k->s;
	uint32_t mark = k->w->page_count + 1;

	for (uint32_t i = at->from; i < at->to; i++) {
		uint32_t code = s->dict.codes[i];

		if (s->seen[code] == mark)
			continue;
		s->seen[code] = mark;
		tn_parquet_minmax_add(k->c, s->dict.first[code], m);
	}
}

static bool
keep_bound(struct chunk *k, const struct pq_value *v, bool is_max,
    uint32_t *at, uint32_t *bytes, bool *exact)
{
	struct tn_buf *b = &k->w->stat_bytes;

	*at = (uint32_t)b->n;
	if (!tn_parquet_stat_put(b, &k->c->leaf, v, is_max, exact))
		return false;
	*bytes = (uint32_t)(b->n - *at);
	return true;
}

static void
keep_page(struct chunk *k, const struct piece *at, uint64_t start)
{
	struct pq_chunk_written *w = k->w;
	struct pq_minmax m = { .nulls = at->rows - (at->to - at->from) };
	struct pq_page_written *p;
	bool exact;

	if (w->page_count == k->pages_cap) {
		k->pages_cap = k->pages_cap == 0 ? 8 : k->pages_cap * 2;
		w->pages = tn_realloc(w->pages,
		    k->pages_cap * sizeof *w->pages);
	}
	if (at->frame != NULL)
		k->unseen = true;
	else if (w->has_dict && k->c->width == 0)
		bounds_by_codes(k, at, &m);
	else
		tn_parquet_minmax(k->c, at->from, at->to, &m);
	tn_parquet_minmax_merge(tn_parquet_order(k->c->leaf.type), &k->all,
	    &m);
	p = &w->pages[w->page_count++];
	*p = (struct pq_page_written){ .at = k->base + start,
	    .bytes = (uint32_t)(k->out->n - start), .row = at->row,
	    .nulls = m.nulls, .nans = m.nans, .has = m.has };
	/* A page of NaNs alone has no bounds, nor have some texts. */
	if (!m.has)
		w->indexed = w->indexed && at->to == at->from;
	else if (!keep_bound(k, &m.min, false, &p->min_at, &p->min_bytes,
	    &exact) || !keep_bound(k, &m.max, true, &p->max_at,
	    &p->max_bytes, &exact))
		w->indexed = false;
}

/* The next page's rows: those of the next frame, or as many as fit before it. */
static void
cut(struct chunk *k, struct piece *at)
{
	const struct pq_column *c = k->c;
	const struct pq_frame *next = k->frame < c->frame_count ?
	    &c->frames[k->frame] : NULL;
	uint32_t rows = (next != NULL ? next->row : c->rows) - at->row;

	at->frame = rows == 0 ? next : NULL;
	if (at->frame != NULL) {
		at->rows = next->rows;
		at->to = at->from + next->rows;
		k->frame++;
		return;
	}
	if (rows > k->s->page_rows)
		rows = k->s->page_rows;
	for (;;) {
		at->rows = rows;
		at->to = at->from + rows;
		if (c->leaf.optional)
			at->to = at->from + (uint32_t)tn_parquet_bits_count(
			    c->valid, at->row, rows);
		if (c->width != 0 || k->w->has_dict || rows == 1 ||
		    c->offsets[at->to] - c->offsets[at->from] <=
		    TN_PQ_PAGE_BYTES)
			return;
		rows /= 2;
	}
}

static enum tn_status
put_pages(struct chunk *k)
{
	struct piece at = { .row = 0 };
	enum tn_status st = TN_OK;

	for (; st == TN_OK && at.row < k->c->rows; at.row += at.rows) {
		size_t start = k->out->n;

		if (k->s->left != NULL && *k->s->left)
			return TN_ECLOSED;
		cut(k, &at);
		tn_buf_clear(&k->s->body);
		put_levels(k, &at);
		put_values(k, &at);
		st = put_page(k, false, &at);
		if (st == TN_OK)
			keep_page(k, &at, start);
		at.from = at.to;
	}
	tn_assert(st != TN_OK || at.from == k->c->dense);
	return st;
}

/* BoundaryOrder of the page bounds. */
static uint8_t
boundary(const struct chunk *k)
{
	enum pq_order o = tn_parquet_order(k->c->leaf.type);
	const uint8_t *p = k->w->stat_bytes.p;
	const struct pq_page_written *before = NULL;
	bool up = true, down = true;

	for (uint32_t i = 0; i < k->w->page_count; i++) {
		const struct pq_page_written *g = &k->w->pages[i];
		struct pq_value v[4];
		int least, most;

		if (!g->has)
			continue;
		if (before != NULL) {
			(void)tn_parquet_value_stored(&k->c->leaf,
			    (struct tn_slice){ p + before->min_at,
			    before->min_bytes }, &v[0]);
			(void)tn_parquet_value_stored(&k->c->leaf,
			    (struct tn_slice){ p + before->max_at,
			    before->max_bytes }, &v[1]);
			(void)tn_parquet_value_stored(&k->c->leaf,
			    (struct tn_slice){ p + g->min_at,
			    g->min_bytes }, &v[2]);
			(void)tn_parquet_value_stored(&k->c->leaf,
			    (struct tn_slice){ p + g->max_at,
			    g->max_bytes }, &v[3]);
			least = tn_parquet_value_compare(o, &v[0], &v[2]);
			most = tn_parquet_value_compare(o, &v[1], &v[3]);
			up = up && least <= 0 && most <= 0;
			down = down && least >= 0 && most >= 0;
		}
		before = g;
	}
	return up ? 1 : down ? 2 : 0;
}

static void
keep_chunk(struct chunk *k)
{
	struct pq_chunk_written *w = k->w;

	w->values = k->c->rows;
	w->bytes = k->base + k->out->n - w->at;
	w->nulls = k->all.nulls;
	w->nans = k->all.nans;
	if (k->all.has && !k->unseen) {
		w->has_min = keep_bound(k, &k->all.min, false, &w->min_at,
		    &w->min_bytes, &w->min_exact);
		w->has_max = keep_bound(k, &k->all.max, true, &w->max_at,
		    &w->max_bytes, &w->max_exact);
	}
	if (w->indexed && !w->stat_bytes.failed)
		w->boundary = boundary(k);
}

enum tn_status
tn_parquet_chunk_write(struct pq_scratch *s, const struct pq_column *c,
    struct tn_buf *out, uint64_t base, struct pq_chunk_written *w)
{
	struct chunk k = { .s = s, .c = c, .out = out, .base = base, .w = w };
	enum tn_status st = TN_OK;

	tn_assert(c->rows > 0 && c->dense <= c->rows);
	*w = (struct pq_chunk_written){ .at = base + out->n, .indexed = true };
	choose(&k);
	if (w->has_dict) {
		st = put_dict(&k);
		memset(s->seen, 0, s->dict.entries * sizeof *s->seen);
	}
	w->data_at = base + out->n;
	if (st == TN_OK)
		st = put_pages(&k);
	if (st != TN_OK)
		return st;
	keep_chunk(&k);
	return w->stat_bytes.failed ? TN_ENOMEM : TN_OK;
}

/* gather: copies rows of a batch into the open row group of the writer, one
 * column at a time, nulls left out and values in their stored width: int2
 * widened to 32 bits, short numerics narrowed to 64.
 *
 * The arrays double as they grow and stay for the next row group; the writer
 * bounds a row group by TN_PQ_GROUP_BYTES. */
#include "parquet/write_int.h"

/* Room for ${more} values or bytes. */
static void *
room(void *p, size_t *cap, size_t used, size_t more, size_t width)
{
	if (used + more <= *cap)
		return p;
	*cap = *cap * 2 > used + more ? *cap * 2 : used + more;
	return tn_realloc(p, *cap * width);
}

/* Values that keep their width: those of rows [from, from + n) that are not
 * null. The width is a constant in each caller, so that memcpy is a move. */
static inline void
squeeze(uint8_t *to, const struct tn_column *src, uint32_t from, uint32_t n,
    size_t width)
{
	const uint8_t *p = (const uint8_t *)src->values + from * width;

	for (uint32_t i = 0; i < n; i++, p += width) {
		memcpy(to, p, width);
		to += tn_column_valid(src, from + i) ? width : 0;
	}
}

static void
copy_same(struct pq_column *c, const struct tn_column *src, uint32_t from,
    uint32_t n, uint32_t dense)
{
	uint8_t *to = c->values + c->dense * c->width;

	if (dense == n)
		memcpy(to, (const uint8_t *)src->values + from * c->width,
		    n * c->width);
	else if (c->width == 4)
		squeeze(to, src, from, n, 4);
	else if (c->width == 8)
		squeeze(to, src, from, n, 8);
	else if (c->width == 16)
		squeeze(to, src, from, n, 16);
	else
		squeeze(to, src, from, n, 1);
}

static void
copy_int2(struct pq_column *c, const struct tn_column *src, uint32_t from,
    uint32_t n)
{
	const int16_t *p = src->values;
	int32_t *to = (int32_t *)c->values + c->dense;

	for (uint32_t i = from; i < from + n; i++)
		if (tn_column_valid(src, i))
			*to++ = p[i];
}

/* False: a value has more digits than its type. */
static bool
copy_numeric(struct pq_column *c, const struct tn_column *src, uint32_t from,
    uint32_t n)
{
	const __int128 *p = src->values;
	int64_t *to = (int64_t *)c->values + c->dense;
	int64_t limit = 1;
	bool fine = true;

	tn_assert(c->leaf.type.precision <= 18);
	for (unsigned i = 0; i < c->leaf.type.precision; i++)
		limit *= 10;
	for (uint32_t i = from; i < from + n; i++) {
		if (!tn_column_valid(src, i))
			continue;
		fine = fine && p[i] > -limit && p[i] < limit;
		*to++ = (int64_t)p[i];
	}
	return fine;
}

/* The same text ${n} times. */
static void
copy_one_text(struct pq_column *c, struct tn_slice s, uint32_t n)
{
	uint32_t at = c->dense == 0 ? 0 : c->offsets[c->dense];
	uint32_t *to = c->offsets + c->dense;
	size_t all = s.n * n, done = s.n;

	c->bytes = room(c->bytes, &c->bytes_cap, at, all, 1);
	for (uint32_t i = 0; i <= n; i++)
		to[i] = at + i * (uint32_t)s.n;
	if (all == 0)
		return;
	memcpy(c->bytes + at, s.p, s.n);
	for (; done < all; done *= 2)
		memcpy(c->bytes + at + done, c->bytes + at,
		    done < all - done ? done : all - done);
}

static void
copy_texts(struct pq_column *c, const struct tn_column *src, uint32_t from,
    uint32_t n, size_t bytes)
{
	uint32_t at = c->dense == 0 ? 0 : c->offsets[c->dense];
	uint32_t *to = c->offsets + c->dense;

	*to++ = at;
	c->bytes = room(c->bytes, &c->bytes_cap, at, bytes, 1);
	for (uint32_t i = from; i < from + n; i++) {
		struct tn_slice s;

		if (!tn_column_valid(src, i))
			continue;
		s = tn_parquet_source_text(src, i);
		if (s.n > 0)
			memcpy(c->bytes + at, s.p, s.n);
		at += (uint32_t)s.n;
		*to++ = at;
	}
}

/* Texts without nulls, not by dictionary: one copy. */
static void
copy_plain_texts(struct pq_column *c, const struct tn_column *src,
    uint32_t from, uint32_t n)
{
	uint32_t at = c->dense == 0 ? 0 : c->offsets[c->dense];
	uint32_t bytes = src->offsets[from + n] - src->offsets[from];
	uint32_t *to = c->offsets + c->dense;

	/* Of texts that are given as a frame there may be no bytes: their place
	 * stays as it is, and nobody looks at it. */
	if (bytes > 0 && src->bytes != NULL) {
		c->bytes = room(c->bytes, &c->bytes_cap, at, bytes, 1);
		memcpy(c->bytes + at, src->bytes + src->offsets[from], bytes);
	}
	for (uint32_t i = 0; i <= n; i++)
		to[i] = at + (src->offsets[from + i] - src->offsets[from]);
}

struct tn_slice
tn_parquet_source_text(const struct tn_column *src, uint32_t row)
{
	if (src->dict != NULL)
		return tn_column_text(src->dict,
		    ((const uint32_t *)src->values)[row]);
	return tn_column_text(src, row);
}

size_t
tn_parquet_source_bytes(const struct tn_column *src, uint32_t from,
    uint32_t n)
{
	size_t bytes = 0;

	if (tn_record_type_width(src->type) != 0)
		return n * tn_record_type_width(src->type);
	if (src->dict == NULL)
		return src->offsets[from + n] - src->offsets[from];
	if (src->dict->rows == 1 && src->valid == NULL)
		return n * tn_column_text(src->dict, 0).n;
	for (uint32_t i = from; i < from + n; i++)
		if (tn_column_valid(src, i))
			bytes += tn_parquet_source_text(src, i).n;
	return bytes;
}

static uint32_t
note_valid(struct pq_column *c, const struct tn_column *src, uint32_t from,
    uint32_t n)
{
	size_t cap = c->rows_cap;

	if (!c->leaf.optional)
		return src->valid == NULL ? n : (uint32_t)
		    tn_parquet_bits_count(src->valid, from, n);
	/* Eight bits at least stay free: bits are counted by words. */
	c->valid = room(c->valid, &c->rows_cap, c->rows / 8, n / 8 + 10, 1);
	if (c->rows_cap > cap)
		memset(c->valid + cap, 0, c->rows_cap - cap);
	if (src->valid != NULL)
		return (uint32_t)tn_parquet_bits_copy(c->valid, c->rows,
		    src->valid, from, n);
	tn_parquet_bits_fill(c->valid, c->rows, true, n);
	return n;
}

enum tn_status
tn_parquet_gather(struct pq_column *c, const struct tn_column *src,
    uint32_t from, uint32_t n)
{
	uint32_t dense = note_valid(c, src, from, n);
	bool fine = true;

	/* A null in a column that was declared without. */
	if (!c->leaf.optional && dense != n)
		return TN_EINVAL;
	if (c->width == 0) {
		size_t entries = c->values_cap;

		c->offsets = room(c->offsets, &entries, c->dense, n + 1,
		    sizeof *c->offsets);
		c->values_cap = entries;
	} else {
		c->values = room(c->values, &c->values_cap, c->dense, n + 1,
		    c->width);
	}
	if (c->width == 0 && dense == n && src->dict != NULL &&
	    src->dict->rows == 1)
		copy_one_text(c, tn_column_text(src->dict, 0), n);
	else if (c->width == 0 && (dense != n || src->dict != NULL))
		copy_texts(c, src, from, n,
		    tn_parquet_source_bytes(src, from, n));
	else if (c->width == 0)
		copy_plain_texts(c, src, from, n);
	else if (c->leaf.convert == TN_PQ_TO_I16)
		copy_int2(c, src, from, n);
	else if (c->leaf.convert == TN_PQ_DEC64)
		fine = copy_numeric(c, src, from, n);
	else
		copy_same(c, src, from, n, dense);
	c->rows += n;
	c->dense += dense;
	return fine ? TN_OK : TN_EINVAL;
}

enum tn_status
tn_parquet_gather_frame(struct pq_column *c, uint32_t rows,
    struct tn_slice frame)
{
	tn_assert(c->width == 0 && c->rows == c->dense && rows <= c->rows);
	if (c->frame_count == c->frame_cap) {
		c->frame_cap = c->frame_cap == 0 ? 16 : c->frame_cap * 2;
		c->frames = tn_realloc(c->frames, c->frame_cap *
		    sizeof *c->frames);
	}
	c->frames[c->frame_count++] = (struct pq_frame){ c->rows - rows, rows,
	    c->frame_bytes.n, frame.n };
	tn_buf_add(&c->frame_bytes, frame.p, frame.n);
	return tn_buf_status(&c->frame_bytes);
}

void
tn_parquet_gather_reset(struct pq_column *c)
{
	c->rows = 0;
	c->dense = 0;
	c->frame_count = 0;
	tn_buf_clear(&c->frame_bytes);
}

void
tn_parquet_gather_fini(struct pq_column *c)
{
	tn_free(c->values);
	tn_free(c->offsets);
	tn_free(c->bytes);
	tn_free(c->valid);
	tn_free(c->frames);
	tn_buf_fini(&c->frame_bytes);
}

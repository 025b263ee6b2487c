/* block: rows of one stream as bytes.
 *
 * A stored block, all integers little-endian:
 *
 *    0 u32 magic "TNB1"       40 u32 rows
 *    4 u32 CRC32C of 8..end   44 u32 bytes of spec
 *    8 u64 lsn                48 u32 bytes of source
 *   16 u64 offset of row 0    52 u32 bytes of marks
 *   24 i64 received_us        56 u32 bytes of reasons
 *   32 u32 stream             60 u32 number of reasons
 *   36 u32 version            64 u32 bytes of packed
 *                             68 u32 zero
 *   72 spec, source, marks, reasons, packed
 *
 * marks:   nothing when all rows are accepted; else runs of
 *          (u8 mark, varint rows) that cover all rows
 * reasons: for each (varint rows since the last one, then code, column,
 *          message as varint length and bytes)
 * packed:  u8 flags (1: zstd, 2: with lines, 4: two frames), varint rows,
 *          varint raw bytes, varint body bytes, then the body or its zstd
 *          frame
 * body:    rows varint lengths, rows zigzag varint line deltas if any, raw
 *
 * Two frames, where there are SPLIT_BYTES_MIN of raw rows or more: body bytes
 * are those before raw, which have a frame for themselves behind a varint of
 * its bytes; the rest is raw's frame, which bronze takes over as it is.
 *
 * The lsn stands in the value too: a damaged tree that leads to another
 * block's bytes is found although these have a good CRC. What can go wrong
 * in reading is damage only; all of it ends as TN_ECORRUPT. */
#include "log/log_int.h"

#include <assert.h>
#include <string.h>

#define ROWS_MAX (TN_LOG_RAW_MAX / 10)

enum {
	BLOCK_MAGIC = 0x31424e54,
	CRC_FROM = 8,
	PACKED_ZSTD = 1,
	PACKED_LINES = 2,
	PACKED_SPLIT = 4,
	ZSTD_BYTES_MIN = 128,   /* Less is not worth a frame. */
	QUICK_BYTES_MAX = 16 << 10, /* See quick_level. */
	SPLIT_BYTES_MIN = 128 << 10,
};

/* Places in the header. */
enum {
	AT_MAGIC = 0, AT_CRC = 4, AT_LSN = TN_LOG_AT_LSN, AT_OFFSET = 16, AT_RECEIVED = 24,
	AT_STREAM = 32, AT_VERSION = 36, AT_ROWS = 40, AT_SPEC = 44,
	AT_SOURCE = 48, AT_MARKS = 52, AT_REASONS = 56, AT_REASON_COUNT = 60,
	AT_PACKED = 64, AT_ZERO = 68,
};
static_assert(AT_ZERO + 4 == TN_LOG_HEAD_BYTES, "header is 72 bytes");
static_assert((int)AT_LSN == (int)CRC_FROM, "all after the CRC is covered");

/* ---- integers -------------------------------------------------------- */

void
tn_log_put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void
tn_log_put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

uint32_t
tn_log_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

uint64_t
tn_log_get_u64(const uint8_t *p)
{
	return tn_log_get_u32(p) | (uint64_t)tn_log_get_u32(p + 4) << 32;
}

void
tn_log_key_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

uint64_t
tn_log_key_of(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* ---- writing --------------------------------------------------------- */

static uint8_t *
put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* The uncompressed body, with raw or without; false when memory is out. */
static bool
make_body(const struct tn_log_block *b, bool with_raw, struct tn_buf *body)
{
	/* Lengths and line deltas fit in five bytes each. */
	size_t most = (size_t)b->rows * (b->lines != NULL ? 10 : 5) +
	    (with_raw ? b->raw.n : 0);
	uint8_t *start = tn_buf_reserve(body, most + 1);
	uint8_t *p = start;
	uint64_t sum = 0;
	int64_t line = 0;

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < b->rows; i++) {
		p = put_varint(p, b->lengths[i]);
		sum += b->lengths[i];
	}
	tn_assert(sum == b->raw.n);
	for (uint32_t i = 0; b->lines != NULL && i < b->rows; i++) {
		int64_t delta = (int64_t)b->lines[i] - line;

		p = put_varint(p, delta < 0 ? (uint64_t)(-delta) * 2 - 1
		                            : (uint64_t)delta * 2);
		line = b->lines[i];
	}
	if (with_raw && b->raw.n > 0) {
		memcpy(p, b->raw.p, b->raw.n);
		p += b->raw.n;
	}
	body->n += (size_t)(p - start);
	tn_assert((size_t)(p - start) <= most);
	return true;
}

static void
put_packed_head(const struct tn_log_block *b, uint8_t flags, size_t bytes,
    struct tn_buf *out)
{
	tn_buf_char(out, (char)flags);
	tn_buf_varint(out, b->rows);
	tn_buf_varint(out, b->raw.n);
	tn_buf_varint(out, bytes);
}

/* As two frames. TN_ELIMIT: they would not be smaller; ${out} is as it was. */
static enum tn_status
pack_split(const struct tn_log_block *b, int zstd_level,
    struct tn_zstd_rows *known, struct tn_buf *out)
{
	struct tn_buf front = { .max = TN_LOG_RAW_MAX * 2 }, small = { 0 };
	size_t before = out->n, head;
	enum tn_status st = TN_ENOMEM;

	small.max = TN_LOG_RAW_MAX * 2;
	if (!make_body(b, false, &front))
		goto out;
	st = tn_zstd_compress(&small, (struct tn_slice){ front.p, front.n },
	    zstd_level);
	if (st != TN_OK)
		goto out;
	put_packed_head(b, (uint8_t)(PACKED_ZSTD | PACKED_SPLIT |
	    (b->lines != NULL ? PACKED_LINES : 0)), front.n, out);
	tn_buf_varint(out, small.n);
	tn_buf_add(out, small.p, small.n);
	head = out->n;
	st = out->failed ? TN_ENOMEM : tn_zstd_compress_rows(out, b->raw,
	    zstd_level, known);
	if (st == TN_OK && out->n - head >= b->raw.n)
		st = TN_ELIMIT;
out:
	if (st != TN_OK && !out->failed)
		out->n = before;
	tn_buf_fini(&front);
	tn_buf_fini(&small);
	return st;
}

/* A commit of a few rows waits for their frame, and its pages are half empty
 * anyway. Level 1 takes more time to code what it did not find before than to
 * look for it, so these go without: of 25 readings (2,900 bytes) 663 bytes are
 * left instead of 458, in half the time (6 to 8 us instead of 12, and 19 to 27
 * instead of 38 when the caches have forgotten it). */
static int
quick_level(size_t bytes, int zstd_level)
{
	return zstd_level == 1 && bytes <= QUICK_BYTES_MAX ? -1 : zstd_level;
}

enum tn_status
tn_log_pack(const struct tn_log_block *b, int zstd_level,
    struct tn_zstd_rows *known, struct tn_buf *out)
{
	struct tn_buf body = { .max = TN_LOG_RAW_MAX * 2 };
	uint8_t flags = b->lines != NULL ? PACKED_LINES : 0;
	size_t before = out->n;
	enum tn_status st = TN_OK;
	struct tn_slice all;
	size_t head;

	if (b->raw.n > TN_LOG_RAW_MAX || b->rows > ROWS_MAX)
		return TN_ELIMIT;
	if (b->raw.n >= SPLIT_BYTES_MIN) {
		st = pack_split(b, zstd_level, known, out);
		if (st != TN_ELIMIT)
			return st;
		st = TN_OK;
	}
	if (!make_body(b, true, &body)) {
		st = TN_ENOMEM;
		goto out;
	}
	all = (struct tn_slice){ body.p, body.n };
	if (body.n >= ZSTD_BYTES_MIN) {
		put_packed_head(b, flags | PACKED_ZSTD, body.n, out);
		head = out->n;
		st = out->failed ? TN_ENOMEM
		    : tn_zstd_compress(out, all, quick_level(body.n,
		    zstd_level));
		if (st != TN_OK || out->n - head < body.n)
			goto out;
		out->n = before;        /* It did not get smaller. */
	}
	put_packed_head(b, flags, body.n, out);
	tn_buf_add(out, body.p, body.n);
	if (out->failed)
		st = TN_ENOMEM;
	out:
	if (st != TN_OK && !out->failed)
		out->n = before;
	tn_buf_fini(&body);
	return st;
}

static void
put_marks(const struct tn_log_block *b, struct tn_buf *out)
{
	uint32_t i = 0;

	if (b->marks == NULL || b->rows == 0)
		return;
	/* A run over all rows that says "accepted" says nothing. */
	while (i < b->rows && b->marks[i] == TN_MARK_ACCEPTED)
		i++;
	if (i == b->rows)
		return;
	for (i = 0; i < b->rows;) {
		uint8_t mark = b->marks[i];
		uint32_t from = i;

		tn_assert(mark <= TN_MARK_DUPLICATE);
		while (i < b->rows && b->marks[i] == mark)
			i++;
		tn_buf_char(out, (char)mark);
		tn_buf_varint(out, i - from);
	}
}

static void
put_text(struct tn_buf *out, const char *s)
{
	size_t n = strlen(s);

	tn_buf_varint(out, n);
	tn_buf_add(out, s, n);
}

static void
put_reasons(const struct tn_log_block *b, struct tn_buf *out)
{
	uint32_t row = 0;

	for (uint32_t i = 0; i < b->reason_count; i++) {
		const struct tn_log_reason *r = &b->reasons[i];

		tn_assert(r->row >= row && r->row < b->rows);
		tn_buf_varint(out, r->row - row);
		put_text(out, r->code);
		put_text(out, r->column);
		put_text(out, r->message);
		row = r->row;
	}
}

/* The front is led by the two lengths that only this function knows. */
enum tn_status
tn_log_front(const struct tn_log_block *b, struct tn_buf *out)
{
	size_t lengths = out->n;
	size_t from;

	if (b->spec.n > TN_LOG_SPEC_MAX || b->source.n > TN_LOG_SOURCE_MAX)
		return TN_ELIMIT;
	tn_buf_u32(out, 0);
	tn_buf_u32(out, 0);
	tn_buf_add(out, b->spec.p, b->spec.n);
	tn_buf_add(out, b->source.p, b->source.n);
	from = out->n;
	put_marks(b, out);
	if (out->failed)
		return tn_buf_status(out);
	tn_log_put_u32(out->p + lengths, (uint32_t)(out->n - from));
	from = out->n;
	put_reasons(b, out);
	if (out->failed)
		return tn_buf_status(out);
	tn_log_put_u32(out->p + lengths + 4, (uint32_t)(out->n - from));
	return TN_OK;
}

void
tn_log_encode(const struct tn_log_block *b, struct tn_slice front,
    struct tn_slice packed, uint8_t *to)
{
	uint8_t *at = to + TN_LOG_HEAD_BYTES;
	uint32_t crc;

	tn_assert(front.n >= 8 && packed.n >= 4);
	tn_assert(b->lsn > 0);
	tn_log_put_u32(to + AT_MAGIC, BLOCK_MAGIC);
	tn_log_put_u64(to + AT_LSN, b->lsn);
	tn_log_put_u64(to + AT_OFFSET, b->offset);
	tn_log_put_u64(to + AT_RECEIVED, (uint64_t)b->received_us);
	tn_log_put_u32(to + AT_STREAM, b->stream);
	tn_log_put_u32(to + AT_VERSION, b->version);
	tn_log_put_u32(to + AT_ROWS, b->rows);
	tn_log_put_u32(to + AT_SPEC, (uint32_t)b->spec.n);
	tn_log_put_u32(to + AT_SOURCE, (uint32_t)b->source.n);
	memcpy(to + AT_MARKS, front.p, 8);
	tn_log_put_u32(to + AT_REASON_COUNT, b->reason_count);
	tn_log_put_u32(to + AT_PACKED, (uint32_t)packed.n);
	tn_log_put_u32(to + AT_ZERO, 0);
	memcpy(at, front.p + 8, front.n - 8);
	at += front.n - 8;
	memcpy(at, packed.p, packed.n);
	at += packed.n;
	crc = tn_crc32c(0, to + CRC_FROM, (size_t)(at - to) - CRC_FROM);
	tn_log_put_u32(to + AT_CRC, crc);
}

/* ---- reading --------------------------------------------------------- */

enum tn_status
tn_log_check(struct tn_slice stored, uint64_t lsn, struct tn_log_block *out)
{
	const uint8_t *p = stored.p;
	uint64_t sum = TN_LOG_HEAD_BYTES;

	if (stored.n < TN_LOG_HEAD_BYTES ||
	    tn_log_get_u32(p + AT_MAGIC) != BLOCK_MAGIC)
		return TN_ECORRUPT;
	/* The length is told twice; a wrong one must not lead the CRC past
	 * the end of the map. */
	sum += tn_log_get_u32(p + AT_SPEC);
	sum += tn_log_get_u32(p + AT_SOURCE);
	sum += tn_log_get_u32(p + AT_MARKS);
	sum += tn_log_get_u32(p + AT_REASONS);
	sum += tn_log_get_u32(p + AT_PACKED);
	if (sum != stored.n)
		return TN_ECORRUPT;
	/* No block is written beyond them; what reads them counts on that. */
	if (tn_log_get_u32(p + AT_SPEC) > TN_LOG_SPEC_MAX ||
	    tn_log_get_u32(p + AT_SOURCE) > TN_LOG_SOURCE_MAX ||
	    tn_log_get_u32(p + AT_ROWS) > ROWS_MAX)
		return TN_ECORRUPT;
	if (tn_crc32c(0, p + CRC_FROM, stored.n - CRC_FROM) !=
	    tn_log_get_u32(p + AT_CRC))
		return TN_ECORRUPT;
	if (tn_log_get_u64(p + AT_LSN) != lsn)
		return TN_ECORRUPT;
	*out = (struct tn_log_block){
		.lsn = lsn,
		.offset = tn_log_get_u64(p + AT_OFFSET),
		.received_us = (int64_t)tn_log_get_u64(p + AT_RECEIVED),
		.stream = tn_log_get_u32(p + AT_STREAM),
		.version = tn_log_get_u32(p + AT_VERSION),
		.rows = tn_log_get_u32(p + AT_ROWS),
		.reason_count = tn_log_get_u32(p + AT_REASON_COUNT),
	};
	return TN_OK;
}

/* p is NULL when memory is out. */
static struct tn_slice
copy(struct tn_arena *a, struct tn_slice s)
{
	uint8_t *p = tn_arena_try_alloc(a, s.n);

	if (p != NULL && s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct tn_slice){ p, s.n };
}

static enum tn_status
read_marks(struct tn_slice s, struct tn_arena *a, struct tn_log_block *out)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };
	uint8_t *marks;
	uint64_t row = 0;

	if (s.n == 0)
		return TN_OK;
	marks = tn_arena_try_alloc(a, out->rows);
	if (marks == NULL)
		return TN_ENOMEM;
	while (c.p < c.end) {
		uint8_t mark = tn_cursor_u8(&c);
		uint64_t n = tn_cursor_varint(&c);

		if (c.failed || mark > TN_MARK_DUPLICATE || n > out->rows - row)
			return TN_ECORRUPT;
		memset(marks + row, mark, n);
		row += n;
	}
	out->marks = marks;
	return row == out->rows ? TN_OK : TN_ECORRUPT;
}

static const char *
read_text(struct tn_cursor *c, struct tn_arena *a)
{
	uint64_t n = tn_cursor_varint(c);
	struct tn_slice s = { NULL, 0 };

	if (n > (uint64_t)(c->end - c->p))
		c->failed = true;
	else
		s = tn_cursor_bytes(c, (size_t)n);
	return s.p == NULL ? "" : tn_arena_strndup(a, (const char *)s.p, s.n);
}

static enum tn_status
read_reasons(struct tn_slice s, struct tn_arena *a, struct tn_log_block *out)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };
	struct tn_log_reason *reasons;
	uint64_t row = 0;

	/* Each takes four bytes at least: a bound for the allocation. */
	if (out->reason_count > s.n / 4)
		return TN_ECORRUPT;
	reasons = tn_arena_try_alloc(a, out->reason_count * sizeof *reasons);
	if (reasons == NULL)
		return TN_ENOMEM;
	for (uint32_t i = 0; i < out->reason_count; i++) {
		row += tn_cursor_varint(&c);
		reasons[i].code = read_text(&c, a);
		reasons[i].column = read_text(&c, a);
		reasons[i].message = read_text(&c, a);
		if (c.failed || row >= out->rows)
			return TN_ECORRUPT;
		reasons[i].row = (uint32_t)row;
	}
	if (out->reason_count > 0)
		out->reasons = reasons;
	return c.p == c.end ? TN_OK : TN_ECORRUPT;
}

static enum tn_status
read_lines(struct tn_cursor *c, struct tn_arena *a, struct tn_log_block *out)
{
	uint32_t *lines = tn_arena_try_alloc(a, out->rows * sizeof *lines);
	int64_t line = 0;

	if (lines == NULL)
		return TN_ENOMEM;
	for (uint32_t i = 0; i < out->rows; i++) {
		uint64_t z = tn_cursor_varint(c);

		if (z > (uint64_t)UINT32_MAX * 2)
			return TN_ECORRUPT;
		line += (z & 1) != 0 ? -(int64_t)(z / 2) - 1 : (int64_t)(z / 2);
		if (line < 0 || line > UINT32_MAX)
			return TN_ECORRUPT;
		lines[i] = (uint32_t)line;
	}
	out->lines = lines;
	return TN_OK;
}

/* Lengths, lines, and raw rows if ${raw} is not NULL; all of ${body} is used
 * up. */
static enum tn_status
read_body(struct tn_slice body, bool with_lines, struct tn_arena *a,
    struct tn_log_block *out, struct tn_slice *raw)
{
	struct tn_cursor c = { body.p, body.p + body.n, false };
	enum tn_status st = TN_OK;
	uint64_t sum = 0;
	uint32_t *lengths;

	/* One byte at least for each row: a bound for the allocation. */
	if (out->rows > body.n)
		return TN_ECORRUPT;
	lengths = tn_arena_try_alloc(a, out->rows * sizeof *lengths);
	if (lengths == NULL)
		return TN_ENOMEM;
	for (uint32_t i = 0; i < out->rows; i++) {
		uint64_t n = tn_cursor_varint(&c);

		if (n > UINT32_MAX)
			return TN_ECORRUPT;
		lengths[i] = (uint32_t)n;
		sum += n;
	}
	out->lengths = lengths;
	if (with_lines)
		st = read_lines(&c, a, out);
	if (st != TN_OK)
		return st;
	if (raw != NULL)
		*raw = tn_cursor_bytes(&c, (size_t)(c.end - c.p));
	return c.failed || c.p != c.end || sum != (raw != NULL ? raw->n :
	    out->raw.n) ? TN_ECORRUPT : TN_OK;
}

/* A frame into the arena: exactly ${bytes}. */
static enum tn_status
read_frame(struct tn_slice frame, uint64_t bytes, struct tn_arena *a,
    struct tn_slice *out)
{
	/* A buffer with just this room never grows, and never fails in a way
	 * that would free it. */
	struct tn_buf b = { .cap = (size_t)bytes, .max = (size_t)bytes };
	enum tn_status st;

	b.p = tn_arena_try_alloc(a, (size_t)bytes);
	if (b.p == NULL)
		return TN_ENOMEM;
	st = tn_zstd_decompress(&b, frame, (size_t)bytes);
	if (st != TN_OK || b.n != bytes)
		return st == TN_ENOMEM ? st : TN_ECORRUPT;
	*out = (struct tn_slice){ b.p, b.n };
	return TN_OK;
}

struct packed_head {
	uint8_t flags;
	uint64_t raw_bytes, bytes;
	enum tn_log_reading how;
};

static enum tn_status
read_split(struct tn_cursor *c, const struct packed_head *h,
    struct tn_arena *a, struct tn_log_block *out)
{
	uint64_t n = tn_cursor_varint(c);
	struct tn_slice small, front, frame;
	enum tn_status st;

	if (c->failed || n > (uint64_t)(c->end - c->p))
		return TN_ECORRUPT;
	small = tn_cursor_bytes(c, (size_t)n);
	frame = (struct tn_slice){ c->p, (size_t)(c->end - c->p) };
	st = read_frame(small, h->bytes, a, &front);
	out->raw = (struct tn_slice){ NULL, (size_t)h->raw_bytes };
	if (st == TN_OK && h->how != TN_LOG_READ_FRAME)
		st = read_frame(frame, h->raw_bytes, a, &out->raw);
	if (st == TN_OK)
		st = read_body(front, (h->flags & PACKED_LINES) != 0, a, out,
		    NULL);
	if (st != TN_OK || h->how == TN_LOG_READ_ROWS)
		return st;
	out->frame = copy(a, frame);
	return out->frame.p == NULL ? TN_ENOMEM : TN_OK;
}

static enum tn_status
read_packed(struct tn_slice s, enum tn_log_reading how, struct tn_arena *a,
    struct tn_log_block *out)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };
	struct packed_head h = { .flags = tn_cursor_u8(&c), .how = how };
	uint64_t rows = tn_cursor_varint(&c);
	struct tn_slice rest;
	enum tn_status st = TN_OK;

	h.raw_bytes = tn_cursor_varint(&c);
	h.bytes = tn_cursor_varint(&c);
	if (c.failed || rows != out->rows || h.raw_bytes > TN_LOG_RAW_MAX ||
	    h.bytes > TN_LOG_RAW_MAX * 2)
		return TN_ECORRUPT;
	if ((h.flags & PACKED_SPLIT) != 0)
		return read_split(&c, &h, a, out);
	rest = (struct tn_slice){ c.p, (size_t)(c.end - c.p) };
	if ((h.flags & PACKED_ZSTD) != 0)
		st = read_frame(rest, h.bytes, a, &rest);
	else if (rest.n != h.bytes)
		st = TN_ECORRUPT;
	else
		rest = copy(a, rest);
	if (st == TN_OK && rest.p == NULL)
		st = TN_ENOMEM;
	if (st == TN_OK)
		st = read_body(rest, (h.flags & PACKED_LINES) != 0, a, out,
		    &out->raw);
	return st == TN_OK && out->raw.n != h.raw_bytes ? TN_ECORRUPT : st;
}

enum tn_status
tn_log_decode(struct tn_slice stored, uint64_t lsn, enum tn_log_reading how,
    struct tn_arena *a, struct tn_log_block *out)
{
	struct tn_cursor c = { stored.p, stored.p + stored.n, false };
	enum tn_status st = tn_log_check(stored, lsn, out);
	const uint8_t *h = stored.p;

	if (st != TN_OK)
		return st;
	(void)tn_cursor_bytes(&c, TN_LOG_HEAD_BYTES);
	out->spec = copy(a, tn_cursor_bytes(&c, tn_log_get_u32(h + AT_SPEC)));
	out->source = copy(a,
	    tn_cursor_bytes(&c, tn_log_get_u32(h + AT_SOURCE)));
	if (out->spec.p == NULL || out->source.p == NULL)
		return TN_ENOMEM;
	st = read_marks(tn_cursor_bytes(&c, tn_log_get_u32(h + AT_MARKS)), a,
	    out);
	if (st != TN_OK)
		return st;
	st = read_reasons(tn_cursor_bytes(&c, tn_log_get_u32(h + AT_REASONS)),
	    a, out);
	if (st != TN_OK)
		return st;
	return read_packed(tn_cursor_bytes(&c, tn_log_get_u32(h + AT_PACKED)),
	    how, a, out);
}

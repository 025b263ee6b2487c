/* split: a body, in whatever pieces it arrives, into the raw bytes of its
 * rows. This file has what the formats share (rows, the byte order mark, the
 * last line) and NDJSON, where a row is a line.
 *
 * The rows that come out never depend on where the pieces were cut: what is
 * not finished waits in s->pend. Rows lie in rows->raw without gaps. */
#include "codec/codec_int.h"

#include <string.h>

static const uint8_t bom[3] = { 0xef, 0xbb, 0xbf };

/* ---- rows ------------------------------------------------------------ */

void
tn_codec_rows_clear(struct tn_codec_rows *r)
{
	tn_buf_clear(&r->raw);
	r->count = 0;
}

void
tn_codec_rows_fini(struct tn_codec_rows *r)
{
	tn_buf_fini(&r->raw);
	tn_free(r->start);
	tn_free(r->length);
	tn_free(r->line);
	memset(r, 0, sizeof *r);
}

/* Room for one row more in the three arrays. False when memory is out: a body
 * of short rows makes them large. */
static bool
grow_rows(struct tn_codec_rows *r)
{
	uint32_t **const arrays[] = { &r->start, &r->length, &r->line };
	uint32_t cap = r->cap == 0 ? 256 : r->cap * 2;

	tn_assert(r->cap < UINT32_MAX / 2);
	for (size_t i = 0; i < TN_COUNT(arrays); i++) {
		uint32_t *more = tn_try_realloc(*arrays[i],
		    (size_t)cap * sizeof *more);

		if (more == NULL)
			return false;
		*arrays[i] = more;
	}
	r->cap = cap;
	return true;
}

void
tn_codec_rows_take(struct tn_codec_rows *r, size_t n, uint32_t line)
{
	size_t start = r->raw.n;

	tn_assert(start <= UINT32_MAX && n <= UINT32_MAX - start);
	if (r->count == r->cap && !grow_rows(r)) {
		tn_buf_fini(&r->raw);
		r->raw.failed = true;
		r->raw.no_memory = true;
		return;
	}
	r->raw.n += n;
	r->start[r->count] = (uint32_t)start;
	r->length[r->count] = (uint32_t)n;
	r->line[r->count] = line;
	r->count++;
}

void
tn_codec_rows_add(struct tn_codec_rows *r, const void *p, size_t n,
    uint32_t line)
{
	uint8_t *to = NULL;

	if (n > 0)
		to = tn_buf_reserve(&r->raw, n);
	if (r->raw.failed)
		return;
	if (n > 0)
		memcpy(to, p, n);
	tn_codec_rows_take(r, n, line);
}

size_t
tn_codec_rows_bytes(const struct tn_codec_rows *r)
{
	return r->raw.cap + r->cap * 3ul * sizeof *r->start;
}

/* ---- NDJSON ---------------------------------------------------------- */

/* A finished line into the rows, unless it is blank. */
static enum tn_status
add_line(struct tn_codec_splitter *s, struct tn_codec_rows *rows,
    const uint8_t *p, size_t n)
{
	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n > s->row_bytes_max)
		return TN_ELIMIT;
	if (tn_codec_scan_blank(p, p + n) != p + n)
		tn_codec_rows_add(rows, p, n, s->line);
	s->line++;
	return rows->raw.failed ? TN_ENOMEM : TN_OK;
}

enum tn_status
tn_codec_split_lines(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max)
{
	enum tn_status st = TN_OK;
	const uint8_t *lf;
	size_t n;

	while (st == TN_OK && in->n > 0 && rows->raw.n < raw_max) {
		lf = memchr(in->p, '\n', in->n);
		n = lf == NULL ? in->n : (size_t)(lf - in->p);
		if (lf != NULL && s->pend.n == 0) {
			st = add_line(s, rows, in->p, n);
		} else if (s->pend.n + n > s->row_bytes_max + 1) {
			st = TN_ELIMIT;
		} else {
			tn_buf_add(&s->pend, in->p, n);
			st = s->pend.failed ? TN_ENOMEM : TN_OK;
			if (st == TN_OK && lf != NULL) {
				st = add_line(s, rows, s->pend.p, s->pend.n);
				tn_buf_clear(&s->pend);
			}
		}
		n += lf != NULL;
		in->p += n;
		in->n -= n;
	}
	return st;
}

/* ---- the splitter ---------------------------------------------------- */

struct tn_codec_splitter *
tn_codec_splitter_new(struct tn_codec_spec *spec, size_t row_bytes_max)
{
	struct tn_codec_splitter *s = tn_zalloc(sizeof *s);

	tn_assert(row_bytes_max >= 16);
	tn_assert(row_bytes_max <= (size_t)1 << 30);
	s->spec = spec;
	s->row_bytes_max = row_bytes_max;
	s->line = 1;
	s->header_due = !spec->no_header;
	if (spec->columns_given)
		s->fields_due = spec->column_count;
	return s;
}

static enum tn_status
split(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max)
{
	switch (s->spec->format) {
	case TN_CODEC_JSON:
		return tn_codec_split_json(s, in, rows, raw_max);
	case TN_CODEC_NDJSON:
		return tn_codec_split_lines(s, in, rows, raw_max);
	case TN_CODEC_CSV:
		return tn_codec_split_csv(s, in, rows, raw_max);
	case TN_CODEC_MESSAGE:
		return TN_EINVAL;       /* They do not come as a body. */
	}
	tn_assert(!"a format");
	return TN_EINVAL;
}

/* The bytes held back as a possible mark were none. */
static enum tn_status
release_head(struct tn_codec_splitter *s, struct tn_codec_rows *rows)
{
	struct tn_slice head = { s->head, s->head_count };
	enum tn_status st;

	s->started = true;
	if (head.n == 0)
		return TN_OK;
	st = split(s, &head, rows, SIZE_MAX);
	tn_assert(st != TN_OK || head.n == 0);
	return st;
}

/* Skip a byte order mark at the start, in however many pieces. */
static enum tn_status
skip_mark(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows)
{
	while (in->n > 0 && s->head_count < sizeof bom &&
	    *in->p == bom[s->head_count]) {
		s->head[s->head_count++] = *in->p;
		in->p++;
		in->n--;
	}
	if (s->head_count == sizeof bom) {
		s->started = true;
		return TN_OK;
	}
	return in->n > 0 ? release_head(s, rows) : TN_OK;
}

enum tn_status
tn_codec_splitter_feed(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max)
{
	enum tn_status st = TN_OK;

	if (s->over)
		return TN_ELIMIT;
	if (rows->raw.n >= raw_max)
		return TN_OK;
	if (!s->started)
		st = skip_mark(s, in, rows);
	if (st == TN_OK && s->started)
		st = split(s, in, rows, raw_max);
	s->over = st == TN_ELIMIT;
	return st;
}

enum tn_status
tn_codec_splitter_end(struct tn_codec_splitter *s,
    struct tn_codec_rows *rows)
{
	enum tn_status st = TN_OK;

	if (s->over)
		return TN_ELIMIT;
	if (!s->started)
		st = release_head(s, rows);
	if (st == TN_OK && s->spec->format == TN_CODEC_JSON)
		st = tn_codec_split_json_end(s, rows);
	else if (st == TN_OK && s->spec->format == TN_CODEC_CSV)
		st = tn_codec_split_csv_end(s, rows);
	else if (st == TN_OK && s->pend.n > 0)
		st = add_line(s, rows, s->pend.p, s->pend.n);
	tn_buf_clear(&s->pend);
	s->over = st == TN_ELIMIT;
	return st;
}

void
tn_codec_splitter_free(struct tn_codec_splitter *s)
{
	if (s == NULL)
		return;
	tn_buf_fini(&s->pend);
	tn_free(s);
}

size_t
tn_codec_splitter_bytes(const struct tn_codec_splitter *s)
{
	return sizeof *s + s->pend.cap;
}

/* split_json: one JSON body, an array of objects, or one or more objects one
 * after the other (so NDJSON sent as JSON is taken, too), into the raw
 * bytes of its objects. Only brackets and strings are followed here; whether
 * a row is good JSON is the decoder's business.
 *
 *   START --[--> FIRST --value--> VALUE --> AFTER --,--> NEXT --value--> ...
 *     |            `--]--> DONE               `--]--> DONE
 *     `--other--> VALUE --> DONE --{--> VALUE
 *
 * Whatever does not fit leads to BROKEN: from that byte on the body is given
 * out in pieces that are bad rows. A piece must be bad by its bytes alone,
 * because it may be decoded again from bronze; so a piece that begins with {
 * is cut before all } at its end. */
#include "codec/codec_int.h"

#include <string.h>

typedef uint8_t v16 __attribute__((vector_size(16)));

enum json_step {
	JSON_START, JSON_FIRST, JSON_VALUE, JSON_AFTER, JSON_NEXT, JSON_DONE,
	JSON_BROKEN
};

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void
skip_blanks(struct tn_codec_splitter *s, struct tn_slice *in)
{
	while (in->n > 0 && is_blank(*in->p)) {
		s->line += *in->p == '\n';
		in->p++;
		in->n--;
	}
}

/* First byte from p on that may end a string, or is a control character: a
 * line end, which is no JSON there but counts as a line. */
static const uint8_t *
string_stop(const uint8_t *p, const uint8_t *end)
{
	const v16 quote = (v16){ 0 } + '"', slash = (v16){ 0 } + '\\';
	const v16 space = (v16){ 0 } + ' ';
	uint64_t w[2];
	v16 x, m;

	for (; end - p >= 16; p += 16) {
		memcpy(&x, p, 16);
		m = (v16)((x == quote) | (x == slash) | (x < space));
		memcpy(w, &m, 16);
		if (w[0] != 0)
			return p + (__builtin_ctzll(w[0]) >> 3);
		if (w[1] != 0)
			return p + 8 + (__builtin_ctzll(w[1]) >> 3);
	}
	while (p < end && *p != '"' && *p != '\\' && *p >= ' ')
		p++;
	return p;
}

/* Inside a string, from p on; returns the byte after its closing quote, or
 * end. */
static const uint8_t *
follow_string(struct tn_codec_splitter *s, const uint8_t *p,
    const uint8_t *end)
{
	if (s->after_backslash && p < end) {
		s->after_backslash = false;
		s->line += *p == '\n';
		p++;
	}
	for (p = string_stop(p, end); p < end; p = string_stop(p, end)) {
		s->line += *p == '\n';
		if (*p == '"') {
			s->in_string = false;
			return p + 1;
		}
		if (*p == '\\' && p + 1 == end)
			s->after_backslash = true;
		else if (*p == '\\')
			s->line += *++p == '\n';
		p++;
	}
	return p;
}

/* Bytes that no scalar goes on with. */
static bool
ends_scalar(uint8_t c)
{
	return c == ',' || c == '}' || c == ']' || is_blank(c);
}

/* Follow a value from p; returns where it ends, or NULL when it goes on
 * behind end. A scalar ends before the byte that cannot belong to it. */
static const uint8_t *
follow_value(struct tn_codec_splitter *s, const uint8_t *p,
    const uint8_t *end)
{
	while (p < end) {
		uint8_t c = *p;

		if (s->in_string || c == '"') {
			p += !s->in_string;
			s->in_string = true;
			p = follow_string(s, p, end);
			if (!s->in_string && s->depth == 0)
				return p;
			continue;
		}
		if (s->depth == 0 && ends_scalar(c))
			return p;
		p++;
		s->line += c == '\n';
		if (c == '{' || c == '[')
			s->depth++;
		else if ((c == '}' || c == ']') && --s->depth == 0)
			return p;
	}
	return NULL;
}

static enum tn_status
split_value(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows)
{
	const uint8_t *stop = follow_value(s, in->p, in->p + in->n);
	size_t n = stop == NULL ? in->n : (size_t)(stop - in->p);

	if (s->pend.n + n > s->row_bytes_max)
		return TN_ELIMIT;
	if (stop != NULL && s->pend.n == 0) {
		tn_codec_rows_add(rows, in->p, n, s->row_line);
	} else {
		tn_buf_add(&s->pend, in->p, n);
		if (s->pend.failed)
			return TN_ENOMEM;
	}
	if (stop != NULL && s->pend.n > 0) {
		tn_codec_rows_add(rows, s->pend.p, s->pend.n, s->row_line);
		tn_buf_clear(&s->pend);
	}
	if (stop != NULL)
		s->step = s->in_array ? JSON_AFTER : JSON_DONE;
	in->p += n;
	in->n -= n;
	return rows->raw.failed ? TN_ENOMEM : TN_OK;
}

/* Give out the first bytes of pend as a bad row. */
static void
cut_piece(struct tn_codec_splitter *s, struct tn_codec_rows *rows)
{
	const uint8_t *p = s->pend.p;
	const uint8_t *first = tn_codec_scan_blank(p, p + s->pend.n);
	size_t n = s->pend.n, last = n;
	bool brace = false;

	tn_assert(n > 0);
	if (first < p + n && *first == '{') {
		for (; is_blank(p[last - 1]) || p[last - 1] == '}'; last--)
			brace |= p[last - 1] == '}';
		n = brace ? last : n;
	}
	tn_codec_rows_add(rows, p, n, s->row_line);
	for (size_t i = 0; i < n; i++)
		s->row_line += p[i] == '\n';
	memmove(s->pend.p, s->pend.p + n, s->pend.n - n);
	s->pend.n -= n;
}

static enum tn_status
split_broken(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows)
{
	size_t n = s->row_bytes_max - s->pend.n;

	if (n > in->n)
		n = in->n;
	tn_buf_add(&s->pend, in->p, n);
	if (s->pend.failed)
		return TN_ENOMEM;
	in->p += n;
	in->n -= n;
	if (s->pend.n == s->row_bytes_max)
		cut_piece(s, rows);
	return rows->raw.failed ? TN_ENOMEM : TN_OK;
}

/* Between values: look at the next byte that is no blank. */
static void
split_between(struct tn_codec_splitter *s, struct tn_slice *in)
{
	uint8_t c = *in->p;
	bool taken = false;

	s->row_line = s->line;
	switch ((enum json_step)s->step) {
	case JSON_START:
		taken = s->in_array = c == '[';
		s->step = taken ? JSON_FIRST : JSON_VALUE;
		break;
	case JSON_FIRST:
		taken = c == ']';
		s->step = taken ? JSON_DONE : JSON_VALUE;
		break;
	case JSON_NEXT:
		s->step = JSON_VALUE;
		break;
	case JSON_AFTER:
		taken = c == ',' || c == ']';
		s->step = c == ',' ? JSON_NEXT :
		    c == ']' ? JSON_DONE : JSON_BROKEN;
		break;
	default:
		s->step = c == '{' && !s->in_array ? JSON_VALUE : JSON_BROKEN;
		break;
	}
	if (s->step == JSON_VALUE && (c == ',' || c == ']' || c == '}'))
		s->step = JSON_BROKEN;
	in->p += taken;
	in->n -= taken;
}

enum tn_status
tn_codec_split_json(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max)
{
	enum tn_status st = TN_OK;

	while (st == TN_OK && in->n > 0 && rows->raw.n < raw_max) {
		if (s->step == JSON_VALUE) {
			st = split_value(s, in, rows);
		} else if (s->step == JSON_BROKEN) {
			st = split_broken(s, in, rows);
		} else {
			skip_blanks(s, in);
			if (in->n > 0)
				split_between(s, in);
		}
	}
	return st;
}

enum tn_status
tn_codec_split_json_end(struct tn_codec_splitter *s,
    struct tn_codec_rows *rows)
{
	switch ((enum json_step)s->step) {
	case JSON_START:
	case JSON_DONE:
		break;
	case JSON_VALUE:
		tn_codec_rows_add(rows, s->pend.p, s->pend.n, s->row_line);
		break;
	case JSON_BROKEN:
		while (s->pend.n > 0)
			cut_piece(s, rows);
		break;
	default:
		/* The array was not closed: a row without bytes says so. */
		tn_codec_rows_add(rows, "", 0, s->line);
		break;
	}
	return rows->raw.failed ? TN_ENOMEM : TN_OK;
}

/* split_csv: a CSV body into the raw bytes of its records (RFC 4180), so
 * that a stray quote spoils one line and not the rest of the file.
 *
 * A field is quoted when its first byte is a quote; quotes elsewhere are
 * plain text. A quoted field may hold line ends, and such a record is taken
 * only if all of this holds:
 *   - each closing quote is followed by a delimiter, a line end or the end
 *   - the record has as many fields as the header (columns=, first record)
 *   - it is not longer than row_bytes_max
 *   - not too much was read ahead in vain before (LOST_FACTOR below)
 * Otherwise the first line alone is the record, a bad one, and the next line
 * starts afresh: the unclosed quote makes the decoder refuse it, today and
 * when it is decoded again from bronze.
 *
 * Line ends are LF or CRLF, also mixed. Empty lines are no records. A file whose
 * lines end with CR alone is one long header: that it has CRs outside of quotes
 * is noted (header_cr), so that somebody says it. */
#include "codec/codec_int.h"

#include <string.h>

enum csv_step {
	CSV_FIELD,     /* At the first byte of a field. */
	CSV_PLAIN,     /* In a field without quotes. */
	CSV_QUOTED,
	CSV_QUOTE,     /* After a quote in a quoted field. */
	CSV_SPOILT     /* The first line is bad; look for its end. */
};
enum csv_found {
	CSV_MORE,      /* The record goes on behind the window. */
	CSV_RECORD,
	CSV_FIRST_LINE /* Take only the first line. */
};

/* Once this many times row_bytes_max were read ahead in vain, quoted line
 * ends are not looked for any more: bounds the work on hostile bodies. */
#define LOST_FACTOR 64

struct window {
	const uint8_t *p;
	size_t n;
	bool final;    /* No more bytes will come. */
};

/* Quotes are wrong, or the record is no record: spoil the first line. */
static enum csv_found
spoil(struct tn_codec_splitter *s)
{
	s->csv.step = CSV_SPOILT;
	if (s->csv.first_end == 0)
		return CSV_MORE;
	s->lost += s->csv.at < s->row_bytes_max ? s->csv.at :
	    s->row_bytes_max;
	return CSV_FIRST_LINE;
}

/* A delimiter was passed; too many fields end a record of many lines. */
static enum csv_found
next_field(struct tn_codec_splitter *s)
{
	struct tn_codec_csv_scan *c = &s->csv;

	c->at++;
	c->fields++;
	c->step = CSV_FIELD;
	if (c->lines > 0 && s->fields_due > 0 && c->fields >= s->fields_due)
		return spoil(s);
	return CSV_MORE;
}

static enum csv_found
end_record(struct tn_codec_splitter *s)
{
	struct tn_codec_csv_scan *c = &s->csv;

	c->fields++;
	if (c->lines > 0 && s->fields_due > 0 && c->fields != s->fields_due)
		return spoil(s);
	if (c->lines > 0 && c->at > s->row_bytes_max)
		return spoil(s);
	return CSV_RECORD;
}

static enum csv_found
scan_plain(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;
	uint8_t delimiter = (uint8_t)s->spec->delimiter;

	while (c->at < w->n && w->p[c->at] != delimiter &&
	    w->p[c->at] != '\n')
		c->at++;
	if (c->at == w->n)
		return w->final ? end_record(s) : CSV_MORE;
	return w->p[c->at] == '\n' ? end_record(s) : next_field(s);
}

static enum csv_found
scan_quoted(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;
	const uint8_t *p = w->p + c->at, *quote, *lf;
	size_t n = w->n - c->at;

	quote = memchr(p, '"', n);
	if (quote != NULL)
		n = (size_t)(quote - p);
	while ((lf = memchr(p, '\n', n)) != NULL) {
		if (c->first_end == 0)
			c->first_end = (size_t)(lf + 1 - w->p);
		c->lines++;
		n -= (size_t)(lf + 1 - p);
		p = lf + 1;
	}
	if (c->lines > 0 && s->lost > s->row_bytes_max * LOST_FACTOR) {
		c->at = c->first_end;
		return spoil(s);
	}
	c->at = quote == NULL ? w->n : (size_t)(quote - w->p) + 1;
	if (quote != NULL)
		c->step = CSV_QUOTE;
	else if (w->final)
		return spoil(s);
	return CSV_MORE;
}

static enum csv_found
scan_quote(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;
	size_t left = w->n - c->at;
	const uint8_t *p = w->p + c->at;

	if (left == 0)
		return w->final ? end_record(s) : CSV_MORE;
	if (*p == '"') {
		c->at++;
		c->step = CSV_QUOTED;
		return CSV_MORE;
	}
	if (*p == (uint8_t)s->spec->delimiter)
		return next_field(s);
	if (*p == '\r' && left == 1 && !w->final)
		return CSV_MORE;
	if (*p == '\r' && (left == 1 || p[1] == '\n'))
		c->at++;
	if (c->at == w->n || w->p[c->at] == '\n')
		return end_record(s);
	return spoil(s);
}

static enum csv_found
scan_spoilt(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;
	const uint8_t *lf = memchr(w->p + c->at, '\n', w->n - c->at);

	c->at = lf == NULL ? w->n : (size_t)(lf - w->p);
	if (lf != NULL || w->final)
		return CSV_RECORD;
	return CSV_MORE;
}

/* A line without quotes needs no steps; most lines are like that. */
static bool
scan_simple(struct tn_codec_splitter *s, const struct window *w)
{
	const uint8_t *lf = memchr(w->p, '\n', w->n), *p = w->p;

	if (lf == NULL || memchr(w->p, '"', (size_t)(lf - w->p)) != NULL)
		return false;
	s->csv.at = (size_t)(lf - w->p);
	s->csv.fields = 1;
	for (; s->fields_due == 0 && p < lf; p++)
		s->csv.fields += *p == (uint8_t)s->spec->delimiter;
	return true;
}

static enum csv_found
scan_field(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;

	if (c->at < w->n && w->p[c->at] == '"') {
		c->at++;
		c->step = CSV_QUOTED;
	} else if (c->at < w->n || w->final) {
		c->step = CSV_PLAIN;
	}
	return CSV_MORE;
}

static enum csv_found
scan_step(struct tn_codec_splitter *s, const struct window *w)
{
	switch ((enum csv_step)s->csv.step) {
	case CSV_FIELD: return scan_field(s, w);
	case CSV_PLAIN: return scan_plain(s, w);
	case CSV_QUOTED: return scan_quoted(s, w);
	case CSV_QUOTE: return scan_quote(s, w);
	case CSV_SPOILT: return scan_spoilt(s, w);
	}
	tn_assert(!"a step");
	return CSV_MORE;
}

/* Find the end of the record at the front of the window. With anything but
 * CSV_MORE, csv.at is its length, a CR of the line end included. */
static enum csv_found
find_record(struct tn_codec_splitter *s, const struct window *w)
{
	struct tn_codec_csv_scan *c = &s->csv;
	enum csv_found found;
	size_t at;
	uint8_t step;

	if (c->at == 0 && scan_simple(s, w))
		return CSV_RECORD;
	do {
		at = c->at;
		step = c->step;
		found = scan_step(s, w);
	} while (found == CSV_MORE && (c->at != at || c->step != step));
	if (found == CSV_MORE && w->n > s->row_bytes_max + 2 &&
	    c->first_end > 0) {
		c->at = w->n;
		return spoil(s);
	}
	return found;
}

static bool
has_lone_cr(const uint8_t *p, size_t n)
{
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		quoted ^= p[i] == '"';
		if (p[i] == '\r' && !quoted && (i + 1 == n || p[i + 1] != '\n'))
			return true;
	}
	return false;
}

/* The record found at the front of the window into the rows. Sets *used. */
static enum tn_status
take_record(struct tn_codec_splitter *s, enum csv_found found,
    const struct window *w, struct tn_codec_rows *rows, size_t *used)
{
	struct tn_codec_csv_scan c = s->csv;
	size_t n = c.at;

	if (found == CSV_FIRST_LINE)
		n = c.first_end - 1;
	else
		s->line += c.lines;
	*used = n < w->n ? n + 1 : n;
	if (n > 0 && w->p[n - 1] == '\r')
		n--;
	memset(&s->csv, 0, sizeof s->csv);
	if (n > s->row_bytes_max)
		return TN_ELIMIT;
	s->line++;
	if (n == 0)
		return TN_OK;
	if (!s->header_due) {
		if (s->fields_due == 0 && c.step != CSV_SPOILT)
			s->fields_due = c.fields;
		tn_codec_rows_add(rows, w->p, n, s->line - 1 -
		    (found == CSV_FIRST_LINE ? 0 : c.lines));
		return rows->raw.failed ? TN_ENOMEM : TN_OK;
	}
	s->header_due = false;
	s->spec->header_cr = has_lone_cr(w->p, n);
	if (s->spec->columns_given)
		return TN_OK;
	if (!tn_codec_csv_names(s->spec, (struct tn_slice){ w->p, n },
	    s->spec->delimiter))
		return TN_ELIMIT;
	s->fields_due = s->spec->column_count;
	return TN_OK;
}

/* Move bytes of the input behind the unfinished record: up to its next line
 * end, so that the lines after it need no copy; all of them when they were
 * the window, which is then at most row_bytes_max + 2 long. */
static enum tn_status
pull(struct tn_codec_splitter *s, struct tn_slice *in)
{
	const uint8_t *lf = memchr(in->p, '\n', in->n);
	size_t n = lf == NULL || s->pend.n == 0 ? in->n :
	    (size_t)(lf + 1 - in->p);

	if (n > s->row_bytes_max + 3)
		n = s->row_bytes_max + 3;
	if (s->pend_at > s->pend.n / 2) {
		s->pend.n -= s->pend_at;
		memmove(s->pend.p, s->pend.p + s->pend_at, s->pend.n);
		s->pend_at = 0;
	}
	tn_buf_add(&s->pend, in->p, n);
	in->p += n;
	in->n -= n;
	return s->pend.failed ? TN_ENOMEM : TN_OK;
}

enum tn_status
tn_codec_split_csv(struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max)
{
	enum tn_status st = TN_OK;
	enum csv_found found;
	struct window w;
	bool direct;
	size_t used;

	while (st == TN_OK && rows->raw.n < raw_max) {
		direct = s->pend.n == 0;
		w = (struct window){ in->p, in->n, false };
		if (!direct)
			w = (struct window){ s->pend.p + s->pend_at,
			    s->pend.n - s->pend_at, false };
		if (w.n == 0 && in->n == 0)
			break;
		found = find_record(s, &w);
		if (found == CSV_MORE && s->csv.first_end == 0 &&
		    w.n > s->row_bytes_max + 2)
			return TN_ELIMIT;
		if (found == CSV_MORE && in->n == 0)
			break;
		if (found == CSV_MORE) {
			st = pull(s, in);
			continue;
		}
		st = take_record(s, found, &w, rows, &used);
		if (direct) {
			in->p += used;
			in->n -= used;
			continue;
		}
		s->pend_at += used;
		if (s->pend_at == s->pend.n) {
			tn_buf_clear(&s->pend);
			s->pend_at = 0;
		}
	}
	return st;
}

enum tn_status
tn_codec_split_csv_end(struct tn_codec_splitter *s,
    struct tn_codec_rows *rows)
{
	enum tn_status st = TN_OK;
	enum csv_found found;
	struct window w;
	size_t used;

	while (st == TN_OK && s->pend_at < s->pend.n) {
		w = (struct window){ s->pend.p + s->pend_at,
		    s->pend.n - s->pend_at, true };
		found = find_record(s, &w);
		tn_assert(found != CSV_MORE);
		st = take_record(s, found, &w, rows, &used);
		s->pend_at += used;
	}
	s->pend_at = 0;
	return st;
}

/* csv_decode: one CSV record into the open row, and the cutting of lines into
 * fields that header lines and columns= need too.
 *
 * A field is quoted when its first byte is a quote; a quote elsewhere is
 * plain text. Which field fills which column is a map made once the names
 * are known; without names, fields fill the columns in order.
 *
 * Null is: in a text column, the empty field without quotes, or only the
 * null= text when that is given; in any other column, the empty or blank
 * field and the null= text. */
#include "codec/codec_int.h"

#include <string.h>

typedef uint8_t v16 __attribute__((vector_size(16)));

/* ---- fields ---------------------------------------------------------- */

static const uint8_t *
find_delimiter(const uint8_t *p, const uint8_t *end, char delimiter)
{
	v16 x, m, mark = { 0 };
	uint64_t w[2];

	mark += (uint8_t)delimiter;
	for (; end - p >= 16; p += 16) {
		memcpy(&x, p, 16);
		m = (v16)(x == mark);
		memcpy(w, &m, 16);
		if (w[0] != 0)
			return p + (__builtin_ctzll(w[0]) >> 3);
		if (w[1] != 0)
			return p + 8 + (__builtin_ctzll(w[1]) >> 3);
	}
	while (p < end && *p != (uint8_t)delimiter)
		p++;
	return p;
}

static bool
quoted_cell(const uint8_t **at, const uint8_t *end, char delimiter,
    struct tn_codec_cell *cell, const char **what)
{
	const uint8_t *p = *at + 1, *quote = p;

	cell->quoted = true;
	for (;;) {
		quote = memchr(quote, '"', (size_t)(end - quote));
		if (quote == NULL) {
			*what = "the quote is not closed";
			return false;
		}
		if (quote + 1 == end || quote[1] != '"')
			break;
		cell->doubled = true;
		quote += 2;
	}
	cell->text = (struct tn_slice){ p, (size_t)(quote - p) };
	*at = NULL;
	if (quote + 1 == end)
		return true;
	if (quote[1] != (uint8_t)delimiter) {
		*what = "text after the closing quote";
		return false;
	}
	*at = quote + 2;
	return true;
}

bool
tn_codec_csv_cell(const uint8_t **at, const uint8_t *end, char delimiter,
    struct tn_codec_cell *cell, const char **what)
{
	const uint8_t *p = *at, *stop;

	cell->quoted = false;
	cell->doubled = false;
	if (p < end && *p == '"')
		return quoted_cell(at, end, delimiter, cell, what);
	stop = find_delimiter(p, end, delimiter);
	cell->text = (struct tn_slice){ p, (size_t)(stop - p) };
	*at = stop == end ? NULL : stop + 1;
	return true;
}

void
tn_codec_csv_undouble(struct tn_buf *out, struct tn_slice s)
{
	uint8_t *o = tn_buf_reserve(out, s.n), *o0 = o;

	if (o == NULL)
		return;
	for (size_t i = 0; i < s.n; i++) {
		*o++ = s.p[i];
		i += s.p[i] == '"';
	}
	out->n += (size_t)(o - o0);
}

/* ---- names ----------------------------------------------------------- */

static char *
name_of(const struct tn_codec_cell *cell)
{
	struct tn_slice s = cell->text;
	struct tn_buf name = { .p = tn_alloc(s.n + 1), .cap = s.n + 1 };
	char *copy;

	while (!cell->quoted && s.n > 0 && *s.p == ' ') {
		s.p++;
		s.n--;
	}
	while (!cell->quoted && s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	if (cell->doubled)
		tn_codec_csv_undouble(&name, s);
	else
		tn_buf_add(&name, s.p, s.n);
	copy = tn_strdup(tn_buf_cstr(&name));
	tn_buf_fini(&name);
	return copy;
}

bool
tn_codec_csv_names(struct tn_codec_spec *spec, struct tn_slice line,
    char delimiter)
{
	const uint8_t *at = line.p, *end = line.p + line.n, *from;
	uint32_t count = 0, cap = 0;
	struct tn_codec_cell cell;
	char **names = NULL;
	const char *what;

	while (at != NULL && count < TN_CODEC_FIELDS_MAX) {
		from = at;
		if (!tn_codec_csv_cell(&at, end, delimiter, &cell, &what)) {
			cell.text = (struct tn_slice){ from,
			    (size_t)(end - from) };
			cell.quoted = cell.doubled = false;
			at = NULL;
		}
		if (count == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			names = tn_realloc(names, cap * sizeof *names);
		}
		names[count++] = name_of(&cell);
	}
	if (at != NULL) {
		while (count > 0)
			tn_free(names[--count]);
		tn_free(names);
		return false;
	}
	for (uint32_t i = 0; i < spec->column_count; i++)
		tn_free(spec->columns[i]);
	tn_free(spec->columns);
	spec->columns = names;
	spec->column_count = count;
	return true;
}

/* Names of the spec to fields; of two equal names the last one counts.
 * Without names, the columns in order: -2 - column. Made for every call,
 * because the next body may bring another header. */
void
tn_codec_csv_map(struct tn_codec_decoder *d)
{
	const struct tn_codec_spec *spec = d->spec;
	uint32_t n = spec->column_count > 0 ? spec->column_count :
	    d->schema->count;
	struct tn_codec_field *f;

	if (n > d->map_cap) {
		d->map = tn_realloc(d->map, n * sizeof *d->map);
		d->map_cap = n;
	}
	d->map_count = n;
	for (uint32_t i = 0; i < n; i++) {
		if (spec->column_count == 0) {
			d->map[i] = -2 - (int32_t)i;
			continue;
		}
		d->map[i] = tn_codec_field_get(d,
		    tn_slice_of(spec->columns[i]));
		if (d->map[i] < 0)
			continue;
		f = &d->fields[d->map[i]];
		if (f->place >= 0)
			d->map[f->place] = -1;
		f->place = (int32_t)i;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (d->map[i] >= 0)
			d->fields[d->map[i]].place = -1;
	}
}

/* ---- rows ------------------------------------------------------------ */

static bool
is_null(const struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_cell *cell)
{
	const char *null_text = d->spec->null_text;
	struct tn_slice s = cell->text;

	if (null_text != NULL && !cell->quoted && tn_slice_is(s, null_text))
		return true;
	if (d->schema->fields[col].type.id == TN_T_TEXT)
		return s.n == 0 && !cell->quoted && null_text == NULL;
	while (s.n > 0 && *s.p == ' ') {
		s.p++;
		s.n--;
	}
	return s.n == 0;
}

static void
put_cell(struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_cell *cell)
{
	struct tn_slice s = cell->text;

	if (d->why != NULL)
		return;
	d->filled++;
	if (is_null(d, col, cell)) {
		tn_record_builder_null(d->b, col);
		return;
	}
	if (cell->doubled) {
		tn_buf_clear(&d->text);
		tn_codec_csv_undouble(&d->text, s);
		if (d->text.failed) {
			(void)tn_codec_no_memory(d, (int32_t)col);
			return;
		}
		s = (struct tn_slice){ d->text.p, d->text.n };
	}
	if (d->schema->fields[col].type.id == TN_T_TEXT)
		(void)tn_codec_put_string(d, col, s);
	else
		(void)tn_codec_put_text(d, col, s);
}

/* A field into every column that takes it. */
static void
put_field(struct tn_codec_decoder *d, int32_t field,
    const struct tn_codec_cell *cell)
{
	if (field <= -2) {
		put_cell(d, (uint32_t)(-2 - field), cell);
		return;
	}
	for (; field >= 0; field = d->fields[field].also) {
		if (d->fields[field].column >= 0)
			put_cell(d, (uint32_t)d->fields[field].column, cell);
	}
}

static bool
wrong_count(struct tn_codec_decoder *d, uint32_t found)
{
	uint32_t due = d->map_count;
	const char *whose = d->spec->columns_given ? "columns= names" :
	    d->spec->column_count > 0 ? "the header names" :
	    "the stream has";

	d->why = NULL;
	return tn_codec_fail(d, "wrong_field_count", -1,
	    "found %u fields, %s %u%s", found, whose, due,
	    d->spec->columns_given || found < due ? "" :
	    "; use columns=a,b,... to name every field");
}

static bool
check_bytes(struct tn_codec_decoder *d, struct tn_slice row)
{
	if (!tn_utf8_valid(row.p, row.n))
		return tn_codec_fail(d, "bad_utf8", -1,
		    "text is not UTF-8: %s", tn_codec_quote(d, row));
	if (memchr(row.p, 0, row.n) != NULL)
		return tn_codec_fail(d, "nul_character", -1,
		    "text cannot hold a zero byte: %s",
		    tn_codec_quote(d, row));
	return true;
}

bool
tn_codec_csv_row(struct tn_codec_decoder *d, struct tn_slice row)
{
	const uint8_t *at = row.p, *end = row.p + row.n;
	struct tn_codec_cell cell;
	const char *what;
	uint32_t n = 0;

	if (!check_bytes(d, row))
		return false;
	for (; at != NULL; n++) {
		if (!tn_codec_csv_cell(&at, end, d->spec->delimiter, &cell,
		    &what)) {
			d->why = NULL;
			return tn_codec_fail(d, "csv_syntax", -1,
			    "%s in field %u: %s", what, n + 1,
			    tn_codec_quote(d, row));
		}
		if (n < d->map_count)
			put_field(d, d->map[n], &cell);
	}
	if (n != d->map_count)
		return wrong_count(d, n);
	return d->why == NULL;
}

/* encode: batches as CSV lines, JSON arrays and NDJSON objects, appended to a
 * buffer whose failure the caller looks at once, at the end.
 *
 * CSV reads back as it was: null is the empty field, an empty text is "" in
 * quotes. Lines end with LF. */
#include "codec/codec_int.h"

#include <string.h>

/* ---- CSV ------------------------------------------------------------- */

static bool
needs_quotes(struct tn_slice s)
{
	if (s.n == 0)
		return true;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == ',' || c == '"' || c == '\n' || c == '\r')
			return true;
	}
	return false;
}

void
tn_codec_csv_field(struct tn_buf *out, struct tn_slice s)
{
	const uint8_t *quote;
	size_t n;

	if (!needs_quotes(s)) {
		tn_buf_add(out, s.p, s.n);
		return;
	}
	tn_buf_char(out, '"');
	while (s.n > 0) {
		quote = memchr(s.p, '"', s.n);
		n = quote == NULL ? s.n : (size_t)(quote - s.p) + 1;
		tn_buf_add(out, s.p, n);
		if (quote != NULL)
			tn_buf_char(out, '"');
		s.p += n;
		s.n -= n;
	}
	tn_buf_char(out, '"');
}

void
tn_codec_csv_header(struct tn_buf *out, const struct tn_schema *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (i > 0)
			tn_buf_char(out, ',');
		tn_codec_csv_field(out, tn_slice_of(s->fields[i].name));
	}
	tn_buf_char(out, '\n');
}

/* Types whose text never holds a comma, a quote or a line end. */
static bool
is_plain(enum tn_type_id id)
{
	return id != TN_T_TEXT && id != TN_T_JSONB && id != TN_T_BYTES;
}

static void
csv_value(struct tn_buf *out, struct tn_buf *scratch,
    const struct tn_column *c, uint32_t row)
{
	if (!tn_column_valid(c, row))
		return;
	if (is_plain(c->type.id)) {
		tn_record_print(out, c, row);
	} else if (c->type.id == TN_T_BYTES || c->dict != NULL) {
		tn_buf_clear(scratch);
		tn_record_print(scratch, c, row);
		if (scratch->failed)
			out->failed = true;
		tn_codec_csv_field(out,
		    (struct tn_slice){ scratch->p, scratch->n });
	} else {
		tn_codec_csv_field(out, tn_column_text(c, row));
	}
}

void
tn_codec_csv_rows(struct tn_buf *out, const struct tn_batch *b)
{
	struct tn_buf scratch = { 0 };

	for (uint32_t row = 0; row < b->rows; row++) {
		for (uint32_t i = 0; i < b->schema->count; i++) {
			if (i > 0)
				tn_buf_char(out, ',');
			csv_value(out, &scratch, &b->columns[i], row);
		}
		tn_buf_char(out, '\n');
	}
	tn_buf_fini(&scratch);
}

/* ---- JSON ------------------------------------------------------------ */

void
tn_codec_json_rows(struct tn_buf *out, const struct tn_batch *b,
    bool *first)
{
	for (uint32_t row = 0; row < b->rows; row++) {
		if (!*first)
			tn_buf_char(out, ',');
		*first = false;
		for (uint32_t i = 0; i < b->schema->count; i++) {
			tn_buf_char(out, i == 0 ? '[' : ',');
			tn_record_print_json(out, &b->columns[i], row);
		}
		tn_buf_str(out, b->schema->count == 0 ? "[]" : "]");
	}
}

void
tn_codec_ndjson_rows(struct tn_buf *out, const struct tn_batch *b)
{
	struct tn_buf keys = { 0 };
	size_t *ends = tn_alloc((b->schema->count + 1) * sizeof *ends);
	size_t from;

	/* {"a":  ,"b":  are written once and copied for each row. */
	for (uint32_t i = 0; i < b->schema->count; i++) {
		const char *name = b->schema->fields[i].name;
		tn_buf_str(&keys, i == 0 ? "{\"" : ",\"");
		tn_buf_json(&keys, name, strlen(name));
		tn_buf_str(&keys, "\":");
		ends[i] = keys.n;
	}
	for (uint32_t row = 0; row < b->rows; row++) {
		from = 0;
		for (uint32_t i = 0; i < b->schema->count; i++) {
			tn_buf_add(out, keys.p + from, ends[i] - from);
			from = ends[i];
			tn_record_print_json(out, &b->columns[i], row);
		}
		tn_buf_str(out, b->schema->count == 0 ? "{}\n" : "}\n");
	}
	tn_free(ends);
	tn_buf_fini(&keys);
}

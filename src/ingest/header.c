/* header: do the names of a CSV body mean this stream at all? It is refused before
 * a row is taken, with the likely cause, when
 *   - no name is a column: another table, or this one read wrongly (delimiter,
 *     encoding, capitals), all of it would be nulls
 *   - a name that is meant stands twice: one of the two fields would be lost
 *   - lines end with CR alone: all of the body would be its header
 *
 * Names that only some columns have are no mistake: fields may come and go. */
#include "ingest/ingest_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHOWN 60             /* Bytes of a name. */

static const struct tn_field *
column_of(const struct tn_schema *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->fields[i].name, name) == 0)
			return &s->fields[i];
	return NULL;
}

/* In other capitals only. */
static const struct tn_field *
like(const struct tn_schema *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcasecmp(s->fields[i].name, name) == 0)
			return &s->fields[i];
	return NULL;
}

static bool
is_meant(const struct tn_codec_spec *spec, const struct tn_schema *s,
    const char *name)
{
	for (uint32_t i = 0; i < spec->rename_count; i++)
		if (strcmp(spec->renames[i].from, name) == 0)
			return true;
	return column_of(s, name) != NULL;
}

/* What can be shown: the rest as '?'. */
static void
show(char out[SHOWN + 1], const char *name)
{
	size_t n = strlen(name), i;
	bool text = tn_utf8_valid((const uint8_t *)name, n);

	for (i = 0; i < n && i < SHOWN; i++) {
		uint8_t c = (uint8_t)name[i];
		out[i] = c < ' ' || c == 0x7f || (c >= 0x80 && !text) ? '?' :
		    name[i];
	}
	while (i > 0 && i < n && ((uint8_t)name[i] & 0xc0) == 0x80)
		i--;                     /* No half of a letter. */
	out[i] = '\0';
}

static void
hint(const struct tn_codec_spec *spec, const struct tn_schema *s,
    struct tn_diag *d)
{
	const char *first = spec->columns[0];
	const struct tn_field *same = like(s, first);
	const char *other = strpbrk(first, ";\t|");
	char shown[SHOWN + 1];

	show(shown, first);
	if ((uint8_t)first[0] >= 0xfe ||
	    !tn_utf8_valid((const uint8_t *)first, strlen(first)))
		tn_diag_hint(d, "it is no UTF-8: save it as CSV UTF-8");
	else if (spec->column_count == 1 && other != NULL &&
	    *other != spec->delimiter)
		tn_diag_hint(d, "delimiter=%s reads such a file",
		    *other == '\t' ? "tab" : *other == ';' ? ";" : "|");
	else if (same != NULL)
		tn_diag_hint(d, "capitals count: rename=%s:%s", same->name,
		    shown);
	else
		tn_diag_hint(d, "columns=A,B names the fields, "
		    "rename=COLUMN:FIELD one of them; header=false: the first "
		    "line is a row; tarn help load");
}

static bool
is_twice(const struct tn_codec_spec *spec, const char *name)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < spec->column_count; i++)
		n += strcmp(spec->columns[i], name) == 0;
	return n > 1;
}

/* A field that is taken and stands twice, or NULL. */
static const char *
find_twice(const struct tn_codec_spec *spec, const struct tn_schema *s)
{
	for (uint32_t i = 0; i < spec->rename_count; i++)
		if (is_twice(spec, spec->renames[i].from))
			return spec->renames[i].from;
	for (uint32_t i = 0; i < s->count; i++)
		if (is_twice(spec, s->fields[i].name))
			return s->fields[i].name;
	return NULL;
}

static enum tn_status
try_spec(const struct tn_codec_spec *spec,
    const struct tn_sql_table *t, struct tn_diag *d)
{
	const char *twice = find_twice(spec, t->schema);
	char shown[SHOWN + 1];

	if (twice != NULL) {
		show(shown, twice);
		tn_diag_hint(d, "columns=A,B,... names each field once");
		return tn_diag_set(d, TN_EINVAL, "column_twice",
		    "two fields are called \"%s\"", shown);
	}
	if (spec->column_count == 0 || spec->constant_count > 0)
		return TN_OK;
	for (uint32_t i = 0; i < spec->column_count; i++)
		if (is_meant(spec, t->schema, spec->columns[i]))
			return TN_OK;
	hint(spec, t->schema, d);
	show(shown, spec->columns[0]);
	return tn_diag_set(d, TN_EINVAL, "no_column", "no field is a column of "
	    "%s: the %s \"%s\"%s", t->name, spec->column_count == 1 ?
	    "only one is" : "first is", shown, spec->column_count == 1 ? "" :
	    " ...");
}

static enum tn_status
say_line_ends(struct tn_diag *d)
{
	tn_diag_hint(d, "save it with line ends LF or CRLF: tr '\\r' '\\n'");
	return tn_diag_set(d, TN_EINVAL, "line_ends", "the header line has a "
	    "carriage return that ends no line");
}

void
tn_ingest_header_try(struct tn_ingest_body *b)
{
	bool cr = b->spec->header_cr;

	if (b->header_tried || b->broken != TN_OK ||
	    b->spec->format != TN_CODEC_CSV || (b->rows.count == 0 && !cr))
		return;
	b->header_tried = true;
	if (b->rows.count > 0)
		b->broken = try_spec(b->spec,
		    b->g->o.model->streams[b->stream].table, &b->diag);
	if (b->broken == TN_OK && cr)
		b->broken = say_line_ends(&b->diag);
	if (b->broken == TN_OK)
		return;
	tn_codec_rows_clear(&b->rows);
	b->split_done = true;
}

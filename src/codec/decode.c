/* decode: rows into a record batch, one after the other; the part that all
 * formats share. It keeps the table from names of input fields to columns,
 * the names that no column takes, and the errors of the last call.
 *
 * A row either gives every column a value or null, or is bad: then all of it
 * is null and one error tells why. NOT NULL is not looked at here, because
 * defaults for absent columns come first (ingest). */
#include "codec/codec_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELD_SLOTS_MIN 64

/* ---- errors ---------------------------------------------------------- */

bool
tn_codec_fail(struct tn_codec_decoder *d, const char *code, int32_t column,
    const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (d->why != NULL)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->why = tn_arena_strdup(d->texts, code);
	d->why_column = column;
	d->message = tn_arena_strdup(d->texts, text);
	return false;
}

bool
tn_codec_no_memory(struct tn_codec_decoder *d, int32_t column)
{
	d->no_memory = true;
	return tn_codec_fail(d, "out_of_memory", column,
	    "no memory for a text");
}

const char *
tn_codec_quote(struct tn_codec_decoder *d, struct tn_slice s)
{
	char text[TN_CODEC_QUOTE_MAX * 4 + 8], *o = text;
	size_t n = s.n, size;

	if (n > TN_CODEC_QUOTE_MAX) {
		n = TN_CODEC_QUOTE_MAX;
		while (n > TN_CODEC_QUOTE_MAX - 4 &&
		    (s.p[n] & 0xc0) == 0x80)
			n--;
	}
	*o++ = '"';
	for (size_t i = 0; i < n; i += size) {
		size = 1;
		while (size < 4 && i + size < n &&
		    (s.p[i + size] & 0xc0) == 0x80)
			size++;
		if (s.p[i] >= ' ' && s.p[i] != 0x7f &&
		    tn_utf8_valid(s.p + i, size)) {
			memcpy(o, s.p + i, size);
			o += size;
		} else {
			size = 1;
			o += snprintf(o, 5, "\\x%02X", s.p[i]);
		}
	}
	memcpy(o, n < s.n ? "...\"" : "\"", n < s.n ? 5 : 2);
	return tn_arena_strdup(d->texts, text);
}

static void
add_error(struct tn_codec_decoder *d, uint32_t row)
{
	struct tn_codec_error *e;

	tn_assert(d->why != NULL && d->message != NULL);
	if (d->error_count == d->error_cap) {
		d->error_cap = d->error_cap == 0 ? 64 : d->error_cap * 2;
		d->errors = tn_realloc(d->errors,
		    d->error_cap * sizeof *d->errors);
	}
	e = &d->errors[d->error_count++];
	e->row = row;
	e->code = d->why;
	e->column = d->why_column < 0 ? "" :
	    d->schema->fields[d->why_column].name;
	e->message = d->message;
}

/* ---- names of fields ------------------------------------------------- */

static uint32_t
slot_of(const struct tn_codec_decoder *d, struct tn_slice name)
{
	uint32_t at = (uint32_t)tn_hash64(name.p, name.n, 0);
	const struct tn_codec_field *f;

	for (;; at++) {
		at &= d->slot_count - 1;
		if (d->slots[at] == 0)
			return at;
		f = &d->fields[d->slots[at] - 1];
		if (f->name_bytes == name.n &&
		    memcmp(f->name, name.p, name.n) == 0)
			return at;
	}
}

int32_t
tn_codec_field_find(const struct tn_codec_decoder *d, struct tn_slice name)
{
	return (int32_t)d->slots[slot_of(d, name)] - 1;
}

/* A new field; not in the table yet. */
static int32_t
new_field(struct tn_codec_decoder *d, struct tn_slice name, int32_t column)
{
	struct tn_codec_field *f;

	tn_assert(d->field_count < d->field_cap);
	f = &d->fields[d->field_count];
	f->name = tn_arena_strndup(d->names, (const char *)name.p, name.n);
	f->name_bytes = (uint32_t)name.n;
	f->column = column;
	f->also = -1;
	f->place = -1;
	return (int32_t)d->field_count++;
}

static void
add_unknown(struct tn_codec_decoder *d, struct tn_slice name)
{
	if (d->unknown_count == TN_CODEC_UNKNOWN_MAX)
		return;
	d->unknown[d->unknown_count++] =
	    tn_arena_strndup(d->names, (const char *)name.p, name.n);
}

int32_t
tn_codec_field_get(struct tn_codec_decoder *d, struct tn_slice name)
{
	uint32_t at = slot_of(d, name);
	int32_t f;

	if (d->slots[at] != 0)
		return (int32_t)d->slots[at] - 1;
	if (d->unknown_count == TN_CODEC_UNKNOWN_MAX ||
	    name.n > TN_CODEC_NAME_MAX ||
	    (name.n > 0 && memchr(name.p, 0, name.n) != NULL))
		return -1;
	f = new_field(d, name, -1);
	d->slots[at] = (uint32_t)f + 1;
	if (name.n > 0)
		add_unknown(d, name);
	return f;
}

/* The field with this name fills ${column} (-1: is known and ignored). */
static void
bind(struct tn_codec_decoder *d, const char *name, int32_t column)
{
	struct tn_slice text = tn_slice_of(name);
	uint32_t at = slot_of(d, text);
	int32_t f = new_field(d, text, column), other;

	if (d->slots[at] == 0) {
		d->slots[at] = (uint32_t)f + 1;
		return;
	}
	other = (int32_t)d->slots[at] - 1;
	d->fields[f].also = d->fields[other].also;
	d->fields[other].also = f;
	if (d->fields[other].column < 0) {
		d->fields[other].column = column;
		d->fields[f].column = -1;
	}
}

/* Name of the input field for a column; NULL for a constant, or when the
 * topic gives it. */
static const char *
source_of(const struct tn_codec_spec *spec, const char *column)
{
	for (uint32_t i = 0; i < spec->constant_count; i++) {
		if (strcmp(spec->constants[i].name, column) == 0)
			return NULL;
	}
	for (uint32_t i = 0; i < spec->rename_count; i++) {
		if (strcmp(spec->renames[i].to, column) == 0)
			return spec->renames[i].from;
	}
	for (uint32_t i = 0; spec->topic != NULL &&
	    i < spec->topic->capture_count; i++) {
		if (strcmp(spec->topic->captures[i].column, column) == 0)
			return NULL;
	}
	return column;
}

static void
bind_all(struct tn_codec_decoder *d)
{
	const struct tn_schema *schema = d->schema;
	const struct tn_codec_spec *spec = d->spec;
	const char *source;
	struct tn_slice name;

	for (uint32_t i = 0; i < schema->count; i++) {
		source = source_of(spec, schema->fields[i].name);
		if (source == NULL)
			bind(d, schema->fields[i].name, -1);
		else
			bind(d, source, (int32_t)i);
	}
	for (uint32_t i = 0; i < spec->rename_count; i++) {
		name = tn_slice_of(spec->renames[i].to);
		if (tn_record_schema_find(schema, name) < 0)
			add_unknown(d, name);
	}
	for (uint32_t i = 0; i < spec->constant_count; i++) {
		name = tn_slice_of(spec->constants[i].name);
		d->constant_columns[i] = tn_record_schema_find(schema, name);
		if (d->constant_columns[i] < 0)
			add_unknown(d, name);
	}
}

/* ---- the decoder ----------------------------------------------------- */

/* "+01:00", as tn_codec_spec_set left it. */
static int64_t
zone_us(const char *zone)
{
	int64_t minutes;

	if (zone == NULL)
		return 0;
	tn_assert(strlen(zone) == 6);
	minutes = ((zone[1] - '0') * 10 + zone[2] - '0') * 60 +
	    (zone[4] - '0') * 10 + zone[5] - '0';
	return (*zone == '-' ? -minutes : minutes) * 60000000;
}

struct tn_codec_decoder *
tn_codec_decoder_new(const struct tn_schema *schema,
    const struct tn_codec_spec *spec)
{
	struct tn_codec_decoder *d = tn_zalloc(sizeof *d);

	tn_assert(schema->count <= TN_COLUMNS_MAX);
	d->schema = schema;
	d->spec = spec;
	d->zone_us = zone_us(spec->time_zone);
	d->names = tn_arena_new(4096);
	d->texts = tn_arena_new(4096);
	d->field_cap = schema->count + TN_CODEC_UNKNOWN_MAX + 1;
	d->fields = tn_zalloc(d->field_cap * sizeof *d->fields);
	d->slot_count = FIELD_SLOTS_MIN;
	while (d->slot_count < d->field_cap * 2)
		d->slot_count *= 2;
	d->slots = tn_zalloc(d->slot_count * sizeof *d->slots);
	bind_all(d);
	return d;
}

const char *const *
tn_codec_decoder_unknown(const struct tn_codec_decoder *d)
{
	return d->unknown;
}

void
tn_codec_decoder_free(struct tn_codec_decoder *d)
{
	if (d == NULL)
		return;
	tn_arena_free(d->names);
	tn_arena_free(d->texts);
	tn_free(d->fields);
	tn_free(d->slots);
	tn_free(d->plan);
	tn_free(d->map);
	tn_free(d->errors);
	tn_buf_fini(&d->text);
	tn_buf_fini(&d->pad);
	tn_buf_fini(&d->value);
	tn_free(d);
}

/* ---- rows ------------------------------------------------------------ */

/* Row i; scanners may read past its end, so the last rows are copied. */
static struct tn_slice
row_at(struct tn_codec_decoder *d, const struct tn_codec_rows *rows,
    uint32_t i)
{
	static const uint8_t zeros[TN_CODEC_PAD];
	size_t start = rows->start[i], n = rows->length[i];

	tn_assert(start <= rows->raw.n && n <= rows->raw.n - start);
	if (rows->raw.n - start - n >= TN_CODEC_PAD)
		return (struct tn_slice){ rows->raw.p + start, n };
	tn_buf_clear(&d->pad);
	if (n > 0)
		tn_buf_add(&d->pad, rows->raw.p + start, n);
	tn_buf_add(&d->pad, zeros, sizeof zeros);
	if (d->pad.failed) {
		(void)tn_codec_no_memory(d, -1);
		return (struct tn_slice){ zeros, 0 };
	}
	return (struct tn_slice){ d->pad.p, n };
}

static bool
put_constants(struct tn_codec_decoder *d)
{
	const struct tn_codec_spec *spec = d->spec;
	struct tn_slice text;
	int32_t col;

	for (uint32_t i = 0; i < spec->constant_count; i++) {
		col = d->constant_columns[i];
		if (col < 0)
			continue;
		if (tn_record_builder_has(d->b, (uint32_t)col))
			tn_record_builder_again(d->b, (uint32_t)col);
		else
			d->filled++;
		text = tn_slice_of(spec->constants[i].text);
		if (text.n == 0 &&
		    d->schema->fields[col].type.id != TN_T_TEXT)
			tn_record_builder_null(d->b, (uint32_t)col);
		else if (!tn_codec_put_text(d, (uint32_t)col, text))
			return false;
	}
	return true;
}

static void
note_absent(const struct tn_codec_decoder *d, uint8_t *bits)
{
	if (d->filled == d->schema->count)
		return;
	for (uint32_t i = 0; i < d->schema->count; i++) {
		if (!tn_record_builder_has(d->b, i))
			bits[i / 8] |= (uint8_t)(1u << (i % 8));
	}
}

static bool
decode_as(struct tn_codec_decoder *d, struct tn_slice row)
{
	switch (d->spec->format) {
	case TN_CODEC_CSV:
		return tn_codec_csv_row(d, row);
	case TN_CODEC_MESSAGE:
		return tn_codec_message_row(d, row);
	default:
		return tn_codec_json_row(d, row);
	}
}

static bool
decode_row(struct tn_codec_decoder *d, const struct tn_codec_rows *rows,
    uint32_t i)
{
	struct tn_slice row;

	d->why = NULL;
	d->message = NULL;
	d->filled = 0;
	row = row_at(d, rows, i);
	if (d->why != NULL)
		return false;
	if (!decode_as(d, row))
		return false;
	return d->spec->constant_count == 0 || put_constants(d);
}

bool
tn_codec_decoder_no_memory(const struct tn_codec_decoder *d)
{
	return d->no_memory;
}

void
tn_codec_decode(struct tn_codec_decoder *d,
    const struct tn_codec_rows *rows, const uint8_t *skip,
    struct tn_builder *b, uint8_t *absent,
    const struct tn_codec_error **errors, uint32_t *error_count)
{
	size_t stride = (d->schema->count + 7) / 8;

	d->b = b;
	d->no_memory = false;
	d->error_count = 0;
	tn_arena_reset(d->texts);
	if (absent != NULL)
		memset(absent, 0, stride * rows->count);
	if (d->spec->format == TN_CODEC_CSV)
		tn_codec_csv_map(d);
	for (uint32_t i = 0; i < rows->count; i++) {
		if (skip != NULL && skip[i] != 0) {
			;
		} else if (decode_row(d, rows, i)) {
			if (absent != NULL)
				note_absent(d, absent + stride * i);
		} else {
			tn_record_builder_row_undo(b);
			add_error(d, i);
		}
		tn_record_builder_row_end(b);
	}
	d->b = NULL;
	*errors = d->errors;
	*error_count = d->error_count;
}

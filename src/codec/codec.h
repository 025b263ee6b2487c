/* codec: bytes to records and back; pure functions and small state machines
 * over buffers, no files, no clock. Every decoder here is fuzzed.
 *
 * Intake has two steps, so that each row's raw bytes are known exactly and
 * one bad row spoils only itself:
 *   split   a body, as it arrives, into rows (raw bytes of each row)
 *   decode  rows of one format into a record batch, each row good or bad  */
#ifndef TN_CODEC_CODEC_H
#define TN_CODEC_CODEC_H

#include "base/base.h"
#include "record/record.h"

/* ---- how to read a body ---------------------------------------------- */

enum tn_codec_format {
	TN_CODEC_JSON,     /* One value: an object, or an array of objects. */
	TN_CODEC_NDJSON,   /* One object a line (RFC 8259 each). */
	TN_CODEC_CSV,      /* RFC 4180, first line is a header unless said. */
};
#define TN_CODEC_RENAMES_MAX 64

/* Load options: query parameters of the HTTP door and flags of tarn load.
 * The text form (tn_codec_spec_text) is stored with every block, so that a
 * row can be decoded again from bronze, years later. */
struct tn_codec_spec {
	enum tn_codec_format format;
	/* CSV only. */
	char delimiter;          /* ',' */
	bool no_header;          /* The first line is data. */
	char *null_text;         /* NULL: an empty unquoted field is null. */
	/* Names of the fields in order. From columns= (the header line, if
	 * any, is then skipped) or from the header line once it was read.
	 * columns_given: from columns=. */
	char **columns;
	uint32_t column_count;
	bool columns_given;
	/* All formats. */
	char *time_format;       /* strptime letters; NULL: ISO 8601. */
	char *time_zone;         /* Offset for times without one; NULL: UTC.
	                            Only fixed offsets, "+01:00". */
	/* Field "from" of the input fills column "to". */
	struct { char *from; char *to; } renames[TN_CODEC_RENAMES_MAX];
	uint32_t rename_count;
	/* Column "name" gets this text in every row (as a CSV field would). */
	struct { char *name; char *text; } constants[TN_CODEC_RENAMES_MAX];
	uint32_t constant_count;
};
void tn_codec_spec_init(struct tn_codec_spec *s, enum tn_codec_format f);
void tn_codec_spec_fini(struct tn_codec_spec *s);
/* One option: name is one of delimiter, header (true|false), null, columns
 * (comma separated), time_format, time_zone, rename (to:from), constant
 * (name:text), format. TN_EINVAL fills ${d}; TN_ENOTFOUND: not a load
 * option. */
TN_MUST_USE enum tn_status tn_codec_spec_set(struct tn_codec_spec *s,
    struct tn_slice name, struct tn_slice value, struct tn_diag *d);
/* Canonical text form, parsed back by tn_codec_spec_parse. Equal specs have
 * equal texts. */
void tn_codec_spec_text(const struct tn_codec_spec *s, struct tn_buf *out);
TN_MUST_USE enum tn_status tn_codec_spec_parse(struct tn_codec_spec *s,
    struct tn_slice text);

/* ---- splitting ------------------------------------------------------- */

/* Rows found: row i is raw[start[i] .. start[i]+length[i]); rows lie one after
 * the other without gaps. The raw bytes of NDJSON and CSV rows have no line
 * end; those of array elements no blanks or commas around them. line[i]: line
 * of the body where the row starts. A row of no bytes stands for the missing
 * end of an array. After tn_codec_rows_add look at raw.failed. */
struct tn_codec_rows {
	struct tn_buf raw;
	uint32_t *start;
	uint32_t *length;
	uint32_t *line;
	uint32_t count;
	uint32_t cap;
};
void tn_codec_rows_clear(struct tn_codec_rows *r);
void tn_codec_rows_fini(struct tn_codec_rows *r);
void tn_codec_rows_add(struct tn_codec_rows *r, const void *p, size_t n,
    uint32_t line);

struct tn_codec_splitter;
/* Borrows ${spec} and, for CSV with a header, fills its columns from the
 * first line. row_bytes_max bounds one row: 16 bytes to 1 GiB. One body. */
struct tn_codec_splitter *
tn_codec_splitter_new(struct tn_codec_spec *spec, size_t row_bytes_max);
/* Take from the front of ${in} (moved on) until it is empty or ${rows} holds
 * ${raw_max} bytes or more. TN_OK: all fine, look at in->n. TN_ELIMIT: a row
 * is larger than row_bytes_max (or a header has more than 4096 names); rows
 * before it are in ${rows} and nothing will follow. TN_ENOMEM. A broken array
 * (JSON) gives its remaining bytes, piece by piece of at most row_bytes_max,
 * as bad rows that decode to code json_syntax. */
TN_MUST_USE enum tn_status tn_codec_splitter_feed(
    struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max);
/* The body is over: the last row without a line end, or an unfinished value
 * (as a bad row). Adds what was left, at most one row_bytes_max and some. */
TN_MUST_USE enum tn_status tn_codec_splitter_end(
    struct tn_codec_splitter *s, struct tn_codec_rows *rows);
void tn_codec_splitter_free(struct tn_codec_splitter *s);

/* ---- decoding -------------------------------------------------------- */

/* Why a row is bad. Texts live in the decoder until its next call. */
struct tn_codec_error {
	uint32_t row;
	const char *code;      /* "json_syntax", "not_a_number",
	                          "out_of_range", "bad_timestamp", ... */
	const char *column;    /* Or "" when none is to blame. */
	const char *message;   /* "expected a number, found \"n/a\"" */
};
struct tn_codec_decoder;
/* For one schema and one spec; keeps the key order of the row before. One
 * thread. Borrows both. NOT NULL is not looked at: defaults for absent
 * columns come first (ingest). Numbers must be exact for integer columns
 * ("1.0" and 1e3 are fine for an integer, 1.5 is not); text columns take any
 * scalar's raw text; numeric and timestamp columns take JSON strings too;
 * timestamp columns take JSON numbers as seconds, milli-, micro- or
 * nanoseconds since 1970 by magnitude. jsonb takes any value. README.md has
 * the codes and the rules for CSV. */
struct tn_codec_decoder *
tn_codec_decoder_new(const struct tn_schema *schema,
    const struct tn_codec_spec *spec);
/* Append one row a slot to ${b}, whose schema it is. A bad row is all null
 * and has an entry in errors (at most one a row, in row order). ${skip}, if
 * not NULL, marks rows (non-zero) that get an all-null row without decoding.
 * absent, if not NULL: bit set (row-major, columns rounded up to bytes) for
 * every column that the row does not mention at all; sized by the caller. */
void tn_codec_decode(struct tn_codec_decoder *d,
    const struct tn_codec_rows *rows, const uint8_t *skip,
    struct tn_builder *b, uint8_t *absent,
    const struct tn_codec_error **errors, uint32_t *error_count);
/* Field names met that no column takes, each once in the life of the
 * decoder, NULL-terminated, at most 256. */
const char *const *tn_codec_decoder_unknown(const struct tn_codec_decoder *d);
void tn_codec_decoder_free(struct tn_codec_decoder *d);

/* ---- JSON as a tree (small inputs) ----------------------------------- */

enum tn_json_kind {
	TN_JSON_NULL, TN_JSON_FALSE, TN_JSON_TRUE, TN_JSON_NUMBER,
	TN_JSON_STRING, TN_JSON_ARRAY, TN_JSON_OBJECT
};
struct tn_json {
	enum tn_json_kind kind;
	struct tn_slice text;    /* NUMBER: as written. STRING: decoded. */
	uint32_t count;
	struct tn_json *items;   /* ARRAY, OBJECT values. */
	struct tn_slice *keys;   /* OBJECT, in order, last duplicate wins. */
};
/* Strict RFC 8259, depth at most 512. The tree lives in ${a}. On error
 * d->column is the byte (from 1). */
TN_MUST_USE enum tn_status tn_codec_json_parse(struct tn_arena *a,
    struct tn_slice text, struct tn_json **out, struct tn_diag *d);
/* NULL when absent or not an object. */
const struct tn_json *tn_codec_json_get(const struct tn_json *o,
    const char *key);
/* Text that PostgreSQL prints for the value as jsonb: keys by length then
 * bytes, ", " and ": ", numbers in plain form. TN_EINVAL: not JSON. */
TN_MUST_USE enum tn_status tn_codec_jsonb(struct tn_buf *out,
    struct tn_slice text);

/* ---- encoding -------------------------------------------------------- */

/* A CSV field, quoted when needed. */
void tn_codec_csv_field(struct tn_buf *out, struct tn_slice s);
/* Rows as CSV lines ("\n"), as JSON arrays "[1,"a"],..." separated by commas,
 * or as objects one a line. */
void tn_codec_csv_header(struct tn_buf *out, const struct tn_schema *s);
void tn_codec_csv_rows(struct tn_buf *out, const struct tn_batch *b);
void tn_codec_json_rows(struct tn_buf *out, const struct tn_batch *b,
    bool *first);
void tn_codec_ndjson_rows(struct tn_buf *out, const struct tn_batch *b);

#endif

/* codec_int: what the files of codec share.
 *
 * Three layers, lowest first:
 *   scan     one JSON token, checked to the letter (json_scan.c)
 *   convert  a text or number into a typed column (convert.c)
 *   decode   rows of one format into a batch (decode.c with json_decode.c
 *            or csv_decode.c)
 *
 * Scanners may read up to TN_CODEC_PAD bytes behind the end that they are
 * told (never believing them), so that they can take 16 bytes at a time;
 * whoever calls them makes sure that those bytes may be read. */
#ifndef TN_CODEC_CODEC_INT_H
#define TN_CODEC_CODEC_INT_H

#include "codec/codec.h"

#include <assert.h>

/* The tricks with eight bytes in a register count from the low end. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

#define TN_CODEC_PAD 32
#define TN_CODEC_DEPTH_MAX 512
#define TN_CODEC_QUOTE_MAX 60     /* Bytes of a value shown in a message. */
#define TN_CODEC_UNKNOWN_MAX 256  /* Names remembered. */
#define TN_CODEC_NAME_MAX 255     /* Bytes of a name remembered. */
#define TN_CODEC_FIELDS_MAX 4096  /* Fields of a CSV line. */

/* ---- scan ------------------------------------------------------------ */

/* Bytes under a scanner, and the first thing that was wrong with them. */
struct tn_codec_scan {
	const uint8_t *begin;
	const uint8_t *end;
	const char *code;        /* NULL: nothing wrong so far. */
	const char *what;        /* "expected a value" */
	const uint8_t *where;
};
/* A string without its quotes, still escaped. */
struct tn_codec_str {
	const uint8_t *p;
	size_t n;
	bool escaped;            /* Has a backslash: unescape before use. */
	bool nul;                /* Has \u0000. */
};
/* A number as written: digits * 10^exp10, exact when they fit 19 digits. */
struct tn_codec_num {
	const uint8_t *p;
	size_t n;
	uint64_t digits;
	int32_t exp10;
	bool negative;
	bool exact;
};

/* All scanners return the byte after the token, or NULL after filling the
 * error. A scanner of one kind expects p at the token's first byte. */
const uint8_t *tn_codec_scan_string(struct tn_codec_scan *s,
    const uint8_t *p, struct tn_codec_str *out);
const uint8_t *tn_codec_scan_number(struct tn_codec_scan *s,
    const uint8_t *p, struct tn_codec_num *out);
/* The same but zeros in front are fine: for numbers in texts. */
const uint8_t *tn_codec_scan_loose(struct tn_codec_scan *s,
    const uint8_t *p, struct tn_codec_num *out);
const uint8_t *tn_codec_scan_word(struct tn_codec_scan *s, const uint8_t *p,
    const char *word);
/* Any value, all of it checked. depth: containers already open. */
const uint8_t *tn_codec_scan_value(struct tn_codec_scan *s,
    const uint8_t *p, uint32_t depth);
/* First byte at or after p that is no blank; end when there is none. */
const uint8_t *tn_codec_scan_blank(const uint8_t *p, const uint8_t *end);
/* The whole text is one value with blanks around it. */
bool tn_codec_scan_whole(struct tn_codec_scan *s);
/* Note an error (the first stays); returns NULL. */
const uint8_t *tn_codec_scan_fail(struct tn_codec_scan *s, const char *what,
    const uint8_t *where);
/* Decode a string that was scanned without error. Appends to ${out}. */
void tn_codec_unescape(struct tn_buf *out, const uint8_t *p, size_t n);

/* ---- convert --------------------------------------------------------- */

/* An input field that the decoder knows: fills a column, or none. */
struct tn_codec_field {
	const char *name;
	uint32_t name_bytes;
	int32_t column;          /* -1: none takes it. */
	int32_t also;            /* Next field of the same name, or -1. */
	int32_t place;           /* In the plan or the header, or -1. */
};

/* What the row before looked like: bytes from the end of one value to the
 * start of the next, e.g. ,"ts": and what to do with the value. */
struct tn_codec_step {
	uint64_t key[2];         /* First 16 bytes, zero padded. */
	uint64_t mask[2];        /* Which of them count. */
	uint32_t bytes;          /* 0: too long to be remembered. */
	int32_t field;
	uint8_t rest[64];        /* Bytes after the first 16. */
};
#define TN_CODEC_STEP_MAX (16 + 64)

#define TN_CODEC_DATES 64
struct tn_codec_date {
	uint8_t text[10];        /* "2026-03-01" */
	int32_t days;
};

struct tn_codec_decoder {
	const struct tn_schema *schema;
	const struct tn_codec_spec *spec;
	int64_t zone_us;         /* Of times without an offset. */

	/* Names to fields: open addressing, slots hold index + 1. */
	struct tn_codec_field *fields;
	uint32_t field_count, field_cap;
	uint32_t *slots;
	uint32_t slot_count;     /* A power of two. */
	const char *unknown[TN_CODEC_UNKNOWN_MAX + 1];
	uint32_t unknown_count;
	struct tn_arena *names;

	/* JSON. */
	struct tn_codec_step *plan;
	uint32_t plan_count, plan_cap;
	uint32_t learn_wait, learn_skip;
	bool careful;            /* This row may name a column twice. */
	bool repeated;           /* It did. */

	/* CSV: field number to field. */
	int32_t *map;
	uint32_t map_count, map_cap;

	int32_t constant_columns[TN_CODEC_RENAMES_MAX];

	/* For one call or one row. */
	struct tn_builder *b;
	uint32_t filled;         /* Columns that got a value or null. */
	struct tn_buf text;      /* Unescaped text. */
	struct tn_buf pad;       /* A copy of a row at the end of memory. */
	struct tn_buf value;     /* jsonb */
	bool no_memory;          /* Of this call: its rows are not true. */
	const char *why;         /* Code of the row's error, or NULL. */
	int32_t why_column;
	const char *message;
	struct tn_arena *texts;
	struct tn_codec_error *errors;
	uint32_t error_count, error_cap;
	struct tn_codec_date dates[TN_CODEC_DATES];
};

/* Fail the open row: sets why, column (-1: none) and message (printf, kept
 * until the next call). The first failure stays. Returns false. */
bool tn_codec_fail(struct tn_codec_decoder *d, const char *code,
    int32_t column, const char *fmt, ...) TN_PRINTF(4, 5);
/* The same, and the rows of the whole call are worth nothing. */
bool tn_codec_no_memory(struct tn_codec_decoder *d, int32_t column);
/* The value in double quotes, cut to TN_CODEC_QUOTE_MAX bytes, odd bytes as
 * \xNN. Lives as long as messages do. */
const char *tn_codec_quote(struct tn_codec_decoder *d, struct tn_slice s);

/* Give column ${col} of the open row a value from text, as CSV and JSON
 * strings do. For all types but text blanks around are cut. */
bool tn_codec_put_text(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s);
bool tn_codec_put_string(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s);
/* The same from a JSON number. */
bool tn_codec_put_number(struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_num *v);
bool tn_codec_put_jsonb(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice json);
bool tn_codec_put_time(struct tn_codec_decoder *d, uint32_t col,
    struct tn_slice s);

/* ---- decode ---------------------------------------------------------- */

/* Index of the field with this name; -1: not met before. */
int32_t tn_codec_field_find(const struct tn_codec_decoder *d,
    struct tn_slice name);
/* The same, remembering a new name as unknown; -1: no room for it. */
int32_t tn_codec_field_get(struct tn_codec_decoder *d, struct tn_slice name);
/* One row into the open row of d->b. False: d->why tells. */
bool tn_codec_json_row(struct tn_codec_decoder *d, struct tn_slice row);
bool tn_codec_csv_row(struct tn_codec_decoder *d, struct tn_slice row);
bool tn_codec_message_row(struct tn_codec_decoder *d, struct tn_slice row);
/* Make the map from field numbers to fields. */
void tn_codec_csv_map(struct tn_codec_decoder *d);

/* ---- CSV lines ------------------------------------------------------- */

/* Cut one field off the front of a whole line. ${at} moves behind the
 * delimiter, or to NULL after the last one. plain: no doubled quotes in
 * text. False: the quotes are wrong, ${what} says how. */
struct tn_codec_cell {
	struct tn_slice text;    /* Inside the quotes, if quoted. */
	bool quoted;
	bool doubled;            /* Has "" for one quote. */
};
bool tn_codec_csv_cell(const uint8_t **at, const uint8_t *end,
    char delimiter, struct tn_codec_cell *cell, const char **what);
/* Append with "" made one quote. */
void tn_codec_csv_undouble(struct tn_buf *out, struct tn_slice s);
/* Names of a header line into spec->columns. False: too many. */
bool tn_codec_csv_names(struct tn_codec_spec *spec, struct tn_slice line,
    char delimiter);

/* ---- splitters ------------------------------------------------------- */

/* Where the scan of a CSV record stands; all positions count from its first
 * byte, so that it goes on when more bytes come. */
struct tn_codec_csv_scan {
	size_t at;
	size_t first_end;        /* End of the first line, with its LF; 0. */
	uint32_t fields;
	uint32_t lines;          /* Line ends passed inside quotes. */
	uint8_t step;            /* enum csv_step in split_csv.c */
};

struct tn_codec_splitter {
	struct tn_codec_spec *spec;
	size_t row_bytes_max;
	uint8_t head[3];         /* Bytes that may be a byte order mark. */
	uint8_t head_count;
	bool started;
	bool over;               /* A row was too large; nothing more. */
	uint32_t line;           /* Of the next byte (of pend, if any). */
	struct tn_buf pend;      /* An unfinished row. */
	size_t pend_at;          /* Bytes at its front that are done with. */

	/* JSON */
	uint8_t step;            /* enum json_step in split_json.c */
	uint32_t depth;
	bool in_array, in_string, after_backslash;
	uint32_t row_line;

	/* CSV */
	struct tn_codec_csv_scan csv;
	bool header_due;
	uint32_t fields_due;     /* 0: not known yet. */
	size_t lost;             /* Bytes read ahead in vain. */
};
/* A row whose ${n} bytes were written behind raw, which has the room. */
void tn_codec_rows_take(struct tn_codec_rows *r, size_t n, uint32_t line);
enum tn_status tn_codec_split_lines(struct tn_codec_splitter *s,
    struct tn_slice *in, struct tn_codec_rows *rows, size_t raw_max);
enum tn_status tn_codec_split_json(struct tn_codec_splitter *s,
    struct tn_slice *in, struct tn_codec_rows *rows, size_t raw_max);
enum tn_status tn_codec_split_json_end(struct tn_codec_splitter *s,
    struct tn_codec_rows *rows);
enum tn_status tn_codec_split_csv(struct tn_codec_splitter *s,
    struct tn_slice *in, struct tn_codec_rows *rows, size_t raw_max);
enum tn_status tn_codec_split_csv_end(struct tn_codec_splitter *s,
    struct tn_codec_rows *rows);

/* ---- jsonb ----------------------------------------------------------- */

/* As tn_codec_jsonb, with the reason; about bytes_max bounds the output. */
enum tn_status tn_codec_jsonb_text(struct tn_buf *out, struct tn_slice text,
    size_t bytes_max, struct tn_diag *d);

/* ---- WebSocket ------------------------------------------------------- */

/* RFC 3174. */
void tn_codec_sha1(struct tn_slice in, uint8_t out[static 20]);

#endif

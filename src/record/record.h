/* record: schemas, typed columns and record batches, the shape in which rows
 * move between rooms. Memory layout follows the Apache Arrow columnar format
 * 1.0 (validity bitmaps with bit 0 of byte 0 first, 32-bit offsets, fixed
 * width values), with one departure: a bool value is a byte, because every
 * kernel of exec tests it a row at a time; an Arrow door packs it on the way
 * out.
 *
 * Texts of dates, times, numbers: here too, because every room that prints
 * or reads a value must agree on them (PostgreSQL's forms, ISO 8601). */
#ifndef TN_RECORD_RECORD_H
#define TN_RECORD_RECORD_H

#include "base/base.h"

/* ---- types ----------------------------------------------------------- */

enum tn_type_id {
	TN_T_NONE = 0,   /* The type of a bare NULL. */
	TN_T_BOOL,       /* uint8_t 0 or 1 */
	TN_T_INT2,       /* int16_t */
	TN_T_INT4,       /* int32_t */
	TN_T_INT8,       /* int64_t */
	TN_T_FLOAT4,     /* float */
	TN_T_FLOAT8,     /* double */
	TN_T_NUMERIC,    /* __int128 scaled by 10^scale */
	TN_T_TEXT,       /* offsets + UTF-8 bytes; varchar(n) has length_max */
	TN_T_DATE,       /* int32_t days since 1970-01-01 */
	TN_T_TIME,       /* int64_t microseconds since midnight */
	TN_T_TIMESTAMP,  /* int64_t microseconds since 1970, no zone */
	TN_T_TIMESTAMPTZ,/* int64_t microseconds since 1970 UTC */
	TN_T_INTERVAL,   /* struct tn_interval; expressions only */
	TN_T_JSONB,      /* offsets + bytes, PostgreSQL's canonical jsonb text */
	TN_T_UUID,       /* 16 bytes, network order */
	TN_T_BYTES,      /* offsets + raw bytes; inside only (raw, states) */
	TN_T_COUNT
};

/* Numbers on disk: key files, log blocks. Never renumber. */
struct tn_type {
	uint8_t id;          /* enum tn_type_id */
	uint8_t precision;   /* NUMERIC: digits, 1..38 */
	uint8_t scale;       /* NUMERIC: digits after the point, <= precision */
	bool declared;       /* NUMERIC: (p,s) was written; keep zeros in text */
	uint32_t length_max; /* varchar(n) in characters; 0: none */
};
/* A bare numeric is kept as numeric(38,9) and prints without trailing
 * zeros. */
#define TN_NUMERIC_SCALE_DEFAULT 9
#define TN_NUMERIC_DIGITS_MAX 38

struct tn_interval {
	int64_t us;
	int32_t days;
	int32_t months;
};

struct tn_type tn_record_type(enum tn_type_id id);
/* PostgreSQL's name: "timestamp with time zone", "numeric(10,2)". */
const char *tn_record_type_name(struct tn_type t, char buf[static 48]);
/* Width of a value in bytes; 0 for text, jsonb and bytes. */
size_t tn_record_type_width(struct tn_type t);
bool tn_record_type_eq(struct tn_type a, struct tn_type b);

/* ---- schemas --------------------------------------------------------- */

struct tn_field {
	const char *name;
	struct tn_type type;
	bool not_null;
};
/* Immutable once shared; fields and names live as long as the schema. */
struct tn_schema {
	const char *name;
	uint32_t count;
	const struct tn_field *fields;
};
#define TN_COLUMNS_MAX 1600
/* Deep copy in one allocation; free with tn_free. */
struct tn_schema *tn_record_schema_copy(const struct tn_schema *s);
/* Index of a name (exact bytes), or -1. */
int tn_record_schema_find(const struct tn_schema *s, struct tn_slice name);

/* ---- columns and batches --------------------------------------------- */

/* Borrowed arrays, owned by the batch's arena or by whoever made them.
 * Values of null rows are zero bytes (fixed width) or empty (text). */
struct tn_column {
	struct tn_type type;
	uint32_t rows;
	const uint8_t *valid;     /* Bitmap, 1 = a value; NULL: no nulls. */
	const void *values;       /* Fixed width values; NULL for text kinds. */
	const uint32_t *offsets;  /* Text kinds: rows + 1 entries. */
	const uint8_t *bytes;     /* Text kinds. */
	/* A dictionary column: values is uint32_t codes into dict (which has
	 * no nulls); offsets and bytes are NULL. Only where the consumer asked
	 * for it (tn_parquet_read_opts.keep_dictionary). */
	const struct tn_column *dict;
};
static inline bool
tn_column_valid(const struct tn_column *c, uint32_t row)
{
	return c->valid == NULL || (c->valid[row >> 3] >> (row & 7) & 1);
}
static inline struct tn_slice
tn_column_text(const struct tn_column *c, uint32_t row)
{
	return (struct tn_slice){ c->bytes + c->offsets[row],
	    c->offsets[row + 1] - c->offsets[row] };
}

/* A counted, immutable set of equally long columns. At most so many rows,
 * and so many bytes of text in one column; callers bound their batches far
 * below (more is asserted, not reported). */
#define TN_BATCH_ROWS_MAX (UINT32_MAX / 2)
#define TN_BATCH_TEXT_MAX UINT32_MAX
struct tn_batch {
	const struct tn_schema *schema;  /* Owned by the batch. */
	uint32_t rows;
	/* schema->count of them. Before it is shared its maker may replace
	 * them, and the schema, by others that live in the arena. */
	struct tn_column *columns;
	struct tn_arena *arena;          /* Holds columns, values, schema. */
	uint32_t refs;                   /* Atomic. */
};
/* Takes the arena; copies nothing: schema, columns and values must live in
 * the arena or longer. One reference for the caller. */
struct tn_batch *tn_record_batch_new(struct tn_arena *arena,
    const struct tn_schema *schema, uint32_t rows, struct tn_column *columns);
struct tn_batch *tn_record_batch_ref(struct tn_batch *b);   /* Any thread. */
void tn_record_batch_unref(struct tn_batch *b);             /* NULL is fine. */
/* A batch of its own with the columns of ${b}, whose values it holds with a
 * reference; its maker may add columns that live in its arena. */
struct tn_batch *tn_record_batch_share(struct tn_batch *b);
/* Bytes held. */
size_t tn_record_batch_bytes(const struct tn_batch *b);
/* A new batch with the rows picked, in that order. Dictionary columns come
 * out plain, here and in concat. NULL: memory is out. */
struct tn_batch *tn_record_batch_take(const struct tn_batch *b,
    const uint32_t *rows, uint32_t count);
/* A new batch of all rows of many batches of one schema. count >= 1. NULL:
 * memory is out. */
struct tn_batch *tn_record_batch_concat(struct tn_batch *const *in,
    uint32_t count);

/* ---- builders -------------------------------------------------------- */

/* Appends rows of one schema column by column. The caller appends exactly
 * one value or null to every column of a row, then calls row_end; or calls
 * row_undo to take back what was begun. One thread. */
struct tn_builder;
struct tn_builder *tn_record_builder_new(const struct tn_schema *schema,
    uint32_t rows_hint);
void tn_record_builder_null(struct tn_builder *b, uint32_t col);
/* Width must match the column's type: 1, 2, 4, 8 or 16 bytes from ${v}. */
void tn_record_builder_fixed(struct tn_builder *b, uint32_t col,
    const void *v);
/* For integers, dates and times; the caller has checked the range. */
void tn_record_builder_i64(struct tn_builder *b, uint32_t col, int64_t v);
/* For both floats; a real gets the nearest one (an infinity when too large). */
void tn_record_builder_f64(struct tn_builder *b, uint32_t col, double v);
void tn_record_builder_bool(struct tn_builder *b, uint32_t col, bool v);
void tn_record_builder_text(struct tn_builder *b, uint32_t col,
    const void *p, size_t n);
/* Copy row ${row} of ${c} (same type). */
void tn_record_builder_copy(struct tn_builder *b, uint32_t col,
    const struct tn_column *c, uint32_t row);
/* Fill columns that got nothing in this row with null, count the row. */
void tn_record_builder_row_end(struct tn_builder *b);
/* Take back the value given to ${col} in the open row, if any, so that
 * another may be given (last key wins). */
void tn_record_builder_again(struct tn_builder *b, uint32_t col);
bool tn_record_builder_has(const struct tn_builder *b, uint32_t col);
/* Take back every value of the open row. The row stays open: row_end then
 * makes it a row of nulls (a bad row keeps its place). */
void tn_record_builder_row_undo(struct tn_builder *b);
uint32_t tn_record_builder_rows(const struct tn_builder *b);
size_t tn_record_builder_bytes(const struct tn_builder *b);
/* The rows so far as a batch, without the open one; the builder is empty
 * again afterwards. The batch takes the arrays, nothing is copied. NULL: memory
 * was out for one of the rows; from then on they were lost. */
struct tn_batch *tn_record_builder_take(struct tn_builder *b);
void tn_record_builder_free(struct tn_builder *b);

/* ---- values as text -------------------------------------------------- */

/* Append the value as PostgreSQL casts it to text: booleans "true" and "false"
 * (its wire has t and f), bytes as \x00ff, timestamptz in UTC as
 * "2026-03-01 08:00:00+00". Null appends nothing. */
void tn_record_print(struct tn_buf *out, const struct tn_column *c,
    uint32_t row);
/* Append as a JSON value: numbers bare (NaN and infinities as strings),
 * timestamptz as "2026-03-01T08:00:00Z", timestamp the same without Z, jsonb
 * as is, null as null. */
void tn_record_print_json(struct tn_buf *out, const struct tn_column *c,
    uint32_t row);
/* The same of one timestamptz. */
void tn_record_print_json_time(struct tn_buf *out, int64_t us);
/* Shortest text that reads back as the same double ("0.1", "1e+300"). */
void tn_record_print_f64(struct tn_buf *out, double v);
void tn_record_print_f32(struct tn_buf *out, float v);
void tn_record_print_numeric(struct tn_buf *out, __int128 v, uint8_t scale,
    bool keep_zeros);

/* Readers of value texts: the whole slice must be the value. All return
 * false on anything else, blanks around included (callers trim), and then
 * leave garbage in the result. None allocates. Any thread. */
/* true, yes, on, 1 and their opposites, unique beginnings, any case. */
bool tn_record_parse_bool(struct tn_slice s, bool *v);
/* Correctly rounded. NaN, inf, infinity in any case; no hexadecimal. False
 * when out of range, also towards zero, as in PostgreSQL. */
bool tn_record_parse_f64(struct tn_slice s, double *v);
/* Exact; rounds half away from zero to ${scale}. False when it does not fit
 * in ${precision} digits. Takes exponents. */
bool tn_record_parse_numeric(struct tn_slice s, uint8_t precision,
    uint8_t scale, __int128 *v);
bool tn_record_parse_uuid(struct tn_slice s, uint8_t v[static 16]);
/* The dates of the forms below, 4714-11-24 BC to 5874897-12-31. */
bool tn_record_parse_date(struct tn_slice s, int32_t *days);
/* 0 to 24:00:00; an offset has no effect, as in PostgreSQL. */
bool tn_record_parse_time(struct tn_slice s, int64_t *us);
/* Every ISO 8601 / RFC 3339 form: 2026-03-01T08:00:00.123456Z, a blank for
 * T, offsets +01, +0100, +01:00, week and ordinal dates, basic form, comma
 * as decimal mark, 24:00, second 60, and PostgreSQL's own output; a date
 * alone; "epoch". More than six digits of a fraction are rounded, a half to
 * even. *has_zone tells whether an offset was given; *us is then UTC, else
 * the time as written. Up to year 294247. time_parse.c lists the grammar. */
bool tn_record_parse_timestamp(struct tn_slice s, int64_t *us,
    bool *has_zone);
/* By a format of strptime's letters (%Y %y %m %d %H %M %S %f %z %b %j %p %I
 * %s %e %% and literals; a blank stands for one or more). English names. A
 * format with another letter takes nothing. */
bool tn_record_parse_timestamp_format(struct tn_slice s, const char *format,
    int64_t *us, bool *has_zone);
/* '1 hour', '1 day 02:00:00', '-3 mons', ISO 'P1DT2H'; interval.c lists the
 * grammar. */
bool tn_record_parse_interval(struct tn_slice s, struct tn_interval *v);
/* Proleptic Gregorian calendar, year 1 is 1, year 0 is 1 BC. Days within 32
 * bits; a month of 1 to 12. */
void tn_record_civil(int64_t days, int32_t *year, uint32_t *month,
    uint32_t *day);
int64_t tn_record_days(int32_t year, uint32_t month, uint32_t day);

/* ---- keys ------------------------------------------------------------ */

/* 128-bit hash of the key columns of every row into out[rows]; the same for
 * equal values on every machine and release (key files hold it). A null
 * hashes as a value of its own. */
void tn_record_hash_keys(const struct tn_batch *b, const uint32_t *cols,
    uint32_t count, struct tn_hash128 *out);
/* Order of two values of one type, nulls last, text in byte order, NaN above
 * all numbers: <0, 0, >0. Rows may be of different columns. */
int tn_record_compare(const struct tn_column *a, uint32_t row_a,
    const struct tn_column *b, uint32_t row_b);

#endif

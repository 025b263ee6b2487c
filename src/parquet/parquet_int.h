/* parquet_int: what the files of this room share. From the bottom up: thrift
 * (compact protocol), bits (bit packing, RLE hybrid, bitmaps), delta, snappy
 * and crc know bytes only; types maps our types to Parquet's and back; footer
 * reads and writes the metadata; dict, chunk_write and write are the writer;
 * page, decode, chunk_read, prune and read are the reader.
 *
 * One rule of memory for the readers of packed bits: behind every page body
 * lie TN_PQ_SLACK readable bytes, so that eight bytes may be loaded at any
 * value. Buffers are made so; a page in the mapped file is followed by the
 * footer, which is longer than that. */
#ifndef TN_PARQUET_INT_H
#define TN_PARQUET_INT_H

#include "base/base.h"
#include "parquet/parquet.h"
#include "record/record.h"

#include <string.h>

/* ---- limits ---------------------------------------------------------- */

#define TN_PQ_SLACK 16
/* Readers: larger footers and pages are refused. */
#define TN_PQ_FOOTER_BYTES_MAX (32u << 20)
#define TN_PQ_FOOTER_BYTES_MIN 8u
#define TN_PQ_PAIRS_MAX 65536u
#define TN_PQ_PAGE_BYTES_MAX (256u << 20)
#define TN_PQ_PAGE_VALUES_MAX (1u << 24)
/* Writer: a dictionary that grows beyond is given up. */
#define TN_PQ_DICT_ENTRIES_MAX 32768u
#define TN_PQ_DICT_BYTES_MAX (1u << 20)
/* Writer: after this many values a dictionary that has more than three
 * quarters as many entries is given up. */
#define TN_PQ_DICT_TRIAL 4096u
/* Writer: a row group is closed when its values take more, a text page is
 * cut when its texts take more. */
#define TN_PQ_GROUP_BYTES (64u << 20)
#define TN_PQ_PAGE_BYTES (1u << 20)
/* A page that is given compressed: its texts, its rows. */
#define TN_PQ_FRAME_BYTES_MAX (4u << 20)
#define TN_PQ_FRAME_ROWS_MAX (1u << 16)
/* Longest text in statistics. */
#define TN_PQ_STAT_BYTES 64

/* ---- numbers of the format (parquet.thrift) -------------------------- */

enum pq_physical {
	TN_PQ_BOOLEAN, TN_PQ_INT32, TN_PQ_INT64, TN_PQ_INT96, TN_PQ_FLOAT,
	TN_PQ_DOUBLE, TN_PQ_BYTE_ARRAY, TN_PQ_FIXED,
};
enum pq_encoding {
	TN_PQ_PLAIN = 0, TN_PQ_PLAIN_DICTIONARY = 2, TN_PQ_RLE = 3,
	TN_PQ_BIT_PACKED = 4, TN_PQ_DELTA = 5, TN_PQ_DELTA_LENGTH = 6,
	TN_PQ_DELTA_BYTES = 7, TN_PQ_RLE_DICTIONARY = 8, TN_PQ_SPLIT = 9,
};
enum pq_codec { TN_PQ_RAW = 0, TN_PQ_SNAPPY = 1, TN_PQ_ZSTD = 6 };
enum pq_page_kind {
	TN_PQ_DATA_PAGE, TN_PQ_INDEX_PAGE, TN_PQ_DICT_PAGE, TN_PQ_DATA_PAGE2,
};
enum pq_converted {
	TN_PQ_C_NONE = -1, TN_PQ_C_UTF8 = 0, TN_PQ_C_ENUM = 4,
	TN_PQ_C_DECIMAL = 5, TN_PQ_C_DATE = 6, TN_PQ_C_TIME_MS = 7,
	TN_PQ_C_TIME_US = 8, TN_PQ_C_TS_MS = 9, TN_PQ_C_TS_US = 10,
	TN_PQ_C_U8 = 11, TN_PQ_C_U64 = 14, TN_PQ_C_I8 = 15, TN_PQ_C_I64 = 18,
	TN_PQ_C_JSON = 19,
};
enum pq_logical {
	TN_PQ_L_NONE = 0, TN_PQ_L_STRING = 1, TN_PQ_L_ENUM = 4,
	TN_PQ_L_DECIMAL = 5, TN_PQ_L_DATE = 6, TN_PQ_L_TIME = 7,
	TN_PQ_L_TIMESTAMP = 8, TN_PQ_L_INTEGER = 10, TN_PQ_L_JSON = 12,
	TN_PQ_L_UUID = 14, TN_PQ_L_FLOAT16 = 15,
};
enum pq_unit { TN_PQ_MILLIS = 1, TN_PQ_MICROS = 2, TN_PQ_NANOS = 3 };

/* ---- columns --------------------------------------------------------- */

/* How a stored value becomes ours. */
enum pq_convert {
	TN_PQ_SAME,       /* Same bytes, same width. */
	TN_PQ_TO_I16,     /* INT32 to int2. */
	TN_PQ_FROM_U8,    /* INT32 to int2. */
	TN_PQ_FROM_U16,   /* INT32 to int4. */
	TN_PQ_FROM_U32,   /* INT32 to int8. */
	TN_PQ_FROM_U64,   /* INT64 to numeric(20,0). */
	TN_PQ_MS32,       /* INT32 milliseconds to microseconds. */
	TN_PQ_MS,         /* INT64 milliseconds to microseconds. */
	TN_PQ_NS,         /* INT64 nanoseconds to microseconds, rounded down. */
	TN_PQ_JULIAN,     /* INT96 to microseconds. */
	TN_PQ_DEC32,      /* INT32 to numeric. */
	TN_PQ_DEC64,      /* INT64 to numeric. */
	TN_PQ_DEC_FIXED,  /* Big-endian two's complement to numeric. */
	TN_PQ_DEC_BYTES,  /* The same, each with its length. */
	TN_PQ_HALF,       /* FLOAT16 to float4. */
	TN_PQ_BLOB,       /* FIXED to bytes. */
};
/* One column of a file. */
struct pq_leaf {
	const char *name;
	struct tn_type type;
	uint8_t physical;     /* enum pq_physical */
	uint8_t convert;      /* enum pq_convert */
	bool optional;
	bool ordered;         /* Column order is the type's own. */
	uint32_t fixed_bytes; /* FIXED: width. */
	bool json;            /* A text that a foreign file calls JSON. */
};
/* What a SchemaElement says, before it is understood. */
struct pq_element {
	struct tn_slice name;
	int32_t physical;     /* -1: a group */
	int32_t repetition;   /* 0 required, 1 optional, 2 repeated */
	int32_t children;
	int32_t fixed_bytes;
	int32_t converted;    /* TN_PQ_C_NONE: not set */
	int32_t precision;
	int32_t scale;
	uint8_t logical;      /* enum pq_logical; 255: one we do not know */
	uint8_t unit;
	uint8_t bits;
	bool is_signed;
	bool utc;
};
/* How a type of ours is written. TN_EUNSUPPORTED: NONE and INTERVAL. */
TN_MUST_USE enum tn_status tn_parquet_leaf_of(const struct tn_field *f,
    struct pq_leaf *leaf, struct pq_element *e);
/* What a foreign element means; ${ours}: written by Tarn. */
TN_MUST_USE enum tn_status tn_parquet_leaf_from(const struct pq_element *e,
    bool ours, struct pq_leaf *leaf, struct tn_diag *d);
/* Width of a stored value: 1 (bool), 4, 8, 12, FIXED's own; 0: BYTE_ARRAY. */
size_t tn_parquet_stored_width(const struct pq_leaf *leaf);
/* True for our text layout (offsets and bytes). */
static inline bool
pq_is_text(const struct pq_leaf *leaf)
{
	return tn_record_type_width(leaf->type) == 0;
}

/* ---- values and statistics ------------------------------------------- */

/* A value in the order of its type: integers of every width and numerics in
 * i, floats in f, texts and uuids in s (borrowed). */
struct pq_value {
	__int128 i;
	double f;
	struct tn_slice s;
};
enum pq_order { TN_PQ_BY_INT, TN_PQ_BY_FLOAT, TN_PQ_BY_BYTES };
enum pq_order tn_parquet_order(const struct tn_type t);
int tn_parquet_value_compare(enum pq_order o, const struct pq_value *a,
    const struct pq_value *b);
/* Row ${row} of a column that is not null there. */
struct pq_value tn_parquet_value_at(const struct tn_column *c, uint32_t row);
/* A statistics entry as a value of our type. False: not usable. */
bool tn_parquet_value_stored(const struct pq_leaf *leaf, struct tn_slice s,
    struct pq_value *v);
/* Big-endian two's complement of 1..16 bytes (longer ones when the rest is
 * sign). False: does not fit. */
bool tn_parquet_big_endian(const uint8_t *p, size_t n, __int128 *v);
/* Convert ${n} stored values to ours. False: a value is out of range. */
bool tn_parquet_convert(const struct pq_leaf *leaf, const uint8_t *in,
    size_t n, void *out);

/* Statistics of a page or a chunk being written; min and max borrow. */
struct pq_minmax {
	bool has;
	struct pq_value min;
	struct pq_value max;
	uint64_t nulls;
	uint64_t nans;
};
/* Statistics as read; slices lie in the mapped file. */
struct pq_stats {
	bool has_min;
	bool has_max;
	bool old;             /* From the deprecated fields. */
	struct tn_slice min;
	struct tn_slice max;
	int64_t nulls;        /* -1: not told */
	int64_t nans;         /* -1: not told */
};
/* Append the stored form of a bound; texts are cut to TN_PQ_STAT_BYTES, a
 * maximum upwards. False (and nothing appended) when there is none.
 * *exact: it is the value itself. */
bool tn_parquet_stat_put(struct tn_buf *b, const struct pq_leaf *leaf,
    const struct pq_value *v, bool is_max, bool *exact);

/* ---- thrift ---------------------------------------------------------- */

enum pq_thrift_type {
	TN_PQ_T_TRUE = 1, TN_PQ_T_FALSE = 2, TN_PQ_T_I8 = 3, TN_PQ_T_I16 = 4,
	TN_PQ_T_I32 = 5, TN_PQ_T_I64 = 6, TN_PQ_T_DOUBLE = 7,
	TN_PQ_T_BINARY = 8, TN_PQ_T_LIST = 9, TN_PQ_T_SET = 10,
	TN_PQ_T_MAP = 11, TN_PQ_T_STRUCT = 12,
};
/* Reading. A wrong type or a short input sets c->failed. field: moves to the
 * next field of the struct, false at its end; *id starts at 0. */
bool tn_parquet_field(struct tn_cursor *c, int16_t *id, uint8_t *type);
int64_t tn_parquet_get_i64(struct tn_cursor *c, uint8_t type);
int32_t tn_parquet_get_i32(struct tn_cursor *c, uint8_t type);
bool tn_parquet_get_bool(struct tn_cursor *c, uint8_t type);
struct tn_slice tn_parquet_get_binary(struct tn_cursor *c, uint8_t type);
/* Elements of a list of ${element}; each takes a byte at least, so the count
 * is bounded by the input. */
uint32_t tn_parquet_get_list(struct tn_cursor *c, uint8_t type,
    uint8_t element);
void tn_parquet_skip(struct tn_cursor *c, uint8_t type);
/* A field that must be a struct. */
void tn_parquet_want_struct(struct tn_cursor *c, uint8_t type);

/* Writing. *last is the id of the field before, 0 at first. */
void tn_parquet_put_field(struct tn_buf *b, int16_t *last, int16_t id,
    uint8_t type);
void tn_parquet_put_zigzag(struct tn_buf *b, int64_t v);
void tn_parquet_put_i32(struct tn_buf *b, int16_t *last, int16_t id,
    int32_t v);
void tn_parquet_put_i64(struct tn_buf *b, int16_t *last, int16_t id,
    int64_t v);
void tn_parquet_put_bool(struct tn_buf *b, int16_t *last, int16_t id, bool v);
void tn_parquet_put_binary(struct tn_buf *b, int16_t *last, int16_t id,
    const void *p, size_t n);
void tn_parquet_put_list(struct tn_buf *b, int16_t *last, int16_t id,
    uint8_t element, size_t count);
void tn_parquet_put_stop(struct tn_buf *b);

/* ---- bits ------------------------------------------------------------ */

static inline uint64_t
pq_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}
static inline uint32_t
pq_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}
static inline unsigned
pq_bits_for(uint64_t max)
{
	return max == 0 ? 0 : 64 - (unsigned)__builtin_clzll(max);
}
/* ${n} values of ${width} bits, lowest bit first. Packed input needs slack. */
void tn_parquet_unpack32(const uint8_t *p, unsigned width, uint32_t *out,
    size_t n);
void tn_parquet_unpack64(const uint8_t *p, unsigned width, uint64_t *out,
    size_t n);
void tn_parquet_pack32(struct tn_buf *b, const uint32_t *v, size_t n,
    unsigned width);
void tn_parquet_pack64(struct tn_buf *b, const uint64_t *v, size_t n,
    unsigned width);
/* RLE and bit-packing hybrid, no length in front. encode pads the last group
 * with zeros. decode: false on bad input; *max is the largest value. */
void tn_parquet_hybrid_encode(struct tn_buf *b, const uint32_t *v, size_t n,
    unsigned width);
TN_MUST_USE bool tn_parquet_hybrid_decode(struct tn_slice in, unsigned width,
    uint32_t *out, size_t n, uint32_t *max);
/* Hybrid of width 1 to and from a bitmap; *set is the number of ones. */
void tn_parquet_levels_encode(struct tn_buf *b, const uint8_t *bitmap,
    size_t at, size_t n, size_t set);
TN_MUST_USE bool tn_parquet_levels_decode(struct tn_slice in, uint8_t *bitmap,
    size_t at, size_t n, size_t *set);
/* Copy or fill ${n} bits; returns the ones among them. */
size_t tn_parquet_bits_copy(uint8_t *to, size_t to_at, const uint8_t *from,
    size_t from_at, size_t n);
void tn_parquet_bits_fill(uint8_t *to, size_t at, bool one, size_t n);
size_t tn_parquet_bits_count(const uint8_t *p, size_t at, size_t n);

/* ---- delta ----------------------------------------------------------- */

/* DELTA_BINARY_PACKED of 64-bit values, or of 32-bit ones (${is32}, sign
 * extended) which wrap at 32 bits. */
void tn_parquet_delta_encode(struct tn_buf *b, const int64_t *v, size_t n,
    bool is32);
/* About how many bytes that takes. */
size_t tn_parquet_delta_bytes(const int64_t *v, size_t n, bool is32);
/* Exactly ${n} values; leaves ${c} behind them. */
TN_MUST_USE bool tn_parquet_delta_decode(struct tn_cursor *c, int64_t *out,
    size_t n);

/* ---- snappy, crc ----------------------------------------------------- */

/* Decode a raw snappy block into exactly ${n} bytes. */
TN_MUST_USE bool tn_parquet_snappy(struct tn_slice in, uint8_t *out, size_t n);
/* CRC-32 of IEEE 802.3 (gzip's). */
uint32_t tn_parquet_crc32(uint32_t crc, const void *p, size_t n);
/* The state (the complement of the CRC) after n bytes, 64 or more and a
 * multiple of 16; only where the processor can. */
bool tn_parquet_crc32_can_fold(void);
uint32_t tn_parquet_crc32_fold(uint32_t state, const uint8_t *p, size_t n);

/* ---- metadata -------------------------------------------------------- */

struct pq_page_header {
	int32_t kind;          /* enum pq_page_kind; other: skip */
	uint32_t raw_bytes;    /* Uncompressed. */
	uint32_t disk_bytes;
	bool has_crc;
	uint32_t crc;
	uint32_t values;
	int32_t encoding;
	int32_t level_encoding;
	uint32_t level_bytes;  /* Page v2: definition levels. */
	uint32_t repeat_bytes; /* Page v2: repetition levels. */
	uint32_t nulls;        /* Page v2. */
	bool compressed;       /* Page v2. */
};
/* False: not a page header. */
TN_MUST_USE bool tn_parquet_page_header(struct tn_cursor *c,
    struct pq_page_header *h);

struct pq_chunk {
	uint64_t at;           /* First page, the dictionary if there is one. */
	uint64_t bytes;
	uint64_t values;
	int32_t codec;
	struct pq_stats stats;
	struct tn_slice offset_index;   /* p NULL: none */
	struct tn_slice column_index;
};
struct pq_group {
	uint64_t rows;
	struct pq_chunk *chunks;
};
struct tn_parquet_reader {
	const uint8_t *map;
	size_t map_bytes;
	size_t data_end;       /* Where the footer begins. */
	struct tn_arena *arena;
	struct tn_schema schema;
	struct pq_leaf *leaves;
	uint64_t rows;
	uint32_t group_count;
	struct pq_group *groups;
	uint32_t pair_count;
	struct tn_parquet_pair *pairs;
	bool ours;             /* created_by names Tarn. */
	char path[200];        /* The end of it, for messages. */
};
/* Between the indexes and the footer of our files: see footer_write.c. */
#define TN_PQ_SEAL "TNSL"
#define TN_PQ_SEAL_BYTES 12u
/* Parse the footer of a mapped file into ${r}. */
TN_MUST_USE enum tn_status tn_parquet_footer_read(struct tn_parquet_reader *r,
    struct tn_diag *d);
/* Shared by footer and page header. */
void tn_parquet_stats_read(struct tn_cursor *c, struct pq_stats *s);

/* ---- reading: rows wanted -------------------------------------------- */

/* Rows of a group, ascending, not touching. */
struct pq_range {
	uint64_t first;
	uint64_t count;
};
struct pq_ranges {
	struct pq_range *p;
	size_t n;
};
/* Memory that is used again from page to page. */
enum pq_slot {
	TN_PQ_SLOT_CODES, TN_PQ_SLOT_STORED, TN_PQ_SLOT_INTS, TN_PQ_SLOT_INTS2,
	TN_PQ_SLOT_TEXTS, TN_PQ_SLOT_DICT, TN_PQ_SLOT_PART, TN_PQ_SLOT_PART2,
	TN_PQ_SLOT_PART3, TN_PQ_SLOTS,
};
/* What one call of tn_parquet_read works with. */
struct pq_call {
	const struct tn_parquet_reader *r;
	uint32_t group;
	const struct tn_parquet_read_opts *opts;
	struct tn_diag *d;
	struct tn_arena *scratch;   /* Dropped at the end of the call. */
	struct tn_arena *arena;     /* The batch's. */
	struct pq_ranges ranges;
	uint64_t rows;              /* In ranges. */
	uint64_t bytes;             /* In the batch so far. */
	uint64_t bytes_max;
	struct tn_buf page;         /* Body of the page being read. */
	struct tn_buf dict;         /* Body of the dictionary page. */
	struct tn_buf joined;       /* DELTA_BYTE_ARRAY put together. */
	struct {
		void *p;
		size_t cap;
	} slots[TN_PQ_SLOTS];
};
/* At least ${bytes} of memory that lives until the slot is asked for again;
 * NULL when memory is out. */
void *tn_parquet_slot(struct pq_call *call, enum pq_slot slot, size_t bytes);
/* Set call->ranges and call->rows. */
TN_MUST_USE enum tn_status tn_parquet_prune(struct pq_call *call);
/* first rows of the pages of a chunk, from its offset index: *n entries. */
struct pq_location {
	uint64_t at;
	uint64_t row;
};
TN_MUST_USE enum tn_status tn_parquet_locations(struct pq_call *call,
    uint32_t column, struct pq_location **out, size_t *n);
/* Read the wanted rows of a column. */
TN_MUST_USE enum tn_status tn_parquet_column_read(struct pq_call *call,
    uint32_t column, struct tn_column *out);
/* A message that names file, column and row group. Returns ${st}. */
enum tn_status tn_parquet_fail(struct pq_call *call, uint32_t column,
    enum tn_status st, const char *what);

/* ---- reading: values ------------------------------------------------- */

/* Where decoded rows go: a column being filled, or one page of it. */
struct pq_sink {
	const struct pq_leaf *leaf;
	size_t width;          /* Of a value here; 0: text. */
	bool codes;            /* Values are codes of the dictionary. */
	uint32_t rows;         /* Filled. */
	uint32_t rows_max;
	uint32_t nulls;
	uint8_t *values;
	uint32_t *offsets;
	struct tn_buf bytes;
	bool bytes_in_arena;   /* Room for all, the batch's own: never freed. */
	uint8_t *valid;        /* Bitmap; NULL when the column has no nulls. */
};
/* The decoded dictionary of a chunk. Texts are slices into call->dict. */
struct pq_dict {
	bool present;
	uint32_t count;
	uint8_t *values;
	struct tn_slice *texts;
};
struct pq_body {
	struct tn_slice in;
	int32_t encoding;
};
/* Decode ${n} values (no nulls among them) to ${out}, in our type. Texts are
 * slices into the page, the dictionary or call->joined, with slack behind.
 * TN_ECORRUPT, TN_EUNSUPPORTED (encoding), TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_parquet_decode_fixed(struct pq_call *call,
    const struct pq_leaf *leaf, const struct pq_dict *dict,
    struct pq_body body, size_t n, void *out);
TN_MUST_USE enum tn_status tn_parquet_decode_codes(const struct pq_dict *dict,
    struct tn_slice in, size_t n, uint32_t *out);
TN_MUST_USE enum tn_status tn_parquet_decode_texts(struct pq_call *call,
    const struct pq_leaf *leaf, const struct pq_dict *dict,
    struct pq_body body, size_t n, struct tn_slice *out);

/* Append ${n} rows to a sink that has room: ${present} values and, where
 * the column is optional, the bitmap already decoded at sink->rows. */
TN_MUST_USE enum tn_status tn_parquet_sink_add(struct pq_call *call,
    struct pq_sink *sink, const struct pq_dict *dict, struct pq_body body,
    uint32_t n, uint32_t present);
/* Append rows [from, from + n) of one sink to another of the same kind. */
TN_MUST_USE enum tn_status tn_parquet_sink_copy(struct pq_call *call,
    struct pq_sink *to, const struct pq_sink *part, uint32_t from,
    uint32_t n);
bool tn_parquet_ascii(const uint8_t *p, size_t n);
/* True when the texts, which lie one behind the other, are UTF-8 each. */
bool tn_parquet_texts_valid(const uint8_t *bytes, const uint32_t *offsets,
    uint32_t n);

/* ---- writing --------------------------------------------------------- */

/* The values of one column of the open row group, nulls left out. */
struct pq_column {
	struct pq_leaf leaf;
	struct pq_element element;
	size_t width;          /* Stored here: 1, 4, 8, 16; 0: text. */
	uint32_t rows;
	uint32_t dense;        /* Rows that are not null. */
	uint8_t *values;
	size_t values_cap;     /* In values. */
	uint32_t *offsets;     /* Text: dense + 1 entries. */
	uint8_t *bytes;
	size_t bytes_cap;
	uint8_t *valid;        /* Optional columns: a bitmap of rows. */
	size_t rows_cap;
	/* Stretches of rows whose bytes are known compressed; in order. */
	struct pq_frame *frames;
	uint32_t frame_count;
	uint32_t frame_cap;
	struct tn_buf frame_bytes;
};
struct pq_frame {
	uint32_t row;
	uint32_t rows;
	size_t at;             /* In frame_bytes. */
	size_t bytes;
};
static inline struct tn_slice
pq_text_at(const struct pq_column *c, uint32_t i)
{
	return (struct tn_slice){ c->bytes + c->offsets[i],
	    c->offsets[i + 1] - c->offsets[i] };
}
/* A dictionary being built, reused from chunk to chunk. */
struct pq_dict_key {
	uint64_t a, b;
	uint32_t n;            /* Bytes of the value. */
};
struct pq_dict_builder {
	uint32_t *slots;       /* code + 1, 0: free */
	uint32_t slot_count;
	struct pq_dict_key *keys;        /* Of each entry. */
	uint32_t *first;       /* Entry: index of its first value. */
	uint32_t *codes;       /* Of each value. */
	size_t codes_cap;
	uint32_t entries;
	size_t bytes;          /* PLAIN size of the entries. */
	uint32_t runs;         /* Stretches of equal codes. */
};
/* False: it would grow beyond the limits. */
TN_MUST_USE bool tn_parquet_dict_build(struct pq_dict_builder *d,
    const struct pq_column *c);
void tn_parquet_dict_fini(struct pq_dict_builder *d);

/* What the footer needs to know of a written page and chunk. */
struct pq_page_written {
	uint64_t at;
	uint32_t bytes;
	uint32_t row;
	uint64_t nulls;
	uint64_t nans;
	bool has;              /* min and max; else only nulls */
	uint32_t min_at;       /* In chunk->stat_bytes. */
	uint32_t min_bytes;
	uint32_t max_at;
	uint32_t max_bytes;
};
struct pq_chunk_written {
	uint64_t at;
	uint64_t bytes;
	uint64_t raw_bytes;
	uint64_t values;
	uint64_t data_at;      /* First data page. */
	int32_t encoding;
	bool has_dict;
	bool indexed;          /* A ColumnIndex can be written. */
	uint8_t boundary;      /* BoundaryOrder */
	uint64_t nulls;
	uint64_t nans;
	struct tn_buf stat_bytes;
	bool has_min;
	bool has_max;
	bool min_exact;
	bool max_exact;
	uint32_t min_at;
	uint32_t min_bytes;
	uint32_t max_at;
	uint32_t max_bytes;
	struct pq_page_written *pages;
	uint32_t page_count;
	/* Set when the indexes are written. */
	uint64_t column_index_at;
	uint64_t column_index_bytes;
	uint64_t offset_index_at;
	uint64_t offset_index_bytes;
};
struct pq_group_written {
	uint64_t rows;
	uint64_t at;
	struct pq_chunk_written *chunks;
};
struct pq_scratch {
	struct pq_dict_builder dict;
	int64_t *wide;         /* Integers of a page or chunk. */
	size_t wide_cap;
	uint32_t *seen;        /* Dictionary codes on the page. */
	struct tn_buf body;
	struct tn_buf packed;
	int level;
	uint32_t page_rows;
	const _Atomic bool *left;
};
/* Encode a column as a chunk behind ${out}, which stands at file offset
 * ${base}. */
TN_MUST_USE enum tn_status tn_parquet_chunk_write(struct pq_scratch *s,
    const struct pq_column *c, struct tn_buf *out, uint64_t base,
    struct pq_chunk_written *w);
/* Statistics of values [from, to) of a column. */
void tn_parquet_minmax(const struct pq_column *c, uint32_t from, uint32_t to,
    struct pq_minmax *m);
void tn_parquet_minmax_add(const struct pq_column *c, uint32_t i,
    struct pq_minmax *m);
void tn_parquet_minmax_merge(enum pq_order o, struct pq_minmax *to,
    const struct pq_minmax *from);
/* Everything behind the last row group: indexes and footer. */
struct pq_footer {
	const struct tn_schema *schema;
	const struct tn_parquet_write_opts *opts;
	const struct pq_column *columns;
	struct pq_group_written *groups;
	uint32_t group_count;
	uint64_t rows;
};
void tn_parquet_footer_write(struct tn_buf *out, uint64_t base,
    const struct pq_footer *f);

#endif

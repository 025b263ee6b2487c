/* parquet: Apache Parquet files (format 2.9, parquet-format on GitHub), flat
 * schemas with nulls; our own writer and reader, because Debian has no C
 * library for it. Foreign readers (DuckDB, hyparquet) judge the writer, files
 * of foreign writers judge the reader.
 *
 * Writer: data page v1; PLAIN, RLE_DICTIONARY, DELTA_BINARY_PACKED,
 * DELTA_LENGTH_BYTE_ARRAY (texts without a dictionary), RLE levels; zstd
 * pages with page CRC; chunk statistics, ColumnIndex and OffsetIndex;
 * key-value metadata, sorting columns.
 * Reader: page v1 and v2, the encodings above, DELTA_BYTE_ARRAY,
 * BYTE_STREAM_SPLIT and RLE booleans; zstd, snappy (own decoder) and
 * uncompressed. Nested and repeated columns, encryption and other codecs are
 * TN_EUNSUPPORTED with a message that names them.
 *
 * Types: bool BOOLEAN; int2, int4 INT32 (INT(16), INT(32)); int8 INT64; float4
 * FLOAT; float8 DOUBLE; numeric DECIMAL(p,s) on INT64 when p <= 18, else on
 * FIXED_LEN_BYTE_ARRAY(16); text STRING; date DATE; time TIME(micros);
 * timestamp TIMESTAMP(micros, not UTC); timestamptz TIMESTAMP(micros, UTC);
 * jsonb JSON; uuid UUID; bytes BYTE_ARRAY. varchar(n) comes back as text,
 * numeric(38,9) as the bare numeric.
 * Foreign columns: INT(8) int2; unsigned 8, 16, 32, 64 bits int2, int4, int8,
 * numeric(20,0); FLOAT16 float4; times and timestamps of milli- and
 * nanoseconds in microseconds (rounded down); INT96 timestamp; ENUM and JSON
 * text (jsonb only from our own files); other byte arrays bytes. */
#ifndef TN_PARQUET_PARQUET_H
#define TN_PARQUET_PARQUET_H

#include "base/base.h"
#include "record/record.h"

struct tn_parquet_pair {
	const char *key;
	const char *value;
};
struct tn_parquet_write_opts {
	int zstd_level;              /* 0: 1 */
	uint32_t group_rows;         /* Rows of a row group; 0: 122880 */
	uint32_t page_rows;          /* Most rows of a page; 0: 20000 */
	size_t group_bytes;          /* Values of a row group; 0: 64 MiB, which
	                                is also the most. */
	const struct tn_parquet_pair *pairs;
	uint32_t pair_count;
	/* Columns the file is sorted by (ascending), for SortingColumn. */
	const uint32_t *sorted_by;
	uint32_t sorted_count;
	/* Told all bytes of the file, in order, before they are written, by the
	 * thread that calls. May be NULL. */
	void (*each)(void *arg, const void *p, size_t n);
	void *arg;
	/* NULL, or borrowed: once true, what is written fails with TN_ECLOSED
	 * at the next page. */
	const _Atomic bool *left;
};
/* What was written. crc is of the whole file (CRC-32C). */
struct tn_parquet_written {
	uint64_t rows;
	uint64_t bytes;
	uint32_t crc;
};
struct tn_parquet_writer;
/* Creates ${path} (must not exist). Borrows schema and what opts points to
 * until finish or abandon. TN_EUNSUPPORTED: a type that has no storage. One
 * thread a writer. */
TN_MUST_USE enum tn_status tn_parquet_create(struct tn_parquet_writer **w,
    const char *path, const struct tn_schema *schema,
    const struct tn_parquet_write_opts *opts);
/* Same schema (types must match; asserted); values are copied. TN_EINVAL: a
 * null in a column that is not_null, or a numeric with more digits than its
 * type. TN_ELIMIT: a row of more than 128 MiB. Dictionary columns are taken.
 * After a failure every call gives it again. */
TN_MUST_USE enum tn_status tn_parquet_write(struct tn_parquet_writer *w,
    const struct tn_batch *b);
/* The same of ${count} rows from ${from}. */
TN_MUST_USE enum tn_status tn_parquet_write_rows(struct tn_parquet_writer *w,
    const struct tn_batch *b, uint32_t from, uint32_t count);
/* The same of a whole batch whose column ${column} (text or bytes, not null)
 * is known compressed: ${frame} is its bytes, back to back, as one zstd frame.
 * It becomes a page of the file as it is, where it may; copied. The column's
 * bytes may be missing (NULL). TN_EUNSUPPORTED: then it may not be such a page,
 * and nothing was taken: give them. A chunk with such a page has no bounds. */
struct tn_parquet_frame {
	uint32_t column;
	struct tn_slice bytes;
};
TN_MUST_USE enum tn_status tn_parquet_write_framed(
    struct tn_parquet_writer *w, const struct tn_batch *b,
    const struct tn_parquet_frame *frame);
/* Other key-value pairs than those of its options; borrowed likewise. */
void tn_parquet_pairs(struct tn_parquet_writer *w,
    const struct tn_parquet_pair *pairs, uint32_t count);
/* Bytes of values of the row group that is being gathered. */
size_t tn_parquet_open_bytes(const struct tn_parquet_writer *w);
/* Bytes of the file so far: of closed row groups. */
uint64_t tn_parquet_size(const struct tn_parquet_writer *w);
/* Footer, sync, close. The writer is freed in every case; after a failure
 * the file is removed. */
TN_MUST_USE enum tn_status tn_parquet_finish(struct tn_parquet_writer *w,
    struct tn_parquet_written *out);
/* Give up: close and remove the file. NULL is fine. */
void tn_parquet_abandon(struct tn_parquet_writer *w);

/* ---- nested columns -------------------------------------------------- */

/* A small file of nested columns (checkpoints of Delta Lake), made whole in
 * memory; the reader below does not take it. */
enum tn_parquet_kind {
	TN_PARQUET_GROUP, TN_PARQUET_MAP, TN_PARQUET_LIST, TN_PARQUET_TEXT,
	TN_PARQUET_BOOL, TN_PARQUET_INT4, TN_PARQUET_INT8
};
struct tn_parquet_node {
	const char *name;
	enum tn_parquet_kind kind;
	uint8_t repetition;          /* 0 required, 1 optional, 2 repeated */
	uint32_t children;           /* They follow, each with its own. */
};
struct tn_parquet_nested;
/* Borrows ${nodes}: the schema from the top, without its root. */
struct tn_parquet_nested *tn_parquet_nested_new(
    const struct tn_parquet_node *nodes, uint32_t count);
/* One entry of leaf ${leaf} (counted in the order of nodes) a row: that it is
 * not there below definition level ${level}, or its value. A list or map has
 * at most one item. */
void tn_parquet_nested_none(struct tn_parquet_nested *n, uint32_t leaf,
    uint32_t level);
void tn_parquet_nested_text(struct tn_parquet_nested *n, uint32_t leaf,
    struct tn_slice s);
void tn_parquet_nested_number(struct tn_parquet_nested *n, uint32_t leaf,
    int64_t v);
/* The file into ${out}, which is empty; one row or more. TN_ELIMIT,
 * TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_parquet_nested_finish(
    struct tn_parquet_nested *n, struct tn_buf *out);
void tn_parquet_nested_free(struct tn_parquet_nested *n);

/* ---- reading --------------------------------------------------------- */

/* A bound on a column: rows outside of it need not be returned; those inside
 * all are. Values in the column's own type, of one row columns; NULL: open.
 * Nulls are outside. */
struct tn_parquet_bound {
	uint32_t column;
	const struct tn_column *min;
	const struct tn_column *max;
};
struct tn_parquet_read_opts {
	/* Columns wanted, by index of the file's schema; NULL: all. */
	const uint32_t *columns;
	uint32_t column_count;
	const struct tn_parquet_bound *bounds;
	uint32_t bound_count;
	/* Text may come as dictionary columns. A foreign file's dictionary may
	 * hold a text twice: equal texts need not have equal codes. */
	bool keep_dictionary;
	/* Rows [row_first, row_first + batch_rows_max) of the group at most;
	 * 0: to its end. A caller that wants pieces goes on with row_first +=
	 * batch_rows_max until tn_parquet_group_rows. */
	uint32_t batch_rows_max;
	uint64_t row_first;
	const _Atomic bool *left;    /* NULL, or once true: TN_ECLOSED at the
	                              * next column. */
};
/* A batch that would hold more bytes of values is refused (TN_ELIMIT). */
#define TN_PARQUET_BATCH_BYTES_MAX ((uint64_t)1 << 30)
struct tn_parquet_reader;
/* Opens, maps and checks the footer. TN_ECORRUPT or TN_EUNSUPPORTED fills d.
 * The file may be unlinked while open. */
TN_MUST_USE enum tn_status tn_parquet_open(struct tn_parquet_reader **r,
    const char *path, struct tn_diag *d);
const struct tn_schema *tn_parquet_schema(const struct tn_parquet_reader *r);
/* Does a foreign file call this column of texts JSON? Nobody has checked them. */
bool tn_parquet_is_json(const struct tn_parquet_reader *r, uint32_t column);
uint64_t tn_parquet_rows(const struct tn_parquet_reader *r);
uint32_t tn_parquet_groups(const struct tn_parquet_reader *r);
uint64_t tn_parquet_group_rows(const struct tn_parquet_reader *r,
    uint32_t group);
/* Value of a key in the footer, or NULL. */
const char *tn_parquet_value(const struct tn_parquet_reader *r,
    const char *key);
/* What the statistics say of a column, over all row groups; any type of
 * ours. */
struct tn_parquet_range {
	bool counted;                /* nulls holds. */
	uint64_t nulls;
	/* All values lie between min and max: in _i of integers, times,
	 * numerics (unscaled) and bool, in _f of floats, in _s (borrowed from
	 * the reader, at most 64 bytes of texts) of texts and uuids. */
	bool bounded;
	__int128 min_i, max_i;
	double min_f, max_f;
	struct tn_slice min_s, max_s;
};
void tn_parquet_range(const struct tn_parquet_reader *r, uint32_t column,
    struct tn_parquet_range *out);
/* Read row group ${group} (pages by the page index where bounds allow) as a
 * batch whose schema has the wanted columns in the wanted order (NULL opts:
 * all of it). The batch owns all of its memory and outlives the reader. *out
 * is NULL when no row can match. Many threads may read different groups of one
 * reader. */
TN_MUST_USE enum tn_status tn_parquet_read(struct tn_parquet_reader *r,
    uint32_t group, const struct tn_parquet_read_opts *opts,
    struct tn_batch **out, struct tn_diag *d);
void tn_parquet_close(struct tn_parquet_reader *r);

#endif

/* lake: the medallion files on disk. Paths, writing each tier's files,
 * reading them back in a table's present shape, key files of the dedupe
 * window, and removing what no catalog names. The lake knows files, not which
 * of them are visible: that is the catalog's word.
 *
 *   bronze/<stream>/<label>.parquet               raw rows as they came
 *   silver/<stream>/date=2026-03-01/<label>.parquet   typed, by event day
 *   gold/<view>/<partition>/<label>.parquet       results beside states
 *   keys/<stream>/<label>.keys                    sorted 128-bit key hashes
 *
 * Every writer syncs its file; the caller syncs folders once with
 * tn_lake_sync before it publishes.
 *
 * Threads: one thread at a time writes, syncs, removes and sweeps; reading
 * and checking files is for any thread at any time. */
#ifndef TN_LAKE_LAKE_H
#define TN_LAKE_LAKE_H

#include "base/base.h"
#include "parquet/parquet.h"
#include "record/record.h"

struct tn_lake;
/* Makes the folders. */
TN_MUST_USE enum tn_status tn_lake_open(struct tn_lake **lake,
    const char *root, struct tn_diag *d);
void tn_lake_close(struct tn_lake *lake);
const char *tn_lake_root(const struct tn_lake *lake);

/* A written file, to be published. A path that does not fit: TN_ELIMIT. */
struct tn_lake_file {
	char partition[24];
	char path[200];          /* Relative to the root. */
	uint64_t rows;
	uint64_t bytes;
	uint32_t crc;
	int64_t time_min;        /* Of the time column, us; 0 when none. */
	int64_t time_max;
};
/* A growing list of them. Zero-initialise; free with tn_lake_files_fini. */
struct tn_lake_files {
	struct tn_lake_file *files;
	uint32_t count;
	uint32_t cap;
};
void tn_lake_files_fini(struct tn_lake_files *f);

struct tn_lake_write {
	const char *tier;        /* "bronze", "silver", "gold" */
	const char *table;       /* Name of the stream or view. */
	const char *partition;   /* "" for none; "date=2026-03-01" */
	const char *label;       /* File name without ending; unique. */
	int time_column;         /* For time_min and time_max, or -1: a
	                            timestamp or date. */
	const struct tn_parquet_write_opts *parquet;
	/* Written into the file's footer with tier and table, so that a file
	 * alone says what made it: tarn.version, tarn.lsn. */
	uint32_t version;        /* Of the definition. */
	uint64_t lsn;            /* Of the cut. */
};
/* One batch (or many of one schema) as one file, in the order given. After a
 * failure there is no file. count >= 1. */
TN_MUST_USE enum tn_status tn_lake_put(struct tn_lake *lake,
    const struct tn_lake_write *w, struct tn_batch *const *batches,
    uint32_t count, struct tn_lake_file *out);
/* The same in pieces, for files larger than memory: batches of ${schema} in
 * the order they are to have. finish syncs the file and frees the writer;
 * abandon frees it and leaves no file. */
struct tn_lake_writer;
TN_MUST_USE enum tn_status tn_lake_create(struct tn_lake *lake,
    const struct tn_lake_write *w, const struct tn_schema *schema,
    struct tn_lake_writer **out);
TN_MUST_USE enum tn_status tn_lake_add(struct tn_lake_writer *w,
    const struct tn_batch *b);
TN_MUST_USE enum tn_status tn_lake_finish(struct tn_lake_writer *w,
    struct tn_lake_file *out);
void tn_lake_abandon(struct tn_lake_writer *w);
/* What it holds in memory, about; 0 for NULL. */
size_t tn_lake_writer_bytes(const struct tn_lake_writer *w);
/* Rows of batches split by the UTC day of ${w->time_column} (not null, a
 * timestamp or date) and sorted by it (ties keep their order), a file a day;
 * appended to ${out}. w->partition is ignored. After a failure the files of
 * this call are removed and ${out} is as before. count >= 1. Holds all rows
 * twice. */
TN_MUST_USE enum tn_status tn_lake_put_days(struct tn_lake *lake,
    const struct tn_lake_write *w, struct tn_batch *const *batches,
    uint32_t count, struct tn_lake_files *out);
/* Sync every folder written to since the last call that succeeded. */
TN_MUST_USE enum tn_status tn_lake_sync(struct tn_lake *lake);
/* Unlink one file; missing is fine. Empty folders stay. */
TN_MUST_USE enum tn_status tn_lake_remove(struct tn_lake *lake,
    const char *path);
/* Unlink all files under the root that are not in the sorted list. */
TN_MUST_USE enum tn_status tn_lake_sweep(struct tn_lake *lake,
    const char *const *paths, uint32_t count, uint32_t *removed);
/* CRC-32C and size of a whole file now, to compare with its catalog row. */
TN_MUST_USE enum tn_status tn_lake_check(struct tn_lake *lake,
    const char *path, uint32_t *crc, uint64_t *bytes);

/* Read a file in the shape of ${schema}: columns are found by name; those
 * that the file lacks, and those whose used[] byte is 0 (used may be NULL),
 * are all null. An integer or float column that was narrower when the file
 * was written is widened; any other change of type is TN_EUNSUPPORTED.
 * bounds' columns are indexes of ${schema}. Calls each() for every batch in
 * file order; each borrows the batch. A status other than TN_OK from each()
 * ends the read and is returned, TN_END as TN_OK. */
struct tn_lake_read {
	const char *path;
	const struct tn_schema *schema;
	const uint8_t *used;
	const struct tn_parquet_bound *bounds;
	uint32_t bound_count;
	bool keep_dictionary;
	/* If not NULL: set to 1 for each wanted column that the file has in a
	 * type that fits, else 0; another type is then no error, but null. */
	uint8_t *found;
	enum tn_status (*each)(void *arg, struct tn_batch *b);
	void *arg;
};
TN_MUST_USE enum tn_status tn_lake_read(struct tn_lake *lake,
    const struct tn_lake_read *r, struct tn_diag *d);

/* ---- key files ------------------------------------------------------- */

/* Sorted distinct hashes behind a small filter (blocked Bloom, 10 to 20 bits
 * a key); format at the head of keys.c. Mapped; a lookup that misses touches
 * one cache line. A present file with that name is TN_EEXIST. */
TN_MUST_USE enum tn_status tn_lake_keys_put(struct tn_lake *lake,
    const char *table, const char *label, struct tn_hash128 *keys,
    uint64_t count, struct tn_lake_file *out);   /* Sorts keys in place. */
struct tn_lake_keys;
TN_MUST_USE enum tn_status tn_lake_keys_open(struct tn_lake *lake,
    const char *path, struct tn_lake_keys **keys, struct tn_diag *d);
/* One more reference, for close: any thread. */
struct tn_lake_keys *tn_lake_keys_again(struct tn_lake_keys *k);
bool tn_lake_keys_has(const struct tn_lake_keys *k, struct tn_hash128 key);
/* Bring what has will look at first into the processor's caches. */
void tn_lake_keys_fetch(const struct tn_lake_keys *k, struct tn_hash128 key);
uint64_t tn_lake_keys_count(const struct tn_lake_keys *k);
/* Of the filter, which lookups keep in memory; the keys are rarely read. */
size_t tn_lake_keys_filter_bytes(const struct tn_lake_keys *k);
struct tn_hash128 tn_lake_keys_at(const struct tn_lake_keys *k, uint64_t i);
void tn_lake_keys_close(struct tn_lake_keys *k);

#endif

/* lake: the medallion files on disk. Paths, writing each tier's files,
 * reading them back in a table's present shape, key files of the dedupe
 * window, and removing what no catalog names. The lake knows files, not which
 * of them are visible: that is the catalog's word.
 *
 *   bronze/<stream>/date=2026-03-01/<label>.parquet   raw rows, by day received
 *   silver/<stream>/date=2026-03-01/<label>.parquet   typed, by event day
 *   gold/<view>/<partition>/<label>.parquet       results beside states; of a
 *                                                 slice: <label>-s3of8.parquet
 *   keys/<stream>/<label>.keys                    sorted 128-bit key hashes
 *   objects/...                                   of the room objects, not ours
 *   <tier>/<table>/cold-3f2a91bc/...              the same in the cold folder
 *
 * Every writer syncs its file; the caller syncs folders once with
 * tn_lake_sync before it publishes.
 *
 * Threads: one thread at a time creates, syncs folders, removes and sweeps. A
 * writer may be fed, finished or abandoned on another thread that has it alone;
 * reading and checking files is for any thread at any time. */
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

/* The cold folder: a second one, for files that are written as ${cold}. After
 * open, before sweep and all else. Folders of before are known by the file
 * ${mark}; their files must be there. TN_ECONFLICT, TN_ENOTFOUND: with what is
 * to be done; nothing was changed. */
struct tn_lake_cold_opts {
	const char *folder;      /* "": none. */
	const char *mark;        /* DATA/cold */
	const char *const *paths;        /* All of the catalog's, sorted. */
	uint32_t count;
};
TN_MUST_USE enum tn_status tn_lake_cold_open(struct tn_lake *lake,
    const struct tn_lake_cold_opts *o, struct tn_diag *d);
/* Its path; NULL: there is none. Any thread, as what follows. */
const char *tn_lake_cold_folder(const struct tn_lake *lake);
/* Its disk is there now. */
bool tn_lake_cold_ready(const struct tn_lake *lake);
/* Is this the path of a file in it? */
bool tn_lake_is_cold(const struct tn_lake *lake, const char *path);

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
	bool cold;               /* In the cold folder, which there must be. */
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
/* ${count} rows from ${from} on. */
TN_MUST_USE enum tn_status tn_lake_add_rows(struct tn_lake_writer *w,
    const struct tn_batch *b, uint32_t from, uint32_t count);
/* The same, where a column's bytes are known as a zstd frame, which may become
 * a page as it is (tn_parquet_write_framed, also for TN_EUNSUPPORTED). */
TN_MUST_USE enum tn_status tn_lake_add_framed(struct tn_lake_writer *w,
    const struct tn_batch *b, uint32_t column, struct tn_slice frame);
/* One more key and value for the footer, before finish; both are copied. At
 * most TN_LAKE_NOTES_MAX. */
#define TN_LAKE_NOTES_MAX 4
void tn_lake_note(struct tn_lake_writer *w, const char *key,
    const char *value);
TN_MUST_USE enum tn_status tn_lake_finish(struct tn_lake_writer *w,
    struct tn_lake_file *out);
void tn_lake_abandon(struct tn_lake_writer *w);
/* Bytes of the file so far: of closed row groups. */
uint64_t tn_lake_writer_size(const struct tn_lake_writer *w);
/* What it holds in memory, about; 0 for NULL. */
size_t tn_lake_writer_bytes(const struct tn_lake_writer *w);
/* Rows of batches split by the UTC day of ${w->time_column} (not null, a
 * timestamp or date) and sorted by w->parquet's sorted_by, else by the time
 * (nulls last, ties keep their order), a file a day; appended to ${out}.
 * w->partition is ignored. After a failure the files of this call are removed
 * and ${out} is as before. count >= 1. Holds all rows twice. */
TN_MUST_USE enum tn_status tn_lake_put_days(struct tn_lake *lake,
    const struct tn_lake_write *w, struct tn_batch *const *batches,
    uint32_t count, struct tn_lake_files *out);
/* Sync every folder written to since the last call that succeeded. Without
 * ${cold} those of cold folders wait for a call with it: a disk that dies
 * there is not to stop what has no file on it. */
TN_MUST_USE enum tn_status tn_lake_sync(struct tn_lake *lake, bool cold);
/* Unlink one file; missing is fine. Empty folders stay. */
TN_MUST_USE enum tn_status tn_lake_remove(struct tn_lake *lake,
    const char *path);
/* Unlink all files under the root that are not in the sorted list. */
TN_MUST_USE enum tn_status tn_lake_sweep(struct tn_lake *lake,
    const char *const *paths, uint32_t count, uint32_t *removed);
/* CRC-32C and size of a whole file now, to compare with its catalog row. */
TN_MUST_USE enum tn_status tn_lake_check(struct tn_lake *lake,
    const char *path, uint32_t *crc, uint64_t *bytes);

/* All bytes of a file in pieces, and its CRC-32C and size. */
struct tn_lake_bytes {
	const char *path;
	void (*each)(void *arg, const void *p, size_t n);
	void *arg;
	const _Atomic bool *left;    /* NULL, or once true: TN_ECLOSED. */
	uint32_t crc;            /* Set, as what follows. */
	uint64_t bytes;
};
TN_MUST_USE enum tn_status tn_lake_bytes(struct tn_lake *lake,
    struct tn_lake_bytes *b);
/* Size of a file. */
TN_MUST_USE enum tn_status tn_lake_size(struct tn_lake *lake,
    const char *path, uint64_t *bytes);
/* What a footer says under ${keys}, in ${a}; NULL where it says nothing. */
struct tn_lake_notes {
	const char *path;
	const char *const *keys;
	uint32_t count;
	const char **values;     /* Set. */
};
TN_MUST_USE enum tn_status tn_lake_notes(struct tn_lake *lake,
    const struct tn_lake_notes *n, struct tn_arena *a, struct tn_diag *d);

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
	const _Atomic bool *left;    /* NULL, or once true: TN_ECLOSED. */
};
TN_MUST_USE enum tn_status tn_lake_read(struct tn_lake *lake,
    const struct tn_lake_read *r, struct tn_diag *d);

/* The most that is held of one file; bytes 0: no limit. */
struct tn_lake_piece {
	uint32_t rows;
	size_t bytes;            /* About; at least one row is held. */
};
/* Files of one schema read as one, in pieces: one after the other, or, where
 * each is sorted by the columns sort[], in that order (nulls last; equal rows
 * in the order of the files). Holds up to ${piece} of each file, and as much
 * again while it sorts. Borrows what the options point to until close.
 * next: rows borrowed until the next call; TN_END. Without sort[] texts may be
 * dictionary columns. A file that is not sorted so is TN_ECORRUPT. */
struct tn_lake_merge_opts {
	const char *const *paths;
	uint32_t count;
	const struct tn_schema *schema;
	const uint32_t *sort;
	uint32_t sort_count;
	struct tn_lake_piece piece;
	/* NULL, or borrowed: once true, open and next end soon with TN_ECLOSED:
	 * at the next file, column, part of a sort. */
	const _Atomic bool *left;
};
struct tn_lake_merge;
TN_MUST_USE enum tn_status tn_lake_merge_open(struct tn_lake *lake,
    const struct tn_lake_merge_opts *o, struct tn_lake_merge **out,
    struct tn_diag *d);
TN_MUST_USE enum tn_status tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
void tn_lake_merge_close(struct tn_lake_merge *m);

/* ---- tables for other engines ---------------------------------------- */

/* Each table is also one of Apache Iceberg (v2, in <table>/metadata) and of
 * Delta Lake (in <table>/_delta_log): versions that name the table's files at
 * one publication. README.md has the formats. One thread at a time. */
enum tn_lake_format { TN_LAKE_ICEBERG = 1, TN_LAKE_DELTA = 2 };
struct tn_lake_table_file {
	uint64_t id;             /* The catalog's; never given twice. */
	const char *path;        /* Relative to the root. */
	uint64_t rows;
	uint64_t bytes;
	int64_t time_min;        /* Of the day column, us. */
};
struct tn_lake_table_opts {
	const char *tier;
	const char *name;
	const struct tn_schema *schema;  /* What is shown; by name in files. */
	/* Columns of the files that are not shown; readers want them named. */
	const char *const *hidden;
	uint32_t hidden_count;
	int day_column;          /* A file holds one UTC day of it; or -1. */
	int sorted_column;       /* Rows of a file ascend by it; or -1. */
	int formats;             /* Those to be kept; others are removed. */
	int64_t keep_us;         /* Older versions are forgotten. */
	uint32_t snapshots_max;  /* Most that Iceberg lists; 0: 100 */
};
struct tn_lake_table;
/* Reads what stands and removes what a crash left. What cannot be read, or
 * was written for another place, is begun anew. Never NULL. */
struct tn_lake_table *tn_lake_table_open(struct tn_lake *lake,
    const struct tn_lake_table_opts *o);
/* The publication that a format's newest version was made of; 0: there is
 * none, or its files are known. */
uint64_t tn_lake_table_sequence(const struct tn_lake_table *t,
    enum tn_lake_format format);
/* After open: the table's files at that publication. False: that is not what
 * the version names. Without, the history of the format is begun anew. */
bool tn_lake_table_recall(struct tn_lake_table *t, enum tn_lake_format format,
    const struct tn_lake_table_file *files, uint32_t count);
struct tn_lake_table_cut {
	uint64_t sequence;
	uint64_t lsn;
	int64_t at_us;
	uint32_t version;        /* Of the definition. */
	bool same_rows;          /* Files changed, what they say did not. */
	/* Publications before this one can be read no more; 0: not known. */
	uint64_t kept_from;
	bool held;               /* The clock leapt: nothing is old by it. */
};
/* The table's files now; one that has had none stays unknown. Versions are
 * made where a format names others, or other columns, and old ones
 * forgotten. After a failure a format stays as it
 * was; the next call brings it up to date. */
TN_MUST_USE enum tn_status tn_lake_table_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count);
/* Everything that was written of it goes, as what it says of rows (bounds of
 * columns, names of files) may be wanted no more; the next commit begins its
 * history anew. Readers find no table until then. */
void tn_lake_table_renew(struct tn_lake_table *t);
/* keep_us is another from now on. */
void tn_lake_table_keep(struct tn_lake_table *t, int64_t keep_us);
void tn_lake_table_free(struct tn_lake_table *t);
/* Remove the metadata of every table that is not among these, as
 * "silver/badge". At start. */
TN_MUST_USE enum tn_status tn_lake_tables_sweep(struct tn_lake *lake,
    const char *const *kept, uint32_t count);

/* For the doors; any thread. Names of a tier's tables that Iceberg knows,
 * sorted; free each and the array with tn_free. */
TN_MUST_USE enum tn_status tn_lake_table_names(struct tn_lake *lake,
    const char *tier, char ***names, size_t *count);
/* The path of a table's newest Iceberg metadata, relative to the root.
 * TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_lake_table_newest(struct tn_lake *lake,
    const char *tier, const char *name, char out[static 200]);
/* Is it the path of a metadata file (by its form)? */
bool tn_lake_is_metadata(struct tn_slice path);
/* "file:///data/lake": what all locations on disk begin with. Free it. */
char *tn_lake_location(const struct tn_lake *lake);
/* A metadata file with the locations that readers of ${base}
 * ("http://host/lake") need; NULL: as on disk. TN_ENOTFOUND, TN_ELIMIT
 * (64 MiB). */
TN_MUST_USE enum tn_status tn_lake_metadata(struct tn_lake *lake,
    const char *path, const char *base, struct tn_buf *out);

/* ---- key files ------------------------------------------------------- */

/* Sorted distinct hashes behind a small filter (blocked Bloom, 10 to 20 bits
 * a key); format at the head of keys.c. Mapped; a lookup that misses touches
 * one cache line. A present file with that name is TN_EEXIST. */
TN_MUST_USE enum tn_status tn_lake_keys_put(struct tn_lake *lake,
    const char *table, const char *label, struct tn_hash128 *keys,
    uint64_t count, struct tn_lake_file *out);   /* Sorts keys in place. */
/* What sorting so many takes beside them, at most. */
size_t tn_lake_keys_sort_bytes(uint64_t count);
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

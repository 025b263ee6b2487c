/* Shared by tables.c (what both formats do), iceberg*.c and delta*.c: the
 * files that a format's newest version names, and small writers. */
#ifndef TN_LAKE_TABLES_INT_H
#define TN_LAKE_TABLES_INT_H

#include "lake/lake_int.h"

/* A file that the newest version of a table names. */
struct tn_lake_named {
	struct tn_lake_table_file f;
	char *path;              /* Owned; f.path is this. */
	uint64_t since;          /* The sequence that named it first. */
	uint64_t manifest;       /* Iceberg: where; 0: an older run's. */
};
/* Them all, by id. */
struct tn_lake_names {
	struct tn_lake_named *p;
	uint32_t count;
};
struct tn_lake_table {
	struct tn_lake *lake;
	char *tier;
	char *name;
	char *location;          /* "file:///.../silver/badge" */
	struct tn_schema *schema;
	char **hidden;
	uint32_t hidden_count;
	int day_column;
	int sorted_column;
	int64_t keep_us;
	uint32_t snapshots_max;
	struct tn_lake_iceberg *iceberg;     /* Or NULL: not wanted. */
	struct tn_lake_delta *delta;
};

/* What a version of one format changes. */
struct tn_lake_change {
	const struct tn_lake_table_cut *cut;
	struct tn_lake_names all;            /* What it will name. */
	const struct tn_lake_named **added;  /* In all. */
	const struct tn_lake_named **kept;   /* In all. */
	const struct tn_lake_named **gone;   /* In what was named before. */
	uint32_t added_count, kept_count, gone_count;
	uint64_t added_rows, gone_rows, added_bytes, gone_bytes;
	uint64_t rows, bytes;                /* Of all. */
	char print[20];                      /* Fingerprint of all. */
};
void tn_lake_change_begin(struct tn_lake_change *c,
    const struct tn_lake_table_cut *cut, const struct tn_lake_names *was,
    const struct tn_lake_table_file *files, uint32_t count);
/* ${was} becomes c->all. */
void tn_lake_change_keep(struct tn_lake_change *c, struct tn_lake_names *was);
void tn_lake_change_end(struct tn_lake_change *c);
void tn_lake_names_fini(struct tn_lake_names *n);
/* Take a list as what the newest version names; false: it is another one. */
bool tn_lake_names_recall(struct tn_lake_names *n, const char *print,
    const struct tn_lake_table_file *files, uint32_t count);

/* "tier/name/folder/file" */
void tn_lake_table_path(const struct tn_lake_table *t, const char *folder,
    const char *file, char out[static TN_LAKE_PATH_MAX]);
/* A whole file, on disk before it has its name, which is synced. */
TN_MUST_USE enum tn_status tn_lake_table_put(const struct tn_lake_table *t,
    const char *folder, const char *file, const struct tn_buf *b);
/* One that nothing names yet: synced, but its name stands before. The folder
 * is synced with what names it. */
TN_MUST_USE enum tn_status tn_lake_table_put_part(
    const struct tn_lake_table *t, const char *folder, const char *file,
    const struct tn_buf *b);
/* One that a start makes anew: whole when it has its name, but not synced. */
TN_MUST_USE enum tn_status tn_lake_table_put_hint(
    const struct tn_lake_table *t, const char *folder, const char *file,
    const struct tn_buf *b);
/* A version, which readers may see from then on: once the name
 * stands, the file is whole, and it is not written a second time. */
TN_MUST_USE enum tn_status tn_lake_table_put_new(
    const struct tn_lake_table *t, const char *folder, const char *file,
    const struct tn_buf *b);
/* Missing is fine; another failure is said, the next start tries again. */
void tn_lake_table_unlink(const struct tn_lake_table *t, const char *folder,
    const char *file);
/* Names in a folder of the table; none when there is no folder. */
TN_MUST_USE enum tn_status tn_lake_table_list(const struct tn_lake_table *t,
    const char *folder, char ***names, size_t *count);
/* The number between two texts: "v" 12 ".metadata.json". */
bool tn_lake_number_in(const char *name, const char *before,
    const char *after, uint64_t *v);
void tn_lake_uuid(char out[static 37]);
/* "text", escaped, in quotes. */
void tn_lake_put_json(struct tn_buf *b, const char *s);
/* A footer's ranges, one a column of the table's schema (zeroed where the
 * file has no such column, or cannot be read). *reader keeps texts; close it
 * after use; it may be NULL. */
void tn_lake_ranges(const struct tn_lake_table *t, const char *path,
    struct tn_parquet_reader **reader, struct tn_parquet_range *ranges);

/* Iceberg. open reads what stands, removes leftovers. */
void tn_lake_iceberg_open(struct tn_lake_table *t);
uint64_t tn_lake_iceberg_sequence(const struct tn_lake_table *t);
bool tn_lake_iceberg_recall(struct tn_lake_table *t,
    const struct tn_lake_table_file *files, uint32_t count);
TN_MUST_USE enum tn_status tn_lake_iceberg_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count);
void tn_lake_iceberg_free(struct tn_lake_table *t);
#define TN_LAKE_ICEBERG_FOLDER "metadata"

/* Delta Lake, the same. */
void tn_lake_delta_open(struct tn_lake_table *t);
uint64_t tn_lake_delta_sequence(const struct tn_lake_table *t);
bool tn_lake_delta_recall(struct tn_lake_table *t,
    const struct tn_lake_table_file *files, uint32_t count);
TN_MUST_USE enum tn_status tn_lake_delta_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count);
void tn_lake_delta_free(struct tn_lake_table *t);
#define TN_LAKE_DELTA_FOLDER "_delta_log"

#endif

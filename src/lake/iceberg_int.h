/* Shared by iceberg.c (versions of a table), iceberg_meta.c (vN.metadata.json)
 * and iceberg_manifest.c (manifests and lists of them). */
#ifndef TN_LAKE_ICEBERG_INT_H
#define TN_LAKE_ICEBERG_INT_H

#include "codec/codec.h"
#include "lake/tables_int.h"

/* A manifest of the newest snapshot. Its name is m-<made>.avro. */
struct tn_lake_manifest {
	uint64_t made;           /* The sequence whose snapshot wrote it. */
	uint64_t oldest;         /* The least sequence of its files. */
	uint64_t bytes;
	int spec;
	uint32_t live;           /* Files it holds now. */
	uint32_t added, existing, deleted;     /* As written. */
	uint64_t added_rows, existing_rows, deleted_rows;
	bool has_days;
	int32_t day_min, day_max;
};
/* One that no later snapshot names. */
struct tn_lake_dead {
	uint64_t made;
	uint64_t since;          /* The first snapshot without it; 0: the next. */
};
struct tn_lake_snapshot {
	uint64_t id;             /* The publication's sequence. */
	uint64_t parent;         /* 0: none */
	int64_t at_ms;
	int schema;
	char *summary;           /* JSON. */
};
/* JSON texts with an id: schemas, partition specs, sort orders. */
struct tn_lake_text {
	int id;
	char *json;
};
struct tn_lake_texts {
	struct tn_lake_text *p;
	uint32_t count;
};
struct tn_lake_iceberg {
	uint64_t version;        /* Of the newest metadata; 0: none. */
	char uuid[37];
	uint64_t sequence;       /* Of its snapshot; 0: none. */
	int64_t updated_ms;
	bool known;              /* names holds what it names. */
	bool stale;              /* Columns differ from the table's. */
	char print[20];
	struct tn_lake_names names;
	struct tn_lake_snapshot *snapshots;  /* Oldest first. */
	uint32_t snapshot_count;
	struct tn_lake_manifest *manifests;
	uint32_t manifest_count;
	struct tn_lake_dead *dead;
	uint32_t dead_count;
	/* Column names ever shown; the id is the index + 1. */
	char **columns;
	uint32_t column_count;
	struct tn_lake_texts schemas, specs, orders;
	int schema, spec, order; /* Those in force. */
};

/* ---- iceberg_meta.c */

/* Ids of the table's columns and the schema, spec and order in force; new ones
 * are added. True: something is new. */
bool tn_lake_iceberg_shape(struct tn_lake_table *t);
int tn_lake_iceberg_column(const struct tn_lake_iceberg *x, const char *name);
const char *tn_lake_iceberg_text(const struct tn_lake_texts *x, int id);
/* "day_of_event", unique among the columns. */
void tn_lake_iceberg_day(const struct tn_lake_table *t, char out[static 24]);
void tn_lake_iceberg_write(struct tn_buf *b, const struct tn_lake_table *t);
/* False: not ours, of another place, or damaged. */
bool tn_lake_iceberg_read(struct tn_lake_table *t, struct tn_slice text);

/* ---- iceberg_manifest.c */

/* The manifest of a change: what was added, the kept files of ${kept}, what is
 * gone. Fills ${m} but for its name. */
void tn_lake_iceberg_manifest(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c, const struct tn_lake_named *const *kept,
    uint32_t kept_count, struct tn_lake_manifest *m);
void tn_lake_iceberg_list(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_snapshot *s, const struct tn_lake_manifest *manifests,
    uint32_t count);

#endif

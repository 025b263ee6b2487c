/* Shared by delta.c (the log) and delta_action.c (its texts, checkpoints). */
#ifndef TN_LAKE_DELTA_INT_H
#define TN_LAKE_DELTA_INT_H

#include "codec/codec.h"
#include "lake/tables_int.h"

struct tn_lake_checkpoint {
	uint64_t version;
	int64_t at_us;
};
struct tn_lake_delta {
	uint64_t next;           /* Version of the next commit. */
	uint64_t sequence;       /* Publication of the newest; 0: none. */
	bool known;              /* names holds what it names. */
	bool anew;               /* What stands goes before the next commit. */
	bool stale;              /* Columns differ from the table's. */
	char id[40];
	int64_t created_ms;
	char *schema;            /* schemaString of the newest. */
	char schema_print[20];   /* Its hash: what a start knows of it. */
	char print[20];
	struct tn_lake_names names;
	struct tn_lake_checkpoint *checkpoints;  /* Oldest first. */
	bool held;               /* Nothing is old by the clock. */
	uint32_t checkpoint_count;
	uint64_t lowest;         /* Oldest version that has a file. */
};

/* schemaString, and its hash. */
char *tn_lake_delta_schema(const struct tn_lake_table *t,
    char print[static 20]);
/* A commit's lines. */
void tn_lake_delta_lines(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c);
/* The state at ${sequence} as a checkpoint. */
TN_MUST_USE enum tn_status tn_lake_delta_state(struct tn_buf *b,
    const struct tn_lake_table *t, int64_t at_us);

#endif

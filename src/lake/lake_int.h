/* Shared inside the lake: its folders that await a sync. */
#ifndef TN_LAKE_INT_H
#define TN_LAKE_INT_H

#include "lake/lake.h"

#define TN_LAKE_PATH_MAX 512

struct tn_lake {
	char *root;
	/* Folders that await a sync, absolute; one may stand here twice. */
	char **dirty;
	uint32_t dirty_count;
	uint32_t dirty_cap;
};

/* root + "/" + path into buf; TN_ELIMIT when it does not fit. */
TN_MUST_USE enum tn_status tn_lake_absolute(const struct tn_lake *l,
    const char *path, char buf[static TN_LAKE_PATH_MAX]);
/* The path of a new file, its folder made and remembered for the sync. Sets
 * partition and path of ${f}, clears the rest. */
struct tn_lake_place {
	const char *tier;
	const char *table;
	const char *partition;
	const char *label;
	const char *ending;
};
TN_MUST_USE enum tn_status tn_lake_new_path(struct tn_lake *l,
    const struct tn_lake_place *at, struct tn_lake_file *f,
    char full[static TN_LAKE_PATH_MAX]);
void tn_lake_files_add(struct tn_lake_files *f, const struct tn_lake_file *x);

#endif

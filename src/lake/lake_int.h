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
	/* Cold folders that were ever ours; see cold.c. Fixed once open. */
	struct tn_lake_cold *colds;
	uint32_t cold_count;
	int cold;                        /* The one in use; -1: none. */
	char *cold_mark;                 /* DATA/cold */
};
#define TN_LAKE_COLD_ID 8
#define TN_LAKE_COLD_WORD 16
struct tn_lake_cold {
	char id[TN_LAKE_COLD_ID + 1];
	bool fresh;                      /* Its id may not stand in it yet. */
	bool known;                      /* It is there, and ours alone. */
	bool stale;                      /* Has files newer than its word. */
	char *folder;
	struct tn_os_file *lock;         /* NULL: not ours now. */
	/* Of which one stands in it; see cold_owner.c. */
	char words[2][TN_LAKE_COLD_WORD + 1];
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
	bool cold;
};
TN_MUST_USE enum tn_status tn_lake_new_path(struct tn_lake *l,
    const struct tn_lake_place *at, struct tn_lake_file *f,
    char full[static TN_LAKE_PATH_MAX]);
/* A file in pieces of at most ${most}: see tn_lake_read, whose each() it
 * does not call. A piece is borrowed until the next call. TN_END. */
struct tn_lake_cursor;
TN_MUST_USE enum tn_status tn_lake_cursor_open(struct tn_lake *l,
    const struct tn_lake_read *r, const struct tn_lake_piece *most,
    struct tn_lake_cursor **out,
    struct tn_diag *d);
TN_MUST_USE enum tn_status tn_lake_cursor_next(struct tn_lake_cursor *c,
    struct tn_batch **out, struct tn_diag *d);
void tn_lake_cursor_close(struct tn_lake_cursor *c);
/* Order of two rows by the columns sort[]. */
int tn_lake_order(const uint32_t *sort, uint32_t sort_count,
    const struct tn_batch *a, uint32_t i, const struct tn_batch *b,
    uint32_t k);
/* Row numbers of ${b} into that order, equal ones as they stand. rows[] has
 * room for twice as many. */
struct tn_lake_sorting {
	const uint32_t *sort;
	uint32_t sort_count;
	const struct tn_batch *b;
	const _Atomic bool *left;    /* NULL, or once true: it ends soon, and
	                              * the order means nothing. */
};
void tn_lake_sort(const struct tn_lake_sorting *s, uint32_t *rows,
    uint32_t count);
/* The table's link to the cold folder, made where it is missing: its name.
 * TN_ENOTFOUND: the folder is not there. */
TN_MUST_USE enum tn_status tn_lake_cold_link(struct tn_lake *l,
    const struct tn_lake_place *at, char name[static 16]);
/* An absolute path at or beneath such a link, or such a folder. */
bool tn_lake_in_cold(const struct tn_lake *l, const char *folder);
/* That link in a table's folder leads to what is ours. */
bool tn_lake_cold_swept(const struct tn_lake *l, const char *name);
void tn_lake_cold_close(struct tn_lake *l);
/* Writes DATA/cold. */
TN_MUST_USE enum tn_status tn_lake_cold_note(const struct tn_lake *l);
/* The folder's lock, unless we have it. TN_ECONFLICT with ${d}; another status:
 * it cannot be written. */
TN_MUST_USE enum tn_status tn_lake_cold_lock(struct tn_lake_cold *c,
    struct tn_diag *d);
/* With the lock: no other copy of the data folder used it since, and from now
 * on all others are refused. TN_ECONFLICT with ${d}; TN_EIO. */
TN_MUST_USE enum tn_status tn_lake_cold_claim(struct tn_lake *l,
    struct tn_lake_cold *c, struct tn_diag *d);
/* A new word, in DATA and there. */
TN_MUST_USE enum tn_status tn_lake_cold_renew(struct tn_lake *l,
    struct tn_lake_cold *c);
/* The same where files came since. */
TN_MUST_USE enum tn_status tn_lake_cold_settle(struct tn_lake *l);
/* The folder, absolute, awaits a sync. */
void tn_lake_dirty(struct tn_lake *l, const char *folder);
/* "metadata" or "_delta_log", in a table's folder. */
bool tn_lake_is_table_folder(const char *name);
void tn_lake_files_add(struct tn_lake_files *f, const struct tn_lake_file *x);

#endif

/* Shared inside the catalog: the connection and thin wrappers over SQLite,
 * so that a statement reads as text, binds, rows.
 *
 * Two locks, always in this order: SQLite's own (recursive) mutex of the
 * connection, held by a statement from prepare to finish and by a transaction
 * from begin to end, so that no other thread's statement, commit or rollback
 * falls between; then "lock", for the pointers to snapshots, held for a few
 * instructions and never over a call of SQLite: the loop may take it. */
#ifndef TN_CATALOG_INT_H
#define TN_CATALOG_INT_H

#include <sqlite3.h>

#include "catalog/catalog.h"

struct tn_catalog {
	sqlite3 *db;
	sqlite3 *looked_at;      /* NULL, or the file that db is a copy of. */
	sqlite3_stmt *rollback;  /* Made at the start: needs no memory later. */
	bool doubt;              /* A commit's fate is unknown: no more. */
	sqlite3_mutex *lock;     /* Guards what follows. */
	struct tn_catalog_snapshot *now;
	/* Sequences of snapshots that someone still holds. */
	struct tn_catalog_snapshot **live;
	uint32_t live_count;
	uint32_t live_cap;
};

/* SQLite's result code as a status; logs the first sight of a failure. */
enum tn_status tn_catalog_status(struct tn_catalog *c, int rc,
    const char *doing);
/* BEGIN IMMEDIATE. TN_ECLOSED: an earlier commit's fate is unknown. */
TN_MUST_USE enum tn_status tn_catalog_begin(struct tn_catalog *c);
/* After a begin that succeeded: commit if ${st} is TN_OK, else roll back and
 * return it. A commit that fails has no effect, also not after a crash;
 * TN_ECLOSED: that could not be made sure. */
TN_MUST_USE enum tn_status tn_catalog_end(struct tn_catalog *c,
    enum tn_status st);
/* Prepare and bind; takes the connection's mutex if it succeeds. types is one
 * letter a value: i int64_t, s const char * (may be NULL). */
TN_MUST_USE enum tn_status tn_catalog_prepare(struct tn_catalog *c,
    sqlite3_stmt **stmt, const char *sql, const char *types, ...);
/* Run to the end, drop the statement. */
TN_MUST_USE enum tn_status tn_catalog_run(struct tn_catalog *c,
    const char *sql, const char *types, ...);
/* TN_OK: a row stands; TN_END: no more. */
TN_MUST_USE enum tn_status tn_catalog_step(struct tn_catalog *c,
    sqlite3_stmt *stmt);
/* Drop a statement, give the mutex back. NULL (a failed prepare) is fine. */
void tn_catalog_finish(struct tn_catalog *c, sqlite3_stmt *stmt);
/* A column that is NOT NULL. Out of memory ends the process. */
const char *tn_catalog_text(sqlite3_stmt *stmt, int col, struct tn_arena *a);
/* The end of rows that were read into ${all}, until *${st} was TN_END: as an
 * array in ${a}, never NULL; frees ${all}. Sets *${st}; TN_ENOMEM: some of them
 * were lost. */
void *tn_catalog_list_end(struct tn_buf *all, struct tn_arena *a,
    enum tn_status *st);
/* Inside a transaction that changed what the seal covers (see guard.c): write
 * it anew, with ${s} as the snapshot in force after the commit. */
TN_MUST_USE enum tn_status tn_catalog_seal(struct tn_catalog *c,
    const struct tn_catalog_snapshot *s);
/* A file's part in the seal: the sum over all visible files is kept with each
 * snapshot. */
uint64_t tn_catalog_file_sum(const struct tn_catalog_file *f);
/* Structure and seal, after the first snapshot is read. TN_ECORRUPT fills
 * ${d}. */
TN_MUST_USE enum tn_status tn_catalog_check(struct tn_catalog *c,
    const char *path, struct tn_diag *d);
/* Read all visible files into the first snapshot. */
TN_MUST_USE enum tn_status tn_catalog_load_snapshot(struct tn_catalog *c);
/* All rows of a statement over TN_CATALOG_FILE_COLUMNS. The caller frees
 * *files, also after a failure. */
TN_MUST_USE enum tn_status tn_catalog_read_files(struct tn_catalog *c,
    sqlite3_stmt *stmt, struct tn_catalog_file **files, uint32_t *count);
/* Garbage does not take what it sees; with the lock held. */
void tn_catalog_live_add(struct tn_catalog *c,
    struct tn_catalog_snapshot *s);
/* Inside a publication's transaction: what the list of cuts says of it. */
TN_MUST_USE enum tn_status tn_catalog_cut_note(struct tn_catalog *c,
    const struct tn_catalog_publication *p,
    const struct tn_catalog_snapshot *s);
/* How many are still held. */
uint32_t tn_catalog_free_snapshots(struct tn_catalog *c);
/* Inside a publication's transaction: its corrections, how many rows its run
 * changed, and the end of old corrections. */
TN_MUST_USE enum tn_status tn_catalog_correct(struct tn_catalog *c,
    const struct tn_catalog_publication *p);
/* ... and what its run made of views. */
TN_MUST_USE enum tn_status tn_catalog_run_views_note(struct tn_catalog *c,
    const struct tn_catalog_publication *p);
/* Inside a transaction: what is prepared of the object is not any more. */
TN_MUST_USE enum tn_status tn_catalog_prepared_end(struct tn_catalog *c,
    uint32_t object);
#define TN_CATALOG_FILE_COLUMNS \
	"id, tier, object, version, partition, path, rows, bytes, crc, " \
	"time_min, time_max, lsn_min, lsn_max, added"

/* From here on the connection is that of a copy in memory. */
TN_MUST_USE enum tn_status tn_catalog_apart(struct tn_catalog *c);

#endif

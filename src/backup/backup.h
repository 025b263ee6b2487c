/* backup: a consistent copy of a data folder, taken while it is in use, and
 * the way back. Incremental: files of the lake never change, so only those
 * that the copy lacks are added (as second names on the same file system).
 *
 *   DEST/manifest         every file with size and CRC; written last
 *   DEST/incomplete       until there is a first manifest
 *   DEST/state-.../       catalog.db, log/, *.mdb: anew each time
 *   DEST/lake/...         as in DATA
 *
 * A folder without manifest is no backup. The files of the manifest that is
 * there stay until the next one has taken its place. */
#ifndef TN_BACKUP_BACKUP_H
#define TN_BACKUP_BACKUP_H

#include "base/base.h"
#include "catalog/catalog.h"
#include "log/log.h"

struct tn_backup_opts {
	const char *data;            /* DATA, with lake/ and the tables below. */
	const char *dest;
	struct tn_catalog *catalog;  /* Both are open. */
	struct tn_log *log;
	/* Names in DATA of tables (tn_log_table) to be taken along. */
	const char *const *tables;
	uint32_t table_count;
	/* Folders in DATA whose files never change, to be taken whole. */
	const char *const *folders;
	uint32_t folder_count;
	/* Asked now and then: another status ends it. May be NULL. */
	enum tn_status (*go_on)(void *arg);
	void *arg;
};
struct tn_backup_report {
	uint64_t lsn;                /* The cut; the log goes on behind it. */
	uint64_t files;              /* In the backup now. */
	uint64_t bytes;
	uint64_t copied, linked, kept;
	uint64_t copied_bytes;
	uint64_t removed;            /* Of the backup before. */
};
/* One at a time. After a failure the backup that was there is whole.
 * TN_ECONFLICT: DEST holds other things. Any thread but the loop. */
TN_MUST_USE enum tn_status tn_backup_run(const struct tn_backup_opts *o,
    struct tn_backup_report *r, struct tn_diag *d);
/* Each file is read, checked and copied; catalog.db comes last. TN_ECONFLICT:
 * ${data} is not empty. TN_ENOTFOUND: no manifest in ${src}. TN_ECORRUPT names
 * the file that is damaged or missing. */
TN_MUST_USE enum tn_status tn_backup_restore(const char *src,
    const char *data, struct tn_backup_report *r, struct tn_diag *d);

#endif

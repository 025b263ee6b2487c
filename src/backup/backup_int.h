/* Shared inside backup. */
#ifndef TN_BACKUP_BACKUP_INT_H
#define TN_BACKUP_BACKUP_INT_H

#include "backup/backup.h"
#include "os/os.h"

/* ---- manifest.c -------------------------------------------------------- */

/*   tarn-backup 1
 *   at 1763750000000000
 *   lsn 4711
 *   state state-00000000000012d5
 *   file 1c291ca3 4096 lake/silver/badge/date=2026-03-01/a.parquet
 *   ...
 *   end 7d1f00aa              CRC-32C of all bytes before this line */
struct entry {
	const char *path;            /* In DEST; no "..", not absolute. */
	uint64_t bytes;
	uint32_t crc;
};
struct manifest {
	struct tn_arena *arena;
	int64_t at_us;
	uint64_t lsn;
	const char *state;
	struct entry *entries;       /* As added, or as read: by path. */
	uint32_t count, cap;
};
void tn_backup_manifest_init(struct manifest *m);
void tn_backup_manifest_fini(struct manifest *m);
void tn_backup_manifest_add(struct manifest *m, const char *path,
    uint64_t bytes, uint32_t crc);
/* Sort by path; before find. */
void tn_backup_manifest_sort(struct manifest *m);
const struct entry *tn_backup_manifest_find(const struct manifest *m,
    const char *path);
void tn_backup_manifest_text(const struct manifest *m, struct tn_buf *out);
/* TN_ECORRUPT with ${d}: cut off, damaged, or not ours. */
TN_MUST_USE enum tn_status tn_backup_manifest_parse(struct manifest *m,
    struct tn_slice text, struct tn_diag *d);
/* TN_ENOTFOUND: there is none. */
TN_MUST_USE enum tn_status tn_backup_manifest_read(struct manifest *m,
    const char *folder, struct tn_diag *d);

/* ---- file.c -------------------------------------------------------------- */

/* "a/b" of the arena. */
const char *tn_backup_path(struct tn_arena *a, const char *folder,
    const char *name);
/* Size and CRC of a file. */
TN_MUST_USE enum tn_status tn_backup_sum(const char *path, uint64_t *bytes,
    uint32_t *crc);
/* A new, synced file; an older one of that name is unlinked first, because it
 * may be a second name of something that lives. Folders are made. ${secret}:
 * nobody else may read it (the catalog has hashes of passwords). */
TN_MUST_USE enum tn_status tn_backup_copy(const char *from, const char *to,
    bool secret, uint64_t *bytes, uint32_t *crc);
/* The same without bytes. TN_EUNSUPPORTED: not on one file system. */
TN_MUST_USE enum tn_status tn_backup_link(const char *from, const char *to);
/* Sync the folder of ${path} and all above it up to ${top}. */
TN_MUST_USE enum tn_status tn_backup_sync_up(const char *top,
    const char *path);
bool tn_backup_is_empty(const char *folder);

#endif

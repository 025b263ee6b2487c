/* restore: a data folder from a backup. Every byte is read and checked against
 * the manifest on its way; catalog.db comes last under its name, so that a
 * folder whose restore did not end does not start (catalog_lost). */
#include "backup/backup_int.h"

#include <stdio.h>
#include <string.h>

static enum tn_status
damaged(struct tn_diag *d, const char *path, const char *why)
{
	tn_diag_hint(d, "restore from another backup");
	return tn_diag_set(d, TN_ECORRUPT, "damaged_backup", "%s %s", path,
	    why);
}

/* state-x/log/1.mdb -> log/1.mdb; lake/... stays. */
static const char *
name_in_data(const struct manifest *m, const char *path)
{
	size_t n = strlen(m->state);

	return strncmp(path, m->state, n) == 0 && path[n] == '/' ?
	    path + n + 1 : path;
}

static enum tn_status
bring_back(const struct manifest *m, const struct entry *e, const char *src,
    const char *to, struct tn_diag *d)
{
	const char *from = tn_backup_path(m->arena, src, e->path);
	uint64_t bytes = 0;
	uint32_t crc = 0;
	enum tn_status st;

	if (tn_os_kind(from) != TN_OS_FILE)
		return damaged(d, from, "is missing");
	st = tn_backup_copy(from, to, strcmp(name_in_data(m, e->path),
	    "catalog.db") == 0, &bytes, &crc);
	if (st != TN_OK)
		return tn_diag_set(d, st, "restore_failed", "%s to %s: %s",
		    from, to, tn_status_text(st));
	return bytes == e->bytes && crc == e->crc ? TN_OK :
	    damaged(d, from, "is damaged");
}

static bool
same_folder(const char *a, const char *b)
{
	size_t n = (size_t)(strrchr(a, '/') - a);

	return strncmp(a, b, n + 1) == 0 && strchr(b + n + 1, '/') == NULL;
}

static enum tn_status
bring_all(const struct manifest *m, const char *src, const char *data,
    struct tn_backup_report *r, struct tn_diag *d)
{
	const char *catalog = tn_backup_path(m->arena, data, "catalog.db");
	const char *young = tn_backup_path(m->arena, data, "catalog.db.tmp");
	const char *before = NULL;
	enum tn_status st = TN_OK;
	bool found = false;

	for (uint32_t i = 0; st == TN_OK && i < m->count; i++) {
		const struct entry *e = &m->entries[i];
		const char *name = name_in_data(m, e->path);
		bool last = strcmp(name, "catalog.db") == 0;
		const char *to = last ? young :
		    tn_backup_path(m->arena, data, name);
		if (before != NULL && !same_folder(before, to))
			st = tn_backup_sync_up(data, before);
		if (st == TN_OK)
			st = bring_back(m, e, src, to, d);
		before = to;
		found = found || last;
		r->files++;
		r->bytes += e->bytes;
	}
	if (st == TN_OK && before != NULL)
		st = tn_backup_sync_up(data, before);
	if (st == TN_OK && !found)
		st = damaged(d, src, "has no catalog");
	tn_os_crash_point("restore_files");
	if (st == TN_OK)
		st = tn_os_rename(young, catalog);
	if (st == TN_OK)
		st = tn_os_sync_dir(data);
	return st;
}

enum tn_status
tn_backup_restore(const char *src, const char *data,
    struct tn_backup_report *r, struct tn_diag *d)
{
	struct manifest m;
	enum tn_status st;

	memset(r, 0, sizeof *r);
	tn_backup_manifest_init(&m);
	st = tn_backup_manifest_read(&m, src, d);
	if (st == TN_ENOTFOUND && tn_os_kind(tn_backup_path(m.arena, src,
	    "incomplete")) == TN_OS_FILE)
		tn_diag_set(d, st, "incomplete_backup", "the backup in %s is "
		    "incomplete: it has no manifest", src);
	else if (st == TN_ENOTFOUND)
		tn_diag_set(d, st, "no_backup", "there is no backup in %s: "
		    "it has no manifest", src);
	if (st == TN_OK && !tn_backup_is_empty(data)) {
		tn_diag_hint(d, "name a folder that is not there yet");
		st = tn_diag_set(d, TN_ECONFLICT, "not_empty",
		    "%s is not empty", data);
	}
	if (st == TN_OK)
		st = tn_os_mkdirs(data);
	r->lsn = m.lsn;
	if (st == TN_OK)
		st = bring_all(&m, src, data, r, d);
	if (st != TN_OK && d->message[0] == '\0')
		tn_diag_set(d, st, "restore_failed", "%s: %s", data,
		    tn_status_text(st));
	tn_backup_manifest_fini(&m);
	return st;
}

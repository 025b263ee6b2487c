/* run: take a backup.
 *
 *   hold the log -> catalog and its snapshot (the cut L) -> tables -> log
 *   -> files of the lake and the folders -> manifest -> what it no longer names
 *
 * The order makes it one moment: the snapshot holds the files of the cut, the
 * held log has all blocks after it, and tables are older than the log, so that
 * what they say was done was done. What is acknowledged before it begins is in
 * it.
 *
 * What can go wrong: the disk, at any step: then the manifest before (or the
 * new one, where only the sync of its name failed) still names only files that
 * are there. A file that was dropped from the lake and
 * goes while we copy is left out: nobody's snapshot needs it. */
#include "backup/backup_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct taking {
	const struct tn_backup_opts *o;
	struct tn_backup_report *r;
	struct tn_diag *d;
	struct tn_arena *arena;
	struct manifest old, now;
	bool has_old;
	const char *state;               /* DEST/state-... */
	const char *last_to;             /* Its folder is not synced yet. */
	bool no_links;
	const struct tn_catalog_snapshot *snapshot;
};

static enum tn_status
failed(struct taking *t, enum tn_status st, const char *path)
{
	if (t->d->message[0] != '\0')
		return st;
	return tn_diag_set(t->d, st, "backup_failed", "%s: %s", path,
	    tn_status_text(st));
}

static const char *
in_dest(struct taking *t, const char *name)
{
	return tn_backup_path(t->arena, t->o->dest, name);
}

static const char *
in_data(struct taking *t, const char *name)
{
	return tn_backup_path(t->arena, t->o->data, name);
}

static enum tn_status
go_on(struct taking *t)
{
	enum tn_status st = t->o->go_on == NULL ? TN_OK :
	    t->o->go_on(t->o->arg);

	return st == TN_OK ? TN_OK : tn_diag_set(t->d, st, "stopping",
	    "the backup was ended: %s", tn_status_text(st));
}

/* ---- where it goes -------------------------------------------------------- */

/* Not into the data, nor the data into it. */
static enum tn_status
check_place(struct taking *t)
{
	char *dest = tn_os_real_path(t->o->dest);
	char *data = tn_os_real_path(t->o->data);
	size_t n = data != NULL ? strlen(data) : 0;
	size_t m = dest != NULL ? strlen(dest) : 0;
	bool inside = n > 0 && m > 0 &&
	    ((strncmp(dest, data, n) == 0 && (dest[n] == '/' ||
	    dest[n] == '\0')) || (strncmp(data, dest, m) == 0 &&
	    data[m] == '/'));

	tn_free(dest);
	tn_free(data);
	return !inside ? TN_OK : tn_diag_set(t->d, TN_EINVAL, "backup_place",
	    "%s and the data folder %s lie in each other", t->o->dest,
	    t->o->data);
}

static enum tn_status
check_dest(struct taking *t)
{
	static const char words[] = "A backup of Tarn that has not ended: "
	    "nothing can be restored from it.\n";
	const char *mark = in_dest(t, "incomplete");
	bool empty = tn_backup_is_empty(t->o->dest);
	enum tn_status st = tn_os_mkdirs(t->o->dest);

	if (st != TN_OK)
		return failed(t, st, t->o->dest);
	st = check_place(t);
	if (st != TN_OK)
		return st;
	st = tn_backup_manifest_read(&t->old, t->o->dest, t->d);
	t->has_old = st == TN_OK;
	if (st != TN_ENOTFOUND)
		return st;
	if (!empty && tn_os_kind(mark) != TN_OS_FILE) {
		tn_diag_hint(t->d, "name an empty folder, or the one of the "
		    "last backup");
		return tn_diag_set(t->d, TN_ECONFLICT, "backup_place",
		    "%s holds other things", t->o->dest);
	}
	st = tn_os_write_file(mark, words, sizeof words - 1, 0640);
	return st == TN_OK ? TN_OK : failed(t, st, mark);
}

/* ---- state ---------------------------------------------------------------- */

static enum tn_status
add_state(struct taking *t, const char *name)
{
	const char *path = tn_backup_path(t->arena, t->state, name);
	uint64_t bytes;
	uint32_t crc;
	enum tn_status st = tn_backup_sum(path, &bytes, &crc);

	if (st != TN_OK)
		return failed(t, st, path);
	tn_backup_manifest_add(&t->now, tn_backup_path(t->arena,
	    t->now.state, name), bytes, crc);
	t->r->copied++;
	t->r->copied_bytes += bytes;
	return TN_OK;
}

static enum tn_status
take_catalog(struct taking *t)
{
	const char *path = tn_backup_path(t->arena, t->state, "catalog.db");
	struct tn_os_file *file = NULL;
	enum tn_status st = tn_os_mkdirs(tn_backup_path(t->arena, t->state,
	    "log"));

	if (st == TN_OK)
		st = tn_catalog_copy(t->o->catalog, path, &t->snapshot);
	if (st == TN_OK)
		st = tn_os_open(&file, path, TN_OS_READ);
	if (st == TN_OK)
		st = tn_os_sync(file);
	tn_os_close(file);
	if (st != TN_OK)
		return failed(t, st, path);
	t->now.lsn = t->r->lsn = t->snapshot->lsn;
	tn_os_crash_point("backup_catalog");
	return add_state(t, "catalog.db");
}

static enum tn_status
take_tables(struct taking *t)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < t->o->table_count; i++) {
		const char *name = t->o->tables[i];
		st = tn_log_table_copy(in_data(t, name), tn_backup_path(
		    t->arena, t->state, name), t->d);
		if (st == TN_OK)
			st = add_state(t, name);
		else if (st == TN_ENOTFOUND)
			st = TN_OK;
		else
			st = failed(t, st, name);
	}
	return st;
}

static enum tn_status
take_log(struct taking *t)
{
	const char *dir = tn_backup_path(t->arena, t->state, "log");
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_log_copy(t->o->log, dir, t->d);

	if (st == TN_OK)
		st = tn_os_list(dir, &names, &count);
	for (size_t i = 0; i < count; i++) {
		if (st == TN_OK)
			st = add_state(t, tn_backup_path(t->arena, "log",
			    names[i]));
		tn_free(names[i]);
	}
	tn_free(names);
	if (st == TN_OK)
		st = tn_os_sync_dir(dir);
	if (st == TN_OK)
		st = tn_os_sync_dir(t->state);
	tn_os_crash_point("backup_log");
	return st == TN_OK ? TN_OK : failed(t, st, dir);
}

/* ---- files that never change ---------------------------------------------- */

/* Folders are synced when the files go on to another one. */
static enum tn_status
synced(struct taking *t, const char *next)
{
	const char *last = t->last_to;
	size_t n = last != NULL ? (size_t)(strrchr(last, '/') - last) : 0;

	t->last_to = next;
	if (last == NULL || (next != NULL && strncmp(last, next, n + 1) == 0 &&
	    strchr(next + n + 1, '/') == NULL))
		return TN_OK;
	return tn_backup_sync_up(t->o->dest, last);
}

static bool
is_kept(struct taking *t, const char *name, const char *to,
    const struct tn_catalog_file *f)
{
	const struct entry *e = tn_backup_manifest_find(&t->old, name);
	struct tn_os_info info;

	if (e == NULL || (f != NULL && (e->bytes != f->bytes ||
	    e->crc != f->crc)))
		return false;
	if (tn_os_kind(to) != TN_OS_FILE || tn_os_look(to, &info) != TN_OK ||
	    info.bytes != e->bytes)
		return false;
	tn_backup_manifest_add(&t->now, name, e->bytes, e->crc);
	t->r->kept++;
	return true;
}

/* Files of the cold folder are on another disk than the others, and have a
 * link on their way (lake/cold.c): what they cannot, others may. */
static bool
is_linkable(const struct taking *t, const char *from)
{
	return !t->no_links || strstr(from, "/cold-") != NULL;
}

static enum tn_status
bring(struct taking *t, const char *from, const char *to,
    const struct tn_catalog_file *f, struct entry *e)
{
	enum tn_status st = is_linkable(t, from) ? tn_backup_link(from, to) :
	    TN_EUNSUPPORTED;

	if (st == TN_OK) {
		t->r->linked++;
		if (f != NULL) {
			e->bytes = f->bytes;
			e->crc = f->crc;
			return TN_OK;
		}
		return tn_backup_sum(to, &e->bytes, &e->crc);
	}
	if (st != TN_EUNSUPPORTED)
		return st;
	if (strstr(from, "/cold-") == NULL)
		t->no_links = true;
	st = tn_backup_copy(from, to, false, &e->bytes, &e->crc);
	if (st == TN_OK && f != NULL && (e->bytes != f->bytes ||
	    e->crc != f->crc)) {
		tn_diag_hint(t->d, "tarn verify says what is damaged");
		st = tn_diag_set(t->d, TN_ECORRUPT, "damaged_file",
		    "%s is not what the catalog says", from);
	}
	t->r->copied++;
	t->r->copied_bytes += e->bytes;
	return st;
}

/* ${f}: what the catalog says of it; NULL: it is no file of the snapshot. */
static enum tn_status
take_file(struct taking *t, const char *name,
    const struct tn_catalog_file *f)
{
	const char *from = in_data(t, name), *to = in_dest(t, name);
	struct entry e = { .path = name };
	enum tn_status st = go_on(t);

	if (st != TN_OK || is_kept(t, name, to, f))
		return st;
	st = synced(t, to);
	if (st == TN_OK)
		st = bring(t, from, to, f, &e);
	if (st == TN_ENOTFOUND && f == NULL)
		return TN_OK;
	if (st != TN_OK)
		return failed(t, st, from);
	tn_backup_manifest_add(&t->now, name, e.bytes, e.crc);
	tn_os_crash_point("backup_file");
	return TN_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const struct tn_catalog_file *const *)a)->path,
	    (*(const struct tn_catalog_file *const *)b)->path);
}

/* Files of the snapshot, then those of older ones that can still be read. */
static enum tn_status
take_lake(struct taking *t)
{
	const struct tn_catalog_snapshot *s = t->snapshot;
	const struct tn_catalog_file **files = tn_arena_alloc(t->arena,
	    (s->count + 1ul) * sizeof(void *));
	const char **paths = NULL;
	uint32_t count = 0, k = 0;
	enum tn_status st = tn_catalog_paths(t->o->catalog, t->arena, &paths,
	    &count);

	for (uint32_t i = 0; i < s->count; i++)
		files[i] = &s->files[i];
	if (s->count > 0)
		qsort(files, s->count, sizeof(void *), by_name);
	if (st != TN_OK)
		return failed(t, st, "catalog");
	for (uint32_t i = 0; st == TN_OK && i < s->count; i++)
		st = take_file(t, tn_backup_path(t->arena, "lake",
		    files[i]->path), files[i]);
	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		while (k < s->count && strcmp(files[k]->path, paths[i]) < 0)
			k++;
		if (k == s->count || strcmp(files[k]->path, paths[i]) != 0)
			st = take_file(t, tn_backup_path(t->arena, "lake",
			    paths[i]), NULL);
	}
	return st;
}

static enum tn_status
take_folder(struct taking *t, const char *name, uint32_t depth)
{
	char **names = NULL;
	size_t count = 0;
	enum tn_status st;

	if (depth > 4 || tn_os_kind(in_data(t, name)) != TN_OS_DIR)
		return TN_OK;
	st = tn_os_list(in_data(t, name), &names, &count);
	for (size_t i = 0; i < count; i++) {
		const char *path = tn_backup_path(t->arena, name, names[i]);
		bool young = strcmp(names[i], "tmp") == 0;
		enum tn_os_kind kind = tn_os_kind(in_data(t, path));
		if (st == TN_OK && kind == TN_OS_DIR && !young)
			st = take_folder(t, path, depth + 1);
		else if (st == TN_OK && kind == TN_OS_FILE)
			st = take_file(t, path, NULL);
		tn_free(names[i]);
	}
	tn_free(names);
	return st == TN_OK ? TN_OK : failed(t, st, name);
}

/* ---- the end -------------------------------------------------------------- */

static enum tn_status
write_manifest(struct taking *t)
{
	struct tn_buf b = { 0 };
	const char *path = in_dest(t, "manifest");
	enum tn_status st;

	tn_backup_manifest_sort(&t->now);
	tn_backup_manifest_text(&t->now, &b);
	tn_os_crash_point("backup_manifest");
	st = tn_buf_status(&b);
	if (st == TN_OK)
		st = tn_os_write_file(path, b.p, b.n, 0640);
	tn_buf_fini(&b);
	tn_os_crash_point("backup_named");
	return st == TN_OK ? TN_OK : failed(t, st, path);
}

static void
drop(struct taking *t, const char *name)
{
	const char *path = in_dest(t, name);

	if (tn_os_kind(path) == TN_OS_FILE && tn_os_unlink(path) == TN_OK)
		t->r->removed++;
}

/* Folders of states that no manifest names: of the backup before, and of
 * those that did not end. */
static void
drop_states(struct taking *t)
{
	char **names = NULL;
	size_t count = 0;

	if (tn_os_list(t->o->dest, &names, &count) != TN_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		if (strncmp(names[i], "state-", 6) == 0 &&
		    strcmp(names[i], t->now.state) != 0 &&
		    tn_os_remove_tree(in_dest(t, names[i])) != TN_OK)
			tn_say(TN_WARN, "backup", "%s stays", names[i]);
		tn_free(names[i]);
	}
	tn_free(names);
}

/* The new manifest is in force; what goes wrong here costs only room. */
static void
tidy(struct taking *t)
{
	for (uint32_t i = 0; i < t->old.count; i++)
		if (tn_backup_manifest_find(&t->now, t->old.entries[i].path)
		    == NULL)
			drop(t, t->old.entries[i].path);
	drop_states(t);
	if (tn_os_kind(in_dest(t, "incomplete")) == TN_OS_FILE &&
	    tn_os_unlink(in_dest(t, "incomplete")) != TN_OK)
		tn_say(TN_WARN, "backup", "the mark \"incomplete\" stays");
	t->r->files = t->now.count;
	for (uint32_t i = 0; i < t->now.count; i++)
		t->r->bytes += t->now.entries[i].bytes;
}

/* The manifest may have its name although writing it failed: the sync of its
 * folder did. Then it is the backup, and what it names stays. */
static bool
is_named(struct taking *t)
{
	struct manifest m;
	struct tn_diag d = { .line = 0 };
	enum tn_status st;
	bool named;

	tn_backup_manifest_init(&m);
	st = tn_backup_manifest_read(&m, t->o->dest, &d);
	named = st == TN_OK ? strcmp(m.state, t->now.state) == 0 :
	    st != TN_ENOTFOUND;
	tn_backup_manifest_fini(&m);
	return named;
}

static enum tn_status
take_all(struct taking *t)
{
	enum tn_status st = take_catalog(t);

	if (st == TN_OK)
		st = take_tables(t);
	if (st == TN_OK)
		st = take_log(t);
	tn_log_hold(t->o->log, false);
	if (st == TN_OK)
		st = take_lake(t);
	for (uint32_t i = 0; st == TN_OK && i < t->o->folder_count; i++)
		st = take_folder(t, t->o->folders[i], 0);
	if (st == TN_OK && synced(t, NULL) != TN_OK)
		st = failed(t, TN_EIO, t->o->dest);
	tn_os_crash_point("backup_files");
	return st;
}

enum tn_status
tn_backup_run(const struct tn_backup_opts *o, struct tn_backup_report *r,
    struct tn_diag *d)
{
	struct taking t = { .o = o, .r = r, .d = d,
	    .arena = tn_arena_new(65536) };
	uint64_t salt;
	enum tn_status st;

	memset(r, 0, sizeof *r);
	tn_backup_manifest_init(&t.old);
	tn_backup_manifest_init(&t.now);
	tn_os_random(&salt, sizeof salt);
	t.now.at_us = tn_os_wall_us();
	t.now.state = tn_arena_printf(t.now.arena, "state-%016llx",
	    (unsigned long long)salt);
	t.state = in_dest(&t, t.now.state);
	st = check_dest(&t);
	if (st == TN_OK) {
		tn_log_hold(o->log, true);
		st = take_all(&t);
	}
	if (st == TN_OK)
		st = write_manifest(&t);
	if (st == TN_OK)
		tidy(&t);
	else if (tn_os_kind(t.state) == TN_OS_DIR && !is_named(&t) &&
	    tn_os_remove_tree(t.state) != TN_OK)
		tn_say(TN_WARN, "backup", "%s stays", t.state);
	tn_catalog_snapshot_put(t.snapshot);
	tn_backup_manifest_fini(&t.old);
	tn_backup_manifest_fini(&t.now);
	tn_arena_free(t.arena);
	return st;
}

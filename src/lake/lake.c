/* Folders and single files of the lake: where a file goes, which folders
 * still need a sync, and removal of files that no catalog row names.
 *
 * What can go wrong: a crash between writing a file and publishing it leaves
 * a file nobody names; tn_lake_sweep removes it at the next start. A file is
 * never changed after it was synced. A folder whose sync failed stays on the
 * list, so that nothing is published before a later sync of it succeeds. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define CHECK_PIECE (256u << 10)

static const char *const tiers[] = { "bronze", "silver", "gold", "keys" };

enum tn_status
tn_lake_absolute(const struct tn_lake *l, const char *path,
    char buf[static TN_LAKE_PATH_MAX])
{
	int n = snprintf(buf, TN_LAKE_PATH_MAX, "%s/%s", l->root, path);

	return n > 0 && n < TN_LAKE_PATH_MAX ? TN_OK : TN_ELIMIT;
}

enum tn_status
tn_lake_open(struct tn_lake **lake, const char *root, struct tn_diag *d)
{
	struct tn_lake *l = tn_zalloc(sizeof *l);
	enum tn_status st = TN_OK;
	char path[TN_LAKE_PATH_MAX];

	*lake = NULL;
	l->root = tn_strdup(root);
	l->cold = -1;
	for (size_t i = 0; st == TN_OK && i < TN_COUNT(tiers); i++) {
		st = tn_lake_absolute(l, tiers[i], path);
		if (st == TN_OK)
			st = tn_os_mkdirs(path);
	}
	if (st == TN_OK)
		st = tn_os_sync_dir(root);
	if (st != TN_OK) {
		tn_lake_close(l);
		return tn_diag_set(d, st, "lake_folder",
		    "cannot make the lake's folders in %s: %s", root,
		    tn_status_text(st));
	}
	*lake = l;
	return TN_OK;
}

void
tn_lake_close(struct tn_lake *l)
{
	if (l == NULL)
		return;
	for (uint32_t i = 0; i < l->dirty_count; i++)
		tn_free(l->dirty[i]);
	tn_free(l->dirty);
	tn_lake_cold_close(l);
	tn_free(l->root);
	tn_free(l);
}

const char *
tn_lake_root(const struct tn_lake *lake)
{
	return lake->root;
}

void
tn_lake_files_fini(struct tn_lake_files *f)
{
	tn_free(f->files);
	memset(f, 0, sizeof *f);
}

void
tn_lake_files_add(struct tn_lake_files *f, const struct tn_lake_file *x)
{
	if (f->count == f->cap) {
		f->cap = f->cap == 0 ? 8 : f->cap * 2;
		f->files = tn_realloc(f->files, f->cap * sizeof *f->files);
	}
	f->files[f->count++] = *x;
}

void
tn_lake_dirty(struct tn_lake *l, const char *folder)
{
	/* Files of one folder mostly come one after the other; tn_lake_sync
	 * finds the other repetitions by sorting. */
	if (l->dirty_count > 0 &&
	    strcmp(l->dirty[l->dirty_count - 1], folder) == 0)
		return;
	if (l->dirty_count == l->dirty_cap) {
		l->dirty_cap = l->dirty_cap == 0 ? 16 : l->dirty_cap * 2;
		l->dirty = tn_realloc(l->dirty,
		    l->dirty_cap * sizeof *l->dirty);
	}
	l->dirty[l->dirty_count++] = tn_strdup(folder);
}

/* The folder itself and, when it is new, its parents up to the root: making
 * it syncs them too, but may fail between the two and find it there when it
 * is tried again. */
static enum tn_status
make_folder(struct tn_lake *l, const char *folder)
{
	char path[TN_LAKE_PATH_MAX];
	bool fresh = tn_os_kind(folder) == TN_OS_NONE;
	enum tn_status st = tn_os_mkdirs(folder);

	snprintf(path, sizeof path, "%s", folder);
	while (fresh && strlen(path) > strlen(l->root)) {
		*strrchr(path, '/') = '\0';
		if (tn_os_kind(path) == TN_OS_DIR)
			tn_lake_dirty(l, path);
	}
	if (st == TN_OK)
		tn_lake_dirty(l, folder);
	return st;
}

static bool
is_name(const char *s)
{
	return s[0] != '\0' && s[0] != '.' && strchr(s, '/') == NULL;
}

enum tn_status
tn_lake_new_path(struct tn_lake *l, const struct tn_lake_place *at,
    struct tn_lake_file *f, char full[static TN_LAKE_PATH_MAX])
{
	char folder[TN_LAKE_PATH_MAX], link[16] = "";
	const char *value = strchr(at->partition, '=');
	enum tn_status st = TN_OK;
	int n;

	/* Names come from checked definitions and from us. */
	tn_assert(is_name(at->tier) && is_name(at->table));
	tn_assert(is_name(at->label) && strchr(at->partition, '/') == NULL);
	memset(f, 0, sizeof *f);
	value = value != NULL ? value + 1 : at->partition;
	if (strlen(value) >= sizeof f->partition)
		return TN_ELIMIT;
	memcpy(f->partition, value, strlen(value));
	if (at->cold)
		st = tn_lake_cold_link(l, at, link);
	if (st != TN_OK)
		return st;
	n = snprintf(f->path, sizeof f->path, "%s/%s%s%s%s%s/%s%s", at->tier,
	    at->table, at->cold ? "/" : "", link,
	    at->partition[0] != '\0' ? "/" : "", at->partition, at->label,
	    at->ending);
	if (n < 0 || (size_t)n >= sizeof f->path)
		return TN_ELIMIT;
	st = tn_lake_absolute(l, f->path, full);
	if (st != TN_OK)
		return st;
	snprintf(folder, sizeof folder, "%s", full);
	*strrchr(folder, '/') = '\0';
	return make_folder(l, folder);
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum tn_status
tn_lake_sync(struct tn_lake *l, bool cold)
{
	enum tn_status st = TN_OK;
	uint32_t done = 0, kept = 0;

	if (l->dirty_count > 1)
		qsort(l->dirty, l->dirty_count, sizeof *l->dirty, by_bytes);
	while (st == TN_OK && done < l->dirty_count) {
		bool waits = !cold && tn_lake_in_cold(l, l->dirty[done]);
		if (!waits && (done == 0 ||
		    strcmp(l->dirty[done], l->dirty[done - 1]) != 0))
			st = tn_os_sync_dir(l->dirty[done]);
		tn_os_crash_point("lake_folder_synced");
		if (st == TN_OK)
			done++;
	}
	/* What failed or waits stays, once. */
	for (uint32_t i = 0; i < l->dirty_count; i++) {
		char *x = l->dirty[i];
		bool synced = i < done && (cold || !tn_lake_in_cold(l, x));
		if (synced || (kept > 0 &&
		    strcmp(l->dirty[kept - 1], x) == 0))
			tn_free(x);
		else
			l->dirty[kept++] = x;
	}
	l->dirty_count = kept;
	return st == TN_OK && cold ? tn_lake_cold_settle(l) : st;
}

enum tn_status
tn_lake_remove(struct tn_lake *l, const char *path)
{
	char full[TN_LAKE_PATH_MAX];
	enum tn_status st = tn_lake_absolute(l, path, full);

	if (st != TN_OK)
		return st;
	st = tn_os_unlink(full);
	return st == TN_ENOTFOUND ? TN_OK : st;
}

static bool
is_known(const char *const *paths, uint32_t count, const char *path)
{
	uint32_t lo = 0, hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(paths[mid], path);
		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

struct sweep {
	struct tn_lake *lake;
	const char *const *paths;
	uint32_t count;
	uint32_t removed;
};

/* A table's folder: not what tables.c keeps, which is its own to tidy, nor a
 * link that leads elsewhere. */
static bool
is_ours(const struct sweep *s, const char *full, const char *name, int depth)
{
	struct tn_os_info info;

	if (depth == 2 && tn_lake_is_table_folder(name))
		return false;
	if (tn_os_look(full, &info) != TN_OK)
		return false;
	return info.kind == TN_OS_DIR ? depth < 4 : depth == 2 &&
	    tn_lake_cold_swept(s->lake, name);
}

/* Depth is bounded by the layout: tier/table/cold-.../partition/file. */
static enum tn_status
sweep_folder(struct sweep *s, const char *rel, int depth)
{
	char full[TN_LAKE_PATH_MAX], child[TN_LAKE_PATH_MAX];
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_lake_absolute(s->lake, rel, full);

	if (st == TN_OK)
		st = tn_os_list(full, &names, &count);
	/* A process that ended between making a folder and syncing its parent
	 * left one that may not last, and that nobody takes for a new one. */
	if (st == TN_OK && depth <= 2)
		st = tn_os_sync_dir(full);
	for (size_t i = 0; i < count; i++) {
		int n = snprintf(child, sizeof child, "%s/%s", rel, names[i]);
		bool fits = n > 0 && n < (int)sizeof child;
		if (st == TN_OK && fits)
			st = tn_lake_absolute(s->lake, child, full);
		if (st == TN_OK && fits && tn_os_kind(full) == TN_OS_DIR) {
			if (is_ours(s, full, names[i], depth))
				st = sweep_folder(s, child, depth + 1);
		} else if (st == TN_OK && fits &&
		    !is_known(s->paths, s->count, child)) {
			st = tn_os_unlink(full);
			s->removed += st == TN_OK;
			tn_os_crash_point("lake_swept");
		}
		tn_free(names[i]);
	}
	tn_free(names);
	return st;
}

enum tn_status
tn_lake_sweep(struct tn_lake *l, const char *const *paths, uint32_t count,
    uint32_t *removed)
{
	struct sweep s = { l, paths, count, 0 };
	enum tn_status st = TN_OK;

	for (size_t i = 0; st == TN_OK && i < TN_COUNT(tiers); i++)
		st = sweep_folder(&s, tiers[i], 1);
	*removed = s.removed;
	return st;
}

enum tn_status
tn_lake_bytes(struct tn_lake *l, struct tn_lake_bytes *b)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_os_file *file = NULL;
	uint8_t *piece = NULL;
	uint64_t at = 0;
	enum tn_status st = tn_lake_absolute(l, b->path, full);

	b->crc = 0;
	b->bytes = 0;
	if (st == TN_OK)
		st = tn_os_open(&file, full, TN_OS_READ);
	if (st == TN_OK)
		st = tn_os_size(file, &b->bytes);
	/* Read, not mapped: a bad sector is an error, not a signal. */
	piece = tn_alloc(CHECK_PIECE);
	while (st == TN_OK && at < b->bytes) {
		uint64_t n = b->bytes - at;

		if (b->left != NULL && *b->left) {
			st = TN_ECLOSED;
			break;
		}
		if (n > CHECK_PIECE)
			n = CHECK_PIECE;
		st = tn_os_pread(file, piece, n, at);
		if (st == TN_OK) {
			b->crc = tn_crc32c(b->crc, piece, n);
			if (b->each != NULL)
				b->each(b->arg, piece, n);
		}
		at += n;
	}
	tn_free(piece);
	tn_os_close(file);
	return st;
}

enum tn_status
tn_lake_check(struct tn_lake *l, const char *path, uint32_t *crc,
    uint64_t *bytes)
{
	struct tn_lake_bytes b = { .path = path };
	enum tn_status st = tn_lake_bytes(l, &b);

	*crc = b.crc;
	*bytes = b.bytes;
	return st;
}

enum tn_status
tn_lake_size(struct tn_lake *l, const char *path, uint64_t *bytes)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_os_file *file = NULL;
	enum tn_status st = tn_lake_absolute(l, path, full);

	*bytes = 0;
	if (st == TN_OK)
		st = tn_os_open(&file, full, TN_OS_READ);
	if (st == TN_OK)
		st = tn_os_size(file, bytes);
	tn_os_close(file);
	return st;
}

enum tn_status
tn_lake_notes(struct tn_lake *l, const struct tn_lake_notes *n,
    struct tn_arena *a, struct tn_diag *d)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_parquet_reader *r = NULL;
	enum tn_status st = tn_lake_absolute(l, n->path, full);

	if (st == TN_OK)
		st = tn_parquet_open(&r, full, d);
	for (uint32_t i = 0; st == TN_OK && i < n->count; i++) {
		const char *said = tn_parquet_value(r, n->keys[i]);
		n->values[i] = said == NULL ? NULL : tn_arena_strdup(a, said);
	}
	tn_parquet_close(r);
	return st;
}

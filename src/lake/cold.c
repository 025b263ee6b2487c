/* The cold folder: a second folder, mostly of another disk, for files that are
 * old.
 *
 *   COLD/silver/badge/date=2026-03-01/x.parquet    the file
 *   COLD/tarn-cold                                 "tarn cold folder 3f2a91bc"
 *   COLD/tarn-cold.owner, .lock                    whose it is (cold_owner.c)
 *   LAKE/silver/badge/cold-3f2a91bc -> COLD/silver/badge     a link a table
 *   DATA/cold                                      what we know of folders
 *
 * The path of such a file is silver/badge/cold-3f2a91bc/date=.../x.parquet:
 * whoever opens, serves, copies or names a file by its path under the root
 * finds it there, also other engines. The path says in which folder it is; the
 * link says where that is today. A restored backup has folders in the place of
 * the links: its files lie in the lake again.
 *
 * DATA/cold has a line for each folder that was ever ours, "3f2a91bc
 * known=WORD,WORD /mnt/cold", "new" until its id stands in it. A folder without
 * the id that it had is a disk that is not mounted: nothing is written beneath
 * its mount point. One with an id that is not ours is another lake's: sweeping
 * would remove that one's files. Each folder that is there is locked, its id
 * read again under the lock, and refused where another copy of the data folder
 * has used it since.
 *
 * What can go wrong: the disk is not there at the start (said, with what to
 * do), or goes while we run: then nothing more is moved, and reads of what is
 * there fail. A crash leaves files that no catalog names, removed by the sweep
 * like others, or a link that is missing, made anew at the start. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define NAME "tarn-cold"
#define HEAD "tarn cold folder "
#define MARK_MAX 65536

static bool
is_id(const char *s)
{
	return strspn(s, "0123456789abcdef") >= TN_LAKE_COLD_ID;
}

/* "cold-3f2a91bc" */
static bool
is_link_name(const char *name)
{
	return strncmp(name, "cold-", 5) == 0 && is_id(name + 5);
}

/* ---- what DATA/cold says --------------------------------------------- */

static struct tn_lake_cold *
add_cold(struct tn_lake *l, const char *id, const char *folder)
{
	struct tn_lake_cold *c;

	l->colds = tn_realloc(l->colds, (l->cold_count + 1ul) *
	    sizeof *l->colds);
	c = &l->colds[l->cold_count++];
	memset(c, 0, sizeof *c);
	snprintf(c->id, sizeof c->id, "%s", id);
	c->folder = tn_strdup(folder);
	return c;
}

/* " new", " known" or " known=WORD,WORD" of a line. */
static void
read_words(struct tn_lake_cold *c, const char *text)
{
	const char *at = strchr(text, '=');

	c->fresh = strcmp(text, " new") == 0;
	for (int i = 0; i < 2 && at != NULL; i++) {
		size_t n = strcspn(at + 1, ",");
		if (n == TN_LAKE_COLD_WORD)
			memcpy(c->words[i], at + 1, n);
		at = strchr(at + 1, ',');
	}
}

static enum tn_status
read_mark(struct tn_lake *l)
{
	struct tn_buf b = { 0 };
	enum tn_status st = tn_os_kind(l->cold_mark) == TN_OS_NONE ? TN_OK :
	    tn_os_read_file(l->cold_mark, &b, MARK_MAX);
	const char *at = st == TN_OK ? tn_buf_cstr(&b) : "";

	while (*at != '\0') {
		size_t n = strcspn(at, "\n");
		char *line = tn_strndup(at, n);
		char *word = n > TN_LAKE_COLD_ID && is_id(line) ?
		    line + TN_LAKE_COLD_ID : NULL;
		char *folder = word == NULL ? NULL : strchr(word + 1, ' ');
		at += n + (at[n] == '\n');
		if (folder != NULL) {
			char *words = tn_strndup(word, (size_t)(folder -
			    word));
			*word = '\0';
			read_words(add_cold(l, line, folder + 1), words);
			tn_free(words);
		}
		tn_free(line);
	}
	tn_buf_fini(&b);
	return st;
}

enum tn_status
tn_lake_cold_note(const struct tn_lake *l)
{
	struct tn_buf b = { 0 };
	enum tn_status st;

	for (uint32_t i = 0; i < l->cold_count; i++) {
		const struct tn_lake_cold *c = &l->colds[i];
		tn_buf_printf(&b, "%s %s", c->id, c->fresh ? "new" : "known");
		if (!c->fresh && (c->words[0][0] != '\0' ||
		    c->words[1][0] != '\0'))
			tn_buf_printf(&b, "=%s,%s", c->words[0], c->words[1]);
		tn_buf_printf(&b, " %s\n", c->folder);
	}
	st = tn_os_write_file(l->cold_mark, b.p, b.n, 0640);
	tn_buf_fini(&b);
	return st;
}

/* The id that stands in a folder; "": none. */
static void
read_id(const char *folder, char id[static TN_LAKE_COLD_ID + 1])
{
	struct tn_buf path = { 0 }, b = { 0 };
	size_t head = strlen(HEAD);

	id[0] = '\0';
	tn_buf_printf(&path, "%s/" NAME, folder);
	if (tn_os_kind(tn_buf_cstr(&path)) == TN_OS_FILE &&
	    tn_os_read_file(tn_buf_cstr(&path), &b, 4096) == TN_OK &&
	    strncmp(tn_buf_cstr(&b), HEAD, head) == 0 &&
	    is_id(tn_buf_cstr(&b) + head))
		snprintf(id, TN_LAKE_COLD_ID + 1, "%.*s", TN_LAKE_COLD_ID,
		    tn_buf_cstr(&b) + head);
	tn_buf_fini(&path);
	tn_buf_fini(&b);
}

static bool
is_there(const struct tn_lake_cold *c)
{
	char id[TN_LAKE_COLD_ID + 1];

	read_id(c->folder, id);
	return strcmp(id, c->id) == 0;
}

/* ---- the folder of the setting --------------------------------------- */

/* But for what a file system makes by itself, and what we began. */
static bool
is_empty(const char *folder)
{
	char **names = NULL;
	size_t count = 0, other = 0;
	enum tn_status st = tn_os_list(folder, &names, &count);

	for (size_t i = 0; i < count; i++) {
		other += strcmp(names[i], "lost+found") != 0 &&
		    strncmp(names[i], NAME, strlen(NAME)) != 0;
		tn_free(names[i]);
	}
	tn_free(names);
	return st == TN_OK && other == 0;
}

/* Neither in the lake nor around it. */
static bool
is_apart(const struct tn_lake *l, const char *folder)
{
	char *a = tn_os_real_path(folder), *b = tn_os_real_path(l->root);
	size_t n = a != NULL ? strlen(a) : 0, m = b != NULL ? strlen(b) : 0;
	bool apart = n > 0 && m > 0 &&
	    !(strncmp(a, b, m) == 0 && (a[m] == '/' || a[m] == '\0')) &&
	    !(strncmp(a, b, n) == 0 && (b[n] == '/' || n == 1));

	tn_free(a);
	tn_free(b);
	return apart;
}

static struct tn_lake_cold *
find_id(struct tn_lake *l, const char *id)
{
	for (uint32_t i = 0; i < l->cold_count; i++)
		if (strcmp(l->colds[i].id, id) == 0)
			return &l->colds[i];
	return NULL;
}

static struct tn_lake_cold *
find_folder(struct tn_lake *l, const char *folder)
{
	for (uint32_t i = l->cold_count; i > 0; i--)
		if (strcmp(l->colds[i - 1].folder, folder) == 0)
			return &l->colds[i - 1];
	return NULL;
}

/* An empty folder becomes ours: first we know it, then it has its id. */
static enum tn_status
take_folder(struct tn_lake *l, struct tn_lake_cold *c)
{
	struct tn_buf path = { 0 }, text = { 0 };
	enum tn_status st = tn_lake_cold_note(l);

	tn_os_crash_point("cold_marked");
	tn_buf_printf(&path, "%s/" NAME, c->folder);
	tn_buf_printf(&text, HEAD "%s\nFiles of the lake that DATA/cold of a "
	    "Tarn names are here; do not change them.\n", c->id);
	if (st == TN_OK)
		st = tn_os_write_file(tn_buf_cstr(&path), text.p, text.n,
		    0640);
	tn_os_crash_point("cold_taken");
	c->fresh = false;
	if (st == TN_OK)
		st = tn_lake_cold_note(l);
	tn_buf_fini(&path);
	tn_buf_fini(&text);
	return st;
}

static enum tn_status
refuse(struct tn_diag *d, const char *code, const char *hint,
    const char *words)
{
	tn_diag_hint(d, "%s", hint);
	return tn_diag_set(d, TN_ECONFLICT, code, "%s", words);
}

/* One without an id: a new one, or a disk that is not mounted. */
static enum tn_status
begin_folder(struct tn_lake *l, const struct tn_lake_cold_opts *o,
    struct tn_lake_cold **out, struct tn_diag *d)
{
	struct tn_lake_cold *c = find_folder(l, o->folder);
	char words[1200], id[TN_LAKE_COLD_ID + 1];
	uint32_t salt;

	snprintf(words, sizeof words, "cold_folder %s lost its file " NAME ": "
	    "is its disk mounted?", o->folder);
	if (c != NULL && !c->fresh)
		return refuse(d, "cold_folder_lost", "mount the disk; nothing "
		    "was changed", words);
	snprintf(words, sizeof words, "cold_folder %s holds other things",
	    o->folder);
	if (!is_empty(o->folder))
		return refuse(d, "cold_folder_used", "name an empty folder",
		    words);
	tn_os_random(&salt, sizeof salt);
	snprintf(id, sizeof id, "%08x", (unsigned)salt);
	if (c == NULL)
		c = add_cold(l, id, o->folder);
	c->fresh = true;
	*out = c;
	return TN_OK;
}

static enum tn_status
check_folder(const struct tn_lake *l, const char *folder, struct tn_diag *d)
{
	char words[1200];

	snprintf(words, sizeof words, "cold_folder %s is not there", folder);
	if (tn_os_kind(folder) != TN_OS_DIR)
		return refuse(d, "cold_folder_missing", "mount its disk, make "
		    "the folder, or ALTER SYSTEM SET cold_folder to where it "
		    "is now; nothing was changed", words);
	snprintf(words, sizeof words, "cold_folder %s and the lake %s lie in "
	    "each other", folder, l->root);
	return is_apart(l, folder) ? TN_OK : refuse(d, "cold_folder_place",
	    "name a folder of its own, mostly of another disk", words);
}

/* Which one of ours a folder is, or a new one; nothing is written. */
static enum tn_status
tell_folder(struct tn_lake *l, const struct tn_lake_cold_opts *o,
    const char *id, struct tn_lake_cold **out, struct tn_diag *d)
{
	char words[1200];

	*out = id[0] != '\0' ? find_id(l, id) : NULL;
	if (*out != NULL)
		return TN_OK;
	if (id[0] == '\0')
		return begin_folder(l, o, out, d);
	snprintf(words, sizeof words, "cold_folder %s belongs to another lake "
	    "(or to the one that this was restored from)", o->folder);
	return refuse(d, "cold_folder_foreign", "name an empty folder", words);
}

/* What was seen before the lock may have changed. */
static enum tn_status
lock_folder(struct tn_lake_cold *c, const char *seen, struct tn_diag *d)
{
	char id[TN_LAKE_COLD_ID + 1], words[1200];
	enum tn_status st = tn_lake_cold_lock(c, d);

	if (st != TN_OK)
		return st;
	read_id(c->folder, id);
	snprintf(words, sizeof words, "another tarn has just begun to use the "
	    "cold_folder %s", c->folder);
	return strcmp(id, seen) == 0 ? TN_OK : refuse(d, "cold_folder_used",
	    "name an empty folder", words);
}

static enum tn_status
open_folder(struct tn_lake *l, const struct tn_lake_cold_opts *o,
    struct tn_diag *d)
{
	char id[TN_LAKE_COLD_ID + 1];
	struct tn_lake_cold *c = NULL;
	bool moved;
	enum tn_status st = check_folder(l, o->folder, d);

	if (st != TN_OK)
		return st;
	read_id(o->folder, id);
	st = tell_folder(l, o, id, &c, d);
	if (st != TN_OK)
		return st;
	moved = strcmp(c->folder, o->folder) != 0;
	if (moved) {
		tn_free(c->folder);
		c->folder = tn_strdup(o->folder);
	}
	st = lock_folder(c, id, d);
	if (st == TN_OK && (id[0] == '\0' || c->fresh))
		st = take_folder(l, c);
	if (st == TN_OK)
		st = tn_lake_cold_claim(l, c, d);
	if (st == TN_OK && moved)
		st = tn_lake_cold_note(l);
	if (st == TN_OK)
		l->cold = (int)(c - l->colds);
	return st;
}

/* One that has files of ours is not to be shared; one that cannot be written
 * is read all the same. */
static enum tn_status
claim_other(struct tn_lake *l, struct tn_lake_cold *c, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	if (c->lock != NULL)
		return TN_OK;
	st = lock_folder(c, c->id, d);
	if (st == TN_OK) {
		st = tn_lake_cold_claim(l, c, d);
		if (st != TN_OK) {
			tn_os_close(c->lock);
			c->lock = NULL;
		}
	}
	return st == TN_ECONFLICT ? st : TN_OK;
}

/* ---- links ------------------------------------------------------------ */

/* ${link} leads to ${to}: as it is, or made so. */
static enum tn_status
lead(const char *link, const char *to)
{
	char folder[TN_LAKE_PATH_MAX];
	char *now = tn_os_real_path(link), *want = tn_os_real_path(to);
	bool good = now != NULL && want != NULL && strcmp(now, want) == 0;
	struct tn_os_info info;
	enum tn_status st = TN_OK;

	tn_free(now);
	tn_free(want);
	if (good)
		return TN_OK;
	snprintf(folder, sizeof folder, "%s", link);
	*strrchr(folder, '/') = '\0';
	st = tn_os_mkdirs(folder);
	if (st == TN_OK && tn_os_look(link, &info) == TN_OK)
		st = tn_os_unlink(link);
	if (st == TN_OK)
		st = tn_os_symlink(to, link);
	tn_os_crash_point("cold_linked");
	return st == TN_OK ? tn_os_sync_dir(folder) : st;
}

/* ${path} is silver/badge/cold-3f2a91bc/...: its first ${n} bytes are the
 * link's. A folder in its place is of a backup. */
static enum tn_status
mend_link(struct tn_lake *l, const char *path, size_t n, struct tn_diag *d)
{
	char name[TN_LAKE_PATH_MAX], link[TN_LAKE_PATH_MAX];
	const char *id = path + n - TN_LAKE_COLD_ID;
	struct tn_lake_cold *c;
	struct tn_os_info info;
	struct tn_buf to = { 0 };
	enum tn_status st;

	snprintf(name, sizeof name, "%.*s", (int)n, path);
	st = tn_lake_absolute(l, name, link);
	if (st != TN_OK || (tn_os_look(link, &info) == TN_OK &&
	    info.kind == TN_OS_DIR))
		return st;
	snprintf(name, sizeof name, "%.*s", TN_LAKE_COLD_ID, id);
	c = find_id(l, name);
	if (c == NULL || !is_there(c)) {
		tn_diag_hint(d, "mount its disk, or ALTER SYSTEM SET "
		    "cold_folder to where it is now; nothing was changed");
		return tn_diag_set(d, TN_ENOTFOUND, "cold_folder_missing",
		    "files of the lake are in the cold folder %s%s, which is "
		    "not there", c == NULL ? "cold-" : c->folder, c == NULL ?
		    name : "");
	}
	st = claim_other(l, c, d);
	if (st != TN_OK)
		return st;
	tn_buf_printf(&to, "%s/%.*s", c->folder,
	    (int)(n - TN_LAKE_COLD_ID - 6), path);
	st = lead(link, tn_buf_cstr(&to));
	tn_buf_fini(&to);
	return st;
}

/* Where silver/badge/cold-3f2a91bc ends in a path; 0: it has no such part. */
static size_t
link_end(const char *path)
{
	const char *at = strchr(path, '/');

	at = at != NULL ? strchr(at + 1, '/') : NULL;
	if (at == NULL || !is_link_name(at + 1) ||
	    at[6 + TN_LAKE_COLD_ID] != '/')
		return 0;
	return (size_t)(at + 6 + TN_LAKE_COLD_ID - path);
}

/* Those that no file of ours is in, but perhaps what a crash left. */
static void
look_at_others(struct tn_lake *l)
{
	struct tn_diag d = { .line = 0 };

	for (uint32_t i = 0; i < l->cold_count; i++) {
		struct tn_lake_cold *c = &l->colds[i];
		if (is_there(c) && claim_other(l, c, &d) == TN_OK)
			c->known = c->lock != NULL;
	}
}

enum tn_status
tn_lake_cold_open(struct tn_lake *l, const struct tn_lake_cold_opts *o,
    struct tn_diag *d)
{
	const char *last = "";
	enum tn_status st;

	tn_assert(l->cold_mark == NULL);
	l->cold_mark = tn_strdup(o->mark);
	st = read_mark(l);
	if (st == TN_OK && o->folder[0] != '\0')
		st = open_folder(l, o, d);
	for (uint32_t i = 0; st == TN_OK && i < o->count; i++) {
		size_t n = link_end(o->paths[i]);
		if (n == 0 || strncmp(last, o->paths[i], n + 1) == 0)
			continue;
		last = o->paths[i];
		st = mend_link(l, last, n, d);
	}
	if (st == TN_OK)
		look_at_others(l);
	if (st != TN_OK && d->message[0] == '\0')
		tn_diag_set(d, st, "cold_folder", "cold_folder %s cannot be "
		    "used: %s", o->folder, tn_status_text(st));
	return st;
}

void
tn_lake_cold_close(struct tn_lake *l)
{
	for (uint32_t i = 0; i < l->cold_count; i++) {
		tn_os_close(l->colds[i].lock);
		tn_free(l->colds[i].folder);
	}
	tn_free(l->colds);
	tn_free(l->cold_mark);
}

/* ---- use --------------------------------------------------------------- */

const char *
tn_lake_cold_folder(const struct tn_lake *l)
{
	return l->cold < 0 ? NULL : l->colds[l->cold].folder;
}

bool
tn_lake_cold_ready(const struct tn_lake *l)
{
	return l->cold >= 0 && is_there(&l->colds[l->cold]);
}

bool
tn_lake_is_cold(const struct tn_lake *l, const char *path)
{
	size_t n = l->cold < 0 ? 0 : link_end(path);

	return n > 0 && strncmp(path + n - TN_LAKE_COLD_ID,
	    l->colds[l->cold].id, TN_LAKE_COLD_ID) == 0;
}

bool
tn_lake_in_cold(const struct tn_lake *l, const char *folder)
{
	size_t n = strlen(l->root);
	const char *at = strncmp(folder, l->root, n) == 0 ? folder + n : NULL;

	for (uint32_t i = 0; i < l->cold_count; i++) {
		size_t m = strlen(l->colds[i].folder);
		if (strncmp(folder, l->colds[i].folder, m) == 0 &&
		    (folder[m] == '/' || folder[m] == '\0'))
			return true;
	}
	/* "/silver/badge/cold-3f2a91bc..." */
	for (int i = 0; i < 2 && at != NULL && at[0] != '\0'; i++)
		at = strchr(at + 1, '/');
	return at != NULL && at[0] != '\0' && is_link_name(at + 1);
}

bool
tn_lake_cold_swept(const struct tn_lake *l, const char *name)
{
	for (uint32_t i = 0; is_link_name(name) && i < l->cold_count; i++)
		if (strcmp(l->colds[i].id, name + 5) == 0)
			return l->colds[i].known;
	return false;
}

enum tn_status
tn_lake_cold_link(struct tn_lake *l, const struct tn_lake_place *at,
    char name[static 16])
{
	struct tn_lake_cold *c = &l->colds[l->cold];
	char path[TN_LAKE_PATH_MAX], link[TN_LAKE_PATH_MAX];
	struct tn_buf to = { 0 };
	size_t n;
	enum tn_status st;

	tn_assert(l->cold >= 0);
	if (!is_there(c))
		return TN_ENOTFOUND;     /* Not beneath a mount point. */
	c->stale = true;
	snprintf(name, 16, "cold-%s", c->id);
	snprintf(path, sizeof path, "%s/%s/%s", at->tier, at->table, name);
	st = tn_lake_absolute(l, path, link);
	tn_buf_printf(&to, "%s/%s/%s", c->folder, at->tier, at->table);
	if (st == TN_OK)
		st = tn_os_mkdirs(tn_buf_cstr(&to));
	if (st == TN_OK)
		st = lead(link, tn_buf_cstr(&to));
	if (st == TN_OK) {
		/* Also one that a process before us made may not be named on
		 * the disk yet: COLD/silver/badge in COLD/silver, and so on. */
		tn_lake_dirty(l, c->folder);
		tn_lake_dirty(l, tn_buf_cstr(&to));
		n = strlen(c->folder) + 1 + strlen(at->tier);
		to.n = n;
		tn_lake_dirty(l, tn_buf_cstr(&to));
	}
	tn_buf_fini(&to);
	return st;
}

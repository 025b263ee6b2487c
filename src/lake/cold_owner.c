/* Whose a cold folder is. The id says which lake's files are there, but a copy
 * of a data folder has the same id; two copies that use one cold folder, even
 * one after the other, would sweep and drop each other's files. So a word
 * stands in both, and is a new one from time to time:
 *
 *   COLD/tarn-cold.owner    "tarn data folder 0f3c...91 /data/lake"
 *   DATA/cold               "3f2a91bc known=0f3c...91,77b0...02 /mnt/cold"
 *   COLD/tarn-cold.lock     held while a program uses the folder
 *
 *   lock -> is it one of our two words? -> draw a new one -> both in DATA/cold
 *        -> the new one in COLD
 *
 * at every start, and before files that were moved there are published. So a
 * copy is refused once the other one has gone on, and says what to do; a crash
 * between the two steps leaves the old word, which is known, too. A folder
 * without a word is free for who knows its id: who removes the file says that
 * no other copy is in use. What was put back from a backup knows no id.
 *
 * What can go wrong: the disk is full or cannot be written. A start goes on
 * with the old word; a publication fails, as where a foreign word stands. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define FILE_NAME "tarn-cold.owner"
#define HEAD "tarn data folder "

static void
path_of(const struct tn_lake_cold *c, const char *name, struct tn_buf *out)
{
	tn_buf_printf(out, "%s/%s", c->folder, name);
}

/* ---- the lock --------------------------------------------------------- */

enum tn_status
tn_lake_cold_lock(struct tn_lake_cold *c, struct tn_diag *d)
{
	struct tn_buf path = { 0 };
	enum tn_status st;

	if (c->lock != NULL)
		return TN_OK;
	path_of(c, "tarn-cold.lock", &path);
	st = tn_os_lock(&c->lock, tn_buf_cstr(&path));
	tn_buf_fini(&path);
	if (st != TN_ECONFLICT)
		return st;
	tn_diag_hint(d, "stop that one, or give each its own cold_folder");
	return tn_diag_set(d, st, "cold_folder_used", "another tarn uses the "
	    "cold_folder %s", c->folder);
}

/* ---- the word ---------------------------------------------------------- */

/* The word in the folder and the lake that wrote it; "" where there is no
 * file. One that is not ours to read is no word of ours. */
static enum tn_status
read_owner(const struct tn_lake_cold *c, char word[static TN_LAKE_COLD_WORD +
    1], char *who, size_t who_bytes)
{
	struct tn_buf path = { 0 }, b = { 0 };
	size_t head = strlen(HEAD);
	enum tn_status st = TN_OK;

	word[0] = '\0';
	who[0] = '\0';
	path_of(c, FILE_NAME, &path);
	if (tn_os_kind(tn_buf_cstr(&path)) != TN_OS_NONE) {
		const char *at = "";
		snprintf(word, TN_LAKE_COLD_WORD + 1, "?");
		st = tn_os_read_file(tn_buf_cstr(&path), &b, 4096);
		if (st == TN_OK)
			at = tn_buf_cstr(&b);
		/* One that cannot be read is told as what it is: not ours. */
		if (st == TN_EIO || st == TN_ELIMIT || st == TN_EDENIED)
			st = TN_OK;
		if (strncmp(at, HEAD, head) == 0 && strspn(at + head,
		    "0123456789abcdef") == TN_LAKE_COLD_WORD) {
			memcpy(word, at + head, TN_LAKE_COLD_WORD);
			word[TN_LAKE_COLD_WORD] = '\0';
			at += head + TN_LAKE_COLD_WORD;
			snprintf(who, who_bytes, "%.*s", (int)strcspn(at + 1,
			    "\n"), at[0] == ' ' ? at + 1 : "");
		}
	}
	tn_buf_fini(&path);
	tn_buf_fini(&b);
	return st;
}

static enum tn_status
write_owner(const struct tn_lake *l, const struct tn_lake_cold *c,
    const char *word)
{
	struct tn_buf path = { 0 }, text = { 0 };
	enum tn_status st;

	path_of(c, FILE_NAME, &path);
	tn_buf_printf(&text, HEAD "%s %s\nThe last one that used this folder. "
	    "Remove this file only when that one is given up.\n", word,
	    l->root);
	st = tn_os_write_file(tn_buf_cstr(&path), text.p, text.n, 0640);
	tn_buf_fini(&path);
	tn_buf_fini(&text);
	return st;
}

static bool
is_ours(const struct tn_lake_cold *c, const char *word)
{
	return word[0] != '\0' && (strcmp(word, c->words[0]) == 0 ||
	    strcmp(word, c->words[1]) == 0);
}

enum tn_status
tn_lake_cold_renew(struct tn_lake *l, struct tn_lake_cold *c)
{
	char word[TN_LAKE_COLD_WORD + 1], who[2];
	uint64_t salt;
	enum tn_status st = read_owner(c, word, who, sizeof who);

	tn_assert(c->lock != NULL);
	if (st != TN_OK)
		return st;
	/* Locks do not reach all machines that share a disk. */
	if (word[0] != '\0' && !is_ours(c, word))
		return TN_ECONFLICT;
	/* The one that stands there stays known until the new one does. */
	memcpy(c->words[0], word, sizeof word);
	tn_os_random(&salt, sizeof salt);
	snprintf(c->words[1], sizeof c->words[1], "%016llx",
	    (unsigned long long)salt);
	st = tn_lake_cold_note(l);
	tn_os_crash_point("cold_word_noted");
	if (st == TN_OK)
		st = write_owner(l, c, c->words[1]);
	tn_os_crash_point("cold_word_given");
	return st;
}

/* What a crash left of files that were being written beside their place. */
static void
sweep_halves(const struct tn_lake_cold *c)
{
	char **names = NULL;
	size_t count = 0;

	if (tn_os_list(c->folder, &names, &count) != TN_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		struct tn_buf path = { 0 };
		size_t n = strlen(names[i]);
		path_of(c, names[i], &path);
		if (strncmp(names[i], "tarn-cold", 9) == 0 && n > 4 &&
		    strcmp(names[i] + n - 4, ".tmp") == 0 &&
		    tn_os_unlink(tn_buf_cstr(&path)) != TN_OK)
			tn_say(TN_WARN, "lake", "%s could not be removed",
			    tn_buf_cstr(&path));
		tn_buf_fini(&path);
		tn_free(names[i]);
	}
	tn_free(names);
}

enum tn_status
tn_lake_cold_claim(struct tn_lake *l, struct tn_lake_cold *c,
    struct tn_diag *d)
{
	char word[TN_LAKE_COLD_WORD + 1], who[300];
	enum tn_status st = read_owner(c, word, who, sizeof who);

	tn_assert(c->lock != NULL);
	if (st != TN_OK)
		return st;
	if (word[0] != '\0' && !is_ours(c, word)) {
		tn_diag_hint(d, "use one of them only. If that one is given up "
		    "(this one was moved or put back), remove %.200s/" FILE_NAME
		    " and start again: files there that this one does not know "
		    "are then removed. For a second one, tarn backup and tarn "
		    "restore", c->folder);
		return tn_diag_set(d, TN_ECONFLICT, "cold_folder_shared",
		    "another copy of this data folder has used the cold folder "
		    "%s since: %s", c->folder, who[0] != '\0' ? who :
		    "its file " FILE_NAME " cannot be read");
	}
	sweep_halves(c);
	st = tn_lake_cold_renew(l, c);
	if (st != TN_OK)
		tn_say(TN_WARN, "lake", "the cold folder %s could not be "
		    "marked: %s", c->folder, tn_status_text(st));
	return TN_OK;
}

/* Files that were moved there are published next. */
enum tn_status
tn_lake_cold_settle(struct tn_lake *l)
{
	struct tn_lake_cold *c = l->cold < 0 ? NULL : &l->colds[l->cold];
	enum tn_status st;

	if (c == NULL || !c->stale)
		return TN_OK;
	st = tn_lake_cold_renew(l, c);
	if (st == TN_ECONFLICT)
		tn_say(TN_ERROR, "lake", "another copy of this data folder uses "
		    "the cold folder %s: stop one of them", c->folder);
	c->stale = st != TN_OK;
	return st;
}

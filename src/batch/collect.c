/* Removing files that nobody can see any more, after each cut. One that cannot
 * be removed stays, is counted, and keeps no others; a disk that fails slowly
 * is left alone for a while. */
#include "batch/batch_int.h"

#include <string.h>

#include "os/os.h"

#define STALL_US 1000000      /* A disk that fails so slowly hangs. */

/* Said when it fails in a new way. */
static void
say_left(struct tn_batch_jobs *b, enum tn_status st, uint32_t left,
    const char *path)
{
	tn_counter_set(b->left, left);
	if (st != TN_OK && st != b->collect_said)
		tn_say(TN_WARN, "batch", "%u old files could not be removed, "
		    "the first of them %s: %s; tried again after each cut",
		    (unsigned)left, path, tn_status_text(st));
	b->collect_said = st;
}

/* A pass over old files. Of a disk that hangs every call may take minutes, and
 * cuts wait: so the first file of a cold folder that it fails keeps the others
 * of that folder in this pass, and the next pass begins behind it. */
struct pass {
	struct tn_batch_jobs *b;
	const char *away;        /* A file of that folder; NULL: none. */
	bool failed;             /* One of a cold folder. */
};

/* "cold-3f2a91bc/..." of silver/badge/cold-3f2a91bc/...; NULL: it is not in a
 * cold folder. */
static const char *
cold_part(const char *path)
{
	for (int i = 0; i < 2 && path != NULL; i++) {
		path = strchr(path, '/');
		path += path != NULL;
	}
	return path != NULL && strncmp(path, "cold-", 5) == 0 ? path : NULL;
}

static bool
is_away(const struct pass *p, const char *cold)
{
	size_t n = strcspn(cold, "/");

	return tn_os_mono_us() < p->b->collect_calm_us || (p->away != NULL &&
	    strncmp(p->away, cold, n + 1) == 0);
}

static enum tn_status
remove_old(struct pass *p, const struct tn_catalog_file *f)
{
	struct tn_batch_jobs *b = p->b;
	const char *cold = cold_part(f->path);
	int64_t began = tn_os_mono_us(), now;
	enum tn_status st;

	if (cold != NULL && is_away(p, cold)) {
		if (!p->failed && f->id == b->collect_stuck)
			p->away = NULL;
		return TN_EIO;
	}
	st = tn_lake_remove(b->o.lake, f->path);
	if (cold == NULL || st != TN_EIO)
		return st;
	now = tn_os_mono_us();
	p->away = cold;
	p->failed = true;
	b->collect_stuck = f->id;
	if (now - began >= STALL_US)
		b->collect_calm_us = now + b->o.cold_retry_us;
	return st;
}

/* One that cannot be removed keeps no other of its disk for good. */
void
tn_batch_collect(struct tn_batch_jobs *b)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_old old = { tn_batch_expiry(b), b->collect_skip };
	struct tn_catalog_file *files = NULL;
	struct pass pass = { .b = b };
	const char *first = "";
	uint32_t count = 0, left = 0;
	enum tn_status why = TN_OK;
	enum tn_status st = tn_catalog_garbage(b->o.catalog, &old, a, &files,
	    &count);

	for (uint32_t i = 0; i < count && pass.away == NULL; i++)
		if (files[i].id == b->collect_stuck)
			pass.away = cold_part(files[i].path);
	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		enum tn_status one = remove_old(&pass, &files[i]);
		tn_os_crash_point("collect_unlinked");
		if (one == TN_OK) {
			st = tn_catalog_forget(b->o.catalog, &files[i].id, 1);
		} else if (left++ == 0) {
			first = files[i].path;
			why = one;
		}
	}
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "old files could not be removed: %s",
		    tn_status_text(st));
	else if (count > 0 || old.skip == 0)
		say_left(b, why, old.skip + left, first);
	if (!pass.failed && tn_os_mono_us() >= b->collect_calm_us)
		b->collect_stuck = 0;
	/* Behind them next, then from the first one on. */
	b->collect_skip = count == TN_CATALOG_GARBAGE ? old.skip + left : 0;
	tn_arena_free(a);
}

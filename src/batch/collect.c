/* Removing files that nobody can see any more, after each cut. One that cannot
 * be removed stays, is counted, and keeps no others; a disk that fails slowly
 * is left alone for a while. */
#include "batch/batch_int.h"

#include <stdio.h>
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
tn_batch_collect(struct tn_batch_jobs *b, struct tn_batch_collected *sum)
{
	struct tn_arena *a = tn_arena_new(4096);
	uint32_t count = 0, left = 0, expired = 0;
	struct tn_catalog_old old = { tn_batch_expiry(b), b->collect_skip,
	    &expired };
	struct tn_catalog_file *files = NULL;
	struct pass pass = { .b = b };
	const char *first = "";
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
			sum->files++;
			sum->bytes += files[i].bytes;
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
	sum->snapshots += expired;
	sum->left = st == TN_OK ? old.skip + left : 0;
	/* Behind those that cannot be removed nothing is told of them. */
	sum->st = st != TN_OK ? st : why != TN_OK ? why : old.skip > 0 ?
	    sum->st : TN_OK;
	/* Behind them next, then from the first one on. */
	b->collect_skip = count == TN_CATALOG_GARBAGE ? old.skip + left : 0;
	tn_arena_free(a);
}

/* ---- as runs ---------------------------------------------------------- */

#define NOTE_US INT64_C(600000000)   /* Each cut expires a snapshot. */

static void
note(struct tn_batch_jobs *b, const struct tn_batch_collected *x)
{
	uint64_t lsn = tn_log_last(b->o.log), run = 0;
	const struct tn_catalog_run r = { .kind = "expire",
	    .reason = "snapshot_keep", .object = "", .lsn_from = lsn,
	    .lsn_to = lsn, .started_us = x->began_us };
	char detail[200];
	enum tn_status st = tn_catalog_run_begin(b->o.catalog, &r, &run);

	tn_batch_collected_text(x, detail);
	if (st == TN_OK)
		st = tn_catalog_run_end(b->o.catalog, run, x->st == TN_OK ?
		    TN_RUN_DONE : TN_RUN_FAILED, tn_os_wall_us(), 0,
		    x->files, detail);
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "that old snapshots expired is in no "
		    "run: %s", tn_status_text(st));
}

void
tn_batch_collected_text(const struct tn_batch_collected *x,
    char out[static 200])
{
	int n = snprintf(out, 200, "%u snapshots expired",
	    (unsigned)x->snapshots);

	if (x->files > 0)
		n += snprintf(out + n, 200 - (size_t)n, "; %u files of %.1f "
		    "MiB removed", (unsigned)x->files,
		    (double)x->bytes / (1 << 20));
	if (x->st != TN_OK)
		(void)snprintf(out + n, 200 - (size_t)n, "; %u could not be: "
		    "%s", (unsigned)x->left, tn_status_text(x->st));
}

/* After each cut. What came of it is one run for ten minutes of cuts, so that
 * runs of cuts are listed as long as before; a new failure is one at once. */
void
tn_batch_collect_old(struct tn_batch_jobs *b)
{
	struct tn_batch_collected *x = &b->collected;
	int64_t began = tn_os_wall_us(), now;
	enum tn_status before = x->st;

	if (x->snapshots + x->files == 0)
		x->began_us = began;
	tn_batch_collect(b, x);
	now = tn_os_mono_us();
	if ((x->st == TN_OK || x->st == before) && (x->snapshots + x->files ==
	    0 || (b->collected_us != 0 && now - b->collected_us < NOTE_US)))
		return;
	note(b, x);
	b->collected_us = now;
	*x = (struct tn_batch_collected){ .st = x->st };
}

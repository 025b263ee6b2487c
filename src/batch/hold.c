/* When snapshots are old: by the clock, unless it leapt.
 *
 * A snapshot goes when another one has followed it for snapshot_keep. The
 * clock may lie (a board that wakes up in 1970 and is set right, or wakes up
 * in 2099): when it has gone on by more than the program has run, none goes
 * for another snapshot_keep by the new clock; then all that were there have
 * been kept so long. Over a stop nobody knows how long it was: two days are
 * believed. The hold is written down, so a restart does not end it. A clock
 * that goes back makes nothing old.
 *
 * What can go wrong: the note cannot be written; then it holds for as long as
 * the program runs. */
#include "batch/batch_int.h"

#include <stdio.h>

#include "os/os.h"

#define KEY "snapshots_held"
#define STOP_US (INT64_C(2) * 86400 * 1000000)
#define STEP_US INT64_C(600000000)   /* Clocks are set by less every day. */
#define MINUTE_US INT64_C(60000000)

void
tn_batch_hold_load(struct tn_batch_jobs *b)
{
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_arena *a = tn_arena_new(256);
	const char *text = NULL;

	b->hold.mono = tn_os_mono_us();
	b->hold.wall = base->published_us > 0 ? base->published_us :
	    tn_os_wall_us();
	b->hold.most = STOP_US;
	tn_catalog_snapshot_put(base);
	if (tn_catalog_get(b->o.catalog, KEY, a, &text) != TN_OK ||
	    !tn_parse_i64(tn_slice_of(text), &b->hold.until))
		b->hold.until = 0;
	tn_arena_free(a);
}

static void
hold_until(struct tn_batch_jobs *b, int64_t us)
{
	char text[32];

	b->hold.until = us;
	snprintf(text, sizeof text, "%lld", (long long)us);
	if (tn_catalog_set(b->o.catalog, KEY, us == 0 ? NULL : text) != TN_OK)
		tn_say(TN_WARN, "batch", "that snapshots are held could not "
		    "be written down");
}

int64_t
tn_batch_expiry(struct tn_batch_jobs *b)
{
	int64_t wall = tn_os_wall_us(), mono = tn_os_mono_us();
	int64_t leap = (wall - b->hold.wall) - (mono - b->hold.mono);

	if (leap > b->hold.most) {
		tn_say(TN_WARN, "batch", "the clock went on by %lld minutes "
		    "more than this program has run: no snapshot expires for "
		    "snapshot_keep", (long long)(leap / MINUTE_US));
		hold_until(b, wall + b->o.garbage_us);
	} else if (b->hold.until > wall + b->o.garbage_us) {
		hold_until(b, wall + b->o.garbage_us);   /* It went back. */
	} else if (b->hold.until != 0 && b->hold.until <= wall) {
		hold_until(b, 0);
	}
	b->hold.wall = wall;
	b->hold.mono = mono;
	b->hold.most = STEP_US;
	return b->hold.until != 0 ? INT64_MIN : wall - b->o.garbage_us;
}

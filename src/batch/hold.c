/* What is old goes by the clock, unless that leapt.
 *
 * A snapshot goes when another one has followed it for snapshot_keep; rows and
 * numbers when they are older than their retention. The clock may lie (a board
 * that wakes up in 1970 and is set right, or wakes up in 2099): when it has gone
 * on by more than the program has run (or slept with the machine),
 *
 *   snapshots  none goes for another snapshot_keep by the new clock; then all
 *              that were there have been kept so long
 *   retention  removes nothing for retention_wait, that somebody sees it
 *   keys       of dedupe windows stay for retention_wait, too: when the clock
 *              is set right again, what comes once more is still known
 *
 * Over a stop nobody knows how long it was: two days are believed, which is
 * counted from the newest publication. So the clock is looked at, and what is
 * held written down, before each publication; a restart then does not end it. A
 * clock that goes back makes nothing old.
 *
 * What can go wrong: the note cannot be written; then it holds for as long as
 * the program runs. */
#include "batch/batch_int.h"

#include <stdio.h>

#include "os/os.h"

#define STOP_US (INT64_C(2) * 86400 * 1000000)
#define STEP_US INT64_C(600000000)   /* Clocks are set by less every day. */
#define MINUTE_US INT64_C(60000000)

static void
load(struct tn_batch_jobs *b, struct hold *h)
{
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_arena *a = tn_arena_new(256);
	const char *text = NULL;

	(void)tn_os_leap(&h->seen);
	if (base->published_us > 0)
		h->seen.wall_us = base->published_us;
	tn_catalog_snapshot_put(base);
	if (tn_catalog_get(b->o.catalog, h->key, a, &text) != TN_OK ||
	    !tn_parse_i64(tn_slice_of(text), &h->until))
		h->until = 0;
	/* That leap was seen: it is not a second one. */
	if (h->until - h->wait > h->seen.wall_us)
		h->seen.wall_us = h->until - h->wait;
	tn_arena_free(a);
}

void
tn_batch_hold_load(struct tn_batch_jobs *b)
{
	b->snapshots = (struct hold){ .key = "snapshots_held",
	    .what = "no snapshot expires for snapshot_keep",
	    .wait = b->o.garbage_us, .step = STEP_US, .most = STOP_US };
	b->retention = (struct hold){ .key = "retention_held",
	    .what = "retention waits", .wait = b->o.retention_wait_us,
	    .step = STOP_US, .most = STOP_US };
	b->keys = (struct hold){ .key = "keys_held",
	    .what = "no key leaves its dedupe_window for retention_wait",
	    .wait = b->o.retention_wait_us, .step = STEP_US, .most = STOP_US };
	load(b, &b->snapshots);
	load(b, &b->keys);
	load(b, &b->retention);
}

static void
hold_until(struct tn_batch_jobs *b, struct hold *h, int64_t us)
{
	char text[32];

	h->until = us;
	snprintf(text, sizeof text, "%lld", (long long)us);
	if (tn_catalog_set(b->o.catalog, h->key, us == 0 ? NULL : text) !=
	    TN_OK)
		tn_say(TN_WARN, "batch", "that the clock leapt could not be "
		    "written down (%s)", h->key);
}

static bool
is_held(struct tn_batch_jobs *b, struct hold *h)
{
	int64_t leap = tn_os_leap(&h->seen);
	int64_t wall = h->seen.wall_us;

	if (leap > h->most && h->wait > 0) {
		tn_say(TN_WARN, "batch", "the clock went on by %lld minutes "
		    "more than this program has run: %s",
		    (long long)(leap / MINUTE_US), h->what);
		hold_until(b, h, wall + h->wait);
	} else if (h->until != 0 && (h->wait <= 0 || h->until <= wall)) {
		hold_until(b, h, 0);
	} else if (h->until > wall + h->wait) {
		hold_until(b, h, wall + h->wait);        /* It went back. */
	}
	h->most = h->step;
	return h->until != 0;
}

bool
tn_batch_retention_held(struct tn_batch_jobs *b)
{
	return is_held(b, &b->retention);
}

bool
tn_batch_keys_held(struct tn_batch_jobs *b)
{
	return is_held(b, &b->keys);
}

int64_t
tn_batch_expiry(struct tn_batch_jobs *b)
{
	(void)is_held(b, &b->retention);     /* A publication follows. */
	(void)is_held(b, &b->keys);
	return is_held(b, &b->snapshots) ? INT64_MIN :
	    b->snapshots.seen.wall_us - b->o.garbage_us;
}

/* disk: what a full disk looks like from outside. The log refuses events before
 * the reserve is touched (disk_reserve) and takes them again by itself; here
 * that is said in the log lines and told to /readyz, so that somebody frees
 * space. Events that nobody sends are not refused: when there is room again it
 * is full no more. */
#include "app/run_int.h"

#include "os/os.h"

#define LOOK_US INT64_C(1000000)
#define MORE_BYTES (16u << 20)   /* A log's next steps, and some. */

static bool
has_room(const struct app *a, uint64_t *free_bytes)
{
	*free_bytes = 0;
	return tn_os_disk_free(a->data, free_bytes) == TN_OK &&
	    *free_bytes > tn_app_disk_reserve(a) + MORE_BYTES;
}

static void
say(struct app *a, bool full, uint64_t free_bytes)
{
	if (full == a->disk_full)
		return;
	a->disk_full = full;
	if (full)
		tn_say(TN_WARN, "app", "no events are taken for now: the disk of "
		    "%s has %llu MiB free, of which disk_reserve keeps %llu for "
		    "cuts; free some space there", a->data,
		    (unsigned long long)(free_bytes >> 20),
		    (unsigned long long)(tn_app_disk_reserve(a) >> 20));
	else
		tn_say(TN_INFO, "app", "events are taken again: the disk of %s "
		    "has room", a->data);
}

int64_t
tn_app_disk_look(struct app *a)
{
	int64_t now = tn_os_mono_us();
	uint64_t free_bytes;
	bool full;

	if (a->ingest == NULL || (a->disk_looked_us != 0 &&
	    now - a->disk_looked_us < LOOK_US))
		return a->disk_full_us;
	a->disk_looked_us = now;
	full = tn_ingest_no_space(a->ingest) && !has_room(a, &free_bytes);
	if (!full)
		a->disk_full_us = 0;
	else if (a->disk_full_us == 0)
		a->disk_full_us = now;
	say(a, full, full ? free_bytes : 0);
	return a->disk_full_us;
}

/* Long work: how far it is, and a person's word in it. A recompute runs as a
 * row of steps; between two of them it can be told to wait or to end. A step
 * that is told to wait is parked here until it is told to go on, to end, or
 * the program stops. It may wait for ever: a person said so, and the metric
 * says since when, for the files that it reads stay on the disk meanwhile. */
#include "batch/batch_int.h"

#include <string.h>

#include "os/os.h"

#define STEP_US INT64_C(40000)
#define STEP_MAX_US INT64_C(2000000)

#define GET(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

static void
show_paused(bool on)
{
	struct tn_counter *c = tn_counter_get(TN_GAUGE,
	    "tarn_batch_paused_since_timestamp_seconds", NULL,
	    "When the recompute under way was told to wait; 0: none waits. "
	    "Files that it reads stay until it goes on or is canceled.");

	tn_counter_set(c, on ? tn_os_wall_us() / 1000000 : 0);
}

void
tn_batch_work_begin(struct tn_batch_jobs *b, uint64_t run, uint64_t total)
{
	SET(b->work.rows, 0);
	SET(b->work.total, total);
	SET(b->work.run, run);
	show_paused(false);
}

void
tn_batch_work_at(struct tn_batch_jobs *b, uint64_t done)
{
	SET(b->work.rows, done);
}

void
tn_batch_work_end(struct tn_batch_jobs *b)
{
	SET(b->work.run, 0);
	SET(b->cancel, 0);
	tn_net_lock_take(b->lock);
	b->pause = 0;
	SET(b->work.paused, 0);
	tn_net_lock_drop(b->lock);
	show_paused(false);
}

void
tn_batch_progress(struct tn_batch_jobs *b, struct tn_batch_work *out)
{
	out->run = GET(b->work.run);
	out->rows = GET(b->work.rows);
	out->total = GET(b->work.total);
	out->paused = GET(b->work.paused);
}

/* ---- wait, go on, end ------------------------------------------------ */

bool
tn_batch_park(struct tn_batch_jobs *b, struct tn_net_job *step)
{
	bool parked;

	tn_net_lock_take(b->lock);
	parked = b->pause != 0 && b->pause == GET(b->work.run) &&
	    GET(b->stopping) == 0 && GET(b->cancel) != b->pause;
	if (parked)
		b->parked = step;
	tn_net_lock_drop(b->lock);
	return parked;
}

void
tn_batch_unpark(struct tn_batch_jobs *b)
{
	struct tn_net_job *step;

	tn_net_lock_take(b->lock);
	step = b->parked;
	b->parked = NULL;
	/* Under the lock, so that the actor is not freed in between. */
	if (step != NULL)
		(void)tn_net_actor_post_internal(b->actor, step);
	tn_net_lock_drop(b->lock);
}

static bool
is_under_way(const struct tn_batch_jobs *b, uint64_t run)
{
	return run != 0 && GET(b->work.run) == run;
}

enum tn_status
tn_batch_cancel(struct tn_batch_jobs *b, uint64_t run)
{
	if (!is_under_way(b, run))
		return TN_ENOTFOUND;
	SET(b->cancel, run);
	tn_batch_unpark(b);
	return TN_OK;
}

enum tn_status
tn_batch_pause(struct tn_batch_jobs *b, uint64_t run, bool on)
{
	bool found;

	tn_net_lock_take(b->lock);
	found = is_under_way(b, run);
	if (found) {
		b->pause = on ? run : 0;
		SET(b->work.paused, on);
		show_paused(on);
	}
	tn_net_lock_drop(b->lock);
	if (found && !on)
		tn_batch_unpark(b);
	return found ? TN_OK : TN_ENOTFOUND;
}

/* ---- rows since ------------------------------------------------------ */

uint32_t
tn_batch_mark_after(struct tn_batch_marks *m, const struct tn_batch *b,
    uint64_t after)
{
	const int64_t *lsn = b->columns[b->schema->count -
	    TN_SQL_HIDDEN].values;
	uint32_t inside = 0;

	if (b->rows > m->cap) {
		m->cap = b->rows;
		m->marks = tn_realloc(m->marks, m->cap);
	}
	for (uint32_t i = 0; i < b->rows; i++) {
		m->marks[i] = (uint64_t)lsn[i] <= after;
		inside += m->marks[i] == 0;
	}
	return inside;
}

/* ---- steps ------------------------------------------------------------ */

int64_t
tn_batch_step_until(int64_t left_us)
{
	int64_t now = tn_os_mono_us(), us = left_us != 0 ? now - left_us : 0;

	if (us > STEP_MAX_US)
		us = STEP_MAX_US;
	return now + (us > STEP_US ? us : STEP_US);
}

bool
tn_batch_step_over(const struct tn_batch_jobs *b, int64_t until_us)
{
	return tn_os_mono_us() >= until_us ||
	    tn_batch_stopping(b, NULL) != TN_OK;
}

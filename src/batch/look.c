/* What compaction is to do: a look over all partitions of a snapshot, in its
 * order. Of each the files that tiers.c picks, or, where the partition is old
 * enough for the cold folder, what is not there yet (move.c). Several small
 * merges make one round; what does not fit is found by the next look. Merges
 * to the cold folder are rounds of their own, so that its failures are no
 * one else's, and come when there is nothing else to merge.
 *
 * The old files stay on the disk beside the new ones for snapshot_keep, so a
 * merge needs room: at most what its files have. It is begun only where that
 * fits beside the reserve; else the oldest of its files are left out (they
 * are the large ones), and when not even the two newest fit, it waits. That is
 * said once, and the metric says of how many bytes. */
#include "batch/compact_int.h"

#include <string.h>

#include "os/os.h"

#define UNPACKED_MOST 40
#define SMALL_BUDGET ((size_t)512 << 20)
#define INPUT_PARTS 8                /* For unpacked row groups. */
#define SETTLE_US INT64_C(300000000) /* Least time without new files. */
#define SETTLE_RATE 16384            /* Bytes a second of waiting. */
#define RETRY_US INT64_C(60000000)   /* A disk takes nothing now. */

/* ---- what is to be done ---------------------------------------------- */

struct tn_batch_tiers
tn_batch_tiers_of(const struct tn_batch_jobs *b)
{
	return (struct tn_batch_tiers){ .full_bytes = b->o.compact_file_bytes,
	    .young_max = b->o.young_files_max };
}

/* Since when the partition is still; from now on when it is not known. */
static int64_t
still_since(const struct tn_batch_compaction *x, uint32_t *at,
    const struct tn_catalog_file *newest, int64_t now)
{
	for (; *at < x->still_count; (*at)++) {
		const struct still *s = &x->still[*at];
		int c = s->tier != newest->tier ? (int)s->tier -
		    (int)newest->tier : s->object != newest->object ?
		    (s->object < newest->object ? -1 : 1) :
		    strcmp(s->partition, newest->partition);
		if (c > 0)
			break;
		if (c == 0)
			return s->newest >= newest->id && s->since_us <= now ?
			    s->since_us : now;
	}
	return now;
}

/* A look over all partitions, in the order of the snapshot. */
struct look {
	struct tn_batch_jobs *b;
	struct tn_batch_compaction *x;
	const struct tn_catalog_snapshot *base;
	int64_t now;
	uint32_t old_at;                 /* In x->still. */
	struct still *still;             /* The new list. */
	uint32_t still_count, still_cap;
	int64_t due_us;
	uint64_t bytes;                  /* Of the round so far. */
	uint64_t room;                   /* On the lake's disk. */
	uint64_t waits;
};

static void
note_still(struct look *l, const struct tn_catalog_file *newest,
    int64_t since)
{
	struct still *s;

	if (l->still_count == l->still_cap) {
		l->still_cap = l->still_cap == 0 ? 16 : l->still_cap * 2;
		l->still = tn_realloc(l->still,
		    l->still_cap * sizeof *l->still);
	}
	s = &l->still[l->still_count++];
	*s = (struct still){ .tier = newest->tier, .object = newest->object,
	    .newest = newest->id, .since_us = since };
	memcpy(s->partition, newest->partition, sizeof s->partition);
}

/* Bytes that a settled partition would write make it wait longer: late rows
 * that trickle in do not write a large file anew each minute. What we moved to
 * the cold folder is not news. */
static bool
is_settled(struct look *l, const struct tn_batch_tiers *t,
    const struct tn_catalog_file *files, uint32_t n)
{
	const struct tn_catalog_file *newest = NULL;
	uint64_t bytes = 0;
	int64_t since, wait;

	for (uint32_t i = 0; i < n; i++) {
		if (!tn_lake_is_cold(l->b->o.lake, files[i].path) &&
		    (newest == NULL || files[i].id > newest->id))
			newest = &files[i];
		if (files[i].bytes < t->full_bytes)
			bytes += files[i].bytes;
	}
	newest = newest == NULL ? &files[n - 1] : newest;
	since = still_since(l->x, &l->old_at, newest, l->now);
	note_still(l, newest, since);
	wait = SETTLE_US + (int64_t)(bytes / SETTLE_RATE) * 1000000;
	if (l->now - since >= wait)
		return true;
	if (since + wait < l->due_us)
		l->due_us = since + wait;
	return false;
}

/* Of each file a row group may be unpacked at once. How far wide rows shrink
 * is not known, so a small budget expects the worst: then fewer files are
 * merged at a time. */
static uint32_t
fit_memory(const struct tn_catalog_file *files, uint32_t count)
{
	size_t most = tn_batch_part(INPUT_PARTS), group = tn_batch_group_bytes();
	size_t need = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t wide = files[i].bytes * (tn_batch_part(1) <
		    SMALL_BUDGET ? UNPACKED_MOST : UNPACKED);
		need += wide < group ? (size_t)wide : group;
		if (i >= 2 && need > most)
			return i;
	}
	return count;
}

uint64_t
tn_batch_room(const struct tn_batch_jobs *b)
{
	uint64_t room = 0;

	/* A system that cannot say it: the writes will. */
	if (tn_os_disk_free(tn_lake_root(b->o.lake), &room) != TN_OK)
		return UINT64_MAX;
	return room > b->o.disk_reserve ? room - b->o.disk_reserve : 0;
}

/* Leaves out files, oldest first, until it fits beside what the round will
 * write. False: it waits. */
static bool
fit_disk(struct look *l, struct merge *m)
{
	uint64_t all = m->bytes;
	uint64_t room = l->room > l->bytes ? l->room - l->bytes : 0;

	while (m->count > 2 && m->bytes > room) {
		m->bytes -= m->files->bytes;
		m->files++;
		m->count--;
	}
	if (all > room && all > l->waits)
		l->waits = all;
	if (m->bytes <= room)
		return true;
	if (l->now + RETRY_US < l->due_us)
		l->due_us = l->now + RETRY_US;
	return false;
}

/* One merge more of the round, unless it is full or of the other kind. */
static void
add_merge(struct look *l, struct merge *m)
{
	struct tn_batch_compaction *x = l->x;

	m->count = fit_memory(m->files, m->count);
	m->bytes = 0;
	for (uint32_t i = 0; i < m->count; i++)
		m->bytes += m->files[i].bytes;
	if (m->cold && !tn_batch_cold_takes(l->b, m)) {
		if (l->now + RETRY_US < l->due_us)
			l->due_us = l->now + RETRY_US;
		return;
	}
	/* A backlog for the cold folder keeps nothing else waiting. */
	if (x->count > 0 && x->merges[0].cold && !m->cold) {
		x->count = 0;
		l->bytes = 0;
		l->due_us = l->now;
	}
	if (!m->cold && !fit_disk(l, m))
		return;
	if (x->count == ROUND_MERGES || (x->count > 0 &&
	    (l->bytes + m->bytes > ROUND_BYTES ||
	    x->merges[0].cold != m->cold))) {
		l->due_us = l->now;      /* In the next round. */
		return;
	}
	l->bytes += m->bytes;
	x->merges[x->count++] = *m;
}

static bool
any_cold(const struct tn_lake *lake, const struct merge *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (tn_lake_is_cold(lake, m->files[i].path))
			return true;
	return false;
}

/* tn_batch_pick, among files between those that are left alone. */
static bool
pick(const struct look *l, const struct tn_batch_tiers *t,
    const struct merge *all, struct merge *m)
{
	uint32_t end, from;

	for (uint32_t i = 0; i < all->count; i = end + 1) {
		for (end = i; end < all->count && !tn_batch_is_skipped(l->x,
		    all->files[end].id); )
			end++;
		if (end > i && tn_batch_pick(t, all->files + i, end - i,
		    &from, &m->count)) {
			m->files = all->files + i + from;
			return true;
		}
	}
	return false;
}

/* Of an old partition that is still all goes to the cold folder: its young
 * files as one, others as they are. What comes late to it joins those that are
 * there. Until then too many young files become fewer in the lake, whether or
 * not the folder takes any. */
static void
look_at(struct look *l, const struct tn_governance_stream *s,
    const struct tn_catalog_file *files, uint32_t n)
{
	struct tn_batch_tiers t = tn_batch_tiers_of(l->b);
	struct merge all = { s, files, n, 0, false }, m = all;
	uint32_t unmoved = n;
	int64_t due = INT64_MAX;

	m.cold = tn_batch_is_due(l->b, &all, l->now, &due);
	if (due < l->due_us)
		l->due_us = due;
	if (m.cold)
		unmoved = tn_batch_unmoved(l->b, &all);
	if (tn_batch_young(&t, files, n) < 2 && unmoved == n)
		return;
	t.settle = is_settled(l, &t, files, n);
	t.settle = t.settle || l->x->asked;
	if (!pick(l, &t, &all, &m)) {
		if (!t.settle || unmoved == n)
			return;
		m = (struct merge){ s, files + unmoved, 1, 0, true };
	}
	if (!t.settle && m.cold)
		m.cold = any_cold(l->b->o.lake, &m);
	add_merge(l, &m);
}

uint32_t
tn_batch_partition_end(const struct tn_catalog_snapshot *s, uint32_t i)
{
	const struct tn_catalog_file *f = s->files;
	uint32_t end = i;

	while (end < s->count && f[end].tier == f[i].tier &&
	    f[end].object == f[i].object && strcmp(f[end].partition,
	    f[i].partition) == 0)
		end++;
	return end;
}

/* One partition, from file ${i} on; returns its end. Of silver only files of
 * the definition in force are merged. */
static uint32_t
look_at_partition(struct look *l, uint32_t i)
{
	const struct tn_serving_model *m = l->b->o.model;
	const struct tn_catalog_file *f = l->base->files;
	int stream = tn_serving_stream_by_id(m, f[i].object);
	bool ours = stream >= 0;
	uint32_t end = tn_batch_partition_end(l->base, i);

	for (uint32_t k = i; ours && k < end; k++)
		ours = f[i].tier == TN_TIER_BRONZE ||
		    f[k].version == m->streams[stream].version;
	if (ours)
		look_at(l, &m->streams[stream], f + i, end - i);
	return end;
}

/* Once, until there is room again. */
static void
say_waits(struct look *l)
{
	if (l->waits > 0 && l->x->waits == 0)
		tn_say(TN_WARN, "batch", "files of %.1f MiB wait to be merged: "
		    "the disk has %.1f MiB beside what stays free for events",
		    (double)l->waits / (1 << 20),
		    (double)l->room / (1 << 20));
	l->x->waits = l->waits;
	tn_counter_set(l->b->waits, (int64_t)l->waits);
}

void
tn_batch_look(struct tn_batch_jobs *b, const struct tn_catalog_snapshot *base)
{
	struct tn_batch_compaction *x = b->compaction;
	struct look l = { .b = b, .x = x, .base = base,
	    .now = tn_os_wall_us(), .due_us = INT64_MAX,
	    .room = tn_batch_room(b) };
	uint32_t i = 0;

	x->count = x->at = 0;
	l.due_us = tn_batch_skips_due(b, base, l.now);
	/* Bronze and silver are the first tiers of a snapshot. */
	while (i < base->count && base->files[i].tier <= TN_TIER_SILVER)
		i = look_at_partition(&l, i);
	tn_free(x->still);
	x->still = l.still;
	x->still_count = l.still_count;
	x->looked = base->sequence;
	x->due_us = l.due_us;
	say_waits(&l);
}


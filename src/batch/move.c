/* Moving old partitions to the cold folder (lake/cold.c): which are old enough,
 * and when the folder takes them. The move itself is a merge like others
 * (compact.c): of one file or more into new ones, there and at the level
 * cold_zstd_level; so it is held back to compact_rate, its memory is bounded,
 * it is one publication, the old files stay for who reads them, and the chain
 * of bronze goes on through it.
 *
 *   due      all rows of the partition are older than cold_after (silver: by
 *            event time; bronze: by the time received), of the table or the
 *            setting
 *   still    no file came for a while (look.c)
 *   taken    the folder is there, with room beside the disk's reserve
 *
 * What comes late to such a partition is written to the lake, and follows
 * later. Gold and key files stay: they are small, and change. What lies in a
 * cold folder of before, or of a lake that this one was restored from, counts
 * as unmoved: a new cold_folder draws it over. */
#include "batch/compact_int.h"

#include "os/os.h"

static int64_t
cold_after(const struct tn_batch_jobs *b, const struct tn_sql_table *t)
{
	return t->cold_after_us < 0 ? b->o.cold_after_us : t->cold_after_us;
}

bool
tn_batch_is_due(const struct tn_batch_jobs *b, const struct merge *all,
    int64_t now, int64_t *due_us)
{
	int64_t after = cold_after(b, all->s->table), newest = INT64_MIN;

	*due_us = INT64_MAX;
	if (tn_lake_cold_folder(b->o.lake) == NULL || after == INT64_MAX)
		return false;
	for (uint32_t i = 0; i < all->count; i++)
		if (all->files[i].time_max > newest)
			newest = all->files[i].time_max;
	if (newest < now - after)
		return true;
	if (__builtin_add_overflow(newest, after + 1, due_us))
		*due_us = INT64_MAX;
	return false;
}

uint32_t
tn_batch_unmoved(const struct tn_batch_jobs *b, const struct merge *all)
{
	uint32_t i = 0;

	while (i < all->count && (tn_lake_is_cold(b->o.lake,
	    all->files[i].path) || tn_batch_is_skipped(b->compaction,
	    all->files[i].id)))
		i++;
	return i;
}

/* Said once until it takes files again. */
static bool
say(struct tn_batch_jobs *b, const char *why)
{
	struct tn_batch_compaction *x = b->compaction;

	if (why == NULL)
		x->cold_said = false;
	if (why == NULL || x->cold_said)
		return why == NULL;
	x->cold_said = true;
	tn_say(TN_WARN, "batch", "nothing is moved to cold_folder %s: %s",
	    tn_lake_cold_folder(b->o.lake), why);
	return false;
}

bool
tn_batch_cold_takes(struct tn_batch_jobs *b, const struct merge *m)
{
	const char *folder = tn_lake_cold_folder(b->o.lake);
	uint64_t room = 0;

	if (tn_os_mono_us() < b->compaction->cold_calm_us)
		return false;
	if (!tn_lake_cold_ready(b->o.lake))
		return say(b, "it is not there: is its disk mounted?");
	/* Packed harder, it needs no more. */
	if (tn_os_disk_free(folder, &room) != TN_OK ||
	    room < b->o.cold_reserve + m->bytes)
		return say(b, "its disk is full but for disk_reserve");
	return say(b, NULL);
}

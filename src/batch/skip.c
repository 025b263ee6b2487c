/* Files that a merge or a move could not read: left alone for a while, so that
 * all others are merged and moved. Where what is said of the failure names one
 * file of the merge, it is that one; else all of it wait, and later ones go on
 * without them.
 *
 *   damaged, gone         -> left alone for file_retry_max -> tried again
 *   the disk failed once  -> tried again; then left alone for file_retry, twice
 *                            as long ..., at most file_retry_max
 *
 * One entry a file, in order of ids, until the file is in force no more: none
 * makes room for another, or the two would be tried by turns for ever. Only in
 * memory: a start tries all of them. */
#include "batch/compact_int.h"

#include <string.h>

#include "os/os.h"

/* Where the file is, or belongs. */
static uint32_t
place_of(const struct tn_batch_compaction *x, uint64_t file)
{
	uint32_t lo = 0, hi = x->skip_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (x->skips[mid].file < file)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct skip *
find(const struct tn_batch_compaction *x, uint64_t file)
{
	uint32_t at = place_of(x, file);

	return at < x->skip_count && x->skips[at].file == file ?
	    &x->skips[at] : NULL;
}

bool
tn_batch_is_skipped(const struct tn_batch_compaction *x, uint64_t file)
{
	const struct skip *s = find(x, file);

	return s != NULL && s->until_us > tn_os_mono_us();
}

static struct skip *
skip_of(struct tn_batch_compaction *x, uint64_t file)
{
	uint32_t at = place_of(x, file);

	if (at < x->skip_count && x->skips[at].file == file)
		return &x->skips[at];
	if (x->skip_count == x->skip_cap) {
		x->skip_cap = x->skip_cap == 0 ? 16 : x->skip_cap * 2;
		x->skips = tn_realloc(x->skips,
		    x->skip_cap * sizeof *x->skips);
	}
	memmove(x->skips + at + 1, x->skips + at, (x->skip_count - at) *
	    sizeof *x->skips);
	x->skip_count++;
	x->skips[at] = (struct skip){ .file = file };
	return &x->skips[at];
}

/* The only file of the merge that ${message} names; count: there is none. */
static uint32_t
named(const struct merge *m, const char *message)
{
	uint32_t found = m->count;

	for (uint32_t i = 0; i < m->count; i++) {
		if (strstr(message, m->files[i].path) == NULL)
			continue;
		if (found != m->count)
			return m->count;
		found = i;
	}
	return found;
}

bool
tn_batch_skip(struct tn_batch_jobs *b, const struct merge *m, bool lasting,
    const char *message)
{
	int64_t now = tn_os_mono_us(), most = b->o.file_retry_max_us;
	uint32_t one = named(m, message);
	bool fresh = false;

	for (uint32_t i = 0; i < m->count; i++) {
		struct skip *s = one != m->count && i != one ? NULL :
		    skip_of(b->compaction, m->files[i].id);
		int64_t wait = s == NULL || s->failures == 0 ? 0 :
		    b->o.file_retry_us;
		if (s == NULL)
			continue;
		fresh = fresh || s->failures == 0;
		for (uint32_t k = 1; k < s->failures && wait < most; k++)
			wait *= 2;
		s->failures++;
		s->until_us = now + (lasting || wait > most ? most : wait);
	}
	return fresh;
}

/* Of files that are not there any more nothing is kept. */
static void
forget_gone(struct tn_batch_compaction *x,
    const struct tn_catalog_snapshot *base)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; x->skip_count > 0 && i < base->count; i++) {
		struct skip *s = find(x, base->files[i].id);
		if (s != NULL)
			s->there = true;
	}
	for (uint32_t i = 0; i < x->skip_count; i++) {
		if (!x->skips[i].there)
			continue;
		x->skips[kept] = x->skips[i];
		x->skips[kept++].there = false;
	}
	x->skip_count = kept;
}

int64_t
tn_batch_skips_due(struct tn_batch_jobs *b,
    const struct tn_catalog_snapshot *base, int64_t now)
{
	struct tn_batch_compaction *x = b->compaction;
	int64_t mono = tn_os_mono_us(), due = INT64_MAX;
	uint32_t waiting = 0;

	forget_gone(x, base);
	for (uint32_t i = 0; i < x->skip_count; i++) {
		int64_t left = x->skips[i].until_us - mono;
		waiting += left > 0;
		if (left > 0 && now + left < due)
			due = now + left;
	}
	tn_counter_set(b->skipped, waiting);
	return due;
}

void
tn_batch_skip_none(struct tn_batch_compaction *x)
{
	tn_free(x->skips);
	x->skips = NULL;
	x->skip_count = x->skip_cap = 0;
}

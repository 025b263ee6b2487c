/* Which files of a partition become one: a rule over sizes alone, so that it
 * needs no memory of what it did.
 *
 *   files in the order of their rows' age:   [full][full] 40 12 3 1 1 1 1 1 1
 *                                                         `----- young -----'
 *   full   has compact_file_bytes: never touched again
 *   young  everything else, at most young_files_max
 *
 * When there are more, the newest k+1 of them become one, for the k that makes
 * bytes / k^3 least: bytes are the cost, k is by how many files there are
 * fewer. With k alone as the gain the tiny newest ones would be merged for
 * ever while the older ones pile up at one size; the cube lets it reach for an
 * older, larger one now and then, and sizes grow geometrically. With 8 young
 * ones 1,440 commits are written 4.5 times over, 14,400 about 8 times: the
 * logarithm to base 2, or less (tests/unit/batch/tiers_test.c holds it).
 *
 * A partition to which nothing was added for a while is settled: all its young
 * files become one. A merge that reaches the full size takes all young ones up
 * to the last full file, so that no small file is shut in between full ones. */
#include "batch/batch_int.h"

/* End of the run of young files from ${i} on. */
static uint32_t
run_end(const struct tn_batch_tiers *t, const struct tn_catalog_file *files,
    uint32_t n, uint32_t i)
{
	while (i < n && files[i].bytes < t->full_bytes)
		i++;
	return i;
}

struct choice {
	double cost;
	uint32_t from, to;
};

/* The best suffix of the run [a, end). */
static void
choose(const struct tn_batch_tiers *t, const struct tn_catalog_file *files,
    uint32_t a, uint32_t end, struct choice *best)
{
	double bytes = (double)files[end - 1].bytes;

	for (uint32_t i = end - 1; i-- > a; ) {
		double fewer = (double)(end - 1 - i), cost;
		bytes += (double)files[i].bytes;
		cost = bytes / (fewer * fewer * fewer);
		if (best->to == 0 || cost <= best->cost)
			*best = (struct choice){ cost,
			    bytes >= (double)t->full_bytes ? a : i, end };
	}
}

bool
tn_batch_pick(const struct tn_batch_tiers *t,
    const struct tn_catalog_file *files, uint32_t n, uint32_t *from,
    uint32_t *count)
{
	uint32_t young = tn_batch_young(t, files, n), end;
	struct choice best = { 0, 0, 0 };

	if (young < 2 || (young <= t->young_max && !t->settle))
		return false;
	for (uint32_t i = 0; i < n; i = end + 1) {
		end = run_end(t, files, n, i);
		if (end - i < 2)
			continue;
		if (t->settle) {
			best = (struct choice){ 0, i, end };
			break;
		}
		choose(t, files, i, end, &best);
	}
	*from = best.from;
	*count = best.to - best.from;
	return best.to > 0;
}

uint32_t
tn_batch_young(const struct tn_batch_tiers *t,
    const struct tn_catalog_file *files, uint32_t n)
{
	uint32_t young = 0;

	for (uint32_t i = 0; i < n; i++)
		young += files[i].bytes < t->full_bytes;
	return young;
}

/* Settings that change while batch works. They are left here by any thread and
 * taken by batch's own, before its next job or tick: none changes in the midst
 * of one. */
#include "batch/compact_int.h"

void
tn_batch_tune(struct tn_batch_jobs *b, const struct tn_batch_tuned *t)
{
	tn_assert(t->garbage_us > 0 && t->cold_after_us > 0);
	__atomic_store_n(&b->tuned.garbage_us, t->garbage_us,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&b->tuned.cold_after_us, t->cold_after_us,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&b->untaken, 1, __ATOMIC_RELEASE);
}

void
tn_batch_tune_take(struct tn_batch_jobs *b)
{
	int64_t garbage, cold;

	if (__atomic_exchange_n(&b->untaken, 0, __ATOMIC_ACQUIRE) == 0)
		return;
	garbage = __atomic_load_n(&b->tuned.garbage_us, __ATOMIC_RELAXED);
	cold = __atomic_load_n(&b->tuned.cold_after_us, __ATOMIC_RELAXED);
	if (garbage != b->o.garbage_us) {
		b->o.garbage_us = garbage;
		b->snapshots.wait = garbage;
		tn_batch_tables_keep(b);
	}
	if (cold != b->o.cold_after_us) {
		b->o.cold_after_us = cold;
		/* What is due now was not to be looked for yet. */
		if (b->compaction != NULL)
			b->compaction->due_us = 0;
	}
}

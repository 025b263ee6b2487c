/* Rows that were committed and that no cut has taken yet, as intake decoded them:
 * a queue in order of LSN, the oldest go first.
 *
 *   log writer  put -> [ 7 | 8 | 11 ] -> take(8)  a cut, in order of LSN
 *
 * Decoding costs a cut as much as writing its files, and the values are there
 * anyway when a block is committed. What is not in the queue (it was full,
 * memory was short, the program has just started, a cut is tried again) is
 * decoded from the log: the rows are the same, because a pass of the gate
 * depends on the definition, the raw bytes and the time received alone.
 *
 * Held at most: bytes_max, and nothing while the budget is pressed. */
#include "governance/governance.h"

#include "net/net.h"

#define CAP_MIN 64

struct tn_governance_recent {
	struct tn_net_lock *lock;
	size_t bytes_max;
	struct tn_governance_rows **rows;    /* A ring; cap a power of two. */
	size_t *bytes;
	uint32_t cap, first, count;
	struct tn_budget_share held;
};

struct tn_governance_recent *
tn_governance_recent_new(size_t bytes_max)
{
	struct tn_governance_recent *r = tn_zalloc(sizeof *r);

	r->lock = tn_net_lock_new();
	r->bytes_max = bytes_max;
	r->held.class = TN_BUDGET_RECENT;
	return r;
}

/* The oldest one; the lock is held. */
static struct tn_governance_rows *
pop(struct tn_governance_recent *r)
{
	uint32_t at = r->first;

	tn_assert(r->count > 0);
	r->first = (r->first + 1) & (r->cap - 1);
	r->count--;
	tn_budget_set(&r->held, r->held.bytes - r->bytes[at]);
	return r->rows[at];
}

void
tn_governance_recent_drop(struct tn_governance_recent *r)
{
	if (r == NULL)
		return;
	tn_net_lock_take(r->lock);
	while (r->count > 0)
		tn_governance_rows_unref(pop(r));
	tn_net_lock_drop(r->lock);
}

void
tn_governance_recent_free(struct tn_governance_recent *r)
{
	if (r == NULL)
		return;
	tn_governance_recent_drop(r);
	tn_assert(r->held.bytes == 0);
	tn_net_lock_free(r->lock);
	tn_free(r->rows);
	tn_free(r->bytes);
	tn_free(r);
}

static void
grow(struct tn_governance_recent *r)
{
	uint32_t cap = r->cap == 0 ? CAP_MIN : r->cap * 2;
	struct tn_governance_rows **rows = tn_alloc(cap * sizeof *rows);
	size_t *bytes = tn_alloc(cap * sizeof *bytes);

	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t at = (r->first + i) & (r->cap - 1);
		rows[i] = r->rows[at];
		bytes[i] = r->bytes[at];
	}
	tn_free(r->rows);
	tn_free(r->bytes);
	r->rows = rows;
	r->bytes = bytes;
	r->cap = cap;
	r->first = 0;
}

/* The lock is held. */
static bool
keep(struct tn_governance_recent *r, struct tn_governance_rows *rows)
{
	size_t n = tn_record_batch_bytes(rows->batch) +
	    tn_arena_bytes(rows->arena);
	uint32_t at;

	if (n > r->bytes_max || r->held.bytes > r->bytes_max - n ||
	    tn_budget_level() != TN_BUDGET_CALM ||
	    !tn_budget_try(&r->held, r->held.bytes + n))
		return false;
	if (r->count == r->cap)
		grow(r);
	at = (r->first + r->count) & (r->cap - 1);
	r->rows[at] = tn_governance_rows_ref(rows);
	r->bytes[at] = n;
	r->count++;
	return true;
}

void
tn_governance_recent_put(struct tn_governance_recent *r,
    struct tn_governance_rows *rows)
{
	tn_net_lock_take(r->lock);
	(void)keep(r, rows);
	tn_net_lock_drop(r->lock);
}

struct tn_governance_rows *
tn_governance_recent_take(struct tn_governance_recent *r, uint64_t lsn)
{
	struct tn_governance_rows *rows = NULL;

	if (r == NULL)
		return NULL;
	tn_net_lock_take(r->lock);
	while (rows == NULL && r->count > 0 &&
	    r->rows[r->first]->lsn <= lsn) {
		rows = pop(r);
		if (rows->lsn < lsn) {
			tn_governance_rows_unref(rows);
			rows = NULL;
		}
	}
	tn_net_lock_drop(r->lock);
	return rows;
}

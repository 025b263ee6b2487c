#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gov_help.h"

/* Rows of one block; the caller's reference. */
static struct tn_governance_rows *
make_rows(uint64_t lsn, size_t bytes)
{
	static const struct tn_field f[] = { { "n", { .id = TN_T_INT8 },
	    false } };
	static const struct tn_schema s = { "t", 1, f };
	struct tn_builder *b = tn_record_builder_new(&s, 1);
	struct tn_arena *a = tn_arena_new(bytes);
	struct tn_governance_rows *r = tn_arena_zalloc(a, sizeof *r);

	tn_record_builder_i64(b, 0, (int64_t)lsn);
	tn_record_builder_row_end(b);
	r->arena = a;
	r->refs = 1;
	r->lsn = lsn;
	r->batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return r;
}

static void
put(struct tn_governance_recent *r, uint64_t lsn)
{
	struct tn_governance_rows *x = make_rows(lsn, 4000);

	tn_governance_recent_put(r, x);
	tn_governance_rows_unref(x);
}

/* The block's own rows, or none. */
static bool
take(struct tn_governance_recent *r, uint64_t lsn)
{
	struct tn_governance_rows *x = tn_governance_recent_take(r, lsn);

	if (x == NULL)
		return false;
	assert_int_equal(x->lsn, lsn);
	tn_governance_rows_unref(x);
	return true;
}

/* Goal: rows are there once, in order; what the taker has passed is gone, and
 * what he has not come to stays, whatever is put and taken between. */
static void
goes_in_order(void **state)
{
	struct tn_governance_recent *r = tn_governance_recent_new(1 << 30);
	bool kept[2000] = { false };
	uint64_t next = 1, at = 1;

	(void)state;
	random_start();
	assert_null(tn_governance_recent_take(NULL, 1));
	while (at < 2000) {
		for (uint32_t k = random_below(90); k > 0 && next < 2000;
		    k--, next++) {
			kept[next] = random_below(4) > 0;
			if (kept[next])
				put(r, next);
		}
		for (uint32_t k = random_below(90); k > 0 && at < 2000; k--)
			if (random_below(5) == 0) {
				at += at < next;     /* Not asked for. */
			} else if (at < next) {
				assert_true(take(r, at) == kept[at]);
				assert_false(take(r, at));
				at++;
			} else {
				assert_false(take(r, at));
				break;
			}
	}
	/* The last ones may not have been asked for. */
	assert_false(take(r, UINT64_MAX));
	assert_int_equal(tn_budget_used(TN_BUDGET_RECENT), 0);
	tn_governance_recent_free(r);
	assert_int_equal(tn_budget_used(TN_BUDGET_RECENT), 0);
}

/* Goal: no more is held than was said, none under pressure, and nothing after a
 * drop; the budget is told. */
static void
is_bounded(void **state)
{
	struct tn_governance_recent *r = tn_governance_recent_new(20000);
	uint32_t kept = 0;

	(void)state;
	for (uint64_t lsn = 1; lsn <= 100; lsn++) {
		put(r, lsn);
		assert_true(tn_budget_used(TN_BUDGET_RECENT) <= 20000);
	}
	assert_true(tn_budget_used(TN_BUDGET_RECENT) > 10000);
	for (uint64_t lsn = 1; lsn <= 100; lsn++)
		kept += take(r, lsn);
	assert_in_range(kept, 2, 5);         /* The oldest. */
	put(r, 101);
	assert_true(take(r, 101));
	put(r, 102);
	tn_governance_recent_drop(r);
	tn_governance_recent_drop(NULL);
	assert_int_equal(tn_budget_used(TN_BUDGET_RECENT), 0);
	assert_false(take(r, 102));
	tn_budget_setup(100000);
	tn_budget_force(TN_BUDGET_FOLDS, 75000);
	put(r, 103);
	assert_false(take(r, 103));
	tn_budget_give(TN_BUDGET_FOLDS, 75000);
	put(r, 104);
	assert_true(take(r, 104));
	tn_budget_setup(0);
	tn_governance_recent_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_in_order),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

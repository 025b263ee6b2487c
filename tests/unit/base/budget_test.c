/* The memory ledger: sums, ceilings, levels and refusals. */
#include "test.h"

#include <pthread.h>

#include "base/base.h"

#define MIB ((size_t)1 << 20)

static int
calm(void **state)
{
	(void)state;
	tn_budget_setup(100 * MIB);
	return 0;
}

static int
empty(void **state)
{
	(void)state;
	assert_int_equal(tn_budget_total(), 0);
	for (int c = 0; c < TN_BUDGET_CLASSES; c++)
		assert_int_equal(tn_budget_used((enum tn_budget_class)c), 0);
	tn_budget_setup(0);
	return 0;
}

/* What is taken and given back adds up, by class and in all, and the
 * high-water mark stays. */
static void
sums_hold(void **state)
{
	(void)state;
	assert_true(tn_budget_take(TN_BUDGET_KEYS, 3 * MIB));
	tn_budget_force(TN_BUDGET_FOLDS, 5 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_KEYS), 3 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_FOLDS), 5 * MIB);
	assert_int_equal(tn_budget_total(), 8 * MIB);
	tn_budget_give(TN_BUDGET_FOLDS, 5 * MIB);
	tn_budget_give(TN_BUDGET_KEYS, 3 * MIB);
	assert_int_equal(tn_budget_peak(), 8 * MIB);
}

/* Each class stops at its own ceiling, force at none. */
static void
ceilings(void **state)
{
	(void)state;
	tn_budget_force(TN_BUDGET_FOLDS, 69 * MIB);
	assert_false(tn_budget_take(TN_BUDGET_RESULTS, 2 * MIB));
	assert_true(tn_budget_take(TN_BUDGET_RESULTS, MIB));
	assert_true(tn_budget_take(TN_BUDGET_QUERIES, 15 * MIB));
	assert_false(tn_budget_take(TN_BUDGET_QUERIES, MIB));
	assert_true(tn_budget_take(TN_BUDGET_INGEST, 10 * MIB));
	assert_false(tn_budget_take(TN_BUDGET_INGEST, MIB));
	assert_true(tn_budget_take(TN_BUDGET_CUTS, 5 * MIB));
	assert_int_equal(tn_budget_total(), 100 * MIB);
	assert_false(tn_budget_take(TN_BUDGET_CUTS, 1));
	assert_false(tn_budget_take(TN_BUDGET_CUTS, SIZE_MAX));
	tn_budget_force(TN_BUDGET_KEYS, 1);
	assert_int_equal(tn_budget_total(), 100 * MIB + 1);
	tn_budget_give(TN_BUDGET_KEYS, 1);
	tn_budget_give(TN_BUDGET_FOLDS, 69 * MIB);
	tn_budget_give(TN_BUDGET_RESULTS, MIB);
	tn_budget_give(TN_BUDGET_QUERIES, 15 * MIB);
	tn_budget_give(TN_BUDGET_INGEST, 10 * MIB);
	tn_budget_give(TN_BUDGET_CUTS, 5 * MIB);
}

/* Small grants go on up to the cap; many small ones of one holder do not. */
static void
small_goes_on(void **state)
{
	struct tn_budget_share s = { .class = TN_BUDGET_QUERIES };

	(void)state;
	tn_budget_force(TN_BUDGET_FOLDS, 96 * MIB);
	assert_true(tn_budget_try(&s, 256 << 10));
	assert_false(tn_budget_try(&s, (256 << 10) + 1));
	assert_int_equal(s.bytes, 256 << 10);
	tn_budget_force(TN_BUDGET_FOLDS, 4 * MIB);
	assert_true(tn_budget_try(&s, 1));      /* Less is always granted. */
	assert_false(tn_budget_try(&s, 2));
	tn_budget_set(&s, 0);
	tn_budget_give(TN_BUDGET_FOLDS, 100 * MIB);
}

/* Levels and the room that is left follow the total. */
static void
levels(void **state)
{
	struct tn_budget_share s = { .class = TN_BUDGET_FOLDS };
	const struct {
		size_t mib;
		enum tn_budget_level level;
	} steps[] = { { 0, TN_BUDGET_CALM }, { 69, TN_BUDGET_CALM },
	    { 70, TN_BUDGET_PRESSED }, { 85, TN_BUDGET_TIGHT },
	    { 94, TN_BUDGET_TIGHT }, { 95, TN_BUDGET_FULL },
	    { 120, TN_BUDGET_FULL }, { 20, TN_BUDGET_CALM } };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(steps); i++) {
		tn_budget_set(&s, steps[i].mib * MIB);
		assert_int_equal(tn_budget_level(), steps[i].level);
		assert_int_equal(tn_budget_room(), steps[i].mib >= 95 ? 0 :
		    (95 - steps[i].mib) * MIB);
	}
	tn_budget_setup(0);             /* Without a cap all is calm. */
	tn_budget_set(&s, 1000 * MIB);
	assert_int_equal(tn_budget_level(), TN_BUDGET_CALM);
	assert_true(tn_budget_room() == SIZE_MAX);
	assert_true(tn_budget_take(TN_BUDGET_RESULTS, 1000 * MIB));
	tn_budget_give(TN_BUDGET_RESULTS, 1000 * MIB);
	tn_budget_set(&s, 0);
}

/* A refusal names the largest classes and what to do about the first. */
static void
refusal_names(void **state)
{
	struct tn_diag d = { .line = 0 };

	(void)state;
	tn_budget_force(TN_BUDGET_KEYS, 60 * MIB);
	tn_budget_force(TN_BUDGET_REFERENCES, 30 * MIB);
	tn_budget_force(TN_BUDGET_FOLDS, MIB);
	assert_int_equal(tn_budget_refuse(&d), TN_EFULL);
	assert_string_equal(d.code, "memory_full");
	assert_non_null(strstr(d.message, "91.0 of the 100.0 MiB"));
	assert_non_null(strstr(d.message, "keys 60.0, references 30.0, folds"));
	assert_non_null(strstr(d.hint, "dedupe_window"));
	assert_non_null(strstr(d.hint, "memory_max"));
	assert_int_equal(tn_budget_refuse(NULL), TN_EFULL);
	tn_budget_give(TN_BUDGET_KEYS, 60 * MIB);
	tn_budget_give(TN_BUDGET_REFERENCES, 30 * MIB);
	tn_budget_give(TN_BUDGET_FOLDS, MIB);
}

/* What is kept for a cut and what the cut holds of it count once: the larger
 * of the two, shown as what is not taken and what is. */
static void
cuts_draw(void **state)
{
	struct tn_budget_share kept = { .class = TN_BUDGET_CUT_RESERVE };
	struct tn_budget_share more = { .class = TN_BUDGET_CUT_RESERVE };
	struct tn_budget_share cut = { .class = TN_BUDGET_CUT };
	const struct {
		size_t kept, more, cut, reserve;
	} steps[] = { { 10, 0, 0, 10 }, { 10, 5, 0, 15 }, { 10, 5, 4, 11 },
	    { 2, 5, 4, 3 }, { 2, 5, 9, 0 }, { 2, 0, 9, 0 }, { 20, 1, 9, 12 },
	    { 20, 1, 0, 21 }, { 0, 0, 3, 0 }, { 0, 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(steps); i++) {
		tn_budget_set(&kept, steps[i].kept * MIB);
		tn_budget_set(&more, steps[i].more * MIB);
		tn_budget_set(&cut, steps[i].cut * MIB);
		assert_int_equal(tn_budget_used(TN_BUDGET_CUT_RESERVE),
		    steps[i].reserve * MIB);
		assert_int_equal(tn_budget_used(TN_BUDGET_CUT),
		    steps[i].cut * MIB);
		assert_int_equal(tn_budget_total(),
		    (steps[i].reserve + steps[i].cut) * MIB);
	}
	assert_int_equal(tn_budget_peak(), 21 * MIB);
}

/* What nobody counted is the program's: at once when it grows, slowly when it
 * shrinks, never more than a quarter; what is kept free is not in it. */
static void
program_is_seen(void **state)
{
	uint64_t slack = 100 * MIB / 32, was;

	(void)state;
	tn_budget_seen(3 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_PROGRAM), 3 * MIB + slack);
	tn_budget_force(TN_BUDGET_FOLDS, 20 * MIB);
	tn_budget_force(TN_BUDGET_CUT_RESERVE, 40 * MIB);
	tn_budget_seen(30 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_PROGRAM), 10 * MIB + slack);
	tn_budget_force(TN_BUDGET_CUT, 7 * MIB);
	tn_budget_seen(37 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_PROGRAM), 10 * MIB + slack);
	assert_int_equal(tn_budget_total(), 70 * MIB + slack);
	tn_budget_seen(90 * MIB);
	assert_int_equal(tn_budget_used(TN_BUDGET_PROGRAM), 25 * MIB);
	for (int i = 0; i < 100; i++) {
		was = tn_budget_used(TN_BUDGET_PROGRAM);
		tn_budget_seen(20 * MIB);        /* Less than is counted. */
		assert_true(tn_budget_used(TN_BUDGET_PROGRAM) <= was);
		assert_true(i > 0 || was - tn_budget_used(TN_BUDGET_PROGRAM) <
		    3 * MIB);
	}
	assert_true(tn_budget_used(TN_BUDGET_PROGRAM) < slack + 100);
	tn_budget_give(TN_BUDGET_CUT, 7 * MIB);
	tn_budget_give(TN_BUDGET_CUT_RESERVE, 40 * MIB);
	tn_budget_give(TN_BUDGET_FOLDS, 20 * MIB);
	tn_budget_setup(0);
	tn_budget_seen(5 * MIB);         /* Without a cap it is nothing. */
}

#define THREADS 4
#define ROUNDS 20000

static void *
pull(void *arg)
{
	bool *over = arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (!tn_budget_take(TN_BUDGET_CUTS, 30 * MIB))
			continue;
		if (tn_budget_total() > 100 * MIB)
			*over = true;
		tn_budget_give(TN_BUDGET_CUTS, 30 * MIB);
	}
	return NULL;
}

/* Threads that take at the same time never get more than the cap together. */
static void
threads_share_the_cap(void **state)
{
	pthread_t t[THREADS];
	bool over[THREADS] = { false };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, pull, &over[i]),
		    0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		assert_false(over[i]);
	}
	assert_true(tn_budget_peak() <= 90 * MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sums_hold, calm, empty),
		cmocka_unit_test_setup_teardown(ceilings, calm, empty),
		cmocka_unit_test_setup_teardown(small_goes_on, calm, empty),
		cmocka_unit_test_setup_teardown(levels, calm, empty),
		cmocka_unit_test_setup_teardown(refusal_names, calm, empty),
		cmocka_unit_test_setup_teardown(cuts_draw, calm, empty),
		cmocka_unit_test_setup_teardown(program_is_seen, calm, empty),
		cmocka_unit_test_setup_teardown(threads_share_the_cap, calm,
		    empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

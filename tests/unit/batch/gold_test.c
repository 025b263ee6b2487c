/* Gold partitions in slices: with a memory budget that their states outgrow
 * they become several files, each group in one of them, in bounded memory. */
#include "test.h"

#include <stdio.h>

#include "batch_help.h"

#define KIB ((size_t)1024)

static const char keys_sql[] =
    "CREATE TABLE ev (id int8 PRIMARY KEY, k text, b int4, v int8);"
    "CREATE MATERIALIZED VIEW by_key AS SELECT k, b, count(*) AS n,"
    " sum(v) AS s, count(DISTINCT v) AS d FROM ev GROUP BY k, b;";

/* ${rows} rows of ${keys} keys, some of them null or long. */
static void
append_keys(struct rig *g, uint32_t rows, uint32_t keys, uint64_t *seed)
{
	struct tn_buf text = { 0 };

	for (uint32_t i = 0; i < rows; i++) {
		uint32_t k;
		*seed = *seed * UINT64_C(6364136223846793005) + 1;
		k = (uint32_t)(*seed >> 33) % keys;
		tn_buf_printf(&text, "{\"id\":%u,\"k\":", g->rows++);
		if (k % 97 == 0)
			tn_buf_str(&text, "null");
		else
			tn_buf_printf(&text, k % 3 == 0 ? "\"%u\"" :
			    "\"a key that is too long to lie inline %u\"", k);
		tn_buf_printf(&text, ",\"b\":%u,\"v\":%u}\n", k % 5,
		    (unsigned)(*seed >> 40) % 9);
	}
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
}

struct gold {
	uint32_t files;
	uint64_t rows, widest;   /* In all; of one file. */
	uint64_t newest;         /* LSN of the newest, of the oldest. */
	uint64_t oldest;
};

static struct gold
gold_of(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	struct gold out = { .oldest = UINT64_MAX };

	for (uint32_t i = 0; i < s->count; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		if (f->tier != TN_TIER_GOLD)
			continue;
		assert_string_equal(f->partition, "all");
		out.files++;
		out.rows += f->rows;
		if (f->rows > out.widest)
			out.widest = f->rows;
		if (f->lsn_max > out.newest)
			out.newest = f->lsn_max;
		if (f->lsn_max < out.oldest)
			out.oldest = f->lsn_max;
	}
	tn_catalog_snapshot_put(s);
	return out;
}

static void
cut_at(struct rig *g, size_t memory)
{
	tn_budget_setup(memory);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	tn_budget_setup(0);
}

/* Goal: a partition that outgrows its part of the budget is split, again and
 * again as it grows and as the budget shrinks and grows between cuts; each
 * group stands in one file (verify compares all of them with bronze), and a
 * recompute joins them. */
UNUSED static void
test_growth(void **state)
{
	static const size_t memory[] = { 8192, 8192, 4096, 0, 2048, 16384,
	    8192, 1024 };
	uint64_t seed = UINT64_C(0x5eed);
	uint32_t most = 0;
	struct rig g;

	(void)state;
	rig_make(&g, keys_sql);
	for (uint32_t i = 0; i < TN_COUNT(memory); i++) {
		struct gold x;
		append_keys(&g, 3000, 2000 + 1500 * i, &seed);
		cut_at(&g, memory[i] * KIB);
		x = gold_of(&g);
		most = x.files > most ? x.files : most;
		assert_true(x.files <= 1024);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		rig_close(&g);           /* Hashes of keys are others now. */
		rig_open(&g);
	}
	assert_true(most >= 16);
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	assert_int_equal(gold_of(&g).files, 1);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	rig_drop(&g);
}

/* Goal: only files whose groups a cut touches are written anew. */
static void
test_untouched(void **state)
{
	uint64_t seed = 7;
	struct gold x, y;
	struct rig g;

	(void)state;
	rig_make(&g, keys_sql);
	append_keys(&g, 3000, 4000, &seed);
	append_keys(&g, 3000, 4000, &seed);
	cut_at(&g, 2048 * KIB);
	x = gold_of(&g);
	assert_true(x.files > 4);
	assert_true(x.widest * 2 < x.rows);
	append_text(&g, 0, "{\"id\":1000001,\"k\":\"new\",\"b\":1,\"v\":1}\n");
	cut_at(&g, 2048 * KIB);
	y = gold_of(&g);
	assert_int_equal(y.files, x.files);
	assert_int_equal(y.rows, x.rows + 1);
	assert_int_equal(y.oldest, x.newest);
	assert_true(y.newest > y.oldest);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	rig_drop(&g);
}

/* Goal: a cut holds a small part of what a partition's states are, and gives
 * all of it back. */
UNUSED static void
test_bounded(void **state)
{
	uint64_t seed = 99;
	struct rig g;

	(void)state;
	rig_make(&g, keys_sql);
	for (int i = 0; i < 10; i++)
		append_keys(&g, 3000, 30000, &seed);
	cut_at(&g, 0);
	assert_int_equal(gold_of(&g).files, 1);
	append_keys(&g, 300, 30000, &seed);
	cut_at(&g, 2048 * KIB);
	assert_true(gold_of(&g).files >= 16);
	/* Its states are about 6 MiB. */
	assert_true(tn_budget_peak() < 3 << 20);
	assert_int_equal(tn_budget_used(TN_BUDGET_CUT), 0);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	rig_drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untouched),
#ifndef __SANITIZE_THREAD__              /* One thread's sums, minutes of it. */
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_bounded),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

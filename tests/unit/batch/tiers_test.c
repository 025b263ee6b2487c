/* The rule of compaction over sizes alone: how many files stand, and how often
 * a byte is written. */
#include "test.h"

#include <stdlib.h>

#include "batch/batch_int.h"

#define FULL (UINT64_C(128) << 20)
#define FOOTER 3000              /* What a file costs beside its rows. */

static struct tn_catalog_file files[400];

struct outcome {
	uint32_t most;               /* Files at any time, full ones apart. */
	uint32_t full, young;        /* At the end. */
	double written;              /* Bytes, for each that came. */
};

/* Add one file of ${bytes} rows' bytes; merge as the rule says. */
static uint64_t
add(uint32_t *n, const struct tn_batch_tiers *t, uint64_t bytes)
{
	uint32_t from, count;
	uint64_t written = 0;

	files[(*n)++].bytes = bytes + FOOTER;
	while (tn_batch_pick(t, files, *n, &from, &count)) {
		uint64_t sum = FOOTER;
		uint32_t k = from;
		assert_true(count >= 2 && from + count <= *n);
		for (uint32_t i = from; i < from + count; i++) {
			assert_true(files[i].bytes < t->full_bytes);
			sum += files[i].bytes - FOOTER;
		}
		written += sum;
		/* As the writer does: full ones, then what is left. */
		for (; sum >= t->full_bytes; sum -= t->full_bytes)
			files[k++].bytes = t->full_bytes;
		if (sum > FOOTER)
			files[k++].bytes = sum;
		for (uint32_t i = from + count; i < *n; i++)
			files[k++] = files[i];
		assert_true(k < *n);
		*n = k;
	}
	return written;
}

static struct outcome
run(uint32_t cuts, uint32_t young_max, uint64_t bytes, bool even)
{
	struct tn_batch_tiers t = { .full_bytes = FULL,
	    .young_max = young_max };
	struct outcome o = { 0, 0, 0, 0 };
	double came = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < cuts; i++) {
		uint64_t one = even ? bytes : (uint64_t)random() %
		    (2 * bytes);
		uint32_t young;
		o.written += (double)add(&n, &t, one);
		came += (double)one;
		young = tn_batch_young(&t, files, n);
		o.most = young > o.most ? young : o.most;
	}
	o.young = tn_batch_young(&t, files, n);
	o.full = n - o.young;
	o.written /= came + FOOTER;
	return o;
}

/* Goal: never more young files than the setting says, full ones as many as
 * there are times 128 MiB, and a byte is written a logarithm of times. */
static void
test_amplification(void **state)
{
	static const struct {
		uint32_t cuts, young_max;
		uint64_t bytes;
		double most;
	} cases[] = {
		{ 100, 8, 20000, 3.2 },       /* log2: 6.6 */
		{ 1440, 8, 20000, 6.0 },      /* 10.5 */
		{ 14400, 8, 5000, 12.0 },     /* 13.8 */
		{ 86400, 8, 1000, 22.0 },     /* A day of seconds. */
		{ 1440, 8, 2000000, 6.0 },    /* 2.9 GB a day: 21 full ones. */
		{ 1440, 1, 20000, 722.0 },    /* One file, always anew. */
		{ 1440, 32, 20000, 3.0 },
	};

	(void)state;
	srandom(1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (int even = 0; even < 2; even++) {
			struct outcome o = run(cases[i].cuts,
			    cases[i].young_max, cases[i].bytes, even);
			uint64_t all = cases[i].cuts * cases[i].bytes;
			print_message("%u cuts of %llu bytes, %u young: "
			    "written %.2f times, most %u, full %u\n",
			    cases[i].cuts,
			    (unsigned long long)cases[i].bytes,
			    cases[i].young_max, o.written, o.most, o.full);
			assert_true(o.most <= cases[i].young_max);
			assert_true(o.full <= all / FULL + 1);
			assert_true(o.written <= cases[i].most);
		}
}

/* Goal: a settled partition becomes one file and what is full; one that has a
 * single young file is left alone, and so are full ones. */
static void
test_settle(void **state)
{
	struct tn_batch_tiers t = { .full_bytes = FULL, .young_max = 8,
	    .settle = true };
	uint32_t from = 9, count = 9;

	(void)state;
	files[0].bytes = files[1].bytes = FULL;
	files[2].bytes = 5;
	assert_false(tn_batch_pick(&t, files, 3, &from, &count));
	files[3].bytes = 7;
	assert_true(tn_batch_pick(&t, files, 4, &from, &count));
	assert_int_equal(from, 2);
	assert_int_equal(count, 2);
	t.settle = false;
	assert_false(tn_batch_pick(&t, files, 4, &from, &count));
	assert_false(tn_batch_pick(&t, files, 0, &from, &count));
}

/* Goal: young files that full ones have shut in are merged when they are
 * neighbours, and no choice reaches over a full one. */
static void
test_shut_in(void **state)
{
	struct tn_batch_tiers t = { .full_bytes = 100, .young_max = 2 };
	uint32_t from = 0, count = 0;

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		files[i].bytes = i % 2 ? 100 : 10;
	assert_false(tn_batch_pick(&t, files, 8, &from, &count));
	files[1].bytes = 10;
	assert_true(tn_batch_pick(&t, files, 8, &from, &count));
	assert_int_equal(from, 0);
	assert_int_equal(count, 3);
	/* One that becomes full takes all that stand before it. */
	for (uint32_t i = 0; i < 8; i++)
		files[i].bytes = i == 0 ? 100 : i == 1 ? 99 : 30;
	assert_true(tn_batch_pick(&t, files, 8, &from, &count));
	assert_int_equal(from, 1);
	assert_int_equal(count, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amplification),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_shut_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Holistic states that outgrow their limit: they forget their values, say so,
 * and the answers found again are those of folds that kept everything. */
#include "exec/exec.h"
#include "fold_help.h"

#include <math.h>

#define VIEW HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT k, " \
    "date_bin('1 hour', t, 'epoch') AS h, count(*) AS n, " \
    "count(DISTINCT s || i4::text) AS a0, count(DISTINCT i8) AS a1, " \
    "count(DISTINCT n) FILTER (WHERE i4 > 0) AS a2, " \
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY f8) AS a3, " \
    "count(DISTINCT 100 / i4) FILTER (WHERE i4 <> 0) AS a4, " \
    "percentile_cont(1) WITHIN GROUP (ORDER BY i2) AS a5, sum(i4) AS a6 " \
    "FROM e WHERE k < 6 GROUP BY k, h;"
#define TOTAL HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT " \
    "count(DISTINCT i8) AS a, percentile_cont(0.5) WITHIN GROUP " \
    "(ORDER BY f8) AS p, count(DISTINCT s) AS few FROM e;"
#define PARTS 6
#define ROWS 700

struct house {
	struct tn_sql_pipeline *pipeline;
	const struct tn_schema *schema;
	struct tn_exec_program *whole;   /* No limit. */
	struct tn_exec_program *small;   /* state_max */
	struct tn_batch *in[PARTS];
};

static void
house_init(struct house *h, const char *sql, size_t state_max, uint64_t *r)
{
	const struct tn_sql_select *s;

	h->pipeline = help_pipeline(sql);
	s = tn_sql_view(h->pipeline, tn_slice_of("v"))->select;
	h->schema = tn_sql_table(h->pipeline, tn_slice_of("e"))->schema;
	h->whole = tn_exec_program_new(s);
	h->small = tn_exec_program_new(s);
	tn_exec_program_state_max(h->small, state_max);
	for (int i = 0; i < PARTS; i++) {
		struct tn_builder *b = tn_record_builder_new(h->schema, ROWS);

		/* Wider values than help_batch: sets that grow. */
		for (uint32_t k = 0; k < ROWS; k++) {
			double f = (double)(help_random(r) % 400) / 8 - 9;

			help_row(b, r, false);
			tn_record_builder_again(b, 5);
			tn_record_builder_i64(b, 5,
			    (int64_t)(help_random(r) % 900) - 50);
			tn_record_builder_again(b, 7);
			if (help_random(r) % 11 == 0)
				tn_record_builder_null(b, 7);
			else
				tn_record_builder_f64(b, 7, f);
			tn_record_builder_row_end(b);
		}
		h->in[i] = tn_record_builder_take(b);
		tn_record_builder_free(b);
	}
}

static void
house_fini(struct house *h)
{
	for (int i = 0; i < PARTS; i++)
		tn_record_batch_unref(h->in[i]);
	tn_exec_program_free(h->whole);
	tn_exec_program_free(h->small);
	tn_sql_pipeline_free(h->pipeline);
}

static void
apply(struct tn_exec_fold *f, const struct house *h, int part)
{
	tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = h->in[part],
	    .offset = (uint64_t)part * ROWS }, NULL, NULL);
}

static struct tn_exec_fold *
fold_all(const struct house *h, const struct tn_exec_program *p, int parts)
{
	struct tn_exec_fold *f = tn_exec_fold_new(p);

	for (int i = 0; i < parts; i++)
		apply(f, h, i);
	return f;
}

static char *
result(const struct tn_exec_fold *f)
{
	struct tn_batch *b = tn_exec_fold_finish(f, NULL);
	char *text = help_dump(b, false);

	tn_record_batch_unref(b);
	return text;
}

static char *
states(const struct tn_exec_fold *f)
{
	struct tn_batch *b = tn_exec_fold_save(f);
	char *text = help_dump(b, false);

	tn_record_batch_unref(b);
	return text;
}

static void
same_text(char *a, char *b)
{
	assert_string_equal(a, b);
	tn_free(a);
	tn_free(b);
}

static struct tn_exec_fold *
reload(const struct tn_exec_program *p, struct tn_exec_fold *f)
{
	struct tn_batch *b = tn_exec_fold_save(f);
	struct tn_exec_fold *loaded = NULL;

	assert_int_equal(tn_exec_fold_load(p, b, &loaded), TN_OK);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	return loaded;
}

/* ---- passes ---------------------------------------------------------- */

struct feed {
	const struct house *h;
	int parts;
	int passes;
	int full;
};

static enum tn_status
feed_rows(void *arg, struct tn_exec_fold *exact, struct tn_diag *d)
{
	struct feed *f = arg;

	(void)d;
	f->passes++;
	for (int i = 0; i < f->parts; i++) {
		apply(exact, f->h, i);
		if (!tn_exec_fold_full(exact))
			continue;
		f->full++;
		return TN_ELIMIT;
	}
	return TN_OK;
}

static enum tn_status
settle(struct tn_exec_fold *f, struct feed *feed, size_t memory,
    struct tn_diag *d)
{
	struct tn_exec_settle_opts o = { .pass = feed_rows, .arg = feed,
	    .memory_max = memory };

	return tn_exec_fold_settle(f, &o, d);
}

static void
must_settle(const struct house *h, struct tn_exec_fold *f, int parts,
    size_t memory)
{
	struct feed feed = { h, parts, 0, 0 };
	struct tn_diag d = { .line = 0 };

	if (settle(f, &feed, memory, &d) != TN_OK)
		fail_msg("%s", d.message);
	assert_int_equal(tn_exec_fold_unknown(f), 0);
}

/* ---- tests ----------------------------------------------------------- */

/* Goal: at every limit the settled answers are those of a fold without one;
 * at a limit that nothing reaches nothing is unknown. */
static void
test_every_limit(void **state)
{
	uint64_t r = help_seed();
	uint32_t before = UINT32_MAX;

	(void)state;
	for (size_t max = 256; max < 200000; max = max * 5 / 3) {
		struct house h;
		struct tn_exec_fold *whole, *small;
		uint64_t again = r;
		uint32_t unknown;

		house_init(&h, VIEW, max, &again);
		whole = fold_all(&h, h.whole, PARTS);
		small = fold_all(&h, h.small, PARTS);
		unknown = tn_exec_fold_unknown(small);
		assert_true(unknown <= before);
		before = unknown;
		assert_int_equal(tn_exec_fold_unknown(whole), 0);
		if (unknown > 0)
			assert_true(tn_exec_fold_bytes(small) <
			    tn_exec_fold_bytes(whole));
		must_settle(&h, small, PARTS, 0);
		same_text(result(small), result(whole));
		tn_exec_fold_free(whole);
		tn_exec_fold_free(small);
		house_fini(&h);
	}
	assert_int_equal(before, 0);
}

/* Goal: whether a state spills hangs on its rows, not on the split, the order
 * of merging, saving or cloning on the way; so do its saved bytes. */
static void
one_split(const struct house *h, uint64_t *r)
{
	struct tn_exec_fold *part[PARTS], *all = fold_all(h, h->small, PARTS);
	struct tn_exec_fold *whole = fold_all(h, h->whole, PARTS);
	int n = 1 + (int)(help_random(r) % PARTS);

	for (int i = 0; i < n; i++)
		part[i] = tn_exec_fold_new(h->small);
	for (int i = 0; i < PARTS; i++)
		apply(part[help_random(r) % (uint64_t)n], h, i);
	while (n > 1) {
		uint64_t a = help_random(r) % (uint64_t)n;
		uint64_t b = (a + 1 + help_random(r) % (uint64_t)(n - 1)) %
		    (uint64_t)n;
		struct tn_exec_fold *c;

		if (help_random(r) % 3 == 0)
			part[a] = reload(h->small, part[a]);
		if (help_random(r) % 3 == 0) {
			c = tn_exec_fold_clone(part[b], NULL, 0);
			tn_exec_fold_free(part[b]);
			part[b] = c;
		}
		tn_exec_fold_merge(part[a], part[b]);
		tn_exec_fold_free(part[b]);
		part[b] = part[--n];
	}
	same_text(states(part[0]), states(all));
	must_settle(h, part[0], PARTS, 0);
	same_text(result(part[0]), result(whole));
	tn_exec_fold_free(part[0]);
	tn_exec_fold_free(all);
	tn_exec_fold_free(whole);
}

static void
test_merge_laws(void **state)
{
	uint64_t r = help_seed();

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct house h;

		house_init(&h, i % 4 == 0 ? TOTAL : VIEW,
		    (size_t)1 << (8 + help_random(&r) % 7), &r);
		one_split(&h, &r);
		house_fini(&h);
	}
}

/* Goal: an answer that is known stays so in copies, saved states and merges
 * with nothing, and is forgotten with the next row or state. */
static void
test_known(void **state)
{
	uint64_t r = help_seed();
	struct house h;
	struct tn_exec_fold *f, *g, *want;

	(void)state;
	house_init(&h, TOTAL, 256, &r);
	want = fold_all(&h, h.whole, 3);
	f = fold_all(&h, h.small, 3);
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	must_settle(&h, f, 3, 0);
	f = reload(h.small, f);
	g = tn_exec_fold_clone(f, NULL, 0);
	tn_exec_fold_free(f);
	f = tn_exec_fold_new(h.small);
	tn_exec_fold_merge(g, f);               /* No rows. */
	tn_exec_fold_merge(f, g);
	assert_int_equal(tn_exec_fold_unknown(f), 0);
	assert_int_equal(tn_exec_fold_unknown(g), 0);
	same_text(result(f), result(want));
	/* Rows, and states of rows. */
	apply(f, &h, 3);
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	tn_exec_fold_free(f);
	f = fold_all(&h, h.small, 1);
	tn_exec_fold_merge(f, g);
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	tn_exec_fold_merge(g, f);
	assert_int_equal(tn_exec_fold_unknown(g), 1);
	tn_exec_fold_free(f);
	tn_exec_fold_free(g);
	tn_exec_fold_free(want);
	house_fini(&h);
}

/* Goal: states saved under a larger limit load as spilled ones whose answer is
 * known; those saved spilled stay so under a larger one. */
static void
test_other_limit(void **state)
{
	uint64_t r = help_seed();
	struct house h;
	struct tn_exec_fold *f, *want;

	(void)state;
	house_init(&h, TOTAL, 256, &r);
	want = fold_all(&h, h.whole, PARTS);
	f = reload(h.small, fold_all(&h, h.whole, PARTS));
	assert_int_equal(tn_exec_fold_unknown(f), 0);
	assert_true(tn_exec_fold_bytes(f) + 1000 < tn_exec_fold_bytes(want));
	same_text(result(f), result(want));
	f = reload(h.whole, f);
	assert_int_equal(tn_exec_fold_unknown(f), 0);
	apply(f, &h, 0);
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	tn_exec_fold_free(f);
	tn_exec_fold_free(want);
	house_fini(&h);
}

/* Goal: with little memory many groups are settled in several passes and a
 * large set in parts; a percentile that does not fit is refused in words, and
 * so is a set of more parts than allowed. */
static void
test_memory(void **state)
{
	uint64_t r = help_seed();
	struct tn_diag d = { .line = 0 };
	struct feed feed;
	struct house h;
	struct tn_exec_fold *f, *want;
	enum tn_status st;

	(void)state;
	house_init(&h, VIEW, 256, &r);
	want = fold_all(&h, h.whole, PARTS);
	for (size_t memory = 20000; memory < 2000000; memory *= 3) {
		feed = (struct feed){ &h, PARTS, 0, 0 };
		f = fold_all(&h, h.small, PARTS);
		st = settle(f, &feed, memory, &d);
		if (st != TN_OK)
			fail_msg("%s", d.message);
		same_text(result(f), result(want));
		if (memory == 20000)
			assert_true(feed.passes > 4 && feed.full > 1);
		tn_exec_fold_free(f);
	}
	tn_exec_fold_free(want);
	house_fini(&h);
	/* One group of about 900 values: 10 KiB do in parts, 800 do not. */
	house_init(&h, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT "
	    "count(DISTINCT i8) AS a FROM e;", 256, &r);
	want = fold_all(&h, h.whole, PARTS);
	f = fold_all(&h, h.small, PARTS);
	feed = (struct feed){ &h, PARTS, 0, 0 };
	assert_int_equal(settle(f, &feed, 400, &d), TN_ELIMIT);
	assert_string_equal(d.code, "group_too_large");
	assert_non_null(strstr(d.hint, "approx_count_distinct"));
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	feed = (struct feed){ &h, PARTS, 0, 0 };
	assert_int_equal(settle(f, &feed, 5000, &d), TN_OK);
	assert_true(feed.passes > 4);
	same_text(result(f), result(want));
	tn_exec_fold_free(f);
	tn_exec_fold_free(want);
	house_fini(&h);
	house_init(&h, TOTAL, 256, &r);
	f = fold_all(&h, h.small, PARTS);
	feed = (struct feed){ &h, PARTS, 0, 0 };
	assert_int_equal(settle(f, &feed, 5000, &d), TN_ELIMIT);
	assert_non_null(strstr(d.message, "percentile_cont"));
	assert_non_null(strstr(d.hint, "query_memory"));
	tn_exec_fold_free(f);
	house_fini(&h);
}

/* Goal: rows that are gone are told, not counted as none; a reader's failure
 * is passed on. */
static enum tn_status
fail_pass(void *arg, struct tn_exec_fold *exact, struct tn_diag *d)
{
	(void)arg;
	(void)exact;
	(void)d;
	return TN_EIO;
}

static void
test_failures(void **state)
{
	uint64_t r = help_seed();
	struct tn_exec_settle_opts o = { .pass = fail_pass };
	struct tn_diag d = { .line = 0 };
	struct feed feed;
	struct house h;
	struct tn_exec_fold *f;

	(void)state;
	house_init(&h, TOTAL, 256, &r);
	f = fold_all(&h, h.small, PARTS);
	feed = (struct feed){ &h, 0, 0, 0 };
	assert_int_equal(settle(f, &feed, 0, &d), TN_ECORRUPT);
	assert_string_equal(d.code, "rows_missing");
	assert_int_equal(tn_exec_fold_settle(f, &o, &d), TN_EIO);
	assert_int_equal(tn_exec_fold_unknown(f), 1);
	tn_exec_fold_free(f);
	house_fini(&h);
}

/* Goal: the time range is that of the groups; none without a bucket. */
static void
test_times(void **state)
{
	uint64_t r = help_seed();
	int64_t lo = 0, hi = 0;
	struct house h;
	struct tn_exec_fold *f;

	(void)state;
	house_init(&h, VIEW, 256, &r);
	f = tn_exec_fold_new(h.small);
	assert_false(tn_exec_fold_times(f, &lo, &hi));
	apply(f, &h, 0);
	assert_true(tn_exec_fold_times(f, &lo, &hi));
	assert_true(lo >= INT64_C(1771999200000000) && lo < hi &&
	    hi <= INT64_C(1772100000000000));
	assert_int_equal(lo % INT64_C(3600000000), 0);
	tn_exec_fold_free(f);
	house_fini(&h);
	house_init(&h, TOTAL, 256, &r);
	f = fold_all(&h, h.small, 1);
	assert_false(tn_exec_fold_times(f, &lo, &hi));
	tn_exec_fold_free(f);
	house_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_limit),
		cmocka_unit_test(test_merge_laws),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_other_limit),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

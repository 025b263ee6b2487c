/* Fast ways of queries against the plain ones: dictionary columns, groups by
 * codes, values once a batch, bags of percentiles, times before values. */
#include <math.h>

#include "exec/exec.h"
#include "fold_help.h"

#define ROWS 12000u
#define TEXT_COLUMN 1u
#define SMALL 100u               /* Rows too few for codes. */

/* Column s as a dictionary: one text twice, and one that no row has. The
 * batch borrows the rest of ${b}. */
static struct tn_batch *
with_dict(const struct tn_batch *b, uint64_t *r)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_column *s = &b->columns[TEXT_COLUMN];
	struct tn_column *cols = tn_arena_alloc(a,
	    b->schema->count * sizeof *cols);
	struct tn_column *dict = tn_arena_zalloc(a, sizeof *dict);
	uint32_t *codes = tn_arena_zalloc(a, (b->rows + 1ul) * 4);
	uint32_t *offsets = tn_arena_zalloc(a, 64 * 4);
	uint8_t *bytes = tn_arena_zalloc(a, 4096);
	uint32_t n = 0;

	memcpy(cols, b->columns, b->schema->count * sizeof *cols);
	*dict = (struct tn_column){ .type = s->type, .offsets = offsets,
	    .bytes = bytes };
	for (uint32_t i = 0; i < b->rows; i++) {
		struct tn_slice t = tn_column_text(s, i);
		uint32_t k = n > 0 && (help_random(r) & 1);

		if (!tn_column_valid(s, i))
			continue;
		while (k < n && !tn_slice_eq((struct tn_slice){ bytes +
		    offsets[k], offsets[k + 1] - offsets[k] }, t))
			k++;
		codes[i] = k;
		if (k < n)
			continue;
		if (t.n > 0)
			memcpy(bytes + offsets[n], t.p, t.n);
		offsets[n + 1] = offsets[n] + (uint32_t)t.n;
		n++;
	}
	memcpy(bytes + offsets[n], "nobody", 6);
	offsets[n + 1] = offsets[n] + 6;
	dict->rows = n + 1;
	cols[TEXT_COLUMN].dict = dict;
	cols[TEXT_COLUMN].values = codes;
	cols[TEXT_COLUMN].offsets = NULL;
	cols[TEXT_COLUMN].bytes = NULL;
	return tn_record_batch_new(a, b->schema, b->rows, cols);
}

/* The view's way: a fold of small plain batches. */
static char *
by_fold(const struct tn_sql_select *s, struct tn_batch *const *in,
    uint32_t count)
{
	struct tn_exec_program *p = tn_exec_program_new(s);
	struct tn_exec_fold *f = tn_exec_fold_new(p);
	uint32_t rows[SMALL];
	uint64_t offset = 0;
	struct tn_batch *b;
	char *text;

	for (uint32_t k = 0; k < count; k++)
		for (uint32_t at = 0; at < in[k]->rows; at += SMALL) {
			uint32_t n = 0;

			for (; n < SMALL && at + n < in[k]->rows; n++)
				rows[n] = at + n;
			b = tn_record_batch_take(in[k], rows, n);
			tn_exec_fold_apply(f, &(struct tn_exec_rows){
			    .batch = b, .offset = offset + at }, NULL, NULL);
			tn_record_batch_unref(b);
			if (at + n == in[k]->rows)
				offset += in[k]->rows;
		}
	b = tn_exec_fold_finish(f, NULL);
	text = help_dump(b, true);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	tn_exec_program_free(p);
	return text;
}

static char *
by_query(const struct tn_sql_select *s, struct tn_batch *const *in,
    uint32_t count)
{
	struct tn_exec_query *q = tn_exec_query_new(s, NULL);
	struct tn_diag d = { .line = 0 };
	struct tn_batch *b = NULL;
	uint64_t offset = 0;
	char *text;

	for (uint32_t k = 0; k < count; k++) {
		if (tn_exec_query_push(q, &(struct tn_exec_rows){
		    .batch = in[k], .offset = offset }, NULL, &d) != TN_OK)
			fail_msg("%s", d.message);
		offset += in[k]->rows;
	}
	if (tn_exec_query_finish(q, &b, NULL, &d) != TN_OK)
		fail_msg("%s", d.message);
	text = help_dump(b, true);
	tn_record_batch_unref(b);
	tn_exec_query_free(q);
	return text;
}

/* Groups that fit codes, that do not, that stop to fit on the way. */
static const char *const groups[] = { "s", "s, k", "b, s", "k, d", "s, i4",
    "s, d", "t", "f8", "s, k, b, i2", "s, k, b, i2, u",
    "date_bin('1 day', t, 'epoch'), s", "upper(s)", "" };
static const char *const aggs[] = {
	"count(*), count(s), count(DISTINCT s), count(DISTINCT i8)",
	"count(DISTINCT s) FILTER (WHERE b), count(DISTINCT k), sum(i4)",
	"percentile_cont(0.5) WITHIN GROUP (ORDER BY f8), "
	    "percentile_cont(0.95) WITHIN GROUP (ORDER BY f8), "
	    "percentile_cont(0) WITHIN GROUP (ORDER BY f4)",
	"percentile_cont(0.5) WITHIN GROUP (ORDER BY f8) FILTER (WHERE b), "
	    "percentile_cont(0.95) WITHIN GROUP (ORDER BY f8)",
	"last(s, t), first(i8, t), last(f8, d), first(s, tm), last(n, t) "
	    "FILTER (WHERE k < 4), last(s, f8), max(s), arg_max(s, t), arg_min(s, k)",
};

/* Goal: whatever way rows go, the answer is that of plain values in small
 * batches. */
static void
test_same_answers(void **state)
{
	uint64_t r = help_seed();
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_batch *plain[3], *dict[3];
	uint32_t sizes[3] = { ROWS, 300, 9000 };

	(void)state;
	for (int k = 0; k < 3; k++) {
		plain[k] = help_batch(schema, &r, sizes[k], k == 1);
		dict[k] = with_dict(plain[k], &r);
	}
	for (size_t g = 0; g < TN_COUNT(groups); g++)
		for (size_t k = 0; k < TN_COUNT(aggs); k++) {
			struct tn_arena *a = tn_arena_new(4096);
			bool all = groups[g][0] == '\0';
			const struct tn_sql_select *s = help_query(p, a,
			    tn_arena_printf(a, "SELECT %s%s%s FROM e WHERE "
			    "i2 IS NULL OR i2 < 10%s%s", groups[g],
			    all ? "" : ", ", aggs[k],
			    all ? "" : " GROUP BY ", groups[g]));
			char *want = by_fold(s, plain, 3);
			char *got = by_query(s, dict, 3);
			char *also = by_query(s, plain, 3);

			if (strcmp(want, got) != 0 ||
			    strcmp(want, also) != 0)
				fail_msg("GROUP BY %s: %s\n%.2000s\nwanted\n"
				    "%.2000s", groups[g], aggs[k],
				    strcmp(want, got) != 0 ? got : also,
				    want);
			tn_free(want);
			tn_free(got);
			tn_free(also);
			tn_arena_free(a);
		}
	for (int k = 0; k < 3; k++) {
		tn_record_batch_unref(dict[k]);
		tn_record_batch_unref(plain[k]);
	}
	tn_sql_pipeline_free(p);
}

/* Goal: percentiles of many values in a group, where a bag becomes a set on
 * the way, are those of sorting them. */
static void
test_large_bags(void **state)
{
	static const uint32_t counts[] = { 1, 2, 16, 17, 4095, 4096, 4097,
	    20000 };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a, "SELECT "
	    "percentile_cont(0.25) WITHIN GROUP (ORDER BY f8), "
	    "percentile_cont(1) WITHIN GROUP (ORDER BY f8) FROM e");

	(void)state;
	for (size_t k = 0; k < TN_COUNT(counts); k++) {
		uint32_t n = counts[k];
		struct tn_builder *b = tn_record_builder_new(schema, n);
		struct tn_batch *in;
		char *got, want[80];

		/* 0 .. n - 1 in a scattered order; 7919 divides none. */
		for (uint32_t i = 0; i < n; i++) {
			tn_record_builder_f64(b, 7, (double)(i * UINT64_C(
			    7919) % n) - 100);
			tn_record_builder_row_end(b);
		}
		in = tn_record_builder_take(b);
		got = by_query(s, &in, 1);
		(void)snprintf(want, sizeof want, "%.9e|%.9e\n",
		    (n - 1) * 0.25 - 100, (double)n - 101);
		assert_string_equal(got, want);
		tn_free(got);
		tn_record_batch_unref(in);
		tn_record_builder_free(b);
	}
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* The answers of the three ways to ${sql} over plain batches and the same with
 * a dictionary. */
static void
same_three(struct tn_sql_pipeline *p, const char *sql,
    struct tn_batch *const *plain, struct tn_batch *const *dict,
    uint32_t count)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a, sql);
	char *want = by_fold(s, plain, count);
	char *got = by_query(s, dict, count);
	char *also = by_query(s, plain, count);

	if (strcmp(want, got) != 0 || strcmp(want, also) != 0)
		fail_msg("%s\n%.2000s\nwanted\n%.2000s", sql,
		    strcmp(want, got) != 0 ? got : also, want);
	tn_free(want);
	tn_free(got);
	tn_free(also);
	tn_arena_free(a);
}

/* Goal: many fractions of the same values, asked for in any order, are right
 * however few of the values differ. */
static void
test_fractions(void **state)
{
	static const uint32_t different[] = { 1, 2, 3, 30, 5000 };
	uint64_t r = help_seed();
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;

	(void)state;
	for (size_t d = 0; d < TN_COUNT(different); d++) {
		struct tn_builder *b = tn_record_builder_new(schema, 9000);
		struct tn_batch *in;

		/* Groups of 1, 2, 3, ... values. */
		for (uint32_t i = 0, k = 0, left = 1; i < 9000; i++) {
			uint64_t v = help_random(&r) % different[d];

			tn_record_builder_i64(b, 0, k);
			tn_record_builder_f64(b, 7, v == 7 ? (double)NAN :
			    v == 8 ? -0.0 : ((double)v - 9) / 10);
			tn_record_builder_row_end(b);
			if (--left > 0)
				continue;
			k++;
			left = k + 1;
		}
		in = tn_record_builder_take(b);
		same_three(p, "SELECT k, "
		    "percentile_cont(0.5) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(0.95) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(0.05) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(0.25) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(1) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(0) WITHIN GROUP (ORDER BY f8), "
		    "percentile_cont(0.999) WITHIN GROUP (ORDER BY f8) "
		    "FROM e GROUP BY k", &in, &in, 1);
		tn_record_batch_unref(in);
		tn_record_builder_free(b);
	}
	tn_sql_pipeline_free(p);
}

/* Rows of 40 groups; times are few and mostly go on, some are null. Texts of
 * up to ${longest} bytes, some null. */
static struct tn_batch *
timed_texts(const struct tn_schema *schema, uint64_t *r, uint32_t n,
    uint32_t longest)
{
	struct tn_builder *b = tn_record_builder_new(schema, n);
	struct tn_batch *out;
	char text[64];

	for (uint32_t i = 0; i < n; i++) {
		int len = snprintf(text, sizeof text, "%02u-%.*s",
		    (unsigned)(help_random(r) % 50), (int)(longest - 3),
		    "of the same length and longer than a word");

		tn_record_builder_i64(b, 0, (int64_t)(help_random(r) % 40));
		if (help_random(r) % 20 != 0)
			tn_record_builder_text(b, 1, text, (size_t)len);
		tn_record_builder_i64(b, 5, i / 40);
		if (help_random(r) % 30 != 0)
			tn_record_builder_i64(b, 10, (int64_t)(i / 100 +
			    help_random(r) % 3));
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

/* Goal: the first and last text by time are right whether texts are short, long
 * or of both kinds one after the other, in dictionaries and plain. */
static void
test_recent(void **state)
{
	static const uint32_t longest[4][3] = { { 8, 12, 5 }, { 30, 31, 29 },
	    { 9, 33, 12 }, { 35, 12, 40 } };
	uint64_t r = help_seed();
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;

	(void)state;
	for (size_t k = 0; k < TN_COUNT(longest); k++) {
		struct tn_batch *plain[3], *dict[3], *mixed[3];

		for (int i = 0; i < 3; i++) {
			plain[i] = timed_texts(schema, &r, 9000,
			    longest[k][i]);
			dict[i] = with_dict(plain[i], &r);
			mixed[i] = i == 1 ? plain[i] : dict[i];
		}
		same_three(p, "SELECT k, max(t), last(s, t), first(s, t), "
		    "min(t), max(i8), max(t) FILTER (WHERE i8 % 2 = 0), "
		    "last(s, t) FILTER (WHERE i8 % 3 = 0) FROM e GROUP BY k",
		    plain, dict, 3);
		same_three(p, "SELECT last(s, t), first(s, t) FROM e "
		    "WHERE k <> 3", plain, mixed, 3);
		for (int i = 0; i < 3; i++) {
			tn_record_batch_unref(dict[i]);
			tn_record_batch_unref(plain[i]);
		}
	}
	tn_sql_pipeline_free(p);
}

/* Goal: groups of more whole numbers than there are codes are right, where
 * they come one after the other (codes begin anew) and where they do not. */
static void
test_codes_anew(void **state)
{
	uint64_t r = help_seed();
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_batch *plain[2], *dict[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		plain[i] = timed_texts(schema, &r, 70000, 10);
		dict[i] = with_dict(plain[i], &r);
	}
	same_three(p, "SELECT i8, s, count(*) FROM e GROUP BY i8, s", plain,
	    dict, 2);
	same_three(p, "SELECT s, i8 / 40 AS i, count(*), max(i8) FROM e "
	    "GROUP BY s, i", plain, dict, 2);
	same_three(p, "SELECT i8 * 977 % 601 AS i, count(*) FROM e GROUP BY i",
	    plain, dict, 2);
	for (int i = 0; i < 2; i++) {
		tn_record_batch_unref(dict[i]);
		tn_record_batch_unref(plain[i]);
	}
	tn_sql_pipeline_free(p);
}

/* Goal: a large set of long texts, some twice, is counted exactly while it
 * grows. */
static void
test_large_set(void **state)
{
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a,
	    "SELECT count(DISTINCT s), count(DISTINCT i8) FROM e");
	struct tn_builder *b = tn_record_builder_new(schema, 70000);
	struct tn_batch *in;
	char text[64], *got;

	(void)state;
	for (uint32_t i = 0; i < 70000; i++) {
		uint32_t v = i % 60000 * 2654435761u;
		int n = snprintf(text, sizeof text,
		    "%08x-the same tail of all texts", v);

		tn_record_builder_text(b, 1, text, (size_t)n);
		tn_record_builder_i64(b, 5, v / 16);
		tn_record_builder_row_end(b);
	}
	in = tn_record_builder_take(b);
	got = by_query(s, &in, 1);
	assert_memory_equal(got, "60000|", 6);
	tn_free(got);
	got = by_fold(s, &in, 1);
	assert_memory_equal(got, "60000|", 6);
	tn_free(got);
	tn_record_batch_unref(in);
	tn_record_builder_free(b);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: texts that are UUIDs, nearly are, or are not, plain and in
 * dictionaries, are counted as what they are: different texts. */
static void
test_ids(void **state)
{
	static const char *const odd[] = {
		"01234567-89ab-cdef-0123-456789abcdef",
		"01234567-89ab-cdef-0123-456789abcdeF",
		"01234567-89ab-cdef-0123-456789abcdeg",
		"01234567-89ab-cdef-0123-456789abcdeo",
		"01234567-89ab-cdef-0123-456789abcde/",
		"01234567-89ab-cdef-0123-456789abcde:",
		"01234567-89ab-cdef-0123-456789abcde`",
		"01234567-89ab-cdef-0123-456789abcde@",
		"01234567-89ab-cdef-0123-456789abcd\xc3\xa9",
		"01234567-89ab-cdef-0123+456789abcdef",
		"0123456789ab-cdef-0123-456789abcdef0",
		"01234567-89ab-cdef-0123-456789abcdef0",
		"01234567-89ab-cdef-0123-456789abcde",
		"00000000-0000-0000-0000-000000000000", "",
		"ffffffff-ffff-ffff-ffff-ffffffffffff",
		"fffffffe-ffff-ffff-ffff-ffffffffffff",
		"ffffffff-fffe-ffff-ffff-ffffffffffff",
		"ffffffff-ffff-fffe-ffff-ffffffffffff",
		"ffffffff-ffff-ffff-fffe-ffffffffffff",
		"ffffffff-ffff-ffff-ffff-fffeffffffff",
		"ffffffff-ffff-ffff-ffff-fffffffffffe",
	};
	uint64_t r = help_seed();
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_builder *b = tn_record_builder_new(schema, 3000);
	struct tn_batch *in[2];
	char *want, *got;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		const char *s = odd[help_random(&r) % TN_COUNT(odd)];

		tn_record_builder_i64(b, 0, (int64_t)(help_random(&r) % 3));
		if (i % 50 != 0)
			tn_record_builder_text(b, 1, s, strlen(s));
		tn_record_builder_bool(b, 2, help_random(&r) & 1);
		tn_record_builder_row_end(b);
	}
	in[0] = tn_record_builder_take(b);
	in[1] = with_dict(in[0], &r);
	for (int k = 0; k < 2; k++) {
		const struct tn_sql_select *s = help_query(p, a, k == 0 ?
		    "SELECT count(DISTINCT s) FROM e" : "SELECT k, "
		    "count(DISTINCT s) FILTER (WHERE b), count(DISTINCT s) "
		    "FROM e GROUP BY k");
		want = by_fold(s, in, 1);
		got = by_query(s, in, 2);
		assert_string_equal(got, want);
		tn_free(want);
		tn_free(got);
	}
	tn_record_batch_unref(in[1]);
	tn_record_batch_unref(in[0]);
	tn_record_builder_free(b);
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: more UUIDs than a pile holds before it is squeezed are counted
 * exactly, whether nearly all differ or hardly any. */
static void
test_piles(void **state)
{
	static const uint32_t different[] = { 1, 500, 60000, 170000 };
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	const struct tn_schema *schema = tn_sql_table(p,
	    tn_slice_of("e"))->schema;
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = help_query(p, a,
	    "SELECT count(DISTINCT s), count(s) FROM e");

	(void)state;
	for (size_t k = 0; k < TN_COUNT(different); k++) {
		struct tn_builder *b = tn_record_builder_new(schema, 200000);
		char text[64], want[64], *got;
		struct tn_batch *in[2];

		for (uint32_t i = 0; i < 200000; i++) {
			uint32_t v = i % different[k];
			int n = snprintf(text, sizeof text, "%08x-0000-4000-"
			    "a%03x-%012x", v & 0xff, v & 0xfff, v);

			tn_record_builder_text(b, 1, text, (size_t)n);
			tn_record_builder_row_end(b);
		}
		in[0] = in[1] = tn_record_builder_take(b);
		got = by_query(s, in, 2);
		(void)snprintf(want, sizeof want, "%u|400000\n",
		    different[k]);
		assert_string_equal(got, want);
		tn_free(got);
		tn_record_batch_unref(in[0]);
		tn_record_builder_free(b);
	}
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

/* Goal: the hidden columns that a query needs are told. */
static void
test_hidden(void **state)
{
	static const struct { const char *sql; uint8_t lsn, offset; } c[] = {
		{ "SELECT count(*) FROM e", 0, 0 },
		{ "SELECT last(s, t) FROM e", 0, 1 },
		{ "SELECT k, first(s, t) FROM e GROUP BY k", 0, 1 },
		{ "SELECT arg_max(s, t) FROM e", 0, 0 },
		{ "SELECT count(*) FROM e JOIN r ON e.s = r.id", 1, 0 },
	};
	struct tn_sql_pipeline *p = help_pipeline(HELP_STREAM);
	struct tn_arena *a = tn_arena_new(4096);

	(void)state;
	for (size_t k = 0; k < TN_COUNT(c); k++) {
		uint8_t used[2] = { 0, 0 };

		tn_exec_query_hidden(help_query(p, a, c[k].sql), used);
		assert_int_equal(used[0], c[k].lsn);
		assert_int_equal(used[1], c[k].offset);
	}
	tn_arena_free(a);
	tn_sql_pipeline_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_answers),
		cmocka_unit_test(test_large_bags),
		cmocka_unit_test(test_fractions),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_codes_anew),
		cmocka_unit_test(test_large_set),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_piles),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

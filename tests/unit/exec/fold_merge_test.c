/* Merging of folds: whatever the view, the rows and the split of history, the
 * merged states are those of one fold over all rows. Also what copies parts
 * of a fold: changed, clone, pick, split, save and load. */
#include "exec/exec.h"
#include "fold_help.h"

#include <math.h>

static const char *const groups[] = { "k", "s", "b", "i2", "f8", "n", "d",
    "date_bin('1 hour', t, 'epoch')", "u", "date_trunc('day', ts)",
    "k % 3", "upper(s)", "tm", "s || s" };
static const char *const exact[] = { "count(*)", "count(s)", "count(i2)",
    "sum(i2)", "sum(i4)", "sum(n)", "avg(i4)", "avg(n)", "sum(i8)",
    "avg(i8)", "min(i2)", "max(i8)", "min(f8)", "max(f8)", "min(f4)",
    "min(n)", "max(n)", "min(s)", "max(s)", "min(t)", "max(d)", "min(u)",
    "bool_and(b)", "bool_or(b)", "count(DISTINCT s)", "count(DISTINCT f8)",
    "count(DISTINCT n)", "count(DISTINCT i4)", "count(DISTINCT u)",
    "count(DISTINCT t)", "first(s, t)", "last(s, t)", "last(i4, k)",
    "first(f8, d)", "last(n, f8)", "arg_min(s, i4)", "arg_max(s, k)",
    "arg_max(i4, s)", "arg_min(f8, n)", "arg_max(u, d)",
    "approx_count_distinct(s)", "approx_count_distinct(i4)",
    "approx_count_distinct(f8)",
    "percentile_cont(0.9) WITHIN GROUP (ORDER BY f8)",
    "percentile_cont(0) WITHIN GROUP (ORDER BY i4)",
    "count(*) FILTER (WHERE b)", "sum(100 / i4) FILTER (WHERE i4 <> 0)",
    "min(s) FILTER (WHERE k > 2)", "count(DISTINCT s) FILTER (WHERE b)" };
static const char *const floats[] = { "sum(f8)", "avg(f8)", "sum(f4)",
    "avg(f4)", "stddev(f8)", "var_pop(f8)", "variance(i4)",
    "stddev_pop(f8)", "sum(f8) FILTER (WHERE k > 1)" };
static const char *const wheres[] = { "", " WHERE b", " WHERE k < 4",
    " WHERE s <> 'berlin' AND i4 < 100" };

/* A random view over e. */
static void
make_view(struct tn_buf *sql, uint64_t *r, bool with_floats)
{
	uint32_t n_groups = (uint32_t)(help_random(r) % 4);
	uint32_t n_aggs = 1 + (uint32_t)(help_random(r) % 8);

	tn_buf_str(sql, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT ");
	for (uint32_t i = 0; i < n_groups; i++)
		tn_buf_printf(sql, "%s AS g%u, ", groups[help_random(r) %
		    TN_COUNT(groups)], i);
	for (uint32_t i = 0; i < n_aggs; i++) {
		bool f = with_floats && help_random(r) % 2 == 0;

		tn_buf_printf(sql, "%s%s AS a%u", i > 0 ? ", " : "",
		    f ? floats[help_random(r) % TN_COUNT(floats)] :
		    exact[help_random(r) % TN_COUNT(exact)], i);
	}
	tn_buf_printf(sql, " FROM e%s", wheres[help_random(r) %
	    TN_COUNT(wheres)]);
	for (uint32_t i = 0; i < n_groups; i++)
		tn_buf_printf(sql, "%s g%u", i > 0 ? "," : " GROUP BY", i);
	tn_buf_char(sql, ';');
}

struct view {
	struct tn_sql_pipeline *pipeline;
	const struct tn_sql_select *select;
	const struct tn_schema *schema;
	struct tn_exec_program *program;
};

static void
view_init(struct view *v, const char *sql)
{
	v->pipeline = help_pipeline(sql);
	v->select = tn_sql_view(v->pipeline, tn_slice_of("v"))->select;
	v->schema = tn_sql_table(v->pipeline, tn_slice_of("e"))->schema;
	v->program = tn_exec_program_new(v->select);
}

static void
view_fini(struct view *v)
{
	tn_exec_program_free(v->program);
	tn_sql_pipeline_free(v->pipeline);
}

static struct tn_exec_fold *
reload(const struct view *v, struct tn_exec_fold *f)
{
	struct tn_batch *b = tn_exec_fold_save(f);
	struct tn_exec_fold *loaded = NULL;

	assert_int_equal(tn_exec_fold_load(v->program, b, &loaded), TN_OK);
	assert_int_equal(tn_exec_fold_groups(loaded),
	    tn_exec_fold_groups(f));
	tn_exec_fold_free(f);
	tn_record_batch_unref(b);
	return loaded;
}

/* Equal within 1e-9 relative. */
static bool
close_enough(double a, double b)
{
	if (isnan(a) || isnan(b) || isinf(a) || isinf(b))
		return (isnan(a) && isnan(b)) || a == b;
	return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static void
same_result(const struct tn_exec_fold *a, const struct tn_exec_fold *b,
    const char *sql)
{
	struct tn_batch *x = tn_exec_fold_finish(a, NULL);
	struct tn_batch *y = tn_exec_fold_finish(b, NULL);

	assert_int_equal(x->rows, y->rows);
	for (uint32_t c = 0; c < x->schema->count; c++)
		for (uint32_t i = 0; i < x->rows; i++) {
			const struct tn_column *cx = &x->columns[c];
			const struct tn_column *cy = &y->columns[c];
			bool same = tn_column_valid(cx, i) ==
			    tn_column_valid(cy, i);

			if (same && cx->type.id == TN_T_FLOAT8)
				same = close_enough(
				    ((const double *)cx->values)[i],
				    ((const double *)cy->values)[i]);
			else if (same && cx->type.id == TN_T_FLOAT4)
				same = fabsf(((const float *)cx->values)[i] -
				    ((const float *)cy->values)[i]) <= 1e-6f *
				    fabsf(((const float *)cx->values)[i]);
			else
				same = same && tn_record_compare(cx, i, cy,
				    i) == 0;
			if (!same)
				fail_msg("row %u column %u of %s", i, c, sql);
		}
	tn_record_batch_unref(x);
	tn_record_batch_unref(y);
}

static void
same_states(const struct tn_exec_fold *a, const struct tn_exec_fold *b,
    const char *sql)
{
	struct tn_batch *x = tn_exec_fold_save(a);
	struct tn_batch *y = tn_exec_fold_save(b);
	char *tx = help_dump(x, false);
	char *ty = help_dump(y, false);

	if (strcmp(tx, ty) != 0)
		fail_msg("%s\n%s\n---\n%s", sql, tx, ty);
	tn_free(tx);
	tn_free(ty);
	tn_record_batch_unref(x);
	tn_record_batch_unref(y);
}

#define PARTS 5

static void
one_split(uint64_t *r, bool with_floats)
{
	struct tn_buf sql = { .n = 0 };
	struct tn_exec_fold *parts[PARTS];
	struct tn_exec_fold *whole;
	struct tn_exec_fold *merged;
	uint64_t offset = help_random(r) % 1000;
	uint64_t errors[2] = { 0 };
	struct view v;

	make_view(&sql, r, with_floats);
	view_init(&v, tn_buf_cstr(&sql));
	whole = tn_exec_fold_new(v.program);
	for (int i = 0; i < PARTS; i++)
		parts[i] = tn_exec_fold_new(v.program);
	for (uint32_t i = 0; i < 12; i++) {
		uint32_t rows = (uint32_t)(help_random(r) % 60);
		struct tn_batch *b = help_batch(v.schema, r, rows,
		    !with_floats);
		uint8_t skip[60];
		struct tn_exec_rows in = { .batch = b, .offset = offset,
		    .lsn = offset };

		for (uint32_t k = 0; k < 60; k++)
			skip[k] = help_random(r) % 9 == 0;
		if (i % 3 == 0)
			in.skip = skip;
		offset += rows;
		tn_exec_fold_apply(whole, &in, NULL, &errors[0]);
		tn_exec_fold_apply(parts[help_random(r) % PARTS], &in, NULL,
		    &errors[1]);
		tn_record_batch_unref(b);
	}
	assert_int_equal(errors[0], errors[1]);
	for (int i = 0; i < PARTS; i++)
		if (help_random(r) % 2 == 0)
			parts[i] = reload(&v, parts[i]);
	/* ((a b) (c (d e))), in any order of the parts. */
	for (int i = PARTS - 1; i > 0; i--) {
		int j = (int)(help_random(r) % (uint64_t)(i + 1));
		struct tn_exec_fold *t = parts[i];

		parts[i] = parts[j];
		parts[j] = t;
	}
	tn_exec_fold_merge(parts[0], parts[1]);
	tn_exec_fold_merge(parts[3], parts[4]);
	tn_exec_fold_merge(parts[2], parts[3]);
	tn_exec_fold_merge(parts[2], parts[0]);
	merged = parts[2];
	same_result(whole, merged, tn_buf_cstr(&sql));
	if (!with_floats)
		same_states(whole, merged, tn_buf_cstr(&sql));
	for (int i = 0; i < PARTS; i++)
		tn_exec_fold_free(parts[i]);
	tn_exec_fold_free(whole);
	view_fini(&v);
	tn_buf_fini(&sql);
}

/* Goal: random views over random rows, split at random, merged in any order
 * and partly through saved bytes, have byte-equal states. */
static void
test_exact(void **state)
{
	uint64_t r = help_seed();

	(void)state;
	for (int i = 0; i < 300; i++)
		one_split(&r, false);
}

/* Goal: the same with float sums, at 1e-9 relative. */
static void
test_floats(void **state)
{
	uint64_t r = help_seed() + 1;

	(void)state;
	for (int i = 0; i < 200; i++)
		one_split(&r, true);
}

#define VIEW HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT " \
    "date_bin('1 hour', t, 'epoch') AS h, s, count(*) AS n, max(s) AS m, " \
    "count(DISTINCT i4) AS x, last(n, ts) AS l, sum(i4) AS i FROM e " \
    "GROUP BY h, s;"

static void
add(struct tn_exec_fold *f, const struct view *v, uint64_t *r, uint32_t rows,
    uint64_t offset)
{
	struct tn_batch *b = help_batch(v->schema, r, rows, true);
	struct tn_exec_rows in = { .batch = b, .offset = offset };

	tn_exec_fold_apply(f, &in, NULL, NULL);
	tn_record_batch_unref(b);
}

/* Goal: take_changed gives each touched group once with its whole state, so
 * that a copy kept current by it equals the fold. */
static void
test_changed(void **state)
{
	uint64_t r = help_seed() + 2;
	struct tn_exec_fold *f;
	struct tn_exec_fold *c;
	struct view v;

	(void)state;
	view_init(&v, VIEW);
	f = tn_exec_fold_new(v.program);
	add(f, &v, &r, 50, 0);
	c = tn_exec_fold_take_changed(f);
	same_states(f, c, "first");
	tn_exec_fold_free(c);
	c = tn_exec_fold_take_changed(f);
	assert_int_equal(tn_exec_fold_groups(c), 0);
	tn_exec_fold_free(c);
	for (uint32_t i = 0; i < 20; i++) {
		struct tn_exec_fold *before = tn_exec_fold_clone(f, NULL, 0);
		struct tn_exec_fold *tail = tn_exec_fold_new(v.program);
		struct tn_exec_fold *pick;

		add(tail, &v, &r, i, 100 + i * 20);
		tn_exec_fold_merge(f, tail);
		c = tn_exec_fold_take_changed(f);
		assert_int_equal(tn_exec_fold_groups(c),
		    tn_exec_fold_groups(tail));
		pick = tn_exec_fold_pick(f, tail);
		same_states(c, pick, "pick");
		tn_exec_fold_free(pick);
		tn_exec_fold_free(before);
		tn_exec_fold_free(tail);
		tn_exec_fold_free(c);
	}
	tn_exec_fold_free(f);
	view_fini(&v);
}

struct sums {
	struct tn_exec_fold *all;
	const struct view *v;
	char last[32];
	uint32_t parts;
};

static void
part(void *arg, const char *label, struct tn_exec_fold *f)
{
	struct sums *s = arg;

	assert_true(s->last[0] == 0 || strcmp(label, "null") == 0 ||
	    strcmp(s->last, label) < 0);
	snprintf(s->last, sizeof s->last, "%s", label);
	assert_true(tn_exec_fold_groups(f) > 0);
	tn_exec_fold_merge(s->all, f);
	tn_exec_fold_free(f);
	s->parts++;
}

/* Goal: the parts of a split have ordered labels, and are the whole. */
static void
test_split(void **state)
{
	uint64_t r = help_seed() + 3;
	struct sums s = { .parts = 0 };
	struct tn_exec_fold *f;
	struct view v;

	(void)state;
	view_init(&v, VIEW);
	f = tn_exec_fold_new(v.program);
	add(f, &v, &r, 400, 0);
	for (int by_month = 0; by_month < 2; by_month++) {
		s = (struct sums){ .all = tn_exec_fold_new(v.program) };
		tn_exec_fold_split(f, by_month, part, &s);
		same_states(f, s.all, "split");
		assert_int_equal(s.parts, by_month ? 2 : 3);
		tn_exec_fold_free(s.all);
	}
	tn_exec_fold_free(f);
	view_fini(&v);
}

/* Goal: the slices by a hash of the keys are the fold, each group in one of
 * them; those given as not wanted are left out; and where a group goes is what
 * it always was, because it is on disk. (Another help_batch gives others.) */
static void
test_hash_slices(void **state)
{
	static const uint32_t always[4] = { 56, 56, 60, 36 };
	const struct tn_exec_slice none = { 0, 1 }, two[] = { { 3, 4 },
	    { 0, 2 } };
	uint64_t r = 20261121;
	struct tn_exec_fold *f, *sum, *x;
	struct view v;

	(void)state;
	view_init(&v, VIEW);
	f = tn_exec_fold_new(v.program);
	sum = tn_exec_fold_new(v.program);
	add(f, &v, &r, 400, 0);
	for (uint32_t i = 0; i < 4; i++) {
		struct tn_exec_slice s = { i, 4 };
		x = tn_exec_fold_slice(f, &s, NULL, 0);
		assert_int_equal(tn_exec_fold_groups(x), always[i]);
		tn_exec_fold_merge(sum, x);
		tn_exec_fold_free(x);
	}
	same_states(f, sum, "slices by hash");
	assert_int_equal(tn_exec_fold_groups(sum), tn_exec_fold_groups(f));
	x = tn_exec_fold_slice(f, &none, two, 2);
	assert_int_equal(tn_exec_fold_groups(x), always[1]);
	tn_exec_fold_free(x);
	tn_exec_fold_free(sum);
	tn_exec_fold_free(f);
	view_fini(&v);
}

/* Goal: clone with bounds keeps min <= value < max, and not nulls. */
static void
test_bounds(void **state)
{
	uint64_t r = help_seed() + 4;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_exec_bound b[2] = { { .group = 0 }, { .group = 1 } };
	struct tn_exec_fold *f;
	struct tn_exec_fold *c;
	struct tn_batch *out;
	struct tn_batch *all;
	uint32_t want = 0;
	struct view v;

	(void)state;
	view_init(&v, VIEW);
	f = tn_exec_fold_new(v.program);
	add(f, &v, &r, 400, 0);
	b[0].min = tn_exec_parse(a, tn_record_type(TN_T_TIMESTAMPTZ),
	    tn_slice_of("2026-02-25T10:00:00Z"));
	b[0].max = tn_exec_parse(a, tn_record_type(TN_T_TIMESTAMPTZ),
	    tn_slice_of("2026-02-25T12:00:00Z"));
	b[1].min = b[1].max = tn_exec_parse(a, tn_record_type(TN_T_TEXT),
	    tn_slice_of("berlin"));
	b[1].max_inclusive = true;
	c = tn_exec_fold_clone(f, b, 2);
	out = tn_exec_fold_finish(c, NULL);
	all = tn_exec_fold_finish(f, NULL);
	for (uint32_t i = 0; i < all->rows; i++)
		want += tn_record_compare(&all->columns[0], i, b[0].min,
		    0) >= 0 && tn_record_compare(&all->columns[0], i, b[0].max,
		    0) < 0 && tn_record_compare(&all->columns[1], i, b[1].min,
		    0) == 0;
	assert_int_equal(out->rows, want);
	tn_record_batch_unref(all);
	for (uint32_t i = 0; i < out->rows; i++) {
		assert_true(tn_slice_is(tn_column_text(&out->columns[1], i),
		    "berlin"));
		assert_true(tn_record_compare(&out->columns[0], i, b[0].min,
		    0) >= 0);
		assert_true(tn_record_compare(&out->columns[0], i, b[0].max,
		    0) < 0);
	}
	tn_record_batch_unref(out);
	tn_exec_fold_free(c);
	tn_exec_fold_free(f);
	tn_arena_free(a);
	view_fini(&v);
}

/* The batch, which must live on, with dictionaries for texts, int4 and numeric, and with the
 * hidden columns of a stream. */
static struct tn_batch *
as_stored(const struct tn_batch *b, uint64_t lsn, uint64_t offset)
{
	struct tn_arena *a = tn_arena_new(4096);
	uint32_t n = b->schema->count;
	struct tn_column *cols = tn_arena_zalloc(a, (n + 3) * sizeof *cols);
	struct tn_field *fields = tn_arena_zalloc(a,
	    (n + 3) * sizeof *fields);
	struct tn_schema *schema = tn_arena_zalloc(a, sizeof *schema);
	static const char *const names[] = { "_lsn", "_offset",
	    "_received_at" };

	for (uint32_t c = 0; c < n; c++) {
		uint32_t *codes = tn_arena_zalloc(a, b->rows * 4 + 4);
		struct tn_column *dict = tn_arena_zalloc(a, sizeof *dict);
		uint8_t id = b->columns[c].type.id;

		cols[c] = b->columns[c];
		fields[c] = b->schema->fields[c];
		if (id != TN_T_TEXT && id != TN_T_INT4 && id != TN_T_NUMERIC)
			continue;
		*dict = b->columns[c];
		dict->valid = NULL;
		for (uint32_t i = 0; i < b->rows; i++) {
			for (codes[i] = 0; codes[i] < i &&
			    tn_record_compare(dict, codes[i], dict, i) != 0;)
				codes[i]++;
		}
		cols[c].values = codes;
		cols[c].offsets = NULL;
		cols[c].bytes = NULL;
		cols[c].dict = dict;
	}
	for (uint32_t k = 0; k < 3; k++) {
		int64_t *v = tn_arena_zalloc(a, b->rows * 8 + 8);

		fields[n + k].name = names[k];
		fields[n + k].type = tn_record_type(k == 2 ?
		    TN_T_TIMESTAMPTZ : TN_T_INT8);
		for (uint32_t i = 0; i < b->rows; i++)
			v[i] = k == 0 ? (int64_t)lsn :
			    k == 1 ? (int64_t)offset + i : 0;
		cols[n + k] = (struct tn_column){ .rows = b->rows,
		    .type = fields[n + k].type, .values = v };
	}
	*schema = (struct tn_schema){ .name = "e", .count = n + 3,
	    .fields = fields };
	return tn_record_batch_new(a, schema, b->rows, cols);
}

/* Goal: rows as they come from silver (dictionaries, hidden columns) give the
 * same states as rows from the log. */
static void
test_stored(void **state)
{
	uint64_t r = help_seed() + 5;

	(void)state;
	for (int i = 0; i < 150; i++) {
		struct tn_buf sql = { .n = 0 };
		struct tn_exec_fold *f;
		struct tn_exec_fold *g;
		struct view v;

		make_view(&sql, &r, false);
		view_init(&v, tn_buf_cstr(&sql));
		f = tn_exec_fold_new(v.program);
		g = tn_exec_fold_new(v.program);
		for (uint64_t k = 0; k < 3; k++) {
			struct tn_batch *b = help_batch(v.schema, &r, 80,
			    true);
			struct tn_batch *s = as_stored(b, k, k * 100);

			tn_exec_fold_apply(f, &(struct tn_exec_rows){
			    .batch = b, .lsn = k, .offset = k * 100 }, NULL,
			    NULL);
			tn_exec_fold_apply(g, &(struct tn_exec_rows){
			    .batch = s, .has_hidden = true }, NULL, NULL);
			tn_record_batch_unref(s);
			tn_record_batch_unref(b);
		}
		same_states(f, g, tn_buf_cstr(&sql));
		tn_exec_fold_free(f);
		tn_exec_fold_free(g);
		view_fini(&v);
		tn_buf_fini(&sql);
	}
}

/* Goal: two joins, inner and left, see the version of each row's LSN, alike
 * from the log and from silver, where rows of many LSNs lie in one batch. */
static void
test_stored_joins(void **state)
{
	static const char *const one[] = { "a|red|1", "berlin|blue|2",
	    "room 17|red|3" };
	static const char *const two[] = { "a|green|4", "berlin||2" };
	uint64_t r = help_seed() + 8;
	struct view v;
	const struct tn_sql_table *t;
	struct tn_exec_ref *ref;
	const struct tn_exec_ref *list[1];
	const char *const names[] = { "r" };
	struct tn_exec_refs refs = { list, names, 1 };
	struct tn_batch *versions[2];
	struct tn_batch *stored[6];
	struct tn_batch *all;
	struct tn_exec_fold *f;
	struct tn_exec_fold *g;

	(void)state;
	view_init(&v, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT"
	    " a.team AS t1, z.team AS t2, count(*) AS n, sum(z.w) AS w,"
	    " last(e.s, e.t) AS l FROM e JOIN r a ON a.id = e.s LEFT JOIN r z"
	    " ON z.id = e.s AND z.w > 1 GROUP BY t1, t2;");
	t = tn_sql_table(v.pipeline, tn_slice_of("r"));
	ref = tn_exec_ref_new(t);
	list[0] = ref;
	versions[0] = help_rows(t->schema, one, 3);
	versions[1] = help_rows(t->schema, two, 2);
	tn_exec_ref_put(ref, versions[0], NULL, 1);
	tn_exec_ref_put(ref, versions[1], NULL, 3);
	f = tn_exec_fold_new(v.program);
	g = tn_exec_fold_new(v.program);
	for (uint64_t k = 0; k < 6; k++) {
		struct tn_batch *b = help_batch(v.schema, &r, 100, false);

		tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = b,
		    .lsn = k, .offset = k * 100 }, &refs, NULL);
		all = as_stored(b, k, k * 100);      /* Borrows from b. */
		stored[k] = tn_record_batch_concat(&all, 1);
		tn_record_batch_unref(all);
		tn_record_batch_unref(b);
	}
	all = tn_record_batch_concat(stored, 6);
	tn_exec_fold_apply(g, &(struct tn_exec_rows){ .batch = all,
	    .has_hidden = true }, &refs, NULL);
	assert_int_equal(tn_exec_fold_groups(f), 5);
	same_states(f, g, "joins");
	for (int k = 0; k < 6; k++)
		tn_record_batch_unref(stored[k]);
	tn_record_batch_unref(all);
	tn_record_batch_unref(versions[0]);
	tn_record_batch_unref(versions[1]);
	tn_exec_ref_free(ref);
	tn_exec_fold_free(f);
	tn_exec_fold_free(g);
	view_fini(&v);
}

/* Goal: batches of many slices, with texts on slice edges, give the same as
 * the same rows one slice at a time. */
static void
test_slices(void **state)
{
	uint64_t r = help_seed() + 6;
	struct tn_exec_fold *f;
	struct tn_exec_fold *g;
	struct tn_batch *b;
	struct view v;
	uint32_t rows[1000];

	(void)state;
	view_init(&v, VIEW);
	f = tn_exec_fold_new(v.program);
	g = tn_exec_fold_new(v.program);
	b = help_batch(v.schema, &r, 30000, true);
	tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = b }, NULL,
	    NULL);
	for (uint32_t at = 0; at < 30000; at += 1000) {
		struct tn_batch *part_of;

		for (uint32_t i = 0; i < 1000; i++)
			rows[i] = at + i;
		part_of = tn_record_batch_take(b, rows, 1000);
		tn_exec_fold_apply(g, &(struct tn_exec_rows){
		    .batch = part_of, .offset = at }, NULL, NULL);
		tn_record_batch_unref(part_of);
	}
	same_states(f, g, "slices");
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	tn_exec_fold_free(g);
	view_fini(&v);
}

/* Goal: large sets and sketches, which change their form on the way, merge to
 * the states of one fold, in every order, also through saved bytes. */
static void
test_many(void **state)
{
	uint64_t r = help_seed() + 7;
	struct tn_exec_fold *whole;
	struct tn_exec_fold *parts[PARTS];
	struct tn_batch *b;
	struct view v;

	(void)state;
	view_init(&v, HELP_STREAM "CREATE MATERIALIZED VIEW v AS SELECT k % 2"
	    " AS g, approx_count_distinct(_offset) AS a,"
	    " count(DISTINCT _offset) AS b, count(DISTINCT"
	    " 'a text of some length ' || _offset::text) AS c,"
	    " percentile_cont(0.7) WITHIN GROUP (ORDER BY _offset) AS d"
	    " FROM e GROUP BY g;");
	whole = tn_exec_fold_new(v.program);
	b = help_batch(v.schema, &r, 700, false);
	for (int i = 0; i < PARTS; i++)
		parts[i] = tn_exec_fold_new(v.program);
	for (uint64_t k = 0; k < 20; k++) {
		struct tn_exec_rows in = { .batch = b, .offset = k * 500 };
		/* Parts of unlike sizes, some of them small. */
		uint64_t to = help_random(&r) % 2 ? 0 :
		    help_random(&r) % PARTS;

		tn_exec_fold_apply(whole, &in, NULL, NULL);
		tn_exec_fold_apply(parts[to], &in, NULL, NULL);
	}
	for (int i = 1; i < PARTS; i++) {
		parts[i] = reload(&v, parts[i]);
		if (i % 2 == 0) {
			tn_exec_fold_merge(parts[i], parts[0]);
			tn_exec_fold_free(parts[0]);
			parts[0] = parts[i];
		} else {
			tn_exec_fold_merge(parts[0], parts[i]);
			tn_exec_fold_free(parts[i]);
		}
	}
	same_states(whole, parts[0], "many");
	tn_exec_fold_free(parts[0]);
	tn_exec_fold_free(whole);
	tn_record_batch_unref(b);
	view_fini(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_hash_slices),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_stored_joins),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How fast folds and queries run: rows a second on one core.
 *
 *   make B=build/bench build/bench/tests/bench/fold_bench, or by hand:
 *   cc ... tests/bench/fold_bench.c and the archives of exec and below
 *   fold_bench [rows]
 *
 * Rows are made before the clock starts; each line is the best of five. */
#include "exec/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 65536u

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static const char ddl[] =
    "CREATE TABLE badge (ts timestamptz NOT NULL, room text NOT NULL,"
    " office text NOT NULL, person text, direction text, temp float8,"
    " amount int4, price numeric(12,2));\n";

/* Events of 12 rooms in time order, 50 a second. */
static struct tn_batch *
make(const struct tn_schema *s, uint64_t first, uint32_t rows)
{
	struct tn_builder *b = tn_record_builder_new(s, rows);
	uint64_t x = first * 2654435761u + 88172645463325252u;
	struct tn_batch *out;
	char text[32];

	for (uint32_t i = 0; i < rows; i++) {
		__int128 price = (__int128)(next(&x) % 100000);
		int n;

		tn_record_builder_i64(b, 0, INT64_C(1772000000000000) +
		    (int64_t)(first + i) * 20000);
		n = snprintf(text, sizeof text, "room-%02u",
		    (unsigned)(next(&x) % 12));
		tn_record_builder_text(b, 1, text, (size_t)n);
		n = snprintf(text, sizeof text, "%s",
		    next(&x) % 2 ? "berlin" : "wien");
		tn_record_builder_text(b, 2, text, (size_t)n);
		n = snprintf(text, sizeof text, "employee-%05u",
		    (unsigned)(next(&x) % 2000));
		tn_record_builder_text(b, 3, text, (size_t)n);
		n = snprintf(text, sizeof text, "%s",
		    next(&x) % 2 ? "in" : "out");
		tn_record_builder_text(b, 4, text, (size_t)n);
		tn_record_builder_f64(b, 5, (double)(next(&x) % 4000) / 100);
		tn_record_builder_i64(b, 6, (int64_t)(next(&x) % 1000));
		tn_record_builder_fixed(b, 7, &price);
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

static void
report(const char *name, double rows, double s, uint32_t groups)
{
	printf("%-34s %9.2f M rows/s  %8u groups\n", name, rows / s / 1e6,
	    groups);
}

static const struct tn_sql_select *
plan(const struct tn_sql_pipeline *p, struct tn_arena *a, const char *sql)
{
	struct tn_diag d = { .line = 0 };
	const struct tn_sql_select *s;

	if (tn_sql_query(p, tn_slice_of(sql), a, &s, &d) != TN_OK) {
		fprintf(stderr, "%s: %s\n", sql, d.message);
		exit(1);
	}
	return s;
}

static void
bench(const struct tn_sql_pipeline *p, const char *name, const char *sql,
    struct tn_batch **in, uint32_t count)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = plan(p, a, sql);
	struct tn_exec_program *prog = tn_exec_program_new(s);
	double best = 1e9;
	uint32_t groups = 0;

	for (int round = 0; round < 5; round++) {
		struct tn_exec_fold *f = tn_exec_fold_new(prog);
		double start = seconds();

		for (uint32_t i = 0; i < count; i++)
			tn_exec_fold_apply(f, &(struct tn_exec_rows){
			    .batch = in[i], .offset = i * BATCH }, NULL,
			    NULL);
		double took = seconds() - start;
		best = took < best ? took : best;
		groups = tn_exec_fold_groups(f);
		tn_exec_fold_free(f);
	}
	report(name, (double)count * BATCH, best, groups);
	tn_exec_program_free(prog);
	tn_arena_free(a);
}

/* Merging, saving, loading and finishing many groups. */
static void
bench_states(const struct tn_sql_pipeline *p, struct tn_batch **in,
    uint32_t count)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_exec_program *prog = tn_exec_program_new(plan(p, a,
	    "SELECT ts, room, count(*), sum(amount), min(temp), max(temp),"
	    " avg(temp), last(person, ts) FROM badge GROUP BY ts, room"));
	struct tn_exec_fold *f = tn_exec_fold_new(prog);
	struct tn_exec_fold *g = NULL;
	struct tn_batch *b;
	double t[5];
	uint32_t n;

	for (uint32_t i = 0; i < count; i++)
		tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = in[i],
		    .offset = i * BATCH }, NULL, NULL);
	n = tn_exec_fold_groups(f);
	t[0] = seconds();
	b = tn_exec_fold_save(f);
	t[1] = seconds();
	if (tn_exec_fold_load(prog, b, &g) != TN_OK)
		abort();
	t[2] = seconds();
	tn_exec_fold_merge(g, f);
	t[3] = seconds();
	tn_record_batch_unref(b);
	b = tn_exec_fold_finish(g, NULL);
	t[4] = seconds();
	report("save", n, t[1] - t[0], n);
	report("load", n, t[2] - t[1], n);
	report("merge", n, t[3] - t[2], n);
	report("finish", n, t[4] - t[3], b->rows);
	printf("%-34s %9.1f bytes a group\n", "memory",
	    (double)tn_exec_fold_bytes(g) / n);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
	tn_exec_fold_free(g);
	tn_exec_program_free(prog);
	tn_arena_free(a);
}

static void
bench_query(const struct tn_sql_pipeline *p, const char *name,
    const char *sql, struct tn_batch **in, uint32_t count)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_select *s = plan(p, a, sql);
	double best = 1e9;
	uint32_t rows = 0;

	for (int round = 0; round < 5; round++) {
		struct tn_exec_query *q = tn_exec_query_new(s, NULL);
		struct tn_batch *out = NULL;
		double start = seconds();
		enum tn_status st = TN_OK;

		for (uint32_t i = 0; i < count && st == TN_OK; i++)
			st = tn_exec_query_push(q, &(struct tn_exec_rows){
			    .batch = in[i], .offset = i * BATCH }, NULL,
			    NULL);
		if (tn_exec_query_finish(q, &out, NULL, NULL) != TN_OK)
			abort();
		double took = seconds() - start;
		best = took < best ? took : best;
		rows = out->rows;
		tn_record_batch_unref(out);
		tn_exec_query_free(q);
	}
	report(name, (double)count * BATCH, best, rows);
	tn_arena_free(a);
}

int
main(int argc, char **argv)
{
	uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
	uint32_t count = (uint32_t)(total / BATCH) + 1;
	struct tn_batch **in = tn_alloc(count * sizeof *in);
	struct tn_sql_pipeline *p;
	struct tn_diag d = { .line = 0 };
	struct tn_sql_source src = { "bench.sql", tn_slice_of(ddl) };

	if (tn_sql_load(&p, &src, 1, &d) != TN_OK) {
		fprintf(stderr, "%s\n", d.message);
		return 1;
	}
	for (uint32_t i = 0; i < count; i++)
		in[i] = make(tn_sql_table(p, tn_slice_of("badge"))->schema,
		    (uint64_t)i * BATCH, BATCH);
	bench(p, "count(*)", "SELECT count(*) FROM badge", in, count);
	bench(p, "hourly, 6 aggregates", "SELECT date_bin('1 hour', ts,"
	    " 'epoch') AS h, room, office, count(*), sum(amount), min(temp),"
	    " max(temp), avg(temp), count(*) FILTER (WHERE direction = 'in')"
	    " FROM badge GROUP BY h, room, office", in, count);
	bench(p, "hourly, WHERE half", "SELECT date_bin('1 hour', ts,"
	    " 'epoch') AS h, room, count(*), sum(amount) FROM badge"
	    " WHERE direction = 'in' GROUP BY h, room", in, count);
	bench(p, "sum numeric", "SELECT room, sum(price), avg(price) FROM"
	    " badge GROUP BY room", in, count);
	bench(p, "count(distinct person)", "SELECT room, count(DISTINCT"
	    " person) FROM badge GROUP BY room", in, count);
	bench(p, "approx_count_distinct", "SELECT room,"
	    " approx_count_distinct(person) FROM badge GROUP BY room", in,
	    count);
	bench(p, "first, last", "SELECT room, first(temp, ts), last(temp, ts)"
	    " FROM badge GROUP BY room", in, count);
	bench(p, "stddev", "SELECT room, stddev(temp) FROM badge GROUP BY"
	    " room", in, count);
	bench(p, "percentile", "SELECT room, percentile_cont(0.9) WITHIN"
	    " GROUP (ORDER BY temp) FROM badge GROUP BY room", in, count);
	bench(p, "a group a row", "SELECT ts, room, count(*) FROM badge"
	    " GROUP BY ts, room", in, count);
	bench_states(p, in, count);
	bench_query(p, "WHERE, ORDER BY, LIMIT", "SELECT ts, room, temp FROM"
	    " badge WHERE temp > 20 ORDER BY temp DESC LIMIT 100", in, count);
	bench_query(p, "ORDER BY all", "SELECT ts, temp FROM badge ORDER BY"
	    " temp", in, count);
	bench_query(p, "DISTINCT", "SELECT DISTINCT person FROM badge", in,
	    count);
	for (uint32_t i = 0; i < count; i++)
		tn_record_batch_unref(in[i]);
	tn_free(in);
	tn_sql_pipeline_free(p);
	return 0;
}

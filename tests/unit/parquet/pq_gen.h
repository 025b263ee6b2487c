/* pq_gen: random schemas and batches for the tests of parquet, and the
 * comparison of what was read with what was written. The seed is TARN_SEED;
 * it is printed. */
#ifndef TN_PQ_GEN_H
#define TN_PQ_GEN_H

#include <math.h>
#include <unistd.h>

#include "record/record.h"

/* A file of this process; removed at its end. */
#define PATH gen_path
#define GEN_COLUMNS_MAX 20
#define GEN_BATCHES_MAX 8

static uint64_t gen_state;
static char gen_path[64];

static inline uint64_t
gen_u64(void)
{
	gen_state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = gen_state;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint32_t
gen_below(uint32_t n)
{
	return (uint32_t)(gen_u64() % n);
}

static inline void
gen_unlink(void)
{
	(void)unlink(PATH);
}

static inline void
gen_seed(void)
{
	const char *s = getenv("TARN_SEED");

	gen_state = s != NULL ? strtoull(s, NULL, 10) : (uint64_t)getpid();
	snprintf(gen_path, sizeof gen_path, "/tmp/tarn_pq_%d.parquet",
	    (int)getpid());
	(void)atexit(gen_unlink);
	print_message("TARN_SEED=%llu\n", (unsigned long long)gen_state);
}

/* How the values of a column look. */
enum gen_shape { FEW, SORTED, WILD, EDGE, RUNS, SHAPES };

struct gen {
	struct tn_schema schema;
	struct tn_field fields[GEN_COLUMNS_MAX];
	enum gen_shape shapes[GEN_COLUMNS_MAX];
	unsigned null_percent[GEN_COLUMNS_MAX];
	struct tn_batch *batches[GEN_BATCHES_MAX];
	uint32_t batch_count;
	uint64_t rows;
	struct tn_parquet_write_opts opts;
};

static inline int64_t
gen_int(enum gen_shape shape, uint32_t row, unsigned bits)
{
	static const int64_t edges[] = { 0, -1, 1, INT64_MIN, INT64_MAX,
	    INT32_MIN, INT32_MAX, 127, -128 };
	int64_t v;

	switch (shape) {
	case FEW:
		v = (int64_t)gen_below(5) - 2;
		break;
	case SORTED:
		v = (int64_t)row * 3 + gen_below(3);
		break;
	case EDGE:
		v = edges[gen_below(TN_COUNT(edges))];
		break;
	case RUNS:
		v = row / 100 % 7;
		break;
	default:
		v = (int64_t)gen_u64();
	}
	if (bits == 16)
		return (int16_t)v;
	return bits == 32 ? (int32_t)v : v;
}

static inline double
gen_double(enum gen_shape shape, uint32_t row)
{
	static const double edges[] = { 0.0, -0.0, NAN, INFINITY, -INFINITY,
	    1e-310, 1.7e308, -1.7e308 };

	switch (shape) {
	case FEW:
		return gen_below(30) / 10.0;
	case SORTED:
		/* NaN among numbers that bounds could tell apart. */
		return gen_below(60) == 0 ? NAN : row * 0.25;
	case EDGE:
		return edges[gen_below(TN_COUNT(edges))];
	case RUNS:
		return row / 50;
	default:
		return (double)(int64_t)gen_u64() / 1e6;
	}
}

static inline size_t
gen_text(enum gen_shape shape, uint32_t row, char *p, size_t max)
{
	static const char *const edges[] = { "", "a", "\xc3\xa4",
	    "\xf4\x8f\xbf\xbf", "\x7f", "\xed\x9f\xbf", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" };
	size_t n = 0;

	switch (shape) {
	case FEW:
		return (size_t)snprintf(p, max, "office-%u", gen_below(9));
	case SORTED:
		return (size_t)snprintf(p, max, "e%08u-%u", row, gen_below(9));
	case RUNS:
		return (size_t)snprintf(p, max, "%u", row / 64);
	case EDGE:
		if (gen_below(3) > 0)
			return (size_t)snprintf(p, max, "%s",
			    edges[gen_below(TN_COUNT(edges))]);
		/* Long, near the length where statistics are cut. */
		for (unsigned i = 0; i < 12 + gen_below(8); i++)
			n += (size_t)snprintf(p + n, max - n,
			    gen_below(2) ? "\xf4\x8f\xbf\xbf" : "\xe2\x82\xac");
		return n;
	default:
		n = gen_below(60);
		for (size_t i = 0; i < n; i++)
			p[i] = (char)(32 + gen_below(95));
		return n;
	}
}

static inline void
gen_value(struct gen *g, struct tn_builder *b, uint32_t c, uint32_t row)
{
	struct tn_type t = g->fields[c].type;
	enum gen_shape shape = g->shapes[c];
	char text[400];
	uint8_t wide[16];
	int64_t v;
	__int128 n;
	float f;

	switch (t.id) {
	case TN_T_BOOL:
		tn_record_builder_bool(b, c, gen_int(shape, row, 64) & 1);
		break;
	case TN_T_INT2:
		tn_record_builder_i64(b, c, gen_int(shape, row, 16));
		break;
	case TN_T_INT4:
	case TN_T_DATE: {
		int32_t v4 = (int32_t)gen_int(shape, row, 32);

		tn_record_builder_fixed(b, c, &v4);
		break;
	}
	case TN_T_INT8:
	case TN_T_TIMESTAMP:
	case TN_T_TIMESTAMPTZ:
		v = gen_int(shape, row, 64);
		tn_record_builder_fixed(b, c, &v);
		break;
	case TN_T_TIME:
		v = (int64_t)((uint64_t)gen_int(shape, row, 64) %
		    86400000000u);
		tn_record_builder_fixed(b, c, &v);
		break;
	case TN_T_FLOAT4:
		f = (float)gen_double(shape, row);
		tn_record_builder_fixed(b, c, &f);
		break;
	case TN_T_FLOAT8:
		tn_record_builder_f64(b, c, gen_double(shape, row));
		break;
	case TN_T_NUMERIC:
		n = gen_int(shape, row, 64);
		if (t.precision > 18)
			n = n * (int64_t)(1 + gen_below(1000000000)) * 1000;
		else
			n %= 1000000000000000000;
		tn_record_builder_fixed(b, c, &n);
		break;
	case TN_T_UUID:
		v = gen_int(shape, row, 64);
		memcpy(wide, &v, 8);
		memcpy(wide + 8, &v, 8);
		tn_record_builder_fixed(b, c, wide);
		break;
	case TN_T_JSONB:
		tn_record_builder_text(b, c, text, (size_t)snprintf(text,
		    sizeof text, "{\"a\": %lld}",
		    (long long)gen_int(shape, row, 64)));
		break;
	default:
		tn_record_builder_text(b, c, text,
		    gen_text(shape, row, text, sizeof text));
	}
}

static inline void
gen_batch(struct gen *g, uint32_t rows)
{
	struct tn_builder *b = tn_record_builder_new(&g->schema, rows);

	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t c = 0; c < g->schema.count; c++) {
			if (gen_below(100) < g->null_percent[c])
				tn_record_builder_null(b, c);
			else
				gen_value(g, b, c, (uint32_t)g->rows + r);
		}
		tn_record_builder_row_end(b);
	}
	g->batches[g->batch_count++] = tn_record_builder_take(b);
	g->rows += rows;
	tn_record_builder_free(b);
}

/* One column of each type in each run; shapes and nulls at random. */
static inline void
gen_schema(struct gen *g)
{
	static const enum tn_type_id ids[] = { TN_T_BOOL, TN_T_INT2,
	    TN_T_INT4, TN_T_INT8, TN_T_FLOAT4, TN_T_FLOAT8, TN_T_NUMERIC,
	    TN_T_NUMERIC, TN_T_TEXT, TN_T_DATE, TN_T_TIME, TN_T_TIMESTAMP,
	    TN_T_TIMESTAMPTZ, TN_T_JSONB, TN_T_UUID, TN_T_BYTES, TN_T_TEXT };
	static const unsigned percents[] = { 0, 0, 3, 50, 97, 100 };
	static const char *const names[] = { "b", "i2", "i4", "i8", "f4",
	    "f8", "n18", "n38", "t", "d", "tm", "ts", "tz", "j", "u", "raw",
	    "t2" };

	*g = (struct gen){ .batch_count = 0 };
	for (uint32_t c = 0; c < TN_COUNT(ids); c++) {
		struct tn_type t = tn_record_type(ids[c]);

		if (ids[c] == TN_T_NUMERIC) {
			t.precision = c == 6 ? 18 : 38;
			t.scale = c == 6 ? 3 : 9;
			t.declared = c == 6;
		}
		g->shapes[c] = (enum gen_shape)gen_below(SHAPES);
		g->null_percent[c] = percents[gen_below(TN_COUNT(percents))];
		g->fields[c] = (struct tn_field){ names[c], t,
		    g->null_percent[c] == 0 && gen_below(2) };
	}
	g->schema = (struct tn_schema){ "gen", TN_COUNT(ids), g->fields };
}

static inline void
gen_init(struct gen *g)
{
	uint32_t batches = gen_below(5);

	gen_schema(g);
	g->opts.group_rows = gen_below(3) == 0 ? 0 : 1 + gen_below(2000);
	g->opts.page_rows = gen_below(3) == 0 ? 0 : 1 + gen_below(300);
	for (uint32_t i = 0; i < batches; i++)
		gen_batch(g, gen_below(2) ? gen_below(1500) : gen_below(20));
}

static inline void
gen_fini(struct gen *g)
{
	for (uint32_t i = 0; i < g->batch_count; i++)
		tn_record_batch_unref(g->batches[i]);
}

static inline void
gen_file(struct gen *g, const char *path)
{
	struct tn_parquet_writer *w;
	struct tn_parquet_written done;

	(void)unlink(path);
	assert_int_equal(tn_parquet_create(&w, path, &g->schema, &g->opts),
	    TN_OK);
	for (uint32_t i = 0; i < g->batch_count; i++)
		assert_int_equal(tn_parquet_write(w, g->batches[i]), TN_OK);
	assert_int_equal(tn_parquet_finish(w, &done), TN_OK);
	assert_int_equal(done.rows, g->rows);
}

/* Bytes of a value, so that NaN and -0.0 count too. */
static inline bool
same_value(const struct tn_column *a, uint32_t i, const struct tn_column *b,
    uint32_t k)
{
	size_t width = tn_record_type_width(a->type);
	struct tn_slice s, t;

	if (tn_column_valid(a, i) != tn_column_valid(b, k))
		return false;
	if (b->dict != NULL) {
		if (!tn_column_valid(b, k))
			return ((const uint32_t *)b->values)[k] == 0;
		return same_value(a, i, b->dict,
		    ((const uint32_t *)b->values)[k]);
	}
	if (width > 0)
		return memcmp((const uint8_t *)a->values + i * width,
		    (const uint8_t *)b->values + k * width, width) == 0;
	s = tn_column_text(a, i);
	t = tn_column_text(b, k);
	return tn_slice_eq(s, t);
}

/* Column ${c} of row ${row} of all that was generated. */
static inline const struct tn_column *
gen_at(const struct gen *g, uint64_t row, uint32_t c, uint32_t *in)
{
	uint32_t i = 0;

	while (row >= g->batches[i]->rows)
		row -= g->batches[i++]->rows;
	*in = (uint32_t)row;
	return &g->batches[i]->columns[c];
}

/* Rows of ${b} equal generated rows from ${first} on. */
static inline void
check_rows(const struct gen *g, const struct tn_batch *b, uint64_t first)
{
	for (uint32_t c = 0; c < b->schema->count; c++) {
		assert_true(tn_record_type_eq(b->schema->fields[c].type,
		    g->fields[c].type));
		assert_string_equal(b->schema->fields[c].name,
		    g->fields[c].name);
		for (uint32_t r = 0; r < b->rows; r++) {
			uint32_t in;
			const struct tn_column *a = gen_at(g, first + r, c,
			    &in);

			if (!same_value(a, in, &b->columns[c], r))
				fail_msg("column %s row %u shape %d",
				    g->fields[c].name, r, g->shapes[c]);
		}
	}
}

static inline void
check_file(const struct gen *g, const char *path)
{
	struct tn_parquet_read_opts o = { .keep_dictionary = gen_below(2) };
	struct tn_parquet_reader *r;
	struct tn_diag d = { .line = 0 };
	uint64_t row = 0;

	if (tn_parquet_open(&r, path, &d) != TN_OK)
		fail_msg("%s", d.message);
	assert_int_equal(tn_parquet_rows(r), g->rows);
	for (uint32_t i = 0; i < tn_parquet_groups(r); i++) {
		struct tn_batch *b;

		if (tn_parquet_read(r, i, &o, &b, &d) != TN_OK)
			fail_msg("%s", d.message);
		assert_non_null(b);
		check_rows(g, b, row);
		row += b->rows;
		tn_record_batch_unref(b);
	}
	assert_int_equal(row, g->rows);
	tn_parquet_close(r);
}

#endif

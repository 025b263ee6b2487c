/* parquet_tool: lets foreign programs judge the parquet room.
 *
 *   write FILE SEED ROWS   random and edge values of every type, in batches
 *   dump FILE [dict]       every row as a line of JSON on standard output
 *   probe FILE COL LO HI   rows of column COL that a bounded read returns
 *   bench FILE ROWS        processor time of writing and reading badge events
 *
 * JSON is made for comparing: integers and numerics are strings of their
 * stored digits, dates and times are integers, floats are strings with 17
 * digits, bytes and uuids are hexadecimal. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parquet/parquet.h"

static uint64_t state;

static uint64_t
next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t
below(uint32_t n)
{
	return (uint32_t)(next() % n);
}

static void
fail(const char *what, enum tn_status st, const struct tn_diag *d)
{
	fprintf(stderr, "%s: %s %s\n", what, tn_status_text(st),
	    d == NULL ? "" : d->message);
	exit(1);
}

/* ---- write ----------------------------------------------------------- */

struct column {
	const char *name;
	enum tn_type_id id;
	int shape;           /* 0 few, 1 sorted, 2 wild, 3 edges, 4 runs */
	int null_percent;    /* -1: required */
	uint8_t precision;
	uint8_t scale;
};
static const struct column columns[] = {
	{ "event_id", TN_T_TEXT, 1, -1, 0, 0 },
	{ "office", TN_T_TEXT, 0, 0, 0, 0 },
	{ "note", TN_T_TEXT, 3, 30, 0, 0 },
	{ "free", TN_T_TEXT, 2, 10, 0, 0 },
	{ "ok", TN_T_BOOL, 2, 5, 0, 0 },
	{ "ok_req", TN_T_BOOL, 4, -1, 0, 0 },
	{ "i2", TN_T_INT2, 3, 10, 0, 0 },
	{ "i4", TN_T_INT4, 3, 10, 0, 0 },
	{ "i4_wild", TN_T_INT4, 2, -1, 0, 0 },
	{ "i8", TN_T_INT8, 3, 10, 0, 0 },
	{ "i8_sorted", TN_T_INT8, 1, -1, 0, 0 },
	{ "i8_runs", TN_T_INT8, 4, 50, 0, 0 },
	{ "f4", TN_T_FLOAT4, 3, 10, 0, 0 },
	{ "f8", TN_T_FLOAT8, 2, 10, 0, 0 },
	{ "f8_edge", TN_T_FLOAT8, 3, 10, 0, 0 },
	{ "temp", TN_T_FLOAT8, 0, 2, 0, 0 },
	{ "n9", TN_T_NUMERIC, 2, 10, 9, 2 },
	{ "n18", TN_T_NUMERIC, 2, 10, 18, 4 },
	{ "n38", TN_T_NUMERIC, 2, 10, 38, 9 },
	{ "d", TN_T_DATE, 0, 10, 0, 0 },
	{ "tm", TN_T_TIME, 2, 10, 0, 0 },
	{ "ts", TN_T_TIMESTAMP, 1, 10, 0, 0 },
	{ "tz", TN_T_TIMESTAMPTZ, 1, -1, 0, 0 },
	{ "j", TN_T_JSONB, 0, 10, 0, 0 },
	{ "u", TN_T_UUID, 2, 10, 0, 0 },
	{ "raw", TN_T_BYTES, 3, 10, 0, 0 },
	{ "nothing", TN_T_INT4, 0, 100, 0, 0 },
	{ "nothing_t", TN_T_TEXT, 0, 100, 0, 0 },
};

static int64_t
integer(int shape, uint64_t row)
{
	static const int64_t edges[] = { 0, -1, 1, INT64_MIN, INT64_MAX,
	    INT32_MIN, INT32_MAX, INT16_MIN, INT16_MAX };

	switch (shape) {
	case 0:
		return (int64_t)below(7) - 3;
	case 1:
		return (int64_t)row * 1000 + below(900);
	case 3:
		return edges[below(TN_COUNT(edges))];
	case 4:
		return (int64_t)(row / 100 % 5);
	default:
		return (int64_t)next();
	}
}

static double
floating(int shape)
{
	static const double edges[] = { 0.0, -0.0, 1e-310, 1.5, -2.25,
	    INFINITY, -INFINITY, NAN, 3e38 };

	if (shape == 0)
		return 18 + below(80) / 10.0;
	if (shape == 3)
		return edges[below(TN_COUNT(edges))];
	return (double)(int64_t)next() / 1e9;
}

static size_t
text(int shape, uint64_t row, char *p, size_t max)
{
	static const char *const edges[] = { "", "x", "\xc3\xa4\xc3\xb6",
	    "\xf0\x9f\x98\x80", "\"quoted\" \\ \n\t", "\xef\xbf\xbf",
	    "0123456789012345678901234567890123456789012345678901234567890123",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "4", "a very long text that goes on and on until it is well past "
	    "the sixty-four bytes of statistics \xe2\x82\xac" };

	if (shape == 0)
		return (size_t)snprintf(p, max, "office %u", below(12));
	if (shape == 1)
		return (size_t)snprintf(p, max, "ev-%010" PRIu64, row);
	if (shape == 3)
		return (size_t)snprintf(p, max, "%s",
		    edges[below(TN_COUNT(edges))]);
	return (size_t)snprintf(p, max, "%016" PRIx64 "%.*s", next(),
	    (int)below(10), "0123456789");
}

static void
put_numeric(struct tn_builder *b, uint32_t c, int64_t v, uint8_t precision)
{
	__int128 n = v;

	if (precision == 9)
		n %= 1000000000;
	else if (precision == 18)
		n %= 1000000000000000000;
	else
		n *= 1000000007;
	tn_record_builder_fixed(b, c, &n);
}

static void
put(struct tn_builder *b, uint32_t c, uint64_t row, struct tn_type t)
{
	const struct column *k = &columns[c];
	int64_t v = integer(k->shape, row);
	char buf[300];
	uint64_t wide[2] = { next(), next() };
	float f;

	switch (k->id) {
	case TN_T_BOOL:
		tn_record_builder_bool(b, c, v & 1);
		break;
	case TN_T_INT2:
		tn_record_builder_i64(b, c, (int16_t)v);
		break;
	case TN_T_INT4:
		tn_record_builder_i64(b, c, (int32_t)v);
		break;
	case TN_T_INT8:
		tn_record_builder_i64(b, c, v);
		break;
	case TN_T_DATE:
		tn_record_builder_i64(b, c, 20000 + v);
		break;
	case TN_T_TIME:
		tn_record_builder_i64(b, c, (int64_t)((uint64_t)v %
		    UINT64_C(86400000000)));
		break;
	case TN_T_FLOAT4:
		f = (float)floating(k->shape);
		tn_record_builder_fixed(b, c, &f);
		break;
	case TN_T_FLOAT8:
		tn_record_builder_f64(b, c, floating(k->shape));
		break;
	case TN_T_NUMERIC:
		put_numeric(b, c, v, t.precision);
		break;
	case TN_T_UUID:
		tn_record_builder_fixed(b, c, wide);
		break;
	case TN_T_JSONB:
		tn_record_builder_text(b, c, buf, (size_t)snprintf(buf,
		    sizeof buf, "{\"n\": %" PRId64 "}", v));
		break;
	case TN_T_TEXT:
	case TN_T_BYTES:
		tn_record_builder_text(b, c, buf,
		    text(k->shape, row, buf, sizeof buf));
		break;
	default:
		tn_record_builder_i64(b, c,
		    INT64_C(1700000000000000) + v);
	}
}

static void
put_row(struct tn_builder *b, const struct tn_schema *s, uint64_t row)
{
	for (uint32_t c = 0; c < s->count; c++) {
		if ((int)below(100) < columns[c].null_percent)
			tn_record_builder_null(b, c);
		else
			put(b, c, row, s->fields[c].type);
	}
	tn_record_builder_row_end(b);
}

/* A batch of up to 3000 rows; moves *row on. */
static enum tn_status
write_batch(struct tn_parquet_writer *w, const struct tn_schema *s,
    uint64_t *row, uint64_t rows)
{
	uint32_t n = 1 + below(3000);
	struct tn_builder *b = tn_record_builder_new(s, n);
	struct tn_batch *batch;
	enum tn_status st;

	for (uint32_t i = 0; i < n && *row < rows; i++, ++*row)
		put_row(b, s, *row);
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	st = tn_parquet_write(w, batch);
	tn_record_batch_unref(batch);
	return st;
}

static void
make_fields(struct tn_field *f)
{
	for (uint32_t c = 0; c < TN_COUNT(columns); c++) {
		f[c] = (struct tn_field){ columns[c].name,
		    tn_record_type(columns[c].id),
		    columns[c].null_percent < 0 };
		if (columns[c].precision == 0)
			continue;
		f[c].type.precision = columns[c].precision;
		f[c].type.scale = columns[c].scale;
		f[c].type.declared = true;
	}
}

static int
cmd_write(const char *path, uint64_t seed, uint64_t rows)
{
	struct tn_parquet_pair pair = { "origin", "parquet_tool" };
	uint32_t sorted = 0;
	struct tn_parquet_write_opts o = { .group_rows = 5000,
	    .page_rows = 700, .pairs = &pair, .pair_count = 1,
	    .sorted_by = &sorted, .sorted_count = 1 };
	struct tn_field f[TN_COUNT(columns)];
	struct tn_schema s = { "tool", TN_COUNT(columns), f };
	struct tn_parquet_writer *w;
	struct tn_parquet_written done;
	uint64_t row = 0;
	enum tn_status st;

	state = seed;
	make_fields(f);
	st = tn_parquet_create(&w, path, &s, &o);
	while (st == TN_OK && row < rows)
		st = write_batch(w, &s, &row, rows);
	if (st == TN_OK)
		st = tn_parquet_finish(w, &done);
	if (st != TN_OK)
		fail("write", st, NULL);
	fprintf(stderr, "%" PRIu64 " rows %" PRIu64 " bytes\n", done.rows,
	    done.bytes);
	return 0;
}

/* ---- dump ------------------------------------------------------------ */

static void
print_i128(struct tn_buf *out, __int128 v)
{
	unsigned __int128 u = v < 0 ? -(unsigned __int128)v :
	    (unsigned __int128)v;
	char digits[48];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + (int)(u % 10));
		u /= 10;
	} while (u > 0);
	if (v < 0)
		digits[--at] = '-';
	tn_buf_add(out, digits + at, sizeof digits - at);
}

static void
print_hex(struct tn_buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tn_buf_printf(out, "%02x", p[i]);
}

static void
print_value(struct tn_buf *out, const struct tn_column *c, uint32_t row)
{
	struct tn_slice s;

	if (!tn_column_valid(c, row)) {
		tn_buf_str(out, "null");
		return;
	}
	if (c->dict != NULL) {
		print_value(out, c->dict,
		    ((const uint32_t *)c->values)[row]);
		return;
	}
	tn_buf_char(out, '"');
	switch (c->type.id) {
	case TN_T_BOOL:
		tn_buf_str(out, ((const uint8_t *)c->values)[row] ? "true" :
		    "false");
		break;
	case TN_T_INT2:
		tn_buf_printf(out, "%d", ((const int16_t *)c->values)[row]);
		break;
	case TN_T_INT4:
	case TN_T_DATE:
		tn_buf_printf(out, "%d", ((const int32_t *)c->values)[row]);
		break;
	case TN_T_FLOAT4:
		tn_buf_printf(out, "%.17g",
		    (double)((const float *)c->values)[row]);
		break;
	case TN_T_FLOAT8:
		tn_buf_printf(out, "%.17g",
		    ((const double *)c->values)[row]);
		break;
	case TN_T_NUMERIC:
		print_i128(out, ((const __int128 *)c->values)[row]);
		break;
	case TN_T_UUID:
		print_hex(out, (const uint8_t *)c->values + 16 * row, 16);
		break;
	case TN_T_BYTES:
		s = tn_column_text(c, row);
		print_hex(out, s.p, s.n);
		break;
	case TN_T_TEXT:
	case TN_T_JSONB:
		s = tn_column_text(c, row);
		tn_buf_json(out, s.p, s.n);
		break;
	default:
		tn_buf_printf(out, "%" PRId64,
		    ((const int64_t *)c->values)[row]);
	}
	tn_buf_char(out, '"');
}

static void
print_batch(const struct tn_batch *b)
{
	struct tn_buf out = { .p = NULL };

	for (uint32_t r = 0; r < b->rows; r++) {
		tn_buf_clear(&out);
		for (uint32_t c = 0; c < b->schema->count; c++) {
			tn_buf_str(&out, c == 0 ? "{\"" : ",\"");
			tn_buf_json(&out, b->schema->fields[c].name,
			    strlen(b->schema->fields[c].name));
			tn_buf_str(&out, "\":");
			print_value(&out, &b->columns[c], r);
		}
		tn_buf_str(&out, "}\n");
		fwrite(out.p, 1, out.n, stdout);
	}
	tn_buf_fini(&out);
}

static int
read_all(const char *path, const struct tn_parquet_read_opts *o, bool print)
{
	struct tn_parquet_reader *r;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_parquet_open(&r, path, &d);

	if (st != TN_OK)
		fail("open", st, &d);
	for (uint32_t g = 0; g < tn_parquet_groups(r); g++) {
		struct tn_batch *b;

		st = tn_parquet_read(r, g, o, &b, &d);
		if (st != TN_OK)
			fail("read", st, &d);
		if (b != NULL && print)
			print_batch(b);
		tn_record_batch_unref(b);
	}
	tn_parquet_close(r);
	return 0;
}

static int
cmd_types(const char *path)
{
	struct tn_parquet_reader *r;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_parquet_open(&r, path, &d);
	char name[48];

	if (st != TN_OK)
		fail("open", st, &d);
	for (uint32_t i = 0; i < tn_parquet_schema(r)->count; i++)
		printf("%s\t%s\n", tn_parquet_schema(r)->fields[i].name,
		    tn_record_type_name(tn_parquet_schema(r)->fields[i].type,
		    name));
	tn_parquet_close(r);
	return 0;
}

/* ---- probe ----------------------------------------------------------- */

/* The bounds are integers for every type of integer, else texts. */
static void
bound_column(struct tn_type t, const char *s, void *value,
    uint32_t offsets[static 2], struct tn_column *c)
{
	*c = (struct tn_column){ .type = t, .rows = 1 };
	if (tn_record_type_width(t) == 0) {
		offsets[0] = 0;
		offsets[1] = (uint32_t)strlen(s);
		c->offsets = offsets;
		c->bytes = (const uint8_t *)s;
		return;
	}
	c->values = value;
	if (t.id == TN_T_FLOAT8)
		*(double *)value = strtod(s, NULL);
	else if (t.id == TN_T_FLOAT4)
		*(float *)value = strtof(s, NULL);
	else if (tn_record_type_width(t) == 8)
		*(int64_t *)value = strtoll(s, NULL, 10);
	else if (tn_record_type_width(t) == 4)
		*(int32_t *)value = (int32_t)strtoll(s, NULL, 10);
	else
		*(__int128 *)value = strtoll(s, NULL, 10);
}

static int
cmd_probe(const char *path, const char *name, const char *low,
    const char *high)
{
	_Alignas(16) uint8_t values[2][16];
	uint32_t offsets[2][2];
	struct tn_column ends[2];
	struct tn_parquet_bound bound = { 0, &ends[0], &ends[1] };
	struct tn_parquet_read_opts o = { .bounds = &bound,
	    .bound_count = 1, .columns = &bound.column, .column_count = 1 };
	struct tn_parquet_reader *r;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_parquet_open(&r, path, &d);
	int i;

	if (st != TN_OK)
		fail("open", st, &d);
	i = tn_record_schema_find(tn_parquet_schema(r), tn_slice_of(name));
	if (i < 0)
		fail(name, TN_ENOTFOUND, NULL);
	bound.column = (uint32_t)i;
	bound_column(tn_parquet_schema(r)->fields[i].type, low, values[0],
	    offsets[0], &ends[0]);
	bound_column(tn_parquet_schema(r)->fields[i].type, high, values[1],
	    offsets[1], &ends[1]);
	tn_parquet_close(r);
	return read_all(path, &o, true);
}

/* ---- bench ----------------------------------------------------------- */

/* Of this process alone: other load on the machine does not count. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const struct tn_field bench_fields[] = {
	{ "event_id", { .id = TN_T_TEXT }, true },
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "employee_id", { .id = TN_T_TEXT }, true },
	{ "office", { .id = TN_T_TEXT }, true },
	{ "door", { .id = TN_T_INT4 }, true },
	{ "direction", { .id = TN_T_TEXT }, true },
	{ "temp_c", { .id = TN_T_FLOAT8 }, false },
};
static const struct tn_schema bench_schema = { "bench", 7, bench_fields };

static struct tn_batch *
bench_batch(uint64_t from, uint32_t rows)
{
	struct tn_builder *b = tn_record_builder_new(&bench_schema, rows);
	static const char *const offices[] = { "berlin", "paris", "madrid",
	    "london", "oslo", "rome" };
	struct tn_batch *batch;
	char buf[40];

	for (uint32_t i = 0; i < rows; i++) {
		uint64_t row = from + i;
		const char *office = offices[below(6)];

		tn_record_builder_text(b, 0, buf, (size_t)snprintf(buf,
		    sizeof buf, "ev%012" PRIu64, row));
		tn_record_builder_i64(b, 1, INT64_C(1700000000000000) +
		    (int64_t)row * 250000 + below(100000));
		tn_record_builder_text(b, 2, buf, (size_t)snprintf(buf,
		    sizeof buf, "emp%04u", below(2000)));
		tn_record_builder_text(b, 3, office, strlen(office));
		tn_record_builder_i64(b, 4, below(40));
		if (below(2) == 0)
			tn_record_builder_text(b, 5, "in", 2);
		else
			tn_record_builder_text(b, 5, "out", 3);
		if (below(50) == 0)
			tn_record_builder_null(b, 6);
		else
			tn_record_builder_f64(b, 6, 18 + below(100) / 10.0);
		tn_record_builder_row_end(b);
	}
	batch = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return batch;
}

static void
bench_read(const char *path, uint64_t rows, const char *what,
    struct tn_parquet_read_opts *o)
{
	double best = 1e9;

	for (int i = 0; i < 3; i++) {
		double t = now();

		(void)read_all(path, o, false);
		t = now() - t;
		best = t < best ? t : best;
	}
	printf("read %-12s %8.1f M values/s\n", what,
	    (double)rows * (o->columns == NULL ? 7 : o->column_count) /
	    best / 1e6);
}

static int
cmd_bench(const char *path, uint64_t rows)
{
	struct tn_parquet_write_opts o = { .zstd_level = 0 };
	struct tn_parquet_writer *w;
	struct tn_parquet_written done;
	struct tn_parquet_read_opts ro = { .columns = NULL };
	double spent = 0, t;
	enum tn_status st = tn_parquet_create(&w, path, &bench_schema, &o);

	for (uint64_t row = 0; st == TN_OK && row < rows; row += 100000) {
		struct tn_batch *b = bench_batch(row, 100000);

		t = now();
		st = tn_parquet_write(w, b);
		spent += now() - t;
		tn_record_batch_unref(b);
	}
	t = now();
	if (st == TN_OK)
		st = tn_parquet_finish(w, &done);
	spent += now() - t;
	if (st != TN_OK)
		fail("bench", st, NULL);
	printf("write %.2f M rows/s, %.2f bytes a row\n",
	    (double)done.rows / spent / 1e6,
	    (double)done.bytes / (double)done.rows);
	for (uint32_t c = 0; c < 7; c++) {
		ro.columns = &c;
		ro.column_count = 1;
		bench_read(path, done.rows, bench_fields[c].name, &ro);
	}
	ro.columns = NULL;
	bench_read(path, done.rows, "all", &ro);
	ro.keep_dictionary = true;
	bench_read(path, done.rows, "all, dict", &ro);
	return 0;
}

int
main(int argc, char **argv)
{
	struct tn_parquet_read_opts o = { .keep_dictionary = argc == 4 };

	if (argc == 5 && strcmp(argv[1], "write") == 0)
		return cmd_write(argv[2], strtoull(argv[3], NULL, 10),
		    strtoull(argv[4], NULL, 10));
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "dump") == 0)
		return read_all(argv[2], &o, true);
	if (argc == 3 && strcmp(argv[1], "types") == 0)
		return cmd_types(argv[2]);
	if (argc == 6 && strcmp(argv[1], "probe") == 0)
		return cmd_probe(argv[2], argv[3], argv[4], argv[5]);
	if (argc == 4 && strcmp(argv[1], "bench") == 0)
		return cmd_bench(argv[2], strtoull(argv[3], NULL, 10));
	fprintf(stderr, "usage: parquet_tool write|dump|types|probe|bench "
	    "FILE ...\n");
	return 2;
}

/* What the tests of folds and queries share: a pipeline from SQL text, random
 * batches of its stream, and results as text. */
#ifndef TN_FOLD_HELP_H
#define TN_FOLD_HELP_H

#include "exec/exec.h"
#include "test.h"

static inline uint64_t
help_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t
help_seed(void)
{
	const char *s = getenv("TARN_SEED");
	uint64_t seed = s != NULL ? strtoull(s, NULL, 10) : 1;

	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

#define HELP_STREAM \
	"CREATE TABLE e (k int8, s text, b bool, i2 int2, i4 int4, i8 int8," \
	" f4 real, f8 double precision, n numeric(30,4), d date," \
	" t timestamptz, ts timestamp, tm time, u uuid, j jsonb);\n" \
	"CREATE TABLE r (id text PRIMARY KEY, team text, w int8)" \
	" WITH (kind = 'reference');\n"

static inline struct tn_sql_pipeline *
help_pipeline(const char *sql)
{
	struct tn_diag d = { .line = 0 };
	struct tn_sql_pipeline *p = NULL;
	struct tn_sql_source src = { "test.sql", tn_slice_of(sql) };

	if (tn_sql_load(&p, &src, 1, &d) != TN_OK)
		fail_msg("%u:%u %s: %s (%s)\n%s", d.line, d.column, d.code,
		    d.message, d.hint, sql);
	return p;
}

static inline const struct tn_sql_select *
help_query(const struct tn_sql_pipeline *p, struct tn_arena *a,
    const char *sql)
{
	struct tn_diag d = { .line = 0 };
	const struct tn_sql_select *s = NULL;

	if (tn_sql_query(p, tn_slice_of(sql), a, &s, &d) != TN_OK)
		fail_msg("%u:%u %s: %s (%s)\n%s", d.line, d.column, d.code,
		    d.message, d.hint, sql);
	return s;
}

/* A value: mostly from a small range, sometimes at the edges. */
static inline int64_t
help_int(uint64_t *r, int64_t min, int64_t max)
{
	uint64_t x = help_random(r);

	switch (x % 40) {
	case 0:
		return min;
	case 1:
		return max;
	case 2:
		return (int64_t)(x >> 8) % (max / 2);
	default:
		return (int64_t)(x >> 8) % 20 - 5;
	}
}

static inline double
help_double(uint64_t *r, bool special)
{
	static const double odd[] = { 0.0, -0.0, 1e15, -1e15, 1e-9, 0.1,
	    1e300, -1e300, 1.7976931348623157e308, 5e-324 };
	uint64_t x = help_random(r);

	if (special && x % 61 == 0)
		return (x >> 8) % 3 == 0 ? (double)__builtin_nan("") :
		    (x >> 8) % 3 == 1 ? __builtin_inf() : -__builtin_inf();
	if (special && x % 17 == 0)
		return odd[(x >> 8) % 10];
	if (x % 5 == 0)
		return odd[(x >> 8) % 6];
	return (double)((int64_t)(x >> 20) % 100000) / 1000.0;
}

static inline void
help_text(struct tn_builder *b, uint32_t col, uint64_t *r)
{
	static const char *const words[] = { "", "a", "berlin", "room 17",
	    "twelve bytes", "thirteen byte", "a text that is long enough",
	    "a text that is long enough to differ late" };
	uint64_t x = help_random(r);
	const char *w = words[x % 8];

	tn_record_builder_text(b, col, w, strlen(w));
}

static inline void
help_row(struct tn_builder *b, uint64_t *r, bool special)
{
	static const char *const json[] = { "1", "\"x\"", "{\"a\": 1}",
	    "[1, 2, 3, 4, 5, 6]" };
	uint8_t uuid[16] = { 0 };
	const char *j = json[help_random(r) % 4];
	__int128 n = (__int128)help_int(r, INT64_MIN, INT64_MAX);

	tn_record_builder_i64(b, 0, (int64_t)(help_random(r) % 7));
	help_text(b, 1, r);
	tn_record_builder_bool(b, 2, help_random(r) & 1);
	tn_record_builder_i64(b, 3, help_int(r, INT16_MIN, INT16_MAX));
	tn_record_builder_i64(b, 4, help_int(r, INT32_MIN, INT32_MAX));
	tn_record_builder_i64(b, 5, help_int(r, INT64_MIN, INT64_MAX));
	float f = (float)help_double(r, false);
	tn_record_builder_fixed(b, 6, &f);
	tn_record_builder_f64(b, 7, help_double(r, special));
	if (help_random(r) % 9 == 0)
		n *= 1000000;
	tn_record_builder_fixed(b, 8, &n);
	tn_record_builder_i64(b, 9, 20000 +
	    (int64_t)(help_random(r) % 70));
	tn_record_builder_i64(b, 10, INT64_C(1772000000000000) +
	    (int64_t)(help_random(r) % 100000) * 1000000);
	tn_record_builder_i64(b, 11, (int64_t)(help_random(r) % 50) *
	    INT64_C(7200000000));
	tn_record_builder_i64(b, 12, (int64_t)(help_random(r) % 86400) *
	    1000000);
	uuid[0] = (uint8_t)(help_random(r) % 5);
	uuid[15] = (uint8_t)(help_random(r) % 5);
	tn_record_builder_fixed(b, 13, uuid);
	tn_record_builder_text(b, 14, j, strlen(j));
}

/* Random rows of the stream e; about one value in eight is null. */
static inline struct tn_batch *
help_batch(const struct tn_schema *schema, uint64_t *r, uint32_t rows,
    bool special)
{
	struct tn_builder *b = tn_record_builder_new(schema, rows);
	struct tn_batch *out;

	for (uint32_t i = 0; i < rows; i++) {
		help_row(b, r, special);
		for (uint32_t c = 0; c < schema->count; c++)
			if (help_random(r) % 8 == 0) {
				tn_record_builder_again(b, c);
				tn_record_builder_null(b, c);
			}
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

/* Rows from texts: "a|b|c" a row, empty is null, columns by type. */
static inline struct tn_batch *
help_rows(const struct tn_schema *schema, const char *const *rows,
    uint32_t count)
{
	struct tn_builder *b = tn_record_builder_new(schema, count);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_batch *out;

	for (uint32_t i = 0; i < count; i++) {
		const char *p = rows[i];

		for (uint32_t c = 0; c < schema->count && *p != 0; c++) {
			size_t n = strcspn(p, "|");
			const struct tn_column *v;

			if (n > 0) {
				v = tn_exec_parse(a, schema->fields[c].type,
				    (struct tn_slice){ (const uint8_t *)p,
				    n });
				if (v == NULL)
					fail_msg("bad value in %s", rows[i]);
				tn_record_builder_copy(b, c, v, 0);
			}
			p += n + (p[n] == '|');
		}
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	tn_arena_free(a);
	return out;
}

/* All rows as "a|b\n", null as nothing, cut to 10 digits for floats if
 * ${loose}. */
static inline char *
help_dump(const struct tn_batch *b, bool loose)
{
	struct tn_buf out = { .n = 0 };

	for (uint32_t i = 0; i < b->rows; i++) {
		for (uint32_t c = 0; c < b->schema->count; c++) {
			const struct tn_column *col = &b->columns[c];
			bool f8 = col->type.id == TN_T_FLOAT8 &&
			    tn_column_valid(col, i);

			if (c > 0)
				tn_buf_char(&out, '|');
			if (loose && f8)
				tn_buf_printf(&out, "%.9e",
				    ((const double *)col->values)[i]);
			else
				tn_record_print(&out, col, i);
		}
		tn_buf_char(&out, '\n');
	}
	(void)tn_buf_cstr(&out);
	return (char *)out.p;
}

#endif

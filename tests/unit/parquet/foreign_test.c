/* foreign: pages and types that our writer never makes, put together by hand:
 * a file of one column, one row group and one page (and a dictionary). */
#include "test.h"
#include "parquet/parquet.h"
#include "parquet/parquet_int.h"
#include "pq_gen.h"

struct craft {
	int physical;
	int fixed_bytes;
	int converted;       /* -1: none */
	int precision;
	int scale;
	int encoding;
	bool optional;
	bool v2;
	bool packed;         /* v2: says that it is compressed */
	int codec;
	int raw_more;        /* What its length unpacked is said to be more */
	int values;
	const void *body;
	size_t body_bytes;
	int level_bytes;     /* v2: at the start of the body */
	const void *dict;
	size_t dict_bytes;
	int dict_values;
	int logical;         /* 0: none; an empty struct, or with a unit */
	int unit;
	int kind;            /* Repetition when not 0 */
};

static void
put_page(struct tn_buf *b, const struct craft *k, bool dict)
{
	size_t n = dict ? k->dict_bytes : k->body_bytes;
	int16_t last = 0, in = 0;

	tn_parquet_put_i32(b, &last, 1, dict ? 2 : k->v2 ? 3 : 0);
	tn_parquet_put_i32(b, &last, 2, (int32_t)n + (dict ? 0 : k->raw_more));
	tn_parquet_put_i32(b, &last, 3, (int32_t)n);
	tn_parquet_put_field(b, &last, dict ? 7 : k->v2 ? 8 : 5,
	    TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &in, 1, dict ? k->dict_values : k->values);
	if (k->v2 && !dict) {
		tn_parquet_put_i32(b, &in, 2, 0);
		tn_parquet_put_i32(b, &in, 3, k->values);
		tn_parquet_put_i32(b, &in, 4, k->encoding);
		tn_parquet_put_i32(b, &in, 5, k->level_bytes);
		tn_parquet_put_i32(b, &in, 6, 0);
		tn_parquet_put_bool(b, &in, 7, k->packed);
	} else {
		tn_parquet_put_i32(b, &in, 2, dict ? 0 : k->encoding);
	}
	if (!k->v2 && !dict) {
		tn_parquet_put_i32(b, &in, 3, TN_PQ_RLE);
		tn_parquet_put_i32(b, &in, 4, TN_PQ_BIT_PACKED);
	}
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
	tn_buf_add(b, dict ? k->dict : k->body, n);
}

static void
put_schema(struct tn_buf *b, int16_t *last, const struct craft *k)
{
	int16_t root = 0, leaf = 0, outer = 0, in = 0, unit = 0;

	tn_parquet_put_list(b, last, 2, TN_PQ_T_STRUCT, 2);
	tn_parquet_put_binary(b, &root, 4, "root", 4);
	tn_parquet_put_i32(b, &root, 5, 1);
	tn_parquet_put_stop(b);
	tn_parquet_put_i32(b, &leaf, 1, k->physical);
	if (k->fixed_bytes > 0)
		tn_parquet_put_i32(b, &leaf, 2, k->fixed_bytes);
	tn_parquet_put_i32(b, &leaf, 3, k->kind != 0 ? k->kind : k->optional);
	tn_parquet_put_binary(b, &leaf, 4, "c", 1);
	if (k->converted >= 0)
		tn_parquet_put_i32(b, &leaf, 6, k->converted);
	tn_parquet_put_i32(b, &leaf, 7, k->scale);
	tn_parquet_put_i32(b, &leaf, 8, k->precision);
	if (k->logical > 0) {
		tn_parquet_put_field(b, &leaf, 10, TN_PQ_T_STRUCT);
		tn_parquet_put_field(b, &outer, (int16_t)k->logical,
		    TN_PQ_T_STRUCT);
		if (k->unit > 0) {
			tn_parquet_put_bool(b, &in, 1, false);
			tn_parquet_put_field(b, &in, 2, TN_PQ_T_STRUCT);
			tn_parquet_put_field(b, &unit, (int16_t)k->unit,
			    TN_PQ_T_STRUCT);
			tn_parquet_put_stop(b);
			tn_parquet_put_stop(b);
		}
		tn_parquet_put_stop(b);
		tn_parquet_put_stop(b);
	}
	tn_parquet_put_stop(b);
}

static void
put_group(struct tn_buf *b, const struct craft *k, size_t data_at,
    size_t end)
{
	int16_t group = 0, chunk = 0, meta = 0;

	tn_parquet_put_list(b, &group, 1, TN_PQ_T_STRUCT, 1);
	tn_parquet_put_i64(b, &chunk, 2, 0);
	tn_parquet_put_field(b, &chunk, 3, TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &meta, 1, k->physical);
	tn_parquet_put_i32(b, &meta, 4, k->codec);
	tn_parquet_put_i64(b, &meta, 5, k->values);
	tn_parquet_put_i64(b, &meta, 7, (int64_t)(end - 4));
	tn_parquet_put_i64(b, &meta, 9, (int64_t)data_at);
	if (k->dict != NULL)
		tn_parquet_put_i64(b, &meta, 11, 4);
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
	tn_parquet_put_i64(b, &group, 3, k->values);
	tn_parquet_put_stop(b);
}

static void
craft_file(const struct craft *k)
{
	struct tn_buf b = { .p = NULL };
	int16_t last = 0;
	size_t data_at, end;
	FILE *f;

	tn_buf_str(&b, "PAR1");
	if (k->dict != NULL)
		put_page(&b, k, true);
	data_at = b.n;
	put_page(&b, k, false);
	end = b.n;
	tn_parquet_put_i32(&b, &last, 1, 1);
	put_schema(&b, &last, k);
	tn_parquet_put_i64(&b, &last, 3, k->values);
	tn_parquet_put_list(&b, &last, 4, TN_PQ_T_STRUCT, 1);
	put_group(&b, k, data_at, end);
	tn_parquet_put_stop(&b);
	tn_buf_u32(&b, (uint32_t)(b.n - end));
	tn_buf_str(&b, "PAR1");
	f = fopen(PATH, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
	fclose(f);
	tn_buf_fini(&b);
}

/* All rows as PostgreSQL prints them, "|" behind each, "~" for null. */
static void
print_rows(struct tn_buf *out, const struct tn_column *c)
{
	for (uint32_t i = 0; i < c->rows; i++) {
		if (!tn_column_valid(c, i))
			tn_buf_char(out, '~');
		else if (c->dict != NULL)
			tn_record_print(out, c->dict,
			    ((const uint32_t *)c->values)[i]);
		else
			tn_record_print(out, c, i);
		tn_buf_char(out, '|');
	}
}

/* The rows, or the name of the failure. */
static const char *
read_text(const struct craft *k, bool keep, struct tn_diag *d)
{
	struct tn_parquet_read_opts o = { .keep_dictionary = keep };
	static struct tn_buf out;
	struct tn_parquet_reader *r = NULL;
	struct tn_batch *b = NULL;
	enum tn_status st;

	craft_file(k);
	*d = (struct tn_diag){ .line = 0 };
	tn_buf_clear(&out);
	st = tn_parquet_open(&r, PATH, d);
	if (st == TN_OK)
		st = tn_parquet_read(r, 0, &o, &b, d);
	if (b != NULL)
		print_rows(&out, &b->columns[0]);
	tn_record_batch_unref(b);
	/* NULL when it was not opened. */
	tn_parquet_close(r);
	return st == TN_OK ? tn_buf_cstr(&out) : tn_status_text(st);
}

static void
expect(struct craft k, const void *body, size_t n, const char *want)
{
	struct tn_diag d;
	const char *got;

	k.body = body;
	k.body_bytes = n;
	for (int keep = 0; keep < 2; keep++) {
		got = read_text(&k, keep == 1, &d);
		if (strcmp(got, want) != 0)
			fail_msg("got %s, not %s (%s)", got, want,
			    d.message);
	}
}

/* Goal: INT96 is a timestamp, before 1970 too. */
static void
int96(void **state)
{
	struct craft k = { .physical = 3, .converted = -1, .values = 3 };
	uint8_t b[36] = { 0 };
	uint64_t nanos = UINT64_C(43200123456789);
	uint32_t days[] = { 2440588, 2440587, 2460677 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		memcpy(b + 12 * i, &nanos, 8);
		memcpy(b + 12 * i + 8, &days[i], 4);
	}
	expect(k, b, sizeof b, "1970-01-01 12:00:00.123456|"
	    "1969-12-31 12:00:00.123456|2025-01-01 12:00:00.123456|");
	k.values = 4;
	expect(k, b, sizeof b, tn_status_text(TN_ECORRUPT));
}

/* Goal: unsigned integers keep their values. */
static void
unsigned_integers(void **state)
{
	struct craft k = { .physical = 1, .values = 2 };
	static const uint32_t v[] = { 200, 4294967295u };
	static const uint64_t w[] = { 200, UINT64_MAX };

	(void)state;
	k.converted = 11;
	expect(k, v, 8, "200|255|");
	k.converted = 12;
	expect(k, v, 8, "200|65535|");
	k.converted = 13;
	expect(k, v, 8, "200|4294967295|");
	k.physical = 2;
	k.converted = 14;
	expect(k, w, 16, "200|18446744073709551615|");
	/* A signed 16-bit column that holds more is damaged. */
	k.physical = 1;
	k.converted = 16;
	expect(k, v, 4, tn_status_text(TN_ECORRUPT));
	k.values = 1;
	expect(k, v, 4, "200|");
}

/* Goal: times and timestamps in milli- and nanoseconds become microseconds,
 * rounded down; one that does not fit is refused. */
static void
time_units(void **state)
{
	struct craft k = { .physical = 1, .converted = 7, .values = 1 };
	static const int32_t ms = 3723004;
	static const int64_t v = -1500, big = INT64_MAX / 10;

	(void)state;
	expect(k, &ms, 4, "01:02:03.004|");
	k.physical = 2;
	k.converted = 9;
	expect(k, &v, 8, "1969-12-31 23:59:58.5+00|");
	expect(k, &big, 8, tn_status_text(TN_ECORRUPT));
	k.converted = -1;
	k.logical = TN_PQ_L_TIMESTAMP;
	k.unit = TN_PQ_NANOS;
	expect(k, &v, 8, "1969-12-31 23:59:59.999998|");
	k.unit = TN_PQ_MILLIS;
	expect(k, &v, 8, "1969-12-31 23:59:58.5|");
	k.unit = 9;
	expect(k, &v, 8, tn_status_text(TN_EUNSUPPORTED));
}

/* Goal: decimals of every physical type are read. */
static void
decimals(void **state)
{
	struct craft k = { .physical = 1, .converted = 5, .precision = 9,
	    .scale = 2, .values = 1 };
	static const int32_t v = -12345;
	static const uint8_t bytes[] = { 2, 0, 0, 0, 0xcf, 0xc7, 1, 0, 0, 0,
	    0x7f };
	static const uint8_t fixed[] = { 0xff, 0xcf, 0xc7 };

	(void)state;
	expect(k, &v, 4, "-123.45|");
	k.physical = 6;
	k.values = 2;
	expect(k, bytes, sizeof bytes, "-123.45|1.27|");
	expect(k, bytes, sizeof bytes - 1, tn_status_text(TN_ECORRUPT));
	k.physical = 7;
	k.fixed_bytes = 3;
	k.values = 1;
	expect(k, fixed, 3, "-123.45|");
	k.precision = 39;
	expect(k, fixed, 3, tn_status_text(TN_EUNSUPPORTED));
	k.precision = 2;
	k.scale = 3;
	expect(k, fixed, 3, tn_status_text(TN_EUNSUPPORTED));
}

/* Goal: half floats: normal, smallest, infinite. */
static void
half_floats(void **state)
{
	struct craft k = { .physical = 7, .fixed_bytes = 2, .converted = -1,
	    .logical = TN_PQ_L_FLOAT16, .values = 4 };
	static const uint8_t v[] = { 0x00, 0x3e, 0x01, 0x00, 0x00, 0xfc, 0x00,
	    0xc0 };

	(void)state;
	expect(k, v, sizeof v, "1.5|5.9604645e-08|-Infinity|-2|");
	k.fixed_bytes = 4;
	expect(k, v, sizeof v, tn_status_text(TN_EUNSUPPORTED));
}

/* Goal: DELTA_BYTE_ARRAY joins prefixes and suffixes; a prefix longer than
 * the text before is refused. */
static void
delta_byte_arrays(void **state)
{
	struct craft k = { .physical = 6, .converted = 0,
	    .encoding = TN_PQ_DELTA_BYTES, .values = 4 };
	static const int64_t prefixes[] = { 0, 2, 0, 3 };
	static const int64_t bad[] = { 0, 2, 5, 3 };
	static const int64_t suffixes[] = { 4, 2, 6, 5 };
	struct tn_buf b = { .p = NULL };

	(void)state;
	tn_parquet_delta_encode(&b, prefixes, 4, true);
	tn_parquet_delta_encode(&b, suffixes, 4, true);
	tn_buf_str(&b, "axislebabbleyhood");
	expect(k, b.p, b.n, "axis|axle|babble|babyhood|");
	expect(k, b.p, b.n - 1, tn_status_text(TN_ECORRUPT));
	tn_buf_clear(&b);
	tn_parquet_delta_encode(&b, bad, 4, true);
	tn_parquet_delta_encode(&b, suffixes, 4, true);
	tn_buf_str(&b, "axislebabbleyhood");
	expect(k, b.p, b.n, tn_status_text(TN_ECORRUPT));
	tn_buf_fini(&b);
}

/* Goal: fixed bytes without a meaning are bytes; they and uuids may come as
 * DELTA_BYTE_ARRAY; another length than the column's is refused. */
static void
fixed_bytes(void **state)
{
	struct craft k = { .physical = 7, .fixed_bytes = 3, .converted = -1,
	    .values = 2 };
	static const int64_t prefixes[] = { 0, 15 };
	static const int64_t suffixes[] = { 16, 1 };
	static const int64_t bad[] = { 16, 2 };
	struct tn_buf b = { .p = NULL };

	(void)state;
	expect(k, "abcdef", 6, "\\x616263|\\x646566|");
	expect(k, "abcdef", 5, tn_status_text(TN_ECORRUPT));
	k.fixed_bytes = 16;
	k.logical = TN_PQ_L_UUID;
	k.encoding = TN_PQ_DELTA_BYTES;
	tn_parquet_delta_encode(&b, prefixes, 2, true);
	tn_parquet_delta_encode(&b, suffixes, 2, true);
	tn_buf_str(&b, "aaaaaaaaaaaaaaaab");
	expect(k, b.p, b.n, "61616161-6161-6161-6161-616161616161|"
	    "61616161-6161-6161-6161-616161616162|");
	tn_buf_clear(&b);
	tn_parquet_delta_encode(&b, prefixes, 2, true);
	tn_parquet_delta_encode(&b, bad, 2, true);
	tn_buf_str(&b, "aaaaaaaaaaaaaaaabc");
	expect(k, b.p, b.n, tn_status_text(TN_ECORRUPT));
	tn_buf_fini(&b);
}

/* Goal: BYTE_STREAM_SPLIT and RLE booleans are read. */
static void
split_and_rle(void **state)
{
	struct craft k = { .physical = 1, .converted = -1,
	    .encoding = TN_PQ_SPLIT, .values = 2 };
	static const uint8_t ints[] = { 1, 2, 0, 0, 0, 1, 0, 0 };
	static const uint8_t bools[] = { 2, 0, 0, 0, 6, 1 };

	(void)state;
	expect(k, ints, sizeof ints, "1|65538|");
	expect(k, ints, 7, tn_status_text(TN_ECORRUPT));
	k = (struct craft){ .physical = 0, .converted = -1,
	    .encoding = TN_PQ_RLE, .values = 3 };
	expect(k, bools, sizeof bools, "true|true|true|");
}

/* Goal: dictionaries of the old name, page v2 and nulls are read; a code
 * beyond the dictionary, a missing dictionary and bad UTF-8 are refused. */
static void
dictionaries(void **state)
{
	static const uint8_t dict[] = { 1, 0, 0, 0, 'x', 2, 0, 0, 0, 0xc3,
	    0xa4 };
	/* Levels 1 0 1 1 (v2: without a length), width 1, codes 1 0 1. */
	static const uint8_t body[] = { 3, 0x0d, 1, 3, 0x05 };
	struct craft k = { .physical = 6, .converted = 0, .optional = true,
	    .encoding = TN_PQ_PLAIN_DICTIONARY, .values = 4, .v2 = true,
	    .level_bytes = 2, .dict = dict, .dict_bytes = sizeof dict,
	    .dict_values = 2 };

	(void)state;
	expect(k, body, sizeof body, "ä|~|x|ä|");
	k.dict_values = 1;
	expect(k, body, sizeof body, tn_status_text(TN_ECORRUPT));
	k.dict_values = 2;
	k.dict_bytes--;
	expect(k, body, sizeof body, tn_status_text(TN_ECORRUPT));
	k.dict = NULL;
	expect(k, body, sizeof body, tn_status_text(TN_ECORRUPT));
	k.dict = dict;
	k.dict_bytes = sizeof dict;
	k.level_bytes = 6;
	expect(k, body, sizeof body, tn_status_text(TN_ECORRUPT));
}

/* Goal: a page that is not compressed and says two lengths is refused, of either
 * version, whichever is larger, also where the column is compressed otherwise
 * and where levels stand before the values. */
static void
two_lengths(void **state)
{
	/* A run of two values that are there, and the values. */
	static const uint8_t body[] = { 4, 1, 7, 0, 0, 0, 8, 0, 0, 0 };
	static const int more[] = { 0, 4, -4, 1, -1, 1 << 20 };
	struct craft k = { .physical = 1, .converted = -1, .values = 2 };
	struct tn_diag d;

	(void)state;
	for (uint32_t way = 0; way < 8; way++) {
		k.v2 = way > 0;
		k.packed = way == 1;             /* By nothing. */
		k.codec = way > 3 ? TN_PQ_ZSTD : TN_PQ_RAW;
		k.optional = k.v2 && way % 2 == 0;
		k.level_bytes = k.optional ? 2 : 0;
		k.body = k.optional ? body : body + 2;
		k.body_bytes = sizeof body - (k.optional ? 0 : 2);
		for (uint32_t i = 0; i < TN_COUNT(more); i++) {
			k.raw_more = more[i];
			assert_string_equal(read_text(&k, false, &d),
			    more[i] == 0 ? "7|8|" :
			    tn_status_text(TN_ECORRUPT));
			assert_true(more[i] == 0 || strstr(d.message,
			    "two lengths") != NULL);
		}
	}
}

/* Goal: a dictionary is not kept where a page does not use it. */
static void
unused_dictionaries(void **state)
{
	static const uint8_t dict[] = { 1, 0, 0, 0, 'x' };
	static const uint8_t body[] = { 1, 0, 0, 0, 'p', 1, 0, 0, 0, 'q' };
	struct craft k = { .physical = 6, .converted = 0, .values = 2,
	    .dict = dict, .dict_bytes = sizeof dict, .dict_values = 1 };

	(void)state;
	expect(k, body, sizeof body, "p|q|");
}

/* Goal: a small file can not ask for a huge batch: one long text, repeated by
 * a run of codes; and a run of more values than a page may have. */
static void
bombs_are_refused(void **state)
{
	const uint32_t n = 1 << 20;
	uint8_t *dict = tn_zalloc(n + 4);
	/* Width 1, a run of 2000 times code 0. */
	static const uint8_t body[] = { 1, 0xa0, 0x1f, 0 };
	struct craft k = { .physical = 6, .converted = 0, .values = 2000,
	    .encoding = TN_PQ_RLE_DICTIONARY, .dict = dict,
	    .dict_bytes = n + 4, .dict_values = 1, .body = body,
	    .body_bytes = sizeof body };
	struct tn_diag d;

	(void)state;
	memcpy(dict, &n, 4);
	assert_string_equal(read_text(&k, false, &d),
	    tn_status_text(TN_ELIMIT));
	assert_non_null(strstr(d.message, "\"c\""));
	/* As codes it is small. */
	assert_string_not_equal(read_text(&k, true, &d),
	    tn_status_text(TN_ELIMIT));
	k.values = 1 << 30;
	assert_string_equal(read_text(&k, false, &d),
	    tn_status_text(TN_ECORRUPT));
	tn_free(dict);
}

/* Goal: texts that are UTF-8 only when put together are refused. */
static void
split_characters(void **state)
{
	struct craft k = { .physical = 6, .converted = 0, .values = 2 };
	static const uint8_t good[] = { 2, 0, 0, 0, 0xc3, 0xa4, 0, 0, 0, 0 };
	static const uint8_t bad[] = { 1, 0, 0, 0, 0xc3, 1, 0, 0, 0, 0xa4 };

	(void)state;
	expect(k, good, sizeof good, "ä||");
	expect(k, bad, sizeof bad, tn_status_text(TN_ECORRUPT));
	k.converted = -1;
	expect(k, bad, sizeof bad, "\\xc3|\\xa4|");
}

/* Goal: what is not read is refused with a reason that names it. */
static void
refusals(void **state)
{
	struct craft k = { .physical = 1, .converted = -1, .values = 1,
	    .encoding = TN_PQ_DELTA_LENGTH, .body = "\0\0\0\0",
	    .body_bytes = 4 };
	struct tn_diag d;

	(void)state;
	assert_string_equal(read_text(&k, false, &d),
	    tn_status_text(TN_EUNSUPPORTED));
	assert_non_null(strstr(d.message, "\"c\""));
	assert_string_equal(d.code, "unsupported_file");
	k.encoding = 0;
	k.kind = 2;
	assert_string_equal(read_text(&k, false, &d),
	    tn_status_text(TN_EUNSUPPORTED));
	assert_non_null(strstr(d.message, "nested"));
	k.kind = 0;
	k.logical = 13;
	assert_string_equal(read_text(&k, false, &d),
	    tn_status_text(TN_EUNSUPPORTED));
	assert_string_equal(d.code, "unsupported_type");
	k.logical = 0;
	k.physical = 9;
	assert_string_equal(read_text(&k, false, &d), tn_status_text(TN_ECORRUPT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int96),
		cmocka_unit_test(unsigned_integers),
		cmocka_unit_test(time_units),
		cmocka_unit_test(decimals),
		cmocka_unit_test(half_floats),
		cmocka_unit_test(delta_byte_arrays),
		cmocka_unit_test(fixed_bytes),
		cmocka_unit_test(split_and_rle),
		cmocka_unit_test(dictionaries),
		cmocka_unit_test(two_lengths),
		cmocka_unit_test(unused_dictionaries),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(split_characters),
		cmocka_unit_test(refusals),
	};

	gen_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

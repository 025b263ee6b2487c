/* Numbers, booleans and uuids as text. Judges: the C library's strtod and
 * printf for doubles, plain integer arithmetic for the rest. */
#include "record_test.h"

#include <inttypes.h>
#include <math.h>

#include "../../../src/record/record_int.h"

static bool
read_f64(const char *text, double *v)
{
	return tn_record_parse_f64(tn_slice_of(text), v);
}

/* Goal: the table of powers of ten is what exact arithmetic gives: each
 * entry is the one before times ten, cut off, checked with 640 bits. */
static void
test_pow10(void **state)
{
	enum { LIMBS = 40 };
	uint32_t n[LIMBS] = { 1 };   /* 10^k, little-endian. */

	(void)state;
	for (int k = 0; k <= POW10_MAX; k++) {
		const uint64_t *g = tn_record_pow10[k - POW10_MIN];
		uint64_t carry = 0;
		int top = LIMBS * 32 - 1;

		while ((n[top / 32] >> (top % 32) & 1) == 0)
			top--;
		for (int bit = 0; bit < 128; bit++) {
			int at = top - bit;
			uint64_t want = at < 0 ? 0 :
			    n[at / 32] >> (at % 32) & 1;

			assert_int_equal(g[bit / 64] >> (63 - bit % 64) & 1,
			    want);
		}
		for (int i = 0; i < LIMBS; i++) {
			carry += (uint64_t)n[i] * 10;
			n[i] = (uint32_t)carry;
			carry >>= 32;
		}
	}
}

/* 10^-k * 10^k is 1 within what was cut off. */
static void
test_pow10_negative(void **state)
{
	(void)state;
	for (int k = 1; k <= POW10_MAX; k++) {
		const uint64_t *a = tn_record_pow10[-k - POW10_MIN];
		const uint64_t *b = tn_record_pow10[k - POW10_MIN];
		unsigned __int128 p = (unsigned __int128)a[0] * b[0] +
		    ((unsigned __int128)a[0] * b[1] >> 64) +
		    ((unsigned __int128)a[1] * b[0] >> 64);

		/* Just below a power of two: a carry-free run of ones. */
		assert_true((uint64_t)(p >> 64) >= UINT64_MAX >> 1);
		assert_true((p << ((p >> 127) ? 0 : 1)) >> 66 ==
		    (~(unsigned __int128)0) >> 66);
	}
}

/* The fewest digits that read back as v, and how the C library prints v with
 * so many: the judge of shortest forms. */
static int
digits_needed(double v)
{
	char text[64];

	for (int n = 1; n < 17; n++) {
		snprintf(text, sizeof text, "%.*e", n - 1, v);
		if (strtod(text, NULL) == v)
			return n;
	}
	return 17;
}

static int
digits_in(const char *text)
{
	const char *p = text;
	int n = 0;
	int zeros = 0;

	for (; *p != '\0' && *p != 'e'; p++) {
		if (*p < '0' || *p > '9' || (n == 0 && *p == '0'))
			continue;
		n++;
		zeros = *p == '0' ? zeros + 1 : 0;
	}
	return n - zeros;
}

static void
check_f64(double v)
{
	struct tn_buf b = { .n = 0 };
	const char *text;
	double back;
	uint64_t bits[2];

	tn_record_print_f64(&b, v);
	text = tn_buf_cstr(&b);
	assert_true(strtod(text, NULL) == v);
	assert_true(read_f64(text, &back));
	memcpy(&bits[0], &v, 8);
	memcpy(&bits[1], &back, 8);
	if (bits[0] != bits[1])
		fail_msg("%s reads as %a, not %a", text, back, v);
	/* Only the very ends of the interval, which belong to it when the
	 * mantissa is even, are not used. */
	if (digits_in(text) > digits_needed(v) && (bits[0] & 1) != 0)
		fail_msg("%s has too many digits (%a)", text, v);
	tn_buf_fini(&b);
}

/* Goal: any double prints short and reads back to the same bits. */
static void
test_f64_round_trip(void **state)
{
	(void)state;
	for (int i = 0; i < 300000; i++) {
		uint64_t bits = random_u64();
		double v;

		memcpy(&v, &bits, 8);
		if (isfinite(v) && v != 0)
			check_f64(v);
		check_f64((double)(int64_t)random_below(1000000) / 1000 +
		    0.001);
	}
	for (int e = -1074; e < 1024; e++) {
		check_f64(ldexp(1, e));
		check_f64(nextafter(ldexp(1, e), INFINITY));
		if (e > -1074)
			check_f64(nextafter(ldexp(1, e), 0));
	}
}

/* Goal: floats likewise, judged by strtof. */
static void
test_f32_round_trip(void **state)
{
	struct tn_buf b = { .n = 0 };

	(void)state;
	for (int i = 0; i < 300000; i++) {
		uint32_t bits = (uint32_t)random_u64();
		float v;

		memcpy(&v, &bits, 4);
		if (!isfinite(v))
			continue;
		tn_buf_clear(&b);
		tn_record_print_f32(&b, v);
		assert_true(strtof(tn_buf_cstr(&b), NULL) == v);
		assert_true(digits_in(tn_buf_cstr(&b)) <= 9);
	}
	tn_buf_fini(&b);
}

/* Goal: the layout is PostgreSQL's (compared with version 15 by hand). */
static void
test_float_layout(void **state)
{
	static const struct {
		double v;
		const char *text;
	} doubles[] = {
		{ 0.1, "0.1" }, { 1e300, "1e+300" }, { 1e-5, "1e-05" },
		{ 1e-4, "0.0001" }, { 1e14, "100000000000000" },
		{ 1e15, "1e+15" }, { 123456789012345, "123456789012345" },
		{ 1234567890123456, "1.234567890123456e+15" },
		{ -0.0, "-0" }, { 0, "0" }, { 5e-324, "5e-324" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ -1.5, "-1.5" }, { 100, "100" }, { 0.00012345, "0.00012345" },
		{ 9007199254740993, "9.007199254740992e+15" },
		{ -6.7866411446544e18, "-6.786641144654399e+18" },
		{ (double)INFINITY, "Infinity" },
		{ -(double)INFINITY, "-Infinity" }, { (double)NAN, "NaN" },
	};
	static const struct {
		float v;
		const char *text;
	} floats[] = {
		{ 0.1f, "0.1" }, { 1e5f, "100000" }, { 1e6f, "1e+06" },
		{ 16777216, "1.6777216e+07" }, { 1e-45f, "1e-45" },
		{ 3.4028235e38f, "3.4028235e+38" }, { 0.0001f, "0.0001" },
	};
	struct tn_buf b = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(doubles); i++) {
		tn_buf_clear(&b);
		tn_record_print_f64(&b, doubles[i].v);
		assert_string_equal(tn_buf_cstr(&b), doubles[i].text);
	}
	for (size_t i = 0; i < TN_COUNT(floats); i++) {
		tn_buf_clear(&b);
		tn_record_print_f32(&b, floats[i].v);
		assert_string_equal(tn_buf_cstr(&b), floats[i].text);
	}
	tn_buf_fini(&b);
}

static void
check_read(const char *text)
{
	double want = strtod(text, NULL);
	double got = 0;

	if (isinf(want)) {
		assert_false(read_f64(text, &got));
		return;
	}
	assert_true(read_f64(text, &got));
	if (got != want)
		fail_msg("%s reads as %a, not %a", text, got, want);
}

/* Goal: reading rounds correctly: short, long and half-way texts agree with
 * the C library. */
static void
test_f64_read(void **state)
{
	char text[1600];

	(void)state;
	for (int i = 0; i < 300000; i++) {
		snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64 "e%d",
		    random_u64() >> random_below(64),
		    random_u64() >> random_below(64),
		    (int)random_below(590) - 300);
		check_read(text);
	}
	for (int i = 0; i < 3000; i++) {
		double v;
		uint64_t bits = random_u64() >> 2;   /* Positive, finite. */
		size_t n;

		/* The exact midpoint between v and the next, printed in
		 * full, then one unit more in its last place and less. */
		memcpy(&v, &bits, 8);
		if (v > 1 || v < 1e-290)
			v = 1 + (double)random_below(1000000) / 7;
		n = (size_t)snprintf(text, sizeof text, "%.1100Lf",
		    (long double)v + ((long double)nextafter(v, INFINITY) -
		    (long double)v) / 2);
		check_read(text);
		text[n] = '1';
		text[n + 1] = '\0';
		check_read(text);
		text[n] = '0';
		check_read(text);
		text[n - 1] = '1';
		check_read(text);
	}
}

/* Goal: what is not a number, or out of range, is refused. */
static void
test_f64_refused(void **state)
{
	static const char *const bad[] = { "", "-", "+", ".", "e5", "1e",
	    "1e+", "1e400", "-1e400", "1e-400", "1..2", "1.2.3", "--1", "+-1",
	    " 1", "1 ", "0x10", "1_000", "1,5", "infinit", "nano", "1f",
	    "1e5.5", "2.4703282292062327e-324", "١" };
	double v;
	char *long_text = malloc(100001);

	(void)state;
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		if (read_f64(bad[i], &v))
			fail_msg("taken: \"%s\"", bad[i]);
	assert_false(tn_record_parse_f64((struct tn_slice){ NULL, 0 }, &v));
	assert_false(tn_record_parse_f64(
	    (struct tn_slice){ (const uint8_t *)"1\0", 2 }, &v));
	assert_true(read_f64("0e99999999999999999999", &v) && v == 0);
	assert_true(read_f64("-0", &v) && v == 0 && signbit(v));
	assert_true(read_f64("+.5", &v) && v == 0.5);
	assert_true(read_f64("5.", &v) && v == 5);
	assert_true(read_f64("INF", &v) && isinf(v));
	assert_true(read_f64("-Infinity", &v) && v < 0 && isinf(v));
	assert_true(read_f64("NaN", &v) && isnan(v));
	/* 100,000 digits: refused when too large, taken when scaled back. */
	memset(long_text, '7', 100000);
	long_text[100000] = '\0';
	assert_false(read_f64(long_text, &v));
	long_text[1] = '.';
	assert_true(read_f64(long_text, &v) && v == 70.0 / 9);
	free(long_text);
}

static void
check_numeric(const char *text, uint8_t precision, uint8_t scale, bool taken,
    int64_t units)
{
	__int128 v = -1;
	bool ok = tn_record_parse_numeric(tn_slice_of(text), precision, scale,
	    &v);

	if (ok != taken || (ok && v != units))
		fail_msg("%s (%u,%u): %d, %lld", text, precision, scale, ok,
		    (long long)v);
}

/* Goal: numerics are exact, round half away from zero, and keep their
 * limits. */
static void
test_numeric_read(void **state)
{
	(void)state;
	check_numeric("1.005", 10, 2, true, 101);
	check_numeric("-1.005", 10, 2, true, -101);
	check_numeric("1.00499999999999999999999999999999", 10, 2, true, 100);
	check_numeric("99.995", 4, 2, false, 0);
	check_numeric("99.994", 4, 2, true, 9999);
	check_numeric("0.5", 1, 0, true, 1);
	check_numeric("0.05", 1, 0, true, 0);
	check_numeric("9.5", 1, 0, false, 0);
	check_numeric("1e3", 10, 2, true, 100000);
	check_numeric("1.5e-2", 10, 2, true, 2);
	check_numeric("0e999999999", 10, 2, true, 0);
	check_numeric("1e-999999999", 10, 2, true, 0);
	check_numeric("1e999999999", 38, 0, false, 0);
	check_numeric("00000000000000000000000000000000000000000000000000001",
	    1, 0, true, 1);
	check_numeric("", 10, 2, false, 0);
	check_numeric(".", 10, 2, false, 0);
	check_numeric("NaN", 10, 2, false, 0);
	check_numeric("Infinity", 10, 2, false, 0);
	check_numeric("1 ", 10, 2, false, 0);
	check_numeric("0x1", 10, 2, false, 0);
}

static __int128
random_numeric(void)
{
	unsigned __int128 v = (unsigned __int128)random_u64() << 64;
	unsigned __int128 e38 = 1;
	uint32_t digits = 1 + random_below(38);

	while (digits-- > 0)
		e38 *= 10;
	v = (v | random_u64()) % e38;
	return random_below(2) ? -(__int128)v : (__int128)v;
}

/* Goal: any numeric prints and reads back, with and without zeros. */
static void
test_numeric_round_trip(void **state)
{
	struct tn_buf b = { .n = 0 };

	(void)state;
	for (int i = 0; i < 200000; i++) {
		__int128 v = random_numeric();
		uint8_t scale = (uint8_t)random_below(39);
		__int128 back;

		tn_buf_clear(&b);
		tn_record_print_numeric(&b, v, scale, i % 2);
		assert_true(tn_record_parse_numeric(
		    (struct tn_slice){ b.p, b.n }, 38, scale, &back));
		assert_true(back == v);
	}
	tn_buf_clear(&b);
	tn_record_print_numeric(&b, -5, 3, true);
	tn_buf_char(&b, ' ');
	tn_record_print_numeric(&b, 1200, 3, true);
	tn_buf_char(&b, ' ');
	tn_record_print_numeric(&b, 1200, 3, false);
	tn_buf_char(&b, ' ');
	tn_record_print_numeric(&b, 5000, 3, false);
	tn_buf_char(&b, ' ');
	tn_record_print_numeric(&b, 0, 2, true);
	tn_buf_char(&b, ' ');
	tn_record_print_numeric(&b, -((__int128)1 << 126) * 2, 38, true);
	assert_string_equal(tn_buf_cstr(&b), "-0.005 1.200 1.2 5 0.00 "
	    "-1.70141183460469231731687303715884105728");
	tn_buf_fini(&b);
}

/* Goal: booleans are PostgreSQL's words and their unique beginnings. */
static void
test_bool(void **state)
{
	static const char *const good[] = { "t", "tr", "true", "TRUE", "y",
	    "yes", "on", "1", "f", "fals", "False", "n", "no", "of", "off",
	    "0" };
	static const char *const bad[] = { "", "o", "2", "00", "truee", " t",
	    "-1", "ja", "10" };
	bool v;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(good); i++) {
		assert_true(tn_record_parse_bool(tn_slice_of(good[i]), &v));
		assert_int_equal(v, i < 8);
	}
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_false(tn_record_parse_bool(tn_slice_of(bad[i]), &v));
}

/* Goal: uuids are taken in PostgreSQL's spellings and print in the usual
 * one. */
static void
test_uuid(void **state)
{
	static const char usual[] = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
	static const char *const good[] = { usual,
	    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
	    "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
	    "a0eebc999c0b4ef8bb6d6bb9bd380a11",
	    "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11" };
	static const char *const bad[] = { "", "{}", "a0eebc99",
	    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
	    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
	    "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
	    "a0eebc99--9c0b4ef8bb6d6bb9bd380a11",
	    "a-0eebc999c0b4ef8bb6d6bb9bd380a11",
	    "g0eebc999c0b4ef8bb6d6bb9bd380a11" };
	struct tn_buf b = { .n = 0 };
	uint8_t v[16];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(good); i++) {
		assert_true(tn_record_parse_uuid(tn_slice_of(good[i]), v));
		assert_string_equal(printed(&b, tn_record_type(TN_T_UUID), v,
		    false), usual);
	}
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_false(tn_record_parse_uuid(tn_slice_of(bad[i]), v));
	tn_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pow10),
		cmocka_unit_test(test_pow10_negative),
		cmocka_unit_test(test_f64_round_trip),
		cmocka_unit_test(test_f32_round_trip),
		cmocka_unit_test(test_float_layout),
		cmocka_unit_test(test_f64_read),
		cmocka_unit_test(test_f64_refused),
		cmocka_unit_test(test_numeric_read),
		cmocka_unit_test(test_numeric_round_trip),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_uuid),
	};

	return cmocka_run_group_tests(tests, random_setup, NULL);
}

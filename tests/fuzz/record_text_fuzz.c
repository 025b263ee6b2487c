/* Fuzzes every reader of value texts: none may crash, and what a reader takes
 * must print and read back to the same value. The first byte picks the
 * reader, so that each finds its own corpus; 0x7f and above run all. */
#include "record/record.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct tn_slice
print_value(struct tn_buf *b, struct tn_type t, const void *v)
{
	struct tn_column c = { .type = t, .rows = 1, .values = v };

	tn_record_print_json(b, &c, 0);
	tn_buf_clear(b);
	tn_record_print(b, &c, 0);
	return (struct tn_slice){ b->p, b->n };
}

static void
fuzz_f64(struct tn_buf *b, struct tn_slice s)
{
	double v;
	double back;
	float f;

	if (!tn_record_parse_f64(s, &v))
		return;
	tn_assert(tn_record_parse_f64(print_value(b,
	    tn_record_type(TN_T_FLOAT8), &v), &back));
	tn_assert(isnan(v) ? isnan(back) : memcmp(&v, &back, 8) == 0);
	if (isinf(v) || fabs(v) > 3e38)
		return;
	f = (float)v;
	tn_assert(tn_record_parse_f64(print_value(b,
	    tn_record_type(TN_T_FLOAT4), &f), &back));
	tn_assert(isnan(v) || (float)back == f);
}

static void
fuzz_numeric(struct tn_buf *b, struct tn_slice s)
{
	static const uint8_t forms[][2] = { { 38, 9 }, { 38, 38 }, { 38, 0 },
	    { 1, 1 }, { 10, 2 } };
	__int128 v;
	__int128 back;

	for (size_t i = 0; i < TN_COUNT(forms); i++) {
		struct tn_type t = { .id = TN_T_NUMERIC,
		    .precision = forms[i][0], .scale = forms[i][1],
		    .declared = i % 2 };

		if (!tn_record_parse_numeric(s, t.precision, t.scale, &v))
			continue;
		tn_assert(tn_record_parse_numeric(print_value(b, t, &v),
		    t.precision, t.scale, &back));
		tn_assert(v == back);
	}
}

static void
fuzz_days(struct tn_buf *b, struct tn_slice s)
{
	int32_t days;
	int32_t days_back;
	int64_t us;
	int64_t us_back;

	if (tn_record_parse_date(s, &days)) {
		tn_assert(tn_record_parse_date(print_value(b,
		    tn_record_type(TN_T_DATE), &days), &days_back));
		tn_assert(days == days_back);
	}
	if (tn_record_parse_time(s, &us)) {
		tn_assert(us >= 0 && us <= INT64_C(86400000000));
		tn_assert(tn_record_parse_time(print_value(b,
		    tn_record_type(TN_T_TIME), &us), &us_back));
		tn_assert(us == us_back);
	}
}

static void
fuzz_timestamp(struct tn_buf *b, struct tn_slice s)
{
	/* An offset or second 60 may lead a little over the limits, from
	 * where reading refuses. */
	const int64_t low = INT64_C(-2440588) * 86400000000;
	const int64_t high = INT64_C(106751989) * 86400000000;
	int64_t us;
	int64_t back;
	bool zone;

	if (!tn_record_parse_timestamp(s, &us, &zone))
		return;
	(void)print_value(b, tn_record_type(TN_T_TIMESTAMPTZ), &us);
	if (us < low || us > high)
		return;
	tn_assert(tn_record_parse_timestamp((struct tn_slice){ b->p, b->n },
	    &back, &zone));
	tn_assert(us == back && zone);
}

static void
fuzz_format(struct tn_buf *b, struct tn_slice s)
{
	char format[32];
	size_t n = s.n / 2 < 31 ? s.n / 2 : 31;
	int64_t us;
	bool zone;

	(void)b;
	if (n > 0)
		memcpy(format, s.p, n);
	format[n] = '\0';
	s.p += n;
	s.n -= n;
	(void)tn_record_parse_timestamp_format(s, format, &us, &zone);
}

static void
fuzz_interval(struct tn_buf *b, struct tn_slice s)
{
	struct tn_interval v;
	struct tn_interval back;

	if (!tn_record_parse_interval(s, &v))
		return;
	/* The very lowest numbers print and do not read back. */
	(void)print_value(b, tn_record_type(TN_T_INTERVAL), &v);
	if (v.us < -INT64_MAX || v.days == INT32_MIN)
		return;
	tn_assert(tn_record_parse_interval((struct tn_slice){ b->p, b->n },
	    &back));
	tn_assert(memcmp(&v, &back, sizeof v) == 0);
}

static void
fuzz_small(struct tn_buf *b, struct tn_slice s)
{
	uint8_t uuid[16];
	uint8_t back[16];
	bool flag;
	bool flag_back;

	if (tn_record_parse_bool(s, &flag)) {
		uint8_t byte = flag;

		tn_assert(tn_record_parse_bool(print_value(b,
		    tn_record_type(TN_T_BOOL), &byte), &flag_back));
		tn_assert(flag == flag_back);
	}
	if (tn_record_parse_uuid(s, uuid)) {
		tn_assert(tn_record_parse_uuid(print_value(b,
		    tn_record_type(TN_T_UUID), uuid), back));
		tn_assert(memcmp(uuid, back, 16) == 0);
	}
}

static void (*const readers[])(struct tn_buf *b, struct tn_slice s) = {
	fuzz_f64, fuzz_numeric, fuzz_days, fuzz_timestamp, fuzz_format,
	fuzz_interval, fuzz_small,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tn_buf b = { .n = 0 };

	if (n == 0)
		return 0;
	for (size_t i = 0; i < TN_COUNT(readers); i++)
		if (data[0] >= 0x7f || data[0] % TN_COUNT(readers) == i)
			readers[i](&b, (struct tn_slice){ data + 1, n - 1 });
	tn_buf_fini(&b);
	return 0;
}

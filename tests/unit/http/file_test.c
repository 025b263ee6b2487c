/* Ranges and ETags of files, as functions; whole answers are looked at by
 * tests/e2e/objects.test.mjs. */
#include "test.h"

#include "http/http_int.h"

static const struct range_case {
	const char *header;
	uint64_t bytes;
	enum tn_http_range how;
	uint64_t first, count;
} ranges[] = {
	{ "bytes=0-9", 100, TN_RANGE_ONE, 0, 10 },
	{ "bytes= 0-9", 100, TN_RANGE_ONE, 0, 10 },
	{ "Bytes=5-5", 100, TN_RANGE_ONE, 5, 1 },
	{ "bytes=90-", 100, TN_RANGE_ONE, 90, 10 },
	{ "bytes=90-1000", 100, TN_RANGE_ONE, 90, 10 },
	{ "bytes=99-18446744073709551615", 100, TN_RANGE_ONE, 99, 1 },
	{ "bytes=99-18446744073709551616", 100, TN_RANGE_ONE, 99, 1 },
	{ "bytes=-1", 100, TN_RANGE_ONE, 99, 1 },
	{ "bytes=-100", 100, TN_RANGE_ONE, 0, 100 },
	{ "bytes=-101", 100, TN_RANGE_ONE, 0, 100 },
	{ "bytes=-99999999999999999999", 100, TN_RANGE_ONE, 0, 100 },
	{ "bytes=100-", 100, TN_RANGE_BEYOND, 0, 100 },
	{ "bytes=100-200", 100, TN_RANGE_BEYOND, 0, 100 },
	{ "bytes=99999999999999999999-", 100, TN_RANGE_BEYOND, 0, 100 },
	{ "bytes=-0", 100, TN_RANGE_BEYOND, 0, 100 },
	{ "bytes=0-", 0, TN_RANGE_BEYOND, 0, 0 },
	{ "bytes=-5", 0, TN_RANGE_BEYOND, 0, 0 },
	{ "bytes=0-18446744073709551615", UINT64_MAX, TN_RANGE_ONE, 0,
	    UINT64_MAX },
	/* Passed over. */
	{ "", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=-", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=5", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=9-5", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=0-1,3-4", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=0-1 ", 100, TN_RANGE_ONE, 0, 2 },
	{ "bytes=0 -1", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=+0-1", 100, TN_RANGE_NONE, 0, 100 },
	{ "bytes=0x0-1", 100, TN_RANGE_NONE, 0, 100 },
	{ "octets=0-1", 100, TN_RANGE_NONE, 0, 100 },
};

/* Goal: every form of RFC 9110, 14.1.2, and what is none. */
static void
test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < TN_COUNT(ranges); i++) {
		const struct range_case *c = &ranges[i];
		uint64_t first, count;
		print_message("%s of %llu\n", c->header,
		    (unsigned long long)c->bytes);
		assert_int_equal(tn_http_range(tn_slice_of(c->header),
		    c->bytes, &first, &count), c->how);
		assert_int_equal(first, c->first);
		assert_int_equal(count, c->count);
	}
}

/* Goal: If-Match compares strongly. */
static void
test_listed(void **state)
{
	(void)state;
	assert_true(tn_http_etag_listed(tn_slice_of("\"a\""), "\"a\""));
	assert_true(tn_http_etag_listed(tn_slice_of("\"b\" , \"a\""),
	    "\"a\""));
	assert_true(tn_http_etag_listed(tn_slice_of(" * "), "\"a\""));
	assert_false(tn_http_etag_listed(tn_slice_of("W/\"a\""), "\"a\""));
	assert_false(tn_http_etag_listed(tn_slice_of("\"ab\""), "\"a\""));
	assert_false(tn_http_etag_listed(tn_slice_of(""), "\"a\""));
	assert_false(tn_http_etag_listed(tn_slice_of(",,"), "\"a\""));
}

/* Goal: a second variable takes slashes, and only a whole name matches. */
static void
test_routes(void **state)
{
	static const struct { const char *path, *var; } good[] = {
		{ "/api/v1/objects/b/k", "b/k" },
		{ "/api/v1/objects/b/x/y//z", "b/x/y//z" },
	};
	static const char *const bad[] = { "/api/v1/objects/b/",
	    "/api/v1/objects//k", "/api/v1/objects/", "/api/v1/objects//" };
	struct tn_slice var;
	uint32_t others;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(good); i++) {
		assert_non_null(tn_http_route_find(TN_HTTP_PUT, tn_slice_of(
		    good[i].path), &var, &others));
		assert_true(tn_slice_is(var, good[i].var));
	}
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		assert_null(tn_http_route_find(TN_HTTP_PUT, tn_slice_of(
		    bad[i]), &var, &others));
		assert_int_equal(others, 0);
	}
	assert_null(tn_http_route_find(TN_HTTP_PUT, tn_slice_of(
	    "/api/v1/objects/b"), &var, &others));
	assert_int_equal(others, 1u << TN_HTTP_GET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_listed),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where a row that was taken again comes from, as its source and line say. */
#include "test.h"

#include "ingest/ingest.h"

static bool
origin(const char *source, int64_t line, uint64_t *offset)
{
	*offset = UINT64_MAX;
	return tn_governance_again_of(tn_slice_of(source), line, offset);
}

/* Goal: only what ingest itself writes names an offset. */
static void
test_origin(void **state)
{
	static const char *const others[] = { "", "quarantine",
	    "quarantine ", "quarantine x", "quarantine -1", "quarantine 1x",
	    "http 127.0.0.1", "Quarantine 1",
	    "quarantine 99999999999999999999" };
	uint64_t offset;

	(void)state;
	assert_true(origin("quarantine 0", 0, &offset));
	assert_int_equal(offset, 0);
	assert_true(origin("quarantine 1200", 3, &offset));
	assert_int_equal(offset, 1203);
	assert_false(origin("quarantine 1200", -1, &offset));
	for (size_t i = 0; i < TN_COUNT(others); i++)
		assert_false(origin(others[i], 0, &offset));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

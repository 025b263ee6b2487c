/* The machine's time zone, by its name in the system's zone files. */
#include "test.h"

#include <stdlib.h>

#include "os/os.h"

static void
expect(const char *tz, const char *want)
{
	char zone[TN_OS_ZONE_BYTES];

	assert_int_equal(setenv("TZ", tz, 1), 0);
	tn_os_zone(zone);
	assert_string_equal(zone, want);
}

/* Goal: a name is given as it is; what is no name of the zone files (a rule, a
 * path out of them) is UTC. */
static void
named(void **state)
{
	bool files = tn_os_kind("/usr/share/zoneinfo/Europe/Berlin") ==
	    TN_OS_FILE;

	(void)state;
	expect("Europe/Berlin", files ? "Europe/Berlin" : "UTC");
	expect(":Europe/Berlin", files ? "Europe/Berlin" : "UTC");
	expect("UTC", "UTC");
	expect("CET-1CEST,M3.5.0,M10.5.0/3", "UTC");
	expect("../../../etc/passwd", "UTC");
	expect("Europe", "UTC");
	expect("posixrules", "UTC");
	expect("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaa", "UTC");
	assert_true(tn_os_is_zone("UTC"));
	assert_false(tn_os_is_zone(""));
	assert_false(tn_os_is_zone("/etc/passwd"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(named) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

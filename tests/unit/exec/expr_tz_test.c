/* Time zones where they break: names that must not reach the disk, tzdata
 * that is missing, files that are cut or changed, and the bound on how many
 * are kept. Right offsets are in expr_cases.h. */
#include "exec/expr_int.h"
#include "os/os.h"
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

static int opens;
static struct tn_os_table broken;

static int
open_none(const char *path, int flags, int mode)
{
	(void)path;
	(void)flags;
	(void)mode;
	opens++;
	return -2;               /* -ENOENT */
}

static const struct tn_tz *
zone(const char *name)
{
	return tn_exec_tz(tn_slice_of(name));
}

/* Goal: names that are no zone names never open a file; UTC needs none. */
static void
test_names(void **state)
{
	static const char *const bad[] = { "", "../etc/passwd", "/etc/passwd",
	    "Europe/../../x", ".", "a b", "x;y", "Europe\\Berlin",
	    "1234567890123456789012345678901234567890"
	    "1234567890123456789012345678901234567890", "+", "-", "+1x",
	    "+99999999999", "-5:", "+5:99", };

	(void)state;
	broken = tn_os_real;
	broken.open = open_none;
	opens = 0;
	tn_os_use(&broken);
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_null(zone(bad[i]));
	assert_int_equal(opens, 0);
	assert_non_null(zone("UTC"));
	assert_non_null(zone("gmt"));
	assert_int_equal(tn_exec_tz_offset(zone("+02"), 0), -7200);
	assert_int_equal(tn_exec_tz_offset(zone("-03:30"), 0), 12600);
	assert_int_equal(tn_exec_tz_offset(zone("CEST"), 0), 7200);
	assert_null(zone("Europe/Berlin"));
	assert_true(opens > 0);
	tn_os_use(NULL);
	assert_non_null(zone("Europe/Berlin"));
	assert_ptr_equal(zone("Europe/Berlin"), zone("Europe/Berlin"));
	assert_non_null(zone("europe/berlin"));
}

/* Goal: at the ends of time nothing overflows. */
static void
test_far(void **state)
{
	const struct tn_tz *z = zone("America/New_York");

	(void)state;
	assert_non_null(z);
	assert_int_equal(tn_exec_tz_offset(z, INT64_MIN), -17762);
	assert_true(tn_exec_tz_offset(z, INT64_MAX) < 0);
	(void)tn_exec_tz_to_utc(z, INT64_MAX);
	(void)tn_exec_tz_to_utc(z, INT64_MIN);
}

/* ---- damaged files --------------------------------------------------- */

static uint8_t file[1 << 16];
static size_t file_n;

/* Opens a temporary file with the bytes of file[]. */
static int
open_changed(const char *path, int flags, int mode)
{
	char name[] = "/tmp/tarn_tz_XXXXXX";
	int fd = mkstemp(name);

	(void)path;
	(void)flags;
	(void)mode;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file, file_n), file_n);
	unlink(name);
	return fd;
}

/* Goal: a cut or changed file gives no zone or some zone, never a crash, and
 * no more than TN_TZ_MAX zones are kept. */
static void
test_damaged(void **state)
{
	static uint8_t good[1 << 16];
	const char *seed = getenv("TARN_SEED");
	struct tn_buf b = { 0 };
	int some = 0, none = 0;
	size_t good_n;

	(void)state;
	srand(seed == NULL ? 1 : (unsigned)strtoul(seed, NULL, 10));
	printf("TARN_SEED=%s\n", seed == NULL ? "1" : seed);
	assert_int_equal(tn_os_read_file(TN_TZ_DIR "/Europe/Berlin", &b,
	    sizeof good), TN_OK);
	good_n = b.n;
	memcpy(good, b.p, b.n);
	tn_buf_fini(&b);
	broken = tn_os_real;
	broken.open = open_changed;
	tn_os_use(&broken);
	for (int i = 0; i < 3000; i++) {
		const struct tn_tz *z;
		char name[32];

		memcpy(file, good, good_n);
		file_n = i % 3 == 0 ? (size_t)rand() % good_n : good_n;
		for (int k = rand() % 4; k > 0 && i % 3 != 0; k--)
			file[(size_t)rand() % good_n] ^=
			    (uint8_t)(1 << rand() % 8);
		snprintf(name, sizeof name, "Test/Zone%d", i);
		z = zone(name);
		some += z != NULL;
		none += z == NULL;
		for (int64_t t = -5; z != NULL && t < 5; t++) {
			(void)tn_exec_tz_offset(z, t * 1000000000000000);
			(void)tn_exec_tz_to_utc(z, t * 1000000000000000);
		}
	}
	tn_os_use(NULL);
	assert_true(some > 100 && some < TN_TZ_MAX && none > 1000);
	assert_null(zone("Europe/Vienna"));      /* The list is full. */
	assert_non_null(zone("Europe/Berlin"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

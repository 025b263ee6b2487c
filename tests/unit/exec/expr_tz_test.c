/* Time zones where they break: names that must not reach the disk, tzdata
 * that is missing, files that are cut or changed, and the bound on how many
 * are kept, which no sender can reach. Right offsets are in expr_cases.h. */
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

static bool
is_zone(const char *name)
{
	struct tn_zone z;

	return tn_exec_tz(tn_slice_of(name), &z);
}

static struct tn_zone
zone(const char *name)
{
	struct tn_zone z;

	assert_true(tn_exec_tz(tn_slice_of(name), &z));
	return z;
}

/* Goal: names that are no zone names never open a file; UTC needs none. */
static void
test_names(void **state)
{
	static const char *const bad[] = { "", "../etc/passwd", "/etc/passwd",
	    "Europe/../../x", ".", "a b", "x;y", "Europe\\Berlin",
	    "1234567890123456789012345678901234567890"
	    "1234567890123456789012345678901234567890", "+", "-", "+1x",
	    "+99999999999", "-5:", "+5:99", "+25",
	    "Europe//Berlin", "Europe/", "posix/Europe/Berlin",
	    "POSIX/Europe/Berlin", "right/UTC", "Right/UTC" };

	(void)state;
	broken = tn_os_real;
	broken.open = open_none;
	opens = 0;
	tn_os_use(&broken);
	for (size_t i = 0; i < TN_COUNT(bad); i++)
		assert_false(is_zone(bad[i]));
	assert_int_equal(opens, 0);
	assert_true(is_zone("UTC"));
	assert_true(is_zone("gmt"));
	assert_int_equal(tn_exec_tz_offset(zone("+02"), 0), -7200);
	assert_int_equal(tn_exec_tz_offset(zone("-03:30"), 0), 12600);
	assert_int_equal(tn_exec_tz_offset(zone("CEST"), 0), 7200);
	assert_int_equal(opens, 0);
	assert_false(is_zone("Europe/Berlin"));
	assert_true(opens > 0);
	tn_os_use(NULL);
	assert_ptr_equal(zone("Europe/Berlin").file,
	    zone("Europe/Berlin").file);
	assert_ptr_equal(zone("europe/berlin").file,
	    zone("Europe/Berlin").file);
}

/* Goal: at the ends of time nothing overflows. */
static void
test_far(void **state)
{
	struct tn_zone z = zone("America/New_York");

	(void)state;
	assert_int_equal(tn_exec_tz_offset(z, INT64_MIN), -17762);
	assert_true(tn_exec_tz_offset(z, INT64_MAX) < 0);
	(void)tn_exec_tz_to_utc(z, INT64_MAX);
	(void)tn_exec_tz_to_utc(z, INT64_MIN);
}

/* Names of zone files below ${dir}: each is a zone, or was no TZif. */
static void
name_all(const char *dir, const char *front, uint32_t *found)
{
	char **names = NULL, path[300], name[200];
	size_t count = 0;

	assert_int_equal(tn_os_list(dir, &names, &count), TN_OK);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		snprintf(name, sizeof name, "%s%s", front, names[i]);
		if (tn_os_kind(path) == TN_OS_DIR &&
		    strcmp(name, "posix") != 0 && strcmp(name, "right") != 0) {
			strcat(name, "/");
			name_all(path, name, found);
		} else if (tn_os_kind(path) == TN_OS_FILE) {
			*found += is_zone(name);
		}
		tn_free(names[i]);
	}
	tn_free(names);
}

/* Goal: whatever names rows bring, every zone there is has its place: offsets
 * need none, and all names of tzdata together fill only a part. */
static void
test_room(void **state)
{
	uint32_t found = 0;
	char name[32];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "%c%02d:%02d:%02d", "+-"[i % 2],
		    i / 2 % 24, i / 48 % 60, i % 60);
		assert_true(is_zone(name));
		assert_null(zone(name).file);
	}
	name_all(TN_TZ_DIR, "", &found);
	print_message("%u zones\n", (unsigned)found);
	assert_true(found > 300 && found < TN_TZ_MAX * 3 / 4);
	assert_true(is_zone("Asia/Dubai"));
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
		struct tn_zone z;
		char name[32];
		bool is;

		memcpy(file, good, good_n);
		file_n = i % 3 == 0 ? (size_t)rand() % good_n : good_n;
		for (int k = rand() % 4; k > 0 && i % 3 != 0; k--)
			file[(size_t)rand() % good_n] ^=
			    (uint8_t)(1 << rand() % 8);
		snprintf(name, sizeof name, "Test/Zone%d", i);
		is = tn_exec_tz(tn_slice_of(name), &z);
		some += is;
		none += !is;
		for (int64_t t = -5; is && t < 5; t++) {
			(void)tn_exec_tz_offset(z, t * 1000000000000000);
			(void)tn_exec_tz_to_utc(z, t * 1000000000000000);
		}
	}
	tn_os_use(NULL);
	assert_true(some > 100 && some < TN_TZ_MAX && none > 1000);
	assert_false(is_zone("Test/Full"));
	assert_true(is_zone("Europe/Berlin"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

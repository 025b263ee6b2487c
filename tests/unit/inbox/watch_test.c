/* wrap: tn_os_look */
/* When a file in the drop folder is taken for whole: files are renamed between
 * a look's list of names and its look at each. */
#include "test.h"

#include <sys/stat.h>

#include "inbox/inbox_int.h"

static char dir[64];
static struct tn_serving_model model = { .stream_count = 1 };
static struct place place = { .folder = dir };
static struct tn_inbox in = { .o = { .model = &model,
	.settle_us = INT64_C(3600) * 1000000 }, .places = &place,
	.draining = 1 };         /* Nothing is begun. */

/* Before this file is looked at, ${from} becomes ${to}. */
static const char *before, *from, *to;
static bool unborn;              /* The file system knows no times of birth. */

static char *
path_of(const char *name)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s", dir, name);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static void
move(const char *a, const char *b)
{
	char *x = path_of(a), *y = path_of(b);

	assert_int_equal(tn_os_rename(x, y), TN_OK);
	tn_free(x);
	tn_free(y);
}

static void
put(const char *name, const char *text)
{
	char *path = path_of(name);

	assert_int_equal(tn_os_write_file(path, text, strlen(text), 0640),
	    TN_OK);
	tn_free(path);
}

enum tn_status __real_tn_os_look(const char *path, struct tn_os_info *info);
enum tn_status __wrap_tn_os_look(const char *path, struct tn_os_info *info);
enum tn_status
__wrap_tn_os_look(const char *path, struct tn_os_info *info)
{
	const char *name = strrchr(path, '/') + 1;

	enum tn_status st;

	if (before != NULL && strcmp(name, before) == 0) {
		before = NULL;
		move(from, to);
	}
	st = __real_tn_os_look(path, info);
	if (unborn)
		info->born_ns = 0;
	return st;
}

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tarn-inbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	in.lock = tn_net_lock_new();
	in.files = tn_counter_get(TN_GAUGE, "tarn_inbox_waiting_files", NULL,
	    "Files.");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (in.items != NULL)
		tn_inbox_forget(&in, in.items);
	for (size_t k = 0; k < TN_COUNT(place.looks); k++) {
		tn_free(place.looks[k].infos);
		place.looks[k] = (struct partials){ .count = 0 };
	}
	tn_net_lock_free(in.lock);
	assert_int_equal(tn_os_remove_tree(dir), TN_OK);
	return 0;
}

/* The state of a file, -1 when it is not known. */
static int
state_of(const char *name)
{
	for (const struct item *it = in.items; it != NULL; it = it->next)
		if (strcmp(it->name, name) == 0)
			return (int)it->state;
	return -1;
}

/* Goal: a file that is renamed from a partial name while we look is taken at
 * the next look, whichever of its names was met. */
static void
renamed_in_a_look(void **state)
{
	(void)state;
	put("x.csv.part", "n\n1\n");
	tn_inbox_scan(&in);
	assert_int_equal(place.partial_count, 1);
	assert_null(in.items);
	/* Listed under the old name, there under the new one. */
	before = from = "x.csv.part";
	to = "x.csv";
	tn_inbox_scan(&in);
	assert_null(before);
	assert_int_equal(place.partial_count, 0);
	assert_int_equal(state_of("x.csv"), -1);
	tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_QUEUED);
}

/* Goal: nor does it wait when it takes the name of another file. */
static void
renamed_over_another(void **state)
{
	(void)state;
	put("x.csv", "n\n1\n");
	put("x.csv.part", "n\n1\n2\n");
	tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_SETTLING);
	move("x.csv.part", "x.csv");
	tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_QUEUED);
}

/* Goal: a file that comes and is renamed between two looks has to settle: it
 * could be a copy under way; so does one that only has the inode of another. */
static void
never_seen_partial(void **state)
{
	(void)state;
	put("y.csv.part", "n\n1\n");
	tn_inbox_scan(&in);
	put("x.csv.part", "n\n1\n");
	move("x.csv.part", "x.csv");
	tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_SETTLING);
	for (int i = 0; i < 4; i++)
		tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_SETTLING);
	assert_int_equal(place.partial_count, 1);
}

/* Goal: where no time of birth is known a file settles as well: it is not
 * taken for another one at each look. */
static void
no_births(void **state)
{
	int64_t since_us;

	(void)state;
	unborn = true;
	put("x.csv", "n\n1\n");
	tn_inbox_scan(&in);
	assert_int_equal(state_of("x.csv"), ITEM_SETTLING);
	since_us = in.items->since_us;
	for (int i = 0; i < 3; i++)
		tn_inbox_scan(&in);
	assert_true(in.items->since_us == since_us);
	unborn = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(renamed_in_a_look, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(renamed_over_another, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(never_seen_partial, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(no_births, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What stands under a name; second names; the end of a folder. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tarn-look-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	return tn_os_kind(dir) == TN_OS_DIR && tn_os_remove_tree(dir) !=
	    TN_OK;
}

static const char *
in(const char *name)
{
	static char paths[4][128];
	static unsigned n;
	char *p = paths[n++ % 4];

	snprintf(p, sizeof paths[0], "%s/%s", dir, name);
	return p;
}

/* Goal: a rename leaves a file the same file; a link is told, not followed;
 * what is not there is not found. */
static void
looks(void **state)
{
	struct tn_os_info a, b;

	(void)state;
	assert_int_equal(tn_os_look(in("a"), &a), TN_ENOTFOUND);
	assert_int_equal(tn_os_write_file(in("a"), "12345", 5, 0640), TN_OK);
	assert_int_equal(tn_os_look(in("a"), &a), TN_OK);
	assert_int_equal(a.kind, TN_OS_FILE);
	assert_int_equal(a.bytes, 5);
	assert_true(a.modified_ns > 0);
	assert_int_equal(tn_os_rename(in("a"), in("b")), TN_OK);
	assert_int_equal(tn_os_look(in("b"), &b), TN_OK);
	assert_true(a.inode == b.inode && a.device == b.device &&
	    a.born_ns == b.born_ns && a.modified_ns == b.modified_ns);
	assert_int_equal(symlink("b", in("l")), 0);
	assert_int_equal(tn_os_look(in("l"), &b), TN_OK);
	assert_int_equal(b.kind, TN_OS_OTHER);
	assert_int_equal(tn_os_look(dir, &b), TN_OK);
	assert_int_equal(b.kind, TN_OS_DIR);
}

/* Goal: a path without links and dots; NULL when it leads nowhere. */
static void
real_paths(void **state)
{
	char *a, *b;

	(void)state;
	assert_int_equal(tn_os_mkdirs(in("d/e")), TN_OK);
	assert_int_equal(symlink("d", in("l")), 0);
	a = tn_os_real_path(in("l/../l//e"));
	b = tn_os_real_path(in("d/e"));
	assert_non_null(a);
	assert_string_equal(a, b);
	assert_null(tn_os_real_path(in("d/no")));
	tn_free(a);
	tn_free(b);
}

/* Goal: a second name is the same file, and never takes one that stands. */
static void
links(void **state)
{
	struct tn_os_info a, b;

	(void)state;
	assert_int_equal(tn_os_write_file(in("a"), "1", 1, 0640), TN_OK);
	assert_int_equal(tn_os_link(in("a"), in("b")), TN_OK);
	assert_int_equal(tn_os_look(in("a"), &a), TN_OK);
	assert_int_equal(tn_os_look(in("b"), &b), TN_OK);
	assert_true(a.inode == b.inode);
	assert_int_equal(tn_os_link(in("a"), in("b")), TN_EEXIST);
	assert_int_equal(tn_os_link(in("no"), in("c")), TN_ENOTFOUND);
}

/* Goal: a folder goes with all in it, and nothing that a link points to. */
static void
trees_go(void **state)
{
	(void)state;
	assert_int_equal(tn_os_mkdirs(in("t/u/v")), TN_OK);
	assert_int_equal(tn_os_mkdirs(in("keep")), TN_OK);
	assert_int_equal(tn_os_write_file(in("keep/x"), "1", 1, 0640), TN_OK);
	assert_int_equal(tn_os_write_file(in("t/u/x"), "1", 1, 0640), TN_OK);
	assert_int_equal(symlink(in("keep"), in("t/l")), 0);
	assert_int_equal(tn_os_remove_tree(in("t")), TN_OK);
	assert_int_equal(tn_os_kind(in("t")), TN_OS_NONE);
	assert_int_equal(tn_os_kind(in("keep/x")), TN_OS_FILE);
	assert_int_equal(tn_os_remove_tree(in("t")), TN_ENOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(looks, setup, teardown),
		cmocka_unit_test_setup_teardown(real_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(links, setup, teardown),
		cmocka_unit_test_setup_teardown(trees_go, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

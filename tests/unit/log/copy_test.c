/* Copies of the log and of tables, made while they are in use, open as what
 * was copied. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"
#include "os/os.h"
#include "log_help.h"

/* Goal: a held log loses nothing, however far it is told to trim; its copy
 * has every block, goes on, and the log trims again when it is let go. */
static void
held_and_copied(void **state)
{
	char *from = below(*state, "from"), *to = below(*state, "to");
	struct tn_log *log, *copy;
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_os_mkdirs(from), TN_OK);
	assert_int_equal(tn_os_mkdirs(to), TN_OK);
	log = open_log(from, 1 << 20, 0);
	for (uint32_t i = 0; i < 60; i++)
		append_one(log, 1, i, 50000);
	assert_true(tn_log_segments(log) > 3);
	tn_log_hold(log, true);
	assert_int_equal(tn_log_trim(log, 60), TN_OK);
	assert_int_equal(tn_log_first(log), 1);
	if (tn_log_copy(log, to, &d) != TN_OK)
		fail_msg("%s", d.message);
	tn_log_hold(log, false);
	assert_int_equal(tn_log_trim(log, 60), TN_OK);
	assert_int_equal(tn_log_segments(log), 1);
	append_one(log, 1, 60, 10);
	tn_log_close(log);
	copy = open_log(to, 1 << 20, 0);
	assert_int_equal(tn_log_first(copy), 1);
	assert_int_equal(tn_log_last(copy), 60);
	for (uint64_t lsn = 1; lsn <= 60; lsn++)
		check_one(copy, lsn, (uint32_t)lsn - 1, 50000);
	append_one(copy, 1, 60, 10);
	check_one(copy, 61, 60, 10);
	tn_log_close(copy);
	tn_free(from);
	tn_free(to);
}

struct writer {
	struct tn_log *log;
	_Atomic bool stop;
	uint32_t n;
};

static void *
write_on(void *arg)
{
	struct writer *w = arg;

	while (!w->stop && w->n < 400)
		append_one(w->log, 1, w->n++, 20000);
	return NULL;
}

/* Goal: a copy made while a thread appends and rolls is a prefix of the log
 * with all that stood before it began. */
static void
copied_while_written(void **state)
{
	char *from = below(*state, "from"), *to = below(*state, "to");
	struct writer w = { .stop = false };
	struct tn_log *copy;
	struct tn_diag d = { .line = 0 };
	uint64_t before, last;
	pthread_t t;

	assert_int_equal(tn_os_mkdirs(from), TN_OK);
	assert_int_equal(tn_os_mkdirs(to), TN_OK);
	w.log = open_log(from, 1 << 20, 0);
	for (; w.n < 50; w.n++)
		append_one(w.log, 1, w.n, 20000);
	assert_int_equal(pthread_create(&t, NULL, write_on, &w), 0);
	before = tn_log_last(w.log);
	tn_log_hold(w.log, true);
	if (tn_log_copy(w.log, to, &d) != TN_OK)
		fail_msg("%s", d.message);
	tn_log_hold(w.log, false);
	w.stop = true;
	assert_int_equal(pthread_join(t, NULL), 0);
	copy = open_log(to, 1 << 20, 0);
	last = tn_log_last(copy);
	assert_true(last >= before && last <= tn_log_last(w.log));
	for (uint64_t lsn = 1; lsn <= last; lsn++)
		check_one(copy, lsn, (uint32_t)lsn - 1, 20000);
	tn_log_close(copy);
	tn_log_close(w.log);
	tn_free(from);
	tn_free(to);
}

static bool
count_one(void *arg, struct tn_slice key, struct tn_slice value)
{
	(void)key;
	assert_int_equal(value.n, 1000);
	(*(uint32_t *)arg)++;
	return true;
}

static void
commit_one(struct tn_log_table *t, uint32_t i)
{
	uint8_t value[1000];
	char key[16];
	struct tn_log_change c = { .value = { value, sizeof value } };

	memset(value, (int)i, sizeof value);
	snprintf(key, sizeof key, "k%u", (unsigned)i);
	c.key = tn_slice_of(key);
	assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
}

static uint32_t
count_in(const char *path)
{
	struct tn_log_table *t = NULL;
	struct tn_diag d = { .line = 0 };
	uint32_t n = 0;

	assert_int_equal(tn_log_table_open(&t, path, 1 << 24, &d), TN_OK);
	assert_int_equal(tn_log_table_each(t, tn_slice_of("k"), count_one,
	    &n), TN_OK);
	tn_log_table_close(t);
	return n;
}

/* Goal: a table is copied whether it is open here or not; one that is not
 * there is said to be so. */
static void
tables_are_copied(void **state)
{
	char *path = below(*state, "t.mdb"), *a = below(*state, "a.mdb");
	char *b = below(*state, "b.mdb"), *c = below(*state, "c.mdb");
	struct tn_log_table *t = NULL;
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_log_table_copy(path, a, &d), TN_ENOTFOUND);
	assert_int_equal(tn_log_table_open(&t, path, 1 << 24, &d), TN_OK);
	for (uint32_t i = 0; i < 20; i++)
		commit_one(t, i);
	assert_int_equal(tn_log_table_copy(path, a, &d), TN_OK);
	commit_one(t, 20);
	assert_int_equal(tn_log_table_copy(path, b, &d), TN_OK);
	tn_log_table_close(t);
	assert_int_equal(tn_log_table_copy(path, c, &d), TN_OK);
	assert_int_equal(count_in(a), 20);
	assert_int_equal(count_in(b), 21);
	assert_int_equal(count_in(c), 21);
	/* A name that stands is not written over. */
	assert_int_not_equal(tn_log_table_copy(path, a, &d), TN_OK);
	assert_int_equal(count_in(a), 20);
	tn_free(path);
	tn_free(a);
	tn_free(b);
	tn_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(held_and_copied, folder_new,
		    folder_free),
		cmocka_unit_test_setup_teardown(copied_while_written, folder_new,
		    folder_free),
		cmocka_unit_test_setup_teardown(tables_are_copied, folder_new,
		    folder_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

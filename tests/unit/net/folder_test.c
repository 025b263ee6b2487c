/* A folder that is watched: changes in it are heard on the loop. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

static struct {
	struct tn_net_loop *loop;
	struct tn_net_timer *guard;
	char dir[64];
	int heard;
} w;

static void
changed(void *arg)
{
	(void)arg;
	w.heard++;
	tn_net_loop_stop(w.loop);
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing was heard");
}

static void
wait_for_it(void)
{
	int before = w.heard;

	tn_net_timer_start(w.guard, 20000, 0);
	tn_net_loop_run(w.loop);
	assert_true(w.heard > before);
}

/* Goal: a new name and a rename are heard; a folder that is not there is
 * NULL; a freed watch says nothing. */
static void
changes_are_heard(void **state)
{
	struct tn_net_folder *f;
	char a[80], b[80];
	int fd;

	(void)state;
	memset(&w, 0, sizeof w);
	strcpy(w.dir, "/tmp/tarn-folder-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	snprintf(a, sizeof a, "%s/a", w.dir);
	snprintf(b, sizeof b, "%s/b", w.dir);
	w.loop = tn_net_loop_new();
	w.guard = tn_net_timer_new(w.loop, too_late, NULL);
	assert_null(tn_net_folder_new(w.loop, "/nowhere/at/all", changed,
	    NULL));
	f = tn_net_folder_new(w.loop, w.dir, changed, NULL);
	assert_non_null(f);
	fd = open(a, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	wait_for_it();
	assert_int_equal(rename(a, b), 0);
	wait_for_it();
	tn_net_folder_free(f);
	tn_net_folder_free(NULL);
	tn_net_timer_free(w.guard);
	tn_net_loop_free(w.loop);
	assert_int_equal(unlink(b), 0);
	assert_int_equal(rmdir(w.dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

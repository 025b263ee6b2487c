/* How much memory the machine or the container allows. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "os/os_int.h"

#define GIB (UINT64_C(1) << 30)

static char root[64];

static int
setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/tarn-memory-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", root);
	assert_int_equal(system(command), 0);
	return 0;
}

static void
put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", root, name);
	*strrchr(path, '/') = '\0';
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(tn_os_write_file(path, text, strlen(text), 0600),
	    TN_OK);
}

#define MEMINFO "MemTotal:       8388608 kB\nMemFree: 1 kB\n"

/* Without control groups it is the machine's memory; without anything 0. */
static void
machine(void **state)
{
	(void)state;
	assert_int_equal(tn_os_memory_under(root), 0);
	put("proc/meminfo", MEMINFO);
	assert_int_equal(tn_os_memory_under(root), 8 * GIB);
	assert_true(tn_os_memory_bytes() > 0);
}

/* v2: the least limit on the way from our group to the root counts. */
static void
version_two(void **state)
{
	(void)state;
	put("proc/meminfo", MEMINFO);
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/memory.max", "max\n");
	assert_int_equal(tn_os_memory_under(root), 8 * GIB);
	put("sys/fs/cgroup/a/memory.max", "536870912\n");
	assert_int_equal(tn_os_memory_under(root), GIB / 2);
	put("sys/fs/cgroup/a/b/memory.max", "268435456\n");
	assert_int_equal(tn_os_memory_under(root), GIB / 4);
	/* More than the machine has is no limit. */
	put("sys/fs/cgroup/a/b/memory.max", "999999999999999\n");
	put("sys/fs/cgroup/a/memory.max", "max\n");
	assert_int_equal(tn_os_memory_under(root), 8 * GIB);
}

/* A container sees its own group as the root, whatever its path says. */
static void
container(void **state)
{
	(void)state;
	put("proc/meminfo", MEMINFO);
	put("proc/self/cgroup", "0::/../other\n");
	put("sys/fs/cgroup/memory.max", "134217728");
	assert_int_equal(tn_os_memory_under(root), GIB / 8);
}

/* v1: the memory controller's line among the others, also when shared. */
static void
version_one(void **state)
{
	(void)state;
	put("proc/meminfo", MEMINFO);
	put("proc/self/cgroup", "9:name=systemd:/x\n5:cpu,memory:/docker/1\n"
	    "4:memoryless:/y\nbroken\n0::/\n");
	put("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
	    "9223372036854771712\n");
	assert_int_equal(tn_os_memory_under(root), 8 * GIB);
	put("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
	    "1073741824\n");
	assert_int_equal(tn_os_memory_under(root), GIB);
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
	assert_int_equal(tn_os_memory_under(root), GIB / 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(machine, setup, teardown),
		cmocka_unit_test_setup_teardown(version_two, setup, teardown),
		cmocka_unit_test_setup_teardown(container, setup, teardown),
		cmocka_unit_test_setup_teardown(version_one, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

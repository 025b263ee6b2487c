/* Files, folders, faults, locks and the clock. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

/* ---- a table that breaks --------------------------------------------- */

/* Counts down at each call that can fail; at 0 that call gives error. */
static int calls_left = -1;
static int error = EIO;
static bool refused;
/* Most bytes one call may read or write; 0: any. */
static size_t piece_max;
/* Descriptors open through the table. */
static int open_now;

static bool
refuse(void)
{
	if (calls_left == 0) {
		calls_left = -1;
		refused = true;
		return true;
	}
	if (calls_left > 0)
		calls_left--;
	return false;
}

static int
bad_open(const char *path, int flags, int mode)
{
	int fd = refuse() ? -error : tn_os_real.open(path, flags, mode);

	open_now += fd >= 0;
	return fd;
}

static int
bad_close(int fd)
{
	open_now--;
	return tn_os_real.close(fd);
}

static int64_t
bad_pread(int fd, void *p, size_t n, uint64_t at)
{
	if (piece_max > 0 && n > piece_max)
		n = piece_max;
	return refuse() ? -error : tn_os_real.pread(fd, p, n, at);
}

static int64_t
bad_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	if (piece_max > 0 && n > piece_max)
		n = piece_max;
	return refuse() ? -error : tn_os_real.pwrite(fd, p, n, at);
}

static int
bad_sync(int fd)
{
	return refuse() ? -error : tn_os_real.sync(fd);
}

static int
bad_rename(const char *from, const char *to)
{
	return refuse() ? -error : tn_os_real.rename(from, to);
}

static int
bad_mkdir(const char *path, int mode)
{
	return refuse() ? -error : tn_os_real.mkdir(path, mode);
}

static int64_t
later_us(void)
{
	return 1042;
}

static int64_t
fixed_us(void)
{
	return 42;
}

static struct tn_os_table
bad_table(void)
{
	struct tn_os_table t = tn_os_real;

	t.open = bad_open;
	t.close = bad_close;
	t.pread = bad_pread;
	t.pwrite = bad_pwrite;
	t.sync = bad_sync;
	t.rename = bad_rename;
	t.mkdir = bad_mkdir;
	return t;
}

/* What the table was asked to do, a letter a call. */
static char acts[64];

static void
note_act(char act)
{
	size_t n = strlen(acts);

	if (n + 1 < sizeof acts) {
		acts[n] = act;
		acts[n + 1] = '\0';
	}
}

static int
noted_open(const char *path, int flags, int mode)
{
	note_act((flags & O_DIRECTORY) != 0 ? 'D' : 'o');
	return tn_os_real.open(path, flags, mode);
}

static int64_t
noted_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	note_act('w');
	return tn_os_real.pwrite(fd, p, n, at);
}

static int
noted_sync(int fd)
{
	note_act('s');
	return tn_os_real.sync(fd);
}

static int
noted_close(int fd)
{
	note_act('c');
	return tn_os_real.close(fd);
}

static int
noted_rename(const char *from, const char *to)
{
	note_act('r');
	return tn_os_real.rename(from, to);
}

static int
noted_mkdir(const char *path, int mode)
{
	note_act('m');
	return tn_os_real.mkdir(path, mode);
}

/* ---- a folder for each test ------------------------------------------ */

static char root[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof root, "/tmp/tarn-os-XXXXXX");
	if (mkdtemp(root) == NULL || chdir(root) != 0)
		return -1;
	calls_left = -1;
	piece_max = 0;
	open_now = 0;
	return 0;
}

static int
teardown(void **state)
{
	char command[96];

	(void)state;
	tn_os_use(NULL);
	(void)snprintf(command, sizeof command, "rm -rf %s", root);
	return chdir("/") == 0 ? system(command) : -1;
}

static void
file_is(const char *path, const void *p, size_t n)
{
	struct tn_buf b = { .max = 0 };

	assert_int_equal(tn_os_read_file(path, &b, 1 << 24), TN_OK);
	assert_int_equal(b.n, n);
	if (n > 0)
		assert_memory_equal(b.p, p, n);
	tn_buf_fini(&b);
}

/* ---- tests ----------------------------------------------------------- */

static void
test_file(void **state)
{
	struct tn_os_file *f = NULL;
	struct tn_os_file *g = NULL;
	uint64_t bytes = 0;
	char text[16];

	(void)state;
	/* Goal: the three modes differ in what must exist; writes append;
	 * reads give all or TN_ECORRUPT. */
	assert_int_equal(tn_os_open(&f, "a", TN_OS_READ), TN_ENOTFOUND);
	assert_null(f);
	assert_int_equal(tn_os_open(&f, "a/b", TN_OS_CREATE), TN_ENOTFOUND);
	assert_int_equal(tn_os_open(&f, "a", TN_OS_CREATE), TN_OK);
	assert_int_equal(tn_os_open(&g, "a", TN_OS_CREATE), TN_EEXIST);
	assert_int_equal(tn_os_write(f, "hello ", 6), TN_OK);
	assert_int_equal(tn_os_write(f, "", 0), TN_OK);
	assert_int_equal(tn_os_write(f, "world", 5), TN_OK);
	assert_int_equal(tn_os_size(f, &bytes), TN_OK);
	assert_int_equal(bytes, 11);
	assert_int_equal(tn_os_pread(f, text, 5, 6), TN_OK);
	assert_memory_equal(text, "world", 5);
	assert_int_equal(tn_os_pread(f, text, 6, 6), TN_ECORRUPT);
	assert_int_equal(tn_os_pread(f, text, 1, UINT64_MAX), TN_ECORRUPT);
	assert_int_equal(tn_os_pread(f, text, 0, 100), TN_OK);
	assert_int_equal(tn_os_sync(f), TN_OK);
	tn_os_close(f);
	tn_os_close(NULL);
	file_is("a", "hello world", 11);
	assert_int_equal(tn_os_open(&f, "a", TN_OS_REPLACE), TN_OK);
	tn_os_close(f);
	file_is("a", "", 0);
}

static void
test_pieces(void **state)
{
	struct tn_os_table t = bad_table();
	struct tn_os_file *f = NULL;
	char in[1000];
	char out[1000];

	(void)state;
	/* Goal: short reads and writes are carried on, and EINTR is no
	 * failure. */
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (char)(i * 7);
	tn_os_use(&t);
	piece_max = 7;
	error = EINTR;
	assert_int_equal(tn_os_open(&f, "a", TN_OS_CREATE), TN_OK);
	calls_left = 3;
	assert_int_equal(tn_os_write(f, in, sizeof in), TN_OK);
	calls_left = 3;
	assert_int_equal(tn_os_pread(f, out, sizeof out, 0), TN_OK);
	assert_memory_equal(in, out, sizeof in);
	tn_os_close(f);
	calls_left = 5;
	file_is("a", in, sizeof in);
	error = EIO;
}

static int64_t
no_progress(int fd, const void *p, size_t n, uint64_t at)
{
	(void)fd;
	(void)p;
	(void)n;
	(void)at;
	return 0;
}

static void
test_write_fails(void **state)
{
	struct tn_os_table t = bad_table();
	struct tn_os_file *f = NULL;

	(void)state;
	/* Goal: a failed write says why and does not move the end; a failed
	 * sync breaks the file for good. */
	tn_os_use(&t);
	assert_int_equal(tn_os_open(&f, "a", TN_OS_CREATE), TN_OK);
	assert_int_equal(tn_os_write(f, "one", 3), TN_OK);
	piece_max = 2;
	calls_left = 1;
	error = ENOSPC;
	assert_int_equal(tn_os_write(f, "xxxx", 4), TN_ENOSPC);
	calls_left = 0;
	error = EDQUOT;
	assert_int_equal(tn_os_write(f, "xxxx", 4), TN_ENOSPC);
	error = EIO;
	assert_int_equal(tn_os_write(f, "two3", 4), TN_OK);
	file_is("a", "onetwo3", 7);
	t.pwrite = no_progress;
	assert_int_equal(tn_os_write(f, "x", 1), TN_EIO);
	t.pwrite = bad_pwrite;
	calls_left = 0;
	assert_int_equal(tn_os_sync(f), TN_EIO);
	assert_int_equal(tn_os_sync(f), TN_EIO);
	assert_int_equal(tn_os_write(f, "x", 1), TN_EIO);
	tn_os_close(f);
	assert_int_equal(open_now, 0);
}

static bool no_direct;
static int last_fd;

static int
durable_open(const char *path, int flags, int mode)
{
	if ((flags & O_DSYNC) == 0)
		return tn_os_real.open(path, flags, mode);
	if (no_direct && (flags & O_DIRECT) != 0)
		return -EINVAL;
	last_fd = tn_os_real.open(path, flags, mode);
	return last_fd;
}

static int64_t
invalid_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	(void)fd;
	(void)p;
	(void)n;
	(void)at;
	return -EINVAL;
}

static bool
is_direct(void)
{
	return (fcntl(last_fd, F_GETFL) & O_DIRECT) != 0;
}

static void
test_durable(void **state)
{
	static _Alignas(4096) char page[2 * 4096];
	struct tn_os_table t = tn_os_real;
	struct tn_os_file *f = NULL;
	int fd = open("b", O_RDWR | O_CREAT | O_DIRECT, 0640);

	(void)state;
	/* Goal: a durable file is written past the page cache where that can
	 * be, and through it where not; with the same bytes in it. */
	print_message("%s\n", fd < 0 ? "this file system has no O_DIRECT" :
	    "with O_DIRECT");
	(void)close(fd);
	assert_int_equal(tn_os_write_file("a", page, sizeof page, 0640),
	    TN_OK);
	t.open = durable_open;
	tn_os_use(&t);
	assert_int_equal(tn_os_open(&f, "a", TN_OS_DURABLE), TN_OK);
	assert_int_equal(is_direct(), fd >= 0);
	memset(page, 'x', 4096);
	assert_int_equal(tn_os_pwrite(f, page, 4096, 4096), TN_OK);
	assert_int_equal(is_direct(), fd >= 0);
	memset(page, 0, 4096);
	memset(page + 4096, 'x', 4096);
	file_is("a", page, sizeof page);
	/* What is not aligned is written, too. */
	memcpy(page + 5, "abc", 3);
	assert_int_equal(tn_os_pwrite(f, page + 5, 3, 5), TN_OK);
	file_is("a", page, sizeof page);
	assert_int_equal(fcntl(last_fd, F_GETFL) & O_DSYNC, O_DSYNC);
	tn_os_close(f);
	no_direct = true;
	assert_int_equal(tn_os_open(&f, "a", TN_OS_DURABLE), TN_OK);
	memcpy(page, "new", 3);
	assert_int_equal(tn_os_pwrite(f, page, 3, 0), TN_OK);
	file_is("a", page, sizeof page);
	tn_os_close(f);
	/* That is an error in the end if it is one without O_DIRECT, too. */
	no_direct = false;
	t.pwrite = invalid_pwrite;
	assert_int_equal(tn_os_open(&f, "a", TN_OS_DURABLE), TN_OK);
	assert_int_equal(tn_os_pwrite(f, page, 4096, 0), TN_EIO);
	tn_os_use(NULL);
	assert_int_equal(tn_os_pwrite(f, page, 4096, 0), TN_EIO);
	tn_os_close(f);
}

static void
test_write_file(void **state)
{
	struct tn_os_table t = bad_table();
	char **names = NULL;
	struct stat info;
	size_t count = 0;

	(void)state;
	/* Goal: whichever call fails, the old or the new bytes are there,
	 * whole, and nothing else is left in the folder. */
	assert_int_equal(tn_os_write_file("f", "old", 3, 0600), TN_OK);
	assert_int_equal(stat("f", &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	tn_os_use(&t);
	piece_max = 2;
	refused = true;
	for (int left = 0; refused; left++) {
		enum tn_status st;
		struct tn_buf b = { .max = 0 };

		refused = false;
		calls_left = left;
		st = tn_os_write_file("f", "newer", 5, 0600);
		calls_left = -1;
		assert_int_equal(st, refused ? TN_EIO : TN_OK);
		assert_int_equal(tn_os_read_file("f", &b, 100), TN_OK);
		if (st == TN_OK)
			assert_string_equal(tn_buf_cstr(&b), "newer");
		else
			assert_true(strcmp(tn_buf_cstr(&b), "old") == 0 ||
			    strcmp(tn_buf_cstr(&b), "newer") == 0);
		/* Open, three writes, sync, rename: until then it is old. */
		if (left < 6)
			assert_string_equal(tn_buf_cstr(&b), "old");
		tn_buf_fini(&b);
		assert_int_equal(tn_os_list(".", &names, &count), TN_OK);
		assert_int_equal(count, 1);
		assert_string_equal(names[0], "f");
		tn_free(names[0]);
		tn_free(names);
	}
	assert_int_equal(open_now, 0);
	assert_int_equal(tn_os_write_file("no/f", "x", 1, 0600),
	    TN_ENOTFOUND);
}

static void
test_sync_order(void **state)
{
	struct tn_os_table t = tn_os_real;

	(void)state;
	/* Goal: bytes are synced before they get the name, the folder after;
	 * the parent of every new folder is synced. This order survives a
	 * power loss. */
	t.open = noted_open;
	t.close = noted_close;
	t.pwrite = noted_pwrite;
	t.sync = noted_sync;
	t.rename = noted_rename;
	t.mkdir = noted_mkdir;
	tn_os_use(&t);
	acts[0] = '\0';
	assert_int_equal(tn_os_write_file("f", "x", 1, 0600), TN_OK);
	assert_string_equal(acts, "owscrDsc");
	acts[0] = '\0';
	assert_int_equal(tn_os_mkdirs("a/b"), TN_OK);
	assert_string_equal(acts, "mDscmDsc");
}

static void
test_read_file(void **state)
{
	struct tn_os_table t = bad_table();
	struct tn_buf b = { .max = 0 };
	char text[200000];

	(void)state;
	/* Goal: the limit holds to the byte, also for files without a size;
	 * a failure leaves the buffer as it was; results are appended. */
	memset(text, 'x', sizeof text);
	assert_int_equal(tn_os_write_file("f", text, sizeof text, 0640), TN_OK);
	tn_buf_str(&b, "kept");
	assert_int_equal(tn_os_read_file("f", &b, sizeof text - 1), TN_ELIMIT);
	assert_int_equal(b.n, 4);
	assert_int_equal(tn_os_read_file("f", &b, sizeof text), TN_OK);
	assert_int_equal(b.n, 4 + sizeof text);
	b.n = 4;
	b.max = 4 + sizeof text;
	assert_int_equal(tn_os_read_file("f", &b, SIZE_MAX), TN_OK);
	b.n = 4;
	b.max--;
	assert_int_equal(tn_os_read_file("f", &b, SIZE_MAX), TN_ELIMIT);
	assert_false(b.failed);
	b.max = 0;
	assert_int_equal(tn_os_read_file("/proc/self/status", &b, 10),
	    TN_ELIMIT);
	assert_int_equal(tn_os_read_file("/proc/self/status", &b, 1 << 20),
	    TN_OK);
	assert_true(b.n > 100);
	b.n = 4;
	tn_os_use(&t);
	refused = true;
	for (int left = 0; refused; left++) {
		enum tn_status st;

		refused = false;
		calls_left = left;
		b.n = 4;
		st = tn_os_read_file("f", &b, 1 << 20);
		calls_left = -1;
		assert_int_equal(st, refused ? TN_EIO : TN_OK);
		assert_int_equal(b.n, refused ? 4 : 4 + sizeof text);
	}
	assert_int_equal(open_now, 0);
	assert_int_equal(tn_os_read_file(".", &b, 10000), TN_EIO);
	tn_buf_fini(&b);
}

static void
test_map(void **state)
{
	struct tn_os_table t = bad_table();
	const uint8_t *p = NULL;
	size_t n = 1;

	(void)state;
	/* Goal: a map shows the bytes; nothing maps to nothing. */
	assert_int_equal(tn_os_write_file("f", "bytes", 5, 0640), TN_OK);
	assert_int_equal(tn_os_write_file("e", "", 0, 0640), TN_OK);
	tn_os_use(&t);
	assert_int_equal(tn_os_map("f", &p, &n), TN_OK);
	assert_int_equal(n, 5);
	assert_memory_equal(p, "bytes", 5);
	tn_os_unmap(p, n);
	assert_int_equal(tn_os_map("e", &p, &n), TN_OK);
	assert_null(p);
	assert_int_equal(n, 0);
	tn_os_unmap(p, n);
	assert_int_equal(tn_os_map("none", &p, &n), TN_ENOTFOUND);
	assert_int_equal(tn_os_map(".", &p, &n), TN_EIO);
	assert_null(p);
	assert_int_equal(open_now, 0);
}

static void
test_folders(void **state)
{
	struct tn_os_table t = bad_table();
	char **names = NULL;
	size_t count = 1;
	char path[128];

	(void)state;
	/* Goal: parents are made, existing ones are fine, files in the way
	 * are not; every failing call is told and can be repeated. */
	assert_int_equal(tn_os_mkdirs("a/b//c/"), TN_OK);
	assert_int_equal(tn_os_kind("a/b/c"), TN_OS_DIR);
	assert_int_equal(tn_os_mkdirs("a/b/c"), TN_OK);
	(void)snprintf(path, sizeof path, "%s/x/y", root);
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	assert_int_equal(tn_os_kind("x/y"), TN_OS_DIR);
	assert_int_equal(tn_os_mkdirs("/"), TN_OK);
	assert_int_equal(tn_os_mkdirs(""), TN_ENOTFOUND);
	assert_int_equal(tn_os_write_file("file", "x", 1, 0640), TN_OK);
	assert_int_equal(tn_os_mkdirs("file"), TN_EEXIST);
	assert_int_equal(tn_os_mkdirs("file/x"), TN_EEXIST);
	assert_int_equal(tn_os_kind("file"), TN_OS_FILE);
	assert_int_equal(tn_os_kind("/dev/null"), TN_OS_OTHER);
	assert_int_equal(tn_os_kind("none"), TN_OS_NONE);
	assert_int_equal(tn_os_list("a/b/c", &names, &count), TN_OK);
	assert_int_equal(count, 0);
	tn_free(names);
	assert_int_equal(tn_os_list("none", &names, &count), TN_ENOTFOUND);
	tn_os_use(&t);
	refused = true;
	for (int left = 0; refused; left++) {
		enum tn_status st;

		refused = false;
		calls_left = left;
		(void)snprintf(path, sizeof path, "n%d/m", left);
		st = tn_os_mkdirs(path);
		calls_left = -1;
		assert_int_equal(st, refused ? TN_EIO : TN_OK);
		assert_int_equal(tn_os_mkdirs(path), TN_OK);
	}
	assert_int_equal(open_now, 0);
}

static void
test_list(void **state)
{
	char **names = NULL;
	size_t count = 0;
	char path[32];

	(void)state;
	/* Goal: names come sorted by bytes, hidden ones too. */
	for (int i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof path, "%c%d",
		    "aZ.\xc3"[i % 4], i * 7919 % 300);
		(void)close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	assert_int_equal(tn_os_list(".", &names, &count), TN_OK);
	assert_int_equal(count, 300);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(strcmp(names[i - 1], names[i]) < 0);
		assert_int_equal(tn_os_unlink(names[i]), TN_OK);
	}
	for (size_t i = 0; i < count; i++)
		tn_free(names[i]);
	tn_free(names);
	assert_int_equal(tn_os_unlink("none"), TN_ENOTFOUND);
	assert_int_equal(tn_os_rename("none", "x"), TN_ENOTFOUND);
}

static void
test_lock(void **state)
{
	struct tn_os_file *f = NULL;
	struct tn_os_file *g = NULL;

	(void)state;
	/* Goal: one holder at a time; closing gives the lock back. */
	assert_int_equal(tn_os_lock(&f, "lock"), TN_OK);
	assert_int_equal(tn_os_lock(&g, "lock"), TN_ECONFLICT);
	assert_null(g);
	tn_os_close(f);
	assert_int_equal(tn_os_lock(&g, "lock"), TN_OK);
	tn_os_close(g);
}

static void
test_facts(void **state)
{
	struct tn_os_table t = tn_os_real;
	uint64_t bytes = 0;
	uint8_t a[300] = { 0 };
	uint8_t b[300] = { 0 };
	struct tn_os_leap leap = { 0, 0 };
	int64_t before;

	(void)state;
	/* Goal: clock, randomness, sizes are real; tests may own the time. */
	before = tn_os_mono_us();
	assert_true(tn_os_mono_us() >= before);
	assert_true(tn_os_wall_us() > INT64_C(1700000000000000));
	tn_os_random(a, sizeof a);
	tn_os_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_true(tn_os_rss_bytes() > 100000);
	assert_int_equal(tn_os_disk_free(".", &bytes), TN_OK);
	assert_true(bytes > 0);
	assert_int_equal(tn_os_disk_free("none", &bytes), TN_ENOTFOUND);
	t.wall_us = fixed_us;
	t.mono_us = fixed_us;
	t.boot_us = fixed_us;
	tn_os_use(&t);
	assert_int_equal(tn_os_wall_us(), 42);
	assert_int_equal(tn_os_mono_us(), 42);
	assert_int_equal(tn_os_boot_us(), 42);
	/* A leap is what the wall clock alone went on by. */
	assert_int_equal(tn_os_leap(&leap), 0);
	t.wall_us = later_us;
	assert_int_equal(tn_os_leap(&leap), 1000);
	assert_int_equal(tn_os_leap(&leap), 0);
	t.boot_us = later_us;
	assert_int_equal(tn_os_leap(&leap), -1000);
}

/* ---- a thread of low priority ---------------------------------------- */

static int nice_was, level_was, refusal;

static int
note_nice(int value)
{
	nice_was = value;
	return refusal;
}

static int
note_level(int level)
{
	level_was = level;
	return refusal;
}

/* What the kernel says of this thread. */
static void *
be_low(void *arg)
{
	int *seen = arg;

	tn_os_thread_background();
	seen[0] = getpriority(PRIO_PROCESS, 0);
	seen[1] = (int)syscall(SYS_ioprio_get, 1, 0);
	return NULL;
}

static void
test_background(void **state)
{
	struct tn_os_table t = tn_os_real;
	int nice = getpriority(PRIO_PROCESS, 0);
	long level = syscall(SYS_ioprio_get, 1, 0);
	int seen[2] = { 0, 0 };
	pthread_t thread;

	(void)state;
	/* Goal: that thread alone is of low priority (best-effort is class 2),
	 * and what the system refuses stops neither the thread nor the other
	 * of the two. */
	assert_int_equal(pthread_create(&thread, NULL, be_low, seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(seen[0], 10);
	assert_int_equal(seen[1], 2 << 13 | 7);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
	assert_int_equal(syscall(SYS_ioprio_get, 1, 0), level);
	t.nice = note_nice;
	t.io_level = note_level;
	tn_os_use(&t);
	for (refusal = 0; refusal >= -EPERM; refusal -= EPERM) {
		nice_was = level_was = 0;
		tn_os_thread_background();
		assert_int_equal(nice_was, 10);
		assert_int_equal(level_was, 7);
	}
	assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
}

enum { KILLED = 100 };

/* Passages of point "here", of three, that a child with TARN_CRASH=${crash}
 * survived; KILLED is added when it was. */
static int
passages(const char *crash)
{
	int *passed = mmap(NULL, sizeof *passed, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	int result;
	pid_t pid;

	assert_ptr_not_equal(passed, MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		if (crash != NULL)
			(void)setenv("TARN_CRASH", crash, 1);
		for (; *passed < 3; ++*passed) {
			tn_os_crash_point("there");
			tn_os_crash_point("here");
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	result = *passed;
	(void)munmap(passed, sizeof *passed);
	if (!WIFSIGNALED(status))
		return result;
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return result + KILLED;
}

static void
test_crash_point(void **state)
{
	(void)state;
	/* Goal: the process ends at the named passage, else never. */
	assert_int_equal(passages(NULL), 3);
	assert_int_equal(passages(""), 3);
	assert_int_equal(passages("her"), 3);
	assert_int_equal(passages("here"), KILLED);
	assert_int_equal(passages("here:1"), KILLED);
	assert_int_equal(passages("here:3"), KILLED + 2);
	assert_int_equal(passages("here:4"), 3);
	assert_int_equal(passages("here:x"), 3);
	assert_int_equal(passages("here:0"), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_fails, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_durable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_file, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_sync_order, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_read_file, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_background, setup,
		    teardown),
		cmocka_unit_test(test_crash_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

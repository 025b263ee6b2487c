/* wrap: pwrite pwritev fdatasync fsync write msync fallocate ftruncate rename malloc calloc realloc */
/* What the log promises when the system fails: the Nth call fails, for every
 * N until a run sees no failure. Whatever happens, an acknowledged block is
 * there exactly once after reopening, and the log says no after a failed
 * sync. Also: kill -9, and a full disk on a small tmpfs. */
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log_help.h"

/* ---- failing calls --------------------------------------------------- */

static struct {
	uint32_t calls;      /* So far. */
	uint32_t fail_at;    /* 0: never. */
	bool stays;          /* All later ones fail too. */
	bool torn;           /* The first failing call does its work. */
	int error;
	uint32_t fired;
	uint32_t datasyncs;  /* Calls of fdatasync. */
	uint32_t after_sync; /* Calls since the last one. */
	uint32_t memory_calls, memory_fail_at;
} fault;

static bool
fails_now(void)
{
	fault.calls++;
	fault.after_sync++;
	if (fault.fail_at == 0 || fault.calls < fault.fail_at ||
	    (fault.calls > fault.fail_at && !fault.stays))
		return false;
	fault.fired++;
	errno = fault.error;
	return true;
}

#define WRAP(type, name, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		bool bad = fails_now(); \
		type done = -1; \
		if (!bad || (fault.torn && fault.fired == 1)) \
			done = __real_##name args; \
		if (!bad) \
			return done; \
		errno = fault.error; \
		return -1; \
	}
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at),
    (fd, p, n, at))
WRAP(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at),
    (fd, v, n, at))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, msync, (void *p, size_t n, int flags), (p, n, flags))
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t n),
    (fd, mode, at, n))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, rename, (const char *from, const char *to), (from, to))

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	bool bad = fails_now();

	fault.datasyncs++;
	fault.after_sync = 0;
	return bad ? -1 : __real_fdatasync(fd);
}

/* Log lines on standard error are none of it. */
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	if (fd > 2 && fails_now())
		return -1;
	return __real_write(fd, p, n);
}

static bool
memory_out(void)
{
	return ++fault.memory_calls == fault.memory_fail_at;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *
__wrap_malloc(size_t n)
{
	return memory_out() ? NULL : __real_malloc(n);
}

void *__real_calloc(size_t n, size_t m);
void *__wrap_calloc(size_t n, size_t m);
void *
__wrap_calloc(size_t n, size_t m)
{
	return memory_out() ? NULL : __real_calloc(n, m);
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *
__wrap_realloc(void *p, size_t n)
{
	return memory_out() ? NULL : __real_realloc(p, n);
}

/* ---- a run and what must hold after it ------------------------------- */

enum { APPENDS = 12, ROW_BYTES = 120000, SMALL_BYTES = 900 };
/* Most rows go to a journal of four records, not all to LMDB. */
static bool journaled;

static uint32_t
bytes_of(uint32_t i)
{
	return (journaled && i % 4 != 3 ? SMALL_BYTES : ROW_BYTES) + i;
}

/* acked[i]: LSN of the block made of seed i, 0 if it was not acknowledged. */
struct run {
	uint64_t acked[APPENDS];
	bool noted[APPENDS];
	bool opened, failed;
};

static void
append_noted(struct tn_log *log, uint32_t i, struct run *r)
{
	uint32_t bytes = bytes_of(i);
	uint8_t *raw = __real_malloc(bytes);
	struct tn_log_block b = { .stream = i % 2, .rows = 1,
		.raw = { raw, bytes }, .lengths = &bytes };
	struct tn_log_note note = { .expires_us = INT64_MAX,
		.value = tn_slice_of("answer") };
	char key[40];
	enum tn_status st;

	fill_seeded(raw, bytes, i);
	(void)snprintf(key, sizeof key, "key %u", i);
	note.key = tn_slice_of(key);
	st = tn_log_append(log, &b, 1, &note, 1);
	free(raw);
	if (r->failed)
		assert_int_equal(st, TN_ECLOSED);
	if (st == TN_OK)
		r->acked[i] = b.lsn;
	/* The words name the file, or the folder that could not be synced. */
	if (st == TN_EIO)
		assert_true(strstr(tn_log_failure(log), "/journal: ") ||
		    strstr(tn_log_failure(log), "/00000000") != NULL ||
		    strstr(tn_log_failure(log), "sync the folder ") != NULL);
	r->noted[i] = st == TN_OK;
	r->failed = tn_log_failure(log) != NULL;
}

static void
run_once(const char *dir, struct run *r)
{
	struct tn_log_opts o = { .dir = dir, .segment_bytes = 1 << 20,
		.journal_bytes = 16 << 10 };
	struct tn_log *log;

	memset(r, 0, sizeof *r);
	if (tn_log_open(&log, &o, NULL) != TN_OK)
		return;
	r->opened = true;
	for (uint32_t i = 0; i < APPENDS; i++)
		append_noted(log, i, r);
	/* Reading goes on, whatever failed. */
	for (uint32_t i = 0; i < APPENDS; i++) {
		enum tn_status st = TN_OK;

		if (r->acked[i] != 0)
			st = read_one(log, r->acked[i], i, bytes_of(i));
		if (st != TN_ENOMEM || fault.memory_fail_at == 0)
			assert_int_equal(st, TN_OK);
	}
	for (uint32_t i = 0; i < APPENDS; i++) {
		enum tn_status st;
		struct tn_arena *a = tn_arena_new(256);
		struct tn_slice value;
		char key[40];

		(void)snprintf(key, sizeof key, "key %u", i);
		st = tn_log_note_get(log, tn_slice_of(key), 0, a, &value);
		if (st == TN_ENOMEM && fault.memory_fail_at != 0)
			st = TN_ECLOSED;
		if (r->noted[i])
			assert_true(st == TN_OK || st == TN_ECLOSED);
		else
			assert_true(st == TN_ENOTFOUND || st == TN_ECLOSED);
		tn_arena_free(a);
	}
	tn_log_close(log);
}

/* Every acknowledged block once, at its LSN; every other at most once. */
static void
check_after(const char *dir, const struct run *r)
{
	struct tn_log *log;
	uint32_t times[APPENDS] = { 0 };
	uint64_t last;

	log = open_log(dir, 1 << 20, 0);
	last = tn_log_last(log);
	for (uint64_t lsn = 1; lsn <= last; lsn++) {
		bool known = false;

		for (uint32_t i = 0; i < APPENDS && !known; i++) {
			known = read_one(log, lsn, i, bytes_of(i)) == TN_OK;
			times[i] += known;
			if (known && r->acked[i] != 0)
				assert_int_equal(r->acked[i], lsn);
		}
		assert_true(known);
	}
	for (uint32_t i = 0; i < APPENDS; i++) {
		assert_true(times[i] <= 1);
		assert_true(times[i] == 1 || r->acked[i] == 0);
		assert_true(has_note(log, i, "answer", 0) == (times[i] == 1));
	}
	append_one(log, 1, 1000, 100);
	tn_log_close(log);
}

static uint32_t
fail_each(const char *dir, int error, bool stays, bool torn)
{
	struct run r;
	uint32_t at = 0;

	do {
		memset(&fault, 0, sizeof fault);
		fault.fail_at = ++at;
		fault.error = error;
		fault.stays = stays;
		fault.torn = torn;
		run_once(dir, &r);
		fault.fail_at = 0;
		if (fault.fired == 0)
			assert_true(r.acked[APPENDS - 1] != 0);
		/* Once and never again: whoever lost it said so. */
		if (fault.fired > 0 && error == EIO && r.opened && !r.failed)
			for (uint32_t i = 0; i < APPENDS; i++)
				assert_true(r.acked[i] != 0);
		check_after(dir, &r);
		assert_int_equal(remove_all(dir), 0);
	} while (fault.fired > 0);
	return at - 1;
}

static void
one_folder(void **state, int error, bool stays, bool torn)
{
	char dir[100];

	(void)snprintf(dir, sizeof dir, "%s/log", (char *)*state);
	for (int i = 0; i < 2; i++) {
		uint32_t n;

		journaled = i == 1;
		n = fail_each(dir, error, stays, torn);
		print_message("%u calls failed one by one\n", n);
		assert_true(n > 30);
	}
}

/* Goal: any one write, sync or rename failing with EIO, once. */
static void
test_eio_once(void **state)
{
	one_folder(state, EIO, false, false);
}

/* Goal: all from the Nth on failing with EIO. */
static void
test_eio_stays(void **state)
{
	one_folder(state, EIO, true, false);
}

/* Goal: the call does its work and reports EIO: LMDB may show later what
 * was refused, but never twice. */
static void
test_eio_torn(void **state)
{
	one_folder(state, EIO, true, true);
}

/* Goal: no space, once: the log stays usable or says why it does not. */
static void
test_enospc(void **state)
{
	one_folder(state, ENOSPC, false, false);
	one_folder(state, ENOSPC, true, false);
}

/* Goal: each acknowledged append synced its pages, and wrote the page that
 * makes them valid after that. (A kill cannot see a missing sync.) */
static void
test_syncs(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);

	for (uint32_t i = 0; i < 30; i++) {
		memset(&fault, 0, sizeof fault);
		append_one(log, 1, i, 50000);
		assert_true(fault.datasyncs >= 1);
		assert_int_equal(fault.after_sync, 1);
	}
	tn_log_close(log);
}

/* Goal: the Nth allocation fails, for every N: the process may end (small
 * allocations do that), but not by a wild access, and no ack is lost. */
static void
test_memory(void **state)
{
	struct run *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t at = 0;
	char dir[100];
	bool fired = true;

	assert_true(r != MAP_FAILED);
	(void)snprintf(dir, sizeof dir, "%s/log", (char *)*state);
	journaled = true;
	while (fired) {
		int status;
		pid_t pid;

		memset(r, 0, sizeof *r);
		at++;
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			(void)signal(SIGABRT, SIG_DFL);
			tn_say_setup(TN_ERROR + 1, 0);
			memset(&fault, 0, sizeof fault);
			fault.memory_fail_at = at;
			run_once(dir, r);
			_exit(fault.memory_calls >= at ? 0 : 7);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		fired = !(WIFEXITED(status) && WEXITSTATUS(status) == 7);
		if (WIFSIGNALED(status))
			assert_int_equal(WTERMSIG(status), SIGABRT);
		memset(&fault, 0, sizeof fault);
		check_after(dir, r);
		assert_int_equal(remove_all(dir), 0);
	}
	print_message("%u allocations failed one by one\n", at - 1);
	assert_true(at > 20);
	(void)munmap(r, sizeof *r);
}

/* ---- kill -9 --------------------------------------------------------- */

static void
append_for_ever(const char *dir, int acks)
{
	struct tn_log *log = open_log(dir, 1 << 20, 0);

	for (;;) {
		uint64_t lsn = tn_log_last(log) + 1;

		if (append_one(log, 1, (uint32_t)lsn, 9000) != lsn ||
		    __real_write(acks, &lsn, sizeof lsn) != sizeof lsn)
			_exit(1);
	}
}

/* Goal: a process killed at any moment lost nothing that it acknowledged. */
static void
test_kill(void **state)
{
	uint64_t last = 0;

	for (int round = 0; round < 20; round++) {
		uint32_t enough = 1 + random_below(60);
		struct tn_log *log;
		int ends[2];
		int status;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			append_for_ever(*state, ends[1]);
		(void)close(ends[1]);
		for (uint64_t lsn; enough > 0; enough--) {
			if (read(ends[0], &lsn, sizeof lsn) != sizeof lsn)
				break;
			last = lsn;
		}
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		for (uint64_t lsn; read(ends[0], &lsn, sizeof lsn) > 0;)
			last = lsn;
		(void)close(ends[0]);
		log = open_log(*state, 1 << 20, 0);
		assert_true(tn_log_last(log) == last ||
		    tn_log_last(log) == last + 1);
		last = tn_log_last(log);
		for (uint64_t i = 1; i <= last; i++)
			check_one(log, i, (uint32_t)i, 9000);
		tn_log_close(log);
	}
}

/* ---- a full disk ----------------------------------------------------- */

static void
fill_and_free(const char *dir)
{
	struct tn_log *log = open_log(dir, 1 << 20, 0);
	char junk[300];
	uint64_t lsn;

	(void)snprintf(junk, sizeof junk, "%s/../junk", dir);
	for (uint32_t round = 0; round < 5; round++) {
		uint64_t before = tn_log_last(log);
		enum tn_status st = TN_OK;
		struct tn_os_file *file;

		for (uint32_t i = 0; i < 1000 && st == TN_OK; i++)
			st = try_append(log, 1, (uint32_t)tn_log_last(log) + 1,
			    50000, &lsn);
		assert_int_equal(st, TN_ENOSPC);
		assert_null(tn_log_failure(log));
		assert_true(tn_log_last(log) > before);
		for (uint64_t i = tn_log_first(log); i <= tn_log_last(log); i++)
			check_one(log, i, (uint32_t)i, 50000);
		/* Not a byte left, and still no harm. */
		assert_int_equal(tn_os_open(&file, junk, TN_OS_REPLACE), TN_OK);
		while (tn_os_write(file, junk, sizeof junk) == TN_OK)
			continue;
		tn_os_close(file);
		st = try_append(log, 1, 1, 50000, &lsn);
		assert_int_equal(st, TN_ENOSPC);
		assert_int_equal(tn_os_unlink(junk), TN_OK);
		assert_int_equal(tn_log_trim(log, tn_log_last(log)), TN_OK);
	}
	lsn = tn_log_last(log);
	tn_log_close(log);
	log = open_log(dir, 1 << 20, 0);
	assert_int_equal(tn_log_last(log), lsn);
	tn_log_close(log);
}

/* Goal: a full disk is TN_ENOSPC, loses nothing, and is over when there is
 * space again, without a restart. */
static void
test_full_disk(void **state)
{
	char dir[200];

	memset(&fault, 0, sizeof fault);
	if (mount("tmpfs", *state, "tmpfs", 0, "size=8m") != 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n",
		    strerror(errno));
		skip();
	}
	(void)snprintf(dir, sizeof dir, "%s/log", (char *)*state);
	fill_and_free(dir);
	assert_int_equal(umount(*state), 0);
}

/* Goal: blocks leave the reserve free (a quarter of this disk), and what is
 * left of it is enough to give the log's space back. */
static void
test_reserve(void **state)
{
	struct tn_log_opts o = { .segment_bytes = 1 << 20,
	    .disk_reserve = 2 << 20 };
	struct tn_diag d = { .line = 0 };
	struct tn_log *log;
	enum tn_status st = TN_OK;
	char dir[200];
	uint64_t lsn, left;

	memset(&fault, 0, sizeof fault);
	if (mount("tmpfs", *state, "tmpfs", 0, "size=8m") != 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n",
		    strerror(errno));
		skip();
	}
	(void)snprintf(dir, sizeof dir, "%s/log", (char *)*state);
	o.dir = dir;
	assert_int_equal(tn_log_open(&log, &o, &d), TN_OK);
	for (uint32_t i = 0; i < 1000 && st == TN_OK; i++)
		st = try_append(log, 1, i, 50000, &lsn);
	assert_int_equal(st, TN_ENOSPC);
	assert_int_equal(tn_os_disk_free(dir, &left), TN_OK);
	assert_true(left >= o.disk_reserve && left < o.disk_reserve +
	    (1 << 20) + (1 << 20));
	assert_int_equal(tn_log_trim(log, tn_log_last(log)), TN_OK);
	append_one(log, 1, 1, 50000);
	tn_log_close(log);
	assert_int_equal(umount(*state), 0);
}

static int
memory_folder_new(void **state)
{
	char *dir = tn_strdup("/dev/shm/tarn-log-XXXXXX");

	*state = mkdtemp(dir);
	if (*state != NULL)
		return 0;
	tn_free(dir);
	return folder_new(state);
}

#define FAST_TEST(f) \
	cmocka_unit_test_setup_teardown(f, memory_folder_new, folder_free)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAST_TEST(test_eio_once),
		FAST_TEST(test_eio_stays),
		FAST_TEST(test_eio_torn),
		FAST_TEST(test_enospc),
		FAST_TEST(test_syncs),
		FAST_TEST(test_memory),
		FOLDER_TEST(test_kill),
		FOLDER_TEST(test_full_disk),
		FOLDER_TEST(test_reserve),
	};

	random_start();
	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: open open64 pread pread64 pwrite pwrite64 write fsync fdatasync ftruncate ftruncate64 fallocate rename unlink mkdir mmap mmap64 */
/* The engine's promise when the disk fails: one scenario (posts, cuts, a
 * compaction, recompute, verify, start and stop) is run with its Nth call to
 * the disk failing, for N from 1 until a run sees no failure. The calls of
 * LMDB and SQLite count as ours do. After each run the folder is opened again
 * on a good disk, and then:
 *
 *   what was acknowledged is there once; what was not, whole chunks or nothing
 *   every body sent again with its key is there once
 *   a cut succeeds, verify finds nothing, silver has every row
 *   the lake holds the catalog's files and no others, nothing half-named
 *
 * A cut that failed is tried again at once and must succeed then, when the
 * disk failed only once. Not every N is run: a stride, from a start that the
 * seed gives (all with SOAK=1, every Kth with TARN_STRIDE=K, the one that
 * failed with TARN_FAIL_AT=N, which also leaves the log lines on). */
#include "engine_fixture.h"
#include "quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define DIR_PREFIX "/dev/shm/tarn-engine-"

static const char faults_pipeline[] =
    "ALTER SYSTEM SET young_files_max = '1';"
    "ALTER SYSTEM SET ingest_chunk_bytes = '64 KiB';"
    "ALTER SYSTEM SET log_segment_bytes = '16 MiB';"
    "CREATE TABLE ev (id text PRIMARY KEY, batch int NOT NULL"
    " CHECK (batch > 0), seq int NOT NULL, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts', max_future_skew = '40000 days');"
    "CREATE TABLE plain (batch int NOT NULL, seq int NOT NULL,"
    " ts timestamptz NOT NULL) WITH (event_time = 'ts',"
    " max_future_skew = '40000 days');"
    "CREATE TABLE names (batch int PRIMARY KEY, name text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW ev_batches AS SELECT batch, count(*) AS n,"
    " count(DISTINCT seq) AS seqs FROM ev GROUP BY batch;"
    "CREATE MATERIALIZED VIEW plain_batches AS SELECT batch, count(*) AS n,"
    " count(DISTINCT seq) AS seqs FROM plain GROUP BY batch;"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n FROM ev GROUP BY d;"
    "CREATE MATERIALIZED VIEW named AS SELECT o.name, count(*) AS n"
    " FROM ev e LEFT JOIN names o ON o.batch = e.batch GROUP BY o.name;";

/* ---- failing calls --------------------------------------------------- */

static struct {
	atomic_uint calls;
	atomic_uint fired;
	bool armed;
	uint32_t fail_at;
	uint32_t fail_count; /* So many in a row. */
	int error;
	const char *what;    /* The first that failed. */
} fault;

static bool
fails_now(const char *what)
{
	uint32_t n;

	/* A full disk can be read. */
	if (!fault.armed || (fault.error == ENOSPC && what[0] == 'p' &&
	    what[1] == 'r'))
		return false;
	n = atomic_fetch_add(&fault.calls, 1) + 1;
	if (n < fault.fail_at || n - fault.fail_at >= fault.fail_count)
		return false;
	if (atomic_fetch_add(&fault.fired, 1) == 0)
		fault.what = what;
	errno = fault.error;
	return true;
}

/* Not the loop's own descriptors, not standard error. */
static bool
on_disk(int fd)
{
	struct stat s;
	bool disk;
	int was = errno;

	disk = fault.armed && fd > 2 && fstat(fd, &s) == 0 &&
	    (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode));
	errno = was;
	return disk;
}

static bool
in_dir(const char *path)
{
	return strncmp(path, DIR_PREFIX, strlen(DIR_PREFIX)) == 0;
}

#define WRAP(type, name, when, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		if ((when) && fails_now(#name)) \
			return (type)-1; \
		return __real_##name args; \
	}
WRAP(ssize_t, pread, on_disk(fd), (int fd, void *p, size_t n, off_t at),
    (fd, p, n, at))
WRAP(ssize_t, pread64, on_disk(fd), (int fd, void *p, size_t n, off_t at),
    (fd, p, n, at))
WRAP(ssize_t, pwrite, on_disk(fd), (int fd, const void *p, size_t n,
    off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite64, on_disk(fd), (int fd, const void *p, size_t n,
    off_t at), (fd, p, n, at))
WRAP(ssize_t, write, on_disk(fd), (int fd, const void *p, size_t n),
    (fd, p, n))

/* No process dies here: a sync that succeeds need not take its time. */
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	return on_disk(fd) && fails_now("fsync") ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	return on_disk(fd) && fails_now("fdatasync") ? -1 : 0;
}

WRAP(int, ftruncate, on_disk(fd), (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, on_disk(fd), (int fd, off_t n), (fd, n))
WRAP(int, fallocate, on_disk(fd), (int fd, int mode, off_t at, off_t n),
    (fd, mode, at, n))
WRAP(int, rename, in_dir(from), (const char *from, const char *to),
    (from, to))
WRAP(int, unlink, in_dir(path), (const char *path), (path))
WRAP(int, mkdir, in_dir(path), (const char *path, mode_t mode),
    (path, mode))
WRAP(void *, mmap, on_disk(fd), (void *a, size_t n, int prot, int flags,
    int fd, off_t at), (a, n, prot, flags, fd, at))
WRAP(void *, mmap64, on_disk(fd), (void *a, size_t n, int prot, int flags,
    int fd, off_t at), (a, n, prot, flags, fd, at))
WRAP(int, open, in_dir(path), (const char *path, int flags, mode_t mode),
    (path, flags, mode))
WRAP(int, open64, in_dir(path), (const char *path, int flags, mode_t mode),
    (path, flags, mode))

/* cmocka's checks jump, which the driver thread must not. */
static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stdout, "call %u (%s, errno %d, %u in a row): %s\n",
	    (unsigned)fault.fail_at, fault.what != NULL ? fault.what : "none",
	    fault.error, (unsigned)fault.fail_count, what);
	fflush(stdout);
	abort();
}

/* ---- the scenario ---------------------------------------------------- */

struct body {
	const char *stream;
	uint32_t batch, rows;
	bool bad_row;        /* One more that the gate refuses. */
};
/* In the order they are sent; the last three before the last cut. */
static const struct body bodies[] = {
	{ "names", 2, 1, false },
	{ "ev", 2, 3, false },
	{ "plain", 3, 5, false },
	{ "ev", 4, 2, true },
	{ "plain", 5, 2500, false },
	{ "ev", 6, 4, false },
	{ "plain", 7, 1, false },
};
enum { BODIES = sizeof bodies / sizeof bodies[0] };
struct run {
	bool acked[BODIES];
	struct tn_buf text[BODIES];
	bool once;           /* The disk fails once only. */
};

static void
make_texts(struct run *r)
{
	for (uint32_t i = 0; i < BODIES; i++) {
		const struct body *b = &bodies[i];
		struct tn_buf *t = &r->text[i];
		if (strcmp(b->stream, "names") == 0)
			tn_buf_printf(t, "{\"batch\":%u,\"name\":\"n%u\"}\n",
			    b->batch, b->batch);
		else
			for (uint32_t k = 0; k < b->rows; k++)
				tn_buf_printf(t, "{\"id\":\"%u-%u\",\"batch\":"
				    "%u,\"seq\":%u,\"ts\":\"2026-03-0%uT%02u:"
				    "00:00Z\"}\n", b->batch, k, b->batch, k,
				    k % 3 + 1, b->batch);
		if (b->bad_row)
			tn_buf_str(t, "{\"id\":\"x\",\"batch\":-1,\"seq\":1,"
			    "\"ts\":\"2026-03-01T00:00:00Z\"}\n");
		(void)tn_buf_cstr(t);
	}
}

static enum tn_status
send_body(struct fixture *f, uint32_t i, struct call *out)
{
	struct run *r = f->arg;
	char key[24];

	snprintf(key, sizeof key, "key-%u", (unsigned)i);
	/* Rows without a key of their own count on the body's. */
	*out = post(f, bodies[i].stream, tn_buf_cstr(&r->text[i]),
	    strcmp(bodies[i].stream, "plain") == 0 ? key : NULL);
	return out->result.status;
}

static void
send_some(struct fixture *f, uint32_t from, uint32_t to)
{
	struct run *r = f->arg;
	struct call c;

	for (uint32_t i = from; i < to; i++) {
		bool dead = tn_log_failure(f->a.log) != NULL;
		enum tn_status st = send_body(f, i, &c);
		must(!dead || st != TN_OK, "acknowledged after a failure");
		r->acked[i] = st == TN_OK;
		if (st == TN_OK)
			must(c.result.accepted == bodies[i].rows &&
			    c.result.quarantined == bodies[i].bad_row,
			    "an answer's counts");
		else
			must(c.result.accepted <= bodies[i].rows,
			    "a problem's counts");
	}
}

static enum tn_status
run_job(struct fixture *f, enum tn_batch_kind kind)
{
	struct tn_batch_request q = { .kind = kind, .reason = "request" };
	struct tn_batch_report out;
	enum tn_status st;

	memset(&out, 0, sizeof out);
	st = tn_batch_run(f->a.batch, &q, &out);
	/* A file that cannot be read now is a difference, rightly. */
	if (out.differences > 0 && (!fault.armed || strstr(tn_buf_cstr(
	    &out.text), tn_status_text(fault.error == EIO ? TN_EIO :
	    TN_ENOSPC)) == NULL)) {
		print_message("%s", tn_buf_cstr(&out.text));
		must(false, "verify found differences");
	}
	tn_buf_fini(&out.text);
	return st;
}

static void
cut_stubbornly(struct fixture *f)
{
	struct run *r = f->arg;
	enum tn_status st;

	tn_speed_flush(f->a.speed);
	st = run_job(f, TN_BATCH_CUT);
	if (st == TN_OK || !r->once || st == TN_ECLOSED)
		return;
	must(run_job(f, TN_BATCH_CUT) == TN_OK,
	    "a cut after a failed one failed too");
}

static char *
try_view(struct fixture *f, const char *name)
{
	struct call c = { .f = f, .view = name, .layer = TN_LAYER_MERGED };
	char *text = NULL;

	tn_speed_flush(f->a.speed);
	c.job.run = run_get;
	c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &c.job);
	tn_net_latch_wait(c.latch);
	tn_net_latch_free(c.latch);
	if (c.answer->status == TN_OK)
		text = tn_strndup((char *)c.answer->body.p, c.answer->body.n);
	tn_serving_answer_unref(c.answer);
	return text;
}

static void
batch_counts(const char *text, uint32_t batch, uint32_t *n, uint32_t *seqs)
{
	char want[24];
	const char *at;

	snprintf(want, sizeof want, "\n%u,", (unsigned)batch);
	at = strstr(text, want);
	*n = *seqs = 0;
	if (at != NULL)
		must(sscanf(at + strlen(want), "%u,%u", n, seqs) == 2,
		    "the view's text");
}

/* Acknowledged: there, once. Else: not, or whole chunks of it. */
static void
check_views(struct fixture *f, bool all, bool may_fail)
{
	struct run *r = f->arg;
	char *ev = try_view(f, "ev_batches"), *plain = try_view(f,
	    "plain_batches");

	must(may_fail || (ev != NULL && plain != NULL), "a view failed");
	for (uint32_t i = 0; i < BODIES; i++) {
		const struct body *b = &bodies[i];
		const char *text = strcmp(b->stream, "ev") == 0 ? ev :
		    strcmp(b->stream, "plain") == 0 ? plain : NULL;
		uint32_t n, seqs;
		if (text == NULL)
			continue;
		batch_counts(text, b->batch, &n, &seqs);
		must(n == seqs, "a row is there twice");
		if (all || r->acked[i])
			must(n == b->rows, "an acknowledged row is gone");
		else
			must(n == b->rows || n == 0 || b->rows > 1000,
			    "half a body is there");
	}
	tn_free(ev);
	tn_free(plain);
}

/* Rows that are in the lake by now are still known. */
static void
send_twice(struct fixture *f, uint32_t i)
{
	struct run *r = f->arg;
	struct call c;

	if (r->acked[i] && send_body(f, i, &c) == TN_OK)
		must(c.result.duplicates == bodies[i].rows,
		    "a duplicate was taken");
}

static void
scenario(struct fixture *f)
{
	send_some(f, 0, 3);
	cut_stubbornly(f);
	send_twice(f, 1);
	send_some(f, 3, 5);
	cut_stubbornly(f);
	send_twice(f, 1);
	check_views(f, false, true);
	send_some(f, 5, BODIES);
	cut_stubbornly(f);
	(void)run_job(f, TN_BATCH_RECOMPUTE);
	(void)run_job(f, TN_BATCH_VERIFY);
	check_views(f, false, true);
}

/* ---- afterwards, on a good disk -------------------------------------- */

struct known {
	size_t root;         /* Bytes of the lake's path and a slash. */
	const char **paths;
	uint32_t count;
};

static bool
is_known(const struct known *k, const char *path)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (strcmp(k->paths[i], path + k->root) == 0)
			return true;
	return false;
}

/* Metadata of open table formats: the catalog does not name it, and it may be
 * written at this moment. */
static bool
is_foreign(const char *folder)
{
	return strcmp(folder, "metadata") == 0 ||
	    strcmp(folder, "_delta_log") == 0;
}

/* Nothing half-made anywhere; files of the lake are in the catalog. */
static void
look_at_files(const char *dir, const struct known *k)
{
	char **names = NULL;
	size_t count = 0;

	must(tn_os_list(dir, &names, &count) == TN_OK, "list");
	for (size_t i = 0; i < count; i++) {
		struct tn_buf b = { 0 };
		tn_buf_printf(&b, "%s/%s", dir, names[i]);
		if (is_foreign(names[i]))
			;
		else if (tn_os_kind(tn_buf_cstr(&b)) == TN_OS_DIR)
			look_at_files(tn_buf_cstr(&b), k);
		else if (strstr(names[i], ".tmp") != NULL ||
		    strstr(names[i], ".new") != NULL ||
		    (k != NULL && !is_known(k, tn_buf_cstr(&b)))) {
			print_message("%s\n", tn_buf_cstr(&b));
			must(false, "a file is left over");
		}
		tn_buf_fini(&b);
		tn_free(names[i]);
	}
	tn_free(names);
}

/* A dropped file may be gone already; a visible one never. */
static void
check_files(struct fixture *f)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    f->a.catalog);
	struct known k = { 0 };
	char path[300];
	int n = snprintf(path, sizeof path, "%s/lake", f->dir);

	k.root = (size_t)n + 1;
	must(tn_catalog_paths(f->a.catalog, a, &k.paths, &k.count) == TN_OK,
	    "paths");
	look_at_files(path, &k);
	look_at_files(f->dir, NULL);
	for (uint32_t i = 0; i < s->count; i++) {
		snprintf(path, sizeof path, "%s/lake/%s", f->dir,
		    s->files[i].path);
		must(tn_os_kind(path) == TN_OS_FILE, "a visible file is gone");
	}
	tn_catalog_snapshot_put(s);
	tn_arena_free(a);
}

static void
check_sql(struct fixture *f, const char *sql, uint32_t want)
{
	struct call c = { .f = f, .sql = sql };
	char text[40], *got;

	snprintf(text, sizeof text, "count\n%u\n", want);
	tn_speed_flush(f->a.speed);
	got = answer_of(&c);
	if (strcmp(got, text) != 0)
		print_message("%s: %s", sql, got);
	must(strcmp(got, text) == 0, "rows of silver");
	tn_free(got);
}

static void
after(struct fixture *f)
{
	struct call c;
	uint32_t ev = 0, plain = 0;

	check_files(f);
	check_views(f, false, false);
	for (uint32_t i = 0; i < BODIES; i++) {
		must(send_body(f, i, &c) == TN_OK, "sent again, refused");
		must(c.result.accepted + c.result.duplicates ==
		    bodies[i].rows, "sent again, the counts");
		if (strcmp(bodies[i].stream, "ev") == 0)
			ev += bodies[i].rows;
		else if (strcmp(bodies[i].stream, "plain") == 0)
			plain += bodies[i].rows;
	}
	check_views(f, true, false);
	must(run_job(f, TN_BATCH_CUT) == TN_OK, "cut");
	must(run_job(f, TN_BATCH_VERIFY) == TN_OK, "verify");
	check_views(f, true, false);
	check_sql(f, "SELECT count(*) FROM ev", ev);
	check_sql(f, "SELECT count(*) FROM plain", plain);
	check_files(f);
}

static void
again(struct fixture *f)
{
	check_views(f, true, false);
	check_files(f);
}

/* ---- every N --------------------------------------------------------- */

/* False when no call failed: the scenario is shorter than N calls. */
static bool
run_with(uint32_t fail_at, uint32_t in_a_row, int error)
{
	struct run r = { .once = in_a_row == 1 };
	struct fixture f;
	struct tn_diag d;
	bool fired;

	memset(&f, 0, sizeof f);
	snprintf(f.dir, sizeof f.dir, DIR_PREFIX "XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	f.pipeline = faults_pipeline;
	f.keep_us = 1;
	f.arg = &r;
	make_texts(&r);
	fault.calls = 0;
	fault.fired = 0;
	fault.what = NULL;
	fault.error = error;
	fault.fail_count = in_a_row;
	fault.fail_at = fail_at;
	fault.armed = true;
	if (try_engine(&f, &d) == TN_OK)
		run_open(&f, scenario);
	else
		tn_app_engine_close(&f.a);
	fired = fault.fired > 0;
	fault.armed = false;
	run_script(&f, after);
	if (fail_at % 5 == 0)
		run_script(&f, again);
	for (uint32_t i = 0; i < BODIES; i++) {
		must(fired || r.acked[i], "no failure, and yet no answer");
		tn_buf_fini(&r.text[i]);
	}
	remove_dir(&f);
	return fired;
}

static void
run_each(uint32_t stride, uint32_t in_a_row, int error)
{
	uint32_t at = 1, ran = 0;
	int64_t begun = tn_os_mono_us();
	const char *seed = getenv("TARN_SEED");

	if (getenv("SOAK") != NULL)
		stride = 1;
	if (getenv("TARN_STRIDE") != NULL)
		stride = (uint32_t)atoi(getenv("TARN_STRIDE"));
	/* Other places on other days. */
	if (seed != NULL)
		at += (uint32_t)strtoul(seed, NULL, 10) % stride;
	if (getenv("TARN_FAIL_AT") != NULL) {
		run_with((uint32_t)atoi(getenv("TARN_FAIL_AT")), in_a_row,
		    error);
		return;
	}
	for (; run_with(at, in_a_row, error); at += stride)
		ran++;
	print_message("errno %d, %u in a row: %u of about %u calls, %.1f s\n",
	    error, in_a_row, ran, at,
	    (double)(tn_os_mono_us() - begun) / 1e6);
	assert_true(ran * stride > 300 || stride > 100);
}

/* Goal: any one call to the disk fails with EIO. */
static void
test_eio_once(void **state)
{
	(void)state;
	run_each(5, 1, EIO);
}

/* Goal: the disk is full for one call, and for thirty. */
static void
test_disk_full(void **state)
{
	(void)state;
	run_each(23, 1, ENOSPC);
	run_each(23, 30, ENOSPC);
}

/* Goal: the disk is gone from the Nth call on, until the restart. */
static void
test_eio_stays(void **state)
{
	(void)state;
	run_each(13, UINT32_MAX, EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eio_once),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_eio_stays),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	/* The engine says each failure, which is right and long. */
	if (getenv("TARN_FAIL_AT") == NULL)
		quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: pwrite fsync fdatasync rename unlink mkdir */
/* The room objects without a door: names, lists, conditions, counts of
 * contents against a model, events that are refused, and every Nth failing
 * system call of a put, an overwrite, a delete and an erasure. */
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "objects/objects_int.h"

/* ---- failing calls ---------------------------------------------------- */

static _Atomic uint32_t calls;
static _Atomic uint32_t fail_at;         /* 0: never. */
static _Atomic int fail_errno = EIO;
static _Atomic bool fail_once;           /* Else all that follow, too. */

/* What was synced and moved, in order: paths, and "move". */
static char trace[32][160];
static _Atomic uint32_t traced;

static void
note(const char *what)
{
	uint32_t i = traced++;

	if (i < TN_COUNT(trace))
		snprintf(trace[i], sizeof trace[i], "%s", what);
}

static void
note_file(int fd)
{
	char link[64], path[160];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = '\0';
	note(path);
}

static bool
fails_now(void)
{
	uint32_t at = fail_at;
	uint32_t n = at == 0 ? 0 : ++calls;

	if (at == 0 || n < at || (fail_once && n > at))
		return false;
	errno = fail_errno;
	return true;
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return fails_now() ? -1 : __real_pwrite(fd, p, n, at);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	note_file(fd);
	return fails_now() ? -1 : __real_fsync(fd);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	note_file(fd);
	return fails_now() ? -1 : __real_fdatasync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int
__wrap_rename(const char *from, const char *to)
{
	note("move");
	return fails_now() ? -1 : __real_rename(from, to);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int
__wrap_unlink(const char *path)
{
	return fails_now() ? -1 : __real_unlink(path);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int
__wrap_mkdir(const char *path, mode_t mode)
{
	return fails_now() ? -1 : __real_mkdir(path, mode);
}

static void
arm(uint32_t at, int error)
{
	calls = 0;
	fail_errno = error;
	fail_at = at;
}

/* ---- the store --------------------------------------------------------- */

#define IDS_MAX 4096

static char dir[64];
static struct tn_net_loop *loop;
static struct tn_objects *store;
static struct tn_objects_opts opts;
/* The stream: ids seen, as its primary key would keep them. */
static char ids[IDS_MAX][33];
static uint32_t id_count, told_count;
static enum tn_status event_answer;      /* TN_OK: taken. */
static enum tn_status event_outcome;
static char last_row[8192];

struct later {
	struct tn_net_job job;
	void (*told)(void *op, const struct tn_objects_told *t);
	void *op;
};

static void
run_later(struct tn_net_job *job)
{
	struct later *l = (struct later *)job;
	struct tn_objects_told t = { .status = event_outcome, .lsn = 7 };

	l->told(l->op, &t);
	tn_free(l);
}

static enum tn_status
event(void *arg, struct tn_slice row, const char *source,
    void (*told)(void *op, const struct tn_objects_told *t), void *op,
    struct tn_diag *d)
{
	struct later *l;
	bool seen = false;

	(void)arg;
	assert_true(strlen(source) > 0);
	if (event_answer != TN_OK)
		return tn_diag_set(d, event_answer, "no", "not now");
	assert_memory_equal(row.p, "{\"id\":\"", 7);
	for (uint32_t i = 0; i < id_count; i++)
		seen = seen || memcmp(ids[i], row.p + 7, 32) == 0;
	if (event_outcome == TN_OK && !seen) {
		assert_true(id_count < IDS_MAX);
		memcpy(ids[id_count++], row.p + 7, 32);
	}
	told_count++;
	snprintf(last_row, sizeof last_row, "%.*s", (int)row.n,
	    (const char *)row.p);
	l = tn_zalloc(sizeof *l);
	l->told = told;
	l->op = op;
	l->job.run = run_later;
	tn_net_loop_post(loop, &l->job);
	return TN_OK;
}

static void
store_open(void)
{
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	loop = tn_net_loop_new();
	opts.loop = loop;
	opts.data = dir;
	opts.event = event;
	st = tn_objects_open(&store, &opts, &d);
	if (st != TN_OK)
		print_error("%s\n", d.message);
	assert_int_equal(st, TN_OK);
	/* The tests say when. */
	tn_net_timer_stop(store->timer);
}

static void
store_close(void)
{
	tn_objects_stop(store);
	tn_net_loop_settle(loop);
	tn_objects_free(store);
	tn_net_loop_free(loop);
	store = NULL;
	loop = NULL;
}

static int
begin(void **state)
{
	(void)state;
	/* Many syncs: in memory when the system has that. */
	snprintf(dir, sizeof dir, "%s/tarn-objects-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	memset(&opts, 0, sizeof opts);
	opts.keep_us = INT64_C(3600000000);
	event_answer = event_outcome = TN_OK;
	id_count = told_count = 0;
	return mkdtemp(dir) == NULL;
}

static int
end(void **state)
{
	char command[128];

	(void)state;
	arm(0, EIO);
	if (store != NULL)
		store_close();
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

/* ---- operations, each waited for -------------------------------------- */

struct answer {
	bool done;
	enum tn_status status;
	struct tn_diag diag;
	char sha[65];
	char path[256];
	char json[16384];
	uint64_t bytes, names, lsn;
	bool created, removed;
};

static void
answered(void *arg, const struct tn_objects_result *r)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	a->status = r->status;
	a->diag = r->diag;
	memcpy(a->sha, r->info.sha256, sizeof a->sha);
	snprintf(a->path, sizeof a->path, "%s", r->path != NULL ? r->path :
	    "");
	snprintf(a->json, sizeof a->json, "%.*s", (int)r->json.n,
	    r->json.p != NULL ? (const char *)r->json.p : "");
	a->bytes = r->info.bytes;
	a->names = r->info.names;
	a->lsn = r->lsn;
	a->created = r->created;
	a->removed = r->removed;
	tn_net_loop_stop(loop);
}

static void
wait_for(const struct answer *a)
{
	while (!a->done)
		tn_net_loop_run(loop);
}

struct sending {
	struct answer a;         /* First. */
	struct tn_objects_upload *u;
	bool resumed;
};

static void
resumed(void *arg)
{
	((struct sending *)arg)->resumed = true;
	tn_net_loop_stop(loop);
}

static struct answer
put(const char *name, struct tn_slice body, struct tn_objects_put *more)
{
	const char *slash = strchr(name, '/');
	struct sending s = { .u = NULL };
	struct tn_objects_put p = more != NULL ? *more :
	    (struct tn_objects_put){ .source = "test" };
	size_t at = 0;

	p.source = "test";
	p.bucket = (struct tn_slice){ (const uint8_t *)name,
	    (size_t)(slash - name) };
	p.key = tn_slice_of(slash + 1);
	p.done = answered;
	p.resume = resumed;
	p.arg = &s;
	s.a.status = tn_objects_put_begin(store, &p, &s.u, &s.a.diag);
	if (s.a.status != TN_OK)
		return s.a;
	while (at < body.n && !s.a.done) {
		size_t n = body.n - at < 30000 ? body.n - at : 30000;
		if (tn_objects_put_feed(s.u, (struct tn_slice){ body.p + at,
		    n }) == TN_OK) {
			at += n;
			continue;
		}
		while (!s.resumed && !s.a.done)
			tn_net_loop_run(loop);
		s.resumed = false;
	}
	if (!s.a.done)
		tn_objects_put_end(s.u);
	wait_for(&s.a);
	return s.a;
}

static struct answer
put_text(const char *name, const char *text)
{
	return put(name, tn_slice_of(text), NULL);
}

static void
split(const char *name, struct tn_slice *bucket, struct tn_slice *key)
{
	const char *slash = strchr(name, '/');

	*bucket = (struct tn_slice){ (const uint8_t *)name,
	    (size_t)(slash - name) };
	*key = tn_slice_of(slash + 1);
}

static struct answer
find(const char *name)
{
	struct answer a = { .done = false };
	struct tn_slice bucket, key;

	split(name, &bucket, &key);
	tn_objects_find(store, bucket, key, answered, &a);
	wait_for(&a);
	return a;
}

static struct answer
find_content(const char *sha)
{
	struct answer a = { .done = false };

	tn_objects_find(store, tn_slice_of(sha), tn_slice_of(""), answered,
	    &a);
	wait_for(&a);
	return a;
}

static struct answer
drop(const char *name, bool erase)
{
	struct answer a = { .done = false };
	struct tn_objects_delete q = { .source = "test", .erase = erase };

	split(name, &q.bucket, &q.key);
	tn_objects_delete(store, &q, answered, &a);
	wait_for(&a);
	return a;
}

static struct answer
list(const char *bucket, const char *prefix, const char *after, uint32_t n)
{
	struct answer a = { .done = false };
	struct tn_objects_list q = { tn_slice_of(bucket),
	    tn_slice_of(prefix), tn_slice_of(after), n };

	tn_objects_list(store, &q, answered, &a);
	wait_for(&a);
	return a;
}

static void
assert_content(const char *path, struct tn_slice body)
{
	struct tn_buf b = { 0 };

	assert_int_equal(tn_os_read_file(path, &b, 1 << 24), TN_OK);
	assert_int_equal(b.n, body.n);
	if (body.n > 0)
		assert_memory_equal(b.p, body.p, body.n);
	tn_buf_fini(&b);
}

/* Files below DATA/lake/objects. */
static uint32_t
count_files(const char *below)
{
	char command[160];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof command,
	    "find '%s/lake/objects%s' -type f | wc -l", dir, below);
	f = popen(command, "r");
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

/* ---- tests ------------------------------------------------------------- */

static const struct { const char *bucket, *key; bool good; } names[] = {
	{ "abc", "a", true }, { "a.b-c_9", "x/y/z", true },
	{ "abc", "...", true }, { "abc", "\xc3\xbc/\xe2\x82\xac", true },
	{ "ab", "a", false }, { "ABC", "a", false }, { ".abc", "a", false },
	{ "by-hash", "a", false }, { "a/b", "a", false },
	{ "abc", "", false }, { "abc", "/", false }, { "abc", "/a", false },
	{ "abc", "a/", false }, { "abc", "a//b", false },
	{ "abc", ".", false }, { "abc", "..", false },
	{ "abc", "a/../b", false }, { "abc", "a/.", false },
	{ "abc", "a\\b", false }, { "abc", "a\nb", false },
	{ "abc", "a\x7f", false }, { "abc", "\xff", false },
	{ "abc", "\xed\xa0\x80", false },
};

/* Goal: a name is taken or refused with a hint. */
static void
test_names(void **state)
{
	char longest[TN_OBJECTS_KEY_MAX + 2];

	(void)state;
	for (size_t i = 0; i < TN_COUNT(names); i++) {
		struct tn_diag d = { .line = 0 };
		enum tn_status st = tn_objects_name_check(tn_slice_of(
		    names[i].bucket), tn_slice_of(names[i].key), &d);
		print_message("%s %s\n", names[i].bucket, names[i].key);
		assert_int_equal(st == TN_OK, names[i].good);
		assert_int_equal(d.hint[0] != '\0', !names[i].good);
	}
	memset(longest, 'k', sizeof longest);
	assert_int_equal(tn_objects_name_check(tn_slice_of("abc"),
	    (struct tn_slice){ (uint8_t *)longest, TN_OBJECTS_KEY_MAX },
	    NULL), TN_OK);
	assert_int_equal(tn_objects_name_check(tn_slice_of("abc"),
	    (struct tn_slice){ (uint8_t *)longest, TN_OBJECTS_KEY_MAX + 1 },
	    NULL), TN_EINVAL);
}

static const struct { const char *text; bool good; } retentions[] = {
	{ "", true }, { "  ", true }, { "photos=30 days", true },
	{ "photos=30 days, *=400 days,a.b=1 hour", true },
	{ "photos", false }, { "photos=", false }, { "=1 day", false },
	{ "photos=soon", false }, { "photos=1 month", false },
	{ "photos=-1 day", false }, { "photos=0 s", false },
	{ "Photos=1 day", false }, { "photos=1 day,,", false },
	{ "photos=99999999999 days", false },
	{ "photos=2000000000 days", false },
};

/* Goal: retention texts, and which rule holds for a bucket. */
static void
test_retention(void **state)
{
	struct rules r;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(retentions); i++) {
		struct tn_diag d = { .line = 0 };
		print_message("%s\n", retentions[i].text);
		assert_int_equal(tn_objects_retention_check(
		    retentions[i].text, &d) == TN_OK, retentions[i].good);
		assert_int_equal(d.message[0] != '\0', !retentions[i].good);
	}
	assert_int_equal(tn_objects_rules_parse(&r,
	    "*=2 s, photos=1 s", NULL), TN_OK);
	assert_int_equal(tn_objects_rules_of(&r, tn_slice_of("photos")),
	    1000000);
	assert_int_equal(tn_objects_rules_of(&r, tn_slice_of("other")),
	    2000000);
}

static void
test_values(void **state)
{
	struct name n = { .bytes = UINT64_MAX, .uploaded_us = -5,
	    .image = { .width = 3, .height = 4, .has_taken = true,
	    .taken_us = INT64_MIN, .taken_offset = "+01:00" },
	    .type = tn_slice_of("a/b"), .metadata = tn_slice_of("{}") }, m;
	struct tn_buf b = { 0 };

	(void)state;
	memset(n.sha, 0xab, sizeof n.sha);
	tn_objects_name_put(&b, &n);
	assert_true(tn_objects_name_get((struct tn_slice){ b.p, b.n }, &m));
	assert_memory_equal(m.sha, n.sha, SHA_BYTES);
	assert_true(m.bytes == n.bytes && m.uploaded_us == -5 &&
	    m.image.taken_us == INT64_MIN);
	assert_string_equal(m.image.taken_offset, "+01:00");
	assert_true(tn_slice_is(m.type, "a/b"));
	for (size_t i = 0; i < b.n; i++)
		assert_false(tn_objects_name_get((struct tn_slice){ b.p, i },
		    &m));
	b.p[0] ^= 1;
	assert_false(tn_objects_name_get((struct tn_slice){ b.p, b.n }, &m));
	tn_buf_fini(&b);
}

/* Goal: what is put is found, listed, told, and there after an opening. */
static void
test_put(void **state)
{
	static uint8_t large[1200000];
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof large; i++)
		large[i] = (uint8_t)(i * 7 + i / 251);
	store_open();
	a = put("files/large", (struct tn_slice){ large, sizeof large },
	    NULL);
	assert_int_equal(a.status, TN_OK);
	assert_true(a.created);
	assert_int_equal(a.lsn, 7);
	assert_int_equal(a.bytes, sizeof large);
	assert_non_null(strstr(last_row, "\"action\":\"put\""));
	assert_content(find("files/large").path, (struct tn_slice){ large,
	    sizeof large });
	a = put_text("files/small", "abc");
	assert_string_equal(a.sha, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
	a = put_text("files/empty", "");
	assert_int_equal(a.bytes, 0);
	assert_int_equal(find_content("ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad").names, 1);
	assert_int_equal(find("files/none").status, TN_ENOTFOUND);
	assert_int_equal(find("files/larg").status, TN_ENOTFOUND);
	store_close();
	store_open();
	assert_content(find("files/small").path, tn_slice_of("abc"));
	a = list("files", "", "", 2);
	assert_non_null(strstr(a.json, "\"key\":\"empty\""));
	assert_non_null(strstr(a.json, "\"next\":\"large\"}"));
	a = list("files", "", "large", 2);
	assert_null(strstr(a.json, "\"key\":\"large\""));
	assert_non_null(strstr(a.json, "\"key\":\"small\""));
	assert_non_null(strstr(a.json, "\"next\":null}"));
	a = list("", "", "", 0);
	assert_string_equal(a.json, "{\"buckets\":[{\"bucket\":\"files\","
	    "\"objects\":3,\"bytes\":1200003}]}");
	assert_int_equal(id_count, 3);
}

static uint32_t
find_trace(const char *part)
{
	for (uint32_t i = 0; i < traced && i < TN_COUNT(trace); i++)
		if (strstr(trace[i], part) != NULL)
			return i;
	fail_msg("%s was not synced", part);
	return 0;
}

/* Goal: the file is synced before it is moved, its folder after it, and the
 * index last: a power loss leaves no name without its file. */
static void
test_order(void **state)
{
	uint32_t file, move, folder, index;

	(void)state;
	store_open();
	traced = 0;
	assert_int_equal(put_text("files/a", "abc").status, TN_OK);
	file = find_trace("/objects/tmp/");
	move = find_trace("move");
	folder = find_trace("/objects/ba/78");
	index = find_trace("/objects.mdb");
	assert_true(file < move && move < folder && folder < index);
}

/* Goal: a full index refuses a put and keeps no content of it. */
static void
test_index_full(void **state)
{
	struct tn_objects_put p = { .source = "test" };
	struct tn_buf meta = { 0 };
	enum tn_status st = TN_OK;
	char name[32], body[32];
	uint32_t n = 0;

	(void)state;
	tn_buf_str(&meta, "{\"a\":\"");
	while (meta.n < 4000)
		tn_buf_char(&meta, 'x');
	tn_buf_str(&meta, "\"}");
	p.metadata = (struct tn_slice){ meta.p, meta.n };
	opts.index_bytes_max = 1 << 20;
	store_open();
	for (; st == TN_OK; n++) {
		snprintf(name, sizeof name, "files/%u", (unsigned)n);
		snprintf(body, sizeof body, "body %u", (unsigned)n);
		st = put(name, tn_slice_of(body), &p).status;
	}
	assert_int_equal(st, TN_ENOSPC);
	assert_true(n > 20);
	assert_int_equal(find(name).status, TN_ENOTFOUND);
	assert_int_equal(find("files/0").status, TN_OK);
	assert_int_equal(count_files(""), n - 1);
	tn_buf_fini(&meta);
}

/* Goal: an upload is refused for its size, its checksum, its length, what is
 * there, or too many others; nothing of it stays. */
static void
test_refused(void **state)
{
	static const uint8_t wrong[16];
	struct tn_objects_put p = { .has_bytes = true, .bytes = 4 };
	struct answer a;
	char big[3000];

	(void)state;
	memset(big, 'x', sizeof big);
	opts.bytes_max = 2000;
	store_open();
	a = put("files/a", (struct tn_slice){ (uint8_t *)big, sizeof big },
	    NULL);
	assert_int_equal(a.status, TN_ELIMIT);
	a = put("files/a", tn_slice_of("abc"), &p);
	assert_int_equal(a.status, TN_EINVAL);
	assert_string_equal(a.diag.code, "short_body");
	p = (struct tn_objects_put){ .md5 = { wrong, 16 } };
	a = put("files/a", tn_slice_of("abc"), &p);
	assert_string_equal(a.diag.code, "checksum");
	p = (struct tn_objects_put){ .sha256 = tn_slice_of("BA7816BF8F01CFEA"
	    "414140DE5DAE2223B00361A396177A9CB410FF61F20015AE") };
	a = put("files/a", tn_slice_of("abc"), &p);
	assert_string_equal(a.diag.code, "checksum");
	p = (struct tn_objects_put){ .must = { .match = tn_slice_of("*") } };
	assert_int_equal(put("files/a", tn_slice_of("abc"), &p).status,
	    TN_ECONFLICT);
	assert_int_equal(find("files/a").status, TN_ENOTFOUND);
	assert_int_equal(put_text("files/a", "abc").status, TN_OK);
	p = (struct tn_objects_put){ .must = { .absent = true } };
	assert_int_equal(put("files/a", tn_slice_of("abd"), &p).status,
	    TN_ECONFLICT);
	p = (struct tn_objects_put){ .must = { .match = tn_slice_of(
	    "\"x\", \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410"
	    "ff61f20015ad\"") } };
	assert_int_equal(put("files/a", tn_slice_of("abd"), &p).status,
	    TN_OK);
	assert_int_equal(put("files/a", tn_slice_of("abe"), &p).status,
	    TN_ECONFLICT);
	assert_int_equal(count_files("/tmp"), 0);
	assert_int_equal(id_count, 2);
}

/* Goal: who goes away leaves nothing, at any moment; others are not bound. */
static void
test_abort(void **state)
{
	static uint8_t piece[60000];
	struct sending s[3] = { { .u = NULL } };
	struct tn_objects_put p = { .source = "test",
	    .bucket = tn_slice_of("files"), .key = tn_slice_of("a"),
	    .done = answered, .resume = resumed };

	(void)state;
	opts.uploads_max = 3;
	store_open();
	for (int pieces = 0; pieces < 12; pieces++) {
		struct sending one = { .u = NULL };
		struct tn_diag d;
		p.arg = &one;
		assert_int_equal(tn_objects_put_begin(store, &p, &one.u, &d),
		    TN_OK);
		for (int i = 0; i < pieces; i++)
			(void)!tn_objects_put_feed(one.u, (struct tn_slice){
			    piece, sizeof piece });
		if (pieces % 3 == 2)
			tn_objects_put_end(one.u);
		tn_objects_put_abort(one.u);
		(void)find("files/nothing");
		while (store->uploads > 0)
			(void)find("files/nothing");
		assert_false(one.a.done);
	}
	assert_int_equal(count_files("/tmp"), 0);
	for (int i = 0; i < 3; i++) {
		struct tn_diag d;
		p.arg = &s[i];
		assert_int_equal(tn_objects_put_begin(store, &p, &s[i].u, &d),
		    TN_OK);
	}
	assert_int_equal(put_text("files/b", "x").status, TN_EFULL);
	for (int i = 0; i < 3; i++)
		tn_objects_put_abort(s[i].u);
	while (store->uploads > 0)
		(void)find("files/nothing");
	assert_int_equal(put_text("files/b", "x").status, TN_OK);
}

/* Goal: a content stays while a name has it, and is removed with erase, or
 * when it was without one for keep_us. */
static void
test_contents(void **state)
{
	struct answer a;

	(void)state;
	store_open();
	put_text("one/aaa", "same");
	put_text("two/aaa", "same");
	put_text("two/bbb", "same");
	assert_int_equal(count_files(""), 1);
	a = drop("one/aaa", true);
	assert_int_equal(a.status, TN_OK);
	assert_false(a.removed);
	assert_int_equal(a.names, 2);
	put_text("two/bbb", "other");
	a = drop("two/aaa", false);
	assert_int_equal(a.names, 0);
	assert_non_null(strstr(last_row, "\"action\":\"delete\""));
	assert_int_equal(drop("two/aaa", false).status, TN_ENOTFOUND);
	assert_int_equal(count_files(""), 2);
	/* Named again before its time. */
	put_text("two/ccc", "same");
	assert_int_equal(find("two/ccc").status, TN_OK);
	a = drop("two/ccc", true);
	assert_true(a.removed);
	assert_int_equal(count_files(""), 1);
	put_text("two/ddd", "gone soon");
	drop("two/ddd", false);
	store_close();
	opts.keep_us = -1000000;         /* All that has no name is overdue. */
	store_open();
	tn_objects_tidy(store);
	assert_int_equal(count_files(""), 1);
	assert_content(find("two/bbb").path, tn_slice_of("other"));
}

static _Atomic int64_t ahead;            /* The wall clock. */

static int64_t
wall_ahead(void)
{
	return tn_os_real.wall_us() + ahead;
}

/* The store, with a clock of ours and a retention. */
static void
own_clock(void)
{
	static struct tn_os_table table;

	table = tn_os_real;
	table.wall_us = wall_ahead;
	tn_os_use(&table);
	ahead = 0;
	opts.retention = "photos=30 days";
	opts.wait_us = INT64_C(600000000);
	store_open();
}

/* Goal: a clock that leaps by years makes nothing old; one that goes on by
 * hours does. */
static void
test_clock_leaps(void **state)
{
	(void)state;
	own_clock();
	put_text("photos/a", "kept");
	put_text("files/b", "garbage soon");
	drop("files/b", false);
	tn_objects_tidy(store);
	ahead += INT64_C(40) * 365 * 86400 * 1000000;
	for (int i = 0; i < 3; i++) {
		store->next_expire_us = 0;
		tn_objects_tidy(store);
	}
	assert_int_equal(find("photos/a").status, TN_OK);
	assert_int_equal(count_files(""), 2);
	ahead = 0;
	store->held_until_us = 0;
	tn_objects_tidy(store);
	for (int i = 0; i < 20; i++) {           /* 38 hours a look. */
		ahead += INT64_C(38) * 3600 * 1000000;
		store->next_expire_us = 0;
		tn_objects_tidy(store);
	}
	tn_net_loop_settle(loop);
	assert_int_equal(find("photos/a").status, TN_ENOTFOUND);
	store_close();
	tn_os_use(NULL);
}

/* Goal: a leap while the program did not run makes nothing old either, nor does
 * another restart end the wait; but a stop of a day is believed. */
static void
test_clock_leaps_over_stop(void **state)
{
	(void)state;
	own_clock();
	put_text("photos/a", "kept");
	tn_objects_tidy(store);
	for (int i = 0; i < 3; i++) {
		store_close();
		if (i == 0)
			ahead += INT64_C(40) * 365 * 86400 * 1000000;
		store_open();
		tn_objects_tidy(store);
		tn_net_loop_settle(loop);
		assert_int_equal(find("photos/a").status, TN_OK);
	}
	assert_true(store->held_until_us > 0);
	store_close();
	ahead += opts.wait_us + 1;
	store_open();
	tn_objects_tidy(store);
	tn_net_loop_settle(loop);
	assert_int_equal(find("photos/a").status, TN_ENOTFOUND);
	/* From here on each stop is one of 40 hours. */
	put_text("photos/b", "goes");
	for (int i = 0; i < 20; i++) {
		store_close();
		ahead += INT64_C(40) * 3600 * 1000000;
		store_open();
		tn_objects_tidy(store);
		tn_net_loop_settle(loop);
	}
	assert_int_equal(find("photos/b").status, TN_ENOTFOUND);
	store_close();
	tn_os_use(NULL);
}

/* Goal: an event that is refused for now is told later, once; one that fails
 * is said, stays, and is told after the next opening. */
static void
test_events(void **state)
{
	struct answer a = { .done = false };
	struct tn_objects_delete q = { .bucket = tn_slice_of("files"),
	    .key = tn_slice_of("a"), .source = "test" };

	(void)state;
	store_open();
	event_outcome = TN_ENOSPC;
	assert_int_equal(put_text("files/a", "abc").status, TN_ENOSPC);
	assert_int_equal(find("files/a").status, TN_OK);
	assert_int_equal(id_count, 0);
	event_outcome = TN_OK;
	event_answer = TN_ECLOSED;
	assert_int_equal(put_text("files/b", "abc").status, TN_ECLOSED);
	/* Too many wait to be told: refused, nothing done. */
	store->untold_count += UNTOLD_MAX;
	tn_objects_delete(store, &q, answered, &a);
	assert_int_equal(find("files/a").status, TN_OK);
	assert_true(a.done);
	assert_int_equal(a.status, TN_EFULL);
	a = (struct answer){ .done = false };
	store->untold_count -= UNTOLD_MAX;
	/* Full: the answer waits until it may be told. */
	event_answer = TN_EFULL;
	tn_objects_delete(store, &q, answered, &a);
	(void)find("files/b");
	(void)find("files/b");
	assert_false(a.done);
	store_close();
	assert_true(a.done);
	assert_int_equal(a.status, TN_ECLOSED);
	event_answer = TN_OK;
	store_open();
	tn_objects_tell_late(store);
	(void)find("files/b");
	(void)find("files/b");
	assert_int_equal(id_count, 3);
	assert_int_equal(find("files/a").status, TN_ENOTFOUND);
	store_close();
	told_count = 0;
	store_open();
	tn_objects_tell_late(store);
	assert_int_equal(told_count, 0);
}

/* Goal: files that no index knows are removed, others are not; a folder
 * without its index is not started. */
static void
test_sweep(void **state)
{
	struct tn_diag d = { .line = 0 };
	char path[256], away[256];

	(void)state;
	store_open();
	put_text("files/a", "abc");
	store_close();
	snprintf(path, sizeof path, "%s/lake/objects/ba/00", dir);
	assert_int_equal(tn_os_mkdirs(path), TN_OK);
	snprintf(path, sizeof path, "%s/lake/objects/ba/00/ba00%060d", dir,
	    0);
	assert_int_equal(tn_os_write_file(path, "x", 1, 0640), TN_OK);
	snprintf(path, sizeof path, "%s/lake/objects/tmp/left", dir);
	assert_int_equal(tn_os_write_file(path, "x", 1, 0640), TN_OK);
	assert_int_equal(count_files(""), 3);
	store_open();
	while (store->sweep_at < 256)
		tn_objects_tidy(store);
	assert_int_equal(count_files(""), 1);
	assert_int_equal(find("files/a").status, TN_OK);
	store_close();
	snprintf(path, sizeof path, "%s/objects.mdb", dir);
	snprintf(away, sizeof away, "%s/away", dir);
	assert_int_equal(tn_os_rename(path, away), TN_OK);
	loop = tn_net_loop_new();
	opts.loop = loop;
	assert_int_equal(tn_objects_open(&store, &opts, &d), TN_ECORRUPT);
	assert_string_equal(d.code, "objects_lost");
	assert_int_equal(count_files(""), 1);
	tn_net_loop_free(loop);
	assert_int_equal(tn_os_rename(away, path), TN_OK);
	store_open();
	assert_int_equal(find("files/a").status, TN_OK);
}

/* ---- faults ------------------------------------------------------------ */

enum act { ACT_PUT, ACT_REPLACE, ACT_DELETE, ACT_ERASE, ACTS };

static struct answer
run_act(enum act act)
{
	switch (act) {
	case ACT_PUT:
		return put_text("files/new", "new");
	case ACT_REPLACE:
		return put_text("files/old", "new");
	case ACT_DELETE:
		return drop("files/old", false);
	default:
		return drop("files/old", true);
	}
}

/* What the name holds now must be what was before or what was asked for, and
 * the latter when the answer said so. */
static void
check_act(enum act act, bool acknowledged)
{
	bool fresh = act == ACT_PUT;
	struct answer a = find(fresh ? "files/new" : "files/old");

	if (a.status == TN_ENOTFOUND) {
		assert_true(act != ACT_REPLACE);
		assert_true(!fresh || !acknowledged);
		return;
	}
	assert_int_equal(a.status, TN_OK);
	assert_true(act == ACT_PUT || act == ACT_REPLACE || !acknowledged);
	if (acknowledged || fresh)
		assert_content(a.path, tn_slice_of("new"));
	else
		assert_int_equal(a.bytes, 3);
}

static bool
one_fault(enum act act, uint32_t at, int error)
{
	struct answer a;
	uint32_t before;
	bool hit;

	opts.keep_us = -1000000;         /* Without a name: overdue. */
	store_open();
	assert_int_equal(put_text("files/old", "old").status, TN_OK);
	before = id_count;
	arm(at, error);
	a = run_act(act);
	hit = calls >= at;
	arm(0, error);
	if (!hit)
		assert_int_equal(a.status, TN_OK);
	store_close();
	store_open();
	tn_objects_tell_late(store);
	check_act(act, a.status == TN_OK);
	while (store->sweep_at < 256)
		tn_objects_tidy(store);
	check_act(act, a.status == TN_OK);
	assert_int_equal(count_files("/tmp"), 0);
	/* It goes on: the same again succeeds, or there is nothing to drop. */
	a = run_act(act);
	assert_true(a.status == TN_OK || (act >= ACT_DELETE &&
	    a.status == TN_ENOTFOUND));
	check_act(act, true);
	assert_true(id_count > before);
	drop("files/old", true);
	drop("files/new", true);
	tn_objects_tidy(store);
	assert_int_equal(count_files(""), 0);
	store_close();
	return hit;
}

/* Goal: whatever call fails, an acknowledged change is there after the next
 * start, another is there whole or not at all, and the next one works. */
static void
test_faults(void **state)
{
	static const int errors[] = { EIO, ENOSPC };

	(void)state;
	for (enum act act = 0; act < ACTS; act++)
		for (size_t e = 0; e < 2 * TN_COUNT(errors); e++) {
			uint32_t at = 1;
			fail_once = e >= TN_COUNT(errors);
			for (; at < 200 && one_fault(act, at, errors[e % 2]);
			    at++) {
				end(NULL);
				begin(NULL);
			}
			print_message("act %d, %s: %u calls\n", (int)act,
			    strerror(errors[e % 2]), at - 1);
			assert_true(at > 2 && at < 200);
			end(NULL);
			begin(NULL);
		}
}

/* Goal: 600 random changes of 12 names and 5 contents leave what a model has,
 * over openings, and exactly the files that a name has once all is tidied. */
static void
test_random(void **state)
{
	static const char *const bodies[] = { "", "a", "bb", "ccc", "dddd" };
	int held[12];
	char name[16];
	uint64_t s = getenv("TARN_SEED") != NULL ?
	    strtoull(getenv("TARN_SEED"), NULL, 10) : 1;
	uint32_t files = 0;

	(void)state;
	print_message("TARN_SEED=%llu\n", (unsigned long long)s);
	memset(held, -1, sizeof held);
	opts.keep_us = -1000000;
	store_open();
	for (int round = 0; round < 600; round++) {
		uint32_t i, what;
		s = s * 6364136223846793005u + 1442695040888963407u;
		i = (uint32_t)(s >> 33) % 12;
		what = (uint32_t)(s >> 40) % 8;
		snprintf(name, sizeof name, "b%02u/k%u", i % 3, i);
		if (what < 5) {
			struct answer a = put_text(name, bodies[what]);
			assert_int_equal(a.status, TN_OK);
			assert_int_equal(a.created, held[i] < 0);
			held[i] = (int)what;
		} else if (what < 7) {
			struct answer a = drop(name, what == 5);
			assert_int_equal(a.status == TN_OK, held[i] >= 0);
			held[i] = -1;
		}
		if (round % 200 == 199) {
			store_close();
			store_open();
		}
	}
	store_close();
	store_open();
	tn_objects_tidy(store);
	for (uint32_t b = 0; b < 5; b++) {
		bool any = false;
		for (uint32_t i = 0; i < 12; i++)
			any = any || held[i] == (int)b;
		files += any;
	}
	for (uint32_t i = 0; i < 12; i++) {
		struct answer a;
		snprintf(name, sizeof name, "b%02u/k%u", i % 3, i);
		a = find(name);
		assert_int_equal(a.status == TN_OK, held[i] >= 0);
		if (held[i] >= 0)
			assert_content(a.path, tn_slice_of(bodies[held[i]]));
	}
	assert_int_equal(count_files(""), files);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_retention),
		cmocka_unit_test(test_values),
		cmocka_unit_test_setup_teardown(test_put, begin, end),
		cmocka_unit_test_setup_teardown(test_order, begin, end),
		cmocka_unit_test_setup_teardown(test_index_full, begin, end),
		cmocka_unit_test_setup_teardown(test_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_abort, begin, end),
		cmocka_unit_test_setup_teardown(test_contents, begin, end),
		cmocka_unit_test_setup_teardown(test_clock_leaps, begin, end),
		cmocka_unit_test_setup_teardown(test_clock_leaps_over_stop,
		    begin, end),
		cmocka_unit_test_setup_teardown(test_events, begin, end),
		cmocka_unit_test_setup_teardown(test_sweep, begin, end),
		cmocka_unit_test_setup_teardown(test_faults, begin, end),
		cmocka_unit_test_setup_teardown(test_random, begin, end),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wrap: pwrite pwritev fdatasync fsync write */
/* The durable table beside the log: random commits against a model, prefixes,
 * a full table, damage, and every Nth failing system call. */
#include "test.h"

#include <errno.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "log_help.h"

/* ---- failing calls --------------------------------------------------- */

static uint32_t calls;
static uint32_t fail_at;         /* 0: never. */

static bool
fails_now(void)
{
	calls++;
	if (fail_at == 0 || calls < fail_at)
		return false;
	errno = EIO;
	return true;
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return fails_now() ? -1 : __real_pwrite(fd, p, n, at);
}

ssize_t __real_pwritev(int fd, const struct iovec *v, int n, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *v, int n, off_t at);
ssize_t
__wrap_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return fails_now() ? -1 : __real_pwritev(fd, v, n, at);
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	return fd > 2 && fails_now() ? -1 : __real_write(fd, p, n);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
	return fails_now() ? -1 : __real_fdatasync(fd);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	return fails_now() ? -1 : __real_fsync(fd);
}

/* ---- help ------------------------------------------------------------ */

#define KEYS 50

static struct tn_log_table *
open_table(const char *dir, uint64_t bytes_max)
{
	struct tn_diag d = { .message = "" };
	struct tn_log_table *t = NULL;
	char path[200];

	(void)snprintf(path, sizeof path, "%s/t.mdb", dir);
	assert_int_equal(tn_log_table_open(&t, path, bytes_max, &d), TN_OK);
	return t;
}

static struct tn_log_change
change_of(char key[static 16], uint32_t k, const uint8_t *value, size_t n)
{
	(void)snprintf(key, 16, "%s/%02u", k % 2 == 0 ? "even" : "odd", k);
	return (struct tn_log_change){ .key = tn_slice_of(key),
		.value = { value, n } };
}

struct seen {
	uint32_t count;
	uint32_t bytes;
	uint32_t sum;
};

static bool
see(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct seen *s = arg;

	s->count++;
	s->bytes += (uint32_t)value.n;
	s->sum += tn_crc32c(0, key.p, key.n) ^ tn_crc32c(7, value.p, value.n);
	return true;
}

static struct seen
look(struct tn_log_table *t, const char *prefix)
{
	struct seen s = { 0 };

	assert_int_equal(tn_log_table_each(t, tn_slice_of(prefix), see, &s),
	    TN_OK);
	return s;
}

/* ---- tests ----------------------------------------------------------- */

struct model {
	bool there[KEYS];
	uint32_t n[KEYS];
	uint8_t value[KEYS][9000];
};

static struct seen
expected(const struct model *m, uint32_t from, uint32_t step)
{
	struct seen s = { 0 };
	char key[16];

	for (uint32_t k = from; k < KEYS; k += step) {
		struct tn_log_change c = change_of(key, k, m->value[k],
		    m->n[k]);
		if (m->there[k])
			see(&s, c.key, c.value);
	}
	return s;
}

static void
random_commit(struct tn_log_table *t, struct model *m)
{
	struct tn_log_change c[8];
	char key[8][16];
	uint32_t n = 1 + random_below(8);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = i * 6 + random_below(6);
		if (k >= KEYS)
			k = KEYS - 1;
		m->there[k] = random_below(3) > 0;
		m->n[k] = random_below(10) == 0 ? random_below(9000) :
		    random_below(100);
		fill_random(m->value[k], m->n[k]);
		c[i] = change_of(key[i], k, m->value[k], m->n[k]);
		c[i].drop = !m->there[k];
	}
	assert_int_equal(tn_log_table_commit(t, c, n), TN_OK);
}

static void
check_model(struct tn_log_table *t, const struct model *m)
{
	struct seen a = look(t, ""), b = expected(m, 0, 1);

	assert_memory_equal(&a, &b, sizeof a);
	a = look(t, "odd/");
	b = expected(m, 1, 2);
	assert_memory_equal(&a, &b, sizeof a);
	a = look(t, "even/");
	b = expected(m, 0, 2);
	assert_memory_equal(&a, &b, sizeof a);
	assert_int_equal(look(t, "even/ ").count + look(t, "zzz").count, 0);
}

/* Every key by itself, and what is not there. */
static void
check_single(struct tn_log_table *t, const struct model *m)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_slice v;
	char key[16];

	for (uint32_t k = 0; k < KEYS; k++) {
		struct tn_log_change c = change_of(key, k, m->value[k],
		    m->n[k]);
		enum tn_status st = tn_log_table_get(t, c.key, a, &v);
		assert_int_equal(st, m->there[k] ? TN_OK : TN_ENOTFOUND);
		assert_true(st != TN_OK || tn_slice_eq(v, c.value));
		c.key.n--;
		assert_int_equal(tn_log_table_get(t, c.key, a, &v),
		    TN_ENOTFOUND);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
}

/* Goal: reading from a key on gives it and what follows it, of the prefix. */
static void
test_from(void **state)
{
	struct tn_log_table *t = open_table(*state, 1 << 20);
	const char *const keys[] = { "a", "n/a", "n/b", "n/c", "o" };
	static const struct { const char *from; uint32_t count; } cases[] = {
		{ "n/", 3 }, { "n/a", 3 }, { "n/aa", 2 }, { "n/c", 1 },
		{ "n/d", 0 }, { "o", 0 },
	};

	for (size_t i = 0; i < TN_COUNT(keys); i++) {
		struct tn_log_change c = { .key = tn_slice_of(keys[i]),
		    .value = tn_slice_of("v") };
		assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	}
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct seen s = { 0 };
		assert_int_equal(tn_log_table_from(t, tn_slice_of("n/"),
		    tn_slice_of(cases[i].from), see, &s), TN_OK);
		assert_int_equal(s.count, cases[i].count);
	}
	tn_log_table_close(t);
}

/* Goal: after any commits, and after reopening, the table is the model. */
static void
test_model(void **state)
{
	struct tn_log_table *t = open_table(*state, 16 << 20);
	struct model *m = tn_zalloc(sizeof *m);

	random_start();
	for (uint32_t i = 0; i < 300; i++) {
		random_commit(t, m);
		if (i % 20 == 0) {
			check_model(t, m);
			check_single(t, m);
		}
		if (i % 50 == 0) {
			tn_log_table_close(t);
			t = open_table(*state, 16 << 20);
			check_model(t, m);
		}
	}
	/* Freed pages are used again. */
	assert_true(tn_log_table_bytes(t) < 4 << 20);
	tn_log_table_close(t);
	tn_free(m);
}

/* Goal: a full table says so, keeps what it had, and takes more once
 * something was dropped. */
static void
test_full(void **state)
{
	struct tn_log_table *t = open_table(*state, 1 << 20);
	uint8_t *big = tn_zalloc(200000);
	char key[16];
	uint32_t k = 0;
	enum tn_status st = TN_OK;
	struct tn_log_change c;

	for (; st == TN_OK; k++) {
		c = change_of(key, k, big, 200000);
		st = tn_log_table_commit(t, &c, 1);
	}
	assert_int_equal(st, TN_ENOSPC);
	assert_in_range(k, 3, 6);
	assert_int_equal(look(t, "").count, k - 1);
	for (uint32_t i = 0; i + 1 < k; i++) {
		c = change_of(key, i, NULL, 0);
		c.drop = true;
		assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	}
	c = change_of(key, 1, big, 200000);
	assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	assert_int_equal(look(t, "").bytes, 200000);
	tn_log_table_close(t);
	tn_free(big);
}

/* The key of a damaged value, for who wants to drop it. */
static void
see_damaged(void *arg, struct tn_slice key)
{
	struct tn_log_change *c = arg;

	assert_true(key.n < 16);
	memcpy((char *)c->key.p, key.p, key.n);
	c->key.n = key.n;
	c->drop = true;
}

static bool
see_any(void *arg, struct tn_slice key, struct tn_slice value)
{
	(void)arg;
	(void)key;
	(void)value;
	return true;
}

/* Goal: a flipped bit in a value is told and left out; the rest is given. Who
 * asks hears its key, and once that is dropped all is well. */
static void
test_damage(void **state)
{
	struct tn_log_table *t = open_table(*state, 1 << 20);
	uint8_t value[3000];
	char path[200], key[16];
	struct tn_log_change c;
	struct seen s = { 0 };

	fill_seeded(value, sizeof value, 1);
	c = change_of(key, 1, value, sizeof value);
	assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	c = change_of(key, 2, (const uint8_t *)"whole", 5);
	assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	tn_log_table_close(t);
	(void)snprintf(path, sizeof path, "%s/t.mdb", (char *)*state);
	flip_row(path, 1, sizeof value);
	t = open_table(*state, 1 << 20);
	assert_int_equal(tn_log_table_each(t, tn_slice_of(""), see, &s),
	    TN_ECORRUPT);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.bytes, 5);
	memset(key, 0, sizeof key);
	assert_int_equal(tn_log_table_each_or(t, tn_slice_of(""), see_any,
	    see_damaged, &c), TN_ECORRUPT);
	assert_true(c.drop);
	assert_int_equal(tn_log_table_commit(t, &c, 1), TN_OK);
	s = (struct seen){ 0 };
	assert_int_equal(tn_log_table_each_or(t, tn_slice_of(""), see,
	    see_damaged, &s), TN_OK);
	assert_int_equal(s.count, 1);
	tn_log_table_close(t);
}

/* Commits counters until one fails; says how many were acknowledged. */
static uint32_t
run_until_failure(struct tn_log_table *t, bool *failed)
{
	uint32_t acked = 0;
	char key[16];

	*failed = false;
	for (uint32_t i = 1; i <= 6 && !*failed; i++) {
		uint8_t v[4] = { (uint8_t)i, 0, 0, 0 };
		struct tn_log_change c[2];
		char other[16];
		c[0] = change_of(key, 0, v, sizeof v);
		c[1] = change_of(other, i, v, sizeof v);
		if (tn_log_table_commit(t, c, 2) == TN_OK) {
			acked = i;
			continue;
		}
		*failed = true;
		assert_int_equal(tn_log_table_commit(t, c, 2), TN_ECLOSED);
	}
	return acked;
}

static bool
take_counter(void *arg, struct tn_slice key, struct tn_slice value)
{
	uint32_t *out = arg;

	if (tn_slice_is(key, "even/00"))
		out[0] = value.p[0];
	else
		out[1]++;
	return true;
}

/* Goal: whichever write or sync fails, the table refuses from then on, and
 * after reopening holds whole commits only: all acknowledged ones, and at
 * most the one that failed besides. */
static void
test_failures(void **state)
{
	bool failed = true;
	uint32_t runs = 0;

	for (uint32_t at = 1; failed; at++) {
		struct tn_log_table *t;
		uint32_t acked, found[2] = { 0 };
		assert_int_equal(remove_all(*state), 0);
		assert_int_equal(tn_os_mkdirs(*state), TN_OK);
		t = open_table(*state, 1 << 20);
		calls = 0;
		fail_at = at;
		acked = run_until_failure(t, &failed);
		fail_at = 0;
		tn_log_table_close(t);
		t = open_table(*state, 1 << 20);
		assert_int_equal(tn_log_table_each(t, tn_slice_of(""),
		    take_counter, found), TN_OK);
		assert_in_range(found[0], acked, acked + failed);
		assert_int_equal(found[1], found[0]);
		tn_log_table_close(t);
		runs++;
	}
	print_message("%u places of failure\n", runs - 1);
	assert_true(runs > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_model),
		FOLDER_TEST(test_from),
		FOLDER_TEST(test_full),
		FOLDER_TEST(test_damage),
		FOLDER_TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* keys: key files against a model, damaged ones, their filter, a disk that
 * fails. */
#include "test.h"
#include "lake_help.h"
#include "lake/lake_int.h"

static int
by_key(const void *a, const void *b)
{
	const struct tn_hash128 *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static struct tn_hash128
random_key(void)
{
	struct tn_hash128 h = { random_u64(), random_u64() };

	return h;
}

static void
write_some(struct tn_lake *lake, const char *label, uint32_t n,
    struct tn_lake_file *f)
{
	struct tn_hash128 *keys = tn_alloc((n + 1) * sizeof *keys);

	for (uint32_t i = 0; i < n; i++)
		keys[i] = random_key();
	assert_int_equal(tn_lake_keys_put(lake, "t", label, keys, n, f),
	    TN_OK);
	tn_free(keys);
}

/* Goal: a key file has just the distinct keys it was given, sorted, and its
 * checksum is that of the bytes on disk; also with none and with one. */
static void
round_trip(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 2, 32, 33, 51, 52, 1000,
	    30000 };
	struct tn_lake *lake = open_lake(*state);

	random_start();
	for (size_t s = 0; s < TN_COUNT(sizes); s++) {
		uint32_t n = sizes[s], crc, distinct = 0;
		uint64_t bytes;
		struct tn_hash128 *keys = tn_alloc((n + 1) * sizeof *keys);
		struct tn_hash128 *model = tn_alloc((n + 1) * sizeof *keys);
		struct tn_lake_keys *k = NULL;
		struct tn_lake_file f;
		char label[16];

		/* Some twice, some with one half equal, the ends of range. */
		for (uint32_t i = 0; i < n; i++) {
			keys[i] = random_key();
			if (i > 0 && random_below(4) == 0)
				keys[i] = keys[random_below(i)];
			if (i > 0 && random_below(4) == 0)
				keys[i].hi = keys[random_below(i)].hi;
		}
		if (n > 1) {
			keys[0] = (struct tn_hash128){ 0, 0 };
			keys[1] = (struct tn_hash128){ UINT64_MAX,
			    UINT64_MAX };
		}
		memcpy(model, keys, n * sizeof *keys);
		if (n > 0)
			qsort(model, n, sizeof *model, by_key);
		snprintf(label, sizeof label, "s%zu", s);
		assert_int_equal(tn_lake_keys_put(lake, "t", label, keys, n,
		    &f), TN_OK);
		assert_int_equal(tn_lake_check(lake, f.path, &crc, &bytes),
		    TN_OK);
		assert_int_equal(crc, f.crc);
		assert_int_equal(bytes, f.bytes);
		assert_int_equal(tn_lake_keys_open(lake, f.path, &k, NULL),
		    TN_OK);
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0 && by_key(&model[i], &model[i - 1]) == 0)
				continue;
			struct tn_hash128 h = tn_lake_keys_at(k, distinct++);
			assert_int_equal(by_key(&h, &model[i]), 0);
			assert_true(tn_lake_keys_has(k, model[i]));
		}
		assert_int_equal(tn_lake_keys_count(k), distinct);
		assert_int_equal(f.rows, distinct);
		for (uint32_t i = 0; i < 1000; i++) {
			struct tn_hash128 h = random_key();
			assert_false(tn_lake_keys_has(k, h));
			if (n == 0)
				continue;
			/* Near misses: one half is right. */
			h = model[random_below(n)];
			h.lo++;
			assert_int_equal(tn_lake_keys_has(k, h), bsearch(&h,
			    model, n, sizeof *model, by_key) != NULL);
		}
		tn_lake_keys_close(k);
		tn_free(keys);
		tn_free(model);
	}
	tn_lake_close(lake);
}

/* Goal: keys that all begin alike, or lie in few places, are sorted as well:
 * nobody slows a cut down with them. */
static void
uneven_keys(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	uint32_t n = 200000;
	struct tn_hash128 *keys = tn_alloc(n * sizeof *keys);

	random_start();
	for (uint32_t kind = 0; kind < 3; kind++) {
		struct tn_lake_keys *k = NULL;
		struct tn_lake_file f;
		char label[16];
		uint64_t count;

		for (uint32_t i = 0; i < n; i++) {
			keys[i] = random_key();
			keys[i].hi = kind == 0 ? 7 : kind == 1 ?
			    keys[i].hi >> 40 : random_below(3) *
			    (UINT64_MAX / 2);
		}
		snprintf(label, sizeof label, "u%u", kind);
		assert_int_equal(tn_lake_keys_put(lake, "t", label, keys, n,
		    &f), TN_OK);
		assert_int_equal(tn_lake_keys_open(lake, f.path, &k, NULL),
		    TN_OK);
		count = tn_lake_keys_count(k);
		assert_int_equal(count, n);
		for (uint64_t i = 1; i < count; i++) {
			struct tn_hash128 a = tn_lake_keys_at(k, i - 1);
			struct tn_hash128 b = tn_lake_keys_at(k, i);
			assert_true(by_key(&a, &b) < 0);
		}
		tn_lake_keys_close(k);
	}
	tn_free(keys);
	tn_lake_close(lake);
}

/* Goal: a file with any bit turned over, or any byte less or more, is refused
 * with words, never read. */
static void
damage(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	struct tn_buf bytes = { 0 };
	struct tn_lake_file f;
	struct tn_lake_keys *k = NULL;
	struct tn_diag d;
	char full[TN_LAKE_PATH_MAX];
	size_t n;

	random_start();
	write_some(lake, "a", 60, &f);
	assert_int_equal(tn_lake_absolute(lake, f.path, full), TN_OK);
	assert_int_equal(tn_os_read_file(full, &bytes, 1 << 20), TN_OK);
	n = bytes.n;
	for (size_t at = 0; at < n; at++) {
		/* All of the head, some of the rest. */
		if (at >= 64 && random_below(8) != 0)
			continue;
		uint8_t bit = (uint8_t)(1u << random_below(8));
		bytes.p[at] ^= bit;
		assert_int_equal(tn_os_write_file(full, bytes.p, n, 0600),
		    TN_OK);
		assert_int_equal(tn_lake_keys_open(lake, f.path, &k, &d),
		    TN_ECORRUPT);
		assert_null(k);
		bytes.p[at] ^= bit;
	}
	for (size_t cut = 0; cut < n; cut += cut < 80 ? 1 : 97) {
		assert_int_equal(tn_os_write_file(full, bytes.p, cut, 0600),
		    TN_OK);
		assert_int_equal(tn_lake_keys_open(lake, f.path, &k, &d),
		    TN_ECORRUPT);
	}
	tn_buf_char(&bytes, 0);
	assert_int_equal(tn_os_write_file(full, bytes.p, n + 1, 0600), TN_OK);
	assert_int_equal(tn_lake_keys_open(lake, f.path, &k, &d),
	    TN_ECORRUPT);
	assert_int_equal(tn_os_write_file(full, bytes.p, n, 0600), TN_OK);
	assert_int_equal(tn_lake_keys_open(lake, f.path, &k, &d), TN_OK);
	tn_lake_keys_close(k);
	assert_int_equal(tn_lake_keys_open(lake, "keys/t/none.keys", &k, &d),
	    TN_ENOTFOUND);
	tn_buf_fini(&bytes);
	tn_lake_close(lake);
}

/* Goal: the filter lets through less than 3 % of foreign keys, at the fullest
 * it can be. */
static void
filter_rate(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	struct tn_lake_file f;
	struct tn_buf bytes = { 0 };
	char full[TN_LAKE_PATH_MAX];
	uint32_t passed = 0, asked = 100000;
	/* 10 bits a key just fill 2048 blocks. */
	uint32_t n = 2047u * 512 / 10;

	random_start();
	write_some(lake, "a", n, &f);
	assert_int_equal(f.bytes, 64 + 2048 * 64 + (uint64_t)n * 16);
	assert_int_equal(tn_lake_absolute(lake, f.path, full), TN_OK);
	assert_int_equal(tn_os_read_file(full, &bytes, 1 << 26), TN_OK);
	for (uint32_t i = 0; i < asked; i++) {
		struct tn_hash128 h = random_key();
		const uint8_t *block = bytes.p + 64 + (h.hi & 2047) * 64;
		bool all = true;
		for (int k = 0; k < 6; k++) {
			uint32_t bit = (uint32_t)(h.lo >> (9 * k)) & 511;
			all = all && (block[bit >> 3] >> (bit & 7) & 1);
		}
		passed += all;
	}
	print_message("%.2f %% false positives\n", passed * 100.0 / asked);
	assert_true(passed < asked / 33);
	tn_buf_fini(&bytes);
	tn_lake_close(lake);
}

/* ---- faults ---------------------------------------------------------- */

static struct tn_os_table table;
static int calls_left = -1;

static int64_t
bad_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	if (calls_left >= 0 && calls_left-- == 0)
		return -ENOSPC;
	return tn_os_real.pwrite(fd, p, n, at);
}

static int
bad_sync(int fd)
{
	if (calls_left >= 0 && calls_left-- == 0)
		return -EIO;
	return tn_os_real.sync(fd);
}

/* Goal: a failed write or sync leaves no file, and a name that is taken is
 * refused without touching what is there. */
static void
failing_disk(void **state)
{
	struct tn_lake *lake = open_lake(*state);
	struct tn_hash128 keys[100];
	struct tn_lake_file f;
	uint32_t crc;
	uint64_t bytes;
	int n;

	for (int i = 0; i < 100; i++)
		keys[i] = random_key();
	write_some(lake, "first", 1, &f);   /* The folder. */
	table = tn_os_real;
	table.pwrite = bad_pwrite;
	table.sync = bad_sync;
	tn_os_use(&table);
	for (n = 0; n < 50; n++) {
		enum tn_status st;
		calls_left = n;
		st = tn_lake_keys_put(lake, "t", "a", keys, 100, &f);
		if (st == TN_OK)
			break;
		assert_true(st == TN_EIO || st == TN_ENOSPC);
		assert_int_equal(count_files(*state), 1);
	}
	assert_in_range(n, 2, 49);
	calls_left = -1;
	assert_int_equal(count_files(*state), 2);
	assert_int_equal(tn_lake_keys_put(lake, "t", "a", keys, 50, &f),
	    TN_EEXIST);
	assert_int_equal(tn_lake_check(lake, "keys/t/a.keys", &crc, &bytes),
	    TN_OK);
	tn_lake_close(lake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(round_trip),
		FOLDER_TEST(uneven_keys),
		FOLDER_TEST(damage),
		FOLDER_TEST(filter_rate),
		FOLDER_TEST(failing_disk),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* keys: the dedupe window against a model; notes of keyed bodies. */
#include "test.h"
#include "ingest/ingest_int.h"

#include <unistd.h>

static uint64_t random_state = 1;

static uint64_t
random_u64(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Memory is never out here. */
static bool
add_key(struct keyset *k, struct tn_hash128 key, uint64_t lsn)
{
	bool fresh = false;

	assert_int_equal(tn_ingest_keyset_add(k, key, lsn, &fresh), TN_OK);
	return fresh;
}

static uint32_t
random_below(uint32_t n)
{
	return (uint32_t)(random_u64() % n);
}

static int
group_setup(void **state)
{
	const char *text = getenv("TARN_SEED");
	char *dir = tn_strdup("/tmp/tarn-keys-XXXXXX");

	if (text != NULL)
		random_state = strtoull(text, NULL, 10);
	print_message("TARN_SEED=%llu\n", (unsigned long long)random_state);
	*state = mkdtemp(dir);
	return *state == NULL;
}

static int
group_teardown(void **state)
{
	char command[100];
	int rc;

	snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
	rc = system(command);
	tn_free(*state);
	return rc;
}

/* ---- the model ------------------------------------------------------- */

#define UNIVERSE 3000

/* Key u of the universe: a third in one shard, the others in all of them; many
 * share their home slot; one is {0,0}. */
static struct tn_hash128
key_of(uint32_t u)
{
	struct tn_hash128 h = { u % 7 == 0 ? 1020 + u % 5 :
	    u * UINT64_C(0x9e3779b97f4a7c15), u };

	if (u % 3 != 0)
		h.hi |= (uint64_t)(u * 2654435761u) << 32;
	if (u == 0)
		h.lo = 0;
	return h;
}

struct model {
	uint64_t lsn[UNIVERSE];      /* 0: not known. */
	struct tn_lake *lake;
	uint32_t files;
};

/* Key files of all that the model knows at or below ${lsn}, in ${n} parts. */
static struct tn_lake_keys **
write_files(struct model *m, uint64_t lsn, uint32_t n)
{
	struct tn_lake_keys **out = tn_zalloc((n + 1) * sizeof *out);
	struct tn_hash128 *keys = tn_alloc(UNIVERSE * sizeof *keys);

	for (uint32_t i = 0; i < n; i++) {
		struct tn_lake_file f;
		uint64_t count = 0;
		char label[32];
		for (uint32_t u = 0; u < UNIVERSE; u++)
			if (m->lsn[u] != 0 && m->lsn[u] <= lsn && u % n == i)
				keys[count++] = key_of(u);
		snprintf(label, sizeof label, "f%u", m->files++);
		assert_int_equal(tn_lake_keys_put(m->lake, "t", label, keys,
		    count, &f), TN_OK);
		assert_int_equal(tn_lake_keys_open(m->lake, f.path, &out[i],
		    NULL), TN_OK);
		assert_int_equal(tn_lake_remove(m->lake, f.path), TN_OK);
	}
	tn_free(keys);
	return out;
}

static void
commit(struct model *m, struct keyset *k, uint64_t lsn)
{
	struct tn_hash128 added[200];
	uint32_t which[200], n = 0, rows = random_below(200);

	for (uint32_t i = 0; i < rows; i++) {
		uint32_t u = random_below(UNIVERSE);
		if (random_below(2) == 0)
			tn_ingest_keyset_fetch(k, key_of(u));
		bool fresh = add_key(k, key_of(u), lsn);
		assert_int_equal(fresh, m->lsn[u] == 0);
		if (!fresh)
			continue;
		m->lsn[u] = lsn;
		which[n] = u;
		added[n++] = key_of(u);
	}
	if (random_below(3) != 0)
		return;
	/* The commit failed: the newest of them go, or all. */
	uint32_t keep = random_below(2) == 0 ? 0 : random_below(n + 1);
	tn_ingest_keyset_undo(k, added + keep, n - keep);
	for (uint32_t i = keep; i < n; i++)
		m->lsn[which[i]] = 0;
}

/* Goal: with random commits, failed commits and publications that lag behind,
 * a key is new exactly when the model does not know it; once everything is
 * published no key is held in memory. */
static void
window_model(void **state)
{
	struct model *m = tn_zalloc(sizeof *m);

	assert_int_equal(tn_lake_open(&m->lake, *state, NULL), TN_OK);
	for (int round = 0; round < 15; round++) {
		struct keyset *k = tn_ingest_keyset_new();
		uint64_t lsn = 1, cut = 0;
		uint32_t lag = 1 + random_below(30);
		memset(m->lsn, 0, sizeof m->lsn);
		for (int step = 0; step < 150; step++) {
			commit(m, k, lsn++);
			if (random_below(4) != 0 || lsn - cut < lag)
				continue;
			uint32_t files = 1 + random_below(3);
			cut += random_below((uint32_t)(lsn - cut));
			tn_ingest_keyset_files(k, write_files(m, cut, files),
			    files, cut);
		}
		tn_ingest_keyset_files(k, write_files(m, lsn, 2), 2, lsn);
		assert_int_equal(tn_ingest_keyset_count(k), 0);
		for (uint32_t u = 0; u < UNIVERSE; u++)
			assert_int_equal(add_key(k, key_of(u),
			    lsn), m->lsn[u] == 0);
		tn_ingest_keyset_free(k);
	}
	tn_lake_close(m->lake);
	tn_free(m);
}

/* Goal: what has left the window is new again; a set without files and a free
 * of nothing work. */
static void
leaving(void **state)
{
	struct keyset *k = tn_ingest_keyset_new();
	struct tn_hash128 h = { 5, 6 };

	(void)state;
	tn_ingest_keyset_free(NULL);
	assert_true(add_key(k, h, 3));
	assert_false(add_key(k, h, 4));
	tn_ingest_keyset_files(k, NULL, 0, 2);
	assert_false(add_key(k, h, 5));
	tn_ingest_keyset_files(k, NULL, 0, 3);
	assert_int_equal(tn_ingest_keyset_count(k), 0);
	assert_true(add_key(k, h, 6));
	/* Far more publications than sets, all behind. */
	for (uint64_t lsn = 7; lsn < 60; lsn++) {
		h.hi = lsn;
		assert_true(add_key(k, h, lsn));
		tn_ingest_keyset_files(k, NULL, 0, 5);
	}
	assert_int_equal(tn_ingest_keyset_count(k), 54);
	assert_false(add_key(k, h, 60));
	tn_ingest_keyset_free(k);
}

/* Goal: a large set keeps every key while its shards grow at different times,
 * and what is taken back while they grew is new again. */
static void
large(void **state)
{
	struct keyset *k = tn_ingest_keyset_new();
	uint64_t seed = random_u64(), n = 300000, at;
	struct tn_hash128 last[1000];

	(void)state;
	random_state = seed;
	for (uint64_t i = 0; i < n; i++) {
		struct tn_hash128 h = { random_u64(), random_u64() };
		tn_ingest_keyset_fetch(k, h);
		assert_true(add_key(k, h, 1));
		at = n - i - 1;
		if (at < TN_COUNT(last))
			last[at] = h;
	}
	assert_int_equal(tn_ingest_keyset_count(k), n);
	tn_ingest_keyset_undo(k, last, TN_COUNT(last));
	assert_int_equal(tn_ingest_keyset_count(k), n - TN_COUNT(last));
	random_state = seed;
	for (uint64_t i = 0; i < n; i++) {
		struct tn_hash128 h = { random_u64(), random_u64() };
		assert_int_equal(add_key(k, h, 2),
		    i >= n - TN_COUNT(last));
	}
	tn_ingest_keyset_free(k);
}

/* ---- notes ----------------------------------------------------------- */

static struct tally
make_tally(struct tn_ingest_error *errors, uint32_t count,
    const char *message)
{
	struct tally t = { .accepted = 1, .quarantined = UINT64_MAX,
	    .duplicates = 300, .has_offset = true, .first_offset = 7,
	    .last_offset = 1 << 20, .lsn = 9, .rows = 12,
	    .chain = { 1, UINT64_MAX }, .errors = errors,
	    .error_count = count };

	for (uint32_t i = 0; i < count; i++)
		errors[i] = (struct tn_ingest_error){ i, i + 1, "check", "n",
		    message };
	return t;
}

/* Goal: a note comes back as it was; with more errors than fit it keeps the
 * first ones and stays below the log's limit; after reading there is room for
 * as many errors as the writer may add. */
static void
notes(void **state)
{
	static struct tn_ingest_error errors[3000];
	struct tally t = make_tally(errors, 3000, "too large a message, which "
	    "is often said"), back;
	struct tn_buf b = { 0 };
	bool done = false;

	(void)state;
	for (int all = 0; all < 2; all++) {
		tn_buf_clear(&b);
		t.error_count = all ? 3000 : 3;
		tn_ingest_note_write(&t, all, &b);
		assert_true(b.n < 64 << 10);
		assert_int_equal(tn_ingest_note_read((struct tn_slice){ b.p,
		    b.n }, &back, &done), TN_OK);
		assert_int_equal(done, all);
		assert_int_equal(back.accepted, 1);
		assert_true(back.quarantined == UINT64_MAX);
		assert_int_equal(back.duplicates, 300);
		assert_true(back.has_offset);
		assert_int_equal(back.first_offset, 7);
		assert_int_equal(back.last_offset, 1 << 20);
		assert_int_equal(back.lsn, 9);
		assert_int_equal(back.rows, 12);
		assert_memory_equal(&back.chain, &t.chain, 16);
		if (!all)
			assert_int_equal(back.error_count, 3);
		else
			assert_in_range(back.error_count, 500, 2999);
		for (uint32_t i = 0; i < back.error_count; i++) {
			assert_int_equal(back.errors[i].row, i);
			assert_int_equal(back.errors[i].line, i + 1);
			assert_string_equal(back.errors[i].code, "check");
			assert_string_equal(back.errors[i].message,
			    errors[0].message);
		}
		/* As write.c does; the address sanitizer looks on. */
		for (uint32_t i = back.error_count; i < 10000; i++)
			back.errors[i] = errors[0];
		tn_ingest_tally_fini(&back);
	}
	/* Cut anywhere, or with any byte changed, it is refused or read, but
	 * never over its end. */
	tn_buf_clear(&b);
	t.error_count = 3;
	tn_ingest_note_write(&t, true, &b);
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *copy = tn_alloc(n + 1);
		memcpy(copy, b.p, n);
		assert_int_equal(tn_ingest_note_read((struct tn_slice){ copy,
		    n }, &back, &done), TN_ECORRUPT);
		tn_free(copy);
	}
	for (size_t n = 0; n < b.n; n++) {
		uint8_t was = b.p[n];
		b.p[n] = (uint8_t)random_u64();
		if (tn_ingest_note_read((struct tn_slice){ b.p, b.n }, &back,
		    &done) == TN_OK)
			tn_ingest_tally_fini(&back);
		b.p[n] = was;
	}
	tn_buf_fini(&b);
}

/* Goal: a chain tells rows apart by content, order and where they are cut. */
static void
chains(void **state)
{
	struct tn_hash128 zero = { 0, 0 }, a, b, c;

	(void)state;
	a = tn_ingest_chain(tn_ingest_chain(zero, "ab", 2), "c", 1);
	b = tn_ingest_chain(tn_ingest_chain(zero, "a", 1), "bc", 2);
	c = tn_ingest_chain(tn_ingest_chain(zero, "c", 1), "ab", 2);
	assert_memory_not_equal(&a, &b, 16);
	assert_memory_not_equal(&a, &c, 16);
	b = tn_ingest_chain(zero, "", 0);
	assert_memory_not_equal(&b, &zero, 16);
	c = tn_ingest_chain(tn_ingest_chain(zero, "ab", 2), "c", 1);
	assert_memory_equal(&a, &c, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_model),
		cmocka_unit_test(leaving),
		cmocka_unit_test(large),
		cmocka_unit_test(notes),
		cmocka_unit_test(chains),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

/* Reference tables: versions by LSN, skipped rows, frozen handles that later
 * puts do not change, a property test against a plain model, and readers on
 * other threads while the writer goes on (meant for the tsan variant). */
#include "exec/expr_int.h"
#include "net/net.h"
#include "test.h"

#include <stdatomic.h>

static const struct tn_field fields[3] = {
	{ .name = "team", .type = { .id = TN_T_TEXT } },
	{ .name = "no", .type = { .id = TN_T_INT4 } },
	{ .name = "value", .type = { .id = TN_T_INT8 } },
};
static const struct tn_schema schema = { .name = "ref", .count = 3,
    .fields = fields };
static const uint32_t key[2] = { 0, 1 };
static const struct tn_sql_table table = { .kind = TN_SQL_REFERENCE,
    .name = "ref", .schema = &schema, .key = key, .key_count = 2 };

static void
add(struct tn_builder *b, const char *team, int no, int64_t value)
{
	if (team == NULL)
		tn_record_builder_null(b, 0);
	else
		tn_record_builder_text(b, 0, team, strlen(team));
	tn_record_builder_i64(b, 1, no);
	tn_record_builder_i64(b, 2, value);
	tn_record_builder_row_end(b);
}

static void
put1(struct tn_exec_ref *r, const char *team, int no, int64_t value,
    uint64_t lsn)
{
	struct tn_builder *b = tn_record_builder_new(&schema, 1);
	struct tn_batch *batch;

	add(b, team, no, value);
	batch = tn_record_builder_take(b);
	tn_exec_ref_put(r, batch, NULL, lsn);
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
}

/* The value found, or -1. */
static int64_t
find(const struct tn_exec_ref *r, const char *team, int no, uint64_t lsn)
{
	uint32_t offsets[2] = { 0, (uint32_t)strlen(team) };
	int32_t number = no;
	struct tn_column c[2] = {
		{ .type = { .id = TN_T_TEXT }, .rows = 1, .offsets = offsets,
		  .bytes = (const uint8_t *)team },
		{ .type = { .id = TN_T_INT4 }, .rows = 1, .values = &number },
	};
	const struct tn_column *keys[2] = { &c[0], &c[1] };
	const struct tn_batch *b;
	uint32_t at;

	if (!tn_exec_ref_find(r, keys, 0, lsn, &b, &at))
		return -1;
	return ((const int64_t *)b->columns[2].values)[at];
}

/* Goal: a join sees the newest version at or before its LSN, never a later
 * one, and a frozen handle stays as it was. */
static void
test_versions(void **state)
{
	struct tn_exec_ref *r = tn_exec_ref_new(&table);
	struct tn_exec_ref *f, *g;
	struct tn_batch *rows;

	(void)state;
	put1(r, "a", 1, 10, 5);
	put1(r, "a", 2, 20, 5);
	f = tn_exec_ref_freeze(r);
	put1(r, "a", 1, 11, 7);
	put1(r, "a", 1, 12, 7);
	put1(r, "b", 1, 30, 9);
	assert_int_equal(find(r, "a", 1, 4), -1);
	assert_int_equal(find(r, "a", 1, 5), 10);
	assert_int_equal(find(r, "a", 1, 6), 10);
	assert_int_equal(find(r, "a", 1, 7), 12);
	assert_int_equal(find(r, "b", 1, 8), -1);
	assert_int_equal(find(r, "b", 1, UINT64_MAX), 30);
	assert_int_equal(find(f, "a", 1, UINT64_MAX), 10);
	assert_int_equal(find(f, "b", 1, UINT64_MAX), -1);
	g = tn_exec_ref_freeze(f);
	rows = tn_exec_ref_rows(g, 100);
	assert_int_equal(rows->rows, 2);
	tn_record_batch_unref(rows);
	rows = tn_exec_ref_rows(r, 8);
	assert_int_equal(rows->rows, 2);
	assert_int_equal(rows->schema->count, 3);
	tn_record_batch_unref(rows);
	tn_exec_ref_free(r);
	assert_int_equal(find(g, "a", 2, 5), 20);
	tn_exec_ref_free(f);
	tn_exec_ref_free(g);
	tn_exec_ref_free(NULL);
}

/* Goal: skipped rows and rows with a null key are not there; of two rows of
 * one key in a batch the last one counts. */
static void
test_skip(void **state)
{
	struct tn_exec_ref *r = tn_exec_ref_new(&table);
	struct tn_builder *b = tn_record_builder_new(&schema, 4);
	const uint8_t skip[5] = { 0, 1, 0, 0, 0 };
	struct tn_batch *batch, *rows;

	(void)state;
	add(b, "a", 1, 1);
	add(b, "a", 2, 2);
	add(b, NULL, 3, 3);
	add(b, "c", 4, 4);
	add(b, "c", 4, 5);
	batch = tn_record_builder_take(b);
	tn_exec_ref_put(r, batch, skip, 1);
	assert_int_equal(find(r, "a", 1, 1), 1);
	assert_int_equal(find(r, "a", 2, 1), -1);
	assert_int_equal(find(r, "c", 4, 1), 5);
	rows = tn_exec_ref_rows(r, 1);
	assert_int_equal(rows->rows, 2);
	tn_record_batch_unref(rows);
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
	tn_exec_ref_free(r);
}

/* Goal: keys that compare equal are found whatever their scale or sign of
 * zero. */
static void
test_equal_keys(void **state)
{
	static const struct tn_field nf[2] = {
		{ .name = "n", .type = { .id = TN_T_NUMERIC, .precision = 38,
		  .scale = 2 } },
		{ .name = "f", .type = { .id = TN_T_FLOAT8 } },
	};
	static const struct tn_schema ns = { .name = "r", .count = 2,
	    .fields = nf };
	const struct tn_sql_table nt = { .name = "r", .schema = &ns,
	    .key = key, .key_count = 2 };
	struct tn_exec_ref *r = tn_exec_ref_new(&nt);
	struct tn_builder *b = tn_record_builder_new(&ns, 1);
	__int128 two = 200, same = 2000;
	double zero = 0, minus = -0.0;
	struct tn_column c[2] = {
		{ .type = { .id = TN_T_NUMERIC, .precision = 38, .scale = 3 },
		  .rows = 1, .values = &same },
		{ .type = { .id = TN_T_FLOAT8 }, .rows = 1,
		  .values = &minus },
	};
	const struct tn_column *keys[2] = { &c[0], &c[1] };
	const struct tn_batch *found;
	struct tn_batch *batch;
	uint32_t at;

	(void)state;
	tn_record_builder_fixed(b, 0, &two);
	tn_record_builder_fixed(b, 1, &zero);
	tn_record_builder_row_end(b);
	batch = tn_record_builder_take(b);
	tn_exec_ref_put(r, batch, NULL, 1);
	assert_true(tn_exec_ref_find(r, keys, 0, 1, &found, &at));
	same = 2001;
	assert_false(tn_exec_ref_find(r, keys, 0, 1, &found, &at));
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
	tn_exec_ref_free(r);
}

/* ---- against a model ------------------------------------------------- */

#define KEYS 600
#define STEPS 6000

struct model {
	int64_t value[KEYS];          /* -1: none */
};

static void
check_model(const struct tn_exec_ref *r, const struct model *m, uint64_t lsn)
{
	struct tn_batch *rows = tn_exec_ref_rows(r, lsn);
	uint32_t count = 0;

	for (int k = 0; k < KEYS; k++) {
		assert_int_equal(find(r, "k", k, lsn), m->value[k]);
		count += m->value[k] >= 0;
	}
	assert_int_equal(rows->rows, count);
	tn_record_batch_unref(rows);
}

/* Goal: after any puts, every frozen handle at every kept LSN equals a model
 * that was copied at that moment. */
static void
test_model(void **state)
{
	struct tn_exec_ref *r = tn_exec_ref_new(&table);
	struct tn_exec_ref *kept[8] = { NULL };
	static struct model now, old[8];
	uint64_t lsns[8] = { 0 };
	const char *seed = getenv("TARN_SEED");

	(void)state;
	srand(seed == NULL ? 1 : (unsigned)strtoul(seed, NULL, 10));
	printf("TARN_SEED=%s\n", seed == NULL ? "1" : seed);
	memset(&now, 0xff, sizeof now);
	for (int i = 1; i <= STEPS; i++) {
		int k = rand() % (1 + i * KEYS / STEPS) % KEYS;
		int slot = i / (STEPS / 8) % 8;

		put1(r, "k", k, i, (uint64_t)i);
		now.value[k] = i;
		if (i % (STEPS / 8) == 0 && kept[slot] == NULL) {
			kept[slot] = tn_exec_ref_freeze(r);
			old[slot] = now;
			lsns[slot] = (uint64_t)i;
		}
	}
	check_model(r, &now, UINT64_MAX);
	for (int s = 0; s < 8; s++) {
		assert_non_null(kept[s]);
		check_model(kept[s], &old[s], UINT64_MAX);
		check_model(r, &old[s], lsns[s]);
		tn_exec_ref_free(kept[s]);
	}
	tn_exec_ref_free(r);
}

/* ---- threads --------------------------------------------------------- */

#define ROUNDS 200
#define PER_ROUND 40
#define READERS 3

struct shared {
	_Atomic(struct tn_exec_ref *) newest;   /* Frozen; a count each. */
	atomic_int bad;
	atomic_int done;
	struct tn_net_lock *lock;
};

/* In round n every key below n * PER_ROUND has a value of its round or of a
 * later rewrite, and no other key is there. */
static void
read_some(void *arg, uint32_t task)
{
	struct shared *s = arg;
	uint64_t lsn = 0;

	for (unsigned i = task; !atomic_load(&s->done); i += 7) {
		struct tn_exec_ref *r;
		int64_t rounds, v;

		tn_net_lock_take(s->lock);
		r = tn_exec_ref_freeze(atomic_load(&s->newest));
		tn_net_lock_drop(s->lock);
		rounds = find(r, "count", 0, UINT64_MAX);
		lsn = (uint64_t)rounds;
		v = find(r, "k", (int)(i % (ROUNDS * PER_ROUND)), lsn);
		if ((int64_t)(i % (ROUNDS * PER_ROUND)) <
		    rounds * PER_ROUND ? v != (int64_t)lsn && v < 0 : v != -1)
			atomic_fetch_add(&s->bad, 1);
		tn_exec_ref_free(r);
	}
}

static void
publish(struct shared *s, struct tn_exec_ref *f)
{
	struct tn_exec_ref *before;

	tn_net_lock_take(s->lock);
	before = atomic_exchange(&s->newest, f);
	tn_net_lock_drop(s->lock);
	tn_exec_ref_free(before);
}

static void
task(void *arg, uint32_t i)
{
	struct shared *s = arg;
	struct tn_exec_ref *r;

	if (i > 0) {
		read_some(arg, i);
		return;
	}
	r = tn_exec_ref_new(&table);
	for (int round = 1; round <= ROUNDS; round++) {
		for (int k = 0; k < PER_ROUND; k++)
			put1(r, "k", (round - 1) * PER_ROUND + k, round,
			    (uint64_t)round);
		put1(r, "count", 0, round, (uint64_t)round);
		publish(s, tn_exec_ref_freeze(r));
	}
	tn_exec_ref_free(r);
	atomic_store(&s->done, 1);
}

/* Goal: readers of frozen handles see whole states while the writer appends
 * and grows; no data race. */
static void
test_threads(void **state)
{
	struct tn_net_pool *pool = tn_net_pool_new("ref", READERS, 16);
	struct tn_exec_ref *r = tn_exec_ref_new(&table);
	struct shared s = { .lock = tn_net_lock_new() };

	(void)state;
	put1(r, "count", 0, 0, 0);
	atomic_store(&s.newest, tn_exec_ref_freeze(r));
	tn_exec_ref_free(r);
	tn_net_pool_each(pool, READERS + 1, task, &s);
	assert_int_equal(atomic_load(&s.bad), 0);
	tn_exec_ref_free(atomic_load(&s.newest));
	tn_net_lock_free(s.lock);
	tn_net_pool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_equal_keys),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

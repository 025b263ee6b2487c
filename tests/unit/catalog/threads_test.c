/* threads: snapshots are taken and put back on many threads while others
 * publish and write small things. Run with VARIANT=tsan. */
#include "test.h"
#include "catalog_help.h"

#include <pthread.h>

#define PUBLICATIONS 60

struct shared {
	struct tn_catalog *c;
	bool stop;
	int bad;
};

static void *
take_snapshots(void *arg)
{
	struct shared *s = arg;
	uint64_t newest = 0;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		const struct tn_catalog_snapshot *x = tn_catalog_snapshot(
		    s->c);
		const struct tn_catalog_snapshot *y =
		    tn_catalog_snapshot_again(x);
		/* Sequences never go back, and a snapshot is whole. */
		if (x->sequence < newest || x->count != (x->sequence != 0) ||
		    (x->count == 1 && x->files[0].version != x->lsn))
			__atomic_add_fetch(&s->bad, 1, __ATOMIC_RELAXED);
		newest = x->sequence;
		tn_catalog_snapshot_put(x);
		tn_catalog_snapshot_put(y);
	}
	return NULL;
}

static void *
write_small(void *arg)
{
	struct shared *s = arg;
	struct tn_catalog_run r = { .kind = "cut", .reason = "timer",
	    .object = "" };
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_object o;
	struct tn_catalog_run *runs;
	uint64_t id, last = 0;
	uint32_t n = 0, count;
	bool fresh;
	char text[32];

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		snprintf(text, sizeof text, "%p-%u", (void *)a, n++);
		bool good = tn_catalog_set(s->c, text, text) == TN_OK &&
		    tn_catalog_unknown_field(s->c, 1, text, 1, &fresh) ==
		    TN_OK && tn_catalog_run_begin(s->c, &r, &id) == TN_OK &&
		    tn_catalog_define(s->c, TN_CATALOG_VIEW, text, text,
		    NULL, &o) == TN_OK && o.version == 1 &&
		    tn_catalog_runs(s->c, 0, 20, a, &runs, &count) == TN_OK;
		if (!good || id <= last)
			__atomic_add_fetch(&s->bad, 1, __ATOMIC_RELAXED);
		last = id;
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return NULL;
}

/* Goal: publications, small writes and snapshots on five threads disturb
 * nothing: no call fails, each snapshot is whole, and none is left. */
static void
all_at_once(void **state)
{
	struct shared s = { .c = open_catalog(*state) };
	void *(*work[])(void *) = { take_snapshots, take_snapshots,
	    write_small, write_small };
	pthread_t threads[TN_COUNT(work)];
	uint64_t id = 0;

	for (size_t i = 0; i < TN_COUNT(work); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i],
		    &s), 0);
	for (uint32_t n = 1; n <= PUBLICATIONS; n++)
		assert_int_equal(publish_one(s.c, n, id, &id), TN_OK);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < TN_COUNT(work); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(s.bad, 0);
	tn_catalog_close(s.c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(all_at_once),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

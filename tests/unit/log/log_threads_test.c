/* What the log promises to many threads: one writer appends and trims, two
 * readers read; each gets the block or TN_ENOTFOUND. Run under TSan. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "log_help.h"

enum { BLOCKS = 1200, BYTES = 6000 };

struct shared {
	struct tn_log *log;
	_Atomic bool stop;
	_Atomic uint32_t read, missed, bad;
};

static void *
read_on(void *arg)
{
	struct shared *s = arg;
	uint64_t seed = (uintptr_t)&seed;
	uint64_t before = 0;

	while (!atomic_load(&s->stop)) {
		uint64_t last = tn_log_last(s->log);
		uint64_t lsn = last == 0 ? 0 : 1 + step_random(&seed) % last;
		enum tn_status st;

		/* Often the newest and the oldest. */
		if (step_random(&seed) % 4 == 0)
			lsn = last;
		else if (step_random(&seed) % 4 == 0)
			lsn = tn_log_first(s->log);
		if (lsn == 0)
			continue;
		st = read_one(s->log, lsn, (uint32_t)lsn, BYTES);
		if (st == TN_OK)
			atomic_fetch_add(&s->read, 1);
		else if (st == TN_ENOTFOUND && lsn != last)
			atomic_fetch_add(&s->missed, 1);
		else
			atomic_fetch_add(&s->bad, 1);
		if (last < before || tn_log_next_offset(s->log, 1) < last)
			atomic_fetch_add(&s->bad, 1);
		before = last;
		(void)tn_log_bytes(s->log);
		(void)has_note(s->log, 1, "x", 0);
	}
	return NULL;
}

/* Goal: reading while others append and trim gives the block or nothing. */
static void
test_readers(void **state)
{
	struct shared s = { .log = open_log(*state, 1 << 20, 0) };
	pthread_t readers[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_on, &s),
		    0);
	for (uint32_t i = 1; i <= BLOCKS; i++) {
		append_one(s.log, 1, i, BYTES);
		if (i % 100 == 0)
			assert_int_equal(tn_log_trim(s.log, i - 50), TN_OK);
	}
	/* On one core the readers may not have had a turn yet. */
	while (atomic_load(&s.read) < 100 && atomic_load(&s.bad) == 0)
		(void)sched_yield();
	atomic_store(&s.stop, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	print_message("%u read, %u trimmed away\n", atomic_load(&s.read),
	    atomic_load(&s.missed));
	assert_int_equal(atomic_load(&s.bad), 0);
	tn_log_close(s.log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_readers),
	};

	random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

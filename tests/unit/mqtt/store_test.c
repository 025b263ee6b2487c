/* wrap: tn_log_table_commit tn_net_timer_start tn_try_realloc tn_try_alloc */
/* The store on its own thread over a real table: one commit for a turn, the
 * order of waiters, no room, the final failure, the end. Run under the thread
 * sanitizer, too. */
#include "test.h"

#include <unistd.h>

#include "loop_help.h"

/* ---- commits that the test decides ----------------------------------- */

static struct {
	enum tn_status answer;   /* For the next ${times}; then real. */
	int times;               /* Atomic. */
	int commits;             /* Atomic: that reached the table. */
	int tries;               /* Atomic. */
	int last_count;          /* Atomic. */
	int held;                /* Atomic: waits while 1. */
} disk;

enum tn_status __real_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status __wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count);
enum tn_status
__wrap_tn_log_table_commit(struct tn_log_table *t,
    const struct tn_log_change *c, size_t count)
{
	/* A slow disk: yields until the test lets it go on. */
	while (__atomic_load_n(&disk.held, __ATOMIC_SEQ_CST) != 0)
		(void)usleep(100);
	__atomic_add_fetch(&disk.tries, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&disk.times, __ATOMIC_SEQ_CST) > 0) {
		__atomic_sub_fetch(&disk.times, 1, __ATOMIC_SEQ_CST);
		return disk.answer;
	}
	__atomic_add_fetch(&disk.commits, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&disk.last_count, (int)count, __ATOMIC_SEQ_CST);
	return __real_tn_log_table_commit(t, c, count);
}

/* A second of waiting for room is a millisecond here. */
void __wrap_tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms);
void
__wrap_tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms)
{
	__real_tn_net_timer_start(t, first_ms == 1000 ? 1 : first_ms,
	    repeat_ms);
}

static bool no_memory;

void *__real_tn_try_realloc(void *p, size_t n);
void *__wrap_tn_try_realloc(void *p, size_t n);
void *
__wrap_tn_try_realloc(void *p, size_t n)
{
	return no_memory && tn_net_on_loop() ? NULL :
	    __real_tn_try_realloc(p, n);
}

void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	return no_memory && tn_net_on_loop() ? NULL :
	    __real_tn_try_alloc(n);
}

/* ---- the rig --------------------------------------------------------- */

static struct {
	char dir[64], path[80];
	struct tn_net_loop *loop;
	struct store *store;
} g;

static bool
is_idle(void)
{
	return tn_mqtt_store_idle(g.store);
}

static void
open_store(void)
{
	struct tn_diag d = { .message = "" };

	g.loop = loop_open();
	assert_int_equal(tn_mqtt_store_open(&g.store, g.loop, g.path, &d),
	    TN_OK);
}

static void
close_store(void)
{
	tn_mqtt_store_close(g.store);
	loop_close();
}

static int
make(void **state)
{
	(void)state;
	memset(&g, 0, sizeof g);
	memset(&disk, 0, sizeof disk);
	no_memory = false;
	strcpy(g.dir, "/tmp/tarn-mqstore-XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	(void)snprintf(g.path, sizeof g.path, "%s/mqtt.mdb", g.dir);
	open_store();
	return 0;
}

static int
drop(void **state)
{
	char command[120];

	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf %s", g.dir);
	return system(command);
}

/* ---- waiters --------------------------------------------------------- */

static struct {
	uint32_t order[2000];
	enum tn_status st[2000];
	uint32_t count;
	int commits[2000];
} told;

static void
synced(void *arg, enum tn_status st)
{
	assert_true(tn_net_on_loop());
	assert_true(told.count < TN_COUNT(told.order));
	told.order[told.count] = (uint32_t)(uintptr_t)arg;
	told.st[told.count] = st;
	told.commits[told.count++] = __atomic_load_n(&disk.commits,
	    __ATOMIC_SEQ_CST);
}

static void
put(uint32_t key, const char *value)
{
	uint8_t k[2] = { (uint8_t)(key >> 8), (uint8_t)key };

	tn_mqtt_store_put(g.store, (struct tn_slice){ k, 2 },
	    tn_slice_of(value));
}

static void
wait_for(uint32_t number)
{
	tn_mqtt_store_sync(g.store, synced, (void *)(uintptr_t)number);
}

static void
wait_patiently(uint32_t number)
{
	tn_mqtt_store_sync_patient(g.store, synced,
	    (void *)(uintptr_t)number);
}

static int64_t
full(void)
{
	return tn_counter_read(tn_counter_get(TN_GAUGE,
	    "tarn_mqtt_store_full", NULL, ""));
}

static void
check_told(uint32_t n, enum tn_status st)
{
	assert_int_equal(told.count, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(told.order[i], i);
		assert_int_equal(told.st[i], st);
	}
}

static bool
is_trying(void)
{
	return __atomic_load_n(&disk.tries, __ATOMIC_SEQ_CST) >= 5;
}

/* Goal: what one turn gathers is one commit; its waiters hear of it after,
 * in order, and never from inside sync. */
static void
one_commit_for_many(void **state)
{
	(void)state;
	memset(&told, 0, sizeof told);
	for (uint32_t i = 0; i < 500; i++) {
		put(i, "value");
		wait_for(i);
	}
	assert_int_equal(told.count, 0);
	assert_false(tn_mqtt_store_idle(g.store));
	run_until(is_idle);
	check_told(500, TN_OK);
	assert_int_equal(disk.commits, 1);
	assert_int_equal(disk.last_count, 500);
	assert_int_equal(told.commits[0], 1);
	/* With nothing to write there is nothing to sync. */
	told.count = 0;
	wait_for(0);
	run_until(is_idle);
	check_told(1, TN_OK);
	assert_int_equal(disk.commits, 1);
	close_store();
}

static uint32_t more;

static void
gather_more(void *arg)
{
	(void)arg;
	if (more == 500) {
		__atomic_store_n(&disk.held, 0, __ATOMIC_SEQ_CST);
		return;
	}
	for (uint32_t i = 0; i < 100; i++, more++) {
		put(more, "later");
		wait_for(more);
	}
}

static bool
has_told(void)
{
	return told.count >= more;
}

static bool
is_done(void)
{
	return more == 500 && is_idle();
}

/* Goal: while the disk is slow, what comes makes a larger commit, not more of
 * them. */
static void
a_slow_disk_gathers(void **state)
{
	struct tn_net_timer *t;

	(void)state;
	memset(&told, 0, sizeof told);
	more = 100;
	disk.held = 1;
	for (uint32_t i = 0; i < 100; i++) {
		put(i, "first");
		wait_for(i);
	}
	t = tn_net_timer_new(g.loop, gather_more, NULL);
	__real_tn_net_timer_start(t, 2, 2);
	run_until(is_done);
	tn_net_timer_free(t);
	check_told(500, TN_OK);
	assert_int_equal(disk.commits, 2);
	assert_int_equal(disk.last_count, 400);
	close_store();
}

/* Goal: without room waiters are told so at each try, patient ones when there
 * is some; and then all is written, in order. */
static void
no_room_is_told(void **state)
{
	(void)state;
	memset(&told, 0, sizeof told);
	disk.answer = TN_ENOSPC;
	disk.times = 1000000;
	for (uint32_t i = 0; i < 10; i++) {
		put(i, "x");
		wait_for(i);
		wait_patiently(100 + i);
	}
	assert_false(tn_mqtt_store_waits(g.store));
	more = 10;
	run_until(has_told);
	check_told(10, TN_ENOSPC);
	assert_true(tn_mqtt_store_waits(g.store));
	assert_int_equal(full(), 1);
	for (uint32_t i = 10; i < 20; i++) {
		put(i, "x");
		wait_patiently(100 + i);
		wait_for(i);
	}
	more = 20;
	run_until(has_told);
	check_told(20, TN_ENOSPC);
	assert_false(tn_mqtt_store_is_full(g.store));
	__atomic_store_n(&disk.times, 0, __ATOMIC_SEQ_CST);
	run_until(is_idle);
	assert_int_equal(told.count, 40);
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(told.order[20 + i], 100 + i);
		assert_int_equal(told.st[20 + i], TN_OK);
	}
	assert_false(tn_mqtt_store_waits(g.store));
	assert_int_equal(full(), 0);
	assert_int_equal(disk.commits, 2);
	close_store();
}

/* Goal: who never gets room is told so at the end, so that nothing he holds
 * is lost sight of. */
static void
no_room_to_the_end(void **state)
{
	(void)state;
	memset(&told, 0, sizeof told);
	disk.answer = TN_ENOSPC;
	disk.times = 1000000;
	put(1, "x");
	wait_patiently(0);
	run_until(is_trying);
	put(2, "x");
	wait_patiently(1);
	close_store();
	check_told(2, TN_EIO);
}

/* Goal: another failure is final: everybody is told, nothing is tried again. */
static void
failure_is_final(void **state)
{
	int tries;

	(void)state;
	memset(&told, 0, sizeof told);
	disk.answer = TN_EIO;
	disk.times = 1;
	put(1, "x");
	wait_for(0);
	run_until(is_idle);
	tries = disk.tries;
	put(2, "x");
	wait_for(1);
	run_until(is_idle);
	check_told(2, TN_EIO);
	assert_int_equal(disk.tries, tries);
	assert_int_equal(disk.commits, 0);
	close_store();
}

/* Goal: a batch whose bytes found no memory is not written in part. */
static void
no_memory_is_final(void **state)
{
	static char large[100000];

	(void)state;
	memset(&told, 0, sizeof told);
	memset(large, 'x', sizeof large - 1);
	put(1, "small");
	no_memory = true;
	put(2, large);
	no_memory = false;
	put(3, "small");
	wait_for(0);
	run_until(is_idle);
	check_told(1, TN_EIO);
	assert_int_equal(disk.tries, 0);
	close_store();
}

/* Goal: what has gathered for a disk that does not come after it makes
 * senders wait. */
static void
gathering_is_bounded(void **state)
{
	static char large[1 << 20];
	uint32_t n = 0;

	(void)state;
	memset(large, 'x', sizeof large - 1);
	while (!tn_mqtt_store_is_full(g.store) && n < 1000) {
		put(1, large);
		n++;
	}
	assert_true(n > 1 && n < 100);
	run_until(is_idle);
	assert_false(tn_mqtt_store_is_full(g.store));
	close_store();
}

/* ---- against a model ------------------------------------------------- */

static uint32_t model[300];          /* Value; 0: none. */
static uint32_t seen, last_key;

static bool
compare(void *arg, struct tn_slice key, struct tn_slice value)
{
	uint32_t k = (uint32_t)key.p[0] << 8 | key.p[1];
	char text[16];

	(void)arg;
	(void)snprintf(text, sizeof text, "v%u", model[k]);
	assert_true(model[k] != 0 && tn_slice_is(value, text));
	assert_true(seen == 0 || k > last_key);
	last_key = k;
	seen++;
	return true;
}

static void
compare_all(void)
{
	uint32_t want = 0;

	for (uint32_t i = 0; i < TN_COUNT(model); i++)
		want += model[i] != 0;
	seen = 0;
	assert_int_equal(tn_mqtt_store_each(g.store, tn_slice_of(""),
	    compare, NULL), TN_OK);
	assert_int_equal(seen, want);
}

/* Goal: what was put and dropped, in this order, is what is there after a
 * restart, also what gathered last. */
static void
comes_back(void **state)
{
	const char *s = getenv("TARN_SEED");
	uint64_t seed = s != NULL ? strtoull(s, NULL, 10) : 1;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	memset(model, 0, sizeof model);
	for (uint32_t i = 1; i <= 3000; i++) {
		uint32_t k;
		char text[16];
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		k = (uint32_t)(seed >> 33) % TN_COUNT(model);
		if (((seed >> 20) & 3) != 0) {
			uint8_t key[2] = { (uint8_t)(k >> 8), (uint8_t)k };
			(void)snprintf(text, sizeof text, "v%u", i);
			tn_mqtt_store_put(g.store, (struct tn_slice){ key,
			    2 }, tn_slice_of(text));
			model[k] = i;
		} else {
			uint8_t key[2] = { (uint8_t)(k >> 8), (uint8_t)k };
			tn_mqtt_store_drop(g.store, (struct tn_slice){ key,
			    2 });
			model[k] = 0;
		}
		if ((seed >> 40) % 200 == 0)
			run_until(is_idle);
		if ((seed >> 40) % 600 == 1) {
			close_store();
			open_store();
			compare_all();
		}
	}
	close_store();
	open_store();
	compare_all();
	assert_true(tn_mqtt_store_bytes(g.store) > 0);
	close_store();
	tn_mqtt_store_close(NULL);
}

/* Turns the bytes of ${text} in the file over. */
static void
damage(const char *text)
{
	static char bytes[1 << 20];
	FILE *f = fopen(g.path, "r+b");
	size_t n, found = 0;

	assert_non_null(f);
	n = fread(bytes, 1, sizeof bytes, f);
	for (char *p = memmem(bytes, n, text, strlen(text)); p != NULL;
	    p = memmem(p, (size_t)(bytes + n - p), text, strlen(text))) {
		for (size_t i = 0; i < strlen(text); i++)
			p[i] = (char)~p[i];
		found++;
	}
	assert_true(found > 0);
	rewind(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* Goal: a damaged value is found once: it is dropped then, whatever kind it is,
 * and what is whole stays. */
static void
damage_is_dropped(void **state)
{
	static const char *const keys[] = { "b1", "m1", "s1", "w1", "w2" };

	(void)state;
	for (uint32_t i = 0; i < TN_COUNT(keys); i++)
		tn_mqtt_store_put(g.store, tn_slice_of(keys[i]),
		    tn_slice_of(i == 4 ? "this one is whole" :
		    "this one is broken"));
	close_store();
	damage("this one is broken");
	open_store();
	assert_int_equal(count_pairs(g.store, "w", TN_ECORRUPT), 1);
	run_until(is_idle);
	assert_int_equal(count_pairs(g.store, "w", TN_OK), 1);
	assert_int_equal(count_pairs(g.store, "", TN_ECORRUPT), 1);
	close_store();
	open_store();
	assert_int_equal(count_pairs(g.store, "", TN_OK), 1);
	close_store();
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(one_commit_for_many), TEST(a_slow_disk_gathers),
		TEST(no_room_is_told), TEST(no_room_to_the_end),
		TEST(failure_is_final), TEST(no_memory_is_final),
		TEST(gathering_is_bounded), TEST(comes_back),
		TEST(damage_is_dropped),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A real loop that runs until something has come true, and a look at a real
 * store. Whoever includes it wraps (first line of the test):
 *   tn_net_timer_start
 * and says what a second is there. */
#ifndef TN_LOOP_HELP_H
#define TN_LOOP_HELP_H

#include "test.h"

#include "mqtt/mqtt_int.h"

void __real_tn_net_timer_start(struct tn_net_timer *t, uint64_t first_ms,
    uint64_t repeat_ms);

static struct {
	struct tn_net_loop *loop;
	struct tn_net_timer *poll, *guard;
	bool (*until)(void);
} turning;

static void
poll_until(void *arg)
{
	(void)arg;
	if (turning.until())
		tn_net_loop_stop(turning.loop);
}

static void
stuck(void *arg)
{
	(void)arg;
	fail_msg("the loop did not end");
}

static inline struct tn_net_loop *
loop_open(void)
{
	turning.loop = tn_net_loop_new();
	turning.poll = tn_net_timer_new(turning.loop, poll_until, NULL);
	turning.guard = tn_net_timer_new(turning.loop, stuck, NULL);
	return turning.loop;
}

static inline void
loop_close(void)
{
	tn_net_timer_free(turning.poll);
	tn_net_timer_free(turning.guard);
	tn_net_loop_settle(turning.loop);
	tn_net_loop_free(turning.loop);
}

static inline void
run_until(bool (*until)(void))
{
	turning.until = until;
	__real_tn_net_timer_start(turning.poll, 1, 1);
	__real_tn_net_timer_start(turning.guard, 60000, 0);
	tn_net_loop_run(turning.loop);
	tn_net_timer_stop(turning.poll);
	tn_net_timer_stop(turning.guard);
}

static uint32_t turns_left;

static bool
some_turns(void)
{
	return turns_left == 0 || --turns_left == 0;
}

static inline void
run_turns(uint32_t n)
{
	turns_left = n;
	run_until(some_turns);
}

static bool
count_one(void *arg, struct tn_slice key, struct tn_slice value)
{
	(void)key;
	(void)value;
	++*(uint32_t *)arg;
	return true;
}

/* Pairs of the store whose key begins so. */
static inline uint32_t
count_pairs(struct store *s, const char *prefix, enum tn_status want)
{
	uint32_t n = 0;

	assert_int_equal(tn_mqtt_store_each(s, tn_slice_of(prefix), count_one,
	    &n), want);
	return n;
}

#endif

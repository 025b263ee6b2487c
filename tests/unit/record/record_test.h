/* What the tests of this room share: seeded randomness and one-value columns.
 * Compiled into each test program. */
#ifndef TN_RECORD_TEST_H
#define TN_RECORD_TEST_H

#include "test.h"
#include "record/record.h"

static uint64_t random_state;

/* From TARN_SEED, printed, so that a failure can be repeated. */
static inline int
random_setup(void **state)
{
	const char *seed = getenv("TARN_SEED");

	(void)state;
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : 42;
	print_message("TARN_SEED=%llu\n", (unsigned long long)random_state);
	random_state = random_state * 2 + 1;
	return 0;
}

/* splitmix64 */
static inline uint64_t
random_u64(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t
random_below(uint32_t n)
{
	return (uint32_t)(random_u64() % n);
}

/* The text of one fixed width value; free with tn_buf_fini. */
static inline const char *
printed(struct tn_buf *b, struct tn_type t, const void *v, bool json)
{
	struct tn_column c = { .type = t, .rows = 1, .values = v };

	tn_buf_clear(b);
	if (json)
		tn_record_print_json(b, &c, 0);
	else
		tn_record_print(b, &c, 0);
	return tn_buf_cstr(b);
}

#endif

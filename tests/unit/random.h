/* Random numbers of tests (splitmix64): those of TARN_SEED, which is printed. */
#ifndef TN_TEST_RANDOM_H
#define TN_TEST_RANDOM_H

#define UNUSED __attribute__((unused))

static uint64_t random_state = 1;

UNUSED static uint64_t
step_random(uint64_t *s)
{
	uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

UNUSED static uint64_t
random_u64(void)
{
	return step_random(&random_state);
}

UNUSED static uint32_t
random_below(uint32_t n)
{
	return (uint32_t)(random_u64() % n);
}

UNUSED static void
random_start(void)
{
	const char *text = getenv("TARN_SEED");

	if (text != NULL)
		random_state = strtoull(text, NULL, 10);
	print_message("TARN_SEED=%llu\n", (unsigned long long)random_state);
}

#endif

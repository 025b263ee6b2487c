/* crc: CRC-32C (Castagnoli, reflected polynomial 0x82f63b78).
 *
 * Two engines with equal results, chosen at the first call: the processor's
 * own crc32 instruction (SSE4.2), and eight tables of 256 entries. The
 * instruction has a latency of three cycles and a rate of one, so long inputs
 * are cut into three strands of STRAND bytes that run side by side; a strand
 * is joined to the next by shifting its remainder over STRAND zero bytes,
 * which is linear and therefore four table lookups.
 *
 * The instruction lives in crc_x86_64.c; on other processors the Makefile
 * takes crc_other.c instead. Nothing can fail. The tables are made once and never change. */
#include "base/base_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { STRAND = TN_CRC32C_STRAND };
static_assert(STRAND % 8 == 0, "a strand is whole words");

typedef uint32_t engine(uint32_t crc, const void *p, size_t n);

static uint32_t slices[8][256];
static uint32_t shifts[4][256];     /* Over STRAND zero bytes. */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t
after_zeros(uint32_t state, size_t n)
{
	while (n-- > 0)
		state = slices[0][state & 0xff] ^ state >> 8;
	return state;
}

static void
make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = (v & 1) != 0 ? v >> 1 ^ 0x82f63b78 : v >> 1;
		slices[0][i] = v;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int s = 1; s < 8; s++)
			slices[s][i] = after_zeros(slices[s - 1][i], 1);
		for (int s = 0; s < 4; s++)
			shifts[s][i] = after_zeros(i << (8 * s), STRAND);
	}
}

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		v = __builtin_bswap64(v);
	return v;
}

uint32_t
tn_crc32c_soft(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint32_t state = ~crc;

	(void)pthread_once(&once, make_tables);
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w = load64(p) ^ state;

		state = 0;
		for (int i = 0; i < 8; i++)
			state ^= slices[7 - i][w >> (8 * i) & 0xff];
	}
	for (; n > 0; n--, p++)
		state = slices[0][(state ^ *p) & 0xff] ^ state >> 8;
	return ~state;
}

uint32_t
tn_crc32c_shift(uint32_t state)
{
	return shifts[0][state & 0xff] ^ shifts[1][state >> 8 & 0xff] ^
	    shifts[2][state >> 16 & 0xff] ^ shifts[3][state >> 24 & 0xff];
}

void
tn_crc32c_tables(void)
{
	(void)pthread_once(&once, make_tables);
}

uint32_t
tn_crc32c(uint32_t crc, const void *p, size_t n)
{
	static _Atomic(engine *) chosen;
	engine *run = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (run == NULL) {
		run = tn_crc32c_has_hard() ? tn_crc32c_hard : tn_crc32c_soft;
		atomic_store_explicit(&chosen, run, memory_order_relaxed);
	}
	return run(crc, p, n);
}

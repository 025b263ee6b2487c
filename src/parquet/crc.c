/* crc: CRC-32 of IEEE 802.3 as gzip uses it (reflected polynomial EDB88320),
 * which Parquet demands for pages. Two ways with equal results: the processor's
 * multiplication without carries (crc_x86_64.c; on other processors the
 * Makefile takes crc_other.c), some 15 GB/s; and for the rest eight bytes a
 * step with eight tables that are made at first use, about 2 GB/s. */
#include "parquet/parquet_int.h"

#include <pthread.h>

#define FOLD_MIN 64u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void
make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int k = 0; k < 8; k++)
			v = (v >> 1) ^ ((v & 1) != 0 ? 0xedb88320u : 0);
		table[0][i] = v;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^
			    table[0][table[k - 1][i] & 255];
}

uint32_t
tn_parquet_crc32(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t whole = n / 16 * 16;

	pthread_once(&table_once, make_table);
	crc = ~crc;
	if (n >= FOLD_MIN && tn_parquet_crc32_can_fold()) {
		crc = tn_parquet_crc32_fold(crc, at, whole);
		at += whole;
		n -= whole;
	}
	for (; n >= 8; n -= 8, at += 8) {
		uint64_t v = pq_load64(at) ^ crc;

		crc = table[7][v & 255] ^ table[6][v >> 8 & 255] ^
		    table[5][v >> 16 & 255] ^ table[4][v >> 24 & 255] ^
		    table[3][v >> 32 & 255] ^ table[2][v >> 40 & 255] ^
		    table[1][v >> 48 & 255] ^ table[0][v >> 56];
	}
	for (; n > 0; n--, at++)
		crc = crc >> 8 ^ table[0][(crc ^ *at) & 255];
	return ~crc;
}

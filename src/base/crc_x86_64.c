/* crc: the processor's crc32 instruction (SSE4.2), three strands side by side
 * (see crc.c). Built only on x86-64. */
#include "base/base_int.h"

#include <string.h>

enum { STRAND = TN_CRC32C_STRAND };

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

__attribute__((target("sse4.2"))) uint32_t
tn_crc32c_hard(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t a = (uint32_t)~crc;

	tn_crc32c_tables();
	for (; n >= 3 * STRAND; n -= 3 * STRAND, p += 3 * STRAND) {
		uint64_t b = 0;
		uint64_t c = 0;

		for (size_t i = 0; i < STRAND; i += 8) {
			a = __builtin_ia32_crc32di(a, load64(p + i));
			b = __builtin_ia32_crc32di(b, load64(p + STRAND + i));
			c = __builtin_ia32_crc32di(c,
			    load64(p + 2 * STRAND + i));
		}
		a = tn_crc32c_shift((uint32_t)a) ^ b;
		a = tn_crc32c_shift((uint32_t)a) ^ c;
	}
	for (; n >= 8; n -= 8, p += 8)
		a = __builtin_ia32_crc32di(a, load64(p));
	for (; n > 0; n--, p++)
		a = __builtin_ia32_crc32qi((uint32_t)a, *p);
	return ~(uint32_t)a;
}

bool
tn_crc32c_has_hard(void)
{
	return __builtin_cpu_supports("sse4.2") != 0;
}

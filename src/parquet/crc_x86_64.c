/* crc: CRC-32 by multiplication without carries (PCLMULQDQ), see crc.c. Built
 * only on x86-64.
 *
 * A remainder of 128 bits is carried over 16 bytes of input by multiplying its
 * halves with x^(128+32) and x^(128-32), over 64 bytes with x^(512+32) and
 * x^(512-32), all modulo the polynomial and in its reflected form; four
 * remainders run side by side. At the end 128 bits become 32: over 64 bits,
 * over 32, then by Barrett's reduction. After V. Gopal and others, "Fast CRC
 * computation for generic polynomials using PCLMULQDQ" (Intel, 2009). */
#include "parquet/parquet_int.h"

#include <immintrin.h>

#define FOLD __attribute__((target("pclmul,sse4.1")))

bool
tn_parquet_crc32_can_fold(void)
{
	return __builtin_cpu_supports("pclmul") != 0 &&
	    __builtin_cpu_supports("sse4.1") != 0;
}

FOLD static inline __m128i
load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* ${v} carried over as many bytes as ${by} says, and the input there. */
FOLD static inline __m128i
carry(__m128i v, __m128i by, __m128i in)
{
	__m128i low = _mm_clmulepi64_si128(v, by, 0x00);
	__m128i high = _mm_clmulepi64_si128(v, by, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), in);
}

FOLD static uint32_t
reduce(__m128i v)
{
	const __m128i over64 = _mm_set_epi64x(0, INT64_C(0x0ccaa009e));
	const __m128i over32 = _mm_set_epi64x(0, INT64_C(0x163cd6124));
	const __m128i barrett = _mm_set_epi64x(INT64_C(0x1f7011641),
	    INT64_C(0x1db710641));
	const __m128i low32 = _mm_set_epi64x(0xffffffff, 0xffffffff);
	__m128i q;

	v = _mm_xor_si128(_mm_srli_si128(v, 8),
	    _mm_clmulepi64_si128(v, over64, 0x00));
	v = _mm_xor_si128(_mm_srli_si128(v, 4),
	    _mm_clmulepi64_si128(_mm_and_si128(v, low32), over32, 0x00));
	q = _mm_clmulepi64_si128(_mm_and_si128(v, low32), barrett, 0x10);
	q = _mm_clmulepi64_si128(_mm_and_si128(q, low32), barrett, 0x00);
	return (uint32_t)_mm_extract_epi32(_mm_xor_si128(v, q), 1);
}

FOLD uint32_t
tn_parquet_crc32_fold(uint32_t state, const uint8_t *p, size_t n)
{
	const __m128i over512 = _mm_set_epi64x(INT64_C(0x1c6e41596),
	    INT64_C(0x154442bd4));
	const __m128i over128 = _mm_set_epi64x(INT64_C(0x0ccaa009e),
	    INT64_C(0x1751997d0));
	const __m128i none = _mm_setzero_si128();
	__m128i v[4];

	tn_assert(n >= 64 && n % 16 == 0);
	for (int i = 0; i < 4; i++)
		v[i] = load(p + 16 * i);
	v[0] = _mm_xor_si128(v[0], _mm_cvtsi32_si128((int)state));
	for (p += 64, n -= 64; n >= 64; p += 64, n -= 64)
		for (int i = 0; i < 4; i++)
			v[i] = carry(v[i], over512, load(p + 16 * i));
	for (int i = 1; i < 4; i++)
		v[0] = _mm_xor_si128(carry(v[0], over128, none), v[i]);
	for (; n > 0; p += 16, n -= 16)
		v[0] = carry(v[0], over128, load(p));
	return reduce(v[0]);
}

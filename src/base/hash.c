/* hash: 64-bit and 128-bit hashes for tables and row keys. Key files on disk
 * hold the results, so nothing here may ever change; hash_test.c holds fixed
 * vectors.
 *
 * Input is read as little-endian words, two at a time. A step multiplies two
 * words, each combined with state or a constant, to 128 bits and folds the
 * halves. A factor that happens to be zero would swallow its partner, so each
 * step also adds the words to the state outside the product. The length goes
 * into the first state, the tail is padded with zeros.
 *
 * hash128 has two lanes that take both words in swapped roles and ends with
 * a bijection of the two lanes: nothing is lost after the last block. It does
 * not resist someone who looks for collisions with a known seed; whoever
 * hashes foreign keys takes a secret seed. */
#include "base/base_int.h"

#include <string.h>

/* Fractional parts of the square roots of the first primes, made odd. */
#define K0 UINT64_C(0x6a09e667f3bcc909)
#define K1 UINT64_C(0xbb67ae8584caa73b)
#define K2 UINT64_C(0x3c6ef372fe94f82b)
#define K3 UINT64_C(0xa54ff53a5f1d36f1)
#define K4 UINT64_C(0x510e527fade682d1)
#define K5 UINT64_C(0x9b05688c2b3e6c1f)

static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* A bijection in which each bit in changes half of the bits out. */
static uint64_t
scatter(uint64_t x)
{
	x ^= x >> 32;
	x *= K1;
	x ^= x >> 29;
	x *= K3;
	return x ^ x >> 32;
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

static uint64_t
load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		v = __builtin_bswap32(v);
	return v;
}

/* The last 0 to 16 bytes as two words. Bytes may be read twice; for a given
 * ${n} the words still tell all of them, and n is hashed too. */
static void
load_tail(const uint8_t *p, size_t n, uint64_t *a, uint64_t *b)
{
	*a = 0;
	*b = 0;
	if (n >= 8) {
		*a = load64(p);
		*b = load64(p + n - 8);
	} else if (n >= 4) {
		*a = load32(p);
		*b = load32(p + n - 4);
	} else if (n > 0) {
		*a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
	}
}

static uint64_t
step64(uint64_t s, uint64_t a, uint64_t b)
{
	return fold(a ^ K2, b ^ s) + (turn(s, 23) ^ b);
}

uint64_t
tn_hash64(const void *key, size_t n, uint64_t seed)
{
	const uint8_t *p = key;
	uint64_t s = fold(seed ^ K0, (uint64_t)n ^ K1) ^ seed;
	uint64_t a, b;

	if (n > 48) {
		uint64_t t = s ^ K4;
		uint64_t u = s ^ K5;

		for (; n > 48; n -= 48, p += 48) {
			s = step64(s, load64(p), load64(p + 8));
			t = step64(t, load64(p + 16), load64(p + 24));
			u = step64(u, load64(p + 32), load64(p + 40));
		}
		s ^= scatter(t) + turn(scatter(u), 17);
	}
	for (; n > 16; n -= 16, p += 16)
		s = step64(s, load64(p), load64(p + 8));
	load_tail(p, n, &a, &b);
	s = step64(s, a, b);
	return scatter(s ^ turn(a, 41));
}

struct lanes {
	uint64_t s;
	uint64_t t;
};

static struct lanes
step128(struct lanes x, uint64_t a, uint64_t b)
{
	struct lanes y;

	y.s = fold(a ^ K2, b ^ x.s) + (turn(x.t, 23) ^ b);
	y.t = fold(b ^ K3, a ^ x.t) + (turn(x.s, 41) ^ a);
	return y;
}

struct tn_hash128
tn_hash128(const void *key, size_t n, uint64_t seed)
{
	const uint8_t *p = key;
	uint64_t first = fold(seed ^ K0, (uint64_t)n ^ K1);
	struct lanes x = { seed ^ K4, first + seed };
	struct tn_hash128 h;
	uint64_t a, b;

	x.s += (uint64_t)n;
	for (; n > 16; n -= 16, p += 16)
		x = step128(x, load64(p), load64(p + 8));
	load_tail(p, n, &a, &b);
	x = step128(x, a, b);
	/* Words of the last step that met the other lane only by addition
	 * meet its product here. */
	x = step128(x, K5, K4);
	h.lo = x.s + x.t;
	h.hi = x.t + turn(h.lo, 32);
	h.lo = scatter(h.lo);
	h.hi = scatter(h.hi ^ K5);
	h.lo += h.hi;
	h.hi += h.lo;
	return h;
}

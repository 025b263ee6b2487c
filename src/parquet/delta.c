/* delta: DELTA_BINARY_PACKED. A header (block size, miniblocks a block, count
 * and first value), then blocks: the least step, a byte of width for each
 * miniblock, the steps above the least one bit-packed. We write blocks of
 * 128 steps in 4 miniblocks; we read every shape that the format allows up to
 * BLOCK_MAX.
 *
 * All arithmetic wraps in unsigned 64 bits; columns of 32 bits are cut after
 * adding, which gives the same sums modulo 2^32. */
#include "parquet/parquet_int.h"

#define BLOCK 128u
#define MINI 32u
#define MINIS (BLOCK / MINI)
#define BLOCK_MAX 65536u

/* The steps of one block above the least of them. */
struct block {
	int64_t least;
	unsigned widths[MINIS];
	uint64_t steps[BLOCK];   /* Not set when all are equal. */
	size_t n;
	bool even;
};

/* A whole block of equal steps, as positions and times of a block of the log
 * have? Loops of a fixed length are what the compiler makes vectors of. */
static bool
is_even(const int64_t *v, int64_t step)
{
	uint64_t other = 0;

	for (size_t i = 0; i < BLOCK; i++)
		other |= ((uint64_t)v[i] - (uint64_t)v[i - 1]) ^
		    (uint64_t)step;
	return other == 0;
}

/* ${v} points behind the value that the first step starts from. */
static void
block_steps(struct block *k, const int64_t *v, size_t n, bool is32)
{
	int64_t first = (int64_t)((uint64_t)v[0] - (uint64_t)v[-1]);

	k->n = n;
	k->even = n == BLOCK && is_even(v, first);
	if (k->even) {
		k->least = is32 ? (int32_t)first : first;
		memset(k->widths, 0, sizeof k->widths);
		return;
	}
	k->least = INT64_MAX;
	for (size_t i = 0; i < n; i++) {
		int64_t step = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);

		if (is32)
			step = (int32_t)step;
		k->steps[i] = (uint64_t)step;
		k->least = step < k->least ? step : k->least;
	}
	/* Steps of 32 bits are at most 2^32 - 1 above the least one. */
	for (size_t i = 0; i < n; i++)
		k->steps[i] -= (uint64_t)k->least;
	for (size_t m = 0; m < MINIS; m++) {
		uint64_t all = 0;

		for (size_t i = m * MINI; i < (m + 1) * MINI && i < n; i++)
			all |= k->steps[i];
		k->widths[m] = pq_bits_for(all);
	}
}

static void
put_block(struct tn_buf *b, struct block *k)
{
	tn_parquet_put_zigzag(b, k->least);
	for (size_t m = 0; m < MINIS; m++)
		tn_buf_char(b, (char)k->widths[m]);
	if (k->even)
		return;          /* Steps of no bits take no bytes. */
	/* Pad the last miniblock. */
	for (size_t i = k->n; i % MINI != 0; i++)
		k->steps[i] = 0;
	for (size_t m = 0; m * MINI < k->n; m++)
		tn_parquet_pack64(b, k->steps + m * MINI, MINI, k->widths[m]);
}

void
tn_parquet_delta_encode(struct tn_buf *b, const int64_t *v, size_t n,
    bool is32)
{
	struct block k;

	tn_buf_varint(b, BLOCK);
	tn_buf_varint(b, MINIS);
	tn_buf_varint(b, n);
	tn_parquet_put_zigzag(b, n == 0 ? 0 : v[0]);
	for (size_t i = 1; i < n; i += BLOCK) {
		block_steps(&k, v + i, n - i < BLOCK ? n - i : BLOCK, is32);
		put_block(b, &k);
	}
}

size_t
tn_parquet_delta_bytes(const int64_t *v, size_t n, bool is32)
{
	size_t bytes = 10;
	struct block k;

	for (size_t i = 1; i < n; i += BLOCK) {
		block_steps(&k, v + i, n - i < BLOCK ? n - i : BLOCK, is32);
		bytes += 3 + MINIS;
		for (size_t m = 0; m < MINIS; m++)
			bytes += k.widths[m] * MINI / 8;
	}
	return bytes;
}

struct shape {
	uint64_t block;
	uint64_t minis;
	uint64_t mini;      /* Values of a miniblock. */
};

static bool
read_shape(struct tn_cursor *c, struct shape *s, size_t n)
{
	uint64_t total;

	s->block = tn_cursor_varint(c);
	s->minis = tn_cursor_varint(c);
	total = tn_cursor_varint(c);
	if (c->failed || s->block == 0 || s->block > BLOCK_MAX ||
	    s->minis == 0 || s->minis > s->block ||
	    s->block % s->minis != 0 || total != n)
		return false;
	s->mini = s->block / s->minis;
	return s->mini % 8 == 0;
}

/* One miniblock: up to ${n} steps become values behind *${value}. */
static bool
read_mini(struct tn_cursor *c, unsigned width, size_t mini, size_t n,
    uint64_t least, uint64_t *value, int64_t *out)
{
	size_t bytes = mini / 8 * width;
	size_t left = (size_t)(c->end - c->p);
	uint64_t v = *value;

	/* The padding of the last miniblock may be missing. */
	if (width > 64 || left < (n * width + 7) / 8)
		return false;
	tn_parquet_unpack64(c->p, width, (uint64_t *)out, n);
	for (size_t i = 0; i < n; i++) {
		v += (uint64_t)out[i] + least;
		out[i] = (int64_t)v;
	}
	*value = v;
	c->p += bytes < left ? bytes : left;
	return true;
}

static bool
read_block(struct tn_cursor *c, const struct shape *s, uint64_t *value,
    int64_t *out, size_t n)
{
	uint64_t z = tn_cursor_varint(c);
	uint64_t least = (z >> 1) ^ -(z & 1);
	struct tn_slice widths = tn_cursor_bytes(c, (size_t)s->minis);

	if (c->failed)
		return false;
	for (size_t m = 0; m < s->minis && n > 0; m++) {
		size_t take = n < s->mini ? n : (size_t)s->mini;

		if (!read_mini(c, widths.p[m], (size_t)s->mini, take, least,
		    value, out))
			return false;
		out += take;
		n -= take;
	}
	return true;
}

bool
tn_parquet_delta_decode(struct tn_cursor *c, int64_t *out, size_t n)
{
	struct shape s;
	uint64_t z, value;

	if (!read_shape(c, &s, n))
		return false;
	z = tn_cursor_varint(c);
	value = (z >> 1) ^ -(z & 1);
	if (c->failed)
		return false;
	if (n == 0)
		return true;
	out[0] = (int64_t)value;
	for (size_t i = 1; i < n; i += (size_t)s.block) {
		size_t take = n - i < s.block ? n - i : (size_t)s.block;

		if (!read_block(c, &s, &value, out + i, take))
			return false;
	}
	return true;
}

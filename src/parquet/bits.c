/* bits: bit packing (lowest bit first), the hybrid of runs and bit packing
 * that Parquet calls RLE, and bitmaps.
 *
 * Unpacking loads eight bytes at the byte of each value, hence the slack that
 * parquet_int.h demands behind packed input. Widths come from the file and
 * are checked by the callers here. */
#include "parquet/parquet_int.h"

/* A repeated value is worth a run of its own from this length on. */
#define RUN_MIN 16u

/* ${n} values, a multiple of 8, that fill whole bytes. Four of up to 15 bits lie
 * in one word wherever they begin. ${width} is a constant in each caller. */
static inline __attribute__((always_inline)) void
unpack_eights(const uint8_t *p, unsigned width, uint32_t *out, size_t n)
{
	uint32_t mask = ((uint32_t)1 << width) - 1;

	for (size_t i = 0; i < n; i += 8, p += width) {
		uint64_t v = pq_load64(p);
		uint64_t w = pq_load64(p + width / 2) >> (width & 1) * 4;

		for (unsigned k = 0; k < 4; k++) {
			out[i + k] = (uint32_t)(v >> k * width) & mask;
			out[i + 4 + k] = (uint32_t)(w >> k * width) & mask;
		}
	}
}

#define WIDTH(w) case w: unpack_eights(p, w, out, n); break

static void
unpack_narrow(const uint8_t *p, unsigned width, uint32_t *out, size_t n)
{
	switch (width) {
	WIDTH(1); WIDTH(2); WIDTH(3); WIDTH(4); WIDTH(5);
	WIDTH(6); WIDTH(7); WIDTH(8); WIDTH(9); WIDTH(10);
	WIDTH(11); WIDTH(12); WIDTH(13); WIDTH(14); WIDTH(15);
	default:
		tn_assert(!"a width of 1 to 15");
	}
}

void
tn_parquet_unpack32(const uint8_t *p, unsigned width, uint32_t *out, size_t n)
{
	uint64_t mask = ((uint64_t)1 << width) - 1;
	size_t i = 0;

	tn_assert(width <= 32);
	if (width == 0) {
		memset(out, 0, n * sizeof *out);
		return;
	}
	if (width <= 15) {
		i = n / 8 * 8;
		unpack_narrow(p, width, out, i);
		p += i / 8 * width;
	}
	for (; i + 8 <= n; i += 8, p += width) {
		for (unsigned k = 0; k < 8; k++) {
			unsigned bit = k * width;

			out[i + k] = (uint32_t)(pq_load64(p + (bit >> 3)) >>
			    (bit & 7) & mask);
		}
	}
	for (unsigned bit = 0; i < n; i++, bit += width)
		out[i] = (uint32_t)(pq_load64(p + (bit >> 3)) >> (bit & 7) &
		    mask);
}

/* A value of up to 64 bits lies in up to nine bytes. */
static inline uint64_t
load_wide(const uint8_t *p, size_t bit, uint64_t mask)
{
	const uint8_t *at = p + (bit >> 3);
	unsigned shift = bit & 7;
	uint64_t v = pq_load64(at) >> shift;

	if (shift != 0)
		v |= (uint64_t)at[8] << (64 - shift);
	return v & mask;
}

void
tn_parquet_unpack64(const uint8_t *p, unsigned width, uint64_t *out, size_t n)
{
	uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
	size_t bit = 0;

	tn_assert(width <= 64);
	if (width == 0) {
		memset(out, 0, n * sizeof *out);
		return;
	}
	if (width > 56) {
		for (size_t i = 0; i < n; i++, bit += width)
			out[i] = load_wide(p, bit, mask);
		return;
	}
	for (size_t i = 0; i < n; i++, bit += width)
		out[i] = pq_load64(p + (bit >> 3)) >> (bit & 7) & mask;
}

/* Bits on their way into a buffer that has room. */
struct packer {
	uint8_t *p;
	uint64_t acc;
	unsigned used;
};

static inline void
pack_one(struct packer *k, uint64_t v, unsigned width)
{
	unsigned room = 64 - k->used;

	k->acc |= v << k->used;
	if (width < room) {
		k->used += width;
		return;
	}
	memcpy(k->p, &k->acc, 8);
	k->p += 8;
	k->acc = room == 64 ? 0 : v >> room;
	k->used = width - room;
}

static void
pack_end(struct packer *k)
{
	for (; k->used > 0; k->used -= k->used < 8 ? k->used : 8) {
		*k->p++ = (uint8_t)k->acc;
		k->acc >>= 8;
	}
}

void
tn_parquet_pack32(struct tn_buf *b, const uint32_t *v, size_t n,
    unsigned width)
{
	size_t bytes = (n * width + 7) / 8;
	struct packer k = { tn_buf_reserve(b, bytes + 8), 0, 0 };

	if (k.p == NULL || width == 0)
		return;
	for (size_t i = 0; i < n; i++)
		pack_one(&k, v[i], width);
	pack_end(&k);
	b->n += bytes;
}

void
tn_parquet_pack64(struct tn_buf *b, const uint64_t *v, size_t n,
    unsigned width)
{
	size_t bytes = (n * width + 7) / 8;
	struct packer k = { tn_buf_reserve(b, bytes + 8), 0, 0 };

	if (k.p == NULL || width == 0)
		return;
	for (size_t i = 0; i < n; i++)
		pack_one(&k, v[i], width);
	pack_end(&k);
	b->n += bytes;
}

static size_t
run_at(const uint32_t *v, size_t i, size_t n)
{
	size_t end = i + 1;

	while (end < n && v[end] == v[i])
		end++;
	return end - i;
}

/* Groups of eight, the last padded with zeros. */
static void
put_groups(struct tn_buf *b, const uint32_t *v, size_t n, unsigned width)
{
	static const uint32_t zeros[8];
	size_t whole = n / 8 * 8;
	uint32_t last[8];

	if (n == 0)
		return;
	tn_buf_varint(b, (uint64_t)(n + 7) / 8 << 1 | 1);
	tn_parquet_pack32(b, v, whole, width);
	if (whole == n)
		return;
	memcpy(last, zeros, sizeof last);
	memcpy(last, v + whole, (n - whole) * sizeof *v);
	tn_parquet_pack32(b, last, 8, width);
}

void
tn_parquet_hybrid_encode(struct tn_buf *b, const uint32_t *v, size_t n,
    unsigned width)
{
	size_t from = 0;             /* Values not put yet. */
	size_t i = 0;

	while (i < n) {
		size_t run = run_at(v, i, n);
		/* A packed stretch must end after a multiple of eight. */
		size_t fill = (8 - (i - from) % 8) % 8;

		if (run < fill + RUN_MIN) {
			i += run;
			continue;
		}
		put_groups(b, v + from, i + fill - from, width);
		run -= fill;
		tn_buf_varint(b, (uint64_t)run << 1);
		tn_buf_add(b, &v[i], (width + 7) / 8);
		i += fill + run;
		from = i;
	}
	put_groups(b, v + from, n - from, width);
}

/* Blocks of a fixed size are what the compiler makes vectors of. */
#define MAX_BLOCK 16u

static uint32_t
max_of(const uint32_t *v, size_t n)
{
	uint32_t most[MAX_BLOCK] = { 0 };
	uint32_t max = 0;

	for (; n >= MAX_BLOCK; n -= MAX_BLOCK, v += MAX_BLOCK)
		for (size_t k = 0; k < MAX_BLOCK; k++)
			most[k] = v[k] > most[k] ? v[k] : most[k];
	for (size_t k = 0; k < MAX_BLOCK; k++)
		max = most[k] > max ? most[k] : max;
	for (size_t i = 0; i < n; i++)
		max = v[i] > max ? v[i] : max;
	return max;
}

/* Varint of at most 32 bits plus the flag; sets c->failed. */
static uint64_t
run_head(struct tn_cursor *c)
{
	uint64_t v;

	if (c->p < c->end && *c->p < 0x80)
		return *c->p++;
	v = tn_cursor_varint(c);
	if (v >> 32 != 0)
		c->failed = true;
	return v;
}

/* One packed run: returns the values taken, 0 on bad input. */
static size_t
packed_run(struct tn_cursor *c, uint64_t groups, unsigned width,
    uint32_t *out, size_t left)
{
	size_t n = groups * 8 < left ? (size_t)groups * 8 : left;
	uint64_t bytes = groups * width;

	/* Some writers cut the padding of the last group. */
	if (bytes > (size_t)(c->end - c->p))
		bytes = (uint64_t)(c->end - c->p);
	if (bytes < ((uint64_t)n * width + 7) / 8)
		return 0;
	tn_parquet_unpack32(c->p, width, out, n);
	c->p += bytes;
	return n;
}

static size_t
rle_run(struct tn_cursor *c, uint64_t run, unsigned width, uint32_t *out,
    size_t left)
{
	size_t n = run < left ? (size_t)run : left;
	size_t bytes = (width + 7) / 8;
	uint32_t v = 0;

	if ((size_t)(c->end - c->p) < bytes)
		return 0;
	memcpy(&v, c->p, bytes);
	c->p += bytes;
	if (width < 32 && v >> width != 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = v;
	return n;
}

bool
tn_parquet_hybrid_decode(struct tn_slice in, unsigned width, uint32_t *out,
    size_t n, uint32_t *max)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	size_t done = 0;

	*max = 0;
	if (width > 32)
		return false;
	/* One value needs no bits: nothing else is looked at. */
	if (width == 0) {
		memset(out, 0, n * sizeof *out);
		return true;
	}
	while (done < n) {
		uint64_t head = run_head(&c);
		size_t got = 0;

		if (!c.failed && (head & 1) != 0)
			got = packed_run(&c, head >> 1, width, out + done,
			    n - done);
		else if (!c.failed)
			got = rle_run(&c, head >> 1, width, out + done,
			    n - done);
		if (got == 0)
			return false;
		done += got;
	}
	*max = max_of(out, n);
	return true;
}

/* ---- bitmaps --------------------------------------------------------- */

size_t
tn_parquet_bits_count(const uint8_t *p, size_t at, size_t n)
{
	size_t ones = 0;

	for (; n > 0 && at % 8 != 0; n--, at++)
		ones += p[at >> 3] >> (at & 7) & 1;
	for (; n >= 64; n -= 64, at += 64)
		ones += (size_t)__builtin_popcountll(pq_load64(p + at / 8));
	for (; n > 0; n--, at++)
		ones += p[at >> 3] >> (at & 7) & 1;
	return ones;
}

size_t
tn_parquet_bits_copy(uint8_t *to, size_t to_at, const uint8_t *from,
    size_t from_at, size_t n)
{
	size_t start = to_at;
	size_t all = n;

	if (to_at % 8 == 0 && from_at % 8 == 0) {
		memcpy(to + to_at / 8, from + from_at / 8, n / 8);
		to_at += n / 8 * 8;
		from_at += n / 8 * 8;
		n %= 8;
	}
	while (n > 0) {
		unsigned o = to_at & 7;
		unsigned f = from_at & 7;
		size_t take = n < 8 - o ? n : 8 - o;
		unsigned mask = (1u << take) - 1;
		unsigned v = from[from_at >> 3] >> f;

		if (f + take > 8)
			v |= (unsigned)from[(from_at >> 3) + 1] << (8 - f);
		to[to_at >> 3] = (uint8_t)((to[to_at >> 3] & ~(mask << o)) |
		    (v & mask) << o);
		to_at += take;
		from_at += take;
		n -= take;
	}
	return tn_parquet_bits_count(to, start, all);
}

void
tn_parquet_bits_fill(uint8_t *to, size_t at, bool one, size_t n)
{
	size_t end = at + n;

	for (; at < end && at % 8 != 0; at++)
		to[at >> 3] = (uint8_t)((to[at >> 3] & ~(1u << (at & 7))) |
		    (unsigned)one << (at & 7));
	memset(to + at / 8, one ? 0xff : 0, (end - at) / 8);
	at += (end - at) / 8 * 8;
	for (; at < end; at++)
		to[at >> 3] = (uint8_t)((to[at >> 3] & ~(1u << (at & 7))) |
		    (unsigned)one << (at & 7));
}

/* ---- definition levels ----------------------------------------------- */

void
tn_parquet_levels_encode(struct tn_buf *b, const uint8_t *bitmap, size_t at,
    size_t n, size_t set)
{
	size_t bytes = (n + 7) / 8;
	uint8_t *to;

	if (set == 0 || set == n) {
		tn_buf_varint(b, (uint64_t)n << 1);
		tn_buf_char(b, set != 0);
		return;
	}
	tn_buf_varint(b, (uint64_t)bytes << 1 | 1);
	to = tn_buf_reserve(b, bytes);
	if (to == NULL)
		return;
	memset(to, 0, bytes);
	(void)tn_parquet_bits_copy(to, 0, bitmap, at, n);
	b->n += bytes;
}

/* One run of levels; returns its values, 0 on bad input. */
static size_t
levels_run(struct tn_cursor *c, uint8_t *bitmap, size_t at, size_t left,
    size_t *set)
{
	uint64_t head = run_head(c);
	uint64_t run = (head >> 1) * ((head & 1) != 0 ? 8 : 1);
	size_t n = run < left ? (size_t)run : left;

	if (c->failed || c->p >= c->end)
		return 0;
	if ((head & 1) == 0) {
		uint8_t v = *c->p++;

		if (v > 1)
			return 0;
		tn_parquet_bits_fill(bitmap, at, v == 1, n);
		*set += v == 1 ? n : 0;
		return n;
	}
	if ((n + 7) / 8 > (size_t)(c->end - c->p))
		return 0;
	*set += tn_parquet_bits_copy(bitmap, at, c->p, 0, n);
	c->p += (size_t)(c->end - c->p) < head >> 1 ?
	    (size_t)(c->end - c->p) : (size_t)(head >> 1);
	return n;
}

bool
tn_parquet_levels_decode(struct tn_slice in, uint8_t *bitmap, size_t at,
    size_t n, size_t *set)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	size_t done = 0;

	*set = 0;
	while (done < n) {
		size_t got = levels_run(&c, bitmap, at + done, n - done, set);

		if (got == 0)
			return false;
		done += got;
	}
	return true;
}

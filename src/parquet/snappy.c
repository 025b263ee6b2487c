/* snappy: decoder of raw snappy blocks (google/snappy format_description.txt
 * of 2020-10-13): the length as varint, then literals and copies from what
 * was decoded before. Every length and distance is checked; the block must
 * give exactly the bytes that the page header told. */
#include "parquet/parquet_int.h"

struct state {
	const uint8_t *in;
	const uint8_t *in_end;
	uint8_t *base;
	uint8_t *out;
	uint8_t *out_end;
};

/* Little-endian number of ${n} bytes, 1..4; false when the input ends. */
static bool
take(struct state *s, unsigned n, uint32_t *v)
{
	if ((size_t)(s->in_end - s->in) < n)
		return false;
	*v = 0;
	for (unsigned i = 0; i < n; i++)
		*v |= (uint32_t)s->in[i] << (8 * i);
	s->in += n;
	return true;
}

static bool
literal(struct state *s, uint8_t tag)
{
	uint32_t n = tag >> 2;

	if (n >= 60 && !take(s, n - 59, &n))
		return false;
	if (n >= (size_t)(s->in_end - s->in) ||
	    n >= (size_t)(s->out_end - s->out))
		return false;
	memcpy(s->out, s->in, (size_t)n + 1);
	s->in += (size_t)n + 1;
	s->out += (size_t)n + 1;
	return true;
}

static bool
copy(struct state *s, uint8_t tag)
{
	uint32_t distance = 0;
	uint32_t n = (uint32_t)(tag >> 2) + 1;
	const uint8_t *from;

	if ((tag & 3) == 1) {
		if (!take(s, 1, &distance))
			return false;
		n = (tag >> 2 & 7) + 4;
		distance |= (uint32_t)(tag >> 5) << 8;
	} else if (!take(s, (tag & 3) == 2 ? 2 : 4, &distance)) {
		return false;
	}
	if (distance == 0 || distance > (size_t)(s->out - s->base) ||
	    n > (size_t)(s->out_end - s->out))
		return false;
	from = s->out - distance;
	if (distance >= n) {
		memcpy(s->out, from, n);
	} else {
		/* The source grows while it is copied: a repeated piece. */
		for (uint32_t i = 0; i < n; i++)
			s->out[i] = from[i];
	}
	s->out += n;
	return true;
}

bool
tn_parquet_snappy(struct tn_slice in, uint8_t *out, size_t n)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	uint64_t told = tn_cursor_varint(&c);
	struct state s = { c.p, c.end, out, out, out + n };

	if (c.failed || told != n)
		return false;
	while (s.in < s.in_end) {
		uint8_t tag = *s.in++;
		bool fine = (tag & 3) == 0 ? literal(&s, tag) : copy(&s, tag);

		if (!fine)
			return false;
	}
	return s.out == s.out_end;
}
